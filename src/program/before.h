/*
 * Which clusters must run before which, while clusters grow and merge (fuse.c).
 */
#ifndef CLG_BEFORE_INTERNAL_H
#define CLG_BEFORE_INTERNAL_H

#include "base/base.h"

typedef struct clg__before_node clg__before_node;
typedef struct clg__before_edge clg__before_edge;

typedef struct clg__before {
    clg__before_node *nodes; /* one per cluster */
    clg__before_edge *edges;
    int n_edges;
    size_t capacity;
    int *stack;
    int stamp;       /* of the search that is under way */
    uint64_t visits; /* nodes that searches looked at: what the relation costs */
    bool failed;     /* out of memory: the relation is incomplete */
} clg__before;

/** A relation among up to `count` clusters, empty. */
clg_status clg__before_make(clg__before *b, int count);
void clg__before_free(clg__before *b);

/** `first` runs before `second`, directly; the caller knows that there is no path back. */
void clg__before_add(clg__before *b, int first, int second);

/** Must `first` run before `second`? Not before itself. */
bool clg__before_holds(clg__before *b, int first, int second);

/** Could two clusters be one? Not if a third one runs between them. */
bool clg__before_mergeable(clg__before *b, int one, int other);

/** `from` becomes part of `into`. */
void clg__before_merge(clg__before *b, int into, int from);

#endif
