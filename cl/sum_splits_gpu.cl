/*
 * Adds the partial results of a reduction that was dealt out to several work-groups: `splits`
 * matrices (rows, columns) one below the other in `parts`, always in the same order. A work-item
 * owns VEC adjacent elements of a row.
 */
#ifndef VEC
#define VEC 4 // 1 or 4: must divide the columns
#endif

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row) * y_columns + (col)] = (v)
#define STORE_4(v, row, col) vstore4((v), 0, y + y_offset + (row) * y_columns + (col))
#endif

#if VEC == 4
#define FLOATV float4
#define LOADV(p) vload4(0, p)
#define STOREV STORE_4
#else
#define FLOATV float
#define LOADV(p) (*(p))
#define STOREV STORE_1
#endif

__kernel void sum_splits(__global const float *parts, ulong parts_offset, ulong rows,
                         ulong columns, int splits EPILOGUE_PARAMS)
{
    const ulong at = get_global_id(0) * VEC, size = rows * columns;
    if (at >= size) return;
    __global const float *from = parts + parts_offset + at;
    FLOATV total = LOADV(from);
    for (int s = 1; s < splits; s++) total += LOADV(from + s * size);
    STOREV(total, at / columns, at % columns);
}
