/*
 * The kernel that runs strands (strands.h), and its table of arguments: a row per launch.
 *
 *     word 0   number of the kernel among those that strands call
 *          1   work-groups of a strand; strand s has those from s times that on
 *          2   work-groups along x
 *          3   work-groups in all
 *          4.. arguments, a buffer as the number of its memory and an offset; behind those of a
 *              kernel file's own the number of the epilogue and its shared arguments
 *
 * Behind the rows are the counters of strands in step (cl/in_step.cl). CPU engine: a work-group is
 * one work-item.
 */
#include "program/arguments.h"
#include "program/program.h"

enum {
    FIRST_ARGUMENT = 4, /* word of a row */
    STEP_ARGUMENT = 2,  /* argument of the kernel */
    MEMORY_ARGUMENT = 5
};

clg__hash128 clg__strands_key(const clg__strands *s, const clg__hash128 *keys)
{
    clg__hash128 parts[CLG__STRAND_KERNELS + 1] = {clg__hash("strands", 7)};
    for (int k = 0; k < s->n_kernels; k++) parts[k + 1] = keys[s->first + s->kernels[k].launch];
    return clg__hash(parts, (size_t)(s->n_kernels + 1) * sizeof *parts);
}

/* ---- code ---- */

static size_t add_call(clg__str *out, const clg__launch *launch, int number,
                       const clg__slots *slots)
{
    clg__argument_list list = {
        .out = out, .separator = ", ", .form = CLG__AS_WORDS, .word = FIRST_ARGUMENT};
    clg__str_addf(out, "case %d: %s(g %% t[2], g / t[2], 0, t[3]", number, launch->kernel);
    clg__list_own_arguments(&list, launch);
    if (launch->epilogue) clg__list_shared_arguments(&list, slots);
    clg__str_add(out, "); break;\n");
    return list.word;
}

/* One call per body. Returns how many words the one with the most arguments takes. */
static size_t add_calls(clg__str *out, const clg_program *p, const clg__strands *s,
                        const clg__slots *slots)
{
    size_t words = 0;
    for (int k = 0; k < s->n_kernels; k++) {
        if (s->kernels[k].body != k) continue;
        const clg__launch *launch = clg__launch_at(p, s->first + s->kernels[k].launch);
        const size_t used = add_call(out, launch, k, slots);
        if (used > words) words = used;
    }
    return words;
}

static size_t row_words(const clg_program *p, const clg__strands *s, const clg__slots *slots)
{
    clg__str calls = {0};
    const size_t words = add_calls(&calls, p, s, slots);
    clg__str_free(&calls);
    return words;
}

/* Carries out a launch: its share, then, in step, those of strands that are not there. */
static void add_launch(clg__str *out, const clg__str *calls)
{
    clg__str_addf(out,
                  "PLAIN_LOOP for (ulong k = 0; k < (in_step ? strands : 1); k++) {\n"
                  "const ulong strand = (get_group_id(0) + k) %% strands;\n"
                  "if (in_step && !(k ? other_share_taken(counters, strand, i)\n"
                  ": own_share_taken(counters, strand, i))) continue;\n"
                  "const ulong first = strand * t[1], end = min(first + t[1], t[3]);\n"
                  "PLAIN_LOOP for (ulong g = first; g < end; g++) switch ((int)t[0]) {\n%s}\n"
                  "if (in_step) share_done(counters, strand, i);\n}\n",
                  clg__str_text(calls));
}

void clg__strands_code(clg__str *out, const clg_program *p, const clg__strands *s,
                       const clg__slots *slots)
{
    clg__str calls = {0};
    const size_t words = add_calls(&calls, p, s, slots);
    clg__str_addf(out, "#define LINE %d\n%s", CLG__STRAND_LINE, clg__kernel_file("in_step")->text);
    clg__str_add(out, "\n__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void strands("
                      "__global ulong *table, ulong launches, ulong step, "
                      "__local float *local_memory, ulong in_step");
    for (int i = 0; i < CLG__STRAND_MEMORIES; i++) clg__str_addf(out, ", __global float *m%d", i);
    clg__str_add(out, ")\n{\n__global void *const memory[] = {");
    for (int i = 0; i < CLG__STRAND_MEMORIES; i++) clg__str_addf(out, "%sm%d", i ? ", " : "", i);
    clg__str_addf(out,
                  "};\nconst ulong strands = get_num_groups(0);\n"
                  "volatile __global int *const counters = "
                  "(volatile __global int *)(table + launches * %zu);\n"
                  "PLAIN_LOOP for (ulong i = 0; i < launches; i++) {\n"
                  "__global const ulong *t = table + i * %zu;\n",
                  words, words);
    add_launch(out, &calls);
    clg__str_add(out, "}\nif (in_step) strand_leaves(counters, strands);\n}\n");
    out->failed |= calls.failed;
    clg__str_free(&calls);
}

/* ---- the table ---- */

/* A row being written. */
typedef struct row {
    clg_program *p;
    clg__strands *s;
    int launch;
    cl_ulong *words;
    size_t at, local_bytes;
} row;

static cl_ulong number_of_memory(clg__strands *s, cl_mem mem)
{
    for (int i = 0; i < s->n_memories && i < CLG__STRAND_MEMORIES; i++)
        if (s->memories[i] == mem) return (cl_ulong)i;
    if (s->n_memories < CLG__STRAND_MEMORIES) s->memories[s->n_memories] = mem;
    return (cl_ulong)s->n_memories++;
}

static cl_ulong number_of(const clg__arg *arg)
{
    cl_uint narrow;
    memcpy(&narrow, &arg->bytes, sizeof narrow);
    return arg->size == sizeof narrow ? narrow : arg->bytes;
}

static void write_argument(row *r, const clg__arg *arg, size_t *at)
{
    clg__address address;
    switch (arg->kind) {
    case CLG__ARG_BUFFER:
        address = clg__program_argument(r->p, clg__step_of(r->p, r->launch), arg);
        r->words[(*at)++] = number_of_memory(r->s, address.mem);
        r->words[(*at)++] = address.offset;
        return;
    case CLG__ARG_BYTES:
        r->words[(*at)++] = number_of(arg);
        return;
    case CLG__ARG_LOCAL:
        r->words[(*at)++] = r->local_bytes / sizeof(float);
        r->local_bytes += arg->bytes;
        return;
    case CLG__ARG_STEP:
        return;
    }
}

/* What the chosen epilogue does not take stays zero. */
static void write_shared_arguments(row *r, const clg__launch *launch, int epilogue)
{
    const clg__slots *slots = &r->s->place.slots;
    size_t longs = r->at + 1, floats = longs + (size_t)slots->longs;
    size_t buffers = floats + (size_t)slots->floats;
    r->words[r->at] = (cl_ulong)epilogue;
    for (int a = launch->own_args; a < launch->n_args; a++) {
        const clg__arg *arg = &launch->args[a];
        const bool is_buffer = arg->kind == CLG__ARG_BUFFER;
        write_argument(r, arg, is_buffer ? &buffers : arg->is_float ? &floats : &longs);
    }
}

static void write_row(row *r)
{
    const clg__strand_kernel *kernel = &r->s->kernels[r->s->kernel_of[r->launch - r->s->first]];
    const clg__launch *launch = clg__launch_at(r->p, r->launch);
    const size_t groups = launch->global[0] * (launch->dims > 1 ? launch->global[1] : 1);
    r->words[0] = (cl_ulong)kernel->body;
    r->words[1] = r->s->in_step        ? (cl_ulong)clg__ceil_div((int64_t)groups, r->s->strands)
                  : r->s->strands == 1 ? groups
                                       : (cl_ulong)launch->strand_groups;
    r->words[2] = launch->global[0];
    r->words[3] = groups;
    r->at = FIRST_ARGUMENT;
    for (int a = 0; a < clg__own_arguments(launch); a++)
        write_argument(r, &launch->args[a], &r->at);
    if (launch->epilogue) write_shared_arguments(r, launch, kernel->epilogue);
}

static void write_rows(clg_program *p, clg__strands *s, cl_ulong *words, size_t width)
{
    s->n_memories = 0;
    s->local_bytes = sizeof(cl_float);
    for (int i = 0; i < s->count; i++) {
        row r = {.p = p, .s = s, .launch = s->first + i, .words = words + (size_t)i * width};
        write_row(&r);
        if (r.local_bytes > s->local_bytes) s->local_bytes = r.local_bytes;
    }
}

static clg_status write_table(clg_program *p, clg__strands *s)
{
    const size_t width = row_words(p, s, &s->place.slots);
    const size_t counters = clg__strand_counters(p->ctx->info.compute_units);
    const size_t size = (size_t)s->count * width * sizeof(cl_ulong) + counters;
    cl_ulong *words = clg__calloc(1, size);
    clg_status status = words ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK) write_rows(p, s, words, width);
    if (status == CLG_OK && s->n_memories > CLG__STRAND_MEMORIES)
        status = clg__fail(CLG_ERROR_INTERNAL, "strands use %d memories", s->n_memories);
    if (status == CLG_OK && !s->table)
        status = clg__buffer_create(&s->table, p->ctx, size, "arguments of strands");
    if (status == CLG_OK) status = clg__buffer_write(s->table, 0, words, size);
    clg__free(words);
    return status;
}

static clg_status set_arguments(const clg__strands *s)
{
    const cl_ulong launches = (cl_ulong)s->count, no_step = 0, in_step = s->in_step;
    const cl_mem none = NULL;
    CLG_TRY(CLG__CL(clSetKernelArg(s->kernel, 0, sizeof(cl_mem), &s->table->mem)));
    CLG_TRY(CLG__CL(clSetKernelArg(s->kernel, 1, sizeof launches, &launches)));
    CLG_TRY(CLG__CL(clSetKernelArg(s->kernel, STEP_ARGUMENT, sizeof no_step, &no_step)));
    CLG_TRY(CLG__CL(clSetKernelArg(s->kernel, 3, s->local_bytes, NULL)));
    CLG_TRY(CLG__CL(clSetKernelArg(s->kernel, 4, sizeof in_step, &in_step)));
    for (cl_uint i = 0; i < CLG__STRAND_MEMORIES; i++)
        CLG_TRY(CLG__CL(clSetKernelArg(s->kernel, MEMORY_ARGUMENT + i, sizeof(cl_mem),
                                       (int)i < s->n_memories ? &s->memories[i] : &none)));
    return CLG_OK;
}

/* The extent that strands share; 0: launches have several. Equal ones at the batch size of the
 * graph may be others at this one, such as the samples and the steps of a sequence. */
static int64_t shared_extent(const clg_program *p, const clg__strands *s)
{
    const int64_t extent = clg__launch_at(p, s->first)->strand_extent;
    for (int l = s->first + 1; l < s->first + s->count; l++)
        if (clg__launch_at(p, l)->strand_extent != extent) return 0;
    return extent;
}

clg_status clg__strands_bind(clg_program *p)
{
    for (int i = 0; i < p->n_strands; i++) {
        clg__strands *s = &p->strands[i];
        const int64_t units = (int64_t)p->ctx->info.compute_units, extent = shared_extent(p, s);
        bool apart = false;
        if (extent) CLG_TRY(clg__strands_apart(p, s->first, s->count, &apart));
        s->in_step = clg__strands_in_step(p->ctx, extent, units);
        s->strands = apart || s->in_step ? units : 1;
        CLG_TRY(write_table(p, s));
        CLG_TRY(set_arguments(s));
    }
    return CLG_OK;
}

clg_status clg__strands_enqueue(const clg_program *p, const clg__strands *s, cl_ulong step,
                                cl_event *event)
{
    const size_t global = (size_t)s->strands, local = 1;
    CLG_TRY(CLG__CL(clSetKernelArg(s->kernel, STEP_ARGUMENT, sizeof step, &step)));
    return CLG__CL(
        clEnqueueNDRangeKernel(p->ctx->queue, s->kernel, 1, NULL, &global, &local, 0, NULL, event));
}

void clg__strands_work(const clg_program *p, const clg__strands *s, double *flops, double *bytes)
{
    *flops = *bytes = 0;
    for (int l = s->first; l < s->first + s->count; l++) {
        *flops += clg__launch_at(p, l)->flops;
        *bytes += clg__launch_at(p, l)->bytes;
    }
}
