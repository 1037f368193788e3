/*
 * cltrain compare: several runs side by side, as a table and as curves on one page. Everything
 * comes from their metrics.jsonl; no device is needed.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"
#include "options.h"
#include "page.h"
#include "run_dir.h"

struct compare_options {
    const char *out;
    bool json;
};

static const struct option_row options[] = {{"out", "FILE", OPTION_TEXT,
                                             offsetof(struct compare_options, out),
                                             "page to write; default compare.html"},
                                            OPTION_JSON(struct compare_options),
                                            OPTION_ROWS_END};

struct comparison {
    struct run_dir *runs;
    size_t count;
};

enum { CHART_WIDTH = 520, CHART_HEIGHT = 340 };

/* ---- one run in a row ---- */

struct digest {
    int64_t epochs, best_epoch; /* best: lowest validation loss; 0 if there was no validation */
    double train_loss, val_loss, val_accuracy, seconds;
};

static struct digest digest_of(const struct run_dir *run)
{
    struct digest digest = {.train_loss = NAN, .val_loss = NAN, .val_accuracy = NAN};
    int best = run_best(run);
    for (size_t i = 0; i < run->count; i++) digest.seconds += run->records[i].seconds;
    if (run->count) {
        digest.epochs = run->records[run->count - 1].epoch;
        digest.train_loss = run->records[run->count - 1].train_loss;
    }
    if (best >= 0) {
        digest.best_epoch = run->records[best].epoch;
        digest.val_loss = run->records[best].val_loss;
        digest.val_accuracy = run->records[best].val_accuracy;
    }
    return digest;
}

static int print_run(const struct run_dir *run, int width, bool json)
{
    struct digest d = digest_of(run);
    if (json)
        return print_json(
            json_pack("{so sI so so so so so}", "run", json_text(run->path), "epochs",
                      (json_int_t)d.epochs, "train_loss", json_number(d.train_loss), "best_epoch",
                      d.best_epoch ? json_integer(d.best_epoch) : json_null(), "val_loss",
                      json_number(d.val_loss), "val_accuracy", json_number(d.val_accuracy),
                      "seconds", json_number(d.seconds)));
    printf("%-*s %7" PRId64 " %11.4f", width, run->path, d.epochs, d.train_loss);
    if (d.best_epoch)
        printf(" %9.4f %9.2f %6" PRId64, d.val_loss, 100 * d.val_accuracy, d.best_epoch);
    else
        printf(" %9s %9s %6s", "-", "-", "-");
    printf(" %9.1f\n", d.seconds);
    return DONE;
}

static int print_table(const struct comparison *all, bool json)
{
    int width = 3, code = DONE;
    for (size_t i = 0; i < all->count; i++)
        if ((int)strlen(all->runs[i].path) > width) width = (int)strlen(all->runs[i].path);
    if (!json)
        printf("%-*s  epochs  train loss  val loss  accuracy  epoch   seconds\n", width, "run");
    for (size_t i = 0; i < all->count && code == DONE; i++)
        code = print_run(&all->runs[i], width, json);
    return code;
}

/* ---- curves ---- */

static const struct chart_row {
    const char *title, *unit;
    size_t offset; /* in the records */
    double factor;
    bool over_time;
} charts[] = {
    {"Training loss", "loss", offsetof(struct epoch_record, train_loss), 1, false},
    {"Validation loss", "loss", offsetof(struct epoch_record, val_loss), 1, false},
    {"Validation accuracy", "%", offsetof(struct epoch_record, val_accuracy), 100, false},
    {"Training loss over time", "loss", offsetof(struct epoch_record, train_loss), 1, true},
};

/* x and y of all records, as two columns; x is the epoch or the seconds of training so far. */
static void fill(double *columns, const struct run_dir *run, const struct chart_row *row)
{
    double seconds = 0;
    for (size_t i = 0; i < run->count; i++) {
        const struct epoch_record *record = &run->records[i];
        seconds += record->seconds;
        columns[i] = row->over_time ? seconds : (double)record->epoch;
        columns[run->count + i] =
            row->factor * *(const double *)((const char *)record + row->offset);
    }
}

static void draw_chart(struct page *page, const struct comparison *all, const struct chart_row *row,
                       double *columns, clg_chart_series *series)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct run_dir *run = &all->runs[i];
        fill(columns, run, row);
        series[i] = (clg_chart_series){run->path, columns, columns + run->count, run->count};
        columns += 2 * run->count;
    }
    page_chart(page, clg_chart_options(.title = row->title, .y_label = row->unit,
                                       .x_label = row->over_time ? "seconds" : "epoch",
                                       .series = series, .count = all->count, .width = CHART_WIDTH,
                                       .height = CHART_HEIGHT));
}

static const char *write_curves(struct page *page, const void *data)
{
    const struct comparison *all = data;
    size_t records = 0;
    for (size_t i = 0; i < all->count; i++) records += all->runs[i].count;
    double *columns = malloc((2 * records + 1) * sizeof *columns);
    clg_chart_series *series = malloc(all->count * sizeof *series);
    fputs("<div class=\"charts\">\n", page->out);
    for (size_t i = 0; columns && series && i < sizeof charts / sizeof *charts; i++)
        draw_chart(page, all, &charts[i], columns, series);
    fputs("</div>\n", page->out);
    const char *nothing = columns && series ? NULL : "There was no memory for these pictures.";
    free(columns);
    free(series);
    return nothing;
}

static const char *write_table(struct page *page, const void *data)
{
    const struct comparison *all = data;
    fputs("<div class=\"scroll\"><table>\n<tr><th class=\"text\">run</th><th>epochs</th>"
          "<th>training loss</th><th>lowest validation loss</th><th>accuracy there</th>"
          "<th>epoch</th><th>seconds</th></tr>\n",
          page->out);
    for (size_t i = 0; i < all->count; i++) {
        struct digest d = digest_of(&all->runs[i]);
        fputs("<tr><th class=\"text\" scope=\"row\">", page->out);
        page_text(page, all->runs[i].path);
        fprintf(page->out, "</th><td>%" PRId64 "</td>", d.epochs);
        page_number(page, "%.4f", d.train_loss);
        page_number(page, "%.4f", d.val_loss);
        page_number(page, "%.2f %%", 100 * d.val_accuracy);
        page_number(page, "%.0f", d.best_epoch ? (double)d.best_epoch : NAN);
        page_number(page, "%.1f", d.seconds);
        fputs("</tr>\n", page->out);
    }
    fputs("</table></div>\n", page->out);
    return NULL;
}

static const struct page_section sections[] = {
    {"curves", "Curves", write_curves},
    {"table", "Table", write_table},
};

/* ---- the command ---- */

/* A cross-validation has runs in it and no epochs of its own. */
static int open_run(struct comparison *all, const char *path)
{
    struct run_dir *run = &all->runs[all->count++];
    int code = run_open(run, path);
    if (code != DONE || run->count) return code;
    return report_error(BAD_INPUT, "compare: '%s' has no epochs to compare", path);
}

static int run(const void *values, int argc, char **argv)
{
    const struct compare_options *given = values;
    const char *out = given->out ? given->out : "compare.html";
    if (!argc) return report_error(BAD_USAGE, "compare: which runs?");
    struct comparison all = {.runs = calloc((size_t)argc, sizeof *all.runs)};
    int code = all.runs ? DONE : report_error(NO_MEMORY, "out of memory");
    for (int i = 0; i < argc && code == DONE; i++) code = open_run(&all, argv[i]);
    if (code == DONE) code = print_table(&all, given->json);
    if (code == DONE)
        code = page_write(out, "Comparison of runs", sections, sizeof sections / sizeof *sections,
                          &all);
    if (code == DONE) report_note("Curves: %s", out);
    for (size_t i = 0; i < all.count; i++) run_close(&all.runs[i]);
    free(all.runs);
    return code;
}

const struct command command_compare = {
    .name = "compare",
    .arguments = "RUN...",
    .summary = "Compares runs: a table, and their curves on one page.",
    .details = "The validation loss is the lowest one, with the accuracy of the same epoch.",
    .options = options,
    .values_size = sizeof(struct compare_options),
    .max_arguments = -1,
    .run = run,
};
