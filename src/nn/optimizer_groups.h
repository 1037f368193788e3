/*
 * Which variables an optimizer trains, and in which groups: all variables of a group have the same
 * options and are updated by one kernel.
 */
#ifndef CLG_OPTIMIZER_GROUPS_INTERNAL_H
#define CLG_OPTIMIZER_GROUPS_INTERNAL_H

#include "clgrad/optimizer.h"

typedef struct clg__group {
    clg_tensor **items; /* variables, in the order in which they are packed */
    size_t count, capacity;
    int index;   /* 0: what no clg_parameter_group names; else 1 + its index */
    bool spared; /* by decay_weights_only */
    double lr_factor;
    double weight_decay;
} clg__group;

typedef struct clg__groups {
    clg__group *items; /* none is empty */
    size_t count;
} clg__groups;

/** Fills *out (freed by clg__groups_free in any case); options have been resolved. */
clg_status clg__groups_make(const clg_tensor *loss, const clg_optimizer_params *params,
                            clg__groups *out);
void clg__groups_free(clg__groups *groups);

#endif
