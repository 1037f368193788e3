/*
 * Evaluating a graph on host arrays, for tests that compare operations with references in double:
 *
 *     array x = array_random(7, 1);  x.tensor = clg_input(...);
 *     array y = {.tensor = clg_relu(x.tensor)};
 *     evaluate(ctx, g, 0, (array *[]){&x}, 1, (array *[]){&y}, 1);
 *     assert_close("relu", &y, expected, 1e-6);
 */
#ifndef CLG_TESTS_EVALUATE_H
#define CLG_TESTS_EVALUATE_H

#include <math.h>

#include "base/random.h"
#include "clgrad/clgrad.h"
#include "testing_context.h"

/* A tensor of the graph and its elements on the host. */
typedef struct array {
    clg_tensor *tensor;
    float *data; /* free() it */
    int64_t count;
} array;

/** Uniform numbers in (-1, 1). */
static inline array array_random(int64_t count, uint64_t seed)
{
    array a = {.data = malloc((size_t)count * sizeof(float)), .count = count};
    uint32_t words[4];
    for (int64_t i = 0; i < count; i++) {
        if (i % 4 == 0) clg__philox(seed, (uint64_t)i / 4, 0, words);
        a.data[i] = 2 * clg__uniform(words[i % 4]) - 1;
    }
    return a;
}

/** A context on the default device with the kernels of one engine: "cpu", "gpu". */
static inline clg_context *engine_context(const char *engine)
{
    clg_context *ctx = NULL;
    setenv("CLGRAD_ENGINE", engine, 1);
    ctx = testing_context();
    unsetenv("CLGRAD_ENGINE");
    return ctx;
}

/** Feeds `in`, runs once at `batch` (0: the graph's), and reads `out` into new memory. */
static inline void evaluate_program(clg_program *p, array *const *in, int n_in, array *const *out,
                                    int n_out)
{
    for (int i = 0; i < n_in; i++)
        TEST_OK(
            clg_program_feed(p, in[i]->tensor, in[i]->data, (size_t)in[i]->count * sizeof(float)));
    TEST_OK(clg_program_run(p));
    for (int i = 0; i < n_out; i++) {
        if (!out[i]->data) {
            out[i]->count = clg_shape_count(clg_tensor_shape(out[i]->tensor));
            out[i]->data = malloc((size_t)out[i]->count * sizeof(float));
        }
        TEST_OK(clg_program_read(p, out[i]->tensor, out[i]->data,
                                 (size_t)out[i]->count * sizeof(float)));
    }
}

/** Compiles for the outputs. */
static inline clg_program *compile_outputs(clg_context *ctx, clg_graph *g, array *const *out,
                                           int n_out)
{
    clg_tensor *outputs[16];
    clg_program *p = NULL;
    for (int i = 0; i < n_out; i++) outputs[i] = out[i]->tensor;
    TEST_OK(clg_program_compile(
        &p, ctx, g, clg_program_options(.outputs = outputs, .n_outputs = (size_t)n_out)));
    return p;
}

/** Compiles, runs once and reads the outputs. */
static inline void evaluate(clg_context *ctx, clg_graph *g, array *const *in, int n_in,
                            array *const *out, int n_out)
{
    clg_program *p = compile_outputs(ctx, g, out, n_out);
    evaluate_program(p, in, n_in, out, n_out);
    clg_program_destroy(p);
}

/** Every element within `tolerance`; NaN only where NaN is expected, infinities equal. */
static inline void assert_close(const char *what, const array *got, const double *expected,
                                double tolerance)
{
    for (int64_t i = 0; i < got->count; i++) {
        double a = got->data[i], b = expected[i];
        bool fits = isnan(b) ? isnan(a) : a == b || fabs(a - b) <= tolerance;
        ck_assert_msg(fits, "%s: element %lld of %lld is %.9g, expected %.9g (+-%g)", what,
                      (long long)i, (long long)got->count, a, b, tolerance);
    }
}

#endif
