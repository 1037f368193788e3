/*
 * Reading an image of either format, and turning colours to grey and back. Files are read whole,
 * with a cap, before they are decoded.
 */
#include "io/image.h"

#include "base/base.h"

enum { MAX_FILE = 256 << 20 };

void clg__image_free(clg__image *image)
{
    clg__free(image->pixels);
    *image = (clg__image){0};
}

clg_status clg__image_allocate(clg__image *image, const char *path, uint32_t width, uint32_t height,
                               int channels)
{
    if (width < 1 || height < 1 || width > CLG__IMAGE_SIDE || height > CLG__IMAGE_SIDE ||
        (uint64_t)width * height > CLG__IMAGE_PIXELS)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s is %u x %u pixels; 1 to %d each and %d in all are read", path,
                         (unsigned)width, (unsigned)height, CLG__IMAGE_SIDE, CLG__IMAGE_PIXELS);
    *image = (clg__image){(int)height, (int)width, channels, NULL};
    image->pixels = clg__alloc((size_t)width * height * (size_t)channels);
    return image->pixels ? CLG_OK : CLG_ERROR_MEMORY;
}

/* Grey as 0.299 R + 0.587 G + 0.114 B, rounded; or the same value three times. */
static clg_status convert(clg__image *image, int channels)
{
    size_t count = (size_t)image->height * (size_t)image->width;
    if (channels == 0 || channels == image->channels) return CLG_OK;
    uint8_t *pixels = clg__alloc(count * (size_t)channels);
    if (!pixels) return CLG_ERROR_MEMORY;
    const uint8_t *from = image->pixels;
    for (size_t i = 0; i < count; i++) {
        if (channels == 1)
            pixels[i] = (uint8_t)((from[3 * i] * 299 + from[3 * i + 1] * 587 +
                                   from[3 * i + 2] * 114 + 500) /
                                  1000);
        else
            memset(pixels + 3 * i, from[i], 3);
    }
    clg__free(image->pixels);
    image->pixels = pixels;
    image->channels = channels;
    return CLG_OK;
}

clg_status clg__image_read(const char *path, int channels, clg__image *out)
{
    void *data = NULL;
    size_t size;
    clg__image image = {0};
    CLG_TRY(clg__file_read(path, MAX_FILE, &data, &size));
    clg_status status =
        clg__png_detect(data, size) ? clg__png_decode(path, data, size, &image)
        : clg__jpeg_detect(data, size)
            ? clg__jpeg_decode(path, data, size, &image)
            : clg__fail(CLG_ERROR_FORMAT, "%s is neither a PNG nor a JPEG file", path);
    clg__free(data);
    if (status == CLG_OK) status = convert(&image, channels);
    if (status == CLG_OK)
        *out = image;
    else
        clg__image_free(&image);
    return status;
}

clg_status clg_image_read(const char *path, int channels, clg_array *out, void **data)
{
    clg__image image;
    if (!path || !out || !data)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_image_read: an argument is NULL");
    if (channels != 0 && channels != 1 && channels != 3)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_image_read: %d channels; 1, 3 or 0 for either",
                         channels);
    CLG_TRY(clg__image_read(path, channels, &image));
    *data = image.pixels;
    *out = (clg_array){.dtype = CLG_U8,
                       .shape = CLG_SHAPE(image.height, image.width, image.channels),
                       .data = image.pixels};
    return CLG_OK;
}
