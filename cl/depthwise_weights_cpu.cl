/*
 * Depthwise convolution on CPU devices, backward to the weights: dw (KH, KW, 1, channels) from x
 * (N, H, W, channels) and dy (N, OH, OW, channels). A work-group (one work-item) takes `block`
 * channels and one of `splits` shares of dy's rows, and writes its own partial dw; sum_splits.cl
 * adds them. Vectors run along channels; four sums at once hide the latency of adding. Pairs are
 * (vertical, horizontal).
 */

/* total[c ..] += sum over `count` pixels of x * dy, for one vector type. */
#define SUM_PIXELS(VECTOR, LOAD, STORE)                                                            \
    {                                                                                              \
        VECTOR sum[4] = {(VECTOR)(0.0f), (VECTOR)(0.0f), (VECTOR)(0.0f), (VECTOR)(0.0f)};          \
        __global const float *a = x_row + c, *b = dy_row + c;                                      \
        int j = 0;                                                                                 \
        for (; j + 4 <= count; j += 4, a += 4 * x_step, b += 4 * channels) {                       \
            sum[0] = fma(LOAD(a), LOAD(b), sum[0]);                                                \
            sum[1] = fma(LOAD(a + x_step), LOAD(b + channels), sum[1]);                            \
            sum[2] = fma(LOAD(a + 2 * x_step), LOAD(b + 2 * channels), sum[2]);                    \
            sum[3] = fma(LOAD(a + 3 * x_step), LOAD(b + 3 * channels), sum[3]);                    \
        }                                                                                          \
        for (; j < count; j++, a += x_step, b += channels) sum[0] = fma(LOAD(a), LOAD(b), sum[0]); \
        STORE(LOAD(total + c) + ((sum[0] + sum[1]) + (sum[2] + sum[3])), total + c);               \
    }
#define LOAD_1(p) (*(p))
#define STORE_1(v, p) *(p) = (v)
#define LOAD_16(p) vload16(0, p)
#define STORE_16(v, p) vstore16(v, 0, p)

/* One row of dy and the row of x that one tap row met: adds to that row's taps. */
static void add_row(__local float *totals, __global const float *x_line,
                    __global const float *dy_line, int channels, int block, int width, int outputs,
                    int kernel_width, int stride, int padding, int dilation)
{
    const int x_step = stride * channels;
    for (int tap = 0; tap < kernel_width; tap++) {
        const int start = tap * dilation - padding; /* where output 0 looks */
        const int first = start < 0 ? (stride - 1 - start) / stride : 0;
        const int count = min((width - start + stride - 1) / stride, outputs) - first;
        if (count <= 0) continue;
        __global const float *x_row = x_line + (long)(start + first * stride) * channels;
        __global const float *dy_row = dy_line + (long)first * channels;
        __local float *total = totals + tap * block;
        int c = 0;
        for (; c + 16 <= block; c += 16) SUM_PIXELS(float16, LOAD_16, STORE_16)
        for (; c < block; c++) SUM_PIXELS(float, LOAD_1, STORE_1)
    }
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
depthwise_weights(__global const float *x, ulong x_offset, __global const float *dy,
                  ulong dy_offset, int total_lines, int splits, int channels, int block_channels,
                  int2 source, int2 outputs, int2 kernel_size, int2 stride, int2 padding,
                  int2 dilation, __local float *totals, __global float *parts, ulong parts_offset,
                  ulong columns)
{
    const int blocks = (channels + block_channels - 1) / block_channels;
    const int split = (int)(get_group_id(0) / blocks);
    const int c0 = (int)(get_group_id(0) % blocks) * block_channels;
    const int block = min(block_channels, channels - c0);
    const int taps = kernel_size.s0 * kernel_size.s1;
    const int end = (int)((long)total_lines * (split + 1) / splits);
    for (int i = 0; i < taps * block; i++) totals[i] = 0.0f;
    x += x_offset + c0;
    dy += dy_offset + c0;

    for (int line = (int)((long)total_lines * split / splits); line < end; line++) {
        const int image = line / outputs.s0, top = line % outputs.s0 * stride.s0 - padding.s0;
        for (int tap = 0; tap < kernel_size.s0; tap++) {
            const int at = top + tap * dilation.s0;
            if (at < 0 || at >= source.s0) continue;
            add_row(totals + tap * kernel_size.s1 * block,
                    x + ((long)image * source.s0 + at) * source.s1 * channels,
                    dy + (long)line * outputs.s1 * channels, channels, block, source.s1, outputs.s1,
                    kernel_size.s1, stride.s1, padding.s1, dilation.s1);
        }
    }

    parts += parts_offset + (ulong)split * taps * columns + c0;
    for (int tap = 0; tap < taps; tap++)
        for (int c = 0; c < block; c++) parts[tap * columns + c] = totals[tap * block + c];
}
