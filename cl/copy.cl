/*
 * Memory rate: copies 16 floats per work-item.
 */
__kernel void copy(__global const float *x, __global float *y)
{
    vstore16(vload16(get_global_id(0), x), get_global_id(0), y);
}
