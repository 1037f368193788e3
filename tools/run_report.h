/*
 * report.html of a run: one file with everything that there is to see.
 */
#ifndef CLTRAIN_RUN_REPORT_H
#define CLTRAIN_RUN_REPORT_H

#include "clgrad/device.h"
#include "network.h"
#include "page.h"
#include "review.h"
#include "run_dir.h"

struct run_report {
    const struct run_dir *run;
    const struct model_file *file;
    const char *settings; /* text of config.yaml */
    const struct network *network;
    const clg_context *context;
    const struct review *review; /* NULL: nothing was measured yet */
    const clg_dataset *data;     /* for the names of classes */
};

/** Writes report.html in the run's directory. DONE, or an exit code after a message. */
int run_report_write(const struct run_report *report);

/* ---- sections in files of their own ---- */

/** What was taken for what (run_mistakes.c). `data` is a struct run_report, as for the next. */
const char *run_report_confusion(struct page *page, const void *data);
const char *run_report_mistakes(struct page *page, const void *data);

/** Predictions of numbers beside what they should be (run_fit.c). */
const char *run_report_fit(struct page *page, const void *data);

/** What the first layer looks for, as pictures (run_weights.c). */
const char *run_report_filters(struct page *page, const void *data);

#endif
