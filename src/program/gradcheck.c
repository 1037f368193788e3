/*
 * Gradients against central differences, with two programs: one for y, one for its gradient.
 *
 * The sum over y's weighted elements is taken here, in double: differences of f32 sums would drown
 * in their rounding. What rounding of y's elements alone can do is estimated beside each
 * difference and not held against the gradient.
 */
#include <math.h>

#include "clgrad/autodiff.h"
#include "clgrad/gradcheck.h"
#include "ops/record.h"

/* A tensor to move elements of. */
typedef struct target {
    clg_tensor *tensor, *gradient;
    int64_t count;
    float *point;    /* its elements; the moved one is put back after each step */
    float *analytic; /* gradient */
} target;

typedef struct gradcheck {
    clg_tensor *y, *weights;
    clg_gradcheck_params params; /* defaults filled in */
    clg_program *value, *slope;  /* y; gradients and weights */
    target *targets;
    size_t n_targets;
    int64_t y_count;
    float *y_weights, *up, *down;
} gradcheck;

/* ---- what to check ---- */

static bool is_input(const clg_tensor *t)
{
    return t->op == &clg__op_input;
}

static const clg_gradcheck_feed *find_feed(const clg_gradcheck_params *p, const clg_tensor *t)
{
    for (size_t i = 0; i < p->n_feeds; i++)
        if (p->feeds[i].input == t) return &p->feeds[i];
    return NULL;
}

static clg_status check_target(const gradcheck *k, const clg_tensor *t)
{
    if (!t || t->graph != k->y->graph)
        return clg__fail(CLG_ERROR_ARGUMENT, "gradcheck: a tensor of wrt is %s",
                         t ? "of another graph" : "NULL");
    const char *name = clg_tensor_name(t);
    if (!is_input(t) && !clg_tensor_is_variable(t))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "gradcheck: \"%s\" %s is neither an input nor a variable", t->op->name,
                         name);
    if (t->dtype != CLG_F32)
        return clg__fail(CLG_ERROR_ARGUMENT, "gradcheck: input \"%s\" is of type %s, not F32", name,
                         clg_dtype_name(t->dtype));
    if (is_input(t) && !find_feed(&k->params, t))
        return clg__fail(CLG_ERROR_ARGUMENT, "gradcheck: input \"%s\" is not among the feeds",
                         name);
    return CLG_OK;
}

static clg_status add_target(gradcheck *k, clg_tensor *t)
{
    CLG_TRY(check_target(k, t));
    target *new = &k->targets[k->n_targets++];
    *new = (target){.tensor = t, .count = clg_shape_count(&t->shape)};
    new->point = clg__calloc((size_t) new->count, sizeof *new->point);
    new->analytic = clg__calloc((size_t) new->count, sizeof *new->analytic);
    if (!new->point || !new->analytic) return CLG_ERROR_MEMORY;
    if (!is_input(t)) return clg_variable_read(t, new->point, new->count);
    memcpy(new->point, find_feed(&k->params, t)->data, (size_t) new->count * sizeof *new->point);
    return CLG_OK;
}

/* Marks what y depends on, by id; ids above y's are never looked at. */
static void mark_needed(const clg_tensor *y, bool *needed)
{
    needed[y->id] = true;
    for (int id = y->id; id >= 0; id--) {
        const clg_tensor *node = y->graph->nodes[id];
        for (int i = 0; needed[id] && i < node->n_inputs; i++) needed[node->inputs[i]->id] = true;
    }
}

static clg_status list_default_targets(gradcheck *k, const bool *needed)
{
    for (int id = 0; id <= k->y->id; id++) {
        clg_tensor *t = k->y->graph->nodes[id];
        bool fed = is_input(t) && t->dtype == CLG_F32;
        if (needed[id] && (fed || clg_tensor_trainable(t))) CLG_TRY(add_target(k, t));
    }
    return CLG_OK;
}

static clg_status list_targets(gradcheck *k)
{
    const clg_gradcheck_params *p = &k->params;
    size_t most = p->wrt ? p->n_wrt : (size_t)k->y->id + 1;
    k->targets = clg__calloc(most + 1, sizeof *k->targets);
    bool *needed = clg__calloc((size_t)k->y->id + 1, sizeof *needed);
    clg_status status = k->targets && needed ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK) mark_needed(k->y, needed);
    if (status == CLG_OK && !p->wrt) status = list_default_targets(k, needed);
    for (size_t i = 0; p->wrt && i < p->n_wrt && status == CLG_OK; i++)
        status = add_target(k, p->wrt[i]);
    clg__free(needed);
    if (status == CLG_OK && k->n_targets == 0)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "gradcheck: y depends on no f32 input and no trainable variable");
    return status;
}

/* ---- programs ---- */

/* Weights for y's elements: 1, or numbers in -1 .. 1 that the program makes. */
static clg_tensor *make_weights(clg_tensor *y)
{
    if (clg_shape_count(&y->shape) == 1) return clg__full_like(y, 1);
    clg_tensor *half = clg__number(y, 0.5);
    return clg_div(clg_sub(clg_random_uniform(y), half), half);
}

static clg_status feed_all(const gradcheck *k, clg_program *program)
{
    for (size_t i = 0; i < k->params.n_feeds; i++) {
        const clg_gradcheck_feed *feed = &k->params.feeds[i];
        size_t size =
            (size_t)clg_shape_count(&feed->input->shape) * clg_dtype_size(feed->input->dtype);
        CLG_TRY(clg_program_feed(program, feed->input, feed->data, size));
    }
    return CLG_OK;
}

static clg_status compile(const gradcheck *k, clg_context *ctx, clg_tensor *const *outputs,
                          size_t n, clg_program **out)
{
    CLG_TRY(clg_program_compile(
        out, ctx, k->y->graph,
        clg_program_options(.outputs = outputs, .n_outputs = n, .mode = k->params.mode)));
    return feed_all(k, *out);
}

/* Builds the gradients after the targets: outputs is [gradient of each target, weights]. */
static clg_status build_gradients(gradcheck *k, clg_tensor **outputs, clg_tensor **wrt)
{
    for (size_t i = 0; i < k->n_targets; i++) wrt[i] = k->targets[i].tensor;
    k->weights = make_weights(k->y);
    CLG_TRY(clg_vjp(k->y, k->weights, wrt, k->n_targets, outputs));
    for (size_t i = 0; i < k->n_targets; i++) k->targets[i].gradient = outputs[i];
    outputs[k->n_targets] = k->weights;
    return CLG_OK;
}

static clg_status compile_both(gradcheck *k, clg_context *ctx)
{
    clg_tensor **outputs = clg__calloc(2 * (k->n_targets + 1), sizeof(clg_tensor *));
    if (!outputs) return CLG_ERROR_MEMORY;
    clg_status status = build_gradients(k, outputs, outputs + k->n_targets + 1);
    if (status == CLG_OK) status = compile(k, ctx, outputs, k->n_targets + 1, &k->slope);
    if (status == CLG_OK) status = compile(k, ctx, &k->y, 1, &k->value);
    clg__free(outputs);
    return status;
}

static clg_status read_gradients(gradcheck *k)
{
    CLG_TRY(clg_program_run(k->slope));
    for (size_t i = 0; i < k->n_targets; i++) {
        const target *t = &k->targets[i];
        CLG_TRY(clg_program_read(k->slope, t->gradient, t->analytic,
                                 (size_t)t->count * sizeof *t->analytic));
    }
    return clg_program_read(k->slope, k->weights, k->y_weights,
                            (size_t)k->y_count * sizeof *k->y_weights);
}

/* ---- differences ---- */

static clg_status set_point(const gradcheck *k, const target *t)
{
    if (!is_input(t->tensor)) return clg_variable_write(t->tensor, t->point, t->count);
    return clg_program_feed(k->value, t->tensor, t->point, (size_t)t->count * sizeof *t->point);
}

static clg_status evaluate(const gradcheck *k, const target *t, int64_t element, float x, float *y)
{
    float kept = t->point[element];
    t->point[element] = x;
    clg_status status = set_point(k, t);
    t->point[element] = kept;
    if (status == CLG_OK) status = clg_program_run(k->value);
    if (status != CLG_OK) return status;
    return clg_program_read(k->value, k->y, y, (size_t)k->y_count * sizeof *y);
}

/* The difference quotient at an element, and what rounding y's elements may have added to it: two
 * units in the last place of each, as if they were independent. */
static clg_status difference(const gradcheck *k, const target *t, int64_t element, double *quotient,
                             double *noise)
{
    float x = t->point[element], h = (float)(k->params.eps * fmax(1, fabs(x)));
    float above = x + h, below = x - h;
    CLG_TRY(evaluate(k, t, element, above, k->up));
    CLG_TRY(evaluate(k, t, element, below, k->down));
    double sum = 0, squares = 0, width = (double)above - below;
    for (int64_t i = 0; i < k->y_count; i++) {
        sum += k->y_weights[i] * ((double)k->up[i] - k->down[i]);
        squares += pow(k->y_weights[i] * fmax(fabs(k->up[i]), fabs(k->down[i])), 2);
    }
    *quotient = sum / width;
    *noise = 4 * 0x1p-24 * sqrt(squares) / width;
    return CLG_OK;
}

/* ---- comparing ---- */

/* One compared element. */
typedef struct sample {
    int64_t element;
    double gradient, difference, noise;
} sample;

static clg_status take_samples(const gradcheck *k, const target *t, sample *samples, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        sample *s = &samples[i];
        s->element = i * t->count / n;
        s->gradient = t->analytic[s->element];
        CLG_TRY(difference(k, t, s->element, &s->difference, &s->noise));
    }
    return set_point(k, t); /* as it was */
}

static double error_of(const sample *s, double scale)
{
    double apart = fabs(s->gradient - s->difference);
    if (!isfinite(apart)) return INFINITY;
    return apart <= s->noise ? 0 : (apart - s->noise) / scale;
}

static void compare(const target *t, const sample *samples, int64_t n, clg_gradcheck_report *report)
{
    double scale = 0;
    for (int64_t i = 0; i < n; i++)
        scale = fmax(scale, fmax(fabs(samples[i].gradient), fabs(samples[i].difference)));
    for (int64_t i = 0; i < n; i++, report->checked++) {
        const sample *s = &samples[i];
        double error = error_of(s, scale);
        if (report->worst && error <= report->error) continue;
        report->worst = t->tensor;
        report->element = s->element;
        report->gradient = s->gradient;
        report->difference = s->difference;
        report->error = error;
    }
}

static clg_status check_targets(const gradcheck *k, clg_gradcheck_report *report)
{
    for (size_t i = 0; i < k->n_targets; i++) {
        const target *t = &k->targets[i];
        int64_t n = clg__min_i64(t->count, k->params.samples);
        sample *samples = clg__calloc((size_t)n, sizeof *samples);
        if (!samples) return CLG_ERROR_MEMORY;
        clg_status status = take_samples(k, t, samples, n);
        if (status == CLG_OK) compare(t, samples, n, report);
        clg__free(samples);
        CLG_TRY(status);
    }
    report->passed = report->error <= k->params.tolerance;
    return CLG_OK;
}

/* ---- all together ---- */

static void fill_defaults(clg_gradcheck_params *p)
{
    if (p->eps == 0) p->eps = 5e-3;
    if (p->tolerance == 0) p->tolerance = 1e-3;
    if (p->samples == 0) p->samples = 32;
}

static clg_status check_arguments(const gradcheck *k)
{
    const clg_gradcheck_params *p = &k->params;
    CLG_TRY(clg__graph_check(k->y->graph));
    if (!(p->eps > 0) || !(p->tolerance > 0) || p->samples < 1)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "gradcheck: eps %g, tolerance %g and samples %lld must be positive",
                         p->eps, p->tolerance, (long long)p->samples);
    if (p->mode == CLG_TRAINING)
        return clg__fail(CLG_ERROR_ARGUMENT, "gradcheck: training would change the variables; "
                                             "CLG_TRAINING_FORWARD leaves them");
    if (k->y->dtype != CLG_F32)
        return clg__fail(CLG_ERROR_ARGUMENT, "gradcheck: y is of type %s, not F32",
                         clg_dtype_name(k->y->dtype));
    for (size_t i = 0; i < p->n_feeds; i++) {
        const clg_gradcheck_feed *feed = &p->feeds[i];
        if (!feed->input || !feed->data || !is_input(feed->input) ||
            feed->input->graph != k->y->graph)
            return clg__fail(CLG_ERROR_ARGUMENT,
                             "gradcheck: feed %zu is no input of y's graph, or has no data", i);
    }
    return CLG_OK;
}

static clg_status run(gradcheck *k, clg_context *ctx, clg_gradcheck_report *report)
{
    CLG_TRY(check_arguments(k));
    CLG_TRY(list_targets(k));
    k->y_count = clg_shape_count(&k->y->shape);
    k->y_weights = clg__calloc(3 * (size_t)k->y_count, sizeof *k->y_weights);
    if (!k->y_weights) return CLG_ERROR_MEMORY;
    k->up = k->y_weights + k->y_count;
    k->down = k->up + k->y_count;
    CLG_TRY(compile_both(k, ctx));
    CLG_TRY(read_gradients(k));
    return check_targets(k, report);
}

/* Variables get their values back, whatever happened. */
static void finish(gradcheck *k)
{
    for (size_t i = 0; i < k->n_targets; i++) {
        const target *t = &k->targets[i];
        if (k->value && t->point && !is_input(t->tensor)) set_point(k, t);
        clg__free(t->point);
        clg__free(t->analytic);
    }
    clg_program_destroy(k->value);
    clg_program_destroy(k->slope);
    clg__free(k->targets);
    clg__free(k->y_weights);
}

clg_status clg_gradcheck(clg_context *ctx, clg_tensor *y, const clg_gradcheck_params *params,
                         clg_gradcheck_report *report)
{
    if (!ctx || !y || !report)
        return clg__fail(CLG_ERROR_ARGUMENT, "gradcheck: a context, y and a report are needed");
    gradcheck k = {.y = y};
    if (params) k.params = *params;
    fill_defaults(&k.params);
    clg_gradcheck_report found = {0};
    clg_status status = run(&k, ctx, &found);
    finish(&k);
    if (status == CLG_OK) *report = found;
    return status;
}
