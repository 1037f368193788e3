/*
 * Layers of sequences: embeddings, and recurrent layers one above the other. They add variables to
 * what the operations do; time comes first inside (T, N, ..), because then the data of one step is
 * one range of memory.
 */
#include "base/base.h"
#include "clgrad/sequence.h"
#include "nn/layers.h"
#include "ops/composition.h"
#include "ops/recurrent.h"
#include "tensor/graph.h"

/* ---- embeddings ---- */

clg_tensor *clg_embedding_layer(clg_tensor *index, const char *name, int64_t rows, int64_t features,
                                const clg_embedding_params *params)
{
    if (!index || !clg__layer_named(index, name)) return NULL;
    clg_init init = {.kind = CLG_INIT_NORMAL, .value = 1.0};
    if (params && params->weight_init) init = *params->weight_init;
    if (rows < 1 || features < 1)
        return clg__graph_fail(index->graph, CLG_ERROR_ARGUMENT, "%s: a table of %lld x %lld", name,
                               (long long)rows, (long long)features);
    clg_shape shape = CLG_SHAPE(rows, features);
    clg_tensor *table = clg__layer_variable(index->graph, name, "weight", &shape, init, true);
    return CLG__COMPOSED(embedding_layer, clg_gather(table, index));
}

/* ---- recurrent layers ---- */

/* One call of a builder. */
typedef struct stack {
    const char *name;
    clg__cell_kind kind;
    int64_t units;
    const clg_recurrent_layer_params *params;
    clg_recurrent_layer_result *out;
    int layers;
} stack;

static clg_tensor *numbered_variable(clg_graph *g, const stack *s, const char *what, int layer,
                                     clg_shape shape, bool trainable)
{
    char text[32];
    snprintf(text, sizeof text, "%s_l%d", what, layer);
    clg_init init = {.kind = CLG_INIT_FAN_IN_UNIFORM, .fan_in = s->units};
    if (s->params->init) init = *s->params->init;
    if (!trainable) init = (clg_init){0};
    return clg__layer_variable(g, s->name, text, &shape, init, trainable);
}

static void layer_weights(const stack *s, clg_tensor *x, int layer, clg_recurrent_params *p)
{
    int64_t wide = clg__cell_gates(s->kind) * s->units, features = x->shape.dim[2];
    clg_graph *g = x->graph;
    p->weight_ih = numbered_variable(g, s, "weight_ih", layer, CLG_SHAPE(features, wide), true);
    p->weight_hh = numbered_variable(g, s, "weight_hh", layer, CLG_SHAPE(s->units, wide), true);
    if (s->params->no_bias) return;
    p->bias_ih = numbered_variable(g, s, "bias_ih", layer, CLG_SHAPE(wide), true);
    p->bias_hh = numbered_variable(g, s, "bias_hh", layer, CLG_SHAPE(wide), true);
}

/* The carried state of a layer as (1, N, units); its variable is (N, units). */
static clg_tensor *carried(const stack *s, clg_tensor *x, const char *what, int layer,
                           clg_tensor **variable)
{
    int64_t n = x->shape.dim[1];
    *variable = numbered_variable(x->graph, s, what, layer, CLG_SHAPE(n, s->units), false);
    return *variable ? clg_reshape(*variable, CLG_SHAPE(1, n, s->units)) : NULL;
}

static void carry_on(const stack *s, clg_tensor *variable, clg_tensor *state)
{
    if (!variable || !state) return;
    clg_tensor *assignment = clg_assign(variable, clg_reshape(state, variable->shape));
    clg_graph_update(assignment);
    s->out->carry[s->out->n_carry++] = assignment;
}

/* One layer; `state` gets h and c after the last step. */
static clg_tensor *one_layer(const stack *s, clg_tensor *x, int layer, clg_recurrent_state *state)
{
    clg_recurrent_params p = {.relu = s->params->relu};
    clg_tensor *variables[2] = {NULL, NULL};
    bool has_c = clg__cell_has_c(s->kind);
    layer_weights(s, x, layer, &p);
    if (s->params->h) p.h = clg_slice(s->params->h, 0, layer, 1);
    if (s->params->c) p.c = clg_slice(s->params->c, 0, layer, 1);
    if (s->params->carry) {
        p.h = carried(s, x, "h", layer, &variables[0]);
        if (has_c) p.c = carried(s, x, "c", layer, &variables[1]);
    }
    if (x->graph->status != CLG_OK) return NULL;
    clg_tensor *y = clg__recurrent(s->kind, x, &p, state);
    if (!y || !s->params->carry) return y;
    carry_on(s, variables[0], state->h);
    if (has_c) carry_on(s, variables[1], state->c);
    return y;
}

static clg_tensor *all_layers(const stack *s, clg_tensor *x)
{
    clg_tensor *h[CLG_MAX_RECURRENT_LAYERS], *c[CLG_MAX_RECURRENT_LAYERS];
    for (int k = 0; k < s->layers; k++) {
        clg_recurrent_state state = {NULL, NULL};
        if (k > 0) x = clg_dropout(x, s->params->dropout);
        x = x ? one_layer(s, x, k, &state) : NULL;
        if (!x) return NULL;
        h[k] = state.h;
        c[k] = state.c;
    }
    s->out->h = clg_concat(h, s->layers, 0);
    s->out->c = clg__cell_has_c(s->kind) ? clg_concat(c, s->layers, 0) : NULL;
    return x;
}

/* (layers, N, H) of the graph's own size. */
static bool state_fits(const stack *s, const clg_tensor *x, const clg_tensor *state)
{
    if (!state) return true;
    int n = s->params->time_first ? 1 : 0;
    clg_shape wanted = {.ndim = 3, .dim = {s->layers, x->shape.dim[n], s->units}};
    if (x->shape.batched >> n & 1) wanted.batched = 2;
    return clg__same_shape(&state->shape, &wanted);
}

static bool check_stack(const stack *s, const clg_tensor *x)
{
    const clg_recurrent_layer_params *p = s->params;
    const char *wrong = NULL;
    int time = p->time_first ? 0 : 1;
    if (x->shape.ndim != 3)
        wrong = "the input needs three axes, (N, T, F)";
    else if (x->shape.batched >> time & 1 || x->shape.batched >> 2 & 1)
        wrong = "the number of steps or of features follows the batch size";
    else if (s->layers < 1 || s->layers > CLG_MAX_RECURRENT_LAYERS)
        wrong = "the number of layers must be within 1 .. 8";
    else if (s->units < 1)
        wrong = "it needs at least one unit";
    else if (p->carry && x->shape.batched)
        wrong = "a carried state needs a fixed batch: give N as a number, not as CLG_BATCH";
    else if (p->carry && (p->h || p->c))
        wrong = "a state is either carried or given";
    else if (p->c && !clg__cell_has_c(s->kind))
        wrong = "this kind of cell has no c";
    else if (p->relu && s->kind != CLG__RNN_RELU)
        wrong = "only rnn takes relu";
    else if (!(p->dropout >= 0 && p->dropout < 1))
        wrong = "dropout is from 0 to below 1";
    else if (!state_fits(s, x, p->h) || !state_fits(s, x, p->c))
        wrong = "the initial state is not (layers, N, units)";
    if (wrong) clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "%s: %s", s->name, wrong);
    return !wrong;
}

static clg_tensor *swap_batch_and_time(clg_tensor *x)
{
    return clg_transpose(x, (int[]){1, 0, 2});
}

static clg_tensor *recurrent_layer(stack s, clg_tensor *x)
{
    static const clg_recurrent_layer_params defaults = {0};
    clg_recurrent_layer_result unused;
    if (!x || !clg__layer_named(x, s.name)) return NULL;
    if (!s.params) s.params = &defaults;
    if (!s.out) s.out = &unused;
    s.layers = s.params->layers ? s.params->layers : 1;
    if (s.params->relu && s.kind == CLG__RNN_TANH) s.kind = CLG__RNN_RELU;
    if (!check_stack(&s, x)) return NULL;
    *s.out = (clg_recurrent_layer_result){.n_carry = 0};
    if (s.params->time_first) return all_layers(&s, x);
    return swap_batch_and_time(all_layers(&s, swap_batch_and_time(x)));
}

#define LAYER(name_, kind_)                                                                        \
    clg_tensor *clg_##name_##_layer(clg_tensor *x, const char *name, int64_t units,                \
                                    const clg_recurrent_layer_params *params,                      \
                                    clg_recurrent_layer_result *out)                               \
    {                                                                                              \
        stack s = {.name = name, .kind = kind_, .units = units, .params = params, .out = out};     \
        return CLG__COMPOSED(name_##_layer, recurrent_layer(s, x));                                \
    }
LAYER(rnn, CLG__RNN_TANH)
LAYER(lstm, CLG__LSTM)
LAYER(gru, CLG__GRU)

clg_status clg_recurrent_reset(clg_graph *g, const char *name)
{
    CLG__NEEDS(g && name);
    static const char *const states[] = {"h", "c"};
    int found = 0;
    for (int i = 0; i < 2 * CLG_MAX_RECURRENT_LAYERS; i++) {
        clg__str text = {0};
        clg__str_addf(&text, "%s.%s_l%d", name, states[i % 2], i / 2);
        if (text.failed) return CLG_ERROR_MEMORY;
        clg_tensor *variable = clg_graph_find(g, text.text);
        clg__str_free(&text);
        if (!clg_tensor_is_variable(variable)) continue;
        int64_t count = clg_shape_count(&variable->shape);
        float *zeros = clg__calloc((size_t)count, sizeof *zeros);
        if (!zeros) return CLG_ERROR_MEMORY;
        clg_status status = clg_variable_write(variable, zeros, count);
        clg__free(zeros);
        CLG_TRY(status);
        found++;
    }
    if (found) return CLG_OK;
    return clg__fail(CLG_ERROR_ARGUMENT, "recurrent_reset: \"%s\" carries no state", name);
}
