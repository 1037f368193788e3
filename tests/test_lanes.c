/*
 * Convolutions of many groups with vectors across the groups: values and gradients of all kinds of
 * groups on every kind of device, with an epilogue, at another batch size; that the same bits come
 * out again; and where it is chosen.
 */
#include "convolutions.h"

#include "device/context.h"
#include "ops/algorithms_cpu.h"

/* Asks for an algorithm by name, which has to apply then. */
static void choose(const char *name)
{
    static const char *const variables[] = {"CLGRAD_CONV2D", "CLGRAD_CONV2D_BACKWARD_DATA",
                                            "CLGRAD_CONV2D_BACKWARD_WEIGHTS"};
    for (size_t i = 0; i < CLG__COUNT(variables); i++) {
        if (name)
            setenv(variables[i], name, 1);
        else
            unsetenv(variables[i]);
    }
}

/* ---- values ---- */

#define GEOMETRY(stride0, stride1, pad0, pad1, dilation0, dilation1, groups)                       \
    {                                                                                              \
        {stride0, stride1}, {pad0, pad1}, {dilation0, dilation1}, groups, CLG_PADDING_EXPLICIT, 0  \
    }
#define PAD(pad, groups) GEOMETRY(1, 1, pad, pad, 1, 1, groups)

/*
 * Channels of a group that are zipped by vectors and one by one, as many in as out and not; whole
 * panels and a rest; lanes without group; phases without taps and without pixels; blocks of parts
 * of a row, windows that cross images; one window for everything.
 */
static const convolution cases[] = {
    {2, 9, 8, 128, 3, 3, 128, PAD(1, 32)},
    {2, 5, 6, 16, 3, 3, 16, PAD(1, 16)},
    {1, 5, 6, 17, 3, 3, 34, PAD(1, 17)},
    {3, 7, 5, 128, 3, 3, 32, PAD(1, 16)},
    {2, 6, 7, 40, 3, 2, 160, PAD(0, 20)},
    {1, 4, 9, 48, 2, 5, 80, PAD(2, 16)},
    {2, 5, 5, 80, 3, 3, 48, GEOMETRY(2, 2, 1, 1, 1, 1, 16)},
    {2, 13, 10, 128, 3, 3, 64, GEOMETRY(3, 2, 2, 0, 2, 1, 32)},
    {2, 9, 11, 64, 3, 3, 128, GEOMETRY(2, 4, 3, 2, 2, 3, 16)},
    {1, 4, 40, 64, 2, 4, 64, GEOMETRY(1, 5, 0, 3, 1, 9, 16)},
    {2, 6, 6, 192, 1, 1, 112, GEOMETRY(2, 2, 0, 0, 1, 1, 16)},
    {1, 2, 301, 64, 3, 3, 64, PAD(1, 16)},
    {1, 8, 8, 160, 5, 5, 96, PAD(2, 16)},
    {5, 3, 3, 6, 3, 3, 10, PAD(1, 2)},
    {1, 1, 1, 96, 1, 1, 96, PAD(0, 48)},
};

/* What a context says about its device; 0: as it is. */
static const struct {
    uint32_t vector_width, compute_units;
    uint64_t local_memory;
} kinds[] = {{0, 0, 1 << 20}, {8, 0, 1 << 18}, {4, 64, 1 << 20}};

static clg_context *cpu_context(int kind)
{
    clg_context *ctx = engine_context("cpu");
    if (kinds[kind].vector_width) ctx->info.float_vector_width = kinds[kind].vector_width;
    if (kinds[kind].compute_units) ctx->info.compute_units = kinds[kind].compute_units;
    ctx->info.local_memory = kinds[kind].local_memory;
    return ctx;
}

START_TEST(values_and_gradients_are_right)
{
    clg_context *ctx = cpu_context(_i);
    choose("lanes");
    for (size_t i = 0; i < CLG__COUNT(cases); i++) check_convolution(ctx, &cases[i]);
    choose(NULL);
    clg_context_destroy(ctx);
}
END_TEST

/* relu(x w + bias) + residual, in the kernel's stores, and dw + w: batch 7, or fewer with the same
 * program. */
enum { MOST = 7, PIXELS = 9 * 10, CHANNELS = 72, OUTPUTS = 54, GROUPS = 18, WEIGHTS = 9 * 4 * 54 };

static void layer(clg_context *ctx, const char *algorithm, int64_t batch, array out[2])
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = MOST));
    array x = array_random(batch * PIXELS * CHANNELS, 1), w = array_random(WEIGHTS, 2);
    array bias = array_random(OUTPUTS, 3), residual = array_random(batch * PIXELS * OUTPUTS, 4);
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 9, 10, CHANNELS));
    w.tensor = clg_input(g, "w", CLG_F32, CLG_SHAPE(3, 3, 4, OUTPUTS));
    bias.tensor = clg_input(g, "bias", CLG_F32, CLG_SHAPE(OUTPUTS));
    residual.tensor = clg_input(g, "residual", CLG_F32, CLG_SHAPE(CLG_BATCH, 9, 10, OUTPUTS));
    clg_tensor *dw = NULL, *y = clg_conv2d(x.tensor, w.tensor,
                                           clg_conv2d_options(.pad = {1, 1}, .groups = GROUPS));
    TEST_OK(clg_vjp(y, residual.tensor, &w.tensor, 1, &dw));
    out[0] = (array){.count = residual.count};
    out[0].tensor = clg_add(clg_relu(clg_add(y, bias.tensor)), residual.tensor);
    out[1] = (array){.tensor = clg_add(dw, w.tensor), .count = WEIGHTS};
    for (int i = 0; i < 2; i++) out[i].data = malloc((size_t)out[i].count * sizeof(float));
    choose(algorithm);
    clg_program *p = compile_outputs(ctx, g, (array *[]){&out[0], &out[1]}, 2);
    choose(NULL);
    TEST_OK(clg_program_set_batch(p, batch));
    array *in[] = {&x, &w, &bias, &residual};
    evaluate_program(p, in, 4, (array *[]){&out[0], &out[1]}, 2);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    for (int i = 0; i < 4; i++) free(in[i]->data);
}

START_TEST(layers_and_smaller_batches_agree_with_the_tile_and_repeat)
{
    static const int64_t batches[] = {MOST, 2};
    clg_context *ctx = cpu_context(0);
    array tile[2], lanes[2], again[2];
    layer(ctx, "tile", batches[_i], tile);
    layer(ctx, "lanes", batches[_i], lanes);
    layer(ctx, "lanes", batches[_i], again);
    for (int i = 0; i < 2; i++) {
        for (int64_t k = 0; k < tile[i].count; k++)
            ck_assert_float_eq_tol(tile[i].data[k], lanes[i].data[k], 2e-5f);
        ck_assert_mem_eq(lanes[i].data, again[i].data, (size_t)tile[i].count * sizeof(float));
        free(tile[i].data);
        free(lanes[i].data);
        free(again[i].data);
    }
    clg_context_destroy(ctx);
}
END_TEST

/* ---- where ---- */

static const struct {
    int64_t channels, outputs;
    int groups;
    bool applies, forward, data;
} choices[] = {
    {128, 128, 32, true, true, true},      {256, 256, 32, true, true, true},
    {1024, 1024, 32, false, false, false}, /* 32 channels fill vectors themselves */
    {128, 256, 128, true, true, true},     {64, 64, 64, true, false, false}, /* depthwise */
    {256, 32, 16, true, true, false},      {8, 8, 2, true, false, false},
    {64, 64, 8, true, false, false},       {32, 32, 8, true, true, true},
    {16, 16, 1, false, false, false},
};

START_TEST(it_is_chosen_where_it_has_less_to_multiply)
{
    clg_context device = {
        .info = {.float_vector_width = 16, .local_memory = 1 << 20, .compute_units = 2}};
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(4, 28, 28, choices[_i].channels));
    clg_tensor *w =
        clg_input(g, "w", CLG_F32,
                  CLG_SHAPE(3, 3, choices[_i].channels / choices[_i].groups, choices[_i].outputs));
    clg_tensor *y = clg_conv2d(x, w, clg_conv2d_options(.groups = choices[_i].groups)), *d[2];
    TEST_OK(clg_vjp(y, y, (clg_tensor *[]){x, w}, 2, d));
    ck_assert(clg__lanes_forward_applies(&device, y) == choices[_i].applies);
    ck_assert(clg__lanes_backward_data_applies(&device, d[0]) == choices[_i].applies);
    ck_assert(clg__lanes_forward_by_default(&device, y, 4) == choices[_i].forward);
    ck_assert(clg__lanes_backward_data_by_default(&device, d[0], 4) == choices[_i].data);
    ck_assert(clg__lanes_backward_weights_by_default(&device, d[1], 4) == choices[_i].forward);
    clg_graph_destroy(g);
}
END_TEST

START_TEST(devices_with_little_local_memory_are_left_to_the_tile)
{
    clg_context device = {
        .info = {.float_vector_width = 16, .local_memory = 32768, .compute_units = 2}};
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(4, 28, 28, 128));
    clg_tensor *w = clg_input(g, "w", CLG_F32, CLG_SHAPE(3, 3, 4, 128));
    clg_tensor *y = clg_conv2d(x, w, clg_conv2d_options(.groups = 32)), *d[2];
    TEST_OK(clg_vjp(y, y, (clg_tensor *[]){x, w}, 2, d));
    ck_assert(!clg__lanes_forward_applies(&device, y));
    ck_assert(!clg__lanes_backward_data_applies(&device, d[0]));
    ck_assert(!clg__lanes_backward_weights_applies(&device, d[1]));
    clg_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lanes");
    TCase *values = testing_case(suite, "values");
    tcase_set_timeout(values, 300);
    tcase_add_loop_test(values, values_and_gradients_are_right, 0, CLG__COUNT(kinds));
    tcase_add_loop_test(values, layers_and_smaller_batches_agree_with_the_tile_and_repeat, 0, 2);
    TCase *where = testing_case(suite, "where");
    tcase_add_loop_test(where, it_is_chosen_where_it_has_less_to_multiply, 0, CLG__COUNT(choices));
    tcase_add_test(where, devices_with_little_local_memory_are_left_to_the_tile);
    return testing_run(suite);
}
