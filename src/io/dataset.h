/*
 * Internal view of data sets. `clg__samples` is the data itself, shared by the data sets (all of
 * it, or the parts of a split) that look at it: in memory, or behind a row of functions that read
 * one sample. Opening a source means to fill in samples (formats.h).
 */
#ifndef CLG_DATASET_INTERNAL_H
#define CLG_DATASET_INTERNAL_H

#include <stdatomic.h>

#include "base/base.h"
#include "clgrad/data.h"
#include "io/names.h"

typedef struct clg__samples clg__samples;

/* Where samples are that are not in memory. Functions may be called from several threads at once.
 */
typedef struct clg__samples_kind {
    /**
     * Reads a sample: its features as info.storage says, unless NULL, and its target. Both are
     * checked by the caller.
     */
    clg_status (*read)(const clg__samples *samples, int64_t index, void *features, void *target);
    void (*free)(void *state); /* NULL: nothing to free */
    bool delivers; /* features come as they are to be delivered: no normalization, no filling */
} clg__samples_kind;

struct clg__samples {
    atomic_int references;
    char *source;
    clg_dataset_info info;         /* of all samples; info.source = source */
    const clg__samples_kind *kind; /* NULL: in memory */
    void *state;                   /* the kind's */
    void *features;                /* in memory: (count, sample shape) of info.storage */
    void *targets;                 /* in memory: (count, target shape) */
    clg__names classes;            /* their names; none: plain numbers */
    clg__names columns;            /* names of the features of a table; none: numbers */
    float *fill;                   /* (features) for missing values, from a schema; or NULL */
    char *schema;                  /* how the source was read, JSON without values to fill */
};

struct clg_dataset {
    atomic_int references; /* the caller's and its loaders' */
    clg__samples *samples;
    clg_dataset_info info;
    uint32_t *indices; /* (info.count) into samples, ascending; NULL: all of them */
    int channels;      /* of mean, std and table */
    float *mean, *std; /* (channels); NULL: as stored */
    float *table;      /* U8 storage: (channels, 256), the delivered value of each byte */
    float *fill;       /* (features) for missing values; NULL: none are known */
    int32_t *relabel;  /* (stored_classes) delivered label of each stored one; NULL: the same */
    int stored_classes;
    clg__names names; /* of the classes, where labels are others than the stored ones */
};

/**
 * Makes the data set of all `samples`, checks what is in memory and takes over the caller's
 * reference, also on failure. In memory, info.classes = 0 means the largest label + 1.
 */
clg_status clg__dataset_wrap(clg_dataset **out, clg__samples *samples);
/** Samples with `source` copied and one reference; fields are for the caller to fill in. */
clg__samples *clg__samples_create(const char *source);
void clg__samples_release(clg__samples *samples);
/** Memory for all features and targets, as info says. Checks that info makes sense before. */
clg_status clg__samples_allocate(clg__samples *samples);
/** Bytes of the features of one sample, as stored. */
size_t clg__samples_stride(const clg__samples *samples);
/** Refuses an info that no memory could hold. */
clg_status clg__samples_check_info(const clg__samples *samples);

/** A data set of these samples of `from`; `indices` (into `from`, ascending) are copied. */
clg_status clg__dataset_part(clg_dataset **out, const clg_dataset *from, const uint32_t *indices,
                             int64_t count);
/** clg_dataset_read, with NaN for missing values that nothing fills if `raw`. */
clg_status clg__dataset_read(const clg_dataset *dataset, int64_t index, float *features,
                             void *target, bool raw);

/** `channels` must be 1 or the last dimension of a sample. */
clg_status clg__dataset_check_channels(const clg_dataset *dataset, int channels,
                                       const char *function);

void clg__dataset_retain(clg_dataset *dataset);

/** Number of elements of one sample. */
static inline size_t clg__dataset_features(const clg_dataset *dataset)
{
    return (size_t)clg_shape_count(&dataset->info.sample);
}

/** Number of elements of one sample's target. */
static inline size_t clg__target_count(const clg_dataset_info *info)
{
    return info->target == CLG_TARGET_NONE ? 0 : (size_t)clg_shape_count(&info->target_shape);
}

#endif
