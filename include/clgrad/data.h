/*
 * Data layer: what comes from files and goes to files, all of it on the host.
 *
 *   arrays       clg_array_read: idx, npy and npz files, clg_array_write: npy; clg_image_read: PNG
 *                and JPEG
 *   data sets    clg_dataset: samples with their targets, from files of several formats, the
 *                built-in digit images, the caller's arrays or the caller's function
 *   loader       clg_loader: shuffled batches, prepared ahead by a thread, resumable anywhere
 *   weights      clg_safetensors: named arrays in a file that Python opens too
 *   checkpoints  clg_checkpoint_*: a directory of those with `latest`, `best` and clean-up
 *   charts       clg_chart_*: curves as SVG and as text for the terminal
 *   scalars      clg_events_*: files that TensorBoard shows
 *
 * Nothing here needs a device. Objects may be used by one thread at a time, different objects by
 * different threads. Text in files never depends on the locale. A function that fails leaves its
 * outputs and existing files as they were.
 */
#ifndef CLGRAD_DATA_H
#define CLGRAD_DATA_H

#include "clgrad/base.h"
#include "clgrad/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A named array on the host: row-major, in the byte order of this machine. */
typedef struct clg_array {
    const char *name; /* UTF-8; may be NULL where no name is needed */
    clg_dtype dtype;
    clg_shape shape;
    const void *data;
} clg_array;

/* A key and its value, both text. */
typedef struct clg_metadata {
    const char *key, *value; /* UTF-8 */
} clg_metadata;

/* ---- arrays in files ---- */

/**
 * Reads an array: an idx file (MNIST's format) or an npy file (NumPy's), both also gzip-compressed,
 * or one array of an npz file; told by their content. `member` names the array of an npz file, with
 * or without ".npy"; NULL for other files and where there is only one. Bytes and truth values stay
 * U8, other integers become I32, floating point F32; integers beyond 32 bits are refused, both byte
 * orders and Fortran order read. *data is the caller's (clg_free), out->name is NULL. A header that
 * does not fit the file exactly is CLG_ERROR_FORMAT, found before memory is taken; so are more than
 * CLG_MAX_DIMS dimensions and more than 4 GiB of data.
 */
CLG_API clg_status clg_array_read(const char *path, const char *member, clg_array *out,
                                  void **data);

/** clg_array_read for a file with one array. */
CLG_API clg_status clg_idx_read(const char *path, clg_dtype *dtype, clg_shape *shape, void **data);

/**
 * Writes an npy file (NumPy's format) in the byte order of this machine; replaces the file whole.
 * array->name is not used. clg_array_read gives the same array back.
 */
CLG_API clg_status clg_array_write(const char *path, const clg_array *array);

/* ---- images in files ---- */

/**
 * Decodes a PNG or JPEG file: U8 of shape (H, W, C) with `channels` channels - 1: grey, 3: RGB, 0:
 * as many as it has; transparency is dropped, 16 bits become 8. At most 16384 pixels a side and
 * 2^26 in all. *data is the caller's (clg_free).
 */
CLG_API clg_status clg_image_read(const char *path, int channels, clg_array *out, void **data);
/** Writes bytes of shape (H, W), (H, W, 1) or (H, W, 3) as a PNG file; replaces the file whole. */
CLG_API clg_status clg_image_write(const char *path, const clg_array *pixels);

/* ---- data sets ---- */

/* Samples with their targets; destroyed when its loaders are too. */
typedef struct clg_dataset clg_dataset;

typedef enum clg_data_part { CLG_DATA_TRAIN, CLG_DATA_TEST } clg_data_part;

/* What a sample is to be mapped to. */
typedef enum clg_target_kind {
    CLG_TARGET_AUTO,    /* in parameters: what the source suggests */
    CLG_TARGET_CLASSES, /* int32_t 0 .. classes - 1: a label, or one for each position of a text */
    CLG_TARGET_NUMBERS, /* float: regression */
    CLG_TARGET_NONE     /* samples only */
} clg_target_kind;

typedef struct clg_dataset_info {
    const char *source; /* "builtin", the path, or the name given; for messages */
    int64_t count;      /* samples, at least 1 */
    clg_shape sample;   /* of one sample: (28, 28, 1) */
    clg_dtype storage;  /* U8: scaled by 1/255 when delivered; F32; I32: indices, as they are */
    int classes;        /* CLG_TARGET_CLASSES: labels are 0 .. classes - 1; else 0 */
    clg_target_kind target;
    clg_shape target_shape; /* of one sample's target; a scalar for labels */
    const char *format;     /* "idx", "csv" ...; NULL for arrays and functions */
    bool whole;             /* the source has no parts: this is all of it, whatever was asked for */
    bool ordered;           /* neighbours belong together (text): splits cut instead of drawing */
    int64_t missing;        /* values that the source lacks: see clg_dataset_fill_missing */
} clg_dataset_info;

/* What to do about values that a table lacks. */
typedef enum clg_missing {
    CLG_MISSING_REFUSE, /* an error with line and column */
    CLG_MISSING_DROP,   /* the row is left out */
    CLG_MISSING_FILL    /* clg_dataset_fill_missing; words: no category at all */
} clg_missing;

/* How an image that does not have the wanted size gets it. */
typedef enum clg_image_fit {
    CLG_IMAGE_CROP,   /* scaled until it covers the size, then the middle of it */
    CLG_IMAGE_STRETCH /* both axes by their own factor */
} clg_image_fit;

/* All fields may be 0. */
typedef struct clg_dataset_params {
    int classes;        /* 0: largest label + 1; a label outside is refused with its record */
    int64_t limit;      /* at most the first so many samples; 0: all. "builtin": exactly so many,
                           default 12000 to train and 2000 to test */
    const char *format; /* one of clg_dataset_open; NULL: told by names and content */
    const char *schema; /* clg_dataset_schema of another data set: read as that one was */
    int64_t memory;     /* bytes; what is larger stays in its files; default 1 GiB */
    clg_target_kind targets; /* AUTO: classes, except for tables with a target column of numbers */

    /* tables */
    const char
        *target; /* columns, by name or by number from 1, separated by commas; NULL: the last */
    const char *ignore; /* columns to leave out, likewise */
    clg_missing missing;

    /* images */
    int64_t size[2]; /* H, W; 0: all images must have the size of the first one */
    int channels;    /* 1: grey, 3: RGB; 0: as the first image */
    clg_image_fit fit;

    /* text */
    int64_t sequence;   /* tokens in a sample; default 64 */
    bool words;         /* tokens are words; else characters */
    int64_t vocabulary; /* at most so many tokens, the most frequent ones, and one for all others;
                           0: all characters, or 10000 words */
} clg_dataset_params;
#define clg_dataset_options(...) CLG_OPTIONS(clg_dataset_params, __VA_ARGS__)

/**
 * Opens one part of a data source, which is told by names and content:
 *   builtin  the word "builtin": drawn 28 x 28 images of digits, 10 classes; the same bytes on each
 *            machine, and independent of any seed. The parts are different images.
 *   idx      a folder with {train,t10k}-images-idx3-ubyte and -labels-idx1-ubyte, plain or .gz; or
 *            one file: samples without targets
 *   npz      a file with x_train, y_train, x_test, y_test, or with x, y, or with one array
 *   npy      a folder with x_train.npy and so on; or one file: samples without targets
 *   cifar    a folder with data_batch_1.bin .. and test_batch.bin, or one such file, plain or .gz
 *   csv      a table, plain or .gz: numbers as they are, words one-hot; the first line is a header
 *            if no field of it is a number; separated by commas, semicolons or tabs
 *   images   a folder with one folder for each class, in alphabetical order, with .png and .jpg in
 *            it, or with such folders in train/ and test/; or one such file: a sample
 *   text     a UTF-8 file, or a folder with train.txt and test.txt; the target of each token is the
 *            one that follows
 * A folder may also hold train.csv and test.csv, or train.npz and test.npz. Where there are no
 * parts, both parts are all of it (info->whole): clg_dataset_split makes parts.
 * Images of shape (N, H, W) are delivered as (H, W, 1). `params` may be NULL.
 */
CLG_API clg_status clg_dataset_open(clg_dataset **out, const char *source, clg_data_part part,
                                    const clg_dataset_params *params);

/**
 * A data set of the caller's arrays, which are copied: `features` of shape (N, ...) and dtype U8 or
 * F32 - without NaN and infinities -, and N labels (NULL: no targets). features->name names it in
 * messages.
 */
CLG_API clg_status clg_dataset_from_arrays(clg_dataset **out, const clg_array *features,
                                           const int32_t *labels, const clg_dataset_params *params);
/** The same with targets of shape (N, ...) and dtype F32. */
CLG_API clg_status clg_dataset_from_numbers(clg_dataset **out, const clg_array *features,
                                            const clg_array *targets,
                                            const clg_dataset_params *params);

/**
 * Produces sample `index` (0 .. count - 1): its features, row-major, ready for the network, and its
 * target as info->target says (int32_t or float). Called from the loader's thread.
 */
typedef clg_status (*clg_sample_fn)(void *user, int64_t index, float *features, void *target);

/**
 * A data set that never is in memory: samples come from `fn`. info->storage must be CLG_F32;
 * CLG_TARGET_AUTO with classes stands for one label.
 */
CLG_API clg_status clg_dataset_from_function(clg_dataset **out, clg_sample_fn fn, void *user,
                                             const clg_dataset_info *info);

/** Drops the caller's hold; loaders and splits of it stay valid. NULL is fine. */
CLG_API void clg_dataset_destroy(clg_dataset *dataset);

/** Borrowed; valid as long as the data set. */
CLG_API const clg_dataset_info *clg_dataset_describe(const clg_dataset *dataset);

/** Name of a class ("cat", or the token of a text); NULL if it has none. Borrowed. */
CLG_API const char *clg_dataset_class_name(const clg_dataset *dataset, int label);

/**
 * How the source was read, as JSON: names of classes, columns and their words, values for missing
 * ones, size of images, vocabulary. With it as params.schema other data is read the same way, also
 * without targets. *out is the caller's (clg_free).
 */
CLG_API clg_status clg_dataset_schema(const clg_dataset *dataset, char **out);

/**
 * Writes the features (as the loader delivers them) and the target of one sample: int32_t or float,
 * as many as info->target_shape says; NULL where there are none.
 */
CLG_API clg_status clg_dataset_read(const clg_dataset *dataset, int64_t index, float *features,
                                    void *target);

/**
 * Parts a data set at random: `fraction` (0 < fraction < 1, rounded, at least one sample on both
 * sides) goes to *held_out, the others to *rest. The same seed gives the same split everywhere. Of
 * an ordered data set the end is held out. Both keep the order of the samples and share their
 * memory.
 */
CLG_API clg_status clg_dataset_split(const clg_dataset *dataset, double fraction, uint64_t seed,
                                     clg_dataset **rest, clg_dataset **held_out);

typedef struct clg_dataset_fold_params {
    int folds;     /* parts of nearly equal size, 2 .. count; 0 = 5 */
    int fold;      /* number of the part that is held out, from 0 */
    uint64_t seed; /* of the drawing */
} clg_dataset_fold_params;
#define clg_dataset_fold_options(...) CLG_OPTIONS(clg_dataset_fold_params, __VA_ARGS__)
/**
 * Cross-validation: of the parts, which are drawn by the seed, one goes to *held_out and the others
 * to *rest. Where samples have one class each, the parts are stratified: the samples of a class are
 * shared out evenly, too. Those of an ordered data set are its ranges. `params` may be NULL.
 */
CLG_API clg_status clg_dataset_fold(const clg_dataset *dataset,
                                    const clg_dataset_fold_params *params, clg_dataset **rest,
                                    clg_dataset **held_out);

/**
 * The samples of `count` classes - labels of `dataset`, which become 0, 1 ... in the order given
 * and keep their names - and of each at most the first `per_class`. No classes (count 0): all of
 * them; per_class 0: all samples. Shares the samples' memory. Where there are no targets, all
 * samples stay, and the names are those of the classes chosen. Targets that are more than one
 * label, and classes without a sample, are refused.
 */
CLG_API clg_status clg_dataset_select(clg_dataset **out, const clg_dataset *dataset,
                                      const int *classes, int count, int64_t per_class);

/** Number of samples of each class; `counts` has info->classes entries. */
CLG_API clg_status clg_dataset_count_classes(const clg_dataset *dataset, int64_t *counts);
/** Weights that make the classes count alike: count / (classes * samples of the class). */
CLG_API clg_status clg_dataset_class_weights(const clg_dataset *dataset, float *weights);

/* What one channel's values are like. */
typedef struct clg_channel_stats {
    float mean, std; /* of all values (not an estimate: divided by n) */
    float min, max;
} clg_channel_stats;

/**
 * Measures the delivered features, for each of `channels` channels: the last dimension of the
 * sample, or 1 for all features together. `stats` has one entry per channel. Goes over all samples.
 */
CLG_API clg_status clg_dataset_measure(const clg_dataset *dataset, int channels,
                                       clg_channel_stats *stats);

/**
 * From now on `dataset` delivers, for values that the source lacks, the mean that their feature has
 * in `from` (which may be the same): the training part's, for all parts. Without it, reading such a
 * sample is an error. Refused once a loader uses the data set.
 */
CLG_API clg_status clg_dataset_fill_missing(clg_dataset *dataset, const clg_dataset *from);

/**
 * From now on features are delivered as (x - mean) / std, with x scaled to 0 .. 1 if stored as U8.
 * `channels` as in clg_dataset_measure; every std > 0. Replaces an earlier normalization. Refused
 * once a loader uses the data set, and for samples from a function.
 */
CLG_API clg_status clg_dataset_normalize(clg_dataset *dataset, int channels, const float *mean,
                                         const float *std);

/* ---- loader ---- */

/* Delivers a data set in batches, epoch after epoch. */
typedef struct clg_loader clg_loader;

typedef struct clg_loader_params {
    int64_t batch;  /* samples; default 64 */
    bool shuffle;   /* a new order each epoch, a function of (seed, epoch) only */
    uint64_t seed;  /* of the shuffling */
    bool drop_last; /* leave out the last batch of an epoch if it is not full */
    int ahead;      /* batches the thread prepares ahead, 1 .. 64; default 3 */
} clg_loader_params;
#define clg_loader_options(...) CLG_OPTIONS(clg_loader_params, __VA_ARGS__)

/* One batch. The pointers stay valid until the next call on the loader. */
typedef struct clg_batch {
    uint64_t epoch;        /* from 0 */
    int64_t index;         /* of the batch in its epoch, from 0; resume at index + 1 */
    int64_t count;         /* samples, at least 1; less than the batch size in a last batch */
    bool last;             /* of its epoch */
    const float *features; /* (count, sample shape), aligned to 128 bytes */
    const int32_t *labels; /* (count, target shape); NULL if targets are no classes */
    const float *targets;  /* (count, target shape); NULL if targets are no numbers */
} clg_batch;

/** Creates a loader at epoch 0, batch 0 and starts its thread. `params` may be NULL. */
CLG_API clg_status clg_loader_create(clg_loader **out, clg_dataset *dataset,
                                     const clg_loader_params *params);
/** Ends the thread; batches of it are gone. NULL is fine. */
CLG_API void clg_loader_destroy(clg_loader *loader);
/** Batches in an epoch. */
CLG_API int64_t clg_loader_batches(const clg_loader *loader);
/**
 * The next batch is (epoch, batch), exactly what an uninterrupted run would get there. batch ==
 * clg_loader_batches() is the start of the next epoch. Also clears a failure.
 */
CLG_API clg_status clg_loader_seek(clg_loader *loader, uint64_t epoch, int64_t batch);
/**
 * Waits for the next batch; after the last one of an epoch the first of the next epoch follows. A
 * failure of the thread comes out here with its message, again on each call until a seek.
 */
CLG_API clg_status clg_loader_next(clg_loader *loader, clg_batch *out);

/* ---- safetensors ---- */

/* An opened file: all its arrays, in memory. */
typedef struct clg_safetensors clg_safetensors;

typedef struct clg_safetensors_params {
    uint64_t max_header; /* bytes of JSON accepted; default 8 MiB */
} clg_safetensors_params;
#define clg_safetensors_options(...) CLG_OPTIONS(clg_safetensors_params, __VA_ARGS__)

/**
 * Reads and checks a file. Everything is checked against the size of the file before memory is
 * taken for it: lengths, JSON without duplicate keys, known element types, spans that fit their
 * shapes and cover the data without holes or overlaps. If the metadata has the checksums of
 * clg_safetensors_write, they must match. CLG_ERROR_FORMAT names file and fault; valid arrays of
 * more than CLG_MAX_DIMS dimensions are CLG_ERROR_UNSUPPORTED.
 */
CLG_API clg_status clg_safetensors_open(clg_safetensors **out, const char *path,
                                        const clg_safetensors_params *params);
/** Arrays and metadata of it are gone. NULL is fine. */
CLG_API void clg_safetensors_destroy(clg_safetensors *file);
CLG_API size_t clg_safetensors_count(const clg_safetensors *file);
/**
 * Array `index` in the order of the data; NULL past the end. Borrowed. Types that clgrad does not
 * compute with (F16, I64 ...) have dtype CLG_DTYPE_COUNT; see clg_safetensors_dtype. Data written
 * by other programs may be unaligned: copy it with memcpy.
 */
CLG_API const clg_array *clg_safetensors_get(const clg_safetensors *file, size_t index);
/** Array by name; NULL if there is none. */
CLG_API const clg_array *clg_safetensors_find(const clg_safetensors *file, const char *name);
/** Element type of an array as the file spells it: "BF16"; NULL past the end. */
CLG_API const char *clg_safetensors_dtype(const clg_safetensors *file, size_t index);
/** Value of a metadata key; NULL if there is none. */
CLG_API const char *clg_safetensors_metadata(const clg_safetensors *file, const char *key);
/** Metadata entry `index` in file order; NULL past the end. */
CLG_API const clg_metadata *clg_safetensors_metadata_at(const clg_safetensors *file, size_t index);

typedef struct clg_safetensors_write_params {
    const clg_metadata *metadata; /* keys must differ */
    size_t metadata_count;
    bool checksum; /* adds data_xxh128, header_xxh128 (32 hex digits), verified when read */
} clg_safetensors_write_params;
#define clg_safetensors_write_options(...) CLG_OPTIONS(clg_safetensors_write_params, __VA_ARGS__)

/**
 * Writes arrays to a file, durably: after a crash or a power cut `path` is the old file or the new
 * one. Ordered by element size (decreasing), then name; the same input gives the same bytes.
 * Names must differ and be UTF-8. `params` may be NULL.
 */
CLG_API clg_status clg_safetensors_write(const char *path, const clg_array *arrays, size_t count,
                                         const clg_safetensors_write_params *params);

/* ---- checkpoints ---- */

/*
 * A directory of step-00001234.safetensors files (checksummed) beside two small text files that
 * hold a file name: `latest`, and `best` (by the caller's measure).
 */
typedef struct clg_checkpoint_params {
    uint64_t step;                /* steps trained so far: the file's number */
    const clg_metadata *metadata; /* kept in the file */
    size_t metadata_count;
    bool best; /* `best` points here from now on */
    int keep;  /* how many of the newest stay, besides the best one; default 3 */
} clg_checkpoint_params;
#define clg_checkpoint_options(...) CLG_OPTIONS(clg_checkpoint_params, __VA_ARGS__)

/**
 * Writes a checkpoint, makes it the latest one and then removes those that are too old. Creates the
 * directory. Interrupted anywhere it leaves a directory that loads. Checkpoints of later steps
 * (from before a resume at an earlier one) are left alone.
 */
CLG_API clg_status clg_checkpoint_save(const char *directory, const clg_array *arrays, size_t count,
                                       const clg_checkpoint_params *params);

/* What clg_checkpoint_load found. */
typedef struct clg_checkpoint_found {
    uint64_t step;
    char file[64];      /* its name in the directory */
    char problem[1024]; /* "" or which newer checkpoint could not be used, and why */
} clg_checkpoint_found;

/**
 * Opens a checkpoint. `path` is a checkpoint file, a directory of them, or a run directory that has
 * them in checkpoints/. In a directory `which` says "latest" (NULL means that too) or "best". When
 * the latest one is damaged the newest good one before it is opened, and found->problem (`found`
 * may be NULL) and a warning in the log name the damaged file; a damaged best one or single file is
 * an error. Missing checkpoints are CLG_ERROR_IO.
 */
CLG_API clg_status clg_checkpoint_load(clg_safetensors **out, const char *path, const char *which,
                                       clg_checkpoint_found *found);

/* ---- charts ---- */

typedef struct clg_chart_series {
    const char *name; /* for the legend */
    const double *x;  /* NULL: 1, 2, 3 ... */
    const double *y;  /* NaN and infinities interrupt the line */
    size_t count;
} clg_chart_series;

typedef struct clg_chart_params {
    const char *title, *x_label, *y_label; /* UTF-8; NULL: none */
    const clg_chart_series *series;
    size_t count;
    int width, height; /* SVG: pixels, default 800 x 480; text: characters, default 72 x 16 */
    bool log_y;        /* logarithmic; values of 0 and below interrupt the line */
    size_t points;     /* SVG: the first so many series are dots without a line */
} clg_chart_params;
#define clg_chart_options(...) CLG_OPTIONS(clg_chart_params, __VA_ARGS__)

/**
 * Writes a line chart: axes, ticks, grid, legend; replaces the file whole. Needs no style sheet,
 * script or font to be shown, and follows the browser's dark mode.
 */
CLG_API clg_status clg_chart_write_svg(const char *path, const clg_chart_params *params);

/**
 * The same as text, to be put into a page. *out is the caller's (clg_free). For scripts the element
 * says where its plot is (data-plot: left, top, right, bottom in the view box) and what its x axis
 * shows (data-x: low, high); each curve has data-name, and its points in data-points as
 * "x,y x,y ...".
 */
CLG_API clg_status clg_chart_svg(char **out, const clg_chart_params *params);

/* ---- TensorBoard ---- */

/* A number with a name; "/" in names makes groups: "loss/training". */
typedef struct clg_event_scalar {
    const char *tag; /* UTF-8 */
    double value;    /* kept as float */
} clg_event_scalar;

/**
 * Appends the scalars of one step to a TensorBoard event file, which is made if it is not there.
 * Its name must contain "tfevents" for TensorBoard to see it. `time` is in seconds since 1970. A
 * write that fails is taken back.
 */
CLG_API clg_status clg_events_append(const char *path, double time, int64_t step,
                                     const clg_event_scalar *scalars, size_t count);

/**
 * The same chart in Unicode text of several lines: the first series as a line of braille dots, each
 * further one as marks at its points. *out is the caller's (clg_free).
 */
CLG_API clg_status clg_chart_text(char **out, const clg_chart_params *params);

#ifdef __cplusplus
}
#endif
#endif
