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
#include "program/stage.h"

enum {
    MOST_CLUSTERS = 8,
    MOST_PARAMETERS = 96,   /* of 8 bytes: OpenCL promises a kilobyte */
    MOST_STEPS = 2,         /* stages that read the number of the training step */
    MOST_IN_A_ROW = 1 << 14 /* elements: rows stay in the cache of the second level */
};

/* ---- who can be in a chain ---- */

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
static void find_assigning(const clg__ir *ir, bool *assigning)
{
    for (int i = 0; i < ir->n_assignments; i++) {
        int id = ir->assignments[i].value;
        while (ir->values[id].cluster < 0 && ir->values[id].n_inputs > 0)
            id = ir->values[id].inputs[0];
        if (ir->values[id].cluster >= 0) assigning[ir->values[id].cluster] = true;
    }
}

/* The value whose memory an alias of the same shape is; -1: another shape, other rows. */
static int whole_value(const clg__ir *ir, int id)
{
    while (id >= 0 && ir->values[id].cluster < 0 && ir->values[id].node->op->class_ == CLG__ALIAS) {
        const clg_tensor *node = ir->values[id].node;
        id = clg__same_shape(&node->shape, &node->inputs[0]->shape) ? ir->values[id].inputs[0] : -1;
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
    return true;
}

/* What a kernel has only so much room for. */
typedef struct extent {
    int clusters, parameters, steps;
} extent;

static int count_parameters(const clg__ir *ir, const clg__cluster *c, int stage)
{
    clg__str text = {0};
    clg__generator g = clg__generator_make(&text, ir, c, stage);
    int count = 0;
    clg__emit_parameters(&g);
    for (const char *p = clg__str_text(&text); *p; p++) count += *p == ',';
    if (text.failed) count = MOST_PARAMETERS + 1;
    clg__str_free(&text);
    return count;
}

static void add_extent(extent *e, const clg__ir *ir, const clg__cluster *c)
{
    e->clusters++;
    for (int stage = 0; stage < (c->n_reduces ? 2 : 1); stage++) {
        e->parameters += count_parameters(ir, c, stage);
        e->steps += clg__stage_uses_step(ir, c, stage);
    }
}

static bool has_room(const clg__ir *ir, int head, const clg__cluster *more)
{
    extent e = {0};
    for (const clg__cluster *c = &ir->clusters[head]; c; c = clg__next_in_chain(ir, c))
        add_extent(&e, ir, c);
    add_extent(&e, ir, more);
    return e.clusters <= MOST_CLUSTERS && e.parameters <= MOST_PARAMETERS && e.steps <= MOST_STEPS;
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

/* Can a reader of the chain's results run behind it, and nothing in between? */
static bool can_follow(clg__ir *ir, const bool *assigning, int head, int cluster)
{
    clg__cluster *c = &ir->clusters[cluster], *rows = &ir->clusters[head];
    if (c->dead || assigning[cluster] || c->head == head || c->head != cluster || c->next >= 0 ||
        !clg__same_shape(&c->space, &rows->space))
        return false;
    if (c->kind == CLG__CLUSTER_REDUCE
            ? !is_row_reduction(ir, c) || c->reduce_first != rows->reduce_first ||
                  c->reduce_count != rows->reduce_count
            : !is_plain(ir, c))
        return false;
    return has_room(ir, head, c) && reads_own_rows(ir, c, 0, head) &&
           (!c->n_reduces || reads_own_rows(ir, c, 1, head)) &&
           !clg__before_holds(&ir->before, cluster, head) &&
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
static bool append_reader(clg__ir *ir, const bool *assigning, int head, int id)
{
    for (int u = ir->first_user[id]; u < ir->first_user[id + 1]; u++) {
        const int user = ir->users[u], reader = ir->values[user].cluster, last = last_of(ir, head);
        if (reader < 0 && append_reader(ir, assigning, head, user))
            return true; /* of an alias or a view */
        if (reader < 0 || !can_follow(ir, assigning, head, reader)) continue;
        append(ir, head, last, reader);
        return true;
    }
    return false;
}

static bool append_reader_of(clg__ir *ir, const bool *assigning, int head, const clg__cluster *c)
{
    bool found = false;
    for (int k = 0, id; !found && (id = result(c, k)) >= 0; k++)
        found = append_reader(ir, assigning, head, id);
    return found;
}

static void grow(clg__ir *ir, const bool *assigning, int head)
{
    for (bool grown = true; grown;) {
        grown = false;
        for (int k = head; k >= 0 && !grown; k = ir->clusters[k].next)
            grown = append_reader_of(ir, assigning, head, &ir->clusters[k]);
    }
}

/* ---- results in place ---- */

/* Where a value is read, and whether another one has taken its memory. */
typedef struct use {
    int head, last; /* the chain, and its last cluster that reads it; head -1: nowhere yet */
    bool elsewhere; /* by other chains too */
    bool taken;
} use;

static void note_use(const clg__ir *ir, int cluster, use *u)
{
    const clg__cluster *c = &ir->clusters[cluster];
    u->elsewhere |= u->head >= 0 && u->head != c->head;
    if (u->head < 0 || c->place > ir->clusters[u->last].place) u->last = cluster;
    u->head = c->head;
}

static void find_uses(const clg__ir *ir, use *uses)
{
    clg__space space;
    for (int id = 0; id < ir->n_values; id++) uses[id].head = -1;
    for (int k = 0; k < ir->n_clusters; k++) {
        const clg__cluster *c = &ir->clusters[k];
        for (int stage = 0; stage < 2 && !c->dead; stage++) {
            if (!clg__has_stage(c, stage)) continue;
            clg__space_make(&space, ir, c, stage);
            for (int l = 0; l < space.n_loads; l++) note_use(ir, k, &uses[space.loads[l].value]);
        }
    }
}

/* A result of the cluster over the whole space whose memory nothing else has taken; or -1. */
static int room_in(const clg__ir *ir, int cluster, const use *uses)
{
    const clg__stage *body = &ir->clusters[cluster].body[0];
    for (int i = 0; i < body->n_members; i++) {
        const clg__value *v = &ir->values[body->members[i]];
        if (v->stored && v->node->dtype == CLG_F32 && v->cluster == cluster &&
            !uses[body->members[i]].taken)
            return body->members[i];
    }
    return -1;
}

/*
 * What lives only within the chain takes the memory of what its last reader makes of it: there each
 * element is read before the new one is written.
 */
static void place_inside(clg__ir *ir, int cluster, const bool *needed, use *uses)
{
    const clg__stage *body = &ir->clusters[cluster].body[0];
    for (int i = 0; i < body->n_members; i++) {
        clg__value *v = &ir->values[body->members[i]];
        const use *u = &uses[body->members[i]];
        if (!v->stored || needed[body->members[i]] || v->node->dtype != CLG_F32 ||
            v->cluster != cluster || u->elsewhere || u->head != ir->clusters[cluster].head ||
            u->last == cluster)
            continue;
        int room = room_in(ir, u->last, uses);
        if (room < 0) continue;
        v->parent = room;
        uses[room].taken = true;
    }
}

clg_status clg__ir_chain(clg__ir *ir, const bool *needed)
{
    if (ir->ctx->engine != CLG_ENGINE_CPU) return CLG_OK;
    bool *assigning = clg__calloc((size_t)ir->n_clusters + 1, sizeof *assigning);
    use *uses = clg__calloc((size_t)ir->n_values + 1, sizeof *uses);
    bool ok = assigning && uses;
    if (ok) find_assigning(ir, assigning);
    for (int k = 0; ok && k < ir->n_clusters; k++)
        if (ir->clusters[k].head == k && !assigning[k] && is_row_reduction(ir, &ir->clusters[k]))
            grow(ir, assigning, k);
    if (ok) find_uses(ir, uses);
    for (int k = 0; ok && k < ir->n_clusters; k++) place_inside(ir, k, needed, uses);
    clg__free(assigning);
    clg__free(uses);
    return ok ? CLG_OK : CLG_ERROR_MEMORY;
}
