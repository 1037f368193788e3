/*
 * Layers of sequences in model files: embeddings and recurrent layers. A sample is (steps,
 * features) or, for an embedding, (steps) numbers. In a network that is built to go step by step
 * there is one step, and the state before and after it are inputs and values of the network.
 */
#include "clgrad/sequence.h"

#include <string.h>

#include "cltrain.h"
#include "network.h"

clg_tensor *build_embedding(struct layer_site *site, clg_tensor *x)
{
    const struct layer_spec *spec = site->spec;
    const struct model_spec *model = &site->file->content->model;
    clg_embedding_params params = {0};
    clg_init init = {0};
    int units = 0, rows = model->classes ? (int)*model->classes : 0;
    if (!layer_read_count(site, "units", spec->units, &units) ||
        !layer_read_count(site, "rows", spec->rows, &rows) ||
        !layer_read_init(site, &init, &params.weight_init))
        return NULL;
    if (!rows) return layer_error(site, "", "option 'rows' is missing, and there are no classes");
    return clg_embedding_layer(x, site->name, rows, units, &params);
}

typedef clg_tensor *(*recurrent_builder)(clg_tensor *x, const char *name, int64_t units,
                                         const clg_recurrent_layer_params *params,
                                         clg_recurrent_layer_result *out);

/* An input with what the layer knows from the step before; *state is its place in the network. */
static clg_tensor *state_before(struct layer_site *site, int units, struct step_state **state)
{
    struct network *network = site->network;
    char name[32];
    if (network->n_states == MAX_STEP_STATES)
        return layer_error(site, "", "more than %d states of recurrent layers", MAX_STEP_STATES);
    snprintf(name, sizeof name, "state%d", network->n_states);
    *state = &network->states[network->n_states++];
    return (*state)->before =
               clg_input(network->graph, name, CLG_F32, CLG_SHAPE(1, CLG_BATCH, units));
}

/* One step, from the state before it to the one after it. */
static clg_tensor *build_one_step(struct layer_site *site, clg_tensor *x, recurrent_builder build,
                                  clg_recurrent_layer_params *params,
                                  clg_recurrent_layer_result *after)
{
    struct step_state *h = NULL, *c = NULL;
    int units = (int)*site->spec->units;
    params->h = state_before(site, units, &h);
    if (params->h && build == clg_lstm_layer) params->c = state_before(site, units, &c);
    if (!params->h || (build == clg_lstm_layer && !params->c)) return NULL;
    clg_tensor *y = build(x, site->name, units, params, after);
    h->after = after->h;
    if (c) c->after = after->c;
    return y;
}

/* All steps (batch, steps, units), or the last one (batch, units). */
static clg_tensor *build_recurrent(struct layer_site *site, clg_tensor *x, recurrent_builder build,
                                   bool relu)
{
    const struct layer_spec *spec = site->spec;
    clg_recurrent_layer_params params = {.no_bias = spec->bias && !*spec->bias, .relu = relu};
    clg_recurrent_layer_result last = {0};
    clg_init init = {0};
    int units = 0;
    if (!layer_read_count(site, "units", spec->units, &units) ||
        !layer_read_init(site, &init, &params.init))
        return NULL;
    clg_tensor *y = site->network->stepwise ? build_one_step(site, x, build, &params, &last)
                                            : build(x, site->name, units, &params, &last);
    if (!y || !spec->last || !*spec->last) return y;
    return clg_reshape(last.h, CLG_SHAPE(CLG_BATCH, units));
}

clg_tensor *build_rnn(struct layer_site *site, clg_tensor *x)
{
    static const char *const names[] = {"tanh", "relu"};
    const char *kind = site->spec->activation;
    bool relu = kind && !strcmp(kind, "relu");
    if (kind && !relu && strcmp(kind, "tanh"))
        return layer_error(site, "activation", "unknown activation '%s' of rnn%s", kind,
                           suggestion(kind, names, 2));
    return build_recurrent(site, x, clg_rnn_layer, relu);
}

clg_tensor *build_lstm(struct layer_site *site, clg_tensor *x)
{
    return build_recurrent(site, x, clg_lstm_layer, false);
}

clg_tensor *build_gru(struct layer_site *site, clg_tensor *x)
{
    return build_recurrent(site, x, clg_gru_layer, false);
}
