/*
 * Lifetimes of values in memory (lifetime.h).
 */
#include "program/lifetime.h"

/* ---- accesses ---- */

typedef struct collector {
    clg__lifetimes *lives;
    int first; /* access of the step */
    clg_status status;
} collector;

static void add_access(collector *c, int value, bool writes)
{
    clg__lifetimes *l = c->lives;
    void *items = l->accesses;
    if (c->status != CLG_OK) return;
    if (l->latest[value] >= c->first) {
        l->accesses[l->latest[value]].writes |= writes;
        return;
    }
    l->latest[value] = (int)l->n_accesses;
    c->status = clg__grow(&items, &l->accesses_capacity, l->n_accesses + 1, sizeof *l->accesses);
    l->accesses = items;
    if (c->status == CLG_OK)
        l->accesses[l->n_accesses++] = (clg__access){.value = value, .writes = writes};
}

static void add_read(const clg__ir *ir, const clg__read *read, void *user)
{
    add_access(user, clg__ir_root(ir, read->value, NULL), false);
}

static void add_write(collector *c, const clg__ir *ir, int cluster, int id)
{
    const clg__value *v = &ir->values[id];
    if (v->live && v->stored && v->cluster == cluster)
        add_access(c, clg__ir_root(ir, id, NULL), true);
}

static void add_writes(collector *c, const clg__ir *ir, int cluster)
{
    const clg__cluster *k = &ir->clusters[cluster];
    for (int stage = 0; stage < 2; stage++)
        for (int i = 0; i < k->body[stage].n_members; i++)
            add_write(c, ir, cluster, k->body[stage].members[i]);
    for (int i = 0; i < k->n_reduces; i++) add_write(c, ir, cluster, k->reduces[i]);
    if (k->anchor >= 0) add_write(c, ir, cluster, k->anchor);
}

static clg_status collect_accesses(clg__lifetimes *lives, const clg__ir *ir)
{
    collector c = {.lives = lives};
    for (int id = 0; id < ir->n_values; id++) lives->latest[id] = -1;
    for (int head = 0; head < ir->n_clusters; head++) {
        lives->first_access[head] = c.first = (int)lives->n_accesses;
        if (ir->clusters[head].dead || ir->clusters[head].head != head) continue;
        clg__ir_visit_reads(ir, head, add_read, &c);
        for (int k = head; k >= 0; k = ir->clusters[k].next) add_writes(&c, ir, k);
    }
    lives->first_access[ir->n_clusters] = (int)lives->n_accesses;
    return c.status;
}

/* ---- spans ---- */

static clg_status begin_span(clg__lifetimes *lives, int value, int step)
{
    void *spans = lives->spans;
    CLG_TRY(clg__grow(&spans, &lives->spans_capacity, lives->n_spans + 1, sizeof *lives->spans));
    lives->spans = spans;
    lives->spans[lives->n_spans] = (clg__span){
        .first = step, .last = step, .earlier = lives->latest[value], .before_last = step};
    lives->latest[value] = (int)lives->n_spans++;
    return CLG_OK;
}

static clg_status touch(clg__lifetimes *lives, int value, int step)
{
    if (lives->latest[value] < 0) return begin_span(lives, value, step);
    clg__span *span = &lives->spans[lives->latest[value]];
    if (span->last != step) span->before_last = span->last;
    span->last = step;
    return CLG_OK;
}

static clg_status follow_step(clg__lifetimes *lives, int head, int step)
{
    const bool again = lives->ran[head];
    lives->ran[head] = true;
    for (int a = lives->first_access[head]; a < lives->first_access[head + 1]; a++) {
        const clg__access *access = &lives->accesses[a];
        if (again && access->writes)
            CLG_TRY(begin_span(lives, access->value, step));
        else
            CLG_TRY(touch(lives, access->value, step));
    }
    return CLG_OK;
}

/* What is needed behind the last step, or from run to run. */
static clg_status follow_results(clg__lifetimes *lives, const clg__ir *ir)
{
    for (int id = 0; id < ir->n_values; id++) {
        const clg__value *v = &ir->values[id];
        const int root = v->live ? clg__ir_root(ir, id, NULL) : id;
        if (v->live && v->output) CLG_TRY(touch(lives, root, ir->n_order));
        if (!v->live || !v->stored || v->cluster < 0 || !ir->clusters[v->cluster].constant)
            continue;
        CLG_TRY(touch(lives, root, ir->n_order));
        lives->spans[lives->latest[root]].first = 0;
    }
    for (int i = 0; i < ir->n_assignments; i++)
        if (ir->assignments[i].copied)
            CLG_TRY(touch(lives, clg__ir_root(ir, ir->assignments[i].value, NULL), ir->n_order));
    return CLG_OK;
}

clg_status clg__lifetimes_follow(clg__lifetimes *lives, const clg__ir *ir)
{
    lives->n_spans = 0;
    for (int id = 0; id < ir->n_values; id++) lives->latest[id] = -1;
    for (int c = 0; c < ir->n_clusters; c++) lives->ran[c] = false;
    for (int i = 0; i < ir->n_order; i++) CLG_TRY(follow_step(lives, ir->order[i], i));
    return follow_results(lives, ir);
}

clg_status clg__lifetimes_make(clg__lifetimes *lives, const clg__ir *ir)
{
    const size_t clusters = (size_t)ir->n_clusters + 1, values = (size_t)ir->n_values + 1;
    *lives = (clg__lifetimes){.first_access = clg__calloc(clusters, sizeof *lives->first_access),
                              .latest = clg__calloc(values, sizeof *lives->latest),
                              .ran = clg__calloc(clusters, sizeof *lives->ran)};
    if (!lives->first_access || !lives->latest || !lives->ran) return CLG_ERROR_MEMORY;
    CLG_TRY(collect_accesses(lives, ir));
    return clg__lifetimes_follow(lives, ir);
}

void clg__lifetimes_free(clg__lifetimes *lives)
{
    clg__free(lives->accesses);
    clg__free(lives->first_access);
    clg__free(lives->spans);
    clg__free(lives->latest);
    clg__free(lives->ran);
    *lives = (clg__lifetimes){0};
}
