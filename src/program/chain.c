/*
 * Chains: clusters that work on the same rows, one after the other, become one kernel. Softmax is
 * three clusters - the largest element, exponentials with their sum, the quotient -, and each would
 * read memory again; a work-item that takes a row through all of them finds it in its cache.
 *
 * On processors only, where one work-item owns whole rows: what a cluster of the chain stores is
 * there for the next one without any barrier. The clusters stay what they are; a chain is a step
 * with one launch. A pointwise cluster becomes a reduction without reductions, whose axes say what
 * a row is.
 */
#include <stdlib.h>

#include "program/codegen.h"

enum {
    MOST_CLUSTERS = 8,
    MOST_LOADS = 24,        /* of a chain: each is up to 5 of a kernel's arguments */
    MOST_IN_A_ROW = 1 << 14 /* elements: rows stay in the cache of the second level */
};

/* ---- who can be in a chain ---- */

static bool same_space(const clg_shape *a, const clg_shape *b)
{
    return clg_shape_equal(a, b) && a->batched == b->batched;
}

static bool is_row_reduction(const clg__ir *ir, const clg__cluster *c)
{
    if (c->dead || c->kind != CLG__CLUSTER_REDUCE) return false;
    int64_t length = 1;
    for (int i = c->reduce_first; i < c->reduce_first + c->reduce_count; i++)
        length *= c->space.dim[i];
    return length <= MOST_IN_A_ROW && clg__reduce_is_whole_rows(ir, c);
}

/* Values that a cluster computes: the k-th, or -1 behind the last. */
static int result(const clg__cluster *c, int k)
{
    for (int stage = 0; stage < 2; stage++) {
        if (k < c->body[stage].n_members) return c->body[stage].members[k];
        k -= c->body[stage].n_members;
    }
    return k < c->n_reduces ? c->reduces[k] : -1;
}

/* Variables change when all have read them: that is a matter of the order of steps. */
static bool makes_assigned_value(const clg__ir *ir, const clg__cluster *c)
{
    for (int i = 0; i < ir->n_assignments; i++) {
        int id = ir->assignments[i].value;
        while (ir->values[id].cluster < 0 && ir->values[id].n_inputs > 0)
            id = ir->values[id].inputs[0];
        if (ir->values[id].cluster == c - ir->clusters) return true;
    }
    return false;
}

/* The value whose memory an alias of the same shape is; -1: another shape, other rows. */
static int whole_value(const clg__ir *ir, int id)
{
    while (id >= 0 && ir->values[id].cluster < 0 && ir->values[id].node->op->class_ == CLG__ALIAS) {
        const clg_tensor *node = ir->values[id].node;
        id = same_space(&node->shape, &node->inputs[0]->shape) ? ir->values[id].inputs[0] : -1;
    }
    return id;
}

/* What it reads of the chain is of the same row: whole values, not through views. */
static bool reads_own_rows(const clg__ir *ir, const clg__cluster *c, int stage, int head)
{
    clg__space space;
    if (!clg__space_make(&space, ir, c, stage)) return false;
    for (int l = 0; l < space.n_loads; l++) {
        int id = space.loads[l].value, whole = whole_value(ir, id);
        while (ir->values[id].cluster < 0 && ir->values[id].n_inputs > 0)
            id = ir->values[id].inputs[0];
        const int cluster = ir->values[id].cluster;
        if (cluster < 0 || ir->clusters[cluster].head != head) continue;
        if (whole < 0 || space.loads[l].view >= 0) return false;
    }
    return !clg__stage_uses_step(ir, c, stage);
}

static int loads_of(const clg__ir *ir, const clg__cluster *c)
{
    clg__space space;
    int loads = clg__space_make(&space, ir, c, 0) ? space.n_loads : MOST_LOADS;
    return loads + (c->n_reduces && clg__space_make(&space, ir, c, 1) ? space.n_loads : 0);
}

static int loads_of_chain(const clg__ir *ir, int head, int *clusters)
{
    int loads = 0;
    *clusters = 0;
    for (int k = head; k >= 0; k = ir->clusters[k].next, ++*clusters)
        loads += loads_of(ir, &ir->clusters[k]);
    return loads;
}

/* A pointwise cluster as a reduction without reductions, over the rows of another. */
static clg__cluster over_rows_of(const clg__cluster *c, const clg__cluster *rows)
{
    clg__cluster over = *c;
    over.kind = CLG__CLUSTER_REDUCE;
    over.reduce_first = rows->reduce_first;
    over.reduce_count = rows->reduce_count;
    over.out_space = rows->out_space;
    return over;
}

/* All its members are of the space's shape: no numbers that are computed in front of the loops. */
static bool is_plain(const clg__ir *ir, const clg__cluster *c)
{
    for (int i = 0; i < c->body[0].n_members; i++)
        if (clg__is_invariant(ir, c, c->body[0].members[i])) return false;
    return c->kind == CLG__CLUSTER_POINTWISE;
}

static bool can_follow(clg__ir *ir, int head, int cluster)
{
    clg__cluster *c = &ir->clusters[cluster], *rows = &ir->clusters[head];
    if (c->dead || c->head == head || c->head != cluster || c->next >= 0 ||
        !same_space(&c->space, &rows->space))
        return false;
    if (c->kind == CLG__CLUSTER_REDUCE
            ? !is_row_reduction(ir, c) || c->reduce_first != rows->reduce_first ||
                  c->reduce_count != rows->reduce_count
            : !is_plain(ir, c))
        return false;
    int clusters, loads = loads_of_chain(ir, head, &clusters) + loads_of(ir, c);
    return clusters < MOST_CLUSTERS && loads <= MOST_LOADS && !makes_assigned_value(ir, c) &&
           reads_own_rows(ir, c, 0, head) && (!c->n_reduces || reads_own_rows(ir, c, 1, head)) &&
           clg__before_mergeable(&ir->before, head, cluster);
}

/* ---- making chains ---- */

static int last_of(const clg__ir *ir, int head)
{
    while (ir->clusters[head].next >= 0) head = ir->clusters[head].next;
    return head;
}

static void append(clg__ir *ir, int head, int last, int cluster)
{
    clg__cluster *c = &ir->clusters[cluster];
    if (c->kind == CLG__CLUSTER_POINTWISE) *c = over_rows_of(c, &ir->clusters[head]);
    c->head = head;
    c->place = ir->clusters[last].place + 1;
    ir->clusters[last].next = cluster;
    clg__before_merge(&ir->before, head, cluster);
}

/* Appends a reader of the value; false if there is none that can follow. */
static bool append_reader(clg__ir *ir, int head, int id)
{
    for (int u = ir->first_user[id]; u < ir->first_user[id + 1]; u++) {
        const int user = ir->users[u], reader = ir->values[user].cluster, last = last_of(ir, head);
        if (reader < 0 && append_reader(ir, head, user)) return true; /* of an alias or a view */
        if (reader < 0 || !can_follow(ir, head, reader)) continue;
        append(ir, head, last, reader);
        return true;
    }
    return false;
}

static bool append_reader_of(clg__ir *ir, int head, const clg__cluster *c)
{
    bool found = false;
    for (int k = 0, id; !found && (id = result(c, k)) >= 0; k++)
        found = append_reader(ir, head, id);
    return found;
}

static void grow(clg__ir *ir, int head)
{
    for (bool grown = true; grown;) {
        grown = false;
        for (int k = head; k >= 0 && !grown; k = ir->clusters[k].next)
            grown = append_reader_of(ir, head, &ir->clusters[k]);
    }
}

/* ---- results in place ---- */

static bool loads(const clg__ir *ir, const clg__cluster *c, int id)
{
    clg__space space;
    for (int stage = 0; stage < 2; stage++) {
        if (stage == 0 ? c->kind == CLG__CLUSTER_KERNEL : c->kind == CLG__CLUSTER_POINTWISE)
            continue;
        if (!clg__space_make(&space, ir, c, stage)) return true;
        for (int l = 0; l < space.n_loads; l++)
            if (space.loads[l].value == id) return true;
    }
    return false;
}

/* The last cluster of a chain that reads a value; -1: none, or the value is read outside too. */
static int last_reader(const clg__ir *ir, int head, int id)
{
    int last = -1;
    for (int k = 0; k < ir->n_clusters; k++) {
        const clg__cluster *c = &ir->clusters[k];
        if (c->dead || !loads(ir, c, id)) continue;
        if (c->head != head) return -1;
        if (last < 0 || c->place > ir->clusters[last].place) last = k;
    }
    return last;
}

/* A result of the cluster of the value's size whose memory nothing else has taken; or -1. */
static int room_for(const clg__ir *ir, int cluster)
{
    const clg__cluster *c = &ir->clusters[cluster];
    for (int i = 0; i < c->body[0].n_members; i++) {
        int y = c->body[0].members[i];
        const clg__value *v = &ir->values[y];
        bool taken = !v->stored || v->node->dtype != CLG_F32 || v->cluster != cluster;
        for (int k = 0; k < ir->n_values && !taken; k++) taken = ir->values[k].parent == y;
        if (!taken) return y;
    }
    return -1;
}

/*
 * A value that lives in the chain only takes the memory of what its last reader makes of it: there
 * each element is read before the new one is written.
 */
static void place_inside(clg__ir *ir, int head, const clg__cluster *c, const bool *needed)
{
    for (int i = 0; i < c->body[0].n_members; i++) {
        int id = c->body[0].members[i];
        clg__value *v = &ir->values[id];
        if (!v->stored || needed[id] || v->node->dtype != CLG_F32 || v->cluster != c - ir->clusters)
            continue;
        int reader = last_reader(ir, head, id);
        int room = reader >= 0 && reader != v->cluster ? room_for(ir, reader) : -1;
        if (room >= 0) v->parent = room;
    }
}

void clg__ir_chain(clg__ir *ir, const bool *needed)
{
    if (ir->ctx->engine != CLG_ENGINE_CPU) return;
    for (int k = 0; k < ir->n_clusters; k++) {
        const clg__cluster *c = &ir->clusters[k];
        if (c->head != k || !is_row_reduction(ir, c) || makes_assigned_value(ir, c)) continue;
        grow(ir, k);
        for (int m = k; m >= 0 && c->next >= 0; m = ir->clusters[m].next)
            place_inside(ir, k, &ir->clusters[m], needed);
    }
}
