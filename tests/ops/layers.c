/*
 * Layers as compositions: what they compute from their input. Their variables start at constants
 * here, so that a reference can say what comes out; names, shapes and initial values of variables
 * are tests/test_nn.c's.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

static const clg_init half = {.kind = CLG_INIT_CONSTANT, .value = 0.5};
static const clg_init quarter = {.kind = CLG_INIT_CONSTANT, .value = 0.25};

static clg_tensor *linear(const op_case *c, clg_tensor *const *x)
{
    return clg_linear_layer(x[0], c->name, 3,
                            clg_linear_options(.weight_init = &half, .bias_init = &quarter));
}

static void linear_reference(const op_case *c, const clg_shape *in, const double *const *x,
                             const clg_shape *out, double *y)
{
    int64_t features = in->dim[1];
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        y[i] = 0.25;
        for (int64_t j = 0; j < features; j++) y[i] += 0.5 * x[0][i / 3 * features + j];
    }
}

/* 3 x 3, without padding, to two channels. */
static clg_tensor *conv2d(const op_case *c, clg_tensor *const *x)
{
    return clg_conv2d_layer(x[0], c->name, 2, 3,
                            clg_conv2d_layer_options(.weight_init = &half, .bias_init = &quarter));
}

static void conv2d_reference(const op_case *c, const clg_shape *in, const double *const *x,
                             const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) {
        int64_t at[CLG_MAX_DIMS], row = 3 * in->dim[3];
        op_check_coordinates(out, i, at);
        y[i] = 0.25;
        for (int64_t dy = 0; dy < 3; dy++) {
            int64_t first[] = {at[0], at[1] + dy, at[2], 0};
            for (int64_t j = 0; j < row; j++) y[i] += 0.5 * x[0][op_check_index(in, first) + j];
        }
    }
}

/* The same window the other way around: each pixel goes to 3 x 3. */
static clg_tensor *transposed(const op_case *c, clg_tensor *const *x)
{
    return clg_conv_transpose2d_layer(
        x[0], c->name, 2, 3,
        clg_conv_transpose2d_layer_options(.weight_init = &half, .bias_init = &quarter));
}

static void transposed_reference(const op_case *c, const clg_shape *in, const double *const *x,
                                 const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) y[i] = 0.25;
    for (int64_t i = 0; i < clg_shape_count(in); i++) {
        int64_t at[CLG_MAX_DIMS];
        op_check_coordinates(in, i, at);
        for (int64_t j = 0; j < 9 * 2; j++) {
            int64_t to[] = {at[0], at[1] + j / 6, at[2] + j / 2 % 3, j % 2};
            y[op_check_index(out, to)] += 0.5 * x[0][i];
        }
    }
}

static clg_tensor *normalized(const op_case *c, clg_tensor *const *x)
{
    return clg_square(clg_normalize_layer(x[0], c->name));
}

/* The variables start at 0 and 1. */
static void square(const op_case *c, const clg_shape *in, const double *const *x,
                   const clg_shape *out, double *y)
{
    for (int64_t i = 0; i < clg_shape_count(out); i++) y[i] = x[0][i] * x[0][i];
}

static clg_tensor *batch_norm(const op_case *c, clg_tensor *const *x)
{
    return clg_batch_norm_layer(x[0], c->name, NULL);
}

static void batch_norm_reference(const op_case *c, const clg_shape *in, const double *const *x,
                                 const clg_shape *out, double *y)
{
    int64_t rows = in->dim[0], channels = in->dim[1];
    for (int64_t k = 0; k < channels; k++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < rows; i++) mean += x[0][i * channels + k] / (double)rows;
        for (int64_t i = 0; i < rows; i++)
            variance += pow(x[0][i * channels + k] - mean, 2) / (double)rows;
        for (int64_t i = 0; i < rows; i++)
            y[i * channels + k] = (x[0][i * channels + k] - mean) / sqrt(variance + 1e-5);
    }
}

/* p: kind */
enum { LAYER, RMS, GROUP };
static clg_tensor *norm(const op_case *c, clg_tensor *const *x)
{
    if (c->p[0] == LAYER) return clg_layer_norm_layer(x[0], c->name, 1, 0.1);
    if (c->p[0] == RMS) return clg_rms_norm_layer(x[0], c->name, 1, 0.1);
    return clg_group_norm_layer(x[0], c->name, 1, 0.1);
}

/* Rows, with scale 1 and shift 0. */
static void norm_reference(const op_case *c, const clg_shape *in, const double *const *x,
                           const clg_shape *out, double *y)
{
    int64_t rows = in->dim[0], n = in->dim[1];
    for (int64_t i = 0; i < rows; i++) {
        double mean = 0, variance = 0;
        for (int64_t k = 0; k < n && c->p[0] != RMS; k++) mean += x[0][i * n + k] / (double)n;
        for (int64_t k = 0; k < n; k++) variance += pow(x[0][i * n + k] - mean, 2) / (double)n;
        for (int64_t k = 0; k < n; k++)
            y[i * n + k] = (x[0][i * n + k] - mean) / sqrt(variance + 0.1);
    }
}

#define NORM(text, kind)                                                                           \
    {                                                                                              \
        text, 1, {OP_SHAPE(CLG_BATCH, 6)}, norm, norm_reference, .p = {kind}, .batch = { 5, 8, 1 } \
    }
static const op_case cases[] = {
    NORM("layer norm layer", LAYER),
    NORM("rms norm layer", RMS),
    NORM("group norm layer", GROUP),
    {"linear layer", 1, {OP_SHAPE(CLG_BATCH, 7)}, linear, linear_reference, .batch = {5, 8, 1}},
    {"conv2d layer",
     1,
     {OP_SHAPE(CLG_BATCH, 5, 4, 3)},
     conv2d,
     conv2d_reference,
     .batch = {5, 8, 1}},
    {"conv_transpose2d layer",
     1,
     {OP_SHAPE(CLG_BATCH, 5, 4, 3)},
     transposed,
     transposed_reference,
     .batch = {5, 8, 1}},
    {"normalize layer", 1, {OP_SHAPE(CLG_BATCH, 3)}, normalized, square, .batch = {5, 8, 1}},
    {"batch norm layer",
     1,
     {OP_SHAPE(CLG_BATCH, 3)},
     batch_norm,
     batch_norm_reference,
     .batch = {6, 9, 5},
     .tolerance = 3e-5},
};

START_TEST(layers_in_value_and_gradient)
{
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

void ops_layers_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "layers");
    tcase_add_test(values, layers_in_value_and_gradient);
}
