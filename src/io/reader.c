/*
 * The reader of reader.h over open, fstat and pread. Reading instead of mapping: a mapped file that
 * someone truncates kills the process. Every call passes the fault point of files.
 */
#include "io/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool reader_fault(void)
{
    if (!clg__fault_hit(CLG__FAULT_FILE)) return false;
    errno = EIO;
    return true;
}

clg_status clg__reader_open(clg__reader *reader, const char *path)
{
    struct stat st;
    *reader = (clg__reader){.fd = -1, .path = path};
    /* O_NONBLOCK: opening a FIFO by mistake must not wait for a writer. */
    reader->fd = reader_fault() ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (reader->fd < 0) return clg__fail(CLG_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    clg_status status = CLG_OK;
    if (reader_fault() || fstat(reader->fd, &st) != 0)
        status = clg__fail(CLG_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        status = clg__fail(CLG_ERROR_IO, "%s is not a regular file", path);
    else
        reader->size = (uint64_t)st.st_size;
    if (status != CLG_OK) clg__reader_close(reader);
    return status;
}

clg_status clg__reader_at(const clg__reader *reader, uint64_t offset, void *data, size_t size)
{
    char *to = data;
    while (size) {
        ssize_t got = reader_fault() ? -1 : pread(reader->fd, to, size, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return clg__fail(CLG_ERROR_IO, "cannot read %s: %s", reader->path, strerror(errno));
        if (got == 0)
            return clg__fail(CLG_ERROR_FORMAT, "%s ends at byte %llu, %zu bytes too early",
                             reader->path, (unsigned long long)offset, size);
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return CLG_OK;
}

void clg__reader_close(clg__reader *reader)
{
    if (reader->fd >= 0) close(reader->fd);
    reader->fd = -1;
}
