/*
 * Failures in the middle of CLBlast's self-test. Apart from the other tests of CLBlast, because
 * every one of them has it compile its kernels again.
 */
#include "evaluate.h"

#include "device/context.h"
#include "ops/algorithms_gpu.h"

/* The n-th failure inside the self-test leaves nothing behind, and the next question is answered.
 */
static bool survives(clg__fault_kind kind, uint64_t n)
{
    clg_context *ctx = engine_context("gpu");
    clg__fault_set(kind, n, false, CL_OUT_OF_RESOURCES);
    clg__matmul_clblast_trusted(ctx);
    bool reached = clg__fault_passed(kind) >= n;
    clg__fault_set(kind, 0, false, 0);
    if (n == 5) ck_assert(clg__matmul_clblast_trusted(ctx));
    clg_context_destroy(ctx);
    ck_assert_int_eq(clg__live_objects(), 0);
    ck_assert_int_eq(clg__live_allocations(), 0);
    return reached;
}

START_TEST(failures_inside_the_self_test_are_survived)
{
    for (uint64_t n = 1; survives(CLG__FAULT_ALLOC, n); n *= 5) {
    }
    for (uint64_t n = 1; survives(CLG__FAULT_OPENCL, n); n *= 5) {
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clblast_faults");
    tcase_add_test(testing_case(suite, "faults"), failures_inside_the_self_test_are_survived);
    return testing_run(suite);
}
