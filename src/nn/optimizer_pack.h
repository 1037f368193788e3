/*
 * A packed group: its parameters, gradients and state as flat tensors of one length, and the
 * assignments by which a step changes them.
 */
#ifndef CLG_OPTIMIZER_PACK_INTERNAL_H
#define CLG_OPTIMIZER_PACK_INTERNAL_H

#include "nn/optimizer_groups.h"
#include "nn/optimizer_rules.h"
#include "ops/segments.h"

typedef struct clg__pack {
    const clg__group *group;
    const clg_optimizer_params *params; /* resolved */
    clg_graph *graph;
    char label[32];         /* "", ".group1", ".no_decay": keeps the groups' state names apart */
    clg_tensor *p;          /* (count): all parameters, in the group's order */
    clg_tensor *g;          /* (count): their gradients, as far as they have been made */
    clg_tensor *guard;      /* scalar: nothing changes where it is 0. NULL: everything does */
    clg__segments segments; /* one per variable; made when they are asked for */
    clg_tensor *states[CLG__MAX_STATES];
} clg__pack;

/** Moves the group's variables next to each other. */
void clg__pack_start(clg__pack *pack, const clg__group *group, const clg_optimizer_params *params);

/**
 * Lets CLG_ACCUMULATION programs add weight * g to a variable, which is where CLG_UPDATE programs
 * then take g from, divided by `divisor` (NULL: 1). `seen` is 0 if nothing was added so far.
 */
void clg__pack_accumulate(clg__pack *pack, clg_tensor *weight, clg_tensor *seen,
                          clg_tensor *divisor);

/** Norm of each variable's part of x (count): (variables). */
clg_tensor *clg__pack_norms(clg__pack *pack, clg_tensor *x);
/** A number per variable, repeated over its part: (count). */
clg_tensor *clg__pack_spread(clg__pack *pack, clg_tensor *numbers);

/** Builds the optimizer's step for the rate lr (scalar) and returns the new parameters (count). */
clg_tensor *clg__pack_update(clg__pack *pack, clg_tensor *lr);

#endif
