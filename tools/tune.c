/*
 * cltrain tune: finds what suits this device better than the library's defaults, and writes it into
 * the user's tuning file.
 *
 * One thing after the other, with what was accepted before in force. All legal values run on the
 * problems that judge them; the best has to win by a margin twice, in two measurements, and nowhere
 * lose. Nothing is written before all is measured.
 */
#include <math.h>
#include <string.h>

#include "cltrain.h"
#include "options.h"
#include "signals.h"
#include "tune.h"

/* Differences below this are noise. */
static const double MARGIN = 0.03;
enum { NAMES = 2 * 32 };

struct tune_options {
    const char *device;
    bool fast, full, list, dry_run, json;
};

static const struct option_row options[] = {
    OPTION_DEVICE(struct tune_options),
    {"fast", NULL, OPTION_FLAG, offsetof(struct tune_options, fast),
     "one problem of each class, for a second: about a minute in all (the default)"},
    {"full", NULL, OPTION_FLAG, offsetof(struct tune_options, full),
     "all problems, for longer: several minutes"},
    {"list", NULL, OPTION_FLAG, offsetof(struct tune_options, list),
     "print what can be tuned, and what holds now"},
    {"dry-run", NULL, OPTION_FLAG, offsetof(struct tune_options, dry_run),
     "measure, but leave the file as it is"},
    OPTION_JSON(struct tune_options),
    OPTION_ROWS_END};

struct tune {
    clg_context *context;
    const struct tune_options *given;
    size_t accepted;
};

/* ---- what was asked for ---- */

/* "matmul" stands for everything that begins with "matmul.". */
static bool is_named(const struct clg_tunable *tunable, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const size_t length = strlen(argv[i]);
        if (!strncmp(tunable->name, argv[i], length) &&
            (tunable->name[length] == '.' || tunable->name[length] == '\0'))
            return true;
    }
    return argc == 0;
}

static int check_names(struct tune *tune, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const char *names[NAMES];
        bool known = false;
        size_t count = clg_tunable_count();
        for (size_t k = 0; k < count; k++) {
            clg_tunable tunable;
            clg_status status = clg_tunable_query(tune->context, k, &tunable);
            if (status != CLG_OK) return report_status(status, NULL);
            known = known || is_named(&tunable, 1, &argv[i]);
            names[k] = tunable.name;
        }
        if (!known)
            return report_error(BAD_USAGE,
                                "tune: nothing has the name '%s'%s; cltrain tune --list prints all",
                                argv[i], suggestion(argv[i], names, count));
    }
    return DONE;
}

/* ---- results ---- */

static const char *const sources[] = {[CLG_TUNING_JUDGED] = "judged",
                                      [CLG_TUNING_SHIPPED] = "shipped",
                                      [CLG_TUNING_USER] = "user",
                                      [CLG_TUNING_ENVIRONMENT] = "environment"};

static json_t *json_optional(const char *text)
{
    return text ? json_text(text) : json_null();
}

/* What came out for a class of problems; ratios are of times, by that of the defaults. */
struct verdict {
    const char *value; /* NULL: the defaults stay */
    double ratio, tried[TUNE_CANDIDATES];
};

static json_t *json_tried(const struct tune_contest *contest, const struct verdict *verdict)
{
    json_t *tried = json_object();
    for (size_t i = 1; i < contest->count; i++)
        json_object_set_new(tried, contest->values[i], json_number(1 / verdict->tried[i]));
    return tried;
}

static int print_verdict(const struct tune *tune, const struct tune_contest *contest,
                         const struct verdict *verdict)
{
    const char *value = verdict->value;
    if (tune->given->json)
        return print_json(json_pack("{ss ss so so so}", "tunable", contest->tunable->name, "class",
                                    contest->problem_class, "value", json_optional(value),
                                    "speedup", json_number(1 / verdict->ratio), "tried",
                                    json_tried(contest, verdict)));
    printf("%-39s %-10s ", contest->tunable->name, contest->problem_class);
    if (value)
        printf("%-16s %.2f times as fast\n", value, 1 / verdict->ratio);
    else
        printf("as it is\n");
    fflush(stdout);
    return DONE;
}

static int print_state(const struct tune *tune, const struct clg_tunable *t, const char *class_)
{
    const char *value = NULL;
    clg_tuning_source source;
    clg_status status = clg_tuning_get(tune->context, t->name, class_, &value, &source);
    if (status != CLG_OK) return report_status(status, NULL);
    if (!tune->given->json) {
        printf("%-39s %-10s %-16s %-12s %s\n", t->name, class_, value ? value : "-",
               sources[source], t->summary);
        return DONE;
    }
    json_t *values = json_array();
    for (size_t i = 0; i < t->n_values; i++) json_array_append_new(values, json_text(t->values[i]));
    return print_json(json_pack("{ss ss so ss so ss}", "tunable", t->name, "class", class_, "value",
                                json_optional(value), "source", sources[source], "values", values,
                                "summary", t->summary));
}

/* ---- one tunable and class ---- */

/*
 * Compares on all judges: geometric means over them, and the worst, of each value's time by that of
 * the defaults. These come first, or last if another value comes first. DONE, or an exit code.
 */
static int judge(const struct tune *tune, struct tune_contest *contest, double *mean, double *worst)
{
    int judges = 0;
    for (size_t i = 0; i < contest->count; i++) mean[i] = worst[i] = 0;
    for (const struct tune_judge *j = tune_judges(); j->family; j++) {
        if (!tune_is_judge(j, contest->tunable, contest->problem_class)) continue;
        if (!tune->given->full && !j->quick) continue;
        int code = tune_compare(contest, j);
        if (code != DONE || signal_received()) return code;
        for (size_t i = 0; i < contest->count; i++) {
            double ratio = contest->values[0] ? 1 / contest->ratios[i] : contest->ratios[i];
            mean[i] += log(ratio);
            worst[i] = fmax(worst[i], ratio);
        }
        judges++;
    }
    for (size_t i = 0; i < contest->count; i++) mean[i] = judges ? exp(mean[i] / judges) : NAN;
    return DONE;
}

/* Index of the value that wins by the margin, 0 if none does. */
static size_t winner(const struct tune_contest *contest, const double *mean, const double *worst)
{
    size_t best = 0;
    for (size_t i = 1; i < contest->count; i++)
        if (mean[i] < 1 - MARGIN && worst[i] < 1 + MARGIN && (!best || mean[i] < mean[best]))
            best = i;
    return best;
}

/*
 * The best value is the one that wins twice. The second time it is compiled before the defaults:
 * where the memory of a program comes to lie makes a few percent, and depends on that order.
 */
static int find_best(const struct tune *tune, struct tune_contest *contest, struct verdict *verdict)
{
    double mean[TUNE_CANDIDATES], worst[TUNE_CANDIDATES];
    int code = judge(tune, contest, verdict->tried, worst);
    if (code != DONE || signal_received()) return code;
    const size_t best = winner(contest, verdict->tried, worst);
    if (!best) return DONE;
    struct tune_contest again = *contest;
    again.count = 2;
    again.values[1] = contest->values[best];
    if (!contest->tunable->per_process) {
        again.values[0] = contest->values[best];
        again.values[1] = NULL;
    }
    code = judge(tune, &again, mean, worst);
    if (code != DONE || signal_received() || !winner(&again, mean, worst)) return code;
    verdict->value = contest->values[best];
    verdict->ratio = mean[1];
    return DONE;
}

static int tune_class(struct tune *tune, const struct clg_tunable *t, const char *class_)
{
    const char *fixed = NULL;
    struct verdict verdict = {.ratio = 1};
    clg_tuning_source source;
    clg_status status = clg_tuning_get(tune->context, t->name, class_, &fixed, &source);
    if (status == CLG_OK && source == CLG_TUNING_ENVIRONMENT) {
        report_note("%s is left alone: CLGRAD_TUNING says %s", t->name, fixed);
        return DONE;
    }
    struct tune_contest contest = {.context = tune->context,
                                   .tunable = t,
                                   .problem_class = class_,
                                   .count = 1,
                                   .seconds = tune->given->full ? 4 : 0.8};
    for (size_t i = 0; i < t->n_values; i++) contest.values[contest.count++] = t->values[i];
    int code =
        status == CLG_OK ? find_best(tune, &contest, &verdict) : report_status(status, t->name);
    if (code != DONE || signal_received()) return code;
    if (verdict.value) status = clg_tuning_set(tune->context, t->name, class_, verdict.value);
    if (status != CLG_OK) return report_status(status, t->name);
    tune->accepted += verdict.value != NULL;
    return print_verdict(tune, &contest, &verdict);
}

/* ---- all ---- */

typedef int (*class_action)(struct tune *tune, const struct clg_tunable *t, const char *class_);

/* For everything that was asked for and that this engine has a choice in. */
static int for_each_class(struct tune *tune, int argc, char **argv, class_action action)
{
    int code = DONE;
    for (size_t i = 0; i < clg_tunable_count() && code == DONE && !signal_received(); i++) {
        clg_tunable tunable;
        clg_status status = clg_tunable_query(tune->context, i, &tunable);
        if (status != CLG_OK) return report_status(status, NULL);
        if (tunable.n_values < 2 || !is_named(&tunable, argc, argv)) continue;
        for (size_t k = 0; k < tunable.n_classes && code == DONE && !signal_received(); k++)
            code = action(tune, &tunable, tunable.classes[k]);
    }
    return code;
}

static int forget(struct tune *tune, const struct clg_tunable *t, const char *class_)
{
    clg_status status = clg_tuning_set(tune->context, t->name, class_, NULL);
    return status == CLG_OK ? DONE : report_status(status, t->name);
}

static int show(struct tune *tune, const struct clg_tunable *t, const char *class_)
{
    return print_state(tune, t, class_);
}

static int save(const struct tune *tune)
{
    char path[1024];
    clg_status status = clg_tuning_path(path, sizeof path);
    if (status == CLG_OK) status = clg_tuning_save(tune->context);
    if (status != CLG_OK) return report_unwritten(status, "tuning file");
    report_note("%zu choices differ from the defaults; written to %s", tune->accepted, path);
    return DONE;
}

/* The old choices are forgotten first: what is found has to beat the defaults. */
static int tune_all(struct tune *tune, int argc, char **argv)
{
    clg_status status = tune->given->dry_run ? CLG_OK : clg_tuning_check_file();
    if (status != CLG_OK) return report_unwritten(status, "tuning file");
    signals_catch();
    int code = for_each_class(tune, argc, argv, forget);
    if (code == DONE) code = for_each_class(tune, argc, argv, tune_class);
    if (signal_received()) return SIGNALLED + signal_received();
    return code == DONE && !tune->given->dry_run ? save(tune) : code;
}

static int run(const void *values, int argc, char **argv)
{
    struct tune tune = {.given = values};
    if (tune.given->fast && tune.given->full)
        return report_error(BAD_USAGE, "tune: --fast and --full exclude each other");
    clg_status status =
        clg_context_create(&tune.context, clg_context_options(.device = tune.given->device));
    if (status != CLG_OK) return report_status(status, NULL);
    report_note("Device: %s", clg_context_choice(tune.context));
    int code = check_names(&tune, argc, argv);
    if (code == DONE)
        code = tune.given->list ? for_each_class(&tune, argc, argv, show)
                                : tune_all(&tune, argc, argv);
    clg_context_destroy(tune.context);
    return code;
}

const struct command command_tune = {
    .name = "tune",
    .arguments = "[NAME]...",
    .summary = "Finds what suits this device best, for all later runs.",
    .details =
        "Measures tiles, blocks and algorithms on typical problems and writes what is faster\n"
        "than the defaults into the tuning file, for this device and driver. NAME is what\n"
        "is to be tuned, or the part of a name in front of its dot; default: all.",
    .options = options,
    .values_size = sizeof(struct tune_options),
    .max_arguments = -1,
    .run = run,
};
