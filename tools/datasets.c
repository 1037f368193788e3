/*
 * Opening data sets for a model: shapes and labels must be the model's before anything else starts.
 * What the model's file says about its input decides how the data is read where there is a choice:
 * the size of images, the length of sequences, the number of words.
 */
#include "datasets.h"

#include <string.h>
#include <unistd.h>

#include "cltrain.h"
#include "loss.h"
#include "selection.h"

static int check_shape(const clg_dataset *dataset, const struct model_spec *model)
{
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    clg_shape wanted = clg_shape_of((int)model->input_count, model->input);
    if (clg_shape_equal(&info->sample, &wanted)) return DONE;
    char have[128], want[128];
    return report_error(BAD_INPUT, "%s: samples are %s, but model '%s' takes input %s",
                        info->source, clg_shape_text(&info->sample, have, sizeof have), model->name,
                        clg_shape_text(&wanted, want, sizeof want));
}

/* Labels for classes; as many numbers as outputs. */
static int check_targets(const clg_dataset *dataset, const struct model_spec *model)
{
    static const char *const names[] = {[CLG_TARGET_CLASSES] = "classes",
                                        [CLG_TARGET_NUMBERS] = "numbers",
                                        [CLG_TARGET_NONE] = "no targets"};
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    clg_target_kind wanted = loss_data(model);
    if (wanted == CLG_TARGET_NONE) return DONE;
    if (info->target != wanted)
        return report_error(BAD_INPUT, "%s has %s, but the loss of model '%s' needs %s",
                            info->source, names[info->target], model->name, names[wanted]);
    int64_t outputs = model->outputs ? *model->outputs : 1;
    int64_t have = clg_shape_count(&info->target_shape);
    if (wanted == CLG_TARGET_CLASSES || have == outputs) return DONE;
    return report_error(BAD_INPUT,
                        "%s: %lld numbers as target of a sample, but model '%s' has "
                        "%lld outputs",
                        info->source, (long long)have, model->name, (long long)outputs);
}

/* The model's input is (H, W, C) for images, and (tokens) for texts. */
static clg_dataset_params params_of(const struct model_file *file, const char *schema)
{
    const struct model_spec *model = &file->content->model;
    const struct settings *s = &file->content->training;
    int classes = model->classes ? (int)*model->classes : 0;
    /* Chosen classes are some of those that the source has. */
    clg_dataset_params params = {.classes = s->classes ? 0 : classes,
                                 .targets = loss_data(model),
                                 .format = s->format,
                                 .schema = schema,
                                 .memory = *s->memory << 20,
                                 .target = s->target,
                                 .ignore = s->ignore,
                                 .words = *s->words,
                                 .vocabulary = classes};
    if (!strcmp(s->missing, "drop")) params.missing = CLG_MISSING_DROP;
    if (!strcmp(s->missing, "fill")) params.missing = CLG_MISSING_FILL;
    if (!strcmp(s->fit, "stretch")) params.fit = CLG_IMAGE_STRETCH;
    if (model->input_count == 1) params.sequence = model->input[0];
    if (model->input_count != 3) return params;
    params.size[0] = model->input[0];
    params.size[1] = model->input[1];
    params.channels = model->input[2] == 1 ? 1 : 3;
    return params;
}

static int open_part(clg_dataset **out, const struct model_file *file, const char *source,
                     clg_data_part part, const clg_dataset_params *params)
{
    clg_dataset_params own = *params;
    /* The format is that of the model file's data, in whose place drawn digits were asked for. */
    if (!strcmp(source, "builtin") && access(source, F_OK)) own.format = "builtin";
    clg_status status = clg_dataset_open(out, source, part, &own);
    if (status != CLG_OK) return report_status(status, NULL);
    int code = check_shape(*out, &file->content->model);
    return code == DONE ? check_targets(*out, &file->content->model) : code;
}

/* Moves a part of *from to *held_out. */
static int hold_out(clg_dataset **from, clg_dataset **held_out, double fraction, uint64_t seed,
                    const char *what)
{
    clg_dataset *rest = NULL;
    const clg_dataset_info *info = clg_dataset_describe(*from);
    if (info->count < 2)
        return report_error(BAD_INPUT,
                            "%s: a single sample is left, of which no %s part can be "
                            "held out",
                            info->source, what);
    clg_status status = clg_dataset_split(*from, fraction, seed, &rest, held_out);
    if (status != CLG_OK) return report_status(status, what);
    clg_dataset_destroy(*from); /* the parts keep the memory they share */
    *from = rest;
    return DONE;
}

/* One of the parts of a cross-validation. */
static int hold_out_fold(clg_dataset **from, clg_dataset **held_out,
                         const struct settings *settings)
{
    clg_dataset *rest = NULL;
    const clg_dataset_info *info = clg_dataset_describe(*from);
    if (info->count < *settings->folds)
        return report_error(BAD_INPUT, "%s has %lld samples, too few for %lld folds", info->source,
                            (long long)info->count, (long long)*settings->folds);
    clg_status status = clg_dataset_fold(
        *from,
        clg_dataset_fold_options(.folds = (int)*settings->folds, .fold = (int)*settings->fold - 1,
                                 .seed = (uint64_t)*settings->seed),
        &rest, held_out);
    if (status != CLG_OK) return report_status(status, NULL);
    clg_dataset_destroy(*from);
    *from = rest;
    return DONE;
}

/* The test part of data that has none, or of a cross-validation, the same in every command. */
static int hold_out_test(clg_dataset **from, clg_dataset **test, const struct settings *settings)
{
    if (*settings->folds) return hold_out_fold(from, test, settings);
    return hold_out(from, test, *settings->test, ~(uint64_t)*settings->seed, "test");
}

/* Values that the data lacks are filled with what the training part has. */
static int fill_missing(struct datasets *data)
{
    clg_dataset *parts[] = {data->train, data->validation, data->test};
    for (int i = 0; i < 3; i++) {
        if (!parts[i] || clg_dataset_describe(parts[i])->missing == 0) continue;
        clg_status status = clg_dataset_fill_missing(parts[i], data->train);
        if (status != CLG_OK) return report_status(status, NULL);
    }
    return DONE;
}

/* The test part is read as the training part was: with its classes, columns and words. */
static int open_test_part(struct datasets *data, const struct model_file *file,
                          clg_dataset_params *params)
{
    char *schema = NULL;
    const char *path = file->content->training.path;
    if (clg_dataset_describe(data->train)->whole || *file->content->training.folds)
        return hold_out_test(&data->train, &data->test, &file->content->training);
    clg_status status = params->schema ? CLG_OK : clg_dataset_schema(data->train, &schema);
    if (status != CLG_OK) return report_status(status, NULL);
    if (schema) params->schema = schema;
    int code = open_part(&data->test, file, path, CLG_DATA_TEST, params);
    clg_free(schema);
    return code;
}

int datasets_open(struct datasets *data, const struct model_file *file, const char *schema)
{
    const struct settings *settings = &file->content->training;
    clg_dataset_params params = params_of(file, schema);
    *data = (struct datasets){0};
    int code = open_part(&data->train, file, settings->path, CLG_DATA_TRAIN, &params);
    if (code == DONE) code = open_test_part(data, file, &params);
    if (code == DONE) code = selection_apply(&data->train, file, true);
    if (code == DONE) code = selection_apply(&data->test, file, false);
    if (code == DONE && *settings->validation > 0)
        code = hold_out(&data->train, &data->validation, *settings->validation,
                        (uint64_t)*settings->seed, "validation");
    return code == DONE ? fill_missing(data) : code;
}

/* The part of data that has none of its own: what was held out, or what was left. */
static int pick_part(clg_dataset **all, clg_data_part part, const struct settings *settings)
{
    clg_dataset *test = NULL;
    int code = hold_out_test(all, &test, settings);
    if (code != DONE || part == CLG_DATA_TRAIN) {
        clg_dataset_destroy(test);
        return code;
    }
    clg_dataset_destroy(*all);
    *all = test;
    return DONE;
}

static int open_one(clg_dataset **out, const struct model_file *file, const char *source,
                    const char *schema, clg_data_part part)
{
    const struct settings *settings = &file->content->training;
    clg_dataset_params params = params_of(file, schema);
    bool fold = !source && *settings->folds;
    int code = open_part(out, file, source ? source : settings->path, fold ? CLG_DATA_TRAIN : part,
                         &params);
    bool parts = code == DONE && !source && (fold || clg_dataset_describe(*out)->whole);
    if (parts) code = pick_part(out, part, settings);
    return code == DONE ? selection_apply(out, file, part == CLG_DATA_TRAIN) : code;
}

int datasets_open_train(clg_dataset **out, const struct model_file *file, const char *source,
                        const char *schema)
{
    return open_one(out, file, source, schema, CLG_DATA_TRAIN);
}

int datasets_open_test(clg_dataset **out, const struct model_file *file, const char *source,
                       const char *schema)
{
    return open_one(out, file, source, schema, CLG_DATA_TEST);
}

int datasets_open_samples(clg_dataset **out, const struct model_file *file, const char *source,
                          const char *schema, int64_t limit)
{
    clg_dataset_params params = params_of(file, schema);
    params.format = NULL; /* the run's may be a folder, and this one image */
    params.targets = CLG_TARGET_NONE;
    params.classes = 0;
    params.limit = limit;
    clg_status status = clg_dataset_open(out, source, CLG_DATA_TEST, &params);
    return status == CLG_OK ? selection_apply(out, file, false) : report_status(status, NULL);
}

void datasets_close(struct datasets *data)
{
    clg_dataset_destroy(data->train);
    clg_dataset_destroy(data->validation);
    clg_dataset_destroy(data->test);
    *data = (struct datasets){0};
}
