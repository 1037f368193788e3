/*
 * Normalization: batch, layer, group, instance and RMS norm, local response normalization. Nothing
 * here has a kernel or a gradient rule of its own; what matters is what fusion makes of it. Mean
 * and variance come from one pass over x (`clg__moments`), which ends in the small arithmetic that
 * follows; the second pass normalizes, together with the activation behind it. Backward, all sums
 * over x are one reduction too, and the gradient of x is one more pass.
 *
 * To keep that so, whatever has the size of x stays in x's own shape: small tensors are reshaped
 * and repeated, x never is.
 */
#include <float.h>
#include <math.h>

#include "ops/record.h"

/* ---- mean and variance ---- */

/* Moments over some axes (at least one) with a sample that is given. */
static clg__moments moments_about(clg_tensor *x, uint32_t axes, clg_tensor *sample)
{
    double count = 1;
    for (int i = 0; i < x->shape.ndim; i++)
        if (axes >> i & 1) count *= (double)x->shape.dim[i];
    int power = -__builtin_popcount(x->shape.batched & axes);
    clg_tensor *share = clg__number_by_batch(x, 1 / count, power);
    clg__moments m = {.sample = sample, .deviation = clg_sub(x, sample)};
    m.shift = clg_mul(clg_sum(m.deviation, axes, true), share);
    clg_tensor *square = clg_mul(clg_sum(clg_square(m.deviation), axes, true), share);
    /* Rounding may take it below zero where x hardly varies. */
    m.variance = clg_maximum(clg_sub(square, clg_square(m.shift)), clg__number(x, 0));
    return m;
}

clg__moments clg__moments_over(clg_tensor *x, uint32_t axes)
{
    return x ? moments_about(x, axes, clg__sample(x, axes)) : (clg__moments){NULL};
}

/* x - mean, to the last digit even where the mean is large: the sample is near x. */
static clg_tensor *centered(const clg__moments *m)
{
    return clg_sub(m->deviation, m->shift);
}

static clg_tensor *mean_of(const clg__moments *m)
{
    return clg_add(m->sample, m->shift);
}

static bool check_epsilon(const char *name, const clg_tensor *x, double epsilon)
{
    if (epsilon >= 0 && epsilon < INFINITY) return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                    "%s: epsilon %g is not positive (0 is the default)", name, epsilon);
    return false;
}

/* 1 / sqrt(variance + epsilon), with the default of an operation for an epsilon of 0. */
static clg_tensor *inverse_deviation(clg_tensor *variance, double epsilon, double otherwise)
{
    return clg_rsqrt(clg_add(variance, clg__number(variance, epsilon ? epsilon : otherwise)));
}

/* y factor scale + shift, where given; factor and scale are multiplied first. */
static clg_tensor *affine(clg_tensor *y, clg_tensor *factor, clg_tensor *scale, clg_tensor *shift)
{
    y = clg_mul(y, scale ? clg_mul(factor, scale) : factor);
    return shift ? clg_add(y, shift) : y;
}

/* ---- batch normalization ---- */

/* All axes but the last, as a mask (of at least two axes). */
static uint32_t leading_axes(const clg_tensor *x)
{
    return (1u << (x->shape.ndim - 1)) - 1;
}

static bool check_batch_norm(clg_tensor *x, clg_tensor *const parameters[4])
{
    static const char *const names[] = {"scale", "shift", "running mean", "running variance"};
    if (x->shape.ndim < 2) {
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "batch_norm: expected (..., C) with at least two axes, got %s",
                        CLG__SHAPE_TEXT(&x->shape));
        return false;
    }
    int64_t channels = x->shape.dim[x->shape.ndim - 1];
    for (int i = 0; i < 4; i++) {
        const clg_tensor *p = parameters[i];
        if (!p || (p->shape.ndim == 1 && p->shape.dim[0] == channels)) continue;
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "batch_norm: input %s has %lld channels, %s %s", CLG__SHAPE_TEXT(&x->shape),
                        (long long)channels, names[i], CLG__SHAPE_TEXT(&p->shape));
        return false;
    }
    if ((parameters[2] != NULL) == (parameters[3] != NULL)) return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                    "batch_norm: running mean and running variance come together");
    return false;
}

static bool check_numbers(const clg_tensor *x, const clg_batch_norm_params *params)
{
    if (!check_epsilon("batch_norm", x, params->epsilon)) return false;
    if (params->momentum >= 0 && params->momentum <= 1) return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "batch_norm: momentum %g is not in 0 .. 1",
                    params->momentum);
    return false;
}

/*
 * running += momentum (value - running), at the end of each training step. A layer that is used
 * several times (clg_graph_share_variables) follows its uses one after the other.
 */
static void follow(clg_tensor *running, clg_tensor *value, double momentum)
{
    clg_tensor *before = clg__updated(running);
    clg_tensor *step = clg_mul(clg_sub(value, before), clg__number(running, momentum));
    clg__update_further(running, clg_add(before, step));
}

/* The variance over n - 1 for n rows at the batch size of the run; unchanged if there is one row.
 */
static clg_tensor *unbiased(clg_tensor *variance, const clg_tensor *x)
{
    if (!variance) return NULL;
    double rows = (double)(clg_shape_count(&x->shape) / x->shape.dim[x->shape.ndim - 1]);
    int power = __builtin_popcount(x->shape.batched & leading_axes(x));
    /* Shaped like the variance, so that it is computed with it and not by a kernel of its own. */
    clg_tensor *n = clg_broadcast(clg__number_by_batch(x, rows, power), variance->shape);
    clg_tensor *one = clg__number(x, 1);
    return clg_mul(variance, clg_div(n, clg_maximum(clg_sub(n, one), one)));
}

/* The batch's statistics in training, the running ones in inference; both are updated. */
clg_tensor *clg_batch_norm(clg_tensor *x, clg_tensor *const parameters[4],
                           const clg_batch_norm_params *params)
{
    static const clg_batch_norm_params defaults;
    static clg_tensor *const none[4];
    if (!params) params = &defaults;
    if (!parameters) parameters = none;
    if (!x || !check_batch_norm(x, parameters) || !check_numbers(x, params)) return NULL;
    double momentum = params->momentum ? params->momentum : 0.1;
    clg_tensor *scale = parameters[0], *shift = parameters[1];
    clg_tensor *running_mean = parameters[2], *running_variance = parameters[3];
    clg__moments m = clg__moments_over(x, leading_axes(x));
    clg_tensor *factor = inverse_deviation(m.variance, params->epsilon, 1e-5);
    clg_tensor *y = affine(centered(&m), factor, scale, shift);
    if (!running_mean) return CLG__COMPOSED(batch_norm, y);
    follow(running_mean, mean_of(&m), momentum);
    follow(running_variance, unbiased(m.variance, x), momentum);
    factor = inverse_deviation(running_variance, params->epsilon, 1e-5);
    clg_tensor *inference = affine(clg_sub(x, running_mean), factor, scale, shift);
    return CLG__COMPOSED(batch_norm, clg_by_mode(y, inference));
}

/* ---- layer and RMS normalization: over the last axes ---- */

/* The parameters are shaped like the last axes, which do not follow the batch. */
static bool check_last_axes(const char *name, clg_tensor *x, int axes, clg_tensor *const given[2])
{
    static const char *const names[] = {"scale", "shift"};
    int first = x->shape.ndim - axes;
    bool fits = axes >= 1 && first >= 0 && x->shape.batched >> first == 0;
    if (!fits) {
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "%s: the last %d axes of %s: there must be as many, at least one, and none "
                        "that follows the batch size",
                        name, axes, CLG__SHAPE_TEXT(&x->shape));
        return false;
    }
    clg_shape expected = clg_shape_of(axes, &x->shape.dim[first]);
    for (int i = 0; i < 2; i++) {
        if (!given[i] || clg_shape_equal(&given[i]->shape, &expected)) continue;
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "%s: %s has shape %s, the last %d axes of the input are %s", name, names[i],
                        CLG__SHAPE_TEXT(&given[i]->shape), axes, CLG__SHAPE_TEXT(&expected));
        return false;
    }
    return true;
}

static uint32_t last_axes(const clg_tensor *x, int axes)
{
    return ((1u << axes) - 1) << (x->shape.ndim - axes);
}

/* The product with the factor of each row comes first: it is what the gradient of scale needs. */
static clg_tensor *scaled_rows(clg_tensor *y, clg_tensor *factor, clg_tensor *scale,
                               clg_tensor *shift)
{
    y = clg_mul(y, factor);
    if (scale) y = clg_mul(y, scale);
    return shift ? clg_add(y, shift) : y;
}

clg_tensor *clg_layer_norm(clg_tensor *x, int axes, clg_tensor *scale, clg_tensor *shift,
                           double epsilon)
{
    if (!x || !check_last_axes("layer_norm", x, axes, (clg_tensor *[]){scale, shift}) ||
        !check_epsilon("layer_norm", x, epsilon))
        return NULL;
    clg__moments m = clg__moments_over(x, last_axes(x, axes));
    clg_tensor *factor = inverse_deviation(m.variance, epsilon, 1e-5);
    return CLG__COMPOSED(layer_norm, scaled_rows(centered(&m), factor, scale, shift));
}

clg_tensor *clg_rms_norm(clg_tensor *x, int axes, clg_tensor *scale, double epsilon)
{
    if (!x || !check_last_axes("rms_norm", x, axes, (clg_tensor *[]){scale, NULL}) ||
        !check_epsilon("rms_norm", x, epsilon))
        return NULL;
    clg_tensor *square = clg_mean(clg_square(x), last_axes(x, axes), true);
    clg_tensor *factor = inverse_deviation(square, epsilon, FLT_EPSILON);
    return CLG__COMPOSED(rms_norm, scaled_rows(x, factor, scale, NULL));
}

/* ---- group and instance normalization: per sample, over groups of channels ---- */

static bool check_groups(const char *name, clg_tensor *x, int64_t groups,
                         clg_tensor *const given[2])
{
    static const char *const names[] = {"scale", "shift"};
    int last = x->shape.ndim - 1;
    int64_t channels = last >= 1 ? x->shape.dim[last] : 0;
    if (last < 1 || clg__batched(&x->shape, last) || groups < 1 || channels % groups) {
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "%s: expected (N, ..., C) with C a multiple of %lld groups, got %s", name,
                        (long long)groups, CLG__SHAPE_TEXT(&x->shape));
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (!given[i] || (given[i]->shape.ndim == 1 && given[i]->shape.dim[0] == channels))
            continue;
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "%s: input %s has %lld channels, %s %s", name,
                        CLG__SHAPE_TEXT(&x->shape), (long long)channels, names[i],
                        CLG__SHAPE_TEXT(&given[i]->shape));
        return false;
    }
    return true;
}

/* A number for each sample and channel, (N, 1, ..., C), as (N, groups, C / groups). */
static clg_tensor *by_group(clg_tensor *t, int64_t groups)
{
    if (!t) return NULL;
    int64_t channels = t->shape.dim[t->shape.ndim - 1];
    clg_shape shape = {.ndim = 3,
                       .dim = {t->shape.dim[0], groups, channels / groups},
                       .batched = t->shape.batched & 1};
    return clg__reshape_to(t, &shape);
}

/* A number for each sample and group, (N, groups, 1), repeated to `channels` (N, 1, ..., C). */
static clg_tensor *by_channel(clg_tensor *t, const clg_shape *channels)
{
    if (!t) return NULL;
    clg_shape shape = t->shape;
    shape.dim[2] = channels->dim[channels->ndim - 1] / shape.dim[1];
    return clg__reshape_to(clg_broadcast(t, shape), channels);
}

/*
 * Mean and variance of each group from those of its channels: with the channels' means m_c and the
 * group's mean m, the variance is the mean of variance_c + (m_c - m)^2. All are about one sample
 * for the whole group. Only the channels' own moments need a pass over x.
 */
static clg__moments moments_of_groups(clg_tensor *x, int64_t groups)
{
    uint32_t pixels = leading_axes(x) & ~1u;
    clg_tensor *sample = clg__sample(x, pixels);
    if (!sample) return (clg__moments){NULL};
    clg_shape channels = sample->shape;
    if (groups == channels.dim[channels.ndim - 1]) return moments_about(x, pixels, sample);
    sample = by_channel(clg__sample(by_group(sample, groups), CLG_AXIS(2)), &channels);
    clg__moments m = {.sample = sample, .deviation = clg_sub(x, sample)};
    m.shift = m.deviation;
    m.variance = clg__full_like(m.deviation, 0);
    if (pixels) m = moments_about(x, pixels, sample);
    clg_tensor *shift = by_group(m.shift, groups);
    clg_tensor *common = clg_mean(shift, CLG_AXIS(2), true);
    clg_tensor *spread = clg_add(by_group(m.variance, groups), clg_square(clg_sub(shift, common)));
    m.variance = by_channel(clg_mean(spread, CLG_AXIS(2), true), &channels);
    m.shift = by_channel(common, &channels);
    return m;
}

static clg_tensor *group_norm(const char *name, clg_tensor *x, int64_t groups,
                              clg_tensor *const given[2], double epsilon)
{
    if (!check_groups(name, x, groups, given) || !check_epsilon(name, x, epsilon)) return NULL;
    clg__moments m = moments_of_groups(x, groups);
    return affine(centered(&m), inverse_deviation(m.variance, epsilon, 1e-5), given[0], given[1]);
}

clg_tensor *clg_group_norm(clg_tensor *x, int64_t groups, clg_tensor *scale, clg_tensor *shift,
                           double epsilon)
{
    if (!x) return NULL;
    clg_tensor *given[] = {scale, shift};
    return CLG__COMPOSED(group_norm, group_norm("group_norm", x, groups, given, epsilon));
}

clg_tensor *clg_instance_norm(clg_tensor *x, clg_tensor *scale, clg_tensor *shift, double epsilon)
{
    if (!x) return NULL;
    if (x->shape.ndim < 3)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "instance_norm: expected (N, ..., C) with at least three axes, got "
                               "%s",
                               CLG__SHAPE_TEXT(&x->shape));
    int64_t channels = x->shape.dim[x->shape.ndim - 1];
    clg_tensor *given[] = {scale, shift};
    return CLG__COMPOSED(instance_norm, group_norm("instance_norm", x, channels, given, epsilon));
}

/* ---- local response normalization ---- */

/* x^-beta for x > 0; AlexNet's 3/4 takes two square roots. */
static clg_tensor *negative_power(clg_tensor *x, double beta)
{
    if (beta != 0.75) return clg_pow(x, clg__number(x, -beta));
    clg_tensor *root = clg_rsqrt(x);
    return clg_mul(root, clg_sqrt(root));
}

clg_tensor *clg_local_response_norm(clg_tensor *x, const clg_local_response_norm_params *params)
{
    static const clg_local_response_norm_params defaults;
    if (!x) return NULL;
    clg_local_response_norm_params p = params ? *params : defaults;
    if (p.size == 0) p.size = 5;
    if (p.alpha == 0) p.alpha = 1e-4;
    if (p.beta == 0) p.beta = 0.75;
    if (p.k == 0) p.k = 2;
    if (!(p.size > 0 && p.alpha > 0 && p.beta > 0 && p.k > 0))
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "local_response_norm: size %d, alpha %g, beta %g and k %g must be "
                               "positive",
                               p.size, p.alpha, p.beta, p.k);
    clg_tensor *sum = clg_window_sum(clg_square(x), p.size / 2, (p.size - 1) / 2);
    clg_tensor *share = clg_mul(sum, clg__number(x, p.alpha / p.size));
    clg_tensor *factor = negative_power(clg_add(share, clg__number(x, p.k)), p.beta);
    return CLG__COMPOSED(local_response_norm, clg_mul(x, factor));
}
