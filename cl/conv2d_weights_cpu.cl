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

/* dy's rows q0.., columns j0.. as panels: k counts the pixels; `depth` channels in memory. */
static void pack_gradient(__local float *to, __global const float *dy, int2 outputs, int depth,
                          int q0, int rows, int j0, int across, int columns)
{
    for (int i = 0; i < rows; i++) {
        const ulong pixel = (ulong)(q0 + i) * outputs.s1 + j0;
        pack_panels(to, rows * across, i * across, dy + pixel * depth, depth, across, columns);
    }
}

ENTRY void conv2d_weights(WHERE_PARAMS __global const float *x, ulong x_offset,
                          __global const float *dy, ulong dy_offset,
                          /* window_geometry */
                          int2 source, int2 outputs, int2 origin, int2 stride, int2 taps,
                          int2 spread, int2 skip, int channels,
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
    int id = (int)WHERE_X;
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
    const int depth = groups * group_n, own_m = group_m / merged;
    const int own_n = min(group_n / merged, columns);
    x += x_offset;
    dy += dy_offset + group * group_n + n0;
    tap_offsets(offset, &g, width, count, 1);

    for (long chunk = first; chunk < end; chunk++) {
        const int q0 = (int)(chunk / blocks_j) * block.s0, j0 = (int)(chunk % blocks_j) * block.s1;
        const int rows = min(block.s0, batch * outputs.s0 - q0);
        const int across = min(block.s1, outputs.s1 - j0);
        pack_window(window, x, &g, q0, rows, j0, width, group * group_m + m0, count);
        pack_gradient(panels, dy, outputs, depth, q0, rows, j0, across, columns);
        for (int i = 0; i < rows; i++)
            base[i] = (window_row(&g, q0 + i) - window_row(&g, q0)) * width * count;

        /* the next chunk's, which continue these rows or are the rows below */
        const int next_q = min(q0 + (blocks_j == 1 ? rows : 0), batch * outputs.s0 - 1);
        const int next_j = blocks_j == 1 ? 0 : j0 + across;
        ahead next_x =
            window_ahead(x, &g, next_q, rows, next_j, width, group * group_m + m0, count);
        ahead next_dy = look_ahead(dy + ((ulong)next_q * outputs.s1 + next_j) * depth, depth,
                                   rows * across, columns);
        const int calls = tiles * ((columns + PANEL - 1) / PANEL);
        const int lines_x = ahead_lines(&next_x, calls), lines_dy = ahead_lines(&next_dy, calls);
        for (int n = 0; n < columns; n += PANEL)
            for (int i = 0; i < tiles; i++) {
                fetch_ahead(&next_x, lines_x);
                fetch_ahead(&next_dy, lines_dy);
                tile_multiply(c + (n * tiles + i * PANEL) * TILE_ROWS, chunk > first, window,
                              offset + i * TILE_ROWS, base, rows, across, stride.s1 * count,
                              panels + n * rows * across);
            }
    }

    for (int i = 0; i < weights; i++) {
        const int tap = i / count + split * taps.s0 * taps.s1, m = m0 + i % count;
        const int diagonal = merged > 1 ? m / own_m * own_n : 0;
        for (int n = 0; n < columns; n += PANEL)
            STORE_ROW(c + (n * tiles * TILE_ROWS) + i * PANEL + diagonal,
                      merged > 1 ? own_n : min(PANEL, columns - n), (ulong)tap * own_m + m % own_m,
                      (ulong)(group * group_n + n0 + n + diagonal));
    }
}
