/*
 * Initial values of variables: constants, normal and uniform numbers with the scales of Glorot, He,
 * LeCun and "fan-in" (PyTorch's default for linear and convolution layers), and orthogonal
 * matrices.
 *
 * Every kind comes down to a distribution and one scale, so kinds are rows of a table. Element i
 * takes word i mod 4 of Philox at counter i / 4; the key is Philox of the seed at the name's hash.
 * Sampling is in double on the host and rounded once: the same numbers for every device.
 */
#include "tensor/init.h"

#include <math.h>

#include "base/base.h"
#include "base/random.h"

typedef enum distribution { CONSTANT, NORMAL, TRUNCATED, UNIFORM, ORTHOGONAL } distribution;

/* What the scale is computed from: the `value` field, 1, or gain / sqrt of a fan count. */
typedef enum scaling { BY_VALUE, BY_ONE, BY_FAN_IN, BY_FAN_SUM } scaling;

static const struct kind_row {
    distribution distribution;
    scaling scaling;
    double gain_squared;
} kinds[] = {
    [CLG_INIT_ZEROS] = {CONSTANT, BY_FAN_IN, 0},
    [CLG_INIT_ONES] = {CONSTANT, BY_ONE, 0},
    [CLG_INIT_CONSTANT] = {CONSTANT, BY_VALUE, 0},
    [CLG_INIT_NORMAL] = {NORMAL, BY_VALUE, 0},
    [CLG_INIT_TRUNCATED_NORMAL] = {TRUNCATED, BY_VALUE, 0},
    [CLG_INIT_UNIFORM] = {UNIFORM, BY_VALUE, 0},
    [CLG_INIT_FAN_IN_UNIFORM] = {UNIFORM, BY_FAN_IN, 1},
    [CLG_INIT_GLOROT_NORMAL] = {NORMAL, BY_FAN_SUM, 2},
    [CLG_INIT_GLOROT_UNIFORM] = {UNIFORM, BY_FAN_SUM, 6},
    [CLG_INIT_HE_NORMAL] = {NORMAL, BY_FAN_IN, 2},
    [CLG_INIT_HE_UNIFORM] = {UNIFORM, BY_FAN_IN, 6},
    [CLG_INIT_LECUN_NORMAL] = {NORMAL, BY_FAN_IN, 1},
    [CLG_INIT_LECUN_UNIFORM] = {UNIFORM, BY_FAN_IN, 3},
    [CLG_INIT_ORTHOGONAL] = {ORTHOGONAL, BY_ONE, 0},
};
_Static_assert(CLG__COUNT(kinds) == CLG_INIT_COUNT, "every kind has a row");

/* ---- names ---- */

static const char *const names[] = {
#define NAME(id, name) [CLG_INIT_##id] = #name,
    CLG_INIT_ROWS(NAME)
#undef NAME
};

const char *clg_init_name(clg_init_kind kind)
{
    return (unsigned)kind < CLG_INIT_COUNT ? names[kind] : NULL;
}

bool clg_init_find(const char *name, clg_init_kind *out)
{
    CLG__NEEDS_OR(false, name && out);
    for (int i = 0; i < CLG_INIT_COUNT; i++) {
        if (strcmp(names[i], name) != 0) continue;
        *out = (clg_init_kind)i;
        return true;
    }
    return false;
}

bool clg_init_takes_value(clg_init_kind kind)
{
    return (unsigned)kind < CLG_INIT_COUNT && kinds[kind].scaling == BY_VALUE;
}

/* ---- scales ---- */

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
    double gain = init->gain != 0 ? init->gain : 1;
    if (row->scaling == BY_VALUE) return gain * init->value;
    if (row->scaling == BY_ONE) return gain;
    return gain * sqrt(row->gain_squared / (1 + init->slope * init->slope) / fmax(fan, 1.0));
}

/* ---- numbers ---- */

static void fill_constant(float *data, int64_t count, float value)
{
    for (int64_t i = 0; i < count; i++) data[i] = value;
}

static void sample_normal(uint64_t key, uint64_t block, uint64_t attempt, float out[4])
{
    uint32_t word[4];
    clg__philox(key, block, attempt, word);
    clg__normal(word[0], word[1], out);
    clg__normal(word[2], word[3], out + 2);
}

/* What is too far out is taken from the same place of the next attempt: one in 22 is. */
static void sample_truncated(uint64_t key, uint64_t block, float out[4])
{
    bool missing = true;
    for (int i = 0; i < 4; i++) out[i] = INFINITY;
    for (uint64_t attempt = 0; missing; attempt++) {
        float drawn[4];
        sample_normal(key, block, attempt, drawn);
        missing = false;
        for (int i = 0; i < 4; i++) {
            if (fabsf(out[i]) > 2) out[i] = drawn[i];
            missing |= fabsf(out[i]) > 2;
        }
    }
}

/* Four values of the distribution with scale 1. */
static void sample(distribution kind, uint64_t key, uint64_t block, float out[4])
{
    uint32_t word[4];
    if (kind == NORMAL) {
        sample_normal(key, block, 0, out);
    } else if (kind == TRUNCATED) {
        sample_truncated(key, block, out);
    } else {
        clg__philox(key, block, 0, word);
        for (int j = 0; j < 4; j++) out[j] = 2.0f * clg__uniform(word[j]) - 1.0f;
    }
}

static void fill_random(distribution kind, uint64_t key, double scale, float *data, int64_t count)
{
    for (int64_t i = 0; i < count; i += 4) {
        float value[4];
        sample(kind, key, (uint64_t)i / 4, value);
        for (int64_t j = 0; j < 4 && i + j < count; j++) data[i + j] = (float)(scale * value[j]);
    }
}

/* ---- orthogonal matrices ---- */

/* Takes the parts along the rows before it out of row n of q (of `length` columns); makes it 1
 * long. */
static void orthogonalize(double *q, int64_t n, int64_t length)
{
    double *row = q + n * length, squares = 0;
    for (int64_t pass = 0; pass < 2 * n; pass++) { /* twice: once leaves rounding errors behind */
        const double *other = q + pass % n * length;
        double product = 0;
        for (int64_t i = 0; i < length; i++) product += row[i] * other[i];
        for (int64_t i = 0; i < length; i++) row[i] -= product * other[i];
    }
    for (int64_t i = 0; i < length; i++) squares += row[i] * row[i];
    for (int64_t i = 0; i < length; i++) row[i] /= sqrt(squares);
}

/*
 * Gram-Schmidt on normal numbers: uniform among all such matrices. The rows of q are the columns of
 * the weight, or its rows where it has fewer of those.
 */
static clg_status fill_orthogonal(const clg_shape *shape, uint64_t key, double scale, float *data)
{
    int64_t columns = shape->ndim ? shape->dim[shape->ndim - 1] : 1;
    int64_t count = clg_shape_count(shape), rows = count / columns;
    int64_t n = rows < columns ? rows : columns, length = count / n;
    double *q = clg__alloc((size_t)count * sizeof *q);
    if (!q) return CLG_ERROR_MEMORY;
    fill_random(NORMAL, key, 1, data, count);
    for (int64_t i = 0; i < count; i++) q[i] = data[i];
    for (int64_t k = 0; k < n; k++) orthogonalize(q, k, length);
    for (int64_t i = 0; i < count; i++) {
        int64_t row = i / columns, column = i % columns;
        int64_t at = rows < columns ? row * length + column : column * length + row;
        data[i] = (float)(scale * q[at]);
    }
    clg__free(q);
    return CLG_OK;
}

/* ---- filling ---- */

/* Both go through Philox, not through bytes in memory: independent of the host's byte order. */
static uint64_t key_of(uint64_t seed, const char *name)
{
    clg__hash128 hash = clg__hash(name, strlen(name));
    uint32_t word[4];
    clg__philox(seed, hash.lo, hash.hi, word);
    return (uint64_t)word[1] << 32 | word[0];
}

static clg_status check(const clg_init *init, const char *name)
{
    if ((unsigned)init->kind >= CLG_INIT_COUNT)
        return clg__fail(CLG_ERROR_ARGUMENT, "variable %s: unknown kind of initial values (%d)",
                         name, (int)init->kind);
    if (!isfinite(init->value) || init->fan_in < 0)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "variable %s: initial values need a finite value (got %g) and fan_in >= 0 "
                         "(got %lld)",
                         name, init->value, (long long)init->fan_in);
    if (init->value < 0 && clg_init_takes_value(init->kind) && init->kind != CLG_INIT_CONSTANT)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "variable %s: the value of %s is not negative (got %g): it is the width "
                         "of the distribution",
                         name, names[init->kind], init->value);
    if (!(init->gain >= 0 && isfinite(init->gain)) || !isfinite(init->slope))
        return clg__fail(
            CLG_ERROR_ARGUMENT,
            "variable %s: initial values need a gain that is not negative (got %g) and "
            "a finite slope (got %g)",
            name, init->gain, init->slope);
    bool he = init->kind == CLG_INIT_HE_NORMAL || init->kind == CLG_INIT_HE_UNIFORM;
    if (init->slope != 0 && !he)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "variable %s: a slope belongs to he_normal and he_uniform, not to %s",
                         name, names[init->kind]);
    return CLG_OK;
}

clg_status clg__init_fill(const clg_init *init, const clg_shape *shape, uint64_t seed,
                          const char *name, float *data)
{
    CLG_TRY(check(init, name));
    distribution kind = kinds[init->kind].distribution;
    double scale = scale_of(init, shape);
    int64_t count = clg_shape_count(shape);
    if (kind == ORTHOGONAL) return fill_orthogonal(shape, key_of(seed, name), scale, data);
    if (kind == CONSTANT)
        fill_constant(data, count, (float)scale);
    else
        fill_random(kind, key_of(seed, name), scale, data, count);
    return CLG_OK;
}
