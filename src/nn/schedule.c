/*
 * Learning rate schedules as pure functions of the step: nothing to save, nothing to drift, and a
 * resumed run asks for the same numbers.
 */
#include "clgrad/schedule.h"

#include <math.h>
#include <string.h>

#include "base/base.h"

static const double PI = 3.14159265358979323846;

static double or_default(double value, double standard)
{
    return value == 0.0 ? standard : value;
}

static double every(const clg_schedule *s)
{
    return s->every ? (double)s->every : 1.0;
}

/* Steps from the end of the warm-up to the end of the run. */
static double length(const clg_schedule *s)
{
    return s->total > s->warmup ? (double)(s->total - s->warmup) : 0.0;
}

/* From `from` (share 0) to `to` (share 1) along half a cosine. */
static double along_cosine(double from, double to, double share)
{
    return to + (from - to) * (1.0 + cos(PI * share)) / 2.0;
}

/* ---- the rows: the rate after `done` steps, `past` of them behind the warm-up ---- */

static double rate_constant(const clg_schedule *s, uint64_t done, double past)
{
    return s->lr;
}

static double rate_step(const clg_schedule *s, uint64_t done, double past)
{
    return s->lr * pow(or_default(s->gamma, 0.1), floor((double)done / every(s)));
}

static double rate_multi_step(const clg_schedule *s, uint64_t done, double past)
{
    int reached = 0;
    while (reached < CLG_MAX_MILESTONES && s->milestones[reached] && s->milestones[reached] <= done)
        reached++;
    return s->lr * pow(or_default(s->gamma, 0.1), reached);
}

static double rate_exponential(const clg_schedule *s, uint64_t done, double past)
{
    return s->lr * pow(or_default(s->gamma, 0.1), past / every(s));
}

static double rate_power(const clg_schedule *s, uint64_t done, double past)
{
    return s->lr / pow(1.0 + past / every(s), or_default(s->power, 1.0));
}

static double rate_polynomial(const clg_schedule *s, uint64_t done, double past)
{
    if (past >= length(s)) return s->lr_min;
    return s->lr_min + (s->lr - s->lr_min) * pow(1.0 - past / length(s), or_default(s->power, 1.0));
}

static double rate_cosine(const clg_schedule *s, uint64_t done, double past)
{
    return past >= length(s) ? s->lr_min : along_cosine(s->lr, s->lr_min, past / length(s));
}

static double rate_cosine_restarts(const clg_schedule *s, uint64_t done, double past)
{
    double cycle = every(s), growth = or_default((double)s->growth, 1.0);
    if (growth == 1.0) past = fmod(past, cycle);
    for (; past >= cycle; cycle *= growth) past -= cycle;
    return along_cosine(s->lr, s->lr_min, past / cycle);
}

/* torch reaches the top one step before the share `up` is over, and the end at the last step. */
static double rate_one_cycle(const clg_schedule *s, uint64_t done, double past)
{
    double start = s->lr / or_default(s->start_divisor, 25.0);
    double end = start / or_default(s->end_divisor, 1e4);
    double last = length(s) - 1.0, top = or_default(s->up, 0.3) * length(s) - 1.0;
    if (past >= last) return end;
    if (past <= top && top > 0.0) return along_cosine(start, s->lr, past / top);
    return along_cosine(s->lr, end, (past - top) / (last - top));
}

static const struct schedule_row {
    const char *name;
    double (*rate)(const clg_schedule *s, uint64_t done, double past);
} rows[] = {
#define SCHEDULE_ROW(id, name) {#name, rate_##name},
    CLG_SCHEDULE_ROWS(SCHEDULE_ROW)
#undef SCHEDULE_ROW
};

double clg_schedule_lr(const clg_schedule *schedule, uint64_t step)
{
    CLG__NEEDS_OR(0, schedule);
    const clg_schedule *s = schedule;
    if (step < s->warmup) return s->lr * (double)(step + 1) / (double)s->warmup;
    if ((unsigned)s->kind >= CLG_SCHEDULE_COUNT) return s->lr;
    return rows[s->kind].rate(s, step, (double)(step - s->warmup));
}

const char *clg_schedule_name(clg_schedule_kind kind)
{
    return (unsigned)kind < CLG_SCHEDULE_COUNT ? rows[kind].name : NULL;
}

bool clg_schedule_find(const char *name, clg_schedule_kind *out)
{
    CLG__NEEDS_OR(false, name && out);
    for (int i = 0; i < CLG_SCHEDULE_COUNT; i++)
        if (strcmp(name, rows[i].name) == 0) return *out = (clg_schedule_kind)i, true;
    return false;
}

/* ---- reduce on plateau ---- */

static bool improves(const clg_plateau *p, double measure)
{
    if (p->measures == 0) return !isnan(measure);
    double threshold = fmax(or_default(p->threshold, 1e-4), 0.0), sign = p->maximize ? 1.0 : -1.0;
    double bound = p->absolute ? p->best + sign * threshold : p->best * (1.0 + sign * threshold);
    return p->maximize ? measure > bound : measure < bound;
}

double clg_plateau_update(clg_plateau *p, double measure)
{
    CLG__NEEDS_OR(0, p);
    if (p->scale == 0.0) p->scale = 1.0;
    if (improves(p, measure)) {
        p->best = measure;
        p->measures++;
        p->bad = 0;
    } else {
        p->bad++;
    }
    if (p->cooling > 0) {
        p->cooling--;
        p->bad = 0;
    }
    if (p->bad > p->patience) {
        p->scale *= or_default(p->factor, 0.1);
        p->cooling = p->cooldown;
        p->bad = 0;
    }
    return p->scale;
}

/* Numbers as their bits: text of decimals depends on the locale and may round. */
static unsigned long long bits_of(double value)
{
    unsigned long long bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double number_of(unsigned long long bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

char *clg_plateau_text(const clg_plateau *p, char *text, size_t size)
{
    CLG__NEEDS_OR(text, p && text);
    snprintf(text, size, "%016llx %016llx %lld %lld %lld", bits_of(or_default(p->scale, 1.0)),
             bits_of(p->best), (long long)p->measures, (long long)p->bad, (long long)p->cooling);
    return text;
}

clg_status clg_plateau_parse(clg_plateau *p, const char *text)
{
    CLG__NEEDS(p && text);
    unsigned long long scale, best;
    long long measures, bad, cooling;
    int end = 0, fields = sscanf(text, "%16llx %16llx %lld %lld %lld%n", &scale, &best, &measures,
                                 &bad, &cooling, &end);
    if (fields != 5 || text[end] || !(number_of(scale) > 0) || measures < 0 || bad < 0 ||
        cooling < 0)
        return clg__fail(CLG_ERROR_FORMAT, "plateau: \"%.60s\" is no state", text);
    p->scale = number_of(scale);
    p->best = number_of(best);
    p->measures = measures;
    p->bad = bad;
    p->cooling = cooling;
    return CLG_OK;
}
