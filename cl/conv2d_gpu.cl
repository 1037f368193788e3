/*
 * Convolution on GPUs, forward (y from x and w) and backward data (dx from dy and w), as one
 * implicit matrix product: rows are pixels of the result, columns its channels in a group, and the
 * reduction runs over the taps of the window and the source's channels in a group.
 *
 * Both passes are a walk over source positions: along each axis, pixel q of the result looks at
 * origin + q * stride + t * spread for the taps t. Forward that is -pad + q * S + t * D. Backward,
 * pixel i of dx gets dy[o] w[k] where o * S - pad + k * D = i, so which taps there are depends on
 * (i + pad) mod S: pixels are dealt out to that many phases, each with its own taps and none in
 * vain. Work-groups are numbered along columns, rows, phases, groups.
 */
#include "tile_gpu.h"
#include "windows_gpu.h"
#ifndef BACKWARD
#define BACKWARD 0 // 1: backward data
#endif

/* One axis of one phase. */
typedef struct axis {
    int origin, stride, taps, spread; // as above
    int first, step, count;           // pixels of the result: first + q * step for q < count
    int tap_first, tap_step;          // position in w of tap t: tap_first + t * tap_step
} axis;

static inline axis forward_axis(int K, int S, int pad, int D, int result)
{
    const axis a = {-pad, S, K, D, 0, 1, result, 0, 1};
    return a;
}

/* Taps k of phase r have k * D mod S = r: one in each run of S / gcd(S, D), or none. */
static inline axis backward_axis(int K, int S, int pad, int D, int result, int r)
{
    axis a;
    int gcd = S;
    for (int rest = D; rest != 0;) {
        const int next = gcd % rest;
        gcd = rest;
        rest = next;
    }
    a.tap_step = S / gcd;
    int k = 0;
    while (k < K && k < a.tap_step && k * D % S != r) k++;
    a.tap_first = k;
    a.taps = k < K && k < a.tap_step ? (K - k + a.tap_step - 1) / a.tap_step : 0;
    a.first = (r + (pad / S + 1) * S - pad) % S;
    a.step = S;
    a.count = (result + S - 1) / S;
    a.origin = (a.first + pad - r) / S - (k * D - r) / S;
    a.stride = 1;
    a.spread = -(D / gcd);
    return a;
}

/* Spot of the result's pixel p, counted through the images of the phase; `other` is its row. */
static inline spot find_pixel(ulong p, ulong images, axis v, axis h, int H, int W, int C, int RH,
                              int RW, int channel)
{
    const ulong line = p / h.count, n = line / v.count;
    const int qy = (int)(line % v.count), qx = (int)(p % h.count);
    const int ry = v.first + qy * v.step, rx = h.first + qx * h.step;
    const int y = v.origin + qy * v.stride, x = h.origin + qx * h.stride;
    const spot outside = {NOWHERE, 0, 0, -1};
    if (n >= images || ry >= RH || rx >= RW) return outside;
    const spot s = {y, x, (((long)n * H + y) * W + x) * C + channel, ((long)n * RH + ry) * RW + rx};
    return s;
}

/* Spot of step k of the reduction, relative to a pixel's; `other` is where its weights begin. */
static inline spot find_step(int k, axis v, axis h, int W, int C, int CG, int KW, long w_tap,
                             long w_channel)
{
    const int c = k % CG, t = k / CG;
    const int ty = t / h.taps, tx = t % h.taps;
    const spot outside = {NOWHERE, 0, 0, 0};
    if (ty >= v.taps) return outside;
    const int y = ty * v.spread, x = tx * h.spread;
    const long tap = (long)(v.tap_first + ty * v.tap_step) * KW + h.tap_first + tx * h.tap_step;
    const spot s = {y, x, ((long)y * W + x) * C + c, tap * w_tap + c * w_channel};
    return s;
}

/* Backward: w[step's other + n * stride] for the columns n; VEC steps are adjacent. */
static inline void load_weights_across(__local float4 *tile, __global const float *w, ulong stride,
                                       __local const spot *steps, int n_left, int item)
{
    for (int v = item; v < TILE_K / VEC * TILE_N; v += ITEMS) {
        const int k = v % (TILE_K / VEC) * VEC, n = v / (TILE_K / VEC);
        const bool there = n < n_left && steps[k].y != NOWHERE;
        const loaded value = there ? LOAD(w + steps[k].other + n * stride) : (loaded)(0.0f);
#if VEC == 4
        tile_scatter(tile, TILE_N, k, n, value);
#else
        ((__local float *)(tile + k * B_LINE))[n] = value;
#endif
    }
}

/*
 * source (images, H, W, C), result (images, RH, RW, columns); w (KH, KW, IC / groups, OC). CG, NG:
 * channels of source and result in one group; OC: w's last extent.
 */
__attribute__((reqd_work_group_size(ITEMS, 1, 1)))
__kernel void conv2d(__global const float *source, ulong source_offset, __global const float *w,
                     ulong w_offset, ulong images, int H, int W, int C, int RH, int RW, int CG,
                     int NG, int OC, int KH, int KW, int SH, int SW, int pad_h, int pad_w, int DH,
                     int DW EPILOGUE_PARAMS)
{
    __local float4 a_tile[TILE_K * A_LINE], b_tile[TILE_K * B_LINE];
    __local spot rows[TILE_M], steps[TILE_K];
    const int item = get_local_id(0);
    const int phases_h = BACKWARD ? SH : 1, phases_w = BACKWARD ? SW : 1;
    const ulong pixels = images * ((RH + phases_h - 1) / phases_h) * ((RW + phases_w - 1) / phases_w);
    const ulong across = (NG + TILE_N - 1) / TILE_N, down = (pixels + TILE_M - 1) / TILE_M;
    const ulong id = get_group_id(0), sheet = id / (across * down);
    const int n0 = (int)(id % across) * TILE_N;
    const ulong p0 = id / across % down * TILE_M;
    const int g = (int)(sheet / (phases_h * phases_w));
#if BACKWARD
    const int phase = (int)(sheet % (phases_h * phases_w));
    const axis v = backward_axis(KH, SH, pad_h, DH, RH, phase / SW);
    const axis h = backward_axis(KW, SW, pad_w, DW, RW, phase % SW);
    const long w_tap = (long)NG * OC, w_channel = 1;
    w += w_offset + (ulong)n0 * OC + g * CG;
#else
    const axis v = forward_axis(KH, SH, pad_h, DH, RH), h = forward_axis(KW, SW, pad_w, DW, RW);
    const long w_tap = (long)CG * OC, w_channel = OC;
    w += w_offset + g * NG + n0;
#endif
    const int K = v.taps * h.taps * CG;
    source += source_offset;
    for (int m = item; m < TILE_M; m += ITEMS)
        rows[m] = find_pixel(p0 + m, images, v, h, H, W, C, RH, RW, g * CG);
    accumulators sums;
    tile_clear(sums);
    for (int k0 = 0; k0 < K; k0 += TILE_K) {
        for (int k = item; k < TILE_K; k += ITEMS)
            steps[k] = find_step(k0 + k, v, h, W, C, CG, KW, w_tap, w_channel);
        barrier(CLK_LOCAL_MEM_FENCE);
        window_load_across(a_tile, source, rows, steps, H, W, item);
#if BACKWARD
        load_weights_across(b_tile, w, OC, steps, NG - n0, item);
#else
        tile_load_along(b_tile, TILE_N, w + (ulong)k0 * OC, OC, K - k0, NG - n0, item);
#endif
        barrier(CLK_LOCAL_MEM_FENCE);
        tile_multiply(sums, a_tile, b_tile, item);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    UNROLL for (int i = 0; i < ITEM_M; i++)
    {
        const long row = rows[ITEM_ROW(item, i)].other;
        if (row >= 0) {
            TILE_STORE_ROW(sums, item, i, row, n0, NG, g * NG)
        }
    }
}
