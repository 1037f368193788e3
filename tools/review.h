/*
 * What a classifier got right and wrong: the confusion matrix of a data set and the samples with
 * the largest losses; or what a model of numbers gave in place of its targets. Gathered batch by
 * batch while evaluate() goes over the data.
 */
#ifndef CLTRAIN_REVIEW_H
#define CLTRAIN_REVIEW_H

#include "clgrad/data.h"

enum { REVIEW_MISSES = 24, REVIEW_CLASSES = 1024, REVIEW_POINTS = 1000 };

/* A sample that was taken for another class. */
struct miss {
    int64_t index; /* in the data set */
    double loss;   /* cross entropy, nats */
    double belief; /* probability of the predicted class */
    int32_t label, predicted;
    float *features; /* as delivered */
};

/* A number that was predicted; `feature` is the first one of its sample. */
struct fit_point {
    float feature, target, output;
};

struct review {
    char part[24]; /* "test", "validation"; "" before review_start */
    int64_t classes, samples, right;
    int64_t n_features;                /* of one sample */
    int64_t *confusion;                /* (label, predicted); NULL above REVIEW_CLASSES classes */
    struct miss misses[REVIEW_MISSES]; /* by falling loss */
    int n_misses;
    int64_t outputs;          /* of a model of numbers; else 0, as are the next */
    struct fit_point *points; /* the first REVIEW_POINTS */
    int n_points;
};

/** Forgets what was gathered and begins anew. */
clg_status review_start(struct review *review, const char *part, int64_t classes,
                        int64_t n_features);
/** The same for a model of numbers. */
clg_status review_start_numbers(struct review *review, const char *part, int64_t outputs,
                                int64_t n_features);
/** Takes a batch with its `logits` (count, classes or outputs). */
void review_batch(struct review *review, const clg_batch *batch, const float *logits);
void review_clear(struct review *review);

#endif
