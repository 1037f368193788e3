/*
 * Contexts for tests that compute. All are on the same cl_context: that is where a driver keeps its
 * compiler, and starting it anew (PoCL reads its built-in functions then) takes half a second,
 * longer than most tests need for all else.
 */
#ifndef CLGRAD_TESTING_CONTEXT_H
#define CLGRAD_TESTING_CONTEXT_H

#include "clgrad/device.h"
#include "testing.h"

/** A new context on the default device; the caller destroys it. */
clg_context *testing_context(void);

/**
 * One context for all tests of the process that ask for it, and with it the kernels that they
 * compile: four of ten were compiled for an earlier test. Each test destroys what it got, as if it
 * were its own; that nothing of a test is left is seen by counting objects, of which the context
 * has one for each module.
 */
clg_context *testing_shared_context(void);

#endif
