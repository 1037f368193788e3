/*
 * Schedules, optimizers and layers. Optimizers are compared with 20 steps of PyTorch in double
 * precision (golden/optimizers.py).
 */
#include <math.h>

#include "clgrad/nn.h"
#include "golden/optimizers.h"
#include "testing.h"

/* ---- schedules ---- */

START_TEST(cosine_is_that_of_torch)
{
    clg_schedule s = {
        .kind = CLG_SCHEDULE_COSINE, .lr = 0.1, .lr_min = 0.004, .total = GOLDEN_STEPS};
    for (uint64_t step = 0; step <= GOLDEN_STEPS; step++)
        ck_assert_double_eq_tol(clg_schedule_lr(&s, step), golden_cosine[step], 1e-9);
    ck_assert(clg_schedule_lr(&s, 1000) == 0.004);
}
END_TEST

START_TEST(warmup_grows_linearly_to_the_highest_rate)
{
    clg_schedule s = {.lr = 0.4, .warmup = 4};
    static const double expected[] = {0.1, 0.2, 0.3, 0.4, 0.4, 0.4};
    for (uint64_t step = 0; step < 6; step++)
        ck_assert_double_eq_tol(clg_schedule_lr(&s, step), expected[step], 1e-15);
    s.kind = CLG_SCHEDULE_COSINE;
    s.total = 6;
    ck_assert_double_eq_tol(clg_schedule_lr(&s, 3), 0.4, 1e-15);
    ck_assert_double_eq_tol(clg_schedule_lr(&s, 5), 0.2, 1e-15);
    ck_assert(clg_schedule_lr(&s, 6) == 0.0);
    s.total = 2; /* all warm-up */
    ck_assert_double_eq_tol(clg_schedule_lr(&s, 3), 0.4, 1e-15);
    ck_assert(clg_schedule_lr(&s, 4) == 0.0);
}
END_TEST

START_TEST(schedules_are_found_by_name)
{
    for (int i = 0; i < CLG_SCHEDULE_COUNT; i++) {
        clg_schedule_kind kind = CLG_SCHEDULE_COUNT;
        ck_assert(clg_schedule_find(clg_schedule_name((clg_schedule_kind)i), &kind));
        ck_assert_int_eq(kind, i);
    }
    clg_schedule_kind kind = CLG_SCHEDULE_COSINE;
    ck_assert(!clg_schedule_find("cosinus", &kind));
    ck_assert_int_eq(kind, CLG_SCHEDULE_COSINE);
    ck_assert_ptr_null(clg_schedule_name(CLG_SCHEDULE_COUNT));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nn");
    TCase *schedules = testing_case(suite, "schedules");
    tcase_add_test(schedules, cosine_is_that_of_torch);
    tcase_add_test(schedules, warmup_grows_linearly_to_the_highest_rate);
    tcase_add_test(schedules, schedules_are_found_by_name);
    return testing_run(suite);
}
