/*
 * From clusters to bound kernels: record the launches of every step, build all kernels they name
 * (in parallel, few programs), and set the arguments.
 *
 * Recording and binding happen again for another batch size; building does not: the same steps name
 * the same kernels.
 */
#include "program/program.h"

/* ---- recording launches ---- */

static int64_t work_items(const clg_context *ctx, int64_t elements)
{
    /* On a CPU a few shares per core, each worth a launch; on a GPU as many as there are vectors.
     */
    int64_t shares = clg__ceil_div(elements, 4096);
    return clg__max_i64(1, clg__min_i64(shares, 8 * (int64_t)ctx->info.compute_units));
}

static void lower_pointwise(clg_program *p, clg__step *step, clg__cluster *c, clg__launch *launch,
                            int64_t batch)
{
    clg__space space;
    clg__space_make(&space, &p->ir, c, 0);
    clg__space_bind(&space, &p->ir, c, 0, batch);
    int64_t columns = space.extent[space.n_axes - 1], rows = 1, width = clg__vector_width(p->ctx);
    for (int k = 0; k < space.n_axes - 1; k++) rows *= space.extent[k];
    int64_t row_chunk = 1, column_chunk = width;
    if (p->ctx->engine == CLG_ENGINE_CPU) {
        int64_t shares = work_items(p->ctx, rows * columns);
        int64_t row_shares = clg__min_i64(shares, rows);
        row_chunk = clg__ceil_div(rows, row_shares);
        column_chunk =
            clg__round_up(clg__ceil_div(columns, clg__ceil_div(shares, row_shares)), width);
    }
    clg__launch_long(launch, rows);
    clg__launch_long(launch, row_chunk);
    clg__launch_long(launch, column_chunk);
    clg__bind_stage(launch, &p->ir, c, 0, &space, batch);
    size_t global[2] = {(size_t)clg__ceil_div(columns, column_chunk),
                        (size_t)clg__ceil_div(rows, row_chunk)};
    clg__launch_spread(launch, 2, global);
    clg__launch_work(launch, (double)(rows * columns) * c->body[0].n_members,
                     (double)(rows * columns) * 4.0 * (space.n_loads + 1));
}

/* Elements of partial results: one per reduction, output element and part. */
static int64_t partial_count(const clg__cluster *c, const clg__reduce_plan *plan)
{
    return c->n_reduces * plan->outer * plan->inner * plan->parts;
}

static void bind_epilogue_stage(clg_program *p, clg__cluster *c, clg__launch *launch, int64_t batch)
{
    clg__space space;
    clg__space_make(&space, &p->ir, c, 1);
    clg__space_bind(&space, &p->ir, c, 1, batch);
    clg__bind_stage(launch, &p->ir, c, 1, &space, batch);
}

static clg__launch *start_generated(clg__lowering *lo, const char *name)
{
    clg__launch *launch = clg__lower_call(lo, NULL);
    if (launch) launch->kernel = name;
    return launch;
}

static void lower_final(clg_program *p, clg__step *step, clg__cluster *c,
                        const clg__reduce_plan *plan, clg__buffer_id partial, int64_t batch)
{
    clg__launch *launch = start_generated(&step->lowering, step->name[1]);
    clg__reduce_launch_final(launch, plan);
    clg__launch_buffer(launch, partial);
    bind_epilogue_stage(p, c, launch, batch);
    clg__launch_work(launch, (double)partial_count(c, plan), 4.0 * (double)partial_count(c, plan));
}

static void lower_reduce(clg_program *p, clg__step *step, clg__cluster *c, clg__launch *launch,
                         int64_t batch)
{
    clg__space space;
    clg__space_make(&space, &p->ir, c, 0);
    clg__space_bind(&space, &p->ir, c, 0, batch);
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
    if (plan.two_stages) lower_final(p, step, c, &plan, partial, batch);
}

static void add_epilogue_arguments(clg_program *p, clg__step *step, clg__cluster *c, int64_t batch)
{
    clg__lowering *lo = &step->lowering;
    int ndim = lo->out_shape.ndim;
    for (size_t i = 0; i < lo->n_launches; i++) {
        clg__launch *launch = &lo->launches[i];
        if (!launch->epilogue) continue;
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
    step->lowering = (clg__lowering){.ctx = p->ctx};
    if (c->kind == CLG__CLUSTER_KERNEL) {
        step->lowering.node = p->ir.values[c->anchor].node;
        return lower_kernel(p, step, c, batch);
    }
    clg__launch *launch = start_generated(&step->lowering, step->name[0]);
    if (c->kind == CLG__CLUSTER_POINTWISE)
        lower_pointwise(p, step, c, launch, batch);
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
    unsigned long long hash = clg__hash(text.text, text.length).lo;
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

/* ---- building kernels ---- */

enum { GENERATED_MODULES = 2 }; /* one for each of two building threads; more cost more headers */

typedef struct builder {
    clg__str generated[GENERATED_MODULES];
    clg__module_request *requests;
    clg__str *sources; /* of the hand-written kernels */
    int *request_of;   /* per launch: index into requests, -1 for host calls */
    size_t n_requests;
} builder;

static clg_status add_request(builder *b, const char *name, clg__str *source, int *index)
{
    if (source->failed) return CLG_ERROR_MEMORY;
    for (size_t i = GENERATED_MODULES; i < b->n_requests; i++) {
        if (strcmp(b->requests[i].source, source->text) != 0) continue;
        *index = (int)i;
        return CLG_OK;
    }
    *index = (int)b->n_requests;
    b->sources[b->n_requests] = *source;
    b->requests[b->n_requests++] =
        (clg__module_request){.name = name, .source = source->text, .options = ""};
    *source = (clg__str){0}; /* kept by the builder now */
    return CLG_OK;
}

/* Knobs, the shared vocabulary, the epilogue, the kernel file. */
static clg_status request_file(builder *b, const clg_program *p, const clg__step *step,
                               const clg__launch *launch, int *index)
{
    const char *text = clg__kernel_source(launch->file);
    if (!text) return clg__fail(CLG_ERROR_INTERNAL, "no kernel file %s.cl", launch->file);
    clg__str source = {0};
    clg__str_add(&source, launch->defines);
    if (launch->epilogue) {
        clg__str_add(&source, clg__kernel_source("pointwise"));
        clg__codegen_epilogue(&source, &p->ir, &p->ir.clusters[step->cluster]);
    }
    clg__str_add(&source, text);
    clg_status status = add_request(b, launch->file, &source, index);
    clg__str_free(&source);
    return status;
}

/* The module that has the step's kernel: of an equal step before it, or where it is written now. */
static int request_generated(builder *b, const clg_program *p, const clg__step *step)
{
    for (const clg__step *equal = p->steps; equal < step; equal++)
        if (strcmp(equal->name[0], step->name[0]) == 0) return b->request_of[equal->first_kernel];
    int module = b->generated[0].length <= b->generated[1].length ? 0 : 1;
    clg__codegen_kernels(&b->generated[module], &p->ir, &p->ir.clusters[step->cluster],
                         step->name[0], step->two_stages);
    return module;
}

static clg_status request_step(builder *b, clg_program *p, clg__step *step)
{
    int generated = step->name[0][0] ? request_generated(b, p, step) : -1;
    for (size_t i = 0; i < step->lowering.n_launches; i++) {
        const clg__launch *launch = &step->lowering.launches[i];
        int *index = &b->request_of[step->first_kernel + (int)i];
        *index = generated;
        if (launch->file) CLG_TRY(request_file(b, p, step, launch, index));
    }
    return CLG_OK;
}

static clg_status request_all(builder *b, clg_program *p)
{
    const char *vocabulary = clg__kernel_source("pointwise");
    b->n_requests = GENERATED_MODULES;
    for (int i = 0; i < GENERATED_MODULES; i++) clg__str_add(&b->generated[i], vocabulary);
    for (int i = 0; i < p->n_steps; i++) CLG_TRY(request_step(b, p, &p->steps[i]));
    for (int i = 0; i < GENERATED_MODULES; i++) {
        if (b->generated[i].failed) return CLG_ERROR_MEMORY;
        b->requests[i] = (clg__module_request){
            .name = "generated kernels", .source = b->generated[i].text, .options = ""};
    }
    return CLG_OK;
}

/* Builds what launches ask for: a generated module that got no kernel is left out. */
static clg_status build_modules(builder *b, clg_program *p)
{
    size_t empty = strlen(clg__kernel_source("pointwise")), n = 0;
    clg__module_request *active = clg__calloc(b->n_requests, sizeof *active);
    if (!active) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < b->n_requests; i++)
        if (i >= GENERATED_MODULES || b->generated[i].length > empty) active[n++] = b->requests[i];
    clg_status status = clg__modules_get(p->ctx, active, n);
    for (size_t i = 0, k = 0; i < b->n_requests && status == CLG_OK; i++)
        if (k < n && active[k].source == b->requests[i].source) b->requests[i] = active[k++];
    clg__free(active);
    return status;
}

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
static clg_status check_group(clg_program *p, cl_kernel kernel, const clg__launch *launch)
{
    size_t most = 0, needed = launch->any_local ? 1 : wished_group(launch);
    if (needed <= 1) return CLG_OK;
    CLG_TRY(allowed_group(p, kernel, &most));
    if (most == 0 || needed <= most) return CLG_OK;
    p->allowed = most;
    return clg__fail(CLG_ERROR_UNSUPPORTED, "kernel %s runs in groups of %zu, but needs %zu on %s",
                     launch->kernel, most, needed, p->ctx->info.name);
}

static clg_status create_kernels(const builder *b, clg_program *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        const clg__step *step = &p->steps[i];
        for (size_t k = 0; k < step->lowering.n_launches; k++) {
            int index = step->first_kernel + (int)k, request = b->request_of[index];
            const clg__launch *launch = &step->lowering.launches[k];
            if (request < 0) continue;
            CLG_TRY(clg__kernel_create(&p->kernels[index], b->requests[request].module,
                                       launch->kernel));
            CLG_TRY(check_group(p, p->kernels[index], launch));
        }
    }
    return CLG_OK;
}

clg_status clg__program_build(clg_program *p)
{
    p->n_kernels = 0;
    for (int i = 0; i < p->n_steps; i++) {
        p->steps[i].first_kernel = p->n_kernels;
        p->n_kernels += (int)p->steps[i].lowering.n_launches;
    }
    size_t room = (size_t)p->n_kernels + GENERATED_MODULES + 1;
    builder b = {.requests = clg__calloc(room, sizeof *b.requests),
                 .sources = clg__calloc(room, sizeof *b.sources),
                 .request_of = clg__calloc(room, sizeof *b.request_of)};
    p->kernels = clg__calloc(room, sizeof *p->kernels);
    clg_status status = CLG_ERROR_MEMORY;
    if (b.requests && b.sources && b.request_of && p->kernels) status = request_all(&b, p);
    if (status == CLG_OK) status = build_modules(&b, p);
    if (status == CLG_OK) status = create_kernels(&b, p);
    for (size_t i = 0; b.sources && i < b.n_requests; i++) clg__str_free(&b.sources[i]);
    for (int i = 0; i < GENERATED_MODULES; i++) clg__str_free(&b.generated[i]);
    clg__free(b.requests);
    clg__free(b.sources);
    clg__free(b.request_of);
    return status;
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

static clg_status set_argument(const clg_program *p, const clg__step *step, cl_kernel kernel,
                               const clg__arg *arg, cl_uint *index)
{
    clg__address address;
    cl_ulong offset, zero = 0;
    switch (arg->kind) {
    case CLG__ARG_BUFFER:
        address = clg__program_argument(p, step, arg);
        offset = address.offset;
        CLG_TRY(CLG__CL(clSetKernelArg(kernel, (*index)++, sizeof(cl_mem), &address.mem)));
        return CLG__CL(clSetKernelArg(kernel, (*index)++, sizeof offset, &offset));
    case CLG__ARG_BYTES:
        return CLG__CL(clSetKernelArg(kernel, (*index)++, arg->size, &arg->bytes));
    case CLG__ARG_LOCAL:
        return CLG__CL(clSetKernelArg(kernel, (*index)++, arg->bytes, NULL));
    case CLG__ARG_STEP:
        return CLG__CL(clSetKernelArg(kernel, (*index)++, sizeof zero, &zero));
    }
    return CLG_OK;
}

/* A kernel of many registers may not run in groups as large as wished. */
static clg_status fit_local(const clg_program *p, cl_kernel kernel, clg__launch *launch)
{
    size_t most = 0;
    if (!launch->any_local || wished_group(launch) <= 1) return CLG_OK;
    CLG_TRY(allowed_group(p, kernel, &most));
    if (wished_group(launch) > most) launch->local[0] = 0;
    return CLG_OK;
}

static clg_status bind_launch(const clg_program *p, const clg__step *step, cl_kernel kernel,
                              clg__launch *launch)
{
    cl_uint index = 0;
    CLG_TRY(fit_local(p, kernel, launch));
    for (int a = 0; a < launch->n_args; a++)
        CLG_TRY(set_argument(p, step, kernel, &launch->args[a], &index));
    return CLG_OK;
}

clg_status clg__program_bind(clg_program *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        const clg__step *step = &p->steps[i];
        for (size_t k = 0; k < step->lowering.n_launches; k++) {
            cl_kernel kernel = p->kernels[step->first_kernel + (int)k];
            clg__launch *launch = &step->lowering.launches[k];
            clg_status status = kernel ? bind_launch(p, step, kernel, launch) : CLG_OK;
            if (status != CLG_OK) return clg__fail_context(status, "kernel %s", launch->kernel);
        }
    }
    return CLG_OK;
}
