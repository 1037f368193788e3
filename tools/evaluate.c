/*
 * One pass over a data set in inference mode. Loss and accuracy are read after each batch and added
 * up in double, weighted by the samples of the batch: the means are exact whatever the batch size,
 * and the wait for each batch is small beside a training epoch.
 */
#include "evaluate.h"

#include "signals.h"

clg_status evaluate_compile(clg_program **out, clg_context *context, const struct network *network)
{
    clg_tensor *outputs[] = {network->loss, network->accuracy};
    return clg_program_compile(
        out, context, network->graph,
        clg_program_options(.outputs = outputs, .n_outputs = 2, .mode = CLG_INFERENCE));
}

clg_status feed_batch(clg_program *program, const struct network *network, int64_t count,
                      const float *features, const int32_t *labels)
{
    const clg_shape *shape = clg_tensor_shape(network->image);
    size_t floats = (size_t)(clg_shape_count(shape) / shape->dim[0] * count);
    clg_status status = clg_program_set_batch(program, count);
    if (status == CLG_OK)
        status = clg_program_feed(program, network->image, features, floats * sizeof *features);
    if (status == CLG_OK && labels)
        status = clg_program_feed(program, network->label, labels, (size_t)count * sizeof *labels);
    return status;
}

static clg_status evaluate_batch(struct score *sums, clg_program *program,
                                 const struct network *network, const clg_batch *batch)
{
    float loss, accuracy;
    clg_status status = feed_batch(program, network, batch->count, batch->features, batch->labels);
    if (status == CLG_OK) status = clg_program_run(program);
    if (status == CLG_OK) status = clg_program_read(program, network->loss, &loss, sizeof loss);
    if (status == CLG_OK)
        status = clg_program_read(program, network->accuracy, &accuracy, sizeof accuracy);
    if (status != CLG_OK) return status;
    sums->loss += (double)batch->count * loss;
    sums->accuracy += (double)batch->count * accuracy;
    sums->samples += batch->count;
    return CLG_OK;
}

clg_status evaluate(struct score *out, clg_program *program, const struct network *network,
                    clg_dataset *dataset, bool interruptible)
{
    clg_loader *loader = NULL;
    struct score sums = {0};
    clg_batch batch = {0};
    int64_t size = clg_tensor_shape(network->image)->dim[0];
    clg_status status = clg_loader_create(&loader, dataset, clg_loader_options(.batch = size));
    while (status == CLG_OK && !batch.last) {
        status = clg_loader_next(loader, &batch);
        if (status == CLG_OK) status = evaluate_batch(&sums, program, network, &batch);
        if (status == CLG_OK && interruptible && signal_received()) status = CLG_ERROR_INTERRUPTED;
    }
    clg_loader_destroy(loader);
    if (status != CLG_OK) return status;
    *out = (struct score){sums.loss / (double)sums.samples, sums.accuracy / (double)sums.samples,
                          sums.samples};
    return CLG_OK;
}
