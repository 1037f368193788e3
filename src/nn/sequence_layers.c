/*
 * Layers of sequences: embeddings. They add variables to what the operations do.
 */
#include "clgrad/sequence.h"
#include "nn/layers.h"
#include "ops/composition.h"
#include "tensor/graph.h"

/* ---- embeddings ---- */

clg_tensor *clg_embedding_layer(clg_tensor *index, const char *name, int64_t rows, int64_t features,
                                const clg_embedding_params *params)
{
    if (!index) return NULL;
    clg_init init = {.kind = CLG_INIT_NORMAL, .value = 1.0};
    if (params && params->weight_init) init = *params->weight_init;
    if (rows < 1 || features < 1)
        return clg__graph_fail(index->graph, CLG_ERROR_ARGUMENT, "%s: a table of %lld x %lld", name,
                               (long long)rows, (long long)features);
    clg_shape shape = CLG_SHAPE(rows, features);
    clg_tensor *table = clg__layer_variable(index->graph, name, "weight", &shape, init, true);
    return CLG__COMPOSED(embedding_layer, clg_gather(table, index));
}
