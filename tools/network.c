/*
 * Chains the layers of a model file; loss.c puts the loss on top.
 * Whatever does not fit is reported at the line of the layer, with the shape that came in.
 */
#include "network.h"

#include <stdlib.h>
#include <string.h>

#include "class_weights.h"
#include "cltrain.h"
#include "loss.h"

enum { MAX_EXTENT = 1 << 24 };

static int check_input(struct model_file *file)
{
    const struct model_spec *model = &file->content->model;
    for (unsigned i = 0; i < model->input_count; i++)
        if (model->input[i] < 1 || model->input[i] > MAX_EXTENT)
            return yaml_source_error(&file->source, "model.input",
                                     "the extents of a sample must be in 1 .. %d", MAX_EXTENT);
    return loss_check(file);
}

static clg_shape batch_shape(const struct model_spec *model)
{
    int64_t dims[CLG_MAX_DIMS] = {CLG_BATCH};
    for (unsigned i = 0; i < model->input_count; i++) dims[i + 1] = model->input[i];
    return clg_shape_of((int)model->input_count + 1, dims);
}

static int chain_layers(struct network *network, struct model_file *file)
{
    const struct model_spec *model = &file->content->model;
    struct layer_names names = {0};
    struct layer_site root = {.file = file, .network = network};
    struct layer_list list = {.layers = model->layers,
                              .end = model->layers_count,
                              .path = "model.layers",
                              .names = &names};
    snprintf(network->from, sizeof network->from, "the model's input");
    int code = blocks_check(file);
    if (code != DONE) return code;
    network->logits = layers_build(&root, &list, network->image);
    return root.code;
}

static int build(struct network *network, struct model_file *file)
{
    const struct settings *settings = &file->content->training;
    int code = check_input(file);
    if (code != DONE) return code;
    network->graph = clg_graph_create(
        clg_graph_options(.batch = *settings->batch, .seed = (uint64_t)*settings->seed));
    if (!network->graph) return report_status(CLG_ERROR_MEMORY, NULL);
    network->image =
        clg_input(network->graph, "image", CLG_F32, batch_shape(&file->content->model));
    if (!network->image) return report_status(clg_graph_status(network->graph), NULL);
    code = chain_layers(network, file);
    return code == DONE ? loss_build(network, file) : code;
}

int network_build(struct network *network, struct model_file *file)
{
    *network = (struct network){0};
    return build(network, file);
}

int network_build_stepwise(struct network *network, struct model_file *file)
{
    *network = (struct network){.stepwise = true};
    if (file->content->model.input_count > 0) file->content->model.input[0] = 1;
    *file->content->training.batch = 1;
    return build(network, file);
}

/* ---- layers fitted to the data ---- */

/* offset, scale of one channel; a constant one keeps its scale. */
static void normalization_of(const clg_channel_stats *stats, bool min_max, float *offset,
                             float *scale)
{
    float width = min_max ? stats->max - stats->min : stats->std;
    *offset = min_max ? stats->min : stats->mean;
    *scale = width > 0 ? 1 / width : 1;
}

static clg_status write_fitted(const struct network *network, const struct fitted_layer *layer,
                               const clg_channel_stats *stats, float *values, int channels)
{
    static const char *const parts[] = {"offset", "scale"};
    clg_status status = CLG_OK;
    for (int c = 0; c < channels; c++)
        normalization_of(&stats[c], layer->min_max, &values[c], &values[channels + c]);
    for (int i = 0; i < 2 && status == CLG_OK; i++) {
        char name[272];
        snprintf(name, sizeof name, "%s.%s", layer->name, parts[i]);
        status = clg_variable_write(clg_graph_find(network->graph, name), values + i * channels,
                                    channels);
    }
    return status;
}

static clg_status fit_layers(const struct network *network, const clg_dataset *train)
{
    if (network->n_fitted == 0) return CLG_OK;
    const clg_shape *sample = &clg_dataset_describe(train)->sample;
    int channels = (int)sample->dim[sample->ndim - 1];
    clg_channel_stats *stats = malloc((size_t)channels * sizeof *stats);
    float *values = malloc(2 * (size_t)channels * sizeof *values);
    clg_status status =
        stats && values ? clg_dataset_measure(train, channels, stats) : CLG_ERROR_MEMORY;
    for (int i = 0; i < network->n_fitted && status == CLG_OK; i++)
        status = write_fitted(network, &network->fitted[i], stats, values, channels);
    free(stats);
    free(values);
    return status;
}

int network_fit(const struct network *network, const clg_dataset *train)
{
    clg_status status = fit_layers(network, train);
    if (status == CLG_OK) status = class_weights_fit(network, train);
    return status == CLG_OK ? DONE : report_status(status, NULL);
}

void network_destroy(struct network *network)
{
    clg_graph_destroy(network->graph);
    free(network->rows);
    *network = (struct network){0};
}
