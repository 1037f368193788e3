/*
 * Checking gradients of a graph against central differences, on a device.
 */
#ifndef CLGRAD_GRADCHECK_H
#define CLGRAD_GRADCHECK_H

#include "clgrad/program.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The point at which to check: data of an input's type and shape (at the graph's batch size). */
typedef struct clg_gradcheck_feed {
    clg_tensor *input;
    const void *data;
} clg_gradcheck_feed;

typedef struct clg_gradcheck_params {
    const clg_gradcheck_feed *feeds; /* every input that y depends on */
    size_t n_feeds;
    /* f32 inputs and variables to differentiate with respect to; NULL: the f32 inputs among the
     * feeds and all trainable variables that y depends on. Variables are at their current values.
     */
    clg_tensor *const *wrt;
    size_t n_wrt;
    double eps;            /* an element x moves by eps max(1, |x|) to both sides; default 5e-3 */
    double tolerance;      /* on the report's error; default 1e-3 */
    int64_t samples;       /* elements of each tensor, evenly spread; default 32 */
    clg_program_mode mode; /* default CLG_INFERENCE; CLG_TRAINING_FORWARD for batch statistics */
} clg_gradcheck_params;
/** clg_gradcheck_options(.feeds = feeds, .n_feeds = 2) */
#define clg_gradcheck_options(...) CLG_OPTIONS(clg_gradcheck_params, __VA_ARGS__)

/* What was found, and the element at which gradient and difference are furthest apart. */
typedef struct clg_gradcheck_report {
    bool passed;       /* error <= tolerance */
    int64_t checked;   /* elements, over all tensors */
    clg_tensor *worst; /* tensor of that element, borrowed from the graph */
    int64_t element;   /* its row-major index */
    double gradient, difference;
    /* |gradient - difference|, less what rounding y to f32 explains, relative to the largest
     * gradient or difference seen in that tensor; infinite where one of them is no number. */
    double error;
} clg_gradcheck_report;

/**
 * Compares the gradient of `y` (of any shape: its elements are weighted with random numbers of
 * -1 .. 1, a single number with 1) with central differences of programs run on `ctx`. A difference
 * is no derivative at a kink (relu at 0) and a poor one within eps of it: choose another point.
 *
 * CLG_OK means that the check was carried out; report->passed is its result. Fails with
 * CLG_ERROR_ARGUMENT for what is not an input or variable, not f32 or not fed, and with whatever
 * compiling and running fail with; *report is untouched then. Variables have their values back in
 * either case. The graph keeps the nodes of the gradient and is bound to ctx (see
 * clg_program_compile); programs, memory and copies are gone when it returns.
 */
CLG_API clg_status clg_gradcheck(clg_context *ctx, clg_tensor *y,
                                 const clg_gradcheck_params *params, clg_gradcheck_report *report);

#ifdef __cplusplus
}
#endif
#endif
