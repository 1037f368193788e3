/*
 * The training loop. A step only feeds and enqueues; the loader's thread prepares the next batches
 * meanwhile. What happens between steps - progress, signals, checkpoints - changes no number, so
 * that a run is the same to the bit however often it is looked at or stopped.
 */
#include "trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "clgrad/checkpoint.h"
#include "cltrain.h"
#include "optimizer_settings.h"
#include "signals.h"
#include "transfer.h"

static const double POLL_INTERVAL = 0.25; /* seconds between looks at the loss */

/* ---- preparation ---- */

/* The largest half, quarter ... of the batch that compiles: what to try instead. */
static int report_too_large(struct trainer *trainer)
{
    int64_t batch = clg_tensor_shape(trainer->network.image)->dim[0], fits = batch / 2;
    int code = report_status(CLG_ERROR_MEMORY, "the training program does not fit");
    while (fits >= 1 && trainer_compile_step(trainer, fits) == CLG_ERROR_MEMORY) fits /= 2;
    if (fits >= 1)
        report_note("A batch of %" PRId64 " fits: --batch %" PRId64 ", with --accumulate %" PRId64
                    " for the same steps",
                    fits, fits, (batch + fits - 1) / fits);
    return code;
}

static int compile_step(struct trainer *trainer)
{
    struct slow_notice notice;
    slow_begin(&notice, "Compiling kernels that are new on this device ...");
    clg_status status = trainer_compile_step(trainer, 0);
    slow_end(&notice);
    if (status == CLG_ERROR_MEMORY) return report_too_large(trainer);
    return status == CLG_OK ? DONE : report_status(status, NULL);
}

static int create_loader(struct trainer *trainer)
{
    const struct settings *settings = &trainer->file->content->training;
    clg_status status =
        clg_loader_create(&trainer->loader, trainer->data.train,
                          clg_loader_options(.batch = *settings->batch, .shuffle = true,
                                             .seed = (uint64_t)*settings->seed));
    if (status != CLG_OK) return report_status(status, NULL);
    trainer->batches = clg_loader_batches(trainer->loader);
    trainer->schedule = schedule_of(settings, trainer_steps_per_epoch(trainer));
    trainer->plateau.patience = (int)*settings->plateau;
    trainer->plateau.factor = *settings->plateau_factor;
    return DONE;
}

int trainer_build(struct trainer *trainer)
{
    struct transfer_groups groups = {0};
    int code = network_build(&trainer->network, trainer->file);
    if (code == DONE) code = transfer_groups_read(&groups, &trainer->network, trainer->file);
    clg_status status =
        code == DONE ? trainer_add_optimizer(trainer, groups.group, groups.count) : CLG_OK;
    transfer_groups_clear(&groups);
    return status == CLG_OK ? code : report_status(status, NULL);
}

int trainer_prepare(struct trainer *trainer)
{
    int code = compile_step(trainer);
    return code == DONE ? create_loader(trainer) : code;
}

void trainer_clear(struct trainer *trainer)
{
    clg_loader_destroy(trainer->loader);
    clg_program_destroy(trainer->train);
    clg_program_destroy(trainer->update);
    clg_program_destroy(trainer->measure);
    gradient_norms_clear(&trainer->gradient_norms);
    review_clear(&trainer->review);
    network_destroy(&trainer->network);
    clg_context_destroy(trainer->context);
    datasets_close(&trainer->data);
    run_close(&trainer->run);
    free(trainer->settings);
    free(trainer->schema);
}

/* ---- one epoch ---- */

static clg_status step(struct trainer *trainer, const clg_batch *batch)
{
    double scale = trainer->plateau.scale > 0 ? trainer->plateau.scale : 1;
    trainer->lr =
        scale * clg_schedule_lr(&trainer->schedule, clg_graph_steps(trainer->network.graph));
    return trainer_step(trainer, batch, trainer->lr);
}

static int stopped_by_signal(struct trainer *trainer)
{
    progress_clear(&trainer->progress);
    int number = signal_received(), code = trainer_save(trainer, false);
    if (code != DONE) return code;
    report_note("Stopped by signal %d at step %" PRIu64 "; go on with: cltrain train --resume %s",
                number, clg_graph_steps(trainer->network.graph), trainer->run.path);
    if (trainer->json)
        print_json(json_pack("{sb si sI so}", "done", 0, "signal", number, "step",
                             (json_int_t)clg_graph_steps(trainer->network.graph), "run",
                             json_text(trainer->run.path)));
    return SIGNALLED + number;
}

/*
 * Drivers compile for a local size when it is first enqueued, so the first step is where their
 * compiler is waited for: it has a notice of its own and does not count in rates.
 */
static clg_status first_step(struct trainer *trainer, const clg_batch *batch)
{
    struct slow_notice notice;
    uint64_t compiled, loaded;
    slow_begin(&notice, "Waiting for the driver to prepare the kernels for the first step ...");
    clg_status status = step(trainer, batch);
    if (status == CLG_OK) status = clg_context_finish(trainer->context);
    slow_end(&notice);
    if (status != CLG_OK) return status;
    clg_context_builds(trainer->context, &compiled, &loaded);
    report_note("First step after %.1f s (%" PRIu64 " kernel programs compiled, %" PRIu64
                " from the cache)",
                seconds_now() - trainer->started, compiled, loaded);
    trainer->warm = true;
    progress_epoch(&trainer->progress); /* the clock starts again */
    trainer->progress.images = -batch->count;
    return CLG_OK;
}

/* Between steps: progress, checkpoint_every, signals. */
static int between_steps(struct trainer *trainer, struct progress_state *state, double *polled)
{
    int64_t every = *trainer->file->content->training.checkpoint_every;
    state->batch = trainer->batch;
    if (seconds_now() - *polled > POLL_INTERVAL) {
        double sum;
        int code = trainer_poll(trainer, &sum);
        if (code != DONE) return code;
        state->loss = sum / (double)(state->batch * state->batch_size);
        progress_show(&trainer->progress, state);
        *polled = seconds_now();
    }
    if (signal_received()) return stopped_by_signal(trainer);
    const clg_graph *graph = trainer->network.graph;
    bool due = every && clg_graph_steps(graph) % (uint64_t)every == 0 &&
               clg_graph_accumulated(graph) == 0 &&
               trainer->batch < trainer->batches; /* the epoch's end saves anyway */
    return due ? trainer_save(trainer, false) : DONE;
}

static int next_step(struct trainer *trainer)
{
    clg_batch batch;
    clg_status status = clg_loader_next(trainer->loader, &batch);
    if (status == CLG_OK && !trainer->warm)
        status = first_step(trainer, &batch);
    else if (status == CLG_OK)
        status = step(trainer, &batch);
    if (status != CLG_OK) return report_status(status, NULL);
    trainer->batch++;
    trainer->progress.images += batch.count;
    return DONE;
}

/* Runs the rest of the epoch; *mean becomes the mean loss over all its samples. */
static int run_batches(struct trainer *trainer, double *mean)
{
    const struct settings *settings = &trainer->file->content->training;
    struct progress_state state = {.epoch = (int64_t)trainer->epoch + 1,
                                   .epochs = *settings->epochs,
                                   .batches = trainer->batches,
                                   .batch_size = *settings->batch};
    double polled = seconds_now(), sum;
    while (trainer->batch < trainer->batches) {
        int code = next_step(trainer);
        if (code == DONE) code = between_steps(trainer, &state, &polled);
        if (code != DONE) return code;
    }
    int code = trainer_poll(trainer, &sum);
    *mean = sum / (double)clg_dataset_describe(trainer->data.train)->count;
    return code;
}

/* When the first epoch is over: the first step need not wait for this program's kernels. */
static clg_status prepare_measuring(struct trainer *trainer)
{
    struct slow_notice notice;
    if (trainer->measure) return CLG_OK;
    slow_begin(&notice, "Compiling the kernels that measure the network ...");
    bool averaged = *trainer->file->content->training.ema > 0;
    clg_status status = evaluate_compile(&trainer->measure, trainer->context, &trainer->network,
                                         averaged ? CLG_INFERENCE_AVERAGED : CLG_INFERENCE);
    slow_end(&notice);
    return status;
}

static int measure(struct trainer *trainer, const char *part, clg_dataset *dataset,
                   struct score *score)
{
    *score = (struct score){NAN, NAN, 0, NAN, NAN};
    if (!dataset) return DONE;
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    const struct network *network = &trainer->network;
    bool numbers = network_gives_numbers(network), review = network_classifies(network) || numbers;
    const clg_shape *logits = clg_tensor_shape(network->logits);
    int64_t outputs = clg_shape_count(logits) / logits->dim[0];
    clg_status status = prepare_measuring(trainer);
    if (status == CLG_OK && review)
        status = (numbers ? review_start_numbers : review_start)(&trainer->review, part, outputs,
                                                                 clg_shape_count(&info->sample));
    if (status == CLG_OK)
        status =
            evaluate(score, trainer->measure, network, dataset, review ? &trainer->review : NULL);
    if (status == CLG_OK) return DONE;
    return status == CLG_ERROR_INTERRUPTED ? stopped_by_signal(trainer)
                                           : report_status(status, NULL);
}

static void print_epoch(const struct trainer *trainer, const struct epoch_record *record)
{
    if (trainer->json) {
        json_t *line = record_json(record);
        if (trainer->folds) json_object_set_new(line, "fold", json_integer(trainer->fold));
        print_json(line);
        return;
    }
    if (trainer->folds) printf("fold %" PRId64 "/%" PRId64 "  ", trainer->fold, trainer->folds);
    printf("epoch %2" PRId64 "/%" PRId64 "  train loss %.4f", record->epoch, record->epochs,
           record->train_loss);
    if (!isnan(record->val_loss)) printf("  validation loss %.4f", record->val_loss);
    if (!isnan(record->val_loss) && clg_tensor_shape(trainer->network.logits)->ndim == 3)
        printf(", perplexity %.3f", exp(record->val_loss)); /* of sequences */
    if (!isnan(record->val_accuracy)) printf(", accuracy %.2f %%", 100 * record->val_accuracy);
    if (record->images_per_second > 0) /* not known of one batch */
        printf("  %.0f images/s", record->images_per_second);
    putchar('\n');
    fflush(stdout);
}

/*
 * Compiles its program when the first epoch is over: the first step need not wait for that. A run
 * without these numbers is still a run.
 */
static clg_status prepare_gradient_norms(struct trainer *trainer)
{
    struct slow_notice notice;
    trainer->gradients_tried = true;
    if (!*trainer->file->content->training.gradient_norms) return CLG_OK;
    slow_begin(&notice, "Compiling the kernels that measure gradients ...");
    clg_status status =
        gradient_norms_prepare(&trainer->gradient_norms, trainer->context, &trainer->network,
                               trainer->data.train, trainer_memory_budget(trainer));
    slow_end(&notice);
    if (status != CLG_ERROR_MEMORY) return status;
    report_note("Gradient norms are not recorded: %s", clg_last_error());
    return CLG_OK;
}

/* What is known at the end of an epoch besides the losses goes into its record, too. */
static int keep_record(struct trainer *trainer, struct epoch_record *record)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    record->time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    progress_clear(&trainer->progress);
    clg_status status = trainer->gradients_tried ? CLG_OK : prepare_gradient_norms(trainer);
    if (status == CLG_OK)
        status = gradient_norms_measure(&record->gradient_norms, &trainer->gradient_norms,
                                        &trainer->network);
    if (status != CLG_OK) return report_status(status, "gradient norms");
    print_epoch(trainer, record);
    return run_add(&trainer->run, record);
}

/* Lowers the rate where the validation loss, or else the training loss, stops falling. */
static void watch_plateau(struct trainer *trainer, const struct epoch_record *record)
{
    if (!*trainer->file->content->training.plateau) return;
    double before = trainer->plateau.scale;
    double scale = clg_plateau_update(
        &trainer->plateau, isnan(record->val_loss) ? record->train_loss : record->val_loss);
    if (before > 0 && scale < before)
        report_note("Epoch %" PRId64 ": the loss stopped falling; learning rates times %g from now "
                    "on",
                    record->epoch, scale);
}

/*
 * Moves to the next epoch and writes its checkpoint. That comes after the record, since a resumed
 * run forgets records without a checkpoint and cannot make up for those that are missing; and it
 * comes even if the record could not be written (`code`), since an epoch was trained.
 */
static int end_epoch(struct trainer *trainer, int code)
{
    trainer->epoch++;
    trainer->batch = 0;
    clg_status status = trainer_reset_sum(trainer);
    if (status != CLG_OK) return report_status(status, NULL);
    bool best = code == DONE && run_best(&trainer->run) == (int)trainer->run.count - 1;
    int saved = trainer_save(trainer, best);
    if (code != DONE || saved != DONE) return code != DONE ? code : saved;
    trainer_decorate(trainer, WITH_EVENT);
    trainer_decorate(trainer, WITH_CHART);
    trainer_decorate(trainer, WITH_REPORT);
    return DONE;
}

/*
 * The position moves to the next epoch only after validation: a signal during it leaves a
 * checkpoint at the end of the old epoch, from where resuming validates again and reports the
 * epoch.
 */
static int run_epoch(struct trainer *trainer)
{
    struct epoch_record record = {.epoch = (int64_t)trainer->epoch + 1,
                                  .epochs = *trainer->file->content->training.epochs};
    struct score score;
    progress_epoch(&trainer->progress);
    double started = seconds_now();
    int code = run_batches(trainer, &record.train_loss);
    record.seconds = seconds_now() - started;
    record.images_per_second = progress_rate(&trainer->progress);
    record.lr = trainer->lr;
    record.step = clg_graph_steps(trainer->network.graph);
    if (code == DONE) code = measure(trainer, "validation", trainer->data.validation, &score);
    if (code != DONE) return code;
    record.val_loss = score.loss;
    record.val_accuracy = score.accuracy;
    code = keep_record(trainer, &record);
    watch_plateau(trainer, &record);
    return end_epoch(trainer, code);
}

/* ---- the run ---- */

/* The last line of a run; of a fold, which is not the end, without "done". */
static json_t *score_json(const struct trainer *trainer, const struct score *score)
{
    json_t *line = trainer->folds ? json_pack("{sI}", "fold", (json_int_t)trainer->fold)
                                  : json_pack("{sb}", "done", 1);
    json_object_update_new(
        line, json_pack("{so so so so sI so}", "test_accuracy", json_number(score->accuracy),
                        "test_loss", json_number(score->loss), "test_rmse",
                        json_number(score->rmse), "test_mae", json_number(score->mae), "samples",
                        (json_int_t)score->samples, "run", json_text(trainer->run.path)));
    return line;
}

static int finish(struct trainer *trainer)
{
    struct score *score = &trainer->tested;
    int code = measure(trainer, "test", trainer->data.test, score);
    if (code != DONE) return code;
    trainer_decorate(trainer, WITH_REPORT);
    if (trainer->json) return print_json(score_json(trainer, score));
    if (trainer->folds)
        printf("fold %" PRId64 "/%" PRId64 "  ", trainer->fold, trainer->folds);
    else
        run_show_chart(&trainer->run);
    printf("test ");
    score_print(score);
    if (trainer->folds) return DONE;
    printf("run %s, pictures in %s\n", trainer->run.path,
           run_file(&trainer->run, "report.html").text);
    return DONE;
}

bool trainer_out_of_patience(const struct trainer *trainer)
{
    int64_t patience = *trainer->file->content->training.patience;
    int best = run_best(&trainer->run);
    return patience && best >= 0 && (int64_t)trainer->run.count - 1 - best >= patience;
}

/* With patience a run ends with the weights of its best epoch, which become its latest. */
static int restore_best(struct trainer *trainer)
{
    int best = run_best(&trainer->run);
    if (best < 0 || best == (int)trainer->run.count - 1) return DONE;
    struct run_path directory = run_file(&trainer->run, "checkpoints");
    clg_graph *graph = trainer->network.graph;
    uint64_t steps = clg_graph_steps(graph);
    clg_safetensors *file = NULL;
    clg_status status = clg_checkpoint_load(&file, directory.text, "best", NULL);
    if (status == CLG_OK) status = clg_graph_restore(graph, file, NULL, NULL);
    clg_graph_set_steps(graph, steps);
    clg_safetensors_destroy(file);
    if (status != CLG_OK) return report_status(status, "the best weights");
    report_note("The weights are those of epoch %d, which had the lowest validation loss",
                best + 1);
    return trainer_save(trainer, false);
}

int trainer_run(struct trainer *trainer)
{
    uint64_t epochs = (uint64_t)*trainer->file->content->training.epochs;
    clg_status status = clg_loader_seek(trainer->loader, trainer->epoch, trainer->batch);
    if (status != CLG_OK) return report_status(status, NULL);
    progress_start(&trainer->progress);
    int code = DONE;
    while (code == DONE && trainer->epoch < epochs && !trainer_out_of_patience(trainer))
        code = run_epoch(trainer);
    progress_clear(&trainer->progress);
    if (code == DONE && *trainer->file->content->training.patience) code = restore_best(trainer);
    return code == DONE ? finish(trainer) : code;
}
