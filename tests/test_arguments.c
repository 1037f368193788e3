/*
 * NULL where a pointer is needed is refused with a message that names the function; so are shapes
 * and parameters that make no sense.
 */
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
    NOTHING(*clg_context_choice(NULL), "clg_context_choice: an argument is NULL");
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

int main(void)
{
    Suite *suite = suite_create("arguments");
    TCase *null = testing_case(suite, "null");
    tcase_add_test(null, programs_and_contexts);
    tcase_add_test(null, graphs_and_shapes);
    tcase_add_test(null, builders);
    tcase_add_test(null, marks_that_do_not_fit);
    tcase_add_test(null, shapes_and_parameters);
    tcase_add_test(null, too_many_axes);
    tcase_add_test(null, layer_names);
    tcase_add_test(null, rates_and_draws);
    return testing_run(suite);
}
