/*
 * What a model is trained for: a row of a table says what the targets are, what the network must
 * give for them, and how the loss is made. `model.loss` picks the row, `model.target` can make the
 * input itself the target.
 */
#ifndef CLTRAIN_LOSS_H
#define CLTRAIN_LOSS_H

#include "clgrad/data.h"
#include "clgrad/losses.h"
#include "network.h"

enum loss_target {
    LOSS_CLASSES, /* labels, one output for each class */
    LOSS_BINARY,  /* labels 0 and 1, one output: the logit or margin of class 1 */
    LOSS_NUMBERS  /* as many outputs as targets */
};

struct loss_kind {
    const char *name;
    enum loss_target target;
    clg_tensor *(*build)(clg_tensor *x, clg_tensor *target, const clg_loss_params *params);
    bool weighted; /* takes class_weights */
};

/** Of a file that loss_check found right. */
const struct loss_kind *loss_find(const struct model_spec *model);
/** True if the model's target is its own input. */
bool loss_of_input(const struct model_spec *model);
/** Checks loss, target, classes and outputs. DONE, or an exit code after a message. */
int loss_check(struct model_file *file);
/** What data sets have to have for this model. */
clg_target_kind loss_data(const struct model_spec *model);

/** Puts target, loss, accuracy and prediction on top of network->logits. DONE, or an exit code. */
int loss_build(struct network *network, struct model_file *file);

#endif
