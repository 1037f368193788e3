/*
 * Convolution on GPUs, forward (y from x and w) and backward data (dx from dy and w), as one
 * implicit matrix product: rows are pixels of the result, columns its channels in a group, and the
 * reduction runs over the taps of the window and the source's channels in a group. Both passes are
 * the same walk over source positions (axis_gpu.h). Work-groups are numbered along columns, rows,
 * phases, groups, splits.
 *
 * Few pixels with many channels are too few tiles for a large device. The reduction is then dealt
 * out in `splits` runs; each writes sums of its own, to results one behind the other, which
 * sum_splits_gpu.cl adds.
 */
#include "tile_gpu.h"
#include "windows_gpu.h"
#include "axis_gpu.h"
#ifndef BACKWARD
#define BACKWARD 0 // 1: backward data
#endif

/* Where the result's pixel p, counted through the images of the phase, lies in the result, as a row
 * of all its pixels; -1 if nowhere. */
static inline long find_row(ulong p, ulong images, axis v, axis h, int RH, int RW)
{
    const ulong line = p / h.count, n = line / v.count;
    const int y = v.first + (int)(line % v.count) * v.step;
    const int x = h.first + (int)(p % h.count) * h.step;
    return n < images && y < RH && x < RW ? ((long)n * RH + y) * RW + x : -1;
}

/* And in the source, where its first tap would be. */
static inline spot find_pixel(ulong p, ulong images, axis v, axis h, int H, int W, int C,
                              int channel)
{
    const ulong line = p / h.count, n = line / v.count;
    const int y = v.origin + (int)(line % v.count) * v.stride;
    const int x = h.origin + (int)(p % h.count) * h.stride;
    const spot s = {n < images ? y : NOWHERE, x, (((long)n * H + y) * W + x) * C + channel};
    return s;
}

/* A step of the reduction: tap (ty, tx) of the window, channel c. */
typedef struct tap {
    int c, tx, ty;
} tap;

static inline tap find_step(int k, int CG, int taps)
{
    const int t = k / CG;
    const tap s = {k % CG, t % taps, t / taps};
    return s;
}

static inline tap next_step(tap s, int CG, int taps)
{
    for (s.c += TILE_K; s.c >= CG; s.c -= CG)
        if (++s.tx == taps) {
            s.tx = 0;
            s.ty++;
        }
    return s;
}

/* Its spot relative to a pixel's. */
static inline spot step_spot(tap s, axis v, axis h, int W, int C, int end)
{
    const int y = s.ty * v.spread, x = s.tx * h.spread;
    const spot outside = {NOWHERE, 0, 0}, inside = {y, x, ((long)y * W + x) * C + s.c};
    return s.ty < v.taps && end > 0 ? inside : outside;
}

/* Its position in w, where taps lie `apart`, channels `channel` elements from each other. */
static inline long step_weights(tap s, axis v, axis h, int KW, long apart, long channel)
{
    const long at = (long)(v.tap_first + s.ty * v.tap_step) * KW + h.tap_first + s.tx * h.tap_step;
    return at * apart + s.c * channel;
}

/* The steps that a work-item fetches, from k0 on; `left` of them before the end. */
#define FETCH_SOURCE(left)                                                                         \
    UNROLL for (int i = 0; i < A_LOADS; i++)                                                       \
        a_next[i] = window_load(                                                                   \
            source, pixels_at[i / OWN_STEPS],                                                      \
            step_spot(steps[i % OWN_STEPS], v, h, W, C, (left)-STEP_OF(item, i)), H, W)

#if BACKWARD
/* Column n of step k is w[step + n * OC]: adjacent steps lie side by side. */
#define FETCH_WEIGHTS(k0, left)                                                                    \
    UNROLL for (int i = 0; i < B_LOADS; i++)                                                       \
    {                                                                                              \
        const int n = ROW_OF(item, i);                                                             \
        const bool there = n < NG - n0 && STEP_OF(item, i) < (left);                               \
        const long at = step_weights(steps[i % OWN_STEPS], v, h, KW, (long)NG * OC, 1);            \
        b_next[i] = there ? LOAD(w + at + (long)n * OC) : (loaded)(0.0f);                          \
    }
#define PUT_WEIGHTS PUT_ACROSS(b_tile, B_LINE, b_next, B_LOADS)
#else
/* All steps' weights lie one line below the other. */
#define FETCH_WEIGHTS(k0, left)                                                                    \
    b_fetch_along(b_next, w + (long)(k0)*OC, OC, left, NG - n0, item)
#define PUT_WEIGHTS b_put_along(b_tile, b_next, item);
#endif

/*
 * source (images, H, W, C), result (images, RH, RW, columns); w (KH, KW, IC / groups, OC). CG, NG:
 * channels of source and result in one group; OC: w's last extent.
 */
__attribute__((reqd_work_group_size(ITEMS, 1, 1)))
__kernel void conv2d(__global const float *source, ulong source_offset, __global const float *w,
                     ulong w_offset, ulong images, int groups, int splits, int H, int W, int C,
                     int RH, int RW, int CG, int NG, int OC, int KH, int KW, int SH, int SW,
                     int pad_h, int pad_w, int DH, int DW EPILOGUE_PARAMS)
{
    __local float4 a_tile[TILE_K * A_LINE], b_tile[TILE_K * B_LINE];
    __local long rows[TILE_M];
    const int item = get_local_id(0);
    const int phases_h = BACKWARD ? SH : 1, phases_w = BACKWARD ? SW : 1;
    const ulong pixels = images * ((RH + phases_h - 1) / phases_h) * ((RW + phases_w - 1) / phases_w);
    const ulong across = (NG + TILE_N - 1) / TILE_N, down = (pixels + TILE_M - 1) / TILE_M;
    const ulong id = get_group_id(0);
    const int sheet = (int)(id / (across * down)), phases = phases_h * phases_w;
    const int n0 = (int)(id % across) * TILE_N;
    const ulong p0 = id / across % down * TILE_M;
    const int g = sheet / phases % groups, split = sheet / phases / groups;
#if BACKWARD
    const int phase = sheet % phases;
    const axis v = backward_axis(KH, SH, pad_h, DH, RH, phase / SW);
    const axis h = backward_axis(KW, SW, pad_w, DW, RW, phase % SW);
    w += w_offset + (ulong)n0 * OC + g * CG;
#else
    const axis v = forward_axis(KH, SH, pad_h, DH, RH), h = forward_axis(KW, SW, pad_w, DW, RW);
    w += w_offset + g * NG + n0;
#endif
    const int K = v.taps * h.taps * CG;
    const int begin = split_begin(K, split, splits), end = split_begin(K, split + 1, splits);
    source += source_offset;
    for (int m = item; m < TILE_M; m += ITEMS) rows[m] = find_row(p0 + m, images, v, h, RH, RW);
    spot pixels_at[A_LOADS / OWN_STEPS];
    UNROLL for (int i = 0; i < A_LOADS / OWN_STEPS; i++) pixels_at[i] =
        find_pixel(p0 + ROW_OF(item, i * OWN_STEPS), images, v, h, H, W, C, g * CG);
    accumulators sums;
    tile_clear(sums);
    tap steps[OWN_STEPS];
    loaded a_next[A_LOADS];
#if BACKWARD
    loaded b_next[B_LOADS];
#else
    float4 b_next[B_FETCHES];
#endif
    const int taps = max(h.taps, 1); // some phases have none, and no step before the end then
    UNROLL for (int i = 0; i < OWN_STEPS; i++) steps[i] =
        find_step(begin + STEP_OF(item, i), CG, taps);
    FETCH_SOURCE(end - begin);
    FETCH_WEIGHTS(begin, end - begin);
    int k0 = begin;
    do { // never skipped: see tile_gpu.h
        barrier(CLK_LOCAL_MEM_FENCE);
        PUT_ACROSS(a_tile, A_LINE, a_next, A_LOADS)
        PUT_WEIGHTS
        barrier(CLK_LOCAL_MEM_FENCE);
        k0 += TILE_K;
        UNROLL for (int i = 0; i < OWN_STEPS; i++) steps[i] = next_step(steps[i], CG, taps);
        FETCH_SOURCE(end - k0);
        FETCH_WEIGHTS(k0, end - k0);
        tile_multiply(sums, a_tile, b_tile, item);
    } while (k0 < end);
    UNROLL for (int i = 0; i < ITEM_M; i++)
    {
        const long row = rows[ITEM_ROW(item, i)];
        if (row >= 0) {
            TILE_STORE_ROW(sums, item, i, split * images * RH * RW + row, n0, NG, g * NG)
        }
    }
}
