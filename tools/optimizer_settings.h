/*
 * From the settings of a model file to the library's options for optimizers and schedules.
 */
#ifndef CLTRAIN_OPTIMIZER_SETTINGS_H
#define CLTRAIN_OPTIMIZER_SETTINGS_H

#include "clgrad/nn.h"
#include "model_file.h"

/** Replaces the -1 of settings whose default depends on the optimizer. */
void optimizer_settings_resolve(struct settings *settings);

/** The library's options; what is about the graph is left to the caller. */
clg_optimizer_params optimizer_params(const struct settings *settings);

/** Checks the epochs in `milestones`: DONE, or BAD_INPUT after a message. */
int milestones_check(struct model_file *file);

/** The schedule for a run of so many steps per epoch; settings in epochs become steps. */
clg_schedule schedule_of(const struct settings *settings, int64_t steps_per_epoch);

/** Whether the rates of all steps depend on how many there will be. */
bool schedule_spans_run(const struct settings *settings);

#endif
