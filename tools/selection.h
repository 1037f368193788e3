/*
 * The settings `classes` and `per_class` of a model file's data: a part of what the source has.
 */
#ifndef CLTRAIN_SELECTION_H
#define CLTRAIN_SELECTION_H

#include "clgrad/data.h"
#include "model_file.h"

/**
 * Replaces *dataset by the part that the settings choose; leaves it alone if they choose nothing.
 * `per_class` is of training data only. DONE, or an exit code after a message.
 */
int selection_apply(clg_dataset **dataset, const struct model_file *file, bool training);

#endif
