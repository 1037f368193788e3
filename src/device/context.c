/*
 * Contexts: one device with its in-order queue, limits and environment settings.
 *
 * A context is reference-counted so that graphs and programs can outlive the caller's destroy; the
 * count is a plain int because a context belongs to one thread at a time. Upper layers hang their
 * state on it and register a hook to free it (blas, modules).
 */
#include <stdlib.h>

#include "device/cache_path.h"
#include "device/devices.h"

/* ---- life ---- */

static void release_handles(clg_context *ctx)
{
    if (ctx->queue) clReleaseCommandQueue(ctx->queue);
    if (ctx->cl) clReleaseContext(ctx->cl);
    clg__free(ctx);
}

clg_context *clg__context_retain(clg_context *ctx)
{
    ctx->references++;
    return ctx;
}

void clg__context_release(clg_context *ctx)
{
    if (!ctx || --ctx->references > 0) return;
    for (size_t i = 0; i < CLG__COUNT(ctx->release_hooks); i++)
        if (ctx->release_hooks[i]) ctx->release_hooks[i](ctx);
    if (ctx->release_modules) ctx->release_modules(ctx);
    release_handles(ctx);
    clg__object_destroyed();
}

clg_status clg__context_on_release(clg_context *ctx, void (*hook)(clg_context *ctx))
{
    size_t slot = 0;
    while (slot < CLG__COUNT(ctx->release_hooks) && ctx->release_hooks[slot]) slot++;
    if (slot == CLG__COUNT(ctx->release_hooks))
        return clg__fail(CLG_ERROR_INTERNAL, "no free release hook");
    ctx->release_hooks[slot] = hook;
    return CLG_OK;
}

void clg_context_destroy(clg_context *ctx)
{
    clg__context_release(ctx);
}

/* ---- settings ---- */

static clg_status choose_engine(clg_context *ctx)
{
    const char *wanted = getenv("CLGRAD_ENGINE");
    if (!wanted || !wanted[0])
        ctx->engine = clg__platform_engine(&ctx->info);
    else if (strcmp(wanted, "cpu") == 0)
        ctx->engine = CLG_ENGINE_CPU;
    else if (strcmp(wanted, "gpu") == 0)
        ctx->engine = CLG_ENGINE_GPU;
    else
        return clg__fail(CLG_ERROR_ARGUMENT, "CLGRAD_ENGINE=%s: must be cpu or gpu", wanted);
    return CLG_OK;
}

/* Beside a driver that keeps compiled kernels itself there is a cache only where one was named. */
static void choose_cache(clg_context *ctx, const clg_context_params *params)
{
    char note[256];
    bool named = params->cache_dir || getenv("CLGRAD_CACHE_DIR");
    if (!named && clg__platform_caches(&ctx->info)) return; /* cache_dir stays "": off */
    clg__cache_path(params->cache_dir, ctx->cache_dir, sizeof ctx->cache_dir, note, sizeof note);
}

static clg_status apply_params(clg_context *ctx, const clg_context_params *params)
{
    ctx->profiling = params->profiling;
    ctx->memory_limit = ctx->info.global_memory;
    if (params->memory_limit && params->memory_limit < ctx->memory_limit)
        ctx->memory_limit = params->memory_limit;
    CLG_TRY(choose_engine(ctx));
    choose_cache(ctx, params);
    return CLG_OK;
}

/* ---- OpenCL objects ---- */

static clg_status create_cl_context(clg_context *ctx)
{
    cl_int error;
    cl_platform_id platform;
    CLG_TRY(CLG__CL(
        clGetDeviceInfo(ctx->device, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL)));
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
    return CLG__CL_CREATE(ctx->cl, error,
                          clCreateContext(properties, 1, &ctx->device, NULL, NULL, &error));
}

static clg_status create_queue(clg_context *ctx)
{
    cl_int error;
    cl_command_queue_properties properties = ctx->profiling ? CL_QUEUE_PROFILING_ENABLE : 0;
    return CLG__CL_CREATE(ctx->queue, error,
                          clCreateCommandQueue(ctx->cl, ctx->device, properties, &error));
}

/* Shared tail of both creators: gives *out the finished context, or frees the half-built one. */
static clg_status finish_creation(clg_context **out, clg_context *ctx, clg_status status)
{
    if (status != CLG_OK) {
        release_handles(ctx);
        return status;
    }
    ctx->references = 1;
    clg__object_created();
    *out = ctx;
    return CLG_OK;
}

/* ---- on a selected device ---- */

static clg_status pick_device(clg_context *ctx, const clg_context_params *params)
{
    clg__device_entry *entries;
    const clg__device_entry *picked;
    size_t count;
    clg__device_wish wish = {getenv("CLGRAD_DEVICE"), "CLGRAD_DEVICE"};
    if (params->device) wish = (clg__device_wish){params->device, "device option"};
    CLG_TRY(clg__devices_find(&entries, &count));
    clg_status status = clg__device_select(&picked, entries, count, &wish);
    if (status == CLG_OK) {
        clg__device_choice(ctx->choice, sizeof ctx->choice, picked, count, &wish);
        ctx->device = picked->id;
        ctx->info = picked->info;
    }
    clg__free(entries);
    return status;
}

static clg_status build_selected(clg_context *ctx, const clg_context_params *params)
{
    CLG_TRY(pick_device(ctx, params));
    CLG_TRY(apply_params(ctx, params));
    CLG_TRY(create_cl_context(ctx));
    return create_queue(ctx);
}

clg_status clg_context_create(clg_context **out, const clg_context_params *params)
{
    static const clg_context_params defaults;
    if (!out) return clg__fail(CLG_ERROR_ARGUMENT, "clg_context_create: NULL result");
    clg_context *ctx = clg__calloc(1, sizeof *ctx);
    if (!ctx) return CLG_ERROR_MEMORY;
    return finish_creation(out, ctx, build_selected(ctx, params ? params : &defaults));
}

/* ---- on the caller's objects ---- */

static clg_status check_device_of(cl_context cl, cl_device_id device)
{
    cl_device_id ids[64];
    size_t size;
    CLG_TRY(CLG__CL(clGetContextInfo(cl, CL_CONTEXT_DEVICES, sizeof ids, ids, &size)));
    for (size_t i = 0; i < size / sizeof ids[0]; i++)
        if (ids[i] == device) return CLG_OK;
    return clg__fail(CLG_ERROR_ARGUMENT,
                     "clg_context_from_cl: the device is not one of the %zu "
                     "devices of the cl_context",
                     size / sizeof ids[0]);
}

static clg_status check_queue(clg_context *ctx, cl_command_queue queue)
{
    cl_command_queue_properties properties;
    cl_context cl;
    cl_device_id device;
    CLG_TRY(CLG__CL(clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof cl, &cl, NULL)));
    CLG_TRY(CLG__CL(clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL)));
    CLG_TRY(CLG__CL(
        clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL)));
    if (cl != ctx->cl || device != ctx->device)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_context_from_cl: the queue belongs to another "
                                             "cl_context or device than the ones given");
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_context_from_cl: the queue is out-of-order; "
                         "clgrad relies on the order of its commands: give an in-order one");
    if (ctx->profiling && !(properties & CL_QUEUE_PROFILING_ENABLE))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_context_from_cl: profiling was asked for, but "
                         "the queue was created without CL_QUEUE_PROFILING_ENABLE");
    return CLG_OK;
}

static clg_status adopt_queue(clg_context *ctx, cl_command_queue queue)
{
    if (!queue) return create_queue(ctx);
    CLG_TRY(check_queue(ctx, queue));
    CLG_TRY(CLG__CL(clRetainCommandQueue(queue)));
    ctx->queue = queue;
    return CLG_OK;
}

/* Indices and score come from the enumeration, which a sub-device is not part of. */
static void copy_listed_info(clg_context *ctx)
{
    clg__device_entry *entries;
    size_t count;
    if (clg__devices_find(&entries, &count) != CLG_OK) return;
    for (size_t i = 0; i < count; i++)
        if (entries[i].id == ctx->device) ctx->info = entries[i].info;
    clg__free(entries);
}

static clg_status build_adopted(clg_context *ctx, cl_context cl, cl_device_id device,
                                cl_command_queue queue, const clg_context_params *params)
{
    clg__device_entry entry;
    CLG_TRY(check_device_of(cl, device));
    CLG_TRY(clg__device_describe(&entry, device));
    if (entry.broken)
        return clg__fail(CLG_ERROR_NO_DEVICE, "the device %s cannot be used: %s", entry.info.name,
                         entry.info.note);
    ctx->device = device;
    ctx->info = entry.info;
    copy_listed_info(ctx);
    snprintf(ctx->choice, sizeof ctx->choice, "%s on %s: given by the caller", ctx->info.name,
             ctx->info.platform);
    CLG_TRY(apply_params(ctx, params));
    CLG_TRY(CLG__CL(clRetainContext(cl)));
    ctx->cl = cl;
    return adopt_queue(ctx, queue);
}

clg_status clg_context_from_cl(clg_context **out, void *cl_context_handle, void *cl_device,
                               void *cl_queue, const clg_context_params *params)
{
    static const clg_context_params defaults;
    if (!params) params = &defaults;
    if (!out || !cl_context_handle || !cl_device)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_context_from_cl: NULL result, cl_context or device");
    if (params->device)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_context_from_cl: the device is given, \"%s\" "
                         "cannot select another",
                         params->device);
    clg_context *ctx = clg__calloc(1, sizeof *ctx);
    if (!ctx) return CLG_ERROR_MEMORY;
    return finish_creation(out, ctx,
                           build_adopted(ctx, cl_context_handle, cl_device, cl_queue, params));
}

/* ---- queries ---- */

const clg_device_info *clg_context_device(const clg_context *ctx)
{
    CLG__NEEDS_OR(NULL, ctx);
    return &ctx->info;
}

clg_engine clg_context_engine(const clg_context *ctx)
{
    CLG__NEEDS_OR(CLG_ENGINE_CPU, ctx);
    return ctx->engine;
}

const char *clg_context_choice(const clg_context *ctx)
{
    CLG__NEEDS_OR("", ctx);
    return ctx->choice;
}

void *clg_context_cl(const clg_context *ctx)
{
    CLG__NEEDS_OR(NULL, ctx);
    return ctx->cl;
}

void *clg_context_cl_queue(const clg_context *ctx)
{
    CLG__NEEDS_OR(NULL, ctx);
    return ctx->queue;
}

cl_int clg__wait_for_queue(cl_command_queue queue)
{
    cl_event event = NULL;
    cl_int error = clEnqueueMarkerWithWaitList(queue, 0, NULL, &event);
    if (error != CL_SUCCESS) return error;
    error = clWaitForEvents(1, &event);
    clReleaseEvent(event);
    return error;
}

clg_status clg_context_finish(clg_context *ctx)
{
    CLG__NEEDS(ctx);
    return CLG__CL(clg__wait_for_queue(ctx->queue));
}

void clg_context_memory(const clg_context *ctx, uint64_t *used, uint64_t *peak)
{
    if (used) *used = 0;
    if (peak) *peak = 0;
    CLG__NEEDS_OR(, ctx);
    if (used) *used = ctx->memory_used;
    if (peak) *peak = ctx->memory_peak;
}

void clg_context_builds(const clg_context *ctx, uint64_t *compiled, uint64_t *loaded)
{
    if (compiled) *compiled = 0;
    if (loaded) *loaded = 0;
    CLG__NEEDS_OR(, ctx);
    if (compiled) *compiled = ctx->builds_compiled;
    if (loaded) *loaded = ctx->builds_loaded;
}
