/*
 * What all subcommands of cltrain share: exit codes, the dispatch row, and how results and errors
 * are written. Results go to stdout and everything else to stderr; with --json each result is one
 * JSON object on one line, numbers in the C locale whatever LANG says.
 */
#ifndef CLTRAIN_H
#define CLTRAIN_H

#include <jansson.h>
#include <stdio.h>

#include "clgrad/base.h"

/* Exit codes; 128 + n says that signal n ended the run, after a checkpoint was written. */
enum {
    DONE = 0,
    FAILED = 1,
    BAD_USAGE = 2,
    BAD_INPUT = 3, /* model, data or checkpoint file */
    NO_DEVICE = 4,
    NO_MEMORY = 5,
    DIVERGED = 6, /* NaN or Inf */
    SIGNALLED = 128
};

struct option_row;

/* One subcommand. `options` ends with a row whose name is NULL; `values_size` is what they fill. */
struct command {
    const char *name;
    const char *arguments; /* "[MODEL.yaml]", for the usage line */
    const char *summary;   /* one line */
    const char *details;   /* further help, "" for none */
    const struct option_row *options;
    size_t values_size;
    int max_arguments; /* positional ones; -1: any number */
    int (*run)(const void *values, int argc, char **argv);
};

#define COMMANDS(X)                                                                                \
    X(train)                                                                                       \
    X(eval)                                                                                        \
    X(predict)                                                                                     \
    X(sample)                                                                                      \
    X(word2vec)                                                                                    \
    X(nearest)                                                                                     \
    X(compare)                                                                                     \
    X(landscape) X(devices) X(ops) X(bench) X(tune) X(graph) X(summary) X(models) X(cache)
#define COMMAND_DECLARE(name) extern const struct command command_##name;
COMMANDS(COMMAND_DECLARE)
#undef COMMAND_DECLARE

/** Writes "cltrain: error: ..." to stderr and returns `code`. */
int report_error(int code, const char *format, ...) CLG_PRINTF(2, 3);
/** Same for a failed library call: `what` (may be NULL), then the library's message. */
int report_status(clg_status status, const char *what);
/** Same for what could not be written: no input is to blame. */
int report_unwritten(clg_status status, const char *what);
/** How these show errors from here on: work may fail that the command goes on without. */
enum severity { AS_ERROR, AS_WARNING, AS_NOTHING };
void report_errors(enum severity severity);
/** Exit code that stands for a status. */
int exit_code_of(clg_status status);
/** Writes a line for people to stderr. */
void report_note(const char *format, ...) CLG_PRINTF(1, 2);
void report_warning(const char *format, ...) CLG_PRINTF(1, 2);
/** Sends the library's warnings to stderr. */
void report_library_warnings(void);

/** Prints one object on one line to stdout, flushed, and releases it; NULL (out of memory) is said.
 */
int print_json(json_t *object);
/** A JSON number, or null for NaN and Inf, which JSON does not have. */
json_t *json_number(double value);

/** A JSON string; bytes that are not UTF-8, as file names may have, become '?'. */
json_t *json_text(const char *text);

/** DONE, or FAILED with a message if something written to stdout was lost. */
int finish_stdout(void);

/** The candidate closest to `word`, if it is close enough to be a typing error; else NULL. */
const char *nearest_word(const char *word, const char *const *candidates, size_t count);
/** " (did you mean 'x'?)" or "" in a static buffer. */
const char *suggestion(const char *word, const char *const *candidates, size_t count);

/** Seconds on a clock that only moves forward. */
double seconds_now(void);

#endif
