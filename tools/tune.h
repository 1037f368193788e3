/*
 * cltrain tune: which problems judge what can be tuned, and comparing values on them.
 */
#ifndef CLTRAIN_TUNE_H
#define CLTRAIN_TUNE_H

#include "bench.h"
#include "clgrad/tuning.h"

/* A problem whose time counts. */
struct tune_judge {
    const char *family; /* name of a tunable, or what is in front of the dot in several */
    const char *problem_class;
    struct bench_case problem;
    bool quick; /* also with --fast */
};

/** All judges, ended by one without a family. */
const struct tune_judge *tune_judges(void);
/** Whether a judge's time counts for a class of problems of a tunable. */
bool tune_is_judge(const struct tune_judge *judge, const struct clg_tunable *tunable,
                   const char *problem_class);

enum { TUNE_CANDIDATES = CLG_TUNING_VALUES + 1 };

/* Values of one tunable for one class of problems; NULL: the library's defaults. */
struct tune_contest {
    clg_context *context;
    const clg_tunable *tunable;
    const char *problem_class;
    const char *values[TUNE_CANDIDATES];
    size_t count;
    double seconds; /* for measuring, about */
    /* Time by that of the first value; NAN for values that failed or gave other results. */
    double ratios[TUNE_CANDIDATES];
    /* Of tunables with one value per process, which have one judge: how the first value compares
     * with a clock. 0: not measured yet. */
    double base;
};

/**
 * Measures on one problem. Afterwards the defaults are in force. Results are compared with those of
 * the first value. DONE, or an exit code after a message; a signal (signals.h) ends it early, with
 * ratios that mean nothing.
 */
int tune_compare(struct tune_contest *contest, const struct tune_judge *judge);

#endif
