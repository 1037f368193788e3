/*
 * The cases of cltrain bench that are single operations: what each computes, and how much work that
 * is. Operands are variables with random values rather than inputs, so that no copy from the host
 * is timed. Work is that of the mathematics: multiplications and additions of products alone, and
 * for what is bound by memory the bytes that have to be read and written at least once.
 */
#include <string.h>

#include "bench.h"
#include "clgrad/autodiff.h"
#include "clgrad/nn.h"
#include "clgrad/sequence.h"
#include "cltrain.h"

static clg_tensor *random_operand(clg_graph *graph, const char *name, clg_shape shape)
{
    return clg_variable(graph, name, shape, CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 1.0), false);
}

static void add_output(struct bench_setup *setup, clg_tensor *t)
{
    setup->outputs[setup->n_outputs++] = t;
}

static double bytes_of(const clg_tensor *t)
{
    return t ? 4.0 * (double)clg_shape_count(clg_tensor_shape(t)) : 0;
}

/* ---- products ---- */

static int build_matmul(struct bench_setup *setup, const struct bench_case *row)
{
    const double n = (double)row->size;
    clg_tensor *a = random_operand(setup->graph, "a", CLG_SHAPE(row->size, row->size));
    /* An input: of a variable, the program would keep a packed copy. */
    clg_tensor *b = clg_input(setup->graph, "b", CLG_F32, CLG_SHAPE(row->size, row->size));
    setup->data = b;
    add_output(setup, clg_matmul(a, b, NULL));
    setup->flops = 2 * n * n * n;
    return DONE;
}

/* ---- convolutions ---- */

/* Which results of a convolution are wanted: bits. */
enum { FORWARD = 1, DATA = 2, WEIGHTS = 4, TRAIN = FORWARD | DATA | WEIGHTS };

static const struct {
    const char *suffix;
    int results;
} passes[] = {{"", FORWARD}, {"-data", DATA}, {"-weights", WEIGHTS}, {"-train", TRAIN}};
enum { N_PASSES = sizeof passes / sizeof *passes };

static clg_conv2d_params conv_params(const struct bench_conv *c)
{
    return (clg_conv2d_params){.padding = CLG_PADDING_SAME,
                               .stride = {(int)c->stride, (int)c->stride},
                               .dilation = {(int)c->dilation, (int)c->dilation},
                               .groups = (int)c->groups};
}

static int build_conv(struct bench_setup *setup, const struct bench_case *row)
{
    const struct bench_conv *c = row->conv;
    const clg_conv2d_params params = conv_params(c);
    const int64_t side = (c->side + c->stride - 1) / c->stride;
    clg_tensor *x =
        random_operand(setup->graph, "x", CLG_SHAPE(row->batch, c->side, c->side, c->in));
    clg_tensor *w = random_operand(setup->graph, "w",
                                   CLG_SHAPE(c->kernel, c->kernel, c->in / c->groups, c->out));
    clg_tensor *dy = random_operand(setup->graph, "dy", CLG_SHAPE(row->batch, side, side, c->out));
    clg_tensor *y = clg_conv2d(x, w, &params), *wrt[2], *gradients[2] = {NULL, NULL};
    size_t n = 0;
    if (row->size & DATA) wrt[n++] = x;
    if (row->size & WEIGHTS) wrt[n++] = w;
    if (n) clg_vjp(y, dy, wrt, n, gradients);
    if (row->size & FORWARD) add_output(setup, y);
    for (size_t i = 0; i < n; i++) add_output(setup, gradients[i]);
    setup->flops = (double)setup->n_outputs * 2 * (double)row->batch * (double)(side * side) *
                   (double)(c->kernel * c->kernel * c->in / c->groups * c->out);
    return DONE;
}

/* Shapes of LeNet, CIFAR ResNets, ResNet-18 and -50, VGG, ResNeXt, MobileNet, AlexNet and DCGAN. */
static const struct {
    const char *name;
    int64_t batch;
    struct bench_conv conv;
} convolutions[] = {
    /* side, kernel, in, out, stride, dilation, groups */
    {"conv3x3-64-56-b16", 16, {56, 3, 64, 64, 1, 1, 1}},
    {"conv3x3-16-32-b128", 128, {32, 3, 16, 16, 1, 1, 1}},
    {"conv3x3-256-14-b16", 16, {14, 3, 256, 256, 1, 1, 1}},
    {"conv3x3-512-7-b16", 16, {7, 3, 512, 512, 1, 1, 1}},
    {"conv5x5-32-64-14-b64", 64, {14, 5, 32, 64, 1, 1, 1}},
    {"conv1x1-64-256-56-b8", 8, {56, 1, 64, 256, 1, 1, 1}},
    {"conv1x1-512-128-28-b8", 8, {28, 1, 512, 128, 1, 1, 1}},
    {"conv7x7s2-3-64-224-b8", 8, {224, 7, 3, 64, 2, 1, 1}},
    {"conv11x11s4-3-64-224-b8", 8, {224, 11, 3, 64, 4, 1, 1}},
    {"conv3x3s2-64-128-56-b16", 16, {56, 3, 64, 128, 2, 1, 1}},
    {"conv4x4s2-64-128-32-b64", 64, {32, 4, 64, 128, 2, 1, 1}},
    {"conv3x3d2-64-28-b16", 16, {28, 3, 64, 64, 1, 2, 1}},
    {"conv3x3g32-128-28-b16", 16, {28, 3, 128, 128, 1, 1, 32}},
    {"depthwise3x3-256-28-b16", 16, {28, 3, 256, 256, 1, 1, 256}},
    {"depthwise3x3s2-128-56-b16", 16, {56, 3, 128, 128, 2, 1, 128}},
};
enum { N_CONVOLUTIONS = sizeof convolutions / sizeof *convolutions };

static size_t add_convolutions(struct bench_case *table)
{
    static char names[N_CONVOLUTIONS * N_PASSES][48];
    size_t count = 0;
    for (int i = 0; i < N_CONVOLUTIONS; i++)
        for (int pass = 0; pass < N_PASSES; pass++, count++) {
            snprintf(names[count], sizeof names[count], "%s%s", convolutions[i].name,
                     passes[pass].suffix);
            table[count] = (struct bench_case){.name = names[count],
                                               .build = build_conv,
                                               .batch = convolutions[i].batch,
                                               .size = passes[pass].results,
                                               .conv = &convolutions[i].conv};
        }
    return count;
}

/* ---- bound by memory ---- */

/* y, and the gradients of `parameters` and x for a given gradient of y, if there are any. */
static void add_with_gradients(struct bench_setup *setup, clg_tensor *y, clg_tensor *const *wrt,
                               size_t n)
{
    clg_tensor *gradients[BENCH_OUTPUTS - 1] = {NULL};
    if (!y) return;
    clg_tensor *dy = random_operand(setup->graph, "dy", *clg_tensor_shape(y));
    clg_vjp(y, dy, wrt, n, gradients);
    add_output(setup, y);
    for (size_t i = 0; i < n; i++) add_output(setup, gradients[i]);
}

static clg_tensor *images(struct bench_setup *setup, const struct bench_case *row, int64_t side)
{
    return random_operand(setup->graph, "x", CLG_SHAPE(row->batch, side, side, row->size));
}

/* x is read twice (its largest element is looked for again), y and dy once, dx is written. */
static int build_max_pool(struct bench_setup *setup, const struct bench_case *row)
{
    clg_tensor *x = images(setup, row, 112), *y = clg_max_pool2d(x, NULL);
    add_with_gradients(setup, y, &x, 1);
    setup->bytes = 3 * bytes_of(x) + 2 * bytes_of(y);
    return DONE;
}

/* Statistics and result read x; the two sums of the gradient and dx read x and dy. */
static int build_batch_norm(struct bench_setup *setup, const struct bench_case *row)
{
    clg_tensor *x = images(setup, row, 56);
    clg_tensor *y = clg_batch_norm_layer(x, "norm", NULL);
    clg_tensor *wrt[] = {x, clg_graph_find(setup->graph, "norm.weight"),
                         clg_graph_find(setup->graph, "norm.bias")};
    add_with_gradients(setup, y, wrt, 3);
    setup->mode = CLG_TRAINING_FORWARD;
    setup->bytes = 8 * bytes_of(x);
    return DONE;
}

static int build_softmax_rows(struct bench_setup *setup, const struct bench_case *row)
{
    clg_tensor *x = random_operand(setup->graph, "x", CLG_SHAPE(row->batch, row->size));
    add_output(setup, clg_softmax(x, 1));
    setup->bytes = 2 * bytes_of(x);
    return DONE;
}

/* size: the axis */
static int build_sum(struct bench_setup *setup, const struct bench_case *row)
{
    clg_tensor *x = random_operand(setup->graph, "x", CLG_SHAPE(row->batch, row->batch));
    add_output(setup, clg_sum(x, 1U << row->size, false));
    setup->bytes = bytes_of(x);
    return DONE;
}

/* Adam of `size` numbers whose gradient is there: p, m and v are read and written, g is read. */
static int build_adam(struct bench_setup *setup, const struct bench_case *row)
{
    clg_tensor *g = random_operand(setup->graph, "g", CLG_SHAPE(row->size));
    clg_tensor *p = clg_variable(setup->graph, "p", CLG_SHAPE(row->size),
                                 CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 1.0), true);
    clg_minimize(clg_sum(clg_mul(p, g), 0, false),
                 clg_optimizer_options(.kind = CLG_ADAM, .lr = 1e-3), NULL);
    setup->mode = CLG_TRAINING;
    setup->bytes = 7 * bytes_of(p);
    return DONE;
}

#define CASE(text, builder, samples, number)                                                       \
    {                                                                                              \
        .name = text, .build = builder, .batch = samples, .size = number                           \
    }
static const struct bench_case kernels[] = {
    CASE("matmul-512", build_matmul, 1, 512),
    CASE("matmul-1024", build_matmul, 1, 1024),
    CASE("matmul-2048", build_matmul, 1, 2048),
    CASE("max-pool2d-64-112-b16", build_max_pool, 16, 64),
    CASE("batch-norm-64-56-b32", build_batch_norm, 32, 64),
    CASE("softmax-4096x1000", build_softmax_rows, 4096, 1000),
    CASE("sum-rows-4096", build_sum, 4096, 1),
    CASE("sum-columns-4096", build_sum, 4096, 0),
    CASE("adam-10m", build_adam, 1, 10000000),
};

size_t bench_add_kernels(struct bench_case *table)
{
    size_t n = sizeof kernels / sizeof *kernels;
    memcpy(table, kernels, sizeof kernels);
    return n + add_convolutions(table + n);
}
