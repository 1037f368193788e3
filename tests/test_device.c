/*
 * Device layer: ranking and selecting (on made-up machines), enumeration, contexts of our own and
 * on the caller's OpenCL objects, environment settings, and failures of every OpenCL call on the
 * way. Cases that need another environment at load time run this executable again as a child.
 */
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/cache_path.h"
#include "device/context.h"
#include "device/devices.h"
#include "testing.h"

extern char **environ;

/* ---- made-up machines ---- */

static clg__device_entry made_up(const char *platform, const char *version, const char *name,
                                 clg_device_type type, uint32_t units)
{
    clg__device_entry e = {.info = {.type = type, .compute_units = units, .clock_mhz = 1000}};
    snprintf(e.info.platform, sizeof e.info.platform, "%s", platform);
    snprintf(e.info.platform_version, sizeof e.info.platform_version, "%s", version);
    snprintf(e.info.name, sizeof e.info.name, "%s", name);
    clg__device_rank(&e);
    return e;
}

static const char pocl[] = "Portable Computing Language", pocl_version[] = "OpenCL 3.0 PoCL 3.1";

/* Best first, as clg__devices_find sorts: two equal cards, an accelerator, a CPU, Clover. */
static size_t workstation(clg__device_entry *out)
{
    out[0] = made_up("NVIDIA CUDA", "OpenCL 3.0 CUDA", "GeForce RTX 3090", CLG_DEVICE_GPU, 82);
    out[1] = out[0];
    out[1].info.device_index = 1;
    out[2] = made_up("Some FPGA", "OpenCL 1.2", "Board", CLG_DEVICE_ACCELERATOR, 1);
    out[3] = made_up(pocl, pocl_version, "cpu-haswell Xeon", CLG_DEVICE_CPU, 64);
    out[4] = made_up("Clover", "OpenCL 1.1 Mesa", "AMD RX 580", CLG_DEVICE_GPU, 36);
    return 5;
}

static clg_status select_from(const clg__device_entry *entries, size_t count, const char *selector,
                              int *index)
{
    const clg__device_entry *picked = NULL;
    const clg__device_wish wish = {selector, "the test"};
    clg_status status = clg__device_select(&picked, entries, count, &wish);
    *index = picked ? (int)(picked - entries) : -1;
    return status;
}

#define SELECTS(selector, expected)                                                                \
    do {                                                                                           \
        int index_;                                                                                \
        TEST_OK(select_from(machine, count, selector, &index_));                                   \
        ck_assert_int_eq(index_, expected);                                                        \
    } while (0)

#define REFUSES(selector, text)                                                                    \
    do {                                                                                           \
        int index_;                                                                                \
        TEST_FAILS(select_from(machine, count, selector, &index_), CLG_ERROR_NO_DEVICE, text);     \
        ck_assert_int_eq(index_, -1);                                                              \
    } while (0)

START_TEST(types_sizes_and_known_platforms_give_the_rank)
{
    clg__device_entry gpu = made_up("AMD Accelerated", "", "big", CLG_DEVICE_GPU, 60);
    clg__device_entry small = made_up("AMD Accelerated", "", "small", CLG_DEVICE_GPU, 10);
    clg__device_entry board = made_up("Some FPGA", "", "board", CLG_DEVICE_ACCELERATOR, 1000);
    clg__device_entry cpu = made_up(pocl, "", "cpu", CLG_DEVICE_CPU, 128);
    clg__device_entry llvmpipe = made_up("rusticl", "", "llvmpipe", CLG_DEVICE_CPU, 128);
    clg__device_entry clover = made_up("Clover", "", "big", CLG_DEVICE_GPU, 60);
    clg__device_entry apple = made_up("Apple", "", "cpu", CLG_DEVICE_CPU, 8);
    ck_assert_double_gt(gpu.info.score, small.info.score);
    ck_assert_double_gt(small.info.score, board.info.score);
    ck_assert_double_gt(board.info.score, cpu.info.score);
    ck_assert_double_gt(cpu.info.score, llvmpipe.info.score);
    ck_assert_double_gt(llvmpipe.info.score, clover.info.score);
    ck_assert(llvmpipe.info.usable && !clover.info.usable && !apple.info.usable);
    ck_assert_str_ne(clover.info.note, "");
    ck_assert(made_up("Apple", "", "M1", CLG_DEVICE_GPU, 8).info.usable);
    small.info.unified_memory = gpu.info.unified_memory = true;
    clg__device_rank(&gpu);
    ck_assert_double_lt(gpu.info.score, made_up("x", "", "y", CLG_DEVICE_GPU, 1).info.score);
}
END_TEST

START_TEST(cpu_devices_get_the_cpu_engine_unless_known_better)
{
    clg__device_entry gpu = made_up("AMD Accelerated", "", "card", CLG_DEVICE_GPU, 60);
    clg__device_entry cpu = made_up(pocl, "", "cpu", CLG_DEVICE_CPU, 8);
    clg__device_entry llvmpipe = made_up("rusticl", "", "llvmpipe", CLG_DEVICE_CPU, 8);
    ck_assert_int_eq(clg__platform_engine(&gpu.info), CLG_ENGINE_GPU);
    ck_assert_int_eq(clg__platform_engine(&cpu.info), CLG_ENGINE_CPU);
    ck_assert_int_eq(clg__platform_engine(&llvmpipe.info), CLG_ENGINE_GPU);
}
END_TEST

START_TEST(selectors_are_optional_substrings_without_case)
{
    clg__device_entry machine[5];
    size_t count = workstation(machine);
    SELECTS("pocl", 3);
    SELECTS("PORTABLE", 3);
    SELECTS(":cpu", 3);
    SELECTS("pocl:CPU:0", 3);
    SELECTS("::xeon", 3);
    SELECTS(":acc", 2);
    SELECTS("some:accelerator:board", 2);
    SELECTS("nvidia:gpu:1", 1);
    SELECTS("nvidia::0", 0);
    SELECTS("clover", 4); /* never by default, but on request */
    SELECTS("::580", 4);  /* three digits are a name */
}
END_TEST

START_TEST(selectors_that_do_not_decide_list_what_there_is)
{
    clg__device_entry machine[5];
    size_t count = workstation(machine);
    REFUSES("tpu", "no device matches \"tpu\"");
    REFUSES(":gpu:7", "NVIDIA CUDA:gpu:1  GeForce RTX 3090");
    REFUSES("pocl:gpu", "Portable Computing Language:cpu:0  cpu-haswell Xeon");
    REFUSES("nvidia", "several equally good devices match \"nvidia\"");
    REFUSES("::3090", "NVIDIA CUDA:gpu:1");
    char endless[2000];
    memset(endless, 'x', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    REFUSES(endless, "too long");
}
END_TEST

START_TEST(the_default_is_the_best_usable_device)
{
    clg__device_entry machine[5];
    size_t count = workstation(machine);
    SELECTS(NULL, 0);
    SELECTS("", 0);
    machine[0] = machine[4];
    count = 1;
    REFUSES(NULL, "Clover");
}
END_TEST

START_TEST(a_device_that_cannot_run_kernels_is_refused_with_the_reason)
{
    clg__device_entry machine[5];
    size_t count = workstation(machine);
    machine[3].broken = true;
    snprintf(machine[3].info.note, sizeof machine[3].info.note, "it has no OpenCL C compiler");
    REFUSES("pocl", "it has no OpenCL C compiler");
}
END_TEST

/* ---- the machine the test runs on ---- */

START_TEST(devices_are_listed_best_first_with_clean_strings)
{
    clg_device_info *list;
    size_t count;
    TEST_OK(clg_device_list(&list, &count));
    ck_assert_uint_gt(count, 0);
    for (size_t i = 0; i < count; i++) {
        const clg_device_info *d = &list[i];
        const char *texts[] = {d->platform, d->name, d->vendor, d->version, d->driver};
        for (size_t t = 0; t < CLG__COUNT(texts); t++)
            for (const char *c = texts[t]; *c; c++) ck_assert(*c >= ' ' && *c < 0x7f);
        ck_assert(i == 0 || list[i - 1].score >= d->score);
        ck_assert_uint_gt(d->global_memory, 0);
        ck_assert_uint_le(d->max_allocation, d->global_memory);
        ck_assert_uint_gt(d->max_work_group, 0);
        ck_assert_int_ge(d->device_index, 0);
    }
    clg_device_list_free(list);
    clg_device_list_free(NULL);
    TEST_FAILS(clg_device_list(NULL, &count), CLG_ERROR_ARGUMENT, "NULL");
}
END_TEST

START_TEST(a_context_says_what_it_is)
{
    clg_context *ctx;
    uint64_t used = 1, peak = 1;
    TEST_OK(clg_context_create(&ctx, NULL));
    const clg_device_info *info = clg_context_device(ctx);
    ck_assert(info->usable);
    ck_assert_ptr_nonnull(strstr(clg_context_choice(ctx), info->name));
    ck_assert_ptr_nonnull(strstr(clg_context_choice(ctx), "best of"));
    ck_assert_ptr_nonnull(clg_context_cl(ctx));
    ck_assert_ptr_nonnull(clg_context_cl_queue(ctx));
    TEST_OK(clg_context_finish(ctx));
    clg_context_memory(ctx, &used, &peak);
    ck_assert(used == 0 && peak == 0);
    clg_context_builds(ctx, &used, NULL);
    ck_assert(used == 0);
    clg_context_destroy(ctx);
    clg_context_destroy(NULL);
    TEST_FAILS(clg_context_create(NULL, NULL), CLG_ERROR_ARGUMENT, "NULL");
}
END_TEST

START_TEST(the_option_wins_over_the_variable)
{
    clg_context *ctx = NULL;
    setenv("CLGRAD_DEVICE", "no-such-platform", 1);
    TEST_FAILS(clg_context_create(&ctx, NULL), CLG_ERROR_NO_DEVICE, "no-such-platform");
    ck_assert_ptr_nonnull(strstr(clg_last_error(), "CLGRAD_DEVICE"));
    TEST_OK(clg_context_create(&ctx, clg_context_options(.device = "::0")));
    ck_assert_ptr_nonnull(strstr(clg_context_choice(ctx), "selected by \"::0\""));
    clg_context_destroy(ctx);
    unsetenv("CLGRAD_DEVICE");
    TEST_FAILS(clg_context_create(&ctx, clg_context_options(.device = "::no-such-name")),
               CLG_ERROR_NO_DEVICE, "there is:\n  ");
}
END_TEST

START_TEST(the_engine_follows_the_device_or_the_variable)
{
    static const struct {
        const char *value;
        clg_engine engine;
    } cases[] = {{"cpu", CLG_ENGINE_CPU}, {"gpu", CLG_ENGINE_GPU}};
    clg_context *ctx;
    for (size_t i = 0; i < CLG__COUNT(cases); i++) {
        setenv("CLGRAD_ENGINE", cases[i].value, 1);
        TEST_OK(clg_context_create(&ctx, NULL));
        ck_assert_int_eq(clg_context_engine(ctx), cases[i].engine);
        clg_context_destroy(ctx);
    }
    setenv("CLGRAD_ENGINE", "tpu", 1);
    TEST_FAILS(clg_context_create(&ctx, NULL), CLG_ERROR_ARGUMENT, "CLGRAD_ENGINE=tpu");
    unsetenv("CLGRAD_ENGINE");
    TEST_OK(clg_context_create(&ctx, NULL));
    ck_assert_int_eq(clg_context_engine(ctx), clg__platform_engine(clg_context_device(ctx)));
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(profiling_reaches_the_queue)
{
    clg_context *ctx;
    cl_command_queue_properties properties = 0;
    TEST_OK(clg_context_create(&ctx, clg_context_options(.profiling = true)));
    clGetCommandQueueInfo(clg_context_cl_queue(ctx), CL_QUEUE_PROPERTIES, sizeof properties,
                          &properties, NULL);
    ck_assert(properties & CL_QUEUE_PROFILING_ENABLE);
    ck_assert(!(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE));
    clg_context_destroy(ctx);
}
END_TEST

static int hooks_called;
static void count_hook(clg_context *ctx)
{
    ck_assert_ptr_nonnull(ctx->cl); /* still alive */
    hooks_called++;
}

START_TEST(the_last_reference_runs_the_hooks)
{
    clg_context *ctx;
    hooks_called = 0;
    TEST_OK(clg_context_create(&ctx, NULL));
    ctx->release_hooks[1] = count_hook;
    ctx->release_hooks[3] = count_hook;
    clg__context_retain(ctx);
    clg_context_destroy(ctx);
    ck_assert_int_eq(hooks_called, 0);
    TEST_OK(clg_context_finish(ctx));
    clg__context_release(ctx);
    ck_assert_int_eq(hooks_called, 2);
}
END_TEST

/* ---- the caller's OpenCL objects ---- */

typedef struct caller {
    cl_device_id device;
    cl_context cl;
    cl_command_queue queue;
} caller;

/* On the device that the library would pick. */
static caller new_caller(void)
{
    caller c;
    cl_int error;
    clg_context *ctx;
    TEST_OK(clg_context_create(&ctx, NULL));
    c.device = ctx->device;
    clg_context_destroy(ctx);
    c.cl = clCreateContext(NULL, 1, &c.device, NULL, NULL, &error);
    ck_assert_int_eq(error, CL_SUCCESS);
    c.queue = clCreateCommandQueue(c.cl, c.device, 0, &error);
    ck_assert_int_eq(error, CL_SUCCESS);
    return c;
}

static void free_caller(const caller *c)
{
    clReleaseCommandQueue(c->queue);
    clReleaseContext(c->cl);
}

static cl_uint references(cl_context cl)
{
    cl_uint count = 0;
    clGetContextInfo(cl, CL_CONTEXT_REFERENCE_COUNT, sizeof count, &count, NULL);
    return count;
}

START_TEST(the_callers_objects_are_used_and_given_back)
{
    caller c = new_caller();
    clg_context *ctx;
    cl_uint before = references(c.cl);
    TEST_OK(clg_context_from_cl(&ctx, c.cl, c.device, c.queue, NULL));
    ck_assert_ptr_eq(clg_context_cl(ctx), c.cl);
    ck_assert_ptr_eq(clg_context_cl_queue(ctx), c.queue);
    ck_assert_int_ge(clg_context_device(ctx)->device_index, 0);
    ck_assert_ptr_nonnull(strstr(clg_context_choice(ctx), "given by the caller"));
    clg_context_destroy(ctx);
    ck_assert_uint_eq(references(c.cl), before);
    TEST_OK(clg_context_from_cl(&ctx, c.cl, c.device, NULL, NULL));
    ck_assert_ptr_nonnull(clg_context_cl_queue(ctx));
    ck_assert_ptr_ne(clg_context_cl_queue(ctx), c.queue);
    clg_context_destroy(ctx);
    ck_assert_uint_eq(references(c.cl), before);
    free_caller(&c);
}
END_TEST

START_TEST(unsuitable_objects_are_refused)
{
    caller c = new_caller(), other = new_caller();
    clg_context *ctx = NULL;
    TEST_FAILS(clg_context_from_cl(&ctx, c.cl, c.device, other.queue, NULL), CLG_ERROR_ARGUMENT,
               "another");
    TEST_FAILS(
        clg_context_from_cl(&ctx, c.cl, c.device, c.queue, clg_context_options(.profiling = true)),
        CLG_ERROR_ARGUMENT, "CL_QUEUE_PROFILING_ENABLE");
    TEST_FAILS(
        clg_context_from_cl(&ctx, c.cl, c.device, c.queue, clg_context_options(.device = "pocl")),
        CLG_ERROR_ARGUMENT, "pocl");
    TEST_FAILS(clg_context_from_cl(&ctx, c.cl, &c, c.queue, NULL), CLG_ERROR_ARGUMENT,
               "not one of the 1 devices");
    TEST_FAILS(clg_context_from_cl(&ctx, NULL, c.device, NULL, NULL), CLG_ERROR_ARGUMENT, "NULL");
    ck_assert_ptr_null(ctx);
    free_caller(&c);
    free_caller(&other);
}
END_TEST

START_TEST(an_out_of_order_queue_is_refused)
{
    caller c = new_caller();
    clg_context *ctx = NULL;
    cl_int error;
    cl_command_queue queue =
        clCreateCommandQueue(c.cl, c.device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &error);
    if (error == CL_SUCCESS) {
        TEST_FAILS(clg_context_from_cl(&ctx, c.cl, c.device, queue, NULL), CLG_ERROR_ARGUMENT,
                   "out-of-order");
        clReleaseCommandQueue(queue);
    } else {
        TEST_SKIP("an out-of-order queue: the driver has none");
    }
    free_caller(&c);
}
END_TEST

/* ---- where the kernel cache belongs ---- */

static const char *cache_path(const char *requested)
{
    static char path[64], note[256];
    clg__cache_path(requested, path, sizeof path, note, sizeof note);
    ck_assert((path[0] == '\0') == (note[0] != '\0'));
    return path;
}

START_TEST(the_cache_follows_option_variable_and_xdg)
{
    static const char *const names[] = {"CLGRAD_CACHE_DIR", "XDG_CACHE_HOME", "HOME",
                                        "CLGRAD_CACHE"};
    char *saved[CLG__COUNT(names)], endless[200];
    for (size_t i = 0; i < CLG__COUNT(names); i++) {
        saved[i] = getenv(names[i]) ? strdup(getenv(names[i])) : NULL;
        unsetenv(names[i]);
    }
    ck_assert_str_eq(cache_path(NULL), "");
    setenv("HOME", "/home/x", 1);
    ck_assert_str_eq(cache_path(NULL), "/home/x/.cache/clgrad");
    setenv("XDG_CACHE_HOME", "relative", 1); /* which the XDG rules say to ignore */
    ck_assert_str_eq(cache_path(NULL), "/home/x/.cache/clgrad");
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    ck_assert_str_eq(cache_path(NULL), "/xdg/clgrad");
    setenv("CLGRAD_CACHE_DIR", "/own", 1);
    ck_assert_str_eq(cache_path(NULL), "/own");
    ck_assert_str_eq(cache_path("/option"), "/option");
    ck_assert_str_eq(cache_path(""), "");
    memset(endless, 'x', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    ck_assert_str_eq(cache_path(endless), "");
    setenv("CLGRAD_CACHE", "0", 1);
    ck_assert_str_eq(cache_path("/option"), "");
    for (size_t i = 0; i < CLG__COUNT(names); i++) {
        unsetenv(names[i]);
        if (saved[i]) setenv(names[i], saved[i], 1);
        free(saved[i]);
    }
}
END_TEST

/* Does a context have a cache when the environment names this folder, or none? */
static bool context_has_cache(const char *named, bool *platform_caches)
{
    clg_context *ctx = NULL;
    char *saved = getenv("CLGRAD_CACHE_DIR") ? strdup(getenv("CLGRAD_CACHE_DIR")) : NULL;
    unsetenv("CLGRAD_CACHE_DIR");
    if (named) setenv("CLGRAD_CACHE_DIR", named, 1);
    TEST_OK(clg_context_create(&ctx, NULL));
    bool has = ctx->cache_dir[0] != '\0';
    *platform_caches = clg__platform_caches(&ctx->info);
    clg_context_destroy(ctx);
    if (saved) setenv("CLGRAD_CACHE_DIR", saved, 1);
    free(saved);
    return has;
}

START_TEST(a_driver_that_caches_is_left_to_it_unless_a_folder_is_named)
{
    bool caches;
    unsetenv("CLGRAD_CACHE");
    setenv("HOME", "/nonexistent", 0);
    ck_assert(context_has_cache("/named", &caches));
    bool has = context_has_cache(NULL, &caches);
    ck_assert(has != caches);
}
END_TEST

/* ---- failures ---- */

START_TEST(error_codes_have_names_and_classes)
{
    static const struct {
        cl_int code;
        clg_status status;
        const char *name;
    } rows[] = {{-4, CLG_ERROR_MEMORY, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
                {-5, CLG_ERROR_MEMORY, "CL_OUT_OF_RESOURCES"},
                {-6, CLG_ERROR_MEMORY, "CL_OUT_OF_HOST_MEMORY"},
                {-61, CLG_ERROR_MEMORY, "CL_INVALID_BUFFER_SIZE"},
                {-11, CLG_ERROR_BUILD, "CL_BUILD_PROGRAM_FAILURE"},
                {-36, CLG_ERROR_OPENCL, "CL_INVALID_COMMAND_QUEUE"},
                {-1001, CLG_ERROR_NO_DEVICE, "CL_PLATFORM_NOT_FOUND_KHR"},
                {-9999, CLG_ERROR_OPENCL, "unknown OpenCL error"}};
    TEST_OK(clg__cl_status(0, "clFinish(queue)"));
    for (size_t i = 0; i < CLG__COUNT(rows); i++) {
        TEST_FAILS(clg__cl_status(rows[i].code, "clFinish(queue)"), rows[i].status, rows[i].name);
        ck_assert(strncmp(clg_last_error(), "clFinish failed:", 16) == 0);
    }
}
END_TEST

static clg_status create_both_kinds(const caller *c)
{
    clg_context *ctx, *adopted;
    CLG_TRY(clg_context_create(&ctx, NULL));
    clg_status status = clg_context_finish(ctx);
    if (status == CLG_OK) status = clg_context_from_cl(&adopted, c->cl, c->device, c->queue, NULL);
    if (status == CLG_OK) clg_context_destroy(adopted);
    clg_context_destroy(ctx);
    return status;
}

/* A failure on the way is either reported, or left a device or platform out; never leaked. */
static void fail_each(clg__fault_kind kind, const caller *c, int code, bool sticky)
{
    bool clean = false;
    for (uint64_t nth = 1; !clean; nth++) {
        clg__fault_set(kind, nth, sticky, code);
        clg_status status = create_both_kinds(c);
        clean = clg__fault_passed(kind) < nth;
        clg__fault_set(kind, 0, false, 0);
        ck_assert_int_eq(clg__live_allocations(), 0);
        ck_assert_int_eq(clg__live_objects(), 0);
        if (clean) TEST_OK(status);
        if (status != CLG_OK) ck_assert_str_ne(clg_last_error(), "");
        ck_assert_uint_lt(nth, 10000);
    }
}

START_TEST(every_failing_call_is_survived)
{
    static const int codes[] = {-4, -5, -6, -11, -36, -61};
    caller c = new_caller();
    cl_uint before = references(c.cl);
    for (size_t i = 0; i < CLG__COUNT(codes); i++) {
        fail_each(CLG__FAULT_OPENCL, &c, codes[i], false);
        fail_each(CLG__FAULT_OPENCL, &c, codes[i], true);
    }
    fail_each(CLG__FAULT_ALLOC, &c, 0, false);
    fail_each(CLG__FAULT_ALLOC, &c, 0, true);
    ck_assert_uint_eq(references(c.cl), before);
    free_caller(&c);
}
END_TEST

/* ---- other environments, in a child ---- */

/* Runs this executable with --list and one more variable; returns what it printed. */
static void list_in_child(const char *variable, char *output, size_t size)
{
    char self[4096], *arguments[] = {self, "--list", NULL}, *variables[4096];
    size_t n = 0, skip = (size_t)(strchr(variable, '=') - variable) + 1;
    for (char **v = environ; *v && n < 4000; v++)
        if (strncmp(*v, variable, skip) != 0) variables[n++] = *v;
    variables[n++] = (char *)variable;
    variables[n] = NULL;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    ck_assert_int_gt(length, 0);
    self[length] = '\0';
    int ends[2], status;
    pid_t child;
    posix_spawn_file_actions_t actions;
    ck_assert_int_eq(pipe(ends), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    ck_assert_int_eq(posix_spawn(&child, self, &actions, NULL, arguments, variables), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    size_t done = 0;
    for (ssize_t got; (got = read(ends[0], output + done, size - 1 - done)) > 0;)
        done += (size_t)got;
    output[done] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
}

static int list_devices(void)
{
    clg_device_info *list;
    size_t count = 0;
    clg_status status = clg_device_list(&list, &count);
    printf("status %d, %zu devices: %s\n", (int)status, count, clg_last_error());
    if (status == CLG_OK) clg_device_list_free(list);
    return 0;
}

START_TEST(without_a_platform_both_causes_are_named)
{
    char output[4096], expected[64];
    snprintf(expected, sizeof expected, "status %d,", (int)CLG_ERROR_NO_DEVICE);
    list_in_child("OCL_ICD_VENDORS=/nonexistent", output, sizeof output);
    ck_assert_msg(strstr(output, expected) != NULL, "%s", output);
    ck_assert_msg(strstr(output, "ICD") != NULL, "%s", output);
    ck_assert_msg(strstr(output, "POCL_CACHE_DIR") != NULL, "%s", output);
}
END_TEST

START_TEST(an_unwritable_pocl_cache_is_named)
{
    char output[4096];
    clg_device_info *list;
    size_t count, pocls = 0;
    TEST_OK(clg_device_list(&list, &count));
    for (size_t i = 0; i < count; i++) pocls += clg__contains(list[i].platform_version, "pocl");
    clg_device_list_free(list);
    if (pocls == 0 || pocls != count) {
        TEST_SKIP("an unwritable PoCL cache: PoCL is not the only platform");
        return;
    }
    list_in_child("POCL_CACHE_DIR=/proc/nonexistent", output, sizeof output);
    ck_assert_msg(strstr(output, "POCL_CACHE_DIR") != NULL, "%s", output);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) return list_devices();
    unsetenv("CLGRAD_DEVICE");
    unsetenv("CLGRAD_ENGINE");
    Suite *suite = suite_create("device");
    TCase *selection = testing_case(suite, "selection");
    tcase_add_test(selection, types_sizes_and_known_platforms_give_the_rank);
    tcase_add_test(selection, cpu_devices_get_the_cpu_engine_unless_known_better);
    tcase_add_test(selection, selectors_are_optional_substrings_without_case);
    tcase_add_test(selection, selectors_that_do_not_decide_list_what_there_is);
    tcase_add_test(selection, the_default_is_the_best_usable_device);
    tcase_add_test(selection, a_device_that_cannot_run_kernels_is_refused_with_the_reason);
    TCase *contexts = testing_case(suite, "contexts");
    tcase_add_test(contexts, devices_are_listed_best_first_with_clean_strings);
    tcase_add_test(contexts, a_context_says_what_it_is);
    tcase_add_test(contexts, the_option_wins_over_the_variable);
    tcase_add_test(contexts, the_engine_follows_the_device_or_the_variable);
    tcase_add_test(contexts, profiling_reaches_the_queue);
    tcase_add_test(contexts, the_last_reference_runs_the_hooks);
    tcase_add_test(contexts, the_callers_objects_are_used_and_given_back);
    tcase_add_test(contexts, unsuitable_objects_are_refused);
    tcase_add_test(contexts, an_out_of_order_queue_is_refused);
    tcase_add_test(contexts, the_cache_follows_option_variable_and_xdg);
    tcase_add_test(contexts, a_driver_that_caches_is_left_to_it_unless_a_folder_is_named);
    TCase *failures = testing_case(suite, "failures");
    tcase_add_test(failures, error_codes_have_names_and_classes);
    tcase_add_test(failures, every_failing_call_is_survived);
    tcase_add_test(failures, without_a_platform_both_causes_are_named);
    tcase_add_test(failures, an_unwritable_pocl_cache_is_named);
    return testing_run(suite);
}
