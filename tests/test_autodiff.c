/*
 * Differentiation as a whole: the known answer, sums over paths, shared parts, higher orders,
 * weights, what does not depend, errors; and one program at several batch sizes against programs
 * compiled for each.
 */
#include <math.h>

#include "ops/op_check.h"

typedef struct fixture {
    clg_context *ctx;
    clg_graph *g;
    clg_program *program;
} fixture;

static fixture start(void)
{
    return (fixture){op_check_context(), clg_graph_create(NULL), NULL};
}

static void finish(fixture *f)
{
    clg_program_destroy(f->program);
    clg_graph_destroy(f->g);
    clg_context_destroy(f->ctx);
}

static clg_tensor *number(fixture *f, const char *name)
{
    return clg_input(f->g, name, CLG_F32, CLG_SCALAR);
}

/* Compiles, feeds up to two scalars, runs, and reads n scalars. */
static void evaluate(fixture *f, clg_tensor *const *in, const float *x, int n_in,
                     clg_tensor *const *out, float *y, int n)
{
    clg_program_destroy(f->program);
    f->program = op_check_compile(f->ctx, f->g, out, (size_t)n, CLG_INFERENCE);
    for (int i = 0; i < n_in; i++) op_check_feed(f->program, in[i], &x[i], 1);
    TEST_OK(clg_program_run(f->program));
    for (int i = 0; i < n; i++) op_check_read(f->program, out[i], &y[i], 1);
}

/* y = ln x1 + x1 x2 - sin x2 at (2, 5): 11.652, 5.5, 1.716; second derivatives -1/4, 1, sin 5. */
START_TEST(the_known_answer)
{
    fixture f = start();
    clg_tensor *x[] = {number(&f, "x1"), number(&f, "x2")}, *d[2], *d1[2], *d2[2];
    clg_tensor *y = clg_sub(clg_add(clg_log(x[0]), clg_mul(x[0], x[1])), clg_sin(x[1]));
    TEST_OK(clg_gradients(y, x, 2, d));
    TEST_OK(clg_gradients(d[0], x, 2, d1));
    TEST_OK(clg_gradients(d[1], x, 2, d2));
    float got[7];
    evaluate(&f, x, (float[]){2, 5}, 2, (clg_tensor *[]){y, d[0], d[1], d1[0], d1[1], d2[0], d2[1]},
             got, 7);
    op_check_close("known answer", "value and derivatives", got,
                   (double[]){11.652071455223084, 5.5, 1.7163378145367738, -0.25, 1, 1, sin(5)}, 7,
                   1e-6);
    finish(&f);
}
END_TEST

START_TEST(orders_up_to_five)
{
    fixture f = start();
    clg_tensor *x = number(&f, "x"), *d[6];
    d[0] = clg_mul(clg_square(clg_square(x)), x); /* x^5 */
    for (int i = 0; i < 5; i++) TEST_OK(clg_gradients(d[i], &x, 1, &d[i + 1]));
    float got[6];
    evaluate(&f, &x, (float[]){2}, 1, d, got, 6);
    op_check_close("x^5", "orders 0 to 5", got, (double[]){32, 80, 160, 240, 240, 120}, 6, 1e-6);
    finish(&f);
}
END_TEST

/* y = u^2 + u v with u = sin x, v = u x: u has four readers, two of them through v. */
START_TEST(all_paths_add_up_and_inner_tensors_have_gradients)
{
    fixture f = start();
    clg_tensor *x = number(&f, "x"), *u = clg_sin(x), *v = clg_mul(u, x);
    clg_tensor *y = clg_add(clg_square(u), clg_mul(u, v)), *d[4];
    clg_tensor *wrt[] = {x, u, v, x};
    TEST_OK(clg_gradients(y, wrt, 4, d));
    ck_assert_ptr_eq(d[0], d[3]);
    float got[3];
    evaluate(&f, &x, (float[]){0.7f}, 1, d, got, 3);
    double s = sin(0.7f), c = cos(0.7f), t = 0.7f;
    /* y = s^2 (1 + x) as a function of x; of u alone 2 u + v + u x = 2 u + 2 u x; of v: u */
    op_check_close("paths", "gradients", got,
                   (double[]){2 * s * c * (1 + t) + s * s, 2 * s + 2 * s * t, s}, 3, 1e-6);
    finish(&f);
}
END_TEST

/* A tower of additions has 2^40 paths and must cost 40 nodes. */
START_TEST(shared_parts_are_walked_once)
{
    fixture f = start();
    clg_tensor *x = number(&f, "x"), *y = x, *d;
    for (int i = 0; i < 40; i++) y = clg_add(y, y);
    size_t before = f.g->n_nodes;
    TEST_OK(clg_gradients(y, &x, 1, &d));
    ck_assert_uint_le(f.g->n_nodes - before, 3 * 40);
    float got;
    evaluate(&f, &x, (float[]){1}, 1, &d, &got, 1);
    ck_assert_float_eq(got, 0x1p40f);
    finish(&f);
}
END_TEST

START_TEST(what_y_does_not_depend_on_gets_zeros)
{
    fixture f = start();
    clg_tensor *x = number(&f, "x"), *z = clg_input(f.g, "z", CLG_F32, CLG_SHAPE(2, 3));
    clg_tensor *y = clg_square(x), *later = number(&f, "later"), *d[3];
    clg_tensor *wrt[] = {x, z, later};
    TEST_OK(clg_gradients(y, wrt, 3, d));
    ck_assert(clg_shape_equal(clg_tensor_shape(d[1]), clg_tensor_shape(z)));
    clg_tensor *out[] = {d[0], clg_sum(d[1], 0, false), d[2]};
    float got[3];
    evaluate(&f, &x, (float[]){3}, 1, out, got, 3);
    op_check_close("zeros", "gradients", got, (double[]){6, 0, 0}, 3, 0);
    finish(&f);
}
END_TEST

START_TEST(seeds_weight_the_elements)
{
    fixture f = start();
    clg_tensor *x = clg_input(f.g, "x", CLG_F32, CLG_SHAPE(3)), *d;
    clg_tensor *seed = clg_constant(f.g, CLG_SHAPE(3), (float[]){1, -2, 0});
    TEST_OK(clg_vjp(clg_square(x), seed, &x, 1, &d));
    f.program = op_check_compile(f.ctx, f.g, &d, 1, CLG_INFERENCE);
    op_check_feed(f.program, x, (float[]){1, 2, 3}, 3);
    TEST_OK(clg_program_run(f.program));
    float got[3];
    op_check_read(f.program, d, got, 3);
    op_check_close("vjp", "gradient", got, (double[]){2, -8, 0}, 3, 0);
    finish(&f);
}
END_TEST

START_TEST(errors_name_what_is_wrong_and_leave_the_output_alone)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2)), *d = x;
    TEST_FAILS(clg_gradients(x, &x, 1, &d), CLG_ERROR_ARGUMENT, "y has shape (2)");
    TEST_FAILS(clg_vjp(x, clg_scalar(g, 1), &x, 1, &d), CLG_ERROR_ARGUMENT,
               "the seed has shape (), y has (2)");
    TEST_FAILS(clg_vjp(x, NULL, &x, 1, &d), CLG_ERROR_ARGUMENT, "a tensor is NULL");
    TEST_FAILS(clg_gradients(NULL, NULL, 0, NULL), CLG_ERROR_ARGUMENT, "NULL");
    clg_graph *other = clg_graph_create(NULL);
    clg_tensor *y = clg_scalar(other, 1);
    TEST_FAILS(clg_gradients(y, &x, 1, &d), CLG_ERROR_ARGUMENT, "different graphs");
    clg_graph_destroy(other);
    ck_assert_int_eq(clg_graph_status(g), CLG_OK);
    clg_tensor *v = clg_variable(g, "v", CLG_SCALAR, CLG_INIT(CLG_INIT_ZEROS), true);
    clg_tensor *assigned = clg_assign(v, clg_sum(x, 0, false));
    TEST_FAILS(clg_gradients(assigned, &x, 1, &d), CLG_ERROR_ARGUMENT,
               "the operation \"assign\" has no gradient");
    ck_assert_ptr_null(clg_relu(x)); /* sticky */
    TEST_FAILS(clg_gradients(NULL, &x, 1, &d), CLG_ERROR_ARGUMENT, "\"assign\"");
    ck_assert_ptr_eq(d, x);
    clg_graph_destroy(g);
}
END_TEST

/* ---- one program at many batch sizes ---- */

enum { SIDE = 6, CLASSES = 5, LARGEST = 13 };

typedef struct network {
    clg_tensor *x, *t, *out[5]; /* loss, gradients of w, scale and v, logits */
} network;

static network build_network(clg_graph *g)
{
    network n = {.x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, SIDE, SIDE, 2)),
                 .t = clg_input(g, "t", CLG_I32, CLG_SHAPE(CLG_BATCH))};
    clg_tensor *w = clg_variable(g, "w", CLG_SHAPE(3, 3, 2, 4), CLG_INIT(CLG_INIT_HE_NORMAL), true);
    clg_tensor *scale = clg_variable(g, "s", CLG_SHAPE(4), CLG_INIT(CLG_INIT_CONSTANT, 1), true);
    clg_tensor *v = clg_variable(g, "v", CLG_SHAPE(SIDE / 2 * SIDE / 2 * 4, CLASSES),
                                 CLG_INIT(CLG_INIT_HE_NORMAL), true);
    clg_tensor *h = clg_conv2d(n.x, w, clg_conv2d_options(.padding = CLG_PADDING_SAME));
    h = clg_max_pool2d(clg_relu(clg_batch_norm(h, (clg_tensor *[4]){scale}, NULL)), NULL);
    n.out[4] = clg_matmul(clg_flatten(h), v, NULL);
    n.out[0] = clg_softmax_cross_entropy(n.out[4], n.t);
    TEST_OK(clg_gradients(n.out[0], (clg_tensor *[]){w, scale, v}, 3, &n.out[1]));
    return n;
}

/* Feeds a batch and reads all outputs, one after the other; returns how many numbers. */
static int64_t run_network(clg_program *program, const network *n, int64_t batch, float *results)
{
    float x[LARGEST * SIDE * SIDE * 2];
    int32_t t[LARGEST];
    double numbers[CLG__COUNT(x)];
    op_check_random(numbers, CLG__COUNT(x), -1, 1, 5);
    for (size_t i = 0; i < CLG__COUNT(x); i++) x[i] = (float)numbers[i];
    for (int i = 0; i < LARGEST; i++) t[i] = i % CLASSES;
    op_check_feed(program, n->x, x, batch * SIDE * SIDE * 2);
    TEST_OK(clg_program_feed(program, n->t, t, (size_t)batch * sizeof *t));
    TEST_OK(clg_program_run(program));
    int64_t used = 0;
    for (int i = 0; i < 5; i++) {
        const clg_shape *shape = clg_tensor_shape(n->out[i]);
        int64_t count = clg_shape_count(shape);
        if (shape->batched) count = count / clg_tensor_graph(n->x)->batch * batch;
        op_check_read(program, n->out[i], results + used, count);
        used += count;
    }
    return used;
}

START_TEST(a_rebound_program_equals_one_compiled_for_its_batch)
{
    static const int64_t batches[] = {13, 1, 7, 12, 13};
    static float rebound[4096], compiled[4096];
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = LARGEST, .seed = 1));
    network n = build_network(g);
    clg_program *program = op_check_compile(ctx, g, n.out, 5, CLG_TRAINING_FORWARD);
    for (size_t i = 0; i < CLG__COUNT(batches); i++) {
        TEST_OK(clg_program_set_batch(program, batches[i]));
        int64_t count = run_network(program, &n, batches[i], rebound);
        clg_graph *own_graph = clg_graph_create(clg_graph_options(.batch = batches[i], .seed = 1));
        network own = build_network(own_graph);
        clg_program *own_program =
            op_check_compile(ctx, own_graph, own.out, 5, CLG_TRAINING_FORWARD);
        ck_assert_int_eq(run_network(own_program, &own, batches[i], compiled), count);
        for (int64_t k = 0; k < count; k++)
            ck_assert_msg(fabsf(rebound[k] - compiled[k]) <= 1e-5f,
                          "batch %lld, number %lld: %g %g", (long long)batches[i], (long long)k,
                          (double)rebound[k], (double)compiled[k]);
        clg_program_destroy(own_program);
        clg_graph_destroy(own_graph);
    }
    TEST_FAILS(clg_program_set_batch(program, LARGEST + 1), CLG_ERROR_ARGUMENT, "14");
    TEST_FAILS(clg_program_set_batch(program, 0), CLG_ERROR_ARGUMENT, "0");
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("autodiff");
    TCase *values = testing_case(suite, "gradients");
    tcase_add_test(values, the_known_answer);
    tcase_add_test(values, orders_up_to_five);
    tcase_add_test(values, all_paths_add_up_and_inner_tensors_have_gradients);
    tcase_add_test(values, shared_parts_are_walked_once);
    tcase_add_test(values, what_y_does_not_depend_on_gets_zeros);
    tcase_add_test(values, seeds_weight_the_elements);
    tcase_add_test(values, errors_name_what_is_wrong_and_leave_the_output_alone);
    TCase *batches = testing_case(suite, "batch sizes");
    tcase_add_test(batches, a_rebound_program_equals_one_compiled_for_its_batch);
    return testing_run(suite);
}
