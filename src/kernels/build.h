/*
 * Inside the kernels layer: making cl_programs, and doing several things at a time.
 */
#ifndef CLG_BUILD_INTERNAL_H
#define CLG_BUILD_INTERNAL_H

#include "kernels/kernels.h"

/** Compiles a request's source for the context's device; the caller releases *out. */
clg_status clg__program_compile(cl_program *out, const clg_context *ctx,
                                const clg__module_request *request);

/** Makes the request's program from a binary that the same driver once gave. */
clg_status clg__program_load(cl_program *out, const clg_context *ctx,
                             const clg__module_request *request, const void *binary, size_t size);

/** The program's binary for the context's device; clg__free it. */
clg_status clg__program_binary(void **out, size_t *size, const clg_context *ctx,
                               cl_program program);

#endif
