/*
 * Matrix product on CPU devices: choice of the blocks, and the launches (cl/matmul_cpu.cl).
 *
 * All sizes are arguments, so one compiled kernel serves every shape with the same epilogue. Which
 * launches there are depends only on extents that do not follow the batch size: a reduction is
 * split where the result is too small to keep all compute units busy.
 */
#include <math.h>

#include "ops/algorithms_cpu.h"
#include "ops/tuning.h"

/* Nothing is fetched ahead here: blocks may take more than those of convolutions. */
static const clg__tile_knobs knobs = {CLG__TUNE_MATMUL_TILE, CLG__TUNE_MATMUL_BLOCKS, 6, 12};

typedef struct matmul {
    int64_t batch, m, n, k;
    int64_t a_batch, b_batch; /* elements from one batch's matrix to the next; 0: shared */
    bool transpose_a, transpose_b;
    bool split;     /* through partial results */
    bool kept;      /* B is read again: packed once for several products */
    bool prepared;  /* B is packed by a launch of its own, as a whole */
    bool by_sample; /* the rows are those of one axis */
} matmul;

typedef struct blocks {
    int64_t m, n, k;  /* extents of a block */
    int64_t local[3]; /* floats of local memory for A, B, C */
    int64_t count;    /* blocks of C, all batches */
    int64_t splits;
} blocks;

/* A, B and C of these shapes. */
static matmul read_problem(const clg__lowering *lo, const clg_shape *a, const clg_shape *b,
                           const clg_shape *c)
{
    const struct clg__matmul_attr *attr = lo->node->attr;
    const int last = c->ndim - 1;
    matmul p = {.batch = 1, .m = c->dim[last - 1], .n = c->dim[last]};
    p.transpose_a = attr->transpose_a;
    p.transpose_b = attr->transpose_b;
    p.k = a->dim[last - (p.transpose_a ? 1 : 0)];
    for (int i = 0; i < last - 1; i++) p.batch *= c->dim[i];
    p.a_batch = p.m * p.k;
    p.b_batch = b->ndim > 2 ? p.k * p.n : 0;
    p.split = !c->batched;
    if (!p.b_batch && !p.transpose_a) { /* one tall matrix */
        p.m *= p.batch;
        p.batch = 1;
        for (int i = 0; i < last; i++) p.by_sample |= c->dim[i] == p.m;
    }
    p.kept = lo->kept[1] && !p.b_batch;
    return p;
}

/* Extent of equal blocks, multiples of `unit`, of which none is larger than about `most`. */
static int64_t equal_blocks(int64_t extent, int64_t most, int64_t unit)
{
    int64_t count = clg__ceil_div(extent, most);
    return clg__round_up(clg__ceil_div(extent, count), unit);
}

/* So few rows that A stays where it is, and the memory of B is what takes time. */
static bool has_few_rows(const matmul *p)
{
    return p->m <= CLG__FEW_ROWS;
}

/* Blocks of at most so many tiles, panels and steps. */
static blocks shape_blocks(const matmul *p, const clg__tile *tile, const int64_t *most)
{
    blocks b = {.m = equal_blocks(p->m, most[0] * tile->rows, tile->rows),
                .n = equal_blocks(p->n, most[1] * tile->panel, tile->panel),
                .k = equal_blocks(p->k, most[2], 1),
                .splits = 1};
    b.local[0] = has_few_rows(p) ? 1 : b.k * b.m + tile->width; /* packing writes whole vectors */
    b.local[1] = p->prepared ? 1 : b.k * b.n;
    b.local[2] = b.k == p->k ? tile->rows * tile->panel : b.m * b.n; /* one chunk: a tile */
    b.count = p->batch * clg__ceil_div(p->m, b.m) * clg__ceil_div(p->n, b.n);
    return b;
}

/*
 * Estimated cycles of the busiest compute unit: the tiles' multiply-adds (a tile's row of one
 * vector and one k takes half a cycle), passing C through local memory once a chunk, copying (at
 * the speed of memory), storing. The last group to finish leaves others idle: a fifth of a group.
 * Few rows take as long as B needs to arrive. Panels in global memory are long streams, which
 * arrive while the tiles are computed, from wherever they are.
 */
static double estimate(const matmul *p, const clg__tile *tile, const blocks *b)
{
    double chunks = (double)clg__ceil_div(p->k, b->k);
    double area = (double)b->m * b->n;
    const bool streamed = p->prepared && !p->split && !has_few_rows(p);
    double stream = streamed ? 1 : clg__tile_stream((double)b->k * (4 * tile->panel + 64));
    double tiles = area / (2 * tile->width) * p->k * stream + (chunks - 1) * area * 0.45;
    double copy_a = has_few_rows(p) ? 0 : (double)b->m * p->k * 1.2;
    double copy_b = (double)b->n * p->k * (p->prepared ? 0.015 : p->transpose_b ? 1.5 : 1.2);
    double waves = (double)clg__ceil_div(b->count, tile->compute_units) + 0.2;
    return waves * (tiles + copy_a + copy_b + area + 4000);
}

/* A strand is one block of rows and all columns: it packs its part of A once. */
static blocks strand_blocks(const matmul *p, const clg__tile *tile, int64_t strands)
{
    enum { ALL = 1 << 30 };
    static const int64_t depths[] = {ALL, 512, 256, 128, 64, 32};
    const int64_t rows = clg__strand_length(p->m, strands);
    const int64_t whole_tiles = clg__round_up(rows, tile->rows);
    blocks b = {0};
    for (size_t i = 0; i < CLG__COUNT(depths); i++) {
        b = shape_blocks(p, tile, (int64_t[]){ALL, ALL, depths[i]});
        b.local[0] = b.k * whole_tiles + tile->width;
        if (b.k != p->k) b.local[2] = whole_tiles * b.n;
        if (b.local[0] + b.local[2] <= tile->local_floats) break;
    }
    b.m = rows;
    b.count = clg__ceil_div(p->m, b.m);
    return b;
}

/*
 * Whether strands can share the rows: those of one strand fit into local memory, and are enough for
 * reading all of B to pay, unless B stays in a core's cache.
 */
static bool suits_strands(const clg__lowering *lo, const matmul *p, const clg__tile *tile)
{
    const int64_t strands = lo->strands ? lo->strands : tile->compute_units;
    const int64_t rows = clg__strand_length(p->m, strands);
    if (!p->kept || !p->by_sample) return false;
    if (clg__strands_in_step(lo->ctx, p->m, strands)) return true;
    const blocks b = strand_blocks(p, tile, strands);
    const int64_t panels = p->k * p->n * (int64_t)sizeof(float);
    return b.local[0] + b.local[2] <= tile->local_floats &&
           (lo->strands || rows > 2 * CLG__FEW_ROWS ||
            panels <= (int64_t)lo->ctx->info.local_memory);
}

typedef struct tiled {
    const matmul *p;
    const clg__tile *tile;
} tiled;

static double cost_of(const void *problem, const int64_t *choice)
{
    const tiled *it = problem;
    const blocks b = shape_blocks(it->p, it->tile, choice);
    bool fits = b.local[0] + b.local[1] + b.local[2] <= it->tile->local_floats;
    return fits ? estimate(it->p, it->tile, &b) : INFINITY;
}

static blocks choose_blocks(const matmul *p, const clg__tile *tile)
{
    static const int64_t rows[] = {1, 2, 4, 8, 12, 16, 24, 32, 48}; /* tiles */
    static const int64_t columns[] = {1, 2, 4, 8, 16, 1 << 30};     /* panels */
    static const int64_t depths[] = {32, 64, 96, 128, 160, 208, 256, 352, 1 << 30};
    const clg__candidates lists[] = {CLG__CANDIDATES(rows), CLG__CANDIDATES(columns),
                                     CLG__CANDIDATES(depths)};
    int64_t best[CLG__COUNT(lists)];
    clg__choose(lists, CLG__COUNT(lists), cost_of, &(tiled){p, tile}, best);
    return shape_blocks(p, tile, best);
}

/* Results too small to keep all compute units busy: their sums are cut. */
static bool is_split(const matmul *p, const clg__tile *tile)
{
    const int64_t tiles =
        p->batch * clg__ceil_div(p->m, 4 * tile->rows) * clg__ceil_div(p->n, 2 * tile->panel);
    return p->split && tiles < 2 * tile->compute_units;
}

/*
 * Whether packing all of B by a launch of its own is clearly cheaper than packing parts of it again
 * in each block. At the graph's batch size: another one has the same launches.
 */
static bool suits_panels(const clg__lowering *lo, const clg__tile *tile)
{
    enum { PACK = 3, LAUNCH = 20000 }; /* cycles for an element, for a launch */
    const clg_tensor *node = lo->node;
    matmul p = read_problem(lo, &node->inputs[0]->shape, &node->inputs[1]->shape, &node->shape);
    p.split = is_split(&p, tile);
    if (lo->strands || p.b_batch || p.split || has_few_rows(&p)) return false;
    const blocks parts = choose_blocks(&p, tile);
    const double cost_of_parts = estimate(&p, tile, &parts);
    p.prepared = true;
    const blocks all = choose_blocks(&p, tile);
    const double pack = PACK * (double)p.n * p.k / tile->compute_units + LAUNCH;
    return estimate(&p, tile, &all) + pack < 0.9 * cost_of_parts;
}

/* Tiles of fewer rows, where the rows (at the graph's batch size, of a strand) leave less of them
 * empty. */
static void fit_rows(clg__tile *tile, const clg__lowering *lo)
{
    enum { FEWER = 8 };
    const clg_shape *c = &lo->node->shape;
    int64_t rows = 1;
    for (int i = 0; i < c->ndim - 1; i++) rows *= c->dim[i];
    if (lo->strands) rows = clg__strand_length(rows, lo->strands);
    if (tile->rows > FEWER && tile->vectors * tile->width <= 32 &&
        15 * clg__round_up(rows, FEWER) <= 14 * clg__round_up(rows, tile->rows))
        tile->rows = FEWER;
}

/* A launch that packs B, unless B is kept and a step before has done it; the panels. */
static clg__buffer_id prepare_panels(clg__lowering *lo, const matmul *p, const clg__tile *tile)
{
    char layout[64];
    bool make = true;
    const int64_t panels = clg__ceil_div(p->n, tile->panel);
    const int64_t bytes = panels * tile->panel * p->k * (int64_t)sizeof(float);
    snprintf(layout, sizeof layout, "panels of %d, transposed %d", tile->panel, p->transpose_b);
    clg__buffer_id b =
        p->kept ? clg__lower_prepared(lo, 1, layout, bytes, &make) : clg__lower_scratch(lo, bytes);
    if (!make) return b;
    clg__launch *launch = clg__tile_kernel(lo, "panels_cpu", "pack_panels_of", tile);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_int(launch, p->n);
    clg__launch_int(launch, p->k);
    clg__launch_int(launch, p->transpose_b);
    clg__launch_buffer(launch, b);
    clg__launch_groups(launch, panels);
    clg__launch_work(launch, 0, 8.0 * p->n * p->k);
    if (p->kept) clg__launch_prepares(launch, b);
    return b;
}

static void add_arguments(clg__lowering *lo, clg__launch *launch, clg__buffer_id b_matrix,
                          const matmul *p, const blocks *b, int panel)
{
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_touches(launch, p->k, p->k, false);
    clg__launch_buffer(launch, b_matrix);
    clg__launch_touches(launch, 0, p->k * clg__round_up(p->n, panel), false);
    clg__launch_long(launch, p->a_batch);
    clg__launch_long(launch, p->b_batch);
    const int64_t numbers[] = {p->m, p->n, p->k, p->transpose_a, p->transpose_b,
                               b->m, b->n, b->k, b->splits};
    for (size_t i = 0; i < CLG__COUNT(numbers); i++) clg__launch_int(launch, numbers[i]);
    for (size_t i = 0; i < CLG__COUNT(b->local); i++)
        clg__launch_local(launch, (size_t)b->local[i] * sizeof(float));
}

clg_status clg__matmul_cpu(clg__lowering *lo)
{
    matmul p = read_problem(lo, &lo->in_shape[0], &lo->in_shape[1], &lo->out_shape);
    clg__tile tile =
        clg__tile_choose(lo->ctx, &knobs, lo->node, 0); /* few columns are rare and cheap */
    if (lo->strands || p.kept) fit_rows(&tile, lo);
    p.split = is_split(&p, &tile);
    p.prepared = p.kept || suits_panels(lo, &tile);
    const bool apart = lo->strands && !clg__strands_in_step(lo->ctx, p.m, lo->strands);
    blocks b = apart ? strand_blocks(&p, &tile, lo->strands) : choose_blocks(&p, &tile);
    const int64_t wanted = 2 * tile.compute_units;
    if (p.split)
        b.splits =
            clg__max_i64(clg__min_i64(clg__ceil_div(wanted, b.count), clg__ceil_div(p.k, b.k)), 1);

    const int64_t rows = p.batch * p.m;
    clg__buffer_id b_matrix = p.prepared ? prepare_panels(lo, &p, &tile) : lo->in[1];
    clg__launch *launch =
        clg__lower_kernel(lo, "matmul_cpu", "matmul", CLG__TILE_DEFINES "#define PREPARED %d\n",
                          CLG__TILE_VALUES(&tile), p.prepared);
    add_arguments(lo, launch, b_matrix, &p, &b, tile.panel);
    clg__launch_groups(launch, b.count * b.splits);
    if (suits_strands(lo, &p, &tile)) clg__launch_strands(launch, p.m, 1);
    clg__launch_work(launch, 2.0 * rows * p.n * p.k,
                     4.0 * (rows * p.k + (double)p.k * p.n + rows * p.n));
    clg__launch_parts(launch, p.split ? wanted : 1, b.splits, rows, p.n);
    return lo->status;
}
