/*
 * NULL where a pointer is needed is refused with a message that names the function; so are shapes
 * and parameters that make no sense.
 */
#include <math.h>

#include "clgrad/clgrad.h"
#include "testing_context.h"

/* The call, which gives nothing, leaves a message with this text. */
#define NOTHING(call, text)                                                                        \
    do {                                                                                           \
        clg__fail(CLG_OK, "none");                                                                 \
        ck_assert_msg(!(call), "%s gives something", #call);                                       \
        ck_assert_msg(strstr(clg_last_error(), text), "%s: \"%s\"", #call, clg_last_error());      \
    } while (0)
#define REFUSED(function, ...)                                                                     \
    TEST_FAILS(function(__VA_ARGS__), CLG_ERROR_ARGUMENT, #function ": an argument is NULL")
#define NO_VALUE(function, ...) NOTHING(function(__VA_ARGS__), #function ": an argument is NULL")
#define NO_TEXT(function, ...) NOTHING(*function(__VA_ARGS__), #function ": an argument is NULL")

typedef struct fixture {
    clg_context *ctx;
    clg_graph *g;
    clg_tensor *x, *y;
    clg_program *p;
} fixture;

static fixture make_fixture(void)
{
    fixture f = {.ctx = testing_context(), .g = clg_graph_create(NULL)};
    f.x = clg_input(f.g, "x", CLG_F32, CLG_SHAPE(2));
    f.y = clg_exp(f.x);
    TEST_OK(clg_program_compile(&f.p, f.ctx, f.g,
                                clg_program_options(.outputs = &f.y, .n_outputs = 1)));
    return f;
}

static void free_fixture(fixture *f)
{
    clg_program_destroy(f->p);
    clg_graph_destroy(f->g);
    clg_context_destroy(f->ctx);
}

START_TEST(programs_and_contexts)
{
    fixture f = make_fixture();
    float data[2] = {0};
    void *handle;
    size_t size = sizeof data;
    clg_program *p = NULL;
    clg_profile_row *rows;
    clg_nonfinite found;
    clg_program_stats stats = {.nodes = 1};
    clg_program_params params = {.outputs = &f.y, .n_outputs = 1};
    REFUSED(clg_program_compile, NULL, f.ctx, f.g, &params);
    REFUSED(clg_program_compile, &p, NULL, f.g, &params);
    REFUSED(clg_program_compile, &p, f.ctx, NULL, &params);
    REFUSED(clg_program_compile, &p, f.ctx, f.g, NULL);
    REFUSED(clg_program_run, NULL);
    REFUSED(clg_program_set_batch, NULL, 1);
    REFUSED(clg_program_feed, NULL, f.x, data, size);
    REFUSED(clg_program_feed, f.p, NULL, data, size);
    REFUSED(clg_program_feed, f.p, f.x, NULL, size);
    REFUSED(clg_program_read, NULL, f.y, data, size);
    REFUSED(clg_program_read, f.p, NULL, data, size);
    REFUSED(clg_program_read, f.p, f.y, NULL, size);
    REFUSED(clg_program_cl_mem, NULL, f.y, &handle, &size);
    REFUSED(clg_program_cl_mem, f.p, f.y, NULL, &size);
    REFUSED(clg_program_cl_mem, f.p, f.y, &handle, NULL);
    REFUSED(clg_program_profile, NULL, &rows, &size);
    REFUSED(clg_program_profile, f.p, NULL, &size);
    REFUSED(clg_program_find_nonfinite, NULL, &found);
    REFUSED(clg_program_find_nonfinite, f.p, NULL);
    REFUSED(clg_context_finish, NULL);
    NO_VALUE(clg_program_text, NULL);
    NO_VALUE(clg_context_device, NULL);
    NO_VALUE(clg_context_engine, NULL);
    NO_TEXT(clg_context_choice, NULL);
    NO_VALUE(clg_context_cl, NULL);
    NO_VALUE(clg_context_cl_queue, NULL);
    clg_program_query(NULL, &stats);
    ck_assert_uint_eq(stats.nodes, 0);
    clg_program_query(f.p, NULL);
    clg_context_memory(NULL, NULL, NULL);
    clg_context_builds(NULL, NULL, NULL);
    free_fixture(&f);
}
END_TEST

START_TEST(graphs_and_shapes)
{
    fixture f = make_fixture();
    char text[8];
    NO_VALUE(clg_graph_find, NULL, "x");
    NO_VALUE(clg_graph_find, f.g, NULL);
    NO_VALUE(clg_graph_variable, NULL, 0);
    NO_VALUE(clg_graph_steps, NULL);
    NO_VALUE(clg_graph_accumulated, NULL);
    NO_VALUE(clg_graph_share_variables, NULL, true);
    NO_VALUE(clg_graph_text, NULL, NULL, 0);
    NO_VALUE(clg_graph_text, f.g, NULL, 1);
    NO_VALUE(clg_graph_dot, NULL, NULL, 0);
    NO_VALUE(clg_shape_count, NULL);
    NO_VALUE(clg_shape_equal, NULL, NULL);
    NO_VALUE(clg_step_number, NULL);
    NO_VALUE(clg_init_find, NULL, NULL);
    NO_VALUE(clg_optimizer_find, NULL, NULL);
    NO_VALUE(clg_schedule_find, NULL, NULL);
    NO_VALUE(clg_concat, NULL, 2, 0);
    NO_VALUE(clg_stack, NULL, 2, 0);
    REFUSED(clg_split, f.x, 0, 2, NULL);
    REFUSED(clg_gradients, clg_sum(f.y, 0, false), &f.x, 1, NULL);
    ck_assert_str_eq(clg_shape_text(NULL, text, sizeof text), "");
    clg_graph_set_steps(NULL, 1);
    clg_graph_set_accumulated(NULL, 1);
    clg_tensor_set_name(f.x, NULL);
    ck_assert_str_eq(clg_tensor_name(f.x), "x");
    NOTHING(clg_input(NULL, "x", CLG_F32, CLG_SHAPE(1)), "input: the graph is NULL");
    NOTHING(clg_full(NULL, CLG_SCALAR, 1), "full: the graph is NULL");
    TEST_OK(clg_graph_status(f.g));
    free_fixture(&f);
}
END_TEST

START_TEST(tensors)
{
    NO_VALUE(clg_tensor_shape, NULL);
    NO_VALUE(clg_tensor_dtype, NULL);
    NO_VALUE(clg_tensor_graph, NULL);
    NO_VALUE(clg_tensor_trainable, NULL);
    NO_VALUE(clg_tensor_is_variable, NULL);
    NO_TEXT(clg_tensor_name, NULL);
    NO_TEXT(clg_tensor_op, NULL);
    NO_TEXT(clg_tensor_composition, NULL);
    NO_VALUE(clg_optimizer_state_bytes, NULL);
}
END_TEST

START_TEST(data_sets_and_files)
{
    NO_VALUE(clg_loader_batches, NULL);
    NO_VALUE(clg_dataset_describe, NULL);
    NO_VALUE(clg_dataset_class_name, NULL, 0);
    NO_VALUE(clg_safetensors_count, NULL);
    NO_VALUE(clg_safetensors_get, NULL, 0);
    NO_VALUE(clg_safetensors_find, NULL, "x");
    NO_VALUE(clg_safetensors_dtype, NULL, 0);
    NO_VALUE(clg_safetensors_metadata, NULL, "x");
    NO_VALUE(clg_safetensors_metadata_at, NULL, 0);
}
END_TEST

/* A chain tells of its first failure. */
START_TEST(builders_pass_null_on)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2));
    clg_graph_update(clg_assign(clg_relu(clg_transpose(x, NULL)), NULL));
    ck_assert_str_eq(clg_last_error(), "transpose: the order is NULL");
    clg_graph_destroy(g);
}
END_TEST

/* Builders fail their graph: one for each. */
START_TEST(builders)
{
    for (int i = 0; i < 5; i++) {
        clg_graph *g = clg_graph_create(NULL);
        clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, 3));
        if (i == 0) NOTHING(clg_input(g, NULL, CLG_F32, CLG_SHAPE(1)), "input: the name is NULL");
        if (i == 1)
            NOTHING(clg_variable(g, NULL, CLG_SHAPE(1), (clg_init){0}, true),
                    "variable: the name is NULL");
        if (i == 2) NOTHING(clg_constant(g, CLG_SHAPE(1), NULL), "constant: the data");
        if (i == 3) NOTHING(clg_transpose(x, NULL), "transpose: the order is NULL");
        if (i == 4) NOTHING(clg_broadcast(x, clg_shape_of(2, NULL)), "broadcast");
        ck_assert_int_eq(clg_graph_status(g), CLG_ERROR_ARGUMENT);
        clg_graph_destroy(g);
    }
}
END_TEST

/* Of a rank beyond what a shape has room for, all extents that there are 2 and equal. */
static clg_shape beyond(int ndim)
{
    clg_shape shape = CLG_SHAPE(2, 2, 2, 2, 2, 2);
    shape.ndim = ndim;
    return shape;
}

/* A shape is the caller's own struct: nothing may be read behind its extents. */
START_TEST(too_many_axes)
{
    static const int ranks[] = {-1, CLG_MAX_DIMS + 1, CLG_MAX_DIMS + 2, 1 << 20};
    const float data[1] = {1};
    for (size_t i = 0; i < CLG__COUNT(ranks); i++) {
        const clg_shape shape = beyond(ranks[i]);
        NOTHING(clg_shape_count(&shape), "clg_shape_count: the shape has not 0 to 6 axes");
        ck_assert(!clg_shape_equal(&shape, &shape));
        for (int builder = 0; builder < 6; builder++) {
            clg_graph *g = clg_graph_create(NULL);
            clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2));
            if (builder == 0) NOTHING(clg_input(g, "y", CLG_F32, shape), "has not 0 to 6 axes");
            if (builder == 1) NOTHING(clg_full(g, shape, 1), "has not 0 to 6 axes");
            if (builder == 2) NOTHING(clg_constant(g, shape, data), "has not 0 to 6 axes");
            if (builder == 3)
                NOTHING(clg_variable(g, "v", shape, (clg_init){0}, true), "has not 0 to 6 axes");
            if (builder == 4) NOTHING(clg_reshape(x, shape), "reshape: (2) does not fit in");
            if (builder == 5) NOTHING(clg_broadcast(x, shape), "broadcast: (2) cannot be");
            clg_graph_destroy(g);
        }
    }
}
END_TEST

/* Bits of a shape are the caller's, too, who may have copied it from a shape with more axes. */
START_TEST(marks_that_do_not_fit)
{
    static const struct {
        uint32_t batched;
        const char *message;
    } cases[] = {{1 | 1 << 2, "says of axes it has not that they follow the batch"},
                 {1u << 31, "says of axes it has not that they follow the batch"},
                 {2, "has an extent that follows the batch but is no multiple of its size"}};
    for (size_t i = 0; i < CLG__COUNT(cases); i++) {
        clg_shape shape = CLG_SHAPE(4, 3);
        shape.batched = cases[i].batched;
        for (int builder = 0; builder < 4; builder++) {
            clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
            clg_tensor *x = clg_full(g, CLG_SHAPE(1), 1);
            clg_tensor *y = clg_input(g, "y", CLG_F32, CLG_SHAPE(CLG_BATCH, 3));
            if (builder == 0) NOTHING(clg_input(g, "x", CLG_F32, shape), cases[i].message);
            if (builder == 1) NOTHING(clg_full(g, shape, 1), cases[i].message);
            if (builder == 2) NOTHING(clg_broadcast(x, shape), cases[i].message);
            if (builder == 3) NOTHING(clg_reshape(y, shape), cases[i].message);
            clg_graph_destroy(g);
        }
    }
}
END_TEST

enum { LAYERS = 15 };

static clg_tensor *layer_without_name(clg_graph *g, int i)
{
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2, 4));
    clg_tensor *image = clg_input(g, "image", CLG_F32, CLG_SHAPE(2, 5, 5, 4));
    clg_tensor *steps = clg_input(g, "steps", CLG_F32, CLG_SHAPE(2, 3, 4));
    clg_tensor *index = clg_input(g, "index", CLG_I32, CLG_SHAPE(2));
    if (i == 0) return clg_linear_layer(x, NULL, 3, NULL);
    if (i == 1) return clg_conv2d_layer(image, NULL, 4, 3, NULL);
    if (i == 2) return clg_conv_transpose2d_layer(image, NULL, 4, 3, NULL);
    if (i == 3) return clg_batch_norm_layer(x, NULL, NULL);
    if (i == 4) return clg_layer_norm_layer(x, NULL, 1, 0);
    if (i == 5) return clg_rms_norm_layer(x, NULL, 1, 0);
    if (i == 6) return clg_group_norm_layer(x, NULL, 2, 0);
    if (i == 7) return clg_normalize_layer(x, NULL);
    if (i == 8) return clg_prelu_layer(x, NULL, NULL);
    if (i == 9) return clg_swish_layer(x, NULL, NULL);
    if (i == 10) return clg_soft_exponential_layer(x, NULL, NULL);
    if (i == 11) return clg_apl_layer(x, NULL, NULL);
    if (i == 12) return clg_maxout_layer(x, NULL, 3, NULL);
    if (i == 13) return clg_embedding_layer(index, NULL, 5, 3, NULL);
    return clg_lstm_layer(steps, NULL, 3, NULL, NULL);
}

/* Layers are told apart by their names. */
START_TEST(layer_names)
{
    for (int i = 0; i < LAYERS; i++) {
        clg_graph *g = clg_graph_create(NULL);
        NOTHING(layer_without_name(g, i), "layer: the name is NULL");
        ck_assert_int_eq(clg_graph_status(g), CLG_ERROR_ARGUMENT);
        clg_graph_destroy(g);
    }
}
END_TEST

START_TEST(rates_and_draws)
{
    double losses[4] = {4, 3, 2, 1};
    int32_t drawn[2] = {7, 7};
    clg_sampler *sampler = NULL;
    const clg_lr_range defaults = {0};
    for (size_t i = 0; i < 100; i += 33)
        ck_assert_double_eq(clg_lr_range_rate(NULL, i), clg_lr_range_rate(&defaults, i));
    ck_assert_double_eq(clg_lr_range_suggest(NULL, losses, 4),
                        clg_lr_range_suggest(&defaults, losses, 4));
    NO_VALUE(clg_lr_range_suggest, NULL, NULL, 4);
    NOTHING(!clg_lr_range_smooth(NULL, 4, losses), "clg_lr_range_smooth: an argument is NULL");
    NOTHING(!clg_lr_range_smooth(losses, 4, NULL), "clg_lr_range_smooth: an argument is NULL");
    TEST_OK(clg_sampler_create(&sampler, losses, 4, 1));
    NOTHING((clg_sampler_draw(NULL, 1, 0, 2, drawn), 0), "clg_sampler_draw: an argument is NULL");
    NOTHING((clg_sampler_draw(sampler, 1, 0, 2, NULL), 0), "clg_sampler_draw: an argument is NULL");
    ck_assert_int_eq(drawn[0], 7);
    clg_sampler_destroy(sampler);
}
END_TEST

/* Each message says what is wrong, and nothing else. */
START_TEST(shapes_and_parameters)
{
    const int64_t large = (int64_t)1 << 40;
    const clg_shape shapes[] = {CLG_SHAPE(large, large), CLG_SHAPE(3, 0),
                                CLG_SHAPE(1, 1, 1, 1, 1, 1, 1)};
    static const char *const wrong[] = {" has too many elements", " has an extent that is not pos",
                                        " has not 0 to 6 axes",   "clamp: a <= b must hold",
                                        "softplus: a != 0 must",  "celu: a != 0 must"};
    for (int i = 0; i < (int)CLG__COUNT(wrong); i++) {
        clg_graph *g = clg_graph_create(NULL);
        clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(2));
        if (i < 3) NOTHING(clg_input(g, "y", CLG_F32, shapes[i]), wrong[i]);
        if (i == 3) NOTHING(clg_clamp(x, 3, 1), wrong[i]);
        if (i == 4) NOTHING(clg_softplus(x, 0), wrong[i]);
        if (i == 5) NOTHING(clg_celu(x, 0), wrong[i]);
        ck_assert_int_eq(clg_graph_status(g), CLG_ERROR_ARGUMENT);
        clg_graph_destroy(g);
    }
}
END_TEST

static clg_tensor *wrong_layer(int i, clg_tensor *steps)
{
    if (i == 0)
        return clg_lstm_layer(steps, "rnn", 2, clg_recurrent_layer_options(.relu = true), NULL);
    return clg_lstm_layer(steps, "rnn", 2, clg_recurrent_layer_options(.dropout = 1), NULL);
}

static clg_tensor *wrong_leaf(int i, clg_graph *g)
{
    clg_init zeros = {0};
    if (i == 0) return clg_full(g, CLG_SHAPE(1, 2, 3, 4, 5, 6, 7), 1);
    if (i == 1) return clg_full(g, CLG_SHAPE(0), 1);
    return clg_variable(g, i == 2 ? "v" : "x", CLG_SHAPE(3), zeros, true);
}

static clg_tensor *wrong_norm(int i, clg_tensor *x)
{
    if (i == 0) return clg_layer_norm(x, 1, NULL, NULL, -1);
    if (i == 1) return clg_rms_norm(x, 1, NULL, (double)NAN);
    if (i == 2) return clg_group_norm(x, 2, NULL, NULL, (double)INFINITY);
    const clg_batch_norm_params params[] = {
        {.epsilon = -2}, {.momentum = (double)NAN}, {.momentum = 2}};
    return clg_batch_norm(x, NULL, &params[i - 3]);
}

/* Call number i of those that `options` expects to fail. */
static clg_tensor *wrong_options(int i, clg_tensor *x, clg_tensor *steps, clg_tensor *w,
                                 clg_tensor *v)
{
    const clg_conv2d_params conv[] = {{.padding = (clg_padding)5},
                                      {.padding = CLG_PADDING_SAME, .pad = {1}},
                                      {.dilation = {1 << 30}}};
    if (i < 3) return clg_conv2d(x, w, &conv[i]);
    if (i == 3)
        return clg_conv_transpose2d(x, v, clg_conv_transpose2d_options(.dilation = {1 << 30}));
    if (i < 10) return wrong_norm(i - 4, x);
    if (i == 10) return clg_l1_penalty(x, (double)INFINITY);
    if (i == 11) return clg_l2_penalty(x, (double)NAN);
    if (i == 12) return clg_l1_activity_penalty(x, (double)NAN);
    if (i < 15) return wrong_layer(i - 13, steps);
    if (i == 15) return clg_window_sum(x, 1 << 30, 1 << 30);
    return wrong_leaf(i - 16, clg_tensor_graph(x));
}

/* What makes no sense is refused, and the message says what does. */
START_TEST(options)
{
    static const char *const wrong[] = {
        "conv2d: input (1, 5, 5, 4), weights (3, 3, 4, 2): padding or pad_mode",
        "pad is for CLG_PADDING_EXPLICIT",
        "the first two up to 2^20, padding from 0",
        "conv_transpose2d: input (1, 5, 5, 4), weights (3, 3, 2, 4): stride, dilation and groups",
        "layer_norm: epsilon -1 is not positive",
        "rms_norm: epsilon nan is not positive",
        "group_norm: epsilon inf is not positive",
        "batch_norm: epsilon -2 is not positive",
        "batch_norm: momentum nan is not in 0 .. 1",
        "batch_norm: momentum 2 is not in 0 .. 1",
        "l1_penalty: the factor inf is not finite",
        "l2_penalty: the factor nan is not finite",
        "l1_activity_penalty: the factor nan is not finite",
        "rnn: only rnn takes relu",
        "rnn: dropout is from 0 to below 1",
        "numbers of elements are in 0 .. 2^29 - 1",
        "shape (1, 2, 3, 4, 5, 6, ...) has not 0 to 6 axes",
        "full: shape (0) has an extent",
        "the name \"v\" is taken; clg_graph_share_variables lets layers share",
        "the name \"x\" is taken"};
    for (int i = 0; i < (int)CLG__COUNT(wrong); i++) {
        clg_graph *g = clg_graph_create(NULL);
        clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(1, 5, 5, 4));
        clg_tensor *steps = clg_input(g, "steps", CLG_F32, CLG_SHAPE(2, 3, 4));
        clg_tensor *w = clg_full(g, CLG_SHAPE(3, 3, 4, 2), 1);
        clg_tensor *v = clg_variable(g, "v", CLG_SHAPE(3, 3, 2, 4), (clg_init){0}, true);
        NOTHING(wrong_options(i, x, steps, w, v), wrong[i]);
        ck_assert_int_eq(clg_graph_status(g), CLG_ERROR_ARGUMENT);
        clg_graph_destroy(g);
    }
}
END_TEST

/* What a message tells of the parameters is what the operation has. */
START_TEST(parameters_are_named_as_there_are)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_celu(clg_scalar(g, 1), 0);
    ck_assert_str_eq(clg_last_error(), "celu: a != 0 must hold, but a is 0");
    clg_graph_destroy(g);
    g = clg_graph_create(NULL);
    clg_clamp(clg_scalar(g, 1), 3, 1);
    ck_assert_str_eq(clg_last_error(), "clamp: a <= b must hold, but a is 3 and b 1");
    clg_graph_destroy(g);
}
END_TEST

START_TEST(program_options)
{
    fixture f = make_fixture();
    clg_program *p = NULL;
    clg_program_params params = {.n_outputs = 1};
    TEST_FAILS(clg_program_compile(&p, f.ctx, f.g, &params), CLG_ERROR_ARGUMENT,
               "program: 1 outputs are NULL");
    params.outputs = &f.y;
    params.batch = -4;
    TEST_FAILS(clg_program_compile(&p, f.ctx, f.g, &params), CLG_ERROR_ARGUMENT,
               "program: batch -4 is negative");
    params.batch = 0;
    params.mode = (clg_program_mode)17;
    TEST_FAILS(clg_program_compile(&p, f.ctx, f.g, &params), CLG_ERROR_ARGUMENT,
               "program: mode 17 is none of clg_program_mode");
    params.mode = CLG_INFERENCE_AVERAGED;
    TEST_FAILS(clg_program_compile(&p, f.ctx, f.g, &params), CLG_ERROR_ARGUMENT,
               "which clg_minimize makes with ema_decay");
    ck_assert_ptr_null(p);
    free_fixture(&f);
}
END_TEST

/* All of its parameters may be left out. */
START_TEST(batch_norm_without_parameters)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 3));
    clg_tensor *const none[4] = {NULL};
    ck_assert_ptr_nonnull(clg_batch_norm(x, NULL, NULL));
    ck_assert_ptr_nonnull(clg_batch_norm(x, none, NULL));
    TEST_OK(clg_graph_status(g));
    clg_graph_destroy(g);
}
END_TEST

/* ---- feeding and reading ---- */

/* y = 2 exp(x) + w + c for a batch of up to 3 rows; w is a variable, c a constant. */
typedef struct network {
    clg_context *ctx;
    clg_graph *g;
    clg_tensor *x, *w, *c, *two, *inner, *y;
    clg_program *p;
} network;

static network make_network(void)
{
    network n = {.ctx = testing_context(), .g = clg_graph_create(clg_graph_options(.batch = 3))};
    n.x = clg_input(n.g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 2));
    n.w = clg_variable(n.g, "w", CLG_SHAPE(2), CLG_INIT(.kind = CLG_INIT_ONES), true);
    n.c = clg_constant(n.g, CLG_SHAPE(2), (const float[]){3, 4});
    n.two = clg_scalar(n.g, 2);
    n.inner = clg_exp(n.x);
    n.y = clg_add(clg_add(clg_mul(n.inner, n.two), n.w), n.c);
    TEST_OK(clg_program_compile(&n.p, n.ctx, n.g,
                                clg_program_options(.outputs = &n.y, .n_outputs = 1)));
    return n;
}

static void free_network(network *n)
{
    clg_program_destroy(n->p);
    clg_graph_destroy(n->g);
    clg_context_destroy(n->ctx);
}

/* Memory that no run and no feed has written is not shown, at any batch size. */
START_TEST(what_was_not_computed_is_not_read)
{
    network n = make_network();
    float data[6] = {0};
    const size_t row = 2 * sizeof(float);
    TEST_FAILS(clg_program_read(n.p, n.x, data, 3 * row), CLG_ERROR_ARGUMENT,
               "read: input x was not fed at batch 3");
    TEST_OK(clg_program_feed(n.p, n.x, data, 3 * row));
    TEST_OK(clg_program_read(n.p, n.x, data, 3 * row));
    TEST_FAILS(clg_program_read(n.p, n.y, data, 3 * row), CLG_ERROR_ARGUMENT,
               "read: add has no value at batch 3 yet: run the program first");
    TEST_OK(clg_program_run(n.p));
    TEST_OK(clg_program_read(n.p, n.y, data, 3 * row));
    ck_assert(data[0] == 6 && data[1] == 7);
    TEST_OK(clg_program_set_batch(n.p, 2));
    TEST_FAILS(clg_program_read(n.p, n.y, data, 2 * row), CLG_ERROR_ARGUMENT, "at batch 2 yet");
    TEST_FAILS(clg_program_read(n.p, n.x, data, 2 * row), CLG_ERROR_ARGUMENT, "not fed");
    TEST_OK(clg_program_feed(n.p, n.x, data, 2 * row));
    TEST_OK(clg_program_run(n.p));
    TEST_OK(clg_program_read(n.p, n.y, data, 2 * row));
    TEST_OK(clg_program_read(n.p, n.w, data, row)); /* variables have values at any time */
    TEST_OK(clg_program_set_batch(n.p, 3));
    TEST_OK(clg_program_read(n.p, n.w, data, row));
    free_network(&n);
}
END_TEST

/* A variable seen through a reshape has its value before any run; what a run computes has not. */
START_TEST(parts_of_variables_are_there_before_a_run)
{
    fixture f = make_fixture();
    clg_tensor *w = clg_variable(f.g, "w", CLG_SHAPE(2), CLG_INIT(.kind = CLG_INIT_ONES), true);
    clg_tensor *outputs[] = {clg_reshape(w, CLG_SHAPE(2, 1)), clg_reshape(f.y, CLG_SHAPE(2, 1)),
                             clg_add(clg_scalar(f.g, 1), clg_scalar(f.g, 2))};
    clg_program *p = NULL;
    float data[2] = {0};
    TEST_OK(clg_program_compile(&p, f.ctx, f.g,
                                clg_program_options(.outputs = outputs, .n_outputs = 3)));
    TEST_OK(clg_program_feed(p, f.x, data, sizeof data));
    TEST_OK(clg_program_read(p, outputs[0], data, sizeof data));
    ck_assert(data[0] == 1 && data[1] == 1);
    TEST_FAILS(clg_program_read(p, outputs[1], data, sizeof data), CLG_ERROR_ARGUMENT, "run the");
    TEST_FAILS(clg_program_read(p, outputs[2], data, sizeof *data), CLG_ERROR_ARGUMENT, "run the");
    TEST_OK(clg_program_run(p));
    TEST_OK(clg_program_read(p, outputs[2], data, sizeof *data));
    ck_assert(data[0] == 3);
    clg_program_destroy(p);
    free_fixture(&f);
}
END_TEST

START_TEST(only_inputs_are_fed)
{
    network n = make_network();
    float data[2] = {0};
    TEST_FAILS(clg_program_feed(n.p, n.w, data, sizeof data), CLG_ERROR_ARGUMENT,
               "feed: w is a variable: clg_variable_write");
    TEST_FAILS(clg_program_feed(n.p, n.c, data, sizeof data), CLG_ERROR_ARGUMENT,
               "is not an input of this graph");
    TEST_FAILS(clg_program_feed(n.p, n.two, data, sizeof *data), CLG_ERROR_ARGUMENT,
               "feed: full is not an input of this graph");
    free_network(&n);
}
END_TEST

/* Numbers are part of the kernels' text, and so is what is only used inside of one. */
START_TEST(what_is_inside_of_kernels_is_not_read)
{
    network n = make_network();
    float number;
    void *handle;
    size_t offset;
    static const char text[] = "full has no memory of its own: make it an output of the program";
    TEST_FAILS(clg_program_read(n.p, n.two, &number, sizeof number), CLG_ERROR_ARGUMENT, text);
    TEST_FAILS(clg_program_cl_mem(n.p, n.two, &handle, &offset), CLG_ERROR_ARGUMENT, text);
    TEST_FAILS(clg_program_read(n.p, n.inner, &number, sizeof number), CLG_ERROR_ARGUMENT,
               "exp is not an output of the program");
    TEST_FAILS(clg_program_read(n.p, clg_tanh(n.two), &number, sizeof number), CLG_ERROR_ARGUMENT,
               "the tensor is not of this program's graph");
    free_network(&n);
}
END_TEST

/* The first failure is what a graph tells, whatever failed since. */
START_TEST(a_graph_keeps_its_message)
{
    clg_graph *g = clg_graph_create(NULL), *other = NULL;
    clg_transpose(clg_input(g, "x", CLG_F32, CLG_SHAPE(2)), NULL);
    ck_assert_ptr_null(clg_graph_find(other, "x"));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, "transpose: the order is NULL");
    REFUSED(clg_graph_status, NULL);
    clg_graph_destroy(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arguments");
    TCase *null = testing_case(suite, "null");
    tcase_add_test(null, programs_and_contexts);
    tcase_add_test(null, graphs_and_shapes);
    tcase_add_test(null, tensors);
    tcase_add_test(null, data_sets_and_files);
    tcase_add_test(null, builders_pass_null_on);
    tcase_add_test(null, builders);
    tcase_add_test(null, marks_that_do_not_fit);
    tcase_add_test(null, shapes_and_parameters);
    tcase_add_test(null, too_many_axes);
    tcase_add_test(null, layer_names);
    tcase_add_test(null, rates_and_draws);
    TCase *senseless = testing_case(suite, "senseless");
    tcase_add_test(senseless, options);
    tcase_add_test(senseless, parameters_are_named_as_there_are);
    tcase_add_test(senseless, program_options);
    tcase_add_test(senseless, batch_norm_without_parameters);
    TCase *programs = testing_case(suite, "programs");
    tcase_add_test(programs, what_was_not_computed_is_not_read);
    tcase_add_test(programs, parts_of_variables_are_there_before_a_run);
    tcase_add_test(programs, only_inputs_are_fed);
    tcase_add_test(programs, what_is_inside_of_kernels_is_not_read);
    tcase_add_test(programs, a_graph_keeps_its_message);
    return testing_run(suite);
}
