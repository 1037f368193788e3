/*
 * Winograd's convolution (winograd_cpu.h) on CPU devices, forward and backward to the data:
 * backward, the source is dy, the kernel is turned round, and a tap's matrix (channels in, out) is
 * used transposed.
 *
 * Tiles of outputs are numbered through the batch. A work-group (one work-item) owns `sweep`
 * blocks of block_q successive tiles, and block_n output channels; it walks over the source
 * channels in chunks of block_k. A chunk's inputs and weights are transformed into local memory;
 * for each of the values a product of matrices follows, tiles x channels times channels x output
 * channels, through the register tile of tile_cpu.h. Nothing transformed leaves the cache: weights
 * cost little to transform again for each block of tiles, and where they are one chunk, all blocks
 * of the work-group share them.
 *
 * Finished panels of products are transformed back and stored tile by tile while the next panel is
 * multiplied. All at once, their stores would keep the core waiting for memory.
 */
#include "tile_cpu.h"
#include "winograd_cpu.h"

/*
 * The weights (SIDE, SIDE, rows, columns), as a matrix of source channels x output channels for each
 * tap, which is a square of weights.
 */
typedef struct taps {
    __global const float *w;
    int rows, columns, backward;
} taps;

/* Source channels k .. + count - 1 of a tap and `columns` <= PANEL output channels from n: a panel of
 * WIDTH rows. */
static void pack_tap(__local float *panel, const taps *w, int tap, int k, int count, int n,
                     int columns)
{
    if (w->backward) tap = TAPS - 1 - tap;
#if FOLD == 1
    __global const float *from = w->w + (ulong)tap * w->rows * w->columns;
    if (w->backward)
        pack_panels_transposed(panel, WIDTH, 0, from + (ulong)n * w->columns + k, w->columns, count,
                               columns);
    else
        pack_panels(panel, WIDTH, 0, from + (ulong)k * w->columns + n, w->columns, count, columns);
#else
    /* row by row of the matrices that are a square's */
    const int rows = w->backward ? columns : count, first = w->backward ? n : k;
    const int row_step = w->backward ? 1 : PANEL, step = w->backward ? PANEL : 1;
    const int length = w->backward ? count : columns, column = w->backward ? k : n;
    zero_row(panel, WIDTH * PANEL);
    for (int i = 0; i < rows; i++) {
        const int pixel = (first + i) / w->rows, row = (first + i) % w->rows;
        const int y = tap / KERNEL * FOLD + pixel / FOLD, x = tap % KERNEL * FOLD + pixel % FOLD;
        __global const float *from =
            w->w + ((ulong)(y * SIDE + x) * w->rows + row) * w->columns + column;
        for (int j = 0; j < length && y < SIDE && x < SIDE; j++)
            panel[i * row_step + j * step] = from[j];
    }
#endif
}

/*
 * G g G^T of source channels k0 .. + count - 1 and `columns` <= PANEL output channels from n0:
 * value t's panel is at to + t * stride. `staging`: (TAPS, WIDTH, PANEL).
 */
TRANSFORM transform_weights(__local float *to, int stride, const taps *w, int k0, int count, int n0,
                            int columns, __local float *staging)
{
    for (int k = 0; k < count; k += WIDTH) {
        const int rows = min(WIDTH, count - k);
        for (int i = 0; i < TAPS; i++)
            pack_tap(staging + i * WIDTH * PANEL, w, i, k0 + k, rows, n0, columns);
        for (int r = 0; r < rows * VECTORS; r++) {
            VECTOR m[KERNEL][WEIGHTS], v[WEIGHTS];
            __local const float *tap = staging + r * WIDTH;
            for (int j = 0; j < KERNEL; j++) {
#pragma unroll
                for (int i = 0; i < KERNEL; i++)
                    m[j][i] = VLOAD(0, tap + (i * KERNEL + j) * WIDTH * PANEL);
                weights_to_values(m[j]);
            }
            for (int i = 0; i < WEIGHTS; i++) {
#pragma unroll
                for (int j = 0; j < KERNEL; j++) v[j] = m[j][i];
                weights_to_values(v);
#pragma unroll
                for (int j = 0; j < WEIGHTS; j++)
                    VSTORE_LOCAL(v[j], 0, to + (i * WEIGHTS + j) * stride + k * PANEL + r * WIDTH);
            }
        }
    }
}

/* Product t of a tile of rows: the sum of its terms' matrix products, `steps` channels each. */
static void multiply_terms(__local float *c, int accumulate, int t, __local const float *values,
                           int value_stride, __local const int *offset,
                           __local const float *weights, int weight_stride, int steps)
{
    const int row = t / PRODUCTS, column = t % PRODUCTS;
    VECTOR acc[TILE_ROWS][VECTORS];
    int at[TILE_ROWS];
    TILE_ZERO(acc, TILE_ROWS);
#pragma unroll
    for (int r = 0; r < TILE_ROWS; r++) at[r] = offset[r];
    for (int u = FIRST_TERM(row); u < FIRST_TERM(row + 1); u++)
        for (int v = FIRST_TERM(column); v < FIRST_TERM(column + 1); v++) {
            __local const float *x = values + (u * POINTS + v) * value_stride;
            const int weight = WEIGHT_OF(u) * WEIGHTS + WEIGHT_OF(v);
            __local const float *b = weights + weight * weight_stride;
            for (int i = 0; i < steps; i++, x++, b += PANEL) TILE_STEP(acc, TILE_ROWS, AT_OFFSET, b)
        }
    TILE_STORE(acc, TILE_ROWS, c, accumulate);
}

/* A^T m A of one tile: the row of value t is at from + t * stride; `to` is (OUTPUTS, OUTPUTS,
 * PANEL).
 */
TRANSFORM transform_outputs(__local float *to, __local const float *from, int stride, int2 phase)
{
    for (int v = 0; v < VECTORS; v++) {
        VECTOR m[OUTPUTS * PRODUCTS], d[PRODUCTS];
        for (int j = 0; j < PRODUCTS; j++) {
#pragma unroll
            for (int i = 0; i < PRODUCTS; i++) d[i] = VLOAD(v, from + (i * PRODUCTS + j) * stride);
            values_to_outputs(d, phase.s0);
#pragma unroll
            for (int i = 0; i < OUTPUTS; i++) m[i * PRODUCTS + j] = d[i];
        }
        for (int i = 0; i < OUTPUTS; i++) {
#pragma unroll
            for (int j = 0; j < PRODUCTS; j++) d[j] = m[i * PRODUCTS + j];
            values_to_outputs(d, phase.s1);
#pragma unroll
            for (int j = 0; j < OUTPUTS; j++) VSTORE_LOCAL(d[j], v, to + (i * OUTPUTS + j) * PANEL);
        }
    }
}

/* Finished products of one panel, of which the tiles from `q` to `end` are not stored yet. */
typedef struct waiting {
    __local const float *products; // tile q's
    int q, end, column;
} waiting;

/*
 * Outputs of a finished tile's panel (OUTPUTS, OUTPUTS, PANEL) that are one pixel's in each square:
 * `count` of them, `skip` floats behind the first; of the squares from `begin` to before `end`.
 */
typedef struct pixels {
    int2 begin, end;
    int width; /* of the image */
    int skip, count;
    ulong first, column; /* pixel of square 0 and its channel */
} pixels;

/* Pixel i of the squares of tile q, in a panel of channels `column` .. + count - 1 of squares. */
static pixels output_pixels(const tiling *g, int q, int i, int column, int count)
{
    const int2 within = (int2)(i / RESULT_FOLD, i % RESULT_FOLD), at = tile_position(g, q) + within;
    const int behind = column - i * g->channels; /* the pixel's first channel */
    const int skip = RESULT_FOLD > 1 ? max(-behind, 0) : 0;
    const int rest = RESULT_FOLD > 1 ? min(g->channels - behind, count) - skip : count;
    const pixels p = {RESULT_FOLD > 1 ? -(at < 0) : 0,
                      min((g->size - at + RESULT_FOLD - 1) / RESULT_FOLD, rest > 0 ? OUTPUTS : 0),
                      g->size.s1,
                      skip,
                      rest,
                      pixel_number(g, q, at),
                      behind + skip};
    return p;
}

static int has_pixel(const pixels *p, int square)
{
    const int v = square / OUTPUTS, h = square % OUTPUTS;
    return h < p->end.s1 && v >= p->begin.s0 && h >= p->begin.s1;
}

static ulong pixel_of(const pixels *p, int square)
{
    return p->first + (long)(square / OUTPUTS) * RESULT_FOLD * p->width +
           square % OUTPUTS * RESULT_FOLD;
}

ENTRY void conv2d_winograd(
    WHERE_PARAMS __global const float *images, ulong images_offset, __global const float *w,
    ulong w_offset, int2 source, int2 origin, int2 phase, int2 grid, int2 result, int tiles,
    int channels, int columns, int tap_rows, int tap_columns, int backward,
    /* blocks, and floats from one point's part of a local array to the next's */
    int block_q, int block_k, int block_n, int sweep, int value_stride, int weight_stride,
    int product_stride, __local float *values, __local float *weights, __local float *products,
    __local float *staging, __local int *offset EPILOGUE_PARAMS)
{
    const int pixel = channels / AREA(SOURCE_FOLD), result_pixel = columns / AREA(RESULT_FOLD);
    const int step = INPUT_STEP * SOURCE_FOLD, result_step = OUTPUTS * RESULT_FOLD;
    const int2 first_square = RESULT_FOLD > 1 ? -phase : (int2)(0);
    const long floats = (long)tiles / (grid.s0 * grid.s1) * source.s0 * source.s1 * pixel;
    const tiling g = {grid, source, origin, phase, step, INPUTS * SOURCE_FOLD, pixel, floats};
    const tiling results = {grid,        result,      first_square, phase,
                            result_step, result_step, result_pixel, 0};
    const taps kernel_taps = {w + w_offset, tap_rows, tap_columns, backward};
    const int blocks_n = (columns + block_n - 1) / block_n, chunked = block_k < channels;
    const ulong id = WHERE_X;
    const int n0 = (int)(id % blocks_n) * block_n, width = min(block_n, columns - n0);
    const long first = (long)(id / blocks_n) * sweep * block_q;
    const long end = min(first + (long)sweep * block_q, (long)tiles);
    images += images_offset;

    /* Panels of products, one more than are being computed: the last one waits to be stored. */
    const int panels = (width + PANEL - 1) / PANEL, slots = chunked ? panels + 1 : 2;
    int panel = 0; /* the block's first, counted through all blocks */
    waiting done = {products, 0, 0, 0};

    for (long q0 = first; q0 < end + block_q; q0 += block_q) { /* the last round only stores */
        const int count_q = (int)clamp(end - q0, 0L, (long)block_q);
        const int rows = (count_q + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
        const int calls = rows / TILE_ROWS * AREA(PRODUCTS);
        for (int k0 = 0; k0 < (count_q ? channels : 1); k0 += block_k) {
            const int count = min(block_k, channels - k0), last = k0 + block_k >= channels;
            const int line = (count + WIDTH - 1) / WIDTH * WIDTH;
            for (int i = 0; i < count_q; i++)
                transform_inputs(values + i * line, value_stride, images, &g, (int)q0 + i, k0,
                                 count, staging);
            for (int i = 0; i < rows; i++) offset[i] = min(i, count_q - 1) * line;
            offset[rows] = 0; /* where the only run begins */
            for (int n = 0; n < width && count_q && (chunked || q0 == first); n += PANEL)
                transform_weights(weights + n * block_k, weight_stride, &kernel_taps, k0, count,
                                  n0 + n, min(PANEL, width - n), staging);
            tiles_ahead next = look_at_tiles(images, &g, min(q0 + block_q, end),
                                             min(q0 + 2 * block_q, end), k0 % g.channels,
                                             min(count, g.channels));
            const int lines = tiles_ahead_lines(&next, max(calls * panels, 1));

            for (int n = 0; n < width; n += PANEL) {
                __local float *c = products + (panel + n / PANEL) % slots * block_q * PANEL;
                const int first_q = done.q, waits = done.end - done.q;
                for (int i = 0; i < max(calls, 1); i++) {
                    fetch_tiles(&next, lines);
                    const int t = i * TILE_ROWS / max(rows, 1), row = i * TILE_ROWS - t * rows;
                    if (calls)
                        multiply_terms(c + t * product_stride + row * PANEL, k0 > 0, t, values,
                                       value_stride, offset + row, weights + n * block_k,
                                       weight_stride, count);
                    for (; done.q < done.end && (long)(done.q - first_q) * calls < (i + 1L) * waits;
                         done.q++, done.products += PANEL) {
                        const int ready = min(PANEL, width - done.column), column = n0 + done.column;
                        pixels p[AREA(RESULT_FOLD)];
                        for (int s = 0; s < AREA(RESULT_FOLD); s++)
                            p[s] = output_pixels(&results, done.q, s, column, ready);
                        for (int s = 0; s < AREA(RESULT_FOLD); s++)
                            for (int k = 0; k < p[s].end.s0 * OUTPUTS; k++)
                                if (has_pixel(&p[s], k))
                                    ROW_AHEAD(p[s].count, pixel_of(&p[s], k), p[s].column);
                        transform_outputs(staging, done.products, product_stride, phase);
                        for (int s = 0; s < AREA(RESULT_FOLD); s++)
                            for (int k = 0; k < p[s].end.s0 * OUTPUTS; k++)
                                if (has_pixel(&p[s], k))
                                    STORE_ROW(staging + k * PANEL + p[s].skip, p[s].count,
                                              pixel_of(&p[s], k), p[s].column);
                    }
                }
                if (last) {
                    const waiting panel_done = {c, (int)q0, (int)q0 + count_q, n};
                    done = panel_done;
                }
            }
            if (last) panel += panels;
        }
    }
}
