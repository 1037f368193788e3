/*
 * What `cltrain predict --out` writes: the values of all samples as an npy array, or images beside
 * what an autoencoder makes of them as a PNG picture. The name says which.
 */
#ifndef CLTRAIN_PREDICTION_FILE_H
#define CLTRAIN_PREDICTION_FILE_H

#include "network.h"

enum { SHEET_COLUMNS = 16, SHEET_SAMPLES = 160 };

/* Samples gathered so far, and what the network makes of them. */
struct prediction_file {
    const char *path;
    clg_shape sample, value; /* of one sample: its features, its values */
    float *features, *values;
    int64_t count, capacity; /* samples */
    bool sheet;              /* a PNG picture; else an npy array, which has no features */
};

/**
 * Begins a file of values of shape `value`, both shapes with the batch in front. DONE, or an exit
 * code after a message: another kind of file, or values that are no image. Clear it in both cases.
 */
int prediction_file_start(struct prediction_file *file, const char *path, const clg_shape *sample,
                          const clg_shape *value);
/** Takes samples and their values; a picture takes the first SHEET_SAMPLES and ignores others. */
int prediction_file_add(struct prediction_file *file, const float *features, const float *values,
                        int64_t count);
/** Writes the file. */
int prediction_file_write(const struct prediction_file *file);
void prediction_file_clear(struct prediction_file *file);

#endif
