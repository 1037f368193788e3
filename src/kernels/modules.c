/*
 * The modules of a context: built programs found by the hash of their source and options.
 *
 * clg__modules_get collects what is missing, builds that in parallel, and only then answers. A
 * program that was built stays, also when another one of the same call fails.
 */
#include "kernels/build.h"

struct clg__module_cache {
    clg__module **items;
    size_t count, capacity;
    bool announced; /* "compiling kernels" was said */
};

/* One program to make; `module` is allocated first, so that nothing fails after the build. */
typedef struct build_job {
    const clg__module_request *request;
    clg__module *module;
} build_job;

typedef struct build_jobs {
    clg_context *ctx;
    build_job *items;
    size_t count;
} build_jobs;

/* ---- the table ---- */

static void destroy_module(clg__module *module)
{
    if (!module) return;
    if (module->program) clReleaseProgram(module->program);
    clg__free(module);
    clg__object_destroyed();
}

static void release_modules(clg_context *ctx)
{
    for (size_t i = 0; i < ctx->modules->count; i++) destroy_module(ctx->modules->items[i]);
    clg__free(ctx->modules->items);
    clg__free(ctx->modules);
    ctx->modules = NULL;
}

static clg_status ensure_cache(clg_context *ctx)
{
    if (ctx->modules) return CLG_OK;
    ctx->modules = clg__calloc(1, sizeof *ctx->modules);
    if (!ctx->modules) return CLG_ERROR_MEMORY;
    ctx->release_modules = release_modules;
    return CLG_OK;
}

static clg__module *find_module(const clg_context *ctx, clg__hash128 key)
{
    for (size_t i = 0; i < ctx->modules->count; i++)
        if (clg__hash_equal(ctx->modules->items[i]->key, key)) return ctx->modules->items[i];
    return NULL;
}

static clg__hash128 key_of(const clg__module_request *request)
{
    clg__hash128 parts[2] = {clg__hash(request->source, strlen(request->source)),
                             clg__hash(request->options, strlen(request->options))};
    return clg__hash(parts, sizeof parts);
}

/* ---- jobs ---- */

static bool has_job(const build_jobs *jobs, clg__hash128 key)
{
    for (size_t i = 0; i < jobs->count; i++)
        if (clg__hash_equal(jobs->items[i].module->key, key)) return true;
    return false;
}

static clg_status add_job(build_jobs *jobs, const clg__module_request *request, clg__hash128 key)
{
    clg__module *module = clg__calloc(1, sizeof *module);
    if (!module) return CLG_ERROR_MEMORY;
    clg__object_created();
    module->key = key;
    jobs->items[jobs->count++] = (build_job){.request = request, .module = module};
    return CLG_OK;
}

/* What neither memory nor an earlier request of the same call has; room for it in the table. */
static clg_status collect_jobs(build_jobs *jobs, const clg__module_request *requests, size_t count)
{
    struct clg__module_cache *cache = jobs->ctx->modules;
    for (size_t i = 0; i < count; i++) {
        clg__hash128 key = key_of(&requests[i]);
        if (find_module(jobs->ctx, key) || has_job(jobs, key)) continue;
        CLG_TRY(add_job(jobs, &requests[i], key));
    }
    return clg__grow((void **)&cache->items, &cache->capacity, cache->count + jobs->count,
                     sizeof *cache->items);
}

static clg_status compile_job(void *user, size_t index)
{
    build_jobs *jobs = user;
    build_job *job = &jobs->items[index];
    return clg__program_compile(&job->module->program, jobs->ctx, job->request);
}

static void announce(clg_context *ctx, size_t count)
{
    if (ctx->modules->announced || count == 0) return;
    ctx->modules->announced = true;
    clg__log(CLG_LOG_INFO, "compiling kernels (first run): %zu program%s", count,
             count == 1 ? "" : "s");
}

static clg_status run_jobs(build_jobs *jobs)
{
    announce(jobs->ctx, jobs->count);
    return clg__parallel(jobs->count, compile_job, jobs);
}

/* Built modules move into the table, the others go. */
static void finish_jobs(build_jobs *jobs)
{
    struct clg__module_cache *cache = jobs->ctx->modules;
    for (size_t i = 0; i < jobs->count; i++) {
        clg__module *module = jobs->items[i].module;
        if (module->program) {
            cache->items[cache->count++] = module;
            jobs->ctx->builds_compiled++;
        } else {
            destroy_module(module);
        }
    }
    clg__free(jobs->items);
}

clg_status clg__modules_get(clg_context *ctx, clg__module_request *requests, size_t count)
{
    CLG_TRY(ensure_cache(ctx));
    build_jobs jobs = {.ctx = ctx, .items = clg__calloc(count, sizeof *jobs.items)};
    if (!jobs.items) return CLG_ERROR_MEMORY;
    clg_status status = collect_jobs(&jobs, requests, count);
    if (status == CLG_OK) status = run_jobs(&jobs);
    finish_jobs(&jobs);
    if (status != CLG_OK) return status;
    for (size_t i = 0; i < count; i++) requests[i].module = find_module(ctx, key_of(&requests[i]));
    return CLG_OK;
}

clg_status clg__kernel_create(cl_kernel *out, const clg__module *module, const char *kernel_name)
{
    cl_int error;
    cl_kernel kernel = NULL;
    clg_status status =
        CLG__CL_CREATE(kernel, error, clCreateKernel(module->program, kernel_name, &error));
    if (status != CLG_OK) return clg__fail_context(status, "kernel \"%s\"", kernel_name);
    *out = kernel;
    return CLG_OK;
}
