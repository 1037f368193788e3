/*
 * Optimizers: SGD, Adam and AdamW as torch.optim computes them, built from pointwise operations.
 *
 * The parameters of a group are packed: they move next to each other in memory, and one flat
 * variable p (count) aliases them all. Their gradients are joined to a flat g (count), which the
 * memory planner writes in place. So a whole optimizer step is one fused kernel over p, g and the
 * state, however many layers the network has. There are at most two groups: with
 * decay_weights_only, the biases and norms form the second.
 *
 * An optimizer is a row of a table: its name, its defaults, and the rule that builds the new p.
 */
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "clgrad/autodiff.h"
#include "clgrad/nn.h"
#include "tensor/graph.h"

/* One group of parameters in one step. */
typedef struct update {
    clg_graph *graph;
    clg_optimizer_params params; /* defaults filled in */
    const char *label;           /* "" or ".no_decay": keeps the groups' state names apart */
    clg_tensor *p, *g;           /* (count) each */
    clg_tensor *lr, *t;          /* scalars; t: number of this step, from 1 */
} update;

/* ---- small builders ---- */

static clg_tensor *scaled(const update *u, clg_tensor *x, double factor)
{
    return factor == 1.0 ? x : clg_mul(x, clg_scalar(u->graph, factor));
}

/* Writes "optimizer.<name>.<what><label>", without the name if there is none. */
static void add_name(clg__str *s, const update *u, const char *what)
{
    const char *name = u->params.name;
    clg__str_addf(s, "optimizer.%s%s%s%s", name ? name : "", name ? "." : "", what, u->label);
    if (s->failed) clg__graph_fail(u->graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
}

/* A variable of p's shape, zero at first. */
static clg_tensor *state(const update *u, const char *what)
{
    clg__str name = {0};
    add_name(&name, u, what);
    clg_tensor *variable = NULL;
    if (!name.failed && u->p)
        variable = clg_variable(u->graph, name.text, u->p->shape, (clg_init){0}, false);
    clg__str_free(&name);
    return variable;
}

static void update_variable(clg_tensor *variable, clg_tensor *value)
{
    clg_graph_update(clg_assign(variable, value));
}

/* The state variable's next value, decay * old + (1 - decay) * x, assigned and returned. */
static clg_tensor *moving_average(const update *u, const char *what, double decay, clg_tensor *x)
{
    clg_tensor *old = state(u, what);
    clg_tensor *next = clg_add(scaled(u, old, decay), scaled(u, x, 1.0 - decay));
    update_variable(old, next);
    return next;
}

/* 1 - beta^t; expm1 keeps all digits where beta^t is near 1, as torch's double arithmetic does. */
static clg_tensor *bias_correction(const update *u, double beta)
{
    if (beta == 0.0) return clg_scalar(u->graph, 1.0);
    return clg_neg(clg_expm1(scaled(u, u->t, log(beta))));
}

static clg_tensor *l2_gradient(const update *u)
{
    double decay = u->params.weight_decay;
    return decay == 0.0 ? u->g : clg_add(u->g, scaled(u, u->p, decay));
}

/* ---- the rules ---- */

static clg_tensor *rule_sgd(const update *u)
{
    double momentum = u->params.momentum;
    clg_tensor *g = l2_gradient(u);
    if (momentum != 0.0) {
        clg_tensor *old = state(u, "momentum");
        clg_tensor *velocity = clg_add(scaled(u, old, momentum), g);
        update_variable(old, velocity);
        g = u->params.nesterov ? clg_add(g, scaled(u, velocity, momentum)) : velocity;
    }
    return clg_sub(u->p, clg_mul(u->lr, g));
}

/* p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon) */
static clg_tensor *adam_step(const update *u, clg_tensor *p, clg_tensor *g)
{
    double beta1 = u->params.beta1, beta2 = u->params.beta2;
    clg_tensor *m = moving_average(u, "m", beta1, g);
    clg_tensor *v = moving_average(u, "v", beta2, clg_square(g));
    clg_tensor *rate = clg_div(u->lr, bias_correction(u, beta1));
    clg_tensor *correction = clg_rsqrt(bias_correction(u, beta2));
    clg_tensor *epsilon = clg_scalar(u->graph, u->params.epsilon);
    clg_tensor *denominator = clg_add(clg_mul(clg_sqrt(v), correction), epsilon);
    return clg_sub(p, clg_mul(rate, clg_div(m, denominator)));
}

static clg_tensor *rule_adam(const update *u)
{
    return adam_step(u, u->p, l2_gradient(u));
}

static clg_tensor *rule_adamw(const update *u)
{
    double decay = u->params.weight_decay;
    clg_tensor *shrink = clg_sub(clg_scalar(u->graph, 1.0), scaled(u, u->lr, decay));
    return adam_step(u, decay == 0.0 ? u->p : clg_mul(u->p, shrink), u->g);
}

static const struct optimizer_row {
    const char *name;
    double weight_decay; /* default */
    clg_tensor *(*rule)(const update *u);
} rows[] = {
#define OPTIMIZER_ROW(id, name, weight_decay) {#name, weight_decay, rule_##name},
    CLG_OPTIMIZER_ROWS(OPTIMIZER_ROW)
#undef OPTIMIZER_ROW
};

const char *clg_optimizer_name(clg_optimizer_kind kind)
{
    return (unsigned)kind < CLG_OPTIMIZER_COUNT ? rows[kind].name : NULL;
}

bool clg_optimizer_find(const char *name, clg_optimizer_kind *out)
{
    for (int i = 0; i < CLG_OPTIMIZER_COUNT; i++)
        if (strcmp(name, rows[i].name) == 0) return *out = (clg_optimizer_kind)i, true;
    return false;
}

/* ---- parameters ---- */

/* 0: the default; negative: 0. */
static double or_default(double value, double standard)
{
    return value == 0.0 ? standard : fmax(value, 0.0);
}

static clg_status check_params(const clg_optimizer_params *p)
{
    bool finite = isfinite(p->lr) && isfinite(p->weight_decay) && isfinite(p->epsilon) &&
                  isfinite(p->clip_norm);
    if ((unsigned)p->kind >= CLG_OPTIMIZER_COUNT)
        return clg__fail(CLG_ERROR_ARGUMENT, "minimize: unknown optimizer %d", (int)p->kind);
    if (!finite || p->lr < 0 || p->clip_norm < 0)
        return clg__fail(
            CLG_ERROR_ARGUMENT,
            "minimize: lr %g, clip_norm %g, weight_decay %g and epsilon %g must be finite "
            "and the first two not negative",
            p->lr, p->clip_norm, p->weight_decay, p->epsilon);
    /* Written so that NaN is refused too. */
    if (!(p->beta1 < 1.0 && p->beta2 < 1.0 && p->momentum >= 0.0 && p->momentum <= 1.0))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "minimize: beta1 %g and beta2 %g must be below 1, momentum %g in 0 .. 1",
                         p->beta1, p->beta2, p->momentum);
    if (p->nesterov && p->momentum == 0.0)
        return clg__fail(CLG_ERROR_ARGUMENT, "minimize: nesterov needs a momentum above 0");
    return CLG_OK;
}

static clg_optimizer_params with_defaults(const clg_optimizer_params *params)
{
    clg_optimizer_params p = *params;
    p.beta1 = or_default(p.beta1, 0.9);
    p.beta2 = or_default(p.beta2, 0.999);
    p.epsilon = or_default(p.epsilon, 1e-8);
    p.weight_decay = or_default(p.weight_decay, rows[p.kind].weight_decay);
    return p;
}

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
    update u = {.graph = graph, .params = *p, .label = spared ? ".no_decay" : "", .lr = made->lr};
    if (spared) u.params.weight_decay = 0.0;
    clg__str name = {0};
    add_name(&name, &u, "parameters");
    if (!name.failed) u.p = clg__graph_pack(graph, name.text, group->items, group->count);
    clg__str_free(&name);
    u.g = p->clip_norm > 0 ? clipped(graph, g, made->gradient_norm, p->clip_norm) : g;
    u.t = clg_step_number(graph);
    update_variable(u.p, rows[p->kind].rule(&u));
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
    CLG_TRY(check_params(params));
    clg_optimizer_params p = with_defaults(params);
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
