/*
 * The CPU engine: lowering functions of matmul and of the three passes of conv2d, all on the
 * register tile of cl/tile_cpu.h. They fit clg__algorithm.lower; results go through the epilogue.
 */
#ifndef CLG_ALGORITHMS_CPU_INTERNAL_H
#define CLG_ALGORITHMS_CPU_INTERNAL_H

#include "ops/attributes.h"
#include "ops/lower.h"

/** C[b] (M, N) = op(A[b]) op(B[b]); inputs A, B; struct clg__matmul_attr. */
clg_status clg__matmul_cpu(clg__lowering *lo);

/* All with struct clg__conv2d_attr. */
clg_status clg__conv2d_cpu_forward(clg__lowering *lo);          /* x, w -> y */
clg_status clg__conv2d_cpu_backward_data(clg__lowering *lo);    /* dy, w -> dx */
clg_status clg__conv2d_cpu_backward_weights(clg__lowering *lo); /* x, dy -> dw */

/** Whether the forward pass has so few pixels that the time is the memory of its weights. */
bool clg__conv2d_cpu_few_pixels(const clg_tensor *node, int64_t batch);

/* ---- conv2d where every group has one channel in and out ---- */

/** `a`, `b`: the shapes of x and y in either order. */
bool clg__depthwise_applies(const struct clg__conv2d_attr *attr, const clg_shape *a,
                            const clg_shape *b);
/** Forward (x, w -> y), or backward to the data (dy, w -> dx). */
clg_status clg__depthwise_cpu_data(clg__lowering *lo, bool backward);
clg_status clg__depthwise_cpu_weights(clg__lowering *lo); /* x, dy -> dw */

/* ---- conv2d by algorithms that do not always apply ---- */

/* What clg__algorithm asks of one, for a pass: clg__lanes_forward_applies and so on. */
#define CLG__CONV2D_PASS(algorithm, pass)                                                          \
    bool clg__##algorithm##_##pass##_applies(const clg_context *ctx, const clg_tensor *node);      \
    bool clg__##algorithm##_##pass##_by_default(const clg_context *ctx, const clg_tensor *node,    \
                                                int64_t batch);                                    \
    clg_status clg__##algorithm##_cpu_##pass(clg__lowering *lo)
#define CLG__CONV2D_ALGORITHM(algorithm)                                                           \
    CLG__CONV2D_PASS(algorithm, forward);         /* x, w -> y */                                  \
    CLG__CONV2D_PASS(algorithm, backward_data);   /* dy, w -> dx */                                \
    CLG__CONV2D_PASS(algorithm, backward_weights) /* x, dy -> dw */

/** Many groups with few channels, vectors across groups: by default where groups fill vectors
 * better than the channels of one do. */
CLG__CONV2D_ALGORITHM(lanes);

/** No dilation and one group: by default where it is estimated to be clearly faster than the direct
 * algorithm. */
CLG__CONV2D_ALGORITHM(winograd);

/*
 * A pass multiplies values of its two inputs: how many there are along an axis, and of products
 * whose transform gives the result; and the cycles that transforms of a vector were measured to
 * take. The first input has a value for each multiplication; others may serve several.
 */
typedef struct clg__winograd_pass {
    int values, weights, products;
    struct {
        double first, second, products;
    } cycles;
} clg__winograd_pass;

/*
 * A size of kernels and a stride along an axis, and a tile's outputs, forward. With stride 1 also
 * for strides s and kernels that are as large in squares of s x s pixels; see cl/winograd_cpu.h.
 */
typedef struct clg__winograd {
    int kernel, stride, outputs;
    clg__winograd_pass forward, data, weights; /* none for the weights: values 0 */
} clg__winograd;

/** NULL: not for this kernel, stride, dilation or number of groups. */
const clg__winograd *clg__winograd_find(const struct clg__conv2d_attr *attr);
/** Pixels along the side of a square. */
int64_t clg__winograd_fold(const clg__winograd *size, const struct clg__conv2d_attr *attr);

/* ---- shared by the algorithms of this engine ---- */

/* The register tile that suits a device, and what a work-group may keep in local memory. */
typedef struct clg__tile {
    int width;             /* floats per vector */
    int rows;              /* of a tile */
    int flat_rows;         /* of a tile that reads B where it is: FLAT_ROWS of cl/tile_cpu.h */
    int vectors;           /* per row of a tile */
    int panel;             /* width * vectors: columns of a tile */
    int64_t local_floats;  /* local memory that blocks may take */
    int64_t compute_units; /* work-groups that run at once */
} clg__tile;

/* What of it is tuned for a family of kernels. */
typedef struct clg__tile_knobs {
    int tile, blocks; /* clg__tunable_id: rows x vectors, eighths of local memory for blocks */
    int64_t eighths;  /* where nothing was chosen */
    int rows;         /* the same, of a tile with vectors of 16 */
} clg__tile_knobs;

/** Floats per vector. */
int clg__tile_width(const clg_context *ctx);
/**
 * The tile for a node's kernel. `columns`: of the result, if that is worth another compiled kernel
 * where a panel of two vectors would be half empty; else 0.
 */
clg__tile clg__tile_choose(const clg_context *ctx, const clg__tile_knobs *knobs,
                           const clg_tensor *node, int64_t columns);

#define CLG__TILE_DEFINES                                                                          \
    "#define TILE_ROWS %d\n#define VECTORS %d\n#define WIDTH %d\n#define FEW_ROWS %d\n"
#define CLG__TILE_VALUES(tile) (tile)->rows, (tile)->vectors, (tile)->width, CLG__FEW_ROWS

/** Floats of local memory that blocks may take, for so many eighths of it. */
int64_t clg__tile_local_floats(const clg_context *ctx, int64_t eighths);

/** Launch of `kernel` in cl/<file>.cl with the tile's knobs as defines. */
clg__launch *clg__tile_kernel(clg__lowering *lo, const char *file, const char *kernel,
                              const clg__tile *tile);

/** The same for Winograd's convolution. `backward`: to the data. */
clg__launch *clg__winograd_kernel(clg__lowering *lo, const char *file, const char *kernel,
                                  bool backward, const clg__tile *tile);

/** Line length, at least `floats`, at which equal positions of successive lines spread over a
 * cache. */
int64_t clg__tile_line(int64_t floats);

/**
 * Factor on a tile's time, 1 or more, when the parts of A and B that successive tiles read again
 * take `bytes`: beyond about half of a first-level cache they come from the second (measured:
 * another 5 % for each doubling).
 */
double clg__tile_stream(double bytes);

/* What one number of a choice of blocks may be. */
typedef struct clg__candidates {
    const int64_t *values;
    size_t count;
} clg__candidates;
#define CLG__CANDIDATES(array)                                                                     \
    {                                                                                              \
        array, CLG__COUNT(array)                                                                   \
    }
enum { CLG__MOST_CANDIDATES = 5 }; /* lists */

/** Estimated cost of a choice, a value of each list; INFINITY: it is not possible. */
typedef double (*clg__choice_cost)(const void *problem, const int64_t *choice);

/** Leaves the cheapest choice of `lists` in `best`; if none is possible, the first value of each.
 */
void clg__choose(const clg__candidates *lists, size_t n, clg__choice_cost cost, const void *problem,
                 int64_t *best);

/** One work-item per work-group, `groups` of them. */
void clg__launch_groups(clg__launch *launch, int64_t groups);

/**
 * Work-groups that share `lines` lines of `floats` floats; the kernel's last two arguments say how.
 */
void clg__launch_lines(clg__launch *launch, const clg__lowering *lo, int64_t lines, int64_t floats);

/** Scratch for the partial results of a reduction in at most `most` parts: (parts * rows, columns).
 */
clg__buffer_id clg__lower_partial(clg__lowering *lo, int64_t most, int64_t rows, int64_t columns);
/** Adds the partial results and hands them to the epilogue. */
void clg__lower_sum_splits(clg__lowering *lo, clg__buffer_id parts, int64_t splits, int64_t rows,
                           int64_t columns);
/**
 * Where a kernel's results (rows, columns) go that it hands to STORE_n: to the epilogue, or with
 * `most` > 1 to scratch for so many parts, of which `splits` are there and are added. Call it last.
 */
void clg__launch_parts(clg__launch *launch, int64_t most, int64_t splits, int64_t rows,
                       int64_t columns);

#endif
