/*
 * Rows of a table by index: gather, scatter_add, take_along_axis, and the operations that carry out
 * a sparse update (rows.h). Indices of the table cases are computed from an input: how many of the
 * numbers -1.5, -1, -0.5 ... are below it.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"
#include "ops/rows.h"

/* ---- table cases ---- */

/* 0 .. limit from numbers in -2 .. 2. */
static int64_t step_index(double x, int limit)
{
    int64_t index = 0;
    for (int i = 0; i < limit; i++) index += x >= -1.5 + 3.0 * i / limit;
    return index;
}

static clg_tensor *step_indices(clg_tensor *x, int limit)
{
    clg_tensor *sum = clg_greater(x, clg_scalar(x->graph, 9)); /* none is */
    for (int i = 0; i < limit; i++)
        sum = clg_add(sum, clg_greater_equal(x, clg_scalar(x->graph, -1.5 + 3.0 * i / limit)));
    return sum;
}

/* p: largest index */
static clg_tensor *gather(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_gather(x[0], step_indices(x[1], c->p[0])));
}

static void gathered(const op_case *c, const clg_shape *in, const double *const *x,
                     const clg_shape *out, double *y)
{
    int64_t width = clg_shape_count(&in[0]) / in[0].dim[0];
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t row = step_index(x[1][i / width], c->p[0]);
        double v = row < in[0].dim[0] ? x[0][row * width + i % width] : NAN;
        y[i] = v * v;
    }
}

/* x0 (V, ...), index from x1 (S...), rows x2 (S..., ...) */
static clg_tensor *scatter(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_scatter_add(x[0], step_indices(x[1], c->p[0]), x[2]));
}

static void scattered(const op_case *c, const clg_shape *in, const double *const *x,
                      const clg_shape *out, double *y)
{
    int64_t width = clg_shape_count(out) / out->dim[0];
    for (int64_t i = 0; i < clg_shape_count(out); i++) y[i] = x[0][i];
    for (int64_t j = 0; j < clg_shape_count(&in[2]); j++) {
        int64_t row = step_index(x[1][j / width], c->p[0]);
        if (row < out->dim[0]) y[row * width + j % width] += x[2][j];
    }
    for (int64_t i = 0; i < clg_shape_count(out); i++) y[i] *= y[i];
}

/* p: largest index, axis */
static clg_tensor *take(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_take_along_axis(x[0], step_indices(x[1], c->p[0]), c->p[1]));
}

static void taken(const op_case *c, const clg_shape *in, const double *const *x,
                  const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        at[c->p[1]] = step_index(x[1][i], c->p[0]);
        bool inside = at[c->p[1]] < in[0].dim[c->p[1]];
        double v = inside ? x[0][op_check_index(&in[0], at)] : NAN;
        y[i] = v * v;
    }
}

static const op_case cases[] = {
    {"gather (5, 3) by (7)",
     2,
     {OP_SHAPE(5, 3), OP_SHAPE(CLG_BATCH)},
     gather,
     gathered,
     .constants = 2,
     .batch = {7, 1, 4},
     .p = {4}},
    {"gather (4, 2, 21) by (3, n)",
     2,
     {OP_SHAPE(4, 2, 21), OP_SHAPE(3, CLG_BATCH)},
     gather,
     gathered,
     .constants = 2,
     .batch = {7, 1, 4},
     .p = {3}},
    {"scatter_add (5, 3) by (n)",
     3,
     {OP_SHAPE(5, 3), OP_SHAPE(CLG_BATCH), OP_SHAPE(CLG_BATCH, 3)},
     scatter,
     scattered,
     .constants = 2,
     .batch = {7, 1, 4},
     .p = {4}},
    {"gather (n, 2) by (6)",
     2,
     {OP_SHAPE(CLG_BATCH, 2), OP_SHAPE(6)},
     gather,
     gathered,
     .constants = 2,
     .batch = {7, 1, 4},
     .p = {0}},
    {"gather numbers",
     2,
     {OP_SHAPE(5), OP_SHAPE(3, 4)},
     gather,
     gathered,
     .constants = 2,
     .p = {4}},
    {"gather one row",
     2,
     {OP_SHAPE(3, 18), OP_SHAPE(1)},
     gather,
     gathered,
     .constants = 2,
     .p = {2}},
    {"scatter_add numbers",
     3,
     {OP_SHAPE(3), OP_SHAPE(9), OP_SHAPE(9)},
     scatter,
     scattered,
     .constants = 2,
     .p = {2}},
    {"scatter_add (6, 35), many equal",
     3,
     {OP_SHAPE(6, 35), OP_SHAPE(3, 50), OP_SHAPE(3, 50, 35)},
     scatter,
     scattered,
     .constants = 2,
     .p = {5}},
    {"scatter_add, some outside",
     3,
     {OP_SHAPE(2, 5), OP_SHAPE(11), OP_SHAPE(11, 5)},
     scatter,
     scattered,
     .constants = 2,
     .p = {4}},
    {"take along axis 0",
     2,
     {OP_SHAPE(4, 3, 2), OP_SHAPE(5, 3, 2)},
     take,
     taken,
     .constants = 2,
     .p = {3, 0}},
    {"take along axis 1",
     2,
     {OP_SHAPE(CLG_BATCH, 4, 3), OP_SHAPE(CLG_BATCH, 2, 3)},
     take,
     taken,
     .constants = 2,
     .batch = {3, 2},
     .p = {3, 1}},
    {"take along axis 2",
     2,
     {OP_SHAPE(2, CLG_BATCH, 5), OP_SHAPE(2, CLG_BATCH, 6)},
     take,
     taken,
     .constants = 2,
     .batch = {3, 2},
     .p = {4, 2}},
    {"take, some outside",
     2,
     {OP_SHAPE(2, 3), OP_SHAPE(2, 30)},
     take,
     taken,
     .constants = 2,
     .value_only = true,
     .p = {4, 1}},
    {"gather, some outside",
     2,
     {OP_SHAPE(3, 17), OP_SHAPE(12)},
     gather,
     gathered,
     .constants = 2,
     .value_only = true,
     .p = {4}},
};

START_TEST(values_and_derivatives)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

/* ---- indices of every type, and wrong ones ---- */

START_TEST(indices_of_all_types_read_the_same_rows)
{
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *table = clg_constant(g, CLG_SHAPE(3, 2), (float[]){1, 2, 3, 4, 5, 6});
    clg_tensor *ints = clg_input(g, "ints", CLG_I32, CLG_SHAPE(4));
    clg_tensor *bytes = clg_input(g, "bytes", CLG_U8, CLG_SHAPE(4));
    clg_tensor *floats = clg_input(g, "floats", CLG_F32, CLG_SHAPE(5));
    clg_tensor *outputs[] = {
        clg_gather(table, ints),
        clg_gather(table, bytes),
        clg_gather(table, floats),
        /* views of integers, in memory and through another view */
        clg_gather(table, clg_slice(ints, 0, 1, 2)),
        clg_gather(table, clg_reshape(clg_slice(clg_transpose(clg_reshape(ints, CLG_SHAPE(2, 2)),
                                                              (int[]){1, 0}),
                                                1, 1, 1),
                                      CLG_SHAPE(2))),
        clg_scatter_add(clg_full(g, CLG_SHAPE(3), 0), ints, clg_full(g, CLG_SHAPE(4), 1)),
    };
    clg_program *p = op_check_compile(ctx, g, outputs, 6, CLG_INFERENCE);
    TEST_OK(clg_program_feed(p, ints, (int32_t[]){2, -1, 0, INT32_MAX}, 16));
    TEST_OK(clg_program_feed(p, bytes, (uint8_t[]){1, 1, 255, 0}, 4));
    TEST_OK(clg_program_feed(p, floats, (float[]){2, NAN, -1, 3, 1e30f}, 20));
    TEST_OK(clg_program_run(p));
    static const double expected[6][10] = {
        {5, 6, NAN, NAN, 1, 2, NAN, NAN},
        {3, 4, 3, 4, NAN, NAN, 1, 2},
        {5, 6, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN},
        {NAN, NAN, 1, 2},
        {1, 2, NAN, NAN}, /* ints are ((2, -1), (0, max)); transposed, column 1 is (0, max) */
        {1, 0, 1}};
    static const int64_t counts[] = {8, 8, 10, 4, 4, 3};
    for (int i = 0; i < 6; i++) {
        float got[10];
        op_check_read(p, outputs[i], got, counts[i]);
        op_check_close(clg_tensor_op(outputs[i]), "value", got, expected[i], counts[i], 0);
    }
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- sparse gradients ---- */

enum { ROWS = 40, WIDTH = 21, N = 90 };

/* Numbers 0 .. ROWS - 1, every third one outside or equal to the first. */
static void fill_indices(int32_t *index, int n, uint64_t stream)
{
    double *u = malloc((size_t)n * sizeof *u);
    op_check_random(u, n, 0, ROWS - 0.001, stream);
    for (int i = 0; i < n; i++)
        index[i] = i % 3 ? (int32_t)u[i] : i % 2 ? index[0] : (int32_t)u[i] - 3;
    free(u);
}

/* What the table's gradient is by rows: as scatter_add adds it up. */
START_TEST(gradients_are_found_by_rows)
{
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *table =
        clg_variable(g, "table", CLG_SHAPE(ROWS, WIDTH), CLG_INIT(CLG_INIT_NORMAL, 1), true);
    clg_tensor *i = clg_input(g, "i", CLG_I32, CLG_SHAPE(N));
    clg_tensor *j = clg_input(g, "j", CLG_F32, CLG_SHAPE(2, N / 2)), *dense;
    clg_tensor *loss = clg_add(clg_sum(clg_square(clg_gather(table, i)), 0, false),
                               clg_sum(clg_sin(clg_gather(table, j)), 0, false));
    TEST_OK(clg_gradients(loss, &table, 1, &dense));
    clg__sparse sparse;
    ck_assert(clg__sparse_gradient(dense, &sparse));
    ck_assert(!clg__sparse_gradient(clg_neg(dense), &sparse));
    clg_tensor *outputs[] = {dense, sparse.index, sparse.first, sparse.rows};
    clg_program *p = op_check_compile(ctx, g, outputs, 4, CLG_INFERENCE);
    int32_t in_i[N], in_j[N], index[2 * N], first[2 * N];
    float j_floats[N], rows[2 * N * WIDTH], want[ROWS * WIDTH], got[ROWS * WIDTH] = {0};
    fill_indices(in_i, N, 1);
    fill_indices(in_j, N, 2);
    for (int k = 0; k < N; k++) { /* inside: NaN would spoil all */
        in_i[k] = abs(in_i[k]) % ROWS;
        j_floats[k] = (float)(abs(in_j[k]) % ROWS);
    }
    in_i[5] = in_i[N - 1] = ROWS - 1;
    TEST_OK(clg_program_feed(p, i, in_i, sizeof in_i));
    TEST_OK(clg_program_feed(p, j, j_floats, sizeof j_floats));
    TEST_OK(clg_program_run(p));
    op_check_read(p, dense, want, ROWS * WIDTH);
    TEST_OK(clg_program_read(p, sparse.index, index, sizeof index));
    TEST_OK(clg_program_read(p, sparse.first, first, sizeof first));
    op_check_read(p, sparse.rows, rows, 2 * N * WIDTH);
    for (int k = 0; k < 2 * N; k++) {
        ck_assert_int_eq(index[k], k < N ? in_i[k] : (int)j_floats[k - N]);
        int seen = 0;
        while (index[seen] != index[k]) seen++;
        ck_assert_int_eq(first[k], seen);
        for (int c = 0; c < WIDTH; c++) {
            if (seen == k) got[index[k] * WIDTH + c] = rows[k * WIDTH + c];
            if (seen != k) ck_assert_float_eq(rows[k * WIDTH + c], 0);
        }
    }
    for (int k = 0; k < ROWS * WIDTH; k++) ck_assert_float_eq_tol(got[k], want[k], 1e-5f);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(an_embedding_is_a_gather_of_its_variable)
{
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *index = clg_input(g, "index", CLG_I32, CLG_SHAPE(2, 2)), *gradient;
    const clg_init ones = {.kind = CLG_INIT_CONSTANT, .value = 1};
    clg_tensor *y =
        clg_embedding_layer(index, "words", 3, 2, clg_embedding_options(.weight_init = &ones));
    clg_tensor *table = clg_graph_find(g, "words.weight");
    TEST_OK(clg_gradients(clg_sum(clg_square(y), 0, false), &table, 1, &gradient));
    op_check_differentiated(y, 1);
    clg_tensor *outputs[] = {y, gradient};
    clg_program *p = op_check_compile(ctx, g, outputs, 2, CLG_INFERENCE);
    TEST_OK(clg_program_feed(p, index, (int32_t[]){2, 0, 2, 2}, 16));
    TEST_OK(clg_program_run(p));
    float got[8];
    op_check_read(p, y, got, 8);
    op_check_close("embedding_layer", "value", got, (double[]){1, 1, 1, 1, 1, 1, 1, 1}, 8, 0);
    op_check_read(p, gradient, got, 6);
    op_check_close("embedding_layer", "gradient", got, (double[]){2, 2, 0, 0, 6, 6}, 6, 0);
    clg_program_destroy(p);
    ck_assert_ptr_null(clg_embedding_layer(index, "none", 0, 2, NULL));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "none: a table of 0 x 2");
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

static clg_tensor *update_of(clg_tensor *table, clg_tensor *index, clg_tensor *rows)
{
    clg_tensor *numbers = clg__row_index(&index, 1, &table->shape);
    clg_tensor *first = clg__first_equal(numbers);
    return clg__assign_rows(table, numbers, first, rows);
}

/* Rows change in the variable's own memory: after a lookup in the same run, without a copy. */
START_TEST(rows_are_assigned_in_place_after_all_reads)
{
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
    clg_tensor *table =
        clg_variable(g, "table", CLG_SHAPE(5, 3), CLG_INIT(CLG_INIT_CONSTANT, 1), true);
    clg_tensor *index = clg_input(g, "index", CLG_I32, CLG_SHAPE(CLG_BATCH));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 3));
    clg_tensor *assign = clg_assign(table, update_of(table, index, clg_mul(x, x)));
    clg_tensor *looked_up = clg_gather(table, index), *sum = clg_sum(table, 0, false);
    clg_tensor *outputs[] = {assign, looked_up, sum};
    clg_program *p = op_check_compile(ctx, g, outputs, 3, CLG_INFERENCE);
    char *text = clg_program_text(p);
    ck_assert_msg(strstr(text, "assign_rows  (5, 3), 1 launch\n") != NULL, "%s", text);
    clg_free(text);
    const float data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    float got[15];
    for (int64_t batch = 4; batch >= 2; batch -= 2) {
        TEST_OK(clg_program_set_batch(p, batch));
        TEST_OK(clg_program_feed(p, index, (int32_t[]){3, 0, 3, 9}, (size_t)(4 * batch)));
        op_check_feed(p, x, data, 3 * batch);
        TEST_OK(clg_program_run(p));
        TEST_OK(clg_variable_read(table, got, 15));
        static const double want[] = {16, 25, 36, 1, 1, 1, 1, 1, 1, 1, 4, 9, 1, 1, 1};
        op_check_close("assign_rows", "the table", got, want, 15, 0);
        op_check_read(p, looked_up, got, 3 * batch); /* the old rows */
        static const double old[2][12] = {{1, 1, 1, 1, 1, 1, 1, 1, 1, NAN, NAN, NAN},
                                          {1, 4, 9, 16, 25, 36}};
        op_check_close("assign_rows", "a lookup", got, old[batch == 2], 3 * batch, 0);
        op_check_read(p, sum, got, 1);
        ck_assert_float_eq(got[0], batch == 4 ? 15 : 100);
    }
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* Where the old table is still needed, the result is a table of its own. */
START_TEST(a_table_that_is_not_assigned_stays_as_it_is)
{
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *table =
        clg_variable(g, "table", CLG_SHAPE(3, 18), CLG_INIT(CLG_INIT_CONSTANT, 1), true);
    clg_tensor *index = clg_constant(g, CLG_SHAPE(2), (float[]){2, 0});
    clg_tensor *changed = update_of(table, index, clg_full(g, CLG_SHAPE(2, 18), 7));
    clg_tensor *outputs[] = {changed, clg_sum(table, 0, false)};
    clg_program *p = op_check_compile(ctx, g, outputs, 2, CLG_INFERENCE);
    TEST_OK(clg_program_run(p));
    float got[54], sum;
    op_check_read(p, changed, got, 54);
    op_check_read(p, outputs[1], &sum, 1);
    ck_assert_float_eq(sum, 54);
    for (int k = 0; k < 54; k++) ck_assert_float_eq(got[k], k / 18 == 1 ? 1 : 7);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- mistakes ---- */

static void refused(clg_tensor *(*build)(clg_graph *g), const char *text)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
    ck_assert_ptr_null(build(g));
    TEST_FAILS(clg_graph_status(g), clg_graph_status(g), text);
    clg_graph_destroy(g);
}

static clg_tensor *scalar_table(clg_graph *g)
{
    return clg_gather(clg_scalar(g, 1), clg_full(g, CLG_SHAPE(3), 0));
}

static clg_tensor *too_many_axes(clg_graph *g)
{
    return clg_gather(clg_full(g, CLG_SHAPE(2, 2, 2, 2), 1), clg_full(g, CLG_SHAPE(2, 2, 2, 2), 0));
}

static clg_tensor *large_table(clg_graph *g)
{
    clg_tensor *table = clg_full(g, CLG_SHAPE((1 << 24) + 1, 2), 0);
    clg_gather(table, clg_input(g, "ints", CLG_I32, CLG_SHAPE(3)));
    TEST_OK(clg_graph_status(g));
    return clg_gather(table, clg_input(g, "floats", CLG_F32, CLG_SHAPE(3)));
}

static clg_tensor *foreign_rows(clg_graph *g)
{
    return clg_scatter_add(clg_full(g, CLG_SHAPE(5, 3), 0), clg_full(g, CLG_SHAPE(2), 0),
                           clg_full(g, CLG_SHAPE(2, 4), 0));
}

static clg_tensor *other_axes(clg_graph *g)
{
    return clg_take_along_axis(clg_full(g, CLG_SHAPE(2, 3), 0), clg_full(g, CLG_SHAPE(3, 3), 0), 1);
}

static clg_tensor *no_variable(clg_graph *g)
{
    return update_of(clg_full(g, CLG_SHAPE(2, 3), 0), clg_full(g, CLG_SHAPE(2), 0),
                     clg_full(g, CLG_SHAPE(2, 3), 0));
}

START_TEST(mistakes_are_named)
{
    refused(scalar_table, "gather: a table () and indices (3)");
    refused(too_many_axes, "the result at most 6 axes");
    refused(large_table, "gather: a table of 16777217 rows, but indices of type F32 are exact");
    refused(foreign_rows, "scatter_add: rows (2, 4) do not belong to indices (2) and a table");
    refused(other_axes, "take_along_axis: x (2, 3) and indices (3, 3) along axis 1");
    refused(no_variable, "assign_rows: the table is a node of \"full\"");
    ck_assert_ptr_null(clg_gather(NULL, NULL));
    ck_assert_ptr_null(clg_scatter_add(NULL, NULL, NULL));
    ck_assert_ptr_null(clg_take_along_axis(NULL, NULL, 0));
}
END_TEST

void ops_rows_cases(Suite *suite)
{
    TCase *rows = testing_case(suite, "rows");
    tcase_add_test(rows, values_and_derivatives);
    tcase_add_test(rows, indices_of_all_types_read_the_same_rows);
    tcase_add_test(rows, gradients_are_found_by_rows);
    tcase_add_test(rows, an_embedding_is_a_gather_of_its_variable);
    tcase_add_test(rows, rows_are_assigned_in_place_after_all_reads);
    tcase_add_test(rows, a_table_that_is_not_assigned_stays_as_it_is);
    tcase_add_test(rows, mistakes_are_named);
}
