/*
 * What is composed of other operations: one-hot codes, batch normalization, dropout.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* ---- normalization against references ---- */

/* x, scale, shift, with the statistics of the batch */
static clg_tensor *batch_norm(const op_case *c, clg_tensor *const *x)
{
    clg_tensor *parameters[4] = {x[1], x[2]};
    return clg_batch_norm(x[0], parameters, NULL);
}

static clg_tensor *bare_batch_norm(const op_case *c, clg_tensor *const *x)
{
    clg_tensor *parameters[4] = {NULL};
    return clg_batch_norm(x[0], parameters, clg_batch_norm_options(.epsilon = 0.01));
}

static void normalized(const op_case *c, const clg_shape *in, const double *const *x,
                       const clg_shape *out, double *y)
{
    bool bare = c->build == bare_batch_norm;
    int64_t channels = in->dim[in->ndim - 1], rows = clg_shape_count(in) / channels;
    for (int64_t k = 0; k < channels; k++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < rows; i++) mean += x[0][i * channels + k] / (double)rows;
        for (int64_t i = 0; i < rows; i++)
            variance += pow(x[0][i * channels + k] - mean, 2) / (double)rows;
        double factor = 1 / sqrt(variance + (bare ? 0.01 : 1e-5));
        for (int64_t i = 0; i < rows; i++) {
            double v = (x[0][i * channels + k] - mean) * factor;
            y[i * channels + k] = bare ? v : v * x[1][k] + x[2][k];
        }
    }
}

static const op_case cases[] = {
    {"batch norm of rows",
     3,
     {OP_SHAPE(CLG_BATCH, 3), OP_SHAPE(3), OP_SHAPE(3)},
     batch_norm,
     normalized,
     .batch = {6, 9, 5},
     .tolerance = 3e-5},
    {"batch norm of images",
     3,
     {OP_SHAPE(CLG_BATCH, 3, 2, 5), OP_SHAPE(5), OP_SHAPE(5)},
     batch_norm,
     normalized,
     .batch = {6, 9, 5},
     .tolerance = 3e-5},
    {"batch norm without parameters",
     1,
     {OP_SHAPE(31, 4)},
     bare_batch_norm,
     normalized,
     .tolerance = 3e-5},
};

START_TEST(compositions_in_value_and_gradient)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

/* ---- known answers ---- */

typedef struct fixture {
    clg_context *ctx;
    clg_graph *g;
    clg_program *program;
} fixture;

static fixture start(int64_t batch)
{
    return (fixture){op_check_context(),
                     clg_graph_create(clg_graph_options(.batch = batch, .seed = 11)), NULL};
}

static void compile(fixture *f, clg_tensor *const *outputs, size_t n, clg_program_mode mode)
{
    clg_program_destroy(f->program);
    f->program = op_check_compile(f->ctx, f->g, outputs, n, mode);
}

static void finish(fixture *f)
{
    clg_program_destroy(f->program);
    clg_graph_destroy(f->g);
    clg_context_destroy(f->ctx);
}

static void expect(fixture *f, clg_tensor *t, const double *want, int64_t count)
{
    float got[64];
    op_check_read(f->program, t, got, count);
    op_check_close(clg_tensor_op(t), "value", got, want, count, 1e-6);
}

/* Of four channels one is 0 everywhere, one in all rows but one; of two none. */
START_TEST(dead_units_are_counted)
{
    static const float x[12] = {0, 1, 0, -2, 0, 0, 0, 3, 0, 5, 1e-30f, 0};
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *dead[] = {clg_dead_units(clg_constant(g, CLG_SHAPE(3, 4), x)),
                          clg_dead_units(clg_constant(g, CLG_SHAPE(1, 3, 2, 2), x))};
    clg_program *program = op_check_compile(ctx, g, dead, 2, CLG_INFERENCE);
    TEST_OK(clg_program_run(program));
    float share[2];
    for (int i = 0; i < 2; i++) op_check_read(program, dead[i], &share[i], 1);
    ck_assert_float_eq(share[0], 0.25f);
    ck_assert_float_eq(share[1], 0.0f);
    ck_assert_ptr_null(clg_dead_units(NULL));
    ck_assert_ptr_null(clg_dead_units(clg_full(g, CLG_SHAPE(3), 1)));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "dead_units: expected (..., units)");
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(one_hot_codes_of_both_types)
{
    static const clg_dtype types[] = {CLG_I32, CLG_F32};
    for (int k = 0; k < 2; k++) {
        fixture f = start(1);
        clg_tensor *index = clg_input(f.g, "index", types[k], CLG_SHAPE(3));
        clg_tensor *hot = clg_one_hot(index, 4);
        compile(&f, &hot, 1, CLG_INFERENCE);
        const int32_t as_int[] = {3, 0, -1};
        const float as_float[] = {3, 0, 7};
        TEST_OK(clg_program_feed(f.program, index, k ? (const void *)as_float : as_int, 12));
        TEST_OK(clg_program_run(f.program));
        expect(&f, hot, (double[]){0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0}, 12);
        finish(&f);
    }
}
END_TEST

static clg_tensor *zeros(clg_graph *g, const char *name, double value)
{
    return clg_variable(g, name, CLG_SHAPE(2), CLG_INIT(CLG_INIT_CONSTANT, value), false);
}

/* PyTorch: momentum 0.1, variance of the running statistics divided by n - 1. */
START_TEST(running_statistics_follow_and_serve_inference)
{
    fixture f = start(4);
    clg_tensor *x = clg_input(f.g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 2));
    clg_tensor *mean = zeros(f.g, "mean", 0), *variance = zeros(f.g, "variance", 1);
    clg_tensor *parameters[] = {NULL, NULL, mean, variance};
    clg_tensor *y = clg_batch_norm(x, parameters, NULL);
    compile(&f, &y, 1, CLG_TRAINING);
    op_check_feed(f.program, x, (float[]){1, 10, 2, 10, 3, 10, 6, 14}, 8);
    TEST_OK(clg_program_run(f.program));
    float got[2];
    TEST_OK(clg_variable_read(mean, got, 2)); /* means 3 and 11 */
    op_check_close("running mean", "step 1", got, (double[]){0.3, 1.1}, 2, 1e-6);
    TEST_OK(clg_variable_read(variance, got, 2)); /* unbiased 14/3 and 4 */
    op_check_close("running variance", "step 1", got, (double[]){0.9 + 1.4 / 3, 1.3}, 2, 1e-6);
    TEST_OK(clg_program_set_batch(f.program, 2));
    op_check_feed(f.program, x, (float[]){0, 0, 4, 2}, 4);
    TEST_OK(clg_program_run(f.program)); /* means 2 and 1; unbiased 8 and 2 */
    TEST_OK(clg_variable_read(mean, got, 2));
    op_check_close("running mean", "step 2", got, (double[]){0.47, 1.09}, 2, 1e-6);
    TEST_OK(clg_variable_read(variance, got, 2));
    op_check_close("running variance", "step 2", got,
                   (double[]){0.9 * (0.9 + 1.4 / 3) + 0.8, 0.9 * 1.3 + 0.2}, 2, 1e-6);
    TEST_OK(clg_variable_write(mean, (float[]){1, 2}, 2));
    TEST_OK(clg_variable_write(variance, (float[]){4, 0.25f}, 2));
    compile(&f, &y, 1, CLG_INFERENCE);
    op_check_feed(f.program, x, (float[]){1, 2, 5, 3, -1, 1, 0, 0}, 8);
    TEST_OK(clg_program_run(f.program));
    double want[8];
    const double in[8] = {1, 2, 5, 3, -1, 1, 0, 0};
    for (int i = 0; i < 8; i++)
        want[i] = (in[i] - (i % 2 ? 2 : 1)) / sqrt((i % 2 ? 0.25 : 4) + 1e-5);
    expect(&f, y, want, 8);
    finish(&f);
}
END_TEST

START_TEST(dropout_keeps_the_mean_and_masks_the_gradient_alike)
{
    enum { N = 10000 };
    fixture f = start(1);
    clg_tensor *x = clg_input(f.g, "x", CLG_F32, CLG_SHAPE(N)), *dx;
    clg_tensor *y = clg_dropout(x, 0.2);
    TEST_OK(clg_vjp(y, clg_full(f.g, CLG_SHAPE(N), 1), &x, 1, &dx));
    clg_tensor *outputs[] = {y, dx};
    float *data = malloc(N * sizeof *data), *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b);
    for (int i = 0; i < N; i++) data[i] = (float)(i + 1);
    for (int mode = 0; mode < 2; mode++) {
        compile(&f, outputs, 2, mode ? CLG_TRAINING : CLG_INFERENCE);
        op_check_feed(f.program, x, data, N);
        TEST_OK(clg_program_run(f.program));
        op_check_read(f.program, y, a, N);
        op_check_read(f.program, dx, b, N);
        int kept = 0;
        for (int i = 0; i < N; i++) {
            bool alive = b[i] != 0;
            kept += alive;
            ck_assert_float_eq_tol(b[i], !mode ? 1.0f : alive ? 1.25f : 0.0f, 1e-6f);
            ck_assert_float_eq_tol(a[i], b[i] * data[i], 1e-2f);
        }
        ck_assert_int_ge(kept, mode ? 7880 : N); /* 3 standard deviations of 40 */
        ck_assert_int_le(kept, mode ? 8120 : N);
    }
    TEST_OK(clg_program_run(f.program));
    op_check_read(f.program, dx, a, N);
    ck_assert_mem_ne(a, b, N * sizeof *a); /* another step, another mask */
    op_check_differentiated(y, 1);
    free(data);
    free(a);
    free(b);
    finish(&f);
}
END_TEST

/* ---- arguments ---- */

static clg_tensor *no_classes(clg_graph *g, clg_tensor *x)
{
    return clg_one_hot(x, 0);
}
static clg_tensor *all_dropped(clg_graph *g, clg_tensor *x)
{
    return clg_dropout(x, 1);
}
static clg_tensor *dropped_nan(clg_graph *g, clg_tensor *x)
{
    return clg_dropout(x, NAN);
}
static clg_tensor *norm_of_vector(clg_graph *g, clg_tensor *x)
{
    return clg_batch_norm(clg_full(g, CLG_SHAPE(3), 0), (clg_tensor *[4]){NULL}, NULL);
}
static clg_tensor *norm_channels(clg_graph *g, clg_tensor *x)
{
    return clg_batch_norm(x, (clg_tensor *[4]){clg_full(g, CLG_SHAPE(3), 0)}, NULL);
}
static clg_tensor *norm_half_running(clg_graph *g, clg_tensor *x)
{
    return clg_batch_norm(x, (clg_tensor *[4]){NULL, NULL, clg_full(g, CLG_SHAPE(5), 0)}, NULL);
}

static const struct {
    clg_tensor *(*build)(clg_graph *g, clg_tensor *x); /* x (4, 5) */
    const char *message;
} mistakes[] = {
    {no_classes, "one_hot: 0 classes"},
    {all_dropped, "dropout: the probability 1 is not within"},
    {dropped_nan, "dropout: the probability"},
    {norm_of_vector, "batch_norm: expected (..., C)"},
    {norm_channels, "batch_norm: input (4, 5) has 5 channels, scale (3)"},
    {norm_half_running, "come together"},
};

START_TEST(a_mistake_is_named)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(4, 5));
    ck_assert_ptr_null(mistakes[_i].build(g, x));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, mistakes[_i].message);
    clg_graph_destroy(g);
}
END_TEST

void ops_compose_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "normalization and dropout");
    tcase_add_test(values, compositions_in_value_and_gradient);
    tcase_add_test(values, one_hot_codes_of_both_types);
    tcase_add_test(values, dead_units_are_counted);
    tcase_add_test(values, running_statistics_follow_and_serve_inference);
    tcase_add_test(values, dropout_keeps_the_mean_and_masks_the_gradient_alike);
    TCase *arguments = testing_case(suite, "normalization and dropout: arguments");
    tcase_add_loop_test(arguments, a_mistake_is_named, 0, CLG__COUNT(mistakes));
}
