/*
 * The kernel cache on disk: what is in a key, entries damaged in every way, directories that cannot
 * be used, eviction, eight cold processes on one directory, and writers killed at work.
 *
 * Children are this executable again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "kernels/directory.h"
#include "kernels/entry.h"
#include "testing_kernels.h"

extern char **environ;

/* ---- the cache on disk ---- */

START_TEST(the_second_context_loads)
{
    make_directory();
    use_one_program(7, 1, 0);
    ck_assert_uint_eq(for_each_file(NULL), 1);
    use_one_program(7, 0, 1);
    use_one_program(8, 1, 0);
    ck_assert_uint_eq(for_each_file(NULL), 2);
    clg_cache_info info;
    TEST_OK(clg_cache_query(directory, &info));
    ck_assert_str_eq(info.directory, directory);
    ck_assert_uint_eq(info.entries, 2);
    ck_assert_uint_gt(info.bytes, 100);
    ck_assert_uint_eq(info.limit_bytes, (uint64_t)256 << 20);
    remove_directory();
}
END_TEST

START_TEST(saving_does_not_wait_for_the_end)
{
    make_directory();
    clg_context *ctx = new_context();
    clg__module_request request = request_of(0, 7);
    clg__modules_save(ctx); /* nothing yet */
    TEST_OK(clg__modules_get(ctx, &request, 1));
    ck_assert_uint_eq(for_each_file(NULL), 0);
    clg__modules_save(ctx);
    ck_assert_uint_eq(for_each_file(NULL), 1);
    use_one_program(7, 0, 1);
    clg_context_destroy(ctx);
    remove_directory();
}
END_TEST

START_TEST(everything_a_binary_depends_on_is_in_the_key)
{
    clg_context *ctx;
    TEST_OK(clg_context_create(&ctx, clg_context_options(.cache_dir = "")));
    clg__module_request request = request_of(0, 1), other = request_of(1, 2);
    char *fields[] = {ctx->info.platform, ctx->info.platform_version, ctx->info.name,
                      ctx->info.vendor,   ctx->info.version,          ctx->info.driver};
    clg__str key = {0}, changed = {0};
    clg__entry_key(&key, ctx, &request);
    for (size_t i = 0; i < CLG__COUNT(fields) + 2; i++) {
        clg__module_request asked = request;
        if (i < CLG__COUNT(fields)) fields[i][0] ^= 1;
        if (i == CLG__COUNT(fields)) asked.options = "-DX";
        if (i == CLG__COUNT(fields) + 1) asked = other;
        clg__entry_key(&changed, ctx, &asked);
        ck_assert_str_ne(changed.text, key.text);
        if (i < CLG__COUNT(fields)) fields[i][0] ^= 1;
        clg__str_free(&changed);
    }
    clg__str_free(&key);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- damage ---- */

/* The only entry of the directory, and its content. */
static char entry_name[1024];
static unsigned char *entry_bytes;
static size_t entry_size;

static int remember_name(const char *path)
{
    snprintf(entry_name, sizeof entry_name, "%s", path);
    return 0;
}

static void load_entry(void)
{
    void *data;
    ck_assert_uint_eq(for_each_file(remember_name), 1);
    TEST_OK(clg__file_read(entry_name, 1 << 26, &data, &entry_size));
    entry_bytes = malloc(entry_size);
    memcpy(entry_bytes, data, entry_size);
    clg__free(data);
}

static void overwrite_entry(const void *data, size_t size)
{
    TEST_OK(clg__file_write_atomic(entry_name, data, size, 0));
}

/* Is the entry, as it is now, refused before a driver could see it? */
static bool entry_is_refused(void)
{
    clg_context *ctx;
    clg__str key = {0};
    clg__entry entry;
    TEST_OK(clg_context_create(&ctx, clg_context_options(.cache_dir = "")));
    clg__module_request request = request_of(0, 7);
    clg__entry_key(&key, ctx, &request);
    bool found = clg__entry_read(&entry, directory, &key);
    if (found) clg__free(entry.data);
    clg__str_free(&key);
    clg_context_destroy(ctx);
    return !found;
}

START_TEST(a_flipped_byte_anywhere_is_noticed)
{
    make_directory();
    use_one_program(7, 1, 0);
    load_entry();
    ck_assert(!entry_is_refused());
    size_t step = entry_size > 4000 ? entry_size / 500 : 1;
    for (size_t at = 0; at < entry_size; at += at < 600 ? 1 : step) { /* header and key: each */
        entry_bytes[at] ^= 1 << (at % 8);
        overwrite_entry(entry_bytes, entry_size);
        ck_assert_msg(entry_is_refused(), "byte %zu", at);
        entry_bytes[at] ^= 1 << (at % 8);
    }
    overwrite_entry(entry_bytes, entry_size);
    ck_assert(!entry_is_refused());
    free(entry_bytes);
    remove_directory();
}
END_TEST

START_TEST(any_other_length_is_noticed)
{
    make_directory();
    use_one_program(7, 1, 0);
    load_entry();
    size_t lengths[] = {0, 1, 7, 8, 39, 40, 41, 200, entry_size / 2, entry_size - 1};
    for (size_t i = 0; i < CLG__COUNT(lengths); i++) {
        overwrite_entry(entry_bytes, lengths[i]);
        ck_assert_msg(entry_is_refused(), "%zu bytes", lengths[i]);
    }
    unsigned char *longer = calloc(entry_size + 1, 1);
    memcpy(longer, entry_bytes, entry_size);
    overwrite_entry(longer, entry_size + 1);
    ck_assert(entry_is_refused());
    free(longer);
    free(entry_bytes);
    remove_directory();
}
END_TEST

/* Damages the entry of value 7, then expects: compiled anew, right result, entry repaired. */
static void expect_repair(const void *data, size_t size)
{
    overwrite_entry(data, size);
    use_one_program(7, 1, 0);
    use_one_program(7, 0, 1);
}

START_TEST(damaged_entries_are_replaced)
{
    make_directory();
    use_one_program(7, 1, 0);
    load_entry();
    size_t places[] = {0, 8, 12, 16, 24, 60, entry_size / 2, entry_size - 1};
    for (size_t i = 0; i < CLG__COUNT(places); i++) {
        entry_bytes[places[i]] ^= 0x10;
        expect_repair(entry_bytes, entry_size);
        entry_bytes[places[i]] ^= 0x10;
    }
    expect_repair("", 0);
    expect_repair(entry_bytes, 30);
    expect_repair(entry_bytes, entry_size - 5);
    free(entry_bytes);
    remove_directory();
}
END_TEST

START_TEST(another_keys_content_is_refused)
{
    make_directory();
    use_one_program(8, 1, 0);
    load_entry();
    unlink(entry_name);
    use_one_program(7, 1, 0);
    ck_assert_uint_eq(for_each_file(remember_name), 1);
    expect_repair(entry_bytes, entry_size); /* the entry of 8 under the name of 7 */
    free(entry_bytes);
    remove_directory();
}
END_TEST

START_TEST(no_entry_but_a_directory_or_a_pipe)
{
    make_directory();
    use_one_program(7, 1, 0);
    ck_assert_uint_eq(for_each_file(remember_name), 1);
    unlink(entry_name);
    ck_assert_int_eq(mkdir(entry_name, 0700), 0);
    use_one_program(7, 1, 0);
    rmdir(entry_name);
    ck_assert_int_eq(mkfifo(entry_name, 0600), 0);
    use_one_program(7, 1, 0); /* replaces it by rename */
    use_one_program(7, 0, 1);
    remove_directory();
}
END_TEST

START_TEST(a_binary_that_the_driver_refuses_is_compiled_anew)
{
    make_directory();
    clg_context *ctx = new_context();
    if (!strstr(ctx->info.platform_version, "PoCL")) {
        TEST_SKIP("a useless binary: only PoCL is known to survive being given one");
        clg_context_destroy(ctx);
        remove_directory();
        return;
    }
    clg__module_request request = request_of(0, 7);
    clg__str key = {0};
    clg__entry_key(&key, ctx, &request);
    TEST_OK(clg__entry_write(directory, &key, "no binary", 9)); /* intact, but useless */
    clg__str_free(&key);
    TEST_OK(clg__modules_get(ctx, &request, 1));
    check_builds(ctx, 1, 0);
    check_fill(ctx, request.module, 7);
    clg_context_destroy(ctx);
    use_one_program(7, 0, 1);
    remove_directory();
}
END_TEST

/* ---- directories ---- */

static void expect_no_cache(const char *path, const char *reason)
{
    clg_context *ctx;
    start_counting();
    TEST_OK(clg_context_create(&ctx, clg_context_options(.cache_dir = path)));
    for (int value = 1; value <= 2; value++) {
        clg__module_request request = request_of(0, value);
        TEST_OK(clg__modules_get(ctx, &request, 1));
        check_fill(ctx, request.module, value);
    }
    check_builds(ctx, 2, 0);
    clg_context_destroy(ctx);
    clg_log_set(NULL, NULL);
    ck_assert_int_eq(warnings, reason ? 1 : 0);
    if (reason) ck_assert_msg(strstr(last_warning, reason) != NULL, "%s", last_warning);
}

START_TEST(a_missing_directory_is_made_for_the_user_alone)
{
    make_directory();
    struct stat st;
    char outer[512], inner[600];
    snprintf(outer, sizeof outer, "%s/one", directory);
    snprintf(inner, sizeof inner, "%s/two words", outer);
    clg_context *ctx;
    clg__module_request request = request_of(0, 7);
    TEST_OK(clg_context_create(&ctx, clg_context_options(.cache_dir = inner)));
    TEST_OK(clg__modules_get(ctx, &request, 1));
    clg_context_destroy(ctx);
    ck_assert_int_eq(stat(inner, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
    uint64_t removed;
    TEST_OK(clg_cache_clear(inner, &removed));
    ck_assert_uint_eq(removed, 1);
    rmdir(inner);
    rmdir(outer);
    remove_directory();
}
END_TEST

START_TEST(a_directory_that_others_can_write_is_refused)
{
    clg_cache_info info;
    make_directory();
    use_one_program(7, 1, 0);
    chmod(directory, 0770);
    expect_no_cache(directory, "other users can write");
    TEST_OK(clg_cache_query(directory, &info));
    ck_assert_ptr_nonnull(strstr(info.note, "other users can write"));
    TEST_FAILS(clg_cache_clear(directory, NULL), CLG_ERROR_IO, "other users can write");
    chmod(directory, 0755); /* reading is no harm */
    use_one_program(7, 0, 1);
    remove_directory();
}
END_TEST

START_TEST(a_foreign_directory_is_refused)
{
    make_directory();
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(directory, 12345, (gid_t)-1), 0);
        expect_no_cache(directory, "another user");
        ck_assert_int_eq(chown(directory, 0, (gid_t)-1), 0);
    } else {
        expect_no_cache("/", "another user");
    }
    ck_assert_uint_eq(for_each_file(NULL), 0);
    remove_directory();
}
END_TEST

START_TEST(a_directory_that_cannot_be_made_is_refused)
{
    char file[600];
    make_directory();
    snprintf(file, sizeof file, "%s/file", directory);
    TEST_OK(clg__file_write_atomic(file, "x", 1, 0));
    expect_no_cache(file, "not a directory");
    expect_no_cache("/proc/nowhere/cache", "/proc/nowhere");
    remove_directory();
}
END_TEST

START_TEST(a_read_only_directory_costs_one_warning)
{
    make_directory();
    if (geteuid() == 0) {
        TEST_SKIP("a read-only directory: root may write to it (the failing calls below may not)");
    } else {
        chmod(directory, 0500);
        expect_no_cache(directory, "cannot create");
        chmod(directory, 0700);
    }
    remove_directory();
}
END_TEST

START_TEST(a_full_disk_costs_one_warning)
{
    struct rlimit saved, tiny;
    make_directory();
    getrlimit(RLIMIT_FSIZE, &saved);
    /* PoCL must find its own files ready: it does not survive a full disk. */
    for (int value = 1; value <= 2; value++) {
        use_one_program(value, 1, 0);
        for_each_file(remove);
    }
    tiny = (struct rlimit){.rlim_cur = 100, .rlim_max = saved.rlim_max};
    clg_context *ctx = new_context();
    clg__module_request requests[2] = {request_of(0, 1), request_of(1, 2)};
    TEST_OK(clg__modules_get(ctx, requests, 2));
    start_counting();
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &tiny);
    clg_context_destroy(ctx);
    setrlimit(RLIMIT_FSIZE, &saved);
    clg_log_set(NULL, NULL);
    ck_assert_int_eq(warnings, 1);
    ck_assert_msg(strstr(last_warning, strerror(EFBIG)) != NULL, "%s", last_warning);
    ck_assert_uint_eq(for_each_file(NULL), 0);
    remove_directory();
}
END_TEST

START_TEST(the_cache_can_be_off)
{
    clg_cache_info info;
    uint64_t removed = 1;
    make_directory();
    expect_no_cache("", NULL);
    setenv("CLGRAD_CACHE", "0", 1);
    expect_no_cache(directory, NULL);
    TEST_OK(clg_cache_query(directory, &info));
    ck_assert_str_eq(info.directory, "");
    ck_assert_ptr_nonnull(strstr(info.note, "CLGRAD_CACHE=0"));
    TEST_OK(clg_cache_clear(directory, &removed));
    ck_assert_uint_eq(removed, 0);
    unsetenv("CLGRAD_CACHE");
    ck_assert_uint_eq(for_each_file(NULL), 0);
    remove_directory();
}
END_TEST

/* ---- size ---- */

static void put_file(const char *name, size_t size, int age_seconds)
{
    char path[1024], content[64] = {0};
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_eq((int)write(fd, content, size), (int)size);
    struct timespec times[2] = {{.tv_sec = time(NULL) - age_seconds},
                                {.tv_sec = time(NULL) - age_seconds}};
    futimens(fd, times);
    close(fd);
}

static bool is_there(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

#define NAME(digit) digit "0123456789abcdef0123456789abcde.clgk"

START_TEST(the_least_recently_used_entries_go_first)
{
    make_directory();
    put_file(NAME("1"), 50, 300);
    put_file(NAME("2"), 50, 100);
    put_file(NAME("3"), 50, 200);
    put_file("notes.txt", 64, 90000);
    put_file(NAME("x"), 64, 90000);              /* not our naming */
    put_file(NAME("4") ".tmp-abc123", 64, 7200); /* of a writer that was killed */
    put_file(NAME("5") ".tmp-abc123", 64, 10);   /* of one that is at it */
    clg__directory_trim(directory, 150);
    ck_assert(is_there(NAME("1")) && is_there(NAME("2")) && is_there(NAME("3")));
    ck_assert(!is_there(NAME("4") ".tmp-abc123") && is_there(NAME("5") ".tmp-abc123"));
    clg__directory_trim(directory, 100);
    ck_assert(!is_there(NAME("1")) && is_there(NAME("2")) && is_there(NAME("3")));
    clg__directory_trim(directory, 60);
    ck_assert(is_there(NAME("2")) && !is_there(NAME("3")));
    uint64_t removed;
    TEST_OK(clg_cache_clear(directory, &removed));
    ck_assert_uint_eq(removed, 1);
    ck_assert(is_there("notes.txt") && is_there(NAME("x")));
    ck_assert_uint_eq(for_each_file(NULL), 2);
    remove_directory();
}
END_TEST

START_TEST(using_an_entry_makes_it_recent)
{
    struct stat st;
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    make_directory();
    use_one_program(7, 1, 0);
    for_each_file(remember_name);
    utimensat(AT_FDCWD, entry_name, old, 0);
    use_one_program(7, 0, 1);
    ck_assert_int_eq(stat(entry_name, &st), 0);
    ck_assert_int_gt((int)st.st_mtim.tv_sec, 1000);
    remove_directory();
}
END_TEST

/* ---- several processes ---- */

enum { PROCESSES = 8, PROGRAMS = 4 };

/* A child: uses PROGRAMS programs from the shared directory, then says whether all was right. */
static int run_child(const char *shared)
{
    clg_context *ctx;
    clg__module_request requests[PROGRAMS];
    float out[8];
    snprintf(directory, sizeof directory, "%s", shared);
    for (int i = 0; i < PROGRAMS; i++) requests[i] = request_of(i, i + 1);
    if (create_context(&ctx) != CLG_OK) return 2;
    bool right = clg__modules_get(ctx, requests, PROGRAMS) == CLG_OK;
    for (int i = 0; right && i < PROGRAMS; i++)
        right = run_fill(ctx, requests[i].module, out) == CLG_OK && out[7] == (float)(i + 1);
    clg_context_destroy(ctx);
    if (!right) fprintf(stderr, "child: %s\n", clg_last_error());
    return right ? 0 : 1;
}

/* A child that replaces one entry for ever, until it is killed. */
static int write_forever(const char *shared)
{
    static char payload[1 << 16];
    clg__str key = {0};
    clg__str_add(&key, "some key");
    for (;;)
        if (clg__entry_write(shared, &key, payload, sizeof payload) != CLG_OK) return 1;
}

static pid_t start_child(char *mode)
{
    pid_t child;
    char self[4096], *arguments[] = {self, mode, directory, NULL};
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    ck_assert_int_gt(length, 0);
    self[length] = '\0';
    ck_assert_int_eq(posix_spawn(&child, self, NULL, NULL, arguments, environ), 0);
    return child;
}

START_TEST(eight_cold_processes_share_a_directory)
{
    pid_t children[PROCESSES];
    make_directory();
    for (int i = 0; i < PROCESSES; i++) children[i] = start_child("--use");
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %d: %x", i, status);
    }
    ck_assert_uint_eq(for_each_file(NULL), PROGRAMS); /* and no temporary files */
    use_one_program(1, 0, 1);
    remove_directory();
}
END_TEST

START_TEST(a_writer_killed_on_the_way_does_no_harm)
{
    clg__str key = {0};
    clg__entry entry;
    bool written = false;
    make_directory();
    clg__str_add(&key, "some key");
    for (int repeat = 0; repeat < 20 || (!written && repeat < 1000); repeat++) {
        pid_t child = start_child("--write");
        struct timespec pause = {.tv_nsec = 5000000 + 731000 * (repeat % 100)};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        bool found = clg__entry_read(&entry, directory, &key);
        ck_assert(found || !written); /* once there, it is always there, and whole */
        written = found;
        if (!found) continue; /* killed before its first entry */
        ck_assert_uint_eq(entry.payload_size, 1 << 16);
        clg__free(entry.data);
    }
    ck_assert(written);
    clg__str_free(&key);
    TEST_OK(clg_cache_clear(directory, NULL)); /* also takes what the killed ones left */
    ck_assert_uint_eq(for_each_file(NULL), 0);
    remove_directory();
}
END_TEST

int main(int argc, char **argv)
{
    unsetenv("CLGRAD_CACHE");
    if (argc == 3 && strcmp(argv[1], "--use") == 0) return run_child(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--write") == 0) return write_forever(argv[2]);
    Suite *suite = suite_create("kernel_cache");
    TCase *disk = testing_case(suite, "disk");
    tcase_add_test(disk, the_second_context_loads);
    tcase_add_test(disk, saving_does_not_wait_for_the_end);
    tcase_add_test(disk, everything_a_binary_depends_on_is_in_the_key);
    tcase_add_test(disk, a_flipped_byte_anywhere_is_noticed);
    tcase_add_test(disk, any_other_length_is_noticed);
    tcase_add_test(disk, damaged_entries_are_replaced);
    tcase_add_test(disk, another_keys_content_is_refused);
    tcase_add_test(disk, no_entry_but_a_directory_or_a_pipe);
    tcase_add_test(disk, a_binary_that_the_driver_refuses_is_compiled_anew);
    TCase *places = testing_case(suite, "directories");
    tcase_add_test(places, a_missing_directory_is_made_for_the_user_alone);
    tcase_add_test(places, a_directory_that_others_can_write_is_refused);
    tcase_add_test(places, a_foreign_directory_is_refused);
    tcase_add_test(places, a_directory_that_cannot_be_made_is_refused);
    tcase_add_test(places, a_read_only_directory_costs_one_warning);
    tcase_add_test(places, a_full_disk_costs_one_warning);
    tcase_add_test(places, the_cache_can_be_off);
    tcase_add_test(places, the_least_recently_used_entries_go_first);
    tcase_add_test(places, using_an_entry_makes_it_recent);
    TCase *processes = testing_case(suite, "processes");
    tcase_add_test(processes, eight_cold_processes_share_a_directory);
    tcase_add_test(processes, a_writer_killed_on_the_way_does_no_harm);
    TCase *all[] = {disk, places, processes};
    for (size_t i = 0; i < CLG__COUNT(all); i++) tcase_set_timeout(all[i], 0);
    return testing_run(suite);
}
