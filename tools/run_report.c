/*
 * The sections of report.html, one function each; the table at the end gives their order.
 */
#include "run_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cltrain.h"

enum {
    CHART_WIDTH = 520, /* small, so that its text can still be read on a phone */
    CHART_HEIGHT = 340
};

/* ---- summary ---- */

static int64_t parameters_of(const clg_graph *graph)
{
    int64_t sum = 0;
    clg_tensor *variable;
    for (size_t i = 0; (variable = clg_graph_variable(graph, i)); i++)
        if (clg_tensor_trainable(variable)) sum += clg_shape_count(clg_tensor_shape(variable));
    return sum;
}

static const char *write_summary(struct page *page, const void *data)
{
    const struct run_report *report = data;
    const struct run_dir *run = report->run;
    const struct review *review = report->review;
    int best = run_best(run);
    double seconds = 0;
    for (size_t i = 0; i < run->count; i++) seconds += run->records[i].seconds;
    fputs("<dl class=\"tiles\">\n", page->out);
    if (review && !review->outputs) {
        char name[48];
        snprintf(name, sizeof name, "%s accuracy", review->part);
        page_tile(page, name, "%.2f %%", 100 * (double)review->right / (double)review->samples);
    }
    if (best >= 0)
        page_tile(page, "lowest validation loss", "%.4f (epoch %" PRId64 ")",
                  run->records[best].val_loss, run->records[best].epoch);
    if (run->count) {
        const struct epoch_record *last = &run->records[run->count - 1];
        page_tile(page, "training loss", "%.4f", last->train_loss);
        page_tile(page, "epochs", "%" PRId64 " of %" PRId64, last->epoch, last->epochs);
        page_tile(page, "steps", "%" PRIu64, last->step);
    }
    page_tile(page, "training time", seconds < 120 ? "%.1f s" : "%.0f s", seconds);
    page_tile(page, "parameters", "%" PRId64, parameters_of(report->network->graph));
    fputs("</dl>\n", page->out);
    return NULL;
}

/* ---- curves ---- */

enum { MAX_LINES = 2 };

/* A chart over the epochs; values are columns of the records. */
static const struct chart_row {
    const char *title, *unit;
    double factor;
    struct {
        const char *name;
        size_t offset;
    } lines[MAX_LINES];
} charts[] = {
    {"Loss",
     "loss",
     1,
     {{"training", offsetof(struct epoch_record, train_loss)},
      {"validation", offsetof(struct epoch_record, val_loss)}}},
    {"Accuracy", "%", 100, {{"validation", offsetof(struct epoch_record, val_accuracy)}}},
    {"Learning rate", "rate of the last step", 1, {{"lr", offsetof(struct epoch_record, lr)}}},
    {"Speed",
     "images per second",
     1,
     {{"training", offsetof(struct epoch_record, images_per_second)}}},
};

static double *column_of(const struct run_dir *run, size_t offset, double factor)
{
    double *values = malloc((run->count + 1) * sizeof *values);
    for (size_t i = 0; values && i < run->count; i++)
        values[i] = factor * *(const double *)((const char *)&run->records[i] + offset);
    return values;
}

static double *epochs_of(const struct run_dir *run)
{
    double *values = malloc((run->count + 1) * sizeof *values);
    for (size_t i = 0; values && i < run->count; i++) values[i] = (double)run->records[i].epoch;
    return values;
}

static bool has_number(const double *values, size_t count)
{
    for (size_t i = 0; values && i < count; i++)
        if (isfinite(values[i])) return true;
    return false;
}

static void draw_row(struct page *page, const struct run_dir *run, const struct chart_row *row,
                     const double *epochs)
{
    clg_chart_series series[MAX_LINES];
    double *columns[MAX_LINES] = {NULL};
    size_t count = 0;
    for (int i = 0; i < MAX_LINES && row->lines[i].name; i++) {
        columns[i] = column_of(run, row->lines[i].offset, row->factor);
        if (has_number(columns[i], run->count))
            series[count++] =
                (clg_chart_series){row->lines[i].name, epochs, columns[i], run->count};
    }
    if (count)
        page_chart(page, clg_chart_options(.title = row->title, .x_label = "epoch",
                                           .y_label = row->unit, .series = series, .count = count,
                                           .width = CHART_WIDTH, .height = CHART_HEIGHT));
    for (int i = 0; i < MAX_LINES; i++) free(columns[i]);
}

static const char *write_curves(struct page *page, const void *data)
{
    const struct run_dir *run = ((const struct run_report *)data)->run;
    if (!run->count) return "No epoch has ended yet.";
    double *epochs = epochs_of(run);
    if (!epochs) return "There was no memory for these pictures.";
    fputs("<div class=\"charts\">\n", page->out);
    for (size_t i = 0; i < sizeof charts / sizeof *charts; i++)
        draw_row(page, run, &charts[i], epochs);
    fputs("</div>\n", page->out);
    free(epochs);
    return NULL;
}

static const char *write_epochs(struct page *page, const void *data)
{
    const struct run_dir *run = ((const struct run_report *)data)->run;
    if (!run->count) return "No epoch has ended yet.";
    fputs("<details><summary>Numbers of all epochs</summary><div class=\"scroll\"><table>\n"
          "<tr><th>epoch</th><th>step</th><th>training loss</th><th>validation loss</th>"
          "<th>validation accuracy</th><th>learning rate</th><th>images/s</th><th>seconds</th>"
          "</tr>\n",
          page->out);
    for (size_t i = 0; i < run->count; i++) {
        const struct epoch_record *r = &run->records[i];
        fprintf(page->out, "<tr><td>%" PRId64 "</td><td>%" PRIu64 "</td>", r->epoch, r->step);
        page_number(page, "%.4f", r->train_loss);
        page_number(page, "%.4f", r->val_loss);
        page_number(page, "%.2f %%", 100 * r->val_accuracy);
        page_number(page, "%.3g", r->lr);
        page_number(page, "%.0f", r->images_per_second);
        page_number(page, "%.1f", r->seconds);
        fputs("</tr>\n", page->out);
    }
    fputs("</table></div></details>\n", page->out);
    return NULL;
}

/* ---- gradients ---- */

/* Only weights: biases and scales would hide them. */
static bool is_weight(const struct run_report *report, const char *name)
{
    const clg_tensor *variable = clg_graph_find(report->network->graph, name);
    return variable && clg_tensor_shape(variable)->ndim >= 2;
}

/* A curve per weight; the y values lie in `values`, a column of records after the other. */
static size_t gradient_series(const struct run_report *report, clg_chart_series *series,
                              double *values, const double *epochs)
{
    const struct run_dir *run = report->run;
    const char *name;
    json_t *ignored;
    size_t count = 0;
    json_object_foreach(run->records[run->count - 1].gradient_norms, name, ignored)
    {
        if (!is_weight(report, name)) continue;
        double *column = values + count * run->count;
        for (size_t i = 0; i < run->count; i++) {
            const json_t *norm = json_object_get(run->records[i].gradient_norms, name);
            column[i] = json_is_number(norm) ? json_number_value(norm) : NAN;
        }
        series[count++] = (clg_chart_series){name, epochs, column, run->count};
    }
    return count;
}

static const char *write_gradients(struct page *page, const void *data)
{
    const struct run_report *report = data;
    const struct run_dir *run = report->run;
    size_t most = run->count ? json_object_size(run->records[run->count - 1].gradient_norms) : 0;
    if (!most) return "No gradient norms were recorded.";
    clg_chart_series *series = calloc(most, sizeof *series);
    double *values = calloc(most * run->count, sizeof *values), *epochs = epochs_of(run);
    const char *nothing = "There was no memory for this picture.";
    if (series && values && epochs) {
        size_t count = gradient_series(report, series, values, epochs);
        fputs("<p class=\"soft\">Of the weights, after each epoch, on the same training samples; "
              "logarithmic.</p>\n",
              page->out);
        fputs("<div class=\"charts\">\n", page->out);
        page_chart(page,
                   clg_chart_options(.title = "Norm of the gradient", .x_label = "epoch",
                                     .y_label = "norm", .series = series, .count = count,
                                     .width = CHART_WIDTH, .height = CHART_HEIGHT, .log_y = true));
        fputs("</div>\n", page->out);
        nothing = NULL;
    }
    free(series);
    free(values);
    free(epochs);
    return nothing;
}

/* ---- settings, machine ---- */

static const char *write_settings(struct page *page, const void *data)
{
    const struct run_report *report = data;
    fputs("<pre>", page->out);
    page_text(page, report->settings);
    fputs("</pre>\n", page->out);
    return NULL;
}

static void write_device(struct page *page, const clg_context *context)
{
    static const char *const types[] = {"processor", "graphics card", "accelerator"};
    const clg_device_info *device = clg_context_device(context);
    uint64_t used, peak;
    clg_context_memory(context, &used, &peak);
    page_row(page, "Device", device->name);
    page_rowf(page, "Platform", "%s, %s", device->platform, device->platform_version);
    page_rowf(page, "Driver", "%s, %s", device->driver, device->version);
    page_rowf(page, "Type", "%s, %u compute units", types[device->type], device->compute_units);
    page_rowf(page, "Kernels for", "%s",
              clg_context_engine(context) == CLG_ENGINE_CPU ? "processors" : "graphics cards");
    page_rowf(page, "Device memory", "%.2f GiB; at most %.1f MiB were in use",
              (double)device->global_memory / (1 << 30), (double)peak / (1 << 20));
}

static const char *write_machine(struct page *page, const void *data)
{
    const struct run_report *report = data;
    struct utsname system;
    char when[40] = "";
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &utc);
    fputs("<div class=\"scroll\"><table>\n", page->out);
    write_device(page, report->context);
    if (!uname(&system))
        page_rowf(page, "System", "%s %s, %s", system.sysname, system.release, system.machine);
    page_rowf(page, "Processors", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    page_rowf(page, "clgrad", "%s", clg_version());
    page_rowf(page, "Written", "%s", when);
    page_row(page, "Run", report->run->path);
    fputs("</table></div>\n", page->out);
    return NULL;
}

static const struct report_row {
    struct page_section section;
    bool (*applies)(const struct network *network); /* NULL: to every network */
} rows[] = {
    {{"summary", "Summary", write_summary}, NULL},
    {{"curves", "Curves", write_curves}, NULL},
    {{"epochs", "Epochs", write_epochs}, NULL},
    {{"confusion", "Confusion matrix", run_report_confusion}, network_classifies},
    {{"mistakes", "Worst mistakes", run_report_mistakes}, network_classifies},
    {{"fit", "Fit", run_report_fit}, network_gives_numbers},
    {{"filters", "First layer", run_report_filters}, NULL},
    {{"gradients", "Gradients", write_gradients}, NULL},
    {{"settings", "Settings", write_settings}, NULL},
    {{"machine", "Machine", write_machine}, NULL},
};

int run_report_write(const struct run_report *report)
{
    struct page_section sections[sizeof rows / sizeof *rows];
    size_t count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!rows[i].applies || rows[i].applies(report->network))
            sections[count++] = rows[i].section;
    char title[512];
    snprintf(title, sizeof title, "%s: %s", report->file->content->model.name, report->run->path);
    return page_write(run_file(report->run, "report.html").text, title, sections, count, report);
}
