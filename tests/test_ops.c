/*
 * Every operation: value, gradient, second derivative, batch sizes, bad arguments. The families are
 * in tests/ops/; a new row of the op table fails here until a case exercises it.
 */
#include "ops/cases.h"
#include "ops/op_check.h"

START_TEST(every_row_was_exercised)
{
    const char *missing = op_check_uncovered();
    ck_assert_msg(*missing == 0, "no test ran these operations: %s", missing);
}
END_TEST

START_TEST(the_table_describes_itself)
{
    clg_op_info info;
    size_t count = 0;
    while (clg_op_query(count, &info)) {
        ck_assert_msg(info.name && *info.name && info.formula && *info.formula && info.kind,
                      "row %zu lacks a name, a formula or a kind", count);
        count++;
    }
    ck_assert_uint_eq(count, clg__op_count());
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++) ck_assert_str_ne(clg__op_at(i)->name, clg__op_at(j)->name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops");
    ops_pointwise_cases(suite);
    ops_structure_cases(suite);
    ops_slice_cases(suite);
    ops_pad_cases(suite);
    ops_state_cases(suite);
    ops_reduce_cases(suite);
    ops_matmul_cases(suite);
    ops_conv2d_cases(suite);
    ops_pool2d_cases(suite);
    ops_rows_cases(suite);
    ops_compose_cases(suite);
    ops_augment_cases(suite);
    TCase *table = testing_case(suite, "table");
    tcase_add_test(table, the_table_describes_itself);
    if (!getenv("CK_RUN_CASE")) tcase_add_test(table, every_row_was_exercised);
    return testing_run(suite);
}
