/*
 * Programs within a memory budget: steps run again, the plan keeps to the budget, and no bit of
 * what is computed changes; what cannot be done is said.
 */
#include <float.h>

#include "evaluate.h"
#include "program/program.h"

enum { ROWS = 6, SIDE = 10, CHANNELS = 8, CLASSES = 5, STEPS = 3 };

/* ---- networks: the builder gives a loss from x and label ---- */

typedef clg_tensor *(*builder)(clg_tensor *x, clg_tensor *label);

static clg_tensor *convolution(clg_tensor *x, const char *name, int layer)
{
    char full[32];
    snprintf(full, sizeof full, "%s%d", name, layer);
    return clg_conv2d_layer(x, full, CHANNELS, 3,
                            clg_conv2d_layer_options(.conv = {.padding = CLG_PADDING_SAME}));
}

/* Batch statistics, whose running means are state; random numbers; and sums that skip layers. */
static clg_tensor *residual(clg_tensor *x, clg_tensor *label)
{
    clg_tensor *h = convolution(x, "stem", 0);
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "norm%d", i);
        clg_tensor *inner = clg_relu(clg_batch_norm_layer(convolution(h, "conv", i), name, NULL));
        h = clg_add(h, clg_dropout(clg_gelu(convolution(inner, "out", i)), 0.2));
    }
    h = clg_global_average_pool2d(h);
    return clg_softmax_cross_entropy(clg_linear_layer(h, "fc", CLASSES, NULL), label, NULL);
}

/* Products of which each reads the one before: nothing but products can be repeated. */
static clg_tensor *deep(clg_tensor *x, clg_tensor *label)
{
    clg_tensor *h = x;
    for (int i = 0; i < 24; i++) {
        char name[32];
        snprintf(name, sizeof name, "fc%d", i);
        h = clg_tanh(clg_linear_layer(h, name, CHANNELS, NULL));
    }
    h = clg_global_average_pool2d(h);
    return clg_softmax_cross_entropy(clg_linear_layer(h, "last", CLASSES, NULL), label, NULL);
}

/* Parts that are written in place of a whole. */
static clg_tensor *dense(clg_tensor *x, clg_tensor *label)
{
    clg_tensor *h = convolution(x, "stem", 0);
    for (int i = 0; i < 4; i++) {
        clg_tensor *parts[2] = {h, clg_relu(convolution(h, "conv", i))};
        h = clg_concat(parts, 2, 3);
    }
    h = clg_global_average_pool2d(h);
    return clg_softmax_cross_entropy(clg_linear_layer(h, "fc", CLASSES, NULL), label, NULL);
}

/* ---- training ---- */

typedef struct training {
    clg_context *ctx;
    clg_graph *graph;
    array x;
    int32_t labels[ROWS];
    clg_tensor *label, *loss;
    clg_program *program;
    clg_program_stats stats;
} training;

static training make_training(const char *engine, builder build)
{
    training t = {.ctx = engine_context(engine),
                  .graph = clg_graph_create(clg_graph_options(.batch = ROWS, .seed = 3)),
                  .x = array_random(ROWS * SIDE * SIDE * CHANNELS, 1)};
    for (int i = 0; i < ROWS; i++) t.labels[i] = i % CLASSES;
    t.x.tensor = clg_input(t.graph, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, SIDE, SIDE, CHANNELS));
    t.label = clg_input(t.graph, "label", CLG_I32, CLG_SHAPE(CLG_BATCH));
    t.loss = build(t.x.tensor, t.label);
    TEST_OK(clg_minimize(t.loss, clg_optimizer_options(.kind = CLG_ADAM, .lr = 1e-2), NULL));
    return t;
}

static clg_status compile(training *t, uint64_t budget)
{
    clg_status status =
        clg_program_compile(&t->program, t->ctx, t->graph,
                            clg_program_options(.outputs = &t->loss, .n_outputs = 1,
                                                .mode = CLG_TRAINING, .memory_budget = budget));
    if (status == CLG_OK) clg_program_query(t->program, &t->stats);
    return status;
}

/* A step with the first `rows` samples; its loss. */
static float run_step(training *t, int rows)
{
    float loss;
    TEST_OK(clg_program_set_batch(t->program, rows));
    TEST_OK(clg_program_feed(t->program, t->x.tensor, t->x.data,
                             (size_t)(t->x.count / ROWS * rows) * sizeof(float)));
    TEST_OK(clg_program_feed(t->program, t->label, t->labels, (size_t)rows * sizeof(int32_t)));
    TEST_OK(clg_program_run(t->program));
    TEST_OK(clg_program_read(t->program, t->loss, &loss, sizeof loss));
    return loss;
}

static void free_training(training *t)
{
    clg_program_destroy(t->program);
    clg_graph_destroy(t->graph);
    clg_context_destroy(t->ctx);
    free(t->x.data);
}

/* ---- comparing ---- */

static void expect_equal_variable(const clg_tensor *a, const clg_tensor *b)
{
    int64_t count = clg_shape_count(clg_tensor_shape(a));
    float *one = malloc((size_t)count * sizeof *one), *other = malloc((size_t)count * sizeof *one);
    TEST_OK(clg_variable_read(a, one, count));
    TEST_OK(clg_variable_read(b, other, count));
    ck_assert_msg(memcmp(one, other, (size_t)count * sizeof *one) == 0, "%s differs",
                  clg_tensor_name(a));
    free(one);
    free(other);
}

/* Parameters, running statistics and the optimizer's moments. */
static void expect_equal_variables(const training *a, const training *b)
{
    size_t n = 0;
    for (; clg_graph_variable(a->graph, n); n++)
        expect_equal_variable(clg_graph_variable(a->graph, n), clg_graph_variable(b->graph, n));
    ck_assert_uint_gt(n, 10);
}

/* Trains with `part` of the memory, and without a budget; the last batch is smaller. */
static void expect_same_training(const char *engine, builder build, double part)
{
    training all = make_training(engine, build), little = make_training(engine, build);
    TEST_OK(compile(&all, 0));
    ck_assert_uint_eq(all.stats.repeated_steps, 0);
    const uint64_t budget = (uint64_t)(part * (double)all.stats.arena_bytes);
    TEST_OK(compile(&little, budget));
    ck_assert_uint_le(little.stats.arena_bytes, budget);
    ck_assert_uint_gt(little.stats.repeated_steps, 0);
    for (int i = 0; i < STEPS; i++) {
        const int rows = i < STEPS - 1 ? ROWS : ROWS - 1;
        const float expected = run_step(&all, rows), loss = run_step(&little, rows);
        ck_assert_msg(expected == loss, "step %d: %.9g, not %.9g", i, loss, expected);
    }
    expect_equal_variables(&all, &little);
    free_training(&all);
    free_training(&little);
}

START_TEST(repeated_steps_change_no_bit)
{
    for (int engine = 0; engine < 2; engine++) {
        const char *name = engine ? "gpu" : "cpu";
        expect_same_training(name, residual, 0.6);
        expect_same_training(name, deep, 0.5);
        expect_same_training(name, dense, 0.8);
    }
}
END_TEST

/* With and without repeated steps: values that are there several times have one place each. */
START_TEST(a_plan_of_several_allocations_changes_no_bit)
{
    training one = make_training("cpu", residual), many = make_training("cpu", residual);
    TEST_OK(compile(&one, 0));
    many.ctx->info.max_allocation = one.stats.arena_bytes / 5;
    for (int i = 0; i < 2; i++) {
        TEST_OK(compile(&many, i == 0 ? 0 : one.stats.arena_bytes / 10 * 7));
        ck_assert_int_gt(many.program->n_chunks, 2);
        ck_assert_int_eq(many.stats.repeated_steps > 0, i == 1);
        ck_assert_float_eq(run_step(&many, ROWS), run_step(&one, ROWS));
        expect_equal_variables(&one, &many);
        clg_program_destroy(many.program);
        many.program = NULL;
    }
    free_training(&one);
    free_training(&many);
}
END_TEST

START_TEST(a_budget_that_suffices_changes_nothing)
{
    training t = make_training("cpu", residual);
    TEST_OK(compile(&t, 0));
    const clg_program_stats stats = t.stats;
    clg_program_destroy(t.program);
    TEST_OK(compile(&t, stats.arena_bytes));
    ck_assert_uint_eq(t.stats.repeated_steps, 0);
    ck_assert_uint_eq(t.stats.launches, stats.launches);
    clg_program_destroy(t.program);
    TEST_OK(compile(&t, UINT64_MAX));
    ck_assert_uint_eq(t.stats.arena_bytes, stats.arena_bytes);
    free_training(&t);
}
END_TEST

/* The message names what would do, and that does. */
START_TEST(a_budget_that_cannot_be_kept_to_is_refused)
{
    training t = make_training("cpu", residual);
    TEST_FAILS(compile(&t, 1), CLG_ERROR_MEMORY, "the memory budget is 1 bytes");
    ck_assert_ptr_null(t.program);
    TEST_FAILS(compile(&t, 20000), CLG_ERROR_MEMORY, "however many of its steps run again");
    free_training(&t);
}
END_TEST

/* Inputs and weights are most of what this program takes. */
START_TEST(a_batch_that_is_advised_fits)
{
    enum { FEATURES = 4096, UNITS = 32 };
    clg_context *ctx = NULL;
    clg_program *p = NULL;
    TEST_OK(clg_context_create(&ctx, clg_context_options(.memory_limit = 2 << 20)));
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 1024));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, FEATURES));
    clg_tensor *y = clg_linear_layer(x, "fc", UNITS, NULL);
    clg_program_params params = {.outputs = &y, .n_outputs = 1};
    TEST_FAILS(clg_program_compile(&p, ctx, g, &params), CLG_ERROR_MEMORY, "; a batch of ");
    params.batch = atoi(strstr(clg_last_error(), "; a batch of ") + strlen("; a batch of "));
    ck_assert_int_gt(params.batch, 1);
    TEST_OK(clg_program_compile(&p, ctx, g, &params));
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* No batch size helps where a variable alone is too large: it is named, and shapes are those of the
 * program's batch size. */
START_TEST(what_no_batch_makes_fit_is_named)
{
    clg_context *ctx = NULL;
    clg_program *p = NULL;
    TEST_OK(clg_context_create(&ctx, clg_context_options(.memory_limit = 2 << 20)));
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 1024));
    clg_tensor *v = clg_variable(g, "v", CLG_SHAPE(1024, 1024), (clg_init){0}, true);
    clg_tensor *y = clg_add(x, clg_sum(v, 0, false));
    clg_program_params params = {.outputs = &y, .n_outputs = 1, .batch = 4};
    TEST_FAILS(clg_program_compile(&p, ctx, g, &params), CLG_ERROR_MEMORY,
               "(largest: add (4, 1024)) and 4.0 MiB for variables; no smaller batch would fit: "
               "variable v (1024, 1024): parameters and state: 4.0 MiB");
    params.batch = 1;
    TEST_FAILS(clg_program_compile(&p, ctx, g, &params), CLG_ERROR_MEMORY, "for variables: var");
    ck_assert_ptr_null(strstr(clg_last_error(), "batch size"));
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* Steps that run again are chosen without lowering the program for each: allocations count the work
 * of compiling. */
START_TEST(a_budget_costs_few_compilations)
{
    static const double parts[] = {0.9, 0.8, 0.7, 0.6, 0.5, 0.4};
    training t = make_training("cpu", deep);
    TEST_OK(compile(&t, 0)); /* builds the kernels */
    clg_program_destroy(t.program);
    clg__fault_set(CLG__FAULT_ALLOC, 0, false, 0); /* counts from here */
    TEST_OK(compile(&t, 0));
    const uint64_t alone = clg__fault_passed(CLG__FAULT_ALLOC), arena = t.stats.arena_bytes;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        clg_program_destroy(t.program);
        t.program = NULL;
        clg__fault_set(CLG__FAULT_ALLOC, 0, false, 0);
        TEST_OK(compile(&t, (uint64_t)(parts[i] * (double)arena)));
        ck_assert_uint_gt(t.stats.repeated_steps, 0);
        ck_assert_uint_le(clg__fault_passed(CLG__FAULT_ALLOC), 2 * alone);
    }
    free_training(&t);
}
END_TEST

/* Every so many-th allocation of a compilation that fits fails: nothing is left, or all is well. */
START_TEST(allocations_fail_while_steps_are_chosen)
{
    enum { STRIDE = 41 };
    training t = make_training("cpu", residual);
    TEST_OK(compile(&t, 0));
    const uint64_t budget = t.stats.arena_bytes / 10 * 6;
    clg_program_destroy(t.program);
    t.program = NULL;
    const int64_t live = clg__live_allocations();
    clg_status status = CLG_ERROR_MEMORY;
    uint64_t point = 1;
    for (bool reached = true; reached; point += STRIDE) {
        clg__fault_set(CLG__FAULT_ALLOC, point, false, 0);
        status = compile(&t, budget);
        reached = clg__fault_passed(CLG__FAULT_ALLOC) >= point;
        clg__fault_set(CLG__FAULT_ALLOC, 0, false, 0);
        if (status != CLG_OK) ck_assert_ptr_null(strstr(clg_last_error(), "budget"));
        clg_program_destroy(t.program);
        t.program = NULL;
        ck_assert_int_eq(clg__live_allocations(), live);
    }
    ck_assert_int_eq(status, CLG_OK);
    ck_assert_uint_gt(point, 10 * STRIDE);
    free_training(&t);
}
END_TEST

/* Looking for a NaN goes through all values, and there is memory for twice the budget only. */
START_TEST(a_search_for_nan_keeps_to_the_budget)
{
    training t = make_training("cpu", residual);
    clg_nonfinite found = {0};
    TEST_OK(compile(&t, 0));
    const uint64_t budget = t.stats.arena_bytes / 10 * 6;
    clg_program_destroy(t.program);
    TEST_OK(compile(&t, budget));
    run_step(&t, ROWS);
    const size_t inputs = (size_t)t.x.count * sizeof(float) + sizeof t.labels;
    t.ctx->memory_limit = t.ctx->memory_used + budget + inputs + 4096;
    TEST_OK(clg_program_find_nonfinite(t.program, &found));
    ck_assert_ptr_null(found.tensor);
    float bias[CLASSES] = {FLT_MAX, -FLT_MAX};
    TEST_OK(clg_variable_write(clg_graph_find(t.graph, "fc.bias"), bias, CLASSES));
    run_step(&t, ROWS);
    TEST_OK(clg_program_find_nonfinite(t.program, &found));
    ck_assert_ptr_nonnull(found.tensor);
    free_training(&t);
}
END_TEST

/* ---- steps that must not run again ---- */

enum { SMALL = 64, LARGE = 1024 };

static clg_tensor *square(clg_graph *g, const char *name)
{
    return clg_variable(g, name, CLG_SHAPE(SMALL, SMALL),
                        CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 0.1), true);
}

/* (SMALL, SMALL) by way of something large: a peak, at which all that is needed later is alive. */
static clg_tensor *through_peak(clg_tensor *x)
{
    clg_graph *g = clg_tensor_graph(x);
    const clg_init init = CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 0.1);
    clg_tensor *up = clg_variable(g, "up", CLG_SHAPE(SMALL, LARGE), init, true);
    clg_tensor *down = clg_variable(g, "down", CLG_SHAPE(LARGE, SMALL), init, true);
    return clg_matmul(clg_matmul(x, up, NULL), down, NULL);
}

/* Compiles, and again with a little less: there the only idle value cannot be let go. */
static void expect_not_repeated(clg_graph *g, clg_tensor *result, clg_tensor *assignment)
{
    clg_context *ctx = engine_context("cpu");
    clg_tensor *outputs[] = {result, assignment};
    clg_program_params params = {.outputs = outputs, .n_outputs = 2};
    clg_program *program = NULL;
    clg_program_stats stats;
    TEST_OK(clg_program_compile(&program, ctx, g, &params));
    clg_program_query(program, &stats);
    clg_program_destroy(program);
    program = NULL;
    params.memory_budget = stats.arena_bytes - 1;
    TEST_FAILS(clg_program_compile(&program, ctx, g, &params), CLG_ERROR_MEMORY, "budget");
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}

/* w is another one when its square is needed. */
START_TEST(what_read_a_variable_does_not_run_after_its_change)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 1));
    clg_tensor *w = square(g, "w"), *first = clg_matmul(w, w, NULL);
    clg_tensor *changed = clg_add(w, clg_tanh(through_peak(square(g, "x"))));
    expect_not_repeated(g, clg_matmul(first, changed, NULL), clg_assign(w, changed));
}
END_TEST

/* The step that gives the value also negates w. */
START_TEST(what_changes_a_variable_runs_once)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 1));
    clg_tensor *w = square(g, "w"), *changed = clg_neg(w), *value = clg_exp(changed);
    clg_tensor *late = through_peak(clg_matmul(square(g, "x"), value, NULL));
    expect_not_repeated(g, clg_matmul(value, late, NULL), clg_assign(w, changed));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("budget");
    TCase *budget = testing_case(suite, "budget");
    tcase_set_timeout(budget, 300);
    tcase_add_test(budget, repeated_steps_change_no_bit);
    tcase_add_test(budget, a_plan_of_several_allocations_changes_no_bit);
    tcase_add_test(budget, a_budget_that_suffices_changes_nothing);
    tcase_add_test(budget, a_budget_that_cannot_be_kept_to_is_refused);
    tcase_add_test(budget, a_batch_that_is_advised_fits);
    tcase_add_test(budget, what_no_batch_makes_fit_is_named);
    tcase_add_test(budget, a_budget_costs_few_compilations);
    tcase_add_test(budget, allocations_fail_while_steps_are_chosen);
    tcase_add_test(budget, a_search_for_nan_keeps_to_the_budget);
    tcase_add_test(budget, what_read_a_variable_does_not_run_after_its_change);
    tcase_add_test(budget, what_changes_a_variable_runs_once);
    return testing_run(suite);
}
