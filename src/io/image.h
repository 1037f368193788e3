/*
 * Images in files: PNG and JPEG to 8-bit grey or RGB, scaling, and PNG writing.
 */
#ifndef CLG_IMAGE_INTERNAL_H
#define CLG_IMAGE_INTERNAL_H

#include "clgrad/data.h"

enum {
    CLG__IMAGE_SIDE = 16384,    /* largest width and height that is decoded */
    CLG__IMAGE_PIXELS = 1 << 26 /* and most pixels */
};

typedef struct clg__image {
    int height, width, channels; /* channels: 1 grey, 3 RGB */
    uint8_t *pixels;             /* (height, width, channels) */
} clg__image;

/** Told by the first bytes of a file. */
bool clg__png_detect(const unsigned char *head, size_t size);
bool clg__jpeg_detect(const unsigned char *head, size_t size);

/**
 * Decodes a file with `channels` channels, or as many as it has (0). Width and height are checked
 * before memory is taken; a file that is cut off or damaged is CLG_ERROR_FORMAT.
 */
clg_status clg__image_read(const char *path, int channels, clg__image *out);
void clg__image_free(clg__image *image);

/** Scales to (height, width) into `out`; see clg_image_fit. Equal sizes are copied. */
clg_status clg__image_fit(const clg__image *from, int height, int width, clg_image_fit fit,
                          uint8_t *out);

/* The decoders: `data` is the whole file. */
clg_status clg__png_decode(const char *path, const void *data, size_t size, clg__image *out);
clg_status clg__jpeg_decode(const char *path, const void *data, size_t size, clg__image *out);

/** Checks a size that a header claims and takes memory for the pixels. */
clg_status clg__image_allocate(clg__image *image, const char *path, uint32_t width, uint32_t height,
                               int channels);

#endif
