/*
 * Pages for a browser: one self-contained HTML file, built of sections that are rows of a table.
 * What comes from outside - names of files, classes, layers - goes through page_text only, which
 * escapes it; the other functions take the program's own markup.
 */
#ifndef CLTRAIN_PAGE_H
#define CLTRAIN_PAGE_H

#include <stdint.h>
#include <stdio.h>

#include "clgrad/data.h"

/* `out` takes markup (fprintf with numbers); it is a stream into memory. */
struct page {
    FILE *out;
    char *text;
    size_t size;
    int code; /* the first failure: an exit code */
};

struct page_section {
    const char *id, *title;
    /** Writes what is under the title. Returns NULL, or a sentence that says why there is nothing.
     */
    const char *(*write)(struct page *page, const void *data);
};

/** Writes a whole page to `path`, atomically. DONE, or an exit code after a message. */
int page_write(const char *path, const char *title, const struct page_section *sections,
               size_t count, const void *data);

/** A file of another kind, SVG for example: what goes to page->out is `path` after the close. */
int page_open(struct page *page);
int page_close(struct page *page, const char *path);

/** Text with all markup escaped; what is no valid UTF-8, and control characters, become '?'. */
void page_text(struct page *page, const char *text);

/** A chart with values under the pointer. */
void page_chart(struct page *page, const clg_chart_params *chart);

/* ---- tables ---- */

/** A row of name and value, in a table of two columns; `value` is escaped. */
void page_row(struct page *page, const char *name, const char *value);
/** The same with the value in printf style. */
void page_rowf(struct page *page, const char *name, const char *format, ...) CLG_PRINTF(3, 4);
/** A cell with a number, "-" for one that was not measured; `format` takes a double. */
void page_number(struct page *page, const char *format, double value);
/** A number of the summary: large, with its name over it. */
void page_tile(struct page *page, const char *name, const char *format, ...) CLG_PRINTF(3, 4);

/* ---- images ---- */

/* Pixels as the element (y, x, channel) of an array, shown from `low` to `high`. */
struct page_image {
    const float *pixels;
    int64_t width, height;
    int64_t row, column, channel; /* distances in elements */
    int channels;                 /* 1 or 3 */
    float low, high;
    bool diverging; /* one channel: blue below the middle, white, orange above; else grey */
};

/** An <img> with the pixels in it (PNG), enlarged by whole pixels to about `size` on the screen. */
void page_image(struct page *page, const struct page_image *image, int size, const char *alt);

#endif
