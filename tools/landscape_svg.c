/*
 * The picture of a landscape: a heat map over the logarithm of the loss, contours by marching
 * squares at equal steps of it, and a colour bar. The file stands alone and follows the browser's
 * dark mode.
 */
#include <math.h>

#include "cltrain.h"
#include "landscape.h"
#include "page.h"

enum {
    WIDTH = 640,
    HEIGHT = 560,
    LEFT = 64,
    TOP = 48,
    SIDE = 440,
    LEVELS = 12,
    BAR = 544,
    STEPS = 64
};
static const double SMALLEST = 1e-12; /* losses below it look like it */

static const char *const style =
    "<style>svg{background:#fff;font-family:system-ui,sans-serif;font-size:13px}text{fill:#333}"
    ".title{font-size:16px;font-weight:600}.contour{fill:none;stroke:#fff;stroke-opacity:.65}"
    ".here{fill:none;stroke:#fff;stroke-width:2}.frame{fill:none;stroke:#333}"
    "@media(prefers-color-scheme:dark){svg{background:#1b1b1b}text{fill:#ddd}.frame{stroke:#ddd}}"
    "</style>\n";

struct drawing {
    const struct landscape *map;
    FILE *out;
    double low, high; /* logarithms of the smallest and the largest loss */
    double cell;      /* pixels */
};

static double log_loss(const struct landscape *map, int row, int column)
{
    double loss = map->loss[row * map->points + column];
    return isfinite(loss) ? log10(fmax(loss, SMALLEST)) : NAN;
}

/* Dark blue over green to yellow, lighter throughout, so that it also reads in grey. */
static void put_colour(FILE *out, double part)
{
    static const int stops[][3] = {
        {24, 28, 78}, {31, 82, 124}, {38, 134, 128}, {124, 184, 92}, {246, 228, 96}};
    enum { LAST = sizeof stops / sizeof *stops - 1 };
    double at = fmin(fmax(part, 0), 1) * LAST;
    int i = at < LAST ? (int)at : LAST - 1;
    fputc('#', out);
    for (int c = 0; c < 3; c++)
        fprintf(out, "%02x", (int)lround(stops[i][c] + (at - i) * (stops[i + 1][c] - stops[i][c])));
}

static double part_of(const struct drawing *d, double value)
{
    return (value - d->low) / (d->high - d->low);
}

/* y grows upwards, as in every plot. */
static double pixel_y(const struct drawing *d, double row)
{
    return TOP + SIDE - d->cell * (row + 0.5);
}

static double pixel_x(const struct drawing *d, double column)
{
    return LEFT + d->cell * (column + 0.5);
}

static void draw_cells(const struct drawing *d)
{
    const struct landscape *map = d->map;
    for (int row = 0; row < map->points; row++)
        for (int column = 0; column < map->points; column++) {
            double value = log_loss(map, row, column);
            /* A little larger than its place, against seams. */
            fprintf(d->out, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"",
                    pixel_x(d, column - 0.5), pixel_y(d, row + 0.5), d->cell + 0.3, d->cell + 0.3);
            if (isnan(value))
                fputs("#888", d->out);
            else
                put_colour(d->out, part_of(d, value));
            fprintf(d->out, "\"><title>%.3g, %.3g: loss %.5g</title></rect>\n",
                    landscape_place(map, column), landscape_place(map, row),
                    map->loss[row * map->points + column]);
        }
}

/* Where the level lies between corner a and the next one, around the square (row, column). */
static void put_crossing(const struct drawing *d, int row, int column, const double v[4], int a,
                         double level)
{
    static const int rows[4] = {0, 0, 1, 1}, columns[4] = {0, 1, 1, 0};
    int b = (a + 1) % 4;
    double t = (level - v[a]) / (v[b] - v[a]);
    fprintf(d->out, "%.1f %.1f", pixel_x(d, column + columns[a] + t * (columns[b] - columns[a])),
            pixel_y(d, row + rows[a] + t * (rows[b] - rows[a])));
}

/*
 * The pieces of one contour in one square. Edges that it crosses come in pairs; with four of them
 * (a saddle) neighbours around the square are joined.
 */
static void draw_square(const struct drawing *d, int row, int column, double level)
{
    double v[4] = {log_loss(d->map, row, column), log_loss(d->map, row, column + 1),
                   log_loss(d->map, row + 1, column + 1), log_loss(d->map, row + 1, column)};
    if (isnan(v[0] + v[1] + v[2] + v[3])) return;
    bool start = true;
    for (int a = 0; a < 4; a++) {
        if ((v[a] < level) == (v[(a + 1) % 4] < level)) continue;
        fputc(start ? 'M' : 'L', d->out);
        put_crossing(d, row, column, v, a, level);
        start = !start;
    }
}

static void draw_contours(const struct drawing *d)
{
    for (int i = 1; i < LEVELS; i++) {
        double level = d->low + (d->high - d->low) * i / LEVELS;
        fputs("<path class=\"contour\" d=\"", d->out);
        for (int row = 0; row + 1 < d->map->points; row++)
            for (int column = 0; column + 1 < d->map->points; column++)
                draw_square(d, row, column, level);
        fputs("\"/>\n", d->out);
    }
}

static void draw_bar(const struct drawing *d)
{
    for (int i = 0; i < STEPS; i++) {
        fprintf(d->out, "<rect x=\"%d\" y=\"%.2f\" width=\"18\" height=\"%.2f\" fill=\"", BAR,
                TOP + SIDE * (1 - (i + 1.0) / STEPS), (double)SIDE / STEPS + 0.3);
        put_colour(d->out, (i + 0.5) / STEPS);
        fputs("\"/>\n", d->out);
    }
    for (int i = 0; i <= LEVELS; i += 2)
        fprintf(d->out, "<text x=\"%d\" y=\"%.1f\">%.3g</text>\n", BAR + 24,
                TOP + SIDE * (1 - (double)i / LEVELS) + 4,
                pow(10, d->low + (d->high - d->low) * i / LEVELS));
    fprintf(d->out, "<text x=\"%d\" y=\"%d\">loss</text>\n", BAR, TOP - 10);
}

static void draw_axes(const struct drawing *d)
{
    fprintf(d->out, "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", LEFT,
            TOP, SIDE, SIDE);
    for (int i = 0; i <= 4; i++) {
        double at = (d->map->points - 1) * i / 4.0, value = d->map->range * (i / 2.0 - 1);
        fprintf(d->out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.3g</text>\n",
                pixel_x(d, at), TOP + SIDE + 20, value);
        fprintf(d->out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n", LEFT - 8,
                pixel_y(d, at) + 4, value);
    }
    double middle = (d->map->points - 1) / 2.0;
    fprintf(d->out, "<circle class=\"here\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>\n",
            pixel_x(d, middle), pixel_y(d, middle));
    fprintf(
        d->out,
        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">lengths of the filters along two random "
        "directions; the circle is the trained network</text>\n",
        WIDTH / 2, HEIGHT - 16);
}

/* The range of what can be drawn; some room if everything is the same. */
static void find_range(struct drawing *d)
{
    d->low = INFINITY;
    d->high = -INFINITY;
    for (int row = 0; row < d->map->points; row++)
        for (int column = 0; column < d->map->points; column++) {
            d->low = fmin(d->low, log_loss(d->map, row, column)); /* NaN loses */
            d->high = fmax(d->high, log_loss(d->map, row, column));
        }
    if (!isfinite(d->low)) d->low = d->high = 0;
    if (d->high - d->low < 1e-6) d->high = d->low + 1e-6;
}

int landscape_draw(const struct landscape *map, const char *path, const char *title)
{
    struct page page;
    int code = page_open(&page);
    if (code != DONE) return code;
    struct drawing d = {.map = map, .out = page.out, .cell = (double)SIDE / map->points};
    find_range(&d);
    fprintf(page.out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
            "height=\"%d\" role=\"img\">\n<title>",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    page_text(&page, title);
    fprintf(page.out, "</title>\n%s<text class=\"title\" x=\"%d\" y=\"24\" text-anchor=\"middle\">",
            style, WIDTH / 2);
    page_text(&page, title);
    fputs("</text>\n", page.out);
    draw_cells(&d);
    draw_contours(&d);
    draw_bar(&d);
    draw_axes(&d);
    fputs("</svg>\n", page.out);
    return page_close(&page, path);
}
