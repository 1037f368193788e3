/*
 * Loader: one thread fills a ring of batch buffers while the caller works on the one it holds.
 *
 * The order of an epoch is a Fisher-Yates permutation drawn from Philox at (seed, epoch): a
 * position (epoch, batch) is all the state there is, so that a resumed run sees the very batches of
 * an uninterrupted one. The ring has `ahead` + 1 slots, one of them in the caller's hands; all
 * memory is taken at creation. One mutex guards the counters; the slots from `taken` - 1 to
 * `filled` - 1 belong to the caller's side, the others to the thread.
 *
 * A failure of the thread is kept with its message (messages are per thread) and comes out of
 * clg_loader_next after the batches that were prepared before it.
 */
#include <errno.h>
#include <pthread.h>

#include "base/random.h"
#include "io/dataset.h"

enum { DEFAULT_BATCH = 64, DEFAULT_AHEAD = 3, MAX_AHEAD = 64, ALIGNMENT = 128, MESSAGE = 1024 };

/* Where in the training: an epoch and a batch in it. */
typedef struct position {
    uint64_t epoch;
    int64_t batch;
} position;

struct clg_loader {
    clg_dataset *dataset;
    int64_t batch, batches; /* samples in a full batch; batches in an epoch */
    bool shuffle;
    uint64_t seed;
    uint32_t slots;

    /* The thread's own. */
    uint32_t *order; /* (count) permutation of ordered_epoch; NULL without shuffling */
    uint64_t ordered_epoch;
    bool ordered; /* `order` is filled */

    /* Slot i: features + i * slot_floats, targets + i * slot_targets, batch descriptions. */
    void *block; /* holds `features` at an aligned address */
    float *features;
    size_t slot_floats;
    int32_t *targets; /* labels, or the bits of floats */
    size_t slot_targets;
    clg_batch *described;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    position next;          /* of the next batch to prepare */
    uint64_t filled, taken; /* batches since the last seek: prepared, handed out */
    bool busy;              /* the thread is filling slot filled % slots */
    bool stop;
    clg_status failure;
    char message[MESSAGE];
};

/* ---- preparing a batch (no lock held) ---- */

/* Makes order[] the permutation of this epoch. */
static void shuffle_epoch(clg_loader *loader, uint64_t epoch)
{
    const uint64_t key = loader->seed ^ 0x73687566666c6500; /* "shuffle": apart from other uses */
    uint32_t count = (uint32_t)loader->dataset->info.count;
    for (uint32_t i = 0; i < count; i++) loader->order[i] = i;
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t j = clg__random_below(key, i, epoch, i + 1);
        uint32_t kept = loader->order[i];
        loader->order[i] = loader->order[j];
        loader->order[j] = kept;
    }
    loader->ordered_epoch = epoch;
    loader->ordered = true;
}

static clg_status prepare(clg_loader *loader, position at, uint32_t slot)
{
    bool ordered = loader->ordered && loader->ordered_epoch == at.epoch;
    if (loader->order && !ordered) shuffle_epoch(loader, at.epoch);
    size_t per_sample = clg__dataset_features(loader->dataset);
    const clg_dataset_info *info = &loader->dataset->info;
    size_t per_target = clg__target_count(info);
    int64_t first = at.batch * loader->batch;
    int64_t count = clg__min_i64(loader->batch, loader->dataset->info.count - first);
    float *features = loader->features + slot * loader->slot_floats;
    int32_t *targets = loader->targets + slot * loader->slot_targets;
    for (int64_t i = 0; i < count; i++) {
        int64_t index = loader->order ? loader->order[first + i] : first + i;
        CLG_TRY(clg_dataset_read(loader->dataset, index, features + (size_t)i * per_sample,
                                 targets + (size_t)i * per_target));
    }
    loader->described[slot] =
        (clg_batch){.epoch = at.epoch,
                    .index = at.batch,
                    .count = count,
                    .last = at.batch + 1 == loader->batches,
                    .features = features,
                    .labels = info->target == CLG_TARGET_CLASSES ? targets : NULL,
                    .targets = info->target == CLG_TARGET_NUMBERS ? (const float *)targets : NULL};
    return CLG_OK;
}

/* ---- the thread ---- */

/* The caller works on batch taken - 1: its slot is the one that stays untouched. */
static bool may_fill(const clg_loader *loader)
{
    return loader->failure == CLG_OK && loader->filled - loader->taken + 1 < loader->slots;
}

static void advance(clg_loader *loader)
{
    loader->filled++;
    if (++loader->next.batch < loader->batches) return;
    loader->next.batch = 0;
    loader->next.epoch++;
}

static void *run(void *argument)
{
    clg_loader *loader = argument;
    pthread_mutex_lock(&loader->lock);
    while (!loader->stop) {
        if (!may_fill(loader)) {
            pthread_cond_wait(&loader->changed, &loader->lock);
            continue;
        }
        position at = loader->next;
        uint32_t slot = (uint32_t)(loader->filled % loader->slots);
        loader->busy = true;
        pthread_mutex_unlock(&loader->lock);
        clg_status status = prepare(loader, at, slot);
        pthread_mutex_lock(&loader->lock);
        loader->busy = false;
        if (status == CLG_OK)
            advance(loader);
        else {
            loader->failure = status;
            snprintf(loader->message, sizeof loader->message, "%s", clg_last_error());
        }
        pthread_cond_broadcast(&loader->changed);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* ---- life ---- */

static void free_parts(clg_loader *loader)
{
    clg_dataset_destroy(loader->dataset);
    clg__free(loader->order);
    clg__free(loader->block);
    clg__free(loader->targets);
    clg__free(loader->described);
    clg__free(loader);
}

/* Floats of one slot, rounded up to the alignment; false if all slots would not fit in memory. */
static bool slot_size(const clg_loader *loader, size_t *floats)
{
    const size_t unit = ALIGNMENT / sizeof(float), most = SIZE_MAX / 2 / sizeof(float);
    size_t per_sample = clg__dataset_features(loader->dataset);
    if (!clg__mul_size(per_sample, (size_t)loader->batch, floats)) return false;
    if (*floats > most / loader->slots - unit) return false;
    *floats = (*floats + unit - 1) / unit * unit;
    return true;
}

/* One block for the features of all slots, each aligned so that devices may read it in place. */
static clg_status allocate_slots(clg_loader *loader)
{
    size_t floats;
    char text[160];
    if (!slot_size(loader, &floats))
        return clg__fail(CLG_ERROR_MEMORY, "%u batches of %lld samples %s do not fit in memory",
                         loader->slots, (long long)loader->batch,
                         clg_shape_text(&loader->dataset->info.sample, text, sizeof text));
    loader->slot_floats = floats;
    loader->block = clg__alloc(loader->slots * floats * sizeof(float) + ALIGNMENT);
    size_t per_target = clg__target_count(&loader->dataset->info), bytes = 0;
    loader->slot_targets = (size_t)loader->batch * per_target;
    if (!clg__mul_size(loader->slot_targets, sizeof *loader->targets, &bytes))
        return clg__fail(CLG_ERROR_MEMORY, "a batch's targets do not fit in memory");
    loader->targets = clg__calloc(loader->slots, bytes);
    loader->described = clg__calloc(loader->slots, sizeof *loader->described);
    if (!loader->block || !loader->targets || !loader->described) return CLG_ERROR_MEMORY;
    uintptr_t start = (uintptr_t)loader->block;
    loader->features = (float *)((start + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    return CLG_OK;
}

static clg_status allocate(clg_loader *loader)
{
    CLG_TRY(allocate_slots(loader));
    if (!loader->shuffle) return CLG_OK;
    loader->order = clg__calloc((size_t)loader->dataset->info.count, sizeof *loader->order);
    return loader->order ? CLG_OK : CLG_ERROR_MEMORY;
}

static clg_status start_thread(clg_loader *loader)
{
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->changed, NULL);
    int error = pthread_create(&loader->thread, NULL, run, loader);
    if (error == 0) return CLG_OK;
    pthread_cond_destroy(&loader->changed);
    pthread_mutex_destroy(&loader->lock);
    return clg__fail(CLG_ERROR_MEMORY, "cannot start the loader's thread: %s", strerror(error));
}

static clg_status check_params(const clg_dataset *dataset, const clg_loader_params *params)
{
    if (params->batch < 0)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_loader_create: batch %lld",
                         (long long)params->batch);
    if (params->ahead < 0 || params->ahead > MAX_AHEAD)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_loader_create: ahead = %d, not in 0 .. %d",
                         params->ahead, MAX_AHEAD);
    int64_t batch = params->batch ? params->batch : DEFAULT_BATCH;
    if (params->drop_last && batch > dataset->info.count)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_loader_create: %s has %lld samples, not one full batch of %lld, and "
                         "drop_last leaves out the rest",
                         dataset->info.source, (long long)dataset->info.count, (long long)batch);
    return CLG_OK;
}

static void set_up(clg_loader *loader, clg_dataset *dataset, const clg_loader_params *params)
{
    int64_t count = dataset->info.count;
    loader->batch = params->batch ? params->batch : DEFAULT_BATCH;
    loader->batches = params->drop_last ? count / loader->batch : (count - 1) / loader->batch + 1;
    loader->batch = clg__min_i64(loader->batch, count); /* slots need not be larger */
    loader->shuffle = params->shuffle;
    loader->seed = params->seed;
    loader->slots = (uint32_t)(params->ahead ? params->ahead : DEFAULT_AHEAD) + 1;
    loader->dataset = dataset;
    clg__dataset_retain(dataset);
}

clg_status clg_loader_create(clg_loader **out, clg_dataset *dataset,
                             const clg_loader_params *params)
{
    static const clg_loader_params defaults = {0};
    if (!params) params = &defaults;
    if (!out || !dataset)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_loader_create: an argument is NULL");
    CLG_TRY(check_params(dataset, params));
    clg_loader *loader = clg__calloc(1, sizeof *loader);
    if (!loader) return CLG_ERROR_MEMORY;
    set_up(loader, dataset, params);
    clg_status status = allocate(loader);
    if (status == CLG_OK) status = start_thread(loader);
    if (status != CLG_OK) {
        free_parts(loader);
        return status;
    }
    clg__object_created();
    *out = loader;
    return CLG_OK;
}

void clg_loader_destroy(clg_loader *loader)
{
    if (!loader) return;
    pthread_mutex_lock(&loader->lock);
    loader->stop = true;
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
    pthread_join(loader->thread, NULL);
    pthread_cond_destroy(&loader->changed);
    pthread_mutex_destroy(&loader->lock);
    free_parts(loader);
    clg__object_destroyed();
}

/* ---- use ---- */

int64_t clg_loader_batches(const clg_loader *loader)
{
    CLG__NEEDS_OR(0, loader);
    return loader->batches;
}

clg_status clg_loader_seek(clg_loader *loader, uint64_t epoch, int64_t batch)
{
    if (!loader) return clg__fail(CLG_ERROR_ARGUMENT, "clg_loader_seek: no loader");
    if (batch < 0 || batch > loader->batches)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_loader_seek: batch %lld of an epoch of %lld (other data or another "
                         "batch size than the position is from?)",
                         (long long)batch, (long long)loader->batches);
    pthread_mutex_lock(&loader->lock);
    /* Keeps the thread from starting another batch while we wait for it to finish this one. */
    loader->failure = CLG_ERROR_INTERRUPTED;
    while (loader->busy) pthread_cond_wait(&loader->changed, &loader->lock);
    loader->failure = CLG_OK;
    loader->filled = loader->taken = 0;
    loader->next = (position){epoch, batch};
    if (batch == loader->batches) loader->next = (position){epoch + 1, 0};
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
    return CLG_OK;
}

clg_status clg_loader_next(clg_loader *loader, clg_batch *out)
{
    if (!loader || !out)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_loader_next: an argument is NULL");
    clg_status status = CLG_OK;
    pthread_mutex_lock(&loader->lock);
    while (loader->filled == loader->taken && loader->failure == CLG_OK)
        pthread_cond_wait(&loader->changed, &loader->lock);
    if (loader->filled > loader->taken) {
        *out = loader->described[loader->taken++ % loader->slots];
        pthread_cond_broadcast(&loader->changed); /* the slot held before is free */
    } else {
        status = clg__fail(loader->failure, "%s", loader->message);
    }
    pthread_mutex_unlock(&loader->lock);
    return status;
}
