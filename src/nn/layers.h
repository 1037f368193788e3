/*
 * What files of layers share.
 */
#ifndef CLG_LAYERS_INTERNAL_H
#define CLG_LAYERS_INTERNAL_H

#include "clgrad/tensor.h"

/** False, and x's graph failed, for a layer without a name. */
bool clg__layer_named(const clg_tensor *x, const char *name);
/** A variable "<layer>.<what>". */
clg_tensor *clg__layer_variable(clg_graph *g, const char *layer, const char *what,
                                const clg_shape *shape, clg_init init, bool trainable);

#endif
