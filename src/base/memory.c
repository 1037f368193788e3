/*
 * Counted host allocator, fault injection, growing arrays and strings, and hashing.
 *
 * The counters are what the tests' "no live objects" check reads; they are atomics because the
 * loader thread and the parallel kernel builds allocate too.
 */
#include <stdatomic.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/base.h"

static atomic_int_fast64_t live_allocations;
static atomic_int_fast64_t live_objects;

/* ---- fault injection ---- */

static struct {
    atomic_uint_fast64_t nth, passed;
    atomic_bool sticky;
} faults[CLG__FAULT_COUNT];
static atomic_int fault_opencl_code;

void clg__fault_set(clg__fault_kind kind, uint64_t nth, bool sticky, int code)
{
    faults[kind].nth = nth;
    faults[kind].sticky = sticky;
    faults[kind].passed = 0;
    if (kind == CLG__FAULT_OPENCL) fault_opencl_code = code;
}

uint64_t clg__fault_passed(clg__fault_kind kind)
{
    return faults[kind].passed;
}

bool clg__fault_hit(clg__fault_kind kind)
{
    uint64_t point = atomic_fetch_add(&faults[kind].passed, 1) + 1;
    uint64_t nth = faults[kind].nth;
    return nth && (point == nth || (faults[kind].sticky && point > nth));
}

int clg__fault_code(void)
{
    return fault_opencl_code;
}

/* ---- allocation ---- */

void *clg__realloc(void *old, size_t size)
{
    void *memory = clg__fault_hit(CLG__FAULT_ALLOC) ? NULL : realloc(old, size ? size : 1);
    if (!memory) {
        clg__fail(CLG_ERROR_MEMORY, "out of host memory (asked for %zu bytes)", size);
        return NULL;
    }
    if (!old) live_allocations++;
    return memory;
}

void *clg__alloc(size_t size)
{
    return clg__realloc(NULL, size);
}

void *clg__calloc(size_t count, size_t size)
{
    size_t total;
    if (!clg__mul_size(count, size, &total)) {
        clg__fail(CLG_ERROR_MEMORY, "%zu elements of %zu bytes do not fit in memory", count, size);
        return NULL;
    }
    void *memory = clg__alloc(total);
    if (memory) memset(memory, 0, total);
    return memory;
}

char *clg__strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = clg__alloc(size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

void clg__free(void *memory)
{
    if (!memory) return;
    live_allocations--;
    free(memory);
}

void clg_free(void *block)
{
    clg__free(block);
}

int64_t clg__live_allocations(void)
{
    return live_allocations;
}

clg_status clg__grow(void **items, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity) return CLG_OK;
    size_t count = *capacity ? *capacity : 8, bytes;
    while (count < needed) count *= 2;
    if (!clg__mul_size(count, size, &bytes))
        return clg__fail(CLG_ERROR_MEMORY, "an array of %zu elements is too large", count);
    void *grown = clg__realloc(*items, bytes);
    if (!grown) return CLG_ERROR_MEMORY;
    *items = grown;
    *capacity = count;
    return CLG_OK;
}

void clg__object_created(void)
{
    live_objects++;
}

void clg__object_destroyed(void)
{
    live_objects--;
}

int64_t clg__live_objects(void)
{
    return live_objects;
}

/* ---- strings ---- */

static bool str_reserve(clg__str *s, size_t extra)
{
    if (s->failed) return false;
    s->failed = clg__grow((void **)&s->text, &s->capacity, s->length + extra + 1, 1) != CLG_OK;
    return !s->failed;
}

void clg__str_addn(clg__str *s, const char *text, size_t length)
{
    if (!str_reserve(s, length)) return;
    memcpy(s->text + s->length, text, length);
    s->length += length;
    s->text[s->length] = '\0';
}

void clg__str_add(clg__str *s, const char *text)
{
    clg__str_addn(s, text, strlen(text));
}

void clg__str_addf(clg__str *s, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length >= 0 && str_reserve(s, (size_t)length)) {
        vsnprintf(s->text + s->length, (size_t)length + 1, format, again);
        s->length += (size_t)length;
    }
    va_end(again);
}

void clg__str_free(clg__str *s)
{
    clg__free(s->text);
    *s = (clg__str){0};
}

const char *clg__str_text(const clg__str *s)
{
    return s->text ? s->text : "";
}

/* ---- hashing ---- */

clg__hash128 clg__hash(const void *data, size_t size)
{
    XXH128_hash_t h = XXH3_128bits(data, size);
    return (clg__hash128){h.low64, h.high64};
}
