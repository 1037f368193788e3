/*
 * The reverse sweep that all of differentiation is made of: any number of results pulled back to
 * any number of tensors at once.
 */
#ifndef CLG_SWEEP_INTERNAL_H
#define CLG_SWEEP_INTERNAL_H

#include "clgrad/autodiff.h"
#include "ops/record.h"

/* One sweep: grads[i] = sum over k of (dy[k] / dwrt[i])^T seeds[k]. */
typedef struct clg__sweep {
    const char *name; /* in messages: "gradients", "jvp" ... */
    clg_tensor *const *y, *const *seeds;
    size_t n_y;
    clg_tensor *const *wrt;
    size_t n;
} clg__sweep;

/** Builds the gradients into grads[0 .. n-1]; tensors and shapes were checked by the caller. */
clg_status clg__sweep_run(const clg__sweep *asked, clg_tensor **grads);

typedef struct clg__tensors {
    clg_tensor *const *items;
    size_t n;
} clg__tensors;

/** None of the tensors in the lists is NULL, all are of one graph, and that graph has no error. */
clg_status clg__check_tensors(const char *name, const clg__tensors *lists, size_t n);
/** t has the shape of `like`: "NAME: the WHAT has shape (2), WHOSE has (3)". */
clg_status clg__check_shape(const char *name, const char *what, const clg_tensor *t,
                            const char *whose, const clg_tensor *like);
/** y is one number at every batch size: "NAME: y has shape (2); only of a single number ADVICE". */
clg_status clg__check_number(const char *name, const clg_tensor *y, const char *advice);

#endif
