/*
 * Depthwise convolution on GPUs: forward, backward data and backward weights. Every channel has its
 * own window, so there is nothing to multiply as matrices; what counts is to read little. A
 * work-item owns VEC adjacent channels and PIXELS adjacent pixels of a row: a column of the source
 * is loaded once for all taps and pixels that look at it, a weight once for all pixels. Neighbours
 * own neighbouring channels. What lies where along a row is known when the kernel is compiled.
 *
 * x (images, H, W, C), w (KH, KERNEL_W, 1, C), y (images, OH, OW, C).
 */
#include "entry.h"
#include "load_four.h"
#ifndef VEC
#define VEC 4 // channels: 1, or 4 if that divides C
#endif
#ifndef BACKWARD
#define BACKWARD 0 // 1: backward data
#endif
#ifndef PIXELS
#define PIXELS 4 // pixels of a work-item, from 1; backward data: a multiple of STRIDE_W
#endif
#ifndef KERNEL_W
#define KERNEL_W 3 // columns of the window, from 1
#endif
#ifndef STRIDE_W
#define STRIDE_W 1 // from 1
#endif
#ifndef DILATION_W
#define DILATION_W 1 // from 1
#endif
#ifndef GROUP
#define GROUP 64 // work-items of a group of depthwise_weights, a power of two
#endif

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row)*y_columns + (col)] = (v)
#define STORE_4(v, row, col) vstore4((v), 0, y + y_offset + (row)*y_columns + (col))
#endif

#if VEC == 4
#define FLOATV float4
#define LOADV(p) load_four(p)
#define STOREV STORE_4
#else
#define FLOATV float
#define LOADV(p) (*(p))
#define STOREV STORE_1
#endif
#define UNROLL _Pragma("unroll")

/*
 * Along a row. Forward: pixel q of a run and tap k look at column q * STRIDE_W + k * DILATION_W
 * from the run's first. Backward: at column (q - k * DILATION_W) / STRIDE_W where that is whole;
 * the first pixel of a run has phase 0.
 */
#if BACKWARD
#define FIRST (-((KERNEL_W - 1) * DILATION_W / STRIDE_W))
#define SPAN ((PIXELS - 1) / STRIDE_W - FIRST + 1)
#define MEET(q, k) (((q) - (k)*DILATION_W) % STRIDE_W == 0)
#define COLUMN(q, k) (((q) - (k)*DILATION_W) / STRIDE_W - FIRST)
#else
#define FIRST 0
#define SPAN ((PIXELS - 1) * STRIDE_W + (KERNEL_W - 1) * DILATION_W + 1)
#define MEET(q, k) 1
#define COLUMN(q, k) ((q)*STRIDE_W + (k)*DILATION_W)
#endif

/* `count` columns of a row of W pixels from column x0 on, zeros outside. A macro: arrays that are
 * given to functions do not always end in registers. */
#define LOAD_COLUMNS(to, count, row, x0, W)                                                        \
    UNROLL for (int s = 0; s < (count); s++)                                                       \
    {                                                                                              \
        const bool inside = (x0) + s >= 0 && (x0) + s < (W);                                       \
        (to)[s] = inside ? LOADV((row) + (long)((x0) + s) * C) : (FLOATV)(0.0f);                   \
    }

/* Row of the source for row py of the result and tap i; -1: none. */
static inline int source_row(int py, int i, int H, int SH, int pad_h, int DH)
{
#if BACKWARD
    const int steps = py + pad_h - i * DH;
    const int y = steps >= 0 && steps % SH == 0 ? steps / SH : -1;
#else
    const int y = py * SH - pad_h + i * DH;
#endif
    return y >= 0 && y < H ? y : -1;
}

/* source (images, H, W, C), w -> result (images, RH, RW, C): x, w -> y, or dy, w -> dx. */
ENTRY void depthwise(WHERE_PARAMS __global const float *source, ulong source_offset,
                     __global const float *w, ulong w_offset, ulong images, int H, int W, int RH,
                     int RW, int C, int KH, int SH, int pad_h, int pad_w, int DH EPILOGUE_PARAMS)
{
    const int lead = BACKWARD ? pad_w % STRIDE_W : 0; // pixels of the first run before the row
    const int blocks = C / VEC, runs = (RW + lead + PIXELS - 1) / PIXELS;
    const ulong run = WHERE_X / blocks, line = run / runs, n = line / RH;
    const int c = (int)(WHERE_X % blocks) * VEC;
    const int px = (int)(run % runs) * PIXELS - lead, py = (int)(line % RH);
    const int x0 = (BACKWARD ? (px + pad_w) / STRIDE_W : px * STRIDE_W - pad_w) + FIRST;
    if (n >= images) return;
    FLOATV sums[PIXELS];
    UNROLL for (int q = 0; q < PIXELS; q++) sums[q] = 0.0f;
    for (int i = 0; i < KH; i++) {
        const int y = source_row(py, i, H, SH, pad_h, DH);
        if (y < 0) continue;
        FLOATV columns[SPAN];
        __global const float *row = source + source_offset + (n * H + y) * W * C + c;
        LOAD_COLUMNS(columns, SPAN, row, x0, W)
        UNROLL for (int k = 0; k < KERNEL_W; k++)
        {
            const FLOATV weight = LOADV(w + w_offset + ((ulong)i * KERNEL_W + k) * C + c);
            UNROLL for (int q = 0; q < PIXELS; q++) if (MEET(q, k)) sums[q] +=
                columns[COLUMN(q, k)] * weight;
        }
    }
    UNROLL for (int q = 0; q < PIXELS; q++) if (px + q >= 0 && px + q < RW)
        STOREV(sums[q], line * RW + px + q, (ulong)c);
}

#if !BACKWARD
/*
 * x, dy -> parts (splits, KH, KERNEL_W, C), which sum_splits_gpu.cl adds. A group owns one row of
 * the window for lanes_x vectors of channels (a power of two, at most GROUP) and a run of dy's
 * rows. Its other lanes share these rows, and are combined in local memory.
 */
__attribute__((reqd_work_group_size(GROUP, 1, 1))) __kernel void
depthwise_weights(__global const float *x, ulong x_offset, __global const float *dy,
                  ulong dy_offset, ulong images, int H, int W, int OH, int OW, int C, int KH,
                  int SH, int pad_h, int pad_w, int DH, int splits, int lanes_x EPILOGUE_PARAMS)
{
    __local FLOATV tree[GROUP];
    const int item = get_local_id(0), lanes_y = GROUP / lanes_x, lane_y = item / lanes_x;
    const int blocks = C / VEC, across = (blocks + lanes_x - 1) / lanes_x;
    const int id = (int)get_group_id(0), i = id / across % KH, split = id / across / KH;
    const int block = id % across * lanes_x + item % lanes_x, c = block * VEC;
    const ulong lines = images * OH, run = (lines + splits - 1) / splits;
    const ulong end = block < blocks ? min((split + 1) * run, lines) : 0;
    FLOATV sums[KERNEL_W];
    UNROLL for (int k = 0; k < KERNEL_W; k++) sums[k] = 0.0f;
    for (ulong line = split * run + lane_y; line < end; line += lanes_y) {
        const int iy = source_row((int)(line % OH), i, H, SH, pad_h, DH);
        if (iy < 0) continue;
        __global const float *row = x + x_offset + (line / OH * H + iy) * W * C + c;
        __global const float *given = dy + dy_offset + line * OW * C + c;
        for (int px = 0; px < OW; px += PIXELS) {
            FLOATV columns[SPAN], gradients[PIXELS];
            LOAD_COLUMNS(columns, SPAN, row, px * STRIDE_W - pad_w, W)
            LOAD_COLUMNS(gradients, PIXELS, given, px, OW)
            UNROLL for (int k = 0; k < KERNEL_W; k++) UNROLL for (int q = 0; q < PIXELS; q++)
                sums[k] += columns[COLUMN(q, k)] * gradients[q];
        }
    }
    UNROLL for (int k = 0; k < KERNEL_W; k++)
    {
        tree[item] = sums[k];
        int h = lanes_y / 2;
        do { // never skipped: see tile_gpu.h
            barrier(CLK_LOCAL_MEM_FENCE);
            if (lane_y < h) tree[item] += tree[item + h * lanes_x];
            h /= 2;
        } while (h > 0);
        if (lane_y == 0 && block < blocks)
            STOREV(tree[item], ((ulong)split * KH + i) * KERNEL_W + k, (ulong)c);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
#endif
