/*
 * Parts of data sets: held-out samples, folds, and what is counted and measured over a part.
 */
#include <math.h>

#include "base/random.h"
#include "io/dataset.h"

/* ---- parts ---- */

/* Both parts of `from` by the marks of its samples. */
static clg_status part_by_marks(const clg_dataset *from, const uint8_t *marks, clg_dataset **rest,
                                clg_dataset **held_out)
{
    int64_t count = from->info.count, counts[2] = {0};
    clg_dataset *parts[2] = {NULL};
    uint32_t *indices = clg__calloc((size_t)count, sizeof *indices);
    clg_status status = indices ? CLG_OK : CLG_ERROR_MEMORY;
    for (int side = 0; side < 2 && status == CLG_OK; side++) {
        for (int64_t i = 0; i < count; i++)
            if (marks[i] == side) indices[counts[side]++] = (uint32_t)i;
        status = clg__dataset_part(&parts[side], from, indices, counts[side]);
    }
    clg__free(indices);
    if (status != CLG_OK) {
        clg_dataset_destroy(parts[0]);
        return status;
    }
    *rest = parts[0];
    *held_out = parts[1];
    return CLG_OK;
}

/*
 * Marks exactly `chosen` of `count` samples at random (selection sampling, Knuth's algorithm S):
 * each is taken with the probability that still leaves the right number.
 */
static void mark_random(uint8_t *marks, int64_t count, int64_t chosen, uint64_t seed)
{
    const uint64_t key = seed ^ 0x73706c697400; /* "split": apart from other uses of the seed */
    for (int64_t i = 0; i < count; i++) {
        uint32_t left = (uint32_t)(count - i);
        marks[i] = clg__random_below(key, (uint64_t)i, 0, left) < (uint64_t)chosen;
        chosen -= marks[i];
    }
}

clg_status clg_dataset_split(const clg_dataset *dataset, double fraction, uint64_t seed,
                             clg_dataset **rest, clg_dataset **held_out)
{
    if (!dataset || !rest || !held_out)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_split: an argument is NULL");
    int64_t count = dataset->info.count;
    if (!(fraction > 0 && fraction < 1) || count < 2)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_dataset_split: cannot hold out %g of %lld samples; a fraction "
                         "between 0 and 1 of at least 2 is needed",
                         fraction, (long long)count);
    int64_t chosen = (int64_t)(fraction * (double)count + 0.5);
    chosen = clg__max_i64(1, clg__min_i64(chosen, count - 1));
    uint8_t *marks = clg__calloc((size_t)count, 1);
    if (!marks) return CLG_ERROR_MEMORY;
    if (dataset->info.ordered)
        memset(marks + count - chosen, 1, (size_t)chosen);
    else
        mark_random(marks, count, chosen, seed);
    clg_status status = part_by_marks(dataset, marks, rest, held_out);
    clg__free(marks);
    return status;
}

/* A seeded Fisher-Yates permutation of 0 .. count - 1; of ordered data, the order as it is. */
static void draw_order(const clg_dataset *dataset, uint32_t *order, uint64_t seed)
{
    const uint64_t key = seed ^ 0x666f6c6400; /* "fold" */
    uint32_t count = (uint32_t)dataset->info.count;
    for (uint32_t i = 0; i < count; i++) order[i] = i;
    for (uint32_t i = count - 1; i > 0 && !dataset->info.ordered; i--) {
        uint32_t j = clg__random_below(key, i, 0, i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

static bool has_one_label(const clg_dataset *dataset)
{
    return dataset->info.target == CLG_TARGET_CLASSES && !dataset->info.ordered &&
           clg__target_count(&dataset->info) == 1;
}

/*
 * Marks every folds-th sample in the order of classes, and within a class of `order`, from number
 * `fold` on: so folds are of nearly equal size, as a whole and in each class.
 */
static clg_status mark_stratified(const clg_dataset *dataset, const uint32_t *order, uint8_t *marks,
                                  int folds, int fold)
{
    int64_t count = dataset->info.count, classes = dataset->info.classes;
    int64_t *place = clg__calloc((size_t)classes + 1, sizeof *place); /* of a class's next one */
    int32_t *labels = clg__calloc((size_t)count, sizeof *labels);
    clg_status status = place && labels ? CLG_OK : CLG_ERROR_MEMORY;
    for (int64_t i = 0; i < count && status == CLG_OK; i++) {
        status = clg__dataset_read(dataset, i, NULL, &labels[i], true);
        if (status == CLG_OK) place[labels[i] + 1]++;
    }
    for (int64_t c = 0; c < classes && status == CLG_OK; c++) place[c + 1] += place[c];
    for (int64_t i = 0; i < count && status == CLG_OK; i++)
        marks[order[i]] = place[labels[order[i]]]++ % folds == fold;
    clg__free(place);
    clg__free(labels);
    return status;
}

static clg_status mark_fold(const clg_dataset *dataset, uint8_t *marks,
                            const clg_dataset_fold_params *p)
{
    uint64_t count = (uint64_t)dataset->info.count;
    uint32_t *order = clg__calloc(count, sizeof *order);
    clg_status status = order ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK) draw_order(dataset, order, p->seed);
    if (status == CLG_OK && has_one_label(dataset))
        status = mark_stratified(dataset, order, marks, p->folds, p->fold);
    else
        for (uint64_t i = 0; i < count && status == CLG_OK; i++)
            marks[order[i]] = i * (uint64_t)p->folds / count == (uint64_t)p->fold;
    clg__free(order);
    return status;
}

clg_status clg_dataset_fold(const clg_dataset *dataset, const clg_dataset_fold_params *params,
                            clg_dataset **rest, clg_dataset **held_out)
{
    CLG__NEEDS(dataset && rest && held_out);
    clg_dataset_fold_params p = params ? *params : (clg_dataset_fold_params){0};
    if (!p.folds) p.folds = 5;
    if (p.folds < 2 || p.folds > dataset->info.count || p.fold < 0 || p.fold >= p.folds)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_fold: fold %d of %d of %lld samples",
                         p.fold, p.folds, (long long)dataset->info.count);
    uint8_t *marks = clg__calloc((size_t)dataset->info.count, 1);
    if (!marks) return CLG_ERROR_MEMORY;
    clg_status status = mark_fold(dataset, marks, &p);
    if (status == CLG_OK) status = part_by_marks(dataset, marks, rest, held_out);
    clg__free(marks);
    return status;
}

/* ---- classes ---- */

clg_status clg_dataset_count_classes(const clg_dataset *dataset, int64_t *counts)
{
    if (!dataset || !counts || dataset->info.target != CLG_TARGET_CLASSES)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_count_classes: %s",
                         dataset && counts ? "the targets are no classes" : "an argument is NULL");
    size_t per_target = clg__target_count(&dataset->info);
    int32_t *labels = clg__calloc(per_target, sizeof *labels);
    clg_status status = labels ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK) memset(counts, 0, (size_t)dataset->info.classes * sizeof *counts);
    for (int64_t i = 0; status == CLG_OK && i < dataset->info.count; i++) {
        status = clg__dataset_read(dataset, i, NULL, labels, true);
        for (size_t k = 0; status == CLG_OK && k < per_target; k++) counts[labels[k]]++;
    }
    clg__free(labels);
    return status;
}

clg_status clg_dataset_class_weights(const clg_dataset *dataset, float *weights)
{
    if (!dataset || !weights)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_class_weights: an argument is NULL");
    int classes = dataset->info.classes;
    int64_t *counts = clg__calloc((size_t)classes, sizeof *counts), all = 0;
    if (!counts) return CLG_ERROR_MEMORY;
    clg_status status = clg_dataset_count_classes(dataset, counts);
    for (int c = 0; c < classes; c++) all += counts[c];
    for (int c = 0; status == CLG_OK && c < classes; c++)
        if (counts[c] == 0)
            status = clg__fail(CLG_ERROR_ARGUMENT,
                               "clg_dataset_class_weights: %s has no sample of class %d",
                               dataset->info.source, c);
    for (int c = 0; status == CLG_OK && c < classes; c++)
        weights[c] = (float)((double)all / ((double)classes * (double)counts[c]));
    clg__free(counts);
    return status;
}

/* ---- measuring ---- */

clg_status clg__dataset_check_channels(const clg_dataset *dataset, int channels,
                                       const char *function)
{
    const clg_shape *sample = &dataset->info.sample;
    int64_t last = sample->ndim ? sample->dim[sample->ndim - 1] : 1;
    char text[160];
    if (channels == 1 || channels == last) return CLG_OK;
    return clg__fail(CLG_ERROR_ARGUMENT,
                     "%s: %d channels for samples of shape %s: expected 1 or %lld", function,
                     channels, clg_shape_text(sample, text, sizeof text), (long long)last);
}

/* Running sums of one channel, in double. */
typedef struct channel_sums {
    double sum, squares, min, max;
} channel_sums;

static void add_sample(const float *sample, size_t count, channel_sums *sums, size_t channels)
{
    for (size_t k = 0; k < count; k++) {
        channel_sums *s = sums + k % channels;
        double x = (double)sample[k];
        s->sum += x;
        s->squares += x * x;
        s->min = fmin(s->min, x);
        s->max = fmax(s->max, x);
    }
}

static clg_channel_stats stats_of(const channel_sums *s, double n)
{
    double mean = s->sum / n, variance = s->squares / n - mean * mean;
    return (clg_channel_stats){.mean = (float)mean,
                               .std = (float)sqrt(variance > 0 ? variance : 0),
                               .min = (float)s->min,
                               .max = (float)s->max};
}

clg_status clg_dataset_measure(const clg_dataset *dataset, int channels, clg_channel_stats *stats)
{
    if (!dataset || !stats)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_measure: an argument is NULL");
    CLG_TRY(clg__dataset_check_channels(dataset, channels, "clg_dataset_measure"));
    size_t count = clg__dataset_features(dataset);
    channel_sums *sums = clg__calloc((size_t)channels, sizeof *sums);
    float *sample = clg__calloc(count, sizeof *sample);
    int32_t *target = clg__calloc(clg__target_count(&dataset->info), sizeof *target);
    clg_status status = sums && sample && target ? CLG_OK : CLG_ERROR_MEMORY;
    for (int c = 0; status == CLG_OK && c < channels; c++)
        sums[c] = (channel_sums){.min = INFINITY, .max = -INFINITY};
    for (int64_t i = 0; status == CLG_OK && i < dataset->info.count; i++) {
        status = clg__dataset_read(dataset, i, sample, target, false);
        if (status == CLG_OK) add_sample(sample, count, sums, (size_t)channels);
    }
    double n = (double)(count / (size_t)channels) * (double)dataset->info.count;
    for (int c = 0; status == CLG_OK && c < channels; c++) stats[c] = stats_of(&sums[c], n);
    clg__free(sums);
    clg__free(sample);
    clg__free(target);
    return status;
}
