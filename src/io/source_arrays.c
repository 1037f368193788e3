/*
 * Data sets of two arrays, features and targets: folders of idx files, npz files, folders of npy
 * files, and single arrays without targets. Features that are larger than the memory allowed and
 * lie uncompressed in their file stay there and are read record by record.
 */
#include "io/array_file.h"
#include "io/formats.h"
#include "io/zip.h"

/* ---- features that stay in their file ---- */

typedef struct file_state {
    clg__array_file *features;
    size_t target_size; /* bytes of one target */
} file_state;

static clg_status read_record(const clg__samples *samples, int64_t index, void *features,
                              void *target)
{
    const file_state *state = samples->state;
    if (state->target_size > 0)
        memcpy(target, (const char *)samples->targets + (size_t)index * state->target_size,
               state->target_size);
    return features ? clg__array_record(state->features, index, features) : CLG_OK;
}

static void free_state(void *memory)
{
    file_state *state = memory;
    clg__array_close(state->features);
    clg__free(state);
}

static const clg__samples_kind file_kind = {.read = read_record, .free = free_state};

/* Takes over the array. */
static clg_status keep_in_file(clg__samples *samples, clg__array_file *features)
{
    file_state *state = clg__calloc(1, sizeof *state);
    if (!state) {
        clg__array_close(features);
        return CLG_ERROR_MEMORY;
    }
    state->features = features;
    samples->state = state;
    samples->kind = &file_kind;
    return CLG_OK;
}

/* ---- features and targets ---- */

static clg_status take_features(clg__samples *samples, clg__array_file *array,
                                const clg_dataset_params *params)
{
    clg_dataset_info *info = &samples->info;
    const clg_shape *shape = &array->header.shape;
    clg_status status = CLG_OK;
    if (array->dtype == CLG_I32)
        status =
            clg__fail(CLG_ERROR_FORMAT, "%s: images of integers wider than a byte", array->name);
    else if (shape->ndim < 1 || shape->dim[0] < 1)
        status = clg__fail(CLG_ERROR_FORMAT, "%s: 0 samples", array->name);
    if (status == CLG_OK) {
        info->count = shape->dim[0];
        info->storage = array->dtype;
        info->sample = clg_shape_of(shape->ndim - 1, shape->dim + 1);
        if (info->sample.ndim == 2) { /* (H, W) -> (H, W, 1) */
            info->sample.ndim = 3;
            info->sample.dim[2] = 1;
        }
        if (clg__array_seekable(array) && array->bytes > clg__memory_limit(params))
            return keep_in_file(samples, array);
        status = clg__array_load(array, &samples->features);
    }
    clg__array_close(array);
    return status;
}

static clg_status open_features(clg__samples *samples, const char *path, const char *member,
                                const clg_dataset_params *params)
{
    clg__array_file *array = NULL;
    CLG_TRY(clg__array_open(&array, path, member));
    return take_features(samples, array, params);
}

/* Integers are labels, floating point numbers are targets of a regression; one row per sample. */
static clg_status take_targets(clg__samples *samples, const clg_array *array, const void *data,
                               const clg_dataset_params *params)
{
    clg_dataset_info *info = &samples->info;
    char text[160];
    bool numbers = array->dtype == CLG_F32;
    bool single = array->shape.ndim == 1 || (array->shape.ndim == 2 && array->shape.dim[1] == 1);
    if (array->shape.ndim < 1 || (!numbers && !single))
        return clg__fail(CLG_ERROR_FORMAT, "%s: labels of shape %s, expected (N)", samples->source,
                         clg_shape_text(&array->shape, text, sizeof text));
    if (array->shape.dim[0] != info->count)
        return clg__fail(CLG_ERROR_FORMAT, "%s: %lld images but %lld labels", samples->source,
                         (long long)info->count, (long long)array->shape.dim[0]);
    if (numbers && params->targets == CLG_TARGET_CLASSES)
        return clg__fail(CLG_ERROR_FORMAT, "%s: the labels are floating point numbers",
                         samples->source);
    bool classes = !numbers && params->targets != CLG_TARGET_NUMBERS;
    info->target = classes ? CLG_TARGET_CLASSES : CLG_TARGET_NUMBERS;
    info->classes = classes ? params->classes : 0;
    info->target_shape = classes ? CLG_SCALAR
                         : array->shape.ndim == 1
                             ? CLG_SHAPE(1)
                             : clg_shape_of(array->shape.ndim - 1, array->shape.dim + 1);
    size_t count = (size_t)clg_shape_count(&array->shape);
    samples->targets = clg__calloc(count, sizeof(int32_t));
    if (!samples->targets) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        int32_t whole = array->dtype == CLG_U8    ? ((const uint8_t *)data)[i]
                        : array->dtype == CLG_I32 ? ((const int32_t *)data)[i]
                                                  : 0;
        if (classes)
            ((int32_t *)samples->targets)[i] = whole;
        else
            ((float *)samples->targets)[i] = numbers ? ((const float *)data)[i] : (float)whole;
    }
    return CLG_OK;
}

static clg_status open_targets(clg__samples *samples, const char *path, const char *member,
                               const clg_dataset_params *params)
{
    clg_array array;
    void *data = NULL;
    CLG_TRY(clg_array_read(path, member, &array, &data));
    clg_status status = take_targets(samples, &array, data, params);
    clg_free(data);
    return status;
}

/* What remains once the arrays are there. */
static clg_status finish(clg__samples *samples, const clg_dataset_params *params)
{
    clg_dataset_info *info = &samples->info;
    if (!samples->targets) info->target = CLG_TARGET_NONE;
    info->count = clg__limited(info->count, params);
    if (!samples->kind) return CLG_OK;
    file_state *state = samples->state;
    state->target_size = clg__target_count(info) * sizeof(int32_t);
    return CLG_OK;
}

/* ---- idx ---- */

/* Name of the file, in any of its usual spellings: STEM-idx3-ubyte or STEM.idx3-ubyte, or .gz. */
static bool find_idx(const char *directory, const char *stem, int ndim, char name[64])
{
    for (int spelling = 0; spelling < 4; spelling++) {
        snprintf(name, 64, "%s%cidx%d-ubyte%s", stem, spelling & 2 ? '.' : '-', ndim,
                 spelling & 1 ? ".gz" : "");
        if (clg__exists_in(directory, name)) return true;
    }
    return false;
}

/* Path of such a file; the caller frees *out. */
static clg_status idx_path(const char *directory, const char *stem, int ndim, char **out)
{
    char name[64];
    if (!find_idx(directory, stem, ndim, name))
        return clg__fail(CLG_ERROR_IO, "%s has no %s-idx%d-ubyte or .gz", directory, stem, ndim);
    *out = clg__join_path(directory, name);
    return *out ? CLG_OK : CLG_ERROR_MEMORY;
}

static bool detect_idx(const clg__place *place)
{
    char name[64];
    if (!place->directory) return clg__idx_detect(place->head, place->head_size);
    return find_idx(place->path, "train-images", 3, name) ||
           find_idx(place->path, "t10k-images", 3, name);
}

static clg_status open_idx(clg__samples *samples, const clg__place *place)
{
    const clg_dataset_params *params = place->params;
    bool train = place->part == CLG_DATA_TRAIN;
    char *images = NULL, *labels = NULL;
    if (!place->directory) {
        samples->info.whole = true;
        CLG_TRY(open_features(samples, place->path, NULL, params));
        return finish(samples, params);
    }
    clg_status status = idx_path(place->path, train ? "train-images" : "t10k-images", 3, &images);
    if (status == CLG_OK) status = open_features(samples, images, NULL, params);
    if (status == CLG_OK)
        status = idx_path(place->path, train ? "train-labels" : "t10k-labels", 1, &labels);
    if (status == CLG_OK) status = open_targets(samples, labels, NULL, params);
    clg__free(images);
    clg__free(labels);
    return status == CLG_OK ? finish(samples, params) : status;
}

const clg__format clg__format_idx = {"idx", detect_idx, open_idx};

/* ---- npz and npy ---- */

/* Names that are usual for features and targets: of the parts, then of files without parts. */
static const char *const array_names[][2] = {
    {"x_train", "y_train"},
    {"x_test", "y_test"},
    {"train_images", "train_labels"},
    {"test_images", "test_labels"},
    {"x", "y"},
    {"X", "y"},
    {"images", "labels"},
    {"features", "targets"},
    {"data", "labels"},
    {"data", "target"},
};
enum { PART_ROWS = 4 };

typedef bool (*has_fn)(const void *where, const char *name);

/* The row of a part: one of its own, else one without parts (*whole); -1 if there is none. */
static int find_names(has_fn has, const void *where, clg_data_part part, bool *whole)
{
    bool parts = false;
    for (int i = 0; i < PART_ROWS; i++) parts |= has(where, array_names[i][0]);
    *whole = !parts;
    for (size_t i = 0; i < CLG__COUNT(array_names); i++) {
        bool of_part = i < PART_ROWS && i % 2 == (part == CLG_DATA_TRAIN ? 0 : 1);
        if ((parts ? of_part : i >= PART_ROWS) && has(where, array_names[i][0])) return (int)i;
    }
    return -1;
}

static clg_status no_arrays(const clg__place *place)
{
    return clg__fail(CLG_ERROR_FORMAT,
                     "%s: no arrays for %s: expected x_train, y_train, x_test, y_test, or x and y",
                     place->path, place->part == CLG_DATA_TRAIN ? "training" : "testing");
}

static bool member_exists(const void *names, const char *name)
{
    return clg__names_find(names, name) >= 0;
}

static bool detect_npz(const clg__place *place)
{
    return !place->directory && clg__zip_detect(place->head, place->head_size);
}

static clg_status list_members(const char *path, clg__names *out)
{
    clg__reader file;
    CLG_TRY(clg__reader_open(&file, path));
    clg_status status = clg__zip_names(&file, out);
    clg__reader_close(&file);
    return status;
}

static clg_status open_npz(clg__samples *samples, const clg__place *place)
{
    clg__names names = {0};
    const clg_dataset_params *params = place->params;
    CLG_TRY(list_members(place->path, &names));
    int row = find_names(member_exists, &names, place->part, &samples->info.whole);
    bool labelled = row >= 0 && params->targets != CLG_TARGET_NONE &&
                    member_exists(&names, array_names[row][1]);
    clg__names_free(&names);
    if (row < 0 && !samples->info.whole) return no_arrays(place);
    CLG_TRY(open_features(samples, place->path, row < 0 ? NULL : array_names[row][0], params));
    if (labelled) CLG_TRY(open_targets(samples, place->path, array_names[row][1], params));
    return finish(samples, params);
}

const clg__format clg__format_npz = {"npz", detect_npz, open_npz};

static bool npy_exists(const void *directory, const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "%s.npy", name);
    return clg__exists_in(directory, file);
}

static bool detect_npy(const clg__place *place)
{
    bool whole;
    if (!place->directory) return clg__npy_detect(place->head, place->head_size);
    return find_names(npy_exists, place->path, CLG_DATA_TRAIN, &whole) >= 0 ||
           find_names(npy_exists, place->path, CLG_DATA_TEST, &whole) >= 0;
}

static clg_status open_npy_folder(clg__samples *samples, const clg__place *place)
{
    int row = find_names(npy_exists, place->path, place->part, &samples->info.whole);
    if (row < 0) return no_arrays(place);
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.npy", array_names[row][i]);
        bool wanted = i == 0 || (clg__exists_in(place->path, name) &&
                                 place->params->targets != CLG_TARGET_NONE);
        char *path = wanted ? clg__join_path(place->path, name) : NULL;
        if (!wanted) continue;
        if (!path) return CLG_ERROR_MEMORY;
        clg_status status = i == 0 ? open_features(samples, path, NULL, place->params)
                                   : open_targets(samples, path, NULL, place->params);
        clg__free(path);
        if (status != CLG_OK) return status;
    }
    return finish(samples, place->params);
}

static clg_status open_npy(clg__samples *samples, const clg__place *place)
{
    if (place->directory) return open_npy_folder(samples, place);
    samples->info.whole = true;
    CLG_TRY(open_features(samples, place->path, NULL, place->params));
    return finish(samples, place->params);
}

const clg__format clg__format_npy = {"npy", detect_npy, open_npy};
