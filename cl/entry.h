/*
 * Entries: what work-items do, as functions that are told where they stand:
 *
 *     ENTRY void name(WHERE_PARAMS __global const float *x, ulong x_offset ... EPILOGUE_PARAMS)
 *     { ... WHERE_X, WHERE_Y and WHERE_Z: the global ids; WHERE_ITEMS: how many there are along x
 *
 * The kernel of the same name that calls one is written by the program (src/program/entry.c), as is
 * one that runs many of them in a row (src/program/strands.c). Only entries can be called so: a
 * kernel whose work-items meet, at barriers, is written as a kernel.
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
#else // compiled alone
#define ENTRY __kernel
#define WHERE_PARAMS
#define WHERE_X get_global_id(0)
#define WHERE_Y get_global_id(1)
#define WHERE_Z get_global_id(2)
#define WHERE_ITEMS get_global_size(0)
#endif
#endif
