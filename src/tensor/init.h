/*
 * Initial values of variables: see clg_init in clgrad/tensor.h.
 */
#ifndef CLG_INIT_INTERNAL_H
#define CLG_INIT_INTERNAL_H

#include "clgrad/tensor.h"

/**
 * Numbers of inputs and outputs that one weight connects, from a weight's shape (.., IC, OC): axes
 * before the last two are the kernel area, which counts on both sides. A vector has fan_in 1.
 */
void clg__init_fans(const clg_shape *shape, int64_t *fan_in, int64_t *fan_out);

/**
 * Fills data[0 .. count of shape - 1]. The numbers depend on (seed, name, element) only, so that
 * they do not change with the device or when other variables come and go. An unknown kind or a
 * parameter that is not a finite number is CLG_ERROR_ARGUMENT naming the variable.
 */
clg_status clg__init_fill(const clg_init *init, const clg_shape *shape, uint64_t seed,
                          const char *name, float *data);

#endif
