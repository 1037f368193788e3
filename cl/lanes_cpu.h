/*
 * The register tile with vectors across groups, for convolutions of many groups of few channels:
 * lane g of every vector, A's, B's and the result's, belongs to group g of WIDTH groups, so that
 * all that is multiplied is in the same group. In memory the channels of a group are adjacent;
 * `parts` channels of WIDTH groups are unzipped into as many vectors when they are packed, and
 * results are zipped. Both are quick where `parts` is a power of two and what is read whole
 * vectors.
 */
#define A_ELEMENT(p) VLOAD(0, p)
#define COPY_PIXELS unzip_pixels
#include "tile_cpu.h"

/* The reverse of ZIP: element i * count + j of all becomes element i of vector j. */
#define UNZIP(m, count)                                                                            \
    for (int round = 1; round < count; round *= 2) {                                               \
        VECTOR t[count];                                                                           \
        _Pragma("unroll") for (int i = 0; i < count / 2; i++)                                      \
        {                                                                                          \
            t[i].lo = m[2 * i].even;                                                               \
            t[i].hi = m[2 * i + 1].even;                                                           \
            t[i + count / 2].lo = m[2 * i].odd;                                                    \
            t[i + count / 2].hi = m[2 * i + 1].odd;                                                \
        }                                                                                          \
        _Pragma("unroll") for (int i = 0; i < count; i++) m[i] = t[i];                             \
    }

/* Vectors of a tile's row or of a panel's: the j-th is in panel j / VECTORS. */
#define SLOT(j, panel, vector) ((j) / VECTORS * (panel) + (j) % VECTORS * (vector))

/* Zeros in the vectors of the last panel, `panel` floats long, that are not among `parts`. */
static void zero_rest(__local float *to, int panel, int parts)
{
    for (int j = parts; j % VECTORS; j++)
        for (int i = 0; i < panel; i += PANEL) zero_row(to + SLOT(j, panel, WIDTH) + i, WIDTH);
}

#define UNZIP_GROUPS(count)                                                                        \
    if (parts == count) {                                                                          \
        VECTOR m[count];                                                                           \
        _Pragma("unroll") for (int j = 0; j < count; j++) m[j] =                                   \
            j < full ? VLOAD(j, from) : (VECTOR)(0.0f);                                            \
        UNZIP(m, count)                                                                            \
        _Pragma("unroll") for (int j = 0; j < count; j++)                                          \
            VSTORE_LOCAL(m[j], 0, to + SLOT(j, panel, vector));                                    \
        return;                                                                                    \
    }

/* `parts` channels of `lanes` groups as vectors, `vector` floats apart, and after VECTORS of them
 * `panel` floats; zeros in the other lanes. */
static void unzip_groups(__local float *to, int panel, int vector, __global const float *from,
                         int parts, int lanes)
{
    const int full = lanes * parts / WIDTH;
    if (full * WIDTH == lanes * parts) {
        UNZIP_GROUPS(4)
        UNZIP_GROUPS(8)
        UNZIP_GROUPS(2)
        UNZIP_GROUPS(1)
    }
    for (int j = 0; j < parts; j++)
        for (int g = 0; g < WIDTH; g++)
            to[SLOT(j, panel, vector) + g] = g < lanes ? from[g * parts + j] : 0.0f;
}

/* Each of `pixels` pixels, `step` floats apart: `count` floats of adjacent vectors. */
static void unzip_pixels(__local float *to, __global const float *from, int step, int pixels,
                         int count, int lanes)
{
    for (int x = 0; x < pixels; x++, from += step)
        unzip_groups(to + x * count, PANEL, WIDTH, from, count / WIDTH, lanes);
}

#define ZIP_GROUPS(count)                                                                          \
    if (parts == count) {                                                                          \
        VECTOR m[count];                                                                           \
        _Pragma("unroll") for (int j = 0; j < count; j++) m[j] =                                   \
            VLOAD(0, from + SLOT(j, panel, WIDTH));                                                \
        ZIP(m, count)                                                                              \
        _Pragma("unroll") for (int j = 0; j < count; j++) VSTORE_LOCAL(m[j], j, to);               \
        return;                                                                                    \
    }

/* The channels in the order of memory, from a row of a tile's panels. */
static void zip_groups(__local float *to, __local const float *from, int panel, int parts)
{
    ZIP_GROUPS(4)
    ZIP_GROUPS(8)
    ZIP_GROUPS(2)
    ZIP_GROUPS(1)
    for (int j = 0; j < parts; j++)
        for (int g = 0; g < WIDTH; g++) to[g * parts + j] = from[SLOT(j, panel, WIDTH) + g];
}
