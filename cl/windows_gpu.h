/*
 * Where windows of images lie, for the convolutions of the GPU engine (included after tile_gpu.h).
 *
 * A convolution is a matrix product whose left matrix is never stored: the element for a pixel of
 * the result and a tap (a position in the window and a channel) is an element of the image at the
 * sum of two spots, one of the pixel and one of the tap, or zero if that is in the padding. A
 * work-item fetches always the same rows of a tile, or lines: it keeps their spots in registers and
 * moves the others on from tile to tile, so that nothing is divided in the loop.
 */
#ifndef VEC
#define VEC 4 // channels loaded together: 1 or 4, must divide the image's channels of one group
#endif

typedef struct spot {
    int y, x; // position in the image
    long at;  // elements from the image array's start
} spot;

/* The row of a spot that is outside together with whatever is added to it. */
#define NOWHERE (-(1 << 30))

#if VEC == 4
typedef float4 loaded;
#define LOAD(p) load_four(p)
#else
typedef float loaded;
#define LOAD(p) (*(p))
#endif

/* What a work-item fetches of a tile of A or B, VEC elements at a time. */
#define A_LOADS (TILE_K * TILE_M / VEC / ITEMS)
#define B_LOADS (TILE_K * TILE_N / VEC / ITEMS)

/* VEC adjacent elements at a + b of images (any, H, W, C), zero in the padding. */
static inline loaded window_load(__global const float *images, spot a, spot b, int H, int W)
{
    const bool inside = (uint)(a.y + b.y) < (uint)H && (uint)(a.x + b.x) < (uint)W;
    return inside ? LOAD(images + a.at + b.at) : (loaded)(0.0f);
}

/*
 * Across: VEC steps of k are adjacent in memory. Load v is of step v % STEPS and row v / STEPS, so
 * that a work-item's loads are all of one step; only groups smaller than STEPS have several.
 */
#define STEPS (TILE_K / VEC)
#define OWN_STEPS (STEPS > ITEMS ? STEPS / ITEMS : 1)
#define STEP_OF(item, i) (((item) + (i) * ITEMS) % STEPS * VEC)
#define ROW_OF(item, i) (((item) + (i) * ITEMS) / STEPS)

#if VEC == 4
#define PUT_STEPS(tile, line, k, x, value) tile_scatter(tile, line, k, x, value)
#else
#define PUT_STEPS(tile, line, k, x, value) ((__local float *)((tile) + (k) * (line)))[x] = (value)
#endif
/* A macro: arrays that are given to functions do not always end in registers. */
#define PUT_ACROSS(tile, line, next, loads)                                                        \
    UNROLL for (int i = 0; i < (loads); i++)                                                       \
        PUT_STEPS(tile, line, STEP_OF(item, i), ROW_OF(item, i), next[i]);

/* Along: VEC rows of the tile of A are adjacent in memory. Load v is of line v / RUNS and of the
 * v % RUNS-th run of VEC rows. */
#define RUNS (TILE_M / VEC)
#define OWN_RUNS (RUNS > ITEMS ? RUNS / ITEMS : 1)
#define RUN_OF(item, i) (((item) + (i) * ITEMS) % RUNS * VEC)
#define LINE_OF(item, i) (((item) + (i) * ITEMS) / RUNS)

#if VEC == 4
#define PUT_RUN(tile, k, x, value) (tile)[(k) * A_LINE + (x) / 4] = (value)
#else
#define PUT_RUN(tile, k, x, value) ((__local float *)((tile) + (k) * A_LINE))[x] = (value)
#endif
#define PUT_ALONG(tile, next)                                                                      \
    UNROLL for (int i = 0; i < A_LOADS; i++)                                                       \
        PUT_RUN(tile, LINE_OF(item, i), RUN_OF(item, i), next[i]);
