/*
 * Norms of the loss' gradient with respect to each parameter, measured once per epoch on the same
 * few training samples by a program of its own: training steps do not pay for them, and the numbers
 * of different epochs can be compared.
 */
#ifndef CLTRAIN_GRADIENT_NORMS_H
#define CLTRAIN_GRADIENT_NORMS_H

#include <jansson.h>

#include "clgrad/data.h"
#include "clgrad/program.h"
#include "network.h"
#include "sample_block.h"

struct gradient_norms {
    clg_program *program; /* NULL: off */
    clg_tensor **variables, **norms;
    size_t count;
    struct sample_block samples;
};

/**
 * Compiles the program, and takes the first samples of `train`: a batch, but at most 128.
 * `memory_budget` as in clg_program_params. On failure it is off.
 */
clg_status gradient_norms_prepare(struct gradient_norms *norms, clg_context *context,
                                  const struct network *network, const clg_dataset *train,
                                  uint64_t memory_budget);
/** {"conv1.weight": 0.25, ...}; NULL in *out if it is off. */
clg_status gradient_norms_measure(json_t **out, struct gradient_norms *norms,
                                  const struct network *network);
void gradient_norms_clear(struct gradient_norms *norms);

#endif
