/*
 * Differentiation: gradients are ordinary nodes, built from the same operations.
 */
#ifndef CLGRAD_AUTODIFF_H
#define CLGRAD_AUTODIFF_H

#include "clgrad/device.h"
#include "clgrad/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Builds the gradients of scalar `y` with respect to each of `wrt` into grads[0 .. n-1], summed
 * over all paths, each shared part once. A tensor that y does not depend on gets zeros.
 * Differentiating the results again gives higher orders. An operation without gradient on the way
 * is an error that names it.
 */
CLG_API clg_status clg_gradients(clg_tensor *y, clg_tensor *const *wrt, size_t n,
                                 clg_tensor **grads);

/** Same for any y, weighted by `seed` of y's shape (a vector-Jacobian product). */
CLG_API clg_status clg_vjp(clg_tensor *y, clg_tensor *seed, clg_tensor *const *wrt, size_t n,
                           clg_tensor **grads);

#ifdef __cplusplus
}
#endif
#endif
