/*
 * Saving and restoring graphs: training that was stopped and resumed equals training that was not,
 * to the bit; what does not fit is named and changes nothing; failures in between leave old files
 * intact.
 */
#include <math.h>

#include "clgrad/checkpoint.h"
#include "clgrad/clgrad.h"
#include "scratch.h"
#include "testing_context.h"

/* ---- a network with every kind of state: moments, running statistics, dropout ---- */

typedef struct network {
    clg_graph *graph;
    clg_tensor *x, *loss;
    clg_program *step; /* NULL before network_compile */
} network;

static network network_create(int64_t hidden, bool train)
{
    network net = {.graph = clg_graph_create(clg_graph_options(.batch = 4, .seed = 3))};
    net.x = clg_input(net.graph, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 6));
    clg_tensor *h = clg_linear_layer(net.x, "fc1", hidden, NULL);
    h = clg_dropout(clg_relu(clg_batch_norm_layer(h, "norm", NULL)), 0.25);
    h = clg_linear_layer(h, "fc2", 3, NULL);
    net.loss = clg_mean(clg_square(h), 0, false);
    if (train && net.loss)
        clg_minimize(net.loss, clg_optimizer_options(.kind = CLG_ADAM, .lr = 0.01), NULL);
    return net;
}

static clg_status network_compile(network *net, clg_context *ctx)
{
    return clg_program_compile(
        &net->step, ctx, net->graph,
        clg_program_options(.outputs = &net->loss, .n_outputs = 1, .mode = CLG_TRAINING));
}

static void network_destroy(network *net)
{
    clg_program_destroy(net->step);
    clg_graph_destroy(net->graph);
}

/* Step number `first` and on, on data that depends on the step's number. */
static void run_steps(network *net, int first, int count)
{
    for (int s = first; s < first + count; s++) {
        float x[24];
        for (int i = 0; i < 24; i++) x[i] = (float)((s * 31 + i * 17) % 23) / 11.5f - 1.0f;
        TEST_OK(clg_program_feed(net->step, net->x, x, sizeof x));
        TEST_OK(clg_program_run(net->step));
    }
}

static void assert_same_variables(const clg_graph *a, const clg_graph *b)
{
    const clg_tensor *v;
    for (size_t i = 0; (v = clg_graph_variable(a, i)); i++) {
        const clg_tensor *w = clg_graph_variable(b, i);
        float values[2][512];
        int64_t count = clg_shape_count(clg_tensor_shape(v));
        ck_assert_int_le(count, 512);
        ck_assert_str_eq(clg_tensor_name(v), clg_tensor_name(w));
        TEST_OK(clg_variable_read(v, values[0], count));
        TEST_OK(clg_variable_read(w, values[1], count));
        ck_assert_msg(memcmp(values[0], values[1], (size_t)count * sizeof(float)) == 0,
                      "%s differs", clg_tensor_name(v));
    }
    ck_assert_ptr_null(clg_graph_variable(b, 8 + 2));
}

static float first_of(const clg_graph *g, const char *name)
{
    const clg_tensor *v = clg_graph_find(g, name);
    float values[512] = {NAN};
    TEST_OK(clg_variable_read(v, values, clg_shape_count(clg_tensor_shape(v))));
    return values[0];
}

/* ---- resuming ---- */

START_TEST(resumed_training_is_the_same_to_the_bit)
{
    clg_context *ctx;
    ctx = testing_context();
    network whole = network_create(8, true), resumed = network_create(8, true);
    TEST_OK(network_compile(&whole, ctx));
    run_steps(&whole, 0, 5);
    TEST_OK(clg_graph_save(whole.graph, scratch,
                           clg_graph_save_options(.epoch = 2, .batch = 7, .seed = UINT64_MAX)));
    run_steps(&whole, 5, 5);

    bool before_compiling = _i == 0; /* values may come before or after the device memory */
    clg_graph_state state;
    if (!before_compiling) TEST_OK(network_compile(&resumed, ctx));
    TEST_OK(clg_graph_load(resumed.graph, scratch, NULL, &state));
    if (before_compiling) TEST_OK(network_compile(&resumed, ctx));
    ck_assert(state.step == 5 && state.epoch == 2 && state.batch == 7 && state.seed == UINT64_MAX);
    ck_assert(state.restored == 10 && state.kept == 0 && state.ignored == 0);
    run_steps(&resumed, 5, 5);
    ck_assert_uint_eq(clg_graph_steps(resumed.graph), 10);
    assert_same_variables(whole.graph, resumed.graph);
    network_destroy(&whole);
    network_destroy(&resumed);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(an_inference_graph_needs_no_optimizer_state)
{
    network trained = network_create(8, true), other = network_create(8, false);
    clg_graph_state state;
    TEST_OK(clg_graph_save(trained.graph, scratch, NULL));
    TEST_OK(clg_graph_load(other.graph, scratch, NULL, &state));
    ck_assert(state.restored == 8 && state.ignored == 2);
    network_destroy(&trained);
    network_destroy(&other);
}
END_TEST

/* ---- what does not fit ---- */

START_TEST(a_different_network_is_refused_by_name_and_shapes)
{
    network trained = network_create(8, true), plain = network_create(8, false);
    network wider = network_create(9, true);
    clg_tensor *extra =
        clg_variable(plain.graph, "extra", CLG_SHAPE(2), CLG_INIT(.value = 0), true);
    float before = first_of(wider.graph, "fc2.bias");
    TEST_OK(clg_variable_write(clg_graph_find(trained.graph, "fc2.bias"), (float[]){1, 2, 3}, 3));
    TEST_OK(clg_graph_save(trained.graph, scratch, NULL));
    TEST_FAILS(clg_graph_load(wider.graph, scratch, NULL, NULL), CLG_ERROR_FORMAT,
               "fc1.weight is (6, 8) in the checkpoint, but (6, 9) in the graph");
    ck_assert(first_of(wider.graph, "fc2.bias") == before);
    TEST_FAILS(clg_graph_load(plain.graph, scratch, NULL, NULL), CLG_ERROR_FORMAT,
               "no extra (2) that the graph needs");
    TEST_OK(clg_graph_save(plain.graph, scratch, NULL));
    TEST_FAILS(clg_graph_load(trained.graph, scratch, NULL, NULL), CLG_ERROR_FORMAT,
               "no optimizer.m (99)");
    ck_assert_ptr_nonnull(extra);
    network_destroy(&trained);
    network_destroy(&plain);
    network_destroy(&wider);
}
END_TEST

START_TEST(arrays_that_the_graph_lacks_are_refused)
{
    network small = network_create(8, false), large = network_create(8, false);
    clg_variable(large.graph, "fc3.weight", CLG_SHAPE(2, 5), CLG_INIT(.value = 0), true);
    TEST_OK(clg_graph_save(large.graph, scratch, NULL));
    TEST_FAILS(clg_graph_load(small.graph, scratch, NULL, NULL), CLG_ERROR_FORMAT,
               "fc3.weight (2, 5), which the graph does not have");
    network_destroy(&small);
    network_destroy(&large);
}
END_TEST

START_TEST(partial_restoring_takes_what_fits)
{
    network trained = network_create(8, true), wider = network_create(9, true);
    clg_graph_set_steps(trained.graph, 5);
    TEST_OK(clg_variable_write(clg_graph_find(trained.graph, "fc2.bias"), (float[]){1, 2, 3}, 3));
    TEST_OK(clg_graph_save(trained.graph, scratch, NULL));
    clg_graph_state state;
    TEST_OK(
        clg_graph_load(wider.graph, scratch, clg_graph_restore_options(.partial = true), &state));
    ck_assert(state.restored == 1 && state.kept == 9 && state.ignored == 9 && state.step == 5);
    ck_assert(first_of(wider.graph, "fc2.bias") == 1.0f);
    ck_assert_uint_eq(clg_graph_steps(wider.graph), 0);
    network_destroy(&trained);
    network_destroy(&wider);
}
END_TEST

/* ---- metadata ---- */

START_TEST(settings_and_metadata_are_kept)
{
    network net = network_create(8, false);
    clg_metadata pair = {"answer", "42"};
    clg_graph_set_steps(net.graph, 12);
    TEST_OK(clg_graph_save(net.graph, scratch,
                           clg_graph_save_options(.settings = "model: {layers: []}\n",
                                                  .metadata = &pair, .metadata_count = 1)));
    clg_safetensors *file;
    clg_checkpoint_found found;
    TEST_OK(clg_checkpoint_load(&file, scratch, NULL, &found));
    ck_assert_uint_eq(found.step, 12);
    ck_assert_str_eq(clg_safetensors_metadata(file, "settings"), "model: {layers: []}\n");
    ck_assert_str_eq(clg_safetensors_metadata(file, "answer"), "42");
    clg_safetensors_destroy(file);
    network_destroy(&net);
}
END_TEST

static clg_status load_foreign(const char *key, const char *value, clg_dtype dtype,
                               clg_graph_state *out)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_variable(g, "w", CLG_SHAPE(2), CLG_INIT(.value = 0), true);
    float w[2] = {5, 6};
    clg_array array = {"w", dtype, CLG_SHAPE(2), w};
    clg_metadata pair = {key, value};
    clg_safetensors_write_params params = {.metadata = &pair, .metadata_count = key != NULL};
    TEST_OK(clg_safetensors_write(scratch_path("foreign.safetensors"), &array, 1, &params));
    clg_status status = clg_graph_load(g, scratch_path("foreign.safetensors"), NULL, out);
    ck_assert(first_of(g, "w") == (status == CLG_OK ? 5.0f : 0.0f));
    clg_graph_destroy(g);
    return status;
}

START_TEST(files_of_other_programs_load_if_they_fit)
{
    clg_graph_state state = {.step = 99};
    TEST_OK(load_foreign(NULL, NULL, CLG_F32, &state));
    ck_assert(state.step == 0 && state.epoch == 0 && state.restored == 1);
    TEST_OK(load_foreign("step", "18446744073709551615", CLG_F32, &state));
    ck_assert_uint_eq(state.step, UINT64_MAX);
    TEST_FAILS(load_foreign(NULL, NULL, CLG_I32, &state), CLG_ERROR_FORMAT, "element type");
    static const char *const bad[] = {"", "-1", "1x", " 1", "18446744073709551616", "0x10"};
    for (size_t i = 0; i < CLG__COUNT(bad); i++)
        TEST_FAILS(load_foreign("epoch", bad[i], CLG_F32, &state), CLG_ERROR_FORMAT, "\"epoch\"");
    TEST_FAILS(load_foreign("batch", "9223372036854775808", CLG_F32, &state), CLG_ERROR_FORMAT,
               "\"batch\"");
    ck_assert_uint_eq(state.step, UINT64_MAX); /* failures left it alone */
}
END_TEST

/* ---- failures in between ---- */

static const struct {
    clg__fault_kind kind;
    int code; /* of the OpenCL call */
} faults[] = {{CLG__FAULT_ALLOC, 0}, {CLG__FAULT_FILE, 0}, {CLG__FAULT_OPENCL, -5}};

static void set_step(network *net, uint64_t step)
{
    clg_graph_set_steps(net->graph, step);
    float bias[3] = {(float)step, 0, 0};
    TEST_OK(clg_variable_write(clg_graph_find(net->graph, "fc2.bias"), bias, 3));
}

/* The directory loads, and holds the step that it says. */
static uint64_t loaded_step(void)
{
    network other = network_create(8, true);
    clg_graph_state state;
    TEST_OK(clg_graph_load(other.graph, scratch, NULL, &state));
    ck_assert(first_of(other.graph, "fc2.bias") == (float)state.step);
    network_destroy(&other);
    return state.step;
}

/* Whatever fails while step 2 is saved, the directory loads: step 1, or 2 if it got that far. */
START_TEST(a_failing_save_leaves_a_directory_that_loads)
{
    clg_context *ctx;
    ctx = testing_context();
    network net = network_create(8, true);
    TEST_OK(network_compile(&net, ctx));
    bool hit = true;
    uint64_t failures = 0;
    for (uint64_t n = 1; hit; n++) {
        scratch_remove_tree(scratch);
        scratch_make();
        set_step(&net, 1);
        TEST_OK(clg_graph_save(net.graph, scratch, NULL));
        set_step(&net, 2);
        clg__fault_set(faults[_i].kind, n, n % 2 == 0, faults[_i].code);
        clg_status status = clg_graph_save(net.graph, scratch, NULL);
        hit = clg__fault_passed(faults[_i].kind) >= n;
        clg__fault_set(faults[_i].kind, 0, false, 0);
        uint64_t step = loaded_step();
        ck_assert(status == CLG_OK ? step == 2 : step == 1 || step == 2);
        failures += status != CLG_OK;
    }
    ck_assert_uint_gt(failures, 5);
    network_destroy(&net);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(a_failing_load_is_reported_and_nothing_leaks)
{
    clg_context *ctx;
    ctx = testing_context();
    network net = network_create(8, true);
    TEST_OK(network_compile(&net, ctx));
    set_step(&net, 2);
    TEST_OK(clg_graph_save(net.graph, scratch, NULL));
    int64_t live = clg__live_allocations();
    bool hit = true;
    for (uint64_t n = 1; hit; n++) {
        clg_graph_set_steps(net.graph, 1);
        clg__fault_set(faults[_i].kind, n, n % 2 == 0, faults[_i].code);
        clg_status status = clg_graph_load(net.graph, scratch, NULL, NULL);
        hit = clg__fault_passed(faults[_i].kind) >= n;
        clg__fault_set(faults[_i].kind, 0, false, 0);
        ck_assert_int_eq(clg__live_allocations(), live);
        ck_assert(status == CLG_OK || hit);
        ck_assert_uint_eq(clg_graph_steps(net.graph), status == CLG_OK ? 2 : 1);
    }
    network_destroy(&net);
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint_graph");
    TCase *graphs = scratch_case(suite, "graphs");
    tcase_add_loop_test(graphs, resumed_training_is_the_same_to_the_bit, 0, 2);
    tcase_add_test(graphs, an_inference_graph_needs_no_optimizer_state);
    tcase_add_test(graphs, a_different_network_is_refused_by_name_and_shapes);
    tcase_add_test(graphs, arrays_that_the_graph_lacks_are_refused);
    tcase_add_test(graphs, partial_restoring_takes_what_fits);
    tcase_add_test(graphs, settings_and_metadata_are_kept);
    tcase_add_test(graphs, files_of_other_programs_load_if_they_fit);
    tcase_add_loop_test(graphs, a_failing_save_leaves_a_directory_that_loads, 0,
                        (int)CLG__COUNT(faults));
    tcase_add_loop_test(graphs, a_failing_load_is_reported_and_nothing_leaks, 0,
                        (int)CLG__COUNT(faults));
    return testing_run(suite);
}
