/*
 * Loading a trained model: the network from the run's config.yaml, the weights from the checkpoint
 * (the latest one of a directory; a damaged one is named and the one before it used). Where a run
 * kept moving averages of its parameters, these are the weights, as in its own validation.
 */
#include "trained.h"

#include <inttypes.h>
#include <stdlib.h>

#include "clgrad/checkpoint.h"
#include "cltrain.h"
#include "folds.h"
#include "run_dir.h"

typedef int (*network_builder)(struct network *network, struct model_file *file);

static int load(struct trained *trained, const char *path, const char *device,
                network_builder build)
{
    struct run_path config;
    *trained = (struct trained){0};
    int code = run_find_config(path, &config);
    if (code == DONE) code = model_file_load(&trained->file, config.text);
    if (code == DONE) code = model_file_resolve(&trained->file);
    if (code == DONE) code = run_schema(config.text, &trained->schema);
    if (code == DONE) code = folds_refuse(path, &trained->file);
    if (code != DONE) return code;
    clg_status status =
        clg_context_create(&trained->context, clg_context_options(.device = device));
    if (status != CLG_OK) return report_status(status, NULL);
    report_note("Device: %s", clg_context_choice(trained->context));
    return build(&trained->network, &trained->file);
}

int trained_load(struct trained *trained, const char *path, const char *device)
{
    return load(trained, path, device, network_build);
}

int trained_load_stepwise(struct trained *trained, const char *path, const char *device)
{
    return load(trained, path, device, network_build_stepwise);
}

int trained_restore(struct trained *trained, const char *path)
{
    clg_graph_state state;
    clg_status status = clg_graph_load(trained->network.graph, path,
                                       clg_graph_restore_options(.averaged = true), &state);
    if (status != CLG_OK) return report_status(status, NULL);
    report_note("Weights: step %" PRIu64, state.step);
    return DONE;
}

void trained_clear(struct trained *trained)
{
    network_destroy(&trained->network);
    clg_context_destroy(trained->context);
    model_file_clear(&trained->file);
    free(trained->schema);
}
