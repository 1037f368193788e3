/*
 * Row numbers: checking and joining them, and finding the equal ones.
 *
 *     index (n)  row numbers; -1: no row
 *     first (n)  position of the first equal number; -1 where index is
 *     next (n)   position of the next equal number; -1 at the last one
 *
 * Two ways to find equals. Processors: one work-item with a hash table, a few nanoseconds per
 * number. Graphics cards: every work-item looks for its own among the others, which a work-group
 * reads through local memory; n^2 / 2 comparisons, but of integers, and all at once.
 */
#include "entry.h"
#include "row_index.h"

#ifndef GROUP
#define GROUP 64 // work-items of a group that looks for equals, and numbers it reads at once
#endif

/* y[i] = index[i], or -1 for what is outside 0 .. rows - 1. */
ENTRY void row_index(WHERE_PARAMS __global const INDEX_T *index, ulong index_offset,
                     __global int *y, ulong y_offset, ulong count, ulong rows)
{
    const ulong i = WHERE_X;
    if (i < count) y[y_offset + i] = (int)row_number(index[index_offset + i], rows);
}

/* ---- one work-item ---- */

/* `slots` (a power of two, at least 2 n of them) hold positions, -1: free. */
ENTRY void first_equal_hashed(WHERE_PARAMS __global const int *index, ulong index_offset,
                              __global int *first, ulong first_offset, __global int *slots,
                              ulong slots_offset, int count, uint n_slots)
{
    index += index_offset;
    first += first_offset;
    slots += slots_offset;
    for (uint s = 0; s < n_slots; ++s) slots[s] = -1;
    for (int i = 0; i < count; ++i) {
        const int row = index[i];
        first[i] = -1;
        if (row < 0) continue;
        uint slot = (uint)row * 2654435769u; // spreads neighbours: the golden ratio
        slot = (slot ^ slot >> 16) & (n_slots - 1);
        while (slots[slot] >= 0 && index[slots[slot]] != row) slot = (slot + 1) & (n_slots - 1);
        if (slots[slot] < 0) slots[slot] = i;
        first[i] = slots[slot];
    }
}

/* `last`: room for n positions, the last equal one so far of each first one. */
ENTRY void next_equal_linked(WHERE_PARAMS __global const int *first, ulong first_offset,
                             __global int *next, ulong next_offset, __global int *last,
                             ulong last_offset, int count)
{
    first += first_offset;
    next += next_offset;
    last += last_offset;
    for (int i = 0; i < count; ++i) {
        next[i] = -1;
        if (first[i] < 0) continue;
        if (first[i] != i) next[last[first[i]]] = i;
        last[first[i]] = i;
    }
}

/* ---- many work-items ---- */

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
first_equal_searched(__global const int *index, ulong index_offset, __global int *first,
                     ulong first_offset, int count)
{
    __local int tile[GROUP];
    const int i = (int)get_global_id(0), local_id = (int)get_local_id(0);
    const int group_end = (int)(get_group_id(0) + 1) * GROUP;
    index += index_offset;
    const int row = i < count ? index[i] : -1;
    int found = -1;
    for (int base = 0; base < group_end; base += GROUP) {
        barrier(CLK_LOCAL_MEM_FENCE);
        tile[local_id] = base + local_id < count ? index[base + local_id] : -1;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < GROUP; ++k)
            if (found < 0 && tile[k] == row) found = base + k; // at the latest its own position
    }
    if (i < count) first[first_offset + i] = row < 0 ? -1 : found;
}

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
next_equal_searched(__global const int *first, ulong first_offset, __global int *next,
                    ulong next_offset, int count)
{
    __local int tile[GROUP];
    const int i = (int)get_global_id(0), local_id = (int)get_local_id(0);
    first += first_offset;
    const int own = i < count ? first[i] : -1;
    int found = -1;
    for (int base = (int)get_group_id(0) * GROUP; base < count; base += GROUP) {
        barrier(CLK_LOCAL_MEM_FENCE);
        tile[local_id] = base + local_id < count ? first[base + local_id] : -1;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < GROUP; ++k)
            if (found < 0 && base + k > i && tile[k] == own) found = base + k;
    }
    if (i < count) next[next_offset + i] = own < 0 ? -1 : found;
}
