/*
 * Everything that a row of pointwise.def becomes in the library: the op row with the expression as
 * text, the double reference (the same expression, compiled here), the gradient rule, the builder.
 */
#include <math.h>

#include "ops/record.h"

/* ---- the double reference: the expression pasted into C ---- */

#define V(literal) (literal)
#define V_(parameter) (parameter)
#define SELECT(condition, then, otherwise) ((condition) ? (then) : (otherwise))
#define LT(p, q) ((p) < (q))
#define LE(p, q) ((p) <= (q))
#define GT(p, q) ((p) > (q))
#define GE(p, q) ((p) >= (q))
#define EQ(p, q) ((p) == (q))

#define REFERENCE(name, expression)                                                                \
    static double reference_##name(double x, double y, double z, double a, double b)               \
    {                                                                                              \
        return expression;                                                                         \
    }
#define CLG_UNARY(name, formula, lo, hi, expression, dx) REFERENCE(name, expression)
#define CLG_UNARY_A(name, formula, lo, hi, da, sa, valid, expression, dx)                          \
    REFERENCE(name, expression)
#define CLG_UNARY_AB(name, formula, lo, hi, sa, sb, valid, expression, dx)                         \
    REFERENCE(name, expression)
#define CLG_BINARY(name, formula, lo, hi, expression, dx, dy) REFERENCE(name, expression)
#define CLG_TERNARY(name, formula, lo, hi, expression, dx, dy, dz) REFERENCE(name, expression)
#include "clgrad/pointwise.def"
#undef CLG_UNARY
#undef CLG_UNARY_A
#undef CLG_UNARY_AB
#undef CLG_BINARY
#undef CLG_TERNARY
#undef V
#undef V_
#undef SELECT
#undef LT
#undef LE
#undef GT
#undef GE
#undef EQ

/* ---- gradient rules: the last columns, as builders ---- */

#define NUM(value) clg__number(g, (value))
#define NONE NULL /* undefined below: there the word itself is wanted */

/* What the winner of x and y gets: all, or half of it where they are equal (as in PyTorch). */
static clg_tensor *clg__share(clg_tensor *wins, clg_tensor *x, clg_tensor *y)
{
    return clg_add(wins, clg_mul(clg__number(wins, 0.5), clg_equal(x, y)));
}

/* y x^(y - 1), and 0 for 0^0. */
static clg_tensor *clg__pow_gradient(clg_tensor *x, clg_tensor *y, clg_tensor *g)
{
    clg_tensor *zeros = clg_mul(clg_equal(x, NUM(0.0)), clg_equal(y, NUM(0.0)));
    clg_tensor *power = clg_pow(clg_where(zeros, NUM(1.0), x), clg_sub(y, NUM(1.0)));
    return clg_mul(g, clg_mul(y, power));
}

/* x^y ln x, and 0 at x = 0 where y >= 0. */
static clg_tensor *clg__pow_exponent_gradient(clg_tensor *x, clg_tensor *y, clg_tensor *out,
                                              clg_tensor *g)
{
    clg_tensor *flat = clg_mul(clg_equal(x, NUM(0.0)), clg_greater_equal(y, NUM(0.0)));
    return clg_mul(g, clg_mul(out, clg_log(clg_where(flat, NUM(1.0), x))));
}

/* (1 + tanh u) / 2 is the sigmoid of 2 u, and 1 - tanh^2 u four times the product of both sides of
 * it: written so, nothing cancels where the tanh is near 1 and x is large. */
static clg_tensor *clg__gelu_tanh_gradient(clg_tensor *x, clg_tensor *g)
{
    const double c = 2 * 0.7978845608028654, k = 0.044715; /* 2 sqrt(2 / pi) and the cubic term */
    clg_tensor *cube = clg_mul(x, clg_square(x));
    clg_tensor *u = clg_mul(NUM(c), clg_add(x, clg_mul(NUM(k), cube)));
    clg_tensor *inner = clg_mul(NUM(c), clg_add(NUM(1.0), clg_mul(NUM(3 * k), clg_square(x))));
    clg_tensor *slope = clg_mul(clg_mul(x, inner), clg_sigmoid(clg_neg(u)));
    return clg_mul(g, clg_mul(clg_sigmoid(u), clg_add(NUM(1.0), slope)));
}

/* With s and q the sigmoids of x and -x, tanh(ln(1 + e^x)) is s (1 + q) / (1 + q^2), and one minus
 * its square 4 q^2 / (1 + q^2)^2. */
static clg_tensor *clg__mish_gradient(clg_tensor *x, clg_tensor *g)
{
    clg_tensor *s = clg_sigmoid(x), *q = clg_sigmoid(clg_neg(x)), *qq = clg_square(q);
    clg_tensor *share = clg_div(NUM(1.0), clg_add(NUM(1.0), qq));
    clg_tensor *slope = clg_mul(clg_mul(NUM(4.0), x), clg_mul(qq, share));
    return clg_mul(g, clg_mul(clg_mul(s, share), clg_add(clg_add(NUM(1.0), q), slope)));
}

/* dx rules see the inputs' own shapes; what broadcasting repeated is summed up again. */
#define GRADIENT(name, n, d0, d1, d2)                                                              \
    static void gradient_##name(clg_tensor *out, clg_tensor *g, clg_tensor **dx)                   \
    {                                                                                              \
        clg_tensor *x = out->inputs[0], *y = out->inputs[1], *z = out->inputs[2];                  \
        const clg__pointwise_attr *attr = out->attr;                                               \
        double a = attr->a, b = attr->b;                                                           \
        (void)x, (void)y, (void)z, (void)a, (void)b;                                               \
        clg_tensor *gradients[3] = {d0, d1, d2};                                                   \
        for (int i = 0; i < (n); i++)                                                              \
            if (gradients[i]) dx[i] = clg__sum_to(gradients[i], &out->inputs[i]->shape);           \
    }
#define CLG_UNARY(name, formula, lo, hi, expression, d0) GRADIENT(name, 1, d0, NULL, NULL)
#define CLG_UNARY_A(name, formula, lo, hi, da, sa, valid, expression, d0)                          \
    GRADIENT(name, 1, d0, NULL, NULL)
#define CLG_UNARY_AB(name, formula, lo, hi, sa, sb, valid, expression, d0)                         \
    GRADIENT(name, 1, d0, NULL, NULL)
#define CLG_BINARY(name, formula, lo, hi, expression, d0, d1) GRADIENT(name, 2, d0, d1, NULL)
#define CLG_TERNARY(name, formula, lo, hi, expression, d0, d1, d2) GRADIENT(name, 3, d0, d1, d2)
#include "clgrad/pointwise.def"
#undef CLG_UNARY
#undef CLG_UNARY_A
#undef CLG_UNARY_AB
#undef CLG_BINARY
#undef CLG_TERNARY

#undef NUM
#undef NONE

/* ---- rows ---- */

#define DETAILS(name, text, count, n, low, high, sa, sb, names, holds, ...)                        \
    static bool valid_##name(double a, double b)                                                   \
    {                                                                                              \
        (void)a, (void)b;                                                                          \
        return holds;                                                                              \
    }                                                                                              \
    static const clg__pointwise details_##name = {.expression = #text,                             \
                                                  .arity = count,                                  \
                                                  .n_parameters = n,                               \
                                                  .lo = low,                                       \
                                                  .hi = high,                                      \
                                                  .sample_a = sa,                                  \
                                                  .sample_b = sb,                                  \
                                                  .parameters = names,                             \
                                                  .valid = valid_##name,                           \
                                                  .condition = #holds,                             \
                                                  .gradients = {__VA_ARGS__},                      \
                                                  .reference = reference_##name};
#define CLG_UNARY(name, formula, lo, hi, expression, d0)                                           \
    DETAILS(name, expression, 1, 0, lo, hi, 0, 0, "", true, #d0)
#define CLG_UNARY_A(name, formula, lo, hi, da, sa, valid, expression, d0)                          \
    DETAILS(name, expression, 1, 1, lo, hi, sa, 0, "a = " #da, valid, #d0)
#define CLG_UNARY_AB(name, formula, lo, hi, sa, sb, valid, expression, d0)                         \
    DETAILS(name, expression, 1, 2, lo, hi, sa, sb, "a, b", valid, #d0)
#define CLG_BINARY(name, formula, lo, hi, expression, d0, d1)                                      \
    DETAILS(name, expression, 2, 0, lo, hi, 0, 0, "", true, #d0, #d1)
#define CLG_TERNARY(name, formula, lo, hi, expression, d0, d1, d2)                                 \
    DETAILS(name, expression, 3, 0, lo, hi, 0, 0, "", true, #d0, #d1, #d2)
#include "clgrad/pointwise.def"
#undef CLG_UNARY
#undef CLG_UNARY_A
#undef CLG_UNARY_AB
#undef CLG_BINARY
#undef CLG_TERNARY

enum {
#define CLG_UNARY(name, ...) ROW_##name,
#define CLG_UNARY_A CLG_UNARY
#define CLG_UNARY_AB CLG_UNARY
#define CLG_BINARY CLG_UNARY
#define CLG_TERNARY CLG_UNARY
#include "clgrad/pointwise.def"
#undef CLG_UNARY
    ROW_COUNT
};

/* Of the others nothing is known. */
static const clg__laws laws[ROW_COUNT] = {
    [ROW_add] = {.role = CLG__SUM, .neutral = 0, .neutral_bits = 3},
    [ROW_sub] = {.neutral = 0, .neutral_bits = 2},
    [ROW_mul] = {.role = CLG__PRODUCT, .neutral = 1, .neutral_bits = 3, .zero_bits = 3},
    [ROW_div] = {.neutral = 1, .neutral_bits = 2},
    [ROW_pow] = {.neutral = 1, .neutral_bits = 2},
    [ROW_neg] = {.role = CLG__NEGATION},
};

const size_t clg__pointwise_count = ROW_COUNT;
const clg__op clg__pointwise_rows[] = {
#define CLG_UNARY(row, text, ...)                                                                  \
    {.name = #row,                                                                                 \
     .formula = text,                                                                              \
     .class_ = CLG__POINTWISE,                                                                     \
     .attr_size = sizeof(clg__pointwise_attr),                                                     \
     .gradient = gradient_##row,                                                                   \
     .pointwise = &details_##row,                                                                  \
     .laws = &laws[ROW_##row]},
#include "clgrad/pointwise.def"
#undef CLG_UNARY
#undef CLG_UNARY_A
#undef CLG_UNARY_AB
#undef CLG_BINARY
#undef CLG_TERNARY
};

/* ---- builders ---- */

static clg_tensor *refuse_parameters(clg_graph *g, const clg__op *op, double a, double b)
{
    char second[32] = "";
    if (op->pointwise->n_parameters > 1) snprintf(second, sizeof second, " and b %g", b);
    return clg__graph_fail(g, CLG_ERROR_ARGUMENT, "%s: %s must hold, but a is %g%s", op->name,
                           op->pointwise->condition, a, second);
}

static clg_tensor *pointwise_node(const clg__op *op, clg_tensor *const *inputs, double a, double b)
{
    int n = op->pointwise->arity;
    for (int i = 0; i < n; i++)
        if (!inputs[i]) return NULL;
    clg_graph *g = inputs[0]->graph;
    if (!op->pointwise->valid(a, b)) return refuse_parameters(g, op, a, b);
    clg_shape shape = inputs[0]->shape;
    for (int i = 1; i < n; i++)
        if (!clg__broadcast_shapes(g, op->name, &shape, &inputs[i]->shape, &shape)) return NULL;
    clg__pointwise_attr attr = {a, b};
    return clg__node(g, op, CLG_F32, shape, &attr, n, inputs);
}

clg_tensor *clg__pointwise_build(const clg__op *op, clg_tensor *const *inputs, double a, double b)
{
    return pointwise_node(op, inputs, a, b);
}

#define INPUTS(...)                                                                                \
    (clg_tensor *[])                                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define CLG_UNARY(name, ...)                                                                       \
    clg_tensor *clg_##name(clg_tensor *x)                                                          \
    {                                                                                              \
        return pointwise_node(&clg__pointwise_rows[ROW_##name], INPUTS(x), 0, 0);                  \
    }
#define CLG_UNARY_A(name, ...)                                                                     \
    clg_tensor *clg_##name(clg_tensor *x, double a)                                                \
    {                                                                                              \
        return pointwise_node(&clg__pointwise_rows[ROW_##name], INPUTS(x), a, 0);                  \
    }
#define CLG_UNARY_AB(name, ...)                                                                    \
    clg_tensor *clg_##name(clg_tensor *x, double a, double b)                                      \
    {                                                                                              \
        return pointwise_node(&clg__pointwise_rows[ROW_##name], INPUTS(x), a, b);                  \
    }
#define CLG_BINARY(name, ...)                                                                      \
    clg_tensor *clg_##name(clg_tensor *x, clg_tensor *y)                                           \
    {                                                                                              \
        return pointwise_node(&clg__pointwise_rows[ROW_##name], INPUTS(x, y), 0, 0);               \
    }
#define CLG_TERNARY(name, ...)                                                                     \
    clg_tensor *clg_##name(clg_tensor *x, clg_tensor *y, clg_tensor *z)                            \
    {                                                                                              \
        return pointwise_node(&clg__pointwise_rows[ROW_##name], INPUTS(x, y, z), 0, 0);            \
    }
#include "clgrad/pointwise.def"
