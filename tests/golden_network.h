/*
 * The network whose training golden/optimizers.py computed with PyTorch: mse(tanh(x w1 + b1) w2 +
 * b2) with fixed start values, and what tests of optimizers do with it.
 */
#ifndef CLG_GOLDEN_NETWORK_H
#define CLG_GOLDEN_NETWORK_H

#include <math.h>

#include "clgrad/clgrad.h"
#include "golden/optimizers.h"
#include "testing_context.h"

typedef struct network {
    clg_context *ctx;
    clg_graph *graph;
    clg_tensor *loss;
} network;

static inline void set_parameters(clg_graph *g, const float *values)
{
    for (size_t i = 0; i < 4; i++) {
        clg_tensor *v = clg_graph_variable(g, i);
        int64_t count = clg_shape_count(clg_tensor_shape(v));
        TEST_OK(clg_variable_write(v, values, count));
        values += count;
    }
}

static inline void assert_parameters(const clg_graph *g, const double *expected, const char *what)
{
    for (size_t i = 0; i < 4; i++) {
        const clg_tensor *v = clg_graph_variable(g, i);
        float actual[GOLDEN_PARAMETERS];
        int64_t count = clg_shape_count(clg_tensor_shape(v));
        TEST_OK(clg_variable_read(v, actual, count));
        for (int64_t j = 0; j < count; j++, expected++)
            ck_assert_msg(fabs(actual[j] - *expected) < 1e-5, "%s: %s[%d] is %.8g, torch has %.8g",
                          what, clg_tensor_name(v), (int)j, actual[j], *expected);
    }
}

static inline network network_create(void)
{
    network net = {0};
    net.ctx = testing_context();
    net.graph = clg_graph_create(clg_graph_options(.batch = 5));
    clg_tensor *x = clg_constant(net.graph, CLG_SHAPE(5, 3), golden_x);
    clg_tensor *target = clg_constant(net.graph, CLG_SHAPE(5, 2), golden_target);
    clg_tensor *h = clg_tanh(clg_linear_layer(x, "1", 4, NULL));
    net.loss = clg_mse(clg_linear_layer(h, "2", 2, NULL), target, NULL);
    TEST_OK(clg_graph_status(net.graph));
    set_parameters(net.graph, golden_start);
    return net;
}

static inline void network_destroy(network *net)
{
    clg_graph_destroy(net->graph);
    clg_context_destroy(net->ctx);
}

static inline clg_program *training(const network *net, clg_tensor *a, clg_tensor *b)
{
    clg_program *program = NULL;
    clg_tensor *outputs[] = {a, b};
    TEST_OK(clg_program_compile(
        &program, net->ctx, net->graph,
        clg_program_options(.outputs = outputs, .n_outputs = b ? 2 : 1, .mode = CLG_TRAINING)));
    return program;
}

static inline float scalar_of(clg_program *program, const clg_tensor *t)
{
    float value = NAN;
    TEST_OK(clg_program_read(program, t, &value, sizeof value));
    return value;
}

#endif
