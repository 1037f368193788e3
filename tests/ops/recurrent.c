/*
 * Recurrent cells and sequences against PyTorch's formulas in double: values, gradients of
 * everything, second derivatives, with and without biases and initial states.
 *
 * A case has four inputs, of which the rest is cut: x, weights (F + H, G H), biases (2, G H) and
 * states (2, N, H).
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"
#include "ops/recurrent.h"

/* p: kind, flags */
enum { KIND, FLAGS };
enum { WITH_BIAS = 1, WITH_STATE = 2 };

static const int gates_of[] = {
    [CLG__RNN_TANH] = 1, [CLG__RNN_RELU] = 1, [CLG__LSTM] = 4, [CLG__GRU] = 3};

static clg__recurrent parts_of(const op_case *c, clg_tensor *const *x)
{
    bool cell = x[0]->shape.ndim == 2;
    int64_t f = x[0]->shape.dim[cell ? 1 : 2], h = x[1]->shape.dim[0] - f;
    clg__recurrent in = {.kind = (clg__cell_kind)c->p[KIND],
                         .x = x[0],
                         .weight_ih = clg_slice(x[1], 0, 0, f),
                         .weight_hh = clg_slice(x[1], 0, f, h)};
    int64_t wide = x[1]->shape.dim[1];
    if (c->p[FLAGS] & WITH_BIAS) {
        in.bias_ih = clg_reshape(clg_slice(x[2], 0, 0, 1), CLG_SHAPE(wide));
        in.bias_hh = clg_reshape(clg_slice(x[2], 0, 1, 1), CLG_SHAPE(wide));
    }
    if (c->p[FLAGS] & WITH_STATE) {
        clg_tensor **states[] = {&in.h, &in.c};
        for (int i = 0; i < 1 + (in.kind == CLG__LSTM); i++) {
            *states[i] = clg_slice(x[3], 0, i, 1);
            if (cell) *states[i] = clg_reshape(*states[i], CLG_SHAPE(CLG_BATCH, h));
        }
    }
    return in;
}

/* (T + 2, N, H): y, 2 h, 3 c; c is h where there is none. */
static clg_tensor *sequence(const op_case *c, clg_tensor *const *x)
{
    clg__recurrent in = parts_of(c, x);
    clg__recurrent_result out = {0};
    if (!clg__recurrent_sequence(&in, &out)) return NULL;
    clg_graph *g = x[0]->graph;
    clg_tensor *last = clg_mul(out.c ? out.c : out.h, clg_scalar(g, 3));
    clg_tensor *parts[] = {out.y, clg_mul(out.h, clg_scalar(g, 2)), last};
    return clg_concat(parts, 3, 0);
}

/* Only y is used. */
static clg_tensor *outputs(const op_case *c, clg_tensor *const *x)
{
    clg__recurrent in = parts_of(c, x);
    clg__recurrent_result out = {0};
    return clg__recurrent_sequence(&in, &out) ? out.y : NULL;
}

/* (N, 2 H): h, c; one step without a rule of its own. */
static clg_tensor *cell(const op_case *c, clg_tensor *const *x)
{
    clg__recurrent in = parts_of(c, x);
    clg__recurrent_result out = {0};
    if (!clg__recurrent_cell(&in, &out)) return NULL;
    return clg_concat((clg_tensor *[]){out.h, out.c ? out.c : out.h}, 2, 1);
}

/* ---- the reference ---- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

typedef struct sizes {
    int kind, gates;
    int64_t f, h;
    const double *weight, *bias;
} sizes;

/* xw and hw of gate k, unit u. */
static void products(const sizes *s, const double *x, const double *h, int64_t k, int64_t u,
                     double *xw, double *hw)
{
    int64_t columns = s->gates * s->h, column = k * s->h + u;
    *xw = s->bias ? s->bias[column] : 0;
    *hw = s->bias ? s->bias[columns + column] : 0;
    for (int64_t i = 0; i < s->f; i++) *xw += x[i] * s->weight[i * columns + column];
    for (int64_t i = 0; i < s->h; i++) *hw += h[i] * s->weight[(s->f + i) * columns + column];
}

/* h and c of one sample become those after the step. */
static void reference_step(const sizes *s, const double *x, double *h, double *c)
{
    double next[16];
    for (int64_t u = 0; u < s->h; u++) {
        double xw[4], hw[4];
        for (int k = 0; k < s->gates; k++) products(s, x, h, k, u, &xw[k], &hw[k]);
        if (s->kind == CLG__RNN_TANH) next[u] = tanh(xw[0] + hw[0]);
        if (s->kind == CLG__RNN_RELU) next[u] = fmax(xw[0] + hw[0], 0);
        if (s->kind == CLG__LSTM) {
            c[u] = sigmoid(xw[1] + hw[1]) * c[u] + sigmoid(xw[0] + hw[0]) * tanh(xw[2] + hw[2]);
            next[u] = sigmoid(xw[3] + hw[3]) * tanh(c[u]);
        }
        if (s->kind == CLG__GRU) {
            double r = sigmoid(xw[0] + hw[0]), z = sigmoid(xw[1] + hw[1]);
            next[u] = (1 - z) * tanh(xw[2] + r * hw[2]) + z * h[u];
        }
    }
    memcpy(h, next, (size_t)s->h * sizeof *h);
}

static sizes sizes_of(const op_case *c, const clg_shape *in, const double *const *x)
{
    int64_t f = in[0].dim[in[0].ndim - 1];
    return (sizes){.kind = c->p[KIND],
                   .gates = gates_of[c->p[KIND]],
                   .f = f,
                   .h = in[1].dim[0] - f,
                   .weight = x[1],
                   .bias = c->p[FLAGS] & WITH_BIAS ? x[2] : NULL};
}

static void reference(const op_case *c, const clg_shape *in, const double *const *x,
                      const clg_shape *out, double *y)
{
    sizes s = sizes_of(c, in, x);
    bool is_cell = in[0].ndim == 2;
    int64_t steps = is_cell ? 1 : in[0].dim[0], n = in[0].dim[is_cell ? 0 : 1];
    for (int64_t i = 0; i < n; i++) {
        double h[16] = {0}, state[16] = {0}, *last = s.kind == CLG__LSTM ? state : h;
        for (int64_t u = 0; u < s.h && c->p[FLAGS] & WITH_STATE; u++) {
            h[u] = x[3][i * s.h + u];
            state[u] = x[3][(n + i) * s.h + u];
        }
        for (int64_t t = 0; t < steps; t++) {
            reference_step(&s, x[0] + (t * n + i) * s.f, h, state);
            for (int64_t u = 0; u < s.h && !is_cell; u++) y[(t * n + i) * s.h + u] = h[u];
        }
        for (int64_t u = 0; u < s.h; u++) {
            if (is_cell) y[i * 2 * s.h + u] = h[u];
            if (is_cell) y[i * 2 * s.h + s.h + u] = last[u];
            if (!is_cell && out->dim[0] == steps) continue;
            if (!is_cell) y[(steps * n + i) * s.h + u] = 2 * h[u];
            if (!is_cell) y[((steps + 1) * n + i) * s.h + u] = 3 * last[u];
        }
    }
}

/* ---- cases ---- */

#define CASE(text, function, kind, gates, flags, steps, f, h, ...)                                 \
    {                                                                                              \
        text, 4,                                                                                   \
            {OP_SHAPE(steps, CLG_BATCH, f), OP_SHAPE((f) + (h), (gates) * (h)),                    \
             OP_SHAPE(2, (gates) * (h)), OP_SHAPE(2, CLG_BATCH, h)},                               \
            function, reference, .lo = -1, .hi = 1, .batch = {3, 1, 2}, .p = {kind, flags},        \
                                 __VA_ARGS__                                                       \
    }
#define CELL(text, kind, gates, flags, f, h)                                                       \
    {                                                                                              \
        text, 4,                                                                                   \
            {OP_SHAPE(CLG_BATCH, f), OP_SHAPE((f) + (h), (gates) * (h)),                           \
             OP_SHAPE(2, (gates) * (h)), OP_SHAPE(2, CLG_BATCH, h)},                               \
            cell, reference, .lo = -1, .hi = 1, .batch = {3, 1, 2}, .p = {                         \
                kind,                                                                              \
                flags                                                                              \
            }                                                                                      \
    }

/* Second derivatives of few: they compile long. */
static const op_case cases[] = {
    CASE("rnn", sequence, CLG__RNN_TANH, 1, WITH_BIAS | WITH_STATE, 3, 3, 5),
    CASE("lstm", sequence, CLG__LSTM, 4, WITH_BIAS | WITH_STATE, 2, 3, 5),
    CASE("gru", sequence, CLG__GRU, 3, WITH_BIAS | WITH_STATE, 2, 3, 5),
};

START_TEST(values_and_derivatives)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

static const op_case first_cases[] = {
    CASE("rnn relu", sequence, CLG__RNN_RELU, 1, WITH_BIAS, 4, 3, 5, .first_only = true),
    CASE("rnn, only y, bare", outputs, CLG__RNN_TANH, 1, 0, 3, 1, 2, .first_only = true),
    CASE("lstm, only y, bare", outputs, CLG__LSTM, 4, 0, 3, 2, 3, .first_only = true),
    CASE("lstm, one step", sequence, CLG__LSTM, 4, WITH_BIAS, 1, 3, 2, .first_only = true),
    CASE("gru, only y, bare", outputs, CLG__GRU, 3, 0, 3, 2, 3, .first_only = true),
    CASE("gru, biases only", sequence, CLG__GRU, 3, WITH_BIAS, 2, 3, 2, .first_only = true),
    CASE("gru, one step", sequence, CLG__GRU, 3, WITH_STATE, 1, 3, 2, .first_only = true),
    CELL("rnn cell", CLG__RNN_TANH, 1, WITH_BIAS | WITH_STATE, 3, 5),
    CELL("lstm cell", CLG__LSTM, 4, WITH_BIAS | WITH_STATE, 3, 5),
    CELL("gru cell", CLG__GRU, 3, WITH_BIAS | WITH_STATE, 3, 5),
    /* more steps than a concatenation has inputs */
    CASE("lstm, 20 steps", outputs, CLG__LSTM, 4, WITH_BIAS, 20, 2, 3, .first_only = true),
    CASE("gru, 20 steps", sequence, CLG__GRU, 3, WITH_BIAS | WITH_STATE, 20, 2, 3,
         .first_only = true),
};

START_TEST(gradients)
{
    op_check_table(first_cases, CLG__COUNT(first_cases));
}
END_TEST

void ops_recurrent_cases(Suite *suite)
{
    TCase *tests = testing_case(suite, "recurrent");
    tcase_add_test(tests, values_and_derivatives);
    tcase_add_test(tests, gradients);
}
