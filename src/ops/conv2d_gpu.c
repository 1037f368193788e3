/*
 * Convolution on GPUs: the three passes as implicit matrix products through local memory
 * (cl/conv2d_gpu.cl, cl/conv2d_weights_gpu.cl), and as plain walks over the window where a group
 * has too few channels for a tile (cl/conv2d_grouped_gpu.cl; depthwise ones: depthwise_gpu.c). All
 * sizes are arguments, so one compiled kernel serves every layer that takes the same tile and
 * epilogue.
 */
#include "ops/algorithms_gpu.h"
#include "ops/op.h"
#include "ops/tuning.h"

/* x (images, H, W, C), w (KH, KW, CG, OC), y (images, OH, OW, OC). */
typedef struct conv {
    const struct clg__conv2d_attr *attr;
    int64_t images, h, w, c, oh, ow, oc;
    int64_t cg, ng; /* channels of x and of y in one group */
} conv;

static conv read_conv(const struct clg__conv2d_attr *attr, const clg_shape *x, const clg_shape *y)
{
    return (conv){.attr = attr,
                  .images = x->dim[0],
                  .h = x->dim[1],
                  .w = x->dim[2],
                  .c = x->dim[3],
                  .oh = y->dim[1],
                  .ow = y->dim[2],
                  .oc = y->dim[3],
                  .cg = x->dim[3] / attr->groups,
                  .ng = y->dim[3] / attr->groups};
}

static void add_ints(clg__launch *launch, const int64_t *values, int count)
{
    for (int i = 0; i < count; i++) clg__launch_int(launch, values[i]);
}

/* KH, KW, SH, SW, pad_h, pad_w, DH, DW: how all kernels end. */
static void add_window(clg__launch *launch, const struct clg__conv2d_attr *a)
{
    const int64_t values[] = {a->kernel_size[0], a->kernel_size[1], a->stride[0],   a->stride[1],
                              a->padding[0],     a->padding[2],     a->dilation[0], a->dilation[1]};
    add_ints(launch, values, 8);
}

static void add_work(clg__launch *launch, const conv *p)
{
    const struct clg__conv2d_attr *a = p->attr;
    const double taps = (double)a->kernel_size[0] * a->kernel_size[1];
    const double y = (double)p->images * p->oh * p->ow * p->oc;
    const double x = (double)p->images * p->h * p->w * p->c;
    clg__launch_work(launch, 2 * y * taps * p->cg, 4 * (x + y + taps * p->cg * p->oc));
}

/* Columns of a product in one group that a tile would waste most of itself on. */
static bool is_grouped(const conv *p, int64_t columns)
{
    return p->attr->groups > 1 && columns < 8;
}

static bool is_depthwise(const conv *p, bool backward)
{
    return p->cg == 1 && p->ng == 1 && clg__depthwise_gpu_applies(p->attr, p->c, backward);
}

/* ---- few channels in a group ---- */

/* Channels of a work-item: adjacent ones belong together where groups have one each. */
static int vector_of(const conv *p)
{
    return p->cg == 1 && p->ng == 1 && p->c % 4 == 0 ? 4 : 1;
}

static clg__launch *grouped_kernel(clg__lowering *lo, const conv *p, const char *kernel)
{
    return clg__lower_kernel(lo, "conv2d_grouped_gpu", kernel, "#define VEC %d\n", vector_of(p));
}

static void add_geometry(clg__launch *launch, const conv *p)
{
    const int64_t values[] = {p->h, p->w, p->c, p->oh, p->ow, p->oc, p->cg, p->ng};
    clg__launch_long(launch, p->images);
    add_ints(launch, values, 8);
    add_window(launch, p->attr);
}

static clg_status lower_grouped(clg__lowering *lo, const conv *p, const char *kernel)
{
    clg__launch *launch = grouped_kernel(lo, p, kernel);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    add_geometry(launch, p);
    clg__launch_epilogue(launch);
    clg__launch_spread(launch, 1,
                       (size_t[]){(size_t)(clg_shape_count(&lo->out_shape) / vector_of(p))});
    add_work(launch, p);
    return lo->status;
}

/* ---- forward and backward data ---- */

/* How the tiled kernel sees a pass: result from source, in phases of pixels. */
typedef struct walk {
    const char *defines;
    clg_shape source, result, typical; /* typical: result at the usual batch size */
    int64_t source_channels, columns;  /* of one group */
    int64_t phases[2];
} walk;

/* Work-groups for all tiles of all phases and groups. */
static int64_t tile_count(const walk *s, const clg__gpu_tile *tile, int64_t groups)
{
    const int64_t pixels = s->result.dim[0] * clg__ceil_div(s->result.dim[1], s->phases[0]) *
                           clg__ceil_div(s->result.dim[2], s->phases[1]);
    return groups * s->phases[0] * s->phases[1] * clg__ceil_div(pixels, tile->m) *
           clg__ceil_div(s->columns, tile->n);
}

static clg_status lower_walk(clg__lowering *lo, const conv *p, const walk *s)
{
    const int64_t phases = s->phases[0] * s->phases[1];
    const int64_t taps = (int64_t)p->attr->kernel_size[0] * p->attr->kernel_size[1];
    const clg__gemm product = {.batch = phases * p->attr->groups,
                               .m = clg_shape_count(&s->typical) / s->typical.dim[3] / phases,
                               .n = s->columns,
                               .k = taps * s->source_channels / phases};
    int splits = 1;
    const clg__gpu_tile tile = clg__gpu_tile_choose_split(lo->ctx, CLG__TUNE_CONV2D_LOCAL_TILE,
                                                          lo->node, &product, &splits);
    char defines[64];
    snprintf(defines, sizeof defines, "%s#define VEC %d\n", s->defines,
             s->source_channels % 4 == 0 ? 4 : 1);
    clg__launch *launch =
        clg__gpu_tile_kernel(lo, "conv2d_gpu", "conv2d", &tile, s->columns, defines);
    const int64_t values[] = {
        s->source.dim[1], s->source.dim[2],   s->source.dim[3], s->result.dim[1],
        s->result.dim[2], s->source_channels, s->columns,       p->oc};
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_long(launch, p->images);
    clg__launch_int(launch, p->attr->groups);
    clg__launch_int(launch, splits);
    add_ints(launch, values, 8);
    add_window(launch, p->attr);
    const int64_t columns = s->result.dim[3];
    const clg__buffer_id parts = clg__gpu_result(lo, launch, splits, columns);
    clg__gpu_tile_range(launch, &tile, splits * tile_count(s, &tile, p->attr->groups));
    add_work(launch, p);
    if (splits > 1) clg__gpu_sum_splits(lo, parts, splits, columns);
    return lo->status;
}

clg_status clg__conv2d_gpu_forward(clg__lowering *lo)
{
    const conv p = read_conv(lo->node->attr, &lo->in_shape[0], &lo->out_shape);
    if (is_depthwise(&p, false)) return clg__depthwise_gpu_data(lo, false);
    if (is_grouped(&p, p.ng)) return lower_grouped(lo, &p, "grouped_forward");
    const walk s = {.defines = "#define BACKWARD 0\n",
                    .source = lo->in_shape[0],
                    .result = lo->out_shape,
                    .typical = clg__gpu_typical_shape(lo->node),
                    .source_channels = p.cg,
                    .columns = p.ng,
                    .phases = {1, 1}};
    return lower_walk(lo, &p, &s);
}

clg_status clg__conv2d_gpu_backward_data(clg__lowering *lo)
{
    const conv p = read_conv(lo->node->attr, &lo->out_shape, &lo->in_shape[0]);
    if (is_depthwise(&p, true)) return clg__depthwise_gpu_data(lo, true);
    if (is_grouped(&p, p.cg)) return lower_grouped(lo, &p, "grouped_data");
    const walk s = {.defines = "#define BACKWARD 1\n",
                    .source = lo->in_shape[0],
                    .result = lo->out_shape,
                    .typical = clg__gpu_typical_shape(lo->node),
                    .source_channels = p.ng,
                    .columns = p.cg,
                    .phases = {p.attr->stride[0], p.attr->stride[1]}};
    return lower_walk(lo, &p, &s);
}

/* ---- backward weights ---- */

/* The reduction over dy's pixels, dealt out. */
typedef struct splits {
    int64_t pixels, run, count, most; /* most: never less at a larger batch size */
} splits;

/* Enough work-groups for the device, each with at least 256 pixels. */
static splits deal_out(const clg_context *ctx, const conv *p, int64_t groups_per_split,
                       int64_t step)
{
    const int64_t wanted =
        clg__ceil_div(4 * clg__max_i64(ctx->info.compute_units, 1), groups_per_split);
    splits s = {.pixels = p->images * p->oh * p->ow};
    s.most = clg__max_i64(1, clg__min_i64(wanted, s.pixels / 256));
    s.run = clg__round_up(clg__ceil_div(s.pixels, s.most), step);
    s.count = clg__ceil_div(s.pixels, s.run);
    return s;
}

static clg__buffer_id reserve_parts(clg__lowering *lo, const splits *s)
{
    return clg__lower_scratch(lo,
                              s->most * clg_shape_count(&lo->out_shape) * (int64_t)sizeof(float));
}

static clg_status lower_grouped_weights(clg__lowering *lo, const conv *p)
{
    const int64_t items = clg_shape_count(&lo->out_shape) / vector_of(p);
    const splits s = deal_out(lo->ctx, p, clg__ceil_div(items, 256), 1);
    const clg__buffer_id parts = reserve_parts(lo, &s);
    clg__launch *launch = grouped_kernel(lo, p, "grouped_weights");
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_buffer(launch, parts);
    clg__launch_long(launch, s.run);
    clg__launch_int(launch, s.count);
    add_geometry(launch, p);
    clg__launch_spread(launch, 1, (size_t[]){(size_t)(items * s.count)});
    add_work(launch, p);
    clg__gpu_sum_splits(lo, parts, s.count, p->oc);
    return lo->status;
}

clg_status clg__conv2d_gpu_backward_weights(clg__lowering *lo)
{
    const conv p = read_conv(lo->node->attr, &lo->in_shape[0], &lo->in_shape[1]);
    if (is_depthwise(&p, false)) return clg__depthwise_gpu_weights(lo);
    if (is_grouped(&p, p.ng)) return lower_grouped_weights(lo, &p);
    const int64_t rows = clg_shape_count(&lo->out_shape) / p.oc, groups = p.attr->groups;
    /* Splits fill the device, whatever the tile: ask for one as if there were plenty of them. */
    const int64_t plenty = 64 * clg__max_i64(lo->ctx->info.compute_units, 1);
    const clg__gpu_tile tile =
        clg__gpu_tile_choose(lo->ctx, CLG__TUNE_WEIGHTS_LOCAL_TILE, lo->node,
                             &(clg__gemm){.batch = plenty, .m = rows, .n = p.ng});
    const int64_t tiles = groups * clg__ceil_div(rows, tile.m) * clg__ceil_div(p.ng, tile.n);
    const splits s = deal_out(lo->ctx, &p, tiles, tile.k);
    const clg__buffer_id parts = reserve_parts(lo, &s);
    clg__launch *launch =
        clg__gpu_tile_kernel(lo, "conv2d_weights_gpu", "conv2d_weights", &tile, p.ng,
                             p.cg % 4 == 0 ? "#define VEC 4\n" : "#define VEC 1\n");
    const int64_t values[] = {s.count, p.h, p.w, p.c, p.oh, p.ow, p.oc, p.cg, p.ng};
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_long(launch, s.pixels);
    clg__launch_long(launch, s.run);
    add_ints(launch, values, 9);
    add_window(launch, p.attr);
    clg__launch_buffer(launch, parts);
    clg__launch_long(launch, p.oc);
    clg__gpu_tile_range(launch, &tile, tiles * s.count);
    add_work(launch, &p);
    clg__gpu_sum_splits(lo, parts, s.count, p.oc);
    return lo->status;
}
