/*
 * Layers, and a network with an optimizer whose allocations fail.
 */
#include <math.h>

#include "clgrad/clgrad.h"
#include "tensor/init.h"
#include "testing_context.h"

/* ---- layers ---- */

static void assert_shape(const clg_tensor *t, clg_shape expected)
{
    ck_assert_ptr_nonnull(t);
    char text[2][128];
    ck_assert_msg(clg_shape_equal(clg_tensor_shape(t), &expected), "%s is %s, expected %s",
                  clg_tensor_name(t), clg_shape_text(clg_tensor_shape(t), text[0], 128),
                  clg_shape_text(&expected, text[1], 128));
}

START_TEST(layers_create_named_variables_of_the_right_shapes)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 2));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 8, 8, 4));
    clg_tensor *h = clg_conv2d_layer(
        x, "conv", 6, 3,
        clg_conv2d_layer_options(.width = 5, .conv = {.groups = 2, .padding = CLG_PADDING_SAME}));
    h = clg_batch_norm_layer(h, "norm", NULL);
    h = clg_linear_layer(clg_flatten(h), "fc", 10, NULL);
    h = clg_linear_layer(h, "plain", 3, clg_linear_options(.no_bias = true));
    TEST_OK(clg_graph_status(g));
    ck_assert_int_eq(clg_tensor_shape(h)->dim[1], 3);
    assert_shape(clg_graph_find(g, "conv.weight"), CLG_SHAPE(3, 5, 2, 6));
    assert_shape(clg_graph_find(g, "conv.bias"), CLG_SHAPE(6));
    assert_shape(clg_graph_find(g, "norm.weight"), CLG_SHAPE(6));
    assert_shape(clg_graph_find(g, "norm.running_var"), CLG_SHAPE(6));
    assert_shape(clg_graph_find(g, "fc.weight"), CLG_SHAPE(384, 10));
    assert_shape(clg_graph_find(g, "plain.weight"), CLG_SHAPE(10, 3));
    ck_assert_ptr_null(clg_graph_find(g, "plain.bias"));
    ck_assert(clg_tensor_trainable(clg_graph_find(g, "norm.bias")));
    ck_assert(!clg_tensor_trainable(clg_graph_find(g, "norm.running_mean")));
    clg_graph_destroy(g);
}
END_TEST

/* Each layer with a fault: the graph's message names the layer. */
static clg_tensor *bad_layer(clg_graph *g, int which)
{
    clg_tensor *rows = clg_input(g, "rows", CLG_F32, CLG_SHAPE(4, 6));
    clg_tensor *image = clg_input(g, "image", CLG_F32, CLG_SHAPE(4, 8, 8, 6));
    switch (which) {
    case 0:
        return clg_linear_layer(rows, "bad", 0, NULL);
    case 1:
        return clg_linear_layer(clg_scalar(g, 1), "bad", 3, NULL);
    case 2:
        return clg_conv2d_layer(rows, "bad", 3, 3, NULL);
    case 3:
        return clg_conv2d_layer(image, "bad", 3, 0, NULL);
    case 4:
        return clg_conv2d_layer(image, "bad", 4, 3,
                                clg_conv2d_layer_options(.conv = {.groups = 4}));
    case 5:
        return clg_batch_norm_layer(clg_scalar(g, 1), "bad", NULL);
    case 6:
        return clg_add(clg_linear_layer(rows, "bad", 6, NULL),
                       clg_linear_layer(rows, "bad", 6, NULL));
    default:
        return clg_linear_layer(clg_input(g, "flat", CLG_F32, CLG_SHAPE(3, CLG_BATCH)), "bad", 1,
                                NULL);
    }
}

START_TEST(faulty_layers_are_refused_by_name)
{
    clg_graph *g = clg_graph_create(NULL);
    ck_assert_ptr_null(bad_layer(g, _i));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "bad");
    clg_graph_destroy(g);
}
END_TEST

START_TEST(weights_start_as_in_torch_unless_told_otherwise)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.seed = 5));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(1, 4, 4, 4));
    clg_conv2d_layer(x, "a", 6, 3, NULL);
    clg_conv2d_layer(x, "b", 6, 3,
                     clg_conv2d_layer_options(.weight_init = &CLG_INIT(.kind = CLG_INIT_HE_NORMAL),
                                              .bias_init = &CLG_INIT(.value = 0)));
    TEST_OK(clg_graph_status(g));
    static const struct {
        const char *name;
        clg_init init;
    } rows[] = {{"a.weight", {.kind = CLG_INIT_FAN_IN_UNIFORM, .fan_in = 36}},
                {"a.bias", {.kind = CLG_INIT_FAN_IN_UNIFORM, .fan_in = 36}},
                {"b.weight", {.kind = CLG_INIT_HE_NORMAL, .fan_in = 36}},
                {"b.bias", {.kind = CLG_INIT_ZEROS}}};
    for (size_t i = 0; i < CLG__COUNT(rows); i++) {
        const clg_tensor *v = clg_graph_find(g, rows[i].name);
        float actual[216], expected[216];
        int64_t count = clg_shape_count(clg_tensor_shape(v));
        TEST_OK(clg_variable_read(v, actual, count));
        TEST_OK(clg__init_fill(&rows[i].init, clg_tensor_shape(v), 5, rows[i].name, expected));
        ck_assert_mem_eq(actual, expected, (size_t)count * sizeof(float));
    }
    clg_graph_destroy(g);
}
END_TEST

/* Two columns, four rows; momentum 0.5. PyTorch keeps the unbiased variance (n - 1). */
START_TEST(batch_norm_tracks_statistics_for_inference)
{
    static const float x[8] = {1, 10, 2, 10, 3, 14, 6, 18};
    clg_context *ctx;
    ctx = testing_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *y = clg_batch_norm_layer(clg_constant(g, CLG_SHAPE(4, 2), x), "norm",
                                         &(clg_batch_norm_params){.momentum = 0.5});
    clg_program *training = NULL, *inference = NULL;
    clg_program_params p = {.outputs = &y, .n_outputs = 1, .mode = CLG_TRAINING};
    TEST_OK(clg_program_compile(&training, ctx, g, &p));
    p.mode = CLG_INFERENCE;
    TEST_OK(clg_program_compile(&inference, ctx, g, &p));
    TEST_OK(clg_program_run(training));
    TEST_OK(clg_program_run(inference));
    float batch[8], running[8], mean[2], variance[2];
    TEST_OK(clg_program_read(training, y, batch, sizeof batch));
    TEST_OK(clg_program_read(inference, y, running, sizeof running));
    TEST_OK(clg_variable_read(clg_graph_find(g, "norm.running_mean"), mean, 2));
    TEST_OK(clg_variable_read(clg_graph_find(g, "norm.running_var"), variance, 2));
    const double batch_mean[2] = {3, 13}, squares[2] = {14, 44}; /* sums of squared differences */
    for (int c = 0; c < 2; c++) {
        ck_assert_double_eq_tol(mean[c], 0.5 * batch_mean[c], 1e-5);
        ck_assert_double_eq_tol(variance[c], 0.5 + 0.5 * squares[c] / 3, 1e-5);
        for (int i = c; i < 8; i += 2) {
            double own = (x[i] - batch_mean[c]) / sqrt(squares[c] / 4 + 1e-5);
            ck_assert_double_eq_tol(batch[i], own, 1e-5);
            ck_assert_double_eq_tol(running[i], (x[i] - mean[c]) / sqrt(variance[c] + 1e-5), 1e-5);
        }
    }
    clg_program_destroy(training);
    clg_program_destroy(inference);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(a_layer_built_again_shares_the_weights)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, 3));
    clg_tensor *y = clg_linear_layer(x, "fc", 3, NULL);
    ck_assert(!clg_graph_share_variables(g, true));
    y = clg_linear_layer(y, "fc", 3, NULL);
    ck_assert(clg_graph_share_variables(g, false));
    assert_shape(y, CLG_SHAPE(2, 3));
    ck_assert_str_eq(clg_tensor_name(clg_graph_variable(g, 1)), "fc.bias");
    ck_assert_ptr_null(clg_graph_variable(g, 2));
    clg_graph_share_variables(g, true);
    ck_assert_ptr_null(clg_linear_layer(y, "fc", 4, NULL));
    ck_assert_int_eq(clg_graph_status(g), CLG_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(clg_last_error(), "it is (3, 3), and (3, 4) is wanted"));
    clg_graph_destroy(g);
    ck_assert(!clg_graph_share_variables(NULL, true));
}
END_TEST

/* Running mean of 1 and 3, then 10 and 20, by halves: ((0 + 2) / 2 + 15) / 2. */
START_TEST(a_shared_batch_norm_follows_its_uses_in_order)
{
    clg_context *ctx;
    ctx = testing_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_batch_norm_params half = {.momentum = 0.5};
    const float first[2] = {1, 3}, second[2] = {10, 20};
    clg_tensor *y[2] = {
        clg_batch_norm_layer(clg_constant(g, CLG_SHAPE(2, 1), first), "norm", &half)};
    clg_graph_share_variables(g, true);
    y[1] = clg_batch_norm_layer(clg_constant(g, CLG_SHAPE(2, 1), second), "norm", &half);
    clg_program *step = NULL;
    TEST_OK(clg_program_compile(
        &step, ctx, g, clg_program_options(.outputs = y, .n_outputs = 2, .mode = CLG_TRAINING)));
    TEST_OK(clg_program_run(step));
    float mean, variance;
    TEST_OK(clg_variable_read(clg_graph_find(g, "norm.running_mean"), &mean, 1));
    TEST_OK(clg_variable_read(clg_graph_find(g, "norm.running_var"), &variance, 1));
    ck_assert_double_eq_tol(mean, 8, 1e-5);
    ck_assert_double_eq_tol(variance, ((1 + 2) / 2.0 + 50) / 2, 1e-4);
    clg_program_destroy(step);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

static clg_status build_everything(void)
{
    clg_graph *g = clg_graph_create(NULL);
    if (!g) return CLG_ERROR_MEMORY;
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, 6, 6, 2));
    x = clg_relu(clg_batch_norm_layer(clg_conv2d_layer(x, "conv", 3, 3, NULL), "norm", NULL));
    x = clg_linear_layer(clg_flatten(x), "fc", 3, NULL);
    clg_tensor *loss = clg_mean(clg_square(x), 0, false);
    static const clg_parameter_group groups[] = {{.pattern = "fc.*", .lr_factor = 2}};
    static const clg_optimizer_params params = {.kind = CLG_LAMB,
                                                .clip_norm = 1,
                                                .clip_tensor_norm = 1,
                                                .decay_weights_only = true,
                                                .accumulate = CLG_ACCUMULATE_MEAN,
                                                .ema_decay = 0.9,
                                                .skip_nonfinite = true,
                                                .monitor = true,
                                                .groups = groups,
                                                .n_groups = 1};
    clg_status status = loss ? clg_minimize(loss, &params, NULL) : clg_graph_status(g);
    clg_graph_destroy(g);
    return status;
}

START_TEST(a_failing_allocation_is_reported_and_nothing_leaks)
{
    clg_status status = CLG_ERROR_MEMORY;
    for (uint64_t n = 1; status != CLG_OK; n++) {
        ck_assert_uint_lt(n, 10000);
        clg__fault_set(CLG__FAULT_ALLOC, n, n % 2 == 0, 0);
        status = build_everything();
        bool hit = clg__fault_passed(CLG__FAULT_ALLOC) >= n;
        testing_nothing_live();
        ck_assert_int_eq(status, hit ? CLG_ERROR_MEMORY : CLG_OK);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nn");
    TCase *layers = testing_case(suite, "layers");
    tcase_add_test(layers, layers_create_named_variables_of_the_right_shapes);
    tcase_add_loop_test(layers, faulty_layers_are_refused_by_name, 0, 8);
    tcase_add_test(layers, weights_start_as_in_torch_unless_told_otherwise);
    tcase_add_test(layers, batch_norm_tracks_statistics_for_inference);
    tcase_add_test(layers, a_layer_built_again_shares_the_weights);
    tcase_add_test(layers, a_shared_batch_norm_follows_its_uses_in_order);
    tcase_set_timeout(layers, 300);
    TCase *faults = testing_case(suite, "faults");
    tcase_set_timeout(faults, 300);
    tcase_add_test(faults, a_failing_allocation_is_reported_and_nothing_leaks);
    return testing_run(suite);
}
