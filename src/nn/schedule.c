/*
 * Learning rate schedules as pure functions of the step: nothing to save, nothing to drift, and a
 * resumed run asks for the same numbers.
 */
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "clgrad/schedule.h"

static const char *const names[] = {
#define SCHEDULE_NAME(id, name) name,
    CLG_SCHEDULE_ROWS(SCHEDULE_NAME)
#undef SCHEDULE_NAME
};

const char *clg_schedule_name(clg_schedule_kind kind)
{
    return (unsigned)kind < CLG_SCHEDULE_COUNT ? names[kind] : NULL;
}

bool clg_schedule_find(const char *name, clg_schedule_kind *out)
{
    for (int i = 0; i < CLG_SCHEDULE_COUNT; i++)
        if (strcmp(name, names[i]) == 0) return *out = (clg_schedule_kind)i, true;
    return false;
}

static double cosine(const clg_schedule *s, uint64_t step)
{
    uint64_t length = s->total > s->warmup ? s->total - s->warmup : 0;
    uint64_t position = step - s->warmup;
    if (position >= length) return s->lr_min;
    double angle = 3.14159265358979323846 * (double)position / (double)length;
    return s->lr_min + (s->lr - s->lr_min) * (1.0 + cos(angle)) / 2.0;
}

double clg_schedule_lr(const clg_schedule *schedule, uint64_t step)
{
    if (step < schedule->warmup)
        return schedule->lr * (double)(step + 1) / (double)schedule->warmup;
    return schedule->kind == CLG_SCHEDULE_COSINE ? cosine(schedule, step) : schedule->lr;
}
