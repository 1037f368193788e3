/*
 * A growing list of names: classes, columns, words, files.
 */
#ifndef CLG_NAMES_INTERNAL_H
#define CLG_NAMES_INTERNAL_H

#include "base/base.h"

typedef struct clg__names {
    char **items; /* (count) NUL-terminated, owned */
    size_t count, capacity;
} clg__names;

/** Appends a copy. */
clg_status clg__names_add(clg__names *names, const char *text, size_t length);
/** Puts a name into sorted names unless it is there. */
clg_status clg__names_insert_sorted(clg__names *names, const char *text);
/** Appends copies of all. */
clg_status clg__names_copy(clg__names *names, const clg__names *from);
/** Bytewise order. */
void clg__names_sort(clg__names *names);
/** Position of a name in sorted names; -1 if it is not there. */
int64_t clg__names_find_sorted(const clg__names *names, const char *text);
/** Position in any order; -1. */
int64_t clg__names_find(const clg__names *names, const char *text);
void clg__names_free(clg__names *names);

#endif
