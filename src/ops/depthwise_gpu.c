/*
 * Depthwise convolution on GPUs: launches of cl/depthwise_gpu.cl. The window's geometry along a row
 * is compiled in, so that networks have a few kernels; windows that would take too many registers
 * are left to cl/conv2d_grouped_gpu.cl.
 */
#include "ops/algorithms_gpu.h"
#include "ops/op.h"

enum { MOST_PIXELS = 4, MOST_COLUMNS = 12, LINE_LANES = 16 };

/* Pixels of a run for which a work-item can hold the columns they look at; 0: none. */
static int pixels_of(const struct clg__conv2d_attr *a, bool backward)
{
    const int64_t window = (int64_t)(a->kernel_size[1] - 1) * a->dilation[1], stride = a->stride[1];
    for (int pixels = MOST_PIXELS; pixels > 0; pixels--) {
        if (backward && pixels % stride != 0) continue;
        const int64_t columns =
            backward ? (pixels - 1) / stride + window / stride : (pixels - 1) * stride + window;
        if (columns < MOST_COLUMNS) return pixels;
    }
    return 0;
}

bool clg__depthwise_gpu_applies(const struct clg__conv2d_attr *a, int64_t channels, bool backward)
{
    return a->groups > 1 && a->groups == channels && pixels_of(a, backward) > 0;
}

static int vector_of(const struct clg__conv2d_attr *a)
{
    return a->groups % 4 == 0 ? 4 : 1;
}

static clg__launch *start(clg__lowering *lo, const char *kernel, bool backward)
{
    const struct clg__conv2d_attr *a = lo->node->attr;
    clg__launch *launch = clg__lower_kernel(
        lo, "depthwise_gpu", kernel,
        "#define VEC %d\n#define BACKWARD %d\n#define PIXELS %d\n#define KERNEL_W %d\n"
        "#define STRIDE_W %d\n#define DILATION_W %d\n#define GROUP %d\n",
        vector_of(a), backward, pixels_of(a, backward), a->kernel_size[1], a->stride[1],
        a->dilation[1], clg__gpu_group(lo->ctx));
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    return launch;
}

static void add_geometry(clg__launch *launch, const struct clg__conv2d_attr *a,
                         const clg_shape *from, const clg_shape *to)
{
    const int64_t numbers[] = {from->dim[1],  from->dim[2],      to->dim[1],   to->dim[2],
                               a->groups,     a->kernel_size[0], a->stride[0], a->padding[0],
                               a->padding[2], a->dilation[0]};
    clg__launch_long(launch, from->dim[0]);
    for (size_t i = 0; i < CLG__COUNT(numbers); i++) clg__launch_int(launch, numbers[i]);
}

static void add_work(clg__launch *launch, const struct clg__conv2d_attr *a, const clg_shape *x,
                     const clg_shape *y)
{
    const double taps = (double)a->kernel_size[0] * a->kernel_size[1];
    const double results = (double)clg_shape_count(y);
    clg__launch_work(launch, 2 * taps * results,
                     4 * (results + (double)clg_shape_count(x) + taps * a->groups));
}

clg_status clg__depthwise_gpu_data(clg__lowering *lo, bool backward)
{
    const struct clg__conv2d_attr *a = lo->node->attr;
    const clg_shape *from = &lo->in_shape[0], *to = &lo->out_shape;
    const int64_t lead = backward ? a->padding[2] % a->stride[1] : 0;
    const int64_t runs = clg__ceil_div(to->dim[2] + lead, pixels_of(a, backward));
    clg__launch *launch = start(lo, "depthwise", backward);
    add_geometry(launch, a, from, to);
    clg__launch_epilogue(launch);
    const int64_t items = to->dim[0] * to->dim[1] * runs * a->groups / vector_of(a);
    clg__launch_spread(launch, 1, (size_t[]){(size_t)items});
    add_work(launch, a, backward ? to : from, backward ? from : to);
    return lo->status;
}

clg_status clg__depthwise_gpu_weights(clg__lowering *lo)
{
    const struct clg__conv2d_attr *a = lo->node->attr;
    const clg_shape *x = &lo->in_shape[0], *y = &lo->in_shape[1];
    const int64_t group = clg__gpu_group(lo->ctx), blocks = a->groups / vector_of(a);
    const int64_t units = clg__max_i64(lo->ctx->info.compute_units, 1);
    int64_t lanes_x = 1;
    while (lanes_x < blocks && lanes_x < LINE_LANES && lanes_x < group) lanes_x *= 2;
    const int64_t groups = a->kernel_size[0] * clg__ceil_div(blocks, lanes_x);
    /* At a larger batch there are more lines and no fewer splits. */
    const int64_t lines = y->dim[0] * y->dim[1];
    const int64_t splits =
        clg__max_i64(1, clg__min_i64(clg__ceil_div(16 * units, groups), lines / (group / lanes_x)));
    clg__launch *launch = start(lo, "depthwise_weights", false);
    add_geometry(launch, a, x, y);
    clg__launch_int(launch, splits);
    clg__launch_int(launch, lanes_x);
    const clg__buffer_id parts =
        clg__lower_scratch(lo, splits * clg_shape_count(&lo->out_shape) * (int64_t)sizeof(float));
    clg__launch_buffer(launch, parts);
    clg__launch_long(launch, a->groups);
    clg__launch_range(launch, 1, (size_t[]){(size_t)(splits * groups * group)},
                      (size_t[]){(size_t)group});
    add_work(launch, a, x, y);
    clg__gpu_sum_splits(lo, parts, splits, a->groups);
    return lo->status;
}
