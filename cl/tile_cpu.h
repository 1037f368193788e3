/*
 * The register-tile micro-kernel that all matrix products of the CPU engine share, and the packing
 * around it. One work-item is a whole work-group: it copies a block of A and of B into local
 * memory (on a CPU: ordinary memory that stays in its core's cache) and multiplies them tile by
 * tile. A tile is TILE_ROWS rows of the result, each VECTORS vectors wide, held in registers, so
 * every loaded vector of B serves TILE_ROWS multiply-adds and every loaded element of A VECTORS.
 *
 *   A   any layout: element (row, k) at a[offset[row] + base[u] + i * step], where k counts the
 *       runs u and the steps i of a run. That covers matrices, transposed matrices and windows
 *       of images (a run = the channels under one row of a convolution's kernel). Or packed:
 *       tile t, step k, row r at a[(t * steps + k) * TILE_ROWS + r].
 *   B   panels of PANEL columns: panel p, row k at b[(p * rows + k) * PANEL], zero-padded; packed
 *       by each work-group for itself, or once in global memory for all of them (PANELS)
 *
 *   C   (panel, row, PANEL) in local memory: results pass through it, so that the reduction may be
 *       cut into chunks and the epilogue's code appears once instead of once per accumulator.
 */
#include "entry.h"
#include "prefetch_cpu.h"

#ifndef TILE_ROWS
#define TILE_ROWS 12 // rows of a register tile: TILE_ROWS * VECTORS + VECTORS + 1 registers in use
#endif
#ifndef VECTORS
#define VECTORS 2 // vectors per row of a tile: 1 wastes less when the result has few columns
#endif
#ifndef WIDTH
#define WIDTH 16 // floats per vector: 4, 8 or 16, what the device's registers hold
#endif
#define PANEL (VECTORS * WIDTH)
#ifndef FEW_ROWS
#define FEW_ROWS 4 // a result of so few rows gets a tile of its own: FEW_ROWS * VECTORS registers
#endif
#ifndef ROW_PANELS
#define ROW_PANELS 2 // panels that a result of one row takes at once: at most TILE_ROWS
#endif
#ifndef A_ELEMENT
#define A_ELEMENT(p) (*(p)) // of A at p: a number, which is the same for all lanes
#endif
#ifndef PANELS
#define PANELS __local // memory of B's panels: __local, or __global where a launch before made them
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define VECTOR JOIN(float, WIDTH)
#define VLOAD JOIN(vload, WIDTH)
/* vstore by name of the memory, in one store: some compilers make three of vstore16. */
typedef VECTOR loose_vector __attribute__((aligned(4)));
#define VSTORE_LOCAL(v, i, p) (((__local loose_vector *)(p))[i] = (v))
#define VSTORE_PANELS(v, i, p) (((PANELS loose_vector *)(p))[i] = (v))

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row)*y_columns + (col)] = (v)
#define STORE_4(v, row, col) vstore4((v), 0, y + y_offset + (row)*y_columns + (col))
#define STORE_8(v, row, col) vstore8((v), 0, y + y_offset + (row)*y_columns + (col))
#define STORE_16(v, row, col) vstore16((v), 0, y + y_offset + (row)*y_columns + (col))
#define STORE_AHEAD(row, col) PREFETCH_STORE(y + y_offset + (row)*y_columns + (col))
#endif
#define STORE_VECTOR JOIN(STORE_, WIDTH)

/* Hands `count` results, a row of a finished tile, to the epilogue: row `row`, columns from `col`.
 */
#define STORE_ROW(from, count, row, col)                                                           \
    for (int i_ = 0; i_ < (count); i_ += WIDTH) {                                                  \
        if (i_ + WIDTH <= (count))                                                                 \
            STORE_VECTOR(VLOAD(0, (from) + i_), row, (col) + i_);                                  \
        else                                                                                       \
            for (int k_ = i_; k_ < (count); k_++) STORE_1((from)[k_], row, (col) + k_);            \
    }

/* Asks for the memory of such a row: until the tile is finished it is in the cache. */
#define ROW_AHEAD(count, row, col)                                                                 \
    for (int i_ = 0; i_ < (count); i_ += 16) STORE_AHEAD(row, (col) + i_)

/* The accumulators of a tile, and what becomes of them: c (TILE_ROWS, PANEL) = or += acc. */
#define TILE_ZERO(acc, rows)                                                                       \
    _Pragma("unroll") for (int r = 0; r < rows; r++)                                               \
        _Pragma("unroll") for (int v = 0; v < VECTORS; v++) acc[r][v] = (VECTOR)(0.0f)
#define TILE_STORE(acc, rows, c, accumulate)                                                       \
    if (accumulate) {                                                                              \
        _Pragma("unroll") for (int r = 0; r < rows; r++)                                           \
            _Pragma("unroll") for (int v = 0; v < VECTORS; v++) acc[r][v] +=                       \
            VLOAD(r * VECTORS + v, c);                                                             \
    }                                                                                              \
    _Pragma("unroll") for (int r = 0; r < rows; r++)                                               \
        _Pragma("unroll") for (int v = 0; v < VECTORS; v++)                                        \
            VSTORE_LOCAL(acc[r][v], r *VECTORS + v, c)
/* One step of the reduction: ELEMENT(r) is A's element of row r, b the row of B's panel. */
#define TILE_STEP(acc, rows, ELEMENT, b)                                                           \
    {                                                                                              \
        VECTOR column[VECTORS];                                                                    \
        _Pragma("unroll") for (int v = 0; v < VECTORS; v++) column[v] = VLOAD(v, b);               \
        _Pragma("unroll") for (int r = 0; r < rows; r++)                                           \
        {                                                                                          \
            VECTOR element = (VECTOR)(ELEMENT(r));                                                 \
            _Pragma("unroll") for (int v = 0; v < VECTORS; v++) acc[r][v] =                        \
                fma(element, column[v], acc[r][v]);                                                \
        }                                                                                          \
    }

/* c (TILE_ROWS, PANEL) = or += A B over `runs` runs of `run` steps. */
static void tile_multiply(__local float *c, int accumulate, __local const float *a,
                          __local const int *offset, __local const int *base, int runs, int run,
                          int step, __local const float *b)
{
    VECTOR acc[TILE_ROWS][VECTORS];
    int at[TILE_ROWS];
    TILE_ZERO(acc, TILE_ROWS);
#pragma unroll
    for (int r = 0; r < TILE_ROWS; r++) at[r] = offset[r];
    for (int u = 0; u < runs; u++) {
        __local const float *x = a + base[u];
#define AT_OFFSET(r) A_ELEMENT(x + at[r])
        for (int i = 0; i < run; i++, x += step, b += PANEL) TILE_STEP(acc, TILE_ROWS, AT_OFFSET, b)
    }
    TILE_STORE(acc, TILE_ROWS, c, accumulate);
}

/*
 * The same where A's rows are adjacent, element (row, k) at a[k * step + row]: one stream of memory
 * instead of TILE_ROWS, and no registers for offsets. Packed: step TILE_ROWS. What c holds is
 * fetched into the first-level cache meanwhile.
 */
static void tile_multiply_packed(__local float *c, int accumulate, __local const float *a, int step,
                                 PANELS const float *b, int steps)
{
    VECTOR acc[TILE_ROWS][VECTORS];
    TILE_ZERO(acc, TILE_ROWS);
#pragma unroll
    for (int i = 0; i < TILE_ROWS * PANEL; i += 16) PREFETCH_LOCAL(c + i);
#define PACKED(r) a[r]
    for (int i = 0; i < steps; i++, a += step, b += PANEL) TILE_STEP(acc, TILE_ROWS, PACKED, b)
    TILE_STORE(acc, TILE_ROWS, c, accumulate);
}

/*
 * The same for `rows` <= FEW_ROWS rows of A, which are read where they are: element (row, k) at
 * a[row * stride + k * step]. Each is used once a panel, so that packing would cost more.
 */
static void tile_multiply_few(__local float *c, int accumulate, __global const float *a,
                              ulong stride, ulong step, int rows, PANELS const float *b, int steps)
{
    VECTOR acc[FEW_ROWS][VECTORS];
    __global const float *row[FEW_ROWS];
    TILE_ZERO(acc, FEW_ROWS);
#pragma unroll
    for (int r = 0; r < FEW_ROWS; r++) row[r] = a + min(r, rows - 1) * stride;
#define IN_PLACE(r) row[r][i * step]
    for (int i = 0; i < steps; i++, b += PANEL) TILE_STEP(acc, FEW_ROWS, IN_PLACE, b)
    TILE_STORE(acc, FEW_ROWS, c, accumulate);
}

/*
 * One row of A and ROW_PANELS panels of B, `b_stride` floats apart: sums of one panel alone would
 * wait for each other. There are no multiply-adds for rows that are not there, so that the memory
 * of B is the limit. c: (ROW_PANELS, PANEL), one row.
 */
static void tile_multiply_row(__local float *c, int accumulate, __global const float *a, ulong step,
                              PANELS const float *b, ulong b_stride, int steps)
{
    VECTOR acc[ROW_PANELS][VECTORS];
    TILE_ZERO(acc, ROW_PANELS);
    for (int i = 0; i < steps; i++, b += PANEL) {
        const VECTOR element = (VECTOR)(a[i * step]);
#pragma unroll
        for (int p = 0; p < ROW_PANELS; p++)
#pragma unroll
            for (int v = 0; v < VECTORS; v++)
                acc[p][v] = fma(element, VLOAD(v, b + p * b_stride), acc[p][v]);
    }
    TILE_STORE(acc, ROW_PANELS, c, accumulate);
}

/*
 * Memory that will be copied soon, `rows` rows of `columns` floats. A core waits for memory about
 * as long while copying as it computes in a tenth of a block; asked for little by little while the
 * tiles before are computed, it is in the cache by then.
 */
typedef struct ahead {
    __global const float *row;
    ulong stride;
    int rows, columns, column;
} ahead;

static ahead look_ahead(__global const float *from, ulong stride, int rows, int columns)
{
    const int adjacent = stride == (ulong)columns;
    ahead a = {from, stride, adjacent ? 1 : rows, adjacent ? rows * columns : columns, 0};
    return a;
}

/* Cache lines per call that fetch all of it in `calls` calls. */
static int ahead_lines(const ahead *a, int calls)
{
    return (a->rows * ((a->columns + 15) / 16) + calls - 1) / calls;
}

static void fetch_ahead(ahead *a, int lines)
{
#pragma clang loop unroll(disable)
    for (int i = 0; i < lines && a->rows > 0; i++) {
        PREFETCH(a->row + a->column);
        a->column += 16;
        if (a->column >= a->columns) {
            a->column = 0;
            a->row += a->stride;
            a->rows--;
        }
    }
}

/* Copies `count` adjacent floats. */
static void copy_row(PANELS float *to, __global const float *from, int count)
{
    int i = 0;
    for (; i + WIDTH <= count; i += WIDTH) VSTORE_PANELS(VLOAD(0, from + i), 0, to + i);
#pragma clang loop vectorize(disable) unroll(disable)
    for (; i < count; i++) to[i] = from[i];
}

static void zero_row(PANELS float *to, int count)
{
#pragma clang loop vectorize(disable) unroll(disable)
    for (int i = 0; i < count; i++) to[i] = 0.0f;
}

/*
 * Packs `rows` rows of `columns` adjacent floats (`from` is row-major, `stride` floats a row) into
 * panels of `panel_rows` rows, starting at row `row`.
 */
static void pack_panels(PANELS float *to, int panel_rows, int row, __global const float *from,
                        ulong stride, int rows, int columns)
{
    for (int k = 0; k < rows; k++) {
        PANELS float *out = to + (row + k) * PANEL;
        int c = 0;
        for (; c + PANEL <= columns; c += PANEL) {
#pragma unroll
            for (int v = 0; v < VECTORS; v++) VSTORE_PANELS(VLOAD(v, from + c), v, out);
            out += panel_rows * PANEL;
        }
        if (c < columns) {
            copy_row(out, from + c, columns - c);
            zero_row(out + columns - c, PANEL - (columns - c));
        }
        from += stride;
    }
}

/* In place: element i of vector j of `count` vectors, a power of two, becomes element i * count + j
 * of all. Each round interleaves the halves of the list. */
#define ZIP(m, count)                                                                              \
    for (int round = 1; round < count; round *= 2) {                                               \
        VECTOR t[count];                                                                           \
        _Pragma("unroll") for (int i = 0; i < count / 2; i++)                                      \
        {                                                                                          \
            t[2 * i].even = m[i].lo;                                                               \
            t[2 * i].odd = m[i + count / 2].lo;                                                    \
            t[2 * i + 1].even = m[i].hi;                                                           \
            t[2 * i + 1].odd = m[i + count / 2].hi;                                                \
        }                                                                                          \
        _Pragma("unroll") for (int i = 0; i < count; i++) m[i] = t[i];                             \
    }

/* In place: row i of the result is column i. */
static void transpose_vectors(VECTOR m[WIDTH])
{
    ZIP(m, WIDTH)
}

/*
 * Packs `rows` rows of `steps` adjacent floats for tile_multiply_packed: (tile, steps, TILE_ROWS).
 * The last tile's missing rows repeat the last one: what they give is not stored. Vectors reach
 * beyond the TILE_ROWS floats of a step; the next step overwrites them, after the last step of all
 * WIDTH floats more must be there.
 */
static void pack_rows(__local float *to, __global const float *from, ulong stride, int rows,
                      int steps)
{
    for (int row = 0; row < rows; row += TILE_ROWS) {
        __global const float *in = from + row * stride;
        const int last = min(TILE_ROWS, rows - row) - 1;
        int k = 0;
#if TILE_ROWS <= WIDTH
        for (; k + WIDTH <= steps && last == TILE_ROWS - 1; k += WIDTH) {
            VECTOR m[WIDTH];
#pragma unroll
            for (int i = 0; i < WIDTH; i++)
                m[i] = i < TILE_ROWS ? VLOAD(0, in + i * stride + k) : (VECTOR)(0.0f);
            transpose_vectors(m);
#pragma unroll
            for (int i = 0; i < WIDTH; i++) VSTORE_LOCAL(m[i], 0, to + i * TILE_ROWS);
            to += WIDTH * TILE_ROWS;
        }
#endif
#pragma clang loop unroll(disable)
        for (; k < steps; k++, to += TILE_ROWS)
#pragma clang loop vectorize(disable) unroll(disable)
            for (int i = 0; i < TILE_ROWS; i++) to[i] = in[min(i, last) * stride + k];
    }
}

/* As pack_rows, of a transposed matrix: row i, step k is from[k * stride + i]. */
static void pack_rows_transposed(__local float *to, __global const float *from, ulong stride,
                                 int rows, int steps)
{
    const int vectors = (TILE_ROWS + WIDTH - 1) / WIDTH;
    for (int row = 0; row < rows; row += TILE_ROWS) {
        __global const float *in = from + row;
        const int last = min(TILE_ROWS, rows - row) - 1;
        for (int k = 0; k < steps; k++, in += stride, to += TILE_ROWS) {
            if (row + vectors * WIDTH <= rows) {
                for (int v = 0; v < vectors; v++) VSTORE_LOCAL(VLOAD(v, in), v, to);
            } else {
#pragma clang loop vectorize(disable) unroll(disable)
                for (int i = 0; i < TILE_ROWS; i++) to[i] = in[min(i, last)];
            }
        }
    }
}

/*
 * As pack_panels, of a transposed matrix: panel row k, column c is from[c * stride + k]; `rows`
 * adjacent floats for each of `columns` columns.
 */
static void pack_panels_transposed(PANELS float *to, int panel_rows, int row,
                                   __global const float *from, ulong stride, int rows, int columns)
{
    for (int c = 0; c < columns; c += WIDTH) {
        PANELS float *out = to + ((c / PANEL) * panel_rows + row) * PANEL + c % PANEL;
        __global const float *in = from + c * stride;
        int k = 0;
        if (c + WIDTH <= columns) {
            for (; k + WIDTH <= rows; k += WIDTH) {
                VECTOR m[WIDTH];
#pragma unroll
                for (int i = 0; i < WIDTH; i++) m[i] = VLOAD(0, in + i * stride + k);
                transpose_vectors(m);
#pragma unroll
                for (int i = 0; i < WIDTH; i++) VSTORE_PANELS(m[i], 0, out + (k + i) * PANEL);
            }
        }
#pragma clang loop unroll(disable)
        for (; k < rows; k++)
#pragma clang loop vectorize(disable) unroll(disable)
            for (int i = 0; i < WIDTH; i++)
                out[k * PANEL + i] = c + i < columns ? in[i * stride + k] : 0.0f;
    }
    /* With two vectors a panel, an odd number of them leaves half a panel: zero it. */
    int full = (columns + WIDTH - 1) / WIDTH * WIDTH;
    if (full % PANEL) {
        PANELS float *out = to + ((full / PANEL) * panel_rows + row) * PANEL + full % PANEL;
        for (int k = 0; k < rows; k++) zero_row(out + k * PANEL, PANEL - full % PANEL);
    }
}
