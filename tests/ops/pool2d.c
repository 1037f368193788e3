/*
 * Pooling: windows that overlap, leave pixels out, or reach into the padding; ties; messages.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* p: size h, w; stride h, w; pad h, w */
static clg_pool2d_params params_of(const op_case *c)
{
    return (clg_pool2d_params){
        .size = {c->p[0], c->p[1]}, .stride = {c->p[2], c->p[3]}, .pad = {c->p[4], c->p[5]}};
}

static clg_tensor *max_pool(const op_case *c, clg_tensor *const *x)
{
    clg_pool2d_params params = params_of(c);
    return clg_max_pool2d(x[0], &params);
}

static clg_tensor *average_pool(const op_case *c, clg_tensor *const *x)
{
    clg_pool2d_params params = params_of(c);
    return clg_square(clg_average_pool2d(x[0], &params));
}

/* So that the gradient masks with what the pool sees: conv, relu, pool is the usual order. */
static clg_tensor *pooled_relu(const op_case *c, clg_tensor *const *x)
{
    clg_pool2d_params params = params_of(c);
    return clg_square(clg_max_pool2d(clg_relu(x[0]), &params));
}

static void pooled(const op_case *c, const clg_shape *in, const double *const *x,
                   const clg_shape *out, double *y)
{
    int size[2], stride[2];
    for (int i = 0; i < 2; i++) {
        size[i] = c->p[i] ? c->p[i] : c->p[0] ? c->p[0] : 2;
        stride[i] = c->p[2 + i] ? c->p[2 + i] : size[i];
    }
    bool average = c->build == average_pool;
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        y[i] = average ? 0 : -INFINITY;
        for (int k = 0; k < size[0] * size[1]; k++) {
            int64_t from[] = {at[0], at[1] * stride[0] - c->p[4] + k / size[1],
                              at[2] * stride[1] - c->p[5] + k % size[1], at[3]};
            if (from[1] < 0 || from[1] >= in->dim[1] || from[2] < 0 || from[2] >= in->dim[2])
                continue;
            double v = x[0][op_check_index(in, from)];
            if (c->build == pooled_relu) v = fmax(v, 0);
            y[i] = average ? y[i] + v / (size[0] * size[1]) : fmax(y[i], v);
        }
        if (c->build != max_pool) y[i] *= y[i];
    }
}

static clg_tensor *global_average(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_global_average_pool2d(x[0]));
}

static void averaged(const op_case *c, const clg_shape *in, const double *const *x,
                     const clg_shape *out, double *y)
{
    int64_t channels = in->dim[3], pixels = in->dim[1] * in->dim[2];
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        double sum = 0;
        for (int64_t p = 0; p < pixels; p++)
            sum += x[0][(i / channels * pixels + p) * channels + i % channels];
        y[i] = sum / (double)pixels * sum / (double)pixels;
    }
}

/* p: height, width, average */
static clg_tensor *adaptive(const op_case *c, clg_tensor *const *x)
{
    clg_tensor *y = c->p[2] ? clg_adaptive_average_pool2d(x[0], c->p[0], c->p[1])
                            : clg_adaptive_max_pool2d(x[0], c->p[0], c->p[1]);
    return clg_square(y);
}

static void shared_out(const op_case *c, const clg_shape *in, const double *const *x,
                       const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS], first[2], behind[2];
        op_check_coordinates(out, i, at);
        for (int k = 0; k < 2; k++) {
            first[k] = at[1 + k] * in->dim[1 + k] / c->p[k];
            behind[k] = ((at[1 + k] + 1) * in->dim[1 + k] + c->p[k] - 1) / c->p[k];
        }
        double sum = 0, largest = -INFINITY;
        for (at[1] = first[0]; at[1] < behind[0]; at[1]++)
            for (at[2] = first[1]; at[2] < behind[1]; at[2]++) {
                double v = x[0][op_check_index(in, at)];
                sum += v / (double)((behind[0] - first[0]) * (behind[1] - first[1]));
                largest = fmax(largest, v);
            }
        y[i] = c->p[2] ? sum * sum : largest * largest;
    }
}

#define IMAGES(n, h, w, c)                                                                         \
    {                                                                                              \
        OP_SHAPE(n, h, w, c)                                                                       \
    }
static const op_case cases[] = {
    {"max 2x2", 1, IMAGES(2, 6, 4, 3), max_pool, pooled},
    {"max 2x2 with a rest", 1, IMAGES(1, 7, 5, 17), max_pool, pooled},
    {"max 3x2, stride 2 and 1", 1, IMAGES(1, 7, 5, 4), max_pool, pooled, .p = {3, 2, 2, 1}},
    {"max 3x3, stride 2, padded", 1, IMAGES(2, 7, 6, 5), max_pool, pooled, .p = {3, 3, 2, 2, 1, 1}},
    {"max 1x1, stride 2", 1, IMAGES(1, 5, 5, 2), max_pool, pooled, .p = {1, 1, 2, 2}},
    {"max of the batch", 1, IMAGES(CLG_BATCH, 4, 4, 3), max_pool, pooled, .batch = {3, 6, 1}},
    {"max of relu", 1, IMAGES(CLG_BATCH, 5, 4, 3), pooled_relu, pooled, .batch = {3, 6, 1}},
    {"average 2x2", 1, IMAGES(2, 6, 4, 3), average_pool, pooled},
    {"average 2x2 with a rest", 1, IMAGES(1, 7, 5, 17), average_pool, pooled},
    {"average 3x3, stride 2, padded", 1, IMAGES(2, 7, 6, 5), average_pool, pooled,
     .p = {3, 3, 2, 2, 1, 1}},
    {"average 3x1, stride 1", 1, IMAGES(1, 4, 3, 2), average_pool, pooled, .p = {3, 1, 1, 1}},
    {"average of the batch", 1, IMAGES(CLG_BATCH, 4, 4, 3), average_pool, pooled,
     .batch = {3, 6, 1}},
    {"adaptive average, even", 1, IMAGES(2, 6, 4, 3), adaptive, shared_out, .p = {3, 2, 1}},
    {"adaptive average, uneven", 1, IMAGES(2, 7, 5, 17), adaptive, shared_out, .p = {3, 2, 1}},
    {"adaptive average, one way even", 1, IMAGES(1, 7, 6, 3), adaptive, shared_out, .p = {4, 3, 1}},
    {"adaptive average to more pixels", 1, IMAGES(1, 3, 5, 2), adaptive, shared_out,
     .p = {7, 6, 1}},
    {"adaptive max, even", 1, IMAGES(2, 6, 4, 3), adaptive, shared_out, .p = {2, 4}},
    {"adaptive max, uneven", 1, IMAGES(2, 7, 5, 17), adaptive, shared_out, .p = {3, 2}},
    {"adaptive max of the batch", 1, IMAGES(CLG_BATCH, 5, 4, 3), adaptive, shared_out, .p = {2, 3},
     .batch = {3, 6, 1}},
    {"adaptive average of the batch", 1, IMAGES(CLG_BATCH, 5, 4, 3), adaptive, shared_out,
     .p = {2, 3, 1}, .batch = {3, 6, 1}},
    {"global average", 1, IMAGES(CLG_BATCH, 5, 3, 7), global_average, averaged, .batch = {3, 6, 1}},
};

START_TEST(pools_of_every_geometry)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

START_TEST(ties_go_to_the_first_and_nan_wins)
{
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(1, 2, 4, 1)), *dx;
    clg_tensor *y = clg_max_pool2d(x, NULL);
    TEST_OK(clg_vjp(y, clg_full(g, CLG_SHAPE(1, 1, 2, 1), 2), &x, 1, &dx));
    clg_tensor *outputs[] = {y, dx};
    clg_program *program = op_check_compile(ctx, g, outputs, 2, CLG_INFERENCE);
    float got[8];
    op_check_feed(program, x, (float[]){1, 3, 5, 5, 3, 3, 5, 5}, 8);
    TEST_OK(clg_program_run(program));
    op_check_read(program, y, got, 2);
    op_check_close("max_pool2d", "value", got, (double[]){3, 5}, 2, 0);
    op_check_read(program, dx, got, 8);
    op_check_close("max_pool2d", "gradient", got, (double[]){0, 2, 2, 0, 0, 0, 0, 0}, 8, 0);
    op_check_feed(program, x, (float[]){1, NAN, -INFINITY, -INFINITY, 3, 9, -INFINITY, -INFINITY},
                  8);
    TEST_OK(clg_program_run(program));
    op_check_read(program, y, got, 2);
    op_check_close("max_pool2d", "value", got, (double[]){NAN, -INFINITY}, 2, 0);
    op_check_read(program, dx, got, 8);
    op_check_close("max_pool2d", "gradient", got, (double[]){0, 2, 2, 0, 0, 0, 0, 0}, 8, 0);
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* What backward scatters, its own gradient gathers, and the gradient of that scatters again. */
START_TEST(gathering_at_the_maxima_is_differentiable)
{
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(1, 2, 4, 1)), *dx;
    clg_tensor *v = clg_input(g, "v", CLG_F32, CLG_SHAPE(1, 2, 4, 1)), *gathered, *scattered;
    clg_tensor *dy = clg_full(g, CLG_SHAPE(1, 1, 2, 1), 2);
    TEST_OK(clg_vjp(clg_max_pool2d(x, NULL), dy, &x, 1, &dx));
    TEST_OK(clg_vjp(dx, v, &dy, 1, &gathered));
    TEST_OK(clg_vjp(gathered, clg_full(g, CLG_SHAPE(1, 1, 2, 1), 3), &v, 1, &scattered));
    clg_tensor *outputs[] = {gathered, scattered};
    clg_program *program = op_check_compile(ctx, g, outputs, 2, CLG_INFERENCE);
    float got[8];
    op_check_feed(program, x, (float[]){1, 3, 5, 5, 3, 3, 5, 5}, 8);
    op_check_feed(program, v, (float[]){10, 11, 12, 13, 14, 15, 16, 17}, 8);
    TEST_OK(clg_program_run(program));
    op_check_read(program, gathered, got, 2);
    op_check_close("max_pool2d_gather", "value", got, (double[]){11, 12}, 2, 0);
    op_check_read(program, scattered, got, 8);
    op_check_close("max_pool2d_gather", "gradient", got, (double[]){0, 3, 3, 0, 0, 0, 0, 0}, 8, 0);
    op_check_differentiated(gathered, 1);
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

static const struct {
    clg_shape x;
    clg_pool2d_params params;
    const char *message;
} mistakes[] = {
    {OP_SHAPE(4, 4, 3), {{0}}, "expected an image (N, H, W, C), got (4, 4, 3)"},
    {OP_SHAPE(1, 4, 4, 3), {.size = {5}}, "(1, 4, 4, 3)"},
    {OP_SHAPE(1, 4, 4, 3), {.size = {-2}}, "max_pool2d"},
    {OP_SHAPE(1, 4, 4, 3), {.size = {2, 2}, .pad = {2, 0}}, "max_pool2d"},
};

START_TEST(a_pool_that_cannot_be_is_named)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, mistakes[_i].x);
    ck_assert_ptr_null(clg_max_pool2d(x, &mistakes[_i].params));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, mistakes[_i].message);
    ck_assert_ptr_null(clg_max_pool2d(NULL, NULL));
    ck_assert_ptr_null(clg_average_pool2d(NULL, NULL));
    ck_assert_ptr_null(clg_global_average_pool2d(NULL));
    ck_assert_ptr_null(clg_adaptive_average_pool2d(NULL, 1, 1));
    clg_graph_destroy(g);
}
END_TEST

START_TEST(an_adaptive_pool_that_cannot_be_is_named)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(1, 4, 4, 3));
    ck_assert_ptr_null(clg_adaptive_max_pool2d(x, _i ? 1 << 15 : 2, _i ? 1 << 15 : 0));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT,
               _i ? "32768 x 32768 pixels of (1, 4, 4, 3)"
                  : "adaptive_max_pool2d: 2 x 0 pixels of (1, 4, 4, 3): at least one");
    clg_graph_destroy(g);
}
END_TEST

void ops_pool2d_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "pool2d");
    tcase_add_test(values, pools_of_every_geometry);
    tcase_add_test(values, ties_go_to_the_first_and_nan_wins);
    tcase_add_test(values, gathering_at_the_maxima_is_differentiable);
    TCase *arguments = testing_case(suite, "pool2d arguments");
    tcase_add_loop_test(arguments, a_pool_that_cannot_be_is_named, 0, CLG__COUNT(mistakes));
    tcase_add_loop_test(arguments, an_adaptive_pool_that_cannot_be_is_named, 0, 2);
}
