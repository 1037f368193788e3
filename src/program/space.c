/*
 * Index spaces: which values a stage of a cluster reads, with which strides, and over how few axes
 * that can be written as loops.
 *
 * Axes that every load walks as one (stride of the outer = stride x extent of the inner) become
 * one, so that most chains are a single flat loop. The decision must hold for every batch size: it
 * is taken where it holds for two very different ones.
 */
#include "program/ir.h"

enum { OTHER_BATCH = 9973 }; /* a prime that no shape is likely to divide by accident */

static const clg_shape *stage_shape(const clg__cluster *c, int stage)
{
    return stage == 0 ? &c->space : &c->out_space;
}

bool clg__ir_virtual_view(const clg__ir *ir, int id)
{
    const clg__value *v = &ir->values[id];
    return v->node->op->class_ == CLG__VIEW && v->cluster < 0;
}

bool clg__stage_has(const clg__cluster *c, int stage, int value)
{
    for (int i = 0; i < c->body[stage].n_members; i++)
        if (c->body[stage].members[i] == value) return true;
    if (stage == 0) return false;
    for (int i = 0; i < c->n_reduces; i++)
        if (c->reduces[i] == value) return true;
    return c->anchor == value;
}

bool clg__stage_owns(const clg__ir *ir, const clg__cluster *c, int stage, int value)
{
    /* Where both stages of a cluster have a value, the second one's is the clone: the first cannot
     * read what the second computes. */
    return ir->values[value].cluster == c - ir->clusters && clg__stage_has(c, stage, value) &&
           (stage == 0 || !clg__stage_has(c, 0, value));
}

/* ---- loads ---- */

int clg__space_find(const clg__space *space, const clg__ir *ir, int value)
{
    int view = -1;
    if (ir->values[value].node->op->class_ == CLG__VIEW) {
        for (int i = 0; i < space->n_loads; i++)
            if (space->loads[i].view == value) return i;
        view = -1;
    }
    for (int i = 0; i < space->n_loads; i++)
        if (space->loads[i].value == value && space->loads[i].view == view) return i;
    return -1;
}

static bool add_load(clg__space *space, const clg__ir *ir, int value, int view)
{
    for (int i = 0; i < space->n_loads; i++)
        if (space->loads[i].value == value && space->loads[i].view == view) return true;
    if (space->n_loads == CLG__MAX_LOADS) return false;
    space->loads[space->n_loads++] = (clg__load){.value = value, .view = view};
    return true;
}

static bool add_input(clg__space *space, const clg__ir *ir, const clg__cluster *c, int stage,
                      int in)
{
    if (clg__stage_has(c, stage, in) || ir->values[in].uniform) return true;
    if (clg__ir_virtual_view(ir, in)) return add_load(space, ir, ir->values[in].inputs[0], in);
    return add_load(space, ir, in, -1);
}

static bool collect_loads(clg__space *space, const clg__ir *ir, const clg__cluster *c, int stage)
{
    for (int m = 0; m < c->body[stage].n_members; m++) {
        int id = c->body[stage].members[m];
        const clg__value *v = &ir->values[id];
        if (v->uniform) continue;
        bool ok = true;
        if (v->node->op->class_ == CLG__VIEW)
            ok = add_load(space, ir, v->inputs[0], id);
        else if (v->node->op->class_ == CLG__SOURCE)
            ok = add_load(space, ir, id, -1); /* a generated source that is stored */
        else
            for (int i = 0; ok && i < v->n_inputs; i++)
                ok = add_input(space, ir, c, stage, v->inputs[i]);
        if (!ok) return false;
    }
    for (int i = 0; stage == 0 && i < c->n_reduces; i++)
        if (!add_input(space, ir, c, stage, ir->values[c->reduces[i]].inputs[0])) return false;
    return true;
}

/* ---- numbers ---- */

static bool add_number(clg__space *space, const clg__ir *ir, int id)
{
    if (!ir->values[id].uniform || ir->values[id].power == 0) return true;
    for (int i = 0; i < space->n_numbers; i++)
        if (space->numbers[i] == id) return true;
    if (space->n_numbers == CLG__MAX_NUMBERS) return false;
    space->numbers[space->n_numbers++] = id;
    return true;
}

static bool collect_numbers(clg__space *space, const clg__ir *ir, const clg__cluster *c, int stage)
{
    for (int m = 0; m < c->body[stage].n_members; m++) {
        const int id = c->body[stage].members[m];
        const clg__value *v = &ir->values[id];
        if (!add_number(space, ir, id)) return false;
        for (int i = 0; !v->uniform && i < v->n_inputs; i++)
            if (!add_number(space, ir, v->inputs[i])) return false;
    }
    return true;
}

/* ---- strides ---- */

static void contiguous_strides(const clg_shape *shape, int64_t *strides)
{
    int64_t stride = 1;
    for (int i = shape->ndim - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape->dim[i];
    }
}

/* Strides of a load along the axes of `shape` (at the same batch size), 0 where it is repeated; and
 * its offset. */
static int64_t load_strides(const clg__ir *ir, const clg__load *load, const clg_shape *shape,
                            int64_t batch, int64_t *strides)
{
    const clg_tensor *value = ir->values[load->value].node;
    const clg_tensor *seen = load->view >= 0 ? ir->values[load->view].node : value;
    clg_shape in = clg__shape_at_batch(&value->shape, ir->graph->batch, batch);
    clg_shape out = clg__shape_at_batch(&seen->shape, ir->graph->batch, batch);
    int64_t own[CLG_MAX_DIMS], offset = 0;
    if (load->view >= 0) {
        /* The view's own input says how the memory is laid out, not what stands for it now. */
        clg_shape laid_out = clg__shape_at_batch(&seen->inputs[0]->shape, ir->graph->batch, batch);
        seen->op->view(seen, &laid_out, &out, &offset, own);
    } else if (value->op->load) {
        value->op->view(value, NULL, &in, &offset, own);
    } else {
        contiguous_strides(&in, own);
    }
    for (int i = 0; i < shape->ndim; i++) {
        int j = i - (shape->ndim - out.ndim);
        bool repeated = j < 0 || (out.dim[j] == 1 && !(out.batched >> j & 1));
        strides[i] = repeated ? 0 : own[j];
    }
    return offset;
}

/* ---- collapsing ---- */

typedef struct layout {
    clg_shape shape;
    int64_t strides[CLG__MAX_LOADS][CLG_MAX_DIMS];
} layout;

static void make_layout(layout *l, const clg__space *space, const clg__ir *ir,
                        const clg_shape *shape, int64_t batch)
{
    l->shape = clg__shape_at_batch(shape, ir->graph->batch, batch);
    for (int i = 0; i < space->n_loads; i++)
        load_strides(ir, &space->loads[i], &l->shape, batch, l->strides[i]);
}

static bool walks_as_one(const layout *l, int n_loads, int outer, int inner)
{
    for (int i = 0; i < n_loads; i++)
        if (l->strides[i][outer] != l->strides[i][inner] * l->shape.dim[inner]) return false;
    return true;
}

/* Axes that must not merge with the one before them, and axes that must not be dropped. */
static void find_barriers(const clg__cluster *c, int stage, uint32_t *barriers, uint32_t *keep)
{
    *barriers = *keep = 0;
    if (c->kind == CLG__CLUSTER_REDUCE && stage == 0) {
        *barriers = CLG_AXIS(c->reduce_first) | CLG_AXIS(c->reduce_first + c->reduce_count);
        *keep = CLG_AXIS(c->reduce_first);
    } else if (c->kind == CLG__CLUSTER_KERNEL && c->out_space.ndim > 0) {
        *barriers = *keep = CLG_AXIS(c->out_space.ndim - 1);
    }
}

/* What is true of strides at any batch size; leaves the space bound to the graph's. */
static void find_movement(clg__space *space, const clg__ir *ir, const clg__cluster *c, int stage)
{
    const int64_t batches[2] = {OTHER_BATCH, ir->graph->batch};
    for (int l = 0; l < space->n_loads; l++) space->loads[l].unit = true;
    for (int b = 0; b < 2; b++) {
        clg__space_bind(space, ir, c, stage, batches[b]);
        for (int l = 0; l < space->n_loads; l++) {
            clg__load *load = &space->loads[l];
            for (int k = 0; k < space->n_axes; k++)
                load->moves |= (uint32_t)(load->stride[k] != 0) << k;
            load->unit &= load->stride[space->n_axes - 1] == 1;
        }
    }
}

bool clg__space_make(clg__space *space, const clg__ir *ir, const clg__cluster *c, int stage)
{
    const clg_shape *shape = stage_shape(c, stage);
    *space = (clg__space){0};
    if (!collect_loads(space, ir, c, stage) || !collect_numbers(space, ir, c, stage)) return false;
    layout here, there;
    make_layout(&here, space, ir, shape, ir->graph->batch);
    make_layout(&there, space, ir, shape, OTHER_BATCH);
    uint32_t barriers, keep, crossed = 0;
    find_barriers(c, stage, &barriers, &keep);
    int previous = -1;
    for (int i = 0; i < shape->ndim; i++) {
        crossed |= barriers & CLG_AXIS(i);
        bool drop = shape->dim[i] == 1 && !(shape->batched >> i & 1) && !(keep >> i & 1);
        if (drop) continue;
        bool merge = previous >= 0 && !crossed &&
                     walks_as_one(&here, space->n_loads, previous, i) &&
                     walks_as_one(&there, space->n_loads, previous, i);
        if (!merge) space->n_axes++;
        space->axes[space->n_axes - 1] |= CLG_AXIS(i);
        previous = i;
        crossed = 0;
    }
    if (space->n_axes == 0) space->n_axes = 1; /* a scalar: one axis of extent 1 */
    find_movement(space, ir, c, stage);
    return c->kind != CLG__CLUSTER_KERNEL || space->n_axes <= 2;
}

void clg__space_bind(clg__space *space, const clg__ir *ir, const clg__cluster *c, int stage,
                     int64_t batch)
{
    clg_shape shape = clg__shape_at_batch(stage_shape(c, stage), ir->graph->batch, batch);
    int innermost[CLG_MAX_DIMS];
    for (int k = 0; k < space->n_axes; k++) {
        space->extent[k] = 1;
        innermost[k] = -1;
        for (int i = 0; i < shape.ndim; i++) {
            if (!(space->axes[k] >> i & 1)) continue;
            space->extent[k] *= shape.dim[i];
            innermost[k] = i;
        }
    }
    for (int l = 0; l < space->n_loads; l++) {
        int64_t strides[CLG_MAX_DIMS];
        space->loads[l].offset = load_strides(ir, &space->loads[l], &shape, batch, strides);
        for (int k = 0; k < space->n_axes; k++)
            space->loads[l].stride[k] = innermost[k] < 0 ? 0 : strides[innermost[k]];
    }
}

int64_t clg__space_samples(const clg__space *space, const clg__ir *ir, const clg__cluster *c,
                           int stage, int64_t batch)
{
    clg_shape shape = clg__shape_at_batch(stage_shape(c, stage), ir->graph->batch, batch);
    for (int i = 0; i < shape.ndim; i++)
        if (space->axes[0] >> i & 1) return shape.dim[i];
    return 1;
}
