/*
 * The state that a training run carries beside its network: the sum of the epoch's losses and the
 * first batch that diverged, both on the device; and checkpoints.
 *
 * Reading the loss after each step would make the host wait for the device. Instead the step's own
 * program adds its samples' losses to one variable, and notes in another the number in the epoch of
 * the first batch whose loss (or, when clipping, whose gradient norm) was NaN or Inf. From then on
 * a guard keeps all weights as they are. Both are read a few times a second, and before every
 * checkpoint, so that a checkpoint never holds diverged weights. As variables of the graph they are
 * part of the checkpoint: an epoch that was interrupted reports the same mean. Numbers of batches
 * are f32 there, exact up to 2^24.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "clgrad/checkpoint.h"
#include "cltrain.h"
#include "trainer.h"

static const char PLATEAU[] = "plateau"; /* key in the metadata of checkpoints */

static clg_tensor *is_finite(clg_tensor *x)
{
    /* Comparisons with NaN are false. */
    return clg_less(clg_abs(x), clg_scalar(clg_tensor_graph(x), 3.0e38));
}

clg_status trainer_watch_start(struct trainer *trainer, clg_tensor **guard)
{
    clg_graph *graph = trainer->network.graph;
    clg_init zeros = CLG_INIT(CLG_INIT_ZEROS);
    trainer->loss_sum = clg_variable(graph, "optimizer.loss_sum", CLG_SCALAR, zeros, false);
    trainer->bad_batch = clg_variable(graph, "optimizer.bad_batch", CLG_SCALAR, zeros, false);
    trainer->samples = clg_input(graph, "samples", CLG_F32, CLG_SCALAR);
    trainer->position = clg_input(graph, "position", CLG_F32, CLG_SCALAR);
    clg_tensor *well = clg_equal(trainer->bad_batch, clg_scalar(graph, 0));
    *guard = clg_mul(is_finite(trainer->network.loss), well);
    return clg_graph_status(graph);
}

clg_status trainer_watch_loss(struct trainer *trainer)
{
    clg_graph *graph = trainer->network.graph;
    clg_tensor *loss = trainer->network.loss, *good = is_finite(loss);
    clg_tensor *sum = trainer->loss_sum, *bad = trainer->bad_batch;
    if (*trainer->file->content->training.clip_norm > 0)
        good = clg_mul(good, is_finite(trainer->minimized.gradient_norm));
    clg_tensor *now = clg_where(good, clg_scalar(graph, 0), trainer->position);
    clg_graph_update(clg_assign(sum, clg_add(sum, clg_mul(loss, trainer->samples))));
    clg_graph_update(clg_assign(bad, clg_where(bad, bad, now)));
    return clg_graph_status(graph);
}

clg_status trainer_reset_sum(struct trainer *trainer)
{
    float zero = 0;
    return clg_variable_write(trainer->loss_sum, &zero, 1);
}

/* ---- divergence ---- */

/* Number of the optimizer step, from 1, that a batch of this epoch (from 1) was part of. */
static uint64_t step_of(const struct trainer *trainer, int64_t position)
{
    int64_t parts = *trainer->file->content->training.accumulate;
    int64_t before = (int64_t)trainer->epoch * trainer_steps_per_epoch(trainer);
    return (uint64_t)(before + (position + parts - 1) / parts);
}

/*
 * Runs the bad batch again - since then the guard has kept all weights as they were - and asks for
 * the first tensor that is not finite. The run is over, so that nothing needs to be put back.
 */
static clg_status find_tensor(struct trainer *trainer, int64_t position, clg_nonfinite *found)
{
    clg_batch batch;
    clg_graph *graph = trainer->network.graph;
    int64_t parts = *trainer->file->content->training.accumulate;
    clg_status status = clg_loader_seek(trainer->loader, trainer->epoch, position - 1);
    if (status == CLG_OK) status = clg_loader_next(trainer->loader, &batch);
    if (status != CLG_OK) return status;
    clg_graph_set_steps(graph, step_of(trainer, position) - 1);
    clg_graph_set_accumulated(graph, (uint64_t)((position - 1) % parts));
    trainer->batch = position - 1;
    status = trainer_step(trainer, &batch, trainer->lr);
    return status == CLG_OK ? clg_program_find_nonfinite(trainer->train, found) : status;
}

static int report_divergence(struct trainer *trainer, int64_t position)
{
    uint64_t step = step_of(trainer, position);
    clg_nonfinite found = {0};
    struct run_path directory = run_file(&trainer->run, "checkpoints");
    bool saved = access(directory.text, F_OK) == 0;
    progress_clear(&trainer->progress);
    bool named = find_tensor(trainer, position, &found) == CLG_OK && found.tensor;
    return report_error(
        DIVERGED,
        "training diverged: the loss or a gradient of step %" PRIu64 " (epoch %" PRIu64
        ") is NaN or Inf%s%s\n"
        "A lower learning rate (--lr) or clip_norm may help. %s%s.",
        step, trainer->epoch + 1, named ? "; the first such tensor: " : "", named ? found.text : "",
        saved ? "Checkpoints from before are in " : "There is no checkpoint from before",
        saved ? directory.text : "");
}

int trainer_poll(struct trainer *trainer, double *loss_sum)
{
    float sum, bad;
    clg_status status = clg_variable_read(trainer->loss_sum, &sum, 1);
    if (status == CLG_OK) status = clg_variable_read(trainer->bad_batch, &bad, 1);
    if (status != CLG_OK) return report_status(status, NULL);
    if (bad > 0) return report_divergence(trainer, (int64_t)bad);
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
    char plateau[128];
    clg_metadata more = {PLATEAU, clg_plateau_text(&trainer->plateau, plateau, sizeof plateau)};
    struct run_path directory = run_file(&trainer->run, "checkpoints");
    clg_status status = clg_graph_save(
        trainer->network.graph, directory.text,
        clg_graph_save_options(.epoch = trainer->epoch, .batch = trainer->batch,
                               .seed = (uint64_t)*settings->seed, .settings = trainer->settings,
                               .metadata = &more, .metadata_count = 1, .best = best,
                               .keep = (int)*settings->keep));
    if (status == CLG_OK) return DONE;
    return report_error(status == CLG_ERROR_MEMORY ? NO_MEMORY : FAILED, "checkpoint: %s",
                        clg_last_error());
}

static clg_status restore(struct trainer *trainer, const char *directory, clg_graph_state *state)
{
    clg_safetensors *file = NULL;
    clg_status status = clg_checkpoint_load(&file, directory, "latest", NULL);
    if (status == CLG_OK) status = clg_graph_restore(trainer->network.graph, file, NULL, state);
    const char *plateau = status == CLG_OK ? clg_safetensors_metadata(file, PLATEAU) : NULL;
    if (plateau) status = clg_plateau_parse(&trainer->plateau, plateau);
    clg_safetensors_destroy(file);
    return status;
}

static void note_resumed(const struct trainer *trainer, const clg_graph_state *state)
{
    const int64_t epochs = *trainer->file->content->training.epochs;
    const int64_t patience = *trainer->file->content->training.patience;
    if (trainer_out_of_patience(trainer))
        report_note("%s is complete: step %" PRIu64 ", epoch %" PRIu64 " of %" PRId64
                    ", ended by its patience of %" PRId64,
                    trainer->run.path, state->step, state->epoch, epochs, patience);
    else if (state->epoch < (uint64_t)epochs)
        report_note("Resuming %s at step %" PRIu64 " (epoch %" PRIu64 ")", trainer->run.path,
                    state->step, state->epoch + 1);
    else
        report_note("%s is complete: step %" PRIu64 ", epoch %" PRIu64 " of %" PRId64
                    "; more --epochs would go on",
                    trainer->run.path, state->step, state->epoch, epochs);
}

/* Weights cannot be made younger. */
static int check_epochs(const struct trainer *trainer, const clg_graph_state *state)
{
    const int64_t epochs = *trainer->file->content->training.epochs;
    const int64_t begun = (int64_t)state->epoch + (state->batch > 0);
    if (begun <= epochs) return DONE;
    return report_error(BAD_USAGE, "--epochs %" PRId64 ": %s is in its epoch %" PRId64 " already",
                        epochs, trainer->run.path, begun);
}

int trainer_resume(struct trainer *trainer)
{
    clg_graph_state state;
    struct run_path directory = run_file(&trainer->run, "checkpoints");
    clg_status status = restore(trainer, directory.text, &state);
    if (status != CLG_OK) return report_status(status, trainer->run.path);
    int code = check_epochs(trainer, &state);
    if (code != DONE) return code;
    trainer->epoch = state.epoch;
    trainer->batch = state.batch;
    code = run_truncate(&trainer->run, (int64_t)state.epoch);
    if (code != DONE) return code;
    trainer_decorate(trainer, WITH_ALL_EVENTS);
    note_resumed(trainer, &state);
    return DONE;
}
