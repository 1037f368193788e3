/*
 * Pooling of images (N, H, W, C): the op rows, their gradients, and how they become launches of
 * cl/pool2d.cl.
 *
 * Max pooling is three operations that are closed under differentiation. With P(x) the matrix that
 * picks each window's maximum:
 *
 *     max_pool2d(x) = P(x) x     max_pool2d_backward(x, g) = P(x)^T g     max_pool2d_gather(x, v) =
 * P(x) v
 *
 * P is piecewise constant, so only the linear operands have gradients. No positions are kept
 * between forward and backward: x is alive anyway (the activation in front of a pool masks with
 * it), and finding the maximum again costs less than storing and loading an index per output.
 * Average pooling and its backward are linear, and each other's gradient.
 */
#include "ops/record.h"

typedef struct pool2d_attr {
    int32_t size[2], stride[2], pad[2];
    int32_t input_size[2]; /* H, W: the output's size leaves up to stride - 1 pixels open */
    int32_t adaptive[2];   /* output's H, W that windows of uneven sizes make; 0, 0: even ones */
} pool2d_attr;

/* ---- shapes ---- */

static void resolve_params(pool2d_attr *a, const clg_tensor *x, const clg_pool2d_params *params)
{
    const clg_pool2d_params none = {{0}, {0}, {0}};
    if (!params) params = &none;
    a->size[0] = params->size[0] ? params->size[0] : 2;
    a->size[1] = params->size[1] ? params->size[1] : a->size[0];
    for (int i = 0; i < 2; i++) {
        a->stride[i] = params->stride[i] ? params->stride[i] : a->size[i];
        a->pad[i] = params->pad[i];
        a->input_size[i] = (int32_t)x->shape.dim[1 + i];
    }
}

static bool check_image(const char *op, const clg_tensor *x)
{
    const char *text = CLG__SHAPE_TEXT(&x->shape);
    const int64_t *d = x->shape.dim, limit = INT32_MAX / 2;
    if (x->shape.ndim != 4)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "%s: expected an image (N, H, W, C), got %s", op, text);
    if (x->shape.batched & ~1u)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "%s: H, W and C of %s must not follow the batch size", op, text);
    if (d[1] > limit || d[2] > limit / d[1] || d[3] > limit / (d[1] * d[2]))
        return clg__graph_fail(x->graph, CLG_ERROR_UNSUPPORTED,
                               "%s: %s has 2^30 or more elements in one image", op, text);
    return true;
}

static bool check_window(const char *op, const clg_tensor *x, const pool2d_attr *a)
{
    for (int i = 0; i < 2; i++) {
        if (a->size[i] < 1 || a->stride[i] < 1)
            return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                                   "%s: window (%d, %d) and stride (%d, %d) must be positive", op,
                                   a->size[0], a->size[1], a->stride[0], a->stride[1]);
        if (a->pad[i] < 0 || a->pad[i] >= a->size[i])
            return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                                   "%s: padding (%d, %d) must be at least 0 and smaller than the "
                                   "window (%d, %d)",
                                   op, a->pad[0], a->pad[1], a->size[0], a->size[1]);
        if (a->size[i] > a->input_size[i] + 2 * (int64_t)a->pad[i])
            return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                                   "%s: the window (%d, %d) is larger than the image %s padded "
                                   "by (%d, %d)",
                                   op, a->size[0], a->size[1], CLG__SHAPE_TEXT(&x->shape),
                                   a->pad[0], a->pad[1]);
    }
    return true;
}

static clg_shape pooled_shape(const clg_shape *x, const pool2d_attr *a)
{
    clg_shape y = *x;
    for (int i = 0; i < 2; i++)
        y.dim[1 + i] = a->adaptive[i]
                           ? a->adaptive[i]
                           : (x->dim[1 + i] + 2 * a->pad[i] - a->size[i]) / a->stride[i] + 1;
    return y;
}

static clg_shape image_shape(const clg_shape *y, const pool2d_attr *a)
{
    clg_shape x = *y;
    x.dim[1] = a->input_size[0];
    x.dim[2] = a->input_size[1];
    return x;
}

/* ---- builders ---- */

/* Pools x; the attributes are checked here once, gradients only pass them on. */
static clg_tensor *pool(const clg__op *op, clg_tensor *x, const clg_pool2d_params *params)
{
    if (!x) return NULL;
    pool2d_attr a = {.size = {0}};
    if (!check_image(op->name, x)) return NULL;
    resolve_params(&a, x, params);
    if (!check_window(op->name, x, &a)) return NULL;
    return clg__node(x->graph, op, CLG_F32, pooled_shape(&x->shape, &a), &a, 1, &x);
}

clg_tensor *clg_max_pool2d(clg_tensor *x, const clg_pool2d_params *params)
{
    return pool(&clg__op_max_pool2d, x, params);
}

clg_tensor *clg_average_pool2d(clg_tensor *x, const clg_pool2d_params *params)
{
    return pool(&clg__op_average_pool2d, x, params);
}

clg_tensor *clg_global_average_pool2d(clg_tensor *x)
{
    if (!x || !check_image("global_average_pool2d", x)) return NULL;
    clg_tensor *y = clg_mean(x, CLG_AXIS(1) | CLG_AXIS(2), false);
    return CLG__COMPOSED(global_average_pool2d, y);
}

/* Windows that share the image out among h x w results. */
static clg_tensor *adaptive_pool(const clg__op *op, const char *name, clg_tensor *x, int h, int w)
{
    if (!x || !check_image(name, x)) return NULL;
    const int64_t *d = x->shape.dim, limit = INT32_MAX / 2;
    if (h < 1 || w < 1 || w > limit / h || d[3] > limit / ((int64_t)h * w))
        return clg__graph_fail(
            x->graph, CLG_ERROR_ARGUMENT,
            "%s: %d x %d pixels of %s: at least one, and fewer than 2^30 numbers "
            "in one image",
            name, h, w, CLG__SHAPE_TEXT(&x->shape));
    pool2d_attr a = {.input_size = {(int32_t)d[1], (int32_t)d[2]}};
    const bool even = d[1] % h == 0 && d[2] % w == 0;
    for (int i = 0; i < 2; i++) {
        const int count = i ? w : h;
        if (!even) a.adaptive[i] = count;
        a.stride[i] = (int32_t)clg__ceil_div(d[1 + i], count);
        a.size[i] = a.stride[i] + !even; /* the largest that there can be */
    }
    return clg__node(x->graph, op, CLG_F32, pooled_shape(&x->shape, &a), &a, 1, &x);
}

clg_tensor *clg_adaptive_average_pool2d(clg_tensor *x, int height, int width)
{
    return CLG__COMPOSED(
        adaptive_average_pool2d,
        adaptive_pool(&clg__op_average_pool2d, "adaptive_average_pool2d", x, height, width));
}

clg_tensor *clg_adaptive_max_pool2d(clg_tensor *x, int height, int width)
{
    return CLG__COMPOSED(
        adaptive_max_pool2d,
        adaptive_pool(&clg__op_max_pool2d, "adaptive_max_pool2d", x, height, width));
}

/* ---- gradients ---- */

/* dx of windows' maxima from g (N, OH, OW, C). */
static clg_tensor *max_pool2d_backward(clg_tensor *x, clg_tensor *g, const pool2d_attr *a)
{
    if (!x || !g) return NULL;
    return clg__node(x->graph, &clg__op_max_pool2d_backward, CLG_F32, x->shape, a, 2,
                     (clg_tensor *[]){x, g});
}

static void max_pool2d_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[0] = max_pool2d_backward(out->inputs[0], g, out->attr);
}

/* out = P(x) v: v gets P(x)^T g. */
static void max_pool2d_gather_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    dx[1] = max_pool2d_backward(out->inputs[0], g, out->attr);
}

/* out = P(x)^T v: v gets P(x) g. */
static void max_pool2d_backward_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    if (!g) return;
    clg_tensor *x = out->inputs[0];
    dx[1] = clg__node(x->graph, &clg__op_max_pool2d_gather, CLG_F32,
                      pooled_shape(&x->shape, out->attr), out->attr, 2, (clg_tensor *[]){x, g});
}

static void average_pool2d_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    if (!g) return;
    dx[0] = clg__node(g->graph, &clg__op_average_pool2d_backward, CLG_F32,
                      image_shape(&g->shape, out->attr), out->attr, 1, &g);
}

static void average_pool2d_backward_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    if (!g) return;
    dx[0] = clg__node(g->graph, &clg__op_average_pool2d, CLG_F32,
                      pooled_shape(&g->shape, out->attr), out->attr, 1, &g);
}

/* ---- launches ---- */

/* Channels per vector: on CPU devices the width that leaves the fewest steps; GPUs need no more
 * than 16-byte loads. */
static int vector_width(const clg_context *ctx, int64_t channels)
{
    if (ctx->engine == CLG_ENGINE_GPU) return channels % 4 == 0 ? 4 : 1;
    const int widths[] = {16, 8, 4, 1};
    int best = 1;
    for (size_t i = CLG__COUNT(widths); i-- > 0;)
        if (channels / widths[i] + channels % widths[i] <= channels / best + channels % best)
            best = widths[i];
    return best;
}

/* Pixels of one image for a work-item of a CPU device: about 8192 elements, less when that leaves
 * cores idle. */
static int64_t pixels_per_item(const clg_context *ctx, int64_t images, int64_t image_pixels,
                               int64_t channels)
{
    const int64_t items = 4 * (int64_t)ctx->info.compute_units;
    int64_t pixels = clg__min_i64(8192 / channels, images * image_pixels / items);
    return clg__max_i64(1, clg__min_i64(pixels, image_pixels));
}

/*
 * The arguments that all kernels of the file end with. `x` and `y`: shapes of the image and of the
 * windows' results; `items`: the one of the two that work-items share out among them.
 */
static void add_geometry(clg__launch *launch, const clg_context *ctx, const clg_shape *x,
                         const clg_shape *y, const clg_shape *items)
{
    const int64_t images = x->dim[0], channels = x->dim[3];
    const int64_t image_pixels = items->dim[1] * items->dim[2];
    const bool gpu = ctx->engine == CLG_ENGINE_GPU;
    const int64_t c = gpu ? vector_width(ctx, channels) : channels;
    const int64_t p = gpu ? 1 : pixels_per_item(ctx, images, image_pixels, channels);
    const int64_t shares = images * clg__ceil_div(channels, c) * clg__ceil_div(image_pixels, p);
    const int64_t numbers[] = {x->dim[1], x->dim[2], channels, y->dim[1], y->dim[2], p, c};
    const size_t group = gpu ? clg__min_i64(64, (int64_t)ctx->info.max_work_group) : 1;
    clg__launch_long(launch, images);
    for (size_t i = 0; i < CLG__COUNT(numbers); i++) clg__launch_int(launch, numbers[i]);
    clg__launch_range(launch, 1, (size_t[]){(size_t)shares}, (size_t[]){group});
}

static clg__launch *pool_kernel(clg__lowering *lo, const char *kernel)
{
    const pool2d_attr *a = lo->node->attr;
    return clg__lower_kernel(lo, "pool2d", kernel,
                             "#define SIZE_H %d\n#define SIZE_W %d\n"
                             "#define STRIDE_H %d\n#define STRIDE_W %d\n"
                             "#define PAD_H %d\n#define PAD_W %d\n"
                             "#define ADAPTIVE %d\n#define VEC %d\n",
                             a->size[0], a->size[1], a->stride[0], a->stride[1], a->pad[0],
                             a->pad[1], a->adaptive[0] != 0,
                             vector_width(lo->ctx, lo->out_shape.dim[3]));
}

static double bytes_of(const clg_shape *shape)
{
    return 4.0 * (double)clg_shape_count(shape);
}

/* One launch that reads the inputs and owns the output's elements. */
static clg_status lower_pool(clg__lowering *lo, const char *kernel, const clg_shape *x,
                             const clg_shape *y, const clg_shape *items)
{
    const pool2d_attr *a = lo->node->attr;
    clg__launch *launch = pool_kernel(lo, kernel);
    double bytes = bytes_of(&lo->out_shape);
    for (int i = 0; i < lo->node->n_inputs; i++) {
        clg__launch_buffer(launch, lo->in[i]);
        bytes += bytes_of(&lo->in_shape[i]);
    }
    add_geometry(launch, lo->ctx, x, y, items);
    clg__launch_epilogue(launch);
    clg__launch_work(launch, (double)clg_shape_count(y) * a->size[0] * a->size[1], bytes);
    return lo->status;
}

static clg_status lower_max_pool2d(clg__lowering *lo)
{
    return lower_pool(lo, "max_pool2d", &lo->in_shape[0], &lo->out_shape, &lo->out_shape);
}

static clg_status lower_max_pool2d_gather(clg__lowering *lo)
{
    return lower_pool(lo, "max_pool2d_gather", &lo->in_shape[0], &lo->out_shape, &lo->out_shape);
}

/* Windows overlap: their maxima are found once, into scratch, and looked up from every pixel. */
static clg_status lower_overlapping(clg__lowering *lo)
{
    const pool2d_attr *a = lo->node->attr;
    const clg_shape *x = &lo->in_shape[0], *g = &lo->in_shape[1];
    const clg__buffer_id positions = clg__lower_scratch(lo, 4 * clg_shape_count(g));
    clg__launch *find = pool_kernel(lo, "max_pool2d_positions");
    clg__launch_buffer(find, lo->in[0]);
    clg__launch_buffer(find, positions);
    add_geometry(find, lo->ctx, x, g, g);
    clg__launch_work(find, (double)clg_shape_count(g) * a->size[0] * a->size[1],
                     bytes_of(x) + bytes_of(g));

    clg__launch *look = pool_kernel(lo, "max_pool2d_backward");
    clg__launch_buffer(look, positions);
    clg__launch_buffer(look, lo->in[1]);
    add_geometry(look, lo->ctx, x, g, x);
    clg__launch_epilogue(look);
    clg__launch_work(look, (double)clg_shape_count(g) * a->size[0] * a->size[1],
                     bytes_of(x) + 2 * bytes_of(g));
    return lo->status;
}

static clg_status lower_max_pool2d_backward(clg__lowering *lo)
{
    const pool2d_attr *a = lo->node->attr;
    if (a->adaptive[0] || a->stride[0] < a->size[0] || a->stride[1] < a->size[1])
        return lower_overlapping(lo);
    return lower_pool(lo, "max_pool2d_backward_disjoint", &lo->in_shape[0], &lo->in_shape[1],
                      &lo->in_shape[1]);
}

static clg_status lower_average_pool2d(clg__lowering *lo)
{
    return lower_pool(lo, "average_pool2d", &lo->in_shape[0], &lo->out_shape, &lo->out_shape);
}

static clg_status lower_average_pool2d_backward(clg__lowering *lo)
{
    return lower_pool(lo, "average_pool2d_backward", &lo->out_shape, &lo->in_shape[0],
                      &lo->out_shape);
}

/* ---- rows ---- */

/* The one algorithm of a pooling operation: the same kernels serve both engines. */
#define POOL_ALGORITHM(lower_)                                                                     \
    (const clg__algorithm[])                                                                       \
    {                                                                                              \
        {.name = "direct",                                                                         \
         .engines = 1u << CLG_ENGINE_CPU | 1u << CLG_ENGINE_GPU,                                   \
         .fuses_epilogue = true,                                                                   \
         .lower = lower_},                                                                         \
        {                                                                                          \
            .name = NULL                                                                           \
        }                                                                                          \
    }
#define POOL_ROW(symbol, formula_, gradient_)                                                      \
    const clg__op clg__op_##symbol = {.name = #symbol,                                             \
                                      .formula = formula_,                                         \
                                      .class_ = CLG__KERNEL,                                       \
                                      .attr_size = sizeof(pool2d_attr),                            \
                                      .gradient = gradient_,                                       \
                                      .algorithms = POOL_ALGORITHM(lower_##symbol)}

POOL_ROW(average_pool2d, "y = mean of x over a window", average_pool2d_gradient);
POOL_ROW(average_pool2d_backward, "dx = sum of g over the windows that cover a pixel / window size",
         average_pool2d_backward_gradient);
POOL_ROW(max_pool2d, "y = max of x over a window, the first wins", max_pool2d_gradient);
POOL_ROW(max_pool2d_backward, "dx = sum of g over the windows whose maximum is this pixel",
         max_pool2d_backward_gradient);
POOL_ROW(max_pool2d_gather, "y = v where x has the maximum of a window",
         max_pool2d_gather_gradient);
