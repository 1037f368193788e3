/*
 * What the columns of a table are: found out by two passes over the file, or given by a schema.
 *
 * The first pass sees which columns hold mostly numbers: what is no number there is a mistake and
 * not a category. The second one collects the distinct words of the others, counts rows and values
 * that are missing, and refuses what cannot be used, by line and column. Nothing of the table is
 * kept in memory but the words.
 */
#include <math.h>
#include <stdlib.h>

#include "io/csv.h"

enum { MAX_WORDS = 1000, MAX_CLASSES = 1 << 16 };

/* ---- fields ---- */

bool clg__is_missing(const char *field)
{
    static const char *const words[] = {"",    "?",    "NA",   "N/A", "na",  "n/a",
                                        "NaN", "null", "NULL", "nan", "None"};
    for (size_t i = 0; i < CLG__COUNT(words); i++)
        if (strcmp(field, words[i]) == 0) return true;
    return false;
}

bool clg__field_number(const char *field, double *out)
{
    char *end;
    if (strpbrk(field, "xX")) return false; /* hexadecimal */
    *out = strtod(field, &end);
    return end != field && *end == 0;
}

clg_status clg__field_fail(const clg__csv_row *row, const clg__column *column, const char *format,
                           ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return clg__fail(CLG_ERROR_FORMAT, "%s, line %lld, column %.100s: %s", row->path,
                     (long long)row->line, column->name, text);
}

clg_status clg__check_width(const clg__table *table, const clg__csv_row *row)
{
    if (row->count == table->count) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT, "%s, line %lld: %zu fields instead of %zu", row->path,
                     (long long)row->line, row->count, table->count);
}

bool clg__row_dropped(const clg__table *table, const clg__csv_row *row)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->columns[i].role != CLG__IGNORED && clg__is_missing(row->fields[i]))
            return table->place->params->missing == CLG_MISSING_DROP;
    return false;
}

/* ---- names and roles ---- */

/* The column called `name`, or with this number from 1; -1. */
static int64_t find_column(const clg__table *table, const char *name)
{
    char *end;
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->columns[i].name, name) == 0) return (int64_t)i;
    long number = strtol(name, &end, 10);
    return *name && !*end && number >= 1 && (unsigned long)number <= table->count ? number - 1 : -1;
}

/* Gives the columns of a list, separated by commas, a role. */
static clg_status assign_role(clg__table *table, const char *list, clg__column_role role)
{
    while (list && *list) {
        const char *end = strchr(list, ',');
        size_t length = end ? (size_t)(end - list) : strlen(list);
        char name[256];
        while (length && *list == ' ') list++, length--;
        while (length && list[length - 1] == ' ') length--;
        snprintf(name, sizeof name, "%.*s", (int)length, list);
        int64_t at = find_column(table, name);
        if (at < 0)
            return clg__fail(CLG_ERROR_ARGUMENT, "%s has no column '%s' among its %zu columns%s",
                             table->place->path, name, table->count,
                             table->header ? "" : ", which have no names");
        if (role == CLG__TARGET) table->columns[at].first = table->targets++;
        table->columns[at].role = role;
        list = end ? end + 1 : NULL;
    }
    return CLG_OK;
}

static clg_status assign_roles(clg__table *table)
{
    const clg_dataset_params *params = table->place->params;
    CLG_TRY(assign_role(table, params->ignore, CLG__IGNORED));
    if (params->target) return assign_role(table, params->target, CLG__TARGET);
    clg__column *last = &table->columns[table->count - 1];
    if (params->targets == CLG_TARGET_NONE || last->role == CLG__IGNORED) return CLG_OK;
    last->role = CLG__TARGET;
    table->targets = 1;
    return CLG_OK;
}

/* ---- schemas ---- */

static const char *const roles[] = {"feature", "target", "ignored"};

json_t *clg__table_schema(const clg__table *table)
{
    json_t *columns = json_array();
    for (size_t i = 0; columns && i < table->count; i++) {
        const clg__column *c = &table->columns[i];
        json_t *words = c->words ? clg__names_to_json(&c->list) : json_null();
        json_t *column =
            json_pack("{ss so ss}", "name", c->name, "words", words, "role", roles[c->role]);
        if (column && json_array_append_new(columns, column) == 0) continue;
        json_decref(columns);
        return NULL;
    }
    return json_pack("{ss sb sb so}", "format", "csv", "header", table->header, "labels",
                     table->classes, "columns", columns);
}

/* Makes a column what its description says. */
static clg_status apply_description(clg__column *column, const json_t *description)
{
    const char *role = json_string_value(json_object_get(description, "role"));
    const json_t *words = json_object_get(description, "words");
    column->role = CLG__IGNORED;
    for (int i = 0; i < 3; i++)
        if (role && strcmp(role, roles[i]) == 0) column->role = (clg__column_role)i;
    column->words = json_is_array(words);
    return column->words ? clg__names_from_json(words, "words", &column->list) : CLG_OK;
}

static bool has_role(const json_t *description, clg__column_role role)
{
    const char *text = json_string_value(json_object_get(description, "role"));
    return text && strcmp(text, roles[role]) == 0;
}

/* Which description is for column i of the file: by name, or by position without a header; -1. */
static int64_t find_description(const clg__table *table, const json_t *columns, size_t i)
{
    size_t count = json_array_size(columns), position = 0;
    for (size_t k = 0; k < count; k++) {
        const json_t *column = json_array_get(columns, k);
        const char *name = json_string_value(json_object_get(column, "name"));
        bool left_out = has_role(column, CLG__TARGET) && table->count < count;
        if (table->header ? name && strcmp(name, table->columns[i].name) == 0
                          : !left_out && position++ == i)
            return (int64_t)k;
    }
    return -1;
}

/* Numbers in a sample that come from the first `count` descriptions. */
static size_t width_before(const json_t *columns, size_t count)
{
    size_t width = 0;
    for (size_t k = 0; k < count; k++) {
        const json_t *column = json_array_get(columns, k);
        const json_t *words = json_object_get(column, "words");
        if (has_role(column, CLG__FEATURE))
            width += words && json_is_array(words) ? json_array_size(words) : 1;
    }
    return width;
}

static clg_status apply_schema(clg__table *table)
{
    const json_t *columns = json_object_get(table->place->schema, "columns");
    size_t wanted = 0, found = 0;
    for (size_t k = 0; k < json_array_size(columns); k++)
        wanted += has_role(json_array_get(columns, k), CLG__FEATURE);
    for (size_t i = 0; i < table->count; i++) {
        clg__column *column = &table->columns[i];
        int64_t k = find_description(table, columns, i);
        column->role = CLG__IGNORED;
        if (k >= 0) CLG_TRY(apply_description(column, json_array_get(columns, (size_t)k)));
        if (column->role == CLG__TARGET && table->place->params->targets == CLG_TARGET_NONE)
            column->role = CLG__IGNORED;
        if (column->role == CLG__FEATURE) column->first = width_before(columns, (size_t)k);
        if (column->role == CLG__TARGET) column->first = table->targets++;
        found += column->role == CLG__FEATURE;
    }
    table->features = width_before(columns, json_array_size(columns));
    if (wanted > 0 && wanted == found) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT,
                     "%s has %zu of the %zu columns that the model was trained with",
                     table->place->path, found, wanted);
}

/* ---- the first pass ---- */

/* By its name a column is found again, in the model file and in new data. */
static clg_status check_names(const clg__table *table, const clg__csv_row *row)
{
    for (size_t i = 0; i < table->count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(table->columns[i].name, table->columns[k].name) == 0)
                return clg__fail(CLG_ERROR_FORMAT,
                                 "%s, line %lld: columns %zu and %zu are both called '%.100s' (a "
                                 "first line without numbers has the names)",
                                 row->path, (long long)row->line, k + 1, i + 1,
                                 table->columns[i].name);
    return CLG_OK;
}

static clg_status name_columns(clg__table *table, const clg__csv_row *row)
{
    double number;
    table->header = true;
    for (size_t i = 0; i < row->count; i++)
        if (clg__field_number(row->fields[i], &number)) table->header = false;
    table->columns = clg__calloc(row->count, sizeof *table->columns);
    if (!table->columns) return CLG_ERROR_MEMORY;
    table->count = row->count;
    for (size_t i = 0; i < row->count; i++) {
        char counted[32];
        snprintf(counted, sizeof counted, "%zu", i + 1);
        bool named = table->header && *row->fields[i];
        table->columns[i].name = clg__strdup(named ? row->fields[i] : counted);
        if (!table->columns[i].name) return CLG_ERROR_MEMORY;
    }
    if (table->header) CLG_TRY(check_names(table, row));
    return table->place->schema ? apply_schema(table) : assign_roles(table);
}

static clg_status see_row(void *user, const clg__csv_row *row)
{
    clg__table *table = user;
    double number;
    if (!table->columns) {
        CLG_TRY(name_columns(table, row));
        if (table->header) return CLG_OK;
    }
    CLG_TRY(clg__check_width(table, row));
    for (size_t i = 0; i < table->count && !table->place->schema; i++) {
        clg__column *c = &table->columns[i];
        if (clg__is_missing(row->fields[i])) continue;
        if (clg__field_number(row->fields[i], &number))
            c->numeric++;
        else
            c->other++;
        c->words = c->other >= c->numeric;
    }
    return CLG_OK;
}

/* ---- the second pass ---- */

static clg_status see_number(const clg__csv_row *row, const clg__column *column, const char *field)
{
    double value;
    if (!clg__field_number(field, &value))
        return clg__field_fail(row, column, "'%.40s' is no number, as most of its values are",
                               field);
    if (isfinite((float)value)) return CLG_OK;
    return clg__field_fail(row, column, "%.40s is too large", field);
}

static clg_status see_word(const clg__table *table, const clg__csv_row *row, clg__column *column,
                           const char *field)
{
    bool target = column->role == CLG__TARGET;
    size_t most = target ? MAX_CLASSES : MAX_WORDS;
    if (table->place->schema) {
        if (clg__names_find_sorted(&column->list, field) >= 0) return CLG_OK;
        return clg__field_fail(row, column, "'%.40s' was not among the words of the training data",
                               field);
    }
    CLG_TRY(clg__names_insert_sorted(&column->list, field));
    if (column->list.count <= most) return CLG_OK;
    return clg__field_fail(row, column,
                           "more than %zu different words: leave the column out (ignore: %.100s)",
                           most, column->name);
}

static clg_status see_missing(const clg__table *table, const clg__csv_row *row,
                              const clg__column *column)
{
    bool fills = table->place->params->missing == CLG_MISSING_FILL;
    if (fills && column->role != CLG__TARGET) return CLG_OK;
    return clg__field_fail(row, column, "no value%s",
                           fills ? ", which a target needs"
                                 : " (missing: fill puts in the mean, missing: drop leaves out the "
                                   "row)");
}

static clg_status collect_row(void *user, const clg__csv_row *row)
{
    clg__table *table = user;
    if (table->rows == -1) { /* the header */
        table->rows = 0;
        if (table->header) return CLG_OK;
    }
    if (clg__row_dropped(table, row)) return CLG_OK;
    for (size_t i = 0; i < table->count; i++) {
        clg__column *c = &table->columns[i];
        const char *field = row->fields[i];
        if (c->role == CLG__IGNORED) continue;
        if (clg__is_missing(field)) {
            CLG_TRY(see_missing(table, row, c));
            table->missing += !c->words;
        } else {
            CLG_TRY(c->words ? see_word(table, row, c, field) : see_number(row, c, field));
        }
    }
    table->rows++;
    return CLG_OK;
}

/* ---- the result ---- */

static clg_status number_features(clg__table *table)
{
    for (size_t i = 0; i < table->count && !table->place->schema; i++) {
        clg__column *c = &table->columns[i];
        if (c->role != CLG__FEATURE) continue;
        c->first = table->features;
        table->features += c->words ? c->list.count : 1;
    }
    if (table->features > 0) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT, "%s has no columns besides the target", table->place->path);
}

static clg_status decide_target(clg__table *table)
{
    const clg_dataset_params *params = table->place->params;
    const char *path = table->place->path;
    bool words = false;
    for (size_t i = 0; i < table->count; i++)
        words |= table->columns[i].role == CLG__TARGET && table->columns[i].words;
    bool asked = params->targets == CLG_TARGET_CLASSES ||
                 (params->targets == CLG_TARGET_AUTO && params->classes > 0);
    if (table->place->schema && params->targets == CLG_TARGET_AUTO)
        asked = json_is_true(json_object_get(table->place->schema, "labels"));
    table->classes = table->targets > 0 && (words || asked);
    if (words && params->targets == CLG_TARGET_NUMBERS)
        return clg__fail(CLG_ERROR_FORMAT, "%s: the target column holds words, not numbers", path);
    if (!table->classes || table->targets == 1) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT, "%s: %zu target columns; classes come from one", path,
                     table->targets);
}

clg_status clg__table_survey(clg__table *table, const clg__place *place)
{
    *table = (clg__table){.place = place, .rows = -1};
    table->separator = clg__csv_separator(place->head, place->head_size);
    if (!table->separator) table->separator = ',';
    CLG_TRY(clg__csv_read(place->path, table->separator, see_row, table));
    if (!table->columns) return clg__fail(CLG_ERROR_FORMAT, "%s has no rows", place->path);
    CLG_TRY(clg__csv_read(place->path, table->separator, collect_row, table));
    if (table->rows < 1)
        return clg__fail(CLG_ERROR_FORMAT, "%s: 0 samples: no row that can be used", place->path);
    CLG_TRY(number_features(table));
    return decide_target(table);
}

void clg__table_free(clg__table *table)
{
    for (size_t i = 0; table->columns && i < table->count; i++) {
        clg__free(table->columns[i].name);
        clg__names_free(&table->columns[i].list);
    }
    clg__free(table->columns);
    *table = (clg__table){0};
}
