/*
 * Winograd's convolution: F(4x4, 3x3), 4 x 4 outputs of a 3 x 3 kernel, with 36 multiplications
 * instead of 144, or F(2x2, 5x5), with 36 instead of 100; both from the 6 x 6 inputs that they look
 * at. Along one axis, six inputs d, the weights g and the outputs y are coefficients of
 * polynomials, and a product of polynomials is a product of their values at points:
 * y = A^T (B^T d . G g). Two axes do so one after the other. The points alone decide B, so that the
 * kernel's size changes only how many coefficients G and A have.
 *
 * The points are 0, +-P, +-Q and infinity. With the usual 1 and 2, values of the larger powers
 * swamp the smaller ones: simulated for 3 x 3 with 8 to 256 channels, the root mean square error is
 * 3.5 to 6 times that of adding up all products one after the other. With 5/8 and 3/2 it is 1.7 to
 * 2.8 times (5 x 5 with 8 and 128 channels: 2.2 and 1.2, instead of 4.1 and 2.7); and their powers
 * are exact in f32, so that the matrices themselves lose nothing.
 */
#ifndef KERNEL
#define KERNEL 3 // weights along an axis: 3 or 5
#endif
#define TAPS (KERNEL * KERNEL)
#define POINTS 6                      // along an axis
#define VALUES (POINTS * POINTS)      // of a tile
#define OUTPUTS (POINTS + 1 - KERNEL) // along an axis of a tile
#define P 0.625f
#define Q 1.5f
#define PP (P * P)
#define QQ (Q * Q)

/* The transforms are calls: inlined, their constants would take registers from the tile. */
#define TRANSFORM __attribute__((noinline)) static void

/* B^T: inputs become values. */
static void inputs_to_values(VECTOR d[POINTS])
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
static void values_to_outputs(VECTOR v[POINTS])
{
    values_to_sums(v, OUTPUTS, 1, 1, 1);
}

/* A, backward: gradients of the outputs become those of the values. */
static void outputs_to_values(VECTOR v[POINTS])
{
    coefficients_to_values(v, OUTPUTS, 1, 1, 1);
}

/* Where the tiles of a batch of images (N, size, channels) are: `grid` of them in each. */
typedef struct tiling {
    int2 grid, size, origin; // origin: position of tile 0's first pixel; negative in the padding
    int channels;
} tiling;

/* Position of tile q's first pixel; its image is q / (grid.s0 * grid.s1). */
static int2 tile_position(const tiling *g, int q)
{
    const int at = q % (g->grid.s0 * g->grid.s1);
    return (int2)(at / g->grid.s1, at % g->grid.s1) * OUTPUTS + g->origin;
}

/* First element of tile q: outside of the images if its first pixel is. */
static long tile_offset(const tiling *g, int q)
{
    const int2 at = tile_position(g, q);
    const long image = q / (g->grid.s0 * g->grid.s1);
    return ((image * g->size.s0 + at.s0) * g->size.s1 + at.s1) * g->channels;
}

/* The pixels that tiles q .. end - 1 look at and earlier ones did not, give or take a few. */
static ahead tiles_ahead(__global const float *images, const tiling *g, long q, long end,
                         int channel, int count)
{
    const long share = (long)g->grid.s0 * g->grid.s1, area = (long)g->size.s0 * g->size.s1;
    const long lead = (POINTS - 1) * g->size.s1;
    const long from = min(q * area / share + lead, end * area / share);
    return look_ahead(images + from * g->channels + channel, g->channels,
                      (int)(end * area / share - from), count);
}

/* Up to WIDTH adjacent floats, zeros behind. */
static VECTOR load_part(__global const float *from, int count, __local float *part)
{
    VSTORE_LOCAL((VECTOR)(0.0f), 0, part);
    copy_row(part, from, count);
    return VLOAD(0, part);
}

/* Column j of a tile's inputs, all of which exist; `from` is the tile's first pixel. */
static void load_column(VECTOR d[POINTS], __global const float *from, long line)
{
#pragma unroll
    for (int i = 0; i < POINTS; i++) d[i] = VLOAD(0, from + i * line);
}

/* The same where only rows begin .. end - 1 and `count` channels exist. */
static void load_column_part(VECTOR d[POINTS], __global const float *from, long line, int begin,
                             int end, int count, __local float *part)
{
#pragma unroll
    for (int i = 0; i < POINTS; i++) d[i] = (VECTOR)(0.0f);
#pragma clang loop unroll(disable)
    for (int i = begin; i < end; i++)
        d[i] = count >= WIDTH ? VLOAD(0, from + i * line) : load_part(from + i * line, count, part);
}

/*
 * B^T d B of channels `channel` .. + count - 1 of tile q: value t of channel c goes to
 * to[t * stride + c], whole vectors of channels. `part`: WIDTH floats.
 */
TRANSFORM transform_inputs(__local float *to, int stride, __global const float *images,
                           const tiling *g, int q, int channel, int count, __local float *part)
{
    const int2 at = tile_position(g, q), begin = clamp(-at, 0, POINTS);
    const int2 end = clamp(g->size - at, 0, POINTS);
    const int inside = all(begin == (int2)(0)) && all(end == (int2)(POINTS));
    const long line = (long)g->size.s1 * g->channels;
    images += tile_offset(g, q) + channel;
    for (int c = 0; c < count; c += WIDTH, images += WIDTH) {
        VECTOR m[POINTS][POINTS], d[POINTS];
        /* where the next vectors will go: beyond the first-level cache, and far apart */
        for (int t = 0; t < VALUES; t++) PREFETCH_LOCAL(to + t * stride + c + WIDTH);
        if (inside && c + WIDTH <= count) {
#pragma unroll
            for (int j = 0; j < POINTS; j++) {
                load_column(m[j], images + j * g->channels, line);
                inputs_to_values(m[j]);
            }
        } else {
            for (int j = 0; j < POINTS; j++) {
                const int exists = j >= begin.s1 && j < end.s1;
                load_column_part(m[j], images + j * g->channels, line, begin.s0,
                                 exists ? end.s0 : begin.s0, count - c, part);
                inputs_to_values(m[j]);
            }
        }
#pragma unroll
        for (int i = 0; i < POINTS; i++) {
#pragma unroll
            for (int j = 0; j < POINTS; j++) d[j] = m[j][i];
            inputs_to_values(d);
#pragma unroll
            for (int j = 0; j < POINTS; j++)
                VSTORE_LOCAL(d[j], 0, to + (i * POINTS + j) * stride + c);
        }
    }
}
