/*
 * Inside the kernels layer: making cl_programs, and doing several things at a time.
 */
#ifndef CLG_BUILD_INTERNAL_H
#define CLG_BUILD_INTERNAL_H

#include "kernels/kernels.h"

/** Compiles a request's source for the context's device; the caller releases *out. */
clg_status clg__program_compile(cl_program *out, const clg_context *ctx,
                                const clg__module_request *request);

/**
 * Calls work(user, 0 .. count-1) on up to as many threads as there are CPUs, the caller's included;
 * returns when all are done. After a failure no further call starts; the first failure's status and
 * message become the caller's.
 */
clg_status clg__parallel(size_t count, clg_status (*work)(void *user, size_t index), void *user);

#endif
