/*
 * Learning rates over time: schedules (pure functions of the number of finished steps), reduction
 * when a measure stops improving, and the search for a good rate. Nothing here touches a device.
 */
#ifndef CLGRAD_SCHEDULE_H
#define CLGRAD_SCHEDULE_H

#include "clgrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One row per schedule: identifier, name in files. With s steps since the end of the warm-up, of T
 * in all, the rate is
 *
 *   constant         lr
 *   step             lr gamma^(steps / every, rounded down); steps from the very beginning
 *   multi_step       lr gamma^(number of milestones reached); steps from the very beginning
 *   exponential      lr gamma^(s / every)
 *   power            lr / (1 + s / every)^power
 *   polynomial       lr_min + (lr - lr_min) (1 - s / T)^power
 *   cosine           lr_min + (lr - lr_min) (1 + cos(pi s / T)) / 2
 *   cosine_restarts  the same over cycles: the first of `every` steps, each `growth` times as long
 *                    as the one before
 *   one_cycle        from lr / start_divisor up to lr during the share `up` of T, then down to
 *                    lr / start_divisor / end_divisor, along cosines
 *
 * as torch's StepLR, MultiStepLR, ExponentialLR, PolynomialLR, CosineAnnealingLR,
 * CosineAnnealingWarmRestarts and OneCycleLR, with LinearLR before them for the warm-up. What ends
 * at T stays where it is from then on.
 */
#define CLG_SCHEDULE_ROWS(X)                                                                       \
    X(CONSTANT, constant)                                                                          \
    X(STEP, step)                                                                                  \
    X(MULTI_STEP, multi_step)                                                                      \
    X(EXPONENTIAL, exponential)                                                                    \
    X(POWER, power)                                                                                \
    X(POLYNOMIAL, polynomial)                                                                      \
    X(COSINE, cosine)                                                                              \
    X(COSINE_RESTARTS, cosine_restarts)                                                            \
    X(ONE_CYCLE, one_cycle)

typedef enum clg_schedule_kind {
#define CLG_SCHEDULE_ENUM(id, name) CLG_SCHEDULE_##id,
    CLG_SCHEDULE_ROWS(CLG_SCHEDULE_ENUM)
#undef CLG_SCHEDULE_ENUM
        CLG_SCHEDULE_COUNT
} clg_schedule_kind;

enum { CLG_MAX_MILESTONES = 16 };

/* Numbers at 0 take the default in parentheses. */
typedef struct clg_schedule {
    clg_schedule_kind kind;
    double lr;       /* the highest rate */
    double lr_min;   /* (0) polynomial, cosine, cosine_restarts: the lowest rate */
    uint64_t warmup; /* steps of linear growth from lr / warmup to lr; counted in `total` */
    uint64_t total;  /* polynomial, cosine, one_cycle: steps of the whole run */
    uint64_t every;  /* (1) step, exponential, power, cosine_restarts: a number of steps */
    uint64_t milestones[CLG_MAX_MILESTONES]; /* multi_step: ascending, ended by 0 */
    double gamma;                            /* (0.1) step, multi_step, exponential */
    double power;                            /* (1) power, polynomial */
    uint64_t growth;                         /* (1) cosine_restarts */
    double up, start_divisor, end_divisor;   /* (0.3, 25, 10000) one_cycle */
} clg_schedule;

/**
 * Learning rate of the step after `step` finished ones (clg_graph_steps). A pure function, so that
 * a resumed run continues as it would have.
 */
CLG_API double clg_schedule_lr(const clg_schedule *schedule, uint64_t step);

/** "constant", "cosine" ...; NULL for an unknown kind. */
CLG_API const char *clg_schedule_name(clg_schedule_kind kind);
/** The kind with this name; false (and *out untouched) if there is none. */
CLG_API bool clg_schedule_find(const char *name, clg_schedule_kind *out);

/* ---- reduce on plateau ---- */

/*
 * Lowers the rate when a measure has stopped improving, as torch's ReduceLROnPlateau. Options, with
 * the default of 0 in parentheses, and behind them the state, which starts as zeros and is saved
 * with a run (clg_plateau_text).
 */
typedef struct clg_plateau {
    double factor;    /* (0.1) below 1: of each reduction */
    double threshold; /* (1e-4; negative: none) smaller changes are no improvement */
    bool absolute;    /* the threshold is a difference, not a ratio */
    bool maximize;    /* larger is better: accuracies; else losses */
    int patience;     /* measures without improvement that are borne */
    int cooldown;     /* measures after a reduction that do not count */

    double scale; /* product of the reductions; 0 stands for 1 */
    double best;
    int64_t measures, bad, cooling;
} clg_plateau;

/**
 * Takes the next measure (usually one per epoch; NaN is no improvement) and returns the number that
 * rates are to be multiplied by from now on.
 */
CLG_API double clg_plateau_update(clg_plateau *plateau, double measure);
/** Writes the state as text of at most `size` bytes (128 are enough); returns `text`. */
CLG_API char *clg_plateau_text(const clg_plateau *plateau, char *text, size_t size);
/** Reads such a text into the state; CLG_ERROR_FORMAT, and nothing changed, if it is none. */
CLG_API clg_status clg_plateau_parse(clg_plateau *plateau, const char *text);

/* ---- searching a rate ---- */

/*
 * The range test (Smith 2015): train for some steps while the rate grows exponentially, and look
 * where the loss falls fastest. Weights are of no use afterwards. Defaults of 0 in parentheses; for
 * a range of NULL all of them.
 */
typedef struct clg_lr_range {
    double lowest, highest; /* (1e-7, 10) */
    size_t steps;           /* (100) at least 2 */
} clg_lr_range;

/** Rate of step i, from 0. */
CLG_API double clg_lr_range_rate(const clg_lr_range *range, size_t i);
/**
 * Smooths the losses of the first n steps into `smooth` (n numbers; may be `losses`): a moving
 * average whose start is corrected as adam's. True if the last one is over four times the lowest,
 * or not finite: time to stop; and, with a message, for losses of NULL.
 */
CLG_API bool clg_lr_range_smooth(const double *losses, size_t n, double *smooth);
/**
 * The rate at which the smoothed losses, on their way to the lowest one, fall fastest over the
 * logarithm of the rate; 0 if they never fall, or n is less than 4; 0 and a message for losses of
 * NULL.
 */
CLG_API double clg_lr_range_suggest(const clg_lr_range *range, const double *smooth, size_t n);

#ifdef __cplusplus
}
#endif
#endif
