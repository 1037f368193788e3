/*
 * The losses of word2vec against references in double: shapes whose batch is not a multiple of
 * anything, one and several picked rows, rows picked twice, both reductions; mistakes.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* x (N, D), table (V, D), numbers from which indices are made, and numbers for turns or indices. */
enum { CLASSES = 4 };

/* 0 .. CLASSES - 1 of numbers in -2 .. 2 */
static clg_tensor *indices(clg_tensor *x)
{
    clg_tensor *top = clg_scalar(clg_tensor_graph(x), CLASSES - 1);
    return clg_minimum(clg_floor(clg_add(x, clg_scalar(clg_tensor_graph(x), 2))), top);
}

static int64_t index_of(double x)
{
    return (int64_t)fmin(floor((double)((float)x + 2.0f)), CLASSES - 1);
}

static const clg_loss_params *options_of(const op_case *c)
{
    static const clg_loss_params sum = {.reduction = CLG_REDUCTION_SUM};
    return c->p[0] ? &sum : NULL;
}

static double log_sigmoid(double x)
{
    return -log1p(exp(-x));
}

static double product(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static clg_tensor *negative_sampling(const op_case *c, clg_tensor *const *x)
{
    return clg_negative_sampling_loss(x[0], x[1], indices(x[2]), indices(x[3]), options_of(c));
}

static void negative_sampling_reference(const op_case *c, const clg_shape *in,
                                        const double *const *x, const clg_shape *out, double *y)
{
    int64_t rows = in[0].dim[0], width = in[0].dim[1], wrong = in[3].dim[1];
    *y = 0;
    for (int64_t n = 0; n < rows; n++) {
        const double *row = x[0] + n * width;
        *y -= log_sigmoid(product(row, x[1] + index_of(x[2][n]) * width, width));
        for (int64_t k = 0; k < wrong; k++)
            *y -= log_sigmoid(-product(row, x[1] + index_of(x[3][n * wrong + k]) * width, width));
    }
    if (!c->p[0]) *y /= (double)rows;
}

/* Numbers in -2 .. 2 become -1, 0 (the path has ended) and 1. */
static clg_tensor *hierarchical_softmax(const op_case *c, clg_tensor *const *x)
{
    clg_graph *g = clg_tensor_graph(x[3]);
    clg_tensor *turn =
        clg_sub(clg_greater(x[3], clg_scalar(g, 0.5)), clg_less(x[3], clg_scalar(g, -0.5)));
    return clg_hierarchical_softmax_loss(x[0], x[1], indices(x[2]), turn, options_of(c));
}

static void hierarchical_softmax_reference(const op_case *c, const clg_shape *in,
                                           const double *const *x, const clg_shape *out, double *y)
{
    int64_t rows = in[0].dim[0], width = in[0].dim[1], depth = in[2].dim[1];
    *y = 0;
    for (int64_t i = 0; i < rows * depth; i++) {
        double turn = (x[3][i] > 0.5) - (x[3][i] < -0.5);
        const double *node = x[1] + index_of(x[2][i]) * width;
        if (turn != 0) *y -= log_sigmoid(turn * product(x[0] + i / depth * width, node, width));
    }
    if (!c->p[0]) *y /= (double)rows;
}

START_TEST(sampled_losses_in_value_and_derivatives)
{
    static const op_case cases[] = {
        {.name = "negative_sampling_loss",
         .n_inputs = 4,
         .shape = {OP_SHAPE(CLG_BATCH, 3), OP_SHAPE(CLASSES, 3), OP_SHAPE(CLG_BATCH),
                   OP_SHAPE(CLG_BATCH, 5)},
         .build = negative_sampling,
         .reference = negative_sampling_reference,
         .constants = 4 | 8,
         .batch = {7, 9, 1}},
        {.name = "negative_sampling_loss, one of each, summed",
         .n_inputs = 4,
         .shape = {OP_SHAPE(6, 17), OP_SHAPE(CLASSES, 17), OP_SHAPE(6), OP_SHAPE(6, 1)},
         .build = negative_sampling,
         .reference = negative_sampling_reference,
         .constants = 4 | 8,
         .p = {1}},
        {.name = "hierarchical_softmax_loss",
         .n_inputs = 4,
         .shape = {OP_SHAPE(CLG_BATCH, 3), OP_SHAPE(CLASSES, 3), OP_SHAPE(CLG_BATCH, 5),
                   OP_SHAPE(CLG_BATCH, 5)},
         .build = hierarchical_softmax,
         .reference = hierarchical_softmax_reference,
         .constants = 4 | 8,
         .batch = {7, 9, 1}},
        {.name = "hierarchical_softmax_loss, one node, summed",
         .n_inputs = 4,
         .shape = {OP_SHAPE(6, 17), OP_SHAPE(CLASSES, 17), OP_SHAPE(6, 1), OP_SHAPE(6, 1)},
         .build = hierarchical_softmax,
         .reference = hierarchical_softmax_reference,
         .constants = 4 | 8,
         .p = {1}},
    };
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_named)
{
    static const clg_shape shapes[][2] = {/* of the table, of the positive indices */
                                          {OP_SHAPE(9, 4), OP_SHAPE(6)},
                                          {OP_SHAPE(9), OP_SHAPE(6)},
                                          {OP_SHAPE(9, 3), OP_SHAPE(5)},
                                          {OP_SHAPE(9, 3), OP_SHAPE(6, 1)}};
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_full(g, CLG_SHAPE(6, 3), 1), *wrong = clg_full(g, CLG_SHAPE(6, 2), 0);
    clg_tensor *table = clg_full(g, shapes[_i][0], 1), *right = clg_full(g, shapes[_i][1], 0);
    ck_assert_ptr_null(clg_negative_sampling_loss(x, table, right, wrong, NULL));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT,
               "negative_sampling_loss: expected x (N, D), a table (V, D) and indices (N), got");
    clg_graph_destroy(g);
}
END_TEST

START_TEST(turns_go_with_the_path)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_full(g, CLG_SHAPE(6, 3), 1), *table = clg_full(g, CLG_SHAPE(9, 3), 1);
    clg_tensor *path = clg_full(g, CLG_SHAPE(6, 2), 0), *turn = clg_full(g, CLG_SHAPE(6, 3), 1);
    ck_assert_ptr_null(clg_hierarchical_softmax_loss(NULL, table, path, turn, NULL));
    TEST_OK(clg_graph_status(g));
    ck_assert_ptr_null(clg_hierarchical_softmax_loss(x, table, path, turn, NULL));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT,
               "hierarchical_softmax_loss: shapes (6, 2) and (6, 3) differ");
    clg_graph_destroy(g);
}
END_TEST

void ops_sampled_losses_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "sampled losses");
    tcase_add_test(values, sampled_losses_in_value_and_derivatives);
    tcase_add_loop_test(values, shapes_that_do_not_fit_are_named, 0, 4);
    tcase_add_test(values, turns_go_with_the_path);
}
