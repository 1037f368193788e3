/*
 * What the algorithms of the CPU engine share: the shape of the register tile for a device, and
 * the second half of split reductions.
 */
#include <math.h>

#include "ops/algorithms_cpu.h"
#include "ops/tuning.h"

int clg__tile_width(const clg_context *ctx)
{
    const uint32_t preferred = ctx->info.float_vector_width;
    const int width = preferred == 0 || preferred >= 16 ? 16 : preferred >= 8 ? 8 : 4;
    return (int)clg__tuned_int(ctx, CLG__TUNE_TILE_WIDTH, NULL, width);
}

/* Blocks may take a part of the local memory: CPU devices report about a core's share of its cache
 * there, and what is fetched ahead and the program's own data want the rest. */
int64_t clg__tile_local_floats(const clg_context *ctx, int64_t eighths)
{
    const int64_t eighth = clg__min_i64((int64_t)ctx->info.local_memory / 8, (2 << 20) / 5);
    return eighth * eighths / (int64_t)sizeof(float);
}

/*
 * A tile of 12 x 2 vectors needs 27 registers; processors with vectors of 16 floats have 32. Those
 * with 8 or 4 floats may have 16 only: 6 x 2 fits.
 */
clg__tile clg__tile_choose(const clg_context *ctx, const clg__tile_knobs *knobs,
                           const clg_tensor *node, int64_t columns)
{
    clg__tile tile = {.width = clg__tile_width(ctx), .rows = 6, .vectors = 2};
    if (tile.width == 16) tile.rows = knobs->rows;
    const int64_t last = columns % (2 * tile.width);
    if (last && last <= tile.width && columns < 4 * tile.width)
        tile.vectors = 1;
    else
        clg__tuned_pair(ctx, knobs->tile, NULL, &tile.rows, &tile.vectors);
    tile.flat_rows = (int)clg__min_i64(tile.rows, 8);
    tile.panel = tile.width * tile.vectors;
    const int64_t eighths = clg__tuned_int(ctx, knobs->blocks, node, knobs->eighths);
    tile.local_floats = clg__tile_local_floats(ctx, eighths);
    tile.compute_units = clg__max_i64(ctx->info.compute_units, 1);
    return tile;
}

clg__launch *clg__tile_kernel(clg__lowering *lo, const char *file, const char *kernel,
                              const clg__tile *tile)
{
    return clg__lower_kernel(lo, file, kernel, CLG__TILE_DEFINES, CLG__TILE_VALUES(tile));
}

int64_t clg__tile_line(int64_t floats)
{
    return clg__round_up(floats, 32) + 16;
}

double clg__tile_stream(double bytes)
{
    return 1 + 0.05 * fmax(log2(bytes / 20e3), 0);
}

void clg__choose(const clg__candidates *lists, size_t n, clg__choice_cost cost, const void *problem,
                 int64_t *best)
{
    int64_t choice[CLG__MOST_CANDIDATES];
    size_t all = 1;
    double least = INFINITY;
    for (size_t l = 0; l < n; l++) all *= lists[l].count;
    for (size_t l = 0; l < n; l++) best[l] = lists[l].values[0];
    for (size_t i = 0; i < all; i++) {
        size_t rest = i;
        for (size_t l = 0; l < n; rest /= lists[l++].count)
            choice[l] = lists[l].values[rest % lists[l].count];
        double c = cost(problem, choice);
        if (!(c < least)) continue;
        memcpy(best, choice, n * sizeof *choice);
        least = c;
    }
}

void clg__launch_groups(clg__launch *launch, int64_t groups)
{
    clg__launch_range(launch, 1, (size_t[]){(size_t)groups}, (size_t[]){1});
}

void clg__launch_lines(clg__launch *launch, const clg__lowering *lo, int64_t lines, int64_t floats)
{
    enum { LEAST = 4096 }; /* floats, for which starting a work-group pays */
    const int64_t shares = 4 * (int64_t)lo->ctx->info.compute_units;
    const int64_t each = clg__max_i64(clg__ceil_div(lines, shares), clg__ceil_div(LEAST, floats));
    clg__launch_long(launch, lines);
    clg__launch_long(launch, each);
    clg__launch_groups(launch, clg__ceil_div(lines, each));
}

clg__buffer_id clg__lower_partial(clg__lowering *lo, int64_t most, int64_t rows, int64_t columns)
{
    int64_t bytes = 0;
    if (!clg__mul_i64(rows * columns, most * (int64_t)sizeof(float), &bytes))
        clg__lower_fail(lo, CLG_ERROR_MEMORY, "partial results of %lld x %lld do not fit",
                        (long long)rows, (long long)columns);
    return clg__lower_scratch(lo, bytes);
}

void clg__lower_sum_splits(clg__lowering *lo, clg__buffer_id parts, int64_t splits, int64_t rows,
                           int64_t columns)
{
    int64_t pieces = rows * clg__ceil_div(columns, 16);
    int64_t per_group = clg__max_i64(clg__ceil_div(pieces, 4 * lo->ctx->info.compute_units), 64);
    clg__launch *launch = clg__lower_kernel(lo, "sum_splits", "sum_splits", "%s", "");
    clg__launch_buffer(launch, parts);
    clg__launch_long(launch, rows);
    clg__launch_long(launch, columns);
    clg__launch_int(launch, splits);
    clg__launch_long(launch, per_group);
    clg__launch_epilogue(launch);
    clg__launch_groups(launch, clg__ceil_div(pieces, per_group));
    clg__launch_work(launch, (double)splits * rows * columns,
                     (splits + 1.0) * rows * columns * sizeof(float));
}

void clg__launch_parts(clg__launch *launch, int64_t most, int64_t splits, int64_t rows,
                       int64_t columns)
{
    if (!launch || most <= 1) {
        clg__launch_epilogue(launch);
        return;
    }
    clg__lowering *lo = launch->lowering;
    clg__buffer_id parts = clg__lower_partial(lo, most, rows, columns);
    clg__launch_plain(launch, parts, columns);
    clg__lower_sum_splits(lo, parts, splits, rows, columns);
}
