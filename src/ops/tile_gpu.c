/*
 * Which tile a work-group of the GPU engine takes (cl/tile_gpu.h): larger tiles do more work per
 * element that they read, smaller ones waste less at the edges and keep more of the device busy.
 */
#include "ops/algorithms_gpu.h"
#include <math.h>

#include "ops/op.h"

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
    {{.m = 128, .n = 64, .k = 8, .item_m = 8, .item_n = 4}, 1.3},
    {{.m = 64, .n = 64, .k = 16, .item_m = 4, .item_n = 4}, 1.6},
    {{.m = 128, .n = 32, .k = 8, .item_m = 8, .item_n = 4}, 1.6},
    {{.m = 32, .n = 32, .k = 16, .item_m = 4, .item_n = 4}, 2.0},
    {{.m = 64, .n = 16, .k = 16, .item_m = 4, .item_n = 4}, 2.2},
    {{.m = 16, .n = 16, .k = 16, .item_m = 4, .item_n = 4}, 4.0},
    {{.m = 4, .n = 4, .k = 16, .item_m = 4, .item_n = 4}, 16.0},
};

int clg__gpu_tile_items(const clg__gpu_tile *t)
{
    return (t->m / t->item_m) * (t->n / t->item_n);
}

/* Both tiles, and 24 bytes for each row and step: where windows of images lie. */
static int64_t local_bytes(const clg__gpu_tile *t)
{
    return 4 * t->k * (t->m + t->n + 8) + 24 * (t->m + t->k);
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

clg__gpu_tile clg__gpu_tile_choose(const clg_context *ctx, int64_t batch, int64_t rows,
                                   int64_t columns)
{
    const int64_t units = clg__max_i64(ctx->info.compute_units, 1);
    const struct candidate *best = &candidates[CLG__COUNT(candidates) - 1];
    double least = INFINITY;
    for (size_t i = 0; i < CLG__COUNT(candidates); i++) {
        const clg__gpu_tile *t = &candidates[i].tile;
        const int64_t tiles = batch * clg__ceil_div(rows, t->m) * clg__ceil_div(columns, t->n);
        const double work = (double)clg__ceil_div(tiles, units) * t->m * t->n * candidates[i].cost;
        if (work >= least || !fits(ctx, t)) continue;
        least = work;
        best = &candidates[i];
    }
    return best->tile;
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
