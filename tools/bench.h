/*
 * The cases of cltrain bench. A case is one row: what it computes is a builder of outputs, and its
 * operations are counted by formula, so that bench_pytorch.py counts the same.
 */
#ifndef CLTRAIN_BENCH_H
#define CLTRAIN_BENCH_H

#include "clgrad/program.h"

enum { BENCH_OUTPUTS = 4 };

/* The graph of one case while it is measured. */
struct bench_setup {
    clg_graph *graph;
    clg_tensor *outputs[BENCH_OUTPUTS];
    size_t n_outputs;
    clg_program_mode mode;
    clg_tensor *data, *label; /* inputs to be fed once with random data; may be NULL */
    int64_t classes;          /* labels are 0 .. classes - 1 */
};

struct bench_case {
    const char *name;
    double flops; /* of one run */
    int64_t batch;
    void (*build)(struct bench_setup *setup, const struct bench_case *row);
    int64_t size; /* for the builder: matrix size, rows of a table */
};

extern const struct bench_case bench_cases[];
extern const size_t n_bench_cases;

#endif
