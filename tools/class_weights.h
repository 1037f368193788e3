/*
 * Weights of the classes in the loss of the training: "balanced", or one number for each class.
 */
#ifndef CLTRAIN_CLASS_WEIGHTS_H
#define CLTRAIN_CLASS_WEIGHTS_H

#include "loss.h"

/** Checks the setting, if it is given. DONE, or an exit code after a message. */
int class_weights_check(struct model_file *file, const struct loss_kind *kind);
/** Adds network->class_weights, (classes), if the setting is given. Likewise. */
int class_weights_add(struct network *network, const struct model_file *file);
/** Measures balanced weights: classes count alike, however many samples they have. */
clg_status class_weights_fit(const struct network *network, const clg_dataset *train);

#endif
