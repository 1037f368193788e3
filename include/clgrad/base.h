/*
 * Base layer: version, status codes, error messages, log callback.
 *
 * Every fallible function returns a clg_status; a human-readable message with the op, the shapes,
 * the device and what would help stays in the calling thread until the next failure there. NULL for
 * a pointer that is needed is CLG_ERROR_ARGUMENT; functions that return a value give NULL, "", 0 or
 * false then, and leave the message too. Builders are different (tensor.h): they pass the NULL of a
 * builder that failed on, so that its message is what stays.
 * The library never prints, exits or aborts.
 */
#ifndef CLGRAD_BASE_H
#define CLGRAD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CLG_API __attribute__((visibility("default")))
#define CLG_PRINTF(format_index, args_index)                                                       \
    __attribute__((format(printf, format_index, args_index)))
#else
#define CLG_API
#define CLG_PRINTF(format_index, args_index)
#endif

/*
 * What clg_graph_options(.batch = 64) and the like are made of: a struct whose fields are 0 where
 * they are not named, for the call that it is an argument of. C++ names fields since C++20 only, in
 * the order of their declaration, and not those inside of others: write .conv = {.groups = 2}.
 */
#ifdef __cplusplus
#define CLG_VALUE(type, ...) (type{__VA_ARGS__})
#define CLG_OPTIONS(type, ...) clg_cxx_options(type{__VA_ARGS__})
#else
#define CLG_VALUE(type, ...) ((type){__VA_ARGS__})
#define CLG_OPTIONS(type, ...) (&(type){__VA_ARGS__})
#endif

#define CLG_VERSION_MAJOR 0
#define CLG_VERSION_MINOR 1
#define CLG_VERSION_PATCH 0
#define CLG_VERSION_STRING "0.1.0"

/* One row per status: identifier, short description (clg_status_name and the docs come from it). */
#define CLG_STATUS_ROWS(X)                                                                         \
    X(OK, "success")                                                                               \
    X(ERROR_ARGUMENT, "invalid argument or shape")                                                 \
    X(ERROR_UNSUPPORTED, "not supported on this device or for this type")                          \
    X(ERROR_MEMORY, "out of host or device memory")                                                \
    X(ERROR_NO_DEVICE, "no usable OpenCL device")                                                  \
    X(ERROR_OPENCL, "an OpenCL call failed")                                                       \
    X(ERROR_BUILD, "a kernel failed to compile")                                                   \
    X(ERROR_IO, "a file could not be read or written")                                             \
    X(ERROR_FORMAT, "a file's content is malformed")                                               \
    X(ERROR_DIVERGED, "NaN or Inf appeared in the numbers")                                        \
    X(ERROR_INTERRUPTED, "stopped on request")                                                     \
    X(ERROR_INTERNAL, "a bug in clgrad: please report it")

typedef enum clg_status {
#define CLG_STATUS_ENUM(name, text) CLG_##name,
    CLG_STATUS_ROWS(CLG_STATUS_ENUM)
#undef CLG_STATUS_ENUM
        CLG_STATUS_COUNT
} clg_status;

/** Version of the library that is linked at run time, for example "0.1.0". */
CLG_API const char *clg_version(void);

/** Short description of a status, not its identifier: "invalid argument or shape"; never NULL. */
CLG_API const char *clg_status_name(clg_status status);

/**
 * Message of the last failure in this thread; "" if there was none. The pointer stays valid until
 * the next failure in the same thread.
 */
CLG_API const char *clg_last_error(void);

/** Frees a block that a function of the library handed over (text, rows, data). NULL is fine. */
CLG_API void clg_free(void *block);

/* Severity of a log message. */
typedef enum clg_log_level { CLG_LOG_DEBUG, CLG_LOG_INFO, CLG_LOG_WARNING } clg_log_level;

/** Receives log messages (one line, no newline). May be called from several threads at once. */
typedef void (*clg_log_fn)(void *user, clg_log_level level, const char *message);

/**
 * Installs the process-wide log callback; NULL (the default) drops messages. Not synchronized: set
 * it while no other thread is in the library.
 */
CLG_API void clg_log_set(clg_log_fn fn, void *user);

#ifdef __cplusplus
}

template <typename T> static inline const T *clg_cxx_options(const T &options)
{
    return &options;
}
#endif
#endif
