/*
 * Fused multiply-add rate: `rounds` times CHAINS independent chains of one vector operation, enough
 * of them to hide the latency. Nothing is loaded; the sum is stored so that nothing is left out.
 */
#ifndef CHAINS
#define CHAINS 10 // independent operations in flight in a work-item
#endif
#ifndef WIDTH
#define WIDTH 16 // floats per vector: 16 on CPUs, 4 on GPUs
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define VECTOR JOIN(float, WIDTH)

__kernel void fma_peak(__global float *y, int rounds)
{
    VECTOR x[CHAINS];
#pragma unroll
    for (int i = 0; i < CHAINS; i++) x[i] = (VECTOR)((float)(get_global_id(0) % 1024 + i));
    const VECTOR scale = (VECTOR)(0.999f), add = (VECTOR)(0.1f);
    for (int round = 0; round < rounds; round++) {
#pragma unroll
        for (int i = 0; i < CHAINS; i++) x[i] = fma(x[i], scale, add);
    }
#pragma unroll
    for (int i = 1; i < CHAINS; i++) x[0] += x[i];
    JOIN(vstore, WIDTH)(x[0], get_global_id(0), y);
}
