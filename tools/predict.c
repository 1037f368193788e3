/*
 * cltrain predict: classes and their probabilities for images in idx files.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clgrad/data.h"
#include "cltrain.h"
#include "loss.h"
#include "options.h"
#include "trained.h"

enum { SHOWN_CLASSES = 3 }; /* in text; JSON has all */

struct predict_options {
    const char *device;
    int64_t limit;
    bool json;
};

static const struct option_row options[] = {{"limit", "N", OPTION_COUNT,
                                             offsetof(struct predict_options, limit),
                                             "only the first N samples of each file"},
                                            OPTION_DEVICE(struct predict_options),
                                            OPTION_JSON(struct predict_options),
                                            OPTION_ROWS_END};

/* One file of samples, as the network takes them. */
struct samples {
    const char *path;
    float *values;
    int64_t count, each; /* samples, numbers in one */
};

struct predictor {
    struct trained trained;
    clg_program *program;
    float *row; /* (batch, classes) */
    const struct predict_options *given;
};

/* ---- reading ---- */

static int check_samples(const struct samples *samples, const clg_shape *shape,
                         const struct model_spec *model)
{
    clg_shape wanted = clg_shape_of((int)model->input_count, model->input);
    if (samples->each == clg_shape_count(&wanted)) return DONE;
    char have[128], want[128];
    return report_error(BAD_INPUT, "%s: an array of shape %s does not hold samples of shape %s",
                        samples->path, clg_shape_text(shape, have, sizeof have),
                        clg_shape_text(&wanted, want, sizeof want));
}

/* u8 pixels become 0 .. 1, as in training. */
static int convert(struct samples *samples, clg_dtype dtype, const void *data)
{
    size_t total = (size_t)(samples->count * samples->each);
    samples->values = malloc(total * sizeof *samples->values + 1);
    if (!samples->values) return report_error(NO_MEMORY, "%s: out of memory", samples->path);
    if (dtype == CLG_F32) memcpy(samples->values, data, total * sizeof *samples->values);
    for (size_t i = 0; dtype == CLG_U8 && i < total; i++)
        samples->values[i] = (float)((const uint8_t *)data)[i] / 255.0f;
    if (dtype != CLG_I32) return DONE;
    return report_error(BAD_INPUT, "%s: holds integers wider than a byte, not images",
                        samples->path);
}

static int read_samples(struct samples *samples, const struct predictor *predictor)
{
    clg_dtype dtype;
    clg_shape shape;
    void *data = NULL;
    clg_status status = clg_idx_read(samples->path, &dtype, &shape, &data);
    if (status != CLG_OK) return report_status(status, NULL);
    samples->count = shape.ndim ? shape.dim[0] : 0;
    samples->each = samples->count ? clg_shape_count(&shape) / samples->count : 0;
    int64_t limit = predictor->given->limit;
    if (limit && limit < samples->count) samples->count = limit;
    int code = check_samples(samples, &shape, &predictor->trained.file.content->model);
    if (code == DONE) code = convert(samples, dtype, data);
    clg_free(data);
    return code;
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

static void print_numbers(const char *path, int64_t index, const float *values, int count)
{
    printf("%s[%" PRId64 "]:", path, index);
    for (int i = 0; i < count; i++) printf(" %.6g", (double)values[i]);
    putchar('\n');
}

static void print_text(const char *path, int64_t index, const float *p, int classes)
{
    printf("%s[%" PRId64 "]:", path, index);
    float ceiling = INFINITY;
    for (int rank = 0; rank < SHOWN_CLASSES; rank++) {
        int best = largest_below(p, classes, ceiling);
        if (best < 0) break;
        printf("%s %d (%.1f %%)", rank ? "," : "", best, 100 * (double)p[best]);
        ceiling = p[best];
    }
    putchar('\n');
}

static int print_sample(const struct predictor *predictor, const char *path, int64_t index,
                        const float *p, int classes)
{
    bool numbers = !predictor->trained.network.accuracy;
    if (!predictor->given->json) {
        (numbers ? print_numbers : print_text)(path, index, p, classes);
        return DONE;
    }
    json_t *list = json_array();
    for (int i = 0; i < classes; i++) json_array_append_new(list, json_number((double)p[i]));
    if (numbers)
        return print_json(json_pack("{so sI so}", "file", json_text(path), "sample",
                                    (json_int_t)index, "outputs", list));
    return print_json(json_pack("{so sI si so}", "file", json_text(path), "sample",
                                (json_int_t)index, "class", largest_below(p, classes, INFINITY),
                                "probabilities", list));
}

/* ---- running ---- */

static clg_status predict_batch(struct predictor *predictor, const float *values, int64_t count)
{
    int64_t classes = loss_outputs(&predictor->trained.network);
    clg_status status =
        feed_batch(predictor->program, &predictor->trained.network, count, values, NULL);
    if (status == CLG_OK) status = clg_program_run(predictor->program);
    if (status == CLG_OK)
        status = clg_program_read(predictor->program, predictor->trained.network.prediction,
                                  predictor->row, (size_t)(count * classes) * sizeof(float));
    return status;
}

static int predict_file(struct predictor *predictor, const char *path)
{
    struct samples samples = {.path = path};
    int64_t batch = clg_tensor_shape(predictor->trained.network.image)->dim[0];
    int classes = (int)loss_outputs(&predictor->trained.network);
    int code = read_samples(&samples, predictor);
    for (int64_t first = 0; code == DONE && first < samples.count; first += batch) {
        int64_t count = samples.count - first < batch ? samples.count - first : batch;
        clg_status status = predict_batch(predictor, samples.values + first * samples.each, count);
        if (status != CLG_OK) code = report_status(status, path);
        for (int64_t i = 0; code == DONE && i < count; i++)
            code = print_sample(predictor, path, first + i, predictor->row + i * classes, classes);
    }
    free(samples.values);
    return code;
}

static int prepare(struct predictor *predictor, const char *run)
{
    int code = trained_load(&predictor->trained, run, predictor->given->device);
    if (code != DONE) return code;
    struct network *network = &predictor->trained.network;
    int64_t batch = clg_tensor_shape(network->image)->dim[0];
    predictor->row = malloc((size_t)(batch * loss_outputs(network)) * sizeof(float));
    if (!predictor->row) return report_error(NO_MEMORY, "out of memory");
    clg_status status =
        clg_program_compile(&predictor->program, predictor->trained.context, network->graph,
                            clg_program_options(.outputs = &network->prediction, .n_outputs = 1,
                                                .mode = CLG_INFERENCE));
    return status == CLG_OK ? trained_restore(&predictor->trained, run)
                            : report_status(status, NULL);
}

static int run(const void *values, int argc, char **argv)
{
    struct predictor predictor = {.given = values};
    if (argc < 2) return report_error(BAD_USAGE, "predict: give a run and one or more idx files");
    int code = prepare(&predictor, argv[0]);
    for (int i = 1; i < argc && code == DONE; i++) code = predict_file(&predictor, argv[i]);
    clg_program_destroy(predictor.program);
    trained_clear(&predictor.trained);
    free(predictor.row);
    return code;
}

const struct command command_predict = {
    .name = "predict",
    .arguments = "RUN|CHECKPOINT IMAGES.idx...",
    .summary = "Says what a trained model sees in images.",
    .details = "Images come from idx files (MNIST's format), plain or .gz.",
    .options = options,
    .values_size = sizeof(struct predict_options),
    .max_arguments = -1,
    .run = run,
};
