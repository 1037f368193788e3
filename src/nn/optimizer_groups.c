/*
 * Choosing variables: those that the caller names or that the loss depends on, dealt out to the
 * groups that the caller describes. Within a group they keep the order of creation.
 */
#include "nn/optimizer_groups.h"

#include <fnmatch.h>
#include <math.h>

#include "base/base.h"
#include "tensor/graph.h"

/* ---- which variables ---- */

static clg_status add(clg__group *list, clg_tensor *t)
{
    CLG_TRY(
        clg__grow((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items));
    list->items[list->count++] = t;
    return CLG_OK;
}

static bool has(clg_tensor *const *items, size_t count, const clg_tensor *t)
{
    for (size_t i = 0; i < count; i++)
        if (items[i] == t) return true;
    return false;
}

/*
 * Marks every node that `loss` depends on. Inputs have smaller ids than their users, so one pass
 * backwards over the ids is enough.
 */
static void mark_reached(const clg_tensor *loss, bool *reached)
{
    reached[loss->id] = true;
    for (int id = loss->id; id >= 0; id--) {
        const clg_tensor *node = loss->graph->nodes[id];
        for (int i = 0; i < node->n_inputs && reached[id]; i++) reached[node->inputs[i]->id] = true;
    }
}

/* Adds the variables that the caller named. */
static clg_status take_variables(const clg_tensor *loss, const clg_optimizer_params *p,
                                 clg__group *out)
{
    for (size_t i = 0; i < p->n_variables; i++) {
        clg_tensor *v = p->variables[i];
        bool fits = v && v->graph == loss->graph && clg_tensor_trainable(v) &&
                    !has(out->items, out->count, v);
        if (!fits)
            return clg__fail(
                CLG_ERROR_ARGUMENT,
                "minimize: variables[%zu] (%s) is not a trainable variable of the loss's "
                "graph",
                i, v ? clg_tensor_name(v) : "NULL");
        CLG_TRY(add(out, v));
    }
    return CLG_OK;
}

/* Adds to `out` the variables that are to be trained, in order of creation. */
static clg_status find_variables(const clg_tensor *loss, const clg_optimizer_params *p,
                                 clg__group *out)
{
    clg_graph *g = loss->graph;
    if (p->variables) return take_variables(loss, p, out);
    bool *reached = clg__calloc(g->n_nodes, sizeof *reached);
    if (!reached) return CLG_ERROR_MEMORY;
    mark_reached(loss, reached);
    clg_status status = CLG_OK;
    for (size_t i = 0; i < g->n_variables && status == CLG_OK; i++) {
        clg_tensor *v = g->variables[i];
        if (clg_tensor_trainable(v) && reached[v->id]) status = add(out, v);
    }
    clg__free(reached);
    return status;
}

/* ---- into which group ---- */

static bool belongs(const clg_parameter_group *group, const clg_tensor *v)
{
    if (group->pattern && fnmatch(group->pattern, v->name, 0) == 0) return true;
    return has(group->variables, group->n_variables, v);
}

/* 1 + the index of the first group that names the variable; 0: none does. */
static int group_of(const clg_optimizer_params *p, const clg_tensor *v)
{
    for (size_t i = 0; i < p->n_groups; i++)
        if (belongs(&p->groups[i], v)) return (int)i + 1;
    return 0;
}

static clg_status check_group(const clg_parameter_group *group, size_t index)
{
    if (!(isfinite(group->lr_factor) && group->lr_factor >= 0 && isfinite(group->weight_decay)))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "minimize: groups[%zu]: lr_factor %g and weight_decay %g must be finite, "
                         "and the first not negative",
                         index, group->lr_factor, group->weight_decay);
    return CLG_OK;
}

/* The two groups (decayed and spared) of index i are at 2 i and 2 i + 1. */
static void describe(clg__group *group, const clg_optimizer_params *p, size_t place)
{
    size_t index = place / 2;
    double decay = p->weight_decay;
    group->index = (int)index;
    group->spared = place % 2 == 1;
    group->lr_factor = 1.0;
    if (index > 0) {
        const clg_parameter_group *given = &p->groups[index - 1];
        if (given->lr_factor != 0) group->lr_factor = given->lr_factor;
        if (given->weight_decay != 0) decay = fmax(given->weight_decay, 0);
    }
    group->weight_decay = group->spared ? 0.0 : decay;
}

static clg_status deal_out(const clg_optimizer_params *p, const clg__group *all, clg__group *groups)
{
    for (size_t i = 0; i < all->count; i++) {
        clg_tensor *v = all->items[i];
        size_t index = (size_t)group_of(p, v);
        bool spared = p->decay_weights_only && v->shape.ndim < 2;
        if (index > 0 && p->groups[index - 1].frozen) spared = false; /* one list will do */
        CLG_TRY(add(&groups[2 * index + spared], v));
    }
    for (size_t i = 0; i < p->n_groups; i++)
        if (!groups[2 * i + 2].count && !groups[2 * i + 3].count)
            return clg__fail(CLG_ERROR_ARGUMENT,
                             "minimize: groups[%zu]%s%s%s names no variable that is trained and in "
                             "no group before it",
                             i, p->groups[i].pattern ? " (\"" : "",
                             p->groups[i].pattern ? p->groups[i].pattern : "",
                             p->groups[i].pattern ? "\")" : "");
    return CLG_OK;
}

/* Takes out groups that are empty or frozen. */
static void compact(const clg_optimizer_params *p, clg__groups *groups)
{
    size_t kept = 0;
    for (size_t i = 0; i < groups->count; i++) {
        clg__group *group = &groups->items[i];
        bool frozen = i >= 2 && p->groups[i / 2 - 1].frozen;
        if (group->count && !frozen) {
            groups->items[kept++] = *group;
        } else {
            clg__free(group->items);
        }
    }
    groups->count = kept;
}

clg_status clg__groups_make(const clg_tensor *loss, const clg_optimizer_params *p, clg__groups *out)
{
    clg__group all = {0};
    *out = (clg__groups){0};
    for (size_t i = 0; i < p->n_groups; i++) CLG_TRY(check_group(&p->groups[i], i));
    out->items = clg__calloc(2 * (p->n_groups + 1), sizeof *out->items);
    if (!out->items) return CLG_ERROR_MEMORY;
    out->count = 2 * (p->n_groups + 1);
    for (size_t i = 0; i < out->count; i++) describe(&out->items[i], p, i);
    clg_status status = find_variables(loss, p, &all);
    if (status == CLG_OK) status = deal_out(p, &all, out->items);
    clg__free(all.items);
    if (status != CLG_OK) return status;
    compact(p, out);
    if (out->count) return CLG_OK;
    return clg__fail(CLG_ERROR_ARGUMENT,
                     all.count ? "minimize: all variables are frozen"
                               : "minimize: the loss depends on no trainable variable");
}

void clg__groups_free(clg__groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) clg__free(groups->items[i].items);
    clg__free(groups->items);
    *groups = (clg__groups){0};
}
