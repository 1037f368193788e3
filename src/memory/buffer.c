/*
 * Device buffers with accounting.
 *
 * Drivers say yes to more memory than there is (CPU devices allocate lazily), and the process is
 * killed when it touches it. So the context counts, and refuses before the driver is asked.
 */
#include "memory/buffer.h"

#if defined(__has_include) && __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

const char *clg__bytes_text(char *text, size_t size, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < CLG__COUNT(units)) {
        value /= 1024;
        unit++;
    }
    if (bytes < 1024)
        snprintf(text, size, "%u bytes", (unsigned)bytes);
    else
        snprintf(text, size, "%.1f %s", value, units[unit]);
    return text;
}

static clg_status check_limits(const clg_context *ctx, size_t size, const char *what)
{
    uint64_t left = ctx->memory_limit > ctx->memory_used ? ctx->memory_limit - ctx->memory_used : 0;
    if (size > ctx->info.max_allocation)
        return clg__fail(CLG_ERROR_MEMORY,
                         "%s: one buffer of %s (%zu bytes) asked for, but %s allows %s in one "
                         "buffer",
                         what, CLG__BYTES_TEXT(size), size, ctx->info.name,
                         CLG__BYTES_TEXT(ctx->info.max_allocation));
    if (size > left)
        return clg__fail(CLG_ERROR_MEMORY,
                         "%s: %s (%zu bytes) asked for, but %s of the limit of %s on %s are in "
                         "use",
                         what, CLG__BYTES_TEXT(size), size, CLG__BYTES_TEXT(ctx->memory_used),
                         CLG__BYTES_TEXT(ctx->memory_limit), ctx->info.name);
    return CLG_OK;
}

/*
 * Where a buffer lies in ordinary memory, asks the system for large pages: walking along the rows
 * of a matrix touches a page per row, more than the processor keeps translations for (measured: 2
 * to 4 % of a matrix product). It is advice: a system that does not take it is no error.
 */
static clg_status advise_large_pages(const clg__buffer *b)
{
#ifdef MADV_HUGEPAGE
    const size_t page = (size_t)2 << 20;
    const bool ordinary = b->ctx->engine == CLG_ENGINE_CPU && b->ctx->info.unified_memory;
    if (!ordinary || b->size < 2 * page) return CLG_OK;
    cl_command_queue queue = b->ctx->queue;
    cl_int error;
    char *start = NULL;
    CLG_TRY(CLG__CL_CREATE(start, error,
                           clEnqueueMapBuffer(queue, b->mem, CL_TRUE, CL_MAP_WRITE, 0, b->size, 0,
                                              NULL, NULL, &error)));
    size_t skip = (page - (uintptr_t)start % page) % page;
    (void)madvise(start + skip, (b->size - skip) / page * page, MADV_HUGEPAGE);
    return CLG__CL(clEnqueueUnmapMemObject(queue, b->mem, start, 0, NULL, NULL));
#else
    (void)b;
    return CLG_OK;
#endif
}

clg_status clg__buffer_create(clg__buffer **out, clg_context *ctx, size_t size, const char *what)
{
    if (size == 0) size = ctx->info.base_align_bytes ? ctx->info.base_align_bytes : 128;
    CLG_TRY(check_limits(ctx, size, what));
    clg__buffer *buffer = clg__calloc(1, sizeof *buffer);
    if (!buffer) return CLG_ERROR_MEMORY;
    cl_int error;
    clg_status status = CLG__CL_CREATE(
        buffer->mem, error, clCreateBuffer(ctx->cl, CL_MEM_READ_WRITE, size, NULL, &error));
    if (status != CLG_OK) {
        clg__free(buffer);
        return clg__fail_context(status, "%s: %s (%zu bytes) on %s", what, CLG__BYTES_TEXT(size),
                                 size, ctx->info.name);
    }
    buffer->ctx = clg__context_retain(ctx);
    buffer->keeps_context = true;
    buffer->size = size;
    ctx->memory_used += size;
    if (ctx->memory_used > ctx->memory_peak) ctx->memory_peak = ctx->memory_used;
    clg__object_created();
    status = advise_large_pages(buffer);
    if (status != CLG_OK)
        clg__buffer_destroy(buffer);
    else
        *out = buffer;
    return status;
}

void clg__buffer_destroy(clg__buffer *buffer)
{
    if (!buffer) return;
    clReleaseMemObject(buffer->mem);
    buffer->ctx->memory_used -= buffer->size;
    if (buffer->keeps_context) clg__context_release(buffer->ctx);
    clg__free(buffer);
    clg__object_destroyed();
}

void clg__buffer_give_to_context(clg__buffer *buffer)
{
    if (!buffer->keeps_context) return;
    buffer->keeps_context = false;
    clg__context_release(buffer->ctx);
}

static clg_status check_range(const clg__buffer *b, size_t offset, size_t size)
{
    if (offset <= b->size && size <= b->size - offset) return CLG_OK;
    return clg__fail(CLG_ERROR_INTERNAL,
                     "%zu bytes at offset %zu are outside a buffer of %zu bytes", size, offset,
                     b->size);
}

clg_status clg__buffer_write(clg__buffer *b, size_t offset, const void *data, size_t size)
{
    CLG_TRY(check_range(b, offset, size));
    if (size == 0) return CLG_OK;
    return CLG__CL(
        clEnqueueWriteBuffer(b->ctx->queue, b->mem, CL_TRUE, offset, size, data, 0, NULL, NULL));
}

clg_status clg__buffer_read(clg__buffer *b, size_t offset, void *data, size_t size)
{
    CLG_TRY(check_range(b, offset, size));
    if (size == 0) return CLG_OK;
    return CLG__CL(
        clEnqueueReadBuffer(b->ctx->queue, b->mem, CL_TRUE, offset, size, data, 0, NULL, NULL));
}

clg_status clg__buffer_fill_zero(clg__buffer *b, size_t offset, size_t size)
{
    static const cl_uint zeros[32]; /* the pattern size is at most 128 bytes */
    CLG_TRY(check_range(b, offset, size));
    if (size == 0) return CLG_OK;
    size_t pattern = sizeof zeros; /* the widest pattern that divides both: wide ones are faster */
    while (offset % pattern || size % pattern) pattern /= 2;
    return CLG__CL(
        clEnqueueFillBuffer(b->ctx->queue, b->mem, zeros, pattern, offset, size, 0, NULL, NULL));
}
