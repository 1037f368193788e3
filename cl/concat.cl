/*
 * Copies between row-major matrices of different widths.
 *
 * A tensor cut at an axis is a matrix: rows are the axes before it, a row is the axis and all
 * behind it. Then concat copies each input into a band of columns of the output. Widths and columns
 * are in units of WIDTH elements.
 * Global ids: (column / WIDTH, row); the first is rounded up to the work-group.
 */
#include "entry.h"

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

/* y[row][first + column] = x[row][column] for all columns of x. */
ENTRY void copy_band(WHERE_PARAMS __global const float *x, ulong x_offset, __global float *y,
                     ulong y_offset, ulong x_columns, ulong y_columns, ulong first)
{
    ulong column = WHERE_X, row = WHERE_Y;
    if (column >= x_columns) return;
    T value = LOAD(x + x_offset, row * x_columns + column);
    STORE(value, y + y_offset, row * y_columns + first + column);
}
