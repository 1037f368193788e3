/*
 * The GPU engine's kernels, on whatever device there is: tiles fit any work-group limit, and
 * products and convolutions are right with each.
 */
#include "products.h"

#include "device/context.h"
#include "ops/algorithms_gpu.h"
#include "ops/op.h"

/* ---- tiles ---- */

START_TEST(tiles_fit_small_devices)
{
    static const size_t groups[] = {1, 7, 16, 64, 224, 256, 1024};
    static const int64_t extents[] = {1, 7, 33, 1023, 1 << 20};
    clg_context device = {.info = {.type = CLG_DEVICE_GPU, .compute_units = 12}};
    for (size_t i = 0; i < CLG__COUNT(groups); i++)
        for (size_t j = 0; j < CLG__COUNT(extents) * CLG__COUNT(extents); j++) {
            const int64_t rows = extents[j / CLG__COUNT(extents)];
            const int64_t columns = extents[j % CLG__COUNT(extents)];
            device.info.max_work_group = groups[i];
            device.info.local_memory = 16384;
            clg__gpu_tile t = clg__gpu_tile_choose(&device, 1, rows, columns);
            ck_assert_uint_le((size_t)clg__gpu_tile_items(&t), groups[i]);
            ck_assert_int_le(4 * t.k * (t.m + t.n + 8) + 24 * (t.m + t.k), 16384);
            ck_assert(t.m % t.item_m == 0 && t.n % t.item_n == 0 && t.k % 4 == 0);
        }
}
END_TEST

START_TEST(large_products_take_large_tiles_on_large_devices)
{
    clg_context device = {.info = {.type = CLG_DEVICE_GPU,
                                   .compute_units = 100,
                                   .max_work_group = 1024,
                                   .local_memory = 49152}};
    clg__gpu_tile large = clg__gpu_tile_choose(&device, 1, 4096, 4096);
    clg__gpu_tile narrow = clg__gpu_tile_choose(&device, 1, 1 << 20, 16);
    clg__gpu_tile small = clg__gpu_tile_choose(&device, 1, 64, 64);
    ck_assert_int_eq(large.m * large.n, 128 * 128);
    ck_assert_int_eq(narrow.n, 16);
    ck_assert_int_lt(small.m * small.n, 64 * 64);
}
END_TEST

/* ---- matrix products ---- */

START_TEST(products_are_right_with_every_tile)
{
    static const size_t groups[] = {1, 16, 64, 224};
    clg_context *ctx = engine_context("gpu");
    const size_t most = ctx->info.max_work_group;
    setenv("CLGRAD_MATMUL", "local", 1);
    check_products(ctx);
    for (size_t i = 0; i < CLG__COUNT(groups); i++) {
        ctx->info.type = CLG_DEVICE_GPU; /* or small groups only */
        ctx->info.max_work_group = groups[i] < most ? groups[i] : most;
        check_product(ctx, products[2], i & 1, i & 2);
    }
    ctx->info.max_work_group = most;
    check_product(ctx, (product){1, 250, 240, 12, false}, false, false);
    unsetenv("CLGRAD_MATMUL");
    clg_context_destroy(ctx);
}
END_TEST

/* ---- convolutions ---- */

typedef struct convolution {
    int n, h, w, c, kh, kw, oc;
    clg_conv2d_params params; /* every field given */
} convolution;

/* Whole and broken vectors of channels, phases without taps, groups of all kinds, split sums. */
static const convolution convolutions[] = {
    {1, 1, 1, 1, 1, 1, 1, {{1, 1}, {0, 0}, {1, 1}, 1, CLG_PADDING_EXPLICIT}},
    {3, 12, 11, 4, 5, 5, 33, {{2, 2}, {1, 2}, {1, 1}, 1, CLG_PADDING_EXPLICIT}},
    {2, 13, 10, 7, 3, 2, 8, {{3, 2}, {2, 0}, {2, 1}, 1, CLG_PADDING_EXPLICIT}},
    {2, 13, 13, 32, 3, 3, 64, {{4, 4}, {0, 0}, {1, 1}, 2, CLG_PADDING_EXPLICIT}},
    {2, 13, 13, 6, 3, 3, 10, {{2, 4}, {3, 2}, {2, 3}, 2, CLG_PADDING_EXPLICIT}},
    {2, 9, 8, 16, 3, 3, 16, {{1, 1}, {1, 1}, {1, 1}, 16, CLG_PADDING_EXPLICIT}},
    {2, 9, 8, 7, 3, 3, 14, {{1, 2}, {1, 1}, {2, 1}, 7, CLG_PADDING_EXPLICIT}},
    {6, 10, 10, 8, 3, 3, 12, {{1, 1}, {1, 1}, {1, 1}, 1, CLG_PADDING_EXPLICIT}},
};

/* Adds x w to y, dy w to dx and x dy to dw for one pixel of y and one position of the window. */
static void reference_step(const convolution *p, const array *x, const array *w, const array *dy,
                           int64_t pixel, int64_t source, int position, double *y, double *dx,
                           double *dw)
{
    const int cg = p->c / p->params.groups, ng = p->oc / p->params.groups;
    for (int o = 0; o < p->oc; o++)
        for (int c = 0; c < cg; c++) {
            int64_t iy = pixel * p->oc + o, ix = source * p->c + o / ng * cg + c;
            int64_t iw = ((int64_t)position * cg + c) * p->oc + o;
            y[iy] += (double)x->data[ix] * w->data[iw];
            dx[ix] += (double)dy->data[iy] * w->data[iw];
            dw[iw] += (double)x->data[ix] * dy->data[iy];
        }
}

static void reference(const convolution *p, const clg_shape *out, const array *x, const array *w,
                      const array *dy, double *y, double *dx, double *dw)
{
    const clg_conv2d_params *a = &p->params;
    const int64_t oh = out->dim[1], ow = out->dim[2], window = (int64_t)p->kh * p->kw;
    for (int64_t i = 0; i < p->n * oh * ow * window; i++) {
        int64_t pixel = i / window, k = i % window;
        int64_t row = pixel / ow % oh * a->stride[0] - a->pad[0] + k / p->kw * a->dilation[0];
        int64_t column = pixel % ow * a->stride[1] - a->pad[1] + k % p->kw * a->dilation[1];
        if (row < 0 || row >= p->h || column < 0 || column >= p->w) continue;
        int64_t source = (pixel / ow / oh * p->h + row) * p->w + column;
        reference_step(p, x, w, dy, pixel, source, (int)k, y, dx, dw);
    }
}

static void check_convolution(clg_context *ctx, const convolution *p)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = p->n));
    const int cg = p->c / p->params.groups;
    array x = array_random((int64_t)p->n * p->h * p->w * p->c, 1);
    array w = array_random((int64_t)p->kh * p->kw * cg * p->oc, 2);
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, p->h, p->w, p->c));
    w.tensor = clg_input(g, "w", CLG_F32, CLG_SHAPE(p->kh, p->kw, cg, p->oc));
    array y = {.tensor = clg_conv2d(x.tensor, w.tensor, &p->params)}, dx = {0}, dw = {0};
    TEST_OK(clg_graph_status(g));
    const clg_shape *out = clg_tensor_shape(y.tensor);
    array dy = array_random(clg_shape_count(out), 3);
    dy.tensor = clg_input(g, "dy", CLG_F32, CLG_SHAPE(CLG_BATCH, out->dim[1], out->dim[2], p->oc));
    clg_tensor *gradients[2];
    TEST_OK(clg_vjp(y.tensor, dy.tensor, (clg_tensor *[]){x.tensor, w.tensor}, 2, gradients));
    dx.tensor = gradients[0];
    dw.tensor = gradients[1];
    evaluate(ctx, g, (array *[]){&x, &w, &dy}, 3, (array *[]){&y, &dx, &dw}, 3);
    double *expected[3];
    const array *got[] = {&y, &dx, &dw};
    for (int i = 0; i < 3; i++) expected[i] = calloc((size_t)got[i]->count, sizeof(double));
    reference(p, out, &x, &w, &dy, expected[0], expected[1], expected[2]);
    const double window = (double)p->kh * p->kw;
    assert_close("conv2d", &y, expected[0], 3e-7 * window * cg + 1e-6);
    assert_close("conv2d_backward_data", &dx, expected[1], 3e-7 * window * p->oc + 1e-6);
    assert_close("conv2d_backward_weights", &dw, expected[2],
                 3e-7 * (double)dy.count / p->oc + 1e-6);
    for (int i = 0; i < 3; i++) free(expected[i]);
    array *all[] = {&x, &w, &y, &dy, &dx, &dw};
    for (int i = 0; i < 6; i++) free(all[i]->data);
    clg_graph_destroy(g);
}

START_TEST(convolutions_are_right_in_all_passes)
{
    clg_context *ctx = engine_context("gpu");
    for (size_t i = 0; i < CLG__COUNT(convolutions); i++) check_convolution(ctx, &convolutions[i]);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(convolutions_are_right_with_other_tiles)
{
    static const size_t groups[] = {1, 224};
    clg_context *ctx = engine_context("gpu");
    const size_t most = ctx->info.max_work_group;
    for (size_t i = 0; i < CLG__COUNT(groups); i++) {
        ctx->info.type = CLG_DEVICE_GPU;
        ctx->info.max_work_group = groups[i] < most ? groups[i] : most;
        check_convolution(ctx, &convolutions[2]);
    }
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gpu");
    TCase *tiles = testing_case(suite, "tiles");
    tcase_add_test(tiles, tiles_fit_small_devices);
    tcase_add_test(tiles, large_products_take_large_tiles_on_large_devices);
    TCase *values = testing_case(suite, "values");
    tcase_add_test(values, products_are_right_with_every_tile);
    tcase_add_test(values, convolutions_are_right_in_all_passes);
    tcase_add_test(values, convolutions_are_right_with_other_tiles);
    return testing_run(suite);
}
