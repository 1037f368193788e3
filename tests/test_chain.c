/*
 * Chains of clusters that work on the same rows (src/program/chain.c): values are those of a
 * reference in double, one kernel does what were several, and what is read elsewhere stays in
 * memory.
 */
#include "evaluate.h"

#include "program/program.h"

enum { ROWS = 37 };

/* Exponentials shifted by the largest element, and what is left of them divided by their sum. */
static void softmax_reference(const float *x, int columns, double *e, double *y)
{
    double largest = -INFINITY, sum = 0;
    for (int i = 0; i < columns; i++) largest = fmax(largest, x[i]);
    for (int i = 0; i < columns; i++) sum += e[i] = exp(x[i] - largest);
    for (int i = 0; i < columns; i++) y[i] = e[i] / sum;
}

static void assert_softmax(const array *x, const array *e, const array *y, int columns)
{
    double *expected = malloc(2 * (size_t)x->count * sizeof(double));
    for (int64_t i = 0; i < x->count; i += columns)
        softmax_reference(x->data + i, columns, expected + i, expected + x->count + i);
    if (e) assert_close("exp", e, expected, 1e-6);
    assert_close("softmax", y, expected + x->count, 1e-6);
    free(expected);
}

static clg_program *compile(clg_context *ctx, clg_graph *g, clg_tensor **outputs, size_t n)
{
    clg_program *p = NULL;
    TEST_OK(
        clg_program_compile(&p, ctx, g, clg_program_options(.outputs = outputs, .n_outputs = n)));
    return p;
}

/* In vectors, with a rest, shorter than a vector, and too long for a chain; also a smaller batch.
 */
START_TEST(softmax_is_one_kernel)
{
    static const int columns[] = {32, 1000, 5, 1, 16385};
    clg_context *ctx = engine_context("cpu");
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = ROWS));
    array x = array_random((int64_t)ROWS * columns[_i], 1), y = {0}, fewer = {0};
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, columns[_i]));
    y.tensor = fewer.tensor = clg_softmax(x.tensor, 1);
    clg_program *p = compile(ctx, g, &y.tensor, 1);
    clg_program_stats stats;
    clg_program_query(p, &stats);
    ck_assert_uint_eq(stats.launches == 1, columns[_i] < 16385);
    evaluate_program(p, (array *[]){&x}, 1, (array *[]){&y}, 1);
    assert_softmax(&x, NULL, &y, columns[_i]);
    TEST_OK(clg_program_set_batch(p, 3));
    x.count = fewer.count = 3 * (int64_t)columns[_i];
    fewer.data = malloc((size_t)fewer.count * sizeof(float));
    evaluate_program(p, (array *[]){&x}, 1, (array *[]){&fewer}, 1);
    ck_assert_mem_eq(fewer.data, y.data, (size_t)fewer.count * sizeof(float));
    clg_program_destroy(p);
    free(x.data);
    free(y.data);
    free(fewer.data);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* The exponentials lie in the result's memory, unless somebody else wants them. */
START_TEST(what_only_the_chain_reads_takes_no_memory)
{
    clg_context *ctx = engine_context("cpu");
    clg_graph *g = clg_graph_create(NULL);
    const int columns = 40;
    array x = array_random(ROWS * columns, 1), e = {0}, y = {0};
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(ROWS, columns));
    e.tensor = clg_exp(clg_sub(x.tensor, clg_max(x.tensor, CLG_AXIS(1), true)));
    y.tensor = clg_div(e.tensor, clg_sum(e.tensor, CLG_AXIS(1), true));
    clg_program *alone = compile(ctx, g, &y.tensor, 1);
    clg_program *both = compile(ctx, g, (clg_tensor *[]){e.tensor, y.tensor}, 2);
    ck_assert_int_eq(alone->ir.values[e.tensor->id].parent, y.tensor->id);
    ck_assert_int_eq(both->ir.values[e.tensor->id].parent, -1);
    evaluate_program(alone, (array *[]){&x}, 1, (array *[]){&y}, 1);
    assert_softmax(&x, NULL, &y, columns);
    evaluate_program(both, (array *[]){&x}, 1, (array *[]){&e, &y}, 2);
    assert_softmax(&x, &e, &y, columns);
    clg_program_destroy(alone);
    clg_program_destroy(both);
    free(x.data);
    free(e.data);
    free(y.data);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* A row of two axes that one of the clusters cannot walk as one; backward is a chain of its own. */
START_TEST(rows_of_several_axes_are_normalized)
{
    enum { H = 3, W = 21, N = H * W };
    clg_context *ctx = engine_context("cpu");
    clg_graph *g = clg_graph_create(NULL);
    array x = array_random(ROWS * N, 1), scale = array_random(W, 2), y = {0};
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(ROWS, H, W));
    scale.tensor = clg_input(g, "scale", CLG_F32, CLG_SHAPE(W));
    y.tensor = clg_mul(clg_layer_norm(x.tensor, 2, NULL, NULL, 1e-5), scale.tensor);
    evaluate(ctx, g, (array *[]){&x, &scale}, 2, (array *[]){&y}, 1);
    double *expected = malloc((size_t)x.count * sizeof *expected);
    for (int r = 0; r < ROWS; r++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < N; i++) mean += (double)x.data[r * N + i] / N;
        for (int i = 0; i < N; i++) variance += pow(x.data[r * N + i] - mean, 2) / N;
        for (int i = 0; i < N; i++)
            expected[r * N + i] =
                (x.data[r * N + i] - mean) / sqrt(variance + 1e-5) * scale.data[i % W];
    }
    assert_close("layer_norm", &y, expected, 1e-5);
    free(expected);
    free(x.data);
    free(scale.data);
    free(y.data);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* argmin's maximum is needed by what argmax's chain computes as well: it cannot follow that. */
START_TEST(what_a_chain_waits_for_stays_in_front_of_it)
{
    enum { COLUMNS = 7 };
    clg_context *ctx = engine_context("cpu");
    clg_graph *g = clg_graph_create(NULL);
    array a = array_random(ROWS * COLUMNS, 1), b = array_random(ROWS * COLUMNS, 2);
    array most = {0}, least = {0};
    a.tensor = clg_input(g, "a", CLG_F32, CLG_SHAPE(ROWS, COLUMNS));
    b.tensor = clg_input(g, "b", CLG_F32, CLG_SHAPE(ROWS, COLUMNS));
    most.tensor = clg_argmax(a.tensor, 1);
    least.tensor = clg_argmin(b.tensor, 1);
    evaluate(ctx, g, (array *[]){&a, &b}, 2, (array *[]){&most, &least}, 2);
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < COLUMNS; i++) {
            const float *x = a.data + r * COLUMNS, *y = b.data + r * COLUMNS;
            ck_assert_float_le(x[i], x[(int)most.data[r]]);
            ck_assert_float_ge(y[i], y[(int)least.data[r]]);
        }
    array *all[] = {&a, &b, &most, &least};
    for (int i = 0; i < 4; i++) free(all[i]->data);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chain");
    TCase *chains = testing_case(suite, "chains");
    tcase_add_loop_test(chains, softmax_is_one_kernel, 0, 5);
    tcase_add_test(chains, what_only_the_chain_reads_takes_no_memory);
    tcase_add_test(chains, what_a_chain_waits_for_stays_in_front_of_it);
    tcase_add_test(chains, rows_of_several_axes_are_normalized);
    return testing_run(suite);
}
