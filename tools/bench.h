/*
 * The cases of cltrain bench. A case is one row: what it computes is a builder of outputs, and its
 * operations are counted by formula, so that bench_pytorch.py counts the same.
 */
#ifndef CLTRAIN_BENCH_H
#define CLTRAIN_BENCH_H

#include "clgrad/program.h"

enum { BENCH_OUTPUTS = 4, BENCH_MAX_BATCH = 128 }; /* of training steps */

/* The graph of one case while it is measured. */
struct bench_setup {
    clg_graph *graph;
    clg_tensor *outputs[BENCH_OUTPUTS];
    size_t n_outputs;
    clg_program_mode mode;
    clg_tensor *image, *label; /* inputs to be fed once with random data; may be NULL */
};

struct bench_case {
    const char *name;
    double flops; /* of one run */
    int64_t batch;
    void (*build)(struct bench_setup *setup, const struct bench_case *row);
    int64_t size; /* for the builder: matrix size */
};

extern const struct bench_case bench_cases[];
extern const size_t n_bench_cases;

#endif
