/*
 * What generated kernels stand on: the vocabulary of pointwise.def for scalars (suffix 1) and vectors
 * of 4, 8 and 16, and the sources that are made from an element's index.
 *
 * Expressions are the same text for every width; only the literals' macro carries the width, because
 * select and the comparisons do not mix vectors with scalars.
 */

#define V1(literal) (literal##f)
#define V4(literal) ((float4)(literal##f))
#define V8(literal) ((float8)(literal##f))
#define V16(literal) ((float16)(literal##f))

#define SELECT(condition, then, otherwise) select((otherwise), (then), (condition))
#define LT(p, q) isless((p), (q))
#define LE(p, q) islessequal((p), (q))
#define GT(p, q) isgreater((p), (q))
#define GE(p, q) isgreaterequal((p), (q))
#define EQ(p, q) isequal((p), (q))

/* Vectors of 4 at any address (engines whose vectors are longer have no use for these): some
 * compilers take vload4 apart unless they are told that 16 divides the address, as it mostly does. */
static inline float4 load_vector(__global const float *p)
{
    if (((size_t)p & 15) == 0) return *(__global const float4 *)p;
    return (float4)(p[0], p[1], p[2], p[3]);
}

static inline void store_vector(float4 v, __global float *p)
{
    if (((size_t)p & 15) == 0) {
        *(__global float4 *)p = v;
    } else {
        p[0] = v.s0;
        p[1] = v.s1;
        p[2] = v.s2;
        p[3] = v.s3;
    }
}

/* Loops that the compiler need not make fast: what vectors leave over, single results. */
#define PLAIN_LOOP _Pragma("clang loop vectorize(disable) unroll(disable)")
/* Loops over vectors: unrolling them again takes time to compile and gains nothing. */
#define VECTOR_LOOP _Pragma("clang loop vectorize(disable) unroll(disable)")

/* How reductions combine two values; max gives NaN for NaN. */
#define COMBINE_SUM(p, q) ((p) + (q))
#define COMBINE_MAX(p, q) SELECT(LE(p, q), q, SELECT(EQ(q, q), p, q))

/* Applies a macro of an index to adjacent lanes. */
#define LANES_1(F, i, s, k, t) F(i, k, t)
#define LANES_4(F, i, s, k, t)                                                                    \
    ((float4)(F(i, k, t), F((i) + (s), k, t), F((i) + 2 * (s), k, t), F((i) + 3 * (s), k, t)))
#define LANES_8(F, i, s, k, t)                                                                    \
    ((float8)(LANES_4(F, i, s, k, t), LANES_4(F, (i) + 4 * (s), s, k, t)))
#define LANES_16(F, i, s, k, t)                                                                   \
    ((float16)(LANES_8(F, i, s, k, t), LANES_8(F, (i) + 8 * (s), s, k, t)))

/* Position along an axis. */
#define GENERATE_POSITION(index, key, step) ((float)(index))

/* Number of the training step; above bit 48 is that of the micro-batch, which only keys chance. */
#define GENERATE_STEP(index, key, step) ((float)((step) & 0xFFFFFFFFFFFFul))

/* Philox4x32-10: see src/base/random.h, which defines the numbers. */
inline uint4 philox(uint2 key, uint4 counter)
{
    for (int round = 0; round < 10; ++round) {
        const uint m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
        const uint high0 = mul_hi(m0, counter.x), low0 = m0 * counter.x;
        const uint high1 = mul_hi(m1, counter.z), low1 = m1 * counter.z;
        counter = (uint4)(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

inline float random_uniform(ulong index, ulong key, ulong step)
{
    const ulong block = index >> 2;
    const uint4 words = philox((uint2)((uint)key, (uint)(key >> 32)),
                               (uint4)((uint)block, (uint)(block >> 32), (uint)step, (uint)(step >> 32)));
    const uint lane = (uint)index & 3u;
    const uint word = lane == 0 ? words.x : lane == 1 ? words.y : lane == 2 ? words.z : words.w;
    return (float)(word >> 8) * 0x1p-24f + 0x1p-25f;
}
#define GENERATE_RANDOM(index, key, step) random_uniform((index), (key), (step))
