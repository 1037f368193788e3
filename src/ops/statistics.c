/*
 * Reductions that are made of others: minimum, variance, norms, log-sum-exp. Each is one pass over
 * x. Where PyTorch chooses a gradient at a kink, it is the same here: norms and deviations of 0
 * have the gradient 0, equal extremes share it.
 */
#include <math.h>

#include "ops/record.h"

/* Takes the reduced axes, which have extent 1, out of the shape unless they are to stay. */
static clg_tensor *finish(clg_tensor *x, uint32_t axes, bool keep)
{
    if (!x || keep) return x;
    clg_shape shape = clg__without_axes(&x->shape, axes);
    return clg__reshape_to(x, &shape);
}

/* Square root with the gradient 0 at 0. */
static clg_tensor *root(clg_tensor *x)
{
    clg_tensor *zero = clg__number(x, 0);
    return clg_mul(clg_sqrt(clg_add(x, clg_equal(x, zero))), clg_not_equal(x, zero));
}

clg_tensor *clg_min(clg_tensor *x, uint32_t axes, bool keep)
{
    if (!x || !clg__check_axes(x, "min", &axes)) return NULL;
    return CLG__COMPOSED(min, clg_neg(clg_max(clg_neg(x), axes, keep)));
}

clg_tensor *clg_argmin(clg_tensor *x, int axis)
{
    if (!x || !clg__axis(x->graph, "argmin", &x->shape, &axis)) return NULL;
    return CLG__COMPOSED(argmin, clg_argmax(clg_neg(x), axis));
}

/* The variance over n - 1 at the batch size of the run (NaN for n = 1, as in PyTorch), or over n.
 */
static clg_tensor *variance_over(clg_tensor *x, uint32_t axes, bool unbiased)
{
    clg_tensor *variance = clg__moments_over(x, axes).variance;
    if (!variance || !unbiased) return variance;
    double count = 1;
    for (int i = 0; i < x->shape.ndim; i++)
        if (axes >> i & 1) count *= (double)x->shape.dim[i];
    int power = __builtin_popcount(x->shape.batched & axes);
    /* Shaped like the variance, so that it is computed with it and not by a kernel of its own. */
    clg_tensor *n = clg_broadcast(clg__number_by_batch(x, count, power), variance->shape);
    return clg_mul(variance, clg_div(n, clg_sub(n, clg__number(x, 1))));
}

clg_tensor *clg_variance(clg_tensor *x, uint32_t axes, bool unbiased, bool keep)
{
    if (!x || !clg__check_axes(x, "variance", &axes)) return NULL;
    return CLG__COMPOSED(variance, finish(variance_over(x, axes, unbiased), axes, keep));
}

clg_tensor *clg_standard_deviation(clg_tensor *x, uint32_t axes, bool unbiased, bool keep)
{
    if (!x || !clg__check_axes(x, "standard_deviation", &axes)) return NULL;
    clg_tensor *deviation = root(variance_over(x, axes, unbiased));
    return CLG__COMPOSED(standard_deviation, finish(deviation, axes, keep));
}

clg_tensor *clg_vector_norm(clg_tensor *x, double p, uint32_t axes, bool keep)
{
    if (!x || !clg__check_axes(x, "vector_norm", &axes)) return NULL;
    clg_tensor *y;
    if (p == 1) {
        y = clg_sum(clg_abs(x), axes, keep);
    } else if (p == 2) {
        y = finish(root(clg_sum(clg_square(x), axes, true)), axes, keep);
    } else if (isinf(p)) {
        y = p > 0 ? clg_max(clg_abs(x), axes, keep) : clg_min(clg_abs(x), axes, keep);
    } else {
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "vector_norm: p = %g; there are the norms 1, 2, INFINITY and "
                               "-INFINITY",
                               p);
    }
    return CLG__COMPOSED(vector_norm, y);
}

clg_tensor *clg_norm(clg_tensor *x)
{
    return CLG__COMPOSED(norm, root(clg_sum(clg_square(x), 0, false)));
}

clg_tensor *clg_log_sum_exp(clg_tensor *x, uint32_t axes, bool keep)
{
    if (!x || !clg__check_axes(x, "log_sum_exp", &axes)) return NULL;
    /* Shifted by the maximum, where that is a number: inf - inf would be none. */
    clg_tensor *top = clg_max(x, axes, true);
    clg_tensor *finite = clg_less(clg_abs(top), clg__number(x, INFINITY));
    top = clg_stop_gradient(clg_where(finite, top, clg__number(x, 0)));
    clg_tensor *sum = clg_sum(clg_exp(clg_sub(x, top)), axes, true);
    return CLG__COMPOSED(log_sum_exp, finish(clg_add(clg_log(sum), top), axes, keep));
}

clg_tensor *clg_dead_units(clg_tensor *x)
{
    if (!x) return NULL;
    if (x->shape.ndim < 2)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "dead_units: expected (..., units) with at least two axes, got %s",
                               CLG__SHAPE_TEXT(&x->shape));
    uint32_t rows = (1u << (x->shape.ndim - 1)) - 1;
    clg_tensor *largest = clg_max(clg_abs(x), rows, false);
    return CLG__COMPOSED(dead_units, clg_mean(clg_equal(largest, clg__number(x, 0)), 0, false));
}
