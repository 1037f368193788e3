/*
 * Random numbers: Philox4x32-10, a counter-based generator. There is no state: the four words for
 * (key, counter) are a pure function, so that a stream can start anywhere (resume), be cut over
 * threads and devices in any way, and give the same numbers everywhere.
 *
 * Who uses a stream picks the key from the seed and what the numbers are for, and the counter from
 * the position (step, element ...). Kernels use the same definition through Random123's OpenCL C
 * side; clg__uniform and clg__normal say how words become floats, for both.
 */
#ifndef CLG_RANDOM_INTERNAL_H
#define CLG_RANDOM_INTERNAL_H

#include <math.h>
#include <stdint.h>

#include <Random123/philox.h>

/**
 * The four random words at (key, counter). Low halves come first in Philox' word arrays: key word
 * 0 is the low half of `key`; counter words 0, 1 are `counter_lo`, words 2, 3 are `counter_hi`.
 */
static inline void clg__philox(uint64_t key, uint64_t counter_lo, uint64_t counter_hi,
                               uint32_t out[4])
{
    philox4x32_key_t k = {{(uint32_t)key, (uint32_t)(key >> 32)}};
    philox4x32_ctr_t c = {{(uint32_t)counter_lo, (uint32_t)(counter_lo >> 32), (uint32_t)counter_hi,
                           (uint32_t)(counter_hi >> 32)}};
    philox4x32_ctr_t words = philox4x32_R(10, c, k);
    for (int i = 0; i < 4; i++) out[i] = words.v[i];
}

/**
 * A word as a float, never 0: the middle of one of 2^24 equal steps. From 0.5 on the middle is a
 * tie and rounds to even, so that the last step gives exactly 1. Exact products: the same bits with
 * and without fused multiply-add.
 */
static inline float clg__uniform(uint32_t word)
{
    return (float)(word >> 8) * 0x1p-24f + 0x1p-25f;
}

/** Two independent standard normal values from two words (Box-Muller in double, then rounded). */
static inline void clg__normal(uint32_t a, uint32_t b, float out[2])
{
    double radius = sqrt(-2.0 * log((a + 0.5) * 0x1p-32));
    double angle = 6.283185307179586476925 * ((b + 0.5) * 0x1p-32);
    out[0] = (float)(radius * cos(angle));
    out[1] = (float)(radius * sin(angle));
}

/** A number in 0 .. bound - 1 (bound > 0); the bias is below bound / 2^64. */
static inline uint32_t clg__random_below(uint64_t key, uint64_t counter_lo, uint64_t counter_hi,
                                         uint32_t bound)
{
    uint32_t word[4];
    clg__philox(key, counter_lo, counter_hi, word);
    uint64_t low = (uint64_t)word[0] * bound >> 32, high = (uint64_t)word[1] * bound;
    return (uint32_t)((high + low) >> 32);
}

#endif
