/*
 * One pass over a data set in inference mode. Loss and accuracy are read after each batch and added
 * up in double, weighted by the samples of the batch: the means are exact whatever the batch size,
 * and the wait for each batch is small beside a training epoch.
 */
#include "evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "signals.h"

clg_status evaluate_compile(clg_program **out, clg_context *context, const struct network *network,
                            clg_program_mode mode)
{
    clg_tensor *const candidates[] = {network->loss, network->logits, network->accuracy,
                                      network->squared_error, network->absolute_error};
    clg_tensor *outputs[5];
    size_t count = 0;
    for (int i = 0; i < 5; i++)
        if (candidates[i]) outputs[count++] = candidates[i];
    return clg_program_compile(
        out, context, network->graph,
        clg_program_options(.outputs = outputs, .n_outputs = count, .mode = mode));
}

void score_print(const struct score *score)
{
    if (!isnan(score->accuracy)) printf("accuracy %.2f %%, ", 100 * score->accuracy);
    if (!isnan(score->rmse)) printf("RMSE %.5g, MAE %.5g, ", score->rmse, score->mae);
    printf("loss %.4f (%" PRId64 " samples)\n", score->loss, score->samples);
}

const void *batch_targets(const clg_batch *batch)
{
    return batch->labels ? (const void *)batch->labels : batch->targets;
}

clg_status feed_batch(clg_program *program, const struct network *network, int64_t count,
                      const float *features, const void *targets)
{
    const clg_shape *shape = clg_tensor_shape(network->image);
    size_t floats = (size_t)(clg_shape_count(shape) / shape->dim[0] * count);
    clg_status status = clg_program_set_batch(program, count);
    if (status == CLG_OK)
        status = clg_program_feed(program, network->image, features, floats * sizeof *features);
    if (status != CLG_OK || !targets || !network->label) return status;
    shape = clg_tensor_shape(network->label);
    size_t numbers = (size_t)(clg_shape_count(shape) / shape->dim[0] * count);
    return clg_program_feed(program, network->label, targets, numbers * sizeof(float));
}

/* Adds count times a scalar of the program to *sum; NULL makes it NaN. */
static clg_status add_mean(double *sum, clg_program *program, const clg_tensor *scalar,
                           int64_t count)
{
    float value = NAN;
    clg_status status = CLG_OK;
    if (scalar) status = clg_program_read(program, scalar, &value, sizeof value);
    *sum += (double)count * (double)value;
    return status;
}

/* rmse holds the sum of squares until the end. */
static clg_status evaluate_batch(struct score *sums, clg_program *program,
                                 const struct network *network, const clg_batch *batch)
{
    int64_t n = batch->count;
    clg_status status = feed_batch(program, network, n, batch->features, batch_targets(batch));
    if (status == CLG_OK) status = clg_program_run(program);
    if (status == CLG_OK) status = add_mean(&sums->loss, program, network->loss, n);
    if (status == CLG_OK) status = add_mean(&sums->accuracy, program, network->accuracy, n);
    if (status == CLG_OK) status = add_mean(&sums->rmse, program, network->squared_error, n);
    if (status == CLG_OK) status = add_mean(&sums->mae, program, network->absolute_error, n);
    sums->samples += n;
    return status;
}

/* `logits` has room for a batch. */
static clg_status review_outputs(struct review *review, clg_program *program,
                                 const struct network *network, const clg_batch *batch,
                                 float *logits)
{
    int64_t outputs = review->outputs ? review->outputs : review->classes;
    size_t bytes = (size_t)(batch->count * outputs) * sizeof *logits;
    clg_status status = clg_program_read(program, network->logits, logits, bytes);
    if (status == CLG_OK) review_batch(review, batch, logits);
    return status;
}

clg_status evaluate(struct score *out, clg_program *program, const struct network *network,
                    clg_dataset *dataset, struct review *review)
{
    clg_loader *loader = NULL;
    struct score sums = {0};
    clg_batch batch = {0};
    float *logits = NULL;
    int64_t size = clg_tensor_shape(network->image)->dim[0];
    clg_status status = clg_loader_create(&loader, dataset, clg_loader_options(.batch = size));
    if (status == CLG_OK && review) {
        logits =
            malloc((size_t)clg_shape_count(clg_tensor_shape(network->logits)) * sizeof *logits);
        if (!logits) status = CLG_ERROR_MEMORY;
    }
    while (status == CLG_OK && !batch.last) {
        status = clg_loader_next(loader, &batch);
        if (status == CLG_OK) status = evaluate_batch(&sums, program, network, &batch);
        if (status == CLG_OK && review)
            status = review_outputs(review, program, network, &batch, logits);
        if (status == CLG_OK && signal_received()) status = CLG_ERROR_INTERRUPTED;
    }
    clg_loader_destroy(loader);
    free(logits);
    if (status != CLG_OK) return status;
    double n = (double)sums.samples;
    *out = (struct score){.loss = sums.loss / n,
                          .accuracy = sums.accuracy / n,
                          .samples = sums.samples,
                          .rmse = sqrt(sums.rmse / n),
                          .mae = sums.mae / n};
    return CLG_OK;
}
