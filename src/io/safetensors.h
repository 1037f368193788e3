/*
 * What reading and writing safetensors files share: the element types of the format, and the
 * checksums that clgrad keeps in the metadata.
 *
 *     data_xxh128    XXH3-128 of all data bytes, as xxhsum -H2 prints it
 *     header_xxh128  XXH3-128 of what the header says: names, types, shapes, metadata
 *
 * Other programs ignore both.
 */
#ifndef CLG_SAFETENSORS_INTERNAL_H
#define CLG_SAFETENSORS_INTERNAL_H

#include "base/base.h"
#include "clgrad/data.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors data is little-endian: swapping for this machine is not written"
#endif

#define CLG__DATA_HASH_KEY "data_xxh128"
#define CLG__HEADER_HASH_KEY "header_xxh128"
#define CLG__METADATA_KEY "__metadata__"

enum { CLG__HASH_TEXT = 33 }; /* 32 hex digits and a NUL */

/** Writes a hash in its canonical form: high half first. */
char *clg__hash_text(clg__hash128 hash, char text[CLG__HASH_TEXT]);

/* Collecting what header_xxh128 covers: first the arrays in file order, then the metadata. */
void clg__digest_array(clg__str *digest, const clg_array *array, const char *dtype);
/** Leaves out header_xxh128 itself. */
void clg__digest_metadata(clg__str *digest, const clg_metadata *entry);

#endif
