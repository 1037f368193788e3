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

/* y = ln x1 + x1 x2 - sin x2 */
static clg_tensor *known_function(clg_tensor *const *x)
{
    return clg_sub(clg_add(clg_log(x[0]), clg_mul(x[0], x[1])), clg_sin(x[1]));
}

/* At (2, 5): 11.652, 5.5, 1.716, by both modes. */
START_TEST(the_known_answer)
{
    fixture f = start();
    clg_tensor *x[] = {number(&f, "x1"), number(&f, "x2")}, *d[2], *t[2];
    clg_tensor *zero = clg_scalar(f.g, 0), *one = clg_scalar(f.g, 1);
    clg_tensor *y = known_function(x);
    TEST_OK(clg_gradients(y, x, 2, d));
    TEST_OK(clg_jvp(y, x, (clg_tensor *[]){one, zero}, 2, &t[0]));
    TEST_OK(clg_jvp(y, x, (clg_tensor *[]){zero, one}, 2, &t[1]));
    float got[5];
    evaluate(&f, x, (float[]){2, 5}, 2, (clg_tensor *[]){y, d[0], d[1], t[0], t[1]}, got, 5);
    op_check_close("known answer", "value, reverse and forward derivatives", got,
                   (double[]){11.652071455223084, 5.5, 1.7163378145367738, 5.5, 1.7163378145367738},
                   5, 1e-6);
    finish(&f);
}
END_TEST

/* Second derivatives -1/4, 1, 1, sin 5: gradient of the gradient, tangent of the gradient, gradient
 * of the tangent, Hessian helper both ways, products with unit vectors. */
START_TEST(the_known_hessian_by_all_orders)
{
    fixture f = start();
    clg_tensor *x[] = {number(&f, "x1"), number(&f, "x2")}, *d[2], *out[20];
    clg_tensor *units[2][2] = {{clg_scalar(f.g, 1), clg_scalar(f.g, 0)},
                               {clg_scalar(f.g, 0), clg_scalar(f.g, 1)}};
    clg_tensor *y = known_function(x), *tangent;
    TEST_OK(clg_gradients(y, x, 2, d));
    for (int i = 0; i < 2; i++) {
        TEST_OK(clg_gradients(d[i], x, 2, out + 2 * i));
        TEST_OK(clg_hvp(y, x, units[i], 2, out + 4 + 2 * i));
        TEST_OK(clg_jvp(y, x, units[i], 2, &tangent));
        TEST_OK(clg_gradients(tangent, x, 2, out + 8 + 2 * i));
        for (int j = 0; j < 2; j++) TEST_OK(clg_jvp(d[i], x, units[j], 2, &out[12 + 2 * i + j]));
        for (int j = 0; j < 2; j++) TEST_OK(clg_jvp(tangent, x, units[j], 2, &out[16 + 2 * i + j]));
    }
    float got[20];
    double want[20];
    for (int i = 0; i < 20; i += 4)
        memcpy(want + i, (double[]){-0.25, 1, 1, sin(5)}, 4 * sizeof *want);
    evaluate(&f, x, (float[]){2, 5}, 2, out, got, 20);
    op_check_close("known Hessian", "second derivatives", got, want, 20, 1e-6);
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

/* Compiles, feeds one vector, runs, and reads one result. */
static void evaluate_vector(fixture *f, clg_tensor *in, const float *x, clg_tensor *out, float *y)
{
    clg_program_destroy(f->program);
    f->program = op_check_compile(f->ctx, f->g, &out, 1, CLG_INFERENCE);
    op_check_feed(f->program, in, x, clg_shape_count(&in->shape));
    TEST_OK(clg_program_run(f->program));
    op_check_read(f->program, out, y, clg_shape_count(&out->shape));
}

/* sum over i of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2 */
static clg_tensor *rosenbrock(clg_tensor *x)
{
    clg_graph *g = clg_tensor_graph(x);
    int64_t n = clg_shape_count(clg_tensor_shape(x));
    clg_tensor *a = clg_slice(x, 0, 0, n - 1), *b = clg_slice(x, 0, 1, n - 1);
    clg_tensor *valley = clg_mul(clg_scalar(g, 100), clg_square(clg_sub(b, clg_square(a))));
    return clg_sum(clg_add(valley, clg_square(clg_sub(clg_scalar(g, 1), a))), 0, false);
}

enum { ROSENBROCK = 100 };

/* The tridiagonal Hessian: 1200 x[i]^2 - 400 x[i+1] + 2 (but the last), + 200 (but the first) on
 * the diagonal, -400 x[i] beside it. */
static void rosenbrock_product(const double *x, const double *v, double *out)
{
    memset(out, 0, ROSENBROCK * sizeof *out);
    for (int i = 0; i + 1 < ROSENBROCK; i++) {
        out[i] += (1200 * x[i] * x[i] - 400 * x[i + 1] + 2) * v[i] - 400 * x[i] * v[i + 1];
        out[i + 1] += 200 * v[i + 1] - 400 * x[i] * v[i];
    }
}

START_TEST(rosenbrock_hessian_in_a_hundred_dimensions)
{
    fixture f = start();
    double point[ROSENBROCK], direction[ROSENBROCK], want[ROSENBROCK];
    float x_data[ROSENBROCK], v_data[ROSENBROCK], got[ROSENBROCK];
    op_check_random(point, ROSENBROCK, -2, 2, 1);
    op_check_random(direction, ROSENBROCK, -1, 1, 2);
    for (int i = 0; i < ROSENBROCK; i++)
        x_data[i] = (float)point[i], v_data[i] = (float)direction[i];
    rosenbrock_product(point, direction, want);
    clg_tensor *x = clg_input(f.g, "x", CLG_F32, CLG_SHAPE(ROSENBROCK)), *y = rosenbrock(x);
    clg_tensor *v = clg_constant(f.g, CLG_SHAPE(ROSENBROCK), v_data), *product, *gradient, *tangent;
    TEST_OK(clg_hvp(y, &x, &v, 1, &product));
    evaluate_vector(&f, x, x_data, product, got);
    op_check_close("Rosenbrock", "reverse over reverse", got, want, ROSENBROCK, 1e-6);
    TEST_OK(clg_gradients(y, &x, 1, &gradient));
    TEST_OK(clg_jvp(gradient, &x, &v, 1, &product));
    evaluate_vector(&f, x, x_data, product, got);
    op_check_close("Rosenbrock", "forward over reverse", got, want, ROSENBROCK, 1e-6);
    TEST_OK(clg_jvp(y, &x, &v, 1, &tangent));
    TEST_OK(clg_gradients(tangent, &x, 1, &product));
    evaluate_vector(&f, x, x_data, product, got);
    op_check_close("Rosenbrock", "reverse over forward", got, want, ROSENBROCK, 1e-6);
    finish(&f);
}
END_TEST

/* y (2, 2) of x (3): y[i][j] = x[i]^2 x[j+1] */
START_TEST(jacobians_by_rows_and_by_columns)
{
    static const clg_autodiff_mode modes[] = {CLG_AUTODIFF_AUTO, CLG_AUTODIFF_REVERSE,
                                              CLG_AUTODIFF_FORWARD};
    const float x_data[] = {2, 3, 5};
    const double want[] = {12, 4, 0, 20, 0, 4, 0, 27, 0, 0, 30, 9};
    fixture f = start();
    clg_tensor *x = clg_input(f.g, "x", CLG_F32, CLG_SHAPE(3));
    clg_tensor *a = clg_reshape(clg_square(clg_slice(x, 0, 0, 2)), CLG_SHAPE(2, 1));
    clg_tensor *y = clg_mul(a, clg_slice(x, 0, 1, 2));
    for (size_t i = 0; i < CLG__COUNT(modes); i++) {
        clg_tensor *jacobian = NULL, *hessian = NULL;
        float got[12];
        TEST_OK(clg_jacobian(y, x, modes[i], &jacobian));
        ck_assert_int_eq(clg_tensor_shape(jacobian)->ndim, 3);
        evaluate_vector(&f, x, x_data, jacobian, got);
        op_check_close("Jacobian", "all elements", got, want, 12, 0);
        TEST_OK(clg_hessian(clg_sum(y, 0, false), x, modes[i], &hessian));
        evaluate_vector(&f, x, x_data, hessian, got);
        /* of (x0^2 + x1^2) (x1 + x2) */
        op_check_close("Hessian", "all elements", got, (double[]){16, 4, 4, 4, 28, 6, 4, 6, 0}, 9,
                       0);
    }
    finish(&f);
}
END_TEST

/* The side that is not taken apart may follow the batch. */
START_TEST(jacobians_of_batches)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 3));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH)), *rows = NULL, *columns = NULL;
    clg_tensor *w = clg_variable(g, "w", CLG_SHAPE(2), CLG_INIT(CLG_INIT_CONSTANT, 2), true);
    clg_tensor *total = clg_sum(clg_square(x), 0, false);
    clg_tensor *outer = clg_mul(clg_reshape(x, CLG_SHAPE(CLG_BATCH, 1)), clg_square(w));
    TEST_OK(clg_jacobian(total, x, CLG_AUTODIFF_AUTO, &rows));    /* (3) */
    TEST_OK(clg_jacobian(outer, w, CLG_AUTODIFF_AUTO, &columns)); /* (3, 2, 2) */
    TEST_FAILS(clg_jacobian(total, x, CLG_AUTODIFF_FORWARD, &rows), CLG_ERROR_UNSUPPORTED, "x (3)");
    TEST_FAILS(clg_jacobian(outer, w, CLG_AUTODIFF_REVERSE, &rows), CLG_ERROR_UNSUPPORTED,
               "y (3, 2)");
    TEST_FAILS(clg_jacobian(total, x, (clg_autodiff_mode)7, &rows), CLG_ERROR_ARGUMENT, "mode 7");
    TEST_FAILS(clg_jacobian(clg_full(g, CLG_SHAPE(1, 1, 1, 1), 0),
                            clg_full(g, CLG_SHAPE(1, 1, 1), 0), CLG_AUTODIFF_AUTO, &rows),
               CLG_ERROR_UNSUPPORTED, "(1, 1, 1, 1)");
    clg_context *ctx = op_check_context();
    clg_tensor *both[] = {rows, columns};
    clg_program *p = op_check_compile(ctx, g, both, 2, CLG_INFERENCE);
    TEST_OK(clg_program_set_batch(p, 2));
    op_check_feed(p, x, (float[]){3, 5}, 2);
    TEST_OK(clg_program_run(p));
    float got[8];
    op_check_read(p, rows, got, 2);
    op_check_close("rows", "batch of 2", got, (double[]){6, 10}, 2, 0);
    op_check_read(p, columns, got, 8);
    op_check_close("columns", "batch of 2", got, (double[]){12, 0, 0, 12, 20, 0, 0, 20}, 8, 0);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(forward_mode_refuses_what_is_wrong)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2)), *one = clg_scalar(g, 1), *out = x;
    clg_tensor *total = clg_sum(x, 0, false);
    TEST_FAILS(clg_jvp(total, &x, &one, 1, &out), CLG_ERROR_ARGUMENT,
               "jvp: the tangent has shape (), its tensor has (2)");
    TEST_FAILS(clg_jvp(total, &x, &(clg_tensor *){NULL}, 1, &out), CLG_ERROR_ARGUMENT, "NULL");
    TEST_FAILS(clg_jvp(NULL, NULL, NULL, 0, &out), CLG_ERROR_ARGUMENT, "NULL");
    TEST_FAILS(clg_hvp(total, &x, &one, 1, &out), CLG_ERROR_ARGUMENT,
               "hvp: the vector has shape ()");
    TEST_FAILS(clg_hvp(x, &x, &x, 1, &out), CLG_ERROR_ARGUMENT, "hvp: y has shape (2)");
    TEST_FAILS(clg_hessian(x, x, CLG_AUTODIFF_AUTO, &out), CLG_ERROR_ARGUMENT, "y has shape (2)");
    TEST_FAILS(clg_jacobian(x, NULL, CLG_AUTODIFF_AUTO, &out), CLG_ERROR_ARGUMENT, "NULL");
    clg_tensor *v = clg_variable(g, "v", CLG_SCALAR, CLG_INIT(CLG_INIT_ZEROS), true);
    clg_tensor *assigned = clg_assign(v, total);
    TEST_FAILS(clg_jvp(assigned, &x, &x, 1, &out), CLG_ERROR_ARGUMENT,
               "jvp: the operation \"assign\" has no gradient");
    TEST_FAILS(clg_jacobian(x, x, CLG_AUTODIFF_AUTO, &out), CLG_ERROR_ARGUMENT, "\"assign\"");
    ck_assert_ptr_eq(out, x);
    clg_graph_destroy(g);
}
END_TEST

/* ---- cost, in the operations counted by the program ---- */

/* Three layers of products, or a small image network; *weights gets n of them. */
static clg_tensor *dense_network(clg_tensor *x, clg_tensor **weights)
{
    for (int i = 0; i < 3; i++) {
        char name[8] = {'w', (char)('0' + i), 0};
        weights[i] = clg_variable(clg_tensor_graph(x), name, CLG_SHAPE(64, 64),
                                  CLG_INIT(CLG_INIT_HE_NORMAL), true);
        x = clg_tanh(clg_matmul(x, weights[i], NULL));
    }
    return clg_mean(clg_square(x), 0, false);
}

static clg_tensor *image_network(clg_tensor *x, clg_tensor **weights)
{
    for (int i = 0; i < 3; i++) {
        char name[8] = {'w', (char)('0' + i), 0};
        weights[i] = clg_variable(clg_tensor_graph(x), name, CLG_SHAPE(3, 3, i ? 16 : 8, 16),
                                  CLG_INIT(CLG_INIT_HE_NORMAL), true);
        x = clg_relu(clg_conv2d(x, weights[i], clg_conv2d_options(.padding = CLG_PADDING_SAME)));
        if (i == 1) x = clg_max_pool2d(x, NULL);
    }
    return clg_mean(clg_square(x), 0, false);
}

static double flops_of(fixture *f, clg_tensor *const *outputs, size_t n)
{
    clg_program_destroy(f->program);
    f->program = op_check_compile(f->ctx, f->g, outputs, n, CLG_INFERENCE);
    clg_program_stats stats;
    clg_program_query(f->program, &stats);
    return stats.flops;
}

/* What the product of the Hessian with v costs by the other two orders. */
static void check_other_orders(fixture *f, clg_tensor *y, clg_tensor *const *w,
                               clg_tensor *const *d, clg_tensor *const *v, double cost)
{
    clg_tensor *moved, *forward_over_reverse[3], *reverse_over_forward[3];
    for (int i = 0; i < 3; i++) TEST_OK(clg_jvp(d[i], w, v, 3, &forward_over_reverse[i]));
    TEST_OK(clg_jvp(y, w, v, 3, &moved));
    TEST_OK(clg_gradients(moved, w, 3, reverse_over_forward));
    ck_assert_double_le(flops_of(f, forward_over_reverse, 3), 1.01 * cost);
    ck_assert_double_le(flops_of(f, reverse_over_forward, 3), 1.01 * cost);
}

/* Per layer the backward pass has two products to the forward pass's one, and none of them in the
 * first layer for x. A tangent of x alone has one; of x and the weights, two. A product with the
 * Hessian differentiates each of these products once more. */
static void check_cost(clg_tensor *(*network)(clg_tensor *, clg_tensor **), clg_shape shape)
{
    fixture f = start();
    clg_tensor *x = clg_input(f.g, "x", CLG_F32, shape), *w[3], *all[4], *d[3], *tangents[4];
    clg_tensor *y = network(x, w), *move_x, *move_all, *products[3];
    TEST_OK(clg_gradients(y, w, 3, d));
    memcpy(all, (clg_tensor *[]){x, w[0], w[1], w[2]}, sizeof all);
    for (int i = 0; i < 4; i++) tangents[i] = clg_full(f.g, all[i]->shape, 0.5 + i);
    size_t before = f.g->n_nodes;
    TEST_OK(clg_jvp(y, &x, tangents, 1, &move_x));
    ck_assert(!op_check_reaches(move_x, f.g->nodes[before])); /* its stand-in for the seed */
    TEST_OK(clg_jvp(y, all, tangents, 4, &move_all));
    TEST_OK(clg_hvp(y, w, tangents + 1, 3, products));
    double forward = flops_of(&f, &y, 1), product = flops_of(&f, products, 3);
    double step = flops_of(&f, (clg_tensor *[]){y, d[0], d[1], d[2]}, 4);
    double tangent_x = flops_of(&f, (clg_tensor *[]){y, move_x}, 2);
    double tangent = flops_of(&f, (clg_tensor *[]){y, move_all}, 2);
    printf("flops: forward %g, with gradients %g, with the tangent of x %g, with all tangents %g, "
           "Hessian-vector product %g\n",
           forward, step, tangent_x, tangent, product);
    ck_assert_double_le(step, 3 * forward);
    ck_assert_double_le(tangent_x, 2.05 * forward);
    ck_assert_double_le(tangent, 3.05 * forward);
    ck_assert_double_le(product, 2.5 * step);
    check_other_orders(&f, y, w, d, tangents + 1, product);
    finish(&f);
}

START_TEST(dense_networks_cost_what_they_must)
{
    check_cost(dense_network, CLG_SHAPE(32, 64));
}
END_TEST

START_TEST(image_networks_cost_what_they_must)
{
    check_cost(image_network, CLG_SHAPE(2, 16, 16, 8));
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
    n.out[0] = clg_softmax_cross_entropy(n.out[4], n.t, NULL);
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
    tcase_add_test(values, the_known_hessian_by_all_orders);
    tcase_add_test(values, orders_up_to_five);
    tcase_add_test(values, all_paths_add_up_and_inner_tensors_have_gradients);
    tcase_add_test(values, shared_parts_are_walked_once);
    tcase_add_test(values, what_y_does_not_depend_on_gets_zeros);
    tcase_add_test(values, seeds_weight_the_elements);
    tcase_add_test(values, errors_name_what_is_wrong_and_leave_the_output_alone);
    TCase *products = testing_case(suite, "products");
    tcase_add_test(products, rosenbrock_hessian_in_a_hundred_dimensions);
    tcase_add_test(products, jacobians_by_rows_and_by_columns);
    tcase_add_test(products, jacobians_of_batches);
    tcase_add_test(products, forward_mode_refuses_what_is_wrong);
    TCase *cost = testing_case(suite, "cost");
    tcase_add_test(cost, dense_networks_cost_what_they_must);
    tcase_add_test(cost, image_networks_cost_what_they_must);
    TCase *batches = testing_case(suite, "batch sizes");
    tcase_add_test(batches, a_rebound_program_equals_one_compiled_for_its_batch);
    return testing_run(suite);
}
