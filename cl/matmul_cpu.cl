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

/* op(A) rows m0.., columns k0.. to local memory, and where each row of it begins. */
static void pack_a(__local float *to, int line, __global const float *a, int transposed,
                   ulong columns, ulong m0, ulong k0, int rows, int count)
{
    if (transposed)
        for (int k = 0; k < count; k++) copy_row(to + k * line, a + (k0 + k) * columns + m0, rows);
    else
        for (int r = 0; r < rows; r++) copy_row(to + r * line, a + (m0 + r) * columns + k0, count);
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
matmul(__global const float *a, ulong a_offset, __global const float *b, ulong b_offset,
       ulong a_batch, ulong b_batch, int m, int n, int k, int transpose_a, int transpose_b,
       int block_m, int block_n, int block_k, int line, int splits, __local float *local_a,
       __local float *local_b, __local float *local_c, __local int *offset EPILOGUE_PARAMS)
{
    /* which block: columns fastest, then rows, split, batch */
    const int blocks_n = (n + block_n - 1) / block_n, blocks_m = (m + block_m - 1) / block_m;
    ulong group = get_group_id(0);
    const int n0 = (int)(group % blocks_n) * block_n;
    group /= blocks_n;
    const int m0 = (int)(group % blocks_m) * block_m;
    group /= blocks_m;
    const int split = (int)(group % splits);
    const ulong batch = group / splits;
    const int rows = min(block_m, m - m0), columns = min(block_n, n - n0);
    const int tiles = (rows + TILE_ROWS - 1) / TILE_ROWS, panels = (columns + PANEL - 1) / PANEL;
    const int chunks = (k + block_k - 1) / block_k;
    const int first = (int)((long)chunks * split / splits) * block_k;
    const int end = min(k, (int)((long)chunks * (split + 1) / splits) * block_k);

    a += a_offset + batch * a_batch;
    b += b_offset + batch * b_batch;
    offset[0] = 0; /* the only run's base; the rows' offsets follow */
    for (int r = 0; r < tiles * TILE_ROWS; r++)
        offset[1 + r] = min(r, rows - 1) * (transpose_a ? 1 : line);

    for (int k0 = first; k0 < end; k0 += block_k) {
        const int count = min(block_k, end - k0);
        pack_a(local_a, line, a, transpose_a, transpose_a ? m : k, m0, k0, rows, count);
        if (transpose_b)
            pack_panels_transposed(local_b, count, 0, b + (ulong)n0 * k + k0, k, count, columns);
        else
            pack_panels(local_b, count, 0, b + (ulong)k0 * n + n0, n, count, columns);
        for (int p = 0; p < panels; p++)
            for (int t = 0; t < tiles; t++)
                tile_multiply(local_c + (p * tiles + t) * TILE_ROWS * PANEL, k0 > first, local_a,
                              offset + 1 + t * TILE_ROWS, offset, 1, count, transpose_a ? line : 1,
                              local_b + p * count * PANEL);
    }

    const ulong row0 =
        (split * (get_num_groups(0) / splits / blocks_n / blocks_m) + batch) * m + m0;
    for (int r = 0; r < rows; r++)
        STORE_ROW(local_c + r * PANEL, tiles * TILE_ROWS * PANEL, columns, row0 + r, (ulong)n0);
}
