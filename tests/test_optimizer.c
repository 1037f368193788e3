/*
 * Optimizers, compared with 20 steps of PyTorch in double precision (golden/optimizers.py): rules,
 * what they keep, and how variables are packed.
 */
#include "golden_network.h"

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
    ctx = testing_context();
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

/* ---- groups of parameters ---- */

enum { W1, B1, W2, B2, VARIABLES };

/* Gradients of the golden network's variables at its start values, one behind the other. */
static void golden_gradients(float *out)
{
    network net = network_create();
    clg_tensor *variables[VARIABLES], *grads[VARIABLES];
    for (size_t i = 0; i < VARIABLES; i++) variables[i] = clg_graph_variable(net.graph, i);
    TEST_OK(clg_gradients(net.loss, variables, VARIABLES, grads));
    clg_program *program = NULL;
    TEST_OK(clg_program_compile(&program, net.ctx, net.graph,
                                clg_program_options(.outputs = grads, .n_outputs = VARIABLES)));
    TEST_OK(clg_program_run(program));
    for (size_t i = 0; i < VARIABLES; i++) {
        size_t count = (size_t)clg_shape_count(clg_tensor_shape(variables[i]));
        TEST_OK(clg_program_read(program, grads[i], out, count * sizeof *out));
        out += count;
    }
    clg_program_destroy(program);
    network_destroy(&net);
}

/* One step of sgd with lr 0.1: each variable moves by 0.1 factor (gradient + decay p). */
START_TEST(groups_have_rates_and_decays_of_their_own)
{
    static const double factor[VARIABLES] = {0.5, 1, 0, 3}, decay[VARIABLES] = {0.2, 0.2, 0, 0};
    static const size_t count[VARIABLES] = {12, 4, 8, 2};
    float grads[GOLDEN_PARAMETERS];
    golden_gradients(grads);
    double expected[GOLDEN_PARAMETERS];
    for (size_t v = 0, at = 0; v < VARIABLES; v++)
        for (size_t i = 0; i < count[v]; i++, at++)
            expected[at] =
                golden_start[at] - 0.1 * factor[v] * (grads[at] + decay[v] * golden_start[at]);
    network net = network_create();
    clg_tensor *last = clg_graph_variable(net.graph, B2);
    const clg_parameter_group groups[] = {
        {.pattern = "1.w*", .lr_factor = 0.5},
        {.pattern = "2.w*", .frozen = true},
        {.pattern = "nothing",
         .variables = &last,
         .n_variables = 1,
         .lr_factor = 3,
         .weight_decay = -1},
    };
    clg_minimized made;
    TEST_OK(clg_minimize(
        net.loss,
        clg_optimizer_options(.lr = 0.1, .weight_decay = 0.2, .groups = groups, .n_groups = 3),
        &made));
    ck_assert_int_eq(made.parameters, 18);
    clg_program *step = training(&net, net.loss, NULL);
    TEST_OK(clg_program_run(step));
    assert_parameters(net.graph, expected, "groups");
    clg_program_destroy(step);
    network_destroy(&net);
}
END_TEST

START_TEST(frozen_variables_have_no_state)
{
    network net = network_create();
    const clg_parameter_group groups[] = {{.pattern = "1.*", .frozen = true},
                                          {.pattern = "2.bias", .lr_factor = 2}};
    TEST_OK(clg_minimize(net.loss,
                         clg_optimizer_options(.kind = CLG_ADAM, .lr = 0.1, .groups = groups,
                                               .n_groups = 2, .decay_weights_only = true),
                         NULL));
    ck_assert_int_eq(clg_tensor_shape(clg_graph_find(net.graph, "optimizer.m"))->dim[0], 8);
    const clg_tensor *bias = clg_graph_find(net.graph, "optimizer.m.group2.no_decay");
    ck_assert_ptr_nonnull(bias);
    ck_assert_int_eq(clg_tensor_shape(bias)->dim[0], 2);
    ck_assert_ptr_null(clg_graph_find(net.graph, "optimizer.m.group1"));
    network_destroy(&net);
}
END_TEST

START_TEST(impossible_groups_are_refused)
{
    static const struct {
        clg_parameter_group groups[2];
        size_t n;
        const char *message;
    } rows[] = {
        {{{.pattern = "3.*"}}, 1, "groups[0] (\"3.*\") names no variable"},
        {{{.pattern = "1.*"}, {.pattern = "1.bias"}},
         2,
         "groups[1] (\"1.bias\") names no variable"},
        {{{0}}, 1, "groups[0] names no variable"},
        {{{.pattern = "*", .frozen = true}}, 1, "all variables are frozen"},
        {{{.pattern = "*", .lr_factor = -1}}, 1, "lr_factor -1"},
        {{{.pattern = "*", .weight_decay = NAN}}, 1, "weight_decay nan"},
    };
    network net = network_create();
    for (size_t i = 0; i < CLG__COUNT(rows); i++)
        TEST_FAILS(clg_minimize(net.loss,
                                clg_optimizer_options(.lr = 1, .groups = rows[i].groups,
                                                      .n_groups = rows[i].n),
                                NULL),
                   CLG_ERROR_ARGUMENT, rows[i].message);
    network_destroy(&net);
}
END_TEST

/* A variable that counts runs, in one kernel: the network has no inputs, and what follows from
 * variables that nothing updates would be computed once. */
static clg_tensor *count_runs(clg_graph *g)
{
    clg_tensor *runs =
        clg_variable(g, "runs", CLG_SHAPE(1), CLG_INIT(.kind = CLG_INIT_CONSTANT), false);
    return clg_assign(runs, clg_add(runs, clg_scalar(g, 1)));
}

/* Kernels of one run of the golden network: its gradients alone (no options), or a training step.
 * One more counts the runs. */
static size_t launches(const clg_optimizer_params *params)
{
    network net = network_create();
    clg_tensor *outputs[2 + VARIABLES] = {count_runs(net.graph), net.loss}, *variables[VARIABLES];
    for (size_t i = 0; i < VARIABLES; i++) variables[i] = clg_graph_variable(net.graph, i);
    if (params)
        TEST_OK(clg_minimize(net.loss, params, NULL));
    else
        TEST_OK(clg_gradients(net.loss, variables, VARIABLES, outputs + 2));
    clg_program *program = NULL;
    TEST_OK(clg_program_compile(&program, net.ctx, net.graph,
                                clg_program_options(.outputs = outputs,
                                                    .n_outputs = params ? 2 : 2 + VARIABLES,
                                                    .mode = CLG_TRAINING)));
    clg_program_stats stats;
    clg_program_query(program, &stats);
    clg_program_destroy(program);
    network_destroy(&net);
    return stats.launches;
}

/* nadam keeps a number of its own; lars and lamb sum squares of two vectors in two kernels each. */
START_TEST(a_group_is_updated_by_one_kernel)
{
    static const size_t more[CLG_OPTIMIZER_COUNT] = {
        [CLG_NADAM] = 1, [CLG_LARS] = 4, [CLG_LAMB] = 5};
    size_t gradients = launches(NULL);
    for (int kind = 0; kind < CLG_OPTIMIZER_COUNT; kind++) {
        clg_optimizer_params params = {
            .kind = (clg_optimizer_kind)kind, .lr = 0.1, .weight_decay = 0.1};
        ck_assert_msg(launches(&params) == gradients + 1 + more[kind], "%s: %zu kernels, not %zu",
                      clg_optimizer_name(params.kind), launches(&params) - gradients,
                      1 + more[kind]);
    }
    const clg_parameter_group groups[] = {{.pattern = "1.*"}, {.pattern = "2.w*", .lr_factor = 2}};
    clg_optimizer_params params = {
        .kind = CLG_RADAM, .amsgrad = true, .groups = groups, .n_groups = 2, .clip_value = 1};
    ck_assert_uint_eq(launches(&params), gradients + 3);
}
END_TEST

/* A tensor of zeros has no direction to keep: the first step is adam's, and later ones are not NaN.
 */
START_TEST(trust_ratios_survive_zeros)
{
    network net = network_create();
    float zeros[12] = {0};
    TEST_OK(clg_variable_write(clg_graph_variable(net.graph, W1), zeros, 12));
    TEST_OK(clg_variable_write(clg_graph_variable(net.graph, W2), zeros, 8));
    TEST_OK(clg_minimize(net.loss, clg_optimizer_options(.kind = CLG_LAMB, .lr = 0.01), NULL));
    clg_program *step = training(&net, net.loss, NULL);
    TEST_OK(clg_program_run(step));
    float w[12];
    TEST_OK(clg_variable_read(clg_graph_variable(net.graph, W2), w, 8));
    for (int i = 0; i < 8; i++) ck_assert_double_eq_tol(fabs(w[i]), 0.01, 1e-5);
    /* the gradient of w1 was 0, because w2 was */
    TEST_OK(clg_variable_read(clg_graph_variable(net.graph, W1), w, 12));
    for (int i = 0; i < 12; i++) ck_assert_float_eq(w[i], 0);
    TEST_OK(clg_program_run(step));
    TEST_OK(clg_variable_read(clg_graph_variable(net.graph, W1), w, 12));
    for (int i = 0; i < 12; i++) ck_assert(isfinite(w[i]) && w[i] != 0);
    clg_program_destroy(step);
    network_destroy(&net);
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

START_TEST(every_optimizer_has_a_trajectory)
{
    for (int kind = 0; kind < CLG_OPTIMIZER_COUNT; kind++) {
        bool found = false;
        for (size_t i = 0; i < CLG__COUNT(golden_cases); i++)
            found |= (int)golden_cases[i].params.kind == kind;
        ck_assert_msg(found, "%s has no case in golden/optimizers.py",
                      clg_optimizer_name((clg_optimizer_kind)kind));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optimizer");
    TCase *rules = testing_case(suite, "rules");
    tcase_set_timeout(rules, 300);
    tcase_add_test(rules, impossible_options_are_refused);
    tcase_add_test(rules, every_optimizer_has_a_trajectory);
    tcase_add_loop_test(rules, trajectories_are_those_of_torch, 0, (int)CLG__COUNT(golden_cases));
    tcase_add_loop_test(rules, state_takes_the_bytes_of_the_table, 0, 17);
    TCase *groups = testing_case(suite, "groups");
    tcase_set_timeout(groups, 300);
    tcase_add_test(groups, the_rate_is_fed_when_none_is_given);
    tcase_add_test(groups, many_variables_are_packed_in_order);
    tcase_add_test(groups, optimizers_share_a_graph);
    tcase_add_test(groups, groups_have_rates_and_decays_of_their_own);
    tcase_add_test(groups, frozen_variables_have_no_state);
    tcase_add_test(groups, impossible_groups_are_refused);
    tcase_add_test(groups, a_group_is_updated_by_one_kernel);
    tcase_add_test(groups, trust_ratios_survive_zeros);
    return testing_run(suite);
}
