/*
 * Entries: what work-items do, as functions that are told where they stand:
 *
 *     ENTRY void name(WHERE_PARAMS __global const float *x, ulong x_offset ... EPILOGUE_PARAMS)
 *     { ... WHERE_X, WHERE_Y and WHERE_Z: the global ids; WHERE_ITEMS: how many there are along x
 *
 * Without further ado they are kernels. Where ENTRY is defined they are functions: of kernels that
 * the program writes around them (src/program/entry.c), or of one that calls many of them in a row
 * (src/program/strands.c). Kernels whose work-items meet at barriers cannot be entries.
 */
#ifndef ENTRY_H
#define ENTRY_H
#ifdef ENTRY
#define WHERE_PARAMS                                                                               \
    const ulong where_x, const ulong where_y, const ulong where_z, const ulong where_items,
#define WHERE_X where_x
#define WHERE_Y where_y
#define WHERE_Z where_z
#define WHERE_ITEMS where_items
#else
#define ENTRY __kernel
#define WHERE_PARAMS
#define WHERE_X get_global_id(0)
#define WHERE_Y get_global_id(1)
#define WHERE_Z get_global_id(2)
#define WHERE_ITEMS get_global_size(0)
#endif
#endif
