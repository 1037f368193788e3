/*
 * Which addresses are in use at which steps.
 */
#ifndef CLG_OCCUPIED_INTERNAL_H
#define CLG_OCCUPIED_INTERNAL_H

#include "base/base.h"

/* Addresses that are in use at some time; in a list in ascending order, with gaps in between. */
typedef struct clg__range {
    int64_t first, end;
    int next; /* 0: none */
} clg__range;

typedef struct clg__occupied {
    int leaves;       /* of the tree of steps: a power of two */
    int *at_all;      /* per node: the addresses in use at each of its steps, */
    int *at_some;     /* and those at one of them or more; 0: none */
    clg__range *pool; /* of all lists, from 1 on */
    size_t n, capacity;
} clg__occupied;

/** For steps 0 .. last_step. To be freed also if it fails. */
clg_status clg__occupied_make(clg__occupied *o, int last_step);
/** Addresses from `address` on are in use from step `first` to `last`. */
clg_status clg__occupied_add(clg__occupied *o, int first, int last, int64_t address, int64_t size);
/** The lowest address from `address` on where `size` elements are free at all these steps. */
int64_t clg__occupied_free_from(const clg__occupied *o, int first, int last, int64_t address,
                                int64_t size);
void clg__occupied_free(clg__occupied *o);

#endif
