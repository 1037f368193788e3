/*
 * Working on the few rows of a table that a training step touches: what an optimizer needs for the
 * gradient of an embedding, at a cost that does not know the table's size.
 *
 * A gradient made of scatter_adds is taken apart into n row numbers and n rows
 * (clg__sparse_gradient). Equal numbers are added up at the first of them; the others get zeros,
 * and are left out where rows are written back. assign_rows is the one operation that changes part
 * of a variable: its result is the variable's own memory, which the memory planner sees as an input
 * written in place (op->places).
 */
#include "ops/rows.h"

enum { MAX_PARTS = CLG__MAX_INPUTS }; /* scatter_adds that one gradient is the sum of */

/* (S..., D...) as the matrix (n, D). */
static clg_tensor *as_matrix(clg_tensor *rows, int64_t columns)
{
    if (!rows) return NULL;
    clg_shape shape = {.ndim = 2,
                       .dim = {clg_shape_count(&rows->shape) / columns, columns},
                       .batched = rows->shape.batched != 0};
    return clg__reshape_to(rows, &shape);
}

/* ---- row_index ---- */

typedef struct row_index_attr {
    int64_t rows; /* of the table; a row number is below */
} row_index_attr;

static clg_status row_index_lower(clg__lowering *lo)
{
    const row_index_attr *attr = lo->node->attr;
    int64_t at = 0;
    for (int i = 0; i < lo->node->n_inputs; i++)
        at += clg__lower_row_index(lo, i, attr->rows, lo->out, at);
    return lo->status;
}

/* One algorithm for both engines: it knows itself how they differ. */
#define ROWS_ALGORITHM(name_, lower_, fuses)                                                       \
    (const clg__algorithm[])                                                                       \
    {                                                                                              \
        {.name = name_,                                                                            \
         .engines = 1u << CLG_ENGINE_CPU | 1u << CLG_ENGINE_GPU,                                   \
         .fuses_epilogue = fuses,                                                                  \
         .lower = lower_},                                                                         \
        {                                                                                          \
            .name = NULL                                                                           \
        }                                                                                          \
    }

const clg__op clg__op_row_index = {.name = "row_index",
                                   .formula =
                                       "row numbers joined; -1 for what is no row of the table",
                                   .class_ = CLG__KERNEL,
                                   .typed_inputs = ~0u,
                                   .attr_size = sizeof(row_index_attr),
                                   .algorithms = ROWS_ALGORITHM("copy", row_index_lower, false)};

/* Whether index tensors can be joined: all follow the batch, in one axis each, or none does. */
static bool indices_fit(clg_tensor *const *index, int n)
{
    for (int i = 0; i < n; i++)
        if (clg__batched_count(&index[i]->shape) > 1 ||
            clg__batched_count(&index[i]->shape) != clg__batched_count(&index[0]->shape))
            return false;
    return true;
}

clg_tensor *clg__row_index(clg_tensor *const *index, int n, const clg_shape *table)
{
    for (int i = 0; i < n; i++)
        if (!index[i]) return NULL;
    clg_graph *g = index[0]->graph;
    if (!indices_fit(index, n))
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                               "row_index: some index tensors follow the batch and others do not");
    clg_shape shape = {.ndim = 1, .batched = index[0]->shape.batched != 0};
    for (int i = 0; i < n; i++) shape.dim[0] += clg_shape_count(&index[i]->shape);
    row_index_attr attr = {.rows = table->dim[0]};
    return clg__node(g, &clg__op_row_index, CLG_I32, shape, &attr, n, index);
}

/* ---- first_equal ---- */

static clg_status first_equal_lower(clg__lowering *lo)
{
    clg__lower_first_equal(lo, lo->in[0], lo->out, clg_shape_count(&lo->out_shape));
    return lo->status;
}

const clg__op clg__op_first_equal = {.name = "first_equal",
                                     .formula = "y[i] = smallest j with index[j] = index[i]",
                                     .class_ = CLG__KERNEL,
                                     .typed_inputs = 1u << 0,
                                     .algorithms =
                                         ROWS_ALGORITHM("search", first_equal_lower, false)};

clg_tensor *clg__first_equal(clg_tensor *index)
{
    return index ? clg__node(index->graph, &clg__op_first_equal, CLG_I32, index->shape, NULL, 1,
                             &index)
                 : NULL;
}

/* ---- sum_equal_rows ---- */

static clg_status sum_equal_rows_lower(clg__lowering *lo)
{
    int64_t rows = lo->out_shape.dim[0], columns = lo->out_shape.dim[1];
    clg__buffer_id next = clg__lower_next_equal(lo, lo->in[0], rows);
    clg__launch *launch = clg__lower_kernel(lo, "equal_rows", "sum_equal_rows", "#define VEC %d\n",
                                            clg__rows_width(lo->ctx));
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, next);
    clg__launch_rows(launch, lo->ctx, rows, columns);
    clg__launch_epilogue(launch);
    clg__launch_work(launch, (double)(rows * columns), 8.0 * (double)(rows * columns));
    return lo->status;
}

const clg__op clg__op_sum_equal_rows = {
    .name = "sum_equal_rows",
    .formula = "at the first of equal indices the sum of their rows, else 0",
    .class_ = CLG__KERNEL,
    .typed_inputs = 1u << 0,
    .algorithms = ROWS_ALGORITHM("chains", sum_equal_rows_lower, true)};

clg_tensor *clg__sum_equal_rows(clg_tensor *first, clg_tensor *x)
{
    if (!first || !x) return NULL;
    return clg__node(x->graph, &clg__op_sum_equal_rows, CLG_F32, x->shape, NULL, 2,
                     (clg_tensor *[]){first, x});
}

clg_tensor *clg__first_rows(clg_tensor *first, clg_tensor *x)
{
    if (!first || !x) return NULL;
    clg_tensor *is_first = clg_equal(first, clg_iota(first, 0));
    clg_shape column = {.ndim = 2, .dim = {x->shape.dim[0], 1}, .batched = x->shape.batched & 1};
    return clg_where(clg__reshape_to(is_first, &column), x, clg__number(x, 0));
}

clg_tensor *clg__table_rows(clg_tensor *table, clg_tensor *index)
{
    clg_tensor *rows = clg_gather(table, index);
    return rows ? as_matrix(rows, clg_shape_count(&table->shape) / table->shape.dim[0]) : NULL;
}

/* ---- assign_rows ---- */

/* The table's memory becomes the result's; where something still needs the old table, the result
 * has memory of its own and begins as a copy. */
static void lower_table(clg__lowering *lo)
{
    int64_t count = clg_shape_count(&lo->out_shape);
    int64_t per_item = clg__round_up(
        clg__ceil_div(count, 64 * (int64_t)lo->ctx->info.compute_units), clg__rows_width(lo->ctx));
    clg__launch *launch = clg__lower_kernel(lo, "equal_rows", "copy_table", "#define VEC %d\n",
                                            clg__rows_width(lo->ctx));
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->out);
    clg__launch_long(launch, count);
    clg__launch_long(launch, per_item);
    clg__launch_spread(launch, 1, (size_t[]){(size_t)clg__ceil_div(count, per_item)});
    clg__launch_work(launch, 0, 8.0 * (double)count);
}

static clg_status assign_rows_lower(clg__lowering *lo)
{
    int64_t rows = lo->in_shape[1].dim[0];
    int64_t columns = clg_shape_count(&lo->out_shape) / lo->out_shape.dim[0];
    if (!lo->placed[0]) lower_table(lo);
    clg__launch *launch = clg__lower_kernel(lo, "equal_rows", "assign_rows", "#define VEC %d\n",
                                            clg__rows_width(lo->ctx));
    clg__launch_buffer(launch, lo->in[3]);
    clg__launch_buffer(launch, lo->in[2]);
    clg__launch_rows(launch, lo->ctx, rows, columns);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_buffer(launch, lo->out);
    clg__launch_work(launch, 0, 8.0 * (double)(rows * columns));
    return lo->status;
}

static bool assign_rows_places(const clg_tensor *node, int input, int64_t *offset)
{
    *offset = 0;
    return input == 0;
}

const clg__op clg__op_assign_rows = {.name = "assign_rows",
                                     .formula = "a table with x[i] in its row index[i]",
                                     .class_ = CLG__KERNEL,
                                     .typed_inputs = 1u << 1 | 1u << 2,
                                     .places = assign_rows_places,
                                     .algorithms =
                                         ROWS_ALGORITHM("copy", assign_rows_lower, false)};

clg_tensor *clg__assign_rows(clg_tensor *table, clg_tensor *index, clg_tensor *first, clg_tensor *x)
{
    if (!table || !index || !first || !x) return NULL;
    clg_graph *g = table->graph;
    /* Only a variable: what else is computed into this memory would be changed for all readers. */
    if (!clg__is_variable_node(table))
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                               "assign_rows: the table is a node of \"%s\", not a variable",
                               table->op->name);
    return clg__node(g, &clg__op_assign_rows, CLG_F32, table->shape, NULL, 4,
                     (clg_tensor *[]){table, index, first, x});
}

/* ---- gradients by rows ---- */

typedef struct parts {
    clg_tensor *index[MAX_PARTS], *rows[MAX_PARTS];
    int count;
} parts;

/* Collects the scatter_adds that x is the sum of; false if there is anything else in it. */
static bool collect_parts(const clg_tensor *x, const clg_shape *table, parts *p)
{
    if (!clg__same_shape(&x->shape, table)) return false;
    if (clg__has_role(x, CLG__SUM))
        return collect_parts(x->inputs[0], table, p) && collect_parts(x->inputs[1], table, p);
    if (x->op != &clg__op_scatter_add || p->count == MAX_PARTS) return false;
    p->index[p->count] = x->inputs[0];
    p->rows[p->count++] = x->inputs[1];
    return true;
}

bool clg__sparse_gradient(clg_tensor *gradient, clg__sparse *out)
{
    parts p = {.count = 0};
    if (!gradient || gradient->shape.batched || !collect_parts(gradient, &gradient->shape, &p) ||
        !indices_fit(p.index, p.count))
        return false;
    int64_t columns = clg_shape_count(&gradient->shape) / gradient->shape.dim[0];
    for (int i = 0; i < p.count; i++) p.rows[i] = as_matrix(p.rows[i], columns);
    out->index = clg__row_index(p.index, p.count, &gradient->shape);
    out->first = clg__first_equal(out->index);
    out->rows = clg__sum_equal_rows(out->first, clg__concat_rows(p.rows, p.count));
    return true;
}
