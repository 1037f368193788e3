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
    double loss, accuracy; /* means over the samples; NaN: there are no classes */
    int64_t samples;
    double rmse, mae; /* of numbers: root of the mean squared error, mean absolute error; or NaN */
};

/** "accuracy 98.10 %, loss 0.0600 (2000 samples)", or "RMSE 2.5, MAE 1.9, loss ..." */
void score_print(const struct score *score);

/** Compiles the program of evaluate(): loss, logits, and accuracy or errors, in one of the
 * inference modes. */
clg_status evaluate_compile(clg_program **out, clg_context *context, const struct network *network,
                            clg_program_mode mode);

/**
 * Goes once over the data. Stops with CLG_ERROR_INTERRUPTED when a signal asks for it. `review`
 * (may be NULL) was started by the caller and gets every batch.
 */
clg_status evaluate(struct score *out, clg_program *program, const struct network *network,
                    clg_dataset *dataset, struct review *review);

/** Feeds one batch of images, and of targets if they are not NULL, setting the batch size to it. */
clg_status feed_batch(clg_program *program, const struct network *network, int64_t count,
                      const float *features, const void *targets);
/** Its labels or its numbers; NULL if it has neither. */
const void *batch_targets(const clg_batch *batch);

#endif
