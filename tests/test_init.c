/*
 * Initial values of variables: fan counts, the moments and bounds of every kind, and that the
 * numbers depend on seed, name and element only.
 */
#include <math.h>

#include "tensor/init.h"
#include "testing.h"

static clg_shape shape_of(int ndim, const int64_t *dim)
{
    clg_shape shape = {.ndim = ndim};
    memcpy(shape.dim, dim, (size_t)ndim * sizeof dim[0]);
    return shape;
}
#define SHAPE(...)                                                                                 \
    shape_of((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

START_TEST(fans_count_the_kernel_area)
{
    static const struct {
        int ndim;
        int64_t dim[4], fan_in, fan_out;
    } cases[] = {
        {4, {3, 5, 16, 32}, 240, 480}, {2, {784, 10}, 784, 10}, {1, {10}, 1, 10}, {0, {0}, 1, 1}};
    for (size_t i = 0; i < CLG__COUNT(cases); i++) {
        clg_shape shape = shape_of(cases[i].ndim, cases[i].dim);
        int64_t fan_in, fan_out;
        clg__init_fans(&shape, &fan_in, &fan_out);
        ck_assert_int_eq(fan_in, cases[i].fan_in);
        ck_assert_int_eq(fan_out, cases[i].fan_out);
    }
}
END_TEST

/* Shape (3, 3, 32, 128): fan_in 288, fan_out 1152, 36864 elements. `limit` 0: no bound. */
static const struct {
    clg_init init;
    double sigma, limit;
} moments[] = {
    {{.kind = CLG_INIT_NORMAL, .value = 0.02}, 0.02, 0},
    {{.kind = CLG_INIT_UNIFORM, .value = 0.3}, 0.17320508, 0.3},
    {{.kind = CLG_INIT_FAN_IN_UNIFORM}, 0.03402069, 0.058925565},
    {{.kind = CLG_INIT_FAN_IN_UNIFORM, .fan_in = 100}, 0.05773503, 0.1},
    {{.kind = CLG_INIT_GLOROT_NORMAL}, 0.03726780, 0},
    {{.kind = CLG_INIT_GLOROT_UNIFORM}, 0.03726780, 0.0645497},
    {{.kind = CLG_INIT_HE_NORMAL}, 0.08333333, 0},
    {{.kind = CLG_INIT_HE_UNIFORM}, 0.08333333, 0.1443376},
    {{.kind = CLG_INIT_HE_NORMAL, .slope = 0.75}, 0.06666667, 0},
    {{.kind = CLG_INIT_HE_UNIFORM, .slope = 0.75}, 0.06666667, 0.1154701},
    {{.kind = CLG_INIT_LECUN_NORMAL}, 0.05892557, 0},
    {{.kind = CLG_INIT_LECUN_UNIFORM}, 0.05892557, 0.1020621},
    {{.kind = CLG_INIT_TRUNCATED_NORMAL, .value = 0.02}, 0.01759251, 0.04},
    {{.kind = CLG_INIT_GLOROT_UNIFORM, .gain = 5.0 / 3}, 0.06211300, 0.1075829},
    {{.kind = CLG_INIT_NORMAL, .value = 0.02, .gain = 0.5}, 0.01, 0},
    {{.kind = CLG_INIT_ORTHOGONAL}, 0.05892557, 0},
};

START_TEST(moments_and_bounds_are_those_of_the_kind)
{
    enum { COUNT = 3 * 3 * 32 * 128 };
    clg_shape shape = SHAPE(3, 3, 32, 128);
    static float data[COUNT];
    TEST_OK(clg__init_fill(&moments[_i].init, &shape, 1, "conv.weight", data));
    double sum = 0, squares = 0, largest = 0;
    for (int i = 0; i < COUNT; i++) {
        sum += data[i];
        squares += (double)data[i] * data[i];
        largest = fmax(largest, fabs(data[i]));
    }
    double sigma = moments[_i].sigma, limit = moments[_i].limit;
    ck_assert_double_lt(fabs(sum / COUNT), 4 * sigma / sqrt(COUNT));
    ck_assert_double_lt(fabs(sqrt(squares / COUNT) / sigma - 1), 4 / sqrt(COUNT));
    if (limit != 0) ck_assert_double_lt(largest, limit * (1 + 1e-6));
    ck_assert_double_gt(largest, limit != 0 ? 0.999 * limit : 3.5 * sigma);
}
END_TEST

/* Both signs are as frequent, and the share within one half of the deviation is the normal's. */
START_TEST(truncated_normal_keeps_the_shape_of_the_normal)
{
    enum { COUNT = 65536 };
    clg_shape shape = SHAPE(COUNT);
    static float data[COUNT];
    TEST_OK(clg__init_fill(&CLG_INIT(.kind = CLG_INIT_TRUNCATED_NORMAL, .value = 2), &shape, 3, "w",
                           data));
    int positive = 0, inner = 0;
    for (int i = 0; i < COUNT; i++) {
        positive += data[i] > 0;
        inner += fabs(data[i]) < 1;
    }
    double share = 0.3829249225480262 / 0.9544997361036416; /* erf of 1/2 and 2, over sqrt 2 */
    ck_assert_double_lt(fabs(positive / (double)COUNT - 0.5), 4 * 0.5 / sqrt(COUNT));
    ck_assert_double_lt(fabs(inner / (double)COUNT - share), 4 * 0.5 / sqrt(COUNT));
}
END_TEST

/* W' W or W W', whichever is smaller, is gain^2 on the diagonal and 0 elsewhere. */
static void assert_orthonormal(const float *w, int64_t rows, int64_t columns, double gain)
{
    bool tall = rows >= columns;
    int64_t n = tall ? columns : rows, length = tall ? rows : columns;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            double product = 0;
            for (int64_t k = 0; k < length; k++)
                product += tall ? (double)w[k * columns + i] * w[k * columns + j]
                                : (double)w[i * columns + k] * w[j * columns + k];
            ck_assert_double_lt(fabs(product - (i == j ? gain * gain : 0)), 1e-6 * gain * gain);
        }
}

START_TEST(orthogonal_matrices_are_orthogonal)
{
    static const struct {
        int ndim;
        int64_t dim[4];
        double gain;
    } cases[] = {{2, {40, 40}, 0},      {2, {17, 5}, 2}, {2, {5, 17}, 0.5}, {4, {3, 3, 7, 11}, 0},
                 {4, {1, 1, 3, 50}, 0}, {1, {9}, 0},     {2, {1, 1}, 3}};
    static float w[4096];
    for (size_t i = 0; i < CLG__COUNT(cases); i++) {
        clg_shape shape = shape_of(cases[i].ndim, cases[i].dim);
        clg_init init = {.kind = CLG_INIT_ORTHOGONAL, .gain = cases[i].gain};
        TEST_OK(clg__init_fill(&init, &shape, 5, "w", w));
        int64_t columns = shape.dim[shape.ndim - 1], rows = clg_shape_count(&shape) / columns;
        assert_orthonormal(w, rows, columns, cases[i].gain ? cases[i].gain : 1);
    }
}
END_TEST

START_TEST(orthogonal_fails_without_memory)
{
    clg_shape shape = SHAPE(4, 4);
    float w[16] = {7};
    clg__fault_set(CLG__FAULT_ALLOC, 1, false, 0);
    ck_assert_int_eq(clg__init_fill(&CLG_INIT(.kind = CLG_INIT_ORTHOGONAL), &shape, 1, "w", w),
                     CLG_ERROR_MEMORY);
    ck_assert(w[0] == 7);
}
END_TEST

START_TEST(kinds_are_found_by_name)
{
    clg_init_kind kind = CLG_INIT_ONES;
    for (int i = 0; i < CLG_INIT_COUNT; i++) {
        ck_assert(clg_init_find(clg_init_name((clg_init_kind)i), &kind));
        ck_assert_int_eq(kind, i);
    }
    ck_assert(!clg_init_find("he", &kind) && kind == CLG_INIT_COUNT - 1);
    ck_assert_str_eq(clg_init_name(CLG_INIT_LECUN_NORMAL), "lecun_normal");
    ck_assert_ptr_null(clg_init_name((clg_init_kind)99));
    ck_assert(clg_init_takes_value(CLG_INIT_TRUNCATED_NORMAL));
    ck_assert(!clg_init_takes_value(CLG_INIT_ORTHOGONAL) && !clg_init_takes_value(CLG_INIT_ZEROS));
}
END_TEST

/* Correlation of neighbours, as a wrong use of the four words of a counter would cause. */
START_TEST(neighbours_are_independent)
{
    enum { COUNT = 65536 };
    clg_shape shape = SHAPE(256, 256);
    static float data[COUNT];
    clg_init_kind kinds[] = {CLG_INIT_NORMAL, CLG_INIT_UNIFORM};
    for (size_t k = 0; k < CLG__COUNT(kinds); k++) {
        TEST_OK(clg__init_fill(&CLG_INIT(.kind = kinds[k], .value = 1.0), &shape, 7, "w", data));
        for (int lag = 1; lag <= 8; lag++) {
            double product = 0, squares = 0;
            for (int i = 0; i + lag < COUNT; i++) {
                product += (double)data[i] * data[i + lag];
                squares += (double)data[i] * data[i];
            }
            ck_assert_double_lt(fabs(product / squares), 4 / sqrt(COUNT));
        }
    }
}
END_TEST

START_TEST(constants_are_exact)
{
    clg_shape vector = SHAPE(5), scalar = {0};
    float data[5] = {9, 9, 9, 9, 9};
    TEST_OK(clg__init_fill(&CLG_INIT(.kind = CLG_INIT_ZEROS), &vector, 1, "b", data));
    for (int i = 0; i < 5; i++) ck_assert(data[i] == 0.0f);
    TEST_OK(
        clg__init_fill(&CLG_INIT(.kind = CLG_INIT_CONSTANT, .value = 0.1), &scalar, 1, "b", data));
    ck_assert(data[0] == 0.1f && data[1] == 0.0f);
    TEST_OK(clg__init_fill(&CLG_INIT(.kind = CLG_INIT_ONES), &vector, 1, "b", data));
    for (int i = 0; i < 5; i++) ck_assert(data[i] == 1.0f);
}
END_TEST

/* A count that is no multiple of 4 takes the same numbers as a larger one, and stays inside. */
START_TEST(numbers_depend_on_seed_name_and_element_only)
{
    clg_init init = CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 1.0);
    clg_shape large = SHAPE(64), odd = SHAPE(7);
    float a[64], b[64] = {0}, c[64];
    TEST_OK(clg__init_fill(&init, &large, 42, "fc.weight", a));
    TEST_OK(clg__init_fill(&init, &odd, 42, "fc.weight", b));
    ck_assert_mem_eq(a, b, 7 * sizeof a[0]);
    ck_assert(b[7] == 0.0f);
    TEST_OK(clg__init_fill(&init, &large, 43, "fc.weight", c));
    ck_assert_mem_ne(a, c, sizeof a);
    TEST_OK(clg__init_fill(&init, &large, 42, "fc.weighs", c));
    ck_assert_mem_ne(a, c, sizeof a);
}
END_TEST

/* The numbers are part of the format of a run: a seed must mean the same model in later versions.
 */
START_TEST(numbers_are_those_of_earlier_versions)
{
    static const float expected[5] = {-0.0733594298f, -0.625442326f, -0.118943632f, -0.804591954f,
                                      0.35277319f};
    clg_shape shape = SHAPE(5);
    float data[5];
    TEST_OK(clg__init_fill(&CLG_INIT(.kind = CLG_INIT_UNIFORM, .value = 1.0), &shape, 42,
                           "fc.weight", data));
    for (int i = 0; i < 5; i++)
        ck_assert_msg(data[i] == expected[i], "element %d is %.9g", i, data[i]);
}
END_TEST

START_TEST(impossible_initializers_are_refused_by_name)
{
    clg_shape shape = SHAPE(3);
    float data[3] = {1, 2, 3};
    TEST_FAILS(clg__init_fill(&CLG_INIT(.kind = (clg_init_kind)99), &shape, 1, "fc.bias", data),
               CLG_ERROR_ARGUMENT, "fc.bias");
    TEST_FAILS(clg__init_fill(&CLG_INIT(.kind = CLG_INIT_NORMAL, .value = NAN), &shape, 1,
                              "fc.bias", data),
               CLG_ERROR_ARGUMENT, "nan");
    static const clg_init_kind widths[] = {CLG_INIT_NORMAL, CLG_INIT_TRUNCATED_NORMAL,
                                           CLG_INIT_UNIFORM};
    for (size_t i = 0; i < CLG__COUNT(widths); i++)
        TEST_FAILS(
            clg__init_fill(&CLG_INIT(.kind = widths[i], .value = -1), &shape, 1, "fc.bias", data),
            CLG_ERROR_ARGUMENT, "is not negative (got -1)");
    TEST_FAILS(clg__init_fill(&CLG_INIT(.kind = CLG_INIT_FAN_IN_UNIFORM, .fan_in = -3), &shape, 1,
                              "b", data),
               CLG_ERROR_ARGUMENT, "-3");
    TEST_FAILS(
        clg__init_fill(&CLG_INIT(.kind = CLG_INIT_ORTHOGONAL, .gain = -1), &shape, 1, "b", data),
        CLG_ERROR_ARGUMENT, "b: initial values need a gain that is not negative (got -1)");
    TEST_FAILS(
        clg__init_fill(&CLG_INIT(.kind = CLG_INIT_HE_NORMAL, .slope = NAN), &shape, 1, "b", data),
        CLG_ERROR_ARGUMENT, "a finite slope (got nan)");
    TEST_FAILS(
        clg__init_fill(&CLG_INIT(.kind = CLG_INIT_LECUN_NORMAL, .slope = 1), &shape, 1, "b", data),
        CLG_ERROR_ARGUMENT, "not to lecun_normal");
    ck_assert(data[0] == 1 && data[2] == 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("init");
    TCase *values = testing_case(suite, "values");
    tcase_add_test(values, fans_count_the_kernel_area);
    tcase_add_loop_test(values, moments_and_bounds_are_those_of_the_kind, 0,
                        (int)CLG__COUNT(moments));
    tcase_add_test(values, truncated_normal_keeps_the_shape_of_the_normal);
    tcase_add_test(values, orthogonal_matrices_are_orthogonal);
    tcase_add_test(values, orthogonal_fails_without_memory);
    tcase_add_test(values, kinds_are_found_by_name);
    tcase_add_test(values, neighbours_are_independent);
    tcase_add_test(values, constants_are_exact);
    tcase_add_test(values, numbers_depend_on_seed_name_and_element_only);
    tcase_add_test(values, numbers_are_those_of_earlier_versions);
    tcase_add_test(values, impossible_initializers_are_refused_by_name);
    return testing_run(suite);
}
