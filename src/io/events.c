/*
 * Scalars as a TensorBoard event file. The file is a row of records (TFRecord): u64 length, masked
 * CRC-32C of those 8 bytes, the data, masked CRC-32C of the data, all little endian. The data is a
 * protobuf message `Event`, of which three fields are needed, so that they are written by hand:
 *
 *   Event    1: wall_time (double)   2: step (varint)   3: file_version (text)   5: Summary
 *   Summary  1: repeated Value       Value  1: tag (text)   2: simple_value (float)
 *
 * Formats: tensorflow/core/util/event.proto, summary.proto, lib/io/record_writer.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "clgrad/data.h"

/* Low three bits of a field's key: how its value is written. */
enum { VARINT = 0, BYTES_8 = 1, LENGTH = 2, BYTES_4 = 5 };

/* Castagnoli's polynomial, bit by bit: a record is some hundred bytes. */
static uint32_t crc32c(const void *data, size_t size)
{
    uint32_t crc = 0xffffffffu;
    for (const uint8_t *at = data; size > 0; at++, size--) {
        crc ^= *at;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* Rotated and shifted, because the CRC of data that contains its CRC is a constant. */
static uint32_t masked_crc(const void *data, size_t size)
{
    uint32_t crc = crc32c(data, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void add_little_endian(clg__str *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char byte = (char)(value >> 8 * i & 0xff);
        clg__str_addn(out, &byte, 1);
    }
}

static void add_varint(clg__str *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) add_little_endian(out, (value & 0x7f) | 0x80, 1);
    add_little_endian(out, value, 1);
}

static void add_key(clg__str *out, int field, int kind)
{
    add_varint(out, (uint64_t)(field << 3 | kind));
}

static void add_bytes(clg__str *out, int field, const char *data, size_t size)
{
    add_key(out, field, LENGTH);
    add_varint(out, size);
    clg__str_addn(out, data, size);
}

static void add_time(clg__str *event, double seconds)
{
    uint64_t bits;
    memcpy(&bits, &seconds, sizeof bits);
    add_key(event, 1, BYTES_8);
    add_little_endian(event, bits, 8);
}

static void add_value(clg__str *summary, const clg_event_scalar *scalar)
{
    clg__str value = {0};
    float number = (float)scalar->value;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    add_bytes(&value, 1, scalar->tag, strlen(scalar->tag));
    add_key(&value, 2, BYTES_4);
    add_little_endian(&value, bits, 4);
    add_bytes(summary, 1, clg__str_text(&value), value.length);
    summary->failed |= value.failed;
    clg__str_free(&value);
}

/* Puts the frame around an event and empties it. */
static void add_record(clg__str *file, clg__str *event)
{
    size_t start = file->length;
    add_little_endian(file, event->length, 8);
    if (!file->failed) add_little_endian(file, masked_crc(file->text + start, 8), 4);
    clg__str_addn(file, clg__str_text(event), event->length);
    add_little_endian(file, masked_crc(clg__str_text(event), event->length), 4);
    file->failed |= event->failed;
    clg__str_free(event);
}

static void add_scalars(clg__str *file, double time, int64_t step, const clg_event_scalar *scalars,
                        size_t count)
{
    clg__str event = {0}, summary = {0};
    add_time(&event, time);
    add_key(&event, 2, VARINT);
    add_varint(&event, (uint64_t)step);
    for (size_t i = 0; i < count; i++) add_value(&summary, &scalars[i]);
    add_bytes(&event, 5, clg__str_text(&summary), summary.length);
    event.failed |= summary.failed;
    clg__str_free(&summary);
    add_record(file, &event);
}

/* The first record of every file says its version. */
static void add_version(clg__str *file, double time)
{
    static const char version[] = "brain.Event:2";
    clg__str event = {0};
    add_time(&event, time);
    add_bytes(&event, 3, version, sizeof version - 1);
    add_record(file, &event);
}

/* Writes all of it or, as far as that can be had, nothing. */
static clg_status append(int fd, const char *path, off_t end, const clg__str *data)
{
    size_t done = 0;
    while (done < data->length) {
        ssize_t written = -1;
        if (clg__fault_hit(CLG__FAULT_FILE))
            errno = EIO;
        else
            written = write(fd, data->text + done, data->length - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            int error = errno;
            const char *left = ftruncate(fd, end) ? " (part of a record was left behind)" : "";
            return clg__fail(CLG_ERROR_IO, "cannot write %s: %s%s", path, strerror(error), left);
        }
        done += (size_t)written;
    }
    return CLG_OK;
}

static clg_status open_file(int *fd, off_t *end, const char *path)
{
    struct stat info;
    *fd = -1;
    errno = EIO; /* what an injected fault reports */
    if (!clg__fault_hit(CLG__FAULT_FILE))
        *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (*fd < 0 || fstat(*fd, &info))
        return clg__fail(CLG_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    *end = info.st_size;
    return CLG_OK;
}

clg_status clg_events_append(const char *path, double time, int64_t step,
                             const clg_event_scalar *scalars, size_t count)
{
    int fd;
    off_t end = 0;
    if (!path || (count > 0 && !scalars))
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_events_append: no %s", path ? "scalars" : "path");
    for (size_t i = 0; i < count; i++)
        if (!scalars[i].tag)
            return clg__fail(CLG_ERROR_ARGUMENT, "clg_events_append: scalar %zu has no tag", i);
    clg_status status = open_file(&fd, &end, path);
    clg__str data = {0};
    if (status == CLG_OK && end == 0) add_version(&data, time);
    if (status == CLG_OK) add_scalars(&data, time, step, scalars, count);
    if (data.failed) status = CLG_ERROR_MEMORY;
    if (status == CLG_OK) status = append(fd, path, end, &data);
    if (fd >= 0) close(fd);
    clg__str_free(&data);
    return status;
}
