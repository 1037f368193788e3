/*
 * From graph to values: what the outputs need, with branches of the other mode cut off, constants
 * folded, neutral operations dropped and common subexpressions merged.
 *
 * No value is ever created: simplifying means that one value stands for another, or that a value is
 * one number everywhere. So ids stay those of the graph, and stay in topological order.
 */
#include "program/ir.h"

static const clg__phase phases[] = {
    [CLG_INFERENCE] = CLG__PHASE_INFERENCE,       [CLG_INFERENCE_AVERAGED] = CLG__PHASE_INFERENCE,
    [CLG_TRAINING_FORWARD] = CLG__PHASE_FORWARD,  [CLG_TRAINING] = CLG__PHASE_TRAINING,
    [CLG_ACCUMULATION] = CLG__PHASE_ACCUMULATION, [CLG_UPDATE] = CLG__PHASE_UPDATE};

static unsigned phase_of(const clg__ir *ir)
{
    return phases[ir->mode];
}

/* The input that a MODE node stands for. */
static const clg_tensor *chosen_branch(const clg__ir *ir, const clg_tensor *node)
{
    return node->inputs[node->op->second_phases & phase_of(ir) ? 1 : 0];
}

/* What a program with averaged parameters reads instead of a variable. */
static const clg_tensor *averaged(const clg__ir *ir, const clg_tensor *node)
{
    if (ir->mode != CLG_INFERENCE_AVERAGED || !clg__is_variable_node(node)) return NULL;
    return ((const clg__variable_attr *)node->attr)->average;
}

static void set_uniform(clg__value *v, double number, int power)
{
    v->uniform = true;
    v->number = number;
    v->power = power;
}

/* Folds pointwise operations on plain numbers with the double reference. */
static void fold_pointwise(clg__ir *ir, clg__value *v)
{
    double in[3] = {0, 0, 0};
    for (int i = 0; i < v->n_inputs; i++) {
        const clg__value *input = &ir->values[v->inputs[i]];
        if (!input->uniform || input->power != 0) return;
        in[i] = input->number;
    }
    const clg__pointwise_attr *attr = v->node->attr;
    set_uniform(v, v->node->op->pointwise->reference(in[0], in[1], in[2], attr->a, attr->b), 0);
}

/* Views, aliases and reductions of one number are one number. */
static void fold_structure(clg__ir *ir, clg__value *v)
{
    const clg__value *input = &ir->values[v->inputs[0]];
    if (!input->uniform) return;
    double number = input->number;
    int power = input->power;
    if (v->node->op->class_ == CLG__REDUCE) {
        const clg__reduce_attr *attr = v->node->attr;
        const clg_shape *shape = &v->node->inputs[0]->shape;
        for (int i = attr->first; attr->kind == CLG__REDUCE_SUM && i < attr->first + attr->count;
             i++) {
            number *= (double)shape->dim[i];
            power += shape->batched >> i & 1;
        }
    }
    set_uniform(v, number, power);
}

/* Is an input one number everywhere, and this one at all batch sizes? */
static bool is_number(const clg__ir *ir, int id, double number)
{
    const clg__value *v = &ir->values[id];
    return v->uniform && v->number == number && (!v->power || number == 0);
}

static bool can_stand_for(const clg_tensor *other, const clg_tensor *node)
{
    return clg__same_shape(&other->shape, &node->shape) && other->dtype == node->dtype;
}

/* x + 0, x * 1 and the like are x; x * 0 is 0. */
static void apply_laws(clg__ir *ir, clg__value *v)
{
    const clg__laws *laws = v->node->op->laws;
    for (int i = 0; i < v->n_inputs; i++) {
        const bool neutral =
            laws->neutral_bits >> i & 1 && is_number(ir, v->inputs[i], laws->neutral);
        if (!neutral || !can_stand_for(ir->values[v->inputs[1 - i]].node, v->node)) continue;
        v->same = v->inputs[1 - i];
        return;
    }
    for (int i = 0; i < v->n_inputs; i++)
        if (laws->zero_bits >> i & 1 && is_number(ir, v->inputs[i], 0)) set_uniform(v, 0, 0);
}

static void fold(clg__ir *ir, int id)
{
    clg__value *v = &ir->values[id];
    const clg__op *op = v->node->op;
    if (op->class_ == CLG__MODE) {
        v->same = clg__ir_same(ir, chosen_branch(ir, v->node)->id);
    } else if (averaged(ir, v->node)) {
        v->same = averaged(ir, v->node)->id;
    } else if (op->uniform) {
        op->uniform(v->node, &v->number, &v->power);
        v->uniform = true;
    } else if (op->class_ == CLG__POINTWISE) {
        fold_pointwise(ir, v);
        if (!v->uniform) apply_laws(ir, v);
    } else if (op->class_ == CLG__VIEW || op->class_ == CLG__ALIAS || op->class_ == CLG__REDUCE) {
        fold_structure(ir, v);
    }
}

/* ---- common subexpressions ---- */

static bool mergeable(const clg__value *v)
{
    const clg__op *op = v->node->op;
    return v->uniform || (op->class_ != CLG__ASSIGN && (op->class_ != CLG__SOURCE || op->load));
}

static uint64_t hash_value(const clg__value *v)
{
    if (v->uniform) return clg__hash(&v->number, sizeof v->number).lo;
    clg__hash128 h = clg__hash(v->inputs, (size_t)v->n_inputs * sizeof *v->inputs);
    if (v->node->op->attr_size) h.hi ^= clg__hash(v->node->attr, v->node->op->attr_size).lo;
    return h.lo ^ h.hi * 31 ^ (uint64_t)(uintptr_t)v->node->op;
}

static bool equal_values(const clg__value *a, const clg__value *b)
{
    const clg__op *op = a->node->op;
    if (a->uniform || b->uniform)
        return a->uniform && b->uniform && a->power == b->power &&
               memcmp(&a->number, &b->number, sizeof a->number) == 0 &&
               clg__same_shape(&a->node->shape, &b->node->shape);
    return op == b->node->op && a->n_inputs == b->n_inputs && a->node->dtype == b->node->dtype &&
           clg__same_shape(&a->node->shape, &b->node->shape) &&
           memcmp(a->inputs, b->inputs, (size_t)a->n_inputs * sizeof *a->inputs) == 0 &&
           (!op->attr_size || memcmp(a->node->attr, b->node->attr, op->attr_size) == 0);
}

/* Open-addressing table of ids + 1; `mask` + 1 slots, at least twice the values. */
static void merge_common(clg__ir *ir, int id, int *table, size_t mask)
{
    clg__value *v = &ir->values[id];
    if (v->same != id || !mergeable(v)) return;
    for (size_t slot = hash_value(v) & mask;; slot = (slot + 1) & mask) {
        if (!table[slot]) {
            table[slot] = id + 1;
            return;
        }
        if (equal_values(v, &ir->values[table[slot] - 1])) {
            v->same = table[slot] - 1;
            return;
        }
    }
}

/* ---- liveness ---- */

static void mark_inputs_before_simplify(clg__ir *ir, int id)
{
    const clg_tensor *node = ir->values[id].node;
    if (node->op->class_ == CLG__MODE) {
        ir->values[chosen_branch(ir, node)->id].live = true;
        return;
    }
    for (int i = 0; i < node->n_inputs; i++) ir->values[node->inputs[i]->id].live = true;
}

static clg_status simplify(clg__ir *ir)
{
    size_t slots = 16;
    while (slots < 2 * (size_t)ir->n_values) slots *= 2;
    int *table = clg__calloc(slots, sizeof *table);
    if (!table) return CLG_ERROR_MEMORY;
    for (int id = 0; id < ir->n_values; id++) {
        clg__value *v = &ir->values[id];
        if (!v->live) continue;
        v->n_inputs = v->node->n_inputs;
        for (int i = 0; i < v->n_inputs; i++)
            v->inputs[i] = clg__ir_same(ir, v->node->inputs[i]->id);
        fold(ir, id);
        merge_common(ir, id, table, slots - 1);
    }
    clg__free(table);
    return CLG_OK;
}

/* Which values the outputs still need after simplification. */
static void mark_live(clg__ir *ir, const clg_program_params *params)
{
    for (int id = 0; id < ir->n_values; id++) ir->values[id].live = false;
    for (size_t i = 0; i < params->n_outputs; i++) {
        clg__value *v = &ir->values[clg__ir_same(ir, params->outputs[i]->id)];
        v->live = true;
        v->output = v->node->op->class_ != CLG__ASSIGN;
    }
    for (int i = 0; i < ir->n_assignments; i++) ir->values[ir->assignments[i].node].live = true;
    for (int id = ir->n_values - 1; id >= 0; id--) {
        const clg__value *v = &ir->values[id];
        for (int i = 0; v->live && !v->uniform && i < v->n_inputs; i++)
            ir->values[v->inputs[i]].live = true;
    }
}

/* Who reads whom, so that passes need not look through all values for it. */
static clg_status list_users(clg__ir *ir)
{
    size_t total = 0;
    ir->first_user = clg__calloc((size_t)ir->n_values + 2, sizeof *ir->first_user);
    if (!ir->first_user) return CLG_ERROR_MEMORY;
    int *at = ir->first_user + 1; /* at[v]: counts, then where v's next user goes */
    for (int id = 0; id < ir->n_values; id++) {
        const clg__value *v = &ir->values[id];
        for (int i = 0; v->live && !v->uniform && i < v->n_inputs; i++, total++) at[v->inputs[i]]++;
    }
    ir->users = clg__calloc(total + 1, sizeof *ir->users);
    if (!ir->users) return CLG_ERROR_MEMORY;
    for (int id = 0, sum = 0; id < ir->n_values; id++) {
        int count = at[id];
        at[id] = sum;
        sum += count;
    }
    for (int id = 0; id < ir->n_values; id++) {
        const clg__value *v = &ir->values[id];
        for (int i = 0; v->live && !v->uniform && i < v->n_inputs; i++)
            ir->users[at[v->inputs[i]]++] = id;
    }
    return CLG_OK; /* at[v] has become the end of v's users, which is where those of v + 1 begin */
}

/* ---- building ---- */

static clg_status add_assignment(clg__ir *ir, const clg_tensor *node)
{
    for (int i = 0; i < ir->n_assignments; i++) {
        if (ir->assignments[i].node == node->id) return CLG_OK;
        if (ir->assignments[i].variable == node->inputs[0]->id)
            return clg__fail(CLG_ERROR_ARGUMENT, "variable %s is assigned twice in one program",
                             clg_tensor_name(node->inputs[0]));
    }
    ir->assignments[ir->n_assignments++] = (struct clg__assignment){
        .node = node->id, .variable = node->inputs[0]->id, .value = node->inputs[1]->id};
    return CLG_OK;
}

/* The updates of the graph that this program carries out. */
static clg_status collect_updates(clg__ir *ir)
{
    for (size_t i = 0; i < ir->graph->n_updates; i++) {
        const clg__update_node *update = &ir->graph->updates[i];
        if (!(update->phases & phase_of(ir))) continue;
        ir->values[update->assignment->id].live = true;
        CLG_TRY(add_assignment(ir, update->assignment));
    }
    bool accumulates = ir->mode == CLG_ACCUMULATION || ir->mode == CLG_UPDATE;
    if (accumulates && !ir->graph->accumulates)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "program: the graph has no optimizer that accumulates gradients (set "
                         "`accumulate` in its options)");
    return CLG_OK;
}

/* Outputs and, if wanted, the graph's updates. */
static clg_status collect_roots(clg__ir *ir, const clg_program_params *params, bool updates)
{
    ir->assignments =
        clg__calloc(params->n_outputs + ir->graph->n_updates + 1, sizeof *ir->assignments);
    if (!ir->assignments) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < params->n_outputs; i++) {
        const clg_tensor *t = params->outputs[i];
        if (!t || t->graph != ir->graph)
            return clg__fail(CLG_ERROR_ARGUMENT, "program: output %zu is %s", i,
                             t ? "of another graph" : "NULL");
        ir->values[t->id].live = true;
        if (t->op->class_ == CLG__ASSIGN) CLG_TRY(add_assignment(ir, t));
    }
    return updates ? collect_updates(ir) : CLG_OK;
}

static bool has_averages(const clg_graph *g)
{
    for (size_t i = 0; i < g->n_variables; i++)
        if (((const clg__variable_attr *)g->variables[i]->attr)->average) return true;
    return false;
}

static clg_status check_mode(const clg_graph *g, clg_program_mode mode)
{
    if ((unsigned)mode >= CLG__COUNT(phases))
        return clg__fail(CLG_ERROR_ARGUMENT, "program: mode %d is none of clg_program_mode",
                         (int)mode);
    if (mode != CLG_INFERENCE_AVERAGED || has_averages(g)) return CLG_OK;
    return clg__fail(CLG_ERROR_ARGUMENT,
                     "program: CLG_INFERENCE_AVERAGED needs averages of the parameters, which "
                     "clg_minimize makes with ema_decay");
}

clg_status clg__ir_build(clg__ir *ir, clg_context *ctx, const clg_graph *graph,
                         const clg_program_params *params, bool updates)
{
    CLG_TRY(check_mode(graph, params->mode));
    *ir = (clg__ir){.ctx = ctx, .graph = graph, .mode = params->mode};
    ir->batch = params->batch ? params->batch : graph->batch;
    ir->n_values = (int)graph->n_nodes;
    ir->values = clg__calloc(graph->n_nodes + 1, sizeof *ir->values);
    if (!ir->values) return CLG_ERROR_MEMORY;
    for (int id = 0; id < ir->n_values; id++) {
        clg__value *v = &ir->values[id];
        v->node = graph->nodes[id];
        v->same = id;
        v->cluster = v->parent = v->chunk = -1;
    }
    CLG_TRY(collect_roots(ir, params, updates));
    for (int id = ir->n_values - 1; id >= 0; id--)
        if (ir->values[id].live) mark_inputs_before_simplify(ir, id);
    CLG_TRY(simplify(ir));
    for (int i = 0; i < ir->n_assignments; i++)
        ir->assignments[i].value = clg__ir_same(ir, ir->assignments[i].value);
    mark_live(ir, params);
    return list_users(ir);
}

void clg__ir_free(clg__ir *ir)
{
    clg__before_free(&ir->before);
    clg__free(ir->clusters);
    clg__free(ir->values);
    clg__free(ir->users);
    clg__free(ir->first_user);
    clg__free(ir->order);
    clg__free(ir->assignments);
    clg__free(ir->chunk_sizes);
    *ir = (clg__ir){0};
}
