/*
 * Naming what is composed of several operations: builders pass their result through CLG__COMPOSED,
 * so that graphs can be labelled and tests know what they ran. The rows are in compositions.def.
 */
#ifndef CLG_COMPOSITION_INTERNAL_H
#define CLG_COMPOSITION_INTERNAL_H

#include "clgrad/tensor.h"

/* One number per row of compositions.def. */
typedef enum clg__composition {
#define CLG_COMPOSITION(name, ...) CLG__COMPOSITION_##name,
#include "ops/compositions.def"
#undef CLG_COMPOSITION
    CLG__COMPOSITION_COUNT
} clg__composition;

/**
 * Says that `result`, a node made for it just now, is what the composition computes, and returns
 * it; NULL is passed on. Of nested compositions the outermost one labels the node.
 */
clg_tensor *clg__composed(clg__composition composition, clg_tensor *result);
#define CLG__COMPOSED(name, result) clg__composed(CLG__COMPOSITION_##name, (result))

#endif
