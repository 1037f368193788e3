/*
 * Every operation: value, gradient, second derivative, batch sizes, bad arguments. The families are
 * in tests/ops/; a row of the table of operations and compositions fails here until the file that
 * it names exercises it.
 */
#include "ops/cases.h"
#include "ops/op_check.h"

START_TEST(every_row_was_exercised)
{
    const char *missing = op_check_uncovered();
    ck_assert_msg(*missing == 0, "the table claims tests that did not run:\n%s", missing);
}
END_TEST

START_TEST(the_table_describes_itself)
{
    clg_op_info info;
    size_t count = 0;
    while (clg_op_query(count, &info)) {
        ck_assert_msg(*info.name && *info.formula && *info.kind && info.parameters && *info.tests,
                      "row %zu lacks a name, a formula, a kind or a file of tests", count);
        ck_assert_msg(info.has_gradient || !info.has_second, "%s has only a second derivative",
                      info.name);
        for (size_t i = 0; i < count; i++) {
            clg_op_info other;
            clg_op_query(i, &other);
            ck_assert_str_ne(info.name, other.name);
        }
        count++;
    }
    ck_assert_uint_eq(count, clg__op_count() + CLG__COMPOSITION_COUNT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops");
    ops_pointwise_cases(suite);
    ops_structure_cases(suite);
    ops_slice_cases(suite);
    ops_pad_cases(suite);
    ops_normalize_cases(suite);
    ops_slopes_cases(suite);
    ops_state_cases(suite);
    ops_reduce_cases(suite);
    ops_segments_cases(suite);
    ops_matmul_cases(suite);
    ops_conv2d_cases(suite);
    ops_pool2d_cases(suite);
    ops_recurrent_cases(suite);
    ops_rows_cases(suite);
    ops_compose_cases(suite);
    ops_activations_cases(suite);
    ops_augment_cases(suite);
    ops_layers_cases(suite);
    ops_losses_cases(suite);
    ops_sampled_losses_cases(suite);
    TCase *table = testing_case(suite, "table");
    tcase_add_test(table, the_table_describes_itself);
    if (!getenv("CK_RUN_CASE")) tcase_add_test(table, every_row_was_exercised);
    return testing_run(suite);
}
