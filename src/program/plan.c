/*
 * The memory plan: where in the arena every stored value and every scratch area lives.
 *
 * The plan is greedy, largest first: each value takes the lowest address that no value alive at the
 * same time occupies. In training graphs this is within a few per cent of the lower bound.
 */
#include <stdlib.h>

#include "memory/buffer.h"
#include "program/lifetime.h"

enum {
    ALIGNMENT = 64
}; /* elements: 256 bytes, a cache line pair and every device's vector width */

typedef struct item {
    int64_t size;   /* elements, aligned */
    clg__span life; /* the latest span; with those before it in `spans` */
    int chunk;
    int64_t address;
    int value;   /* -1: scratch */
    int scratch; /* index, when value is -1 */
} item;

static int larger_first(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return x->scratch - y->scratch;
}

static int lower_address_first(const void *a, const void *b)
{
    const item *x = *(const item *const *)a, *y = *(const item *const *)b;
    return x->address < y->address ? -1 : x->address > y->address;
}

static const clg__span *earlier(const clg__lifetimes *lives, const clg__span *span)
{
    return span->earlier < 0 ? NULL : &lives->spans[span->earlier];
}

static bool meet(const clg__lifetimes *lives, const item *x, const item *y)
{
    for (const clg__span *a = &x->life; a; a = earlier(lives, a))
        for (const clg__span *b = &y->life; b; b = earlier(lives, b))
            if (a->first <= b->last && b->first <= a->last) return true;
    return false;
}

/* Lowest free address of `chunk` for the whole life of `it`. `busy` is room for pointers. */
static int64_t find_gap(const clg__lifetimes *lives, const item *items, size_t n_placed,
                        const item *it, int chunk, const item **busy)
{
    size_t n = 0;
    for (size_t i = 0; i < n_placed; i++)
        if (items[i].chunk == chunk && meet(lives, &items[i], it)) busy[n++] = &items[i];
    qsort(busy, n, sizeof *busy, lower_address_first);
    int64_t address = 0;
    for (size_t i = 0; i < n; i++) {
        if (busy[i]->address - address >= it->size) break;
        address = clg__max_i64(address, busy[i]->address + busy[i]->size);
    }
    return address;
}

static clg_status assign_addresses(clg__ir *ir, const clg__lifetimes *lives, item *items, size_t n,
                                   int64_t chunk_limit)
{
    const item **busy = clg__calloc(n + 1, sizeof *busy);
    clg__free(ir->chunk_sizes);
    ir->chunk_sizes = clg__calloc(n + 1, sizeof *ir->chunk_sizes);
    ir->n_chunks = 0;
    if (!busy || !ir->chunk_sizes) {
        clg__free(busy);
        return CLG_ERROR_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        item *it = &items[i];
        for (it->chunk = 0;; it->chunk++) {
            it->address =
                it->chunk < ir->n_chunks ? find_gap(lives, items, i, it, it->chunk, busy) : 0;
            if (it->chunk == ir->n_chunks || it->address + it->size <= chunk_limit) break;
        }
        if (it->chunk == ir->n_chunks) ir->n_chunks++;
        int64_t *size = &ir->chunk_sizes[it->chunk];
        *size = clg__max_i64(*size, it->address + it->size);
    }
    clg__free(busy);
    return CLG_OK;
}

int64_t clg__ir_elements(const clg__ir *ir, int id, int64_t batch)
{
    clg_shape shape = clg__shape_at_batch(&ir->values[id].node->shape, ir->graph->batch, batch);
    return clg__round_up(clg_shape_count(&shape), ALIGNMENT);
}

static size_t collect_items(clg__ir *ir, const clg__lifetimes *lives, int64_t batch,
                            const clg__scratch_plan *scratch, size_t n_scratch, item *items)
{
    size_t n = 0;
    ir->unshared = 0;
    for (int id = 0; id < ir->n_values; id++) {
        if (!clg__in_arena(ir, id) || lives->latest[id] < 0) continue;
        items[n++] = (item){.size = clg__ir_elements(ir, id, batch),
                            .life = lives->spans[lives->latest[id]],
                            .value = id};
    }
    for (size_t i = 0; i < n_scratch; i++)
        items[n++] =
            (item){.size = clg__round_up(scratch[i].size, ALIGNMENT),
                   .life = {.first = scratch[i].step, .last = scratch[i].step, .earlier = -1},
                   .value = -1,
                   .scratch = (int)i};
    for (size_t i = 0; i < n; i++) ir->unshared += items[i].size;
    return n;
}

static clg_status place_items(clg__ir *ir, const clg__lifetimes *lives, int64_t batch,
                              clg__scratch_plan *scratch, size_t n_scratch)
{
    item *items = clg__calloc((size_t)ir->n_values + n_scratch + 1, sizeof *items);
    if (!items) return CLG_ERROR_MEMORY;
    size_t n = collect_items(ir, lives, batch, scratch, n_scratch, items);
    qsort(items, n, sizeof *items, larger_first);
    int64_t limit = (int64_t)(ir->ctx->info.max_allocation / sizeof(float));
    clg_status status = assign_addresses(ir, lives, items, n, limit);
    for (size_t i = 0; status == CLG_OK && i < n; i++) {
        if (items[i].value >= 0) {
            ir->values[items[i].value].chunk = items[i].chunk;
            ir->values[items[i].value].address = items[i].address;
        } else {
            scratch[items[i].scratch].chunk = items[i].chunk;
            scratch[items[i].scratch].address = items[i].address;
        }
    }
    clg__free(items);
    return status;
}

clg_status clg__ir_plan(clg__ir *ir, int64_t batch, clg__scratch_plan *scratch, size_t n_scratch)
{
    clg__lifetimes lives;
    clg_status status = clg__lifetimes_make(&lives, ir);
    if (status == CLG_OK) status = place_items(ir, &lives, batch, scratch, n_scratch);
    clg__lifetimes_free(&lives);
    return status;
}

uint64_t clg__ir_arena(const clg__ir *ir)
{
    uint64_t sum = 0;
    for (int i = 0; i < ir->n_chunks; i++) sum += (uint64_t)ir->chunk_sizes[i];
    return sum;
}
