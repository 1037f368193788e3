/*
 * The scalars of a run as a TensorBoard event file in its directory.
 */
#ifndef CLTRAIN_RUN_EVENTS_H
#define CLTRAIN_RUN_EVENTS_H

#include "run_dir.h"

/** Appends the latest record. DONE, or an exit code after a message; so does the other. */
int run_append_event(const struct run_dir *run);
/** Makes the file anew from all records, for a run that goes on from an earlier epoch. */
int run_rewrite_events(const struct run_dir *run);

#endif
