/*
 * Affine warps of images: the op rows, and how they become launches of cl/affine_warp.cl.
 *
 * y = A(matrix) x is linear in x, and affine_warp_backward is A(matrix)^T: each is the other's
 * gradient, so that derivatives of all orders exist. Matrices are coordinates, no values: no
 * gradient flows into them.
 */
#include "clgrad/augment.h"
#include "ops/record.h"

typedef struct warp_attr {
    int32_t size[2];       /* H, W of the warped image */
    int32_t input_size[2]; /* H, W of the image */
    int32_t replicate;
} warp_attr;

/* ---- shapes ---- */

static bool check_image(const clg_tensor *x)
{
    const int64_t *d = x->shape.dim, limit = INT32_MAX / 2;
    if (x->shape.ndim != 4 || x->shape.batched & ~1u)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "affine_warp: expected an image (N, H, W, C) of which at most N "
                               "follows the batch size, got %s",
                               CLG__SHAPE_TEXT(&x->shape));
    if (d[1] > limit || d[2] > limit / d[1] || d[3] > limit / (d[1] * d[2]))
        return clg__graph_fail(x->graph, CLG_ERROR_UNSUPPORTED,
                               "affine_warp: %s has 2^30 or more elements in one image",
                               CLG__SHAPE_TEXT(&x->shape));
    return true;
}

static bool check_matrix(const clg_tensor *x, const clg_tensor *matrix)
{
    const clg_shape *m = &matrix->shape;
    if (m->ndim == 3 && m->dim[0] == x->shape.dim[0] && m->dim[1] == 2 && m->dim[2] == 3 &&
        m->batched == x->shape.batched)
        return true;
    return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                           "affine_warp: expected a 2 x 3 matrix for each image of %s, got %s",
                           CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(m));
}

static bool resolve_params(warp_attr *a, const clg_tensor *x, const clg_affine_warp_params *params)
{
    static const clg_affine_warp_params none;
    if (!params) params = &none;
    if ((unsigned)params->border > CLG_BORDER_REPLICATE)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "affine_warp: unknown border %d",
                               (int)params->border);
    a->replicate = params->border == CLG_BORDER_REPLICATE;
    for (int i = 0; i < 2; i++) {
        int64_t own = x->shape.dim[1 + i], size = params->size[i] ? params->size[i] : own;
        if (size < 1 || size > 32768)
            return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                                   "affine_warp: the size (%lld, %lld) is not in 1 .. 32768",
                                   (long long)params->size[0], (long long)params->size[1]);
        a->size[i] = (int32_t)size;
        a->input_size[i] = (int32_t)own;
    }
    return true;
}

static clg_shape sized(const clg_shape *like, const int32_t size[2])
{
    clg_shape shape = *like;
    shape.dim[1] = size[0];
    shape.dim[2] = size[1];
    return shape;
}

/* ---- builders and gradients ---- */

clg_tensor *clg_affine_warp(clg_tensor *x, clg_tensor *matrix, const clg_affine_warp_params *params)
{
    if (!x || !matrix) return NULL;
    warp_attr a;
    memset(&a, 0, sizeof a);
    if (!check_image(x) || !check_matrix(x, matrix) || !resolve_params(&a, x, params)) return NULL;
    clg_tensor *inputs[] = {x, clg_stop_gradient(matrix)};
    return clg__node(x->graph, &clg__op_affine_warp, CLG_F32, sized(&x->shape, a.size), &a, 2,
                     inputs);
}

static void affine_warp_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    if (!g) return;
    const warp_attr *a = out->attr;
    dx[0] = clg__node(g->graph, &clg__op_affine_warp_backward, CLG_F32,
                      sized(&g->shape, a->input_size), a, 2, (clg_tensor *[]){g, out->inputs[1]});
}

static void affine_warp_backward_gradient(clg_tensor *out, clg_tensor *g, clg_tensor **dx)
{
    if (!g) return;
    const warp_attr *a = out->attr;
    dx[0] = clg__node(g->graph, &clg__op_affine_warp, CLG_F32, sized(&g->shape, a->size), a, 2,
                      (clg_tensor *[]){g, out->inputs[1]});
}

/* ---- launches ---- */

/* Pixels of one image for a work-item: about 4096 elements on CPU devices, less when that leaves
 * cores idle; one on GPUs. */
static int64_t pixels_per_item(const clg_context *ctx, int64_t images, int64_t pixels,
                               int64_t channels)
{
    if (ctx->engine == CLG_ENGINE_GPU) return 1;
    const int64_t items = 4 * (int64_t)ctx->info.compute_units;
    int64_t share = clg__min_i64(4096 / channels, images * pixels / items);
    return clg__max_i64(1, clg__min_i64(share, pixels));
}

/* `image`, `warped`: (N, H, W, C); the result's pixels are shared out among work-items. */
static clg_status lower_warp(clg__lowering *lo, const char *kernel, const clg_shape *image,
                             const clg_shape *warped)
{
    const warp_attr *a = lo->node->attr;
    const clg_shape *out = &lo->out_shape;
    const int64_t images = out->dim[0], pixels = out->dim[1] * out->dim[2], channels = out->dim[3];
    const int64_t share = pixels_per_item(lo->ctx, images, pixels, channels);
    const bool gpu = lo->ctx->engine == CLG_ENGINE_GPU;
    const size_t group = gpu ? (size_t)clg__min_i64(64, (int64_t)lo->ctx->info.max_work_group) : 1;
    const size_t items = (size_t)(images * clg__ceil_div(pixels, share));
    const int64_t numbers[] = {image->dim[1],  image->dim[2],  channels,
                               warped->dim[1], warped->dim[2], share};
    clg__launch *launch =
        clg__lower_kernel(lo, "affine_warp", kernel, "#define REPLICATE %d\n#define VEC %d\n",
                          a->replicate, channels % 4 == 0 ? 4 : 1);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_long(launch, images);
    for (size_t i = 0; i < CLG__COUNT(numbers); i++) clg__launch_int(launch, numbers[i]);
    clg__launch_range(launch, 1, &items, &group);
    clg__launch_epilogue(launch);
    clg__launch_work(launch, 7.0 * (double)clg_shape_count(warped),
                     4.0 * (double)(clg_shape_count(image) + clg_shape_count(warped)));
    return lo->status;
}

static clg_status lower_affine_warp(clg__lowering *lo)
{
    return lower_warp(lo, "affine_warp", &lo->in_shape[0], &lo->out_shape);
}

static clg_status lower_affine_warp_backward(clg__lowering *lo)
{
    return lower_warp(lo, "affine_warp_backward", &lo->out_shape, &lo->in_shape[0]);
}

/* ---- rows ---- */

/* The one algorithm of each: the same kernels serve both engines. */
#define WARP_ALGORITHM(symbol)                                                                     \
    (const clg__algorithm[])                                                                       \
    {                                                                                              \
        {.name = "direct",                                                                         \
         .engines = 1u << CLG_ENGINE_CPU | 1u << CLG_ENGINE_GPU,                                   \
         .fuses_epilogue = true,                                                                   \
         .lower = lower_##symbol},                                                                 \
        {                                                                                          \
            .name = NULL                                                                           \
        }                                                                                          \
    }
#define WARP_ROW(symbol, formula_)                                                                 \
    const clg__op clg__op_##symbol = {.name = #symbol,                                             \
                                      .formula = formula_,                                         \
                                      .class_ = CLG__KERNEL,                                       \
                                      .attr_size = sizeof(warp_attr),                              \
                                      .gradient = symbol##_gradient,                               \
                                      .algorithms = WARP_ALGORITHM(symbol)}

WARP_ROW(affine_warp, "y at p = x at matrix (p, 1), bilinear");
WARP_ROW(affine_warp_backward, "dx = sum of g over the places that see a pixel, by their weights");
