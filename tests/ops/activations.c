/*
 * Composed activations, and layers that own what they learn: against references in double, with the
 * gradients of the learned parameters. What they do far out and at kinks is in slopes.c.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* ---- references ---- */

/* Element i of a parameter with one number, or one for each entry of x's last axis. */
static double parameter(const clg_shape *shape, const double *p, int64_t i)
{
    return p[i % clg_shape_count(shape)];
}

static clg_tensor *brelu(const op_case *c, clg_tensor *const *x)
{
    return clg_brelu(x[0]);
}
static void brelu_reference(const op_case *c, const clg_shape *in, const double *const *x,
                            const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++)
        y[i] = i % in->dim[in->ndim - 1] % 2 ? fmin(0, x[0][i]) : fmax(0, x[0][i]);
}

static clg_tensor *prelu(const op_case *c, clg_tensor *const *x)
{
    return clg_prelu(x[0], x[1]);
}
static void prelu_reference(const op_case *c, const clg_shape *in, const double *const *x,
                            const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++)
        y[i] = x[0][i] * (x[0][i] > 0 ? 1 : parameter(&in[1], x[1], i));
}

static clg_tensor *swish(const op_case *c, clg_tensor *const *x)
{
    return clg_swish_learned(x[0], x[1]);
}
static void swish_reference(const op_case *c, const clg_shape *in, const double *const *x,
                            const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++)
        y[i] = x[0][i] / (1 + exp(-parameter(&in[1], x[1], i) * x[0][i]));
}

/* The parameter is c->a times the second input. */
static clg_tensor *soft_exponential(const op_case *c, clg_tensor *const *x)
{
    return clg_soft_exponential(x[0], clg_mul(clg_scalar(x[0]->graph, c->a), x[1]));
}
static void soft_exponential_reference(const op_case *c, const clg_shape *in,
                                       const double *const *x, const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        double a = c->a * parameter(&in[1], x[1], i), v = x[0][i];
        y[i] = a < 0 ? -log1p(-a * (v + a)) / a : expm1(a * v) / a + a;
    }
}

static clg_tensor *apl(const op_case *c, clg_tensor *const *x)
{
    return clg_apl(x[0], x[1], x[2]);
}
static void apl_reference(const op_case *c, const clg_shape *in, const double *const *x,
                          const clg_shape *out, double *y)
{
    int64_t pieces = in[1].dim[0], channels = in[1].dim[1];
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        y[i] = fmax(0, x[0][i]);
        for (int64_t s = 0; s < pieces; s++) {
            int64_t at = s * channels + i % channels;
            y[i] += x[1][at] * fmax(0, x[2][at] - x[0][i]);
        }
    }
}

/* p: pieces */
static clg_tensor *maxout(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_maxout(x[0], c->p[0]));
}
static void maxout_reference(const op_case *c, const clg_shape *in, const double *const *x,
                             const clg_shape *out, double *y)
{
    int64_t channels = out->dim[out->ndim - 1];
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        const double *row = x[0] + i / channels * channels * c->p[0] + i % channels;
        double most = row[0];
        for (int j = 1; j < c->p[0]; j++) most = fmax(most, row[j * channels]);
        y[i] = most * most;
    }
}

#define BATCHES .batch = {5, 9, 1}
#define IMAGES OP_SHAPE(2, 3, 3, 6)
static const op_case cases[] = {
    {"brelu", 1, {IMAGES}, brelu, brelu_reference},
    {"brelu of an odd number", 1, {OP_SHAPE(4, 7)}, brelu, brelu_reference},
    {"prelu", 2, {OP_SHAPE(37), OP_SHAPE(1)}, prelu, prelu_reference},
    {"prelu by channel", 2, {IMAGES, OP_SHAPE(6)}, prelu, prelu_reference},
    {"swish", 2, {OP_SHAPE(37), OP_SHAPE(1)}, swish, swish_reference},
    {"swish by channel", 2, {IMAGES, OP_SHAPE(6)}, swish, swish_reference},
    {"exponential",
     2,
     {IMAGES, OP_SHAPE(6)},
     soft_exponential,
     soft_exponential_reference,
     .lo = 0.1,
     .hi = 1.5,
     .a = 1},
    {"logarithm",
     2,
     {IMAGES, OP_SHAPE(6)},
     soft_exponential,
     soft_exponential_reference,
     .lo = 0.1,
     .hi = 1.5,
     .a = -0.7},
    {"between them",
     2,
     {OP_SHAPE(5, 4), OP_SHAPE(4)},
     soft_exponential,
     soft_exponential_reference,
     .a = 0.01},
    {"one number for all",
     2,
     {OP_SHAPE(29), OP_SHAPE(1)},
     soft_exponential,
     soft_exponential_reference,
     .a = 0.2},
    {"apl", 3, {IMAGES, OP_SHAPE(2, 6), OP_SHAPE(2, 6)}, apl, apl_reference},
    {"apl of one channel", 3, {OP_SHAPE(9), OP_SHAPE(3, 1), OP_SHAPE(3, 1)}, apl, apl_reference},
    {"maxout of two", 1, {IMAGES}, maxout, maxout_reference, .p = {2}},
    {"maxout of three", 1, {OP_SHAPE(5, 21)}, maxout, maxout_reference, .p = {3}},
};
static const op_case batched_cases[] = {
    {"brelu", 1, {OP_SHAPE(CLG_BATCH, 3)}, brelu, brelu_reference, BATCHES},
    {"prelu", 2, {OP_SHAPE(CLG_BATCH, 3), OP_SHAPE(3)}, prelu, prelu_reference, BATCHES},
    {"soft_exponential",
     2,
     {OP_SHAPE(CLG_BATCH, 3), OP_SHAPE(3)},
     soft_exponential,
     soft_exponential_reference,
     .lo = 0.1,
     .hi = 1.5,
     .a = 0.3,
     BATCHES},
    {"apl",
     3,
     {OP_SHAPE(CLG_BATCH, 3), OP_SHAPE(2, 3), OP_SHAPE(2, 3)},
     apl,
     apl_reference,
     BATCHES},
    {"maxout", 1, {OP_SHAPE(CLG_BATCH, 8)}, maxout, maxout_reference, .p = {4}, BATCHES},
};

START_TEST(compositions_in_value_and_gradient)
{
    op_check_table(cases, CLG__COUNT(cases));
    op_check_table(batched_cases, CLG__COUNT(batched_cases));
}
END_TEST

/* ---- one by one ---- */

static clg_tensor *slope_of(clg_tensor *y, clg_tensor *x)
{
    clg_tensor *dx;
    ck_assert_msg(y != NULL, "%s", clg_last_error());
    TEST_OK(clg_vjp(y, clg_full(y->graph, y->shape, 1), &x, 1, &dx));
    return dx;
}

START_TEST(rrelu_draws_slopes_in_training)
{
    enum { N = 8000 };
    op_fixture f = op_fixture_start(CLG_SHAPE(N));
    clg_tensor *y = clg_rrelu(f.x, 0.1, 0.3), *outputs[] = {y, slope_of(y, f.x)};
    float *data = malloc(N * sizeof *data), *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b);
    for (int i = 0; i < N; i++) data[i] = (float)(i % 2 ? i : -i);
    op_fixture_run(&f, outputs, 2, CLG_TRAINING, data);
    op_check_read(f.program, y, a, N);
    op_check_read(f.program, outputs[1], b, N);
    double mean = 0;
    for (int i = 0; i < N; i++) {
        bool left = data[i] <= 0;
        ck_assert(left ? b[i] > 0.1f && b[i] < 0.3f : b[i] == 1);
        ck_assert_float_eq_tol(a[i], b[i] * data[i], 1e-3f);
        if (left) mean += b[i] / (N / 2.0);
    }
    ck_assert_double_eq_tol(mean, 0.2, 0.0046); /* five standard deviations: 0.2 / sqrt(12 N / 2) */
    TEST_OK(clg_program_run(f.program));
    op_check_read(f.program, outputs[1], a, N);
    ck_assert_mem_ne(a, b, N * sizeof *a); /* another step, other slopes */
    op_check_differentiated(y, 1);
    free(data);
    free(a);
    free(b);
    op_fixture_finish(&f);
}
END_TEST

START_TEST(maxout_gives_the_gradient_to_the_first_winner)
{
    op_fixture f = op_fixture_start(CLG_SHAPE(6));
    clg_tensor *y = clg_maxout(f.x, 3), *dx = slope_of(y, f.x), *outputs[] = {y, dx};
    const struct {
        float x[6];
        double y[2], dx[6];
    } rows[] = {{{1, 5, 1, 6, 0, 6}, {1, 6}, {1, 0, 0, 1, 0, 0}},
                {{NAN, 5, 7, NAN, 8, 6}, {NAN, NAN}, {1, 0, 0, 1, 0, 0}},
                {{-1e4F, 0, 1e4F, 0, 0, 0}, {1e4, 0}, {0, 1, 1, 0, 0, 0}}};
    for (size_t i = 0; i < CLG__COUNT(rows); i++) {
        float got[6];
        op_fixture_run(&f, outputs, 2, CLG_INFERENCE, rows[i].x);
        op_check_read(f.program, y, got, 2);
        op_check_close("maxout", "value", got, rows[i].y, 2, 0);
        op_check_read(f.program, dx, got, 6);
        op_check_close("maxout", "gradient", got, rows[i].dx, 6, 0);
    }
    op_fixture_finish(&f);
}
END_TEST

/* At a = 0: x, dy/dx = 1, dy/da = 1 + x^2 / 2. */
START_TEST(soft_exponential_is_smooth_in_a_through_zero)
{
    static const double near[] = {0, 1e-30, -1e-30, 1e-7, -1e-7, 1e-4, -1e-4};
    enum { N = CLG__COUNT(near) };
    op_fixture f = op_fixture_start(CLG_SHAPE(3));
    clg_tensor *outputs[3 * N];
    for (int i = 0; i < N; i++) {
        clg_tensor *a = clg_full(f.g, CLG_SHAPE(3), near[i]);
        outputs[3 * i] = clg_soft_exponential(f.x, a);
        outputs[3 * i + 1] = slope_of(outputs[3 * i], f.x);
        outputs[3 * i + 2] = slope_of(outputs[3 * i], a);
    }
    op_fixture_run(&f, outputs, 3 * N, CLG_INFERENCE, (float[]){-3, 0, 4});
    const double want[3][3] = {{-3, 0, 4}, {1, 1, 1}, {5.5, 1, 9}};
    for (int i = 0; i < 3 * N; i++) {
        float got[3]; /* the third derivatives are below 30 */
        op_check_read(f.program, outputs[i], got, 3);
        op_check_close("soft_exponential", "near a = 0", got, want[i % 3], 3,
                       1e-6 + 30 * fabs(near[i / 3]));
    }
    op_fixture_finish(&f);
}
END_TEST

/* ---- layers ---- */

static clg_tensor *prelu_layer(const op_case *c, clg_tensor *const *x)
{
    return clg_prelu_layer(x[0], c->name, clg_learned_activation_options(.per_channel = c->p[0]));
}
static void leaky(const op_case *c, const clg_shape *in, const double *const *x,
                  const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) y[i] = x[0][i] * (x[0][i] > 0 ? 1 : 0.25);
}

static clg_tensor *swish_layer(const op_case *c, clg_tensor *const *x)
{
    return clg_swish_layer(x[0], c->name, NULL);
}
static void silu(const op_case *c, const clg_shape *in, const double *const *x,
                 const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) y[i] = x[0][i] / (1 + exp(-x[0][i]));
}

static clg_tensor *soft_exponential_layer(const op_case *c, clg_tensor *const *x)
{
    static const clg_init half = {.kind = CLG_INIT_CONSTANT, .value = 0.5};
    return clg_soft_exponential_layer(
        x[0], c->name, clg_learned_activation_options(.init = c->p[0] ? &half : NULL));
}
static void soft_exponential_layer_reference(const op_case *c, const clg_shape *in,
                                             const double *const *x, const clg_shape *out,
                                             double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++)
        y[i] = c->p[0] ? 2 * expm1(0.5 * x[0][i]) + 0.5 : x[0][i];
}

static clg_tensor *apl_layer(const op_case *c, clg_tensor *const *x)
{
    static const clg_init third = {.kind = CLG_INIT_CONSTANT, .value = 0.3};
    return clg_apl_layer(x[0], c->name,
                         clg_apl_layer_options(.pieces = 3, .a_init = &third, .b_init = &third));
}
static void apl_layer_reference(const op_case *c, const clg_shape *in, const double *const *x,
                                const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++)
        y[i] = fmax(0, x[0][i]) + 3 * 0.3 * fmax(0, 0.3 - x[0][i]);
}

/* Equal pieces: of which one counts. */
static clg_tensor *maxout_layer(const op_case *c, clg_tensor *const *x)
{
    static const clg_init half = {.kind = CLG_INIT_CONSTANT, .value = 0.5};
    return clg_maxout_layer(x[0], c->name, 4,
                            clg_maxout_layer_options(.pieces = 3, .linear = {.weight_init = &half,
                                                                             .bias_init = &half}));
}
static void maxout_layer_reference(const op_case *c, const clg_shape *in, const double *const *x,
                                   const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        y[i] = 0.5;
        for (int64_t j = 0; j < in->dim[1]; j++) y[i] += 0.5 * x[0][i / 4 * in->dim[1] + j];
    }
}

#define ROWS_OF_THREE                                                                              \
    {                                                                                              \
        OP_SHAPE(CLG_BATCH, 3)                                                                     \
    }
static const op_case layers[] = {
    {"prelu layer", 1, ROWS_OF_THREE, prelu_layer, leaky, BATCHES},
    {"prelu layer by channel", 1, ROWS_OF_THREE, prelu_layer, leaky, .p = {1}, BATCHES},
    {"swish layer", 1, ROWS_OF_THREE, swish_layer, silu, BATCHES},
    {"soft_exponential layer", 1, ROWS_OF_THREE, soft_exponential_layer,
     soft_exponential_layer_reference, BATCHES},
    {"soft_exponential layer of 1/2", 1, ROWS_OF_THREE, soft_exponential_layer,
     soft_exponential_layer_reference, .p = {1}, BATCHES},
    {"apl layer", 1, ROWS_OF_THREE, apl_layer, apl_layer_reference, BATCHES},
    {"maxout layer", 1, ROWS_OF_THREE, maxout_layer, maxout_layer_reference, BATCHES},
};

START_TEST(layers_in_value_and_gradient)
{
    op_check_table(layers, CLG__COUNT(layers));
}
END_TEST

static void expect_variable(clg_graph *g, const char *name, const char *shape)
{
    char text[64];
    clg_tensor *v = clg_graph_find(g, name);
    ck_assert_msg(v != NULL && clg_tensor_trainable(v), "%s is missing", name);
    ck_assert_str_eq(clg_shape_text(clg_tensor_shape(v), text, sizeof text), shape);
}

START_TEST(layers_name_and_shape_their_variables)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 2));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 5));
    const clg_learned_activation_params *by_channel =
        clg_learned_activation_options(.per_channel = true);
    clg_prelu_layer(x, "p", NULL);
    clg_swish_layer(x, "s", by_channel);
    clg_soft_exponential_layer(x, "e", by_channel);
    clg_apl_layer(x, "apl", NULL);
    clg_tensor *y = clg_maxout_layer(x, "m", 3, NULL);
    TEST_OK(clg_graph_status(g));
    expect_variable(g, "p.weight", "(1)");
    expect_variable(g, "s.beta", "(5)");
    expect_variable(g, "e.a", "(5)");
    expect_variable(g, "apl.a", "(2, 5)");
    expect_variable(g, "apl.b", "(2, 5)");
    expect_variable(g, "m.weight", "(5, 6)");
    expect_variable(g, "m.bias", "(6)");
    ck_assert_int_eq(clg_tensor_shape(y)->dim[1], 3);
    ck_assert_str_eq(clg_tensor_composition(y), "maxout_layer");
    clg_graph_destroy(g);
}
END_TEST

/* ---- arguments ---- */

static clg_tensor *scalar_brelu(clg_graph *g, clg_tensor *x)
{
    return clg_brelu(clg_scalar(g, 1));
}
static clg_tensor *falling_rrelu(clg_graph *g, clg_tensor *x)
{
    return clg_rrelu(x, 0.5, 0.1);
}
static clg_tensor *nan_rrelu(clg_graph *g, clg_tensor *x)
{
    return clg_rrelu(x, 0, NAN);
}
static clg_tensor *apl_shapes(clg_graph *g, clg_tensor *x)
{
    return clg_apl(x, clg_full(g, CLG_SHAPE(2, 5), 0), clg_full(g, CLG_SHAPE(2, 4), 0));
}
static clg_tensor *odd_maxout(clg_graph *g, clg_tensor *x)
{
    return clg_maxout(x, 3);
}
static clg_tensor *no_pieces(clg_graph *g, clg_tensor *x)
{
    return clg_maxout(x, 0);
}
static clg_tensor *maxout_of_the_batch(clg_graph *g, clg_tensor *x)
{
    return clg_maxout(clg_input(g, "v", CLG_F32, CLG_SHAPE(CLG_BATCH)), 2);
}
static clg_tensor *prelu_shape(clg_graph *g, clg_tensor *x)
{
    return clg_prelu(x, clg_full(g, CLG_SHAPE(3), 0));
}
static clg_tensor *channels_of_the_batch(clg_graph *g, clg_tensor *x)
{
    return clg_prelu_layer(clg_input(g, "v", CLG_F32, CLG_SHAPE(CLG_BATCH)), "p",
                           clg_learned_activation_options(.per_channel = true));
}
static clg_tensor *negative_pieces(clg_graph *g, clg_tensor *x)
{
    return clg_apl_layer(x, "hinges", clg_apl_layer_options(.pieces = -1));
}
static clg_tensor *no_features(clg_graph *g, clg_tensor *x)
{
    return clg_maxout_layer(x, "m", 0, NULL);
}

static const struct {
    clg_tensor *(*build)(clg_graph *g, clg_tensor *x); /* x (4, 5) */
    const char *message;
} mistakes[] = {
    {scalar_brelu, "brelu: a scalar has no channels"},
    {falling_rrelu, "rrelu: expected slopes with 0 <= lower <= upper, got 0.5 and 0.1"},
    {nan_rrelu, "rrelu: expected slopes"},
    {apl_shapes, "apl: expected a and b (pieces, 5) for an input (4, 5), got (2, 5) and (2, 4)"},
    {odd_maxout, "maxout: the channels of (4, 5)"},
    {no_pieces, "do not make 0 equal pieces"},
    {maxout_of_the_batch, "follow the batch"},
    {prelu_shape, "mul: shapes (3) and (4, 5) do not broadcast"},
    {channels_of_the_batch, "p: the input has no channels"},
    {negative_pieces, "hinges: -1 pieces"},
    {no_features, "m: 0 features of 2 pieces"},
};

START_TEST(a_mistake_is_named)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(4, 5));
    ck_assert_ptr_null(mistakes[_i].build(g, x));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, mistakes[_i].message);
    clg_graph_destroy(g);
}
END_TEST

START_TEST(null_is_passed_on)
{
    ck_assert_ptr_null(clg_brelu(NULL));
    ck_assert_ptr_null(clg_prelu(NULL, NULL));
    ck_assert_ptr_null(clg_rrelu(NULL, 0, 0));
    ck_assert_ptr_null(clg_apl(NULL, NULL, NULL));
    ck_assert_ptr_null(clg_swish_learned(NULL, NULL));
    ck_assert_ptr_null(clg_soft_exponential(NULL, NULL));
    ck_assert_ptr_null(clg_maxout(NULL, 2));
    ck_assert_ptr_null(clg_prelu_layer(NULL, "a", NULL));
    ck_assert_ptr_null(clg_swish_layer(NULL, "a", NULL));
    ck_assert_ptr_null(clg_soft_exponential_layer(NULL, "a", NULL));
    ck_assert_ptr_null(clg_apl_layer(NULL, "a", NULL));
    ck_assert_ptr_null(clg_maxout_layer(NULL, "a", 1, NULL));
}
END_TEST

void ops_activations_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "activations");
    tcase_add_test(values, compositions_in_value_and_gradient);
    tcase_add_test(values, layers_in_value_and_gradient);
    tcase_add_test(values, layers_name_and_shape_their_variables);
    TCase *special = testing_case(suite, "activations: special values");
    tcase_add_test(special, rrelu_draws_slopes_in_training);
    tcase_add_test(special, maxout_gives_the_gradient_to_the_first_winner);
    tcase_add_test(special, soft_exponential_is_smooth_in_a_through_zero);
    TCase *arguments = testing_case(suite, "activations: arguments");
    tcase_add_loop_test(arguments, a_mistake_is_named, 0, CLG__COUNT(mistakes));
    tcase_add_test(arguments, null_is_passed_on);
}
