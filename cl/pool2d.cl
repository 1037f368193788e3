/*
 * Max and average pooling of images (N, H, W, C), forward and backward.
 *
 * A work-item owns `pixels` pixels of one image and `channels` channels: on CPU devices a run of
 * pixels with all channels in float16 vectors, on GPUs one pixel and a few channels, so that
 * neighbouring work-items touch neighbouring addresses.
 *
 * Nothing is scattered: backward kernels own the pixels of dx and look up the windows that cover
 * them, so there are no atomics and each element is stored once. The maximum of a window is its
 * first one, and a NaN wins over everything (the last NaN of the window, as PyTorch does); all
 * max kernels share the one comparison in BEATS, so that forward and backward agree to the bit.
 */
#include "entry.h"

#ifndef SIZE_H
#define SIZE_H 2 // rows of the window, >= 1
#endif
#ifndef SIZE_W
#define SIZE_W 2 // columns of the window, >= 1
#endif
#ifndef STRIDE_H
#define STRIDE_H 2 // >= 1; the windows of max_pool2d_backward_disjoint need STRIDE >= SIZE
#endif
#ifndef STRIDE_W
#define STRIDE_W 2
#endif
#ifndef PAD_H
#define PAD_H 0 // 0 .. SIZE_H - 1: every window holds at least one pixel
#endif
#ifndef PAD_W
#define PAD_W 0
#endif
#ifndef ADAPTIVE
#define ADAPTIVE 0 // 1: windows from the extents, without STRIDE and PAD; SIZE is the largest one
#endif
#ifndef VEC
#define VEC 4 // channels per vector: 1, 4, 8, 16; a rest of `channels` is done one by one
#endif

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define EPILOGUE_AT(row, col) (y + y_offset + (row)*y_columns + (col))
#define STORE_1(v, row, col) *EPILOGUE_AT(row, col) = (v)
#define STORE_4(v, row, col) vstore4((v), 0, EPILOGUE_AT(row, col))
#define STORE_8(v, row, col) vstore8((v), 0, EPILOGUE_AT(row, col))
#define STORE_16(v, row, col) vstore16((v), 0, EPILOGUE_AT(row, col))
#endif

/* What all kernels end with: sizes of the image and of the windows' result, and a work-item's
 * share. */
#define GEOMETRY ulong images, int H, int W, int C, int OH, int OW, int pixels, int channels

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if VEC == 1
#define FLOATV float
#define INTV int
#define LOADV LOAD_1
#define STORE_INTV(v, p) *(p) = (v)
#define AS_INTV as_int
#else
#define FLOATV JOIN(float, VEC)
#define INTV JOIN(int, VEC)
#define LOADV(p) JOIN(vload, VEC)(0, p)
#define STORE_INTV(v, p) JOIN(vstore, VEC)((v), 0, p)
#define AS_INTV JOIN(as_int, VEC)
#endif
#define LOAD_1(p) (*(p))
#define STOREV JOIN(STORE_, VEC)

/* A window: its corner in the image (negative in the padding) and the part that lies inside. */
typedef struct window {
    int y, x;
    int y0, y1, x0, x1; /* rows y0 .. y1 - 1 and columns x0 .. x1 - 1 of the window */
} window;

/* Along one axis: the first position of window o, that behind its last, and which windows cover
 * position i. Adaptive windows share `in` positions out among `out` windows and may overlap by one.
 */
#if ADAPTIVE
#define START(o, stride, pad, in, out) ((int)((long)(o) * (in) / (out)))
#define END(o, in, out) ((int)(((long)((o) + 1) * (in) + (out)-1) / (out)))
#define COVER_FIRST(i, size, stride, pad, in, out) START(i, 1, 0, out, in)
#define COVER_LAST(i, stride, pad, in, out) (END(i, out, in) - 1)
#else
#define START(o, stride, pad, in, out) ((o) * (stride) - (pad))
#define COVER_FIRST(i, size, stride, pad, in, out)                                                 \
    (max((i) + (pad) - (size) + (stride), 0) / (stride))
#define COVER_LAST(i, stride, pad, in, out) min(((i) + (pad)) / (stride), (out)-1)
#endif
#define START_H(oy) START(oy, STRIDE_H, PAD_H, H, OH)
#define START_W(ox) START(ox, STRIDE_W, PAD_W, W, OW)

static inline window window_at(int oy, int ox, int H, int W, int OH, int OW)
{
    window w;
    w.y = START_H(oy);
    w.x = START_W(ox);
#if ADAPTIVE
    w.y0 = w.x0 = 0;
    w.y1 = END(oy, H, OH) - w.y;
    w.x1 = END(ox, W, OW) - w.x;
#else
    w.y0 = PAD_H ? max(0, -w.y) : 0;
    w.x0 = PAD_W ? max(0, -w.x) : 0;
    w.y1 = PAD_H ? min(SIZE_H, H - w.y) : SIZE_H;
    w.x1 = PAD_W ? min(SIZE_W, W - w.x) : SIZE_W;
#endif
    return w;
}

/* Element of channel c at row i and column j of the window. */
#define AT(w, i, j, W, C, c) (((long)((w).y + (i)) * (W) + (w).x + (j)) * (C) + (c))

/* NaN by its bits: comparisons with itself are folded away under fast-math. */
#define BEATS(AS_INT, v, best) (((v) > (best)) | ((AS_INT(v) & 0x7fffffff) > 0x7f800000))

/*
 * For one channel and for VEC of them:
 * at_max_: the value of v where x has its maximum in the window; x and v point to the image.
 * argmax_: its position i * SIZE_W + j.
 * window_sum_: the sum over the window.
 */
#define DEFINE_WINDOW_FUNCTIONS(n, F, I, LOAD, AS_INT)                                             \
    static inline F at_max_##n(__global const float *x, __global const float *v, window w, int W,  \
                               int C, int c)                                                       \
    {                                                                                              \
        F best = LOAD(x + AT(w, w.y0, w.x0, W, C, c)),                                             \
          result = LOAD(v + AT(w, w.y0, w.x0, W, C, c));                                           \
        for (int i = w.y0; i < w.y1; i++)                                                          \
            for (int j = w.x0; j < w.x1; j++) {                                                    \
                const F value = LOAD(x + AT(w, i, j, W, C, c));                                    \
                const I beats = BEATS(AS_INT, value, best);                                        \
                best = select(best, value, beats);                                                 \
                result = select(result, LOAD(v + AT(w, i, j, W, C, c)), beats);                    \
            }                                                                                      \
        return result;                                                                             \
    }                                                                                              \
    static inline I argmax_##n(__global const float *x, window w, int W, int C, int c)             \
    {                                                                                              \
        F best = LOAD(x + AT(w, w.y0, w.x0, W, C, c));                                             \
        I result = w.y0 * SIZE_W + w.x0;                                                           \
        for (int i = w.y0; i < w.y1; i++)                                                          \
            for (int j = w.x0; j < w.x1; j++) {                                                    \
                const F value = LOAD(x + AT(w, i, j, W, C, c));                                    \
                const I beats = BEATS(AS_INT, value, best);                                        \
                best = select(best, value, beats);                                                 \
                result = select(result, (I)(i * SIZE_W + j), beats);                               \
            }                                                                                      \
        return result;                                                                             \
    }                                                                                              \
    static inline F window_sum_##n(__global const float *x, window w, int W, int C, int c)         \
    {                                                                                              \
        F sum = 0.0f;                                                                              \
        for (int i = w.y0; i < w.y1; i++)                                                          \
            for (int j = w.x0; j < w.x1; j++) sum += LOAD(x + AT(w, i, j, W, C, c));               \
        return sum;                                                                                \
    }
DEFINE_WINDOW_FUNCTIONS(one, float, int, LOAD_1, as_int)
DEFINE_WINDOW_FUNCTIONS(vec, FLOATV, INTV, LOADV, AS_INTV)

/*
 * The work-item's share: image n, pixels first .. last - 1 of EH x EW, channels c0 .. c1 - 1. Ids
 * run over channels, then pixels, then images: one dimension, because devices limit the others.
 */
#define SHARE(EH, EW)                                                                              \
    const uint blocks = (C + channels - 1) / channels;                                             \
    const uint shares = blocks * (((EH) * (EW) + pixels - 1) / pixels);                            \
    const ulong n = WHERE_X / shares;                                                              \
    if (n >= images) return;                                                                       \
    const uint share = (uint)(WHERE_X - n * shares);                                               \
    const int first = (int)(share / blocks) * pixels;                                              \
    const int last = min(first + pixels, (EH) * (EW));                                             \
    const int c0 = (int)(share % blocks) * channels;                                               \
    const int c1 = min(c0 + channels, C);
/* Visits the share's pixels as (py, px), without a division for each. */
#define FOR_PIXELS(EW)                                                                             \
    for (int p = first, py = first / (EW), px = first % (EW); p < last;                            \
         p++, px = px + 1 < (EW) ? px + 1 : 0, py += px == 0)
/* Visits channels c0 .. c1 - 1 of a pixel: `vec` for VEC channels from c, then `one` for the rest.
 */
#define FOR_CHANNELS(vec, one)                                                                     \
    int c = c0;                                                                                    \
    for (; c + VEC <= c1; c += VEC) {                                                              \
        vec;                                                                                       \
    }                                                                                              \
    for (; c < c1; c++) {                                                                          \
        one;                                                                                       \
    }

/* (N, H, W, C) -> (N, OH, OW, C) */
ENTRY void max_pool2d(WHERE_PARAMS __global const float *x, ulong x_offset,
                      GEOMETRY EPILOGUE_PARAMS)
{
    SHARE(OH, OW)
    __global const float *image = x + x_offset + n * H * W * C;
    FOR_PIXELS(OW)
    {
        const window w = window_at(py, px, H, W, OH, OW);
        const ulong row = (n * OH + py) * OW + px;
        FOR_CHANNELS(STOREV(at_max_vec(image, image, w, W, C, c), row, c),
                     STORE_1(at_max_one(image, image, w, W, C, c), row, c))
    }
}

/* x, v (N, H, W, C) -> (N, OH, OW, C): v where x is largest. */
ENTRY void max_pool2d_gather(WHERE_PARAMS __global const float *x, ulong x_offset,
                             __global const float *v, ulong v_offset, GEOMETRY EPILOGUE_PARAMS)
{
    SHARE(OH, OW)
    __global const float *image = x + x_offset + n * H * W * C;
    __global const float *values = v + v_offset + n * H * W * C;
    FOR_PIXELS(OW)
    {
        const window w = window_at(py, px, H, W, OH, OW);
        const ulong row = (n * OH + py) * OW + px;
        FOR_CHANNELS(STOREV(at_max_vec(image, values, w, W, C, c), row, c),
                     STORE_1(at_max_one(image, values, w, W, C, c), row, c))
    }
}

/*
 * Windows that do not overlap (STRIDE >= SIZE): the work-item owns windows, and with each the
 * pixels from its corner to the next window's (the last ones: to the end of the image), so that dx
 * (N, H, W, C) is covered once, with zeros between windows. One pass over x, g and dx.
 */
ENTRY void max_pool2d_backward_disjoint(WHERE_PARAMS __global const float *x, ulong x_offset,
                                        __global const float *g, ulong g_offset,
                                        GEOMETRY EPILOGUE_PARAMS)
{
    SHARE(OH, OW)
    __global const float *image = x + x_offset + n * H * W * C;
    FOR_PIXELS(OW)
    {
        const window w = window_at(py, px, H, W, OH, OW);
        const int y_end = py + 1 < OH ? w.y + STRIDE_H : H;
        const int x_end = px + 1 < OW ? w.x + STRIDE_W : W;
        __global const float *gradient = g + g_offset + ((n * OH + py) * OW + px) * C;
/* Position of the pixel (iy, ix) in the window; -1, which no maximum has, outside. */
#define CELL(iy, ix) ((iy)-w.y < SIZE_H && (ix)-w.x < SIZE_W ? ((iy)-w.y) * SIZE_W + (ix)-w.x : -1)
#define STORE_CELL(STORE, F, I, value, position)                                                   \
    const F given = value;                                                                         \
    const I maximum = position;                                                                    \
    for (int iy = w.y + w.y0; iy < y_end; iy++)                                                    \
        for (int ix = w.x + w.x0; ix < x_end; ix++) {                                              \
            const I here = maximum == CELL(iy, ix);                                                \
            STORE(select((F)0.0f, given, here), (n * H + iy) * W + ix, c);                         \
        }
        FOR_CHANNELS(
            STORE_CELL(STOREV, FLOATV, INTV, LOADV(gradient + c), argmax_vec(image, w, W, C, c)),
            STORE_CELL(STORE_1, float, int, gradient[c], argmax_one(image, w, W, C, c)))
    }
}

/* x (N, H, W, C) -> position of the maximum in its window, (N, OH, OW, C) ints. */
ENTRY void max_pool2d_positions(WHERE_PARAMS __global const float *x, ulong x_offset,
                                __global int *position, ulong position_offset, GEOMETRY)
{
    SHARE(OH, OW)
    __global const float *image = x + x_offset + n * H * W * C;
    FOR_PIXELS(OW)
    {
        const window w = window_at(py, px, H, W, OH, OW);
        __global int *out = position + position_offset + ((n * OH + py) * OW + px) * C;
        FOR_CHANNELS(STORE_INTV(argmax_vec(image, w, W, C, c), out + c),
                     out[c] = argmax_one(image, w, W, C, c))
    }
}

/* Windows oy0 .. oy1 and ox0 .. ox1 cover the pixel (py, px) of the image. */
#define COVERING                                                                                   \
    const int oy0 = COVER_FIRST(py, SIZE_H, STRIDE_H, PAD_H, H, OH);                               \
    const int ox0 = COVER_FIRST(px, SIZE_W, STRIDE_W, PAD_W, W, OW);                               \
    const int oy1 = COVER_LAST(py, STRIDE_H, PAD_H, H, OH);                                        \
    const int ox1 = COVER_LAST(px, STRIDE_W, PAD_W, W, OW);

/* position, g (N, OH, OW, C) -> dx (N, H, W, C), for windows that overlap. */
ENTRY void max_pool2d_backward(WHERE_PARAMS __global const int *position, ulong position_offset,
                               __global const float *g, ulong g_offset, GEOMETRY EPILOGUE_PARAMS)
{
    SHARE(H, W)
    __global const int *positions = position + position_offset + n * OH * OW * C;
    __global const float *gradients = g + g_offset + n * OH * OW * C;
    FOR_PIXELS(W)
    {
        COVERING
        const ulong row = (n * H + py) * W + px;
#define STORE_COVERED(STORE, F, I, LOAD)                                                           \
    F sum = 0.0f;                                                                                  \
    for (int oy = oy0; oy <= oy1; oy++)                                                            \
        for (int ox = ox0; ox <= ox1; ox++) {                                                      \
            const int here = (py - START_H(oy)) * SIZE_W + px - START_W(ox);                       \
            const long at = ((long)oy * OW + ox) * C + c;                                          \
            const I hit = LOAD(positions + at) == here;                                            \
            sum += select((F)0.0f, LOAD(gradients + at), hit);                                     \
        }                                                                                          \
    STORE(sum, row, c)
        FOR_CHANNELS(STORE_COVERED(STOREV, FLOATV, INTV, LOADV),
                     STORE_COVERED(STORE_1, float, int, LOAD_1))
    }
}

/* A window's mean from its sum; an adaptive window's own size counts, else all of the window: the
 * padding's zeros too. */
#if ADAPTIVE
#define MEAN(sum, w) ((sum) / (float)((w).y1 * (w).x1))
#else
#define SCALE (1.0f / (SIZE_H * SIZE_W))
#define MEAN(sum, w) ((sum)*SCALE)
#endif

/* (N, H, W, C) -> (N, OH, OW, C) */
ENTRY void average_pool2d(WHERE_PARAMS __global const float *x, ulong x_offset,
                          GEOMETRY EPILOGUE_PARAMS)
{
    SHARE(OH, OW)
    __global const float *image = x + x_offset + n * H * W * C;
    FOR_PIXELS(OW)
    {
        const window w = window_at(py, px, H, W, OH, OW);
        const ulong row = (n * OH + py) * OW + px;
        FOR_CHANNELS(STOREV(MEAN(window_sum_vec(image, w, W, C, c), w), row, c),
                     STORE_1(MEAN(window_sum_one(image, w, W, C, c), w), row, c))
    }
}

/* g (N, OH, OW, C) -> dx (N, H, W, C) */
ENTRY void average_pool2d_backward(WHERE_PARAMS __global const float *g, ulong g_offset,
                                   GEOMETRY EPILOGUE_PARAMS)
{
    SHARE(H, W)
    __global const float *gradients = g + g_offset + n * OH * OW * C;
    FOR_PIXELS(W)
    {
        COVERING
        const ulong row = (n * H + py) * W + px;
#if ADAPTIVE
#define STORE_SPREAD(STORE, F, LOAD, sum_)                                                         \
    F sum = 0.0f;                                                                                  \
    for (int oy = oy0; oy <= oy1; oy++)                                                            \
        for (int ox = ox0; ox <= ox1; ox++)                                                        \
            sum += MEAN(LOAD(gradients + ((long)oy * OW + ox) * C + c),                            \
                        window_at(oy, ox, H, W, OH, OW));                                          \
    STORE(sum, row, c)
#else
        const window covering = {0, 0, oy0, oy1 + 1, ox0, ox1 + 1};
#define STORE_SPREAD(STORE, F, LOAD, sum_)                                                         \
    STORE(MEAN(sum_(gradients, covering, OW, C, c), covering), row, c)
#endif
        FOR_CHANNELS(STORE_SPREAD(STOREV, FLOATV, LOADV, window_sum_vec),
                     STORE_SPREAD(STORE_1, float, LOAD_1, window_sum_one))
    }
}
