/*
 * Pieces of a vector that lie one behind the other, such as the tensors of an optimizer's packed
 * group: sums over each, and numbers repeated over each. Two launches for a sum and one for a
 * repetition, however many pieces there are.
 */
#ifndef CLG_SEGMENTS_INTERNAL_H
#define CLG_SEGMENTS_INTERNAL_H

#include "clgrad/tensor.h"

typedef struct clg__segments {
    clg_tensor *table;     /* constant (pieces + 1, 3): see cl/segments.cl. NULL after a failure */
    int64_t count, chunks; /* of all pieces together */
    int64_t pieces;
} clg__segments;

/** The pieces' lengths, each at least 1. The table is a constant of the graph. */
clg__segments clg__segments_make(clg_graph *g, const int64_t *lengths, size_t pieces);

/** x (count) -> (pieces): sums, or sums of squares. */
clg_tensor *clg__segment_sum(clg_tensor *x, const clg__segments *segments, bool squared);
/** x (pieces) -> (count). */
clg_tensor *clg__segment_repeat(clg_tensor *x, const clg__segments *segments);

#endif
