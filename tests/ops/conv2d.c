/*
 * Convolution: strides, padding, dilation, groups, odd channel counts, images smaller than a tile;
 * the three passes and their derivatives; the fused epilogue; messages.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* p: stride h, w; pad h, w; dilation h, w; groups; padding. a: what is padded with */
static clg_conv2d_params params_of(const op_case *c)
{
    return (clg_conv2d_params){.stride = {c->p[0], c->p[1]},
                               .pad = {c->p[2], c->p[3]},
                               .dilation = {c->p[4], c->p[5]},
                               .groups = c->p[6],
                               .padding = (clg_padding)c->p[7],
                               .pad_mode = (clg_pad_mode)c->a};
}

static clg_tensor *conv2d(const op_case *c, clg_tensor *const *x)
{
    clg_conv2d_params params = params_of(c);
    return clg_conv2d(x[0], x[1], &params);
}

/* Stride, dilation and the padding in front of one axis. */
typedef struct geometry {
    int64_t stride, dilation, before;
} geometry;

static geometry geometry_of(const op_case *c, int axis, const clg_shape *in, const clg_shape *out)
{
    geometry g = {.stride = c->p[axis] ? c->p[axis]
                            : c->p[0]  ? c->p[0]
                                       : 1,
                  .dilation = c->p[4 + axis] ? c->p[4 + axis]
                              : c->p[4]      ? c->p[4]
                                             : 1,
                  .before = c->p[2 + axis]};
    int64_t window = g.dilation * (in[1].dim[axis] - 1) + 1, extent = in[0].dim[1 + axis];
    int64_t total = (out->dim[1 + axis] - 1) * g.stride + window - extent;
    if (c->p[7] == CLG_PADDING_SAME) g.before = total > 0 ? total / 2 : 0;
    if (c->p[7] == CLG_PADDING_VALID) g.before = 0;
    return g;
}

/* Whether position *i of n has a pixel; at the edge, *i becomes the one that stands for it. */
static bool inside(const op_case *c, int64_t *i, int64_t n)
{
    if (*i >= 0 && *i < n) return true;
    if (c->a == CLG_PAD_CONSTANT) return false;
    if (c->a == CLG_PAD_REPLICATE)
        *i = *i < 0 ? 0 : n - 1;
    else
        *i = *i < 0 ? -*i : 2 * (n - 1) - *i;
    return true;
}

/* What the window sees of image `at[0]` for result pixel (at[1], at[2]), channel at[3]. */
static double window_sum(const op_case *c, const geometry *g, const clg_shape *in,
                         const double *const *x, const clg_shape *out, const int64_t *at)
{
    const int64_t *source = in[0].dim, *window = in[1].dim, columns = out->dim[3];
    const int64_t per_group = columns / (c->p[6] ? c->p[6] : 1), depth = window[2];
    double sum = 0;
    for (int64_t ky = 0; ky < window[0]; ky++) {
        int64_t iy = at[1] * g[0].stride - g[0].before + ky * g[0].dilation;
        if (!inside(c, &iy, source[1])) continue;
        for (int64_t kx = 0; kx < window[1]; kx++) {
            int64_t ix = at[2] * g[1].stride - g[1].before + kx * g[1].dilation;
            if (!inside(c, &ix, source[2])) continue;
            const double *pixel = x[0] + ((at[0] * source[1] + iy) * source[2] + ix) * source[3] +
                                  at[3] / per_group * depth;
            const double *weights = x[1] + (ky * window[1] + kx) * depth * columns + at[3];
            for (int64_t ic = 0; ic < depth; ic++) sum += pixel[ic] * weights[ic * columns];
        }
    }
    return sum;
}

static void convolved(const op_case *c, const clg_shape *in, const double *const *x,
                      const clg_shape *out, double *y)
{
    const geometry g[2] = {geometry_of(c, 0, in, out), geometry_of(c, 1, in, out)};
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        y[i] = window_sum(c, g, in, x, out, at);
    }
}

/* tanh(conv + bias) + residual */
static clg_tensor *layer(const op_case *c, clg_tensor *const *x)
{
    return clg_add(clg_tanh(clg_add(conv2d(c, x), x[2])), x[3]);
}

static void layered(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    convolved(c, in, x, out, y);
    for (int64_t i = 0; i < clg_shape_count(out); i++)
        y[i] = tanh(y[i] + x[2][i % in[2].dim[0]]) + x[3][i];
}

#define IMAGES(n, h, w, c) OP_SHAPE(n, h, w, c)
#define PLAIN conv2d, convolved
static const op_case cases[] = {
    {"one pixel", 2, {IMAGES(1, 1, 1, 1), OP_SHAPE(1, 1, 1, 1)}, PLAIN},
    {"1x1 window", 2, {IMAGES(2, 3, 5, 7), OP_SHAPE(1, 1, 7, 9)}, PLAIN},
    {"3x3 valid", 2, {IMAGES(2, 6, 5, 3), OP_SHAPE(3, 3, 3, 4)}, PLAIN},
    {"3x3 same", 2, {IMAGES(2, 7, 5, 3), OP_SHAPE(3, 3, 3, 4)}, PLAIN, .p = {[7] = 1}},
    {"2x4 same, uneven", 2, {IMAGES(1, 5, 6, 2), OP_SHAPE(2, 4, 2, 3)}, PLAIN, .p = {[7] = 1}},
    {"5x5 of one channel", 2, {IMAGES(2, 9, 9, 1), OP_SHAPE(5, 5, 1, 6)}, PLAIN, .p = {[7] = 1}},
    {"padding 2 and 1", 2, {IMAGES(1, 4, 5, 2), OP_SHAPE(3, 2, 2, 5)}, PLAIN, .p = {0, 0, 2, 1}},
    {"stride 2", 2, {IMAGES(2, 8, 7, 3), OP_SHAPE(3, 3, 3, 5)}, PLAIN, .p = {2, 0, 1, 1}},
    {"stride 2, same", 2, {IMAGES(1, 7, 8, 2), OP_SHAPE(3, 3, 2, 3)}, PLAIN, .p = {2, [7] = 1}},
    {"stride 3 and 1", 2, {IMAGES(1, 10, 4, 2), OP_SHAPE(2, 3, 2, 3)}, PLAIN, .p = {3, 1}},
    {"a stride that skips pixels", 2, {IMAGES(1, 7, 7, 2), OP_SHAPE(1, 1, 2, 4)}, PLAIN, .p = {2}},
    {"dilation 2", 2, {IMAGES(1, 9, 8, 2), OP_SHAPE(3, 3, 2, 3)}, PLAIN, .p = {0, 0, 1, 2, 2, 2}},
    {"dilation 2 and stride 2, same",
     2,
     {IMAGES(1, 9, 8, 2), OP_SHAPE(3, 2, 2, 3)},
     PLAIN,
     .p = {2, 2, 0, 0, 2, 3, 0, 1}},
    {"two groups", 2, {IMAGES(2, 5, 4, 6), OP_SHAPE(3, 3, 3, 8)}, PLAIN, .p = {[6] = 2, [7] = 1}},
    {"eight groups of two to three",
     2,
     {IMAGES(1, 4, 5, 16), OP_SHAPE(3, 2, 2, 24)},
     PLAIN,
     .p = {2, 1, 1, 1, 1, 2, 8}},
    {"depthwise", 2, {IMAGES(2, 5, 4, 5), OP_SHAPE(3, 3, 1, 5)}, PLAIN, .p = {[6] = 5, [7] = 1}},
    {"depthwise, twice the channels",
     2,
     {IMAGES(1, 5, 4, 3), OP_SHAPE(3, 3, 1, 6)},
     PLAIN,
     .p = {2, 2, 1, 1, 1, 1, 3}},
    {"images that follow the batch",
     2,
     {IMAGES(CLG_BATCH, 6, 5, 3), OP_SHAPE(3, 3, 3, 4)},
     PLAIN,
     .p = {[7] = 1},
     .batch = {3, 7, 1}},
    {"valid", 2, {IMAGES(1, 5, 6, 2), OP_SHAPE(3, 3, 2, 3)}, PLAIN, .p = {[7] = 2}},
    {"same, edge replicated",
     2,
     {IMAGES(2, 5, 4, 4), OP_SHAPE(3, 5, 4, 3)},
     PLAIN,
     .p = {[7] = 1},
     .a = CLG_PAD_REPLICATE},
    {"stride 2, replicated and dilated",
     2,
     {IMAGES(CLG_BATCH, 5, 6, 3), OP_SHAPE(3, 2, 3, 2)},
     PLAIN,
     .p = {2, 1, 3, 2, 2},
     .a = CLG_PAD_REPLICATE,
     .batch = {3, 7, 1}},
    {"reflected",
     2,
     {IMAGES(1, 4, 5, 2), OP_SHAPE(3, 3, 2, 2)},
     PLAIN,
     .p = {0, 0, 2, 1},
     .a = CLG_PAD_REFLECT},
    {"a layer with its epilogue",
     4,
     {IMAGES(CLG_BATCH, 6, 5, 3), OP_SHAPE(3, 3, 3, 4), OP_SHAPE(4), IMAGES(CLG_BATCH, 6, 5, 4)},
     layer,
     layered,
     .p = {[7] = 1},
     .batch = {3, 7, 1}},
};

/* Full tiles with a rest on every side. */
static const op_case large[] = {
    {"17 x 33 pixels, 35 channels",
     2,
     {IMAGES(2, 17, 33, 35), OP_SHAPE(3, 3, 35, 37)},
     PLAIN,
     .p = {[7] = 1},
     .first_only = true,
     .tolerance = 2e-5},
    {"stride 2, 16 to 64 channels",
     2,
     {IMAGES(2, 15, 16, 16), OP_SHAPE(5, 5, 16, 64)},
     PLAIN,
     .p = {2, [7] = 1},
     .first_only = true,
     .tolerance = 2e-5},
};

START_TEST(convolutions_of_every_geometry)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

START_TEST(convolutions_larger_than_a_tile)
{
    op_check_table(large, CLG__COUNT(large));
}
END_TEST

/* ---- transposed ---- */

/* p: stride h, w; pad h, w; dilation h, w; groups; a, b: output padding h, w */
static clg_tensor *transposed(const op_case *c, clg_tensor *const *x)
{
    return clg_conv_transpose2d(
        x[0], x[1],
        clg_conv_transpose2d_options(.stride = {c->p[0], c->p[1]}, .pad = {c->p[2], c->p[3]},
                                     .output_padding = {(int)c->a, (int)c->b},
                                     .dilation = {c->p[4], c->p[5]}, .groups = c->p[6]));
}

/* tanh(result + bias) */
static clg_tensor *transposed_layer(const op_case *c, clg_tensor *const *x)
{
    return clg_tanh(clg_add(transposed(c, x), x[2]));
}

/* Each pixel of x paints a window of y. */
static void painted(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    geometry g[2];
    for (int i = 0; i < 2; i++) {
        g[i] = geometry_of(c, i, in, out);
        int64_t want = (in[0].dim[1 + i] - 1) * g[i].stride - 2 * g[i].before +
                       g[i].dilation * (in[1].dim[i] - 1) + (int64_t)(i ? c->b : c->a) + 1;
        ck_assert_int_eq(out->dim[1 + i], want);
    }
    int groups = c->p[6] ? c->p[6] : 1;
    int64_t per_group = in[0].dim[3] / groups, depth = in[1].dim[2];
    for (int64_t i = 0; i < clg_shape_count(out); i++) y[i] = 0;
    for (int64_t i = 0; i < clg_shape_count(&in[0]); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(&in[0], i, at);
        for (int64_t l = 0; l < in[1].dim[0] * in[1].dim[1] * depth; l++) {
            int64_t ky = l / depth / in[1].dim[1], kx = l / depth % in[1].dim[1], oc = l % depth;
            int64_t to[] = {at[0], at[1] * g[0].stride - g[0].before + ky * g[0].dilation,
                            at[2] * g[1].stride - g[1].before + kx * g[1].dilation,
                            at[3] / per_group * depth + oc};
            if (to[1] < 0 || to[1] >= out->dim[1] || to[2] < 0 || to[2] >= out->dim[2]) continue;
            y[op_check_index(out, to)] += x[0][i] * x[1][l * in[0].dim[3] + at[3]];
        }
    }
    for (int64_t i = 0; i < clg_shape_count(out) && c->build == transposed_layer; i++)
        y[i] = tanh(y[i] + x[2][i % out->dim[3]]);
}

#define PAINT transposed, painted
static const op_case transposed_cases[] = {
    {"transposed 3x3", 2, {IMAGES(2, 3, 4, 3), OP_SHAPE(3, 3, 4, 3)}, PAINT},
    {"transposed, stride 2, padded",
     2,
     {IMAGES(1, 4, 3, 2), OP_SHAPE(4, 3, 3, 2)},
     PAINT,
     .p = {2, 0, 1, 1}},
    {"transposed, output padding",
     2,
     {IMAGES(1, 3, 4, 2), OP_SHAPE(3, 3, 5, 2)},
     PAINT,
     .p = {2, 3, 1, 0},
     .a = 1,
     .b = 2},
    {"transposed, output padding above the stride",
     2,
     {IMAGES(1, 3, 4, 2), OP_SHAPE(2, 3, 3, 2)},
     PAINT,
     .p = {1, 2, 0, 1, 3, 4},
     .a = 2,
     .b = 3},
    {"transposed, groups",
     2,
     {IMAGES(2, 3, 2, 6), OP_SHAPE(3, 2, 2, 6)},
     PAINT,
     .p = {2, 2, 1, 0, 1, 1, 3}},
    {"transposed, depthwise",
     2,
     {IMAGES(1, 3, 4, 5), OP_SHAPE(3, 3, 1, 5)},
     PAINT,
     .p = {2, 2, 1, 1, 1, 1, 5},
     .a = 1,
     .b = 1},
    {"a transposed layer",
     3,
     {IMAGES(CLG_BATCH, 3, 4, 3), OP_SHAPE(2, 2, 4, 3), OP_SHAPE(4)},
     transposed_layer,
     painted,
     .p = {2},
     .batch = {3, 7, 1}},
};

START_TEST(transposed_convolutions)
{
    op_check_table(transposed_cases, CLG__COUNT(transposed_cases));
}
END_TEST

/* Fixed kernels: Sobel's two filters find a vertical edge, and replicated padding none besides. */
START_TEST(sobel_finds_the_edge)
{
    static const float filters[3][3][1][2] = {{{{-1, -1}}, {{0, -2}}, {{1, -1}}},
                                              {{{-2, 0}}, {{0, 0}}, {{2, 0}}},
                                              {{{-1, 1}}, {{0, 2}}, {{1, 1}}}};
    float image[5][6];
    for (int y = 0; y < 5; y++)
        for (int x = 0; x < 6; x++) image[y][x] = x < 3 ? 1.0f : 4.0f;
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "image", CLG_F32, CLG_SHAPE(1, 5, 6, 1));
    clg_tensor *w = clg_constant(g, CLG_SHAPE(3, 3, 1, 2), &filters[0][0][0][0]);
    clg_tensor *d = clg_conv2d(
        x, w, clg_conv2d_options(.padding = CLG_PADDING_SAME, .pad_mode = CLG_PAD_REPLICATE));
    clg_tensor *edges = clg_sqrt(clg_sum(clg_square(d), CLG_AXIS(3), false));
    clg_program *program = op_check_compile(ctx, g, &edges, 1, CLG_INFERENCE);
    op_check_feed(program, x, &image[0][0], 30);
    TEST_OK(clg_program_run(program));
    float got[30];
    double want[30];
    for (int i = 0; i < 30; i++) want[i] = i % 6 == 2 || i % 6 == 3 ? 12 : 0; /* (1 + 2 + 1) 3 */
    op_check_read(program, edges, got, 30);
    op_check_close("sobel", "edges", got, want, 30, 1e-6);
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- arguments ---- */

static const struct {
    clg_shape x, w;
    clg_conv_transpose2d_params params;
    const char *message;
} transposed_mistakes[] = {
    {OP_SHAPE(1, 4, 4, 3),
     OP_SHAPE(3, 3, 3, 8),
     {{0}},
     "conv_transpose2d: input (1, 4, 4, 3), weights (3, 3, 3, 8): the weights end with the "
     "input's"},
    {OP_SHAPE(1, 4, 4, 3), OP_SHAPE(3, 3, 1, 3), {.groups = 2}, "which the groups divide"},
    {OP_SHAPE(1, 4, 4, 1), OP_SHAPE(3, 3, 1, 1), {.output_padding = {1}}, "below the stride"},
    {OP_SHAPE(1, 4, 4, 1), OP_SHAPE(3, 3, 1, 1), {.stride = {-1}}, "stride, dilation and groups"},
    {OP_SHAPE(1, 1, 1, 1), OP_SHAPE(3, 3, 1, 1), {.pad = {2, 0}}, "the result would be empty"},
    {OP_SHAPE(4, 4, 1), OP_SHAPE(3, 3, 1, 1), {{0}}, "conv_transpose2d: input (4, 4, 1)"},
};

START_TEST(a_transposed_convolution_that_cannot_be_is_named)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, transposed_mistakes[_i].x);
    clg_tensor *w = clg_input(g, "w", CLG_F32, transposed_mistakes[_i].w);
    ck_assert_ptr_null(clg_conv_transpose2d(x, w, &transposed_mistakes[_i].params));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, transposed_mistakes[_i].message);
    ck_assert_ptr_null(clg_conv_transpose2d(NULL, w, NULL));
    clg_graph_destroy(g);
}
END_TEST

static const struct {
    clg_shape x, w;
    clg_conv2d_params params;
    const char *message;
} mistakes[] = {
    {OP_SHAPE(64, 28, 28, 3),
     OP_SHAPE(5, 5, 1, 32),
     {{0}},
     "conv2d: input (64, 28, 28, 3) has 3 channels, weights (5, 5, 1, 32) expect 1"},
    {OP_SHAPE(1, 8, 8, 4), OP_SHAPE(3, 3, 4, 8), {.groups = 2}, "in 2 groups expect 8"},
    {OP_SHAPE(1, 8, 8, 4),
     OP_SHAPE(3, 3, 2, 7),
     {.groups = 2},
     "7 output channels cannot be split into 2 groups"},
    {OP_SHAPE(8, 8, 4), OP_SHAPE(3, 3, 4, 8), {{0}}, "expected (N, H, W, C)"},
    {OP_SHAPE(1, 4, 4, 1), OP_SHAPE(5, 5, 1, 1), {{0}}, "smaller than the window"},
    {OP_SHAPE(1, 4, 4, 1), OP_SHAPE(3, 3, 1, 1), {.stride = {-1}}, "stride, dilation and groups"},
    {OP_SHAPE(1, 4, 4, 1), OP_SHAPE(3, 3, 1, 1), {.pad = {0, -1}}, "padding from 0"},
};

START_TEST(a_convolution_that_cannot_be_is_named)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, mistakes[_i].x);
    clg_tensor *w = clg_input(g, "w", CLG_F32, mistakes[_i].w);
    ck_assert_ptr_null(clg_conv2d(x, w, &mistakes[_i].params));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, mistakes[_i].message);
    ck_assert_ptr_null(clg_conv2d(NULL, w, NULL));
    clg_graph_destroy(g);
}
END_TEST

void ops_conv2d_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "conv2d");
    tcase_add_test(values, convolutions_of_every_geometry);
    tcase_add_test(values, convolutions_larger_than_a_tile);
    TCase *transposes = testing_case(suite, "conv_transpose2d");
    tcase_add_test(transposes, transposed_convolutions);
    tcase_add_test(transposes, sobel_finds_the_edge);
    TCase *arguments = testing_case(suite, "conv2d arguments");
    tcase_add_loop_test(arguments, a_transposed_convolution_that_cannot_be_is_named, 0,
                        CLG__COUNT(transposed_mistakes));
    tcase_add_loop_test(arguments, a_convolution_that_cannot_be_is_named, 0, CLG__COUNT(mistakes));
}
