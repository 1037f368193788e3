/*
 * See gradient_norms.h. The program runs in training mode without updates, so that dropout and
 * batch statistics are those of a step.
 */
#include "gradient_norms.h"

#include <stdlib.h>

#include "clgrad/autodiff.h"
#include "cltrain.h"

enum { MAX_SAMPLES = 128 };

void gradient_norms_clear(struct gradient_norms *norms)
{
    clg_program_destroy(norms->program);
    free(norms->variables);
    free(norms->norms);
    sample_block_clear(&norms->samples);
    *norms = (struct gradient_norms){0};
}

static clg_status find_variables(struct gradient_norms *norms, const clg_graph *graph)
{
    size_t total = 0;
    while (clg_graph_variable(graph, total)) total++;
    norms->variables = calloc(total + 1, sizeof *norms->variables);
    norms->norms = calloc(total + 1, sizeof *norms->norms);
    if (!norms->variables || !norms->norms) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < total; i++) {
        clg_tensor *variable = clg_graph_variable(graph, i);
        if (clg_tensor_trainable(variable)) norms->variables[norms->count++] = variable;
    }
    return CLG_OK;
}

static clg_status build(struct gradient_norms *norms, const struct network *network)
{
    clg_status status = clg_gradients(network->loss, norms->variables, norms->count, norms->norms);
    for (size_t i = 0; i < norms->count && status == CLG_OK; i++)
        norms->norms[i] = clg_norm(norms->norms[i]);
    return status == CLG_OK ? clg_graph_status(network->graph) : status;
}

clg_status gradient_norms_prepare(struct gradient_norms *norms, clg_context *context,
                                  const struct network *network, const clg_dataset *train,
                                  uint64_t memory_budget)
{
    int64_t batch = clg_tensor_shape(network->image)->dim[0];
    *norms = (struct gradient_norms){0};
    clg_status status =
        sample_block_read(&norms->samples, train, batch < MAX_SAMPLES ? batch : MAX_SAMPLES);
    if (status == CLG_OK) status = find_variables(norms, network->graph);
    if (status == CLG_OK) status = build(norms, network);
    if (status == CLG_OK)
        status = clg_program_compile(
            &norms->program, context, network->graph,
            clg_program_options(.outputs = norms->norms, .n_outputs = norms->count,
                                .mode = CLG_TRAINING_FORWARD, .batch = norms->samples.count,
                                .memory_budget = memory_budget));
    if (status != CLG_OK) gradient_norms_clear(norms);
    return status;
}

clg_status gradient_norms_measure(json_t **out, struct gradient_norms *norms,
                                  const struct network *network)
{
    *out = NULL;
    if (!norms->program) return CLG_OK;
    clg_status status =
        sample_block_feed(&norms->samples, norms->program, network, 0, norms->samples.count);
    if (status == CLG_OK) status = clg_program_run(norms->program);
    json_t *object = json_object();
    for (size_t i = 0; i < norms->count && status == CLG_OK; i++) {
        float value;
        status = clg_program_read(norms->program, norms->norms[i], &value, sizeof value);
        if (status == CLG_OK && json_object_set_new(object, clg_tensor_name(norms->variables[i]),
                                                    json_number((double)value)))
            status = CLG_ERROR_MEMORY;
    }
    if (status == CLG_OK)
        *out = object;
    else
        json_decref(object);
    return status;
}
