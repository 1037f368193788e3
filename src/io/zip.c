/*
 * Reading the directory at the end of a zip file:
 *
 *     members: local header, data | directory: one record per member | end record, comment
 *
 * Everything is checked against the file's size before it is followed: the directory lies in front
 * of the end record, each member's data in front of the directory. Archives beyond 4 GiB (zip64)
 * and encrypted ones are refused.
 */
#include "io/zip.h"

enum {
    END_SIZE = 22,
    MAX_COMMENT = 65535,
    RECORD_SIZE = 46,
    LOCAL_SIZE = 30,
    MAX_DIRECTORY = 1 << 20,
    STORED = 0,
    DEFLATED = 8
};

typedef struct directory {
    unsigned char *bytes;
    size_t size;
    unsigned entries;
    uint64_t offset; /* in the file */
} directory;

static uint32_t le16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const unsigned char *p)
{
    return le16(p) | le16(p + 2) << 16;
}

bool clg__zip_detect(const unsigned char *head, size_t size)
{
    return size >= 4 && head[0] == 'P' && head[1] == 'K' &&
           ((head[2] == 3 && head[3] == 4) || (head[2] == 5 && head[3] == 6));
}

uint32_t clg__crc32(uint32_t crc, const void *data, size_t size)
{
    const Bytef *at = data;
    while (size) { /* zlib counts in uInt */
        uInt part = size < INT32_MAX ? (uInt)size : INT32_MAX;
        crc = (uint32_t)crc32(crc, at, part);
        at += part;
        size -= part;
    }
    return crc;
}

/* ---- the directory ---- */

/* Checks the end record at `end`, which is at `offset` in the file. */
static clg_status take_end(const clg__reader *file, const unsigned char *end, uint64_t offset,
                           directory *d)
{
    uint32_t size = le32(end + 12), start = le32(end + 16);
    d->entries = le16(end + 10);
    d->size = size;
    d->offset = start;
    if (start == UINT32_MAX || d->entries == UINT16_MAX)
        return clg__fail(CLG_ERROR_UNSUPPORTED,
                         "%s is a zip64 archive, which is not read: unpack it and use the .npy "
                         "files",
                         file->path);
    if (le16(end + 4) || le16(end + 6) || d->entries != le16(end + 8))
        return clg__fail(CLG_ERROR_FORMAT, "%s is a part of a divided archive", file->path);
    if ((uint64_t)start + size > offset || size > MAX_DIRECTORY)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s: its directory of %u bytes at %u does not fit in front of its end at "
                         "%llu",
                         file->path, (unsigned)size, (unsigned)start, (unsigned long long)offset);
    return CLG_OK;
}

/* The end record is the last one that a comment of its length follows up to the file's end. */
static clg_status find_end(const clg__reader *file, directory *d)
{
    size_t size = file->size < END_SIZE + MAX_COMMENT ? (size_t)file->size : END_SIZE + MAX_COMMENT;
    uint64_t offset = file->size - size;
    unsigned char *tail = clg__alloc(size);
    if (!tail) return CLG_ERROR_MEMORY;
    clg_status status = clg__reader_at(file, offset, tail, size);
    bool found = false;
    for (size_t at = size; status == CLG_OK && !found && at-- > 0;) {
        const unsigned char *p = tail + at;
        found = size - at >= END_SIZE && memcmp(p, "PK\5\6", 4) == 0 &&
                le16(p + 20) == size - at - END_SIZE;
        if (found) status = take_end(file, p, offset + at, d);
    }
    if (status == CLG_OK && !found)
        status = clg__fail(CLG_ERROR_FORMAT, "%s: no end record of a zip archive: it is cut off",
                           file->path);
    clg__free(tail);
    return status;
}

static clg_status read_directory(const clg__reader *file, directory *d)
{
    *d = (directory){0};
    CLG_TRY(find_end(file, d));
    d->bytes = clg__alloc(d->size);
    if (!d->bytes) return CLG_ERROR_MEMORY;
    clg_status status = clg__reader_at(file, d->offset, d->bytes, d->size);
    if (status == CLG_OK) return CLG_OK;
    clg__free(d->bytes);
    d->bytes = NULL;
    return status;
}

/* The record at `at`; its whole length in *length, or 0 if it does not fit. */
static const unsigned char *record_at(const directory *d, size_t at, size_t *length)
{
    const unsigned char *p = d->bytes + at;
    *length = 0;
    if (d->size - at < RECORD_SIZE || memcmp(p, "PK\1\2", 4) != 0) return p;
    size_t whole = RECORD_SIZE + le16(p + 28) + le16(p + 30) + le16(p + 32);
    if (whole <= d->size - at) *length = whole;
    return p;
}

static bool is_named(const unsigned char *record, const char *member)
{
    const char *name = (const char *)record + RECORD_SIZE;
    size_t length = le16(record + 28), wanted = strlen(member);
    bool bare = length == wanted + 4 && memcmp(name + wanted, ".npy", 4) == 0;
    return (bare || length == wanted) && memcmp(name, member, wanted) == 0;
}

/* ---- members ---- */

static clg_status check_record(const clg__reader *file, const unsigned char *p,
                               clg__zip_entry *entry)
{
    uint32_t method = le16(p + 10), length = le16(p + 28);
    if (length >= sizeof entry->name)
        return clg__fail(CLG_ERROR_FORMAT, "%s: a member's name has %u bytes", file->path,
                         (unsigned)length);
    memcpy(entry->name, p + RECORD_SIZE, length);
    entry->name[length] = 0;
    entry->packed_size = le32(p + 20);
    entry->size = le32(p + 24);
    entry->crc32 = le32(p + 16);
    if (le16(p + 8) & 1 || (method != STORED && method != DEFLATED))
        return clg__fail(CLG_ERROR_UNSUPPORTED,
                         "%s: %s is encrypted or packed by method %u; stored and deflated members "
                         "are read",
                         file->path, entry->name, (unsigned)method);
    if (entry->packed_size == UINT32_MAX || entry->size == UINT32_MAX)
        return clg__fail(CLG_ERROR_UNSUPPORTED, "%s: %s has 4 GiB or more (zip64)", file->path,
                         entry->name);
    if (method == STORED && entry->size != entry->packed_size)
        return clg__fail(CLG_ERROR_FORMAT, "%s: %s is stored, but its sizes %llu and %llu differ",
                         file->path, entry->name, (unsigned long long)entry->packed_size,
                         (unsigned long long)entry->size);
    entry->packing = method == STORED ? CLG__PLAIN : CLG__DEFLATE;
    return CLG_OK;
}

/* The data begins behind the local header, whose lengths may differ from the directory's. */
static clg_status locate(const clg__reader *file, const directory *d, const unsigned char *record,
                         clg__zip_entry *entry)
{
    unsigned char local[LOCAL_SIZE] = {0};
    uint64_t offset = le32(record + 42);
    if (offset + LOCAL_SIZE <= d->offset)
        CLG_TRY(clg__reader_at(file, offset, local, sizeof local));
    entry->offset = offset + LOCAL_SIZE + le16(local + 26) + le16(local + 28);
    if (memcmp(local, "PK\3\4", 4) == 0 && entry->offset + entry->packed_size <= d->offset)
        return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT, "%s: %s does not lie where the directory says", file->path,
                     entry->name);
}

static clg_status not_there(const clg__reader *file, const directory *d, const char *member)
{
    if (d->entries == 0) return clg__fail(CLG_ERROR_FORMAT, "%s has no arrays in it", file->path);
    clg__str names = {0};
    size_t at = 0, length = 1;
    for (unsigned i = 0; i < d->entries && length; i++) {
        const unsigned char *p = record_at(d, at, &length);
        if (length && names.length < 200)
            clg__str_addf(&names, " %.*s", (int)le16(p + 28), (const char *)p + RECORD_SIZE);
        at += length;
    }
    const char *list = clg__str_text(&names);
    clg_status status =
        member ? clg__fail(CLG_ERROR_FORMAT, "%s has no array '%s'; there are:%s", file->path,
                           member, list)
               : clg__fail(CLG_ERROR_FORMAT, "%s: which array? There are:%s", file->path, list);
    clg__str_free(&names);
    return status;
}

static clg_status find_in(const clg__reader *file, const directory *d, const char *member,
                          clg__zip_entry *out)
{
    size_t at = 0, length;
    for (unsigned i = 0; i < d->entries; i++, at += length) {
        const unsigned char *record = record_at(d, at, &length);
        if (length == 0)
            return clg__fail(CLG_ERROR_FORMAT, "%s: record %u of its directory is damaged",
                             file->path, i);
        if (member ? !is_named(record, member) : d->entries != 1) continue;
        CLG_TRY(check_record(file, record, out));
        return locate(file, d, record, out);
    }
    return not_there(file, d, member);
}

clg_status clg__zip_find(const clg__reader *file, const char *member, clg__zip_entry *out)
{
    directory d;
    CLG_TRY(read_directory(file, &d));
    clg_status status = find_in(file, &d, member, out);
    clg__free(d.bytes);
    return status;
}

clg_status clg__zip_names(const clg__reader *file, clg__names *out)
{
    directory d;
    size_t at = 0, length = 1;
    CLG_TRY(read_directory(file, &d));
    clg_status status = CLG_OK;
    for (unsigned i = 0; i < d.entries && length && status == CLG_OK; i++, at += length) {
        const unsigned char *record = record_at(&d, at, &length);
        const char *name = (const char *)record + RECORD_SIZE;
        size_t size = length ? le16(record + 28) : 0;
        if (size >= 4 && memcmp(name + size - 4, ".npy", 4) == 0) size -= 4;
        if (length) status = clg__names_add(out, name, size);
    }
    clg__free(d.bytes);
    if (status != CLG_OK) clg__names_free(out);
    return status;
}
