/*
 * Data sets from tables: numbers as they are, words one-hot (a missing word is no category: all
 * zeros), one class or one or several numbers as the target.
 */
#include <math.h>

#include "io/csv.h"

/* ---- filling ---- */

typedef struct filling {
    clg__table *table;
    clg__samples *samples;
    int64_t row; /* -1 before the first */
} filling;

static void put_feature(const clg__column *column, const char *field, float *sample)
{
    double value = NAN;
    bool missing = clg__is_missing(field);
    if (column->words) {
        int64_t word = missing ? -1 : clg__names_find_sorted(&column->list, field);
        if (word >= 0) sample[column->first + (size_t)word] = 1;
        return;
    }
    if (!missing) (void)clg__field_number(field, &value);
    sample[column->first] = (float)value;
}

/* A class by its name, or by its number. */
static clg_status put_label(const filling *f, const clg__csv_row *row, const clg__column *column,
                            const char *field, int32_t *label)
{
    double value = -1;
    int classes = f->samples->info.classes;
    if (column->words) {
        *label = (int32_t)clg__names_find_sorted(&column->list, field);
        return CLG_OK;
    }
    (void)clg__field_number(field, &value);
    if (value < 0 || value != floor(value) || value >= (classes > 0 ? classes : INT32_MAX))
        return clg__field_fail(row, column, "the label %.40s is outside 0 .. %d", field,
                               classes > 0 ? classes - 1 : INT32_MAX - 1);
    *label = (int32_t)value;
    return CLG_OK;
}

static clg_status put_target(const filling *f, const clg__csv_row *row, const clg__column *column,
                             const char *field)
{
    const clg_dataset_info *info = &f->samples->info;
    size_t at = (size_t)f->row * clg__target_count(info) + column->first;
    double value = NAN;
    if (info->target == CLG_TARGET_CLASSES)
        return put_label(f, row, column, field, (int32_t *)f->samples->targets + at);
    (void)clg__field_number(field, &value);
    ((float *)f->samples->targets)[at] = (float)value;
    return CLG_OK;
}

static clg_status fill_row(void *user, const clg__csv_row *row)
{
    filling *f = user;
    const clg__table *table = f->table;
    if (f->row == -1) {
        f->row = 0;
        if (table->header) return CLG_OK;
    }
    CLG_TRY(clg__check_width(table, row)); /* the file may have changed since it was surveyed */
    if (f->row == f->samples->info.count || clg__row_dropped(table, row)) return CLG_OK;
    float *sample = (float *)f->samples->features + (size_t)f->row * table->features;
    for (size_t i = 0; i < table->count; i++) {
        const clg__column *c = &table->columns[i];
        if (c->role == CLG__FEATURE) put_feature(c, row->fields[i], sample);
        if (c->role == CLG__TARGET) CLG_TRY(put_target(f, row, c, row->fields[i]));
    }
    f->row++;
    return CLG_OK;
}

/* ---- the samples ---- */

/* "bill", "island=Dream": what the numbers of a column are. */
static clg_status name_column(char **names, const clg__column *c)
{
    for (size_t k = 0; k < (c->words ? c->list.count : 1); k++) {
        clg__str name = {0};
        clg__str_add(&name, c->name);
        if (c->words) clg__str_addf(&name, "=%s", c->list.items[k]);
        if (name.failed) {
            clg__str_free(&name);
            return CLG_ERROR_MEMORY;
        }
        clg__free(names[c->first + k]);
        names[c->first + k] = name.text;
    }
    return CLG_OK;
}

static clg_status name_features(clg__samples *samples, const clg__table *table)
{
    for (size_t i = 0; i < table->features; i++) CLG_TRY(clg__names_add(&samples->columns, "", 0));
    for (size_t i = 0; i < table->count; i++)
        if (table->columns[i].role == CLG__FEATURE)
            CLG_TRY(name_column(samples->columns.items, &table->columns[i]));
    return CLG_OK;
}

/* Names of the classes where the target is words. */
static clg_status name_classes(clg__samples *samples, const clg__table *table)
{
    int wanted = table->place->params->classes;
    for (size_t i = 0; i < table->count; i++) {
        const clg__column *c = &table->columns[i];
        if (c->role != CLG__TARGET || !c->words) continue;
        if (wanted > 0 && c->list.count > (size_t)wanted)
            return clg__fail(CLG_ERROR_FORMAT, "%s: %zu classes in column %s, but %d are expected",
                             table->place->path, c->list.count, c->name, wanted);
        samples->info.classes = wanted > 0 ? wanted : (int)c->list.count;
        return clg__names_copy(&samples->classes, &c->list);
    }
    return CLG_OK;
}

static void describe(clg__samples *samples, const clg__table *table)
{
    clg_dataset_info *info = &samples->info;
    const clg_dataset_params *params = table->place->params;
    info->count = clg__limited(table->rows, params);
    info->sample = CLG_SHAPE((int64_t)table->features);
    info->storage = CLG_F32;
    info->whole = true;
    info->missing = table->missing;
    info->target = table->targets == 0 ? CLG_TARGET_NONE
                   : table->classes    ? CLG_TARGET_CLASSES
                                       : CLG_TARGET_NUMBERS;
    if (info->target == CLG_TARGET_CLASSES) info->classes = params->classes;
    if (info->target == CLG_TARGET_NUMBERS) info->target_shape = CLG_SHAPE((int64_t)table->targets);
}

/* Values for what is missing that the schema knows. */
static clg_status take_fill(clg__samples *samples, const json_t *schema)
{
    const json_t *list = json_object_get(schema, "fill");
    size_t count = (size_t)clg_shape_count(&samples->info.sample);
    if (!list) return CLG_OK;
    if (json_array_size(list) != count)
        return clg__fail(CLG_ERROR_FORMAT, "a data set's schema: %zu values to fill in, not %zu",
                         json_array_size(list), count);
    samples->fill = clg__calloc(count, sizeof *samples->fill);
    if (!samples->fill) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        samples->fill[i] = (float)json_number_value(json_array_get(list, i));
    return CLG_OK;
}

static clg_status fill_samples(clg__samples *samples, clg__table *table)
{
    filling f = {.table = table, .samples = samples, .row = -1};
    describe(samples, table);
    CLG_TRY(name_features(samples, table));
    CLG_TRY(name_classes(samples, table));
    CLG_TRY(clg__samples_allocate(samples));
    CLG_TRY(clg__csv_read(table->place->path, table->separator, fill_row, &f));
    if (f.row != samples->info.count)
        return clg__fail(CLG_ERROR_FORMAT, "%s changed while it was read", table->place->path);
    if (table->place->schema) CLG_TRY(take_fill(samples, table->place->schema));
    return clg__schema_keep(samples, clg__table_schema(table));
}

static clg_status open_csv(clg__samples *samples, const clg__place *place)
{
    clg__table table;
    if (place->directory)
        return clg__fail(CLG_ERROR_FORMAT, "%s is a folder, not a table", place->path);
    clg_status status = clg__table_survey(&table, place);
    if (status == CLG_OK) status = fill_samples(samples, &table);
    clg__table_free(&table);
    return status;
}

/* ---- detection ---- */

/* Separators in a line, outside of quotes; *length becomes the line's. */
static size_t count_separators(const unsigned char *line, size_t size, char separator,
                               size_t *length)
{
    size_t count = 0, i = 0;
    for (bool quoted = false; i < size && (quoted || line[i] != '\n'); i++) {
        quoted ^= line[i] == '"';
        count += !quoted && line[i] == (unsigned char)separator;
    }
    *length = i + (i < size);
    return count;
}

/* By its name; or because its first lines all have as many separators. */
static bool detect_csv(const clg__place *place)
{
    static const char *const ends[] = {".csv", ".tsv", ".csv.gz", ".tsv.gz"};
    const unsigned char *at = place->head, *end = at + place->head_size;
    if (place->directory) return false;
    for (size_t i = 0; i < CLG__COUNT(ends); i++)
        if (clg__ends_in(place->path, ends[i])) return true;
    if (clg__ends_in(place->path, ".txt") || memchr(place->head, 0, place->head_size)) return false;
    char separator = clg__csv_separator(place->head, place->head_size);
    size_t first = 0, lines = 0;
    while (separator && at < end) {
        size_t length, count = count_separators(at, (size_t)(end - at), separator, &length);
        bool whole = at[length - 1] == '\n';
        at += length;
        if (!whole && lines > 0) break; /* the head may end inside a line */
        if (length < 2) continue;
        if (lines == 0) first = count;
        if (count != first) return false;
        lines++;
    }
    return lines > 0 && first > 0;
}

const clg__format clg__format_csv = {"csv", detect_csv, open_csv};
