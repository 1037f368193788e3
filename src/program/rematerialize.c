/*
 * Rematerialization: where memory is limited, steps run again. A value that is alive at the peak
 * only because somebody reads it much later is let go, and the step that computes it is repeated
 * just before that reader, together with those whose results it needs and that are gone by then. It
 * is the same kernel with the same arguments, so results are the same to the bit.
 *
 * The choice is greedy: at the step where most memory is alive, the values that save most for the
 * work of computing them again, one after the other until that step needs an eighth less; then the
 * order is changed for all of them at once, because finding lifetimes and the peak takes a pass
 * over the program. Repetitions that later ones made unnecessary are taken back in the end. Source:
 * Kusumoto et al. 2019 and Jain et al. 2020 (Checkmate) treat the same problem exactly; a greedy
 * choice is enough here, because the steps are few and the plan is measured.
 */
#include <stdlib.h>

#include "program/lifetime.h"

enum {
    MOST_TOGETHER = 24, /* steps repeated for one value */
    MOST_LONGER = 4,    /* times as many steps as without repetitions */
    SMALL = 16          /* a value so many times smaller than another is rather kept for it */
};

enum { NOBODY = -1 };

/* What is known of a value in memory, by its root. */
typedef struct site {
    int64_t size;                  /* elements in the arena; 0: elsewhere */
    int first_writer, last_writer; /* heads of the chains that write it, in order; NOBODY */
    int previous, next; /* steps that touch it at or before the peak, and behind it; NOBODY */
    bool renewed;       /* the next one writes it again */
    bool again;         /* ... and waits to be put into the order */
    bool rejected;      /* letting it go has made the peak no lower */
} site;

/* A step that will run again in front of what is step `at` so far. */
typedef struct insertion {
    int at, head;
    int turn; /* of those at one place */
} insertion;

typedef struct search {
    clg__ir *ir;
    const clg__step_work *work;
    clg__lifetimes lives;
    site *sites;
    bool *repeatable; /* per head */
    int *place;       /* per head: the step that runs it first */
    int64_t *alive;   /* per step: elements in use */
    int room;         /* of ir->order */
    int peak;
    int64_t height; /* at the peak */
    double *worth;  /* per value: of letting it go; that of some may be lower meanwhile */
    insertion *waiting;
    int n_waiting;
    int *before; /* the order without those that wait */
    int most;    /* values let go before the order is changed */
} search;

/* Steps to be repeated in front of step `at`. */
typedef struct repetition {
    int at;
    int heads[MOST_TOGETHER]; /* in order */
    int n;
    int64_t kept; /* elements that stay alive over the peak for it */
    int64_t gain; /* elements less at the peak */
    double cost;
} repetition;

#define FOR_EACH_ACCESS(a, s, head)                                                                \
    for (const clg__access *a = (s)->lives.accesses + (s)->lives.first_access[head],               \
                           *a##_end = (s)->lives.accesses + (s)->lives.first_access[(head) + 1];   \
         a < a##_end; a++)

/* ---- what stays the same whatever runs again ---- */

static void note_writer(site *v, int head)
{
    if (v->first_writer == NOBODY) v->first_writer = head;
    v->last_writer = head;
}

/* Whoever writes a variable writes those that share elements with it. */
static void note_overlaps(search *s, int variable, int head)
{
    for (int id = 0; id < s->ir->n_values; id++)
        if (s->ir->values[id].live &&
            clg__variables_overlap(s->ir->values[id].node, s->ir->values[variable].node))
            note_writer(&s->sites[id], head);
}

static void note_writers(search *s)
{
    for (int id = 0; id < s->ir->n_values; id++) {
        s->sites[id].first_writer = s->sites[id].last_writer = NOBODY;
        if (clg__in_arena(s->ir, id)) s->sites[id].size = clg__ir_elements(s->ir, id, s->ir->batch);
    }
    for (int i = 0; i < s->ir->n_order; i++) {
        const int head = s->ir->order[i];
        FOR_EACH_ACCESS(a, s, head)
        {
            if (!a->writes) continue;
            note_writer(&s->sites[a->value], head);
            if (clg__is_variable_node(s->ir->values[a->value].node))
                note_overlaps(s, a->value, head);
        }
    }
}

/* The only chain that writes a value; or NOBODY. */
static int sole_writer(const site *v)
{
    return v->first_writer == v->last_writer ? v->first_writer : NOBODY;
}

/* All that it writes is in the arena, whole, and its own. */
static bool is_repeatable(const search *s, int head)
{
    if (s->ir->clusters[head].constant) return false;
    FOR_EACH_ACCESS(a, s, head)
    {
        const site *v = &s->sites[a->value];
        if (a->writes && (sole_writer(v) != head || v->size == 0)) return false;
    }
    return true;
}

/* ---- the peak ---- */

static void measure(search *s)
{
    const clg__ir *ir = s->ir;
    for (int i = 0; i <= ir->n_order + 1; i++) s->alive[i] = 0;
    for (int id = 0; id < ir->n_values; id++) {
        for (int k = s->lives.latest[id]; k >= 0; k = s->lives.spans[k].earlier) {
            s->alive[s->lives.spans[k].first] += s->sites[id].size;
            s->alive[s->lives.spans[k].last + 1] -= s->sites[id].size;
        }
    }
    s->height = 0;
    for (int i = 0; i < ir->n_order; i++) {
        if (i > 0) s->alive[i] += s->alive[i - 1];
        const int64_t height = s->alive[i] + s->work[ir->order[i]].scratch;
        if (height <= s->height) continue;
        s->height = height;
        s->peak = i;
    }
}

static void note_touch(search *s, const clg__access *a, int step, bool again)
{
    site *v = &s->sites[a->value];
    if (step <= s->peak) {
        v->previous = step;
    } else if (v->next == NOBODY) {
        v->next = step;
        v->renewed = again && a->writes;
    }
}

/* Who touches what last before the peak, and first behind it. */
static void note_touches(search *s)
{
    const clg__ir *ir = s->ir;
    for (int id = 0; id < ir->n_values; id++) {
        s->sites[id].previous = s->sites[id].next = NOBODY;
        s->sites[id].renewed = s->sites[id].again = false;
    }
    for (int c = 0; c < ir->n_clusters; c++) s->place[c] = NOBODY;
    for (int i = 0; i < ir->n_order; i++) {
        const int head = ir->order[i];
        const bool again = s->place[head] != NOBODY;
        if (!again) s->place[head] = i;
        FOR_EACH_ACCESS(a, s, head) note_touch(s, a, i, again);
    }
}

/* Follows a change of the order. */
static clg_status update(search *s)
{
    CLG_TRY(clg__lifetimes_follow(&s->lives, s->ir));
    measure(s);
    return CLG_OK;
}

/* ---- what to repeat ---- */

/* Nobody writes a value between the first run of a step and a repetition. */
static bool is_unchanged(const search *s, int value, int head, int at)
{
    const site *v = &s->sites[value];
    return v->first_writer == NOBODY || s->place[v->last_writer] < s->place[head] ||
           s->place[v->first_writer] >= at;
}

/* Is a value there at a step behind the peak, or could be without being alive at the peak for it?
 */
static bool is_available(const search *s, int value, int at)
{
    const site *v = &s->sites[value];
    if (v->again) return v->next <= at;
    if (v->previous != NOBODY && v->next != NOBODY && !v->renewed) return true;
    int k = s->lives.latest[value];
    while (k >= 0 && s->lives.spans[k].first >= at) k = s->lives.spans[k].earlier;
    return k >= 0 && (s->lives.spans[k].last >= at || s->lives.spans[k].last >= s->peak);
}

static bool add_step(const search *s, repetition *r, int head, int64_t size);

/* What a repeated step reads: there, computed again, or kept for it. */
static bool add_input(const search *s, repetition *r, int value, int64_t size)
{
    const site *v = &s->sites[value];
    if (v->size == 0 || is_available(s, value, r->at)) return true;
    const int writer = sole_writer(v);
    if (v->size * SMALL > size && writer != NOBODY && s->repeatable[writer])
        return add_step(s, r, writer, size);
    r->kept += v->size;
    return true;
}

static bool add_step(const search *s, repetition *r, int head, int64_t size)
{
    for (int i = 0; i < r->n; i++)
        if (r->heads[i] == head) return true;
    FOR_EACH_ACCESS(a, s, head)
    {
        if (a->writes || sole_writer(&s->sites[a->value]) == head) continue;
        if (!is_unchanged(s, a->value, head, r->at) || !add_input(s, r, a->value, size))
            return false;
    }
    if (r->n == MOST_TOGETHER) return false;
    r->heads[r->n++] = head;
    r->cost += s->work[head].cost;
    return true;
}

/* Alive at the peak, for a step at `at` or later. */
static bool is_idle(const search *s, int value, int at)
{
    const site *v = &s->sites[value];
    return v->previous != NOBODY && v->previous < s->peak && v->next >= at && !v->renewed;
}

/* Elements that are not alive at the peak any more. */
static int64_t freed(const search *s, int head, int at)
{
    int64_t sum = 0;
    FOR_EACH_ACCESS(a, s, head)
    if (a->writes && is_idle(s, a->value, at)) sum += s->sites[a->value].size;
    return sum;
}

/* How to let a value go at the peak: what it frees for its cost; 0: it cannot. */
static double consider(const search *s, int value, repetition *r)
{
    const site *v = &s->sites[value];
    const int head = sole_writer(v);
    *r = (repetition){.at = v->next};
    if (v->rejected || v->size == 0 || head == NOBODY || !s->repeatable[head] ||
        v->next == NOBODY || !is_idle(s, value, v->next) || !add_step(s, r, head, v->size))
        return 0;
    r->gain = freed(s, head, r->at) - r->kept;
    return r->gain > 0 ? (double)r->gain / (r->cost + 1) : 0;
}

static int most_worth(const search *s)
{
    int found = NOBODY;
    double most = 0;
    for (int id = 0; id < s->ir->n_values; id++) {
        if (s->worth[id] <= most) continue;
        most = s->worth[id];
        found = id;
    }
    return found;
}

/* The value to let go; NOBODY if none helps. Others that went may have made one worth less: it is
 * looked at again when its turn comes. */
static int choose(search *s, repetition *best)
{
    for (;;) {
        const int value = most_worth(s);
        if (value == NOBODY) return NOBODY;
        const double before = s->worth[value];
        s->worth[value] = consider(s, value, best);
        if (s->worth[value] >= before) return value;
    }
}

/* ---- letting values go ---- */

/* A repeated step touches a value in front of step `at`, behind others that wait there. */
static void touch_again(site *v, bool writes, int at)
{
    const bool earlier = v->next == NOBODY || at < v->next;
    if (!earlier && (at > v->next || v->again)) return;
    v->next = at;
    v->renewed = v->again = writes;
}

static void let_go(search *s, const repetition *r)
{
    for (int i = 0; i < r->n; i++) {
        s->waiting[s->n_waiting] =
            (insertion){.at = r->at, .head = r->heads[i], .turn = s->n_waiting};
        s->n_waiting++;
        FOR_EACH_ACCESS(a, s, r->heads[i]) touch_again(&s->sites[a->value], a->writes, r->at);
    }
}

/* Until no more than `goal` is alive at the peak; how many values, and the last one. */
static int let_values_go(search *s, int64_t goal, int *last)
{
    repetition r;
    int n = 0;
    s->n_waiting = 0;
    for (int id = 0; id < s->ir->n_values; id++) s->worth[id] = consider(s, id, &r);
    for (int64_t height = s->height; height > goal && n < s->most; height -= r.gain, n++) {
        const int value = choose(s, &r);
        if (value == NOBODY || s->ir->n_order + s->n_waiting + r.n > s->room) break;
        let_go(s, &r);
        *last = value;
    }
    return n;
}

/* ---- changing the order ---- */

static int in_order(const void *a, const void *b)
{
    const insertion *x = a, *y = b;
    return x->at != y->at ? x->at - y->at : x->turn - y->turn;
}

/* Puts the steps that wait into the order. */
static void insert(search *s)
{
    clg__ir *ir = s->ir;
    const int n = ir->n_order;
    int k = 0;
    memcpy(s->before, ir->order, (size_t)n * sizeof *ir->order);
    qsort(s->waiting, (size_t)s->n_waiting, sizeof *s->waiting, in_order);
    ir->n_order = 0;
    for (int i = 0; i < n; i++) {
        for (; k < s->n_waiting && s->waiting[k].at == i; k++)
            ir->order[ir->n_order++] = s->waiting[k].head;
        ir->order[ir->n_order++] = s->before[i];
    }
}

static void take_back(search *s)
{
    s->ir->n_order -= s->n_waiting;
    memcpy(s->ir->order, s->before, (size_t)s->ir->n_order * sizeof *s->before);
}

/* Fewer values at the peak; *done: there is none that would lower it. What made another peak as
 * high is taken back and tried again with half of the values. */
static clg_status lower_peak(search *s, int64_t budget, bool *done)
{
    const int64_t before = s->height;
    int last = NOBODY;
    note_touches(s);
    const int n = let_values_go(s, clg__max_i64(budget, before - before / 8), &last);
    *done = n == 0;
    if (*done) return CLG_OK;
    insert(s);
    CLG_TRY(update(s));
    s->most = clg__min_i64(2 * (int64_t)s->most, s->ir->n_values);
    if (s->height <= before) return CLG_OK;
    s->most = n > 1 ? n / 2 : 1;
    s->sites[last].rejected = n == 1;
    take_back(s);
    return update(s);
}

/* ---- taking back ---- */

static clg__span *span_at(const search *s, int value, int step)
{
    int k = s->lives.latest[value];
    while (s->lives.spans[k].first > step) k = s->lives.spans[k].earlier;
    return &s->lives.spans[k];
}

/* Elements more at step `i` without the repetition at `at`: results stay from their last use on,
 * and what was kept only for it goes. */
static int64_t change_without(const search *s, int at, int i)
{
    int64_t change = 0;
    FOR_EACH_ACCESS(a, s, s->ir->order[at])
    {
        const clg__span *span = span_at(s, a->value, at);
        const int64_t size = s->sites[a->value].size;
        if (size == 0) continue;
        if (!a->writes)
            change -= span->last == at && i > span->before_last ? size : 0;
        else if (span->last > at && i > s->lives.spans[span->earlier].last)
            change += size;
    }
    return change;
}

/* The step behind which something changes without the repetition at `at`. */
static int change_begins(const search *s, int at)
{
    int first = at;
    FOR_EACH_ACCESS(a, s, s->ir->order[at])
    {
        const clg__span *span = span_at(s, a->value, at);
        int last = at;
        if (a->writes)
            last = s->lives.spans[span->earlier].last;
        else if (span->last == at)
            last = span->before_last;
        if (last < first) first = last;
    }
    return first;
}

static bool fits_without(const search *s, int at, int64_t budget)
{
    for (int i = change_begins(s, at) + 1; i < at; i++) {
        const int head = s->ir->order[i];
        if (head == NOBODY) continue;
        if (s->alive[i] + s->work[head].scratch + change_without(s, at, i) > budget) return false;
    }
    return true;
}

/* The span goes on from the one before it, if there is a use for it. */
static void join_spans(const clg__lifetimes *lives, clg__span *span, int at)
{
    clg__span joined = lives->spans[span->earlier];
    if (span->last > at) {
        joined.before_last = span->before_last > at ? span->before_last : joined.last;
        joined.last = span->last;
    }
    *span = joined;
}

/* Leaves a gap in the order. What it read may have been used last where is not known any more. */
static void take_out(search *s, int at)
{
    for (int i = change_begins(s, at) + 1; i < at; i++) s->alive[i] += change_without(s, at, i);
    FOR_EACH_ACCESS(a, s, s->ir->order[at])
    {
        clg__span *span = span_at(s, a->value, at);
        if (a->writes)
            join_spans(&s->lives, span, at);
        else if (span->last == at)
            span->last = span->before_last;
    }
    s->ir->order[at] = NOBODY;
}

static int close_gaps(clg__ir *ir)
{
    const int before = ir->n_order;
    ir->n_order = 0;
    for (int i = 0; i < before; i++)
        if (ir->order[i] != NOBODY) ir->order[ir->n_order++] = ir->order[i];
    return before - ir->n_order;
}

/* Takes repetitions back that are not needed for the budget. */
static clg_status clean_up(search *s, int64_t budget)
{
    do {
        for (int c = 0; c < s->ir->n_clusters; c++) s->place[c] = NOBODY;
        for (int i = 0; i < s->ir->n_order; i++) {
            const int head = s->ir->order[i];
            if (s->place[head] == NOBODY)
                s->place[head] = i;
            else if (fits_without(s, i, budget))
                take_out(s, i);
        }
        if (close_gaps(s->ir) == 0) return CLG_OK;
        CLG_TRY(update(s));
    } while (true);
}

/* ---- the pass ---- */

static clg_status start(search *s, clg__ir *ir, const clg__step_work *work)
{
    const size_t clusters = (size_t)ir->n_clusters + 1;
    *s = (search){.ir = ir, .work = work, .room = MOST_LONGER * ir->n_clusters + MOST_TOGETHER};
    CLG_TRY(clg__lifetimes_make(&s->lives, ir));
    s->sites = clg__calloc((size_t)ir->n_values + 1, sizeof *s->sites);
    s->repeatable = clg__calloc(clusters, sizeof *s->repeatable);
    s->place = clg__calloc(clusters, sizeof *s->place);
    s->alive = clg__calloc((size_t)s->room + 2, sizeof *s->alive);
    s->worth = clg__calloc((size_t)ir->n_values + 1, sizeof *s->worth);
    s->waiting = clg__calloc((size_t)s->room + 1, sizeof *s->waiting);
    s->before = clg__calloc((size_t)s->room + 1, sizeof *s->before);
    s->most = ir->n_values;
    int *order = clg__realloc(ir->order, (size_t)(s->room + 1) * sizeof *ir->order);
    if (order) ir->order = order;
    if (!order || !s->sites || !s->repeatable || !s->place || !s->alive || !s->worth ||
        !s->waiting || !s->before)
        return CLG_ERROR_MEMORY;
    note_writers(s);
    for (int i = 0; i < ir->n_order; i++)
        s->repeatable[ir->order[i]] = is_repeatable(s, ir->order[i]);
    return update(s);
}

static clg_status rematerialize(search *s, int64_t budget)
{
    bool done = false;
    while (s->height > budget && !done) CLG_TRY(lower_peak(s, budget, &done));
    return s->height > budget ? CLG_OK : clean_up(s, budget);
}

clg_status clg__ir_rematerialize(clg__ir *ir, const clg__step_work *work, int64_t budget,
                                 int64_t *reached)
{
    search s;
    clg_status status = start(&s, ir, work);
    if (status == CLG_OK) status = rematerialize(&s, budget);
    *reached = s.height;
    clg__lifetimes_free(&s.lives);
    clg__free(s.sites);
    clg__free(s.repeatable);
    clg__free(s.place);
    clg__free(s.alive);
    clg__free(s.worth);
    clg__free(s.waiting);
    clg__free(s.before);
    return status;
}
