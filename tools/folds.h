/*
 * Cross-validation: what several runs on parts of the same data have scored, in a directory that
 * holds theirs: config.yaml, folds.json, fold-1/, fold-2/ ...
 */
#ifndef CLTRAIN_FOLDS_H
#define CLTRAIN_FOLDS_H

#include "evaluate.h"
#include "model_file.h"
#include "run_dir.h"

struct folds {
    struct run_dir run; /* of all folds; has no path until folds_start */
    struct score *scores;
    int64_t count, done;
    int64_t seed;
    char *settings; /* text of config.yaml: all folds, none in particular */
};

/* All: DONE, or an exit code after a message. */

/** For a resolved file with `folds`; clear it in any case. */
int folds_prepare(struct folds *folds, const struct model_file *file);
/** Makes the directory `out`, or one named after the model if that is NULL. */
int folds_start(struct folds *folds, const char *out, const char *name);
/** Where run number `fold` (from 1) belongs. */
struct run_path folds_path(const struct folds *folds, int64_t fold);
/** Adds the score of the next fold and writes folds.json. */
int folds_add(struct folds *folds, const struct score *score);
/** Prints means and standard deviations of all folds. */
int folds_print(const struct folds *folds, bool json);
void folds_clear(struct folds *folds);

/** Refuses the file of a whole cross-validation where that of a run is wanted. */
int folds_refuse(const char *path, const struct model_file *file);

#endif
