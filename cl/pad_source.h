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
