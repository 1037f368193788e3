/*
 * Ranges and ticks of charts. Ticks are multiples of 1, 2 or 5 times a power of ten; the axis
 * begins and ends at a quarter of such a step, just outside the data. A logarithmic axis is the
 * same over the logarithms, with whole decades as steps. Points that cannot be drawn are left out
 * everywhere.
 */
#include "io/chart.h"

#include <math.h>

/* Beyond the one, differences overflow; below the other, quotients do: as good as 0. */
static const double LARGEST = 1e300, SMALLEST = 1e-280;

typedef struct range {
    double low, high;
    bool empty, whole; /* whole: only whole numbers */
} range;

static void range_add(range *r, double value)
{
    if (r->empty || value < r->low) r->low = value;
    if (r->empty || value > r->high) r->high = value;
    r->empty = false;
    r->whole = r->whole && value == floor(value);
}

bool clg__chart_point(const clg_chart_params *params, size_t series, size_t i, double *x, double *y)
{
    const clg_chart_series *s = &params->series[series];
    *x = s->x ? s->x[i] : (double)(i + 1);
    *y = s->y[i];
    if (params->log_y && !(*y > SMALLEST)) return false;
    return fabs(*x) < LARGEST && fabs(*y) < LARGEST; /* false for NaN */
}

/* 1, 2, 5 or 10 times a power of ten, at least `rough`. */
static double round_step(double rough)
{
    double power = pow(10, floor(log10(rough))), part = rough / power;
    double digit = part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10;
    return digit * power;
}

static clg__axis make_axis(range r, int ticks)
{
    if (r.empty) r = (range){.low = 0, .high = 1};
    /* A constant needs some room; so does one that varies only in the last digits of a double. */
    double size = fmax(fabs(r.low), fabs(r.high));
    if (size < SMALLEST || r.high - r.low <= size * 1e-9) {
        double room = size < SMALLEST ? 1 : size * 0.1;
        r.low -= room;
        r.high += room;
    }
    clg__axis axis = {.step = round_step((r.high - r.low) / ticks)};
    if (r.whole && axis.step < 1) axis.step = 1;
    double unit = axis.step / 4;
    axis.low = floor(r.low / unit + 1e-9) * unit;
    axis.high = ceil(r.high / unit - 1e-9) * unit;
    axis.first = ceil(axis.low / axis.step - 1e-9);
    axis.ticks = (int)(floor(axis.high / axis.step + 1e-9) - axis.first) + 1;
    return axis;
}

/* Over logarithms: from a whole decade to a whole decade, at least one. */
static clg__axis make_log_axis(range r, int ticks)
{
    double low = r.empty ? -1 : floor(log10(r.low)), high = r.empty ? 0 : ceil(log10(r.high));
    if (high <= low) high = low + 1;
    double step = ceil((high - low) / ticks);
    double first = floor(low / step);
    high = ceil(high / step) * step;
    return (clg__axis){.low = first * step,
                       .high = high,
                       .step = step,
                       .first = first,
                       .ticks = (int)(high / step - first) + 1,
                       .log = true};
}

double clg__axis_tick(const clg__axis *axis, int i)
{
    double tick = (axis->first + i) * axis->step;
    return axis->log ? pow(10, tick) : tick;
}

double clg__axis_part(const clg__axis *axis, double value)
{
    if (axis->log) value = log10(value);
    return (value - axis->low) / (axis->high - axis->low);
}

clg_status clg__chart_prepare(clg__chart *chart, const clg_chart_params *params, int x_ticks,
                              int y_ticks)
{
    range x = {.empty = true, .whole = true}, y = {.empty = true}; /* there is no epoch 1.5 */
    if (!params || (params->count > 0 && !params->series))
        return clg__fail(CLG_ERROR_ARGUMENT, "chart: no parameters or no series");
    for (size_t s = 0; s < params->count; s++) {
        const clg_chart_series *series = &params->series[s];
        if (!series->y && series->count > 0)
            return clg__fail(CLG_ERROR_ARGUMENT, "chart: series %zu has no y values", s);
        for (size_t i = 0; i < series->count; i++) {
            double px, py;
            if (!clg__chart_point(params, s, i, &px, &py)) continue;
            range_add(&x, px);
            range_add(&y, py);
        }
    }
    *chart = (clg__chart){
        .params = params,
        .x = make_axis(x, x_ticks),
        .y = params->log_y ? make_log_axis(y, y_ticks) : make_axis(y, y_ticks),
        .empty = x.empty,
    };
    return CLG_OK;
}
