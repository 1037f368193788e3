/*
 * Differentiation: derivatives are ordinary nodes, built from the same operations, so that any of
 * them can be differentiated again. All functions record nodes in the graph of their tensors and
 * run nothing. They return CLG_ERROR_ARGUMENT for NULL, foreign or ill-shaped tensors, the graph's
 * own error if a builder failed before, and leave their outputs untouched on failure. The nodes
 * returned belong to the graph.
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

/**
 * Vector-Jacobian product: the same for any y, weighted by `seed` of y's shape. grads[i] = J_i^T
 * seed, where J_i is the derivative of y with respect to wrt[i].
 */
CLG_API clg_status clg_vjp(clg_tensor *y, clg_tensor *seed, clg_tensor *const *wrt, size_t n,
                           clg_tensor **grads);

/**
 * Jacobian-vector product (forward mode): how y changes when each wrt[i] moves along tangents[i],
 * which has its shape. *product = sum over i of J_i tangents[i], shaped like y. The nodes it adds
 * to a program are about those of one forward pass; nothing is swept backward when it runs.
 */
CLG_API clg_status clg_jvp(clg_tensor *y, clg_tensor *const *wrt, clg_tensor *const *tangents,
                           size_t n, clg_tensor **product);

/**
 * Hessian-vector product of scalar `y`: with the tensors of `wrt` seen as one vector and H its
 * matrix of second derivatives, products = H vectors, without H. vectors[i] and products[i] have
 * the shape of wrt[i]. Costs two to two and a half gradients.
 */
CLG_API clg_status clg_hvp(clg_tensor *y, clg_tensor *const *wrt, clg_tensor *const *vectors,
                           size_t n, clg_tensor **products);

typedef enum clg_autodiff_mode {
    CLG_AUTODIFF_AUTO,    /* the side with fewer elements */
    CLG_AUTODIFF_REVERSE, /* a vector-Jacobian product for each element of y */
    CLG_AUTODIFF_FORWARD  /* a Jacobian-vector product for each element of x */
} clg_autodiff_mode;

/**
 * The whole Jacobian dy/dx, of y's shape followed by x's (at most CLG_MAX_DIMS axes together), as
 * torch.autograd.functional.jacobian. The graph gets one product for each element of y or of x:
 * for few elements. The side that is taken apart must not follow the batch; the other one may.
 */
CLG_API clg_status clg_jacobian(clg_tensor *y, clg_tensor *x, clg_autodiff_mode mode,
                                clg_tensor **jacobian);
/** The Jacobian of scalar y's gradient: x's shape twice. `mode` says how the gradient is derived.
 */
CLG_API clg_status clg_hessian(clg_tensor *y, clg_tensor *x, clg_autodiff_mode mode,
                               clg_tensor **hessian);

#ifdef __cplusplus
}
#endif
#endif
