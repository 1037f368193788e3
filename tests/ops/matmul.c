/*
 * Matrix products in all four orders, with and without batches, at sizes around and below the tile
 * of either engine; the fused epilogue; and the messages for what does not fit.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* p: transpose_a, transpose_b */
static clg_tensor *matmul(const op_case *c, clg_tensor *const *x)
{
    return clg_matmul(x[0], x[1],
                      clg_matmul_options(.transpose_a = c->p[0], .transpose_b = c->p[1]));
}

/* Offset of a matrix of the batch: 0 for a side that serves all. */
static int64_t matrix_at(const clg_shape *in, int64_t batch)
{
    int last = in->ndim - 1;
    return in->ndim == 2 ? 0 : batch * in->dim[last - 1] * in->dim[last];
}

static void product(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    bool ta = c->p[0], tb = c->p[1];
    int last = out->ndim - 1, last_a = in[0].ndim - 1;
    int64_t m = out->dim[last - 1], n = out->dim[last], k = in[0].dim[ta ? last_a - 1 : last_a];
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t batch = i / (m * n), row = i / n % m, column = i % n;
        const double *a = x[0] + matrix_at(&in[0], batch), *b = x[1] + matrix_at(&in[1], batch);
        y[i] = 0;
        for (int64_t l = 0; l < k; l++)
            y[i] += a[ta ? l * m + row : row * k + l] * b[tb ? column * k + l : l * n + column];
    }
}

/* tanh(a b + bias + residual): what the epilogue takes in. */
static clg_tensor *layer(const op_case *c, clg_tensor *const *x)
{
    clg_tensor *y = clg_add(clg_matmul(x[0], x[1], NULL), x[2]);
    return clg_add(clg_tanh(y), x[3]);
}

static void layered(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    product(c, in, x, out, y);
    for (int64_t i = 0; i < clg_shape_count(out); i++)
        y[i] = tanh(y[i] + x[2][i % in[2].dim[0]]) + x[3][i];
}

#define NN .p = {0, 0}
#define NT .p = {0, 1}
#define TN .p = {1, 0}
#define TT .p = {1, 1}
#define PLAIN matmul, product
static const op_case cases[] = {
    {"1 x 1 x 1", 2, {OP_SHAPE(1, 1), OP_SHAPE(1, 1)}, PLAIN, NN},
    {"3 x 5 x 7 NN", 2, {OP_SHAPE(3, 5), OP_SHAPE(5, 7)}, PLAIN, NN},
    {"3 x 5 x 7 NT", 2, {OP_SHAPE(3, 5), OP_SHAPE(7, 5)}, PLAIN, NT},
    {"3 x 5 x 7 TN", 2, {OP_SHAPE(5, 3), OP_SHAPE(5, 7)}, PLAIN, TN},
    {"3 x 5 x 7 TT", 2, {OP_SHAPE(5, 3), OP_SHAPE(7, 5)}, PLAIN, TT},
    {"a row by a matrix", 2, {OP_SHAPE(1, 65), OP_SHAPE(65, 33)}, PLAIN, NN},
    {"a matrix by a column", 2, {OP_SHAPE(33, 65), OP_SHAPE(65, 1)}, PLAIN, NN},
    {"an outer product", 2, {OP_SHAPE(17, 1), OP_SHAPE(1, 35)}, PLAIN, NN},
    {"rows of the batch",
     2,
     {OP_SHAPE(CLG_BATCH, 19), OP_SHAPE(19, 10)},
     PLAIN,
     NN,
     .batch = {16, 33, 1}},
    {"a batch of matrices", 2, {OP_SHAPE(3, 4, 5), OP_SHAPE(3, 5, 6)}, PLAIN, NN},
    {"a batch of matrices, TT", 2, {OP_SHAPE(2, 2, 5, 4), OP_SHAPE(2, 2, 6, 5)}, PLAIN, TT},
    {"one B for all", 2, {OP_SHAPE(3, 4, 5), OP_SHAPE(5, 6)}, PLAIN, NN},
    {"one B for all, TN", 2, {OP_SHAPE(3, 5, 4), OP_SHAPE(5, 6)}, PLAIN, TN},
    {"one A for all", 2, {OP_SHAPE(4, 5), OP_SHAPE(3, 5, 6)}, PLAIN, NN},
    {"one A for all, TT", 2, {OP_SHAPE(5, 4), OP_SHAPE(3, 6, 5)}, PLAIN, TT},
    {"matrices that follow the batch",
     2,
     {OP_SHAPE(CLG_BATCH, 4, 5), OP_SHAPE(CLG_BATCH, 7, 5)},
     PLAIN,
     NT,
     .batch = {3, 5, 1}},
    {"a layer with its epilogue",
     4,
     {OP_SHAPE(CLG_BATCH, 21), OP_SHAPE(21, 34), OP_SHAPE(34), OP_SHAPE(CLG_BATCH, 34)},
     layer,
     layered,
     .batch = {16, 33, 1}},
};

/* Larger than any tile and block; values and first derivatives only, the reference is slow. */
#define LARGE .first_only = true, .lo = -1, .hi = 1
static const op_case large[] = {
    {"130 x 300 x 97 NN", 2, {OP_SHAPE(130, 300), OP_SHAPE(300, 97)}, PLAIN, NN, LARGE},
    {"130 x 300 x 97 TT", 2, {OP_SHAPE(300, 130), OP_SHAPE(97, 300)}, PLAIN, TT, LARGE},
    {"7 x 1023 x 33 NT", 2, {OP_SHAPE(7, 1023), OP_SHAPE(33, 1023)}, PLAIN, NT, LARGE},
    {"64 x 64 x 64 TN", 2, {OP_SHAPE(64, 64), OP_SHAPE(64, 64)}, PLAIN, TN, LARGE},
};

START_TEST(products_in_all_orders)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

START_TEST(products_larger_than_a_tile)
{
    op_check_table(large, CLG__COUNT(large));
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_named)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *a = clg_input(g, "a", CLG_F32, CLG_SHAPE(3, 5));
    ck_assert_ptr_null(clg_matmul(a, clg_input(g, "b", CLG_F32, CLG_SHAPE(3, 7)),
                                  clg_matmul_options(.transpose_b = true)));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT,
               "matmul: shapes (3, 5) and (3, 7) transposed do not fit together");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    a = clg_input(g, "a", CLG_F32, CLG_SHAPE(5));
    ck_assert_ptr_null(clg_matmul(a, a, NULL));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "matmul: shapes (5) and (5)");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    a = clg_input(g, "a", CLG_F32, CLG_SHAPE(2, 3, 5));
    ck_assert_ptr_null(clg_matmul(a, clg_input(g, "b", CLG_F32, CLG_SHAPE(3, 5, 7)), NULL));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "matmul: shapes (2, 3, 5) and (3, 5, 7)");
    clg_graph_destroy(g);
    ck_assert_ptr_null(clg_matmul(NULL, NULL, NULL));
}
END_TEST

START_TEST(a_following_extent_meets_only_its_like)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
    clg_tensor *a = clg_input(g, "a", CLG_F32, CLG_SHAPE(3, CLG_BATCH));
    clg_tensor *b = clg_input(g, "b", CLG_F32, CLG_SHAPE(CLG_BATCH, 5));
    ck_assert_uint_eq(clg_tensor_shape(clg_matmul(a, b, NULL))->batched, 0);
    ck_assert_ptr_null(clg_matmul(a, clg_input(g, "c", CLG_F32, CLG_SHAPE(4, 5)), NULL));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "matmul: shapes (3, 4) and (4, 5)");
    clg_graph_destroy(g);
}
END_TEST

void ops_matmul_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "matmul");
    tcase_add_test(values, products_in_all_orders);
    tcase_add_test(values, products_larger_than_a_tile);
    TCase *arguments = testing_case(suite, "matmul arguments");
    tcase_add_test(arguments, shapes_that_do_not_fit_are_named);
    tcase_add_test(arguments, a_following_extent_meets_only_its_like);
}
