/*
 * Matrix product on CPU devices: C[batch] (M, N) = op(A[batch]) op(B[batch]), through the register
 * tile of tile_cpu.h. A work-group (one work-item) owns a block of block_m rows and block_n columns
 * of C; it walks over k in chunks of block_k, copying op(A)'s and op(B)'s chunks to local memory.
 *
 * On the way A becomes tiles of TILE_ROWS adjacent rows and B panels of PANEL adjacent columns, so
 * that each is one stream of memory for the multiply-adds; what lies across is transposed. With
 * `splits` > 1 the chunks are dealt out to that many work-groups, and each writes its own (batch *
 * M, N) partial result one below the other (sum_splits.cl adds them).
 */
#include "tile_cpu.h"

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

/* The chunk of the blocks of A and B from k0 on becomes tiles of rows and panels of columns. */
static void pack_chunk(const matrices *p, const share *s, int k0, int count, __local float *local_a,
                       __local float *local_b)
{
    __global const float *a = p->a + s->batch * p->a_batch;
    __global const float *b = p->b + s->batch * p->b_batch;
    if (p->transpose_a)
        pack_rows_transposed(local_a, a + (ulong)k0 * p->m + s->m0, p->m, s->rows, count);
    else
        pack_rows(local_a, a + (ulong)s->m0 * p->k + k0, p->k, s->rows, count);
    if (p->transpose_b)
        pack_panels_transposed(local_b, count, 0, b + (ulong)s->n0 * p->k + k0, p->k, count,
                               s->columns);
    else
        pack_panels(local_b, count, 0, b + (ulong)k0 * p->n + s->n0, p->n, count, s->columns);
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
matmul(__global const float *a, ulong a_offset, __global const float *b, ulong b_offset,
       ulong a_batch, ulong b_batch, int m, int n, int k, int transpose_a, int transpose_b,
       int block_m, int block_n, int block_k, int splits, __local float *local_a,
       __local float *local_b, __local float *local_c EPILOGUE_PARAMS)
{
    const matrices p = {a + a_offset, b + b_offset, a_batch, b_batch, m,       n,     k,
                        transpose_a,  transpose_b,  block_m, block_n, block_k, splits};
    const share here = share_of(&p, get_group_id(0));
    const int tiles = (here.rows + TILE_ROWS - 1) / TILE_ROWS;
    const int panels = (here.columns + PANEL - 1) / PANEL;
    const ulong batches =
        get_num_groups(0) / ((n + block_n - 1) / block_n) / ((m + block_m - 1) / block_m) / splits;
    const ulong row0 = (here.split * batches + here.batch) * m + here.m0;

    for (int k0 = here.first; k0 < here.end; k0 += block_k) {
        const int count = min(block_k, here.end - k0), last = k0 + block_k >= here.end;
        pack_chunk(&p, &here, k0, count, local_a, local_b);
        for (int i = 0; i < panels * tiles; i++) {
            const int panel = i / tiles, tile = i % tiles;
            __local float *c = local_c + (count == k ? 0 : i * TILE_ROWS * PANEL);
            tile_multiply_packed(c, k0 > here.first, local_a + tile * count * TILE_ROWS,
                                 local_b + panel * count * PANEL, count);
            for (int r = 0; last && r < min(TILE_ROWS, here.rows - tile * TILE_ROWS); r++)
                STORE_ROW(c + r * PANEL, min(PANEL, here.columns - panel * PANEL),
                          row0 + tile * TILE_ROWS + r, (ulong)(here.n0 + panel * PANEL));
        }
    }
}
