/*
 * Convolution on CPU devices: the three passes' geometry, the choice of blocks, and the launches
 * (cl/conv2d_cpu.cl, cl/conv2d_weights_cpu.cl; depthwise ones in depthwise_cpu.c). All sizes are
 * arguments, so one compiled kernel serves all shapes, strides and phases with the same epilogue.
 *
 * Arrays of two are (vertical, horizontal).
 */
#include <math.h>

#include "ops/conv2d_cpu.h"
#include "ops/tuning.h"

static const clg__tile_knobs knobs = {CLG__TUNE_CONV2D_TILE, CLG__TUNE_CONV2D_BLOCKS, 5, 12};
static const clg__tile_knobs weights_knobs = {CLG__TUNE_WEIGHTS_TILE, CLG__TUNE_WEIGHTS_BLOCKS, 5,
                                              12};

/* Blocks of outputs: rows, columns of pixels, source channels of a chunk, output channels. */
typedef struct blocks {
    int64_t rows, columns, k, n;
    bool flat; /* weights are read where they are, by tiles of tile->flat_rows */
    int64_t window, panels, c, offsets; /* floats (ints) of local memory */
    int64_t count;
} blocks;

/*
 * Groups with few channels would leave most of a vector empty: several are taken as one, at the
 * cost of multiplying with the zeros between them.
 */
static clg__conv merge_groups(clg__conv p, const clg_context *ctx)
{
    const int64_t width = clg__tile_width(ctx);
    for (int64_t count = 2; count <= p.groups; count++)
        if (p.groups % count == 0 && count * p.n <= width && count * p.k <= 4 * width)
            p.merged = count;
    p.groups /= p.merged;
    p.k *= p.merged;
    p.n *= p.merged;
    return p;
}

/* Blocks of at most so many rows, columns, source channels, panels of output channels. */
static blocks limit_blocks(const clg__conv *p, const clg__tile *tile, const int64_t *most)
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

static blocks shape_blocks(const clg__conv *p, const clg__tile *tile, const int64_t *choice)
{
    const clg__conv_axis *v = &p->axis[0], *h = &p->axis[1];
    blocks it = limit_blocks(p, tile, choice), *b = &it;
    b->flat = choice[4];
    b->window =
        clg__conv_window_rows(v, b->rows) * clg__max_i64(clg__conv_extent(h, b->columns), 1) * b->k;
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
static double weights_cost(const clg__conv *p, const blocks *b, double weights, double tiles)
{
    const double blocks_q = (double)clg__ceil_div(p->batch * p->axis[0].outputs, b->rows) *
                            clg__ceil_div(p->axis[1].outputs, b->columns);
    const double chunks = (double)clg__ceil_div(p->k, b->k), cold = weights / blocks_q;
    if (!b->flat) return weights * (p->backward ? 0.7 : 0.4) + cold * 1.8;
    const double streamed = fmax(tiles * 1.05, fmax(cold * 0.8, weights * 0.5));
    return streamed - tiles + cold * 1.8 / chunks + chunks * 2000;
}

/* Estimated cycles of the busiest compute unit; the numbers as in matmul_cpu.c. */
static double estimate(const clg__conv *p, const clg__tile *tile, const blocks *b)
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
    const clg__conv *p;
    const clg__tile *tile;
    int64_t per_unit; /* backward to the weights: work-groups wanted for a compute unit */
} tiled;

static double cost_of(const void *problem, const int64_t *choice)
{
    const tiled *it = problem;
    const blocks b = shape_blocks(it->p, it->tile, choice);
    return fits(&b, it->tile) ? estimate(it->p, it->tile, &b) : INFINITY;
}

static blocks choose_blocks(const clg__conv *p, const clg__tile *tile)
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

static void add_local(clg__launch *launch, const blocks *b, int64_t bases)
{
    const int64_t floats[] = {b->window, b->panels, b->c, b->offsets, bases};
    for (size_t i = 0; i < CLG__COUNT(floats); i++)
        clg__launch_local(launch, (size_t)(clg__max_i64(floats[i], 1)) * sizeof(float));
}

/* One launch: all outputs of `conv`. */
static void add_conv(clg__lowering *lo, const clg__conv *conv)
{
    const clg__conv it = merge_groups(*conv, lo->ctx), *p = &it;
    const clg__tile tile = clg__tile_choose(lo->ctx, &knobs, lo->node, p->n);
    blocks b = choose_blocks(p, &tile);
    check_fits(lo, &b, &tile);
    clg__launch *launch = clg__tile_kernel(lo, "conv2d_cpu", "conv2d", &tile);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__conv_add_arguments(launch, p);
    clg__launch_int(launch, p->merged);
    clg__launch_pair(launch, b.rows, b.columns);
    clg__launch_int(launch, b.k);
    clg__launch_int(launch, b.n);
    clg__launch_int(launch, b.flat);
    add_local(launch, &b, p->axis[0].taps * p->axis[1].taps);
    clg__launch_epilogue(launch);
    clg__launch_groups(launch, b.count);
    clg__conv_add_work(launch, p);
}

bool clg__conv2d_cpu_few_pixels(const clg_tensor *node, int64_t batch)
{
    const int64_t *y = node->shape.dim; /* squares of 4 x 4 as Winograd's algorithm has them */
    return batch * clg__ceil_div(y[1], 4) * clg__ceil_div(y[2], 4) < 12;
}

clg_status clg__conv2d_cpu_forward(clg__lowering *lo)
{
    if (clg__depthwise_applies(lo->node->attr, &lo->in_shape[0], &lo->out_shape))
        return clg__depthwise_cpu_data(lo, false);
    return clg__conv_launches(lo, false, add_conv);
}

clg_status clg__conv2d_cpu_backward_data(clg__lowering *lo)
{
    if (clg__depthwise_applies(lo->node->attr, &lo->in_shape[0], &lo->out_shape))
        return clg__depthwise_cpu_data(lo, true);
    return clg__conv_launches(lo, true, add_conv);
}

/* ---- backward to the weights ---- */

/* Estimated cycles for the whole pass by blocks of b->k input and b->n output channels. */
static double weights_estimate(const clg__conv *p, const clg__tile *tile, const blocks *b,
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

static blocks shape_weights_blocks(const clg__conv *p, const clg__tile *tile, const int64_t *choice)
{
    const clg__conv_axis *v = &p->axis[0], *h = &p->axis[1];
    blocks it = limit_blocks(p, tile, choice), *b = &it;
    b->window = clg__conv_window_rows(v, b->rows) * clg__conv_extent(h, b->columns) * b->k;
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
static blocks choose_weights_blocks(const clg__conv *p, const clg__tile *tile, int64_t per_unit,
                                    int64_t *splits)
{
    static const int64_t depths[] = {1, 4, 16, 32, 64, 128, 1 << 30};
    static const int64_t panels[] = {1, 2, 4, 8, 16};
    static const int64_t rows[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
    static const int64_t columns[] = {16, 64, 256, 1 << 30};
    clg__conv nominal = *p;
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
    const clg__conv p = merge_groups(clg__conv_forward(attr, x, &lo->out_shape, dy), lo->ctx);
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
    clg__conv_add_window(launch, &p);
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
    clg__conv_add_work(launch, &p);
    clg__launch_parts(launch, most, splits, rows, p.groups * p.n);
    return lo->status;
}
