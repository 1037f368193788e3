/*
 * Fitting a program into a memory budget: steps run again (rematerialize.c) until the plan is small
 * enough.
 */
#include "program/program.h"

/* What moving a byte costs in floating-point operations: between a processor's (6) and a graphics
 * card's (20 and more). */
static const double FLOPS_PER_BYTE = 8;

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

/* Until what is alive at once is at most `goal` bytes, or as few as can be: *reached. */
static clg_status repeat_steps(clg_program *p, int64_t goal, int64_t *reached)
{
    clg__step_work *work = clg__calloc((size_t)p->ir.n_clusters + 1, sizeof *work);
    if (!work) return CLG_ERROR_MEMORY;
    for (int i = 0; i < p->n_steps; i++) work[p->steps[i].cluster] = work_of(p, &p->steps[i]);
    const int64_t unit = (int64_t)sizeof(float);
    clg_status status = clg__ir_rematerialize(&p->ir, work, goal / unit, reached);
    *reached *= unit;
    clg__free(work);
    return status;
}

static clg_status explain(const clg_program *p, uint64_t budget, uint64_t needed)
{
    return clg__fail(CLG_ERROR_MEMORY,
                     "a program at batch %lld needs %s for activations and gradients, however many "
                     "of its steps run again; the memory budget is %s",
                     (long long)p->max_batch, CLG__BYTES_TEXT(needed), CLG__BYTES_TEXT(budget));
}

/* A plan is a little larger than what is alive at once, `reached`: then that has to be less. It
 * moves by whole values, so only a goal below it changes anything. */
clg_status clg__program_fit(clg_program *p, uint64_t budget)
{
    int64_t goal = (int64_t)budget, reached = goal; /* smaller than the arena, so it is in range */
    for (bool again = false;; again = true) {
        const uint64_t arena = clg__ir_arena(&p->ir) * sizeof(float);
        if (arena <= budget) return CLG_OK;
        if (again) goal = clg__min_i64(goal - (int64_t)(arena - budget), reached - 1);
        CLG_TRY(repeat_steps(p, goal, &reached));
        if (reached > goal) return explain(p, budget, budget + (uint64_t)(reached - goal));
        CLG_TRY(clg__program_plan(p));
    }
}
