/*
 * clg_minimize: which variables are trained, in which groups, and where their state lives. The
 * rules themselves are in optimizer_rules.c.
 *
 * The parameters of a group are packed: they move next to each other in memory, and one flat
 * variable p (count) aliases them all. Their gradients are joined to a flat g (count), which the
 * memory planner writes in place. So a whole optimizer step is one fused kernel over p, g and the
 * state, however many layers the network has. There are at most two groups: with
 * decay_weights_only, the biases and norms form the second.
 */
#include <string.h>

#include "base/base.h"
#include "clgrad/autodiff.h"
#include "nn/optimizer_rules.h"
#include "tensor/graph.h"

/* ---- the state of a packed group ---- */

/* A group whose parameters and state are flat variables of the same count. */
typedef struct packed {
    const char *label; /* "" or ".no_decay": keeps the groups' state names apart */
    clg_tensor *states[CLG__MAX_STATES];
} packed;

/* Writes "optimizer.<name>.<what><label>", without the name if there is none. */
static void add_name(clg__str *s, const clg__update *u, const char *what)
{
    const char *name = u->params->name;
    const packed *group = u->owner;
    clg__str_addf(s, "optimizer.%s%s%s%s", name ? name : "", name ? "." : "", what, group->label);
    if (s->failed) clg__graph_fail(u->graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
}

static clg_tensor *packed_read(clg__update *u, int slot)
{
    packed *group = u->owner;
    const clg__optimizer_state *state = &clg__optimizer_row(u->params->kind)->states[slot];
    if (group->states[slot] || !u->p) return group->states[slot];
    clg__str name = {0};
    add_name(&name, u, state->name);
    clg_init init = {.kind = CLG_INIT_CONSTANT, .value = state->initial};
    if (!name.failed)
        group->states[slot] = clg_variable(u->graph, name.text,
                                           state->scalar ? CLG_SCALAR : u->p->shape, init, false);
    clg__str_free(&name);
    return group->states[slot];
}

static void packed_write(clg__update *u, int slot, clg_tensor *value)
{
    clg_graph_update(clg_assign(packed_read(u, slot), value));
}

static const clg__update_place packed_place = {packed_read, packed_write};

/* ---- which variables ---- */

/* A growing list of tensors. */
typedef struct list {
    clg_tensor **items;
    size_t count, capacity;
} list;

static clg_status list_add(list *l, clg_tensor *t)
{
    CLG_TRY(clg__grow((void **)&l->items, &l->capacity, l->count + 1, sizeof *l->items));
    l->items[l->count++] = t;
    return CLG_OK;
}

static bool list_has(const list *l, const clg_tensor *t)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i] == t) return true;
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
static clg_status take_variables(const clg_tensor *loss, const clg_optimizer_params *p, list *out)
{
    for (size_t i = 0; i < p->n_variables; i++) {
        clg_tensor *v = p->variables[i];
        bool fits = v && v->graph == loss->graph && clg_tensor_trainable(v) && !list_has(out, v);
        if (!fits)
            return clg__fail(
                CLG_ERROR_ARGUMENT,
                "minimize: variables[%zu] (%s) is not a trainable variable of the loss's "
                "graph",
                i, v ? clg_tensor_name(v) : "NULL");
        CLG_TRY(list_add(out, v));
    }
    return CLG_OK;
}

/* Adds to `out` the variables that are to be trained, in order of creation. */
static clg_status find_variables(const clg_tensor *loss, const clg_optimizer_params *p, list *out)
{
    clg_graph *g = loss->graph;
    if (p->variables) return take_variables(loss, p, out);
    bool *reached = clg__calloc(g->n_nodes, sizeof *reached);
    if (!reached) return CLG_ERROR_MEMORY;
    mark_reached(loss, reached);
    clg_status status = CLG_OK;
    for (size_t i = 0; i < g->n_variables && status == CLG_OK; i++) {
        clg_tensor *v = g->variables[i];
        if (clg_tensor_trainable(v) && reached[v->id]) status = list_add(out, v);
    }
    clg__free(reached);
    return status;
}

/* Splits off the variables that are not to be decayed. */
static clg_status split_groups(const list *all, const clg_optimizer_params *p, list groups[2])
{
    for (size_t i = 0; i < all->count; i++) {
        bool spared = p->decay_weights_only && all->items[i]->shape.ndim < 2;
        CLG_TRY(list_add(&groups[spared], all->items[i]));
    }
    return CLG_OK;
}

/* ---- flat gradients ---- */

/* Joins `n` 1-D tensors in order; `parts` is overwritten. */
static clg_tensor *join(clg_tensor **parts, size_t n)
{
    while (n > 1) {
        size_t joined = 0;
        for (size_t i = 0; i < n; i += CLG__MAX_INPUTS) {
            size_t count = n - i < CLG__MAX_INPUTS ? n - i : CLG__MAX_INPUTS;
            parts[joined++] = clg_concat(parts + i, (int)count, 0);
        }
        n = joined;
    }
    return parts[0];
}

/* The gradients of the group as one tensor (count), in the order of the packed parameters. */
static clg_status flat_gradient(clg_tensor *loss, const list *group, clg_tensor **out)
{
    clg_tensor **parts = clg__calloc(group->count, sizeof *parts);
    if (!parts) return CLG_ERROR_MEMORY;
    clg_status status = clg_gradients(loss, group->items, group->count, parts);
    for (size_t i = 0; i < group->count && status == CLG_OK; i++)
        parts[i] = clg_reshape(parts[i], CLG_SHAPE(clg_shape_count(&group->items[i]->shape)));
    if (status == CLG_OK) *out = join(parts, group->count);
    clg__free(parts);
    return status;
}

/* ---- putting it together ---- */

/* The square root of all squares, over the groups. */
static clg_tensor *common_norm(clg_tensor *const g[2])
{
    if (!g[0] || !g[1]) return clg_norm(g[0] ? g[0] : g[1]);
    return clg_sqrt(
        clg_add(clg_sum(clg_square(g[0]), 0, false), clg_sum(clg_square(g[1]), 0, false)));
}

/* As torch's clip_grad_norm_. */
static clg_tensor *clipped(clg_graph *graph, clg_tensor *g, clg_tensor *norm, double limit)
{
    clg_tensor *scale = clg_div(clg_scalar(graph, limit), clg_add(norm, clg_scalar(graph, 1e-6)));
    return clg_mul(g, clg_minimum(scale, clg_scalar(graph, 1.0)));
}

static clg_tensor *rate_of(clg_graph *graph, double lr)
{
    if (lr > 0) return clg_scalar(graph, lr);
    clg_tensor *input = clg_graph_find(graph, "lr");
    return input ? input : clg_input(graph, "lr", CLG_F32, CLG_SCALAR);
}

static void update_group(const clg_optimizer_params *p, const list *group, clg_tensor *g,
                         const clg_minimized *made, bool spared)
{
    clg_graph *graph = group->items[0]->graph;
    clg_optimizer_params own = *p;
    if (spared) own.weight_decay = 0.0;
    packed pack = {.label = spared ? ".no_decay" : ""};
    clg__update u = {
        .graph = graph, .params = &own, .lr = made->lr, .place = &packed_place, .owner = &pack};
    clg__str name = {0};
    add_name(&name, &u, "parameters");
    if (!name.failed) u.p = clg__graph_pack(graph, name.text, group->items, group->count);
    clg__str_free(&name);
    u.g = p->clip_norm > 0 ? clipped(graph, g, made->gradient_norm, p->clip_norm) : g;
    u.t = clg_step_number(graph);
    clg_tensor *next = clg__optimizer_row(p->kind)->rule(&u);
    clg_graph_update(clg_assign(u.p, next));
}

static clg_status build(clg_tensor *loss, const clg_optimizer_params *p, const list groups[2],
                        clg_minimized *made)
{
    clg_tensor *g[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++)
        if (groups[i].count) CLG_TRY(flat_gradient(loss, &groups[i], &g[i]));
    CLG_TRY(clg__graph_check(loss->graph));
    made->lr = rate_of(loss->graph, p->lr);
    made->gradient_norm = common_norm(g);
    for (int i = 0; i < 2; i++) {
        if (!groups[i].count) continue;
        made->parameters += clg_shape_count(&g[i]->shape);
        update_group(p, &groups[i], g[i], made, i == 1);
    }
    return clg__graph_check(loss->graph);
}

clg_status clg_minimize(clg_tensor *loss, const clg_optimizer_params *params, clg_minimized *out)
{
    if (!loss) return clg__fail_context(CLG_ERROR_ARGUMENT, "minimize: no loss");
    if (!params) return clg__fail(CLG_ERROR_ARGUMENT, "minimize: no options");
    CLG_TRY(clg__graph_check(loss->graph));
    clg_optimizer_params p;
    CLG_TRY(clg__optimizer_resolve(params, &p));
    clg_minimized made = {0};
    list all = {0}, groups[2] = {{0}, {0}};
    clg_status status = find_variables(loss, &p, &all);
    if (status == CLG_OK && !all.count)
        status =
            clg__fail(CLG_ERROR_ARGUMENT, "minimize: the loss depends on no trainable variable");
    if (status == CLG_OK) status = split_groups(&all, &p, groups);
    if (status == CLG_OK) status = build(loss, &p, groups, &made);
    if (status == CLG_OK && out) *out = made;
    clg__free(all.items);
    clg__free(groups[0].items);
    clg__free(groups[1].items);
    return status;
}
