/*
 * Networks: layers that own their parameters, optimizers, and learning rate schedules. Everything
 * here is built from ops.h: layers and optimizers record nodes and nothing else, and errors are
 * sticky as described in tensor.h.
 */
#ifndef CLGRAD_NN_H
#define CLGRAD_NN_H

#include "clgrad/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- layers ----
 * A layer creates variables "<name>.weight", "<name>.bias" ... in the graph of its input. Weights
 * and biases start as in PyTorch, uniform in +-1 / sqrt(fan_in), unless an initializer is given.
 * `params` may be NULL.
 */

typedef struct clg_linear_params {
    const clg_init *weight_init,
        *bias_init; /* NULL: CLG_INIT_FAN_IN_UNIFORM of the weight's fan-in */
    bool no_bias;
} clg_linear_params;
/** clg_linear_options(.weight_init = &CLG_INIT(CLG_INIT_HE_NORMAL)) */
#define clg_linear_options(...) (&(clg_linear_params){__VA_ARGS__})
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
#define clg_conv2d_layer_options(...) (&(clg_conv2d_layer_params){__VA_ARGS__})
/**
 * x (N, H, W, IC) -> (N, OH, OW, channels) with a size x size kernel. Variables: <name>.weight
 * (size, width, IC / groups, channels), <name>.bias (channels).
 */
CLG_API clg_tensor *clg_conv2d_layer(clg_tensor *x, const char *name, int64_t channels, int size,
                                     const clg_conv2d_layer_params *params);

/**
 * x (..., C): clg_batch_norm with variables of its own, each (C): <name>.weight (scale, ones),
 * <name>.bias (shift, zeros), and as state <name>.running_mean (zeros), <name>.running_var (ones).
 */
CLG_API clg_tensor *clg_batch_norm_layer(clg_tensor *x, const char *name,
                                         const clg_batch_norm_params *params);

/* ---- optimizers ---- */

/* One row per optimizer: identifier, name in files and on the command line, default weight decay.
 */
#define CLG_OPTIMIZER_ROWS(X)                                                                      \
    X(SGD, sgd, 0.0)                                                                               \
    X(ADAM, adam, 0.0)                                                                             \
    X(ADAMW, adamw, 0.01)

typedef enum clg_optimizer_kind {
#define CLG_OPTIMIZER_ENUM(id, name, weight_decay) CLG_##id,
    CLG_OPTIMIZER_ROWS(CLG_OPTIMIZER_ENUM)
#undef CLG_OPTIMIZER_ENUM
        CLG_OPTIMIZER_COUNT
} clg_optimizer_kind;

/* Fields at 0 take the default of torch.optim; where that is not 0, a negative value means 0. */
typedef struct clg_optimizer_params {
    clg_optimizer_kind kind;
    double lr;       /* > 0: fixed. 0: the scalar input "lr" of the graph, to be fed before a run */
    double momentum; /* SGD, 0 .. 1; default 0 */
    bool nesterov;   /* SGD with momentum */
    double beta1, beta2;     /* Adam, AdamW, below 1; default 0.9 and 0.999 */
    double epsilon;          /* Adam, AdamW; default 1e-8 */
    double weight_decay;     /* SGD, Adam: L2, default 0. AdamW: decoupled, default 0.01 */
    bool decay_weights_only; /* no decay of variables with fewer than two axes: biases, norms */
    double clip_norm; /* > 0: gradients are scaled so that their common norm is at most this */
    const char *name; /* tells several optimizers of a graph apart; NULL: none */
    clg_tensor *const *variables; /* what to train; NULL: all trainable variables of the loss */
    size_t n_variables;
} clg_optimizer_params;
/** clg_optimizer_options(.kind = CLG_ADAM, .lr = 1e-3) */
#define clg_optimizer_options(...) (&(clg_optimizer_params){__VA_ARGS__})

/* What clg_minimize built; the nodes belong to the graph. */
typedef struct clg_minimized {
    clg_tensor *lr;            /* input "lr", or a constant */
    clg_tensor *gradient_norm; /* scalar: norm of all gradients together, before clipping */
    int64_t parameters;        /* numbers that are trained */
} clg_minimized;

/**
 * Adds to the graph of the scalar `loss` one optimizer step: gradients with respect to the
 * trainable variables that the loss depends on, and an update of each. Programs compiled with
 * CLG_TRAINING carry it out in every run. State lives in variables "optimizer.momentum",
 * "optimizer.m", "optimizer.v" ("optimizer.<name>.m" ...), one number per parameter in the order of
 * the variables' creation. Several calls with disjoint `variables` and distinct names may share a
 * graph. Call it before the graph's first program is compiled. `out` may be NULL.
 */
CLG_API clg_status clg_minimize(clg_tensor *loss, const clg_optimizer_params *params,
                                clg_minimized *out);

/** "sgd", "adam" ...; NULL for an unknown kind. */
CLG_API const char *clg_optimizer_name(clg_optimizer_kind kind);
/** The kind with this name; false (and *out untouched) if there is none. */
CLG_API bool clg_optimizer_find(const char *name, clg_optimizer_kind *out);

/* ---- learning rate schedules ---- */

#define CLG_SCHEDULE_ROWS(X)                                                                       \
    X(CONSTANT, "constant")                                                                        \
    X(COSINE, "cosine")

typedef enum clg_schedule_kind {
#define CLG_SCHEDULE_ENUM(id, name) CLG_SCHEDULE_##id,
    CLG_SCHEDULE_ROWS(CLG_SCHEDULE_ENUM)
#undef CLG_SCHEDULE_ENUM
        CLG_SCHEDULE_COUNT
} clg_schedule_kind;

typedef struct clg_schedule {
    clg_schedule_kind kind;
    double lr;       /* the highest rate */
    double lr_min;   /* cosine: the rate at the end */
    uint64_t warmup; /* steps of linear growth from lr / warmup to lr; counted in `total` */
    uint64_t total;  /* cosine: steps until lr_min, which then stays */
} clg_schedule;

/**
 * Learning rate of the step after `step` finished ones (clg_graph_steps). A pure function, so that
 * a resumed run continues as it would have. Cosine: torch's CosineAnnealingLR after the warm-up.
 */
CLG_API double clg_schedule_lr(const clg_schedule *schedule, uint64_t step);

/** "constant", "cosine"; NULL for an unknown kind. */
CLG_API const char *clg_schedule_name(clg_schedule_kind kind);
/** The kind with this name; false (and *out untouched) if there is none. */
CLG_API bool clg_schedule_find(const char *name, clg_schedule_kind *out);

#ifdef __cplusplus
}
#endif
#endif
