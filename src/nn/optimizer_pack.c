/*
 * Flat variables of packed groups. All of a group's parameters, its gradient and each number of its
 * state lie one behind the other in the same order, so that element i of one belongs to element i
 * of the others, and one kernel over all elements does the step.
 *
 * Gradients that are accumulated are added to one more such variable. It is not cleared after a
 * step: the first addition overwrites it.
 */
#include "nn/optimizer_pack.h"

#include "ops/phases.h"

enum { STEPS = CLG__PHASE_TRAINING | CLG__PHASE_UPDATE };

static clg_tensor *number(const clg__pack *pack, double value)
{
    return clg_scalar(pack->graph, value);
}

/* ---- variables ---- */

/* Writes "optimizer.<name>.<what><label>", without the name if there is none. */
static void add_name(clg__str *s, const clg__pack *pack, const char *what)
{
    const char *name = pack->params->name;
    clg__str_addf(s, "optimizer.%s%s%s%s", name ? name : "", name ? "." : "", what, pack->label);
    if (s->failed) clg__graph_fail(pack->graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
}

static clg_tensor *state_variable(const clg__pack *pack, const char *what, clg_shape shape,
                                  double initial)
{
    clg__str name = {0};
    clg_tensor *variable = NULL;
    add_name(&name, pack, what);
    clg_init init = {.kind = CLG_INIT_CONSTANT, .value = initial};
    if (!name.failed) variable = clg_variable(pack->graph, name.text, shape, init, false);
    clg__str_free(&name);
    return variable;
}

void clg__pack_start(clg__pack *pack, const clg__group *group, const clg_optimizer_params *params)
{
    *pack = (clg__pack){.group = group, .params = params, .graph = group->items[0]->graph};
    char index[20] = "";
    if (group->index > 0) snprintf(index, sizeof index, ".group%d", group->index);
    snprintf(pack->label, sizeof pack->label, "%s%s", index, group->spared ? ".no_decay" : "");
    clg__str name = {0};
    add_name(&name, pack, "parameters");
    if (!name.failed) pack->p = clg__graph_pack(pack->graph, name.text, group->items, group->count);
    clg__str_free(&name);
}

/* The variable becomes `value` with a step of these kinds, unless the guard says no. */
static void assign(const clg__pack *pack, clg_tensor *variable, clg_tensor *value, unsigned phases)
{
    if (pack->guard) value = clg_where(pack->guard, value, variable);
    clg__graph_update_in(clg_assign(variable, value), phases);
}

/* ---- accumulation ---- */

void clg__pack_accumulate(clg__pack *pack, clg_tensor *weight, clg_tensor *seen,
                          clg_tensor *divisor)
{
    if (!pack->p) return;
    clg_tensor *sum = state_variable(pack, "gradient", pack->p->shape, 0.0);
    clg_tensor *old = clg_where(seen, sum, number(pack, 0.0));
    assign(pack, sum, clg_add(old, clg_mul(pack->g, weight)), CLG__PHASE_ACCUMULATION);
    clg_tensor *mean = divisor ? clg_div(sum, divisor) : sum;
    pack->g = clg__by_accumulation(pack->g, mean);
}

/* ---- the tensors of a group ---- */

static const clg__segments *segments_of(clg__pack *pack)
{
    if (pack->segments.table || !pack->p) return &pack->segments;
    int64_t *lengths = clg__calloc(pack->group->count, sizeof *lengths);
    if (!lengths) {
        clg__graph_fail(pack->graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
        return &pack->segments;
    }
    for (size_t i = 0; i < pack->group->count; i++)
        lengths[i] = clg_shape_count(&pack->group->items[i]->shape);
    pack->segments = clg__segments_make(pack->graph, lengths, pack->group->count);
    clg__free(lengths);
    return &pack->segments;
}

clg_tensor *clg__pack_norms(clg__pack *pack, clg_tensor *x)
{
    return clg_sqrt(clg__segment_sum(x, segments_of(pack), true));
}

clg_tensor *clg__pack_spread(clg__pack *pack, clg_tensor *numbers)
{
    return clg__segment_repeat(numbers, segments_of(pack));
}

/* ---- what the rules see ---- */

static clg_tensor *read_state(clg__update *u, int slot)
{
    clg__pack *pack = u->owner;
    const clg__optimizer_state *state = &clg__optimizer_row(u->params->kind)->states[slot];
    if (!pack->states[slot] && u->p)
        pack->states[slot] = state_variable(
            pack, state->name, state->scalar ? CLG_SCALAR : u->p->shape, state->initial);
    return pack->states[slot];
}

static void write_state(clg__update *u, int slot, clg_tensor *value)
{
    assign(u->owner, read_state(u, slot), value, STEPS);
}

static clg_tensor *norms(clg__update *u, clg_tensor *x)
{
    return clg__pack_norms(u->owner, x);
}

static clg_tensor *spread(clg__update *u, clg_tensor *numbers)
{
    return clg__pack_spread(u->owner, numbers);
}

static const clg__update_place place = {read_state, write_state, norms, spread};

/* ---- moving averages of the parameters ---- */

/* "ema.<name>", which starts as the parameter does and is read in its place on request. */
static clg_tensor *average_of(clg_tensor *parameter)
{
    clg__str name = {0};
    clg__str_addf(&name, "ema.%s", clg_tensor_name(parameter));
    clg_tensor *average = NULL;
    if (name.failed)
        clg__graph_fail(parameter->graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
    else
        average = clg_variable(parameter->graph, name.text, parameter->shape, (clg_init){0}, false);
    clg__str_free(&name);
    if (!average) return NULL;
    ((clg__variable_attr *)average->attr)->like = parameter;
    ((clg__variable_attr *)parameter->attr)->average = average;
    return average;
}

/* The averages of all variables, packed as these are: (count). */
static clg_tensor *pack_averages(const clg__pack *pack)
{
    clg_tensor *flat = NULL, **items = clg__calloc(pack->group->count, sizeof(clg_tensor *));
    if (!items) {
        clg__graph_fail(pack->graph, CLG_ERROR_MEMORY, "minimize: out of host memory");
        return NULL;
    }
    for (size_t i = 0; i < pack->group->count; i++) items[i] = average_of(pack->group->items[i]);
    clg__str name = {0};
    add_name(&name, pack, "averages");
    if (!name.failed) flat = clg__graph_pack(pack->graph, name.text, items, pack->group->count);
    clg__str_free(&name);
    clg__free(items);
    return flat;
}

/* a = decay a + (1 - decay) p, but the parameters of the first step as they are. */
static void average(const clg__pack *pack, clg_tensor *t, clg_tensor *p)
{
    clg_tensor *old = pack_averages(pack);
    clg_tensor *change = clg_mul(clg_sub(p, old), number(pack, 1.0 - pack->params->ema_decay));
    clg_tensor *first = clg_equal(t, number(pack, 1.0));
    assign(pack, old, clg_where(first, p, clg_add(old, change)), STEPS);
}

/* ---- the step ---- */

clg_tensor *clg__pack_update(clg__pack *pack, clg_tensor *lr)
{
    const clg__group *group = pack->group;
    clg_optimizer_params own = *pack->params;
    own.weight_decay = group->weight_decay;
    clg__update u = {.graph = pack->graph,
                     .params = &own,
                     .p = pack->p,
                     .g = pack->g,
                     .lr = lr,
                     .t = clg_step_number(pack->graph),
                     .plain = group->spared,
                     .place = &place,
                     .owner = pack};
    if (group->lr_factor != 1.0) u.lr = clg_mul(lr, number(pack, group->lr_factor));
    clg_tensor *next = clg__optimizer_row(own.kind)->rule(&u);
    if (own.ema_decay > 0) average(pack, u.t, next);
    assign(pack, pack->p, next, STEPS);
    return next;
}
