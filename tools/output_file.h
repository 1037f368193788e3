/*
 * Text files that are results: there whole, or not at all. Links are followed; a device or a pipe,
 * such as /dev/stdout, is written straight.
 */
#ifndef CLTRAIN_OUTPUT_FILE_H
#define CLTRAIN_OUTPUT_FILE_H

#include <stdio.h>

struct output_file {
    FILE *out;
    char *path, *temporary; /* temporary: NULL if written straight */
};

/** Both: DONE, or an exit code after a message. An open one must be closed. */
int output_open(struct output_file *file, const char *path);
/** Puts the file under its name, unless something could not be written to `out`. */
int output_close(struct output_file *file);

/** Both in one, around a text. */
int write_file(const char *path, const char *text);

#endif
