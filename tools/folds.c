/*
 * Scores of a cross-validation. The mean is that of the folds, each counted once; the deviation is
 * the estimate from a sample (n - 1): how much the score of one fold differs from that of another.
 */
#include "folds.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "cltrain.h"

/* The measures of a score, and how people read them. */
static const struct measure {
    const char *name, *shown;
    size_t offset;
    double unit; /* 100: in percent */
    int decimals;
} measures[] = {
    {"accuracy", "accuracy", offsetof(struct score, accuracy), 100, 2},
    {"rmse", "RMSE", offsetof(struct score, rmse), 1, 4},
    {"mae", "MAE", offsetof(struct score, mae), 1, 4},
    {"loss", "loss", offsetof(struct score, loss), 1, 4},
};
enum { N_MEASURES = sizeof measures / sizeof *measures };

static double value_of(const struct score *score, const struct measure *measure)
{
    return *(const double *)((const char *)score + measure->offset);
}

/* NaN where a fold has no such number; the deviation of one fold is NaN, too. */
static void summarize(const struct folds *folds, const struct measure *measure, double *mean,
                      double *deviation)
{
    double sum = 0, squares = 0, n = (double)folds->done;
    for (int64_t i = 0; i < folds->done; i++) sum += value_of(&folds->scores[i], measure);
    *mean = sum / n;
    for (int64_t i = 0; i < folds->done; i++) {
        double difference = value_of(&folds->scores[i], measure) - *mean;
        squares += difference * difference;
    }
    *deviation = n > 1 ? sqrt(squares / (n - 1)) : NAN;
}

/* ---- the directory ---- */

int folds_prepare(struct folds *folds, const struct model_file *file)
{
    const struct settings *settings = &file->content->training;
    *folds = (struct folds){.count = *settings->folds, .seed = *settings->seed};
    folds->scores = calloc((size_t)folds->count, sizeof *folds->scores);
    folds->settings = model_file_text(file);
    return folds->scores && folds->settings ? DONE : report_error(NO_MEMORY, "out of memory");
}

int folds_start(struct folds *folds, const char *out, const char *name)
{
    int code = run_create(&folds->run, out, name);
    return code == DONE ? run_write(&folds->run, "config.yaml", folds->settings) : code;
}

struct run_path folds_path(const struct folds *folds, int64_t fold)
{
    char name[32];
    snprintf(name, sizeof name, "fold-%" PRId64, fold);
    return run_file(&folds->run, name);
}

/* ---- scores ---- */

static json_t *one_json(const struct folds *folds, int64_t index)
{
    const struct score *score = &folds->scores[index];
    json_t *object = json_pack("{sI sI}", "fold", (json_int_t)(index + 1), "samples",
                               (json_int_t)score->samples);
    for (int m = 0; m < N_MEASURES; m++)
        json_object_set_new(object, measures[m].name, json_number(value_of(score, &measures[m])));
    return object;
}

/* {"mean": {"accuracy": .., ..}, "deviation": {..}} */
static json_t *summary_json(const struct folds *folds)
{
    json_t *means = json_object(), *deviations = json_object();
    for (int m = 0; m < N_MEASURES; m++) {
        double mean, deviation;
        summarize(folds, &measures[m], &mean, &deviation);
        json_object_set_new(means, measures[m].name, json_number(mean));
        json_object_set_new(deviations, measures[m].name, json_number(deviation));
    }
    return json_pack("{so so}", "mean", means, "deviation", deviations);
}

static int write_scores(const struct folds *folds)
{
    json_t *scores = json_array(), *object;
    for (int64_t i = 0; i < folds->done; i++) json_array_append_new(scores, one_json(folds, i));
    object = json_pack("{sI sI so}", "folds", (json_int_t)folds->count, "seed",
                       (json_int_t)folds->seed, "scores", scores);
    json_object_update_new(object, summary_json(folds));
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    int code = text ? run_write(&folds->run, "folds.json", text)
                    : report_error(NO_MEMORY, "out of memory");
    free(text);
    return code;
}

int folds_add(struct folds *folds, const struct score *score)
{
    folds->scores[folds->done++] = *score;
    return write_scores(folds);
}

static int64_t samples_of(const struct folds *folds)
{
    int64_t samples = 0;
    for (int64_t i = 0; i < folds->done; i++) samples += folds->scores[i].samples;
    return samples;
}

int folds_print(const struct folds *folds, bool json)
{
    if (json) {
        json_t *line =
            json_pack("{sb sI sI so}", "done", 1, "folds", (json_int_t)folds->count, "samples",
                      (json_int_t)samples_of(folds), "run", json_text(folds->run.path));
        json_object_update_new(line, summary_json(folds));
        return print_json(line);
    }
    printf("%" PRId64 " folds: ", folds->count);
    for (int m = 0; m < N_MEASURES; m++) {
        double mean, deviation, unit = measures[m].unit;
        summarize(folds, &measures[m], &mean, &deviation);
        if (isnan(mean)) continue;
        printf("%s %.*f +- %.*f%s, ", measures[m].shown, measures[m].decimals, unit * mean,
               measures[m].decimals, unit * deviation, unit == 1 ? "" : " %");
    }
    printf("%" PRId64 " samples\nrun %s, scores in %s\n", samples_of(folds), folds->run.path,
           run_file(&folds->run, "folds.json").text);
    return DONE;
}

void folds_clear(struct folds *folds)
{
    run_close(&folds->run);
    free(folds->scores);
    free(folds->settings);
    *folds = (struct folds){0};
}

int folds_refuse(const char *path, const struct model_file *file)
{
    const struct settings *settings = &file->content->training;
    if (!*settings->folds || *settings->fold) return DONE;
    return report_error(BAD_INPUT,
                        "%s is a cross-validation; its models are in %s/fold-1 to fold-%" PRId64,
                        path, path, *settings->folds);
}
