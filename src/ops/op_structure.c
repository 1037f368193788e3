/*
 * Structure: reshape, transpose, broadcast (slices: op_slice.c). None of them computes anything:
 * aliases share their input's memory, views tell the reader which of its elements to take.
 * Gradients are structure again: transpose back, sum what was repeated.
 *
 * The surprising part is the batch: a shape knows which extents follow the batch size, and every
 * rule here has to hold at each batch size, not only at the graph's.
 */
#include "ops/record.h"

/* ---- reshape ---- */

static void reshape_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = clg__reshape_to(g, &out->inputs[0]->shape);
}
const clg__op clg__op_reshape = {.name = "reshape",
                                 .formula = "the same elements in another shape",
                                 .class_ = CLG__ALIAS,
                                 .gradient = reshape_gradient};

clg_tensor *clg__reshape_to(clg_tensor *x, const clg_shape *shape)
{
    if (!x || clg__same_shape(&x->shape, shape)) return x;
    clg_graph *g = x->graph;
    const char *fault = clg__shape_fault(shape, g->batch);
    if (fault)
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT, "reshape: %s %s", CLG__SHAPE_TEXT(shape),
                               fault);
    if (clg_shape_count(&x->shape) != clg_shape_count(shape))
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                               "reshape: %s has %lld elements, which do not make %s",
                               CLG__SHAPE_TEXT(&x->shape), (long long)clg_shape_count(&x->shape),
                               CLG__SHAPE_TEXT(shape));
    if (clg__batched_count(&x->shape) != clg__batched_count(shape))
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                               "reshape: %d extents of %s follow the batch, but %d of %s do; give "
                               "one extent as CLG_BATCH",
                               clg__batched_count(&x->shape), CLG__SHAPE_TEXT(&x->shape),
                               clg__batched_count(shape), CLG__SHAPE_TEXT(shape));
    return clg__node(g, &clg__op_reshape, x->dtype, *shape, NULL, 1, &x);
}

/* The axis given as CLG_BATCH, or -1; *rest is the product of the others. False if there are two.
 */
static bool find_free_extent(const clg_shape *shape, int *axis, int64_t *rest)
{
    *axis = -1;
    *rest = 1;
    for (int i = 0; i < shape->ndim; i++) {
        if (shape->dim[i] != CLG_BATCH) {
            if (!clg__mul_i64(*rest, shape->dim[i], rest)) return false;
        } else if (*axis >= 0) {
            return false;
        } else {
            *axis = i;
        }
    }
    return *rest > 0;
}

clg_tensor *clg_reshape(clg_tensor *x, clg_shape shape)
{
    if (!x) return NULL;
    int axis = -1;
    int64_t rest = 1;
    bool fits = shape.ndim >= 0 && shape.ndim <= CLG_MAX_DIMS &&
                find_free_extent(&shape, &axis, &rest) &&
                (axis < 0 || clg_shape_count(&x->shape) % rest == 0);
    if (!fits)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "reshape: %s does not fit in %s",
                               CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(&shape));
    if (axis < 0) return clg__reshape_to(x, &shape);
    shape.dim[axis] = clg_shape_count(&x->shape) / rest;
    if (!x->shape.batched) return clg__reshape_to(x, &shape);
    if (shape.dim[axis] % x->graph->batch != 0)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "reshape: extent %d of %s would be no multiple of the batch size "
                               "%lld",
                               axis, CLG__SHAPE_TEXT(&shape), (long long)x->graph->batch);
    shape.batched |= 1u << axis;
    return clg__reshape_to(x, &shape);
}

clg_tensor *clg_flatten(clg_tensor *x)
{
    if (!x) return NULL;
    if (x->shape.ndim < 1)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "flatten: a scalar has no rows; it needs at least one axis");
    clg_shape shape = {.ndim = 2, .dim = {x->shape.dim[0], 1}, .batched = x->shape.batched & 1};
    for (int i = 1; i < x->shape.ndim; i++) shape.dim[1] *= x->shape.dim[i];
    if (x->shape.batched >> 1) shape.batched |= 2;
    clg_tensor *y = clg__reshape_to(x, &shape);
    return y == x ? x : CLG__COMPOSED(flatten, y);
}

/* ---- stop_gradient ---- */

static void no_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = NULL;
}
const clg__op clg__op_stop_gradient = {.name = "stop_gradient",
                                       .formula = "x, seen as a constant by gradients",
                                       .class_ = CLG__ALIAS,
                                       .gradient = no_gradient};

clg_tensor *clg_stop_gradient(clg_tensor *x)
{
    return x ? clg__node(x->graph, &clg__op_stop_gradient, x->dtype, x->shape, NULL, 1, &x) : NULL;
}

/* ---- views: strides into the contiguous input ---- */

typedef struct transpose_attr {
    int32_t order[CLG_MAX_DIMS]; /* axis i of the result is axis order[i] of the input */
} transpose_attr;

static void transpose_view(const clg_tensor *out, const clg_shape *in, const clg_shape *out_shape,
                           int64_t *offset, int64_t *strides)
{
    const transpose_attr *attr = out->attr;
    int64_t in_strides[CLG_MAX_DIMS];
    clg__contiguous_strides(in, in_strides);
    for (int i = 0; i < out_shape->ndim; i++) strides[i] = in_strides[attr->order[i]];
    *offset = 0;
}

static void transpose_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    const transpose_attr *attr = out->attr;
    int inverse[CLG_MAX_DIMS] = {0};
    for (int i = 0; i < out->shape.ndim; i++) inverse[attr->order[i]] = i;
    dx[0] = clg_transpose(g, inverse);
}
const clg__op clg__op_transpose = {.name = "transpose",
                                   .formula = "axes in another order",
                                   .class_ = CLG__VIEW,
                                   .attr_size = sizeof(transpose_attr),
                                   .gradient = transpose_gradient,
                                   .view = transpose_view};

clg_tensor *clg_transpose(clg_tensor *x, const int *order)
{
    if (!x) return NULL;
    if (!order && x->shape.ndim)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "transpose: the order is NULL");
    transpose_attr attr = {{0}};
    clg_shape shape = {.ndim = x->shape.ndim};
    unsigned seen = 0;
    bool sorted = true;
    for (int i = 0; i < shape.ndim; i++) {
        int from = order[i];
        if (from < 0 || from >= shape.ndim || (seen >> from & 1))
            return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                                   "transpose: order[%d] = %d: each axis 0 .. %d of %s must occur "
                                   "once",
                                   i, from, shape.ndim - 1, CLG__SHAPE_TEXT(&x->shape));
        seen |= 1u << from;
        sorted &= from == i;
        attr.order[i] = from;
        shape.dim[i] = x->shape.dim[from];
        shape.batched |= (uint32_t)clg__batched(&x->shape, from) << i;
    }
    if (sorted) return x;
    return clg__node(x->graph, &clg__op_transpose, x->dtype, shape, &attr, 1, &x);
}

static void broadcast_view(const clg_tensor *out, const clg_shape *in, const clg_shape *out_shape,
                           int64_t *offset, int64_t *strides)
{
    int64_t in_strides[CLG_MAX_DIMS];
    clg__contiguous_strides(in, in_strides);
    int lead = out_shape->ndim - in->ndim;
    for (int i = 0; i < out_shape->ndim; i++)
        strides[i] = i < lead || in->dim[i - lead] == 1 ? 0 : in_strides[i - lead];
    *offset = 0;
}

static void broadcast_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = clg__sum_to(g, &out->inputs[0]->shape);
}
const clg__op clg__op_broadcast = {.name = "broadcast",
                                   .formula = "repeats axes of extent 1",
                                   .class_ = CLG__VIEW,
                                   .gradient = broadcast_gradient,
                                   .view = broadcast_view};

/* Extent `axis` of the target, CLG_BATCH resolved; false if x's extent there does not fit. */
static bool broadcast_extent(const clg_tensor *x, clg_shape *shape, int axis)
{
    int from = axis - (shape->ndim - x->shape.ndim);
    int64_t extent = from >= 0 ? x->shape.dim[from] : 1;
    bool batched = from >= 0 && clg__batched(&x->shape, from);
    if (shape->dim[axis] == CLG_BATCH) {
        shape->dim[axis] = batched ? extent : x->graph->batch;
        shape->batched |= 1u << axis;
    }
    if (batched) return shape->dim[axis] == extent && clg__batched(shape, axis);
    return extent == 1 || (shape->dim[axis] == extent && !clg__batched(shape, axis));
}

clg_tensor *clg_broadcast(clg_tensor *x, clg_shape shape)
{
    if (!x) return NULL;
    bool fits = shape.ndim >= x->shape.ndim && shape.ndim <= CLG_MAX_DIMS;
    for (int i = 0; i < shape.ndim && fits; i++) fits = broadcast_extent(x, &shape, i);
    if (!fits)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "broadcast: %s cannot be repeated to %s%s",
                               CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(&shape),
                               x->shape.batched ? " (give extents that follow the batch as "
                                                  "CLG_BATCH)"
                                                : "");
    if (clg__same_shape(&x->shape, &shape)) return x;
    return clg__node(x->graph, &clg__op_broadcast, x->dtype, shape, NULL, 1, &x);
}
