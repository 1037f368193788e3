/*
 * Slices along several axes and with steps, reversed axes, stack and split: values, gradients, and
 * the messages for what does not fit.
 */
#include "ops/cases.h"
#include "ops/op_check.h"

/* p: for each of two axes begin, count, step */
static clg_slice_params params_of(const op_case *c)
{
    clg_slice_params params = {{0}};
    for (int i = 0; i < 2; i++) {
        params.begin[1 + i] = c->p[3 * i];
        params.count[1 + i] = c->p[3 * i + 1];
        params.step[1 + i] = c->p[3 * i + 2];
    }
    return params;
}

static clg_tensor *slice_axes(const op_case *c, clg_tensor *const *x)
{
    clg_slice_params params = params_of(c);
    return clg_square(clg_slice_axes(x[0], &params));
}

/* The same by a slice of a slice, which is to become one view. */
static clg_tensor *slice_twice(const op_case *c, clg_tensor *const *x)
{
    clg_tensor *rows =
        clg_slice_axes(x[0], clg_slice_options(.begin = {0, c->p[0]}, .step = {0, c->p[2]}));
    clg_tensor *y = clg_slice_axes(rows, clg_slice_options(.begin = {0, 0, c->p[3]},
                                                           .count = {0, c->p[1], c->p[4]},
                                                           .step = {0, 0, c->p[5]}));
    ck_assert_ptr_eq(y->inputs[0], x[0]);
    return clg_square(y);
}

static void sliced(const op_case *c, const clg_shape *in, const double *const *x,
                   const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        for (int k = 0; k < 2; k++)
            at[1 + k] = c->p[3 * k] + at[1 + k] * (c->p[3 * k + 2] ? c->p[3 * k + 2] : 1);
        double v = x[0][op_check_index(in, at)];
        y[i] = v * v;
    }
}

/* p: axes */
static clg_tensor *flip(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_flip(x[0], (uint32_t)c->p[0]));
}

/* A sum over a reversed axis, and an operation that needs the view in memory. */
static clg_tensor *flip_product(const op_case *c, clg_tensor *const *x)
{
    return clg_matmul(clg_square(clg_flip(x[0], (uint32_t)c->p[0])), clg_flip(x[1], 0), NULL);
}

static void flipped(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    uint32_t axes = c->p[0] ? (uint32_t)c->p[0] : ~0u;
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        for (int k = 0; k < out->ndim; k++)
            if (axes >> k & 1) at[k] = out->dim[k] - 1 - at[k];
        double v = x[0][op_check_index(in, at)];
        y[i] = v * v;
    }
}

/* Square of the row-reversed x0 (3, 4) times x1 (4, 2) reversed in both axes. */
static void flipped_product(const op_case *c, const clg_shape *in, const double *const *x,
                            const clg_shape *out, double *y)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++) {
            y[i * 2 + j] = 0;
            for (int k = 0; k < 4; k++)
                y[i * 2 + j] +=
                    x[0][(2 - i) * 4 + k] * x[0][(2 - i) * 4 + k] * x[1][(3 - k) * 2 + 1 - j];
        }
}

/* p: axis */
static clg_tensor *stack(const op_case *c, clg_tensor *const *x)
{
    clg_tensor *parts[] = {clg_square(x[0]), x[1], clg_square(x[0])};
    return clg_mul(clg_stack(parts, 3, c->p[0]), clg_scalar(x[0]->graph, 2));
}

static void stacked(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    int axis = c->p[0] < 0 ? c->p[0] + out->ndim : c->p[0];
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS], from[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        for (int k = 0, n = 0; k < out->ndim; k++)
            if (k != axis) from[n++] = at[k];
        double v = x[at[axis] == 1][op_check_index(in, from)];
        y[i] = at[axis] == 1 ? 2 * v : 2 * v * v;
    }
}

/* The parts of an axis, weighed differently: p: axis, parts */
static clg_tensor *split(const op_case *c, clg_tensor *const *x)
{
    clg_tensor *parts[4] = {NULL}, *sum = NULL;
    TEST_OK(clg_split(x[0], c->p[0], c->p[1], parts));
    for (int i = 0; i < c->p[1]; i++) {
        clg_tensor *term = clg_mul(clg_square(parts[i]), clg_scalar(x[0]->graph, i + 1));
        sum = sum ? clg_add(sum, term) : term;
    }
    return sum;
}

static void splitted(const op_case *c, const clg_shape *in, const double *const *x,
                     const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        y[i] = 0;
        for (int part = 0; part < c->p[1]; part++) {
            double v = x[0][op_check_index(in, at)];
            y[i] += (part + 1) * v * v;
            at[c->p[0]] += out->dim[c->p[0]];
        }
    }
}

static const op_case cases[] = {
    {"two axes of three", 1, {OP_SHAPE(2, 7, 5)}, slice_axes, sliced, .p = {2, 4, 0, 1, 3}},
    {"every second", 1, {OP_SHAPE(3, 7, 8)}, slice_axes, sliced, .p = {0, 0, 2, 1, 0, 3}},
    {"every second behind the batch",
     1,
     {OP_SHAPE(CLG_BATCH, 6, 4)},
     slice_axes,
     sliced,
     .p = {1, 2, 3, 0, 0, 2},
     .batch = {4, 9, 1}},
    {"a slice of a slice", 1, {OP_SHAPE(2, 9, 8)}, slice_twice, sliced, .p = {1, 3, 2, 2, 2, 3}},
    {"flip a vector", 1, {OP_SHAPE(37)}, flip, flipped},
    {"flip columns", 1, {OP_SHAPE(5, 19)}, flip, flipped, .p = {2}},
    {"flip rows of images", 1, {OP_SHAPE(2, 4, 3, 5)}, flip, flipped, .p = {2}},
    {"flip images both ways", 1, {OP_SHAPE(2, 4, 3, 5)}, flip, flipped, .p = {6}},
    {"flip the batch", 1, {OP_SHAPE(CLG_BATCH, 4)}, flip, flipped, .p = {1}, .batch = {4, 9, 1}},
    {"flip in memory",
     2,
     {OP_SHAPE(3, 4), OP_SHAPE(4, 2)},
     flip_product,
     flipped_product,
     .p = {1}},
    {"stack in front", 2, {OP_SHAPE(3, 4), OP_SHAPE(3, 4)}, stack, stacked},
    {"stack in the middle", 2, {OP_SHAPE(3, 4), OP_SHAPE(3, 4)}, stack, stacked, .p = {1}},
    {"stack at the end",
     2,
     {OP_SHAPE(CLG_BATCH, 3), OP_SHAPE(CLG_BATCH, 3)},
     stack,
     stacked,
     .p = {-1},
     .batch = {3, 5, 1}},
    {"split in three", 1, {OP_SHAPE(2, 6, 3)}, split, splitted, .p = {1, 3}},
    {"split behind the batch",
     1,
     {OP_SHAPE(CLG_BATCH, 8)},
     split,
     splitted,
     .p = {1, 4},
     .batch = {4, 9, 1}},
};

START_TEST(slices_in_value_and_gradient)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

/* ---- arguments ---- */

static clg_tensor *slice_step(clg_tensor *x, clg_tensor *b)
{
    return clg_slice_axes(x, clg_slice_options(.begin = {1}, .count = {2}, .step = {2}));
}
static clg_tensor *slice_backwards(clg_tensor *x, clg_tensor *b)
{
    return clg_slice_axes(x, clg_slice_options(.step = {-1}));
}
static clg_tensor *slice_axis(clg_tensor *x, clg_tensor *b)
{
    return clg_slice_axes(x, clg_slice_options(.count = {[2] = 1}));
}
static clg_tensor *slice_batch(clg_tensor *x, clg_tensor *b)
{
    return clg_slice_axes(b, clg_slice_options(.step = {2}));
}
static clg_tensor *flip_axis(clg_tensor *x, clg_tensor *b)
{
    return clg_flip(x, CLG_AXIS(2));
}
static clg_tensor *stack_axis(clg_tensor *x, clg_tensor *b)
{
    return clg_stack(&x, 1, 3);
}
static clg_tensor *stack_differs(clg_tensor *x, clg_tensor *b)
{
    return clg_stack((clg_tensor *[]){x, b}, 2, 0);
}
static clg_tensor *stack_room(clg_tensor *x, clg_tensor *b)
{
    clg_tensor *six = clg_reshape(x, CLG_SHAPE(1, 1, 1, 1, 3, 5));
    return clg_stack(&six, 1, 0);
}
static clg_tensor *split_uneven(clg_tensor *x, clg_tensor *b)
{
    clg_tensor *parts[2] = {NULL};
    ck_assert_int_eq(clg_split(x, 1, 2, parts), CLG_ERROR_ARGUMENT);
    return parts[0];
}

static const struct {
    clg_tensor *(*build)(clg_tensor *x, clg_tensor *b); /* x (3, 5), b (CLG_BATCH = 4, 3) */
    const char *message;
} mistakes[] = {
    {slice_step, "slice: 2 elements from 1 on in steps of 2 are not within axis 0 of (3, 5)"},
    {slice_backwards, "slice: 0 elements from 0 on in steps of -1"},
    {slice_axis, "slice: axis 2 is out of range for shape (3, 5)"},
    {slice_batch, "slice: axis 0 of (4, 3) follows the batch size"},
    {flip_axis, "flip: the axes 0x4 are not all within 0 .. 1 of (3, 5)"},
    {stack_axis, "stack: axis 3 is out of range for (3, 5)"},
    {stack_differs, "cannot be joined"},
    {stack_room, "has no room for one more axis"},
    {split_uneven, "split: axis 1 of (3, 5) cannot be cut into 2 equal parts"},
};

START_TEST(a_mistake_is_named)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(3, 5));
    clg_tensor *b = clg_input(g, "b", CLG_F32, CLG_SHAPE(CLG_BATCH, 3));
    ck_assert_ptr_null(mistakes[_i].build(x, b));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, mistakes[_i].message);
    clg_graph_destroy(g);
}
END_TEST

START_TEST(builders_accept_null)
{
    clg_tensor *parts[2];
    ck_assert_ptr_null(clg_slice_axes(NULL, clg_slice_options(.step = {2})));
    ck_assert_ptr_null(clg_flip(NULL, 0));
    ck_assert_ptr_null(clg_stack((clg_tensor *[]){NULL}, 1, 0));
    ck_assert_ptr_null(clg_stack(NULL, 0, 0));
    ck_assert_int_ne(clg_split(NULL, 0, 2, parts), CLG_OK);
}
END_TEST

void ops_slice_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "slices");
    tcase_add_test(values, slices_in_value_and_gradient);
    TCase *arguments = testing_case(suite, "slice arguments");
    tcase_add_loop_test(arguments, a_mistake_is_named, 0, CLG__COUNT(mistakes));
    tcase_add_test(arguments, builders_accept_null);
}
