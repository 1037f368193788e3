/*
 * A YAML file with the positions of its nodes. libcyaml fills structs but keeps no positions, and
 * says where it stood rather than where the mistake is; so the file is parsed once more by libyaml
 * (which libcyaml itself uses), checked against the same libcyaml schema with exact lines and
 * columns, and kept, so that later findings ("layer 4 does not fit") can be located too.
 */
#ifndef CLTRAIN_YAML_SOURCE_H
#define CLTRAIN_YAML_SOURCE_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <yaml.h>

#include "clgrad/base.h"

enum {
    YAML_SOURCE_LIMIT = 64 * 1024, /* bytes; a model file is a page or two */
    YAML_SOURCE_DEPTH = 40,        /* lists and mappings in each other */
    YAML_SOURCE_OVERRIDES = 32     /* values that come from the command line */
};

struct yaml_source {
    char *name; /* for messages */
    char *text;
    size_t size;
    yaml_document_t document;
    bool parsed; /* `document` is to be freed */
    int depth;   /* of the node that is being checked */
    struct yaml_override {
        const char *section, *key, *option;
    } overrides[YAML_SOURCE_OVERRIDES];
    int overridden;
};

/** Reads and parses a file. DONE, or an exit code after a message; clear it in both cases. */
int yaml_source_read(struct yaml_source *source, const char *path);
/** Same from text in memory (copied). */
int yaml_source_parse(struct yaml_source *source, const char *name, const char *text, size_t size);
void yaml_source_clear(struct yaml_source *source);

/** Checks keys, node types and numbers against the schema; messages as in yaml_source_read. */
int yaml_source_check(struct yaml_source *source, const cyaml_schema_value_t *schema);

/**
 * The value with the path SECTION.KEY comes from an option: errors name that, as wrong usage. All
 * texts are borrowed.
 */
int yaml_source_override(struct yaml_source *source, const char *section, const char *key,
                         const char *option);

/**
 * Reports an error at the node with this path ("model.layers[2].kernel"), or at the deepest part of
 * the path that exists. Returns BAD_INPUT, or BAD_USAGE if it is an option's.
 */
int yaml_source_error(struct yaml_source *source, const char *path, const char *format, ...)
    CLG_PRINTF(3, 4);

/** Line of the node with this path, from 1, in the same way. */
size_t yaml_source_line(struct yaml_source *source, const char *path);

#endif
