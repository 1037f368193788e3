/*
 * Weights from elsewhere. A file whose metadata has our settings holds arrays as they are here; any
 * other is taken to be PyTorch's, with the output channels in front:
 *
 *   convolution             (O, I, KH, KW)  ->  (KH, KW, I, O)
 *   transposed convolution  (I, O, KH, KW)  ->  (KH, KW, O, I)
 *   linear                  (O, I)          ->  (I, O)
 *
 * and a linear layer behind a flattened image gets its rows from (C, H, W) to (H, W, C).
 */
#include "transfer.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clgrad/data.h"
#include "cltrain.h"
#include "summary.h"

/* ---- patterns ---- */

static bool matches_any(const char *patterns, const char *name)
{
    char word[MAX_NAME + 1];
    while (patterns && *(patterns += strspn(patterns, " "))) {
        size_t length = strcspn(patterns, " ");
        snprintf(word, sizeof word, "%.*s", (int)length, patterns);
        if (!fnmatch(word, name, 0)) return true;
        patterns += length;
    }
    return false;
}

/* Variables of the model, without those of optimizer and trainer. */
static clg_tensor *model_variable(const struct network *network, size_t index)
{
    return index < network->n_counted ? clg_graph_variable(network->graph, index) : NULL;
}

static bool matches_trained(const struct network *network, const char *pattern)
{
    clg_tensor *variable;
    for (size_t i = 0; (variable = model_variable(network, i)); i++)
        if (clg_tensor_trainable(variable) && !fnmatch(pattern, clg_tensor_name(variable), 0))
            return true;
    return false;
}

static int add_group(struct transfer_groups *groups, const struct network *network,
                     struct model_file *file, char *word, bool frozen)
{
    const char *path = frozen ? "training.freeze" : "training.lr_factors";
    clg_parameter_group group = {.pattern = word, .frozen = frozen};
    if (groups->count == MAX_PATTERNS)
        return yaml_source_error(&file->source, path, "more than %d patterns", MAX_PATTERNS);
    if (!frozen) {
        char *equals = strrchr(word, '=');
        if (equals) *equals++ = '\0';
        if (!equals || !key_parse(KEY_REAL, equals, &group.lr_factor) || group.lr_factor <= 0)
            return yaml_source_error(&file->source, path,
                                     "'%s' is not a pattern and a positive factor: conv*=0.1",
                                     word);
    }
    if (!matches_trained(network, word))
        return yaml_source_error(&file->source, path, "no trained variable is called '%s'", word);
    groups->group[groups->count++] = group;
    return DONE;
}

/* A misspelt pattern would leave the old head in its place. */
static int check_fresh(const struct network *network, struct model_file *file)
{
    const struct settings *settings = &file->content->training;
    char *text = settings->fresh ? strdup(settings->fresh) : NULL, *state = NULL;
    int code = DONE;
    if (!settings->fresh) return DONE;
    if (!text) return report_error(NO_MEMORY, "out of memory");
    if (!settings->init_from)
        code = yaml_source_error(&file->source, "training.fresh",
                                 "everything starts anew without init_from");
    for (char *word = strtok_r(text, " ", &state); word && code == DONE;
         word = strtok_r(NULL, " ", &state))
        if (!matches_trained(network, word))
            code = yaml_source_error(&file->source, "training.fresh",
                                     "no trained variable is called '%s'", word);
    free(text);
    return code;
}

int transfer_groups_read(struct transfer_groups *groups, const struct network *network,
                         struct model_file *file)
{
    const struct settings *settings = &file->content->training;
    const char *freeze = settings->freeze ? settings->freeze : "";
    const char *factors = settings->lr_factors ? settings->lr_factors : "";
    size_t frozen = strlen(freeze);
    *groups = (struct transfer_groups){.text = malloc(frozen + strlen(factors) + 2)};
    if (!groups->text) return report_error(NO_MEMORY, "out of memory");
    sprintf(groups->text, "%s %s", freeze, factors);
    char *state = NULL;
    int code = check_fresh(network, file);
    for (char *word = strtok_r(groups->text, " ", &state); word && code == DONE;
         word = strtok_r(NULL, " ", &state))
        code = add_group(groups, network, file, word, (size_t)(word - groups->text) < frozen);
    return code;
}

void transfer_groups_clear(struct transfer_groups *groups)
{
    free(groups->text);
    *groups = (struct transfer_groups){0};
}

/* ---- layouts ---- */

/* A weight on its way in. */
struct import {
    struct model_file *file;
    const clg_array *array;
    clg_tensor *variable;
    clg_shape image; /* in front of the flatten that feeds this linear layer; ndim 0: none */
    bool foreign;    /* PyTorch's layout */
};

/* The shape that the variable has in a PyTorch file. */
static clg_shape foreign_shape(const clg_shape *own)
{
    clg_shape shape = *own;
    if (own->ndim == 2) shape = CLG_SHAPE(own->dim[1], own->dim[0]);
    if (own->ndim == 4) shape = CLG_SHAPE(own->dim[3], own->dim[2], own->dim[0], own->dim[1]);
    return shape;
}

/* Where element (row, column) of our (rows, columns) weight stands in the file's. */
static int64_t source_index(const struct import *import, const clg_shape *own, int64_t row,
                            int64_t column)
{
    if (own->ndim == 4) { /* row = (kh, kw, i) */
        int64_t in = own->dim[2], area = own->dim[0] * own->dim[1];
        return (column * in + row % in) * area + row / in;
    }
    const clg_shape *image = &import->image;
    if (image->ndim == 4) { /* row = (h, w, c) */
        int64_t channels = image->dim[3], area = image->dim[1] * image->dim[2];
        row = row % channels * area + row / channels;
    }
    return column * own->dim[0] + row;
}

static void import_values(const struct import *import, float *values)
{
    const clg_shape *own = clg_tensor_shape(import->variable);
    const char *data = import->array->data; /* may be at an odd address */
    int64_t count = clg_shape_count(own);
    if (!import->foreign || own->ndim == 1) {
        memcpy(values, data, (size_t)count * sizeof *values);
        return;
    }
    int64_t columns = own->dim[own->ndim - 1];
    for (int64_t i = 0; i < count; i++)
        memcpy(&values[i],
               data + sizeof *values * (size_t)source_index(import, own, i / columns, i % columns),
               sizeof *values);
}

/* ---- loading ---- */

/* Whoever named the file: what it holds is input, and no wrong usage. */
static int import_error(const struct import *import, const char *path)
{
    char texts[2][128];
    const char *name = clg_tensor_name(import->variable);
    clg_shape wanted = *clg_tensor_shape(import->variable);
    if (import->foreign) wanted = foreign_shape(&wanted);
    clg_shape_text(&wanted, texts[0], sizeof texts[0]);
    struct yaml_source *source = &import->file->source;
    if (!import->array)
        yaml_source_error(source, "training.init_from",
                          "%s has no '%s' %s; 'fresh: %s' lets it start anew", path, name, texts[0],
                          name);
    else if (import->array->dtype != CLG_F32)
        yaml_source_error(source, "training.init_from", "%s: '%s' is not F32", path, name);
    else
        yaml_source_error(
            source, "training.init_from",
            "%s: '%s' is %s, but the model needs %s; 'fresh: %s' lets it start anew", path, name,
            clg_shape_text(&import->array->shape, texts[1], sizeof texts[1]), texts[0], name);
    return BAD_INPUT;
}

static int import_one(const struct import *import, const char *path)
{
    const clg_shape *own = clg_tensor_shape(import->variable);
    clg_shape wanted = import->foreign ? foreign_shape(own) : *own;
    if (!import->array || import->array->dtype != CLG_F32 ||
        !clg_shape_equal(&import->array->shape, &wanted))
        return import_error(import, path);
    int64_t count = clg_shape_count(own);
    float *values = malloc((size_t)count * sizeof *values);
    if (!values) return report_error(NO_MEMORY, "out of memory");
    import_values(import, values);
    clg_status status = clg_variable_write(import->variable, values, count);
    free(values);
    return status == CLG_OK ? DONE : report_status(status, path);
}

/* Row of the layer that the variable belongs to; -1: none of its own, as for a projection. */
static int row_of(const struct network *network, const char *variable)
{
    const char *dot = strrchr(variable, '.');
    size_t length = dot ? (size_t)(dot - variable) : 0;
    int row = network->n_rows - 1;
    while (row >= 0 && (strlen(network->rows[row].name) != length ||
                        strncmp(network->rows[row].name, variable, length)))
        row--;
    return row;
}

/* The image whose flattened pixels the linear layer in this row takes, if it does. */
static clg_shape flattened_image(const struct network *network, int at)
{
    clg_shape none = {0};
    for (at--; at >= 0; at--) {
        const struct summary_row *row = &network->rows[at];
        const clg_shape *input =
            at ? &network->rows[at - 1].output : clg_tensor_shape(network->image);
        if (!strcmp(row->kind, "flatten")) return input->ndim == 4 ? *input : none;
        if (!clg_shape_equal(&row->output, input)) return none;
    }
    return none;
}

static bool is_fitted(const struct network *network, const char *name)
{
    for (int i = 0; i < network->n_fitted; i++) {
        size_t length = strlen(network->fitted[i].name);
        if (!strncmp(network->fitted[i].name, name, length) && name[length] == '.') return true;
    }
    return false;
}

/* Convolutions are the variables with four axes; of those with two, linear layers differ. */
static void set_layout(struct import *import, const struct network *network, bool foreign)
{
    int row = row_of(network, clg_tensor_name(import->variable));
    bool linear = row >= 0 && !strcmp(network->rows[row].kind, "linear");
    import->foreign = foreign && (clg_tensor_shape(import->variable)->ndim == 4 || linear);
    if (linear) import->image = flattened_image(network, row);
}

static int import_all(struct network *network, struct model_file *file,
                      const clg_safetensors *source, const char *path)
{
    clg_tensor *variable;
    size_t taken = 0, fresh = 0;
    bool foreign = !clg_safetensors_metadata(source, "settings");
    for (size_t i = 0; (variable = model_variable(network, i)); i++) {
        const char *name = clg_tensor_name(variable);
        struct import import = {
            .file = file, .array = clg_safetensors_find(source, name), .variable = variable};
        if (matches_any(file->content->training.fresh, name) ||
            (!import.array && is_fitted(network, name))) {
            fresh++;
            continue;
        }
        set_layout(&import, network, foreign);
        int code = import_one(&import, path);
        if (code != DONE) return code;
        taken++;
    }
    report_note("Weights: %zu variables from %s (%s layout), %zu start anew", taken, path,
                foreign ? "PyTorch's" : "our", fresh);
    return DONE;
}

int transfer_load(struct network *network, struct model_file *file)
{
    const char *path = file->content->training.init_from;
    clg_safetensors *source = NULL;
    struct stat info;
    if (!path) return DONE;
    bool directory = !stat(path, &info) && S_ISDIR(info.st_mode);
    clg_status status = directory ? clg_checkpoint_load(&source, path, "latest", NULL)
                                  : clg_safetensors_open(&source, path, NULL);
    if (status != CLG_OK) return report_status(status, "init_from");
    int code = import_all(network, file, source, path);
    clg_safetensors_destroy(source);
    return code;
}
