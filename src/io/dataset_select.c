/*
 * Data sets of some classes, and of so many samples of each: for experiments with little data, and
 * for classes that a network is to learn later. Labels are numbered anew from 0, so that a data set
 * keeps a table from stored labels to delivered ones, and names of its own for its classes.
 */
#include "io/dataset.h"

/* What is asked for, and the table from the labels of `from` to new ones; -1: left out. */
typedef struct selection {
    const clg_dataset *from;
    const int *classes;
    int count;
    int64_t per_class;
    int32_t *table; /* (from->info.classes) */
} selection;

static clg_status check(clg_dataset **out, const clg_dataset *dataset, const int *classes,
                        int count, int64_t per_class)
{
    const char *name = "clg_dataset_select";
    if (!out || !dataset || (count > 0 && !classes))
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: an argument is NULL", name);
    const clg_dataset_info *info = &dataset->info;
    bool labels = info->target == CLG_TARGET_CLASSES && clg__target_count(info) == 1;
    if (!labels && info->target != CLG_TARGET_NONE)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: the targets of %s are not one class for a sample",
                         name, info->source);
    if (count < 0 || per_class < 0)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: %d classes, %lld samples of each", name, count,
                         (long long)per_class);
    for (int i = 0; i < count; i++)
        if (classes[i] < 0 || (labels && classes[i] >= info->classes))
            return clg__fail(CLG_ERROR_ARGUMENT, "%s: %s has no class %d; there are %d, from 0",
                             name, info->source, classes[i], info->classes);
    return CLG_OK;
}

/* selection.table; without a list of classes all keep their labels. */
static clg_status number_classes(selection *s)
{
    size_t size = (size_t)s->from->info.classes;
    s->table = clg__calloc(size, sizeof *s->table);
    if (!s->table) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < size; i++) s->table[i] = s->count ? -1 : (int32_t)i;
    for (int i = 0; i < s->count; i++) {
        if (s->table[s->classes[i]] >= 0)
            return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_select: class %d is named twice",
                             s->classes[i]);
        s->table[s->classes[i]] = i;
    }
    return CLG_OK;
}

/* Indices of the chosen samples; taken: (classes) zeros. */
static clg_status choose(const selection *s, uint32_t *indices, int64_t *taken, int64_t *count)
{
    const clg_dataset_info *info = &s->from->info;
    for (int64_t i = 0; i < info->count; i++) {
        int32_t label = 0;
        CLG_TRY(clg__dataset_read(s->from, i, NULL, &label, true));
        if (s->table[label] < 0 || (s->per_class && taken[label] == s->per_class)) continue;
        taken[label]++;
        indices[(*count)++] = (uint32_t)i;
    }
    for (int i = 0; i < s->count; i++)
        if (taken[s->classes[i]] == 0)
            return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_select: %s has no sample of class %d",
                             info->source, s->classes[i]);
    return CLG_OK;
}

static clg_status part_of(clg_dataset **out, const selection *s)
{
    const clg_dataset_info *info = &s->from->info;
    uint32_t *indices = clg__calloc((size_t)info->count, sizeof *indices);
    int64_t *taken = clg__calloc((size_t)info->classes, sizeof *taken), count = 0;
    clg_status status = indices && taken ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK && info->target == CLG_TARGET_CLASSES) {
        status = choose(s, indices, taken, &count);
    } else {
        for (; status == CLG_OK && count < info->count; count++) indices[count] = (uint32_t)count;
    }
    if (status == CLG_OK) status = clg__dataset_part(out, s->from, indices, count);
    clg__free(indices);
    clg__free(taken);
    return status;
}

/* The part's own names: those of the source, or its numbers. */
static clg_status name_classes(clg_dataset *part, const selection *s)
{
    clg__names names = {0};
    clg_status status = CLG_OK;
    for (int i = 0; i < s->count && status == CLG_OK; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", s->classes[i]);
        const char *name = clg_dataset_class_name(s->from, s->classes[i]);
        if (!name) name = number;
        status = clg__names_add(&names, name, strlen(name));
    }
    clg__names_free(status == CLG_OK ? &part->names : &names);
    if (status == CLG_OK) part->names = names;
    return status;
}

/* The part delivers new labels from now on: its table begins at the labels that are stored. */
static clg_status relabel(clg_dataset *part, const selection *s)
{
    if (s->from->info.target != CLG_TARGET_CLASSES) return CLG_OK;
    int stored = part->relabel ? part->stored_classes : part->info.classes;
    int32_t *table = clg__calloc((size_t)stored, sizeof *table);
    if (!table) return CLG_ERROR_MEMORY;
    for (int i = 0; i < stored; i++) {
        int32_t label = part->relabel ? part->relabel[i] : i;
        table[i] = label >= 0 ? s->table[label] : -1;
    }
    clg__free(part->relabel);
    part->relabel = table;
    part->stored_classes = stored;
    part->info.classes = s->count;
    return CLG_OK;
}

clg_status clg_dataset_select(clg_dataset **out, const clg_dataset *dataset, const int *classes,
                              int count, int64_t per_class)
{
    CLG_TRY(check(out, dataset, classes, count, per_class));
    selection s = {.from = dataset, .classes = classes, .count = count, .per_class = per_class};
    clg_dataset *part = NULL;
    clg_status status = dataset->info.target == CLG_TARGET_CLASSES ? number_classes(&s) : CLG_OK;
    if (status == CLG_OK) status = part_of(&part, &s);
    if (status == CLG_OK && count > 0) status = name_classes(part, &s);
    if (status == CLG_OK && count > 0) status = relabel(part, &s);
    clg__free(s.table);
    if (status == CLG_OK)
        *out = part;
    else
        clg_dataset_destroy(part);
    return status;
}
