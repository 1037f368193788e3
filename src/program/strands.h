/*
 * Strands: many short launches in one.
 *
 * A recurrent net is launch after launch in which a sample never meets another: the next step
 * needs the last one's results for the same samples only. Between launches all compute units wait
 * for each other all the same, and for the driver, which takes longer than a step of a small net.
 * Where a program has such launches in a row, they are carried out in strands: each compute unit
 * takes its share of the samples (a strand) through all of them. That is one launch, whose kernel
 * calls their kernels as functions, with arguments from a table.
 *
 * That strands do not meet is shown on memory, not on the graph: what any launch of one strand
 * writes, no launch of another touches. So it holds whatever the planner lets share memory.
 *
 * Where strands would have few samples each, a product is bound by reading all of its weights. Then
 * strands go in step: each takes its share of the work-groups of each launch, the same columns of
 * the weights every time, which stay in its compute unit's cache, and waits for the others behind
 * it (cl/in_step.cl). Nothing has to be shown for that, as it is what launches do. They do so, too,
 * where launches that had one extent at the graph's batch size have several at another.
 *
 * Launches for strands are found when a program is built, for the CPU engine; which they are does
 * not change with the batch. Where strands would meet at another batch size, one takes all.
 */
#ifndef CLG_STRANDS_INTERNAL_H
#define CLG_STRANDS_INTERNAL_H

#include "kernels/kernels.h"
#include "memory/buffer.h"

enum { CLG__STRAND_KERNELS = 8, CLG__STRAND_MEMORIES = 8 }; /* at most */

/* Of strands in step: ints from one counter to the next (LINE of cl/in_step.cl), bytes of all. */
enum { CLG__STRAND_LINE = 32 };
static inline size_t clg__strand_counters(size_t strands)
{
    return (2 * strands + 1) * CLG__STRAND_LINE * sizeof(cl_int);
}

/* One of the kernels that strands call. */
typedef struct clg__strand_kernel {
    int launch;   /* the first that runs it, counted from the strands' first */
    int body;     /* number of the kernel whose code it is: those that differ in the epilogue alone
                     share the first one's */
    int epilogue; /* which of the body's */
} clg__strand_kernel;

/* Launches in a row that are carried out in strands. */
typedef struct clg__strands {
    int first, count; /* launches of the program, as its kernels are numbered */
    clg__strand_kernel kernels[CLG__STRAND_KERNELS];
    int n_kernels;
    unsigned char *kernel_of; /* per launch */
    int64_t strands;          /* their number at the bound batch size; 1 if they would meet */
    bool in_step;             /* they share each launch's work-groups and wait for each other */
    clg__hash128 key;
    clg__kernel_place place;
    cl_kernel kernel;
    clg__buffer *table; /* of arguments: a row per launch (strands_run.c) */
    size_t local_bytes;
    cl_mem memories[CLG__STRAND_MEMORIES];
    int n_memories;
} clg__strands;

struct clg_program;

/**
 * Finds the launches that strands can carry out, and records them anew, for that; `keys` (one per
 * launch) tell kernels apart.
 */
clg_status clg__strands_form(struct clg_program *p, const clg__hash128 *keys);
/** Whether no strand of these launches touches what another writes (and they have few memories). */
clg_status clg__strands_apart(const struct clg_program *p, int first, int count, bool *apart);
/** The key of the strands' kernel from those of their launches. */
clg__hash128 clg__strands_key(const clg__strands *s, const clg__hash128 *keys);
/** The kernel that runs strands, behind the functions it calls. */
void clg__strands_code(clg__str *out, const struct clg_program *p, const clg__strands *s,
                       const clg__slots *slots);
/** Fills the tables and sets the arguments, for the batch size that was recorded. */
clg_status clg__strands_bind(struct clg_program *p);
/** The strands that carry out a launch; NULL: it is a launch of its own. */
clg__strands *clg__strands_of(const struct clg_program *p, int launch);
clg_status clg__strands_enqueue(const struct clg_program *p, const clg__strands *s, cl_ulong step,
                                cl_event *event);
/** Sums over their launches. */
void clg__strands_work(const struct clg_program *p, const clg__strands *s, double *flops,
                       double *bytes);
void clg__strands_free(struct clg_program *p);

#endif
