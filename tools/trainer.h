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

struct trainer {
    struct model_file *file;
    struct datasets data;
    struct network network;
    struct run_dir run;
    struct progress progress;
    clg_context *context;
    clg_program *train, *measure;
    clg_loader *loader;
    clg_minimized minimized;
    struct gradient_norms gradient_norms;
    bool gradients_tried;            /* its program was compiled, or could not be */
    struct review review;            /* of the last part that was measured */
    clg_tensor *loss_sum, *bad_step; /* see trainer_state.c */
    clg_tensor *samples;             /* input: samples in the batch */
    clg_schedule schedule;
    double lr;      /* of the last step */
    char *settings; /* text of config.yaml, kept in checkpoints */
    char *schema;   /* text of data.json */
    uint64_t epoch; /* the next batch is (epoch, batch), from 0 */
    int64_t batch;
    int64_t batches; /* of an epoch */
    double started;  /* when the program began to load things */
    bool warm;       /* a step was run */
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
void trainer_clear(struct trainer *trainer);

/* ---- parts, in trainer_state.c ---- */

/** Writes a checkpoint for going on at (epoch, batch). */
int trainer_save(struct trainer *trainer, bool best);
/** Sum of the losses of the epoch's samples so far; DIVERGED if one was NaN or Inf. */
int trainer_poll(struct trainer *trainer, double *loss_sum);
/** Adds the nodes behind trainer_poll to the graph. */
clg_status trainer_watch_loss(struct trainer *trainer);
/** The epoch's sum starts at zero again. */
clg_status trainer_reset_sum(struct trainer *trainer);

#endif
