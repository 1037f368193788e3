/*
 * The context of tests that compute: one for all tests of a process, and with it the kernels that
 * they compile. Most of the time of these tests goes into compiling, and four of ten kernels were
 * compiled for an earlier test already.
 *
 * Each test holds a reference, as programs do, and destroys it; that nothing else is left of a
 * test is seen by counting objects, of which the context has one for each module. What is about
 * contexts, modules or caches themselves creates its own with clg_context_create.
 */
#ifndef CLGRAD_TESTING_CONTEXT_H
#define CLGRAD_TESTING_CONTEXT_H

#include "clgrad/device.h"
#include "testing.h"

/** On the default device; the caller destroys it. */
clg_context *testing_context(void);

#endif
