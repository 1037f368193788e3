/*
 * Every kernel family at tiny, odd sizes, forward and backward, on both engines, which have to
 * agree.
 *
 * The point is the edges: rows and columns that no tile divides, windows that hang over the border,
 * batches of one. Run under oclgrind (tests/oclgrind.sh), where a read or write beside a buffer, or
 * two work-items racing for a cell, is an error; so cases are small enough for an interpreter.
 */
#include <math.h>

#include "clgrad/clgrad.h"
#include "ops/segments.h"
#include "ops/sparse.h"
#include "testing.h"

enum { MAX_OUTPUTS = 8, MAX_VALUES = 16384 };

/* Values of all outputs, one after the other. */
typedef struct values {
    float value[MAX_VALUES];
    size_t count;
} values;

/* Builds one case; returns a scalar that depends on all of it. */
typedef clg_tensor *(*build_fn)(clg_graph *graph);

/* ---- running a case ---- */

/* Outputs: the scalar and its gradient with respect to each variable. */
static size_t outputs_of(clg_graph *graph, clg_tensor *loss, clg_tensor **outputs)
{
    clg_tensor *variables[MAX_OUTPUTS];
    size_t n = 0;
    for (clg_tensor *v; (v = clg_graph_variable(graph, n)) != NULL; n++) {
        ck_assert_uint_lt(n, MAX_OUTPUTS - 1);
        variables[n] = v;
    }
    outputs[0] = loss;
    TEST_OK(clg_gradients(loss, variables, n, outputs + 1));
    return n + 1;
}

static void read_outputs(clg_program *program, clg_tensor **outputs, size_t n, values *out)
{
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)clg_shape_count(clg_tensor_shape(outputs[i]));
        ck_assert_uint_le(out->count + count, MAX_VALUES);
        TEST_OK(
            clg_program_read(program, outputs[i], out->value + out->count, count * sizeof(float)));
        out->count += count;
    }
}

/* `matmul`: an algorithm by name. On GPUs CLBlast is the default, whose kernels are not ours to
 * check. */
static void run_on(const char *engine, const char *matmul, build_fn build, values *out)
{
    clg_context *context = NULL;
    clg_program *program = NULL;
    clg_tensor *outputs[MAX_OUTPUTS];
    setenv("CLGRAD_ENGINE", engine, 1);
    TEST_OK(clg_context_create(&context, NULL));
    unsetenv("CLGRAD_ENGINE");
    clg_graph *graph = clg_graph_create(clg_graph_options(.batch = 1, .seed = 3));
    clg_tensor *loss = build(graph);
    TEST_OK(clg_graph_status(graph));
    size_t n = outputs_of(graph, loss, outputs);
    setenv("CLGRAD_MATMUL", matmul, 1);
    TEST_OK(clg_program_compile(
        &program, context, graph,
        clg_program_options(.outputs = outputs, .n_outputs = n, .mode = CLG_TRAINING_FORWARD)));
    unsetenv("CLGRAD_MATMUL");
    TEST_OK(clg_program_run(program));
    out->count = 0;
    read_outputs(program, outputs, n, out);
    clg_program_destroy(program);
    clg_graph_destroy(graph);
    clg_context_destroy(context);
}

static void engines_agree(build_fn build)
{
    static values cpu, gpu;
    run_on("cpu", "tile", build, &cpu);
    run_on("gpu", "local", build, &gpu);
    ck_assert_uint_eq(cpu.count, gpu.count);
    bool moves = false;
    for (size_t i = 0; i < cpu.count; i++) {
        ck_assert_msg(isfinite(cpu.value[i]), "value %zu is %g", i, (double)cpu.value[i]);
        moves |= cpu.value[i] != 0.0f;
        float scale = 1e-4f * fmaxf(1.0f, fabsf(cpu.value[i]));
        ck_assert_msg(fabsf(cpu.value[i] - gpu.value[i]) <= scale, "value %zu: %.9g and %.9g", i,
                      (double)cpu.value[i], (double)gpu.value[i]);
    }
    ck_assert(moves);
}

/* ---- parts of cases ---- */

static clg_tensor *normal(clg_graph *graph, const char *name, clg_shape shape)
{
    return clg_variable(graph, name, shape, CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 1), true);
}

/* A scalar in which every element has a weight of its own, so that no error cancels. */
static clg_tensor *weighed(clg_tensor *x)
{
    clg_tensor *weights = clg_random_uniform(x);
    return clg_mean(clg_mul(clg_mul(x, x), weights), 0, false);
}

/* ---- cases ---- */

static clg_tensor *build_pointwise(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(3, 1, 7)),
               *y = normal(graph, "y", CLG_SHAPE(5, 1));
    return weighed(clg_mul(clg_tanh(clg_add(x, y)), clg_sigmoid(clg_sub(y, x))));
}

static clg_tensor *build_reductions(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(3, 5, 7));
    clg_tensor *rows = clg_log_softmax(x, -1), *columns = clg_softmax(x, 0);
    clg_tensor *largest = clg_max(x, CLG_AXIS(1), true);
    return weighed(clg_add(clg_mul(rows, columns), largest));
}

static clg_tensor *build_structure(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(3, 5)), *y = normal(graph, "y", CLG_SHAPE(2, 5));
    clg_tensor *joined = clg_concat((clg_tensor *[]){x, y, clg_slice(x, 0, 1, 2)}, 3, 0);
    clg_tensor *turned = clg_transpose(clg_pad(joined, 1, 2, 1), (int[]){1, 0});
    return weighed(clg_reshape(turned, CLG_SHAPE(4, 14)));
}

static clg_tensor *build_padding(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(2, 3, 4, 5)), *loss = NULL;
    for (int mode = 0; mode <= CLG_PAD_CIRCULAR; mode++) {
        clg_pad_params params = {
            .mode = (clg_pad_mode)mode, .value = 2, .before = {0, 2, 1}, .after = {0, 1, 3}};
        clg_tensor *y = weighed(clg_flip(clg_pad_axes(x, &params), CLG_AXIS(2)));
        loss = loss ? clg_add(loss, y) : y;
    }
    clg_tensor *every =
        clg_slice_axes(x, clg_slice_options(.begin = {0, 1, 0, 1}, .step = {0, 0, 3, 2}));
    return clg_add(loss, weighed(every));
}

static clg_tensor *build_normalization(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(2, 3, 2, 22));
    clg_tensor *y = clg_local_response_norm(x, clg_local_response_norm_options(.alpha = 1));
    y = clg_add(y, clg_window_sum(clg_slice(x, 3, 0, 1), 2, 3));
    return clg_add(weighed(y), weighed(clg_group_norm(x, 2, NULL, NULL, 0)));
}

/* Sizes just beside the tiles of both engines, and a single element. */
static clg_tensor *build_matmul(clg_graph *graph)
{
    clg_tensor *a = normal(graph, "a", CLG_SHAPE(15, 5)), *b = normal(graph, "b", CLG_SHAPE(5, 33));
    clg_tensor *c = normal(graph, "c", CLG_SHAPE(33));
    clg_tensor *product = clg_relu(clg_add(clg_matmul(a, b, NULL), c));
    clg_tensor *row = clg_matmul(product, c = clg_reshape(c, CLG_SHAPE(33, 1)), NULL);
    return clg_add(weighed(row), weighed(product));
}

static clg_tensor *build_matmul_transposed(clg_graph *graph)
{
    clg_tensor *a = normal(graph, "a", CLG_SHAPE(2, 3, 7)),
               *b = normal(graph, "b", CLG_SHAPE(2, 5, 3));
    return weighed(clg_matmul(a, b, clg_matmul_options(.transpose_a = true, .transpose_b = true)));
}

static clg_tensor *build_conv2d(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(2, 7, 5, 3));
    clg_tensor *w = normal(graph, "w", CLG_SHAPE(3, 3, 3, 5)),
               *b = normal(graph, "b", CLG_SHAPE(5));
    clg_tensor *y = clg_conv2d(x, w, clg_conv2d_options(.stride = {2, 1}, .pad = {1, 2}));
    return weighed(clg_relu(clg_add(y, b)));
}

static clg_tensor *build_conv2d_same(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(1, 6, 17, 1));
    clg_tensor *w = normal(graph, "w", CLG_SHAPE(5, 2, 1, 4));
    return weighed(clg_conv2d(x, w, clg_conv2d_options(.padding = CLG_PADDING_SAME)));
}

static clg_tensor *build_conv2d_groups(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(2, 6, 6, 6));
    clg_tensor *w = normal(graph, "w", CLG_SHAPE(2, 2, 3, 4));
    clg_tensor *depthwise = normal(graph, "depthwise", CLG_SHAPE(3, 3, 1, 6));
    clg_tensor *y = clg_conv2d(x, depthwise, clg_conv2d_options(.groups = 6, .pad = {1, 1}));
    return weighed(clg_conv2d(y, w, clg_conv2d_options(.groups = 2, .dilation = {2, 2})));
}

/* So many that vectors go across them on processors, with lanes that have none. */
static clg_tensor *build_conv2d_many_groups(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(1, 5, 6, 21));
    clg_tensor *w = normal(graph, "w", CLG_SHAPE(3, 2, 3, 14));
    return weighed(
        clg_conv2d(x, w, clg_conv2d_options(.groups = 7, .stride = {2, 1}, .pad = {1, 1})));
}

/* Vectors of channels, runs of pixels that end behind the image, phases; a window that has none. */
static clg_tensor *build_depthwise(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(2, 7, 9, 8));
    clg_tensor *w = normal(graph, "w", CLG_SHAPE(3, 3, 1, 8)),
               *wide = normal(graph, "wide", CLG_SHAPE(1, 2, 1, 8));
    clg_tensor *y =
        clg_conv2d(x, w, clg_conv2d_options(.groups = 8, .stride = {2, 2}, .pad = {1, 1}));
    clg_tensor *z =
        clg_conv2d(x, wide, clg_conv2d_options(.groups = 8, .pad = {0, 20}, .dilation = {1, 25}));
    return clg_add(weighed(y), weighed(z));
}

/* Long enough for parts, of a row and of columns, with rests in the last ones. */
static clg_tensor *build_long_reductions(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(1, 8431)),
               *y = normal(graph, "y", CLG_SHAPE(1033, 6));
    return clg_add(
        weighed(clg_mean(x, CLG_AXIS(1), false)),
        clg_add(weighed(clg_max(y, CLG_AXIS(0), false)), weighed(clg_mean(y, CLG_AXIS(0), false))));
}

static clg_tensor *build_pooling(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(2, 7, 5, 3));
    clg_tensor *largest =
        clg_max_pool2d(x, clg_pool2d_options(.size = {3, 2}, .stride = {2, 1}, .pad = {1, 1}));
    clg_tensor *average = clg_average_pool2d(x, clg_pool2d_options(.size = {2}, .pad = {1, 0}));
    clg_tensor *shared =
        clg_add(clg_adaptive_max_pool2d(x, 3, 2), clg_adaptive_average_pool2d(x, 3, 2));
    return clg_add(clg_add(weighed(largest), weighed(average)),
                   clg_add(weighed(shared), weighed(clg_global_average_pool2d(x))));
}

/* Row numbers that are equal, and some outside, which are dropped. */
static clg_tensor *build_rows(clg_graph *graph)
{
    clg_tensor *table = normal(graph, "table", CLG_SHAPE(7, 19));
    clg_tensor *rows = normal(graph, "rows", CLG_SHAPE(9, 19));
    clg_tensor *index = clg_constant(graph, CLG_SHAPE(9), (float[]){6, 0, 6, 2, -1, 9, 2, 2, 0});
    clg_tensor *inside = clg_constant(graph, CLG_SHAPE(2, 2), (float[]){6, 0, 3, 3});
    clg_tensor *numbers = clg__row_index(&index, 1, clg_tensor_shape(table));
    clg_tensor *first = clg__first_equal(numbers);
    clg_tensor *changed = clg__assign_rows(table, numbers, first, clg__sum_equal_rows(first, rows));
    return clg_add(
        weighed(clg_gather(table, inside)),
        clg_add(weighed(clg_scatter_add(table, index, rows)), weighed(clg_stop_gradient(changed))));
}

static clg_tensor *build_recurrent(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(2, 3, 5));
    const clg_recurrent_layer_params params = {.time_first = true, .no_bias = true};
    return clg_add(weighed(clg_lstm_layer(x, "lstm", 3, &params, NULL)),
                   weighed(clg_gru_layer(x, "gru", 3, &params, NULL)));
}

static clg_tensor *build_segments(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(77)), *y = normal(graph, "y", CLG_SHAPE(77));
    clg__segments pieces = clg__segments_make(graph, (int64_t[]){5, 33, 1, 38}, 4);
    clg_tensor *norms = clg_sqrt(clg__segment_sum(x, &pieces, true));
    clg_tensor *sums = clg__segment_sum(y, &pieces, false);
    return weighed(clg_mul(clg__segment_repeat(clg_mul(norms, sums), &pieces), y));
}

static clg_tensor *build_network(clg_graph *graph)
{
    clg_tensor *x = normal(graph, "x", CLG_SHAPE(3, 4, 4, 2));
    clg_tensor *h = clg_batch_norm_layer(x, "norm", NULL);
    h = clg_dropout(clg_flatten(h), 0.25);
    clg_tensor *logits = clg_linear_layer(h, "output", 3, NULL);
    clg_tensor *labels = clg_constant(graph, CLG_SHAPE(3), (float[]){2, 0, 1});
    return clg_softmax_cross_entropy(logits, labels, NULL);
}

/* One Check test case each, so that CK_RUN_CASE=conv2d runs a single one. */
/* clang-format off */
#define CASES(X) \
    X(pointwise) \
    X(reductions) \
    X(long_reductions) \
    X(structure) \
    X(padding) \
    X(normalization) \
    X(matmul) \
    X(matmul_transposed) \
    X(conv2d) \
    X(conv2d_same) \
    X(conv2d_groups) \
    X(conv2d_many_groups) \
    X(depthwise) \
    X(pooling) \
    X(rows) \
    X(recurrent) \
    X(segments) \
    X(network)
/* clang-format on */

#define CASE(name)                                                                                 \
    START_TEST(name)                                                                               \
    {                                                                                              \
        engines_agree(build_##name);                                                               \
    }                                                                                              \
    END_TEST
CASES(CASE)
#undef CASE

int main(void)
{
    Suite *suite = suite_create("bounds");
#define ADD(name) tcase_add_test(testing_case(suite, #name), name);
    CASES(ADD)
#undef ADD
    return testing_run(suite);
}
