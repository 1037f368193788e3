/*
 * Losses: a scalar that says how far a prediction is from its target, for clg_minimize; penalties
 * to add to it; accuracy. Where PyTorch has the same loss, values and gradients are PyTorch's, at
 * the seams too.
 *
 *     clg_tensor *loss = clg_softmax_cross_entropy(logits, labels, NULL);
 *     loss = clg_add(loss, clg_l2_penalty(weight, 1e-4));
 */
#ifndef CLGRAD_LOSSES_H
#define CLGRAD_LOSSES_H

#include "clgrad/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clg_reduction {
    CLG_REDUCTION_MEAN, /* over all elements, or over all rows where a row has one loss */
    CLG_REDUCTION_SUM
} clg_reduction;

/* Options of all losses. Each loss says which it takes; others must stay 0. */
typedef struct clg_loss_params {
    clg_reduction reduction;   /* taken by all */
    double label_smoothing;    /* 0 .. 1: this share of the target is spread over all classes */
    clg_tensor *class_weights; /* (classes): factors of the loss; NULL: 1 */
    bool ignore;               /* rows whose label is ignore_index count nothing ... */
    int64_t ignore_index;      /* ... PyTorch's is -100, and always on */
    double delta;              /* huber: > 0, where the square ends; 0 = 1 */
    double beta;               /* smooth_l1: > 0, likewise; 0 = 1 */
} clg_loss_params;
/** clg_loss_options(.label_smoothing = 0.1) */
#define clg_loss_options(...) CLG_OPTIONS(clg_loss_params, __VA_ARGS__)

/* ---- regression: x and target of the same shape; `params` may be NULL in all of these ---- */

/** (x - target)^2 */
CLG_API clg_tensor *clg_mse(clg_tensor *x, clg_tensor *target, const clg_loss_params *params);
/** |x - target|; slope 0 where they are equal. */
CLG_API clg_tensor *clg_mae(clg_tensor *x, clg_tensor *target, const clg_loss_params *params);
/** d^2 / 2 for |d| = |x - target| <= delta, else delta (|d| - delta / 2). Takes `delta`. */
CLG_API clg_tensor *clg_huber(clg_tensor *x, clg_tensor *target, const clg_loss_params *params);
/** d^2 / (2 beta) for |d| < beta, else |d| - beta / 2. Takes `beta`. */
CLG_API clg_tensor *clg_smooth_l1(clg_tensor *x, clg_tensor *target, const clg_loss_params *params);

/* ---- two classes: x and target of the same shape ---- */

/**
 * -(target ln x + (1 - target) ln(1 - x)) for probabilities x and targets in 0 .. 1; logarithms are
 * at least -100, and slopes at most 1e12. Takes class_weights for the last axis. Better from
 * logits.
 */
CLG_API clg_tensor *clg_binary_cross_entropy(clg_tensor *x, clg_tensor *target,
                                             const clg_loss_params *params);
/** The same of sigmoid(x), in the stable form ln(1 + e^x) - x target. Takes class_weights. */
CLG_API clg_tensor *clg_binary_cross_entropy_logits(clg_tensor *x, clg_tensor *target,
                                                    const clg_loss_params *params);
/** max(0, 1 - target x) for targets -1 and 1; slope 0 at the kink. */
CLG_API clg_tensor *clg_hinge_loss(clg_tensor *x, clg_tensor *target,
                                   const clg_loss_params *params);
/**
 * max(0, -target x) for targets -1 and 1: Rosenblatt's rule as a loss. The slope at x = 0 is
 * -target, so that learning starts from weights that are all zero.
 */
CLG_API clg_tensor *clg_perceptron_loss(clg_tensor *x, clg_tensor *target,
                                        const clg_loss_params *params);

/* ---- several classes ---- */

/**
 * -ln softmax(logits)[label] for logits (rows..., classes) and class indices (rows...), i32 or f32,
 * each 0 .. classes - 1; or -sum over classes of target ln softmax(logits) for targets (rows...,
 * classes), one-hot or soft. Takes label_smoothing, class_weights and, for indices, ignore. The
 * mean of indices with weights is divided by the sum of the rows' weights, as PyTorch does; NaN if
 * all rows are ignored.
 */
CLG_API clg_tensor *clg_softmax_cross_entropy(clg_tensor *logits, clg_tensor *labels,
                                              const clg_loss_params *params);
/** Fraction of rows whose largest logit is at the label: (rows..., classes), (rows...). No
 * gradient.
 */
CLG_API clg_tensor *clg_accuracy(clg_tensor *logits, clg_tensor *labels);

/* ---- many classes, of which few are looked at: word2vec (Mikolov et al. 2013) ----
 * Rows of the table are read by clg_gather, so that a training step costs in proportion to the rows
 * used. The mean is over the N rows of x.
 */

/**
 * -ln sigmoid(x . table[positive]) - sum over k of ln sigmoid(-x . table[negative_k]), for x (N,
 * D), a table (V, D), the right class of each row (N) and K classes that are taken for wrong (N,
 * K), drawn by the caller.
 */
CLG_API clg_tensor *clg_negative_sampling_loss(clg_tensor *x, clg_tensor *table,
                                               clg_tensor *positive, clg_tensor *negative,
                                               const clg_loss_params *params);
/**
 * -ln of the chance to reach a class in a binary tree: -sum over l of ln sigmoid(turn_l x .
 * table[path_l]), for x (N, D), a table with a row for each inner node (V, D), the nodes from the
 * root to the row's class (N, L), and f32 turns there (N, L): 1 or -1, and 0 behind the end of a
 * shorter path, where the node is any valid index.
 */
CLG_API clg_tensor *clg_hierarchical_softmax_loss(clg_tensor *x, clg_tensor *table,
                                                  clg_tensor *path, clg_tensor *turn,
                                                  const clg_loss_params *params);

/* ---- penalties: scalars to add to a loss; the factor is finite ---- */

/** factor * sum |w|; slope 0 at 0. */
CLG_API clg_tensor *clg_l1_penalty(clg_tensor *w, double factor);
/** factor / 2 * sum w^2, whose gradient factor * w is what PyTorch's weight_decay adds. */
CLG_API clg_tensor *clg_l2_penalty(clg_tensor *w, double factor);
/**
 * factor * sum |x| / rows for activations x (rows, ...): the mean over the rows of their sums,
 * which makes codes sparse.
 */
CLG_API clg_tensor *clg_l1_activity_penalty(clg_tensor *x, double factor);

#ifdef __cplusplus
}
#endif
#endif
