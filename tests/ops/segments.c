/*
 * Sums over pieces of a vector, and numbers repeated over them: pieces shorter and longer than a
 * chunk of the kernels (4096 elements), and what fuses behind.
 */
#include "ops/segments.h"

#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* p: lengths of the pieces, ended by 0 */
static clg__segments pieces_of(const op_case *c, clg_tensor *const *x)
{
    int64_t lengths[8];
    size_t n = 0;
    for (; n < 8 && c->p[n]; n++) lengths[n] = c->p[n];
    return clg__segments_make(clg_tensor_graph(x[0]), lengths, n);
}

static clg_tensor *sum(const op_case *c, clg_tensor *const *x)
{
    clg__segments s = pieces_of(c, x);
    return clg_mul(clg__segment_sum(x[0], &s, false), clg_scalar(clg_tensor_graph(x[0]), 0.5));
}

static clg_tensor *squares(const op_case *c, clg_tensor *const *x)
{
    clg__segments s = pieces_of(c, x);
    return clg_sqrt(clg__segment_sum(x[0], &s, true));
}

static clg_tensor *repeat(const op_case *c, clg_tensor *const *x)
{
    clg__segments s = pieces_of(c, x);
    return clg_mul(clg_square(clg__segment_repeat(x[0], &s)), x[1]);
}

static void of_sums(const op_case *c, const clg_shape *in, const double *const *x,
                    const clg_shape *out, double *y)
{
    const double *from = x[0];
    for (int64_t i = 0; i < out->dim[0]; i++) {
        y[i] = 0;
        for (int k = 0; k < c->p[i]; k++, from++)
            y[i] += c->build == sum ? *from / 2 : *from * *from;
        if (c->build == squares) y[i] = sqrt(y[i]);
    }
}

static void of_repeat(const op_case *c, const clg_shape *in, const double *const *x,
                      const clg_shape *out, double *y)
{
    for (int64_t i = 0, at = 0; i < in[0].dim[0]; i++)
        for (int k = 0; k < c->p[i]; k++, at++) y[at] = x[0][i] * x[0][i] * x[1][at];
}

#define PIECES(count, pieces, ...)                                                                 \
    {"sum of " #__VA_ARGS__, 1, {OP_SHAPE(count)}, .p = {__VA_ARGS__}, .build = sum,               \
     .reference = of_sums},                                                                        \
        {"norm of " #__VA_ARGS__,                                                                  \
         1,                                                                                        \
         {OP_SHAPE(count)},                                                                        \
         .p = {__VA_ARGS__},                                                                       \
         .build = squares,                                                                         \
         .reference = of_sums,                                                                     \
         .lo = 0.5,                                                                                \
         .hi = 2},                                                                                 \
    {                                                                                              \
        "repeat over " #__VA_ARGS__, 2, {OP_SHAPE(pieces), OP_SHAPE(count)},                       \
            .p = {__VA_ARGS__}, .build = repeat, .reference = of_repeat                            \
    }

START_TEST(pieces_of_any_length)
{
    static const op_case cases[] = {
        PIECES(1, 1, 1),
        PIECES(45, 4, 3, 16, 1, 25),
        PIECES(8300, 4, 5, 8197, 33, 65),
        PIECES(8192, 2, 4096, 4096),
    };
    op_check_table(cases, (int)CLG__COUNT(cases));
}
END_TEST

START_TEST(mistakes_are_named)
{
    clg_graph *g = clg_graph_create(NULL);
    clg__segments s = clg__segments_make(g, (int64_t[]){2, 3}, 2);
    ck_assert_ptr_null(clg__segment_sum(clg_full(g, CLG_SHAPE(6), 1), &s, false));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "segment_sum: expected (5), got (6)");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    s = clg__segments_make(g, (int64_t[]){2, 3}, 2);
    ck_assert_ptr_null(clg__segment_repeat(clg_full(g, CLG_SHAPE(1, 2), 1), &s));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "segment_repeat: expected (2), got (1, 2)");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    s = clg__segments_make(g, (int64_t[]){INT64_C(1) << 37}, 1);
    ck_assert_ptr_null(s.table);
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_UNSUPPORTED, "too many");
    clg_graph_destroy(g);
}
END_TEST

void ops_segments_cases(Suite *suite)
{
    TCase *segments = testing_case(suite, "segments");
    tcase_set_timeout(segments, 300);
    tcase_add_test(segments, pieces_of_any_length);
    tcase_add_test(segments, mistakes_are_named);
}
