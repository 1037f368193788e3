/*
 * Affine warps of images (N, H, W, C) with bilinear sampling, and their transpose.
 *
 * matrix (N, 2, 3): from a place in the output, in pixels from the middle of the image, to the
 * place in the input that is seen there. The middle is at (extent - 1) / 2, so that mirroring and
 * shifts by whole pixels have exact coordinates and copy values to the bit.
 *
 * A work-item owns `pixels` pixels of one image. Rows of a shifted or mirrored image are runs of
 * pixels, of which only the first is looked for. The transpose scatters nothing: it owns a pixel of
 * dx and visits the output pixels that can see it, those in the bounding box of what the inverse
 * matrix makes of the pixel's neighbourhood (everything where there is no inverse).
 */
#include "entry.h"

#ifndef REPLICATE
#define REPLICATE 0 // outside of the image: 0 zeros, 1 the nearest pixel
#endif
#ifndef VEC
#define VEC 1 // channels per vector: 1, 4; divides the number of channels
#endif

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row)*y_columns + (col)] = (v)
#define STORE_4(v, row, col) vstore4((v), 0, y + y_offset + (row)*y_columns + (col))
#endif

#define GEOMETRY ulong images, int H, int W, int C, int OH, int OW, int pixels

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if VEC == 1
#define FLOATV float
#define LOADV(p) (*(p))
#else
#define FLOATV JOIN(float, VEC)
#define LOADV(p) JOIN(vload, VEC)(0, p)
#endif
#define STOREV JOIN(STORE_, VEC)

/* The four pixels around a place: rows y, y + 1, columns x, x + 1; weights of the second ones. */
typedef struct place {
    int y, x; /* -2 .. extent: one or both of the pair may be outside */
    float wy, wx;
} place;

static inline float middle(int extent)
{
    return 0.5f * (float)(extent - 1);
}

/* What the output's pixel (oy, ox) sees. */
static inline place place_of(const float *m, int oy, int ox, int H, int W, int OH, int OW)
{
    const float dy = (float)oy - middle(OH), dx = (float)ox - middle(OW);
    float sy = m[0] * dy + m[1] * dx + m[2] + middle(H);
    float sx = m[3] * dy + m[4] * dx + m[5] + middle(W);
    if (REPLICATE) {
        sy = clamp(sy, 0.0f, (float)(H - 1));
        sx = clamp(sx, 0.0f, (float)(W - 1));
    }
    place p;
    p.y = clamp(convert_int_sat(floor(sy)), -2, H);
    p.x = clamp(convert_int_sat(floor(sx)), -2, W);
    p.wy = sy - floor(sy);
    p.wx = sx - floor(sx);
    return p;
}

static inline FLOATV pixel(__global const float *image, int y, int x, int H, int W, int C)
{
    return (y >= 0 && y < H && x >= 0 && x < W) ? LOADV(image + ((long)y * W + x) * C)
                                                : (FLOATV)(0.0f);
}

/* Pixels of no weight do not count, whatever they are. */
static inline FLOATV sample(__global const float *image, place p, int H, int W, int C)
{
    if (p.wy == 0.0f && p.wx == 0.0f) return pixel(image, p.y, p.x, H, W, C);
    const FLOATV above = pixel(image, p.y, p.x, H, W, C) * (1.0f - p.wy) +
                         pixel(image, p.y + 1, p.x, H, W, C) * p.wy;
    const FLOATV above_right = pixel(image, p.y, p.x + 1, H, W, C) * (1.0f - p.wy) +
                               pixel(image, p.y + 1, p.x + 1, H, W, C) * p.wy;
    return above * (1.0f - p.wx) + above_right * p.wx;
}

/* The work-item's share: image n and its pixels first .. last - 1 of EH x EW; the matrix in m. */
#define SHARE(EH, EW)                                                                              \
    const uint shares = ((EH) * (EW) + pixels - 1) / pixels;                                       \
    const ulong n = WHERE_X / shares;                                                              \
    if (n >= images) return;                                                                       \
    const int first = (int)(WHERE_X - n * shares) * pixels;                                        \
    const int last = min(first + pixels, (EH) * (EW));                                             \
    float m[6];                                                                                    \
    for (int i = 0; i < 6; i++) m[i] = matrix[matrix_offset + n * 6 + i];

/*
 * Whether the output's row is seen in pixels side by side, forwards or backwards, of a row of the
 * input: `at` is the column of one of them. Multiples of a half are exact, and so are the others'.
 */
static inline bool is_run(const float *m, float at, float wy)
{
    const bool moves = m[1] == 0.0f && m[3] == 0.0f && fabs(m[4]) == 1.0f;
    return moves && fabs(m[5]) < 1048576.0f && 2.0f * m[5] == floor(2.0f * m[5]) &&
           at == floor(at) && wy == 0.0f;
}

/* x (N, H, W, C) -> (N, OH, OW, C) */
ENTRY void affine_warp(WHERE_PARAMS __global const float *x, ulong x_offset,
                       __global const float *matrix, ulong matrix_offset, GEOMETRY EPILOGUE_PARAMS)
{
    SHARE(OH, OW)
    __global const float *image = x + x_offset + n * H * W * C;
    for (int i = first; i < last;) {
        const int oy = i / OW, ox = i - oy * OW;
        place p = place_of(m, oy, ox, H, W, OH, OW);
        const float at = m[4] * ((float)ox - middle(OW)) + m[5] + middle(W);
        const bool run = is_run(m, at, p.wy);
        const int end = run ? min(last, i - ox + OW) : i + 1, step = m[4] < 0.0f ? -1 : 1;
        for (int column = run ? (int)at : 0; i < end; i++, column += step) {
            if (run) p.x = REPLICATE ? clamp(column, 0, W - 1) : column;
            for (int c = 0; c < C; c += VEC)
                STOREV(sample(image + c, p, H, W, C), n * OH * OW + i, c);
        }
    }
}

/* Rows y0 .. y1 - 1, columns x0 .. x1 - 1 of the output. */
typedef struct box {
    int y0, y1, x0, x1;
} box;

/* Where the output sees the input's row (or column) i: from *lo to *hi around its middle. */
static inline void seen_from(int i, int extent, float shift, float reach, float *lo, float *hi)
{
    *lo = (float)(i - 1) - middle(extent);
    *hi = (float)(i + 1) - middle(extent);
    if (REPLICATE && i == 0) *lo = min(*lo, shift - reach);
    if (REPLICATE && i == extent - 1) *hi = max(*hi, shift + reach);
}

/* Bounds of the output pixels around `at` (from the middle), one more on each side for rounding. */
static inline int2 bounds(float at, float half_width, int extent)
{
    const float low = floor(at - half_width + middle(extent)) - 1.0f;
    const float high = ceil(at + half_width + middle(extent)) + 2.0f;
    return (int2)(clamp(convert_int_sat(low), 0, extent), clamp(convert_int_sat(high), 0, extent));
}

/* The output pixels that can see the input's pixel (iy, ix). */
static inline box seers(const float *m, int iy, int ix, int H, int W, int OH, int OW)
{
    const float det = m[0] * m[4] - m[1] * m[3];
    const box all = {0, OH, 0, OW};
    float y_lo, y_hi, x_lo, x_hi;
    if (!(fabs(det) > 1e-3f)) return all;
    const float hy = middle(OH), hx = middle(OW);
    seen_from(iy, H, m[2], fabs(m[0]) * hy + fabs(m[1]) * hx, &y_lo, &y_hi);
    seen_from(ix, W, m[5], fabs(m[3]) * hy + fabs(m[4]) * hx, &x_lo, &x_hi);
    const float cy = 0.5f * (y_lo + y_hi) - m[2], cx = 0.5f * (x_lo + x_hi) - m[5];
    const float ry = 0.5f * (y_hi - y_lo), rx = 0.5f * (x_hi - x_lo), s = 1.0f / fabs(det);
    const int2 rows =
        bounds((m[4] * cy - m[1] * cx) / det, s * (fabs(m[4]) * ry + fabs(m[1]) * rx), OH);
    const int2 columns =
        bounds((m[0] * cx - m[3] * cy) / det, s * (fabs(m[3]) * ry + fabs(m[0]) * rx), OW);
    const box b = {rows.x, rows.y, columns.x, columns.y};
    return b;
}

/* Weight of the input's row (or column) i for a place between `at` and `at` + 1. */
static inline float weight_at(int i, int at, float w)
{
    return i == at ? 1.0f - w : i == at + 1 ? w : 0.0f;
}

/* g (N, OH, OW, C) -> dx (N, H, W, C) */
ENTRY void affine_warp_backward(WHERE_PARAMS __global const float *g, ulong g_offset,
                                __global const float *matrix, ulong matrix_offset,
                                GEOMETRY EPILOGUE_PARAMS)
{
    SHARE(H, W)
    __global const float *image = g + g_offset + n * OH * OW * C;
    for (int i = first; i < last; i++) {
        const int iy = i / W, ix = i % W;
        const box b = seers(m, iy, ix, H, W, OH, OW);
        for (int c = 0; c < C; c += VEC) {
            FLOATV sum = (FLOATV)(0.0f);
            for (int oy = b.y0; oy < b.y1; oy++)
                for (int ox = b.x0; ox < b.x1; ox++) {
                    const place p = place_of(m, oy, ox, H, W, OH, OW);
                    const float w = weight_at(iy, p.y, p.wy) * weight_at(ix, p.x, p.wx);
                    if (w != 0.0f) sum += w * LOADV(image + ((long)oy * OW + ox) * C + c);
                }
            STOREV(sum, n * H * W + i, c);
        }
    }
}
