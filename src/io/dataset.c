/*
 * Data sets: one block of samples, seen whole or in the parts of a split; delivered as float.
 *
 * Features stored as bytes go through a table of 256 values per channel, which holds scaling and
 * normalization: one load a value, and the same bits however the compiler contracts arithmetic.
 * What cannot be trained with - labels outside the classes, NaN - is refused when the samples come
 * in, with the index of the record.
 */
#include "io/dataset.h"

#include <math.h>

#include "base/random.h"

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
    clg__free(samples->source);
    clg__free(samples->features);
    clg__free(samples->labels);
    clg__free(samples);
}

static clg_status check_info(const clg_dataset_info *info)
{
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
    if (!clg__mul_size(features, (size_t)info->count, &features) || features > SIZE_MAX / 4)
        return clg__fail(CLG_ERROR_FORMAT, "%s: %lld samples of such a size do not fit in memory",
                         name, (long long)info->count);
    return CLG_OK;
}

/* Labels lie in 0 .. classes - 1; without a number of classes the largest label decides. */
static clg_status check_labels(clg__samples *samples)
{
    int classes = samples->info.classes;
    int32_t largest = 0;
    for (int64_t i = 0; i < samples->info.count; i++) {
        int32_t label = samples->labels[i];
        if (label < 0 || (classes > 0 && label >= classes))
            return clg__fail(CLG_ERROR_FORMAT, "%s: record %lld has the label %d, outside 0 .. %d",
                             samples->source, (long long)i, (int)label,
                             classes > 0 ? classes - 1 : INT32_MAX - 1);
        if (label > largest) largest = label;
    }
    if (largest == INT32_MAX)
        return clg__fail(CLG_ERROR_FORMAT, "%s: a label is %d, too large", samples->source,
                         (int)largest);
    if (classes == 0) samples->info.classes = largest + 1;
    return CLG_OK;
}

static clg_status check_features(const clg__samples *samples)
{
    if (samples->info.storage != CLG_F32) return CLG_OK;
    size_t features = (size_t)clg_shape_count(&samples->info.sample);
    size_t total = features * (size_t)samples->info.count;
    const float *values = samples->features;
    for (size_t i = 0; i < total; i++)
        if (!isfinite(values[i]))
            return clg__fail(CLG_ERROR_FORMAT, "%s: record %zu has %s as feature %zu",
                             samples->source, i / features, isnan(values[i]) ? "NaN" : "infinity",
                             i % features);
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

clg_status clg__dataset_wrap(clg_dataset **out, clg__samples *samples)
{
    const float zero = 0, one = 1;
    clg_dataset *dataset = NULL;
    clg_status status = check_info(&samples->info);
    if (status == CLG_OK && !samples->read) status = check_labels(samples);
    if (status == CLG_OK && !samples->read) status = check_features(samples);
    if (status == CLG_OK) {
        dataset = dataset_new(samples);
        status = dataset ? CLG_OK : CLG_ERROR_MEMORY;
    }
    if (status == CLG_OK && samples->info.storage == CLG_U8)
        status = set_normalization(dataset, 1, &zero, &one);
    clg__samples_release(samples);
    if (status == CLG_OK)
        *out = dataset;
    else
        clg_dataset_destroy(dataset);
    return status;
}

const clg_dataset_info *clg_dataset_describe(const clg_dataset *dataset)
{
    return dataset ? &dataset->info : NULL;
}

/* ---- where samples come from ---- */

clg_status clg_dataset_open(clg_dataset **out, const char *source, clg_data_part part,
                            const clg_dataset_params *params)
{
    static const clg_dataset_params defaults = {0};
    if (!params) params = &defaults;
    if (!out || !source) return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_open: no data source");
    if (params->classes < 0 || params->limit < 0)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_open: classes %d, limit %lld: negative",
                         params->classes, (long long)params->limit);
    clg__samples *samples = clg__samples_create(source);
    if (!samples) return CLG_ERROR_MEMORY;
    clg_status status = strcmp(source, "builtin") == 0
                            ? clg__samples_draw_digits(samples, part, params)
                            : clg__samples_open_directory(samples, source, part, params);
    if (status == CLG_OK) return clg__dataset_wrap(out, samples);
    clg__samples_release(samples);
    return status;
}

static clg_status copy_arrays(clg__samples *samples, const clg_array *features,
                              const int32_t *labels, const clg_dataset_params *params)
{
    clg_dataset_info *info = &samples->info;
    info->count = features->shape.dim[0];
    if (params && params->limit > 0) info->count = clg__min_i64(info->count, params->limit);
    info->sample = clg_shape_of(features->shape.ndim - 1, features->shape.dim + 1);
    info->storage = features->dtype;
    info->classes = params ? params->classes : 0;
    CLG_TRY(check_info(info));
    size_t count = (size_t)info->count, per_sample = (size_t)clg_shape_count(&info->sample);
    size_t bytes = count * per_sample * clg_dtype_size(info->storage);
    samples->features = clg__alloc(bytes);
    samples->labels = clg__calloc(count, sizeof *labels);
    if (!samples->features || !samples->labels) return CLG_ERROR_MEMORY;
    memcpy(samples->features, features->data, bytes);
    memcpy(samples->labels, labels, count * sizeof *labels);
    return CLG_OK;
}

clg_status clg_dataset_from_arrays(clg_dataset **out, const clg_array *features,
                                   const int32_t *labels, const clg_dataset_params *params)
{
    if (!out || !features || !features->data || !labels)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_from_arrays: an argument is NULL");
    if (features->shape.ndim < 1 || features->shape.ndim > CLG_MAX_DIMS ||
        (features->dtype != CLG_U8 && features->dtype != CLG_F32))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_dataset_from_arrays: features need a shape (N, ...) and dtype U8 or "
                         "F32");
    clg__samples *samples = clg__samples_create(features->name ? features->name : "arrays");
    if (!samples) return CLG_ERROR_MEMORY;
    clg_status status = copy_arrays(samples, features, labels, params);
    if (status == CLG_OK) return clg__dataset_wrap(out, samples);
    clg__samples_release(samples);
    return status;
}

clg_status clg_dataset_from_function(clg_dataset **out, clg_sample_fn fn, void *user,
                                     const clg_dataset_info *info)
{
    if (!out || !fn || !info)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_from_function: an argument is NULL");
    if (info->storage != CLG_F32 || info->classes < 1 || info->sample.ndim < 0 ||
        info->sample.ndim >= CLG_MAX_DIMS)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_dataset_from_function: info needs storage CLG_F32, classes and a "
                         "sample shape of at most %d dimensions",
                         CLG_MAX_DIMS - 1);
    clg__samples *samples = clg__samples_create(info->source ? info->source : "function");
    if (!samples) return CLG_ERROR_MEMORY;
    samples->info = *info;
    samples->info.source = samples->source;
    samples->read = fn;
    samples->user = user;
    return clg__dataset_wrap(out, samples);
}

/* ---- reading ---- */

/* to[i] = table[channel of i][from[i]]; channels run fastest. */
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

static void deliver_floats(const clg_dataset *dataset, const float *from, float *to, size_t count)
{
    if (!dataset->mean) {
        memcpy(to, from, count * sizeof *to);
        return;
    }
    size_t channels = (size_t)dataset->channels;
    for (size_t i = 0; i < count; i += channels)
        for (size_t c = 0; c < channels; c++)
            to[i + c] = (from[i + c] - dataset->mean[c]) / dataset->std[c];
}

/* Calls the user's function and checks what it delivers as the files' samples are checked. */
static clg_status read_by_function(const clg__samples *samples, int64_t index, size_t count,
                                   float *features, int32_t *label)
{
    *label = -1;
    clg_status status = samples->read(samples->user, index, features, label);
    if (status != CLG_OK)
        return clg__fail(status, "%s: sample %lld could not be read: %s", samples->source,
                         (long long)index, clg_status_name(status));
    if (*label < 0 || *label >= samples->info.classes)
        return clg__fail(CLG_ERROR_FORMAT, "%s: record %lld has the label %d, outside 0 .. %d",
                         samples->source, (long long)index, (int)*label, samples->info.classes - 1);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(features[i]))
            return clg__fail(CLG_ERROR_FORMAT, "%s: record %lld has %s as feature %zu",
                             samples->source, (long long)index,
                             isnan(features[i]) ? "NaN" : "infinity", i);
    return CLG_OK;
}

clg_status clg_dataset_read(const clg_dataset *dataset, int64_t index, float *features,
                            int32_t *label)
{
    if (!dataset || !features || !label)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_read: an argument is NULL");
    if (index < 0 || index >= dataset->info.count)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: sample %lld of %lld", dataset->info.source,
                         (long long)index, (long long)dataset->info.count);
    const clg__samples *samples = dataset->samples;
    size_t count = clg__dataset_features(dataset);
    size_t at = dataset->indices ? dataset->indices[index] : (size_t)index;
    if (samples->read) return read_by_function(samples, (int64_t)at, count, features, label);
    if (dataset->info.storage == CLG_U8)
        deliver_bytes(dataset, (const uint8_t *)samples->features + at * count, features, count);
    else
        deliver_floats(dataset, (const float *)samples->features + at * count, features, count);
    *label = samples->labels[at];
    return CLG_OK;
}

/* ---- splitting ---- */

/* A new data set of the samples of `from` whose mark is `mark`. */
static clg_status part_of(const clg_dataset *from, const uint8_t *marks, uint8_t mark,
                          int64_t count, clg_dataset **out)
{
    clg_dataset *part = dataset_new(from->samples);
    if (!part) return CLG_ERROR_MEMORY;
    part->info.count = count;
    part->indices = clg__calloc((size_t)count, sizeof *part->indices);
    clg_status status = part->indices ? CLG_OK : CLG_ERROR_MEMORY;
    size_t filled = 0;
    for (int64_t i = 0; status == CLG_OK && i < from->info.count; i++)
        if (marks[i] == mark)
            part->indices[filled++] = from->indices ? from->indices[i] : (uint32_t)i;
    if (status == CLG_OK && from->mean)
        status = set_normalization(part, from->channels, from->mean, from->std);
    if (status == CLG_OK)
        *out = part;
    else
        clg_dataset_destroy(part);
    return status;
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
    uint8_t *marks = clg__alloc((size_t)count);
    if (!marks) return CLG_ERROR_MEMORY;
    mark_random(marks, count, chosen, seed);
    clg_dataset *first = NULL, *second = NULL;
    clg_status status = part_of(dataset, marks, 0, count - chosen, &first);
    if (status == CLG_OK) status = part_of(dataset, marks, 1, chosen, &second);
    clg__free(marks);
    if (status != CLG_OK) {
        clg_dataset_destroy(first);
        return status;
    }
    *rest = first;
    *held_out = second;
    return CLG_OK;
}

/* ---- normalization ---- */

static clg_status check_channels(const clg_dataset *dataset, int channels, const char *function)
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

/* Adds up all samples; `sample` has room for the features of one. */
static clg_status add_up(const clg_dataset *dataset, int channels, channel_sums *sums,
                         float *sample)
{
    size_t count = clg__dataset_features(dataset);
    int32_t label;
    for (int64_t i = 0; i < dataset->info.count; i++) {
        CLG_TRY(clg_dataset_read(dataset, i, sample, &label));
        for (size_t k = 0; k < count; k++) {
            channel_sums *s = sums + k % (size_t)channels;
            double x = (double)sample[k];
            s->sum += x;
            s->squares += x * x;
            s->min = fmin(s->min, x);
            s->max = fmax(s->max, x);
        }
    }
    return CLG_OK;
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
    CLG_TRY(check_channels(dataset, channels, "clg_dataset_measure"));
    size_t per_sample = clg__dataset_features(dataset);
    channel_sums *sums = clg__calloc((size_t)channels, sizeof *sums);
    float *sample = clg__calloc(per_sample, sizeof *sample);
    clg_status status = sums && sample ? CLG_OK : CLG_ERROR_MEMORY;
    for (int c = 0; status == CLG_OK && c < channels; c++)
        sums[c] = (channel_sums){.min = INFINITY, .max = -INFINITY};
    if (status == CLG_OK) status = add_up(dataset, channels, sums, sample);
    double n = (double)(per_sample / (size_t)channels) * (double)dataset->info.count;
    for (int c = 0; status == CLG_OK && c < channels; c++) stats[c] = stats_of(&sums[c], n);
    clg__free(sums);
    clg__free(sample);
    return status;
}

clg_status clg_dataset_normalize(clg_dataset *dataset, int channels, const float *mean,
                                 const float *std)
{
    if (!dataset || !mean || !std)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_normalize: an argument is NULL");
    CLG_TRY(check_channels(dataset, channels, "clg_dataset_normalize"));
    if (dataset->samples->read)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_dataset_normalize: %s delivers its samples through a function, which "
                         "has to normalize them itself",
                         dataset->info.source);
    if (dataset->references > 1)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_dataset_normalize: %s is in use by a loader; normalize it before",
                         dataset->info.source);
    for (int c = 0; c < channels; c++)
        if (!isfinite(mean[c]) || !isfinite(std[c]) || std[c] <= 0)
            return clg__fail(CLG_ERROR_ARGUMENT,
                             "clg_dataset_normalize: channel %d has mean %g and standard deviation "
                             "%g; finite values and std > 0 are needed",
                             c, (double)mean[c], (double)std[c]);
    return set_normalization(dataset, channels, mean, std);
}
