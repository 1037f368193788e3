/*
 * Rows of CSV files, by libcsv. The text is handed over line by line, so that the number of the
 * line is known whenever a row ends, also where quoted fields hold line ends. The thread has the
 * locale "C" meanwhile, so that numbers are read with a decimal point.
 */
#include <csv.h>
#include <locale.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif

#include "io/csv.h"
#include "io/stream.h"
#include "io/utf8.h"

enum { BLOCK = 64 * 1024, MAX_ROW = 16 << 20, MAX_FIELDS = 1 << 16 };

typedef struct reading {
    clg__csv_row row;
    clg__csv_fn fn;
    void *user;
    clg__str text;  /* of the row's fields, each with its NUL */
    size_t *starts; /* of the fields in text; the row's pointers once it is complete */
    const char **fields;
    size_t capacity, field_capacity;
    size_t row_bytes;  /* read since the last row ended */
    clg_status status; /* of the callbacks */
} reading;

static clg_status fail(reading *r, const char *problem)
{
    return clg__fail(CLG_ERROR_FORMAT, "%s, line %lld: %s", r->row.path, (long long)r->row.line,
                     problem);
}

/* ---- libcsv's callbacks ---- */

static clg_status add_field(reading *r, const char *text, size_t length)
{
    void *starts = r->starts;
    if (r->row.count == MAX_FIELDS) return fail(r, "more than 65536 fields");
    if (memchr(text, 0, length)) return fail(r, "a NUL byte: this is no text");
    clg_status status = clg__grow(&starts, &r->capacity, r->row.count + 1, sizeof *r->starts);
    r->starts = starts;
    if (status != CLG_OK) return status;
    size_t start = r->text.length;
    r->starts[r->row.count++] = start;
    clg__str_addn(&r->text, text, length);
    clg__str_addn(&r->text, "", 1);
    if (r->text.failed) return CLG_ERROR_MEMORY;
    return clg__is_utf8(r->text.text + start) ? CLG_OK : fail(r, "text that is not UTF-8");
}

static void on_field(void *text, size_t length, void *user)
{
    reading *r = user;
    if (r->status == CLG_OK) r->status = add_field(r, text ? text : "", length);
}

static clg_status end_row(reading *r)
{
    void *fields = r->fields;
    clg_status status = clg__grow(&fields, &r->field_capacity, r->row.count, sizeof *r->fields);
    r->fields = fields;
    if (status != CLG_OK) return status;
    for (size_t i = 0; i < r->row.count; i++) r->fields[i] = r->text.text + r->starts[i];
    r->row.fields = r->fields;
    return r->fn(r->user, &r->row);
}

static void on_row(int end, void *user)
{
    reading *r = user;
    if (r->status == CLG_OK) r->status = end_row(r);
    r->row.count = 0;
    r->text.length = 0;
    r->row_bytes = 0;
}

/* ---- feeding it ---- */

static clg_status parse(reading *r, struct csv_parser *parser, const char *text, size_t size)
{
    r->row_bytes += size;
    if (r->row_bytes > MAX_ROW) return fail(r, "a row of more than 16 MiB");
    size_t done = csv_parse(parser, text, size, on_field, on_row, r);
    if (r->status != CLG_OK || done == size) return r->status;
    return csv_error(parser) == CSV_ENOMEM
               ? clg__fail(CLG_ERROR_MEMORY, "%s: out of memory for a field", r->row.path)
               : fail(r, "a quote inside a field: double it, and quote the field");
}

/* One block of the file; lines are counted where they end. */
static clg_status parse_lines(reading *r, struct csv_parser *parser, const char *text, size_t size)
{
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) + 1 : size;
        CLG_TRY(parse(r, parser, text, length));
        if (end) r->row.line++;
        text += length;
        size -= length;
    }
    return CLG_OK;
}

static clg_status read_all(reading *r, struct csv_parser *parser, clg__stream *s, char *block)
{
    size_t got = BLOCK;
    for (bool first = true; got == BLOCK; first = false) {
        CLG_TRY(clg__stream_read(s, block, BLOCK, &got));
        size_t mark = first && got >= 3 && memcmp(block, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        CLG_TRY(parse_lines(r, parser, block + mark, got - mark));
    }
    int left = csv_fini(parser, on_field, on_row, r);
    if (r->status != CLG_OK || left == 0) return r->status;
    return fail(r, "the file ends inside a quoted field");
}

static clg_status read_stream(reading *r, char separator, clg__stream *s)
{
    struct csv_parser parser;
    char *block = clg__alloc(BLOCK);
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0), former = (locale_t)0;
    clg_status status = block ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK && !plain)
        status = clg__fail(CLG_ERROR_MEMORY, "out of memory for a locale");
    if (plain) former = uselocale(plain);
    csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI);
    csv_set_delim(&parser, (unsigned char)separator);
    csv_set_realloc_func(&parser, clg__realloc);
    csv_set_free_func(&parser, clg__free);
    if (status == CLG_OK) status = read_all(r, &parser, s, block);
    csv_free(&parser);
    if (plain) {
        uselocale(former);
        freelocale(plain);
    }
    clg__free(block);
    return status;
}

clg_status clg__csv_read(const char *path, char separator, clg__csv_fn fn, void *user)
{
    reading r = {.row = {.path = path, .line = 1}, .fn = fn, .user = user};
    clg__stream s;
    CLG_TRY(clg__stream_open(&s, path));
    clg_status status = read_stream(&r, separator, &s);
    clg__stream_close(&s);
    clg__free(r.starts);
    clg__free(r.fields);
    clg__str_free(&r.text);
    return status;
}

char clg__csv_separator(const unsigned char *head, size_t size)
{
    static const char candidates[] = {',', ';', '\t'};
    size_t most = 0;
    char best = 0;
    for (size_t c = 0; c < sizeof candidates; c++) {
        size_t count = 0;
        bool quoted = false;
        for (size_t i = 0; i < size && (quoted || (head[i] != '\n' && head[i] != '\r')); i++) {
            quoted ^= head[i] == '"';
            count += !quoted && head[i] == (unsigned char)candidates[c];
        }
        if (count <= most) continue;
        most = count;
        best = candidates[c];
    }
    return best;
}
