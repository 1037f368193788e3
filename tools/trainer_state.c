/*
 * The state that a training run carries beside its network: the sum of the epoch's losses and the
 * first step that diverged, both on the device; and checkpoints.
 *
 * Reading the loss after each step would make the host wait for the device. Instead the step's own
 * program adds its samples' losses to one variable, and notes in another the number of the first
 * step whose loss (or, when clipping, whose gradient norm) was NaN or Inf. Both are read a few
 * times a second, and before every checkpoint, so that a checkpoint never holds diverged weights.
 * As variables of the graph they are part of the checkpoint: an epoch that was interrupted reports
 * the same mean. Step numbers are f32 there, exact up to 2^24.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "clgrad/checkpoint.h"
#include "cltrain.h"
#include "trainer.h"

static clg_tensor *is_finite(clg_tensor *x)
{
    /* Comparisons with NaN are false. */
    return clg_less(clg_abs(x), clg_scalar(clg_tensor_graph(x), 3.0e38));
}

clg_status trainer_watch_loss(struct trainer *trainer)
{
    clg_graph *graph = trainer->network.graph;
    clg_tensor *loss = trainer->network.loss, *good = is_finite(loss);
    if (*trainer->file->content->training.clip_norm > 0)
        good = clg_mul(good, is_finite(trainer->minimized.gradient_norm));
    clg_tensor *sum =
        clg_variable(graph, "optimizer.loss_sum", CLG_SCALAR, CLG_INIT(CLG_INIT_ZEROS), false);
    clg_tensor *bad =
        clg_variable(graph, "optimizer.bad_step", CLG_SCALAR, CLG_INIT(CLG_INIT_ZEROS), false);
    clg_tensor *now = clg_where(good, clg_scalar(graph, 0), clg_step_number(graph));
    trainer->samples = clg_input(graph, "samples", CLG_F32, CLG_SCALAR);
    clg_graph_update(clg_assign(sum, clg_add(sum, clg_mul(loss, trainer->samples))));
    clg_graph_update(clg_assign(bad, clg_where(bad, bad, now)));
    trainer->loss_sum = sum;
    trainer->bad_step = bad;
    return clg_graph_status(graph);
}

clg_status trainer_reset_sum(struct trainer *trainer)
{
    float zero = 0;
    return clg_variable_write(trainer->loss_sum, &zero, 1);
}

/* ---- divergence ---- */

/* The first parameter with a NaN or Inf in it, "" if all are finite. */
static const char *first_bad_variable(const clg_graph *graph)
{
    clg_tensor *variable;
    for (size_t i = 0; (variable = clg_graph_variable(graph, i)); i++) {
        int64_t count = clg_shape_count(clg_tensor_shape(variable)), k = 0;
        if (!clg_tensor_trainable(variable)) continue;
        float *values = malloc((size_t)count * sizeof *values);
        if (values && clg_variable_read(variable, values, count) == CLG_OK)
            while (k < count && isfinite(values[k])) k++;
        free(values);
        if (values && k < count) return clg_tensor_name(variable);
    }
    return "";
}

static int report_divergence(struct trainer *trainer, double step)
{
    const char *name = first_bad_variable(trainer->network.graph);
    struct run_path directory = run_file(&trainer->run, "checkpoints");
    bool saved = access(directory.text, F_OK) == 0;
    progress_clear(&trainer->progress);
    return report_error(
        DIVERGED,
        "training diverged: the loss of step %.0f (epoch %" PRIu64 ") is NaN or Inf%s%s\n"
        "A lower learning rate (--lr) or clip_norm may help. %s%s.",
        step, trainer->epoch + 1, *name ? "; first parameter that broke: " : "", name,
        saved ? "Checkpoints from before are in " : "There is no checkpoint from before",
        saved ? directory.text : "");
}

int trainer_poll(struct trainer *trainer, double *loss_sum)
{
    float sum, step;
    clg_status status = clg_variable_read(trainer->loss_sum, &sum, 1);
    if (status == CLG_OK) status = clg_variable_read(trainer->bad_step, &step, 1);
    if (status != CLG_OK) return report_status(status, NULL);
    if (step > 0) return report_divergence(trainer, step);
    *loss_sum = sum;
    return DONE;
}

/* ---- checkpoints ---- */

int trainer_save(struct trainer *trainer, bool best)
{
    const struct settings *settings = &trainer->file->content->training;
    double sum;
    int code = trainer_poll(trainer, &sum);
    if (code != DONE) return code;
    struct run_path directory = run_file(&trainer->run, "checkpoints");
    clg_status status = clg_graph_save(
        trainer->network.graph, directory.text,
        clg_graph_save_options(.epoch = trainer->epoch, .batch = trainer->batch,
                               .seed = (uint64_t)*settings->seed, .settings = trainer->settings,
                               .best = best, .keep = (int)*settings->keep));
    if (status == CLG_OK) return DONE;
    return report_error(status == CLG_ERROR_MEMORY ? NO_MEMORY : FAILED, "checkpoint: %s",
                        clg_last_error());
}

int trainer_resume(struct trainer *trainer)
{
    clg_graph_state state;
    struct run_path directory = run_file(&trainer->run, "checkpoints");
    clg_status status = clg_graph_load(trainer->network.graph, directory.text, NULL, &state);
    if (status != CLG_OK) return report_status(status, trainer->run.path);
    trainer->epoch = state.epoch;
    trainer->batch = state.batch;
    report_note("Resuming %s at step %" PRIu64 " (epoch %" PRIu64 ")", trainer->run.path,
                state.step, state.epoch + 1);
    return run_truncate(&trainer->run, (int64_t)state.epoch);
}
