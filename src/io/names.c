/*
 * The lists of names.h.
 */
#include "io/names.h"

#include <stdlib.h>

clg_status clg__names_add(clg__names *names, const char *text, size_t length)
{
    void *items = names->items;
    clg_status status = clg__grow(&items, &names->capacity, names->count + 1, sizeof *names->items);
    names->items = items;
    if (status != CLG_OK) return status;
    char *copy = clg__alloc(length + 1);
    if (!copy) return CLG_ERROR_MEMORY;
    memcpy(copy, text, length);
    copy[length] = 0;
    names->items[names->count++] = copy;
    return CLG_OK;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void clg__names_sort(clg__names *names)
{
    if (names->count) qsort(names->items, names->count, sizeof *names->items, compare);
}

/* First position whose name is not before `text`. */
static size_t lower_bound(const clg__names *names, const char *text)
{
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names->items[middle], text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const clg__names *names, size_t at, const char *text)
{
    return at < names->count && strcmp(names->items[at], text) == 0;
}

int64_t clg__names_find_sorted(const clg__names *names, const char *text)
{
    size_t at = lower_bound(names, text);
    return is_at(names, at, text) ? (int64_t)at : -1;
}

clg_status clg__names_insert_sorted(clg__names *names, const char *text)
{
    size_t at = lower_bound(names, text);
    if (is_at(names, at, text)) return CLG_OK;
    CLG_TRY(clg__names_add(names, text, strlen(text)));
    char *added = names->items[names->count - 1];
    memmove(names->items + at + 1, names->items + at,
            (names->count - 1 - at) * sizeof *names->items);
    names->items[at] = added;
    return CLG_OK;
}

clg_status clg__names_copy(clg__names *names, const clg__names *from)
{
    for (size_t i = 0; i < from->count; i++)
        CLG_TRY(clg__names_add(names, from->items[i], strlen(from->items[i])));
    return CLG_OK;
}

int64_t clg__names_find(const clg__names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], text) == 0) return (int64_t)i;
    return -1;
}

void clg__names_free(clg__names *names)
{
    for (size_t i = 0; i < names->count; i++) clg__free(names->items[i]);
    clg__free(names->items);
    *names = (clg__names){0};
}
