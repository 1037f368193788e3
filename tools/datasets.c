/*
 * Opening data sets for a model: shapes and labels must be the model's before anything else starts.
 */
#include "datasets.h"

#include <string.h>

#include "cltrain.h"
#include "loss.h"

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

static int open_part(clg_dataset **out, const struct model_spec *model, const char *source,
                     clg_data_part part)
{
    clg_dataset_params params = {.classes = model->classes ? (int)*model->classes : 0,
                                 .targets = loss_data(model)};
    clg_status status = clg_dataset_open(out, source, part, &params);
    if (status != CLG_OK) return report_status(status, NULL);
    int code = check_shape(*out, model);
    return code == DONE ? check_targets(*out, model) : code;
}

int datasets_open_train(clg_dataset **out, const struct model_spec *model, const char *source)
{
    return open_part(out, model, source, CLG_DATA_TRAIN);
}

int datasets_open_test(clg_dataset **out, const struct model_spec *model, const char *source)
{
    return open_part(out, model, source, CLG_DATA_TEST);
}

static int hold_out(struct datasets *data, const struct settings *settings)
{
    clg_dataset *rest = NULL;
    if (*settings->validation == 0) return DONE;
    clg_status status = clg_dataset_split(data->train, *settings->validation,
                                          (uint64_t)*settings->seed, &rest, &data->validation);
    if (status != CLG_OK) return report_status(status, "validation");
    clg_dataset_destroy(data->train); /* the parts keep the memory they share */
    data->train = rest;
    return DONE;
}

/* A source without parts: a fifth of it, drawn by the seed, becomes the test part. */
static int part_test(struct datasets *data, uint64_t seed)
{
    clg_dataset *rest = NULL;
    clg_status status = clg_dataset_split(data->train, 0.2, ~seed, &rest, &data->test);
    if (status != CLG_OK) return report_status(status, "test");
    clg_dataset_destroy(data->train);
    data->train = rest;
    return DONE;
}

int datasets_open(struct datasets *data, const struct model_file *file)
{
    const struct model_spec *model = &file->content->model;
    const struct settings *settings = &file->content->training;
    *data = (struct datasets){0};
    int code = open_part(&data->train, model, settings->data, CLG_DATA_TRAIN);
    if (code == DONE && clg_dataset_describe(data->train)->whole)
        code = part_test(data, (uint64_t)*settings->seed);
    else if (code == DONE)
        code = open_part(&data->test, model, settings->data, CLG_DATA_TEST);
    return code == DONE ? hold_out(data, settings) : code;
}

void datasets_close(struct datasets *data)
{
    clg_dataset_destroy(data->train);
    clg_dataset_destroy(data->validation);
    clg_dataset_destroy(data->test);
    *data = (struct datasets){0};
}
