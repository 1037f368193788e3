/*
 * Tables of text: the rows of a CSV file, and what its columns are.
 */
#ifndef CLG_CSV_INTERNAL_H
#define CLG_CSV_INTERNAL_H

#include "io/formats.h"

/* One row: NUL-terminated fields, valid during the call. */
typedef struct clg__csv_row {
    const char *path;
    int64_t line; /* where the row ends, from 1 */
    const char *const *fields;
    size_t count;
} clg__csv_row;

typedef clg_status (*clg__csv_fn)(void *user, const clg__csv_row *row);

/**
 * Calls `fn` for each row of a file, plain or gzip; empty lines are left out. The separator is told
 * by `head`, the file's beginning. Quoting is that of RFC 4180; anything else is CLG_ERROR_FORMAT
 * with the line. A failure of `fn` ends it.
 */
clg_status clg__csv_read(const char *path, char separator, clg__csv_fn fn, void *user);
/** Comma, semicolon or tab, whichever the first line has most of; 0 if it has none. */
char clg__csv_separator(const unsigned char *head, size_t size);

/* ---- columns (csv_columns.c) ---- */

typedef enum clg__column_role { CLG__FEATURE, CLG__TARGET, CLG__IGNORED } clg__column_role;

typedef struct clg__column {
    char *name; /* of the header, or its number from 1 */
    clg__column_role role;
    bool words;             /* one-hot, or the names of classes; else numbers */
    clg__names list;        /* distinct words, sorted */
    int64_t numeric, other; /* fields that are numbers, and that are something else */
    size_t first;           /* features: its first one; targets: its position */
} clg__column;

typedef struct clg__table {
    const clg__place *place;
    char separator;
    bool header; /* the first row has names */
    clg__column *columns;
    size_t count;
    size_t features, targets; /* numbers in a sample and in its target */
    bool classes;             /* the target is a class */
    int64_t rows;             /* that are used */
    int64_t missing;          /* values that these lack */
} clg__table;

/** Finds out what the columns are, from the file or as the schema says. */
clg_status clg__table_survey(clg__table *table, const clg__place *place);
void clg__table_free(clg__table *table);
/** How the table was read, as JSON; NULL when out of memory. */
json_t *clg__table_schema(const clg__table *table);

/** True if a field says that there is no value. */
bool clg__is_missing(const char *field);
/** True if a field is a number, all of it. Only in a clg__csv_fn: there the locale is "C". */
bool clg__field_number(const char *field, double *out);
/** True if a row that lacks something it needs is to be left out. */
bool clg__row_dropped(const clg__table *table, const clg__csv_row *row);
/** Fails with "file, line 7, column sex: ...". */
clg_status clg__field_fail(const clg__csv_row *row, const clg__column *column, const char *format,
                           ...) CLG_PRINTF(3, 4);
/** Fails if the row has another number of fields than the table has columns. */
clg_status clg__check_width(const clg__table *table, const clg__csv_row *row);

#endif
