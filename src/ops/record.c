/*
 * Recording nodes: the checks that all builders share, broadcasting, and small constants.
 */
#include "ops/record.h"

/* What nodes of the row read: kernels take bits as they are, so that they get the type they know.
 */
static clg_tensor *as_read(const clg__op *op, int i, clg_tensor *x)
{
    return op->class_ == CLG__KERNEL && !(op->typed_inputs >> i & 1) ? clg__as_f32(x) : x;
}

clg_tensor *clg__node(clg_graph *g, const clg__op *op, clg_dtype dtype, clg_shape shape,
                      const void *attr, int n_inputs, clg_tensor *const *inputs)
{
    clg_tensor node = {.op = op, .dtype = dtype, .shape = shape, .n_inputs = n_inputs};
    for (int i = 0; i < n_inputs; i++) {
        if (!inputs[i]) return NULL;
        if (inputs[i]->graph != g)
            return clg__graph_fail(g, CLG_ERROR_ARGUMENT, "%s: inputs are of different graphs",
                                   op->name);
    }
    const char *fault = clg__shape_fault(&shape, g->batch);
    if (fault)
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT, "%s: the result's shape %s %s", op->name,
                               CLG__SHAPE_TEXT(&shape), fault);
    for (int i = 0; i < n_inputs; i++)
        if (!(node.inputs[i] = as_read(op, i, inputs[i]))) return NULL;
    return clg__graph_append(g, &node, attr, op->attr_size);
}

bool clg__broadcast_shapes(clg_graph *g, const char *op, const clg_shape *a, const clg_shape *b,
                           clg_shape *out)
{
    clg_shape shape = {.ndim = a->ndim > b->ndim ? a->ndim : b->ndim};
    for (int i = 0; i < shape.ndim; i++) {
        int ia = i - (shape.ndim - a->ndim), ib = i - (shape.ndim - b->ndim);
        int64_t da = ia >= 0 ? a->dim[ia] : 1, db = ib >= 0 ? b->dim[ib] : 1;
        bool batched_a = ia >= 0 && (a->batched >> ia & 1);
        bool batched_b = ib >= 0 && (b->batched >> ib & 1);
        /* A batch of 1 is still a batch: its partner must be one too, or a true 1. */
        bool fits = da == db ? (batched_a == batched_b || da == 1) : da == 1 || db == 1;
        if (batched_a != batched_b) fits &= batched_a ? db == 1 : da == 1;
        if (!fits) {
            clg__graph_fail(g, CLG_ERROR_ARGUMENT, "%s: shapes %s and %s do not broadcast%s", op,
                            CLG__SHAPE_TEXT(a), CLG__SHAPE_TEXT(b),
                            da == db ? " (one extent follows the batch, the other does not)" : "");
            return false;
        }
        shape.dim[i] = batched_a ? da : batched_b ? db : da > db ? da : db;
        shape.batched |= (uint32_t)(batched_a || batched_b) << i;
    }
    *out = shape;
    return true;
}

bool clg__axis(clg_graph *g, const char *op, const clg_shape *shape, int *axis)
{
    int asked = *axis;
    if (asked < 0) *axis += shape->ndim;
    if (*axis >= 0 && *axis < shape->ndim) return true;
    clg__graph_fail(g, CLG_ERROR_ARGUMENT, "%s: axis %d is out of range for shape %s", op, asked,
                    CLG__SHAPE_TEXT(shape));
    return false;
}

clg_tensor *clg__as_f32(clg_tensor *x)
{
    return x && x->dtype != CLG_F32 ? clg_identity(x) : x;
}

clg_tensor *clg__full_like(const clg_tensor *x, double value)
{
    return x ? clg_full(x->graph, x->shape, value) : NULL;
}

clg_tensor *clg__sum_to(clg_tensor *g, const clg_shape *shape)
{
    if (!g || (clg_shape_equal(&g->shape, shape) && g->shape.batched == shape->batched)) return g;
    int lead = g->shape.ndim - shape->ndim;
    uint32_t axes = 0;
    for (int i = 0; i < g->shape.ndim; i++) {
        bool repeated = i < lead || (shape->dim[i - lead] == 1 &&
                                     (g->shape.dim[i] != 1 || (g->shape.batched >> i & 1)) &&
                                     !(shape->batched >> (i - lead) & 1));
        if (repeated) axes |= CLG_AXIS(i);
    }
    if (axes) g = clg_sum(g, axes, true);
    return clg__reshape_to(g, shape);
}
