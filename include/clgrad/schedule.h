/*
 * Learning rate schedules: pure functions of the number of finished steps.
 */
#ifndef CLGRAD_SCHEDULE_H
#define CLGRAD_SCHEDULE_H

#include "clgrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CLG_SCHEDULE_ROWS(X)                                                                       \
    X(CONSTANT, "constant")                                                                        \
    X(COSINE, "cosine")

typedef enum clg_schedule_kind {
#define CLG_SCHEDULE_ENUM(id, name) CLG_SCHEDULE_##id,
    CLG_SCHEDULE_ROWS(CLG_SCHEDULE_ENUM)
#undef CLG_SCHEDULE_ENUM
        CLG_SCHEDULE_COUNT
} clg_schedule_kind;

typedef struct clg_schedule {
    clg_schedule_kind kind;
    double lr;       /* the highest rate */
    double lr_min;   /* cosine: the rate at the end */
    uint64_t warmup; /* steps of linear growth from lr / warmup to lr; counted in `total` */
    uint64_t total;  /* cosine: steps until lr_min, which then stays */
} clg_schedule;

/**
 * Learning rate of the step after `step` finished ones (clg_graph_steps). A pure function, so that
 * a resumed run continues as it would have. Cosine: torch's CosineAnnealingLR after the warm-up.
 */
CLG_API double clg_schedule_lr(const clg_schedule *schedule, uint64_t step);

/** "constant", "cosine"; NULL for an unknown kind. */
CLG_API const char *clg_schedule_name(clg_schedule_kind kind);
/** The kind with this name; false (and *out untouched) if there is none. */
CLG_API bool clg_schedule_find(const char *name, clg_schedule_kind *out);

#ifdef __cplusplus
}
#endif
#endif
