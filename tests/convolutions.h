/*
 * Convolutions of many geometries, all three passes, against a reference in double: for the tests
 * of every engine.
 */
#ifndef CLG_TESTS_CONVOLUTIONS_H
#define CLG_TESTS_CONVOLUTIONS_H

#include "evaluate.h"

typedef struct convolution {
    int n, h, w, c, kh, kw, oc;
    clg_conv2d_params params; /* every field given */
} convolution;

/* Whole and broken vectors of channels, phases without taps, groups of all kinds, split sums. */
static const convolution convolutions[] = {
    {1, 1, 1, 1, 1, 1, 1, {{1, 1}, {0, 0}, {1, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
    {3, 12, 11, 4, 5, 5, 33, {{2, 2}, {1, 2}, {1, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
    {2, 13, 10, 7, 3, 2, 8, {{3, 2}, {2, 0}, {2, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
    {2, 13, 13, 32, 3, 3, 64, {{4, 4}, {0, 0}, {1, 1}, 2, CLG_PADDING_EXPLICIT, 0}},
    {2, 13, 13, 6, 3, 3, 10, {{2, 4}, {3, 2}, {2, 3}, 2, CLG_PADDING_EXPLICIT, 0}},
    {2, 9, 8, 16, 3, 3, 16, {{1, 1}, {1, 1}, {1, 1}, 16, CLG_PADDING_EXPLICIT, 0}},
    {2, 9, 8, 7, 3, 3, 14, {{1, 2}, {1, 1}, {2, 1}, 7, CLG_PADDING_EXPLICIT, 0}},
    {6, 10, 10, 8, 3, 3, 12, {{1, 1}, {1, 1}, {1, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
    {3, 9, 11, 8, 3, 3, 8, {{2, 2}, {1, 1}, {1, 1}, 8, CLG_PADDING_EXPLICIT, 0}},
    {2, 7, 10, 6, 5, 4, 6, {{1, 3}, {2, 1}, {1, 2}, 6, CLG_PADDING_EXPLICIT, 0}},
    {1, 4, 40, 4, 2, 4, 4, {{1, 5}, {0, 3}, {1, 9}, 4, CLG_PADDING_EXPLICIT, 0}},
    {2, 3, 3, 300, 3, 3, 64, {{1, 1}, {1, 1}, {1, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
    {1, 5, 4, 200, 3, 2, 128, {{2, 1}, {1, 1}, {1, 2}, 2, CLG_PADDING_EXPLICIT, 0}},
    {3, 7, 5, 37, 1, 1, 40, {{1, 1}, {0, 0}, {1, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
    {1, 3, 3, 1200, 3, 3, 20, {{1, 1}, {1, 1}, {1, 1}, 1, CLG_PADDING_EXPLICIT, 0}},
};

/* What the three passes read and add to. */
typedef struct passes {
    const float *x, *w, *dy;
    double *y, *dx, *dw;
} passes;

/* Adds x w to y, dy w to dx and x dy to dw for one pixel of y and one position of the window. */
static inline void reference_step(const convolution *p, const passes *a, int64_t pixel,
                                  int64_t source, int position)
{
    const int cg = p->c / p->params.groups, ng = p->oc / p->params.groups;
    for (int o = 0; o < p->oc; o++)
        for (int c = 0; c < cg; c++) {
            int64_t iy = pixel * p->oc + o, ix = source * p->c + o / ng * cg + c;
            int64_t iw = ((int64_t)position * cg + c) * p->oc + o;
            a->y[iy] += (double)a->x[ix] * a->w[iw];
            a->dx[ix] += (double)a->dy[iy] * a->w[iw];
            a->dw[iw] += (double)a->x[ix] * a->dy[iy];
        }
}

static inline void reference(const convolution *p, const clg_shape *out, const passes *all)
{
    const clg_conv2d_params *a = &p->params;
    const int64_t oh = out->dim[1], ow = out->dim[2], window = (int64_t)p->kh * p->kw;
    for (int64_t i = 0; i < p->n * oh * ow * window; i++) {
        int64_t pixel = i / window, k = i % window;
        int64_t row = pixel / ow % oh * a->stride[0] - a->pad[0] + k / p->kw * a->dilation[0];
        int64_t column = pixel % ow * a->stride[1] - a->pad[1] + k % p->kw * a->dilation[1];
        if (row < 0 || row >= p->h || column < 0 || column >= p->w) continue;
        int64_t source = (pixel / ow / oh * p->h + row) * p->w + column;
        reference_step(p, all, pixel, source, (int)k);
    }
}

static inline void check_convolution(clg_context *ctx, const convolution *p)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = p->n));
    const int cg = p->c / p->params.groups;
    array x = array_random((int64_t)p->n * p->h * p->w * p->c, 1);
    array w = array_random((int64_t)p->kh * p->kw * cg * p->oc, 2);
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, p->h, p->w, p->c));
    w.tensor = clg_input(g, "w", CLG_F32, CLG_SHAPE(p->kh, p->kw, cg, p->oc));
    array y = {.tensor = clg_conv2d(x.tensor, w.tensor, &p->params)}, dx = {0}, dw = {0};
    TEST_OK(clg_graph_status(g));
    const clg_shape *out = clg_tensor_shape(y.tensor);
    array dy = array_random(clg_shape_count(out), 3);
    dy.tensor = clg_input(g, "dy", CLG_F32, CLG_SHAPE(CLG_BATCH, out->dim[1], out->dim[2], p->oc));
    clg_tensor *gradients[2];
    TEST_OK(clg_vjp(y.tensor, dy.tensor, (clg_tensor *[]){x.tensor, w.tensor}, 2, gradients));
    dx.tensor = gradients[0];
    dw.tensor = gradients[1];
    evaluate(ctx, g, (array *[]){&x, &w, &dy}, 3, (array *[]){&y, &dx, &dw}, 3);
    double *expected[3];
    const array *got[] = {&y, &dx, &dw};
    for (int i = 0; i < 3; i++) expected[i] = calloc((size_t)got[i]->count, sizeof(double));
    reference(p, out, &(passes){x.data, w.data, dy.data, expected[0], expected[1], expected[2]});
    const double window = (double)p->kh * p->kw;
    assert_close("conv2d", &y, expected[0], 3e-7 * window * cg + 1e-6);
    assert_close("conv2d_backward_data", &dx, expected[1], 3e-7 * window * p->oc + 1e-6);
    assert_close("conv2d_backward_weights", &dw, expected[2],
                 3e-7 * (double)dy.count / p->oc + 1e-6);
    for (int i = 0; i < 3; i++) free(expected[i]);
    array *all[] = {&x, &w, &y, &dy, &dx, &dw};
    for (int i = 0; i < 6; i++) free(all[i]->data);
    clg_graph_destroy(g);
}

#endif
