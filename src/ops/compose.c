/*
 * Operations that are made of others: one-hot codes, batch normalization, dropout, losses. Nothing
 * here has a kernel or a gradient rule of its own; the compiler fuses the pieces, and autodiff sees
 * through them. Where several formulas are equal, the one is taken that neither overflows nor
 * cancels, and whose gradient at the seams (x = 0, -inf) is the right one too.
 */
#include "ops/record.h"

clg_tensor *clg_one_hot(clg_tensor *index, int64_t classes)
{
    if (!index) return NULL;
    clg_shape column = index->shape;
    if (classes < 1 || column.ndim == CLG_MAX_DIMS)
        return clg__graph_fail(index->graph, CLG_ERROR_ARGUMENT,
                               "one_hot: %lld classes for indices %s: at least one class, and room "
                               "for one more axis (at most %d)",
                               (long long)classes, CLG__SHAPE_TEXT(&column), CLG_MAX_DIMS);
    column.dim[column.ndim++] = 1;
    clg_shape shape = column;
    shape.dim[shape.ndim - 1] = classes;
    clg_tensor *classes_of_row = clg_iota(clg_full(index->graph, shape, 0), -1);
    return CLG__COMPOSED(one_hot, clg_equal(classes_of_row, clg__reshape_to(index, &column)));
}

/* ---- batch normalization ---- */

/* All axes but the last, as a mask (of at least two axes). */
static uint32_t leading_axes(const clg_tensor *x)
{
    return (1u << (x->shape.ndim - 1)) - 1;
}

static bool check_batch_norm(clg_tensor *x, clg_tensor *const parameters[4])
{
    static const char *const names[] = {"scale", "shift", "running mean", "running variance"};
    if (x->shape.ndim < 2) {
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "batch_norm: expected (..., C) with at least two axes, got %s",
                        CLG__SHAPE_TEXT(&x->shape));
        return false;
    }
    int64_t channels = x->shape.dim[x->shape.ndim - 1];
    for (int i = 0; i < 4; i++) {
        const clg_tensor *p = parameters[i];
        if (!p || (p->shape.ndim == 1 && p->shape.dim[0] == channels)) continue;
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "batch_norm: input %s has %lld channels, %s %s", CLG__SHAPE_TEXT(&x->shape),
                        (long long)channels, names[i], CLG__SHAPE_TEXT(&p->shape));
        return false;
    }
    if ((parameters[2] != NULL) == (parameters[3] != NULL)) return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                    "batch_norm: running mean and running variance come together");
    return false;
}

/* running += momentum (value - running), at the end of each training step. */
static void follow(clg_tensor *running, clg_tensor *value, double momentum)
{
    clg_tensor *step = clg_mul(clg_sub(value, running), clg__number(running, momentum));
    clg_graph_update(clg_assign(running, clg_add(running, step)));
}

/* n / (n - 1) for n rows at the batch size of the run; 1 if there is only one row. */
static clg_tensor *unbiasing(const clg_tensor *x)
{
    int last = x->shape.ndim - 1;
    double rows = (double)(clg_shape_count(&x->shape) / x->shape.dim[last]);
    int power = __builtin_popcount(x->shape.batched & leading_axes(x));
    clg_tensor *n = clg__number_by_batch(x, rows, power);
    clg_tensor *one = clg__number(x, 1);
    return clg_div(n, clg_maximum(clg_sub(n, one), one));
}

clg_tensor *clg_batch_norm(clg_tensor *x, clg_tensor *const parameters[4],
                           const clg_batch_norm_params *params)
{
    static const clg_batch_norm_params defaults;
    if (!x || !parameters || !check_batch_norm(x, parameters)) return NULL;
    if (!params) params = &defaults;
    double momentum = params->momentum ? params->momentum : 0.1;
    double epsilon = params->epsilon ? params->epsilon : 1e-5;
    clg_tensor *scale = parameters[0], *shift = parameters[1];
    clg_tensor *running_mean = parameters[2], *running_variance = parameters[3];
    clg_tensor *mean = clg_mean(x, leading_axes(x), false);
    clg_tensor *variance = clg_mean(clg_square(clg_sub(x, mean)), leading_axes(x), false);
    if (running_mean) {
        follow(running_mean, mean, momentum);
        follow(running_variance, clg_mul(variance, unbiasing(x)), momentum);
        mean = clg_by_mode(mean, running_mean);
        variance = clg_by_mode(variance, running_variance);
    }
    clg_tensor *factor = clg_rsqrt(clg_add(variance, clg__number(x, epsilon)));
    if (scale) factor = clg_mul(factor, scale);
    clg_tensor *y = clg_mul(clg_sub(x, mean), factor);
    return CLG__COMPOSED(batch_norm, shift ? clg_add(y, shift) : y);
}

/* ---- dropout ---- */

clg_tensor *clg_dropout(clg_tensor *x, double p)
{
    if (!x) return NULL;
    if (!(p >= 0 && p < 1))
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "dropout: the probability %g is not within 0 <= p < 1", p);
    if (p == 0) return x;
    clg_tensor *kept = clg_greater_equal(clg_random_uniform(x), clg__number(x, p));
    clg_tensor *factor = clg_mul(kept, clg__number(x, 1 / (1 - p)));
    return CLG__COMPOSED(dropout, clg_by_mode(clg_mul(x, factor), x));
}

/* ---- losses ---- */

static bool check_labels(const char *name, clg_tensor *logits, clg_tensor *labels)
{
    const clg_shape *l = &logits->shape, *t = &labels->shape;
    if (l->ndim == 2 && t->ndim == 1 && l->dim[0] == t->dim[0] &&
        clg__batched(l, 0) == clg__batched(t, 0))
        return true;
    clg__graph_fail(logits->graph, CLG_ERROR_ARGUMENT,
                    "%s: expected logits (rows, classes) and labels (rows), got %s and %s", name,
                    CLG__SHAPE_TEXT(l), CLG__SHAPE_TEXT(t));
    return false;
}

clg_tensor *clg_softmax_cross_entropy(clg_tensor *logits, clg_tensor *labels)
{
    if (!logits || !labels || !check_labels("softmax_cross_entropy", logits, labels)) return NULL;
    clg_tensor *top = clg_stop_gradient(clg_max(logits, CLG_AXIS(1), true));
    clg_tensor *shifted = clg_sub(logits, top);
    clg_tensor *hot = clg_one_hot(labels, logits->shape.dim[1]);
    /* where, not a product: a logit of -inf elsewhere must not spoil the sum. */
    clg_tensor *picked = clg_where(hot, shifted, clg__number(logits, 0));
    clg_tensor *log_sum = clg_log(clg_sum(clg_exp(shifted), CLG_AXIS(1), false));
    clg_tensor *loss = clg_mean(clg_sub(log_sum, clg_sum(picked, CLG_AXIS(1), false)), 0, false);
    return CLG__COMPOSED(softmax_cross_entropy, loss);
}

/* A loss compares like with like: broadcasting here is a mistake of the caller. */
static bool check_targets(const char *name, clg_tensor *x, clg_tensor *target)
{
    if (clg__same_shape(&x->shape, &target->shape)) return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "%s: shapes %s and %s differ%s", name,
                    CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(&target->shape),
                    clg_shape_equal(&x->shape, &target->shape) ? " in what follows the batch size"
                                                               : "");
    return false;
}

clg_tensor *clg_mse(clg_tensor *x, clg_tensor *target)
{
    if (!x || !target || !check_targets("mse", x, target)) return NULL;
    return CLG__COMPOSED(mse, clg_mean(clg_square(clg_sub(x, target)), 0, false));
}

clg_tensor *clg_binary_cross_entropy_logits(clg_tensor *logits, clg_tensor *target)
{
    if (!logits || !target || !check_targets("binary_cross_entropy_logits", logits, target))
        return NULL;
    /* softplus is max(x, 0) + log1p(exp(-|x|)), with the right slope (1/2) at 0. */
    clg_tensor *loss = clg_sub(clg_softplus(logits, 1.0), clg_mul(logits, target));
    return CLG__COMPOSED(binary_cross_entropy_logits, clg_mean(loss, 0, false));
}

clg_tensor *clg_accuracy(clg_tensor *logits, clg_tensor *labels)
{
    if (!logits || !labels || !check_labels("accuracy", logits, labels)) return NULL;
    return CLG__COMPOSED(accuracy, clg_mean(clg_equal(clg_argmax(logits, 1), labels), 0, false));
}
