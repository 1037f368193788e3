/*
 * CLBlast: right where it is wanted, trusted only after its self-test, refused with the reason
 * where that failed.
 */
#include "products.h"

#include "device/context.h"
#include "ops/algorithms_gpu.h"

START_TEST(clblast_serves_all_products_where_it_is_wanted)
{
    clg_context *ctx = engine_context("gpu");
    setenv("CLGRAD_MATMUL", "clblast", 1);
    check_products(ctx);
    unsetenv("CLGRAD_MATMUL");
    clg_context_destroy(ctx);
}
END_TEST

static void keep_message(void *user, clg_log_level level, const char *message)
{
    if (level == CLG_LOG_WARNING) snprintf(user, 256, "%s", message);
}

/* The first call to CLBlast fails as kernels that do not compile do: that settles the matter. */
START_TEST(a_failed_self_test_is_a_refusal_with_the_reason)
{
    char warning[256] = "";
    clg_context *ctx = engine_context("gpu");
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *a = clg_input(g, "a", CLG_F32, CLG_SHAPE(3, 4));
    clg_tensor *c = clg_matmul(a, a, clg_matmul_options(.transpose_b = true));
    clg__lowering lo = {.ctx = ctx, .node = c, .in = {0, 0}, .out = 1};
    lo.in_shape[0] = lo.in_shape[1] = *clg_tensor_shape(a);
    lo.out_shape = *clg_tensor_shape(c);
    clg_log_set(keep_message, warning);
    clg__fault_set(CLG__FAULT_OPENCL, 1, false, CL_BUILD_PROGRAM_FAILURE);
    ck_assert(!clg__matmul_clblast_trusted(ctx));
    clg__fault_set(CLG__FAULT_OPENCL, 0, false, 0);
    clg_log_set(NULL, NULL);
    ck_assert_ptr_nonnull(strstr(warning, "CLBlast failed its self-test on"));
    TEST_FAILS(clg__matmul_clblast(&lo), CLG_ERROR_UNSUPPORTED, "CL_BUILD_PROGRAM_FAILURE");
    clg__lowering_free(&lo);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* Memory that is lacking now says nothing about CLBlast. */
START_TEST(lack_of_memory_settles_nothing)
{
    clg_context *ctx = engine_context("gpu");
    clg__fault_set(CLG__FAULT_OPENCL, 1, false, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    ck_assert(clg__matmul_clblast_trusted(ctx)); /* lowering will meet it and report it */
    clg__fault_set(CLG__FAULT_OPENCL, 1, false, CL_BUILD_PROGRAM_FAILURE);
    ck_assert(!clg__matmul_clblast_trusted(ctx));
    clg__fault_set(CLG__FAULT_OPENCL, 0, false, 0);
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clblast");
    TCase *clblast = testing_case(suite, "clblast");
    tcase_add_test(clblast, a_failed_self_test_is_a_refusal_with_the_reason);
    tcase_add_test(clblast, lack_of_memory_settles_nothing);
    tcase_add_test(clblast, clblast_serves_all_products_where_it_is_wanted);
    return testing_run(suite);
}
