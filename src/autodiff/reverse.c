/*
 * Reverse mode as a transformation of the graph: the gradients are new nodes, made by the op rows'
 * rules with the public builders, and can be differentiated again.
 *
 * Ids are a topological order. So one walk over the ids downward from y meets every node when the
 * gradients of all its readers have been added up, and each node's rule is applied once. Only nodes
 * that lead to one of the wanted tensors are walked through. Cost: O(nodes from the first wanted
 * one up to y) plus the rules.
 */
#include "autodiff/sweep.h"

/* State of one sweep. Arrays are indexed by node id minus `first`; nodes created on the way have
 * ids from `end` on. */
typedef struct sweep {
    const clg__sweep *asked;
    clg_graph *graph;
    size_t first, end;  /* ids that can be on the way: from the first wanted tensor on */
    bool *leads;        /* the node is wanted, or depends on one that is */
    clg_tensor **grads; /* sum so far; NULL: nothing came yet */
} sweep;

static bool leads(const sweep *s, const clg_tensor *node)
{
    size_t id = (size_t)node->id;
    return id >= s->first && id < s->end && s->leads[id - s->first];
}

static bool leads_further(const sweep *s, const clg_tensor *node)
{
    for (int i = 0; i < node->n_inputs; i++)
        if (leads(s, node->inputs[i])) return true;
    return false;
}

static void mark_leading(sweep *s)
{
    for (size_t i = 0; i < s->asked->n; i++)
        s->leads[(size_t)s->asked->wrt[i]->id - s->first] = true;
    for (size_t id = s->first; id < s->end; id++)
        s->leads[id - s->first] |= leads_further(s, s->graph->nodes[id]);
}

static void add_gradient(sweep *s, const clg_tensor *input, clg_tensor *dx)
{
    if (!clg__same_shape(&dx->shape, &input->shape))
        clg__graph_fail(s->graph, CLG_ERROR_INTERNAL,
                        "%s: a gradient of shape %s for \"%s\" of shape %s", s->asked->name,
                        CLG__SHAPE_TEXT(&dx->shape), input->op->name,
                        CLG__SHAPE_TEXT(&input->shape));
    clg_tensor **sum = &s->grads[(size_t)input->id - s->first];
    *sum = *sum ? clg_add(*sum, dx) : dx;
}

/* Applies a node's rule and adds what it gives to the inputs' sums. */
static void pass_through(sweep *s, clg_tensor *node)
{
    clg_tensor *dx[CLG__MAX_INPUTS] = {NULL};
    if (!node->op->gradient) {
        clg__graph_fail(s->graph, CLG_ERROR_ARGUMENT,
                        "%s: the operation \"%s\" has no gradient; clg_stop_gradient in front of "
                        "it treats its input as a constant",
                        s->asked->name, node->op->name);
        return;
    }
    node->op->gradient(node, s->grads[(size_t)node->id - s->first], dx);
    for (int i = 0; i < node->n_inputs; i++)
        if (dx[i] && leads(s, node->inputs[i])) add_gradient(s, node->inputs[i], dx[i]);
}

/* Rules build nodes; the graph keeps the first failure among them. */
static clg_status run_sweep(sweep *s, clg_tensor **grads)
{
    mark_leading(s);
    for (size_t i = 0; i < s->asked->n_y; i++)
        if (leads(s, s->asked->y[i])) add_gradient(s, s->asked->y[i], s->asked->seeds[i]);
    for (size_t id = s->end; id-- > s->first && s->graph->status == CLG_OK;) {
        clg_tensor *node = s->graph->nodes[id];
        if (s->grads[id - s->first] && leads_further(s, node)) pass_through(s, node);
    }
    for (size_t i = 0; i < s->asked->n; i++) { /* what y does not depend on: zeros */
        clg_tensor **grad = &s->grads[(size_t)s->asked->wrt[i]->id - s->first];
        if (!*grad) *grad = clg__full_like(s->asked->wrt[i], 0);
    }
    CLG_TRY(clg__graph_check(s->graph));
    for (size_t i = 0; i < s->asked->n; i++)
        grads[i] = s->grads[(size_t)s->asked->wrt[i]->id - s->first];
    return CLG_OK;
}

clg_status clg__sweep_run(const clg__sweep *asked, clg_tensor **grads)
{
    if (asked->n == 0) return CLG_OK;
    sweep s = {.asked = asked, .graph = asked->wrt[0]->graph};
    CLG_TRY(clg__graph_check(s.graph));
    s.end = s.graph->n_nodes;
    s.first = s.end;
    for (size_t i = 0; i < asked->n; i++)
        if ((size_t)asked->wrt[i]->id < s.first) s.first = (size_t)asked->wrt[i]->id;
    s.leads = clg__calloc(s.end - s.first, sizeof *s.leads);
    s.grads = clg__calloc(s.end - s.first, sizeof *s.grads);
    clg_status status = s.leads && s.grads ? run_sweep(&s, grads) : CLG_ERROR_MEMORY;
    clg__free(s.leads);
    clg__free(s.grads);
    return status;
}

/* ---- checks ---- */

/* The graph of the first tensor that is one; NULL if there is none. */
static clg_graph *graph_of(const clg__tensors *lists, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < lists[i].n; k++)
            if (lists[i].items[k]) return lists[i].items[k]->graph;
    return NULL;
}

clg_status clg__check_tensors(const char *name, const clg__tensors *lists, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lists[i].n > 0 && !lists[i].items)
            return clg__fail(CLG_ERROR_ARGUMENT, "%s: a list of tensors is NULL", name);
    clg_graph *g = graph_of(lists, n);
    if (!g) return clg__fail(CLG_ERROR_ARGUMENT, "%s: all tensors are NULL", name);
    CLG_TRY(clg__graph_check(g)); /* a tensor is NULL because a builder failed: that is the news */
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < lists[i].n; k++) {
            const clg_tensor *t = lists[i].items[k];
            if (!t) return clg__fail(CLG_ERROR_ARGUMENT, "%s: a tensor is NULL", name);
            if (t->graph != g)
                return clg__fail(CLG_ERROR_ARGUMENT, "%s: tensors of different graphs", name);
        }
    return CLG_OK;
}

clg_status clg__check_shape(const char *name, const char *what, const clg_tensor *t,
                            const char *whose, const clg_tensor *like)
{
    if (clg__same_shape(&t->shape, &like->shape)) return CLG_OK;
    return clg__fail(
        CLG_ERROR_ARGUMENT, "%s: the %s has shape %s, %s has %s%s", name, what,
        CLG__SHAPE_TEXT(&t->shape), whose, CLG__SHAPE_TEXT(&like->shape),
        clg_shape_equal(&t->shape, &like->shape) ? ", and only one of them follows the batch" : "");
}

clg_status clg__check_number(const char *name, const clg_tensor *y, const char *advice)
{
    if (clg_shape_count(&y->shape) == 1 && !y->shape.batched) return CLG_OK;
    return clg__fail(CLG_ERROR_ARGUMENT, "%s: y has shape %s; only of a single number %s", name,
                     CLG__SHAPE_TEXT(&y->shape), advice);
}

/* ---- public ---- */

clg_status clg_vjp(clg_tensor *y, clg_tensor *seed, clg_tensor *const *wrt, size_t n,
                   clg_tensor **grads)
{
    CLG__NEEDS(grads || n == 0);
    const clg__tensors lists[] = {{&y, 1}, {&seed, 1}, {wrt, n}};
    CLG_TRY(clg__check_tensors("gradients", lists, CLG__COUNT(lists)));
    CLG_TRY(clg__check_shape("gradients", "seed", seed, "y", y));
    const clg__sweep asked = {"gradients", &y, &seed, 1, wrt, n};
    return clg__sweep_run(&asked, grads);
}

clg_status clg_gradients(clg_tensor *y, clg_tensor *const *wrt, size_t n, clg_tensor **grads)
{
    CLG__NEEDS(grads || n == 0);
    if (y)
        CLG_TRY(clg__check_number("gradients", y,
                                  "there are gradients (clg_vjp weights the elements)"));
    return clg_vjp(y, clg__full_like(y, 1), wrt, n, grads);
}

clg_status clg_hvp(clg_tensor *y, clg_tensor *const *wrt, clg_tensor *const *vectors, size_t n,
                   clg_tensor **products)
{
    CLG__NEEDS(products || n == 0);
    const clg__tensors lists[] = {{&y, 1}, {wrt, n}, {vectors, n}};
    CLG_TRY(clg__check_tensors("hvp", lists, CLG__COUNT(lists)));
    CLG_TRY(clg__check_number("hvp", y, "there is a Hessian"));
    for (size_t i = 0; i < n; i++)
        CLG_TRY(clg__check_shape("hvp", "vector", vectors[i], "its tensor", wrt[i]));
    clg_tensor **gradients = clg__calloc(n + 1, sizeof *gradients);
    if (!gradients) return CLG_ERROR_MEMORY;
    clg_tensor *one = clg__full_like(y, 1);
    const clg__sweep first = {"hvp", &y, &one, 1, wrt, n};
    const clg__sweep second = {"hvp", gradients, vectors, n, wrt, n};
    clg_status status = one ? clg__sweep_run(&first, gradients) : clg__graph_check(y->graph);
    if (status == CLG_OK) status = clg__sweep_run(&second, products);
    clg__free(gradients);
    return status;
}
