/*
 * Padding by a value and by the elements at the edge, of one and of several axes, and its gradient,
 * which sums up what was repeated.
 */
#include "ops/cases.h"
#include "ops/op_check.h"

/* p: mode; before and after of axis 1, of axis 2, of axis 0 */
static clg_pad_params params_of(const op_case *c)
{
    return (clg_pad_params){.mode = (clg_pad_mode)c->p[0],
                            .value = c->a,
                            .before = {c->p[5], c->p[1], c->p[3]},
                            .after = {c->p[6], c->p[2], c->p[4]}};
}

static clg_tensor *pad(const op_case *c, clg_tensor *const *x)
{
    clg_pad_params params = params_of(c);
    return clg_pad_axes(clg_square(x[0]), &params);
}

/* Where position i of a padded axis of n elements comes from; -1: from the value. */
static int64_t source(int mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n) return i;
    switch (mode) {
    case CLG_PAD_REPLICATE:
        return i < 0 ? 0 : n - 1;
    case CLG_PAD_REFLECT:
        return i < 0 ? -i : 2 * (n - 1) - i;
    case CLG_PAD_CIRCULAR:
        return (i + n) % n;
    default:
        return -1;
    }
}

static void padded(const op_case *c, const clg_shape *in, const double *const *x,
                   const clg_shape *out, double *y)
{
    clg_pad_params params = params_of(c);
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS];
        bool inside = true;
        op_check_coordinates(out, i, at);
        for (int k = 0; k < out->ndim; k++) {
            at[k] = source(c->p[0], at[k] - params.before[k], in->dim[k]);
            inside &= at[k] >= 0;
        }
        double v = inside ? x[0][op_check_index(in, at)] : 0;
        y[i] = inside ? v * v : c->a;
    }
}

/* Its second derivative differentiates the gradient of the padding. */
static clg_tensor *squared_pad(const op_case *c, clg_tensor *const *x)
{
    return clg_square(pad(c, x));
}

static void squared(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    padded(c, in, x, out, y);
    for (int64_t i = 0; i < clg_shape_count(out); i++) y[i] *= y[i];
}

#define PAD(text, shape_, ...)                                                                     \
    {                                                                                              \
        text, 1, {shape_}, pad, padded, .p = { __VA_ARGS__ }                                       \
    }
static const op_case cases[] = {
    PAD("replicate one column", OP_SHAPE(3, 5), CLG_PAD_REPLICATE, 1, 2),
    PAD("replicate images", OP_SHAPE(2, 3, 4, 5), CLG_PAD_REPLICATE, 1, 2, 3, 1),
    PAD("replicate images by fours", OP_SHAPE(2, 3, 4, 8), CLG_PAD_REPLICATE, 2, 1, 1, 1),
    PAD("replicate one element", OP_SHAPE(2, 1, 3), CLG_PAD_REPLICATE, 3, 4),
    PAD("replicate the first axis", OP_SHAPE(3, 2), CLG_PAD_REPLICATE, 0, 0, 0, 0, 5, 1),
    PAD("reflect images", OP_SHAPE(2, 4, 5, 3), CLG_PAD_REFLECT, 3, 2, 1, 4),
    PAD("reflect in front only", OP_SHAPE(2, 7), CLG_PAD_REFLECT, 6, 0),
    PAD("circular images", OP_SHAPE(2, 4, 5, 4), CLG_PAD_CIRCULAR, 4, 2, 1, 5),
    PAD("circular behind only", OP_SHAPE(2, 7), CLG_PAD_CIRCULAR, 0, 3),
    {"a value around images",
     1,
     {OP_SHAPE(2, 3, 4, 5)},
     pad,
     padded,
     .p = {CLG_PAD_CONSTANT, 1, 2, 0, 1},
     .a = -7.5},
    {"the square of images with reflections",
     1,
     {OP_SHAPE(2, 4, 5, 3)},
     squared_pad,
     squared,
     .p = {CLG_PAD_REFLECT, 1, 2, 2, 1}},
    {"replicate behind the batch",
     1,
     {OP_SHAPE(CLG_BATCH, 3, 2, 4)},
     pad,
     padded,
     .p = {CLG_PAD_REPLICATE, 1, 1, 2, 1},
     .batch = {4, 7, 1}},
    {"reflect in front of the batch",
     1,
     {OP_SHAPE(3, CLG_BATCH)},
     pad,
     padded,
     .p = {CLG_PAD_REFLECT, 0, 0, 0, 0, 2, 1},
     .batch = {4, 7, 1}},
};

START_TEST(pads_of_every_mode)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

static const struct {
    clg_pad_params params; /* of x (CLG_BATCH = 4, 3, 5) */
    const char *message;
} mistakes[] = {
    {{.before = {0, 3}, .mode = CLG_PAD_REFLECT},
     "pad: axis 1 of (4, 3, 5) with 3 in front and 0 behind (reflecting takes less"},
    {{.after = {0, 4}, .mode = CLG_PAD_CIRCULAR}, "going round takes the extent at most"},
    {{.before = {0, -1}, .mode = CLG_PAD_REPLICATE}, "pad: axis 1 of (4, 3, 5) with -1 in front"},
    {{.before = {1}, .mode = CLG_PAD_REPLICATE}, "which follows the batch size"},
    {{.after = {0, 0, 0, 1}}, "pad: axis 3 is out of range"},
    {{.mode = (clg_pad_mode)9}, "pad: there is no mode 9"},
    {{.before = {0, INT32_MAX}, .mode = CLG_PAD_REPLICATE}, "pad: axis 1"},
};

START_TEST(a_padding_that_cannot_be_is_named)
{
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 3, 5));
    ck_assert_ptr_null(clg_pad_axes(x, &mistakes[_i].params));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, mistakes[_i].message);
    ck_assert_ptr_null(clg_pad_axes(NULL, &mistakes[_i].params));
    clg_graph_destroy(g);
}
END_TEST

void ops_pad_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "pad");
    tcase_add_test(values, pads_of_every_mode);
    TCase *arguments = testing_case(suite, "pad arguments");
    tcase_add_loop_test(arguments, a_padding_that_cannot_be_is_named, 0, CLG__COUNT(mistakes));
}
