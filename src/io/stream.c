/*
 * The streams of stream.h. A compressed part of n bytes cannot hold more than 1032 n (deflate's
 * limit), and memory for what it claims grows only as data really arrives. zlib takes its memory
 * from the counted allocator.
 */
#include "io/stream.h"

enum {
    INFLATE_RATIO = 1032,      /* most bytes that one byte of deflate data can stand for */
    INPUT_SIZE = 64 * 1024,    /* of compressed data read at once */
    FIRST_BLOCK = 1024 * 1024, /* memory taken before any compressed data was seen */
    MOST_SKIPPED =
        1024 * 1024 /* of too much data that is unpacked to find out whether it is damaged */
};

static voidpf z_alloc(voidpf opaque, uInt items, uInt size)
{
    return clg__calloc(items, size);
}

static void z_free(voidpf opaque, voidpf memory)
{
    clg__free(memory);
}

/* ---- opening ---- */

void clg__stream_close(clg__stream *s)
{
    if (s->input) inflateEnd(&s->z);
    clg__free(s->input);
    s->input = NULL;
    if (s->owned) clg__reader_close(&s->file);
    s->owned = false;
}

static clg_status start_inflate(clg__stream *s)
{
    /* Window bits 15; 16 more: expect a gzip header; negative: no header at all. */
    int bits = s->packing == CLG__GZIP ? 15 + 16 : -15;
    s->z = (z_stream){.zalloc = z_alloc, .zfree = z_free};
    s->input = clg__alloc(INPUT_SIZE);
    if (!s->input) return CLG_ERROR_MEMORY;
    if (inflateInit2(&s->z, bits) == Z_OK) return CLG_OK;
    clg__free(s->input);
    s->input = NULL;
    return clg__fail(CLG_ERROR_MEMORY, "out of memory for decompressing %s", s->name);
}

clg_status clg__stream_open_part(clg__stream *s, const clg__reader *file, const char *name,
                                 const clg__part *part)
{
    *s = (clg__stream){.file = *file,
                       .name = name,
                       .offset = part->offset,
                       .end = part->offset + part->size,
                       .size = part->size,
                       .packing = part->packing};
    return part->packing == CLG__PLAIN ? CLG_OK : start_inflate(s);
}

clg_status clg__stream_open(clg__stream *s, const char *path)
{
    clg__reader file;
    unsigned char magic[2] = {0};
    *s = (clg__stream){.name = path};
    CLG_TRY(clg__reader_open(&file, path));
    clg_status status = CLG_OK;
    if (file.size >= sizeof magic) status = clg__reader_at(&file, 0, magic, sizeof magic);
    const bool gzip = magic[0] == 0x1f && magic[1] == 0x8b;
    const clg__part whole = {0, file.size, gzip ? CLG__GZIP : CLG__PLAIN};
    if (status == CLG_OK) status = clg__stream_open_part(s, &file, path, &whole);
    s->owned = status == CLG_OK;
    if (status != CLG_OK) clg__reader_close(&file);
    return status;
}

/* ---- reading ---- */

static clg_status fill_input(clg__stream *s)
{
    uint64_t left = s->end - s->offset;
    size_t size = left < INPUT_SIZE ? (size_t)left : INPUT_SIZE;
    CLG_TRY(clg__reader_at(&s->file, s->offset, s->input, size));
    s->offset += size;
    s->z.next_in = s->input;
    s->z.avail_in = (uInt)size;
    return CLG_OK;
}

/* The end of a gzip member or of deflate data: another gzip member may follow. */
static clg_status end_of_data(clg__stream *s)
{
    s->ended = s->z.avail_in == 0 && s->offset == s->end;
    if (s->ended) return CLG_OK;
    if (s->packing == CLG__DEFLATE)
        return clg__fail(CLG_ERROR_FORMAT, "%s: the compressed data ends before its given size",
                         s->name);
    inflateReset(&s->z);
    return CLG_OK;
}

/* One call of inflate. */
static clg_status unpack(clg__stream *s)
{
    if (s->z.avail_in == 0 && s->offset < s->end) CLG_TRY(fill_input(s));
    int result = inflate(&s->z, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR)
        return clg__fail(CLG_ERROR_MEMORY, "out of memory for decompressing %s", s->name);
    if (result == Z_BUF_ERROR && s->offset == s->end && s->z.avail_in == 0)
        return clg__fail(CLG_ERROR_FORMAT, "%s: the compressed data ends too early", s->name);
    if (result == Z_STREAM_END) return end_of_data(s);
    if (result != Z_OK && result != Z_BUF_ERROR)
        return clg__fail(CLG_ERROR_FORMAT, "%s: damaged compressed data (%s)", s->name,
                         s->z.msg ? s->z.msg : zError(result));
    return CLG_OK;
}

clg_status clg__stream_read(clg__stream *s, void *data, size_t size, size_t *got)
{
    *got = 0;
    if (s->packing == CLG__PLAIN) {
        uint64_t left = s->end - s->offset;
        *got = left < size ? (size_t)left : size;
        CLG_TRY(clg__reader_at(&s->file, s->offset, data, *got));
        s->offset += *got;
        return CLG_OK;
    }
    while (*got < size && !s->ended) {
        size_t want = size - *got < INT32_MAX ? size - *got : INT32_MAX; /* zlib counts in uInt */
        s->z.next_out = (unsigned char *)data + *got;
        s->z.avail_out = (uInt)want;
        CLG_TRY(unpack(s));
        *got += want - s->z.avail_out;
    }
    return CLG_OK;
}

clg_status clg__stream_read_exact(clg__stream *s, void *data, size_t size, const char *what)
{
    size_t got;
    CLG_TRY(clg__stream_read(s, data, size, &got));
    if (got == size) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT, "%s: the %s ends after %zu of %zu bytes", s->name, what, got,
                     size);
}

clg_status clg__stream_load(clg__stream *s, size_t size, void **out)
{
    bool packed = s->packing != CLG__PLAIN;
    size_t capacity = packed && size > FIRST_BLOCK ? FIRST_BLOCK : size, done = 0;
    unsigned char *data = clg__alloc(capacity);
    clg_status status = data ? CLG_OK : CLG_ERROR_MEMORY;
    while (status == CLG_OK && done < size) {
        if (done == capacity) {
            capacity = size - capacity > capacity ? 2 * capacity : size;
            unsigned char *grown = clg__realloc(data, capacity);
            status = grown ? CLG_OK : CLG_ERROR_MEMORY;
            if (grown) data = grown;
        }
        size_t got = 0;
        if (status == CLG_OK) status = clg__stream_read(s, data + done, capacity - done, &got);
        if (status == CLG_OK && got < capacity - done)
            status = clg__fail(CLG_ERROR_FORMAT, "%s: the data ends after %zu of %zu bytes",
                               s->name, done + got, size);
        done += got;
    }
    if (status != CLG_OK)
        clg__free(data);
    else
        *out = data;
    return status;
}

/* Reads on, as far as a limit: damage shows at the end, where zlib checks its checksum. */
static clg_status skip_rest(clg__stream *s, size_t most)
{
    unsigned char block[4096];
    size_t got = sizeof block;
    for (size_t done = 0; got == sizeof block && done < most; done += got)
        CLG_TRY(clg__stream_read(s, block, sizeof block, &got));
    return CLG_OK;
}

/*
 * Reaching the end also makes zlib check its checksum. Too much data is most often damaged data: a
 * flipped bit changes the lengths of what follows.
 */
clg_status clg__stream_expect_end(clg__stream *s, size_t expected)
{
    unsigned char extra;
    size_t got;
    CLG_TRY(clg__stream_read(s, &extra, 1, &got));
    if (got == 0) return CLG_OK;
    if (s->packing != CLG__PLAIN) CLG_TRY(skip_rest(s, expected + MOST_SKIPPED));
    return clg__fail(CLG_ERROR_FORMAT,
                     "%s holds more than the %zu bytes of data that its header claims", s->name,
                     expected);
}

uint64_t clg__stream_most(const clg__stream *s)
{
    uint64_t most;
    if (s->packing == CLG__PLAIN) return s->size;
    return __builtin_mul_overflow(s->size, (uint64_t)INFLATE_RATIO, &most) ? UINT64_MAX : most;
}
