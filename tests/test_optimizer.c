/*
 * Optimizers, compared with 20 steps of PyTorch in double precision (golden/optimizers.py): rules,
 * what they keep, and how variables are packed.
 */
#include <math.h>

#include "clgrad/clgrad.h"
#include "golden/optimizers.h"
#include "testing.h"

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
        {{.kind = (clg_optimizer_kind)99}, "unknown optimizer 99"},
        {{.lr = -1}, "lr -1"},
        {{.lr = NAN}, "lr nan"},
        {{.clip_norm = -2}, "clip_norm -2"},
        {{.nesterov = true}, "nesterov"},
        {{.momentum = 1.5}, "momentum 1.5"},
        {{.kind = CLG_ADAM, .beta2 = 1}, "beta2 1"},
        {{.weight_decay = INFINITY}, "weight_decay inf"},
        {{.momentum = 0.9, .dampening = 0.1, .nesterov = true}, "no dampening"},
        {{.kind = CLG_RMSPROP, .rho = 1}, "rho 1"},
        {{.kind = CLG_ADAGRAD, .lr_decay = -1}, "lr_decay -1"},
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

/* ---- state ---- */

/* Numbers in variables "optimizer....", scalars apart. */
static int64_t state_numbers(const clg_graph *g, int64_t *scalars)
{
    const clg_tensor *v;
    int64_t sum = 0;
    *scalars = 0;
    for (size_t i = 0; (v = clg_graph_variable(g, i)); i++) {
        if (strncmp(clg_tensor_name(v), "optimizer.", 10) != 0) continue;
        bool scalar = clg_tensor_shape(v)->ndim == 0;
        *(scalar ? scalars : &sum) += clg_shape_count(clg_tensor_shape(v));
    }
    return sum;
}

START_TEST(state_takes_the_bytes_of_the_table)
{
    static const struct {
        clg_optimizer_params params;
        size_t bytes; /* per parameter */
        int64_t scalars;
    } rows[] = {
        {{.kind = CLG_SGD}, 0, 0},
        {{.kind = CLG_SGD, .momentum = 0.9}, 4, 0},
        {{.kind = CLG_SGD, .momentum = 0.9, .nesterov = true}, 4, 0},
        {{.kind = CLG_ADAGRAD}, 4, 0},
        {{.kind = CLG_ADADELTA}, 8, 0},
        {{.kind = CLG_RMSPROP}, 4, 0},
        {{.kind = CLG_RMSPROP, .centered = true}, 8, 0},
        {{.kind = CLG_RMSPROP, .centered = true, .momentum = 0.5}, 12, 0},
        {{.kind = CLG_ADAM}, 8, 0},
        {{.kind = CLG_ADAM, .amsgrad = true}, 12, 0},
        {{.kind = CLG_ADAMAX}, 8, 0},
        {{.kind = CLG_NADAM}, 8, 1},
        {{.kind = CLG_RADAM}, 8, 0},
        {{.kind = CLG_ADAMW}, 8, 0},
        {{.kind = CLG_LARS}, 4, 0},
        {{.kind = CLG_LARS, .momentum = -1}, 0, 0},
        {{.kind = CLG_LAMB}, 8, 0},
    };
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *w = clg_variable(g, "w", CLG_SHAPE(3, 7), CLG_INIT(.value = 0), true);
    clg_tensor *b = clg_variable(g, "b", CLG_SHAPE(7), CLG_INIT(.value = 0), true);
    TEST_OK(clg_minimize(clg_sum(clg_mul(w, b), 0, false), &rows[_i].params, NULL));
    int64_t scalars, numbers = state_numbers(g, &scalars);
    ck_assert_uint_eq(clg_optimizer_state_bytes(&rows[_i].params), rows[_i].bytes);
    ck_assert_int_eq(numbers * (int64_t)sizeof(float), (int64_t)rows[_i].bytes * 28);
    ck_assert_int_eq(scalars, rows[_i].scalars);
    clg_graph_destroy(g);
    if (_i == CLG__COUNT(rows) - 1) ck_assert_int_eq(rows[_i].params.kind, CLG_OPTIMIZER_COUNT - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optimizer");
    TCase *rules = testing_case(suite, "rules");
    tcase_set_timeout(rules, 300);
    tcase_add_test(rules, impossible_options_are_refused);
    tcase_add_loop_test(rules, trajectories_are_those_of_torch, 0, (int)CLG__COUNT(golden_cases));
    tcase_add_loop_test(rules, state_takes_the_bytes_of_the_table, 0, 17);
    TCase *groups = testing_case(suite, "groups");
    tcase_set_timeout(groups, 300);
    tcase_add_test(groups, the_rate_is_fed_when_none_is_given);
    tcase_add_test(groups, many_variables_are_packed_in_order);
    tcase_add_test(groups, optimizers_share_a_graph);
    return testing_run(suite);
}
