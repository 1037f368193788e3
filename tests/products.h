/*
 * Matrix products of several shapes, with all transpositions, against a reference in double: for
 * the tests of every algorithm that multiplies matrices.
 */
#ifndef CLG_TESTS_PRODUCTS_H
#define CLG_TESTS_PRODUCTS_H

#include "evaluate.h"

typedef struct product {
    int batch, m, n, k; /* batch 1: no leading axis */
    bool shared_b;
    bool variable_b; /* a variable, of which the program may keep a copy in another arrangement */
} product;

static const product products[] = {
    {1, 1, 1, 1, false, false},    {1, 7, 33, 5, false, false},  {1, 65, 36, 203, false, false},
    {3, 33, 17, 20, false, false}, {2, 16, 40, 64, true, false},
};

static inline double element_of(const array *x, int64_t base, int row, int column, int rows,
                                int columns, bool transposed)
{
    return x->data[base +
                   (transposed ? (int64_t)column * rows + row : (int64_t)row * columns + column)];
}

static inline void check_product(clg_context *ctx, product p, bool ta, bool tb)
{
    clg_graph *g = clg_graph_create(NULL);
    int am = ta ? p.k : p.m, an = ta ? p.m : p.k, bm = tb ? p.n : p.k, bn = tb ? p.k : p.n;
    bool batched_b = p.batch > 1 && !p.shared_b;
    array a = array_random((int64_t)p.batch * p.m * p.k, 1);
    array b = array_random((int64_t)(batched_b ? p.batch : 1) * p.k * p.n, 2), c = {0};
    a.tensor =
        clg_input(g, "a", CLG_F32, p.batch > 1 ? CLG_SHAPE(p.batch, am, an) : CLG_SHAPE(am, an));
    clg_shape shape_b = batched_b ? CLG_SHAPE(p.batch, bm, bn) : CLG_SHAPE(bm, bn);
    b.tensor = p.variable_b ? clg_variable(g, "b", shape_b, CLG_INIT(.kind = CLG_INIT_ZEROS), false)
                            : clg_input(g, "b", CLG_F32, shape_b);
    if (p.variable_b) TEST_OK(clg_variable_write(b.tensor, b.data, b.count));
    clg_matmul_params params = {.transpose_a = ta, .transpose_b = tb};
    c.tensor = clg_relu(clg_matmul(a.tensor, b.tensor, &params));
    evaluate(ctx, g, (array *[]){&a, &b}, p.variable_b ? 1 : 2, (array *[]){&c}, 1);
    double *expected = calloc((size_t)c.count, sizeof(double));
    for (int64_t i = 0; i < c.count; i++) {
        int column = (int)(i % p.n), row = (int)(i / p.n % p.m), at = (int)(i / p.n / p.m);
        for (int k = 0; k < p.k; k++)
            expected[i] +=
                element_of(&a, (int64_t)at * p.m * p.k, row, k, p.m, p.k, ta) *
                element_of(&b, batched_b ? (int64_t)at * p.k * p.n : 0, k, column, p.k, p.n, tb);
        if (expected[i] < 0) expected[i] = 0;
    }
    assert_close("product", &c, expected, 3e-7 * p.k + 1e-6);
    free(expected);
    free(a.data);
    free(b.data);
    free(c.data);
    clg_graph_destroy(g);
}

static inline void check_products(clg_context *ctx)
{
    for (size_t i = 0; i < CLG__COUNT(products); i++)
        for (int t = 0; t < 4; t++) check_product(ctx, products[i], t & 1, t & 2);
}

#endif
