/*
 * The rows of pointwise.def. The reference is the row's own expression compiled as double, so that
 * what is tested is the generated kernel, the gradient and its gradient; a few known values and the
 * special ones (NaN, ties, far out) stand on their own.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

#define ROWS ((int)clg__pointwise_count)

static clg_tensor *build(const op_case *c, clg_tensor *const *x)
{
    return clg__pointwise_build(c->op, x, c->a, c->b);
}

/* Index into an input of `in` that broadcasts to `out`, where out's coordinates are `at`. */
static int64_t broadcast_index(const clg_shape *in, const clg_shape *out, const int64_t *at)
{
    int64_t own[CLG_MAX_DIMS];
    for (int i = 0; i < in->ndim; i++) own[i] = in->dim[i] == 1 ? 0 : at[i + out->ndim - in->ndim];
    return op_check_index(in, own);
}

static void reference(const op_case *c, const clg_shape *in, const double *const *x,
                      const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        double v[3] = {0};
        op_check_coordinates(out, i, at);
        for (int j = 0; j < c->n_inputs; j++) v[j] = x[j][broadcast_index(&in[j], out, at)];
        y[i] = c->op->pointwise->reference(v[0], v[1], v[2], c->a, c->b);
    }
}

static op_case case_of(int row)
{
    const clg__op *op = &clg__pointwise_rows[row];
    const clg__pointwise *p = op->pointwise;
    return (op_case){.name = op->name,
                     .n_inputs = p->arity,
                     .build = build,
                     .reference = reference,
                     .lo = p->lo,
                     .hi = p->hi,
                     .a = p->sample_a,
                     .b = p->sample_b,
                     .op = op};
}

START_TEST(rows_of_one_axis_at_1023_7_and_1)
{
    op_case cases[ROWS];
    for (int row = 0; row < ROWS; row++) {
        cases[row] = case_of(row);
        for (int i = 0; i < 3; i++) cases[row].shape[i] = (clg_shape)OP_SHAPE(CLG_BATCH);
        memcpy(cases[row].batch, (int64_t[]){1023, 7, 1}, 3 * sizeof(int64_t));
    }
    op_check_table(cases, ROWS);
}
END_TEST

START_TEST(rows_with_broadcasting)
{
    op_case cases[2 * ROWS];
    int n = 0;
    for (int row = 0; row < ROWS; row++) {
        op_case c = case_of(row);
        if (c.n_inputs == 1) continue;
        c.first_only = true;
        c.shape[0] = (clg_shape)OP_SHAPE(3, 1, 7);
        c.shape[1] = (clg_shape)OP_SHAPE(5, 1);
        c.shape[2] = (clg_shape)OP_SHAPE(7);
        cases[n++] = c;
        c.shape[0] = (clg_shape)OP_SHAPE(CLG_BATCH, 12);
        c.shape[1] = (clg_shape)OP_SHAPE(12);
        c.shape[2] = (clg_shape)OP_SHAPE(CLG_BATCH, 1);
        memcpy(c.batch, (int64_t[]){5, 8, 1}, 3 * sizeof(int64_t));
        cases[n++] = c;
    }
    op_check_table(cases, n);
}
END_TEST

/* ---- special values ---- */

static const double far_out[] = {0,  -0.0, 1,  -1,  2,  -2,  3,   -3,   6,
                                 -6, 0.5,  30, -30, 80, -80, NAN, 1e-6, -1e-6};
enum { FAR_OUT = CLG__COUNT(far_out) };

/* Rows that are 0 or 1 by comparing: NaN compares as false. */
static bool compares(const clg__op *op)
{
    static const char *const names[] = {"step", "sign"};
    for (size_t i = 0; i < CLG__COUNT(names); i++)
        if (strcmp(op->name, names[i]) == 0) return true;
    return false;
}

static void check_special(const clg__op *op, const float *y, const float *dx)
{
    const clg__pointwise *p = op->pointwise;
    for (int i = 0; i < FAR_OUT; i++) {
        double want = p->reference(far_out[i], 0, 0, p->sample_a, p->sample_b);
        if (isnan(far_out[i]) && !compares(op))
            ck_assert_msg(isnan(y[i]) && isnan(want), "%s(NaN) = %g", op->name, (double)y[i]);
        if (isnan(far_out[i])) continue;
        ck_assert_msg(fabs(y[i] - want) <= 1e-5 * fmax(1, fabs(want)), "%s(%g) = %.9g, not %.9g",
                      op->name, far_out[i], (double)y[i], want);
        ck_assert_msg(isfinite(dx[i]), "slope of %s at %g is %g", op->name, far_out[i],
                      (double)dx[i]);
    }
}

/* Unary rows that are defined everywhere. */
static int rows_of_the_whole_line(const clg__op **ops)
{
    int n = 0;
    for (int i = 0; i < ROWS; i++) {
        const clg__op *op = &clg__pointwise_rows[i];
        bool whole = op->pointwise->lo < 0 && strcmp(op->name, "log1p") != 0;
        if (op->pointwise->arity == 1 && whole) ops[n++] = op;
    }
    return n;
}

START_TEST(special_values_follow_the_reference)
{
    const clg__op *ops[ROWS];
    int n = rows_of_the_whole_line(ops);
    float data[FAR_OUT], y[FAR_OUT], dx[FAR_OUT];
    for (int i = 0; i < FAR_OUT; i++) data[i] = (float)far_out[i];
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(FAR_OUT)), *outputs[2 * ROWS];
    for (int i = 0; i < n; i++) {
        const clg__pointwise *p = ops[i]->pointwise;
        outputs[2 * i] = clg__pointwise_build(ops[i], &x, p->sample_a, p->sample_b);
        TEST_OK(clg_vjp(outputs[2 * i], clg_full(g, CLG_SHAPE(FAR_OUT), 1), &x, 1,
                        &outputs[2 * i + 1]));
    }
    clg_program *program = op_check_compile(ctx, g, outputs, 2 * (size_t)n, CLG_INFERENCE);
    op_check_feed(program, x, data, FAR_OUT);
    TEST_OK(clg_program_run(program));
    for (int i = 0; i < n; i++) {
        op_check_read(program, outputs[2 * i], y, FAR_OUT);
        op_check_read(program, outputs[2 * i + 1], dx, FAR_OUT);
        check_special(ops[i], y, dx);
    }
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- accuracy ---- */

/* Largest errors in units in the last place: what cl/pointwise.cl says for processors, and what
 * OpenCL asks of a driver's functions. */
static const struct {
    clg_tensor *(*build)(clg_tensor *x);
    double (*reference)(double x);
    double own, driver;
} functions[] = {
    {clg_exp, exp, 1.0, 3},  {clg_expm1, expm1, 1.4, 3}, {clg_tanh, tanh, 4.4, 5},
    {clg_erf, erf, 4.6, 16}, {clg_log, log, 0.9, 3},     {clg_log1p, log1p, 1.4, 2},
};
enum { FUNCTIONS = CLG__COUNT(functions), FLOATS = 1 << 17 | 5 };

/* What y is away from `want`, in units in the last place of a float there. */
static double error_in_units(double y, double want)
{
    int exponent;
    if (isnan(want) || isnan(y)) return isnan(want) && isnan(y) ? 0 : INFINITY;
    if (isinf((float)want) || isinf(y)) return (float)want == (float)y ? 0 : INFINITY;
    frexp(want, &exponent);
    return fabs(y - want) / fmax(ldexp(1, exponent - 24), ldexp(1, -149));
}

/* Floats of all sizes and both signs, infinities and NaN. */
static float *all_kinds_of_floats(void)
{
    static const float special[] = {0,         -0.0f,     -1,     1,        INFINITY, -INFINITY,
                                    NAN,       1e-45f,    1e-38f, 3.4e38f,  88.7228f, 88.73f,
                                    -103.9f,   -87.4f,    9.02f,  -9.1f,    3.93f,    -4,
                                    0.999999f, 1.000001f, -17.4f, -3.4e38f, 89,       -104.1f};
    float *x = calloc(FLOATS, sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (uint32_t i = 0; i < FLOATS; i++) {
        uint32_t bits = i * 32749u;
        memcpy(&x[i], &bits, sizeof bits);
    }
    memcpy(x + 100, special, sizeof special);
    memcpy(x + FLOATS - 5, special + 9, 5 * sizeof *x); /* behind the last whole vector */
    return x;
}

START_TEST(functions_are_as_accurate_as_they_say)
{
    clg_context *ctx = op_check_context();
    const bool own = ctx->engine == CLG_ENGINE_CPU;
    const double tiny = own ? 0 : 0x1p-126; /* other devices may take such numbers for 0 */
    float *data = all_kinds_of_floats(), *y = calloc(FLOATS, sizeof *y);
    ck_assert_ptr_nonnull(y);
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(FLOATS)), *outputs[FUNCTIONS];
    for (int i = 0; i < FUNCTIONS; i++) outputs[i] = functions[i].build(x);
    clg_program *program = op_check_compile(ctx, g, outputs, FUNCTIONS, CLG_INFERENCE);
    op_check_feed(program, x, data, FLOATS);
    TEST_OK(clg_program_run(program));
    for (int i = 0; i < FUNCTIONS; i++) {
        const double most = own ? functions[i].own : functions[i].driver;
        op_check_read(program, outputs[i], y, FLOATS);
        for (int k = 0; k < FLOATS; k++) {
            const double want = functions[i].reference(data[k]);
            if (fabs(data[k]) < tiny || fabs(y[k] - want) < tiny) continue;
            const double error = error_in_units(y[k], want);
            ck_assert_msg(error <= most, "%s(%.9g) = %.9g, not %.9g: %g units",
                          clg_tensor_op(outputs[i]), (double)data[k], (double)y[k], want, error);
        }
    }
    free(data);
    free(y);
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* Two-sided rows where both sides are equal, or NaN: {x, y} -> expected. */
START_TEST(ties_and_nan_in_comparisons)
{
    const float x[] = {1, 2, 3, NAN, 1}, y[] = {2, 2, 2, 1, NAN};
    static const struct {
        clg_tensor *(*build)(clg_tensor *, clg_tensor *);
        double want[5];
    } rows[] = {
        {clg_equal, {0, 1, 0, 0, 0}},       {clg_not_equal, {1, 0, 1, 1, 1}},
        {clg_less, {1, 0, 0, 0, 0}},        {clg_less_equal, {1, 1, 0, 0, 0}},
        {clg_greater, {0, 0, 1, 0, 0}},     {clg_greater_equal, {0, 1, 1, 0, 0}},
        {clg_minimum, {1, 2, 2, NAN, NAN}}, {clg_maximum, {2, 2, 3, NAN, NAN}},
    };
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *a = clg_input(g, "a", CLG_F32, CLG_SHAPE(5));
    clg_tensor *b = clg_input(g, "b", CLG_F32, CLG_SHAPE(5));
    clg_tensor *outputs[CLG__COUNT(rows)];
    for (size_t i = 0; i < CLG__COUNT(rows); i++) outputs[i] = rows[i].build(a, b);
    clg_program *program = op_check_compile(ctx, g, outputs, CLG__COUNT(rows), CLG_INFERENCE);
    op_check_feed(program, a, x, 5);
    op_check_feed(program, b, y, 5);
    TEST_OK(clg_program_run(program));
    for (size_t i = 0; i < CLG__COUNT(rows); i++) {
        float got[5];
        op_check_read(program, outputs[i], got, 5);
        op_check_close(clg_tensor_op(outputs[i]), "ties", got, rows[i].want, 5, 0);
    }
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* Values and slopes worked out by hand: the reference shares its text with the kernels, these do
 * not. */
static const struct {
    clg_tensor *(*build)(clg_tensor *x);
    double x, y, slope;
} known[] = {
    {clg_sigmoid, 0, 0.5, 0.25},
    {clg_tanh, 0.5, 0.46211715726000979, 0.78644773296592746},
    {clg_softsign, -3, -0.75, 0.0625},
    {clg_sqnl, 1, 0.75, 0.5},
    {clg_sqnl, -1, -0.75, 0.5},
    {clg_sqnl, 5, 1, 0},
    {clg_relu, 0, 0, 0},
    {clg_relu6, 7, 6, 0},
    {clg_hardsigmoid, 1.5, 0.75, 1.0 / 6},
    {clg_hardswish, 1.5, 1.125, 1},
    {clg_hardtanh, -0.25, -0.25, 1},
    {clg_selu, -1, -1.1113307378125625, 0.646768603034642},
    {clg_bent_identity, 0.75, 0.875, 1.3},
    {clg_silu, 1, 0.7310585786300049, 0.927670511871398},
    {clg_gelu, 1, 0.8413447460685429, 1.083315470587524},
    {clg_gelu_tanh, 1, 0.8411919906082768, 1.082964083845626},
    {clg_mish, 1, 0.8650983882673103, 1.0490362200997922},
    {clg_logsigmoid, 0, -0.6931471805599453, 0.5},
    {clg_erf, 0.5, 0.5204998778130465, 0.8787825789354449},
    {clg_rsqrt, 4, 0.5, -0.0625},
};

START_TEST(known_values_and_slopes)
{
    enum { N = CLG__COUNT(known) };
    float data[N], got[N];
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(N)), *outputs[2 * N];
    for (int i = 0; i < N; i++) { /* every function of every x: one kernel; only its own x counts */
        data[i] = (float)known[i].x;
        outputs[2 * i] = known[i].build(x);
        TEST_OK(clg_vjp(outputs[2 * i], clg_full(g, CLG_SHAPE(N), 1), &x, 1, &outputs[2 * i + 1]));
    }
    clg_program *program = op_check_compile(ctx, g, outputs, 2 * N, CLG_INFERENCE);
    op_check_feed(program, x, data, N);
    TEST_OK(clg_program_run(program));
    for (int i = 0; i < 2 * N; i++) {
        double want = i % 2 ? known[i / 2].slope : known[i / 2].y;
        op_check_read(program, outputs[i], got, N);
        op_check_close(clg_tensor_op(outputs[i / 2 * 2]), i % 2 ? "slope" : "value", &got[i / 2],
                       &want, 1, 1e-6);
    }
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- arguments ---- */

START_TEST(shapes_that_do_not_broadcast_are_named)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
    clg_tensor *a = clg_input(g, "a", CLG_F32, CLG_SHAPE(3, 4));
    ck_assert_ptr_null(clg_add(a, clg_input(g, "b", CLG_F32, CLG_SHAPE(5))));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT,
               "add: shapes (3, 4) and (5) do not broadcast");
    ck_assert_ptr_null(clg_relu(a)); /* sticky */
    ck_assert_ptr_null(clg_mul(a, NULL));
    clg_graph_destroy(g);
    g = clg_graph_create(clg_graph_options(.batch = 4));
    a = clg_input(g, "a", CLG_F32, CLG_SHAPE(CLG_BATCH, 3));
    ck_assert_ptr_null(clg_mul(a, clg_input(g, "b", CLG_F32, CLG_SHAPE(4, 3))));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "follows the batch");
    clg_graph_destroy(g);
}
END_TEST

START_TEST(inputs_of_different_graphs_are_refused)
{
    clg_graph *g = clg_graph_create(NULL), *h = clg_graph_create(NULL);
    ck_assert_ptr_null(clg_add(clg_scalar(g, 1), clg_scalar(h, 2)));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "different graphs");
    clg_graph_destroy(g);
    clg_graph_destroy(h);
}
END_TEST

void ops_pointwise_cases(Suite *suite)
{
    TCase *rows = testing_case(suite, "pointwise rows");
    tcase_add_test(rows, rows_of_one_axis_at_1023_7_and_1);
    tcase_add_test(rows, rows_with_broadcasting);
    TCase *special = testing_case(suite, "pointwise special values");
    tcase_add_test(special, special_values_follow_the_reference);
    tcase_add_test(special, functions_are_as_accurate_as_they_say);
    tcase_add_test(special, ties_and_nan_in_comparisons);
    tcase_add_test(special, known_values_and_slopes);
    TCase *arguments = testing_case(suite, "pointwise arguments");
    tcase_add_test(arguments, shapes_that_do_not_broadcast_are_named);
    tcase_add_test(arguments, inputs_of_different_graphs_are_refused);
}
