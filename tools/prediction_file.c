/*
 * See prediction_file.h. A picture has rows of SHEET_COLUMNS images, and under each row what the
 * network makes of them; one pixel apart, values from 0 (black) to 1 (white).
 */
#include "prediction_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"

/* ---- gathering ---- */

static bool ends_with(const char *path, const char *ending)
{
    size_t length = strlen(path), end = strlen(ending);
    return length > end && !strcmp(path + length - end, ending);
}

static clg_shape without_batch(const clg_shape *shape)
{
    return clg_shape_of(shape->ndim - 1, shape->dim + 1);
}

/* Values may be flat where they are those of an image. */
static int check_image(const struct prediction_file *file)
{
    const clg_shape *image = &file->sample;
    int64_t channels = image->ndim == 3 ? image->dim[2] : 0;
    char have[128], want[128];
    if (channels != 1 && channels != 3)
        return report_error(BAD_INPUT, "%s: pictures are of images, not of samples %s", file->path,
                            clg_shape_text(image, have, sizeof have));
    if (clg_shape_count(image) == clg_shape_count(&file->value)) return DONE;
    return report_error(BAD_INPUT,
                        "%s: a picture needs values of the size of the image %s, not %s; "
                        "an npy file takes any",
                        file->path, clg_shape_text(image, want, sizeof want),
                        clg_shape_text(&file->value, have, sizeof have));
}

int prediction_file_start(struct prediction_file *file, const char *path, const clg_shape *sample,
                          const clg_shape *value)
{
    *file = (struct prediction_file){.path = path,
                                     .sample = without_batch(sample),
                                     .value = without_batch(value),
                                     .sheet = ends_with(path, ".png")};
    if (file->sheet) return check_image(file);
    if (ends_with(path, ".npy")) return DONE;
    return report_error(BAD_USAGE, "predict: --out takes a file named .npy or .png, not '%s'",
                        path);
}

/* Makes room for `count` more samples of `size` floats. */
static bool grow(float **block, int64_t size, int64_t capacity)
{
    float *larger = realloc(*block, (size_t)(capacity * size) * sizeof *larger);
    if (larger) *block = larger;
    return larger;
}

static bool make_room(struct prediction_file *file, int64_t count)
{
    if (count <= file->capacity) return true;
    int64_t capacity = 2 * count;
    if (!grow(&file->values, clg_shape_count(&file->value), capacity)) return false;
    if (file->sheet && !grow(&file->features, clg_shape_count(&file->sample), capacity))
        return false;
    file->capacity = capacity;
    return true;
}

int prediction_file_add(struct prediction_file *file, const float *features, const float *values,
                        int64_t count)
{
    int64_t size = clg_shape_count(&file->value), pixels = clg_shape_count(&file->sample);
    if (file->sheet && count > SHEET_SAMPLES - file->count) count = SHEET_SAMPLES - file->count;
    if (!make_room(file, file->count + count))
        return report_error(NO_MEMORY, "%s: out of memory for the values of %" PRId64 " samples",
                            file->path, file->count + count);
    memcpy(file->values + file->count * size, values, (size_t)(count * size) * sizeof *values);
    if (file->sheet)
        memcpy(file->features + file->count * pixels, features,
               (size_t)(count * pixels) * sizeof *features);
    file->count += count;
    return DONE;
}

void prediction_file_clear(struct prediction_file *file)
{
    free(file->features);
    free(file->values);
    *file = (struct prediction_file){0};
}

/* ---- writing ---- */

static uint8_t byte_of(float value)
{
    return (uint8_t)lrintf(255 * (value > 0 ? value < 1 ? value : 1 : 0));
}

/* Puts an image into the picture, whose rows have `stride` bytes. */
static void put_image(uint8_t *to, int64_t stride, const clg_shape *image, const float *pixels)
{
    int64_t row = image->dim[1] * image->dim[2];
    for (int64_t y = 0; y < image->dim[0]; y++)
        for (int64_t i = 0; i < row; i++) to[y * stride + i] = byte_of(pixels[y * row + i]);
}

/* Both rows of images of sample i, in a picture with rows of `stride` bytes. */
static void put_sample(const struct prediction_file *file, int64_t i, uint8_t *bytes,
                       int64_t stride)
{
    const clg_shape *image = &file->sample;
    int64_t size = clg_shape_count(image), height = image->dim[0] + 1;
    uint8_t *at = bytes + i / SHEET_COLUMNS * 2 * height * stride +
                  i % SHEET_COLUMNS * (image->dim[1] + 1) * image->dim[2];
    put_image(at, stride, image, file->features + i * size);
    put_image(at + height * stride, stride, image, file->values + i * size);
}

static clg_status write_sheet(const struct prediction_file *file)
{
    const clg_shape *image = &file->sample;
    int64_t columns = file->count < SHEET_COLUMNS ? file->count : SHEET_COLUMNS;
    int64_t rows = 2 * ((file->count + SHEET_COLUMNS - 1) / SHEET_COLUMNS);
    clg_array picture = {.dtype = CLG_U8, .shape = *image};
    picture.shape.dim[0] = rows * (image->dim[0] + 1) - 1;
    picture.shape.dim[1] = columns * (image->dim[1] + 1) - 1;
    uint8_t *bytes = malloc((size_t)clg_shape_count(&picture.shape));
    if (!bytes) return CLG_ERROR_MEMORY;
    memset(bytes, 128, (size_t)clg_shape_count(&picture.shape)); /* between the images */
    for (int64_t i = 0; i < file->count; i++)
        put_sample(file, i, bytes, picture.shape.dim[1] * image->dim[2]);
    picture.data = bytes;
    clg_status status = clg_image_write(file->path, &picture);
    free(bytes);
    return status;
}

/* (samples, shape of the values) */
static clg_status write_array(const struct prediction_file *file)
{
    clg_array array = {.dtype = CLG_F32, .data = file->values};
    array.shape.ndim = file->value.ndim + 1;
    array.shape.dim[0] = file->count;
    for (int i = 0; i < file->value.ndim; i++) array.shape.dim[i + 1] = file->value.dim[i];
    return clg_array_write(file->path, &array);
}

int prediction_file_write(const struct prediction_file *file)
{
    clg_status status = file->sheet ? write_sheet(file) : write_array(file);
    if (status != CLG_OK) return report_unwritten(status, file->path);
    char text[128];
    report_note("%s: %" PRId64 " samples, values %s", file->path, file->count,
                clg_shape_text(&file->value, text, sizeof text));
    return DONE;
}
