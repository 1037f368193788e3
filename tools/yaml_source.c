/*
 * Reading, checking and locating, as yaml_source.h says. Schemas may refer to
 * themselves, so the check bounds how deep it follows them; libcyaml comes after it.
 */
#include "yaml_source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"
#include "options.h"

/* Scalars with a NUL inside ("a\0b") are no text: C strings would end there. */
static const char *scalar_text(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE) return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

static int error_at(const struct yaml_source *source, const yaml_mark_t *mark, const char *format,
                    ...) CLG_PRINTF(3, 4);

static int error_at(const struct yaml_source *source, const yaml_mark_t *mark, const char *format,
                    ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return report_error(BAD_INPUT, "%s:%zu:%zu: %s", source->name, mark->line + 1, mark->column + 1,
                        text);
}

/* ---- reading ---- */

static int read_text(struct yaml_source *source, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) return report_error(BAD_INPUT, "%s: %s", path, strerror(errno));
    source->text = malloc(YAML_SOURCE_LIMIT + 1);
    if (source->text) source->size = fread(source->text, 1, YAML_SOURCE_LIMIT + 1, file);
    bool failed = ferror(file);
    int error = errno;
    fclose(file);
    if (!source->text) return report_error(NO_MEMORY, "out of memory");
    if (failed) return report_error(BAD_INPUT, "%s: %s", path, strerror(error));
    if (source->size > YAML_SOURCE_LIMIT)
        return report_error(BAD_INPUT, "%s: larger than %d KiB, which no model file is", path,
                            YAML_SOURCE_LIMIT / 1024);
    return DONE;
}

static int parser_error(const struct yaml_source *source, const yaml_parser_t *parser)
{
    if (parser->error == YAML_READER_ERROR)
        return report_error(BAD_INPUT, "%s: byte %zu: %s", source->name, parser->problem_offset,
                            parser->problem);
    return error_at(source, &parser->problem_mark, "%s",
                    parser->problem ? parser->problem : "not valid YAML");
}

/* libcyaml reads the first document and says nothing of the rest. */
static int refuse_another(const struct yaml_source *source, yaml_parser_t *parser)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next)) return parser_error(source, parser);
    int code = DONE;
    if (yaml_document_get_root_node(&next))
        code =
            error_at(source, &next.start_mark, "a second document begins; a model file holds one");
    yaml_document_delete(&next);
    return code;
}

static int parse(struct yaml_source *source)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) return report_error(NO_MEMORY, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)source->text, source->size);
    source->parsed = yaml_parser_load(&parser, &source->document);
    int code = DONE;
    if (!source->parsed)
        code = parser_error(source, &parser);
    else if (!yaml_document_get_root_node(&source->document))
        code = report_error(BAD_INPUT, "%s: the file is empty", source->name);
    else
        code = refuse_another(source, &parser);
    yaml_parser_delete(&parser);
    return code;
}

int yaml_source_read(struct yaml_source *source, const char *path)
{
    *source = (struct yaml_source){.name = strdup(path)};
    if (!source->name) return report_error(NO_MEMORY, "out of memory");
    int code = read_text(source, path);
    return code == DONE ? parse(source) : code;
}

int yaml_source_parse(struct yaml_source *source, const char *name, const char *text, size_t size)
{
    *source = (struct yaml_source){.name = strdup(name), .text = malloc(size + 1), .size = size};
    if (!source->name || !source->text) return report_error(NO_MEMORY, "out of memory");
    memcpy(source->text, text, size);
    return parse(source);
}

void yaml_source_clear(struct yaml_source *source)
{
    if (source->parsed) yaml_document_delete(&source->document);
    free(source->text);
    free(source->name);
    *source = (struct yaml_source){0};
}

/* ---- checking against a schema ---- */

static int check_node(struct yaml_source *source, const yaml_node_t *node,
                      const cyaml_schema_value_t *schema, const char *key);

static int check_key(struct yaml_source *source, const yaml_node_t *key,
                     const cyaml_schema_field_t *fields, const cyaml_schema_field_t **found)
{
    const char *names[64], *word = scalar_text(key);
    size_t count = 0;
    if (!word) return error_at(source, &key->start_mark, "a key must be a plain word");
    for (const cyaml_schema_field_t *field = fields; field->key; field++) {
        if (!strcmp(field->key, word)) return *found = field, DONE;
        if (count < 64) names[count++] = field->key;
    }
    return error_at(source, &key->start_mark, "unknown key '%s'%s", word,
                    suggestion(word, names, count));
}

static int check_repeated(struct yaml_source *source, const yaml_node_t *map,
                          const yaml_node_pair_t *last)
{
    const char *word = scalar_text(yaml_document_get_node(&source->document, last->key));
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < last; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&source->document, pair->key);
        if (!strcmp(scalar_text(key), word))
            return error_at(
                source, &yaml_document_get_node(&source->document, last->key)->start_mark,
                "key '%s' is given twice (first in line %zu)", word, key->start_mark.line + 1);
    }
    return DONE;
}

static int check_missing(struct yaml_source *source, const yaml_node_t *map,
                         const cyaml_schema_field_t *fields)
{
    for (const cyaml_schema_field_t *field = fields; field->key; field++) {
        bool present = field->value.flags & CYAML_FLAG_OPTIONAL;
        for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start;
             !present && pair < map->data.mapping.pairs.top; pair++)
            present = !strcmp(scalar_text(yaml_document_get_node(&source->document, pair->key)),
                              field->key);
        if (!present) return error_at(source, &map->start_mark, "key '%s' is missing", field->key);
    }
    return DONE;
}

static int check_mapping(struct yaml_source *source, const yaml_node_t *node,
                         const cyaml_schema_field_t *fields)
{
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const cyaml_schema_field_t *field = NULL;
        int code =
            check_key(source, yaml_document_get_node(&source->document, pair->key), fields, &field);
        if (code == DONE) code = check_repeated(source, node, pair);
        if (code == DONE)
            code = check_node(source, yaml_document_get_node(&source->document, pair->value),
                              &field->value, field->key);
        if (code != DONE) return code;
    }
    return check_missing(source, node, fields);
}

static int check_sequence(struct yaml_source *source, const yaml_node_t *node,
                          const cyaml_schema_value_t *schema, const char *key)
{
    size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count < schema->sequence.min || count > schema->sequence.max)
        return error_at(source, &node->start_mark, "'%s' takes %u to %u entries, not %zu", key,
                        schema->sequence.min, schema->sequence.max, count);
    for (size_t i = 0; i < count; i++) {
        int code = check_node(
            source, yaml_document_get_node(&source->document, node->data.sequence.items.start[i]),
            schema->sequence.entry, key);
        if (code != DONE) return code;
    }
    return DONE;
}

static bool is_whole(const char *text)
{
    int64_t number;
    return read_whole(text, &number);
}

static bool is_real(const char *text)
{
    double number;
    return read_real(text, &number);
}

static bool is_bool(const char *text)
{
    return !strcmp(text, "true") || !strcmp(text, "false");
}

static bool is_any(const char *text)
{
    return true;
}

/* What each scalar type of the schemas accepts; libcyaml is more lenient ("-4" as unsigned). */
static const struct {
    enum cyaml_type type;
    bool (*accepts)(const char *);
    const char *wanted;
} scalar_types[] = {
    {CYAML_INT, is_whole, "a whole number"},
    {CYAML_FLOAT, is_real, "a number"},
    {CYAML_BOOL, is_bool, "true or false"},
    {CYAML_STRING, is_any, "a word"},
};

static int check_scalar(struct yaml_source *source, const yaml_node_t *node,
                        const cyaml_schema_value_t *schema, const char *key)
{
    const char *text = scalar_text(node);
    for (size_t i = 0; i < sizeof scalar_types / sizeof *scalar_types; i++) {
        if (scalar_types[i].type != schema->type) continue;
        if (text && *text && scalar_types[i].accepts(text)) return DONE;
        return error_at(source, &node->start_mark, "'%s' takes %s%s%.60s%s", key,
                        scalar_types[i].wanted, text ? ", not '" : "", text ? text : "",
                        text ? "'" : "");
    }
    return error_at(source, &node->start_mark, "'%s' cannot be checked", key);
}

static int check_kind_of_node(struct yaml_source *source, const yaml_node_t *node,
                              const cyaml_schema_value_t *schema, const char *key)
{
    if (schema->type == CYAML_MAPPING) {
        if (node->type == YAML_MAPPING_NODE)
            return check_mapping(source, node, schema->mapping.fields);
        return error_at(source, &node->start_mark, "'%s' takes {key: value} here", key);
    }
    if (schema->type == CYAML_SEQUENCE) {
        if (node->type == YAML_SEQUENCE_NODE) return check_sequence(source, node, schema, key);
        return error_at(source, &node->start_mark, "'%s' takes a list", key);
    }
    return check_scalar(source, node, schema, key);
}

static int check_node(struct yaml_source *source, const yaml_node_t *node,
                      const cyaml_schema_value_t *schema, const char *key)
{
    if (source->depth == YAML_SOURCE_DEPTH)
        return error_at(source, &node->start_mark, "nested more than %d levels deep",
                        YAML_SOURCE_DEPTH);
    source->depth++;
    int code = check_kind_of_node(source, node, schema, key);
    source->depth--;
    return code;
}

int yaml_source_check(struct yaml_source *source, const cyaml_schema_value_t *schema)
{
    return check_node(source, yaml_document_get_root_node(&source->document), schema, source->name);
}

/* ---- locating ---- */

/* The child that the first step of `path` names, and the rest of the path; NULL if there is none.
 */
static const yaml_node_t *descend(struct yaml_source *source, const yaml_node_t *node,
                                  const char **path)
{
    yaml_document_t *document = &source->document;
    *path += **path == '.';
    if (**path == '[' && node->type == YAML_SEQUENCE_NODE) {
        char *end;
        long index = strtol(*path + 1, &end, 10);
        *path = end + 1;
        long count = node->data.sequence.items.top - node->data.sequence.items.start;
        return index < count
                   ? yaml_document_get_node(document, node->data.sequence.items.start[index])
                   : NULL;
    }
    size_t length = strcspn(*path, ".[");
    const char *word = *path;
    *path += length;
    if (node->type != YAML_MAPPING_NODE) return NULL;
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const char *key = scalar_text(yaml_document_get_node(document, pair->key));
        if (key && strlen(key) == length && !strncmp(key, word, length))
            return yaml_document_get_node(document, pair->value);
    }
    return NULL;
}

/* The node with this path, or the deepest one on the way that exists. */
static const yaml_node_t *locate(struct yaml_source *source, const char *path)
{
    const yaml_node_t *node = yaml_document_get_root_node(&source->document);
    for (const yaml_node_t *next = node; next && *path;) {
        next = descend(source, next, &path);
        if (next) node = next;
    }
    return node;
}

size_t yaml_source_line(struct yaml_source *source, const char *path)
{
    return locate(source, path)->start_mark.line + 1;
}

int yaml_source_override(struct yaml_source *source, const char *section, const char *key,
                         const char *option)
{
    if (source->overridden == YAML_SOURCE_OVERRIDES)
        return report_error(FAILED, "more than %d options", YAML_SOURCE_OVERRIDES);
    source->overrides[source->overridden++] = (struct yaml_override){section, key, option};
    return DONE;
}

static const char *overriding_option(const struct yaml_source *source, const char *path)
{
    for (int i = 0; i < source->overridden; i++) {
        const struct yaml_override *given = &source->overrides[i];
        size_t length = strlen(given->section);
        if (!strncmp(path, given->section, length) && path[length] == '.' &&
            !strcmp(path + length + 1, given->key))
            return given->option;
    }
    return NULL;
}

int yaml_source_error(struct yaml_source *source, const char *path, const char *format, ...)
{
    const yaml_node_t *node = locate(source, path);
    const char *option = overriding_option(source, path);
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (option) return report_error(BAD_USAGE, "--%s: %s", option, text);
    return report_error(BAD_INPUT, "%s:%zu:%zu: %s", source->name, node->start_mark.line + 1,
                        node->start_mark.column + 1, text);
}
