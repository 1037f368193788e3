/*
 * Padding. One node pads one axis: with a constant (also spread apart, which is the gradient of a
 * slice with a step), or with what is at the edge. Padding with elements of x is linear; its
 * gradient, pad_backward, sums up where each of them went, and is padded back by its own.
 */
#include "ops/algorithms_cpu.h"
#include "ops/record.h"

typedef struct pad_attr {
    int64_t before, after; /* elements in front and behind */
    int64_t step;          /* CONSTANT: element i of x comes to position i * step; else 1 */
    double value;
    int32_t axis, mode;
} pad_attr;

/* ---- launches ---- */

/* Elements that one work-item copies: part of the kernel, so independent of the batch. */
static int copy_width(const clg_shape *shape, int axis, int64_t columns)
{
    return shape->batched >> axis == 0 && columns % 4 == 0 ? 4 : 1;
}

static void add_work(clg__launch *launch, const clg__lowering *lo)
{
    clg__launch_work(
        launch, 0,
        4.0 * (double)(clg_shape_count(&lo->in_shape[0]) + clg_shape_count(&lo->out_shape)));
}

static void add_range(clg__launch *launch, const clg__lowering *lo, int64_t columns, int64_t rows)
{
    size_t group = lo->ctx->info.max_work_group < 64 ? lo->ctx->info.max_work_group : 64;
    clg__launch_range(launch, 2, (size_t[]){(size_t)columns, (size_t)rows}, (size_t[]){group, 1});
    add_work(launch, lo);
}

static clg_status lower_band(clg__lowering *lo)
{
    const pad_attr *attr = lo->node->attr;
    int64_t x_columns = clg__columns_from(&lo->in_shape[0], attr->axis);
    int64_t y_columns = clg__columns_from(&lo->out_shape, attr->axis);
    int64_t first = attr->before * clg__columns_from(&lo->out_shape, attr->axis + 1);
    int width = copy_width(&lo->out_shape, attr->axis, x_columns | y_columns | first);
    clg__launch *launch = clg__lower_kernel(lo, "pad", "pad_band", "#define WIDTH %d\n", width);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->out);
    clg__launch_long(launch, x_columns / width);
    clg__launch_long(launch, y_columns / width);
    clg__launch_long(launch, first / width);
    clg__launch_float(launch, attr->value);
    add_range(launch, lo, y_columns / width, clg_shape_count(&lo->out_shape) / y_columns);
    return lo->status;
}

/* pad_axis and pad_backward; x is the shape without the padding. */
static clg__launch *lower_mapped(clg__lowering *lo, const char *kernel, const clg_shape *x,
                                 const clg_shape *y)
{
    const pad_attr *attr = lo->node->attr;
    int64_t inner = clg__columns_from(x, attr->axis + 1);
    int width = copy_width(x, attr->axis, inner);
    clg__launch *launch = clg__lower_kernel(
        lo, "pad", kernel, "#define WIDTH %d\n#define MODE %d\n", width, (int)attr->mode);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->out);
    clg__launch_long(launch, inner / width);
    clg__launch_int(launch, x->dim[attr->axis]);
    clg__launch_int(launch, y->dim[attr->axis]);
    clg__launch_int(launch, attr->before);
    int64_t columns = clg__columns_from(&lo->out_shape, attr->axis);
    add_range(launch, lo, columns / width, clg_shape_count(&lo->out_shape) / columns);
    return launch;
}

static clg_status pad_lower(clg__lowering *lo)
{
    const pad_attr *attr = lo->node->attr;
    if (attr->mode == CLG_PAD_CONSTANT && attr->step == 1) return lower_band(lo);
    clg__launch *launch = lower_mapped(lo, "pad_axis", &lo->in_shape[0], &lo->out_shape);
    clg__launch_int(launch, attr->step);
    clg__launch_float(launch, attr->value);
    return lo->status;
}

static void add_lines(clg__launch *launch, const clg__lowering *lo, int64_t floats)
{
    clg__launch_lines(launch, lo, clg_shape_count(&lo->out_shape) / floats, floats);
    add_work(launch, lo);
}

/* Lines are rows. */
static clg_status lower_band_cpu(clg__lowering *lo)
{
    const pad_attr *attr = lo->node->attr;
    const int64_t columns = clg__columns_from(&lo->out_shape, attr->axis);
    clg__launch *launch = clg__lower_kernel(lo, "bands_cpu", "pad_band", "#define MODE 0\n");
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->out);
    clg__launch_long(launch, clg__columns_from(&lo->in_shape[0], attr->axis));
    clg__launch_long(launch, columns);
    clg__launch_long(launch, attr->before * clg__columns_from(&lo->out_shape, attr->axis + 1));
    clg__launch_float(launch, attr->value);
    add_lines(launch, lo, columns);
    return lo->status;
}

/* pad_axis and pad_backward up to what only one of them takes, and their lines. */
static clg__launch *lower_mapped_cpu(clg__lowering *lo, const char *kernel, const clg_shape *x,
                                     const clg_shape *y)
{
    const pad_attr *attr = lo->node->attr;
    clg__launch *launch =
        clg__lower_kernel(lo, "bands_cpu", kernel, "#define MODE %d\n", (int)attr->mode);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->out);
    clg__launch_long(launch, clg__columns_from(x, attr->axis + 1));
    clg__launch_int(launch, x->dim[attr->axis]);
    clg__launch_int(launch, y->dim[attr->axis]);
    clg__launch_int(launch, attr->before);
    return launch;
}

/* Lines are positions of the axis. */
static void add_positions(clg__launch *launch, const clg__lowering *lo)
{
    const pad_attr *attr = lo->node->attr;
    add_lines(launch, lo, clg__columns_from(&lo->out_shape, attr->axis + 1));
}

/* The first axis has one row only, which work-groups could not share; pad_axis counts in ints. */
static bool is_band(const clg__lowering *lo)
{
    const pad_attr *attr = lo->node->attr;
    return attr->mode == CLG_PAD_CONSTANT && attr->step == 1 &&
           (attr->axis > 0 || lo->out_shape.dim[0] > INT32_MAX);
}

static clg_status pad_lower_cpu(clg__lowering *lo)
{
    const pad_attr *attr = lo->node->attr;
    if (is_band(lo)) return lower_band_cpu(lo);
    clg__launch *launch = lower_mapped_cpu(lo, "pad_axis", &lo->in_shape[0], &lo->out_shape);
    clg__launch_int(launch, attr->step);
    clg__launch_float(launch, attr->value);
    add_positions(launch, lo);
    return lo->status;
}

static clg_status pad_backward_lower_cpu(clg__lowering *lo)
{
    add_positions(lower_mapped_cpu(lo, "pad_backward", &lo->out_shape, &lo->in_shape[0]), lo);
    return lo->status;
}

static clg_status pad_backward_lower(clg__lowering *lo)
{
    lower_mapped(lo, "pad_backward", &lo->out_shape, &lo->in_shape[0]);
    return lo->status;
}

/* ---- rows ---- */

static clg_tensor *record(const clg__op *op, const pad_attr *attr, clg_tensor *x, int64_t extent)
{
    if (!x) return NULL;
    clg_shape shape = x->shape;
    shape.dim[attr->axis] = extent;
    return clg__node(x->graph, op, CLG_F32, shape, attr, 1, &x);
}

static void pad_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    const pad_attr *attr = out->attr;
    int axis = attr->axis;
    int64_t extent = out->inputs[0]->shape.dim[axis];
    if (attr->mode == CLG_PAD_CONSTANT)
        dx[0] = clg__slice_axis(g, axis, attr->before, extent, attr->step);
    else
        dx[0] = record(&clg__op_pad_backward, attr, g, extent);
}

static void pad_backward_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    const pad_attr *attr = out->attr;
    dx[0] = record(&clg__op_pad, attr, g, out->inputs[0]->shape.dim[attr->axis]);
}

static const clg__algorithm pad_algorithms[] = {
    {.name = "lines", .engines = 1u << CLG_ENGINE_CPU, .lower = pad_lower_cpu},
    {.name = "copy", .engines = 1u << CLG_ENGINE_GPU, .lower = pad_lower},
    {.name = NULL}};
static const clg__algorithm pad_backward_algorithms[] = {
    {.name = "lines", .engines = 1u << CLG_ENGINE_CPU, .lower = pad_backward_lower_cpu},
    {.name = "copy", .engines = 1u << CLG_ENGINE_GPU, .lower = pad_backward_lower},
    {.name = NULL}};
const clg__op clg__op_pad = {.name = "pad",
                             .formula = "an axis made longer: by a constant, or by its elements",
                             .class_ = CLG__KERNEL,
                             .attr_size = sizeof(pad_attr),
                             .gradient = pad_gradient,
                             .algorithms = pad_algorithms};
const clg__op clg__op_pad_backward = {.name = "pad_backward",
                                      .formula = "dx = sum of g over where pad put an element",
                                      .class_ = CLG__KERNEL,
                                      .attr_size = sizeof(pad_attr),
                                      .gradient = pad_backward_gradient,
                                      .algorithms = pad_backward_algorithms};

/* ---- builders ---- */

/* The padded extent; false, and the graph failed, if the padding cannot be. */
static bool padded_extent(const clg_tensor *x, const pad_attr *attr, int64_t *extent)
{
    /* How much of x one side may repeat. */
    static const char *const limits[] = {
        [CLG_PAD_REFLECT] = " (reflecting takes less than the extent)",
        [CLG_PAD_CIRCULAR] = " (going round takes the extent at most)"};
    int64_t n = x->shape.dim[attr->axis], limit = INT64_MAX;
    if (attr->mode == CLG_PAD_REFLECT) limit = n - 1;
    if (attr->mode == CLG_PAD_CIRCULAR) limit = n;
    bool batched = clg__batched(&x->shape, attr->axis), mapped = attr->mode || attr->step > 1;
    bool fits = !batched && attr->before >= 0 && attr->after >= 0 && attr->before <= limit &&
                attr->after <= limit && clg__mul_i64(n - 1, attr->step, extent) &&
                !__builtin_add_overflow(*extent, 1, extent) &&
                !__builtin_add_overflow(*extent, attr->before, extent) &&
                !__builtin_add_overflow(*extent, attr->after, extent) &&
                (!mapped || *extent <= INT32_MAX / 2);
    if (fits) return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                    "pad: axis %d of %s%s with %lld in front and %lld behind%s", attr->axis,
                    CLG__SHAPE_TEXT(&x->shape), batched ? ", which follows the batch size," : "",
                    (long long)attr->before, (long long)attr->after,
                    limit < INT64_MAX ? limits[attr->mode] : "");
    return false;
}

static clg_tensor *pad_axis(clg_tensor *x, const pad_attr *attr)
{
    int64_t extent;
    if (!x || !padded_extent(x, attr, &extent)) return NULL;
    return extent == x->shape.dim[attr->axis] ? x : record(&clg__op_pad, attr, x, extent);
}

clg_tensor *clg__slice_of_padded(clg_tensor *x, int axis, int64_t begin, int64_t count)
{
    if (x->op != &clg__op_pad) return NULL;
    const pad_attr *attr = x->attr;
    const int64_t first = begin - attr->before, extent = x->inputs[0]->shape.dim[axis];
    if (attr->axis != axis || attr->mode != CLG_PAD_CONSTANT || attr->step != 1) return NULL;
    if (first >= 0 && first + count <= extent)
        return clg__slice_axis(x->inputs[0], axis, first, count, 1);
    clg_shape shape = x->shape;
    shape.dim[axis] = count;
    return first >= extent || first + count <= 0 ? clg_full(x->graph, shape, attr->value) : NULL;
}

clg_tensor *clg__pad_spread(clg_tensor *x, int axis, int64_t before, int64_t after, int64_t step)
{
    pad_attr attr = {.before = before, .after = after, .step = step, .axis = axis};
    return pad_axis(x, &attr);
}

clg_tensor *clg_pad(clg_tensor *x, int axis, int64_t before, int64_t after)
{
    if (!x || !clg__axis(x->graph, "pad", &x->shape, &axis)) return NULL;
    return clg__pad_spread(x, axis, before, after, 1);
}

clg_tensor *clg_pad_axes(clg_tensor *x, const clg_pad_params *params)
{
    if (!x || !params) return x;
    if ((unsigned)params->mode > CLG_PAD_CIRCULAR)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "pad: there is no mode %d",
                               (int)params->mode);
    for (int i = 0; i < CLG_MAX_DIMS && x; i++) {
        if (i >= x->shape.ndim && (params->before[i] || params->after[i]))
            return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                                   "pad: axis %d is out of range for shape %s", i,
                                   CLG__SHAPE_TEXT(&x->shape));
        if (!params->before[i] && !params->after[i]) continue;
        pad_attr attr = {.before = params->before[i],
                         .after = params->after[i],
                         .step = 1,
                         .value = params->mode == CLG_PAD_CONSTANT ? params->value : 0,
                         .axis = i,
                         .mode = (int32_t)params->mode};
        x = CLG__COMPOSED(pad_axes, pad_axis(x, &attr));
    }
    return x;
}
