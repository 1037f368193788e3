/*
 * Line chart as SVG: grid and tick labels, one path per series, legend above the plot. The file
 * stands alone; colours are the Okabe-Ito palette, which people who confuse red and green can tell
 * apart. All numbers are written with a decimal point.
 */
#include "io/chart.h"
#include "io/utf8.h"

enum {
    DEFAULT_WIDTH = 800,
    DEFAULT_HEIGHT = 480,
    MIN_SIDE = 160,
    MAX_SIDE = 16384,
    LEFT = 72, /* margins around the plot, pixels */
    RIGHT = 24,
    TOP = 64,
    BOTTOM = 56,
    COLOURS = 7,
    MARKED = 50 /* up to so many points are also marked by dots */
};

static const char *const style =
    "<style>"
    "svg{background:#fff;font-family:system-ui,sans-serif;font-size:13px}"
    "text{fill:#333}.title{font-size:16px;font-weight:600}"
    ".grid{stroke:#ddd}.axis{stroke:#333;fill:none}"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
    ".s0{stroke:#0072b2}.s1{stroke:#d55e00}.s2{stroke:#009e73}.s3{stroke:#cc79a7}"
    ".s4{stroke:#e69f00}.s5{stroke:#56b4e9}.s6{stroke:#767676}"
    "@media(prefers-color-scheme:dark){svg{background:#1b1b1b}text{fill:#ddd}"
    ".grid{stroke:#3a3a3a}.axis{stroke:#ddd}.s0{stroke:#56b4e9}.s5{stroke:#0072b2}}"
    "</style>\n";

typedef struct canvas {
    const clg__chart *chart;
    clg__str *out;
    double width, height;
} canvas;

/* Text for XML: markup escaped; control characters and invalid UTF-8, which no parser takes, '?'.
 */
static void add_escaped(clg__str *out, const char *text)
{
    for (int length; *text; text += length ? length : 1) {
        length = clg__utf8_length(text);
        unsigned char c = (unsigned char)*text;
        if (c == '&')
            clg__str_add(out, "&amp;");
        else if (c == '<')
            clg__str_add(out, "&lt;");
        else if (c == '>')
            clg__str_add(out, "&gt;");
        else if (length == 0 || c < 0x20 || c == 0x7f)
            clg__str_add(out, "?");
        else
            clg__str_addn(out, text, (size_t)length);
    }
}

static double x_at(const canvas *c, double x)
{
    return LEFT + clg__axis_part(&c->chart->x, x) * (c->width - LEFT - RIGHT);
}

static double y_at(const canvas *c, double y)
{
    return c->height - BOTTOM - clg__axis_part(&c->chart->y, y) * (c->height - TOP - BOTTOM);
}

static void add_line(const canvas *c, const char *class, double x1, double y1, double x2, double y2)
{
    char a[CLG__NUMBER_SIZE], b[CLG__NUMBER_SIZE], d[CLG__NUMBER_SIZE], e[CLG__NUMBER_SIZE];
    clg__str_addf(c->out, "<line class=\"%s\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>\n", class,
                  clg__fixed(a, x1, 1), clg__fixed(b, y1, 1), clg__fixed(d, x2, 1),
                  clg__fixed(e, y2, 1));
}

/* `attributes`: anchor, class, transform. */
static void add_text(const canvas *c, double x, double y, const char *attributes, const char *text)
{
    char a[CLG__NUMBER_SIZE], b[CLG__NUMBER_SIZE];
    clg__str_addf(c->out, "<text x=\"%s\" y=\"%s\" %s>", clg__fixed(a, x, 1), clg__fixed(b, y, 1),
                  attributes);
    add_escaped(c->out, text);
    clg__str_add(c->out, "</text>\n");
}

static void add_axes(const canvas *c)
{
    char label[CLG__NUMBER_SIZE];
    double bottom = c->height - BOTTOM, right = c->width - RIGHT;
    for (int i = 0; i < c->chart->y.ticks; i++) {
        double value = clg__axis_tick(&c->chart->y, i), y = y_at(c, value);
        add_line(c, "grid", LEFT, y, right, y);
        add_text(c, LEFT - 8, y + 4, "text-anchor=\"end\"", clg__number_text(label, value, 6));
    }
    for (int i = 0; i < c->chart->x.ticks; i++) {
        double value = clg__axis_tick(&c->chart->x, i), x = x_at(c, value);
        add_line(c, "grid", x, TOP, x, bottom);
        add_text(c, x, bottom + 18, "text-anchor=\"middle\"", clg__number_text(label, value, 6));
    }
    add_line(c, "axis", LEFT, bottom, right, bottom);
    add_line(c, "axis", LEFT, TOP, LEFT, bottom);
}

static void add_labels(const canvas *c)
{
    const clg_chart_params *p = c->chart->params;
    double middle = (TOP + c->height - BOTTOM) / 2;
    char turn[96], y[CLG__NUMBER_SIZE];
    snprintf(turn, sizeof turn, "text-anchor=\"middle\" transform=\"rotate(-90 18 %s)\"",
             clg__fixed(y, middle, 1));
    add_text(c, c->width / 2, 24, "class=\"title\" text-anchor=\"middle\"",
             clg__text_or_empty(p->title));
    add_text(c, (LEFT + c->width - RIGHT) / 2, c->height - 12, "text-anchor=\"middle\"",
             clg__text_or_empty(p->x_label));
    add_text(c, 18, middle, turn, clg__text_or_empty(p->y_label));
    if (c->chart->empty) add_text(c, c->width / 2, middle, "text-anchor=\"middle\"", "no data");
}

/* Samples and names in one row; long names only make it longer. */
static void add_legend(const canvas *c)
{
    double x = LEFT;
    for (size_t s = 0; s < c->chart->params->count; s++) {
        const char *name = clg__text_or_empty(c->chart->params->series[s].name);
        char class[32];
        snprintf(class, sizeof class, "line s%zu", s % COLOURS);
        add_line(c, class, x, 46, x + 24, 46);
        add_text(c, x + 30, 50, "", name);
        x += 30 + 24 + 7.5 * (double)strlen(name);
    }
}

/* The path of a series; a point that cannot be drawn ends a piece, a lone point becomes a dot. */
static void add_series(const canvas *c, size_t index)
{
    const clg_chart_series *series = &c->chart->params->series[index];
    char a[CLG__NUMBER_SIZE], b[CLG__NUMBER_SIZE];
    bool drawing = false;
    double x, y;
    clg__str_addf(c->out, "<path class=\"line s%zu\" d=\"", index % COLOURS);
    for (size_t i = 0; i < series->count; i++) {
        bool visible = clg__chart_point(series, i, &x, &y);
        if (visible)
            clg__str_addf(c->out, drawing ? "L%s %s" : "M%s %sh0", clg__fixed(a, x_at(c, x), 1),
                          clg__fixed(b, y_at(c, y), 1));
        drawing = visible;
    }
    clg__str_add(c->out, "\"/>\n");
    for (size_t i = 0; series->count <= MARKED && i < series->count; i++)
        if (clg__chart_point(series, i, &x, &y))
            clg__str_addf(c->out,
                          "<circle class=\"s%zu\" fill=\"none\" cx=\"%s\" cy=\"%s\" "
                          "r=\"2.5\"/>\n",
                          index % COLOURS, clg__fixed(a, x_at(c, x), 1),
                          clg__fixed(b, y_at(c, y), 1));
}

static void draw(const canvas *c)
{
    clg__str_addf(c->out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
                  "height=\"%d\" role=\"img\">\n<title>",
                  (int)c->width, (int)c->height, (int)c->width, (int)c->height);
    add_escaped(c->out, clg__text_or_empty(c->chart->params->title));
    clg__str_add(c->out, "</title>\n");
    clg__str_add(c->out, style);
    add_axes(c);
    add_labels(c);
    add_legend(c);
    for (size_t s = 0; s < c->chart->params->count; s++) add_series(c, s);
    clg__str_add(c->out, "</svg>\n");
}

clg_status clg_chart_write_svg(const char *path, const clg_chart_params *params)
{
    clg__chart chart;
    clg__str out = {0};
    if (!path) return clg__fail(CLG_ERROR_ARGUMENT, "clg_chart_write_svg: no path");
    CLG_TRY(clg__chart_prepare(&chart, params, 8, 6));
    int width = params->width ? params->width : DEFAULT_WIDTH;
    int height = params->height ? params->height : DEFAULT_HEIGHT;
    if (width < MIN_SIDE || height < MIN_SIDE || width > MAX_SIDE || height > MAX_SIDE)
        return clg__fail(CLG_ERROR_ARGUMENT, "chart: %d x %d pixels, not in %d .. %d", width,
                         height, MIN_SIDE, MAX_SIDE);
    canvas c = {&chart, &out, width, height};
    draw(&c);
    clg_status status =
        out.failed ? CLG_ERROR_MEMORY : clg__file_write_atomic(path, out.text, out.length, false);
    clg__str_free(&out);
    return status;
}
