/*
 * Gradient of a convolution's weights on GPUs: dw (KH, KW, IC / groups, OC) from x (N, H, W, IC) and
 * dy (N, OH, OW, OC), as an implicit matrix product whose reduction runs over all pixels of dy: rows
 * are taps (position in the window, channel of x in the group), columns channels of dy.
 *
 * dw is small and the reduction long, so the pixels are dealt out in `splits` runs to more
 * work-groups; each writes its sums to `parts` (splits, rows, OC), and sum_splits_gpu.cl adds them in
 * a fixed order. Work-groups are numbered along columns, rows, splits, groups.
 */
#include "tile_gpu.h"
#include "windows_gpu.h"

/* Spot of row m: a tap, relative to a pixel. */
static inline spot find_tap(int m, int W, int C, int CG, int KH, int KW, int DH, int DW)
{
    const int c = m % CG, t = m / CG;
    const int y = t / KW * DH, x = t % KW * DW;
    const spot s = {t < KH * KW ? y : NOWHERE, x, ((long)y * W + x) * C + c};
    return s;
}

/* A pixel of dy: image n, (y, x). */
typedef struct pixel {
    long n;
    int y, x;
} pixel;

static inline pixel find_pixel(ulong p, int OH, int OW)
{
    const ulong line = p / OW;
    const pixel q = {(long)(line / OH), (int)(line % OH), (int)(p % OW)};
    return q;
}

static inline pixel next_pixel(pixel q, int OH, int OW)
{
    for (q.x += TILE_K; q.x >= OW; q.x -= OW)
        if (++q.y == OH) {
            q.y = 0;
            q.n++;
        }
    return q;
}

/* The pixels that a work-item fetches; `left` lines of the tile before the end. */
#define FETCH_IMAGES(left)                                                                         \
    UNROLL for (int i = 0; i < A_LOADS; i++)                                                       \
    {                                                                                              \
        const pixel q = pixels_at[i / OWN_RUNS];                                                   \
        const int y = q.y * SH - pad_h, x0 = q.x * SW - pad_w;                                     \
        const spot s = {LINE_OF(item, i) < (left) ? y : NOWHERE, x0,                               \
                        ((q.n * H + y) * W + x0) * C + g * CG};                                    \
        a_next[i] = window_load(x, taps[i % OWN_RUNS], s, H, W);                                   \
    }

/* pixels: of dy in all images; run: pixels of a split, a multiple of TILE_K. */
__attribute__((reqd_work_group_size(ITEMS, 1, 1)))
__kernel void conv2d_weights(__global const float *x, ulong x_offset, __global const float *dy,
                             ulong dy_offset, ulong pixels, ulong run, int splits, int H, int W,
                             int C, int OH, int OW, int OC, int CG, int NG, int KH, int KW, int SH,
                             int SW, int pad_h, int pad_w, int DH, int DW EPILOGUE_PARAMS)
{
    __local float4 a_tile[TILE_K * A_LINE], b_tile[TILE_K * B_LINE];
    const int item = get_local_id(0), M = KH * KW * CG;
    const int across = (NG + TILE_N - 1) / TILE_N, down = (M + TILE_M - 1) / TILE_M;
    const ulong id = get_group_id(0), sheet = id / ((ulong)across * down);
    const int n0 = (int)(id % across) * TILE_N, m0 = (int)(id / across % down) * TILE_M;
    const int split = (int)(sheet % splits), g = (int)(sheet / splits);
    const ulong first = split * run;
    const int end = (int)(min(first + run, pixels) - first); // counted from the split's first
    x += x_offset;
    dy += dy_offset + first * OC + g * NG + n0;
    spot taps[OWN_RUNS];
    UNROLL for (int i = 0; i < OWN_RUNS; i++) taps[i] =
        find_tap(m0 + RUN_OF(item, i), W, C, CG, KH, KW, DH, DW);
    pixel pixels_at[A_LOADS / OWN_RUNS];
    UNROLL for (int i = 0; i < A_LOADS / OWN_RUNS; i++) pixels_at[i] =
        find_pixel(first + LINE_OF(item, i * OWN_RUNS), OH, OW);
    accumulators sums;
    loaded a_next[A_LOADS];
    float4 b_next[B_FETCHES];
    tile_clear(sums);
    FETCH_IMAGES(end);
    b_fetch_along(b_next, dy, OC, end, NG - n0, item);
    int k0 = 0;
    do { // never skipped: see tile_gpu.h
        barrier(CLK_LOCAL_MEM_FENCE);
        PUT_ALONG(a_tile, a_next)
        b_put_along(b_tile, b_next, item);
        barrier(CLK_LOCAL_MEM_FENCE);
        k0 += TILE_K;
        dy += (ulong)TILE_K * OC;
        UNROLL for (int i = 0; i < A_LOADS / OWN_RUNS; i++) pixels_at[i] =
            next_pixel(pixels_at[i], OH, OW);
        FETCH_IMAGES(end - k0);
        b_fetch_along(b_next, dy, OC, end - k0, NG - n0, item);
        tile_multiply(sums, a_tile, b_tile, item);
    } while (k0 < end);
    UNROLL for (int i = 0; i < ITEM_M; i++)
    {
        const int row = m0 + ITEM_ROW(item, i);
        if (row < M) {
            TILE_STORE_ROW(sums, item, i, (ulong)split * M + row, n0, NG, g * NG)
        }
    }
}
