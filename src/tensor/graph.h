/*
 * Internal graph: nodes, op rows as the tensor layer sees them, and the recording of a node.
 */
#ifndef CLG_GRAPH_INTERNAL_H
#define CLG_GRAPH_INTERNAL_H

#include "base/base.h"
#include "clgrad/tensor.h"

enum { CLG__MAX_INPUTS = 16 };

struct clg__op;      /* ops/op.h */
struct clg__storage; /* device memory of variables, program layer */

struct clg_tensor {
    clg_graph *graph;
    int id; /* position in the graph: inputs always have smaller ids */
    const struct clg__op *op;
    int n_inputs;
    clg_tensor *inputs[CLG__MAX_INPUTS];
    clg_dtype dtype;
    clg_shape shape;
    void *attr; /* op->attr_size bytes, zero-padded; NULL if none */
    char *name; /* NULL if unnamed */
};

#endif
