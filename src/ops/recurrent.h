/*
 * Recurrent sequences, unrolled in the graph (recurrent.c). Layers above see this header: it knows
 * nothing of OpenCL.
 */
#ifndef CLG_RECURRENT_INTERNAL_H
#define CLG_RECURRENT_INTERNAL_H

#include "clgrad/ops.h"

/* The kinds of cells, with G gates: rows of the table in recurrent.c. */
typedef enum clg__cell_kind { CLG__RNN_TANH, CLG__RNN_RELU, CLG__LSTM, CLG__GRU } clg__cell_kind;

/** "rnn", "lstm", "gru". */
const char *clg__cell_name(clg__cell_kind kind);
/** G: weights are (.., G H), one block of H columns for each gate. */
int clg__cell_gates(clg__cell_kind kind);
/** Whether there is a cell state c besides h. */
bool clg__cell_has_c(clg__cell_kind kind);

/* What a cell or a sequence is computed from. */
typedef struct clg__recurrent {
    clg__cell_kind kind;
    clg_tensor *x;                 /* cell: (N, F); sequence: (T, N, F) */
    clg_tensor *weight_ih;         /* (F, G H) */
    clg_tensor *weight_hh;         /* (H, G H) */
    clg_tensor *bias_ih, *bias_hh; /* (G H), or both NULL */
    clg_tensor *h, *c;             /* before the first step; NULL: zeros. Cell: (N, H);
                                      sequence: (1, N, H) */
} clg__recurrent;

typedef struct clg__recurrent_result {
    clg_tensor *y;     /* sequence: h of all steps, (T, N, H) */
    clg_tensor *h, *c; /* after the last step, shaped like those before; c only of kinds with c */
} clg__recurrent_result;

/** One step. False if a builder failed: then the graph has the message. */
bool clg__recurrent_cell(const clg__recurrent *in, clg__recurrent_result *out);
/** All steps, with a backward pass of its own. */
bool clg__recurrent_sequence(const clg__recurrent *in, clg__recurrent_result *out);

#endif
