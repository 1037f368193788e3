/*
 * The table of operations: rows of pointwise.def (made in pointwise.c) and of ops.def.
 */
#include "ops/op.h"

#define CLG_OP(symbol) extern const clg__op clg__op_##symbol;
#include "ops/ops.def"
#undef CLG_OP

static const clg__op *const kernel_rows[] = {
#define CLG_OP(symbol) &clg__op_##symbol,
#include "ops/ops.def"
#undef CLG_OP
};

size_t clg__op_count(void)
{
    return clg__pointwise_count + CLG__COUNT(kernel_rows);
}

const clg__op *clg__op_at(size_t index)
{
    if (index < clg__pointwise_count) return &clg__pointwise_rows[index];
    index -= clg__pointwise_count;
    return index < CLG__COUNT(kernel_rows) ? kernel_rows[index] : NULL;
}

bool clg_op_query(size_t index, clg_op_info *out)
{
    static const char *const kinds[] = {[CLG__SOURCE] = "source",    [CLG__POINTWISE] = "pointwise",
                                        [CLG__VIEW] = "view",        [CLG__ALIAS] = "view",
                                        [CLG__REDUCE] = "reduction", [CLG__KERNEL] = "kernel",
                                        [CLG__ASSIGN] = "state",     [CLG__MODE] = "mode"};
    const clg__op *op = clg__op_at(index);
    if (!op) return false;
    *out = (clg_op_info){.name = op->name,
                         .formula = op->formula,
                         .kind = kinds[op->class_],
                         .has_gradient = op->gradient != NULL};
    return true;
}

const char *clg_tensor_op(const clg_tensor *t)
{
    return t ? t->op->name : "";
}
