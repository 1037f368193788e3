/*
 * What compiling and running a program costs: kernels that a context already has are not built
 * again, those that differ only behind their results are built together, work grows with the graph
 * and not with its square, and a run allocates nothing.
 */
#include "clgrad/clgrad.h"
#include "device/context.h"
#include "program/program.h"
#include "testing_context.h"

enum { ROWS = 5, FEATURES = 20 };

/* ---- networks ---- */

static clg_tensor *hidden_layers(clg_tensor *h, int layers)
{
    char name[32];
    for (int i = 0; i < layers; i++) {
        snprintf(name, sizeof name, "fc%d", i);
        h = clg_relu(clg_linear_layer(h, name, FEATURES, NULL));
    }
    return h;
}

/* A network with Adam; its loss. */
static clg_tensor *deep_network(clg_graph *g, int layers, clg_tensor **x, clg_tensor **label)
{
    *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, FEATURES));
    *label = clg_input(g, "label", CLG_I32, CLG_SHAPE(CLG_BATCH));
    clg_tensor *loss = clg_softmax_cross_entropy(hidden_layers(*x, layers), *label, NULL);
    TEST_OK(clg_minimize(loss, clg_optimizer_options(.kind = CLG_ADAM, .lr = 1e-3), NULL));
    return loss;
}

static clg_program *compile(clg_context *ctx, clg_graph *g, clg_tensor *output,
                            clg_program_mode mode)
{
    clg_program *program = NULL;
    TEST_OK(clg_program_compile(
        &program, ctx, g, clg_program_options(.outputs = &output, .n_outputs = 1, .mode = mode)));
    return program;
}

static uint64_t built(const clg_context *ctx)
{
    uint64_t compiled, loaded;
    clg_context_builds(ctx, &compiled, &loaded);
    return compiled + loaded;
}

/* ---- recording ---- */

/* A kernel's row decides what its inputs are, whatever its builder forgets. */
START_TEST(kernels_read_f32_but_for_what_their_rows_say)
{
    static const clg__op op = {
        .name = "some_kernel", .class_ = CLG__KERNEL, .typed_inputs = 1u << 1};
    clg_graph *g = clg_graph_create(NULL);
    for (int type = 0; type < CLG_DTYPE_COUNT; type++) {
        clg_tensor *x =
            clg_input(g, clg_dtype_name((clg_dtype)type), (clg_dtype)type, CLG_SHAPE(3));
        clg_tensor *y = clg__node(g, &op, CLG_F32, x->shape, NULL, 2, (clg_tensor *[]){x, x});
        TEST_OK(clg_graph_status(g));
        ck_assert_int_eq(y->inputs[0]->dtype, CLG_F32);
        ck_assert_ptr_eq(y->inputs[1], x);
    }
    clg_graph_destroy(g);
}
END_TEST

/* ---- building ---- */

START_TEST(a_context_builds_each_kernel_once)
{
    clg_context *ctx = testing_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = ROWS, .seed = 1));
    clg_tensor *x, *label, *loss = deep_network(g, 2, &x, &label);
    clg_program *first = compile(ctx, g, loss, CLG_TRAINING);
    uint64_t before = built(ctx);
    clg_program *second = compile(ctx, g, loss, CLG_TRAINING);
    ck_assert_uint_eq(built(ctx), before);

    /* Another program finds those of its kernels that are there, and builds what it lacks. */
    clg_program *other = compile(ctx, g, clg_tanh(clg_mul(x, x)), CLG_INFERENCE);
    ck_assert_uint_eq(built(ctx), before + 1);
    clg_program_destroy(other);
    clg_program_destroy(second);
    clg_program_destroy(first);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* Three products of the same x (ROWS, FEATURES) and w, with different epilogues. */
static void different_epilogues(clg_graph *g, clg_tensor *outputs[3])
{
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, FEATURES));
    clg_tensor *w = clg_input(g, "w", CLG_F32, CLG_SHAPE(FEATURES, FEATURES));
    clg_tensor *wide = clg_input(g, "wide", CLG_F32, CLG_SHAPE(FEATURES, FEATURES + 1));
    outputs[0] = clg_square(clg_matmul(x, w, NULL));
    outputs[1] = clg_sub(clg_matmul(x, clg_neg(w), NULL), x); /* one more buffer */
    outputs[2] = clg_neg(clg_matmul(x, wide, NULL));
}

static clg_program *compile_different_epilogues(clg_context *ctx, clg_graph *g,
                                                clg_tensor *outputs[3])
{
    clg_program *p = NULL;
    different_epilogues(g, outputs);
    TEST_OK(
        clg_program_compile(&p, ctx, g, clg_program_options(.outputs = outputs, .n_outputs = 3)));
    return p;
}

static void feed_filled(clg_program *p, clg_graph *g, const char *name, float value)
{
    clg_tensor *t = clg_graph_find(g, name);
    int64_t count = clg_shape_count(clg_tensor_shape(t));
    float *data = malloc((size_t)count * sizeof *data);
    for (int64_t i = 0; i < count; i++) data[i] = value;
    TEST_OK(clg_program_feed(p, t, data, (size_t)count * sizeof *data));
    free(data);
}

static void expect_all(clg_program *p, clg_tensor *t, float value)
{
    float data[ROWS * (FEATURES + 1)];
    int64_t count = clg_shape_count(clg_tensor_shape(t));
    TEST_OK(clg_program_read(p, t, data, (size_t)count * sizeof *data));
    for (int64_t i = 0; i < count; i++) ck_assert_float_eq(data[i], value);
}

START_TEST(kernels_that_differ_behind_their_results_are_one_module)
{
    clg_context *ctx = testing_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = ROWS));
    clg_tensor *outputs[3];
    clg_program *p = compile_different_epilogues(ctx, g, outputs);
    /* matmul, and the generated kernel that negates w; only processors' products are of our own */
    if (ctx->engine == CLG_ENGINE_CPU) ck_assert_uint_le(built(ctx), 2);
    feed_filled(p, g, "x", 2);
    feed_filled(p, g, "w", 0.5f);
    feed_filled(p, g, "wide", 3);
    TEST_OK(clg_program_run(p));
    expect_all(p, outputs[0], (float)(FEATURES * FEATURES));
    expect_all(p, outputs[1], -(float)FEATURES - 2);
    expect_all(p, outputs[2], -(float)(6 * FEATURES));
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(a_wanted_algorithm_that_cannot_be_is_named)
{
    static const struct {
        const char *variable, *value, *message;
        clg_status status;
    } cases[] = {
        {"CLGRAD_MATMUL", "zzz", "CLGRAD_MATMUL: \"zzz\" is none of tile, clblast, local",
         CLG_ERROR_ARGUMENT},
        {"CLGRAD_CONV2D", "lane", "\"lane\" is none of winograd, lanes, tile, local",
         CLG_ERROR_ARGUMENT},
        {"CLGRAD_CONV2D", "lanes", "conv2d: no algorithm named lanes serves this node on ",
         CLG_ERROR_UNSUPPORTED}, /* it is for groups */
    };
    clg_context *ctx = testing_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(1, 3, 3, 3));
    clg_tensor *y = clg_conv2d(x, clg_matmul(x, x, NULL), NULL);
    clg_program *p = NULL;
    for (size_t i = 0; i < CLG__COUNT(cases); i++) {
        setenv(cases[i].variable, cases[i].value, 1);
        TEST_FAILS(
            clg_program_compile(&p, ctx, g, clg_program_options(.outputs = &y, .n_outputs = 1)),
            cases[i].status, cases[i].message);
        unsetenv(cases[i].variable);
    }
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- other batch sizes ---- */

START_TEST(what_keeps_its_size_is_not_fed_again)
{
    clg_context *ctx = testing_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = ROWS));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, FEATURES));
    clg_tensor *y = clg_mul(x, clg_input(g, "w", CLG_F32, CLG_SHAPE(FEATURES)));
    clg_program *p = compile(ctx, g, y, CLG_INFERENCE);
    float data[FEATURES] = {0};
    feed_filled(p, g, "x", 2);
    feed_filled(p, g, "w", 3);
    TEST_OK(clg_program_set_batch(p, 1));
    TEST_FAILS(clg_program_run(p), CLG_ERROR_ARGUMENT, "input x was not fed");
    TEST_OK(clg_program_feed(p, x, data, sizeof data));
    TEST_OK(clg_program_run(p));
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* Whatever fails on the way to another batch size: the one before can be set, and computes. */
START_TEST(a_failed_change_of_the_batch_size_is_mended_by_the_next)
{
    clg_context *ctx = testing_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = ROWS));
    clg_tensor *outputs[3];
    clg_program *p = compile_different_epilogues(ctx, g, outputs);
    feed_filled(p, g, "w", 0.5f);
    feed_filled(p, g, "wide", 3);
    clg_status status = CLG_ERROR_MEMORY;
    for (uint64_t point = 1; status != CLG_OK; point++) {
        clg__fault_set(CLG__FAULT_ALLOC, point, false, 0);
        status = clg_program_set_batch(p, 2);
        clg__fault_set(CLG__FAULT_ALLOC, 0, false, 0);
        if (status != CLG_OK) TEST_FAILS(clg_program_run(p), CLG_ERROR_ARGUMENT, "set a batch");
        TEST_OK(clg_program_set_batch(p, ROWS));
        feed_filled(p, g, "x", 2);
        TEST_OK(clg_program_run(p));
        expect_all(p, outputs[0], (float)(FEATURES * FEATURES));
        expect_all(p, outputs[2], -(float)(6 * FEATURES));
    }
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(the_table_of_kernels_grows_and_replaces)
{
    clg__kernel_table *table = NULL;
    ck_assert_ptr_null(clg__kernel_find(table, clg__hash("", 0)));
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 1000; i++)
            TEST_OK(clg__kernel_record(&table, clg__hash(&i, sizeof i),
                                       &(clg__kernel_place){.epilogue = i + round}));
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(clg__kernel_find(table, clg__hash(&i, sizeof i))->epilogue, i + 1);
    int absent = 1000;
    ck_assert_ptr_null(clg__kernel_find(table, clg__hash(&absent, sizeof absent)));
    clg__kernel_table_free(table);
}
END_TEST

/* ---- growth ---- */

/* What deciding about clusters costs for a training step of so many layers. */
static uint64_t visits(clg_context *ctx, int layers)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = ROWS, .seed = 1));
    clg_tensor *x, *label, *loss = deep_network(g, layers, &x, &label);
    clg__ir ir;
    TEST_OK(clg__ir_build(
        &ir, ctx, g, clg_program_options(.outputs = &loss, .n_outputs = 1, .mode = CLG_TRAINING),
        true));
    TEST_OK(clg__ir_fuse(&ir));
    uint64_t count = ir.before.visits;
    clg__ir_free(&ir);
    clg_graph_destroy(g);
    return count;
}

START_TEST(the_work_of_fusion_grows_with_the_depth_and_not_its_square)
{
    clg_context *ctx = testing_context();
    uint64_t some = visits(ctx, 50), twice = visits(ctx, 100), many = visits(ctx, 400);
    ck_assert_uint_gt(some, 0);
    ck_assert_uint_le(10 * twice, 21 * some);
    ck_assert_uint_le(10 * many, 42 * twice);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- the relation ---- */

START_TEST(the_relation_knows_paths_and_what_they_forbid)
{
    clg__before b;
    TEST_OK(clg__before_make(&b, 6));
    clg__before_add(&b, 0, 1);
    clg__before_add(&b, 1, 2);
    clg__before_add(&b, 0, 2);
    clg__before_add(&b, 3, 2);
    ck_assert(clg__before_holds(&b, 0, 2) && !clg__before_holds(&b, 2, 0));
    ck_assert(!clg__before_holds(&b, 0, 0) && !clg__before_holds(&b, 0, 3));
    ck_assert(!clg__before_mergeable(&b, 0, 2) && !clg__before_mergeable(&b, 2, 0)); /* around 1 */
    ck_assert(clg__before_mergeable(&b, 0, 1) && clg__before_mergeable(&b, 0, 3));
    clg__before_merge(&b, 1, 0);
    ck_assert(clg__before_mergeable(&b, 1, 2)); /* 0 is part of 1 */
    clg__before_add(&b, 4, 1);                  /* lifts what comes after */
    ck_assert(clg__before_holds(&b, 4, 2));
    clg__before_add(&b, 2, 5);
    clg__before_merge(&b, 3, 4); /* 3 runs before 1, too */
    ck_assert(clg__before_holds(&b, 3, 1) && clg__before_holds(&b, 3, 5));
    ck_assert(!clg__before_mergeable(&b, 3, 2));
    clg__before_free(&b);
}
END_TEST

/* Statistics; the result together with both sums of the way back, since all read x; dx. */
START_TEST(batch_norm_with_its_gradients_is_three_kernels)
{
    clg_context *ctx = testing_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(4, 3, 3, 20));
    clg_tensor *dy = clg_input(g, "dy", CLG_F32, CLG_SHAPE(4, 3, 3, 20));
    clg_tensor *y = clg_batch_norm_layer(x, "norm", NULL);
    clg_tensor *wrt[] = {x, clg_graph_find(g, "norm.weight"), clg_graph_find(g, "norm.bias")};
    clg_tensor *outputs[4] = {y};
    TEST_OK(clg_vjp(y, dy, wrt, 3, outputs + 1));
    clg_program *p = NULL;
    TEST_OK(clg_program_compile(
        &p, ctx, g,
        clg_program_options(.outputs = outputs, .n_outputs = 4, .mode = CLG_TRAINING_FORWARD)));
    clg_program_stats stats;
    clg_program_query(p, &stats);
    ck_assert_uint_eq(stats.launches, 3);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- running ---- */

START_TEST(a_run_allocates_nothing)
{
    clg_context *ctx = testing_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = ROWS, .seed = 1));
    clg_tensor *x, *label, *loss = deep_network(g, 3, &x, &label);
    clg_program *p = compile(ctx, g, loss, CLG_TRAINING);
    int32_t labels[ROWS] = {0};
    feed_filled(p, g, "x", 1);
    TEST_OK(clg_program_feed(p, label, labels, sizeof labels));
    clg__fault_set(CLG__FAULT_ALLOC, 1, true, 0); /* whoever asks for memory gets none */
    for (int i = 0; i < 3; i++) TEST_OK(clg_program_run(p));
    ck_assert_uint_eq(clg__fault_passed(CLG__FAULT_ALLOC), 0);
    clg__fault_set(CLG__FAULT_ALLOC, 0, false, 0);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* Launches set the number of the step and nothing else between runs. */
START_TEST(a_run_calls_the_driver_once_a_launch)
{
    clg_context *ctx = testing_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = ROWS, .seed = 1));
    clg_tensor *x, *label, *loss = deep_network(g, 3, &x, &label);
    clg_program *p = compile(ctx, g, loss, CLG_TRAINING);
    int32_t labels[ROWS] = {0};
    clg_program_stats stats;
    feed_filled(p, g, "x", 1);
    TEST_OK(clg_program_feed(p, label, labels, sizeof labels));
    clg_program_query(p, &stats);
    clg__fault_set(CLG__FAULT_OPENCL, 0, false, 0);
    TEST_OK(clg_program_run(p));
    uint64_t calls = clg__fault_passed(CLG__FAULT_OPENCL);
    /* the launches, one flush, and the step number of the optimizer and of what counts steps */
    if (ctx->engine == CLG_ENGINE_CPU) ck_assert_uint_le(calls, stats.launches + 3);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* To the queue, once all work in it is done. */
static cl_uint references(clg_context *ctx)
{
    cl_uint count = 0;
    TEST_OK(clg_context_finish(ctx));
    ck_assert_int_eq(
        clGetCommandQueueInfo(ctx->queue, CL_QUEUE_REFERENCE_COUNT, sizeof count, &count, NULL),
        CL_SUCCESS);
    return count;
}

/* An event holds its queue, and some drivers (PoCL) count that, but let go of it a while later. */
START_TEST(a_profile_that_fails_leaves_no_event)
{
    enum { TIMES = 10 };
    clg_context *ctx = NULL;
    TEST_OK(clg_context_create(&ctx, clg_context_options(.profiling = true)));
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = ROWS, .seed = 1));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, FEATURES));
    clg_program *p = compile(ctx, g, hidden_layers(x, 2), CLG_INFERENCE);
    clg_profile_row *rows = NULL;
    size_t count = 0;
    feed_filled(p, g, "x", 1);
    TEST_OK(clg_program_run(p));
    const cl_uint before = references(ctx);
    clg_status status = CLG_ERROR_INTERNAL;
    for (uint64_t n = 1; status != CLG_OK; n++)
        for (int i = 0; i < TIMES; i++) {
            clg__fault_set(CLG__FAULT_OPENCL, n, false, CL_OUT_OF_RESOURCES);
            status = clg_program_profile(p, &rows, &count);
            clg__fault_set(CLG__FAULT_OPENCL, 0, false, 0);
            if (status == CLG_OK) clg_free(rows);
        }
    ck_assert_uint_lt(references(ctx), before + TIMES);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("program");
    TCase *building = testing_case(suite, "building");
    tcase_add_test(building, kernels_read_f32_but_for_what_their_rows_say);
    tcase_add_test(building, a_context_builds_each_kernel_once);
    tcase_add_test(building, kernels_that_differ_behind_their_results_are_one_module);
    tcase_add_test(building, a_wanted_algorithm_that_cannot_be_is_named);
    tcase_add_test(building, what_keeps_its_size_is_not_fed_again);
    tcase_add_test(building, a_failed_change_of_the_batch_size_is_mended_by_the_next);
    tcase_add_test(building, the_table_of_kernels_grows_and_replaces);
    TCase *growth = testing_case(suite, "growth");
    tcase_add_test(growth, the_work_of_fusion_grows_with_the_depth_and_not_its_square);
    tcase_add_test(growth, batch_norm_with_its_gradients_is_three_kernels);
    tcase_add_test(growth, the_relation_knows_paths_and_what_they_forbid);
    TCase *running = testing_case(suite, "running");
    tcase_add_test(running, a_run_allocates_nothing);
    tcase_add_test(running, a_run_calls_the_driver_once_a_launch);
    tcase_add_test(running, a_profile_that_fails_leaves_no_event);
    return testing_run(suite);
}
