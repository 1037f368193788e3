/*
 * What generated kernels stand on: the vocabulary of pointwise.def for scalars (suffix 1) and
 * vectors of 4, 8 and 16, and the sources that are made from an element's index.
 *
 * Expressions are the same text for every width; only the literals' macro carries the width,
 * because select and the comparisons do not mix vectors with scalars.
 */

#include "entry.h"
#include "prefetch_cpu.h"

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

/*
 * Vectors at any address: some compilers take vload and vstore apart. Short vectors, those of
 * graphics cards, are whole where 16 divides the address, as it mostly does. Processors whose
 * vectors are longer read and write them anywhere, as they are told here.
 */
static inline float4 load_vector_4(__global const float *p)
{
    if (((size_t)p & 15) == 0) return *(__global const float4 *)p;
    return (float4)(p[0], p[1], p[2], p[3]);
}

static inline void store_vector_4(float4 v, __global float *p)
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

typedef float8 float8_anywhere __attribute__((aligned(4)));
typedef float16 float16_anywhere __attribute__((aligned(4)));

static inline float8 load_vector_8(__global const float *p)
{
    return *(__global const float8_anywhere *)p;
}

static inline float16 load_vector_16(__global const float *p)
{
    return *(__global const float16_anywhere *)p;
}

static inline void store_vector_8(float8 v, __global float *p)
{
    *(__global float8_anywhere *)p = v;
}

static inline void store_vector_16(float16 v, __global float *p)
{
    *(__global float16_anywhere *)p = v;
}

/*
 * Results that no cache holds until they are read: `bypass` says so. Stored the usual way, a line
 * is read before it is written, and drives out another one that is still wanted.
 */
#if defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store)
#define STORE_PAST_CACHE(v, p) __builtin_nontemporal_store(v, p)
#endif
#endif
#ifndef STORE_PAST_CACHE
#define STORE_PAST_CACHE(v, p) (*(p) = (v))
#endif

static inline void store_result_8(float8 v, __global float *p, ulong bypass)
{
    if (bypass && ((size_t)p & 31) == 0)
        STORE_PAST_CACHE(v, (__global float8 *)p);
    else
        store_vector_8(v, p);
}

static inline void store_result_16(float16 v, __global float *p, ulong bypass)
{
    if (bypass && ((size_t)p & 63) == 0)
        STORE_PAST_CACHE(v, (__global float16 *)p);
    else
        store_vector_16(v, p);
}

/* Loops that the compiler need not make fast: what vectors leave over, single results. */
#define PLAIN_LOOP _Pragma("clang loop vectorize(disable) unroll(disable)")
/* Loops over vectors: unrolling them again takes time to compile and gains nothing. */
#define VECTOR_LOOP _Pragma("clang loop vectorize(disable) unroll(disable)")
/* Loops over a few known values: no loops any more. */
#define ALL_AT_ONCE _Pragma("unroll")

/*
 * Functions that processors compute themselves, because drivers' vector functions are up to 12
 * times slower, or take one lane after the other. MATH_exp(16) defines exp_16 for a float16, and so
 * on; generated code defines what it calls. Largest errors over four million floats of all sizes,
 * in units in the last place: exp 1, expm1 1.4, log 0.9, log1p 1.4, tanh 4.4, erf 4.6 (OpenCL asks
 * for 3, 3, 3, 2, 5 and 16). NaN, infinities and results below the normal numbers are right; |tanh|
 * and |erf| are at most 1.
 *
 * Polynomials are split into halves that are computed at the same time: such chains of dependent
 * operations are what limits a loop. A quotient of polynomials is cheaper than several ranges.
 */
#define FLOAT_1 float
#define FLOAT_4 float4
#define FLOAT_8 float8
#define FLOAT_16 float16
#define INT_1 int
#define INT_4 int4
#define INT_8 int8
#define INT_16 int16
#define AS_FLOAT_1 as_float
#define AS_FLOAT_4 as_float4
#define AS_FLOAT_8 as_float8
#define AS_FLOAT_16 as_float16
#define AS_INT_1 as_int
#define AS_INT_4 as_int4
#define AS_INT_8 as_int8
#define AS_INT_16 as_int16
#define MATH_exp(n) DEFINE_EXP(exp_##n, FLOAT_##n, INT_##n, AS_FLOAT_##n, AS_INT_##n)
#define MATH_expm1(n) DEFINE_EXPM1(expm1_##n, FLOAT_##n, AS_FLOAT_##n, AS_INT_##n)
#define MATH_tanh(n) DEFINE_TANH(tanh_##n, FLOAT_##n)
#define MATH_erf(n) DEFINE_ERF(erf_##n, FLOAT_##n)
#define MATH_log(n) DEFINE_LOG(log_##n, FLOAT_##n, INT_##n, AS_FLOAT_##n, AS_INT_##n, CONVERT_##n)
#define MATH_log1p(n)                                                                              \
    DEFINE_LOG1P(log1p_##n, FLOAT_##n, INT_##n, AS_FLOAT_##n, AS_INT_##n, CONVERT_##n)
#define CONVERT_1 convert_float
#define CONVERT_4 convert_float4
#define CONVERT_8 convert_float8
#define CONVERT_16 convert_float16

/* x between bounds; NaN stays. */
#define WITHIN(F, x, low, high)                                                                    \
    SELECT(LT(x, (F)(low)), (F)(low), SELECT(GT(x, (F)(high)), (F)(high), x))

/*
 * e^x = 2^k e^r with |r| <= ln(2) / 2. Adding 1.5 * 2^23 rounds to a whole number and leaves it,
 * with what else was added, in the lowest bits: here k + 254, which is dealt out to two powers of
 * two, so that a product too small or too large is rounded once.
 */
#define DEFINE_EXP(name, F, I, AS_F, AS_I)                                                         \
    static inline F name(F x)                                                                      \
    {                                                                                              \
        x = WITHIN(F, x, -104.0f, 89.0f);                                                          \
        const F t = fma(x, (F)(1.44269504f), (F)(12582912.0f + 254.0f));                           \
        const F k = t - (12582912.0f + 254.0f);                                                    \
        const F r = fma(k, (F)(1.90465430e-9f), fma(k, (F)(-0.693147182f), x)), s = r * r;         \
        const F p = fma(s, fma(r, (F)(0.00138145984f), (F)(0.0083687169f)),                        \
                        fma(r, (F)(0.0416683881f), (F)(0.166665206f)));                            \
        const F y = fma(s, fma(p, r, (F)(0.499999934f)), r) + 1.0f;                                \
        const I bits = AS_I(t), part = (bits << 22) & (I)(0xff800000);                             \
        return y * AS_F(part) * AS_F((bits << 23) - part);                                         \
    }

/* 2^k (e^r - 1) + 2^k - 1, halved until the end because 2^128 is no float; see above. */
#define DEFINE_EXPM1(name, F, AS_F, AS_I)                                                          \
    static inline F name(F x)                                                                      \
    {                                                                                              \
        x = WITHIN(F, x, -18.0f, 89.0f);                                                           \
        const F t = fma(x, (F)(1.44269504f), (F)(12582912.0f + 126.0f));                           \
        const F k = t - (12582912.0f + 126.0f);                                                    \
        const F r = fma(k, (F)(1.90465430e-9f), fma(k, (F)(-0.693147182f), x)), s = r * r;         \
        const F p = fma(s, fma(r, (F)(0.000198458778f), (F)(0.00139406273f)),                      \
                        fma(r, (F)(0.00833338937f), (F)(0.0416663609f)));                          \
        const F q = fma(fma(s, p, fma(r, (F)(0.166666664f), (F)(0.5f))), s, r);                    \
        const F half_power = AS_F(AS_I(t) << 23);                                                  \
        const F y = fma(half_power, q, half_power - 0.5f);                                         \
        return y + y;                                                                              \
    }

/* x P(x^2) / Q(x^2); from 9.02 on it is 1. */
#define DEFINE_TANH(name, F)                                                                       \
    static inline F name(F x)                                                                      \
    {                                                                                              \
        x = WITHIN(F, x, -9.02f, 9.02f);                                                           \
        const F z = x * x, s = z * z;                                                              \
        const F p2 =                                                                               \
            fma(fma(z, (F)(1.33190941e-8f), (F)(2.05835019e-5f)), z, (F)(0.00349403603f));         \
        const F p = fma(s, p2, fma(z, (F)(0.133797193f), (F)(0.999999979f)));                      \
        const F q2 = fma(fma(z, (F)(7.76202985e-7f), (F)(0.000328309509f)), z, (F)(0.025871079f)); \
        const F q = fma(s, q2, fma(z, (F)(0.467130345f), (F)(1.0f)));                              \
        const F y = x * p / q;                                                                     \
        return WITHIN(F, y, -1.0f, 1.0f);                                                          \
    }

/* The same, and 1 from 3.93 on. */
#define DEFINE_ERF(name, F)                                                                        \
    static inline F name(F x)                                                                      \
    {                                                                                              \
        x = WITHIN(F, x, -3.93f, 3.93f);                                                           \
        const F z = x * x, s = z * z;                                                              \
        const F p2 = fma(s, fma(z, (F)(2.04196355e-6f), (F)(0.000284807212f)),                     \
                         fma(z, (F)(0.00377958474f), (F)(0.0527902106f)));                         \
        const F p = fma(p2, s, fma(z, (F)(0.190783371f), (F)(1.12837915f)));                       \
        const F q2 = fma(s, fma(z, (F)(3.80039271e-5f), (F)(0.00116520515f)),                      \
                         fma(z, (F)(0.0149973901f), (F)(0.114257319f)));                           \
        const F q = fma(q2, s, fma(z, (F)(0.50241008f), (F)(1.0f)));                               \
        const F y = x * p / q;                                                                     \
        return WITHIN(F, y, -1.0f, 1.0f);                                                          \
    }

/* ln u = k ln 2 + ln(1 + f) with 1 + f from sqrt(1/2) to sqrt(2); k is the exponent behind that. */
#define LOG_EXPONENT(I, bits) (((bits) - (I)(0x3f3504f3)) >> 23)
#define LOG_SUM(F, f, k, y)                                                                        \
    const F s = f * f;                                                                             \
    const F p = fma(s, fma(f, (F)(-0.0763449303f), (F)(0.127615756f)),                             \
                    fma(f, (F)(-0.131601831f), (F)(0.142017582f)));                                \
    const F q = fma(s, fma(f, (F)(-0.166233573f), (F)(0.200012269f)),                              \
                    fma(f, (F)(-0.25000821f), (F)(0.333333317f)));                                 \
    const F low = fma(s, fma(fma(s * s, p, q), f, (F)(-0.5f)), k * -1.90465430e-9f);               \
    const F y = fma(k, (F)(0.693147182f), f + low);
/* y where u is a positive number; infinity, -infinity for 0, and NaN for the rest */
#define LOG_RESULT(F, u, y)                                                                        \
    SELECT(GT(u, (F)(0.0f)), SELECT(LT(u, (F)(INFINITY)), y, u),                                   \
           SELECT(EQ(u, (F)(0.0f)), (F)(-INFINITY), (F)(NAN)))

#define DEFINE_LOG(name, F, I, AS_F, AS_I, TO_F)                                                   \
    static inline F name(F x)                                                                      \
    {                                                                                              \
        const F u = SELECT(LT(x, (F)(0x1p-126f)), x * 0x1p23f, x); /* below the normal ones */     \
        const F down = SELECT(LT(x, (F)(0x1p-126f)), (F)(23.0f), (F)(0.0f));                       \
        const I e = LOG_EXPONENT(I, AS_I(u));                                                      \
        const F f = AS_F(AS_I(u) - (e << 23)) - 1.0f, k = TO_F(e) - down;                          \
        LOG_SUM(F, f, k, y)                                                                        \
        return LOG_RESULT(F, x, y);                                                                \
    }

/* What rounding 1 + x lost is added to f. */
#define DEFINE_LOG1P(name, F, I, AS_F, AS_I, TO_F)                                                 \
    static inline F name(F x)                                                                      \
    {                                                                                              \
        const F u = x + 1.0f, lost = x - (u - 1.0f);                                               \
        const I e = LOG_EXPONENT(I, AS_I(u)), down = ((I)(127) - min(e, (I)(126))) << 23;          \
        const F f = fma(lost, AS_F(down), AS_F(AS_I(u) - (e << 23)) - 1.0f), k = TO_F(e);          \
        LOG_SUM(F, f, k, y)                                                                        \
        return LOG_RESULT(F, u, y);                                                                \
    }

/* How reductions combine two values; max gives NaN for NaN. */
#define COMBINE_SUM(p, q) ((p) + (q))
#define COMBINE_MAX(p, q) SELECT(LE(p, q), q, SELECT(EQ(q, q), p, q))

/* Applies a macro of an index to adjacent lanes. */
#define LANES_1(F, i, s, k, t) F(i, k, t)
#define LANES_4(F, i, s, k, t)                                                                     \
    ((float4)(F(i, k, t), F((i) + (s), k, t), F((i) + 2 * (s), k, t), F((i) + 3 * (s), k, t)))
#define LANES_8(F, i, s, k, t)                                                                     \
    ((float8)(LANES_4(F, i, s, k, t), LANES_4(F, (i) + 4 * (s), s, k, t)))
#define LANES_16(F, i, s, k, t)                                                                    \
    ((float16)(LANES_8(F, i, s, k, t), LANES_8(F, (i) + 8 * (s), s, k, t)))

/* Position along an axis. */
#define GENERATE_POSITION(index, key, step) ((float)(index))

/* Number of the training step; above bit 48 is that of the micro-batch, which only keys chance. */
#define GENERATE_STEP(index, key, step) ((float)((step)&0xFFFFFFFFFFFFul))

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
    const uint4 words =
        philox((uint2)((uint)key, (uint)(key >> 32)),
               (uint4)((uint)block, (uint)(block >> 32), (uint)step, (uint)(step >> 32)));
    const uint lane = (uint)index & 3u;
    const uint word = lane == 0 ? words.x : lane == 1 ? words.y : lane == 2 ? words.z : words.w;
    return (float)(word >> 8) * 0x1p-24f + 0x1p-25f;
}
#define GENERATE_RANDOM(index, key, step) random_uniform((index), (key), (step))
