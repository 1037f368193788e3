/*
 * Internal view of a context, and the checked way to call OpenCL.
 */
#ifndef CLG_CONTEXT_INTERNAL_H
#define CLG_CONTEXT_INTERNAL_H

#include <CL/cl.h>

#include "base/base.h"
#include "clgrad/device.h"

struct clg__module_cache; /* kernels layer */
struct clg__kernel_table; /* kernels layer */

struct clg_context {
    int references;
    cl_device_id device;
    cl_context cl;
    cl_command_queue queue;
    clg_device_info info;
    clg_engine engine; /* by device (quirks.c); $CLGRAD_ENGINE=cpu|gpu overrides */
    bool profiling;
    uint64_t memory_limit, memory_used, memory_peak;
    char cache_dir[1024]; /* "" = off */
    char choice[512];
    struct clg__module_cache *modules;
    struct clg__kernel_table *kernels;                /* what programs have built (registry.c) */
    void (*release_modules)(struct clg_context *ctx); /* set by the kernels layer */
    void (*release_hooks[4])(
        struct clg_context *ctx); /* other layers' clean-up, NULL = free slot */
    void *blas;                   /* state of the CLBlast binding (ops layer) */
    struct clg__tuning *tuning;   /* ops layer; NULL before clg__tuning_load */
    uint64_t builds_compiled, builds_loaded;
};

clg_context *clg__context_retain(clg_context *ctx);
void clg__context_release(clg_context *ctx);
/** Has `hook` called when the context is released. */
clg_status clg__context_on_release(clg_context *ctx, void (*hook)(clg_context *ctx));

/**
 * Waits until all that was enqueued is done. Not clFinish: Mesa's rusticl (22.3) returns from it
 * while kernels still run, and a process that ends while it compiles one crashes.
 */
cl_int clg__wait_for_queue(cl_command_queue queue);

/** Text of an OpenCL error code: "CL_OUT_OF_RESOURCES". */
const char *clg__cl_error_name(cl_int error);

/** Turns an OpenCL result into a status: memory errors -> CLG_ERROR_MEMORY, others -> _OPENCL. */
clg_status clg__cl_status(cl_int error, const char *call);

/**
 * CLG_TRY(CLG__CL(clFinish(queue))): calls OpenCL through the fault point. The call is not made
 * when the fault hits. clRelease* are called directly: they have no failure to handle, and one that
 * is not made is a leak.
 */
#define CLG__CL(call)                                                                              \
    clg__cl_status(clg__fault_hit(CLG__FAULT_OPENCL) ? clg__fault_code() : (call), #call)

/**
 * Same, for calls that return a handle and report through an error pointer; `handle` stays as it
 * is when the fault hits:
 *     cl_int error;
 *     CLG_TRY(CLG__CL_CREATE(mem, error, clCreateBuffer(cl, flags, size, NULL, &error)));
 */
#define CLG__CL_CREATE(handle, error, call)                                                        \
    clg__cl_status(clg__fault_hit(CLG__FAULT_OPENCL) ? clg__fault_code()                           \
                                                     : ((handle) = (call), (error)),               \
                   #call)

#endif
