/*
 * What a classifier took for what: the sections of report.html about the confusion matrix and the
 * worst mistakes.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run_report.h"

enum {
    TABLE_CLASSES = 20, /* more make a picture instead of a table of numbers */
    MATRIX_PIXELS = 480,
    MISS_PIXELS = 112,
    TEXT_FEATURES = 16,
    CONFUSIONS = 10
};

/* The name of a class, from the data; its number if it has none. */
static void put_class(struct page *page, const struct run_report *report, int64_t label)
{
    const char *name = clg_dataset_class_name(report->data, (int)label);
    if (name)
        page_text(page, name);
    else
        fprintf(page->out, "%" PRId64, label);
}

static void put_pair(struct page *page, const struct run_report *report, int64_t is, int64_t seen)
{
    put_class(page, report, is);
    fputs(" taken for ", page->out);
    put_class(page, report, seen);
}

static const char *const nothing_yet = "Measured on the test part at the end of the training.";

/* ---- confusion matrix ---- */

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

static void write_matrix_row(struct page *page, const struct run_report *report, int64_t label)
{
    const struct review *review = report->review;
    const int64_t *row = confusion_row(review, label);
    int64_t sum = sum_of(row, review->classes);
    fputs("<tr><th scope=\"row\">", page->out);
    put_class(page, report, label);
    fputs("</th>", page->out);
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

static void write_matrix(struct page *page, const struct run_report *report)
{
    int64_t classes = report->review->classes;
    fprintf(page->out,
            "<p class=\"soft\">Rows: the class it is. Columns: the class it was taken for.</p>\n"
            "<div class=\"scroll\"><table class=\"matrix%s\">\n<tr><td></td>",
            clg_dataset_class_name(report->data, 0) ? " names" : "");
    for (int64_t c = 0; c < classes; c++) {
        fputs("<th scope=\"col\">", page->out);
        put_class(page, report, c);
        fputs("</th>", page->out);
    }
    fputs("<th scope=\"col\">right</th></tr>\n", page->out);
    for (int64_t label = 0; label < classes; label++) write_matrix_row(page, report, label);
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
static void list_confusions(struct page *page, const struct run_report *report)
{
    const struct review *review = report->review;
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
    for (int64_t i = 0; i < count; i++) {
        fputs("<li>", page->out);
        put_pair(page, report, best[i] / n, best[i] % n);
        fprintf(page->out, ": %" PRId64 " times</li>\n", review->confusion[best[i]]);
    }
    fputs("</ul>\n", page->out);
}

const char *run_report_confusion(struct page *page, const void *data)
{
    const struct run_report *report = data;
    const struct review *review = report->review;
    if (!review) return nothing_yet;
    fprintf(page->out,
            "<p class=\"soft\">%" PRId64 " of %" PRId64 " samples of the %s part are right.</p>\n",
            review->right, review->samples, review->part);
    if (!review->confusion) return "There are too many classes for a matrix.";
    if (review->classes <= TABLE_CLASSES)
        write_matrix(page, report);
    else
        draw_matrix(page, review);
    list_confusions(page, report);
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

const char *run_report_mistakes(struct page *page, const void *data)
{
    const struct run_report *report = data;
    const struct review *review = report->review;
    if (!review) return nothing_yet;
    if (!review->n_misses) return "There are none.";
    fprintf(page->out,
            "<p class=\"soft\">Of the %s part, by falling loss.</p>\n"
            "<div class=\"grid\">\n",
            review->part);
    for (int i = 0; i < review->n_misses; i++) {
        const struct miss *miss = &review->misses[i];
        fputs("<figure>", page->out);
        write_sample(page, report, miss->features);
        fputs("<figcaption>", page->out);
        put_pair(page, report, miss->label, miss->predicted);
        fprintf(page->out,
                "<br>%.1f %% sure, loss %.2f<br>sample %" PRId64 "</figcaption></figure>\n",
                100 * miss->belief, miss->loss, miss->index);
    }
    fputs("</div>\n", page->out);
    return NULL;
}
