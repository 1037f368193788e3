/*
 * Every function of the whole line - rows of pointwise.def, composed activations - far out and at
 * its kinks: finite, equal to the reference, with the right slope. Slopes at kinks are PyTorch's
 * (2.15) where it has the function.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

static clg_tensor *slope_of(clg_tensor *y, clg_tensor *x)
{
    clg_tensor *dx;
    ck_assert_msg(y != NULL, "%s", clg_last_error());
    TEST_OK(clg_vjp(y, clg_full(y->graph, y->shape, 1), &x, 1, &dx));
    return dx;
}

/* ---- far out, and at the kinks ---- */

static const double points[] = {-1e4, -3, -2, -1, 0, 1, 2, 3, 6, 1e4};
enum { POINTS = CLG__COUNT(points) };

static clg_tensor *prelu_quarter(clg_tensor *x)
{
    return clg_prelu(x, clg_scalar(x->graph, 0.25));
}
static clg_tensor *rrelu_default(clg_tensor *x)
{
    return clg_rrelu(x, 0, 0);
}
static clg_tensor *swish_two(clg_tensor *x)
{
    return clg_swish_learned(x, clg_scalar(x->graph, 2));
}
static clg_tensor *exponential(clg_tensor *x)
{
    return clg_soft_exponential(x, clg_scalar(x->graph, 0.5));
}
static clg_tensor *line(clg_tensor *x)
{
    return clg_soft_exponential(x, clg_scalar(x->graph, 0));
}
static clg_tensor *logarithm(clg_tensor *x)
{
    return clg_soft_exponential(x, clg_scalar(x->graph, -0.5));
}
static clg_tensor *apl_two(clg_tensor *x)
{
    return clg_apl(x, clg_full(x->graph, CLG_SHAPE(2, 1), 0.5),
                   clg_full(x->graph, CLG_SHAPE(2, 1), 1));
}

/*
 * Slopes at -1e4, 0 and 1e4 (NAN: finite is enough), and at kinks, ended by x = 0. `build` NULL:
 * the row of pointwise.def with the parameters that it gives for tests.
 */
static const struct slope_row {
    const char *name;
    double far[3];
    double kinks[4][2];
    clg_tensor *(*build)(clg_tensor *x);
} slopes[] = {
    {"neg", {-1, -1, -1}},
    {"abs", {-1, 0, 1}},
    {"square", {-2e4, 0, 2e4}},
    {"sin", {-0.95215536825901, 1, -0.95215536825901}},
    {"cos", {-0.30561438888825, 0, 0.30561438888825}},
    {"erf", {0, 1.1283791670955126, 0}},
    {"floor", {0, 0, 0}},
    {"clamp", {0, 1, 0}, {{-1, 0}, {2, 0}}},
    {"identity", {1, 1, 1}},
    {"step", {0, 0, 0}},
    {"sign", {0, 0, 0}},
    {"sigmoid", {0, 0.25, 0}},
    {"tanh", {0, 1, 0}},
    {"softsign", {1e-8, 1, 1e-8}},
    {"sqnl", {0, 1, 0}, {{-2, 0}, {2, 0}}},
    {"relu", {0, 0, 1}},
    {"relu6", {0, 0, 0}, {{3, 1}, {6, 0}}},
    {"hardsigmoid", {0, 1.0 / 6, 0}, {{-3, 0}, {3, 0}}},
    {"hardswish", {0, 0.5, 1}, {{-3, 0}, {3, 1}}},
    {"hardtanh", {0, 1, 0}, {{-1, 0}, {1, 0}}},
    {"leaky_relu", {0.3, 0.3, 1}},
    {"elu", {0, 0.7, 1}},
    {"selu", {0, 1.7580993408473766, 1.0507009873554805}},
    {"celu", {0, 1, 1}},
    {"bent_identity", {0.5, 1, 1.5}},
    {"silu", {0, 0.5, 1}},
    {"swish", {0, 0.5, 1}},
    {"gelu", {0, 0.5, 1}},
    {"gelu_tanh", {0, 0.5, 1}},
    {"mish", {0, 0.6, 1}},
    {"softplus", {0, 0.5, 1}},
    {"logsigmoid", {1, 0.5, 0}},
    {"soft_clipping", {0, 0.49330714907571516, 0}},
    {"brelu", {0, 0, 0}, {{-1, 1}, {6, 1}, {-3, 1}}, clg_brelu}, /* odd, even, odd channels */
    {"prelu", {0.25, 0.25, 1}, {{0}}, prelu_quarter},
    {"rrelu", {11.0 / 48, 11.0 / 48, 1}, {{0}}, rrelu_default},
    {"swish_learned", {0, 0.5, 1}, {{0}}, swish_two},
    {"soft_exponential", {0, 1, NAN}, {{2, 2.718281828459045}}, exponential},
    {"soft_exponential", {1, 1, 1}, {{0}}, line},
    {"soft_exponential", {NAN, 0.75 / 0.5625, 0.0001999}, {{0}}, logarithm},
    {"apl", {-1, -1, 1}, {{1, 1}}, apl_two},
};
enum { SLOPES = CLG__COUNT(slopes) };

static clg_tensor *build_slope_row(const struct slope_row *row, clg_tensor *x)
{
    for (size_t i = 0; !row->build && i < clg__pointwise_count; i++) {
        const clg__op *op = &clg__pointwise_rows[i];
        if (strcmp(op->name, row->name) == 0)
            return clg__pointwise_build(op, &x, op->pointwise->sample_a, op->pointwise->sample_b);
    }
    return row->build ? row->build(x) : NULL;
}

/* The value of a row of pointwise.def is that of its expression in double. */
static void expect_values(const struct slope_row *row, const float *y)
{
    for (size_t k = 0; !row->build && k < clg__pointwise_count; k++) {
        const clg__pointwise *p = clg__pointwise_rows[k].pointwise;
        if (strcmp(clg__pointwise_rows[k].name, row->name) != 0) continue;
        for (int i = 0; i < POINTS; i++) {
            double want = p->reference(points[i], 0, 0, p->sample_a, p->sample_b);
            ck_assert_msg(fabs(y[i] - want) <= 1e-6 * fmax(1, fabs(want)),
                          "%s(%g) = %.9g, not %.9g", row->name, points[i], (double)y[i], want);
        }
    }
}

static void expect_slope(const struct slope_row *row, const float *y, const float *dx, double x,
                         double want)
{
    for (int i = 0; i < POINTS; i++) {
        if (points[i] != x) continue;
        ck_assert_msg(isfinite(y[i]) && isfinite(dx[i]), "%s(%g) = %g with slope %g", row->name, x,
                      (double)y[i], (double)dx[i]);
        ck_assert_msg(isnan(want) || fabs(dx[i] - want) <= 1e-6 * fmax(1, fabs(want)),
                      "slope of %s at %g is %.9g, not %.9g", row->name, x, (double)dx[i], want);
        return;
    }
    ck_abort_msg("%s: %g is none of the points", row->name, x);
}

START_TEST(slopes_far_out_and_at_kinks)
{
    op_fixture f = op_fixture_start(CLG_SHAPE(POINTS));
    clg_tensor *outputs[2 * SLOPES];
    float data[POINTS], y[POINTS], dx[POINTS];
    for (int i = 0; i < POINTS; i++) data[i] = (float)points[i];
    for (int i = 0; i < SLOPES; i++) {
        outputs[2 * i] = build_slope_row(&slopes[i], f.x);
        outputs[2 * i + 1] = slope_of(outputs[2 * i], f.x);
    }
    op_fixture_run(&f, outputs, 2 * SLOPES, CLG_INFERENCE, data);
    for (int i = 0; i < SLOPES; i++) {
        const struct slope_row *row = &slopes[i];
        op_check_read(f.program, outputs[2 * i], y, POINTS);
        op_check_read(f.program, outputs[2 * i + 1], dx, POINTS);
        expect_values(row, y);
        for (int j = 0; j < 3; j++) expect_slope(row, y, dx, 1e4 * (j - 1), row->far[j]);
        for (int j = 0; j < 4 && row->kinks[j][0] != 0; j++)
            expect_slope(row, y, dx, row->kinks[j][0], row->kinks[j][1]);
    }
    op_fixture_finish(&f);
}
END_TEST

/* What is not an activation: defined for some x only, or too large far out. */
static bool is_left_out(const clg__op *op)
{
    static const char *const names[] = {"exp", "expm1", "log1p"};
    bool out = op->pointwise->arity != 1 || op->pointwise->lo >= 0;
    for (size_t i = 0; i < CLG__COUNT(names); i++) out |= strcmp(op->name, names[i]) == 0;
    return out;
}

START_TEST(every_function_of_the_line_has_its_slopes)
{
    for (size_t i = 0; i < clg__pointwise_count; i++) {
        const clg__op *op = &clg__pointwise_rows[i];
        bool found = is_left_out(op);
        for (int j = 0; j < SLOPES; j++) found |= strcmp(slopes[j].name, op->name) == 0;
        ck_assert_msg(found, "%s has no row in `slopes`", op->name);
    }
}
END_TEST

START_TEST(softmax_and_its_logarithm_far_out)
{
    op_fixture f = op_fixture_start(CLG_SHAPE(3));
    clg_tensor *y = clg_softmax(f.x, 0), *log_y = clg_log_softmax(f.x, 0);
    clg_tensor *outputs[] = {y, log_y, slope_of(clg_slice(y, 0, 1, 1), f.x),
                             slope_of(clg_slice(log_y, 0, 1, 1), f.x)};
    const double want[][3] = {{0, 0, 1}, {-2e4, -1e4, 0}, {0, 0, 0}, {0, 1, -1}};
    op_fixture_run(&f, outputs, 4, CLG_INFERENCE, (float[]){-1e4F, 0, 1e4F});
    for (int i = 0; i < 4; i++) {
        float got[3];
        op_check_read(f.program, outputs[i], got, 3);
        op_check_close("softmax", "far out", got, want[i], 3, 0);
    }
    op_fixture_finish(&f);
}
END_TEST

/* ---- what PyTorch shares between equals, and powers of 0 ---- */

START_TEST(ties_and_powers_of_zero_have_the_slopes_of_pytorch)
{
    op_fixture f = op_fixture_start(CLG_SHAPE(5));
    clg_tensor *y = clg_constant(f.g, CLG_SHAPE(5), (float[]){0, 1, 2, 0, 2});
    clg_tensor *results[] = {clg_maximum(f.x, y), clg_minimum(f.x, y), clg_pow(f.x, y)};
    clg_tensor *outputs[6];
    for (int i = 0; i < 3; i++) {
        outputs[2 * i] = slope_of(results[i], f.x);
        outputs[2 * i + 1] = slope_of(results[i], y);
    }
    const double want[6][5] = {{0.5, 0, 0, 1, 0.5}, {0.5, 1, 1, 0, 0.5},
                               {0.5, 1, 1, 0, 0.5}, {0.5, 0, 0, 1, 0.5},
                               {0, 1, 0, 0, 4},     {0, 0, 0, log(2), 4 * log(2)}};
    op_fixture_run(&f, outputs, 6, CLG_INFERENCE, (float[]){0, 0, 0, 2, 2});
    for (int i = 0; i < 6; i++) {
        float got[5];
        op_check_read(f.program, outputs[i], got, 5);
        op_check_close(clg_tensor_op(results[i / 2]), i % 2 ? "slope of y" : "slope of x", got,
                       want[i], 5, 1e-6);
    }
    op_fixture_finish(&f);
}
END_TEST

void ops_slopes_cases(Suite *suite)
{
    TCase *slopes_ = testing_case(suite, "slopes");
    tcase_add_test(slopes_, slopes_far_out_and_at_kinks);
    tcase_add_test(slopes_, every_function_of_the_line_has_its_slopes);
    tcase_add_test(slopes_, softmax_and_its_logarithm_far_out);
    tcase_add_test(slopes_, ties_and_powers_of_zero_have_the_slopes_of_pytorch);
}
