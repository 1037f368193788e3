/*
 * Convolution on GPUs for groups of few channels: a tile would be mostly empty, and there is little
 * to reuse. A work-item owns VEC adjacent channels of one result element and walks over the window;
 * neighbours own neighbouring channels. VEC = 4 is for depthwise convolutions that are not for
 * depthwise_gpu.cl, where adjacent channels of x, w and y belong together.
 *
 * x (images, H, W, C), w (KH, KW, CG, OC), y (images, OH, OW, OC); CG and NG: channels of x and y
 * in one group.
 */
#include "entry.h"
#include "load_four.h"
#ifndef VEC
#define VEC 1 // 1, or 4 if CG = NG = 1 and 4 divides C
#endif

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row)*y_columns + (col)] = (v)
#define STORE_4(v, row, col) vstore4((v), 0, y + y_offset + (row)*y_columns + (col))
#endif

#if VEC == 4
#define FLOATV float4
#define LOADV(p) load_four(p)
#define SAVEV(v, p) vstore4(v, 0, p)
#define STOREV STORE_4
#else
#define FLOATV float
#define LOADV(p) (*(p))
#define SAVEV(v, p) *(p) = (v)
#define STOREV STORE_1
#endif

#define GEOMETRY                                                                                   \
    ulong images, int H, int W, int C, int OH, int OW, int OC, int CG, int NG, int KH, int KW,     \
        int SH, int SW, int pad_h, int pad_w, int DH, int DW

/* Splits the global id into an image n, a pixel (py, px) of EH x EW, and the first channel c. */
#define SHARE(EH, EW, channels)                                                                    \
    const ulong row = WHERE_X / ((channels) / VEC);                                                \
    const int c = (int)(WHERE_X % ((channels) / VEC)) * VEC;                                       \
    const ulong line = row / (EW), n = line / (EH);                                                \
    const int py = (int)(line % (EH)), px = (int)(row % (EW));                                     \
    if (n >= images) return;

/* x, w -> y */
ENTRY void grouped_forward(WHERE_PARAMS __global const float *x, ulong x_offset,
                           __global const float *w, ulong w_offset, GEOMETRY EPILOGUE_PARAMS)
{
    SHARE(OH, OW, OC)
    const int first = c / NG * CG;
    FLOATV sum = 0.0f;
    for (int i = 0; i < KH; i++)
        for (int j = 0; j < KW; j++) {
            const int iy = py * SH - pad_h + i * DH, ix = px * SW - pad_w + j * DW;
            if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
            __global const float *from = x + x_offset + ((n * H + iy) * W + ix) * C + first;
            __global const float *weight = w + w_offset + ((ulong)i * KW + j) * CG * OC + c;
            for (int k = 0; k < CG; k++) sum += LOADV(from + k) * LOADV(weight + (ulong)k * OC);
        }
    STOREV(sum, row, (ulong)c);
}

/* dy, w -> dx */
ENTRY void grouped_data(WHERE_PARAMS __global const float *dy, ulong dy_offset,
                        __global const float *w, ulong w_offset, GEOMETRY EPILOGUE_PARAMS)
{
    SHARE(H, W, C)
    const int first = c / CG * NG;
    FLOATV sum = 0.0f;
    for (int i = 0; i < KH; i++)
        for (int j = 0; j < KW; j++) {
            const int y_step = py + pad_h - i * DH, x_step = px + pad_w - j * DW;
            if (y_step < 0 || x_step < 0 || y_step % SH != 0 || x_step % SW != 0) continue;
            const int oy = y_step / SH, ox = x_step / SW;
            if (oy >= OH || ox >= OW) continue;
            __global const float *from = dy + dy_offset + ((n * OH + oy) * OW + ox) * OC + first;
            __global const float *weight =
                w + w_offset + (((ulong)i * KW + j) * CG + c % CG) * OC + first;
            for (int k = 0; k < NG; k++) sum += LOADV(from + k) * LOADV(weight + k);
        }
    STOREV(sum, row, (ulong)c);
}

/*
 * x, dy -> parts (splits, KH, KW, CG, OC), which sum_splits_gpu.cl adds: the pixels of dy are dealt
 * out in runs of `run`.
 */
ENTRY void grouped_weights(WHERE_PARAMS __global const float *x, ulong x_offset,
                           __global const float *dy, ulong dy_offset, __global float *parts,
                           ulong parts_offset, ulong run, int splits, GEOMETRY)
{
    const int M = KH * KW * CG;
    const ulong id = WHERE_X, line = id / (OC / VEC);
    const int split = (int)(line / M), m = (int)(line % M), c = (int)(id % (OC / VEC)) * VEC;
    if (line / M >= splits) return;
    const int i = m / CG / KW * DH - pad_h, j = m / CG % KW * DW - pad_w;
    const int channel = c / NG * CG + m % CG;
    const ulong end = min((split + 1) * run, images * OH * OW);
    FLOATV sum = 0.0f;
    for (ulong p = split * run; p < end; p++) {
        const ulong row = p / OW, n = row / OH;
        const int iy = (int)(row % OH) * SH + i, ix = (int)(p % OW) * SW + j;
        if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
        sum += LOADV(x + x_offset + ((n * H + iy) * W + ix) * C + channel) *
               LOADV(dy + dy_offset + p * OC + c);
    }
    SAVEV(sum, parts + parts_offset + line * OC + c);
}
