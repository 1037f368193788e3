/*
 * Line chart for the terminal. The first series is a line of braille dots, 2 x 4 in a character, so
 * that 16 rows resolve 64 levels; the others are marks at their points, which stay apart from it
 * without colour.
 *
 *      train and validation loss
 *    2 ┤⢣
 *      │ ⠣⡀   ×
 *    0 ┤  ⠈⠉⠉⠒⠒×
 *      └─────────
 *       1       5
 *      ⠒ train   × validation
 */
#include <math.h>
#include <stdlib.h>

#include "io/chart.h"

enum {
    DEFAULT_COLUMNS = 72,
    DEFAULT_ROWS = 16,
    MIN_COLUMNS = 20,
    MIN_ROWS = 4,
    MAX_SIZE = 1000,
    LABEL = 10 /* characters of a tick label and its mark */
};

static const char *const marks[] = {"×", "+", "○", "*", "△"};

typedef struct cell {
    uint8_t dots, mark; /* braille bits; 1 + index into marks, wins over dots */
} cell;

typedef struct canvas {
    const clg__chart *chart;
    cell *cells; /* (rows, columns) */
    int columns, rows;
} canvas;

/* Braille numbers its dots by column for three rows, then the fourth row. */
static void set_dot(canvas *c, int x, int y)
{
    static const uint8_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    c->cells[y / 4 * c->columns + x / 2].dots |= bits[y % 4][x % 2];
}

/* Position of a point in dots: x from the left, y from the top. */
static void dot_at(const canvas *c, double x, double y, int *dot_x, int *dot_y)
{
    *dot_x = (int)lround(clg__axis_part(&c->chart->x, x) * (2 * c->columns - 1));
    *dot_y = (int)lround((1 - clg__axis_part(&c->chart->y, y)) * (4 * c->rows - 1));
}

static void draw_line(canvas *c, int x0, int y0, int x1, int y1)
{
    int steps = abs(x1 - x0) > abs(y1 - y0) ? abs(x1 - x0) : abs(y1 - y0);
    for (int i = 0; i <= steps; i++) {
        double part = steps ? (double)i / steps : 0;
        set_dot(c, x0 + (int)lround(part * (x1 - x0)), y0 + (int)lround(part * (y1 - y0)));
    }
}

static void draw_series(canvas *c, size_t index)
{
    const clg_chart_series *series = &c->chart->params->series[index];
    uint8_t mark = (uint8_t)(1 + (index + CLG__COUNT(marks) - 1) % CLG__COUNT(marks));
    int last_x = 0, last_y = 0, x, y;
    bool drawing = false;
    for (size_t i = 0; i < series->count; i++) {
        double value_x, value_y;
        bool visible = clg__chart_point(c->chart->params, index, i, &value_x, &value_y);
        if (visible) {
            dot_at(c, value_x, value_y, &x, &y);
            if (index > 0)
                c->cells[y / 4 * c->columns + x / 2].mark = mark;
            else
                draw_line(c, drawing ? last_x : x, drawing ? last_y : y, x, y);
            last_x = x;
            last_y = y;
        }
        drawing = visible;
    }
}

/* ---- text ---- */

static void add_cell(clg__str *out, cell shown)
{
    unsigned code = 0x2800u + shown.dots;
    char utf8[4] = {(char)(0xe0 | code >> 12), (char)(0x80 | (code >> 6 & 0x3f)),
                    (char)(0x80 | (code & 0x3f)), '\0'};
    if (shown.mark)
        clg__str_add(out, marks[shown.mark - 1]);
    else
        clg__str_add(out, shown.dots ? utf8 : " ");
}

/* "     0.5 ┤" on the rows of ticks, "         │" on the others. */
static void add_row_label(const canvas *c, clg__str *out, int row)
{
    const clg__axis *axis = &c->chart->y;
    char label[CLG__NUMBER_SIZE];
    for (int i = 0; i < axis->ticks; i++) {
        double value = clg__axis_tick(axis, i);
        int x, y;
        dot_at(c, c->chart->x.low, value, &x, &y);
        if (y / 4 != row) continue;
        clg__str_addf(out, "%*s ┤", LABEL - 2, clg__number_text(label, value, 4));
        return;
    }
    clg__str_addf(out, "%*s│", LABEL - 1, "");
}

static void add_rows(const canvas *c, clg__str *out)
{
    for (int row = 0; row < c->rows; row++) {
        add_row_label(c, out, row);
        int end = c->columns; /* no trailing spaces */
        const cell *cells = c->cells + row * c->columns;
        while (end > 0 && !cells[end - 1].dots && !cells[end - 1].mark) end--;
        for (int column = 0; column < end; column++) add_cell(out, cells[column]);
        clg__str_add(out, "\n");
    }
}

static void add_x_axis(const canvas *c, clg__str *out)
{
    char low[CLG__NUMBER_SIZE], high[CLG__NUMBER_SIZE];
    clg__str_addf(out, "%*s└", LABEL - 1, "");
    for (int i = 0; i < c->columns; i++) clg__str_add(out, "─");
    clg__number_text(low, c->chart->x.low, 6);
    clg__number_text(high, c->chart->x.high, 6);
    int gap = c->columns - (int)strlen(low);
    clg__str_addf(out, "\n%*s%s%*s %s\n", LABEL, "", low, gap > 0 ? gap - 1 : 0, high,
                  clg__text_or_empty(c->chart->params->x_label));
}

static void add_legend(const canvas *c, clg__str *out)
{
    const clg_chart_params *p = c->chart->params;
    if (p->count > 0) clg__str_addf(out, "%*s", LABEL, "");
    for (size_t s = 0; s < p->count; s++) {
        const char *mark = s ? marks[(s - 1) % CLG__COUNT(marks)] : "⠒⠒";
        clg__str_addf(out, "%s%s %s", s ? "   " : "", mark, clg__text_or_empty(p->series[s].name));
    }
    if (p->count > 0) clg__str_add(out, "\n");
    if (c->chart->empty) clg__str_addf(out, "%*sno data\n", LABEL, "");
}

static void add_title(const canvas *c, clg__str *out)
{
    const clg_chart_params *p = c->chart->params;
    if (!p->title && !p->y_label) return;
    clg__str_addf(out, "%*s%s%s%s\n", LABEL, "", clg__text_or_empty(p->title),
                  p->title && p->y_label ? ": " : "", clg__text_or_empty(p->y_label));
}

clg_status clg_chart_text(char **out, const clg_chart_params *params)
{
    clg__chart chart;
    clg__str text = {0};
    if (!out) return clg__fail(CLG_ERROR_ARGUMENT, "clg_chart_text: no result pointer");
    CLG_TRY(clg__chart_prepare(&chart, params, 8, 4));
    canvas c = {.chart = &chart};
    int width = params->width ? params->width : DEFAULT_COLUMNS;
    c.columns = width - LABEL;
    c.rows = params->height ? params->height : DEFAULT_ROWS;
    if (width < MIN_COLUMNS || c.rows < MIN_ROWS || width > MAX_SIZE || c.rows > MAX_SIZE)
        return clg__fail(CLG_ERROR_ARGUMENT, "chart: %d x %d characters, not in %d x %d .. %d",
                         width, c.rows, MIN_COLUMNS, MIN_ROWS, MAX_SIZE);
    c.cells = clg__calloc((size_t)c.columns * (size_t)c.rows, sizeof *c.cells);
    if (!c.cells) return CLG_ERROR_MEMORY;
    for (size_t s = 0; s < params->count; s++) draw_series(&c, s);
    add_title(&c, &text);
    add_rows(&c, &text);
    add_x_axis(&c, &text);
    add_legend(&c, &text);
    clg__free(c.cells);
    if (!text.failed) {
        *out = text.text;
        return CLG_OK;
    }
    clg__str_free(&text);
    return CLG_ERROR_MEMORY;
}
