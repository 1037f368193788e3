/*
 * Sums over the pieces of a vector and their inverse, the repetition of one number per piece. Each
 * is the other's gradient. Kernels in cl/segments.cl.
 */
#include "ops/segments.h"

#include "ops/record.h"

enum { CHUNK = 4096, LOW_BITS = 16 };

typedef struct segment_attr {
    clg__segments segments; /* `table` is the second input, here NULL */
    int32_t squared, unused;
} segment_attr;

clg__segments clg__segments_make(clg_graph *g, const int64_t *lengths, size_t pieces)
{
    clg__segments s = {.pieces = (int64_t)pieces};
    float *rows = clg__calloc(3 * (pieces + 1), sizeof *rows);
    if (!rows) {
        clg__graph_fail(g, CLG_ERROR_MEMORY, "segments: out of host memory");
        return s;
    }
    for (size_t i = 0;; i++) {
        float *row = rows + 3 * i;
        row[0] = (float)(s.count >> LOW_BITS);
        row[1] = (float)(s.count & ((1 << LOW_BITS) - 1));
        row[2] = (float)s.chunks;
        if (i == pieces) break;
        s.count += lengths[i];
        s.chunks += clg__ceil_div(lengths[i], CHUNK);
    }
    if (s.chunks < 1 << 24) /* exact as floats */
        s.table = clg_constant(g, CLG_SHAPE((int64_t)pieces + 1, 3), rows);
    else
        clg__graph_fail(g, CLG_ERROR_UNSUPPORTED, "segments: %lld elements are too many",
                        (long long)s.count);
    clg__free(rows);
    return s;
}

static clg_tensor *build(const clg__op *op, clg_tensor *x, const clg__segments *segments,
                         bool squared)
{
    if (!x || !segments->table) return NULL;
    const bool sums = op == &clg__op_segment_sum;
    const int64_t from = sums ? segments->count : segments->pieces;
    const int64_t to = sums ? segments->pieces : segments->count;
    clg_graph *g = x->graph;
    if (x->shape.ndim != 1 || x->shape.dim[0] != from || x->shape.batched)
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT, "%s: expected (%lld), got %s", op->name,
                               (long long)from, CLG__SHAPE_TEXT(&x->shape));
    segment_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.segments = *segments;
    attr.segments.table = NULL;
    attr.squared = squared;
    clg_tensor *inputs[] = {x, segments->table};
    return clg__node(g, op, CLG_F32, CLG_SHAPE(to), &attr, 2, inputs);
}

/* The pieces that a node works on. */
static clg__segments segments_of(const clg_tensor *node)
{
    clg__segments s = ((const segment_attr *)node->attr)->segments;
    s.table = node->inputs[1];
    return s;
}

/* ---- launches ---- */

/* A work-group per chunk: one work-item with vectors on processors, many on graphics cards. */
static clg__launch *start(clg__lowering *lo, const char *kernel, int64_t groups)
{
    const segment_attr *attr = lo->node->attr;
    size_t group = 1;
    if (lo->ctx->engine == CLG_ENGINE_GPU)
        while (group * 2 <= lo->ctx->info.max_work_group && group < 128) group *= 2;
    clg__launch *launch = clg__lower_kernel(lo, "segments", kernel,
                                            "#define GROUP %d\n#define CHUNK %d\n"
                                            "#define SQUARED %d\n",
                                            (int)group, CHUNK, (int)attr->squared);
    clg__launch_range(launch, 1, (size_t[]){(size_t)groups * group}, &group);
    return launch;
}

static clg_status sum_lower(clg__lowering *lo)
{
    const segment_attr *attr = lo->node->attr;
    const clg__segments *s = &attr->segments;
    clg__buffer_id parts = clg__lower_scratch(lo, s->chunks * (int64_t)sizeof(float));
    clg__launch *launch = start(lo, "segment_parts", s->chunks);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_buffer(launch, parts);
    clg__launch_long(launch, s->pieces);
    clg__launch_work(launch, (double)s->count * (1 + attr->squared), 4.0 * (double)s->count);
    launch = start(lo, "segment_sum", s->pieces);
    clg__launch_buffer(launch, parts);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_epilogue(launch);
    clg__launch_work(launch, (double)s->chunks, 4.0 * (double)(s->chunks + s->pieces));
    return lo->status;
}

static clg_status repeat_lower(clg__lowering *lo)
{
    const clg__segments *s = &((const segment_attr *)lo->node->attr)->segments;
    clg__launch *launch = start(lo, "segment_repeat", s->chunks);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_long(launch, s->pieces);
    clg__launch_epilogue(launch);
    clg__launch_work(launch, 0, 4.0 * (double)s->count);
    return lo->status;
}

/* ---- rows ---- */

static void sum_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    clg__segments s = segments_of(out);
    dx[0] = clg__segment_repeat(g, &s);
    if (((const segment_attr *)out->attr)->squared)
        dx[0] = clg_mul(dx[0], clg_mul(out->inputs[0], clg__number(g, 2)));
}

static void repeat_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    clg__segments s = segments_of(out);
    dx[0] = clg__segment_sum(g, &s, false);
}

static const clg__algorithm sum_algorithms[] = {
    {.name = "chunks",
     .engines = 1u << CLG_ENGINE_CPU | 1u << CLG_ENGINE_GPU,
     .fuses_epilogue = true,
     .lower = sum_lower},
    {.name = NULL}};
static const clg__algorithm repeat_algorithms[] = {
    {.name = "chunks",
     .engines = 1u << CLG_ENGINE_CPU | 1u << CLG_ENGINE_GPU,
     .fuses_epilogue = true,
     .lower = repeat_lower},
    {.name = NULL}};

const clg__op clg__op_segment_sum = {
    .name = "segment_sum",
    .formula = "sums (of squares) of pieces of a vector that lie one behind the other",
    .class_ = CLG__KERNEL,
    .attr_size = sizeof(segment_attr),
    .gradient = sum_gradient,
    .algorithms = sum_algorithms};

const clg__op clg__op_segment_repeat = {
    .name = "segment_repeat",
    .formula = "a number per piece of a vector, repeated over the piece",
    .class_ = CLG__KERNEL,
    .attr_size = sizeof(segment_attr),
    .gradient = repeat_gradient,
    .algorithms = repeat_algorithms};

clg_tensor *clg__segment_sum(clg_tensor *x, const clg__segments *segments, bool squared)
{
    return build(&clg__op_segment_sum, x, segments, squared);
}

clg_tensor *clg__segment_repeat(clg_tensor *x, const clg__segments *segments)
{
    return build(&clg__op_segment_repeat, x, segments, false);
}
