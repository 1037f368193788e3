/*
 * Data sets: one block of samples, seen whole or in the parts of a split; delivered as float.
 *
 * Features stored as bytes go through a table of 256 values per channel, which holds scaling and
 * normalization: one load a value, and the same bits however the compiler contracts arithmetic.
 * Samples that are read one by one are read into the end of the caller's floats and widened there
 * in place, so that no other memory is needed. What cannot be trained with - labels outside the
 * classes, NaN - is refused with the index of the record: when the samples come in if they are in
 * memory, else when they are read.
 */
#include "io/dataset.h"

#include <math.h>

/* ---- samples ---- */

clg__samples *clg__samples_create(const char *source)
{
    clg__samples *samples = clg__calloc(1, sizeof *samples);
    if (!samples) return NULL;
    samples->references = 1;
    samples->source = clg__strdup(source);
    if (samples->source) {
        samples->info.source = samples->source;
        return samples;
    }
    clg__free(samples);
    return NULL;
}

void clg__samples_release(clg__samples *samples)
{
    if (!samples || --samples->references > 0) return;
    if (samples->kind && samples->kind->free) samples->kind->free(samples->state);
    clg__free(samples->source);
    clg__free(samples->features);
    clg__free(samples->targets);
    clg__free(samples->fill);
    clg__free(samples->schema);
    clg__names_free(&samples->classes);
    clg__names_free(&samples->columns);
    clg__free(samples);
}

size_t clg__samples_stride(const clg__samples *samples)
{
    return (size_t)clg_shape_count(&samples->info.sample) * clg_dtype_size(samples->info.storage);
}

clg_status clg__samples_check_info(const clg__samples *samples)
{
    const clg_dataset_info *info = &samples->info;
    const char *name = info->source;
    if (info->count < 1 || info->count > (int64_t)UINT32_MAX)
        return clg__fail(CLG_ERROR_FORMAT, "%s: %lld samples; 1 to 4294967295 are supported", name,
                         (long long)info->count);
    size_t features = 1;
    for (int i = 0; i < info->sample.ndim; i++)
        if (info->sample.dim[i] < 1 ||
            !clg__mul_size(features, (size_t)info->sample.dim[i], &features))
            return clg__fail(CLG_ERROR_FORMAT, "%s: dimension %d of a sample is %lld", name, i,
                             (long long)info->sample.dim[i]);
    bool fits = features <= SIZE_MAX / 8;
    if (!samples->kind) fits &= clg__mul_size(features, 4 * (size_t)info->count, &features);
    if (fits) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT, "%s: %lld samples of such a size do not fit in memory", name,
                     (long long)info->count);
}

clg_status clg__samples_allocate(clg__samples *samples)
{
    CLG_TRY(clg__samples_check_info(samples));
    size_t count = (size_t)samples->info.count, per_target = clg__target_count(&samples->info);
    samples->features = clg__calloc(count, clg__samples_stride(samples));
    if (per_target > 0) samples->targets = clg__calloc(count, per_target * sizeof(int32_t));
    return samples->features && (samples->targets || per_target == 0) ? CLG_OK : CLG_ERROR_MEMORY;
}

/* ---- checks ---- */

static clg_status bad_label(const clg__samples *samples, int64_t record, int32_t label)
{
    int classes = samples->info.classes;
    return clg__fail(CLG_ERROR_FORMAT, "%s: record %lld has the label %d, outside 0 .. %d",
                     samples->source, (long long)record, (int)label,
                     classes > 0 ? classes - 1 : INT32_MAX - 1);
}

static clg_status bad_number(const clg__samples *samples, int64_t record, const char *what,
                             size_t at, float value)
{
    return clg__fail(CLG_ERROR_FORMAT, "%s: record %lld has %s as %s %zu", samples->source,
                     (long long)record, isnan(value) ? "NaN" : "infinity", what, at);
}

/* Features of one record. NaN stands for a missing value where the source may lack some. */
static clg_status check_features(const clg__samples *samples, int64_t record, const float *values,
                                 size_t count)
{
    bool gaps = samples->info.missing > 0;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]) && !(gaps && isnan(values[i])))
            return bad_number(samples, record, "feature", i, values[i]);
    return CLG_OK;
}

/* Target of one record; *largest grows with the labels. */
static clg_status check_target(const clg__samples *samples, int64_t record, const void *target,
                               int32_t *largest)
{
    const clg_dataset_info *info = &samples->info;
    for (size_t i = 0; i < clg__target_count(info); i++) {
        float number = ((const float *)target)[i];
        int32_t label = ((const int32_t *)target)[i];
        if (info->target == CLG_TARGET_NUMBERS) {
            if (!isfinite(number)) return bad_number(samples, record, "target", i, number);
            continue;
        }
        if (label < 0 || (info->classes > 0 && label >= info->classes))
            return bad_label(samples, record, label);
        if (label > *largest) *largest = label;
    }
    return CLG_OK;
}

/* What is in memory; without a number of classes the largest label decides. */
static clg_status check_memory(clg__samples *samples)
{
    clg_dataset_info *info = &samples->info;
    size_t per_sample = (size_t)clg_shape_count(&info->sample);
    size_t per_target = clg__target_count(info);
    int32_t largest = 0;
    for (int64_t i = 0; samples->targets && i < info->count; i++)
        CLG_TRY(check_target(samples, i, (const int32_t *)samples->targets + (size_t)i * per_target,
                             &largest));
    for (int64_t i = 0; samples->features && info->storage == CLG_F32 && i < info->count; i++)
        CLG_TRY(check_features(
            samples, i, (const float *)samples->features + (size_t)i * per_sample, per_sample));
    if (largest == INT32_MAX)
        return clg__fail(CLG_ERROR_FORMAT, "%s: a label is %d, too large", samples->source,
                         (int)largest);
    if (info->target == CLG_TARGET_CLASSES && info->classes == 0) info->classes = largest + 1;
    return CLG_OK;
}

/* ---- data sets ---- */

void clg__dataset_retain(clg_dataset *dataset)
{
    dataset->references++;
}

void clg_dataset_destroy(clg_dataset *dataset)
{
    if (!dataset || --dataset->references > 0) return;
    clg__samples_release(dataset->samples);
    clg__free(dataset->indices);
    clg__free(dataset->mean);
    clg__free(dataset->std);
    clg__free(dataset->table);
    clg__free(dataset->fill);
    clg__free(dataset->relabel);
    clg__names_free(&dataset->names);
    clg__free(dataset);
    clg__object_destroyed();
}

/* A data set of all samples that delivers them as stored; takes a reference of its own. */
static clg_dataset *dataset_new(clg__samples *samples)
{
    clg_dataset *dataset = clg__calloc(1, sizeof *dataset);
    if (!dataset) return NULL;
    dataset->references = 1;
    dataset->samples = samples;
    dataset->info = samples->info;
    samples->references++;
    clg__object_created();
    return dataset;
}

/* table[c][v] = (v / 255 - mean[c]) / std[c] */
static float *make_table(int channels, const float *mean, const float *std)
{
    float *table = clg__calloc((size_t)channels, 256 * sizeof *table);
    for (int i = 0; table && i < channels * 256; i++)
        table[i] = ((float)(i % 256) / 255.0f - mean[i / 256]) / std[i / 256];
    return table;
}

static float *copy_floats(const float *from, size_t count)
{
    float *copy = clg__calloc(count, sizeof *copy);
    if (copy) memcpy(copy, from, count * sizeof *copy);
    return copy;
}

static clg_status set_normalization(clg_dataset *dataset, int channels, const float *mean,
                                    const float *std)
{
    float *table = NULL, *new_mean = copy_floats(mean, (size_t)channels);
    float *new_std = copy_floats(std, (size_t)channels);
    bool complete = new_mean && new_std;
    if (complete && dataset->info.storage == CLG_U8) {
        table = make_table(channels, mean, std);
        complete = table != NULL;
    }
    if (!complete) {
        clg__free(new_mean);
        clg__free(new_std);
        return CLG_ERROR_MEMORY;
    }
    clg__free(dataset->mean);
    clg__free(dataset->std);
    clg__free(dataset->table);
    dataset->channels = channels;
    dataset->mean = new_mean;
    dataset->std = new_std;
    dataset->table = table;
    return CLG_OK;
}

static clg_status set_fill(clg_dataset *dataset, const float *fill)
{
    float *copy = copy_floats(fill, clg__dataset_features(dataset));
    if (!copy) return CLG_ERROR_MEMORY;
    clg__free(dataset->fill);
    dataset->fill = copy;
    return CLG_OK;
}

clg_status clg__dataset_wrap(clg_dataset **out, clg__samples *samples)
{
    const float zero = 0, one = 1;
    clg_dataset *dataset = NULL;
    clg_status status = clg__samples_check_info(samples);
    if (status == CLG_OK) status = check_memory(samples);
    if (status == CLG_OK) {
        dataset = dataset_new(samples);
        status = dataset ? CLG_OK : CLG_ERROR_MEMORY;
    }
    if (status == CLG_OK && samples->info.storage == CLG_U8)
        status = set_normalization(dataset, 1, &zero, &one);
    if (status == CLG_OK && samples->fill) status = set_fill(dataset, samples->fill);
    clg__samples_release(samples);
    if (status == CLG_OK)
        *out = dataset;
    else
        clg_dataset_destroy(dataset);
    return status;
}

/* Labels and names that a selection gave. */
static clg_status set_labels(clg_dataset *part, const clg_dataset *from)
{
    size_t count = from->relabel ? (size_t)from->stored_classes : 0;
    CLG_TRY(clg__names_copy(&part->names, &from->names));
    if (!count) return CLG_OK;
    part->relabel = clg__calloc(count, sizeof *part->relabel);
    if (!part->relabel) return CLG_ERROR_MEMORY;
    memcpy(part->relabel, from->relabel, count * sizeof *part->relabel);
    part->stored_classes = from->stored_classes;
    return CLG_OK;
}

clg_status clg__dataset_part(clg_dataset **out, const clg_dataset *from, const uint32_t *indices,
                             int64_t count)
{
    clg_dataset *part = dataset_new(from->samples);
    if (!part) return CLG_ERROR_MEMORY;
    part->info = from->info;
    part->info.count = count;
    part->indices = clg__calloc((size_t)count, sizeof *part->indices);
    clg_status status = part->indices ? CLG_OK : CLG_ERROR_MEMORY;
    for (int64_t i = 0; status == CLG_OK && i < count; i++)
        part->indices[i] = from->indices ? from->indices[indices[i]] : indices[i];
    if (status == CLG_OK && from->mean)
        status = set_normalization(part, from->channels, from->mean, from->std);
    if (status == CLG_OK && from->fill) status = set_fill(part, from->fill);
    if (status == CLG_OK) status = set_labels(part, from);
    if (status == CLG_OK)
        *out = part;
    else
        clg_dataset_destroy(part);
    return status;
}

const clg_dataset_info *clg_dataset_describe(const clg_dataset *dataset)
{
    CLG__NEEDS_OR(NULL, dataset);
    return &dataset->info;
}

const char *clg_dataset_class_name(const clg_dataset *dataset, int label)
{
    CLG__NEEDS_OR(NULL, dataset);
    const clg__names *names = dataset->names.count ? &dataset->names : &dataset->samples->classes;
    return label >= 0 && (size_t)label < names->count ? names->items[label] : NULL;
}

/* ---- delivering ---- */

/*
 * to[i] = table[channel of i][from[i]]; channels run fastest. `from` may be the last quarter of
 * `to`'s memory: float i is written over bytes that were read before.
 */
static void deliver_bytes(const clg_dataset *dataset, const uint8_t *from, float *to, size_t count)
{
    const float *table = dataset->table;
    size_t channels = (size_t)dataset->channels;
    if (channels == 1) {
        for (size_t i = 0; i < count; i++) to[i] = table[from[i]];
        return;
    }
    for (size_t i = 0; i < count; i += channels)
        for (size_t c = 0; c < channels; c++) to[i + c] = table[c * 256 + from[i + c]];
}

static clg_status deliver_floats(const clg_dataset *dataset, size_t record, float *values,
                                 size_t count, bool raw)
{
    const clg__samples *samples = dataset->samples;
    size_t channels = (size_t)dataset->channels;
    for (size_t i = 0; samples->info.missing > 0 && i < count; i++) {
        if (!isnan(values[i]) || (raw && !dataset->fill)) continue;
        if (!dataset->fill)
            return clg__fail(CLG_ERROR_FORMAT,
                             "%s: record %zu has no %s%.200s: fill missing values first "
                             "(clg_dataset_fill_missing)",
                             samples->source, record, samples->columns.count ? "" : "feature ",
                             samples->columns.count ? samples->columns.items[i] : "");
        values[i] = dataset->fill[i];
    }
    for (size_t i = 0; dataset->mean && i < count; i += channels)
        for (size_t c = 0; c < channels; c++)
            values[i + c] = (values[i + c] - dataset->mean[c]) / dataset->std[c];
    return CLG_OK;
}

/* Reads into the end of the caller's memory and checks what came. */
static clg_status read_one(const clg__samples *samples, size_t at, size_t count, void *features,
                           void *target)
{
    int32_t largest = 0;
    clg_status status = samples->kind->read(samples, (int64_t)at, features, target);
    if (status != CLG_OK) return status;
    CLG_TRY(check_target(samples, (int64_t)at, target, &largest));
    if (!features || samples->info.storage != CLG_F32) return CLG_OK;
    return check_features(samples, (int64_t)at, features, count);
}

static clg_status deliver(const clg_dataset *dataset, size_t at, const void *stored,
                          float *features, bool raw)
{
    const size_t count = clg__dataset_features(dataset);
    if (dataset->info.storage == CLG_U8) {
        deliver_bytes(dataset, stored, features, count);
        return CLG_OK;
    }
    if (dataset->info.storage == CLG_I32) {
        for (size_t i = 0; i < count; i++) features[i] = (float)((const int32_t *)stored)[i];
        return CLG_OK;
    }
    if (stored != features) memcpy(features, stored, count * sizeof *features);
    return deliver_floats(dataset, at, features, count, raw);
}

clg_status clg__dataset_read(const clg_dataset *dataset, int64_t index, float *features,
                             void *target, bool raw)
{
    const clg__samples *samples = dataset->samples;
    size_t count = clg__dataset_features(dataset), stride = clg__samples_stride(samples);
    size_t per_target = clg__target_count(&samples->info) * sizeof(int32_t);
    size_t at = dataset->indices ? dataset->indices[index] : (size_t)index;
    const void *stored = NULL;
    if (samples->kind) {
        char *end = features ? (char *)features + count * sizeof *features - stride : NULL;
        CLG_TRY(read_one(samples, at, count, end, target));
        stored = end;
    } else {
        stored = (const char *)samples->features + at * stride;
        if (per_target)
            memcpy(target, (const char *)samples->targets + at * per_target, per_target);
    }
    if (dataset->relabel) *(int32_t *)target = dataset->relabel[*(const int32_t *)target];
    return features ? deliver(dataset, at, stored, features, raw) : CLG_OK;
}

clg_status clg_dataset_read(const clg_dataset *dataset, int64_t index, float *features,
                            void *target)
{
    if (!dataset || !features || (!target && clg__target_count(&dataset->info)))
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_read: an argument is NULL");
    if (index < 0 || index >= dataset->info.count)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: sample %lld of %lld", dataset->info.source,
                         (long long)index, (long long)dataset->info.count);
    return clg__dataset_read(dataset, index, features, target, false);
}

/* ---- changing what is delivered ---- */

static clg_status check_unused(const clg_dataset *dataset, const char *function)
{
    if (dataset->references > 1)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: %s is in use by a loader; do it before", function,
                         dataset->info.source);
    return CLG_OK;
}

clg_status clg_dataset_normalize(clg_dataset *dataset, int channels, const float *mean,
                                 const float *std)
{
    const char *name = "clg_dataset_normalize";
    if (!dataset || !mean || !std)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: an argument is NULL", name);
    CLG_TRY(clg__dataset_check_channels(dataset, channels, name));
    if (dataset->samples->kind && dataset->samples->kind->delivers)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "%s: %s delivers its samples through a function, which has to normalize "
                         "them itself",
                         name, dataset->info.source);
    if (dataset->info.storage == CLG_I32)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: %s holds indices, which are no amounts", name,
                         dataset->info.source);
    CLG_TRY(check_unused(dataset, name));
    for (int c = 0; c < channels; c++)
        if (!isfinite(mean[c]) || !isfinite(std[c]) || std[c] <= 0)
            return clg__fail(CLG_ERROR_ARGUMENT,
                             "%s: channel %d has mean %g and standard deviation %g; finite values "
                             "and std > 0 are needed",
                             name, c, (double)mean[c], (double)std[c]);
    return set_normalization(dataset, channels, mean, std);
}

/* Means of the values that are there; 0 where there is none. sums: (features, 2) zeros. */
static clg_status mean_of_present(const clg_dataset *from, float *sample, double *sums, float *mean)
{
    size_t count = clg__dataset_features(from), per_target = clg__target_count(&from->info);
    int32_t *target = clg__calloc(per_target, sizeof *target);
    clg_status status = target ? CLG_OK : CLG_ERROR_MEMORY;
    for (int64_t i = 0; status == CLG_OK && i < from->info.count; i++) {
        status = clg__dataset_read(from, i, sample, target, true);
        for (size_t k = 0; status == CLG_OK && k < count; k++) {
            if (isnan(sample[k])) continue;
            sums[2 * k] += (double)sample[k];
            sums[2 * k + 1] += 1;
        }
    }
    clg__free(target);
    for (size_t k = 0; k < count; k++)
        mean[k] = sums[2 * k + 1] > 0 ? (float)(sums[2 * k] / sums[2 * k + 1]) : 0;
    return status;
}

clg_status clg_dataset_fill_missing(clg_dataset *dataset, const clg_dataset *from)
{
    const char *name = "clg_dataset_fill_missing";
    if (!dataset || !from) return clg__fail(CLG_ERROR_ARGUMENT, "%s: an argument is NULL", name);
    if (!clg_shape_equal(&dataset->info.sample, &from->info.sample) ||
        from->info.storage != dataset->info.storage)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: the samples of %s and %s differ", name,
                         dataset->info.source, from->info.source);
    CLG_TRY(check_unused(dataset, name));
    if (from->fill) return set_fill(dataset, from->fill);
    if (from->mean && from->info.storage == CLG_F32)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: fill before normalizing", name);
    size_t count = clg__dataset_features(from);
    float *sample = clg__calloc(count, sizeof *sample), *mean = clg__calloc(count, sizeof *mean);
    double *sums = clg__calloc(count, 2 * sizeof *sums);
    clg_status status = sample && mean && sums ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK) status = mean_of_present(from, sample, sums, mean);
    if (status == CLG_OK) status = set_fill(dataset, mean);
    clg__free(sample);
    clg__free(mean);
    clg__free(sums);
    return status;
}
