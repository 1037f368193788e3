/*
 * Training steps in parts and what rides on them: gradients accumulated over micro-batches, moving
 * averages of the parameters, guards, norms. Trajectories are PyTorch's (golden/optimizers.py),
 * which took each step from the whole batch.
 */
#include "golden_network.h"

#include "scratch.h"

/* The golden network with its data fed, so that it can come in parts. */
typedef struct fed {
    network net;
    clg_tensor *x, *target;
} fed;

static fed fed_create(double dropout)
{
    fed f = {0};
    f.net.ctx = testing_context();
    f.net.graph = clg_graph_create(clg_graph_options(.batch = 5, .seed = 2));
    f.x = clg_input(f.net.graph, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 3));
    f.target = clg_input(f.net.graph, "target", CLG_F32, CLG_SHAPE(CLG_BATCH, 2));
    clg_tensor *h = clg_tanh(clg_linear_layer(f.x, "1", 4, NULL));
    h = clg_dropout(h, dropout);
    f.net.loss = clg_mse(clg_linear_layer(h, "2", 2, NULL), f.target, NULL);
    TEST_OK(clg_graph_status(f.net.graph));
    set_parameters(f.net.graph, golden_start);
    return f;
}

static clg_program *compiled(const fed *f, clg_program_mode mode, clg_tensor *output)
{
    clg_program *program = NULL;
    TEST_OK(clg_program_compile(
        &program, f->net.ctx, f->net.graph,
        clg_program_options(.outputs = &output, .n_outputs = output ? 1 : 0, .mode = mode)));
    return program;
}

/* Runs `program` on rows first .. first + count - 1 of the golden batch. */
static void run_rows(const fed *f, clg_program *program, int64_t first, int64_t count)
{
    TEST_OK(clg_program_set_batch(program, count));
    TEST_OK(
        clg_program_feed(program, f->x, golden_x + 3 * first, (size_t)count * 3 * sizeof(float)));
    TEST_OK(clg_program_feed(program, f->target, golden_target + 2 * first,
                             (size_t)count * 2 * sizeof(float)));
    TEST_OK(clg_program_run(program));
}

/* One step of the whole batch in parts of two, two and one rows. */
static void step_in_parts(const fed *f, clg_program *part, clg_program *update)
{
    run_rows(f, part, 0, 2);
    run_rows(f, part, 2, 2);
    run_rows(f, part, 4, 1);
    ck_assert_uint_eq(clg_graph_accumulated(f->net.graph), 3);
    TEST_OK(clg_program_run(update));
    ck_assert_uint_eq(clg_graph_accumulated(f->net.graph), 0);
}

static void read_parameters(const clg_graph *g, float *out)
{
    for (size_t i = 0; i < 4; i++) {
        const clg_tensor *v = clg_graph_variable(g, i);
        int64_t count = clg_shape_count(clg_tensor_shape(v));
        TEST_OK(clg_variable_read(v, out, count));
        out += count;
    }
}

/* ---- accumulation ---- */

static const struct golden_case *golden_named(const char *name)
{
    for (size_t i = 0; i < CLG__COUNT(golden_cases); i++)
        if (strcmp(golden_cases[i].name, name) == 0) return &golden_cases[i];
    ck_abort_msg("no golden case %s", name);
    return NULL;
}

START_TEST(micro_batches_are_one_batch)
{
    static const char *const names[] = {
        "clipped", "adam, weight decay, clipped", "adamw, weights only", "nadam",
        "lamb",    "clipped in all ways"};
    const struct golden_case *golden = golden_named(names[_i]);
    clg_optimizer_params params = golden->params;
    params.accumulate = CLG_ACCUMULATE_MEAN;
    fed f = fed_create(0);
    clg_minimized made;
    TEST_OK(clg_minimize(f.net.loss, &params, &made));
    clg_program *part = compiled(&f, CLG_ACCUMULATION, f.net.loss);
    clg_program *update = compiled(&f, CLG_UPDATE, made.gradient_norm);
    for (int i = 0; i < GOLDEN_STEPS; i++) {
        step_in_parts(&f, part, update);
        ck_assert_double_eq_tol(scalar_of(update, made.gradient_norm), golden->norm[i], 2e-5);
        if (i == 0) assert_parameters(f.net.graph, golden->first, golden->name);
    }
    assert_parameters(f.net.graph, golden->last, golden->name);
    ck_assert_uint_eq(clg_graph_steps(f.net.graph), GOLDEN_STEPS);
    clg_program_destroy(part);
    clg_program_destroy(update);
    network_destroy(&f.net);
}
END_TEST

/* The sum over two micro-batches of the whole batch is twice its gradient: sgd goes twice as far.
 */
START_TEST(sums_are_not_divided)
{
    const struct golden_case *golden = golden_named("sgd");
    fed f = fed_create(0);
    TEST_OK(clg_minimize(
        f.net.loss, clg_optimizer_options(.lr = 0.05, .accumulate = CLG_ACCUMULATE_SUM), NULL));
    clg_program *part = compiled(&f, CLG_ACCUMULATION, NULL);
    clg_program *update = compiled(&f, CLG_UPDATE, NULL);
    run_rows(&f, part, 0, 5);
    run_rows(&f, part, 0, 5);
    TEST_OK(clg_program_run(update));
    assert_parameters(f.net.graph, golden->first, "sum of two");
    clg_program_destroy(part);
    clg_program_destroy(update);
    network_destroy(&f.net);
}
END_TEST

/* Steps of whole batches on a graph that can accumulate, between steps in parts. */
START_TEST(whole_batches_may_come_between)
{
    const struct golden_case *golden = golden_named("adam");
    clg_optimizer_params params = golden->params;
    params.accumulate = CLG_ACCUMULATE_MEAN;
    fed f = fed_create(0);
    TEST_OK(clg_minimize(f.net.loss, &params, NULL));
    clg_program *part = compiled(&f, CLG_ACCUMULATION, NULL);
    clg_program *update = compiled(&f, CLG_UPDATE, NULL);
    clg_program *whole = compiled(&f, CLG_TRAINING, NULL);
    for (int i = 0; i < GOLDEN_STEPS; i++)
        if (i % 3)
            step_in_parts(&f, part, update);
        else
            run_rows(&f, whole, 0, 5);
    assert_parameters(f.net.graph, golden->last, "mixed");
    clg_program_destroy(part);
    clg_program_destroy(update);
    clg_program_destroy(whole);
    network_destroy(&f.net);
}
END_TEST

static size_t launches_of(clg_program *program)
{
    clg_program_stats stats;
    clg_program_query(program, &stats);
    clg_program_destroy(program);
    return stats.launches;
}

/* Training as usual costs nothing more; a part has an addition in the place of the optimizer. */
START_TEST(no_program_does_more_than_it_has_to)
{
    size_t training_launches[2], part = 0, update = 0;
    for (int i = 0; i < 2; i++) {
        fed f = fed_create(0);
        clg_optimizer_params params = {.kind = CLG_ADAM, .lr = 0.1};
        params.accumulate = i ? CLG_ACCUMULATE_MEAN : CLG_ACCUMULATE_NONE;
        TEST_OK(clg_minimize(f.net.loss, &params, NULL));
        training_launches[i] = launches_of(compiled(&f, CLG_TRAINING, NULL));
        if (i) part = launches_of(compiled(&f, CLG_ACCUMULATION, NULL));
        if (i) update = launches_of(compiled(&f, CLG_UPDATE, NULL));
        network_destroy(&f.net);
    }
    ck_assert_uint_eq(training_launches[0], training_launches[1]);
    ck_assert_uint_eq(part, training_launches[0] + 1); /* one more for the number of samples */
    ck_assert_uint_eq(update, 2);
}
END_TEST

/* Two steps in parts with dropout; with `stop`, saved and restored in the middle of the second. */
static void train_with_dropout(float *out, float *losses, const char *directory)
{
    for (int half = 0; half < 2; half++) {
        fed f = fed_create(0.5);
        TEST_OK(clg_minimize(f.net.loss,
                             clg_optimizer_options(.kind = CLG_ADAM, .lr = 0.1, .ema_decay = 0.5,
                                                   .accumulate = CLG_ACCUMULATE_MEAN),
                             NULL));
        clg_program *part = compiled(&f, CLG_ACCUMULATION, f.net.loss);
        clg_program *update = compiled(&f, CLG_UPDATE, NULL);
        if (half) TEST_OK(clg_graph_load(f.net.graph, directory, NULL, NULL));
        for (int i = half ? 5 : 0; i < 8; i++) {
            if (i == 5 && directory && !half) break;
            run_rows(&f, part, 0, 5);
            losses[i] = scalar_of(part, f.net.loss);
            if (i % 4 == 3) TEST_OK(clg_program_run(update));
        }
        if (directory && !half) TEST_OK(clg_graph_save(f.net.graph, directory, NULL));
        read_parameters(f.net.graph, out);
        clg_program_destroy(part);
        clg_program_destroy(update);
        network_destroy(&f.net);
        if (!directory) break;
    }
}

START_TEST(runs_repeat_and_resume_to_the_bit)
{
    float first[GOLDEN_PARAMETERS], second[GOLDEN_PARAMETERS], losses[2][8];
    const char *directory = scratch_path("accumulation");
    train_with_dropout(first, losses[0], NULL);
    train_with_dropout(second, losses[1], NULL);
    ck_assert_mem_eq(first, second, sizeof first);
    ck_assert_mem_eq(losses[0], losses[1], sizeof losses[0]);
    for (int i = 0; i < 4; i++) /* the same rows and weights: only dropout differs */
        for (int k = 0; k < i; k++) ck_assert_float_ne(losses[0][i], losses[0][k]);
    train_with_dropout(second, losses[1], directory);
    ck_assert_mem_eq(first, second, sizeof first);
    ck_assert_mem_eq(losses[0], losses[1], sizeof losses[0]);
}
END_TEST

START_TEST(mistakes_are_named)
{
    fed f = fed_create(0);
    clg_program *program = NULL;
    TEST_FAILS(clg_minimize(f.net.loss, clg_optimizer_options(.lr = 1, .accumulate = 3), NULL),
               CLG_ERROR_ARGUMENT, "unknown way to accumulate 3");
    TEST_FAILS(clg_minimize(f.net.loss, clg_optimizer_options(.lr = 1, .ema_decay = 1), NULL),
               CLG_ERROR_ARGUMENT, "ema_decay 1");
    TEST_FAILS(clg_minimize(f.net.loss, clg_optimizer_options(.lr = 1, .guard = f.x), NULL),
               CLG_ERROR_ARGUMENT, "guard");
    TEST_OK(clg_minimize(f.net.loss, clg_optimizer_options(.lr = 1), NULL));
    for (int i = 0; i < 2; i++)
        TEST_FAILS(
            clg_program_compile(&program, f.net.ctx, f.net.graph,
                                clg_program_options(.mode = i ? CLG_UPDATE : CLG_ACCUMULATION)),
            CLG_ERROR_ARGUMENT, "no optimizer that accumulates");
    network_destroy(&f.net);
    f = fed_create(0);
    TEST_OK(clg_minimize(f.net.loss,
                         clg_optimizer_options(.lr = 1, .accumulate = CLG_ACCUMULATE_MEAN), NULL));
    program = compiled(&f, CLG_UPDATE, NULL);
    TEST_FAILS(clg_program_run(program), CLG_ERROR_ARGUMENT, "no gradients were accumulated");
    clg_program_destroy(program);
    network_destroy(&f.net);
}
END_TEST

/* ---- averages ---- */

static const char *const variable_names[] = {"1.weight", "1.bias", "2.weight", "2.bias"};

static void read_averages(const clg_graph *g, float *out)
{
    for (size_t i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "ema.%s", variable_names[i]);
        const clg_tensor *v = clg_graph_find(g, name);
        int64_t count = clg_shape_count(clg_tensor_shape(v));
        TEST_OK(clg_variable_read(v, out, count));
        out += count;
    }
}

START_TEST(averages_follow_the_parameters)
{
    const double decay = 0.8;
    float p[GOLDEN_PARAMETERS], average[GOLDEN_PARAMETERS];
    double expected[GOLDEN_PARAMETERS];
    fed f = fed_create(0);
    TEST_OK(clg_minimize(f.net.loss,
                         clg_optimizer_options(.kind = CLG_ADAM, .lr = 0.1, .ema_decay = decay,
                                               .decay_weights_only = true),
                         NULL));
    clg_program *step = compiled(&f, CLG_TRAINING, NULL);
    clg_program *plain = compiled(&f, CLG_INFERENCE, f.net.loss);
    clg_program *averaged = compiled(&f, CLG_INFERENCE_AVERAGED, f.net.loss);
    read_averages(f.net.graph, average);
    ck_assert_mem_eq(average, golden_start, sizeof average);
    for (int i = 0; i < 5; i++) {
        run_rows(&f, step, 0, 5);
        read_parameters(f.net.graph, p);
        read_averages(f.net.graph, average);
        for (int k = 0; k < GOLDEN_PARAMETERS; k++) {
            expected[k] = i == 0 ? p[k] : decay * expected[k] + (1 - decay) * p[k];
            ck_assert_double_eq_tol(average[k], expected[k], 1e-6);
        }
    }
    /* what inference with averages computes is what it would compute with these parameters */
    run_rows(&f, averaged, 0, 5);
    set_parameters(f.net.graph, average);
    run_rows(&f, plain, 0, 5);
    ck_assert_float_eq(scalar_of(averaged, f.net.loss), scalar_of(plain, f.net.loss));
    clg_program_destroy(step);
    clg_program_destroy(plain);
    clg_program_destroy(averaged);
    network_destroy(&f.net);
}
END_TEST

/* A graph for evaluation takes the averages out of a checkpoint if asked to. */
START_TEST(averages_are_restored_in_the_place_of_parameters)
{
    const char *directory = scratch_path("averages");
    float p[GOLDEN_PARAMETERS], average[GOLDEN_PARAMETERS], restored[GOLDEN_PARAMETERS];
    fed f = fed_create(0);
    TEST_OK(clg_minimize(f.net.loss, clg_optimizer_options(.lr = 0.1, .ema_decay = 0.9), NULL));
    clg_program *step = compiled(&f, CLG_TRAINING, NULL);
    for (int i = 0; i < 3; i++) run_rows(&f, step, 0, 5);
    read_parameters(f.net.graph, p);
    read_averages(f.net.graph, average);
    TEST_OK(clg_graph_save(f.net.graph, directory, NULL));
    clg_program_destroy(step);
    network_destroy(&f.net);
    for (int i = 0; i < 2; i++) {
        f = fed_create(0);
        TEST_OK(clg_graph_load(f.net.graph, directory,
                               clg_graph_restore_options(.averaged = i == 1), NULL));
        read_parameters(f.net.graph, restored);
        ck_assert_mem_eq(restored, i ? average : p, sizeof restored);
        network_destroy(&f.net);
    }
    ck_assert_mem_ne(p, average, sizeof p);
}
END_TEST

/* ---- guards and norms ---- */

/* A batch with a NaN in it leaves parameters, moments and averages alone. */
START_TEST(a_guard_keeps_everything_as_it_was)
{
    float p[2][GOLDEN_PARAMETERS], average[2][GOLDEN_PARAMETERS], m[2][GOLDEN_PARAMETERS];
    float bad[15];
    memcpy(bad, golden_x, sizeof bad);
    bad[7] = NAN;
    fed f = fed_create(0);
    clg_tensor *finite = clg_less(clg_abs(f.net.loss), clg_scalar(f.net.graph, 1e30));
    TEST_OK(clg_minimize(f.net.loss,
                         clg_optimizer_options(.kind = CLG_NADAM, .lr = 0.1, .ema_decay = 0.9,
                                               .guard = _i ? NULL : finite, .skip_nonfinite = _i,
                                               .accumulate = CLG_ACCUMULATE_MEAN),
                         NULL));
    clg_program *step = compiled(&f, CLG_TRAINING, f.net.loss);
    clg_program *part = compiled(&f, CLG_ACCUMULATION, NULL);
    clg_program *update = compiled(&f, CLG_UPDATE, NULL);
    const clg_tensor *moment = clg_graph_find(f.net.graph, "optimizer.m");
    run_rows(&f, step, 0, 5);
    for (int i = 0; i < 2; i++) {
        read_parameters(f.net.graph, p[i]);
        read_averages(f.net.graph, average[i]);
        TEST_OK(clg_variable_read(moment, m[i], GOLDEN_PARAMETERS));
        if (i) break;
        TEST_OK(clg_program_feed(step, f.x, bad, sizeof bad));
        TEST_OK(clg_program_run(step));
        ck_assert(isnan(scalar_of(step, f.net.loss)));
    }
    ck_assert_mem_eq(p[0], p[1], sizeof p[0]);
    ck_assert_mem_eq(average[0], average[1], sizeof average[0]);
    ck_assert_mem_eq(m[0], m[1], sizeof m[0]);
    run_rows(&f, part, 0, 2); /* a bad part in the middle is left out */
    TEST_OK(clg_program_feed(part, f.x, bad + 6, 6 * sizeof *bad));
    TEST_OK(clg_program_run(part));
    run_rows(&f, part, 4, 1);
    float samples;
    TEST_OK(clg_variable_read(clg_graph_find(f.net.graph, "optimizer.samples"), &samples, 1));
    ck_assert_float_eq(samples, 3);
    TEST_OK(clg_program_run(update));
    read_parameters(f.net.graph, p[1]);
    for (int k = 0; k < GOLDEN_PARAMETERS; k++) ck_assert(isfinite(p[1][k]) && p[0][k] != p[1][k]);
    clg_program_destroy(step);
    clg_program_destroy(part);
    clg_program_destroy(update);
    network_destroy(&f.net);
}
END_TEST

/* sgd with lr 0.1: the norm of an update is a tenth of the gradient's. */
START_TEST(norms_of_each_variable_can_be_watched)
{
    fed f = fed_create(0);
    clg_minimized made;
    TEST_OK(clg_minimize(f.net.loss,
                         clg_optimizer_options(.lr = 0.1, .monitor = true, .clip_norm = 100,
                                               .decay_weights_only = true),
                         &made));
    ck_assert_uint_eq(made.n_variables, 4);
    static const int order[] = {0, 2, 1, 3}; /* weights first, then what is spared the decay */
    float p[GOLDEN_PARAMETERS], norms[3][4], total;
    clg_tensor *outputs[] = {made.gradient_norms, made.weight_norms, made.update_norms,
                             made.gradient_norm};
    clg_program *step = NULL;
    TEST_OK(clg_program_compile(
        &step, f.net.ctx, f.net.graph,
        clg_program_options(.outputs = outputs, .n_outputs = 4, .mode = CLG_TRAINING)));
    run_rows(&f, step, 0, 5);
    double squares = 0;
    for (int i = 0; i < 3; i++)
        TEST_OK(clg_program_read(step, outputs[i], norms[i], sizeof norms[i]));
    TEST_OK(clg_program_read(step, made.gradient_norm, &total, sizeof total));
    read_parameters(f.net.graph, p);
    for (int v = 0; v < 4; v++) {
        static const size_t first[] = {0, 12, 16, 24}, count[] = {12, 4, 8, 2};
        double weight = 0, change = 0;
        const int variable = order[v];
        ck_assert_str_eq(clg_tensor_name(made.variables[v]), variable_names[variable]);
        for (size_t i = first[variable]; i < first[variable] + count[variable]; i++) {
            weight += (double)golden_start[i] * golden_start[i];
            change += ((double)p[i] - golden_start[i]) * ((double)p[i] - golden_start[i]);
        }
        squares += norms[0][v] * norms[0][v];
        ck_assert_double_eq_tol(norms[1][v], sqrt(weight), 1e-6);
        ck_assert_double_eq_tol(norms[2][v], sqrt(change), 1e-6);
        ck_assert_double_eq_tol(norms[2][v], 0.1 * norms[0][v], 1e-6);
    }
    ck_assert_double_eq_tol(sqrt(squares), total, 1e-5);
    ck_assert_double_eq_tol(total, golden_cases[0].norm[0], 1e-5);
    clg_program_destroy(step);
    network_destroy(&f.net);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("accumulation");
    TCase *accumulation = testing_case(suite, "accumulation");
    tcase_set_timeout(accumulation, 300);
    tcase_add_test(accumulation, mistakes_are_named);
    tcase_add_loop_test(accumulation, micro_batches_are_one_batch, 0, 6);
    tcase_add_test(accumulation, sums_are_not_divided);
    tcase_add_test(accumulation, whole_batches_may_come_between);
    tcase_add_test(accumulation, no_program_does_more_than_it_has_to);

    TCase *averages = scratch_case(suite, "averages");
    tcase_set_timeout(averages, 300);
    tcase_add_test(averages, runs_repeat_and_resume_to_the_bit);
    tcase_add_test(averages, averages_follow_the_parameters);
    tcase_add_test(averages, averages_are_restored_in_the_place_of_parameters);
    TCase *watching = testing_case(suite, "watching");
    tcase_set_timeout(watching, 300);
    tcase_add_loop_test(watching, a_guard_keeps_everything_as_it_was, 0, 2);
    tcase_add_test(watching, norms_of_each_variable_can_be_watched);
    return testing_run(suite);
}
