/*
 * Learning rates over time, apart from what is compared with PyTorch (test_golden.c): ends, edges,
 * names, saved state, and the search for a rate.
 */
#include <math.h>

#include "clgrad/clgrad.h"
#include "testing.h"

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

START_TEST(schedules_and_optimizers_are_found_by_name)
{
    for (int i = 0; i < CLG_SCHEDULE_COUNT; i++) {
        clg_schedule_kind kind = CLG_SCHEDULE_COUNT;
        ck_assert(clg_schedule_find(clg_schedule_name((clg_schedule_kind)i), &kind));
        ck_assert_int_eq(kind, i);
    }
    for (int i = 0; i < CLG_OPTIMIZER_COUNT; i++) {
        clg_optimizer_kind kind = CLG_OPTIMIZER_COUNT;
        ck_assert(clg_optimizer_find(clg_optimizer_name((clg_optimizer_kind)i), &kind));
        ck_assert_int_eq(kind, i);
    }
    clg_schedule_kind schedule = CLG_SCHEDULE_COSINE;
    clg_optimizer_kind optimizer = CLG_ADAM;
    ck_assert(!clg_schedule_find("cosinus", &schedule) && schedule == CLG_SCHEDULE_COSINE);
    ck_assert(!clg_optimizer_find("Adam", &optimizer) && optimizer == CLG_ADAM);
    ck_assert_ptr_null(clg_schedule_name(CLG_SCHEDULE_COUNT));
    ck_assert_ptr_null(clg_optimizer_name(CLG_OPTIMIZER_COUNT));
}
END_TEST

/* What ends with the run stays at its end; nothing divides by a length or a period of 0. */
START_TEST(schedules_have_ends_and_survive_empty_options)
{
    static const struct {
        clg_schedule schedule;
        uint64_t step;
        double lr;
    } rows[] = {
        {{.kind = CLG_SCHEDULE_COSINE, .lr = 1, .lr_min = 0.25, .total = 10}, 1000, 0.25},
        {{.kind = CLG_SCHEDULE_POLYNOMIAL, .lr = 1, .lr_min = 0.25, .total = 10}, 10, 0.25},
        {{.kind = CLG_SCHEDULE_ONE_CYCLE, .lr = 1, .total = 10}, 50, 4e-6},
        {{.kind = CLG_SCHEDULE_ONE_CYCLE, .lr = 1, .total = 12, .warmup = 2}, 4, 1},
        {{.kind = CLG_SCHEDULE_ONE_CYCLE, .lr = 1}, 0, 4e-6},
        {{.kind = CLG_SCHEDULE_COSINE, .lr = 1}, 0, 0},
        {{.kind = CLG_SCHEDULE_POLYNOMIAL, .lr = 1}, 5, 0},
        {{.kind = CLG_SCHEDULE_COSINE_RESTARTS, .lr = 1}, 7, 1},
        {{.kind = CLG_SCHEDULE_COSINE_RESTARTS, .lr = 1, .every = 4, .growth = 3}, 16, 1},
        {{.kind = CLG_SCHEDULE_COSINE_RESTARTS, .lr = 1, .every = 4, .growth = 3}, 10, 0.5},
        {{.kind = CLG_SCHEDULE_STEP, .lr = 1}, 2, 0.01},
        {{.kind = CLG_SCHEDULE_STEP, .lr = 1, .every = 10, .warmup = 5}, 12, 0.1},
        {{.kind = CLG_SCHEDULE_MULTI_STEP, .lr = 1}, 1000, 1},
        {{.kind = CLG_SCHEDULE_COUNT, .lr = 1}, 3, 1},
    };
    for (size_t i = 0; i < CLG__COUNT(rows); i++) {
        double lr = clg_schedule_lr(&rows[i].schedule, rows[i].step);
        ck_assert_msg(fabs(lr - rows[i].lr) < 1e-12, "row %zu: %g, not %g", i, lr, rows[i].lr);
    }
}
END_TEST

START_TEST(plateau_texts_are_checked)
{
    static const char *const bad[] = {"",
                                      "1 2",
                                      "3ff0000000000000 0 1 2",
                                      "x 0 0 0 0",
                                      "3ff0000000000000 0 -1 0 0",
                                      "3ff0000000000000 0 1 0 0 7",
                                      "0 0 0 0 0",
                                      "7ff8000000000000 0 0 0 0"};
    clg_plateau p = {.scale = 0.5, .best = 3, .measures = 7, .bad = 2, .cooling = 1}, before = p;
    for (size_t i = 0; i < CLG__COUNT(bad); i++) {
        TEST_FAILS(clg_plateau_parse(&p, bad[i]), CLG_ERROR_FORMAT, "is no state");
        ck_assert_mem_eq(&p, &before, sizeof p);
    }
    ck_assert(clg_plateau_update(&(clg_plateau){0}, NAN) == 0.1); /* NaN is no improvement */
}
END_TEST

/* A loss that is flat, falls fastest at 1e-2, and explodes above 1. */
static double synthetic_loss(double lr)
{
    double x = log10(lr);
    return 2.0 - 1.5 / (1.0 + exp(-4.0 * (x + 2.0))) + (x > 0 ? 50.0 * x : 0.0);
}

START_TEST(the_steepest_fall_is_found)
{
    clg_lr_range range = {.lowest = 1e-6, .highest = 100, .steps = 161};
    double losses[161], smooth[161];
    size_t n = 0;
    bool stop = false;
    while (n < 161 && !stop) {
        losses[n] = synthetic_loss(clg_lr_range_rate(&range, n));
        n++;
        stop = clg_lr_range_smooth(losses, n, smooth);
    }
    ck_assert(stop && n > 120);
    ck_assert_double_eq_tol(clg_lr_range_rate(&range, 0), 1e-6, 1e-18);
    ck_assert_double_eq_tol(clg_lr_range_rate(&range, 160), 100, 1e-9);
    double lr = clg_lr_range_suggest(&range, smooth, n);
    ck_assert_msg(lr > 0.7e-2 && lr < 6e-2, "%g", lr); /* smoothing lags behind by ten steps */
    ck_assert(clg_lr_range_suggest(&range, smooth, 3) == 0);
    ck_assert(clg_lr_range_suggest(&range, (double[]){1, 2, 3, 4, 5}, 5) == 0);
    ck_assert(clg_lr_range_smooth((double[]){1, NAN}, 2, smooth));
    ck_assert(!clg_lr_range_smooth(losses, 0, smooth));
    clg_lr_range standard = {0};
    ck_assert_double_eq_tol(clg_lr_range_rate(&standard, 0), 1e-7, 1e-18);
    ck_assert_double_eq_tol(clg_lr_range_rate(&standard, 99), 10, 1e-9);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *schedules = testing_case(suite, "schedules");
    tcase_add_test(schedules, warmup_grows_linearly_to_the_highest_rate);
    tcase_add_test(schedules, schedules_have_ends_and_survive_empty_options);
    tcase_add_test(schedules, schedules_and_optimizers_are_found_by_name);
    TCase *measures = testing_case(suite, "measures");
    tcase_add_test(measures, plateau_texts_are_checked);
    tcase_add_test(measures, the_steepest_fall_is_found);
    return testing_run(suite);
}
