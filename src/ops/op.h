/*
 * The op row: everything the library knows about one operation, and what builders use to record
 * nodes. Graph passes read rows and never ask which operation they look at: a new behaviour is a
 * new field here, not a case there.
 */
#ifndef CLG_OP_INTERNAL_H
#define CLG_OP_INTERNAL_H

#include "clgrad/ops.h"
#include "ops/attributes.h"
#include "ops/composition.h"
#include "ops/lower.h"
#include "ops/phases.h"
#include "tensor/graph.h"

/* How the compiler treats an operation. */
typedef enum clg__op_class {
    CLG__SOURCE,    /* no inputs: in a buffer (inputs, variables), or made by its reader (`load`) */
    CLG__POINTWISE, /* an expression per element: fused */
    CLG__VIEW,   /* other indices into its input's memory: becomes a strided read of the consumer */
    CLG__ALIAS,  /* same memory, other shape (reshape) */
    CLG__REDUCE, /* sum or max over adjacent axes: fused with its neighbours */
    CLG__KERNEL, /* launches of its own, through `algorithms` */
    CLG__ASSIGN, /* the input's value becomes the variable's */
    CLG__MODE    /* replaced by one of its inputs when a program is compiled (`second_phases`) */
} clg__op_class;

/* What may be done with sums of an operation's results. */
typedef enum clg__role { CLG__NO_ROLE, CLG__SUM, CLG__PRODUCT, CLG__NEGATION } clg__role;

/* What simplification knows of a pointwise operation. Bit i stands for input i. */
typedef struct clg__laws {
    clg__role role;
    double neutral;        /* an input that is this number everywhere ... */
    unsigned neutral_bits; /* ... as one of these inputs leaves the other one as it is */
    unsigned zero_bits;    /* one of these inputs being 0 makes the result 0 */
} clg__laws;

/* A pointwise expression, as text for kernels. x, y, z: inputs; a, b: parameters. */
typedef struct clg__pointwise {
    const char *expression;
    int arity, n_parameters;
    double lo, hi; /* interval that tests draw inputs from */
    double sample_a, sample_b;
    const char *parameters;            /* "a = 0.01" */
    bool (*valid)(double a, double b); /* what the parameters must meet; as text: condition */
    const char *condition;
    const char *gradients[3]; /* the rules as written; "NONE" where the gradient is zero */
    double (*reference)(double x, double y, double z, double a, double b);
} clg__pointwise;

/* One way to carry out an operation. */
typedef struct clg__algorithm {
    const char *name;    /* as in CLGRAD_<OP>=name: "clblast" */
    unsigned engines;    /* bit 1 << clg_engine: where it is chosen by default */
    bool fuses_epilogue; /* results go through STORE_n */
    /** NULL: always. Must not depend on extents that follow the batch. */
    bool (*applies)(const clg_context *ctx, const clg_tensor *node);
    /** Whether to choose it where neither the user (CLGRAD_<OP>) nor tuning does. NULL: yes. As
     * `applies`, but knows the largest batch that the program will see. */
    bool (*by_default)(const clg_context *ctx, const clg_tensor *node, int64_t batch);
    /** Whether its results were found right on this device. Only the user chooses one that is not
     * trusted. NULL: yes. */
    bool (*trusted)(const clg_context *ctx);
    clg_status (*lower)(clg__lowering *lo);
} clg__algorithm;

typedef struct clg__op {
    const char *name;
    const char *formula;
    clg__op_class class_;
    size_t attr_size;
    unsigned second_phases; /* CLG__MODE: programs for these phases take the second input */
    /**
     * Builds the gradients of the inputs from the gradient g of `out` (same shape as out): sets
     * dx[i] or leaves it NULL (zero). NULL: asking for a gradient through this op is an error.
     */
    void (*gradient)(clg_tensor *out, clg_tensor *g, clg_tensor **dx);
    /** Sources with one value everywhere: value x (batch / graph batch)^power. */
    void (*uniform)(const clg_tensor *node, double *value, int *power);
    /**
     * Sources that kernels make from an element's index, given by `view`: the macro
     * GENERATE_<load>(index, key, step) in cl/pointwise.cl; key is the first uint64_t of attr.
     */
    const char *load;
    const clg__pointwise *pointwise;  /* CLG__POINTWISE */
    const clg__laws *laws;            /* CLG__POINTWISE */
    const clg__algorithm *algorithms; /* CLG__KERNEL: first that applies; ended by name NULL */
    uint32_t typed_inputs; /* CLG__KERNEL: bit i: it reads input i by its type; others are f32 */
    /**
     * CLG__VIEW: offset and strides (in elements, per output axis) into the input's memory. Sources
     * with `load`: the same for the index (in is NULL).
     */
    void (*view)(const clg_tensor *out, const clg_shape *in, const clg_shape *out_shape,
                 int64_t *offset, int64_t *strides);
    /**
     * CLG__ALIAS: where in the input's memory the result begins, in elements at the graph's batch
     * size; it scales with the batch if the result follows it. NULL: at the beginning.
     */
    int64_t (*alias)(const clg_tensor *out);
    /**
     * True if an input may be written straight into the result's memory, at this element offset,
     * so that nothing has to be copied for it. Offsets are as those of `alias`. NULL: never.
     */
    bool (*places)(const clg_tensor *node, int input, int64_t *offset);
} clg__op;

/* The rows of pointwise.def, in its order (pointwise.c). */
extern const clg__op clg__pointwise_rows[];
extern const size_t clg__pointwise_count;
/** Builds a node of a pointwise row: what tools and tests that walk the table use. */
clg_tensor *clg__pointwise_build(const clg__op *op, clg_tensor *const *inputs, double a, double b);

/* The operations that nodes can have: rows of pointwise.def, then of ops.def. */
size_t clg__op_count(void);

/** Messages' "tanh", "input x": a text that lives until the end of the block. */
#define CLG__NODE_TEXT(t) clg__node_text((char[160]){0}, 160, (t))
const char *clg__node_text(char *text, size_t size, const clg_tensor *t);

/** Whether a node's operation has this role. */
static inline bool clg__has_role(const clg_tensor *t, clg__role role)
{
    return t->op->laws && t->op->laws->role == role;
}

/** True for variables, hidden ones (constants, packs) included. */
bool clg__is_variable_node(const clg_tensor *t);
/** Both are variables and have elements in common: an optimizer's flat one covers many. */
bool clg__variables_overlap(const clg_tensor *x, const clg_tensor *y);

/* ---- attributes of the operations that the core knows ---- */

typedef struct clg__pointwise_attr {
    double a, b;
} clg__pointwise_attr;

/* clg_full, clg_scalar: value (batch / graph batch)^power; the power serves means over the batch.
 */
typedef struct clg__full_attr {
    double value;
    int32_t batch_power;
} clg__full_attr;

typedef enum clg__reduce_kind { CLG__REDUCE_SUM, CLG__REDUCE_MAX } clg__reduce_kind;
typedef struct clg__reduce_attr {
    int32_t kind;
    int32_t first, count; /* adjacent axes first .. first + count - 1, kept with extent 1 */
} clg__reduce_attr;

/* ---- recording ---- */

/**
 * Records a node; attr is op->attr_size bytes (zero the padding). NULL if any input is NULL. What
 * kernels read is converted to f32, but for the row's `typed_inputs`.
 */
clg_tensor *clg__node(clg_graph *g, const clg__op *op, clg_dtype dtype, clg_shape shape,
                      const void *attr, int n_inputs, clg_tensor *const *inputs);

/** A number as a scalar node that fits x's graph. */
clg_tensor *clg__number(const clg_tensor *like, double value);
/** Sums g over the axes that broadcasting x to g's shape repeated; the result has x's shape. */
clg_tensor *clg__sum_to(clg_tensor *g, const clg_shape *shape);
/** Reshape to exactly this shape, batched bits included (internal: gradient rules). */
clg_tensor *clg__reshape_to(clg_tensor *x, const clg_shape *shape);
/** Broadcast shape of two; false (and the graph failed with op's name) if they do not fit. */
bool clg__broadcast_shapes(clg_graph *g, const char *op, const clg_shape *a, const clg_shape *b,
                           clg_shape *out);
#endif
