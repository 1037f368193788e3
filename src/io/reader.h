/*
 * Positioned reading of a regular file whose size is known first, so that what a header claims can
 * be proven against the file before memory is taken for it.
 */
#ifndef CLG_READER_INTERNAL_H
#define CLG_READER_INTERNAL_H

#include "base/base.h"

typedef struct clg__reader {
    int fd;           /* -1: closed */
    uint64_t size;    /* bytes, when it was opened */
    const char *path; /* the caller's text */
} clg__reader;

/** Opens a file; anything but a regular file is CLG_ERROR_IO. `path` must outlive the reader. */
clg_status clg__reader_open(clg__reader *reader, const char *path);
/** Reads exactly `size` bytes at `offset`; a file that has become shorter is CLG_ERROR_FORMAT. */
clg_status clg__reader_at(const clg__reader *reader, uint64_t offset, void *data, size_t size);
void clg__reader_close(clg__reader *reader);

#endif
