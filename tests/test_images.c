/*
 * Image files and folders of them: PNG of every kind, JPEG, scaling; headers that lie, files that
 * end early or are damaged; classes, parts, sizes; and what is kept in memory. PNG files are
 * written by the library and, where it does not write such, chunk by chunk here; JPEG files by
 * libjpeg.
 */
#include <math.h>
#include <stdio.h>

#include <jpeglib.h>
#include <zlib.h>

#include "clgrad/data.h"
#include "scratch.h"

enum { MAX_FILE = 16384 };

/* ---- making files ---- */

/* A smooth picture whose channels differ. */
static void paint(uint8_t *pixels, int h, int w, int channels, int shift)
{
    for (int i = 0; i < h * w; i++)
        for (int c = 0; c < channels; c++)
            pixels[i * channels + c] =
                (uint8_t)((i / w * 5 * (c + 1) + i % w * 3 + shift + 40 * c) & 255);
}

static void write_png(const char *name, int h, int w, int channels, int shift)
{
    uint8_t pixels[64 * 64 * 3];
    paint(pixels, h, w, channels, shift);
    clg_array array = {.dtype = CLG_U8, .shape = CLG_SHAPE(h, w, channels), .data = pixels};
    TEST_OK(clg_image_write(scratch_path(name), &array));
}

static void write_jpeg(const char *name, int h, int w, int components, J_COLOR_SPACE space)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    uint8_t pixels[64 * 64 * 4];
    for (int i = 0; i < h * w * components; i++)
        pixels[i] = (uint8_t)(40 + i / components % w * 2 + 30 * (i % components));
    FILE *file = fopen(scratch_path(name), "wb");
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = (JDIMENSION)w;
    jpeg.image_height = (JDIMENSION)h;
    jpeg.input_components = components;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 98, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = pixels + (int)jpeg.next_scanline * w * components;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

/* A PNG put together from chunks. */
typedef struct png {
    unsigned char bytes[MAX_FILE];
    size_t size;
} png;

static void big_endian(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) to[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void add_chunk(png *p, const char *type, const void *data, size_t size)
{
    unsigned char *at = p->bytes + p->size;
    big_endian(at, (uint32_t)size);
    memcpy(at + 4, type, 4);
    memcpy(at + 8, data, size);
    big_endian(at + 8 + size, (uint32_t)crc32(0, at + 4, (uInt)size + 4));
    p->size += 12 + size;
}

/* Header with these sizes, then the rows (each with its filter byte) deflated. */
static png make_png(uint32_t w, uint32_t h, int depth, int colour, const void *palette,
                    size_t palette_size, const void *rows, size_t size)
{
    png p = {.size = 8};
    unsigned char header[13] = {0}, packed[8192];
    uLongf length = sizeof packed;
    memcpy(p.bytes, "\x89PNG\r\n\x1a\n", 8);
    big_endian(header, w);
    big_endian(header + 4, h);
    header[8] = (unsigned char)depth;
    header[9] = (unsigned char)colour;
    add_chunk(&p, "IHDR", header, sizeof header);
    if (palette) add_chunk(&p, "PLTE", palette, palette_size);
    ck_assert_int_eq(compress(packed, &length, rows, size), Z_OK);
    add_chunk(&p, "IDAT", packed, length);
    add_chunk(&p, "IEND", "", 0);
    return p;
}

static clg_status read_back(const char *name, int channels, clg_array *array, void **data)
{
    *data = NULL;
    clg_status status = clg_image_read(scratch_path(name), channels, array, data);
    ck_assert(!*data == (status != CLG_OK));
    return status;
}

static void assert_pixels(const png *p, int channels, clg_shape shape, const char *pixels)
{
    clg_array array;
    void *data;
    scratch_write("x.png", p->bytes, p->size);
    TEST_OK(read_back("x.png", channels, &array, &data));
    ck_assert(clg_shape_equal(&array.shape, &shape));
    ck_assert_mem_eq(data, pixels, (size_t)clg_shape_count(&shape));
    clg_free(data);
}

static void assert_refused(const char *name, const char *message)
{
    clg_array array;
    void *data;
    clg_status status = read_back(name, 0, &array, &data);
    TEST_FAILS(status, status == CLG_ERROR_UNSUPPORTED ? status : CLG_ERROR_FORMAT, message);
    TEST_FAILS(status, status, name);
}

/* ---- single files ---- */

START_TEST(what_is_written_is_read)
{
    uint8_t want[20 * 30 * 3];
    for (int channels = 1; channels <= 3; channels += 2) {
        clg_array array;
        void *data;
        write_png("x.png", 20, 30, channels, 7);
        paint(want, 20, 30, channels, 7);
        TEST_OK(read_back("x.png", 0, &array, &data));
        clg_shape shape = CLG_SHAPE(20, 30, channels);
        ck_assert(clg_shape_equal(&array.shape, &shape));
        ck_assert_mem_eq(data, want, (size_t)(20 * 30 * channels));
        clg_free(data);
    }
}
END_TEST

START_TEST(every_kind_of_png_becomes_grey_or_rgb)
{
    png p = make_png(2, 1, 8, 2, NULL, 0, "\0\x0a\x14\x1e\xff\x80\x00", 7);
    assert_pixels(&p, 0, CLG_SHAPE(1, 2, 3), "\x0a\x14\x1e\xff\x80\x00");
    assert_pixels(&p, 1, CLG_SHAPE(1, 2, 1), "\x12\x97"); /* 18.15 and 151.4 */
    p = make_png(2, 1, 8, 6, NULL, 0, "\0\x0a\x14\x1e\x00\xff\x80\x00\xff", 9); /* RGBA */
    assert_pixels(&p, 0, CLG_SHAPE(1, 2, 3), "\x0a\x14\x1e\xff\x80\x00");
    p = make_png(2, 1, 16, 0, NULL, 0, "\0\x80\x00\xff\xff", 5);
    assert_pixels(&p, 0, CLG_SHAPE(1, 2, 1), "\x80\xff");
    p = make_png(4, 1, 1, 0, NULL, 0, "\0\xa0", 2); /* 1 0 1 0 */
    assert_pixels(&p, 0, CLG_SHAPE(1, 4, 1), "\xff\x00\xff\x00");
    p = make_png(2, 1, 4, 3, "\x01\x02\x03\xf0\xe0\xd0", 6, "\0\x10", 2); /* palette */
    assert_pixels(&p, 0, CLG_SHAPE(1, 2, 3), "\xf0\xe0\xd0\x01\x02\x03");
    p = make_png(1, 2, 8, 4, NULL, 0, "\0\x30\x99\0\x40\x01", 6); /* grey and alpha */
    assert_pixels(&p, 3, CLG_SHAPE(2, 1, 3), "\x30\x30\x30\x40\x40\x40");
}
END_TEST

START_TEST(jpeg_files_are_read)
{
    clg_array array;
    void *data;
    write_jpeg("x.jpg", 24, 40, 3, JCS_RGB);
    TEST_OK(read_back("x.jpg", 0, &array, &data));
    clg_shape shape = CLG_SHAPE(24, 40, 3);
    ck_assert(clg_shape_equal(&array.shape, &shape));
    for (int i = 0; i < 24 * 40 * 3; i++)
        ck_assert_int_le(abs(((uint8_t *)data)[i] - (40 + i / 3 % 40 * 2 + 30 * (i % 3))), 4);
    clg_free(data);
    write_jpeg("grey.jpg", 9, 11, 1, JCS_GRAYSCALE);
    TEST_OK(read_back("grey.jpg", 0, &array, &data));
    ck_assert_int_eq(array.shape.dim[2], 1);
    clg_free(data);
    TEST_OK(read_back("grey.jpg", 3, &array, &data));
    ck_assert_int_eq(array.shape.dim[2], 3);
    clg_free(data);
    write_jpeg("ink.jpg", 8, 8, 4, JCS_CMYK);
    assert_refused("ink.jpg", "CMYK");
}
END_TEST

/* ---- damage ---- */

START_TEST(headers_that_lie_are_refused_before_memory_is_taken)
{
    png p = make_png(60000, 60000, 8, 2, NULL, 0, "\0\1\2\3", 4);
    scratch_write("x.png", p.bytes, p.size);
    assert_refused("x.png", "claims 60000 x 60000 pixels");
    p = make_png(16384, 16384, 8, 2, NULL, 0, "\0\1\2\3", 4);
    scratch_write("x.png", p.bytes, p.size);
    assert_refused("x.png", "more than its");
    p = make_png(0, 5, 8, 2, NULL, 0, "\0\1\2\3", 4);
    scratch_write("x.png", p.bytes, p.size);
    assert_refused("x.png", "damaged PNG");
    size_t size;
    write_jpeg("x.jpg", 16, 16, 3, JCS_RGB);
    char *jpeg = scratch_read("x.jpg", &size), *frame = jpeg;
    while (frame[0] != '\xff' || frame[1] != '\xc0') frame++;
    memcpy(frame + 5, "\xff\xff\xff\xff", 4); /* height and width */
    scratch_write("x.jpg", jpeg, size);
    assert_refused("x.jpg", "65500"); /* libjpeg's own limit */
    memcpy(frame + 5, "\x3f\xff\x3f\xff", 4);
    scratch_write("x.jpg", jpeg, size);
    assert_refused("x.jpg", "16383 x 16383 pixels");
    free(jpeg);
}
END_TEST

START_TEST(files_that_end_early_are_refused)
{
    size_t size;
    write_png("whole.png", 13, 9, 3, 0);
    write_jpeg("whole.jpg", 20, 20, 3, JCS_RGB);
    static const char *const names[][2] = {{"whole.png", "cut.png"}, {"whole.jpg", "cut.jpg"}};
    for (int i = 0; i < 2; i++) {
        char *file = scratch_read(names[i][0], &size);
        for (size_t length = 0; length < size - (i ? 2 : 0); length++) { /* JPEG: up to its end */
            scratch_write(names[i][1], file, length);
            assert_refused(names[i][1], "");
        }
        free(file);
    }
}
END_TEST

START_TEST(random_damage_never_crashes)
{
    uint64_t random = 2463534242ull;
    write_png("whole.png", 13, 9, 3, 0);
    write_jpeg("whole.jpg", 20, 20, 3, JCS_RGB);
    static const char *const names[] = {"whole.png", "whole.jpg"};
    for (int round = 0; round < 1500; round++) {
        size_t size;
        clg_array array;
        void *data;
        char *file = scratch_read(names[round % 2], &size);
        for (int i = 0; i < 3; i++)
            file[scratch_random(&random) % size] = (char)scratch_random(&random);
        scratch_write("x", file, size);
        clg_status status = read_back("x", 3, &array, &data);
        ck_assert(status == CLG_OK || status == CLG_ERROR_FORMAT ||
                  status == CLG_ERROR_UNSUPPORTED);
        clg_free(data);
        free(file);
    }
}
END_TEST

START_TEST(reading_and_writing_survive_each_failure)
{
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status = CLG_ERROR_IO, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    static uint8_t pixels[30];
    const clg_array picture = {.dtype = CLG_U8, .shape = CLG_SHAPE(2, 5, 3), .data = pixels};
    uint64_t nth = 0;
    while (status != CLG_OK) {
        clg_array array;
        void *data = NULL;
        clg__fault_set(kind, ++nth, _i & 2, 0);
        status = clg_image_write(scratch_path("x.png"), &picture);
        if (status == CLG_OK) status = read_back("x.png", 1, &array, &data);
        clg__fault_set(kind, 0, false, 0);
        ck_assert_msg(status == CLG_OK || status == expected, "%s", clg_last_error());
        clg_free(data);
        ck_assert_int_eq(clg__live_allocations(), 0);
        ck_assert_int_le(scratch_entries(""), 1);
    }
    ck_assert_uint_gt(nth, 4);
}
END_TEST

START_TEST(what_is_no_image_is_refused)
{
    clg_array array = {.dtype = CLG_F32, .shape = CLG_SHAPE(2, 2), .data = ""};
    void *data;
    TEST_FAILS(clg_image_write(scratch_path("x"), &array), CLG_ERROR_ARGUMENT, "F32 (2, 2)");
    array = (clg_array){.dtype = CLG_U8, .shape = CLG_SHAPE(2, 2, 4), .data = ""};
    TEST_FAILS(clg_image_write(scratch_path("x"), &array), CLG_ERROR_ARGUMENT, "(2, 2, 4)");
    scratch_write("x", "GIF89a", 6);
    assert_refused("x", "neither a PNG nor a JPEG");
    TEST_FAILS(clg_image_read(scratch_path("x"), 2, &array, &data), CLG_ERROR_ARGUMENT,
               "2 channels");
    TEST_FAILS(clg_image_read(scratch_path("none"), 0, &array, &data), CLG_ERROR_IO, "none");
}
END_TEST

/* ---- folders ---- */

static void make_folder(const char *name)
{
    ck_assert_int_eq(mkdir(scratch_path(name), 0777), 0);
}

static clg_status open_folder(clg_dataset **out, clg_data_part part,
                              const clg_dataset_params *params)
{
    *out = NULL;
    return clg_dataset_open(out, scratch, part, params);
}

static clg_dataset *opened(clg_data_part part, const clg_dataset_params *params)
{
    clg_dataset *dataset;
    TEST_OK(open_folder(&dataset, part, params));
    return dataset;
}

/* Two classes of 2 and 1 images of 6 x 4, shifts 0, 10 and 20. */
static void make_classes(const char *prefix)
{
    char name[64];
    static const char *const files[] = {"cat/b.png", "cat/a.png", "dog/c.PNG"};
    static const char *const folders[] = {"", "cat", "dog", "empty"};
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", prefix, folders[i]);
        if (*name) make_folder(name);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", prefix, files[i]);
        write_png(name, 6, 4, 3, 10 * i);
    }
    snprintf(name, sizeof name, "%scat/notes.txt", prefix);
    scratch_write(name, "no image", 8);
}

static void assert_image(const clg_dataset *dataset, int64_t index, int shift, int label)
{
    uint8_t want[6 * 4 * 3];
    float got[6 * 4 * 3];
    int32_t target = -1;
    paint(want, 6, 4, 3, shift);
    TEST_OK(clg_dataset_read(dataset, index, got, &target));
    ck_assert_int_eq(target, label);
    for (int i = 0; i < 6 * 4 * 3; i++) ck_assert(got[i] == (float)want[i] / 255.0F);
}

START_TEST(a_folder_for_each_class)
{
    make_classes("");
    for (int keep = 0; keep < 2; keep++) {
        clg_dataset *dataset = opened(CLG_DATA_TRAIN, clg_dataset_options(.memory = keep ? 0 : 1));
        const clg_dataset_info *info = clg_dataset_describe(dataset);
        clg_shape sample = CLG_SHAPE(6, 4, 3);
        ck_assert_int_eq(info->count, 3);
        ck_assert_int_eq(info->classes, 2);
        ck_assert(info->whole && clg_shape_equal(&info->sample, &sample));
        ck_assert_str_eq(info->format, "images");
        ck_assert_str_eq(clg_dataset_class_name(dataset, 1), "dog");
        for (int pass = 0; pass < 2; pass++) { /* from the file, then as it was kept */
            assert_image(dataset, 0, 10, 0);
            assert_image(dataset, 1, 0, 0);
            assert_image(dataset, 2, 20, 1);
            if (keep && pass == 0) scratch_write("dog/c.PNG", "", 0);
        }
        if (keep) write_png("dog/c.PNG", 6, 4, 3, 20);
        clg_dataset_destroy(dataset);
    }
    clg_dataset *dataset = opened(CLG_DATA_TRAIN, clg_dataset_options(.limit = 2));
    assert_image(dataset, 0, 10, 0); /* spread over all files */
    assert_image(dataset, 1, 0, 0);
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(parts_have_the_classes_of_the_training_part)
{
    make_classes("train/");
    make_folder("test");
    make_folder("test/dog");
    write_png("test/dog/1.png", 6, 4, 3, 33);
    clg_dataset *dataset = opened(CLG_DATA_TEST, NULL);
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, 2);
    ck_assert(!clg_dataset_describe(dataset)->whole);
    assert_image(dataset, 0, 33, 1);
    clg_dataset_destroy(dataset);
    make_folder("test/eel");
    write_png("test/eel/1.png", 6, 4, 3, 33);
    TEST_FAILS(open_folder(&dataset, CLG_DATA_TEST, NULL), CLG_ERROR_FORMAT, "the class eel");
}
END_TEST

START_TEST(sizes_are_brought_together_when_asked)
{
    clg_dataset *dataset;
    static float got[64 * 64];
    int32_t label;
    make_classes("");
    write_png("cat/c.png", 12, 8, 3, 0);
    dataset = opened(CLG_DATA_TRAIN, NULL);
    TEST_FAILS(clg_dataset_read(dataset, 2, got, &label), CLG_ERROR_FORMAT,
               "c.png is 12 x 8 pixels, the others 6 x 4");
    clg_dataset_destroy(dataset);
    dataset = opened(CLG_DATA_TRAIN, clg_dataset_options(.size = {3, 4}, .channels = 1));
    ck_assert_int_eq(clg_dataset_describe(dataset)->sample.dim[1], 4);
    ck_assert_int_eq(clg_dataset_describe(dataset)->sample.dim[2], 1);
    for (int64_t i = 0; i < 4; i++) TEST_OK(clg_dataset_read(dataset, i, got, &label));
    char *schema;
    TEST_OK(clg_dataset_schema(dataset, &schema));
    clg_dataset_destroy(dataset);
    /* One image, as the model's data was. */
    const char *one = scratch_path("cat/a.png");
    TEST_OK(clg_dataset_open(&dataset, one, CLG_DATA_TEST, clg_dataset_options(.schema = schema)));
    ck_assert_int_eq(clg_dataset_describe(dataset)->target, CLG_TARGET_NONE);
    ck_assert_int_eq(clg_dataset_describe(dataset)->sample.dim[0], 3);
    ck_assert_str_eq(clg_dataset_class_name(dataset, 0), "cat");
    TEST_OK(clg_dataset_read(dataset, 0, got, NULL));
    clg_dataset_destroy(dataset);
    clg_free(schema);
}
END_TEST

/* Sums of the pixels, and a spot; what Pillow gives to within its rounding. */
START_TEST(scaling_keeps_brightness_and_form)
{
    static float got[32 * 32];
    int32_t none;
    uint8_t pixels[40 * 20];
    for (int i = 0; i < 40 * 20; i++) pixels[i] = i / 20 < 20 ? 0 : 200; /* lower half is bright */
    clg_array array = {.dtype = CLG_U8, .shape = CLG_SHAPE(40, 20), .data = pixels};
    TEST_OK(clg_image_write(scratch_path("x.png"), &array));
    for (int fit = 0; fit < 2; fit++)
        for (int size = 5; size <= 30; size += 25) { /* smaller, larger */
            clg_dataset *dataset = NULL;
            clg_dataset_params params = {.size = {size, size}, .fit = (clg_image_fit)fit};
            TEST_OK(clg_dataset_open(&dataset, scratch_path("x.png"), CLG_DATA_TRAIN, &params));
            TEST_OK(clg_dataset_read(dataset, 0, got, &none));
            double sum = 0;
            for (int i = 0; i < size * size; i++) sum += (double)got[i] / (size * size);
            ck_assert_double_eq_tol(sum, 100 / 255.0, 0.01);
            ck_assert(got[0] == 0 && got[size * size - 1] == 200 / 255.0F);
            clg_dataset_destroy(dataset);
        }
}
END_TEST

START_TEST(folders_without_use_are_refused)
{
    clg_dataset *dataset;
    make_folder("cat");
    TEST_FAILS(open_folder(&dataset, CLG_DATA_TRAIN, NULL), CLG_ERROR_FORMAT,
               "no data set that is known");
    TEST_FAILS(open_folder(&dataset, CLG_DATA_TRAIN, clg_dataset_options(.format = "images")),
               CLG_ERROR_FORMAT, "0 samples");
    write_png("cat/a.png", 6, 4, 3, 0);
    make_folder("dog");
    write_png("dog/a.png", 6, 4, 3, 0);
    TEST_FAILS(open_folder(&dataset, CLG_DATA_TRAIN, clg_dataset_options(.classes = 1)),
               CLG_ERROR_FORMAT, "2 classes, but 1 are expected");
    TEST_FAILS(open_folder(&dataset, CLG_DATA_TRAIN, clg_dataset_options(.size = {5, -1})),
               CLG_ERROR_ARGUMENT, "5 x -1");
    TEST_FAILS(open_folder(&dataset, CLG_DATA_TRAIN, clg_dataset_options(.channels = 2)),
               CLG_ERROR_ARGUMENT, "2 channels");
    scratch_write("cat/a.png", "x", 1); /* the first image gives the size */
    TEST_FAILS(open_folder(&dataset, CLG_DATA_TRAIN, NULL), CLG_ERROR_FORMAT, "cat/a.png");
    clg_dataset *sized = opened(CLG_DATA_TRAIN, clg_dataset_options(.size = {4, 4}, .channels = 1));
    float got[16];
    int32_t label;
    TEST_OK(clg_dataset_read(sized, 1, got, &label));
    TEST_FAILS(clg_dataset_read(sized, 0, got, &label), CLG_ERROR_FORMAT,
               "cat/a.png is neither a PNG nor");
    clg_dataset_destroy(sized);
}
END_TEST

START_TEST(opening_survives_each_failure)
{
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status = CLG_ERROR_IO, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    uint64_t nth = 0;
    make_classes("train/");
    while (status != CLG_OK) {
        clg_dataset *dataset = NULL;
        float got[16];
        int32_t label;
        clg__fault_set(kind, ++nth, _i & 2, 0);
        status = open_folder(&dataset, CLG_DATA_TRAIN, clg_dataset_options(.size = {4, 4}));
        if (status == CLG_OK) status = clg_dataset_read(dataset, 0, (float[48]){0}, &label);
        clg__fault_set(kind, 0, false, 0);
        ck_assert_msg(status == CLG_OK || status == expected, "%s", clg_last_error());
        clg_dataset_destroy(dataset);
        ck_assert_int_eq(clg__live_allocations(), 0);
        (void)got;
    }
    ck_assert_uint_gt(nth, 5);
}
END_TEST

/* Two loaders of one data set decode and keep at the same time. */
START_TEST(several_loaders_share_what_is_kept)
{
    char name[64];
    make_folder("all");
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "all/%02d.png", i);
        write_png(name, 8, 8, 1, 3 * i);
    }
    clg_dataset *dataset = opened(CLG_DATA_TRAIN, NULL);
    clg_loader *loaders[2];
    for (int i = 0; i < 2; i++)
        TEST_OK(clg_loader_create(&loaders[i], dataset, clg_loader_options(.batch = 7)));
    for (int step = 0; step < 18; step++) {
        clg_batch batch[2];
        for (int i = 0; i < 2; i++) TEST_OK(clg_loader_next(loaders[i], &batch[i]));
        ck_assert_mem_eq(batch[0].features, batch[1].features,
                         (size_t)batch[0].count * 64 * sizeof(float));
        float first = (float)(3 * 7 * batch[0].index & 255) / 255.0F;
        ck_assert(batch[0].features[0] == first);
    }
    for (int i = 0; i < 2; i++) clg_loader_destroy(loaders[i]);
    clg_dataset_destroy(dataset);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("images");
    TCase *files = scratch_case(suite, "files");
    tcase_add_test(files, what_is_written_is_read);
    tcase_add_test(files, every_kind_of_png_becomes_grey_or_rgb);
    tcase_add_test(files, jpeg_files_are_read);
    TCase *damage = scratch_case(suite, "damage");
    tcase_add_test(damage, headers_that_lie_are_refused_before_memory_is_taken);
    tcase_add_test(damage, files_that_end_early_are_refused);
    tcase_add_test(damage, random_damage_never_crashes);
    tcase_add_loop_test(damage, reading_and_writing_survive_each_failure, 0, 4);
    tcase_add_test(damage, what_is_no_image_is_refused);
    TCase *folders = scratch_case(suite, "folders");
    tcase_add_test(folders, a_folder_for_each_class);
    tcase_add_test(folders, parts_have_the_classes_of_the_training_part);
    tcase_add_test(folders, sizes_are_brought_together_when_asked);
    tcase_add_test(folders, scaling_keeps_brightness_and_form);
    tcase_add_test(folders, folders_without_use_are_refused);
    tcase_add_loop_test(folders, opening_survives_each_failure, 0, 4);
    tcase_add_test(folders, several_loaders_share_what_is_kept);
    return testing_run(suite);
}
