/*
 * Which tile a work-group of the GPU engine takes (cl/tile_gpu.h): larger tiles do more work per
 * element that they read, smaller ones waste less at the edges and keep more of the device busy.
 */
#include "ops/algorithms_gpu.h"
#include <math.h>

#include "ops/op.h"
#include "ops/tuning.h"

/*
 * `cost` of a multiply-add relative to the largest tile, by what a work-item reads from local
 * memory for one: (1 / item_m + 1 / item_n) / (1 / 8 + 1 / 8), softened because latency hides a
 * part.
 */
static const struct candidate {
    clg__gpu_tile tile;
    double cost;
} candidates[] = {
    {{.m = 128, .n = 128, .k = 8, .item_m = 8, .item_n = 8}, 1.0},
    {{.m = 128, .n = 64, .k = 16, .item_m = 8, .item_n = 4}, 1.3},
    {{.m = 64, .n = 64, .k = 16, .item_m = 4, .item_n = 4}, 1.6},
    {{.m = 128, .n = 32, .k = 16, .item_m = 8, .item_n = 4}, 1.6},
    {{.m = 32, .n = 32, .k = 16, .item_m = 4, .item_n = 4}, 2.0},
    {{.m = 64, .n = 16, .k = 16, .item_m = 4, .item_n = 4}, 2.2},
    {{.m = 16, .n = 16, .k = 16, .item_m = 4, .item_n = 4}, 4.0},
    {{.m = 4, .n = 4, .k = 4, .item_m = 4, .item_n = 4}, 16.0},
};

int clg__gpu_tile_items(const clg__gpu_tile *t)
{
    return (t->m / t->item_m) * (t->n / t->item_n);
}

/* Both tiles, and for convolutions which row of the result each of the tile's is. */
static int64_t local_bytes(const clg__gpu_tile *t)
{
    return 4 * t->k * (t->m + t->n + 8) + 8 * t->m;
}

/*
 * Devices of CPU type compile work-groups into loops that keep every work-item's registers in
 * memory: small groups with few accumulators compile in a fraction of the time and run no slower.
 */
static bool fits(const clg_context *ctx, const clg__gpu_tile *t)
{
    const int items = clg__gpu_tile_items(t);
    if (ctx->info.type == CLG_DEVICE_CPU && items > 64) return false;
    return (size_t)items <= ctx->info.max_work_group &&
           (uint64_t)local_bytes(t) <= ctx->info.local_memory;
}

static int64_t tile_count(const clg__gpu_tile *t, const clg__gemm *p)
{
    return p->batch * clg__ceil_div(p->m, t->m) * clg__ceil_div(p->n, t->n);
}

/* What tuning chose, where that fills the device and most of a tile; else NULL. */
static const clg__gpu_tile *tuned_tile(const clg_context *ctx, int tunable, const clg_tensor *node,
                                       const clg__gemm *p)
{
    int m, n;
    if (!clg__tuned_pair(ctx, (clg__tunable_id)tunable, node, &m, &n)) return NULL;
    for (size_t i = 0; i < CLG__COUNT(candidates); i++) {
        const clg__gpu_tile *t = &candidates[i].tile;
        if (t->m == m && t->n == n && fits(ctx, t) && 2 * p->n > n &&
            tile_count(t, p) >= ctx->info.compute_units)
            return t;
    }
    return NULL;
}

clg__gpu_tile clg__gpu_tile_choose(const clg_context *ctx, int tunable, const clg_tensor *node,
                                   const clg__gemm *product)
{
    const int64_t units = clg__max_i64(ctx->info.compute_units, 1);
    const clg__gpu_tile *tuned = tuned_tile(ctx, tunable, node, product);
    if (tuned) return *tuned;
    const struct candidate *best = &candidates[CLG__COUNT(candidates) - 1];
    double least = INFINITY;
    for (size_t i = 0; i < CLG__COUNT(candidates); i++) {
        const clg__gpu_tile *t = &candidates[i].tile;
        const int64_t tiles = tile_count(t, product);
        const double work = (double)clg__ceil_div(tiles, units) * t->m * t->n * candidates[i].cost;
        if (work >= least || !fits(ctx, t)) continue;
        least = work;
        best = &candidates[i];
    }
    return best->tile;
}

/* Runs of a reduction that are worth a work-group each. */
static int64_t most_splits(int64_t length)
{
    return clg__max_i64(1, clg__min_i64(length / 256, 64));
}

clg__gpu_tile clg__gpu_tile_choose_split(const clg_context *ctx, int tunable,
                                         const clg_tensor *node, const clg__gemm *product,
                                         int *splits)
{
    const int64_t units = clg__max_i64(ctx->info.compute_units, 1), most = most_splits(product->k);
    clg__gemm parts = *product;
    parts.batch *= most;
    const clg__gpu_tile tile = clg__gpu_tile_choose(ctx, tunable, node, &parts);
    const int64_t tiles = tile_count(&tile, product);
    *splits = (int)(tiles < units ? clg__min_i64(most, clg__ceil_div(2 * units, tiles)) : 1);
    return *splits > 1 ? tile : clg__gpu_tile_choose(ctx, tunable, node, product);
}

clg_shape clg__gpu_typical_shape(const clg_tensor *t)
{
    const int64_t usual = 64, batch = t->graph->batch;
    return batch > 1 ? t->shape : clg__shape_at_batch(&t->shape, batch, usual);
}

clg__launch *clg__gpu_tile_kernel(clg__lowering *lo, const char *file, const char *kernel,
                                  const clg__gpu_tile *t, int64_t columns, const char *more)
{
    const bool tail = columns == 0 || columns % 4 != 0;
    return clg__lower_kernel(lo, file, kernel,
                             "#define TILE_M %d\n#define TILE_N %d\n#define TILE_K %d\n"
                             "#define ITEM_M %d\n#define ITEM_N %d\n#define TAIL %d\n%s",
                             t->m, t->n, t->k, t->item_m, t->item_n, tail, more);
}

void clg__gpu_tile_range(clg__launch *launch, const clg__gpu_tile *t, int64_t groups)
{
    const size_t items = (size_t)clg__gpu_tile_items(t);
    clg__launch_range(launch, 1, (size_t[]){(size_t)groups * items}, (size_t[]){items});
}

int clg__gpu_group(const clg_context *ctx)
{
    int group = 1;
    while (group < 64 && (size_t)group * 2 <= ctx->info.max_work_group) group *= 2;
    return group;
}

void clg__gpu_sum_splits(clg__lowering *lo, clg__buffer_id parts, int64_t splits, int64_t columns)
{
    const clg_shape *y = &lo->out_shape;
    const bool follows = y->batched >> (y->ndim - 1) & 1; /* the columns follow the batch */
    const int64_t elements = clg_shape_count(y), vec = columns % 4 == 0 && !follows ? 4 : 1;
    const int group = clg__gpu_group(lo->ctx);
    int ways = 1;
    while (ways * 2 <= group && ways < 16 && ways * 8 < splits) ways *= 2;
    clg__launch *launch = clg__lower_kernel(lo, "sum_splits_gpu", "sum_splits",
                                            "#define VEC %d\n#define GROUP %d\n", (int)vec, group);
    clg__launch_buffer(launch, parts);
    clg__launch_long(launch, elements / columns);
    clg__launch_long(launch, columns);
    clg__launch_int(launch, splits);
    clg__launch_int(launch, ways);
    clg__launch_epilogue(launch);
    clg__launch_range(launch, 1, (size_t[]){(size_t)(clg__ceil_div(elements, vec) * ways)},
                      (size_t[]){(size_t)group});
    clg__launch_work(launch, (double)(splits * elements), 4.0 * (double)((splits + 1) * elements));
}

clg__buffer_id clg__gpu_result(clg__lowering *lo, clg__launch *launch, int64_t splits,
                               int64_t columns)
{
    if (splits == 1) {
        clg__launch_epilogue(launch);
        return 0;
    }
    const int64_t bytes = splits * clg_shape_count(&lo->out_shape) * (int64_t)sizeof(float);
    const clg__buffer_id parts = clg__lower_scratch(lo, bytes);
    clg__launch_buffer(launch, parts);
    clg__launch_long(launch, columns);
    return parts;
}
