/*
 * Packs a matrix op(B) (K, N) into the panels of tile_cpu.h, for products that use it again and
 * again: matmul_cpu.cl with PREPARED. A work-group (one work-item) makes one panel, over all of k.
 */
#define PANELS __global
#include "tile_cpu.h"

ENTRY void pack_panels_of(WHERE_PARAMS __global const float *b, ulong b_offset, int n, int k,
                          int transpose_b, __global float *panels, ulong panels_offset)
{
    const int n0 = (int)WHERE_X * PANEL, columns = min(PANEL, n - n0);
    __global float *to = panels + panels_offset + (ulong)n0 * k;
    b += b_offset;
    if (transpose_b)
        pack_panels_transposed(to, k, 0, b + (ulong)n0 * k, k, k, columns);
    else
        pack_panels(to, k, 0, b + n0, n, k, columns);
}
