/*
 * Programs: a graph compiled for one device and a set of outputs. Running one only enqueues.
 *
 * Nothing here locks. A context is used by one thread at a time together with all graphs whose
 * variables live on it and all its programs: they share its queue, its kernels and its accounting.
 * Threads with contexts and graphs of their own do not disturb each other.
 */
#ifndef CLGRAD_PROGRAM_H
#define CLGRAD_PROGRAM_H

#include "clgrad/device.h"
#include "clgrad/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clg_program clg_program;

typedef enum clg_program_mode {
    CLG_INFERENCE,         /* dropout off, running statistics */
    CLG_TRAINING,          /* and the graph's updates are run, the step number advances */
    CLG_TRAINING_FORWARD,  /* training behaviour, but no updates */
    CLG_ACCUMULATION,      /* training behaviour; gradients are added up instead of used */
    CLG_UPDATE,            /* the optimizer's step with them, and nothing else; the step advances */
    CLG_INFERENCE_AVERAGED /* CLG_INFERENCE with the moving averages of the parameters; refused
                              where the graph has none (ema_decay of clg_minimize) */
} clg_program_mode;

typedef struct clg_program_params {
    clg_tensor *const *outputs; /* values to read after a run; assignments to carry out */
    size_t n_outputs;
    clg_program_mode mode;
    int64_t batch; /* largest batch this program will see; 0: the graph's */
    /**
     * Bytes that activations, gradients and scratch (clg_program_stats.arena_bytes) may take; 0: as
     * many as they do. Where they would take more, values are let go and steps are run again for
     * them, which costs time and changes no bit of the results. If that is not enough compiling
     * fails with CLG_ERROR_MEMORY and the message says what would be.
     */
    uint64_t memory_budget;
} clg_program_params;
#define clg_program_options(...) CLG_OPTIONS(clg_program_params, __VA_ARGS__)

/**
 * Compiles. The graph must outlive the program; the context is kept alive by it.
 * Variables get their device memory with the first program of their graph. Fails with the graph's
 * own error if a builder failed before.
 */
CLG_API clg_status clg_program_compile(clg_program **out, clg_context *ctx, clg_graph *graph,
                                       const clg_program_params *params);
/** Waits until everything enqueued on the context's queue is done. NULL is fine. */
CLG_API void clg_program_destroy(clg_program *program);

/**
 * Rebinds to another batch size, 1 .. params.batch, without compiling anything. Inputs whose size
 * changes with it must be fed again; what was fed to the others stays. If it fails in the middle
 * (out of memory) runs are refused until a batch size was set, which may be the one before.
 */
CLG_API clg_status clg_program_set_batch(clg_program *program, int64_t batch);

/**
 * Copies `size` bytes (exactly the input's at the current batch) to the device; `data` may be
 * reused at once. An input that the outputs do not depend on is accepted and ignored. Variables are
 * not fed but written (clg_variable_write).
 */
CLG_API clg_status clg_program_feed(clg_program *program, clg_tensor *input, const void *data,
                                    size_t size);
/** Enqueues one run; returns before it is done. Every input must have been fed once. */
CLG_API clg_status clg_program_run(clg_program *program);
/**
 * Waits, and copies the value of an output, `size` bytes exactly: f32 elements, those of
 * clg_tensor_dtype for an input or a part of one. There must have been a run at the current batch
 * size; inputs can be read once they are fed, variables at any time.
 */
CLG_API clg_status clg_program_read(clg_program *program, const clg_tensor *output, void *data,
                                    size_t size);
/**
 * The cl_mem that holds an output (or an input) and the byte offset in it; borrowed. The handle
 * holds as long as the program, that of a variable as long as its graph; the offset until
 * clg_program_set_batch. An output's value is there after a run, until the next one.
 */
CLG_API clg_status clg_program_cl_mem(clg_program *program, const clg_tensor *t,
                                      void **cl_mem_handle, size_t *offset);

typedef struct clg_program_stats {
    size_t nodes;          /* after pruning and simplification */
    size_t launches;       /* kernels per run, without those that only a first run needs */
    uint64_t arena_bytes;  /* activations, gradients, scratch: one plan */
    uint64_t values_bytes; /* what the same values would take without sharing */
    double flops;          /* per run, as counted by the operations */
    size_t repeated_steps; /* that run again for the memory budget */
} clg_program_stats;
CLG_API void clg_program_query(const clg_program *program, clg_program_stats *out);

/* ---- looking inside ---- */

/** The compiled steps as text, one per line. Free with clg_free. NULL when out of memory. */
CLG_API char *clg_program_text(const clg_program *program);
/**
 * The graph below `outputs` (all nodes if n is 0): as text, and for Graphviz. Free with clg_free.
 * NULL when out of memory.
 */
CLG_API char *clg_graph_text(const clg_graph *graph, clg_tensor *const *outputs, size_t n);
CLG_API char *clg_graph_dot(const clg_graph *graph, clg_tensor *const *outputs, size_t n);

typedef struct clg_profile_row {
    char name[96];  /* operations in the kernel: "conv2d+bias+relu" style */
    double seconds; /* of the last profiled run */
    double flops, bytes;
} clg_profile_row;
/**
 * Runs once with every launch timed apart (the context needs .profiling). *out is one block, freed
 * with clg_free; rows in order of execution.
 */
CLG_API clg_status clg_program_profile(clg_program *program, clg_profile_row **out, size_t *count);

/* Where a NaN or Inf came up first. */
typedef struct clg_nonfinite {
    const clg_tensor *tensor; /* NULL: all values are finite */
    int64_t index;            /* of its first such element */
    float value;
    uint64_t step;  /* number of the training step, from 1 */
    char text[192]; /* for people: "conv1.weight (variable), (3, 3, 1, 8)", "log of x, fc.weight,
                       ..." */
} clg_nonfinite;
/**
 * Repeats the program's last run without its updates and names the first tensor, in order of
 * computation, that holds a NaN or Inf: an input, a variable, or the result of an operation, also
 * of one inside a fused kernel. Inputs are those that were fed last. Variables are as they are now:
 * if a step has already spread the NaN over the parameters, these are what is found (a `guard` of
 * clg_minimize keeps them). Compiles programs that are large and slow, within the program's memory
 * budget where they can be; costs nothing before.
 */
CLG_API clg_status clg_program_find_nonfinite(clg_program *program, clg_nonfinite *out);

#ifdef __cplusplus
}
#endif
#endif
