/*
 * Sources: nodes without inputs. Fed values and variables live in buffers; constants, positions,
 * random numbers and the step number are made by the kernel that reads them.
 */
#include "ops/record.h"

/* ---- in buffers ---- */

const clg__op clg__op_input = {
    .name = "input", .formula = "a value fed before each run", .class_ = CLG__SOURCE};
const clg__op clg__op_variable = {.name = "variable",
                                  .formula = "a value that lives across runs",
                                  .class_ = CLG__SOURCE,
                                  .attr_size = sizeof(clg__variable_attr)};

/* Replaces CLG_BATCH by the graph's batch size and marks the extent; false if the shape is wrong.
 */
static bool resolve_batch(clg_graph *g, const char *op, const char *name, clg_shape *shape)
{
    if (!g)
        clg__fail(CLG_ERROR_ARGUMENT, "%s: the graph is NULL", op);
    else if (!name)
        clg__graph_fail(g, CLG_ERROR_ARGUMENT, "%s: the name is NULL", op);
    if (!g || !name) return false;
    for (int i = 0; i < shape->ndim && i < CLG_MAX_DIMS; i++) {
        if (shape->dim[i] != CLG_BATCH) continue;
        shape->dim[i] = g->batch;
        shape->batched |= 1u << i;
    }
    const char *fault = clg__shape_fault(shape, g->batch);
    if (!fault) return true;
    const char *quote = *name ? "\"" : "";
    clg__graph_fail(g, CLG_ERROR_ARGUMENT, "%s%s%s%s%s: shape %s %s", op, *name ? " " : "", quote,
                    name, quote, CLG__SHAPE_TEXT(shape), fault);
    return false;
}

clg_tensor *clg_input(clg_graph *g, const char *name, clg_dtype dtype, clg_shape shape)
{
    if (!resolve_batch(g, "input", name, &shape)) return NULL;
    if ((unsigned)dtype >= CLG_DTYPE_COUNT)
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT, "input \"%s\": unknown type", name);
    if (clg_graph_find(g, name))
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT, "input: the name \"%s\" is taken", name);
    clg_tensor *t = clg__node(g, &clg__op_input, dtype, shape, NULL, 0, NULL);
    clg_tensor_set_name(t, name);
    if (t && !t->name) /* inputs are found by their names */
        return clg__graph_fail(g, CLG_ERROR_MEMORY, "input \"%s\": no memory for its name", name);
    return t;
}

clg_tensor *clg_variable(clg_graph *g, const char *name, clg_shape shape, clg_init init,
                         bool trainable)
{
    if (!resolve_batch(g, "variable", name, &shape)) return NULL;
    if (shape.batched)
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                               "variable \"%s\": its shape cannot follow the batch", name);
    return clg__graph_add_variable(g, &clg__op_variable, name, &shape, init, trainable);
}

clg_tensor *clg_constant(clg_graph *g, clg_shape shape, const float *data)
{
    if (!resolve_batch(g, "constant", "", &shape)) return NULL;
    if (!data) return clg__graph_fail(g, CLG_ERROR_ARGUMENT, "constant: the data pointer is NULL");
    if (shape.batched)
        return clg__graph_fail(
            g, CLG_ERROR_ARGUMENT,
            "constant: its shape cannot follow the batch; feed an input instead");
    return clg__graph_add_constant(g, &clg__op_variable, &shape, data);
}

bool clg__is_variable_node(const clg_tensor *t)
{
    return t->op == &clg__op_variable;
}

bool clg__variables_overlap(const clg_tensor *x, const clg_tensor *y)
{
    if (!clg__is_variable_node(x) || !clg__is_variable_node(y)) return false;
    const clg__variable_attr *a = x->attr, *b = y->attr;
    return a->storage == b->storage && a->offset < b->offset + clg_shape_count(&y->shape) &&
           b->offset < a->offset + clg_shape_count(&x->shape);
}

bool clg_tensor_is_variable(const clg_tensor *t)
{
    CLG__NEEDS_OR(false, t);
    return clg__is_variable_node(t) && !((clg__variable_attr *)t->attr)->hidden;
}

bool clg_tensor_trainable(const clg_tensor *t)
{
    CLG__NEEDS_OR(false, t);
    return clg_tensor_is_variable(t) && ((clg__variable_attr *)t->attr)->trainable;
}

/* ---- one value everywhere ---- */

static void full_uniform(const clg_tensor *node, double *value, int *power)
{
    const clg__full_attr *attr = node->attr;
    *value = attr->value;
    *power = attr->batch_power;
}
const clg__op clg__op_full = {.name = "full",
                              .formula = "one value everywhere",
                              .class_ = CLG__SOURCE,
                              .attr_size = sizeof(clg__full_attr),
                              .uniform = full_uniform};

clg_tensor *clg_full(clg_graph *g, clg_shape shape, double value)
{
    if (!resolve_batch(g, "full", "", &shape)) return NULL;
    clg__full_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.value = value;
    return clg__node(g, &clg__op_full, CLG_F32, shape, &attr, 0, NULL);
}

clg_tensor *clg_scalar(clg_graph *g, double value)
{
    return clg_full(g, CLG_SCALAR, value);
}

clg_tensor *clg__number_by_batch(const clg_tensor *like, double value, int power)
{
    if (!like) return NULL;
    clg__full_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.value = value;
    attr.batch_power = power;
    return clg__node(like->graph, &clg__op_full, CLG_F32, CLG_SCALAR, &attr, 0, NULL);
}

clg_tensor *clg__number(const clg_tensor *like, double value)
{
    return clg__number_by_batch(like, value, 0);
}

/* ---- made from the element's index ---- */

typedef struct generated_attr {
    uint64_t key; /* what the load macro gets: the random stream */
    int32_t axis; /* iota */
    int32_t unused;
} generated_attr;

static void iota_view(const clg_tensor *out, const clg_shape *in, const clg_shape *shape,
                      int64_t *offset, int64_t *strides)
{
    for (int i = 0; i < shape->ndim; i++)
        strides[i] = i == ((const generated_attr *)out->attr)->axis;
    *offset = 0;
}
const clg__op clg__op_iota = {.name = "iota",
                              .formula = "position along an axis: 0 1 2 ...",
                              .class_ = CLG__SOURCE,
                              .attr_size = sizeof(generated_attr),
                              .load = "POSITION",
                              .view = iota_view};

static void contiguous_view(const clg_tensor *out, const clg_shape *in, const clg_shape *shape,
                            int64_t *offset, int64_t *strides)
{
    int64_t stride = 1;
    for (int i = shape->ndim - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape->dim[i];
    }
    *offset = 0;
}
const clg__op clg__op_random_uniform = {.name = "random_uniform",
                                        .formula =
                                            "uniform in (0, 1): Philox of (seed, step, element)",
                                        .class_ = CLG__SOURCE,
                                        .attr_size = sizeof(generated_attr),
                                        .load = "RANDOM",
                                        .view = contiguous_view};

static void no_view(const clg_tensor *out, const clg_shape *in, const clg_shape *shape,
                    int64_t *offset, int64_t *strides)
{
    for (int i = 0; i < shape->ndim; i++) strides[i] = 0;
    *offset = 0;
}
const clg__op clg__op_step_number = {.name = "step_number",
                                     .formula = "number of the training step, from 1",
                                     .class_ = CLG__SOURCE,
                                     .attr_size = sizeof(generated_attr),
                                     .load = "STEP",
                                     .view = no_view};

static clg_tensor *generated(clg_graph *g, const clg__op *op, clg_shape shape, uint64_t key,
                             int axis)
{
    generated_attr attr = {.key = key, .axis = axis};
    return clg__node(g, op, CLG_F32, shape, &attr, 0, NULL);
}

clg_tensor *clg_iota(clg_tensor *like, int axis)
{
    if (!like || !clg__axis(like->graph, "iota", &like->shape, &axis)) return NULL;
    return generated(like->graph, &clg__op_iota, like->shape, 0, axis);
}

clg_tensor *clg_random_uniform(clg_tensor *like)
{
    /* The stream is the node's number: every call draws numbers of its own. */
    return like ? generated(like->graph, &clg__op_random_uniform, like->shape, like->graph->n_nodes,
                            0)
                : NULL;
}

clg_tensor *clg_step_number(clg_graph *g)
{
    CLG__NEEDS_OR(NULL, g);
    return generated(g, &clg__op_step_number, CLG_SCALAR, 0, 0);
}
