/*
 * Training works as a whole: a small convolutional net learns the built-in digits, and does so to
 * the bit - twice the same, and the same when it was saved and continued by another graph in
 * between.
 */
#include <unistd.h>

#include "clgrad/checkpoint.h"
#include "clgrad/clgrad.h"
#include "scratch.h"
#include "testing_context.h"

enum { BATCH = 64 };

typedef struct net {
    clg_graph *graph;
    clg_tensor *images, *labels, *loss, *accuracy;
    clg_program *step, *evaluation;
} net;

static void make_net(net *n, clg_context *ctx)
{
    n->graph = clg_graph_create(clg_graph_options(.batch = BATCH, .seed = 7));
    n->images = clg_input(n->graph, "image", CLG_F32, CLG_SHAPE(CLG_BATCH, 28, 28, 1));
    n->labels = clg_input(n->graph, "label", CLG_I32, CLG_SHAPE(CLG_BATCH));
    const clg_conv2d_layer_params *same =
        clg_conv2d_layer_options(.conv = {.padding = CLG_PADDING_SAME});
    clg_tensor *h = clg_relu(clg_conv2d_layer(n->images, "conv1", 8, 5, same));
    h = clg_max_pool2d(h, NULL);
    h = clg_conv2d_layer(h, "conv2", 16, 5, same);
    h = clg_max_pool2d(clg_relu(clg_batch_norm_layer(h, "norm", NULL)), NULL);
    h = clg_dropout(clg_relu(clg_linear_layer(clg_flatten(h), "fc1", 64, NULL)), 0.1);
    clg_tensor *logits = clg_linear_layer(h, "fc2", 10, NULL);
    n->loss = clg_softmax_cross_entropy(logits, n->labels, NULL);
    n->accuracy = clg_accuracy(logits, n->labels);
    TEST_OK(clg_minimize(n->loss, clg_optimizer_options(.kind = CLG_ADAM, .lr = 2e-3), NULL));
    TEST_OK(clg_program_compile(
        &n->step, ctx, n->graph,
        clg_program_options(.outputs = &n->loss, .n_outputs = 1, .mode = CLG_TRAINING)));
    TEST_OK(clg_program_compile(
        &n->evaluation, ctx, n->graph,
        clg_program_options(.outputs = &n->accuracy, .n_outputs = 1, .batch = 250)));
}

static void end_net(net *n)
{
    clg_program_destroy(n->step);
    clg_program_destroy(n->evaluation);
    clg_graph_destroy(n->graph);
    *n = (net){0};
}

static void feed(net *n, clg_program *program, const clg_batch *batch)
{
    TEST_OK(clg_program_set_batch(program, batch->count));
    size_t count = (size_t)batch->count;
    TEST_OK(clg_program_feed(program, n->images, batch->features, count * 784 * sizeof(float)));
    TEST_OK(clg_program_feed(program, n->labels, batch->labels, count * sizeof(int32_t)));
    TEST_OK(clg_program_run(program));
}

/* Runs batches until `until` steps were made on the graph; the loader continues where it is. */
static float train(net *n, clg_loader *loader, uint64_t until)
{
    float loss = 0;
    while (clg_graph_steps(n->graph) < until) {
        clg_batch batch;
        TEST_OK(clg_loader_next(loader, &batch));
        feed(n, n->step, &batch);
    }
    TEST_OK(clg_program_read(n->step, n->loss, &loss, sizeof loss));
    return loss;
}

static clg_loader *open_loader(clg_data_part part, int64_t limit, int64_t batch)
{
    clg_dataset *data;
    clg_loader *loader;
    TEST_OK(clg_dataset_open(&data, "builtin", part, clg_dataset_options(.limit = limit)));
    TEST_OK(clg_loader_create(&loader, data,
                              clg_loader_options(.batch = batch, .shuffle = true, .seed = 5)));
    clg_dataset_destroy(data);
    return loader;
}

static double evaluate(net *n)
{
    clg_loader *loader = open_loader(CLG_DATA_TEST, 1000, 250);
    double right = 0;
    for (int i = 0; i < 4; i++) {
        clg_batch batch;
        float accuracy;
        TEST_OK(clg_loader_next(loader, &batch));
        feed(n, n->evaluation, &batch);
        TEST_OK(clg_program_read(n->evaluation, n->accuracy, &accuracy, sizeof accuracy));
        right += accuracy * (double)batch.count;
    }
    clg_loader_destroy(loader);
    return right / 1000;
}

START_TEST(digits_are_learned)
{
    clg_context *ctx;
    net n = {0};
    ctx = testing_context();
    make_net(&n, ctx);
    clg_loader *loader = open_loader(CLG_DATA_TRAIN, 6000, BATCH);
    ck_assert_double_lt(evaluate(&n), 0.3); /* untrained: near one in ten */
    train(&n, loader, 3 * 94);              /* three epochs; the last batch of each is smaller */
    double accuracy = evaluate(&n);
    printf("accuracy on 1000 unseen digits: %.3f\n", accuracy);
    ck_assert_double_ge(accuracy, 0.93);
    clg_loader_destroy(loader);
    end_net(&n);
    clg_context_destroy(ctx);
}
END_TEST

/* All variables of two graphs have the same bits. */
static void compare(const net *a, const net *b)
{
    clg_tensor *v;
    for (size_t i = 0; (v = clg_graph_variable(a->graph, i)); i++) {
        int64_t count = clg_shape_count(clg_tensor_shape(v));
        float *x = malloc((size_t)count * sizeof *x), *y = malloc((size_t)count * sizeof *y);
        TEST_OK(clg_variable_read(v, x, count));
        TEST_OK(clg_variable_read(clg_graph_variable(b->graph, i), y, count));
        ck_assert_msg(memcmp(x, y, (size_t)count * sizeof *x) == 0, "%s differs",
                      clg_tensor_name(v));
        free(x);
        free(y);
    }
}

START_TEST(same_bits_twice_and_after_a_stop)
{
    scratch_make();
    clg_context *ctx;
    net whole = {0}, stopped = {0}, resumed = {0};
    ctx = testing_context();
    make_net(&whole, ctx);
    make_net(&stopped, ctx);
    make_net(&resumed, ctx);
    clg_loader *loader = open_loader(CLG_DATA_TRAIN, 500, BATCH);
    train(&whole, loader, 20);
    TEST_OK(clg_loader_seek(loader, 0, 0));
    train(&stopped, loader, 11); /* in the middle of the second epoch of 8 batches */
    TEST_OK(clg_graph_save(stopped.graph, scratch, NULL));
    TEST_OK(clg_graph_load(resumed.graph, scratch, NULL, NULL));
    TEST_OK(clg_loader_seek(loader, 1, 3));
    train(&resumed, loader, 20);
    compare(&whole, &resumed);
    TEST_OK(clg_loader_seek(loader, 1, 3));
    train(&stopped, loader, 20);
    compare(&whole, &stopped);
    clg_loader_destroy(loader);
    end_net(&whole);
    end_net(&stopped);
    end_net(&resumed);
    clg_context_destroy(ctx);
    scratch_remove();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("training");
    TCase *training = testing_case(suite, "training");
    tcase_set_timeout(training, 0);
    tcase_add_test(training, digits_are_learned);
    tcase_add_test(training, same_bits_twice_and_after_a_stop);
    return testing_run(suite);
}
