/*
 * Winograd's convolution on CPU devices (cl/conv2d_winograd_cpu.cl), forward and backward to the
 * data: square kernels of 2 to 5 weights along an axis with stride 1 take 1/2.8 to 1/4 of the
 * direct algorithm's multiplications, and so do larger ones with a stride, by squares of pixels; 3
 * x 3 with stride 2 takes 1/1.44. All other sizes are arguments, so one compiled kernel serves all
 * shapes with the same epilogue.
 *
 * Arrays of two are (vertical, horizontal).
 */
#include "ops/algorithms_cpu.h"
#include "ops/tuning.h"

static const clg__tile_knobs knobs = {CLG__TUNE_WINOGRAD_TILE, CLG__TUNE_WINOGRAD_BLOCKS, 6, 12};

/* 5 x 5: most inputs were looked at by the tile before. */
static const clg__winograd sizes[] = {
    {2, 1, 5, {6, 6, 6, {300, 60, 200}}, {6, 6, 6, {300, 80, 200}}, {6, 6, 6, {300, 350, 200}}},
    {3, 1, 4, {6, 6, 6, {300, 110, 200}}, {6, 6, 6, {300, 150, 200}}, {6, 6, 6, {300, 300, 250}}},
    {4, 1, 3, {6, 6, 6, {300, 200, 150}}, {6, 6, 6, {300, 250, 150}}, {6, 6, 6, {300, 250, 300}}},
    {5, 1, 2, {6, 6, 6, {180, 400, 100}}, {6, 6, 6, {180, 420, 100}}, {6, 6, 6, {180, 180, 340}}},
    {3, 2, 2, {5, 4, 3, {150, 110, 60}}, {5, 4, 5, {150, 150, 150}}, {0}},
};

/* Pixels along a square: results are stored pixel by pixel of it. */
enum { MOST_FOLD = 8 };

static const clg__winograd *find(int64_t kernel, int64_t stride)
{
    for (size_t i = 0; i < CLG__COUNT(sizes); i++)
        if (sizes[i].kernel == kernel && sizes[i].stride == stride) return &sizes[i];
    return NULL;
}

const clg__winograd *clg__winograd_find(const struct clg__conv2d_attr *attr)
{
    const int64_t kernel = attr->kernel_size[0], stride = attr->stride[0];
    for (int i = 0; i < 2; i++)
        if (attr->kernel_size[i] != kernel || attr->stride[i] != stride || attr->dilation[i] != 1)
            return NULL;
    if (attr->groups != 1) return NULL;
    const clg__winograd *own = find(kernel, stride);
    return own || stride > MOST_FOLD ? own : find(clg__ceil_div(kernel, stride), 1);
}

int64_t clg__winograd_fold(const clg__winograd *size, const struct clg__conv2d_attr *attr)
{
    return attr->stride[0] / size->stride;
}

clg__launch *clg__winograd_kernel(clg__lowering *lo, const char *file, const char *kernel,
                                  bool backward, const clg__tile *tile)
{
    const struct clg__conv2d_attr *attr = lo->node->attr;
    const clg__winograd *size = clg__winograd_find(attr);
    return clg__lower_kernel(
        lo, file, kernel,
        CLG__TILE_DEFINES "#define KERNEL %d\n#define STRIDE %d\n#define FOLD %d\n"
                          "#define SIDE %d\n#define BACKWARD %d\n",
        CLG__TILE_VALUES(tile), size->kernel, size->stride, (int)clg__winograd_fold(size, attr),
        (int)attr->kernel_size[0], backward && attr->stride[0] > 1);
}

typedef struct winograd {
    const clg__winograd *size;
    const clg__winograd_pass *pass;
    int64_t taps, values, weights, products; /* along both axes */
    int64_t batch, k, n; /* channels of source and result, or of their squares */
    int64_t source[2], result[2], origin[2], phase[2], grid[2];
    int64_t channels, columns; /* of a pixel of source and result */
    double multiplications;    /* of the direct algorithm, for one of them and a pixel of y */
    bool backward;
} winograd;

/* Blocks of tiles, source channels of a chunk, output channels; see the kernel. */
typedef struct blocks {
    int64_t q, k, n, sweep;
    int64_t values, weights, products; /* floats of local memory for each of the points */
    int64_t count;                     /* work-groups */
} blocks;

static winograd read_problem(const struct clg__conv2d_attr *attr, const clg_shape *source,
                             const clg_shape *result, bool backward)
{
    winograd p = {.batch = source->dim[0], .k = source->dim[3], .n = result->dim[3]};
    p.backward = backward;
    p.size = clg__winograd_find(attr);
    const int64_t fold = clg__winograd_fold(p.size, attr), stride = attr->stride[0];
    const int64_t before = clg__ceil_div(p.size->kernel, p.size->stride) - 1; /* backward */
    *(backward ? &p.n : &p.k) *= fold * fold;
    p.channels = source->dim[3];
    p.columns = result->dim[3];
    p.multiplications = (double)(attr->kernel_size[0] * attr->kernel_size[1] * source->dim[3]);
    p.taps = (int64_t)p.size->kernel * p.size->kernel;
    p.pass = backward ? &p.size->data : &p.size->forward;
    p.values = p.pass->values * p.pass->values;
    p.weights = p.pass->weights * p.pass->weights;
    p.products = p.pass->products * p.pass->products;
    for (int i = 0; i < 2; i++) {
        p.source[i] = source->dim[1 + i];
        p.result[i] = result->dim[1 + i];
        const int64_t pad = attr->padding[2 * i], spread = backward ? stride : 1;
        p.phase[i] = pad % spread;
        const int64_t cut = fold > 1 ? p.phase[i] : 0; /* of the first square */
        p.grid[i] = clg__ceil_div(p.result[i] + cut, p.size->outputs * spread);
        p.origin[i] = backward ? clg__ceil_div(pad - cut, stride) - before : -pad;
    }
    return p;
}

static int64_t tiles_of(const winograd *p)
{
    return p->batch * p->grid[0] * p->grid[1];
}

/* Of y, whichever way. */
static double pixels_of(const winograd *p)
{
    const int64_t *y = p->backward ? p->source : p->result;
    return (double)p->batch * y[0] * y[1];
}

static void shape_blocks(const winograd *p, const clg__tile *tile, blocks *b)
{
    b->q = clg__min_i64(b->q, clg__round_up(tiles_of(p), tile->rows));
    b->k = clg__min_i64(b->k, p->k);
    b->n = clg__min_i64(b->n, clg__round_up(p->n, tile->panel));
    b->values = clg__tile_line(b->q * clg__round_up(b->k, tile->width));
    b->weights = clg__tile_line(b->k * b->n);
    b->products = clg__tile_line(b->q * (b->k < p->k ? b->n + tile->panel : 2 * tile->panel));
    const int64_t all = clg__ceil_div(tiles_of(p), b->q), columns = clg__ceil_div(p->n, b->n);
    const int64_t wanted = clg__ceil_div(8 * tile->compute_units, columns);
    b->sweep = clg__ceil_div(all, clg__min_i64(wanted, all));
    b->count = clg__ceil_div(all, b->sweep) * columns;
}

/* A few weights before their transform, the inputs of a tile that is not whole, or its outputs. */
static int64_t staging_floats(const winograd *p, const clg__tile *tile)
{
    const int64_t weights = p->taps * tile->width * tile->panel;
    return clg__max_i64(weights, p->values * clg__max_i64(tile->width, tile->panel));
}

static bool fits(const winograd *p, const clg__tile *tile, const blocks *b)
{
    return p->values * b->values + p->weights * b->weights + p->products * b->products +
               staging_floats(p, tile) + b->q + 16 <=
           tile->local_floats;
}

/*
 * Estimated cycles of the busiest compute unit: a tile's row of one vector and one k takes half a
 * cycle; passing products through local memory once a chunk, and a vector of channels transformed,
 * cost what was measured.
 */
static double estimate(const winograd *p, const clg__tile *tile, const blocks *b)
{
    const double chunks = (double)clg__ceil_div(p->k, b->k);
    const double depth = (double)clg__ceil_div(p->k, tile->width);
    const double width = (double)b->n / tile->width, area = (double)b->q * b->n;
    double multiply = p->values * area * (p->k / (2.0 * tile->width) + (chunks - 1) * 0.2 + 0.1);
    /* Squares are put together from several vectors. */
    double inputs = b->q * depth * p->pass->cycles.first * (p->k > p->channels ? 2.5 : 1);
    double weights = p->k * width * p->pass->cycles.second / (chunks > 1 ? 1 : b->sweep);
    double outputs = b->q * width * p->pass->cycles.products;
    double waves = (double)clg__ceil_div(b->count, tile->compute_units) + 0.2;
    return waves * (b->sweep * (multiply + inputs + weights + outputs) + 4000);
}

static blocks choose_blocks(const winograd *p, const clg__tile *tile)
{
    static const int64_t tiles[] = {1, 2, 3, 4, 5, 6, 8, 10, 12};
    static const int64_t depths[] = {16, 32, 48, 64, 96, 128, 192, 256};
    static const int64_t panels[] = {1, 2, 4, 8, 16};
    const size_t nt = CLG__COUNT(tiles), nd = CLG__COUNT(depths);
    blocks best = {0};
    double best_cost = 0;
    for (size_t i = 0; i < nt * nd * CLG__COUNT(panels); i++) {
        blocks b = {.q = tiles[i % nt] * tile->rows,
                    .k = depths[i / nt % nd],
                    .n = panels[i / nt / nd] * tile->panel};
        shape_blocks(p, tile, &b);
        double cost = estimate(p, tile, &b);
        if (best.count && (!fits(p, tile, &b) || cost >= best_cost)) continue;
        best = b;
        best_cost = cost;
    }
    return best;
}

#define LAUNCH_PAIR(launch, pair) clg__launch_pair(launch, (pair)[0], (pair)[1])

static clg_status lower(clg__lowering *lo, bool backward)
{
    const clg_shape *w = &lo->in_shape[1];
    winograd p = read_problem(lo->node->attr, &lo->in_shape[0], &lo->out_shape, backward);
    const clg__tile tile = clg__tile_choose(lo->ctx, &knobs, lo->node, p.n);
    blocks b = choose_blocks(&p, &tile);
    clg__launch *launch =
        clg__winograd_kernel(lo, "conv2d_winograd_cpu", "conv2d_winograd", backward, &tile);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    LAUNCH_PAIR(launch, p.source);
    LAUNCH_PAIR(launch, p.origin);
    LAUNCH_PAIR(launch, p.phase);
    LAUNCH_PAIR(launch, p.grid);
    LAUNCH_PAIR(launch, p.result);
    const int64_t numbers[] = {tiles_of(&p), p.k, p.n,     w->dim[2], w->dim[3], backward,  b.q,
                               b.k,          b.n, b.sweep, b.values,  b.weights, b.products};
    for (size_t i = 0; i < CLG__COUNT(numbers); i++) clg__launch_int(launch, numbers[i]);
    const int64_t local[] = {p.values * b.values, p.weights * b.weights, p.products * b.products,
                             staging_floats(&p, &tile), b.q + 1};
    for (size_t i = 0; i < CLG__COUNT(local); i++)
        clg__launch_local(launch, (size_t)local[i] * sizeof(float));
    clg__launch_epilogue(launch);
    clg__launch_groups(launch, b.count);
    const double pixels = (double)p.batch * p.result[0] * p.result[1];
    const double read = (double)p.batch * p.source[0] * p.source[1];
    clg__launch_work(launch, 2 * pixels_of(&p) * p.columns * p.multiplications,
                     4 * (pixels * p.columns + read * lo->in_shape[0].dim[3]));
    return lo->status;
}

/* ---- whether ---- */

/* The blocks at a batch size of 64: what is decided for a graph holds for all. */
static blocks nominal_blocks(const clg_context *ctx, const clg_tensor *node, bool backward,
                             winograd *p, clg__tile *tile)
{
    *p = read_problem(node->attr, &node->inputs[0]->shape, &node->shape, backward);
    p->batch = 64;
    *tile = clg__tile_choose(ctx, &knobs, node, p->n);
    return choose_blocks(p, tile);
}

static bool applies(const clg_context *ctx, const clg_tensor *node, bool backward)
{
    if (!clg__winograd_find(node->attr)) return false;
    winograd p;
    clg__tile tile;
    const blocks b = nominal_blocks(ctx, node, backward, &p, &tile);
    return fits(&p, &tile, &b);
}

/*
 * Compares with the direct algorithm's multiply-adds at the rate that they reach. Where images are
 * small or channels few, too much of the tiles is padding. A seventh must be won: the estimate is
 * not better than that.
 */
static bool by_default(const clg_context *ctx, const clg_tensor *node, bool backward)
{
    winograd p;
    clg__tile tile;
    const blocks b = nominal_blocks(ctx, node, backward, &p, &tile);
    const double vectors = (double)clg__ceil_div(p.columns, tile.width);
    const double multiply = pixels_of(&p) * p.multiplications / 2;
    const double results = (double)p.batch * p.result[0] * p.result[1] * 8;
    const double direct = vectors * (multiply + results) / 0.93 / tile.compute_units;
    return estimate(&p, &tile, &b) < direct * 6 / 7;
}

#define PASS(pass, backward)                                                                       \
    bool clg__winograd_##pass##_applies(const clg_context *ctx, const clg_tensor *node)            \
    {                                                                                              \
        return applies(ctx, node, backward);                                                       \
    }                                                                                              \
    bool clg__winograd_##pass##_by_default(const clg_context *ctx, const clg_tensor *node,         \
                                           int64_t batch)                                          \
    {                                                                                              \
        /* Transforming the weights takes longer than few pixels make up for. */                   \
        return (backward || !clg__conv2d_cpu_few_pixels(node, batch)) &&                           \
               by_default(ctx, node, backward);                                                    \
    }                                                                                              \
    clg_status clg__winograd_cpu_##pass(clg__lowering *lo)                                         \
    {                                                                                              \
        return lower(lo, backward);                                                                \
    }
PASS(forward, false)
PASS(backward_data, true)
