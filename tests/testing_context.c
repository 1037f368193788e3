/*
 * The context that the tests of a process share: see testing_context.h.
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
    if (!shared) {
        TEST_OK(clg_context_create(&shared, NULL));
        testing_shared_objects = shared_objects;
        testing_release_shared = release_shared;
    }
    return clg__context_retain(shared);
}
