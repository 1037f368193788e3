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
 */
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
#define UNROLL _Pragma("unroll")

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define EPILOGUE_AT(row, col) (y + y_offset + (row) * y_columns + (col))
#define STORE_1(v, row, col) *EPILOGUE_AT(row, col) = (v)
#define STORE_4(v, row, col) vstore4((v), 0, EPILOGUE_AT(row, col))
#define STORE_8(v, row, col) vstore8((v), 0, EPILOGUE_AT(row, col))
#define STORE_16(v, row, col) vstore16((v), 0, EPILOGUE_AT(row, col))
#endif

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

/* Row i and first column of vector j of a work-item in its tile. */
#define ITEM_ROW(item, i) (((i) / 4 * ITEMS_M + (item) / ITEMS_N) * 4 + (i) % 4)
#define ITEM_COLUMN(item, j) (((j) * ITEMS_N + (item) % ITEMS_N) * 4)

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
            for (int e = 0; col + e < (end); e++)                                                  \
                STORE_1(tile_element(sums[i][j], e), (ulong)(row), (ulong)((shift) + col + e));     \
        }                                                                                          \
    }

static inline float tile_element(float4 v, int e)
{
    return e == 0 ? v.s0 : e == 1 ? v.s1 : e == 2 ? v.s2 : v.s3;
}

/* The first `left` (clamped to 0 .. 4) of 4 floats, zeros behind. */
static inline float4 load_some(__global const float *p, long left)
{
    if (left >= 4) return vload4(0, p);
    return (float4)(left > 0 ? p[0] : 0.0f, left > 1 ? p[1] : 0.0f, left > 2 ? p[2] : 0.0f, 0.0f);
}

/*
 * Fill TILE_K lines of `width` elements from a matrix in global memory whose first wanted element is
 * at p; `k_left` and `x_left` elements are left of it in the two directions.
 */

/* Element x of line k is p[k * stride + x]. */
static inline void tile_load_along(__local float4 *tile, int width, __global const float *p, ulong stride,
                            long k_left, long x_left, int item)
{
    for (int v = item; v < TILE_K * width / 4; v += ITEMS) {
        const int k = v / (width / 4), x = v % (width / 4);
        const long left = k < k_left ? x_left - 4 * x : 0;
        tile[k * (width / 4 + 1) + x] = load_some(p + k * stride + 4 * x, left);
    }
}

static inline void tile_scatter(__local float4 *tile, int width, int k, int x, float4 value)
{
    __local float *line = (__local float *)(tile + k * (width / 4 + 1)) + x;
    line[0] = value.s0;
    line[width + 4] = value.s1;
    line[2 * (width + 4)] = value.s2;
    line[3 * (width + 4)] = value.s3;
}

/* Element x of line k is p[x * stride + k]. */
static inline void tile_load_across(__local float4 *tile, int width, __global const float *p, ulong stride,
                             long k_left, long x_left, int item)
{
    for (int v = item; v < TILE_K / 4 * width; v += ITEMS) {
        const int k = v % (TILE_K / 4) * 4, x = v / (TILE_K / 4);
        const long left = x < x_left ? k_left - k : 0;
        tile_scatter(tile, width, k, x, load_some(p + x * stride + k, left));
    }
}
