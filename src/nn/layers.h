/*
 * What files of layers share.
 */
#ifndef CLG_LAYERS_INTERNAL_H
#define CLG_LAYERS_INTERNAL_H

#include "clgrad/tensor.h"

/** A variable "<layer>.<what>". */
clg_tensor *clg__layer_variable(clg_graph *g, const char *layer, const char *what,
                                const clg_shape *shape, clg_init init, bool trainable);

#endif
