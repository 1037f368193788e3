/*
 * idx files, plain and compressed: all element types, lying and damaged headers, truncation at each
 * byte, compressed data that is damaged or claims too much, and injected failures.
 */
#include <zlib.h>

#include "clgrad/data.h"
#include "scratch.h"

enum { MAX_FILE = 4096 };

/* A file image: header of `type` and dims, then the data bytes. Returns its size. */
static size_t build(unsigned char *file, unsigned type, int ndim, const uint32_t *dims,
                    const void *data, size_t size)
{
    unsigned char *p = file;
    *p++ = 0;
    *p++ = 0;
    *p++ = (unsigned char)type;
    *p++ = (unsigned char)ndim;
    for (int i = 0; i < ndim; i++)
        for (int shift = 24; shift >= 0; shift -= 8) *p++ = (unsigned char)(dims[i] >> shift);
    memcpy(p, data, size);
    return (size_t)(p - file) + size;
}

/* (2, 3) bytes 10 .. 15. */
static size_t build_example(unsigned char *file)
{
    return build(file, 0x08, 2, (uint32_t[]){2, 3}, "\x0a\x0b\x0c\x0d\x0e\x0f", 6);
}

static void write_compressed(const char *name, const void *data, size_t size, const char *mode)
{
    gzFile file = gzopen(scratch_path(name), mode);
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, data, (unsigned)size), (int)size);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

static clg_status read_back(const char *name, clg_dtype *dtype, clg_shape *shape, void **data)
{
    *data = NULL;
    clg_status status = clg_idx_read(scratch_path(name), dtype, shape, data);
    ck_assert(!*data == (status != CLG_OK));
    return status;
}

static void assert_example(const char *name)
{
    clg_dtype dtype;
    clg_shape shape;
    void *data;
    TEST_OK(read_back(name, &dtype, &shape, &data));
    ck_assert_int_eq(dtype, CLG_U8);
    clg_shape expected = CLG_SHAPE(2, 3);
    ck_assert(clg_shape_equal(&shape, &expected));
    ck_assert_mem_eq(data, "\x0a\x0b\x0c\x0d\x0e\x0f", 6);
    clg_free(data);
}

static void assert_refused(const char *name, const char *text)
{
    clg_dtype dtype;
    clg_shape shape;
    void *data;
    TEST_FAILS(read_back(name, &dtype, &shape, &data), CLG_ERROR_FORMAT, text);
    TEST_FAILS(CLG_ERROR_FORMAT, CLG_ERROR_FORMAT, name);
}

START_TEST(bytes_are_read_plain_and_compressed)
{
    unsigned char file[MAX_FILE];
    size_t size = build_example(file);
    scratch_write("plain", file, size);
    assert_example("plain");
    write_compressed("compressed", file, size, "wb9");
    assert_example("compressed");
    write_compressed("parts", file, 5, "wb"); /* several gzip members in one file */
    write_compressed("parts", file + 5, 6, "ab");
    write_compressed("parts", file + 11, size - 11, "ab");
    assert_example("parts");
}
END_TEST

static const struct {
    unsigned type;
    size_t size;
    const char *bytes; /* two elements, big-endian */
    clg_dtype dtype;
    double values[2];
} kinds[] = {
    {0x08, 2, "\x00\xff", CLG_U8, {0, 255}},
    {0x09, 2, "\x7f\xff", CLG_I32, {127, -1}},
    {0x0b, 4, "\x01\x02\x80\x00", CLG_I32, {258, -32768}},
    {0x0c, 8, "\x7f\xff\xff\xff\xff\xff\xff\xfe", CLG_I32, {2147483647, -2}},
    {0x0d, 8, "\x3f\xc0\x00\x00\xc0\x20\x00\x00", CLG_F32, {1.5, -2.5}},
    {0x0e, 16, "\x3f\xf8\0\0\0\0\0\0\xc0\x04\0\0\0\0\0\0", CLG_F32, {1.5, -2.5}},
};

START_TEST(all_element_types_are_converted)
{
    unsigned char file[MAX_FILE];
    clg_dtype dtype;
    clg_shape shape;
    void *data;
    size_t size = build(file, kinds[_i].type, 1, (uint32_t[]){2}, kinds[_i].bytes, kinds[_i].size);
    scratch_write("x", file, size);
    TEST_OK(read_back("x", &dtype, &shape, &data));
    ck_assert_int_eq(dtype, kinds[_i].dtype);
    ck_assert_int_eq(shape.ndim, 1);
    for (int i = 0; i < 2; i++) {
        double value = dtype == CLG_U8    ? ((uint8_t *)data)[i]
                       : dtype == CLG_I32 ? ((int32_t *)data)[i]
                                          : (double)((float *)data)[i];
        ck_assert(value == kinds[_i].values[i]);
    }
    clg_free(data);
}
END_TEST

START_TEST(a_header_that_lies_is_refused_with_numbers)
{
    unsigned char file[MAX_FILE];
    size_t size = build(file, 0x08, 2, (uint32_t[]){2, 4}, "123456", 6);
    scratch_write("x", file, size);
    assert_refused("x", "claims the shape (2, 4) of 1-byte elements, 20 bytes with its header, but "
                        "has 18");
    size = build(file, 0x0e, 3, (uint32_t[]){~0u, ~0u, ~0u}, "123456", 6);
    scratch_write("x", file, size);
    assert_refused("x", "more than the limit of 4294967296 bytes");
    size = build(file, 0x08, 6, (uint32_t[]){~0u, ~0u, ~0u, ~0u, ~0u, ~0u}, "123456", 6);
    scratch_write("x", file, size);
    assert_refused("x", "more than the limit");
    size = build(file, 0x0a, 1, (uint32_t[]){6}, "123456", 6);
    scratch_write("x", file, size);
    assert_refused("x", "is no idx file: it starts with 00 00 0a 01");
    size = build(file, 0x08, 0, NULL, "123456", 6);
    scratch_write("x", file, size);
    assert_refused("x", "has 0 dimensions");
    size = build(file, 0x08, 7, (uint32_t[]){1, 1, 1, 1, 1, 1, 6}, "123456", 6);
    scratch_write("x", file, size);
    assert_refused("x", "has 7 dimensions; 1 to 6");
}
END_TEST

START_TEST(a_file_cut_or_extended_anywhere_is_refused)
{
    unsigned char file[MAX_FILE] = {0};
    size_t size = build_example(file);
    for (size_t length = 0; length <= size + 3; length++) {
        scratch_write("plain", file, length);
        write_compressed("compressed", file, length, "wb");
        if (length == size) continue;
        assert_refused("plain", "");
        assert_refused("compressed", length < size ? "ends after" : "more than the 6 bytes");
    }
}
END_TEST

START_TEST(each_value_of_each_header_byte_is_checked)
{
    unsigned char file[MAX_FILE];
    size_t size = build_example(file);
    for (int at = 0; at < 12; at++) {
        for (int value = 0; value < 256; value++) {
            bool fits = value == file[at] || (at == 2 && value == 0x09); /* i8: as many bytes */
            unsigned char original = file[at];
            file[at] = (unsigned char)value;
            scratch_write("x", file, size);
            if (!fits) assert_refused("x", "");
            file[at] = original;
        }
    }
}
END_TEST

START_TEST(damaged_compressed_data_is_refused)
{
    unsigned char file[MAX_FILE];
    size_t size = build_example(file), packed_size;
    write_compressed("x", file, size, "wb");
    char *packed = scratch_read("x", &packed_size);
    for (size_t length = 2; length < packed_size; length++) {
        scratch_write("cut", packed, length);
        assert_refused("cut", "ends too early");
    }
    for (size_t at = 0; at < packed_size; at++) {
        if (at >= 4 && at < 10) continue; /* time, flags and system: mean nothing */
        packed[at] ^= 0x15;
        scratch_write("flipped", packed, packed_size);
        assert_refused("flipped", "");
        /* too much data is not what is wrong */
        ck_assert_ptr_null(strstr(clg_last_error(), "holds more"));
        packed[at] ^= 0x15;
    }
    scratch_write("trailing", packed, packed_size + 1);
    assert_refused("trailing", "");
    free(packed);
}
END_TEST

/* No memory is taken for what a small file claims to unpack to: even 64 MiB would show. */
START_TEST(a_compressed_file_that_claims_too_much_is_refused_at_once)
{
    unsigned char file[MAX_FILE];
    size_t size = build(file, 0x08, 2, (uint32_t[]){65535, 65535}, "", 0);
    write_compressed("x", file, size, "wb");
    assert_refused("x", "compressed bytes can hold");
    size = build(file, 0x08, 2, (uint32_t[]){65536, 65537}, "", 0);
    write_compressed("x", file, size, "wb");
    assert_refused("x", "more than the limit");
}
END_TEST

START_TEST(large_compressed_data_arrives_in_growing_memory)
{
    enum { SIDE = 2000 };
    clg_dtype dtype;
    clg_shape shape;
    void *data;
    unsigned char *file = malloc(SIDE * SIDE + 12), *pixels = malloc(SIDE * SIDE);
    uint64_t random = 99;
    for (int i = 0; i < SIDE * SIDE; i++)
        pixels[i] = i % 8 ? 0 : (unsigned char)scratch_random(&random);
    size_t size = build(file, 0x08, 2, (uint32_t[]){SIDE, SIDE}, pixels, SIDE * SIDE);
    write_compressed("x", file, size, "wb1");
    TEST_OK(read_back("x", &dtype, &shape, &data));
    ck_assert_mem_eq(data, pixels, SIDE * SIDE);
    clg_free(data);
    free(file);
    free(pixels);
}
END_TEST

START_TEST(what_is_no_file_is_an_input_error)
{
    clg_dtype dtype;
    clg_shape shape;
    void *data = NULL;
    TEST_FAILS(clg_idx_read(scratch_path("none"), &dtype, &shape, &data), CLG_ERROR_IO, "none");
    TEST_FAILS(clg_idx_read(scratch, &dtype, &shape, &data), CLG_ERROR_IO, "not a regular file");
    ck_assert_int_eq(mkfifo(scratch_path("fifo"), 0600), 0);
    TEST_FAILS(clg_idx_read(scratch_path("fifo"), &dtype, &shape, &data), CLG_ERROR_IO,
               "not a regular file");
    TEST_FAILS(clg_idx_read(NULL, &dtype, &shape, &data), CLG_ERROR_ARGUMENT, "NULL");
}
END_TEST

START_TEST(reading_survives_each_failure)
{
    unsigned char file[MAX_FILE];
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status = CLG_ERROR_IO, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    uint64_t nth = 0;
    size_t size = build(file, 0x0b, 1, (uint32_t[]){4}, "12345678", 8);
    write_compressed("x", file, size, "wb");
    while (status != CLG_OK) {
        clg_dtype dtype;
        clg_shape shape;
        void *data;
        clg__fault_set(kind, ++nth, _i & 2, 0);
        status = read_back("x", &dtype, &shape, &data);
        clg__fault_set(kind, 0, false, 0);
        ck_assert_msg(status == CLG_OK || status == expected, "%s", clg_last_error());
        clg_free(data);
        ck_assert_int_eq(clg__live_allocations(), 0);
    }
    ck_assert_uint_gt(nth, 3);
}
END_TEST

START_TEST(random_damage_never_crashes)
{
    unsigned char file[MAX_FILE], noise[512];
    uint64_t random = 4101842887655102017ull;
    for (size_t i = 0; i < sizeof noise; i++) noise[i] = (unsigned char)scratch_random(&random);
    size_t size = build(file, 0x08, 3, (uint32_t[]){8, 8, 8}, noise, sizeof noise), packed_size;
    write_compressed("x", file, size, "wb");
    char *packed = scratch_read("x", &packed_size);
    for (int round = 0; round < 3000; round++) {
        clg_dtype dtype;
        clg_shape shape;
        void *data;
        uint32_t at = scratch_random(&random) % (uint32_t)packed_size;
        char original = packed[at];
        packed[at] = (char)scratch_random(&random);
        scratch_write("y", packed, packed_size);
        if (read_back("y", &dtype, &shape, &data) == CLG_OK) {
            ck_assert_mem_eq(data, noise, sizeof noise);
            clg_free(data);
        }
        packed[at] = original;
    }
    free(packed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("idx");
    TCase *content = scratch_case(suite, "content");
    tcase_add_test(content, bytes_are_read_plain_and_compressed);
    tcase_add_loop_test(content, all_element_types_are_converted, 0, (int)CLG__COUNT(kinds));
    tcase_add_test(content, large_compressed_data_arrives_in_growing_memory);
    TCase *damage = scratch_case(suite, "damage");
    tcase_add_test(damage, a_header_that_lies_is_refused_with_numbers);
    tcase_add_test(damage, a_file_cut_or_extended_anywhere_is_refused);
    tcase_add_test(damage, each_value_of_each_header_byte_is_checked);
    tcase_add_test(damage, damaged_compressed_data_is_refused);
    tcase_add_test(damage, a_compressed_file_that_claims_too_much_is_refused_at_once);
    tcase_add_test(damage, what_is_no_file_is_an_input_error);
    tcase_add_loop_test(damage, reading_survives_each_failure, 0, 4);
    tcase_add_test(damage, random_damage_never_crashes);
    return testing_run(suite);
}
