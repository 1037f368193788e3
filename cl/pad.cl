/*
 * Padding of one axis, and the sums that are its gradient.
 *
 * A tensor cut at the axis is a matrix: rows are the axes before it, a row is the axis and all
 * behind it (`inner` columns for each element of the axis). Columns are in units of WIDTH elements.
 * Global ids: (column / WIDTH, row); the first is rounded up to the work-group. Positions along the
 * axis are counted from the first element of x; `before` elements come in front of it.
 */
#include "entry.h"
#include "pad_source.h"

#ifndef WIDTH
#define WIDTH 4 // elements a work-item copies: 1 or 4 (all widths and columns divisible by 4)
#endif

#if WIDTH == 4
#define T float4
#define LOAD(p, i) vload4(i, p)
#define STORE(v, p, i) vstore4(v, i, p)
#else
#define T float
#define LOAD(p, i) (p)[i]
#define STORE(v, p, i) (p)[i] = (v)
#endif

/* y[row][column] = x[row][column - first] inside the band, `value` on both sides of it. */
ENTRY void pad_band(WHERE_PARAMS __global const float *x, ulong x_offset, __global float *y,
                    ulong y_offset, ulong x_columns, ulong y_columns, ulong first, float value)
{
    const ulong column = WHERE_X, row = WHERE_Y;
    if (column >= y_columns) return;
    const ulong from = column - first; /* wraps around in front of the band */
    T result = (T)(value);
    if (from < x_columns) result = LOAD(x + x_offset, row * x_columns + from);
    STORE(result, y + y_offset, row * y_columns + column);
}

/* MODE 0 spreads: element i of x comes to position i * step. */
ENTRY void pad_axis(WHERE_PARAMS __global const float *x, ulong x_offset, __global float *y,
                    ulong y_offset, ulong inner, int x_extent, int y_extent, int before, int step,
                    float value)
{
    const ulong column = WHERE_X, row = WHERE_Y, columns = y_extent * inner;
    if (column >= columns) return;
    const ulong at = column / inner;
    const int from = source((int)at - before, x_extent, step);
    T result = (T)(value);
    if (from >= 0)
        result = LOAD(x + x_offset, (row * x_extent + from) * inner + column - at * inner);
    STORE(result, y + y_offset, row * columns + column);
}

/* dx[row][i] = sum of g over the positions that x[row][i] came to: its own, those in front, those
 * behind. */
ENTRY void pad_backward(WHERE_PARAMS __global const float *g, ulong g_offset, __global float *dx,
                        ulong dx_offset, ulong inner, int x_extent, int y_extent, int before)
{
    const ulong column = WHERE_X, row = WHERE_Y, columns = x_extent * inner;
    if (column >= columns) return;
    const int i = (int)(column / inner);
    const copies c = copies_of(i, x_extent, y_extent, before);
    __global const float *gradients = g + g_offset;
    const ulong first = row * y_extent * inner + column - i * inner;
    T sum = LOAD(gradients, first + (before + i) * inner);
    for (int k = c.low0; k < c.low1; ++k) sum += LOAD(gradients, first + k * inner);
    for (int k = c.high0; k < c.high1; ++k) sum += LOAD(gradients, first + k * inner);
    STORE(sum, dx + dx_offset, row * columns + column);
}
