/*
 * What a program keeps from run to run: inputs in another arrangement, and what variables alone
 * make. It is made once as long as variables stay the same, and anew after every way to change
 * them; arrangements are shared by the steps that read them in the same way (on the CPU engine,
 * whose products pack weights).
 */
#include <CL/cl.h>

#include "evaluate.h"

enum { ROWS = 3, IN = 5, OUT = 37 };

/* y (ROWS, OUT) = x w, or what make_scaled says */
typedef struct network {
    clg_context *ctx;
    clg_graph *graph;
    clg_tensor *w;
    array x, y;
    clg_program *program;
} network;

static network make_network(void)
{
    network n = {.graph = clg_graph_create(clg_graph_options(.batch = ROWS)),
                 .x = array_random((int64_t)ROWS * IN, 1)};
    setenv("CLGRAD_ENGINE", "cpu", 1);
    TEST_OK(clg_context_create(&n.ctx, clg_context_options(.profiling = true)));
    unsetenv("CLGRAD_ENGINE");
    n.x.tensor = clg_input(n.graph, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, IN));
    n.w = clg_variable(n.graph, "w", CLG_SHAPE(IN, OUT),
                       CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 1.0), true);
    n.y.tensor = clg_matmul(n.x.tensor, n.w, NULL);
    n.program = compile_outputs(n.ctx, n.graph, (array *[]){&n.y}, 1);
    return n;
}

static void free_network(network *n)
{
    clg_program_destroy(n->program);
    clg_graph_destroy(n->graph);
    clg_context_destroy(n->ctx);
    free(n->x.data);
    free(n->y.data);
}

/* Runs, and compares y with what the weights are now. */
static void check_result(network *n)
{
    float w[IN * OUT];
    double expected[ROWS * OUT] = {0};
    evaluate_program(n->program, (array *[]){&n->x}, 1, (array *[]){&n->y}, 1);
    TEST_OK(clg_variable_read(n->w, w, IN * OUT));
    for (int i = 0; i < ROWS * OUT; i++)
        for (int k = 0; k < IN; k++)
            expected[i] += (double)n->x.data[i / OUT * IN + k] * w[k * OUT + i % OUT];
    assert_close("product", &n->y, expected, 1e-5);
}

/* Launches of the next run that pack something. */
static int count_packing(clg_program *program)
{
    clg_profile_row *rows;
    size_t count;
    int packing = 0;
    TEST_OK(clg_program_profile(program, &rows, &count));
    for (size_t i = 0; i < count; i++) packing += strncmp(rows[i].name, "pack_", 5) == 0;
    clg_free(rows);
    return packing;
}

START_TEST(weights_are_packed_once)
{
    network n = make_network();
    TEST_OK(clg_program_feed(n.program, n.x.tensor, n.x.data, sizeof(float) * ROWS * IN));
    ck_assert_int_eq(count_packing(n.program), 1);
    ck_assert_int_eq(count_packing(n.program), 0);
    clg_program_stats stats;
    clg_program_query(n.program, &stats);
    ck_assert_uint_eq(stats.launches, 1); /* of a run, the first aside */
    TEST_OK(clg_program_set_batch(n.program, 1));
    TEST_OK(clg_program_feed(n.program, n.x.tensor, n.x.data, sizeof(float) * IN));
    ck_assert_int_eq(count_packing(n.program), 0);
    free_network(&n);
}
END_TEST

START_TEST(what_the_host_writes_is_seen)
{
    network n = make_network();
    array other = array_random((int64_t)IN * OUT, 2);
    check_result(&n);
    TEST_OK(clg_variable_write(n.w, other.data, other.count));
    check_result(&n);
    TEST_OK(clg_variable_write(n.w, other.data, other.count));
    ck_assert_int_eq(count_packing(n.program), 1);
    free(other.data);
    free_network(&n);
}
END_TEST

START_TEST(what_another_program_assigns_is_seen)
{
    network n = make_network();
    clg_tensor *step = clg_assign(n.w, clg_mul(n.w, clg_scalar(n.graph, -0.5)));
    clg_program *training = NULL;
    TEST_OK(clg_program_compile(
        &training, n.ctx, n.graph,
        clg_program_options(.outputs = &step, .n_outputs = 1, .mode = CLG_TRAINING)));
    for (int i = 0; i < 3; i++) {
        check_result(&n);
        TEST_OK(clg_program_run(training));
    }
    check_result(&n);
    clg_program_destroy(training);
    free_network(&n);
}
END_TEST

/* From then on nothing is known, and the copy is made each time. */
START_TEST(what_the_caller_writes_through_cl_mem_is_seen)
{
    network n = make_network();
    array other = array_random((int64_t)IN * OUT, 3);
    void *memory, *queue;
    size_t offset;
    check_result(&n);
    TEST_OK(clg_program_cl_mem(n.program, n.w, &memory, &offset));
    queue = clg_context_cl_queue(n.ctx);
    ck_assert_int_eq(clEnqueueWriteBuffer(queue, memory, CL_TRUE, offset,
                                          sizeof(float) * (size_t)other.count, other.data, 0, NULL,
                                          NULL),
                     CL_SUCCESS);
    check_result(&n);
    ck_assert_int_eq(count_packing(n.program), 1);
    ck_assert_int_eq(count_packing(n.program), 1);
    free(other.data);
    free_network(&n);
}
END_TEST

/* y = (x w) w, and a third product with w transposed, which is another arrangement. */
START_TEST(steps_share_what_they_read_alike)
{
    network n = make_network();
    clg_tensor *w = clg_variable(n.graph, "square", CLG_SHAPE(IN, IN),
                                 CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 1.0), true);
    clg_tensor *y = clg_matmul(clg_matmul(n.x.tensor, w, NULL), w, NULL);
    y = clg_matmul(y, w, clg_matmul_options(.transpose_b = true));
    clg_program *program = NULL;
    TEST_OK(clg_program_compile(&program, n.ctx, n.graph,
                                clg_program_options(.outputs = &y, .n_outputs = 1)));
    TEST_OK(clg_program_feed(program, n.x.tensor, n.x.data, sizeof(float) * ROWS * IN));
    ck_assert_int_eq(count_packing(program), 2);
    clg_program_destroy(program);
    free_network(&n);
}
END_TEST

/* ---- what variables alone make is computed once ---- */

enum { WIDTH = 6 };

/* y (N, WIDTH) = x (sum of w's rows): a factor that stays, and a product in each run. */
static network make_scaled(void)
{
    network s = {.graph = clg_graph_create(clg_graph_options(.batch = ROWS)),
                 .x = array_random((int64_t)ROWS * WIDTH, 4)};
    TEST_OK(clg_context_create(&s.ctx, clg_context_options(.profiling = true)));
    s.x.tensor = clg_input(s.graph, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, WIDTH));
    s.w = clg_variable(s.graph, "w", CLG_SHAPE(IN, WIDTH),
                       CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 1.0), true);
    /* Rows of softmax, whose kernels may be one step, add up to 1. */
    clg_tensor *one = clg_mean(clg_sum(clg_softmax(s.w, -1), CLG_AXIS(1), true), 0, true);
    s.y.tensor = clg_mul(s.x.tensor, clg_mul(clg_sum(s.w, CLG_AXIS(0), true), one));
    s.program = compile_outputs(s.ctx, s.graph, (array *[]){&s.y}, 1);
    return s;
}

/* Compares y with what w is now. The number of kernels that it took. */
static size_t check_scaled(network *s)
{
    float w[IN * WIDTH];
    double expected[ROWS * WIDTH];
    clg_profile_row *rows;
    size_t count;
    evaluate_program(s->program, (array *[]){&s->x}, 1, (array *[]){&s->y}, 1);
    TEST_OK(clg_variable_read(s->w, w, IN * WIDTH));
    for (int i = 0; i < ROWS * WIDTH; i++) {
        double sum = 0;
        for (int k = 0; k < IN; k++) sum += w[k * WIDTH + i % WIDTH];
        expected[i] = s->x.data[i] * sum;
    }
    assert_close("scaled", &s->y, expected, 1e-5);
    TEST_OK(clg_program_profile(s->program, &rows, &count));
    clg_free(rows);
    return count;
}

START_TEST(constants_follow_the_variables)
{
    network s = make_scaled();
    array other = array_random((int64_t)IN * WIDTH, 5);
    clg_tensor *step = clg_assign(s.w, clg_mul(s.w, clg_scalar(s.graph, -0.5)));
    clg_program *training = NULL;
    TEST_OK(clg_program_compile(
        &training, s.ctx, s.graph,
        clg_program_options(.outputs = &step, .n_outputs = 1, .mode = CLG_TRAINING)));
    ck_assert_uint_eq(check_scaled(&s), 1);
    TEST_OK(clg_variable_write(s.w, other.data, other.count));
    ck_assert_uint_eq(check_scaled(&s), 1);
    TEST_OK(clg_program_run(training));
    ck_assert_uint_eq(check_scaled(&s), 1);
    clg_program_destroy(training);
    free(other.data);
    free_network(&s);
}
END_TEST

/* What the caller may change unseen is computed in each run; so is everything at a program's
 * first, and nothing anew for another batch size. */
START_TEST(constants_are_computed_when_they_may_have_changed)
{
    network s = make_scaled();
    clg_program_stats stats;
    void *memory;
    size_t offset, count;
    clg_profile_row *rows;
    TEST_OK(clg_program_feed(s.program, s.x.tensor, s.x.data, sizeof(float) * ROWS * WIDTH));
    TEST_OK(clg_program_profile(s.program, &rows, &count));
    clg_free(rows);
    ck_assert_uint_gt(count, 1);
    clg_program_query(s.program, &stats);
    ck_assert_uint_eq(stats.launches, 1);
    TEST_OK(clg_program_set_batch(s.program, 1));
    TEST_OK(clg_program_feed(s.program, s.x.tensor, s.x.data, sizeof(float) * WIDTH));
    TEST_OK(clg_program_profile(s.program, &rows, &count));
    clg_free(rows);
    ck_assert_uint_eq(count, 1);
    TEST_OK(clg_program_set_batch(s.program, ROWS));
    ck_assert_uint_eq(check_scaled(&s), 1);
    TEST_OK(clg_program_cl_mem(s.program, s.w, &memory, &offset));
    ck_assert_uint_gt(check_scaled(&s), 1);
    ck_assert_uint_gt(check_scaled(&s), 1);
    free_network(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prepared");
    TCase *prepared = testing_case(suite, "prepared");
    tcase_add_test(prepared, weights_are_packed_once);
    tcase_add_test(prepared, what_the_host_writes_is_seen);
    tcase_add_test(prepared, what_another_program_assigns_is_seen);
    tcase_add_test(prepared, what_the_caller_writes_through_cl_mem_is_seen);
    tcase_add_test(prepared, steps_share_what_they_read_alike);
    tcase_add_test(prepared, constants_follow_the_variables);
    tcase_add_test(prepared, constants_are_computed_when_they_may_have_changed);
    return testing_run(suite);
}
