/*
 * From clusters to bound kernels: record the launches of every step, and, once their kernels are
 * built (build.c), set the arguments.
 *
 * Recording and binding happen again for another batch size; building does not: the same steps name
 * the same kernels.
 */
#include "ops/tuning.h"
#include "program/arguments.h"
#include "program/program.h"

/* ---- recording launches ---- */

static int64_t work_items(const clg_context *ctx, int64_t elements)
{
    /* On a CPU a few shares per core, each worth a launch; on a GPU as many as there are vectors.
     */
    int64_t shares =
        clg__ceil_div(elements, clg__tuned_int(ctx, CLG__TUNE_POINTWISE_SHARE, NULL, 4096));
    return clg__max_i64(1, clg__min_i64(shares, 8 * (int64_t)ctx->info.compute_units));
}

static clg__space space_at(const clg_program *p, const clg__cluster *c, int stage, int64_t batch)
{
    clg__space space;
    clg__space_make(&space, &p->ir, c, stage);
    clg__space_bind(&space, &p->ir, c, stage, batch);
    return space;
}

/* What a work-item of a pointwise kernel computes. */
typedef struct chunks {
    int64_t rows, columns;
} chunks;

static chunks shares(int64_t rows, int64_t columns, int64_t count, int64_t width)
{
    int64_t row_shares = clg__min_i64(count, rows);
    return (chunks){clg__ceil_div(rows, row_shares),
                    clg__round_up(clg__ceil_div(columns, clg__ceil_div(count, row_shares)), width)};
}

/* A strand's indices of the outermost axis: a range of the rows, or of the columns if that is all
 * there is. */
static chunks strand_chunks(const clg__space *space, int64_t rows, int64_t columns, int64_t samples,
                            int64_t strands)
{
    const int64_t length = clg__strand_length(samples, strands);
    if (space->n_axes == 1) return (chunks){1, columns / samples * length};
    return (chunks){rows / samples * length, columns};
}

static void lower_pointwise(clg_program *p, clg__step *step, clg__cluster *c, clg__launch *launch,
                            int64_t batch)
{
    const clg__space space = space_at(p, c, 0, batch);
    int64_t columns = space.extent[space.n_axes - 1], rows = 1, width = clg__vector_width(p->ctx);
    for (int k = 0; k < space.n_axes - 1; k++) rows *= space.extent[k];
    chunks chunk = {.rows = 1, .columns = width};
    const int64_t samples = clg__space_samples(&space, &p->ir, c, 0, batch);
    if (step->strands && clg__strands_in_step(p->ctx, samples, step->strands))
        chunk = shares(rows, columns, step->strands, width);
    else if (step->strands)
        chunk = strand_chunks(&space, rows, columns, samples, step->strands);
    else if (p->ctx->engine == CLG_ENGINE_CPU)
        chunk = shares(rows, columns, work_items(p->ctx, rows * columns), width);
    clg__launch_long(launch, rows);
    clg__launch_long(launch, chunk.rows);
    clg__launch_long(launch, chunk.columns);
    clg__bind_stage(launch, &p->ir, c, 0, &space, batch);
    size_t global[2] = {(size_t)clg__ceil_div(columns, chunk.columns),
                        (size_t)clg__ceil_div(rows, chunk.rows)};
    clg__launch_spread(launch, 2, global);
    clg__launch_strands(launch, samples, 1);
    clg__launch_work(launch, (double)(rows * columns) * c->body[0].n_members,
                     (double)(rows * columns) * 4.0 * (space.n_loads + 1));
}

/* Elements of partial results: one per reduction, output element and part. */
static int64_t partial_count(const clg__cluster *c, const clg__reduce_plan *plan)
{
    return c->n_reduces * plan->outer * plan->inner * plan->parts;
}

static void bind_epilogue_stage(clg_program *p, const clg__cluster *c, clg__launch *launch,
                                int64_t batch)
{
    const clg__space space = space_at(p, c, 1, batch);
    clg__bind_stage(launch, &p->ir, c, 1, &space, batch);
}

static clg__launch *start_generated(clg__lowering *lo, const char *name)
{
    clg__launch *launch = clg__lower_call(lo, NULL);
    if (launch) launch->kernel = name;
    return launch;
}

static void lower_final(clg_program *p, clg__step *step, const clg__reduce_plan *plan,
                        clg__buffer_id partial, int64_t batch)
{
    clg__cluster *c = &p->ir.clusters[step->cluster];
    clg__launch *launch = start_generated(&step->lowering, step->name[1]);
    clg__reduce_launch_final(launch, plan);
    clg__launch_buffer(launch, partial);
    bind_epilogue_stage(p, c, launch, batch);
    clg__launch_work(launch, (double)partial_count(c, plan), 4.0 * (double)partial_count(c, plan));
}

/* Rows of a work-item: worth a launch, as long as there are some for all compute units. */
static int64_t row_share(const clg_context *ctx, const clg__reduce_plan *plan)
{
    const int64_t shares = work_items(ctx, plan->outer * plan->rows * plan->cols);
    return clg__ceil_div(plan->outer, clg__min_i64(shares, plan->outer));
}

static bool is_made_in_chain(const clg__ir *ir, int value, int head)
{
    const int cluster = ir->values[value].cluster;
    return cluster >= 0 && ir->clusters[cluster].head == head;
}

/* One cluster of a chain; adds its work to that of the launch. */
static void lower_rows_of(clg_program *p, const clg__cluster *c, clg__launch *launch, int64_t batch)
{
    const clg__space space = space_at(p, c, 0, batch);
    clg__reduce_plan plan = {.two_stages = false};
    clg__reduce_plan_make(&plan, &p->ir, c, &space);
    clg__launch_long(launch, plan.rows);
    clg__bind_stage(launch, &p->ir, c, 0, &space, batch);
    if (c->n_reduces) bind_epilogue_stage(p, c, launch, batch);
    const double elements = (double)clg_shape_count(&c->space);
    int passes = c->n_reduces == 0; /* what is stored; of what is read, what comes from outside */
    for (int l = 0; l < space.n_loads; l++)
        passes += !is_made_in_chain(&p->ir, space.loads[l].value, c->head);
    if (!launch) return;
    launch->flops += elements * (c->body[0].n_members + c->n_reduces);
    launch->bytes += elements * 4.0 * passes;
}

/* A chain of row reductions, mostly of one. */
static void lower_rows(clg_program *p, const clg__cluster *head, clg__launch *launch, int64_t batch)
{
    const clg__space space = space_at(p, head, 0, batch);
    clg__reduce_plan plan = {.two_stages = false};
    clg__reduce_plan_make(&plan, &p->ir, head, &space);
    const int64_t share = row_share(p->ctx, &plan);
    clg__launch_long(launch, plan.outer);
    clg__launch_long(launch, share);
    for (const clg__cluster *c = head; c; c = clg__next_in_chain(&p->ir, c))
        lower_rows_of(p, c, launch, batch);
    clg__launch_spread(launch, 1, (size_t[]){(size_t)clg__ceil_div(plan.outer, share)});
}

static void lower_reduce(clg_program *p, clg__step *step, clg__cluster *c, clg__launch *launch,
                         int64_t batch)
{
    const clg__space space = space_at(p, c, 0, batch);
    clg__reduce_plan plan = {.two_stages = step->two_stages};
    clg__reduce_plan_make(&plan, &p->ir, c, &space);
    clg__reduce_launch(launch, &plan);
    clg__bind_stage(launch, &p->ir, c, 0, &space, batch);
    clg__buffer_id partial = 0;
    if (plan.two_stages) {
        partial = clg__lower_scratch(&step->lowering, 4 * partial_count(c, &plan));
        clg__launch_buffer(launch, partial);
    } else {
        bind_epilogue_stage(p, c, launch, batch);
    }
    double elements = (double)clg_shape_count(&c->space);
    clg__launch_work(launch, elements * (c->body[0].n_members + c->n_reduces),
                     elements * 4.0 * space.n_loads);
    if (plan.two_stages) lower_final(p, step, &plan, partial, batch);
}

static void add_epilogue_arguments(clg_program *p, clg__step *step, clg__cluster *c, int64_t batch)
{
    clg__lowering *lo = &step->lowering;
    int ndim = lo->out_shape.ndim;
    for (size_t i = 0; i < lo->n_launches; i++) {
        clg__launch *launch = &lo->launches[i];
        if (launch->epilogue != CLG__EPILOGUE_FUSED) continue;
        clg__launch_long(launch, ndim ? lo->out_shape.dim[ndim - 1] : 1);
        bind_epilogue_stage(p, c, launch, batch);
    }
}

/* Is an input of `whole` already where it belongs? One that occurs twice is so only once. */
static bool is_placed(const clg__ir *ir, int whole, int input)
{
    const clg__value *v = &ir->values[whole];
    int64_t offset, own, wanted;
    return v->node->op->places && v->node->op->places(v->node, input, &wanted) &&
           clg__ir_root(ir, v->inputs[input], &offset) == clg__ir_root(ir, whole, &own) &&
           offset == own + wanted;
}

static clg_status lower_kernel(clg_program *p, clg__step *step, clg__cluster *c, int64_t batch)
{
    const clg__value *v = &p->ir.values[c->anchor];
    clg__lowering *lo = &step->lowering;
    lo->out_shape = clg__shape_at_batch(&v->node->shape, p->graph->batch, batch);
    lo->out = c->anchor;
    for (int i = 0; i < v->n_inputs; i++) {
        lo->in_shape[i] = clg__shape_at_batch(&v->node->inputs[i]->shape, p->graph->batch, batch);
        lo->in[i] = v->inputs[i];
        lo->placed[i] = is_placed(&p->ir, c->anchor, i);
    }
    clg__prepared_offer(p, c, lo, (int)(step - p->steps));
    CLG_TRY(c->algorithm->lower(lo));
    CLG_TRY(lo->status);
    add_epilogue_arguments(p, step, c, batch);
    return lo->status;
}

static clg_status lower_step(clg_program *p, clg__step *step, int64_t batch)
{
    clg__cluster *c = &p->ir.clusters[step->cluster];
    clg__lowering_free(&step->lowering);
    step->lowering = (clg__lowering){.ctx = p->ctx, .strands = step->strands};
    if (c->kind == CLG__CLUSTER_KERNEL) {
        step->lowering.node = p->ir.values[c->anchor].node;
        return lower_kernel(p, step, c, batch);
    }
    clg__launch *launch = start_generated(&step->lowering, step->name[0]);
    if (c->kind == CLG__CLUSTER_POINTWISE)
        lower_pointwise(p, step, c, launch, batch);
    else if (clg__reduce_is_whole_rows(&p->ir, c))
        lower_rows(p, c, launch, batch);
    else
        lower_reduce(p, step, c, launch, batch);
    return step->lowering.status;
}

/* Kernels are named by the hash of their text: steps that do the same share one kernel. */
static clg_status name_kernels(const clg_program *p, clg__step *step)
{
    const clg__cluster *c = &p->ir.clusters[step->cluster];
    if (c->kind == CLG__CLUSTER_KERNEL) return CLG_OK;
    step->two_stages = c->kind == CLG__CLUSTER_REDUCE && clg__reduce_needs_parts(&p->ir, c);
    clg__str text = {0};
    clg__codegen_kernels(&text, &p->ir, c, "fused", step->two_stages);
    if (text.failed) {
        clg__str_free(&text);
        return CLG_ERROR_MEMORY;
    }
    step->key = clg__hash(text.text, text.length);
    unsigned long long hash = step->key.lo;
    snprintf(step->name[0], sizeof step->name[0], "fused_%016llx", hash);
    snprintf(step->name[1], sizeof step->name[1], "fused_%016llx_final", hash);
    clg__str_free(&text);
    return CLG_OK;
}

clg_status clg__program_lower(clg_program *p, int64_t batch)
{
    for (int i = 0; i < p->n_steps; i++) {
        clg__step *step = &p->steps[i];
        if (!step->name[0][0]) CLG_TRY(name_kernels(p, step));
        CLG_TRY(lower_step(p, step, batch));
    }
    return CLG_OK;
}

/* ---- work-groups ---- */

/* Work-items that a kernel allows in a group: many registers make them fewer. */
static clg_status allowed_group(const clg_program *p, cl_kernel kernel, size_t *most)
{
    return CLG__CL(clGetKernelWorkGroupInfo(kernel, p->ctx->device, CL_KERNEL_WORK_GROUP_SIZE,
                                            sizeof *most, most, NULL));
}

static size_t wished_group(const clg__launch *launch)
{
    size_t wished = 1;
    for (cl_uint i = 0; i < launch->dims; i++) wished *= launch->local[i];
    return wished;
}

/* Where a kernel cannot run in the groups it is written for, the program is made for smaller ones.
 */
clg_status clg__program_check_group(clg_program *p, cl_kernel kernel, const clg__launch *launch)
{
    size_t most = 0, needed = launch->any_local ? 1 : wished_group(launch);
    if (needed <= 1) return CLG_OK;
    CLG_TRY(allowed_group(p, kernel, &most));
    if (most == 0 || needed <= most) return CLG_OK;
    p->allowed = most;
    return clg__fail(CLG_ERROR_UNSUPPORTED, "kernel %s runs in groups of %zu, but needs %zu on %s",
                     launch->kernel, most, needed, p->ctx->info.name);
}

/* ---- arguments ---- */

clg__address clg__program_address(const clg_program *p, int value)
{
    int64_t offset = clg__ir_offset(&p->ir, value, p->batch);
    const clg__value *v = &p->ir.values[clg__ir_root(&p->ir, value, NULL)];
    if (clg__is_variable_node(v->node)) {
        const clg__variable_attr *attr = v->node->attr;
        return (clg__address){attr->storage->buffer->mem, (size_t)(attr->offset + offset)};
    }
    int64_t unit = (int64_t)(sizeof(float) / clg_dtype_size(v->node->dtype)); /* of the plan */
    if (v->chunk >= 0)
        return (clg__address){p->chunks[v->chunk]->mem, (size_t)(v->address * unit + offset)};
    for (int i = 0; i < p->n_feeds; i++)
        if (p->feeds[i].input == v->node)
            return (clg__address){p->feeds[i].buffer->mem, (size_t)offset};
    return (clg__address){NULL, 0};
}

clg__address clg__program_argument(const clg_program *p, const clg__step *step, const clg__arg *arg)
{
    clg__address address;
    if (arg->buffer >= CLG__PREPARED) {
        address = clg__prepared_address(p, arg->buffer);
    } else if (arg->buffer >= 0) {
        address = clg__program_address(p, arg->buffer);
    } else {
        const clg__scratch_plan *s = &p->scratch[step->first_scratch - arg->buffer - 1];
        address = (clg__address){p->chunks[s->chunk]->mem, (size_t)s->address};
    }
    address.offset += (size_t)arg->offset;
    return address;
}

/* A kernel that gets its launch's arguments. */
typedef struct binding {
    const clg_program *p;
    const clg__step *step;
    clg__launch *launch;
    cl_kernel kernel;
    const clg__kernel_place *place;
} binding;

/* Sets the argument at *index, or, of a buffer, two; *index moves behind it. Arguments that are the
 * step are noted, to be set anew in each run. */
static clg_status set_argument(const binding *b, const clg__arg *arg, cl_uint *index)
{
    const cl_kernel kernel = b->kernel;
    clg__address address;
    cl_ulong offset, zero = 0;
    switch (arg->kind) {
    case CLG__ARG_BUFFER:
        address = clg__program_argument(b->p, b->step, arg);
        offset = address.offset;
        CLG_TRY(CLG__CL(clSetKernelArg(kernel, (*index)++, sizeof(cl_mem), &address.mem)));
        return CLG__CL(clSetKernelArg(kernel, (*index)++, sizeof offset, &offset));
    case CLG__ARG_BYTES:
        return CLG__CL(clSetKernelArg(kernel, (*index)++, arg->size, &arg->bytes));
    case CLG__ARG_LOCAL:
        return CLG__CL(clSetKernelArg(kernel, (*index)++, arg->bytes, NULL));
    case CLG__ARG_STEP:
        b->launch->step_args[b->launch->n_step_args++] = (int)*index;
        return CLG__CL(clSetKernelArg(kernel, (*index)++, sizeof zero, &zero));
    }
    return CLG_OK;
}

/* ---- the arguments that a module's epilogues share ---- */

/* Indices of the shared arguments of each kind. */
typedef struct shared {
    cl_uint longs, floats, buffers, steps;
} shared;

static cl_uint *next_shared(shared *next, const clg__arg *arg)
{
    if (arg->kind == CLG__ARG_BUFFER) return &next->buffers;
    if (arg->kind == CLG__ARG_STEP) return &next->steps;
    return arg->size == sizeof(cl_float) ? &next->floats : &next->longs;
}

/* What other epilogues of the module take and this one does not. */
static clg_status set_unused(cl_kernel kernel, shared from, const shared *first, cl_uint end)
{
    const cl_mem none = NULL;
    const cl_ulong zero = 0;
    for (; from.longs < first->floats; from.longs++)
        CLG_TRY(CLG__CL(clSetKernelArg(kernel, from.longs, sizeof zero, &zero)));
    for (; from.floats < first->buffers; from.floats++)
        CLG_TRY(CLG__CL(clSetKernelArg(kernel, from.floats, sizeof(cl_float), &zero)));
    for (; from.buffers < first->steps; from.buffers += 2) {
        CLG_TRY(CLG__CL(clSetKernelArg(kernel, from.buffers, sizeof none, &none)));
        CLG_TRY(CLG__CL(clSetKernelArg(kernel, from.buffers + 1, sizeof zero, &zero)));
    }
    for (; from.steps < end; from.steps++)
        CLG_TRY(CLG__CL(clSetKernelArg(kernel, from.steps, sizeof zero, &zero)));
    return CLG_OK;
}

/* The launch's arguments from own_args on, behind the number of its epilogue. */
static clg_status bind_epilogue(const binding *b, cl_uint index)
{
    const cl_int chosen = b->place->epilogue;
    const clg__slots *slots = &b->place->slots;
    shared first = {.longs = index + 1};
    first.floats = first.longs + (cl_uint)slots->longs;
    first.buffers = first.floats + (cl_uint)slots->floats;
    first.steps = first.buffers + 2 * (cl_uint)slots->buffers;
    shared next = first;
    CLG_TRY(CLG__CL(clSetKernelArg(b->kernel, index, sizeof chosen, &chosen)));
    for (int a = b->launch->own_args; a < b->launch->n_args; a++) {
        const clg__arg *arg = &b->launch->args[a];
        CLG_TRY(set_argument(b, arg, next_shared(&next, arg)));
    }
    return set_unused(b->kernel, next, &first, first.steps + (cl_uint)slots->steps);
}

/* ---- launches ---- */

/* A kernel of many registers may not run in groups as large as wished. */
static clg_status fit_local(const clg_program *p, cl_kernel kernel, clg__launch *launch)
{
    size_t most = 0;
    if (!launch->any_local || wished_group(launch) <= 1) return CLG_OK;
    CLG_TRY(allowed_group(p, kernel, &most));
    if (wished_group(launch) > most) launch->local[0] = 0;
    return CLG_OK;
}

static clg_status bind_launch(const binding *b)
{
    cl_uint index = 0;
    b->launch->n_step_args = 0;
    CLG_TRY(fit_local(b->p, b->kernel, b->launch));
    for (int a = 0; a < clg__own_arguments(b->launch); a++)
        CLG_TRY(set_argument(b, &b->launch->args[a], &index));
    return b->launch->epilogue ? bind_epilogue(b, index) : CLG_OK;
}

clg_status clg__program_bind(clg_program *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        const clg__step *step = &p->steps[i];
        for (size_t k = 0; k < step->lowering.n_launches; k++) {
            int at = step->first_kernel + (int)k;
            clg__launch *launch = &step->lowering.launches[k];
            if (!p->kernels[at]) continue; /* a host call */
            const binding b = {p, step, launch, p->kernels[at], &p->places[at]};
            clg_status status = bind_launch(&b);
            if (status != CLG_OK) return clg__fail_context(status, "kernel %s", launch->kernel);
        }
    }
    return CLG_OK;
}
