/*
 * Rows of a table picked by index: what gather, scatter_add and the sparse optimizer share.
 *
 *     table (V, ...)  index (S...) of row numbers  rows (S..., ...)
 *
 * A gradient that is a sum of scatter_adds has few rows that are not zero: clg__sparse_gradient
 * finds them without looking at the table, and the operations below work on those n rows alone.
 */
#ifndef CLG_ROWS_INTERNAL_H
#define CLG_ROWS_INTERNAL_H

#include "ops/record.h"

/* ---- building ---- */

/** x[index]; an index outside x reads NaN, or zeros. Shapes as clg_gather. */
clg_tensor *clg__gather(clg_tensor *x, clg_tensor *index, bool zeros_outside);
/** Zeros (rows, ...) to which x (S..., ...) is added by index (S...); what is outside is dropped.
 */
clg_tensor *clg__scatter_add(clg_tensor *index, clg_tensor *x, const clg_shape *table);

/**
 * The numbers of up to CLG__MAX_INPUTS index tensors behind each other as i32 (n), -1 for what is
 * not in 0 .. rows - 1. All of them follow the batch, or none.
 */
clg_tensor *clg__row_index(clg_tensor *const *index, int n, const clg_shape *table);
/** index (n) i32 -> (n) i32: position of the first equal number; -1 where index is -1. */
clg_tensor *clg__first_equal(clg_tensor *index);
/** x (n, D): at first positions the sum of all rows equal to it, elsewhere 0. Has no gradient. */
clg_tensor *clg__sum_equal_rows(clg_tensor *first, clg_tensor *x);
/**
 * The table (a variable) with table[index[i]] = x[i] for first positions i. Assigned to the same
 * variable it is carried out in place: only these rows are touched. x is (n, ...).
 */
clg_tensor *clg__assign_rows(clg_tensor *table, clg_tensor *index, clg_tensor *first,
                             clg_tensor *x);

/* A gradient of a table (V, D...) by rows: `rows` (n, D) belong to the row numbers `index` (n). */
typedef struct clg__sparse {
    clg_tensor *index; /* i32; -1: no row */
    clg_tensor *first; /* clg__first_equal(index) */
    clg_tensor *rows;  /* summed up at first positions, elsewhere 0 */
} clg__sparse;

/**
 * True if `gradient` is a scatter_add or a sum of several: *out then has it by rows. False, with
 * nothing recorded, for every other gradient, and where index tensors of some lookups follow the
 * batch and others do not.
 */
bool clg__sparse_gradient(clg_tensor *gradient, clg__sparse *out);

/* ---- lowering: launches on values and scratch areas ---- */

/** Joins indices from `from` on into y, at element `at`. */
void clg__lower_row_index(clg__lowering *lo, clg__buffer_id from, clg_dtype dtype, int64_t count,
                          int64_t rows, clg__buffer_id y, int64_t at);
/** Lines for kernels that read given indices (cl/row_index.h). */
const char *clg__index_defines(clg_dtype dtype);
void clg__lower_first_equal(clg__lowering *lo, clg__buffer_id index, clg__buffer_id first,
                            int64_t count);
/** A scratch area with the position of the next row of equal index. */
clg__buffer_id clg__lower_next_equal(clg__lowering *lo, clg__buffer_id first, int64_t count);
/**
 * The arguments columns, rows, columns_per_item, rows_per_item and the range: a processor's
 * work-item takes whole rows, a graphics card's a few columns of one.
 */
void clg__launch_rows(clg__launch *launch, const clg_context *ctx, int64_t rows, int64_t columns);
/** Elements that a work-item handles at once: VEC of the kernels. */
int clg__rows_width(const clg_context *ctx);

#endif
