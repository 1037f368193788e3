/*
 * Matrix product on CPU devices: C[batch] (M, N) = op(A[batch]) op(B[batch]), through the register
 * tile of tile_cpu.h. A work-group (one work-item) owns a block of block_m rows and block_n columns
 * of C; it walks over k in chunks of block_k, copying op(A)'s and op(B)'s chunks to local memory.
 *
 * On the way A becomes tiles of TILE_ROWS adjacent rows and B panels of PANEL adjacent columns, so
 * that each is one stream of memory for the multiply-adds; what lies across is transposed. With
 * `splits` > 1 the chunks are dealt out to that many work-groups, and each writes its own (batch *
 * M, N) partial result one below the other (sum_splits.cl adds them).
 *
 * A product with few rows is bound by the memory of B. It has tiles of FEW_ROWS rows, which read A
 * in place.
 */
#ifndef PREPARED
#define PREPARED 0 // 1: B is packed already, as panels over all of k, by panels_cpu.cl
#endif
#if PREPARED
#define PANELS __global
#endif
#include "tile_cpu.h"

#ifndef NEAR
#define NEAR 65536 // so few results are likely in a core's cache since they were last written
#endif

typedef struct matrices {
    __global const float *a, *b;
    ulong a_batch, b_batch; // elements from one batch's matrix to the next
    int m, n, k, transpose_a, transpose_b;
    int block_m, block_n, block_k, splits;
} matrices;

/* What one work-group computes: a block of C, from a part of the reduction. */
typedef struct share {
    ulong batch;
    int split, m0, n0, rows, columns;
    int first, end; // of k; first is a multiple of block_k
} share;

/* Columns fastest, then rows, split, batch. */
static share share_of(const matrices *p, ulong group)
{
    const int blocks_n = (p->n + p->block_n - 1) / p->block_n;
    const int blocks_m = (p->m + p->block_m - 1) / p->block_m;
    const int chunks = (p->k + p->block_k - 1) / p->block_k;
    share s;
    s.n0 = (int)(group % blocks_n) * p->block_n;
    group /= blocks_n;
    s.m0 = (int)(group % blocks_m) * p->block_m;
    group /= blocks_m;
    s.split = (int)(group % p->splits);
    s.batch = group / p->splits;
    s.rows = min(p->block_m, p->m - s.m0);
    s.columns = min(p->block_n, p->n - s.n0);
    s.first = (int)((long)chunks * s.split / p->splits) * p->block_k;
    s.end = min(p->k, (int)((long)chunks * (s.split + 1) / p->splits) * p->block_k);
    return s;
}

/* Where the block's part of op(A) begins, and what leads to its next row and to its next k. */
static __global const float *part_of_a(const matrices *p, const share *s, int k0, ulong *row,
                                       ulong *step)
{
    __global const float *a = p->a + s->batch * p->a_batch;
    *row = p->transpose_a ? 1 : p->k;
    *step = p->transpose_a ? p->m : 1;
    return a + s->m0 * *row + k0 * *step;
}

/* The chunk of the block of A from k0 on becomes tiles of rows. */
static void pack_a(const matrices *p, const share *s, int k0, int count, __local float *local_a)
{
    ulong row, step;
    __global const float *a = part_of_a(p, s, k0, &row, &step);
    if (p->transpose_a)
        pack_rows_transposed(local_a, a, step, s->rows, count);
    else
        pack_rows(local_a, a, row, s->rows, count);
}

/* The panels of B's chunk from k0 on; *stride: floats from one to the next. */
static PANELS const float *pack_b(const matrices *p, const share *s, int k0, int count,
                                  __local float *local_b, ulong *stride)
{
#if PREPARED
    *stride = (ulong)p->k * PANEL;
    return p->b + s->n0 / PANEL * *stride + (ulong)k0 * PANEL;
#else
    __global const float *b = p->b + s->batch * p->b_batch;
    if (p->transpose_b)
        pack_panels_transposed(local_b, count, 0, b + (ulong)s->n0 * p->k + k0, p->k, count,
                               s->columns);
    else
        pack_panels(local_b, count, 0, b + (ulong)k0 * p->n + s->n0, p->n, count, s->columns);
    *stride = (ulong)count * PANEL;
    return local_b;
#endif
}

ENTRY void matmul(WHERE_PARAMS __global const float *a, ulong a_offset, __global const float *b,
                  ulong b_offset, ulong a_batch, ulong b_batch, int m, int n, int k,
                  int transpose_a, int transpose_b, int block_m, int block_n, int block_k,
                  int splits, __local float *local_a, __local float *local_b,
                  __local float *local_c EPILOGUE_PARAMS)
{
    const matrices p = {a + a_offset, b + b_offset, a_batch, b_batch, m,       n,     k,
                        transpose_a,  transpose_b,  block_m, block_n, block_k, splits};
    const share here = share_of(&p, WHERE_X);
    const int tiles = (here.rows + TILE_ROWS - 1) / TILE_ROWS;
    const int panels = (here.columns + PANEL - 1) / PANEL;
    const ulong batches =
        WHERE_ITEMS / ((n + block_n - 1) / block_n) / ((m + block_m - 1) / block_m) / splits;
    const int few = here.rows <= FEW_ROWS, at_once = here.rows == 1 ? ROW_PANELS : 1;
    const ulong row0 = (here.split * batches + here.batch) * m + here.m0;
    const int far = batches * m * n > NEAR; // results, from this core

    for (int k0 = here.first; k0 < here.end; k0 += block_k) {
        const int count = min(block_k, here.end - k0), last = k0 + block_k >= here.end;
        ulong panel_stride, row, step;
        PANELS const float *b_panels = pack_b(&p, &here, k0, count, local_b, &panel_stride);
        __global const float *a_rows = part_of_a(&p, &here, k0, &row, &step);
        if (!few) pack_a(&p, &here, k0, count, local_a);
        for (int i = 0; i < panels * tiles; i += at_once) {
            const int panel = i / tiles, tile = i % tiles;
            const int rows = last ? min(TILE_ROWS, here.rows - tile * TILE_ROWS) : 0; // finished
            const int columns = min(at_once * PANEL, here.columns - panel * PANEL);
            const ulong first_row = row0 + tile * TILE_ROWS, first_column = here.n0 + panel * PANEL;
            __local float *c = local_c + (count == k ? 0 : i * TILE_ROWS * PANEL);
            for (int r = 0; far && r < rows; r++) ROW_AHEAD(columns, first_row + r, first_column);
            if (here.rows == 1)
                tile_multiply_row(c, k0 > here.first, a_rows, step, b_panels + panel * panel_stride,
                                  panel + ROW_PANELS <= panels ? panel_stride : 0, count);
            else if (few)
                tile_multiply_few(c, k0 > here.first, a_rows, row, step, here.rows,
                                  b_panels + panel * panel_stride, count);
            else
                tile_multiply_packed(c, k0 > here.first, local_a + tile * count * TILE_ROWS,
                                     TILE_ROWS, b_panels + panel * panel_stride, count);
            for (int r = 0; r < rows; r++)
                STORE_ROW(c + r * PANEL, columns, first_row + r, first_column);
        }
    }
}
