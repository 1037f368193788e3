/*
 * Data types and shapes. Extents that follow the batch size are marked by a bit each; a shape at
 * another batch size is the same shape with those extents scaled.
 */
#include "tensor/graph.h"

size_t clg_dtype_size(clg_dtype dtype)
{
    static const size_t sizes[] = {
#define DTYPE_SIZE(name, bytes, text, ctype) bytes,
        CLG_DTYPE_ROWS(DTYPE_SIZE)
#undef DTYPE_SIZE
    };
    return (unsigned)dtype < CLG_DTYPE_COUNT ? sizes[dtype] : 0;
}

const char *clg_dtype_name(clg_dtype dtype)
{
    static const char *const names[] = {
#define DTYPE_NAME(name, bytes, text, ctype) text,
        CLG_DTYPE_ROWS(DTYPE_NAME)
#undef DTYPE_NAME
    };
    return (unsigned)dtype < CLG_DTYPE_COUNT ? names[dtype] : "?";
}

clg_shape clg_shape_of(int ndim, const int64_t *dims)
{
    clg_shape shape = {.ndim = ndim};
    /* Too many extents: keep the count, so that the builder that gets it can refuse it. */
    for (int i = 0; dims && i < ndim && i < CLG_MAX_DIMS; i++) shape.dim[i] = dims[i];
    return shape;
}

static const char no_rank[] = "has not 0 to 6 axes";

static bool has_rank(const clg_shape *shape)
{
    return shape->ndim >= 0 && shape->ndim <= CLG_MAX_DIMS;
}

int64_t clg_shape_count(const clg_shape *shape)
{
    CLG__NEEDS_OR(0, shape);
    if (!has_rank(shape)) {
        clg__fail(CLG_ERROR_ARGUMENT, "clg_shape_count: the shape %s", no_rank);
        return 0;
    }
    int64_t count = 1;
    for (int i = 0; i < shape->ndim; i++) count *= shape->dim[i];
    return count;
}

bool clg_shape_equal(const clg_shape *a, const clg_shape *b)
{
    CLG__NEEDS_OR(false, a && b);
    if (a->ndim != b->ndim || !has_rank(a)) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

char *clg_shape_text(const clg_shape *shape, char *text, size_t size)
{
    CLG__NEEDS_OR(text, text);
    if (size) text[0] = '\0';
    CLG__NEEDS_OR(text, shape);
    size_t used = (size_t)snprintf(text, size, "(");
    for (int i = 0; i < shape->ndim && i < CLG_MAX_DIMS && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? ", " : "",
                                 (long long)shape->dim[i]);
    if (used < size)
        snprintf(text + used, size - used, "%s)", shape->ndim > CLG_MAX_DIMS ? ", ..." : "");
    return text;
}

const char *clg__shape_fault(const clg_shape *shape, int64_t batch)
{
    if (!has_rank(shape)) return no_rank;
    if (shape->batched >> shape->ndim) return "says of axes it has not that they follow the batch";
    for (int i = 0; i < shape->ndim; i++) {
        if (shape->dim[i] <= 0) return "has an extent that is not positive";
        if (shape->batched >> i & 1 && shape->dim[i] % batch != 0)
            return "has an extent that follows the batch but is no multiple of its size";
    }
    int64_t bytes = 8;
    for (int i = 0; i < shape->ndim; i++)
        if (!clg__mul_i64(bytes, shape->dim[i], &bytes)) return "has too many elements";
    return NULL;
}

clg_shape clg__shape_at_batch(const clg_shape *shape, int64_t from, int64_t to)
{
    clg_shape scaled = *shape;
    for (int i = 0; i < shape->ndim; i++)
        if (shape->batched >> i & 1) scaled.dim[i] = shape->dim[i] / from * to;
    return scaled;
}
