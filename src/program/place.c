/*
 * Order and aliases: in which order clusters run, and which values share memory because one is part
 * of another (reshapes, parts of a concatenation, new values of variables).
 */
#include "program/ir.h"

int clg__ir_root(const clg__ir *ir, int id, int64_t *offset)
{
    int64_t sum = 0;
    for (; ir->values[id].parent >= 0; id = ir->values[id].parent) sum += ir->values[id].offset;
    if (offset) *offset = sum;
    return id;
}

int64_t clg__ir_offset(const clg__ir *ir, int id, int64_t batch)
{
    int64_t sum = 0;
    for (; ir->values[id].parent >= 0; id = ir->values[id].parent) {
        const clg__value *v = &ir->values[id];
        sum += v->follows ? v->offset / ir->graph->batch * batch : v->offset;
    }
    return sum;
}

static int64_t count_of(const clg__ir *ir, int id)
{
    return clg_shape_count(&ir->values[id].node->shape);
}

/* ---- aliases ---- */

/* The computed value whose memory `id` is, if it is all of that memory and still free to place. */
static int placeable_root(const clg__ir *ir, int id)
{
    int64_t offset;
    int root = clg__ir_root(ir, id, &offset);
    const clg__value *v = &ir->values[root];
    bool whole = offset == 0 && count_of(ir, root) == count_of(ir, id);
    return whole && v->cluster >= 0 && v->stored ? root : -1;
}

static void place_parts(clg__ir *ir, int id)
{
    const clg__value *v = &ir->values[id];
    for (int i = 0; i < v->n_inputs; i++) {
        int64_t offset;
        if (!v->node->op->places(v->node, i, &offset)) continue;
        int root = placeable_root(ir, v->inputs[i]);
        if (root < 0 || root == id) continue;
        ir->values[root].parent = id;
        ir->values[root].offset = offset;
        ir->values[root].follows = v->node->shape.batched != 0;
    }
}

static void place_alias(clg__value *v)
{
    v->parent = v->inputs[0];
    v->offset = v->node->op->alias ? v->node->op->alias(v->node) : 0;
    v->follows = v->node->shape.batched != 0;
}

clg_status clg__ir_alias(clg__ir *ir)
{
    for (int id = 0; id < ir->n_values; id++) {
        clg__value *v = &ir->values[id];
        if (!v->live || v->uniform || v->same != id) continue;
        if (v->node->op->class_ == CLG__ALIAS) place_alias(v);
    }
    /* Outermost first, so that the parts of an inner concatenation find their final place. */
    for (int id = ir->n_values - 1; id >= 0; id--)
        if (ir->values[id].live && !ir->values[id].uniform && ir->values[id].node->op->places)
            place_parts(ir, id);
    return CLG_OK;
}

/* ---- which memory a cluster reads ---- */

static void visit_cluster(const clg__ir *ir, int cluster, clg__visit_read visit, void *user)
{
    const clg__cluster *c = &ir->clusters[cluster];
    clg__space space;
    for (int stage = 0; stage < 2; stage++) {
        if (!clg__has_stage(c, stage)) continue;
        clg__space_make(&space, ir, c, stage);
        bool stores = stage == 1 || c->kind == CLG__CLUSTER_POINTWISE;
        for (int i = 0; i < space.n_loads; i++)
            visit(ir,
                  &(clg__read){cluster, space.loads[i].value, stores ? &space : NULL, .load = i},
                  user);
    }
    if (c->anchor < 0) return;
    const clg__value *v = &ir->values[c->anchor];
    for (int i = 0; i < v->n_inputs; i++)
        visit(ir, &(clg__read){.cluster = cluster, .value = v->inputs[i]}, user);
}

void clg__ir_visit_reads(const clg__ir *ir, int head, clg__visit_read visit, void *user)
{
    for (int k = head; k >= 0; k = ir->clusters[k].next) visit_cluster(ir, k, visit, user);
}

/* ---- order ---- */

typedef struct ordering {
    unsigned char *state; /* per cluster: 0 new, 1 waiting, 2 done */
    int *stack;           /* a path: each cluster waits for the one above it */
    int depth;
    bool pushed; /* only one dependency at a time: others may wait for it */
} ordering;

static void push_dependency(const clg__ir *ir, const clg__read *read, void *user)
{
    ordering *o = user;
    int before = -1;
    for (int id = read->value; id >= 0 && before < 0; id = ir->values[id].parent)
        before = ir->values[id].cluster;
    if (before >= 0) before = ir->clusters[before].head;
    if (before >= 0 && before != ir->clusters[read->cluster].head && o->state[before] == 0 &&
        !o->pushed) {
        o->state[before] = 1;
        o->stack[o->depth++] = before;
        o->pushed = true;
    }
}

/* Depth-first: everything a cluster reads is emitted before it. */
static void emit(clg__ir *ir, ordering *o, int cluster)
{
    if (o->state[cluster] == 2) return;
    o->stack[o->depth++] = cluster;
    o->state[cluster] = 1;
    while (o->depth > 0) {
        int top = o->stack[o->depth - 1];
        o->pushed = false;
        clg__ir_visit_reads(ir, top, push_dependency, o);
        if (o->pushed) continue;
        o->depth--;
        o->state[top] = 2;
        for (int k = top; k >= 0; k = ir->clusters[k].next) ir->clusters[k].order = ir->n_order;
        ir->order[ir->n_order++] = top;
    }
}

static bool makes_assigned_value(const clg__ir *ir, int cluster)
{
    for (int i = 0; i < ir->n_assignments; i++)
        if (ir->values[clg__ir_root(ir, ir->assignments[i].value, NULL)].cluster == cluster)
            return true;
    return false;
}

/* ---- new values of variables ---- */

typedef struct hazard {
    const clg_tensor *variable;
    int64_t count;
    int step;      /* at which the new value is written */
    bool conflict; /* somebody reads the old value then or later */
} hazard;

/* A read at the writing step is harmless if it is the element that is about to be written. */
static bool reads_same_element(const clg__read *read, const clg_tensor *node, const hazard *h)
{
    const clg__variable_attr *from = node->attr, *to = h->variable->attr;
    const clg__space *space = read->space;
    if (!space || from->offset != to->offset) return false;
    const clg__load *l = &space->loads[read->load];
    if (l->view >= 0 || l->offset != 0) return false;
    int64_t stride = 1;
    for (int k = space->n_axes - 1; k >= 0; k--) {
        if (l->stride[k] != stride && space->extent[k] != 1) return false;
        stride *= space->extent[k];
    }
    return stride == h->count;
}

/* The writing operation itself has this value as an input that it leaves where it is (places), and
 * reads nothing else of the variable. */
static bool is_kept_in_place(const clg__ir *ir, const clg__read *read, const hazard *h)
{
    const clg__cluster *c = &ir->clusters[read->cluster];
    if (c->anchor < 0 || c->order != h->step || !ir->values[c->anchor].node->op->places)
        return false;
    const clg__value *v = &ir->values[c->anchor];
    int kept = 0, reads = 0;
    for (int i = 0; i < v->n_inputs; i++) {
        int64_t at = 0;
        if (v->inputs[i] != read->value) continue;
        reads++;
        kept += v->node->op->places(v->node, i, &at) && at == 0;
    }
    return reads == 1 && kept == 1 && count_of(ir, read->value) == h->count;
}

static void check_read(const clg__ir *ir, const clg__read *read, void *user)
{
    hazard *h = user;
    int64_t at;
    const int step = ir->clusters[read->cluster].order;
    const clg_tensor *node = ir->values[clg__ir_root(ir, read->value, &at)].node;
    if (!read->space && is_kept_in_place(ir, read, h)) return;
    if (step < h->step || !clg__variables_overlap(node, h->variable)) return;
    bool harmless = step == h->step && at == 0 && reads_same_element(read, node, h);
    if (!harmless) h->conflict = true;
}

/* Lets the new value be written straight into the variable, or says that it must be copied. */
static void place_assignment(clg__ir *ir, struct clg__assignment *a)
{
    int root = placeable_root(ir, a->value);
    a->copied = true;
    if (root < 0 || ir->values[root].parent >= 0) return;
    hazard h = {.variable = ir->values[a->variable].node,
                .count = count_of(ir, a->variable),
                .step = ir->clusters[ir->values[root].cluster].order};
    for (int i = 0; i < ir->n_order && !h.conflict; i++)
        clg__ir_visit_reads(ir, ir->order[i], check_read, &h);
    if (h.conflict) return;
    a->copied = false;
    ir->values[root].parent = a->variable;
    ir->values[root].offset = 0;
}

clg_status clg__ir_order(clg__ir *ir)
{
    ordering o = {.state = clg__calloc((size_t)ir->n_clusters + 1, 1),
                  .stack = clg__calloc((size_t)ir->n_clusters * 2 + 2, sizeof *o.stack)};
    ir->order = clg__calloc((size_t)ir->n_clusters + 1, sizeof *ir->order);
    bool ok = o.state && o.stack && ir->order;
    /* Clusters that make new values of variables come last: by then the old ones were read. */
    for (int pass = 0; ok && pass < 2; pass++)
        for (int c = 0; c < ir->n_clusters; c++)
            if (!ir->clusters[c].dead && ir->clusters[c].head == c &&
                (pass == 1 || !makes_assigned_value(ir, c)))
                emit(ir, &o, c);
    clg__free(o.state);
    clg__free(o.stack);
    if (!ok) return CLG_ERROR_MEMORY;
    for (int i = 0; i < ir->n_assignments; i++) place_assignment(ir, &ir->assignments[i]);
    return CLG_OK;
}
