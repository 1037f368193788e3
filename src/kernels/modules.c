/*
 * The modules of a context: built programs found by the hash of their source and options.
 *
 * clg__modules_get collects what is missing, loads it from disk or else compiles it, in parallel,
 * and only then answers. A program that was built stays, also when another one of the same call
 * fails.
 *
 * Compiled programs go to disk later (clg__modules_save). Measured with such a driver, 3 kernels:
 * asking for the binary right after the build costs 176 ms and saves the next process 540 ms;
 * asking after the kernels ran costs the same, not before the first step, and saves it 120 ms more,
 * because the binary then holds the kernels for the local sizes in use.
 */
#include "base/parallel.h"
#include "device/devices.h"
#include "kernels/build.h"
#include "kernels/directory.h"
#include "kernels/entry.h"

typedef struct cached_module {
    clg__module module;
    clg__str disk_key; /* of the entry on disk; "" when the disk cache is off */
    bool unsaved;      /* compiled and not written yet */
} cached_module;

struct clg__module_cache {
    cached_module **items;
    size_t count, capacity;
    bool disk;      /* the context's cache_dir may be used */
    bool announced; /* "compiling kernels" was said */
};

/* One program to make; `made` is allocated first, so that nothing fails after the build. */
typedef struct build_job {
    const clg__module_request *request;
    cached_module *made;
} build_job;

typedef struct build_jobs {
    clg_context *ctx;
    build_job *items;
    size_t count;
} build_jobs;

/* ---- the table ---- */

static void destroy_module(cached_module *module)
{
    if (!module) return;
    if (module->module.program) clReleaseProgram(module->module.program);
    clg__str_free(&module->disk_key);
    clg__free(module);
    clg__object_destroyed();
}

static void release_modules(clg_context *ctx)
{
    clg__modules_save(ctx);
    for (size_t i = 0; i < ctx->modules->count; i++) destroy_module(ctx->modules->items[i]);
    clg__free(ctx->modules->items);
    clg__free(ctx->modules);
    ctx->modules = NULL;
    clg__kernel_table_free(ctx->kernels);
    ctx->kernels = NULL;
}

static bool open_disk_cache(const clg_context *ctx)
{
    char why[512];
    if (!ctx->cache_dir[0]) return false;
    if (clg__directory_open(ctx->cache_dir, why, sizeof why)) return true;
    clg__log(CLG_LOG_WARNING, "the kernel cache is off: %s", why);
    return false;
}

static clg_status ensure_cache(clg_context *ctx)
{
    if (ctx->modules) return CLG_OK;
    ctx->modules = clg__calloc(1, sizeof *ctx->modules);
    if (!ctx->modules) return CLG_ERROR_MEMORY;
    ctx->modules->disk = open_disk_cache(ctx);
    ctx->release_modules = release_modules;
    return CLG_OK;
}

static clg__module *find_module(const clg_context *ctx, clg__hash128 key)
{
    for (size_t i = 0; i < ctx->modules->count; i++)
        if (clg__hash_equal(ctx->modules->items[i]->module.key, key))
            return &ctx->modules->items[i]->module;
    return NULL;
}

static clg__hash128 key_of(const clg__module_request *request)
{
    clg__hash128 parts[2] = {clg__hash(request->source, strlen(request->source)),
                             clg__hash(request->options, strlen(request->options))};
    return clg__hash(parts, sizeof parts);
}

/* ---- collecting jobs ---- */

static bool has_job(const build_jobs *jobs, clg__hash128 key)
{
    for (size_t i = 0; i < jobs->count; i++)
        if (clg__hash_equal(jobs->items[i].made->module.key, key)) return true;
    return false;
}

static clg_status add_job(build_jobs *jobs, const clg__module_request *request, clg__hash128 key)
{
    cached_module *made = clg__calloc(1, sizeof *made);
    if (!made) return CLG_ERROR_MEMORY;
    clg__object_created();
    made->module.key = key;
    jobs->items[jobs->count++] = (build_job){.request = request, .made = made};
    if (jobs->ctx->modules->disk) clg__entry_key(&made->disk_key, jobs->ctx, request);
    return made->disk_key.failed ? CLG_ERROR_MEMORY : CLG_OK;
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

/* ---- running them ---- */

/* Never fails: what cannot be loaded is compiled. */
static clg_status load_job(void *user, size_t index)
{
    build_jobs *jobs = user;
    build_job *job = &jobs->items[index];
    clg__entry entry;
    if (!clg__entry_read(&entry, jobs->ctx->cache_dir, &job->made->disk_key)) return CLG_OK;
    if (clg__program_load(&job->made->module.program, jobs->ctx, job->request, entry.payload,
                          entry.payload_size) != CLG_OK)
        clg__log(CLG_LOG_INFO, "kernel cache: the driver refuses \"%s\" (%s), compiling anew",
                 job->request->name, clg_last_error());
    clg__free(entry.data);
    return CLG_OK;
}

static clg_status compile_job(void *user, size_t index)
{
    build_jobs *jobs = user;
    build_job *job = &jobs->items[index];
    if (job->made->module.program) return CLG_OK; /* was loaded */
    CLG_TRY(clg__program_compile(&job->made->module.program, jobs->ctx, job->request));
    job->made->unsaved = jobs->ctx->modules->disk;
    return CLG_OK;
}

static size_t count_missing(const build_jobs *jobs)
{
    size_t missing = 0;
    for (size_t i = 0; i < jobs->count; i++) missing += !jobs->items[i].made->module.program;
    return missing;
}

static void announce(struct clg__module_cache *cache, size_t count)
{
    if (cache->announced || count == 0) return;
    cache->announced = true;
    clg__log(CLG_LOG_INFO, "compiling kernels (first run): %zu program%s", count,
             count == 1 ? "" : "s");
}

static clg_status for_jobs(build_jobs *jobs, clg_status (*work)(void *user, size_t index))
{
    if (!clg__platform_builds_serially(&jobs->ctx->info))
        return clg__parallel(jobs->count, work, jobs);
    for (size_t i = 0; i < jobs->count; i++) CLG_TRY(work(jobs, i));
    return CLG_OK;
}

static clg_status run_jobs(build_jobs *jobs)
{
    clg_context *ctx = jobs->ctx;
    if (ctx->modules->disk) CLG_TRY(for_jobs(jobs, load_job));
    size_t missing = count_missing(jobs);
    ctx->builds_loaded += jobs->count - missing;
    announce(ctx->modules, missing);
    clg_status status = for_jobs(jobs, compile_job);
    ctx->builds_compiled += missing - count_missing(jobs);
    return status;
}

/* Built modules move into the table, the others go. */
static void finish_jobs(build_jobs *jobs)
{
    struct clg__module_cache *cache = jobs->ctx->modules;
    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->items[i].made->module.program)
            cache->items[cache->count++] = jobs->items[i].made;
        else
            destroy_module(jobs->items[i].made);
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

/* ---- saving ---- */

static clg_status save_module(const clg_context *ctx, const cached_module *module)
{
    void *binary;
    size_t size;
    CLG_TRY(clg__program_binary(&binary, &size, ctx, module->module.program));
    clg_status status = clg__entry_write(ctx->cache_dir, &module->disk_key, binary, size);
    clg__free(binary);
    return status;
}

void clg__modules_save(clg_context *ctx)
{
    struct clg__module_cache *cache = ctx->modules;
    size_t saved = 0;
    if (!cache || !cache->disk) return;
    for (size_t i = 0; i < cache->count; i++) {
        if (!cache->items[i]->unsaved) continue;
        cache->items[i]->unsaved = false; /* one try: a full disk stays full */
        if (save_module(ctx, cache->items[i]) != CLG_OK) {
            clg__log(CLG_LOG_WARNING, "the kernel cache stays as it is: %s", clg_last_error());
            cache->disk = false;
            break;
        }
        saved++;
    }
    if (saved) clg__directory_trim(ctx->cache_dir, CLG__CACHE_LIMIT);
}

/* ---- kernels ---- */

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
