/*
 * Tensor layer: data types, shapes, and the graph whose nodes are tensors.
 *
 * A tensor is a node: an operation, its inputs, its attributes and the shape of its result.
 * Builders (ops.h) record nodes; nothing runs before a program (program.h) is compiled from the
 * graph. Errors are sticky: after the first failure builders return NULL, and accept NULL, so that
 * a chain needs one check at its end. A graph is used by one thread at a time.
 */
#ifndef CLGRAD_TENSOR_H
#define CLGRAD_TENSOR_H

#include "clgrad/base.h"

#ifdef __cplusplus
#include <initializer_list>
extern "C" {
#endif

/* One row per element type: identifier, bytes, name in files (safetensors), C type. */
#define CLG_DTYPE_ROWS(X)                                                                          \
    X(F32, 4, "F32", float)                                                                        \
    X(I32, 4, "I32", int32_t)                                                                      \
    X(U8, 1, "U8", uint8_t)

typedef enum clg_dtype {
#define CLG_DTYPE_ENUM(name, bytes, text, ctype) CLG_##name,
    CLG_DTYPE_ROWS(CLG_DTYPE_ENUM)
#undef CLG_DTYPE_ENUM
        CLG_DTYPE_COUNT
} clg_dtype;

CLG_API size_t clg_dtype_size(clg_dtype dtype);
CLG_API const char *clg_dtype_name(clg_dtype dtype);

enum { CLG_MAX_DIMS = 6 };

/*
 * Row-major extents. Images are (N, H, W, C), conv weights (KH, KW, IC, OC), activations
 * (rows, features). A scalar has ndim 0.
 */
typedef struct clg_shape {
    int ndim;
    int64_t dim[CLG_MAX_DIMS];
    /* Bit i: dim[i] is a multiple of the batch size and follows it. Set by builders, which
     * refuse shapes that say so of other extents. */
    uint32_t batched;
} clg_shape;

/* As a dimension: "the graph's batch size" in clg_input, "whatever is left" in clg_reshape. */
#define CLG_BATCH ((int64_t)-1)

/** CLG_SHAPE(CLG_BATCH, 28, 28, 1); at most CLG_MAX_DIMS extents. */
#ifdef __cplusplus
#define CLG_SHAPE(...) clg_cxx_shape({__VA_ARGS__})
#else
#define CLG_SHAPE(...)                                                                             \
    clg_shape_of((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                        \
                 (int64_t[]){__VA_ARGS__})
#endif
#define CLG_SCALAR clg_shape_of(0, NULL)
/** Builders refuse shapes of more than CLG_MAX_DIMS axes; here only so many extents are read. */
CLG_API clg_shape clg_shape_of(int ndim, const int64_t *dims);
/** Number of elements (1 for a scalar); 0, and a message, if there are too many axes for a shape.
 */
CLG_API int64_t clg_shape_count(const clg_shape *shape);
/** False also for what is no shape. */
CLG_API bool clg_shape_equal(const clg_shape *a, const clg_shape *b);
/** Writes "(64, 28, 28, 1)" into text; always NUL-terminated. Returns text. */
CLG_API char *clg_shape_text(const clg_shape *shape, char *text, size_t size);

typedef struct clg_graph clg_graph;
typedef struct clg_tensor clg_tensor; /* owned by its graph */

typedef struct clg_graph_params {
    int64_t batch; /* value of CLG_BATCH dimensions; default 1. Programs may use another */
    uint64_t seed; /* of initializers and of random operations; default 0 */
} clg_graph_params;
#define clg_graph_options(...) CLG_OPTIONS(clg_graph_params, __VA_ARGS__)

/** Creates an empty graph; `params` may be NULL. NULL when out of memory. */
CLG_API clg_graph *clg_graph_create(const clg_graph_params *params);
/** Frees the graph, its tensors and the device memory of its variables. Programs of it go first. */
CLG_API void clg_graph_destroy(clg_graph *graph);
/**
 * CLG_OK, or the first failure of a builder on this graph: its message is in clg_last_error again.
 */
CLG_API clg_status clg_graph_status(const clg_graph *graph);

/** Training steps run on this graph so far (what clg_step_number and dropout are keyed by). */
CLG_API uint64_t clg_graph_steps(const clg_graph *graph);
/** Also says that nothing has been accumulated. */
CLG_API void clg_graph_set_steps(clg_graph *graph, uint64_t steps);
/** Runs of CLG_ACCUMULATION programs since the last step: they key dropout too. */
CLG_API uint64_t clg_graph_accumulated(const clg_graph *graph);
CLG_API void clg_graph_set_accumulated(clg_graph *graph, uint64_t runs);

/* ---- leaves ---- */

/**
 * A value that is fed (clg_program_feed) and stays for all runs until it is fed again. `name` is
 * not NULL, and no other input or variable of the graph has it.
 */
CLG_API clg_tensor *clg_input(clg_graph *graph, const char *name, clg_dtype dtype, clg_shape shape);
/** A scalar constant. */
CLG_API clg_tensor *clg_scalar(clg_graph *graph, double value);
/** A tensor filled with one value. */
CLG_API clg_tensor *clg_full(clg_graph *graph, clg_shape shape, double value);
/** A constant with data (copied); f32, row-major. */
CLG_API clg_tensor *clg_constant(clg_graph *graph, clg_shape shape, const float *data);

/*
 * How a variable gets its first values: identifier, name in files. Fan counts of (.., IC, OC)
 * weights include the kernel area; `value` and the like are fields of clg_init.
 *
 *   zeros, ones
 *   constant                 value
 *   normal                   mean 0, standard deviation value
 *   truncated_normal         the same, drawn again outside of +-2 value: deviation 0.88 value
 *   uniform                  -value .. value
 *   fan_in_uniform           +-1 / sqrt(fan_in): PyTorch's default for linear and conv layers
 *   glorot_normal, _uniform  sigma = sqrt(2 / (fan_in + fan_out)), +-sqrt(6 / (fan_in + fan_out))
 *   he_normal, _uniform      sigma = sqrt(2 / fan_in), +-sqrt(6 / fan_in); see slope
 *   lecun_normal, _uniform   sigma = sqrt(1 / fan_in), +-sqrt(3 / fan_in)
 *   orthogonal               as a matrix of OC columns and all other axes as rows: orthonormal
 *                            columns, or rows if there are fewer of them (Saxe et al. 2013). Costs
 *                            2 rows columns min(rows, columns) multiplications on the host.
 */
#define CLG_INIT_ROWS(X)                                                                           \
    X(ZEROS, zeros)                                                                                \
    X(ONES, ones)                                                                                  \
    X(CONSTANT, constant)                                                                          \
    X(NORMAL, normal)                                                                              \
    X(TRUNCATED_NORMAL, truncated_normal)                                                          \
    X(UNIFORM, uniform)                                                                            \
    X(FAN_IN_UNIFORM, fan_in_uniform)                                                              \
    X(GLOROT_NORMAL, glorot_normal)                                                                \
    X(GLOROT_UNIFORM, glorot_uniform)                                                              \
    X(HE_NORMAL, he_normal)                                                                        \
    X(HE_UNIFORM, he_uniform)                                                                      \
    X(LECUN_NORMAL, lecun_normal)                                                                  \
    X(LECUN_UNIFORM, lecun_uniform)                                                                \
    X(ORTHOGONAL, orthogonal)

typedef enum clg_init_kind {
#define CLG_INIT_ENUM(id, name) CLG_INIT_##id,
    CLG_INIT_ROWS(CLG_INIT_ENUM)
#undef CLG_INIT_ENUM
        CLG_INIT_COUNT
} clg_init_kind;

typedef struct clg_init {
    clg_init_kind kind;
    double value;   /* of the kinds that say so; finite, and >= 0 but for constant */
    int64_t fan_in; /* 0: from the shape; set it for biases with CLG_INIT_FAN_IN_UNIFORM, or to the
                       fan-out where that is wanted */
    double gain;    /* factor on all numbers, > 0; 0 = 1. PyTorch's for tanh: 5.0 / 3 */
    double slope;   /* he: of the leaky relu that follows: divides by sqrt(1 + slope^2) */
} clg_init;
#define CLG_INIT(...) CLG_VALUE(clg_init, __VA_ARGS__)

/** "he_normal"; NULL for an unknown kind. */
CLG_API const char *clg_init_name(clg_init_kind kind);
/** The kind with this name; false (and *out untouched) if there is none. */
CLG_API bool clg_init_find(const char *name, clg_init_kind *out);
/** True for kinds whose scale is `value`. */
CLG_API bool clg_init_takes_value(clg_init_kind kind);

/**
 * A value that lives across runs and that programs of this graph share: a trainable parameter
 * (`trainable`), or state such as running statistics and optimizer moments. `name` is unique in the
 * graph ("conv1.weight"). Initial values come from Philox keyed by (seed, name): the same on every
 * device, and independent of the order of creation.
 */
CLG_API clg_tensor *clg_variable(clg_graph *graph, const char *name, clg_shape shape, clg_init init,
                                 bool trainable);
/**
 * While on, clg_variable returns an existing variable of that name - its shape and `trainable` must
 * agree - so that a layer built again shares the first one's weights. Returns what it was before;
 * off at first.
 */
CLG_API bool clg_graph_share_variables(clg_graph *graph, bool on);
/**
 * Copies f32 values into a variable / out of it. `count` must be its number of elements. Before the
 * graph's first program there is no device memory: the values written wait on the host, and what is
 * read are those or the initializer's. Later both wait until all runs enqueued before are done.
 */
CLG_API clg_status clg_variable_write(clg_tensor *variable, const float *data, int64_t count);
CLG_API clg_status clg_variable_read(const clg_tensor *variable, float *data, int64_t count);

/* ---- looking at tensors ---- */

CLG_API const clg_shape *clg_tensor_shape(const clg_tensor *t);
CLG_API clg_dtype clg_tensor_dtype(const clg_tensor *t);
CLG_API const char *clg_tensor_name(const clg_tensor *t); /* "" if unnamed */
/** For people; copied. Out of memory: the graph fails. NULL tensors are ignored. */
CLG_API void clg_tensor_set_name(clg_tensor *t, const char *name);
CLG_API const char *clg_tensor_op(const clg_tensor *t); /* "conv2d" */
CLG_API clg_graph *clg_tensor_graph(const clg_tensor *t);
CLG_API bool clg_tensor_trainable(const clg_tensor *t);
CLG_API bool clg_tensor_is_variable(const clg_tensor *t);
/** The graph's variables in order of creation; `index` from 0, NULL past the end. */
CLG_API clg_tensor *clg_graph_variable(const clg_graph *graph, size_t index);
/**
 * Finds a variable or input by name - or another leaf that clg_tensor_set_name gave one -, the
 * first in order of creation; NULL if there is none.
 */
CLG_API clg_tensor *clg_graph_find(const clg_graph *graph, const char *name);

#ifdef __cplusplus
}

static inline clg_shape clg_cxx_shape(std::initializer_list<int64_t> dims)
{
    return clg_shape_of((int)dims.size(), dims.begin());
}
#endif
#endif
