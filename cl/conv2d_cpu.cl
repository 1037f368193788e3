/*
 * Convolution on CPU devices, forward and backward to the data, through the register tile of
 * tile_cpu.h: a row of the tile is an output pixel, a column an output channel.
 *
 * Forward, the source is x and the outputs are all pixels of y. Backward, the source is dy, the
 * outputs are the pixels of dx, and with a stride of s there are s x s phases of them: pixels whose
 * position has the same remainder see the same taps, a convolution of stride 1. Each phase is a
 * launch of this kernel. Its taps are in the order of the source, so backward they step through the
 * weights backwards (tap_step < 0), and a tap's matrix (channels in, out) is used transposed.
 *
 * A work-group (one work-item) owns `block` (rows, columns) of pixels, block_n output channels of
 * one group; it walks over the source channels in chunks of block_k. Rows are numbered through the
 * batch, so small images share a block. Groups of few channels are merged, so that they fill a
 * panel; their weights' matrix is then block-diagonal.
 */
#include "tile_cpu.h"
#include "window_outputs_cpu.h"

#define FLAT_ROWS (TILE_ROWS < 8 ? TILE_ROWS : 8) // of a tile whose B is used a few times only

/* A tap of merged groups: their blocks on the diagonal, zeros elsewhere. All columns at once. */
static void pack_diagonal(__local float *to, __global const float *tap, const tap_weights *t,
                          int group, int k0, int count)
{
    const int own_k = t->group_k / t->merged, own_n = t->group_n / t->merged;
    for (int i = 0; i < count; i++) {
        const int k = k0 + i, first = k / own_k * own_n;
        zero_row(to + i * PANEL, PANEL);
        for (int n = 0; n < own_n; n++)
            to[i * PANEL + first + n] =
                t->transposed
                    ? tap[(ulong)n * t->columns + group * t->group_k + k]
                    : tap[(ulong)(k % own_k) * t->columns + group * t->group_n + first + n];
    }
}

static void pack_weights(__local float *to, __global const float *w, const tap_weights *t,
                         int2 taps, int group, int k0, int count, int n0, int columns)
{
    const int depth = taps.s0 * taps.s1 * count;
    for (int i = 0; i < taps.s0 * taps.s1; i++) {
        __global const float *tap = w + tap_matrix(t, taps, i);
        if (t->merged > 1)
            pack_diagonal(to + i * count * PANEL, tap, t, group, k0, count);
        else if (t->transposed)
            pack_panels_transposed(to, depth, i * count,
                                   tap + (ulong)n0 * t->columns + group * t->group_k + k0,
                                   t->columns, count, columns);
        else
            pack_panels(to, depth, i * count,
                        tap + (ulong)k0 * t->columns + group * t->group_n + n0, t->columns, count,
                        columns);
    }
}

/*
 * tile_multiply for FLAT_ROWS rows with B where it is, rows `stride` floats apart and runs `b_run`:
 * so few tiles use it that packing would cost more. Memory is the limit, so the lines that follow
 * `next` floats later are asked for meanwhile.
 */
static void tile_multiply_flat(__local float *c, int accumulate, __local const float *a,
                               __local const int *offset, __local const int *base, int runs,
                               int run, __global const float *b, ulong stride, ulong b_run,
                               ulong next)
{
    VECTOR acc[FLAT_ROWS][VECTORS];
    int at[FLAT_ROWS];
    TILE_ZERO(acc, FLAT_ROWS);
#pragma unroll
    for (int r = 0; r < FLAT_ROWS; r++) at[r] = offset[r];
    for (int u = 0; u < runs; u++) {
        __local const float *x = a + base[u];
        __global const float *row = b + u * b_run;
        for (int i = 0; i < run; i++, x++, row += stride) {
#pragma unroll
            for (int v = 0; v < PANEL; v += 16) PREFETCH(row + next + v);
            TILE_STEP(acc, FLAT_ROWS, AT_OFFSET, row)
        }
    }
    TILE_STORE(acc, FLAT_ROWS, c, accumulate);
}

ENTRY void conv2d(WHERE_PARAMS __global const float *images, ulong images_offset,
                  __global const float *w, ulong w_offset,
                  /* window_geometry */
                  int2 source, int2 outputs, int2 origin, int2 stride, int2 taps, int2 spread,
                  int2 skip, int channels,
                  /* tap_weights */
                  int2 tap_first, int2 tap_step, int kernel_width, int tap_rows, int tap_columns,
                  int transposed,
                  /* placement */
                  int2 result, int2 result_first, int2 result_step,
                  /* groups: source channels and output channels of one */
                  int batch, int groups, int group_k, int group_n, int merged,
                  /* blocks */
                  int2 block, int block_k, int block_n, int flat, __local float *window,
                  __local float *panels, __local float *c, __local int *offset,
                  __local int *base EPILOGUE_PARAMS)
{
    const window_geometry g = {source, outputs, origin, stride, taps, spread, skip, channels};
    const tap_weights t = {tap_first,  tap_step, kernel_width, tap_rows, tap_columns,
                           transposed, group_k,  group_n,      merged};
    const placement results = {result, result_first, result_step};
    images += images_offset;

    /* which block: output channels fastest, so that successive blocks look at the same pixels */
    const int blocks_n = (group_n + block_n - 1) / block_n;
    const int blocks_j = (outputs.s1 + block.s1 - 1) / block.s1;
    ulong id = WHERE_X;
    const int n0 = (int)(id % blocks_n) * block_n;
    id /= blocks_n;
    const int group = (int)(id % groups);
    id /= groups;
    const int j0 = (int)(id % blocks_j) * block.s1;
    const int q0 = (int)(id / blocks_j) * block.s0;
    const int rows = min(block.s0, batch * outputs.s0 - q0);
    const int across = min(block.s1, outputs.s1 - j0), columns = min(block_n, group_n - n0);
    const int unit = flat ? FLAT_ROWS : TILE_ROWS, tiles = (rows * across + unit - 1) / unit;
    const int width = window_extent(&g, (int2)(1, across)).s1;
    const ulong row0 = result_row(&results, &g, q0);
    __local int *place = offset + block.s0 * block.s1 + TILE_ROWS;
    pixel_places(place, &results, &g, q0, rows, j0, across);

    for (int k0 = 0; k0 < group_k; k0 += block_k) {
        const int count = min(block_k, group_k - k0), depth = taps.s0 * taps.s1 * count;
        const int last = k0 + block_k >= group_k, channel = group * group_k + k0;
        pack_window(window, images, &g, q0, rows, j0, width, channel, count);
        pixel_offsets(offset, &g, q0, rows, across, width, count, unit);
        const int runs = tap_runs(base, &g, width, count, flat);
        const int run = runs ? depth / runs : 0;
        __global const float *w_chunk =
            w + w_offset + (ulong)k0 * tap_columns + group * group_n + n0;
        if (!flat) pack_weights(panels, w + w_offset, &t, taps, group, k0, count, n0, columns);

        /* What comes next: the next channels, or (likely here) the rows of a later block. */
        ahead next = last ? window_ahead(images, &g, min(q0 + rows, batch * outputs.s0 - 1), rows,
                                         j0, width, group * group_k, min(block_k, group_k))
                          : window_ahead(images, &g, q0, rows, j0, width, channel + block_k,
                                         min(block_k, group_k - k0 - block_k));
        const int lines = ahead_lines(&next, tiles * ((columns + PANEL - 1) / PANEL));
        for (int n = 0; n < columns; n += PANEL)
            for (int i = 0; i < tiles; i++) {
                __local float *tile = c + (block_k < group_k ? n * tiles + i * PANEL : 0) * unit;
                const int finished = last ? min(unit, rows * across - i * unit) : 0;
                const ulong column = group * group_n + n0 + n;
                for (int r = 0; r < finished; r++)
                    ROW_AHEAD(min(PANEL, columns - n), row0 + place[i * unit + r], column);
                fetch_ahead(&next, lines);
                if (flat)
                    tile_multiply_flat(tile, k0 > 0, window, offset + i * unit, base, runs, run,
                                       w_chunk + n, tap_columns, (ulong)tap_rows * tap_columns,
                                       last ? 0 : (ulong)count * tap_columns);
                else
                    tile_multiply(tile, k0 > 0, window, offset + i * unit, base, runs, run, 1,
                                  panels + n * depth);
                for (int r = 0; r < finished; r++)
                    STORE_ROW(tile + r * PANEL, min(PANEL, columns - n), row0 + place[i * unit + r],
                              column);
            }
    }
}
