/*
 * What every test suite shares (testing.c): a runner that never forks, a test case whose teardown
 * demands that nothing is left alive, and assertions on clg_status with the library's message in
 * the failure.
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

/* Check writes the place of every assertion that holds to a file, and reads the file again after
 * each test, in case a forked test crashed. For millions of elements that is half of the time
 * of a suite under AddressSanitizer, and nothing is forked here. */
#define _mark_point(file, line) ((void)0)

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

/** What tests of one process share (testing_context.c): the number of objects that it is made of,
 * and what lets go of it when all tests have run. NULL: nothing is shared. */
extern int64_t (*testing_shared_objects)(void);
extern void (*testing_release_shared)(void);

/** Fails the test if anything but what is shared is alive; turns faults off. */
void testing_nothing_live(void);

/** A test case of `suite` whose tests each end with the check that nothing is left alive. */
TCase *testing_case(Suite *suite, const char *name);

/** Runs all, prints Check's summary line, and returns main's exit status. */
int testing_run(Suite *suite);

#endif
