/*
 * Schedules, layers and optimizers. Optimizers are compared with 20 steps of PyTorch in double
 * precision (golden/optimizers.py).
 */
#include <math.h>

#include "clgrad/clgrad.h"
#include "golden/optimizers.h"
#include "tensor/init.h"
#include "testing.h"

/* ---- schedules ---- */

START_TEST(cosine_is_that_of_torch)
{
    clg_schedule s = {
        .kind = CLG_SCHEDULE_COSINE, .lr = 0.1, .lr_min = 0.004, .total = GOLDEN_STEPS};
    for (uint64_t step = 0; step <= GOLDEN_STEPS; step++)
        ck_assert_double_eq_tol(clg_schedule_lr(&s, step), golden_cosine[step], 1e-9);
    ck_assert(clg_schedule_lr(&s, 1000) == 0.004);
}
END_TEST

START_TEST(warmup_grows_linearly_to_the_highest_rate)
{
    clg_schedule s = {.lr = 0.4, .warmup = 4};
    static const double expected[] = {0.1, 0.2, 0.3, 0.4, 0.4, 0.4};
    for (uint64_t step = 0; step < 6; step++)
        ck_assert_double_eq_tol(clg_schedule_lr(&s, step), expected[step], 1e-15);
    s.kind = CLG_SCHEDULE_COSINE;
    s.total = 6;
    ck_assert_double_eq_tol(clg_schedule_lr(&s, 3), 0.4, 1e-15);
    ck_assert_double_eq_tol(clg_schedule_lr(&s, 5), 0.2, 1e-15);
    ck_assert(clg_schedule_lr(&s, 6) == 0.0);
    s.total = 2; /* all warm-up */
    ck_assert_double_eq_tol(clg_schedule_lr(&s, 3), 0.4, 1e-15);
    ck_assert(clg_schedule_lr(&s, 4) == 0.0);
}
END_TEST

START_TEST(schedules_and_optimizers_are_found_by_name)
{
    for (int i = 0; i < CLG_SCHEDULE_COUNT; i++) {
        clg_schedule_kind kind = CLG_SCHEDULE_COUNT;
        ck_assert(clg_schedule_find(clg_schedule_name((clg_schedule_kind)i), &kind));
        ck_assert_int_eq(kind, i);
    }
    for (int i = 0; i < CLG_OPTIMIZER_COUNT; i++) {
        clg_optimizer_kind kind = CLG_OPTIMIZER_COUNT;
        ck_assert(clg_optimizer_find(clg_optimizer_name((clg_optimizer_kind)i), &kind));
        ck_assert_int_eq(kind, i);
    }
    clg_schedule_kind schedule = CLG_SCHEDULE_COSINE;
    clg_optimizer_kind optimizer = CLG_ADAM;
    ck_assert(!clg_schedule_find("cosinus", &schedule) && schedule == CLG_SCHEDULE_COSINE);
    ck_assert(!clg_optimizer_find("Adam", &optimizer) && optimizer == CLG_ADAM);
    ck_assert_ptr_null(clg_schedule_name(CLG_SCHEDULE_COUNT));
    ck_assert_ptr_null(clg_optimizer_name(CLG_OPTIMIZER_COUNT));
}
END_TEST

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
    } rows[] = {{"a.weight", {CLG_INIT_FAN_IN_UNIFORM, 0, 36}},
                {"a.bias", {CLG_INIT_FAN_IN_UNIFORM, 0, 36}},
                {"b.weight", {CLG_INIT_HE_NORMAL, 0, 36}},
                {"b.bias", {CLG_INIT_ZEROS, 0, 0}}};
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
    TEST_OK(clg_context_create(&ctx, NULL));
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

/* ---- optimizers ---- */

/* The network of golden/optimizers.py with its start values. */
typedef struct network {
    clg_context *ctx;
    clg_graph *graph;
    clg_tensor *loss;
} network;

static void set_parameters(clg_graph *g, const float *values)
{
    for (size_t i = 0; i < 4; i++) {
        clg_tensor *v = clg_graph_variable(g, i);
        int64_t count = clg_shape_count(clg_tensor_shape(v));
        TEST_OK(clg_variable_write(v, values, count));
        values += count;
    }
}

static void assert_parameters(const clg_graph *g, const double *expected, const char *what)
{
    for (size_t i = 0; i < 4; i++) {
        const clg_tensor *v = clg_graph_variable(g, i);
        float actual[GOLDEN_PARAMETERS];
        int64_t count = clg_shape_count(clg_tensor_shape(v));
        TEST_OK(clg_variable_read(v, actual, count));
        for (int64_t j = 0; j < count; j++, expected++)
            ck_assert_msg(fabs(actual[j] - *expected) < 1e-5, "%s: %s[%d] is %.8g, torch has %.8g",
                          what, clg_tensor_name(v), (int)j, actual[j], *expected);
    }
}

static network network_create(void)
{
    network net = {0};
    TEST_OK(clg_context_create(&net.ctx, NULL));
    net.graph = clg_graph_create(clg_graph_options(.batch = 5));
    clg_tensor *x = clg_constant(net.graph, CLG_SHAPE(5, 3), golden_x);
    clg_tensor *target = clg_constant(net.graph, CLG_SHAPE(5, 2), golden_target);
    clg_tensor *h = clg_tanh(clg_linear_layer(x, "1", 4, NULL));
    net.loss = clg_mse(clg_linear_layer(h, "2", 2, NULL), target);
    TEST_OK(clg_graph_status(net.graph));
    set_parameters(net.graph, golden_start);
    return net;
}

static void network_destroy(network *net)
{
    clg_graph_destroy(net->graph);
    clg_context_destroy(net->ctx);
}

static clg_program *training(const network *net, clg_tensor *a, clg_tensor *b)
{
    clg_program *program = NULL;
    clg_tensor *outputs[] = {a, b};
    TEST_OK(clg_program_compile(
        &program, net->ctx, net->graph,
        clg_program_options(.outputs = outputs, .n_outputs = b ? 2 : 1, .mode = CLG_TRAINING)));
    return program;
}

static float scalar_of(clg_program *program, const clg_tensor *t)
{
    float value = NAN;
    TEST_OK(clg_program_read(program, t, &value, sizeof value));
    return value;
}

START_TEST(trajectories_are_those_of_torch)
{
    const struct golden_case *golden = &golden_cases[_i];
    network net = network_create();
    clg_minimized made;
    TEST_OK(clg_minimize(net.loss, &golden->params, &made));
    ck_assert_int_eq(made.parameters, GOLDEN_PARAMETERS);
    clg_program *step = training(&net, net.loss, made.gradient_norm);
    for (int i = 0; i < GOLDEN_STEPS; i++) {
        TEST_OK(clg_program_run(step));
        ck_assert_double_eq_tol(scalar_of(step, net.loss), golden->loss[i], 1e-5);
        ck_assert_double_eq_tol(scalar_of(step, made.gradient_norm), golden->norm[i], 2e-5);
        if (i == 0) assert_parameters(net.graph, golden->first, golden->name);
    }
    assert_parameters(net.graph, golden->last, golden->name);
    ck_assert_uint_eq(clg_graph_steps(net.graph), GOLDEN_STEPS);
    clg_program_destroy(step);
    network_destroy(&net);
}
END_TEST

START_TEST(the_rate_is_fed_when_none_is_given)
{
    network net = network_create();
    clg_minimized made;
    TEST_OK(clg_minimize(net.loss, clg_optimizer_options(.kind = CLG_SGD), &made));
    ck_assert_ptr_eq(made.lr, clg_graph_find(net.graph, "lr"));
    clg_program *step = training(&net, net.loss, NULL);
    float lr = 0;
    TEST_OK(clg_program_feed(step, made.lr, &lr, sizeof lr));
    TEST_OK(clg_program_run(step)); /* nothing moves */
    lr = 0.1f;
    TEST_OK(clg_program_feed(step, made.lr, &lr, sizeof lr));
    TEST_OK(clg_program_run(step));
    assert_parameters(net.graph, golden_cases[0].first, "fed rate");
    clg_program_destroy(step);
    network_destroy(&net);
}
END_TEST

/* 20 layers: more gradients than one concat takes. Each variable moves by its own gradient. */
START_TEST(many_variables_are_packed_in_order)
{
    enum { LAYERS = 20, VARIABLES = 2 * LAYERS };
    clg_context *ctx;
    clg_program *program[2];
    clg_graph *g[2];
    clg_tensor *grads[VARIABLES], *variables[VARIABLES];
    TEST_OK(clg_context_create(&ctx, NULL));
    for (int k = 0; k < 2; k++) {
        g[k] = clg_graph_create(NULL);
        clg_tensor *x = clg_full(g[k], CLG_SHAPE(2, 3), 0.5);
        for (int i = 0; i < LAYERS; i++) {
            char name[8];
            snprintf(name, sizeof name, "%d", i);
            x = clg_tanh(clg_linear_layer(x, name, 3 + i % 2, NULL));
        }
        clg_tensor *loss = clg_sum(x, 0, false), **outputs = &loss;
        for (size_t i = 0; i < VARIABLES; i++) variables[i] = clg_graph_variable(g[k], i);
        if (k == 0) {
            TEST_OK(clg_gradients(loss, variables, VARIABLES, grads));
            outputs = grads;
        } else {
            TEST_OK(clg_minimize(loss, clg_optimizer_options(.lr = 1.0), NULL));
        }
        TEST_OK(clg_program_compile(&program[k], ctx, g[k],
                                    clg_program_options(.outputs = outputs,
                                                        .n_outputs = k ? 1 : VARIABLES,
                                                        .mode = CLG_TRAINING)));
        TEST_OK(clg_program_run(program[k]));
    }
    for (size_t i = 0; i < VARIABLES; i++) {
        const clg_tensor *before = clg_graph_variable(g[0], i), *after = variables[i];
        int64_t count = clg_shape_count(clg_tensor_shape(before));
        float old[16], new[16], gradient[16];
        TEST_OK(clg_variable_read(before, old, count));
        TEST_OK(clg_variable_read(after, new, count));
        TEST_OK(clg_program_read(program[0], grads[i], gradient, (size_t)count * sizeof(float)));
        for (int64_t j = 0; j < count; j++)
            ck_assert_float_eq_tol(new[j], old[j] - gradient[j], 1e-6f);
    }
    for (int k = 0; k < 2; k++) {
        clg_program_destroy(program[k]);
        clg_graph_destroy(g[k]);
    }
    clg_context_destroy(ctx);
}
END_TEST

/* Frozen variables, and two optimizers in one graph. */
START_TEST(optimizers_share_a_graph)
{
    network net = network_create();
    clg_tensor *first[] = {clg_graph_variable(net.graph, 0)};
    clg_tensor *second[] = {clg_graph_variable(net.graph, 3), clg_graph_variable(net.graph, 2)};
    TEST_OK(clg_minimize(
        net.loss,
        clg_optimizer_options(.lr = 0.1, .name = "a", .variables = first, .n_variables = 1), NULL));
    TEST_OK(clg_minimize(net.loss,
                         clg_optimizer_options(.lr = 0.1, .momentum = 0.9, .name = "b",
                                               .variables = second, .n_variables = 2),
                         NULL));
    ck_assert(clg_tensor_is_variable(clg_graph_find(net.graph, "optimizer.b.momentum")));
    clg_program *step = training(&net, net.loss, NULL);
    TEST_OK(clg_program_run(step));
    double expected[GOLDEN_PARAMETERS];
    memcpy(expected, golden_cases[0].first, sizeof expected);
    for (int i = 12; i < 16; i++) expected[i] = golden_start[i]; /* b1: in neither */
    assert_parameters(net.graph, expected, "two optimizers");
    clg_program_destroy(step);
    network_destroy(&net);
}
END_TEST

START_TEST(impossible_options_are_refused)
{
    static const struct {
        clg_optimizer_params params;
        const char *message;
    } rows[] = {
        {{.kind = (clg_optimizer_kind)9}, "unknown optimizer 9"},
        {{.lr = -1}, "lr -1"},
        {{.lr = NAN}, "lr nan"},
        {{.clip_norm = -2}, "clip_norm -2"},
        {{.nesterov = true}, "nesterov"},
        {{.momentum = 1.5}, "momentum 1.5"},
        {{.kind = CLG_ADAM, .beta2 = 1}, "beta2 1"},
        {{.weight_decay = INFINITY}, "weight_decay inf"},
    };
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *w = clg_variable(g, "w", CLG_SHAPE(3), CLG_INIT(.value = 0), true);
    clg_tensor *frozen = clg_variable(g, "f", CLG_SHAPE(3), CLG_INIT(.value = 0), false);
    clg_tensor *loss = clg_sum(w, 0, false);
    for (size_t i = 0; i < CLG__COUNT(rows); i++)
        TEST_FAILS(clg_minimize(loss, &rows[i].params, NULL), CLG_ERROR_ARGUMENT, rows[i].message);
    TEST_FAILS(clg_minimize(loss, NULL, NULL), CLG_ERROR_ARGUMENT, "no options");
    TEST_FAILS(clg_minimize(NULL, &rows[0].params, NULL), CLG_ERROR_ARGUMENT, "no loss");
    TEST_FAILS(clg_minimize(clg_sum(frozen, 0, false), clg_optimizer_options(.lr = 1), NULL),
               CLG_ERROR_ARGUMENT, "no trainable variable");
    clg_tensor *twice[] = {w, w}, *untrainable[] = {frozen};
    TEST_FAILS(
        clg_minimize(loss, clg_optimizer_options(.variables = twice, .n_variables = 2), NULL),
        CLG_ERROR_ARGUMENT, "variables[1] (w)");
    TEST_FAILS(
        clg_minimize(loss, clg_optimizer_options(.variables = untrainable, .n_variables = 1), NULL),
        CLG_ERROR_ARGUMENT, "variables[0] (f)");
    TEST_OK(clg_graph_status(g)); /* nothing was built so far */
    TEST_OK(clg_minimize(loss, clg_optimizer_options(.lr = 1), NULL));
    TEST_FAILS(clg_minimize(loss, clg_optimizer_options(.lr = 1), NULL), CLG_ERROR_ARGUMENT,
               "another optimizer");
    clg_graph_destroy(g);
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
    clg_status status = loss ? clg_minimize(loss,
                                            clg_optimizer_options(.kind = CLG_ADAMW, .clip_norm = 1,
                                                                  .decay_weights_only = true),
                                            NULL)
                             : clg_graph_status(g);
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
    TCase *schedules = testing_case(suite, "schedules");
    tcase_add_test(schedules, cosine_is_that_of_torch);
    tcase_add_test(schedules, warmup_grows_linearly_to_the_highest_rate);
    tcase_add_test(schedules, schedules_and_optimizers_are_found_by_name);
    TCase *layers = testing_case(suite, "layers");
    tcase_add_test(layers, layers_create_named_variables_of_the_right_shapes);
    tcase_add_loop_test(layers, faulty_layers_are_refused_by_name, 0, 8);
    tcase_add_test(layers, weights_start_as_in_torch_unless_told_otherwise);
    tcase_add_test(layers, batch_norm_tracks_statistics_for_inference);
    tcase_set_timeout(layers, 300);
    TCase *optimizers = testing_case(suite, "optimizers");
    tcase_set_timeout(optimizers, 300);
    tcase_add_test(optimizers, impossible_options_are_refused);
    tcase_add_test(optimizers, a_failing_allocation_is_reported_and_nothing_leaks);
    tcase_add_loop_test(optimizers, trajectories_are_those_of_torch, 0,
                        (int)CLG__COUNT(golden_cases));
    tcase_add_test(optimizers, the_rate_is_fed_when_none_is_given);
    tcase_add_test(optimizers, many_variables_are_packed_in_order);
    tcase_add_test(optimizers, optimizers_share_a_graph);
    return testing_run(suite);
}
