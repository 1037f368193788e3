/*
 * Lowering: how an operation becomes kernel launches.
 *
 * A heavy operation's row points to one or more algorithms; the chosen one's `lower` records
 * launches into a clg__lowering. Nothing touches OpenCL here: arguments name values by id, and the
 * program layer builds all kernels in parallel, plans memory, and binds once. `lower` runs again
 * when the batch size changes: it must depend on nothing but the lowering's fields, and must ask
 * for the same kernels (sizes that follow the batch are kernel arguments, never defines).
 *
 * The result of the operation is never written directly: kernels hand vectors of 1, 4, 8 or 16
 * adjacent output elements of one row to the generated epilogue,
 *
 *     ENTRY void k(WHERE_PARAMS __global const float *x, ulong x_offset ... EPILOGUE_PARAMS)
 *     ... STORE_16(acc, row, col);   STORE_1(value, row, col);
 *
 * with the output seen as a row-major matrix (rows, columns = the last dimension; a scalar output
 * is 1 x 1). The epilogue applies the fused pointwise chain (bias, activation, residual add,
 * gradient mask) and stores one or several results. Without fusion it just stores. `row` and `col`
 * are ulong expressions. STORE_AHEAD(row, col) asks for the memory of what will be stored there
 * (kernels of the CPU engine). A kernel file gives defaults under #ifndef EPILOGUE_PARAMS so that
 * it compiles alone: #define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
 *     #define STORE_1(v, row, col) y[y_offset + (row) * y_columns + (col)] = (v)
 *     #define STORE_4(v, row, col) vstore4((v), 0, y + y_offset + (row) * y_columns + (col))   etc.
 */
#ifndef CLG_LOWER_INTERNAL_H
#define CLG_LOWER_INTERNAL_H

#include "device/context.h"
#include "device/devices.h"
#include "tensor/graph.h"

enum {
    CLG__MAX_ARGS = 128,
    CLG__FEW_ROWS = 4 /* of a product, which is bound by memory then: FEW_ROWS of cl/tile_cpu.h */
};

/*
 * Buffers are named by id while lowering: >= 0 a planned value, < 0 a scratch area of this step:
 * -1 is lowering->scratch[0], -2 scratch[1] and so on. From CLG__PREPARED on, what
 * clg__lower_prepared gave.
 */
typedef int clg__buffer_id;
enum { CLG__PREPARED = 1 << 30 };

typedef struct clg__arg {
    enum { CLG__ARG_BUFFER, CLG__ARG_BYTES, CLG__ARG_LOCAL, CLG__ARG_STEP } kind;
    clg__buffer_id
        buffer;     /* CLG__ARG_BUFFER: sets two arguments, cl_mem and ulong element offset */
    int64_t offset; /* CLG__ARG_BUFFER: elements beyond the value's own offset */
    uint64_t bytes; /* CLG__ARG_BYTES: the value; CLG__ARG_LOCAL: the size */
    size_t size;    /* CLG__ARG_BYTES: 4 or 8 */
    bool is_float;  /* CLG__ARG_BYTES of 4 */
    bool is_pair;   /* CLG__ARG_BYTES of 8: an int2 */
    /* CLG__ARG_BUFFER, where clg__launch_touches told: elements [offset + i unit, + span) belong to
     * index i of the axis that strands share; unit 0: all strands read them. */
    bool touches, writes;
    int64_t unit, span;
} clg__arg;

struct clg__lowering;

/* What happens to the results of a kernel that hands them to STORE_n. */
typedef enum clg__epilogue_kind {
    CLG__EPILOGUE_NONE,  /* it stores them itself */
    CLG__EPILOGUE_FUSED, /* what fusion put behind the operation, and stores */
    CLG__EPILOGUE_PLAIN  /* stored as they are, rows of a matrix: partial results */
} clg__epilogue_kind;

/* A device address as a host call sees it (CLBlast). Offsets in elements. */
typedef struct clg__address {
    cl_mem mem;
    size_t offset;
} clg__address;

/* Work that is not one of our kernels: runs on the context's queue when the program runs. */
typedef clg_status (*clg__host_call)(clg_context *ctx, const clg__address *buffers,
                                     const int64_t *numbers);

typedef struct clg__launch {
    struct clg__lowering *lowering; /* to fail it while recording; nothing else uses it */
    const char *file;               /* stem in cl/; NULL for host calls */
    const char *kernel;             /* function in that file */
    char *defines; /* "-D"-less lines "#define TILE 4\n" put in front of the source; owned */
    clg__arg args[CLG__MAX_ARGS];
    int n_args;
    cl_uint dims;
    size_t global[3], local[3]; /* local[0] = 0: the driver chooses */
    bool any_local;             /* local is a wish: a kernel that allows less may have less */
    clg__epilogue_kind epilogue;
    int own_args;     /* arguments in front of the epilogue's, when there is one */
    int step_args[2]; /* the kernel's arguments that are CLG__ARG_STEP, known when bound */
    int n_step_args;
    clg__host_call call;     /* host calls: function, its buffers are args (CLG__ARG_BUFFER) ... */
    int64_t numbers[16];     /* ... and its numbers */
    int64_t strand_extent;   /* extent of the axis that strands may share; 0: they cannot */
    int64_t strand_groups;   /* lowering->strands: work-groups of each, the first strand's first */
    clg__buffer_id prepares; /* what it makes of an input, to be kept; 0: nothing */
    double flops, bytes;     /* work done, for profiles; 0 if unknown */
} clg__launch;

typedef struct clg__scratch {
    int64_t size; /* bytes */
} clg__scratch;

typedef struct clg__lowering {
    clg_context *ctx;
    const clg_tensor *node;              /* op row, attributes */
    clg_shape in_shape[CLG__MAX_INPUTS]; /* at the batch size being bound */
    clg_shape out_shape;
    clg__buffer_id in[CLG__MAX_INPUTS];
    /* The plain output, row-major from its offset: for algorithms with fuses_epilogue = false,
     * which write it themselves. Others leave it alone: their results go through STORE_n. */
    clg__buffer_id out;
    /* Inputs whose memory already is their part of the output (op->places): nothing to copy. */
    bool placed[CLG__MAX_INPUTS];
    /* Inputs that are read in the same way again, by other steps or by later runs: worth a
     * clg__lower_prepared. Does not depend on the batch. */
    bool kept[CLG__MAX_INPUTS];
    clg__buffer_id (*prepare)(struct clg__lowering *lo, int input, const char *layout,
                              int64_t bytes, bool *make); /* the program's part of that */
    void *program;
    int step;
    int64_t strands; /* that the launches will be shared among; 0: none (clg__launch_strands) */
    clg__launch *launches; /* results */
    size_t n_launches, capacity;
    clg__scratch scratch[8];
    int n_scratch;
    clg_status status; /* sticky */
} clg__lowering;

/** Starts a launch of `kernel` of cl/<file>.cl; `defines_format` gives lines "#define A 1\n..." */
clg__launch *clg__lower_kernel(clg__lowering *lo, const char *file, const char *kernel,
                               const char *defines_format, ...) CLG_PRINTF(4, 5);
/** Starts a host call; then add its buffers and fill launch->numbers. */
clg__launch *clg__lower_call(clg__lowering *lo, clg__host_call call);

/* Arguments in the kernel's order. All accept launch == NULL (after a failure). */
void clg__launch_buffer(clg__launch *launch,
                        clg__buffer_id buffer); /* two: pointer, ulong offset */
/** The same, `offset` elements further on. */
void clg__launch_buffer_at(clg__launch *launch, clg__buffer_id buffer, int64_t offset);
void clg__launch_int(clg__launch *launch, int64_t value);  /* int; must fit in 31 bits */
void clg__launch_long(clg__launch *launch, int64_t value); /* long / ulong */
void clg__launch_float(clg__launch *launch, double value);
void clg__launch_local(clg__launch *launch, size_t bytes);
/** int2: (vertical, horizontal), each of 31 bits. */
void clg__launch_pair(clg__launch *launch, int64_t vertical, int64_t horizontal);
/** ulong: number of the training step, set anew before each run. */
void clg__launch_step(clg__launch *launch);
/** The generated epilogue's arguments come here: call it last. */
void clg__launch_epilogue(clg__launch *launch);
/** The same, but results go as they are into a buffer of rows of so many columns. */
void clg__launch_plain(clg__launch *launch, clg__buffer_id to, int64_t columns);
/** 1 to 3 dimensions; local all 0: the driver chooses. global is rounded up to local. */
void clg__launch_range(clg__launch *launch, int dims, const size_t *global, const size_t *local);
/**
 * 1 to 3 dimensions of work-items that do not meet, and whose kernel checks its ranges itself.
 * Local sizes are of few forms: some drivers compile a kernel anew for each, and left to choose,
 * they divide odd sizes badly.
 */
void clg__launch_spread(clg__launch *launch, int dims, const size_t *global);
void clg__launch_work(clg__launch *launch, double flops, double bytes);

/**
 * Strands (program/strands.h) each take a range of the indices of one axis of the result through
 * many launches. Says that this launch can be shared so: extent of the axis, and, when recorded for
 * lo->strands, how many work-groups each strand has: those of its clg__strand_length indices.
 * Everything that the launch touches has to be told behind each clg__launch_buffer.
 */
void clg__launch_strands(clg__launch *launch, int64_t extent, int64_t groups);
/** Of the buffer argument recorded last: elements of one index are [unit i, unit i + span). */
void clg__launch_touches(clg__launch *launch, int64_t unit, int64_t span, bool writes);
/** Indices of each strand but the last ones. */
static inline int64_t clg__strand_length(int64_t extent, int64_t strands)
{
    return clg__ceil_div(extent, strands);
}
/** Whether so few indices are left to each strand that they share each launch's work-groups
 * instead, and go in step: recorded as for no strands, but for that many compute units. Not where
 * the CPU engine was asked for on other devices: compute units have to see each other's results. */
static inline bool clg__strands_in_step(const clg_context *ctx, int64_t extent, int64_t strands)
{
    return clg__strand_length(extent, strands) <= CLG__FEW_ROWS &&
           clg__platform_engine(&ctx->info) == CLG_ENGINE_CPU;
}

/** A temporary area that lives during this step only. Size must not grow when the batch shrinks. */
clg__buffer_id clg__lower_scratch(clg__lowering *lo, int64_t bytes);

/**
 * A copy of an input in another arrangement, weights packed for a kernel for example, that the
 * program keeps. Steps which name the same `layout` of the same value share it. If *make comes out
 * true, this step makes it: it records a launch that writes it and marks that with
 * clg__launch_prepares; the launch is left out of runs before which the input did not change.
 * Neither `layout` nor `bytes` may follow the batch.
 */
clg__buffer_id clg__lower_prepared(clg__lowering *lo, int input, const char *layout, int64_t bytes,
                                   bool *make);
void clg__launch_prepares(clg__launch *launch, clg__buffer_id buffer);

/** Fails the lowering with a message. */
void clg__lower_fail(clg__lowering *lo, clg_status status, const char *format, ...)
    CLG_PRINTF(3, 4);

/** Frees what recording allocated; the struct itself is the caller's and can be used again. */
void clg__lowering_free(clg__lowering *lo);

#endif
