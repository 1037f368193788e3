/*
 * 4 floats from any address. Some compilers load them one by one unless they are told that 16
 * divides the address; vload4 does not tell. Most often it does, and all work-items go one way.
 */
static inline float4 load_four(__global const float *p)
{
    if (((size_t)p & 15) == 0) return *(__global const float4 *)p;
    return (float4)(p[0], p[1], p[2], p[3]);
}
