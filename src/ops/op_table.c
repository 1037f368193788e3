/*
 * The table of operations: rows of pointwise.def (made in pointwise.c) and of ops.def are what a
 * node can be. The rows of compositions.def follow them where people look at the table: builders
 * that make several nodes.
 */
#include "ops/record.h"

/* ---- operations of nodes ---- */

typedef struct kernel_row {
    const clg__op *op;
    const char *parameters;
    int derivatives;
    const char *tests;
} kernel_row;

static const kernel_row kernel_rows[] = {
#define CLG_OP(symbol, ...) {&clg__op_##symbol, __VA_ARGS__},
#include "ops/ops.def"
#undef CLG_OP
};

size_t clg__op_count(void)
{
    return clg__pointwise_count + CLG__COUNT(kernel_rows);
}

const char *clg__node_text(char *text, size_t size, const clg_tensor *t)
{
    snprintf(text, size, "%s%s%s", t->op->name, t->name ? " " : "", t->name ? t->name : "");
    return text;
}

/* ---- compositions ---- */

typedef struct composition_row {
    const char *name, *kind, *formula, *parameters;
    int derivatives;
    const char *tests;
} composition_row;

static const composition_row composition_rows[] = {
#define CLG_COMPOSITION(name, ...) {#name, __VA_ARGS__},
#include "ops/compositions.def"
#undef CLG_COMPOSITION
};

clg_tensor *clg__composed(clg__composition composition, clg_tensor *result)
{
    if (result) result->composition = composition_rows[composition].name;
    return result;
}

const char *clg_tensor_composition(const clg_tensor *t)
{
    CLG__NEEDS_OR("", t);
    return t->composition ? t->composition : "";
}

const char *clg_tensor_op(const clg_tensor *t)
{
    CLG__NEEDS_OR("", t);
    return t->op->name;
}

/* ---- the table for people ---- */

static clg_op_info describe_pointwise(const clg__op *op)
{
    bool differentiable = false;
    for (int i = 0; i < op->pointwise->arity; i++)
        differentiable |= strcmp(op->pointwise->gradients[i], "NONE") != 0;
    return (clg_op_info){.name = op->name,
                         .formula = op->formula,
                         .kind = "pointwise",
                         .parameters = op->pointwise->parameters,
                         .has_gradient = differentiable,
                         .has_second = differentiable,
                         .tests = "ops/pointwise.c"};
}

static clg_op_info describe_kernel(const kernel_row *row)
{
    static const char *const kinds[] = {[CLG__SOURCE] = "source",    [CLG__POINTWISE] = "pointwise",
                                        [CLG__VIEW] = "view",        [CLG__ALIAS] = "view",
                                        [CLG__REDUCE] = "reduction", [CLG__KERNEL] = "kernel",
                                        [CLG__ASSIGN] = "state",     [CLG__MODE] = "mode"};
    return (clg_op_info){.name = row->op->name,
                         .formula = row->op->formula,
                         .kind = kinds[row->op->class_],
                         .parameters = row->parameters,
                         .has_gradient = row->derivatives > 0,
                         .has_second = row->derivatives > 1,
                         .tests = row->tests};
}

static clg_op_info describe_composition(const composition_row *row)
{
    return (clg_op_info){.name = row->name,
                         .formula = row->formula,
                         .kind = row->kind,
                         .parameters = row->parameters,
                         .has_gradient = row->derivatives > 0,
                         .has_second = row->derivatives > 1,
                         .tests = row->tests};
}

bool clg_op_query(size_t index, clg_op_info *out)
{
    CLG__NEEDS_OR(false, out);
    size_t operations = clg__op_count();
    if (index >= operations + CLG__COUNT(composition_rows)) return false;
    if (index < clg__pointwise_count)
        *out = describe_pointwise(&clg__pointwise_rows[index]);
    else if (index < operations)
        *out = describe_kernel(&kernel_rows[index - clg__pointwise_count]);
    else
        *out = describe_composition(&composition_rows[index - operations]);
    return true;
}
