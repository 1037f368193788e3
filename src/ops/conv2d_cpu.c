/*
 * Convolution on CPU devices: the three passes' geometry, the choice of blocks, and the launches
 * (cl/conv2d_cpu.cl, cl/conv2d_weights_cpu.cl; depthwise ones in depthwise_cpu.c). All sizes are
 * arguments, so one compiled kernel serves all shapes, strides and phases with the same epilogue.
 *
 * Arrays of two are (vertical, horizontal).
 */
#include <math.h>

#include "ops/algorithms_cpu.h"
#include "ops/tuning.h"

static const clg__tile_knobs knobs = {CLG__TUNE_CONV2D_TILE, CLG__TUNE_CONV2D_BLOCKS, 5, 12};
static const clg__tile_knobs weights_knobs = {CLG__TUNE_WEIGHTS_TILE, CLG__TUNE_WEIGHTS_BLOCKS, 5,
                                              12};

/*
 * One dimension of a pass: output i looks at source positions origin + i * stride * skip +
 * t * spread for the taps t. See cl/window_cpu.h and cl/conv2d_cpu.cl.
 */
typedef struct axis {
    int64_t source, outputs;
    int64_t origin, stride, taps, spread, skip;
    int64_t tap_first, tap_step; /* tap 0 in the kernel, and from one tap to the next */
    int64_t result, first, step; /* extent of the result; position of output 0, and of the next */
} axis;

typedef struct conv {
    axis axis[2];
    int64_t batch, groups;
    int64_t k, n;   /* channels of source and result in one group */
    int64_t merged; /* of the real groups in one: counted in groups, k and n */
    bool backward;
    int64_t kernel_width, tap_rows,
        tap_columns; /* w is (KH, kernel_width, tap_rows, tap_columns) */
} conv;

/* Blocks of outputs: rows, columns of pixels, source channels of a chunk, output channels. */
typedef struct blocks {
    int64_t rows, columns, k, n;
    bool flat; /* weights are read where they are, by tiles of tile->flat_rows */
    int64_t window, panels, c, offsets; /* floats (ints) of local memory */
    int64_t count;
} blocks;

static int64_t span(const axis *a)
{
    return (a->taps - 1) * a->spread + 1;
}

/* Window positions that `count` outputs look at. */
static int64_t extent(const axis *a, int64_t count)
{
    return clg__max_i64((count - 1) * a->stride + span(a), 0);
}

/*
 * Most window rows that `rows` adjacent output rows need. Where they cross into the next image the
 * step is the span instead of the stride, and they may begin anywhere in an image.
 */
static int64_t window_rows(const axis *a, int64_t rows)
{
    int64_t crossings =
        span(a) > a->stride ? clg__ceil_div(rows - 1, a->outputs) : (rows - 1) / a->outputs;
    return (rows - 1 - crossings) * a->stride + (crossings + 1) * clg__max_i64(span(a), 1);
}

/* A single tap needs no positions between those it looks at. */
static void simplify(axis *a)
{
    if (a->taps != 1) return;
    a->spread = 1;
    a->skip = a->stride;
    a->stride = 1;
}

/*
 * Groups with few channels would leave most of a vector empty: several are taken as one, at the
 * cost of multiplying with the zeros between them.
 */
static void merge_groups(conv *p, const clg_context *ctx)
{
    const int64_t width = clg__tile_width(ctx);
    p->merged = 1;
    for (int64_t count = 2; count <= p->groups; count++)
        if (p->groups % count == 0 && count * p->n <= width && count * p->k <= 4 * width)
            p->merged = count;
    p->groups /= p->merged;
    p->k *= p->merged;
    p->n *= p->merged;
}

static axis forward_axis(const struct clg__conv2d_attr *attr, int i, int64_t source,
                         int64_t outputs)
{
    axis a = {.source = source, .outputs = outputs, .result = outputs};
    a.origin = -attr->padding[2 * i];
    a.stride = attr->stride[i];
    a.taps = attr->kernel_size[i];
    a.spread = attr->dilation[i];
    a.tap_step = a.skip = a.step = 1;
    simplify(&a);
    return a;
}

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a;
}

/*
 * Backward, the pixels first, first + stride, ... of dx. Position h of x met y's row
 * (h + padding - tap * dilation) / stride where that divides; for one remainder of h these are taps
 * `low`, low + gap, ... Later taps met earlier rows, so the order is turned round.
 */
static axis backward_axis(const struct clg__conv2d_attr *attr, int i, int64_t source, int64_t first)
{
    const int64_t stride = attr->stride[i], dilation = attr->dilation[i];
    const int64_t kernel = attr->kernel_size[i], gap = stride / gcd(stride, dilation);
    const int64_t position = first + attr->padding[2 * i];
    axis a = {.source = source, .result = attr->input_size[i], .first = first, .step = stride};
    a.outputs = first < a.result ? (a.result - 1 - first) / stride + 1 : 0;
    a.stride = a.skip = a.spread = 1;
    int64_t low = 0;
    while (low < gap && (position - low * dilation) % stride != 0) low++;
    if (low >= gap || low >= kernel) return a; /* no tap: these pixels get zero */
    a.taps = (kernel - 1 - low) / gap + 1;
    a.tap_first = low + (a.taps - 1) * gap;
    a.tap_step = -gap;
    a.origin = (position - a.tap_first * dilation) / stride;
    a.spread = gap * dilation / stride;
    simplify(&a);
    return a;
}

/* Blocks of at most so many rows, columns, source channels, panels of output channels. */
static blocks limit_blocks(const conv *p, const clg__tile *tile, const int64_t *most)
{
    return (blocks){.rows = clg__min_i64(most[0], p->batch * p->axis[0].outputs),
                    .columns = clg__min_i64(most[1], p->axis[1].outputs),
                    .k = clg__min_i64(most[2], p->k),
                    .n = clg__min_i64(most[3] * tile->panel, clg__round_up(p->n, tile->panel))};
}

static int64_t tile_rows(const clg__tile *tile, const blocks *b)
{
    return b->flat ? tile->flat_rows : tile->rows;
}

static blocks shape_blocks(const conv *p, const clg__tile *tile, const int64_t *choice)
{
    const axis *v = &p->axis[0], *h = &p->axis[1];
    blocks it = limit_blocks(p, tile, choice), *b = &it;
    b->flat = choice[4];
    b->window = window_rows(v, b->rows) * clg__max_i64(extent(h, b->columns), 1) * b->k;
    b->panels = b->flat ? 0 : clg__max_i64(v->taps * h->taps, 1) * b->k * b->n;
    b->offsets = 2 * (b->rows * b->columns + tile->rows);
    b->c = b->k == p->k ? tile->rows * tile->panel /* one chunk: a tile */
                        : clg__round_up(b->rows * b->columns, tile_rows(tile, b)) * b->n;
    b->count = clg__ceil_div(p->batch * v->outputs, b->rows) *
               clg__ceil_div(h->outputs, b->columns) * p->groups * clg__ceil_div(p->n, b->n);
    return it;
}

/*
 * What waiting for a block's weights adds to `tiles` cycles of multiply-adds. They come from memory
 * once for all blocks of pixels. Read in place, all but the first chunk is fetched during the tiles
 * before, whose own reads are from further away than packed ones.
 */
static double weights_cost(const conv *p, const blocks *b, double weights, double tiles)
{
    const double blocks_q = (double)clg__ceil_div(p->batch * p->axis[0].outputs, b->rows) *
                            clg__ceil_div(p->axis[1].outputs, b->columns);
    const double chunks = (double)clg__ceil_div(p->k, b->k), cold = weights / blocks_q;
    if (!b->flat) return weights * (p->backward ? 0.7 : 0.4) + cold * 1.8;
    const double streamed = fmax(tiles * 1.05, fmax(cold * 0.8, weights * 0.5));
    return streamed - tiles + cold * 1.8 / chunks + chunks * 2000;
}

/* Estimated cycles of the busiest compute unit; the numbers as in matmul_cpu.c. */
static double estimate(const conv *p, const clg__tile *tile, const blocks *b)
{
    const double taps = (double)p->axis[0].taps * p->axis[1].taps;
    const double chunks = (double)clg__ceil_div(p->k, b->k), rows = (double)tile_rows(tile, b);
    const double area = ceil((double)b->rows * b->columns / rows) * rows * b->n;
    double tiles = area * (taps * p->k / (2 * tile->width) + (chunks - 1) * 0.15);
    double runs = area / rows / tile->panel * p->axis[0].taps * 8 * chunks;
    double copies =
        chunks * b->window * 0.8 + weights_cost(p, b, taps * chunks * b->k * b->n, tiles);
    double waves = (double)clg__ceil_div(b->count, tile->compute_units) + 0.2;
    return waves * (tiles + runs + copies + area + 4000);
}

static bool fits(const blocks *b, const clg__tile *tile)
{
    return b->window + b->panels + b->c + b->offsets <= tile->local_floats;
}

/* The smallest blocks may still be too large: the kernel's taps times a panel stay together. */
static void check_fits(clg__lowering *lo, const blocks *b, const clg__tile *tile)
{
    const struct clg__conv2d_attr *attr = lo->node->attr;
    if (fits(b, tile)) return;
    clg__lower_fail(lo, CLG_ERROR_UNSUPPORTED,
                    "conv2d: a kernel of %d x %d needs blocks of %lld bytes in local memory; %lld "
                    "of the device's %llu can be used; a smaller kernel would fit",
                    attr->kernel_size[0], attr->kernel_size[1],
                    (long long)(b->window + b->panels + b->c + b->offsets) * 4,
                    (long long)tile->local_floats * 4,
                    (unsigned long long)lo->ctx->info.local_memory);
}

typedef struct tiled {
    const conv *p;
    const clg__tile *tile;
    int64_t per_unit; /* backward to the weights: work-groups wanted for a compute unit */
} tiled;

static double cost_of(const void *problem, const int64_t *choice)
{
    const tiled *it = problem;
    const blocks b = shape_blocks(it->p, it->tile, choice);
    return fits(&b, it->tile) ? estimate(it->p, it->tile, &b) : INFINITY;
}

static blocks choose_blocks(const conv *p, const clg__tile *tile)
{
    static const int64_t rows[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
    static const int64_t columns[] = {12, 48, 192, 1 << 30};
    static const int64_t depths[] = {1, 4, 16, 64, 256, 1 << 30};
    static const int64_t panels[] = {1, 2, 4, 8, 16};
    static const int64_t flat[] = {false, true};
    const bool may_be_flat = !p->backward && p->merged == 1 && p->n % tile->panel == 0;
    const clg__candidates lists[] = {CLG__CANDIDATES(rows),
                                     CLG__CANDIDATES(columns),
                                     CLG__CANDIDATES(depths),
                                     CLG__CANDIDATES(panels),
                                     {flat, may_be_flat ? 2 : 1}};
    int64_t best[CLG__COUNT(lists)];
    clg__choose(lists, CLG__COUNT(lists), cost_of, &(tiled){.p = p, .tile = tile}, best);
    return shape_blocks(p, tile, best);
}

#define LAUNCH_PAIR(launch, axes, field) clg__launch_pair(launch, (axes)[0].field, (axes)[1].field)

static void add_geometry(clg__launch *launch, const axis *axes, int64_t channels)
{
    LAUNCH_PAIR(launch, axes, source);
    LAUNCH_PAIR(launch, axes, outputs);
    LAUNCH_PAIR(launch, axes, origin);
    LAUNCH_PAIR(launch, axes, stride);
    LAUNCH_PAIR(launch, axes, taps);
    LAUNCH_PAIR(launch, axes, spread);
    LAUNCH_PAIR(launch, axes, skip);
    clg__launch_int(launch, channels);
}

static void add_local(clg__launch *launch, const blocks *b, int64_t bases)
{
    const int64_t floats[] = {b->window, b->panels, b->c, b->offsets, bases};
    for (size_t i = 0; i < CLG__COUNT(floats); i++)
        clg__launch_local(launch, (size_t)(clg__max_i64(floats[i], 1)) * sizeof(float));
}

/* One launch: all outputs of `p`. */
static void add_conv(clg__lowering *lo, const conv *p, const clg__tile *tile)
{
    const axis *a = p->axis;
    if (a[0].outputs == 0 || a[1].outputs == 0) return;
    blocks b = choose_blocks(p, tile);
    check_fits(lo, &b, tile);
    clg__launch *launch = clg__tile_kernel(lo, "conv2d_cpu", "conv2d", tile);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    add_geometry(launch, a, p->groups * p->k);
    LAUNCH_PAIR(launch, a, tap_first);
    LAUNCH_PAIR(launch, a, tap_step);
    clg__launch_int(launch, p->kernel_width);
    clg__launch_int(launch, p->tap_rows);
    clg__launch_int(launch, p->tap_columns);
    clg__launch_int(launch, p->backward);
    LAUNCH_PAIR(launch, a, result);
    LAUNCH_PAIR(launch, a, first);
    LAUNCH_PAIR(launch, a, step);
    clg__launch_int(launch, p->batch);
    clg__launch_int(launch, p->groups);
    clg__launch_int(launch, p->k);
    clg__launch_int(launch, p->n);
    clg__launch_int(launch, p->merged);
    clg__launch_pair(launch, b.rows, b.columns);
    clg__launch_int(launch, b.k);
    clg__launch_int(launch, b.n);
    clg__launch_int(launch, b.flat);
    add_local(launch, &b, a[0].taps * a[1].taps);
    clg__launch_epilogue(launch);
    clg__launch_groups(launch, b.count);
    const double pixels = (double)p->batch * a[0].outputs * a[1].outputs * p->groups;
    const double weights = (double)a[0].taps * a[1].taps * p->k / p->merged * p->n;
    clg__launch_work(launch, 2 * pixels * weights,
                     4 * (pixels * (p->n + p->k) + weights * p->groups));
}

bool clg__conv2d_cpu_few_pixels(const clg_tensor *node, int64_t batch)
{
    const int64_t *y = node->shape.dim; /* squares of 4 x 4 as Winograd's algorithm has them */
    return batch * clg__ceil_div(y[1], 4) * clg__ceil_div(y[2], 4) < 12;
}

clg_status clg__conv2d_cpu_forward(clg__lowering *lo)
{
    const struct clg__conv2d_attr *attr = lo->node->attr;
    const clg_shape *x = &lo->in_shape[0], *w = &lo->in_shape[1], *y = &lo->out_shape;
    if (clg__depthwise_applies(attr, x, y)) return clg__depthwise_cpu_data(lo, false);
    conv p = {.batch = x->dim[0], .groups = attr->groups};
    p.k = x->dim[3] / p.groups;
    p.n = y->dim[3] / p.groups;
    merge_groups(&p, lo->ctx);
    p.kernel_width = w->dim[1];
    p.tap_rows = w->dim[2];
    p.tap_columns = w->dim[3];
    for (int i = 0; i < 2; i++) p.axis[i] = forward_axis(attr, i, x->dim[1 + i], y->dim[1 + i]);
    const clg__tile tile = clg__tile_choose(lo->ctx, &knobs, lo->node, p.n);
    add_conv(lo, &p, &tile);
    return lo->status;
}

clg_status clg__conv2d_cpu_backward_data(clg__lowering *lo)
{
    const struct clg__conv2d_attr *attr = lo->node->attr;
    const clg_shape *dy = &lo->in_shape[0], *w = &lo->in_shape[1], *dx = &lo->out_shape;
    if (clg__depthwise_applies(attr, dy, dx)) return clg__depthwise_cpu_data(lo, true);
    conv p = {.batch = dx->dim[0], .groups = attr->groups, .backward = true};
    p.k = dy->dim[3] / p.groups;
    p.n = dx->dim[3] / p.groups;
    merge_groups(&p, lo->ctx);
    p.kernel_width = w->dim[1];
    p.tap_rows = w->dim[2];
    p.tap_columns = w->dim[3];
    const clg__tile tile = clg__tile_choose(lo->ctx, &knobs, lo->node, p.n);
    for (int i = 0; i < attr->stride[0] * attr->stride[1]; i++) {
        const int64_t first[2] = {i / attr->stride[1], i % attr->stride[1]};
        for (int j = 0; j < 2; j++) p.axis[j] = backward_axis(attr, j, dy->dim[1 + j], first[j]);
        if (!p.axis[0].taps || !p.axis[1].taps) p.axis[0].taps = p.axis[1].taps = 0;
        add_conv(lo, &p, &tile);
    }
    return lo->status;
}

/* ---- backward to the weights ---- */

/* Estimated cycles for the whole pass by blocks of b->k input and b->n output channels. */
static double weights_estimate(const conv *p, const clg__tile *tile, const blocks *b,
                               int64_t splits)
{
    const double taps = (double)p->axis[0].taps * p->axis[1].taps;
    const double pixels = (double)p->axis[0].outputs * p->axis[1].outputs * p->batch / splits;
    const double chunk = (double)b->rows * b->columns;
    double stream = clg__tile_stream(chunk * (4.0 * tile->panel + 64));
    double tiles = pixels * b->c * (stream / (2 * tile->width) + 0.15 / chunk);
    double runs = pixels / b->columns * b->c / tile->rows / tile->panel * 8;
    double copies = pixels / chunk * b->window * 0.8 + pixels * b->n * 0.8;
    double waves = (double)clg__ceil_div(b->count * splits, tile->compute_units) + 0.2;
    double sum = splits > 1 ? splits * taps * p->k * p->n * 0.5 / tile->compute_units : 0;
    return waves * (tiles + runs + copies + 2000) + sum;
}

static blocks shape_weights_blocks(const conv *p, const clg__tile *tile, const int64_t *choice)
{
    const axis *v = &p->axis[0], *h = &p->axis[1];
    blocks it = limit_blocks(p, tile, choice), *b = &it;
    b->window = window_rows(v, b->rows) * extent(h, b->columns) * b->k;
    b->panels = b->rows * b->columns * b->n;
    b->offsets = clg__round_up(v->taps * h->taps * b->k, tile->rows);
    b->c = b->offsets * b->n;
    b->count = p->groups * clg__ceil_div(p->k, b->k) * clg__ceil_div(p->n, b->n);
    return it;
}

static int64_t splits_of(const tiled *it, const blocks *b)
{
    return clg__max_i64(clg__ceil_div(it->per_unit * it->tile->compute_units, b->count), 1);
}

static double weights_cost_of(const void *problem, const int64_t *choice)
{
    const tiled *it = problem;
    const blocks b = shape_weights_blocks(it->p, it->tile, choice);
    return fits(&b, it->tile) ? weights_estimate(it->p, it->tile, &b, splits_of(it, &b)) : INFINITY;
}

/*
 * Blocks and number of splits. They depend on everything but the batch size (taken as 64), because
 * whether there is a second launch does.
 */
static blocks choose_weights_blocks(const conv *p, const clg__tile *tile, int64_t per_unit,
                                    int64_t *splits)
{
    static const int64_t depths[] = {1, 4, 16, 32, 64, 128, 1 << 30};
    static const int64_t panels[] = {1, 2, 4, 8, 16};
    static const int64_t rows[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
    static const int64_t columns[] = {16, 64, 256, 1 << 30};
    conv nominal = *p;
    nominal.batch = 64;
    const tiled problem = {&nominal, tile, per_unit};
    const clg__candidates lists[] = {CLG__CANDIDATES(rows), CLG__CANDIDATES(columns),
                                     CLG__CANDIDATES(depths), CLG__CANDIDATES(panels)};
    int64_t best[CLG__COUNT(lists)];
    clg__choose(lists, CLG__COUNT(lists), weights_cost_of, &problem, best);
    const blocks b = shape_weights_blocks(&nominal, tile, best);
    *splits = splits_of(&problem, &b);
    return b;
}

clg_status clg__conv2d_cpu_backward_weights(clg__lowering *lo)
{
    const struct clg__conv2d_attr *attr = lo->node->attr;
    const clg_shape *x = &lo->in_shape[0], *dy = &lo->in_shape[1];
    if (clg__depthwise_applies(attr, x, dy)) return clg__depthwise_cpu_weights(lo);
    conv p = {.batch = x->dim[0], .groups = attr->groups};
    p.k = x->dim[3] / p.groups;
    p.n = dy->dim[3] / p.groups;
    merge_groups(&p, lo->ctx);
    for (int i = 0; i < 2; i++) p.axis[i] = forward_axis(attr, i, x->dim[1 + i], dy->dim[1 + i]);
    const clg__tile tile = clg__tile_choose(lo->ctx, &weights_knobs, lo->node, p.n);
    int64_t most = 1;
    const int64_t per_unit = clg__tuned_int(lo->ctx, CLG__TUNE_WEIGHTS_SPLIT, lo->node, 4);
    blocks b = choose_weights_blocks(&p, &tile, per_unit, &most);
    check_fits(lo, &b, &tile);
    const int64_t chunks = clg__ceil_div(p.batch * p.axis[0].outputs, b.rows) *
                           clg__ceil_div(p.axis[1].outputs, b.columns);
    const int64_t splits = clg__min_i64(most, chunks);
    const int64_t taps = p.axis[0].taps * p.axis[1].taps, rows = taps * p.k / p.merged;

    clg__launch *launch = clg__tile_kernel(lo, "conv2d_weights_cpu", "conv2d_weights", &tile);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    add_geometry(launch, p.axis, p.groups * p.k);
    clg__launch_int(launch, p.batch);
    clg__launch_int(launch, p.groups);
    clg__launch_int(launch, p.k);
    clg__launch_int(launch, p.n);
    clg__launch_int(launch, p.merged);
    clg__launch_pair(launch, b.rows, b.columns);
    clg__launch_int(launch, b.k);
    clg__launch_int(launch, b.n);
    clg__launch_int(launch, splits);
    add_local(launch, &b, b.rows);
    clg__launch_groups(launch, b.count * splits);
    const double pixels = (double)p.batch * p.axis[0].outputs * p.axis[1].outputs * p.groups;
    clg__launch_work(launch, 2 * pixels * p.n * rows, 4 * pixels * (p.n + p.k));
    if (most > 1) {
        clg__buffer_id parts = clg__launch_partial(lo, launch, most, rows, p.groups * p.n);
        clg__lower_sum_splits(lo, parts, splits, rows, p.groups * p.n);
    } else
        clg__launch_epilogue(launch);
    return lo->status;
}
