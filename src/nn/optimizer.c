/*
 * clg_minimize: gradients, clipping, and where parameters and state live. Which variables form
 * which group is optimizer_groups.c, the rules are optimizer_rules.c.
 *
 * The parameters of a group are packed: they move next to each other in memory, and one flat
 * variable p (count) aliases them all. Their gradients are joined to a flat g (count), which the
 * memory planner writes in place. So a whole optimizer step is one fused kernel over p, g and the
 * state, however many layers the network has. Where a rule or clipping wants to know the tensors
 * apart, ops/segments.h finds them again as pieces of the flat vectors.
 */
#include <string.h>

#include "base/base.h"
#include "clgrad/autodiff.h"
#include "nn/optimizer_groups.h"
#include "nn/optimizer_rules.h"
#include "ops/segments.h"
#include "tensor/graph.h"

/* A group with its flat tensors. */
typedef struct packed {
    const clg__group *group;
    char label[32]; /* "", ".group1", ".no_decay": keeps the groups' state names apart */
    clg_tensor *states[CLG__MAX_STATES];
    clg_tensor *g;          /* (count) */
    clg__segments segments; /* one per variable; made when they are asked for */
} packed;

/* ---- the state of a packed group ---- */

/* Writes "optimizer.<name>.<what><label>", without the name if there is none. */
static void add_name(clg__str *s, const clg__update *u, const char *what)
{
    const char *name = u->params->name;
    const packed *pack = u->owner;
    clg__str_addf(s, "optimizer.%s%s%s%s", name ? name : "", name ? "." : "", what, pack->label);
    if (s->failed) clg__graph_fail(u->graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
}

static clg_tensor *packed_read(clg__update *u, int slot)
{
    packed *pack = u->owner;
    const clg__optimizer_state *state = &clg__optimizer_row(u->params->kind)->states[slot];
    if (pack->states[slot] || !u->p) return pack->states[slot];
    clg__str name = {0};
    add_name(&name, u, state->name);
    clg_init init = {.kind = CLG_INIT_CONSTANT, .value = state->initial};
    clg_shape shape = state->scalar ? CLG_SCALAR : u->p->shape;
    if (!name.failed) pack->states[slot] = clg_variable(u->graph, name.text, shape, init, false);
    clg__str_free(&name);
    return pack->states[slot];
}

static void packed_write(clg__update *u, int slot, clg_tensor *value)
{
    clg_graph_update(clg_assign(packed_read(u, slot), value));
}

/* ---- the tensors of a packed group ---- */

static const clg__segments *segments_of(packed *pack)
{
    clg_graph *graph = pack->group->items[0]->graph;
    if (pack->segments.table || graph->status != CLG_OK) return &pack->segments;
    int64_t *lengths = clg__calloc(pack->group->count, sizeof *lengths);
    if (!lengths) {
        clg__graph_fail(graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
        return &pack->segments;
    }
    for (size_t i = 0; i < pack->group->count; i++)
        lengths[i] = clg_shape_count(&pack->group->items[i]->shape);
    pack->segments = clg__segments_make(graph, lengths, pack->group->count);
    clg__free(lengths);
    return &pack->segments;
}

static clg_tensor *packed_norms(clg__update *u, clg_tensor *x)
{
    return clg_sqrt(clg__segment_sum(x, segments_of(u->owner), true));
}

static clg_tensor *packed_spread(clg__update *u, clg_tensor *numbers)
{
    return clg__segment_repeat(numbers, segments_of(u->owner));
}

static const clg__update_place packed_place = {packed_read, packed_write, packed_norms,
                                               packed_spread};

/* ---- gradients ---- */

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

/* Flattens and joins the group's gradients, taking them from `grads` on. */
static clg_tensor *flat_gradient(const clg__group *group, clg_tensor **grads)
{
    for (size_t i = 0; i < group->count; i++)
        grads[i] = clg_reshape(grads[i], CLG_SHAPE(clg_shape_count(&group->items[i]->shape)));
    return join(grads, group->count);
}

/* The flat gradients of all groups, from one walk through the graph. */
static clg_status make_gradients(clg_tensor *loss, packed *packs, size_t n)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < n; i++) total += packs[i].group->count;
    clg_tensor **variables = clg__calloc(2 * total, sizeof(clg_tensor *)),
               **grads = variables + total;
    if (!variables) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < n; at += packs[i++].group->count)
        memcpy(variables + at, packs[i].group->items, packs[i].group->count * sizeof(clg_tensor *));
    clg_status status = clg_gradients(loss, variables, total, grads);
    at = 0;
    for (size_t i = 0; i < n && status == CLG_OK; at += packs[i++].group->count)
        packs[i].g = flat_gradient(packs[i].group, grads + at);
    clg__free(variables);
    return status == CLG_OK ? clg__graph_check(loss->graph) : status;
}

/* ---- clipping ---- */

/* min(1, limit / (norm + 1e-6)), as torch's clip_grad_norm_. */
static clg_tensor *clip_factor(clg_graph *graph, clg_tensor *norm, double limit)
{
    clg_tensor *ratio = clg_div(clg_scalar(graph, limit), clg_add(norm, clg_scalar(graph, 1e-6)));
    return clg_minimum(ratio, clg_scalar(graph, 1.0));
}

/* Clips each element and each tensor on its own. */
static void clip_parts(packed *pack, const clg_optimizer_params *p)
{
    clg_graph *graph = pack->group->items[0]->graph;
    if (p->clip_value > 0) pack->g = clg_clamp(pack->g, -p->clip_value, p->clip_value);
    if (!(p->clip_tensor_norm > 0)) return;
    const clg__segments *segments = segments_of(pack);
    clg_tensor *norms = clg_sqrt(clg__segment_sum(pack->g, segments, true));
    clg_tensor *factors = clip_factor(graph, norms, p->clip_tensor_norm);
    pack->g = clg_mul(clg__segment_repeat(factors, segments), pack->g);
}

/* The square root of all squares, over the groups. */
static clg_tensor *common_norm(const packed *packs, size_t n)
{
    clg_tensor *sum = clg_sum(clg_square(packs[0].g), 0, false);
    for (size_t i = 1; i < n; i++) sum = clg_add(sum, clg_sum(clg_square(packs[i].g), 0, false));
    return clg_sqrt(sum);
}

static void clip(packed *packs, size_t n, const clg_optimizer_params *p, clg_minimized *made)
{
    clg_graph *graph = packs[0].g->graph;
    made->gradient_norm = common_norm(packs, n);
    for (size_t i = 0; i < n; i++) clip_parts(&packs[i], p);
    if (!(p->clip_norm > 0)) return;
    bool changed = p->clip_value > 0 || p->clip_tensor_norm > 0;
    clg_tensor *norm = changed ? common_norm(packs, n) : made->gradient_norm;
    clg_tensor *factor = clip_factor(graph, norm, p->clip_norm);
    for (size_t i = 0; i < n; i++) packs[i].g = clg_mul(packs[i].g, factor);
}

/* ---- putting it together ---- */

static clg_tensor *rate_of(clg_graph *graph, double lr)
{
    if (lr > 0) return clg_scalar(graph, lr);
    clg_tensor *input = clg_graph_find(graph, "lr");
    return input ? input : clg_input(graph, "lr", CLG_F32, CLG_SCALAR);
}

static void update_group(const clg_optimizer_params *p, packed *pack, clg_tensor *lr)
{
    const clg__group *group = pack->group;
    clg_graph *graph = group->items[0]->graph;
    clg_optimizer_params own = *p;
    own.weight_decay = group->weight_decay;
    clg__update u = {.graph = graph,
                     .params = &own,
                     .plain = group->spared,
                     .g = pack->g,
                     .t = clg_step_number(graph),
                     .lr = lr,
                     .place = &packed_place,
                     .owner = pack};
    if (group->lr_factor != 1.0) u.lr = clg_mul(lr, clg_scalar(graph, group->lr_factor));
    clg__str name = {0};
    add_name(&name, &u, "parameters");
    if (!name.failed) u.p = clg__graph_pack(graph, name.text, group->items, group->count);
    clg__str_free(&name);
    clg_graph_update(clg_assign(u.p, clg__optimizer_row(p->kind)->rule(&u)));
}

static void label_group(packed *pack, const clg__group *group)
{
    pack->group = group;
    char index[20] = "";
    if (group->index > 0) snprintf(index, sizeof index, ".group%d", group->index);
    snprintf(pack->label, sizeof pack->label, "%s%s", index, group->spared ? ".no_decay" : "");
}

static clg_status build(clg_tensor *loss, const clg_optimizer_params *p, const clg__groups *groups,
                        clg_minimized *made)
{
    packed *packs = clg__calloc(groups->count, sizeof *packs);
    if (!packs) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < groups->count; i++) label_group(&packs[i], &groups->items[i]);
    clg_status status = make_gradients(loss, packs, groups->count);
    if (status == CLG_OK) {
        made->lr = rate_of(loss->graph, p->lr);
        for (size_t i = 0; i < groups->count; i++)
            made->parameters += clg_shape_count(&packs[i].g->shape);
        clip(packs, groups->count, p, made);
        for (size_t i = 0; i < groups->count; i++) update_group(p, &packs[i], made->lr);
        status = clg__graph_check(loss->graph);
    }
    clg__free(packs);
    return status;
}

clg_status clg_minimize(clg_tensor *loss, const clg_optimizer_params *params, clg_minimized *out)
{
    if (!loss) return clg__fail_context(CLG_ERROR_ARGUMENT, "minimize: no loss");
    if (!params) return clg__fail(CLG_ERROR_ARGUMENT, "minimize: no options");
    CLG_TRY(clg__graph_check(loss->graph));
    clg_optimizer_params p;
    CLG_TRY(clg__optimizer_resolve(params, &p));
    clg_minimized made = {0};
    clg__groups groups;
    clg_status status = clg__groups_make(loss, &p, &groups);
    if (status == CLG_OK) status = build(loss, &p, &groups, &made);
    if (status == CLG_OK && out) *out = made;
    clg__groups_free(&groups);
    return status;
}
