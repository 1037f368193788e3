/*
 * Nodes that mean different things in different programs, for the layers above that know no OpenCL:
 * updates and values by phase (tensor/graph.h), and numbers that follow the batch.
 */
#ifndef CLG_PHASES_INTERNAL_H
#define CLG_PHASES_INTERNAL_H

#include "tensor/graph.h"

/** Programs for these phases (CLG__PHASE_... | ...) carry the assignment out. */
void clg__graph_update_in(clg_tensor *assignment, unsigned phases);
/** `now`, but `accumulated` in CLG_UPDATE programs; equal shapes. */
clg_tensor *clg__by_accumulation(clg_tensor *now, clg_tensor *accumulated);
/** value * (batch / graph batch)^power as a scalar. */
clg_tensor *clg__number_by_batch(const clg_tensor *like, double value, int power);

#endif
