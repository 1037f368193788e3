/*
 * Forward mode, from the same rules as reverse mode. A vector-Jacobian product is linear in its
 * weights: with u of y's shape, p(u) = J^T u. So the gradient of <p(u), v> with respect to u is J
 * v: transposed twice, J is itself.
 *
 * What is built this way has the size of a forward pass. The second sweep walks through p from the
 * tensors up to y, and at each node asks the rule of a linear operation for a gradient with respect
 * to the operand that came from u, which takes the other operands and never u. So neither u nor p
 * is part of the result; programs prune both, and the price of a rule that is not linear would be
 * theirs. A second table of rules would have to be kept true to the first for no gain.
 */
#include "autodiff/forward.h"

clg_status clg__forward_start(clg__forward *f, const char *name, clg_tensor *const *y, size_t n_y,
                              clg_tensor *const *wrt, size_t n)
{
    *f = (clg__forward){.name = name, .n_y = n_y, .n = n};
    f->u = clg__calloc(n_y + 1, sizeof *f->u);
    f->pulled = clg__calloc(n + 1, sizeof(clg_tensor *));
    if (!f->u || !f->pulled) return CLG_ERROR_MEMORY;
    for (size_t k = 0; k < n_y; k++) {
        f->u[k] = clg__full_like(y[k], 0);
        if (!f->u[k]) return clg__graph_check(y[k]->graph);
    }
    const clg__sweep sweep = {name, y, f->u, n_y, wrt, n};
    return clg__sweep_run(&sweep, f->pulled);
}

clg_status clg__forward_run(const clg__forward *f, clg_tensor *const *tangents, clg_tensor **out)
{
    const clg__sweep sweep = {f->name, f->pulled, tangents, f->n, f->u, f->n_y};
    return clg__sweep_run(&sweep, out);
}

void clg__forward_free(clg__forward *f)
{
    clg__free(f->u);
    clg__free(f->pulled);
}

clg_status clg_jvp(clg_tensor *y, clg_tensor *const *wrt, clg_tensor *const *tangents, size_t n,
                   clg_tensor **product)
{
    CLG__NEEDS(product);
    const clg__tensors lists[] = {{&y, 1}, {wrt, n}, {tangents, n}};
    CLG_TRY(clg__check_tensors("jvp", lists, CLG__COUNT(lists)));
    for (size_t i = 0; i < n; i++)
        CLG_TRY(clg__check_shape("jvp", "tangent", tangents[i], "its tensor", wrt[i]));
    clg__forward f;
    clg_status status = clg__forward_start(&f, "jvp", &y, 1, wrt, n);
    if (status == CLG_OK) status = clg__forward_run(&f, tangents, product);
    clg__forward_free(&f);
    return status;
}
