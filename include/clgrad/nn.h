/*
 * Networks: layers that own their parameters, and with the headers included here optimizers and
 * learning rate schedules. Everything is built from ops.h: layers and optimizers record nodes and
 * nothing else, and errors are sticky as described in tensor.h.
 */
#ifndef CLGRAD_NN_H
#define CLGRAD_NN_H

#include "clgrad/activations.h"
#include "clgrad/augment.h"
#include "clgrad/losses.h"
#include "clgrad/ops.h"
#include "clgrad/optimizer.h"
#include "clgrad/schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- layers ----
 * A layer creates variables "<name>.weight", "<name>.bias" ... in the graph of its input; the name
 * is not NULL, and of no other layer of the graph (but see clg_graph_share_variables). Weights
 * and biases start as in PyTorch, uniform in +-1 / sqrt(fan_in), unless an initializer is given.
 * `params` may be NULL.
 */

typedef struct clg_linear_params {
    const clg_init *weight_init,
        *bias_init; /* NULL: CLG_INIT_FAN_IN_UNIFORM of the weight's fan-in */
    bool no_bias;
} clg_linear_params;
/** clg_linear_options(.weight_init = &CLG_INIT(.kind = CLG_INIT_HE_NORMAL)) */
#define clg_linear_options(...) CLG_OPTIONS(clg_linear_params, __VA_ARGS__)
/**
 * x (..., IC) -> x weight + bias (..., features). Variables: <name>.weight (IC, features; PyTorch
 * has the transpose), <name>.bias (features).
 */
CLG_API clg_tensor *clg_linear_layer(clg_tensor *x, const char *name, int64_t features,
                                     const clg_linear_params *params);

typedef struct clg_conv2d_layer_params {
    clg_conv2d_params conv;                  /* stride, padding, dilation, groups */
    int width;                               /* of the kernel, along W; 0: same as `size` */
    const clg_init *weight_init, *bias_init; /* as in clg_linear_params */
    bool no_bias;
} clg_conv2d_layer_params;
/** clg_conv2d_layer_options(.conv = {.padding = CLG_PADDING_SAME}) */
#define clg_conv2d_layer_options(...) CLG_OPTIONS(clg_conv2d_layer_params, __VA_ARGS__)
/**
 * x (N, H, W, IC) -> (N, OH, OW, channels) with a size x size kernel. Variables: <name>.weight
 * (size, width, IC / groups, channels), <name>.bias (channels).
 */
CLG_API clg_tensor *clg_conv2d_layer(clg_tensor *x, const char *name, int64_t channels, int size,
                                     const clg_conv2d_layer_params *params);

typedef struct clg_conv_transpose2d_layer_params {
    clg_conv_transpose2d_params conv;        /* stride, padding, dilation, groups */
    int width;                               /* of the kernel, along W; 0: same as `size` */
    const clg_init *weight_init, *bias_init; /* as in clg_linear_params */
    bool no_bias;
} clg_conv_transpose2d_layer_params;
#define clg_conv_transpose2d_layer_options(...)                                                    \
    CLG_OPTIONS(clg_conv_transpose2d_layer_params, __VA_ARGS__)
/**
 * x (N, H, W, IC) -> (N, OH, OW, channels) with a size x size kernel. Variables: <name>.weight
 * (size, width, channels / groups, IC), <name>.bias (channels).
 */
CLG_API clg_tensor *clg_conv_transpose2d_layer(clg_tensor *x, const char *name, int64_t channels,
                                               int size,
                                               const clg_conv_transpose2d_layer_params *params);

/**
 * x (..., C): clg_batch_norm with variables of its own, each (C): <name>.weight (scale, ones),
 * <name>.bias (shift, zeros), and as state <name>.running_mean (zeros), <name>.running_var (ones).
 */
CLG_API clg_tensor *clg_batch_norm_layer(clg_tensor *x, const char *name,
                                         const clg_batch_norm_params *params);
/** Over the last `axes` axes, with <name>.weight (ones) and <name>.bias (zeros) of their shape. */
CLG_API clg_tensor *clg_layer_norm_layer(clg_tensor *x, const char *name, int axes, double epsilon);
/** The same with <name>.weight only. */
CLG_API clg_tensor *clg_rms_norm_layer(clg_tensor *x, const char *name, int axes, double epsilon);
/** x (N, ..., C), with <name>.weight and <name>.bias (C). */
CLG_API clg_tensor *clg_group_norm_layer(clg_tensor *x, const char *name, int64_t groups,
                                         double epsilon);

/**
 * x (..., C): clg_normalize by two variables that are not trained, each (C): <name>.offset (zeros)
 * and <name>.scale (ones). Write what was measured on the training data (clg_dataset_measure) into
 * them: they are kept in checkpoints, so that new data is treated as the training data was.
 */
CLG_API clg_tensor *clg_normalize_layer(clg_tensor *x, const char *name);

/* ---- activations with variables (activations.h has the formulas) ---- */

typedef struct clg_learned_activation_params {
    bool per_channel; /* one number for each channel of x (its last axis) instead of one for all */
    const clg_init *init; /* NULL: the layer's own, see there */
} clg_learned_activation_params;
/** clg_learned_activation_options(.per_channel = true) */
#define clg_learned_activation_options(...) CLG_OPTIONS(clg_learned_activation_params, __VA_ARGS__)

/** clg_prelu with the variable <name>.weight, (1) or (C); 0.25 at first. */
CLG_API clg_tensor *clg_prelu_layer(clg_tensor *x, const char *name,
                                    const clg_learned_activation_params *params);
/** clg_swish_learned with the variable <name>.beta, (1) or (C); 1 at first. */
CLG_API clg_tensor *clg_swish_layer(clg_tensor *x, const char *name,
                                    const clg_learned_activation_params *params);
/** clg_soft_exponential with the variable <name>.a, (1) or (C); 0 at first: the identity. */
CLG_API clg_tensor *clg_soft_exponential_layer(clg_tensor *x, const char *name,
                                               const clg_learned_activation_params *params);

typedef struct clg_apl_layer_params {
    int pieces;                      /* S; 0 = 2 */
    const clg_init *a_init, *b_init; /* NULL: zeros (relu at first); uniform in -1 .. 1 */
} clg_apl_layer_params;
#define clg_apl_layer_options(...) CLG_OPTIONS(clg_apl_layer_params, __VA_ARGS__)
/** x (..., C): clg_apl with the variables <name>.a and <name>.b, (S, C). */
CLG_API clg_tensor *clg_apl_layer(clg_tensor *x, const char *name,
                                  const clg_apl_layer_params *params);

typedef struct clg_maxout_layer_params {
    int pieces;               /* linear functions per output; 0 = 2 */
    clg_linear_params linear; /* initializers, no_bias */
} clg_maxout_layer_params;
#define clg_maxout_layer_options(...) CLG_OPTIONS(clg_maxout_layer_params, __VA_ARGS__)
/**
 * x (..., IC) -> (..., features): the maximum of several linear functions. Variables: <name>.weight
 * (IC, pieces features), <name>.bias (pieces features), piece by piece.
 */
CLG_API clg_tensor *clg_maxout_layer(clg_tensor *x, const char *name, int64_t features,
                                     const clg_maxout_layer_params *params);

#ifdef __cplusplus
}
#endif
#endif
