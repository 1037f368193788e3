/*
 * From a model file to a graph. A kind of layer is one row of layer_kinds (layers.c), a pointwise
 * activation one row of the library's own table.
 */
#ifndef CLTRAIN_NETWORK_H
#define CLTRAIN_NETWORK_H

#include "clgrad/data.h"
#include "clgrad/ops.h"
#include "model_file.h"

struct network;

/* The layer being built, for builders and their messages. */
struct layer_site {
    struct model_file *file;
    struct network *network;
    const struct layer_spec *spec;
    unsigned index; /* in model.layers */
    char name[256]; /* of its variables: "conv1" */
    int code;       /* exit code once something was reported */
};

struct layer_kind {
    const char *name;
    const char *required, *optional; /* options, separated by blanks */
    const char *stem;                /* variables are named <stem><number of such layers so far> */
    /* NULL after an error: reported in site->code, or kept by the graph. */
    clg_tensor *(*build)(struct layer_site *site, clg_tensor *x);
};

/** Reports an error at an option of the layer ("" for the layer itself) and returns NULL. */
clg_tensor *layer_error(struct layer_site *site, const char *option, const char *format, ...)
    CLG_PRINTF(3, 4);

/** Checks the options of a layer and builds it; `counts` has one entry per row of layer_kinds. */
clg_tensor *layer_build(struct layer_site *site, clg_tensor *x, int *counts);
enum { MAX_LAYER_KINDS = 32 };

/* A layer whose two variables are measured on the training data (clg_normalize_layer). */
struct fitted_layer {
    char name[256];
    bool min_max; /* minimum and range; else mean and standard deviation */
};
enum { MAX_FITTED = 4 };

/* A model as a graph, for classification. */
struct network {
    clg_graph *graph;
    struct fitted_layer fitted[MAX_FITTED];
    int n_fitted;
    clg_tensor *image;    /* input (batch, sample shape) */
    clg_tensor *label;    /* input (batch), i32 */
    clg_tensor *logits;   /* (batch, classes) */
    clg_tensor *loss;     /* scalar: mean softmax cross entropy */
    clg_tensor *accuracy; /* scalar */
};

/** Builds it for a resolved file. DONE, or an exit code after a message; destroy it in both cases.
 */
int network_build(struct network *network, struct model_file *file);
void network_destroy(struct network *network);

/** Measures the data for layers that are fitted to it and sets their variables. */
int network_fit(struct network *network, const clg_dataset *train);

#endif
