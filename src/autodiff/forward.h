/*
 * Forward mode in two steps, so that many tangents share the first: forward.c has the idea.
 */
#ifndef CLG_FORWARD_INTERNAL_H
#define CLG_FORWARD_INTERNAL_H

#include "autodiff/sweep.h"

typedef struct clg__forward {
    const char *name;    /* in messages */
    clg_tensor **u;      /* weights of the n_y results: stand-ins that no tangent depends on */
    clg_tensor **pulled; /* J^T u, for each of the n tensors */
    size_t n_y, n;
} clg__forward;

/** Prepares tangents of y[0 .. n_y-1] from those of wrt[0 .. n-1]. Free it even after a failure. */
clg_status clg__forward_start(clg__forward *f, const char *name, clg_tensor *const *y, size_t n_y,
                              clg_tensor *const *wrt, size_t n);
/** Builds out[k] = sum over i of dy[k] / dwrt[i] tangents[i]. */
clg_status clg__forward_run(const clg__forward *f, clg_tensor *const *tangents, clg_tensor **out);
void clg__forward_free(clg__forward *f);

#endif
