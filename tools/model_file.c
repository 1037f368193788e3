/*
 * Loading, overriding, resolving. The schema of libcyaml is generated from the tables of
 * model_file.h; yaml_source.c checks the file against it first, for exact positions and
 * suggestions, so libcyaml's own complaints are a second line of defence and come out as they are.
 */
#include "model_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clgrad/nn.h"
#include "cltrain.h"
#include "embedded.h"
#include "optimizer_settings.h"
#include "options.h"

/* ---- schema ---- */

#define OPTIONAL (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER)
#define SETTING_TEXT(name, ...)                                                                    \
    CYAML_FIELD_STRING_PTR(#name, OPTIONAL, struct settings, name, 0, 4096),
#define SETTING_WHOLE(name, ...) CYAML_FIELD_INT_PTR(#name, OPTIONAL, struct settings, name),
#define SETTING_REAL(name, ...) CYAML_FIELD_FLOAT_PTR(#name, OPTIONAL, struct settings, name),
#define SETTING_FLAG(name, ...) CYAML_FIELD_BOOL_PTR(#name, OPTIONAL, struct settings, name),
static const cyaml_schema_field_t training_fields[] = {
    SETTING_ROWS(SETTING_TEXT, SETTING_WHOLE, SETTING_REAL, SETTING_FLAG) CYAML_FIELD_END};
static const cyaml_schema_field_t data_fields[] = {
    DATA_ROWS(SETTING_TEXT, SETTING_WHOLE, SETTING_REAL, SETTING_FLAG) CYAML_FIELD_END};

/* Lists of layers inside layers: the schema refers to itself. */
static const cyaml_schema_value_t layer_schema;
static const cyaml_schema_value_t word_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, MAX_NAME)};

#define LAYER_OPTION(name)                                                                         \
    CYAML_FIELD_STRING_PTR(#name, OPTIONAL, struct layer_text, option[OPTION_##name], 0, MAX_NAME),
#define WORDS(key, type, name, low)                                                                \
    CYAML_FIELD_SEQUENCE(key, OPTIONAL, type, name, &word_schema, low, MAX_PARAMETERS)
#define LAYER_LIST(key, flags, type, name)                                                         \
    CYAML_FIELD_SEQUENCE(key, flags, type, name, &layer_schema, 1, MAX_LAYERS)
static const cyaml_schema_field_t layer_fields[] = {
    CYAML_FIELD_STRING_PTR("kind", CYAML_FLAG_POINTER, struct layer_text, kind, 1, MAX_NAME),
    LAYER_OPTION_ROWS(LAYER_OPTION, LAYER_OPTION, LAYER_OPTION, LAYER_OPTION) //
    WORDS("with", struct layer_text, with, 1),
    LAYER_LIST("layers", OPTIONAL, struct layer_text, layers),
    LAYER_LIST("shortcut", OPTIONAL, struct layer_text, shortcut), CYAML_FIELD_END};

static const cyaml_schema_value_t layer_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct layer_text, layer_fields)};

static const cyaml_schema_field_t block_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct block_text, name, 1, MAX_NAME),
    WORDS("parameters", struct block_text, parameters, 0),
    LAYER_LIST("layers", CYAML_FLAG_POINTER, struct block_text, layers), CYAML_FIELD_END};
static const cyaml_schema_value_t block_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct block_text, block_fields)};

static const cyaml_schema_value_t extent_schema = {CYAML_VALUE_INT(CYAML_FLAG_DEFAULT, int64_t)};

static const cyaml_schema_field_t model_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct model_spec, name, 1, MAX_NAME),
    CYAML_FIELD_SEQUENCE("input", CYAML_FLAG_POINTER, struct model_spec, input, &extent_schema, 1,
                         CLG_MAX_DIMS - 1),
    CYAML_FIELD_INT_PTR("classes", OPTIONAL, struct model_spec, classes),
    CYAML_FIELD_INT_PTR("outputs", OPTIONAL, struct model_spec, outputs),
    CYAML_FIELD_STRING_PTR("loss", OPTIONAL, struct model_spec, loss, 1, MAX_NAME),
    CYAML_FIELD_STRING_PTR("target", OPTIONAL, struct model_spec, target, 1, MAX_NAME),
    CYAML_FIELD_SEQUENCE("blocks", OPTIONAL, struct model_spec, blocks, &block_schema, 0,
                         MAX_BLOCKS),
    LAYER_LIST("layers", CYAML_FLAG_POINTER, struct model_spec, layers),
    CYAML_FIELD_END};

static const cyaml_schema_field_t content_fields[] = {
    CYAML_FIELD_MAPPING("model", CYAML_FLAG_DEFAULT, struct model_content, model, model_fields),
    /* Both sections fill one struct: code that goes over the settings needs no second way. */
    CYAML_FIELD_MAPPING("data", CYAML_FLAG_OPTIONAL, struct model_content, training, data_fields),
    CYAML_FIELD_MAPPING("training", CYAML_FLAG_OPTIONAL, struct model_content, training,
                        training_fields),
    CYAML_FIELD_END};

static const cyaml_schema_value_t content_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct model_content, content_fields)};

static void log_cyaml(cyaml_log_t level, void *user, const char *format, va_list args)
{
    vfprintf(stderr, format, args);
}

static const cyaml_config_t cyaml = {.log_fn = log_cyaml,
                                     .mem_fn = cyaml_mem,
                                     .log_level = CYAML_LOG_ERROR,
                                     .flags = CYAML_CFG_NO_ALIAS};

/* ---- loading ---- */

static const struct embedded_text *find_builtin(const char *name)
{
    for (const struct embedded_text *model = builtin_models; model->name; model++)
        if (!strcmp(model->name, name)) return model;
    return NULL;
}

bool model_file_is_builtin(const char *name)
{
    return find_builtin(name) != NULL;
}

static int read_source(struct model_file *file, const char *name)
{
    const struct embedded_text *model = find_builtin(name);
    if (model) return yaml_source_parse(&file->source, name, model->text, strlen(model->text));
    if (!access(name, F_OK)) return yaml_source_read(&file->source, name);
    const char *names[128];
    size_t count = 0;
    for (model = builtin_models; model->name && count < 128; model++) names[count++] = model->name;
    return report_error(BAD_INPUT, "%s: no such model file%s", name,
                        suggestion(name, names, count));
}

int model_file_load(struct model_file *file, const char *name)
{
    *file = (struct model_file){0};
    int code = read_source(file, name);
    if (code == DONE) code = yaml_source_check(&file->source, &content_schema);
    if (code != DONE) return code;
    cyaml_err_t error = cyaml_load_data((const uint8_t *)file->source.text, file->source.size,
                                        &cyaml, &content_schema, (void **)&file->content, NULL);
    if (error == CYAML_OK) return DONE;
    return report_error(error == CYAML_ERR_OOM ? NO_MEMORY : BAD_INPUT, "%s: %s", name,
                        error == CYAML_ERR_ALIAS ? "YAML aliases (*name) are not accepted"
                                                 : cyaml_strerror(error));
}

void model_file_clear(struct model_file *file)
{
    cyaml_free(&cyaml, &content_schema, file->content, 0);
    yaml_source_clear(&file->source);
    *file = (struct model_file){0};
}

/* ---- settings ---- */

static void **slot_of(struct settings *settings, const struct key_row *row)
{
    return (void **)((char *)settings + row->offset);
}

static bool parse_whole(const char *text, void *value)
{
    return read_whole(text, value);
}

static bool parse_real(const char *text, void *value)
{
    return read_real(text, value);
}

static bool parse_flag(const char *text, void *value)
{
    *(bool *)value = !strcmp(text, "true");
    return *(bool *)value || !strcmp(text, "false");
}

/* How each type is read from a command line, and its size. */
static const struct {
    size_t size;
    bool (*parse)(const char *text, void *value);
    const char *wanted;
} key_types[] = {
    [KEY_WHOLE] = {sizeof(int64_t), parse_whole, "a whole number"},
    [KEY_REAL] = {sizeof(double), parse_real, "a number"},
    [KEY_FLAG] = {sizeof(bool), parse_flag, "true or false"},
};

bool key_parse(enum key_type type, const char *text, void *value)
{
    return key_types[type].parse(text, value);
}

const char *key_wanted(enum key_type type)
{
    return key_types[type].wanted;
}

static const struct key_row *find_setting(const char *name)
{
    for (size_t i = 0; i < n_settings; i++)
        if (!strcmp(setting_rows[i].name, name)) return &setting_rows[i];
    return NULL;
}

static bool in_range(const struct key_row *row, const void *value)
{
    if (row->type != KEY_WHOLE && row->type != KEY_REAL) return true;
    double number =
        row->type == KEY_REAL ? *(const double *)value : (double)*(const int64_t *)value;
    return number >= row->low && number <= row->high;
}

/* `of` lists optimizers or schedules, never both. */
static bool is_of_schedules(const struct key_row *row)
{
    for (int i = 0; i < CLG_SCHEDULE_COUNT; i++)
        if (word_in(row->of, clg_schedule_name((clg_schedule_kind)i))) return true;
    return false;
}

/* Whether a setting ("optimizer", "schedule") can be `word`; *hint: the nearest name if not. */
static bool known_kind(const char *setting, const char *word, const char **hint)
{
    const char *names[16];
    const bool schedules = !strcmp(setting, "schedule");
    const int count = schedules ? CLG_SCHEDULE_COUNT : CLG_OPTIMIZER_COUNT;
    for (int i = 0; i < count; i++) {
        names[i] = schedules ? clg_schedule_name((clg_schedule_kind)i)
                             : clg_optimizer_name((clg_optimizer_kind)i);
        if (!strcmp(names[i], word)) return true;
    }
    *hint = suggestion(word, names, (size_t)count);
    return false;
}

/*
 * The file's settings for an optimizer or a schedule that the command line replaces no longer mean
 * anything.
 */
static int replace_kind(struct settings *settings, const char *setting, const char *name)
{
    bool of_schedules = !strcmp(setting, "schedule");
    const char *hint;
    if (!known_kind(setting, name, &hint))
        return report_error(BAD_USAGE, "--%s: unknown %s '%s'%s", setting, setting, name, hint);
    for (size_t i = 0; i < n_settings; i++) {
        const struct key_row *row = &setting_rows[i];
        if (!*row->of || word_in(row->of, name) || is_of_schedules(row) != of_schedules) continue;
        free(*slot_of(settings, row));
        *slot_of(settings, row) = NULL;
    }
    return DONE;
}

static char *range_text(const struct key_row *row, char text[64])
{
    if (row->type == KEY_WHOLE)
        snprintf(text, 64, "%" PRId64 " .. %" PRId64, (int64_t)row->low,
                 row->high < 0x1p63 ? (int64_t)row->high : INT64_MAX);
    else
        snprintf(text, 64, "%.10g .. %.10g", row->low, row->high);
    return text;
}

int model_file_override(struct model_file *file, const char *setting, const char *text,
                        const char *option)
{
    const struct key_row *row = find_setting(setting);
    struct settings *settings = &file->content->training;
    bool kind = !strcmp(setting, "optimizer") || !strcmp(setting, "schedule");
    if (kind && replace_kind(settings, setting, text) != DONE) return BAD_USAGE;
    void *value = row->type == KEY_TEXT ? strdup(text) : malloc(key_types[row->type].size);
    if (!value) return report_error(NO_MEMORY, "out of memory");
    if (row->type != KEY_TEXT &&
        (!key_types[row->type].parse(text, value) || !in_range(row, value))) {
        char range[64];
        free(value);
        return report_error(BAD_USAGE, "--%s takes %s in %s, not '%s'", option,
                            key_types[row->type].wanted, range_text(row, range), text);
    }
    free(*slot_of(settings, row));
    *slot_of(settings, row) = value;
    return yaml_source_override(&file->source, row->section, row->name, option);
}

static int fill_default(struct settings *settings, const struct key_row *row)
{
    void **slot = slot_of(settings, row);
    if (row->type == KEY_TEXT && !row->text) return DONE;
    *slot = row->type == KEY_TEXT ? strdup(row->text) : malloc(key_types[row->type].size);
    if (!*slot) return report_error(NO_MEMORY, "out of memory");
    if (row->type == KEY_WHOLE) *(int64_t *)*slot = (int64_t)row->number;
    if (row->type == KEY_REAL) *(double *)*slot = row->number;
    if (row->type == KEY_FLAG) *(bool *)*slot = row->number != 0;
    return DONE;
}

static int setting_error(struct model_file *file, const struct key_row *row, const char *problem)
{
    char path[64];
    snprintf(path, sizeof path, "%s.%s", row->section, row->name);
    return yaml_source_error(&file->source, path, "%s %s", row->name, problem);
}

static int check_range(struct model_file *file, const struct key_row *row)
{
    if (in_range(row, *slot_of(&file->content->training, row))) return DONE;
    char problem[96], range[64];
    snprintf(problem, sizeof problem, "must be in %s", range_text(row, range));
    return setting_error(file, row, problem);
}

/* A setting of another optimizer or schedule is refused if it was given. */
static int resolve_setting(struct model_file *file, const struct key_row *row)
{
    struct settings *settings = &file->content->training;
    bool applies =
        !*row->of || word_in(row->of, settings->optimizer) || word_in(row->of, settings->schedule);
    if (!applies && *slot_of(settings, row)) {
        char problem[96];
        snprintf(problem, sizeof problem, "is a setting of %s only", row->of);
        return setting_error(file, row, problem);
    }
    if (!applies) return DONE;
    if (!*slot_of(settings, row)) return fill_default(settings, row);
    return check_range(file, row);
}

/* With `folds`, `fold` from 1 says which one is held out; 0 leaves it to cltrain train. */
static int check_folds(struct model_file *file)
{
    const struct settings *settings = &file->content->training;
    if (*settings->folds == 1)
        return setting_error(file, find_setting("folds"), "must be 2 or more, or 0 for none");
    if (*settings->fold <= *settings->folds) return DONE;
    return setting_error(file, find_setting("fold"), "is one of 1 .. folds");
}

/* A setting whose value is one of some words, in one string, separated by blanks. */
static int check_word(struct model_file *file, const char *setting, const char *choices)
{
    const struct key_row *row = find_setting(setting);
    const char *word = *slot_of(&file->content->training, row);
    char problem[96];
    if (!word || (*word && !strchr(word, ' ') && word_in(choices, word))) return DONE;
    snprintf(problem, sizeof problem, "is one of %s", choices);
    return setting_error(file, row, problem);
}

static int check_kind(struct model_file *file, const char *setting, const char *word)
{
    const char *hint;
    if (known_kind(setting, word, &hint)) return DONE;
    char path[64];
    snprintf(path, sizeof path, "training.%s", setting);
    return yaml_source_error(&file->source, path, "unknown %s '%s'%s", setting, word, hint);
}

int model_file_resolve(struct model_file *file)
{
    struct settings *settings = &file->content->training;
    int code = settings->optimizer ? DONE : fill_default(settings, find_setting("optimizer"));
    if (code == DONE && !settings->schedule)
        code = fill_default(settings, find_setting("schedule"));
    if (code == DONE) code = check_kind(file, "optimizer", settings->optimizer);
    if (code == DONE) code = check_kind(file, "schedule", settings->schedule);
    for (size_t i = 0; i < n_settings && code == DONE; i++)
        code = resolve_setting(file, &setting_rows[i]);
    if (code == DONE) code = check_word(file, "missing", "refuse drop fill");
    if (code == DONE) code = check_word(file, "fit", "crop stretch");
    if (code == DONE)
        code = check_word(file, "format", "builtin idx npz npy images cifar csv text");
    if (code == DONE) code = check_folds(file);
    if (code == DONE) code = milestones_check(file);
    if (code == DONE) optimizer_settings_resolve(settings);
    return code;
}
