/*
 * Random numbers of the tool: bits as a function of a seed and a number, so that a sequence can
 * start anywhere and is the same on each machine. The mixing function of SplitMix64 (Steele, Lea,
 * Flood: Fast splittable pseudorandom number generators, 2014), on two counters.
 */
#ifndef CLTRAIN_RANDOM_BITS_H
#define CLTRAIN_RANDOM_BITS_H

#include <stdint.h>

static inline uint64_t mix_bits(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static inline uint64_t random_bits(uint64_t seed, uint64_t number)
{
    return mix_bits(mix_bits(seed + 0x9e3779b97f4a7c15) + number * 0x9e3779b97f4a7c15);
}

/* 0 .. below 1 */
static inline double random_unit(uint64_t seed, uint64_t number)
{
    return (double)(random_bits(seed, number) >> 11) * 0x1p-53;
}

#endif
