/*
 * Emitters that all generated code shares: parameters, base addresses, loads, members and stores of
 * one stage of a cluster.
 */
#ifndef CLG_STAGE_INTERNAL_H
#define CLG_STAGE_INTERNAL_H

#include "program/codegen.h"

/* Writes the code of one stage. */
typedef struct clg__generator {
    clg__str *out;
    const clg__ir *ir;
    const clg__cluster *cluster;
    int stage;
    char p;            /* prefix of names: A for stage 0, B for stage 1, and on along a chain */
    clg__slots *slots; /* parameters come from shared arguments, which are counted here; or NULL */
    uint32_t chosen;   /* loads that the emitters of bases and loads write, as a mask; mostly all */
    clg__space space;
} clg__generator;

/** A generator for a stage; out->failed if the stage cannot be one kernel. */
clg__generator clg__generator_make(clg__str *out, const clg__ir *ir, const clg__cluster *c,
                                   int stage);

/** "float", "float4" ... */
const char *clg__vector_type(int width);

/** Definitions of the functions of cl/pointwise.cl that the code calls with this width. */
void clg__define_functions(clg__str *out, const char *code, int width);

/** Parameters of the stage, each preceded by a comma; clg__bind_stage gives the arguments. */
void clg__emit_parameters(clg__generator *g);

/** Numbers that all elements share, and what they are made of: once, in front of all loops. */
void clg__emit_invariants(clg__generator *g);

/** Coordinates along the collapsed axes first .. last from a linear index, innermost fastest. */
void clg__emit_coordinates(clg__generator *g, int first, int last, const char *linear);

/** Base address of each chosen load from the coordinates along the first n_outer axes. */
void clg__emit_bases(clg__generator *g, int n_outer);

/** The chosen loads of `width` adjacent columns. */
void clg__emit_loads(clg__generator *g, const char *column, int width);

/** Chosen loads, members and stores of `width` adjacent columns; `index` is the first one's linear
 * index.
 */
void clg__emit_block(clg__generator *g, const char *column, const char *index, int width);

/** Asks for the memory of the stage's results from `index` on (cl/prefetch_cpu.h). */
void clg__emit_ahead(clg__generator *g, const char *index);

/** The expression that stands for a value inside the stage. */
void clg__emit_operand(clg__generator *g, int id, int width);

/** The kernel of a reduction, and with two stages the one that combines (codegen_reduce.c). */
void clg__codegen_reduce(clg__generator *g, const char *name, bool two_stages, int width);

#endif
