/*
 * Reshape, views, concat and pad: values and gradients at static and following extents, chains of
 * views, and the messages for what does not fit.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* ---- references: y[i] = x[where(i)] ---- */

static clg_tensor *reshape(const op_case *c, clg_tensor *const *x)
{
    clg_shape shape = {.ndim = c->p[0]};
    for (int i = 0; i < shape.ndim; i++) shape.dim[i] = c->p[1 + i];
    return clg_square(clg_reshape(x[0], shape));
}

static clg_tensor *flatten(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_flatten(x[0]));
}

static void squares(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    ck_assert_int_eq(clg_shape_count(in), clg_shape_count(out));
    for (int64_t i = 0; i < clg_shape_count(out); i++) y[i] = x[0][i] * x[0][i];
}

static clg_tensor *transpose(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_transpose(x[0], c->p));
}

static void transposed(const op_case *c, const clg_shape *in, const double *const *x,
                       const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS], from[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        for (int j = 0; j < out->ndim; j++) from[c->p[j]] = at[j];
        double v = x[0][op_check_index(in, from)];
        y[i] = v * v;
    }
}

/* Broadcast to the shape of input 1, which only lends its shape. */
static clg_tensor *broadcast(const op_case *c, clg_tensor *const *x)
{
    return clg_mul(clg_square(clg_broadcast(x[0], x[1]->shape)), x[1]);
}

static void repeated(const op_case *c, const clg_shape *in, const double *const *x,
                     const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS], from[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        int lead = out->ndim - in[0].ndim;
        for (int j = lead; j < out->ndim; j++)
            from[j - lead] = in[0].dim[j - lead] == 1 ? 0 : at[j];
        double v = x[0][op_check_index(&in[0], from)];
        y[i] = v * v * x[1][i];
    }
}

/* p: axis, begin, count */
static clg_tensor *slice(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_slice(x[0], c->p[0], c->p[1], c->p[2]));
}

/* The slice itself, unread by anything that computes. */
static clg_tensor *bare_slice(const op_case *c, clg_tensor *const *x)
{
    return clg_slice(x[0], c->p[0], c->p[1], c->p[2]);
}

static void sliced(const op_case *c, const clg_shape *in, const double *const *x,
                   const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        at[c->p[0]] += c->p[1];
        double v = x[0][op_check_index(in, at)];
        y[i] = c->build == slice ? v * v : v;
    }
}

/* p: axis, before, after */
static clg_tensor *pad(const op_case *c, clg_tensor *const *x)
{
    return clg_pad(clg_square(x[0]), c->p[0], c->p[1], c->p[2]);
}

static void padded(const op_case *c, const clg_shape *in, const double *const *x,
                   const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        at[c->p[0]] -= c->p[1];
        y[i] = 0;
        if (at[c->p[0]] < 0 || at[c->p[0]] >= in->dim[c->p[0]]) continue;
        double v = x[0][op_check_index(in, at)];
        y[i] = v * v;
    }
}

/* p: axis. Parts are computed, so that they may be written in place. */
static clg_tensor *concat(const op_case *c, clg_tensor *const *x)
{
    clg_tensor *parts[OP_MAX_INPUTS];
    for (int i = 0; i < c->n_inputs; i++) parts[i] = clg_square(x[i]);
    return clg_mul(clg_concat(parts, c->n_inputs, c->p[0]), clg_scalar(x[0]->graph, 3));
}

/* Inputs as they are, one of them twice. */
static clg_tensor *concat_fed(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_concat((clg_tensor *[]){x[0], x[1], x[0]}, 3, c->p[0]));
}

static void joined(const op_case *c, const clg_shape *in, const double *const *x,
                   const clg_shape *out, double *y)
{
    bool fed = c->build == concat_fed;
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(out, i, at);
        int part = 0;
        while (at[c->p[0]] >= in[part % 2 == 0 && fed ? 0 : part].dim[c->p[0]]) {
            at[c->p[0]] -= in[part % 2 == 0 && fed ? 0 : part].dim[c->p[0]];
            part++;
        }
        int from = fed && part == 2 ? 0 : part;
        double v = x[from][op_check_index(&in[from], at)];
        y[i] = fed ? v * v : 3 * v * v;
    }
}

/* Views of views of a computed tensor: slice(transpose(broadcast(...))), then a sum. */
static clg_tensor *chain(const op_case *c, clg_tensor *const *x)
{
    clg_tensor *t = clg_broadcast(clg_sin(x[0]), CLG_SHAPE(4, 3, 5));
    t = clg_slice(clg_transpose(t, (int[]){2, 0, 1}), 0, 1, 3); /* (3, 4, 3) */
    return clg_sum(clg_square(clg_transpose(t, (int[]){1, 2, 0})), CLG_AXIS(1), false);
}

static void chained(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    for (int i = 0; i < 4; i++) /* x (3, 5) repeated 4 times; columns 1 to 3; summed over rows */
        for (int j = 0; j < 3; j++) {
            y[i * 3 + j] = 0;
            for (int r = 0; r < 3; r++) {
                double v = sin(x[0][r * 5 + 1 + j]);
                y[i * 3 + j] += v * v;
            }
        }
}

static const op_case cases[] = {
    {"reshape (2, 6) to (3, 4)", 1, {OP_SHAPE(2, 6)}, reshape, squares, .p = {2, 3, 4}},
    {"reshape (7) to a free extent", 1, {OP_SHAPE(7)}, reshape, squares, .p = {3, 1, -1, 1}},
    {"reshape with rows joined to the batch",
     1,
     {OP_SHAPE(CLG_BATCH, 3, 4)},
     reshape,
     squares,
     .p = {2, -1, 4},
     .batch = {4, 6, 1}},
    {"flatten images", 1, {OP_SHAPE(CLG_BATCH, 3, 2, 5)}, flatten, squares, .batch = {3, 4, 1}},
    {"flatten one axis", 1, {OP_SHAPE(5)}, flatten, squares},
    {"transpose a matrix", 1, {OP_SHAPE(5, 7)}, transpose, transposed, .p = {1, 0}},
    {"transpose 1023 x 33", 1, {OP_SHAPE(1023, 33)}, transpose, transposed, .p = {1, 0}},
    {"transpose of a batch",
     1,
     {OP_SHAPE(CLG_BATCH, 4, 3)},
     transpose,
     transposed,
     .p = {2, 0, 1},
     .batch = {5, 2, 1}},
    {"transpose NHWC to NCHW", 1, {OP_SHAPE(2, 3, 4, 5)}, transpose, transposed, .p = {0, 3, 1, 2}},
    {"transpose six axes",
     1,
     {OP_SHAPE(2, 3, 1, 2, 3, 2)},
     transpose,
     transposed,
     .p = {5, 0, 3, 2, 4, 1}},
    {"broadcast (3, 1) to (2, 3, 4)", 2, {OP_SHAPE(3, 1), OP_SHAPE(2, 3, 4)}, broadcast, repeated},
    {"broadcast a row over the batch",
     2,
     {OP_SHAPE(5), OP_SHAPE(CLG_BATCH, 5)},
     broadcast,
     repeated,
     .batch = {3, 7, 1}},
    {"broadcast a column of the batch",
     2,
     {OP_SHAPE(CLG_BATCH, 1), OP_SHAPE(CLG_BATCH, 5)},
     broadcast,
     repeated,
     .batch = {3, 7, 1}},
    {"slice the first axis", 1, {OP_SHAPE(7, 3)}, slice, sliced, .p = {0, 2, 4}},
    {"slice the last axis", 1, {OP_SHAPE(3, 17)}, slice, sliced, .p = {1, 5, 9}},
    {"slice behind the batch",
     1,
     {OP_SHAPE(CLG_BATCH, 6, 2)},
     slice,
     sliced,
     .p = {1, 5, 1},
     .batch = {4, 9, 1}},
    {"slice one range of memory that follows the batch",
     1,
     {OP_SHAPE(5, CLG_BATCH)},
     slice,
     sliced,
     .p = {0, 1, 3},
     .batch = {4, 6, 1}},
    {"a slice as the result", 1, {OP_SHAPE(4, 6)}, bare_slice, sliced, .p = {1, 1, 4}},
    {"pad the last axis", 1, {OP_SHAPE(3, 5)}, pad, padded, .p = {1, 2, 1}},
    {"pad by fours", 1, {OP_SHAPE(3, 8)}, pad, padded, .p = {1, 4, 8}},
    {"pad the first axis", 1, {OP_SHAPE(3, 5)}, pad, padded, .p = {0, 0, 2}},
    {"pad behind the batch",
     1,
     {OP_SHAPE(CLG_BATCH, 3, 2)},
     pad,
     padded,
     .p = {1, 1, 0},
     .batch = {4, 5, 1}},
    {"pad in front of the batch",
     1,
     {OP_SHAPE(3, CLG_BATCH)},
     pad,
     padded,
     .p = {0, 1, 1},
     .batch = {4, 5, 1}},
    {"concat vectors", 3, {OP_SHAPE(1), OP_SHAPE(7), OP_SHAPE(1023)}, concat, joined},
    {"concat along channels", 2, {OP_SHAPE(2, 3, 5), OP_SHAPE(2, 3, 4)}, concat, joined, .p = {2}},
    {"concat along channels, by fours",
     2,
     {OP_SHAPE(2, 3, 8), OP_SHAPE(2, 3, 4)},
     concat,
     joined,
     .p = {2}},
    {"concat behind the batch",
     3,
     {OP_SHAPE(CLG_BATCH, 2, 3), OP_SHAPE(CLG_BATCH, 1, 3), OP_SHAPE(CLG_BATCH, 4, 3)},
     concat,
     joined,
     .p = {1},
     .batch = {3, 8, 1}},
    {"concat in front of the batch",
     2,
     {OP_SHAPE(1, CLG_BATCH), OP_SHAPE(2, CLG_BATCH)},
     concat,
     joined,
     .p = {0},
     .batch = {3, 8, 1}},
    {"concat of inputs, one twice", 2, {OP_SHAPE(2, 3), OP_SHAPE(4, 3)}, concat_fed, joined},
    {"concat of inputs, one twice, columns",
     2,
     {OP_SHAPE(3, 2), OP_SHAPE(3, 4)},
     concat_fed,
     joined,
     .p = {1}},
    {"views of views", 1, {OP_SHAPE(3, 5)}, chain, chained},
};

START_TEST(structure_in_all_shapes)
{
    op_case all[CLG__COUNT(cases)];
    memcpy(all, cases, sizeof cases);
    for (size_t i = 0; i < CLG__COUNT(cases); i++) /* rules are linear: some seconds are enough */
        all[i].first_only = !cases[i].batch[0];
    op_check_table(all, CLG__COUNT(all));
}
END_TEST

START_TEST(forty_parts_are_joined)
{
    enum { N = 40 };
    clg_context *ctx = op_check_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, N)), *parts[N];
    for (int i = 0; i < N; i++) parts[N - 1 - i] = clg_slice(x, 1, i, 1);
    clg_tensor *y = clg_concat(parts, N, -1);
    clg_program *program = op_check_compile(ctx, g, &y, 1, CLG_INFERENCE);
    float data[2 * N], got[2 * N];
    double want[2 * N];
    for (int i = 0; i < 2 * N; i++) data[i] = (float)i;
    for (int i = 0; i < 2 * N; i++) want[i] = data[i / N * N + N - 1 - i % N];
    op_check_feed(program, x, data, 2 * N);
    TEST_OK(clg_program_run(program));
    op_check_read(program, y, got, 2 * N);
    op_check_close("concat", "value", got, want, 2 * N, 0);
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* ---- arguments: each fails on a graph of its own ---- */

static clg_tensor *reshape_count(clg_tensor *x, clg_tensor *b)
{
    return clg_reshape(x, CLG_SHAPE(5, 5));
}
static clg_tensor *reshape_two_free(clg_tensor *x, clg_tensor *b)
{
    return clg_reshape(x, CLG_SHAPE(CLG_BATCH, CLG_BATCH));
}
static clg_tensor *reshape_fixed_batch(clg_tensor *x, clg_tensor *b)
{
    return clg_reshape(b, CLG_SHAPE(12));
}
static clg_tensor *reshape_split_batch(clg_tensor *x, clg_tensor *b)
{
    return clg_reshape(b, CLG_SHAPE(6, CLG_BATCH));
}
static clg_tensor *transpose_twice(clg_tensor *x, clg_tensor *b)
{
    return clg_transpose(x, (int[]){0, 0});
}
static clg_tensor *broadcast_wrong(clg_tensor *x, clg_tensor *b)
{
    return clg_broadcast(x, CLG_SHAPE(2, 3, 4));
}
static clg_tensor *slice_outside(clg_tensor *x, clg_tensor *b)
{
    return clg_slice(x, 1, 3, 4);
}
static clg_tensor *slice_batch(clg_tensor *x, clg_tensor *b)
{
    return clg_slice(b, 0, 0, 1);
}
static clg_tensor *slice_axis(clg_tensor *x, clg_tensor *b)
{
    return clg_slice(x, 2, 0, 1);
}
static clg_tensor *pad_negative(clg_tensor *x, clg_tensor *b)
{
    return clg_pad(x, 0, -1, 0);
}
static clg_tensor *pad_overflow(clg_tensor *x, clg_tensor *b)
{
    return clg_pad(x, 0, INT64_MAX, 0);
}
static clg_tensor *concat_differs(clg_tensor *x, clg_tensor *b)
{
    return clg_concat((clg_tensor *[]){x, b}, 2, 0);
}
static clg_tensor *concat_batch(clg_tensor *x, clg_tensor *b)
{
    return clg_concat((clg_tensor *[]){b, b}, 2, 0);
}
static clg_tensor *flatten_scalar(clg_tensor *x, clg_tensor *b)
{
    return clg_flatten(clg_scalar(x->graph, 1));
}

static const struct {
    clg_tensor *(*build)(clg_tensor *x, clg_tensor *b); /* x (3, 5), b (CLG_BATCH = 4, 3) */
    const char *message;
} mistakes[] = {
    {reshape_count, "reshape: (3, 5) has 15 elements, which do not make (5, 5)"},
    {reshape_two_free, "reshape: (3, 5) does not fit"},
    {reshape_fixed_batch, "give one extent as CLG_BATCH"},
    {reshape_split_batch, "no multiple of the batch size 4"},
    {transpose_twice, "transpose: order[1] = 0"},
    {broadcast_wrong, "broadcast: (3, 5) cannot be repeated to (2, 3, 4)"},
    {slice_outside, "slice: 4 elements from 3 on are not within axis 1 of (3, 5)"},
    {slice_batch, "slice: axis 0 of (4, 3) follows the batch size"},
    {slice_axis, "slice: axis 2 is out of range for shape (3, 5)"},
    {pad_negative, "pad: axis 0 of (3, 5) with -1 in front"},
    {pad_overflow, "pad: axis 0"},
    {concat_differs, "concat: (3, 5) and (4, 3) cannot be joined along axis 0"},
    {concat_batch, "concat: (4, 3) and (4, 3) cannot be joined along axis 0, which follows"},
    {flatten_scalar, "flatten: a scalar has no rows"},
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
    ck_assert_ptr_null(clg_reshape(NULL, CLG_SHAPE(1)));
    ck_assert_ptr_null(clg_flatten(NULL));
    ck_assert_ptr_null(clg_transpose(NULL, NULL));
    ck_assert_ptr_null(clg_broadcast(NULL, CLG_SHAPE(1)));
    ck_assert_ptr_null(clg_slice(NULL, 0, 0, 1));
    ck_assert_ptr_null(clg_pad(NULL, 0, 1, 1));
    ck_assert_ptr_null(clg_concat((clg_tensor *[]){NULL}, 1, 0));
    ck_assert_ptr_null(clg_concat(NULL, 0, 0));
    ck_assert_ptr_null(clg_stop_gradient(NULL));
    ck_assert_ptr_null(clg_by_mode(NULL, NULL));
    ck_assert_ptr_null(clg_assign(NULL, NULL));
    clg_graph_update(NULL);
}
END_TEST

void ops_structure_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "structure");
    tcase_add_test(values, structure_in_all_shapes);
    tcase_add_test(values, forty_parts_are_joined);
    TCase *arguments = testing_case(suite, "structure arguments");
    tcase_add_loop_test(arguments, a_mistake_is_named, 0, CLG__COUNT(mistakes));
    tcase_add_test(arguments, builders_accept_null);
}
