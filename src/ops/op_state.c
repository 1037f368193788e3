/*
 * State and mode: assignments to variables, the updates that training programs carry out, and
 * values that differ between training and inference.
 */
#include "ops/record.h"

const clg__op clg__op_assign = {
    .name = "assign", .formula = "the variable becomes the value", .class_ = CLG__ASSIGN};

/* Constants are variables inside, but unnamed ones that nothing may change. */
static bool assignable(const clg_tensor *t)
{
    if (t->op != &clg__op_variable) return false;
    const clg__variable_attr *attr = t->attr;
    return !attr->hidden || t->name;
}

/*
 * A value that may turn out to be a variable's own memory (seen through a reshape, a mode, x + 0)
 * is computed, so that it is the old one even if that variable is assigned in the same run.
 */
static clg_tensor *computed(clg_tensor *value)
{
    clg__op_class class_ = value->op->class_;
    return class_ == CLG__KERNEL || class_ == CLG__REDUCE ? value : clg_identity(value);
}

/* The variable's shape, with any number of extents of 1 in front. */
static bool fits_variable(const clg_shape *variable, const clg_shape *value)
{
    int lead = value->ndim - variable->ndim;
    bool fits = lead >= 0 && !value->batched;
    for (int i = 0; i < value->ndim && fits; i++)
        fits = value->dim[i] == (i < lead ? 1 : variable->dim[i - lead]);
    return fits;
}

clg_tensor *clg_assign(clg_tensor *variable, clg_tensor *value)
{
    if (!variable || !value) return NULL;
    clg_graph *g = variable->graph;
    if (!assignable(variable))
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                               "assign: the target is a node of \"%s\", not a variable",
                               variable->op->name);
    if (!fits_variable(&variable->shape, &value->shape))
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                               "assign: variable \"%s\" has shape %s, the value %s%s",
                               clg_tensor_name(variable), CLG__SHAPE_TEXT(&variable->shape),
                               CLG__SHAPE_TEXT(&value->shape),
                               value->shape.batched ? ", which follows the batch size" : "");
    clg_tensor *inputs[] = {variable, computed(value)};
    return clg__node(g, &clg__op_assign, CLG_F32, variable->shape, NULL, 2, inputs);
}

void clg__graph_update_in(clg_tensor *assignment, unsigned phases)
{
    if (!assignment || assignment->graph->status != CLG_OK) return;
    clg_graph *g = assignment->graph;
    if (assignment->op != &clg__op_assign) {
        clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                        "clg_graph_update: a node of \"%s\" is no assignment",
                        assignment->op->name);
        return;
    }
    void *items = g->updates;
    clg_status status =
        clg__grow(&items, &g->updates_capacity, g->n_updates + 1, sizeof *g->updates);
    g->updates = items;
    if (status != CLG_OK)
        clg__graph_fail(g, status, "clg_graph_update: out of memory");
    else
        g->updates[g->n_updates++] = (clg__update_node){assignment, phases};
}

void clg_graph_update(clg_tensor *assignment)
{
    clg__graph_update_in(assignment, CLG__PHASE_TRAINING | CLG__PHASE_ACCUMULATION);
}

static clg__update_node *update_of(const clg_tensor *variable)
{
    clg_graph *g = variable->graph;
    for (size_t i = 0; i < g->n_updates; i++)
        if (g->updates[i].assignment->inputs[0] == variable) return &g->updates[i];
    return NULL;
}

clg_tensor *clg__updated(clg_tensor *variable)
{
    clg__update_node *update = variable ? update_of(variable) : NULL;
    return update ? update->assignment->inputs[1] : variable;
}

void clg__update_further(clg_tensor *variable, clg_tensor *value)
{
    clg_tensor *assignment = clg_assign(variable, value);
    clg__update_node *update = assignment ? update_of(variable) : NULL;
    if (update)
        update->assignment = assignment;
    else
        clg_graph_update(assignment);
}

/* ---- values that depend on what a program is for ---- */

static clg_tensor *choice(const clg__op *op, clg_tensor *first, clg_tensor *second)
{
    if (!first || !second || first == second) return first && second ? first : NULL;
    clg_tensor *inputs[] = {clg__as_f32(first), clg__as_f32(second)};
    return clg__node(first->graph, op, CLG_F32, first->shape, NULL, 2, inputs);
}

static void by_mode_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    clg_tensor *zeros = clg__full_like(g, 0);
    dx[0] = clg_by_mode(g, zeros);
    dx[1] = clg_by_mode(zeros, g);
}
const clg__op clg__op_by_mode = {.name = "by_mode",
                                 .formula = "x when training, y in inference",
                                 .class_ = CLG__MODE,
                                 .second_phases = CLG__PHASE_INFERENCE,
                                 .gradient = by_mode_gradient};

clg_tensor *clg_by_mode(clg_tensor *training, clg_tensor *inference)
{
    if (!training || !inference) return NULL;
    if (!clg__same_shape(&training->shape, &inference->shape))
        return clg__graph_fail(training->graph, CLG_ERROR_ARGUMENT,
                               "by_mode: the shapes %s (training) and %s (inference) differ",
                               CLG__SHAPE_TEXT(&training->shape),
                               CLG__SHAPE_TEXT(&inference->shape));
    return choice(&clg__op_by_mode, training, inference);
}

const clg__op clg__op_by_accumulation = {.name = "by_accumulation",
                                         .formula = "x, but y in a step from accumulated gradients",
                                         .class_ = CLG__MODE,
                                         .second_phases = CLG__PHASE_UPDATE};

clg_tensor *clg__by_accumulation(clg_tensor *now, clg_tensor *accumulated)
{
    return choice(&clg__op_by_accumulation, now, accumulated);
}
