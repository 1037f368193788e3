/*
 * The tile that all matrix products of the GPU engine share. A work-group computes TILE_M x TILE_N
 * elements of C = A B: it brings TILE_K columns of A and rows of B into local memory, each
 * work-item multiplies them into its ITEM_M x ITEM_N elements in registers, and so on along k.
 *
 *   a   TILE_K lines of A_LINE float4: line k holds column k of the tile of A
 *   b   TILE_K lines of B_LINE float4: line k holds row k of the tile of B
 *
 * A line is a vector longer than the tile, so that elements below each other lie in different banks
 * of local memory. Work-item (ty, tx) owns rows and columns in runs of 4 that lie ITEMS_M * 4 and
 * ITEMS_N * 4 apart: neighbouring work-items read neighbouring vectors.
 *
 * The next tiles are fetched into registers before the present ones are multiplied, and put into
 * local memory after: global memory's latency passes behind the multiplications.
 *
 * Loops with barriers run at least once, also where there is nothing to do: compilers that run a
 * group's items one after the other make a second copy of all that follows a barrier which might not
 * be reached, and one more for the next.
 */
#include "load_four.h"
#ifndef TILE_M
#define TILE_M 64 // rows of a work-group's tile: a multiple of ITEM_M
#endif
#ifndef TILE_N
#define TILE_N 64 // columns: a multiple of ITEM_N
#endif
#ifndef TILE_K
#define TILE_K 16 // steps of the reduction in local memory at a time: a multiple of 4
#endif
#ifndef ITEM_M
#define ITEM_M 4 // rows of a work-item: a multiple of 4
#endif
#ifndef ITEM_N
#define ITEM_N 4 // columns: a multiple of 4
#endif
#ifndef TAIL
#define TAIL 1 // 1 if the result's columns may be no multiple of 4
#endif

#define ITEMS_M (TILE_M / ITEM_M)
#define ITEMS_N (TILE_N / ITEM_N)
#define ITEMS (ITEMS_M * ITEMS_N)
#define A_LINE (TILE_M / 4 + 1)
#define B_LINE (TILE_N / 4 + 1)
/* Vectors of both tiles that a work-item fetches: whole numbers. */
#define A_FETCHES (TILE_K * TILE_M / 4 / ITEMS)
#define B_FETCHES (TILE_K * TILE_N / 4 / ITEMS)
#define UNROLL _Pragma("unroll")

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define EPILOGUE_AT(row, col) (y + y_offset + (row) * y_columns + (col))
#define STORE_1(v, row, col) *EPILOGUE_AT(row, col) = (v)
#define STORE_4(v, row, col) vstore4((v), 0, EPILOGUE_AT(row, col))
#define STORE_8(v, row, col) vstore8((v), 0, EPILOGUE_AT(row, col))
#define STORE_16(v, row, col) vstore16((v), 0, EPILOGUE_AT(row, col))
#endif

/* ---- multiplying ---- */

/* A work-item's part of the result: rows, and vectors of 4 columns. */
typedef float4 accumulators[ITEM_M][ITEM_N / 4];

static inline void tile_clear(accumulators sums)
{
    UNROLL for (int i = 0; i < ITEM_M; i++)
        UNROLL for (int j = 0; j < ITEM_N / 4; j++) sums[i][j] = (float4)(0.0f);
}

static inline void tile_multiply(accumulators sums, __local const float4 *a, __local const float4 *b,
                          int item)
{
    const int tx = item % ITEMS_N, ty = item / ITEMS_N;
    for (int k = 0; k < TILE_K; k++) {
        float4 column[ITEM_N / 4];
        UNROLL for (int j = 0; j < ITEM_N / 4; j++) column[j] = b[k * B_LINE + j * ITEMS_N + tx];
        UNROLL for (int i = 0; i < ITEM_M / 4; i++)
        {
            const float4 row = a[k * A_LINE + i * ITEMS_M + ty];
            UNROLL for (int j = 0; j < ITEM_N / 4; j++)
            {
                sums[4 * i + 0][j] = mad((float4)(row.s0), column[j], sums[4 * i + 0][j]);
                sums[4 * i + 1][j] = mad((float4)(row.s1), column[j], sums[4 * i + 1][j]);
                sums[4 * i + 2][j] = mad((float4)(row.s2), column[j], sums[4 * i + 2][j]);
                sums[4 * i + 3][j] = mad((float4)(row.s3), column[j], sums[4 * i + 3][j]);
            }
        }
    }
}

/* ---- storing ---- */

/* Row i and first column of vector j of a work-item in its tile. */
#define ITEM_ROW(item, i) (((i) / 4 * ITEMS_M + (item) / ITEMS_N) * 4 + (i) % 4)
#define ITEM_COLUMN(item, j) (((j) * ITEMS_N + (item) % ITEMS_N) * 4)

static inline float tile_element(float4 v, int e)
{
    return e == 0 ? v.s0 : e == 1 ? v.s1 : e == 2 ? v.s2 : v.s3;
}

/*
 * Hands the vectors of row i, which is row `row` of the result, to the epilogue, from column `col0`
 * on (the tile's first) and before column `end`; `shift` columns lie left of this product's first.
 */
#define TILE_STORE_ROW(sums, item, i, row, col0, end, shift)                                        \
    UNROLL for (int j = 0; j < ITEM_N / 4; j++)                                                    \
    {                                                                                              \
        const int col = (col0) + ITEM_COLUMN(item, j);                                             \
        if (!TAIL || col + 4 <= (end)) {                                                           \
            if (col < (end)) STORE_4(sums[i][j], (ulong)(row), (ulong)((shift) + col));             \
        } else {                                                                                   \
            const float4 last = sums[i][j];                                                        \
            for (int e = 0; col + e < (end); e++)                                                  \
                STORE_1(tile_element(last, e), (ulong)(row), (ulong)((shift) + col + e));           \
        }                                                                                          \
    }

/* ---- fetching ---- */

/* The first `left` (clamped to 0 .. 4) of 4 floats, zeros behind. */
static inline float4 load_some(__global const float *p, int left)
{
    if (left >= 4) return load_four(p);
    return (float4)(left > 0 ? p[0] : 0.0f, left > 1 ? p[1] : 0.0f, left > 2 ? p[2] : 0.0f, 0.0f);
}

/* Elements 4 steps apart in one line each. */
static inline void tile_scatter(__local float4 *tile, int line, int k, int x, float4 value)
{
    __local float *at = (__local float *)(tile + k * line) + x;
    at[0] = value.s0;
    at[4 * line] = value.s1;
    at[8 * line] = value.s2;
    at[12 * line] = value.s3;
}

/*
 * TILE_K lines of WIDTH elements from a matrix in global memory whose first wanted element is at p;
 * `k_left` and `x_left` elements are left of it in the two directions. Along: element x of line k
 * is p[k * stride + x]; across: p[x * stride + k].
 */
#define DEFINE_TILE(t, WIDTH, FETCHES)                                                             \
    static inline void t##_fetch_along(float4 *next, __global const float *p, ulong stride,        \
                                       int k_left, int x_left, int item)                           \
    {                                                                                              \
        UNROLL for (int i = 0; i < FETCHES; i++)                                                   \
        {                                                                                          \
            const int v = item + i * ITEMS, k = v / (WIDTH / 4), x = v % (WIDTH / 4) * 4;           \
            next[i] = load_some(p + k * stride + x, k < k_left ? x_left - x : 0);                  \
        }                                                                                          \
    }                                                                                              \
    static inline void t##_put_along(__local float4 *tile, const float4 *next, int item)           \
    {                                                                                              \
        UNROLL for (int i = 0; i < FETCHES; i++)                                                   \
        {                                                                                          \
            const int v = item + i * ITEMS;                                                        \
            tile[v / (WIDTH / 4) * (WIDTH / 4 + 1) + v % (WIDTH / 4)] = next[i];                   \
        }                                                                                          \
    }                                                                                              \
    static inline void t##_fetch_across(float4 *next, __global const float *p, ulong stride,       \
                                        int k_left, int x_left, int item)                          \
    {                                                                                              \
        UNROLL for (int i = 0; i < FETCHES; i++)                                                   \
        {                                                                                          \
            const int v = item + i * ITEMS, k = v % (TILE_K / 4) * 4, x = v / (TILE_K / 4);         \
            next[i] = load_some(p + x * stride + k, x < x_left ? k_left - k : 0);                  \
        }                                                                                          \
    }                                                                                              \
    static inline void t##_put_across(__local float4 *tile, const float4 *next, int item)          \
    {                                                                                              \
        UNROLL for (int i = 0; i < FETCHES; i++)                                                   \
        {                                                                                          \
            const int v = item + i * ITEMS;                                                        \
            tile_scatter(tile, WIDTH / 4 + 1, v % (TILE_K / 4) * 4, v / (TILE_K / 4), next[i]);     \
        }                                                                                          \
    }
DEFINE_TILE(a, TILE_M, A_FETCHES)
DEFINE_TILE(b, TILE_N, B_FETCHES)

/* First step of split `split` of `splits` of a reduction over K, or K behind the last. */
static inline int split_begin(int K, int split, int splits)
{
    const int run = ((K + splits - 1) / splits + TILE_K - 1) / TILE_K * TILE_K;
    return split < splits ? min(K, split * run) : K;
}
