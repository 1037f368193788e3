/*
 * The resolved model file of a run. Written by hand from the tables rather than by libcyaml, which
 * prints 0.001 as 1.0000000000000000e-03: this file is read by people. Numbers are the shortest
 * text that reads back to the same bits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"
#include "model_file.h"

static void write_real(FILE *file, double value)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, file);
}

/* Plain where that cannot be misread, else double-quoted with YAML's escapes. */
static void write_text(FILE *file, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./$=";
    bool number = *text == '-' && text[1] >= '0' && text[1] <= '9';
    if (strchr(plain, *text) && *text && (*text != '-' || number) && !text[strspn(text, plain)]) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', file);
        if ((unsigned char)*text < 0x20)
            fprintf(file, "\\x%02x", (unsigned)*text);
        else
            fputc(*text, file);
    }
    fputc('"', file);
}

static void write_value(FILE *file, const struct key_row *row, const void *value)
{
    switch (row->type) {
    case KEY_TEXT:
        write_text(file, value);
        break;
    case KEY_WHOLE:
        fprintf(file, "%lld", (long long)*(const int64_t *)value);
        break;
    case KEY_REAL:
        write_real(file, *(const double *)value);
        break;
    case KEY_FLAG:
        fputs(*(const bool *)value ? "true" : "false", file);
        break;
    }
}

/* [a, b] */
static void write_words(FILE *file, char *const *words, unsigned count)
{
    fputc('[', file);
    for (unsigned i = 0; i < count; i++) {
        fputs(i ? ", " : "", file);
        write_text(file, words[i]);
    }
    fputc(']', file);
}

static void write_layers(FILE *file, const char *key, const struct layer_text *layers,
                         unsigned count, int indent);

/* {kind: conv2d, channels: 8}, or a line for each key if there are lists of layers inside. */
static void write_layer(FILE *file, const struct layer_text *layer, int indent)
{
    bool nested = layer->layers || layer->shortcut;
    fprintf(file, "%*s- %skind: ", indent, "", nested ? "" : "{");
    write_text(file, layer->kind);
    for (size_t i = 0; i <= N_OPTIONS; i++) {
        bool words = i == N_OPTIONS;
        if (words ? !layer->with : !layer->option[i]) continue;
        if (nested)
            fprintf(file, "\n%*s%s: ", indent + 2, "", words ? "with" : layer_option_rows[i].name);
        else
            fprintf(file, ", %s: ", words ? "with" : layer_option_rows[i].name);
        if (words)
            write_words(file, layer->with, layer->with_count);
        else
            write_text(file, layer->option[i]);
    }
    fputs(nested ? "\n" : "}\n", file);
    write_layers(file, "layers", layer->layers, layer->layers_count, indent + 2);
    write_layers(file, "shortcut", layer->shortcut, layer->shortcut_count, indent + 2);
}

static void write_layers(FILE *file, const char *key, const struct layer_text *layers,
                         unsigned count, int indent)
{
    if (!layers) return;
    fprintf(file, "%*s%s:\n", indent, "", key);
    for (unsigned i = 0; i < count; i++) write_layer(file, &layers[i], indent + 2);
}

static void write_block(FILE *file, const struct block_text *block)
{
    fputs("    - name: ", file);
    write_text(file, block->name);
    if (block->parameters_count) {
        fputs("\n      parameters: ", file);
        write_words(file, block->parameters, block->parameters_count);
    }
    fputc('\n', file);
    write_layers(file, "layers", block->layers, block->layers_count, 6);
}

/* A key of the model that may be missing. */
static void write_word(FILE *file, const char *key, const char *word)
{
    if (!word) return;
    fprintf(file, "  %s: ", key);
    write_text(file, word);
    fputc('\n', file);
}

static void write_model(FILE *file, const struct model_spec *model)
{
    fputs("model:\n  name: ", file);
    write_text(file, model->name);
    fputs("\n  input: [", file);
    for (unsigned i = 0; i < model->input_count; i++)
        fprintf(file, "%s%lld", i ? ", " : "", (long long)model->input[i]);
    fputs("]\n", file);
    if (model->classes) fprintf(file, "  classes: %lld\n", (long long)*model->classes);
    if (model->outputs) fprintf(file, "  outputs: %lld\n", (long long)*model->outputs);
    write_word(file, "loss", model->loss);
    write_word(file, "target", model->target);
    if (model->blocks_count) fputs("  blocks:\n", file);
    for (unsigned i = 0; i < model->blocks_count; i++) write_block(file, &model->blocks[i]);
    write_layers(file, "layers", model->layers, model->layers_count, 2);
}

static void write_settings(FILE *file, const char *section, const struct settings *settings)
{
    fprintf(file, "%s:\n", section);
    for (size_t i = 0; i < n_settings; i++) {
        const struct key_row *row = &setting_rows[i];
        const void *value = *(void *const *)((const char *)settings + row->offset);
        if (!value || strcmp(row->section, section)) continue;
        fprintf(file, "  %s: ", row->name);
        write_value(file, row, value);
        fputc('\n', file);
    }
}

char *model_file_text(const struct model_file *file)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    fputs("# The model and all settings of this run, as they were used.\n", out);
    write_model(out, &file->content->model);
    write_settings(out, "data", &file->content->training);
    write_settings(out, "training", &file->content->training);
    bool failed = ferror(out);
    if (!fclose(out) && !failed) return text;
    free(text);
    return NULL;
}
