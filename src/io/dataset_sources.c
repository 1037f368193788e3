/*
 * Where data sets come from by name: a directory of MNIST-style idx files, and the digit generator.
 */
#include <unistd.h>

#include "io/dataset.h"
#include "io/digits.h"

/* ---- directories ---- */

/*
 * Path of the file, in any of its usual spellings: STEM-idx3-ubyte or STEM.idx3-ubyte, plain or
 * .gz. The caller frees *out.
 */
static clg_status find_file(const char *directory, const char *stem, int ndim, char **out)
{
    clg__str path = {0};
    for (int spelling = 0; spelling < 4; spelling++) {
        clg__str_free(&path);
        clg__str_addf(&path, "%s/%s%cidx%d-ubyte%s", directory, stem, spelling & 2 ? '.' : '-',
                      ndim, spelling & 1 ? ".gz" : "");
        if (path.failed) {
            clg__str_free(&path);
            return CLG_ERROR_MEMORY;
        }
        if (access(path.text, F_OK) == 0) {
            *out = path.text;
            return CLG_OK;
        }
    }
    clg__str_free(&path);
    return clg__fail(CLG_ERROR_IO,
                     "%s has no %s-idx%d-ubyte or .gz: expected \"builtin\" or a directory with "
                     "the files of MNIST",
                     directory, stem, ndim);
}

/* Reads directory/stem...; the data is the caller's. */
static clg_status read_file(const char *directory, const char *stem, int ndim, clg_array *out,
                            void **data)
{
    char *path = NULL;
    CLG_TRY(find_file(directory, stem, ndim, &path));
    clg_status status = clg_idx_read(path, &out->dtype, &out->shape, data);
    clg__free(path);
    return status;
}

static clg_status take_images(clg__samples *samples, const clg_array *images)
{
    clg_dataset_info *info = &samples->info;
    if (images->dtype == CLG_I32)
        return clg__fail(CLG_ERROR_FORMAT, "%s: images of integers wider than a byte",
                         samples->source);
    info->count = images->shape.dim[0];
    info->storage = images->dtype;
    info->sample = clg_shape_of(images->shape.ndim - 1, images->shape.dim + 1);
    if (info->sample.ndim == 2) { /* (H, W) -> (H, W, 1) */
        info->sample.ndim = 3;
        info->sample.dim[2] = 1;
    }
    return CLG_OK;
}

static clg_status take_labels(clg__samples *samples, const clg_array *labels, const void *data)
{
    char text[160];
    if (labels->shape.ndim != 1 || labels->dtype == CLG_F32)
        return clg__fail(CLG_ERROR_FORMAT, "%s: labels of shape %s and type %s, expected (N) bytes",
                         samples->source, clg_shape_text(&labels->shape, text, sizeof text),
                         clg_dtype_name(labels->dtype));
    if (labels->shape.dim[0] != samples->info.count)
        return clg__fail(CLG_ERROR_FORMAT, "%s: %lld images but %lld labels", samples->source,
                         (long long)samples->info.count, (long long)labels->shape.dim[0]);
    samples->labels = clg__calloc((size_t)labels->shape.dim[0], sizeof *samples->labels);
    if (!samples->labels) return CLG_ERROR_MEMORY;
    for (int64_t i = 0; i < labels->shape.dim[0]; i++)
        samples->labels[i] =
            labels->dtype == CLG_U8 ? ((const uint8_t *)data)[i] : ((const int32_t *)data)[i];
    return CLG_OK;
}

clg_status clg__samples_open_directory(clg__samples *samples, const char *directory,
                                       clg_data_part part, const clg_dataset_params *params)
{
    bool train = part == CLG_DATA_TRAIN;
    clg_array images, labels;
    void *label_data = NULL;
    CLG_TRY(read_file(directory, train ? "train-images" : "t10k-images", 3, &images,
                      &samples->features));
    CLG_TRY(take_images(samples, &images));
    CLG_TRY(read_file(directory, train ? "train-labels" : "t10k-labels", 1, &labels, &label_data));
    clg_status status = take_labels(samples, &labels, label_data);
    clg__free(label_data);
    samples->info.classes = params->classes;
    if (params->limit > 0) samples->info.count = clg__min_i64(samples->info.count, params->limit);
    return status;
}

/* ---- digits ---- */

clg_status clg__samples_draw_digits(clg__samples *samples, clg_data_part part,
                                    const clg_dataset_params *params)
{
    static const uint64_t keys[] = {[CLG_DATA_TRAIN] = 0x747261696e, [CLG_DATA_TEST] = 0x74657374};
    static const int64_t counts[] = {[CLG_DATA_TRAIN] = 12000, [CLG_DATA_TEST] = 2000};
    int64_t count = params->limit > 0 ? params->limit : counts[part];
    if (params->classes != 0 && params->classes != 10)
        return clg__fail(CLG_ERROR_ARGUMENT, "the built-in digits have 10 classes, not %d",
                         params->classes);
    if (count > (int64_t)UINT32_MAX)
        return clg__fail(CLG_ERROR_ARGUMENT, "%lld built-in digits: at most 4294967295",
                         (long long)count);
    uint8_t *pixels = clg__calloc((size_t)count, CLG__DIGIT_PIXELS);
    samples->features = pixels;
    samples->labels = clg__calloc((size_t)count, sizeof *samples->labels);
    if (!pixels || !samples->labels) return CLG_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        samples->labels[i] =
            clg__digit_draw(keys[part], (uint32_t)i, pixels + i * CLG__DIGIT_PIXELS);
    samples->info.count = count;
    samples->info.sample = CLG_SHAPE(CLG__DIGIT_SIDE, CLG__DIGIT_SIDE, 1);
    samples->info.storage = CLG_U8;
    samples->info.classes = 10;
    return CLG_OK;
}
