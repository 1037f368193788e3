/*
 * clg_gradcheck: right gradients pass, wrong ones are found and named, variables keep their values,
 * and so they do when anything fails on the way.
 */
#include <CL/cl.h>
#include <math.h>

#include "clgrad/clgrad.h"
#include "testing_context.h"

enum { ROWS = 4, SIDE = 6, CLASSES = 3 };

typedef struct network {
    clg_context *ctx;
    clg_graph *g;
    clg_tensor *x, *labels, *w, *y;
    float x_data[ROWS * SIDE * SIDE * 2];
    int32_t label_data[ROWS];
    clg_gradcheck_feed feeds[2];
} network;

/* Convolution, batch norm, dropout, pooling, a product, and a loss of labels. */
static void build(network *n)
{
    n->ctx = testing_context();
    n->g = clg_graph_create(clg_graph_options(.batch = ROWS, .seed = 4));
    n->x = clg_input(n->g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, SIDE, SIDE, 2));
    n->labels = clg_input(n->g, "labels", CLG_I32, CLG_SHAPE(CLG_BATCH));
    clg_tensor *h = clg_conv2d_layer(n->x, "conv", 5, 3, NULL);
    h = clg_dropout(clg_tanh(clg_batch_norm_layer(h, "norm", NULL)), 0.25);
    h = clg_flatten(clg_average_pool2d(h, NULL));
    n->y = clg_softmax_cross_entropy(clg_linear_layer(h, "fc", CLASSES, NULL), n->labels, NULL);
    n->w = clg_graph_find(n->g, "conv.weight");
    TEST_OK(clg_graph_status(n->g));
    for (size_t i = 0; i < CLG__COUNT(n->x_data); i++) n->x_data[i] = sinf(1.7f * (float)i);
    for (int i = 0; i < ROWS; i++) n->label_data[i] = i % CLASSES;
    n->feeds[0] = (clg_gradcheck_feed){n->x, n->x_data};
    n->feeds[1] = (clg_gradcheck_feed){n->labels, n->label_data};
}

static void drop(network *n)
{
    clg_graph_destroy(n->g);
    clg_context_destroy(n->ctx);
}

START_TEST(a_whole_network_passes)
{
    static const clg_program_mode modes[] = {CLG_INFERENCE, CLG_TRAINING_FORWARD};
    network n;
    build(&n);
    float before[90], after[90];
    TEST_OK(clg_variable_read(n.w, before, 90));
    for (size_t i = 0; i < CLG__COUNT(modes); i++) {
        clg_gradcheck_report report;
        TEST_OK(clg_gradcheck(
            n.ctx, n.y,
            clg_gradcheck_options(.feeds = n.feeds, .n_feeds = 2, .mode = modes[i], .samples = 5),
            &report));
        ck_assert_msg(report.passed, "%s[%d]: gradient %g, difference %g, error %g",
                      clg_tensor_name(report.worst), (int)report.element, report.gradient,
                      report.difference, report.error);
        /* x, and weight and bias of three layers; biases of 5, 5 and 3 elements */
        ck_assert_int_eq(report.checked, 5 * 6 + 3);
    }
    TEST_OK(clg_variable_read(n.w, after, 90));
    ck_assert_mem_eq(before, after, sizeof before);
    drop(&n);
}
END_TEST

/* Of x stop(x) the gradient is x, and the slope 2 x: worst where x is largest. */
START_TEST(a_wrong_gradient_is_found)
{
    clg_context *ctx = testing_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, 2));
    clg_tensor *v =
        clg_variable(g, "v", CLG_SHAPE(2), CLG_INIT(.kind = CLG_INIT_CONSTANT, .value = 0.5), true);
    clg_tensor *y = clg_mul(clg_mul(x, clg_stop_gradient(x)), v);
    const float data[] = {0.5f, -1, 0.25f, 8};
    const clg_gradcheck_feed feed = {x, data};
    clg_gradcheck_report report;
    TEST_OK(clg_gradcheck(ctx, clg_sum(y, 0, false),
                          clg_gradcheck_options(.feeds = &feed, .n_feeds = 1), &report));
    ck_assert(!report.passed);
    ck_assert_int_eq(report.checked, 6);
    ck_assert_ptr_eq(report.worst, x);
    ck_assert_int_eq(report.element, 3);
    ck_assert_double_eq_tol(report.gradient, 4, 1e-6);
    ck_assert_double_eq_tol(report.difference, 8, 1e-3);
    ck_assert_double_eq_tol(report.error, 0.5, 1e-3);
    /* with respect to v, and of all elements of y, it is right */
    TEST_OK(clg_gradcheck(
        ctx, y, clg_gradcheck_options(.feeds = &feed, .n_feeds = 1, .wrt = &v, .n_wrt = 1),
        &report));
    ck_assert(report.passed && report.checked == 2);
    /* a gradient that is no number is infinitely wrong */
    clg_tensor *root = clg_sum(clg_sqrt(clg_sub(v, v)), 0, false);
    TEST_OK(clg_gradcheck(ctx, root, NULL, &report));
    ck_assert(!report.passed && isinf(report.error));
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(misuse_is_refused)
{
    network n;
    build(&n);
    clg_gradcheck_report report = {.checked = -1};
    clg_gradcheck_params good = {.feeds = n.feeds, .n_feeds = 2}, p = good;
#define REFUSED(y, text) TEST_FAILS(clg_gradcheck(n.ctx, y, &p, &report), CLG_ERROR_ARGUMENT, text)
    p.mode = CLG_TRAINING;
    REFUSED(n.y, "CLG_TRAINING_FORWARD");
    p = good, p.eps = -1;
    REFUSED(n.y, "eps -1");
    p = good, p.n_feeds = 0;
    REFUSED(n.y, "\"x\" is not among the feeds");
    p = good, p.n_feeds = 1;
    REFUSED(n.y, "labels was not fed");
    p = good, p.wrt = &n.labels, p.n_wrt = 1;
    REFUSED(n.y, "of type I32");
    p = good, p.wrt = &n.y, p.n_wrt = 1;
    REFUSED(n.y, "neither an input nor a variable");
    p = good, p.wrt = &(clg_tensor *){NULL}, p.n_wrt = 1;
    REFUSED(n.y, "NULL");
    p = good;
    REFUSED(n.labels, "of type I32");
    REFUSED(clg_scalar(n.g, 1), "no f32 input and no trainable variable");
    p.feeds = (clg_gradcheck_feed[]){{n.y, n.x_data}}, p.n_feeds = 1;
    REFUSED(n.y, "feed 0 is no input");
    REFUSED(NULL, "needed");
    p = good;
    ck_assert_ptr_null(clg_mul(n.x, n.w));
    REFUSED(n.y, "mul: shapes"); /* the graph's own error */
    ck_assert_int_eq(report.checked, -1);
    drop(&n);
}
END_TEST

/* x^2 v, checked while the point-th call (of `points`) fails: v keeps its values. */
static clg_status check_small(clg_context *ctx, clg__fault_kind kind, uint64_t point, bool *kept,
                              uint64_t *points)
{
    clg__fault_set(kind, point, false, CL_OUT_OF_RESOURCES);
    const float values[] = {0.5f, 2}, data[] = {1, 3};
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2)); /* NULL for a graph that is */
    clg_tensor *v = clg_variable(g, "v", CLG_SHAPE(2), (clg_init){0}, true);
    clg_tensor *y = clg_mul(clg_square(x), v);
    clg_status status = y ? clg_variable_write(v, values, 2) : CLG_ERROR_MEMORY;
    bool written = status == CLG_OK;
    const clg_gradcheck_feed feed = {x, data};
    clg_gradcheck_report report;
    if (written)
        status =
            clg_gradcheck(ctx, y, clg_gradcheck_options(.feeds = &feed, .n_feeds = 1), &report);
    *points = clg__fault_passed(kind);
    clg__fault_set(kind, 0, false, 0);
    float after[2];
    if (written) TEST_OK(clg_variable_read(v, after, 2));
    *kept = !written || memcmp(after, values, sizeof after) == 0;
    clg_graph_destroy(g);
    return status;
}

/* At every point at first, then at points further and further apart. */
START_TEST(variables_survive_failures)
{
    clg__fault_kind kind = _i ? CLG__FAULT_OPENCL : CLG__FAULT_ALLOC;
    clg_context *ctx = testing_context();
    bool kept = false;
    uint64_t points = 0;
    TEST_OK(check_small(ctx, kind, 0, &kept, &points)); /* kernels are in the cache from here on */
    TEST_OK(check_small(ctx, kind, 0, &kept, &points));
    int failures = 0;
    for (uint64_t point = 1; point <= points; point += 1 + point / 16) {
        uint64_t passed;
        failures += check_small(ctx, kind, point, &kept, &passed) != CLG_OK;
        ck_assert_msg(kept, "a variable has changed after a failure at point %d", (int)point);
    }
    ck_assert_int_gt(failures, 20);
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gradcheck");
    TCase *tests = testing_case(suite, "gradcheck");
    tcase_add_test(tests, a_whole_network_passes);
    tcase_add_test(tests, a_wrong_gradient_is_found);
    tcase_add_test(tests, misuse_is_refused);
    tcase_add_loop_test(tests, variables_survive_failures, 0, 2);
    return testing_run(suite);
}
