/*
 * Normalization: values and derivatives of all kinds, numbers far from zero, and how many kernels
 * fusion makes of batch normalization.
 */
#include <float.h>
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* ---- references ---- */

/* Normalizes the elements x[at[0 .. n - 1]]; rms: by their mean square only. */
static void normalize(const double *x, double *y, const int64_t *at, int64_t n, bool rms,
                      double epsilon)
{
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n && !rms; i++) mean += x[at[i]] / (double)n;
    for (int64_t i = 0; i < n; i++) variance += pow(x[at[i]] - mean, 2) / (double)n;
    for (int64_t i = 0; i < n; i++) y[at[i]] = (x[at[i]] - mean) / sqrt(variance + epsilon);
}

/* x, scale, shift; p: axes */
static clg_tensor *layer_norm(const op_case *c, clg_tensor *const *x)
{
    return clg_layer_norm(x[0], c->p[0], x[1], x[2], c->a);
}
static clg_tensor *bare_layer_norm(const op_case *c, clg_tensor *const *x)
{
    return clg_layer_norm(x[0], c->p[0], NULL, NULL, c->a);
}
static clg_tensor *rms_norm(const op_case *c, clg_tensor *const *x)
{
    return clg_rms_norm(x[0], c->p[0], x[1], c->a);
}

static void rows_normalized(const op_case *c, const clg_shape *in, const double *const *x,
                            const clg_shape *out, double *y)
{
    int64_t n = 1, at[4096] = {0};
    for (int i = in->ndim - c->p[0]; i < in->ndim; i++) n *= in->dim[i];
    bool rms = c->build == rms_norm;
    double epsilon = c->a ? c->a : rms ? FLT_EPSILON : 1e-5;
    for (int64_t first = 0; first < clg_shape_count(in); first += n) {
        for (int64_t i = 0; i < n; i++) at[i] = first + i;
        normalize(x[0], y, at, n, rms, epsilon);
        for (int64_t i = 0; i < n && c->build != bare_layer_norm; i++)
            y[first + i] = y[first + i] * x[1][i] + (rms ? 0 : x[2][i]);
    }
}

/* x, scale, shift; p: groups, 0: instance norm */
static clg_tensor *group_norm(const op_case *c, clg_tensor *const *x)
{
    if (!c->p[0]) return clg_instance_norm(x[0], x[1], x[2], c->a);
    return clg_group_norm(x[0], c->p[0], x[1], x[2], c->a);
}

static void groups_normalized(const op_case *c, const clg_shape *in, const double *const *x,
                              const clg_shape *out, double *y)
{
    int64_t channels = in->dim[in->ndim - 1], pixels = 1, at[4096] = {0};
    int64_t groups = c->p[0] ? c->p[0] : channels, size = channels / groups;
    for (int i = 1; i < in->ndim - 1; i++) pixels *= in->dim[i];
    for (int64_t g = 0; g < in->dim[0] * groups; g++) {
        int64_t first = g / groups * pixels * channels + g % groups * size, n = 0;
        for (int64_t i = 0; i < pixels * size; i++)
            at[n++] = first + i / size * channels + i % size;
        normalize(x[0], y, at, n, false, c->a ? c->a : 1e-5);
    }
    for (int64_t i = 0; i < clg_shape_count(in); i++)
        y[i] = y[i] * x[1][i % channels] + x[2][i % channels];
}

/* x, scale, shift, over rows */
static clg_tensor *batch_norm(const op_case *c, clg_tensor *const *x)
{
    clg_tensor *parameters[4] = {x[1], x[2]};
    return clg_batch_norm(x[0], parameters, NULL);
}

static void columns_normalized(const op_case *c, const clg_shape *in, const double *const *x,
                               const clg_shape *out, double *y)
{
    int64_t channels = in->dim[in->ndim - 1], rows = clg_shape_count(in) / channels, at[4096] = {0};
    for (int64_t k = 0; k < channels; k++) {
        for (int64_t i = 0; i < rows; i++) at[i] = i * channels + k;
        normalize(x[0], y, at, rows, false, 1e-5);
        for (int64_t i = 0; i < rows; i++) y[at[i]] = y[at[i]] * x[1][k] + x[2][k];
    }
}

/* p: size; a: alpha; b: beta */
static clg_tensor *response_norm(const op_case *c, clg_tensor *const *x)
{
    return clg_local_response_norm(
        x[0], clg_local_response_norm_options(.size = c->p[0], .alpha = c->a, .beta = c->b));
}

static void response_normalized(const op_case *c, const clg_shape *in, const double *const *x,
                                const clg_shape *out, double *y)
{
    int64_t channels = in->dim[in->ndim - 1], size = c->p[0] ? c->p[0] : 5;
    for (int64_t i = 0; i < clg_shape_count(in); i++) {
        double sum = 0;
        for (int64_t k = i % channels - size / 2; k <= i % channels + (size - 1) / 2; k++)
            if (k >= 0 && k < channels) sum += pow(x[0][i / channels * channels + k], 2);
        double alpha = c->a ? c->a : 1e-4, beta = c->b ? c->b : 0.75;
        y[i] = x[0][i] * pow(2 + alpha / (double)size * sum, -beta);
    }
}

/* p: before, after */
static clg_tensor *window_sum(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_window_sum(x[0], c->p[0], c->p[1]));
}

static void windows_summed(const op_case *c, const clg_shape *in, const double *const *x,
                           const clg_shape *out, double *y)
{
    int64_t columns = in->dim[in->ndim - 1];
    for (int64_t i = 0; i < clg_shape_count(in); i++) {
        y[i] = 0;
        for (int64_t k = i % columns - c->p[0]; k <= i % columns + c->p[1]; k++)
            if (k >= 0 && k < columns) y[i] += x[0][i / columns * columns + k];
        y[i] *= y[i];
    }
}

/* ---- cases ---- */

#define PARAMETERS(...) OP_SHAPE(__VA_ARGS__), OP_SHAPE(__VA_ARGS__)
static const op_case cases[] = {
    {"layer norm", 3, {OP_SHAPE(5, 7), PARAMETERS(7)}, layer_norm, rows_normalized, .p = {1}},
    {"layer norm of three axes",
     3,
     {OP_SHAPE(2, 3, 2, 5), PARAMETERS(3, 2, 5)},
     layer_norm,
     rows_normalized,
     .p = {3},
     .a = 0.01},
    {"layer norm of the batch",
     3,
     {OP_SHAPE(CLG_BATCH, 3, 17), PARAMETERS(17)},
     layer_norm,
     rows_normalized,
     .p = {1},
     .batch = {4, 7, 1}},
    {"layer norm without parameters",
     1,
     {OP_SHAPE(3, 33)},
     bare_layer_norm,
     rows_normalized,
     .p = {1}},
    {"rms norm", 2, {OP_SHAPE(5, 7), OP_SHAPE(7)}, rms_norm, rows_normalized, .p = {1}},
    {"rms norm of the batch",
     2,
     {OP_SHAPE(CLG_BATCH, 2, 9), OP_SHAPE(2, 9)},
     rms_norm,
     rows_normalized,
     .p = {2},
     .a = 1e-3,
     .batch = {4, 7, 1}},
    {"group norm of images",
     3,
     {OP_SHAPE(2, 3, 2, 6), PARAMETERS(6)},
     group_norm,
     groups_normalized,
     .p = {3}},
    {"group norm in one group",
     3,
     {OP_SHAPE(CLG_BATCH, 3, 4), PARAMETERS(4)},
     group_norm,
     groups_normalized,
     .p = {1},
     .batch = {4, 7, 1}},
    {"group norm of rows",
     3,
     {OP_SHAPE(CLG_BATCH, 8), PARAMETERS(8)},
     group_norm,
     groups_normalized,
     .p = {2},
     .batch = {4, 7, 1}},
    {"instance norm",
     3,
     {OP_SHAPE(CLG_BATCH, 3, 4, 5), PARAMETERS(5)},
     group_norm,
     groups_normalized,
     .batch = {4, 7, 1}},
    {"local response norm", 1, {OP_SHAPE(2, 3, 37)}, response_norm, response_normalized},
    {"local response norm of an even size",
     1,
     {OP_SHAPE(CLG_BATCH, 3)},
     response_norm,
     response_normalized,
     .p = {4},
     .a = 3,
     .b = 0.5,
     .batch = {4, 7, 1}},
    {"local response norm, strong",
     1,
     {OP_SHAPE(3, 19)},
     response_norm,
     response_normalized,
     .p = {3},
     .a = 2},
    {"window sum of long rows", 1, {OP_SHAPE(3, 71)}, window_sum, windows_summed, .p = {2, 3}},
    {"window wider than the rows",
     1,
     {OP_SHAPE(CLG_BATCH, 5)},
     window_sum,
     windows_summed,
     .p = {9, 7},
     .batch = {4, 7, 1}},
};

/* 10000 +- 1 in single precision: about three digits of the deviation are in x at all. */
static const op_case far_away[] = {
    {"batch norm far from zero",
     3,
     {OP_SHAPE(CLG_BATCH, 9, 3), PARAMETERS(3)},
     batch_norm,
     columns_normalized,
     .batch = {60, 91, 2}},
    {"layer norm far from zero",
     3,
     {OP_SHAPE(4, 301), PARAMETERS(301)},
     layer_norm,
     rows_normalized,
     .p = {1}},
    {"group norm far from zero",
     3,
     {OP_SHAPE(2, 5, 7, 4), PARAMETERS(4)},
     group_norm,
     groups_normalized,
     .p = {2}},
};

START_TEST(norms_in_value_and_gradient)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

START_TEST(large_means_cost_no_digits)
{
    op_case all[CLG__COUNT(far_away)];
    memcpy(all, far_away, sizeof all);
    for (size_t i = 0; i < CLG__COUNT(all); i++) {
        all[i].lo = 9998;
        all[i].hi = 10002;
        all[i].constants = 6; /* scale and shift are as far away: y is some 10000 times as large */
        all[i].first_only = true;
        all[i].tolerance = 3e-6;
    }
    op_check_table(all, CLG__COUNT(all));
}
END_TEST

/* ---- passes ---- */

static size_t launches(clg_context *ctx, clg_graph *g, clg_tensor *const *outputs, size_t n,
                       clg_program_mode mode)
{
    clg_program *program = op_check_compile(ctx, g, outputs, n, mode);
    clg_program_stats stats;
    clg_program_query(program, &stats);
    clg_program_destroy(program);
    return stats.launches;
}

/* Small enough for reductions of one stage. */
START_TEST(batch_norm_takes_two_kernels_each_way)
{
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 3, 3, 16));
    clg_tensor *dy = clg_input(g, "dy", CLG_F32, CLG_SHAPE(CLG_BATCH, 3, 3, 16));
    clg_tensor *y = clg_relu(clg_batch_norm_layer(x, "norm", NULL)), *outputs[4] = {y};
    /* Statistics, new running statistics with them; then normalization and relu. */
    ck_assert_uint_eq(launches(ctx, g, outputs, 1, CLG_TRAINING), 2);
    clg_tensor *wrt[] = {x, clg_graph_find(g, "norm.weight"), clg_graph_find(g, "norm.bias")};
    TEST_OK(clg_vjp(y, dy, wrt, 3, outputs + 1));
    /* All sums, gradients of scale and shift with them; then the gradient of x. dy is there from
     * the beginning, so that the pass that makes y makes the sums too. */
    ck_assert_uint_eq(launches(ctx, g, outputs, 4, CLG_TRAINING), 3);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(batch_norm_is_part_of_the_convolution_in_inference)
{
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 2));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 5, 5, 4));
    clg_tensor *y = clg_conv2d_layer(x, "conv", 8, 3, NULL);
    size_t alone = launches(ctx, g, &y, 1, CLG_INFERENCE);
    y = clg_relu(clg_batch_norm_layer(y, "norm", NULL));
    /* The factors of the channels are made before the first run, and after variables changed. */
    ck_assert_uint_eq(launches(ctx, g, &y, 1, CLG_INFERENCE), alone);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- arguments ---- */

static clg_tensor *layer_axes(clg_tensor *x)
{
    return clg_layer_norm(x, 4, NULL, NULL, 0);
}
static clg_tensor *layer_batch(clg_tensor *x)
{
    return clg_layer_norm(x, 3, NULL, NULL, 0);
}
static clg_tensor *layer_shift(clg_tensor *x)
{
    return clg_layer_norm(x, 1, NULL, clg_full(clg_tensor_graph(x), CLG_SHAPE(3), 0), 0);
}
static clg_tensor *rms_axes(clg_tensor *x)
{
    return clg_rms_norm(x, 0, NULL, 0);
}
static clg_tensor *groups_divide(clg_tensor *x)
{
    return clg_group_norm(x, 4, NULL, NULL, 0);
}
static clg_tensor *group_scale(clg_tensor *x)
{
    return clg_group_norm(x, 3, clg_full(clg_tensor_graph(x), CLG_SHAPE(3), 0), NULL, 0);
}
static clg_tensor *instance_rows(clg_tensor *x)
{
    return clg_instance_norm(clg_flatten(x), NULL, NULL, 0);
}
static clg_tensor *response_size(clg_tensor *x)
{
    return clg_local_response_norm(x, clg_local_response_norm_options(.size = -5));
}
static clg_tensor *window_negative(clg_tensor *x)
{
    return clg_window_sum(x, 1, -1);
}
static clg_tensor *dropped_nan(clg_tensor *x)
{
    return clg_channel_dropout(x, NAN);
}

static const struct {
    clg_tensor *(*build)(clg_tensor *x); /* x (CLG_BATCH = 4, 5, 6) */
    const char *message;
} mistakes[] = {
    {layer_axes, "layer_norm: the last 4 axes of (4, 5, 6)"},
    {layer_batch, "layer_norm: the last 3 axes of (4, 5, 6)"},
    {layer_shift, "layer_norm: shift has shape (3), the last 1 axes of the input are (6)"},
    {rms_axes, "rms_norm: the last 0 axes"},
    {groups_divide,
     "group_norm: expected (N, ..., C) with C a multiple of 4 groups, got (4, 5, 6)"},
    {group_scale, "group_norm: input (4, 5, 6) has 6 channels, scale (3)"},
    {instance_rows, "instance_norm: expected (N, ..., C) with at least three axes, got (4, 30)"},
    {response_size, "local_response_norm: size -5"},
    {window_negative, "window_sum: 1 elements before and -1 after"},
    {dropped_nan, "channel_dropout: the probability nan"},
};

START_TEST(a_mistake_is_named)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 5, 6));
    ck_assert_ptr_null(mistakes[_i].build(x));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, mistakes[_i].message);
    clg_graph_destroy(g);
}
END_TEST

START_TEST(builders_accept_null)
{
    ck_assert_ptr_null(clg_layer_norm(NULL, 1, NULL, NULL, 0));
    ck_assert_ptr_null(clg_rms_norm(NULL, 1, NULL, 0));
    ck_assert_ptr_null(clg_group_norm(NULL, 1, NULL, NULL, 0));
    ck_assert_ptr_null(clg_instance_norm(NULL, NULL, NULL, 0));
    ck_assert_ptr_null(clg_local_response_norm(NULL, NULL));
    ck_assert_ptr_null(clg_window_sum(NULL, 1, 1));
    ck_assert_ptr_null(clg_channel_dropout(NULL, 0.5));
}
END_TEST

/* Whole channels of a sample live or die together. */
START_TEST(channels_drop_out_together)
{
    enum { N = 50, PIXELS = 4, C = 8 };
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.seed = 3));
    clg_tensor *x = clg_identity(clg_full(g, CLG_SHAPE(N, 2, 2, C), 3)), *dx;
    clg_tensor *y = clg_channel_dropout(x, 0.25);
    TEST_OK(clg_vjp(y, clg_full(g, CLG_SHAPE(N, 2, 2, C), 1), &x, 1, &dx));
    op_check_differentiated(y, 1);
    clg_tensor *outputs[] = {y, dx};
    clg_program *program = op_check_compile(ctx, g, outputs, 2, CLG_TRAINING);
    TEST_OK(clg_program_run(program));
    static float got[N * PIXELS * C], slope[N * PIXELS * C];
    op_check_read(program, y, got, N * PIXELS * C);
    op_check_read(program, dx, slope, N * PIXELS * C);
    int kept = 0;
    for (int n = 0; n < N; n++)
        for (int i = 0; i < PIXELS * C; i++) {
            float first = got[n * PIXELS * C + i % C];
            ck_assert(got[n * PIXELS * C + i] == first && (first == 0 || first == 4));
            ck_assert_float_eq_tol(slope[n * PIXELS * C + i] * 3, first, 1e-6f);
            kept += i < C && first != 0;
        }
    ck_assert_int_gt(kept, 270); /* 300 of 400, standard deviation 8.7 */
    ck_assert_int_lt(kept, 330);
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

void ops_normalize_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "normalize");
    tcase_add_test(values, norms_in_value_and_gradient);
    tcase_add_test(values, large_means_cost_no_digits);
    tcase_add_test(values, channels_drop_out_together);
    tcase_add_test(values, batch_norm_takes_two_kernels_each_way);
    tcase_add_test(values, batch_norm_is_part_of_the_convolution_in_inference);
    TCase *arguments = testing_case(suite, "normalize arguments");
    tcase_add_loop_test(arguments, a_mistake_is_named, 0, CLG__COUNT(mistakes));
    tcase_add_test(arguments, builders_accept_null);
}
