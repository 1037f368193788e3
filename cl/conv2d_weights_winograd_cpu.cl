/*
 * Winograd's convolution (winograd_cpu.h) backward to the weights on CPU devices, with stride
 * 1 of squares. Forward, y = A^T (B^T x B . G w G^T) A for each tile is linear in w, so that dw = G^T
 * (sum over the tiles of B^T x B . A dy A^T) G: products of values again, and the transform to the
 * weights comes once, behind the sum.
 *
 * A work-group (one work-item) owns block_m input and block_n output channels and walks over its
 * share of the batch's tiles in chunks of block_q. A chunk of x and dy is transformed into local
 * memory; for each of the 36 points a product of matrices follows, input channels x tiles times
 * tiles x output channels, through the register tile of tile_cpu.h, and is added to what local
 * memory holds. The share is one of `splits`: each writes its own partial dw, and sum_splits.cl
 * adds them.
 */
#include "tile_cpu.h"
#include "winograd_cpu.h"

/*
 * A dy A^T of tile q and `count` channels from `channel` on: value t's are at to + t * stride, in
 * panels that are panel_floats apart, zeros behind the last channel.
 */
TRANSFORM transform_gradients(__local float *to, int stride, int panel_floats,
                              __global const float *dy, const tiling *g, int q, int channel,
                              int count, __local float *part)
{
    const int2 end = min(g->size - tile_position(g, q), (int2)(OUTPUTS));
    const int inside = all(end == (int2)(OUTPUTS));
    const long line = (long)g->size.s1 * g->channels;
    dy += tile_offset(g, q) + channel;
    for (int c = 0; c < count; c += PANEL, to += panel_floats)
        for (int v = 0; v < VECTORS; v++, dy += WIDTH) {
            const int at = channel + c + v * WIDTH;
            VECTOR m[OUTPUTS][POINTS], d[POINTS];
            for (int t = 0; t < AREA(POINTS); t++) PREFETCH_LOCAL(to + t * stride + (v + 1) * WIDTH);
            if (inside && at + WIDTH <= g->channels) {
#pragma unroll
                for (int j = 0; j < OUTPUTS; j++)
#pragma unroll
                    for (int i = 0; i < OUTPUTS; i++)
                        m[j][i] = VLOAD(0, dy + i * line + j * g->channels);
            } else {
                copy_part(part, OUTPUTS, 1, dy - at, line, g->channels, (int2)(0), end, at);
#pragma unroll
                for (int j = 0; j < OUTPUTS; j++)
#pragma unroll
                    for (int i = 0; i < OUTPUTS; i++) m[j][i] = VLOAD(i * OUTPUTS + j, part);
            }
#pragma unroll
            for (int j = 0; j < OUTPUTS; j++) outputs_to_values(m[j]);
#pragma unroll
            for (int i = 0; i < POINTS; i++) {
#pragma unroll
                for (int j = 0; j < OUTPUTS; j++) d[j] = m[j][i];
                outputs_to_values(d);
#pragma unroll
                for (int j = 0; j < POINTS; j++)
                    VSTORE_LOCAL(d[j], v, to + (i * POINTS + j) * stride);
            }
        }
}

/* G^T m G of one input channel: the row of value t is at from + t * stride; `to` is (TAPS, PANEL).
 */
TRANSFORM transform_weights(__local float *to, __local const float *from, int stride)
{
    for (int v = 0; v < VECTORS; v++) {
        VECTOR m[POINTS][POINTS], d[POINTS];
#pragma unroll
        for (int j = 0; j < POINTS; j++) {
#pragma unroll
            for (int i = 0; i < POINTS; i++) m[j][i] = VLOAD(v, from + (i * POINTS + j) * stride);
            values_to_weights(m[j]);
        }
#pragma unroll
        for (int i = 0; i < KERNEL; i++) {
#pragma unroll
            for (int j = 0; j < POINTS; j++) d[j] = m[j][i];
            values_to_weights(d);
#pragma unroll
            for (int j = 0; j < KERNEL; j++) VSTORE_LOCAL(d[j], v, to + (i * KERNEL + j) * PANEL);
        }
    }
}

ENTRY void conv2d_weights_winograd(
    WHERE_PARAMS __global const float *x, ulong x_offset, __global const float *dy, ulong dy_offset,
    int2 source, int2 origin, int2 grid, int2 outputs, int tiles, int channels, int depth,
    /* blocks, and floats from one point's part of a local array to the next's */
    int block_q, int block_m, int block_n, int splits, int value_stride, int gradient_stride,
    int product_stride, __local float *values, __local float *gradients, __local float *products,
    __local float *staging EPILOGUE_PARAMS)
{
    const int2 none = (int2)(0);
    const int pixel = channels / AREA(FOLD), step = INPUT_STEP * FOLD;
    const long floats = (long)tiles / (grid.s0 * grid.s1) * source.s0 * source.s1 * pixel;
    const tiling g = {grid, source, origin, none, step, INPUTS * FOLD, pixel, floats};
    const tiling results = {grid, outputs, none, none, OUTPUTS, OUTPUTS, depth, 0};
    const int blocks_n = (depth + block_n - 1) / block_n;
    const int blocks_m = (channels + block_m - 1) / block_m;
    const int id = (int)WHERE_X, split = id / blocks_n / blocks_m;
    const int n0 = id % blocks_n * block_n, m0 = id / blocks_n % blocks_m * block_m;
    const int count = min(block_m, channels - m0), columns = min(block_n, depth - n0);
    const int line = (count + WIDTH - 1) / WIDTH * WIDTH;
    const int rows = (count + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    const int calls = AREA(POINTS) * (rows / TILE_ROWS) * ((columns + PANEL - 1) / PANEL);
    const long chunks = ((long)tiles + block_q - 1) / block_q;
    const long first = chunks * split / splits, end = chunks * (split + 1) / splits;
    x += x_offset;
    dy += dy_offset;

    for (long chunk = first; chunk < end; chunk++) {
        const int q0 = (int)chunk * block_q, count_q = min(block_q, tiles - q0);
        for (int i = 0; i < count_q; i++) {
            transform_inputs(values + i * line, value_stride, x, &g, q0 + i, m0, count, staging);
            transform_gradients(gradients + i * PANEL, gradient_stride, block_q * PANEL, dy,
                                &results, q0 + i, n0, columns, staging);
        }
        const long next = q0 + count_q, next_end = min(next + block_q, (long)tiles);
        tiles_ahead next_x = look_at_tiles(x, &g, next, next_end, m0 % pixel,
                                           min(count, pixel));
        tiles_ahead next_dy = look_at_tiles(dy, &results, next, next_end, n0, columns);
        const int lines_x = tiles_ahead_lines(&next_x, calls);
        const int lines_dy = tiles_ahead_lines(&next_dy, calls);
        for (int t = 0; t < AREA(POINTS); t++)
            for (int n = 0; n < columns; n += PANEL)
                for (int i = 0; i < rows; i += TILE_ROWS) {
                    fetch_tiles(&next_x, lines_x);
                    fetch_tiles(&next_dy, lines_dy);
                    tile_multiply_packed(products + t * product_stride + n * rows + i * PANEL,
                                         chunk > first, values + t * value_stride + i, line,
                                         gradients + t * gradient_stride + n * block_q, count_q);
                }
    }

    for (int n = 0; n < columns; n += PANEL)
        for (int m = 0; m < count; m++) {
            transform_weights(staging, products + n * rows + m * PANEL, product_stride);
            const int within = (m0 + m) / pixel, channel = (m0 + m) % pixel;
            for (int i = 0; i < TAPS; i++) {
                const int v = i / KERNEL * FOLD + within / FOLD;
                const int h = i % KERNEL * FOLD + within % FOLD;
                if (v < SIDE && h < SIDE)
                    STORE_ROW(staging + i * PANEL, min(PANEL, columns - n),
                              (ulong)((split * SIDE + v) * SIDE + h) * pixel + channel,
                              (ulong)(n0 + n));
            }
        }
}
