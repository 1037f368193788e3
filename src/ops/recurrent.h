/*
 * The table of recurrent cells (recurrent.c), for layers above: it knows nothing of OpenCL.
 */
#ifndef CLG_RECURRENT_INTERNAL_H
#define CLG_RECURRENT_INTERNAL_H

#include "clgrad/ops.h"

/* The kinds of cells, rows of the table: each with G gates. */
typedef enum clg__cell_kind { CLG__RNN_TANH, CLG__RNN_RELU, CLG__LSTM, CLG__GRU } clg__cell_kind;

/** G: weights are (.., G H), one block of H columns for each gate. */
int clg__cell_gates(clg__cell_kind kind);
/** Whether there is a cell state c besides h. */
bool clg__cell_has_c(clg__cell_kind kind);
/** clg_rnn, clg_lstm or clg_gru. */
clg_tensor *clg__recurrent(clg__cell_kind kind, clg_tensor *x, const clg_recurrent_params *params,
                           clg_recurrent_state *last);

#endif
