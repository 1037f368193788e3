/*
 * Data sets: from arrays, files and the digit generator; refused records; splits, normalization;
 * and the real MNIST and Fashion-MNIST where they are at hand.
 */
#include <math.h>

#include "clgrad/data.h"
#include "scratch.h"

/* ---- MNIST-style files ---- */

static void write_idx(const char *name, int ndim, const uint32_t *dims, const void *data)
{
    unsigned char file[4096] = {0, 0, 0x08, (unsigned char)ndim};
    size_t size = 1;
    for (int i = 0; i < ndim; i++) {
        for (int k = 0; k < 4; k++) file[4 + 4 * i + k] = (unsigned char)(dims[i] >> (24 - 8 * k));
        size *= dims[i];
    }
    memcpy(file + 4 + 4 * ndim, data, size);
    scratch_write(name, file, 4 + 4 * (size_t)ndim + size);
}

/* `images` images of 2 x 2, pixel k of image i is 4 i + k, and `labels` labels. */
static void write_part(const char *stem, uint32_t images, uint32_t labels, const uint8_t *label)
{
    unsigned char pixels[1024];
    char name[64];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (unsigned char)i;
    snprintf(name, sizeof name, "%s-images-idx3-ubyte", stem);
    write_idx(name, 3, (uint32_t[]){images, 2, 2}, pixels);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", stem);
    write_idx(name, 1, &labels, label);
}

START_TEST(a_directory_of_idx_files_opens)
{
    clg_dataset *dataset = NULL;
    float features[4];
    int32_t label;
    write_part("train", 5, 5, (const uint8_t *)"\0\1\2\1\0");
    write_part("t10k", 2, 2, (const uint8_t *)"\2\0");
    TEST_OK(clg_dataset_open(&dataset, scratch, CLG_DATA_TRAIN, NULL));
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    clg_shape sample = CLG_SHAPE(2, 2, 1);
    ck_assert_int_eq(info->count, 5);
    ck_assert_int_eq(info->classes, 3);
    ck_assert_int_eq(info->storage, CLG_U8);
    ck_assert(clg_shape_equal(&info->sample, &sample));
    TEST_OK(clg_dataset_read(dataset, 3, features, &label));
    ck_assert_int_eq(label, 1);
    for (int k = 0; k < 4; k++) ck_assert(features[k] == (float)(12 + k) / 255.0f);
    TEST_FAILS(clg_dataset_read(dataset, 5, features, &label), CLG_ERROR_ARGUMENT, "sample 5 of 5");
    clg_dataset_destroy(dataset);
    TEST_OK(clg_dataset_open(&dataset, scratch, CLG_DATA_TEST,
                             clg_dataset_options(.classes = 3, .limit = 1)));
    ck_assert_int_eq(clg_dataset_describe(dataset)->count, 1);
    clg_dataset_destroy(dataset);
}
END_TEST

static void assert_not_opened(const clg_dataset_params *params, clg_status status, const char *text)
{
    clg_dataset *dataset = NULL;
    TEST_FAILS(clg_dataset_open(&dataset, scratch, CLG_DATA_TRAIN, params), status, text);
    ck_assert_ptr_null(dataset);
}

START_TEST(bad_files_are_refused)
{
    assert_not_opened(NULL, CLG_ERROR_FORMAT, "no data set that is known");
    write_part("train", 5, 4, (const uint8_t *)"\0\1\2\1");
    assert_not_opened(NULL, CLG_ERROR_FORMAT, "5 images but 4 labels");
    write_part("train", 5, 5, (const uint8_t *)"\0\1\2\x0a\0");
    assert_not_opened(clg_dataset_options(.classes = 10), CLG_ERROR_FORMAT,
                      "record 3 has the label 10, outside 0 .. 9");
    write_part("train", 0, 0, (const uint8_t *)"");
    assert_not_opened(NULL, CLG_ERROR_FORMAT, "0 samples");
    write_part("train", 5, 5, (const uint8_t *)"\0\1\2\1\0");
    assert_not_opened(clg_dataset_options(.classes = -1), CLG_ERROR_ARGUMENT, "negative");
    ck_assert_int_eq(truncate(scratch_path("train-images-idx3-ubyte"), 30), 0);
    assert_not_opened(NULL, CLG_ERROR_FORMAT, "train-images-idx3-ubyte claims");
    ck_assert_int_eq(unlink(scratch_path("train-labels-idx1-ubyte")), 0);
    write_part("t10k", 5, 5, (const uint8_t *)"\0\1\2\1\0");
    ck_assert_int_eq(unlink(scratch_path("t10k-labels-idx1-ubyte")), 0);
    clg_dataset *dataset = NULL;
    TEST_FAILS(clg_dataset_open(&dataset, scratch, CLG_DATA_TEST, NULL), CLG_ERROR_IO,
               "no t10k-labels-idx1-ubyte");
    TEST_FAILS(clg_dataset_open(&dataset, "/no/such/place", CLG_DATA_TRAIN, NULL), CLG_ERROR_IO,
               "cannot open /no/such/place");
    TEST_FAILS(clg_dataset_open(&dataset, NULL, CLG_DATA_TRAIN, NULL), CLG_ERROR_ARGUMENT,
               "source");
}
END_TEST

START_TEST(opening_survives_each_failure)
{
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status = CLG_ERROR_IO, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    write_part("train", 5, 5, (const uint8_t *)"\0\1\2\1\0");
    for (uint64_t nth = 1; status != CLG_OK; nth++) {
        clg_dataset *dataset = NULL;
        clg__fault_set(kind, nth, _i & 2, 0);
        status = clg_dataset_open(&dataset, scratch, CLG_DATA_TRAIN, NULL);
        clg__fault_set(kind, 0, false, 0);
        ck_assert(status == CLG_OK || status == expected);
        ck_assert(!dataset == (status != CLG_OK));
        clg_dataset_destroy(dataset);
        ck_assert_int_eq(clg__live_allocations(), 0);
    }
}
END_TEST

/* ---- arrays ---- */

START_TEST(bad_arrays_are_refused_with_their_record)
{
    clg_dataset *dataset = NULL;
    float values[6] = {0, 1, 2, 3, 4, 5};
    int32_t labels[3] = {0, 1, 0};
    clg_array array = {"mine", CLG_F32, CLG_SHAPE(3, 2), values};
    values[3] = NAN;
    TEST_FAILS(clg_dataset_from_arrays(&dataset, &array, labels, NULL), CLG_ERROR_FORMAT,
               "mine: record 1 has NaN as feature 1");
    values[3] = -INFINITY;
    TEST_FAILS(clg_dataset_from_arrays(&dataset, &array, labels, NULL), CLG_ERROR_FORMAT,
               "record 1 has infinity");
    values[3] = 3;
    labels[2] = -5;
    TEST_FAILS(clg_dataset_from_arrays(&dataset, &array, labels, NULL), CLG_ERROR_FORMAT,
               "mine: record 2 has the label -5");
    labels[2] = INT32_MAX;
    TEST_FAILS(clg_dataset_from_arrays(&dataset, &array, labels, NULL), CLG_ERROR_FORMAT,
               "too large");
    labels[2] = 2;
    array.dtype = CLG_I32;
    TEST_FAILS(clg_dataset_from_arrays(&dataset, &array, labels, NULL), CLG_ERROR_ARGUMENT, "U8");
    array.dtype = CLG_F32;
    array.shape = CLG_SHAPE(3, 0);
    TEST_FAILS(clg_dataset_from_arrays(&dataset, &array, labels, NULL), CLG_ERROR_FORMAT,
               "dimension 0 of a sample is 0");
    array.shape = CLG_SHAPE(3, INT64_MAX, INT64_MAX);
    TEST_FAILS(clg_dataset_from_arrays(&dataset, &array, labels, NULL), CLG_ERROR_FORMAT, "");
    array.shape = CLG_SCALAR;
    TEST_FAILS(clg_dataset_from_arrays(&dataset, &array, labels, NULL), CLG_ERROR_ARGUMENT,
               "shape");
    ck_assert_ptr_null(dataset);
}
END_TEST

START_TEST(arrays_are_copied)
{
    clg_dataset *dataset = NULL;
    float values[2] = {1, 2}, read = 0;
    int32_t labels[2] = {0, 1}, label;
    clg_array array = {NULL, CLG_F32, CLG_SHAPE(2), values}; /* samples are scalars */
    TEST_OK(clg_dataset_from_arrays(&dataset, &array, labels, NULL));
    values[1] = 9;
    labels[1] = 9;
    TEST_OK(clg_dataset_read(dataset, 1, &read, &label));
    ck_assert(read == 2 && label == 1);
    ck_assert_str_eq(clg_dataset_describe(dataset)->source, "arrays");
    clg_dataset_destroy(dataset);
}
END_TEST

/* ---- splits ---- */

static clg_dataset *numbered(int64_t count)
{
    clg_dataset *dataset = NULL;
    float *values = calloc((size_t)count, sizeof *values);
    int32_t *labels = calloc((size_t)count, sizeof *labels);
    for (int64_t i = 0; i < count; i++) values[i] = (float)i;
    clg_array array = {"numbered", CLG_F32, CLG_SHAPE(count, 1), values};
    TEST_OK(clg_dataset_from_arrays(&dataset, &array, labels, NULL));
    free(values);
    free(labels);
    return dataset;
}

/* Marks the samples of a part, which come in ascending order. */
static void mark(const clg_dataset *part, int *seen)
{
    float value, last = -1;
    int32_t label;
    for (int64_t i = 0; i < clg_dataset_describe(part)->count; i++) {
        TEST_OK(clg_dataset_read(part, i, &value, &label));
        ck_assert(value > last);
        seen[(int)value]++;
        last = value;
    }
}

START_TEST(a_split_parts_the_samples)
{
    clg_dataset *whole = numbered(100), *rest = NULL, *held_out = NULL, *again[2] = {NULL};
    int seen[100] = {0};
    TEST_OK(clg_dataset_split(whole, 0.2, 7, &rest, &held_out));
    TEST_OK(clg_dataset_split(whole, 0.2, 8, &again[0], &again[1]));
    clg_dataset_destroy(whole); /* the parts live on */
    ck_assert_int_eq(clg_dataset_describe(rest)->count, 80);
    ck_assert_int_eq(clg_dataset_describe(held_out)->count, 20);
    mark(rest, seen);
    mark(held_out, seen);
    for (int i = 0; i < 100; i++) ck_assert_int_eq(seen[i], 1);
    mark(held_out, seen);
    mark(again[1], seen);
    int common = 0;
    for (int i = 0; i < 100; i++) common += seen[i] == 3;
    ck_assert_int_lt(common, 12); /* another seed, another split: 4 in common on average */
    clg_dataset_destroy(again[0]);
    clg_dataset_destroy(again[1]);
    TEST_OK(clg_dataset_split(rest, 0.5, 7, &again[0], &again[1])); /* a part of a part */
    ck_assert_int_eq(clg_dataset_describe(again[1])->count, 40);
    mark(again[1], seen);
    clg_dataset_destroy(again[0]);
    clg_dataset_destroy(again[1]);
    clg_dataset_destroy(rest);
    clg_dataset_destroy(held_out);
}
END_TEST

START_TEST(both_sides_of_a_split_get_a_sample)
{
    clg_dataset *whole = numbered(3), *rest = NULL, *held_out = NULL;
    for (int side = 0; side < 2; side++) {
        TEST_OK(clg_dataset_split(whole, side ? 0.999 : 0.001, 1, &rest, &held_out));
        ck_assert_int_eq(clg_dataset_describe(held_out)->count, side ? 2 : 1);
        clg_dataset_destroy(rest);
        clg_dataset_destroy(held_out);
    }
    TEST_FAILS(clg_dataset_split(whole, 0, 1, &rest, &held_out), CLG_ERROR_ARGUMENT, "hold out 0");
    TEST_FAILS(clg_dataset_split(whole, NAN, 1, &rest, &held_out), CLG_ERROR_ARGUMENT, "hold out");
    clg_dataset_destroy(whole);
    whole = numbered(1);
    TEST_FAILS(clg_dataset_split(whole, 0.5, 1, &rest, &held_out), CLG_ERROR_ARGUMENT, "of 1");
    clg_dataset_destroy(whole);
}
END_TEST

/* ---- selections ---- */

/* 12 samples of one number, the index; label i % 4. */
static clg_dataset *four_classes(void)
{
    float values[12];
    int32_t labels[12];
    clg_dataset *dataset = NULL;
    for (int i = 0; i < 12; i++) {
        values[i] = (float)i;
        labels[i] = i % 4;
    }
    clg_array features = {"four", CLG_F32, CLG_SHAPE(12, 1), values};
    TEST_OK(clg_dataset_from_arrays(&dataset, &features, labels, NULL));
    return dataset;
}

static void assert_sample(const clg_dataset *dataset, int64_t index, float value, int label)
{
    float feature;
    int32_t have;
    TEST_OK(clg_dataset_read(dataset, index, &feature, &have));
    ck_assert(feature == value);
    ck_assert_int_eq(have, label);
}

START_TEST(chosen_classes_are_numbered_anew)
{
    clg_dataset *whole = four_classes(), *some = NULL, *one = NULL, *rest = NULL, *held_out = NULL;
    int64_t counts[3];
    TEST_OK(clg_dataset_select(&some, whole, (const int[]){3, 0, 2}, 3, 2));
    ck_assert_int_eq(clg_dataset_describe(some)->count, 6);
    ck_assert_int_eq(clg_dataset_describe(some)->classes, 3);
    assert_sample(some, 0, 0, 1);
    assert_sample(some, 1, 2, 2);
    assert_sample(some, 5, 7, 0);
    ck_assert_str_eq(clg_dataset_class_name(some, 0), "3");
    ck_assert_ptr_null(clg_dataset_class_name(some, 3));
    TEST_OK(clg_dataset_count_classes(some, counts));
    for (int i = 0; i < 3; i++) ck_assert_int_eq(counts[i], 2);
    clg_dataset_destroy(whole);
    TEST_OK(clg_dataset_select(&one, some, (const int[]){2}, 1, 0)); /* class 2 of the whole */
    assert_sample(one, 1, 6, 0);
    ck_assert_str_eq(clg_dataset_class_name(one, 0), "2");
    TEST_OK(clg_dataset_split(some, 0.5, 1, &rest, &held_out)); /* parts inherit it */
    TEST_OK(clg_dataset_count_classes(rest, counts));
    ck_assert_int_eq(counts[0] + counts[1] + counts[2], 3);
    ck_assert_str_eq(clg_dataset_class_name(held_out, 1), "0");
    clg_dataset_destroy(some);
    clg_dataset_destroy(one);
    clg_dataset_destroy(rest);
    clg_dataset_destroy(held_out);
}
END_TEST

START_TEST(some_samples_of_all_classes)
{
    clg_dataset *whole = four_classes(), *some = NULL;
    TEST_OK(clg_dataset_select(&some, whole, NULL, 0, 1));
    ck_assert_int_eq(clg_dataset_describe(some)->count, 4);
    for (int i = 0; i < 4; i++) assert_sample(some, i, (float)i, i);
    ck_assert_ptr_null(clg_dataset_class_name(some, 0));
    clg_dataset_destroy(some);
    clg_dataset_destroy(whole);
}
END_TEST

START_TEST(selections_that_make_no_sense_are_refused)
{
    static const struct {
        int classes[2], count, per_class;
        const char *text;
    } cases[] = {{{1, 4}, 2, 0, "no class 4; there are 4"},
                 {{-1}, 1, 0, "no class -1"},
                 {{1, 1}, 2, 0, "class 1 is named twice"},
                 {{1}, 1, -1, "-1 samples"}};
    const float numbers[] = {1, 2};
    clg_array array = {"numbers", CLG_F32, CLG_SHAPE(2, 1), numbers};
    clg_dataset *whole = four_classes(), *none = NULL, *few = NULL;
    for (size_t i = 0; i < CLG__COUNT(cases); i++)
        TEST_FAILS(
            clg_dataset_select(&none, whole, cases[i].classes, cases[i].count, cases[i].per_class),
            CLG_ERROR_ARGUMENT, cases[i].text);
    TEST_FAILS(clg_dataset_select(&none, whole, NULL, 1, 0), CLG_ERROR_ARGUMENT, "NULL");
    clg_dataset_destroy(whole);
    TEST_OK(clg_dataset_from_numbers(&whole, &array, &array, NULL));
    TEST_FAILS(clg_dataset_select(&none, whole, NULL, 0, 1), CLG_ERROR_ARGUMENT, "not one class");
    clg_dataset_destroy(whole);
    TEST_OK(clg_dataset_from_arrays(&few, &array, (const int32_t[]){0, 2},
                                    clg_dataset_options(.classes = 3)));
    TEST_FAILS(clg_dataset_select(&none, few, (const int[]){0, 1}, 2, 0), CLG_ERROR_ARGUMENT,
               "no sample of class 1");
    clg_dataset_destroy(few);
    ck_assert_ptr_null(none);
}
END_TEST

START_TEST(selecting_survives_each_failing_allocation)
{
    clg_dataset *whole = four_classes(), *some = NULL;
    clg_status status = CLG_ERROR_MEMORY;
    for (uint64_t nth = 1; status != CLG_OK; nth++) {
        clg__fault_set(CLG__FAULT_ALLOC, nth, _i, 0);
        status = clg_dataset_select(&some, whole, (const int[]){1, 3}, 2, 2);
        clg__fault_set(CLG__FAULT_ALLOC, 0, false, 0);
        ck_assert(status == CLG_OK || status == CLG_ERROR_MEMORY);
    }
    clg_dataset_destroy(some);
    clg_dataset_destroy(whole);
}
END_TEST

START_TEST(splitting_survives_each_failing_allocation)
{
    clg_dataset *whole = NULL, *rest = NULL, *held_out = NULL;
    clg_status status = CLG_ERROR_MEMORY;
    TEST_OK(clg_dataset_open(&whole, "builtin", CLG_DATA_TEST, clg_dataset_options(.limit = 20)));
    for (uint64_t nth = 1; status != CLG_OK; nth++) {
        clg__fault_set(CLG__FAULT_ALLOC, nth, _i, 0);
        status = clg_dataset_split(whole, 0.5, 1, &rest, &held_out);
        clg__fault_set(CLG__FAULT_ALLOC, 0, false, 0);
        ck_assert(status == CLG_OK || status == CLG_ERROR_MEMORY);
        ck_assert(!rest == (status != CLG_OK) && !held_out == !rest);
    }
    clg_dataset_destroy(whole);
    clg_dataset_destroy(rest);
    clg_dataset_destroy(held_out);
}
END_TEST

/* ---- normalization ---- */

/* Pixels of two channels: (0, 255), (51, 204), ... */
static clg_dataset *two_channels(clg_dtype dtype)
{
    static const uint8_t bytes[] = {0, 255, 51, 204, 102, 153, 255, 0};
    static const int32_t labels[] = {0, 1};
    float floats[8];
    clg_dataset *dataset = NULL;
    for (int i = 0; i < 8; i++) floats[i] = (float)bytes[i] / 255.0f;
    clg_array array = {"channels", dtype, CLG_SHAPE(2, 2, 1, 2), floats};
    if (dtype == CLG_U8) array.data = bytes;
    TEST_OK(clg_dataset_from_arrays(&dataset, &array, labels, NULL));
    return dataset;
}

static void assert_measured(const clg_dataset *dataset, int channels, const float *mean,
                            const float *std)
{
    clg_channel_stats stats[2];
    TEST_OK(clg_dataset_measure(dataset, channels, stats));
    for (int c = 0; c < channels; c++) {
        ck_assert_float_eq_tol(stats[c].mean, mean[c], 1e-6);
        ck_assert_float_eq_tol(stats[c].std, std[c], 1e-6);
    }
}

START_TEST(features_are_normalized_by_channel_or_together)
{
    const float mean[] = {0.4f, 0.6f}, std[] = {0.374166f, 0.374166f};
    const float zero[] = {0, 0}, one[] = {1, 1}, half = 0.5f, spread = 0.387298f;
    clg_dataset *dataset = two_channels(_i ? CLG_F32 : CLG_U8), *rest = NULL, *held_out = NULL;
    assert_measured(dataset, 2, mean, std);
    assert_measured(dataset, 1, &half, &spread);
    clg_channel_stats all[2];
    TEST_OK(clg_dataset_measure(dataset, 2, all));
    const float all_mean[] = {all[0].mean, all[1].mean}, all_std[] = {all[0].std, all[1].std};
    ck_assert_float_eq_tol(all[0].min + all[0].max, 1, 1e-6);
    ck_assert_float_eq_tol(all[1].max, 1, 1e-6);
    TEST_OK(clg_dataset_normalize(dataset, 2, all_mean, all_std));
    assert_measured(dataset, 2, zero, one);
    float sample[4], part[4];
    int32_t label;
    TEST_OK(clg_dataset_split(dataset, 0.5, 1, &rest, &held_out)); /* parts inherit it */
    TEST_OK(clg_dataset_read(held_out, 0, part, &label));
    TEST_OK(clg_dataset_read(dataset, label, sample, &label));
    ck_assert_mem_eq(sample, part, sizeof sample);
    TEST_OK(clg_dataset_normalize(dataset, 1, zero, one)); /* replaces: back to 0 .. 1 */
    assert_measured(dataset, 2, mean, std);
    clg_dataset_destroy(dataset);
    clg_dataset_destroy(rest);
    clg_dataset_destroy(held_out);
}
END_TEST

static clg_status never_called(void *user, int64_t index, float *features, void *target)
{
    return CLG_ERROR_INTERNAL;
}

START_TEST(bad_normalization_is_refused)
{
    const float mean[] = {0, 0, 0}, std[] = {1, 0, 1};
    clg_channel_stats out[3];
    clg_dataset *dataset = two_channels(CLG_U8), *produced = NULL;
    clg_loader *loader = NULL;
    TEST_FAILS(clg_dataset_normalize(dataset, 2, mean, std), CLG_ERROR_ARGUMENT, "channel 1");
    TEST_FAILS(clg_dataset_normalize(dataset, 3, mean, std), CLG_ERROR_ARGUMENT,
               "3 channels for samples of shape (2, 1, 2): expected 1 or 2");
    TEST_FAILS(clg_dataset_measure(dataset, 0, out), CLG_ERROR_ARGUMENT, "0 channels");
    TEST_OK(clg_loader_create(&loader, dataset, NULL));
    TEST_FAILS(clg_dataset_normalize(dataset, 1, mean, std), CLG_ERROR_ARGUMENT, "by a loader");
    clg_loader_destroy(loader);
    TEST_OK(clg_dataset_normalize(dataset, 1, mean, std));
    clg_dataset_info info = {.count = 2, .sample = CLG_SHAPE(1), .classes = 2};
    TEST_OK(clg_dataset_from_function(&produced, never_called, NULL, &info));
    TEST_FAILS(clg_dataset_normalize(produced, 1, mean, std), CLG_ERROR_ARGUMENT, "function");
    clg_dataset_destroy(produced);
    info.classes = 0;
    TEST_FAILS(clg_dataset_from_function(&produced, never_called, NULL, &info), CLG_ERROR_ARGUMENT,
               "classes");
    clg_dataset_destroy(dataset);
    clg_dataset_destroy(NULL);
    ck_assert_ptr_null(clg_dataset_describe(NULL));
}
END_TEST

/* ---- real data ---- */

/* Opens one of the shared sets; NULL, having said so, where it is not at hand. */
static clg_dataset *open_shared(const char *name, clg_data_part part)
{
    const char *root = getenv("CLGRAD_SHARED_DATA"), *source = getenv("CLGRAD_SOURCE_ROOT");
    char path[1024];
    clg_dataset *dataset = NULL;
    if (root)
        snprintf(path, sizeof path, "%s/%s", root, name);
    else
        snprintf(path, sizeof path, "%s/../shared/data/%s", source ? source : ".", name);
    if (access(path, F_OK) != 0) {
        TEST_SKIP("%s: no %s (CLGRAD_SHARED_DATA names another place)", name, path);
        return NULL;
    }
    TEST_OK(clg_dataset_open(&dataset, path, part, NULL));
    return dataset;
}

static const struct {
    const char *name;
    clg_data_part part;
    int64_t count;
    int first_labels[5];
    double mean, std;
} shared[] = {
    {"mnist", CLG_DATA_TRAIN, 60000, {5, 0, 4, 1, 9}, 0.1307, 0.3081},
    {"mnist", CLG_DATA_TEST, 10000, {7, 2, 1, 0, 4}, 0.1325, 0.3105},
    {"fashion-mnist", CLG_DATA_TRAIN, 60000, {9, 0, 0, 3, 0}, 0.2860, 0.3530},
    {"fashion-mnist", CLG_DATA_TEST, 10000, {9, 2, 1, 1, 6}, 0.2868, 0.3524},
};

START_TEST(the_real_sets_read_as_published)
{
    float pixels[784];
    clg_channel_stats stats;
    int32_t label;
    clg_dataset *dataset = open_shared(shared[_i].name, shared[_i].part);
    if (!dataset) return;
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    ck_assert_int_eq(info->count, shared[_i].count);
    ck_assert_int_eq(info->classes, 10);
    for (int i = 0; i < 5; i++) {
        TEST_OK(clg_dataset_read(dataset, i, pixels, &label));
        ck_assert_int_eq(label, shared[_i].first_labels[i]);
    }
    TEST_OK(clg_dataset_measure(dataset, 1, &stats));
    ck_assert_double_eq_tol(stats.mean, shared[_i].mean, 1e-4);
    ck_assert_double_eq_tol(stats.std, shared[_i].std, 1e-4);
    clg_dataset_destroy(dataset);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset");
    TCase *files = scratch_case(suite, "files");
    tcase_add_test(files, a_directory_of_idx_files_opens);
    tcase_add_test(files, bad_files_are_refused);
    tcase_add_loop_test(files, opening_survives_each_failure, 0, 4);
    TCase *arrays = testing_case(suite, "arrays");
    tcase_add_test(arrays, bad_arrays_are_refused_with_their_record);
    tcase_add_test(arrays, arrays_are_copied);
    tcase_add_test(arrays, a_split_parts_the_samples);
    tcase_add_test(arrays, both_sides_of_a_split_get_a_sample);
    tcase_add_loop_test(arrays, splitting_survives_each_failing_allocation, 0, 2);
    tcase_add_test(arrays, chosen_classes_are_numbered_anew);
    tcase_add_test(arrays, some_samples_of_all_classes);
    tcase_add_test(arrays, selections_that_make_no_sense_are_refused);
    tcase_add_loop_test(arrays, selecting_survives_each_failing_allocation, 0, 2);
    tcase_add_loop_test(arrays, features_are_normalized_by_channel_or_together, 0, 2);
    tcase_add_test(arrays, bad_normalization_is_refused);
    TCase *real = testing_case(suite, "real data");
    tcase_set_timeout(real, 120);
    tcase_add_loop_test(real, the_real_sets_read_as_published, 0, (int)CLG__COUNT(shared));
    return testing_run(suite);
}
