/*
 * Where padding takes its elements from. MODE as clg_pad_mode: 0 constant, 1 replicate, 2 reflect,
 * 3 circular; a constant also spreads, element i of x comes to position i * step.
 */
#ifndef MODE
#define MODE 1
#endif

/* The element of x that comes to position `at`; -1: none. Paddings are shorter than x where the
 * mode needs that (the builder checks). */
static inline int source(int at, int extent, int step)
{
#if MODE == 1
    return clamp(at, 0, extent - 1);
#elif MODE == 2
    const int mirrored = (int)abs(at);
    return mirrored < extent ? mirrored : 2 * (extent - 1) - mirrored;
#elif MODE == 3
    return at < 0 ? at + extent : at >= extent ? at - extent : at;
#else
    return at >= 0 && at % step == 0 && at / step < extent ? at / step : -1;
#endif
}

/* Where else than to its own position an element of x came: low0 .. low1 - 1 in front of x and
 * high0 .. high1 - 1 behind it. */
typedef struct copies {
    int low0, low1, high0, high1;
} copies;

static inline copies copies_of(int i, int x_extent, int y_extent, int before)
{
    const int behind = before + x_extent;
    copies c;
#if MODE == 1
    c.low0 = 0, c.low1 = i == 0 ? before : 0;
    c.high0 = behind, c.high1 = i == x_extent - 1 ? y_extent : behind;
#elif MODE == 2
    c.low0 = before - i, c.low1 = i > 0 && i <= before ? c.low0 + 1 : c.low0;
    c.high0 = behind + x_extent - 2 - i;
    c.high1 = i < x_extent - 1 && c.high0 < y_extent ? c.high0 + 1 : c.high0;
#else
    c.low0 = before + i - x_extent, c.low1 = c.low0 >= 0 ? c.low0 + 1 : c.low0;
    c.high0 = behind + i, c.high1 = c.high0 < y_extent ? c.high0 + 1 : c.high0;
#endif
    return c;
}
