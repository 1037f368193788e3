/*
 * A stream of bytes from a file or a part of one: plain, or compressed by gzip or deflate. It knows
 * how many bytes it can hold at most, so that what a header claims is checked before memory is
 * taken for it.
 */
#ifndef CLG_STREAM_INTERNAL_H
#define CLG_STREAM_INTERNAL_H

#include <zlib.h>

#include "io/reader.h"

typedef enum clg__packing { CLG__PLAIN, CLG__GZIP, CLG__DEFLATE } clg__packing;

typedef struct clg__stream {
    clg__reader file; /* closed with the stream if `owned` */
    bool owned;
    const char *name;     /* for messages; outlives the stream */
    uint64_t offset, end; /* in the file: the next byte, and where the part ends */
    uint64_t size;        /* of the part */
    clg__packing packing;
    bool ended; /* compressed: the last byte was given out */
    z_stream z;
    unsigned char *input; /* compressed: the block being unpacked */
} clg__stream;

/** Opens a whole file; gzip is told by its content. `path` outlives the stream. */
clg_status clg__stream_open(clg__stream *s, const char *path);
/* Bytes of a file. */
typedef struct clg__part {
    uint64_t offset, size;
    clg__packing packing;
} clg__part;
/** Opens a part of a file that outlives the stream. */
clg_status clg__stream_open_part(clg__stream *s, const clg__reader *file, const char *name,
                                 const clg__part *part);
/** Closing twice, or one that could not be opened, is fine. */
void clg__stream_close(clg__stream *s);

/** Reads up to `size` bytes; *got is less only at the end. */
clg_status clg__stream_read(clg__stream *s, void *data, size_t size, size_t *got);
/** Reads exactly `size` bytes; "<name>: the <what> ends after ..." if there are fewer. */
clg_status clg__stream_read_exact(clg__stream *s, void *data, size_t size, const char *what);
/** Reads `size` bytes into *out; for compressed streams the memory grows with what arrives. */
clg_status clg__stream_load(clg__stream *s, size_t size, void **out);
/** Nothing may be left: "holds more than the <expected> bytes of data that its header claims". */
clg_status clg__stream_expect_end(clg__stream *s, size_t expected);
/** The most bytes that it can hold in all; exact for plain streams. */
uint64_t clg__stream_most(const clg__stream *s);

#endif
