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
    CHART_HEIGHT = 340,
    TABLE_CLASSES = 20, /* more make a picture instead of a table of numbers */
    MATRIX_PIXELS = 480,
    MISS_PIXELS = 112,
    TEXT_FEATURES = 16,
    CONFUSIONS = 10
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
    if (review) {
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

static void put_cell(struct page *page, const char *format, double value)
{
    fputs("<td>", page->out);
    if (isfinite(value))
        fprintf(page->out, format, value);
    else
        fputs("-", page->out);
    fputs("</td>", page->out);
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
        put_cell(page, "%.4f", r->train_loss);
        put_cell(page, "%.4f", r->val_loss);
        put_cell(page, "%.2f %%", 100 * r->val_accuracy);
        put_cell(page, "%.3g", r->lr);
        put_cell(page, "%.0f", r->images_per_second);
        put_cell(page, "%.1f", r->seconds);
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

/* ---- what was confused ---- */

static const int64_t *confusion_row(const struct review *review, int64_t label)
{
    return review->confusion + label * review->classes;
}

static int64_t sum_of(const int64_t *row, int64_t count)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++) sum += row[i];
    return sum;
}

static void write_matrix_row(struct page *page, const struct review *review, int64_t label)
{
    const int64_t *row = confusion_row(review, label);
    int64_t sum = sum_of(row, review->classes);
    fprintf(page->out, "<tr><th scope=\"row\">%" PRId64 "</th>", label);
    for (int64_t c = 0; c < review->classes; c++) {
        double part = sum ? (double)row[c] / (double)sum : 0;
        /* The square root lets the few mistakes be seen beside the many right ones. */
        fprintf(page->out, "<td%s style=\"background:rgba(var(--heat),%.2f)\">%" PRId64 "</td>",
                c == label ? " class=\"right\"" : "", 0.55 * sqrt(part), row[c]);
    }
    if (sum)
        fprintf(page->out, "<td>%.1f %%</td></tr>\n", 100 * (double)row[label] / (double)sum);
    else
        fputs("<td>-</td></tr>\n", page->out);
}

static void write_matrix(struct page *page, const struct review *review)
{
    fputs("<div class=\"scroll\"><table class=\"matrix\">\n<caption>Rows: the class it is. "
          "Columns: the class it was taken for.</caption>\n<tr><td></td>",
          page->out);
    for (int64_t c = 0; c < review->classes; c++)
        fprintf(page->out, "<th scope=\"col\">%" PRId64 "</th>", c);
    fputs("<th scope=\"col\">right</th></tr>\n", page->out);
    for (int64_t label = 0; label < review->classes; label++) write_matrix_row(page, review, label);
    fputs("</table></div>\n", page->out);
}

static void draw_matrix(struct page *page, const struct review *review)
{
    int64_t n = review->classes;
    float *shares = malloc((size_t)(n * n) * sizeof *shares);
    if (!shares) return;
    for (int64_t label = 0; label < n; label++) {
        const int64_t *row = confusion_row(review, label);
        int64_t sum = sum_of(row, n);
        for (int64_t c = 0; c < n; c++)
            shares[label * n + c] = sum ? sqrtf((float)row[c] / (float)sum) : 0;
    }
    fputs("<p class=\"soft\">Down: the class it is, from 0. Across: the class it was taken for."
          "</p>\n",
          page->out);
    page_image(page,
               &(struct page_image){.pixels = shares,
                                    .width = n,
                                    .height = n,
                                    .row = n,
                                    .column = 1,
                                    .channels = 1,
                                    .high = 1},
               MATRIX_PIXELS, "confusion matrix");
    free(shares);
}

/* The pairs of classes that were mixed up most often. */
static void list_confusions(struct page *page, const struct review *review)
{
    int64_t n = review->classes, best[CONFUSIONS], count = 0;
    for (int64_t i = 0; i < n * n; i++) {
        int64_t times = i / n == i % n ? 0 : review->confusion[i], at = count;
        if (!times) continue;
        while (at > 0 && review->confusion[best[at - 1]] < times) at--;
        if (at == CONFUSIONS) continue;
        count += count < CONFUSIONS;
        memmove(best + at + 1, best + at, (size_t)(count - at - 1) * sizeof *best);
        best[at] = i;
    }
    if (!count) return;
    fputs("<h3>Most frequent mistakes</h3>\n<ul>\n", page->out);
    for (int64_t i = 0; i < count; i++)
        fprintf(page->out, "<li>%" PRId64 " taken for %" PRId64 ": %" PRId64 " times</li>\n",
                best[i] / n, best[i] % n, review->confusion[best[i]]);
    fputs("</ul>\n", page->out);
}

static const char *write_confusion(struct page *page, const void *data)
{
    const struct review *review = ((const struct run_report *)data)->review;
    if (!review) return "Measured on the test part at the end of the training.";
    fprintf(page->out,
            "<p class=\"soft\">%" PRId64 " of %" PRId64 " samples of the %s part are right.</p>\n",
            review->right, review->samples, review->part);
    if (!review->confusion) return "There are too many classes for a matrix.";
    if (review->classes <= TABLE_CLASSES)
        write_matrix(page, review);
    else
        draw_matrix(page, review);
    list_confusions(page, review);
    return NULL;
}

/* ---- mistakes ---- */

/* Values as numbers, where a sample is no image. */
static void write_features(struct page *page, const struct review *review, const float *features)
{
    fputs("<p>", page->out);
    for (int64_t i = 0; i < review->n_features && i < TEXT_FEATURES; i++)
        fprintf(page->out, "%s%.4g", i ? ", " : "", (double)features[i]);
    fputs(review->n_features > TEXT_FEATURES ? " ...</p>\n" : "</p>\n", page->out);
}

static void write_sample(struct page *page, const struct run_report *report, const float *features)
{
    const clg_shape *shape = clg_tensor_shape(report->network->image);
    if (shape->ndim != 4) {
        write_features(page, report->review, features);
        return;
    }
    float low = features[0], high = features[0];
    for (int64_t i = 1; i < report->review->n_features; i++) {
        low = fminf(low, features[i]);
        high = fmaxf(high, features[i]);
    }
    if (low >= 0 && high <= 1) low = 0, high = 1;
    if (!(high > low)) high = low + 1;
    int64_t width = shape->dim[2], channels = shape->dim[3];
    page_image(page,
               &(struct page_image){.pixels = features,
                                    .width = width,
                                    .height = shape->dim[1],
                                    .row = width * channels,
                                    .column = channels,
                                    .channel = 1,
                                    .channels = channels == 3 ? 3 : 1,
                                    .low = low,
                                    .high = high},
               MISS_PIXELS, "sample");
}

static const char *write_mistakes(struct page *page, const void *data)
{
    const struct run_report *report = data;
    const struct review *review = report->review;
    if (!review) return "Measured on the test part at the end of the training.";
    if (!review->n_misses) return "There are none.";
    fprintf(page->out,
            "<p class=\"soft\">Of the %s part, by falling loss.</p>\n"
            "<div class=\"grid\">\n",
            review->part);
    for (int i = 0; i < review->n_misses; i++) {
        const struct miss *miss = &review->misses[i];
        fputs("<figure>", page->out);
        write_sample(page, report, miss->features);
        fprintf(page->out,
                "<figcaption>%d taken for %d<br>%.1f %% sure, loss %.2f<br>sample %" PRId64
                "</figcaption></figure>\n",
                miss->label, miss->predicted, 100 * miss->belief, miss->loss, miss->index);
    }
    fputs("</div>\n", page->out);
    return NULL;
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

static const struct page_section sections[] = {
    {"summary", "Summary", write_summary},
    {"curves", "Curves", write_curves},
    {"epochs", "Epochs", write_epochs},
    {"confusion", "Confusion matrix", write_confusion},
    {"mistakes", "Worst mistakes", write_mistakes},
    {"filters", "First layer", run_report_filters},
    {"gradients", "Gradients", write_gradients},
    {"settings", "Settings", write_settings},
    {"machine", "Machine", write_machine},
};

int run_report_write(const struct run_report *report)
{
    char title[512];
    snprintf(title, sizeof title, "%s: %s", report->file->content->model.name, report->run->path);
    return page_write(run_file(report->run, "report.html").text, title, sections,
                      sizeof sections / sizeof *sections, report);
}
