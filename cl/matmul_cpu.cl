/*
 * Matrix product on CPU devices: C[batch] (M, N) = op(A[batch]) op(B[batch]), through the register
 * tile of tile_cpu.h. A work-group (one work-item) owns a block of block_m rows and block_n columns
 * of C; it walks over k in chunks of block_k, copying op(A)'s and op(B)'s chunks to local memory.
 *
 * A is copied as it lies - (rows, k), or (k, rows) when transposed - because the tile reads it with
 * any stride; B's panels must have their columns adjacent, so a transposed B is transposed on the
 * way. With `splits` > 1 the chunks are dealt out to that many work-groups, and each writes its own
 * (batch * M, N) partial result one below the other (sum_splits.cl adds them).
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

/* A chunk of the blocks of A and B as they lie in memory. */
static ahead chunk_a(const matrices *p, const share *s, int k0)
{
    const int count = min(p->block_k, s->end - k0);
    __global const float *a = p->a + s->batch * p->a_batch;
    return p->transpose_a ? look_ahead(a + (ulong)k0 * p->m + s->m0, p->m, count, s->rows)
                          : look_ahead(a + (ulong)s->m0 * p->k + k0, p->k, s->rows, count);
}

static ahead chunk_b(const matrices *p, const share *s, int k0)
{
    const int count = min(p->block_k, s->end - k0);
    __global const float *b = p->b + s->batch * p->b_batch;
    return p->transpose_b ? look_ahead(b + (ulong)s->n0 * p->k + k0, p->k, s->columns, count)
                          : look_ahead(b + (ulong)k0 * p->n + s->n0, p->n, count, s->columns);
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
matmul(__global const float *a, ulong a_offset, __global const float *b, ulong b_offset,
       ulong a_batch, ulong b_batch, int m, int n, int k, int transpose_a, int transpose_b,
       int block_m, int block_n, int block_k, int line, int splits, __local float *local_a,
       __local float *local_b, __local float *local_c, __local int *offset EPILOGUE_PARAMS)
{
    const matrices p = {a + a_offset, b + b_offset, a_batch, b_batch, m,       n,     k,
                        transpose_a,  transpose_b,  block_m, block_n, block_k, splits};
    const share here = share_of(&p, get_group_id(0));
    const share next = share_of(&p, min(get_group_id(0) + 1, get_num_groups(0) - 1));
    const int tiles = (here.rows + TILE_ROWS - 1) / TILE_ROWS;
    const int panels = (here.columns + PANEL - 1) / PANEL;
    const ulong batches =
        get_num_groups(0) / ((n + block_n - 1) / block_n) / ((m + block_m - 1) / block_m) / splits;
    const ulong row0 = (here.split * batches + here.batch) * m + here.m0;

    offset[0] = 0; /* the only run's base; the rows' offsets follow */
    for (int r = 0; r < tiles * TILE_ROWS; r++)
        offset[1 + r] = min(r, here.rows - 1) * (transpose_a ? 1 : line);

    for (int k0 = here.first; k0 < here.end; k0 += block_k) {
        const int count = min(block_k, here.end - k0), last = k0 + block_k >= here.end;
        const ahead now_a = chunk_a(&p, &here, k0), now_b = chunk_b(&p, &here, k0);
        ahead next_a = chunk_a(&p, last ? &next : &here, last ? next.first : k0 + block_k);
        ahead next_b = chunk_b(&p, last ? &next : &here, last ? next.first : k0 + block_k);
        const int lines_a = ahead_lines(&next_a, tiles * panels);
        const int lines_b = ahead_lines(&next_b, tiles * panels);
        for (int r = 0; r < (transpose_a ? count : here.rows); r++)
            copy_row(local_a + r * line, now_a.row + r * (ulong)(transpose_a ? m : k),
                     transpose_a ? here.rows : count);
        if (transpose_b)
            pack_panels_transposed(local_b, count, 0, now_b.row, k, count, here.columns);
        else
            pack_panels(local_b, count, 0, now_b.row, n, count, here.columns);

        for (int i = 0; i < panels * tiles; i++) {
            const int panel = i / tiles, tile = i % tiles;
            __local float *c = local_c + (count == k ? 0 : i * TILE_ROWS * PANEL);
            fetch_ahead(&next_a, lines_a);
            fetch_ahead(&next_b, lines_b);
            tile_multiply(c, k0 > here.first, local_a, offset + 1 + tile * TILE_ROWS, offset, 1,
                          count, transpose_a ? line : 1, local_b + panel * count * PANEL);
            for (int r = 0; last && r < min(TILE_ROWS, here.rows - tile * TILE_ROWS); r++)
                STORE_ROW(c + r * PANEL, min(PANEL, here.columns - panel * PANEL),
                          row0 + tile * TILE_ROWS + r, (ulong)(here.n0 + panel * PANEL));
        }
    }
}
