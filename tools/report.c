/*
 * Messages and results: errors with their exit code, JSON lines, and the suggestion of the nearest
 * valid word after a typing error. Nothing here ends the process.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cltrain.h"

/* One row per status that is not simply "other failure". */
static const struct {
    clg_status status;
    int code;
} exit_codes[] = {
    {CLG_OK, DONE},
    {CLG_ERROR_ARGUMENT, BAD_INPUT},
    {CLG_ERROR_MEMORY, NO_MEMORY},
    {CLG_ERROR_NO_DEVICE, NO_DEVICE},
    {CLG_ERROR_IO, BAD_INPUT},
    {CLG_ERROR_FORMAT, BAD_INPUT},
    {CLG_ERROR_DIVERGED, DIVERGED},
};

int exit_code_of(clg_status status)
{
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++)
        if (exit_codes[i].status == status) return exit_codes[i].code;
    return FAILED;
}

static enum severity errors_are = AS_ERROR;

void report_errors(enum severity severity)
{
    errors_are = severity;
}

int report_error(int code, const char *format, ...)
{
    va_list args;
    if (errors_are == AS_NOTHING) return code;
    va_start(args, format);
    fputs(errors_are == AS_ERROR ? "cltrain: error: " : "cltrain: warning: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return code;
}

int report_status(clg_status status, const char *what)
{
    const char *message = clg_last_error();
    if (!*message) message = clg_status_name(status);
    if (what) return report_error(exit_code_of(status), "%s: %s", what, message);
    return report_error(exit_code_of(status), "%s", message);
}

int report_unwritten(clg_status status, const char *what)
{
    const int code = report_status(status, what);
    return status == CLG_ERROR_IO ? FAILED : code;
}

void report_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void report_warning(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("cltrain: warning: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static void print_warning(void *user, clg_log_level level, const char *message)
{
    if (level == CLG_LOG_WARNING) report_warning("%s", message);
}

void report_library_warnings(void)
{
    clg_log_set(print_warning, NULL);
}

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_text(const char *text)
{
    json_t *string = json_string(text);
    char copy[1024];
    if (string) return string;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *at = copy; *at; at++)
        if ((unsigned char)*at >= 0x80) *at = '?';
    return json_string(copy);
}

int print_json(json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!text) return report_error(NO_MEMORY, "out of memory for a line of output");
    puts(text);
    fflush(stdout);
    free(text);
    return DONE;
}

int finish_stdout(void)
{
    if (!fflush(stdout) && !ferror(stdout)) return DONE;
    /* A reader that had enough (head) is not worth a message. */
    if (errno == EPIPE) return FAILED;
    return report_error(FAILED, "standard output could not be written: %s", strerror(errno));
}

/* Edit distance with insertions, deletions, replacements; words longer than `row` do not match. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[64], n = strlen(b);
    if (n + 1 > sizeof row / sizeof *row) return SIZE_MAX;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j + 1] + 1 < best) best = row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[n];
}

const char *nearest_word(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t limit = strlen(word) / 3 + 2; /* further away it is another word, not a slip */
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(word, candidates[i]);
        if (distance >= limit) continue;
        limit = distance;
        best = candidates[i];
    }
    return best;
}

const char *suggestion(const char *word, const char *const *candidates, size_t count)
{
    static char text[96];
    const char *near = nearest_word(word, candidates, count);
    text[0] = 0;
    if (near) snprintf(text, sizeof text, " (did you mean '%s'?)", near);
    return text;
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
