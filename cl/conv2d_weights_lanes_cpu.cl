/*
 * Backward convolution of many groups of few channels to the weights on CPU devices: as
 * conv2d_weights_cpu.cl, with vectors across groups (lanes_cpu.h). A row of the tile is one (tap,
 * input channel), a vector of it one output channel of WIDTH groups.
 *
 * A work-group (one work-item) owns all weights of WIDTH groups, and one of `splits` shares of the
 * pixels.
 */
#include "lanes_cpu.h"
#include "window_cpu.h"

/* dy's rows q0.., columns j0.. as panels that are `panel` floats long; `depth` channels in memory,
 * `parts` of a group. */
static void pack_gradient(__local float *to, int panel, __global const float *dy, int2 outputs,
                          int depth, int q0, int rows, int j0, int across, int parts, int lanes)
{
    for (int i = 0; i < rows; i++) {
        __global const float *from = dy + ((ulong)(q0 + i) * outputs.s1 + j0) * depth;
        for (int j = 0; j < across; j++, to += PANEL, from += depth)
            unzip_groups(to, panel, WIDTH, from, parts, lanes);
    }
}

ENTRY void conv2d_weights_lanes(WHERE_PARAMS __global const float *x, ulong x_offset,
                                __global const float *dy, ulong dy_offset,
                                /* window_geometry */
                                int2 source, int2 outputs, int2 origin, int2 stride, int2 taps,
                                int2 spread, int2 skip, int channels,
                                /* groups: input and output channels of one */
                                int batch, int groups, int group_m, int group_n,
                                /* blocks */
                                int2 block, int splits, __local float *window,
                                __local float *panels, __local float *c, __local float *zipped,
                                __local int *offset, __local int *base EPILOGUE_PARAMS)
{
    const int blocks_g = (groups + WIDTH - 1) / WIDTH, id = (int)WHERE_X;
    const int g0 = id % blocks_g * WIDTH, split = id / blocks_g, lanes = min(WIDTH, groups - g0);
    const window_geometry g = {source, outputs, origin,   stride, taps,
                               spread, skip,    channels, lanes};
    const int weights = taps.s0 * taps.s1 * group_m, count = group_m * WIDTH;
    const int tiles = (weights + TILE_ROWS - 1) / TILE_ROWS;
    const int width = window_extent(&g, (int2)(1, min(block.s1, outputs.s1))).s1;
    const int sums = tiles * TILE_ROWS * PANEL, panel = block.s0 * block.s1 * PANEL;

    const int blocks_j = (outputs.s1 + block.s1 - 1) / block.s1, depth = groups * group_n;
    const long chunks = (long)((batch * outputs.s0 + block.s0 - 1) / block.s0) * blocks_j;
    const long first = chunks * split / splits, end = chunks * (split + 1) / splits;
    x += x_offset;
    dy += dy_offset + g0 * group_n;
    tap_offsets(offset, &g, width, group_m, WIDTH);
    zero_rest(panels, panel, group_n);

    for (long chunk = first; chunk < end; chunk++) {
        const int q0 = (int)(chunk / blocks_j) * block.s0, j0 = (int)(chunk % blocks_j) * block.s1;
        const int rows = min(block.s0, batch * outputs.s0 - q0);
        const int across = min(block.s1, outputs.s1 - j0);
        pack_window(window, x, &g, q0, rows, j0, width, g0 * group_m, count);
        pack_gradient(panels, panel, dy, outputs, depth, q0, rows, j0, across, group_n, lanes);
        for (int i = 0; i < rows; i++)
            base[i] = (window_row(&g, q0 + i) - window_row(&g, q0)) * width * count;

        /* the next chunk's, which continue these rows or are the rows below */
        const int next_q = min(q0 + (blocks_j == 1 ? rows : 0), batch * outputs.s0 - 1);
        const int next_j = blocks_j == 1 ? 0 : j0 + across;
        ahead next_x =
            window_ahead(x, &g, next_q, rows, next_j, width, g0 * group_m, group_m * lanes);
        ahead next_dy = look_ahead(dy + ((ulong)next_q * outputs.s1 + next_j) * depth, depth,
                                   rows * across, group_n * lanes);
        const int calls = tiles * ((group_n + VECTORS - 1) / VECTORS);
        const int lines_x = ahead_lines(&next_x, calls), lines_dy = ahead_lines(&next_dy, calls);
        for (int n = 0; n * VECTORS < group_n; n++)
            for (int i = 0; i < tiles; i++) {
                fetch_ahead(&next_x, lines_x);
                fetch_ahead(&next_dy, lines_dy);
                tile_multiply(c + n * sums + i * TILE_ROWS * PANEL, chunk > first, window,
                              offset + i * TILE_ROWS, base, rows, across, stride.s1 * count,
                              panels + n * panel);
            }
    }

    for (int i = 0; i < weights; i++) {
        zip_groups(zipped, c + i * PANEL, sums, group_n);
        STORE_ROW(zipped, lanes * group_n, (ulong)split * weights + i, (ulong)g0 * group_n);
    }
}
