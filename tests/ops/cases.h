/*
 * The test cases of the operations, by family. One executable holds them all (test_ops.c), because
 * its last test demands that every row of the op table was part of a checked program.
 */
#ifndef CLG_OPS_CASES_H
#define CLG_OPS_CASES_H

#include <check.h>

void ops_activations_cases(Suite *suite);
void ops_augment_cases(Suite *suite);
void ops_compose_cases(Suite *suite);
void ops_conv2d_cases(Suite *suite);
void ops_layers_cases(Suite *suite);
void ops_losses_cases(Suite *suite);
void ops_matmul_cases(Suite *suite);
void ops_normalize_cases(Suite *suite);
void ops_pad_cases(Suite *suite);
void ops_pointwise_cases(Suite *suite);
void ops_pool2d_cases(Suite *suite);
void ops_recurrent_cases(Suite *suite);
void ops_reduce_cases(Suite *suite);
void ops_rows_cases(Suite *suite);
void ops_sampled_losses_cases(Suite *suite);
void ops_slice_cases(Suite *suite);
void ops_segments_cases(Suite *suite);
void ops_slopes_cases(Suite *suite);
void ops_state_cases(Suite *suite);
void ops_structure_cases(Suite *suite);

#endif
