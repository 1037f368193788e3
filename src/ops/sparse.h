/*
 * Gradients by rows: a gradient that is a sum of scatter_adds has few rows that are not zero.
 * clg__sparse_gradient finds them without looking at the table, and the operations here work on
 * those n rows alone. Layers above see this header: it knows nothing of OpenCL.
 */
#ifndef CLG_SPARSE_INTERNAL_H
#define CLG_SPARSE_INTERNAL_H

#include "clgrad/ops.h"

/**
 * The numbers of up to CLG__MAX_INPUTS index tensors behind each other as i32 (n), -1 for what is
 * not in 0 .. rows - 1. All of them follow the batch, or none.
 */
clg_tensor *clg__row_index(clg_tensor *const *index, int n, const clg_shape *table);
/** index (n) i32 -> (n) i32: position of the first equal number; -1 where index is -1. */
clg_tensor *clg__first_equal(clg_tensor *index);
/** x (n, D): at first positions the sum of all rows equal to it, elsewhere 0. Has no gradient. */
clg_tensor *clg__sum_equal_rows(clg_tensor *first, clg_tensor *x);
/** x (n, D) with zeros in the rows that are not the first of their index. */
clg_tensor *clg__first_rows(clg_tensor *first, clg_tensor *x);
/** Rows index (n) of a table (V, ...) as (n, D); NaN for -1. */
clg_tensor *clg__table_rows(clg_tensor *table, clg_tensor *index);
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

#endif
