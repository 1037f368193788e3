/*
 * Arguments of kernels as OpenCL C: declared, handed on by name, or read from a table's row.
 */
#ifndef CLG_ARGUMENTS_INTERNAL_H
#define CLG_ARGUMENTS_INTERNAL_H

#include "kernels/kernels.h"
#include "ops/lower.h"

/* Where and how arguments are written; each with the separator in front, ", " after the first. */
typedef struct clg__argument_list {
    clg__str *out;
    const char *separator;
    enum {
        CLG__AS_PARAMETERS, /* "__global void *a0, ulong a0_at, int a1" */
        CLG__AS_NAMES,      /* "a0, a0_at, a1": those of a function that was declared so */
        CLG__AS_WORDS       /* "memory[t[4]], t[5], (int)t[6]": see strands_run.c */
    } form;
    size_t word; /* of the row: the one that comes next */
} clg__argument_list;

/** Arguments in front of the epilogue's. */
int clg__own_arguments(const clg__launch *launch);
/** The launch's own ones. */
void clg__list_own_arguments(clg__argument_list *list, const clg__launch *launch);
/** The number of an epilogue, and what a module's epilogues share (epilogue.c). */
void clg__list_shared_arguments(clg__argument_list *list, const clg__slots *slots);

#endif
