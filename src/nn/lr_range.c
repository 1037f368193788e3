/*
 * Searching a learning rate: the rates to try, and what the losses say.
 */
#include <math.h>

#include "base/base.h"
#include "clgrad/schedule.h"

static const clg_lr_range defaults = {.lowest = 1e-7, .highest = 10.0, .steps = 100};

static size_t count_of(const clg_lr_range *range)
{
    size_t steps = range->steps ? range->steps : defaults.steps;
    return steps < 2 ? 2 : steps;
}

double clg_lr_range_rate(const clg_lr_range *range, size_t i)
{
    if (!range) range = &defaults;
    double lowest = range->lowest > 0 ? range->lowest : defaults.lowest;
    double highest = range->highest > 0 ? range->highest : defaults.highest;
    return lowest * pow(highest / lowest, (double)i / (double)(count_of(range) - 1));
}

bool clg_lr_range_smooth(const double *losses, size_t n, double *smooth)
{
    const double decay = 0.9;
    double average = 0, weight = 0, lowest = INFINITY;
    CLG__NEEDS_OR(true, n == 0 || (losses && smooth));
    for (size_t i = 0; i < n; i++) {
        average = decay * average + (1 - decay) * losses[i];
        weight = decay * weight + (1 - decay);
        smooth[i] = average / weight;
        if (smooth[i] < lowest) lowest = smooth[i];
    }
    return n > 0 && !(smooth[n - 1] <= 4 * lowest);
}

/* Index of the lowest loss. What comes behind it is an explosion, or recovery from one. */
static size_t lowest_of(const double *smooth, size_t n)
{
    size_t lowest = 0;
    for (size_t i = 1; i < n; i++)
        if (smooth[i] < smooth[lowest]) lowest = i;
    return lowest;
}

double clg_lr_range_suggest(const clg_lr_range *range, const double *smooth, size_t n)
{
    const size_t reach = n / 25 + 1; /* the slope is taken over so many steps on both sides */
    double steepest = 0, rate = 0;
    CLG__NEEDS_OR(0, smooth);
    size_t end = n < 4 ? 0 : lowest_of(smooth, n);
    /* means of fewer losses jump from batch to batch */
    for (size_t i = n < 40 ? 1 : 10; i < end; i++) {
        size_t before = i > reach ? i - reach : 0, behind = i + reach < n ? i + reach : n - 1;
        /* the logarithms of the rates are evenly spaced */
        double slope = (smooth[behind] - smooth[before]) / (double)(behind - before);
        if (!(slope < steepest)) continue;
        steepest = slope;
        rate = clg_lr_range_rate(range, i);
    }
    return rate;
}
