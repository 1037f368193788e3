/*
 * Kernels layer: building in parallel, build errors, and failures of every OpenCL call, allocation
 * and file operation with and without entries in the cache on disk (test_kernel_cache.c).
 */
#include <stdatomic.h>

#include "base/parallel.h"
#include "kernels/build.h"
#include "testing_kernels.h"

/* ---- building ---- */

START_TEST(programs_are_built_once_and_shared)
{
    make_directory();
    start_counting();
    clg_context *ctx = new_context();
    clg__module_request requests[4] = {request_of(0, 1), request_of(1, 2), request_of(2, 1),
                                       request_of(3, 1)};
    requests[3].options = "-DOTHER=1";
    TEST_OK(clg__modules_get(ctx, requests, 4));
    check_builds(ctx, 3, 0);
    ck_assert_ptr_eq(requests[0].module, requests[2].module);
    ck_assert_ptr_ne(requests[0].module, requests[3].module);
    check_fill(ctx, requests[0].module, 1);
    check_fill(ctx, requests[1].module, 2);
    clg__module_request again = request_of(4, 2);
    TEST_OK(clg__modules_get(ctx, &again, 1));
    ck_assert_ptr_eq(again.module, requests[1].module);
    again = request_of(4, 3);
    TEST_OK(clg__modules_get(ctx, &again, 1));
    check_builds(ctx, 4, 0);
    TEST_OK(clg__modules_get(ctx, NULL, 0));
    ck_assert_int_eq(infos, 1); /* "compiling kernels" is said once */
    clg_log_set(NULL, NULL);
    clg_context_destroy(ctx);
    remove_directory();
}
END_TEST

START_TEST(a_program_that_does_not_compile_is_explained)
{
    make_directory();
    clg_context *ctx = new_context();
    clg__module_request requests[3] = {request_of(0, 1), request_of(1, 2), request_of(2, 3)};
    requests[1] = (clg__module_request){
        .name = "broken_cpu", .source = "__kernel void f() { no_such_name = 1; }", .options = ""};
    TEST_FAILS(clg__modules_get(ctx, requests, 3), CLG_ERROR_BUILD, "broken_cpu");
    ck_assert_ptr_nonnull(strstr(clg_last_error(), "no_such_name"));
    ck_assert_ptr_nonnull(strstr(clg_last_error(), ctx->info.name));
    for (int i = 0; i < 3; i++) ck_assert_ptr_null(requests[i].module);
    TEST_OK(clg__modules_get(ctx, requests, 1));
    check_fill(ctx, requests[0].module, 1);
    cl_kernel kernel = NULL;
    TEST_FAILS(clg__kernel_create(&kernel, requests[0].module, "nothing"), CLG_ERROR_OPENCL,
               "\"nothing\"");
    ck_assert_ptr_null(kernel);
    clg_context_destroy(ctx);
    remove_directory();
}
END_TEST

START_TEST(embedded_sources_are_found_by_stem)
{
    ck_assert_ptr_null(clg__kernel_file("no such file"));
    for (const clg__embedded_source *s = clg__embedded_sources; s->stem; s++)
        ck_assert_ptr_eq(clg__kernel_file(s->stem), s);
}
END_TEST

enum { JOBS = 100 };
static atomic_int visits[JOBS];

static clg_status visit_job(void *user, size_t index)
{
    visits[index]++;
    if (user && index == *(size_t *)user) return clg__fail(CLG_ERROR_BUILD, "job %zu", index);
    return CLG_OK;
}

START_TEST(parallel_jobs_run_once_and_the_failure_reaches_the_caller)
{
    size_t bad = 17;
    TEST_OK(clg__parallel(0, visit_job, NULL));
    TEST_OK(clg__parallel(JOBS, visit_job, NULL));
    for (int i = 0; i < JOBS; i++) ck_assert_int_eq(visits[i], 1);
    for (int repeat = 0; repeat < 200; repeat++) {
        TEST_FAILS(clg__parallel(JOBS, visit_job, &bad), CLG_ERROR_BUILD, "job 17");
        bad = (bad + 31) % JOBS == 17 ? bad : 17;
    }
    int finished = 0;
    for (int i = 0; i < JOBS; i++) finished += visits[i] == 201;
    ck_assert_int_lt(finished, JOBS); /* a failure stops what has not started */
}
END_TEST

/* ---- failures ---- */

/* What is to fail once the context is there (test_device.c has the calls before). */
typedef struct planned_fault {
    clg__fault_kind kind;
    uint64_t nth;
    bool sticky;
    int code;
} planned_fault;

static clg_status build_and_run(const planned_fault *fault)
{
    float out[8];
    clg__module_request request = request_of(0, 2);
    clg_context *ctx = new_context();
    if (fault) clg__fault_set(fault->kind, fault->nth, fault->sticky, fault->code);
    clg_status status = clg__modules_get(ctx, &request, 1);
    if (status == CLG_OK) status = run_fill(ctx, request.module, out);
    if (status == CLG_OK) ck_assert_float_eq(out[0], 2);
    clg_context_destroy(ctx);
    return status;
}

/* Fails one call after the other in a fresh directory, or in one that already has the entries. */
static void fail_each(planned_fault fault, bool warm, bool may_fail)
{
    for (bool done = false; !done; fault.nth++) {
        make_directory();
        if (warm) TEST_OK(build_and_run(NULL));
        clg_status status = build_and_run(&fault);
        done = clg__fault_passed(fault.kind) < fault.nth;
        clg__fault_set(fault.kind, 0, false, 0);
        ck_assert_int_eq(clg__live_allocations(), 0);
        ck_assert_int_eq(clg__live_objects(), 0);
        if (done || !may_fail) TEST_OK(status);
        if (status != CLG_OK) ck_assert_str_ne(clg_last_error(), "");
        /* Whatever is in the directory now serves or is a miss. */
        if (fault.kind == CLG__FAULT_FILE) TEST_OK(build_and_run(NULL));
        remove_directory();
        ck_assert_uint_lt(fault.nth, 10000);
    }
}

/* Once and from then on, cold and warm: every bit of `mode` in turn. */
static void fail_each_way(clg__fault_kind kind, int code, bool may_fail)
{
    for (int mode = 0; mode < 4; mode++) {
        planned_fault fault = {.kind = kind, .nth = 1, .sticky = mode & 1, .code = code};
        fail_each(fault, mode & 2, may_fail);
    }
}

START_TEST(every_failing_opencl_call_is_survived)
{
    fail_each_way(CLG__FAULT_OPENCL, -5, true);
}
END_TEST

START_TEST(every_error_code_is_survived)
{
    static const int codes[] = {-4, -6, -11, -36, -61};
    for (size_t i = 0; i < CLG__COUNT(codes); i++)
        fail_each((planned_fault){CLG__FAULT_OPENCL, 1, false, codes[i]}, false, true);
}
END_TEST

START_TEST(every_failing_allocation_is_survived)
{
    fail_each_way(CLG__FAULT_ALLOC, 0, true);
}
END_TEST

START_TEST(every_failing_file_call_is_a_miss)
{
    fail_each_way(CLG__FAULT_FILE, 0, false);
}
END_TEST

int main(void)
{
    unsetenv("CLGRAD_CACHE");
    Suite *suite = suite_create("kernels");
    TCase *building = testing_case(suite, "building");
    tcase_add_test(building, programs_are_built_once_and_shared);
    tcase_add_test(building, a_program_that_does_not_compile_is_explained);
    tcase_add_test(building, embedded_sources_are_found_by_stem);
    tcase_add_test(building, parallel_jobs_run_once_and_the_failure_reaches_the_caller);
    TCase *failures = testing_case(suite, "failures");
    tcase_add_test(failures, every_failing_opencl_call_is_survived);
    tcase_add_test(failures, every_error_code_is_survived);
    tcase_add_test(failures, every_failing_allocation_is_survived);
    tcase_add_test(failures, every_failing_file_call_is_a_miss);
    tcase_set_timeout(failures, 0);
    return testing_run(suite);
}
