/*
 * Finding a member of a zip file, as far as npz files need it: stored or deflated, below 4 GiB.
 */
#ifndef CLG_ZIP_INTERNAL_H
#define CLG_ZIP_INTERNAL_H

#include "io/names.h"
#include "io/stream.h"

typedef struct clg__zip_entry {
    char name[128];       /* with its ".npy" */
    clg__packing packing; /* CLG__PLAIN or CLG__DEFLATE */
    uint64_t offset;      /* of its data in the file */
    uint64_t packed_size, size;
    uint32_t crc32;
} clg__zip_entry;

/** Told by the first bytes of a file. */
bool clg__zip_detect(const unsigned char *head, size_t size);
/**
 * Looks up a member by name, with or without ".npy"; NULL is the only one there is. A missing one
 * is CLG_ERROR_FORMAT with the names there are.
 */
clg_status clg__zip_find(const clg__reader *file, const char *member, clg__zip_entry *out);
/** Names of the members, without ".npy". */
clg_status clg__zip_names(const clg__reader *file, clg__names *out);

uint32_t clg__crc32(uint32_t crc, const void *data, size_t size);

#endif
