/*
 * Pooling against references in double, on the kernels of both engines: values, the gradients of
 * both orders (backward and gather are the only way to be differentiated twice), ties, NaN, fused
 * neighbours, other batch sizes, and bad arguments.
 */
#include "evaluate.h"

typedef struct geometry {
    int n, h, w, c;
    clg_pool2d_params params;
    int oh, ow; /* filled in by make_case */
} geometry;

/* ---- references ---- */

/* Where the window of an output begins: its element in x, which may lie outside. */
typedef struct corner {
    int n, y, x, c;
} corner;

static corner corner_of(const geometry *p, int64_t output)
{
    corner at = {.c = (int)(output % p->c)};
    int64_t pixel = output / p->c;
    at.x = (int)(pixel % p->ow) * p->params.stride[1] - p->params.pad[1];
    at.y = (int)(pixel / p->ow % p->oh) * p->params.stride[0] - p->params.pad[0];
    at.n = (int)(pixel / p->ow / p->oh);
    return at;
}

/* Element of x at row i and column j of a window, -1 in the padding. */
static int64_t element(const geometry *p, corner at, int i, int j)
{
    int y = at.y + i, x = at.x + j;
    if (y < 0 || y >= p->h || x < 0 || x >= p->w) return -1;
    return (((int64_t)at.n * p->h + y) * p->w + x) * p->c + at.c;
}

/* The window's first maximum; the last NaN wins over all. */
static int64_t maximum(const geometry *p, const float *x, int64_t output)
{
    int64_t best = -1;
    for (int i = 0; i < p->params.size[0]; i++)
        for (int j = 0; j < p->params.size[1]; j++) {
            int64_t e = element(p, corner_of(p, output), i, j);
            if (e >= 0 && (best < 0 || x[e] > x[best] || isnan(x[e]))) best = e;
        }
    return best;
}

/* Adds value / window size to the window's elements of `image`, or returns their sum by it. */
static double average(const geometry *p, double *image, int64_t output, double value, bool spread)
{
    double area = (double)p->params.size[0] * p->params.size[1], sum = 0;
    for (int i = 0; i < p->params.size[0]; i++)
        for (int j = 0; j < p->params.size[1]; j++) {
            int64_t e = element(p, corner_of(p, output), i, j);
            if (e < 0) continue;
            if (spread) image[e] += value / area;
            sum += image[e] / area;
        }
    return sum;
}

/* ---- one geometry, all six operations ---- */

typedef struct outputs {
    array value, backward, gather;
} outputs;

/* The operation, its gradient for g at x, and the gradient of that for v at g. */
static outputs differentiate(clg_tensor *y, array *x, array *g, array *v)
{
    outputs o = {.value = {.tensor = y}};
    TEST_OK(clg_vjp(y, g->tensor, &x->tensor, 1, &o.backward.tensor));
    TEST_OK(clg_vjp(o.backward.tensor, v->tensor, &g->tensor, 1, &o.gather.tensor));
    return o;
}

static void free_outputs(outputs *o)
{
    free(o->value.data);
    free(o->backward.data);
    free(o->gather.data);
}

static void check_max(const geometry *p, const array *x, const array *g, const array *v,
                      const outputs *o)
{
    double *value = calloc((size_t)g->count, sizeof(double));
    double *gather = calloc((size_t)g->count, sizeof(double));
    double *backward = calloc((size_t)x->count, sizeof(double));
    for (int64_t i = 0; i < g->count; i++) {
        int64_t e = maximum(p, x->data, i);
        value[i] = x->data[e];
        gather[i] = v->data[e];
        backward[e] += g->data[i];
    }
    assert_close("max_pool2d", &o->value, value, 0);
    assert_close("max_pool2d_backward", &o->backward, backward, 1e-5);
    assert_close("max_pool2d_gather", &o->gather, gather, 0);
    free(value);
    free(gather);
    free(backward);
}

static void check_average(const geometry *p, const array *x, const array *g, const array *v,
                          const outputs *o)
{
    double *value = calloc((size_t)g->count, sizeof(double));
    double *again = calloc((size_t)g->count, sizeof(double));
    double *backward = calloc((size_t)x->count, sizeof(double));
    double *from = calloc((size_t)x->count, sizeof(double));
    for (int64_t i = 0; i < g->count; i++) average(p, backward, i, g->data[i], true);
    for (int64_t i = 0; i < x->count; i++) from[i] = x->data[i];
    for (int64_t i = 0; i < g->count; i++) value[i] = average(p, from, i, 0, false);
    for (int64_t i = 0; i < x->count; i++) from[i] = v->data[i];
    for (int64_t i = 0; i < g->count; i++) again[i] = average(p, from, i, 0, false);
    assert_close("average_pool2d", &o->value, value, 1e-5);
    assert_close("average_pool2d_backward", &o->backward, backward, 1e-5);
    assert_close("gradient of average_pool2d_backward", &o->gather, again, 1e-5);
    free(value);
    free(again);
    free(backward);
    free(from);
}

/* Few different values, so that there are ties. */
static void make_ties(array *x)
{
    for (int64_t i = 0; i < x->count; i++) x->data[i] = roundf(3 * x->data[i]);
}

static void make_special(array *x)
{
    for (int64_t i = 0; i < x->count; i += 5)
        x->data[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? -INFINITY : INFINITY;
}

static void check_geometry(clg_context *ctx, geometry p, bool special)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = p.n));
    clg_shape image = CLG_SHAPE(CLG_BATCH, p.h, p.w, p.c);
    int64_t count = (int64_t)p.n * p.h * p.w * p.c;
    array x = array_random(count, 1), v = array_random(count, 2);
    (special ? make_special : make_ties)(&x);
    x.tensor = clg_input(g, "x", CLG_F32, image);
    v.tensor = clg_input(g, "v", CLG_F32, image);
    clg_tensor *y = clg_max_pool2d(x.tensor, &p.params);
    TEST_OK(clg_graph_status(g));
    const clg_shape *pooled = clg_tensor_shape(y);
    array dy = array_random(clg_shape_count(pooled), 3);
    p.oh = (int)pooled->dim[1];
    p.ow = (int)pooled->dim[2];
    dy.tensor = clg_input(g, "g", CLG_F32, CLG_SHAPE(CLG_BATCH, p.oh, p.ow, p.c));
    outputs largest = differentiate(y, &x, &dy, &v);
    outputs mean = differentiate(clg_average_pool2d(x.tensor, &p.params), &x, &dy, &v);
    array *all[] = {&largest.value, &largest.backward, &largest.gather,
                    &mean.value,    &mean.backward,    &mean.gather};
    evaluate(ctx, g, (array *[]){&x, &dy, &v}, 3, all, special ? 3 : 6);
    check_max(&p, &x, &dy, &v, &largest);
    if (!special) check_average(&p, &x, &dy, &v, &mean);
    free_outputs(&largest);
    free_outputs(&mean);
    free(x.data);
    free(v.data);
    free(dy.data);
    clg_graph_destroy(g);
}

/* Vector widths, rests, gaps between windows, overlaps, padding, windows as large as the image. */
static const geometry geometries[] = {
    {1, 7, 7, 1, {{2, 2}, {2, 2}, {0, 0}}, 0, 0},   {3, 9, 6, 32, {{2, 2}, {2, 2}, {0, 0}}, 0, 0},
    {2, 33, 5, 20, {{3, 2}, {4, 3}, {1, 1}}, 0, 0}, {2, 8, 7, 7, {{3, 3}, {2, 2}, {1, 1}}, 0, 0},
    {1, 6, 9, 33, {{3, 4}, {1, 3}, {2, 0}}, 0, 0},  {2, 3, 4, 1023, {{3, 4}, {1, 1}, {0, 0}}, 0, 0},
    {65, 4, 4, 8, {{1, 1}, {1, 1}, {0, 0}}, 0, 0},
};

START_TEST(values_and_gradients_on_the_cpu_engine)
{
    clg_context *ctx = engine_context("cpu");
    for (size_t i = 0; i < CLG__COUNT(geometries); i++) check_geometry(ctx, geometries[i], false);
    check_geometry(ctx, geometries[1], true);
    check_geometry(ctx, geometries[3], true);
    clg_context_destroy(ctx);
}
END_TEST

/* The same kernels with other shares of work. */
START_TEST(values_and_gradients_on_the_gpu_engine)
{
    clg_context *ctx = engine_context("gpu");
    check_geometry(ctx, geometries[1], true);
    for (size_t i = 2; i < 5; i++) check_geometry(ctx, geometries[i], false);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- with neighbours ---- */

/* relu before and after, the residual added: all in the pools' epilogues or theirs. */
START_TEST(neighbours_are_fused_and_batches_vary)
{
    clg_context *ctx = engine_context("cpu");
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 3));
    array x = array_random(3 * 4 * 4 * 4, 5), half = array_random(2 * 4 * 4 * 4, 6);
    x.tensor = half.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 4, 4, 4));
    clg_tensor *pooled = clg_max_pool2d(clg_relu(x.tensor), NULL);
    array y = {.tensor = clg_sum(clg_square(pooled), 0, false)}, dx = {0};
    TEST_OK(clg_gradients(y.tensor, &x.tensor, 1, &dx.tensor));
    clg_program *p = compile_outputs(ctx, g, (array *[]){&y, &dx}, 2);
    for (int round = 0; round < 2; round++) {
        array *in = round == 0 ? &x : &half;
        TEST_OK(clg_program_set_batch(p, round == 0 ? 3 : 2));
        dx.count = in->count;
        dx.data = realloc(dx.data, (size_t)in->count * sizeof(float));
        evaluate_program(p, &in, 1, (array *[]){&y, &dx}, 2);
        double sum = 0, *expected = calloc((size_t)in->count, sizeof(double));
        geometry at = {round == 0 ? 3 : 2, 4, 4, 4, {{2, 2}, {2, 2}, {0, 0}}, 2, 2};
        for (int64_t i = 0; i < in->count / 4; i++) {
            int64_t e = maximum(&at, in->data, i);
            double value = in->data[e] > 0 ? in->data[e] : 0;
            sum += value * value;
            expected[e] = 2 * value;
        }
        assert_close("sum of squares", &y, &sum, 1e-4);
        assert_close("its gradient", &dx, expected, 1e-5);
        free(expected);
    }
    clg_program_destroy(p);
    free(x.data);
    free(half.data);
    free(y.data);
    free(dx.data);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(global_average_is_the_mean_of_an_image)
{
    clg_context *ctx = engine_context("cpu");
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 2));
    array x = array_random(2 * 5 * 3 * 7, 8), y = {0};
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 5, 3, 7));
    y.tensor = clg_global_average_pool2d(x.tensor);
    evaluate(ctx, g, (array *[]){&x}, 1, (array *[]){&y}, 1);
    double expected[14] = {0};
    for (int64_t i = 0; i < x.count; i++) expected[i / 105 * 7 + i % 7] += x.data[i] / 15.0;
    ck_assert_int_eq(y.count, 14);
    assert_close("global average", &y, expected, 1e-6);
    free(x.data);
    free(y.data);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- bad arguments ---- */

static void assert_refused(clg_shape shape, clg_pool2d_params params, const char *text)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, shape);
    ck_assert_ptr_nonnull(x);
    ck_assert_ptr_null(clg_max_pool2d(x, &params));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, text);
    ck_assert_ptr_null(clg_average_pool2d(NULL, NULL));
    clg_graph_destroy(g);
}

START_TEST(impossible_windows_are_refused)
{
    const clg_shape image = CLG_SHAPE(2, 4, 5, 3);
    assert_refused(CLG_SHAPE(4, 5, 3), (clg_pool2d_params){.size = {2}},
                   "max_pool2d: expected an image (N, H, W, C), got (4, 5, 3)");
    assert_refused(image, (clg_pool2d_params){.size = {5}},
                   "the window (5, 5) is larger than the image (2, 4, 5, 3) padded by (0, 0)");
    assert_refused(image, (clg_pool2d_params){.size = {2, 3}, .pad = {0, 3}},
                   "padding (0, 3) must be at least 0 and smaller than the window (2, 3)");
    assert_refused(image, (clg_pool2d_params){.size = {2}, .pad = {-1, 0}}, "padding (-1, 0)");
    assert_refused(image, (clg_pool2d_params){.size = {-2}}, "window (-2, -2)");
    assert_refused(image, (clg_pool2d_params){.stride = {1, -1}}, "stride (1, -1)");
}
END_TEST

START_TEST(defaults_halve_the_image)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, 7, 6, 3));
    clg_shape expected = CLG_SHAPE(2, 3, 3, 3), wide = CLG_SHAPE(2, 5, 2, 3);
    ck_assert(clg_shape_equal(clg_tensor_shape(clg_average_pool2d(x, NULL)), &expected));
    x = clg_max_pool2d(x, clg_pool2d_options(.size = {3, 3}, .stride = {1, 0}));
    ck_assert(clg_shape_equal(clg_tensor_shape(x), &wide));
    clg_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool2d");
    TCase *values = testing_case(suite, "values");
    tcase_set_timeout(values, 0);
    tcase_add_test(values, values_and_gradients_on_the_cpu_engine);
    tcase_add_test(values, values_and_gradients_on_the_gpu_engine);
    tcase_add_test(values, neighbours_are_fused_and_batches_vary);
    tcase_add_test(values, global_average_is_the_mean_of_an_image);
    TCase *arguments = testing_case(suite, "arguments");
    tcase_add_test(arguments, impossible_windows_are_refused);
    tcase_add_test(arguments, defaults_halve_the_image);
    return testing_run(suite);
}
