/*
 * Gather and scatter_add: rows of a table picked by index, and rows added up by index. Each is the
 * other's gradient, so that the two are closed under differentiation.
 *
 * scatter_add is deterministic: rows of equal index are chained and added up in order (cl/rows.cl,
 * cl/equal_rows.cl); no atomics. It writes the whole table. Where only the rows that were hit
 * matter, clg__sparse_gradient (rows.h) takes its inputs instead and the table is never made.
 */
#include "ops/rows.h"

/* ---- gather ---- */

typedef struct gather_attr {
    int32_t zeros_outside; /* what an index outside the table reads: 0 instead of NaN */
} gather_attr;

/* Elements of one row: everything behind the first axis. */
static int64_t row_length(const clg_shape *table)
{
    return clg_shape_count(table) / table->dim[0];
}

static clg_status gather_lower(clg__lowering *lo)
{
    const gather_attr *attr = lo->node->attr;
    const clg_shape *x = &lo->in_shape[0];
    int64_t columns = lo->out_shape.dim[lo->out_shape.ndim - 1];
    int64_t rows = clg_shape_count(&lo->out_shape) / columns;
    clg__launch *launch =
        clg__lower_kernel(lo, "gather", "gather", "%s#define VEC %d\n#define OUTSIDE %s\n",
                          clg__index_defines(lo->node->inputs[1]->dtype), clg__rows_width(lo->ctx),
                          attr->zeros_outside ? "0.0f" : "NAN");
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_long(launch, x->dim[0]);
    clg__launch_long(launch, row_length(x) / columns);
    clg__launch_rows(launch, lo->ctx, rows, columns);
    clg__launch_epilogue(launch);
    clg__launch_work(launch, 0, 8.0 * (double)(rows * columns));
    return lo->status;
}

static void gather_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = clg__scatter_add(out->inputs[1], g, &out->inputs[0]->shape);
}

static const clg__algorithm gather_algorithms[] = {
    {.name = "copy",
     .engines = 1u << CLG_ENGINE_CPU | 1u << CLG_ENGINE_GPU,
     .fuses_epilogue = true,
     .lower = gather_lower},
    {.name = NULL}};
const clg__op clg__op_gather = {.name = "gather",
                                .formula = "y[i] = x[index[i]], rows of x",
                                .class_ = CLG__KERNEL,
                                .typed_inputs = 1u << 1,
                                .attr_size = sizeof(gather_attr),
                                .gradient = gather_gradient,
                                .algorithms = gather_algorithms};

/* (S...) followed by the axes of a row; false if those are too many. */
static bool gathered_shape(const clg_shape *index, const clg_shape *table, clg_shape *out)
{
    *out = *index;
    for (int i = 1; i < table->ndim; i++) {
        if (out->ndim == CLG_MAX_DIMS) return false;
        out->batched |= (uint32_t)clg__batched(table, i) << out->ndim;
        out->dim[out->ndim++] = table->dim[i];
    }
    return true;
}

/* An f32 counts to 2^24, an i32 to 2^31: row numbers behind that cannot be named. */
static bool rows_can_be_named(clg_graph *g, const char *op, const clg_tensor *index, int64_t rows)
{
    int64_t limit = index->dtype == CLG_F32 ? 1 << 24 : INT32_MAX;
    if (rows <= limit) return true;
    clg__graph_fail(g, CLG_ERROR_UNSUPPORTED,
                    "%s: a table of %lld rows, but indices of type %s are exact up to %lld only%s",
                    op, (long long)rows, clg_dtype_name(index->dtype), (long long)limit,
                    index->dtype == CLG_F32 ? "; give them as an i32 input" : "");
    return false;
}

/* A table of numbers becomes one of rows of one number each. */
static clg_tensor *with_column(clg_tensor *x)
{
    if (!x) return NULL;
    if (x->shape.ndim == CLG_MAX_DIMS)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "gather: %s has too many axes",
                               CLG__SHAPE_TEXT(&x->shape));
    clg_shape shape = x->shape;
    shape.dim[shape.ndim++] = 1;
    return clg__reshape_to(x, &shape);
}

clg_tensor *clg__gather(clg_tensor *x, clg_tensor *index, bool zeros_outside)
{
    if (!x || !index) return NULL;
    clg_shape shape;
    if (x->shape.ndim < 1 || !gathered_shape(&index->shape, &x->shape, &shape))
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "gather: a table %s and indices %s: the table needs rows, and the "
                               "result at most %d axes",
                               CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(&index->shape),
                               CLG_MAX_DIMS);
    if (!rows_can_be_named(x->graph, "gather", index, x->shape.dim[0])) return NULL;
    if (x->shape.ndim == 1)
        return clg__reshape_to(clg__gather(with_column(x), index, zeros_outside), &shape);
    gather_attr attr = {.zeros_outside = zeros_outside};
    return clg__node(x->graph, &clg__op_gather, CLG_F32, shape, &attr, 2,
                     (clg_tensor *[]){x, index});
}

clg_tensor *clg_gather(clg_tensor *x, clg_tensor *index)
{
    return clg__gather(x, index, false);
}

/* ---- scatter_add ---- */

/* Zeros, or a copy: one flat launch over the table. */
static void lower_clear(clg__lowering *lo)
{
    int64_t count = clg_shape_count(&lo->out_shape), width = clg__rows_width(lo->ctx);
    int64_t shares =
        clg__min_i64(8 * (int64_t)lo->ctx->info.compute_units, clg__ceil_div(count, 16384));
    int64_t per_item = lo->ctx->engine == CLG_ENGINE_CPU
                           ? clg__round_up(clg__ceil_div(count, shares), width)
                           : width;
    clg__launch *launch =
        clg__lower_kernel(lo, "equal_rows", "clear_table", "#define VEC %d\n", (int)width);
    clg__launch_buffer(launch, lo->out);
    clg__launch_long(launch, count);
    clg__launch_long(launch, per_item);
    clg__launch_spread(launch, 1, (size_t[]){(size_t)clg__ceil_div(count, per_item)});
    clg__launch_work(launch, 0, 4.0 * (double)count);
}

static clg_status scatter_add_lower(clg__lowering *lo)
{
    int64_t count = clg_shape_count(&lo->in_shape[0]), columns = row_length(&lo->out_shape);
    clg__buffer_id index = clg__lower_scratch(lo, 4 * count);
    clg__buffer_id first = clg__lower_scratch(lo, 4 * count);
    clg__lower_row_index(lo, 0, lo->out_shape.dim[0], index, 0);
    clg__lower_first_equal(lo, index, first, count);
    clg__buffer_id next = clg__lower_next_equal(lo, first, count);
    lower_clear(lo);
    clg__launch *launch = clg__lower_kernel(lo, "equal_rows", "scatter_sums", "#define VEC %d\n",
                                            clg__rows_width(lo->ctx));
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_buffer(launch, first);
    clg__launch_buffer(launch, next);
    clg__launch_rows(launch, lo->ctx, count, columns);
    clg__launch_buffer(launch, index);
    clg__launch_buffer(launch, lo->out);
    clg__launch_work(launch, (double)(count * columns), 8.0 * (double)(count * columns));
    return lo->status;
}

static void scatter_add_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[1] = clg__gather(g, out->inputs[0], true);
}

static const clg__algorithm scatter_add_algorithms[] = {
    {.name = "chains",
     .engines = 1u << CLG_ENGINE_CPU | 1u << CLG_ENGINE_GPU,
     .lower = scatter_add_lower},
    {.name = NULL}};
const clg__op clg__op_scatter_add = {.name = "scatter_add",
                                     .formula = "y[index[i]] += x[i], rows added to zeros",
                                     .class_ = CLG__KERNEL,
                                     .typed_inputs = 1u << 0,
                                     .gradient = scatter_add_gradient,
                                     .algorithms = scatter_add_algorithms};

clg_tensor *clg__scatter_add(clg_tensor *index, clg_tensor *x, const clg_shape *table)
{
    if (!index || !x) return NULL;
    clg_shape shape;
    if (table->ndim < 1 || !gathered_shape(&index->shape, table, &shape) ||
        !clg__same_shape(&shape, &x->shape))
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "scatter_add: rows %s do not belong to indices %s and a table %s",
                               CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(&index->shape),
                               CLG__SHAPE_TEXT(table));
    if (!rows_can_be_named(x->graph, "scatter_add", index, table->dim[0])) return NULL;
    if (clg_shape_count(&index->shape) > INT32_MAX)
        return clg__graph_fail(x->graph, CLG_ERROR_UNSUPPORTED,
                               "scatter_add: 2^31 or more rows to add (%s)",
                               CLG__SHAPE_TEXT(&index->shape));
    return clg__node(x->graph, &clg__op_scatter_add, CLG_F32, *table, NULL, 2,
                     (clg_tensor *[]){index, x});
}

clg_tensor *clg_scatter_add(clg_tensor *x, clg_tensor *index, clg_tensor *rows)
{
    if (!x) return NULL;
    return clg_add(x, clg__scatter_add(index, rows, &x->shape));
}

/* ---- along any axis ---- */

clg_tensor *clg_take_along_axis(clg_tensor *x, clg_tensor *index, int axis)
{
    if (!x || !index || !clg__axis(x->graph, "take_along_axis", &x->shape, &axis)) return NULL;
    const clg_shape *from = &x->shape, *to = &index->shape;
    bool fits = from->ndim == to->ndim;
    for (int i = 0; i < from->ndim && fits; i++)
        fits = i == axis ||
               (from->dim[i] == to->dim[i] && clg__batched(from, i) == clg__batched(to, i));
    if (!fits || clg__batched_count(from) > 1 || clg_shape_count(from) > 1 << 24)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "take_along_axis: x %s and indices %s along axis %d: all other "
                               "axes agree, and x has at most 2^24 elements",
                               CLG__SHAPE_TEXT(from), CLG__SHAPE_TEXT(to), axis);
    /* The element's place in memory, as a number; positions follow the batch as x does. */
    clg_tensor *place = clg__as_f32(index);
    clg_tensor *inside = clg_mul(clg_greater_equal(place, clg__number(x, 0)),
                                 clg_less(place, clg__number_by_batch(x, (double)from->dim[axis],
                                                                      clg__batched(from, axis))));
    double stride = 1;
    int power = 0;
    clg_tensor *sum = NULL;
    for (int i = from->ndim - 1; i >= 0; i--) {
        clg_tensor *at = i == axis ? place : clg_iota(index, i);
        clg_tensor *term = clg_mul(at, clg__number_by_batch(x, stride, power));
        sum = sum ? clg_add(sum, term) : term;
        stride *= (double)from->dim[i];
        power += clg__batched(from, i);
    }
    clg_shape flat = {.ndim = 1, .dim = {clg_shape_count(from)}, .batched = from->batched != 0};
    clg_tensor *y =
        clg_gather(clg__reshape_to(x, &flat), clg_where(inside, sum, clg__number(x, -1)));
    return CLG__COMPOSED(take_along_axis, y);
}
