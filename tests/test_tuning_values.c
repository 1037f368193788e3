/*
 * Whatever was chosen, results are right: products, convolutions and chains with every legal value
 * of everything that can be tuned, against references in double. CLBlast's parameters are left out:
 * each set compiles for seconds and is tested before it is used (matmul_clblast.c).
 */
#include "convolutions.h"
#include "products.h"

#include "device/context.h"
#include "ops/tuning.h"

static const product some_products[] = {{1, 65, 36, 203, false, false},
                                        {1, 100, 70, 1023, false, true}};

/* One of each class, and one that merges groups. */
static const convolution some_convolutions[] = {
    {2, 6, 6, 40, 1, 1, 48, {{2, 2}, {0, 0}, {1, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
    {5, 8, 8, 20, 2, 5, 6, {{3, 3}, {0, 2}, {1, 1}, 2, CLG_PADDING_EXPLICIT, 0}},
    {2, 9, 8, 35, 3, 3, 70, {{1, 1}, {1, 1}, {1, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
};

static void check_chain(clg_context *ctx)
{
    const int64_t count = 70001;
    clg_graph *g = clg_graph_create(NULL);
    array x = array_random(count, 1), y = {0};
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(count));
    y.tensor = clg_relu(clg_mul(x.tensor, x.tensor));
    evaluate(ctx, g, (array *[]){&x}, 1, (array *[]){&y}, 1);
    double *expected = calloc((size_t)count, sizeof(double));
    for (int64_t i = 0; i < count; i++) expected[i] = (double)x.data[i] * x.data[i];
    assert_close("chain", &y, expected, 1e-6);
    free(expected);
    free(x.data);
    free(y.data);
    clg_graph_destroy(g);
}

/* What a value of `tunable` can have an effect on. */
static void check_what_it_touches(clg_context *ctx, const clg_tunable *tunable)
{
    const bool all = !strncmp(tunable->name, "tile.", 5);
    if (all || !strncmp(tunable->name, "matmul.", 7))
        for (size_t i = 0; i < CLG__COUNT(some_products); i++)
            for (int t = 0; t < 4; t++) check_product(ctx, some_products[i], t & 1, t & 2);
    if (all || !strncmp(tunable->name, "conv2d", 6))
        for (size_t i = 0; i < CLG__COUNT(some_convolutions); i++)
            check_convolution(ctx, &some_convolutions[i]);
    if (!strncmp(tunable->name, "pointwise.", 10)) check_chain(ctx);
    if (!strncmp(tunable->name, "results.", 8)) {
        check_chain(ctx);
        check_product(ctx, some_products[0], false, false);
    }
}

static void check_values(const char *engine)
{
    clg_context *ctx = engine_context(engine);
    size_t checked = 0;
    if (!strcmp(engine, "gpu")) { /* or there are no large tiles; one of them fills this device */
        ctx->info.type = CLG_DEVICE_GPU;
        ctx->info.compute_units = 1;
    }
    for (size_t i = 0; i < clg_tunable_count(); i++) {
        clg_tunable t;
        TEST_OK(clg_tunable_query(ctx, i, &t));
        for (size_t k = 0; k < t.n_values && !t.per_process; k++, checked++) {
            if (!strcmp(t.values[k], "clblast")) continue; /* test_clblast.c */
            if (t.algorithm) {
                char algorithm[64];
                snprintf(algorithm, sizeof algorithm, "%.*s.algorithm", (int)strcspn(t.name, "."),
                         t.name);
                TEST_OK(clg_tuning_set(ctx, algorithm, NULL, t.algorithm));
            }
            TEST_OK(clg_tuning_set(ctx, t.name, NULL, t.values[k]));
            check_what_it_touches(ctx, &t);
            TEST_OK(clg_tuning_set(ctx, t.name, NULL, NULL));
        }
    }
    ck_assert_uint_gt(checked, 10);
    clg_context_destroy(ctx);
}

START_TEST(every_value_of_the_cpu_engine_is_right)
{
    check_values("cpu");
}
END_TEST

START_TEST(every_value_of_the_gpu_engine_is_right)
{
    check_values("gpu");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tuning_values");
    TCase *values = testing_case(suite, "values");
    tcase_set_timeout(values, 600);
    tcase_add_test(values, every_value_of_the_cpu_engine_is_right);
    tcase_add_test(values, every_value_of_the_gpu_engine_is_right);
    return testing_run(suite);
}
