/*
 * What a model of numbers makes of the test part: the section of report.html about its fit. A
 * function of one number is drawn as one; of others, each prediction is a point over what it should
 * be.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run_report.h"

enum { CHART_WIDTH = 520, CHART_HEIGHT = 340 };

static int by_feature(const void *a, const void *b)
{
    float x = ((const struct fit_point *)a)->feature, y = ((const struct fit_point *)b)->feature;
    return (x > y) - (x < y);
}

/* The data as points and the network as a line, over the only feature. Columns: x, data, network.
 */
static void draw_function(struct page *page, const struct fit_point *points, size_t n,
                          double *columns)
{
    for (size_t i = 0; i < n; i++) {
        columns[i] = (double)points[i].feature;
        columns[n + i] = (double)points[i].target;
        columns[2 * n + i] = (double)points[i].output;
    }
    const clg_chart_series series[] = {{"data", columns, columns + n, n},
                                       {"network", columns, columns + 2 * n, n}};
    page_chart(page, clg_chart_options(.title = "The function that was learned", .x_label = "input",
                                       .y_label = "output", .series = series, .points = 1,
                                       .count = 2, .width = CHART_WIDTH, .height = CHART_HEIGHT));
}

/* Columns: targets, predictions. The line is where they would be equal. */
static void draw_scatter(struct page *page, const struct fit_point *points, size_t n,
                         double *columns)
{
    double ends[] = {INFINITY, -INFINITY};
    for (size_t i = 0; i < n; i++) {
        columns[i] = (double)points[i].target;
        columns[n + i] = (double)points[i].output;
        ends[0] = fmin(ends[0], columns[i]);
        ends[1] = fmax(ends[1], columns[i]);
    }
    const clg_chart_series series[] = {{"prediction", columns, columns + n, n},
                                       {"if it were right", ends, ends, 2}};
    page_chart(page, clg_chart_options(.title = "Predictions", .x_label = "target",
                                       .y_label = "prediction", .series = series, .points = 1,
                                       .count = 2, .width = CHART_WIDTH, .height = CHART_HEIGHT));
}

const char *run_report_fit(struct page *page, const void *data)
{
    const struct review *review = ((const struct run_report *)data)->review;
    if (!review) return "Measured on the test part at the end of the training.";
    size_t n = (size_t)review->n_points;
    struct fit_point *points = malloc(n * sizeof *points);
    double *columns = malloc(3 * n * sizeof *columns);
    const char *nothing = points && columns ? NULL : "There was no memory for this picture.";
    if (!nothing) {
        bool function = review->n_features == 1 && review->outputs == 1;
        memcpy(points, review->points, n * sizeof *points);
        if (function) qsort(points, n, sizeof *points, by_feature);
        fprintf(page->out, "<p class=\"soft\">%zu numbers of the %s part.</p>\n", n, review->part);
        fputs("<div class=\"charts\">\n", page->out);
        (function ? draw_function : draw_scatter)(page, points, n, columns);
        fputs("</div>\n", page->out);
    }
    free(points);
    free(columns);
    return nothing;
}
