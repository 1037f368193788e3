/*
 * Adds the partial results of a reduction that was dealt out to several work-groups: `splits`
 * matrices (rows, columns) one below the other in `parts`. Always in the same order, so results do
 * not depend on timing. A work-group (one work-item) sums a range of 16-column pieces.
 */
#include "entry.h"

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row)*y_columns + (col)] = (v)
#define STORE_16(v, row, col) vstore16((v), 0, y + y_offset + (row)*y_columns + (col))
#endif

ENTRY void sum_splits(WHERE_PARAMS __global const float *parts, ulong parts_offset, ulong rows,
                      ulong columns, int splits, ulong pieces_per_group EPILOGUE_PARAMS)
{
    const ulong pieces = (columns + 15) / 16, size = rows * columns;
    const ulong first = WHERE_X * pieces_per_group;
    const ulong end = min(first + pieces_per_group, rows * pieces);
    for (ulong i = first; i < end; i++) {
        const ulong row = i / pieces, col = i % pieces * 16;
        __global const float *from = parts + parts_offset + row * columns + col;
        if (col + 16 <= columns) {
            float16 sum = vload16(0, from);
            for (int s = 1; s < splits; s++) sum += vload16(0, from + s * size);
            STORE_16(sum, row, col);
        } else {
            for (ulong c = col; c < columns; c++, from++) {
                float sum = from[0];
                for (int s = 1; s < splits; s++) sum += from[s * size];
                STORE_1(sum, row, c);
            }
        }
    }
}
