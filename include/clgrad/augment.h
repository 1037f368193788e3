/*
 * Data augmentation and normalization on the device, as part of the training program.
 *
 * What is random draws new numbers for each image at each training step, from Philox keyed by
 * (graph seed, step, node, image): the same seed gives the same pictures on every device, and a
 * resumed run goes on with the numbers of an uninterrupted one. In inference the random functions
 * return their input; that is decided when a program is compiled (clg_by_mode), and costs nothing.
 *
 * Images are (N, H, W, C) with values in 0 .. 1. Put what works on brightness and colours in front
 * of normalization. Errors are sticky, as in tensor.h.
 */
#ifndef CLGRAD_AUGMENT_H
#define CLGRAD_AUGMENT_H

#include "clgrad/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- geometry ---- */

/* What is seen outside of an image. */
typedef enum clg_border {
    CLG_BORDER_ZERO,
    CLG_BORDER_REPLICATE /* the nearest pixel */
} clg_border;

typedef struct clg_affine_warp_params {
    int64_t size[2]; /* H, W of the result, up to 32768; 0: as the input */
    clg_border border;
} clg_affine_warp_params;
#define clg_affine_warp_options(...) CLG_OPTIONS(clg_affine_warp_params, __VA_ARGS__)
/**
 * x (N, H, W, C), matrix (N, 2, 3) -> (N, OH, OW, C), bilinear. Row 0 of a matrix gives the row,
 * row 1 the column of x that is seen at an output pixel (row, column, 1); all positions in pixels
 * from the middle of their image, (extent - 1) / 2. So the unit matrix copies, {-1 0 0, 0 1 0}
 * turns upside down, both to the bit. As torch's grid_sample(align_corners=False) with
 * affine_grid, whose matrices count in half images. Differentiable in x; the matrices are taken as
 * constants.
 */
CLG_API clg_tensor *clg_affine_warp(clg_tensor *x, clg_tensor *matrix,
                                    const clg_affine_warp_params *params);

/** Mirrors each image left-right and upside down with these probabilities (0 .. 1). */
CLG_API clg_tensor *clg_random_flip(clg_tensor *x, double horizontal, double vertical);

typedef struct clg_random_affine_params {
    double rotate;   /* degrees, 0 .. 360: by an angle in -rotate .. rotate */
    double zoom;     /* 0 .. 0.99: by a factor in 1 - zoom .. 1 + zoom, larger than 1 enlarges */
    double shift[2]; /* of H, W, 0 .. 1: by -shift .. shift of the extent */
    clg_border border;
} clg_random_affine_params;
#define clg_random_affine_options(...) CLG_OPTIONS(clg_random_affine_params, __VA_ARGS__)
/** Turns, zooms and shifts each image by uniform random amounts, in one warp. */
CLG_API clg_tensor *clg_random_affine(clg_tensor *x, const clg_random_affine_params *params);

typedef struct clg_random_crop_params {
    int64_t size[2]; /* H, W of the result, at most the input's; 0: as the input */
    int64_t padding; /* pixels added on each side before cropping, up to 32768 */
    clg_border border;
} clg_random_crop_params;
#define clg_random_crop_options(...) CLG_OPTIONS(clg_random_crop_params, __VA_ARGS__)
/** A random part of the padded image, in whole pixels; in inference the middle of the image. */
CLG_API clg_tensor *clg_random_crop(clg_tensor *x, const clg_random_crop_params *params);

/**
 * Zeros in a size x size square (0: x itself .. 32768) around a random pixel, the part outside of
 * the image cut off.
 */
CLG_API clg_tensor *clg_cutout(clg_tensor *x, int64_t size);

/* ---- values ---- */

typedef struct clg_color_jitter_params {
    double brightness; /* 0 .. 1: times a factor in 1 - b .. 1 + b */
    double contrast;   /* 0 .. 1: the same, around the image's mean grey */
    double saturation; /* 0 .. 1: the same, around the pixel's grey; needs three channels */
} clg_color_jitter_params;
#define clg_color_jitter_options(...) CLG_OPTIONS(clg_color_jitter_params, __VA_ARGS__)
/**
 * Random brightness, then contrast, then saturation, each clamped to 0 .. 1: torchvision's
 * ColorJitter in that order. Grey is 0.299 R + 0.587 G + 0.114 B, the mean of another number of
 * channels.
 */
CLG_API clg_tensor *clg_color_jitter(clg_tensor *x, const clg_color_jitter_params *params);

/** x of any shape plus normal noise of this standard deviation (0: x itself .. 1e6). */
CLG_API clg_tensor *clg_gaussian_noise(clg_tensor *x, double sigma);

/**
 * (x - offset) scale, for each entry of the last axis; offset and scale have one number or C.
 * Standardization has the mean and 1 / standard deviation, min-max scaling the minimum and
 * 1 / (maximum - minimum). In training and inference alike.
 */
CLG_API clg_tensor *clg_normalize(clg_tensor *x, clg_tensor *offset, clg_tensor *scale);

#ifdef __cplusplus
}
#endif
#endif
