/*
 * The cases of cltrain bench. A case is one row of a table: what it computes is a builder of
 * outputs, and its work is counted by formula, so that bench_pytorch.py counts the same.
 */
#ifndef CLTRAIN_BENCH_H
#define CLTRAIN_BENCH_H

#include "clgrad/program.h"
#include "network.h"

enum { BENCH_OUTPUTS = 4, BENCH_CASES = 160 };

/* The graph of one case while it is measured. */
struct bench_setup {
    clg_graph *graph;
    clg_tensor *outputs[BENCH_OUTPUTS];
    size_t n_outputs;
    clg_program_mode mode;
    clg_tensor *data, *label; /* inputs to be fed once with random data; may be NULL */
    int64_t classes;          /* labels are 0 .. classes - 1; data of whole numbers, too */
    double flops, bytes;      /* of one run; 0: not what the case is about */
    struct model_file file;   /* of cases that are models */
    struct network network;   /* owns the graph then */
};

/* A convolution of square images and kernels. */
struct bench_conv {
    int64_t side, kernel, in, out, stride, dilation, groups;
};

struct bench_case {
    const char *name;
    /* Fills setup->outputs and what is counted. DONE, or an exit code after a message; errors of
     * the graph are left to it. */
    int (*build)(struct bench_setup *setup, const struct bench_case *row);
    int64_t batch;
    int64_t size; /* for the builder: matrix size, rows of a table, units, a pass */
    const struct bench_conv *conv;
    const char *model;
};

/* All cases, ended by one without a name; made once from the tables of bench_cases.c and
 * bench_models.c. */
const struct bench_case *bench_cases(void);

/* What measuring a case gives. */
struct bench_result {
    double seconds;            /* of a run, the median */
    double compile, first;     /* seconds of compiling, and of the first run */
    uint64_t compiled, loaded; /* kernel programs: by the driver, from the cache */
    uint64_t memory;           /* bytes on the device: variables, arena, inputs, packed weights */
    clg_program_stats stats;
};

/* ---- bench_measure.c: one case on a device ---- */

struct bench_run {
    clg_context *context;
    uint64_t memory_budget; /* of the program, in bytes; 0: none */
    struct bench_setup setup;
    clg_program *program;
};

/** Builds, compiles and feeds; fills what is known before measuring. Always to be closed. */
int bench_open(struct bench_run *run, const struct bench_case *row, struct bench_result *result);
/** Gives a program of this setup one batch. */
clg_status bench_feed(const struct bench_setup *setup, clg_program *program);
/** Runs it for about a second. */
clg_status bench_time(struct bench_run *run, struct bench_result *result);
void bench_close(struct bench_run *run);

/* ---- parts of the table ---- */

/** Put their rows at `table` and return how many; names stay for the life of the program. */
size_t bench_add_kernels(struct bench_case *table);
size_t bench_add_models(struct bench_case *table);

/* ---- bench_profile.c ---- */

/* What the device can do. */
struct bench_limits {
    double gflops, gbytes; /* per second: multiply-adds in f32 (two operations each), copying */
};

/** Share of the limits that a piece of work reaches: the larger one of both, 0 .. 1. */
double bench_share(const struct bench_limits *limits, double flops, double bytes, double seconds);

/** Opens the case in `run`, runs it with every kernel timed apart (the context needs .profiling),
 * prints the kernels by time, and closes it; writes a trace for chrome://tracing to `trace` unless
 * that is NULL. DONE, or an exit code. */
int bench_profile(struct bench_run *run, const struct bench_case *row,
                  const struct bench_limits *limits, const char *trace, bool json);

#endif
