/*
 * Command-line options as tables: one row per option gives the parser and the line in --help.
 */
#ifndef CLTRAIN_OPTIONS_H
#define CLTRAIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;

enum option_kind {
    OPTION_FLAG, /* bool */
    OPTION_TEXT, /* const char *, borrowed from argv */
    OPTION_COUNT /* int64_t, 1 or more */
};

struct option_row {
    const char *name;     /* "device", without the dashes; NULL ends the table */
    const char *argument; /* "SEL"; NULL for a flag */
    enum option_kind kind;
    size_t offset; /* of the value in the command's struct */
    const char *help;
};

#define OPTION_ROWS_END                                                                            \
    {                                                                                              \
        NULL, NULL, OPTION_FLAG, 0, NULL                                                           \
    }
#define OPTION_DEVICE(type)                                                                        \
    {                                                                                              \
        "device", "SEL", OPTION_TEXT, offsetof(type, device),                                      \
            "PLATFORM:TYPE:NAME-OR-INDEX, each part optional; default $CLGRAD_DEVICE, else the "   \
            "best"                                                                                 \
    }
#define OPTION_JSON(type)                                                                          \
    {                                                                                              \
        "json", NULL, OPTION_FLAG, offsetof(type, json), "one JSON object per line on stdout"      \
    }

/** Go on: no exit code yet. */
enum { OPTIONS_OK = -1 };

/**
 * Parses argv (argv[0] is the subcommand) into `values` and moves positional arguments behind the
 * options; *first is the index of the first one. Returns OPTIONS_OK, or the exit code: 0 after
 * --help, BAD_USAGE after a message.
 */
int options_parse(const struct command *command, int argc, char **argv, void *values, int *first);

/**
 * Reads the number of an option that is kept as text into *out; without one (NULL) *out stays as it
 * is. DONE, or BAD_USAGE after a message if it is not in low .. high.
 */
int option_number(const char *command, const char *option, const char *text, double low,
                  double high, double *out);

/**
 * A number as people write it, whole text: no hexadecimal, "inf" or blanks, which strtod takes.
 * False: it is none, or too large.
 */
bool read_whole(const char *text, int64_t *out);
bool read_real(const char *text, double *out);

/** Prints the help of one subcommand to stdout. */
void options_help(const struct command *command);

#endif
