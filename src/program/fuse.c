/*
 * Fusion: values are grouped into clusters, greedily in topological order. A pointwise node joins
 * the clusters that compute its inputs when they walk over the same shape; a reduction takes the
 * pointwise chain above it as its prologue; kernels and reductions take the chain below as their
 * epilogue.
 *
 * A join is legal if no path leaves the joined clusters and comes back (before.c).
 */
#include <stdlib.h>

#include "ops/tuning.h"
#include "program/ir.h"

/* ---- clusters ---- */

/* Where the memory of an input comes from: aliases and virtual views are seen through. -1: a leaf.
 */
static int producer(const clg__ir *ir, int id)
{
    for (;;) {
        const clg__value *v = &ir->values[id];
        if (v->uniform) return v->cluster;
        if (v->cluster >= 0) return v->cluster;
        if (v->n_inputs == 0 || v->node->op->class_ == CLG__ASSIGN) return -1;
        id = v->inputs[0];
    }
}

static clg__cluster *new_cluster(clg__ir *ir, clg__cluster_kind kind, int *index)
{
    clg__cluster *c = &ir->clusters[ir->n_clusters];
    *index = ir->n_clusters++;
    *c = (clg__cluster){.kind = kind, .anchor = -1, .head = *index, .next = -1};
    return c;
}

static void add_dependencies(clg__ir *ir, int cluster, int id)
{
    const clg__value *v = &ir->values[id];
    for (int i = 0; i < v->n_inputs; i++) {
        int before = producer(ir, v->inputs[i]);
        if (before >= 0) clg__before_add(&ir->before, before, cluster);
    }
}

static bool insert_member(clg__stage *stage, int id)
{
    int at = stage->n_members;
    if (at == CLG__MAX_MEMBERS) return false;
    while (at > 0 && stage->members[at - 1] > id) at--;
    if (at > 0 && stage->members[at - 1] == id) return true;
    memmove(&stage->members[at + 1], &stage->members[at],
            (size_t)(stage->n_members - at) * sizeof *stage->members);
    stage->members[at] = id;
    stage->n_members++;
    return true;
}

/* The stage of cluster c in which a pointwise node of this shape reading `input` can be; or -1. */
static int joinable_stage(const clg__ir *ir, int c, int input, const clg_shape *shape)
{
    const clg__cluster *cluster = &ir->clusters[c];
    if (cluster->kind != CLG__CLUSTER_POINTWISE && clg__same_shape(&cluster->out_space, shape) &&
        (cluster->kind == CLG__CLUSTER_REDUCE || cluster->fuses) &&
        clg__stage_has(cluster, 1, input))
        return 1;
    if (cluster->kind != CLG__CLUSTER_KERNEL && clg__same_shape(&cluster->space, shape) &&
        clg__stage_has(cluster, 0, input))
        return 0;
    return -1;
}

/* Everything that node `id` reads from cluster c must come from the stage it joins. */
static bool reads_only_stage(const clg__ir *ir, int c, int stage, int id)
{
    const clg__value *v = &ir->values[id];
    for (int i = 0; i < v->n_inputs; i++)
        if (producer(ir, v->inputs[i]) == c &&
            !clg__stage_has(&ir->clusters[c], stage, v->inputs[i]))
            return false;
    return true;
}

/* No input may come from a cluster that itself waits for c. */
static bool no_path_back(clg__ir *ir, int c, int id)
{
    const clg__value *v = &ir->values[id];
    for (int i = 0; i < v->n_inputs; i++) {
        int other = producer(ir, v->inputs[i]);
        if (other >= 0 && other != c && clg__before_holds(&ir->before, c, other)) return false;
    }
    return true;
}

/* The loads and results of both stages still fit one kernel. */
static bool fits(const clg__ir *ir, const clg__cluster *c)
{
    clg__space space;
    for (int stage = 0; stage < 2; stage++) {
        if (!clg__has_stage(c, stage)) continue;
        if (!clg__space_make(&space, ir, c, stage)) return false;
    }
    return true;
}

/* Adds node `id` to a stage of cluster c if the result is one kernel; undone otherwise. */
static bool try_join(clg__ir *ir, int c, int stage, int id)
{
    clg__cluster *cluster = &ir->clusters[c];
    if (!reads_only_stage(ir, c, stage, id) || !no_path_back(ir, c, id)) return false;
    clg__stage before = cluster->body[stage];
    if (!insert_member(&cluster->body[stage], id)) return false;
    if (!fits(ir, cluster)) {
        cluster->body[stage] = before;
        return false;
    }
    ir->values[id].cluster = c;
    add_dependencies(ir, c, id);
    return true;
}

/* ---- a cluster into another one ---- */

/* Is `from` a chain that walks over the same elements as this stage of cluster `into`? */
static bool can_absorb(clg__ir *ir, int into, int stage, int from)
{
    if (from < 0 || from == into) return false;
    const clg__cluster *target = &ir->clusters[into], *source = &ir->clusters[from];
    const clg_shape *shape = stage ? &target->out_space : &target->space;
    return source->kind == CLG__CLUSTER_POINTWISE && !source->dead &&
           clg__same_shape(&source->space, shape) && clg__before_mergeable(&ir->before, into, from);
}

/* False, with some of them added, if not all of the chain's members can be in the stage. */
static bool add_members(clg__ir *ir, int into, int stage, const clg__stage *chain)
{
    for (int i = 0; i < chain->n_members; i++)
        if (!reads_only_stage(ir, into, stage, chain->members[i]) ||
            !insert_member(&ir->clusters[into].body[stage], chain->members[i]))
            return false;
    return true;
}

static bool reads_cluster(const clg__ir *ir, int id, int from)
{
    const clg__value *v = &ir->values[id];
    for (int i = 0; i < v->n_inputs; i++)
        if (producer(ir, v->inputs[i]) == from) return true;
    return false;
}

/* Does the reduction or kernel of cluster `into` itself need what chain `from` makes? Then that
 * cannot come behind it. */
static bool feeds_anchor(clg__ir *ir, int into, int from)
{
    const clg__cluster *target = &ir->clusters[into];
    if (!clg__before_holds(&ir->before, from, into)) return false;
    if (target->kind == CLG__CLUSTER_KERNEL) return reads_cluster(ir, target->anchor, from);
    clg__space space;
    if (!clg__space_make(&space, ir, target, 0)) return true;
    const clg__stage *chain = &ir->clusters[from].body[0];
    for (int i = 0; i < chain->n_members; i++)
        if (clg__space_find(&space, ir, chain->members[i]) >= 0) return true;
    return false;
}

static void take_over(clg__ir *ir, int into, int from)
{
    clg__cluster *source = &ir->clusters[from];
    for (int i = 0; i < source->body[0].n_members; i++)
        ir->values[source->body[0].members[i]].cluster = into;
    source->dead = true;
    clg__before_merge(&ir->before, into, from);
}

/* Moves chain `from` into a stage of cluster `into` if the result is one kernel; undone otherwise.
 */
static bool try_absorb(clg__ir *ir, int into, int stage, int from)
{
    if (!can_absorb(ir, into, stage, from)) return false;
    clg__cluster *target = &ir->clusters[into];
    const clg__stage before = target->body[stage];
    bool fit = add_members(ir, into, stage, &ir->clusters[from].body[0]);
    if (stage == 1) fit = fit && !feeds_anchor(ir, into, from);
    if (!fit || !fits(ir, target)) {
        target->body[stage] = before;
        return false;
    }
    take_over(ir, into, from);
    return true;
}

/* ---- one node after the other ---- */

static clg_status start_pointwise(clg__ir *ir, int id)
{
    int index;
    clg__cluster *c = new_cluster(ir, CLG__CLUSTER_POINTWISE, &index);
    if (!c) return CLG_ERROR_MEMORY;
    c->space = c->out_space = ir->values[id].node->shape;
    insert_member(&c->body[0], id);
    ir->values[id].cluster = index;
    add_dependencies(ir, index, id);
    return CLG_OK;
}

/* Kernels and reductions first: a chain rather becomes their epilogue than a kernel of its own. */
static int best_candidate(const clg__ir *ir, int id, const bool *tried, int *stage)
{
    const clg__value *v = &ir->values[id];
    int best = -1;
    for (int i = 0; i < v->n_inputs; i++) {
        int c = ir->values[v->inputs[i]].cluster;
        if (c < 0 || tried[i]) continue;
        int s = joinable_stage(ir, c, v->inputs[i], &v->node->shape);
        if (s < 0) continue;
        bool better = best < 0;
        if (!better) {
            int current = ir->values[v->inputs[best]].cluster;
            better = ir->clusters[c].kind > ir->clusters[current].kind;
        }
        if (better) {
            best = i;
            *stage = s;
        }
    }
    return best;
}

static clg_status cluster_pointwise(clg__ir *ir, int id)
{
    const clg__value *v = &ir->values[id];
    bool tried[CLG__MAX_INPUTS] = {false};
    int stage = 0, input;
    while ((input = best_candidate(ir, id, tried, &stage)) >= 0) {
        tried[input] = true;
        int c = ir->values[v->inputs[input]].cluster;
        if (!try_join(ir, c, stage, id)) continue;
        /* The other inputs' chains come along where they can. */
        for (int i = 0; i < v->n_inputs; i++)
            try_absorb(ir, c, stage, ir->values[v->inputs[i]].cluster);
        return CLG_OK;
    }
    return start_pointwise(ir, id);
}

static bool same_reduction(const clg__ir *ir, const clg__cluster *c, const clg_tensor *node)
{
    const clg__reduce_attr *attr = node->attr;
    return c->kind == CLG__CLUSTER_REDUCE && c->reduce_first == attr->first &&
           c->reduce_count == attr->count && clg__same_shape(&c->space, &node->inputs[0]->shape) &&
           c->n_reduces < CLG__MAX_REDUCES;
}

/*
 * Does a reduction cluster have `in` at hand? It computes or loads it already, or loads another
 * result of the cluster `from` that makes it: then both are there at the same time anyway.
 */
static bool at_hand(const clg__ir *ir, const clg__cluster *c, int in, int from)
{
    clg__space space;
    if (clg__stage_has(c, 0, in)) return true;
    if (!clg__space_make(&space, ir, c, 0)) return false;
    if (clg__space_find(&space, ir, in) >= 0) return true;
    for (int i = 0; i < space.n_loads && from >= 0; i++)
        if (producer(ir, space.loads[i].value) == from) return true;
    return false;
}

/* Do two clusters read, through the same view, something as large as they are? */
static bool share_large_load(const clg__ir *ir, const clg__cluster *one, const clg__cluster *other)
{
    clg__space a, b;
    if (!clg__space_make(&a, ir, one, 0) || !clg__space_make(&b, ir, other, 0)) return false;
    for (int i = 0; i < a.n_loads; i++)
        for (int k = 0; a.loads[i].moves == (1u << a.n_axes) - 1 && k < b.n_loads; k++)
            if (a.loads[i].value == b.loads[k].value && a.loads[i].view == b.loads[k].view)
                return true;
    return false;
}

/* Takes in the chain that makes a reduction's input where both read the same: it is read once. */
static bool takes_chain(clg__ir *ir, int c, int in)
{
    int chain = ir->values[in].cluster;
    return can_absorb(ir, c, 0, chain) &&
           share_large_load(ir, &ir->clusters[c], &ir->clusters[chain]) &&
           try_absorb(ir, c, 0, chain);
}

/* A second reduction of what a reduction cluster already has at hand. */
static bool join_reduction(clg__ir *ir, int id)
{
    clg__value *v = &ir->values[id];
    int in = v->inputs[0], from = producer(ir, in);
    for (int c = ir->n_clusters - 1; c >= 0 && c >= ir->n_clusters - 16; c--) {
        clg__cluster *cluster = &ir->clusters[c];
        if (cluster->dead || !same_reduction(ir, cluster, v->node)) continue;
        if (!at_hand(ir, cluster, in, from) && !takes_chain(ir, c, in)) continue;
        from = producer(ir, in);
        if (from >= 0 && from != c && clg__before_holds(&ir->before, c, from)) continue;
        cluster->reduces[cluster->n_reduces++] = id;
        if (!fits(ir, cluster)) {
            cluster->n_reduces--;
            continue;
        }
        v->cluster = c;
        add_dependencies(ir, c, id);
        return true;
    }
    return false;
}

static clg_status cluster_reduce(clg__ir *ir, int id)
{
    if (join_reduction(ir, id)) return CLG_OK;
    int index;
    clg__value *v = &ir->values[id];
    clg__cluster *c = new_cluster(ir, CLG__CLUSTER_REDUCE, &index);
    if (!c) return CLG_ERROR_MEMORY;
    const clg__reduce_attr *attr = v->node->attr;
    c->space = v->node->inputs[0]->shape;
    c->out_space = v->node->shape;
    c->reduce_first = attr->first;
    c->reduce_count = attr->count;
    c->reduces[c->n_reduces++] = id;
    v->cluster = index;
    add_dependencies(ir, index, id);
    try_absorb(ir, index, 0, ir->values[v->inputs[0]].cluster);
    return CLG_OK;
}

enum { VARIABLE = 64 };

/* CLGRAD_<OP>, and its value; NULL if it is not set, or empty. */
static const char *wanted_algorithm(const clg__op *op, char variable[VARIABLE])
{
    snprintf(variable, VARIABLE, "CLGRAD_%s", op->name);
    for (char *p = variable; *p; p++) *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    const char *name = getenv(variable);
    return name && *name ? name : NULL;
}

/* The first algorithm of this name (NULL: of the engine) that applies; or NULL. */
static const clg__algorithm *find_algorithm(const clg__ir *ir, const clg_tensor *node,
                                            const char *name, bool trusted)
{
    const clg_context *ctx = ir->ctx;
    for (const clg__algorithm *a = node->op->algorithms; a->name; a++) {
        if (name ? strcmp(a->name, name) != 0 : !(a->engines >> ctx->engine & 1)) continue;
        if (a->applies && !a->applies(ctx, node)) continue;
        if (!name && a->by_default && !a->by_default(ctx, node, ir->batch)) continue;
        if (!trusted || !a->trusted || a->trusted(ctx)) return a;
    }
    return NULL;
}

/* A wanted one (or NULL) is none of the operation's, or not for this node and device. */
static clg_status no_algorithm(const clg__ir *ir, const clg_tensor *node, const char *wanted,
                               const char *variable)
{
    clg__str names = {0};
    bool known = !wanted;
    for (const clg__algorithm *a = node->op->algorithms; a->name; a++) {
        known |= wanted && strcmp(a->name, wanted) == 0;
        clg__str_addf(&names, "%s%s", names.length ? ", " : "", a->name);
    }
    clg_status status =
        known ? clg__fail(CLG_ERROR_UNSUPPORTED, "%s: no algorithm %s%s%sserves this node on %s",
                          node->op->name, wanted ? "named " : "", wanted ? wanted : "",
                          wanted ? " " : "", ir->ctx->info.name)
              : clg__fail(CLG_ERROR_ARGUMENT, "%s: \"%s\" is none of %s", variable, wanted,
                          clg__str_text(&names));
    clg__str_free(&names);
    return status;
}

/*
 * The algorithm of a kernel node: $CLGRAD_<OP>, else what tuning chose for the node's class of
 * problems if it applies to the node, else the engine's first that applies.
 */
static clg_status choose_algorithm(const clg__ir *ir, const clg_tensor *node,
                                   const clg__algorithm **chosen)
{
    char variable[VARIABLE];
    const char *wanted = wanted_algorithm(node->op, variable);
    const char *tuned = wanted ? NULL : clg__tuned_algorithm(ir->ctx, node);
    const clg__algorithm *found = NULL;
    if (tuned) found = find_algorithm(ir, node, tuned, true);
    if (!found) found = find_algorithm(ir, node, wanted, !wanted);
    if (!found) return no_algorithm(ir, node, wanted, variable);
    *chosen = found;
    return CLG_OK;
}

static clg_status cluster_kernel(clg__ir *ir, int id)
{
    int index;
    clg__value *v = &ir->values[id];
    clg__cluster *c = new_cluster(ir, CLG__CLUSTER_KERNEL, &index);
    if (!c) return CLG_ERROR_MEMORY;
    c->anchor = id;
    c->space = c->out_space = v->node->shape;
    CLG_TRY(choose_algorithm(ir, v->node, &c->algorithm));
    c->fuses = c->algorithm->fuses_epilogue;
    v->cluster = index;
    add_dependencies(ir, index, id);
    return CLG_OK;
}

/* Values that kernels, aliases, assignments or the caller need as plain memory. */
static void find_materialized(clg__ir *ir, bool *needed)
{
    for (int id = 0; id < ir->n_values; id++) {
        const clg__value *v = &ir->values[id];
        if (!v->live) continue;
        needed[id] |= v->output;
        if (v->uniform) continue;
        clg__op_class class_ = v->node->op->class_;
        bool memory = class_ == CLG__KERNEL || class_ == CLG__ALIAS || class_ == CLG__VIEW;
        for (int i = 0; memory && i < v->n_inputs; i++) needed[v->inputs[i]] = true;
    }
    for (int i = 0; i < ir->n_assignments; i++) needed[ir->assignments[i].value] = true;
}

static clg_status cluster_value(clg__ir *ir, int id, bool needed)
{
    const clg__value *v = &ir->values[id];
    const clg__op *op = v->node->op;
    if (v->uniform) return needed ? start_pointwise(ir, id) : CLG_OK;
    switch (op->class_) {
    case CLG__SOURCE:
        return needed && op->load ? start_pointwise(ir, id) : CLG_OK;
    case CLG__VIEW:
        return needed ? start_pointwise(ir, id) : CLG_OK;
    case CLG__POINTWISE:
        return cluster_pointwise(ir, id);
    case CLG__REDUCE:
        return cluster_reduce(ir, id);
    case CLG__KERNEL:
        return cluster_kernel(ir, id);
    case CLG__ALIAS:
    case CLG__ASSIGN:
    case CLG__MODE:
        return CLG_OK;
    }
    return CLG_OK;
}

/* ---- who is stored ---- */

static void mark_stage_loads(clg__ir *ir, const clg__cluster *c, int stage)
{
    clg__space space;
    if (!clg__space_make(&space, ir, c, stage)) return;
    for (int i = 0; i < space.n_loads; i++) ir->values[space.loads[i].value].stored = true;
}

static void mark_stored(clg__ir *ir, const bool *needed)
{
    for (int id = 0; id < ir->n_values; id++) ir->values[id].stored = needed[id];
    for (int c = 0; c < ir->n_clusters; c++) {
        const clg__cluster *cluster = &ir->clusters[c];
        if (cluster->dead) continue;
        for (int stage = 0; stage < 2; stage++)
            if (clg__has_stage(cluster, stage)) mark_stage_loads(ir, cluster, stage);
        if (cluster->kind == CLG__CLUSTER_KERNEL && !cluster->fuses)
            ir->values[cluster->anchor].stored = true;
    }
}

clg_status clg__ir_fuse(clg__ir *ir)
{
    int live = 0;
    for (int id = 0; id < ir->n_values; id++) live += ir->values[id].live;
    ir->clusters = clg__calloc((size_t)live + 1, sizeof *ir->clusters);
    bool *needed = clg__calloc((size_t)ir->n_values + 1, sizeof *needed);
    clg_status status = ir->clusters && needed ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK) status = clg__before_make(&ir->before, live);
    if (status == CLG_OK) find_materialized(ir, needed);
    for (int id = 0; status == CLG_OK && id < ir->n_values; id++)
        if (ir->values[id].live) status = cluster_value(ir, id, needed[id]);
    if (ir->before.failed) status = CLG_ERROR_MEMORY;
    if (status == CLG_OK) {
        mark_stored(ir, needed);
        status = clg__ir_recompute(ir, needed);
        mark_stored(ir, needed);
        if (status == CLG_OK) status = clg__ir_chain(ir, needed);
    }
    clg__free(needed);
    return status;
}
