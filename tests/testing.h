/*
 * What every test suite shares: a runner that never forks, a test case whose teardown demands that
 * nothing is left alive, and assertions on clg_status with the library's message in the failure.
 *
 * No forks, because OpenCL drivers hang in the child once the parent has used a device; meson runs
 * each executable in its own process with a time limit instead. A suite is one file:
 *
 *     START_TEST(relu_of_odd_shapes) { ... } END_TEST
 *     int main(void)
 *     {
 *         Suite *suite = suite_create("pointwise");
 *         TCase *values = testing_case(suite, "values");
 *         tcase_add_test(values, relu_of_odd_shapes);
 *         return testing_run(suite);
 *     }
 */
#ifndef CLG_TESTING_H
#define CLG_TESTING_H

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/** The call succeeds; else the test fails with the library's own message. */
#define TEST_OK(call)                                                                              \
    do {                                                                                           \
        clg_status test_status_ = (call);                                                          \
        ck_assert_msg(test_status_ == CLG_OK, "%s: %s: %s", #call, clg_status_name(test_status_),  \
                      clg_last_error());                                                           \
    } while (0)

/** The call fails with `expected`, and its message contains `text`. */
#define TEST_FAILS(call, expected, text)                                                           \
    do {                                                                                           \
        clg_status test_status_ = (call);                                                          \
        ck_assert_msg(test_status_ == (expected), "%s: got \"%s\" (%s), expected \"%s\"", #call,   \
                      clg_status_name(test_status_), clg_last_error(), clg_status_name(expected)); \
        ck_assert_msg(strstr(clg_last_error(), (text)) != NULL,                                    \
                      "%s: the message \"%s\" does not mention \"%s\"", #call, clg_last_error(),   \
                      (text));                                                                     \
    } while (0)

/** Says on stdout what is not tested here and why; the CI lists these lines. */
#define TEST_SKIP(...) (printf("SKIPPED: " __VA_ARGS__), printf("\n"))

static inline void testing_nothing_live(void)
{
    for (int kind = 0; kind < CLG__FAULT_COUNT; kind++)
        clg__fault_set((clg__fault_kind)kind, 0, false, 0);
    ck_assert_msg(clg__live_objects() == 0, "%" PRId64 " objects are still alive",
                  clg__live_objects());
    ck_assert_msg(clg__live_allocations() == 0, "%" PRId64 " allocations are still alive",
                  clg__live_allocations());
}

/** A test case of `suite` whose tests each end with the check that nothing is left alive. */
static inline TCase *testing_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, NULL, testing_nothing_live);
    suite_add_tcase(suite, tests);
    return tests;
}

/** Runs all, prints Check's summary line, and returns main's exit status. */
static inline int testing_run(Suite *suite)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    bool ran = srunner_ntests_run(runner) > 0;
    srunner_free(runner);
    return failed == 0 && ran ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
