/*
 * npy files, NumPy's format: "\x93NUMPY" major minor | length | header | data. The header is a
 * Python dict literal with the keys descr, fortran_order and shape, of which exactly these forms
 * are read:
 *
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 *
 * Its length is checked before it is read. Objects, structs and complex numbers are refused.
 */
#include <zlib.h>

#include "io/array_file.h"

enum { MAX_HEADER = 10000, PREAMBLE = 8 };
static const char magic[] = "\x93NUMPY";

bool clg__npy_detect(const unsigned char *head, size_t size)
{
    return size >= 6 && memcmp(head, magic, 6) == 0;
}

/* ---- the dict ---- */

/* What is being parsed: `at` moves on; NUL-terminated. */
typedef struct parser {
    const char *at;
    const char *name; /* of the file */
} parser;

static clg_status malformed(const parser *p, const char *wanted)
{
    return clg__fail(CLG_ERROR_FORMAT, "%s: malformed npy header: %s expected at \"%.20s\"",
                     p->name, wanted, p->at);
}

static void skip_space(parser *p)
{
    while (*p->at == ' ' || *p->at == '\n' || *p->at == '\t') p->at++;
}

/* Skips blanks, then takes `text` if it is there. */
static bool take(parser *p, const char *text)
{
    size_t length = strlen(text);
    skip_space(p);
    if (strncmp(p->at, text, length) != 0) return false;
    p->at += length;
    return true;
}

/* A quoted string without escapes. */
static clg_status take_string(parser *p, char *out, size_t size)
{
    skip_space(p);
    char quote = *p->at;
    const char *end = quote == '\'' || quote == '"' ? strchr(p->at + 1, quote) : NULL;
    if (!end || (size_t)(end - p->at) > size || memchr(p->at, '\\', (size_t)(end - p->at)))
        return malformed(p, "a short string");
    memcpy(out, p->at + 1, (size_t)(end - p->at - 1));
    out[end - p->at - 1] = 0;
    p->at = end + 1;
    return CLG_OK;
}

static clg_status take_extent(parser *p, int64_t *out)
{
    skip_space(p);
    int64_t value = 0;
    const char *start = p->at;
    for (; *p->at >= '0' && *p->at <= '9'; p->at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p->at - '0', &value))
            return clg__fail(CLG_ERROR_FORMAT, "%s: an extent in its shape is too large", p->name);
    if (p->at == start) return malformed(p, "an extent");
    (void)take(p, "L"); /* Python 2 wrote 3L */
    *out = value;
    return CLG_OK;
}

static clg_status take_shape(parser *p, clg_shape *shape)
{
    shape->ndim = 0;
    if (!take(p, "(")) return malformed(p, "a shape");
    while (!take(p, ")")) {
        if (shape->ndim == CLG_MAX_DIMS)
            return clg__fail(CLG_ERROR_FORMAT, "%s has more than %d dimensions", p->name,
                             CLG_MAX_DIMS);
        CLG_TRY(take_extent(p, &shape->dim[shape->ndim++]));
        if (!take(p, ",") && *p->at != ')') return malformed(p, "a comma or )");
    }
    return CLG_OK;
}

/* "<f4": byte order, kind, bytes. */
static clg_status element_of(const parser *p, const char *descr, clg__element *out)
{
    static const char *const known[] = {"b1", "u1", "i1", "u2", "i2", "u4",
                                        "i4", "u8", "i8", "f2", "f4", "f8"};
    for (size_t i = 0; strlen(descr) == 3 && i < CLG__COUNT(known); i++) {
        bool single = known[i][1] == '1';
        if (strcmp(descr + 1, known[i]) != 0 || !strchr(single ? "|<>=" : "<>", *descr)) continue;
        *out = (clg__element){.kind = known[i][0],
                              .bytes = (unsigned char)(known[i][1] - '0'),
                              .big_endian = *descr == '>'};
        return CLG_OK;
    }
    return clg__fail(CLG_ERROR_FORMAT,
                     "%s: elements of type '%.40s' are not read; integers, floats and truth values "
                     "of 1 to 8 bytes are",
                     p->name, descr);
}

static clg_status take_entry(parser *p, clg__array_header *h, unsigned *seen)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    char key[32], descr[64];
    unsigned which = 0;
    CLG_TRY(take_string(p, key, sizeof key - 1));
    while (which < 3 && strcmp(key, keys[which]) != 0) which++;
    if (which == 3 || *seen >> which & 1)
        return clg__fail(CLG_ERROR_FORMAT, "%s: unexpected or repeated key '%s' in its header",
                         p->name, key);
    *seen |= 1u << which;
    if (!take(p, ":")) return malformed(p, "a colon");
    if (which == 2) return take_shape(p, &h->shape);
    if (which == 1) {
        h->fortran = take(p, "True");
        return h->fortran || take(p, "False") ? CLG_OK : malformed(p, "True or False");
    }
    if (take(p, "["))
        return clg__fail(CLG_ERROR_FORMAT, "%s: records of several fields are not read", p->name);
    CLG_TRY(take_string(p, descr, sizeof descr - 1));
    return element_of(p, descr, &h->element);
}

static clg_status parse(parser *p, clg__array_header *h)
{
    unsigned seen = 0;
    if (!take(p, "{")) return malformed(p, "{");
    while (!take(p, "}")) {
        CLG_TRY(take_entry(p, h, &seen));
        if (!take(p, ",") && *p->at != '}') return malformed(p, "a comma or }");
    }
    skip_space(p);
    if (*p->at) return malformed(p, "the end");
    if (seen != 7)
        return clg__fail(CLG_ERROR_FORMAT, "%s: its header lacks descr, fortran_order or shape",
                         p->name);
    return CLG_OK;
}

/* ---- the file ---- */

/* Length of the header: 2 bytes in version 1, 4 since version 2. */
static clg_status read_length(clg__stream *s, const unsigned char *preamble, size_t *length,
                              size_t *size, uint32_t *crc32_)
{
    unsigned char bytes[4] = {0};
    int major = preamble[6];
    if (memcmp(preamble, magic, 6) != 0 || major < 1 || major > 3)
        return clg__fail(CLG_ERROR_FORMAT, "%s is no npy file of version 1, 2 or 3", s->name);
    *size = major == 1 ? 2 : 4;
    CLG_TRY(clg__stream_read_exact(s, bytes, *size, "header"));
    *crc32_ = (uint32_t)crc32(*crc32_, bytes, (uInt)*size);
    *length =
        (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
    if (*length <= MAX_HEADER) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT, "%s: its header has %zu bytes, more than the limit of %d",
                     s->name, *length, MAX_HEADER);
}

clg_status clg__npy_header(clg__stream *s, clg__array_header *h, uint32_t *crc32_)
{
    unsigned char preamble[PREAMBLE];
    char text[MAX_HEADER + 1];
    size_t length = 0, size = 0;
    CLG_TRY(clg__stream_read_exact(s, preamble, sizeof preamble, "header"));
    *crc32_ = (uint32_t)crc32(*crc32_, preamble, sizeof preamble);
    CLG_TRY(read_length(s, preamble, &length, &size, crc32_));
    CLG_TRY(clg__stream_read_exact(s, text, length, "header"));
    *crc32_ = (uint32_t)crc32(*crc32_, (const Bytef *)text, (uInt)length);
    text[length] = 0;
    if (strlen(text) != length)
        return clg__fail(CLG_ERROR_FORMAT, "%s: its header has a NUL in it", s->name);
    *h = (clg__array_header){.size = PREAMBLE + size + length};
    return parse(&(parser){text, s->name}, h);
}
