/*
 * Embeddings: lazy optimizer steps against a reference in double precision and against the dense
 * step, and that what they cost does not know how large the table is. Recurrent layers: launches
 * per step, and state that is carried from run to run.
 */
#include <math.h>

#include "evaluate.h"

/* ---- a small model with two lookups in one table ---- */

enum { ROWS = 12, WIDTH = 5, BATCH = 6, PAIRS = 2, STEPS = 6 };

typedef struct model {
    clg_context *ctx;
    clg_graph *g;
    clg_tensor *i, *j, *table, *loss;
    clg_minimized made;
    clg_program *step;
} model;

/* loss = sum(tanh(E[i] w) b) + 0.3 sum(E[j]^2); with E the table, w and b more parameters */
static void build_model(model *m, const clg_optimizer_params *options)
{
    m->g = clg_graph_create(clg_graph_options(.batch = BATCH, .seed = 5));
    m->i = clg_input(m->g, "i", CLG_I32, CLG_SHAPE(CLG_BATCH));
    m->j = clg_input(m->g, "j", CLG_I32, CLG_SHAPE(CLG_BATCH, PAIRS));
    clg_tensor *x = clg_embedding_layer(m->i, "words", ROWS, WIDTH, NULL);
    m->table = clg_graph_find(m->g, "words.weight");
    clg_tensor *squares = clg_sum(clg_square(clg_gather(m->table, m->j)), 0, false);
    clg_tensor *y = clg_sum(clg_linear_layer(clg_tanh(x), "fc", 3, NULL), 0, false);
    m->loss = clg_add(y, clg_mul(squares, clg_scalar(m->g, 0.3)));
    TEST_OK(clg_minimize(m->loss, options, &m->made));
    clg_tensor *outputs[] = {m->loss, m->made.gradient_norm};
    TEST_OK(clg_program_compile(
        &m->step, m->ctx, m->g,
        clg_program_options(.outputs = outputs, .n_outputs = 2, .mode = CLG_TRAINING)));
}

static void run_step(model *m, int step)
{
    int32_t i[BATCH], j[BATCH * PAIRS]; /* never row 3; rows often twice */
    for (int k = 0; k < BATCH; k++) i[k] = (k * k + step) % ROWS;
    for (int k = 0; k < BATCH * PAIRS; k++) j[k] = (3 * k + 2 * step) % 7;
    for (int k = 0; k < BATCH; k++) i[k] += i[k] == 3;
    for (int k = 0; k < BATCH * PAIRS; k++) j[k] += j[k] == 3;
    TEST_OK(clg_program_feed(m->step, m->i, i, sizeof i));
    TEST_OK(clg_program_feed(m->step, m->j, j, sizeof j));
    TEST_OK(clg_program_run(m->step));
}

static void finish(model *m)
{
    clg_program_destroy(m->step);
    clg_graph_destroy(m->g);
    clg_context_destroy(m->ctx);
}

/* The table after some steps. */
static void train(const char *engine, const clg_optimizer_params *options, float *table,
                  float *norm)
{
    model m = {.ctx = engine_context(engine)};
    build_model(&m, options);
    for (int step = 0; step < STEPS; step++) run_step(&m, step);
    TEST_OK(clg_variable_read(m.table, table, ROWS * WIDTH));
    TEST_OK(clg_program_read(m.step, m.made.gradient_norm, norm, sizeof *norm));
    finish(&m);
}

static const char *const engines[] = {"cpu", "gpu"};

/* Rules that leave a row alone when its gradient is zero: lazy or not is no difference. */
START_TEST(lazy_steps_equal_dense_ones_where_zero_gradients_change_nothing)
{
    static const clg_optimizer_params options[] = {
        {.kind = CLG_SGD, .lr = 0.1},
        {.kind = CLG_ADAGRAD, .lr = 0.1},
        {.kind = CLG_SGD, .lr = 0.1, .clip_norm = 0.5},
    };
    for (size_t k = 0; k < CLG__COUNT(options); k++) {
        clg_optimizer_params dense = options[k];
        float expected[ROWS * WIDTH], got[ROWS * WIDTH], norms[2];
        dense.dense_tables = true;
        train("cpu", &dense, expected, &norms[0]);
        for (size_t e = 0; e < CLG__COUNT(engines); e++) {
            train(engines[e], &options[k], got, &norms[1]);
            for (int n = 0; n < ROWS * WIDTH; n++)
                ck_assert_float_eq_tol(got[n], expected[n], 2e-6f);
            ck_assert_float_eq_tol(norms[1], norms[0], 1e-5f * norms[0]);
        }
    }
}
END_TEST

/* Adam on one row in double: as torch.optim.SparseAdam, whose step number counts all steps. */
static void adam(double *p, double *m, double *v, double g, int t)
{
    *m += 0.1 * (g - *m);
    *v += 0.001 * (g * g - *v);
    double corrected = *v / (1 - pow(0.999, t));
    *p -= 0.01 / (1 - pow(0.9, t)) * *m / (sqrt(corrected) + 1e-8);
}

START_TEST(lazy_adam_leaves_state_of_other_rows_alone)
{
    for (size_t e = 0; e < CLG__COUNT(engines); e++) {
        clg_context *ctx = engine_context(engines[e]);
        clg_graph *g = clg_graph_create(clg_graph_options(.batch = 3, .seed = 5));
        clg_tensor *index = clg_input(g, "index", CLG_I32, CLG_SHAPE(CLG_BATCH));
        clg_tensor *x = clg_embedding_layer(index, "words", ROWS, WIDTH, NULL);
        clg_tensor *table = clg_graph_find(g, "words.weight");
        clg_tensor *loss = clg_mul(clg_scalar(g, 0.5), clg_sum(clg_square(x), 0, false));
        TEST_OK(clg_minimize(loss, clg_optimizer_options(.kind = CLG_ADAM, .lr = 0.01), NULL));
        clg_program *p = NULL;
        TEST_OK(clg_program_compile(
            &p, ctx, g,
            clg_program_options(.outputs = &loss, .n_outputs = 1, .mode = CLG_TRAINING)));
        double want[3][ROWS][WIDTH] = {{{0}}};
        float got[ROWS * WIDTH];
        TEST_OK(clg_variable_read(table, got, ROWS * WIDTH));
        for (int n = 0; n < ROWS * WIDTH; n++) want[0][n / WIDTH][n % WIDTH] = got[n];
        for (int step = 0; step < STEPS; step++) {
            /* twice the same row: its gradient p comes twice */
            const int32_t rows[] = {step % 3, 5 + step % 2, step % 3};
            TEST_OK(clg_program_feed(p, index, rows, sizeof rows));
            TEST_OK(clg_program_run(p));
            for (int k = 0; k < 2; k++)
                for (int c = 0; c < WIDTH; c++) {
                    double *cell = &want[0][rows[k]][c];
                    adam(cell, &want[1][rows[k]][c], &want[2][rows[k]][c], (k == 0 ? 2 : 1) * *cell,
                         step + 1);
                }
        }
        const char *const names[] = {"words.weight", "optimizer.m.words.weight",
                                     "optimizer.v.words.weight"};
        for (int s = 0; s < 3; s++) {
            TEST_OK(clg_variable_read(clg_graph_find(g, names[s]), got, ROWS * WIDTH));
            for (int n = 0; n < ROWS * WIDTH; n++)
                ck_assert_msg(fabs(got[n] - want[s][n / WIDTH][n % WIDTH]) < 2e-6,
                              "%s: element %d is %.9g, expected %.9g", names[s], n, (double)got[n],
                              want[s][n / WIDTH][n % WIDTH]);
        }
        clg_program_destroy(p);
        clg_graph_destroy(g);
        clg_context_destroy(ctx);
    }
}
END_TEST

/* ---- cost ---- */

/* Launches of a step, and the bytes they say they move. */
static size_t cost_of(const char *engine, int64_t rows, const clg_optimizer_params *options,
                      double *bytes)
{
    clg_context *ctx = NULL;
    setenv("CLGRAD_ENGINE", engine, 1);
    TEST_OK(clg_context_create(&ctx, clg_context_options(.profiling = true)));
    unsetenv("CLGRAD_ENGINE");
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 16));
    clg_tensor *index = clg_input(g, "index", CLG_I32, CLG_SHAPE(CLG_BATCH, 3));
    const clg_init zeros = {.kind = CLG_INIT_ZEROS};
    clg_tensor *x =
        clg_embedding_layer(index, "words", rows, 8, clg_embedding_options(.weight_init = &zeros));
    clg_tensor *loss = clg_mean(clg_square(x), 0, false);
    TEST_OK(clg_minimize(loss, options, NULL));
    clg_program *p = NULL;
    TEST_OK(clg_program_compile(
        &p, ctx, g, clg_program_options(.outputs = &loss, .n_outputs = 1, .mode = CLG_TRAINING)));
    int32_t data[48];
    for (int i = 0; i < 48; i++) data[i] = (int32_t)((uint32_t)i * 2654435761u % (uint64_t)rows);
    TEST_OK(clg_program_feed(p, index, data, sizeof data));
    clg_profile_row *profile = NULL;
    size_t count = 0;
    TEST_OK(clg_program_profile(p, &profile, &count));
    *bytes = 0;
    for (size_t i = 0; i < count; i++) *bytes += profile[i].bytes;
    clg_program_stats stats;
    clg_program_query(p, &stats);
    ck_assert_uint_le(stats.arena_bytes, 1 << 18); /* no table, no copy of one */
    clg_free(profile);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
    return count;
}

START_TEST(an_embedding_step_does_not_know_the_size_of_the_table)
{
    static const clg_optimizer_params options[] = {
        {.kind = CLG_ADAM, .lr = 0.01, .clip_norm = 1},
        {.kind = CLG_SGD, .lr = 0.01, .momentum = 0.9},
    };
    for (size_t e = 0; e < CLG__COUNT(engines); e++)
        for (size_t k = 0; k < CLG__COUNT(options); k++) {
            double few_bytes, many_bytes;
            size_t few = cost_of(engines[e], 50, &options[k], &few_bytes);
            size_t many = cost_of(engines[e], 100000, &options[k], &many_bytes);
            ck_assert_uint_eq(few, many);
            ck_assert_double_eq(few_bytes, many_bytes);
            ck_assert_uint_le(many, 20);
        }
}
END_TEST

/* ---- recurrent layers ---- */

typedef clg_tensor *(*layer_builder)(clg_tensor *x, const char *name, int64_t units,
                                     const clg_recurrent_layer_params *params,
                                     clg_recurrent_layer_result *out);

/* Launches of a program with a layer over `steps` steps, forward or with training. */
static size_t launches_of(const char *engine, layer_builder layer, int64_t steps, bool training)
{
    clg_context *ctx = engine_context(engine);
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 4));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(steps, CLG_BATCH, 3));
    clg_tensor *y = layer(x, "r", 8, clg_recurrent_layer_options(.time_first = true), NULL);
    clg_tensor *loss = clg_mean(clg_square(y), 0, false);
    if (training)
        TEST_OK(clg_minimize(loss, clg_optimizer_options(.kind = CLG_SGD, .lr = 0.1), NULL));
    clg_program *p = NULL;
    clg_program_mode mode = training ? CLG_TRAINING : CLG_INFERENCE;
    TEST_OK(clg_program_compile(
        &p, ctx, g, clg_program_options(.outputs = &loss, .n_outputs = 1, .mode = mode)));
    clg_program_stats stats;
    clg_program_query(p, &stats);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
    return stats.launches;
}

/* A step is a product and a fused kernel, in rnn even one, and the same again backward; on GPUs
 * products of the library fuse nothing. Everything else does not grow with the number of steps, and
 * on processors nearly nothing does once there are enough of them to be joined. */
START_TEST(a_step_of_a_layer_is_two_launches)
{
    static const struct {
        layer_builder layer;
        size_t forward;
    } rows[] = {{clg_rnn_layer, 1}, {clg_lstm_layer, 2}, {clg_gru_layer, 2}};
    for (size_t k = 0; k < CLG__COUNT(rows); k++)
        for (int training = 0; training < 2; training++) {
            size_t three = launches_of("cpu", rows[k].layer, 3, training);
            size_t four = launches_of("cpu", rows[k].layer, 4, training);
            ck_assert_uint_eq(four - three, rows[k].forward * (size_t)(1 + training));
            ck_assert_uint_lt(launches_of("cpu", rows[k].layer, 36, training), 24);
        }
    size_t few = launches_of("gpu", clg_lstm_layer, 5, true);
    ck_assert_uint_eq(launches_of("gpu", clg_lstm_layer, 11, true) - few, 6 * 4);
}
END_TEST

enum { PIECE = 3, UNITS = 4 };

/* Two runs of PIECE steps that carry their state are one of twice the steps. */
START_TEST(a_carried_state_continues_the_last_run)
{
    clg_context *ctx = engine_context("cpu");
    clg_graph *g[2];
    clg_tensor *x[2], *y[2];
    clg_program *p[2] = {NULL, NULL};
    clg_recurrent_layer_result out;
    for (int k = 0; k < 2; k++) {
        g[k] = clg_graph_create(clg_graph_options(.seed = 4));
        x[k] = clg_input(g[k], "x", CLG_F32, CLG_SHAPE(2, k ? 2 * PIECE : PIECE, 3));
        y[k] = clg_lstm_layer(x[k], "r", UNITS,
                              clg_recurrent_layer_options(.layers = 2, .carry = k == 0), &out);
        if (k == 0) ck_assert_uint_eq(out.n_carry, 4);
        TEST_OK(clg_program_compile(
            &p[k], ctx, g[k],
            clg_program_options(.outputs = &y[k], .n_outputs = 1, .mode = CLG_TRAINING)));
    }
    float data[2][2 * PIECE][3], piece[2][PIECE][3], want[2][2 * PIECE][UNITS],
        got[2][PIECE][UNITS];
    for (int i = 0; i < 12 * PIECE; i++) (&data[0][0][0])[i] = (float)(i * 5 % 13) / 6 - 1;
    TEST_OK(clg_program_feed(p[1], x[1], data, sizeof data));
    TEST_OK(clg_program_run(p[1]));
    TEST_OK(clg_program_read(p[1], y[1], want, sizeof want));
    for (int run = 0; run < 4; run++) { /* the third begins anew */
        if (run == 2) TEST_OK(clg_recurrent_reset(g[0], "r"));
        int first = run % 2 * PIECE;
        for (int n = 0; n < 2; n++) memcpy(piece[n], data[n][first], sizeof piece[n]);
        TEST_OK(clg_program_feed(p[0], x[0], piece, sizeof piece));
        TEST_OK(clg_program_run(p[0]));
        TEST_OK(clg_program_read(p[0], y[0], got, sizeof got));
        for (int i = 0; i < 2 * PIECE * UNITS; i++) {
            int n = i / (PIECE * UNITS), t = i / UNITS % PIECE;
            ck_assert_float_eq_tol(got[n][t][i % UNITS], want[n][first + t][i % UNITS], 1e-6f);
        }
    }
    TEST_FAILS(clg_recurrent_reset(g[1], "r"), CLG_ERROR_ARGUMENT, "\"r\" carries no state");
    for (int k = 0; k < 2; k++) {
        clg_program_destroy(p[k]);
        clg_graph_destroy(g[k]);
    }
    clg_context_destroy(ctx);
}
END_TEST

/* The gradient goes back to the beginning of the run: the carried state counts as a constant. */
START_TEST(gradients_stop_at_the_carried_state)
{
    clg_context *ctx = engine_context("cpu");
    clg_graph *g = clg_graph_create(clg_graph_options(.seed = 4));
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(1, 1, 1)), *grads[2];
    clg_init half = {.kind = CLG_INIT_CONSTANT, .value = 0.5};
    clg_tensor *y = clg_rnn_layer(
        x, "r", 1,
        clg_recurrent_layer_options(.carry = true, .relu = true, .no_bias = true, .init = &half),
        NULL);
    clg_tensor *wrt[] = {clg_graph_find(g, "r.weight_ih_l0"), clg_graph_find(g, "r.weight_hh_l0")};
    TEST_OK(clg_gradients(clg_sum(y, 0, false), wrt, 2, grads));
    clg_program *p = NULL;
    clg_tensor *outputs[] = {y, grads[0], grads[1]};
    TEST_OK(clg_program_compile(
        &p, ctx, g, clg_program_options(.outputs = outputs, .n_outputs = 3, .mode = CLG_TRAINING)));
    /* h = 0.5 x + 0.5 h: 1, 1.5, 1.75 for x = 2; d/dw_ih is x, d/dw_hh the h before. */
    static const float want[3][3] = {{1, 2, 0}, {1.5f, 2, 1}, {1.75f, 2, 1.5f}};
    for (int run = 0; run < 3; run++) {
        TEST_OK(clg_program_feed(p, x, &(float){2}, sizeof(float)));
        TEST_OK(clg_program_run(p));
        for (int i = 0; i < 3; i++) {
            float got;
            TEST_OK(clg_program_read(p, outputs[i], &got, sizeof got));
            ck_assert_float_eq(got, want[run][i]);
        }
    }
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sequence");
    TCase *embeddings = testing_case(suite, "embeddings");
    tcase_add_test(embeddings, lazy_steps_equal_dense_ones_where_zero_gradients_change_nothing);
    tcase_add_test(embeddings, lazy_adam_leaves_state_of_other_rows_alone);
    tcase_add_test(embeddings, an_embedding_step_does_not_know_the_size_of_the_table);
    TCase *recurrent = testing_case(suite, "recurrent");
    tcase_add_test(recurrent, a_step_of_a_layer_is_two_launches);
    tcase_add_test(recurrent, a_carried_state_continues_the_last_run);
    tcase_add_test(recurrent, gradients_stop_at_the_carried_state);
    return testing_run(suite);
}
