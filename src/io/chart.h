/*
 * What the SVG and the text chart share: the range of the data and round tick positions.
 */
#ifndef CLG_CHART_INTERNAL_H
#define CLG_CHART_INTERNAL_H

#include "base/base.h"
#include "base/number.h"
#include "clgrad/data.h"

/* An axis from low to high, with ticks at the multiples of `step` in it. */
typedef struct clg__axis {
    double low, high, step; /* of the logarithm to base 10 if `log` */
    double first;           /* the first tick is first * step */
    int ticks;
    bool log;
} clg__axis;

typedef struct clg__chart {
    const clg_chart_params *params;
    clg__axis x, y;
    bool empty; /* nothing to draw: no finite point */
} clg__chart;

/** Checks the parameters and finds both axes, with about so many ticks. */
clg_status clg__chart_prepare(clg__chart *chart, const clg_chart_params *params, int x_ticks,
                              int y_ticks);

/** Point i of a series; false if it cannot be drawn (NaN, infinite, below 0 on a log axis). */
bool clg__chart_point(const clg_chart_params *params, size_t series, size_t i, double *x,
                      double *y);

/** Position of tick i, exactly 0 where it should be. */
double clg__axis_tick(const clg__axis *axis, int i);
/** Where a value lies on the axis: 0 at low, 1 at high. */
double clg__axis_part(const clg__axis *axis, double value);

/** The text, "" for NULL. */
static inline const char *clg__text_or_empty(const char *text)
{
    return text ? text : "";
}

#endif
