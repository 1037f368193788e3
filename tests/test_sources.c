/*
 * Data sets from array files and CIFAR-10's records: found by name and content, in memory and left
 * in their files, refused by file and record; folds, class weights, targets that are numbers.
 */
#include <math.h>
#include <zlib.h>

#include "clgrad/data.h"
#include "scratch.h"

static clg_status open_at(clg_dataset **out, const char *path, clg_data_part part,
                          const clg_dataset_params *params)
{
    *out = NULL;
    clg_status status = clg_dataset_open(out, path, part, params);
    ck_assert(!*out == (status != CLG_OK));
    return status;
}

static clg_dataset *opened(const char *path, clg_data_part part, const clg_dataset_params *params)
{
    clg_dataset *dataset;
    TEST_OK(open_at(&dataset, path, part, params));
    return dataset;
}

static void assert_refused(const char *path, const clg_dataset_params *params, clg_status expected,
                           const char *message)
{
    clg_dataset *dataset;
    TEST_FAILS(open_at(&dataset, path, CLG_DATA_TRAIN, params), expected, message);
}

/* ---- npy and npz ---- */

/* Writes an npy file; descr and shape as in its header. */
static void write_npy(const char *name, const char *descr, const char *shape, const void *data,
                      size_t size)
{
    unsigned char file[4096] = "\x93NUMPY\1";
    int length = snprintf((char *)file + 10, sizeof file - 10,
                          "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", descr, shape);
    file[8] = (unsigned char)length;
    file[9] = 0;
    memcpy(file + 10 + length, data, size);
    scratch_write(name, file, 10 + (size_t)length + size);
}

static void assert_sample(const clg_dataset *dataset, int64_t index, const float *features,
                          size_t count, int label)
{
    float got[64];
    int32_t target = -1;
    TEST_OK(clg_dataset_read(dataset, index, got, &target));
    for (size_t i = 0; i < count; i++) ck_assert(got[i] == features[i]);
    ck_assert_int_eq(target, label);
}

START_TEST(a_folder_of_npy_files)
{
    const float x[] = {1, 2, 3, 4, 5, 6};
    write_npy("x_train.npy", "<f4", "(3, 2)", x, sizeof x);
    write_npy("y_train.npy", "<i2", "(3,)", "\1\0\0\0\2\0", 6);
    write_npy("x_test.npy", "<f4", "(1, 2)", x, 8);
    for (int in_file = 0; in_file < 2; in_file++) {
        clg_dataset *train =
            opened(scratch, CLG_DATA_TRAIN, clg_dataset_options(.memory = in_file));
        ck_assert_int_eq(clg_dataset_describe(train)->classes, 3);
        ck_assert(!clg_dataset_describe(train)->whole);
        ck_assert_str_eq(clg_dataset_describe(train)->format, "npy");
        assert_sample(train, 2, x + 4, 2, 2);
        int64_t counts[3];
        TEST_OK(clg_dataset_count_classes(train, counts));
        ck_assert(counts[0] == 1 && counts[1] == 1 && counts[2] == 1);
        clg_dataset_destroy(train);
    }
    clg_dataset *test = opened(scratch, CLG_DATA_TEST, NULL); /* without labels */
    ck_assert_int_eq(clg_dataset_describe(test)->target, CLG_TARGET_NONE);
    assert_sample(test, 0, x, 2, -1);
    clg_dataset_destroy(test);
    assert_refused(scratch, clg_dataset_options(.classes = 2), CLG_ERROR_FORMAT,
                   "record 2 has the label 2, outside 0 .. 1");
    assert_refused(scratch, clg_dataset_options(.classes = 2, .memory = 1), CLG_ERROR_FORMAT,
                   "record 2 has the label 2, outside 0 .. 1");
    write_npy("y_train.npy", "<i2", "(2,)", "\1\0\0\0", 4);
    assert_refused(scratch, NULL, CLG_ERROR_FORMAT, "3 images but 2 labels");
    write_npy("y_train.npy", "<i2", "(3, 2)", "\1\0\0\0\2\0\1\0\0\0\2\0", 12);
    assert_refused(scratch, NULL, CLG_ERROR_FORMAT, "labels of shape (3, 2)");
    ck_assert_int_eq(unlink(scratch_path("x_train.npy")), 0);
    assert_refused(scratch, NULL, CLG_ERROR_FORMAT, "no arrays for training");
}
END_TEST

START_TEST(floating_targets_are_a_regression)
{
    const float x[] = {1, 2, 3}, y[] = {0.5F, 1.5F, NAN};
    float feature, target;
    write_npy("x.npy", "<f4", "(3, 1)", x, sizeof x);
    write_npy("y.npy", "<f4", "(3,)", y, sizeof y);
    assert_refused(scratch, NULL, CLG_ERROR_FORMAT, "record 2 has NaN as target 0");
    assert_refused(scratch, clg_dataset_options(.targets = CLG_TARGET_CLASSES), CLG_ERROR_FORMAT,
                   "floating point");
    write_npy("y.npy", "<f4", "(3,)", x, sizeof x);
    clg_dataset *dataset = opened(scratch, CLG_DATA_TEST, NULL);
    ck_assert_int_eq(clg_dataset_describe(dataset)->target, CLG_TARGET_NUMBERS);
    ck_assert(clg_dataset_describe(dataset)->whole);
    TEST_OK(clg_dataset_read(dataset, 2, &feature, &target));
    ck_assert(feature == 3 && target == 3);
    TEST_FAILS(clg_dataset_count_classes(dataset, (int64_t[1]){0}), CLG_ERROR_ARGUMENT, "classes");
    clg_dataset_destroy(dataset);
}
END_TEST

/* Records that stay in the file are checked when they are read. */
START_TEST(bad_records_in_a_file_are_named_when_read)
{
    const float x[] = {1, NAN, 3};
    const double wide[] = {1, 1e300, 3};
    float feature;
    write_npy("x.npy", "<f4", "(3, 1)", x, sizeof x);
    assert_refused(scratch_path("x.npy"), NULL, CLG_ERROR_FORMAT, "record 1 has NaN as feature 0");
    clg_dataset *dataset =
        opened(scratch_path("x.npy"), CLG_DATA_TRAIN, clg_dataset_options(.memory = 1));
    TEST_OK(clg_dataset_read(dataset, 2, &feature, NULL));
    ck_assert(feature == 3);
    TEST_FAILS(clg_dataset_read(dataset, 1, &feature, NULL), CLG_ERROR_FORMAT,
               "record 1 has NaN as feature 0");
    clg_dataset_destroy(dataset);
    write_npy("x.npy", "<f8", "(3, 1)", wide, sizeof wide);
    dataset = opened(scratch_path("x.npy"), CLG_DATA_TRAIN, clg_dataset_options(.memory = 1));
    TEST_OK(clg_dataset_read(dataset, 0, &feature, NULL));
    TEST_FAILS(clg_dataset_read(dataset, 1, &feature, NULL), CLG_ERROR_FORMAT, "infinity");
    ck_assert_int_eq(truncate(scratch_path("x.npy"), 80), 0);
    TEST_FAILS(clg_dataset_read(dataset, 2, &feature, NULL), CLG_ERROR_FORMAT, "x.npy ends at");
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(bytes_in_a_file_are_delivered_as_from_memory)
{
    enum { N = 5, SIZE = 3 * 2 * 3 };
    unsigned char pixels[N * SIZE];
    float first[SIZE], second[SIZE];
    int32_t none;
    for (int i = 0; i < N * SIZE; i++) pixels[i] = (unsigned char)(i * 37);
    write_npy("x.npy", "|u1", "(5, 3, 2, 3)", pixels, sizeof pixels);
    clg_dataset *memory = opened(scratch_path("x.npy"), CLG_DATA_TRAIN, NULL);
    clg_dataset *file =
        opened(scratch_path("x.npy"), CLG_DATA_TRAIN, clg_dataset_options(.memory = 1));
    const float mean[] = {0.1F, 0.2F, 0.3F}, std[] = {0.5F, 1, 2};
    for (int normalized = 0; normalized < 2; normalized++) {
        for (int64_t i = 0; i < N; i++) {
            TEST_OK(clg_dataset_read(memory, i, first, &none));
            TEST_OK(clg_dataset_read(file, i, second, &none));
            ck_assert_mem_eq(first, second, sizeof first);
        }
        TEST_OK(clg_dataset_normalize(memory, 3, mean, std));
        TEST_OK(clg_dataset_normalize(file, 3, mean, std));
    }
    clg_dataset_destroy(memory);
    clg_dataset_destroy(file);
}
END_TEST

/* A stored npz archive of two arrays, whose directory gives offsets and sizes. */
static void write_npz(const char *first, const char *second)
{
    unsigned char file[4096], directory[512];
    size_t at = 0, end = 0;
    const char *const names[] = {first, second};
    for (int i = 0; i < 2; i++) {
        char name[64];
        size_t size, length = (size_t)snprintf(name, sizeof name, "%s.npy", names[i]), offset = at;
        write_npy("member", "|u1", i ? "(3,)" : "(3, 2)", i ? "\1\0\1" : "\0\1\2\3\4\5", i ? 3 : 6);
        char *content = scratch_read("member", &size);
        uint32_t crc = (uint32_t)crc32(0, (unsigned char *)content, (uInt)size);
        unsigned char common[26] = {20};
        memcpy(common + 10, &crc, 4);
        memcpy(common + 14, &(uint32_t){(uint32_t)size}, 4);
        memcpy(common + 18, &(uint32_t){(uint32_t)size}, 4);
        common[22] = (unsigned char)length;
        memcpy(file + at, "PK\3\4", 4);
        memcpy(file + at + 4, common, sizeof common);
        memcpy(file + at + 30, name, length);
        memcpy(file + at + 30 + length, content, size);
        at += 30 + length + size;
        memset(directory + end, 0, 46);
        memcpy(directory + end, "PK\1\2\x14", 5);
        memcpy(directory + end + 6, common, 24);
        memcpy(directory + end + 42, &(uint32_t){(uint32_t)offset}, 4);
        memcpy(directory + end + 46, name, length);
        end += 46 + length;
        free(content);
    }
    memcpy(file + at, directory, end);
    unsigned char tail[22] = "PK\5\6\0\0\0\0\2\0\2";
    memcpy(tail + 12, &(uint32_t){(uint32_t)end}, 4);
    memcpy(tail + 16, &(uint32_t){(uint32_t)at}, 4);
    memcpy(file + at + end, tail, sizeof tail);
    scratch_write("set.npz", file, at + end + sizeof tail);
    ck_assert_int_eq(unlink(scratch_path("member")), 0);
}

START_TEST(npz_files_name_their_parts)
{
    char path[256];
    const float second[] = {2 / 255.0F, 3 / 255.0F};
    snprintf(path, sizeof path, "%s/set.npz", scratch);
    write_npz("x_train", "y_train");
    for (int in_file = 0; in_file < 2; in_file++) {
        clg_dataset *dataset = opened(path, CLG_DATA_TRAIN, clg_dataset_options(.memory = in_file));
        ck_assert(!clg_dataset_describe(dataset)->whole);
        assert_sample(dataset, 1, second, 2, 0);
        clg_dataset_destroy(dataset);
    }
    clg_dataset *dataset;
    TEST_FAILS(open_at(&dataset, path, CLG_DATA_TEST, NULL), CLG_ERROR_FORMAT,
               "no arrays for testing");
    write_npz("X", "y");
    dataset = opened(path, CLG_DATA_TEST, NULL);
    ck_assert(clg_dataset_describe(dataset)->whole);
    assert_sample(dataset, 2, (float[]){4 / 255.0F, 5 / 255.0F}, 2, 1);
    clg_dataset_destroy(dataset);
    write_npz("strange", "names");
    assert_refused(path, NULL, CLG_ERROR_FORMAT, "which array?");
}
END_TEST

/* ---- CIFAR-10 ---- */

enum { RECORD = 3073 };

/* Records i from `first` on: label i % 10, byte k of plane c is i + k + 50 c. */
static void write_cifar(const char *name, int first, int count, int extra, bool packed)
{
    unsigned char *file = calloc((size_t)count * RECORD + 4, 1);
    for (int i = 0; i < count; i++) {
        unsigned char *record = file + i * RECORD;
        record[0] = (unsigned char)((first + i) % 10);
        for (int k = 0; k < 3072; k++)
            record[1 + k] = (unsigned char)(first + i + k % 1024 + 50 * (k / 1024));
    }
    size_t size = (size_t)(count * RECORD + extra);
    if (packed) {
        gzFile gz = gzopen(scratch_path(name), "wb");
        ck_assert_int_eq(gzwrite(gz, file, (unsigned)size), (int)size);
        ck_assert_int_eq(gzclose(gz), Z_OK);
    } else {
        scratch_write(name, file, size);
    }
    free(file);
}

static void assert_cifar(const clg_dataset *dataset, int64_t index)
{
    static float pixels[3072];
    int32_t label;
    TEST_OK(clg_dataset_read(dataset, index, pixels, &label));
    ck_assert_int_eq(label, index % 10);
    for (int k = 0; k < 3072; k += 7) {
        int want = (int)(index + k / 3 + 50 * (k % 3)) & 255;
        ck_assert(pixels[k] == (float)want / 255.0F);
    }
}

START_TEST(cifar_batches_follow_each_other)
{
    write_cifar("data_batch_1.bin", 0, 13, 0, false);
    write_cifar("data_batch_2.bin", 13, 4, 0, _i == 1);
    if (_i == 1) rename(scratch_path("data_batch_2.bin"), scratch_path("data_batch_2.bin.gz"));
    write_cifar("test_batch.bin", 0, 2, 0, false);
    clg_dataset *dataset = opened(scratch, CLG_DATA_TRAIN, clg_dataset_options(.memory = _i == 2));
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    clg_shape sample = CLG_SHAPE(32, 32, 3);
    ck_assert_int_eq(info->count, 17);
    ck_assert_int_eq(info->classes, 10);
    ck_assert(clg_shape_equal(&info->sample, &sample));
    for (int64_t i = 0; i < 17; i++) assert_cifar(dataset, i);
    clg_dataset_destroy(dataset);
    dataset = opened(scratch, CLG_DATA_TEST, NULL);
    ck_assert_int_eq(clg_dataset_describe(dataset)->count, 2);
    clg_dataset_destroy(dataset);
    dataset = opened(scratch, CLG_DATA_TRAIN, clg_dataset_options(.limit = 15, .memory = _i == 2));
    ck_assert_int_eq(clg_dataset_describe(dataset)->count, 15);
    assert_cifar(dataset, 14);
    clg_dataset_destroy(dataset);
    dataset = opened(scratch_path("data_batch_1.bin"), CLG_DATA_TEST, NULL);
    ck_assert(clg_dataset_describe(dataset)->whole);
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(bad_cifar_files_are_refused)
{
    for (int packed = 0; packed < 2; packed++) {
        const char *name = packed ? "x.bin.gz" : "x.bin";
        const clg_dataset_params params = {.format = "cifar"};
        write_cifar(name, 0, 2, -1, packed);
        assert_refused(scratch_path(name), &params, CLG_ERROR_FORMAT, "not a positive multiple");
        write_cifar(name, 0, 2, 1, packed);
        assert_refused(scratch_path(name), &params, CLG_ERROR_FORMAT, "not a positive multiple");
        write_cifar(name, 0, 0, 0, packed);
        assert_refused(scratch_path(name), &params, CLG_ERROR_FORMAT, "not a positive multiple");
    }
    unsigned char *file = calloc(3, RECORD);
    file[2 * RECORD] = 10;
    scratch_write("bad.bin", file, 3 * RECORD);
    free(file);
    assert_refused(scratch_path("bad.bin"), NULL, CLG_ERROR_FORMAT, "record 2 has the label 10");
    assert_refused(scratch_path("bad.bin"), clg_dataset_options(.classes = 100), CLG_ERROR_ARGUMENT,
                   "10 classes, not 100");
    clg_dataset *dataset =
        opened(scratch_path("bad.bin"), CLG_DATA_TRAIN, clg_dataset_options(.memory = 1));
    static float pixels[3072];
    int32_t label;
    TEST_OK(clg_dataset_read(dataset, 1, pixels, &label));
    TEST_FAILS(clg_dataset_read(dataset, 2, pixels, &label), CLG_ERROR_FORMAT,
               "record 2 has the label 10, outside 0 .. 9");
    clg_dataset_destroy(dataset);
    assert_refused(scratch, NULL, CLG_ERROR_FORMAT, "no data set that is known");
    write_cifar("test_batch.bin", 0, 2, 0, false);
    assert_refused(scratch, NULL, CLG_ERROR_IO, "no data_batch_1.bin");
}
END_TEST

/* What is opened while the n-th allocation or file call fails. */
static clg_status open_with_faults(int which)
{
    static const char *const names[] = {"set.npz", "data_batch_1.bin", "npy", "data_batch_1.bin"};
    clg_dataset *dataset = NULL;
    clg_status status = clg_dataset_open(&dataset, scratch_path(names[which]), CLG_DATA_TRAIN,
                                         clg_dataset_options(.memory = which == 3));
    ck_assert(!dataset == (status != CLG_OK));
    clg_dataset_destroy(dataset);
    return status;
}

START_TEST(opening_survives_each_failure)
{
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    write_npz("x_train", "y_train");
    write_cifar("data_batch_1.bin", 0, 2, 0, false);
    ck_assert_int_eq(mkdir(scratch_path("npy"), 0777), 0);
    write_npy("npy/x.npy", "|u1", "(3, 2)", "123456", 6);
    write_npy("npy/y.npy", "|u1", "(3,)", "\0\1\2", 3);
    for (int which = 0; which < 4; which++) {
        uint64_t nth = 0;
        do {
            clg__fault_set(kind, ++nth, _i & 2, 0);
            status = open_with_faults(which);
            clg__fault_set(kind, 0, false, 0);
            ck_assert_msg(status == CLG_OK || status == expected, "%d: %s", which,
                          clg_last_error());
            ck_assert_int_eq(clg__live_allocations(), 0);
        } while (status != CLG_OK);
        ck_assert_uint_gt(nth, 3);
    }
}
END_TEST

/* ---- folds, classes, numbers ---- */

static clg_dataset *numbered(int64_t count)
{
    clg_dataset *dataset = NULL;
    float *values = calloc((size_t)count, sizeof *values);
    int32_t *labels = calloc((size_t)count, sizeof *labels);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)i;
        labels[i] = i % 4 == 3; /* 1 of 4 */
    }
    clg_array array = {"numbered", CLG_F32, CLG_SHAPE(count, 1), values};
    TEST_OK(clg_dataset_from_arrays(&dataset, &array, labels, NULL));
    free(values);
    free(labels);
    return dataset;
}

static clg_status fold_of(const clg_dataset *whole, int folds, int fold, clg_dataset **rest,
                          clg_dataset **held_out)
{
    return clg_dataset_fold(
        whole, clg_dataset_fold_options(.folds = folds, .fold = fold, .seed = 3), rest, held_out);
}

START_TEST(folds_part_the_samples)
{
    enum { N = 23, FOLDS = 5 };
    clg_dataset *whole = numbered(N), *rest, *held_out;
    TEST_OK(clg_dataset_fold(whole, NULL, &rest, &held_out)); /* the first of 5 */
    ck_assert_int_eq(clg_dataset_describe(rest)->count + clg_dataset_describe(held_out)->count, N);
    clg_dataset_destroy(rest);
    clg_dataset_destroy(held_out);
    int held[N] = {0}, kept[N] = {0}, moved = 0, rare[FOLDS] = {0};
    float value;
    int32_t label;
    for (int fold = 0; fold < FOLDS; fold++) {
        TEST_OK(fold_of(whole, FOLDS, fold, &rest, &held_out));
        int64_t count = clg_dataset_describe(held_out)->count;
        ck_assert(count == 4 || count == 5);
        ck_assert_int_eq(clg_dataset_describe(rest)->count, N - count);
        for (int64_t i = 0; i < count; i++) {
            TEST_OK(clg_dataset_read(held_out, i, &value, &label));
            held[(int)value]++;
            rare[fold] += label;
            moved += (int)value / 5 != fold;
        }
        for (int64_t i = 0; i < N - count; i++) {
            TEST_OK(clg_dataset_read(rest, i, &value, &label));
            kept[(int)value]++;
        }
        clg_dataset_destroy(rest);
        clg_dataset_destroy(held_out);
        ck_assert_int_eq(rare[fold], 1); /* 5 of the 23 are of class 1 */
    }
    for (int i = 0; i < N; i++) ck_assert(held[i] == 1 && kept[i] == FOLDS - 1);
    ck_assert_int_gt(moved, N / 2);
    TEST_FAILS(fold_of(whole, 1, 0, &rest, &held_out), CLG_ERROR_ARGUMENT, "fold 0 of 1");
    TEST_FAILS(fold_of(whole, 5, 5, &rest, &held_out), CLG_ERROR_ARGUMENT, "fold 5");
    TEST_FAILS(fold_of(whole, 24, 0, &rest, &held_out), CLG_ERROR_ARGUMENT, "of 24");
    clg_dataset_destroy(whole);
}
END_TEST

START_TEST(class_weights_balance)
{
    clg_dataset *dataset = numbered(12), *rest, *held_out;
    int64_t counts[2];
    float weights[2];
    TEST_OK(clg_dataset_count_classes(dataset, counts));
    ck_assert(counts[0] == 9 && counts[1] == 3);
    TEST_OK(clg_dataset_class_weights(dataset, weights));
    ck_assert_double_eq_tol(weights[0], 12.0 / (2 * 9), 1e-6);
    ck_assert_double_eq_tol(weights[1], 12.0 / (2 * 3), 1e-6);
    TEST_OK(clg_dataset_split(dataset, 0.01, 1, &rest, &held_out));
    TEST_FAILS(clg_dataset_class_weights(held_out, weights), CLG_ERROR_ARGUMENT, "no sample of");
    clg_dataset_destroy(rest);
    clg_dataset_destroy(held_out);
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(targets_may_be_arrays_of_numbers)
{
    const float x[] = {1, 2}, y[] = {1, 2, 3, 4, 5, 6};
    float feature, target[3];
    clg_dataset *dataset = NULL;
    clg_array features = {"mine", CLG_F32, CLG_SHAPE(2, 1), x};
    clg_array targets = {NULL, CLG_F32, CLG_SHAPE(2, 3), y};
    TEST_OK(clg_dataset_from_numbers(&dataset, &features, &targets, NULL));
    TEST_OK(clg_dataset_read(dataset, 1, &feature, target));
    ck_assert(feature == 2 && target[0] == 4 && target[2] == 6);
    clg_dataset_destroy(dataset);
    TEST_OK(clg_dataset_from_arrays(&dataset, &features, NULL, NULL));
    TEST_OK(clg_dataset_read(dataset, 1, &feature, NULL));
    char *schema;
    TEST_OK(clg_dataset_schema(dataset, &schema));
    ck_assert_str_eq(schema, "{\"format\":\"memory\"}");
    clg_free(schema);
    clg_dataset_destroy(dataset);
    targets.shape = CLG_SHAPE(3, 2);
    TEST_FAILS(clg_dataset_from_numbers(&dataset, &features, &targets, NULL), CLG_ERROR_ARGUMENT,
               "as many rows");
}
END_TEST

/* ---- real data ---- */

START_TEST(the_real_cifar_records_read)
{
    const char *root = getenv("CLGRAD_SHARED_DATA"), *source = getenv("CLGRAD_SOURCE_ROOT");
    char path[1024];
    snprintf(path, sizeof path, "%s%s/cifar10/data_batch_1.first4000.bin.gz",
             root     ? root
             : source ? source
                      : ".",
             root ? "" : "/../shared/data");
    if (access(path, F_OK) != 0) {
        TEST_SKIP("CIFAR-10: no %s (CLGRAD_SHARED_DATA names another place)", path);
        return;
    }
    clg_dataset *dataset = opened(path, CLG_DATA_TRAIN, NULL);
    static float pixels[3072];
    int32_t label;
    clg_channel_stats stats[3];
    ck_assert_int_eq(clg_dataset_describe(dataset)->count, 4000);
    TEST_OK(clg_dataset_read(dataset, 0, pixels, &label));
    ck_assert_int_eq(label, 6); /* a frog */
    ck_assert(pixels[0] == 59 / 255.0F && pixels[1] == 62 / 255.0F && pixels[2] == 63 / 255.0F);
    TEST_OK(clg_dataset_measure(dataset, 3, stats));
    ck_assert_double_eq_tol(stats[0].mean, 0.49, 0.02);
    ck_assert_double_eq_tol(stats[2].std, 0.26, 0.02);
    clg_dataset_destroy(dataset);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sources");
    TCase *arrays = scratch_case(suite, "arrays");
    tcase_add_test(arrays, a_folder_of_npy_files);
    tcase_add_test(arrays, floating_targets_are_a_regression);
    tcase_add_test(arrays, bad_records_in_a_file_are_named_when_read);
    tcase_add_test(arrays, bytes_in_a_file_are_delivered_as_from_memory);
    tcase_add_test(arrays, npz_files_name_their_parts);
    TCase *cifar = scratch_case(suite, "cifar");
    tcase_add_loop_test(cifar, cifar_batches_follow_each_other, 0, 3);
    tcase_add_test(cifar, bad_cifar_files_are_refused);
    tcase_add_loop_test(cifar, opening_survives_each_failure, 0, 4);
    TCase *parts = testing_case(suite, "parts");
    tcase_add_test(parts, folds_part_the_samples);
    tcase_add_test(parts, class_weights_balance);
    tcase_add_test(parts, targets_may_be_arrays_of_numbers);
    TCase *real = testing_case(suite, "real data");
    tcase_set_timeout(real, 120);
    tcase_add_test(real, the_real_cifar_records_read);
    return testing_run(suite);
}
