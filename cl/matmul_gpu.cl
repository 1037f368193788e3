/*
 * Matrix product on GPUs: C[i] (M, N) = op(A[i]) op(B[i]) for every i of a batch, row-major without
 * gaps, any sizes. A work-group of ITEMS work-items owns one tile of one C (tile_gpu.h); groups are
 * numbered along N first, so that groups that run together share rows of A in the caches.
 *
 * A long reduction with a small result is dealt out in `splits` runs to more work-groups. Each
 * writes sums of its own, to matrices one below the other, which sum_splits_gpu.cl adds.
 */
#include "tile_gpu.h"
#ifndef TRANSPOSE_A
#define TRANSPOSE_A 0 // 1: A is (K, M)
#endif
#ifndef TRANSPOSE_B
#define TRANSPOSE_B 0 // 1: B is (N, K)
#endif

#if TRANSPOSE_A
#define A_AT(k, m) ((ulong)(k)*M + (m))
#define FETCH_A(k) a_fetch_along(a_next, a + A_AT(k, m0), M, end - (k), M - m0, item)
#define PUT_A a_put_along
#else
#define A_AT(k, m) ((ulong)(m)*K + (k))
#define FETCH_A(k) a_fetch_across(a_next, a + A_AT(k, m0), K, end - (k), M - m0, item)
#define PUT_A a_put_across
#endif
#if TRANSPOSE_B
#define B_AT(k, n) ((ulong)(n)*K + (k))
#define FETCH_B(k) b_fetch_across(b_next, b + B_AT(k, n0), K, end - (k), N - n0, item)
#define PUT_B b_put_across
#else
#define B_AT(k, n) ((ulong)(k)*N + (n))
#define FETCH_B(k) b_fetch_along(b_next, b + B_AT(k, n0), N, end - (k), N - n0, item)
#define PUT_B b_put_along
#endif

/* a_stride, b_stride: elements from one matrix of the batch to the next. */
__attribute__((reqd_work_group_size(ITEMS, 1, 1)))
__kernel void matmul(__global const float *a, ulong a_offset, __global const float *b,
                     ulong b_offset, int batch, int M, int N, int K, ulong a_stride,
                     ulong b_stride, int splits EPILOGUE_PARAMS)
{
    __local float4 a_tile[TILE_K * A_LINE], b_tile[TILE_K * B_LINE];
    const int item = get_local_id(0);
    const ulong across = (N + TILE_N - 1) / TILE_N, down = (M + TILE_M - 1) / TILE_M;
    const ulong group = get_group_id(0), sheet = group / (across * down);
    const int m0 = (int)(group / across % down) * TILE_M, n0 = (int)(group % across) * TILE_N;
    const int i = (int)(sheet % batch), split = (int)(sheet / batch);
    const int begin = split_begin(K, split, splits), end = split_begin(K, split + 1, splits);
    a += a_offset + i * a_stride;
    b += b_offset + i * b_stride;
    accumulators sums;
    float4 a_next[A_FETCHES], b_next[B_FETCHES];
    tile_clear(sums);
    FETCH_A(begin);
    FETCH_B(begin);
    int k0 = begin;
    do { // never skipped: see tile_gpu.h
        barrier(CLK_LOCAL_MEM_FENCE);
        PUT_A(a_tile, a_next, item);
        PUT_B(b_tile, b_next, item);
        barrier(CLK_LOCAL_MEM_FENCE);
        k0 += TILE_K;
        FETCH_A(k0);
        FETCH_B(k0);
        tile_multiply(sums, a_tile, b_tile, item);
    } while (k0 < end);
    UNROLL for (int r = 0; r < ITEM_M; r++)
    {
        const int row = m0 + ITEM_ROW(item, r);
        if (row < M) {
            TILE_STORE_ROW(sums, item, r, sheet * M + row, n0, N, 0)
        }
    }
}
