/*
 * The data of a run: opened, checked against the model, and parted.
 */
#ifndef CLTRAIN_DATASETS_H
#define CLTRAIN_DATASETS_H

#include "clgrad/data.h"
#include "model_file.h"

struct datasets {
    clg_dataset *train, *validation, *test; /* validation: NULL if the setting is 0 */
};

/** Opens what the resolved settings say. DONE, or an exit code; close it in both cases. */
int datasets_open(struct datasets *data, const struct model_file *file);
void datasets_close(struct datasets *data);

/** Opens one part of `source` for this model. */
int datasets_open_train(clg_dataset **out, const struct model_spec *model, const char *source);
int datasets_open_test(clg_dataset **out, const struct model_spec *model, const char *source);

#endif
