/*
 * Convolution: the three passes as rows that are closed under differentiation. With the bilinear
 * y = x * w,
 *
 *     conv2d(x, w) -> y     conv2d_backward_data(dy, w) -> dx     conv2d_backward_weights(x, dy) ->
 * dw
 *
 * are the three ways to contract one trilinear form, so the gradient of each is made of the other
 * two, to any order. All share one attribute: the geometry of the forward pass.
 *
 * x (N, H, W, IC), w (KH, KW, IC / groups, OC), y (N, OH, OW, OC).
 *
 * A transposed convolution is nothing but the second row with the roles of x and y swapped.
 */
#include "ops/algorithms_cpu.h"
#include "ops/algorithms_gpu.h"
#include "ops/record.h"

typedef struct clg__conv2d_attr conv2d_attr;

/* ---- nodes ---- */

static int64_t output_extent(const conv2d_attr *attr, int axis)
{
    int64_t window = (int64_t)attr->dilation[axis] * (attr->kernel_size[axis] - 1) + 1;
    int64_t padded =
        (int64_t)attr->input_size[axis] + attr->padding[2 * axis] + attr->padding[2 * axis + 1];
    return padded < window ? 0 : (padded - window) / attr->stride[axis] + 1;
}

static clg_tensor *record(const clg__op *op, const conv2d_attr *attr, clg_shape shape,
                          clg_tensor *a, clg_tensor *b)
{
    if (!a || !b) return NULL;
    clg_tensor *inputs[] = {a, b};
    return clg__node(a->graph, op, CLG_F32, shape, attr, 2, inputs);
}

static clg_tensor *forward(const conv2d_attr *attr, clg_tensor *x, clg_tensor *w)
{
    if (!x || !w) return NULL;
    clg_shape shape = {
        .ndim = 4,
        .dim = {x->shape.dim[0], output_extent(attr, 0), output_extent(attr, 1), w->shape.dim[3]},
        .batched = x->shape.batched};
    return record(&clg__op_conv2d, attr, shape, x, w);
}

static clg_tensor *backward_data(const conv2d_attr *attr, clg_tensor *dy, clg_tensor *w)
{
    if (!dy || !w) return NULL;
    clg_shape shape = {.ndim = 4,
                       .dim = {dy->shape.dim[0], attr->input_size[0], attr->input_size[1],
                               w->shape.dim[2] * attr->groups},
                       .batched = dy->shape.batched};
    return record(&clg__op_conv2d_backward_data, attr, shape, dy, w);
}

static clg_tensor *backward_weights(const conv2d_attr *attr, clg_tensor *x, clg_tensor *dy)
{
    if (!x || !dy) return NULL;
    clg_shape shape = {.ndim = 4,
                       .dim = {attr->kernel_size[0], attr->kernel_size[1],
                               x->shape.dim[3] / attr->groups, dy->shape.dim[3]}};
    return record(&clg__op_conv2d_backward_weights, attr, shape, x, dy);
}

/* ---- rows ---- */

static void forward_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = backward_data(out->attr, g, out->inputs[1]);
    dx[1] = backward_weights(out->attr, out->inputs[0], g);
}

static void backward_data_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = forward(out->attr, g, out->inputs[1]);
    dx[1] = backward_weights(out->attr, g, out->inputs[0]);
}

static void backward_weights_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = backward_data(out->attr, out->inputs[1], g);
    dx[1] = forward(out->attr, out->inputs[0], g);
}

/* One that does not always apply, and one that does. */
#define SOMETIMES(algorithm, pass)                                                                 \
    {                                                                                              \
        .name = #algorithm, .engines = 1u << CLG_ENGINE_CPU, .fuses_epilogue = true,               \
        .applies = clg__##algorithm##_##pass##_applies,                                            \
        .by_default = clg__##algorithm##_##pass##_by_default,                                      \
        .lower = clg__##algorithm##_cpu_##pass                                                     \
    }
#define ALWAYS(algorithm, engine, function)                                                        \
    {                                                                                              \
        .name = #algorithm, .engines = 1u << (engine), .fuses_epilogue = true, .lower = (function) \
    }
#define ALGORITHMS(pass)                                                                           \
    {                                                                                              \
        SOMETIMES(winograd, pass), SOMETIMES(lanes, pass),                                         \
            ALWAYS(tile, CLG_ENGINE_CPU, clg__conv2d_cpu_##pass),                                  \
            ALWAYS(local, CLG_ENGINE_GPU, clg__conv2d_gpu_##pass),                                 \
        {                                                                                          \
            .name = NULL                                                                           \
        }                                                                                          \
    }

static const clg__algorithm forward_algorithms[] = ALGORITHMS(forward);
static const clg__algorithm backward_data_algorithms[] = ALGORITHMS(backward_data);
static const clg__algorithm backward_weights_algorithms[] = ALGORITHMS(backward_weights);

const clg__op clg__op_conv2d = {.name = "conv2d",
                                .formula = "y = x * w over windows of x, NHWC and HWIO",
                                .class_ = CLG__KERNEL,
                                .attr_size = sizeof(conv2d_attr),
                                .gradient = forward_gradient,
                                .algorithms = forward_algorithms};
const clg__op clg__op_conv2d_backward_data = {.name = "conv2d_backward_data",
                                              .formula = "gradient of conv2d's x from dy and w",
                                              .class_ = CLG__KERNEL,
                                              .attr_size = sizeof(conv2d_attr),
                                              .gradient = backward_data_gradient,
                                              .algorithms = backward_data_algorithms};
const clg__op clg__op_conv2d_backward_weights = {.name = "conv2d_backward_weights",
                                                 .formula = "gradient of conv2d's w from x and dy",
                                                 .class_ = CLG__KERNEL,
                                                 .attr_size = sizeof(conv2d_attr),
                                                 .gradient = backward_weights_gradient,
                                                 .algorithms = backward_weights_algorithms};

/* ---- the public builders: defaults and checks ---- */

static const char direct[] = "conv2d", transposed[] = "conv_transpose2d";

static bool fail(clg_graph *g, const char *name, const char *what, const clg_tensor *x,
                 const clg_tensor *w)
{
    clg__graph_fail(g, CLG_ERROR_ARGUMENT, "%s: input %s, weights %s: %s", name,
                    CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(&w->shape), what);
    return false;
}

static bool check_shapes(const char *name, const clg_tensor *x, const clg_tensor *w)
{
    clg_graph *g = x->graph;
    if (x->shape.ndim != 4 || w->shape.ndim != 4)
        return fail(g, name, "expected (N, H, W, C) and weights of four axes", x, w);
    if (x->shape.batched & ~1u || w->shape.batched)
        return fail(g, name, "only N may follow the batch size", x, w);
    for (int i = 0; i < 4; i++)
        if ((i > 0 && x->shape.dim[i] > INT32_MAX / 2) || w->shape.dim[i] > INT32_MAX / 2)
            return fail(g, name, "an extent exceeds 2^30", x, w);
    return true;
}

/* Numbers in 1 .. 2^20; 0 stands for 1 or, as the second, for the first. */
static bool take(const int given[2], int32_t taken[2])
{
    taken[0] = given[0] ? given[0] : 1;
    taken[1] = given[1] ? given[1] : taken[0];
    return taken[0] > 0 && taken[1] > 0 && taken[0] <= 1 << 20 && taken[1] <= 1 << 20;
}

static bool check_channels(const clg_tensor *x, const clg_tensor *w, int groups)
{
    int64_t channels = x->shape.dim[3], expected = w->shape.dim[2] * groups;
    char text[160];
    if (groups == 1)
        snprintf(text, sizeof text, "expect %lld", (long long)expected);
    else
        snprintf(text, sizeof text, "in %d groups expect %lld", groups, (long long)expected);
    if (channels != expected) {
        clg__graph_fail(
            x->graph, CLG_ERROR_ARGUMENT, "conv2d: input %s has %lld channels, weights %s %s",
            CLG__SHAPE_TEXT(&x->shape), (long long)channels, CLG__SHAPE_TEXT(&w->shape), text);
        return false;
    }
    if (w->shape.dim[3] % groups == 0) return true;
    snprintf(text, sizeof text, "%lld output channels cannot be split into %d groups",
             (long long)w->shape.dim[3], groups);
    return fail(x->graph, direct, text, x, w);
}

/* Padding of one axis so that the output has ceil(input / stride) extents. */
static void same_padding(conv2d_attr *attr, int axis)
{
    int64_t window = (int64_t)attr->dilation[axis] * (attr->kernel_size[axis] - 1) + 1;
    int64_t outputs = clg__ceil_div(attr->input_size[axis], attr->stride[axis]);
    int64_t total = (outputs - 1) * attr->stride[axis] + window - attr->input_size[axis];
    if (total < 0) total = 0;
    attr->padding[2 * axis] = (int32_t)(total / 2);
    attr->padding[2 * axis + 1] = (int32_t)(total - total / 2);
}

static bool check_padding(const clg_conv2d_params *params, const clg_tensor *x, const clg_tensor *w)
{
    if ((unsigned)params->padding > CLG_PADDING_VALID ||
        (unsigned)params->pad_mode > CLG_PAD_CIRCULAR)
        return fail(x->graph, direct, "padding or pad_mode is none of their enumerations", x, w);
    if (params->padding == CLG_PADDING_EXPLICIT || (params->pad[0] == 0 && params->pad[1] == 0))
        return true;
    return fail(x->graph, direct, "pad is for CLG_PADDING_EXPLICIT, or 0", x, w);
}

static bool set_geometry(conv2d_attr *attr, const clg_tensor *x, const clg_tensor *w,
                         const clg_conv2d_params *params)
{
    attr->groups = params->groups ? params->groups : 1;
    if (!take(params->stride, attr->stride) || !take(params->dilation, attr->dilation) ||
        attr->groups < 1 || params->pad[0] < 0 || params->pad[1] < 0)
        return fail(
            x->graph, direct,
            "stride, dilation and groups are from 1, the first two up to 2^20, padding from 0", x,
            w);
    if (!check_padding(params, x, w)) return false;
    if (!check_channels(x, w, attr->groups)) return false;
    for (int i = 0; i < 2; i++) {
        attr->input_size[i] = (int32_t)x->shape.dim[1 + i];
        attr->kernel_size[i] = (int32_t)w->shape.dim[i];
        if ((int64_t)attr->dilation[i] * attr->kernel_size[i] > INT32_MAX / 4 ||
            params->pad[i] > INT32_MAX / 4)
            return fail(x->graph, direct, "dilation or padding is too large", x, w);
        int pad = params->padding == CLG_PADDING_EXPLICIT ? params->pad[i] : 0;
        attr->padding[2 * i] = attr->padding[2 * i + 1] = pad;
        if (params->padding == CLG_PADDING_SAME) same_padding(attr, i);
    }
    if (output_extent(attr, 0) > 0 && output_extent(attr, 1) > 0) return true;
    return fail(x->graph, direct, "the padded image is smaller than the window", x, w);
}

/* x with its padding, which the convolution then does not need any more. */
static clg_tensor *pad_image(conv2d_attr *attr, clg_tensor *x, clg_pad_mode mode)
{
    clg_pad_params pad = {.mode = mode};
    for (int i = 0; i < 2; i++) {
        pad.before[1 + i] = attr->padding[2 * i];
        pad.after[1 + i] = attr->padding[2 * i + 1];
        attr->input_size[i] += attr->padding[2 * i] + attr->padding[2 * i + 1];
        attr->padding[2 * i] = attr->padding[2 * i + 1] = 0;
    }
    return clg_pad_axes(x, &pad);
}

clg_tensor *clg_conv2d(clg_tensor *x, clg_tensor *w, const clg_conv2d_params *params)
{
    static const clg_conv2d_params defaults;
    if (!x || !w) return NULL;
    if (!params) params = &defaults;
    conv2d_attr attr;
    memset(&attr, 0, sizeof attr);
    if (!check_shapes(direct, x, w) || !set_geometry(&attr, x, w, params)) return NULL;
    if (params->pad_mode != CLG_PAD_CONSTANT) x = pad_image(&attr, x, params->pad_mode);
    return forward(&attr, x, w);
}

/* ---- transposed ---- */

/* The convolution that makes (N, H, W, IC) of the result; false, and the graph failed, if none. */
static bool set_transposed(conv2d_attr *attr, const clg_tensor *x, const clg_tensor *w,
                           const clg_conv_transpose2d_params *params)
{
    attr->groups = params->groups ? params->groups : 1;
    bool fits = take(params->stride, attr->stride) && take(params->dilation, attr->dilation) &&
                attr->groups >= 1;
    if (!fits)
        return fail(x->graph, transposed,
                    "stride, dilation and groups are from 1, the first two up to 2^20", x, w);
    if (x->shape.dim[3] != w->shape.dim[3] || x->shape.dim[3] % attr->groups)
        return fail(x->graph, transposed,
                    "the weights end with the input's channels, which the groups divide", x, w);
    for (int i = 0; i < 2; i++) {
        int64_t stride = attr->stride[i], more = params->output_padding[i], pad = params->pad[i];
        attr->kernel_size[i] = (int32_t)w->shape.dim[i];
        int64_t window = (int64_t)attr->dilation[i] * (attr->kernel_size[i] - 1) + 1;
        if (pad < 0 || more < 0 || (more >= stride && more >= attr->dilation[i]))
            return fail(x->graph, transposed,
                        "padding is from 0, output padding from 0 and below the stride or the "
                        "dilation",
                        x, w);
        int64_t extent = (x->shape.dim[1 + i] - 1) * stride - 2 * pad + window + more;
        if (extent < 1 || extent > INT32_MAX / 2 || window > INT32_MAX / 4 || pad > INT32_MAX / 4)
            return fail(x->graph, transposed, "the result would be empty, or larger than 2^30", x,
                        w);
        attr->input_size[i] = (int32_t)extent;
        attr->padding[2 * i] = (int32_t)pad;
        /* So that the convolution does not find room for one more window behind. */
        attr->padding[2 * i + 1] = (int32_t)(pad - more / stride * stride);
    }
    return true;
}

clg_tensor *clg_conv_transpose2d(clg_tensor *x, clg_tensor *w,
                                 const clg_conv_transpose2d_params *params)
{
    static const clg_conv_transpose2d_params defaults;
    if (!x || !w) return NULL;
    conv2d_attr attr;
    memset(&attr, 0, sizeof attr);
    if (!check_shapes(transposed, x, w) ||
        !set_transposed(&attr, x, w, params ? params : &defaults))
        return NULL;
    return CLG__COMPOSED(conv_transpose2d, backward_data(&attr, x, w));
}
