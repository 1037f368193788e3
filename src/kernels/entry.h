/*
 * One entry of the kernel cache on disk: its key, its file, its verification.
 *
 * A driver that is handed a damaged binary kills the process, so nothing leaves this file's reader
 * that was not written for exactly this key and checked by length and XXH128. All functions treat
 * trouble as "not there": the program is compiled instead.
 */
#ifndef CLG_ENTRY_INTERNAL_H
#define CLG_ENTRY_INTERNAL_H

#include "kernels/kernels.h"

/**
 * Appends everything that a binary depends on: format, platform, device, driver, options, source.
 */
void clg__entry_key(clg__str *key, const clg_context *ctx, const clg__module_request *request);

/* What was read: `payload` points into `data` (clg__free it). */
typedef struct clg__entry {
    void *data;
    const unsigned char *payload;
    size_t payload_size;
} clg__entry;

/** Reads and verifies the entry of `key` in a cache directory, and marks it as used just now. */
bool clg__entry_read(clg__entry *out, const char *directory, const clg__str *key);

/** Writes an entry so that readers see all of it or nothing. */
clg_status clg__entry_write(const char *directory, const clg__str *key, const void *payload,
                            size_t payload_size);

/** True for the names of entries; `leftover`: instead for temporary files that a kill left. */
bool clg__entry_is_name(const char *name, bool leftover);

#endif
