/*
 * Sums over a window that moves along the last axis: what local response normalization needs. The
 * gradient is the same with the window mirrored. As a composition it would be a padded copy and
 * slices, and its gradient one padded copy for each of them.
 */
#include "ops/record.h"

typedef struct window_sum_attr {
    int32_t before, after;
} window_sum_attr;

enum { ELEMENTS = 4096 }; /* of a work-item on a processor: a few microseconds */

static clg_status lower(clg__lowering *lo)
{
    const window_sum_attr *attr = lo->node->attr;
    const bool gpu = lo->ctx->engine == CLG_ENGINE_GPU;
    int64_t columns = lo->out_shape.dim[lo->out_shape.ndim - 1];
    int64_t rows = clg_shape_count(&lo->out_shape) / columns;
    int64_t chunk = gpu ? 4 : clg__min_i64(columns, ELEMENTS);
    int64_t row_chunk = gpu ? 1 : clg__max_i64(1, ELEMENTS / columns);
    clg__launch *launch =
        clg__lower_kernel(lo, "window_sum", "window_sum", "#define VEC %d\n", gpu ? 4 : 16);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_long(launch, rows);
    clg__launch_int(launch, columns);
    clg__launch_int(launch, attr->before);
    clg__launch_int(launch, attr->after);
    clg__launch_int(launch, chunk);
    clg__launch_int(launch, row_chunk);
    clg__launch_epilogue(launch);
    size_t range[] = {(size_t)clg__ceil_div(columns, chunk),
                      (size_t)clg__ceil_div(rows, row_chunk)};
    clg__launch_spread(launch, 2, range);
    double elements = (double)(rows * columns);
    clg__launch_work(launch, elements * (attr->before + attr->after + 1.0), 8.0 * elements);
    return lo->status;
}

static void gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    const window_sum_attr *attr = out->attr;
    dx[0] = clg_window_sum(g, attr->after, attr->before);
}

static const clg__algorithm algorithms[] = {{.name = "direct",
                                             .engines = 1u << CLG_ENGINE_CPU | 1u << CLG_ENGINE_GPU,
                                             .fuses_epilogue = true,
                                             .lower = lower},
                                            {.name = NULL}};
const clg__op clg__op_window_sum = {.name = "window_sum",
                                    .formula = "sum over a window that moves along the last axis",
                                    .class_ = CLG__KERNEL,
                                    .attr_size = sizeof(window_sum_attr),
                                    .gradient = gradient,
                                    .algorithms = algorithms};

clg_tensor *clg_window_sum(clg_tensor *x, int before, int after)
{
    if (!x) return NULL;
    int last = x->shape.ndim - 1;
    if (last < 0 || clg__batched(&x->shape, last) || x->shape.dim[last] > INT32_MAX / 2 ||
        before < 0 || after < 0 || before > INT32_MAX / 4 || after > INT32_MAX / 4)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "window_sum: %d elements before and %d after each of the last axis "
                               "of %s, which must not follow the batch size; numbers of elements "
                               "are in 0 .. 2^29 - 1, the axis has fewer than 2^30",
                               before, after, CLG__SHAPE_TEXT(&x->shape));
    window_sum_attr attr = {.before = before, .after = after};
    return clg__node(x->graph, &clg__op_window_sum, CLG_F32, x->shape, &attr, 1, &x);
}
