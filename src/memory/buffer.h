/*
 * Device buffers, accounted against the device's limits before the driver is asked: drivers accept
 * more than there is, and the process dies later.
 */
#ifndef CLG_BUFFER_INTERNAL_H
#define CLG_BUFFER_INTERNAL_H

#include "device/context.h"

typedef struct clg__buffer {
    clg_context *ctx;
    cl_mem mem;
    size_t size; /* bytes, > 0 */
    bool keeps_context;
} clg__buffer;

/**
 * Allocates a device buffer of `size` bytes (0 is rounded up to one aligned block). `what` names it
 * in the error ("activations and gradients"). Refuses with CLG_ERROR_MEMORY, naming sizes, when the
 * context's limit or the single-buffer limit would be passed.
 */
clg_status clg__buffer_create(clg__buffer **out, clg_context *ctx, size_t size, const char *what);
void clg__buffer_destroy(clg__buffer *buffer);
/** For buffers that a release hook of the context destroys: they no longer keep it alive. */
void clg__buffer_give_to_context(clg__buffer *buffer);
/** Blocking transfers. */
clg_status clg__buffer_write(clg__buffer *b, size_t offset, const void *data, size_t size);
clg_status clg__buffer_read(clg__buffer *b, size_t offset, void *data, size_t size);
clg_status clg__buffer_fill_zero(clg__buffer *b, size_t offset, size_t size);

/** "1.5 GiB", "640 bytes" for messages. */
const char *clg__bytes_text(char *text, size_t size, uint64_t bytes);
#define CLG__BYTES_TEXT(bytes) clg__bytes_text((char[32]){0}, 32, bytes)

#endif
