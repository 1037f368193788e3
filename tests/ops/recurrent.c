/*
 * Recurrent cells and sequences against PyTorch's formulas in double: values, gradients of
 * everything, second derivatives, with and without biases and initial states. Layers against the
 * sequences that they are made of.
 *
 * A case has four inputs, of which the rest is cut: x, weights (F + H, G H), biases (2, G H) and
 * states (2, N, H).
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* p: kind, flags */
enum { KIND, FLAGS };
enum { RNN_TANH, RNN_RELU, LSTM, GRU };
enum { WITH_BIAS = 1, WITH_STATE = 2 };

typedef clg_tensor *(*builder)(clg_tensor *x, const clg_recurrent_params *params,
                               clg_recurrent_state *last);
static const struct {
    int gates;
    builder sequence, cell;
} kinds[] = {[RNN_TANH] = {1, clg_rnn, clg_rnn_cell},
             [RNN_RELU] = {1, clg_rnn, clg_rnn_cell},
             [LSTM] = {4, clg_lstm, clg_lstm_cell},
             [GRU] = {3, clg_gru, clg_gru_cell}};

static clg_recurrent_params parts_of(const op_case *c, clg_tensor *const *x)
{
    bool cell = x[0]->shape.ndim == 2;
    int64_t f = x[0]->shape.dim[cell ? 1 : 2], h = x[1]->shape.dim[0] - f;
    clg_recurrent_params p = {.weight_ih = clg_slice(x[1], 0, 0, f),
                              .weight_hh = clg_slice(x[1], 0, f, h),
                              .relu = c->p[KIND] == RNN_RELU};
    int64_t wide = x[1]->shape.dim[1];
    if (c->p[FLAGS] & WITH_BIAS) {
        p.bias_ih = clg_reshape(clg_slice(x[2], 0, 0, 1), CLG_SHAPE(wide));
        p.bias_hh = clg_reshape(clg_slice(x[2], 0, 1, 1), CLG_SHAPE(wide));
    }
    if (c->p[FLAGS] & WITH_STATE) {
        clg_tensor **states[] = {&p.h, &p.c};
        for (int i = 0; i < 1 + (c->p[KIND] == LSTM); i++) {
            *states[i] = clg_slice(x[3], 0, i, 1);
            if (cell) *states[i] = clg_reshape(*states[i], CLG_SHAPE(CLG_BATCH, h));
        }
    }
    return p;
}

/* (T + 2, N, H): y, 2 h, 3 c; c is h where there is none. */
static clg_tensor *sequence(const op_case *c, clg_tensor *const *x)
{
    clg_recurrent_params p = parts_of(c, x);
    clg_recurrent_state last = {NULL, NULL};
    clg_tensor *y = kinds[c->p[KIND]].sequence(x[0], &p, &last);
    if (!y) return NULL;
    clg_tensor *h = clg_mul(last.h, clg_scalar(y->graph, 2));
    clg_tensor *state = clg_mul(last.c ? last.c : last.h, clg_scalar(y->graph, 3));
    return clg_concat((clg_tensor *[]){y, h, state}, 3, 0);
}

/* Only y is used. */
static clg_tensor *outputs(const op_case *c, clg_tensor *const *x)
{
    clg_recurrent_params p = parts_of(c, x);
    return kinds[c->p[KIND]].sequence(x[0], &p, NULL);
}

/* (N, 2 H): h, c; one step without a rule of its own. */
static clg_tensor *cell(const op_case *c, clg_tensor *const *x)
{
    clg_recurrent_params p = parts_of(c, x);
    clg_recurrent_state next = {NULL, NULL};
    clg_tensor *h = kinds[c->p[KIND]].cell(x[0], &p, &next);
    return h ? clg_concat((clg_tensor *[]){h, next.c ? next.c : h}, 2, 1) : NULL;
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
        if (s->kind == RNN_TANH) next[u] = tanh(xw[0] + hw[0]);
        if (s->kind == RNN_RELU) next[u] = fmax(xw[0] + hw[0], 0);
        if (s->kind == LSTM) {
            c[u] = sigmoid(xw[1] + hw[1]) * c[u] + sigmoid(xw[0] + hw[0]) * tanh(xw[2] + hw[2]);
            next[u] = sigmoid(xw[3] + hw[3]) * tanh(c[u]);
        }
        if (s->kind == GRU) {
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
                   .gates = kinds[c->p[KIND]].gates,
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
        double h[16] = {0}, state[16] = {0}, *last = s.kind == LSTM ? state : h;
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
    CASE("rnn", sequence, RNN_TANH, 1, WITH_BIAS | WITH_STATE, 3, 3, 5),
    CASE("lstm", sequence, LSTM, 4, WITH_BIAS | WITH_STATE, 2, 3, 5),
    CASE("gru", sequence, GRU, 3, WITH_BIAS | WITH_STATE, 2, 3, 5),
};

START_TEST(values_and_derivatives)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

static const op_case first_cases[] = {
    CASE("rnn relu", sequence, RNN_RELU, 1, WITH_BIAS, 4, 3, 5, .first_only = true),
    CASE("rnn, only y, bare", outputs, RNN_TANH, 1, 0, 3, 1, 2, .first_only = true),
    CASE("lstm, only y, bare", outputs, LSTM, 4, 0, 3, 2, 3, .first_only = true),
    CASE("lstm, one step", sequence, LSTM, 4, WITH_BIAS, 1, 3, 2, .first_only = true),
    CASE("gru, only y, bare", outputs, GRU, 3, 0, 3, 2, 3, .first_only = true),
    CASE("gru, biases only", sequence, GRU, 3, WITH_BIAS, 2, 3, 2, .first_only = true),
    CASE("gru, one step", sequence, GRU, 3, WITH_STATE, 1, 3, 2, .first_only = true),
    CELL("rnn cell", RNN_TANH, 1, WITH_BIAS | WITH_STATE, 3, 5),
    CELL("lstm cell", LSTM, 4, WITH_BIAS | WITH_STATE, 3, 5),
    CELL("gru cell", GRU, 3, WITH_BIAS | WITH_STATE, 3, 5),
    /* more steps than a concatenation has inputs */
    CASE("lstm, 20 steps", outputs, LSTM, 4, WITH_BIAS, 20, 2, 3, .first_only = true),
    CASE("gru, 20 steps", sequence, GRU, 3, WITH_BIAS | WITH_STATE, 20, 2, 3, .first_only = true),
};

START_TEST(gradients)
{
    op_check_table(first_cases, CLG__COUNT(first_cases));
}
END_TEST

/* ---- layers ---- */

static clg_recurrent_params variables_of(clg_graph *g, const char *name, int layer)
{
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    clg_tensor *found[4];
    for (int i = 0; i < 4; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s.%s_l%d", name, names[i], layer);
        found[i] = clg_graph_find(g, text);
        ck_assert_msg(found[i] != NULL, "there is no %s", text);
    }
    return (clg_recurrent_params){
        .weight_ih = found[0], .weight_hh = found[1], .bias_ih = found[2], .bias_hh = found[3]};
}

typedef clg_tensor *(*layer_builder)(clg_tensor *x, const char *name, int64_t units,
                                     const clg_recurrent_layer_params *params,
                                     clg_recurrent_layer_result *out);
static const layer_builder layers[] = {clg_rnn_layer, clg_lstm_layer, clg_gru_layer};
static const builder sequences[] = {clg_rnn, clg_lstm, clg_gru};
static const int64_t layer_gates[] = {1, 4, 3};

/* Two layers, batch first, with an initial state; the same from two sequences over time. */
START_TEST(layers_are_sequences_one_above_the_other)
{
    enum { N = 2, T = 3, F = 4, H = 5 };
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = N, .seed = 9));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, T, F));
    clg_tensor *h = clg_input(g, "h", CLG_F32, CLG_SHAPE(2, CLG_BATCH, H));
    clg_recurrent_layer_result out;
    clg_tensor *y = layers[_i](x, "r", H, clg_recurrent_layer_options(.layers = 2, .h = h), &out);
    ck_assert_msg(y != NULL, "%s", clg_last_error());
    op_check_differentiated(y, 1);
    clg_tensor *want = clg_transpose(x, (int[]){1, 0, 2}), *last[2];
    for (int k = 0; k < 2; k++) {
        clg_recurrent_state state;
        clg_recurrent_params p = variables_of(g, "r", k);
        ck_assert_int_eq(p.weight_ih->shape.dim[0], k ? H : F);
        ck_assert_int_eq(p.weight_ih->shape.dim[1], layer_gates[_i] * H);
        p.h = clg_slice(h, 0, k, 1);
        want = sequences[_i](want, &p, &state);
        last[k] = state.h;
    }
    ck_assert((_i == 1) == (out.c != NULL));
    clg_tensor *by_layer[] = {clg_sum(clg_square(y), 0, false), NULL};
    clg_tensor *wrt[] = {clg_graph_find(g, "r.weight_hh_l0")};
    TEST_OK(clg_gradients(by_layer[0], wrt, 1, &by_layer[1]));
    clg_tensor *results[] = {y, clg_transpose(want, (int[]){1, 0, 2}), out.h,
                             clg_concat(last, 2, 0), by_layer[1]};
    clg_program *p = op_check_compile(ctx, g, results, 5, CLG_INFERENCE);
    float data[2 * N * T * F], got[2][N * T * H];
    for (int i = 0; i < N * T * F; i++) data[i] = (float)((i * 7) % 11) / 5 - 1;
    op_check_feed(p, x, data, N * T * F);
    op_check_feed(p, h, data, 2 * N * H);
    TEST_OK(clg_program_run(p));
    op_check_read(p, y, got[0], N * T * H);
    op_check_read(p, results[1], got[1], N * T * H);
    for (int i = 0; i < N * T * H; i++) ck_assert_float_eq_tol(got[0][i], got[1][i], 1e-6f);
    op_check_read(p, out.h, got[0], 2 * N * H);
    op_check_read(p, results[3], got[1], 2 * N * H);
    for (int i = 0; i < 2 * N * H; i++) ck_assert_float_eq_tol(got[0][i], got[1][i], 1e-6f);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- mistakes ---- */

static clg_tensor *no_weights(clg_tensor *x)
{
    return clg_rnn(x, clg_recurrent_options(.relu = true), NULL);
}
static clg_tensor *narrow_weights(clg_tensor *x)
{
    clg_tensor *w = clg_full(x->graph, CLG_SHAPE(5, 16), 0);
    return clg_lstm(x, clg_recurrent_options(.weight_ih = w, .weight_hh = w), NULL);
}
static clg_tensor *one_bias(clg_tensor *x)
{
    clg_tensor *w = clg_full(x->graph, CLG_SHAPE(4, 4), 0);
    return clg_rnn(x,
                   clg_recurrent_options(.weight_ih = w, .weight_hh = w,
                                         .bias_ih = clg_full(x->graph, CLG_SHAPE(4), 0)),
                   NULL);
}
static clg_tensor *flat_input(clg_tensor *x)
{
    return clg_gru_layer(clg_flatten(x), "bad", 3, NULL, NULL);
}
static clg_tensor *carry_with_batch(clg_tensor *x)
{
    x = clg_reshape(x, CLG_SHAPE(CLG_BATCH, 3, 4));
    return clg_gru_layer(x, "bad", 3, clg_recurrent_layer_options(.carry = true), NULL);
}
static clg_tensor *many_layers(clg_tensor *x)
{
    return clg_rnn_layer(x, "bad", 3, clg_recurrent_layer_options(.layers = 9, .time_first = true),
                         NULL);
}
static clg_tensor *foreign_c(clg_tensor *x)
{
    return clg_gru_layer(x, "bad", 3, clg_recurrent_layer_options(.time_first = true, .c = x),
                         NULL);
}
static clg_tensor *foreign_h(clg_tensor *x)
{
    return clg_gru_layer(x, "bad", 3, clg_recurrent_layer_options(.time_first = true, .h = x),
                         NULL);
}

static const struct {
    clg_tensor *(*build)(clg_tensor *x); /* x (3, CLG_BATCH = 2, 4) */
    const char *message;
} mistakes[] = {
    {no_weights, "rnn: no weights"},
    {narrow_weights, "lstm: x (3, 2, 4), weights (5, 16) and (5, 16) do not fit together"},
    {one_bias, "both biases (1 H)"},
    {flat_input, "bad: the input needs three axes"},
    {carry_with_batch, "bad: a carried state needs a fixed batch"},
    {many_layers, "bad: the number of layers must be within 1 .. 8"},
    {foreign_c, "bad: this kind of cell has no c"},
    {foreign_h, "bad: the initial state is not (layers, N, units)"},
};

START_TEST(a_mistake_is_named)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 2));
    ck_assert_ptr_null(mistakes[_i].build(clg_input(g, "x", CLG_F32, CLG_SHAPE(3, CLG_BATCH, 4))));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, mistakes[_i].message);
    clg_graph_destroy(g);
    ck_assert_ptr_null(clg_lstm(NULL, NULL, NULL));
    ck_assert_ptr_null(clg_lstm_cell(NULL, NULL, NULL));
    ck_assert_ptr_null(clg_lstm_layer(NULL, "none", 1, NULL, NULL));
}
END_TEST

void ops_recurrent_cases(Suite *suite)
{
    TCase *tests = testing_case(suite, "recurrent");
    tcase_add_test(tests, values_and_derivatives);
    tcase_add_test(tests, gradients);
    tcase_add_loop_test(tests, layers_are_sequences_one_above_the_other, 0, CLG__COUNT(layers));
    tcase_add_loop_test(tests, a_mistake_is_named, 0, CLG__COUNT(mistakes));
}
