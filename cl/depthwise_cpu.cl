/*
 * Depthwise convolution (one input and one output channel per group) on CPU devices, forward and
 * backward to the data. There is nothing to reuse between channels, so vectors run along them and
 * memory is the limit: no copies, no tiles. Neighbours in a row of the result are computed together
 * wherever they meet all taps. A work-group (one work-item) computes `lines` rows of the result,
 * numbered through the batch.
 *
 * source (N, H, W, channels), w (KH, KW, 1, channels) -> result (N, RH, RW, channels); pairs are
 * (vertical, horizontal).
 */
#include "entry.h"
#include "prefetch_cpu.h"

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row)*y_columns + (col)] = (v)
#define STORE_16(v, row, col) vstore16((v), 0, y + y_offset + (row)*y_columns + (col))
#endif

/* The taps that meet the source from one position of the result, along one axis: tap + i * tap_step
 * at source position at + i * at_step, i < count. */
typedef struct taps {
    int count, tap, tap_step, at, at_step;
} taps;

/* Forward: position p meets p * stride - padding + tap * dilation. */
static taps forward_taps(int position, int source, int kernel_size, int stride, int padding,
                         int dilation)
{
    const int start = position * stride - padding;
    taps t = {0, start < 0 ? (dilation - 1 - start) / dilation : 0, 1, 0, dilation};
    t.at = start + t.tap * dilation;
    t.count = max(min(kernel_size - t.tap, (source - t.at + dilation - 1) / dilation), 0);
    return t;
}

/*
 * Backward: position p meets (p + padding - tap * dilation) / stride where that divides: every
 * gap-th tap, gap = stride / gcd(stride, dilation), at ever lower positions.
 */
static taps backward_taps(int position, int source, int kernel_size, int stride, int padding,
                          int dilation, int gap)
{
    taps t = {0, 0, gap, 0, -(gap * dilation / stride)};
    while (t.tap < gap && (position + padding - t.tap * dilation) % stride != 0) t.tap++;
    if (t.tap == gap) return t;
    t.at = (position + padding - t.tap * dilation) / stride;
    const int beyond = t.at < source ? 0 : (t.at - source) / -t.at_step + 1;
    t.tap += beyond * gap;
    t.at += beyond * t.at_step;
    if (t.at >= 0 && t.tap < kernel_size)
        t.count = min((kernel_size - 1 - t.tap) / gap, t.at / -t.at_step) + 1;
    return t;
}

/* `sum` (of a vector type) over all taps, for the channels from c; LOAD loads such a vector. */
#define SUM_TAPS(sum, LOAD)                                                                        \
    for (int i = 0; i < v.count; i++) {                                                            \
        const long line = image + v.at + i * v.at_step;                                            \
        __global const float *x = from + (line * source.s1 + h.at) * channels + c;                 \
        __global const float *f =                                                                  \
            w + ((v.tap + i * v.tap_step) * kernel_size.s1 + h.tap) * channels + c;                \
        for (int j = 0; j < h.count; j++) {                                                        \
            sum = fma(LOAD(x), LOAD(f), sum);                                                      \
            x += h.at_step * channels;                                                             \
            f += h.tap_step * channels;                                                            \
        }                                                                                          \
    }
#define LOAD_1(p) (*(p))
#define LOAD_16(p) vload16(0, p)

/* The same for COLUMNS neighbours of the result that meet all columns of the kernel, the first one
 * from position `at` of the source on: a tap is loaded once for all, and their sums do not wait for
 * each other. */
#define COLUMNS 4
#define SUM_COLUMNS(F, LOAD, STORE)                                                                \
    {                                                                                              \
        F sum[COLUMNS] = {(F)(0.0f), (F)(0.0f), (F)(0.0f), (F)(0.0f)};                             \
        for (int i = 0; i < v.count; i++) {                                                        \
            const long line = image + v.at + i * v.at_step;                                        \
            __global const float *x = from + (line * source.s1 + at) * channels + c;               \
            __global const float *f =                                                              \
                w + (v.tap + i * v.tap_step) * kernel_size.s1 * channels + c;                      \
            for (int j = 0; j < kernel_size.s1; j++, x += tap_step, f += channels) {               \
                const F tap = LOAD(f);                                                             \
                sum[0] = fma(LOAD(x), tap, sum[0]);                                                \
                sum[1] = fma(LOAD(x + column_step), tap, sum[1]);                                  \
                sum[2] = fma(LOAD(x + 2 * column_step), tap, sum[2]);                              \
                sum[3] = fma(LOAD(x + 3 * column_step), tap, sum[3]);                              \
            }                                                                                      \
        }                                                                                          \
        STORE(sum[0], row, (ulong)c);                                                              \
        STORE(sum[1], row + 1, (ulong)c);                                                          \
        STORE(sum[2], row + 2, (ulong)c);                                                          \
        STORE(sum[3], row + 3, (ulong)c);                                                          \
    }

/* Asks for 16 channels of the pixels that COLUMNS neighbours in the next line of the result will
 * meet first: a core would wait for them longer than it computes. */
static void fetch_below(__global const float *from, int rows, long row, int columns, int channels)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
#pragma unroll
            for (int k = 0; k < COLUMNS; k++)
                PREFETCH(from + i * row + (long)(k * columns + j) * channels);
}

ENTRY void depthwise(WHERE_PARAMS __global const float *from, ulong from_offset,
                     __global const float *w, ulong w_offset, int backward, int total_lines,
                     int lines, int channels, int2 source, int2 result, int2 kernel_size,
                     int2 stride, int2 padding, int2 dilation, int2 gap EPILOGUE_PARAMS)
{
    from += from_offset;
    w += w_offset;
    const int first = WHERE_X * lines;

    /* Columns that meet all taps: column q at origin + q * stride, a tap further by `reach` at
     * most. A strided way back has none: there neighbours meet different taps. */
    const int step = backward ? -dilation.s1 : dilation.s1;
    const int origin = backward ? padding.s1 : -padding.s1, reach = (kernel_size.s1 - 1) * step;
    const int before = -(origin + min(reach, 0)), room = source.s1 - 1 - origin - max(reach, 0);
    const int inner = before > 0 ? (before + stride.s1 - 1) / stride.s1 : 0;
    const int behind = room < 0 || (backward && stride.s1 > 1) ? 0 : room / stride.s1 + 1;
    const int inner_end = min(behind, result.s1);
    const long tap_step = (long)step * channels, column_step = (long)stride.s1 * channels;
    const long source_row = (long)source.s1 * channels,
               last = total_lines / result.s0 * source.s0 - 1;

    for (int line_out = first; line_out < min(first + lines, total_lines); line_out++) {
        const int r = line_out % result.s0;
        const long image = (long)(line_out / result.s0) * source.s0;
        const taps v = backward ? backward_taps(r, source.s0, kernel_size.s0, stride.s0, padding.s0,
                                                dilation.s0, gap.s0)
                                : forward_taps(r, source.s0, kernel_size.s0, stride.s0, padding.s0,
                                               dilation.s0);
        const long below = image + v.at + max((v.count - 1) * v.at_step, 0) + 1;
        const int new_rows = (int)clamp(last + 1 - below, 0L, (long)stride.s0);
        int q = 0;
        while (q < result.s1) {
            const ulong row = (ulong)line_out * result.s1 + q;
            int c = 0;
            if (q >= inner && q + COLUMNS <= inner_end) {
                const int at = origin + q * stride.s1;
                for (; c + 16 <= channels; c += 16) {
                    fetch_below(from + below * source_row + (long)at * channels + c, new_rows,
                                source_row, stride.s1, channels);
                    SUM_COLUMNS(float16, LOAD_16, STORE_16)
                }
                for (; c < channels; c++) SUM_COLUMNS(float, LOAD_1, STORE_1)
                q += COLUMNS;
                continue;
            }
            const taps h = backward ? backward_taps(q, source.s1, kernel_size.s1, stride.s1,
                                                    padding.s1, dilation.s1, gap.s1)
                                    : forward_taps(q, source.s1, kernel_size.s1, stride.s1,
                                                   padding.s1, dilation.s1);
            for (; c + 16 <= channels; c += 16) {
                float16 sum = (float16)(0.0f);
                SUM_TAPS(sum, LOAD_16)
                STORE_16(sum, row, (ulong)c);
            }
            for (; c < channels; c++) {
                float sum = 0.0f;
                SUM_TAPS(sum, LOAD_1)
                STORE_1(sum, row, (ulong)c);
            }
            q++;
        }
    }
}
