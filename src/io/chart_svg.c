/*
 * Line chart as SVG: grid and tick labels, one path per series, legend above the plot in as many
 * rows as it takes. The file stands alone; colours are the Okabe-Ito palette, which people who
 * confuse red and green can tell apart, and when they are used up lines are dashed. All numbers are
 * written with a decimal point. A point is a line of length 0 with round ends.
 */
#include "io/chart.h"
#include "io/utf8.h"

enum {
    DEFAULT_WIDTH = 800,
    DEFAULT_HEIGHT = 480,
    MIN_SIDE = 160,
    MAX_SIDE = 16384,
    LEFT = 84, /* margins around the plot, pixels */
    RIGHT = 24,
    TOP = 44, /* without the legend */
    BOTTOM = 56,
    LEGEND_ROW = 20,
    COLOURS = 7,
    DASHES = 3,
    MARKED = 50 /* up to so many points are also marked by dots */
};

static const char *const style =
    "<style>"
    "svg{background:#fff;font-family:system-ui,sans-serif;font-size:13px}"
    "text{fill:#333}.title{font-size:16px;font-weight:600}"
    ".grid{stroke:#ddd}.axis{stroke:#333;fill:none}"
    ".points{stroke-width:5;stroke-linecap:round}"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
    ".d1{stroke-dasharray:7 5}.d2{stroke-dasharray:1 5}"
    ".s0{stroke:#0072b2}.s1{stroke:#d55e00}.s2{stroke:#009e73}.s3{stroke:#cc79a7}"
    ".s4{stroke:#e69f00}.s5{stroke:#56b4e9}.s6{stroke:#767676}"
    "@media(prefers-color-scheme:dark){svg{background:#1b1b1b}text{fill:#ddd}"
    ".grid{stroke:#3a3a3a}.axis{stroke:#ddd}.s0{stroke:#56b4e9}.s5{stroke:#0072b2}}"
    "</style>\n";

typedef struct canvas {
    const clg__chart *chart;
    clg__str *out;
    double width, height, top; /* top: upper end of the plot */
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
        else if (c == '"')
            clg__str_add(out, "&quot;");
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
    return c->height - BOTTOM - clg__axis_part(&c->chart->y, y) * (c->height - c->top - BOTTOM);
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
        add_line(c, "grid", x, c->top, x, bottom);
        add_text(c, x, bottom + 18, "text-anchor=\"middle\"", clg__number_text(label, value, 6));
    }
    add_line(c, "axis", LEFT, bottom, right, bottom);
    add_line(c, "axis", LEFT, c->top, LEFT, bottom);
}

static void add_labels(const canvas *c)
{
    const clg_chart_params *p = c->chart->params;
    double middle = (c->top + c->height - BOTTOM) / 2;
    char turn[96], y[CLG__NUMBER_SIZE];
    snprintf(turn, sizeof turn, "text-anchor=\"middle\" transform=\"rotate(-90 16 %s)\"",
             clg__fixed(y, middle, 1));
    add_text(c, c->width / 2, 24, "class=\"title\" text-anchor=\"middle\"",
             clg__text_or_empty(p->title));
    add_text(c, (LEFT + c->width - RIGHT) / 2, c->height - 12, "text-anchor=\"middle\"",
             clg__text_or_empty(p->x_label));
    add_text(c, 16, middle, turn, clg__text_or_empty(p->y_label));
    if (c->chart->empty) add_text(c, c->width / 2, middle, "text-anchor=\"middle\"", "no data");
}

/* Class of a series' line; up to 32 characters. */
static void write_class(char *class, const clg_chart_params *params, size_t index)
{
    snprintf(class, 32, "%s s%zu d%zu", index < params->points ? "points" : "line", index % COLOURS,
             index / COLOURS % DASHES);
}

/*
 * Colours and names from left to right, in rows. Returns the height they take; draws only if
 * `draw`, since the plot below must know its place first. Widths are guessed: fonts are the
 * browser's.
 */
static double lay_legend(const canvas *c, bool draw)
{
    double x = LEFT, y = TOP + 2;
    for (size_t s = 0; s < c->chart->params->count; s++) {
        const char *name = clg__text_or_empty(c->chart->params->series[s].name);
        double width = 30 + 24 + 7.5 * (double)strlen(name);
        if (x > LEFT && x + width - 24 > c->width) {
            x = LEFT;
            y += LEGEND_ROW;
        }
        char class[32];
        double half = s < c->chart->params->points ? 0 : 12;
        write_class(class, c->chart->params, s);
        if (draw) add_line(c, class, x + 12 - half, y, x + 12 + half, y);
        if (draw) add_text(c, x + 30, y + 4, "", name);
        x += width;
    }
    return y - TOP + LEGEND_ROW - 2;
}

static void add_data(const canvas *c, size_t index)
{
    const clg_chart_series *series = &c->chart->params->series[index];
    char a[CLG__NUMBER_SIZE], b[CLG__NUMBER_SIZE];
    double x, y;
    clg__str_add(c->out, "data-name=\"");
    add_escaped(c->out, clg__text_or_empty(series->name));
    clg__str_add(c->out, "\" data-points=\"");
    for (size_t i = 0; i < series->count; i++)
        if (clg__chart_point(c->chart->params, index, i, &x, &y))
            clg__str_addf(c->out, "%s,%s ", clg__number_text(a, x, 9), clg__number_text(b, y, 5));
    clg__str_add(c->out, "\"/>\n");
}

/* The path of a series; a point that cannot be drawn ends a piece, a lone point becomes a dot. */
static void add_series(const canvas *c, size_t index)
{
    const clg_chart_params *params = c->chart->params;
    size_t count = params->series[index].count;
    char a[CLG__NUMBER_SIZE], b[CLG__NUMBER_SIZE], class[32];
    bool drawing = false, points = index < params->points;
    double x, y;
    write_class(class, params, index);
    clg__str_addf(c->out, "<path class=\"%s\" d=\"", class);
    for (size_t i = 0; i < count; i++) {
        bool visible = clg__chart_point(params, index, i, &x, &y);
        if (visible)
            clg__str_addf(c->out, drawing ? "L%s %s" : "M%s %sh0", clg__fixed(a, x_at(c, x), 1),
                          clg__fixed(b, y_at(c, y), 1));
        drawing = visible && !points;
    }
    clg__str_add(c->out, "\" ");
    add_data(c, index);
    for (size_t i = 0; count <= MARKED && !points && i < count; i++)
        if (clg__chart_point(params, index, i, &x, &y))
            clg__str_addf(c->out,
                          "<circle class=\"s%zu\" fill=\"none\" cx=\"%s\" cy=\"%s\" "
                          "r=\"2.5\"/>\n",
                          index % COLOURS, clg__fixed(a, x_at(c, x), 1),
                          clg__fixed(b, y_at(c, y), 1));
}

static void draw(const canvas *c)
{
    const clg__axis *x = &c->chart->x;
    char low[CLG__NUMBER_SIZE], high[CLG__NUMBER_SIZE];
    clg__str_addf(c->out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
                  "height=\"%d\" role=\"img\" data-plot=\"%d %d %d %d\" data-x=\"%s %s\">\n"
                  "<title>",
                  (int)c->width, (int)c->height, (int)c->width, (int)c->height, LEFT, (int)c->top,
                  (int)c->width - RIGHT, (int)c->height - BOTTOM, clg__number_text(low, x->low, 9),
                  clg__number_text(high, x->high, 9));
    add_escaped(c->out, clg__text_or_empty(c->chart->params->title));
    clg__str_add(c->out, "</title>\n");
    clg__str_add(c->out, style);
    add_axes(c);
    add_labels(c);
    lay_legend(c, true);
    for (size_t s = 0; s < c->chart->params->count; s++) add_series(c, s);
    clg__str_add(c->out, "</svg>\n");
}

/* Draws into `out`, which the caller frees whatever happens. */
static clg_status draw_chart(clg__str *out, const clg_chart_params *params)
{
    clg__chart chart;
    CLG_TRY(clg__chart_prepare(&chart, params, 8, 6));
    int width = params->width ? params->width : DEFAULT_WIDTH;
    int height = params->height ? params->height : DEFAULT_HEIGHT;
    if (width < MIN_SIDE || height < MIN_SIDE || width > MAX_SIDE || height > MAX_SIDE)
        return clg__fail(CLG_ERROR_ARGUMENT, "chart: %d x %d pixels, not in %d .. %d", width,
                         height, MIN_SIDE, MAX_SIDE);
    canvas c = {.chart = &chart, .out = out, .width = width, .height = height};
    /* A legend of very many rows makes the picture higher, not the plot smaller. */
    double legend = lay_legend(&c, false);
    if (legend > LEGEND_ROW) c.height += legend - LEGEND_ROW;
    c.top = TOP + legend;
    draw(&c);
    return out->failed ? CLG_ERROR_MEMORY : CLG_OK;
}

clg_status clg_chart_write_svg(const char *path, const clg_chart_params *params)
{
    clg__str out = {0};
    if (!path) return clg__fail(CLG_ERROR_ARGUMENT, "clg_chart_write_svg: no path");
    clg_status status = draw_chart(&out, params);
    if (status == CLG_OK) status = clg__file_write_atomic(path, out.text, out.length, 0);
    clg__str_free(&out);
    return status;
}

clg_status clg_chart_svg(char **out, const clg_chart_params *params)
{
    clg__str text = {0};
    if (!out) return clg__fail(CLG_ERROR_ARGUMENT, "clg_chart_svg: no result pointer");
    clg_status status = draw_chart(&text, params);
    if (status != CLG_OK) {
        clg__str_free(&text);
        return status;
    }
    *out = text.text;
    return CLG_OK;
}
