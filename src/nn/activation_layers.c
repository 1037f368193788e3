/*
 * Activations that own what they learn: variables that clg_prelu and others read, one number or one
 * per channel (the last axis), and maxout with its linear pieces.
 */
#include "base/base.h"
#include "clgrad/activations.h"
#include "clgrad/nn.h"
#include "nn/layers.h"
#include "ops/composition.h"
#include "tensor/graph.h"

/* The variable of an activation with one: (1), or (C). */
static clg_tensor *learned(clg_tensor *x, const char *layer, const char *what, double start,
                           const clg_learned_activation_params *params)
{
    static const clg_learned_activation_params defaults = {0};
    if (!x || !clg__layer_named(x, layer)) return NULL;
    if (!params) params = &defaults;
    int last = x->shape.ndim - 1;
    if (params->per_channel && (last < 0 || x->shape.batched >> last & 1))
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "%s: the input has no channels: its last axis is missing or follows "
                               "the batch size",
                               layer);
    clg_shape shape = CLG_SHAPE(params->per_channel ? x->shape.dim[last] : 1);
    clg_init standard = {.kind = CLG_INIT_CONSTANT, .value = start};
    return clg__layer_variable(x->graph, layer, what, &shape,
                               params->init ? *params->init : standard, true);
}

clg_tensor *clg_prelu_layer(clg_tensor *x, const char *name,
                            const clg_learned_activation_params *params)
{
    return CLG__COMPOSED(prelu_layer, clg_prelu(x, learned(x, name, "weight", 0.25, params)));
}

clg_tensor *clg_swish_layer(clg_tensor *x, const char *name,
                            const clg_learned_activation_params *params)
{
    return CLG__COMPOSED(swish_layer, clg_swish_learned(x, learned(x, name, "beta", 1, params)));
}

clg_tensor *clg_soft_exponential_layer(clg_tensor *x, const char *name,
                                       const clg_learned_activation_params *params)
{
    clg_tensor *y = clg_soft_exponential(x, learned(x, name, "a", 0, params));
    return CLG__COMPOSED(soft_exponential_layer, y);
}

clg_tensor *clg_apl_layer(clg_tensor *x, const char *name, const clg_apl_layer_params *params)
{
    static const clg_apl_layer_params defaults = {0};
    if (!x || !clg__layer_named(x, name)) return NULL;
    if (!params) params = &defaults;
    int pieces = params->pieces ? params->pieces : 2, last = x->shape.ndim - 1;
    if (pieces < 1 || last < 0 || x->shape.batched >> last & 1)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "%s: %d pieces for each channel, the last axis of the input, which "
                               "must not follow the batch size",
                               name, pieces);
    clg_shape shape = CLG_SHAPE(pieces, x->shape.dim[last]);
    clg_init a = {.kind = CLG_INIT_ZEROS}, b = {.kind = CLG_INIT_UNIFORM, .value = 1};
    if (params->a_init) a = *params->a_init;
    if (params->b_init) b = *params->b_init;
    clg_tensor *heights = clg__layer_variable(x->graph, name, "a", &shape, a, true);
    clg_tensor *hinges = clg__layer_variable(x->graph, name, "b", &shape, b, true);
    return CLG__COMPOSED(apl_layer, clg_apl(x, heights, hinges));
}

clg_tensor *clg_maxout_layer(clg_tensor *x, const char *name, int64_t features,
                             const clg_maxout_layer_params *params)
{
    static const clg_maxout_layer_params defaults = {0};
    if (!x || !clg__layer_named(x, name)) return NULL;
    if (!params) params = &defaults;
    int pieces = params->pieces ? params->pieces : 2;
    if (pieces < 1 || features < 1 || features > INT32_MAX)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "%s: %lld features of %d pieces", name,
                               (long long)features, pieces);
    clg_tensor *y = clg_linear_layer(x, name, pieces * features, &params->linear);
    y = clg_maxout(y, pieces);
    return CLG__COMPOSED(maxout_layer, y);
}
