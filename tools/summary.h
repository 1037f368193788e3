/*
 * The table of a network's layers: what each makes of its input, its parameters and its work.
 * Rows are collected while the network is built.
 */
#ifndef CLTRAIN_SUMMARY_H
#define CLTRAIN_SUMMARY_H

#include "cltrain.h"
#include "network.h"

struct summary_row {
    char kind[64], name[200]; /* name of its variables, "" if it has none */
    int depth;                /* lists around it */
    clg_shape output;         /* with the batch */
    clg_tensor *value;        /* what it gives, the graph's */
    int64_t parameters;       /* trained numbers that this layer adds; shared ones count once */
    int64_t state;            /* numbers that are kept but not trained */
    double flops;             /* forward, per sample; see docs/model-files.md */
};

/**
 * Adds a row for a layer that made y of x, if it does something of its own. `mark` is the number of
 * rows before it. False when out of memory.
 */
bool summary_add(struct network *network, const struct layer_site *site, const clg_tensor *x,
                 clg_tensor *y, int mark);

/** The row of the layer with this name, or with this number (from 1) in the table; NULL: none. */
const struct summary_row *summary_find(const struct network *network, const char *layer);

/** Parameters of the whole network. */
int64_t summary_parameters(const struct network *network);

/** Writes the table for people. */
void summary_print(const struct network *network, FILE *to);
/** The same as an object. */
json_t *summary_json(const struct network *network, const char *model);

#endif
