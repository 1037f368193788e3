/*
 * Initial values of variables: constant, normal and uniform, with the scales of Glorot, He and
 * "fan-in" (PyTorch's default for linear and convolution layers).
 *
 * Every kind comes down to a distribution and one scale, so kinds are rows of a table. Element i
 * takes word i mod 4 of Philox at counter i / 4; the key is Philox of the seed at the name's hash.
 * Sampling is in double on the host and rounded once: the same numbers for every device.
 */
#include <math.h>

#include "base/base.h"
#include "base/random.h"
#include "tensor/init.h"

typedef enum distribution { CONSTANT, NORMAL, UNIFORM } distribution;

/* What the scale is computed from: the `value` field, or gain / sqrt of a fan count. */
typedef enum scaling { BY_VALUE, BY_FAN_IN, BY_FAN_SUM } scaling;

static const struct kind_row {
    distribution distribution;
    scaling scaling;
    double gain_squared;
} kinds[] = {
    [CLG_INIT_ZEROS] = {CONSTANT, BY_FAN_IN, 0},
    [CLG_INIT_CONSTANT] = {CONSTANT, BY_VALUE, 0},
    [CLG_INIT_NORMAL] = {NORMAL, BY_VALUE, 0},
    [CLG_INIT_UNIFORM] = {UNIFORM, BY_VALUE, 0},
    [CLG_INIT_FAN_IN_UNIFORM] = {UNIFORM, BY_FAN_IN, 1},
    [CLG_INIT_GLOROT_NORMAL] = {NORMAL, BY_FAN_SUM, 2},
    [CLG_INIT_GLOROT_UNIFORM] = {UNIFORM, BY_FAN_SUM, 6},
    [CLG_INIT_HE_NORMAL] = {NORMAL, BY_FAN_IN, 2},
    [CLG_INIT_HE_UNIFORM] = {UNIFORM, BY_FAN_IN, 6},
};

void clg__init_fans(const clg_shape *shape, int64_t *fan_in, int64_t *fan_out)
{
    int64_t in = 1, out = 1;
    for (int i = 0; i < shape->ndim; i++) {
        if (i != shape->ndim - 1) in *= shape->dim[i];
        if (i != shape->ndim - 2) out *= shape->dim[i];
    }
    *fan_in = in;
    *fan_out = out;
}

static double scale_of(const clg_init *init, const clg_shape *shape)
{
    const struct kind_row *row = &kinds[init->kind];
    int64_t fan_in, fan_out;
    clg__init_fans(shape, &fan_in, &fan_out);
    if (init->fan_in) fan_in = init->fan_in;
    double fan = (double)fan_in + (row->scaling == BY_FAN_SUM ? (double)fan_out : 0.0);
    if (row->scaling == BY_VALUE) return init->value;
    return sqrt(row->gain_squared / fmax(fan, 1.0));
}

static void fill_constant(float *data, int64_t count, float value)
{
    for (int64_t i = 0; i < count; i++) data[i] = value;
}

/* Four values of the distribution with scale 1 from the four words of one counter. */
static void sample(distribution kind, const uint32_t word[4], float out[4])
{
    if (kind == NORMAL) {
        clg__normal(word[0], word[1], out);
        clg__normal(word[2], word[3], out + 2);
        return;
    }
    for (int j = 0; j < 4; j++) out[j] = 2.0f * clg__uniform(word[j]) - 1.0f;
}

static void fill_random(distribution kind, uint64_t key, double scale, float *data, int64_t count)
{
    for (int64_t i = 0; i < count; i += 4) {
        uint32_t word[4];
        float value[4];
        clg__philox(key, (uint64_t)i / 4, 0, word);
        sample(kind, word, value);
        for (int64_t j = 0; j < 4 && i + j < count; j++) data[i + j] = (float)(scale * value[j]);
    }
}

/* Both go through Philox, not through bytes in memory: independent of the host's byte order. */
static uint64_t key_of(uint64_t seed, const char *name)
{
    clg__hash128 hash = clg__hash(name, strlen(name));
    uint32_t word[4];
    clg__philox(seed, hash.lo, hash.hi, word);
    return (uint64_t)word[1] << 32 | word[0];
}

clg_status clg__init_fill(const clg_init *init, const clg_shape *shape, uint64_t seed,
                          const char *name, float *data)
{
    if ((unsigned)init->kind >= CLG__COUNT(kinds))
        return clg__fail(CLG_ERROR_ARGUMENT, "variable %s: unknown kind of initial values (%d)",
                         name, (int)init->kind);
    if (!isfinite(init->value) || init->fan_in < 0)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "variable %s: initial values need a finite value (got %g) and fan_in >= 0 "
                         "(got %lld)",
                         name, init->value, (long long)init->fan_in);
    distribution kind = kinds[init->kind].distribution;
    double scale = scale_of(init, shape);
    int64_t count = 1;
    for (int i = 0; i < shape->ndim; i++) count *= shape->dim[i];
    if (kind == CONSTANT)
        fill_constant(data, count, (float)scale);
    else
        fill_random(kind, key_of(seed, name), scale, data, count);
    return CLG_OK;
}
