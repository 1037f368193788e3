/*
 * Device layer: find the OpenCL devices of this machine, pick one, and make a context on it.
 */
#ifndef CLGRAD_DEVICE_H
#define CLGRAD_DEVICE_H

#include "clgrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clg_device_type {
    CLG_DEVICE_CPU,
    CLG_DEVICE_GPU,
    CLG_DEVICE_ACCELERATOR
} clg_device_type;

/* Which family of kernels serves a device: register tiles per work-item, or local-memory tiles. */
typedef enum clg_engine { CLG_ENGINE_CPU, CLG_ENGINE_GPU } clg_engine;

/* What one device is and can do. Strings are trimmed and free of control characters. */
typedef struct clg_device_info {
    char platform[128]; /* CL_PLATFORM_NAME */
    char platform_version[128];
    char name[128]; /* CL_DEVICE_NAME */
    char vendor[128];
    char version[128]; /* CL_DEVICE_VERSION */
    char driver[64];   /* CL_DRIVER_VERSION */
    clg_device_type type;
    int platform_index; /* in clGetPlatformIDs order; -1 for a sub-device */
    int device_index;   /* within its platform; -1 for a sub-device */
    uint32_t compute_units;
    uint32_t clock_mhz;
    uint64_t global_memory;  /* bytes */
    uint64_t max_allocation; /* bytes in one buffer */
    uint64_t local_memory;   /* bytes per work-group */
    uint64_t cache_memory;   /* bytes of the cache in front of global memory; 0: none or unknown */
    size_t max_work_group;   /* work-items */
    size_t max_work_item[3];
    uint32_t float_vector_width; /* preferred, 0 if unknown */
    bool fma;                    /* fused multiply-adds of f32 are the device's own */
    uint32_t base_align_bytes;
    bool unified_memory; /* host and device share memory */
    bool has_fp16, has_fp64;
    bool usable;    /* false: never picked by default (see `note`) */
    char note[160]; /* why it is unusable or ranked low, "" otherwise */
    double score;   /* default ranking: higher first */
} clg_device_info;

/**
 * Lists the devices of all platforms, best first. *out is one block: free it with
 * clg_device_list_free, which is clg_free. No platform at all is CLG_ERROR_NO_DEVICE with the
 * likely causes.
 */
CLG_API clg_status clg_device_list(clg_device_info **out, size_t *count);
CLG_API void clg_device_list_free(clg_device_info *list);

/* One device with its command queue, kernel cache and memory accounting. */
typedef struct clg_context clg_context;

typedef struct clg_context_params {
    const char *device; /* PLATFORM:TYPE:NAME-OR-INDEX; NULL: $CLGRAD_DEVICE, else the best one */
    bool profiling;     /* record the time of every kernel (slower) */
    const char *cache_dir; /* kernel cache; NULL: $CLGRAD_CACHE_DIR, else by the XDG rules where the
                              driver keeps no compiled kernels itself; "" turns it off */
    uint64_t memory_limit; /* bytes this context may allocate; 0: what the device has */
} clg_context_params;
/** clg_context_params with the named fields set: clg_context_options(.device = "pocl:cpu") */
#define clg_context_options(...) CLG_OPTIONS(clg_context_params, __VA_ARGS__)

/**
 * Creates a context on the selected device. `params` may be NULL. No match, or several equal
 * matches: CLG_ERROR_NO_DEVICE with a list of what there is. Contexts are reference-counted inside:
 * graphs and programs keep theirs alive. A context is used by one thread at a time.
 */
CLG_API clg_status clg_context_create(clg_context **out, const clg_context_params *params);

/**
 * Same, on OpenCL objects of the caller: `cl_context`, `cl_device_id` and (may be NULL)
 * `cl_command_queue`, which must be in-order, and profiling if params->profiling is set. They are
 * retained, and released with the context. params->device must be NULL: the device is given.
 */
CLG_API clg_status clg_context_from_cl(clg_context **out, void *cl_context_handle, void *cl_device,
                                       void *cl_queue, const clg_context_params *params);
/**
 * Gives up the caller's reference; NULL is fine. The context goes when the last graph or program on
 * it has gone.
 */
CLG_API void clg_context_destroy(clg_context *ctx);

CLG_API const clg_device_info *clg_context_device(const clg_context *ctx);
CLG_API clg_engine clg_context_engine(const clg_context *ctx);
/** Why this device was picked, one line for people. Borrowed. */
CLG_API const char *clg_context_choice(const clg_context *ctx);
/** The cl_context, cl_command_queue of this context, borrowed (cast them). */
CLG_API void *clg_context_cl(const clg_context *ctx);
CLG_API void *clg_context_cl_queue(const clg_context *ctx);
/** Waits until everything enqueued so far is done. */
CLG_API clg_status clg_context_finish(clg_context *ctx);
/** Device bytes in use by this context now, and the most there ever were. */
CLG_API void clg_context_memory(const clg_context *ctx, uint64_t *used, uint64_t *peak);
/** Kernel programs compiled from source, and loaded from the disk cache, since creation. */
CLG_API void clg_context_builds(const clg_context *ctx, uint64_t *compiled, uint64_t *loaded);

/* ---- kernel cache on disk ---- */

typedef struct clg_cache_info {
    char directory[1024]; /* "" when the cache is off */
    char note[256];       /* why it is off, "" otherwise */
    uint64_t entries, bytes, limit_bytes;
} clg_cache_info;
/** Where the kernel cache is and what it holds; cache_dir as in clg_context_params. */
CLG_API clg_status clg_cache_query(const char *cache_dir, clg_cache_info *out);
/** Removes all entries (only files that clgrad wrote). */
CLG_API clg_status clg_cache_clear(const char *cache_dir, uint64_t *removed);

#ifdef __cplusplus
}
#endif
#endif
