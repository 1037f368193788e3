/*
 * Matrix product on GPUs: C[i] (M, N) = op(A[i]) op(B[i]) for every i of a batch, row-major without
 * gaps, any sizes. A work-group of ITEMS work-items owns one tile of one C (tile_gpu.h); groups are
 * numbered along N first, so that groups that run together share rows of A in the caches.
 */
#include "tile_gpu.h"
#ifndef TRANSPOSE_A
#define TRANSPOSE_A 0 // 1: A is (K, M)
#endif
#ifndef TRANSPOSE_B
#define TRANSPOSE_B 0 // 1: B is (N, K)
#endif

/* a_stride, b_stride: elements from one matrix of the batch to the next. */
__attribute__((reqd_work_group_size(ITEMS, 1, 1)))
__kernel void matmul(__global const float *a, ulong a_offset, __global const float *b,
                     ulong b_offset, int M, int N, int K, ulong a_stride,
                     ulong b_stride EPILOGUE_PARAMS)
{
    __local float4 a_tile[TILE_K * A_LINE], b_tile[TILE_K * B_LINE];
    const int item = get_local_id(0);
    const ulong across = (N + TILE_N - 1) / TILE_N, down = (M + TILE_M - 1) / TILE_M;
    const ulong group = get_group_id(0), i = group / (across * down);
    const int m0 = (int)(group / across % down) * TILE_M, n0 = (int)(group % across) * TILE_N;
    a += a_offset + i * a_stride;
    b += b_offset + i * b_stride;
    accumulators sums;
    tile_clear(sums);
    for (int k0 = 0; k0 < K; k0 += TILE_K) {
        if (TRANSPOSE_A)
            tile_load_along(a_tile, TILE_M, a + (ulong)k0 * M + m0, M, K - k0, M - m0, item);
        else
            tile_load_across(a_tile, TILE_M, a + (ulong)m0 * K + k0, K, K - k0, M - m0, item);
        if (TRANSPOSE_B)
            tile_load_across(b_tile, TILE_N, b + (ulong)n0 * K + k0, K, K - k0, N - n0, item);
        else
            tile_load_along(b_tile, TILE_N, b + (ulong)k0 * N + n0, N, K - k0, N - n0, item);
        barrier(CLK_LOCAL_MEM_FENCE);
        tile_multiply(sums, a_tile, b_tile, item);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    UNROLL for (int r = 0; r < ITEM_M; r++)
    {
        const int row = m0 + ITEM_ROW(item, r);
        if (row < M) {
            TILE_STORE_ROW(sums, item, r, i * M + row, n0, N, 0)
        }
    }
}
