/*
 * Reader of idx files, MNIST's format: 00 00 type ndim | ndim big-endian u32 | data, big-endian.
 *
 * The header is proven against the file before memory is taken: a plain file must have exactly the
 * size that the header implies; a gzip file of n bytes cannot hold more than 1032 n (deflate's
 * limit), and memory for what it claims grows only as data really arrives. zlib takes its memory
 * from the counted allocator.
 */
#include <zlib.h>

#include "clgrad/data.h"
#include "io/reader.h"

enum {
    INFLATE_RATIO = 1032,     /* most bytes that one byte of deflate data can stand for */
    INPUT_SIZE = 64 * 1024,   /* of compressed data read at once */
    FIRST_BLOCK = 1024 * 1024 /* memory taken before any compressed data was seen */
};
static const uint64_t MAX_BYTES = (uint64_t)4 << 30;

/* ---- a stream of bytes, plain or compressed ---- */

typedef struct stream {
    clg__reader file;
    uint64_t offset; /* of the next byte to read from the file */
    bool compressed, ended;
    z_stream z;
    unsigned char *input; /* INPUT_SIZE bytes; compressed only */
} stream;

static voidpf z_alloc(voidpf opaque, uInt items, uInt size)
{
    return clg__calloc(items, size);
}

static void z_free(voidpf opaque, voidpf memory)
{
    clg__free(memory);
}

static void stream_close(stream *s)
{
    if (s->input) inflateEnd(&s->z);
    clg__free(s->input);
    clg__reader_close(&s->file);
}

static clg_status stream_start_inflate(stream *s)
{
    s->z = (z_stream){.zalloc = z_alloc, .zfree = z_free};
    s->input = clg__alloc(INPUT_SIZE);
    if (!s->input) return CLG_ERROR_MEMORY;
    if (inflateInit2(&s->z, 15 + 16) == Z_OK) return CLG_OK; /* 16: expect a gzip header */
    clg__free(s->input);
    s->input = NULL;
    return clg__fail(CLG_ERROR_MEMORY, "out of memory for decompressing %s", s->file.path);
}

static clg_status stream_open(stream *s, const char *path)
{
    *s = (stream){.offset = 0};
    CLG_TRY(clg__reader_open(&s->file, path));
    unsigned char magic[2] = {0};
    clg_status status = CLG_OK;
    if (s->file.size >= sizeof magic) status = clg__reader_at(&s->file, 0, magic, sizeof magic);
    s->compressed = magic[0] == 0x1f && magic[1] == 0x8b;
    if (status == CLG_OK && s->compressed) status = stream_start_inflate(s);
    if (status != CLG_OK) stream_close(s);
    return status;
}

static clg_status stream_fill(stream *s)
{
    uint64_t left = s->file.size - s->offset;
    size_t size = left < INPUT_SIZE ? (size_t)left : INPUT_SIZE;
    CLG_TRY(clg__reader_at(&s->file, s->offset, s->input, size));
    s->offset += size;
    s->z.next_in = s->input;
    s->z.avail_in = (uInt)size;
    return CLG_OK;
}

/* One call of inflate; *s.ended after the last byte of the last gzip member. */
static clg_status stream_inflate(stream *s)
{
    if (s->z.avail_in == 0 && s->offset < s->file.size) CLG_TRY(stream_fill(s));
    int result = inflate(&s->z, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR)
        return clg__fail(CLG_ERROR_MEMORY, "out of memory for decompressing %s", s->file.path);
    if (result == Z_BUF_ERROR && s->offset == s->file.size && s->z.avail_in == 0)
        return clg__fail(CLG_ERROR_FORMAT, "%s: the compressed data ends too early", s->file.path);
    if (result == Z_STREAM_END) {
        s->ended = s->z.avail_in == 0 && s->offset == s->file.size;
        if (!s->ended) inflateReset(&s->z); /* another gzip member follows */
        return CLG_OK;
    }
    if (result != Z_OK && result != Z_BUF_ERROR)
        return clg__fail(CLG_ERROR_FORMAT, "%s: damaged compressed data (%s)", s->file.path,
                         s->z.msg ? s->z.msg : zError(result));
    return CLG_OK;
}

/* Reads up to `size` bytes; *got is less only at the end of the data. */
static clg_status stream_read(stream *s, void *data, size_t size, size_t *got)
{
    *got = 0;
    if (!s->compressed) {
        uint64_t left = s->file.size - s->offset;
        *got = left < size ? (size_t)left : size;
        CLG_TRY(clg__reader_at(&s->file, s->offset, data, *got));
        s->offset += *got;
        return CLG_OK;
    }
    while (*got < size && !s->ended) {
        size_t want = size - *got < INT32_MAX ? size - *got : INT32_MAX; /* zlib counts in uInt */
        s->z.next_out = (unsigned char *)data + *got;
        s->z.avail_out = (uInt)want;
        CLG_TRY(stream_inflate(s));
        *got += want - s->z.avail_out;
    }
    return CLG_OK;
}

static clg_status stream_read_all(stream *s, void *data, size_t size, const char *what)
{
    size_t got;
    CLG_TRY(stream_read(s, data, size, &got));
    if (got == size) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT, "%s: the %s ends after %zu of %zu bytes", s->file.path, what,
                     got, size);
}

/* ---- header ---- */

/* One row per element type: code in the file, bytes there, type delivered. */
typedef struct element {
    unsigned char code, bytes;
    clg_dtype dtype;
} element;
static const element elements[] = {
    {0x08, 1, CLG_U8},  {0x09, 1, CLG_I32}, {0x0b, 2, CLG_I32},
    {0x0c, 4, CLG_I32}, {0x0d, 4, CLG_F32}, {0x0e, 8, CLG_F32},
};

typedef struct header {
    const element *element;
    clg_shape shape;
    uint64_t count; /* elements; UINT64_MAX if there are more */
    size_t bytes;   /* of all of them in the file */
} header;

static uint32_t big_endian_32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static const element *element_find(unsigned char code)
{
    for (size_t i = 0; i < CLG__COUNT(elements); i++)
        if (elements[i].code == code) return &elements[i];
    return NULL;
}

static clg_status header_read(stream *s, header *h)
{
    unsigned char magic[4], extent[4];
    const char *path = s->file.path;
    CLG_TRY(stream_read_all(s, magic, sizeof magic, "header"));
    h->element = element_find(magic[2]);
    if (magic[0] || magic[1] || !h->element)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s is no idx file: it starts with %02x %02x %02x %02x instead of "
                         "00 00 TYPE NDIM",
                         path, magic[0], magic[1], magic[2], magic[3]);
    if (magic[3] < 1 || magic[3] > CLG_MAX_DIMS)
        return clg__fail(CLG_ERROR_FORMAT, "%s has %d dimensions; 1 to %d are supported", path,
                         magic[3], CLG_MAX_DIMS);
    *h = (header){.element = h->element, .count = 1, .shape.ndim = magic[3]};
    for (int i = 0; i < h->shape.ndim; i++) {
        CLG_TRY(stream_read_all(s, extent, sizeof extent, "header"));
        h->shape.dim[i] = big_endian_32(extent);
        if (__builtin_mul_overflow(h->count, (uint64_t)h->shape.dim[i], &h->count))
            h->count = UINT64_MAX;
    }
    return CLG_OK;
}

/* What the header claims must be possible for this file. */
static clg_status header_check(const stream *s, header *h)
{
    const char *path = s->file.path;
    uint64_t head = 4 + 4 * (uint64_t)h->shape.ndim, bytes;
    unsigned long long size = s->file.size;
    char text[160];
    clg_shape_text(&h->shape, text, sizeof text);
    if (__builtin_mul_overflow(h->count, (uint64_t)h->element->bytes, &bytes) ||
        bytes > MAX_BYTES || bytes > SIZE_MAX)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s claims the shape %s of %d-byte elements, more than the limit of %llu "
                         "bytes",
                         path, text, h->element->bytes, (unsigned long long)MAX_BYTES);
    h->bytes = (size_t)bytes;
    if (!s->compressed && bytes + head != size)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s claims the shape %s of %d-byte elements, %llu bytes with its header, "
                         "but has %llu",
                         path, text, h->element->bytes, (unsigned long long)(bytes + head), size);
    if (s->compressed && bytes / INFLATE_RATIO > size)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s claims the shape %s of %d-byte elements, more than its %llu "
                         "compressed bytes can hold",
                         path, text, h->element->bytes, size);
    return CLG_OK;
}

/* ---- data ---- */

/* Reads h->bytes bytes into *out; the memory grows with what arrives. */
static clg_status body_read(stream *s, const header *h, unsigned char **out)
{
    size_t capacity = s->compressed && h->bytes > FIRST_BLOCK ? FIRST_BLOCK : h->bytes, done = 0;
    unsigned char *data = clg__alloc(capacity);
    clg_status status = data ? CLG_OK : CLG_ERROR_MEMORY;
    while (status == CLG_OK && done < h->bytes) {
        if (done == capacity) {
            capacity = h->bytes - capacity > capacity ? 2 * capacity : h->bytes;
            unsigned char *grown = clg__realloc(data, capacity);
            status = grown ? CLG_OK : CLG_ERROR_MEMORY;
            if (grown) data = grown;
        }
        size_t got = 0;
        if (status == CLG_OK) status = stream_read(s, data + done, capacity - done, &got);
        if (status == CLG_OK && got < capacity - done)
            status = clg__fail(CLG_ERROR_FORMAT, "%s: the data ends after %zu of %zu bytes",
                               s->file.path, done + got, h->bytes);
        done += got;
    }
    if (status != CLG_OK)
        clg__free(data);
    else
        *out = data;
    return status;
}

/* The data must end here; reaching the end also makes zlib check its checksum. */
static clg_status expect_end(stream *s, const header *h)
{
    unsigned char extra;
    size_t got;
    CLG_TRY(stream_read(s, &extra, 1, &got));
    if (got == 0) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT,
                     "%s holds more than the %zu bytes of data that its header "
                     "claims",
                     s->file.path, h->bytes);
}

static double element_value(const element *e, const unsigned char *p)
{
    uint32_t word = e->bytes >= 4 ? big_endian_32(p) : 0;
    uint64_t wide = e->bytes == 8 ? (uint64_t)word << 32 | big_endian_32(p + 4) : 0;
    float f;
    double d;
    memcpy(&f, &word, sizeof f);
    memcpy(&d, &wide, sizeof d);
    switch (e->code) {
    case 0x09:
        return (int8_t)p[0];
    case 0x0b:
        return (int16_t)(p[0] << 8 | p[1]);
    case 0x0c:
        return (int32_t)word;
    case 0x0d:
        return f;
    default:
        return d;
    }
}

/* Turns big-endian elements into the host's dtype; u8 stays what it is. Takes over `raw`. */
static clg_status convert(const header *h, unsigned char *raw, void **out)
{
    *out = raw;
    if (h->element->dtype == CLG_U8) return CLG_OK;
    void *data = clg__calloc((size_t)h->count, 4);
    for (size_t i = 0; data && i < h->count; i++) {
        double value = element_value(h->element, raw + i * h->element->bytes);
        if (h->element->dtype == CLG_I32)
            ((int32_t *)data)[i] = (int32_t)value;
        else
            ((float *)data)[i] = (float)value;
    }
    clg__free(raw);
    *out = data;
    return data ? CLG_OK : CLG_ERROR_MEMORY;
}

clg_status clg_idx_read(const char *path, clg_dtype *dtype, clg_shape *shape, void **data)
{
    if (!path || !dtype || !shape || !data)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_idx_read: an argument is NULL");
    stream s;
    header h;
    unsigned char *raw = NULL;
    CLG_TRY(stream_open(&s, path));
    clg_status status = header_read(&s, &h);
    if (status == CLG_OK) status = header_check(&s, &h);
    if (status == CLG_OK) status = body_read(&s, &h, &raw);
    if (status == CLG_OK) status = expect_end(&s, &h);
    stream_close(&s);
    void *values = NULL;
    if (status == CLG_OK)
        status = convert(&h, raw, &values);
    else
        clg__free(raw);
    if (status != CLG_OK) return status;
    *dtype = h.element->dtype;
    *shape = h.shape;
    *data = values;
    return CLG_OK;
}
