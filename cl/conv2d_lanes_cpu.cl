/*
 * Convolution of many groups of few channels on CPU devices, forward and backward to the data: as
 * conv2d_cpu.cl, with vectors across groups (lanes_cpu.h). A row of the tile is an output pixel,
 * a vector of it one output channel of WIDTH groups.
 *
 * A work-group (one work-item) owns `block` (rows, columns) of pixels and all channels of WIDTH
 * groups.
 */
#include "lanes_cpu.h"
#include "window_outputs_cpu.h"

/* The weights of the groups from g0 on: for each tap, source channels x output channels of lanes.
 */
static void pack_weights(__local float *to, __global const float *w, const tap_weights *t,
                         int2 taps, int g0, int lanes)
{
    const int panel = taps.s0 * taps.s1 * t->group_k * PANEL;
    const int parts = t->transposed ? t->group_k : t->group_n;
    zero_rest(to, panel, t->group_n);
    for (int i = 0; i < taps.s0 * taps.s1; i++) {
        __global const float *tap = w + tap_matrix(t, taps, i) + g0 * parts;
        __local float *rows = to + i * t->group_k * PANEL;
        for (int c = 0; c < t->rows; c++, tap += t->columns) {
            if (t->transposed)
                unzip_groups(rows + SLOT(c, panel, WIDTH), VECTORS * PANEL, PANEL, tap, parts,
                             lanes);
            else
                unzip_groups(rows + c * PANEL, panel, WIDTH, tap, parts, lanes);
        }
    }
}

ENTRY void conv2d_lanes(WHERE_PARAMS __global const float *images, ulong images_offset,
                        __global const float *w, ulong w_offset,
                        /* window_geometry */
                        int2 source, int2 outputs, int2 origin, int2 stride, int2 taps, int2 spread,
                        int2 skip, int channels,
                        /* tap_weights */
                        int2 tap_first, int2 tap_step, int kernel_width, int tap_rows,
                        int tap_columns, int transposed,
                        /* placement */
                        int2 result, int2 result_first, int2 result_step,
                        /* groups: source channels and output channels of one */
                        int batch, int groups, int group_k, int group_n,
                        /* blocks */
                        int2 block, __local float *window, __local float *panels, __local float *c,
                        __local float *zipped, __local int *offset,
                        __local int *base EPILOGUE_PARAMS)
{
    const int blocks_g = (groups + WIDTH - 1) / WIDTH;
    const int blocks_j = (outputs.s1 + block.s1 - 1) / block.s1;
    ulong id = WHERE_X;
    const int g0 = (int)(id % blocks_g) * WIDTH, lanes = min(WIDTH, groups - g0);
    id /= blocks_g;
    const int j0 = (int)(id % blocks_j) * block.s1;
    const int q0 = (int)(id / blocks_j) * block.s0;
    const window_geometry g = {source, outputs, origin,   stride, taps,
                               spread, skip,    channels, lanes};
    const tap_weights t = {tap_first,  tap_step, kernel_width, tap_rows, tap_columns,
                           transposed, group_k,  group_n,      1};
    const placement results = {result, result_first, result_step};
    const int rows = min(block.s0, batch * outputs.s0 - q0);
    const int across = min(block.s1, outputs.s1 - j0), pixels = rows * across;
    const int width = window_extent(&g, (int2)(1, across)).s1, count = group_k * WIDTH;
    const int depth = taps.s0 * taps.s1 * group_k;
    const ulong row0 = result_row(&results, &g, q0);
    __local int *place = offset + block.s0 * block.s1 + TILE_ROWS;
    images += images_offset;
    pixel_places(place, &results, &g, q0, rows, j0, across);
    pixel_offsets(offset, &g, q0, rows, across, width, count, TILE_ROWS);
    const int runs = tap_runs(base, &g, width, count, false), run = runs ? depth / runs : 0;
    pack_window(window, images, &g, q0, rows, j0, width, g0 * group_k, count);
    pack_weights(panels, w + w_offset, &t, taps, g0, lanes);

    const int tiles = (pixels + TILE_ROWS - 1) / TILE_ROWS, panel = TILE_ROWS * PANEL;
    ahead next = window_ahead(images, &g, min(q0 + rows, batch * outputs.s0 - 1), rows, j0, width,
                              g0 * group_k, group_k * lanes);
    const int lines = ahead_lines(&next, tiles);
    const ulong column = (ulong)g0 * group_n;
    for (int i = 0; i < pixels; i += TILE_ROWS) {
        const int finished = min(TILE_ROWS, pixels - i);
        for (int r = 0; r < finished; r++) ROW_AHEAD(lanes * group_n, row0 + place[i + r], column);
        fetch_ahead(&next, lines);
        for (int n = 0; n < group_n; n += VECTORS)
            tile_multiply(c + n / VECTORS * panel, 0, window, offset + i, base, runs, run, WIDTH,
                          panels + n / VECTORS * depth * PANEL);
        for (int r = 0; r < finished; r++) {
            zip_groups(zipped, c + r * PANEL, panel, group_n);
            STORE_ROW(zipped, lanes * group_n, row0 + place[i + r], column);
        }
    }
}
