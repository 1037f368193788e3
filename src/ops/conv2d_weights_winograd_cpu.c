/*
 * Winograd's convolution backward to the weights on CPU devices
 * (cl/conv2d_weights_winograd_cpu.cl): as conv2d_winograd_cpu.c, without 3 x 3 of stride 2. All
 * other sizes are arguments, so one compiled kernel serves all shapes.
 *
 * Arrays of two are (vertical, horizontal).
 */
#include "ops/algorithms_cpu.h"
#include "ops/tuning.h"

/* A tile's rows are channels, often a power of two: 8 leave no rest. */
static const clg__tile_knobs knobs = {CLG__TUNE_WINOGRAD_WEIGHTS_TILE,
                                      CLG__TUNE_WINOGRAD_WEIGHTS_BLOCKS, 7, 8};

typedef struct problem {
    const clg__winograd *size;
    const clg__winograd_pass *pass;
    int64_t taps, values; /* along both axes */
    int64_t rows;         /* of the weights, in n columns */
    int64_t batch, m, n;  /* channels of x or of its squares, and of dy */
    int64_t source[2], outputs[2], origin[2], grid[2];
} problem;

/* Blocks of tiles, input and output channels; see the kernel. */
typedef struct blocks {
    int64_t q, m, n, splits;
    int64_t values, gradients, products; /* floats of local memory for each of the points */
    int64_t count;                       /* work-groups of one split */
} blocks;

static problem read_problem(const struct clg__conv2d_attr *attr, const clg_shape *x,
                            const clg_shape *dy)
{
    problem p = {.batch = x->dim[0], .m = x->dim[3], .n = dy->dim[3]};
    p.size = clg__winograd_find(attr);
    p.pass = &p.size->weights;
    const int64_t fold = clg__winograd_fold(p.size, attr);
    p.m *= fold * fold;
    p.rows = attr->kernel_size[0] * attr->kernel_size[1] * x->dim[3];
    p.taps = (int64_t)p.size->kernel * p.size->kernel;
    p.values = p.pass->values * p.pass->values;
    for (int i = 0; i < 2; i++) {
        p.source[i] = x->dim[1 + i];
        p.outputs[i] = dy->dim[1 + i];
        p.grid[i] = clg__ceil_div(p.outputs[i], p.size->outputs);
        p.origin[i] = -attr->padding[2 * i];
    }
    return p;
}

/* Up to 12 channels are one tile: squares of 2 x 2 pixels with 3 each. */
static clg__tile choose_tile(const clg_context *ctx, const clg_tensor *node, const problem *p)
{
    clg__tile tile = clg__tile_choose(ctx, &knobs, node, p->n);
    const bool by_default = tile.width == 16 && tile.rows == knobs.rows && tile.vectors <= 2;
    if (by_default && p->m > tile.rows && p->m <= 12) tile.rows = 12;
    return tile;
}

static int64_t tiles_of(const problem *p)
{
    return p->batch * p->grid[0] * p->grid[1];
}

static void shape_blocks(const problem *p, const clg__tile *tile, int64_t per_unit, blocks *b)
{
    b->m = clg__min_i64(b->m, p->m);
    b->n = clg__min_i64(b->n, clg__round_up(p->n, tile->panel));
    const int64_t rows = clg__round_up(b->m, tile->rows);
    /* the last tile of rows may look beyond the vectors of the last row of values */
    b->values = clg__tile_line(b->q * clg__round_up(b->m, tile->width) + tile->rows);
    b->gradients = clg__tile_line(b->q * b->n);
    b->products = clg__tile_line(rows * b->n);
    b->count = clg__ceil_div(p->m, b->m) * clg__ceil_div(p->n, b->n);
    b->splits = clg__max_i64(clg__ceil_div(per_unit * tile->compute_units, b->count), 1);
}

/* Sums of a few weights, or the inputs of a tile that is not whole. */
static int64_t staging_floats(const problem *p, const clg__tile *tile)
{
    return clg__max_i64(p->taps * tile->panel, p->values * tile->width);
}

static bool fits(const problem *p, const clg__tile *tile, const blocks *b)
{
    return p->values * (b->values + b->gradients + b->products) + staging_floats(p, tile) <=
           tile->local_floats;
}

/*
 * Estimated cycles of the busiest compute unit: a tile's row of one vector and one image tile takes
 * half a cycle; passing products through local memory once a chunk, and a vector of channels
 * transformed, cost what was measured.
 */
static double estimate(const problem *p, const clg__tile *tile, const blocks *b)
{
    const double chunks = (double)clg__ceil_div(clg__ceil_div(tiles_of(p), b->q), b->splits),
                 q = chunks * b->q;
    const double depth = (double)clg__ceil_div(b->m, tile->width);
    const double width = (double)b->n / tile->width;
    const double area = (double)clg__round_up(b->m, tile->rows) * width;
    double multiply = p->values * area * (q / 2 + chunks * 3);
    double inputs = depth * p->pass->cycles.first + width * p->pass->cycles.second;
    double weights = b->m * width * p->pass->cycles.products;
    double waves = (double)clg__ceil_div(b->count * b->splits, tile->compute_units) + 0.2;
    double sum = b->splits > 1 ? (double)b->splits * p->rows * p->n * 0.5 / tile->compute_units : 0;
    return waves * (multiply + q * inputs + weights + 4000) + sum;
}

/* At a batch size of 64: whether there is a second launch, and what is chosen, holds for all. */
static blocks choose_blocks(const clg_context *ctx, const clg_tensor *node, const problem *given,
                            const clg__tile *tile, double *cost)
{
    static const int64_t tiles[] = {4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64};
    static const int64_t rows[] = {1, 2, 3, 4, 6, 8, 11, 12, 16, 22};
    static const int64_t panels[] = {1, 2, 3, 4, 8};
    const int64_t per_unit = clg__tuned_int(ctx, CLG__TUNE_WEIGHTS_SPLIT, node, 4);
    const size_t nt = CLG__COUNT(tiles), nr = CLG__COUNT(rows);
    problem p = *given;
    p.batch = 64;
    blocks best = {0};
    for (size_t i = 0; i < nt * nr * CLG__COUNT(panels); i++) {
        blocks b = {.q = tiles[i % nt],
                    .m = rows[i / nt % nr] * tile->rows,
                    .n = panels[i / nt / nr] * tile->panel};
        shape_blocks(&p, tile, per_unit, &b);
        const double estimated = estimate(&p, tile, &b);
        if (best.count && (!fits(&p, tile, &b) || estimated >= *cost)) continue;
        best = b;
        *cost = estimated;
    }
    return best;
}

#define LAUNCH_PAIR(launch, pair) clg__launch_pair(launch, (pair)[0], (pair)[1])

clg_status clg__winograd_cpu_backward_weights(clg__lowering *lo)
{
    const problem p = read_problem(lo->node->attr, &lo->in_shape[0], &lo->in_shape[1]);
    const clg__tile tile = choose_tile(lo->ctx, lo->node, &p);
    double cost = 0;
    const blocks b = choose_blocks(lo->ctx, lo->node, &p, &tile, &cost);
    const int64_t splits = clg__min_i64(b.splits, clg__ceil_div(tiles_of(&p), b.q));
    clg__launch *launch = clg__winograd_kernel(lo, "conv2d_weights_winograd_cpu",
                                               "conv2d_weights_winograd", false, &tile);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    LAUNCH_PAIR(launch, p.source);
    LAUNCH_PAIR(launch, p.origin);
    LAUNCH_PAIR(launch, p.grid);
    LAUNCH_PAIR(launch, p.outputs);
    const int64_t numbers[] = {tiles_of(&p), p.m,    p.n,      b.q,         b.m,
                               b.n,          splits, b.values, b.gradients, b.products};
    for (size_t i = 0; i < CLG__COUNT(numbers); i++) clg__launch_int(launch, numbers[i]);
    const int64_t local[] = {p.values * b.values, p.values * b.gradients, p.values * b.products,
                             staging_floats(&p, &tile)};
    for (size_t i = 0; i < CLG__COUNT(local); i++)
        clg__launch_local(launch, (size_t)local[i] * sizeof(float));
    clg__launch_groups(launch, b.count * splits);
    const double pixels = (double)p.batch * p.outputs[0] * p.outputs[1];
    clg__launch_work(launch, 2 * pixels * p.n * p.rows, 4 * pixels * (p.n + p.m));
    clg__launch_parts(launch, b.splits, splits, p.rows, p.n);
    return lo->status;
}

/* ---- whether ---- */

bool clg__winograd_backward_weights_applies(const clg_context *ctx, const clg_tensor *node)
{
    const clg__winograd *size = clg__winograd_find(node->attr);
    if (!size || !size->weights.values) return false;
    const problem p = read_problem(node->attr, &node->inputs[0]->shape, &node->inputs[1]->shape);
    const clg__tile tile = choose_tile(ctx, node, &p);
    double cost = 0;
    const blocks b = choose_blocks(ctx, node, &p, &tile, &cost);
    return fits(&p, &tile, &b);
}

/* Compares with the direct algorithm's multiply-adds, as conv2d_winograd_cpu.c does. */
bool clg__winograd_backward_weights_by_default(const clg_context *ctx, const clg_tensor *node,
                                               int64_t batch)
{
    const problem p = read_problem(node->attr, &node->inputs[0]->shape, &node->inputs[1]->shape);
    const clg__tile tile = choose_tile(ctx, node, &p);
    double cost = 0;
    choose_blocks(ctx, node, &p, &tile, &cost);
    const double pixels = 64.0 * p.outputs[0] * p.outputs[1];
    const double rows = (double)clg__round_up(p.rows, tile.rows);
    const double vectors = (double)clg__round_up(p.n, tile.panel) / tile.width;
    return cost < pixels * vectors * rows / 2 / 0.9 / tile.compute_units * 6 / 7;
}
