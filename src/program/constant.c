/*
 * Constants: what a program without updates computes from variables alone, such as the factors of
 * batch normalization from its running variances. Their memory is theirs for the whole program, so
 * that results stay from run to run; their steps are left out as long as no variable changed.
 *
 * Whether one changed is known by the versions of their storage, as for prepared inputs
 * (prepare.c). Where the caller holds the cl_mem of a variable nothing is known.
 */
#include "program/program.h"

static bool is_constant_value(const clg__ir *ir, int id);

/* One that is not computed by a cluster. */
static bool is_constant_source(const clg__ir *ir, int id)
{
    const clg__value *v = &ir->values[id];
    if (v->uniform) return v->power == 0;
    if (clg__is_variable_node(v->node)) return true;
    for (int i = 0; i < v->n_inputs; i++)
        if (!is_constant_value(ir, v->inputs[i])) return false;
    return v->n_inputs > 0;
}

static bool is_constant_value(const clg__ir *ir, int id)
{
    const int cluster = ir->values[id].cluster;
    return cluster >= 0 ? ir->clusters[cluster].constant : is_constant_source(ir, id);
}

/* Its results stay where they are, are not of a batch, and come from constants. */
static bool is_constant_member(const clg__ir *ir, int cluster, int id)
{
    const clg__value *v = &ir->values[id];
    if (v->node->shape.batched || v->parent >= 0) return false;
    if (v->uniform) return v->power == 0;
    if (v->node->op->load) return false; /* may follow the number of the step */
    for (int i = 0; i < v->n_inputs; i++)
        if (ir->values[v->inputs[i]].cluster != cluster && !is_constant_value(ir, v->inputs[i]))
            return false;
    return true;
}

static bool is_constant_cluster(const clg__ir *ir, int cluster)
{
    const clg__cluster *c = &ir->clusters[cluster];
    if (c->space.batched || c->out_space.batched) return false;
    for (int stage = 0; stage < 2; stage++)
        for (int i = 0; i < c->body[stage].n_members; i++)
            if (!is_constant_member(ir, cluster, c->body[stage].members[i])) return false;
    for (int i = 0; i < c->n_reduces; i++)
        if (!is_constant_member(ir, cluster, c->reduces[i])) return false;
    return c->anchor < 0 || is_constant_member(ir, cluster, c->anchor);
}

/* A step is constant as a whole. */
static bool mark_step(clg__ir *ir, int head)
{
    bool all = true;
    for (int k = head; k >= 0; k = ir->clusters[k].next)
        all &= ir->clusters[k].constant = all && is_constant_cluster(ir, k);
    for (int k = head; k >= 0 && !all; k = ir->clusters[k].next) ir->clusters[k].constant = false;
    return all;
}

bool clg__ir_find_constants(clg__ir *ir)
{
    bool any = false;
    for (int i = 0; i < ir->n_order && ir->n_assignments == 0; i++)
        any |= mark_step(ir, ir->order[i]);
    return any;
}

/* ---- running ---- */

/* Rises whenever a variable of the program changes; false: they may have changed unseen. */
static bool variables_version(const clg_program *p, uint64_t *version)
{
    *version = 0;
    for (int id = 0; id < p->ir.n_values; id++) {
        const clg__value *v = &p->ir.values[id];
        if (!v->live || !clg__is_variable_node(v->node)) continue;
        const clg__storage *storage = ((const clg__variable_attr *)v->node->attr)->storage;
        if (storage->exposed) return false;
        *version += storage->version;
    }
    return true;
}

bool clg__constants_last(const clg_program *p)
{
    uint64_t version;
    return variables_version(p, &version);
}

void clg__constants_check(clg_program *p)
{
    uint64_t version;
    if (!p->has_constants) return;
    p->constants_known = variables_version(p, &version);
    p->constants_fresh =
        p->constants_fresh && p->constants_known && version == p->constants_version;
    p->constants_version = version;
}

void clg__constants_made(clg_program *p)
{
    p->constants_fresh = p->constants_known;
}
