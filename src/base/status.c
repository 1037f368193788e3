/*
 * Status codes, the per-thread error message, and the log callback.
 *
 * The message lives in thread-local storage of fixed size: recording a failure never allocates, so
 * that it works when memory is what ran out.
 */
#include "base/base.h"

enum { MESSAGE_SIZE = 4096 };

static _Thread_local char error_message[MESSAGE_SIZE];
static clg_log_fn log_callback;
static void *log_user;

const char *clg_version(void)
{
    return CLG_VERSION_STRING;
}

const char *clg_status_name(clg_status status)
{
    static const char *const names[] = {
#define STATUS_TEXT(name, text) text,
        CLG_STATUS_ROWS(STATUS_TEXT)
#undef STATUS_TEXT
    };
    return (unsigned)status < CLG_STATUS_COUNT ? names[status] : "unknown status";
}

const char *clg_last_error(void)
{
    return error_message;
}

clg_status clg__fail(clg_status status, const char *format, ...)
{
    /* Formatted apart first: an argument may be the current message itself. */
    char text[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(error_message, text, sizeof text);
    return status;
}

clg_status clg__fail_context(clg_status status, const char *format, ...)
{
    char prefix[MESSAGE_SIZE], text[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    size_t used = strlen(prefix);
    memcpy(text, prefix, used);
    if (used < MESSAGE_SIZE) snprintf(text + used, MESSAGE_SIZE - used, ": %s", error_message);
    memcpy(error_message, text, sizeof text);
    error_message[MESSAGE_SIZE - 1] = '\0';
    return status;
}

clg_status clg__fail_null(const char *function)
{
    return clg__fail(CLG_ERROR_ARGUMENT, "%s: an argument is NULL", function);
}

void clg_log_set(clg_log_fn fn, void *user)
{
    log_user = user;
    log_callback = fn;
}

void clg__log(clg_log_level level, const char *format, ...)
{
    if (!log_callback) return;
    char text[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_callback(log_user, level, text);
}
