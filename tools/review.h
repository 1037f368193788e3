/*
 * What a classifier got right and wrong: the confusion matrix of a data set and the samples with
 * the largest losses, gathered batch by batch while evaluate() goes over it.
 */
#ifndef CLTRAIN_REVIEW_H
#define CLTRAIN_REVIEW_H

#include "clgrad/data.h"

enum { REVIEW_MISSES = 24, REVIEW_CLASSES = 1024 };

/* A sample that was taken for another class. */
struct miss {
    int64_t index; /* in the data set */
    double loss;   /* cross entropy, nats */
    double belief; /* probability of the predicted class */
    int32_t label, predicted;
    float *features; /* as delivered */
};

struct review {
    char part[24]; /* "test", "validation"; "" before review_start */
    int64_t classes, samples, right;
    int64_t n_features;                /* of one sample */
    int64_t *confusion;                /* (label, predicted); NULL above REVIEW_CLASSES classes */
    struct miss misses[REVIEW_MISSES]; /* by falling loss */
    int n_misses;
};

/** Forgets what was gathered and begins anew. */
clg_status review_start(struct review *review, const char *part, int64_t classes,
                        int64_t n_features);
/** Takes a batch with its `logits` (count, classes). */
void review_batch(struct review *review, const clg_batch *batch, const float *logits);
void review_clear(struct review *review);

#endif
