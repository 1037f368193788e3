/*
 * Which memory each step reads and writes, and from which steps to which it is in use.
 */
#ifndef CLG_LIFETIME_INTERNAL_H
#define CLG_LIFETIME_INTERNAL_H

#include "program/ir.h"

/* A step touches a value, which is the root of its memory: in the arena, a variable or an input. A
 * value that it also writes counts as written, once. */
typedef struct clg__access {
    int value;
    bool writes;
} clg__access;

/* Steps between which a value is in use. It may be so several times: what a step writes again
 * (rematerialize.c) needs no memory before that. */
typedef struct clg__span {
    int first, last;
    int earlier;     /* index of the value's span before this one, or -1 */
    int before_last; /* the last step but one that touches it; the only one, where it is alone */
} clg__span;

typedef struct clg__lifetimes {
    clg__access *accesses;
    size_t n_accesses, accesses_capacity;
    int *first_access; /* per cluster, that of the step of the chain which it heads; and the end */
    clg__span *spans;
    size_t n_spans, spans_capacity;
    int *latest; /* per value: index of its last span, -1: none; of its last access at first */
    bool *ran;   /* per cluster: for clg__lifetimes_follow */
} clg__lifetimes;

/** Collects accesses, and the spans for the order as it is. To be freed also if it fails. */
clg_status clg__lifetimes_make(clg__lifetimes *lives, const clg__ir *ir);
/** The spans for another order of the same clusters, in which some may run again. */
clg_status clg__lifetimes_follow(clg__lifetimes *lives, const clg__ir *ir);
void clg__lifetimes_free(clg__lifetimes *lives);

/** A root that the plan gives memory. */
static inline bool clg__in_arena(const clg__ir *ir, int id)
{
    const clg__value *v = &ir->values[id];
    return v->live && v->cluster >= 0 && v->parent < 0;
}

#endif
