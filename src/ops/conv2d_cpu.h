/*
 * The geometry of convolutions on CPU devices, shared by the algorithms that look at windows of
 * images: the tile (conv2d_cpu.c) and vectors across groups (conv2d_lanes_cpu.c). Arrays of two are
 * (vertical, horizontal).
 */
#ifndef CLG_CONV2D_CPU_INTERNAL_H
#define CLG_CONV2D_CPU_INTERNAL_H

#include "ops/algorithms_cpu.h"

/*
 * One dimension of a pass: output i looks at source positions origin + i * stride * skip +
 * t * spread for the taps t. See cl/window_cpu.h and cl/conv2d_cpu.cl.
 */
typedef struct clg__conv_axis {
    int64_t source, outputs;
    int64_t origin, stride, taps, spread, skip;
    int64_t tap_first, tap_step; /* tap 0 in the kernel, and from one tap to the next */
    int64_t result, first, step; /* extent of the result; position of output 0, and of the next */
} clg__conv_axis;

typedef struct clg__conv {
    clg__conv_axis axis[2];
    int64_t batch, groups;
    int64_t k, n;   /* channels of source and result in one group */
    int64_t merged; /* of the real groups in one: counted in groups, k and n */
    bool backward;
    int64_t kernel_width, tap_rows, tap_columns; /* w is (KH, kernel_width, rows, columns) */
} clg__conv;

/** Forward, as the pass to the weights sees it too. */
clg__conv clg__conv_forward(const struct clg__conv2d_attr *attr, const clg_shape *x,
                            const clg_shape *w, const clg_shape *y);
/** The pixels of dx of a phase, which may be none; false: there are no more phases. */
bool clg__conv_backward(const struct clg__conv2d_attr *attr, const clg_shape *dy,
                        const clg_shape *w, const clg_shape *dx, int phase, clg__conv *p);

/** Records a convolution; called for all that make up a pass forward or to the data. */
typedef void (*clg__conv_launch)(clg__lowering *lo, const clg__conv *p);
clg_status clg__conv_launches(clg__lowering *lo, bool backward, clg__conv_launch launch);

/** Window positions from the first tap to the last one. */
int64_t clg__conv_span(const clg__conv_axis *a);
/** Window positions that `count` outputs look at. */
int64_t clg__conv_extent(const clg__conv_axis *a, int64_t count);
/** Most window rows that `rows` adjacent output rows need. */
int64_t clg__conv_window_rows(const clg__conv_axis *a, int64_t rows);

/** The arguments window_geometry of a kernel. */
void clg__conv_add_window(clg__launch *launch, const clg__conv *p);
/** Those of forward passes and those to the data: inputs, window_geometry, tap_weights, placement,
 * and the channels of groups. */
void clg__conv_add_arguments(clg__launch *launch, const clg__conv *p);
/** What all of `p` takes. */
void clg__conv_add_work(clg__launch *launch, const clg__conv *p);

#endif
