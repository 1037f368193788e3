/*
 * Which addresses are in use at which steps (occupied.h).
 *
 * Steps are the leaves of a binary tree, in an array: node n has the children 2n and 2n + 1. The
 * steps of a span are those of at most two whole subtrees per level; every other node that has
 * some of them is above its first step or its last. What meets a span in time is therefore found
 * in few lists, of a length that says how scattered the memory is and not how many values are in
 * it: the lists at_some of its subtrees, and at_all of the nodes above its ends.
 */
#include "program/occupied.h"

enum { MOST_LEVELS = 32 };

/* The nodes that make up a span of steps, and those that have its first step or its last. */
typedef struct nodes {
    int whole[2 * MOST_LEVELS], n_whole;
    int ends[2 * MOST_LEVELS], n_ends;
} nodes;

static nodes nodes_of(const clg__occupied *o, int first, int last)
{
    nodes s = {.n_whole = 0};
    int left = o->leaves + first, right = o->leaves + last;
    for (int l = left, r = right; l <= r; l /= 2, r /= 2) {
        if (l % 2 == 1) s.whole[s.n_whole++] = l++;
        if (r % 2 == 0) s.whole[s.n_whole++] = r--;
    }
    for (; right > 0; left /= 2, right /= 2) {
        s.ends[s.n_ends++] = left;
        if (right != left) s.ends[s.n_ends++] = right;
    }
    return s;
}

/* Joins a range with those of a list that it touches. */
static clg_status add_range(clg__occupied *o, int *list, clg__range range)
{
    CLG_TRY(clg__grow((void **)&o->pool, &o->capacity, o->n + 1, sizeof *o->pool));
    int *at = list;
    while (*at && o->pool[*at].end < range.first) at = &o->pool[*at].next;
    range.next = *at;
    while (range.next && o->pool[range.next].first <= range.end) {
        const clg__range *joined = &o->pool[range.next];
        range.first = clg__min_i64(range.first, joined->first);
        range.end = clg__max_i64(range.end, joined->end);
        range.next = joined->next;
    }
    if (range.next == *at) *at = (int)o->n++; /* joined with none */
    o->pool[*at] = range;
    return CLG_OK;
}

clg_status clg__occupied_add(clg__occupied *o, int first, int last, int64_t address, int64_t size)
{
    const nodes s = nodes_of(o, first, last);
    const clg__range range = {.first = address, .end = address + size};
    for (int i = 0; i < s.n_whole; i++) {
        CLG_TRY(add_range(o, &o->at_all[s.whole[i]], range));
        CLG_TRY(add_range(o, &o->at_some[s.whole[i]], range));
    }
    for (int i = 0; i < s.n_ends; i++) CLG_TRY(add_range(o, &o->at_some[s.ends[i]], range));
    return CLG_OK;
}

static int64_t free_in(const clg__occupied *o, int list, int64_t address, int64_t size)
{
    for (int i = list; i && o->pool[i].first < address + size; i = o->pool[i].next)
        address = clg__max_i64(address, o->pool[i].end);
    return address;
}

int64_t clg__occupied_free_from(const clg__occupied *o, int first, int last, int64_t address,
                                int64_t size)
{
    const nodes s = nodes_of(o, first, last);
    int64_t before;
    do {
        before = address;
        for (int i = 0; i < s.n_whole; i++)
            address = free_in(o, o->at_some[s.whole[i]], address, size);
        for (int i = 0; i < s.n_ends; i++)
            address = free_in(o, o->at_all[s.ends[i]], address, size);
    } while (address != before);
    return address;
}

clg_status clg__occupied_make(clg__occupied *o, int last_step)
{
    *o = (clg__occupied){.leaves = 1, .n = 1};
    while (o->leaves <= last_step) o->leaves *= 2;
    o->at_all = clg__calloc(2 * (size_t)o->leaves, sizeof *o->at_all);
    o->at_some = clg__calloc(2 * (size_t)o->leaves, sizeof *o->at_some);
    return o->at_all && o->at_some ? CLG_OK : CLG_ERROR_MEMORY;
}

void clg__occupied_free(clg__occupied *o)
{
    clg__free(o->at_all);
    clg__free(o->at_some);
    clg__free(o->pool);
    *o = (clg__occupied){0};
}
