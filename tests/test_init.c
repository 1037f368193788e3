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
    {{CLG_INIT_NORMAL, 0.02, 0}, 0.02, 0},
    {{CLG_INIT_UNIFORM, 0.3, 0}, 0.17320508, 0.3},
    {{CLG_INIT_FAN_IN_UNIFORM, 0, 0}, 0.03402069, 0.058925565},
    {{CLG_INIT_FAN_IN_UNIFORM, 0, 100}, 0.05773503, 0.1},
    {{CLG_INIT_GLOROT_NORMAL, 0, 0}, 0.03726780, 0},
    {{CLG_INIT_GLOROT_UNIFORM, 0, 0}, 0.03726780, 0.0645497},
    {{CLG_INIT_HE_NORMAL, 0, 0}, 0.08333333, 0},
    {{CLG_INIT_HE_UNIFORM, 0, 0}, 0.08333333, 0.1443376},
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
    TEST_FAILS(clg__init_fill(&CLG_INIT(.kind = CLG_INIT_FAN_IN_UNIFORM, .fan_in = -3), &shape, 1,
                              "b", data),
               CLG_ERROR_ARGUMENT, "-3");
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
    tcase_add_test(values, neighbours_are_independent);
    tcase_add_test(values, constants_are_exact);
    tcase_add_test(values, numbers_depend_on_seed_name_and_element_only);
    tcase_add_test(values, numbers_are_those_of_earlier_versions);
    tcase_add_test(values, impossible_initializers_are_refused_by_name);
    return testing_run(suite);
}
