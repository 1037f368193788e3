/*
 * Augmentation, composed of others: random numbers per image, one warp for what moves pixels, and
 * pointwise chains, which the compiler fuses, for what changes values.
 *
 * A number per image has the shape (N, 1, 1 ...) and broadcasts. The six entries of a matrix are
 * picked by position from six such numbers, so that all matrices of a batch are one small kernel.
 * Random nodes are keyed by their number in the graph: they are made in statements of their own,
 * because C leaves the order of arguments to the compiler.
 */
#include "clgrad/augment.h"
#include "ops/record.h"

/* ---- random numbers ---- */

/* (N, 1, 1 ...): one number for each image. */
static clg_tensor *per_image(const clg_tensor *x, double value)
{
    clg_shape shape = x->shape;
    for (int i = 1; i < shape.ndim; i++) shape.dim[i] = 1;
    return clg_full(x->graph, shape, value);
}

/* Uniform in lo .. hi for each image. */
static clg_tensor *random_between(const clg_tensor *x, double lo, double hi)
{
    if (lo == hi) return per_image(x, lo);
    clg_tensor *u = clg_random_uniform(per_image(x, 0));
    return clg_add(clg_mul(u, clg__number(x, hi - lo)), clg__number(x, lo));
}

/* A whole number in 0 .. count - 1 for each image. */
static clg_tensor *random_index(const clg_tensor *x, int64_t count)
{
    clg_tensor *scaled = random_between(x, 0, (double)count);
    return clg_minimum(clg_floor(scaled), clg__number(x, (double)(count - 1)));
}

/* -1 with this probability, else 1. */
static clg_tensor *random_sign(const clg_tensor *x, double probability)
{
    if (probability == 0) return per_image(x, 1);
    clg_tensor *flipped = clg_less(random_between(x, 0, 1), clg__number(x, probability));
    return clg_sub(clg__number(x, 1), clg_mul(clg__number(x, 2), flipped));
}

clg_tensor *clg_random_normal(clg_tensor *like)
{
    if (!like) return NULL;
    clg_tensor *u = clg_random_uniform(like), *v = clg_random_uniform(like);
    clg_tensor *radius = clg_sqrt(clg_mul(clg__number(like, -2), clg_log(u)));
    clg_tensor *angle = clg_mul(clg__number(like, 6.283185307179586), v);
    return CLG__COMPOSED(random_normal, clg_mul(radius, clg_cos(angle)));
}

/* ---- checks ---- */

static bool is_image(clg_tensor *x, const char *name)
{
    if (x->shape.ndim == 4 && !(x->shape.batched & ~1u)) return true;
    return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                           "%s: expected images (N, H, W, C) of which at most N follows the batch "
                           "size, got %s",
                           name, CLG__SHAPE_TEXT(&x->shape));
}

static bool in_range(clg_tensor *x, const char *name, const char *what, double value, double most)
{
    if (value >= 0 && value <= most) return true;
    return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "%s: %s %g is not in 0 .. %g", name, what,
                           value, most);
}

/* ---- geometry ---- */

/* (N, 2, 3) matrices from six numbers per image, row by row. */
static clg_tensor *matrices(const clg_tensor *x, clg_tensor *const entries[6])
{
    clg_shape shape = x->shape;
    shape.ndim = 3;
    shape.dim[1] = 2;
    shape.dim[2] = 3;
    clg_shape column = {.ndim = 3, .dim = {x->shape.dim[0], 1, 1}, .batched = shape.batched};
    clg_tensor *whole = clg_full(x->graph, shape, 0);
    clg_tensor *position =
        clg_add(clg_mul(clg_iota(whole, 1), clg__number(x, 3)), clg_iota(whole, 2));
    clg_tensor *m = clg__reshape_to(entries[0], &column);
    for (int i = 1; i < 6; i++)
        m = clg_where(clg_equal(position, clg__number(x, i)), clg__reshape_to(entries[i], &column),
                      m);
    return m;
}

clg_tensor *clg_random_flip(clg_tensor *x, double horizontal, double vertical)
{
    if (!x || !is_image(x, "random_flip") ||
        !in_range(x, "random_flip", "the probability", horizontal, 1) ||
        !in_range(x, "random_flip", "the probability", vertical, 1))
        return NULL;
    if (horizontal == 0 && vertical == 0) return x;
    clg_tensor *zero = per_image(x, 0);
    clg_tensor *down = random_sign(x, vertical), *right = random_sign(x, horizontal);
    clg_tensor *m = matrices(x, (clg_tensor *[]){down, zero, zero, zero, right, zero});
    return CLG__COMPOSED(random_flip, clg_by_mode(clg_affine_warp(x, m, NULL), clg__as_f32(x)));
}

/*
 * From the output to the input: by the angle, and by 1 / zoom, because an enlarged image shows less
 * of the input.
 */
static clg_tensor *random_matrices(const clg_tensor *x, const clg_random_affine_params *p)
{
    const double angle = p->rotate * 0.017453292519943295;
    clg_tensor *turn = random_between(x, -angle, angle);
    clg_tensor *factor = clg_reciprocal(random_between(x, 1 - p->zoom, 1 + p->zoom));
    clg_tensor *c = clg_mul(clg_cos(turn), factor), *s = clg_mul(clg_sin(turn), factor), *by[2];
    for (int i = 0; i < 2; i++) {
        double most = p->shift[i] * (double)x->shape.dim[1 + i];
        by[i] = random_between(x, -most, most);
    }
    return matrices(x, (clg_tensor *[]){c, s, by[0], clg_neg(s), c, by[1]});
}

clg_tensor *clg_random_affine(clg_tensor *x, const clg_random_affine_params *params)
{
    static const clg_random_affine_params none;
    const char *name = "random_affine";
    if (!params) params = &none;
    if (!x || !is_image(x, name) || !in_range(x, name, "the angle", params->rotate, 360) ||
        !in_range(x, name, "the zoom", params->zoom, 0.99) ||
        !in_range(x, name, "the shift", params->shift[0], 1) ||
        !in_range(x, name, "the shift", params->shift[1], 1))
        return NULL;
    if (!params->rotate && !params->zoom && !params->shift[0] && !params->shift[1]) return x;
    clg_tensor *warped = clg_affine_warp(x, random_matrices(x, params),
                                         clg_affine_warp_options(.border = params->border));
    return CLG__COMPOSED(random_affine, clg_by_mode(warped, clg__as_f32(x)));
}

/*
 * Moves the window's middle: with its first row at top - padding, top a whole number in
 * 0 .. H + 2 padding - size, the middles differ by top - padding + (size - H) / 2.
 */
static clg_tensor *random_offset(const clg_tensor *x, int axis, int64_t size, int64_t padding)
{
    int64_t extent = x->shape.dim[1 + axis];
    clg_tensor *top = random_index(x, extent + 2 * padding - size + 1);
    return clg_add(top, clg__number(x, 0.5 * (double)(size - extent) - (double)padding));
}

clg_tensor *clg_random_crop(clg_tensor *x, const clg_random_crop_params *params)
{
    static const clg_random_crop_params none;
    if (!params) params = &none;
    if (!x || !is_image(x, "random_crop") ||
        !in_range(x, "random_crop", "the padding", (double)params->padding, 32768))
        return NULL;
    clg_affine_warp_params warp = {.border = params->border};
    clg_tensor *zero = per_image(x, 0), *one = per_image(x, 1), *by[2], *middle = clg__as_f32(x);
    for (int i = 0; i < 2; i++) {
        int64_t extent = x->shape.dim[1 + i];
        warp.size[i] = params->size[i] ? params->size[i] : extent;
        if (warp.size[i] < 1 || warp.size[i] > extent)
            return clg__graph_fail(
                x->graph, CLG_ERROR_ARGUMENT, "random_crop: %lld pixels of an extent of %lld in %s",
                (long long)warp.size[i], (long long)extent, CLG__SHAPE_TEXT(&x->shape));
        by[i] = random_offset(x, i, warp.size[i], params->padding);
        if (warp.size[i] < extent)
            middle = clg_slice(middle, 1 + i, (extent - warp.size[i]) / 2, warp.size[i]);
    }
    clg_tensor *m = matrices(x, (clg_tensor *[]){one, zero, by[0], zero, one, by[1]});
    return CLG__COMPOSED(random_crop, clg_by_mode(clg_affine_warp(x, m, &warp), middle));
}

/* 1 for the rows (axis 1) or columns (axis 2) of the square around a random one, else 0. */
static clg_tensor *random_band(const clg_tensor *x, int axis, int64_t size)
{
    clg_shape shape = {.ndim = 4, .dim = {1, 1, 1, 1}};
    shape.dim[axis] = x->shape.dim[axis];
    clg_tensor *first =
        clg_sub(random_index(x, x->shape.dim[axis]), clg__number(x, (double)(size / 2)));
    clg_tensor *place = clg_sub(clg_iota(clg_full(x->graph, shape, 0), axis), first);
    return clg_mul(clg_greater_equal(place, clg__number(x, 0)),
                   clg_less(place, clg__number(x, (double)size)));
}

clg_tensor *clg_cutout(clg_tensor *x, int64_t size)
{
    if (!x || !is_image(x, "cutout") || !in_range(x, "cutout", "the size", (double)size, 32768))
        return NULL;
    if (size == 0) return x;
    clg_tensor *rows = random_band(x, 1, size), *columns = random_band(x, 2, size);
    clg_tensor *hidden = clg_mul(rows, columns);
    clg_tensor *cut = clg_where(hidden, clg__number(x, 0), x);
    return CLG__COMPOSED(cutout, clg_by_mode(cut, clg__as_f32(x)));
}

/* ---- values ---- */

/* (N, H, W, 1): how bright each pixel is. */
static clg_tensor *grey(clg_tensor *x)
{
    static const double weights[] = {0.299, 0.587, 0.114};
    if (x->shape.dim[3] != 3) return clg_mean(x, CLG_AXIS(3), true);
    clg_tensor *sum = NULL;
    for (int i = 0; i < 3; i++) {
        clg_tensor *part = clg_mul(clg_slice(x, 3, i, 1), clg__number(x, weights[i]));
        sum = sum ? clg_add(sum, part) : part;
    }
    return sum;
}

/* origin + f (x - origin) with f in 1 - amount .. 1 + amount per image, clamped to 0 .. 1. */
static clg_tensor *spread(clg_tensor *x, clg_tensor *origin, double amount)
{
    if (!x || !origin) return NULL;
    clg_tensor *f = random_between(x, 1 - amount, 1 + amount);
    return clg_clamp(clg_add(origin, clg_mul(f, clg_sub(x, origin))), 0, 1);
}

clg_tensor *clg_color_jitter(clg_tensor *x, const clg_color_jitter_params *params)
{
    static const clg_color_jitter_params none;
    const char *name = "color_jitter";
    if (!params) params = &none;
    if (!x || !is_image(x, name) || !in_range(x, name, "brightness", params->brightness, 1) ||
        !in_range(x, name, "contrast", params->contrast, 1) ||
        !in_range(x, name, "saturation", params->saturation, 1))
        return NULL;
    if (params->saturation && x->shape.dim[3] != 3)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "color_jitter: saturation needs three channels, got %s",
                               CLG__SHAPE_TEXT(&x->shape));
    clg_tensor *y = x;
    if (params->brightness) y = spread(y, clg__number(x, 0), params->brightness);
    if (params->contrast && y)
        y = spread(y, clg_mean(grey(y), CLG_AXIS(1) | CLG_AXIS(2), true), params->contrast);
    if (params->saturation && y) y = spread(y, grey(y), params->saturation);
    return y == x ? x : CLG__COMPOSED(color_jitter, clg_by_mode(y, clg__as_f32(x)));
}

clg_tensor *clg_gaussian_noise(clg_tensor *x, double sigma)
{
    if (!x || !in_range(x, "gaussian_noise", "sigma", sigma, 1e6)) return NULL;
    if (sigma == 0) return x;
    clg_tensor *noise = clg_mul(clg_random_normal(x), clg__number(x, sigma));
    return CLG__COMPOSED(gaussian_noise, clg_by_mode(clg_add(x, noise), clg__as_f32(x)));
}

clg_tensor *clg_normalize(clg_tensor *x, clg_tensor *offset, clg_tensor *scale)
{
    if (!x || !offset || !scale) return NULL;
    int64_t last = x->shape.ndim ? x->shape.dim[x->shape.ndim - 1] : 1;
    clg_tensor *const parts[] = {offset, scale};
    for (int i = 0; i < 2; i++) {
        int64_t count = clg_shape_count(&parts[i]->shape);
        if (parts[i]->shape.ndim <= 1 && (count == 1 || count == last)) continue;
        return clg__graph_fail(
            x->graph, CLG_ERROR_ARGUMENT,
            "normalize: the %s of %s has shape %s; one number or %lld are needed",
            i ? "scale" : "offset", CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(&parts[i]->shape),
            (long long)last);
    }
    return CLG__COMPOSED(normalize, clg_mul(clg_sub(x, offset), scale));
}
