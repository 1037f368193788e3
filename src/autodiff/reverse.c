/*
 * Reverse mode as a transformation of the graph: the gradients are new nodes, made by the op rows'
 * rules with the public builders, and can be differentiated again.
 *
 * Ids are a topological order. So one walk over the ids downward from y meets every node when the
 * gradients of all its readers have been added up, and each node's rule is applied once. Only nodes
 * that lead to one of the wanted tensors are walked through. Cost: O(nodes up to y) plus the rules.
 */
#include "clgrad/autodiff.h"
#include "ops/record.h"

/* State of one sweep, indexed by node id; nodes created on the way have ids from `count` on. */
typedef struct sweep {
    clg_graph *graph;
    size_t count;
    bool *leads;        /* the node is wanted, or depends on one that is */
    clg_tensor **grads; /* sum so far; NULL: nothing came yet */
} sweep;

static void mark_leading(sweep *s, clg_tensor *const *wrt, size_t n)
{
    for (size_t i = 0; i < n; i++) s->leads[wrt[i]->id] = true;
    for (size_t id = 0; id < s->count; id++) {
        const clg_tensor *node = s->graph->nodes[id];
        for (int i = 0; i < node->n_inputs && !s->leads[id]; i++)
            s->leads[id] = s->leads[node->inputs[i]->id];
    }
}

static bool leads_further(const sweep *s, const clg_tensor *node)
{
    for (int i = 0; i < node->n_inputs; i++)
        if (s->leads[node->inputs[i]->id]) return true;
    return false;
}

static void add_gradient(sweep *s, const clg_tensor *input, clg_tensor *dx)
{
    if (!clg_shape_equal(&dx->shape, &input->shape) || dx->shape.batched != input->shape.batched)
        clg__graph_fail(s->graph, CLG_ERROR_INTERNAL,
                        "gradients: a gradient of shape %s for \"%s\" of shape %s",
                        clg_shape_text(&dx->shape, (char[128]){0}, 128), input->op->name,
                        clg_shape_text(&input->shape, (char[128]){0}, 128));
    clg_tensor **sum = &s->grads[input->id];
    *sum = *sum ? clg_add(*sum, dx) : dx;
}

/* Applies a node's rule and adds what it gives to the inputs' sums. */
static void pass_through(sweep *s, clg_tensor *node)
{
    clg_tensor *dx[CLG__MAX_INPUTS] = {NULL};
    if (!node->op->gradient) {
        clg__graph_fail(s->graph, CLG_ERROR_ARGUMENT,
                        "gradients: the operation \"%s\" has no gradient; clg_stop_gradient in "
                        "front of it treats its input as a constant",
                        node->op->name);
        return;
    }
    node->op->gradient(node, s->grads[node->id], dx);
    for (int i = 0; i < node->n_inputs; i++)
        if (dx[i] && s->leads[node->inputs[i]->id]) add_gradient(s, node->inputs[i], dx[i]);
}

/* Rules build nodes; the graph keeps the first failure among them. */
static clg_status run_sweep(sweep *s, clg_tensor *y, clg_tensor *seed, clg_tensor *const *wrt,
                            size_t n)
{
    mark_leading(s, wrt, n);
    s->grads[y->id] = seed;
    for (size_t id = (size_t)y->id + 1; id-- > 0 && s->graph->status == CLG_OK;) {
        clg_tensor *node = s->graph->nodes[id];
        if (s->grads[id] && leads_further(s, node)) pass_through(s, node);
    }
    for (size_t i = 0; i < n; i++) { /* what y does not depend on: zeros */
        clg_tensor **grad = &s->grads[wrt[i]->id];
        if (!*grad) *grad = clg__full_like(wrt[i], 0);
    }
    return clg__graph_check(s->graph);
}

/* The graph of the first tensor that is one; NULL if there is none. */
static clg_graph *graph_of(clg_tensor *y, clg_tensor *seed, clg_tensor *const *wrt, size_t n)
{
    clg_graph *g = y ? y->graph : seed ? seed->graph : NULL;
    for (size_t i = 0; i < n && !g; i++)
        if (wrt[i]) g = wrt[i]->graph;
    return g;
}

/* A tensor is NULL because a builder failed; then that failure is the news. */
static clg_status check_tensors(clg_graph *g, clg_tensor *y, clg_tensor *seed,
                                clg_tensor *const *wrt, size_t n)
{
    if (!g) return clg__fail(CLG_ERROR_ARGUMENT, "gradients: all tensors are NULL");
    CLG_TRY(clg__graph_check(g));
    bool missing = !y || !seed;
    for (size_t i = 0; i < n; i++) missing |= !wrt[i];
    if (missing) return clg__fail(CLG_ERROR_ARGUMENT, "gradients: a tensor is NULL");
    bool foreign = y->graph != seed->graph;
    for (size_t i = 0; i < n; i++) foreign |= wrt[i]->graph != g;
    if (foreign) return clg__fail(CLG_ERROR_ARGUMENT, "gradients: tensors of different graphs");
    if (clg_shape_equal(&y->shape, &seed->shape) && y->shape.batched == seed->shape.batched)
        return CLG_OK;
    return clg__fail(CLG_ERROR_ARGUMENT, "gradients: the seed has shape %s, y has %s",
                     clg_shape_text(&seed->shape, (char[128]){0}, 128),
                     clg_shape_text(&y->shape, (char[128]){0}, 128));
}

clg_status clg_vjp(clg_tensor *y, clg_tensor *seed, clg_tensor *const *wrt, size_t n,
                   clg_tensor **grads)
{
    clg_graph *g = graph_of(y, seed, wrt, n);
    CLG_TRY(check_tensors(g, y, seed, wrt, n));
    sweep s = {.graph = g, .count = g->n_nodes};
    s.leads = clg__calloc(s.count, sizeof *s.leads);
    s.grads = clg__calloc(s.count, sizeof *s.grads);
    clg_status status = s.leads && s.grads ? run_sweep(&s, y, seed, wrt, n) : CLG_ERROR_MEMORY;
    for (size_t i = 0; i < n && status == CLG_OK; i++) grads[i] = s.grads[wrt[i]->id];
    clg__free(s.leads);
    clg__free(s.grads);
    return status;
}

clg_status clg_gradients(clg_tensor *y, clg_tensor *const *wrt, size_t n, clg_tensor **grads)
{
    if (y && (clg_shape_count(&y->shape) != 1 || y->shape.batched))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "gradients: y has shape %s; only of a single number are there gradients "
                         "(clg_vjp weights the elements)",
                         clg_shape_text(&y->shape, (char[128]){0}, 128));
    return clg_vjp(y, clg__full_like(y, 1), wrt, n, grads);
}
