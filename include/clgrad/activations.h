/*
 * Activations that are composed of several operations; those of one operation are rows of
 * pointwise.def (clg_relu, clg_gelu, clg_silu ...), and softmax is in ops.h. Parameters that are
 * learned come as tensors that broadcast against x: one number (1), or one per channel (C); layers
 * that own them are in nn.h. Channels are the last axis.
 */
#ifndef CLGRAD_ACTIVATIONS_H
#define CLGRAD_ACTIVATIONS_H

#include "clgrad/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Bipolar relu (Eidnes and Noekland 2017): relu(x) in the even channels (0, 2, ...), -relu(-x) in
 * the odd ones. The slope at 0 is 0, as relu's.
 */
CLG_API clg_tensor *clg_brelu(clg_tensor *x);

/** x > 0 ? x : a x (He et al. 2015). The slopes at 0 are those of the left side, as in PyTorch. */
CLG_API clg_tensor *clg_prelu(clg_tensor *x, clg_tensor *a);

/**
 * x > 0 ? x : r x. In training r is uniform in (lower, upper), another one for each element and
 * step; in inference it is (lower + upper) / 2. 0 <= lower <= upper; both 0: PyTorch's 1/8 and 1/3.
 */
CLG_API clg_tensor *clg_rrelu(clg_tensor *x, double lower, double upper);

/**
 * Adaptive piecewise linear (Agostinelli et al. 2015): max(0, x) + sum over s of a[s] max(0, b[s] -
 * x). x (..., C); a, b (S, C), or (S, 1) for all channels alike. Slopes at the kinks are relu's.
 */
CLG_API clg_tensor *clg_apl(clg_tensor *x, clg_tensor *a, clg_tensor *b);

/** x / (1 + e^(-beta x)) with a learned beta; clg_swish is the one with a fixed number. */
CLG_API clg_tensor *clg_swish_learned(clg_tensor *x, clg_tensor *beta);

/**
 * Soft exponential (Godfrey and Gashler 2015), from a logarithm over the line to an exponential:
 *     a < 0: -ln(1 - a (x + a)) / a      a = 0: x      a > 0: (e^(a x) - 1) / a + a
 * Smooth in a through 0, and computed so. Where that cannot be computed - logarithms of less than
 * 2^-23 (for a < 0 they exist for x > 1/a - a only), exponents a x above 80 - it goes on as a
 * straight line.
 */
CLG_API clg_tensor *clg_soft_exponential(clg_tensor *x, clg_tensor *a);

/**
 * Maximum of `pieces` parts (Goodfellow et al. 2013): x (..., pieces C) -> (..., C), the maximum of
 * x[c], x[C + c], x[2C + c] ... The gradient goes to the winner, of equal ones to the first.
 */
CLG_API clg_tensor *clg_maxout(clg_tensor *x, int pieces);

#ifdef __cplusplus
}
#endif
#endif
