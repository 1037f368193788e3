/*
 * Contexts for tests that compute. Each test gets one of its own, but all on the same cl_context:
 * that is where a driver keeps its compiler, and starting it anew (PoCL reads its built-in
 * functions then) takes half a second, longer than most tests need for all else.
 */
#ifndef CLGRAD_TESTING_CONTEXT_H
#define CLGRAD_TESTING_CONTEXT_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "clgrad/device.h"
#include "testing.h"

/** On the default device; the caller destroys it. */
static inline clg_context *testing_context(void)
{
    static cl_context shared; /* kept to the end of the process */
    clg_context *ctx = NULL;
    if (!shared) {
        TEST_OK(clg_context_create(&ctx, NULL));
        shared = (cl_context)clg_context_cl(ctx);
        ck_assert_int_eq(clRetainContext(shared), CL_SUCCESS);
        return ctx;
    }
    cl_device_id device;
    ck_assert_int_eq(clGetContextInfo(shared, CL_CONTEXT_DEVICES, sizeof device, &device, NULL),
                     CL_SUCCESS);
    TEST_OK(clg_context_from_cl(&ctx, shared, device, NULL, NULL));
    return ctx;
}

#endif
