/*
 * Depthwise convolution on CPU devices: launches of cl/depthwise_cpu.cl and
 * cl/depthwise_weights_cpu.cl. The lowering functions of conv2d come here when every group has one
 * input and one output channel.
 */
#include "ops/algorithms_cpu.h"

static int64_t gap(int64_t stride, int64_t dilation)
{
    int64_t a = stride, b = dilation;
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return stride / a;
}

static void add_attributes(clg__launch *launch, const struct clg__conv2d_attr *attr)
{
    clg__launch_pair(launch, attr->kernel_size[0], attr->kernel_size[1]);
    clg__launch_pair(launch, attr->stride[0], attr->stride[1]);
    clg__launch_pair(launch, attr->padding[0], attr->padding[2]);
    clg__launch_pair(launch, attr->dilation[0], attr->dilation[1]);
}

static void add_work(clg__launch *launch, const struct clg__conv2d_attr *attr, const clg_shape *y)
{
    const double results = (double)y->dim[0] * y->dim[1] * y->dim[2] * y->dim[3];
    clg__launch_work(launch, 2 * results * attr->kernel_size[0] * attr->kernel_size[1],
                     2 * results * sizeof(float));
}

bool clg__depthwise_applies(const struct clg__conv2d_attr *attr, const clg_shape *a,
                            const clg_shape *b)
{
    return attr->groups > 1 && a->dim[3] == attr->groups && b->dim[3] == attr->groups;
}

clg_status clg__depthwise_cpu_data(clg__lowering *lo, bool backward)
{
    const struct clg__conv2d_attr *attr = lo->node->attr;
    const clg_shape *from = &lo->in_shape[0], *to = &lo->out_shape;
    const int64_t total = to->dim[0] * to->dim[1];
    const int64_t units = clg__max_i64(lo->ctx->info.compute_units, 1);
    const int64_t lines = clg__max_i64(total / (16 * units), 1);
    clg__launch *launch = clg__lower_kernel(lo, "depthwise_cpu", "depthwise", "%s", "");
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_int(launch, backward);
    clg__launch_int(launch, total);
    clg__launch_int(launch, lines);
    clg__launch_int(launch, attr->groups);
    clg__launch_pair(launch, from->dim[1], from->dim[2]);
    clg__launch_pair(launch, to->dim[1], to->dim[2]);
    add_attributes(launch, attr);
    clg__launch_pair(launch, gap(attr->stride[0], attr->dilation[0]),
                     gap(attr->stride[1], attr->dilation[1]));
    clg__launch_epilogue(launch);
    clg__launch_groups(launch, clg__ceil_div(total, lines));
    add_work(launch, attr, backward ? from : to);
    return lo->status;
}

clg_status clg__depthwise_cpu_weights(clg__lowering *lo)
{
    const struct clg__conv2d_attr *attr = lo->node->attr;
    const clg_shape *x = &lo->in_shape[0], *dy = &lo->in_shape[1];
    const int64_t total = dy->dim[0] * dy->dim[1], channels = attr->groups;
    const int64_t taps = (int64_t)attr->kernel_size[0] * attr->kernel_size[1];
    const int64_t fitting = (int64_t)lo->ctx->info.local_memory / 2 / (taps * 4) / 16 * 16;
    const int64_t block = clg__min_i64(channels, clg__max_i64(fitting, 1));
    const int64_t most = 4 * clg__max_i64(lo->ctx->info.compute_units, 1);
    const int64_t splits = clg__min_i64(most, total);
    clg__launch *launch =
        clg__lower_kernel(lo, "depthwise_weights_cpu", "depthwise_weights", "%s", "");
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_int(launch, total);
    clg__launch_int(launch, splits);
    clg__launch_int(launch, channels);
    clg__launch_int(launch, block);
    clg__launch_pair(launch, x->dim[1], x->dim[2]);
    clg__launch_pair(launch, dy->dim[1], dy->dim[2]);
    add_attributes(launch, attr);
    clg__launch_local(launch, (size_t)(taps * block) * sizeof(float));
    clg__launch_groups(launch, splits * clg__ceil_div(channels, block));
    add_work(launch, attr, dy);
    clg__buffer_id parts = clg__lower_partial(lo, most, taps, channels);
    clg__launch_buffer(launch, parts);
    clg__launch_long(launch, channels);
    clg__lower_sum_splits(lo, parts, splits, taps, channels);
    return lo->status;
}
