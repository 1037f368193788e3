/*
 * Internal base layer: failing with a message, the counted allocator, fault injection, checked
 * arithmetic, growing strings, and whole-file reading and atomic writing.
 *
 * Everything that can fail in the outside world (allocations, OpenCL calls, file system calls)
 * passes a fault point, so that tests can make the n-th one fail (tests/test_faults.c).
 */
#ifndef CLG_BASE_INTERNAL_H
#define CLG_BASE_INTERNAL_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clgrad/base.h"

/* ---- errors ---- */

/** Records the thread's message (printf style) and returns `status`: `return clg__fail(...)`. */
clg_status clg__fail(clg_status status, const char *format, ...) CLG_PRINTF(2, 3);

/** Puts "text: " in front of the thread's message; returns `status` unchanged. */
clg_status clg__fail_context(clg_status status, const char *format, ...) CLG_PRINTF(2, 3);

/** CLG_ERROR_ARGUMENT: an argument of this public function is NULL. */
clg_status clg__fail_null(const char *function);
/** Returns that status, or `result`, from the calling function unless the pointers are `given`. */
#define CLG__NEEDS(given) CLG__NEEDS_OR(CLG_ERROR_ARGUMENT, given)
#define CLG__NEEDS_OR(result, given)                                                               \
    do {                                                                                           \
        if (!(given)) {                                                                            \
            clg__fail_null(__func__);                                                              \
            return result;                                                                         \
        }                                                                                          \
    } while (0)

/** Returns from the calling function if `expression` is not CLG_OK. */
#define CLG_TRY(expression)                                                                        \
    do {                                                                                           \
        clg_status try_status = (expression);                                                      \
        if (try_status != CLG_OK) return try_status;                                               \
    } while (0)

void clg__log(clg_log_level level, const char *format, ...) CLG_PRINTF(2, 3);

/* ---- fault injection (tests only; off by default) ---- */

typedef enum clg__fault_kind {
    CLG__FAULT_ALLOC,  /* host allocations */
    CLG__FAULT_OPENCL, /* OpenCL calls */
    CLG__FAULT_FILE,   /* write, fsync, rename, open */
    CLG__FAULT_COUNT
} clg__fault_kind;

/**
 * The `nth` (from 1) fault point of `kind` fails; with `sticky` all later ones fail too. `code` is
 * the OpenCL error to report (ignored for the other kinds). nth = 0 turns it off.
 */
void clg__fault_set(clg__fault_kind kind, uint64_t nth, bool sticky, int code);
/** Number of fault points of `kind` passed since the last clg__fault_set. */
uint64_t clg__fault_passed(clg__fault_kind kind);
/** True if this fault point is to fail. Thread-safe. */
bool clg__fault_hit(clg__fault_kind kind);
/** The OpenCL error code that an injected OpenCL fault reports. */
int clg__fault_code(void);

/* ---- memory: malloc and friends, counted; zero-size requests give a valid pointer ---- */

void *clg__alloc(size_t size);                /* NULL on failure (message recorded) */
void *clg__calloc(size_t count, size_t size); /* zeroed; overflow-checked */
void *clg__realloc(void *old, size_t size);
char *clg__strdup(const char *text);
void clg__free(void *memory); /* NULL is fine */
/** Live host allocations of the library in this process: 0 when everything was destroyed. */
int64_t clg__live_allocations(void);

/**
 * Makes room for at least `needed` elements in a growing array: *items has *capacity elements of
 * `size` bytes. On failure both stay as they are.
 */
clg_status clg__grow(void **items, size_t *capacity, size_t needed, size_t size);

/* ---- live objects: every create/destroy pair of the API counts, tests assert zero ---- */

void clg__object_created(void);
void clg__object_destroyed(void);
/** Live API objects (contexts, graphs, programs, buffers, kernels ...). */
int64_t clg__live_objects(void);

/* ---- checked arithmetic: false on overflow, *out untouched ---- */

static inline bool clg__mul_size(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}
static inline bool clg__mul_i64(int64_t a, int64_t b, int64_t *out)
{
    int64_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}
static inline int64_t clg__min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t clg__max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
static inline int64_t clg__ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}
static inline int64_t clg__round_up(int64_t a, int64_t b)
{
    return clg__ceil_div(a, b) * b;
}
#define CLG__COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- growing strings: sticky on failure, checked once by clg__str_take or `.failed` ---- */

typedef struct clg__str {
    char *text; /* NUL-terminated once anything was appended; NULL before */
    size_t length, capacity;
    bool failed;
} clg__str;

void clg__str_add(clg__str *s, const char *text);
void clg__str_addn(clg__str *s, const char *text, size_t length);
void clg__str_addf(clg__str *s, const char *format, ...) CLG_PRINTF(2, 3);
void clg__str_free(clg__str *s);
/** Text so far, "" when empty. Borrowed. */
const char *clg__str_text(const clg__str *s);

/* ---- hashing (XXH3-128 through xxhash) ---- */

typedef struct clg__hash128 {
    uint64_t lo, hi;
} clg__hash128;
clg__hash128 clg__hash(const void *data, size_t size);
static inline bool clg__hash_equal(clg__hash128 a, clg__hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

/* ---- files ---- */

/**
 * Reads a whole file into *out (clg__free it; one NUL byte follows the data). Refuses files over
 * `max_size` and anything that is not a regular file, before allocating.
 */
clg_status clg__file_read(const char *path, size_t max_size, void **out, size_t *out_size);

/* A file being written next to its final name; nothing is visible at `path` before the commit. */
typedef struct clg__atomic_file clg__atomic_file;
/* How, as a mask. A name that a user gave is followed if it is a link, and a device or a pipe of
 * that name is written into. */
enum {
    CLG__FILE_DURABLE = 1, /* the commit syncs the directory, too, and not only the file */
    CLG__FILE_OURS = 2     /* a name that we chose: whatever is there is replaced, never opened */
};
clg_status clg__atomic_open(clg__atomic_file **out, const char *path, unsigned how);
clg_status clg__atomic_write(clg__atomic_file *file, const void *data, size_t size);
/** Flushes, renames over the final name, and frees `file` (also on failure; then the temp is gone).
 */
clg_status clg__atomic_commit(clg__atomic_file *file);
/** Removes the temporary file; NULL is fine. */
void clg__atomic_abort(clg__atomic_file *file);
/** open, write, commit in one call. */
clg_status clg__file_write_atomic(const char *path, const void *data, size_t size, unsigned how);

/** mkdir -p with mode; an existing directory is fine. */
clg_status clg__make_directories(const char *path, unsigned mode);
/** Adds the directory that a path is in: "a/b/" of "a/b/c", "." of a bare name. */
clg_status clg__directory_of(clg__str *directory, const char *path);

#endif
