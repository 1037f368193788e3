/*
 * Augmentation: warps against bilinear sampling in double, exact copies where coordinates are
 * whole, what random functions may do to known images, and that they repeat for a seed and a step.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* ---- affine warps ---- */

/* p: size h, w of the result (0: as the input), border */
static clg_tensor *warp(const op_case *c, clg_tensor *const *x)
{
    return clg_affine_warp(
        x[0], x[1],
        clg_affine_warp_options(.size = {c->p[0], c->p[1]}, .border = (clg_border)c->p[2]));
}

static clg_tensor *squared_warp(const op_case *c, clg_tensor *const *x)
{
    return clg_square(warp(c, x));
}

/* A pixel of channel c of image n, 0 outside. */
static double pixel(const clg_shape *in, const double *x, int64_t n, int64_t y, int64_t at,
                    int64_t c)
{
    if (y < 0 || y >= in->dim[1] || at < 0 || at >= in->dim[2]) return 0;
    return x[((n * in->dim[1] + y) * in->dim[2] + at) * in->dim[3] + c];
}

static double place(const double *row, double dy, double dx, int64_t extent, bool replicate)
{
    double at = row[0] * dy + row[1] * dx + row[2] + 0.5 * (double)(extent - 1);
    return replicate ? fmin(fmax(at, 0), (double)(extent - 1)) : at;
}

static void warped(const op_case *c, const clg_shape *in, const double *const *x,
                   const clg_shape *out, double *result)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        const double *m = x[1] + 6 * at[0];
        double dy = (double)at[1] - 0.5 * (double)(out->dim[1] - 1);
        double dx = (double)at[2] - 0.5 * (double)(out->dim[2] - 1);
        double sy = place(m, dy, dx, in->dim[1], c->p[2]);
        double sx = place(m + 3, dy, dx, in->dim[2], c->p[2]);
        int64_t y = (int64_t)floor(sy), z = (int64_t)floor(sx);
        double wy = sy - (double)y, wx = sx - (double)z, sum = 0;
        sum += (1 - wy) * (1 - wx) * pixel(in, x[0], at[0], y, z, at[3]);
        sum += (1 - wy) * wx * pixel(in, x[0], at[0], y, z + 1, at[3]);
        sum += wy * (1 - wx) * pixel(in, x[0], at[0], y + 1, z, at[3]);
        sum += wy * wx * pixel(in, x[0], at[0], y + 1, z + 1, at[3]);
        result[i] = c->build == squared_warp ? sum * sum : sum;
    }
}

#define IMAGES(n, h, w, c)                                                                         \
    {                                                                                              \
        OP_SHAPE(n, h, w, c), OP_SHAPE(n, 2, 3)                                                    \
    }
/* Matrices are drawn like all inputs: a few of them are close to singular, most show borders. */
static const op_case warps[] = {
    {"one channel", 2, IMAGES(3, 7, 5, 1), warp, warped, .constants = 2},
    {"three channels, larger", 2, IMAGES(2, 5, 6, 3), squared_warp, warped, .constants = 2,
     .p = {9, 11}},
    {"four channels, replicated", 2, IMAGES(3, 6, 4, 4), warp, warped, .constants = 2,
     .p = {0, 0, 1}},
    {"one row, replicated", 2, IMAGES(2, 1, 9, 1), squared_warp, warped, .constants = 2,
     .p = {3, 4, 1}},
    {"a batch", 2, IMAGES(CLG_BATCH, 6, 6, 2), warp, warped, .constants = 2, .batch = {3, 5, 1}},
    {"a batch, replicated", 2, IMAGES(CLG_BATCH, 6, 6, 8), squared_warp, warped, .constants = 2,
     .p = {4, 7, 1}, .batch = {3, 5, 1}},
};

START_TEST(warps_of_any_matrix)
{
    op_check_table(warps, CLG__COUNT(warps));
}
END_TEST

/* ---- fixtures for one image function ---- */

typedef struct fixture {
    clg_context *ctx;
    clg_graph *g;
    clg_tensor *x;
    clg_program *program;
} fixture;

static fixture start(uint64_t seed, clg_shape shape)
{
    fixture f = {.ctx = op_check_context(),
                 .g = clg_graph_create(clg_graph_options(.batch = shape.dim[0], .seed = seed))};
    shape.dim[0] = CLG_BATCH;
    f.x = clg_input(f.g, "x", CLG_F32, shape);
    return f;
}

static void finish(fixture *f)
{
    clg_program_destroy(f->program);
    clg_graph_destroy(f->g);
    clg_context_destroy(f->ctx);
}

/* Compiles y, feeds `data`, runs once and reads the result into `got`. */
static void apply(fixture *f, clg_tensor *y, clg_program_mode mode, const float *data, float *got)
{
    ck_assert_msg(y != NULL, "%s", clg_last_error());
    clg_program_destroy(f->program);
    f->program = NULL;
    f->program = op_check_compile(f->ctx, f->g, &y, 1, mode);
    op_check_feed(f->program, f->x, data, clg_shape_count(clg_tensor_shape(f->x)));
    TEST_OK(clg_program_run(f->program));
    op_check_read(f->program, y, got, clg_shape_count(clg_tensor_shape(y)));
}

static void fill(float *data, int64_t count)
{
    for (int64_t i = 0; i < count; i++) data[i] = (float)((i * 37 + 11) % 101) / 101;
}

/* ---- exact copies ---- */

enum { H = 5, W = 4, C = 3, PIXELS = H * W * C };

/* got = the image `data` seen from `top` rows further down and `left` columns to the right. */
static bool is_shifted(const float *got, int h, int w, const float *data, int top, int left)
{
    for (int i = 0; i < h * w * C; i++) {
        int y = i / (w * C) + top, x = i / C % w + left;
        bool inside = y >= 0 && y < H && x >= 0 && x < W;
        if (got[i] != (inside ? data[(y * W + x) * C + i % C] : 0)) return false;
    }
    return true;
}

static bool is_mirrored(const float *got, const float *data, bool down, bool right)
{
    for (int i = 0; i < PIXELS; i++) {
        int y = i / (W * C), x = i / C % W;
        int from = ((down ? H - 1 - y : y) * W + (right ? W - 1 - x : x)) * C + i % C;
        if (got[i] != data[from]) return false;
    }
    return true;
}

START_TEST(flips_copy_to_the_bit_as_often_as_asked)
{
    enum { N = 400 };
    fixture f = start(5, CLG_SHAPE(N, H, W, C));
    static float data[N * PIXELS], got[N * PIXELS];
    int counts[2][2] = {{0}};
    fill(data, N * PIXELS);
    apply(&f, clg_random_flip(f.x, 0.5, 0.2), CLG_TRAINING, data, got);
    for (int n = 0; n < N; n++) {
        int found = 0;
        for (int k = 0; k < 4; k++)
            if (is_mirrored(got + n * PIXELS, data + n * PIXELS, k & 1, k & 2)) {
                counts[k & 1][k >> 1]++;
                found++;
            }
        ck_assert_int_eq(found, 1);
    }
    ck_assert_int_le(abs(counts[0][1] + counts[1][1] - 200), 60); /* six standard deviations */
    ck_assert_int_le(abs(counts[1][0] + counts[1][1] - 80), 48);
    ck_assert_int_gt(counts[1][1], 0);
    finish(&f);
}
END_TEST

START_TEST(crops_are_whole_pixels_from_everywhere)
{
    enum { N = 300, SH = 4, SW = 3, PAD = 2 };
    fixture f = start(6, CLG_SHAPE(N, H, W, C));
    static float data[N * PIXELS], got[N * PIXELS];
    int seen[H + 2 * PAD - SH + 1][W + 2 * PAD - SW + 1] = {{0}};
    fill(data, N * PIXELS);
    clg_tensor *y = clg_random_crop(f.x, clg_random_crop_options(.size = {SH, SW}, .padding = PAD));
    apply(&f, y, CLG_TRAINING, data, got);
    for (int n = 0; n < N; n++) {
        int found = 0;
        for (int top = -PAD; top <= H + PAD - SH; top++)
            for (int left = -PAD; left <= W + PAD - SW; left++)
                if (is_shifted(got + n * SH * SW * C, SH, SW, data + n * PIXELS, top, left)) {
                    seen[top + PAD][left + PAD]++;
                    found++;
                }
        ck_assert_int_eq(found, 1);
    }
    for (int top = 0; top <= H + 2 * PAD - SH; top++)
        for (int left = 0; left <= W + 2 * PAD - SW; left++) ck_assert_int_gt(seen[top][left], 0);
    apply(&f, y, CLG_INFERENCE, data, got);
    for (int n = 0; n < N; n++)
        ck_assert(is_shifted(got + n * SH * SW * C, SH, SW, data + n * PIXELS, 0, 0));
    finish(&f);
}
END_TEST

START_TEST(affine_parts_stay_in_their_range)
{
    enum { N = 200, S = 33 };
    fixture f = start(7, CLG_SHAPE(N, S, S, 1));
    float *data = malloc(N * S * S * sizeof *data), *got = malloc(N * S * S * sizeof *got);
    for (int i = 0; i < N * S * S; i++) data[i] = (float)(i % S); /* the column's number */
    const clg_random_affine_params params = {
        .rotate = 30, .zoom = 0.2, .shift = {0.1, 0.1}, .border = CLG_BORDER_REPLICATE};
    apply(&f, clg_random_affine(f.x, &params), CLG_TRAINING, data, got);
    double least_turn = 9, most_turn = -9, least_zoom = 9, most_zoom = -9, mean = 0;
    for (int n = 0; n < N; n++) { /* slopes at the middle give angle and factor */
        const float *image = got + n * S * S + S / 2 * S + S / 2;
        double across = (image[4] - image[-4]) / 8.0, down = (image[4 * S] - image[-4 * S]) / 8.0;
        double turn = atan2(down, across) * 57.29577951308232, zoom = 1 / hypot(across, down);
        least_turn = fmin(least_turn, turn), most_turn = fmax(most_turn, turn);
        least_zoom = fmin(least_zoom, zoom), most_zoom = fmax(most_zoom, zoom);
        ck_assert_double_le(fabs(image[0] - S / 2), 0.1 * S + 1e-3);
        mean += (image[0] - S / 2) / N;
    }
    ck_assert(least_turn > -30.01 && least_turn < -27 && most_turn < 30.01 && most_turn > 27);
    ck_assert(least_zoom > 0.799 && least_zoom < 0.83 && most_zoom < 1.201 && most_zoom > 1.17);
    ck_assert_double_le(fabs(mean), 0.7);
    free(data);
    free(got);
    finish(&f);
}
END_TEST

START_TEST(cutouts_are_squares_cut_off_at_the_border)
{
    enum { N = 200, S = 9, SIZE = 4 };
    fixture f = start(8, CLG_SHAPE(N, S, S, 1));
    static float data[N * S * S], got[N * S * S];
    int middles[S * S] = {0}, all = 0;
    for (int i = 0; i < N * S * S; i++) data[i] = 1;
    apply(&f, clg_cutout(f.x, SIZE), CLG_TRAINING, data, got);
    for (int n = 0; n < N; n++) {
        int y0 = S, y1 = -1, x0 = S, x1 = -1, count = 0;
        for (int i = 0; i < S * S; i++) {
            if (got[n * S * S + i] != 0) continue;
            y0 = i / S < y0 ? i / S : y0, y1 = i / S > y1 ? i / S : y1;
            x0 = i % S < x0 ? i % S : x0, x1 = i % S > x1 ? i % S : x1;
            count++;
        }
        ck_assert_int_eq(count, (y1 - y0 + 1) * (x1 - x0 + 1));
        ck_assert(count >= 4 && y1 - y0 < SIZE && x1 - x0 < SIZE);
        ck_assert(y1 - y0 == SIZE - 1 || y0 == 0 || y1 == S - 1);
        middles[(y0 ? y0 + 2 : y1 - 1) * S + (x0 ? x0 + 2 : x1 - 1)]++;
    }
    for (int i = 0; i < S * S; i++) all += middles[i] > 0;
    ck_assert_int_gt(all, 60); /* of 81 places with 200 draws; 74 are expected */
    finish(&f);
}
END_TEST

/* ---- values ---- */

/* y = clamp(f x) with one f per image: finds f where nothing was clamped. */
START_TEST(brightness_is_one_factor_per_image)
{
    enum { N = 100 };
    fixture f = start(9, CLG_SHAPE(N, H, W, C));
    static float data[N * PIXELS], got[N * PIXELS];
    double least = 9, most = -9;
    fill(data, N * PIXELS);
    apply(&f, clg_color_jitter(f.x, clg_color_jitter_options(.brightness = 0.4)), CLG_TRAINING,
          data, got);
    for (int n = 0; n < N; n++) {
        const float *x = data + n * PIXELS, *y = got + n * PIXELS;
        int low = 0;
        while (x[low] < 0.2F || x[low] > 0.7F) low++;
        double factor = y[low] / (double)x[low];
        for (int i = 0; i < PIXELS; i++)
            ck_assert_double_eq_tol(y[i], fmin(factor * x[i], 1), 1e-5);
        least = fmin(least, factor), most = fmax(most, factor);
    }
    ck_assert(least >= 0.6 - 1e-6 && least < 0.65 && most <= 1.4 + 1e-6 && most > 1.35);
    finish(&f);
}
END_TEST

static double grey_of(const float *p)
{
    return 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
}

/* Contrast or saturation: y = clamp(o + f (x - o)) with o the image's or the pixel's grey. */
static void check_spread(const float *x, const float *y, bool saturation, double *factor)
{
    double mean = 0, best = 0;
    for (int i = 0; i < H * W; i++) mean += grey_of(x + i * C) / (H * W);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < PIXELS; i++) {
            double o = saturation ? grey_of(x + i / C * C) : mean, d = x[i] - o;
            if (pass == 1)
                ck_assert_double_eq_tol(y[i], fmin(fmax(o + *factor * d, 0), 1), 2e-5);
            else if (fabs(d) > best && y[i] > 0 && y[i] < 1) {
                best = fabs(d);
                *factor = (y[i] - o) / d;
            }
        }
}

START_TEST(contrast_and_saturation_spread_around_grey)
{
    enum { N = 60 };
    for (int saturation = 0; saturation < 2; saturation++) {
        fixture f = start(10, CLG_SHAPE(N, H, W, C));
        static float data[N * PIXELS], got[N * PIXELS];
        double least = 9, most = -9, factor = 0;
        fill(data, N * PIXELS);
        const clg_color_jitter_params params = {.contrast = saturation ? 0 : 0.5,
                                                .saturation = saturation ? 0.5 : 0};
        apply(&f, clg_color_jitter(f.x, &params), CLG_TRAINING, data, got);
        for (int n = 0; n < N; n++) {
            check_spread(data + n * PIXELS, got + n * PIXELS, saturation, &factor);
            least = fmin(least, factor), most = fmax(most, factor);
        }
        ck_assert(least > 0.499 && least < 0.6 && most < 1.501 && most > 1.4);
        finish(&f);
    }
}
END_TEST

START_TEST(noise_is_normal)
{
    enum { N = 40000 };
    fixture f = start(11, CLG_SHAPE(N, 1));
    static float data[N], got[N];
    double mean = 0, variance = 0, fourth = 0;
    for (int i = 0; i < N; i++) data[i] = 2;
    apply(&f, clg_gaussian_noise(f.x, 0.5), CLG_TRAINING, data, got);
    for (int i = 0; i < N; i++) mean += got[i] / (double)N;
    for (int i = 0; i < N; i++) {
        double d = (got[i] - mean) / 0.5;
        ck_assert(isfinite(got[i]));
        variance += d * d / N;
        fourth += d * d * d * d / N;
    }
    ck_assert_double_eq_tol(mean, 2, 0.0125); /* five standard deviations of the estimates */
    ck_assert_double_eq_tol(variance, 1, 0.036);
    ck_assert_double_eq_tol(fourth, 3, 0.25);
    finish(&f);
}
END_TEST

static clg_tensor *normalized(const op_case *c, clg_tensor *const *x)
{
    return clg_normalize(x[0], x[1], x[2]);
}

static void normalized_reference(const op_case *c, const clg_shape *in, const double *const *x,
                                 const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++)
        y[i] = (x[0][i] - x[1][i % clg_shape_count(&in[1])]) * x[2][i % clg_shape_count(&in[2])];
}

static const op_case normalizations[] = {
    {"per channel",
     3,
     {OP_SHAPE(2, 3, 3, 5), OP_SHAPE(5), OP_SHAPE(5)},
     normalized,
     normalized_reference},
    {"all alike", 3, {OP_SHAPE(4, 7), OP_SHAPE(1), OP_SHAPE(1)}, normalized, normalized_reference},
};

START_TEST(normalization_per_channel)
{
    op_check_table(normalizations, CLG__COUNT(normalizations));
}
END_TEST

START_TEST(a_normalization_layer_takes_what_was_measured)
{
    const float data[] = {1, 10, 2, 20, 3, 30}, mean[] = {2, 20}, scale[] = {2, 0.5F};
    float got[6];
    fixture f = start(1, CLG_SHAPE(3, 2));
    clg_tensor *y = clg_normalize_layer(f.x, "norm");
    apply(&f, y, CLG_TRAINING, data, got);
    op_check_close("normalize layer", "start", got, (double[]){1, 10, 2, 20, 3, 30}, 6, 0);
    TEST_OK(clg_variable_write(clg_graph_find(f.g, "norm.offset"), mean, 2));
    TEST_OK(clg_variable_write(clg_graph_find(f.g, "norm.scale"), scale, 2));
    ck_assert(!clg_tensor_trainable(clg_graph_find(f.g, "norm.scale")));
    apply(&f, y, CLG_INFERENCE, data, got);
    op_check_close("normalize layer", "value", got, (double[]){-2, -5, 0, 0, 2, 5}, 6, 0);
    finish(&f);
}
END_TEST

/* ---- all of them ---- */

static clg_tensor *everything(clg_tensor *x)
{
    x = clg_random_flip(x, 0.5, 0.5);
    x = clg_random_affine(x, clg_random_affine_options(.rotate = 20, .zoom = 0.3, .shift = {0.2}));
    x = clg_random_crop(x, clg_random_crop_options(.padding = 1, .border = CLG_BORDER_REPLICATE));
    x = clg_color_jitter(x, clg_color_jitter_options(0.2, 0.2, 0.2));
    return clg_gaussian_noise(clg_cutout(x, 2), 0.1);
}

START_TEST(pictures_repeat_for_seed_and_step_and_stay_in_inference)
{
    enum { N = 7 };
    static float data[N * PIXELS], got[4][N * PIXELS];
    fill(data, N * PIXELS);
    for (int run = 0; run < 3; run++) { /* seeds 1, 1, 2 */
        fixture f = start(run < 2 ? 1 : 2, CLG_SHAPE(N, H, W, C));
        clg_tensor *y = everything(f.x);
        apply(&f, y, CLG_TRAINING, data, got[run]);
        TEST_OK(clg_program_run(f.program));
        op_check_read(f.program, y, got[3], N * PIXELS);
        ck_assert_mem_ne(got[run], got[3], sizeof got[0]); /* the next step */
        clg_graph_set_steps(f.g, 0);
        TEST_OK(clg_program_run(f.program));
        op_check_read(f.program, y, got[3], N * PIXELS);
        ck_assert_mem_eq(got[run], got[3], sizeof got[0]);
        apply(&f, y, CLG_INFERENCE, data, got[3]);
        ck_assert_mem_eq(data, got[3], sizeof data);
        finish(&f);
    }
    ck_assert_mem_eq(got[0], got[1], sizeof got[0]);
    ck_assert_mem_ne(got[0], got[2], sizeof got[0]);
}
END_TEST

/* A builder with something wrong. */
static clg_tensor *mistake(int which, clg_graph *g)
{
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, 8, 8, 2));
    clg_tensor *flat = clg_input(g, "flat", CLG_F32, CLG_SHAPE(2, 8));
    clg_tensor *m = clg_full(g, CLG_SHAPE(2, 2, 3), 0);
    switch (which) {
    case 0:
        return clg_affine_warp(flat, m, NULL);
    case 1:
        return clg_affine_warp(x, clg_full(g, CLG_SHAPE(1, 2, 3), 0), NULL);
    case 2:
        return clg_affine_warp(x, m, clg_affine_warp_options(.size = {-4, 4}));
    case 3:
        return clg_affine_warp(x, m, clg_affine_warp_options(.border = (clg_border)7));
    case 4:
        return clg_random_flip(flat, 0.5, 0);
    case 5:
        return clg_random_flip(x, 1.5, 0);
    case 6:
        return clg_random_affine(x, clg_random_affine_options(.zoom = 1));
    case 7:
        return clg_random_affine(x, clg_random_affine_options(.shift = {0, NAN}));
    case 8:
        return clg_random_crop(x, clg_random_crop_options(.size = {8, 9}));
    case 9:
        return clg_random_crop(x, clg_random_crop_options(.padding = -1));
    case 10:
        return clg_color_jitter(x, clg_color_jitter_options(.saturation = 0.5));
    case 11:
        return clg_color_jitter(x, clg_color_jitter_options(.contrast = 2));
    case 12:
        return clg_gaussian_noise(x, -1);
    case 13:
        return clg_cutout(x, -1);
    default:
        return clg_normalize(x, clg_full(g, CLG_SHAPE(3), 0), clg_scalar(g, 1));
    }
}
static const char *const complaints[] = {"expected an image (N, H, W, C)",
                                         "(1, 2, 3)",
                                         "(-4, 4)",
                                         "border 7",
                                         "(2, 8)",
                                         "probability 1.5",
                                         "zoom 1",
                                         "shift nan",
                                         "9 pixels of an extent of 8",
                                         "padding -1",
                                         "saturation needs three channels",
                                         "contrast 2",
                                         "sigma -1",
                                         "size -1",
                                         "offset"};

START_TEST(what_cannot_be_is_named)
{
    clg_graph *g = clg_graph_create(NULL);
    ck_assert_ptr_null(mistake(_i, g));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, complaints[_i]);
    clg_graph_destroy(g);
}
END_TEST

START_TEST(null_and_nothing_to_do_are_passed_on)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, 8, 8, 2));
    ck_assert_ptr_null(everything(NULL));
    ck_assert_ptr_null(clg_affine_warp(NULL, NULL, NULL));
    ck_assert_ptr_null(clg_random_normal(NULL));
    ck_assert_ptr_null(clg_normalize(NULL, NULL, NULL));
    ck_assert_ptr_eq(clg_random_flip(x, 0, 0), x);
    ck_assert_ptr_eq(clg_random_affine(x, NULL), x);
    ck_assert_ptr_eq(clg_color_jitter(x, NULL), x);
    ck_assert_ptr_eq(clg_gaussian_noise(x, 0), x);
    ck_assert_ptr_eq(clg_cutout(x, 0), x);
    TEST_OK(clg_graph_status(g));
    clg_graph_destroy(g);
}
END_TEST

void ops_augment_cases(Suite *suite)
{
    TCase *geometry = testing_case(suite, "augment geometry");
    tcase_set_timeout(geometry, 300);
    tcase_add_test(geometry, warps_of_any_matrix);
    tcase_add_test(geometry, flips_copy_to_the_bit_as_often_as_asked);
    tcase_add_test(geometry, crops_are_whole_pixels_from_everywhere);
    tcase_add_test(geometry, affine_parts_stay_in_their_range);
    tcase_add_test(geometry, cutouts_are_squares_cut_off_at_the_border);
    TCase *values = testing_case(suite, "augment values");
    tcase_set_timeout(values, 300);
    tcase_add_test(values, brightness_is_one_factor_per_image);
    tcase_add_test(values, contrast_and_saturation_spread_around_grey);
    tcase_add_test(values, noise_is_normal);
    tcase_add_test(values, normalization_per_channel);
    tcase_add_test(values, a_normalization_layer_takes_what_was_measured);
    tcase_add_test(values, pictures_repeat_for_seed_and_step_and_stay_in_inference);
    TCase *arguments = testing_case(suite, "augment arguments");
    tcase_add_loop_test(arguments, what_cannot_be_is_named, 0, CLG__COUNT(complaints));
    tcase_add_test(arguments, null_and_nothing_to_do_are_passed_on);
}
