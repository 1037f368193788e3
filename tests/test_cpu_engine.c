/*
 * The CPU engine's own matters, on whatever device there is: products, convolutions and reductions
 * are right with the tile of every vector width and with little local memory, whatever the
 * geometry; the same bits come out again; and another batch size asks for the same kernels.
 */
#include "convolutions.h"
#include "products.h"
#include "reductions.h"

#include "device/context.h"
#include "ops/algorithms_cpu.h"
#include "ops/tuning.h"

/* ---- devices ---- */

/* What a context says about its device, to see what the engine makes of it. 0: as it is. */
typedef struct device_kind {
    uint32_t vector_width, compute_units;
    uint64_t local_memory;
} device_kind;

static const device_kind kinds[] = {{0, 0, 0}, {8, 0, 32768}, {4, 64, 0}};

static clg_context *cpu_context(const device_kind *kind)
{
    clg_context *ctx = engine_context("cpu");
    if (kind->vector_width) ctx->info.float_vector_width = kind->vector_width;
    if (kind->compute_units) ctx->info.compute_units = kind->compute_units;
    if (kind->local_memory && kind->local_memory < ctx->info.local_memory)
        ctx->info.local_memory = kind->local_memory;
    return ctx;
}

START_TEST(tiles_fit_the_device)
{
    static const uint32_t widths[] = {0, 1, 4, 8, 16};
    static const int expected[] = {16, 4, 4, 8, 16};
    const clg__tile_knobs knobs = {CLG__TUNE_CONV2D_TILE, CLG__TUNE_CONV2D_BLOCKS, 5, 12};
    for (size_t i = 0; i < CLG__COUNT(widths); i++) {
        clg_context device = {
            .info = {.float_vector_width = widths[i], .local_memory = 32768, .compute_units = 3}};
        clg__tile wide = clg__tile_choose(&device, &knobs, NULL, 1000);
        clg__tile narrow = clg__tile_choose(&device, &knobs, NULL, 3);
        ck_assert_int_eq(wide.width, expected[i]);
        ck_assert_int_eq(wide.panel, 2 * wide.width);
        ck_assert_int_eq(narrow.panel, narrow.width);
        ck_assert_int_le(4 * wide.local_floats, 32768);
        ck_assert_int_eq(wide.compute_units, 3);
    }
}
END_TEST

/* ---- values ---- */

/* Long reductions, which are cut into chunks and, where the result is small, split and summed. */
static const product long_products[] = {{1, 5, 3, 5000, false, false},
                                        {2, 1, 1, 1023, false, false},
                                        {1, 100, 70, 1023, false, false},
                                        {3, 7, 40, 600, true, false}};

/* Weights that are packed once; few rows, and blocks whose last rows are few. */
static const product kept_products[] = {
    {1, 1, 33, 70, false, true}, {1, 3, 5, 1023, false, true}, {1, 4, 100, 16, false, true},
    {1, 5, 64, 31, false, true}, {1, 50, 97, 7, false, true},  {3, 9, 40, 50, true, true},
    {2, 6, 20, 33, false, true}, {1, 2, 70, 40, false, false},
};

/* So large that B is packed apart, with tiles and panels that are not full. */
static const product panel_products[] = {{1, 500, 197, 301, false, false},
                                         {2, 260, 197, 301, true, false}};

START_TEST(products_are_right_on_every_kind_of_device)
{
    clg_context *ctx = cpu_context(&kinds[_i]);
    check_products(ctx);
    for (size_t i = 0; i < CLG__COUNT(long_products); i++)
        for (int t = 0; t < 4; t++) check_product(ctx, long_products[i], t & 1, t & 2);
    for (size_t i = 0; i < CLG__COUNT(kept_products); i++)
        for (int t = 0; t < 4; t++) check_product(ctx, kept_products[i], t & 1, t & 2);
    for (size_t i = 0; i < CLG__COUNT(panel_products); i++)
        for (int t = 0; t < 4; t++) check_product(ctx, panel_products[i], t & 1, t & 2);
    clg_context_destroy(ctx);
}
END_TEST

/* Windows that cross images, rows that no tap sees, wide rows, many channels, merged groups, wide
 * rows of depthwise ones. */
static const convolution more_convolutions[] = {
    {5, 8, 8, 20, 2, 5, 6, {{3, 3}, {0, 2}, {1, 1}, 2, CLG_PADDING_EXPLICIT, 0}},
    {1, 2, 1023, 3, 3, 3, 5, {{1, 1}, {1, 1}, {1, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
    {2, 5, 4, 300, 3, 1, 40, {{1, 1}, {1, 0}, {1, 2}, 1, CLG_PADDING_EXPLICIT, 0}},
    {3, 7, 7, 32, 3, 3, 64, {{2, 2}, {1, 1}, {1, 1}, 8, CLG_PADDING_EXPLICIT, 0}},
    {2, 9, 9, 19, 3, 3, 19, {{2, 1}, {3, 2}, {1, 3}, 19, CLG_PADDING_EXPLICIT, 0}},
    {2, 6, 6, 16, 1, 1, 48, {{2, 2}, {0, 0}, {1, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
    {2, 7, 23, 19, 3, 3, 19, {{2, 2}, {1, 1}, {1, 1}, 19, CLG_PADDING_EXPLICIT, 0}},
    {2, 6, 17, 35, 3, 5, 35, {{1, 1}, {1, 3}, {1, 2}, 35, CLG_PADDING_EXPLICIT, 0}},
    {1, 5, 14, 16, 2, 4, 16, {{1, 3}, {0, 0}, {2, 1}, 16, CLG_PADDING_EXPLICIT, 0}},
};

START_TEST(convolutions_are_right_on_every_kind_of_device)
{
    clg_context *ctx = cpu_context(&kinds[_i]);
    for (size_t i = 0; i < CLG__COUNT(convolutions); i++) check_convolution(ctx, &convolutions[i]);
    for (size_t i = 0; i < CLG__COUNT(more_convolutions); i++)
        check_convolution(ctx, &more_convolutions[i]);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(reductions_are_right_on_every_kind_of_device)
{
    clg_context *ctx = cpu_context(&kinds[_i]);
    for (size_t i = 0; i < CLG__COUNT(reductions); i++) check_reduction(ctx, &reductions[i]);
    clg_context_destroy(ctx);
}
END_TEST

/* Of all columns of a row or of few: a strip's width follows from the number of units. */
START_TEST(reductions_do_not_depend_on_the_number_of_units)
{
    for (size_t i = 0; i < CLG__COUNT(reductions); i++) check_units("cpu", &reductions[i]);
}
END_TEST

/* A geometry drawn at random; false if the kernel does not fit into the padded image. */
static bool draw_convolution(convolution *p, uint64_t key)
{
    static const int sides[] = {1, 7, 8, 14}, channels[] = {1, 3, 4, 16, 17, 40};
    uint32_t a[4], b[4], c[4];
    clg__philox(key, 0, 0, a);
    clg__philox(key, 1, 0, b);
    clg__philox(key, 2, 0, c);
    const int groups = b[3] % 3 ? 1 : 2 + (int)(c[3] % 3);
    *p = (convolution){.n = 1 + (int)(a[0] % 4), .h = sides[a[1] % 4], .w = sides[a[2] % 4]};
    p->c = channels[a[3] % 6] * groups;
    p->oc = channels[b[0] % 6] * groups;
    p->kh = 1 + (int)(b[1] % 5);
    p->kw = 1 + (int)(b[2] % 5);
    p->params = (clg_conv2d_params){.stride = {1 + (int)(c[0] % 3), 1 + (int)(c[0] / 3 % 3)},
                                    .pad = {(int)(c[1] % 4), (int)(c[1] / 4 % 4)},
                                    .dilation = {1 + (int)(c[2] % 2), 1 + (int)(c[2] / 2 % 3)},
                                    .groups = groups,
                                    .padding = CLG_PADDING_EXPLICIT};
    return p->h + 2 * p->params.pad[0] > p->params.dilation[0] * (p->kh - 1) &&
           p->w + 2 * p->params.pad[1] > p->params.dilation[1] * (p->kw - 1);
}

START_TEST(convolutions_drawn_at_random_are_right)
{
    clg_context *ctx = cpu_context(&kinds[0]);
    convolution p;
    for (uint64_t key = 1; key <= 40; key++)
        if (draw_convolution(&p, key)) check_convolution(ctx, &p);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(the_same_bits_come_out_again)
{
    clg_context *ctx = cpu_context(&kinds[2]); /* many splits */
    clg_graph *g = clg_graph_create(NULL);
    array x = array_random(4 * 9 * 9 * 5, 1), dy = array_random(4 * 9 * 9 * 7, 2);
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(4, 9, 9, 5));
    dy.tensor = clg_input(g, "dy", CLG_F32, CLG_SHAPE(4, 9, 9, 7));
    clg_tensor *w = clg_input(g, "w", CLG_F32, CLG_SHAPE(3, 3, 5, 7)), *dw = NULL;
    clg_tensor *y = clg_conv2d(x.tensor, w, clg_conv2d_options(.pad = {1, 1}));
    TEST_OK(clg_vjp(y, dy.tensor, &w, 1, &dw));
    array first = {.tensor = dw}, again = {.tensor = dw};
    clg_program *p = compile_outputs(ctx, g, (array *[]){&first}, 1);
    evaluate_program(p, (array *[]){&x, &dy}, 2, (array *[]){&first}, 1);
    for (int i = 0; i < 5; i++) {
        evaluate_program(p, (array *[]){&x, &dy}, 2, (array *[]){&again}, 1);
        ck_assert_mem_eq(first.data, again.data, (size_t)first.count * sizeof(float));
    }
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
    free(x.data);
    free(dy.data);
    free(first.data);
    free(again.data);
}
END_TEST

/* ---- lowering ---- */

static const struct clg__conv2d_attr geometry = {.stride = {2, 1},
                                                 .padding = {1, 1, 1, 1},
                                                 .dilation = {1, 1},
                                                 .groups = 1,
                                                 .input_size = {28, 28},
                                                 .kernel_size = {3, 3}};
static const struct clg__matmul_attr transposed = {.transpose_a = true}, straight = {0};

enum { OPERATIONS = 5, LARGEST = 1024 }; /* LARGEST: batch size of the graph */

/* A node, and what lowerings look at of its inputs. */
typedef struct lowered {
    clg_tensor node, inputs[2];
} lowered;

/* One operation at a batch size; `it` lives as long as the lowering. */
static void lower(clg__lowering *lo, clg_context *ctx, lowered *it, int operation, int64_t batch)
{
    const clg_shape x = CLG_SHAPE(batch, 28, 28, 6), w = CLG_SHAPE(3, 3, 6, 20);
    const clg_shape y = CLG_SHAPE(batch, 14, 28, 20);
    const struct {
        clg_status (*lower)(clg__lowering *);
        clg_shape a, b, out;
    } rows[] = {
        {clg__conv2d_cpu_forward, x, w, y},
        {clg__conv2d_cpu_backward_data, y, w, x},
        {clg__conv2d_cpu_backward_weights, x, y, w},
        {clg__matmul_cpu, CLG_SHAPE(batch, 50), CLG_SHAPE(batch, 30), CLG_SHAPE(50, 30)},
        {clg__matmul_cpu, CLG_SHAPE(batch, 512), CLG_SHAPE(512, 512), CLG_SHAPE(batch, 512)},
    };
    const void *attributes[] = {&geometry, &geometry, &geometry, &transposed, &straight};
    it->node.attr = (void *)attributes[operation];
    *lo = (clg__lowering){.ctx = ctx, .node = &it->node, .in = {0, 1}};
    lo->in_shape[0] = rows[operation].a;
    lo->in_shape[1] = rows[operation].b;
    lo->out_shape = rows[operation].out;
    for (int i = 0; i < 2 && batch == LARGEST; i++) {
        it->inputs[i].shape = lo->in_shape[i];
        it->node.inputs[i] = &it->inputs[i];
        it->node.shape = lo->out_shape;
    }
    TEST_OK(rows[operation].lower(lo));
}

START_TEST(another_batch_size_asks_for_the_same_kernels)
{
    clg_context device = {.info = {.local_memory = 1 << 20, .compute_units = 2}};
    lowered it = {0};
    for (int operation = 0; operation < OPERATIONS; operation++) {
        clg__lowering large, small;
        lower(&large, &device, &it, operation, LARGEST);
        lower(&small, &device, &it, operation, 1);
        ck_assert(operation != 4 || large.n_scratch == 1); /* B's panels */
        ck_assert_uint_eq(large.n_launches, small.n_launches);
        for (size_t i = 0; i < large.n_launches; i++) {
            ck_assert_str_eq(large.launches[i].file, small.launches[i].file);
            ck_assert_str_eq(large.launches[i].kernel, small.launches[i].kernel);
            ck_assert_str_eq(large.launches[i].defines, small.launches[i].defines);
            ck_assert_int_eq(large.launches[i].n_args, small.launches[i].n_args);
        }
        ck_assert_int_eq(large.n_scratch, small.n_scratch);
        for (int i = 0; i < large.n_scratch; i++)
            ck_assert_int_ge(large.scratch[i].size, small.scratch[i].size);
        clg__lowering_free(&large);
        clg__lowering_free(&small);
    }
}
END_TEST

/* A kernel's taps times one vector of weights have to fit into local memory. */
START_TEST(too_little_local_memory_is_refused_with_the_sizes)
{
    clg_context device = {.info = {.local_memory = 1024, .compute_units = 1}};
    clg_tensor node = {.attr = (void *)&geometry};
    clg__lowering lo = {.ctx = &device, .node = &node, .in = {0, 1}};
    lo.in_shape[0] = CLG_SHAPE(1, 28, 28, 6);
    lo.in_shape[1] = CLG_SHAPE(3, 3, 6, 20);
    lo.out_shape = CLG_SHAPE(1, 14, 28, 20);
    TEST_FAILS(clg__conv2d_cpu_forward(&lo), CLG_ERROR_UNSUPPORTED, "a kernel of 3 x 3");
    ck_assert_ptr_nonnull(strstr(clg_last_error(), "device's 1024"));
    clg__lowering_free(&lo);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu_engine");
    TCase *values = testing_case(suite, "values");
    tcase_add_loop_test(values, products_are_right_on_every_kind_of_device, 0, CLG__COUNT(kinds));
    tcase_add_loop_test(values, convolutions_are_right_on_every_kind_of_device, 0,
                        CLG__COUNT(kinds));
    tcase_add_loop_test(values, reductions_are_right_on_every_kind_of_device, 0, CLG__COUNT(kinds));
    tcase_add_test(values, reductions_do_not_depend_on_the_number_of_units);
    tcase_add_test(values, convolutions_drawn_at_random_are_right);
    tcase_add_test(values, the_same_bits_come_out_again);
    TCase *lowering = testing_case(suite, "lowering");
    tcase_add_test(lowering, tiles_fit_the_device);
    tcase_add_test(lowering, another_batch_size_asks_for_the_same_kernels);
    tcase_add_test(lowering, too_little_local_memory_is_refused_with_the_sizes);
    return testing_run(suite);
}
