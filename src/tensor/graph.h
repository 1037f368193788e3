/*
 * Internal graph: nodes in order of creation, variables and their storage.
 *
 * Nodes are appended, so that the inputs of a node always have smaller ids: id order is a
 * topological order. A variable is a node plus a range of a storage; clg__graph_pack moves
 * variables into one storage so that an optimizer updates all of them with one kernel.
 */
#ifndef CLG_GRAPH_INTERNAL_H
#define CLG_GRAPH_INTERNAL_H

#include "base/base.h"
#include "clgrad/tensor.h"

enum { CLG__MAX_INPUTS = 16 };

/* What a program is for: which updates it carries out, and which side of a MODE node it takes. */
typedef enum clg__phase {
    CLG__PHASE_INFERENCE = 1,
    CLG__PHASE_FORWARD = 2,      /* of training, without updates */
    CLG__PHASE_TRAINING = 4,     /* a whole step */
    CLG__PHASE_ACCUMULATION = 8, /* gradients are added up */
    CLG__PHASE_UPDATE = 16       /* a step from what was added up */
} clg__phase;

/* An assignment that programs carry out by themselves. */
typedef struct clg__update_node {
    clg_tensor *assignment;
    unsigned phases; /* of the programs: CLG__PHASE_... | ... */
} clg__update_node;

struct clg__op;     /* ops/op.h */
struct clg__buffer; /* memory/buffer.h */

struct clg_tensor {
    clg_graph *graph;
    int id; /* position in graph->nodes */
    const struct clg__op *op;
    int n_inputs;
    clg_tensor *inputs[CLG__MAX_INPUTS];
    clg_dtype dtype;
    clg_shape shape;
    void *attr;              /* op->attr_size bytes, zero-padded; NULL if none */
    char *name;              /* NULL if unnamed */
    const char *composition; /* what of several nodes this is the result of: "softmax"; or NULL */
};

/* Memory of one or several variables, made when the first program is compiled. */
typedef struct clg__storage {
    int64_t count;              /* f32 elements */
    struct clg__buffer *buffer; /* NULL until the graph is bound to a context */
    uint64_t version;           /* rises with every write that the library knows of */
    bool exposed;               /* the caller has its cl_mem, and may write at any time */
} clg__storage;

/* Attribute of "variable" nodes. */
typedef struct clg__variable_attr {
    clg__storage *storage;
    int64_t offset; /* elements */
    clg_init init;
    float *pending; /* values written before there is a buffer; NULL: the initializer decides */
    bool trainable;
    bool packed;               /* shares its storage with others through clg__graph_pack */
    bool hidden;               /* constant data or a pack's alias: not enumerated as a variable */
    const clg_tensor *like;    /* the variable whose first values it starts with; NULL: its own */
    const clg_tensor *average; /* what CLG_INFERENCE_AVERAGED reads instead; NULL: itself */
} clg__variable_attr;

struct clg_graph {
    int64_t batch;
    uint64_t seed, steps;
    bool accumulates;     /* it has an optimizer that can */
    uint64_t accumulated; /* runs of CLG_ACCUMULATION since the last step */
    bool sharing;         /* clg_graph_share_variables */
    clg_status status;    /* of the first failure */
    char message[1024];
    clg_tensor **nodes;
    size_t n_nodes, nodes_capacity;
    clg_tensor **variables; /* hidden ones too */
    size_t n_variables, variables_capacity;
    clg__storage **storages;
    size_t n_storages, storages_capacity;
    clg__update_node *updates;
    size_t n_updates, updates_capacity;
    void **kept; /* clg__graph_alloc */
    size_t n_kept, kept_capacity;
    void (*release_buffer)(struct clg__buffer *); /* set by whoever creates the buffers */
    void *context;                                /* clg_context the variables live on, or NULL */
    void (*release_context)(void *);
};

/** Fails the graph (sticky: the first message stays) and returns NULL. */
clg_tensor *clg__graph_fail(clg_graph *g, clg_status status, const char *format, ...)
    CLG_PRINTF(3, 4);

/** Reports the graph's sticky error as the thread's message again; CLG_OK if there is none. */
clg_status clg__graph_check(const clg_graph *g);

/** Zeroed memory that the graph frees. NULL, and the graph failed, when there is none. */
void *clg__graph_alloc(clg_graph *g, size_t size);

/** Records a copy of the `given` op, dtype, shape and inputs with a copy of `attr`. NULL after a
 * failure; the graph then has it. */
clg_tensor *clg__graph_append(clg_graph *g, const clg_tensor *given, const void *attr,
                              size_t attr_size);

/** Registers a new variable node under a unique name, with storage of its own. */
clg_tensor *clg__graph_add_variable(clg_graph *g, const struct clg__op *op, const char *name,
                                    const clg_shape *shape, clg_init init, bool trainable);

/** Records an unnamed, hidden variable that holds `data` (copied): constants. */
clg_tensor *clg__graph_add_constant(clg_graph *g, const struct clg__op *op, const clg_shape *shape,
                                    const float *data);

/**
 * Moves the variables next to each other, in order, into one storage and returns a flat variable
 * node over all of it. The alias is not enumerated among the graph's variables. Fails once programs
 * exist, and for variables that are packed already.
 */
clg_tensor *clg__graph_pack(clg_graph *g, const char *name, clg_tensor *const *variables, size_t n);

/** Same extents, and the same of them follow the batch. */
static inline bool clg__same_shape(const clg_shape *a, const clg_shape *b)
{
    return clg_shape_equal(a, b) && a->batched == b->batched;
}

/** shape with batched extents scaled from batch size `from` to `to`. */
clg_shape clg__shape_at_batch(const clg_shape *shape, int64_t from, int64_t to);

/** What is wrong with the shape, "has too many elements"; NULL if nothing is. `batch`: the graph's.
 */
const char *clg__shape_fault(const clg_shape *shape, int64_t batch);

#endif
