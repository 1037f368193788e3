/*
 * The memory plan: where in the arena every stored value and every scratch area lives.
 *
 * The plan is greedy, largest first: each value takes the lowest address that no value alive at the
 * same time occupies. In training graphs this is within a few per cent of the lower bound.
 */
#include <stdlib.h>

#include "memory/buffer.h"
#include "program/lifetime.h"
#include "program/occupied.h"

enum {
    ALIGNMENT = 64
}; /* elements: 256 bytes, a cache line pair and every device's vector width */

typedef struct item {
    int64_t size;    /* elements, aligned */
    clg__span life;  /* the latest span; with those before it in `spans` */
    int64_t address; /* in the arena */
    int value;       /* -1: scratch */
    int scratch;     /* index, when value is -1 */
} item;

/* Chunks are tried in order: as addresses of one memory, each begins `stride` behind the last. */
typedef struct arena {
    clg__ir *ir;
    clg__lifetimes lives;
    item *items;
    size_t n;
    clg__occupied occupied;
    int64_t limit, stride; /* elements: of a device's allocation, from chunk to chunk */
} arena;

/* ---- what needs a place ---- */

int64_t clg__ir_elements(const clg__ir *ir, int id, int64_t batch)
{
    clg_shape shape = clg__shape_at_batch(&ir->values[id].node->shape, ir->graph->batch, batch);
    return clg__round_up(clg_shape_count(&shape), ALIGNMENT);
}

static void add_values(arena *a, int64_t batch)
{
    for (int id = 0; id < a->ir->n_values; id++) {
        const int latest = a->lives.latest[id];
        if (!clg__in_arena(a->ir, id) || latest < 0) continue;
        a->items[a->n++] = (item){.size = clg__ir_elements(a->ir, id, batch),
                                  .life = a->lives.spans[latest],
                                  .value = id};
    }
}

static void add_scratch(arena *a, const clg__scratch_plan *scratch, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a->items[a->n++] =
            (item){.size = clg__round_up(scratch[i].size, ALIGNMENT),
                   .life = {.first = scratch[i].step, .last = scratch[i].step, .earlier = -1},
                   .value = -1,
                   .scratch = (int)i};
}

static int larger_first(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return x->scratch - y->scratch;
}

static clg_status collect_items(arena *a, int64_t batch, const clg__scratch_plan *scratch,
                                size_t n_scratch)
{
    a->items = clg__calloc((size_t)a->ir->n_values + n_scratch + 1, sizeof *a->items);
    if (!a->items) return CLG_ERROR_MEMORY;
    add_values(a, batch);
    add_scratch(a, scratch, n_scratch);
    qsort(a->items, a->n, sizeof *a->items, larger_first);
    a->ir->unshared = 0;
    for (size_t i = 0; i < a->n; i++) a->ir->unshared += a->items[i].size;
    return CLG_OK;
}

/* ---- places ---- */

static const clg__span *earlier(const arena *a, const clg__span *span)
{
    return span->earlier < 0 ? NULL : &a->lives.spans[span->earlier];
}

/* Lowest address from `address` on that is free for the whole life of `it`. */
static int64_t free_from(const arena *a, const item *it, int64_t address)
{
    int64_t before;
    do {
        before = address;
        for (const clg__span *s = &it->life; s; s = earlier(a, s))
            address = clg__occupied_free_from(&a->occupied, s->first, s->last, address, it->size);
    } while (address != before);
    return address;
}

/* The lowest place in the first chunk with room, or in a new one, which may be larger. */
static int64_t find_place(const arena *a, const item *it)
{
    int64_t address = 0;
    for (;;) {
        address = free_from(a, it, address);
        const int64_t chunk = address / a->stride;
        if (chunk == a->ir->n_chunks || address % a->stride + it->size <= a->limit) return address;
        address = (chunk + 1) * a->stride;
    }
}

static clg_status place_item(arena *a, item *it)
{
    it->address = find_place(a, it);
    const int chunk = (int)(it->address / a->stride);
    if (chunk == a->ir->n_chunks) a->ir->n_chunks++;
    int64_t *size = &a->ir->chunk_sizes[chunk];
    *size = clg__max_i64(*size, it->address % a->stride + it->size);
    for (const clg__span *s = &it->life; s; s = earlier(a, s))
        CLG_TRY(clg__occupied_add(&a->occupied, s->first, s->last, it->address, it->size));
    return CLG_OK;
}

static clg_status place_items(arena *a)
{
    a->limit = (int64_t)(a->ir->ctx->info.max_allocation / sizeof(float));
    a->stride = clg__max_i64(a->limit, a->items[0].size); /* the largest comes first */
    clg__free(a->ir->chunk_sizes);
    a->ir->chunk_sizes = clg__calloc(a->n + 1, sizeof *a->ir->chunk_sizes);
    a->ir->n_chunks = 0;
    if (!a->ir->chunk_sizes) return CLG_ERROR_MEMORY;
    CLG_TRY(clg__occupied_make(&a->occupied, a->ir->n_order));
    for (size_t i = 0; i < a->n; i++) CLG_TRY(place_item(a, &a->items[i]));
    return CLG_OK;
}

static void tell_places(const arena *a, clg__scratch_plan *scratch)
{
    for (size_t i = 0; i < a->n; i++) {
        const item *it = &a->items[i];
        const int chunk = (int)(it->address / a->stride);
        const int64_t address = it->address % a->stride;
        if (it->value >= 0) {
            a->ir->values[it->value].chunk = chunk;
            a->ir->values[it->value].address = address;
        } else {
            scratch[it->scratch].chunk = chunk;
            scratch[it->scratch].address = address;
        }
    }
}

clg_status clg__ir_plan(clg__ir *ir, int64_t batch, clg__scratch_plan *scratch, size_t n_scratch)
{
    arena a = {.ir = ir};
    clg_status status = clg__lifetimes_make(&a.lives, ir);
    if (status == CLG_OK) status = collect_items(&a, batch, scratch, n_scratch);
    if (status == CLG_OK) status = place_items(&a);
    if (status == CLG_OK) tell_places(&a, scratch);
    clg__lifetimes_free(&a.lives);
    clg__occupied_free(&a.occupied);
    clg__free(a.items);
    return status;
}

uint64_t clg__ir_arena(const clg__ir *ir)
{
    uint64_t sum = 0;
    for (int i = 0; i < ir->n_chunks; i++) sum += (uint64_t)ir->chunk_sizes[i];
    return sum;
}
