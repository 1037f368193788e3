/*
 * Winograd's convolution: F(4x4, 3x3), 4 x 4 outputs of a 3 x 3 kernel, with 36 multiplications
 * instead of 144, F(2x2, 5x5), with 36 instead of 100, or F(3x3, 4x4) and F(5x5, 2x2), with 36
 * instead of 144 and 100; all from the 6 x 6 inputs that they look at. Along one axis, six inputs
 * d, the weights g and the outputs y are coefficients of polynomials, and a product of polynomials
 * is a product of their values at points: y = A^T (B^T d . G g). Two axes do so one after the
 * other. The points alone decide B, so that the kernel's size changes only how many coefficients G
 * and A have.
 *
 * The points are 0, +-P, +-Q and infinity. With the usual 1 and 2, values of the larger powers
 * swamp the smaller ones: simulated for 3 x 3 with 8 to 256 channels, the root mean square error is
 * 3.5 to 6 times that of adding up all products one after the other. With 5/8 and 3/2 it is 1.7 to
 * 2.8 times (5 x 5 with 8 and 128 channels: 2.2 and 1.2, instead of 4.1 and 2.7); and their powers
 * are exact in f32, so that the matrices themselves lose nothing.
 *
 * With a stride s, a square of s x s pixels is one input with s * s times the channels, row by row
 * of the square (FOLD). A kernel of SIDE x SIDE weights is one of KERNEL x KERNEL squares then, with
 * stride 1: 7 x 7 with stride 2 is 4 x 4, of which a row and a column of pixels are zero. Backward
 * to the data the results are squares. Windows, and so squares, begin where the padding does.
 *
 * 3 x 3 with stride 2 has its transforms, of the same names, in winograd_strided_cpu.h. There, a
 * value of weights serves several values of inputs, and a product that is transformed is the sum of
 * several terms: one for each value of the inputs, with the weights WEIGHT_OF(term); the product
 * has those from FIRST_TERM(product) to before FIRST_TERM(product + 1).
 */
#ifndef KERNEL
#define KERNEL 3 // weights along an axis, of squares: 2 to 5; 3 with stride 2
#endif
#ifndef STRIDE
#define STRIDE 1 // of squares: 1 or 2
#endif
#ifndef FOLD
#define FOLD 1 // pixels along a square's side: 1 with stride 2
#endif
#ifndef SIDE
#define SIDE KERNEL // weights along an axis, of pixels
#endif
#ifndef BACKWARD
#define BACKWARD 0 // 1: to the data, with stride 2 or squares; else an argument says it
#endif
#if BACKWARD
#define SOURCE_FOLD 1
#define RESULT_FOLD FOLD
#else
#define SOURCE_FOLD FOLD
#define RESULT_FOLD 1
#endif
#define TAPS (KERNEL * KERNEL)
#define AREA(n) ((n) * (n)) // of a tile with n along an axis

/* The transforms are calls: inlined, their constants would take registers from the tile. */
#define TRANSFORM __attribute__((noinline)) static void

#if STRIDE == 2
#include "winograd_strided_cpu.h"
#else
#define POINTS 6        // along an axis: values of a tile's inputs,
#define WEIGHTS POINTS  // of the weights,
#define PRODUCTS POINTS // and of what becomes outputs
#define FIRST_TERM(product) (product)
#define WEIGHT_OF(term) (term)
#define INPUTS POINTS // squares along an axis
#define OUTPUTS (POINTS + 1 - KERNEL)
#define INPUT_STEP OUTPUTS // from one tile's inputs to the next's
#define P 0.625f
#define Q 1.5f
#define PP (P * P)
#define QQ (Q * Q)

/* B^T: inputs become values. */
static void inputs_to_values(VECTOR d[POINTS], int phase)
{
    const VECTOR d1 = d[1], even_p = fma(-QQ, d[2], d[4]), even_q = fma(-PP, d[2], d[4]);
    const VECTOR odd_p = fma(-QQ, d1, d[3]), odd_q = fma(-PP, d1, d[3]);
    d[0] = fma(PP * QQ, d[0], fma(-(PP + QQ), d[2], d[4]));
    d[5] = fma(PP * QQ, d1, fma(-(PP + QQ), d[3], d[5]));
    d[1] = fma(P, odd_p, even_p);
    d[2] = fma(-P, odd_p, even_p);
    d[3] = fma(Q, odd_q, even_q);
    d[4] = fma(-Q, odd_q, even_q);
}

/* Every other one of a polynomial's n coefficients, the first or second on, where x * x is xx. */
static VECTOR half_value(const VECTOR *c, int first, int n, float xx)
{
    int k = n - 1 - (n - 1 - first) % 2;
    VECTOR sum = c[k];
#pragma unroll
    for (k -= 2; k >= 0; k -= 2) sum = fma(xx, sum, c[k]);
    return sum;
}

/* n coefficients, v[0] .. v[n - 1], become values, each times what belongs to the point. */
static void coefficients_to_values(VECTOR v[POINTS], int n, float at_zero, float at_p, float at_q)
{
    const VECTOR even_p = at_p * half_value(v, 0, n, PP), odd_p = half_value(v, 1, n, PP);
    const VECTOR even_q = at_q * half_value(v, 0, n, QQ), odd_q = half_value(v, 1, n, QQ);
    v[5] = v[n - 1];
    v[0] = at_zero * v[0];
    v[1] = fma(P * at_p, odd_p, even_p);
    v[2] = fma(-P * at_p, odd_p, even_p);
    v[3] = fma(Q * at_q, odd_q, even_q);
    v[4] = fma(-Q * at_q, odd_q, even_q);
}

/* The transposed matrix: six values become n sums. */
static void values_to_sums(VECTOR v[POINTS], int n, float at_zero, float at_p, float at_q)
{
    const VECTOR even_p = v[1] + v[2], odd_p = v[1] - v[2];
    const VECTOR even_q = v[3] + v[4], odd_q = v[3] - v[4];
    float p = at_p, q = at_q;
    v[0] = fma(at_zero, v[0], fma(at_p, even_p, at_q * even_q));
#pragma unroll
    for (int k = 1; k < n; k++) {
        const VECTOR at_infinity = k == n - 1 ? v[5] : (VECTOR)(0.0f);
        p *= P, q *= Q;
        v[k] = fma(p, k % 2 ? odd_p : even_p, fma(q, k % 2 ? odd_q : even_q, at_infinity));
    }
}

/* G, which takes the division by products of the points' differences: KERNEL weights. */
#define AT_ZERO (1 / (PP * QQ))
#define AT_P (0.5f / (PP * (PP - QQ)))
#define AT_Q (0.5f / (QQ * (QQ - PP)))
static void weights_to_values(VECTOR v[POINTS])
{
    coefficients_to_values(v, KERNEL, AT_ZERO, AT_P, AT_Q);
}

/* G^T, backward: gradients of the weights' values become those of the weights. */
static void values_to_weights(VECTOR v[POINTS])
{
    values_to_sums(v, KERNEL, AT_ZERO, AT_P, AT_Q);
}

/* A^T: values of products become OUTPUTS outputs. */
static void values_to_outputs(VECTOR v[POINTS], int phase)
{
    values_to_sums(v, OUTPUTS, 1, 1, 1);
}

/* A, backward: gradients of the outputs become those of the values. */
static void outputs_to_values(VECTOR v[POINTS])
{
    coefficients_to_values(v, OUTPUTS, 1, 1, 1);
}
#endif

/* Where the tiles of a batch of images (N, size, channels) are: `grid` of them in each. */
typedef struct tiling {
    int2 grid, size, origin; // origin: position of tile 0's first pixel; negative in the padding
    int2 phase;              // pixels of the result that tile 0 begins before it; with stride 2 see
                             // values_to_outputs; else 0
    int step, extent;        // pixels from one tile to the next, and of a tile, along an axis
    int channels;            // of a pixel
    long floats;             // of all images
} tiling;

/* Position of tile q's first pixel; its image is q / (grid.s0 * grid.s1). */
static int2 tile_position(const tiling *g, int q)
{
    const int at = q % (g->grid.s0 * g->grid.s1);
    return (int2)(at / g->grid.s1, at % g->grid.s1) * g->step + g->origin;
}

/* Number of the pixel at `at` of tile q's image. */
static long pixel_number(const tiling *g, int q, int2 at)
{
    const long image = q / (g->grid.s0 * g->grid.s1);
    return (image * g->size.s0 + at.s0) * g->size.s1 + at.s1;
}

/* First element of tile q: outside of the images if its first pixel is. */
static long tile_offset(const tiling *g, int q)
{
    return pixel_number(g, q, tile_position(g, q)) * g->channels;
}

/*
 * Asks for what the tiles q .. end - 1 look at and those above and before them did not, a row of a
 * tile after the other.
 */
typedef struct tiles_ahead {
    const tiling *g;
    __global const float *images; // at the first of `count` channels
    int q, end, row, count;
    ahead pixels; // of the row
} tiles_ahead;

static tiles_ahead look_at_tiles(__global const float *images, const tiling *g, long q, long end,
                                 int channel, int count)
{
    tiles_ahead a = {g, images + channel, (int)q, (int)end, 0, count, {images, 0, 0, 0, 0}};
    return a;
}

/* Cache lines per call that fetch all of it in `calls` calls. */
static int tiles_ahead_lines(const tiles_ahead *a, int calls)
{
    const int pixels = (a->end - a->q) * AREA(a->g->step);
    return (pixels * ((a->count + 15) / 16) + calls - 1) / calls;
}

/* The next row of pixels, some of which may not exist. */
static void next_pixels(tiles_ahead *a)
{
    const tiling *g = a->g;
    const int2 at = tile_position(g, a->q);
    const int2 from = max(select(at, at + (g->extent - g->step), at > g->origin), (int2)(0));
    const int2 to = min(at + g->extent, g->size);
    const int row = from.s0 + a->row;
    const int image = a->q / (g->grid.s0 * g->grid.s1);
    if (row < to.s0)
        a->pixels = look_ahead(
            a->images + (((long)image * g->size.s0 + row) * g->size.s1 + from.s1) * g->channels,
            g->channels, to.s1 - from.s1, a->count);
    if (row + 1 < to.s0)
        a->row++;
    else {
        a->row = 0;
        a->q++;
    }
}

static void fetch_tiles(tiles_ahead *a, int lines)
{
#pragma clang loop unroll(disable)
    for (int i = 0; i < lines; i++) {
        if (a->pixels.rows <= 0 && a->q < a->end) next_pixels(a);
        fetch_ahead(&a->pixels, 1);
    }
}

/*
 * A tile of `side` x `side` vectors: those of squares of `fold` x `fold` pixels, from channel c of a
 * square on. `from` is the tile's first pixel; only those from `begin` to before `end` exist, with
 * zeros for the others and behind the last channel.
 */
static void copy_part(__local float *part, int side, int fold, __global const float *from,
                      long line, int channels, int2 begin, int2 end, int c)
{
    const int run = fold * channels;
#pragma clang loop unroll(disable)
    for (int i = 0; i < side; i++)
#pragma clang loop unroll(disable)
        for (int j = 0; j < side; j++, part += WIDTH) {
            const int left = clamp(begin.s1 - j * fold, 0, fold) * channels;
            const int right = min(end.s1 - j * fold, fold) * channels;
            VSTORE_LOCAL((VECTOR)(0.0f), 0, part);
#pragma clang loop unroll(disable)
            for (int row = 0; row < fold; row++) {
                const int y = i * fold + row, shift = c - row * run;
                const int first = max(left - shift, 0), last = min(right - shift, WIDTH);
                if (y >= begin.s0 && y < end.s0 && first < last)
                    copy_row(part + first, from + y * line + (long)j * run + shift + first,
                             last - first);
            }
        }
}

#define NUMBERS_4 0, 1, 2, 3
#define NUMBERS_8 NUMBERS_4, 4, 5, 6, 7
#define NUMBERS_16 NUMBERS_8, 8, 9, 10, 11, 12, 13, 14, 15
#define LANE_NUMBER ((JOIN(int, WIDTH))(JOIN(NUMBERS_, WIDTH)))

/*
 * Channels from c on of a square, in which its row `row` begins or goes on; a row has `run`. Channel
 * c of row 0, if it had so many, is at p, and that of the next row `step` behind. What follows the
 * last channel is whatever does so in memory.
 */
static VECTOR load_square(__global const float *p, long step, int run, int c, int row)
{
    VECTOR v = VLOAD(0, p + row * step);
#pragma clang loop unroll(disable)
    for (row++; row < SOURCE_FOLD && row * run < c + WIDTH; row++)
        v = select(v, VLOAD(0, p + row * step), LANE_NUMBER >= row * run - c);
    return v;
}

/*
 * B^T d B of channels `channel` .. + count - 1 of tile q: value t of channel c goes to
 * to[t * stride + c], whole vectors of channels. `part`: INPUTS x INPUTS vectors.
 */
TRANSFORM transform_inputs(__local float *to, int stride, __global const float *images,
                           const tiling *g, int q, int channel, int count, __local float *part)
{
    const int2 at = tile_position(g, q), begin = max(-at, 0), end = g->size - at;
    const int run = SOURCE_FOLD * g->channels;
    const long line = (long)g->size.s1 * g->channels, offset = tile_offset(g, q);
    /* where the last square's last row goes on, counted from channel 0 of the square */
    const long last = offset + (g->extent - 1) * line + (INPUTS - SOURCE_FOLD) * run;
    const int inside = all(begin == 0) && all(end >= g->extent);
    images += offset + channel;
    for (int c = channel; c < channel + count; c += WIDTH, to += WIDTH, images += WIDTH) {
        VECTOR m[INPUTS][POINTS], d[POINTS];
        /* where the next vectors will go: beyond the first-level cache, and far apart */
        for (int t = 0; t < AREA(POINTS); t++) PREFETCH_LOCAL(to + t * stride + WIDTH);
        if (inside && last + c + WIDTH <= g->floats) {
            const int row = SOURCE_FOLD > 1 ? c / run : 0;
#pragma unroll
            for (int j = 0; j < INPUTS; j++) {
#pragma unroll
                for (int i = 0; i < INPUTS; i++)
                    m[j][i] = load_square(images + i * SOURCE_FOLD * line + j * run, line - run, run,
                                          c, row);
                inputs_to_values(m[j], g->phase.s0);
            }
        } else {
            copy_part(part, INPUTS, SOURCE_FOLD, images - c, line, g->channels, begin, end, c);
#pragma unroll
            for (int j = 0; j < INPUTS; j++) {
#pragma unroll
                for (int i = 0; i < INPUTS; i++) m[j][i] = VLOAD(i * INPUTS + j, part);
                inputs_to_values(m[j], g->phase.s0);
            }
        }
#pragma unroll
        for (int i = 0; i < POINTS; i++) {
#pragma unroll
            for (int j = 0; j < INPUTS; j++) d[j] = m[j][i];
            inputs_to_values(d, g->phase.s1);
#pragma unroll
            for (int j = 0; j < POINTS; j++)
                VSTORE_LOCAL(d[j], 0, to + (i * POINTS + j) * stride);
        }
    }
}
