/*
 * Operations that are made of others: one-hot codes, dropout (norms: normalize.c; losses:
 * losses.c). Nothing here has a kernel or a gradient rule of its own; the compiler fuses the
 * pieces, and autodiff sees through them. Where several formulas are equal, the one is taken that
 * neither overflows nor cancels, and whose gradient at the seams (x = 0, -inf) is the right one
 * too.
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
