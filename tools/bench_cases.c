/*
 * What each case computes. Operands are variables with random values rather than inputs, so that no
 * copy from the host is timed; a training step gets one batch, fed before the clock starts.
 */
#include "bench.h"
#include "clgrad/autodiff.h"
#include "clgrad/nn.h"
#include "clgrad/sequence.h"

static clg_tensor *random_operand(clg_graph *graph, const char *name, clg_shape shape)
{
    return clg_variable(graph, name, shape, CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 1.0), false);
}

static void build_matmul(struct bench_setup *setup, const struct bench_case *row)
{
    clg_tensor *a = random_operand(setup->graph, "a", CLG_SHAPE(row->size, row->size));
    clg_tensor *b = random_operand(setup->graph, "b", CLG_SHAPE(row->size, row->size));
    setup->outputs[setup->n_outputs++] = clg_matmul(a, b, NULL);
}

static const clg_conv2d_params same = {.padding = CLG_PADDING_SAME};

static void build_conv(struct bench_setup *setup, const struct bench_case *row)
{
    clg_tensor *x = random_operand(setup->graph, "x", CLG_SHAPE(row->batch, 56, 56, 64));
    clg_tensor *w = random_operand(setup->graph, "w", CLG_SHAPE(3, 3, 64, 64));
    setup->outputs[setup->n_outputs++] = clg_conv2d(x, w, &same);
}

/* Forward, and both gradients for a given gradient of the result. */
static void build_conv_train(struct bench_setup *setup, const struct bench_case *row)
{
    clg_tensor *x = random_operand(setup->graph, "x", CLG_SHAPE(row->batch, 56, 56, 64));
    clg_tensor *w = random_operand(setup->graph, "w", CLG_SHAPE(3, 3, 64, 64));
    clg_tensor *dy = random_operand(setup->graph, "dy", CLG_SHAPE(row->batch, 56, 56, 64));
    clg_tensor *y = clg_conv2d(x, w, &same), *wrt[] = {x, w}, *gradients[2] = {NULL, NULL};
    clg_vjp(y, dy, wrt, 2, gradients);
    setup->outputs[setup->n_outputs++] = y;
    setup->outputs[setup->n_outputs++] = gradients[0];
    setup->outputs[setup->n_outputs++] = gradients[1];
}

static void add_inputs(struct bench_setup *setup)
{
    setup->mode = CLG_TRAINING;
    setup->data = clg_input(setup->graph, "image", CLG_F32, CLG_SHAPE(CLG_BATCH, 28, 28, 1));
    setup->label = clg_input(setup->graph, "label", CLG_I32, CLG_SHAPE(CLG_BATCH));
    setup->classes = 10;
}

static void add_adam(struct bench_setup *setup, clg_tensor *logits)
{
    clg_tensor *loss = clg_softmax_cross_entropy(logits, setup->label, NULL);
    clg_minimize(loss, clg_optimizer_options(.kind = CLG_ADAM, .lr = 1e-3), NULL);
    setup->outputs[setup->n_outputs++] = loss;
}

static void build_mlp(struct bench_setup *setup, const struct bench_case *row)
{
    add_inputs(setup);
    clg_tensor *h = clg_linear_layer(clg_flatten(setup->data), "fc1", 512, NULL);
    add_adam(setup, clg_linear_layer(clg_relu(h), "fc2", 10, NULL));
}

static clg_tensor *conv_pool(clg_tensor *x, const char *name, int64_t channels)
{
    x = clg_conv2d_layer(x, name, channels, 5,
                         clg_conv2d_layer_options(.conv = {.padding = CLG_PADDING_SAME}));
    return clg_max_pool2d(clg_relu(x), NULL);
}

static void build_lenet(struct bench_setup *setup, const struct bench_case *row)
{
    add_inputs(setup);
    clg_tensor *h = conv_pool(conv_pool(setup->data, "conv1", 32), "conv2", 64);
    h = clg_relu(clg_linear_layer(clg_flatten(h), "fc1", 512, NULL));
    add_adam(setup, clg_linear_layer(h, "fc2", 10, NULL));
}

enum { STEPS = 64, LSTM_FEATURES = 64, LSTM_UNITS = 128 };

/* A class from the state after the last step. */
static void build_lstm(struct bench_setup *setup, const struct bench_case *row)
{
    setup->mode = CLG_TRAINING;
    setup->classes = 10;
    setup->data =
        clg_input(setup->graph, "sequence", CLG_F32, CLG_SHAPE(STEPS, CLG_BATCH, LSTM_FEATURES));
    setup->label = clg_input(setup->graph, "label", CLG_I32, CLG_SHAPE(CLG_BATCH));
    clg_tensor *h = clg_lstm_layer(setup->data, "lstm", LSTM_UNITS,
                                   clg_recurrent_layer_options(.time_first = true), NULL);
    h = clg_reshape(clg_slice(h, 0, STEPS - 1, 1), CLG_SHAPE(CLG_BATCH, LSTM_UNITS));
    add_adam(setup, clg_linear_layer(h, "fc", 10, NULL));
}

enum { EMBEDDING_FEATURES = 32 };

/* Lookup, gradient and lazy Adam of `size` rows; row->batch of them are looked up. */
static void build_embedding(struct bench_setup *setup, const struct bench_case *row)
{
    static const clg_init start = {.kind = CLG_INIT_CONSTANT, .value = 0.1};
    setup->mode = CLG_TRAINING;
    setup->classes = row->size;
    setup->label = clg_input(setup->graph, "index", CLG_I32, CLG_SHAPE(CLG_BATCH));
    clg_tensor *x = clg_embedding_layer(setup->label, "words", row->size, EMBEDDING_FEATURES,
                                        clg_embedding_options(.weight_init = &start));
    clg_tensor *loss = clg_mean(clg_square(x), 0, false);
    clg_minimize(loss, clg_optimizer_options(.kind = CLG_ADAM, .lr = 1e-3), NULL);
    setup->outputs[setup->n_outputs++] = loss;
}

/* Multiplications and additions of the products alone; backward is twice forward. */
#define MATMUL_FLOPS(m, n, k) (2.0 * (m) * (n) * (k))
#define CONV_FLOPS(batch, side, kernel, in, out)                                                   \
    (2.0 * (batch) * (side) * (side) * (kernel) * (kernel) * (in) * (out))
#define MLP_FLOPS(batch) (3 * (MATMUL_FLOPS(batch, 512, 784) + MATMUL_FLOPS(batch, 10, 512)))
#define LENET_FLOPS(batch)                                                                         \
    (3 * (CONV_FLOPS(batch, 28, 5, 1, 32) + CONV_FLOPS(batch, 14, 5, 32, 64) +                     \
          MATMUL_FLOPS(batch, 512, 3136) + MATMUL_FLOPS(batch, 10, 512)))
#define LSTM_FLOPS(batch)                                                                          \
    (3 * MATMUL_FLOPS(STEPS * (batch), 4 * LSTM_UNITS, LSTM_FEATURES + LSTM_UNITS))
/* About that many for Adam, per number. */
#define EMBEDDING_FLOPS(batch) (16.0 * (batch)*EMBEDDING_FEATURES)

const struct bench_case bench_cases[] = {
    {"matmul-512", MATMUL_FLOPS(512, 512, 512), 1, build_matmul, 512},
    {"matmul-1024", MATMUL_FLOPS(1024, 1024, 1024), 1, build_matmul, 1024},
    {"matmul-2048", MATMUL_FLOPS(2048, 2048, 2048), 1, build_matmul, 2048},
    {"conv3x3-64-56-b16", CONV_FLOPS(16, 56, 3, 64, 64), 16, build_conv, 0},
    {"conv3x3-64-56-b16-train", 3 * CONV_FLOPS(16, 56, 3, 64, 64), 16, build_conv_train, 0},
    {"step-mlp-b128", MLP_FLOPS(128), 128, build_mlp, 0},
    {"step-lenet-b64", LENET_FLOPS(64), 64, build_lenet, 0},
    {"step-lstm-b32", LSTM_FLOPS(32), 32, build_lstm, 0},
    {"step-embedding-10k", EMBEDDING_FLOPS(4096), 4096, build_embedding, 10000},
    {"step-embedding-1m", EMBEDDING_FLOPS(4096), 4096, build_embedding, 1000000},
};
const size_t n_bench_cases = sizeof bench_cases / sizeof *bench_cases;
