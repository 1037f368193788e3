/*
 * The GPU engine's kernels, on whatever device there is: tiles fit any work-group limit, and
 * products and convolutions are right with each.
 */
#include "convolutions.h"
#include "products.h"
#include "reductions.h"

#include "device/context.h"
#include "ops/algorithms_gpu.h"
#include "ops/op.h"
#include "ops/tuning.h"

/* ---- tiles ---- */

static clg__gpu_tile tile_for(const clg_context *device, int64_t rows, int64_t columns)
{
    return clg__gpu_tile_choose(device, CLG__TUNE_MATMUL_LOCAL_TILE, NULL,
                                &(clg__gemm){.batch = 1, .m = rows, .n = columns});
}

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
            clg__gpu_tile t = tile_for(&device, rows, columns);
            ck_assert_uint_le((size_t)clg__gpu_tile_items(&t), groups[i]);
            ck_assert_int_le(4 * t.k * (t.m + t.n + 8) + 8 * t.m, 16384);
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
    clg__gpu_tile large = tile_for(&device, 4096, 4096);
    clg__gpu_tile narrow = tile_for(&device, 1 << 20, 16);
    clg__gpu_tile small = tile_for(&device, 64, 64);
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
    check_product(ctx, (product){1, 250, 240, 12, false, false}, false, false);
    unsetenv("CLGRAD_MATMUL");
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(small_and_long_products_do_without_clblast)
{
    clg_context device = {.info = {.type = CLG_DEVICE_GPU,
                                   .compute_units = 32,
                                   .max_work_group = 1024,
                                   .local_memory = 49152}};
    static const struct {
        int m, n, k;
        bool suits;
    } cases[] = {{64, 10, 500, true}, {1024, 1024, 1024, false}, {64, 64, 1 << 15, true}};
    for (size_t i = 0; i < CLG__COUNT(cases); i++) {
        clg_graph *g = clg_graph_create(NULL);
        clg_tensor *a = clg_input(g, "a", CLG_F32, CLG_SHAPE(cases[i].m, cases[i].k));
        clg_tensor *b = clg_input(g, "b", CLG_F32, CLG_SHAPE(cases[i].k, cases[i].n));
        clg_tensor *c = clg_matmul(a, b, NULL);
        TEST_OK(clg_graph_status(g));
        ck_assert_int_eq(clg__matmul_gpu_suits(&device, c), cases[i].suits);
        clg_graph_destroy(g);
    }
}
END_TEST

/* ---- convolutions ---- */

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

/* ---- reductions ---- */

START_TEST(reductions_are_right_with_every_group)
{
    static const size_t groups[] = {1, 7, 64, 224, 1024};
    clg_context *ctx = engine_context("gpu");
    const size_t most = ctx->info.max_work_group;
    for (size_t i = 0; i < CLG__COUNT(groups); i++) {
        ctx->info.type = CLG_DEVICE_GPU;
        ctx->info.max_work_group = groups[i] < most ? groups[i] : most;
        for (size_t k = i % 2; k < CLG__COUNT(reductions); k += i == 2 ? 1 : 2)
            check_reduction(ctx, &reductions[k]);
    }
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(reductions_do_not_depend_on_the_number_of_units)
{
    check_units("gpu", &reductions[3]);
}
END_TEST

/* ---- split sums ---- */

/* Few tiles and a long reduction, which several work-groups share: with a rest in the last share.
 */
START_TEST(split_products_are_right)
{
    clg_context *ctx = engine_context("gpu");
    int splits;
    ctx->info.compute_units = 64;
    const clg__gemm few = {.batch = 1, .m = 20, .n = 13, .k = 3001};
    const clg__gpu_tile tile =
        clg__gpu_tile_choose_split(ctx, CLG__TUNE_MATMUL_LOCAL_TILE, NULL, &few, &splits);
    ck_assert_int_gt(splits, 4);
    ck_assert_int_lt(splits * tile.k, 3001);
    setenv("CLGRAD_MATMUL", "local", 1);
    check_product(ctx, (product){1, 20, 13, 3001, false, false}, false, true);
    check_product(ctx, (product){2, 9, 12, 1030, false, false}, true, false);
    unsetenv("CLGRAD_MATMUL");
    check_convolution(ctx, &convolutions[CLG__COUNT(convolutions) - 1]);
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gpu");
    TCase *tiles = testing_case(suite, "tiles");
    tcase_add_test(tiles, tiles_fit_small_devices);
    tcase_add_test(tiles, large_products_take_large_tiles_on_large_devices);
    tcase_add_test(tiles, small_and_long_products_do_without_clblast);
    TCase *values = testing_case(suite, "values");
    tcase_add_test(values, products_are_right_with_every_tile);
    tcase_add_test(values, convolutions_are_right_in_all_passes);
    tcase_add_test(values, convolutions_are_right_with_other_tiles);
    tcase_add_test(values, reductions_are_right_with_every_group);
    tcase_add_test(values, reductions_do_not_depend_on_the_number_of_units);
    tcase_add_test(values, split_products_are_right);
    return testing_run(suite);
}
