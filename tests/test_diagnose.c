/*
 * Finding the first NaN or Inf: in inputs, in variables, in operations inside fused kernels, in the
 * backward pass; with the dropout of the run that had it; and that nothing changes by looking.
 */
#include <math.h>

#include "clgrad/clgrad.h"
#include "testing_context.h"

enum { BATCH = 4 };

typedef struct setup {
    clg_context *ctx;
    clg_graph *g;
    clg_tensor *x, *loss;
    clg_program *step;
} setup;

/* loss = mean(f(dropout(tanh(x w1 + b1)) w2 + b2)) */
static setup start(clg_tensor *(*f)(clg_tensor *), double dropout)
{
    setup s = {0};
    s.ctx = testing_context();
    s.g = clg_graph_create(clg_graph_options(.batch = BATCH, .seed = 5));
    s.x = clg_input(s.g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 3));
    clg_tensor *h = clg_dropout(clg_tanh(clg_linear_layer(s.x, "first", 5, NULL)), dropout);
    s.loss = clg_mean(f(clg_linear_layer(h, "second", 2, NULL)), 0, false);
    return s;
}

static void compile(setup *s)
{
    TEST_OK(clg_minimize(s->loss, clg_optimizer_options(.lr = 0.1, .skip_nonfinite = true), NULL));
    TEST_OK(clg_program_compile(
        &s->step, s->ctx, s->g,
        clg_program_options(.outputs = &s->loss, .n_outputs = 1, .mode = CLG_TRAINING)));
}

static void run(const setup *s, float value)
{
    float x[BATCH * 3];
    for (int i = 0; i < BATCH * 3; i++) x[i] = 0.1f * (float)(i % 5) - 0.2f;
    x[7] = value;
    int64_t rows = isnan(value) ? 3 : BATCH; /* also at another batch size */
    TEST_OK(clg_program_set_batch(s->step, rows));
    TEST_OK(clg_program_feed(s->step, s->x, x, (size_t)rows * 3 * sizeof *x));
    TEST_OK(clg_program_run(s->step));
}

static void finish(setup *s)
{
    clg_program_destroy(s->step);
    clg_graph_destroy(s->g);
    clg_context_destroy(s->ctx);
}

static void expect(const setup *s, const char *text, uint64_t step)
{
    clg_nonfinite found;
    uint64_t steps = clg_graph_steps(s->g);
    TEST_OK(clg_program_find_nonfinite(s->step, &found));
    ck_assert_uint_eq(clg_graph_steps(s->g), steps);
    ck_assert_uint_eq(found.step, step);
    if (!text) {
        ck_assert_msg(!found.tensor, "found %s", found.text);
        return;
    }
    ck_assert_ptr_nonnull(found.tensor);
    ck_assert_msg(strstr(found.text, text) == found.text, "found %s, not %s", found.text, text);
    ck_assert(!isfinite(found.value));
}

START_TEST(inputs_and_variables_are_found)
{
    setup s = start(clg_square, 0);
    compile(&s);
    clg_nonfinite found;
    TEST_FAILS(clg_program_find_nonfinite(s.step, &found), CLG_ERROR_ARGUMENT, "has not run");
    run(&s, 0);
    expect(&s, NULL, 1);
    run(&s, NAN);
    expect(&s, "x (input), (4, 3)", 2);
    TEST_OK(clg_program_find_nonfinite(s.step, &found));
    ck_assert_int_eq(found.index, 7);
    run(&s, 0);
    float w[10] = {1, 2, 3, INFINITY};
    TEST_OK(clg_variable_write(clg_graph_find(s.g, "second.weight"), w, 10));
    run(&s, 0);
    expect(&s, "second.weight (variable)", 4);
    finish(&s);
}
END_TEST

static clg_tensor *log_inside(clg_tensor *x)
{
    clg_tensor *y = clg_log(clg_mul(x, clg_scalar(clg_tensor_graph(x), 3.0)));
    return clg_square(clg_add(y, x));
}

START_TEST(operations_inside_kernels_are_found)
{
    setup s = start(log_inside, 0);
    compile(&s);
    float bias[2] = {9, 9};
    TEST_OK(clg_variable_write(clg_graph_find(s.g, "second.bias"), bias, 2));
    run(&s, 0);
    expect(&s, NULL, 1);
    bias[1] = -9;
    TEST_OK(clg_variable_write(clg_graph_find(s.g, "second.bias"), bias, 2));
    run(&s, 0);
    expect(&s, "log of second.bias", 2);
    finish(&s);
}
END_TEST

static clg_tensor *normalized(clg_tensor *x)
{
    return clg_square(clg_batch_norm_layer(x, "norm", NULL));
}

/* Running statistics are NaN after the run, because the sum before them was. */
START_TEST(consequences_are_not_causes)
{
    setup s = start(normalized, 0);
    compile(&s);
    float bias[2] = {3e38f, 3e38f}, w[10];
    for (int i = 0; i < 10; i++) w[i] = i % 2 ? 3e38f : 0.1f;
    TEST_OK(clg_variable_write(clg_graph_find(s.g, "second.bias"), bias, 2));
    TEST_OK(clg_variable_write(clg_graph_find(s.g, "second.weight"), w, 10));
    TEST_OK(clg_variable_write(clg_graph_find(s.g, "first.bias"), (float[]){9, 9, 9, 9, 9}, 5));
    run(&s, 0);
    float mean[2];
    TEST_OK(clg_variable_read(clg_graph_find(s.g, "norm.running_mean"), mean, 2));
    ck_assert(!isfinite(mean[1]));
    expect(&s, "matmul of second.weight", 1);
    finish(&s);
}
END_TEST

/* sqrt is finite at 0, its gradient is not. */
static clg_tensor *root(clg_tensor *x)
{
    return clg_sqrt(clg_relu(x));
}

START_TEST(gradients_are_found)
{
    setup s = start(root, 0);
    compile(&s);
    float bias[2] = {-9, -9};
    TEST_OK(clg_variable_write(clg_graph_find(s.g, "second.bias"), bias, 2));
    run(&s, 0);
    expect(&s, "div", 1); /* 0.5 g / sqrt(relu(..)) */
    finish(&s);
}
END_TEST

static clg_tensor *first_is_spared(clg_tensor *x)
{
    return clg_log(clg_abs(x));
}

/* With all weights and biases of the second layer 1 and 0, a result is 0 only if dropout hits all
 * five hidden units of a row: that happens in some steps, and must be found in just those. */
START_TEST(chance_is_that_of_the_run)
{
    setup s = start(first_is_spared, 0.5);
    compile(&s);
    float w[10], b[2] = {0, 0};
    for (int i = 0; i < 10; i++) w[i] = 1;
    int bad = 0;
    for (uint64_t step = 1; step <= 30; step++) {
        TEST_OK(clg_variable_write(clg_graph_find(s.g, "second.weight"), w, 10));
        TEST_OK(clg_variable_write(clg_graph_find(s.g, "second.bias"), b, 2));
        run(&s, 0);
        float loss;
        TEST_OK(clg_program_read(s.step, s.loss, &loss, sizeof loss));
        if (isfinite(loss) && step % 10) continue;
        bad += !isfinite(loss);
        if (isfinite(loss))
            TEST_OK(clg_variable_write(clg_graph_find(s.g, "second.weight"), w, 10));
        if (isfinite(loss)) TEST_OK(clg_variable_write(clg_graph_find(s.g, "second.bias"), b, 2));
        expect(&s, isfinite(loss) ? NULL : "log of", step);
    }
    ck_assert_int_gt(bad, 0);
    finish(&s);
}
END_TEST

/* Whatever fails on the way is reported, nothing leaks, and the answer comes afterwards. */
START_TEST(failures_are_reported)
{
    for (int kind = CLG__FAULT_ALLOC; kind <= CLG__FAULT_OPENCL; kind++) {
        setup s = start(log_inside, 0);
        compile(&s);
        run(&s, 0);
        clg_nonfinite found;
        bool done = false;
        for (uint64_t n = 1; !done; n += 1 + n / 8) {
            clg__fault_set((clg__fault_kind)kind, n, false, kind == CLG__FAULT_OPENCL ? -36 : 0);
            clg_status status = clg_program_find_nonfinite(s.step, &found);
            done = clg__fault_passed((clg__fault_kind)kind) < n;
            clg__fault_set((clg__fault_kind)kind, 0, false, 0);
            if (done) TEST_OK(status);
        }
        finish(&s);
        testing_nothing_live();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("diagnose");
    TCase *search = testing_case(suite, "search");
    tcase_set_timeout(search, 600);
    tcase_add_test(search, inputs_and_variables_are_found);
    tcase_add_test(search, operations_inside_kernels_are_found);
    tcase_add_test(search, consequences_are_not_causes);
    tcase_add_test(search, gradients_are_found);
    tcase_add_test(search, chance_is_that_of_the_run);
    tcase_add_test(search, failures_are_reported);
    return testing_run(suite);
}
