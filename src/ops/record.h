/*
 * What builders of operations share: checking inputs and shapes, recording nodes, small constants.
 */
#ifndef CLG_RECORD_INTERNAL_H
#define CLG_RECORD_INTERNAL_H

#include "ops/op.h"

/** Failing with shapes: SHAPE_TEXT(&t->shape) is a text that lives until the end of the block. */
#define CLG__SHAPE_TEXT(shape) clg_shape_text((shape), (char[128]){0}, 128)

/* The rows of ops.def, op_*.c. */
#define CLG_OP(symbol, ...) extern const clg__op clg__op_##symbol;
#include "ops/ops.def"
#undef CLG_OP

/** x itself, or converted when it is not f32: what kernels and views get to read. */
clg_tensor *clg__as_f32(clg_tensor *x);
/** Zeros or another number shaped like x, batched bits included. */
clg_tensor *clg__full_like(const clg_tensor *x, double value);

/**
 * At most CLG__MAX_INPUTS tensors that agree but for axis 0, joined along it; other than with
 * clg_concat it may follow the batch in all of them. Has no gradient then.
 */
clg_tensor *clg__concat_rows(clg_tensor *const *x, int n);

/* A gradient rule that belongs to a value, not to an operation. */
typedef struct clg__rule_attr {
    /** As clg__op.gradient; operand i is input CLG__FIRST_OPERAND + i of `out`, the value input 0.
     */
    void (*rule)(clg_tensor *out, clg_tensor *g, clg_tensor **dx);
    int32_t p[8]; /* the rule's own */
} clg__rule_attr;
enum { CLG__FIRST_OPERAND = 2 };
/**
 * f32 `value` with gradients by `attr->rule` (zero the attribute's padding): it gives those of the
 * operands, of which there are at most CLG__MAX_INPUTS - 2.
 */
clg_tensor *clg__with_gradient(clg_tensor *value, clg_tensor *const *operands, int n,
                               const clg__rule_attr *attr);

/** True if extent `axis` follows the batch. */
static inline bool clg__batched(const clg_shape *shape, int axis)
{
    return shape->batched >> axis & 1;
}

/** Number of extents that follow the batch. */
static inline int clg__batched_count(const clg_shape *shape)
{
    return __builtin_popcount(shape->batched);
}

/** Strides of row-major memory, in elements. */
static inline void clg__contiguous_strides(const clg_shape *shape, int64_t *strides)
{
    int64_t stride = 1;
    for (int i = shape->ndim - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape->dim[i];
    }
}

/** Columns of a tensor that is cut in front of `axis` into rows and columns. */
static inline int64_t clg__columns_from(const clg_shape *shape, int axis)
{
    int64_t columns = 1;
    for (int i = axis; i < shape->ndim; i++) columns *= shape->dim[i];
    return columns;
}

/** Axes given as negative count from the end; false and a failed graph if out of range. */
bool clg__axis(clg_graph *g, const char *op, const clg_shape *shape, int *axis);

/** Axes given as a mask: 0 becomes all; false, and the graph failed, if x does not have them. */
bool clg__check_axes(const clg_tensor *x, const char *name, uint32_t *axes);
/** The shape with axes taken out. */
clg_shape clg__without_axes(const clg_shape *shape, uint32_t axes);
/** `count` elements of an axis from `begin` on, every `step`-th. */
clg_tensor *clg__slice_axis(clg_tensor *x, int axis, int64_t begin, int64_t count, int64_t step);
/** Its gradient: elements of the axis come to before + i * step, with zeros elsewhere. */
clg_tensor *clg__pad_spread(clg_tensor *x, int axis, int64_t before, int64_t after, int64_t step);
/**
 * The range of an axis along which x was padded by a constant, if it lies within what was padded or
 * beside it: a slice of that, or the constant. NULL: neither.
 */
clg_tensor *clg__slice_of_padded(clg_tensor *x, int axis, int64_t begin, int64_t count);
/**
 * One element along each of `axes`, which stay with extent 1: the middle one, or the first where
 * the extent follows the batch. For gradients it is a constant.
 */
clg_tensor *clg__sample(clg_tensor *x, uint32_t axes);

/*
 * Mean and variance over axes, which stay with extent 1, from one pass over x: with s one sample of
 * x, sums of x - s and of its square. s is near x, so that a mean that is large beside the
 * deviation costs no digits.
 */
typedef struct clg__moments {
    clg_tensor *sample;    /* s */
    clg_tensor *deviation; /* x - s, shaped like x */
    clg_tensor *shift;     /* mean of x - s: the mean is sample + shift */
    clg_tensor *variance;  /* over n, not n - 1 */
} clg__moments;
clg__moments clg__moments_over(clg_tensor *x, uint32_t axes);

/** What the updates recorded so far make of a variable: the variable itself if there are none. */
clg_tensor *clg__updated(clg_tensor *variable);
/** Update to a value made from clg__updated, in place of the update so far. */
void clg__update_further(clg_tensor *variable, clg_tensor *value);

#endif
