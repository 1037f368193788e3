/*
 * Arrays in files: idx, npy, and the members of npz. A format reads a header from a stream; what
 * the header claims is proven against the file, and then the array is loaded whole, or - where it
 * lies uncompressed in row-major order - read record by record.
 */
#ifndef CLG_ARRAY_FILE_INTERNAL_H
#define CLG_ARRAY_FILE_INTERNAL_H

#include "clgrad/data.h"
#include "io/stream.h"

/* How a number is stored. */
typedef struct clg__element {
    char kind; /* 'u', 'i' whole, 'f' floating, 'b' truth values */
    unsigned char bytes;
    bool big_endian;
} clg__element;

typedef struct clg__array_header {
    clg__element element;
    clg_shape shape;
    bool fortran; /* first axis runs fastest */
    size_t size;  /* bytes before the data */
} clg__array_header;

typedef struct clg__array_file {
    clg__reader file;
    char *path;       /* of the file */
    char *name;       /* "train.npz: x", for messages */
    clg__stream data; /* at the array's first byte */
    clg__array_header header;
    clg_dtype dtype; /* that the numbers become: U8, I32 or F32 */
    uint64_t count;  /* of numbers */
    uint64_t bytes;  /* of all of them */
    bool checksum;   /* the bytes of the member must have this CRC-32: npz */
    uint32_t crc32;
    uint32_t header_crc32;
} clg__array_file;

/** The type that numbers of this kind are delivered as. */
clg_dtype clg__element_dtype(const clg__element *element);
/**
 * Converts `count` numbers to their dtype. `count` if all fit, else the index of the first that
 * does not (an integer beyond 32 bits).
 */
size_t clg__elements_convert(const clg__element *element, const void *from, size_t count, void *to);

/**
 * Opens path, which must be an idx, an npy or an npz file. `member` is the array's name in an npz
 * file, with or without ".npy"; NULL for the others, and for npz files with one array.
 */
clg_status clg__array_open(clg__array_file **out, const char *path, const char *member);
void clg__array_close(clg__array_file *array);
/** All numbers, row-major, as array->dtype; *out is the caller's. Once per opened file. */
clg_status clg__array_load(clg__array_file *array, void **out);
/** True if clg__array_records can read it. */
bool clg__array_seekable(const clg__array_file *array);
/** Record `index` (all axes but the first), numbers as array->dtype. From any thread. */
clg_status clg__array_record(const clg__array_file *array, int64_t index, void *out);

/* ---- formats ---- */

/* Told by the first bytes of a file. */
bool clg__idx_detect(const unsigned char *head, size_t size);
bool clg__npy_detect(const unsigned char *head, size_t size);
clg_status clg__idx_header(clg__stream *s, clg__array_header *header);
/** Adds the header's bytes to *crc32. */
clg_status clg__npy_header(clg__stream *s, clg__array_header *header, uint32_t *crc32);

#endif
