/*
 * A value with a gradient rule of its own, for what is made of other operations but has a better
 * way back than theirs. The value is computed as it was built: a program puts it in place of this
 * node, and what the rule's operands were needed for only by it is pruned. Derivatives of higher
 * order come from the nodes that the rule builds and from those of the value.
 */
#include "ops/record.h"

static void rule_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    if (g) ((const clg__rule_attr *)out->attr)->rule(out, g, dx);
}

/* Both modes stand for the value. */
const clg__op clg__op_with_gradient = {.name = "with_gradient",
                                       .formula = "x, with a gradient rule of its own",
                                       .class_ = CLG__MODE,
                                       .attr_size = sizeof(clg__rule_attr),
                                       .gradient = rule_gradient};

clg_tensor *clg__with_gradient(clg_tensor *value, clg_tensor *const *operands, int n,
                               const clg__rule_attr *attr)
{
    clg_tensor *inputs[CLG__MAX_INPUTS] = {value, value};
    if (!value) return NULL;
    for (int i = 0; i < n; i++) inputs[CLG__FIRST_OPERAND + i] = operands[i];
    return clg__node(value->graph, &clg__op_with_gradient, CLG_F32, value->shape, attr,
                     n + CLG__FIRST_OPERAND, inputs);
}
