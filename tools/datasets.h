/*
 * The data of a run: opened as the model needs it, checked, and parted.
 */
#ifndef CLTRAIN_DATASETS_H
#define CLTRAIN_DATASETS_H

#include "clgrad/data.h"
#include "model_file.h"

struct datasets {
    clg_dataset *train, *validation, *test; /* validation: NULL if the setting is 0 */
};

/*
 * `schema`: how the data of the run was read (clg_dataset_schema), so that other data gets the same
 * classes, columns and words; NULL for a new run. All return DONE, or an exit code after a message.
 */

/** Opens all parts that the resolved settings say. Close them in both cases. */
int datasets_open(struct datasets *data, const struct model_file *file, const char *schema);
void datasets_close(struct datasets *data);

/** Opens the training part of `source`, or of the run's data if that is NULL, before validation. */
int datasets_open_train(clg_dataset **out, const struct model_file *file, const char *source,
                        const char *schema);
/**
 * Opens the test part of `source`, or of the run's data if that is NULL. A source without parts is
 * used whole, except for the run's own: of that the part which was held out.
 */
int datasets_open_test(clg_dataset **out, const struct model_file *file, const char *source,
                       const char *schema);
/** Opens samples without targets; `limit` as in clg_dataset_params. */
int datasets_open_samples(clg_dataset **out, const struct model_file *file, const char *source,
                          const char *schema, int64_t limit);

#endif
