/*
 * Checkpoint directories: names, `latest` and `best`, clean-up, what happens when the newest one is
 * damaged, and interruption at any moment - injected failures, and a process killed while saving.
 */
#include <jansson.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "clgrad/data.h"
#include "scratch.h"

/* The checkpoint of a step holds the step itself, and 100 copies of it. */
static clg_status save(const char *directory, uint64_t step, bool best, int keep)
{
    float copies[100];
    char text[32];
    int32_t number = (int32_t)step;
    for (int i = 0; i < 100; i++) copies[i] = (float)step;
    clg_array arrays[] = {{"copies", CLG_F32, CLG_SHAPE(10, 10), copies},
                          {"step", CLG_I32, CLG_SCALAR, &number}};
    snprintf(text, sizeof text, "%d", (int)step);
    clg_metadata metadata = {"step", text};
    return clg_checkpoint_save(directory, arrays, 2,
                               clg_checkpoint_options(.step = step, .metadata = &metadata,
                                                      .metadata_count = 1, .best = best,
                                                      .keep = keep));
}

static void assert_holds(const clg_safetensors *file, uint64_t step)
{
    const clg_array *number = clg_safetensors_find(file, "step");
    const clg_array *copies = clg_safetensors_find(file, "copies");
    ck_assert(number && copies);
    ck_assert_uint_eq((uint64_t) * (const int32_t *)number->data, step);
    for (int i = 0; i < 100; i++) ck_assert(((const float *)copies->data)[i] == (float)step);
    ck_assert_uint_eq(strtoull(clg_safetensors_metadata(file, "step"), NULL, 10), step);
}

/* Loading gives this step, and says `problem` (NULL: nothing) about a newer one. */
static void assert_loads(const char *path, const char *which, uint64_t step, const char *problem)
{
    clg_safetensors *file = NULL;
    clg_checkpoint_found found;
    TEST_OK(clg_checkpoint_load(&file, path, which, &found));
    assert_holds(file, step);
    ck_assert_uint_eq(found.step, step);
    if (problem)
        ck_assert_msg(strstr(found.problem, problem) != NULL, "problem: %s", found.problem);
    else
        ck_assert_str_eq(found.problem, "");
    clg_safetensors_destroy(file);
}

static bool exists(const char *name)
{
    return access(scratch_path(name), F_OK) == 0;
}

START_TEST(the_newest_and_the_best_stay)
{
    const char *directory = scratch_path("run/checkpoints");
    for (uint64_t step = 1; step <= 6; step++) TEST_OK(save(directory, step, step == 2, 2));
    ck_assert_int_eq(scratch_entries("run/checkpoints"), 5);
    ck_assert(exists("run/checkpoints/step-00000002.safetensors"));
    ck_assert(exists("run/checkpoints/step-00000005.safetensors"));
    ck_assert(exists("run/checkpoints/step-00000006.safetensors"));
    assert_loads(directory, NULL, 6, NULL);
    assert_loads(directory, "best", 2, NULL);
    assert_loads(scratch_path("run"), "latest", 6, NULL);
    assert_loads(scratch_path("run"), "best", 2, NULL);
    assert_loads(scratch_path("run/checkpoints/step-00000005.safetensors"), NULL, 5, NULL);
    TEST_OK(save(directory, 7, true, 0));
    assert_loads(directory, "best", 7, NULL);
    ck_assert(!exists("run/checkpoints/step-00000002.safetensors"));
    ck_assert(exists("run/checkpoints/step-00000005.safetensors")); /* keep = 0 means 3 */
}
END_TEST

START_TEST(pointers_are_text)
{
    size_t size;
    TEST_OK(save(scratch, 123456789012, true, 1));
    char *latest = scratch_read("latest", &size);
    ck_assert_str_eq(latest, "step-123456789012.safetensors\n");
    free(latest);
    ck_assert_int_eq(scratch_entries(""), 3);
}
END_TEST

START_TEST(saving_again_replaces_and_later_steps_stay)
{
    for (uint64_t step = 10; step <= 30; step += 10) TEST_OK(save(scratch, step, false, 5));
    TEST_OK(save(scratch, 20, false, 1));
    ck_assert(!exists("step-00000010.safetensors"));
    ck_assert(exists("step-00000030.safetensors"));
    assert_loads(scratch, NULL, 20, NULL);
}
END_TEST

static void damage(const char *name)
{
    size_t size;
    char *data = scratch_read(name, &size);
    data[size - 5] ^= 1;
    scratch_write(name, data, size);
    free(data);
}

static void count_warnings(void *user, clg_log_level level, const char *message)
{
    int *count = user;
    *count += level == CLG_LOG_WARNING && strstr(message, "step-0000000") != NULL;
}

START_TEST(a_damaged_checkpoint_is_named_and_the_one_before_is_used)
{
    int warnings = 0;
    clg_safetensors *file = NULL;
    for (uint64_t step = 1; step <= 4; step++) TEST_OK(save(scratch, step, step == 4, 4));
    clg_log_set(count_warnings, &warnings);
    damage("step-00000004.safetensors");
    assert_loads(scratch, NULL, 3, "step-00000004.safetensors is damaged: its data_xxh128");
    ck_assert_int_eq(warnings, 1);
    scratch_write("step-00000003.safetensors", "", 0);
    assert_loads(scratch, NULL, 2, "step-00000004.safetensors");
    ck_assert_int_eq(warnings, 3);
    TEST_FAILS(clg_checkpoint_load(&file, scratch, "best", NULL), CLG_ERROR_FORMAT,
               "step-00000004.safetensors is damaged");
    TEST_FAILS(clg_checkpoint_load(&file, scratch_path("step-00000003.safetensors"), NULL, NULL),
               CLG_ERROR_FORMAT, "step-00000003.safetensors");
    damage("step-00000002.safetensors");
    damage("step-00000001.safetensors");
    TEST_FAILS(clg_checkpoint_load(&file, scratch, NULL, NULL), CLG_ERROR_FORMAT,
               "no usable checkpoint");
    TEST_FAILS(CLG_ERROR_FORMAT, CLG_ERROR_FORMAT, "step-00000004.safetensors");
    clg_log_set(NULL, NULL);
    ck_assert_ptr_null(file);
}
END_TEST

static void count_ignored(void *user, clg_log_level level, const char *message)
{
    int *count = user;
    *count += level == CLG_LOG_WARNING && strstr(message, "latest does not name a checkpoint");
}

START_TEST(pointers_that_are_lost_or_point_nowhere_do_no_harm)
{
    int ignored = 0;
    clg_log_set(count_ignored, &ignored);
    for (uint64_t step = 1; step <= 3; step++) TEST_OK(save(scratch, step, false, 3));
    ck_assert_int_eq(unlink(scratch_path("latest")), 0);
    assert_loads(scratch, NULL, 3, NULL);
    scratch_write("latest", "../../etc/passwd\n", 17);
    assert_loads(scratch, NULL, 3, NULL);
    scratch_write("latest", "", 0);
    assert_loads(scratch, NULL, 3, NULL);
    ck_assert_int_eq(ignored, 2);
    clg_log_set(NULL, NULL);
    scratch_write("latest", "step-00000002.safetensors", 25);
    assert_loads(scratch, NULL, 2, NULL);
    ck_assert_int_eq(unlink(scratch_path("step-00000002.safetensors")), 0);
    assert_loads(scratch, NULL, 1, "cannot open");
}
END_TEST

START_TEST(bad_arguments_and_empty_directories_are_refused)
{
    clg_safetensors *file = NULL;
    TEST_FAILS(clg_checkpoint_load(&file, scratch, NULL, NULL), CLG_ERROR_IO, "no checkpoints");
    TEST_FAILS(clg_checkpoint_load(&file, scratch, "best", NULL), CLG_ERROR_IO, "no best");
    TEST_FAILS(clg_checkpoint_load(&file, scratch, "first", NULL), CLG_ERROR_ARGUMENT,
               "\"first\" is neither");
    TEST_FAILS(clg_checkpoint_load(&file, scratch_path("nowhere"), NULL, NULL), CLG_ERROR_IO,
               "nowhere");
    TEST_FAILS(clg_checkpoint_load(&file, NULL, NULL, NULL), CLG_ERROR_ARGUMENT, "NULL");
    TEST_FAILS(clg_checkpoint_save(NULL, NULL, 0, NULL), CLG_ERROR_ARGUMENT, "NULL");
    TEST_FAILS(save(scratch, UINT64_MAX, false, 0), CLG_ERROR_ARGUMENT, "step");
    TEST_FAILS(save(scratch, 1, false, -1), CLG_ERROR_ARGUMENT, "keep -1");
    scratch_write("file", "", 0);
    TEST_FAILS(save(scratch_path("file"), 1, false, 0), CLG_ERROR_IO, "file");
}
END_TEST

static uint64_t step_of(const char *which)
{
    clg_safetensors *file = NULL;
    clg_checkpoint_found found;
    TEST_OK(clg_checkpoint_load(&file, scratch, which, &found));
    ck_assert_str_eq(found.problem, "");
    assert_holds(file, found.step);
    clg_safetensors_destroy(file);
    return found.step;
}

/* After any failure the directory loads: the checkpoint before or, if it got that far, this one. */
START_TEST(saving_survives_each_failure)
{
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    uint64_t nth = 0, passed = 0;
    TEST_OK(save(scratch, 1, true, 1));
    while (passed >= nth) {
        uint64_t before = step_of("latest");
        clg__fault_set(kind, ++nth, _i & 2, 0);
        clg_status status = save(scratch, before + 1, true, 1);
        passed = clg__fault_passed(kind);
        clg__fault_set(kind, 0, false, 0);
        ck_assert(status == CLG_OK || status == expected);
        uint64_t after = step_of("latest");
        ck_assert(after == before + 1 || (after == before && status != CLG_OK));
        ck_assert_uint_le(step_of("best"), after);
    }
    ck_assert_uint_gt(nth, 12);
}
END_TEST

START_TEST(loading_survives_each_failure)
{
    for (uint64_t nth = 1; nth < 200; nth++) {
        clg_safetensors *file = NULL;
        if (nth == 1) TEST_OK(save(scratch, 1, true, 1));
        clg__fault_set(CLG__FAULT_ALLOC, nth, _i, 0);
        clg_status status = clg_checkpoint_load(&file, scratch, NULL, NULL);
        clg__fault_set(CLG__FAULT_ALLOC, 0, false, 0);
        ck_assert(!file == (status != CLG_OK));
        clg_safetensors_destroy(file);
        ck_assert_int_eq(clg__live_allocations(), 0);
        if (status == CLG_OK) return;
    }
    ck_abort_msg("loading never worked");
}
END_TEST

/* A child saves step after step until it is killed, at a random moment. */
static void save_forever(void)
{
    for (uint64_t step = 2;; step++) save(scratch, step, step % 3 == 0, 2);
}

START_TEST(a_process_killed_while_saving_leaves_a_directory_that_loads)
{
    uint64_t random = 2463534242;
    TEST_OK(save(scratch, 1, true, 2));
    for (int round = 0; round < 40; round++) {
        clg_safetensors *file = NULL;
        clg_checkpoint_found found;
        pid_t child = fork();
        if (child == 0) save_forever();
        ck_assert_int_gt(child, 0);
        nanosleep(&(struct timespec){.tv_nsec = 1000 * (scratch_random(&random) % 8000)}, NULL);
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        TEST_OK(clg_checkpoint_load(&file, scratch, NULL, &found));
        ck_assert_str_eq(found.problem, "");
        assert_holds(file, found.step);
        clg_safetensors_destroy(file);
        TEST_OK(clg_checkpoint_load(&file, scratch, "best", &found));
        clg_safetensors_destroy(file);
    }
}
END_TEST

int main(void)
{
    json_set_alloc_funcs(clg__alloc, clg__free);
    Suite *suite = suite_create("checkpoint");
    TCase *directory = scratch_case(suite, "directory");
    tcase_add_test(directory, the_newest_and_the_best_stay);
    tcase_add_test(directory, pointers_are_text);
    tcase_add_test(directory, saving_again_replaces_and_later_steps_stay);
    tcase_add_test(directory, a_damaged_checkpoint_is_named_and_the_one_before_is_used);
    tcase_add_test(directory, pointers_that_are_lost_or_point_nowhere_do_no_harm);
    tcase_add_test(directory, bad_arguments_and_empty_directories_are_refused);
    TCase *failures = scratch_case(suite, "failures");
    tcase_add_loop_test(failures, saving_survives_each_failure, 0, 4);
    tcase_add_loop_test(failures, loading_survives_each_failure, 0, 2);
    tcase_add_test(failures, a_process_killed_while_saving_leaves_a_directory_that_loads);
    return testing_run(suite);
}
