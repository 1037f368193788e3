/*
 * Whole Jacobians, row by row (reverse mode) or column by column (forward mode). Each row or column
 * is a product of its own in the graph, so that the cost is that of the smaller side: a helper for
 * few numbers, for tests and for studies. Products with vectors need no Jacobian.
 */
#include "autodiff/forward.h"

/* 1 at element `index`, 0 elsewhere, shaped like x (which does not follow the batch). */
static clg_tensor *unit(const clg_tensor *x, int64_t index)
{
    clg_tensor *flat = clg_full(x->graph, CLG_SHAPE(clg_shape_count(&x->shape)), 0);
    clg_tensor *hot = clg_equal(clg_iota(flat, 0), clg__number(x, (double)index));
    return clg__reshape_to(hot, &x->shape);
}

/* The shape a followed by the shape b. */
static clg_shape joined_shape(const clg_shape *a, const clg_shape *b)
{
    clg_shape shape = *a;
    for (int i = 0; i < b->ndim; i++) shape.dim[shape.ndim++] = b->dim[i];
    shape.batched |= b->batched << a->ndim;
    return shape;
}

/* Parts shaped like `whole` without y's axes (axis 0) or without x's (axis -1), put together. */
static clg_tensor *assemble(clg_tensor **parts, int64_t n, int axis, const clg_shape *whole)
{
    const clg_shape one = CLG_SHAPE(1);
    for (int64_t i = 0; i < n; i++) {
        if (!parts[i]) return NULL;
        clg_shape shape =
            axis == 0 ? joined_shape(&one, &parts[i]->shape) : joined_shape(&parts[i]->shape, &one);
        if (n > 1) parts[i] = clg__reshape_to(parts[i], &shape);
    }
    return clg__reshape_to(clg_concat(parts, (int)n, axis), whole);
}

static clg_status rows(clg_tensor *y, clg_tensor *x, clg_tensor **parts, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        clg_tensor *seed = unit(y, i);
        if (!seed) return clg__graph_check(y->graph);
        const clg__sweep sweep = {"jacobian", &y, &seed, 1, &x, 1};
        CLG_TRY(clg__sweep_run(&sweep, &parts[i]));
    }
    return CLG_OK;
}

static clg_status columns(clg_tensor *y, clg_tensor *x, clg_tensor **parts, int64_t n)
{
    clg__forward f;
    clg_status status = clg__forward_start(&f, "jacobian", &y, 1, &x, 1);
    for (int64_t i = 0; i < n && status == CLG_OK; i++) {
        clg_tensor *tangent = unit(x, i);
        status = tangent ? clg__forward_run(&f, &tangent, &parts[i]) : clg__graph_check(x->graph);
    }
    clg__forward_free(&f);
    return status;
}

static clg_autodiff_mode choose(const clg_tensor *y, const clg_tensor *x, clg_autodiff_mode mode)
{
    if (mode != CLG_AUTODIFF_AUTO) return mode;
    if (y->shape.batched || x->shape.batched)
        return y->shape.batched ? CLG_AUTODIFF_FORWARD : CLG_AUTODIFF_REVERSE;
    return clg_shape_count(&x->shape) < clg_shape_count(&y->shape) ? CLG_AUTODIFF_FORWARD
                                                                   : CLG_AUTODIFF_REVERSE;
}

static clg_status check(const clg_tensor *y, const clg_tensor *x, clg_autodiff_mode mode)
{
    const clg_tensor *side = mode == CLG_AUTODIFF_FORWARD ? x : y;
    if ((unsigned)mode > CLG_AUTODIFF_FORWARD)
        return clg__fail(CLG_ERROR_ARGUMENT, "jacobian: unknown mode %d", (int)mode);
    if (y->shape.ndim + x->shape.ndim > CLG_MAX_DIMS)
        return clg__fail(CLG_ERROR_UNSUPPORTED,
                         "jacobian: y %s and x %s have more than %d axes together; reshape one of "
                         "them",
                         CLG__SHAPE_TEXT(&y->shape), CLG__SHAPE_TEXT(&x->shape), CLG_MAX_DIMS);
    if (!side->shape.batched && clg_shape_count(&side->shape) <= 1 << 24) return CLG_OK;
    return clg__fail(CLG_ERROR_UNSUPPORTED,
                     "jacobian: one product for each element of %s %s, whose number follows the "
                     "batch or is too large; use clg_vjp or clg_jvp",
                     side == x ? "x" : "y", CLG__SHAPE_TEXT(&side->shape));
}

clg_status clg_jacobian(clg_tensor *y, clg_tensor *x, clg_autodiff_mode mode, clg_tensor **jacobian)
{
    CLG__NEEDS(jacobian);
    const clg__tensors lists[] = {{&y, 1}, {&x, 1}};
    CLG_TRY(clg__check_tensors("jacobian", lists, CLG__COUNT(lists)));
    mode = choose(y, x, mode);
    CLG_TRY(check(y, x, mode));
    bool forward = mode == CLG_AUTODIFF_FORWARD;
    int64_t n = clg_shape_count(forward ? &x->shape : &y->shape);
    clg_tensor **parts = clg__calloc((size_t)n, sizeof(clg_tensor *));
    if (!parts) return CLG_ERROR_MEMORY;
    clg_status status = forward ? columns(y, x, parts, n) : rows(y, x, parts, n);
    clg_shape whole = joined_shape(&y->shape, &x->shape);
    clg_tensor *result = status == CLG_OK ? assemble(parts, n, forward ? -1 : 0, &whole) : NULL;
    clg__free(parts);
    if (result) *jacobian = result;
    return status == CLG_OK ? clg__graph_check(y->graph) : status;
}

clg_status clg_hessian(clg_tensor *y, clg_tensor *x, clg_autodiff_mode mode, clg_tensor **hessian)
{
    clg_tensor *gradient = NULL;
    CLG_TRY(clg_gradients(y, &x, 1, &gradient));
    return clg_jacobian(gradient, x, mode, hessian);
}
