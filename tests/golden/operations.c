/*
 * The golden cases of operations, in C: how each is built, and which operations have no case.
 * A row of the table of operations and compositions that is in neither list fails test_golden.c.
 */
#include "golden.h"

#define BUILD(name, ...)                                                                           \
    static clg_tensor *name(const json_t *c, clg_tensor *const *x)                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define INT(key, at) golden_int(c, key, at, 0)

static clg_shape shape_of(const json_t *c)
{
    clg_shape shape = {.ndim = (int)golden_length(c, "shape")};
    for (int i = 0; i < shape.ndim; i++) shape.dim[i] = INT("shape", (size_t)i);
    return shape;
}

/* The list "axes" as a mask. */
static uint32_t axes_of(const json_t *c)
{
    uint32_t axes = 0;
    for (size_t i = 0; i < golden_length(c, "axes"); i++) axes |= CLG_AXIS(INT("axes", i));
    return axes;
}

/* ---- reductions ---- */

BUILD(sum, return clg_sum(x[0], axes_of(c), INT("keep", 0));)
BUILD(mean, return clg_mean(x[0], axes_of(c), INT("keep", 0));)
BUILD(max, return clg_max(x[0], axes_of(c), INT("keep", 0));)
BUILD(min, return clg_min(x[0], axes_of(c), INT("keep", 0));)
BUILD(log_sum_exp, return clg_log_sum_exp(x[0], axes_of(c), INT("keep", 0));)
BUILD(variance, return clg_variance(x[0], axes_of(c), INT("unbiased", 0), false);)
BUILD(standard_deviation,
      return clg_standard_deviation(x[0], axes_of(c), INT("unbiased", 0), false);)
BUILD(vector_norm, return clg_vector_norm(x[0], golden_number(c, "p", 0, 0), axes_of(c), false);)
BUILD(argmin, return clg_argmin(x[0], INT("axis", 0));)
BUILD(argmax, return clg_argmax(x[0], INT("axis", 0));)
BUILD(norm, return clg_norm(x[0]);)
BUILD(softmax, return clg_softmax(x[0], INT("axis", 0));)
BUILD(log_softmax, return clg_log_softmax(x[0], INT("axis", 0));)

/* ---- structure ---- */

BUILD(reshape, return clg_reshape(x[0], shape_of(c));)
BUILD(flatten, return clg_flatten(x[0]);)
BUILD(transpose, const int order[] = {INT("order", 0), INT("order", 1), INT("order", 2)};
      return clg_transpose(x[0], order);)
BUILD(broadcast, return clg_broadcast(x[0], shape_of(c));)
BUILD(slice, return clg_slice(x[0], INT("axis", 0), INT("begin", 0), INT("count", 0));)
BUILD(concat,
      return clg_concat(x, (int)json_array_size(json_object_get(c, "inputs")), INT("axis", 0));)
BUILD(pad, return clg_pad(x[0], INT("axis", 0), INT("before", 0), INT("after", 0));)
BUILD(one_hot, return clg_one_hot(x[0], INT("classes", 0));)
BUILD(iota, return clg_iota(x[0], INT("axis", 0));)
BUILD(full, return clg_full(x[0]->graph, x[0]->shape, golden_number(c, "value", 0, 0));)
BUILD(stop_gradient, return clg_mul(x[0], clg_stop_gradient(x[0]));)

BUILD(stack,
      return clg_stack(x, (int)json_array_size(json_object_get(c, "inputs")), INT("axis", 0));)
BUILD(flip, return clg_flip(x[0], axes_of(c));)
BUILD(gather, return clg_gather(x[0], x[1]);)
BUILD(scatter_add, return clg_scatter_add(x[0], x[1], x[2]);)
BUILD(take_along_axis, return clg_take_along_axis(x[0], x[1], INT("axis", 0));)

/* A list of extents. */
static void read_list(const json_t *c, const char *key, int64_t *list)
{
    for (size_t i = 0; i < golden_length(c, key); i++) list[i] = golden_int(c, key, i, 0);
}

BUILD(slice_axes, clg_slice_params p = {{0}}; read_list(c, "begin", p.begin);
      read_list(c, "count", p.count); read_list(c, "step", p.step);
      return clg_slice_axes(x[0], &p);)

static clg_pad_mode pad_mode_of(const json_t *c)
{
    static const char *const names[] = {"constant", "replicate", "reflect", "circular"};
    const char *mode =
        json_string_value(json_object_get(json_object_get(c, "attributes"), "pad_mode"));
    for (int i = 0; mode && i < 4; i++)
        if (strcmp(mode, names[i]) == 0) return (clg_pad_mode)i;
    return CLG_PAD_CONSTANT;
}

BUILD(pad_axes, clg_pad_params p = {{0}}; read_list(c, "before", p.before);
      read_list(c, "after", p.after); p.mode = pad_mode_of(c);
      p.value = golden_number(c, "value", 0, 0); return clg_pad_axes(x[0], &p);)

/* ---- recurrent: x, both weights, both biases, h, c ---- */

#define RECURRENT_OPTIONS                                                                          \
    clg_recurrent_options(.weight_ih = x[1], .weight_hh = x[2], .bias_ih = x[3], .bias_hh = x[4],  \
                          .h = x[5], .c = x[6], .relu = INT("relu", 0))
BUILD(rnn, return clg_rnn(x[0], RECURRENT_OPTIONS, NULL);)
BUILD(lstm, return clg_lstm(x[0], RECURRENT_OPTIONS, NULL);)
BUILD(gru, return clg_gru(x[0], RECURRENT_OPTIONS, NULL);)
BUILD(rnn_cell, return clg_rnn_cell(x[0], RECURRENT_OPTIONS, NULL);)
BUILD(lstm_cell, return clg_lstm_cell(x[0], RECURRENT_OPTIONS, NULL);)
BUILD(gru_cell, return clg_gru_cell(x[0], RECURRENT_OPTIONS, NULL);)

/* ---- products, convolution, pooling ---- */

BUILD(matmul, return clg_matmul(x[0], x[1],
                                clg_matmul_options(.transpose_a = INT("transpose_a", 0),
                                                   .transpose_b = INT("transpose_b", 0)));)
BUILD(conv2d,
      return clg_conv2d(x[0], x[1],
                        clg_conv2d_options(.stride = {INT("stride", 0), INT("stride", 1)},
                                           .pad = {INT("pad", 0), INT("pad", 1)},
                                           .dilation = {INT("dilation", 0), INT("dilation", 1)},
                                           .groups = INT("groups", 0),
                                           .padding = INT("same", 0) ? CLG_PADDING_SAME : 0,
                                           .pad_mode = pad_mode_of(c)));)
BUILD(conv_transpose2d,
      return clg_conv_transpose2d(
          x[0], x[1],
          clg_conv_transpose2d_options(.stride = {INT("stride", 0), INT("stride", 1)},
                                       .pad = {INT("pad", 0), INT("pad", 1)},
                                       .output_padding = {INT("output_padding", 0),
                                                          INT("output_padding", 1)},
                                       .dilation = {INT("dilation", 0), INT("dilation", 1)},
                                       .groups = INT("groups", 0)));)
BUILD(affine_warp, const char *border = golden_text(json_object_get(c, "attributes"), "border");
      return clg_affine_warp(x[0], x[1],
                             clg_affine_warp_options(.size = {INT("size", 0), INT("size", 1)},
                                                     .border = strcmp(border, "zeros")
                                                                   ? CLG_BORDER_REPLICATE
                                                                   : CLG_BORDER_ZERO));)
#define POOL_OPTIONS                                                                               \
    clg_pool2d_options(.size = {INT("size", 0), INT("size", 1)},                                   \
                       .stride = {INT("stride", 0), INT("stride", 1)},                             \
                       .pad = {INT("pad", 0), INT("pad", 1)})
BUILD(max_pool2d, return clg_max_pool2d(x[0], POOL_OPTIONS);)
BUILD(average_pool2d, return clg_average_pool2d(x[0], POOL_OPTIONS);)
BUILD(adaptive_average_pool2d,
      return clg_adaptive_average_pool2d(x[0], INT("size", 0), INT("size", 1));)
BUILD(adaptive_max_pool2d, return clg_adaptive_max_pool2d(x[0], INT("size", 0), INT("size", 1));)
BUILD(global_average_pool2d, return clg_global_average_pool2d(x[0]);)

/* ---- normalization ---- */

BUILD(batch_norm,
      return clg_batch_norm(x[0], x + 1,
                            clg_batch_norm_options(.momentum = golden_number(c, "momentum", 0, 0),
                                                   .epsilon = golden_number(c, "epsilon", 0, 0)));)
#define EPSILON golden_number(c, "epsilon", 0, 0)
BUILD(layer_norm, return clg_layer_norm(x[0], INT("axes", 0), x[1], x[2], EPSILON);)
BUILD(rms_norm, return clg_rms_norm(x[0], INT("axes", 0), x[1], EPSILON);)
BUILD(group_norm, return clg_group_norm(x[0], INT("groups", 0), x[1], x[2], EPSILON);)
BUILD(instance_norm, return clg_instance_norm(x[0], x[1], x[2], EPSILON);)
BUILD(local_response_norm,
      return clg_local_response_norm(
          x[0], clg_local_response_norm_options(.size = INT("size", 0),
                                                .alpha = golden_number(c, "alpha", 0, 0),
                                                .beta = golden_number(c, "beta", 0, 0),
                                                .k = golden_number(c, "k", 0, 0)));)
BUILD(window_sum, return clg_window_sum(x[0], INT("before", 0), INT("after", 0));)
BUILD(normalize, return clg_normalize(x[0], x[1], x[2]);)

/* ---- activations ---- */

BUILD(apl, return clg_apl(x[0], x[1], x[2]);)
BUILD(brelu, return clg_brelu(x[0]);)
BUILD(maxout, return clg_maxout(x[0], INT("pieces", 0));)
BUILD(prelu, return clg_prelu(x[0], x[1]);)
BUILD(rrelu,
      return clg_rrelu(x[0], golden_number(c, "lower", 0, 0), golden_number(c, "upper", 0, 0));)
BUILD(soft_exponential, return clg_soft_exponential(x[0], x[1]);)
BUILD(swish_learned, return clg_swish_learned(x[0], x[1]);)

/* ---- losses ---- */

static clg_loss_params loss_options(const json_t *c, clg_tensor *const *x)
{
    int64_t ignored = golden_int(c, "ignore_index", 0, -1);
    return (clg_loss_params){.reduction = INT("sum", 0) ? CLG_REDUCTION_SUM : CLG_REDUCTION_MEAN,
                             .label_smoothing = golden_number(c, "label_smoothing", 0, 0),
                             .class_weights = INT("weights", 0) ? x[2] : NULL,
                             .ignore = ignored >= 0,
                             .ignore_index = ignored >= 0 ? ignored : 0,
                             .delta = golden_number(c, "delta", 0, 0),
                             .beta = golden_number(c, "beta", 0, 0)};
}
#define LOSS(name)                                                                                 \
    BUILD(name, clg_loss_params p = loss_options(c, x); return clg_##name(x[0], x[1], &p);)
LOSS(binary_cross_entropy)
LOSS(binary_cross_entropy_logits)
LOSS(hinge_loss)
LOSS(huber)
LOSS(mae)
LOSS(mse)
LOSS(perceptron_loss)
LOSS(smooth_l1)
LOSS(softmax_cross_entropy)
BUILD(accuracy, return clg_accuracy(x[0], x[1]);)
#define FACTOR golden_number(c, "factor", 0, 0)
BUILD(l1_penalty, return clg_l1_penalty(x[0], FACTOR);)
BUILD(l2_penalty, return clg_l2_penalty(x[0], FACTOR);)
BUILD(l1_activity_penalty, return clg_l1_activity_penalty(x[0], FACTOR);)

/* Rows of pointwise.def need no builder here. */
#define ROW(name)                                                                                  \
    {                                                                                              \
#name, name                                                                                \
    }
const golden_builder golden_builders[] = {
    ROW(accuracy),
    ROW(adaptive_average_pool2d),
    ROW(adaptive_max_pool2d),
    ROW(affine_warp),
    ROW(apl),
    ROW(argmax),
    ROW(argmin),
    ROW(average_pool2d),
    ROW(batch_norm),
    ROW(binary_cross_entropy),
    ROW(binary_cross_entropy_logits),
    ROW(brelu),
    ROW(broadcast),
    ROW(concat),
    ROW(conv2d),
    ROW(conv_transpose2d),
    ROW(flatten),
    ROW(flip),
    ROW(full),
    ROW(gather),
    ROW(global_average_pool2d),
    ROW(group_norm),
    ROW(gru),
    ROW(gru_cell),
    ROW(hinge_loss),
    ROW(huber),
    ROW(instance_norm),
    ROW(iota),
    ROW(l1_activity_penalty),
    ROW(l1_penalty),
    ROW(l2_penalty),
    ROW(layer_norm),
    ROW(local_response_norm),
    ROW(log_softmax),
    ROW(log_sum_exp),
    ROW(lstm),
    ROW(lstm_cell),
    ROW(mae),
    ROW(matmul),
    ROW(max),
    ROW(max_pool2d),
    ROW(maxout),
    ROW(mean),
    ROW(min),
    ROW(mse),
    ROW(norm),
    ROW(normalize),
    ROW(one_hot),
    ROW(pad),
    ROW(pad_axes),
    ROW(perceptron_loss),
    ROW(prelu),
    ROW(reshape),
    ROW(rms_norm),
    ROW(rnn),
    ROW(rnn_cell),
    ROW(rrelu),
    ROW(scatter_add),
    ROW(slice),
    ROW(slice_axes),
    ROW(smooth_l1),
    ROW(soft_exponential),
    ROW(softmax),
    ROW(softmax_cross_entropy),
    ROW(stack),
    ROW(standard_deviation),
    ROW(stop_gradient),
    ROW(sum),
    ROW(swish_learned),
    ROW(take_along_axis),
    ROW(transpose),
    ROW(variance),
    ROW(vector_norm),
    ROW(window_sum),
    {NULL, NULL},
};

#define RANDOM "random: PyTorch draws other numbers"
#define SPARSE "how optimizers treat embeddings: their suite compares with dense updates"
#define SEGMENTS "norms of packed parameters: the optimizers' trajectories depend on them"
const golden_exemption golden_exemptions[] = {
    /* checked as a part of another operation's cases */
    {"affine_warp_backward", "affine_warp", "gradient"},
    {"assign", "batch_norm", "running statistics"},
    {"average_pool2d_backward", "average_pool2d", "gradient"},
    {"by_mode", "batch_norm", "training and inference"},
    {"conv2d_backward_data", "conv2d", "gradient"},
    {"conv2d_backward_weights", "conv2d", "gradient"},
    {"input", "add", "every case has inputs"},
    {"max_pool2d_backward", "max_pool2d", "gradient"},
    {"pad_backward", "pad_axes", "gradient"},
    {"part", "slice", "a slice that is one range of memory"},
    {"reduce_max", "max", "what clg_max is made of"},
    {"reduce_sum", "sum", "what clg_sum is made of"},
    {"sample", "batch_norm", "the element that variances are taken around"},
    {"variable", "batch_norm", "running statistics"},
    {"with_gradient", "lstm", "how sequences get their backward pass"},
    /* no twin in PyTorch */
    {"assign_rows", NULL, SPARSE},
    {"by_accumulation", NULL, "which micro-batch a program is for: PyTorch has no such operation"},
    {"channel_dropout", NULL, RANDOM},
    {"color_jitter", NULL, RANDOM},
    {"cutout", NULL, RANDOM},
    {"dead_units", NULL, "a count for monitoring: PyTorch has no such function"},
    {"dropout", NULL, RANDOM},
    {"first_equal", NULL, SPARSE},
    {"gaussian_noise", NULL, RANDOM},
    {"hierarchical_softmax_loss", NULL, "PyTorch has no such loss; the ops suite checks it"},
    {"max_pool2d_gather", NULL, "second derivative of max_pool2d; the ops suite checks it"},
    {"negative_sampling_loss", NULL, "PyTorch has no such loss; the ops suite checks it"},
    {"random_affine", NULL, RANDOM},
    {"random_crop", NULL, RANDOM},
    {"random_flip", NULL, RANDOM},
    {"random_normal", NULL, RANDOM},
    {"random_uniform", NULL, RANDOM},
    {"row_index", NULL, SPARSE},
    {"segment_repeat", NULL, SEGMENTS},
    {"segment_sum", NULL, SEGMENTS},
    {"step_number", NULL, "the number of the training step: PyTorch has no such operation"},
    {"sum_equal_rows", NULL, SPARSE},

    {NULL, NULL, NULL},
};
