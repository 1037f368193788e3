/*
 * Reductions over every kind of axis set, at sizes that leave rests behind every block, and what is
 * composed of them: mean, argmax, norm, softmax.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* p: mask of axes, keep */
static clg_tensor *sum(const op_case *c, clg_tensor *const *x)
{
    return clg_sum(clg_square(x[0]), (uint32_t)c->p[0], c->p[1]);
}
static clg_tensor *mean(const op_case *c, clg_tensor *const *x)
{
    return clg_mean(clg_square(x[0]), (uint32_t)c->p[0], c->p[1]);
}
static clg_tensor *max(const op_case *c, clg_tensor *const *x)
{
    return clg_max(clg_square(x[0]), (uint32_t)c->p[0], c->p[1]);
}
static clg_tensor *bare_sum(const op_case *c, clg_tensor *const *x)
{
    return clg_sum(x[0], (uint32_t)c->p[0], c->p[1]);
}
static clg_tensor *bare_max(const op_case *c, clg_tensor *const *x)
{
    return clg_max(x[0], (uint32_t)c->p[0], c->p[1]);
}

static void reduced(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    uint32_t axes = c->p[0] ? (uint32_t)c->p[0] : (1u << in->ndim) - 1;
    bool takes_max = c->build == max || c->build == bare_max;
    bool squares = c->build != bare_sum && c->build != bare_max;
    int64_t results = clg_shape_count(out), count = clg_shape_count(in);
    clg_shape kept = *in; /* of the result, with reduced axes kept */
    for (int i = 0; i < in->ndim; i++)
        if (axes >> i & 1) kept.dim[i] = 1;
    for (int64_t i = 0; i < results; i++) y[i] = takes_max ? -INFINITY : 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(in, i, at);
        for (int j = 0; j < in->ndim; j++)
            if (axes >> j & 1) at[j] = 0;
        double *to = &y[op_check_index(&kept, at)], v = squares ? x[0][i] * x[0][i] : x[0][i];
        *to = takes_max ? fmax(*to, v) : *to + v;
    }
    for (int64_t i = 0; i < results && c->build == mean; i++)
        y[i] *= (double)results / (double)count;
}

/* Maxima have no second derivative to speak of; means are sums with a factor. */
#define BOTH(text, ...)                                                                            \
    {"sum " text, 1, __VA_ARGS__, .build = sum, .reference = reduced},                             \
    {                                                                                              \
        "max " text, 1, __VA_ARGS__, .build = max, .reference = reduced, .first_only = true        \
    }
#define FOLLOWING(text, ...)                                                                       \
    BOTH(text, __VA_ARGS__, .batch = {6, 9, 1}),                                                   \
    {                                                                                              \
        "mean " text, 1, __VA_ARGS__, .batch = {6, 9, 1}, .build = mean, .reference = reduced      \
    }
/* Long ones: of the input itself, and of numbers that do not cancel. */
#define LONG(text, ...)                                                                            \
    {                                                                                              \
        "long sum " text,                                                                          \
        1,                                                                                         \
        __VA_ARGS__,                                                                               \
        .lo = 0.5,                                                                                 \
        .hi = 2,                                                                                   \
        .build = bare_sum,                                                                         \
        .reference = reduced,                                                                      \
        .first_only = true},                                                                       \
    {                                                                                              \
        "long max " text, 1, __VA_ARGS__, .build = bare_max, .reference = reduced,                 \
                                          .first_only = true                                       \
    }
static const op_case cases[] = {
    BOTH("of a scalar", {{0}}, .p = {0}),
    BOTH("of one element", {OP_SHAPE(1)}, .p = {0}),
    BOTH("of 7", {OP_SHAPE(7)}, .p = {0}),
    {"mean of 7", 1, {OP_SHAPE(7)}, mean, reduced, .p = {1, 1}},
    BOTH("of 1023, kept", {OP_SHAPE(1023)}, .p = {1, 1}),
    LONG("of 70001", {OP_SHAPE(70001)}, .p = {0}),
    BOTH("over rows", {OP_SHAPE(37, 5)}, .p = {1}),
    BOTH("over columns", {OP_SHAPE(5, 37)}, .p = {2, 1}),
    LONG("over many rows", {OP_SHAPE(1023, 17)}, .p = {1}),
    LONG("over many columns", {OP_SHAPE(3, 4099)}, .p = {2}),
    LONG("over rows of 64", {OP_SHAPE(513, 64)}, .p = {1}),
    BOTH("over the middle", {OP_SHAPE(3, 7, 5)}, .p = {2}),
    BOTH("over the outer two", {OP_SHAPE(3, 7, 5)}, .p = {3}),
    BOTH("over the inner two", {OP_SHAPE(3, 7, 5)}, .p = {6, 1}),
    BOTH("over both sides", {OP_SHAPE(3, 7, 5)}, .p = {5}),
    BOTH("over every other of six", {OP_SHAPE(2, 3, 2, 2, 3, 2)}, .p = {0x15}),
    BOTH("over an axis of 1", {OP_SHAPE(4, 1, 3)}, .p = {2}),
    FOLLOWING("over the batch", {OP_SHAPE(CLG_BATCH, 5)}, .p = {1}),
    FOLLOWING("behind the batch", {OP_SHAPE(CLG_BATCH, 5)}, .p = {2}),
    FOLLOWING("of all with the batch", {OP_SHAPE(CLG_BATCH, 2, 3)}, .p = {0}),
    FOLLOWING("over images", {OP_SHAPE(CLG_BATCH, 4, 3, 7)}, .p = {7}),
    FOLLOWING("around a batch in the middle", {OP_SHAPE(3, CLG_BATCH, 2)}, .p = {5, 1}),
};

START_TEST(reductions_over_all_kinds_of_axes)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

/* ---- composed ---- */

static clg_tensor *softmax(const op_case *c, clg_tensor *const *x)
{
    return clg_softmax(x[0], c->p[0]);
}
static clg_tensor *log_softmax(const op_case *c, clg_tensor *const *x)
{
    return clg_log_softmax(x[0], c->p[0]);
}

static void softmaxed(const op_case *c, const clg_shape *in, const double *const *x,
                      const clg_shape *out, double *y)
{
    int axis = c->p[0] < 0 ? c->p[0] + in->ndim : c->p[0];
    for (int64_t i = 0; i < clg_shape_count(in); i++) {
        int64_t at[CLG_MAX_DIMS];
        double total = 0;
        op_check_coordinates(in, i, at);
        for (at[axis] = 0; at[axis] < in->dim[axis]; at[axis]++)
            total += exp(x[0][op_check_index(in, at)]);
        y[i] = c->build == softmax ? exp(x[0][i]) / total : x[0][i] - log(total);
    }
}

static clg_tensor *norm(const op_case *c, clg_tensor *const *x)
{
    return clg_norm(x[0]);
}

static void normed(const op_case *c, const clg_shape *in, const double *const *x,
                   const clg_shape *out, double *y)
{
    *y = 0;
    for (int64_t i = 0; i < clg_shape_count(in); i++) *y += x[0][i] * x[0][i];
    *y = sqrt(*y);
}

/* p: mask of axes, keep, what. Offsets keep absolute values away from each other and from 0. */
enum { MIN, VARIANCE, UNBIASED, DEVIATION, NORM_1, NORM_2, NORM_MAX, NORM_MIN, LOG_SUM_EXP };
static clg_tensor *statistic(const op_case *c, clg_tensor *const *x)
{
    uint32_t axes = (uint32_t)c->p[0];
    switch (c->p[2]) {
    case MIN:
        return clg_min(clg_square(x[0]), axes, c->p[1]);
    case VARIANCE:
    case UNBIASED:
        return clg_variance(x[0], axes, c->p[2] == UNBIASED, c->p[1]);
    case DEVIATION:
        return clg_standard_deviation(x[0], axes, true, c->p[1]);
    case LOG_SUM_EXP:
        return clg_log_sum_exp(x[0], axes, c->p[1]);
    default:
        return clg_vector_norm(x[0], (double[]){1, 2, INFINITY, -INFINITY}[c->p[2] - NORM_1], axes,
                               c->p[1]);
    }
}

/* The statistic of n numbers. */
static double statistic_of(int what, const double *v, int n)
{
    double sum = 0, squares = 0, exps = 0, sizes = 0, low = INFINITY, high = 0, mean;
    for (int i = 0; i < n; i++) {
        sum += v[i];
        squares += v[i] * v[i];
        exps += exp(v[i]);
        sizes += fabs(v[i]);
        low = fmin(low, fabs(v[i]));
        high = fmax(high, fabs(v[i]));
    }
    mean = sum / n;
    double variance = 0;
    for (int i = 0; i < n; i++) variance += (v[i] - mean) * (v[i] - mean) / n;
    switch (what) {
    case MIN:
        return low * low;
    case VARIANCE:
        return variance;
    case UNBIASED:
        return variance * n / (n - 1.0);
    case DEVIATION:
        return sqrt(variance * n / (n - 1.0));
    case NORM_1:
        return sizes;
    case NORM_2:
        return sqrt(squares);
    case NORM_MAX:
        return high;
    case NORM_MIN:
        return low;
    default:
        return log(exps);
    }
}

static void statistics(const op_case *c, const clg_shape *in, const double *const *x,
                       const clg_shape *out, double *y)
{
    uint32_t axes = c->p[0] ? (uint32_t)c->p[0] : (1u << in->ndim) - 1;
    clg_shape kept = *in; /* of the result, with reduced axes kept */
    for (int i = 0; i < in->ndim; i++)
        if (axes >> i & 1) kept.dim[i] = 1;
    for (int64_t r = 0; r < clg_shape_count(&kept); r++) {
        double v[256];
        int n = 0;
        for (int64_t i = 0; i < clg_shape_count(in); i++) {
            int64_t at[CLG_MAX_DIMS];
            op_check_coordinates(in, i, at);
            for (int j = 0; j < in->ndim; j++)
                if (axes >> j & 1) at[j] = 0;
            if (op_check_index(&kept, at) == r) v[n++] = x[0][i];
        }
        y[r] = statistic_of(c->p[2], v, n);
    }
}

#define STATISTIC(text, what, ...)                                                                 \
    {                                                                                              \
        text, 1, {OP_SHAPE(3, 7, 5)}, statistic, statistics, .p = {2, 0, what}, __VA_ARGS__        \
    }
#define FOLLOWS(text, axes, what, ...)                                                             \
    {                                                                                              \
        text, 1, {OP_SHAPE(CLG_BATCH, 3, 4)}, statistic, statistics,                               \
            .p = {axes, 1, what}, .batch = {6, 9, 2}, __VA_ARGS__                                  \
    }
static const op_case statistic_cases[] = {
    STATISTIC("min", MIN),
    STATISTIC("variance", VARIANCE),
    STATISTIC("unbiased variance", UNBIASED),
    STATISTIC("standard deviation", DEVIATION),
    STATISTIC("L1 norm", NORM_1),
    STATISTIC("L2 norm", NORM_2),
    STATISTIC("max norm", NORM_MAX),
    STATISTIC("min norm", NORM_MIN),
    STATISTIC("log_sum_exp", LOG_SUM_EXP),
    FOLLOWS("min over the batch", 1, MIN),
    FOLLOWS("variance of everything", 0, VARIANCE),
    FOLLOWS("unbiased variance around an axis", 5, UNBIASED),
    FOLLOWS("standard deviation over the batch", 1, DEVIATION),
    FOLLOWS("L2 norm of rows", 6, NORM_2),
    FOLLOWS("log_sum_exp of everything", 0, LOG_SUM_EXP),
};

START_TEST(statistics_in_value_and_gradient)
{
    op_check_table(statistic_cases, CLG__COUNT(statistic_cases));
}
END_TEST

static clg_tensor *argmin(const op_case *c, clg_tensor *const *x)
{
    return clg_argmin(x[0], c->p[0]);
}

static clg_tensor *argmax(const op_case *c, clg_tensor *const *x)
{
    return clg_argmax(x[0], c->p[0]);
}

static void argmaxed(const op_case *c, const clg_shape *in, const double *const *x,
                     const clg_shape *out, double *y)
{
    int64_t inner = 1, n = in->dim[c->p[0]];
    for (int i = c->p[0] + 1; i < in->ndim; i++) inner *= in->dim[i];
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        const double *first = x[0] + i / inner * inner * n + i % inner;
        int64_t best = 0;
        for (int64_t j = 1; j < n; j++)
            if (c->build == argmin ? first[j * inner] < first[best * inner]
                                   : first[j * inner] > first[best * inner])
                best = j;
        y[i] = (double)best;
    }
}

static const op_case composed[] = {
    {"softmax of rows",
     1,
     {OP_SHAPE(CLG_BATCH, 10)},
     softmax,
     softmaxed,
     .p = {-1},
     .batch = {5, 33, 1}},
    {"softmax of one class", 1, {OP_SHAPE(4, 1)}, softmax, softmaxed, .p = {1}},
    {"softmax of columns", 1, {OP_SHAPE(7, 3)}, softmax, softmaxed, .p = {0}},
    {"softmax of the middle", 1, {OP_SHAPE(2, 5, 3)}, softmax, softmaxed, .p = {1}},
    {"softmax of 1023", 1, {OP_SHAPE(3, 1023)}, softmax, softmaxed, .p = {1}},
    {"log_softmax of rows",
     1,
     {OP_SHAPE(CLG_BATCH, 10)},
     log_softmax,
     softmaxed,
     .p = {-1},
     .batch = {5, 33, 1}},
    {"log_softmax of columns", 1, {OP_SHAPE(7, 3)}, log_softmax, softmaxed, .p = {0}},
    {"norm", 1, {OP_SHAPE(5, 7)}, norm, normed},
    {"argmax of rows",
     1,
     {OP_SHAPE(CLG_BATCH, 10)},
     argmax,
     argmaxed,
     .p = {1},
     .batch = {5, 33, 1}},
    {"argmax over the batch",
     1,
     {OP_SHAPE(CLG_BATCH, 3)},
     argmax,
     argmaxed,
     .p = {0},
     .batch = {5, 33, 1}},
    {"argmax of the middle", 1, {OP_SHAPE(3, 17, 4)}, argmax, argmaxed, .p = {1}},
    {"argmin of the middle", 1, {OP_SHAPE(3, 17, 4)}, argmin, argmaxed, .p = {1}},
};

START_TEST(compositions_of_reductions)
{
    op_check_table(composed, CLG__COUNT(composed));
}
END_TEST

/* Runs `outputs` of an input x of `count` elements once. */
static void run(clg_tensor *x, const float *data, clg_tensor *const *outputs, size_t n,
                float *const *results)
{
    clg_context *ctx = op_check_context();
    clg_program *program = op_check_compile(ctx, x->graph, outputs, n, CLG_INFERENCE);
    op_check_feed(program, x, data, clg_shape_count(&x->shape));
    TEST_OK(clg_program_run(program));
    for (size_t i = 0; i < n; i++)
        op_check_read(program, outputs[i], results[i], clg_shape_count(&outputs[i]->shape));
    clg_program_destroy(program);
    clg_graph_destroy(x->graph);
    clg_context_destroy(ctx);
}

START_TEST(ties_share_the_gradient_and_the_first_is_the_argmax)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, 4)), *dx;
    clg_tensor *y = clg_max(x, CLG_AXIS(1), false);
    TEST_OK(clg_vjp(y, clg_full(g, CLG_SHAPE(2), 6), &x, 1, &dx));
    float max_value[2], gradient[8], index[2];
    run(x, (float[]){1, 5, 5, 0, 2, 2, 2, 1}, (clg_tensor *[]){y, dx, clg_argmax(x, -1)}, 3,
        (float *[]){max_value, gradient, index});
    op_check_close("max", "value", max_value, (double[]){5, 2}, 2, 0);
    op_check_close("max", "gradient", gradient, (double[]){0, 3, 3, 0, 2, 2, 2, 0}, 8, 1e-6);
    op_check_close("argmax", "value", index, (double[]){1, 0}, 2, 0);
}
END_TEST

START_TEST(extremes_neither_overflow_nor_hide_nan)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(3, 3));
    float soft[9], log_soft[9], largest[3], total[3];
    run(x, (float[]){1e4f, 0, -1e4f, -INFINITY, 2, -INFINITY, 1, NAN, 2},
        (clg_tensor *[]){clg_softmax(x, 1), clg_log_softmax(x, 1), clg_max(x, CLG_AXIS(1), false),
                         clg_sum(x, CLG_AXIS(1), false)},
        4, (float *[]){soft, log_soft, largest, total});
    op_check_close("softmax", "rows", soft, (double[]){1, 0, 0, 0, 1, 0, NAN, NAN, NAN}, 9, 1e-6);
    op_check_close("log_softmax", "rows", log_soft,
                   (double[]){0, -1e4, -2e4, -INFINITY, 0, -INFINITY, NAN, NAN, NAN}, 9, 1e-6);
    op_check_close("max", "rows", largest, (double[]){1e4, 2, NAN}, 3, 1e-6);
    op_check_close("sum", "rows", total, (double[]){0, -INFINITY, NAN}, 3, 1e-6);
}
END_TEST

START_TEST(norms_and_deviations_of_nothing_have_no_slope)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, 3)), *d[4];
    clg_tensor *y[] = {clg_norm(x), clg_vector_norm(x, 2, CLG_AXIS(1), false),
                       clg_standard_deviation(x, CLG_AXIS(1), true, false),
                       clg_vector_norm(x, INFINITY, CLG_AXIS(1), false)};
    for (int i = 0; i < 4; i++) TEST_OK(clg_gradients(clg_sum(y[i], 0, false), &x, 1, &d[i]));
    float got[4][6], large[2];
    clg_tensor *outputs[] = {d[0], d[1], d[2], d[3], clg_log_sum_exp(x, CLG_AXIS(1), false)};
    run(x, (float[]){0, 0, 0, 5, 5, 5}, outputs, 5,
        (float *[]){got[0], got[1], got[2], got[3], large});
    const double third = 1 / sqrt(3);
    op_check_close("norm", "gradient", got[0], (double[]){0, 0, 0, third, third, third}, 6, 1e-6);
    op_check_close("norm", "gradient", got[1], (double[]){0, 0, 0, third, third, third}, 6, 1e-6);
    op_check_close("deviation", "gradient", got[2], (double[6]){0}, 6, 1e-6);
    op_check_close("max norm", "gradient", got[3], (double[]){0, 0, 0, 1 / 3.0, 1 / 3.0, 1 / 3.0},
                   6, 1e-6);
    op_check_close("log_sum_exp", "value", large, (double[]){log(3), 5 + log(3)}, 2, 1e-6);
}
END_TEST

START_TEST(log_sum_exp_of_extremes)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(5, 2));
    float got[5];
    run(x, (float[]){1e4f, 1e4f, -1e4f, -INFINITY, -INFINITY, -INFINITY, INFINITY, 0, NAN, 0},
        (clg_tensor *[]){clg_log_sum_exp(x, CLG_AXIS(1), false)}, 1, (float *[]){got});
    op_check_close("log_sum_exp", "extremes", got,
                   (double[]){1e4 + log(2), -1e4, -INFINITY, INFINITY, NAN}, 5, 1e-6);
}
END_TEST

START_TEST(sums_keep_their_digits)
{
    enum { N = 1 << 20 };
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(N));
    float *data = malloc(N * sizeof *data), total, average;
    double want = 0;
    for (int i = 0; i < N; i++) want += data[i] = 1.0f + (float)(i % 1000) * 1e-3f;
    run(x, data, (clg_tensor *[]){clg_sum(x, 0, false), clg_mean(x, 0, false)}, 2,
        (float *[]){&total, &average});
    free(data);
    ck_assert_double_eq_tol(total / want, 1, 1e-6);
    ck_assert_double_eq_tol(average / (want / N), 1, 1e-6);
}
END_TEST

START_TEST(axes_out_of_range_are_named)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(3, 5));
    ck_assert_ptr_null(clg_sum(x, CLG_AXIS(2), false));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT,
               "sum: the axes 0x4 are not all within 0 .. 1 of (3, 5)");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    ck_assert_ptr_null(clg_softmax(clg_scalar(g, 1), 0));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "softmax: axis 0 is out of range");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    x = clg_input(g, "x", CLG_F32, CLG_SHAPE(3, 5));
    ck_assert_ptr_null(clg_vector_norm(x, 3, 0, false));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "vector_norm: p = 3");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    x = clg_input(g, "x", CLG_F32, CLG_SHAPE(3, 5));
    ck_assert_ptr_null(clg_variance(x, CLG_AXIS(3), false, false));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "variance: the axes 0x8 are not all");
    clg_graph_destroy(g);
    ck_assert_ptr_null(clg_min(NULL, 0, false));
    ck_assert_ptr_null(clg_argmin(NULL, 0));
    ck_assert_ptr_null(clg_variance(NULL, 0, false, false));
    ck_assert_ptr_null(clg_standard_deviation(NULL, 0, false, false));
    ck_assert_ptr_null(clg_vector_norm(NULL, 2, 0, false));
    ck_assert_ptr_null(clg_log_sum_exp(NULL, 0, false));
    ck_assert_ptr_null(clg_mean(NULL, 0, false));
    ck_assert_ptr_null(clg_argmax(NULL, 0));
    ck_assert_ptr_null(clg_norm(NULL));
    ck_assert_ptr_null(clg_log_softmax(NULL, 0));
}
END_TEST

void ops_reduce_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "reductions");
    tcase_add_test(values, reductions_over_all_kinds_of_axes);
    TCase *compositions = testing_case(suite, "softmax and the like");
    tcase_add_test(compositions, compositions_of_reductions);
    tcase_add_test(compositions, statistics_in_value_and_gradient);
    TCase *special = testing_case(suite, "reductions of special values");
    tcase_add_test(special, ties_share_the_gradient_and_the_first_is_the_argmax);
    tcase_add_test(special, extremes_neither_overflow_nor_hide_nan);
    tcase_add_test(special, norms_and_deviations_of_nothing_have_no_slope);
    tcase_add_test(special, log_sum_exp_of_extremes);
    tcase_add_test(special, sums_keep_their_digits);
    tcase_add_test(special, axes_out_of_range_are_named);
}
