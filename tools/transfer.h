/*
 * Transfer learning: start from the weights of another model, keep some of them, train others at
 * rates of their own (docs/model-files.md).
 */
#ifndef CLTRAIN_TRANSFER_H
#define CLTRAIN_TRANSFER_H

#include "clgrad/optimizer.h"
#include "network.h"

enum { MAX_PATTERNS = 32 };

/* Words of `freeze` and `lr_factors` as groups of an optimizer. */
struct transfer_groups {
    char *text; /* holds the patterns */
    clg_parameter_group group[MAX_PATTERNS];
    size_t count;
};

/**
 * Fills the groups. A pattern that no trained variable matches is an error. DONE, or an exit code
 * after a message; clear them in both cases.
 */
int transfer_groups_read(struct transfer_groups *groups, const struct network *network,
                         struct model_file *file);
void transfer_groups_clear(struct transfer_groups *groups);

/**
 * Writes the weights of `init_from` into the network's variables, all but those that `fresh` names.
 * Does nothing without `init_from`.
 */
int transfer_load(struct network *network, struct model_file *file);

#endif
