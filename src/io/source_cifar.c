/*
 * CIFAR-10 in its binary form: records of 3073 bytes, a label 0 .. 9 and a 32 x 32 image as three
 * planes, red, green, blue. A folder has data_batch_1.bin .. data_batch_5.bin and test_batch.bin
 * (or .gz), as many of the former as there are; one file is all of a source.
 */
#include "io/formats.h"
#include "io/stream.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, RECORD = 1 + 3 * PLANE, CLASSES = 10, BATCHES = 5 };
static const uint64_t MAX_BYTES = (uint64_t)4 << 30; /* of an unpacked file */

/* ---- records ---- */

static void interleave(const uint8_t *planes, uint8_t *pixels)
{
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++) pixels[3 * i + c] = planes[c * PLANE + i];
}

/* Files whose records are read one by one. */
typedef struct files_state {
    clg__reader files[BATCHES];
    char *paths[BATCHES];  /* the readers' */
    int64_t ends[BATCHES]; /* records up to and with this file */
    int count;
} files_state;

static clg_status read_record(const clg__samples *samples, int64_t index, void *features,
                              void *target)
{
    const files_state *state = samples->state;
    uint8_t record[RECORD];
    int i = 0;
    while (index >= state->ends[i]) i++;
    int64_t first = i ? state->ends[i - 1] : 0;
    uint64_t at = (uint64_t)(index - first) * RECORD;
    CLG_TRY(clg__reader_at(&state->files[i], at, record, features ? RECORD : 1));
    *(int32_t *)target = record[0];
    if (features) interleave(record + 1, features);
    return CLG_OK;
}

static void free_state(void *memory)
{
    files_state *state = memory;
    for (int i = 0; i < state->count; i++) {
        clg__reader_close(&state->files[i]);
        clg__free(state->paths[i]);
    }
    clg__free(state);
}

static const clg__samples_kind files_kind = {.read = read_record, .free = free_state};

/* ---- loading ---- */

static clg_status wrong_size(const char *path, uint64_t size)
{
    return clg__fail(CLG_ERROR_FORMAT,
                     "%s has %llu bytes, which is not a positive multiple of the %d bytes of a "
                     "CIFAR-10 record",
                     path, (unsigned long long)size, RECORD);
}

/* Makes room for one more record behind `count`. */
static clg_status grow(clg__samples *samples, size_t *features, size_t *targets, size_t count)
{
    CLG_TRY(clg__grow(&samples->features, features, count + 1, RECORD - 1));
    return clg__grow(&samples->targets, targets, count + 1, sizeof(int32_t));
}

/* Appends a file's records; those that come after params->limit are not read. */
static clg_status load_file(clg__samples *samples, const clg__place *place, const char *path,
                            size_t capacity[2])
{
    clg__stream s;
    uint8_t record[RECORD];
    size_t got = RECORD, records = 0;
    CLG_TRY(clg__stream_open(&s, path));
    clg_status status = CLG_OK;
    int64_t *count = &samples->info.count;
    if (s.packing == CLG__PLAIN && (s.size == 0 || s.size % RECORD != 0))
        status = wrong_size(path, s.size);
    while (status == CLG_OK && got == RECORD && clg__limited(*count + 1, place->params) > *count) {
        status = clg__stream_read(&s, record, RECORD, &got);
        if (status != CLG_OK || got == 0) break;
        if (got < RECORD || records >= MAX_BYTES / RECORD)
            status = wrong_size(path, (uint64_t)records * RECORD + got);
        else if (record[0] >= CLASSES)
            status = clg__fail(CLG_ERROR_FORMAT, "%s: record %zu has the label %d, outside 0 .. 9",
                               path, records, record[0]);
        if (status == CLG_OK) status = grow(samples, &capacity[0], &capacity[1], (size_t)*count);
        if (status != CLG_OK) break;
        ((int32_t *)samples->targets)[*count] = record[0];
        interleave(record + 1, (uint8_t *)samples->features + (size_t)*count * (RECORD - 1));
        (*count)++;
        records++;
    }
    if (status == CLG_OK && records == 0 && *count == 0) status = wrong_size(path, 0);
    clg__stream_close(&s);
    return status;
}

/* Appends a plain file to those that are read by record. */
static clg_status keep_file(clg__samples *samples, const char *path)
{
    files_state *state = samples->state;
    int i = state->count;
    state->paths[i] = clg__strdup(path);
    if (!state->paths[i]) return CLG_ERROR_MEMORY;
    state->files[i].fd = -1;
    state->count++;
    CLG_TRY(clg__reader_open(&state->files[i], state->paths[i]));
    uint64_t size = state->files[i].size;
    if (size == 0 || size % RECORD != 0) return wrong_size(path, size);
    samples->info.count += (int64_t)(size / RECORD);
    state->ends[i] = samples->info.count;
    return CLG_OK;
}

/* All bytes of the files; UINT64_MAX if one is compressed. */
static clg_status plain_size(char *const *paths, int count, uint64_t *size)
{
    *size = 0;
    for (int i = 0; i < count; i++) {
        clg__stream s;
        CLG_TRY(clg__stream_open(&s, paths[i]));
        *size = s.packing == CLG__PLAIN && *size != UINT64_MAX ? *size + s.size : UINT64_MAX;
        clg__stream_close(&s);
    }
    return CLG_OK;
}

static clg_status open_files(clg__samples *samples, const clg__place *place, char *const *paths,
                             int count)
{
    uint64_t size;
    CLG_TRY(plain_size(paths, count, &size));
    size_t capacity[2] = {0};
    samples->info.sample = CLG_SHAPE(SIDE, SIDE, 3);
    samples->info.storage = CLG_U8;
    samples->info.classes = CLASSES;
    samples->info.target = CLG_TARGET_CLASSES;
    if (size != UINT64_MAX && size > clg__memory_limit(place->params)) {
        samples->state = clg__calloc(1, sizeof(files_state));
        if (!samples->state) return CLG_ERROR_MEMORY;
        samples->kind = &files_kind;
    }
    for (int i = 0; i < count; i++)
        CLG_TRY(samples->kind ? keep_file(samples, paths[i])
                              : load_file(samples, place, paths[i], capacity));
    samples->info.count = clg__limited(samples->info.count, place->params);
    return CLG_OK;
}

/* ---- the format ---- */

/* data_batch_1.bin in a folder, or its .gz. */
static bool find_batch(const char *directory, const char *stem, char name[64])
{
    for (int packed = 0; packed < 2; packed++) {
        snprintf(name, 64, "%s.bin%s", stem, packed ? ".gz" : "");
        if (clg__exists_in(directory, name)) return true;
    }
    return false;
}

/* A file: its first record, and the label of the next one if the head reaches so far. */
static bool detect_cifar(const clg__place *place)
{
    const unsigned char *head = place->head;
    char name[64];
    if (place->directory)
        return find_batch(place->path, "data_batch_1", name) ||
               find_batch(place->path, "test_batch", name);
    if (!clg__ends_in(place->path, ".bin") && !clg__ends_in(place->path, ".bin.gz")) return false;
    return place->head_size >= RECORD && head[0] < CLASSES &&
           (place->head_size == RECORD || head[RECORD] < CLASSES);
}

static clg_status open_folder(clg__samples *samples, const clg__place *place)
{
    char *paths[BATCHES] = {NULL};
    int count = 0;
    bool train = place->part == CLG_DATA_TRAIN;
    clg_status status = CLG_OK;
    for (int i = 1; i <= (train ? BATCHES : 1) && status == CLG_OK; i++) {
        char stem[32], name[64];
        snprintf(stem, sizeof stem, train ? "data_batch_%d" : "test_batch", i);
        if (!find_batch(place->path, stem, name)) continue;
        paths[count] = clg__join_path(place->path, name);
        status = paths[count++] ? CLG_OK : CLG_ERROR_MEMORY;
    }
    if (status == CLG_OK && count == 0)
        status = clg__fail(CLG_ERROR_IO, "%s has no %s or .gz", place->path,
                           train ? "data_batch_1.bin" : "test_batch.bin");
    if (status == CLG_OK) status = open_files(samples, place, paths, count);
    for (int i = 0; i < count; i++) clg__free(paths[i]);
    return status;
}

static clg_status open_cifar(clg__samples *samples, const clg__place *place)
{
    int wanted = place->params->classes;
    if (wanted != 0 && wanted != CLASSES)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: CIFAR-10 has 10 classes, not %d", place->path,
                         wanted);
    if (place->directory) return open_folder(samples, place);
    samples->info.whole = true;
    return open_files(samples, place, (char *[]){(char *)(uintptr_t)place->path}, 1);
}

const clg__format clg__format_cifar = {"cifar", detect_cifar, open_cifar};
