/*
 * Where windows of images lie, for the convolutions of the GPU engine (included after tile_gpu.h).
 *
 * A convolution is a matrix product whose left matrix is never stored: the element for a pixel of
 * the result and a tap (a position in the window and a channel) is an element of the image at the
 * sum of two spots, one of the pixel and one of the tap, or zero if that is in the padding. Both
 * lists of a tile lie in local memory, so that the loops over elements only add and compare.
 */
#ifndef VEC
#define VEC 4 // channels loaded together: 1 or 4, must divide the image's channels of one group
#endif

typedef struct spot {
    int y, x;  // position in the image
    long at;   // elements from the image array's start
    long other; // what else belongs to this row or step
} spot;

/* The row of a spot that is outside together with whatever is added to it. */
#define NOWHERE (-(1 << 30))

#if VEC == 4
typedef float4 loaded;
#define LOAD(p) vload4(0, p)
#else
typedef float loaded;
#define LOAD(p) (*(p))
#endif

/* VEC adjacent elements at a + b of images (any, H, W, C), zero in the padding. */
static inline loaded window_load(__global const float *images, __local const spot *a,
                                 __local const spot *b, int H, int W)
{
    const bool inside = (uint)(a->y + b->y) < (uint)H && (uint)(a->x + b->x) < (uint)W;
    return inside ? LOAD(images + a->at + b->at) : (loaded)(0.0f);
}

/* Fills lines k of a tile with elements rows[x] + steps[k]; VEC steps are adjacent channels. */
static inline void window_load_across(__local float4 *tile, __global const float *images,
                                      __local const spot *rows, __local const spot *steps, int H,
                                      int W, int item)
{
    for (int v = item; v < TILE_K / VEC * TILE_M; v += ITEMS) {
        const int k = v % (TILE_K / VEC) * VEC, x = v / (TILE_K / VEC);
        const loaded value = window_load(images, rows + x, steps + k, H, W);
#if VEC == 4
        tile_scatter(tile, TILE_M, k, x, value);
#else
        ((__local float *)(tile + k * A_LINE))[x] = value;
#endif
    }
}

/* The same where VEC rows are adjacent channels. */
static inline void window_load_along(__local float4 *tile, __global const float *images,
                                     __local const spot *rows, __local const spot *steps, int H,
                                     int W, int item)
{
    for (int v = item; v < TILE_K * (TILE_M / VEC); v += ITEMS) {
        const int k = v / (TILE_M / VEC), x = v % (TILE_M / VEC) * VEC;
        const loaded value = window_load(images, rows + x, steps + k, H, W);
#if VEC == 4
        tile[k * A_LINE + x / 4] = value;
#else
        ((__local float *)(tile + k * A_LINE))[x] = value;
#endif
    }
}
