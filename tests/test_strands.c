/*
 * Strands: launches in a row that one launch carries out, each compute unit for its share of the
 * samples, or of each launch where samples are few. The same graph on the GPU engine, which has no
 * strands, says what is right. Where a sample needs another one, there must be none.
 */
#include <CL/cl.h>
#include <math.h>

#include "device/devices.h"
#include "evaluate.h"
#include "kernels/kernels.h"
#include "memory/buffer.h"
#include "program/program.h"

enum { STEPS = 9, ROWS = 19, FEATURES = 5, UNITS = 19, MANY_UNITS = 128, MOST = 3 };

/* What to build. */
typedef struct plan {
    clg_tensor *(*layer)(clg_tensor *x, const char *name, int64_t units,
                         const clg_recurrent_layer_params *params, clg_recurrent_layer_result *out);
    int layers;
    bool gradients;
    clg_tensor *(*mix)(clg_tensor *h); /* in place of a layer: stands between products */
    bool beside; /* with a launch among them that has as many rows by chance */
    clg_program_mode mode;
} plan;

/* It on the kernels of an engine; outputs that follow the batch are (.., N, ..). */
typedef struct network {
    clg_context *ctx;
    clg_graph *graph;
    clg_program *program;
    array x, out[MOST];
    int n_out;
} network;

/* A product with it is about `gain` times as large as what goes in. */
static clg_tensor *variable(network *n, const char *name, int64_t rows, int64_t columns,
                            double gain)
{
    return clg_variable(n->graph, name, CLG_SHAPE(rows, columns),
                        CLG_INIT(.kind = CLG_INIT_NORMAL, .value = gain / sqrt((double)rows)),
                        true);
}

static void build_layer(network *n, const plan *p)
{
    clg_tensor *h =
        p->layer(n->x.tensor, "layer", UNITS,
                 clg_recurrent_layer_options(.time_first = true, .layers = p->layers), NULL);
    n->out[n->n_out++].tensor = h;
    if (!p->gradients) return;
    clg_tensor *loss = clg_mean(clg_square(h), 0, false), *dx[2];
    clg_tensor *to[2] = {n->x.tensor, clg_graph_find(n->graph, "layer.weight_hh_l0")};
    TEST_OK(clg_gradients(loss, to, 2, dx));
    for (int i = 0; i < 2; i++) n->out[n->n_out++].tensor = dx[i];
}

/* (ROWS, N, FEATURES), behind products that prepare the weights and have more rows. */
static void build_beside(network *n, clg_tensor *in, clg_tensor *w)
{
    clg_tensor *two = clg_slice(n->x.tensor, 0, 0, 2), *one = clg_slice(n->x.tensor, 0, 0, 1);
    clg_tensor *shift = clg_reshape(variable(n, "shift", ROWS, 1, 1), CLG_SHAPE(ROWS, 1, 1));
    n->out[n->n_out++].tensor = clg_matmul(clg_matmul(two, in, NULL), w, NULL);
    n->out[n->n_out++].tensor = clg_exp(clg_add(one, shift));
}

static void build_layers(network *n, const plan *p)
{
    const int64_t units = p->beside ? MANY_UNITS : UNITS; /* work-groups for several strands */
    clg_tensor *w = variable(n, "w", units, units, 1.25), *x = clg_slice(n->x.tensor, 0, 0, 1);
    clg_tensor *in = variable(n, "in", FEATURES, units, 1);
    if (p->beside) build_beside(n, in, w);
    clg_tensor *h = clg_matmul(x, in, NULL);
    for (int i = 0; i < 2 * STEPS; i++) h = clg_tanh(clg_matmul(p->mix(h), w, NULL));
    n->out[n->n_out++].tensor = h;
}

static network make_network(const plan *p, const char *engine)
{
    network n = {.ctx = engine_context(engine),
                 .graph = clg_graph_create(clg_graph_options(.batch = ROWS, .seed = 3)),
                 .x = array_random((int64_t)STEPS * ROWS * FEATURES, 1)};
    n.x.tensor = clg_input(n.graph, "x", CLG_F32, CLG_SHAPE(STEPS, CLG_BATCH, FEATURES));
    if (p->layer)
        build_layer(&n, p);
    else
        build_layers(&n, p);
    clg_tensor *outputs[MOST];
    for (int i = 0; i < n.n_out; i++) outputs[i] = n.out[i].tensor;
    TEST_OK(clg_program_compile(
        &n.program, n.ctx, n.graph,
        clg_program_options(.outputs = outputs, .mode = p->mode, .n_outputs = (size_t)n.n_out)));
    return n;
}

static void free_network(network *n)
{
    for (int i = 0; i < n->n_out; i++) free(n->out[i].data);
    clg_program_destroy(n->program);
    clg_graph_destroy(n->graph);
    clg_context_destroy(n->ctx);
    free(n->x.data);
}

static void run(network *n, int64_t batch)
{
    const int64_t count = n->x.count;
    array *out[MOST];
    TEST_OK(clg_program_set_batch(n->program, batch));
    for (int i = 0; i < n->n_out; i++) {
        const clg_shape *shape = clg_tensor_shape(n->out[i].tensor);
        out[i] = &n->out[i];
        free(out[i]->data);
        out[i]->count = clg_shape_count(shape);
        if (shape->batched) out[i]->count = out[i]->count / ROWS * batch;
        out[i]->data = malloc((size_t)out[i]->count * sizeof(float));
    }
    n->x.count = count / ROWS * batch;
    evaluate_program(n->program, (array *[]){&n->x}, 1, out, n->n_out);
    n->x.count = count;
}

static void compare(const network *got, const network *wanted)
{
    for (int i = 0; i < got->n_out; i++) {
        double *expected = malloc((size_t)wanted->out[i].count * sizeof(double));
        for (int64_t k = 0; k < wanted->out[i].count; k++) expected[k] = wanted->out[i].data[k];
        assert_close("strands", &got->out[i], expected, 1e-6);
        free(expected);
    }
}

/* A run on the CPU engine has from `least` to `most` launches (one compute unit: no strands, so
 * that there may be more), and the results of the GPU engine at several batch sizes. */
static void compare_engines(plan p, size_t least, size_t most)
{
    const int64_t batches[] = {ROWS, 12, 7, 4, 1, ROWS}; /* few: in step */
    network cpu = make_network(&p, "cpu"), gpu = make_network(&p, "gpu");
    for (size_t b = 0; b < CLG__COUNT(batches); b++) {
        run(&cpu, batches[b]);
        run(&gpu, batches[b]);
        compare(&cpu, &gpu);
    }
    clg_program_stats stats;
    clg_program_query(cpu.program, &stats);
    ck_assert_uint_ge(stats.launches, least);
    if (cpu.ctx->info.compute_units > 1) ck_assert_uint_le(stats.launches, most);
    free_network(&cpu);
    free_network(&gpu);
}

/* ---- recurrent layers ---- */

START_TEST(recurrent_layers_run_in_strands)
{
    compare_engines((plan){.layer = clg_rnn_layer}, 1, 4);
    compare_engines((plan){.layer = clg_lstm_layer}, 1, 4);
    compare_engines((plan){.layer = clg_gru_layer, .layers = 2}, 1, 8);
}
END_TEST

START_TEST(their_gradients_do_too)
{
    compare_engines((plan){.layer = clg_rnn_layer, .gradients = true}, 1, 16);
    compare_engines((plan){.layer = clg_lstm_layer, .gradients = true}, 1, 16);
    compare_engines((plan){.layer = clg_gru_layer, .gradients = true}, 1, 16);
}
END_TEST

/* ---- other strands ---- */

static clg_tensor *halve(clg_tensor *h)
{
    return clg_mul(h, clg_scalar(clg_tensor_graph(h), 0.5));
}

static clg_tensor *drop(clg_tensor *h)
{
    return halve(clg_dropout(h, 0.25));
}

/* A sum of two is about 1.4 times as large. */
static clg_tensor *add_other_rows(clg_tensor *h)
{
    clg_tensor *scale = clg_scalar(clg_tensor_graph(h), 0.7);
    return halve(clg_mul(clg_add(clg_flip(h, CLG_AXIS(1)), h), scale));
}

START_TEST(products_of_one_matrix_run_in_strands)
{
    compare_engines((plan){.mix = halve}, 1, 4);
}
END_TEST

START_TEST(launches_with_other_rows_at_other_batch_sizes_stay_right)
{
    compare_engines((plan){.mix = halve, .beside = true}, 1, 8);
}
END_TEST

/* Its number is one of the kernel's arguments. */
START_TEST(the_step_reaches_the_kernels)
{
    const plan p = {.mix = drop, .mode = CLG_TRAINING_FORWARD};
    compare_engines(p, 1, 4);
}
END_TEST

START_TEST(samples_that_meet_are_in_no_strands)
{
    compare_engines((plan){.mix = add_other_rows}, 2 * STEPS, SIZE_MAX);
}
END_TEST

/* ---- in step ---- */

enum { LAUNCHES = 300, SHARES = 23 }; /* more strands than most processors run at once */

/* counts[i][s] += 1 in place of launch i's share of strand s, if that of launch i - 1 is done. */
static const char walk[] =
    "__kernel void walk(__global int *counters, __global int *counts) {\n"
    "const int strands = get_num_groups(0);\n"
    "for (int i = 0; i < LAUNCHES; i++)\n"
    "for (int k = 0; k < strands; k++) {\n"
    "const int s = (get_group_id(0) + k) % strands;\n"
    "if (!(k ? other_share_taken(counters, s, i) : own_share_taken(counters, s, i))) continue;\n"
    "int ready = 1;\n"
    "for (int o = 0; i && o < strands; o++)\n"
    "ready &= counts[(i - 1) * strands + o] == counts[o];\n"
    "counts[i * strands + s] += ready;\n"
    "share_done(counters, s, i);\n"
    "}\n"
    "strand_leaves(counters, strands);\n"
    "}\n";

static cl_kernel make_walk(clg_context *ctx)
{
    cl_kernel kernel;
    clg__str text = {0};
    clg__str_addf(&text, "#define LAUNCHES %d\n#define LINE %d\n%s%s", LAUNCHES, CLG__STRAND_LINE,
                  clg__kernel_file("in_step")->text, walk);
    clg__module_request request = {.name = "walk", .source = text.text, .options = ""};
    TEST_OK(clg__modules_get(ctx, &request, 1));
    TEST_OK(clg__kernel_create(&kernel, request.module, "walk"));
    clg__str_free(&text);
    return kernel;
}

START_TEST(shares_are_carried_out_once_and_in_order)
{
    static int counts[LAUNCHES * SHARES];
    const size_t global = SHARES, local = 1;
    clg_context *ctx = engine_context("cpu");
    if (clg__platform_engine(&ctx->info) != CLG_ENGINE_CPU) return clg_context_destroy(ctx);
    clg__buffer *counters, *result;
    TEST_OK(clg__buffer_create(&counters, ctx, clg__strand_counters(SHARES), "counters"));
    TEST_OK(clg__buffer_create(&result, ctx, sizeof counts, "counts"));
    TEST_OK(clg__buffer_fill_zero(counters, 0, counters->size));
    TEST_OK(clg__buffer_write(result, 0, counts, sizeof counts));
    cl_kernel kernel = make_walk(ctx);
    ck_assert_int_eq(clSetKernelArg(kernel, 0, sizeof(cl_mem), &counters->mem), CL_SUCCESS);
    ck_assert_int_eq(clSetKernelArg(kernel, 1, sizeof(cl_mem), &result->mem), CL_SUCCESS);
    for (int run = 1; run <= 3; run++) {
        ck_assert_int_eq(
            clEnqueueNDRangeKernel(ctx->queue, kernel, 1, NULL, &global, &local, 0, NULL, NULL),
            CL_SUCCESS);
        TEST_OK(clg__buffer_read(result, 0, counts, sizeof counts));
        for (int i = 0; i < LAUNCHES * SHARES; i++)
            ck_assert_msg(counts[i] == run, "launch %d, share %d: %d for %d", i / SHARES,
                          i % SHARES, counts[i], run);
    }
    clReleaseKernel(kernel);
    clg__buffer_destroy(counters);
    clg__buffer_destroy(result);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- failures ---- */

/* Compiles a program with strands, runs it, and binds it to another batch size. */
static clg_status live(clg_context *ctx, clg_graph *graph, clg_program **program)
{
    float x[STEPS * ROWS * FEATURES] = {0};
    clg_tensor *in = clg_input(graph, "x", CLG_F32, CLG_SHAPE(STEPS, CLG_BATCH, FEATURES));
    clg_tensor *h =
        clg_rnn_layer(in, "layer", UNITS, clg_recurrent_layer_options(.time_first = true), NULL);
    CLG_TRY(clg_program_compile(program, ctx, graph,
                                clg_program_options(.outputs = &h, .n_outputs = 1)));
    CLG_TRY(clg_program_set_batch(*program, 4));
    CLG_TRY(clg_program_set_batch(*program, ROWS));
    CLG_TRY(clg_program_feed(*program, in, x, sizeof x));
    CLG_TRY(clg_program_run(*program));
    return clg_context_finish(ctx);
}

static uint64_t fail_at(clg__fault_kind kind, uint64_t point, int code)
{
    clg_context *ctx = engine_context("cpu");
    clg_graph *graph = clg_graph_create(clg_graph_options(.batch = ROWS));
    clg_program *program = NULL;
    clg__fault_set(kind, point, false, code);
    clg_status status = live(ctx, graph, &program);
    const uint64_t passed = clg__fault_passed(kind);
    clg__fault_set(kind, 0, false, 0);
    ck_assert_msg(status == CLG_OK || clg_last_error()[0], "point %" PRIu64 ": no message", point);
    clg_program_destroy(program);
    clg_graph_destroy(graph);
    clg_context_destroy(ctx);
    ck_assert_msg(clg__live_objects() == 0 && clg__live_allocations() == 0,
                  "point %" PRIu64 ": something leaked", point);
    return passed;
}

START_TEST(a_failure_leaks_nothing)
{
    const clg__fault_kind kind = _i == 0 ? CLG__FAULT_ALLOC : CLG__FAULT_OPENCL;
    const int code = _i == 0 ? 0 : CL_OUT_OF_RESOURCES;
    fail_at(kind, 0, code); /* from here on caches are warm */
    const uint64_t points = fail_at(kind, 0, code);
    for (uint64_t point = 1; point <= points; point += 1 + points / 40) fail_at(kind, point, code);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("strands");
    TCase *launches = testing_case(suite, "launches");
    tcase_add_test(launches, recurrent_layers_run_in_strands);
    tcase_add_test(launches, their_gradients_do_too);
    tcase_add_test(launches, products_of_one_matrix_run_in_strands);
    tcase_add_test(launches, launches_with_other_rows_at_other_batch_sizes_stay_right);
    tcase_add_test(launches, the_step_reaches_the_kernels);
    tcase_add_test(launches, samples_that_meet_are_in_no_strands);
    tcase_add_test(launches, shares_are_carried_out_once_and_in_order);
    tcase_add_loop_test(launches, a_failure_leaks_nothing, 0, 2);
    return testing_run(suite);
}
