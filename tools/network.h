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
struct summary_row;

enum { MAX_LAYER_KINDS = 96 };

/* Where layers get their names: in the whole model, or in a layer with a name. */
struct layer_names {
    char prefix[200];                         /* "layer1.0." */
    int counts[MAX_LAYER_KINDS + MAX_BLOCKS]; /* layers of each kind so far, uses of each block */
};

/* A use of a block. */
struct block_call {
    const struct block_text *block;
    const char *const *values; /* of its parameters */
    size_t line;
};

/* The layer being built, for builders and their messages. */
struct layer_site {
    struct model_file *file;
    struct network *network;
    const struct layer_text *text;
    const struct layer_spec *spec;
    struct layer_site *within;     /* the layer that holds this one; NULL: the model */
    const struct block_call *call; /* NULL: in no block */
    struct layer_names *names;
    unsigned index; /* in its list */
    char path[256]; /* in the file */
    char name[256]; /* of its variables: "conv1"; "" if there are none */
    int code;       /* exit code once something was reported */
};

/* Part of a list of layers. */
struct layer_list {
    const struct layer_text *layers;
    unsigned first, end;
    const char *path; /* "model.layers" */
    struct layer_names *names;
    const struct block_call *call;
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

/** Builds the layer at this site; `turn` counts from 0 where it is repeated. */
clg_tensor *layer_build(struct layer_site *site, int64_t turn, clg_tensor *x);
bool layer_kind_exists(const char *name);
/** The block that the layer's kind names, or NULL; blocks see only those above them. */
const struct block_text *layer_find_block(const struct layer_site *site);

/* ---- options, in layer_options.c ---- */

/* A spec and what its pointers point to. */
struct layer_values {
    struct layer_spec spec;
    union {
        int64_t whole;
        double real;
        bool flag;
    } number[N_OPTIONS];
};

/** Read a number of at least 1, or initial values by name (`init` is room for them); leave *out
 *  alone if the option is not given. */
bool layer_read_count(struct layer_site *site, const char *option, const int64_t *value, int *out);
bool layer_read_init(struct layer_site *site, clg_init *init, const clg_init **out);
/** Sets site->spec. These return false, and NULL, after reporting in site->code. */
bool layer_read_options(struct layer_site *site, struct layer_values *values);
bool layer_check_options(struct layer_site *site, const struct layer_kind *kind);
/** `text` itself, or what the parameter that it names stands for. */
const char *layer_text_value(struct layer_site *site, const char *option, const char *text);
/** Values of the block's parameters: given, or defaults. */
bool block_read_values(struct layer_site *site, const struct block_text *block,
                       const char *values[MAX_PARAMETERS]);
/** Names and parameters of all blocks make sense: DONE, or an exit code after a message. */
int blocks_check(struct model_file *file);

/* ---- activations, in layers_activation.c ---- */

enum { MAX_ACTIVATIONS = 160 };

/** The kind that every pointwise operation with one input makes, or NULL. */
const struct layer_kind *activation_kind(const char *name);
/** Fills in the names of all of them; their number. */
size_t activation_names(const char *names[MAX_ACTIVATIONS]);

clg_tensor *build_brelu(struct layer_site *site, clg_tensor *x);
clg_tensor *build_prelu(struct layer_site *site, clg_tensor *x);
clg_tensor *build_rrelu(struct layer_site *site, clg_tensor *x);
clg_tensor *build_apl(struct layer_site *site, clg_tensor *x);
clg_tensor *build_swish_learned(struct layer_site *site, clg_tensor *x);
clg_tensor *build_soft_exponential(struct layer_site *site, clg_tensor *x);
clg_tensor *build_softmax(struct layer_site *site, clg_tensor *x);
clg_tensor *build_log_softmax(struct layer_site *site, clg_tensor *x);

/* ---- layers of sequences, in layers_sequence.c ---- */

clg_tensor *build_embedding(struct layer_site *site, clg_tensor *x);
clg_tensor *build_rnn(struct layer_site *site, clg_tensor *x);
clg_tensor *build_lstm(struct layer_site *site, clg_tensor *x);
clg_tensor *build_gru(struct layer_site *site, clg_tensor *x);

/* ---- layers that hold layers, in structure.c ---- */

/** Builds a list on top of x. NULL after an error, which is in holder->code. */
clg_tensor *layers_build(struct layer_site *holder, const struct layer_list *list, clg_tensor *x);

clg_tensor *build_sequence(struct layer_site *site, clg_tensor *x);
clg_tensor *build_residual(struct layer_site *site, clg_tensor *x);
clg_tensor *build_branches(struct layer_site *site, clg_tensor *x);
clg_tensor *build_block(struct layer_site *site, clg_tensor *x);

/* A layer whose two variables are measured on the training data (clg_normalize_layer). */
struct fitted_layer {
    char name[256];
    bool min_max; /* minimum and range; else mean and standard deviation */
};
enum { MAX_FITTED = 4 };

/* What a recurrent layer knows between two steps, in a network that is run step by step. */
struct step_state {
    clg_tensor *before, *after; /* an input and a value, (1, batch, units) */
};
enum { MAX_STEP_STATES = 64 };

/* A model as a graph, with its loss. */
struct network {
    clg_graph *graph;
    struct fitted_layer fitted[MAX_FITTED];
    int n_fitted;
    int n_layers;             /* built so far */
    struct summary_row *rows; /* the layers, for summary.h */
    int n_rows, rows_capacity;
    size_t n_counted;   /* variables that are in rows */
    char from[160];     /* where the input of the next layer comes from, for messages */
    clg_tensor *image;  /* input (batch, sample shape) */
    clg_tensor *label;  /* input: i32 labels (batch), f32 numbers (batch, outputs); or NULL */
    clg_tensor *logits; /* (batch, classes or outputs): what the last layer gives */
    clg_tensor *loss;   /* scalar: mean over the batch */
    clg_tensor *class_weights; /* (classes), of the loss in training; or NULL */
    bool balanced;             /* they are measured on the training data */
    clg_tensor *penalty;       /* scalar that is added to the loss in training, or NULL */
    clg_tensor *accuracy;      /* scalar; NULL where there are no classes */
    clg_tensor *squared_error, *absolute_error; /* scalars, means; NULL where there are classes */
    clg_tensor *prediction;                     /* probabilities of the classes, or the outputs */
    bool stepwise;                              /* built by network_build_stepwise */
    struct step_state states[MAX_STEP_STATES];  /* of its recurrent layers */
    int n_states;
};

/** Builds it for a resolved file. DONE, or an exit code after a message; destroy it in both cases.
 */
int network_build(struct network *network, struct model_file *file);
/**
 * The same for sequences of one step in batches of one; what recurrent layers know goes in and out
 * by network->states. The file's input and batch are changed to that.
 */
int network_build_stepwise(struct network *network, struct model_file *file);
void network_destroy(struct network *network);
/** True if a sample has one label of several classes, and a logit for each. */
bool network_classifies(const struct network *network);
/** True if the targets of a sample are numbers (not the sample itself), one for each output. */
bool network_gives_numbers(const struct network *network);

/** Measures the data for layers and class weights that are fitted to it; sets their variables. */
int network_fit(const struct network *network, const clg_dataset *train);

#endif
