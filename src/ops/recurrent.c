/*
 * Recurrent cells and sequences: RNN, LSTM and GRU with PyTorch's formulas. A sequence is unrolled.
 *
 *     x (T, N, F)   xw = x W_ih + b (T, N, G H): one product for all steps
 *     step t: hw = h W_hh (1, N, G H): one product; then the gates, read as slices of xw and hw,
 * the new c and the new h (1, N, H): one fused kernel
 *
 * Left to the rules of these operations, the gradient would add up T products for W_hh and pad T
 * slices. So the sequence has a rule of its own (clg__with_gradient) that builds the backward loop:
 * a step is one fused kernel and one product, the gradients of the gates of all steps lie next to
 * each other, and the weights get theirs from one product over all steps. It computes in a space
 * (1, N, G, H), so that one kernel can write the gradients of all gates as one matrix; what is the
 * same for all gates is computed G times, which costs less than another launch.
 *
 * What backward needs is kept in time-major arrays: concatenations that cost nothing, because their
 * parts are written in place. They are operands of the rule.
 */
#include "ops/recurrent.h"

#include "ops/composition.h"
#include "ops/record.h"

enum { MAX_SAVED = 6, MAX_GATES = 4 };

/* ---- one step ---- */

/* A step, and what its backward pass needs. */
typedef struct step {
    clg_tensor *xw, *hw; /* (.., G H); hw NULL: zeros */
    clg_tensor *bias;    /* of the hidden side where it is not part of xw (GRU); may be NULL */
    clg_tensor *h, *c;   /* (.., H); before, then after the step; NULL: zeros */
    clg_tensor *saved[MAX_SAVED];
} step;

/* Columns of gate k. */
static clg_tensor *gate_of(clg_tensor *x, int64_t k, int gates)
{
    if (!x) return NULL;
    int64_t width = x->shape.dim[x->shape.ndim - 1] / gates;
    return clg_slice(x, -1, k * width, width);
}

/* Sum of those that are there; NULL if none is. */
static clg_tensor *sum_of(clg_tensor *a, clg_tensor *b)
{
    return a && b ? clg_add(a, b) : a ? a : b;
}

static clg_tensor *preactivation(const step *s, int k, int gates)
{
    return sum_of(gate_of(s->xw, k, gates), gate_of(s->hw, k, gates));
}

static clg_tensor *one_minus(clg_tensor *x)
{
    return clg_sub(clg__number(x, 1), x);
}

/* h' = act(xw + hw) */
static void rnn_tanh_step(step *s)
{
    s->h = clg_tanh(sum_of(s->xw, s->hw));
}

static void rnn_relu_step(step *s)
{
    s->h = clg_relu(sum_of(s->xw, s->hw));
}

enum { LSTM_I, LSTM_F, LSTM_G, LSTM_O, LSTM_TANH_C, LSTM_OLD_C };

/* i, f, o = sigmoid, g = tanh;  c' = f c + i g;  h' = o tanh c' */
static void lstm_step(step *s)
{
    clg_tensor *i = clg_sigmoid(preactivation(s, 0, 4)), *f = clg_sigmoid(preactivation(s, 1, 4));
    clg_tensor *g = clg_tanh(preactivation(s, 2, 4)), *o = clg_sigmoid(preactivation(s, 3, 4));
    s->saved[LSTM_OLD_C] = s->c;
    s->c = s->c ? clg_add(clg_mul(f, s->c), clg_mul(i, g)) : clg_mul(i, g);
    clg_tensor *tanh_c = clg_tanh(s->c);
    s->h = clg_mul(o, tanh_c);
    s->saved[LSTM_I] = i;
    s->saved[LSTM_F] = f;
    s->saved[LSTM_G] = g;
    s->saved[LSTM_O] = o;
    s->saved[LSTM_TANH_C] = tanh_c;
}

enum { GRU_R, GRU_Z, GRU_N, GRU_HN };

/* r, z = sigmoid;  n = tanh(x_n + r h_n);  h' = (1 - z) n + z h */
static void gru_step(step *s)
{
    clg_tensor *hidden[3];
    for (int k = 0; k < 3; k++) hidden[k] = sum_of(gate_of(s->hw, k, 3), gate_of(s->bias, k, 3));
    clg_tensor *r = clg_sigmoid(sum_of(gate_of(s->xw, 0, 3), hidden[0]));
    clg_tensor *z = clg_sigmoid(sum_of(gate_of(s->xw, 1, 3), hidden[1]));
    clg_tensor *x_n = gate_of(s->xw, 2, 3);
    /* Without state and bias there is nothing for r to scale. */
    clg_tensor *h_n = hidden[2] ? clg_add(hidden[2], clg__full_like(x_n, 0)) : NULL;
    clg_tensor *n = clg_tanh(h_n ? clg_add(x_n, clg_mul(r, h_n)) : x_n);
    clg_tensor *fresh = clg_mul(one_minus(z), n);
    s->h = s->h ? clg_add(fresh, clg_mul(z, s->h)) : fresh;
    s->saved[GRU_R] = r;
    s->saved[GRU_Z] = z;
    s->saved[GRU_N] = n;
    s->saved[GRU_HN] = h_n;
}

/* ---- one step backward, in the space (1, N, G, H) ---- */

/* Inputs are wide already; outputs are wide too. */
typedef struct back_step {
    clg_tensor *gate;             /* number of the gate: 0 .. G - 1; NULL if there is one */
    clg_tensor *dh, *dc;          /* of h' and c'; dc NULL: zero */
    clg_tensor *new_h, *old_h;    /* old_h NULL: zeros */
    clg_tensor *saved[MAX_SAVED]; /* NULL: zeros */
    clg_tensor *dxw, *dhw;        /* out: of the preactivations; the same node where they agree */
    clg_tensor *old_dh,
        *old_dc; /* out: of h and c, apart from what comes through hw; may be NULL */
} back_step;

/* `parts` one behind the other along the axis of gates. */
static clg_tensor *by_gate(const back_step *b, clg_tensor *const *parts, int n)
{
    clg_tensor *chosen = parts[n - 1];
    for (int k = n - 2; k >= 0; k--)
        chosen = clg_where(clg_equal(b->gate, clg__number(b->gate, k)), parts[k], chosen);
    return chosen;
}

/* g s (1 - s): through a sigmoid with result s. */
static clg_tensor *through_sigmoid(clg_tensor *g, clg_tensor *s)
{
    return clg_mul(g, clg_mul(s, one_minus(s)));
}

static clg_tensor *through_tanh(clg_tensor *g, clg_tensor *t)
{
    return clg_mul(g, one_minus(clg_square(t)));
}

static void rnn_tanh_back(back_step *b)
{
    b->dxw = b->dhw = through_tanh(b->dh, b->new_h);
}

static void rnn_relu_back(back_step *b)
{
    b->dxw = b->dhw = clg_mul(b->dh, clg_greater(b->new_h, clg__number(b->new_h, 0)));
}

static void lstm_back(back_step *b)
{
    clg_tensor *const *s = b->saved;
    clg_tensor *through_h = through_tanh(clg_mul(b->dh, s[LSTM_O]), s[LSTM_TANH_C]);
    clg_tensor *dc = sum_of(through_h, b->dc);
    clg_tensor *old_c = s[LSTM_OLD_C];
    clg_tensor *parts[4] = {through_sigmoid(clg_mul(dc, s[LSTM_G]), s[LSTM_I]),
                            old_c ? through_sigmoid(clg_mul(dc, old_c), s[LSTM_F])
                                  : clg__full_like(dc, 0),
                            through_tanh(clg_mul(dc, s[LSTM_I]), s[LSTM_G]),
                            through_sigmoid(clg_mul(b->dh, s[LSTM_TANH_C]), s[LSTM_O])};
    b->dxw = b->dhw = by_gate(b, parts, 4);
    b->old_dc = clg_mul(dc, s[LSTM_F]);
}

static void gru_back(back_step *b)
{
    clg_tensor *const *s = b->saved;
    clg_tensor *dn = through_tanh(clg_mul(b->dh, one_minus(s[GRU_Z])), s[GRU_N]);
    clg_tensor *kept = b->old_h ? clg_sub(b->old_h, s[GRU_N]) : clg_neg(s[GRU_N]);
    clg_tensor *dz = through_sigmoid(clg_mul(b->dh, kept), s[GRU_Z]);
    clg_tensor *dr =
        s[GRU_HN] ? through_sigmoid(clg_mul(dn, s[GRU_HN]), s[GRU_R]) : clg__full_like(dn, 0);
    b->dxw = by_gate(b, (clg_tensor *[]){dr, dz, dn}, 3);
    b->dhw = by_gate(b, (clg_tensor *[]){dr, dz, clg_mul(dn, s[GRU_R])}, 3);
    b->old_dh = clg_mul(b->dh, s[GRU_Z]);
}

/* ---- the table ---- */

static const struct cell_row {
    const char *name;
    int gates, saved;
    bool has_c;
    bool separate_bias; /* b_hh is not just added to b_ih */
    void (*step)(step *s);
    void (*back)(back_step *b);
} rows[] = {
    [CLG__RNN_TANH] = {"rnn", 1, 0, false, false, rnn_tanh_step, rnn_tanh_back},
    [CLG__RNN_RELU] = {"rnn", 1, 0, false, false, rnn_relu_step, rnn_relu_back},
    [CLG__LSTM] = {"lstm", 4, 6, true, false, lstm_step, lstm_back},
    [CLG__GRU] = {"gru", 3, 4, false, true, gru_step, gru_back},
};

int clg__cell_gates(clg__cell_kind kind)
{
    return rows[kind].gates;
}

bool clg__cell_has_c(clg__cell_kind kind)
{
    return rows[kind].has_c;
}

/* ---- a sequence as its rule sees it ---- */

enum {
    PART_XW,
    PART_WEIGHT,
    PART_H,
    PART_C,
    PART_BIAS,
    PART_SAVED,
    PARTS = PART_SAVED + MAX_SAVED
};

/*
 * states: [h before,] h of all steps [, c after the last], each (1, N, H), joined. An operand that
 * is NULL does not exist. A saved array is (T, N, H), or (T - 1, N, H) without step 0 where that
 * has nothing (`late`).
 */
typedef struct sequence {
    const struct cell_row *row;
    int64_t steps;
    clg_tensor *states;
    clg_tensor *part[PARTS];
    uint32_t late; /* bit k: of saved array k */
} sequence;

static void sequence_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx);

/* Numbers of the attribute. */
enum { P_KIND, P_STEPS, P_PRESENT, P_LATE };

static clg_tensor *record_sequence(const sequence *q)
{
    clg__rule_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.rule = sequence_gradient;
    attr.p[P_KIND] = (int32_t)(q->row - rows);
    attr.p[P_STEPS] = (int32_t)q->steps;
    attr.p[P_LATE] = (int32_t)q->late;
    clg_tensor *operands[PARTS];
    int n = 0;
    for (int i = 0; i < PARTS; i++) {
        if (!q->part[i]) continue;
        attr.p[P_PRESENT] |= 1 << i;
        operands[n++] = q->part[i];
    }
    return clg__with_gradient(q->states, operands, n, &attr);
}

/* Also the input that each part is. */
static sequence read_sequence(const clg_tensor *out, int input[PARTS])
{
    const clg__rule_attr *attr = out->attr;
    sequence q = {.row = &rows[attr->p[P_KIND]],
                  .steps = attr->p[P_STEPS],
                  .states = out->inputs[0],
                  .late = (uint32_t)attr->p[P_LATE]};
    int next = CLG__FIRST_OPERAND;
    for (int i = 0; i < PARTS; i++) {
        if (!(attr->p[P_PRESENT] >> i & 1)) continue;
        input[i] = next;
        q.part[i] = out->inputs[next++];
    }
    return q;
}

/* ---- backward ---- */

/* Step t of a time-major array, (1, N, ..). */
static clg_tensor *at_step(clg_tensor *x, int64_t t)
{
    return clg_slice(x, 0, t, 1);
}

/* (1, N, H) -> (1, N, G, H), for every gate the same. Where there is one gate only, what is wide
 * has no axis of gates: then the step can be fused behind the product. */
static clg_tensor *wide(clg_tensor *x, int gates)
{
    if (!x || gates == 1) return x;
    clg_shape shape = x->shape;
    shape.dim[3] = shape.dim[2];
    shape.dim[2] = 1;
    shape.ndim = 4;
    x = clg__reshape_to(x, &shape);
    shape.dim[2] = gates;
    return clg_broadcast(x, shape);
}

/* Back again, from any gate. */
static clg_tensor *narrow(clg_tensor *x)
{
    if (!x || x->shape.ndim == 3) return x;
    x = clg_slice(x, 2, 0, 1);
    if (!x) return NULL;
    clg_shape shape = x->shape;
    shape.dim[2] = shape.dim[3];
    shape.ndim = 3;
    return clg__reshape_to(x, &shape);
}

/* (1, N, G, H) -> (1, N, G H) */
static clg_tensor *flat(clg_tensor *x)
{
    if (!x || x->shape.ndim == 3) return x;
    clg_shape shape = x->shape;
    shape.dim[2] *= shape.dim[3];
    shape.ndim = 3;
    return clg__reshape_to(x, &shape);
}

/* (T, N, W) -> (T N, W) */
static clg_tensor *all_rows(clg_tensor *x)
{
    if (!x) return NULL;
    clg_shape shape = {.ndim = 2,
                       .dim = {x->shape.dim[0] * x->shape.dim[1], x->shape.dim[2]},
                       .batched = x->shape.batched != 0};
    return clg__reshape_to(x, &shape);
}

static void read_saved(const sequence *q, int64_t t, clg_tensor **saved)
{
    for (int k = 0; k < q->row->saved; k++) {
        int late = q->late >> k & 1;
        clg_tensor *array = q->part[PART_SAVED + k];
        saved[k] = array && t >= late ? wide(at_step(array, t - late), q->row->gates) : NULL;
    }
}

/* The walk back through time: what it carries from step to step, and what it leaves behind. */
typedef struct walk {
    sequence q;
    clg_tensor *g;       /* of the states */
    clg_tensor *dh, *dc; /* of h and c after step t, from the steps behind it; dh of old_dh too */
    clg_tensor *through_hw; /* the part of dh that came through hw, (1, N, H) */
    clg_tensor **dxw, **dhw;
} walk;

static clg_tensor *through_weight(const walk *w, clg_tensor *dhw)
{
    return clg_matmul(dhw, w->q.part[PART_WEIGHT], clg_matmul_options(.transpose_b = true));
}

static void step_back(walk *w, int64_t t)
{
    const sequence *q = &w->q;
    int gates = q->row->gates, lead = q->part[PART_H] != NULL;
    clg_tensor *dh = wide(at_step(w->g, t + lead), gates);
    dh = sum_of(dh, wide(w->through_hw, gates));
    back_step b = {.dh = sum_of(dh, w->dh), .dc = w->dc};
    b.new_h = wide(at_step(q->states, t + lead), gates);
    if (t + lead > 0) b.old_h = wide(at_step(q->states, t + lead - 1), gates);
    b.gate = b.dh && gates > 1 ? clg_iota(b.dh, 2) : NULL;
    read_saved(q, t, b.saved);
    q->row->back(&b);
    w->dxw[t] = flat(b.dxw);
    w->dhw[t] = b.dhw == b.dxw ? w->dxw[t] : flat(b.dhw);
    w->dh = b.old_dh;
    w->dc = b.old_dc;
    w->through_hw = t + lead > 0 ? through_weight(w, w->dhw[t]) : NULL;
}

/* dW_hh: all h before a step with all gradients of that step, in one product. */
static clg_tensor *weight_gradient(const sequence *q, clg_tensor *dhw)
{
    int64_t first = q->part[PART_H] ? 0 : 1, count = q->steps - first;
    if (count == 0) return NULL;
    clg_tensor *h = all_rows(clg_slice(q->states, 0, 0, count));
    clg_tensor *g = all_rows(clg_slice(dhw, 0, first, count));
    return clg_matmul(h, g, clg_matmul_options(.transpose_a = true));
}

/* Gradients of the operands from the finished walk. */
static void collect_gradients(const walk *w, const int input[PARTS], clg_tensor **dx)
{
    const sequence *q = &w->q;
    int n = (int)q->steps;
    clg_tensor *dxw = clg_concat(w->dxw, n, 0), *dhw = dxw;
    if (w->dhw[0] != w->dxw[0]) dhw = clg_concat(w->dhw, n, 0);
    dx[input[PART_XW]] = dxw;
    dx[input[PART_WEIGHT]] = weight_gradient(q, dhw);
    if (q->part[PART_BIAS]) dx[input[PART_BIAS]] = clg_sum(dhw, CLG_AXIS(0) | CLG_AXIS(1), false);
    if (q->part[PART_H]) dx[input[PART_H]] = sum_of(w->through_hw, narrow(w->dh));
    if (q->part[PART_C]) dx[input[PART_C]] = narrow(w->dc);
}

static void sequence_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    int input[PARTS];
    walk w = {.q = read_sequence(out, input), .g = g};
    int64_t steps = w.q.steps, lead = w.q.part[PART_H] != NULL;
    if (w.q.row->has_c) w.dc = wide(at_step(g, steps + lead), w.q.row->gates);
    w.dxw = clg__calloc((size_t)(2 * steps), sizeof *w.dxw);
    if (!w.dxw) {
        clg__graph_fail(out->graph, CLG_ERROR_MEMORY, "%s: out of host memory", w.q.row->name);
        return;
    }
    w.dhw = w.dxw + steps;
    for (int64_t t = steps - 1; t >= 0; t--) step_back(&w, t);
    if (out->graph->status == CLG_OK) collect_gradients(&w, input, dx);
    clg__free(w.dxw);
}

/* ---- forward ---- */

static bool is_shape(const clg_tensor *t, int ndim, int64_t d0, int64_t d1)
{
    const clg_shape wanted = {.ndim = ndim, .dim = {d0, d1}};
    return clg__same_shape(&t->shape, &wanted);
}

/* The state before the first step fits x: (N, H) or (1, N, H), N following the batch as x's does.
 */
static bool state_fits(const clg_tensor *x, const clg_tensor *state, int64_t width)
{
    if (!state) return true;
    clg_shape wanted = x->shape;
    if (wanted.ndim == 3) wanted.dim[0] = 1;
    wanted.dim[wanted.ndim - 1] = width;
    return clg__same_shape(&state->shape, &wanted);
}

/* A sequence or a cell being built: x is (T, N, F) or (N, F). */
typedef struct problem {
    const struct cell_row *row;
    clg_tensor *x;
    const clg_recurrent_params *p;
} problem;

static bool fits_together(const problem *in)
{
    const clg_shape *x = &in->x->shape;
    const clg_recurrent_params *p = in->p;
    int last = x->ndim - 1;
    int64_t h = p->weight_hh->shape.dim[0], wide_h = in->row->gates * h;
    bool fits = !clg__batched(x, last) && (last == 1 || !clg__batched(x, 0)) &&
                is_shape(p->weight_ih, 2, x->dim[last], wide_h) &&
                is_shape(p->weight_hh, 2, h, wide_h);
    if (p->bias_ih || p->bias_hh)
        fits = fits && p->bias_ih && p->bias_hh && is_shape(p->bias_ih, 1, wide_h, 0) &&
               is_shape(p->bias_hh, 1, wide_h, 0);
    return fits && state_fits(in->x, p->h, h) && state_fits(in->x, p->c, h) &&
           (in->row->has_c || !p->c);
}

/* Everything is there and fits; else the graph has failed. */
static bool check_problem(const problem *in, int ndim)
{
    const clg_recurrent_params *p = in->p;
    if (!p || !p->weight_ih || !p->weight_hh) {
        clg__graph_fail(in->x->graph, CLG_ERROR_ARGUMENT, "%s: no weights", in->row->name);
        return false;
    }
    if (p->relu && in->row != &rows[CLG__RNN_RELU]) {
        clg__graph_fail(in->x->graph, CLG_ERROR_ARGUMENT, "%s: only rnn takes relu", in->row->name);
        return false;
    }
    if (in->x->shape.ndim == ndim && p->weight_hh->shape.ndim == 2 && fits_together(in))
        return true;
    const char *lead = ndim == 3 ? "T, " : "";
    clg__graph_fail(in->x->graph, CLG_ERROR_ARGUMENT,
                    "%s: x %s, weights %s and %s do not fit together, or biases or states do not "
                    "fit them: expected x (%sN, F), weights (F, %d H) and (H, %d H), both biases "
                    "(%d H), states (%sN, H)",
                    in->row->name, CLG__SHAPE_TEXT(&in->x->shape),
                    CLG__SHAPE_TEXT(&p->weight_ih->shape), CLG__SHAPE_TEXT(&p->weight_hh->shape),
                    lead, in->row->gates, in->row->gates, in->row->gates, ndim == 3 ? "1, " : "");
    return false;
}

/* x W_ih and the biases that are simply added. */
static clg_tensor *input_part(const problem *in)
{
    clg_tensor *xw = clg_matmul(in->x, in->p->weight_ih, NULL);
    if (in->p->bias_ih) xw = clg_add(xw, in->p->bias_ih);
    if (in->p->bias_hh && !in->row->separate_bias) xw = clg_add(xw, in->p->bias_hh);
    return xw;
}

static step first_step(const problem *in)
{
    step s = {.h = in->p->h, .c = in->p->c};
    if (in->row->separate_bias) s.bias = in->p->bias_hh;
    return s;
}

/* Goes on by one step with this part of xw. */
static void advance(const problem *in, step *s, clg_tensor *xw)
{
    s->xw = xw;
    s->hw = s->h ? clg_matmul(s->h, in->p->weight_hh, NULL) : NULL;
    if (s->xw && in->x->graph->status == CLG_OK) in->row->step(s);
}

static clg_tensor *cell(clg__cell_kind kind, clg_tensor *x, const clg_recurrent_params *params,
                        clg_recurrent_state *next)
{
    problem in = {&rows[kind], x, params};
    if (!x || !check_problem(&in, 2)) return NULL;
    step s = first_step(&in);
    advance(&in, &s, input_part(&in));
    if (x->graph->status != CLG_OK) return NULL;
    if (next) *next = (clg_recurrent_state){s.h, s.c};
    return s.h;
}

/* The arrays of a sequence while its steps are recorded. */
typedef struct recording {
    int64_t steps;
    clg_tensor **states; /* h of all steps, with room for what comes in front and behind */
    clg_tensor **saved[MAX_SAVED]; /* by step; NULL where a step has nothing */
} recording;

static void record_steps(const problem *in, recording *r, const sequence *q, step *s)
{
    for (int64_t t = 0; t < r->steps && in->x->graph->status == CLG_OK; t++) {
        advance(in, s, at_step(q->part[PART_XW], t));
        r->states[t + 1] = s->h;
        for (int k = 0; k < q->row->saved; k++) r->saved[k][t] = s->saved[k];
    }
}

static void join_saved(const recording *r, sequence *q)
{
    for (int k = 0; k < q->row->saved; k++) {
        int64_t late = r->saved[k][0] == NULL, count = r->steps - late;
        q->late |= (uint32_t)late << k;
        if (count > 0) q->part[PART_SAVED + k] = clg_concat(r->saved[k] + late, (int)count, 0);
    }
}

/* Joins the states and records the sequence; the results are parts of it. */
static clg_tensor *finish_sequence(const problem *in, recording *r, sequence *q, const step *s,
                                   clg_recurrent_state *last)
{
    if (in->x->graph->status != CLG_OK) return NULL;
    int64_t lead = in->p->h != NULL, count = r->steps + lead;
    r->states[0] = in->p->h;
    r->states[r->steps + 1] = s->c;
    q->states = clg_concat(r->states + 1 - lead, (int)(count + q->row->has_c), 0);
    join_saved(r, q);
    clg_tensor *states = record_sequence(q);
    if (last) last->h = at_step(states, count - 1);
    if (last) last->c = q->row->has_c ? at_step(states, count) : NULL;
    return clg_slice(states, 0, lead, r->steps);
}

clg_tensor *clg__recurrent(clg__cell_kind kind, clg_tensor *x, const clg_recurrent_params *params,
                           clg_recurrent_state *last)
{
    problem in = {&rows[kind], x, params};
    if (!x || !check_problem(&in, 3)) return NULL;
    recording r = {.steps = x->shape.dim[0]};
    sequence q = {.row = in.row, .steps = r.steps};
    size_t arrays = (size_t)q.row->saved + 1, length = (size_t)r.steps + 2;
    r.states = clg__calloc(arrays * length, sizeof *r.states);
    if (!r.states)
        return clg__graph_fail(x->graph, CLG_ERROR_MEMORY, "%s: out of host memory", q.row->name);
    for (int k = 0; k < q.row->saved; k++) r.saved[k] = r.states + ((size_t)k + 1) * length;
    step s = first_step(&in);
    q.part[PART_XW] = input_part(&in);
    q.part[PART_WEIGHT] = params->weight_hh;
    q.part[PART_H] = params->h;
    q.part[PART_C] = params->c;
    q.part[PART_BIAS] = s.bias;
    record_steps(&in, &r, &q, &s);
    clg_tensor *y = finish_sequence(&in, &r, &q, &s, last);
    clg__free(r.states);
    return y;
}

/* ---- builders ---- */

#define BUILDERS(name, kind)                                                                       \
    clg_tensor *clg_##name##_cell(clg_tensor *x, const clg_recurrent_params *params,               \
                                  clg_recurrent_state *next)                                       \
    {                                                                                              \
        return CLG__COMPOSED(name##_cell, cell(kind, x, params, next));                            \
    }                                                                                              \
    clg_tensor *clg_##name(clg_tensor *x, const clg_recurrent_params *params,                      \
                           clg_recurrent_state *last)                                              \
    {                                                                                              \
        return CLG__COMPOSED(name, clg__recurrent(kind, x, params, last));                         \
    }
BUILDERS(rnn, params && params->relu ? CLG__RNN_RELU : CLG__RNN_TANH)
BUILDERS(lstm, CLG__LSTM)
BUILDERS(gru, CLG__GRU)
