/*
 * Running programs: a run enqueues the bound kernels in order on the context's in-order queue and
 * returns. Profiles wait for each kernel instead.
 */
#include "program/program.h"

/* ---- running ---- */

static clg_status set_step_number(const clg__launch *launch, cl_kernel kernel, cl_ulong number)
{
    for (int i = 0; i < launch->n_step_args; i++)
        CLG_TRY(
            CLG__CL(clSetKernelArg(kernel, (cl_uint)launch->step_args[i], sizeof number, &number)));
    return CLG_OK;
}

/* Number of the step, from 1, and in the upper bits that of the micro-batch, from 0. */
static cl_ulong step_number(const clg_program *p)
{
    if (p->replayed) return p->replayed->last_step;
    uint64_t part = p->ir.mode == CLG_ACCUMULATION ? p->graph->accumulated : 0;
    return (p->graph->steps + 1) | part << 48;
}

static clg__storage *storage_of(const clg_program *p, int variable)
{
    return ((const clg__variable_attr *)p->ir.values[variable].node->attr)->storage;
}

/* What a run changes in the program and its graph. */
static void count_run(clg_program *p)
{
    p->last_step = step_number(p);
    p->has_run = true;
    clg__constants_made(p);
    if (p->replayed) return;
    bool steps = p->ir.mode == CLG_TRAINING || p->ir.mode == CLG_UPDATE;
    if (steps) p->graph->steps++;
    if (p->ir.mode == CLG_UPDATE) p->graph->accumulated = 0;
    if (p->ir.mode == CLG_ACCUMULATION) p->graph->accumulated++;
    for (int i = 0; i < p->ir.n_assignments; i++)
        storage_of(p, p->ir.assignments[i].variable)->version++;
}

static clg_status call_host(clg_program *p, const clg__step *step, const clg__launch *launch)
{
    clg__address buffers[CLG__MAX_ARGS];
    int n = 0;
    for (int a = 0; a < launch->n_args; a++)
        if (launch->args[a].kind == CLG__ARG_BUFFER)
            buffers[n++] = clg__program_argument(p, step, &launch->args[a]);
    return launch->call(p->ctx, buffers, launch->numbers);
}

/* The first launch of strands runs all of them. */
static bool is_joined(const clg_program *p, const clg__step *step, size_t index)
{
    const int number = step->first_kernel + (int)index;
    const clg__strands *strands = clg__strands_of(p, number);
    return strands && strands->first != number;
}

static bool is_constant(const clg_program *p, const clg__step *step)
{
    return p->ir.clusters[step->cluster].constant;
}

/* Another launch runs it, or what it computes or prepares is there already. */
static bool left_out(const clg_program *p, const clg__step *step, size_t index)
{
    const clg__launch *launch = &step->lowering.launches[index];
    return is_joined(p, step, index) || (is_constant(p, step) && p->constants_fresh) ||
           (launch->prepares && clg__prepared_fresh(p, launch->prepares));
}

static clg_status enqueue(clg_program *p, const clg__step *step, size_t index, cl_event *event)
{
    const clg__launch *launch = &step->lowering.launches[index];
    const int number = step->first_kernel + (int)index;
    if (left_out(p, step, index)) return CLG_OK;
    if (launch->call) return call_host(p, step, launch);
    const clg__strands *strands = clg__strands_of(p, number);
    if (strands) return clg__strands_enqueue(p, strands, step_number(p), event);
    cl_kernel kernel = p->kernels[number];
    CLG_TRY(set_step_number(launch, kernel, step_number(p)));
    const size_t *local = launch->local[0] ? launch->local : NULL;
    clg_status status = CLG__CL(clEnqueueNDRangeKernel(p->ctx->queue, kernel, launch->dims, NULL,
                                                       launch->global, local, 0, NULL, event));
    if (status == CLG_OK && launch->prepares) clg__prepared_made(p, launch->prepares);
    return status == CLG_OK ? CLG_OK : clg__fail_context(status, "kernel %s", launch->kernel);
}

/* Assignments whose value could not be written in place. */
static clg_status copy_assignments(clg_program *p)
{
    for (int i = 0; i < p->ir.n_assignments; i++) {
        const struct clg__assignment *a = &p->ir.assignments[i];
        if (!a->copied) continue;
        clg__address from = clg__program_address(p, a->value);
        clg__address to = clg__program_address(p, a->variable);
        size_t bytes =
            (size_t)clg_shape_count(&p->ir.values[a->variable].node->shape) * sizeof(float);
        if (from.mem == to.mem && from.offset == to.offset) continue;
        CLG_TRY(CLG__CL(clEnqueueCopyBuffer(p->ctx->queue, from.mem, to.mem,
                                            from.offset * sizeof(float), to.offset * sizeof(float),
                                            bytes, 0, NULL, NULL)));
    }
    return CLG_OK;
}

static clg_status check_ready(clg_program *p)
{
    if (!p->bound)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "run: clg_program_set_batch failed; set a batch size again");
    clg__constants_check(p);
    if (p->ir.mode == CLG_UPDATE && p->graph->accumulated == 0 && !p->replayed)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "run: no gradients were accumulated since the last step");
    for (int i = 0; i < p->n_feeds; i++)
        if (!p->feeds[i].fed)
            return clg__fail(CLG_ERROR_ARGUMENT, "run: input %s was not fed%s",
                             clg_tensor_name(p->feeds[i].input),
                             p->batch != p->max_batch ? " at this batch size" : "");
    return CLG_OK;
}

clg_status clg_program_run(clg_program *p)
{
    CLG__NEEDS(p);
    CLG_TRY(check_ready(p));
    for (int i = 0; i < p->n_steps; i++)
        for (size_t k = 0; k < p->steps[i].lowering.n_launches; k++)
            CLG_TRY(enqueue(p, &p->steps[i], k, NULL));
    CLG_TRY(copy_assignments(p));
    CLG_TRY(CLG__CL(clFlush(p->ctx->queue)));
    count_run(p);
    return CLG_OK;
}

/* ---- counts ---- */

static size_t repeated_steps(const clg__ir *ir)
{
    size_t once = 0;
    for (int c = 0; c < ir->n_clusters; c++)
        once += !ir->clusters[c].dead && ir->clusters[c].head == c;
    return (size_t)ir->n_order - once;
}

void clg_program_query(const clg_program *p, clg_program_stats *out)
{
    CLG__NEEDS_OR(, out);
    *out = (clg_program_stats){0};
    CLG__NEEDS_OR(, p);
    *out = (clg_program_stats){.arena_bytes = clg__ir_arena(&p->ir) * sizeof(float),
                               .values_bytes = (uint64_t)p->ir.unshared * sizeof(float),
                               .repeated_steps = repeated_steps(&p->ir)};
    for (int id = 0; id < p->ir.n_values; id++)
        out->nodes += p->ir.values[id].live && !p->ir.values[id].uniform;
    const bool constants_last = clg__constants_last(p);
    for (int i = 0; i < p->n_steps; i++) {
        const clg__lowering *lo = &p->steps[i].lowering;
        const bool once = constants_last && is_constant(p, &p->steps[i]);
        for (size_t k = 0; k < lo->n_launches; k++) {
            const clg__launch *launch = &lo->launches[k];
            if (!once && !is_joined(p, &p->steps[i], k))
                out->launches += !launch->prepares || !clg__prepared_lasts(p, launch->prepares);
            out->flops += launch->flops;
        }
    }
}

/* ---- profile ---- */

static double event_seconds(cl_event event)
{
    cl_ulong start = 0, end = 0;
    clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
    clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
    return (double)(end - start) * 1e-9;
}

static clg_status profile_launch(clg_program *p, const clg__step *step, size_t index,
                                 clg_profile_row *row)
{
    const clg__launch *launch = &step->lowering.launches[index];
    clg__str text = {0};
    clg__step_text(p, step, &text);
    const clg__strands *strands = clg__strands_of(p, step->first_kernel + (int)index);
    snprintf(row->name, sizeof row->name, "%s%s%s",
             strands          ? "strands"
             : launch->kernel ? launch->kernel
                              : "library call",
             ": ", clg__str_text(&text));
    clg__str_free(&text);
    row->flops = launch->flops;
    row->bytes = launch->bytes;
    if (strands) clg__strands_work(p, strands, &row->flops, &row->bytes);
    cl_event event = NULL;
    CLG_TRY(enqueue(p, step, index, &event));
    clg_status status = clg_context_finish(p->ctx);
    if (!event) return status; /* a library's own kernels: no event of ours */
    if (status == CLG_OK) row->seconds = event_seconds(event);
    clReleaseEvent(event);
    return status;
}

clg_status clg_program_profile(clg_program *p, clg_profile_row **out, size_t *count)
{
    CLG__NEEDS(p && out && count);
    CLG_TRY(check_ready(p));
    if (!p->ctx->profiling)
        return clg__fail(CLG_ERROR_ARGUMENT, "profile: create the context with .profiling = true");
    clg_profile_row *rows = clg__calloc((size_t)p->n_kernels + 1, sizeof *rows);
    if (!rows) return CLG_ERROR_MEMORY;
    size_t n = 0;
    clg_status status = CLG_OK;
    for (int i = 0; i < p->n_steps; i++)
        for (size_t k = 0; status == CLG_OK && k < p->steps[i].lowering.n_launches; k++)
            if (!left_out(p, &p->steps[i], k))
                status = profile_launch(p, &p->steps[i], k, &rows[n++]);
    if (status == CLG_OK) status = copy_assignments(p);
    if (status != CLG_OK) {
        clg__free(rows);
        return status;
    }
    count_run(p);
    *out = rows;
    *count = n;
    return CLG_OK;
}
