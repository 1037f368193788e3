/*
 * The kernels of a context, found by what they are: a hash of their text. Programs of one context
 * look here first, so that a second one - the evaluation beside a training step - builds only what
 * is new.
 *
 * Open addressing; entries are never removed, because modules stay as long as their context.
 */
#include "kernels/kernels.h"

typedef struct slot {
    clg__hash128 key;
    clg__kernel_place place;
    bool used;
} slot;

/* `mask` + 1 slots, of which at most half are used. */
struct clg__kernel_table {
    slot *slots;
    size_t mask, count;
};

static slot *find_slot(slot *slots, size_t mask, clg__hash128 key)
{
    size_t at = key.lo & mask;
    while (slots[at].used && !clg__hash_equal(slots[at].key, key)) at = (at + 1) & mask;
    return &slots[at];
}

const clg__kernel_place *clg__kernel_find(const clg__kernel_table *table, clg__hash128 key)
{
    if (!table || !table->slots) return NULL;
    const slot *found = find_slot(table->slots, table->mask, key);
    return found->used ? &found->place : NULL;
}

static clg_status make_room(clg__kernel_table *table)
{
    if (table->slots && table->count * 2 <= table->mask) return CLG_OK;
    size_t mask = table->slots ? table->mask * 2 + 1 : 63;
    slot *slots = clg__calloc(mask + 1, sizeof *slots);
    if (!slots) return CLG_ERROR_MEMORY;
    for (size_t i = 0; table->slots && i <= table->mask; i++)
        if (table->slots[i].used) *find_slot(slots, mask, table->slots[i].key) = table->slots[i];
    clg__free(table->slots);
    table->slots = slots;
    table->mask = mask;
    return CLG_OK;
}

clg_status clg__kernel_record(clg__kernel_table **table, clg__hash128 key,
                              const clg__kernel_place *place)
{
    if (!*table) *table = clg__calloc(1, sizeof **table);
    if (!*table) return CLG_ERROR_MEMORY;
    CLG_TRY(make_room(*table));
    slot *found = find_slot((*table)->slots, (*table)->mask, key);
    (*table)->count += !found->used;
    *found = (slot){.key = key, .place = *place, .used = true};
    return CLG_OK;
}

void clg__kernel_table_free(clg__kernel_table *table)
{
    if (table) clg__free(table->slots);
    clg__free(table);
}
