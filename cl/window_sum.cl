/*
 * Sums over a window that moves along rows: y[row][i] = x[row][i - before] + ... + x[row][i +
 * after], with zeros outside the row. A work-item owns `chunk` columns of `row_chunk` rows; global
 * ids: (chunk of columns, chunk of rows). Away from both ends of a row it adds up vectors.
 */
#include "entry.h"

#ifndef VEC
#define VEC 4 // columns at a time: 4 or 16
#endif

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define EPILOGUE_AT(row, col) (y + y_offset + (row)*y_columns + (col))
#define STORE_1(v, row, col) *EPILOGUE_AT(row, col) = (v)
#define STORE_4(v, row, col) vstore4((v), 0, EPILOGUE_AT(row, col))
#define STORE_16(v, row, col) vstore16((v), 0, EPILOGUE_AT(row, col))
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATV JOIN(float, VEC)
#define LOADV(p) JOIN(vload, VEC)(0, p)
#define STOREV JOIN(STORE_, VEC)

static inline float sum_at(__global const float *x, int column, int columns, int before, int after)
{
    const int first = max(column - before, 0), last = min(column + after, columns - 1);
    float sum = 0.0f;
    for (int i = first; i <= last; ++i) sum += x[i];
    return sum;
}

ENTRY void window_sum(WHERE_PARAMS __global const float *x, ulong x_offset, ulong rows, int columns,
                      int before, int after, int chunk, int row_chunk EPILOGUE_PARAMS)
{
    const int c0 = (int)WHERE_X * chunk, c1 = min(c0 + chunk, columns);
    const ulong r0 = WHERE_Y * row_chunk, r1 = min(r0 + row_chunk, rows);
    for (ulong row = r0; row < r1; ++row) {
        __global const float *from = x + x_offset + row * columns;
        int c = c0;
        for (; c < min(c1, before); ++c)
            STORE_1(sum_at(from, c, columns, before, after), row, (ulong)c);
        for (; c + VEC <= min(c1, columns - after); c += VEC) {
            FLOATV sum = 0.0f;
            for (int i = c - before; i <= c + after; ++i) sum += LOADV(from + i);
            STOREV(sum, row, (ulong)c);
        }
        for (; c < c1; ++c) STORE_1(sum_at(from, c, columns, before, after), row, (ulong)c);
    }
}
