/*
 * Tuning: choices that change how fast a device is and not what it computes (up to the order of
 * sums), such as the shape of tiles or which algorithm carries out an operation. Each has a name,
 * legal values, and classes of problems that are tuned apart. A class never depends on the batch
 * size.
 *
 * What holds for a context, strongest first: $CLGRAD_TUNING, a list "NAME[/CLASS]=VALUE,...";
 * clg_tuning_set; the user's file, which `cltrain tune` writes (clg_tuning_path); the defaults that
 * come with the library; and where none says anything, the library's own judgement.
 */
#ifndef CLGRAD_TUNING_H
#define CLGRAD_TUNING_H

#include "clgrad/device.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CLG_TUNING_CLASSES = 4, CLG_TUNING_VALUES = 16 };

/* Where a choice comes from. */
typedef enum clg_tuning_source {
    CLG_TUNING_JUDGED,  /* nobody says: the library decides for each problem */
    CLG_TUNING_SHIPPED, /* the library's defaults for such devices */
    CLG_TUNING_USER,    /* the user's file, or clg_tuning_set */
    CLG_TUNING_ENVIRONMENT
} clg_tuning_source;

/* One choice, as the engine of a context sees it. Strings are the library's. */
typedef struct clg_tunable {
    const char *name;      /* "conv2d.blocks" */
    const char *summary;   /* one line */
    const char *algorithm; /* the one of the operation that it is about; NULL: any */
    const char *classes[CLG_TUNING_CLASSES];
    size_t n_classes;
    const char *values[CLG_TUNING_VALUES];
    size_t n_values;  /* 0: not a matter of this engine */
    bool per_process; /* one value at a time for a device in a process: see clg_tuning_set */
} clg_tunable;

CLG_API size_t clg_tunable_count(void);
/** The index-th, below clg_tunable_count(). */
CLG_API clg_status clg_tunable_query(clg_context *ctx, size_t index, clg_tunable *out);

/** What holds: *value is NULL where the library decides. `source` may be NULL. */
CLG_API clg_status clg_tuning_get(clg_context *ctx, const char *name, const char *problem_class,
                                  const char **value, clg_tuning_source *source);
/**
 * Chooses for programs that are compiled from now on; programs compiled before must keep their
 * batch size. value NULL: back to the library's defaults. problem_class NULL: all classes. Values
 * of a `per_process` choice stay when they are set back to NULL, until another one is set.
 */
CLG_API clg_status clg_tuning_set(clg_context *ctx, const char *name, const char *problem_class,
                                  const char *value);

/**
 * The user's file: $CLGRAD_TUNING_FILE, else $XDG_CONFIG_HOME/clgrad/tuning.json, else
 * ~/.config/clgrad/tuning.json. "" if it is turned off ($CLGRAD_TUNING_FILE is empty) or nothing
 * names a folder.
 */
CLG_API clg_status clg_tuning_path(char *path, size_t size);
/**
 * CLG_OK if clg_tuning_save could replace the user's file: there is none, or it is one, and its
 * folder, which is made if it is missing, can be written to.
 */
CLG_API clg_status clg_tuning_check_file(void);
/**
 * Writes what clg_tuning_set and the file chose for this device into the user's file, in place of
 * what it had for this device and driver. Entries of other devices stay. Atomic.
 */
CLG_API clg_status clg_tuning_save(clg_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
