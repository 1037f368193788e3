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
 * A product with few rows is bound by the memory of B. Its tiles have FEW_ROWS rows, or one and
 * several panels, and read A in place.
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
    ulong batch, row0; // row0: of the results, of all batches and splits one below the other
    int m0, n0, rows, columns;
    int tiles, panels; // that make up the block
    int first, end;    // of k; first is a multiple of block_k
    int far;           // results are too many to be in this core's cache
} share;

/* Columns fastest, then rows, split, batch. */
static share share_of(const matrices *p, ulong group, ulong groups)
{
    const int blocks_n = (p->n + p->block_n - 1) / p->block_n;
    const int blocks_m = (p->m + p->block_m - 1) / p->block_m;
    const int chunks = (p->k + p->block_k - 1) / p->block_k;
    const ulong batches = groups / blocks_n / blocks_m / p->splits;
    share s;
    s.n0 = (int)(group % blocks_n) * p->block_n;
    group /= blocks_n;
    s.m0 = (int)(group % blocks_m) * p->block_m;
    group /= blocks_m;
    const int split = (int)(group % p->splits);
    s.batch = group / p->splits;
    s.row0 = (split * batches + s.batch) * p->m + s.m0;
    s.rows = min(p->block_m, p->m - s.m0);
    s.columns = min(p->block_n, p->n - s.n0);
    s.tiles = (s.rows + TILE_ROWS - 1) / TILE_ROWS;
    s.panels = (s.columns + PANEL - 1) / PANEL;
    s.first = (int)((long)chunks * split / p->splits) * p->block_k;
    s.end = min(p->k, (int)((long)chunks * (split + 1) / p->splits) * p->block_k);
    s.far = batches * p->m * p->n > NEAR;
    return s;
}

/* What a block's tiles read in one chunk of k. */
typedef struct chunk {
    int count;                    // of k
    int again, last;              // it is not the first of the share; it is the last
    __global const float *a;      // op(A) in place: row r, k at a[r * a_row + k * a_step]
    ulong a_row, a_step;          // elements to its next row and its next k
    __local const float *a_tiles; // op(A) packed, unless rows are few
    PANELS const float *b_panels; // op(B)
    ulong b_stride;               // floats from one panel to the next
} chunk;

/* The chunk of the block of A from k0 on; if it is to be packed, into `tiles`. */
static void read_a(chunk *c, const matrices *p, const share *s, int k0, __local float *tiles)
{
    c->a_row = p->transpose_a ? 1 : p->k;
    c->a_step = p->transpose_a ? p->m : 1;
    c->a = p->a + s->batch * p->a_batch + s->m0 * c->a_row + k0 * c->a_step;
    c->a_tiles = tiles;
    if (s->rows <= FEW_ROWS) return;
    if (p->transpose_a)
        pack_rows_transposed(tiles, c->a, c->a_step, s->rows, c->count);
    else
        pack_rows(tiles, c->a, c->a_row, s->rows, c->count);
}

/* The panels of B's chunk from k0 on; if they have to be packed, in `panels`. */
static void read_b(chunk *c, const matrices *p, const share *s, int k0, __local float *panels)
{
#if PREPARED
    c->b_stride = (ulong)p->k * PANEL;
    c->b_panels = p->b + s->n0 / PANEL * c->b_stride + (ulong)k0 * PANEL;
#else
    __global const float *b = p->b + s->batch * p->b_batch;
    if (p->transpose_b)
        pack_panels_transposed(panels, c->count, 0, b + (ulong)s->n0 * p->k + k0, p->k, c->count,
                               s->columns);
    else
        pack_panels(panels, c->count, 0, b + (ulong)k0 * p->n + s->n0, p->n, c->count, s->columns);
    c->b_stride = (ulong)c->count * PANEL;
    c->b_panels = panels;
#endif
}

static chunk read_chunk(const matrices *p, const share *s, int k0, __local float *tiles,
                        __local float *panels)
{
    chunk c;
    c.count = min(p->block_k, s->end - k0);
    c.again = k0 > s->first;
    c.last = k0 + p->block_k >= s->end;
    read_b(&c, p, s, k0, panels);
    read_a(&c, p, s, k0, tiles);
    return c;
}

/* A tile of the block = or += its part from a chunk: one panel wide, of one row ROW_PANELS. */
static void multiply_tile(__local float *to, const share *s, const chunk *c, int tile, int panel)
{
    PANELS const float *b = c->b_panels + panel * c->b_stride;
    if (s->rows == 1)
        tile_multiply_row(to, c->again, c->a, c->a_step, b,
                          panel + ROW_PANELS <= s->panels ? c->b_stride : 0, c->count);
    else if (s->rows <= FEW_ROWS)
        tile_multiply_few(to, c->again, c->a, c->a_row, c->a_step, s->rows, b, c->count);
    else
        tile_multiply_packed(to, c->again, c->a_tiles + tile * c->count * TILE_ROWS, TILE_ROWS, b,
                             c->count);
}

ENTRY void matmul(WHERE_PARAMS __global const float *a, ulong a_offset, __global const float *b,
                  ulong b_offset, ulong a_batch, ulong b_batch, int m, int n, int k,
                  int transpose_a, int transpose_b, int block_m, int block_n, int block_k,
                  int splits, __local float *local_a, __local float *local_b,
                  __local float *local_c EPILOGUE_PARAMS)
{
    const matrices p = {a + a_offset, b + b_offset, a_batch, b_batch, m,       n,     k,
                        transpose_a,  transpose_b,  block_m, block_n, block_k, splits};
    const share here = share_of(&p, WHERE_X, WHERE_ITEMS);
    const int at_once = here.rows == 1 ? ROW_PANELS : 1; // panels of a tile

    for (int k0 = here.first; k0 < here.end; k0 += block_k) {
        const chunk now = read_chunk(&p, &here, k0, local_a, local_b);
        for (int i = 0; i < here.panels * here.tiles; i += at_once) {
            const int panel = i / here.tiles, tile = i % here.tiles;
            const int finished = now.last ? min(TILE_ROWS, here.rows - tile * TILE_ROWS) : 0;
            const int columns = min(at_once * PANEL, here.columns - panel * PANEL);
            const ulong row = here.row0 + tile * TILE_ROWS, column = here.n0 + panel * PANEL;
            __local float *c = local_c + (now.count == k ? 0 : i * TILE_ROWS * PANEL);
            for (int r = 0; here.far && r < finished; r++) ROW_AHEAD(columns, row + r, column);
            multiply_tile(c, &here, &now, tile, panel);
            for (int r = 0; r < finished; r++) STORE_ROW(c + r * PANEL, columns, row + r, column);
        }
    }
}
