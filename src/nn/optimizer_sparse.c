/*
 * Lazy optimizer steps: only the rows of a table that the batch has touched are read, stepped and
 * written back, so that the cost follows the batch and not the table.
 *
 * The rules are the ordinary ones, on rows (n, D) gathered from the table and from its state. As in
 * torch.optim.SparseAdam the state of other rows does not decay, and weight decay reaches a row
 * when it is touched; for SGD without momentum and for Adagrad that is the same as the dense step.
 * Rows that a batch has several times occur once with their whole gradient; their copies are
 * computed with a gradient of zero and not written.
 */
#include "nn/optimizer_sparse.h"

#include "base/base.h"
#include "ops/phases.h"
#include "tensor/graph.h"

bool clg__table_start(clg__table *t, const clg__group *group, const clg_optimizer_params *params,
                      clg_tensor *variable, clg_tensor *gradient)
{
    /* What looks at all rows at once, or keeps sums or averages of all of them, takes the whole. */
    bool whole = params->dense_tables || params->accumulate || params->ema_decay > 0 ||
                 clg__optimizer_row(params->kind)->by_tensor;
    *t = (clg__table){.group = group, .params = params, .variable = variable};
    return !whole && clg__sparse_gradient(gradient, &t->gradient);
}

/* ---- variables ---- */

static clg_tensor *state_variable(clg__table *t, int slot)
{
    const clg__optimizer_state *state = &clg__optimizer_row(t->params->kind)->states[slot];
    if (t->states[slot]) return t->states[slot];
    const char *name = t->params->name;
    clg__str text = {0};
    clg__str_addf(&text, "optimizer.%s%s%s.%s", name ? name : "", name ? "." : "", state->name,
                  clg_tensor_name(t->variable));
    clg_init init = {.kind = CLG_INIT_CONSTANT, .value = state->initial};
    clg_shape shape = state->scalar ? CLG_SCALAR : t->variable->shape;
    if (text.failed)
        clg__graph_fail(t->variable->graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
    else
        t->states[slot] = clg_variable(t->variable->graph, text.text, shape, init, false);
    clg__str_free(&text);
    return t->states[slot];
}

static bool is_scalar(const clg__table *t, int slot)
{
    return clg__optimizer_row(t->params->kind)->states[slot].scalar;
}

/* The variable's rows become `rows`, unless the guard says no; `old` are those it has. */
static void write_rows(const clg__table *t, clg_tensor *variable, clg_tensor *old, clg_tensor *rows)
{
    if (t->guard) rows = clg_where(t->guard, rows, old);
    clg_tensor *value = clg__assign_rows(variable, t->gradient.index, t->gradient.first, rows);
    clg_graph_update(clg_assign(variable, value));
}

/* ---- what the rules see ---- */

static clg_tensor *read_state(clg__update *u, int slot)
{
    clg__table *t = u->owner;
    clg_tensor *variable = state_variable(t, slot);
    return is_scalar(t, slot) ? variable : clg__table_rows(variable, t->gradient.index);
}

static void write_state(clg__update *u, int slot, clg_tensor *value)
{
    clg__table *t = u->owner;
    clg_tensor *variable = state_variable(t, slot);
    if (!is_scalar(t, slot)) {
        write_rows(t, variable, clg__table_rows(variable, t->gradient.index), value);
        return;
    }
    if (t->guard) value = clg_where(t->guard, value, variable);
    clg_graph_update(clg_assign(variable, value));
}

/* ---- the step ---- */

clg_tensor *clg__table_norm(const clg__table *t, clg_tensor *x)
{
    clg_tensor *sum = clg_sum(clg_square(clg__first_rows(t->gradient.first, x)), 0, false);
    return sum ? clg_reshape(clg_sqrt(sum), CLG_SHAPE(1)) : NULL;
}

clg_tensor *clg__table_update(clg__table *t, clg_tensor *lr)
{
    static const clg__update_place place = {.read = read_state, .write = write_state};
    clg_graph *graph = t->variable->graph;
    clg_optimizer_params own = *t->params;
    own.weight_decay = t->group->weight_decay;
    clg__update u = {.graph = graph,
                     .params = &own,
                     .p = clg__table_rows(t->variable, t->gradient.index),
                     .g = t->gradient.rows,
                     .lr = lr,
                     .t = clg_step_number(graph),
                     .plain = t->group->spared,
                     .place = &place,
                     .owner = t};
    if (t->group->lr_factor != 1.0) u.lr = clg_mul(lr, clg_scalar(graph, t->group->lr_factor));
    clg_tensor *next = clg__optimizer_row(own.kind)->rule(&u);
    write_rows(t, t->variable, u.p, next);
    return clg_sub(next, u.p);
}
