/*
 * Sources and state: constants, positions, random numbers, the step number; assignments, updates
 * and values that depend on the mode.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* What most tests here need: a context, a graph, a program, freed together. */
typedef struct fixture {
    clg_context *ctx;
    clg_graph *g;
    clg_program *program;
} fixture;

static fixture start(int64_t batch)
{
    return (fixture){op_check_context(),
                     clg_graph_create(clg_graph_options(.batch = batch, .seed = 3)), NULL};
}

static void finish(fixture *f)
{
    clg_program_destroy(f->program);
    clg_graph_destroy(f->g);
    clg_context_destroy(f->ctx);
}

static void compile(fixture *f, clg_tensor *const *outputs, size_t n, clg_program_mode mode)
{
    clg_program_destroy(f->program);
    f->program = op_check_compile(f->ctx, f->g, outputs, n, mode);
}

/* Runs once and compares output t. */
static void expect(fixture *f, clg_tensor *t, const double *want, int64_t count)
{
    float got[64];
    TEST_OK(clg_program_run(f->program));
    op_check_read(f->program, t, got, count);
    op_check_close(clg_tensor_op(t), "value", got, want, count, 1e-6);
}

START_TEST(constants_and_positions)
{
    fixture f = start(1);
    clg_tensor *data = clg_constant(f.g, CLG_SHAPE(2, 3), (float[]){1, 2, 3, 4, 5, 6});
    clg_tensor *full = clg_full(f.g, CLG_SHAPE(2, 3), -2.5);
    clg_tensor *sum = clg_add(data, clg_add(clg_iota(data, 0), clg_mul(clg_iota(data, 1), full)));
    clg_tensor *outputs[] = {sum, data, full, clg_iota(data, -1)};
    compile(&f, outputs, 4, CLG_INFERENCE);
    expect(&f, sum, (double[]){1, -0.5, -2, 5, 3.5, 2}, 6);
    expect(&f, data, (double[]){1, 2, 3, 4, 5, 6}, 6);
    expect(&f, full, (double[]){-2.5, -2.5, -2.5, -2.5, -2.5, -2.5}, 6);
    expect(&f, outputs[3], (double[]){0, 1, 2, 0, 1, 2}, 6);
    finish(&f);
}
END_TEST

START_TEST(numbers_follow_the_batch)
{
    fixture f = start(4);
    clg_tensor *x = clg_input(f.g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 2));
    clg_tensor *mean = clg_mean(x, 0, false), *sum = clg_sum(clg_full(f.g, x->shape, 1), 0, false);
    clg_tensor *outputs[] = {mean, sum};
    compile(&f, outputs, 2, CLG_INFERENCE);
    const float data[] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (int64_t batch = 4; batch >= 1; batch--) {
        TEST_OK(clg_program_set_batch(f.program, batch));
        op_check_feed(f.program, x, data, 2 * batch);
        expect(&f, mean, &(double){(2.0 * (double)batch + 1) / 2}, 1);
        expect(&f, sum, &(double){2.0 * (double)batch}, 1);
    }
    finish(&f);
}
END_TEST

/* `value` times the batch size: one number, not known before a batch size is. */
static clg_tensor *counted(clg_graph *g, double value)
{
    return clg_sum(clg_full(g, CLG_SHAPE(CLG_BATCH), value), 0, false);
}

/* A kernel that stores two such numbers tells them from each other. */
START_TEST(numbers_that_are_stored_follow_the_batch)
{
    fixture f = start(4);
    clg_tensor *one = counted(f.g, 1), *two = counted(f.g, 2);
    clg_tensor *outputs[] = {one, two, clg_sub(one, two)};
    compile(&f, outputs, 3, CLG_INFERENCE);
    clg_program_stats stats;
    clg_program_query(f.program, &stats);
    ck_assert_uint_eq(stats.launches, 1);
    for (int64_t batch = 4; batch >= 1; batch--) {
        TEST_OK(clg_program_set_batch(f.program, batch));
        expect(&f, one, &(double){(double)batch}, 1);
        expect(&f, two, &(double){2.0 * (double)batch}, 1);
        expect(&f, outputs[2], &(double){-1.0 * (double)batch}, 1);
    }
    finish(&f);
}
END_TEST

/* More of them than a kernel takes: each operation reads two, the first one three. */
START_TEST(more_numbers_than_one_kernel_takes)
{
    enum { OPERATIONS = 70 };
    fixture f = start(3);
    clg_tensor *chosen = counted(f.g, 0.5);
    for (int i = 1; i <= OPERATIONS; i++)
        chosen = clg_where(chosen, counted(f.g, i), counted(f.g, -i));
    compile(&f, &chosen, 1, CLG_INFERENCE);
    for (int64_t batch = 3; batch >= 1; batch--) {
        TEST_OK(clg_program_set_batch(f.program, batch));
        expect(&f, chosen, &(double){OPERATIONS * (double)batch}, 1);
    }
    finish(&f);
}
END_TEST

START_TEST(bytes_and_integers_become_numbers)
{
    fixture f = start(1);
    clg_tensor *bytes = clg_input(f.g, "bytes", CLG_U8, CLG_SHAPE(2, 3));
    clg_tensor *ints = clg_input(f.g, "ints", CLG_I32, CLG_SHAPE(3));
    clg_tensor *sum = clg_add(bytes, ints);
    clg_tensor *turned = clg_square(clg_transpose(bytes, (int[]){1, 0}));
    clg_tensor *total = clg_sum(bytes, 0, false);
    clg_tensor *product = clg_matmul(bytes, clg_reshape(ints, CLG_SHAPE(3, 1)), NULL);
    clg_tensor *outputs[] = {sum, turned, total, product};
    compile(&f, outputs, 4, CLG_INFERENCE);
    const uint8_t b[] = {0, 1, 2, 3, 200, 255};
    TEST_OK(clg_program_feed(f.program, bytes, b, sizeof b));
    const int32_t i[] = {-5, 7, 1000};
    TEST_OK(clg_program_feed(f.program, ints, i, sizeof i));
    expect(&f, sum, (double[]){-5, 8, 1002, -2, 207, 1255}, 6);
    expect(&f, turned, (double[]){0, 9, 1, 40000, 4, 65025}, 6);
    expect(&f, total, (double[]){461}, 1);
    expect(&f, product, (double[]){2007, 256385}, 2);
    finish(&f);
}
END_TEST

/* Mean and variance of n numbers. */
static void moments(const float *x, int n, double *mean, double *variance)
{
    *mean = *variance = 0;
    for (int i = 0; i < n; i++) *mean += x[i] / (double)n;
    for (int i = 0; i < n; i++) *variance += (x[i] - *mean) * (x[i] - *mean) / (double)n;
}

START_TEST(random_numbers_are_uniform_new_each_step_and_repeatable)
{
    enum { N = 20000 };
    fixture f = start(1);
    clg_tensor *like = clg_full(f.g, CLG_SHAPE(N), 0);
    clg_tensor *outputs[] = {clg_random_uniform(like), clg_random_uniform(like)};
    compile(&f, outputs, 2, CLG_TRAINING);
    float *x[4];
    for (int i = 0; i < 4; i++) x[i] = malloc(N * sizeof **x);
    for (int step = 0; step < 2; step++) { /* two streams at two steps */
        TEST_OK(clg_program_run(f.program));
        for (int i = 0; i < 2; i++) op_check_read(f.program, outputs[i], x[2 * step + i], N);
    }
    for (int i = 0; i < 4; i++) {
        double mean, variance;
        moments(x[i], N, &mean, &variance);
        ck_assert_double_eq_tol(mean, 0.5, 0.01);
        ck_assert_double_eq_tol(variance, 1.0 / 12, 0.002);
        for (int j = 0; j < N; j++) ck_assert(x[i][j] > 0 && x[i][j] < 1);
        for (int j = 0; j < i; j++) ck_assert_mem_ne(x[i], x[j], N * sizeof **x);
    }
    clg_graph_set_steps(f.g, 0);
    TEST_OK(clg_program_run(f.program));
    op_check_read(f.program, outputs[0], x[1], N);
    ck_assert_mem_eq(x[0], x[1], N * sizeof **x);
    for (int i = 0; i < 4; i++) free(x[i]);
    finish(&f);
}
END_TEST

START_TEST(the_step_number_counts_training_runs)
{
    fixture f = start(1);
    clg_tensor *step = clg_mul(clg_step_number(f.g), clg_scalar(f.g, 1));
    compile(&f, &step, 1, CLG_TRAINING);
    expect(&f, step, (double[]){1}, 1);
    expect(&f, step, (double[]){2}, 1);
    ck_assert_uint_eq(clg_graph_steps(f.g), 2);
    clg_graph_set_steps(f.g, 41);
    expect(&f, step, (double[]){42}, 1);
    compile(&f, &step, 1, CLG_TRAINING_FORWARD);
    TEST_OK(clg_program_run(f.program));
    ck_assert_uint_eq(clg_graph_steps(f.g), 42);
    finish(&f);
}
END_TEST

START_TEST(modes_choose_their_branch_in_value_and_gradient)
{
    static const clg_program_mode modes[] = {CLG_INFERENCE, CLG_TRAINING, CLG_TRAINING_FORWARD};
    fixture f = start(1);
    clg_tensor *x = clg_input(f.g, "x", CLG_F32, CLG_SHAPE(2)), *dx, *second;
    clg_tensor *y = clg_by_mode(clg_square(x), clg_mul(x, clg_scalar(f.g, 5)));
    TEST_OK(clg_vjp(y, clg_full(f.g, CLG_SHAPE(2), 1), &x, 1, &dx));
    TEST_OK(clg_vjp(dx, clg_full(f.g, CLG_SHAPE(2), 1), &x, 1, &second));
    clg_tensor *outputs[] = {y, dx, second};
    for (int i = 0; i < 3; i++) {
        compile(&f, outputs, 3, modes[i]);
        op_check_feed(f.program, x, (float[]){3, -4}, 2);
        expect(&f, y, i ? (double[]){9, 16} : (double[]){15, -20}, 2);
        expect(&f, dx, i ? (double[]){6, -8} : (double[]){5, 5}, 2);
        expect(&f, second, i ? (double[]){2, 2} : (double[]){0, 0}, 2);
    }
    op_check_differentiated(y, 2);
    finish(&f);
}
END_TEST

/* The optimizer's programs: a graph without an optimizer has to be told that it may have them. */
START_TEST(steps_from_accumulated_gradients_choose_their_branch)
{
    fixture f = start(1);
    clg_tensor *x = clg_input(f.g, "x", CLG_F32, CLG_SHAPE(2));
    clg_tensor *y = clg__by_accumulation(clg_square(x), clg_mul(x, clg_scalar(f.g, 5)));
    f.g->accumulates = true;
    for (int i = 0; i < 2; i++) {
        compile(&f, &y, 1, i ? CLG_UPDATE : CLG_ACCUMULATION);
        op_check_feed(f.program, x, (float[]){3, -4}, 2);
        expect(&f, y, i ? (double[]){15, -20} : (double[]){9, 16}, 2);
    }
    ck_assert_uint_eq(clg_graph_accumulated(f.g), 0);
    ck_assert_uint_eq(clg_graph_steps(f.g), 1);
    finish(&f);
}
END_TEST

START_TEST(gradients_stop_where_told)
{
    fixture f = start(1);
    clg_tensor *x = clg_input(f.g, "x", CLG_F32, CLG_SHAPE(2)), *dx;
    clg_tensor *y = clg_mul(x, clg_stop_gradient(clg_square(x)));
    TEST_OK(clg_vjp(y, clg_full(f.g, CLG_SHAPE(2), 1), &x, 1, &dx));
    clg_tensor *outputs[] = {y, dx};
    compile(&f, outputs, 2, CLG_INFERENCE);
    op_check_feed(f.program, x, (float[]){3, -2}, 2);
    expect(&f, y, (double[]){27, -8}, 2);
    expect(&f, dx, (double[]){9, 4}, 2);
    finish(&f);
}
END_TEST

START_TEST(assignments_take_effect_at_the_end_of_a_run)
{
    fixture f = start(1);
    clg_tensor *a = clg_variable(f.g, "a", CLG_SHAPE(2), CLG_INIT(CLG_INIT_CONSTANT, 1), false);
    clg_tensor *b = clg_variable(f.g, "b", CLG_SHAPE(2), CLG_INIT(CLG_INIT_CONSTANT, 2), false);
    /* a, b = b + 1, a: each reads what the other was before */
    clg_tensor *outputs[] = {clg_assign(a, clg_add(b, clg_scalar(f.g, 1))), clg_assign(b, a),
                             clg_add(a, b)};
    compile(&f, outputs, 3, CLG_INFERENCE);
    expect(&f, outputs[2], (double[]){3, 3}, 2);
    expect(&f, outputs[2], (double[]){4, 4}, 2); /* 3 + 1 */
    float got[2];
    TEST_OK(clg_variable_read(a, got, 2));
    op_check_close("a", "after two runs", got, (double[]){2, 2}, 2, 0);
    TEST_OK(clg_variable_read(b, got, 2));
    op_check_close("b", "after two runs", got, (double[]){3, 3}, 2, 0);
    TEST_OK(clg_variable_write(b, (float[]){10, 20}, 2));
    expect(&f, outputs[2], (double[]){12, 22}, 2);
    finish(&f);
}
END_TEST

START_TEST(updates_run_in_training_only)
{
    fixture f = start(1);
    clg_tensor *count = clg_variable(f.g, "n", CLG_SCALAR, CLG_INIT(CLG_INIT_ZEROS), false);
    clg_tensor *out = clg_mul(count, clg_scalar(f.g, 10));
    clg_graph_update(clg_assign(count, clg_add(count, clg_scalar(f.g, 1))));
    static const clg_program_mode modes[] = {CLG_INFERENCE, CLG_TRAINING_FORWARD, CLG_TRAINING};
    for (int i = 0; i < 3; i++) {
        compile(&f, &out, 1, modes[i]);
        TEST_OK(clg_program_run(f.program));
        float value;
        TEST_OK(clg_variable_read(count, &value, 1));
        ck_assert_float_eq(value, modes[i] == CLG_TRAINING ? 1.0f : 0.0f);
    }
    finish(&f);
}
END_TEST

START_TEST(mistakes_are_named)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *v = clg_variable(g, "v", CLG_SHAPE(2), CLG_INIT(CLG_INIT_ZEROS), true);
    ck_assert_ptr_null(clg_assign(v, clg_full(g, CLG_SHAPE(3), 1)));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT,
               "assign: variable \"v\" has shape (2), the value (3)");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    clg_tensor *constant = clg_constant(g, CLG_SHAPE(2), (float[]){1, 2});
    ck_assert_ptr_null(clg_assign(constant, constant));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "not a variable");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    clg_graph_update(clg_full(g, CLG_SHAPE(3), 1));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "a node of \"full\" is no assignment");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    ck_assert_ptr_null(clg_by_mode(clg_scalar(g, 1), clg_full(g, CLG_SHAPE(1), 1)));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "by_mode: the shapes () (training)");
    clg_graph_destroy(g);
}
END_TEST

void ops_state_cases(Suite *suite)
{
    TCase *state = testing_case(suite, "state");
    tcase_add_test(state, constants_and_positions);
    tcase_add_test(state, numbers_follow_the_batch);
    tcase_add_test(state, numbers_that_are_stored_follow_the_batch);
    tcase_add_test(state, more_numbers_than_one_kernel_takes);
    tcase_add_test(state, bytes_and_integers_become_numbers);
    tcase_add_test(state, random_numbers_are_uniform_new_each_step_and_repeatable);
    tcase_add_test(state, the_step_number_counts_training_runs);
    tcase_add_test(state, modes_choose_their_branch_in_value_and_gradient);
    tcase_add_test(state, steps_from_accumulated_gradients_choose_their_branch);
    tcase_add_test(state, gradients_stop_where_told);
    tcase_add_test(state, assignments_take_effect_at_the_end_of_a_run);
    tcase_add_test(state, updates_run_in_training_only);
    tcase_add_test(state, mistakes_are_named);
}
