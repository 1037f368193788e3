/*
 * Concat and padding on CPU devices. A tensor cut at an axis is a matrix: rows are the axes before
 * it, a row is the axis and all behind it. What concat.cl and pad.cl do element by element is done
 * line by line here: a work-item copies `lines_each` of the `lines`, which are rows of adjacent
 * floats. Global id: the first of them / lines_each.
 */
#include "entry.h"
#include "pad_source.h"

static void copy_line(__global float *restrict to, __global const float *restrict from, ulong count)
{
    for (ulong i = 0; i < count; i++) to[i] = from[i];
}

static void add_line(__global float *restrict to, __global const float *restrict from, ulong count)
{
    for (ulong i = 0; i < count; i++) to[i] += from[i];
}

static void fill_line(__global float *to, float value, ulong count)
{
    for (ulong i = 0; i < count; i++) to[i] = value;
}

/* y[row][first + column] = x[row][column] for all columns of x. Lines are rows. */
ENTRY void copy_band(WHERE_PARAMS __global const float *x, ulong x_offset, __global float *y,
                     ulong y_offset, ulong x_columns, ulong y_columns, ulong first, ulong lines,
                     ulong lines_each)
{
    const ulong begin = WHERE_X * lines_each, end = min(begin + lines_each, lines);
    for (ulong row = begin; row < end; row++)
        copy_line(y + y_offset + row * y_columns + first, x + x_offset + row * x_columns,
                  x_columns);
}

/* y[row][column] = x[row][column - first] inside the band, `value` on both sides of it. */
ENTRY void pad_band(WHERE_PARAMS __global const float *x, ulong x_offset, __global float *y,
                    ulong y_offset, ulong x_columns, ulong y_columns, ulong first, float value,
                    ulong lines, ulong lines_each)
{
    const ulong begin = WHERE_X * lines_each, end = min(begin + lines_each, lines);
    const ulong behind = first + x_columns;
    for (ulong row = begin; row < end; row++) {
        __global float *to = y + y_offset + row * y_columns;
        fill_line(to, value, first);
        copy_line(to + first, x + x_offset + row * x_columns, x_columns);
        fill_line(to + behind, value, y_columns - behind);
    }
}

/* A line is one position of the axis, of `inner` floats. */
ENTRY void pad_axis(WHERE_PARAMS __global const float *x, ulong x_offset, __global float *y,
                    ulong y_offset, ulong inner, int x_extent, int y_extent, int before, int step,
                    float value, ulong lines, ulong lines_each)
{
    const ulong begin = WHERE_X * lines_each, end = min(begin + lines_each, lines);
    for (ulong line = begin; line < end; line++) {
        const ulong row = line / y_extent;
        const int from = source((int)(line - row * y_extent) - before, x_extent, step);
        __global float *to = y + y_offset + line * inner;
        if (from < 0)
            fill_line(to, value, inner);
        else
            copy_line(to, x + x_offset + (row * x_extent + from) * inner, inner);
    }
}

/* A line is one position of the axis of dx. */
ENTRY void pad_backward(WHERE_PARAMS __global const float *g, ulong g_offset, __global float *dx,
                        ulong dx_offset, ulong inner, int x_extent, int y_extent, int before,
                        ulong lines, ulong lines_each)
{
    const ulong begin = WHERE_X * lines_each, end = min(begin + lines_each, lines);
    for (ulong line = begin; line < end; line++) {
        const ulong row = line / x_extent;
        const int i = (int)(line - row * x_extent);
        const copies c = copies_of(i, x_extent, y_extent, before);
        __global const float *from = g + g_offset + row * y_extent * inner;
        __global float *to = dx + dx_offset + line * inner;
        copy_line(to, from + (before + i) * inner, inner);
        for (int k = c.low0; k < c.low1; ++k) add_line(to, from + k * inner, inner);
        for (int k = c.high0; k < c.high1; ++k) add_line(to, from + k * inner, inner);
    }
}
