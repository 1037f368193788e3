/*
 * Where data sets come from: the table of formats, and the caller's arrays and functions.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parallel.h"
#include "io/digits.h"
#include "io/formats.h"
#include "io/stream.h"

#define FORMAT_ENTRY(name) &clg__format_##name,
static const clg__format *const formats[] = {CLG__FORMAT_ROWS(FORMAT_ENTRY)};
#undef FORMAT_ENTRY

/* ---- places ---- */

uint64_t clg__memory_limit(const clg_dataset_params *params)
{
    return params->memory > 0 ? (uint64_t)params->memory : (uint64_t)1 << 30;
}

int64_t clg__limited(int64_t count, const clg_dataset_params *params)
{
    return params->limit > 0 ? clg__min_i64(count, params->limit) : count;
}

bool clg__ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcasecmp(text + length - tail, end) == 0;
}

char *clg__join_path(const char *directory, const char *name)
{
    clg__str path = {0};
    clg__str_addf(&path, "%s/%s", directory, name);
    if (!path.failed) return path.text;
    clg__str_free(&path);
    return NULL;
}

bool clg__exists_in(const char *directory, const char *name)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0;
}

clg_status clg__list_directory(const char *directory, clg__names *out)
{
    clg_status status = CLG_OK;
    bool fault = clg__fault_hit(CLG__FAULT_FILE);
    if (fault) errno = EIO;
    DIR *stream = fault ? NULL : opendir(directory);
    if (!stream) return clg__fail(CLG_ERROR_IO, "cannot read %s: %s", directory, strerror(errno));
    for (struct dirent *item; status == CLG_OK && (item = readdir(stream));)
        if (item->d_name[0] != '.')
            status = clg__names_add(out, item->d_name, strlen(item->d_name));
    closedir(stream);
    if (status == CLG_OK)
        clg__names_sort(out);
    else
        clg__names_free(out);
    return status;
}

static clg_status look_at(clg__place *place)
{
    struct stat st;
    clg__stream s;
    place->directory = false;
    place->head_size = 0;
    if (strcmp(place->path, "builtin") == 0) return CLG_OK;
    if (clg__fault_hit(CLG__FAULT_FILE))
        errno = EIO;
    else if (stat(place->path, &st) == 0)
        errno = 0;
    if (errno) return clg__fail(CLG_ERROR_IO, "cannot open %s: %s", place->path, strerror(errno));
    place->directory = S_ISDIR(st.st_mode);
    if (place->directory) return CLG_OK;
    CLG_TRY(clg__stream_open(&s, place->path));
    clg_status status = clg__stream_read(&s, place->head, sizeof place->head, &place->head_size);
    clg__stream_close(&s);
    return status;
}

/* ---- formats ---- */

static const clg__format *find_format(const char *name)
{
    for (size_t i = 0; name && i < CLG__COUNT(formats); i++)
        if (strcmp(formats[i]->name, name) == 0) return formats[i];
    return NULL;
}

static const clg__format *detect(const clg__place *place)
{
    for (size_t i = 0; i < CLG__COUNT(formats); i++)
        if (formats[i]->detect(place)) return formats[i];
    return NULL;
}

/* The format that was asked for, or that a schema of its own suggests, or that fits. */
static clg_status choose(const clg__place *place, const clg__format **out)
{
    const char *asked = place->params->format;
    const char *schema = json_string_value(json_object_get(place->schema, "format"));
    bool decides = schema && (strcmp(schema, "csv") == 0 || strcmp(schema, "text") == 0);
    *out = asked                          ? find_format(asked)
           : decides && !place->directory ? find_format(schema)
                                          : detect(place);
    if (*out) return CLG_OK;
    if (asked)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "unknown format '%.60s': there are builtin, idx, npz, npy, images, cifar, "
                         "csv and text",
                         asked);
    return clg__fail(CLG_ERROR_FORMAT,
                     "%s: no data set that is known: expected \"builtin\", a file of the formats "
                     "idx, npy, npz, CIFAR-10, CSV, PNG, JPEG or UTF-8 text, or a folder with the "
                     "files of MNIST or CIFAR-10, with a folder of images for each class, or with "
                     "train.* and test.* files",
                     place->path);
}

/* "train.csv" for the part in a directory; NULL (and CLG_OK) if there is none. */
static clg_status find_part(const char *directory, clg_data_part part, char **out)
{
    const char *stem = part == CLG_DATA_TRAIN ? "train." : "test.";
    clg__names names = {0};
    CLG_TRY(clg__list_directory(directory, &names));
    *out = NULL;
    clg_status status = CLG_OK;
    for (size_t i = 0; i < names.count && !*out && status == CLG_OK; i++) {
        if (strncmp(names.items[i], stem, strlen(stem)) != 0) continue;
        *out = clg__join_path(directory, names.items[i]);
        if (!*out) status = CLG_ERROR_MEMORY;
    }
    clg__names_free(&names);
    return status;
}

static clg_status fill_samples(clg__samples *samples, clg__place *place)
{
    const clg__format *format;
    char *part = NULL;
    CLG_TRY(look_at(place));
    if (place->directory && !place->params->format && !detect(place))
        CLG_TRY(find_part(place->path, place->part, &part));
    if (part) place->path = part;
    clg_status status = part ? look_at(place) : CLG_OK;
    if (status == CLG_OK) status = choose(place, &format);
    if (status == CLG_OK) {
        samples->info.format = format->name;
        status = format->open(samples, place);
    }
    /* Samples without targets still have classes: those that a model was trained with. */
    const json_t *classes = json_object_get(place->schema, "classes");
    if (status == CLG_OK && classes && samples->classes.count == 0)
        status = clg__names_from_json(classes, "classes", &samples->classes);
    if (part) samples->info.whole = false;
    clg__free(part);
    return status;
}

clg_status clg_dataset_open(clg_dataset **out, const char *source, clg_data_part part,
                            const clg_dataset_params *params)
{
    static const clg_dataset_params defaults = {0};
    if (!params) params = &defaults;
    if (!out || !source) return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_open: no data source");
    if (params->classes < 0 || params->limit < 0 || params->memory < 0)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_dataset_open: classes %d, limit %lld, memory %lld: negative",
                         params->classes, (long long)params->limit, (long long)params->memory);
    json_t *schema = NULL;
    if (params->schema) CLG_TRY(clg__schema_parse(params->schema, &schema));
    clg__place place = {.path = source, .part = part, .params = params, .schema = schema};
    clg__samples *samples = clg__samples_create(source);
    clg_status status = samples ? fill_samples(samples, &place) : CLG_ERROR_MEMORY;
    json_decref(schema);
    if (status == CLG_OK) return clg__dataset_wrap(out, samples);
    clg__samples_release(samples);
    return status;
}

/* ---- digits ---- */

enum { DRAWN_AT_ONCE = 250 }; /* by a thread */

typedef struct drawing {
    uint64_t key;
    int64_t count;
    uint8_t *pixels;
    int32_t *labels;
} drawing;

/* Each digit follows from the key and its own number, so that any thread may draw it. */
static clg_status draw_some(void *user, size_t part)
{
    const drawing *d = user;
    const int64_t first = (int64_t)part * DRAWN_AT_ONCE;
    const int64_t end = clg__min_i64(d->count, first + DRAWN_AT_ONCE);
    for (int64_t i = first; i < end; i++)
        d->labels[i] = clg__digit_draw(d->key, (uint32_t)i, d->pixels + i * CLG__DIGIT_PIXELS);
    return CLG_OK;
}

static bool detect_builtin(const clg__place *place)
{
    return strcmp(place->path, "builtin") == 0;
}

static clg_status open_builtin(clg__samples *samples, const clg__place *place)
{
    static const uint64_t keys[] = {[CLG_DATA_TRAIN] = 0x747261696e, [CLG_DATA_TEST] = 0x74657374};
    static const int64_t counts[] = {[CLG_DATA_TRAIN] = 12000, [CLG_DATA_TEST] = 2000};
    const clg_dataset_params *params = place->params;
    int64_t count = params->limit > 0 ? params->limit : counts[place->part];
    if (params->classes != 0 && params->classes != 10)
        return clg__fail(CLG_ERROR_ARGUMENT, "the built-in digits have 10 classes, not %d",
                         params->classes);
    if (count > (int64_t)UINT32_MAX)
        return clg__fail(CLG_ERROR_ARGUMENT, "%lld built-in digits: at most 4294967295",
                         (long long)count);
    samples->info.count = count;
    samples->info.sample = CLG_SHAPE(CLG__DIGIT_SIDE, CLG__DIGIT_SIDE, 1);
    samples->info.storage = CLG_U8;
    samples->info.classes = 10;
    samples->info.target = CLG_TARGET_CLASSES;
    CLG_TRY(clg__samples_allocate(samples));
    drawing d = {keys[place->part], count, samples->features, samples->targets};
    return clg__parallel((size_t)clg__ceil_div(count, DRAWN_AT_ONCE), draw_some, &d);
}

const clg__format clg__format_builtin = {"builtin", detect_builtin, open_builtin};

/* ---- arrays ---- */

/* Both arrays, copied; targets->data NULL for samples only. */
static clg_status copy_arrays(clg__samples *samples, const clg_array *features,
                              const clg_array *targets, const clg_dataset_params *params)
{
    static const clg_dataset_params defaults = {0};
    clg_dataset_info *info = &samples->info;
    if (!params) params = &defaults;
    info->count = clg__limited(features->shape.dim[0], params);
    info->sample = clg_shape_of(features->shape.ndim - 1, features->shape.dim + 1);
    info->storage = features->dtype;
    info->target = !targets->data              ? CLG_TARGET_NONE
                   : targets->dtype == CLG_F32 ? CLG_TARGET_NUMBERS
                                               : CLG_TARGET_CLASSES;
    if (targets->data)
        info->target_shape = clg_shape_of(targets->shape.ndim - 1, targets->shape.dim + 1);
    info->classes = info->target == CLG_TARGET_CLASSES ? params->classes : 0;
    CLG_TRY(clg__samples_allocate(samples));
    size_t count = (size_t)info->count;
    memcpy(samples->features, features->data, count * clg__samples_stride(samples));
    if (targets->data)
        memcpy(samples->targets, targets->data, count * clg__target_count(info) * sizeof(int32_t));
    return CLG_OK;
}

static clg_status from_arrays(clg_dataset **out, const char *function, const clg_array *features,
                              const clg_array *targets, const clg_dataset_params *params)
{
    if (features->shape.ndim < 1 || features->shape.ndim > CLG_MAX_DIMS ||
        (features->dtype != CLG_U8 && features->dtype != CLG_F32))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "%s: features need a shape (N, ...) and dtype U8 or F32", function);
    clg__samples *samples = clg__samples_create(features->name ? features->name : "arrays");
    if (!samples) return CLG_ERROR_MEMORY;
    clg_status status = copy_arrays(samples, features, targets, params);
    if (status == CLG_OK) return clg__dataset_wrap(out, samples);
    clg__samples_release(samples);
    return status;
}

clg_status clg_dataset_from_arrays(clg_dataset **out, const clg_array *features,
                                   const int32_t *labels, const clg_dataset_params *params)
{
    const char *name = "clg_dataset_from_arrays";
    if (!out || !features || !features->data)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: an argument is NULL", name);
    clg_array targets = {
        .dtype = CLG_I32, .shape = {.ndim = 1, .dim = {features->shape.dim[0]}}, .data = labels};
    return from_arrays(out, name, features, &targets, params);
}

clg_status clg_dataset_from_numbers(clg_dataset **out, const clg_array *features,
                                    const clg_array *targets, const clg_dataset_params *params)
{
    const char *name = "clg_dataset_from_numbers";
    if (!out || !features || !features->data || !targets || !targets->data)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: an argument is NULL", name);
    if (targets->dtype != CLG_F32 || targets->shape.ndim < 1 ||
        targets->shape.ndim > CLG_MAX_DIMS || features->shape.ndim < 1 ||
        targets->shape.dim[0] != features->shape.dim[0])
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "%s: targets need the dtype F32 and a shape (N, ...) with as many rows as "
                         "the features",
                         name);
    return from_arrays(out, name, features, targets, params);
}

/* ---- functions ---- */

typedef struct function_state {
    clg_sample_fn fn;
    void *user;
} function_state;

static clg_status read_by_function(const clg__samples *samples, int64_t index, void *features,
                                   void *target)
{
    const function_state *state = samples->state;
    float *unwanted = NULL;
    if (!features) {
        features = unwanted = clg__alloc(clg__samples_stride(samples));
        if (!features) return CLG_ERROR_MEMORY;
    }
    if (target) memset(target, 0xff, clg__target_count(&samples->info) * sizeof(int32_t));
    clg_status status = state->fn(state->user, index, features, target);
    clg__free(unwanted);
    if (status == CLG_OK) return CLG_OK;
    return clg__fail(status, "%s: sample %lld could not be read: %s", samples->source,
                     (long long)index, clg_status_name(status));
}

static const clg__samples_kind function_kind = {
    .read = read_by_function, .free = clg__free, .delivers = true};

static clg_status check_function_info(const clg_dataset_info *info)
{
    bool targets =
        info->target == CLG_TARGET_NUMBERS || info->target == CLG_TARGET_NONE || info->classes >= 1;
    if (info->storage == CLG_F32 && targets && info->sample.ndim >= 0 &&
        info->sample.ndim < CLG_MAX_DIMS && info->target_shape.ndim >= 0 &&
        info->target_shape.ndim < CLG_MAX_DIMS)
        return CLG_OK;
    return clg__fail(CLG_ERROR_ARGUMENT,
                     "clg_dataset_from_function: info needs storage CLG_F32, classes (or another "
                     "kind of targets) and shapes of at most %d dimensions",
                     CLG_MAX_DIMS - 1);
}

clg_status clg_dataset_from_function(clg_dataset **out, clg_sample_fn fn, void *user,
                                     const clg_dataset_info *info)
{
    if (!out || !fn || !info)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_from_function: an argument is NULL");
    CLG_TRY(check_function_info(info));
    clg__samples *samples = clg__samples_create(info->source ? info->source : "function");
    function_state *state = clg__alloc(sizeof *state);
    if (!samples || !state) {
        clg__samples_release(samples);
        clg__free(state);
        return CLG_ERROR_MEMORY;
    }
    *state = (function_state){fn, user};
    samples->info = *info;
    samples->info.source = samples->source;
    samples->info.missing = 0;
    if (info->target == CLG_TARGET_AUTO) samples->info.target = CLG_TARGET_CLASSES;
    samples->kind = &function_kind;
    samples->state = state;
    return clg__dataset_wrap(out, samples);
}
