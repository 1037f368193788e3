/*
 * Data sets of image files: a folder with a folder for each class (in train/ and test/ or not), a
 * folder of images without classes, or one image. Files are decoded when a sample is read, in the
 * loader's thread; where all pixels fit in the memory allowed, they are kept and decoded once.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "io/formats.h"
#include "io/image.h"
#include "io/utf8.h"

/* Whether a sample's pixels are kept. The thread that claims them writes them. */
enum { ABSENT, CLAIMED, KEPT };

typedef struct image_state {
    char *base;       /* folder that the files are in; "" for a path of its own */
    clg__names files; /* relative to base, class by class */
    int32_t *labels;  /* (files) or NULL */
    clg_image_fit fit;
    bool scaled;          /* else all images must have the size of a sample */
    uint8_t *kept;        /* (files, sample) or NULL */
    atomic_uchar *states; /* (files) of `kept` */
} image_state;

/* ---- reading ---- */

static clg_status wrong_size(const char *path, const clg__image *image, const clg_shape *sample)
{
    return clg__fail(CLG_ERROR_FORMAT,
                     "%s is %d x %d pixels, the others %lld x %lld: give a size that all are "
                     "brought to (size: %lldx%lld)",
                     path, image->height, image->width, (long long)sample->dim[0],
                     (long long)sample->dim[1], (long long)sample->dim[0],
                     (long long)sample->dim[1]);
}

static clg_status decode(const clg__samples *samples, const char *path, uint8_t *out)
{
    const image_state *state = samples->state;
    const clg_shape *sample = &samples->info.sample;
    clg__image image;
    CLG_TRY(clg__image_read(path, (int)sample->dim[2], &image));
    clg_status status = CLG_OK;
    if (!state->scaled && (image.height != sample->dim[0] || image.width != sample->dim[1]))
        status = wrong_size(path, &image, sample);
    if (status == CLG_OK)
        status = clg__image_fit(&image, (int)sample->dim[0], (int)sample->dim[1], state->fit, out);
    clg__image_free(&image);
    return status;
}

static clg_status decode_file(const clg__samples *samples, int64_t index, uint8_t *out)
{
    const image_state *state = samples->state;
    const char *file = state->files.items[index];
    char *path = *state->base ? clg__join_path(state->base, file) : clg__strdup(file);
    if (!path) return CLG_ERROR_MEMORY;
    clg_status status = decode(samples, path, out);
    clg__free(path);
    return status;
}

static clg_status read_image(const clg__samples *samples, int64_t index, void *features,
                             void *target)
{
    const image_state *state = samples->state;
    size_t stride = clg__samples_stride(samples);
    if (state->labels) *(int32_t *)target = state->labels[index];
    if (!features) return CLG_OK;
    uint8_t *kept = state->kept ? state->kept + (size_t)index * stride : NULL;
    if (kept && atomic_load(&state->states[index]) == KEPT) {
        memcpy(features, kept, stride);
        return CLG_OK;
    }
    CLG_TRY(decode_file(samples, index, features));
    unsigned char absent = ABSENT;
    if (kept && atomic_compare_exchange_strong(&state->states[index], &absent, CLAIMED)) {
        memcpy(kept, features, stride);
        atomic_store(&state->states[index], KEPT);
    }
    return CLG_OK;
}

static void free_state(void *memory)
{
    image_state *state = memory;
    clg__free(state->base);
    clg__names_free(&state->files);
    clg__free(state->labels);
    clg__free(state->kept);
    clg__free(state->states);
    clg__free(state);
}

static const clg__samples_kind image_kind = {.read = read_image, .free = free_state};

/* ---- looking for files ---- */

static bool is_image(const char *name)
{
    return *name != '.' && (clg__ends_in(name, ".png") || clg__ends_in(name, ".jpg") ||
                            clg__ends_in(name, ".jpeg"));
}

static bool is_folder(const char *directory, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length > 0 && (size_t)length < sizeof path && *name != '.' && stat(path, &st) == 0 &&
           S_ISDIR(st.st_mode);
}

/* True if the folder has an image in it. */
static bool has_images(const char *directory)
{
    DIR *stream = opendir(directory);
    bool found = false;
    for (struct dirent *item; stream && !found && (item = readdir(stream));)
        found = is_image(item->d_name);
    if (stream) closedir(stream);
    return found;
}

/* True if a folder in the folder has an image in it. */
static bool has_classes(const char *directory)
{
    char path[PATH_MAX];
    DIR *stream = opendir(directory);
    bool found = false;
    for (struct dirent *item; stream && !found && (item = readdir(stream));) {
        if (!is_folder(directory, item->d_name)) continue;
        snprintf(path, sizeof path, "%s/%s", directory, item->d_name);
        found = has_images(path);
    }
    if (stream) closedir(stream);
    return found;
}

/* The subfolder that has a part's classes; NULL if there is none. */
static const char *part_folder(const char *directory, clg_data_part part)
{
    static const char *const names[][3] = {{"train", "training", NULL}, {"test", "val", "valid"}};
    char path[PATH_MAX];
    for (int i = 0; i < 3; i++) {
        const char *name = names[part == CLG_DATA_TRAIN ? 0 : 1][i];
        if (!name || !is_folder(directory, name)) continue;
        snprintf(path, sizeof path, "%s/%s", directory, name);
        if (has_classes(path)) return name;
    }
    return NULL;
}

static bool detect_images(const clg__place *place)
{
    if (!place->directory)
        return clg__png_detect(place->head, place->head_size) ||
               clg__jpeg_detect(place->head, place->head_size);
    return part_folder(place->path, CLG_DATA_TRAIN) || part_folder(place->path, CLG_DATA_TEST) ||
           has_classes(place->path) || has_images(place->path);
}

/* ---- collecting files ---- */

static clg_status add_file(image_state *state, size_t *capacity, const char *folder,
                           const char *name, int32_t label)
{
    clg__str file = {0};
    clg__str_addf(&file, "%s%s%s", folder, *folder ? "/" : "", name);
    clg_status status =
        file.failed ? CLG_ERROR_MEMORY : clg__names_add(&state->files, file.text, file.length);
    clg__str_free(&file);
    void *labels = state->labels;
    if (status == CLG_OK && label >= 0)
        status = clg__grow(&labels, capacity, state->files.count, sizeof *state->labels);
    state->labels = labels;
    if (status == CLG_OK && label >= 0) state->labels[state->files.count - 1] = label;
    return status;
}

/* The images of base/folder, sorted. label -1: none. */
static clg_status add_folder(image_state *state, size_t *capacity, const char *folder,
                             int32_t label)
{
    clg__names names = {0};
    char *path = *folder ? clg__join_path(state->base, folder) : clg__strdup(state->base);
    clg_status status = path ? clg__list_directory(path, &names) : CLG_ERROR_MEMORY;
    for (size_t i = 0; status == CLG_OK && i < names.count; i++)
        if (is_image(names.items[i]))
            status = add_file(state, capacity, folder, names.items[i], label);
    clg__names_free(&names);
    clg__free(path);
    return status;
}

/* Adds the name if it is a folder with images. */
static clg_status add_class(const char *directory, const char *name, clg__names *out)
{
    if (!is_folder(directory, name)) return CLG_OK;
    char *path = clg__join_path(directory, name);
    if (!path) return CLG_ERROR_MEMORY;
    bool wanted = has_images(path);
    clg__free(path);
    if (!wanted) return CLG_OK;
    if (clg__is_utf8(name)) return clg__names_add(out, name, strlen(name));
    return clg__fail(CLG_ERROR_FORMAT, "%s: a folder's name is not UTF-8", directory);
}

/* Names of the folders in a folder that have images, sorted. */
static clg_status list_classes(const char *directory, clg__names *out)
{
    clg__names names = {0};
    CLG_TRY(clg__list_directory(directory, &names));
    clg_status status = CLG_OK;
    for (size_t i = 0; status == CLG_OK && i < names.count; i++)
        status = add_class(directory, names.items[i], out);
    clg__names_free(&names);
    return status;
}

/* The classes are those of the training part, or of the schema, so that labels agree. */
static clg_status find_classes(clg__samples *samples, const clg__place *place)
{
    const char *train = part_folder(place->path, CLG_DATA_TRAIN);
    const json_t *known = json_object_get(place->schema, "classes");
    if (known) return clg__names_from_json(known, "classes", &samples->classes);
    const image_state *state = samples->state;
    char *path = train ? clg__join_path(place->path, train) : clg__strdup(state->base);
    clg_status status = path ? list_classes(path, &samples->classes) : CLG_ERROR_MEMORY;
    clg__free(path);
    return status;
}

static clg_status add_classes(clg__samples *samples, const clg__place *place)
{
    image_state *state = samples->state;
    clg__names folders = {0};
    size_t capacity = 0;
    int wanted = place->params->classes;
    CLG_TRY(find_classes(samples, place));
    if (wanted > 0 && samples->classes.count > (size_t)wanted)
        return clg__fail(CLG_ERROR_FORMAT, "%s has folders of %zu classes, but %d are expected",
                         state->base, samples->classes.count, wanted);
    clg_status status = list_classes(state->base, &folders);
    for (size_t i = 0; status == CLG_OK && i < folders.count; i++) {
        int64_t label = clg__names_find(&samples->classes, folders.items[i]);
        status = label < 0 ? clg__fail(CLG_ERROR_FORMAT,
                                       "%s: the class %s is not among those of the training data",
                                       state->base, folders.items[i])
                           : add_folder(state, &capacity, folders.items[i], (int32_t)label);
    }
    clg__names_free(&folders);
    samples->info.target = CLG_TARGET_CLASSES;
    samples->info.classes = wanted > 0 ? wanted : (int)samples->classes.count;
    return status;
}

/* Fills in the state's files. */
static clg_status collect(clg__samples *samples, const clg__place *place)
{
    image_state *state = samples->state;
    const char *part = place->directory ? part_folder(place->path, place->part) : NULL;
    bool parts = place->directory && (part_folder(place->path, CLG_DATA_TRAIN) ||
                                      part_folder(place->path, CLG_DATA_TEST));
    samples->info.whole = !parts;
    samples->info.target = CLG_TARGET_NONE;
    if (parts && !part)
        return clg__fail(CLG_ERROR_IO, "%s has no images in %s/CLASS", place->path,
                         place->part == CLG_DATA_TRAIN ? "train" : "test");
    state->base = part               ? clg__join_path(place->path, part)
                  : place->directory ? clg__strdup(place->path)
                                     : clg__strdup("");
    if (!state->base) return CLG_ERROR_MEMORY;
    if (place->directory && has_classes(state->base)) return add_classes(samples, place);
    return place->directory ? add_folder(state, NULL, "", -1)
                            : add_file(state, NULL, "", place->path, -1);
}

/* Keeps `count` of the files, evenly from all: the first ones would be of one class. */
static void thin_out(image_state *state, int64_t count)
{
    int64_t all = (int64_t)state->files.count;
    for (int64_t i = 0; i < count; i++) {
        int64_t from = i * all / count;
        char *name = state->files.items[i];
        state->files.items[i] = state->files.items[from];
        state->files.items[from] = name;
        if (state->labels) state->labels[i] = state->labels[from];
    }
}

/* ---- size ---- */

static int64_t schema_number(const json_t *schema, const char *key, size_t index)
{
    const json_t *value = json_object_get(schema, key);
    if (json_is_array(value)) value = json_array_get(value, index);
    return json_integer_value(value);
}

/* H, W and channels: asked for, of the schema, or the first image's. */
static clg_status decide_size(clg__samples *samples, const clg__place *place)
{
    const clg_dataset_params *params = place->params;
    image_state *state = samples->state;
    const char *fit = json_string_value(json_object_get(place->schema, "fit"));
    int64_t h = params->size[0], w = params->size[1] ? params->size[1] : h;
    int64_t channels =
        params->channels ? params->channels : schema_number(place->schema, "channels", 0);
    if (!h)
        h = schema_number(place->schema, "size", 0), w = schema_number(place->schema, "size", 1);
    state->fit = fit && strcmp(fit, "stretch") == 0 ? CLG_IMAGE_STRETCH : params->fit;
    state->scaled = h != 0;
    if (h < 0 || w < 0 || h > CLG__IMAGE_SIDE || w > CLG__IMAGE_SIDE || (h != 0) != (w != 0) ||
        (channels != 0 && channels != 1 && channels != 3))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "%s: images of %lld x %lld pixels with %lld channels; up to %d a side and "
                         "1 or 3 are possible",
                         samples->source, (long long)h, (long long)w, (long long)channels,
                         CLG__IMAGE_SIDE);
    if (!h || !channels) {
        clg__image first;
        const char *file = state->files.items[0];
        char *path = *state->base ? clg__join_path(state->base, file) : clg__strdup(file);
        clg_status status = path ? clg__image_read(path, 0, &first) : CLG_ERROR_MEMORY;
        clg__free(path);
        if (status != CLG_OK) return status;
        if (!h) h = first.height, w = first.width;
        if (!channels) channels = first.channels;
        clg__image_free(&first);
    }
    samples->info.sample = CLG_SHAPE(h, w, channels);
    samples->info.storage = CLG_U8;
    return CLG_OK;
}

static clg_status describe(clg__samples *samples)
{
    const image_state *state = samples->state;
    const int64_t *dim = samples->info.sample.dim;
    return clg__schema_keep(
        samples, json_pack("{ss s[II] sI ss}", "format", "images", "size", (json_int_t)dim[0],
                           (json_int_t)dim[1], "channels", (json_int_t)dim[2], "fit",
                           state->fit == CLG_IMAGE_STRETCH ? "stretch" : "crop"));
}

/* Memory for the pixels of all samples, where it is allowed; the system gives it when it is used.
 */
static clg_status keep_pixels(clg__samples *samples, const clg_dataset_params *params)
{
    image_state *state = samples->state;
    size_t count = (size_t)samples->info.count, stride = clg__samples_stride(samples);
    if (count > clg__memory_limit(params) / stride) return CLG_OK;
    state->kept = clg__calloc(count, stride);
    state->states = clg__calloc(count, sizeof *state->states);
    return state->kept && state->states ? CLG_OK : CLG_ERROR_MEMORY;
}

static clg_status open_images(clg__samples *samples, const clg__place *place)
{
    image_state *state = clg__calloc(1, sizeof *state);
    if (!state) return CLG_ERROR_MEMORY;
    samples->state = state;
    samples->kind = &image_kind;
    CLG_TRY(collect(samples, place));
    if (state->files.count == 0)
        return clg__fail(CLG_ERROR_FORMAT, "%s: 0 samples: no .png, .jpg or .jpeg", state->base);
    samples->info.count = clg__limited((int64_t)state->files.count, place->params);
    thin_out(state, samples->info.count);
    CLG_TRY(decide_size(samples, place));
    CLG_TRY(describe(samples));
    return keep_pixels(samples, place->params);
}

const clg__format clg__format_images = {"images", detect_images, open_images};
