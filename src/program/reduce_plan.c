/*
 * How the work of a reduction is shared out: the same for every run at a batch size, and following
 * from the shape alone within a row, so that sums are always added in the same order.
 *
 * On processors a work-item is a share. On graphics cards a share belongs to a block of lanes
 * (codegen_reduce_group.c): lanes along a row until each has about four vectors, lanes_x at least
 * 16 where rows have that many vectors, so that a block reads whole lines of a cache.
 */
#include "program/reduce.h"

enum {
    WIDTH = CLG__REDUCE_WIDTH,
    LINE_LANES = 16,
    MOST_PARTS = 1024,
    SHARE = 16384,   /* elements of a work-item of the CPU engine, where there are as many */
    LEAST_STRIP = 64 /* columns: a few lines of a cache in a row */
};

void clg__reduce_axes(const clg__cluster *c, const clg__space *space, int *first, int *behind)
{
    *first = *behind = space->n_axes;
    for (int k = space->n_axes - 1; k >= 0; k--) {
        int axis = __builtin_ctz(space->axes[k]);
        if (axis >= c->reduce_first) *first = k;
        if (axis >= c->reduce_first + c->reduce_count) *behind = k;
    }
}

int clg__reduce_group(const clg_context *ctx)
{
    /* Devices of CPU type run the items of a group one after the other: small groups compile faster
     * and run no slower. */
    size_t most = ctx->info.type == CLG_DEVICE_CPU ? 64 : 256, group = 1;
    while (group * 2 <= most && group * 2 <= ctx->info.max_work_group) group *= 2;
    return (int)group;
}

/* The least power of two that is not below n, at most `most`, which is one. */
static int64_t lanes_for(int64_t n, int64_t most)
{
    int64_t lanes = 1;
    while (lanes < n && lanes < most) lanes *= 2;
    return lanes;
}

/* ---- shares ---- */

/* Deals the reduced part out in `wanted` parts or a few less. */
static void cut(clg__reduce_plan *p, int64_t wanted, int64_t width)
{
    p->row_parts = clg__min_i64(wanted, p->rows);
    p->col_parts = p->column_form ? 1 : clg__max_i64(1, wanted / p->row_parts);
    p->row_chunk = clg__ceil_div(p->rows, p->row_parts);
    p->row_parts = clg__ceil_div(p->rows, p->row_chunk);
    p->col_chunk = clg__round_up(clg__ceil_div(p->cols, p->col_parts), width);
    p->col_parts = p->column_form ? 1 : clg__ceil_div(p->cols, p->col_chunk);
    p->parts = p->row_parts * p->col_parts;
}

int clg__reduce_strip(const clg__cluster *c)
{
    /* The totals of all reductions are 16 KiB: half of the smallest caches of the first level. */
    return 4096 / (int)lanes_for(c->n_reduces, CLG__MAX_REDUCES);
}

/* Strips of columns: as wide as can be while all compute units have work. Sums are the same. */
static void cut_columns(clg__reduce_plan *p, int64_t units, int64_t most)
{
    const int64_t beside = clg__ceil_div(4 * units, p->outer * p->inner_rows * p->parts);
    const int64_t wanted = clg__round_up(clg__ceil_div(p->cols, beside), LEAST_STRIP);
    p->col_chunk = clg__min_i64(wanted, most);
    p->strips = clg__ceil_div(p->cols, p->col_chunk);
}

/* Shares of about SHARE elements: short sums are accurate, and all compute units have work. */
static void share_among_items(clg__reduce_plan *p, const clg_context *ctx, const clg__cluster *c)
{
    const int64_t length = p->column_form ? p->rows : p->rows * p->cols;
    const int64_t rows = clg__max_i64(512, clg__min_i64(2 * SHARE / p->cols, 2048));
    const int64_t parts = clg__ceil_div(length, p->column_form ? rows : SHARE);
    cut(p, p->two_stages ? clg__min_i64(parts, 256) : 1, clg__vector_width(ctx));
    if (p->column_form) cut_columns(p, ctx->info.compute_units, clg__reduce_strip(c));
}

/* Parts that give each lane of a whole group 8 vectors of a row, or 16 rows of its columns. */
static int64_t parts_for_groups(const clg__reduce_plan *p, int64_t group)
{
    const int64_t vectors = clg__ceil_div(p->cols, WIDTH);
    const int64_t below = group / lanes_for(vectors, clg__min_i64(LINE_LANES, group));
    const int64_t parts = p->column_form ? clg__ceil_div(p->rows, 16 * below)
                                         : clg__ceil_div(p->rows * vectors, 8 * group);
    return clg__min_i64(parts, MOST_PARTS);
}

static void share_among_groups(clg__reduce_plan *p, int64_t group)
{
    cut(p, p->two_stages ? parts_for_groups(p, group) : 1, WIDTH);
    const int64_t vectors = clg__ceil_div(p->col_chunk, WIDTH);
    const int64_t line = lanes_for(vectors, clg__min_i64(LINE_LANES, group));
    if (p->column_form) {
        p->lanes_y = lanes_for(clg__ceil_div(p->row_chunk, 4), group / line);
        p->lanes_x = lanes_for(vectors, group / p->lanes_y);
    } else {
        p->lanes_x = clg__max_i64(line, lanes_for(clg__ceil_div(vectors, 4), group));
        const int64_t per_lane = clg__max_i64(1, 4 * p->lanes_x / vectors); /* rows of 4 vectors */
        p->lanes_y = lanes_for(clg__ceil_div(p->row_chunk, per_lane), group / p->lanes_x);
    }
    const int64_t across = clg__ceil_div(vectors, p->lanes_x); /* shares beside each other */
    const int64_t shares =
        p->outer * p->parts * (p->column_form ? p->inner_rows * across : (int64_t)1);
    p->groups = clg__ceil_div(shares, group / (p->lanes_x * p->lanes_y));
}

void clg__reduce_plan_make(clg__reduce_plan *plan, const clg__ir *ir, const clg__cluster *c,
                           const clg__space *space)
{
    int first, behind;
    clg__reduce_axes(c, space, &first, &behind);
    clg__reduce_plan p = {.two_stages = plan->two_stages, .outer = 1, .rows = 1, .inner_rows = 1};
    int inner = space->n_axes - 1;
    p.column_form = behind < space->n_axes;
    p.cols = space->extent[inner];
    for (int k = 0; k < first; k++) p.outer *= space->extent[k];
    for (int k = first; k < (p.column_form ? behind : inner); k++) p.rows *= space->extent[k];
    for (int k = behind; k < inner; k++) p.inner_rows *= space->extent[k];
    p.inner = p.column_form ? p.inner_rows * p.cols : 1;
    if (ir->ctx->engine == CLG_ENGINE_CPU)
        share_among_items(&p, ir->ctx, c);
    else
        share_among_groups(&p, clg__reduce_group(ir->ctx));
    *plan = p;
}

bool clg__reduce_needs_parts(const clg__ir *ir, const clg__cluster *c)
{
    clg__space space;
    clg__space_make(&space, ir, c, 0);
    clg__reduce_plan cut = {.two_stages = true}, whole = {.two_stages = false};
    clg__reduce_plan_make(&cut, ir, c, &space);
    if (cut.parts == 1) return false;
    if (ir->ctx->engine == CLG_ENGINE_CPU) return cut.outer * clg__ceil_div(cut.inner, 16) < 4096;
    clg__reduce_plan_make(&whole, ir, c, &space);
    return whole.groups < 4 * (int64_t)clg__max_i64(ir->ctx->info.compute_units, 1);
}

bool clg__reduce_is_whole_rows(const clg__ir *ir, const clg__cluster *c)
{
    int first, behind;
    clg__space space;
    if (!clg__space_make(&space, ir, c, 0)) return false;
    clg__reduce_axes(c, &space, &first, &behind);
    return ir->ctx->engine == CLG_ENGINE_CPU && behind == space.n_axes &&
           !clg__reduce_needs_parts(ir, c);
}

/* ---- launches ---- */

static void add_lanes(clg__launch *launch, int64_t x, int64_t y, int64_t groups)
{
    const int64_t group = clg__reduce_group(launch->lowering->ctx);
    clg__launch_int(launch, x);
    clg__launch_int(launch, y);
    clg__launch_range(launch, 1, (size_t[]){(size_t)(groups * group)}, (size_t[]){(size_t)group});
}

void clg__reduce_launch(clg__launch *launch, const clg__reduce_plan *p)
{
    const int64_t head[] = {p->outer,     p->rows,  p->row_chunk,  p->col_chunk,
                            p->col_parts, p->parts, p->inner_rows, p->inner};
    if (!launch) return;
    for (size_t i = 0; i < CLG__COUNT(head); i++) clg__launch_long(launch, head[i]);
    if (launch->lowering->ctx->engine == CLG_ENGINE_GPU) {
        add_lanes(launch, p->lanes_x, p->lanes_y, p->groups);
        return;
    }
    const size_t row_form[2] = {(size_t)p->outer, (size_t)p->parts};
    const size_t column_form[3] = {(size_t)p->strips, (size_t)(p->outer * p->inner_rows),
                                   (size_t)p->parts};
    clg__launch_spread(launch, p->column_form ? 3 : 2, p->column_form ? column_form : row_form);
}

void clg__reduce_launch_final(clg__launch *launch, const clg__reduce_plan *p)
{
    if (!launch) return;
    const size_t count = (size_t)(p->outer * p->inner);
    clg__launch_long(launch, (int64_t)count);
    clg__launch_long(launch, p->inner);
    clg__launch_long(launch, p->parts);
    if (launch->lowering->ctx->engine == CLG_ENGINE_CPU) {
        clg__launch_spread(launch, 1, &count);
        return;
    }
    const int64_t group = clg__reduce_group(launch->lowering->ctx);
    const int64_t x = lanes_for(p->inner, clg__min_i64(LINE_LANES, group));
    add_lanes(launch, x, group / x, clg__ceil_div((int64_t)count, x));
}
