/*
 * Rows that belong to the same row of a table: added up, or written there.
 *
 * x is (n, columns). `first` and `next` chain the rows of equal index (rows.cl): a chain is added
 * up from its first row to its last, always in this order, and only its first row has the sum. So
 * each row of a table is touched by one work-item, without atomics. Global ids: (share of columns,
 * share of rows).
 */
#include "entry.h"

#ifndef VEC
#define VEC 16 // elements handled at once: 4 or 16
#endif

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row)*y_columns + (col)] = (v)
#define STORE_4(v, row, col) vstore4((v), 0, y + y_offset + (row)*y_columns + (col))
#define STORE_16(v, row, col) vstore16((v), 0, y + y_offset + (row)*y_columns + (col))
#endif

#if VEC == 16
#define FLOATV float16
#define LOADV(p) vload16(0, p)
#define WRITEV(v, p) vstore16(v, 0, p)
#define STOREV STORE_16
#else
#define FLOATV float4
#define LOADV(p) vload4(0, p)
#define WRITEV(v, p) vstore4(v, 0, p)
#define STOREV STORE_4
#endif

/* Sum of column c (and the VEC - 1 behind it) along the chain that begins at `row`. */
inline FLOATV chain_sumv(__global const float *x, __global const int *next, ulong columns, int row,
                         ulong c)
{
    FLOATV sum = LOADV(x + (ulong)row * columns + c);
    for (int j = next[row]; j >= 0; j = next[j]) sum += LOADV(x + (ulong)j * columns + c);
    return sum;
}

inline float chain_sum(__global const float *x, __global const int *next, ulong columns, int row,
                       ulong c)
{
    float sum = x[(ulong)row * columns + c];
    for (int j = next[row]; j >= 0; j = next[j]) sum += x[(ulong)j * columns + c];
    return sum;
}

/* y[i] = sum of the rows equal to row i where i is the first of them, else 0. */
ENTRY void sum_equal_rows(WHERE_PARAMS __global const float *x, ulong x_offset,
                          __global const int *first, ulong first_offset, __global const int *next,
                          ulong next_offset, ulong columns, ulong rows, ulong columns_per_item,
                          ulong rows_per_item EPILOGUE_PARAMS)
{
    const ulong c0 = WHERE_X * columns_per_item, c1 = min(c0 + columns_per_item, columns);
    const ulong r0 = WHERE_Y * rows_per_item, r1 = min(r0 + rows_per_item, rows);
    x += x_offset;
    next += next_offset;
    for (ulong row = r0; row < r1; ++row) {
        const bool sums = first[first_offset + row] == (int)row;
        ulong c = c0;
        for (; c + VEC <= c1; c += VEC) {
            const FLOATV sum = sums ? chain_sumv(x, next, columns, (int)row, c) : (FLOATV)(0.0f);
            STOREV(sum, row, c);
        }
        for (; c < c1; ++c) {
            const float sum = sums ? chain_sum(x, next, columns, (int)row, c) : 0.0f;
            STORE_1(sum, row, c);
        }
    }
}

/* table[index[i]] = sum of the rows equal to row i, where i is the first of them. */
ENTRY void scatter_sums(WHERE_PARAMS __global const float *x, ulong x_offset,
                        __global const int *first, ulong first_offset, __global const int *next,
                        ulong next_offset, ulong columns, ulong rows, ulong columns_per_item,
                        ulong rows_per_item, __global const int *index, ulong index_offset,
                        __global float *table, ulong table_offset)
{
    const ulong c0 = WHERE_X * columns_per_item, c1 = min(c0 + columns_per_item, columns);
    const ulong r0 = WHERE_Y * rows_per_item, r1 = min(r0 + rows_per_item, rows);
    x += x_offset;
    next += next_offset;
    for (ulong row = r0; row < r1; ++row) {
        if (first[first_offset + row] != (int)row) continue;
        __global float *to = table + table_offset + (ulong)index[index_offset + row] * columns;
        ulong c = c0;
        for (; c + VEC <= c1; c += VEC) WRITEV(chain_sumv(x, next, columns, (int)row, c), to + c);
        for (; c < c1; ++c) to[c] = chain_sum(x, next, columns, (int)row, c);
    }
}

/* table[index[i]] = x[i], where i is the first row of its index. */
ENTRY void assign_rows(WHERE_PARAMS __global const float *x, ulong x_offset,
                       __global const int *first, ulong first_offset, ulong columns, ulong rows,
                       ulong columns_per_item, ulong rows_per_item, __global const int *index,
                       ulong index_offset, __global float *table, ulong table_offset)
{
    const ulong c0 = WHERE_X * columns_per_item, c1 = min(c0 + columns_per_item, columns);
    const ulong r0 = WHERE_Y * rows_per_item, r1 = min(r0 + rows_per_item, rows);
    for (ulong row = r0; row < r1; ++row) {
        if (first[first_offset + row] != (int)row) continue;
        __global const float *from = x + x_offset + row * columns;
        __global float *to = table + table_offset + (ulong)index[index_offset + row] * columns;
        ulong c = c0;
        for (; c + VEC <= c1; c += VEC) WRITEV(LOADV(from + c), to + c);
        for (; c < c1; ++c) to[c] = from[c];
    }
}

/* table[i] = x[i], or 0: what assign_rows and scatter_sums start from. One row of VEC elements per
 * step, `count` elements in all. */
ENTRY void copy_table(WHERE_PARAMS __global const float *x, ulong x_offset, __global float *table,
                      ulong table_offset, ulong count, ulong per_item)
{
    const ulong first = WHERE_X * per_item, end = min(first + per_item, count);
    ulong i = first;
    for (; i + VEC <= end; i += VEC) WRITEV(LOADV(x + x_offset + i), table + table_offset + i);
    for (; i < end; ++i) table[table_offset + i] = x[x_offset + i];
}

ENTRY void clear_table(WHERE_PARAMS __global float *table, ulong table_offset, ulong count,
                       ulong per_item)
{
    const ulong first = WHERE_X * per_item, end = min(first + per_item, count);
    ulong i = first;
    for (; i + VEC <= end; i += VEC) WRITEV((FLOATV)(0.0f), table + table_offset + i);
    for (; i < end; ++i) table[table_offset + i] = 0.0f;
}
