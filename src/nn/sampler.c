/*
 * Drawing numbers with given weights, at the cost of one table look-up each: the alias method
 * (Walker 1977) with the tables of Vose 1991. Column i of the table holds number i up to `limit[i]`
 * and number alias[i] above it; all columns are equally likely.
 */
#include <math.h>

#include "base/base.h"
#include "base/random.h"
#include "clgrad/sequence.h"

struct clg_sampler {
    int64_t n;
    double *limit; /* 0 .. 1 */
    int32_t *alias;
};

/* limit[i] = n weights[i]^power / sum: 1 where a column is just full. */
static clg_status scale(clg_sampler *s, const double *weights, double power)
{
    double sum = 0;
    for (int64_t i = 0; i < s->n; i++) {
        s->limit[i] = weights[i] > 0 ? pow(weights[i], power) : 0.0;
        bool valid = isfinite(s->limit[i]) && weights[i] >= 0;
        if (!valid)
            return clg__fail(CLG_ERROR_ARGUMENT, "sampler: weight %lld is %g, to the power %g",
                             (long long)i, weights[i], power);
        sum += s->limit[i];
    }
    if (!(sum > 0 && isfinite(sum)))
        return clg__fail(CLG_ERROR_ARGUMENT, "sampler: the weights' sum is %g", sum);
    for (int64_t i = 0; i < s->n; i++) s->limit[i] *= (double)s->n / sum;
    return CLG_OK;
}

/* Fills each column that is not full from one that has too much. `todo`: room for n numbers. */
static void fill_columns(clg_sampler *s, int32_t *todo)
{
    int64_t small = 0, large = s->n; /* stacks from both ends */
    for (int64_t i = 0; i < s->n; i++) {
        s->alias[i] = (int32_t)i;
        todo[s->limit[i] < 1 ? small++ : --large] = (int32_t)i;
    }
    while (small > 0 && large < s->n) {
        int32_t low = todo[--small], high = todo[large];
        s->alias[low] = high;
        s->limit[high] -= 1 - s->limit[low];
        if (s->limit[high] >= 1) continue;
        large++;
        todo[small++] = high;
    }
    /* What is left is full but for rounding. */
    while (small > 0) s->limit[todo[--small]] = 1;
    for (; large < s->n; large++) s->limit[todo[large]] = 1;
}

clg_status clg_sampler_create(clg_sampler **out, const double *weights, int64_t n, double power)
{
    CLG__NEEDS(out);
    if (!weights || n < 1 || n > INT32_MAX)
        return clg__fail(CLG_ERROR_ARGUMENT, "sampler: %lld weights", (long long)n);
    clg_sampler *s = clg__calloc(1, sizeof *s);
    if (!s) return CLG_ERROR_MEMORY;
    clg__object_created();
    s->n = n;
    s->limit = clg__calloc((size_t)n, sizeof *s->limit);
    s->alias = clg__calloc((size_t)n, sizeof *s->alias);
    int32_t *todo = clg__calloc((size_t)n, sizeof *todo);
    clg_status status = s->limit && s->alias && todo ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK) status = scale(s, weights, power);
    if (status == CLG_OK) fill_columns(s, todo);
    clg__free(todo);
    if (status == CLG_OK)
        *out = s;
    else
        clg_sampler_destroy(s);
    return status;
}

void clg_sampler_destroy(clg_sampler *s)
{
    if (!s) return;
    clg__free(s->limit);
    clg__free(s->alias);
    clg__free(s);
    clg__object_destroyed();
}

void clg_sampler_draw(const clg_sampler *s, uint64_t seed, uint64_t first, int64_t count,
                      int32_t *out)
{
    CLG__NEEDS_OR(, s && (out || count < 1));
    for (int64_t j = 0; j < count; j++) {
        uint32_t word[4];
        clg__philox(seed, first + (uint64_t)j, 0, word);
        uint64_t column = (uint64_t)word[0] << 32 | word[1];
        column = (uint64_t)(((unsigned __int128)column * (uint64_t)s->n) >> 64);
        double height = ((double)word[2] + 0.5) * 0x1p-32;
        out[j] = height < s->limit[column] ? (int32_t)column : s->alias[column];
    }
}

double clg_subsampling_probability(double count, double total, double threshold)
{
    return count > threshold * total ? sqrt(threshold * total / count) : 1.0;
}
