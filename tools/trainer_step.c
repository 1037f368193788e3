/*
 * One training step: its optimizer, its programs, and running them. With accumulation a step is
 * made of several batches, by one program that adds gradients up and one that is the optimizer
 * alone.
 */
#include "clgrad/nn.h"
#include "optimizer_settings.h"
#include "trainer.h"

static int64_t parts_of(const struct trainer *trainer)
{
    return *trainer->file->content->training.accumulate;
}

clg_status trainer_add_optimizer(struct trainer *trainer, const clg_parameter_group *groups,
                                 size_t n_groups)
{
    clg_optimizer_params params = optimizer_params(&trainer->file->content->training);
    params.groups = groups;
    params.n_groups = n_groups;
    params.skip_nonfinite = params.clip_norm > 0; /* then the norm is there anyway */
    clg_status status = trainer_watch_start(trainer, &params.guard);
    if (status == CLG_OK)
        status = clg_minimize(trainer->network.loss, &params, &trainer->minimized);
    return status == CLG_OK ? trainer_watch_loss(trainer) : status;
}

uint64_t trainer_memory_budget(const struct trainer *trainer)
{
    return (uint64_t)*trainer->file->content->training.memory_budget << 20;
}

clg_status trainer_compile_step(struct trainer *trainer, int64_t batch)
{
    bool accumulates = parts_of(trainer) > 1;
    clg_status status = clg_program_compile(
        &trainer->train, trainer->context, trainer->network.graph,
        clg_program_options(.outputs = &trainer->network.loss, .n_outputs = 1, .batch = batch,
                            .mode = accumulates ? CLG_ACCUMULATION : CLG_TRAINING,
                            .memory_budget = trainer_memory_budget(trainer)));
    if (status != CLG_OK || !accumulates) return status;
    return clg_program_compile(&trainer->update, trainer->context, trainer->network.graph,
                               clg_program_options(.mode = CLG_UPDATE));
}

int64_t trainer_steps_per_epoch(const struct trainer *trainer)
{
    return (trainer->batches + parts_of(trainer) - 1) / parts_of(trainer);
}

static clg_status feed_number(clg_program *program, clg_tensor *input, double value)
{
    float number = (float)value;
    return clg_program_feed(program, input, &number, sizeof number);
}

static bool completes_step(const struct trainer *trainer)
{
    int64_t parts = (int64_t)clg_graph_accumulated(trainer->network.graph);
    return parts >= parts_of(trainer) || trainer->batch + 1 == trainer->batches;
}

clg_status trainer_step(struct trainer *trainer, const clg_batch *batch, double lr)
{
    clg_program *program = trainer->train, *optimizer = trainer->update ? trainer->update : program;
    clg_status status =
        feed_batch(program, &trainer->network, batch->count, batch->features, batch_targets(batch));
    if (status == CLG_OK) status = feed_number(program, trainer->samples, (double)batch->count);
    if (status == CLG_OK)
        status = feed_number(program, trainer->position, (double)(trainer->batch + 1));
    if (status == CLG_OK) status = feed_number(optimizer, trainer->minimized.lr, lr);
    if (status == CLG_OK) status = clg_program_run(program);
    if (status != CLG_OK || !trainer->update || !completes_step(trainer)) return status;
    return clg_program_run(trainer->update);
}
