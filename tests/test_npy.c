/*
 * npy and npz files: every element type and order, headers as NumPy writes them and as it does not,
 * truncation at each byte, archives stored and deflated, lying directories, and injected failures.
 * The files are made here, byte by byte, and by clg_array_write.
 */
#include <zlib.h>

#include "clgrad/data.h"
#include "scratch.h"

enum { MAX_FILE = 8192 };

/* A file being put together. */
typedef struct image {
    unsigned char bytes[MAX_FILE];
    size_t size;
} image;

static void add(image *f, const void *data, size_t size)
{
    ck_assert_uint_le(f->size + size, sizeof f->bytes);
    memcpy(f->bytes + f->size, data, size);
    f->size += size;
}

static void add_number(image *f, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) add(f, &(unsigned char){(unsigned char)(value >> 8 * i)}, 1);
}

/* An npy file of version 1 or 2: the dict as given, then the data. */
static image npy(int version, const char *dict, const void *data, size_t size)
{
    image f = {.size = 0};
    add(&f, "\x93NUMPY", 6);
    add(&f, &(unsigned char[]){(unsigned char)version, 0}, 2);
    add_number(&f, (uint32_t)strlen(dict), version == 1 ? 2 : 4);
    add(&f, dict, strlen(dict));
    add(&f, data, size);
    return f;
}

#define DICT(descr, order, shape)                                                                  \
    "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }          \n"

static image example(void)
{
    return npy(1, DICT("|u1", "False", "(2, 3)"), "\x0a\x0b\x0c\x0d\x0e\x0f", 6);
}

static clg_status read_back(const char *name, const char *member, clg_array *array, void **data)
{
    *data = NULL;
    clg_status status = clg_array_read(scratch_path(name), member, array, data);
    ck_assert(!*data == (status != CLG_OK));
    return status;
}

static void assert_refused(const image *f, const char *text)
{
    clg_array array;
    void *data;
    scratch_write("x", f->bytes, f->size);
    clg_status status = read_back("x", NULL, &array, &data);
    TEST_FAILS(status, status == CLG_ERROR_UNSUPPORTED ? status : CLG_ERROR_FORMAT, text);
    TEST_FAILS(status, status, "/x");
}

/* The array has these extents and values. */
static void assert_array(const clg_array *array, const void *data, clg_shape shape, clg_dtype dtype,
                         const double *values)
{
    ck_assert_int_eq(array->dtype, dtype);
    ck_assert(clg_shape_equal(&array->shape, &shape));
    for (int64_t i = 0; i < clg_shape_count(&shape); i++) {
        double value = dtype == CLG_U8    ? ((const uint8_t *)data)[i]
                       : dtype == CLG_I32 ? ((const int32_t *)data)[i]
                                          : (double)((const float *)data)[i];
        ck_assert_msg(value == values[i], "element %d: %.9g instead of %.9g", (int)i, value,
                      values[i]);
    }
}

static void assert_reads(const image *f, clg_shape shape, clg_dtype dtype, const double *values)
{
    clg_array array;
    void *data;
    scratch_write("x", f->bytes, f->size);
    TEST_OK(read_back("x", NULL, &array, &data));
    assert_array(&array, data, shape, dtype, values);
    clg_free(data);
}

static const double six[] = {10, 11, 12, 13, 14, 15};

/* ---- content ---- */

static const struct {
    const char *dict;
    size_t size;
    const char *bytes; /* two elements */
    clg_dtype dtype;
    double values[2];
} kinds[] = {
    {DICT("|u1", "False", "(2,)"), 2, "\x00\xff", CLG_U8, {0, 255}},
    {DICT("|b1", "False", "(2,)"), 2, "\x01\x00", CLG_U8, {1, 0}},
    {DICT("|i1", "False", "(2,)"), 2, "\x7f\xff", CLG_I32, {127, -1}},
    {DICT("<i2", "False", "(2,)"), 4, "\x01\x02\x00\x80", CLG_I32, {513, -32768}},
    {DICT(">i2", "False", "(2,)"), 4, "\x01\x02\x80\x00", CLG_I32, {258, -32768}},
    {DICT("<u2", "False", "(2,)"), 4, "\x01\x02\xff\xff", CLG_I32, {513, 65535}},
    {DICT("<i4", "False", "(2,)"),
     8,
     "\xff\xff\xff\x7f\xfe\xff\xff\xff",
     CLG_I32,
     {2147483647, -2}},
    {DICT(">u4", "False", "(2,)"), 8, "\x7f\xff\xff\xff\x00\x00\x00\x07", CLG_I32, {2147483647, 7}},
    {DICT("<i8", "False", "(2,)"),
     16,
     "\x05\0\0\0\0\0\0\0\xfb\xff\xff\xff\xff\xff\xff\xff",
     CLG_I32,
     {5, -5}},
    {DICT(">u8", "False", "(2,)"), 16, "\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\x01\0", CLG_I32, {5, 256}},
    {DICT("<f2", "False", "(2,)"), 4, "\x00\x3e\x01\x80", CLG_F32, {1.5, -0x1p-24}},
    {DICT("<f4", "False", "(2,)"), 8, "\x00\x00\xc0\x3f\x00\x00\x20\xc0", CLG_F32, {1.5, -2.5}},
    {DICT(">f4", "False", "(2,)"), 8, "\x3f\xc0\x00\x00\xc0\x20\x00\x00", CLG_F32, {1.5, -2.5}},
    {DICT("<f8", "False", "(2,)"),
     16,
     "\0\0\0\0\0\0\xf8\x3f\0\0\0\0\0\0\x04\xc0",
     CLG_F32,
     {1.5, -2.5}},
    {"{\"shape\":(2L,),'fortran_order':False,'descr':'>f8'}",
     16,
     "\x3f\xf8\0\0\0\0\0\0\xc0\x04\0\0\0\0\0\0",
     CLG_F32,
     {1.5, -2.5}},
};

START_TEST(all_element_types_are_converted)
{
    for (int version = 1; version <= 3; version++) {
        image f = npy(version, kinds[_i].dict, kinds[_i].bytes, kinds[_i].size);
        assert_reads(&f, CLG_SHAPE(2), kinds[_i].dtype, kinds[_i].values);
    }
}
END_TEST

START_TEST(shapes_orders_and_compression)
{
    image f = example();
    assert_reads(&f, CLG_SHAPE(2, 3), CLG_U8, six);
    f = npy(1, DICT("|u1", "True", "(2, 3)"), "\x0a\x0d\x0b\x0e\x0c\x0f", 6);
    assert_reads(&f, CLG_SHAPE(2, 3), CLG_U8, six);
    f = npy(1, DICT("<i2", "True", "(3, 1, 2)"), "\x0a\0\x0c\0\x0e\0\x0b\0\x0d\0\x0f\0", 12);
    assert_reads(&f, CLG_SHAPE(3, 1, 2), CLG_I32, six);
    f = npy(1, DICT("|u1", "False", "()"), "\x0a", 1);
    assert_reads(&f, CLG_SCALAR, CLG_U8, six);
    f = npy(1, DICT("|u1", "False", "(0, 4)"), "", 0);
    assert_reads(&f, CLG_SHAPE(0, 4), CLG_U8, six);
    f = example();
    gzFile gz = gzopen(scratch_path("gz"), "wb");
    ck_assert_int_eq(gzwrite(gz, f.bytes, (unsigned)f.size), (int)f.size);
    ck_assert_int_eq(gzclose(gz), Z_OK);
    clg_array array;
    void *data;
    TEST_OK(read_back("gz", NULL, &array, &data));
    assert_array(&array, data, CLG_SHAPE(2, 3), CLG_U8, six);
    clg_free(data);
}
END_TEST

/* ---- damage ---- */

static const struct {
    const char *dict, *message;
} bad_headers[] = {
    {DICT("|O", "False", "(6,)"), "elements of type '|O'"},
    {DICT("<c8", "False", "(6,)"), "elements of type '<c8'"},
    {DICT("<f4", "False", "(6,)"), "24 bytes with its header"}, /* text of 6 + 24 */
    {DICT("|f4", "False", "(6,)"), "elements of type '|f4'"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,)}", "several fields"},
    {"{'descr': '|u1', 'fortran_order': Maybe, 'shape': (6,)}", "True or False expected"},
    {"{'descr': '|u1', 'fortran_order': False}", "lacks"},
    {"{'descr': '|u1', 'descr': '|u1', 'shape': (6,)}", "repeated key 'descr'"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (6,), 'more': 1}", "key 'more'"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (6,)} x", "the end expected"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (-6,)}", "an extent expected"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': 6}", "a shape expected"},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (6", "comma or )"},
    {"{'descr': '|u1' 'fortran_order': False, 'shape': (6,)}", "comma or }"},
    {"{'descr: |u1}", "a short string expected"},
    {"", "{ expected"},
    {DICT("|u1", "False", "(1,1,1,1,1,1,6)"), "more than 6 dimensions"},
    {DICT("|u1", "False", "(99999999999999999999,)"), "too large"},
    {DICT("<f8", "False", "(4294967296, 4294967296, 4294967296)"), "more than the limit"},
    {DICT("|u1", "False", "(9223372036854775807,)"), "more than the limit"},
    {DICT("<f8", "False", "(4294967296, 1024)"), "but has"},
};

START_TEST(headers_that_numpy_does_not_write_are_refused)
{
    image f = npy(1 + _i % 3, bad_headers[_i].dict, "123456", 6);
    if (_i == 2) {
        assert_refused(&f, "of 4-byte elements");
        assert_refused(&f, "but has");
    } else {
        assert_refused(&f, bad_headers[_i].message);
    }
}
END_TEST

START_TEST(the_length_of_a_header_is_checked_before_it_is_read)
{
    image f = npy(2, DICT("|u1", "False", "(2, 3)"), "123456", 6);
    f.bytes[11] = 0xff; /* almost 4 GiB */
    assert_refused(&f, "more than the limit of 10000");
    f = npy(1, DICT("|u1", "False", "(2, 3)"), "123456", 6);
    f.bytes[9] = 0x20; /* 8 KiB, but the file ends before */
    assert_refused(&f, "the header ends after");
    f = example();
    f.bytes[6] = 4;
    assert_refused(&f, "version 1, 2 or 3");
    f = example();
    f.bytes[20] = 0;
    assert_refused(&f, "NUL");
}
END_TEST

START_TEST(integers_beyond_32_bits_are_named)
{
    image f = npy(1, DICT("<i8", "False", "(2,)"), "\x05\0\0\0\0\0\0\0\0\0\0\x80\0\0\0\0", 16);
    assert_refused(&f, "element 1 is an integer beyond 32 bits");
    f = npy(1, DICT("<u4", "False", "(2,)"), "\xff\xff\xff\xff\x05\0\0\0", 8);
    assert_refused(&f, "element 0 is");
    f = npy(1, DICT("<u8", "False", "(1,)"), "\x05\0\0\0\0\0\0\x80", 8);
    assert_refused(&f, "element 0 is");
}
END_TEST

START_TEST(a_file_cut_or_extended_anywhere_is_refused)
{
    image whole = example();
    for (size_t length = 0; length <= whole.size + 2; length++) {
        image f = whole;
        f.size = length;
        if (length != whole.size) assert_refused(&f, "");
    }
}
END_TEST

/* ---- npz ---- */

/* A member of an archive, with what its headers say. */
typedef struct member {
    const char *name;
    image content;
    int method; /* 0 or 8 */
} member;

/* Deflates without a header. */
static image deflated(const image *from)
{
    image out = {.size = 0};
    z_stream z = {.next_in = (Bytef *)(uintptr_t)from->bytes,
                  .avail_in = (uInt)from->size,
                  .next_out = out.bytes,
                  .avail_out = sizeof out.bytes};
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.size = z.total_out;
    deflateEnd(&z);
    return out;
}

/* What local header and directory have in common: from "version needed" to the name's length. */
static void add_common(image *f, const member *m, const image *packed)
{
    add_number(f, 20, 2);
    add_number(f, 0, 2);
    add_number(f, (uint32_t)m->method, 2);
    add_number(f, 0, 4);
    add_number(f, (uint32_t)crc32(0, m->content.bytes, (uInt)m->content.size), 4);
    add_number(f, (uint32_t)packed->size, 4);
    add_number(f, (uint32_t)m->content.size, 4);
    add_number(f, (uint32_t)strlen(m->name), 2);
}

/* Members, with a local extra field as NumPy writes it; then directory and end. */
static image zip(const member *members, int n)
{
    image f = {.size = 0}, directory = {.size = 0};
    for (int i = 0; i < n; i++) {
        const member *m = &members[i];
        image packed = m->method ? deflated(&m->content) : m->content;
        add(&directory, "PK\1\2\x14\0", 6);
        add_common(&directory, m, &packed);
        add_number(&directory, 0, 4); /* extra, comment */
        add_number(&directory, 0, 4); /* disk, attributes */
        add_number(&directory, 0, 4);
        add_number(&directory, (uint32_t)f.size, 4);
        add(&directory, m->name, strlen(m->name));
        add(&f, "PK\3\4", 4);
        add_common(&f, m, &packed);
        add_number(&f, 20, 2);
        add(&f, m->name, strlen(m->name));
        add(&f, "\1\0\x10\0................", 20);
        add(&f, packed.bytes, packed.size);
    }
    uint32_t start = (uint32_t)f.size;
    add(&f, directory.bytes, directory.size);
    add(&f, "PK\5\6\0\0\0\0", 8);
    add_number(&f, (uint32_t)n, 2);
    add_number(&f, (uint32_t)n, 2);
    add_number(&f, (uint32_t)directory.size, 4);
    add_number(&f, start, 4);
    add_number(&f, 0, 2);
    return f;
}

static image two_members(int method)
{
    const member members[] = {
        {"x_train.npy", example(), method},
        {"y.npy", npy(1, DICT("<i2", "False", "(2,)"), "\x07\0\x08\0", 4), method}};
    return zip(members, 2);
}

START_TEST(members_are_found_by_name)
{
    clg_array array;
    void *data;
    image f = two_members(_i ? 8 : 0);
    scratch_write("z", f.bytes, f.size);
    TEST_OK(read_back("z", "x_train", &array, &data));
    assert_array(&array, data, CLG_SHAPE(2, 3), CLG_U8, six);
    clg_free(data);
    TEST_OK(read_back("z", "y.npy", &array, &data));
    assert_array(&array, data, CLG_SHAPE(2), CLG_I32, (double[]){7, 8});
    clg_free(data);
    TEST_FAILS(read_back("z", "z", &array, &data), CLG_ERROR_FORMAT,
               "has no array 'z'; there are: x_train.npy y.npy");
    TEST_FAILS(read_back("z", NULL, &array, &data), CLG_ERROR_FORMAT, "which array?");
    const member single = {"arr_0.npy", example(), _i ? 8 : 0};
    f = zip(&single, 1);
    add(&f, "comment", 7);
    f.bytes[f.size - 9] = 7;
    assert_reads(&f, CLG_SHAPE(2, 3), CLG_U8, six);
}
END_TEST

START_TEST(a_damaged_archive_is_refused)
{
    clg_array array;
    void *data;
    image f = two_members(_i ? 8 : 0);
    for (size_t length = 0; length < f.size; length++) {
        scratch_write("cut", f.bytes, length);
        clg_status status = read_back("cut", "y", &array, &data);
        TEST_FAILS(status, CLG_ERROR_FORMAT, "cut");
    }
    int accepted = 0;
    for (size_t at = 0; at < f.size;
         at++) { /* one bit wrong: an error, or a byte without meaning */
        f.bytes[at] ^= 4;
        scratch_write("bit", f.bytes, f.size);
        clg_status status = read_back("bit", "x_train", &array, &data);
        f.bytes[at] ^= 4;
        ck_assert(status == CLG_OK || status == CLG_ERROR_FORMAT ||
                  status == CLG_ERROR_UNSUPPORTED);
        if (status != CLG_OK) continue;
        assert_array(&array, data, CLG_SHAPE(2, 3), CLG_U8, six);
        clg_free(data);
        accepted++;
    }
    ck_assert_int_lt(accepted, (int)f.size * 3 / 4);
}
END_TEST

START_TEST(lying_directories_are_refused)
{
    image f = two_members(0), g = f;
    size_t end = f.size - 22, start = (size_t)f.bytes[end + 16] | (size_t)f.bytes[end + 17] << 8;
    g.bytes[end + 15] = 0x7f; /* the directory's size */
    assert_refused(&g, "does not fit in front of its end");
    g = f;
    memset(g.bytes + end + 16, 0xff, 4);
    assert_refused(&g, "zip64");
    g = f;
    g.bytes[start + 23] = 0x10; /* packed size of the first member */
    scratch_write("x", g.bytes, g.size);
    clg_array array;
    void *data;
    TEST_FAILS(read_back("x", "x_train", &array, &data), CLG_ERROR_FORMAT, "sizes");
    g.bytes[start + 27] = 0x10;
    scratch_write("x", g.bytes, g.size);
    TEST_FAILS(read_back("x", "x_train", &array, &data), CLG_ERROR_FORMAT, "does not lie where");
    g = f;
    g.bytes[start + 10] = 99;
    scratch_write("x", g.bytes, g.size);
    TEST_FAILS(read_back("x", "x_train", &array, &data), CLG_ERROR_UNSUPPORTED, "method 99");
    g = f;
    g.bytes[start + 45] = 0x10; /* offset of the first member */
    scratch_write("x", g.bytes, g.size);
    TEST_FAILS(read_back("x", "x_train", &array, &data), CLG_ERROR_FORMAT, "does not lie where");
    g = f;
    g.bytes[start - 1] ^= 1; /* the last byte of y */
    scratch_write("x", g.bytes, g.size);
    TEST_FAILS(read_back("x", "y", &array, &data), CLG_ERROR_FORMAT, "checksum");
}
END_TEST

START_TEST(reading_survives_each_failure)
{
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status = CLG_ERROR_IO, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    const member single = {"arr_0.npy",
                           npy(1, DICT("<i2", "True", "(2, 2)"), "\x07\0\x08\0\x09\0\x0a\0", 8), 8};
    image f = zip(&single, 1);
    uint64_t nth = 0;
    scratch_write("x", f.bytes, f.size);
    while (status != CLG_OK) {
        clg_array array;
        void *data;
        clg__fault_set(kind, ++nth, _i & 2, 0);
        status = read_back("x", NULL, &array, &data);
        clg__fault_set(kind, 0, false, 0);
        ck_assert_msg(status == CLG_OK || status == expected, "%s", clg_last_error());
        clg_free(data);
        ck_assert_int_eq(clg__live_allocations(), 0);
    }
    ck_assert_uint_gt(nth, 5);
}
END_TEST

/* ---- writing ---- */

/* An array of a type and a number of dimensions. */
static const struct written {
    clg_dtype dtype;
    clg_shape shape;
} written[] = {
    {CLG_F32, {.ndim = 2, .dim = {3, 2}}},
    {CLG_I32, {.ndim = 1, .dim = {6}}},
    {CLG_U8, {.ndim = 4, .dim = {1, 3, 2, 1}}},
    {CLG_F32, {.ndim = 0}},
};

START_TEST(what_is_written_is_read_back)
{
    const struct written *w = &written[_i];
    const float values[] = {1.5f, -2, 3e38f, 0, -0.0f, 1e-45f};
    clg_array array = {NULL, w->dtype, w->shape, values}, back;
    void *data, *file;
    size_t size, bytes = (size_t)clg_shape_count(&w->shape) * clg_dtype_size(w->dtype);
    ck_assert_int_eq(clg_array_write(scratch_path("x.npy"), &array), CLG_OK);
    ck_assert_int_eq(read_back("x.npy", NULL, &back, &data), CLG_OK);
    ck_assert_int_eq(back.dtype, w->dtype);
    ck_assert(clg_shape_equal(&back.shape, &w->shape));
    ck_assert_mem_eq(back.data, values, bytes);
    ck_assert_int_eq(clg__file_read(scratch_path("x.npy"), 1 << 20, &file, &size), CLG_OK);
    ck_assert_uint_eq((size - bytes) % 64, 0); /* aligned, as NumPy asks of writers */
    clg__free(file);
    clg_free(data);
}
END_TEST

START_TEST(what_cannot_be_written_is_refused)
{
    const float value = 1;
    clg_array array = {NULL, CLG_F32, {.ndim = 0}, &value};
    ck_assert_int_eq(clg_array_write(NULL, &array), CLG_ERROR_ARGUMENT);
    ck_assert_int_eq(clg_array_write("x", NULL), CLG_ERROR_ARGUMENT);
    array.data = NULL;
    ck_assert_int_eq(clg_array_write("x", &array), CLG_ERROR_ARGUMENT);
    array.data = &value;
    ck_assert_int_eq(clg_array_write(scratch_path("no/x.npy"), &array), CLG_ERROR_IO);
    for (int i = 0; i < 2; i++) {
        array.shape.ndim = i ? -1 : CLG_MAX_DIMS + 1;
        TEST_FAILS(clg_array_write("x", &array), CLG_ERROR_ARGUMENT, "has not 0 to 6 axes");
    }
}
END_TEST

START_TEST(writing_survives_each_failure)
{
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status = CLG_ERROR_IO, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    const int32_t values[] = {1, 2}, old = 7;
    clg_array array = {NULL, CLG_I32, {.ndim = 1, .dim = {2}}, values}, back;
    void *data;
    scratch_write("x", &old, sizeof old);
    for (uint64_t nth = 1; status != CLG_OK; nth++) {
        clg__fault_set(kind, nth, _i & 2, 0);
        status = clg_array_write(scratch_path("x"), &array);
        clg__fault_set(kind, 0, false, 0);
        ck_assert_msg(status == CLG_OK || status == expected, "%s", clg_last_error());
        ck_assert_int_eq(read_back("x", NULL, &back, &data) == CLG_OK, status == CLG_OK);
        clg_free(data);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("npy");
    TCase *writing = scratch_case(suite, "writing");
    tcase_add_loop_test(writing, what_is_written_is_read_back, 0, (int)CLG__COUNT(written));
    tcase_add_test(writing, what_cannot_be_written_is_refused);
    tcase_add_loop_test(writing, writing_survives_each_failure, 0, 4);
    TCase *content = scratch_case(suite, "content");
    tcase_add_loop_test(content, all_element_types_are_converted, 0, (int)CLG__COUNT(kinds));
    tcase_add_test(content, shapes_orders_and_compression);
    tcase_add_loop_test(content, members_are_found_by_name, 0, 2);
    TCase *damage = scratch_case(suite, "damage");
    tcase_add_loop_test(damage, headers_that_numpy_does_not_write_are_refused, 0,
                        (int)CLG__COUNT(bad_headers));
    tcase_add_test(damage, the_length_of_a_header_is_checked_before_it_is_read);
    tcase_add_test(damage, integers_beyond_32_bits_are_named);
    tcase_add_test(damage, a_file_cut_or_extended_anywhere_is_refused);
    tcase_add_loop_test(damage, a_damaged_archive_is_refused, 0, 2);
    tcase_add_test(damage, lying_directories_are_refused);
    tcase_add_loop_test(damage, reading_survives_each_failure, 0, 4);
    return testing_run(suite);
}
