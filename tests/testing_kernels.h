/*
 * What the tests of kernels and of their cache share: a fresh cache directory for each test,
 * programs that fill a buffer with a number, and counting log messages.
 */
#ifndef CLG_TESTING_KERNELS_H
#define CLG_TESTING_KERNELS_H

#include <dirent.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "memory/buffer.h"
#include "testing.h"

/* ---- a fresh cache directory for each test ---- */

static char directory[256]; /* below $TMPDIR */

static inline void make_directory(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/clgrad-test-XXXXXX", parent ? parent : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

/* Calls visit(path) for every file of the directory; returns how many there are. */
static inline size_t for_each_file(int (*visit)(const char *path))
{
    size_t count = 0;
    DIR *stream = opendir(directory);
    for (struct dirent *item; stream && (item = readdir(stream));) {
        char path[1024];
        if (item->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", directory, item->d_name);
        count++;
        if (visit) ck_assert_int_eq(visit(path), 0);
    }
    if (stream) closedir(stream);
    return count;
}

static inline void remove_directory(void)
{
    for_each_file(remove);
    rmdir(directory);
}

/* ---- requests ---- */

/* y[i] = value; every value is a program of its own. */
static char sources[8][160];
static inline clg__module_request request_of(int slot, int value)
{
    snprintf(sources[slot], sizeof sources[slot],
             "__kernel void fill(__global float *y) { y[get_global_id(0)] = %d; }\n"
             "__kernel void unused(__global float *y) { y[0] = 1; }\n",
             value);
    return (clg__module_request){.name = "fill", .source = sources[slot], .options = ""};
}

static inline clg_status create_context(clg_context **out)
{
    return clg_context_create(out, clg_context_options(.cache_dir = directory));
}

static inline clg_context *new_context(void)
{
    clg_context *ctx = NULL;
    TEST_OK(create_context(&ctx));
    return ctx;
}

static inline clg_status launch(clg_context *ctx, cl_kernel kernel, clg__buffer *buffer)
{
    size_t items = 8;
    CLG_TRY(CLG__CL(clSetKernelArg(kernel, 0, sizeof buffer->mem, &buffer->mem)));
    return CLG__CL(
        clEnqueueNDRangeKernel(ctx->queue, kernel, 1, NULL, &items, &items, 0, NULL, NULL));
}

static inline clg_status run_fill(clg_context *ctx, const clg__module *module, float out[8])
{
    clg__buffer *buffer;
    cl_kernel kernel;
    CLG_TRY(clg__buffer_create(&buffer, ctx, 8 * sizeof(float), "result"));
    clg_status status = clg__kernel_create(&kernel, module, "fill");
    if (status == CLG_OK) {
        status = launch(ctx, kernel, buffer);
        clReleaseKernel(kernel);
    }
    if (status == CLG_OK) status = clg__buffer_read(buffer, 0, out, 8 * sizeof(float));
    clg__buffer_destroy(buffer);
    return status;
}

static inline void check_fill(clg_context *ctx, const clg__module *module, int value)
{
    float out[8] = {0};
    TEST_OK(run_fill(ctx, module, out));
    for (int i = 0; i < 8; i++) ck_assert_float_eq(out[i], (float)value);
}

static inline void check_builds(const clg_context *ctx, uint64_t compiled, uint64_t loaded)
{
    uint64_t c, l;
    clg_context_builds(ctx, &c, &l);
    ck_assert_msg(c == compiled && l == loaded, "%d compiled, %d loaded; expected %d and %d",
                  (int)c, (int)l, (int)compiled, (int)loaded);
}

/* One context that uses one program and goes: what a process does. */
static inline void use_one_program(int value, uint64_t compiled, uint64_t loaded)
{
    clg_context *ctx = new_context();
    clg__module_request request = request_of(0, value);
    TEST_OK(clg__modules_get(ctx, &request, 1));
    check_fill(ctx, request.module, value);
    check_builds(ctx, compiled, loaded);
    clg_context_destroy(ctx);
}

/* ---- log ---- */

static int infos, warnings;
static char last_warning[512];

static inline void count_messages(void *user, clg_log_level level, const char *message)
{
    infos += level == CLG_LOG_INFO;
    warnings += level == CLG_LOG_WARNING;
    if (level == CLG_LOG_WARNING) snprintf(last_warning, sizeof last_warning, "%s", message);
}

static inline void start_counting(void)
{
    infos = warnings = 0;
    clg_log_set(count_messages, NULL);
}

#endif
