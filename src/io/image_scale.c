/*
 * Scaling images: a triangle filter as wide as the pixels of the smaller image, first along rows,
 * then along columns - bilinear where an image grows, and without aliasing where it shrinks (what
 * Pillow and torchvision call bilinear with antialias).
 */
#include <math.h>

#include "base/base.h"
#include "io/image.h"

/* What one output position is made of: weights for `count` inputs from `first` on. */
typedef struct taps {
    int first, count;
    const float *weights;
} taps;

/* The taps of one axis. */
typedef struct axis {
    taps *taps;     /* (size) */
    float *weights; /* all of them */
} axis;

static void axis_free(axis *a)
{
    clg__free(a->taps);
    clg__free(a->weights);
}

/* Weights of input pixels around `centre`, normalized; returns how many. */
static int fill_taps(float *weights, double centre, double reach, int extent, int *first)
{
    int low = (int)fmax(centre - reach + 0.5, 0), high = (int)fmin(centre + reach + 0.5, extent);
    double sum = 0;
    if (high <= low) high = low + 1;
    if (high > extent) low = (high = extent) - 1;
    for (int i = low; i < high; i++) {
        double distance = fabs((i + 0.5 - centre) / reach);
        weights[i - low] = (float)fmax(1 - distance, 0);
        sum += (double)weights[i - low];
    }
    for (int i = 0; i < high - low; i++)
        weights[i] = sum > 0 ? (float)(weights[i] / sum) : 1.0f / (float)(high - low);
    *first = low;
    return high - low;
}

/* From `length` pixels of `extent`, beginning at `start`, to `size`. */
static clg_status axis_make(axis *a, int extent, double start, double length, int size)
{
    double scale = length / size, reach = fmax(scale, 1);
    size_t most = (size_t)(2 * reach) + 3;
    *a = (axis){0};
    a->taps = clg__calloc((size_t)size, sizeof *a->taps);
    a->weights = clg__calloc((size_t)size, most * sizeof *a->weights);
    if (!a->taps || !a->weights) return CLG_ERROR_MEMORY;
    for (int i = 0; i < size; i++) {
        float *weights = a->weights + (size_t)i * most;
        taps *t = &a->taps[i];
        t->weights = weights;
        t->count = fill_taps(weights, start + (i + 0.5) * scale, reach, extent, &t->first);
    }
    return CLG_OK;
}

/* One row of the image, `width` pixels wide afterwards. */
static void scale_row(const uint8_t *from, int channels, const axis *columns, int width, float *to)
{
    for (int x = 0; x < width; x++) {
        const taps *t = &columns->taps[x];
        for (int c = 0; c < channels; c++) {
            float sum = 0;
            for (int i = 0; i < t->count; i++)
                sum += t->weights[i] * from[(t->first + i) * channels + c];
            to[x * channels + c] = sum;
        }
    }
}

/* rows: (height of `from`, row floats). */
static void scale_columns(const float *rows, size_t row, const taps *t, uint8_t *to)
{
    for (size_t i = 0; i < row; i++) {
        float sum = 0;
        for (int k = 0; k < t->count; k++)
            sum += t->weights[k] * rows[(size_t)(t->first + k) * row + i];
        to[i] = (uint8_t)fminf(fmaxf(sum + 0.5f, 0), 255);
    }
}

static clg_status scale(const clg__image *from, const axis axes[2], int height, int width,
                        uint8_t *out)
{
    size_t row = (size_t)width * (size_t)from->channels;
    size_t stored = (size_t)from->width * (size_t)from->channels;
    float *rows = clg__calloc((size_t)from->height, row * sizeof *rows);
    if (!rows) return CLG_ERROR_MEMORY;
    for (int y = 0; y < from->height; y++)
        scale_row(from->pixels + (size_t)y * stored, from->channels, &axes[1], width,
                  rows + (size_t)y * row);
    for (int y = 0; y < height; y++)
        scale_columns(rows, row, &axes[0].taps[y], out + (size_t)y * row);
    clg__free(rows);
    return CLG_OK;
}

clg_status clg__image_fit(const clg__image *from, int height, int width, clg_image_fit fit,
                          uint8_t *out)
{
    axis axes[2] = {{0}};
    double h = from->height, w = from->width;
    if (from->height == height && from->width == width) {
        memcpy(out, from->pixels, (size_t)height * (size_t)width * (size_t)from->channels);
        return CLG_OK;
    }
    if (fit == CLG_IMAGE_CROP) { /* the largest part in the middle that has the wanted form */
        double factor = fmax(height / h, width / w);
        h = fmin(height / factor, h);
        w = fmin(width / factor, w);
    }
    clg_status status = axis_make(&axes[0], from->height, (from->height - h) / 2, h, height);
    if (status == CLG_OK)
        status = axis_make(&axes[1], from->width, (from->width - w) / 2, w, width);
    if (status == CLG_OK) status = scale(from, axes, height, width, out);
    axis_free(&axes[0]);
    axis_free(&axes[1]);
    return status;
}
