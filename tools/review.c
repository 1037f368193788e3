/*
 * Gathering for review.h. The few worst samples are kept in an array sorted by insertion; most
 * samples end at one comparison.
 */
#include "review.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void review_clear(struct review *review)
{
    for (int i = 0; i < REVIEW_MISSES; i++) free(review->misses[i].features);
    free(review->confusion);
    free(review->points);
    *review = (struct review){0};
}

static clg_status take_memory(struct review *review)
{
    for (int i = 0; i < REVIEW_MISSES; i++) {
        float **features = &review->misses[i].features;
        *features = malloc((size_t)review->n_features * sizeof **features);
        if (!*features) return CLG_ERROR_MEMORY;
    }
    if (review->classes > REVIEW_CLASSES) return CLG_OK;
    review->confusion = calloc((size_t)(review->classes * review->classes), sizeof(int64_t));
    return review->confusion ? CLG_OK : CLG_ERROR_MEMORY;
}

clg_status review_start(struct review *review, const char *part, int64_t classes,
                        int64_t n_features)
{
    review_clear(review);
    review->classes = classes;
    review->n_features = n_features;
    clg_status status = take_memory(review);
    if (status != CLG_OK)
        review_clear(review);
    else
        snprintf(review->part, sizeof review->part, "%s", part);
    return status;
}

clg_status review_start_numbers(struct review *review, const char *part, int64_t outputs,
                                int64_t n_features)
{
    review_clear(review);
    review->points = malloc(REVIEW_POINTS * sizeof *review->points);
    if (!review->points) return CLG_ERROR_MEMORY;
    review->outputs = outputs;
    review->n_features = n_features;
    snprintf(review->part, sizeof review->part, "%s", part);
    return CLG_OK;
}

static void keep_numbers(struct review *review, const clg_batch *batch, const float *outputs)
{
    review->samples += batch->count;
    for (int64_t i = 0; i < batch->count * review->outputs; i++) {
        if (review->n_points == REVIEW_POINTS) return;
        const float *features = batch->features + i / review->outputs * review->n_features;
        review->points[review->n_points++] =
            (struct fit_point){features[0], batch->targets[i], outputs[i]};
    }
}

static void keep_miss(struct review *review, struct miss miss, const float *features)
{
    int full = review->n_misses == REVIEW_MISSES, at = review->n_misses - full;
    if (full && !(miss.loss > review->misses[at].loss)) return;
    miss.features = review->misses[at].features; /* the memory of the one that goes */
    for (; at > 0 && review->misses[at - 1].loss < miss.loss; at--)
        review->misses[at] = review->misses[at - 1];
    review->misses[at] = miss;
    memcpy(miss.features, features, (size_t)review->n_features * sizeof *features);
    review->n_misses += !full;
}

/* The class of the largest logit, the first of equals, and its probability; loss of `label`. */
static struct miss judge(const float *logits, int64_t classes, int32_t label)
{
    int64_t best = 0;
    double sum = 0;
    for (int64_t c = 1; c < classes; c++)
        if (logits[c] > logits[best]) best = c;
    for (int64_t c = 0; c < classes; c++) sum += exp((double)logits[c] - (double)logits[best]);
    return (struct miss){.label = label,
                         .predicted = (int32_t)best,
                         .belief = 1 / sum,
                         .loss = log(sum) + (double)logits[best] - (double)logits[label]};
}

void review_batch(struct review *review, const clg_batch *batch, const float *logits)
{
    if (review->outputs) {
        keep_numbers(review, batch, logits);
        return;
    }
    for (int64_t i = 0; i < batch->count; i++) {
        struct miss seen = judge(logits + i * review->classes, review->classes, batch->labels[i]);
        seen.index = review->samples++;
        if (review->confusion) review->confusion[seen.label * review->classes + seen.predicted]++;
        if (seen.label == seen.predicted)
            review->right++;
        else
            keep_miss(review, seen, batch->features + i * review->n_features);
    }
}
