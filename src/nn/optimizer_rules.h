/*
 * The rules of the optimizers, apart from what they work on.
 *
 * A rule gets p (parameters before the step), g (their gradient) and the state as tensors of one
 * shape and builds the new p and the new state from them, element by element. Where these live is
 * the caller's: optimizer.c hands in whole variables laid out next to each other; rows gathered
 * from a table, with their new values scattered back, work with the same rules.
 */
#ifndef CLG_OPTIMIZER_RULES_INTERNAL_H
#define CLG_OPTIMIZER_RULES_INTERNAL_H

#include "clgrad/optimizer.h"

enum { CLG__MAX_STATES = 3 };

/* One number that an optimizer keeps per parameter. */
typedef struct clg__optimizer_state {
    const char *name; /* "m" of the variable "optimizer.m"; NULL ends the list */
    /** Whether these options need it. NULL: all do. */
    bool (*used)(const clg_optimizer_params *params);
    bool scalar;    /* one number for all parameters together: a function of the step alone */
    double initial; /* its value before the first step */
} clg__optimizer_state;

typedef struct clg__update clg__update;

/* Where state lives. `slot` is an index into the row's states. */
typedef struct clg__update_place {
    /** The state before the step, shaped like p (or a scalar). */
    clg_tensor *(*read)(clg__update *u, int slot);
    /** The state is `value` (of the same shape) from the next step on. */
    void (*write)(clg__update *u, int slot, clg_tensor *value);
    /** Norm of each parameter tensor's part of x (shaped like p): one number per tensor. */
    clg_tensor *(*norms)(clg__update *u, clg_tensor *x);
    /** Those numbers repeated over the parts, shaped like p again. */
    clg_tensor *(*spread)(clg__update *u, clg_tensor *numbers);
} clg__update_place;

/* One use of a rule. */
struct clg__update {
    clg_graph *graph;
    const clg_optimizer_params *params; /* with defaults filled in */
    clg_tensor *p, *g;                  /* of equal shapes */
    clg_tensor *lr, *t;                 /* scalars; t: number of this step, from 1 */
    bool plain;                         /* lars, lamb: without trust ratios */
    const clg__update_place *place;
    void *owner; /* for the place */
};

/* A row of the table of optimizers. */
typedef struct clg__optimizer {
    const char *name;
    clg_optimizer_params defaults; /* lr too, as torch has it */
    clg__optimizer_state states[CLG__MAX_STATES + 1];
    clg_tensor *(*rule)(clg__update *u); /* returns the new p */
    bool own_decay;                      /* the rule has the decay in it: never decoupled */
    bool by_tensor;                      /* norms of whole tensors: tables cannot go by rows */
} clg__optimizer;

/** The row of a kind, which must be a valid one. */
const clg__optimizer *clg__optimizer_row(clg_optimizer_kind kind);

/** The options with defaults filled in; numbers and combinations are checked. */
clg_status clg__optimizer_resolve(const clg_optimizer_params *params, clg_optimizer_params *out);

#endif
