/*
 * Internal view of data sets. `clg__samples` is the data itself, shared by the data sets (all of
 * it, or the parts of a split) that look at it.
 */
#ifndef CLG_DATASET_INTERNAL_H
#define CLG_DATASET_INTERNAL_H

#include <stdatomic.h>

#include "base/base.h"
#include "clgrad/data.h"

typedef struct clg__samples {
    atomic_int references;
    char *source;
    clg_dataset_info info; /* of all samples; info.source = source */
    void *features;        /* (count, sample shape) of info.storage; NULL with `read` */
    int32_t *labels;       /* (count); NULL with `read` */
    clg_sample_fn read;    /* or NULL */
    void *user;
} clg__samples;

struct clg_dataset {
    atomic_int references; /* the caller's and its loaders' */
    clg__samples *samples;
    clg_dataset_info info;
    uint32_t *indices; /* (info.count) into samples, ascending; NULL: all of them */
    int channels;      /* of mean, std and table */
    float *mean, *std; /* F32 storage: (channels); NULL: as stored */
    float *table;      /* U8 storage: (channels, 256), the delivered value of each byte */
};

/**
 * Makes the data set of all `samples`, checks the labels and takes over the caller's reference,
 * also on failure. With read == NULL, `info` and the arrays are filled in and info.classes = 0
 * means the largest label + 1.
 */
clg_status clg__dataset_wrap(clg_dataset **out, clg__samples *samples);
/** Samples with `source` copied and one reference; fields are for the caller to fill in. */
clg__samples *clg__samples_create(const char *source);
void clg__samples_release(clg__samples *samples);

/** Fills samples from the files of a directory / the digit generator. */
clg_status clg__samples_open_directory(clg__samples *samples, const char *directory,
                                       clg_data_part part, const clg_dataset_params *params);
clg_status clg__samples_draw_digits(clg__samples *samples, clg_data_part part,
                                    const clg_dataset_params *params);

void clg__dataset_retain(clg_dataset *dataset);

/** Number of elements of one sample. */
static inline size_t clg__dataset_features(const clg_dataset *dataset)
{
    return (size_t)clg_shape_count(&dataset->info.sample);
}

#endif
