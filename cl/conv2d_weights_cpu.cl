/*
 * Backward convolution to the weights on CPU devices: dw (KH, KW, IC / groups, OC) from x and dy,
 * through the register tile of tile_cpu.h. A row of the tile is one (tap, input channel), a column
 * an output channel, and the reduction runs over the pixels of dy.
 *
 * A work-group (one work-item) owns block_m input channels, with all taps, and block_n output
 * channels of one group. It walks over its share of the pixels in chunks of `block` (rows,
 * columns), small enough that the window of x and the chunk of dy stay in its cache while all its
 * tiles use them. The share is one of `splits`: each writes its own partial dw, and sum_splits.cl
 * adds them.
 */
#include "tile_cpu.h"
#include "window_cpu.h"

/* dy's rows q0.., columns j0.. as panels: k counts the pixels. */
static void pack_gradient(__local float *to, __global const float *dy, int2 outputs, int columns,
                          int q0, int rows, int j0, int across, int n0, int count)
{
    for (int i = 0; i < rows; i++) {
        const ulong pixel = (ulong)(q0 + i) * outputs.s1 + j0;
        pack_panels(to, rows * across, i * across, dy + pixel * columns + n0, columns, across,
                    count);
    }
}

/* Where in the window each (tap, channel) is; whole tiles, the last one repeated. */
static void tap_offsets(__local int *offset, const window_geometry *g, int width, int count)
{
    int at = 0;
    for (int i = 0; i < g->taps.s0; i++)
        for (int j = 0; j < g->taps.s1; j++)
            for (int k = 0; k < count; k++)
                offset[at++] = (i * g->spread.s0 * width + j * g->spread.s1) * count + k;
    for (; at % TILE_ROWS; at++) offset[at] = offset[at - 1];
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
conv2d_weights(__global const float *x, ulong x_offset, __global const float *dy, ulong dy_offset,
               /* window_geometry */
               int2 source, int2 outputs, int2 origin, int2 stride, int2 taps, int2 spread,
               int2 skip, int channels,
               /* groups: input and output channels of one */
               int batch, int groups, int group_m, int group_n, int merged,
               /* blocks */
               int2 block, int block_m, int block_n, int splits, __local float *window,
               __local float *panels, __local float *c, __local int *offset,
               __local int *base EPILOGUE_PARAMS)
{
    const window_geometry g = {source, outputs, origin, stride, taps, spread, skip, channels};
    const int blocks_n = (group_n + block_n - 1) / block_n;
    const int blocks_m = (group_m + block_m - 1) / block_m;
    int id = (int)get_group_id(0);
    const int n0 = id % blocks_n * block_n;
    id /= blocks_n;
    const int m0 = id % blocks_m * block_m;
    id /= blocks_m;
    const int group = id % groups, split = id / groups;
    const int count = min(block_m, group_m - m0), columns = min(block_n, group_n - n0);
    const int weights = taps.s0 * taps.s1 * count;
    const int tiles = (weights + TILE_ROWS - 1) / TILE_ROWS;
    const int width = window_extent(&g, (int2)(1, min(block.s1, outputs.s1))).s1;

    const int blocks_j = (outputs.s1 + block.s1 - 1) / block.s1;
    const long chunks = (long)((batch * outputs.s0 + block.s0 - 1) / block.s0) * blocks_j;
    const long first = chunks * split / splits, end = chunks * (split + 1) / splits;
    tap_offsets(offset, &g, width, count);
    for (long chunk = first; chunk < end; chunk++) {
        const int q0 = (int)(chunk / blocks_j) * block.s0, j0 = (int)(chunk % blocks_j) * block.s1;
        const int rows = min(block.s0, batch * outputs.s0 - q0);
        const int across = min(block.s1, outputs.s1 - j0);
        pack_window(window, x + x_offset, &g, q0, rows, j0, width, group * group_m + m0, count);
        pack_gradient(panels, dy + dy_offset, outputs, groups * group_n, q0, rows, j0, across,
                      group * group_n + n0, columns);
        for (int i = 0; i < rows; i++)
            base[i] = (window_row(&g, q0 + i) - window_row(&g, q0)) * width * count;
        for (int p = 0; p * PANEL < columns; p++)
            for (int i = 0; i < tiles; i++)
                tile_multiply(c + (p * tiles + i) * TILE_ROWS * PANEL, chunk > first, window,
                              offset + i * TILE_ROWS, base, rows, across, stride.s1 * count,
                              panels + p * rows * across * PANEL);
    }

    const int own_m = group_m / merged, own_n = min(group_n / merged, columns);
    for (int i = 0; i < weights; i++) {
        const int tap = i / count + split * taps.s0 * taps.s1, m = m0 + i % count;
        const int column = m / own_m * (merged > 1 ? own_n : 0);
        STORE_ROW(c + i * PANEL + column, tiles * TILE_ROWS * PANEL, own_n,
                  (ulong)tap * own_m + m % own_m, (ulong)(group * group_n + n0 + column));
    }
}
