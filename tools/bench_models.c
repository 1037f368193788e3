/*
 * The cases of cltrain bench that are networks: a whole training step (gradients and optimizer), or
 * inference. Models that come with the program are taken as they are, augmentation included. A step
 * gets one batch, fed before the clock starts. FLOPs are those of products and convolutions; a
 * backward pass has twice those of the forward pass.
 */
#include <string.h>

#include "bench.h"
#include "clgrad/nn.h"
#include "clgrad/sequence.h"
#include "cltrain.h"
#include "optimizer_settings.h"
#include "summary.h"

static void add_output(struct bench_setup *setup, clg_tensor *t)
{
    setup->outputs[setup->n_outputs++] = t;
}

/* ---- small networks ---- */

static void add_inputs(struct bench_setup *setup)
{
    setup->data = clg_input(setup->graph, "image", CLG_F32, CLG_SHAPE(CLG_BATCH, 28, 28, 1));
    setup->label = clg_input(setup->graph, "label", CLG_I32, CLG_SHAPE(CLG_BATCH));
    setup->classes = 10;
}

/* size: true for a training step */
static int finish(struct bench_setup *setup, const struct bench_case *row, clg_tensor *logits,
                  double flops)
{
    setup->flops = (row->size ? 3 : 1) * flops;
    if (!row->size) {
        setup->label = NULL;
        add_output(setup, clg_softmax(logits, 1));
        return DONE;
    }
    setup->mode = CLG_TRAINING;
    clg_tensor *loss = clg_softmax_cross_entropy(logits, setup->label, NULL);
    clg_minimize(loss, clg_optimizer_options(.kind = CLG_ADAM, .lr = 1e-3), NULL);
    add_output(setup, loss);
    return DONE;
}

static int build_mlp(struct bench_setup *setup, const struct bench_case *row)
{
    add_inputs(setup);
    clg_tensor *h = clg_linear_layer(clg_flatten(setup->data), "fc1", 512, NULL);
    return finish(setup, row, clg_linear_layer(clg_relu(h), "fc2", 10, NULL),
                  2.0 * (double)row->batch * (784 * 512 + 512 * 10));
}

/* `size` narrow layers: what a node costs to compile and to launch. */
static int build_deep(struct bench_setup *setup, const struct bench_case *row)
{
    enum { UNITS = 64 };
    char name[24];
    add_inputs(setup);
    clg_tensor *h = clg_flatten(setup->data);
    for (int64_t i = 1; i < row->size; i++) {
        snprintf(name, sizeof name, "fc%lld", (long long)i);
        h = clg_relu(clg_linear_layer(h, name, UNITS, NULL));
    }
    return finish(setup, row, clg_linear_layer(h, "output", 10, NULL),
                  2.0 * (double)row->batch * UNITS * (784 + (double)(row->size - 2) * UNITS + 10));
}

static clg_tensor *conv_pool(clg_tensor *x, const char *name, int64_t channels)
{
    x = clg_conv2d_layer(x, name, channels, 5,
                         clg_conv2d_layer_options(.conv = {.padding = CLG_PADDING_SAME}));
    return clg_max_pool2d(clg_relu(x), NULL);
}

static int build_lenet(struct bench_setup *setup, const struct bench_case *row)
{
    const double products = 28.0 * 28 * 25 * 32 + 14.0 * 14 * 25 * 32 * 64 + 3136.0 * 512 + 5120;
    add_inputs(setup);
    clg_tensor *h = conv_pool(conv_pool(setup->data, "conv1", 32), "conv2", 64);
    h = clg_relu(clg_linear_layer(clg_flatten(h), "fc1", 512, NULL));
    return finish(setup, row, clg_linear_layer(h, "fc2", 10, NULL),
                  2 * (double)row->batch * products);
}

enum { STEPS = 64, CLASSES = 10 };

/* A class from the state after the last step of STEPS, of (row->conv->in) features by
 * (row->conv->out) units. */
static int build_lstm_network(struct bench_setup *setup, const struct bench_case *row)
{
    const int64_t features = row->conv->in, units = row->conv->out;
    setup->classes = CLASSES;
    setup->data =
        clg_input(setup->graph, "sequence", CLG_F32, CLG_SHAPE(STEPS, CLG_BATCH, features));
    setup->label = clg_input(setup->graph, "label", CLG_I32, CLG_SHAPE(CLG_BATCH));
    clg_tensor *h = clg_lstm_layer(setup->data, "lstm", units,
                                   clg_recurrent_layer_options(.time_first = true), NULL);
    h = clg_reshape(clg_slice(h, 0, STEPS - 1, 1), CLG_SHAPE(CLG_BATCH, units));
    return finish(setup, row, clg_linear_layer(h, "fc", CLASSES, NULL),
                  2.0 * STEPS * (double)(row->batch * 4 * units * (features + units)));
}

enum { EMBEDDING_FEATURES = 32 };

/* Lookup, gradient and lazy Adam of `size` rows; row->batch of them are looked up. About 16
 * operations of Adam for each number. */
static int build_table(struct bench_setup *setup, const struct bench_case *row)
{
    static const clg_init start = {.kind = CLG_INIT_CONSTANT, .value = 0.1};
    setup->mode = CLG_TRAINING;
    setup->classes = row->size;
    setup->label = clg_input(setup->graph, "index", CLG_I32, CLG_SHAPE(CLG_BATCH));
    clg_tensor *x = clg_embedding_layer(setup->label, "words", row->size, EMBEDDING_FEATURES,
                                        clg_embedding_options(.weight_init = &start));
    clg_tensor *loss = clg_mean(clg_square(x), 0, false);
    clg_minimize(loss, clg_optimizer_options(.kind = CLG_ADAM, .lr = 1e-3), NULL);
    add_output(setup, loss);
    setup->flops = 16.0 * (double)row->batch * EMBEDDING_FEATURES;
    return DONE;
}

/* ---- models that come with the program ---- */

static int load_model(struct bench_setup *setup, const struct bench_case *row)
{
    char batch[32];
    snprintf(batch, sizeof batch, "%lld", (long long)row->batch);
    int code = model_file_load(&setup->file, row->model);
    if (code == DONE) code = model_file_override(&setup->file, "batch", batch, "batch");
    if (code == DONE) code = model_file_resolve(&setup->file);
    if (code == DONE) code = network_build(&setup->network, &setup->file);
    setup->graph = setup->network.graph;
    return code;
}

/* size: true for a training step */
static int build_model(struct bench_setup *setup, const struct bench_case *row)
{
    int code = load_model(setup, row);
    if (code != DONE) return code;
    const struct network *network = &setup->network;
    setup->data = network->image;
    setup->classes = *setup->file.content->model.classes;
    for (int i = 0; i < network->n_rows; i++)
        setup->flops += (row->size ? 3 : 1) * network->rows[i].flops * (double)row->batch;
    if (!row->size) {
        add_output(setup, network->prediction);
        return DONE;
    }
    clg_optimizer_params params = optimizer_params(&setup->file.content->training);
    params.lr = *setup->file.content->training.lr; /* a schedule has nothing to follow here */
    setup->label = network->label;
    setup->mode = CLG_TRAINING;
    clg_minimize(network->loss, &params, NULL);
    add_output(setup, network->loss);
    return DONE;
}

static const struct bench_conv lstm_64_128 = {.in = 64, .out = 128};
static const struct bench_conv lstm_256_256 = {.in = 256, .out = 256};

#define CASE(text, builder, samples, number, ...)                                                  \
    {                                                                                              \
        .name = text, .build = builder, .batch = samples, .size = number, __VA_ARGS__              \
    }
static const struct bench_case models[] = {
    CASE("step-mlp-b128", build_mlp, 128, 1),
    CASE("step-mlp-l100-b128", build_deep, 128, 100),
    CASE("step-mlp-l1000-b128", build_deep, 128, 1000),
    CASE("step-lenet-b64", build_lenet, 64, 1),
    CASE("step-resnet20-b128", build_model, 128, 1, .model = "resnet20"),
    CASE("step-vgg11-cifar-b64", build_model, 64, 1, .model = "vgg11_cifar"),
    CASE("step-resnet18-224-b8", build_model, 8, 1, .model = "resnet18"),
    CASE("step-lstm-b32", build_lstm_network, 32, 1, .conv = &lstm_64_128),
    CASE("step-lstm-b64-t64-h256", build_lstm_network, 64, 1, .conv = &lstm_256_256),
    CASE("step-embedding-10k", build_table, 4096, 10000),
    CASE("step-embedding-1m", build_table, 4096, 1000000),
    CASE("infer-mlp-b1", build_mlp, 1, 0),
    CASE("infer-mlp-b64", build_mlp, 64, 0),
    CASE("infer-lenet-b1", build_lenet, 1, 0),
    CASE("infer-lenet-b64", build_lenet, 64, 0),
    CASE("infer-resnet20-b1", build_model, 1, 0, .model = "resnet20"),
    CASE("infer-resnet20-b64", build_model, 64, 0, .model = "resnet20"),
    CASE("infer-vgg11-cifar-b1", build_model, 1, 0, .model = "vgg11_cifar"),
    CASE("infer-vgg11-cifar-b64", build_model, 64, 0, .model = "vgg11_cifar"),
    CASE("infer-resnet18-224-b1", build_model, 1, 0, .model = "resnet18"),
    CASE("infer-resnet18-224-b8", build_model, 8, 0, .model = "resnet18"),
    CASE("infer-lstm-b1-t64-h256", build_lstm_network, 1, 0, .conv = &lstm_256_256),
    CASE("infer-lstm-b64-t64-h256", build_lstm_network, 64, 0, .conv = &lstm_256_256),
};

size_t bench_add_models(struct bench_case *table)
{
    memcpy(table, models, sizeof models);
    return sizeof models / sizeof *models;
}
