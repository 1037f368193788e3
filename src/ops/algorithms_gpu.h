/*
 * The GPU engine: lowering functions of matmul and of the three passes of conv2d. They fit
 * clg__algorithm.lower; inputs and attributes are those of the CPU engine's functions.
 */
#ifndef CLG_ALGORITHMS_GPU_INTERNAL_H
#define CLG_ALGORITHMS_GPU_INTERNAL_H

#include "ops/attributes.h"
#include "ops/lower.h"

/**
 * Matrix product by CLBlast: one host call, which writes lo->out (fuses_epilogue = false). On a
 * device where CLBlast's results are wrong this is CLG_ERROR_UNSUPPORTED with what was wrong.
 */
clg_status clg__matmul_clblast(clg__lowering *lo);
/** Not on CPU devices: there it is 10-30 times off, and takes 15 s to compile. */
bool clg__matmul_clblast_by_default(const clg_context *ctx);
/** Where it passed its self-test, which runs at the first question on a context; a failure is
 * logged as a warning. */
bool clg__matmul_clblast_trusted(const clg_context *ctx);

/** Matrix product through local memory. */
clg_status clg__matmul_gpu(clg__lowering *lo);
/**
 * Whether it is to be preferred to CLBlast: for small products, whose time goes into calls and into
 * passes over memory that its epilogue saves, and for long reductions with a small result, which
 * CLBlast does not split.
 */
bool clg__matmul_gpu_suits(const clg_context *ctx, const clg_tensor *node);

/* Convolutions as implicit matrix products through local memory; struct clg__conv2d_attr. */
clg_status clg__conv2d_gpu_forward(clg__lowering *lo);          /* x, w -> y */
clg_status clg__conv2d_gpu_backward_data(clg__lowering *lo);    /* dy, w -> dx */
clg_status clg__conv2d_gpu_backward_weights(clg__lowering *lo); /* x, dy -> dw */

/* ---- shared by the algorithms of this engine ---- */

/* C[i] (m, n) = op(A[i]) op(B[i]) for i < batch, all row-major without gaps. */
typedef struct clg__gemm {
    int64_t batch, m, n, k;
    int64_t a_stride, b_stride; /* elements from one matrix to the next; 0: shared by the batch */
    bool transpose_a, transpose_b;
} clg__gemm;
/** The product that a matmul node stands for; a batch that shares B becomes one tall matrix. */
clg__gemm clg__gemm_of(const clg__lowering *lo);
/** The same at the graph's batch size, or a usual one if that is 1. */
clg__gemm clg__gemm_typical(const clg_tensor *node);

/* Knobs of cl/tile_gpu.h. */
typedef struct clg__gpu_tile {
    int m, n, k;        /* of a work-group */
    int item_m, item_n; /* of a work-item */
} clg__gpu_tile;
/**
 * The tile for the batch of products (only their extents matter) that fits the device's
 * work-groups: what `tunable` (clg__tunable_id) says for the node, or the best by an estimate.
 */
clg__gpu_tile clg__gpu_tile_choose(const clg_context *ctx, int tunable, const clg_tensor *node,
                                   const clg__gemm *product);
/**
 * The same where the reduction may be dealt out to `splits` work-groups: more than one if the
 * result has too few tiles for the device.
 */
clg__gpu_tile clg__gpu_tile_choose_split(const clg_context *ctx, int tunable,
                                         const clg_tensor *node, const clg__gemm *product,
                                         int *splits);
/** Work-items of a work-group. */
int clg__gpu_tile_items(const clg__gpu_tile *tile);
/** The shape to choose tiles for: at the graph's batch size, or a usual one if that is 1. */
clg_shape clg__gpu_typical_shape(const clg_tensor *t);
/**
 * Launch of a kernel that includes tile_gpu.h, with its knobs and `more` lines of defines. columns:
 * of one product, 0 if they follow the batch size.
 */
clg__launch *clg__gpu_tile_kernel(clg__lowering *lo, const char *file, const char *kernel,
                                  const clg__gpu_tile *tile, int64_t columns, const char *more);
/** One work-group per tile. */
void clg__gpu_tile_range(clg__launch *launch, const clg__gpu_tile *tile, int64_t groups);

/* Depthwise convolutions; others have few channels in a group, or many. */
bool clg__depthwise_gpu_applies(const struct clg__conv2d_attr *attr, int64_t channels,
                                bool backward);
clg_status clg__depthwise_gpu_data(clg__lowering *lo, bool backward);
clg_status clg__depthwise_gpu_weights(clg__lowering *lo);

/** Work-items of a group that needs no particular number: a power of two, at most 64. */
int clg__gpu_group(const clg_context *ctx);
/**
 * Last arguments of a kernel with a tile: the epilogue's, or with several splits a scratch area for
 * `splits` results of `columns` columns one below the other, for clg__gpu_sum_splits.
 */
clg__buffer_id clg__gpu_result(clg__lowering *lo, clg__launch *launch, int64_t splits,
                               int64_t columns);
/** Adds them, in order, and hands the sums to the epilogue. */
void clg__gpu_sum_splits(clg__lowering *lo, clg__buffer_id parts, int64_t splits, int64_t columns);

#endif
