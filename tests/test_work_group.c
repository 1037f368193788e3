/*
 * Devices whose kernels allow fewer work-items in a group than the device states: programs are made
 * again for what the kernels allow. PoCL plays such a device, because its limit can be set.
 */
#include "convolutions.h"
#include "products.h"
#include "reductions.h"

#include "device/context.h"

enum { ALLOWED = 16, STATED = 256 };

static clg_context *boastful_context(void)
{
    clg_context *ctx = engine_context("gpu");
    if (ctx->info.max_work_group != ALLOWED) { /* not PoCL */
        clg_context_destroy(ctx);
        return NULL;
    }
    ctx->info.type = CLG_DEVICE_GPU;
    ctx->info.max_work_group = STATED;
    return ctx;
}

START_TEST(kernels_get_groups_that_they_can_run_in)
{
    clg_context *ctx = boastful_context();
    if (!ctx) return;
    setenv("CLGRAD_MATMUL", "local", 1);
    check_product(ctx, (product){1, 130, 132, 40, false, false}, false, true);
    unsetenv("CLGRAD_MATMUL");
    check_convolution(ctx, &convolutions[3]);
    check_convolution(ctx, &convolutions[5]);
    check_reduction(ctx, &reductions[1]);
    ck_assert_uint_eq(ctx->info.max_work_group, STATED); /* of the device: others may do better */
    clg_context_destroy(ctx);
}
END_TEST

/* The program's limit, not the device's, holds when the batch size changes. */
START_TEST(another_batch_size_keeps_the_groups)
{
    clg_context *ctx = boastful_context();
    if (!ctx) return;
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 6));
    array x = array_random(6 * 40, 1), y = {0};
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 40));
    y.tensor = clg_sum(x.tensor, CLG_AXIS(1), false);
    clg_program *p = compile_outputs(ctx, g, (array *[]){&y}, 1);
    TEST_OK(clg_program_set_batch(p, 5));
    x.count = 5 * 40;
    y.data = malloc(5 * sizeof(float));
    y.count = 5;
    evaluate_program(p, (array *[]){&x}, 1, (array *[]){&y}, 1);
    double expected[5] = {0};
    for (int i = 0; i < 5 * 40; i++) expected[i / 40] += x.data[i];
    assert_close("sum", &y, expected, 1e-5);
    free(x.data);
    free(y.data);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    setenv("POCL_MAX_WORK_GROUP_SIZE", "16", 1); /* read when the device is found */
    Suite *suite = suite_create("work_group");
    TCase *groups = testing_case(suite, "groups");
    tcase_add_test(groups, kernels_get_groups_that_they_can_run_in);
    tcase_add_test(groups, another_batch_size_keeps_the_groups);
    return testing_run(suite);
}
