/*
 * Depthwise convolution on CPU devices, backward to the weights: dw (KH, KW, 1, channels) from x
 * (N, H, W, channels) and dy (N, OH, OW, channels). A work-group (one work-item) takes `block`
 * channels and one of `splits` shares of dy's rows, and writes its own partial dw; sum_splits.cl
 * adds them. Vectors run along channels. A row of dy is walked over once for a square of SIDE x
 * SIDE taps, whose sums stay in registers. Pairs are (vertical, horizontal).
 */
#include "entry.h"
#include "prefetch_cpu.h"

#define SIDE 3

/* How dy's rows meet x. */
typedef struct geometry {
    int2 source, outputs, kernel_size, stride, padding, dilation;
    int channels;
} geometry;

/* What a square of taps reads for one row of dy. */
typedef struct square {
    __global const float *x[SIDE]; // per row of taps: where output 0 meets tap column 0
    __global const float *dy;
    int used[SIDE];             // whether a row of taps is in the kernel and meets the source
    int first[SIDE], end[SIDE]; // outputs that meet the source, per column of taps
    int outputs, kernel_width;
    long x_step, dy_step, tap_step; // floats to the next output's and the next tap's
    __global const float *below;    // what the next row of dy meets first: new_rows of new_columns
    int new_rows, new_columns;
    long row; // floats from one row of x to the next
} square;

/* total[c ..] += the sums over a row of dy, for one vector type; unused rows are left out. */
#define SUM_SQUARE(VECTOR, LOAD, STORE)                                                            \
    {                                                                                              \
        VECTOR sum[SIDE][SIDE];                                                                    \
        _Pragma("unroll") for (int k = 0; k < SIDE * SIDE; k++) sum[k / SIDE][k % SIDE] =          \
            (VECTOR)(0.0f);                                                                        \
        for (int j = 0; j < s->outputs; j++) {                                                     \
            const VECTOR d = LOAD(s->dy + j * s->dy_step + c);                                     \
            fetch_below(s, j, c);                                                                  \
            _Pragma("unroll") for (int t = 0; t < SIDE;                                            \
                                   t++) if (j >= s->first[t] && j < s->end[t])                     \
            {                                                                                      \
                const long at = j * s->x_step + t * s->tap_step + c;                               \
                _Pragma("unroll") for (int i = 0; i < SIDE; i++) sum[i][t] =                       \
                    fma(LOAD(s->x[i] + at), d, sum[i][t]);                                         \
            }                                                                                      \
        }                                                                                          \
        _Pragma("unroll") for (int i = 0; i < SIDE; i++)                                           \
            _Pragma("unroll") for (int t = 0; t < SIDE; t++) if (s->used[i] && s->end[t] > 0)      \
        {                                                                                          \
            __local float *to = total + (i * s->kernel_width + t) * block + c;                     \
            STORE(LOAD(to) + sum[i][t], to);                                                       \
        }                                                                                          \
    }
#define LOAD_1(p) (*(p))
#define STORE_1(v, p) *(p) = (v)
#define LOAD_16(p) vload16(0, p)
#define STORE_16(v, p) vstore16(v, 0, p)

/* Asks for what the next row of dy needs first: waiting would take longer than computing. */
static void fetch_below(const square *s, int j, int c)
{
    if (s->new_rows) PREFETCH(s->dy + (s->outputs + j) * s->dy_step + c);
    for (int i = 0; i < s->new_rows; i++)
        for (int k = 0; k < s->new_columns; k++)
            PREFETCH(s->below + i * s->row + j * s->x_step + k * s->dy_step + c);
}

static void add_square(__local float *total, const square *s, int block)
{
    int c = 0;
    for (; c + 16 <= block; c += 16) SUM_SQUARE(float16, LOAD_16, STORE_16)
    for (; c < block; c++) SUM_SQUARE(float, LOAD_1, STORE_1)
}

/* The taps from `tap` on, for row `line` of dy; output 0 meets tap 0 in row `top` of its image. */
static square square_of(const geometry *g, __global const float *image, __global const float *dy,
                        int line, int top, int2 tap)
{
    const int left = tap.s1 * g->dilation.s1 - g->padding.s1;
    square s = {.outputs = g->outputs.s1, .kernel_width = g->kernel_size.s1};
    s.row = (long)g->source.s1 * g->channels;
    s.dy = dy + (long)line * g->outputs.s1 * g->channels;
    s.x_step = (long)g->stride.s1 * g->channels;
    s.dy_step = g->channels;
    s.tap_step = (long)g->dilation.s1 * g->channels;
    for (int i = 0; i < SIDE; i++) {
        const int y = top + (tap.s0 + i) * g->dilation.s0, at = left + i * g->dilation.s1;
        s.used[i] = tap.s0 + i < g->kernel_size.s0 && y >= 0 && y < g->source.s0;
        s.x[i] = image + clamp(y, 0, g->source.s0 - 1) * s.row + (long)left * g->channels;
        s.first[i] = at < 0 ? (g->stride.s1 - 1 - at) / g->stride.s1 : 0;
        const int behind = (g->source.s1 - at + g->stride.s1 - 1) / g->stride.s1;
        s.end[i] = tap.s1 + i < g->kernel_size.s1 ? min(behind, s.outputs) : 0;
    }
    return s;
}

/* A row of dy; `rows`: of x from its image on; `last`: no other follows. */
static void add_line(__local float *totals, const geometry *g, __global const float *image,
                     __global const float *dy, int line, int rows, int last, int block)
{
    const int top = line % g->outputs.s0 * g->stride.s0 - g->padding.s0;
    const int below = top + (g->kernel_size.s0 - 1) * g->dilation.s0 + 1;
    for (int i = 0; i < g->kernel_size.s0; i += SIDE)
        for (int j = 0; j < g->kernel_size.s1; j += SIDE) {
            square s = square_of(g, image, dy, line, top, (int2)(i, j));
            if (i + j == 0 && !last) {
                s.below = image + max(below, 0) * s.row;
                s.new_rows = clamp(rows - max(below, 0), 0, g->stride.s0);
                s.new_columns = g->stride.s1;
            }
            add_square(totals + (i * g->kernel_size.s1 + j) * block, &s, block);
        }
}

ENTRY void depthwise_weights(WHERE_PARAMS __global const float *x, ulong x_offset,
                             __global const float *dy, ulong dy_offset, int total_lines, int splits,
                             int channels, int block_channels, int2 source, int2 outputs,
                             int2 kernel_size, int2 stride, int2 padding, int2 dilation,
                             __local float *totals, __global float *parts, ulong parts_offset,
                             ulong columns)
{
    const int blocks = (channels + block_channels - 1) / block_channels;
    const int split = (int)(WHERE_X / blocks);
    const int c0 = (int)(WHERE_X % blocks) * block_channels;
    const int block = min(block_channels, channels - c0);
    const int taps = kernel_size.s0 * kernel_size.s1;
    const int end = (int)((long)total_lines * (split + 1) / splits);
    for (int i = 0; i < taps * block; i++) totals[i] = 0.0f;
    x += x_offset + c0;
    dy += dy_offset + c0;

    const geometry g = {source, outputs, kernel_size, stride, padding, dilation, channels};
    const int images = total_lines / outputs.s0;
    for (int line = (int)((long)total_lines * split / splits); line < end; line++) {
        const int image = line / outputs.s0;
        add_line(totals, &g, x + (long)image * source.s0 * source.s1 * channels, dy, line,
                 (images - image) * source.s0, line + 1 == end, block);
    }

    parts += parts_offset + (ulong)split * taps * columns + c0;
    for (int tap = 0; tap < taps; tap++)
        for (int c = 0; c < block; c++) parts[tap * columns + c] = totals[tap * block + c];
}
