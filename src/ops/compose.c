/*
 * Operations that are made of others: one-hot codes, dropout, losses (norms: normalize.c). Nothing
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

/* ---- dropout ---- */

/* `mask`: any tensor of the shape that zeros and ones are drawn in. */
static clg_tensor *dropped(clg_tensor *x, clg_tensor *mask, double p)
{
    clg_tensor *kept = clg_greater_equal(clg_random_uniform(mask), clg__number(x, p));
    clg_tensor *factor = clg_mul(kept, clg__number(x, 1 / (1 - p)));
    return clg_by_mode(clg_mul(x, factor), x);
}

static bool check_probability(const char *name, clg_tensor *x, double p)
{
    if (p >= 0 && p < 1) return true;
    return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                           "%s: the probability %g is not within 0 <= p < 1", name, p);
}

clg_tensor *clg_dropout(clg_tensor *x, double p)
{
    if (!x || !check_probability("dropout", x, p)) return NULL;
    return p == 0 ? x : CLG__COMPOSED(dropout, dropped(x, x, p));
}

clg_tensor *clg_channel_dropout(clg_tensor *x, double p)
{
    if (!x || !check_probability("channel_dropout", x, p)) return NULL;
    if (x->shape.ndim < 2)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "channel_dropout: expected (N, ..., C), got %s",
                               CLG__SHAPE_TEXT(&x->shape));
    if (p == 0) return x;
    clg_shape shape = x->shape;
    uint32_t between = ((1u << (shape.ndim - 1)) - 1) & ~1u;
    for (int i = 1; i < shape.ndim - 1; i++) shape.dim[i] = 1;
    shape.batched &= ~between;
    return CLG__COMPOSED(channel_dropout, dropped(x, clg_full(x->graph, shape, 0), p));
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
