/*
 * What a device can do at most: the yardstick of benchmarks.
 */
#ifndef CLGRAD_BENCH_H
#define CLGRAD_BENCH_H

#include "clgrad/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Measures, in well under a second, the context's rate of f32 fused multiply-adds (in GFLOP/s, two
 * operations each) and of copying device memory (GB/s, read plus written). Medians of several runs
 * of small kernels; other work on the device at the same time lowers them. Waits for the queue.
 * On failure both are left as they were.
 */
CLG_API clg_status clg_measure_limits(clg_context *ctx, double *fma_gflops, double *copy_gbytes);

#ifdef __cplusplus
}
#endif
#endif
