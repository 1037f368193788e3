/*
 * Matrix products: C[b] (M, N) = op(A[b]) op(B[b]), where op transposes on request. A B of two axes
 * serves all of A's batches. Which algorithm runs is a matter of the rows below; the gradient is
 * two more products, chosen so that nothing has to be transposed in memory (one rare case aside).
 */
#include "ops/algorithms_cpu.h"
#include "ops/algorithms_gpu.h"
#include "ops/record.h"

/* What CLBlast is not asked for, it need not be tested and compiled for. */
static bool clblast_by_default(const clg_context *ctx, const clg_tensor *node, int64_t batch)
{
    return !clg__matmul_gpu_suits(ctx, node) && clg__matmul_clblast_by_default(ctx);
}

static const clg__algorithm matmul_algorithms[] = {{.name = "tile",
                                                    .engines = 1u << CLG_ENGINE_CPU,
                                                    .fuses_epilogue = true,
                                                    .lower = clg__matmul_cpu},
                                                   {.name = "clblast",
                                                    .engines = 1u << CLG_ENGINE_GPU,
                                                    .by_default = clblast_by_default,
                                                    .trusted = clg__matmul_clblast_trusted,
                                                    .lower = clg__matmul_clblast},
                                                   {.name = "local",
                                                    .engines = 1u << CLG_ENGINE_GPU,
                                                    .fuses_epilogue = true,
                                                    .lower = clg__matmul_gpu},
                                                   {.name = NULL}};

/* (batch..., R, C) as the matrix (all rows, C). */
static clg_tensor *rows_of(clg_tensor *x)
{
    if (!x || x->shape.ndim == 2) return x;
    int last = x->shape.ndim - 1;
    clg_shape shape = {.ndim = 2, .dim = {1, x->shape.dim[last]}};
    for (int i = 0; i < last; i++) {
        shape.dim[0] *= x->shape.dim[i];
        if (clg__batched(&x->shape, i)) shape.batched = 1;
    }
    if (clg__batched(&x->shape, last)) shape.batched |= 2;
    return clg__reshape_to(x, &shape);
}

static clg_tensor *swap_last_axes(clg_tensor *x)
{
    if (!x) return NULL;
    int order[CLG_MAX_DIMS];
    for (int i = 0; i < x->shape.ndim; i++) order[i] = i;
    order[x->shape.ndim - 2] = x->shape.ndim - 1;
    order[x->shape.ndim - 1] = x->shape.ndim - 2;
    return clg_transpose(x, order);
}

static void matmul_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    const struct clg__matmul_attr *attr = out->attr;
    clg_tensor *a = out->inputs[0], *b = out->inputs[1];
    bool ta = attr->transpose_a, tb = attr->transpose_b;
    /* dA is g op(B)^T, or op(B) g^T where A came transposed; dB accordingly. */
    dx[0] = ta ? clg_matmul(b, g, clg_matmul_options(.transpose_a = tb, .transpose_b = true))
               : clg_matmul(g, b, clg_matmul_options(.transpose_b = !tb));
    if (b->shape.ndim == 2 && a->shape.ndim > 2) { /* B serves all batches: they all add up */
        a = rows_of(ta ? swap_last_axes(a) : a);
        g = rows_of(g);
        ta = false;
    }
    dx[1] = tb ? clg_matmul(g, a, clg_matmul_options(.transpose_a = true, .transpose_b = ta))
               : clg_matmul(a, g, clg_matmul_options(.transpose_a = !ta));
}

const clg__op clg__op_matmul = {.name = "matmul",
                                .formula = "op(A) op(B), op transposing on request",
                                .class_ = CLG__KERNEL,
                                .attr_size = sizeof(struct clg__matmul_attr),
                                .gradient = matmul_gradient,
                                .algorithms = matmul_algorithms};

/* Extent and batched bit of a matrix axis: 0 rows, 1 columns, after transposing. */
typedef struct matrix_axis {
    int64_t extent;
    uint32_t batched;
} matrix_axis;

static matrix_axis axis_of(const clg_shape *shape, int which, bool transposed)
{
    int i = shape->ndim - 2 + (transposed ? 1 - which : which);
    return (matrix_axis){shape->dim[i], clg__batched(shape, i)};
}

/* op(A) has as many columns as op(B) rows. */
static bool inner_fits(const clg_shape *a, const clg_shape *b, bool ta, bool tb)
{
    matrix_axis k = axis_of(a, 1, ta), k2 = axis_of(b, 0, tb);
    return k.extent == k2.extent && k.batched == k2.batched;
}

/* The shape of the product; false if a (batch..., m, k) and b (k, n) or (batch..., k, n) do not
 * fit. */
static bool product_shape(const clg_shape *a, const clg_shape *b, bool ta, bool tb, clg_shape *out)
{
    matrix_axis m = axis_of(a, 0, ta), n = axis_of(b, 1, tb);
    bool fits = inner_fits(a, b, ta, tb) && (b->ndim == 2 || b->ndim == a->ndim);
    int lead = a->ndim - 2;
    for (int i = 0; i < lead && fits && b->ndim > 2; i++)
        fits = a->dim[i] == b->dim[i] && clg__batched(a, i) == clg__batched(b, i);
    *out = *a;
    out->dim[lead] = m.extent;
    out->dim[lead + 1] = n.extent;
    out->batched = (a->batched & ((1u << lead) - 1)) | m.batched << lead | n.batched << (lead + 1);
    return fits;
}

clg_tensor *clg_matmul(clg_tensor *a, clg_tensor *b, const clg_matmul_params *params)
{
    static const clg_matmul_params defaults;
    if (!a || !b) return NULL;
    if (!params) params = &defaults;
    bool ta = params->transpose_a, tb = params->transpose_b;
    /* One A for all B: the transposed product has the shared side on the right. */
    if (a->shape.ndim == 2 && b->shape.ndim > 2 && inner_fits(&a->shape, &b->shape, ta, tb))
        return swap_last_axes(
            clg_matmul(b, a, clg_matmul_options(.transpose_a = !tb, .transpose_b = !ta)));
    clg_shape shape;
    bool fits = a->shape.ndim >= 2 && b->shape.ndim >= 2 &&
                product_shape(&a->shape, &b->shape, ta, tb, &shape);
    if (!fits)
        return clg__graph_fail(a->graph, CLG_ERROR_ARGUMENT,
                               "matmul: shapes %s%s and %s%s do not fit together",
                               CLG__SHAPE_TEXT(&a->shape), ta ? " transposed" : "",
                               CLG__SHAPE_TEXT(&b->shape), tb ? " transposed" : "");
    struct clg__matmul_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.transpose_a = ta;
    attr.transpose_b = tb;
    return clg__node(a->graph, &clg__op_matmul, CLG_F32, shape, &attr, 2, (clg_tensor *[]){a, b});
}
