/*
 * Attributes of the heavy operations: what the op rows (op_*.c) record in a node and what the
 * engines' algorithms read from it. One struct per operation, zero-padded, compared bytewise.
 */
#ifndef CLG_ATTRIBUTES_INTERNAL_H
#define CLG_ATTRIBUTES_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * C[b] (M, N) = op(A[b]) op(B[b]). A is (batch..., M, K), or (batch..., K, M) when transposed; B is
 * (batch..., K, N) or (batch..., N, K), and may have two dimensions: then all batches share it.
 */
struct clg__matmul_attr {
    bool transpose_a, transpose_b;
};

/*
 * Geometry of a convolution, the same for its three passes: x (N, H, W, IC),
 * w (KH, KW, IC / groups, OC), y (N, OH, OW, OC); cross-correlation.
 */
struct clg__conv2d_attr {
    int32_t stride[2];     /* vertical, horizontal; >= 1 */
    int32_t padding[4];    /* zeros around x: top, bottom, left, right */
    int32_t dilation[2];   /* vertical, horizontal; >= 1 */
    int32_t groups;        /* divides IC and OC */
    int32_t input_size[2]; /* H, W of x: backward data cannot tell it from y's shape */
    int32_t kernel_size[2];
};

#endif
