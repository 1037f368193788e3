/*
 * The training loop: one graph, a program for training and one for measuring, epochs, checkpoints.
 */
#ifndef CLTRAIN_TRAINER_H
#define CLTRAIN_TRAINER_H

#include "clgrad/nn.h"
#include "clgrad/program.h"
#include "datasets.h"
#include "evaluate.h"
#include "gradient_norms.h"
#include "network.h"
#include "progress.h"
#include "run_dir.h"

/* What a run writes for people besides the checkpoints. */
enum decoration { WITH_EVENT, WITH_ALL_EVENTS, WITH_CHART, WITH_REPORT, N_DECORATIONS };

struct trainer {
    struct model_file *file;
    struct datasets data;
    struct network network;
    struct run_dir run;
    struct progress progress;
    clg_context *context;
    clg_program *train, *measure;
    clg_program *update; /* the optimizer alone, if gradients are accumulated; else NULL */
    clg_loader *loader;
    clg_minimized minimized;
    struct gradient_norms gradient_norms;
    bool gradients_tried;             /* its program was compiled, or could not be */
    struct review review;             /* of the last part that was measured */
    clg_tensor *loss_sum, *bad_batch; /* see trainer_state.c */
    clg_tensor *samples, *position;   /* inputs: samples in the batch, its number in the epoch */
    clg_schedule schedule;
    clg_plateau plateau;
    double lr;      /* of the last step */
    char *settings; /* text of config.yaml, kept in checkpoints */
    char *schema;   /* text of data.json */
    uint64_t epoch; /* the next batch is (epoch, batch), from 0 */
    int64_t batch;
    int64_t batches;             /* of an epoch */
    double started;              /* when the program began to load things */
    int64_t fold, folds;         /* of a cross-validation, from 1; else 0 */
    struct score tested;         /* on the test part, once the run is over */
    bool warm;                   /* a step was run */
    bool missing[N_DECORATIONS]; /* could not be written, which was said */
    bool json;
};

/* All: DONE, or an exit code after a message. */

/** Builds the graph of network, loss and optimizer for trainer->file. */
int trainer_build(struct trainer *trainer);
/** Compiles both programs on trainer->context and starts the loader. */
int trainer_prepare(struct trainer *trainer);
/** Continues from the latest checkpoint of trainer->run. */
int trainer_resume(struct trainer *trainer);
/** Trains to the end; prints a line per epoch and a last one. */
int trainer_run(struct trainer *trainer);
/** Early stopping: `patience` epochs in a row without a lower validation loss. */
bool trainer_out_of_patience(const struct trainer *trainer);
void trainer_clear(struct trainer *trainer);

/* ---- parts, in trainer_decorations.c ---- */

/** Writes it; the run goes on without: failing is a warning, and that once. */
void trainer_decorate(struct trainer *trainer, enum decoration decoration);

/* ---- parts, in trainer_state.c ---- */

/** Writes a checkpoint for going on at (epoch, batch). */
int trainer_save(struct trainer *trainer, bool best);
/** Sum of the losses of the epoch's samples so far; DIVERGED if one was NaN or Inf. */
int trainer_poll(struct trainer *trainer, double *loss_sum);
/**
 * Adds the variables behind trainer_poll to the graph; *guard becomes 1 as long as all is well.
 */
clg_status trainer_watch_start(struct trainer *trainer, clg_tensor **guard);
/** Adds the updates of these variables, once there is an optimizer. */
clg_status trainer_watch_loss(struct trainer *trainer);
/** The epoch's sum starts at zero again. */
clg_status trainer_reset_sum(struct trainer *trainer);

/* ---- parts, in trainer_step.c ---- */

/** Adds the optimizer of trainer->file to the graph. */
clg_status trainer_add_optimizer(struct trainer *trainer, const clg_parameter_group *groups,
                                 size_t n_groups);
/** Bytes that a program with gradients may take for them and activations; 0: as many as it does. */
uint64_t trainer_memory_budget(const struct trainer *trainer);
/** Compiles the program, or both programs, of a training step for batches of up to `batch`. */
clg_status trainer_compile_step(struct trainer *trainer, int64_t batch);
/** Optimizer steps in an epoch: batches, or groups of them if gradients are accumulated. */
int64_t trainer_steps_per_epoch(const struct trainer *trainer);
/**
 * Trains on batch number trainer->batch of the epoch at this rate, without waiting for it. With
 * accumulation the optimizer's step comes with the last batch of a group or of the epoch.
 */
clg_status trainer_step(struct trainer *trainer, const clg_batch *batch, double lr);

#endif
