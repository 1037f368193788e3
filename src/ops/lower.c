/*
 * Recording of launches: see lower.h. Nothing here touches OpenCL; the first failure is kept in
 * the lowering, and every later call does nothing.
 */
#include "ops/lower.h"

static clg__launch *add_launch(clg__lowering *lo)
{
    if (lo->status != CLG_OK) return NULL;
    void *items = lo->launches;
    lo->status = clg__grow(&items, &lo->capacity, lo->n_launches + 1, sizeof *lo->launches);
    lo->launches = items;
    if (lo->status != CLG_OK) return NULL;
    clg__launch *launch = &lo->launches[lo->n_launches++];
    *launch = (clg__launch){.lowering = lo, .dims = 1, .global = {1, 1, 1}};
    return launch;
}

clg__launch *clg__lower_kernel(clg__lowering *lo, const char *file, const char *kernel,
                               const char *defines_format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, defines_format);
    int length = vsnprintf(text, sizeof text, defines_format, args);
    va_end(args);
    clg__launch *launch = add_launch(lo);
    if (!launch) return NULL;
    if (length < 0 || (size_t)length >= sizeof text) {
        clg__lower_fail(lo, CLG_ERROR_INTERNAL, "the defines of kernel %s are too long", kernel);
        return NULL;
    }
    launch->file = file;
    launch->kernel = kernel;
    launch->defines = clg__strdup(text);
    if (launch->defines) return launch;
    lo->status = CLG_ERROR_MEMORY;
    return NULL;
}

clg__launch *clg__lower_call(clg__lowering *lo, clg__host_call call)
{
    clg__launch *launch = add_launch(lo);
    if (launch) launch->call = call;
    return launch;
}

static void add_arg(clg__launch *launch, clg__arg arg)
{
    if (!launch) return;
    if (launch->n_args == CLG__MAX_ARGS)
        clg__lower_fail(launch->lowering, CLG_ERROR_INTERNAL, "kernel %s takes over %d arguments",
                        launch->kernel ? launch->kernel : "(host call)", CLG__MAX_ARGS);
    else
        launch->args[launch->n_args++] = arg;
}

void clg__launch_buffer(clg__launch *launch, clg__buffer_id buffer)
{
    add_arg(launch, (clg__arg){.kind = CLG__ARG_BUFFER, .buffer = buffer});
}

void clg__launch_buffer_at(clg__launch *launch, clg__buffer_id buffer, int64_t offset)
{
    add_arg(launch, (clg__arg){.kind = CLG__ARG_BUFFER, .buffer = buffer, .offset = offset});
}

void clg__launch_step(clg__launch *launch)
{
    add_arg(launch, (clg__arg){.kind = CLG__ARG_STEP});
}

static void add_bytes(clg__launch *launch, const void *value, size_t size)
{
    clg__arg arg = {.kind = CLG__ARG_BYTES, .size = size};
    memcpy(&arg.bytes, value, size);
    add_arg(launch, arg);
}

void clg__launch_int(clg__launch *launch, int64_t value)
{
    int32_t narrow = (int32_t)value;
    if (launch && narrow != value)
        clg__lower_fail(launch->lowering, CLG_ERROR_UNSUPPORTED,
                        "kernel %s: a size of %lld does not fit in 31 bits", launch->kernel,
                        (long long)value);
    add_bytes(launch, &narrow, sizeof narrow);
}

void clg__launch_long(clg__launch *launch, int64_t value)
{
    add_bytes(launch, &value, sizeof value);
}

void clg__launch_pair(clg__launch *launch, int64_t vertical, int64_t horizontal)
{
    const int32_t pair[2] = {(int32_t)vertical, (int32_t)horizontal};
    add_bytes(launch, pair, sizeof pair);
    if (launch && launch->n_args) launch->args[launch->n_args - 1].is_pair = true;
}

void clg__launch_float(clg__launch *launch, double value)
{
    float narrow = (float)value;
    add_bytes(launch, &narrow, sizeof narrow);
    if (launch && launch->n_args) launch->args[launch->n_args - 1].is_float = true;
}

void clg__launch_local(clg__launch *launch, size_t bytes)
{
    add_arg(launch, (clg__arg){.kind = CLG__ARG_LOCAL, .bytes = bytes});
}

void clg__launch_epilogue(clg__launch *launch)
{
    if (!launch) return;
    launch->epilogue = CLG__EPILOGUE_FUSED;
    launch->own_args = launch->n_args;
}

void clg__launch_plain(clg__launch *launch, clg__buffer_id to, int64_t columns)
{
    if (!launch) return;
    launch->epilogue = CLG__EPILOGUE_PLAIN;
    launch->own_args = launch->n_args;
    clg__launch_long(launch, columns);
    clg__launch_buffer(launch, to);
}

void clg__launch_range(clg__launch *launch, int dims, const size_t *global, const size_t *local)
{
    if (!launch) return;
    launch->dims = (cl_uint)dims;
    for (int i = 0; i < dims; i++) {
        launch->local[i] = local ? local[i] : 0;
        size_t step = launch->local[i] ? launch->local[i] : 1;
        launch->global[i] = (size_t)clg__round_up((int64_t)global[i], (int64_t)step);
    }
}

/* On GPUs the axes share 64 work-items in powers of 4, the last takes all that are left; on CPUs
 * each is a group. */
void clg__launch_spread(clg__launch *launch, int dims, const size_t *global)
{
    if (!launch) return;
    const clg_context *ctx = launch->lowering->ctx;
    size_t local[3], left = ctx->engine == CLG_ENGINE_CPU ? 1 : 64;
    while (left > ctx->info.max_work_group) left /= 4;
    for (int i = 0; i < dims - 1; i++) {
        for (local[i] = 1; local[i] < left && local[i] < global[i];) local[i] *= 4;
        left /= local[i];
    }
    local[dims - 1] = left;
    clg__launch_range(launch, dims, global, local);
    launch->any_local = true;
}

void clg__launch_work(clg__launch *launch, double flops, double bytes)
{
    if (!launch) return;
    launch->flops = flops;
    launch->bytes = bytes;
}

void clg__launch_strands(clg__launch *launch, int64_t extent, int64_t groups)
{
    if (!launch) return;
    launch->strand_extent = extent;
    launch->strand_groups = groups;
}

void clg__launch_touches(clg__launch *launch, int64_t unit, int64_t span, bool writes)
{
    if (!launch || launch->n_args == 0) return;
    clg__arg *arg = &launch->args[launch->n_args - 1];
    arg->touches = true;
    arg->writes = writes;
    arg->unit = unit;
    arg->span = span;
}

clg__buffer_id clg__lower_scratch(clg__lowering *lo, int64_t bytes)
{
    if (lo->n_scratch == (int)CLG__COUNT(lo->scratch)) {
        clg__lower_fail(lo, CLG_ERROR_INTERNAL, "an operation uses over %zu scratch areas",
                        CLG__COUNT(lo->scratch));
        return -1;
    }
    lo->scratch[lo->n_scratch++].size = bytes;
    return -lo->n_scratch;
}

clg__buffer_id clg__lower_prepared(clg__lowering *lo, int input, const char *layout, int64_t bytes,
                                   bool *make)
{
    *make = false;
    return lo->status == CLG_OK ? lo->prepare(lo, input, layout, bytes, make) : CLG__PREPARED;
}

void clg__launch_prepares(clg__launch *launch, clg__buffer_id buffer)
{
    if (launch) launch->prepares = buffer;
}

void clg__lower_fail(clg__lowering *lo, clg_status status, const char *format, ...)
{
    if (lo->status != CLG_OK) return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    lo->status = clg__fail(status, "%s", text);
}

void clg__lowering_free(clg__lowering *lo)
{
    for (size_t i = 0; i < lo->n_launches; i++) clg__free(lo->launches[i].defines);
    clg__free(lo->launches);
    lo->launches = NULL;
    lo->n_launches = lo->capacity = 0;
    lo->n_scratch = 0;
}
