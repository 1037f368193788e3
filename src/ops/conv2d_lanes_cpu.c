/*
 * Convolution of many groups of few channels on CPU devices, all three passes with vectors across
 * groups (cl/lanes_cpu.h, cl/conv2d_lanes_cpu.cl, cl/conv2d_weights_lanes_cpu.cl). A compiled
 * kernel serves all shapes whose tiles have as many vectors.
 *
 * Arrays of two are (vertical, horizontal).
 */
#include <math.h>

#include "ops/conv2d_cpu.h"
#include "ops/tuning.h"

/* Blocks of outputs; see the kernels. */
typedef struct blocks {
    int64_t rows, columns, outputs;             /* of channels of a group, in whole panels */
    int64_t window, panels, c, zipped, offsets; /* floats (ints) of local memory */
    int64_t count;                              /* work-groups, of a split */
} blocks;

/* A vector for each output channel of a group, up to four, so that the last panel is full. */
static clg__tile choose_tile(const clg_context *ctx, int64_t n)
{
    clg__tile tile = {.width = clg__tile_width(ctx), .vectors = 4};
    for (int v = 3; v > 0; v--)
        if (clg__round_up(n, v) < clg__round_up(n, tile.vectors) && (v > 1 || n == 1))
            tile.vectors = v;
    tile.rows = (tile.width == 16 ? 24 : 8) / tile.vectors;
    tile.panel = tile.width * tile.vectors;
    tile.local_floats = clg__tile_local_floats(ctx, 3);
    tile.compute_units = clg__max_i64(ctx->info.compute_units, 1);
    return tile;
}

static int64_t group_blocks(const clg__conv *p, const clg__tile *tile)
{
    return clg__ceil_div(p->groups, tile->width);
}

/* What both kernels have. choice: rows, columns. */
static blocks limit_blocks(const clg__conv *p, const clg__tile *tile, const int64_t *choice)
{
    const clg__conv_axis *v = &p->axis[0], *h = &p->axis[1];
    blocks b = {.rows = clg__min_i64(choice[0], p->batch * v->outputs),
                .columns = clg__min_i64(choice[1], h->outputs)};
    b.outputs = clg__round_up(p->n, tile->vectors);
    b.window = clg__conv_window_rows(v, b.rows) * clg__max_i64(clg__conv_extent(h, b.columns), 1) *
               p->k * tile->width;
    b.zipped = p->n * tile->width;
    return b;
}

static bool fits(const blocks *b, const clg__tile *tile)
{
    return b->window + b->panels + b->c + b->zipped + b->offsets <= tile->local_floats;
}

typedef struct problem {
    const clg__conv *p;
    const clg__tile *tile;
    int64_t per_unit; /* backward to the weights: work-groups wanted for a compute unit */
} problem;

/* Unzipping or zipping a vector takes about as long as so many multiply-adds. */
enum { UNZIP = 5, ZIP = 8 };

/* ---- forward and backward to the data ---- */

static blocks shape_blocks(const problem *it, const int64_t *choice)
{
    const clg__conv *p = it->p;
    const clg__tile *tile = it->tile;
    const int64_t taps = p->axis[0].taps * p->axis[1].taps;
    blocks b = limit_blocks(p, tile, choice);
    b.panels = clg__max_i64(taps, 1) * p->k * b.outputs * tile->width;
    b.c = tile->rows * b.outputs * tile->width;
    b.offsets = 2 * (b.rows * b.columns + tile->rows) + taps;
    b.count = clg__ceil_div(p->batch * p->axis[0].outputs, b.rows) *
              clg__ceil_div(p->axis[1].outputs, b.columns) * group_blocks(p, tile);
    return b;
}

/* Estimated multiply-adds, in time, of the busiest compute unit. */
static double cost_of(const void *problem_, const int64_t *choice)
{
    const problem *it = problem_;
    const clg__conv *p = it->p;
    const clg__tile *tile = it->tile;
    const blocks b = shape_blocks(it, choice);
    if (!fits(&b, tile)) return INFINITY;
    const double taps = (double)p->axis[0].taps * p->axis[1].taps;
    const double area = (double)clg__round_up(b.rows * b.columns, tile->rows);
    const double tiles = area * (double)b.outputs * (taps * (double)p->k + 1);
    const double packs = (double)(b.window + b.panels) / tile->width * UNZIP;
    const double waves = (double)clg__ceil_div(b.count, tile->compute_units) + 0.2;
    return waves * (tiles + packs + area * (double)p->n * ZIP + 4000);
}

static blocks choose_blocks(const clg__conv *p, const clg__tile *tile)
{
    static const int64_t rows[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
    static const int64_t columns[] = {12, 24, 48, 96, 192, 1 << 30};
    const clg__candidates lists[] = {CLG__CANDIDATES(rows), CLG__CANDIDATES(columns)};
    const problem it = {.p = p, .tile = tile};
    int64_t best[CLG__COUNT(lists)];
    clg__choose(lists, CLG__COUNT(lists), cost_of, &it, best);
    return shape_blocks(&it, best);
}

static void add_local(clg__launch *launch, const blocks *b, int64_t offsets, int64_t bases)
{
    const int64_t floats[] = {b->window, b->panels, b->c, b->zipped, offsets, bases};
    for (size_t i = 0; i < CLG__COUNT(floats); i++)
        clg__launch_local(launch, (size_t)(clg__max_i64(floats[i], 1)) * sizeof(float));
}

/* One launch: all outputs of `p`. */
static void add_conv(clg__lowering *lo, const clg__conv *p)
{
    const clg__tile tile = choose_tile(lo->ctx, p->n);
    const blocks b = choose_blocks(p, &tile);
    const int64_t taps = p->axis[0].taps * p->axis[1].taps;
    clg__launch *launch = clg__tile_kernel(lo, "conv2d_lanes_cpu", "conv2d_lanes", &tile);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__conv_add_arguments(launch, p);
    clg__launch_pair(launch, b.rows, b.columns);
    add_local(launch, &b, b.offsets - taps, taps);
    clg__launch_epilogue(launch);
    clg__launch_groups(launch, b.count);
    clg__conv_add_work(launch, p);
}

clg_status clg__lanes_cpu_forward(clg__lowering *lo)
{
    return clg__conv_launches(lo, false, add_conv);
}

clg_status clg__lanes_cpu_backward_data(clg__lowering *lo)
{
    return clg__conv_launches(lo, true, add_conv);
}

/* ---- backward to the weights ---- */

static blocks shape_weights_blocks(const problem *it, const int64_t *choice)
{
    const clg__conv *p = it->p;
    const clg__tile *tile = it->tile;
    blocks b = limit_blocks(p, tile, choice);
    b.panels = b.rows * b.columns * b.outputs * tile->width;
    b.offsets = clg__round_up(p->axis[0].taps * p->axis[1].taps * p->k, tile->rows);
    b.c = b.offsets * b.outputs * tile->width;
    b.offsets += b.rows;
    b.count = group_blocks(p, tile);
    return b;
}

static int64_t splits_of(const problem *it, const blocks *b)
{
    return clg__max_i64(clg__ceil_div(it->per_unit * it->tile->compute_units, b->count), 1);
}

/* For the whole pass; a chunk's sums come from the cache and go back. */
static double weights_cost_of(const void *problem_, const int64_t *choice)
{
    const problem *it = problem_;
    const clg__conv_axis *v = &it->p->axis[0], *h = &it->p->axis[1];
    const blocks b = shape_weights_blocks(it, choice);
    if (!fits(&b, it->tile)) return INFINITY;
    const double sums = (double)b.c / it->tile->width, chunk = (double)(b.rows * b.columns);
    const double stream = clg__tile_stream((double)(b.panels + b.window) * sizeof(float));
    const double packs = (double)(b.window + b.panels) / it->tile->width * UNZIP;
    const double chunks = (double)clg__ceil_div(it->p->batch * v->outputs, b.rows) *
                          (double)clg__ceil_div(h->outputs, b.columns);
    return chunks * (sums * (chunk * stream + 4) + packs + 1000);
}

/*
 * Blocks and number of splits. They depend on everything but the batch size (taken as 64), because
 * whether there is a second launch does.
 */
static blocks choose_weights_blocks(const problem *it, int64_t *splits)
{
    static const int64_t rows[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
    static const int64_t columns[] = {16, 32, 64, 256, 1 << 30};
    const clg__candidates lists[] = {CLG__CANDIDATES(rows), CLG__CANDIDATES(columns)};
    clg__conv nominal = *it->p;
    nominal.batch = 64;
    const problem whole = {&nominal, it->tile, it->per_unit};
    int64_t best[CLG__COUNT(lists)];
    clg__choose(lists, CLG__COUNT(lists), weights_cost_of, &whole, best);
    const blocks b = shape_weights_blocks(&whole, best);
    *splits = splits_of(&whole, &b);
    return b;
}

clg_status clg__lanes_cpu_backward_weights(clg__lowering *lo)
{
    const clg__conv p =
        clg__conv_forward(lo->node->attr, &lo->in_shape[0], &lo->out_shape, &lo->in_shape[1]);
    const clg__tile tile = choose_tile(lo->ctx, p.n);
    int64_t most = 1;
    const problem it = {&p, &tile, clg__tuned_int(lo->ctx, CLG__TUNE_WEIGHTS_SPLIT, lo->node, 4)};
    const blocks b = choose_weights_blocks(&it, &most);
    const int64_t chunks = clg__ceil_div(p.batch * p.axis[0].outputs, b.rows) *
                           clg__ceil_div(p.axis[1].outputs, b.columns);
    const int64_t splits = clg__min_i64(most, chunks);
    const int64_t rows = p.axis[0].taps * p.axis[1].taps * p.k;

    clg__launch *launch =
        clg__tile_kernel(lo, "conv2d_weights_lanes_cpu", "conv2d_weights_lanes", &tile);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__conv_add_window(launch, &p);
    clg__launch_int(launch, p.batch);
    clg__launch_int(launch, p.groups);
    clg__launch_int(launch, p.k);
    clg__launch_int(launch, p.n);
    clg__launch_pair(launch, b.rows, b.columns);
    clg__launch_int(launch, splits);
    add_local(launch, &b, b.offsets - b.rows, b.rows);
    clg__launch_groups(launch, b.count * splits);
    clg__conv_add_work(launch, &p);
    clg__launch_parts(launch, most, splits, rows, p.groups * p.n);
    return lo->status;
}

/* ---- whether ---- */

/* At a batch size of 64: what is decided for a graph holds for all. */
static bool blocks_fit(const clg_context *ctx, clg__conv p, bool weights)
{
    const clg__tile tile = choose_tile(ctx, p.n);
    p.batch = 64;
    const problem it = {.p = &p, .tile = &tile, .per_unit = 1};
    int64_t splits;
    const blocks b = weights ? choose_weights_blocks(&it, &splits) : choose_blocks(&p, &tile);
    return fits(&b, &tile);
}

bool clg__lanes_forward_applies(const clg_context *ctx, const clg_tensor *y)
{
    const struct clg__conv2d_attr *attr = y->attr;
    const clg_shape *x = &y->inputs[0]->shape, *w = &y->inputs[1]->shape;
    return attr->groups > 1 && blocks_fit(ctx, clg__conv_forward(attr, x, w, &y->shape), false);
}

bool clg__lanes_backward_data_applies(const clg_context *ctx, const clg_tensor *dx)
{
    const struct clg__conv2d_attr *attr = dx->attr;
    const clg_shape *dy = &dx->inputs[0]->shape, *w = &dx->inputs[1]->shape;
    clg__conv p;
    bool all = attr->groups > 1;
    for (int i = 0; all && clg__conv_backward(attr, dy, w, &dx->shape, i, &p); i++)
        all = !p.axis[0].outputs || !p.axis[1].outputs || blocks_fit(ctx, p, false);
    return all;
}

bool clg__lanes_backward_weights_applies(const clg_context *ctx, const clg_tensor *dw)
{
    const struct clg__conv2d_attr *attr = dw->attr;
    const clg_shape *x = &dw->inputs[0]->shape, *dy = &dw->inputs[1]->shape;
    return attr->groups > 1 && blocks_fit(ctx, clg__conv_forward(attr, x, &dw->shape, dy), true);
}

/*
 * Compares the multiply-adds for a tap and a source channel of all groups: here with lanes that
 * have no group and vectors that have no channel, there with lanes that have no channel.
 */
static bool fewer(const clg_context *ctx, const struct clg__conv2d_attr *attr, const clg_shape *a,
                  const clg_shape *b)
{
    if (clg__depthwise_applies(attr, a, b)) return false;
    const int64_t n = b->dim[3] / attr->groups;
    const clg__tile tile = choose_tile(ctx, n);
    const int64_t here = clg__ceil_div(attr->groups, tile.width) * clg__round_up(n, tile.vectors);
    return 10 * here < 9 * attr->groups * clg__ceil_div(n, tile.width);
}

bool clg__lanes_forward_by_default(const clg_context *ctx, const clg_tensor *y, int64_t batch)
{
    (void)batch;
    return fewer(ctx, y->attr, &y->inputs[0]->shape, &y->shape);
}

bool clg__lanes_backward_data_by_default(const clg_context *ctx, const clg_tensor *dx,
                                         int64_t batch)
{
    (void)batch;
    return fewer(ctx, dx->attr, &dx->inputs[0]->shape, &dx->shape);
}

bool clg__lanes_backward_weights_by_default(const clg_context *ctx, const clg_tensor *dw,
                                            int64_t batch)
{
    (void)batch;
    return fewer(ctx, dw->attr, &dw->inputs[0]->shape, &dw->inputs[1]->shape);
}
