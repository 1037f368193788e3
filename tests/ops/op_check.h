/*
 * Checking an operation against a reference in double precision: its value, its tangent (forward
 * mode) and its gradient (against central differences of the reference, contracted with random
 * numbers), and its second derivative, at one or several batch sizes of one compiled program.
 *
 * A case names the inputs, builds the operation and gives the reference; op_check_table does
 * the rest. It also remembers which rows of the table of operations and compositions were part of a
 * checked program, how often they were differentiated there, and by which file, so that
 * op_check_uncovered can tell where the table claims too much.
 */
#ifndef CLG_OP_CHECK_H
#define CLG_OP_CHECK_H

#include "clgrad/clgrad.h"
#include "ops/op.h"
#include "testing.h"

enum { OP_MAX_INPUTS = 4, OP_MAX_BATCHES = 4 };

/* Initializer of a clg_shape; an extent may be CLG_BATCH. */
#define OP_SHAPE(...)                                                                              \
    {                                                                                              \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

typedef struct op_case op_case;
struct op_case {
    const char *name;
    int n_inputs;
    clg_shape shape[OP_MAX_INPUTS];
    clg_tensor *(*build)(const op_case *c, clg_tensor *const *x);
    /** Fills y (of shape `out`) from the inputs; shapes are at the batch size being checked. */
    void (*reference)(const op_case *c, const clg_shape *in, const double *const *x,
                      const clg_shape *out, double *y);
    double lo, hi;                 /* inputs are drawn from this interval; both 0: -2 .. 2 */
    unsigned constants;            /* bit i: no gradient of input i is asked for */
    bool value_only, first_only;   /* stop after the value, after the gradient */
    double tolerance;              /* relative to the largest element; 0: 1e-5 */
    int64_t batch[OP_MAX_BATCHES]; /* sizes to run; the largest is compiled for, the graph has the
                                      first; all 0: 1 */
    int p[8];                      /* whatever build and reference need */
    double a, b;
    const clg__op *op;
};

/**
 * Runs cases, several in one program where their batch sizes are the same: most of the time goes
 * into compiling programs. Fails the test where anything differs.
 */
#define op_check_table(cases, n) op_check_table_of(__FILE__, (cases), (n))
void op_check_table_of(const char *file, const op_case *cases, int n);

/** A context on the default device, CLGRAD_ENGINE deciding the engine. */
clg_context *op_check_context(void);

/** Compiles `n` outputs, in `mode`, and marks their rows as covered; fails the test on failure. */
#define op_check_compile(ctx, g, outputs, n, mode)                                                 \
    op_check_compile_of(__FILE__, (ctx), (g), (outputs), (n), (mode))
clg_program *op_check_compile_of(const char *file, clg_context *ctx, clg_graph *g,
                                 clg_tensor *const *outputs, size_t n, clg_program_mode mode);

/** Marks everything that y depends on as differentiated `times` times by a test of another form. */
#define op_check_differentiated(y, times) op_check_differentiated_of(__FILE__, (y), (times))
void op_check_differentiated_of(const char *file, clg_tensor *y, int times);

/** Feeds an f32 input at the program's batch size. */
void op_check_feed(clg_program *program, clg_tensor *input, const float *data, int64_t count);
/** Reads an output of `count` elements. */
void op_check_read(clg_program *program, const clg_tensor *output, float *data, int64_t count);

/* A graph with one input x, for tests of known answers; x may be left unused. */
typedef struct op_fixture {
    clg_context *ctx;
    clg_graph *g;
    clg_tensor *x;
    clg_program *program;
} op_fixture;
op_fixture op_fixture_start(clg_shape x);
/** Compiles the outputs, feeds `data` (NULL: nothing) to x and runs once. */
#define op_fixture_run(...) op_fixture_run_of(__FILE__, __VA_ARGS__)
void op_fixture_run_of(const char *file, op_fixture *f, clg_tensor *const *outputs, size_t n,
                       clg_program_mode mode, const float *data);
/** Reads an output and compares it as op_check_close does. */
void op_fixture_expect(op_fixture *f, const char *what, const clg_tensor *output,
                       const double *want, double tolerance);
void op_fixture_finish(op_fixture *f);

/** Deterministic numbers in lo .. hi, rounded to f32; equal `stream`s give equal numbers. */
void op_check_random(double *out, int64_t count, double lo, double hi, uint64_t stream);

/** got and want agree within tolerance * max(1, largest |want|); NaN where NaN is wanted. */
void op_check_close(const char *name, const char *what, const float *got, const double *want,
                    int64_t count, double tolerance);

/**
 * Rows that were not part of a checked program of the file that they name, or not differentiated
 * there as often as they say; one per line, "" if there is none.
 */
const char *op_check_uncovered(void);

/** True if `from` is computed from `to`. */
bool op_check_reaches(const clg_tensor *from, const clg_tensor *to);

/* Position arithmetic for references: index <-> coordinates of a row-major shape. */
void op_check_coordinates(const clg_shape *shape, int64_t index, int64_t *at);
int64_t op_check_index(const clg_shape *shape, const int64_t *at);

#endif
