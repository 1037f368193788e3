/*
 * Base layer: messages, the counted allocator and its fault points, checked arithmetic, strings,
 * hashing, and files that are replaced whole or not at all.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"

/* ---- messages ---- */

START_TEST(every_status_has_a_distinct_name)
{
    for (int a = 0; a < CLG_STATUS_COUNT; a++) {
        ck_assert_str_ne(clg_status_name((clg_status)a), "");
        for (int b = 0; b < a; b++)
            ck_assert_str_ne(clg_status_name((clg_status)a), clg_status_name((clg_status)b));
    }
    ck_assert_str_eq(clg_status_name((clg_status)-1), "unknown status");
    ck_assert_str_eq(clg_status_name(CLG_STATUS_COUNT), "unknown status");
}
END_TEST

START_TEST(a_message_gains_context_and_is_never_overrun)
{
    TEST_FAILS(clg__fail(CLG_ERROR_ARGUMENT, "axis %d of %d", 7, 2), CLG_ERROR_ARGUMENT, "axis 7");
    TEST_FAILS(clg__fail_context(CLG_ERROR_ARGUMENT, "sum"), CLG_ERROR_ARGUMENT, "sum: axis 7");
    clg__fail(CLG_ERROR_IO, "%100000d", 1);
    ck_assert_uint_lt(strlen(clg_last_error()), 100000);
    clg__fail_context(CLG_ERROR_IO, "%100000d", 1);
    ck_assert_uint_lt(strlen(clg_last_error()), 100000);
}
END_TEST

static void *message_of_a_fresh_thread(void *out)
{
    *(bool *)out = clg_last_error()[0] == '\0';
    clg__fail(CLG_ERROR_IO, "theirs");
    return NULL;
}

START_TEST(messages_belong_to_their_thread)
{
    pthread_t thread;
    bool empty = false;
    clg__fail(CLG_ERROR_IO, "ours");
    ck_assert_int_eq(pthread_create(&thread, NULL, message_of_a_fresh_thread, &empty), 0);
    pthread_join(thread, NULL);
    ck_assert(empty);
    ck_assert_str_eq(clg_last_error(), "ours");
}
END_TEST

static void keep_message(void *user, clg_log_level level, const char *message)
{
    snprintf(user, 64, "%d %s", (int)level, message);
}

START_TEST(log_messages_reach_the_callback_only)
{
    char kept[64] = "";
    clg_log_set(keep_message, kept);
    clg__log(CLG_LOG_WARNING, "cache is %s", "off");
    clg_log_set(NULL, NULL);
    clg__log(CLG_LOG_WARNING, "dropped");
    char expected[64];
    snprintf(expected, sizeof expected, "%d cache is off", (int)CLG_LOG_WARNING);
    ck_assert_str_eq(kept, expected);
}
END_TEST

/* ---- memory ---- */

START_TEST(allocations_are_counted_and_zero_sizes_work)
{
    void *a = clg__alloc(0), *b = clg__calloc(3, 5);
    ck_assert_ptr_nonnull(a);
    ck_assert_mem_eq(b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
    ck_assert_int_eq(clg__live_allocations(), 2);
    b = clg__realloc(b, 100000);
    ck_assert_int_eq(clg__live_allocations(), 2);
    clg__free(a);
    clg__free(b);
    clg__free(NULL);
    ck_assert_ptr_null(clg__calloc(SIZE_MAX / 2, 3));
    ck_assert(strstr(clg_last_error(), "do not fit") != NULL);
}
END_TEST

START_TEST(the_nth_allocation_fails_once_or_from_then_on)
{
    for (int sticky = 0; sticky < 2; sticky++) {
        clg__fault_set(CLG__FAULT_ALLOC, 2, sticky, 0);
        void *first = clg__alloc(1), *second = clg__alloc(1), *third = clg__alloc(1);
        ck_assert_ptr_nonnull(first);
        ck_assert_ptr_null(second);
        ck_assert(sticky ? third == NULL : third != NULL);
        ck_assert_uint_eq(clg__fault_passed(CLG__FAULT_ALLOC), 3);
        clg__free(first);
        clg__free(third);
    }
}
END_TEST

START_TEST(growing_keeps_items_and_survives_failure)
{
    int *items = NULL;
    size_t capacity = 0;
    for (int i = 0; i < 1000; i++) {
        TEST_OK(clg__grow((void **)&items, &capacity, (size_t)i + 1, sizeof *items));
        items[i] = i;
    }
    int *before = items;
    size_t before_capacity = capacity;
    clg__fault_set(CLG__FAULT_ALLOC, 1, false, 0);
    TEST_FAILS(clg__grow((void **)&items, &capacity, capacity + 1, sizeof *items), CLG_ERROR_MEMORY,
               "out of host memory");
    ck_assert_ptr_eq(items, before);
    ck_assert_uint_eq(capacity, before_capacity);
    for (int i = 0; i < 1000; i++) ck_assert_int_eq(items[i], i);
    clg__free(items);
}
END_TEST

/* ---- arithmetic, strings, hash ---- */

START_TEST(checked_products_refuse_overflow)
{
    size_t size = 7;
    int64_t wide = 7;
    ck_assert(clg__mul_size(SIZE_MAX / 3, 3, &size));
    ck_assert_uint_eq(size, SIZE_MAX);
    ck_assert(!clg__mul_size(SIZE_MAX / 3 + 1, 3, &size));
    ck_assert_uint_eq(size, SIZE_MAX);
    ck_assert(clg__mul_i64(INT64_MIN, 1, &wide));
    ck_assert(!clg__mul_i64(INT64_MIN, -1, &wide));
    ck_assert_int_eq(wide, INT64_MIN);
    ck_assert_int_eq(clg__ceil_div(1023, 16), 64);
    ck_assert_int_eq(clg__round_up(1023, 16), 1024);
    ck_assert_int_eq(clg__round_up(1024, 16), 1024);
}
END_TEST

START_TEST(strings_grow_and_remember_a_failure)
{
    clg__str s = {0};
    ck_assert_str_eq(clg__str_text(&s), "");
    for (int i = 0; i < 500; i++) clg__str_addf(&s, "%d,", i % 10);
    clg__str_addn(&s, "endless", 3);
    ck_assert_uint_eq(s.length, 1003);
    ck_assert_str_eq(clg__str_text(&s) + 994, "7,8,9,end");
    clg__str_free(&s);
    clg__fault_set(CLG__FAULT_ALLOC, 1, false, 0);
    clg__str_add(&s, "lost");
    clg__str_add(&s, "also lost");
    ck_assert(s.failed);
    ck_assert_str_eq(clg__str_text(&s), "");
    clg__str_free(&s);
}
END_TEST

START_TEST(hashes_differ_by_one_bit_of_input)
{
    char data[64] = {0};
    clg__hash128 zero = clg__hash(data, sizeof data);
    ck_assert(clg__hash_equal(zero, clg__hash(data, sizeof data)));
    for (size_t bit = 0; bit < 8 * sizeof data; bit++) {
        data[bit / 8] = (char)(1u << bit % 8);
        ck_assert(!clg__hash_equal(zero, clg__hash(data, sizeof data)));
        data[bit / 8] = 0;
    }
}
END_TEST

/* ---- files ---- */

static char path[256];

static void make_folder(void)
{
    scratch_make();
    snprintf(path, sizeof path, "%s/file with space", scratch);
}

/* No temporary file was left behind. */
static void remove_folder(void)
{
    unlink(path);
    ck_assert_int_eq(scratch_entries("."), 0);
    scratch_remove();
}

static void assert_content(const char *expected)
{
    void *data;
    size_t size;
    TEST_OK(clg__file_read(path, 1000, &data, &size));
    ck_assert_uint_eq(size, strlen(expected));
    ck_assert_str_eq(data, expected);
    clg__free(data);
}

START_TEST(a_file_is_replaced_whole)
{
    TEST_OK(clg__file_write_atomic(path, "old", 3, CLG__FILE_DURABLE));
    assert_content("old");
    TEST_OK(clg__file_write_atomic(path, "newer", 5, 0));
    assert_content("newer");
    clg__atomic_file *file;
    TEST_OK(clg__atomic_open(&file, path, CLG__FILE_DURABLE));
    TEST_OK(clg__atomic_write(file, "half", 4));
    assert_content("newer");
    clg__atomic_abort(file);
    clg__atomic_abort(NULL);
    assert_content("newer");
}
END_TEST

/* The link stays, and what it points to is replaced: also if that is not there yet. */
START_TEST(a_link_is_followed)
{
    const char *link = scratch_path("link");
    struct stat st;
    ck_assert_int_eq(symlink("file with space", link), 0);
    TEST_OK(clg__file_write_atomic(link, "first", 5, CLG__FILE_DURABLE));
    assert_content("first");
    TEST_OK(clg__file_write_atomic(link, "second", 6, CLG__FILE_DURABLE));
    assert_content("second");
    ck_assert_int_eq(lstat(link, &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_int_eq(unlink(link), 0);
}
END_TEST

/* What is no plain file is written and not replaced. */
START_TEST(a_pipe_stays_a_pipe)
{
    char content[8] = "";
    struct stat st;
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int both = open(path, O_RDWR | O_NONBLOCK);
    ck_assert_int_ge(both, 0);
    TEST_OK(clg__file_write_atomic(path, "through", 7, CLG__FILE_DURABLE));
    ck_assert_int_eq(read(both, content, sizeof content), 7);
    ck_assert_str_eq(content, "through");
    close(both);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(S_ISFIFO(st.st_mode));
    TEST_FAILS(clg__file_write_atomic(scratch, "x", 1, CLG__FILE_DURABLE), CLG_ERROR_IO,
               "cannot open");
}
END_TEST

/* Whatever file system call fails, the old or the new content is there, never a mixture. */
START_TEST(a_failing_write_keeps_the_old_file)
{
    TEST_OK(clg__file_write_atomic(path, "old", 3, CLG__FILE_DURABLE));
    bool succeeded = false;
    for (uint64_t n = 1; !succeeded; n++) {
        ck_assert_uint_lt(n, 100);
        clg__fault_set(CLG__FAULT_FILE, n, n % 2 == 0, 0);
        succeeded = clg__file_write_atomic(path, "new", 3, CLG__FILE_DURABLE) == CLG_OK;
        bool renamed = clg__fault_passed(CLG__FAULT_FILE) >= 5;
        clg__fault_set(CLG__FAULT_FILE, 0, false, 0);
        if (!renamed) assert_content("old");
    }
    assert_content("new");
}
END_TEST

START_TEST(reading_refuses_what_is_missing_large_or_no_file)
{
    void *data = NULL;
    size_t size = 0;
    TEST_FAILS(clg__file_read(path, 10, &data, &size), CLG_ERROR_IO, "file with space");
    TEST_OK(clg__file_write_atomic(path, "eleven byte", 11, 0));
    TEST_FAILS(clg__file_read(path, 10, &data, &size), CLG_ERROR_FORMAT, "11 bytes");
    TEST_FAILS(clg__file_read(scratch, 10, &data, &size), CLG_ERROR_IO, "not a regular file");
    ck_assert_ptr_null(data);
    ck_assert_uint_eq(size, 0);
}
END_TEST

START_TEST(a_path_is_in_a_directory)
{
    static const char *const pairs[][2] = {{"a/b/c", "a/b/"}, {"/c", "/"}, {"c", "."}, {"", "."}};
    for (size_t i = 0; i < CLG__COUNT(pairs); i++) {
        clg__str directory = {0};
        TEST_OK(clg__directory_of(&directory, pairs[i][0]));
        ck_assert_str_eq(directory.text, pairs[i][1]);
        TEST_OK(clg__make_directories(i ? directory.text : "/", 0700)); /* they exist */
        clg__str_free(&directory);
    }
}
END_TEST

START_TEST(directories_are_made_with_their_parents)
{
    char deep[300];
    snprintf(deep, sizeof deep, "%s/a/b", scratch);
    TEST_OK(clg__make_directories(deep, 0700));
    TEST_OK(clg__make_directories(deep, 0700));
    struct stat st;
    ck_assert_int_eq(stat(deep, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
    rmdir(deep);
    snprintf(deep, sizeof deep, "%s/a", scratch);
    rmdir(deep);
    TEST_OK(clg__file_write_atomic(path, "x", 1, 0));
    snprintf(deep, sizeof deep, "%s/below", path);
    TEST_FAILS(clg__make_directories(deep, 0700), CLG_ERROR_IO, "cannot create the directory");
    TEST_FAILS(clg__make_directories(path, 0700), CLG_ERROR_IO, "not a directory");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *messages = testing_case(suite, "messages");
    tcase_add_test(messages, every_status_has_a_distinct_name);
    tcase_add_test(messages, a_message_gains_context_and_is_never_overrun);
    tcase_add_test(messages, messages_belong_to_their_thread);
    tcase_add_test(messages, log_messages_reach_the_callback_only);
    TCase *memory = testing_case(suite, "memory");
    tcase_add_test(memory, allocations_are_counted_and_zero_sizes_work);
    tcase_add_test(memory, the_nth_allocation_fails_once_or_from_then_on);
    tcase_add_test(memory, growing_keeps_items_and_survives_failure);
    TCase *values = testing_case(suite, "values");
    tcase_add_test(values, checked_products_refuse_overflow);
    tcase_add_test(values, strings_grow_and_remember_a_failure);
    tcase_add_test(values, hashes_differ_by_one_bit_of_input);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    suite_add_tcase(suite, files);
    tcase_add_test(files, a_file_is_replaced_whole);
    tcase_add_test(files, a_link_is_followed);
    tcase_add_test(files, a_pipe_stays_a_pipe);
    tcase_add_test(files, a_failing_write_keeps_the_old_file);
    tcase_add_test(files, reading_refuses_what_is_missing_large_or_no_file);
    tcase_add_test(files, a_path_is_in_a_directory);
    tcase_add_test(files, directories_are_made_with_their_parents);
    return testing_run(suite);
}
