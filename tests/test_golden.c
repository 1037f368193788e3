/*
 * What PyTorch computes (tests/golden): operations with all their gradients, learning rate
 * schedules; optimizers are in test_optimizer.c. And that nothing is left out: a row of the
 * table of operations and compositions or a schedule without a case fails here, unless
 * golden/operations.c says why it has none.
 */
#include <math.h>

#include "golden/golden.h"

enum { GROUP = 32 }; /* cases in one program: most of the time goes into compiling */

/* ---- numbers ---- */

/* The generator of golden/cases.py. */
static void uniform(float *out, int64_t count, double low, double high, uint64_t stream)
{
    uint64_t state = stream * 0x9E3779B97F4A7C15u + 0x1234567;
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[i] = (float)(low + (high - low) * ((double)(state >> 33) / 2147483648.0));
    }
}

static double number_of(const json_t *object, const char *key, double otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* ---- operations ---- */

typedef struct running_case {
    const json_t *golden;
    uint64_t stream;
    int n_inputs;
    clg_tensor *x[GOLDEN_MAX_INPUTS], *dx[GOLDEN_MAX_INPUTS], *y, *weights;
} running_case;

static const json_t *input_of(const running_case *c, int i)
{
    return json_array_get(json_object_get(c->golden, "inputs"), (size_t)i);
}

static bool is_index(const json_t *input)
{
    return json_object_get(input, "classes") != NULL;
}

static bool has_gradient(const running_case *c, int i)
{
    return !json_is_true(json_object_get(c->golden, "value_only")) && !is_index(input_of(c, i)) &&
           !json_is_false(json_object_get(input_of(c, i), "gradient"));
}

static clg_shape shape_of(const json_t *input)
{
    const json_t *list = json_object_get(input, "shape");
    clg_shape shape = {.ndim = (int)json_array_size(list)};
    for (int i = 0; i < shape.ndim; i++)
        shape.dim[i] = json_integer_value(json_array_get(list, (size_t)i));
    return shape;
}

/* The numbers of an input; free them. */
static float *numbers_of(const running_case *c, int i)
{
    const json_t *input = input_of(c, i), *values = json_object_get(input, "values");
    clg_shape shape = shape_of(input);
    int64_t count = clg_shape_count(&shape);
    float *data = malloc((size_t)count * sizeof *data);
    double low = number_of(input, "low", 0);
    double high = number_of(input, is_index(input) ? "classes" : "high", 0);
    uniform(data, count, low, high, c->stream + (uint64_t)i);
    for (int64_t k = 0; k < count; k++) {
        if (values) data[k] = (float)json_number_value(json_array_get(values, (size_t)k));
        if (is_index(input)) data[k] = (float)fmin(floor(data[k]), high - 1);
    }
    return data;
}

static clg_tensor *record_input(const running_case *c, clg_graph *g, int i, int number)
{
    const json_t *input = input_of(c, i);
    char name[32];
    snprintf(name, sizeof name, "x%d of %d", i, number);
    if (!json_is_true(json_object_get(input, "variable")))
        return clg_input(g, name, is_index(input) ? CLG_I32 : CLG_F32, shape_of(input));
    clg_tensor *v = clg_variable(g, name, shape_of(input), (clg_init){0}, false);
    float *data = numbers_of(c, i);
    clg_shape shape = shape_of(input);
    TEST_OK(clg_variable_write(v, data, clg_shape_count(&shape)));
    free(data);
    return v;
}

static const clg__op *pointwise_row(const char *op)
{
    for (size_t i = 0; i < clg__pointwise_count; i++)
        if (strcmp(clg__pointwise_rows[i].name, op) == 0) return &clg__pointwise_rows[i];
    return NULL;
}

static clg_tensor *build_operation(const running_case *c)
{
    const char *op = golden_text(c->golden, "op");
    for (const golden_builder *b = golden_builders; b->op; b++)
        if (strcmp(b->op, op) == 0) return b->build(c->golden, c->x);
    const clg__op *row = pointwise_row(op);
    ck_assert_msg(row != NULL, "%s is neither in golden_builders nor pointwise", op);
    return clg__pointwise_build(row, c->x, golden_number(c->golden, "a", 0, 0),
                                golden_number(c->golden, "b", 0, 0));
}

/* Gradients of sum(weights y) with respect to the inputs that have them. */
static void build_gradients(running_case *c)
{
    clg_tensor *wrt[GOLDEN_MAX_INPUTS], *dx[GOLDEN_MAX_INPUTS];
    size_t n = 0;
    for (int i = 0; i < c->n_inputs; i++)
        if (has_gradient(c, i)) wrt[n++] = c->x[i];
    if (n > 0) TEST_OK(clg_vjp(c->y, c->weights, wrt, n, dx));
    for (int i = 0, k = 0; i < c->n_inputs; i++)
        if (has_gradient(c, i)) c->dx[i] = dx[k++];
}

static running_case build(const json_t *golden, clg_graph *g, int number)
{
    running_case c = {.golden = golden, .stream = (uint64_t)number_of(golden, "stream", 0)};
    c.n_inputs = (int)json_array_size(json_object_get(golden, "inputs"));
    ck_assert_int_le(c.n_inputs, GOLDEN_MAX_INPUTS);
    for (int i = 0; i < c.n_inputs; i++) c.x[i] = record_input(&c, g, i, number);
    c.y = build_operation(&c);
    ck_assert_msg(c.y != NULL, "%s: %s", golden_text(golden, "name"), clg_last_error());
    char name[32];
    snprintf(name, sizeof name, "weights of %d", number);
    c.weights = clg_input(g, name, CLG_F32, c.y->shape);
    build_gradients(&c);
    return c;
}

static void feed(clg_program *program, clg_tensor *input, const float *data)
{
    int64_t count = clg_shape_count(&input->shape);
    int32_t *integers = malloc((size_t)count * sizeof *integers);
    for (int64_t i = 0; i < count; i++) integers[i] = (int32_t)data[i];
    TEST_OK(clg_program_feed(program, input, input->dtype == CLG_I32 ? (void *)integers : data,
                             (size_t)count * 4));
    free(integers);
}

static void feed_case(const running_case *c, clg_program *program)
{
    for (int i = 0; i < c->n_inputs; i++) {
        if (clg_tensor_is_variable(c->x[i])) continue;
        float *data = numbers_of(c, i);
        feed(program, c->x[i], data);
        free(data);
    }
    int64_t count = clg_shape_count(&c->y->shape);
    float *weights = malloc((size_t)count * sizeof *weights);
    uniform(weights, count, -1, 1, c->stream + 15);
    feed(program, c->weights, weights);
    free(weights);
}

/* tolerance of values (0) and gradients (1) */
static double tolerance_of(const json_t *golden, size_t which)
{
    const json_t *own = json_array_get(json_object_get(golden, "tolerance"), which);
    return own ? json_number_value(own) : which ? 1e-4 : 1e-5;
}

static void compare(const golden_group *group, const running_case *c, clg_program *program,
                    const clg_tensor *t, const char *part)
{
    int64_t count = clg_shape_count(&t->shape);
    float *got = malloc((size_t)count * sizeof *got);
    if (program)
        TEST_OK(clg_program_read(program, t, got, (size_t)count * sizeof *got));
    else
        TEST_OK(clg_variable_read(t, got, count));
    golden_compare(c->golden, part, got, golden_result(group, c->golden, part, count), count,
                   tolerance_of(c->golden, part[0] == 'd'));
    free(got);
}

/* y, the gradients, and what variables became. */
static void compare_case(const golden_group *group, const running_case *c, clg_program *program)
{
    char part[16];
    compare(group, c, program, c->y, "y");
    for (int i = 0; i < c->n_inputs; i++) {
        snprintf(part, sizeof part, "d%d", i);
        if (c->dx[i]) compare(group, c, program, c->dx[i], part);
        snprintf(part, sizeof part, "after%d", i);
        if (golden_optional(group, c->golden, part, clg_shape_count(&c->x[i]->shape)))
            compare(group, c, NULL, c->x[i], part);
    }
}

static clg_program *compile(clg_context *ctx, clg_graph *g, const running_case *cases, int n,
                            clg_program_mode mode)
{
    clg_tensor *outputs[GROUP * (1 + GOLDEN_MAX_INPUTS)];
    size_t count = 0;
    for (int k = 0; k < n; k++) {
        outputs[count++] = cases[k].y;
        for (int i = 0; i < cases[k].n_inputs; i++)
            if (cases[k].dx[i]) outputs[count++] = cases[k].dx[i];
    }
    clg_program *program = NULL;
    TEST_OK(clg_program_compile(
        &program, ctx, g,
        clg_program_options(.outputs = outputs, .n_outputs = count, .mode = mode)));
    return program;
}

static bool is_training(const json_t *golden)
{
    const char *mode = json_string_value(json_object_get(golden, "mode"));
    return mode && strcmp(mode, "training") == 0;
}

/* Those of the cases that run in one mode, as one program. */
static void run_cases(const golden_group *group, size_t first, size_t end, bool training)
{
    running_case cases[GROUP];
    int n = 0;
    clg_graph *g = clg_graph_create(NULL);
    for (size_t i = first; i < end; i++)
        if (is_training(golden_at(group, i)) == training)
            cases[n] = build(golden_at(group, i), g, n), n++;
    clg_context *ctx = n > 0 ? testing_shared_context() : NULL;
    clg_program *program = NULL;
    if (n > 0) program = compile(ctx, g, cases, n, training ? CLG_TRAINING : CLG_INFERENCE);
    for (int i = 0; i < n; i++) feed_case(&cases[i], program);
    if (n > 0) TEST_OK(clg_program_run(program));
    for (int i = 0; i < n; i++) compare_case(group, &cases[i], program);
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}

START_TEST(operations_are_those_of_torch)
{
    golden_group group = golden_open("operations");
    size_t first = (size_t)_i * GROUP, count = json_array_size(group.cases);
    size_t end = first + GROUP < count ? first + GROUP : count;
    run_cases(&group, first, end, false);
    run_cases(&group, first, end, true);
    golden_close(&group);
    golden_verdict();
}
END_TEST

/* ---- schedules ---- */

enum { RATES = 50 };

/* Options of a case are fields of clg_schedule or clg_plateau, by name. */
typedef struct field {
    const char *name;
    size_t offset;
    enum { REAL, COUNT, INT, FLAG } type;
} field;

#define SCHEDULE(name, type)                                                                       \
    {                                                                                              \
#name, offsetof(clg_schedule, name), type                                                  \
    }
static const field schedule_fields[] = {
    SCHEDULE(lr, REAL),     SCHEDULE(lr_min, REAL),        SCHEDULE(warmup, COUNT),
    SCHEDULE(total, COUNT), SCHEDULE(every, COUNT),        SCHEDULE(milestones, COUNT),
    SCHEDULE(gamma, REAL),  SCHEDULE(power, REAL),         SCHEDULE(growth, COUNT),
    SCHEDULE(up, REAL),     SCHEDULE(start_divisor, REAL), SCHEDULE(end_divisor, REAL),
    {NULL, 0, REAL}};

#define PLATEAU(name, type)                                                                        \
    {                                                                                              \
#name, offsetof(clg_plateau, name), type                                                   \
    }
static const field plateau_fields[] = {PLATEAU(factor, REAL),   PLATEAU(threshold, REAL),
                                       PLATEAU(absolute, FLAG), PLATEAU(maximize, FLAG),
                                       PLATEAU(patience, INT),  PLATEAU(cooldown, INT),
                                       {NULL, 0, REAL}};

static void set_field(void *at, int type, const json_t *value)
{
    if (type == REAL) *(double *)at = json_number_value(value);
    if (type == INT) *(int *)at = (int)json_integer_value(value);
    if (type == FLAG) *(bool *)at = json_is_true(value);
    if (type == COUNT) *(uint64_t *)at = (uint64_t)json_integer_value(value);
    for (size_t k = 0; k < json_array_size(value); k++)
        ((uint64_t *)at)[k] = (uint64_t)json_integer_value(json_array_get(value, k));
}

static void set_options(void *out, const field *fields, json_t *options)
{
    const char *key;
    json_t *value;
    json_object_foreach(options, key, value)
    {
        const field *f = fields;
        while (f->name && strcmp(f->name, key) != 0) f++;
        ck_assert_msg(f->name, "\"%s\" is not in the fields of this test", key);
        set_field((char *)out + f->offset, f->type, value);
    }
}

/* What a case's schedule says after 0 .. RATES - 1 steps. */
static void schedule_rates(const json_t *golden, float *rates)
{
    clg_schedule schedule = {0};
    ck_assert(clg_schedule_find(golden_text(golden, "schedule"), &schedule.kind));
    set_options(&schedule, schedule_fields, json_object_get(golden, "options"));
    for (uint64_t step = 0; step < RATES; step++)
        rates[step] = (float)clg_schedule_lr(&schedule, step);
}

/* After each of RATES measures; between two of them the state is saved and read back. */
static void plateau_rates(const json_t *golden, float *rates)
{
    clg_plateau plateau = {0}, other;
    char text[128];
    set_options(&plateau, plateau_fields, json_object_get(golden, "options"));
    const json_t *measures = json_object_get(golden, "measures");
    ck_assert_uint_eq(json_array_size(measures), RATES);
    for (size_t i = 0; i < RATES; i++) {
        other = plateau;
        other.scale = other.best = NAN;
        other.measures = other.bad = other.cooling = 99;
        TEST_OK(clg_plateau_parse(&other, clg_plateau_text(&plateau, text, sizeof text)));
        plateau = other;
        rates[i] =
            (float)clg_plateau_update(&plateau, json_number_value(json_array_get(measures, i)));
    }
}

START_TEST(schedules_are_those_of_torch)
{
    golden_group group = golden_open("schedules");
    const json_t *golden = golden_at(&group, (size_t)_i);
    float rates[RATES];
    bool plateau = strcmp(golden_text(golden, "schedule"), "plateau") == 0;
    (plateau ? plateau_rates : schedule_rates)(golden, rates);
    golden_compare(golden, "rates", rates, golden_result(&group, golden, NULL, RATES), RATES, 1e-6);
    golden_close(&group);
    golden_verdict();
}
END_TEST

/* ---- nothing is left out ---- */

/* The first case whose `key` is `value`; NULL if there is none. */
static const json_t *find_case(const golden_group *group, const char *key, const char *value)
{
    for (size_t i = 0; i < json_array_size(group->cases); i++)
        if (strcmp(golden_text(golden_at(group, i), key), value) == 0) return golden_at(group, i);
    return NULL;
}

static const golden_exemption *find_exemption(const char *op)
{
    for (const golden_exemption *e = golden_exemptions; e->op; e++)
        if (strcmp(e->op, op) == 0) return e;
    return NULL;
}

/* Layers are builders with variables of their own, whose initial values are not PyTorch's. */
static bool covered(const golden_group *operations, const clg_op_info *info)
{
    return find_case(operations, "op", info->name) || find_exemption(info->name) ||
           strcmp(info->kind, "layer") == 0;
}

START_TEST(every_row_of_the_table_has_a_case)
{
    golden_group operations = golden_open("operations");
    char missing[2048] = "";
    clg_op_info info;
    for (size_t i = 0; clg_op_query(i, &info); i++) {
        size_t used = strlen(missing);
        if (!covered(&operations, &info))
            snprintf(missing + used, sizeof missing - used, " %s", info.name);
    }
    golden_close(&operations);
    ck_assert_msg(!*missing,
                  "without a golden case:%s. Add them to tests/golden/cases_*.py, or their reasons "
                  "to golden_exemptions in tests/golden/operations.c",
                  missing);
}
END_TEST

START_TEST(every_schedule_has_a_case)
{
    golden_group schedules = golden_open("schedules");
    for (int i = 0; i < CLG_SCHEDULE_COUNT; i++) {
        const char *name = clg_schedule_name((clg_schedule_kind)i);
        ck_assert_msg(find_case(&schedules, "schedule", name), "%s has no golden case", name);
    }
    golden_close(&schedules);
}
END_TEST

static bool contains(const clg_graph *g, const char *op)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        if (strcmp(g->nodes[i]->op->name, op) == 0) return true;
    return false;
}

/* What is said to be checked as a part of another operation is a part of one of its cases. */
static void assert_part(const golden_group *operations, const golden_exemption *e)
{
    bool found = false;
    for (size_t i = 0; i < json_array_size(operations->cases) && !found; i++) {
        if (strcmp(golden_text(golden_at(operations, i), "op"), e->through) != 0) continue;
        clg_graph *g = clg_graph_create(NULL);
        build(golden_at(operations, i), g, 0);
        found = contains(g, e->op);
        clg_graph_destroy(g);
    }
    ck_assert_msg(found, "no golden case of %s contains %s", e->through, e->op);
}

START_TEST(exemptions_are_true)
{
    golden_group operations = golden_open("operations");
    for (const golden_exemption *e = golden_exemptions; e->op; e++) {
        ck_assert_msg(!find_case(&operations, "op", e->op), "%s has a golden case after all",
                      e->op);
        ck_assert_msg(e->reason && *e->reason, "%s is exempt without a reason", e->op);
        if (e->through) assert_part(&operations, e);
    }
    golden_close(&operations);
}
END_TEST

/* A looser tolerance needs a reason, and results that no case names are left over. */
START_TEST(files_are_complete)
{
    golden_group operations = golden_open("operations");
    size_t results = 0;
    for (size_t i = 0; i < json_array_size(operations.cases); i++) {
        const json_t *golden = golden_at(&operations, i);
        if (json_object_get(golden, "tolerance")) ck_assert(*golden_text(golden, "why"));
        clg_graph *g = clg_graph_create(NULL);
        running_case c = build(golden, g, 0);
        results++;
        for (int k = 0; k < c.n_inputs; k++) {
            char part[16];
            snprintf(part, sizeof part, "after%d", k);
            int64_t count = clg_shape_count(&c.x[k]->shape);
            results += (c.dx[k] != NULL) + !!golden_optional(&operations, golden, part, count);
        }
        clg_graph_destroy(g);
    }
    ck_assert_uint_eq(results, clg_safetensors_count(operations.results));
    golden_close(&operations);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden");
    TCase *operations = testing_case(suite, "operations");
    int groups = (golden_count("operations") + GROUP - 1) / GROUP;
    tcase_add_loop_test(operations, operations_are_those_of_torch, 0, groups);
    TCase *schedules = testing_case(suite, "schedules");
    tcase_add_loop_test(schedules, schedules_are_those_of_torch, 0, golden_count("schedules"));
    TCase *coverage = testing_case(suite, "coverage");
    tcase_add_test(coverage, every_row_of_the_table_has_a_case);
    tcase_add_test(coverage, every_schedule_has_a_case);
    tcase_add_test(coverage, exemptions_are_true);
    tcase_add_test(coverage, files_are_complete);
    return testing_run(suite);
}
