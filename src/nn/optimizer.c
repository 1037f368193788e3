/*
 * clg_minimize: from a loss to the assignments of a training step. Which variables form which group
 * is optimizer_groups.c, how a group lies in memory optimizer_pack.c, the rules are
 * optimizer_rules.c.
 *
 * The parameters of a group are packed: they move next to each other in memory, and one flat
 * variable p (count) aliases them all. Their gradients are joined to a flat g (count), which the
 * memory planner writes in place. So a whole optimizer step is one fused kernel over p, g and the
 * state, however many layers the network has. Tables whose gradient has few rows (of embeddings)
 * are not packed: they are stepped by rows, optimizer_sparse.c.
 */
#include <string.h>

#include "base/base.h"
#include "clgrad/autodiff.h"
#include "nn/optimizer_pack.h"
#include "nn/optimizer_sparse.h"
#include "ops/phases.h"

/* All groups of one optimizer, and the tables that were taken out of them. */
typedef struct step {
    const clg_optimizer_params *params;
    clg_graph *graph;
    clg__pack *packs; /* none is empty */
    size_t count;
    clg__table *tables;
    size_t n_tables;
} step;

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

/* For people who look for a NaN. */
static void name_gradient(clg_tensor *gradient, const clg_tensor *variable)
{
    clg__str name = {0};
    clg__str_addf(&name, "gradient of %s", clg_tensor_name(variable));
    if (name.failed)
        clg__graph_fail(variable->graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
    else if (gradient && gradient->n_inputs && !gradient->name)
        clg_tensor_set_name(gradient, name.text);
    clg__str_free(&name);
}

/* Flattens and joins the group's gradients, taking them from `grads` on. */
static clg_tensor *flat_gradient(const clg__group *group, clg_tensor **grads)
{
    for (size_t i = 0; i < group->count; i++) name_gradient(grads[i], group->items[i]);
    for (size_t i = 0; i < group->count; i++)
        grads[i] = clg_reshape(grads[i], CLG_SHAPE(clg_shape_count(&group->items[i]->shape)));
    return join(grads, group->count);
}

/* Variables that can be stepped by rows become tables; the group keeps the others. */
static void take_tables(step *s, clg__group *group, clg_tensor **grads)
{
    size_t kept = 0;
    for (size_t i = 0; i < group->count; i++) {
        clg_tensor *variable = group->items[i];
        if (clg__table_start(&s->tables[s->n_tables], group, s->params, variable, grads[i])) {
            s->n_tables++;
        } else {
            group->items[kept] = variable;
            grads[kept++] = grads[i];
        }
    }
    group->count = kept;
}

/* Gradients of all variables from one walk through the graph; then each has its place. */
static clg_status make_gradients(step *s, clg_tensor *loss, const clg__groups *groups, size_t total)
{
    size_t at = 0;
    clg_tensor **variables = clg__calloc(2 * total, sizeof(clg_tensor *));
    clg_tensor **grads = variables + total;
    if (!variables) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < groups->count; at += groups->items[i++].count)
        memcpy(variables + at, groups->items[i].items,
               groups->items[i].count * sizeof(clg_tensor *));
    clg_status status = clg_gradients(loss, variables, total, grads);
    at = 0;
    for (size_t i = 0; i < groups->count && status == CLG_OK; i++) {
        clg__group *group = &groups->items[i];
        size_t count = group->count;
        take_tables(s, group, grads + at);
        if (group->count) {
            clg__pack *pack = &s->packs[s->count++];
            clg__pack_start(pack, group, s->params);
            pack->g = flat_gradient(group, grads + at);
        }
        at += count;
    }
    clg__free(variables);
    return status == CLG_OK ? clg__graph_check(s->graph) : status;
}

/* The gradients, one after the other: those of groups, then rows of tables. */
static clg_tensor **gradient_at(const step *s, size_t i)
{
    return i < s->count ? &s->packs[i].g : &s->tables[i - s->count].gradient.rows;
}

/* The square root of all squares. */
static clg_tensor *common_norm(const step *s)
{
    clg_tensor *sum = NULL;
    for (size_t i = 0; i < s->count + s->n_tables; i++) {
        clg_tensor *squares = clg_sum(clg_square(*gradient_at(s, i)), 0, false);
        sum = sum ? clg_add(sum, squares) : squares;
    }
    return clg_sqrt(sum);
}

/* ---- guards ---- */

static clg_tensor *is_finite(clg_tensor *x)
{
    return clg_less(clg_abs(x), clg_scalar(x->graph, 3e38)); /* comparisons with NaN are false */
}

/*
 * Guards are values of the forward and backward pass: CLG_UPDATE programs have none, and need none,
 * because nothing bad was accumulated.
 */
static void make_guard(step *s, clg_tensor *loss)
{
    clg_tensor *keep = s->params->guard;
    if (s->params->skip_nonfinite) {
        clg_tensor *norm = common_norm(s);
        clg_tensor *finite = norm ? clg_mul(is_finite(loss), is_finite(norm)) : NULL;
        keep = keep ? clg_mul(keep, finite) : finite;
    }
    if (keep && keep->shape.ndim) keep = clg_reshape(keep, CLG_SCALAR);
    if (keep && s->params->accumulate) keep = clg__by_accumulation(keep, clg_scalar(s->graph, 1));
    for (size_t i = 0; i < s->count; i++) s->packs[i].guard = keep;
    for (size_t i = 0; i < s->n_tables; i++) s->tables[i].guard = keep;
}

/* ---- accumulation ---- */

/*
 * Means over micro-batches are weighed by the micro-batches' sizes, so that the result is the mean
 * over all samples even if the last micro-batch is smaller.
 */
static void accumulate(step *s)
{
    clg__str name = {0};
    const char *own = s->params->name;
    clg__str_addf(&name, "optimizer.%s%ssamples", own ? own : "", own ? "." : "");
    clg_tensor *seen = NULL;
    if (name.failed)
        clg__graph_fail(s->graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
    else
        seen = clg_variable(s->graph, name.text, CLG_SCALAR, (clg_init){0}, false);
    clg__str_free(&name);
    if (!seen) return;
    bool mean = s->params->accumulate == CLG_ACCUMULATE_MEAN;
    clg_tensor *one = clg_scalar(s->graph, 1);
    clg_tensor *samples = clg__number_by_batch(seen, (double)s->graph->batch, 1);
    for (size_t i = 0; i < s->count; i++)
        clg__pack_accumulate(&s->packs[i], mean ? samples : one, seen, mean ? seen : NULL);
    clg_tensor *now = clg_add(seen, samples);
    if (s->packs[0].guard) now = clg_where(s->packs[0].guard, now, seen);
    clg__graph_update_in(clg_assign(seen, now), CLG__PHASE_ACCUMULATION);
    clg__graph_update_in(clg_assign(seen, clg_scalar(s->graph, 0)), CLG__PHASE_UPDATE);
    s->graph->accumulates = true;
}

/* ---- clipping ---- */

/* min(1, limit / (norm + 1e-6)), as torch's clip_grad_norm_. */
static clg_tensor *clip_factor(clg_graph *graph, clg_tensor *norm, double limit)
{
    clg_tensor *ratio = clg_div(clg_scalar(graph, limit), clg_add(norm, clg_scalar(graph, 1e-6)));
    return clg_minimum(ratio, clg_scalar(graph, 1.0));
}

/* Clips each element and each variable's gradient on its own. */
static void clip_parts(clg__pack *pack)
{
    const clg_optimizer_params *p = pack->params;
    if (p->clip_value > 0) pack->g = clg_clamp(pack->g, -p->clip_value, p->clip_value);
    if (!(p->clip_tensor_norm > 0)) return;
    clg_tensor *norms = clg__pack_norms(pack, pack->g);
    clg_tensor *factors = clip_factor(pack->graph, norms, p->clip_tensor_norm);
    pack->g = clg_mul(clg__pack_spread(pack, factors), pack->g);
}

static void clip_table(clg__table *table)
{
    const clg_optimizer_params *p = table->params;
    clg_tensor **rows = &table->gradient.rows;
    if (p->clip_value > 0) *rows = clg_clamp(*rows, -p->clip_value, p->clip_value);
    if (!(p->clip_tensor_norm > 0) || !*rows) return;
    clg_tensor *norm = clg__table_norm(table, *rows);
    *rows = clg_mul(*rows, clip_factor((*rows)->graph, norm, p->clip_tensor_norm));
}

/* Returns the norm of all gradients before clipping. */
static clg_tensor *clip(step *s)
{
    const clg_optimizer_params *p = s->params;
    clg_tensor *before = common_norm(s);
    for (size_t i = 0; i < s->count; i++) clip_parts(&s->packs[i]);
    for (size_t i = 0; i < s->n_tables; i++) clip_table(&s->tables[i]);
    if (!(p->clip_norm > 0)) return before;
    bool changed = p->clip_value > 0 || p->clip_tensor_norm > 0;
    clg_tensor *factor = clip_factor(s->graph, changed ? common_norm(s) : before, p->clip_norm);
    for (size_t i = 0; i < s->count + s->n_tables; i++)
        *gradient_at(s, i) = clg_mul(*gradient_at(s, i), factor);
    return before;
}

/* ---- monitoring ---- */

/* One vector of all norms of `x`: a tensor (a pack's g, p ...) per group, then one per table. */
static clg_tensor *all_norms(step *s, clg_tensor **x)
{
    for (size_t i = 0; i < s->count; i++) x[i] = clg__pack_norms(&s->packs[i], x[i]);
    for (size_t i = 0; i < s->n_tables; i++)
        x[s->count + i] = clg__table_norm(&s->tables[i], x[s->count + i]);
    return join(x, s->count + s->n_tables);
}

/* The variables in the order of the norms, for as long as the graph lives. */
static clg_tensor **list_variables(step *s, size_t *count)
{
    *count = s->n_tables;
    for (size_t i = 0; i < s->count; i++) *count += s->packs[i].group->count;
    clg_tensor **list = clg__graph_alloc(s->graph, *count * sizeof(clg_tensor *)), **at = list;
    for (size_t i = 0; list && i < s->count; i++)
        for (size_t k = 0; k < s->packs[i].group->count; k++) *at++ = s->packs[i].group->items[k];
    for (size_t i = 0; list && i < s->n_tables; i++) *at++ = s->tables[i].variable;
    return list;
}

/* Norms of gradients and weights; of a table's weights only where they are asked for: that is the
 * one number here that looks at all of it. */
static void monitor_before(step *s, clg_minimized *made, clg_tensor **x)
{
    made->variables = list_variables(s, &made->n_variables);
    for (size_t i = 0; i < s->count + s->n_tables; i++) x[i] = *gradient_at(s, i);
    made->gradient_norms = all_norms(s, x);
    for (size_t i = 0; i < s->count; i++) x[i] = clg__pack_norms(&s->packs[i], s->packs[i].p);
    for (size_t i = 0; i < s->n_tables; i++)
        x[s->count + i] = clg_reshape(clg_norm(s->tables[i].variable), CLG_SHAPE(1));
    made->weight_norms = join(x, s->count + s->n_tables);
}

/* ---- putting it together ---- */

static clg_tensor *rate_of(clg_graph *graph, double lr)
{
    if (lr > 0) return clg_scalar(graph, lr);
    clg_tensor *input = clg_graph_find(graph, "lr");
    return input ? input : clg_input(graph, "lr", CLG_F32, CLG_SCALAR);
}

/* `x` is room for a tensor per group and table. */
static clg_status build_step(step *s, clg_tensor *loss, clg_minimized *made, clg_tensor **x)
{
    make_guard(s, loss);
    if (s->params->accumulate) accumulate(s);
    CLG_TRY(clg__graph_check(s->graph));
    made->lr = rate_of(s->graph, s->params->lr);
    if (s->params->monitor) monitor_before(s, made, x);
    made->gradient_norm = clip(s);
    CLG_TRY(clg__graph_check(s->graph));
    for (size_t i = 0; i < s->count; i++) {
        clg_tensor *p = s->packs[i].p;
        made->parameters += clg_shape_count(&p->shape);
        x[i] = clg_sub(clg__pack_update(&s->packs[i], made->lr), p);
    }
    for (size_t i = 0; i < s->n_tables; i++) {
        made->parameters += clg_shape_count(&s->tables[i].variable->shape);
        x[s->count + i] = clg__table_update(&s->tables[i], made->lr);
    }
    if (s->params->monitor) made->update_norms = all_norms(s, x);
    return clg__graph_check(s->graph);
}

static clg_status build(clg_tensor *loss, const clg_optimizer_params *p, const clg__groups *groups,
                        clg_minimized *made)
{
    step s = {.params = p, .graph = loss->graph};
    size_t total = 0;
    for (size_t i = 0; i < groups->count; i++) total += groups->items[i].count;
    s.packs = clg__calloc(groups->count, sizeof *s.packs);
    s.tables = clg__calloc(total, sizeof *s.tables);
    clg_tensor **x = clg__calloc(groups->count + total, sizeof(clg_tensor *));
    clg_status status = s.packs && s.tables && x ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK) status = make_gradients(&s, loss, groups, total);
    if (status == CLG_OK) status = build_step(&s, loss, made, x);
    clg__free(s.packs);
    clg__free(s.tables);
    clg__free(x);
    return status;
}

static clg_status check_guard(const clg_tensor *loss, const clg_tensor *guard)
{
    if (!guard || (guard->graph == loss->graph && clg_shape_count(&guard->shape) == 1 &&
                   !guard->shape.batched))
        return CLG_OK;
    return clg__fail(CLG_ERROR_ARGUMENT, "minimize: the guard is no single number of this graph");
}

clg_status clg_minimize(clg_tensor *loss, const clg_optimizer_params *params, clg_minimized *out)
{
    if (!loss) return clg__fail_context(CLG_ERROR_ARGUMENT, "minimize: no loss");
    if (!params) return clg__fail(CLG_ERROR_ARGUMENT, "minimize: no options");
    CLG_TRY(clg__graph_check(loss->graph));
    clg_optimizer_params p;
    CLG_TRY(clg__optimizer_resolve(params, &p));
    CLG_TRY(check_guard(loss, p.guard));
    clg_minimized made = {0};
    clg__groups groups;
    clg_status status = clg__groups_make(loss, &p, &groups);
    if (status == CLG_OK) status = build(loss, &p, &groups, &made);
    if (status == CLG_OK && out) *out = made;
    clg__groups_free(&groups);
    return status;
}
