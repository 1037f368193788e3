/*
 * Rows of a table picked by index: what gather, scatter_add and the operations of sparse.h share.
 *
 *     table (V, ...)  index (S...) of row numbers  rows (S..., ...)
 */
#ifndef CLG_ROWS_INTERNAL_H
#define CLG_ROWS_INTERNAL_H

#include "ops/record.h"
#include "ops/sparse.h"

/** x[index]; an index outside x reads NaN, or zeros. Shapes as clg_gather. */
clg_tensor *clg__gather(clg_tensor *x, clg_tensor *index, bool zeros_outside);
/** Zeros (rows, ...) to which x (S..., ...) is added by index (S...); what is outside is dropped.
 */
clg_tensor *clg__scatter_add(clg_tensor *index, clg_tensor *x, const clg_shape *table);

/* ---- lowering: launches on values and scratch areas ---- */

/** Puts an input of indices into y, from element `at` on; `rows`: of the table. Returns how many.
 */
int64_t clg__lower_row_index(clg__lowering *lo, int input, int64_t rows, clg__buffer_id y,
                             int64_t at);
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
