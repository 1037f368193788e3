/*
 * Optimizers: what one training step does to the parameters once their gradients are known. Rules
 * and defaults are those of torch.optim. All of it is recorded as nodes of the graph: see tensor.h
 * about sticky errors.
 */
#ifndef CLGRAD_OPTIMIZER_H
#define CLGRAD_OPTIMIZER_H

#include "clgrad/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One row per optimizer: identifier, name in files and on the command line. Bytes of state per
 * parameter, and options beside lr, weight_decay and clipping:
 *
 *   sgd       0   momentum 0 (then 4 bytes), dampening 0, nesterov
 *   adagrad   4   lr_decay 0, epsilon 1e-10
 *   adadelta  8   rho 0.9, epsilon 1e-6
 *   rmsprop   4   rho 0.99, epsilon 1e-8, momentum 0 (4 more), centered (4 more), nesterov
 *   adam      8   beta1 0.9, beta2 0.999, epsilon 1e-8, amsgrad (4 more)
 *   adamax    8   beta1 0.9, beta2 0.999, epsilon 1e-8
 *   nadam     8   as adamax, momentum_decay 0.004
 *   radam     8   as adamax
 *   adamw     8   as adam, with decoupled_decay and weight_decay 0.01
 *   lars      4   momentum 0.9, trust 0.001, nesterov
 *   lamb      8   as adamax, epsilon 1e-6
 *
 * Nesterov momentum in rmsprop is an addition to torch's: it looks ahead as in sgd. nadam keeps one
 * more number for a whole group. torch has no lars and lamb: lars is You, Gitman, Ginsburg 2017
 * with the rate lr trust |p| / (|g| + weight_decay |p|) per variable; lamb is You et al. 2020,
 * adam's bias-corrected step plus weight_decay p, scaled per variable by |p| / |step|. Where one of
 * the norms is 0, and with decay_weights_only for variables of fewer than two axes, both take plain
 * lr.
 */
#define CLG_OPTIMIZER_ROWS(X)                                                                      \
    X(SGD, sgd)                                                                                    \
    X(ADAGRAD, adagrad)                                                                            \
    X(ADADELTA, adadelta)                                                                          \
    X(RMSPROP, rmsprop)                                                                            \
    X(ADAM, adam)                                                                                  \
    X(ADAMAX, adamax)                                                                              \
    X(NADAM, nadam)                                                                                \
    X(RADAM, radam)                                                                                \
    X(ADAMW, adamw)                                                                                \
    X(LARS, lars)                                                                                  \
    X(LAMB, lamb)

typedef enum clg_optimizer_kind {
#define CLG_OPTIMIZER_ENUM(id, name) CLG_##id,
    CLG_OPTIMIZER_ROWS(CLG_OPTIMIZER_ENUM)
#undef CLG_OPTIMIZER_ENUM
        CLG_OPTIMIZER_COUNT
} clg_optimizer_kind;

/* Variables with options of their own. The first group that names a variable has it. */
typedef struct clg_parameter_group {
    const char *pattern; /* of names, as file names in a shell: "conv*.weight". NULL: none */
    clg_tensor *const *variables; /* and these */
    size_t n_variables;
    double lr_factor;    /* times lr; 0: 1 */
    double weight_decay; /* 0: the optimizer's; negative: none */
    bool frozen;         /* not trained: no gradient is computed and no state kept */
} clg_parameter_group;

/* How gradients of several micro-batches become one. */
typedef enum clg_accumulation {
    CLG_ACCUMULATE_NONE,
    CLG_ACCUMULATE_MEAN, /* mean over all samples: for losses that are means over the batch */
    CLG_ACCUMULATE_SUM
} clg_accumulation;

/*
 * Numbers at 0 take the optimizer's default (above, else 0); where that is not 0, a negative number
 * means 0. Options of other optimizers are ignored.
 */
typedef struct clg_optimizer_params {
    clg_optimizer_kind kind;
    double lr;       /* > 0: fixed. 0: the scalar input "lr" of the graph, to be fed before a run */
    double momentum; /* 0 .. 1 */
    double dampening;        /* 0 .. 1: of the gradient that enters the momentum, but the first */
    bool nesterov;           /* needs a momentum; no dampening */
    double beta1, beta2;     /* 0 .. below 1: decay of the averages of g and of g^2 */
    double rho;              /* 0 .. below 1: the same for adadelta and rmsprop (torch's alpha) */
    double epsilon;          /* >= 0: added to denominators */
    double lr_decay;         /* >= 0: rate lr / (1 + lr_decay (step - 1)) */
    double momentum_decay;   /* >= 0 */
    bool amsgrad;            /* divides by the largest average so far */
    bool centered;           /* divides by the standard deviation */
    double trust;            /* > 0 */
    double weight_decay;     /* L2: weight_decay times p is added to the gradient */
    bool decoupled_decay;    /* instead p shrinks by the factor 1 - lr weight_decay */
    bool decay_weights_only; /* no decay of variables with fewer than two axes: biases, norms */
    double clip_value; /* > 0: first, elements of gradients are cut to -clip_value .. clip_value */
    double clip_tensor_norm; /* > 0: then each variable's gradient is scaled to at most this norm */
    double clip_norm; /* > 0: then all are scaled so that their common norm is at most this */
    clg_accumulation accumulate; /* 4 bytes per parameter, and programs of CLG_ACCUMULATION */
    double ema_decay;    /* > 0, below 1: averages of the parameters, 4 bytes each; see below */
    clg_tensor *guard;   /* scalar: where it is 0, a step changes nothing. NULL: none */
    bool skip_nonfinite; /* so do steps whose loss or gradient norm is NaN or Inf: costs the norm */
    bool monitor;        /* build the norms of clg_minimized: no cost in programs without them */
    bool dense_tables;   /* tables read by clg_gather alone (embeddings) are updated whole, not only
                            the rows that the batch reads: see clg_minimize */
    const char *name;    /* tells several optimizers of a graph apart; NULL: none */
    clg_tensor *const *variables; /* what to train; NULL: all trainable variables of the loss */
    size_t n_variables;
    const clg_parameter_group *groups; /* what differs from these options */
    size_t n_groups;
} clg_optimizer_params;
/** clg_optimizer_options(.kind = CLG_ADAM, .lr = 1e-3) */
#define clg_optimizer_options(...) CLG_OPTIONS(clg_optimizer_params, __VA_ARGS__)

/* What clg_minimize built; the nodes belong to the graph. */
typedef struct clg_minimized {
    clg_tensor *lr;            /* input "lr", or a constant */
    clg_tensor *gradient_norm; /* scalar: norm of all gradients together, before clipping */
    int64_t parameters;        /* numbers that are trained */
    /* With `monitor`: one number per trained variable, in the order of `variables` (which lives as
     * long as the graph). Ask for them as outputs of a program to have them computed. */
    clg_tensor *gradient_norms; /* before clipping */
    clg_tensor *weight_norms;   /* before the step */
    clg_tensor *update_norms;   /* of the step itself; CLG_TRAINING and CLG_UPDATE */
    clg_tensor *const *variables;
    size_t n_variables;
} clg_minimized;

/**
 * Adds to the graph of the scalar `loss` one optimizer step: gradients with respect to the
 * trainable variables that the loss depends on, and an update of each. Programs compiled with
 * CLG_TRAINING carry it out in every run. State lives in variables "optimizer.momentum",
 * "optimizer.m", "optimizer.v" ("optimizer.<name>.m" ...), one number per parameter in the order of
 * the variables' creation. Each group of parameters has its own, "optimizer.m.group1" for the first
 * and so on; with decay_weights_only what is not decayed has "optimizer.m.no_decay". A group is
 * updated by one kernel; lars, lamb and clip_tensor_norm take a few more, however many variables
 * there are. Several calls with disjoint `variables` and distinct names may share a
 * graph. Call it before the graph's first program is compiled: later the whole graph fails, since
 * its variables cannot be put together any more. `out` may be NULL.
 *
 * Accumulation. With `accumulate`, a step may be made of several micro-batches: any number of runs
 * of a program compiled with CLG_ACCUMULATION, which has the forward and backward pass and adds the
 * gradients to "optimizer.gradient", then one run of a program compiled with CLG_UPDATE (without
 * outputs, or with those norms), which has the optimizer alone. The update is that of one batch of
 * all samples, whatever the sizes of the micro-batches (except for rounding, and for operations
 * that look across the batch, such as batch_norm). Dropout draws anew for every micro-batch; the
 * step number advances with CLG_UPDATE. CLG_TRAINING programs of the same graph take a step from
 * their own batch alone, at no cost.
 *
 * Averages. With `ema_decay` every trained variable v has a variable "ema.<v>" that starts as v
 * does, is v after the first step, and then ema_decay * ema + (1 - ema_decay) * v, as torch's
 * AveragedModel with get_ema_multi_avg_fn. Programs compiled with CLG_INFERENCE_AVERAGED read it in
 * the place of v.
 *
 * Tables. One that the loss reads by clg_gather only is updated by rows, at a cost that does not
 * depend on its size: rows that the batch does not read stay as they are, and so does their state,
 * as with torch.optim.SparseAdam. For SGD without momentum and Adagrad, without weight decay, that
 * is no difference. Its state is in variables "optimizer.m.<name of the table>" of the table's
 * shape. With lars and lamb, which need norms of whole tensors, with accumulation and with averages
 * tables are updated whole.
 */
CLG_API clg_status clg_minimize(clg_tensor *loss, const clg_optimizer_params *params,
                                clg_minimized *out);

/** "sgd", "adam" ...; NULL for an unknown kind. */
CLG_API const char *clg_optimizer_name(clg_optimizer_kind kind);
/** The kind with this name; false (and *out untouched) if there is none. */
CLG_API bool clg_optimizer_find(const char *name, clg_optimizer_kind *out);
/** What torch.optim takes where nothing is given, lr too (0 for sgd, which asks for one). */
CLG_API clg_optimizer_params clg_optimizer_defaults(clg_optimizer_kind kind);
/** Bytes of state that an optimizer with these options keeps per trained number; 0 if they are
 * wrong.
 */
CLG_API size_t clg_optimizer_state_bytes(const clg_optimizer_params *params);

#ifdef __cplusplus
}
#endif
#endif
