/*
 * Views that take some of the elements: slices with a step along any axes, reversed axes, and
 * samples. They cost nothing where the reader can use strides (negative ones too). A slice that is
 * one range of memory costs nothing anywhere: it is an alias. The gradient of
 * a slice puts the elements back with zeros around and between them.
 */
#include "ops/record.h"

/* ---- slice ---- */

typedef struct slice_attr {
    int64_t begin[CLG_MAX_DIMS], step[CLG_MAX_DIMS];
} slice_attr;

static void slice_view(const clg_tensor *out, const clg_shape *in, const clg_shape *out_shape,
                       int64_t *offset, int64_t *strides)
{
    const slice_attr *attr = out->attr;
    clg__contiguous_strides(in, strides);
    *offset = 0;
    for (int i = 0; i < in->ndim; i++) {
        *offset += attr->begin[i] * strides[i];
        strides[i] *= attr->step[i];
    }
}

static void slice_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    const slice_attr *attr = out->attr;
    const clg_shape *whole = &out->inputs[0]->shape;
    for (int i = 0; i < whole->ndim; i++) {
        int64_t last = attr->begin[i] + (out->shape.dim[i] - 1) * attr->step[i];
        if (out->shape.dim[i] == whole->dim[i]) continue;
        g = clg__pad_spread(g, i, attr->begin[i], whole->dim[i] - 1 - last, attr->step[i]);
    }
    dx[0] = g;
}
const clg__op clg__op_slice = {.name = "slice",
                               .formula = "a range of each axis, every step-th element",
                               .class_ = CLG__VIEW,
                               .attr_size = sizeof(slice_attr),
                               .gradient = slice_gradient,
                               .view = slice_view};

/* ---- a range of memory ---- */

static int64_t part_offset(const clg_tensor *out)
{
    int64_t offset, strides[CLG_MAX_DIMS];
    slice_view(out, &out->inputs[0]->shape, &out->shape, &offset, strides);
    return offset;
}
const clg__op clg__op_part = {.name = "part",
                              .formula = "a slice that is one range of its input's memory",
                              .class_ = CLG__ALIAS,
                              .attr_size = sizeof(slice_attr),
                              .gradient = slice_gradient,
                              .alias = part_offset};

/* Only extents of 1 come before the one axis that is cut, and the offset scales with the batch. */
static bool is_part(const clg_tensor *x, const slice_attr *attr, const clg_shape *shape)
{
    int first = 0;
    while (first < shape->ndim - 1 && shape->dim[first] == 1 && !clg__batched(shape, first))
        first++;
    for (int i = first; i < shape->ndim; i++)
        if (attr->step[i] != 1 || (i > first && shape->dim[i] != x->shape.dim[i])) return false;
    return clg__batched_count(shape) <= 1;
}

/* The range of one axis; false, and the graph failed, if it is not within the axis. */
static bool check_range(const clg_tensor *x, int axis, int64_t begin, int64_t count, int64_t step)
{
    int64_t extent = x->shape.dim[axis], length;
    if (clg__batched(&x->shape, axis)) {
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "slice: axis %d of %s follows the batch size and cannot be cut", axis,
                        CLG__SHAPE_TEXT(&x->shape));
        return false;
    }
    if (begin >= 0 && count >= 1 && step >= 1 && begin < extent &&
        clg__mul_i64(count - 1, step, &length) && length < extent - begin)
        return true;
    char every[48] = "";
    if (step != 1) snprintf(every, sizeof every, " in steps of %lld", (long long)step);
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                    "slice: %lld elements from %lld on%s are not within axis %d of %s",
                    (long long)count, (long long)begin, every, axis, CLG__SHAPE_TEXT(&x->shape));
    return false;
}

static slice_attr whole_slice(void)
{
    slice_attr attr;
    memset(&attr, 0, sizeof attr);
    for (int i = 0; i < CLG_MAX_DIMS; i++) attr.step[i] = 1;
    return attr;
}

/* A slice of a slice is one slice of what that was cut from: readers see through one view only. */
static clg_tensor *slice_node(clg_tensor *x, slice_attr attr, const clg_shape *shape)
{
    if (clg__same_shape(&x->shape, shape)) return x;
    if (x->op == &clg__op_slice || x->op == &clg__op_part) {
        const slice_attr *outer = x->attr;
        for (int i = 0; i < x->shape.ndim; i++) {
            attr.begin[i] = outer->begin[i] + attr.begin[i] * outer->step[i];
            attr.step[i] *= outer->step[i];
        }
        x = x->inputs[0];
    }
    const clg__op *op = is_part(x, &attr, shape) ? &clg__op_part : &clg__op_slice;
    return clg__node(x->graph, op, x->dtype, *shape, &attr, 1, &x);
}

clg_tensor *clg__slice_axis(clg_tensor *x, int axis, int64_t begin, int64_t count, int64_t step)
{
    if (!x || !check_range(x, axis, begin, count, step)) return NULL;
    clg_tensor *known = step == 1 ? clg__slice_of_padded(x, axis, begin, count) : NULL;
    if (known) return known;
    slice_attr attr = whole_slice();
    clg_shape shape = x->shape;
    attr.begin[axis] = begin;
    attr.step[axis] = step;
    shape.dim[axis] = count;
    return slice_node(x, attr, &shape);
}

clg_tensor *clg_slice(clg_tensor *x, int axis, int64_t begin, int64_t count)
{
    if (!x || !clg__axis(x->graph, "slice", &x->shape, &axis)) return NULL;
    return clg__slice_axis(x, axis, begin, count, 1);
}

clg_tensor *clg_slice_axes(clg_tensor *x, const clg_slice_params *params)
{
    if (!x || !params) return x;
    slice_attr attr = whole_slice();
    clg_shape shape = x->shape;
    for (int i = 0; i < CLG_MAX_DIMS; i++) {
        int64_t begin = params->begin[i], count = params->count[i];
        int64_t step = params->step[i] ? params->step[i] : 1;
        if (!begin && !count && step == 1) continue;
        if (i >= x->shape.ndim)
            return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                                   "slice: axis %d is out of range for shape %s", i,
                                   CLG__SHAPE_TEXT(&x->shape));
        if (!count && step > 0 && begin >= 0 && begin < shape.dim[i])
            count = clg__ceil_div(shape.dim[i] - begin, step); /* to the end */
        if (!check_range(x, i, begin, count, step)) return NULL;
        attr.begin[i] = begin;
        attr.step[i] = step;
        shape.dim[i] = count;
    }
    return CLG__COMPOSED(slice_axes, slice_node(x, attr, &shape));
}

clg_status clg_split(clg_tensor *x, int axis, int n, clg_tensor **out)
{
    CLG__NEEDS(out);
    if (!x) return CLG_ERROR_ARGUMENT;
    clg_graph *g = x->graph;
    if (!clg__axis(g, "split", &x->shape, &axis)) return clg__graph_check(g);
    int64_t extent = x->shape.dim[axis];
    if (n < 1 || extent % n) {
        clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                        "split: axis %d of %s cannot be cut into %d equal parts", axis,
                        CLG__SHAPE_TEXT(&x->shape), n);
        return clg__graph_check(g);
    }
    for (int i = 0; i < n; i++) out[i] = clg_slice(x, axis, i * (extent / n), extent / n);
    return clg__graph_check(g);
}

/* ---- flip ---- */

typedef struct flip_attr {
    uint32_t axes;
} flip_attr;

static void flip_view(const clg_tensor *out, const clg_shape *in, const clg_shape *out_shape,
                      int64_t *offset, int64_t *strides)
{
    const flip_attr *attr = out->attr;
    clg__contiguous_strides(in, strides);
    *offset = 0;
    for (int i = 0; i < in->ndim; i++) {
        if (!(attr->axes >> i & 1)) continue;
        *offset += (in->dim[i] - 1) * strides[i];
        strides[i] = -strides[i];
    }
}

static void flip_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = clg_flip(g, ((const flip_attr *)out->attr)->axes);
}
const clg__op clg__op_flip = {.name = "flip",
                              .formula = "axes in reverse",
                              .class_ = CLG__VIEW,
                              .attr_size = sizeof(flip_attr),
                              .gradient = flip_gradient,
                              .view = flip_view};

clg_tensor *clg_flip(clg_tensor *x, uint32_t axes)
{
    if (!x) return NULL;
    uint32_t all = (1u << x->shape.ndim) - 1;
    if (axes & ~all)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "flip: the axes 0x%x are not all within 0 .. %d of %s",
                               (unsigned)axes, x->shape.ndim - 1, CLG__SHAPE_TEXT(&x->shape));
    flip_attr attr = {.axes = axes ? axes : all};
    if (!attr.axes) return x; /* a scalar */
    return clg__node(x->graph, &clg__op_flip, x->dtype, x->shape, &attr, 1, &x);
}

/* ---- sample ---- */

typedef struct sample_attr {
    uint32_t axes;
} sample_attr;

static void sample_view(const clg_tensor *out, const clg_shape *in, const clg_shape *out_shape,
                        int64_t *offset, int64_t *strides)
{
    const sample_attr *attr = out->attr;
    clg__contiguous_strides(in, strides);
    *offset = 0;
    for (int i = 0; i < in->ndim; i++)
        if (attr->axes >> i & 1 && !clg__batched(in, i)) *offset += in->dim[i] / 2 * strides[i];
}

static void no_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = NULL;
}
const clg__op clg__op_sample = {.name = "sample",
                                .formula = "one element along axes, a constant for gradients",
                                .class_ = CLG__VIEW,
                                .attr_size = sizeof(sample_attr),
                                .gradient = no_gradient,
                                .view = sample_view};

clg_tensor *clg__sample(clg_tensor *x, uint32_t axes)
{
    if (!x) return NULL;
    sample_attr attr = {.axes = axes};
    clg_shape shape = x->shape;
    for (int i = 0; i < shape.ndim; i++)
        if (axes >> i & 1) shape.dim[i] = 1;
    shape.batched &= ~axes;
    return clg__node(x->graph, &clg__op_sample, x->dtype, shape, &attr, 1, &x);
}
