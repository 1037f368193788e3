/*
 * Saving and restoring a graph: variables become arrays of the same names and shapes in a
 * safetensors file, the position in the training run becomes metadata.
 *
 * Restoring checks every name, type and shape before the first variable changes. Arrays whose names
 * start with "optimizer." or "ema." are state of clg_minimize: a graph for inference does without
 * them, or takes the averages "ema.<name>" for the parameters.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "clgrad/checkpoint.h"

static bool is_optimizer_state(const char *name)
{
    return strncmp(name, "optimizer.", 10) == 0 || strncmp(name, "ema.", 4) == 0;
}

static size_t count_variables(const clg_graph *graph)
{
    size_t n = 0;
    while (clg_graph_variable(graph, n)) n++;
    return n;
}

/* ---- saving ---- */

/* The numbers of the run, as text. */
typedef struct run_texts {
    char step[24], accumulated[24], epoch[24], batch[24], seed[24];
} run_texts;

/* Writes what describes the run in front of the caller's pairs; *out has room for all. */
static size_t fill_metadata(const clg_graph *graph, const clg_graph_save_params *p, run_texts *text,
                            clg_metadata *out)
{
    size_t n = 0;
    snprintf(text->step, sizeof text->step, "%llu", (unsigned long long)clg_graph_steps(graph));
    snprintf(text->epoch, sizeof text->epoch, "%llu", (unsigned long long)p->epoch);
    snprintf(text->batch, sizeof text->batch, "%lld", (long long)p->batch);
    snprintf(text->seed, sizeof text->seed, "%llu", (unsigned long long)p->seed);
    snprintf(text->accumulated, sizeof text->accumulated, "%llu",
             (unsigned long long)clg_graph_accumulated(graph));
    out[n++] = (clg_metadata){"step", text->step};
    out[n++] = (clg_metadata){"accumulated", text->accumulated};
    out[n++] = (clg_metadata){"epoch", text->epoch};
    out[n++] = (clg_metadata){"batch", text->batch};
    out[n++] = (clg_metadata){"seed", text->seed};
    if (p->settings) out[n++] = (clg_metadata){"settings", p->settings};
    for (size_t i = 0; i < p->metadata_count; i++) out[n++] = p->metadata[i];
    return n;
}

static clg_status save_arrays(const clg_graph *graph, const char *directory,
                              const clg_graph_save_params *p, const clg_array *arrays, size_t count)
{
    run_texts text;
    clg_metadata *metadata = clg__calloc(p->metadata_count + 6, sizeof *metadata);
    if (!metadata) return CLG_ERROR_MEMORY;
    clg_checkpoint_params file = {.step = clg_graph_steps(graph),
                                  .metadata = metadata,
                                  .metadata_count = fill_metadata(graph, p, &text, metadata),
                                  .best = p->best,
                                  .keep = p->keep};
    clg_status status = clg_checkpoint_save(directory, arrays, count, &file);
    clg__free(metadata);
    return status;
}

/* Copies a variable's value to the host; the caller frees array->data. */
static clg_status read_variable(const clg_tensor *variable, clg_array *array)
{
    const clg_shape *shape = clg_tensor_shape(variable);
    int64_t count = clg_shape_count(shape);
    float *data = clg__alloc((size_t)count * sizeof *data);
    if (!data) return CLG_ERROR_MEMORY;
    clg_status status = clg_variable_read(variable, data, count);
    if (status == CLG_OK)
        *array = (clg_array){clg_tensor_name(variable), CLG_F32, *shape, data};
    else
        clg__free(data);
    return status;
}

clg_status clg_graph_save(const clg_graph *graph, const char *directory,
                          const clg_graph_save_params *params)
{
    static const clg_graph_save_params defaults = {0};
    const clg_graph_save_params *p = params ? params : &defaults;
    if (!graph || !directory)
        return clg__fail(CLG_ERROR_ARGUMENT, "saving a graph: no graph or no directory");
    size_t count = count_variables(graph), n = 0;
    clg_array *arrays = clg__calloc(count, sizeof *arrays);
    clg_status status = arrays ? CLG_OK : CLG_ERROR_MEMORY;
    for (; n < count && status == CLG_OK; n++)
        status = read_variable(clg_graph_variable(graph, n), &arrays[n]);
    if (status == CLG_OK) status = save_arrays(graph, directory, p, arrays, count);
    for (size_t i = 0; arrays && i < n; i++) clg__free((void *)arrays[i].data);
    clg__free(arrays);
    return status;
}

/* ---- restoring: checks ---- */

#define SHAPE_TEXT(shape) clg_shape_text((shape), (char[128]){0}, 128)

/* The array for a variable; with `averaged`, that of its average if there is one. */
static const clg_array *array_of(const clg_safetensors *file, const clg_tensor *variable,
                                 bool averaged)
{
    const char *name = clg_tensor_name(variable);
    const clg_array *array = NULL;
    clg__str text = {0};
    if (averaged) clg__str_addf(&text, "ema.%s", name);
    if (averaged && !text.failed) array = clg_safetensors_find(file, text.text);
    clg__str_free(&text);
    return array ? array : clg_safetensors_find(file, name);
}

static bool array_fits(const clg_tensor *variable, const clg_array *array)
{
    return array && array->dtype == CLG_F32 &&
           clg_shape_equal(&array->shape, clg_tensor_shape(variable));
}

/* The failure that names the variable and what the file has instead. */
static clg_status misfit(const clg_tensor *variable, const clg_array *array)
{
    const char *name = clg_tensor_name(variable);
    const char *shape = SHAPE_TEXT(clg_tensor_shape(variable));
    if (!array)
        return clg__fail(CLG_ERROR_FORMAT, "the checkpoint has no %s %s that the graph needs", name,
                         shape);
    if (array->dtype != CLG_F32)
        return clg__fail(CLG_ERROR_FORMAT, "%s has another element type than F32 in the checkpoint",
                         name);
    return clg__fail(CLG_ERROR_FORMAT, "%s is %s in the checkpoint, but %s in the graph", name,
                     SHAPE_TEXT(&array->shape), shape);
}

static clg_status check_variables(const clg_graph *graph, const clg_safetensors *file,
                                  bool averaged)
{
    const clg_tensor *v;
    for (size_t i = 0; (v = clg_graph_variable(graph, i)); i++) {
        const clg_array *array = array_of(file, v, averaged);
        if (!array_fits(v, array)) return misfit(v, array);
    }
    return CLG_OK;
}

static bool has_optimizer(const clg_graph *graph)
{
    const clg_tensor *v;
    for (size_t i = 0; (v = clg_graph_variable(graph, i)); i++)
        if (is_optimizer_state(clg_tensor_name(v))) return true;
    return false;
}

/* The file holds nothing that the graph does not know, except for state that it can do without. */
static clg_status check_arrays(const clg_graph *graph, const clg_safetensors *file)
{
    bool has_state = has_optimizer(graph);
    const clg_array *array;
    for (size_t i = 0; (array = clg_safetensors_get(file, i)); i++) {
        if (clg_tensor_is_variable(clg_graph_find(graph, array->name))) continue;
        if (!has_state && is_optimizer_state(array->name)) continue;
        return clg__fail(CLG_ERROR_FORMAT,
                         "the checkpoint has %s %s, which the graph does not have", array->name,
                         SHAPE_TEXT(&array->shape));
    }
    return CLG_OK;
}

/* ---- restoring: the run ---- */

static clg_status read_number(const clg_safetensors *file, const char *key, uint64_t max,
                              uint64_t *out)
{
    const char *text = clg_safetensors_metadata(file, key);
    if (!text) return CLG_OK;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    bool digits = *text >= '0' && *text <= '9' && *end == '\0';
    if (!digits || errno || value > max)
        return clg__fail(CLG_ERROR_FORMAT, "the checkpoint's \"%s\" is no valid number: \"%.40s\"",
                         key, text);
    *out = value;
    return CLG_OK;
}

static clg_status read_state(const clg_safetensors *file, clg_graph_state *out)
{
    uint64_t batch = 0;
    CLG_TRY(read_number(file, "step", UINT64_MAX, &out->step));
    CLG_TRY(read_number(file, "accumulated", UINT64_MAX, &out->accumulated));
    CLG_TRY(read_number(file, "epoch", UINT64_MAX, &out->epoch));
    CLG_TRY(read_number(file, "batch", INT64_MAX, &batch));
    CLG_TRY(read_number(file, "seed", UINT64_MAX, &out->seed));
    out->batch = (int64_t)batch;
    return CLG_OK;
}

/* ---- restoring: values ---- */

/* Files of other programs may hold data at odd addresses. */
static clg_status write_variable(clg_tensor *variable, const clg_array *array)
{
    int64_t count = clg_shape_count(&array->shape);
    if ((uintptr_t)array->data % sizeof(float) == 0)
        return clg_variable_write(variable, array->data, count);
    float *aligned = clg__alloc((size_t)count * sizeof *aligned);
    if (!aligned) return CLG_ERROR_MEMORY;
    memcpy(aligned, array->data, (size_t)count * sizeof *aligned);
    clg_status status = clg_variable_write(variable, aligned, count);
    clg__free(aligned);
    return status;
}

static clg_status write_variables(clg_graph *graph, const clg_safetensors *file, bool averaged,
                                  clg_graph_state *state)
{
    clg_tensor *v;
    for (size_t i = 0; (v = clg_graph_variable(graph, i)); i++) {
        const clg_array *array = array_of(file, v, averaged);
        if (!array_fits(v, array)) {
            state->kept++;
            continue;
        }
        CLG_TRY(write_variable(v, array));
        state->restored++;
    }
    state->ignored = clg_safetensors_count(file) - state->restored;
    return CLG_OK;
}

clg_status clg_graph_restore(clg_graph *graph, const clg_safetensors *file,
                             const clg_graph_restore_params *params, clg_graph_state *out)
{
    clg_graph_state state = {0};
    if (!graph || !file)
        return clg__fail(CLG_ERROR_ARGUMENT, "restoring a graph: no graph or no file");
    bool partial = params && params->partial, averaged = params && params->averaged;
    if (!partial) {
        CLG_TRY(check_variables(graph, file, averaged));
        CLG_TRY(check_arrays(graph, file));
    }
    CLG_TRY(read_state(file, &state));
    CLG_TRY(write_variables(graph, file, averaged, &state));
    if (!partial) clg_graph_set_steps(graph, state.step);
    if (!partial) clg_graph_set_accumulated(graph, state.accumulated);
    if (out) *out = state;
    return CLG_OK;
}

clg_status clg_graph_load(clg_graph *graph, const char *path,
                          const clg_graph_restore_params *params, clg_graph_state *out)
{
    clg_safetensors *file;
    CLG_TRY(clg_checkpoint_load(&file, path, "latest", NULL));
    clg_status status = clg_graph_restore(graph, file, params, out);
    if (status != CLG_OK) clg__fail_context(status, "%s", path);
    clg_safetensors_destroy(file);
    return status;
}
