/*
 * Concat, which copies: its tensors are row-major matrices cut at the axis (cl/concat.cl, and row
 * by row cl/bands_cpu.cl). An input that is a contiguous part of the output, because only extents
 * of 1 come before the axis, is written there by its producer and needs no copy (`places`).
 */
#include "ops/algorithms_cpu.h"
#include "ops/record.h"

/*
 * Elements that one work-item copies. The choice is part of the kernel, so that it may not depend
 * on extents that follow the batch.
 */
static int copy_width(const clg_shape *shape, int axis, int64_t x_columns, int64_t y_columns,
                      int64_t first)
{
    if (shape->batched >> axis) return 1;
    return (x_columns | y_columns | first) % 4 == 0 ? 4 : 1;
}

/* One launch: all columns of an input go to the columns from `first` on of y. */
static void lower_band(clg__lowering *lo, int input, int axis, int64_t first)
{
    int64_t x_columns = clg__columns_from(&lo->in_shape[input], axis);
    int64_t y_columns = clg__columns_from(&lo->out_shape, axis);
    int64_t rows = clg_shape_count(&lo->out_shape) / y_columns;
    int width = copy_width(&lo->out_shape, axis, x_columns, y_columns, first);
    clg__launch *launch = clg__lower_kernel(lo, "concat", "copy_band", "#define WIDTH %d\n", width);
    clg__launch_buffer(launch, lo->in[input]);
    clg__launch_buffer(launch, lo->out);
    clg__launch_long(launch, x_columns / width);
    clg__launch_long(launch, y_columns / width);
    clg__launch_long(launch, first / width);
    size_t group = lo->ctx->info.max_work_group < 64 ? lo->ctx->info.max_work_group : 64;
    clg__launch_range(launch, 2, (size_t[]){(size_t)(x_columns / width), (size_t)rows},
                      (size_t[]){group, 1});
    clg__launch_work(launch, 0, 8.0 * (double)rows * (double)x_columns);
}

/* The same, row by row. */
static void lower_band_cpu(clg__lowering *lo, int input, int axis, int64_t first)
{
    const int64_t x_columns = clg__columns_from(&lo->in_shape[input], axis);
    const int64_t y_columns = clg__columns_from(&lo->out_shape, axis);
    const int64_t rows = clg_shape_count(&lo->out_shape) / y_columns;
    clg__launch *launch = clg__lower_kernel(lo, "bands_cpu", "copy_band", "#define MODE 0\n");
    clg__launch_buffer(launch, lo->in[input]);
    clg__launch_buffer(launch, lo->out);
    clg__launch_long(launch, x_columns);
    clg__launch_long(launch, y_columns);
    clg__launch_long(launch, first);
    clg__launch_lines(launch, lo, rows, x_columns);
    clg__launch_work(launch, 0, 8.0 * (double)rows * (double)x_columns);
}

/* ---- concat ---- */

typedef struct concat_attr {
    int32_t axis;
} concat_attr;

typedef void (*band_lowering)(clg__lowering *lo, int input, int axis, int64_t first);

static clg_status lower_bands(clg__lowering *lo, band_lowering lower)
{
    const concat_attr *attr = lo->node->attr;
    int64_t first = 0;
    for (int i = 0; i < lo->node->n_inputs; i++) {
        if (!lo->placed[i]) lower(lo, i, attr->axis, first);
        first += clg__columns_from(&lo->in_shape[i], attr->axis);
    }
    return lo->status;
}

static clg_status concat_lower(clg__lowering *lo)
{
    return lower_bands(lo, lower_band);
}

static clg_status concat_lower_cpu(clg__lowering *lo)
{
    return lower_bands(lo, lower_band_cpu);
}

static void concat_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    int axis = ((const concat_attr *)out->attr)->axis;
    int64_t begin = 0;
    for (int i = 0; i < out->n_inputs; i++) {
        int64_t count = out->inputs[i]->shape.dim[axis];
        dx[i] = clg_slice(g, axis, begin, count);
        begin += count;
    }
}

/* An input is one piece of the output's memory if only extents of 1 come before the axis. */
static bool concat_places(const clg_tensor *node, int input, int64_t *offset)
{
    int axis = ((const concat_attr *)node->attr)->axis;
    for (int i = 0; i < axis; i++)
        if (node->shape.dim[i] != 1 || node->shape.batched >> i & 1) return false;
    if (clg__batched_count(&node->shape) > 1) return false; /* offsets scale with the batch once */
    *offset = 0;
    for (int i = 0; i < input; i++) *offset += clg_shape_count(&node->inputs[i]->shape);
    return true;
}

static const clg__algorithm concat_algorithms[] = {
    {.name = "lines", .engines = 1u << CLG_ENGINE_CPU, .lower = concat_lower_cpu},
    {.name = "copy", .engines = 1u << CLG_ENGINE_GPU, .lower = concat_lower},
    {.name = NULL}};
const clg__op clg__op_concat = {.name = "concat",
                                .places = concat_places,
                                .formula = "tensors joined along an axis",
                                .class_ = CLG__KERNEL,
                                .attr_size = sizeof(concat_attr),
                                .gradient = concat_gradient,
                                .algorithms = concat_algorithms};

/* All extents but the axis agree, and the axis follows the batch in none. */
static bool joinable(clg_graph *g, const clg_shape *a, const clg_shape *b, int axis)
{
    bool fits = a->ndim == b->ndim && a->batched == b->batched;
    for (int i = 0; i < a->ndim && fits; i++) fits = i == axis || a->dim[i] == b->dim[i];
    if (fits && !clg__batched(a, axis)) return true;
    clg__graph_fail(g, CLG_ERROR_ARGUMENT, "concat: %s and %s cannot be joined along axis %d%s",
                    CLG__SHAPE_TEXT(a), CLG__SHAPE_TEXT(b), axis,
                    a->batched >> axis & 1 ? ", which follows the batch size" : "");
    return false;
}

static clg_tensor *concat_node(clg_tensor *const *x, int n, int axis)
{
    clg_shape shape = x[0]->shape;
    for (int i = 1; i < n; i++) shape.dim[axis] += x[i]->shape.dim[axis];
    concat_attr attr = {.axis = axis};
    return clg__node(x[0]->graph, &clg__op_concat, CLG_F32, shape, &attr, n, x);
}

clg_tensor *clg_concat(clg_tensor *const *x, int n, int axis)
{
    CLG__NEEDS_OR(NULL, x || n < 1);
    for (int i = 0; i < n; i++)
        if (!x[i]) return NULL;
    if (n < 1) {
        clg__fail(CLG_ERROR_ARGUMENT, "concat: no tensors to join"); /* no graph to keep it */
        return NULL;
    }
    if (!clg__axis(x[0]->graph, "concat", &x[0]->shape, &axis)) return NULL;
    for (int i = 1; i < n; i++)
        if (!joinable(x[0]->graph, &x[0]->shape, &x[i]->shape, axis)) return NULL;
    if (n == 1) return x[0];
    if (n <= CLG__MAX_INPUTS) return concat_node(x, n, axis);
    clg_tensor *parts[CLG__MAX_INPUTS]; /* equal parts, joined first */
    int size = (int)clg__ceil_div(n, CLG__MAX_INPUTS), count = 0;
    for (int i = 0; i < n; i += size) {
        int64_t rest = clg__min_i64(size, n - i);
        parts[count] = clg_concat(x + i, (int)rest, axis);
        if (!parts[count++]) return NULL;
    }
    return clg_concat(parts, count, axis);
}

clg_tensor *clg__concat_rows(clg_tensor *const *x, int n)
{
    for (int i = 0; i < n; i++)
        if (!x[i]) return NULL;
    return n == 1 ? x[0] : concat_node(x, n, 0);
}

/* ---- stack ---- */

static clg_tensor *insert_axis(clg_tensor *x, int axis)
{
    if (!x) return NULL;
    clg_shape shape = {.ndim = x->shape.ndim + 1};
    if (shape.ndim > CLG_MAX_DIMS)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "stack: %s has no room for one more axis (at most %d)",
                               CLG__SHAPE_TEXT(&x->shape), CLG_MAX_DIMS);
    for (int i = 0; i < shape.ndim; i++) {
        int from = i < axis ? i : i - 1;
        shape.dim[i] = i == axis ? 1 : x->shape.dim[from];
        if (i != axis && clg__batched(&x->shape, from)) shape.batched |= 1u << i;
    }
    return clg__reshape_to(x, &shape);
}

clg_tensor *clg_stack(clg_tensor *const *x, int n, int axis)
{
    CLG__NEEDS_OR(NULL, x || n < 1);
    if (n < 1) {
        clg__fail(CLG_ERROR_ARGUMENT, "stack: no tensors to join"); /* no graph to keep it */
        return NULL;
    }
    if (!x[0]) return NULL;
    clg_graph *g = x[0]->graph;
    int ndim = x[0]->shape.ndim, at = axis < 0 ? axis + ndim + 1 : axis;
    if (at < 0 || at > ndim)
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT, "stack: axis %d is out of range for %s", axis,
                               CLG__SHAPE_TEXT(&x[0]->shape));
    clg_tensor **parts = clg__calloc((size_t)n, sizeof *parts);
    if (!parts) return clg__graph_fail(g, CLG_ERROR_MEMORY, "stack: out of memory");
    for (int i = 0; i < n; i++) parts[i] = insert_axis(x[i], at);
    clg_tensor *result = clg_concat(parts, n, at);
    clg__free(parts);
    return CLG__COMPOSED(stack, result);
}
