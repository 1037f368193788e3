/*
 * The contexts of tests that compute: see testing_context.h.
 */
#include "testing_context.h"

#include "device/context.h"

static clg_context *shared;

static int64_t shared_objects(void)
{
    ck_assert_msg(shared->references == 1, "%d programs or graphs hold the context still",
                  shared->references - 1);
    return 1 + (int64_t)(shared->builds_compiled + shared->builds_loaded);
}

static void release_shared(void)
{
    clg_context_destroy(shared);
}

clg_context *testing_context(void)
{
    static cl_context cl; /* kept to the end of the process */
    clg_context *ctx = NULL;
    if (!cl) {
        TEST_OK(clg_context_create(&ctx, NULL));
        cl = (cl_context)clg_context_cl(ctx);
        ck_assert_int_eq(clRetainContext(cl), CL_SUCCESS);
        return ctx;
    }
    cl_device_id device;
    ck_assert_int_eq(clGetContextInfo(cl, CL_CONTEXT_DEVICES, sizeof device, &device, NULL),
                     CL_SUCCESS);
    TEST_OK(clg_context_from_cl(&ctx, cl, device, NULL, NULL));
    return ctx;
}

clg_context *testing_shared_context(void)
{
    if (!shared) {
        shared = testing_context();
        testing_shared_objects = shared_objects;
        testing_release_shared = release_shared;
    }
    return clg__context_retain(shared);
}
