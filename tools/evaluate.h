/*
 * Measuring a network on a data set.
 */
#ifndef CLTRAIN_EVALUATE_H
#define CLTRAIN_EVALUATE_H

#include "clgrad/data.h"
#include "clgrad/program.h"
#include "network.h"
#include "review.h"

struct score {
    double loss, accuracy; /* means over the samples */
    int64_t samples;
};

/** Compiles the inference program of evaluate(): loss, accuracy and logits. */
clg_status evaluate_compile(clg_program **out, clg_context *context, const struct network *network);

/**
 * Goes once over the data. Stops with CLG_ERROR_INTERRUPTED when a signal asks for it. `review`
 * (may be NULL) was started by the caller and gets every batch.
 */
clg_status evaluate(struct score *out, clg_program *program, const struct network *network,
                    clg_dataset *dataset, struct review *review);

/** Feeds one batch of images, and of labels if they are not NULL, setting the batch size to it. */
clg_status feed_batch(clg_program *program, const struct network *network, int64_t count,
                      const float *features, const int32_t *labels);

#endif
