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
#define clg_embedding_options(...) CLG_OPTIONS(clg_embedding_params, __VA_ARGS__)
/**
 * index (S...) of numbers 0 .. rows - 1 -> (S..., features): clg_gather of the variable
 * <name>.weight (rows, features). Lookup, gradient and the optimizer's update cost in proportion to
 * the number of indices, not of rows (see clg_minimize). `params` may be NULL.
 */
CLG_API clg_tensor *clg_embedding_layer(clg_tensor *index, const char *name, int64_t rows,
                                        int64_t features, const clg_embedding_params *params);

/* ---- recurrent layers ---- */

enum { CLG_MAX_RECURRENT_LAYERS = 8 };

typedef struct clg_recurrent_layer_params {
    int layers;      /* one above the other, at most CLG_MAX_RECURRENT_LAYERS; 0 = 1 */
    bool time_first; /* x and the result are (T, N, ...) instead of (N, T, ...) */
    bool no_bias;
    bool relu;            /* of rnn only: relu instead of tanh */
    double dropout;       /* of what goes from one layer to the next, 0 .. below 1 */
    clg_tensor *h, *c;    /* (layers, N, H) before the first step; NULL: zeros. c: of lstm only */
    bool carry;           /* a run starts where the last training run ended: see below */
    const clg_init *init; /* of all variables; NULL: uniform in +-1 / sqrt(H), as in PyTorch */
} clg_recurrent_layer_params;
#define clg_recurrent_layer_options(...) CLG_OPTIONS(clg_recurrent_layer_params, __VA_ARGS__)

typedef struct clg_recurrent_layer_result {
    clg_tensor *h, *c; /* (layers, N, H) after the last step; c is NULL where there is none */
    /* With `carry`: the assignments, for programs that are not CLG_TRAINING. */
    clg_tensor *carry[2 * CLG_MAX_RECURRENT_LAYERS];
    size_t n_carry;
} clg_recurrent_layer_result;

/**
 * x (N, T, F) -> h of the last layer at each step, (N, T, units); formulas at clg_rnn_cell.
 * Variables, for layer k from 0: <name>.weight_ih_l<k> (F or units, G units), <name>.weight_hh_l<k>
 * (units, G units), <name>.bias_ih_l<k> and <name>.bias_hh_l<k> (G units): PyTorch's names, and the
 * transposes of its weights. `params` and `out` may be NULL.
 *
 * Truncated back-propagation through time: with `carry`, state lives in variables <name>.h_l<k> and
 * <name>.c_l<k> (N, units). A run starts from them, and CLG_TRAINING programs assign them at its
 * end; gradients do not go back into the run before. So a long sequence is fed in pieces of T
 * steps. The batch is fixed then: N is given as a number, not as CLG_BATCH. clg_recurrent_reset
 * starts anew.
 */
CLG_API clg_tensor *clg_rnn_layer(clg_tensor *x, const char *name, int64_t units,
                                  const clg_recurrent_layer_params *params,
                                  clg_recurrent_layer_result *out);
CLG_API clg_tensor *clg_lstm_layer(clg_tensor *x, const char *name, int64_t units,
                                   const clg_recurrent_layer_params *params,
                                   clg_recurrent_layer_result *out);
CLG_API clg_tensor *clg_gru_layer(clg_tensor *x, const char *name, int64_t units,
                                  const clg_recurrent_layer_params *params,
                                  clg_recurrent_layer_result *out);
/** Zeros in the carried state of a layer. */
CLG_API clg_status clg_recurrent_reset(clg_graph *graph, const char *name);

/* ---- words: what clg_negative_sampling_loss and clg_hierarchical_softmax_loss are fed with ----
 * Mikolov, Sutskever, Chen, Corrado, Dean: Distributed representations of words and phrases and
 * their compositionality (2013): negative sampling is eq. 4, hierarchical softmax eq. 3.
 */

/* Draws numbers 0 .. n - 1 with given probabilities. */
typedef struct clg_sampler clg_sampler;
/**
 * Number i is drawn with a probability in proportion to weights[i]^power; for negative samples
 * weights are the words' counts and power is 0.75. Weights are finite and not negative, and one of
 * them is positive.
 */
CLG_API clg_status clg_sampler_create(clg_sampler **out, const double *weights, int64_t n,
                                      double power);
/** NULL is fine. */
CLG_API void clg_sampler_destroy(clg_sampler *sampler);
/** out[j] for j = 0 .. count - 1 is draw number first + j: a function of that and the seed, so that
 *  draws can start anywhere. May be called from several threads at once. A sampler or `out` of NULL
 *  leaves a message, and `out` alone. */
CLG_API void clg_sampler_draw(const clg_sampler *sampler, uint64_t seed, uint64_t first,
                              int64_t count, int32_t *out);

/* Codes of words in a binary tree in which frequent words are near the root. */
typedef struct clg_huffman clg_huffman;
/** n >= 2 words; the tree has n - 1 inner nodes, the root is the last of them. */
CLG_API clg_status clg_huffman_create(clg_huffman **out, const uint64_t *counts, int64_t n);
/** NULL is fine. */
CLG_API void clg_huffman_destroy(clg_huffman *huffman);
/** Turns on the way to the rarest word: the length of path and code. */
CLG_API int clg_huffman_length(const clg_huffman *huffman);
/** The inner nodes on the way from the root to a word, and 1 or -1 for the turns; behind the end of
 *  the way path is the root and code 0. */
CLG_API clg_status clg_huffman_code(const clg_huffman *huffman, int64_t word, int32_t *path,
                                    float *code);

/**
 * Probability of keeping an occurrence of a word that makes up count of total: sqrt(threshold total
 * / count), at most 1. As above, eq. 5, with a threshold of about 1e-5.
 */
CLG_API double clg_subsampling_probability(double count, double total, double threshold);

#ifdef __cplusplus
}
#endif
#endif
