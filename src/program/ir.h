/*
 * What a graph becomes while a program is compiled: values (the graph's nodes after
 * simplification), grouped into clusters (mostly one or two kernels each), with a place in memory
 * for each stored value.
 *
 * Passes, in order: ir.c (prune, simplify) -> fuse.c (clusters, who is stored) -> chain.c (rows) ->
 * place.c (aliases, order) -> rematerialize.c (steps that run again, where memory is limited) ->
 * plan.c (memory). codegen.c turns a cluster into kernel text, bind.c into launches.
 *
 * Nothing here may depend on the batch size: a program is bound again for another batch without
 * compiling anything. Decisions about shapes are therefore taken on shapes at two batch sizes.
 */
#ifndef CLG_IR_INTERNAL_H
#define CLG_IR_INTERNAL_H

#include "clgrad/program.h"
#include "ops/op.h"
#include "program/before.h"

enum {
    CLG__MAX_LOADS = 20,   /* distinct reads of one cluster stage */
    CLG__MAX_NUMBERS = 32, /* numbers that follow the batch, of one cluster stage */
    CLG__MAX_MEMBERS = 64, /* pointwise nodes of one cluster stage */
    CLG__MAX_REDUCES = 8,
    CLG__MAX_STORES = CLG__MAX_MEMBERS + CLG__MAX_REDUCES + 1 /* results of one cluster stage */
};

typedef struct clg__value {
    const clg_tensor *node;
    int n_inputs;
    int inputs[CLG__MAX_INPUTS]; /* ids after simplification */
    int same;                    /* id of the value that stands for this one; its own if it stays */
    bool live;
    bool output;
    bool uniform; /* one number everywhere: number x (batch / graph batch)^power */
    double number;
    int power;
    int cluster; /* that computes it; -1: source, alias, virtual view, uniform */
    bool stored; /* has memory: read by another cluster, a kernel, or the caller */
    /* memory, after place.c */
    int parent;      /* value whose memory this one is part of; -1: memory of its own */
    int64_t offset;  /* elements into the parent, at the graph's batch size */
    bool follows;    /* the offset scales with the batch */
    int chunk;       /* of the arena; -1: not in the arena */
    int64_t address; /* elements into the chunk (roots in the arena) */
} clg__value;

typedef enum clg__cluster_kind {
    CLG__CLUSTER_POINTWISE, /* body[0] over `space` */
    CLG__CLUSTER_REDUCE,    /* body[0] over `space`, reductions, body[1] over `out_space` */
    CLG__CLUSTER_KERNEL     /* anchor's launches, body[1] over `out_space` in the epilogue */
} clg__cluster_kind;

/* Pointwise nodes over one index space; ids ascending, which is a valid order of evaluation. */
typedef struct clg__stage {
    int members[CLG__MAX_MEMBERS];
    int n_members;
} clg__stage;

typedef struct clg__cluster {
    clg__cluster_kind kind;
    bool dead;  /* merged into another */
    int anchor; /* kernel node's id, or -1 */
    int reduces[CLG__MAX_REDUCES];
    int n_reduces;
    int reduce_first, reduce_count; /* axes of `space` */
    clg_shape space, out_space;
    clg__stage body[2];
    const clg__algorithm *algorithm; /* KERNEL */
    bool constant;                   /* the same in every run: see constant.c */
    bool fuses;                      /* KERNEL: results go through the epilogue */
    int order;                       /* number of the step that runs it first, as clg__ir_order
                                        leaves it */
    int head, place, next; /* of its chain: first cluster, its place, the one behind it or -1 */
} clg__cluster;

/** Kernels have no stage in front of them, pointwise clusters none behind. */
static inline bool clg__has_stage(const clg__cluster *c, int stage)
{
    return c->kind != (stage == 0 ? CLG__CLUSTER_KERNEL : CLG__CLUSTER_POINTWISE);
}

typedef struct clg__ir {
    clg_context *ctx;
    const clg_graph *graph;
    clg_program_mode mode;
    int64_t batch;      /* the largest that the program will see */
    clg__value *values; /* one per graph node, same ids */
    int n_values;
    int *users, *first_user; /* live values that read value v: users[first_user[v] ..] */
    clg__cluster *clusters;
    int n_clusters;
    clg__before before; /* which must run before which */
    int *order;         /* clusters in execution order; one may run again (rematerialize.c) */
    int n_order;
    /* assignments: value id that becomes the variable; copied at the end unless placed there */
    struct clg__assignment {
        int node, variable, value;
        bool copied;
    } * assignments;
    int n_assignments;
    /* memory plan */
    int64_t *chunk_sizes; /* elements */
    int n_chunks;
    int64_t unshared; /* elements that the same values would take without sharing */
} clg__ir;

/** Prunes and simplifies what `outputs` (and with `updates` those of the mode) need. */
clg_status clg__ir_build(clg__ir *ir, clg_context *ctx, const clg_graph *graph,
                         const clg_program_params *params, bool updates);
void clg__ir_free(clg__ir *ir);

/** The value that stands for a tensor. */
static inline int clg__ir_same(const clg__ir *ir, int id)
{
    while (ir->values[id].same != id) id = ir->values[id].same;
    return id;
}

/** Groups values into clusters and decides which are stored. */
clg_status clg__ir_fuse(clg__ir *ir);

/** Lets readers compute cheap values again instead of storing them; `needed`: must be stored. */
clg_status clg__ir_recompute(clg__ir *ir, const bool *needed);

/** Joins clusters that work on the same rows into chains (chain.c), when it is known who is stored.
 */
clg_status clg__ir_chain(clg__ir *ir, const bool *needed);

/** A single number that a pointwise kernel over many elements computes for itself (recompute.c). */
bool clg__is_invariant(const clg__ir *ir, const clg__cluster *c, int id);

/** Orders the clusters, and resolves aliases. */
clg_status clg__ir_order(clg__ir *ir);
clg_status clg__ir_alias(clg__ir *ir);

/** Marks the clusters that compute the same in every run, as long as no variable changes, once they
 * are in order. Whether there are any. */
bool clg__ir_find_constants(clg__ir *ir);

/* What running a cluster's step once more takes. */
typedef struct clg__step_work {
    double cost;     /* in the time that a floating-point operation takes */
    int64_t scratch; /* elements */
} clg__step_work;
/**
 * Lets steps run again, so that values need no memory between their uses, until what is alive at
 * any time is at most `budget` elements, or as few as can be: *reached. `work` is per cluster.
 */
clg_status clg__ir_rematerialize(clg__ir *ir, const clg__step_work *work, int64_t budget,
                                 int64_t *reached);

/** Elements that a value takes in the arena at a batch size. */
int64_t clg__ir_elements(const clg__ir *ir, int id, int64_t batch);

/* Scratch areas take part in the plan like values that live for one step. */
typedef struct clg__scratch_plan {
    int step;
    int64_t size;    /* elements of 4 bytes */
    int chunk;       /* out */
    int64_t address; /* out: elements */
} clg__scratch_plan;
clg_status clg__ir_plan(clg__ir *ir, int64_t batch, clg__scratch_plan *scratch, size_t n_scratch);

/** Elements of all chunks. */
uint64_t clg__ir_arena(const clg__ir *ir);

/** Root of a value's memory, and the element offset in it at the graph's batch size. */
int clg__ir_root(const clg__ir *ir, int id, int64_t *offset);
/** That offset at a batch size. */
int64_t clg__ir_offset(const clg__ir *ir, int id, int64_t batch);

/** A view that nobody needs in memory: its readers use the input's memory with other strides. */
bool clg__ir_virtual_view(const clg__ir *ir, int id);

/* ---- index spaces: how one stage of a cluster walks over its shape ---- */

/* One distinct read of a stage. */
typedef struct clg__load {
    int value;                    /* whose memory is read, or a generated source */
    int view;                     /* the VIEW value it is read through, or -1 */
    int64_t stride[CLG_MAX_DIMS]; /* per collapsed axis, in elements */
    int64_t offset;               /* of the view, in elements */
    uint32_t moves;               /* collapsed axes along which it is not repeated */
    bool unit;                    /* stride 1 along the innermost axis */
} clg__load;

typedef struct clg__space {
    int n_axes; /* after collapsing: axes that every load walks as one are one */
    int64_t extent[CLG_MAX_DIMS];
    uint32_t axes[CLG_MAX_DIMS]; /* axes of the shape that one collapsed axis stands for */
    clg__load loads[CLG__MAX_LOADS];
    int n_loads;
    int numbers[CLG__MAX_NUMBERS]; /* uniform values that follow the batch: arguments */
    int n_numbers;
} clg__space;

/**
 * Collects the loads and numbers of a stage and collapses the axes of its shape. False if the stage
 * cannot be one kernel: too many of them, or an epilogue that needs more than rows and columns.
 */
bool clg__space_make(clg__space *space, const clg__ir *ir, const clg__cluster *cluster, int stage);
/** Fills extents, strides and offsets for a batch size; the structure stays. */
void clg__space_bind(clg__space *space, const clg__ir *ir, const clg__cluster *cluster, int stage,
                     int64_t batch);

/** Extent of the outermost axis, the outer part of the first collapsed one: what strands share. */
int64_t clg__space_samples(const clg__space *space, const clg__ir *ir, const clg__cluster *cluster,
                           int stage, int64_t batch);

/** Index of the load that gives `value` to a stage; -1: computed inside, or uniform. */
int clg__space_find(const clg__space *space, const clg__ir *ir, int value);

/** What the same kernel goes on with; NULL at the end of a chain. */
static inline const clg__cluster *clg__next_in_chain(const clg__ir *ir, const clg__cluster *c)
{
    return c->next < 0 ? NULL : &ir->clusters[c->next];
}

/* A value in memory that a cluster reads (its root is for the callee to find). */
typedef struct clg__read {
    int cluster, value;
    const clg__space *space; /* of the stage that stores the results, element by element behind its
                                loads; NULL for reads at other times */
    int load;                /* of the space */
} clg__read;
/** Calls visit for all that the chain of `head` reads. */
typedef void (*clg__visit_read)(const clg__ir *ir, const clg__read *read, void *user);
void clg__ir_visit_reads(const clg__ir *ir, int head, clg__visit_read visit, void *user);

/** True if `value` is a result that this stage computes or (stage 1) is given. */
bool clg__stage_has(const clg__cluster *cluster, int stage, int value);
/** It is this stage that computes the value for others; a clone (recompute.c) is for the stage
 * alone. */
bool clg__stage_owns(const clg__ir *ir, const clg__cluster *cluster, int stage, int value);

#endif
