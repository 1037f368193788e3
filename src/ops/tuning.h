/*
 * Internal view of tuning (clgrad/tuning.h): what operations ask, and how choices get in.
 *
 * All choices are texts out of short lists, kept as the index in the list; a lookup is two array
 * accesses. A context without tuning (tests make such) has none chosen.
 */
#ifndef CLG_TUNING_INTERNAL_H
#define CLG_TUNING_INTERNAL_H

#include "clgrad/tuning.h"
#include "device/context.h"
#include "ops/op.h"

typedef enum clg__tunable_id {
#define TUNABLE(id, ...) CLG__TUNE_##id,
#include "ops/tunables.def"
#undef TUNABLE
    CLG__TUNE_COUNT
} clg__tunable_id;

/* Reads the context's sources if that was not done yet; to be called before the lookups. Fails if
 * $CLGRAD_TUNING is wrong; a file that is not usable is a warning. */
clg_status clg__tuning_load(clg_context *ctx);

/** The value chosen for a node's class of problems, NULL if there is none. node: NULL for what has
 * one class only. */
const char *clg__tuned(const clg_context *ctx, clg__tunable_id id, const clg_tensor *node);
/** The same for numbers. */
int64_t clg__tuned_int(const clg_context *ctx, clg__tunable_id id, const clg_tensor *node,
                       int64_t otherwise);
/** The same for "AxB". False if there is none; then both stay as they are. */
bool clg__tuned_pair(const clg_context *ctx, clg__tunable_id id, const clg_tensor *node, int *a,
                     int *b);
/** The name of the algorithm chosen for a node, NULL if there is none. */
const char *clg__tuned_algorithm(const clg_context *ctx, const clg_tensor *node);

/* ---- how choices get in ---- */

typedef struct clg__tuning {
    /* Index of the value, by source, tunable and class; -1: this source has none. */
    int8_t chosen[CLG_TUNING_ENVIRONMENT + 1][CLG__TUNE_COUNT][CLG_TUNING_CLASSES];
} clg__tuning;

void clg__tuning_clear(clg__tuning *t);
/** "NAME" (all classes) or "NAME/CLASS", and a value; CLG_ERROR_ARGUMENT says which is wrong. */
clg_status clg__tuning_choose(clg__tuning *t, clg_tuning_source source, const char *key,
                              const char *value);
/** A list "KEY=VALUE,KEY=VALUE". Stops at the first that is wrong. */
clg_status clg__tuning_choose_list(clg__tuning *t, clg_tuning_source source, const char *list);
/** The i-th pair of key and value of a source, from 0; false behind the last. The key is written
 * into `key` (CLG__TUNING_KEY bytes). */
enum { CLG__TUNING_KEY = 64 };
bool clg__tuning_item(const clg__tuning *t, clg_tuning_source source, size_t i, char *key,
                      const char **value);

/** What the library comes with for such a device: a list as above, "" for none. */
const char *clg__tuning_defaults(const clg_device_info *info);

/** Fills CLG_TUNING_USER from the user's file, if there is one and it knows the device. Whatever is
 * wrong with it is one warning. */
void clg__tuning_read_file(clg__tuning *t, const clg_device_info *info);

#endif
