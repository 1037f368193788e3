/*
 * Layers for sequences and words: embeddings, recurrent layers, and the sampled losses of word2vec
 * with the tables that they need. Everything is built from ops.h; see nn.h about layers.
 */
#ifndef CLGRAD_SEQUENCE_H
#define CLGRAD_SEQUENCE_H

#include "clgrad/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- embeddings ---- */

typedef struct clg_embedding_params {
    const clg_init *weight_init; /* NULL: normal with standard deviation 1, as in PyTorch */
} clg_embedding_params;
#define clg_embedding_options(...) (&(clg_embedding_params){__VA_ARGS__})
/**
 * index (S...) of numbers 0 .. rows - 1 -> (S..., features): clg_gather of the variable
 * <name>.weight (rows, features). Lookup, gradient and the optimizer's update cost in proportion to
 * the number of indices, not of rows (see clg_minimize). `params` may be NULL.
 */
CLG_API clg_tensor *clg_embedding_layer(clg_tensor *index, const char *name, int64_t rows,
                                        int64_t features, const clg_embedding_params *params);

#ifdef __cplusplus
}
#endif
#endif
