/*
 * Safetensors files: round trips, the layout to the byte, each refusal of the format, damage at
 * every byte, injected failures, and what Python's safetensors reads and writes.
 *
 * jansson takes its memory from the counted allocator here, so that its failures are injected and
 * its leaks are seen.
 */
#include <jansson.h>

#include "clgrad/data.h"
#include "scratch.h"

static const float weights[6] = {1, -2, 3.5f, 4, 5, 6};
static const uint8_t bytes[3] = {7, 8, 9};
static const int32_t step = 42;

enum { ARRAYS = 5 };

/* Arrays in another order than the file's: bytes before words, names unsorted. */
static size_t example(clg_array arrays[ARRAYS])
{
    arrays[0] = (clg_array){"mask", CLG_U8, CLG_SHAPE(3), bytes};
    arrays[1] = (clg_array){"wéight \"q\"\n", CLG_F32, CLG_SHAPE(2, 3), weights};
    arrays[2] = (clg_array){"step", CLG_I32, CLG_SCALAR, &step};
    arrays[3] = (clg_array){"empty", CLG_F32, CLG_SHAPE(0, 7), NULL};
    arrays[4] = (clg_array){"deep", CLG_F32, CLG_SHAPE(1, 1, 2, 1, 3, 1), weights};
    return ARRAYS;
}

static const clg_metadata pairs[] = {{"epoch", "3"}, {"note", "\"ä\\\n\t"}, {"", ""}};

static void write_example(const char *name, bool checksum)
{
    clg_array arrays[ARRAYS];
    size_t count = example(arrays);
    TEST_OK(
        clg_safetensors_write(scratch_path(name), arrays, count,
                              clg_safetensors_write_options(.metadata = pairs, .metadata_count = 3,
                                                            .checksum = checksum)));
}

static void assert_same_array(const clg_array *a, const clg_array *b)
{
    ck_assert_ptr_nonnull(a);
    ck_assert_int_eq(a->dtype, b->dtype);
    ck_assert(clg_shape_equal(&a->shape, &b->shape));
    size_t size = (size_t)clg_shape_count(&a->shape) * clg_dtype_size(a->dtype);
    if (size > 0) ck_assert_mem_eq(a->data, b->data, size);
}

static void assert_example(const clg_safetensors *file)
{
    clg_array arrays[ARRAYS];
    ck_assert_uint_eq(clg_safetensors_count(file), example(arrays));
    for (int i = 0; i < ARRAYS; i++)
        assert_same_array(clg_safetensors_find(file, arrays[i].name), &arrays[i]);
    for (size_t i = 0; i < CLG__COUNT(pairs); i++)
        ck_assert_str_eq(clg_safetensors_metadata(file, pairs[i].key), pairs[i].value);
}

/* ---- round trips ---- */

START_TEST(what_is_written_is_read)
{
    for (int checksum = 0; checksum < 2; checksum++) {
        clg_safetensors *file = NULL;
        write_example("a file", checksum);
        TEST_OK(clg_safetensors_open(&file, scratch_path("a file"), NULL));
        assert_example(file);
        ck_assert(!clg_safetensors_metadata(file, "data_xxh128") == !checksum);
        clg_safetensors_destroy(file);
    }
    clg_safetensors_destroy(NULL);
}
END_TEST

START_TEST(arrays_are_ordered_aligned_and_listed)
{
    static const char *const order[] = {"deep", "empty", "step", "wéight \"q\"\n", "mask"};
    clg_safetensors *file = NULL;
    write_example("x", true);
    TEST_OK(clg_safetensors_open(&file, scratch_path("x"), NULL));
    for (size_t i = 0; i < ARRAYS; i++) {
        const clg_array *array = clg_safetensors_get(file, i);
        ck_assert_str_eq(array->name, order[i]);
        ck_assert_uint_eq((uintptr_t)array->data % clg_dtype_size(array->dtype), 0);
        ck_assert_str_eq(clg_safetensors_dtype(file, i), clg_dtype_name(array->dtype));
    }
    ck_assert_ptr_null(clg_safetensors_get(file, ARRAYS));
    ck_assert_ptr_null(clg_safetensors_dtype(file, ARRAYS));
    ck_assert_ptr_null(clg_safetensors_find(file, "deeper"));
    ck_assert_ptr_null(clg_safetensors_metadata(file, "none"));
    ck_assert_str_eq(clg_safetensors_metadata_at(file, 0)->key, "epoch");
    ck_assert_ptr_null(clg_safetensors_metadata_at(file, 5));
    clg_safetensors_destroy(file);
}
END_TEST

/* The format to the byte. Both hashes are what `xxhsum -H2` says. */
START_TEST(the_layout_is_known)
{
    static const char header[] =
        "{\"__metadata__\":{\"k\":\"v\",\"data_xxh128\":\"5c03dae0ee14a82ad08e45def423180a\","
        "\"header_xxh128\":\"aa2e5bc4b91e53c429e0f91cff1660d8\"},"
        "\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]}}";
    clg_array arrays[] = {{"b", CLG_U8, CLG_SHAPE(3), bytes},
                          {"w", CLG_F32, CLG_SHAPE(2), weights}};
    clg_metadata metadata = {"k", "v"};
    TEST_OK(clg_safetensors_write(scratch_path("x"), arrays, 2,
                                  clg_safetensors_write_options(.metadata = &metadata,
                                                                .metadata_count = 1,
                                                                .checksum = true)));
    size_t size, length = (strlen(header) + 7) / 8 * 8;
    char *file = scratch_read("x", &size);
    ck_assert_uint_eq(size, 8 + length + 11);
    ck_assert_uint_eq((unsigned char)file[0] | (unsigned char)file[1] << 8, length);
    ck_assert_mem_eq(file + 8, header, strlen(header));
    for (size_t i = strlen(header); i < length; i++) ck_assert_int_eq(file[8 + i], ' ');
    ck_assert_mem_eq(file + 8 + length, weights, 8);
    ck_assert_mem_eq(file + 8 + length + 8, bytes, 3);
    free(file);
}
END_TEST

START_TEST(the_same_arrays_give_the_same_bytes)
{
    size_t size[2];
    write_example("a", true);
    write_example("b", true);
    char *a = scratch_read("a", &size[0]), *b = scratch_read("b", &size[1]);
    ck_assert_uint_eq(size[0], size[1]);
    ck_assert_mem_eq(a, b, size[0]);
    free(a);
    free(b);
}
END_TEST

START_TEST(a_file_without_arrays_is_fine)
{
    clg_safetensors *file = NULL;
    TEST_OK(clg_safetensors_write(scratch_path("x"), NULL, 0, NULL));
    TEST_OK(clg_safetensors_open(&file, scratch_path("x"), NULL));
    ck_assert_uint_eq(clg_safetensors_count(file), 0);
    clg_safetensors_destroy(file);
}
END_TEST

/* ---- refusals of the writer ---- */

static void assert_not_written(const clg_array *arrays, size_t count,
                               const clg_safetensors_write_params *params, const char *text)
{
    TEST_FAILS(clg_safetensors_write(scratch_path("refused"), arrays, count, params),
               CLG_ERROR_ARGUMENT, text);
    ck_assert_int_eq(scratch_entries(""), 0);
}

START_TEST(the_writer_refuses_what_no_reader_takes)
{
    clg_array good = {"a", CLG_F32, CLG_SHAPE(2), weights}, bad[2] = {good, good};
    assert_not_written(bad, 2, NULL, "\"a\" is there twice");
    bad[1].dtype = CLG_U8;
    assert_not_written(bad, 2, NULL, "\"a\" is there twice");
    bad[1] = (clg_array){NULL, CLG_F32, CLG_SHAPE(2), weights};
    assert_not_written(bad, 2, NULL, "array 1 has no name");
    bad[1].name = "";
    assert_not_written(bad, 2, NULL, "array 1 has no name");
    bad[1].name = "\xc0\xaf";
    assert_not_written(bad, 2, NULL, "array 1 has no name");
    bad[1].name = "__metadata__";
    assert_not_written(bad, 2, NULL, "array 1 has no name");
    bad[1] = (clg_array){"b", CLG_DTYPE_COUNT, CLG_SHAPE(2), weights};
    assert_not_written(bad, 2, NULL, "no valid dtype");
    bad[1] = (clg_array){"b", CLG_F32, {.ndim = 7}, weights};
    assert_not_written(bad, 2, NULL, "no valid dtype and shape");
    bad[1] = (clg_array){"b", CLG_F32, CLG_SHAPE(2), NULL};
    assert_not_written(bad, 2, NULL, "\"b\" of shape (2) has no data");
    bad[1] = (clg_array){"b", CLG_F32, CLG_SHAPE(-1), weights};
    assert_not_written(bad, 2, NULL, "no data or too much");
    bad[1] = (clg_array){"b", CLG_F32, CLG_SHAPE(INT64_MAX, INT64_MAX), weights};
    assert_not_written(bad, 2, NULL, "too much");
    clg_metadata twice[] = {{"k", "1"}, {"k", "2"}};
    assert_not_written(&good, 1,
                       clg_safetensors_write_options(.metadata = twice, .metadata_count = 2),
                       "\"k\" is there twice");
    clg_metadata own[] = {{"data_xxh128", ""}};
    assert_not_written(&good, 1, clg_safetensors_write_options(own, 1, true), "checksum's own");
    clg_metadata invalid[] = {{"k", "\xff"}};
    assert_not_written(
        &good, 1, clg_safetensors_write_options(.metadata = invalid, .metadata_count = 1), "UTF-8");
    assert_not_written(&good, 1, clg_safetensors_write_options(.metadata_count = 1), "NULL");
    assert_not_written(NULL, 1, NULL, "NULL");
}
END_TEST

/* ---- refusals of the reader ---- */

/* Writes a file with this header text and so many bytes of data. */
static void craft(const char *header, size_t length, size_t data)
{
    char *file = calloc(8 + length + data, 1);
    for (int i = 0; i < 8; i++) file[i] = (char)((uint64_t)length >> (8 * i));
    memcpy(file + 8, header, length);
    scratch_write("crafted", file, 8 + length + data);
    free(file);
}

static void assert_crafted(const char *header, size_t data, clg_status status, const char *text)
{
    clg_safetensors *file = NULL;
    craft(header, strlen(header), data);
    TEST_FAILS(clg_safetensors_open(&file, scratch_path("crafted"), NULL), status, text);
    ck_assert_ptr_null(file);
    TEST_FAILS(status, status, "crafted"); /* the message names the file */
}

#define TENSOR(name, dtype, shape, begin, end)                                                     \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end   \
    "]}"

static const struct {
    const char *header;
    size_t data;
    const char *text;
} malformed[] = {
    {"", 0, "does not start with '{'"},
    {" {}", 0, "does not start with '{'"},
    {"[]", 0, "does not start with '{'"},
    {"{", 0, "not valid JSON"},
    {"{}}", 0, "not valid JSON"},
    {"{\"\xff\":1}", 0, "not valid JSON"},
    {"{\"a\\u0000\":1}", 0, "not valid JSON"},
    {"{" TENSOR("a", "U8", "[1]", "0", "1") "," TENSOR("a", "U8", "[1]", "1", "2") "}", 2,
     "duplicate"},
    {"{" TENSOR("a", "U8", "[1]", "0", "1") "," TENSOR("\\u0061", "U8", "[1]", "1", "2") "}", 2,
     "duplicate"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
     "duplicate"},
    {"{\"a\":1}", 0, "no description"},
    {"{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1, "no dtype"},
    {"{\"a\":{\"dtype\":8,\"shape\":[],\"data_offsets\":[0,1]}}", 1, "no dtype"},
    {"{" TENSOR("a", "U9", "[1]", "0", "1") "}", 1, "unknown dtype \"U9\""},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "no shape"},
    {"{" TENSOR("a", "U8", "1", "0", "1") "}", 1, "no shape"},
    {"{" TENSOR("a", "U8", "[-1]", "0", "1") "}", 1, "dimension 0 is no size"},
    {"{" TENSOR("a", "U8", "[1,1.0]", "0", "1") "}", 1, "dimension 1 is no size"},
    {"{" TENSOR("a", "U8", "[true]", "0", "1") "}", 1, "dimension 0 is no size"},
    {"{" TENSOR("a", "U8", "[18446744073709551617]", "0", "1") "}", 1, "not valid JSON"},
    {"{" TENSOR("a", "F32", "[4294967296,4294967296]", "0", "1") "}", 1, "overflows"},
    {"{" TENSOR("a", "F32", "[2305843009213693952,8]", "0", "1") "}", 1, "overflows"},
    {"{" TENSOR("a", "F4", "[3]", "0", "1") "}", 1, "whole number of bytes"},
    {"{" TENSOR("a", "F32", "[2]", "0", "4") "}", 4, "takes 8 bytes"},
    {"{" TENSOR("a", "F32", "[2]", "0", "8") "}", 4, "in 4 bytes of data: the file is cut short"},
    {"{" TENSOR("a", "U8", "[0]", "2", "1") "}", 2, "data_offsets 2 .. 1"},
    {"{" TENSOR("a", "U8", "[1]", "-1", "0") "}", 1, "not two sizes"},
    {"{" TENSOR("a", "U8", "[1]", "0", "1.0") "}", 1, "not two sizes"},
    {"{" TENSOR("a", "U8", "[1]", "0,0", "1") "}", 1, "not two sizes"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "not two sizes"},
    {"{" TENSOR("a", "U8", "[1]", "1", "2") "}", 2,
     "starts at byte 1 of the data, after a hole at 0"},
    {"{" TENSOR("a", "U8", "[1]", "0", "1") "," TENSOR("b", "U8", "[1]", "2", "3") "}", 3,
     "after a hole at 1"},
    {"{" TENSOR("a", "U8", "[2]", "0", "2") "," TENSOR("b", "U8", "[1]", "1", "2") "}", 2,
     "inside the one"},
    {"{" TENSOR("a", "U8", "[2]", "0", "2") "," TENSOR("b", "U8", "[2]", "0", "2") "}", 2,
     "inside the one"},
    {"{" TENSOR("a", "U8", "[1]", "0", "1") "}", 2, "end at byte 1 of 2"},
    {"{}", 1, "end at byte 0 of 1"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ is no object"},
    {"{\"__metadata__\":{\"a\":\"b\",\"k\":1}}", 0, "\"k\" is no string"},
    {"{\"__metadata__\":{\"data_xxh128\":\"0\"}}", 0, "is damaged: its data_xxh128 says 0"},
    {"{\"__metadata__\":{\"header_xxh128\":\"0\"}}", 0, "is damaged: its header_xxh128 says 0"},
};

START_TEST(a_malformed_header_is_refused)
{
    assert_crafted(malformed[_i].header, malformed[_i].data, CLG_ERROR_FORMAT, malformed[_i].text);
}
END_TEST

START_TEST(lengths_are_compared_with_the_file)
{
    clg_safetensors *file = NULL;
    const char *path = scratch_path("x");
    scratch_write("x", "1234567", 7);
    TEST_FAILS(clg_safetensors_open(&file, path, NULL), CLG_ERROR_FORMAT, "has 7 bytes");
    scratch_write("x", "\x03\0\0\0\0\0\0\0{}", 10);
    TEST_FAILS(clg_safetensors_open(&file, path, NULL), CLG_ERROR_FORMAT,
               "claims a header of 3 bytes but has 10: it is cut short");
    scratch_write("x", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    TEST_FAILS(clg_safetensors_open(&file, path, NULL), CLG_ERROR_FORMAT, "18446744073709551615");
    scratch_write("x", "\x01\0\x80\0\0\0\0\0{}", 10); /* 8 MiB + 1, in a file with a hole */
    ck_assert_int_eq(truncate(path, 16 << 20), 0);
    TEST_FAILS(clg_safetensors_open(&file, path, NULL), CLG_ERROR_FORMAT,
               "8388609 bytes; at most 8388608");
    TEST_FAILS(clg_safetensors_open(&file, path, clg_safetensors_options(.max_header = 9 << 20)),
               CLG_ERROR_FORMAT, "not valid JSON");
    scratch_write("x", "\x02\0\0\0\0\0\0\0{}", 10);
    TEST_FAILS(clg_safetensors_open(&file, path, clg_safetensors_options(.max_header = 1)),
               CLG_ERROR_FORMAT, "at most 1 are accepted");
    TEST_FAILS(clg_safetensors_open(&file, scratch, NULL), CLG_ERROR_IO, "not a regular file");
    TEST_FAILS(clg_safetensors_open(&file, "", NULL), CLG_ERROR_IO, "cannot open");
    TEST_FAILS(clg_safetensors_open(&file, NULL, NULL), CLG_ERROR_ARGUMENT, "NULL");
}
END_TEST

START_TEST(json_nested_without_end_is_refused)
{
    enum { DEPTH = 100000 };
    clg_safetensors *file = NULL;
    char *header = malloc(DEPTH + 5);
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', DEPTH);
    craft(header, DEPTH + 5, 0);
    free(header);
    TEST_FAILS(clg_safetensors_open(&file, scratch_path("crafted"), NULL), CLG_ERROR_FORMAT,
               "not valid JSON");
}
END_TEST

START_TEST(valid_files_of_others_are_read)
{
    static const char header[] = "{" TENSOR("late", "F32", "[1]", "3", "7") ",\n " TENSOR(
        "half", "BF16", "[1]", "1", "3") "," TENSOR("none", "I64", "[0,5]", "1",
                                                    "1") "," TENSOR("flag", "BOOL", "[1,1]", "0",
                                                                    "1") "}   ";
    clg_safetensors *file = NULL;
    craft(header, strlen(header), 7);
    TEST_OK(clg_safetensors_open(&file, scratch_path("crafted"), NULL));
    ck_assert_uint_eq(clg_safetensors_count(file), 4);
    ck_assert_str_eq(clg_safetensors_get(file, 0)->name, "flag");
    ck_assert_str_eq(clg_safetensors_get(file, 1)->name, "none");
    ck_assert_str_eq(clg_safetensors_get(file, 2)->name, "half");
    ck_assert_str_eq(clg_safetensors_dtype(file, 2), "BF16");
    ck_assert_int_eq(clg_safetensors_get(file, 2)->dtype, CLG_DTYPE_COUNT);
    ck_assert_int_eq(clg_safetensors_get(file, 3)->dtype, CLG_F32);
    clg_safetensors_destroy(file);
    assert_crafted("{" TENSOR("a", "U8", "[1,1,1,1,1,1,1]", "0", "1") "}", 1, CLG_ERROR_UNSUPPORTED,
                   "7 dimensions");
}
END_TEST

/* ---- damage ---- */

/* A changed file is refused, or - where the change means nothing - says the same as before. */
static void assert_damage_is_found(const char *data, size_t size)
{
    clg_safetensors *file = NULL;
    scratch_write("damaged", data, size);
    clg_status status = clg_safetensors_open(&file, scratch_path("damaged"), NULL);
    ck_assert(status == CLG_OK || status == CLG_ERROR_FORMAT || status == CLG_ERROR_UNSUPPORTED);
    if (status == CLG_OK) assert_example(file);
    clg_safetensors_destroy(file);
}

START_TEST(a_checksummed_file_shows_damage_of_every_byte)
{
    static const unsigned char flips[] = {0x01, 0x02, 0x10, 0x20, 0x80, 0xff};
    size_t size;
    write_example("x", true);
    char *data = scratch_read("x", &size);
    for (size_t at = 0; at < size; at++) {
        for (size_t i = 0; i < CLG__COUNT(flips); i++) {
            data[at] = (char)((unsigned char)data[at] ^ flips[i]);
            assert_damage_is_found(data, size);
            data[at] = (char)((unsigned char)data[at] ^ flips[i]);
        }
    }
    free(data);
}
END_TEST

START_TEST(a_file_cut_or_extended_anywhere_is_refused)
{
    size_t size;
    clg_safetensors *file = NULL;
    write_example("x", false);
    char *data = scratch_read("x", &size);
    for (size_t length = 0; length <= size + 1; length++) {
        if (length == size) continue;
        scratch_write("cut", data, length); /* size + 1: scratch_read put a NUL there */
        TEST_FAILS(clg_safetensors_open(&file, scratch_path("cut"), NULL), CLG_ERROR_FORMAT, "cut");
    }
    free(data);
}
END_TEST

/* Anything may happen to a file without checksums but a crash or a read outside of it. */
START_TEST(random_damage_never_crashes)
{
    size_t size;
    uint64_t random = 88172645463325252ull;
    write_example("x", false);
    char *data = scratch_read("x", &size), *changed = malloc(size);
    for (int round = 0; round < 4000; round++) {
        clg_safetensors *file = NULL;
        memcpy(changed, data, size);
        for (uint32_t n = scratch_random(&random) % 4 + 1; n > 0; n--) {
            uint32_t from = scratch_random(&random) % (uint32_t)size;
            bool copy = scratch_random(&random) % 2; /* from elsewhere: stays nearly valid */
            changed[scratch_random(&random) % (uint32_t)size] =
                copy ? data[from] : (char)scratch_random(&random);
        }
        scratch_write("y", changed, size);
        clg_status status = clg_safetensors_open(&file, scratch_path("y"), NULL);
        uint32_t sum = 0;
        for (size_t i = 0; i < clg_safetensors_count(file); i++) {
            const clg_array *a = clg_safetensors_get(file, i);
            if (a->dtype == CLG_DTYPE_COUNT) continue;
            size_t n = (size_t)clg_shape_count(&a->shape) * clg_dtype_size(a->dtype);
            for (size_t k = 0; k < n; k++) sum += ((const uint8_t *)a->data)[k];
        }
        ck_assert(status == CLG_OK || (sum == 0 && clg_last_error()[0]));
        clg_safetensors_destroy(file);
    }
    free(data);
    free(changed);
}
END_TEST

/* ---- injected failures ---- */

/* The file holds the old content or, whole, the new one; nothing lies beside it. */
static void assert_old_or_new(bool written)
{
    clg_safetensors *file = NULL;
    ck_assert_int_eq(scratch_entries(""), 1);
    TEST_OK(clg_safetensors_open(&file, scratch_path("x"), NULL));
    if (clg_safetensors_count(file) > 0)
        assert_example(file);
    else
        ck_assert(!written);
    clg_safetensors_destroy(file);
}

START_TEST(writing_survives_each_failure)
{
    clg_array arrays[ARRAYS];
    size_t count = example(arrays);
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status = CLG_ERROR_IO, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    uint64_t nth = 0;
    TEST_OK(clg_safetensors_write(scratch_path("x"), NULL, 0, NULL));
    while (status != CLG_OK) {
        clg__fault_set(kind, ++nth, _i & 2, 0);
        status = clg_safetensors_write(scratch_path("x"), arrays, count,
                                       clg_safetensors_write_options(.metadata = pairs,
                                                                     .metadata_count = 3,
                                                                     .checksum = true));
        clg__fault_set(kind, 0, false, 0);
        ck_assert(status == CLG_OK || status == expected);
        assert_old_or_new(status == CLG_OK);
        ck_assert_int_eq(clg__live_allocations(), 0);
    }
    ck_assert_uint_gt(nth, 5);
}
END_TEST

START_TEST(reading_survives_each_failure)
{
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status = CLG_ERROR_IO, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    uint64_t nth = 0;
    write_example("x", true);
    while (status != CLG_OK) {
        clg_safetensors *file = NULL;
        clg__fault_set(kind, ++nth, _i & 2, 0);
        status = clg_safetensors_open(&file, scratch_path("x"), NULL);
        clg__fault_set(kind, 0, false, 0);
        /* Without memory jansson reports syntax errors, or drops bytes that the hashes then miss.
         */
        bool misread = kind == CLG__FAULT_ALLOC && status == CLG_ERROR_FORMAT;
        ck_assert_msg(status == CLG_OK || status == expected || misread, "%s", clg_last_error());
        if (file) assert_example(file);
        ck_assert(!file == (status != CLG_OK));
        clg_safetensors_destroy(file);
        ck_assert_int_eq(clg__live_allocations(), 0);
    }
    ck_assert_uint_gt(nth, 4);
}
END_TEST

/* ---- Python ---- */

/* Runs a script with Python's safetensors; false if it is not installed. */
static bool python(const char *script)
{
    const char *program = getenv("CLGRAD_TEST_PYTHON");
    char command[4096];
    if (!program) program = "python3";
    snprintf(command, sizeof command, "%s -c 'import safetensors, numpy' 2>/dev/null", program);
    if (system(command) != 0) {
        TEST_SKIP("safetensors files in Python: %s has no safetensors and numpy "
                  "(CLGRAD_TEST_PYTHON names another)",
                  program);
        return false;
    }
    scratch_write("script.py", script, strlen(script));
    snprintf(command, sizeof command, "cd '%s' && %s script.py", scratch, program);
    ck_assert_msg(system(command) == 0, "the Python script failed");
    return true;
}

START_TEST(python_reads_what_is_written)
{
    write_example("x", true);
    python("from safetensors import safe_open\n"
           "import numpy as np\n"
           "with safe_open('x', 'np') as f:\n"
           "    m = f.metadata()\n"
           "    assert m['epoch'] == '3' and m['note'] == '\"\\u00e4\\\\\\n\\t', m\n"
           "    assert len(f.keys()) == 5\n"
           "    w = f.get_tensor('w\\u00e9ight \"q\"\\n')\n"
           "    assert w.dtype == np.float32 and (w == [[1, -2, 3.5], [4, 5, 6]]).all()\n"
           "    assert f.get_tensor('mask').tolist() == [7, 8, 9]\n"
           "    assert f.get_tensor('step').shape == () and f.get_tensor('step') == 42\n"
           "    assert f.get_tensor('empty').shape == (0, 7)\n"
           "    assert f.get_tensor('deep').shape == (1, 1, 2, 1, 3, 1)\n");
}
END_TEST

START_TEST(what_python_writes_is_read)
{
    clg_safetensors *file = NULL;
    if (!python(
            "from safetensors.numpy import save_file\n"
            "import numpy as np\n"
            "save_file({'w': np.arange(6, dtype=np.float32).reshape(2, 3),\n"
            "           'half': np.ones(3, np.float16), 'n': np.array(7, np.int64),\n"
            "           'u': np.arange(3, dtype=np.uint8), 'none': np.zeros((0, 2), np.int32)},\n"
            "          'y', metadata={'format': 'np'})\n"))
        return;
    TEST_OK(clg_safetensors_open(&file, scratch_path("y"), NULL));
    ck_assert_uint_eq(clg_safetensors_count(file), 5);
    ck_assert_str_eq(clg_safetensors_metadata(file, "format"), "np");
    const clg_array *w = clg_safetensors_find(file, "w");
    ck_assert(w && w->dtype == CLG_F32 && w->shape.ndim == 2 && w->shape.dim[1] == 3);
    for (int i = 0; i < 6; i++) ck_assert(((const float *)w->data)[i] == (float)i);
    ck_assert_int_eq(clg_safetensors_find(file, "half")->dtype, CLG_DTYPE_COUNT);
    ck_assert_int_eq(clg_safetensors_find(file, "n")->shape.ndim, 0);
    clg_safetensors_destroy(file);
}
END_TEST

int main(void)
{
    json_set_alloc_funcs(clg__alloc, clg__free);
    Suite *suite = suite_create("safetensors");
    TCase *trips = scratch_case(suite, "round trips");
    tcase_add_test(trips, what_is_written_is_read);
    tcase_add_test(trips, arrays_are_ordered_aligned_and_listed);
    tcase_add_test(trips, the_layout_is_known);
    tcase_add_test(trips, the_same_arrays_give_the_same_bytes);
    tcase_add_test(trips, a_file_without_arrays_is_fine);
    tcase_add_test(trips, python_reads_what_is_written);
    tcase_add_test(trips, what_python_writes_is_read);
    TCase *refusals = scratch_case(suite, "refusals");
    tcase_add_test(refusals, the_writer_refuses_what_no_reader_takes);
    tcase_add_loop_test(refusals, a_malformed_header_is_refused, 0, (int)CLG__COUNT(malformed));
    tcase_add_test(refusals, lengths_are_compared_with_the_file);
    tcase_add_test(refusals, json_nested_without_end_is_refused);
    tcase_add_test(refusals, valid_files_of_others_are_read);
    TCase *damage = scratch_case(suite, "damage");
    tcase_add_test(damage, a_checksummed_file_shows_damage_of_every_byte);
    tcase_add_test(damage, a_file_cut_or_extended_anywhere_is_refused);
    tcase_add_test(damage, random_damage_never_crashes);
    tcase_add_loop_test(damage, writing_survives_each_failure, 0, 4);
    tcase_add_loop_test(damage, reading_survives_each_failure, 0, 4);
    return testing_run(suite);
}
