/*
 * Tables that are stepped by rows: the few that a batch has touched (optimizer_sparse.c).
 */
#ifndef CLG_OPTIMIZER_SPARSE_INTERNAL_H
#define CLG_OPTIMIZER_SPARSE_INTERNAL_H

#include "nn/optimizer_groups.h"
#include "nn/optimizer_rules.h"
#include "ops/sparse.h"

typedef struct clg__table {
    const clg__group *group;
    const clg_optimizer_params *params; /* resolved */
    clg_tensor *variable;               /* (V, ...) */
    clg__sparse gradient;               /* its rows as far as they have been made */
    clg_tensor *guard;                  /* scalar: nothing changes where it is 0; or NULL */
    clg_tensor *states[CLG__MAX_STATES];
} clg__table;

/** True, and *t filled in, if the variable with this gradient can be stepped by rows. */
bool clg__table_start(clg__table *t, const clg__group *group, const clg_optimizer_params *params,
                      clg_tensor *variable, clg_tensor *gradient);

/** Norm of the rows x (n, D), each row of the table once: (1). */
clg_tensor *clg__table_norm(const clg__table *t, clg_tensor *x);

/** Builds the optimizer's step for the rate lr (scalar) and returns the change of the rows (n, D).
 */
clg_tensor *clg__table_update(clg__table *t, clg_tensor *lr);

#endif
