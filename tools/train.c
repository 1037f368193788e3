/*
 * cltrain train: what is to be trained comes from a model file and the command line, or, with
 * --resume, from the run directory; the rest is trainer.c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"
#include "folds.h"
#include "lr_find.h"
#include "optimizer_settings.h"
#include "options.h"
#include "signals.h"
#include "summary.h"
#include "trainer.h"
#include "transfer.h"

struct train_options {
    const char *data, *folds, *epochs, *batch, *accumulate, *memory_budget, *lr, *optimizer,
        *weight_decay, *schedule;
    const char *seed, *checkpoint_every;
    const char *init_from, *fresh, *freeze;
    const char *out, *resume, *device;
    bool lr_find, json;
};

#define OPTION(option, field, argument, help)                                                      \
    {                                                                                              \
        option, argument, OPTION_TEXT, offsetof(struct train_options, field), help                 \
    }
static const struct option_row options[] = {
    OPTION("data", data, "PATH",
           "a file or folder with data of any format, or builtin (drawn digits)"),
    OPTION("folds", folds, "K", "cross-validation: K models, each tested on a K-th of the data"),
    OPTION("epochs", epochs, "N", "passes over the training data"),
    OPTION("batch", batch, "N", "samples per step"),
    OPTION("accumulate", accumulate, "N", "batches per step of the optimizer"),
    OPTION("memory-budget", memory_budget, "MIB",
           "for activations and gradients; kernels run again where it asks for it (0: none)"),
    OPTION("lr", lr, "X", "learning rate"),
    {"lr-find", NULL, OPTION_FLAG, offsetof(struct train_options, lr_find),
     "do not train: try growing rates for some steps and suggest one"},
    OPTION("optimizer", optimizer, "NAME",
           "sgd, adagrad, adadelta, rmsprop, adam, adamax, nadam, radam, adamw, lars, lamb"),
    OPTION("weight-decay", weight_decay, "X", "of the optimizer"),
    OPTION("schedule", schedule, "NAME",
           "constant, step, multi_step, exponential, power, polynomial, cosine, cosine_restarts, "
           "one_cycle"),
    OPTION("seed", seed, "N", "of initial weights, shuffling and dropout"),
    OPTION("checkpoint-every", checkpoint_every, "N",
           "also write a checkpoint every N steps (0: none)"),
    OPTION("init-from", init_from, "FILE", "start from these weights: safetensors, or a run"),
    OPTION("fresh", fresh, "PATTERNS", "variables that do not: 'linear2.*'"),
    OPTION("freeze", freeze, "PATTERNS", "variables that stay as they are"),
    OPTION("out", out, "DIR", "run directory to make; default runs/MODEL-N"),
    OPTION("resume", resume, "DIR", "go on with the run in this directory"),
    OPTION_DEVICE(struct train_options),
    OPTION_JSON(struct train_options),
    OPTION_ROWS_END};

/* Options that replace a setting of the model file; only the marked ones can change a run. */
static const struct {
    const char *setting;
    size_t offset;
    bool resumable;
} overrides[] = {
    {"path", offsetof(struct train_options, data), true},
    {"folds", offsetof(struct train_options, folds), false},
    {"epochs", offsetof(struct train_options, epochs), true},
    {"batch", offsetof(struct train_options, batch), false},
    {"accumulate", offsetof(struct train_options, accumulate), false},
    {"memory_budget", offsetof(struct train_options, memory_budget), true},
    {"lr", offsetof(struct train_options, lr), false},
    {"optimizer", offsetof(struct train_options, optimizer), false},
    {"weight_decay", offsetof(struct train_options, weight_decay), false},
    {"schedule", offsetof(struct train_options, schedule), false},
    {"seed", offsetof(struct train_options, seed), false},
    {"init_from", offsetof(struct train_options, init_from), false},
    {"fresh", offsetof(struct train_options, fresh), false},
    {"freeze", offsetof(struct train_options, freeze), false},
    {"checkpoint_every", offsetof(struct train_options, checkpoint_every), true},
};

/* The option whose value is kept there. */
static const char *option_at(size_t offset)
{
    const struct option_row *row = options;
    while (row->offset != offset) row++;
    return row->name;
}

static int apply_overrides(struct model_file *file, const struct train_options *given)
{
    for (size_t i = 0; i < sizeof overrides / sizeof *overrides; i++) {
        const char *text = *(const char *const *)((const char *)given + overrides[i].offset);
        if (!text) continue;
        if (given->resume && !overrides[i].resumable)
            return report_error(BAD_USAGE, "--%s cannot change when a run is resumed",
                                option_at(overrides[i].offset));
        int code =
            model_file_override(file, overrides[i].setting, text, option_at(overrides[i].offset));
        if (code != DONE) return code;
    }
    /* Of a file that is one fold the folds are made anew, too. */
    int code = given->folds ? model_file_override(file, "fold", "0", "folds") : DONE;
    return code == DONE ? model_file_resolve(file) : code;
}

/* Rates from here on, and so results, are not those of a run that was to be this long from the
 * start. */
static void note_other_span(const struct settings *settings, int64_t before)
{
    if (*settings->epochs != before && schedule_spans_run(settings))
        report_note("The %s schedule, made for %" PRId64 " epochs, spans %" PRId64 " from here on",
                    settings->schedule, before, *settings->epochs);
}

static int load_settings(struct trainer *trainer, const struct train_options *given,
                         const char *model)
{
    int code = DONE;
    if (given->resume) code = run_open_to_train(&trainer->run, given->resume);
    if (code == DONE)
        code = model_file_load(trainer->file,
                               given->resume ? run_file(&trainer->run, "config.yaml").text : model);
    if (code != DONE) return code;
    const struct settings *settings = &trainer->file->content->training;
    const int64_t before = settings->epochs ? *settings->epochs : 0;
    code = apply_overrides(trainer->file, given);
    if (code == DONE && given->resume) note_other_span(settings, before);
    return code == DONE && given->resume ? folds_refuse(given->resume, trainer->file) : code;
}

static int open_context(struct trainer *trainer, const char *device)
{
    clg_status status =
        clg_context_create(&trainer->context, clg_context_options(.device = device));
    if (status != CLG_OK) return report_status(status, NULL);
    report_note("Device: %s", clg_context_choice(trainer->context));
    return DONE;
}

/* How the data was read is a part of the run: new data is read the same way. */
static int write_schema(struct trainer *trainer)
{
    char *schema = NULL;
    clg_status status = clg_dataset_schema(trainer->data.train, &schema);
    if (status != CLG_OK) return report_status(status, NULL);
    int code = run_write(&trainer->run, "data.json", schema);
    clg_free(schema);
    return code;
}

/* The run directory appears only when everything before it went well. */
static int open_run(struct trainer *trainer, const char *out, bool resumed)
{
    int code = DONE;
    if (resumed)
        code = trainer_resume(trainer);
    else
        code = run_create(&trainer->run, out, trainer->file->content->model.name);
    if (code != DONE) return code;
    trainer->settings = model_file_text(trainer->file);
    if (!trainer->settings) return report_error(NO_MEMORY, "out of memory");
    code = run_write(&trainer->run, "config.yaml", trainer->settings);
    return code == DONE && !trainer->schema ? write_schema(trainer) : code;
}

/* Everything up to the first step. What needs no device comes first: mistakes are found at once. */
static int prepare(struct trainer *trainer, const struct train_options *given)
{
    bool resumed = given->resume, first = trainer->fold <= 1;
    int code = trainer_build(trainer);
    if (code == DONE && resumed)
        code = run_schema(run_file(&trainer->run, "config.yaml").text, &trainer->schema);
    if (code == DONE) code = datasets_open(&trainer->data, trainer->file, trainer->schema);
    if (code == DONE && !resumed) code = network_fit(&trainer->network, trainer->data.train);
    if (code == DONE && !resumed) code = transfer_load(&trainer->network, trainer->file);
    if (code == DONE && !resumed && first) summary_print(&trainer->network, stderr);
    if (code == DONE && !trainer->context) code = open_context(trainer, given->device);
    return code == DONE ? trainer_prepare(trainer) : code;
}

/* ---- cross-validation ---- */

static int train_fold(struct trainer *trainer, const struct train_options *given,
                      struct folds *folds)
{
    int code = prepare(trainer, given);
    if (code == DONE && !folds->run.path)
        code = folds_start(folds, given->out, trainer->file->content->model.name);
    if (code == DONE) code = open_run(trainer, folds_path(folds, trainer->fold).text, false);
    if (code == DONE) code = trainer_run(trainer);
    return code == DONE ? folds_add(folds, &trainer->tested) : code;
}

/* A run for each fold, with all that is theirs; they share the context and its kernels. */
static int train_folds(struct model_file *file, const struct train_options *given,
                       struct folds *folds)
{
    clg_context *context = NULL;
    int code = folds_prepare(folds, file);
    for (int64_t fold = 1; code == DONE && fold <= folds->count; fold++) {
        struct trainer trainer = {.file = file,
                                  .started = seconds_now(),
                                  .json = given->json,
                                  .context = context,
                                  .fold = fold,
                                  .folds = folds->count};
        *file->content->training.fold = fold;
        code = train_fold(&trainer, given, folds);
        context = trainer.context;
        trainer.context = NULL;
        trainer_clear(&trainer);
    }
    clg_context_destroy(context);
    return code == DONE ? folds_print(folds, given->json) : code;
}

static int cross_validate(struct model_file *file, const struct train_options *given)
{
    struct folds folds = {0};
    if (given->lr_find)
        return report_error(BAD_USAGE, "--lr-find trains one model: give no --folds");
    if (!strcmp(file->content->training.path, "builtin"))
        return report_error(BAD_USAGE, "--folds: drawn digits come in any number; give --data "
                                       "with data that is scarce");
    int code = train_folds(file, given, &folds);
    folds_clear(&folds);
    return code;
}

/* ---- the command ---- */

static int train(struct trainer *trainer, const struct train_options *given, const char *model)
{
    int code = load_settings(trainer, given, model);
    if (code != DONE) return code;
    const struct settings *settings = &trainer->file->content->training;
    if (!given->resume && !given->lr_find) code = run_check(given->out);
    if (code != DONE) return code;
    if (*settings->folds && !*settings->fold) return cross_validate(trainer->file, given);
    code = prepare(trainer, given);
    if (code == DONE && given->lr_find) return lr_find(trainer);
    if (code == DONE) code = open_run(trainer, given->out, given->resume);
    return code == DONE ? trainer_run(trainer) : code;
}

static int check_usage(const struct train_options *given, int argc)
{
    if (given->resume && (argc || given->out))
        return report_error(BAD_USAGE, "--resume takes model and directory from the run: give %s",
                            argc ? "no model file" : "no --out");
    if (given->lr_find && (given->resume || given->out))
        return report_error(BAD_USAGE, "--lr-find makes no run: give no %s",
                            given->out ? "--out" : "--resume");
    if (given->folds && atof(given->folds) < 2)
        return report_error(BAD_USAGE, "--folds takes 2 or more, not '%s'", given->folds);
    return DONE;
}

static int run(const void *values, int argc, char **argv)
{
    const struct train_options *given = values;
    if (check_usage(given, argc) != DONE) return BAD_USAGE;
    struct model_file file = {0};
    struct trainer trainer = {.file = &file, .started = seconds_now(), .json = given->json};
    signals_catch();
    int code = train(&trainer, given, argc ? argv[0] : "lenet");
    trainer_clear(&trainer);
    model_file_clear(&file);
    return code;
}

const struct command command_train = {
    .name = "train",
    .arguments = "[MODEL.yaml]",
    .summary = "Trains a model.",
    .details =
        "MODEL.yaml is a model file (docs/model-files.md), or the name of a model that comes with "
        "the\nprogram (cltrain models); lenet if there is none. Options replace the file's "
        "settings. "
        "Ctrl-C\nwrites a checkpoint.",
    .options = options,
    .values_size = sizeof(struct train_options),
    .max_arguments = 1,
    .run = run,
};
