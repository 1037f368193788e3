/*
 * Launches that the operations on rows share: how rows are dealt out to work-items, and finding
 * equal row numbers (cl/rows.cl) in the way that suits the engine.
 */
#include "ops/rows.h"

enum { GROUP = 64 }; /* work-items that look for equal numbers together */

const char *clg__index_defines(clg_dtype dtype)
{
    static const char *const defines[] = {
        [CLG_F32] = "#define INDEX_T float\n#define INDEX_IS_FLOAT 1\n",
        [CLG_I32] = "#define INDEX_T int\n#define INDEX_IS_FLOAT 0\n",
        [CLG_U8] = "#define INDEX_T uchar\n#define INDEX_IS_FLOAT 0\n"};
    return defines[dtype];
}

int clg__rows_width(const clg_context *ctx)
{
    return ctx->engine == CLG_ENGINE_CPU ? 16 : 4;
}

void clg__launch_rows(clg__launch *launch, const clg_context *ctx, int64_t rows, int64_t columns)
{
    bool cpu = ctx->engine == CLG_ENGINE_CPU;
    int64_t shares = clg__min_i64(8 * (int64_t)ctx->info.compute_units,
                                  clg__ceil_div(rows * columns, 4096)); /* each worth a launch */
    int64_t columns_per_item = cpu ? columns : clg__rows_width(ctx);
    int64_t rows_per_item = cpu ? clg__ceil_div(rows, shares) : 1;
    const int64_t numbers[] = {columns, rows, columns_per_item, rows_per_item};
    for (size_t i = 0; i < CLG__COUNT(numbers); i++) clg__launch_long(launch, numbers[i]);
    size_t group = clg__min_i64(GROUP, (int64_t)ctx->info.max_work_group);
    size_t wide = clg__min_i64(16, (int64_t)group);
    clg__launch_range(launch, 2,
                      (size_t[]){(size_t)clg__ceil_div(columns, columns_per_item),
                                 (size_t)clg__ceil_div(rows, rows_per_item)},
                      cpu ? (size_t[]){1, 1} : (size_t[]){wide, group / wide});
}

int64_t clg__lower_row_index(clg__lowering *lo, int input, int64_t rows, clg__buffer_id y,
                             int64_t at)
{
    const int64_t count = clg_shape_count(&lo->in_shape[input]);
    clg__launch *launch = clg__lower_kernel(lo, "rows", "row_index", "%s",
                                            clg__index_defines(lo->node->inputs[input]->dtype));
    clg__launch_buffer(launch, lo->in[input]);
    clg__launch_buffer_at(launch, y, at);
    clg__launch_long(launch, count);
    clg__launch_long(launch, rows);
    clg__launch_range(launch, 1, (size_t[]){(size_t)count},
                      (size_t[]){clg__min_i64(GROUP, (int64_t)lo->ctx->info.max_work_group)});
    clg__launch_work(launch, 0, 8.0 * (double)count);
    return count;
}

/* A kernel of rows.cl that reads integers, one work-item for each or one for all. */
static clg__launch *equal_kernel(clg__lowering *lo, const char *hashed, const char *searched)
{
    bool cpu = lo->ctx->engine == CLG_ENGINE_CPU;
    return clg__lower_kernel(lo, "rows", cpu ? hashed : searched, "%s#define GROUP %d\n",
                             clg__index_defines(CLG_I32),
                             (int)clg__min_i64(GROUP, (int64_t)lo->ctx->info.max_work_group));
}

static void equal_range(clg__lowering *lo, clg__launch *launch, int64_t count)
{
    bool cpu = lo->ctx->engine == CLG_ENGINE_CPU;
    size_t group = clg__min_i64(GROUP, (int64_t)lo->ctx->info.max_work_group);
    if (cpu)
        clg__launch_range(launch, 1, (size_t[]){1}, (size_t[]){1});
    else
        clg__launch_range(launch, 1, (size_t[]){(size_t)count}, (size_t[]){group});
    clg__launch_work(launch, 0, (cpu ? 24.0 : 2.0 * (double)count / (double)group) * (double)count);
}

void clg__lower_first_equal(clg__lowering *lo, clg__buffer_id index, clg__buffer_id first,
                            int64_t count)
{
    int64_t slots = 2;
    while (slots < 2 * count) slots *= 2;
    bool cpu = lo->ctx->engine == CLG_ENGINE_CPU;
    clg__buffer_id table = cpu ? clg__lower_scratch(lo, 4 * slots) : 0;
    clg__launch *launch = equal_kernel(lo, "first_equal_hashed", "first_equal_searched");
    clg__launch_buffer(launch, index);
    clg__launch_buffer(launch, first);
    if (cpu) clg__launch_buffer(launch, table);
    clg__launch_int(launch, count);
    if (cpu) clg__launch_int(launch, slots);
    equal_range(lo, launch, count);
}

clg__buffer_id clg__lower_next_equal(clg__lowering *lo, clg__buffer_id first, int64_t count)
{
    bool cpu = lo->ctx->engine == CLG_ENGINE_CPU;
    clg__buffer_id next = clg__lower_scratch(lo, 4 * count);
    clg__buffer_id last = cpu ? clg__lower_scratch(lo, 4 * count) : 0;
    clg__launch *launch = equal_kernel(lo, "next_equal_linked", "next_equal_searched");
    clg__launch_buffer(launch, first);
    clg__launch_buffer(launch, next);
    if (cpu) clg__launch_buffer(launch, last);
    clg__launch_int(launch, count);
    equal_range(lo, launch, count);
    return next;
}
