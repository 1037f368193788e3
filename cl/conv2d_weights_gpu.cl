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
    const spot s = {t < KH * KW ? y : NOWHERE, x, ((long)y * W + x) * C + c, 0};
    return s;
}

/* Spot in x of pixel p of dy, counted through the images. */
static inline spot find_pixel(ulong p, ulong end, int H, int W, int C, int OH, int OW, int SH,
                              int SW, int pad_h, int pad_w, int channel)
{
    const ulong line = p / OW, n = line / OH;
    const int y = (int)(line % OH) * SH - pad_h, x = (int)(p % OW) * SW - pad_w;
    const spot s = {p < end ? y : NOWHERE, x, (((long)n * H + y) * W + x) * C + channel, 0};
    return s;
}

/* pixels: of dy in all images; run: pixels of a split, a multiple of TILE_K. */
__attribute__((reqd_work_group_size(ITEMS, 1, 1)))
__kernel void conv2d_weights(__global const float *x, ulong x_offset, __global const float *dy,
                             ulong dy_offset, __global float *parts, ulong parts_offset,
                             ulong pixels, ulong run, int splits, int H, int W, int C, int OH,
                             int OW, int OC, int CG, int NG, int KH, int KW, int SH, int SW,
                             int pad_h, int pad_w, int DH, int DW)
{
    __local float4 a_tile[TILE_K * A_LINE], b_tile[TILE_K * B_LINE];
    __local spot rows[TILE_M], steps[TILE_K];
    const int item = get_local_id(0), M = KH * KW * CG;
    const int across = (NG + TILE_N - 1) / TILE_N, down = (M + TILE_M - 1) / TILE_M;
    const ulong id = get_group_id(0), sheet = id / ((ulong)across * down);
    const int n0 = (int)(id % across) * TILE_N, m0 = (int)(id / across % down) * TILE_M;
    const int split = (int)(sheet % splits), g = (int)(sheet / splits);
    const ulong first = split * run, end = min(first + run, pixels);
    x += x_offset;
    dy += dy_offset + g * NG + n0;
    parts += parts_offset + (ulong)split * M * OC + g * NG;
    for (int m = item; m < TILE_M; m += ITEMS)
        rows[m] = find_tap(m0 + m, W, C, CG, KH, KW, DH, DW);
    accumulators sums;
    tile_clear(sums);
    for (ulong p0 = first; p0 < end; p0 += TILE_K) {
        for (int k = item; k < TILE_K; k += ITEMS)
            steps[k] = find_pixel(p0 + k, end, H, W, C, OH, OW, SH, SW, pad_h, pad_w, g * CG);
        barrier(CLK_LOCAL_MEM_FENCE);
        window_load_along(a_tile, x, rows, steps, H, W, item);
        tile_load_along(b_tile, TILE_N, dy + p0 * OC, OC, (long)(end - p0), NG - n0, item);
        barrier(CLK_LOCAL_MEM_FENCE);
        tile_multiply(sums, a_tile, b_tile, item);
    }
    UNROLL for (int i = 0; i < ITEM_M; i++)
    {
        const int row = m0 + ITEM_ROW(item, i);
        UNROLL for (int j = 0; j < ITEM_N / 4; j++)
        {
            const int col = n0 + ITEM_COLUMN(item, j);
            for (int e = 0; e < 4 && row < M && col + e < NG; e++)
                parts[(ulong)row * OC + col + e] = tile_element(sums[i][j], e);
        }
    }
}
