/*
 * The runner of the test suites, and the check after each test: see testing.h.
 */
#include "testing.h"

int64_t (*testing_shared_objects)(void);
void (*testing_release_shared)(void);

void testing_nothing_live(void)
{
    for (int kind = 0; kind < CLG__FAULT_COUNT; kind++)
        clg__fault_set((clg__fault_kind)kind, 0, false, 0);
    int64_t objects = clg__live_objects() - (testing_shared_objects ? testing_shared_objects() : 0);
    ck_assert_msg(objects == 0, "%" PRId64 " objects are still alive", objects);
    if (testing_shared_objects) return; /* its allocations are counted in the end */
    ck_assert_msg(clg__live_allocations() == 0, "%" PRId64 " allocations are still alive",
                  clg__live_allocations());
}

/* All tests have run: what they shared goes as well. */
static bool all_released(void)
{
    if (testing_release_shared) testing_release_shared();
    int64_t objects = clg__live_objects(), allocations = clg__live_allocations();
    if (objects == 0 && allocations == 0) return true;
    printf("FAILED: %" PRId64 " objects and %" PRId64 " allocations are alive in the end\n",
           objects, allocations);
    return false;
}

TCase *testing_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, NULL, testing_nothing_live);
    suite_add_tcase(suite, tests);
    return tests;
}

int testing_run(Suite *suite)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    bool ran = srunner_ntests_run(runner) > 0;
    srunner_free(runner);
    bool released = all_released();
    return failed == 0 && ran && released ? EXIT_SUCCESS : EXIT_FAILURE;
}
