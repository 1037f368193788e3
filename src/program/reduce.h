/*
 * What the generated reductions of both engines share: how combining is written, and the frame of
 * their kernels. Names inside: s0_4 is the first reduction's vector of sums, s0_1 its sum of single
 * elements, t0 an array of its totals.
 */
#ifndef CLG_REDUCE_INTERNAL_H
#define CLG_REDUCE_INTERNAL_H

#include "program/stage.h"

/** What reduction i begins with, and the macro that combines two of its values. */
const char *clg__reduce_start(const clg__generator *g, int i);
const char *clg__reduce_combine(const clg__generator *g, int i);

/** Behind "(": the kernel's parameters (`more`: further ones) up to its opening brace. */
void clg__emit_reduce_head(clg__generator *g, const char *more, bool two_stages);
/** Sums of a width at their start, and the addition of a block's values to them. */
void clg__emit_sums(clg__generator *g, int width);
void clg__emit_accumulate(clg__generator *g, int width);
/** What happens to total t[l] at linear output index e: the epilogue, or a partial result. */
void clg__emit_finish(clg__generator *g, bool two_stages);

/** Collapsed axes of a reduction: first of the reduced part, first behind it. */
void clg__reduce_axes(const clg__cluster *c, const clg__space *space, int *first, int *behind);

/** CPU engine, rows: parts of them, or whole rows through all clusters of a chain. */
void clg__codegen_row_parts(clg__generator *g, const char *name, int width);
void clg__codegen_rows(clg__str *out, const clg__ir *ir, const clg__cluster *head, const char *name,
                       int width);

/** The kernel of a reduction by work-groups, and with two stages the one that combines. */
void clg__codegen_reduce_group(clg__generator *g, const char *name, bool two_stages);

#endif
