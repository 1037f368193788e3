/*
 * Recomputing instead of storing: a pointwise value that only generated stages read, and whose
 * inputs are in memory anyway, is computed again by each reader. So the gradient of relu reads the
 * activation, not a mask that the forward pass would have had to write; batch norm keeps no centred
 * copy of its input.
 *
 * A reader must not read more for it: loads are weighed by their number of elements.
 *
 * Chains of single numbers, such as an optimizer's bias corrections, go whole into the pointwise
 * kernels that read them: there each work-item computes them once, in front of its loop, which is
 * cheaper than a launch.
 */
#include <stdlib.h>

#include "program/ir.h"

/* In memory whether or not the value at hand is stored. */
static bool readable(const clg__ir *ir, int id)
{
    const clg__value *v = &ir->values[id];
    if (v->uniform) return true;
    if (clg__ir_virtual_view(ir, id)) return readable(ir, v->inputs[0]);
    if (v->node->op->class_ == CLG__ALIAS) return readable(ir, v->inputs[0]);
    return v->cluster >= 0 ? v->stored : v->node->op->class_ == CLG__SOURCE;
}

static bool recomputable(const clg__ir *ir, int id, const bool *needed)
{
    const clg__value *v = &ir->values[id];
    if (!v->live || !v->stored || v->cluster < 0 || needed[id] || v->uniform ||
        v->node->op->class_ != CLG__POINTWISE)
        return false;
    for (int i = 0; i < v->n_inputs; i++)
        if (!readable(ir, v->inputs[i])) return false;
    return true;
}

static int64_t elements_read(const clg__ir *ir, const clg__space *space)
{
    int64_t sum = 0;
    for (int l = 0; l < space->n_loads; l++) {
        const clg__load *load = &space->loads[l];
        const clg_tensor *node = ir->values[load->value].node;
        if (node->op->load) continue;
        int64_t count = clg_shape_count(&node->shape);
        if (load->view >= 0) /* a slice reads less than there is, a repetition not more */
            count = clg__min_i64(count, clg_shape_count(&ir->values[load->view].node->shape));
        sum += count;
    }
    return sum;
}

static bool insert(clg__stage *stage, int id)
{
    if (stage->n_members == CLG__MAX_MEMBERS) return false;
    int at = stage->n_members++;
    for (; at > 0 && stage->members[at - 1] > id; at--) stage->members[at] = stage->members[at - 1];
    stage->members[at] = id;
    return true;
}

/* Lets one stage compute `id` itself; undone if that reads more or is no kernel any more. */
static bool clone_into(clg__ir *ir, clg__cluster *c, int stage, int id, const clg__space *before)
{
    clg__stage saved = c->body[stage];
    const clg_shape *shape = stage == 0 ? &c->space : &c->out_space;
    const clg_shape *own = &ir->values[id].node->shape;
    clg__space after;
    bool ok = clg__same_shape(shape, own) && insert(&c->body[stage], id) &&
              clg__space_make(&after, ir, c, stage) &&
              elements_read(ir, &after) * 10 <= elements_read(ir, before) * 11;
    if (!ok) c->body[stage] = saved;
    return ok;
}

static void remove_member(clg__stage *stage, int id)
{
    int kept = 0;
    for (int m = 0; m < stage->n_members; m++)
        if (stage->members[m] != id) stage->members[kept++] = stage->members[m];
    stage->n_members = kept;
}

/* Does a node read `id`, itself or through a view? */
static bool mentions(const clg__ir *ir, const clg__value *v, int id)
{
    for (int i = 0; i < v->n_inputs; i++) {
        int in = v->inputs[i];
        if (in == id || (clg__ir_virtual_view(ir, in) && ir->values[in].inputs[0] == id))
            return true;
    }
    return false;
}

/* A quick look at who could load `id`, before its loads are collected. */
static bool stage_mentions(const clg__ir *ir, const clg__cluster *c, int stage, int id)
{
    for (int m = 0; m < c->body[stage].n_members; m++)
        if (mentions(ir, &ir->values[c->body[stage].members[m]], id)) return true;
    for (int i = 0; stage == 0 && i < c->n_reduces; i++)
        if (mentions(ir, &ir->values[c->reduces[i]], id)) return true;
    return false;
}

/* ---- readers ---- */

/* Clusters that have a clone of a value, as lists; and room for the readers of one. */
typedef struct readers {
    int *clones; /* per value: index + 1 into items of its first clone */
    struct clone {
        int cluster, next;
    } * items;
    int n_items;
    size_t capacity;
    int *found, *stamp; /* found: clusters, stamp: per cluster, of the search that found it */
    int n_found, search;
} readers;

static bool readers_make(readers *r, const clg__ir *ir)
{
    *r = (readers){.clones = clg__calloc((size_t)ir->n_values + 1, sizeof *r->clones),
                   .found = clg__calloc((size_t)ir->n_clusters + 1, sizeof *r->found),
                   .stamp = clg__calloc((size_t)ir->n_clusters + 1, sizeof *r->stamp)};
    return r->clones && r->found && r->stamp;
}

static void readers_free(readers *r)
{
    clg__free(r->clones);
    clg__free(r->items);
    clg__free(r->found);
    clg__free(r->stamp);
}

static void found_reader(readers *r, int cluster)
{
    if (cluster < 0 || r->stamp[cluster] == r->search) return;
    r->stamp[cluster] = r->search;
    r->found[r->n_found++] = cluster;
}

/* Clusters that compute a user of `id`, as its owner or as a clone. */
static void find_users(readers *r, const clg__ir *ir, int id)
{
    for (int u = ir->first_user[id]; u < ir->first_user[id + 1]; u++) {
        int user = ir->users[u];
        found_reader(r, ir->values[user].cluster);
        for (int c = r->clones[user]; c; c = r->items[c - 1].next)
            found_reader(r, r->items[c - 1].cluster);
    }
}

static int ascending(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* All clusters that may load `id`, itself or through a view. */
static void find_readers(readers *r, const clg__ir *ir, int id)
{
    r->n_found = 0;
    r->search++;
    find_users(r, ir, id);
    for (int u = ir->first_user[id]; u < ir->first_user[id + 1]; u++)
        if (clg__ir_virtual_view(ir, ir->users[u])) find_users(r, ir, ir->users[u]);
    qsort(r->found, (size_t)r->n_found, sizeof *r->found, ascending);
}

static bool note_clone(readers *r, int id, int cluster)
{
    if (clg__grow((void **)&r->items, &r->capacity, (size_t)r->n_items + 1, sizeof *r->items) !=
        CLG_OK)
        return false;
    r->items[r->n_items++] = (struct clone){.cluster = cluster, .next = r->clones[id]};
    r->clones[id] = r->n_items;
    return true;
}

/* A stage that loads `id` gets a clone of it. False if it loads it and cannot. */
static bool clone_into_stage(clg__ir *ir, readers *r, int cluster, int stage, int id)
{
    clg__space space;
    clg__cluster *c = &ir->clusters[cluster];
    if (stage == 0 ? c->kind == CLG__CLUSTER_KERNEL : c->kind == CLG__CLUSTER_POINTWISE)
        return true;
    if (!stage_mentions(ir, c, stage, id) || clg__stage_owns(ir, c, stage, id) ||
        !clg__space_make(&space, ir, c, stage))
        return true;
    bool reads = false, through_view = false;
    for (int l = 0; l < space.n_loads; l++) {
        reads |= space.loads[l].value == id;
        through_view |= space.loads[l].value == id && space.loads[l].view >= 0;
    }
    if (!reads) return true;
    return !through_view && clone_into(ir, c, stage, id, &space) && note_clone(r, id, cluster);
}

/* All stages that load `id` get a clone, or none of them keeps one. */
static bool clone_into_readers(clg__ir *ir, readers *r, int id)
{
    bool all = true;
    find_readers(r, ir, id);
    for (int k = 0; k < r->n_found && all; k++)
        for (int stage = 0; stage < 2 && all; stage++)
            if (!ir->clusters[r->found[k]].dead)
                all = clone_into_stage(ir, r, r->found[k], stage, id);
    for (int k = 0; k < r->n_found && !all; k++)
        for (int stage = 0; stage < 2; stage++) {
            clg__cluster *c = &ir->clusters[r->found[k]];
            if (!clg__stage_owns(ir, c, stage, id)) remove_member(&c->body[stage], id);
        }
    return all;
}

static bool used_inside(const clg__ir *ir, const clg__cluster *c, int id)
{
    for (int stage = 0; stage < 2; stage++)
        for (int m = 0; m < c->body[stage].n_members; m++) {
            const clg__value *v = &ir->values[c->body[stage].members[m]];
            for (int i = 0; i < v->n_inputs; i++)
                if (v->inputs[i] == id) return true;
        }
    for (int i = 0; i < c->n_reduces; i++)
        if (ir->values[c->reduces[i]].inputs[0] == id) return true;
    return false;
}

/* Nobody reads it any more: it stays only where its own cluster goes on with it. */
static void forget(clg__ir *ir, int id)
{
    clg__value *v = &ir->values[id];
    clg__cluster *c = &ir->clusters[v->cluster];
    v->stored = false;
    if (used_inside(ir, c, id)) return;
    remove_member(&c->body[0], id);
    remove_member(&c->body[1], id);
    if (c->kind == CLG__CLUSTER_POINTWISE && c->body[0].n_members == 0) c->dead = true;
}

/* ---- chains of single numbers ---- */

static bool is_number(const clg_shape *shape)
{
    return clg_shape_count(shape) == 1 && !shape->batched;
}

bool clg__is_invariant(const clg__ir *ir, const clg__cluster *c, int id)
{
    return c->kind == CLG__CLUSTER_POINTWISE && !is_number(&c->space) &&
           is_number(&ir->values[id].node->shape);
}

/* True if a stage loads one of the chain's numbers. */
static bool loads_from(const clg__ir *ir, const clg__cluster *c, int stage,
                       const clg__cluster *chain)
{
    clg__space space;
    if (!clg__space_make(&space, ir, c, stage)) return false;
    for (int l = 0; l < space.n_loads; l++)
        if (clg__stage_has(chain, 0, space.loads[l].value)) return true;
    return false;
}

/* Adds to a reader the members of the chain that it needs; false if they do not fit. */
static bool insert_chain(clg__ir *ir, clg__cluster *reader, const clg__cluster *chain)
{
    clg__space space;
    if (!clg__space_make(&space, ir, reader, 0)) return false;
    for (int l = 0; l < space.n_loads; l++)
        if (space.loads[l].view >= 0 && clg__stage_has(chain, 0, space.loads[l].value))
            return false;
    for (int m = chain->body[0].n_members - 1; m >= 0; m--) {
        int id = chain->body[0].members[m];
        bool used = false;
        for (int k = 0; k < reader->body[0].n_members && !used; k++)
            used = mentions(ir, &ir->values[reader->body[0].members[k]], id);
        if (used && !insert(&reader->body[0], id)) return false;
    }
    return clg__space_make(&space, ir, reader, 0);
}

static bool is_chain(const clg__ir *ir, const clg__cluster *c, const bool *needed)
{
    if (c->dead || c->kind != CLG__CLUSTER_POINTWISE || !is_number(&c->space)) return false;
    for (int m = 0; m < c->body[0].n_members; m++) {
        int id = c->body[0].members[m];
        if (needed[id] || ir->values[id].uniform ||
            ir->values[id].node->op->class_ != CLG__POINTWISE)
            return false;
    }
    return true;
}

/* Moves a chain into all its readers if they are pointwise kernels over more than one element. */
static bool move_into_readers(clg__ir *ir, clg__cluster *chain)
{
    bool all = true, any = false;
    for (int k = 0; k < ir->n_clusters && all; k++) {
        clg__cluster *c = &ir->clusters[k];
        if (c->dead || c == chain) continue;
        bool plain = c->kind == CLG__CLUSTER_POINTWISE && !is_number(&c->space);
        bool reads = c->kind != CLG__CLUSTER_KERNEL && loads_from(ir, c, 0, chain);
        bool later = c->kind != CLG__CLUSTER_POINTWISE && loads_from(ir, c, 1, chain);
        if (reads) any = true;
        all = !later && (!reads || (plain && insert_chain(ir, c, chain)));
    }
    all &= any;
    for (int k = 0; k < ir->n_clusters && !all; k++) {
        clg__cluster *c = &ir->clusters[k];
        for (int m = 0; c != chain && m < chain->body[0].n_members; m++)
            if (clg__is_invariant(ir, c, chain->body[0].members[m]))
                remove_member(&c->body[0], chain->body[0].members[m]);
    }
    return all;
}

/* A chain may read another one: again until nothing moves. */
static void inline_chains(clg__ir *ir, const bool *needed)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (int k = 0; k < ir->n_clusters; k++) {
            clg__cluster *chain = &ir->clusters[k];
            if (!is_chain(ir, chain, needed) || !move_into_readers(ir, chain)) continue;
            chain->dead = moved = true;
            for (int m = 0; m < chain->body[0].n_members; m++)
                ir->values[chain->body[0].members[m]].stored = false;
        }
    }
}

clg_status clg__ir_recompute(clg__ir *ir, const bool *needed)
{
    readers r;
    bool ok = readers_make(&r, ir);
    for (int id = ir->n_values - 1; ok && id >= 0; id--)
        if (recomputable(ir, id, needed) && clone_into_readers(ir, &r, id)) forget(ir, id);
    readers_free(&r);
    if (ok) inline_chains(ir, needed);
    return ok ? CLG_OK : CLG_ERROR_MEMORY;
}
