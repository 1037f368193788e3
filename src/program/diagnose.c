/*
 * Which tensor was the first to hold a NaN or Inf. A program keeps only what it needs, and reuses
 * memory; so the search replays the last run - same inputs, same chance, no updates - with programs
 * whose outputs are the values to look at.
 *
 * First come variables and inputs, then the values that the program stores (which needs few new
 * kernels), in order of computation, and at last the steps inside the kernel that stored the first
 * bad one. All that leads to the program's outputs goes before what is there for updates: these
 * have run once already, and running statistics may be NaN as a consequence. Values are looked at
 * on the host. What does not fit into memory at once, or into the program's memory budget, is
 * replayed in halves.
 */
#include <math.h>

#include "program/program.h"

typedef struct search {
    clg_program *program;
    clg_nonfinite *found; /* found->tensor is NULL as long as nothing is */
    bool *looked_at;      /* per value: whether it is of interest now */
} search;

/* ---- telling a tensor to people ---- */

/* Appends the names of variables and inputs that a node is computed from, nearest first. */
static void add_origins(clg__str *out, const clg_tensor *t, int depth, int *left)
{
    for (int i = 0; i<t->n_inputs && * left> 0; i++) {
        const clg_tensor *in = t->inputs[i];
        if (!in->name) continue;
        clg__str_addf(out, "%s%s", *left == 3 ? " of " : ", ", in->name);
        --*left;
    }
    for (int i = 0; i<t->n_inputs && * left> 0 && depth > 0; i++)
        if (!t->inputs[i]->name) add_origins(out, t->inputs[i], depth - 1, left);
}

static void describe(clg_nonfinite *found)
{
    const clg_tensor *t = found->tensor;
    clg__str text = {0};
    char shape[128];
    int left = 3;
    if (t->name)
        clg__str_addf(&text, "%s (%s)", t->name, t->op->name);
    else
        clg__str_addf(&text, "%s", t->op->name);
    if (!t->name) add_origins(&text, t, 6, &left);
    clg__str_addf(&text, ", %s", clg_shape_text(&t->shape, shape, sizeof shape));
    snprintf(found->text, sizeof found->text, "%s", clg__str_text(&text));
    clg__str_free(&text);
}

/* ---- looking at values ---- */

static bool check(search *s, const clg_tensor *t, const float *data, int64_t count)
{
    int64_t i = 0;
    while (i < count && isfinite(data[i])) i++;
    if (i == count) return false;
    s->found->tensor = t;
    s->found->index = i;
    s->found->value = data[i];
    describe(s->found);
    return true;
}

static int64_t count_at(const clg_program *p, const clg_tensor *t)
{
    clg_shape shape = clg__shape_at_batch(&t->shape, p->graph->batch, p->batch);
    return clg_shape_count(&shape);
}

/* Reads `t` out of a replay, or as an input or variable of the program itself, and checks it. */
static clg_status check_in(search *s, clg_program *p, const clg_tensor *t)
{
    size_t size = (size_t)count_at(p, t) * sizeof(float);
    float *data = clg__alloc(size);
    if (!data) return CLG_ERROR_MEMORY;
    clg_status status = clg_program_read(p, t, data, size);
    if (status == CLG_OK) check(s, t, data, count_at(p, t));
    clg__free(data);
    return status;
}

/* ---- replaying ---- */

/* The inputs of the last run are still on the device. */
static clg_status copy_feeds(const clg_program *from, clg_program *to)
{
    for (int i = 0; i < to->n_feeds; i++) {
        clg__feed *feed = &to->feeds[i];
        for (int k = 0; k < from->n_feeds && !feed->fed; k++) {
            if (from->feeds[k].input != feed->input || !from->feeds[k].fed) continue;
            size_t size = (size_t)count_at(to, feed->input) * clg_dtype_size(feed->input->dtype);
            CLG_TRY(CLG__CL(clEnqueueCopyBuffer(to->ctx->queue, from->feeds[k].buffer->mem,
                                                feed->buffer->mem, 0, 0, size, 0, NULL, NULL)));
            feed->fed = true;
        }
    }
    return CLG_OK;
}

static clg_status replay(search *s, clg_tensor *const *items, size_t n, uint64_t budget)
{
    clg_program *p = s->program, *again = NULL;
    CLG_TRY(clg__program_create(&again, p->ctx, p->graph,
                                clg_program_options(.outputs = items, .n_outputs = n,
                                                    .mode = p->ir.mode, .batch = p->batch,
                                                    .memory_budget = budget),
                                p));
    clg_status status = copy_feeds(p, again);
    if (status == CLG_OK) status = clg_program_run(again);
    for (size_t i = 0; i < n && status == CLG_OK && !s->found->tensor; i++)
        status = check_in(s, again, items[i]);
    clg_program_destroy(again);
    return status;
}

/* In order, as many at once as fit. One that does not fit into the budget is tried without: it is
 * kept to the end of its replay, which the program itself need not do. */
static clg_status replay_parts(search *s, clg_tensor *const *items, size_t n)
{
    if (n == 0 || s->found->tensor) return CLG_OK;
    const uint64_t budget = s->program->memory_budget;
    clg_status status = replay(s, items, n, budget);
    if (status != CLG_ERROR_MEMORY) return status;
    if (n == 1) return budget ? replay(s, items, n, 0) : status;
    CLG_TRY(replay_parts(s, items, n / 2));
    return replay_parts(s, items + n / 2, n - n / 2);
}

/* ---- what to look at ---- */

/* First only what leads to outputs, then everything. */
static void choose(search *s, bool outputs_only)
{
    const clg__ir *ir = &s->program->ir;
    for (int id = ir->n_values - 1; id >= 0; id--) {
        const clg__value *v = &ir->values[id];
        if (!outputs_only || v->output) s->looked_at[id] = true;
        for (int i = 0; s->looked_at[id] && !v->uniform && i < v->n_inputs; i++)
            s->looked_at[v->inputs[i]] = true;
    }
}

static bool computed(const search *s, int id)
{
    const clg__value *v = &s->program->ir.values[id];
    return s->looked_at[id] && v->live && !v->uniform && v->cluster >= 0 &&
           v->node->dtype == CLG_F32;
}

static clg_status check_leaves(search *s)
{
    clg_program *p = s->program;
    for (int id = 0; id < p->ir.n_values && !s->found->tensor; id++) {
        const clg__value *v = &p->ir.values[id];
        bool leaf = s->looked_at[id] && v->live && !v->uniform && v->n_inputs == 0 &&
                    !v->node->op->load && v->node->dtype == CLG_F32;
        if (leaf) CLG_TRY(check_in(s, p, v->node));
    }
    return CLG_OK;
}

static clg_status check_stored(search *s, clg_tensor **items)
{
    const clg__ir *ir = &s->program->ir;
    size_t n = 0;
    for (int id = 0; id < ir->n_values; id++)
        if (computed(s, id) && ir->values[id].stored) items[n++] = s->program->graph->nodes[id];
    return replay_parts(s, items, n);
}

/* Values of the same kernel that come before the one found, which they may explain. */
static clg_status check_inside(search *s, clg_tensor **items)
{
    const clg__ir *ir = &s->program->ir;
    const clg_nonfinite outer = *s->found;
    const clg__cluster *c = &ir->clusters[ir->values[outer.tensor->id].cluster];
    size_t n = 0;
    for (int id = 0; id < outer.tensor->id; id++)
        if (computed(s, id) && !ir->values[id].stored &&
            (clg__stage_has(c, 0, id) || clg__stage_has(c, 1, id)))
            items[n++] = s->program->graph->nodes[id];
    *s->found = (clg_nonfinite){.step = outer.step};
    CLG_TRY(replay_parts(s, items, n));
    if (!s->found->tensor) *s->found = outer;
    return CLG_OK;
}

static clg_status look(search *s, clg_tensor **items)
{
    CLG_TRY(check_leaves(s));
    if (s->found->tensor) return CLG_OK;
    CLG_TRY(check_stored(s, items));
    return s->found->tensor ? check_inside(s, items) : CLG_OK;
}

clg_status clg_program_find_nonfinite(clg_program *program, clg_nonfinite *out)
{
    CLG__NEEDS(program && out);
    if (!program->last_step)
        return clg__fail(CLG_ERROR_ARGUMENT, "find_nonfinite: the program has not run");
    clg_nonfinite found = {.step = program->last_step & CLG__STEP_MASK};
    size_t n = (size_t)program->ir.n_values;
    search s = {program, &found, clg__calloc(n + 1, sizeof(bool))};
    clg_tensor **items = clg__calloc(n + 1, sizeof(clg_tensor *));
    clg_status status = items && s.looked_at ? CLG_OK : CLG_ERROR_MEMORY;
    for (int pass = 0; pass < 2 && status == CLG_OK && !found.tensor; pass++) {
        choose(&s, pass == 0);
        status = look(&s, items);
    }
    clg__free(items);
    clg__free(s.looked_at);
    if (status == CLG_OK) *out = found;
    return status;
}
