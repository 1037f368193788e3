/*
 * The frame of a page, escaping, tables and charts. A policy in the head forbids the browser to
 * load anything, should markup ever get in.
 */
#include "page.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"
#include "embedded.h"
#include "output_file.h"

static const char *part(const char *name)
{
    const struct embedded_text *row = page_parts;
    while (row->name && strcmp(row->name, name)) row++;
    return row->text;
}

/* Bytes of the UTF-8 character at `text`, 0 if it is none: overlong, surrogate, out of range. */
static int character_length(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    int length = c[0] < 0x80       ? 1
                 : c[0] >> 5 == 6  ? 2
                 : c[0] >> 4 == 14 ? 3
                 : c[0] >> 3 == 30 ? 4
                                   : 0;
    if (length <= 1) return length;
    uint32_t code = c[0] & (0xffu >> (length + 1));
    for (int i = 1; i < length; i++) {
        if (c[i] >> 6 != 2) return 0; /* also at the end of the text */
        code = code << 6 | (c[i] & 0x3f);
    }
    bool valid = code >= smallest[length] && code <= 0x10ffff && code >> 11 != 0x1b;
    return valid && code >> 1 != 0x7fff && code >= 0xa0 ? length : 0;
}

void page_text(struct page *page, const char *text)
{
    for (int length; *text; text += length ? length : 1) {
        length = character_length(text);
        switch (*text) {
        case '&':
            fputs("&amp;", page->out);
            break;
        case '<':
            fputs("&lt;", page->out);
            break;
        case '>':
            fputs("&gt;", page->out);
            break;
        case '"':
            fputs("&quot;", page->out);
            break;
        case '\'':
            fputs("&#39;", page->out);
            break;
        case '\n':
        case '\t':
            putc(*text, page->out);
            break;
        default:
            if (!length || (unsigned char)*text < 0x20 || *text == 0x7f)
                putc('?', page->out);
            else
                fwrite(text, 1, (size_t)length, page->out);
        }
    }
}

void page_chart(struct page *page, const clg_chart_params *chart)
{
    char *svg = NULL;
    clg_status status = clg_chart_svg(&svg, chart);
    if (status != CLG_OK) {
        if (!page->code) page->code = report_status(status, "chart");
        return;
    }
    fputs("<figure class=\"chart\" data-x=\"", page->out);
    page_text(page, chart->x_label);
    fprintf(page->out, "\">%s</figure>\n", svg);
    clg_free(svg);
}

void page_row(struct page *page, const char *name, const char *value)
{
    fputs("<tr><th class=\"text\" scope=\"row\">", page->out);
    page_text(page, name);
    fputs("</th><td class=\"text\">", page->out);
    page_text(page, value);
    fputs("</td></tr>\n", page->out);
}

void page_rowf(struct page *page, const char *name, const char *format, ...)
{
    char value[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    page_row(page, name, value);
}

void page_tile(struct page *page, const char *name, const char *format, ...)
{
    char value[256];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    fputs("<div><dt>", page->out);
    page_text(page, name);
    fputs("</dt><dd>", page->out);
    page_text(page, value);
    fputs("</dd></div>\n", page->out);
}

void page_number(struct page *page, const char *format, double value)
{
    fputs("<td>", page->out);
    if (isfinite(value))
        fprintf(page->out, format, value); /* the caller's own format */
    else
        fputs("-", page->out);
    fputs("</td>", page->out);
}

/* ---- the frame ---- */

static void write_head(struct page *page, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>",
          page->out);
    page_text(page, title);
    fprintf(page->out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>", part("style"));
    page_text(page, title);
    fputs("</h1>\n", page->out);
}

static void write_body(struct page *page, const struct page_section *sections, size_t count,
                       const void *data)
{
    fputs("<nav>\n", page->out);
    for (size_t i = 0; i < count; i++)
        fprintf(page->out, "<a href=\"#%s\">%s</a>\n", sections[i].id, sections[i].title);
    fputs("</nav>\n<main>\n", page->out);
    for (size_t i = 0; i < count; i++) {
        fprintf(page->out, "<section id=\"%s\">\n<h2>%s</h2>\n", sections[i].id, sections[i].title);
        const char *nothing = sections[i].write(page, data);
        if (nothing) fprintf(page->out, "<p class=\"soft\">%s</p>\n", nothing);
        fputs("</section>\n", page->out);
    }
    fprintf(page->out, "</main>\n<script>\n%s</script>\n</body>\n</html>\n", part("script"));
}

int page_open(struct page *page)
{
    *page = (struct page){0};
    page->out = open_memstream(&page->text, &page->size);
    return page->out ? DONE : report_error(NO_MEMORY, "out of memory");
}

int page_close(struct page *page, const char *path)
{
    bool failed = ferror(page->out) != 0;
    if (fclose(page->out)) failed = true;
    if (failed && !page->code) page->code = report_error(NO_MEMORY, "%s: out of memory", path);
    if (page->code == DONE) page->code = write_file(path, page->text);
    free(page->text);
    return page->code;
}

int page_write(const char *path, const char *title, const struct page_section *sections,
               size_t count, const void *data)
{
    struct page page;
    int code = page_open(&page);
    if (code != DONE) return code;
    write_head(&page, title);
    write_body(&page, sections, count, data);
    return page_close(&page, path);
}
