/*
 * Programs: compiling a graph through the passes, feeding and reading it; running is run.c.
 *
 * Fed data is copied into one of two host buffers first, so that the caller's memory is free at
 * once and the transfer overlaps with the kernels before it.
 */

#include "program/program.h"
#include "ops/tuning.h"

/* ---- memory ---- */

static int largest_value(const clg__ir *ir)
{
    int largest = -1;
    for (int id = 0; id < ir->n_values; id++) {
        if (ir->values[id].chunk < 0) continue;
        int64_t count = clg_shape_count(&ir->values[id].node->shape);
        if (largest < 0 || count > clg_shape_count(&ir->values[largest].node->shape)) largest = id;
    }
    return largest;
}

static size_t input_bytes(const clg_program *p, const clg_tensor *input, int64_t batch)
{
    clg_shape shape = clg__shape_at_batch(&input->shape, p->graph->batch, batch);
    return (size_t)clg_shape_count(&shape) * clg_dtype_size(input->dtype);
}

/* Other sources are variables, or made by the kernels that read them. */
static bool is_input(const clg_tensor *t)
{
    return t->op->class_ == CLG__SOURCE && !t->op->load && !t->op->uniform &&
           !clg__is_variable_node(t);
}

static bool is_live_input(const clg__value *v)
{
    return v->live && is_input(v->node);
}

/* What the program has on the device. */
static uint64_t bytes_held(const clg_program *p)
{
    uint64_t held = 0;
    for (int i = 0; i < p->n_chunks; i++) held += p->chunks[i]->size;
    for (size_t i = 0; i < p->n_prepared; i++)
        if (p->prepared[i].buffer) held += p->prepared[i].buffer->size;
    for (int i = 0; i < p->n_feeds; i++)
        if (p->feeds[i].buffer) held += p->feeds[i].buffer->size;
    return held;
}

/* What it takes at any batch size: rearranged weights, and the graph's variables that wait for
 * their first program. */
static uint64_t fixed_bytes(const clg_program *p)
{
    uint64_t fixed = 0;
    for (size_t i = 0; i < p->n_prepared; i++) fixed += p->prepared[i].bytes;
    for (size_t i = 0; i < p->graph->n_storages; i++)
        if (!p->graph->storages[i]->buffer)
            fixed += (uint64_t)p->graph->storages[i]->count * sizeof(float);
    return fixed;
}

/* Takes `bytes` for one buffer from *room; false if they are not there. */
static bool take(const clg_program *p, uint64_t bytes, uint64_t *room)
{
    if (bytes > p->ctx->info.max_allocation || bytes > *room) return false;
    *room -= bytes;
    return true;
}

/* Would this batch size fit, by a plan of its own? Scratch is counted as for the batch that did
 * not. */
static bool batch_fits(clg_program *p, int64_t batch, uint64_t room)
{
    if (clg__ir_plan(&p->ir, batch, p->scratch, p->n_scratch) != CLG_OK) return false;
    bool fits = true;
    for (int i = 0; fits && i < p->ir.n_chunks; i++)
        fits = take(p, (uint64_t)p->ir.chunk_sizes[i] * sizeof(float), &room);
    for (int id = 0; fits && id < p->ir.n_values; id++)
        if (is_live_input(&p->ir.values[id]))
            fits = take(p, input_bytes(p, p->ir.values[id].node, batch), &room);
    return fits && fixed_bytes(p) <= room;
}

/* Half of the batch, or half of that ...: the first that fits; 0 if none does. */
static int64_t batch_that_fits(clg_program *p)
{
    uint64_t used, peak;
    clg_context_memory(p->ctx, &used, &peak);
    used -= bytes_held(p); /* would be given back */
    const uint64_t room = p->ctx->memory_limit > used ? p->ctx->memory_limit - used : 0;
    int64_t batch = p->max_batch / 2;
    while (batch > 0 && !batch_fits(p, batch, room)) batch /= 2;
    return batch;
}

/* " (largest: conv2d (64, 28, 28, 32))", as it is at the program's batch size. */
static const char *largest_text(const clg_program *p, char *text, size_t size)
{
    const int largest = largest_value(&p->ir);
    text[0] = '\0';
    if (largest < 0) return text;
    const clg_tensor *node = p->ir.values[largest].node;
    const clg_shape shape = clg__shape_at_batch(&node->shape, p->graph->batch, p->max_batch);
    snprintf(text, size, " (largest: %s %s)", node->op->name,
             clg_shape_text(&shape, (char[128]){0}, 128));
    return text;
}

static const char *advice_text(clg_program *p, char *text, size_t size)
{
    const int64_t batch = batch_that_fits(p);
    text[0] = '\0';
    if (batch > 0)
        snprintf(text, size, "; a batch of %lld would fit", (long long)batch);
    else if (p->max_batch > 1)
        snprintf(text, size, "; no smaller batch would fit");
    return text;
}

/* What is asked for, the largest value and, where halving the batch helps, a batch size that fits.
 */
static clg_status explain_memory(clg_program *p, clg_status status)
{
    if (status != CLG_ERROR_MEMORY) return status;
    const uint64_t need = clg__ir_arena(&p->ir) * sizeof(float), fixed = fixed_bytes(p);
    char message[1024], largest[224], weights[96] = "", advice[96];
    snprintf(message, sizeof message, "%s", clg_last_error()); /* planning again may replace it */
    largest_text(p, largest, sizeof largest);
    if (fixed) snprintf(weights, sizeof weights, " and %s for variables", CLG__BYTES_TEXT(fixed));
    advice_text(p, advice, sizeof advice);
    return clg__fail(
        status, "a program at batch %lld needs %s for activations and gradients%s%s%s: %s",
        (long long)p->max_batch, CLG__BYTES_TEXT(need), largest, weights, advice, message);
}

static clg_status collect_scratch(clg_program *p)
{
    p->n_scratch = 0;
    for (int i = 0; i < p->n_steps; i++) p->n_scratch += (size_t)p->steps[i].lowering.n_scratch;
    p->scratch = clg__calloc(p->n_scratch + 1, sizeof *p->scratch);
    if (!p->scratch) return CLG_ERROR_MEMORY;
    size_t n = 0;
    for (int i = 0; i < p->n_steps; i++) {
        clg__step *step = &p->steps[i];
        step->first_scratch = (int)n;
        for (int k = 0; k < step->lowering.n_scratch; k++)
            p->scratch[n++] = (clg__scratch_plan){
                .step = i, .size = clg__ceil_div(step->lowering.scratch[k].size, sizeof(float))};
    }
    return CLG_OK;
}

static clg_status create_arena(clg_program *p)
{
    p->chunks = clg__calloc((size_t)p->ir.n_chunks + 1, sizeof *p->chunks);
    if (!p->chunks) return CLG_ERROR_MEMORY;
    for (int i = 0; i < p->ir.n_chunks; i++) {
        CLG_TRY(clg__buffer_create(&p->chunks[i], p->ctx,
                                   (size_t)p->ir.chunk_sizes[i] * sizeof(float),
                                   "activations and gradients"));
        p->n_chunks++;
    }
    return CLG_OK;
}

static clg_status create_feeds(clg_program *p)
{
    int n = 0;
    for (int id = 0; id < p->ir.n_values; id++) n += is_live_input(&p->ir.values[id]);
    p->feeds = clg__calloc((size_t)n + 1, sizeof *p->feeds);
    if (!p->feeds) return CLG_ERROR_MEMORY;
    for (int id = 0; id < p->ir.n_values; id++) {
        if (!is_live_input(&p->ir.values[id])) continue;
        clg__feed *feed = &p->feeds[p->n_feeds++];
        feed->input = p->ir.values[id].node;
        size_t bytes = input_bytes(p, feed->input, p->max_batch);
        CLG_TRY(clg__buffer_create(&feed->buffer, p->ctx, bytes, feed->input->name));
        for (int i = 0; i < 2; i++)
            if (!(feed->staging[i] = clg__alloc(bytes))) return CLG_ERROR_MEMORY;
    }
    return CLG_OK;
}

/* All that the program has on the device. */
static clg_status create_memory(clg_program *p)
{
    CLG_TRY(create_arena(p));
    CLG_TRY(clg__prepared_create(p));
    CLG_TRY(create_feeds(p));
    return clg__variables_realize(p->ctx, p->graph);
}

/* ---- compiling ---- */

static void free_steps(clg_program *p)
{
    for (int i = 0; i < p->n_steps; i++) clg__lowering_free(&p->steps[i].lowering);
    clg__free(p->steps);
    clg__free(p->scratch);
    p->steps = NULL;
    p->scratch = NULL;
    p->n_steps = 0;
    p->n_prepared = 0; /* steps name each again */
}

static clg_status make_steps(clg_program *p)
{
    p->steps = clg__calloc((size_t)p->ir.n_order + 1, sizeof *p->steps);
    if (!p->steps) return CLG_ERROR_MEMORY;
    p->n_steps = p->ir.n_order;
    for (int i = 0; i < p->n_steps; i++) p->steps[i].cluster = p->ir.order[i];
    return CLG_OK;
}

clg_status clg__program_plan(clg_program *p)
{
    free_steps(p);
    CLG_TRY(make_steps(p));
    CLG_TRY(clg__program_lower(p, p->max_batch));
    CLG_TRY(collect_scratch(p));
    return clg__ir_plan(&p->ir, p->max_batch, p->scratch, p->n_scratch);
}

static clg_status compile(clg_program *p, const clg_program_params *params)
{
    CLG_TRY(clg__ir_build(&p->ir, p->ctx, p->graph, params, !p->replayed));
    CLG_TRY(clg__ir_fuse(&p->ir));
    CLG_TRY(clg__ir_alias(&p->ir));
    CLG_TRY(clg__ir_order(&p->ir));
    p->has_constants = clg__ir_find_constants(&p->ir);
    CLG_TRY(clg__program_plan(p));
    if (params->memory_budget) CLG_TRY(clg__program_fit(p, params->memory_budget));
    CLG_TRY(explain_memory(p, create_memory(p)));
    CLG_TRY(clg__program_build(p));
    CLG_TRY(clg__program_bind(p));
    CLG_TRY(clg__strands_bind(p));
    p->bound = true;
    return CLG_OK;
}

/* Work sizes follow the limit that the device states, or the lower one that this program needs. */
static size_t set_work_group(clg_context *ctx, size_t limit)
{
    const size_t before = ctx->info.max_work_group;
    ctx->info.max_work_group = limit;
    return before;
}

/* One attempt, for work-groups of at most `limit`; lowers it if a kernel turns out to allow less.
 */
static clg_status create_within(clg_program **out, clg_context *ctx, clg_graph *graph,
                                const clg_program_params *params, const clg_program *replayed,
                                size_t *limit)
{
    clg_program *p = clg__calloc(1, sizeof *p);
    if (!p) return CLG_ERROR_MEMORY;
    clg__object_created();
    p->ctx = clg__context_retain(ctx);
    p->graph = graph;
    p->replayed = replayed;
    p->batch = p->max_batch = params->batch ? params->batch : graph->batch;
    p->memory_budget = params->memory_budget;
    p->work_group = *limit;
    const size_t before = set_work_group(ctx, *limit);
    clg_status status = compile(p, params);
    set_work_group(ctx, before);
    if (p->allowed) *limit = p->allowed;
    if (status == CLG_OK)
        *out = p;
    else
        clg_program_destroy(p);
    return status;
}

clg_status clg__program_create(clg_program **out, clg_context *ctx, clg_graph *graph,
                               const clg_program_params *params, const clg_program *replayed)
{
    CLG_TRY(clg__graph_check(graph));
    if (params->n_outputs && !params->outputs)
        return clg__fail(CLG_ERROR_ARGUMENT, "program: %zu outputs are NULL", params->n_outputs);
    if (params->batch < 0)
        return clg__fail(CLG_ERROR_ARGUMENT, "program: batch %lld is negative",
                         (long long)params->batch);
    CLG_TRY(clg__tuning_load(ctx));
    size_t limit = ctx->info.max_work_group, tried;
    clg_status status;
    do {
        tried = limit;
        status = create_within(out, ctx, graph, params, replayed, &limit);
    } while (status != CLG_OK && limit < tried);
    return status;
}

clg_status clg_program_compile(clg_program **out, clg_context *ctx, clg_graph *graph,
                               const clg_program_params *params)
{
    CLG__NEEDS(out && ctx && graph && params);
    return clg__program_create(out, ctx, graph, params, NULL);
}

static void free_feed(clg__feed *feed)
{
    for (int i = 0; i < 2; i++) {
        if (feed->done[i]) {
            clWaitForEvents(1, &feed->done[i]);
            clReleaseEvent(feed->done[i]);
        }
        clg__free(feed->staging[i]);
    }
    clg__buffer_destroy(feed->buffer);
}

void clg_program_destroy(clg_program *p)
{
    if (!p) return;
    clg__wait_for_queue(p->ctx->queue); /* kernels may still use what is freed here */
    for (int i = 0; i < p->n_feeds; i++) free_feed(&p->feeds[i]);
    for (int i = 0; p->kernels && i < p->n_kernels; i++)
        if (p->kernels[i]) clReleaseKernel(p->kernels[i]);
    for (int i = 0; i < p->n_chunks; i++) clg__buffer_destroy(p->chunks[i]);
    clg__strands_free(p);
    clg__prepared_free(p);
    free_steps(p);
    clg__ir_free(&p->ir);
    clg__free(p->kernels);
    clg__free(p->places);
    clg__free(p->chunks);
    clg__free(p->feeds);
    clg__context_release(p->ctx);
    clg__free(p);
    clg__object_destroyed();
}

/* Launches and arguments for a batch size. */
static clg_status rebind(clg_program *p, int64_t batch)
{
    p->batch = batch; /* addresses of parts follow it */
    p->has_run = false;
    const size_t work_group = set_work_group(p->ctx, p->work_group);
    clg_status status = clg__program_lower(p, batch);
    set_work_group(p->ctx, work_group);
    if (status == CLG_OK) status = clg__program_bind(p);
    if (status == CLG_OK) status = clg__strands_bind(p);
    p->bound = status == CLG_OK;
    return status;
}

/* What was fed stays where its size did. */
static void forget_feeds(clg_program *p, int64_t before)
{
    for (int i = 0; i < p->n_feeds; i++) {
        clg__feed *feed = &p->feeds[i];
        feed->fed &= input_bytes(p, feed->input, before) == input_bytes(p, feed->input, p->batch);
    }
}

clg_status clg_program_set_batch(clg_program *p, int64_t batch)
{
    CLG__NEEDS(p);
    if (batch == p->batch && p->bound) return CLG_OK;
    if (batch < 1 || batch > p->max_batch)
        return clg__fail(CLG_ERROR_ARGUMENT, "program: batch %lld is not in 1 .. %lld",
                         (long long)batch, (long long)p->max_batch);
    const int64_t before = p->batch;
    const clg_status status = rebind(p, batch);
    forget_feeds(p, before);
    return status;
}

/* ---- feeding ---- */

static clg__feed *find_feed(clg_program *p, const clg_tensor *input)
{
    for (int i = 0; i < p->n_feeds; i++)
        if (p->feeds[i].input == input) return &p->feeds[i];
    return NULL;
}

static clg_status wait_and_release(cl_event *event)
{
    if (!*event) return CLG_OK;
    clg_status status = CLG__CL(clWaitForEvents(1, event));
    clReleaseEvent(*event);
    *event = NULL;
    return status;
}

static clg_status check_input(const clg_program *p, const clg_tensor *t)
{
    if (t->graph == p->graph && is_input(t)) return CLG_OK;
    if (t->graph == p->graph && clg_tensor_is_variable(t))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "feed: %s is a variable: clg_variable_write changes its values",
                         clg_tensor_name(t));
    return clg__fail(CLG_ERROR_ARGUMENT, "feed: %s is not an input of this graph",
                     CLG__NODE_TEXT(t));
}

clg_status clg_program_feed(clg_program *p, clg_tensor *input, const void *data, size_t size)
{
    CLG__NEEDS(p && input && data);
    CLG_TRY(check_input(p, input));
    size_t wanted = input_bytes(p, input, p->batch);
    if (size != wanted)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "feed: input %s at batch %lld takes %zu bytes, not %zu",
                         clg_tensor_name(input), (long long)p->batch, wanted, size);
    clg__feed *feed = find_feed(p, input);
    if (!feed) return CLG_OK;
    int slot = feed->next;
    CLG_TRY(wait_and_release(&feed->done[slot]));
    memcpy(feed->staging[slot], data, size);
    CLG_TRY(CLG__CL(clEnqueueWriteBuffer(p->ctx->queue, feed->buffer->mem, CL_FALSE, 0, size,
                                         feed->staging[slot], 0, NULL, &feed->done[slot])));
    feed->next = 1 - slot;
    feed->fed = true;
    return CLG_OK;
}

/* ---- results ---- */

static clg_status find_output(const clg_program *p, const clg_tensor *t, int *id)
{
    if (!t || t->graph != p->graph || t->id >= p->ir.n_values)
        return clg__fail(CLG_ERROR_ARGUMENT, "the tensor is not of this program's graph");
    *id = clg__ir_same(&p->ir, t->id);
    const clg__value *v = &p->ir.values[*id];
    if (!v->live || (!v->output && v->n_inputs > 0))
        return clg__fail(CLG_ERROR_ARGUMENT, "%s is not an output of the program",
                         CLG__NODE_TEXT(t));
    if (!clg__program_address(p, *id).mem) /* numbers, random or not, are part of the kernels */
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "%s has no memory of its own: make it an output of the program",
                         CLG__NODE_TEXT(t));
    return CLG_OK;
}

/* Is the value computed by a run, or is it a part of something that is? */
static bool is_computed(const clg__ir *ir, int id)
{
    const clg__value *root = &ir->values[clg__ir_root(ir, id, NULL)];
    if (!is_input(root->node) && !clg__is_variable_node(root->node)) return true;
    for (; id >= 0; id = ir->values[id].parent)
        if (ir->values[id].cluster >= 0) return true;
    return false;
}

/* Memory that nobody has written yet is not for the caller. */
static clg_status check_written(clg_program *p, const clg_tensor *t, int id)
{
    const clg__feed *feed = find_feed(p, p->ir.values[clg__ir_root(&p->ir, id, NULL)].node);
    if (is_computed(&p->ir, id) && !p->has_run)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "read: %s has no value at batch %lld yet: run the program first",
                         CLG__NODE_TEXT(t), (long long)p->batch);
    if (feed && !feed->fed)
        return clg__fail(CLG_ERROR_ARGUMENT, "read: input %s was not fed at batch %lld",
                         clg_tensor_name(feed->input), (long long)p->batch);
    return CLG_OK;
}

clg_status clg_program_read(clg_program *p, const clg_tensor *output, void *data, size_t size)
{
    CLG__NEEDS(p && output && data);
    int id = 0;
    CLG_TRY(find_output(p, output, &id));
    size_t wanted = input_bytes(p, p->ir.values[id].node, p->batch);
    if (size != wanted)
        return clg__fail(CLG_ERROR_ARGUMENT, "read: %s at batch %lld has %zu bytes, not %zu",
                         output->op->name, (long long)p->batch, wanted, size);
    CLG_TRY(check_written(p, output, id));
    clg__address at = clg__program_address(p, id);
    size_t offset = at.offset * clg_dtype_size(p->ir.values[id].node->dtype);
    return CLG__CL(
        clEnqueueReadBuffer(p->ctx->queue, at.mem, CL_TRUE, offset, size, data, 0, NULL, NULL));
}

clg_status clg_program_cl_mem(clg_program *p, const clg_tensor *t, void **cl_mem_handle,
                              size_t *offset)
{
    CLG__NEEDS(p && t && cl_mem_handle && offset);
    int id = 0;
    CLG_TRY(find_output(p, t, &id));
    clg__address at = clg__program_address(p, id);
    int root = clg__ir_root(&p->ir, id, NULL);
    const clg_tensor *owner = p->ir.values[root].node;
    if (clg__is_variable_node(owner))
        ((const clg__variable_attr *)owner->attr)->storage->exposed = true;
    *cl_mem_handle = at.mem;
    *offset = at.offset * clg_dtype_size(p->ir.values[id].node->dtype);
    return CLG_OK;
}
