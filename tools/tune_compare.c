/*
 * Comparing values of something that can be tuned on one problem.
 *
 * Machines get slower and faster for seconds, so times are only compared within a round, in which
 * every value runs once: a ratio is the median over rounds. Values of which a process can have but
 * one at a time (CLBlast's parameters) run one after the other, each in rounds with the same
 * product by another algorithm, which serves as a clock.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"
#include "signals.h"
#include "tune.h"

/* Results agree up to rounding: this part of their root mean square; a wrong index is off by all of
 * it, sums in another order by a millionth, fast convolutions by some hundred thousandths. */
static const double TOLERANCE = 1e-3;
/* Shorter runs are repeated within a sample until it takes this long. */
static const double SAMPLE = 2e-3; /* seconds */
enum { MIN_ROUNDS = 5, MAX_ROUNDS = 101, MAX_REPEATS = 64 };

/* The problem while values are compared on it. */
struct arena {
    struct tune_contest *contest;
    struct bench_run run; /* its program is that of the first value */
    float *expected[BENCH_OUTPUTS];
    clg_tunable algorithm; /* of the operation, if what is tuned belongs to one algorithm */
    const char *algorithm_class;
};

/* What values that only run one after the other are compared with. */
static const char CLOCK[] = "local";

/* ---- programs ---- */

static clg_status set_value(const struct tune_contest *contest, const char *value)
{
    return clg_tuning_set(contest->context, contest->tunable->name, contest->problem_class, value);
}

/* Finds the tunable that chooses the algorithm for the judge's problem, and what it says. */
static clg_status find_algorithm(struct arena *arena, const struct tune_judge *judge,
                                 const char **value, clg_tuning_source *source)
{
    const size_t family = strcspn(judge->family, ".");
    clg_context *context = arena->contest->context;
    clg_tunable *row = &arena->algorithm;
    clg_status status = clg_tunable_query(context, 0, row);
    for (size_t i = 1; status == CLG_OK && (strncmp(row->name, judge->family, family) != 0 ||
                                            strcmp(row->name + family, ".algorithm") != 0);
         i++)
        status = clg_tunable_query(context, i, row);
    if (status != CLG_OK) return status;
    arena->algorithm_class = row->n_classes == 1 ? row->classes[0] : judge->problem_class;
    return clg_tuning_get(context, row->name, arena->algorithm_class, value, source);
}

/* NULL: that of the defaults. */
static clg_status choose_algorithm(const struct arena *arena, const char *name)
{
    if (!arena->algorithm.name) return CLG_OK;
    return clg_tuning_set(arena->contest->context, arena->algorithm.name, arena->algorithm_class,
                          name);
}

static clg_status compile(struct arena *arena, const char *value, clg_program **out)
{
    struct bench_setup *setup = &arena->run.setup;
    clg_status status = set_value(arena->contest, value);
    if (status != CLG_OK) return status;
    return clg_program_compile(out, arena->contest->context, setup->graph,
                               clg_program_options(.outputs = setup->outputs,
                                                   .n_outputs = setup->n_outputs,
                                                   .mode = setup->mode));
}

/* ---- results ---- */

static size_t count_of(const clg_tensor *t)
{
    return (size_t)clg_shape_count(clg_tensor_shape(t));
}

static clg_status read_output(clg_program *program, const clg_tensor *output, float **out)
{
    const size_t size = count_of(output) * sizeof(float);
    float *data = malloc(size);
    if (!data) return CLG_ERROR_MEMORY;
    clg_status status = clg_program_read(program, output, data, size);
    if (status == CLG_OK)
        *out = data;
    else
        free(data);
    return status;
}

static bool is_close(const float *got, const float *expected, size_t count)
{
    double square = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        const double off = fabs((double)got[i] - expected[i]);
        square += (double)expected[i] * expected[i];
        most = off <= most ? most : off; /* NaN counts as off */
    }
    return most <= TOLERANCE * sqrt(square / (double)count);
}

/* Runs once and compares; the first value's program sets the standard. */
static clg_status check(struct arena *arena, clg_program *program, bool *right)
{
    const struct bench_setup *setup = &arena->run.setup;
    clg_status status = clg_program_run(program);
    *right = true;
    for (size_t i = 0; i < setup->n_outputs && status == CLG_OK; i++) {
        float *data = NULL;
        status = read_output(program, setup->outputs[i], &data);
        if (status == CLG_OK && program == arena->run.program) {
            free(arena->expected[i]);
            arena->expected[i] = data;
        } else if (status == CLG_OK) {
            *right = *right && is_close(data, arena->expected[i], count_of(setup->outputs[i]));
            free(data);
        }
    }
    return status;
}

/* A program for a value that runs and computes what it should; else NULL. */
static clg_program *prepare(struct arena *arena, const char *value)
{
    clg_program *program = NULL;
    bool right = false;
    clg_status status = compile(arena, value, &program);
    if (status == CLG_OK) status = bench_feed(&arena->run.setup, program);
    if (status == CLG_OK) status = check(arena, program, &right);
    if (status == CLG_OK && right) return program;
    report_note("%s=%s is left out: %s", arena->contest->tunable->name, value ? value : "(default)",
                status == CLG_OK ? "its results are wrong" : clg_last_error());
    clg_program_destroy(program);
    return NULL;
}

/* ---- time ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return values[count / 2];
}

static clg_status sample(const struct arena *arena, clg_program *program, int repeats, double *out)
{
    clg_status status = CLG_OK;
    double started = seconds_now();
    for (int i = 0; i < repeats && status == CLG_OK; i++) status = clg_program_run(program);
    if (status == CLG_OK) status = clg_context_finish(arena->contest->context);
    *out = seconds_now() - started;
    return status;
}

/* Of how many runs a sample consists, and how many rounds of samples there is time for. */
static clg_status plan(const struct arena *arena, clg_program *const *programs, size_t count,
                       int *repeats, int *rounds)
{
    double once = 0, all = 0;
    clg_status status = sample(arena, programs[0], 1, &once);
    *repeats = (int)fmin(MAX_REPEATS, ceil(SAMPLE / fmax(once, 1e-6)));
    for (size_t i = 0; i < count && status == CLG_OK; i++) {
        if (programs[i]) status = sample(arena, programs[i], *repeats, &once);
        all += programs[i] ? once : 0;
    }
    *rounds = (int)fmax(MIN_ROUNDS, fmin(MAX_ROUNDS, arena->contest->seconds / fmax(all, 1e-6)));
    return status;
}

/* Time of each program by that of the first, which exists; NAN for missing ones. */
static clg_status time_programs(const struct arena *arena, clg_program *const *programs,
                                size_t count, double *ratios)
{
    static double times[TUNE_CANDIDATES][MAX_ROUNDS];
    int repeats = 1, rounds = 0;
    clg_status status = plan(arena, programs, count, &repeats, &rounds);
    for (int round = 0; round < rounds && status == CLG_OK && !signal_received(); round++)
        for (size_t i = 0; i < count && status == CLG_OK; i++) {
            const size_t k = (i + (size_t)round) % count; /* nobody always runs behind the same */
            if (programs[k]) status = sample(arena, programs[k], repeats, &times[k][round]);
        }
    for (size_t k = count; status == CLG_OK && !signal_received() && k-- > 0;) {
        for (int round = 0; round < rounds; round++) times[k][round] /= times[0][round];
        ratios[k] = programs[k] ? median(times[k], rounds) : NAN;
    }
    return status;
}

/* ---- contests ---- */

static clg_status compare_side_by_side(struct arena *arena)
{
    struct tune_contest *contest = arena->contest;
    clg_program *programs[TUNE_CANDIDATES] = {arena->run.program};
    bool right;
    clg_status status = check(arena, programs[0], &right);
    for (size_t i = 1; i < contest->count && status == CLG_OK && !signal_received(); i++)
        programs[i] = prepare(arena, contest->values[i]);
    if (status == CLG_OK && !signal_received())
        status = time_programs(arena, programs, contest->count, contest->ratios);
    for (size_t i = 1; i < contest->count; i++) clg_program_destroy(programs[i]);
    return status;
}

/*
 * One value by the clock, arena->run.program, for which another algorithm was chosen.
 */
static clg_status compare_with_clock(struct arena *arena, const char *value, double *ratio)
{
    double ratios[2] = {NAN, NAN};
    clg_program *program = prepare(arena, value);
    clg_status status = CLG_OK;
    if (program)
        status = time_programs(arena, (clg_program *[]){arena->run.program, program}, 2, ratios);
    clg_program_destroy(program);
    *ratio = ratios[1];
    return status;
}

/* The first value cannot be had again after any other: what it took is kept. */
static clg_status compare_in_turn(struct arena *arena)
{
    struct tune_contest *contest = arena->contest;
    bool right;
    clg_status status = check(arena, arena->run.program, &right);
    if (status == CLG_OK) status = choose_algorithm(arena, contest->tunable->algorithm);
    if (status == CLG_OK && contest->base == 0)
        status = compare_with_clock(arena, NULL, &contest->base);
    contest->ratios[0] = 1;
    for (size_t i = 1; i < contest->count && status == CLG_OK && !signal_received(); i++) {
        status = compare_with_clock(arena, contest->values[i], &contest->ratios[i]);
        contest->ratios[i] /= contest->base;
    }
    return status;
}

static int compare_on(struct arena *arena, const struct bench_case *problem)
{
    const clg_tunable *tunable = arena->contest->tunable;
    struct bench_result result = {0};
    clg_status status = set_value(arena->contest, arena->contest->values[0]);
    if (status == CLG_OK)
        status = choose_algorithm(arena, tunable->per_process ? CLOCK : tunable->algorithm);
    if (status != CLG_OK) return report_status(status, problem->name);
    arena->run.context = arena->contest->context;
    int code = bench_open(&arena->run, problem, &result);
    if (code == DONE)
        status = tunable->per_process ? compare_in_turn(arena) : compare_side_by_side(arena);
    for (size_t i = 0; i < BENCH_OUTPUTS; i++) free(arena->expected[i]);
    bench_close(&arena->run);
    return status == CLG_OK ? code : report_status(status, problem->name);
}

int tune_compare(struct tune_contest *contest, const struct tune_judge *judge)
{
    struct arena arena = {.contest = contest};
    const char *before = NULL;
    clg_tuning_source source = CLG_TUNING_JUDGED;
    clg_status status = CLG_OK;
    if (contest->tunable->algorithm) status = find_algorithm(&arena, judge, &before, &source);
    if (status != CLG_OK) return report_status(status, contest->tunable->name);
    int code = compare_on(&arena, &judge->problem);
    set_value(contest, NULL);
    if (contest->tunable->algorithm)
        choose_algorithm(&arena, source == CLG_TUNING_USER ? before : NULL);
    return code;
}
