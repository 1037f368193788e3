/*
 * From a cluster to OpenCL C, and the arguments in the order of the generated parameters.
 */
#ifndef CLG_CODEGEN_INTERNAL_H
#define CLG_CODEGEN_INTERNAL_H

#include "kernels/kernels.h"
#include "program/ir.h"

/* Which kernels a reduction needs: one that also finishes, or partial results and a second kernel.
 */
typedef struct clg__reduce_plan {
    bool two_stages;
    int64_t parts, row_parts, col_parts; /* parts = row_parts x col_parts, work-items along R */
    int64_t row_chunk, col_chunk;
    int64_t outer, rows, cols; /* rows, cols: of the reduced part (row form) ... */
    int64_t inner_rows, inner; /* ... or rows reduced, inner_rows x cols = inner (column form) */
    bool column_form;
    int64_t strips;                   /* CPU engine, column form: work-items beside each other */
    int64_t lanes_x, lanes_y, groups; /* GPU engine: work-items of a share, work-groups */
} clg__reduce_plan;

enum { CLG__REDUCE_WIDTH = 4 }; /* vectors of the GPU engine's reductions */

/** Sizes of the work-items' shares at a batch size; two_stages must be that of the graph's batch.
 */
void clg__reduce_plan_make(clg__reduce_plan *plan, const clg__ir *ir, const clg__cluster *c,
                           const clg__space *space);
/** Whether to reduce in two stages: decided at the graph's batch so that it never changes. */
bool clg__reduce_needs_parts(const clg__ir *ir, const clg__cluster *c);
/** Whether a work-item of the CPU engine reduces whole rows: such clusters can be in a chain. */
bool clg__reduce_is_whole_rows(const clg__ir *ir, const clg__cluster *c);
/** Most columns of a work-item of the CPU engine's reductions where columns stay. */
int clg__reduce_strip(const clg__cluster *c);
/** Work-items of a group of the GPU engine's reductions: a power of two. */
int clg__reduce_group(const clg_context *ctx);
/** The first arguments of a reduction's kernel, or its second stage's, and the work size. */
void clg__reduce_launch(clg__launch *launch, const clg__reduce_plan *plan);
void clg__reduce_launch_final(clg__launch *launch, const clg__reduce_plan *plan);

/** Vector width of generated kernels on an engine. */
int clg__vector_width(const clg_context *ctx);

/** Writes the kernel(s) of a POINTWISE or REDUCE cluster, as entries where work-items do not meet;
 * names are <name> and <name>_final. */
void clg__codegen_kernels(clg__str *out, const clg__ir *ir, const clg__cluster *c, const char *name,
                          bool two_stages);

enum { CLG__STORE_WIDTHS = 4 }; /* STORE_1, _4, _8 and _16 */

/* What a hand-written kernel does with its results (epilogue.c). */
typedef struct clg__epilogue {
    clg__str parameters;              /* its parameters, taken from shared arguments */
    clg__str body[CLG__STORE_WIDTHS]; /* statements that store the vector ANCHOR */
    clg__str ahead;                   /* statements that ask for the memory of its results */
    clg__slots slots;                 /* shared arguments in use */
} clg__epilogue;

/** The epilogue of a KERNEL cluster; without one, plain stores into a matrix. */
void clg__epilogue_make(clg__epilogue *out, const clg__ir *ir, const clg__cluster *c);
void clg__epilogue_free(clg__epilogue *e);
/** Of everything that the epilogue's text is made of; e->parameters.failed: meaningless. */
clg__hash128 clg__epilogue_hash(const clg__epilogue *e);
/** Writes EPILOGUE_PARAMS, STORE_n and STORE_AHEAD for kernels that choose one of `count` epilogues
 * by number. */
void clg__epilogue_define(clg__str *out, const clg__epilogue *epilogues, int count,
                          const clg__slots *slots);
/** Takes those macros away again. */
void clg__epilogue_undefine(clg__str *out);

/** Adds the arguments of a stage: extents, loads, uniform numbers, results. */
void clg__bind_stage(clg__launch *launch, const clg__ir *ir, const clg__cluster *c, int stage,
                     const clg__space *space, int64_t batch);

/** True if the stage reads the number of the training step (its last argument then). */
bool clg__stage_uses_step(const clg__ir *ir, const clg__cluster *c, int stage);

#endif
