/*
 * Fitting a program into a memory budget: steps run again (rematerialize.c) until the plan is small
 * enough. The whole program is lowered again only for the order that does.
 */
#include "program/program.h"

/* What moving a byte costs in floating-point operations: between a processor's (6) and a graphics
 * card's (20 and more). */
static const double FLOPS_PER_BYTE = 8;

typedef struct fitting {
    clg_program *p;
    const clg__step **lowered; /* per cluster: its step, as it is without repetitions */
    clg__step_work *work;      /* per cluster */
} fitting;

static clg__step_work work_of(const clg_program *p, const clg__step *step)
{
    clg__step_work work = {.cost = 0};
    for (size_t k = 0; k < step->lowering.n_launches; k++) {
        const clg__launch *launch = &step->lowering.launches[k];
        work.cost += launch->flops + FLOPS_PER_BYTE * launch->bytes;
    }
    for (int k = 0; k < step->lowering.n_scratch; k++)
        work.scratch += p->scratch[step->first_scratch + k].size;
    return work;
}

static clg_status start(fitting *f, clg_program *p)
{
    const size_t clusters = (size_t)p->ir.n_clusters + 1;
    *f = (fitting){.p = p,
                   .lowered = clg__calloc(clusters, sizeof *f->lowered),
                   .work = clg__calloc(clusters, sizeof *f->work)};
    if (!f->lowered || !f->work) return CLG_ERROR_MEMORY;
    for (int i = 0; i < p->n_steps; i++) {
        const clg__step *step = &p->steps[i];
        f->lowered[step->cluster] = step;
        f->work[step->cluster] = work_of(p, step);
    }
    return CLG_OK;
}

/* The memory plan with repetitions: a repeated step's scratch is that of the first time. */
static clg_status plan(const fitting *f)
{
    const clg_program *p = f->p;
    size_t n = 0;
    for (int i = 0; i < p->ir.n_order; i++)
        n += (size_t)f->lowered[p->ir.order[i]]->lowering.n_scratch;
    clg__scratch_plan *scratch = clg__calloc(n + 1, sizeof *scratch);
    if (!scratch) return CLG_ERROR_MEMORY;
    n = 0;
    for (int i = 0; i < p->ir.n_order; i++) {
        const clg__step *step = f->lowered[p->ir.order[i]];
        for (int k = 0; k < step->lowering.n_scratch; k++)
            scratch[n++] =
                (clg__scratch_plan){.step = i, .size = p->scratch[step->first_scratch + k].size};
    }
    clg_status status = clg__ir_plan(&f->p->ir, p->max_batch, scratch, n);
    clg__free(scratch);
    return status;
}

static uint64_t arena_bytes(const clg_program *p)
{
    return clg__ir_arena(&p->ir) * sizeof(float);
}

static clg_status explain(const clg_program *p, uint64_t budget, uint64_t needed)
{
    return clg__fail(CLG_ERROR_MEMORY,
                     "a program at batch %lld needs %s for activations and gradients, however many "
                     "of its steps run again; the memory budget is %s",
                     (long long)p->max_batch, CLG__BYTES_TEXT(needed), CLG__BYTES_TEXT(budget));
}

/* Until what is alive at once is at most `goal` bytes, or as few as can be: *reached. */
static clg_status repeat_steps(const fitting *f, int64_t goal, int64_t *reached)
{
    const int64_t unit = (int64_t)sizeof(float);
    CLG_TRY(clg__ir_rematerialize(&f->p->ir, f->work, goal / unit, reached));
    *reached *= unit;
    return CLG_OK;
}

/* A plan is a little larger than what is alive at once, `reached`: then that has to be less. It
 * moves by whole values, so only a goal below it changes anything. */
static clg_status fit(const fitting *f, uint64_t budget)
{
    int64_t goal = (int64_t)budget, reached; /* smaller than the arena, so it is in range */
    for (;;) {
        CLG_TRY(repeat_steps(f, goal, &reached));
        if (reached > goal) return explain(f->p, budget, budget + (uint64_t)(reached - goal));
        CLG_TRY(plan(f));
        const uint64_t arena = arena_bytes(f->p);
        if (arena <= budget) return CLG_OK;
        goal = clg__min_i64(goal - (int64_t)(arena - budget), reached - 1);
    }
}

clg_status clg__program_fit(clg_program *p, uint64_t budget)
{
    if (arena_bytes(p) <= budget) return CLG_OK;
    fitting f;
    clg_status status = start(&f, p);
    if (status == CLG_OK) status = fit(&f, budget);
    clg__free(f.lowered);
    clg__free(f.work);
    return status == CLG_OK ? clg__program_plan(p) : status;
}
