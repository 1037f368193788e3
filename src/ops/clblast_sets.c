/*
 * CLBlast's parameters, when tuning chose others than its own for a device.
 *
 * CLBlast keeps them for the whole process, by device, and has no call that takes them back: what
 * was set stays until another set comes. Its results do not depend on them, and its temporary
 * memory is reserved for the largest (matmul_clblast.c).
 */
#include <clblast_c.h>

#include "ops/clblast.h"
#include "ops/tuning.h"

enum { MOST_PARAMETERS = 16, MOST_DEVICES = 16 };

typedef struct parameter_set {
    const char *name;
    size_t values[MOST_PARAMETERS];
} parameter_set;

/* One of CLBlast's kernels; sets end with one that has no name. */
typedef struct blas_kernel {
    clg__tunable_id id;
    const char *name;
    size_t count;
    const char *parameters[MOST_PARAMETERS];
    const parameter_set *sets;
} blas_kernel;

#define XGEMM_ROW(name, mwg, nwg, kwg, mdimc, ndimc, mdima, ndimb, vwm, vwn, sa, sb)               \
    {name, {0, 1, kwg, 2, mdima, mdimc, mwg, ndimb, ndimc, nwg, sa, sb, 0, 0, vwm, vwn}},
static const parameter_set xgemm_sets[] = {CLG__XGEMM_ROWS(XGEMM_ROW){NULL, {0}}};

#define DIRECT_ROW(name, wgd, mdim, kwid, vw)                                                      \
    {name, {kwid, mdim, mdim, mdim, mdim, 1, 1, vw, vw, wgd}},
static const parameter_set direct_sets[] = {CLG__XGEMM_DIRECT_ROWS(DIRECT_ROW){NULL, {0}}};

static const blas_kernel kernels[] = {
    {CLG__TUNE_CLBLAST_XGEMM,
     "Xgemm",
     16,
     {"GEMMK", "KREG", "KWG", "KWI", "MDIMA", "MDIMC", "MWG", "NDIMB", "NDIMC", "NWG", "SA", "SB",
      "STRM", "STRN", "VWM", "VWN"},
     xgemm_sets},
    {CLG__TUNE_CLBLAST_DIRECT,
     "XgemmDirect",
     10,
     {"KWID", "MDIMAD", "MDIMCD", "NDIMBD", "NDIMCD", "PADA", "PADB", "VWMD", "VWND", "WGD"},
     direct_sets},
};
enum { KERNELS = CLG__COUNT(kernels) };

/* What CLBlast has for a device; under its lock. */
typedef struct device_state {
    cl_device_id device;
    const parameter_set *sets[KERNELS]; /* NULL: its own */
    unsigned changes;
} device_state;
static device_state states[MOST_DEVICES];

static device_state *state_of(cl_device_id device)
{
    for (size_t i = 0; i < MOST_DEVICES; i++) {
        if (!states[i].device) states[i].device = device;
        if (states[i].device == device) return &states[i];
    }
    return NULL;
}

static const parameter_set *chosen_set(const clg_context *ctx, const blas_kernel *kernel)
{
    const char *name = clg__tuned(ctx, kernel->id, NULL);
    const parameter_set *set = kernel->sets;
    while (name && set->name && strcmp(set->name, name) != 0) set++;
    return name && set->name ? set : NULL;
}

clg_status clg__blas_status(int code, const char *call)
{
    if (code > -1000) return clg__cl_status(code, call);
    return clg__fail(CLG_ERROR_OPENCL, "%s failed with CLBlast status %d", call, code);
}

unsigned clg__clblast_apply_sets(const clg_context *ctx)
{
    device_state *state = state_of(ctx->device);
    if (!state) return 0;
    for (size_t i = 0; i < KERNELS; i++) {
        const blas_kernel *kernel = &kernels[i];
        const parameter_set *set = chosen_set(ctx, kernel);
        if (!set || state->sets[i] == set) continue;
        clg_status status =
            CLG__BLAS(CLBlastOverrideParameters, ctx->device, kernel->name, CLBlastPrecisionSingle,
                      kernel->count, (const char **)kernel->parameters, set->values);
        state->sets[i] = set;
        state->changes++;
        if (status != CLG_OK)
            clg__log(CLG_LOG_WARNING, "CLBlast keeps its own parameters for %s instead of %s: %s",
                     kernel->name, set->name, clg_last_error());
    }
    return state->changes;
}
