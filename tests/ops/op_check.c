/*
 * The harness of the operation tests: see op_check.h.
 *
 * One program computes y, its tangent along v, the gradients G_i of sum(c y), and the gradients H_i
 * of sum(v_i G_i), with random weights c and v as inputs. The reference is only asked for y:
 * everything else is differences of L(x) = sum(c ref(x)) in double precision. Differences cost two
 * to four evaluations of the reference for each element, so that of large inputs only some are
 * looked at.
 */
#include "op_check.h"

#include <math.h>

#include "testing_context.h"

enum {
    SAMPLES = 24, /* elements of each input whose derivatives are checked */
    GROUP = 32    /* cases in one program */
};

typedef struct check {
    const op_case *c;
    clg_graph *g;
    clg_program *program;
    clg_tensor *x[OP_MAX_INPUTS], *v[OP_MAX_INPUTS], *weights, *y;
    clg_tensor *first[OP_MAX_INPUTS], *second[OP_MAX_INPUTS], *tangent;
    int64_t batch, graph_batch;
    clg_shape in[OP_MAX_INPUTS], out; /* at `batch` */
    double *x_data[OP_MAX_INPUTS], *v_data[OP_MAX_INPUTS], *weight_data, *scratch;
} check;

/* ---- coverage of the table ---- */

enum { MAX_ROWS = 512, MAX_FILES = 64 };

static const char *files[MAX_FILES];
static bool covered[MAX_ROWS][MAX_FILES];
static int differentiated[MAX_ROWS][MAX_FILES]; /* times */

/* Number of a file, by its path below tests/. */
static int file_index(const char *path)
{
    const char *name = path;
    for (const char *at = path; (at = strstr(at, "tests/")); at++) name = at + strlen("tests/");
    for (int i = 0; i < MAX_FILES; i++) {
        if (!files[i]) files[i] = name;
        if (strcmp(files[i], name) == 0) return i;
    }
    ck_abort_msg("more than %d files of cases", MAX_FILES);
}

/* Calls `visit` for the rows of t: of its operation, and of the composition that it ends. */
static void visit_rows(const clg_tensor *t, int file, void (*visit)(int row, int file, int times),
                       int times)
{
    clg_op_info info;
    for (int row = 0; clg_op_query((size_t)row, &info); row++) {
        ck_assert_int_lt(row, MAX_ROWS);
        if (strcmp(info.name, clg_tensor_op(t)) == 0 ||
            strcmp(info.name, clg_tensor_composition(t)) == 0)
            visit(row, file, times);
    }
}

static void mark_covered(int row, int file, int times)
{
    covered[row][file] = true;
}

static void mark_differentiated(int row, int file, int times)
{
    if (differentiated[row][file] < times) differentiated[row][file] = times;
}

static void cover(const clg_tensor *t, int file, bool *seen)
{
    if (seen[t->id]) return;
    seen[t->id] = true;
    visit_rows(t, file, mark_covered, 0);
    for (int i = 0; i < t->n_inputs; i++) cover(t->inputs[i], file, seen);
}

static void mark_all(const clg_tensor *t, int file, int times, bool *seen)
{
    if (seen[t->id]) return;
    seen[t->id] = true;
    visit_rows(t, file, mark_differentiated, times);
    for (int i = 0; i < t->n_inputs; i++) mark_all(t->inputs[i], file, times, seen);
}

void op_check_differentiated_of(const char *file, clg_tensor *y, int times)
{
    bool *seen = calloc(y->graph->n_nodes, sizeof *seen);
    mark_all(y, file_index(file), times, seen);
    free(seen);
}

/* "" or what is wrong with the claims of a row. */
static const char *complaint(int row, const clg_op_info *info)
{
    int file = file_index(info->tests), times = info->has_second ? 2 : info->has_gradient ? 1 : 0;
    if (!covered[row][file]) return "is in no checked program of";
    return differentiated[row][file] < times ? "is not differentiated often enough by" : "";
}

const char *op_check_uncovered(void)
{
    static char text[8192];
    size_t length = 0;
    clg_op_info info;
    text[0] = 0;
    for (int row = 0; clg_op_query((size_t)row, &info); row++) {
        const char *problem = complaint(row, &info);
        if (*problem && length < sizeof text)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s %s %s\n", info.name,
                                       problem, info.tests);
    }
    return text;
}

bool op_check_reaches(const clg_tensor *from, const clg_tensor *to)
{
    bool *seen = calloc((size_t)from->id + 1, sizeof *seen);
    seen[from->id] = true;
    for (int id = from->id; id >= 0; id--)
        for (int i = 0; seen[id] && i < from->graph->nodes[id]->n_inputs; i++)
            seen[from->graph->nodes[id]->inputs[i]->id] = true;
    bool found = to->id <= from->id && seen[to->id];
    free(seen);
    return found;
}

/* ---- small services ---- */

clg_context *op_check_context(void)
{
    return testing_shared_context();
}

static clg_program *compile_up_to(const char *file, clg_context *ctx, clg_graph *g,
                                  clg_tensor *const *outputs, size_t n, clg_program_mode mode,
                                  int64_t batch)
{
    clg_program *program = NULL;
    TEST_OK(clg_program_compile(
        &program, ctx, g,
        clg_program_options(.outputs = outputs, .n_outputs = n, .mode = mode, .batch = batch)));
    bool *seen = calloc(g->n_nodes, sizeof *seen);
    for (size_t i = 0; i < n; i++) cover(outputs[i], file_index(file), seen);
    free(seen);
    return program;
}

clg_program *op_check_compile_of(const char *file, clg_context *ctx, clg_graph *g,
                                 clg_tensor *const *outputs, size_t n, clg_program_mode mode)
{
    return compile_up_to(file, ctx, g, outputs, n, mode, 0);
}

void op_check_feed(clg_program *program, clg_tensor *input, const float *data, int64_t count)
{
    TEST_OK(clg_program_feed(program, input, data, (size_t)count * sizeof *data));
}

void op_check_read(clg_program *program, const clg_tensor *output, float *data, int64_t count)
{
    TEST_OK(clg_program_read(program, output, data, (size_t)count * sizeof *data));
}

void op_check_random(double *out, int64_t count, double lo, double hi, uint64_t stream)
{
    uint64_t state = stream * 0x9E3779B97F4A7C15u + 0x1234567;
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double u = (double)(state >> 33) / 2147483648.0;
        out[i] = (float)(lo + (hi - lo) * u);
    }
}

void op_check_close(const char *name, const char *what, const float *got, const double *want,
                    int64_t count, double tolerance)
{
    double largest = 1;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(want[i]) && fabs(want[i]) > largest) largest = fabs(want[i]);
    for (int64_t i = 0; i < count; i++) {
        bool same = isfinite(want[i]) ? fabs(got[i] - want[i]) <= tolerance * largest
                    : isnan(want[i])  ? (bool)isnan(got[i])
                                      : got[i] == want[i];
        ck_assert_msg(same,
                      "%s: %s: element %lld of %lld is %.9g, expected %.9g (largest element %.4g, "
                      "tolerance %.2g)",
                      name, what, (long long)i, (long long)count, (double)got[i], want[i], largest,
                      tolerance);
    }
}

void op_check_coordinates(const clg_shape *shape, int64_t index, int64_t *at)
{
    for (int i = shape->ndim - 1; i >= 0; i--) {
        at[i] = index % shape->dim[i];
        index /= shape->dim[i];
    }
}

int64_t op_check_index(const clg_shape *shape, const int64_t *at)
{
    int64_t index = 0;
    for (int i = 0; i < shape->ndim; i++) index = index * shape->dim[i] + at[i];
    return index;
}

/* ---- building the program of a case ---- */

static int64_t largest_batch(const op_case *c)
{
    int64_t largest = 1;
    for (int i = 0; i < OP_MAX_BATCHES; i++) largest = clg__max_i64(largest, c->batch[i]);
    return largest;
}

/* G: gradients of sum(weights y); H: gradients of sum over i of sum(v_i G_i). */
static void build_gradients(check *k)
{
    const op_case *c = k->c;
    clg_tensor *wrt[OP_MAX_INPUTS], *more[OP_MAX_INPUTS];
    for (int i = 0; i < c->n_inputs; i++) wrt[i] = k->x[i];
    TEST_OK(clg_vjp(k->y, k->weights, wrt, (size_t)c->n_inputs, k->first));
    for (int i = 0; i < c->n_inputs && !c->first_only; i++) {
        if (c->constants >> i & 1) continue;
        TEST_OK(clg_vjp(k->first[i], k->v[i], wrt, (size_t)c->n_inputs, more));
        for (int j = 0; j < c->n_inputs; j++)
            k->second[j] = k->second[j] ? clg_add(k->second[j], more[j]) : more[j];
    }
}

/* Forward mode; nothing of the reverse sweep that it is made of may be left in it. */
static void build_tangent(check *k)
{
    clg_tensor *wrt[OP_MAX_INPUTS], *along[OP_MAX_INPUTS];
    size_t n = 0, before = k->g->n_nodes;
    for (int i = 0; i < k->c->n_inputs; i++) {
        if (k->c->constants >> i & 1) continue;
        wrt[n] = k->x[i];
        along[n++] = k->v[i];
    }
    if (n == 0) return;
    TEST_OK(clg_jvp(k->y, wrt, along, n, &k->tangent));
    const clg_tensor *stand_in = k->g->nodes[before]; /* its first node */
    ck_assert_msg(!op_check_reaches(k->tangent, stand_in),
                  "%s: its gradient is not linear in g: the tangent depends on what should have "
                  "vanished from it",
                  k->c->name);
}

static void build(check *k, clg_graph *g, const op_case *c, int number)
{
    *k = (check){.c = c, .g = g, .graph_batch = g->batch};
    char name[32];
    for (int i = 0; i < c->n_inputs; i++) {
        snprintf(name, sizeof name, "x%d of %d", i, number);
        k->x[i] = clg_input(g, name, CLG_F32, c->shape[i]);
        snprintf(name, sizeof name, "v%d of %d", i, number);
        k->v[i] = clg_input(g, name, CLG_F32, c->shape[i]);
    }
    k->y = c->build(c, k->x);
    ck_assert_msg(k->y != NULL, "%s: %s", c->name, clg_last_error());
    snprintf(name, sizeof name, "weights of %d", number);
    k->weights = clg_input(g, name, CLG_F32, k->y->shape);
    if (c->value_only) return;
    build_gradients(k);
    build_tangent(k);
}

/* What a case is to compute; returns their number. */
static size_t list_outputs(const check *k, clg_tensor **outputs)
{
    size_t n = 0;
    outputs[n++] = k->y;
    if (k->tangent) outputs[n++] = k->tangent;
    for (int i = 0; i < k->c->n_inputs; i++) {
        if (k->c->constants >> i & 1) continue;
        if (k->first[i]) outputs[n++] = k->first[i];
        if (k->second[i]) outputs[n++] = k->second[i];
    }
    return n;
}

/* ---- data ---- */

static void feed(check *k, clg_tensor *input, const double *data, int64_t count)
{
    float *narrow = malloc((size_t)count * sizeof *narrow);
    for (int64_t i = 0; i < count; i++) narrow[i] = (float)data[i];
    op_check_feed(k->program, input, narrow, count);
    free(narrow);
}

static double *draw(check *k, clg_tensor *input, const clg_shape *shape, double lo, double hi,
                    uint64_t stream)
{
    int64_t count = clg_shape_count(shape);
    double *data = malloc((size_t)count * sizeof *data);
    op_check_random(data, count, lo, hi, stream);
    feed(k, input, data, count);
    return data;
}

static void prepare(check *k, int64_t batch)
{
    const op_case *c = k->c;
    double lo = c->lo, hi = c->hi;
    if (lo == 0 && hi == 0) lo = -2, hi = 2;
    k->batch = batch;
    TEST_OK(clg_program_set_batch(k->program, batch));
    for (int i = 0; i < c->n_inputs; i++) {
        k->in[i] = clg__shape_at_batch(&k->x[i]->shape, k->graph_batch, batch);
        k->x_data[i] = draw(k, k->x[i], &k->in[i], lo, hi, (uint64_t)(2 * i + 1));
        k->v_data[i] = draw(k, k->v[i], &k->in[i], -1, 1, (uint64_t)(2 * i + 2));
    }
    k->out = clg__shape_at_batch(&k->y->shape, k->graph_batch, batch);
    k->weight_data = draw(k, k->weights, &k->out, -1, 1, 99);
    k->scratch = malloc((size_t)clg_shape_count(&k->out) * sizeof *k->scratch);
}

static void drop(check *k)
{
    for (int i = 0; i < k->c->n_inputs; i++) {
        free(k->x_data[i]);
        free(k->v_data[i]);
    }
    free(k->weight_data);
    free(k->scratch);
}

/* ---- comparing ---- */

/* L(x) = sum(weights ref(x)) */
static double loss(check *k)
{
    k->c->reference(k->c, k->in, (const double *const *)k->x_data, &k->out, k->scratch);
    double sum = 0;
    for (int64_t i = 0; i < clg_shape_count(&k->out); i++) sum += k->weight_data[i] * k->scratch[i];
    return sum;
}

/* x += h v, for all inputs that have gradients. */
static void move_along(check *k, double h)
{
    for (int i = 0; i < k->c->n_inputs; i++)
        for (int64_t j = 0; j < clg_shape_count(&k->in[i]) && !(k->c->constants >> i & 1); j++)
            k->x_data[i][j] += h * k->v_data[i][j];
}

/* The derivative of L along v: sum(v_i G_i). */
static double slope(check *k, double h)
{
    move_along(k, h);
    double up = loss(k);
    move_along(k, -2 * h);
    double down = loss(k);
    move_along(k, h);
    return (up - down) / (2 * h);
}

/* Central difference of L, or of its slope along v, in one element. */
static double difference(check *k, double *element, bool second)
{
    double h = second ? 2e-4 : 1e-5, kept = *element;
    *element = kept + h;
    double up = second ? slope(k, h) : loss(k);
    *element = kept - h;
    double down = second ? slope(k, h) : loss(k);
    *element = kept;
    return (up - down) / (2 * h);
}

static void compare_value(check *k)
{
    int64_t count = clg_shape_count(&k->out);
    float *got = malloc((size_t)count * sizeof *got);
    op_check_read(k->program, k->y, got, count);
    loss(k);
    char what[64];
    snprintf(what, sizeof what, "value at batch %lld", (long long)k->batch);
    op_check_close(k->c->name, what, got, k->scratch, count,
                   k->c->tolerance ? k->c->tolerance : 1e-5);
    free(got);
}

/* Central differences of the reference along v, element by element. */
static void compare_tangent(check *k)
{
    if (!k->tangent) return;
    const double h = 1e-5;
    int64_t count = clg_shape_count(&k->out);
    float *got = malloc((size_t)count * sizeof *got);
    double *want = malloc((size_t)count * sizeof *want);
    op_check_read(k->program, k->tangent, got, count);
    move_along(k, h);
    loss(k);
    memcpy(want, k->scratch, (size_t)count * sizeof *want);
    move_along(k, -2 * h);
    loss(k);
    move_along(k, h);
    for (int64_t i = 0; i < count; i++) want[i] = (want[i] - k->scratch[i]) / (2 * h);
    char what[64];
    snprintf(what, sizeof what, "tangent at batch %lld", (long long)k->batch);
    double tolerance = k->c->tolerance ? k->c->tolerance : 1e-5;
    op_check_close(k->c->name, what, got, want, count, 4 * tolerance);
    free(got);
    free(want);
}

static void compare_derivative(check *k, int input, bool second)
{
    int64_t count = clg_shape_count(&k->in[input]);
    float *got = malloc((size_t)count * sizeof *got);
    op_check_read(k->program, second ? k->second[input] : k->first[input], got, count);
    float looked_at[SAMPLES];
    double want[SAMPLES];
    int64_t samples = clg__min_i64(count, SAMPLES);
    for (int64_t i = 0; i < samples; i++) {
        int64_t at = i * count / samples + (count > samples ? i % (count / samples) : 0);
        looked_at[i] = got[at];
        want[i] = difference(k, &k->x_data[input][at], second);
    }
    char what[96];
    snprintf(what, sizeof what, "%s derivative of input %d at batch %lld",
             second ? "second" : "first", input, (long long)k->batch);
    double tolerance = k->c->tolerance ? k->c->tolerance : 1e-5;
    op_check_close(k->c->name, what, looked_at, want, samples,
                   second ? 20 * tolerance : 4 * tolerance);
    free(got);
}

static void compare(check *k)
{
    compare_value(k);
    compare_tangent(k);
    for (int i = 0; i < k->c->n_inputs; i++) {
        if (k->c->constants >> i & 1 || k->c->value_only) continue;
        compare_derivative(k, i, false);
        if (!k->c->first_only) compare_derivative(k, i, true);
    }
}

/* ---- running ---- */

static void run_at_batch(check *checks, int n, clg_program *program, int64_t batch)
{
    TEST_OK(clg_program_set_batch(program, batch));
    for (int i = 0; i < n; i++) prepare(&checks[i], batch);
    TEST_OK(clg_program_run(program));
    for (int i = 0; i < n; i++) compare(&checks[i]);
    for (int i = 0; i < n; i++) drop(&checks[i]);
}

/* What the result of a case has between itself and inputs that have gradients. */
static bool mark_path(clg_tensor *t, const check *k, int file, int times, char *seen)
{
    enum { NEW, OFF, ON };
    if (seen[t->id] != NEW) return seen[t->id] == ON;
    bool on = false;
    for (int i = 0; i < k->c->n_inputs; i++) on |= t == k->x[i] && !(k->c->constants >> i & 1);
    for (int i = 0; i < t->n_inputs; i++) on |= mark_path(t->inputs[i], k, file, times, seen);
    if (on) visit_rows(t, file, mark_differentiated, times);
    seen[t->id] = on ? ON : OFF;
    return on;
}

/* After the case has passed: first and second derivatives of `wrt` were compared. */
static void mark_case(const char *file, check *k)
{
    int times = k->c->value_only ? 0 : k->c->first_only ? 1 : 2;
    char *seen = calloc(k->g->n_nodes, 1);
    mark_path(k->y, k, file_index(file), times, seen);
    for (int i = 0; i < k->c->n_inputs; i++)
        if (k->first[i] && times > 1) mark_path(k->first[i], k, file_index(file), 1, seen);
    free(seen);
}

/* All cases of a group have the same batch sizes. */
static void run_group(const char *file, const op_case *const *cases, int n)
{
    check checks[GROUP];
    clg_tensor *outputs[GROUP * (2 + 2 * OP_MAX_INPUTS)];
    size_t n_outputs = 0;
    const op_case *c = cases[0];
    clg_context *ctx = op_check_context();
    clg_graph *g =
        clg_graph_create(clg_graph_options(.batch = c->batch[0] ? c->batch[0] : 1, .seed = 7));
    for (int i = 0; i < n; i++) {
        build(&checks[i], g, cases[i], i);
        n_outputs += list_outputs(&checks[i], outputs + n_outputs);
    }
    clg_program *program =
        compile_up_to(file, ctx, g, outputs, n_outputs, CLG_TRAINING_FORWARD, largest_batch(c));
    for (int i = 0; i < n; i++) checks[i].program = program;
    run_at_batch(checks, n, program, g->batch);
    for (int i = 1; i < OP_MAX_BATCHES && c->batch[i]; i++)
        run_at_batch(checks, n, program, c->batch[i]);
    for (int i = 0; i < n; i++) mark_case(file, &checks[i]);
    clg_program_destroy(program);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}

void op_check_table_of(const char *file, const op_case *cases, int n)
{
    bool *done = calloc((size_t)n, sizeof *done);
    for (int i = 0; i < n; i++) {
        const op_case *group[GROUP];
        int size = 0;
        for (int j = i; j < n && size < GROUP; j++) {
            if (done[j] || memcmp(cases[i].batch, cases[j].batch, sizeof cases[i].batch) != 0)
                continue;
            done[j] = true;
            group[size++] = &cases[j];
        }
        if (size > 0) run_group(file, group, size);
    }
    free(done);
}

/* ---- known answers ---- */

op_fixture op_fixture_start(clg_shape x)
{
    op_fixture f = {.ctx = op_check_context(),
                    .g = clg_graph_create(clg_graph_options(.batch = 4, .seed = 5))};
    f.x = clg_input(f.g, "x", CLG_F32, x);
    return f;
}

void op_fixture_run_of(const char *file, op_fixture *f, clg_tensor *const *outputs, size_t n,
                       clg_program_mode mode, const float *data)
{
    for (size_t i = 0; i < n; i++) ck_assert_msg(outputs[i] != NULL, "%s", clg_last_error());
    clg_program_destroy(f->program);
    f->program = op_check_compile_of(file, f->ctx, f->g, outputs, n, mode);
    if (data) op_check_feed(f->program, f->x, data, clg_shape_count(&f->x->shape));
    TEST_OK(clg_program_run(f->program));
}

void op_fixture_expect(op_fixture *f, const char *what, const clg_tensor *output,
                       const double *want, double tolerance)
{
    const char *name = clg_tensor_composition(output);
    int64_t count = clg_shape_count(&output->shape);
    float *got = malloc((size_t)count * sizeof *got);
    op_check_read(f->program, output, got, count);
    op_check_close(*name ? name : clg_tensor_op(output), what, got, want, count, tolerance);
    free(got);
}

void op_fixture_finish(op_fixture *f)
{
    clg_program_destroy(f->program);
    clg_graph_destroy(f->g);
    clg_context_destroy(f->ctx);
}
