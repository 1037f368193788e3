/*
 * Layers of sequences in model files: embeddings and recurrent layers. A sample is (steps,
 * features) or, for an embedding, (steps) numbers.
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
    clg_tensor *y = build(x, site->name, units, &params, &last);
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
