/*
 * From the text of a layer's options to their values: parameters of blocks are put in for "$name",
 * numbers are parsed, and options that the kind of layer does not take, or lacks, are refused.
 */
#include <string.h>

#include "cltrain.h"
#include "network.h"

/* "stride=1" -> name "stride", the default or NULL behind it. */
static const char *parameter_default(const char *parameter, size_t *name_length)
{
    *name_length = strcspn(parameter, "=");
    return parameter[*name_length] ? parameter + *name_length + 1 : NULL;
}

const char *layer_text_value(struct layer_site *site, const char *option, const char *text)
{
    if (!text || *text != '$') return text;
    const struct block_call *call = site->call;
    if (!call) {
        layer_error(site, option, "'%s' stands for a parameter, but this is not in a block", text);
        return NULL;
    }
    char copies[MAX_PARAMETERS][64];
    const char *names[MAX_PARAMETERS];
    const struct block_text *block = call->block;
    for (unsigned i = 0; i < block->parameters_count; i++) {
        size_t length;
        parameter_default(block->parameters[i], &length);
        if (strlen(text + 1) == length && !strncmp(text + 1, block->parameters[i], length))
            return call->values[i];
        snprintf(copies[i], sizeof copies[i], "%.*s", (int)length, block->parameters[i]);
        names[i] = copies[i];
    }
    layer_error(site, option, "block '%s' has no parameter '%s'%s", block->name, text + 1,
                suggestion(text + 1, names, block->parameters_count));
    return NULL;
}

bool layer_read_options(struct layer_site *site, struct layer_values *values)
{
    *values = (struct layer_values){.spec.kind = layer_text_value(site, "kind", site->text->kind)};
    if (!values->spec.kind) return false;
    for (size_t i = 0; i < n_layer_options; i++) {
        const struct key_row *row = &layer_option_rows[i];
        const char *given = site->text->option[i];
        const char *text = layer_text_value(site, row->name, given);
        if (!given) continue;
        if (!text) return false;
        void **slot = (void **)((char *)&values->spec + row->offset);
        *slot = row->type == KEY_TEXT ? (void *)text : &values->number[i];
        if (row->type != KEY_TEXT && !key_parse(row->type, text, *slot))
            return layer_error(site, row->name, "'%s' takes %s, not '%.60s'", row->name,
                               key_wanted(row->type), text);
    }
    site->spec = &values->spec;
    return true;
}

/* ---- which options a kind has ---- */

/* Options with every kind, and those whose values are lists. */
static const char *const common = "repeat share activity_l1";
enum { N_LISTS = 3, N_ALL = N_OPTIONS + N_LISTS };

static bool option_at(const struct layer_site *site, size_t i, const char **name)
{
    const struct layer_text *text = site->text;
    const struct {
        const char *name;
        bool given;
    } lists[N_LISTS] = {
        {"with", text->with}, {"layers", text->layers}, {"shortcut", text->shortcut}};
    *name = i < N_OPTIONS ? layer_option_rows[i].name : lists[i - N_OPTIONS].name;
    return i < N_OPTIONS ? text->option[i] != NULL : lists[i - N_OPTIONS].given;
}

bool layer_check_options(struct layer_site *site, const struct layer_kind *kind)
{
    const char *allowed[N_ALL], *name;
    size_t count = 0;
    for (size_t i = 0; i < N_ALL; i++) {
        option_at(site, i, &name);
        if (word_in(kind->required, name) || word_in(kind->optional, name) || word_in(common, name))
            allowed[count++] = name;
    }
    for (size_t i = 0; i < N_ALL; i++) {
        bool given = option_at(site, i, &name), required = word_in(kind->required, name);
        if (given && !required && !word_in(kind->optional, name) && !word_in(common, name))
            return layer_error(site, name, "has no option '%s'%s", name,
                               suggestion(name, allowed, count));
        if (!given && required) return layer_error(site, "", "option '%s' is missing", name);
    }
    return true;
}

/* ---- initial weights ---- */

/* The scale that some kinds of initial values have, and factors on that of others. */
static bool read_init_scale(struct layer_site *site, clg_init *init)
{
    const struct layer_spec *spec = site->spec;
    const char *name = clg_init_name(init->kind);
    bool by_value = clg_init_takes_value(init->kind);
    if (by_value && !spec->init_value)
        return layer_error(site, "init", "init %s needs init_value", name);
    if (!by_value && spec->init_value)
        return layer_error(site, "init_value", "init %s has no init_value", name);
    if (spec->init_value) init->value = *spec->init_value;
    if (spec->init_gain) init->gain = *spec->init_gain;
    if (spec->init_slope) init->slope = *spec->init_slope;
    if (spec->init_gain && !(init->gain > 0))
        return layer_error(site, "init_gain", "init_gain must be above 0");
    return true;
}

bool layer_read_init(struct layer_site *site, clg_init *init, const clg_init **out)
{
    const struct layer_spec *spec = site->spec;
    const char *names[CLG_INIT_COUNT], *word = spec->init ? spec->init : "fan_in_uniform";
    if (!spec->init && !spec->init_value && !spec->init_gain && !spec->init_slope) return true;
    *out = init;
    if (clg_init_find(word, &init->kind)) return read_init_scale(site, init);
    for (int i = 0; i < CLG_INIT_COUNT; i++) names[i] = clg_init_name((clg_init_kind)i);
    return layer_error(site, "init", "unknown init '%s'%s", word,
                       suggestion(word, names, CLG_INIT_COUNT));
}

/* ---- parameters of a block ---- */

bool block_read_values(struct layer_site *site, const struct block_text *block,
                       const char *values[MAX_PARAMETERS])
{
    const struct layer_text *text = site->text;
    if (text->with_count > block->parameters_count)
        return layer_error(site, "with", "block '%s' has %u parameters, not %u", block->name,
                           block->parameters_count, text->with_count);
    for (unsigned i = 0; i < block->parameters_count; i++) {
        char option[32];
        size_t length;
        snprintf(option, sizeof option, "with[%u]", i);
        values[i] = i < text->with_count ? layer_text_value(site, option, text->with[i])
                                         : parameter_default(block->parameters[i], &length);
        if (!values[i] && i < text->with_count) return false;
        if (!values[i])
            return layer_error(site, "with", "a value for '%s' is missing: block '%s' needs it",
                               block->parameters[i], block->name);
    }
    return true;
}

static int check_block(struct model_file *file, unsigned index)
{
    const struct block_text *blocks = file->content->model.blocks, *block = &blocks[index];
    char path[64];
    snprintf(path, sizeof path, "model.blocks[%u].name", index);
    if (layer_kind_exists(block->name))
        return yaml_source_error(&file->source, path, "'%s' is a kind of layer already",
                                 block->name);
    for (unsigned i = 0; i < index; i++)
        if (!strcmp(blocks[i].name, block->name))
            return yaml_source_error(&file->source, path, "block '%s' is there twice", block->name);
    for (unsigned i = 0; i < block->parameters_count; i++) {
        size_t length;
        const char *value = parameter_default(block->parameters[i], &length);
        snprintf(path, sizeof path, "model.blocks[%u].parameters[%u]", index, i);
        if (length < 1 || length > 60 || (value && !*value))
            return yaml_source_error(&file->source, path,
                                     "a parameter is a word, or one with a default: stride=1");
    }
    return DONE;
}

int blocks_check(struct model_file *file)
{
    int code = DONE;
    for (unsigned i = 0; i < file->content->model.blocks_count && code == DONE; i++)
        code = check_block(file, i);
    return code;
}
