/*
 * Reductions of rows, columns and both, short and long, against a reference in double: for tests of
 * how an engine deals them out.
 */
#ifndef CLG_TESTS_REDUCTIONS_H
#define CLG_TESTS_REDUCTIONS_H

#include "device/context.h"
#include "evaluate.h"

typedef struct reduction {
    int n, rows, columns;
    uint32_t axes;
} reduction;

/* Tails behind vectors, fewer elements than lanes and far more, shares that fill no group. */
static const reduction reductions[] = {
    {1, 1, 1, CLG_AXIS(2)},
    {5, 3, 37, CLG_AXIS(2)},
    {2, 1, 20003, CLG_AXIS(2)},
    {1, 3001, 10, CLG_AXIS(1)},
    {2, 70, 261, CLG_AXIS(1)},
    {9, 3, 2, CLG_AXIS(1)},
    {33, 60, 7, CLG_AXIS(1) | CLG_AXIS(2)},
    {300, 5, 18, CLG_AXIS(0)},
    {1, 515, 2100, CLG_AXIS(1)},
};

/* Sums of squares and maxima; `result` is where an element's total is. */
static inline void reduce_reference(const reduction *r, const array *x, double *sum, double *max)
{
    for (int64_t i = 0; i < x->count; i++) {
        const int64_t at[3] = {i / r->columns / r->rows, i / r->columns % r->rows, i % r->columns};
        const int64_t extent[3] = {r->n, r->rows, r->columns};
        int64_t result = 0;
        for (int k = 0; k < 3; k++)
            if (!(r->axes >> k & 1)) result = result * extent[k] + at[k];
        const double v = x->data[i];
        sum[result] += v * v;
        max[result] = fmax(max[result], v);
    }
}

/* Two reductions that share a kernel, with something behind each: roots of sums, maxima doubled. */
static inline void check_reduction(clg_context *ctx, const reduction *r)
{
    clg_graph *g = clg_graph_create(NULL);
    array x = array_random((int64_t)r->n * r->rows * r->columns, 1), sum = {0}, max = {0};
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(r->n, r->rows, r->columns));
    clg_tensor *largest = clg_max(x.tensor, r->axes, false);
    sum.tensor = clg_sqrt(clg_sum(clg_square(x.tensor), r->axes, false));
    max.tensor = clg_add(largest, largest);
    evaluate(ctx, g, (array *[]){&x}, 1, (array *[]){&sum, &max}, 2);
    double *sums = calloc((size_t)sum.count, sizeof *sums);
    double *maxima = calloc((size_t)sum.count, sizeof *maxima);
    for (int64_t i = 0; i < sum.count; i++) maxima[i] = -INFINITY;
    reduce_reference(r, &x, sums, maxima);
    for (int64_t i = 0; i < sum.count; i++) {
        sums[i] = sqrt(sums[i]);
        maxima[i] *= 2;
    }
    assert_close("sum", &sum, sums, 2e-5 * sqrt((double)x.count / (double)sum.count) + 1e-6);
    assert_close("max", &max, maxima, 0);
    array *all[] = {&x, &sum, &max};
    for (int i = 0; i < 3; i++) free(all[i]->data);
    free(sums);
    free(maxima);
    clg_graph_destroy(g);
}

/* Sums are added in an order that neither timing nor the number of compute units decides. */
static inline void check_units(const char *engine, const reduction *r)
{
    array results[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        clg_context *ctx = engine_context(engine);
        clg_graph *g = clg_graph_create(NULL);
        array x = array_random((int64_t)r->n * r->rows * r->columns, 1);
        x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(r->n, r->rows, r->columns));
        results[i].tensor = clg_sum(x.tensor, r->axes, false);
        ctx->info.compute_units = i ? 100 : 12;
        evaluate(ctx, g, (array *[]){&x}, 1, (array *[]){&results[i]}, 1);
        free(x.data);
        clg_graph_destroy(g);
        clg_context_destroy(ctx);
    }
    ck_assert_mem_eq(results[0].data, results[1].data, (size_t)results[0].count * sizeof(float));
    for (int i = 0; i < 2; i++) free(results[i].data);
}

#endif
