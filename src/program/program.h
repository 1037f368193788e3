/*
 * A compiled program: the planned graph, its launches with their kernels, and its memory.
 */
#ifndef CLG_PROGRAM_INTERNAL_H
#define CLG_PROGRAM_INTERNAL_H

#include "kernels/kernels.h"
#include "memory/buffer.h"
#include "program/codegen.h"
#include "program/strands.h"

/* One cluster in execution order, and what it launches. */
typedef struct clg__step {
    int cluster;
    clg__hash128 key; /* of the generated kernels' text */
    char name[2][32]; /* of the generated kernels */
    bool two_stages;  /* a reduction with partial results */
    int64_t strands;  /* that share its launches; 0: none (strands.h) */
    clg__lowering lowering;
    int first_kernel;  /* index of its first launch's kernel */
    int first_scratch; /* index of its first scratch area */
} clg__step;

/* A fed value: its device buffer, and two host copies so that the caller's data is free at once. */
typedef struct clg__feed {
    const clg_tensor *input;
    clg__buffer *buffer;
    void *staging[2];
    cl_event done[2]; /* of the transfer from staging[i], NULL if none is under way */
    int next;
    bool fed;
} clg__feed;

/* A value in another arrangement, made by a launch and kept (clg__lower_prepared). */
typedef struct clg__prepared {
    int value;       /* root of what it is made from */
    int64_t offset;  /* of the value in that */
    int step;        /* that makes it */
    char layout[64]; /* how; with value and offset the key */
    size_t bytes;
    clg__buffer *buffer;
    bool made;
    uint64_t version; /* of the variable's storage when it was made */
} clg__prepared;

struct clg_program {
    clg_context *ctx;
    clg_graph *graph;
    clg__ir ir;
    int64_t max_batch, batch;
    uint64_t memory_budget; /* as it was compiled with; 0: none */
    bool bound;             /* launches and arguments are those of `batch` */
    bool has_run;           /* at `batch`: outputs have values */
    size_t work_group;      /* work-items that its kernels were lowered for at most */
    size_t allowed;         /* by the kernel that allows the least, if that is fewer; 0 otherwise */
    clg__step *steps;
    int n_steps;
    cl_kernel *kernels; /* one per launch, so that arguments are bound once; NULL for host calls */
    clg__kernel_place *places; /* where they were built */
    int n_kernels;
    int *step_of_launch; /* the number of each kernel's step; only where there are strands */
    clg__strands *strands;
    int n_strands;
    clg__buffer **chunks;
    int n_chunks;
    clg__scratch_plan *scratch;
    size_t n_scratch;
    clg__prepared *prepared;
    size_t n_prepared, prepared_capacity;
    clg__feed *feeds;
    int n_feeds;
    bool has_constants, constants_fresh, constants_known; /* constant.c; known: their version */
    uint64_t constants_version;
    const clg_program *replayed; /* the program whose last run this one repeats; NULL: none */
    uint64_t last_step; /* what the last run gave to kernels as the step; 0: there was none */
};

/** Whether kernels shall be apart from entries (cl/entry.h) on the device: entry.c. */
bool clg__entry_apart(const clg_context *ctx);
/** Whether a kernel is in the text as an entry. */
bool clg__entry_in(const char *text, const char *kernel);
/** Makes entries functions: in front of all text that has any. */
void clg__entry_define(clg__str *out, const clg_context *ctx);
enum { CLG__KERNEL_NAME = 128 };
/** What a kernel is called in the text of that number of a module; 0: as it is. Returns `text`. */
const char *clg__kernel_name(char text[CLG__KERNEL_NAME], const char *kernel, int number);
/** Writes the launch's kernel, which calls <name>_entry. `slots`: shared by the epilogues. */
void clg__entry_kernel(clg__str *out, const clg__launch *launch, int number,
                       const clg__slots *slots);

/** The step that a launch belongs to, and the launch, by its number: where p->step_of_launch is. */
static inline const clg__step *clg__step_of(const clg_program *p, int launch)
{
    return &p->steps[p->step_of_launch[launch]];
}
static inline const clg__launch *clg__launch_at(const clg_program *p, int launch)
{
    const clg__step *step = clg__step_of(p, launch);
    return &step->lowering.launches[launch - step->first_kernel];
}

/* The upper bits of a kernel's step number are those of the micro-batch. */
#define CLG__STEP_MASK 0xFFFFFFFFFFFFull

/** clg_program_compile; with `replayed` no updates are carried out and no steps are counted. */
clg_status clg__program_create(clg_program **out, clg_context *ctx, clg_graph *graph,
                               const clg_program_params *params, const clg_program *replayed);

/** Gives the graph's variables device memory and their first values, on this context. */
clg_status clg__variables_realize(clg_context *ctx, clg_graph *graph);

/** The steps in the order that the IR has, their launches, and where everything is in memory. */
clg_status clg__program_plan(clg_program *p);
/** Repeats steps until the plan takes at most `budget` bytes (budget.c). */
clg_status clg__program_fit(clg_program *p, uint64_t budget);
/** Records the launches of all steps for a batch size (bind.c). */
clg_status clg__program_lower(clg_program *p, int64_t batch);
/** Builds the kernels that the recorded launches name (build.c). */
clg_status clg__program_build(clg_program *p);
/** Whether a kernel can run in its launch's groups; where not, p->allowed says what it allows. */
clg_status clg__program_check_group(clg_program *p, cl_kernel kernel, const clg__launch *launch);
/** Sets all kernel arguments. */
clg_status clg__program_bind(clg_program *p);

/** Where a value is: cl_mem and offset in elements. */
clg__address clg__program_address(const clg_program *p, int value);

/** Where a buffer argument of a step's launch is: a value or a scratch area. */
clg__address clg__program_argument(const clg_program *p, const clg__step *step,
                                   const clg__arg *arg);

/* ---- prepared inputs (prepare.c) ---- */

/** Fills what a lowering knows of them: kept, prepare. */
void clg__prepared_offer(clg_program *p, const clg__cluster *c, clg__lowering *lo, int step);
/** Their buffers, once all steps are recorded. */
clg_status clg__prepared_create(clg_program *p);
clg__address clg__prepared_address(const clg_program *p, clg__buffer_id id);
/** True if its launch can be left out of this run. */
bool clg__prepared_fresh(const clg_program *p, clg__buffer_id id);
/** True if later runs of the program leave its launch out, as long as nobody changes the variable.
 */
bool clg__prepared_lasts(const clg_program *p, clg__buffer_id id);
/** Its launch was enqueued. */
void clg__prepared_made(clg_program *p, clg__buffer_id id);
void clg__prepared_free(clg_program *p);

/* ---- constants (constant.c) ---- */

/** Before a run: whether its constant steps can be left out (p->constants_fresh). */
void clg__constants_check(clg_program *p);
/** Whether later runs leave them out, as long as no variable changes. */
bool clg__constants_last(const clg_program *p);
/** The run was enqueued. */
void clg__constants_made(clg_program *p);

/** "conv2d+add+relu": the operations of a step. */
void clg__step_text(const clg_program *p, const clg__step *step, clg__str *out);

#endif
