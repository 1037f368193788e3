/*
 * cltrain predict: classes and their probabilities for samples in files, read as the training data
 * was; or these, or what any layer gives, written to a file.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clgrad/data.h"
#include "cltrain.h"
#include "datasets.h"
#include "options.h"
#include "prediction_file.h"
#include "summary.h"
#include "trained.h"

enum { SHOWN_CLASSES = 3 }; /* in text; JSON has all */

struct predict_options {
    const char *device, *layer, *out;
    int64_t limit;
    bool json;
};

static const struct option_row options[] = {
    {"limit", "N", OPTION_COUNT, offsetof(struct predict_options, limit),
     "only the first N samples of each file"},
    {"layer", "NAME", OPTION_TEXT, offsetof(struct predict_options, layer),
     "what this layer gives: its name, or its line in 'cltrain summary'"},
    {"out", "FILE", OPTION_TEXT, offsetof(struct predict_options, out),
     "write a file: .npy holds the numbers, .png shows images over what becomes of them"},
    OPTION_DEVICE(struct predict_options),
    OPTION_JSON(struct predict_options),
    OPTION_ROWS_END};

struct predictor {
    struct trained trained;
    clg_program *program;
    clg_tensor *value; /* (batch, ...): what is predicted */
    int64_t count;     /* numbers of one sample in it */
    float *row;        /* (batch, count) */
    struct prediction_file file;
    const struct predict_options *given;
};

/* ---- reading ---- */

static int check_samples(const clg_dataset *dataset, const struct model_spec *model)
{
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    clg_shape wanted = clg_shape_of((int)model->input_count, model->input);
    if (clg_shape_count(&info->sample) == clg_shape_count(&wanted)) return DONE;
    char have[128], want[128];
    return report_error(BAD_INPUT, "%s: samples are %s, but model '%s' takes input %s",
                        info->source, clg_shape_text(&info->sample, have, sizeof have), model->name,
                        clg_shape_text(&wanted, want, sizeof want));
}

static int open_samples(struct predictor *predictor, const char *path, clg_dataset **dataset,
                        clg_loader **loader)
{
    const struct trained *trained = &predictor->trained;
    int64_t batch = clg_tensor_shape(trained->network.image)->dim[0];
    int code = datasets_open_samples(dataset, &trained->file, path, trained->schema,
                                     predictor->given->limit);
    if (code == DONE) code = check_samples(*dataset, &trained->file.content->model);
    if (code != DONE) return code;
    clg_status status = clg_loader_create(loader, *dataset, clg_loader_options(.batch = batch));
    return status == CLG_OK ? DONE : report_status(status, path);
}

/* ---- printing ---- */

/* Index of the largest probability below `ceiling`; equal ones count once, the first. */
static int largest_below(const float *p, int classes, float ceiling)
{
    int best = -1;
    for (int i = 0; i < classes; i++)
        if (p[i] < ceiling && (best < 0 || p[i] > p[best])) best = i;
    return best;
}

/* A sample and what the model makes of it. */
struct sample {
    const char *path;
    int64_t index; /* in the file */
    const float *p;
    int count;                  /* of p: classes, or outputs */
    const clg_dataset *dataset; /* knows the names of the classes, or not */
};

static void print_numbers(const struct sample *s)
{
    printf("%s[%" PRId64 "]:", s->path, s->index);
    for (int i = 0; i < s->count; i++) printf(" %.6g", (double)s->p[i]);
    putchar('\n');
}

static void print_text(const struct sample *s)
{
    printf("%s[%" PRId64 "]:", s->path, s->index);
    float ceiling = INFINITY;
    for (int rank = 0; rank < SHOWN_CLASSES; rank++) {
        int best = largest_below(s->p, s->count, ceiling);
        if (best < 0) break;
        const char *name = clg_dataset_class_name(s->dataset, best);
        printf("%s ", rank ? "," : "");
        if (name)
            fputs(name, stdout);
        else
            printf("%d", best);
        printf(" (%.1f %%)", 100 * (double)s->p[best]);
        ceiling = s->p[best];
    }
    putchar('\n');
}

static int print_sample(const struct predictor *predictor, const struct sample *s)
{
    bool numbers = predictor->given->layer || !predictor->trained.network.accuracy;
    if (!predictor->given->json) {
        (numbers ? print_numbers : print_text)(s);
        return DONE;
    }
    json_t *list = json_array();
    for (int i = 0; i < s->count; i++) json_array_append_new(list, json_number((double)s->p[i]));
    if (numbers)
        return print_json(json_pack("{so sI so}", "file", json_text(s->path), "sample",
                                    (json_int_t)s->index, "outputs", list));
    int best = largest_below(s->p, s->count, INFINITY);
    const char *name = clg_dataset_class_name(s->dataset, best);
    return print_json(json_pack("{so sI si so* so}", "file", json_text(s->path), "sample",
                                (json_int_t)s->index, "class", best, "name",
                                name ? json_text(name) : NULL, "probabilities", list));
}

/* ---- running ---- */

static clg_status predict_batch(struct predictor *predictor, const float *values, int64_t count)
{
    clg_status status =
        feed_batch(predictor->program, &predictor->trained.network, count, values, NULL);
    if (status == CLG_OK) status = clg_program_run(predictor->program);
    if (status == CLG_OK)
        status = clg_program_read(predictor->program, predictor->value, predictor->row,
                                  (size_t)(count * predictor->count) * sizeof(float));
    return status;
}

/* What was predicted for a batch, of which the first sample is number `first` of the file. */
static int take_batch(struct predictor *predictor, const char *path, const clg_dataset *dataset,
                      const clg_batch *batch, int64_t first)
{
    int code = DONE, count = (int)predictor->count;
    if (predictor->given->out)
        return prediction_file_add(&predictor->file, batch->features, predictor->row, batch->count);
    for (int64_t i = 0; code == DONE && i < batch->count; i++) {
        const struct sample sample = {path, first + i, predictor->row + i * count, count, dataset};
        code = print_sample(predictor, &sample);
    }
    return code;
}

static int predict_file(struct predictor *predictor, const char *path)
{
    clg_dataset *dataset = NULL;
    clg_loader *loader = NULL;
    clg_batch batch = {0};
    int code = open_samples(predictor, path, &dataset, &loader);
    for (int64_t first = 0; code == DONE && !batch.last; first += batch.count) {
        clg_status status = clg_loader_next(loader, &batch);
        if (status == CLG_OK) status = predict_batch(predictor, batch.features, batch.count);
        code = status == CLG_OK ? take_batch(predictor, path, dataset, &batch, first)
                                : report_status(status, NULL);
    }
    clg_loader_destroy(loader);
    clg_dataset_destroy(dataset);
    return code;
}

/* Finds what is to be predicted, and makes room for it. */
static int choose_value(struct predictor *predictor)
{
    const struct predict_options *given = predictor->given;
    const struct network *network = &predictor->trained.network;
    predictor->value = network->prediction;
    if (given->layer) {
        const struct summary_row *row = summary_find(network, given->layer);
        if (!row)
            return report_error(BAD_USAGE,
                                "predict: model '%s' has no layer '%s': 'cltrain summary' lists "
                                "them, by name or line",
                                predictor->trained.file.content->model.name, given->layer);
        predictor->value = row->value;
    }
    const clg_shape *shape = clg_tensor_shape(predictor->value);
    if (!given->layer && !given->out && network->accuracy && shape->ndim > 2)
        return report_error(
            BAD_USAGE,
            "predict: model '%s' gives a class for each step of a sequence: 'cltrain "
            "sample' writes with it, and --out FILE.npy keeps the probabilities",
            predictor->trained.file.content->model.name);
    predictor->count = clg_shape_count(shape) / shape->dim[0];
    predictor->row = malloc((size_t)clg_shape_count(shape) * sizeof(float));
    if (!predictor->row) return report_error(NO_MEMORY, "out of memory");
    if (!given->out) return DONE;
    return prediction_file_start(&predictor->file, given->out, clg_tensor_shape(network->image),
                                 shape);
}

static int prepare(struct predictor *predictor, const char *run)
{
    int code = trained_load(&predictor->trained, run, predictor->given->device);
    if (code == DONE) code = choose_value(predictor);
    if (code != DONE) return code;
    clg_status status = clg_program_compile(
        &predictor->program, predictor->trained.context, predictor->trained.network.graph,
        clg_program_options(.outputs = &predictor->value, .n_outputs = 1, .mode = CLG_INFERENCE));
    return status == CLG_OK ? trained_restore(&predictor->trained, run)
                            : report_status(status, NULL);
}

static int run(const void *values, int argc, char **argv)
{
    struct predictor predictor = {.given = values};
    if (argc < 2) return report_error(BAD_USAGE, "predict: give a run and one or more files");
    int code = prepare(&predictor, argv[0]);
    for (int i = 1; i < argc && code == DONE; i++) code = predict_file(&predictor, argv[i]);
    if (code == DONE && predictor.given->out) code = prediction_file_write(&predictor.file);
    prediction_file_clear(&predictor.file);
    clg_program_destroy(predictor.program);
    trained_clear(&predictor.trained);
    free(predictor.row);
    return code;
}

const struct command command_predict = {
    .name = "predict",
    .arguments = "RUN|CHECKPOINT FILE...",
    .summary = "Says what a trained model makes of samples.",
    .details = "Files are images (PNG, JPEG), idx, npy or npz arrays, tables, texts, or folders of "
               "images;\nthey are read as the training data was.",
    .options = options,
    .values_size = sizeof(struct predict_options),
    .max_arguments = -1,
    .run = run,
};
