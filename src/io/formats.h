/*
 * The formats of data sources: one row each. clg_dataset_open looks at what the path names and
 * takes the first row that knows it; adding a format means one row and one file.
 */
#ifndef CLG_FORMATS_INTERNAL_H
#define CLG_FORMATS_INTERNAL_H

#include <jansson.h>

#include "io/dataset.h"

/* What is to be opened. */
typedef struct clg__place {
    const char *path;
    clg_data_part part;
    const clg_dataset_params *params; /* not NULL */
    const json_t *schema;             /* object; NULL: none given */
    bool directory;
    unsigned char head[4096]; /* the file's first bytes, unpacked */
    size_t head_size;
} clg__place;

typedef struct clg__format {
    const char *name;
    bool (*detect)(const clg__place *place);
    /** Fills in samples. info.classes = 0 where the largest label decides. */
    clg_status (*open)(clg__samples *samples, const clg__place *place);
} clg__format;

/* The rows, in order of detection. */
#define CLG__FORMAT_ROWS(X)                                                                        \
    X(builtin)                                                                                     \
    X(idx)                                                                                         \
    X(npz)                                                                                         \
    X(npy)                                                                                         \
    X(images)                                                                                      \
    X(cifar)                                                                                       \
    X(csv)                                                                                         \
    X(text)
#define CLG__FORMAT_DECLARE(name) extern const clg__format clg__format_##name;
CLG__FORMAT_ROWS(CLG__FORMAT_DECLARE)
#undef CLG__FORMAT_DECLARE

/** "directory/name"; the caller frees it. NULL when out of memory. */
char *clg__join_path(const char *directory, const char *name);
/** True if directory/name exists. */
bool clg__exists_in(const char *directory, const char *name);
/** Names in a directory that do not begin with a dot, sorted. */
clg_status clg__list_directory(const char *directory, clg__names *out);

/** Bytes that may be kept in memory for a source. */
uint64_t clg__memory_limit(const clg_dataset_params *params);
/** min(count, params->limit). */
int64_t clg__limited(int64_t count, const clg_dataset_params *params);
/** True if text ends in `end`, whatever the case of ASCII letters. */
bool clg__ends_in(const char *text, const char *end);

/* ---- schemas (schema.c) ---- */

/** Takes over `object` (NULL: out of memory) as how samples were read. */
clg_status clg__schema_keep(clg__samples *samples, json_t *object);
/** Text of a schema, checked as far as all formats need: an object with "format". */
clg_status clg__schema_parse(const char *text, json_t **out);
/** A list of names as JSON, and back. */
json_t *clg__names_to_json(const clg__names *names);
clg_status clg__names_from_json(const json_t *list, const char *what, clg__names *out);

#endif
