/*
 * What the files that call CLBlast share: the status of a call, and sets of its parameters.
 *
 * A set has a name and is a value of the tunables matmul.xgemm (CLBlast's kernel for large
 * matrices) and matmul.xgemm_direct (for small ones): rows x columns of a work-group; "cached" ones
 * read the matrices without local memory. Devices with work-groups of 256 take all of them; what
 * does not fit one is refused when CLBlast compiles it, and so never chosen.
 */
#ifndef CLG_CLBLAST_INTERNAL_H
#define CLG_CLBLAST_INTERNAL_H

#include "device/context.h"

/* Name; MWG, NWG, KWG; MDIMC, NDIMC, MDIMA, NDIMB; VWM, VWN; SA, SB. The others are constant. */
#define CLG__XGEMM_ROWS(X)                                                                         \
    X("32x32", 32, 32, 16, 8, 8, 8, 8, 2, 2, 1, 1)                                                 \
    X("64x64", 64, 64, 16, 8, 8, 8, 8, 4, 4, 1, 1)                                                 \
    X("64x64-cached", 64, 64, 16, 8, 8, 8, 8, 4, 4, 0, 0)                                          \
    X("128x64", 128, 64, 16, 16, 8, 16, 8, 4, 4, 1, 1)                                             \
    X("128x128", 128, 128, 16, 16, 16, 16, 16, 4, 4, 1, 1)                                         \
    X("128x128-cached", 128, 128, 16, 16, 16, 16, 16, 4, 4, 0, 0)

/* Name; WGD; MDIMCD = NDIMCD = MDIMAD = NDIMBD; KWID; VWMD = VWND. */
#define CLG__XGEMM_DIRECT_ROWS(X)                                                                  \
    X("8x8", 8, 8, 2, 1)                                                                           \
    X("16x16", 16, 8, 2, 2)                                                                        \
    X("32x32", 32, 8, 2, 2)

#define CLG__SET_NAME(name, ...) name,
#define CLG__XGEMM_SETS CLG__XGEMM_ROWS(CLG__SET_NAME)
#define CLG__XGEMM_DIRECT_SETS CLG__XGEMM_DIRECT_ROWS(CLG__SET_NAME)

/* Rows and columns of matrices are rounded up to multiples that divide this, whatever the set. */
enum { CLG__XGEMM_MULTIPLE = 128 };

/**
 * Gives CLBlast the sets that were chosen for the context's device, unless it has them. Returns a
 * number that is another one whenever something changed for this device: what CLBlast computes has
 * to be tested again then. Sets that CLBlast refuses are a warning. The caller holds CLBlast's
 * lock.
 */
unsigned clg__clblast_apply_sets(const clg_context *ctx);

/** CLBlast passes OpenCL's codes on; its own start at -1024. */
clg_status clg__blas_status(int code, const char *call);
/** Calls CLBlast through the fault point for OpenCL. */
#define CLG__BLAS(name, ...)                                                                       \
    clg__blas_status(                                                                              \
        clg__fault_hit(CLG__FAULT_OPENCL) ? clg__fault_code() : (int)name(__VA_ARGS__), #name)

#endif
