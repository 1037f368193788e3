/*
 * Launches for strands (strands.h): finding them, and the proof that strands do not meet.
 */
#include <stdlib.h>

#include "program/program.h"

enum {
    LEAST_LAUNCHES = 8, /* the fewer, the less there is to gain for another kernel */
    LEAST_REPEATS = 3   /* launches per kernel: a loop, not whatever stands together */
};

clg__strands *clg__strands_of(const clg_program *p, int launch)
{
    for (int i = 0; i < p->n_strands; i++)
        if (launch >= p->strands[i].first && launch < p->strands[i].first + p->strands[i].count)
            return &p->strands[i];
    return NULL;
}

/* ---- what launches touch ---- */

/* Part of a memory, in elements of 4 bytes: of others launches do not tell. */
typedef struct area {
    cl_mem mem;
    int64_t at, unit, span, end; /* end: of all indices */
    bool writes;
} area;

typedef struct areas {
    area *items;
    size_t count, capacity;
} areas;

static bool all_told(const clg__launch *launch)
{
    for (int i = 0; i < launch->n_args; i++)
        if (launch->args[i].kind == CLG__ARG_BUFFER && !launch->args[i].touches) return false;
    return true;
}

static clg_status add_area(areas *to, const clg_program *p, const clg__step *step,
                           const clg__arg *arg, int64_t extent)
{
    void *items = to->items;
    CLG_TRY(clg__grow(&items, &to->capacity, to->count + 1, sizeof *to->items));
    to->items = items;
    const clg__address address = clg__program_argument(p, step, arg);
    area a = {address.mem, (int64_t)address.offset, arg->unit, arg->span, 0, arg->writes};
    a.end = a.at + (extent - 1) * a.unit + a.span;
    to->items[to->count++] = a;
    return CLG_OK;
}

static clg_status collect_areas(areas *to, const clg_program *p, int first, int count)
{
    for (int l = first; l < first + count; l++) {
        const clg__launch *launch = clg__launch_at(p, l);
        for (int i = 0; i < launch->n_args; i++)
            if (launch->args[i].kind == CLG__ARG_BUFFER)
                CLG_TRY(
                    add_area(to, p, clg__step_of(p, l), &launch->args[i], launch->strand_extent));
    }
    return CLG_OK;
}

static int by_address(const void *a, const void *b)
{
    const area *x = a, *y = b;
    if (x->mem != y->mem) return x->mem < y->mem ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Two overlapping areas of which one is written: all that an index has of both lies in one cell,
 * and the cells of other indices lie elsewhere. */
static bool same_cells(const area *low, const area *high)
{
    const int64_t end = clg__max_i64(low->at + low->span, high->at + high->span);
    return low->unit == high->unit && end - low->at <= low->unit;
}

static bool are_apart(const areas *all)
{
    int memories = 0;
    for (size_t i = 0; i < all->count; i++) {
        const area *low = &all->items[i];
        memories += i == 0 || low->mem != all->items[i - 1].mem;
        if (memories > CLG__STRAND_MEMORIES) return false;
        if (low->writes && !same_cells(low, low)) return false;
        for (size_t k = i + 1; k < all->count; k++) {
            const area *high = &all->items[k];
            if (high->mem != low->mem || high->at >= low->end) break;
            if ((low->writes || high->writes) && !same_cells(low, high)) return false;
        }
    }
    return true;
}

clg_status clg__strands_apart(const clg_program *p, int first, int count, bool *apart)
{
    areas all = {0};
    clg_status status = collect_areas(&all, p, first, count);
    if (status == CLG_OK && all.count) qsort(all.items, all.count, sizeof *all.items, by_address);
    *apart = status == CLG_OK && are_apart(&all);
    clg__free(all.items);
    return status;
}

/* ---- finding launches for strands ---- */

static bool can_share(const clg_program *p, int l)
{
    const clg__launch *launch = clg__launch_at(p, l);
    const clg__step *step = clg__step_of(p, l);
    return launch->strand_extent > 0 && !p->ir.clusters[step->cluster].constant && !launch->call &&
           !launch->prepares && launch->dims <= 2 && step->lowering.n_scratch == 0 &&
           all_told(launch);
}

/* The number of the launch's kernel among the strands', made if it is new; -1 if there is no room
 * for it. Its code is generated, or that of the one file that strands can have. */
static int kernel_number(clg__strands *s, const clg_program *p, const clg__hash128 *keys, int l)
{
    const clg__launch *launch = clg__launch_at(p, l);
    clg__strand_kernel new = {.launch = l - s->first, .body = s->n_kernels};
    for (int k = 0; k < s->n_kernels; k++) {
        const int known = s->first + s->kernels[k].launch;
        if (clg__hash_equal(keys[known], keys[l])) return k;
        const clg__launch *other = clg__launch_at(p, known);
        if (!launch->file || !other->file) continue;
        if (strcmp(other->file, launch->file) || strcmp(other->kernel, launch->kernel) ||
            strcmp(other->defines, launch->defines) || !launch->epilogue)
            return -1;
        new.body = s->kernels[k].body;
        new.epilogue++;
    }
    if (s->n_kernels == CLG__STRAND_KERNELS) return -1;
    s->kernels[s->n_kernels] = new;
    return s->n_kernels++;
}

static bool is_worth_it(const clg__strands *s)
{
    return s->count >= LEAST_LAUNCHES && s->count >= LEAST_REPEATS * s->n_kernels;
}

/* All launches from s->first on that the same strands can carry out, by their form. */
static void extend(clg__strands *s, const clg_program *p, const clg__hash128 *keys)
{
    const int64_t extent = clg__launch_at(p, s->first)->strand_extent;
    s->count = s->n_kernels = 0;
    for (int l = s->first; l < p->n_kernels && can_share(p, l); l++) {
        if (clg__launch_at(p, l)->strand_extent != extent) break;
        const int kernel = kernel_number(s, p, keys, l);
        if (kernel < 0) break;
        s->kernel_of[s->count++] = (unsigned char)kernel;
    }
}

/* Strands end before the first launch that would let them meet. */
static clg_status shorten(clg__strands *s, const clg_program *p)
{
    int good = 0, bad = s->count + 1;
    while (good + 1 < bad) {
        const int tried = bad > s->count ? s->count : (good + bad) / 2;
        bool apart;
        CLG_TRY(clg__strands_apart(p, s->first, tried, &apart));
        if (apart)
            good = tried;
        else
            bad = tried;
    }
    s->count = good;
    while (s->n_kernels && s->kernels[s->n_kernels - 1].launch >= good) s->n_kernels--;
    return CLG_OK;
}

static clg_status keep_strands(clg_program *p, const clg__strands *found)
{
    clg__strands *all = p->strands;
    size_t capacity = (size_t)p->n_strands;
    CLG_TRY(clg__grow((void **)&all, &capacity, (size_t)p->n_strands + 1, sizeof *all));
    p->strands = all;
    clg__strands *s = &all[p->n_strands];
    *s = *found;
    s->kernel_of = clg__alloc((size_t)s->count);
    if (!s->kernel_of) return CLG_ERROR_MEMORY;
    memcpy(s->kernel_of, found->kernel_of, (size_t)s->count);
    p->n_strands++;
    return CLG_OK;
}

static clg_status find_strands(clg_program *p, const clg__hash128 *keys, unsigned char *kernel_of)
{
    for (int l = 0; l < p->n_kernels; l++) {
        if (!can_share(p, l)) continue;
        clg__strands s = {.first = l, .kernel_of = kernel_of};
        extend(&s, p, keys);
        if (!is_worth_it(&s)) continue;
        CLG_TRY(shorten(&s, p));
        if (!is_worth_it(&s)) continue;
        CLG_TRY(keep_strands(p, &s));
        l += s.count - 1;
    }
    return CLG_OK;
}

/* The launches are recorded for so many strands. */
static clg_status record_anew(clg_program *p)
{
    for (int i = 0; i < p->n_strands; i++)
        for (int l = p->strands[i].first; l < p->strands[i].first + p->strands[i].count; l++)
            p->steps[p->step_of_launch[l]].strands = (int64_t)p->ctx->info.compute_units;
    return p->n_strands ? clg__program_lower(p, p->batch) : CLG_OK;
}

clg_status clg__strands_form(clg_program *p, const clg__hash128 *keys)
{
    if (p->ctx->engine != CLG_ENGINE_CPU || p->ctx->info.compute_units < 2) return CLG_OK;
    p->step_of_launch = clg__calloc((size_t)p->n_kernels + 1, sizeof *p->step_of_launch);
    unsigned char *kernel_of = clg__calloc((size_t)p->n_kernels + 1, 1);
    clg_status status = p->step_of_launch && kernel_of ? CLG_OK : CLG_ERROR_MEMORY;
    for (int i = 0; status == CLG_OK && i < p->n_steps; i++)
        for (size_t k = 0; k < p->steps[i].lowering.n_launches; k++)
            p->step_of_launch[p->steps[i].first_kernel + (int)k] = i;
    if (status == CLG_OK) status = find_strands(p, keys, kernel_of);
    clg__free(kernel_of);
    return status == CLG_OK ? record_anew(p) : status;
}

void clg__strands_free(clg_program *p)
{
    for (int i = 0; i < p->n_strands; i++) {
        if (p->strands[i].kernel) clReleaseKernel(p->strands[i].kernel);
        clg__buffer_destroy(p->strands[i].table);
        clg__free(p->strands[i].kernel_of);
    }
    clg__free(p->strands);
    clg__free(p->step_of_launch);
}
