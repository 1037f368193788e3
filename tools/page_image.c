/*
 * Small images inside a page: PNG by libpng, as a data URI in base 64.
 */
#include <math.h>
#include <png.h>
#include <stdlib.h>

#include "cltrain.h"
#include "page.h"

enum { MAX_SIDE = 4096 };

/* Position between low and high, 0 .. 1; NaN is 0. */
static float part_of(const struct page_image *image, float value)
{
    float part = (value - image->low) / (image->high - image->low);
    return part > 0 ? part < 1 ? part : 1 : 0;
}

/* Between the two ends over white; the ends are colours that everybody can tell apart. */
static void set_diverging(uint8_t rgb[3], float part)
{
    static const float below[] = {0, 114, 178}, above[] = {213, 94, 0};
    const float *end = part < 0.5f ? below : above;
    float strength = fabsf(2 * part - 1);
    for (int i = 0; i < 3; i++) rgb[i] = (uint8_t)lrintf(255 + strength * (end[i] - 255));
}

static void set_pixel(uint8_t rgb[3], const struct page_image *image, const float *at)
{
    if (image->diverging && image->channels == 1) {
        set_diverging(rgb, part_of(image, *at));
        return;
    }
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)lrintf(255 *
                                 part_of(image, at[image->channels == 3 ? c * image->channel : 0]));
}

static uint8_t *rgb_of(const struct page_image *image)
{
    uint8_t *rgb = malloc((size_t)(image->width * image->height) * 3), *to = rgb;
    for (int64_t y = 0; rgb && y < image->height; y++)
        for (int64_t x = 0; x < image->width; x++, to += 3)
            set_pixel(to, image, image->pixels + y * image->row + x * image->column);
    return rgb;
}

static void put_base64(FILE *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t bits = (uint32_t)data[i] << 16;
        if (i + 1 < size) bits |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < size) bits |= data[i + 2];
        putc(digits[bits >> 18], out);
        putc(digits[bits >> 12 & 63], out);
        putc(i + 1 < size ? digits[bits >> 6 & 63] : '=', out);
        putc(i + 2 < size ? digits[bits & 63] : '=', out);
    }
}

/* The PNG file in memory, NULL on failure. */
static uint8_t *encode(const struct page_image *image, const uint8_t *rgb, size_t *size)
{
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)image->width,
                     .height = (png_uint_32)image->height,
                     .format = PNG_FORMAT_RGB};
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(png);
    uint8_t *file = malloc(bytes);
    if (!file || !png_image_write_to_memory(&png, file, &bytes, 0, rgb, 0, NULL)) {
        free(file);
        return NULL;
    }
    *size = bytes;
    return file;
}

void page_image(struct page *page, const struct page_image *image, int size, const char *alt)
{
    int64_t side = image->width > image->height ? image->width : image->height, zoom = 1;
    if (side < 1 || side > MAX_SIDE) return;
    while ((zoom + 1) * side <= size) zoom++;
    size_t bytes = 0;
    uint8_t *rgb = rgb_of(image), *file = rgb ? encode(image, rgb, &bytes) : NULL;
    if (file) {
        fprintf(page->out, "<img width=\"%lld\" height=\"%lld\" alt=\"",
                (long long)(zoom * image->width), (long long)(zoom * image->height));
        page_text(page, alt);
        fputs("\" src=\"data:image/png;base64,", page->out);
        put_base64(page->out, file, bytes);
        fputs("\">\n", page->out);
    } else if (!page->code) {
        page->code = report_error(NO_MEMORY, "out of memory for an image");
    }
    free(rgb);
    free(file);
}
