/*
 * Reductions. The rows sum or maximise over a run of adjacent axes and keep them with extent 1;
 * the public builders split any set of axes into such runs, last run first, so that each step
 * reads less memory. Everything else (mean, argmax, norms, softmax) is composed of these two and
 * pointwise rows, and gets its gradient from them.
 */
#include "ops/record.h"

/* ---- rows ---- */

static void sum_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = clg_broadcast(g, out->inputs[0]->shape);
}
const clg__op clg__op_reduce_sum = {.name = "reduce_sum",
                                    .formula = "sum over adjacent axes",
                                    .class_ = CLG__REDUCE,
                                    .attr_size = sizeof(clg__reduce_attr),
                                    .gradient = sum_gradient};

/* Axes that a node reduces, as a mask for the public builders. */
static uint32_t reduced_axes(const clg_tensor *out)
{
    const clg__reduce_attr *attr = out->attr;
    return ((1u << attr->count) - 1) << attr->first;
}

/* Equal maxima share the gradient evenly. */
static void max_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    clg_tensor *winners = clg_equal(out->inputs[0], out);
    clg_tensor *share = clg_div(g, clg_sum(winners, reduced_axes(out), true));
    dx[0] = clg_mul(winners, share);
}
const clg__op clg__op_reduce_max = {.name = "reduce_max",
                                    .formula = "maximum over adjacent axes",
                                    .class_ = CLG__REDUCE,
                                    .attr_size = sizeof(clg__reduce_attr),
                                    .gradient = max_gradient};

/* ---- any set of axes ---- */

/* One number for all elements of a run of axes, and not for all elements altogether. */
static bool is_steady(const clg_tensor *t, const clg_tensor *x, int first, int count)
{
    int missing = x->shape.ndim - t->shape.ndim;
    for (int i = first; i < first + count; i++)
        if (i >= missing &&
            (t->shape.dim[i - missing] != 1 || clg__batched(&t->shape, i - missing)))
            return false;
    return clg_shape_count(&t->shape) > 1;
}

/*
 * A sum of products with one factor is that factor times a sum: rounded once, and in gradients of
 * normalizations often the sum that a bias needs as well. NULL if x is no such product.
 */
static clg_tensor *without_factor(clg_tensor *x, int first, int count, clg_tensor **factor)
{
    if (!clg__has_role(x, CLG__PRODUCT)) return NULL;
    for (int i = 0; i < 2; i++) {
        *factor = x->inputs[i];
        if (is_steady(*factor, x, first, count) &&
            clg__same_shape(&x->inputs[1 - i]->shape, &x->shape))
            return x->inputs[1 - i];
    }
    return NULL;
}

static clg_tensor *reduce_run(clg_tensor *x, clg__reduce_kind kind, int first, int count)
{
    static const clg__op *const rows[] = {
        [CLG__REDUCE_SUM] = &clg__op_reduce_sum, [CLG__REDUCE_MAX] = &clg__op_reduce_max};
    if (!x) return NULL;
    clg_tensor *factor, *rest = NULL;
    bool sum = kind == CLG__REDUCE_SUM;
    if (sum && clg__has_role(x, CLG__NEGATION))
        return clg_neg(reduce_run(x->inputs[0], kind, first, count));
    if (sum) rest = without_factor(x, first, count, &factor);
    if (rest) return clg_mul(reduce_run(rest, kind, first, count), factor);
    clg__reduce_attr attr = {.kind = kind, .first = first, .count = count};
    clg_shape shape = x->shape;
    for (int i = first; i < first + count; i++) shape.dim[i] = 1;
    shape.batched &= ~(((1u << count) - 1) << first);
    return clg__node(x->graph, rows[kind], CLG_F32, shape, &attr, 1, &x);
}

/* False, and the graph failed, when the mask names an axis that x does not have. 0 becomes all. */
bool clg__check_axes(const clg_tensor *x, const char *name, uint32_t *axes)
{
    uint32_t all = (1u << x->shape.ndim) - 1;
    if (*axes & ~all) {
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "%s: the axes 0x%x are not all within 0 .. %d of %s", name, (unsigned)*axes,
                        x->shape.ndim - 1, CLG__SHAPE_TEXT(&x->shape));
        return false;
    }
    if (*axes == 0) *axes = all;
    return true;
}

/* The shape with the reduced axes (extent 1 by now) taken out. */
clg_shape clg__without_axes(const clg_shape *shape, uint32_t axes)
{
    clg_shape result = {.ndim = 0};
    for (int i = 0; i < shape->ndim; i++) {
        if (axes >> i & 1) continue;
        result.batched |= (uint32_t)clg__batched(shape, i) << result.ndim;
        result.dim[result.ndim++] = shape->dim[i];
    }
    return result;
}

/* True where there is nothing to reduce at any batch size. */
static bool trivial_run(const clg_shape *shape, int first, int last)
{
    bool trivial = true;
    for (int i = first; i <= last; i++) trivial &= shape->dim[i] == 1 && !clg__batched(shape, i);
    return trivial;
}

static clg_tensor *reduce(clg_tensor *x, const char *name, clg__reduce_kind kind, uint32_t axes,
                          bool keep)
{
    if (!x || !clg__check_axes(x, name, &axes)) return NULL;
    for (int last = x->shape.ndim - 1; last >= 0; last--) {
        if (!(axes >> last & 1)) continue;
        int first = last;
        while (first > 0 && (axes >> (first - 1) & 1)) first--;
        if (!trivial_run(&x->shape, first, last)) x = reduce_run(x, kind, first, last - first + 1);
        if (!x) return NULL;
        last = first;
    }
    if (keep) return x;
    clg_shape shape = clg__without_axes(&x->shape, axes);
    return clg__reshape_to(x, &shape);
}

clg_tensor *clg_sum(clg_tensor *x, uint32_t axes, bool keep)
{
    clg_tensor *y = reduce(x, "sum", CLG__REDUCE_SUM, axes, keep);
    return y == x ? x : CLG__COMPOSED(sum, y);
}

clg_tensor *clg_max(clg_tensor *x, uint32_t axes, bool keep)
{
    clg_tensor *y = reduce(x, "max", CLG__REDUCE_MAX, axes, keep);
    return y == x ? x : CLG__COMPOSED(max, y);
}

clg_tensor *clg_mean(clg_tensor *x, uint32_t axes, bool keep)
{
    if (!x || !clg__check_axes(x, "mean", &axes)) return NULL;
    double count = 1;
    for (int i = 0; i < x->shape.ndim; i++)
        if (axes >> i & 1) count *= (double)x->shape.dim[i];
    /* Each reduced axis that follows the batch divides by it once more. */
    int power = -__builtin_popcount(x->shape.batched & axes);
    clg_tensor *factor = clg__number_by_batch(x, 1 / count, power);
    return CLG__COMPOSED(mean, clg_mul(clg_sum(x, axes, keep), factor));
}

/* ---- compositions ---- */

clg_tensor *clg_argmax(clg_tensor *x, int axis)
{
    if (!x || !clg__axis(x->graph, "argmax", &x->shape, &axis)) return NULL;
    /* The largest of the negative positions is the first; without a maximum (NaN) the result is
     * the extent, which is no position. */
    clg_tensor *winners = clg_equal(x, clg_max(x, CLG_AXIS(axis), true));
    clg_tensor *none =
        clg__number_by_batch(x, -(double)x->shape.dim[axis], clg__batched(&x->shape, axis));
    clg_tensor *positions = clg_where(winners, clg_neg(clg_iota(x, axis)), none);
    return CLG__COMPOSED(argmax, clg_neg(clg_max(positions, CLG_AXIS(axis), false)));
}

/* x - max(x): no exponential of it overflows, and one of them is 1. */
static clg_tensor *shifted(clg_tensor *x, int axis)
{
    return clg_sub(x, clg_stop_gradient(clg_max(x, CLG_AXIS(axis), true)));
}

clg_tensor *clg_softmax(clg_tensor *x, int axis)
{
    if (!x || !clg__axis(x->graph, "softmax", &x->shape, &axis)) return NULL;
    clg_tensor *e = clg_exp(shifted(x, axis));
    return CLG__COMPOSED(softmax, clg_div(e, clg_sum(e, CLG_AXIS(axis), true)));
}

clg_tensor *clg_log_softmax(clg_tensor *x, int axis)
{
    if (!x || !clg__axis(x->graph, "log_softmax", &x->shape, &axis)) return NULL;
    clg_tensor *s = shifted(x, axis);
    clg_tensor *log_sum = clg_log(clg_sum(clg_exp(s), CLG_AXIS(axis), true));
    return CLG__COMPOSED(log_softmax, clg_sub(s, log_sum));
}
