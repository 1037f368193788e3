/*
 * Outputs of convolutions of the CPU engine, forward and backward to the data: which weights they
 * meet, where in the window (window_cpu.h) they look, and where in the result they are.
 */
#include "window_cpu.h"

/* The weights as the tile wants them: for each tap, source channels x output columns. */
typedef struct tap_weights {
    int2 first, step; // tap 0 in the kernel, and what the next adds
    int kernel_width;
    int rows, columns; // of a tap's matrix in memory: (IC / groups, OC)
    int transposed;
    int group_k, group_n, merged; // channels of `merged` small groups that are taken as one
} tap_weights;

/* Where the matrix of the i-th of `taps` begins. */
static ulong tap_matrix(const tap_weights *t, int2 taps, int i)
{
    const int2 at = t->first + (int2)(i / taps.s1, i % taps.s1) * t->step;
    return (ulong)(at.s0 * t->kernel_width + at.s1) * t->rows * t->columns;
}

/* Where in the window a tap's channels begin; returns the number of runs. */
static int tap_runs(__local int *base, const window_geometry *g, int width, int count, int flat)
{
    const int adjacent = g->spread.s1 == 1 && !flat; /* a kernel row's taps make one run */
    const int across = adjacent ? min(g->taps.s1, 1) : g->taps.s1;
    for (int i = 0; i < g->taps.s0; i++)
        for (int j = 0; j < across; j++)
            base[i * across + j] = (i * g->spread.s0 * width + j * g->spread.s1) * count;
    return g->taps.s0 * across;
}

/* Where in the window each pixel's first tap is; whole tiles of `unit`, the last pixel repeated. */
static void pixel_offsets(__local int *offset, const window_geometry *g, int q0, int rows,
                          int columns, int width, int count, int unit)
{
    const int first = window_row(g, q0);
    int at = 0;
    for (int q = q0; q < q0 + rows; q++) {
        const int line = (window_row(g, q) - first) * width;
        for (int j = 0; j < columns; j++) offset[at++] = (line + j * g->stride.s1) * count;
    }
    for (; at % unit; at++) offset[at] = offset[at - 1];
}

/* Outputs among the pixels of the result (N, size, channels): pixel first + i * step is output i.
 */
typedef struct placement {
    int2 size, first, step;
} placement;

/* Row of the result, seen as a matrix, of output column 0 in output row q. */
static ulong result_row(const placement *r, const window_geometry *g, int q)
{
    const int line = r->first.s0 + q % g->outputs.s0 * r->step.s0;
    return ((ulong)(q / g->outputs.s0) * r->size.s0 + line) * r->size.s1 + r->first.s1;
}

/* Rows of the result of a block's pixels, counted from result_row of its first row. */
static void pixel_places(__local int *place, const placement *r, const window_geometry *g, int q0,
                         int rows, int j0, int columns)
{
    for (int q = q0; q < q0 + rows; q++) {
        const int line = (int)(result_row(r, g, q) - result_row(r, g, q0));
        for (int j = 0; j < columns; j++) *place++ = line + (j0 + j) * r->step.s1;
    }
}
