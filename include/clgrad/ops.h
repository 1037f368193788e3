/*
 * Operations: builders that record a node in the graph of their inputs. All accept NULL tensors and
 * then return NULL (see tensor.h about sticky errors); shapes, types and attributes are checked
 * when the node is built. Results are f32. Pointwise operations broadcast as NumPy does. An `axis`
 * counts from 0 or, where it is negative, from the end: -1 is the last.
 */
#ifndef CLGRAD_OPS_H
#define CLGRAD_OPS_H

#include "clgrad/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- pointwise: the rows of pointwise.def ---- */
#define CLG_UNARY(name, ...) CLG_API clg_tensor *clg_##name(clg_tensor *x);
#define CLG_UNARY_A(name, ...) CLG_API clg_tensor *clg_##name(clg_tensor *x, double a);
#define CLG_UNARY_AB(name, ...) CLG_API clg_tensor *clg_##name(clg_tensor *x, double a, double b);
#define CLG_BINARY(name, ...) CLG_API clg_tensor *clg_##name(clg_tensor *x, clg_tensor *y);
#define CLG_TERNARY(name, ...)                                                                     \
    CLG_API clg_tensor *clg_##name(clg_tensor *x, clg_tensor *y, clg_tensor *z);
#include "clgrad/pointwise.def"
#undef CLG_UNARY
#undef CLG_UNARY_A
#undef CLG_UNARY_AB
#undef CLG_BINARY
#undef CLG_TERNARY

/** Position along `axis` as a number, shaped like x: 0 1 2 ... No gradient. */
CLG_API clg_tensor *clg_iota(clg_tensor *like, int axis);
/**
 * Uniform numbers in (0, 1) shaped like x, new ones at each training step; Philox keyed by (graph
 * seed, step, this node, element). No gradient.
 */
CLG_API clg_tensor *clg_random_uniform(clg_tensor *like);
/** Standard normal numbers, from two uniform ones each (Box-Muller). No gradient. */
CLG_API clg_tensor *clg_random_normal(clg_tensor *like);
/** Number of the current training step, from 1, as an f32 scalar. */
CLG_API clg_tensor *clg_step_number(clg_graph *graph);
/** Same value; gradients do not flow through. */
CLG_API clg_tensor *clg_stop_gradient(clg_tensor *x);
/** `training` in programs that train (all but those of CLG_INFERENCE and CLG_INFERENCE_AVERAGED),
 *  else `inference`; equal shapes. */
CLG_API clg_tensor *clg_by_mode(clg_tensor *training, clg_tensor *inference);

/* ---- reductions; axes: bit i = axis i, 0 = all axes; keep: reduced axes stay with extent 1 ----
 */
#define CLG_AXIS(i) (1u << (i))
CLG_API clg_tensor *clg_sum(clg_tensor *x, uint32_t axes, bool keep);
CLG_API clg_tensor *clg_mean(clg_tensor *x, uint32_t axes, bool keep);
/** Gradient is shared evenly between equal maxima, as torch.amax. */
CLG_API clg_tensor *clg_max(clg_tensor *x, uint32_t axes, bool keep);
/** Index of the first maximum along `axis`, as f32 numbers; the axis goes. No gradient. */
CLG_API clg_tensor *clg_argmax(clg_tensor *x, int axis);
CLG_API clg_tensor *clg_min(clg_tensor *x, uint32_t axes, bool keep);
CLG_API clg_tensor *clg_argmin(clg_tensor *x, int axis);
/** Divided by n - 1 if unbiased (NaN for n = 1), by n if not. */
CLG_API clg_tensor *clg_variance(clg_tensor *x, uint32_t axes, bool unbiased, bool keep);
/** Its square root; the gradient is 0 where all elements are equal. */
CLG_API clg_tensor *clg_standard_deviation(clg_tensor *x, uint32_t axes, bool unbiased, bool keep);
/**
 * p = 1: sum of |x|; 2: square root of the sum of squares, with the gradient 0 at 0; INFINITY: the
 * largest |x|; -INFINITY: the smallest.
 */
CLG_API clg_tensor *clg_vector_norm(clg_tensor *x, double p, uint32_t axes, bool keep);
/** clg_vector_norm with p = 2 of everything. */
CLG_API clg_tensor *clg_norm(clg_tensor *x);
/**
 * x (..., units): the share of units (channels of images) that are 0 in all rows and at all
 * positions of the batch: a relu network's dead units. A scalar. No gradient.
 */
CLG_API clg_tensor *clg_dead_units(clg_tensor *x);
/** ln(sum of e^x), shifted by the maximum. */
CLG_API clg_tensor *clg_log_sum_exp(clg_tensor *x, uint32_t axes, bool keep);
/**
 * y[i] = x[i - before] + ... + x[i + after] along the last axis (of fewer than 2^30 elements), with
 * zeros outside; `before` and `after` are in 0 .. 2^29 - 1.
 */
CLG_API clg_tensor *clg_window_sum(clg_tensor *x, int before, int after);
/** Over one axis, shifted by the maximum. */
CLG_API clg_tensor *clg_softmax(clg_tensor *x, int axis);
CLG_API clg_tensor *clg_log_softmax(clg_tensor *x, int axis);

/* ---- structure ---- */
/** Same elements in row-major order; one extent may be CLG_BATCH: what is left (needed if x follows
 *  the batch, because that extent will change with it). */
CLG_API clg_tensor *clg_reshape(clg_tensor *x, clg_shape shape);
/** (N, anything) -> (N, product of the rest). */
CLG_API clg_tensor *clg_flatten(clg_tensor *x);
/** Axis i of the result is axis order[i] of x; `order` has ndim entries. Makes a copy. */
CLG_API clg_tensor *clg_transpose(clg_tensor *x, const int *order);
/** Repeats axes of extent 1 (and adds leading ones) up to `shape`. */
CLG_API clg_tensor *clg_broadcast(clg_tensor *x, clg_shape shape);
/** Elements begin .. begin + count - 1 of `axis` (not an axis that follows the batch). */
CLG_API clg_tensor *clg_slice(clg_tensor *x, int axis, int64_t begin, int64_t count);
typedef struct clg_slice_params {
    int64_t begin[CLG_MAX_DIMS]; /* first element of each axis */
    int64_t count[CLG_MAX_DIMS]; /* 0: as many as there are */
    int64_t step[CLG_MAX_DIMS];  /* every step-th element; 0 = 1 */
} clg_slice_params;
#define clg_slice_options(...) CLG_OPTIONS(clg_slice_params, __VA_ARGS__)
/** The same along several axes, with steps; axes that follow the batch stay whole. */
CLG_API clg_tensor *clg_slice_axes(clg_tensor *x, const clg_slice_params *params);
/** Cuts `axis` into n equal parts: out[0] .. out[n - 1], of which none is a copy. */
CLG_API clg_status clg_split(clg_tensor *x, int axis, int n, clg_tensor **out);
/** Reverses axes (bit i = axis i, 0 = all); they may follow the batch. */
CLG_API clg_tensor *clg_flip(clg_tensor *x, uint32_t axes);
/** Joins n >= 1 tensors along `axis` (which does not follow the batch); other extents are equal. */
CLG_API clg_tensor *clg_concat(clg_tensor *const *x, int n, int axis);
/** Joins n >= 1 tensors of one shape along a new axis, which becomes axis `axis` of the result. */
CLG_API clg_tensor *clg_stack(clg_tensor *const *x, int n, int axis);
/** Zeros around `axis` (which does not follow the batch): `before` in front, `after` behind. */
CLG_API clg_tensor *clg_pad(clg_tensor *x, int axis, int64_t before, int64_t after);
/**
 * Rows of a table by index: x (V, ...) and index (S...) -> (S..., ...), y[i] = x[index[i]]. Indices
 * are i32, u8, or f32 holding integers (for tables up to 2^24 rows). An index that is not in
 * 0 .. V - 1 gives a row of NaN, so that a mistake in the data is noticed and named as divergence.
 */
CLG_API clg_tensor *clg_gather(clg_tensor *x, clg_tensor *index);
/** x (V, ...) with rows[i] added to x[index[i]]; rows (S..., ...) of indices outside are dropped.
 *  Equal indices add up in their order: the result does not depend on timing. */
CLG_API clg_tensor *clg_scatter_add(clg_tensor *x, clg_tensor *index, clg_tensor *rows);
/** y[i][j][k] = x[i][index[i][j][k]][k] for axis 1, as torch.gather; the other axes of x and index
 *  agree, and x has at most 2^24 elements. */
CLG_API clg_tensor *clg_take_along_axis(clg_tensor *x, clg_tensor *index, int axis);

/* What a padded axis a b c is filled up with. */
typedef enum clg_pad_mode {
    CLG_PAD_CONSTANT,  /* v v | a b c | v v */
    CLG_PAD_REPLICATE, /* a a | a b c | c c */
    CLG_PAD_REFLECT,   /* c b | a b c | b a; less than the extent on either side */
    CLG_PAD_CIRCULAR   /* b c | a b c | a b; the extent at most */
} clg_pad_mode;
typedef struct clg_pad_params {
    int64_t before[CLG_MAX_DIMS], after[CLG_MAX_DIMS]; /* elements in front and behind, by axis */
    clg_pad_mode mode;
    double value; /* of CLG_PAD_CONSTANT; default 0 */
} clg_pad_params;
#define clg_pad_options(...) CLG_OPTIONS(clg_pad_params, __VA_ARGS__)
/** The same for several axes (one copy for each that is padded), with a mode. */
CLG_API clg_tensor *clg_pad_axes(clg_tensor *x, const clg_pad_params *params);
/** Class indices (any shape) -> one more axis of `classes` with a 1 at the index. */
CLG_API clg_tensor *clg_one_hot(clg_tensor *index, int64_t classes);

/* ---- linear algebra ---- */
typedef struct clg_matmul_params {
    bool transpose_a, transpose_b; /* use the transpose of the last two axes */
} clg_matmul_params;
#define clg_matmul_options(...) CLG_OPTIONS(clg_matmul_params, __VA_ARGS__)
/**
 * (batch..., M, K) x (batch..., K, N) -> (batch..., M, N). Leading axes are equal, or one side has
 * just two axes and serves all. `params` may be NULL.
 */
CLG_API clg_tensor *clg_matmul(clg_tensor *a, clg_tensor *b, const clg_matmul_params *params);

typedef enum clg_padding {
    CLG_PADDING_EXPLICIT, /* the `pad` field (default: none) */
    CLG_PADDING_SAME,     /* output extent = ceil(input / stride); the odd pixel goes to the end */
    CLG_PADDING_VALID     /* none: all windows lie inside the image */
} clg_padding;
typedef struct clg_conv2d_params {
    int stride[2];   /* along H and W, 1 .. 2^20; 0 = 1; stride[1] = 0: same as stride[0] */
    int pad[2];      /* pixels on both sides of H and of W; pad[1] is used as given. 0 where
                        `padding` is another than CLG_PADDING_EXPLICIT */
    int dilation[2]; /* as stride */
    int groups;      /* 0 = 1 */
    clg_padding padding;
    clg_pad_mode pad_mode; /* what is padded with: zeros by default; others cost a copy of x */
} clg_conv2d_params;
#define clg_conv2d_options(...) CLG_OPTIONS(clg_conv2d_params, __VA_ARGS__)
/** x (N, H, W, IC), w (KH, KW, IC / groups, OC) -> (N, OH, OW, OC); cross-correlation. */
CLG_API clg_tensor *clg_conv2d(clg_tensor *x, clg_tensor *w, const clg_conv2d_params *params);

typedef struct clg_conv_transpose2d_params {
    int stride[2];         /* along H and W, 1 .. 2^20; 0 = 1; stride[1] = 0: same as stride[0] */
    int pad[2];            /* what the convolution padded: so much less output on both sides */
    int output_padding[2]; /* more output at the end; below the stride or the dilation */
    int dilation[2];       /* as stride */
    int groups;            /* 0 = 1 */
} clg_conv_transpose2d_params;
#define clg_conv_transpose2d_options(...) CLG_OPTIONS(clg_conv_transpose2d_params, __VA_ARGS__)
/**
 * Transposed convolution: what the gradient of the convolution with these weights and parameters
 * does with its result. x (N, H, W, IC), w (KH, KW, OC / groups, IC) -> (N, OH, OW, OC),
 * OH = (H - 1) stride - 2 pad + dilation (KH - 1) + output_padding + 1. PyTorch's ConvTranspose2d
 * has the weights as (IC, OC / groups, KH, KW).
 */
CLG_API clg_tensor *clg_conv_transpose2d(clg_tensor *x, clg_tensor *w,
                                         const clg_conv_transpose2d_params *params);

typedef struct clg_pool2d_params {
    int size[2];   /* window; size[1] = 0: same as size[0]; 0 = 2 */
    int stride[2]; /* 0: the window's size */
    int pad[2];    /* below the window's size; max: padded with -inf; average: zeros that count */
} clg_pool2d_params;
#define clg_pool2d_options(...) CLG_OPTIONS(clg_pool2d_params, __VA_ARGS__)
/** (N, H, W, C) -> (N, OH, OW, C), OH = floor((H + 2 pad - size) / stride) + 1; ties: first wins.
 */
CLG_API clg_tensor *clg_max_pool2d(clg_tensor *x, const clg_pool2d_params *params);
CLG_API clg_tensor *clg_average_pool2d(clg_tensor *x, const clg_pool2d_params *params);
/**
 * (N, H, W, C) -> (N, height, width, C): window i of n along an axis of extent e reaches from
 * floor(i e / n) to below ceil((i + 1) e / n), as in PyTorch.
 */
CLG_API clg_tensor *clg_adaptive_average_pool2d(clg_tensor *x, int height, int width);
CLG_API clg_tensor *clg_adaptive_max_pool2d(clg_tensor *x, int height, int width);
/** (N, H, W, C) -> (N, C), the mean over H and W. */
CLG_API clg_tensor *clg_global_average_pool2d(clg_tensor *x);

/* ---- recurrent cells and sequences ---- */

/*
 * Weights of G gates, one block of H columns for each: rnn G = 1; lstm 4, in the order i f g o; gru
 * 3, in the order r z n. PyTorch has the transposes.
 */
typedef struct clg_recurrent_params {
    clg_tensor *weight_ih;         /* (F, G H) */
    clg_tensor *weight_hh;         /* (H, G H) */
    clg_tensor *bias_ih, *bias_hh; /* (G H) each; both NULL: none */
    clg_tensor *h, *c;             /* before the first step; NULL: zeros. Cell: (N, H); sequence:
                                      (1, N, H). c: of lstm only */
    bool relu;                     /* of rnn only: relu instead of tanh */
} clg_recurrent_params;
#define clg_recurrent_options(...) CLG_OPTIONS(clg_recurrent_params, __VA_ARGS__)

/* After the last step, shaped like those before the first; c is NULL where there is none. */
typedef struct clg_recurrent_state {
    clg_tensor *h, *c;
} clg_recurrent_state;

/**
 * One step: x (N, F) -> h' (N, H). `next` may be NULL. With W = weight_ih, U = weight_hh and b, d
 * the two biases:
 *   rnn:  h' = tanh(x W + b + h U + d)
 *   lstm: i, f, o = sigmoid, g = tanh of x W + b + h U + d;  c' = f c + i g;  h' = o tanh(c')
 *   gru:  r, z = sigmoid(x W + b + h U + d);  n = tanh(x W_n + b_n + r (h U_n + d_n));
 *         h' = (1 - z) n + z h
 */
CLG_API clg_tensor *clg_rnn_cell(clg_tensor *x, const clg_recurrent_params *params,
                                 clg_recurrent_state *next);
CLG_API clg_tensor *clg_lstm_cell(clg_tensor *x, const clg_recurrent_params *params,
                                  clg_recurrent_state *next);
CLG_API clg_tensor *clg_gru_cell(clg_tensor *x, const clg_recurrent_params *params,
                                 clg_recurrent_state *next);
/**
 * All steps: x (T, N, F) -> h of each step (T, N, H). `last` may be NULL. Unrolled: T steps are T
 * products and T fused kernels, forward and backward; the products with weight_ih, and the
 * gradients of both weights, are one for all steps. T does not follow the batch.
 */
CLG_API clg_tensor *clg_rnn(clg_tensor *x, const clg_recurrent_params *params,
                            clg_recurrent_state *last);
CLG_API clg_tensor *clg_lstm(clg_tensor *x, const clg_recurrent_params *params,
                             clg_recurrent_state *last);
CLG_API clg_tensor *clg_gru(clg_tensor *x, const clg_recurrent_params *params,
                            clg_recurrent_state *last);

/* ---- normalization, regularization ---- */
typedef struct clg_batch_norm_params {
    double momentum; /* of the running statistics, 0 .. 1; 0 = 0.1 */
    double epsilon;  /* > 0; 0 = 1e-5 */
} clg_batch_norm_params;
#define clg_batch_norm_options(...) CLG_OPTIONS(clg_batch_norm_params, __VA_ARGS__)
/**
 * x (..., C): over all axes but the last. `parameters`: scale, shift, running_mean,
 * running_variance, in this order and of shape (C) each. Any of the first two may be NULL, both of
 * the last two - which are variables -, or the array itself. Training: statistics of the batch, and
 * the running ones are updated as PyTorch does (unbiased variance). Inference: the running ones, or
 * the batch's where there are none.
 */
CLG_API clg_tensor *clg_batch_norm(clg_tensor *x, clg_tensor *const parameters[4],
                                   const clg_batch_norm_params *params);
/**
 * Each sample over its last `axes` axes (PyTorch's normalized_shape): subtracts the mean, divides
 * by sqrt(variance + epsilon), times scale plus shift, which are shaped like those axes or NULL.
 * epsilon > 0; 0 is 1e-5, here and below but for rms_norm.
 */
CLG_API clg_tensor *clg_layer_norm(clg_tensor *x, int axes, clg_tensor *scale, clg_tensor *shift,
                                   double epsilon);
/** The same without mean and shift: x / sqrt(mean of x^2 + epsilon). epsilon 0 is 2^-23. */
CLG_API clg_tensor *clg_rms_norm(clg_tensor *x, int axes, clg_tensor *scale, double epsilon);
/**
 * x (N, ..., C): each sample's channels in `groups` groups, over the group's channels and all axes
 * between; scale and shift (C) or NULL.
 */
CLG_API clg_tensor *clg_group_norm(clg_tensor *x, int64_t groups, clg_tensor *scale,
                                   clg_tensor *shift, double epsilon);
/** Each channel a group of its own; x has at least three axes. */
CLG_API clg_tensor *clg_instance_norm(clg_tensor *x, clg_tensor *scale, clg_tensor *shift,
                                      double epsilon);

typedef struct clg_local_response_norm_params {
    int size;     /* neighbouring channels that count; 0 = 5 */
    double alpha; /* 0 = 1e-4 */
    double beta;  /* 0 = 0.75 */
    double k;     /* 0 = 2, as AlexNet; PyTorch's default is 1 */
} clg_local_response_norm_params;
#define clg_local_response_norm_options(...)                                                       \
    CLG_OPTIONS(clg_local_response_norm_params, __VA_ARGS__)
/**
 * x (..., C): x / (k + alpha / size * sum of x^2 over `size` channels around each)^beta, as PyTorch
 * (AlexNet's paper does not divide alpha by the size).
 */
CLG_API clg_tensor *clg_local_response_norm(clg_tensor *x,
                                            const clg_local_response_norm_params *params);
/** In training zero with probability p, scaled by 1 / (1 - p); identity in inference. */
CLG_API clg_tensor *clg_dropout(clg_tensor *x, double p);
/** x (N, ..., C): whole channels of a sample are dropped together (PyTorch's dropout2d). */
CLG_API clg_tensor *clg_channel_dropout(clg_tensor *x, double p);

/* ---- state ---- */
/**
 * Says that a variable becomes `value` (same shape, or with extents of 1 in front) at the end of a
 * run. All reads in the run see
 * the old value. The node is an output to ask for, or an update (clg_graph_update).
 */
CLG_API clg_tensor *clg_assign(clg_tensor *variable, clg_tensor *value);
/**
 * Programs compiled with CLG_TRAINING or CLG_ACCUMULATION run this assignment too. NULL is ignored:
 * the graph has the failure of the builder that gave it.
 */
CLG_API void clg_graph_update(clg_tensor *assignment);

/* ---- the table of operations, for tools and documentation ---- */
typedef struct clg_op_info {
    const char *name; /* mostly of the builder: "softmax" of clg_softmax */
    const char *formula;
    /* An operation of nodes: "pointwise", "reduction", "kernel", "view", "source", "state", "mode".
     * What is composed of those: "reduction", "structure", "activation", "normalization",
     * "regularization", "augmentation", "loss", "metric", "layer" (with variables of its own). */
    const char *kind;
    const char *parameters; /* besides tensors, with defaults: "a = 0.01"; "" if there are none */
    bool has_gradient;      /* false too where it is zero everywhere */
    bool has_second;        /* the gradient can be differentiated again */
    const char *tests;      /* file in the source tree's tests/ that exercises it: "ops/matmul.c" */
} clg_op_info;
/**
 * Row `index` of the table, from 0; false past the end. First come the operations that nodes have
 * (clg_tensor_op), then the builders that are composed of them (clg_tensor_composition).
 */
CLG_API bool clg_op_query(size_t index, clg_op_info *out);
/** The composition that t is the result of, "softmax"; "" where t is a plain operation. */
CLG_API const char *clg_tensor_composition(const clg_tensor *t);

#ifdef __cplusplus
}
#endif
#endif
