/*
 * What builders of operations share: checking inputs and shapes, recording nodes, small constants.
 */
#ifndef CLG_RECORD_INTERNAL_H
#define CLG_RECORD_INTERNAL_H

#include "ops/op.h"

/** Failing with shapes: SHAPE_TEXT(&t->shape) is a text that lives until the end of the block. */
#define CLG__SHAPE_TEXT(shape) clg_shape_text((shape), (char[128]){0}, 128)

/** Axes given as negative count from the end; false and a failed graph if out of range. */
bool clg__axis(clg_graph *g, const char *op, const clg_shape *shape, int *axis);

#endif
