/*
 * The limits of a device, measured: fused multiply-adds without memory, and memory without
 * arithmetic (cl/fma_peak.cl, cl/copy.cl).
 */
#include <time.h>

#include "clgrad/bench.h"
#include "kernels/kernels.h"
#include "memory/buffer.h"

enum { CHAINS = 10, RUNS = 9 };

/* One kernel to time. */
typedef struct probe {
    clg_context *ctx;
    cl_kernel kernel;
    size_t global, local; /* local 0: the driver chooses */
} probe;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static clg_status time_once(const probe *p, double *out)
{
    double start = seconds();
    CLG_TRY(CLG__CL(clEnqueueNDRangeKernel(p->ctx->queue, p->kernel, 1, NULL, &p->global,
                                           p->local ? &p->local : NULL, 0, NULL, NULL)));
    CLG_TRY(clg_context_finish(p->ctx));
    *out = seconds() - start;
    return CLG_OK;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median time of a launch, after one that is not counted. */
static clg_status time_median(const probe *p, double *out)
{
    double times[RUNS];
    CLG_TRY(time_once(p, &times[0]));
    for (int i = 0; i < RUNS; i++) CLG_TRY(time_once(p, &times[i]));
    qsort(times, RUNS, sizeof times[0], compare);
    *out = times[RUNS / 2];
    return CLG_OK;
}

static clg_status make_kernel(probe *p, const char *name, const char *options)
{
    clg__module_request request = {
        .name = name, .source = clg__kernel_file(name)->text, .options = options};
    CLG_TRY(clg__modules_get(p->ctx, &request, 1));
    return clg__kernel_create(&p->kernel, request.module, name);
}

static clg_status set_buffer(const probe *p, cl_uint index, const clg__buffer *buffer)
{
    return CLG__CL(clSetKernelArg(p->kernel, index, sizeof buffer->mem, &buffer->mem));
}

/* Doubles the rounds until a launch takes long enough for the clock and the launch's own cost. */
static clg_status measure_fma(probe *p, const clg__buffer *y, int width, double *gflops)
{
    double elapsed = 0;
    cl_int rounds = 256;
    CLG_TRY(set_buffer(p, 0, y));
    for (; elapsed < 4e-3 && rounds < 1 << 24; rounds *= 2) {
        CLG_TRY(CLG__CL(clSetKernelArg(p->kernel, 1, sizeof rounds, &rounds)));
        CLG_TRY(time_once(p, &elapsed));
    }
    rounds /= 2; /* what the last launch ran */
    CLG_TRY(time_median(p, &elapsed));
    *gflops = 2.0 * CHAINS * width * rounds * (double)p->global / elapsed * 1e-9;
    return CLG_OK;
}

static clg_status fma_limit(clg_context *ctx, double *gflops)
{
    const bool cpu = ctx->engine == CLG_ENGINE_CPU;
    const size_t units = ctx->info.compute_units ? ctx->info.compute_units : 1;
    const int width = cpu ? 16 : 4;
    probe p = {.ctx = ctx, .local = cpu ? 1 : 64};
    p.global = cpu ? 8 * units : 64 * 32 * units;
    char options[64];
    snprintf(options, sizeof options, "-DCHAINS=%d -DWIDTH=%d", CHAINS, width);
    clg__buffer *y = NULL;
    clg_status status = make_kernel(&p, "fma_peak", options);
    if (status == CLG_OK)
        status = clg__buffer_create(&y, ctx, p.global * (size_t)width * sizeof(float), "fma_peak");
    if (status == CLG_OK) status = measure_fma(&p, y, width, gflops);
    clg__buffer_destroy(y);
    if (p.kernel) clReleaseKernel(p.kernel);
    return status;
}

static clg_status measure_copy(probe *p, clg__buffer *x, const clg__buffer *y, double *gbytes)
{
    double elapsed = 0;
    CLG_TRY(clg__buffer_fill_zero(x, 0, x->size));
    CLG_TRY(set_buffer(p, 0, x));
    CLG_TRY(set_buffer(p, 1, y));
    CLG_TRY(time_median(p, &elapsed));
    *gbytes = 2.0 * (double)x->size / elapsed * 1e-9;
    return CLG_OK;
}

static clg_status copy_limit(clg_context *ctx, double *gbytes)
{
    /* larger than caches, unless the device is small */
    size_t size = (size_t)clg__min_i64(64 << 20, (int64_t)(ctx->info.max_allocation / 8));
    probe p = {.ctx = ctx, .global = size / (16 * sizeof(float)) / 64 * 64, .local = 64};
    size = p.global * 16 * sizeof(float);
    clg__buffer *x = NULL, *y = NULL;
    clg_status status = make_kernel(&p, "copy", "");
    if (status == CLG_OK) status = clg__buffer_create(&x, ctx, size, "copy");
    if (status == CLG_OK) status = clg__buffer_create(&y, ctx, size, "copy");
    if (status == CLG_OK) status = measure_copy(&p, x, y, gbytes);
    clg__buffer_destroy(x);
    clg__buffer_destroy(y);
    if (p.kernel) clReleaseKernel(p.kernel);
    return status;
}

clg_status clg_measure_limits(clg_context *ctx, double *fma_gflops, double *copy_gbytes)
{
    if (!ctx || !fma_gflops || !copy_gbytes)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_measure_limits: an argument is NULL");
    double gflops = 0, gbytes = 0;
    CLG_TRY(fma_limit(ctx, &gflops));
    CLG_TRY(copy_limit(ctx, &gbytes));
    *fma_gflops = gflops;
    *copy_gbytes = gbytes;
    return CLG_OK;
}
