/*
 * A run directory: config.yaml, data.json, metrics.jsonl, loss.svg, a TensorBoard event file,
 * checkpoints/, and report.html (run_report.h).
 */
#ifndef CLTRAIN_RUN_DIR_H
#define CLTRAIN_RUN_DIR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One line of metrics.jsonl. NaN: not measured (no validation part). */
struct epoch_record {
    int64_t epoch, epochs; /* from 1 */
    uint64_t step;         /* training steps since the start */
    double train_loss, val_loss, val_accuracy;
    double lr; /* of the last step */
    double images_per_second, seconds;
    double time;            /* when it was written, seconds since 1970 */
    json_t *gradient_norms; /* object: parameter to number; NULL: not measured. The run's */
};

struct run_dir {
    char *path;
    struct epoch_record *records; /* what metrics.jsonl holds */
    size_t count;
    int lock; /* descriptor; 0: none */
};

enum { RUN_PATH_SIZE = 4096 };
struct run_path {
    char text[RUN_PATH_SIZE];
};
/** DIR/file. */
struct run_path run_file(const struct run_dir *run, const char *file);

/**
 * Makes nothing, but finds what would keep run_create from making `out`: for before the work that
 * comes in between.
 */
int run_check(const char *out);
/**
 * Makes the directory `out` (and its parents), or runs/NAME-N with the first free N if out is NULL.
 * An `out` that holds a run already is refused. Nobody else can train the run until run_close. All
 * functions: DONE, or an exit code after a message.
 */
int run_create(struct run_dir *run, const char *out, const char *name);
/** Opens an existing run and reads its metrics. */
int run_open(struct run_dir *run, const char *path);
/** The same for going on with it: refused while another process trains it. */
int run_open_to_train(struct run_dir *run, const char *path);
void run_close(struct run_dir *run);

/** Replaces a small file of the run, atomically. */
int run_write(const struct run_dir *run, const char *file, const char *text);

json_t *record_json(const struct epoch_record *record);
/** Appends a record, which is the run's from then on, to the metrics. */
int run_add(struct run_dir *run, const struct epoch_record *record);
/** Draws loss.svg anew. */
int run_draw(const struct run_dir *run);
/** Forgets the records of epochs after `epochs`: a resumed run makes them again. */
int run_truncate(struct run_dir *run, int64_t epochs);
/** Index of the record with the lowest validation loss; -1 if there is none. */
int run_best(const struct run_dir *run);
/** Shows the curves on stderr if it is a terminal that can (UTF-8). */
void run_show_chart(const struct run_dir *run);

/**
 * Finds the config.yaml that belongs to a run directory, its checkpoints directory or a checkpoint
 * file.
 */
int run_find_config(const char *path, struct run_path *config);
/**
 * Reads data.json, how the run's data was read, from beside its config.yaml; *out is freed by the
 * caller, NULL if there is none.
 */
int run_schema(const char *config, char **out);

#endif
