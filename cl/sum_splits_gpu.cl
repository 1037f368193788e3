/*
 * Adds the partial results of a reduction that was dealt out to several work-groups: `splits`
 * matrices (rows, columns) one below the other in `parts`, always in the same order. A work-item
 * owns VEC adjacent elements of a row. Where there are few elements and many splits, `ways`
 * work-items share them, and their sums are combined in local memory.
 */
#include "load_four.h"
#ifndef VEC
#define VEC 4 // 1 or 4: must divide the columns
#endif
#ifndef GROUP
#define GROUP 64 // work-items of a group, a power of two
#endif

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row) * y_columns + (col)] = (v)
#define STORE_4(v, row, col) vstore4((v), 0, y + y_offset + (row) * y_columns + (col))
#endif

#if VEC == 4
#define FLOATV float4
#define LOADV(p) load_four(p)
#define STOREV STORE_4
#else
#define FLOATV float
#define LOADV(p) (*(p))
#define STOREV STORE_1
#endif

/* ways: a power of two that divides GROUP */
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
__kernel void sum_splits(__global const float *parts, ulong parts_offset, ulong rows,
                         ulong columns, int splits, int ways EPILOGUE_PARAMS)
{
    __local FLOATV tree[GROUP];
    const int item = get_local_id(0), across = GROUP / ways, way = item / across;
    const ulong at = (get_group_id(0) * across + item % across) * VEC, size = rows * columns;
    __global const float *from = parts + parts_offset + at;
    FLOATV total = 0.0f;
    for (int s = way; s < splits && at < size; s += ways) total += LOADV(from + s * size);
    tree[item] = total;
    int h = ways / 2;
    do { // never skipped: see tile_gpu.h
        barrier(CLK_LOCAL_MEM_FENCE);
        if (way < h) tree[item] += tree[item + h * across];
        h /= 2;
    } while (h > 0);
    if (way == 0 && at < size) STOREV(tree[item], at / columns, at % columns);
}
