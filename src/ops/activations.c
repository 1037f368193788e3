/*
 * Activations made of several operations: see clgrad/activations.h. Like the rows of pointwise.def
 * they end up in one kernel with their neighbours; what is learned is an input that broadcasts.
 *
 * clg_where evaluates both sides and multiplies gradients by 0 or 1, so that a side that is not
 * chosen must be finite all the same: arguments are replaced before a function is applied to them.
 */
#include "clgrad/activations.h"

#include <math.h>

#include "ops/record.h"

#define NUM(value) clg__number(x, (value))

/* ---- piecewise linear ---- */

/* The parity is a factor s of 1 or -1, as s relu(s x) is relu(x) or -relu(-x). */
clg_tensor *clg_brelu(clg_tensor *x)
{
    if (!x) return NULL;
    if (x->shape.ndim == 0)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "brelu: a scalar has no channels");
    clg_tensor *channel = clg_iota(x, -1);
    clg_tensor *half = clg_mul(NUM(0.5), channel);
    clg_tensor *odd = clg_less(clg_floor(half), half);
    clg_tensor *sign = clg_sub(NUM(1), clg_mul(NUM(2), odd));
    return CLG__COMPOSED(brelu, clg_mul(sign, clg_relu(clg_mul(sign, x))));
}

clg_tensor *clg_prelu(clg_tensor *x, clg_tensor *a)
{
    if (!x) return NULL;
    return CLG__COMPOSED(prelu, clg_where(clg_greater(x, NUM(0)), x, clg_mul(a, x)));
}

clg_tensor *clg_rrelu(clg_tensor *x, double lower, double upper)
{
    if (!x) return NULL;
    if (lower == 0 && upper == 0) lower = 1.0 / 8, upper = 1.0 / 3;
    if (!(lower >= 0 && lower <= upper && isfinite(upper)))
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "rrelu: expected slopes with 0 <= lower <= upper, got %g and %g",
                               lower, upper);
    clg_tensor *random = clg_mul(NUM(upper - lower), clg_random_uniform(x));
    clg_tensor *slope =
        clg_by_mode(clg_add(NUM(lower), random), clg__full_like(x, (lower + upper) / 2));
    return CLG__COMPOSED(rrelu, clg_where(clg_greater(x, NUM(0)), x, clg_mul(slope, x)));
}

static bool check_apl(clg_tensor *x, clg_tensor *a, clg_tensor *b)
{
    int64_t channels = x->shape.ndim > 0 ? x->shape.dim[x->shape.ndim - 1] : 1;
    if (a->shape.ndim == 2 && (a->shape.dim[1] == channels || a->shape.dim[1] == 1) &&
        !a->shape.batched && clg__same_shape(&a->shape, &b->shape))
        return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                    "apl: expected a and b (pieces, %lld) for an input %s, got %s and %s",
                    (long long)channels, CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(&a->shape),
                    CLG__SHAPE_TEXT(&b->shape));
    return false;
}

/* Row s of (S, C) as (C). */
static clg_tensor *piece(clg_tensor *table, int64_t s)
{
    clg_tensor *row = clg_slice(table, 0, s, 1);
    return row ? clg_reshape(row, CLG_SHAPE(table->shape.dim[1])) : NULL;
}

clg_tensor *clg_apl(clg_tensor *x, clg_tensor *a, clg_tensor *b)
{
    if (!x || !a || !b || !check_apl(x, a, b)) return NULL;
    clg_tensor *y = clg_relu(x);
    for (int64_t s = 0; s < a->shape.dim[0]; s++)
        y = clg_add(y, clg_mul(piece(a, s), clg_relu(clg_sub(piece(b, s), x))));
    return CLG__COMPOSED(apl, y);
}

/* The larger of two; of equal ones the first, NaN before everything. */
static clg_tensor *winner(clg_tensor *first, clg_tensor *second)
{
    clg_tensor *stays = clg_greater_equal(first, second);
    return clg_where(clg_add(stays, clg_not_equal(first, first)), first, second);
}

clg_tensor *clg_maxout(clg_tensor *x, int pieces)
{
    if (!x) return NULL;
    int last = x->shape.ndim - 1;
    if (pieces < 1 || last < 0 || x->shape.dim[last] % pieces || clg__batched(&x->shape, last))
        return clg__graph_fail(
            x->graph, CLG_ERROR_ARGUMENT,
            "maxout: the channels of %s (the last axis, which must not follow the "
            "batch) do not make %d equal pieces",
            CLG__SHAPE_TEXT(&x->shape), pieces);
    if (pieces == 1) return x;
    int64_t channels = x->shape.dim[last] / pieces;
    clg_tensor *best = clg_slice(x, last, 0, channels);
    for (int i = 1; i < pieces; i++)
        best = winner(best, clg_slice(x, last, i * channels, channels));
    return CLG__COMPOSED(maxout, best);
}

/* ---- smooth ---- */

clg_tensor *clg_swish_learned(clg_tensor *x, clg_tensor *beta)
{
    return CLG__COMPOSED(swish_learned, clg_mul(x, clg_sigmoid(clg_mul(beta, x))));
}

/* c[0] + c[1] t + c[2] t^2 + ... */
static clg_tensor *polynomial(clg_tensor *t, const double *c, int n)
{
    clg_tensor *sum = clg__number(t, c[n - 1]);
    for (int i = n - 2; i >= 0; i--) sum = clg_add(clg__number(t, c[i]), clg_mul(t, sum));
    return sum;
}

/*
 * small ? series(t) : formula(t), for a formula that divides by t and would cancel near 0: worse
 * with each derivative. Both sides get arguments of their own half.
 */
static clg_tensor *near_zero(clg_tensor *t, double limit, clg_tensor *(*series)(clg_tensor *t),
                             clg_tensor *(*formula)(clg_tensor *t))
{
    clg_tensor *small = clg_less(clg_abs(t), clg__number(t, limit));
    clg_tensor *inner = clg_where(small, t, clg__number(t, 0));
    clg_tensor *outer = clg_where(small, clg__number(t, 1), t);
    return clg_where(small, series(inner), formula(outer));
}

/* (e^t - 1) / t = sum of t^n / (n + 1)! */
static clg_tensor *expm1_series(clg_tensor *t)
{
    static const double c[] = {1,         1.0 / 2,    1.0 / 6,     1.0 / 24,     1.0 / 120,
                               1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800};
    return polynomial(t, c, CLG__COUNT(c));
}

static clg_tensor *expm1_ratio(clg_tensor *t)
{
    return clg_div(clg_expm1(t), t);
}

/* ln(1 + u) / u = 2 artanh(z) / u with z = u / (2 + u): a series in z^2, which is small. */
static clg_tensor *log1p_series(clg_tensor *u)
{
    static const double c[] = {1, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11};
    clg_tensor *two = clg__number(u, 2), *sum = clg_add(two, u);
    clg_tensor *series = polynomial(clg_square(clg_div(u, sum)), c, CLG__COUNT(c));
    return clg_mul(clg_div(two, sum), series);
}

static clg_tensor *log1p_ratio(clg_tensor *u)
{
    return clg_div(clg_log1p(u), u);
}

/*
 * With t = a x and u = -a (x + a) the two branches are x f(t) + a and (x + a) h(u), where f(t) =
 * (e^t - 1) / t and h(u) = ln(1 + u) / u are smooth and 1 at 0: no division by a is left.
 */
clg_tensor *clg_soft_exponential(clg_tensor *x, clg_tensor *a)
{
    if (!x || !a) return NULL;
    clg_tensor *positive = clg_greater(a, NUM(0)), *shifted = clg_add(x, a);
    clg_tensor *t = clg_where(positive, clg_mul(a, x), NUM(0));
    t = clg_minimum(t, NUM(80));
    clg_tensor *u = clg_where(positive, NUM(0), clg_neg(clg_mul(a, shifted)));
    u = clg_maximum(u, NUM(-1 + 0x1p-23));
    clg_tensor *exponential = clg_add(clg_mul(x, near_zero(t, 0.5, expm1_series, expm1_ratio)), a);
    clg_tensor *logarithm = clg_mul(shifted, near_zero(u, 0.25, log1p_series, log1p_ratio));
    return CLG__COMPOSED(soft_exponential, clg_where(positive, exponential, logarithm));
}
