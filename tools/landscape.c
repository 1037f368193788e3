/*
 * cltrain landscape: the loss on a plane through the trained weights w,
 *
 *     f(x, y) = loss(w + x d + y e),
 *
 * with two random directions d, e in which every filter has the length of the same filter in w (Li
 * et al. 2018, Visualizing the Loss Landscape of Neural Nets, section 4). A filter is what belongs
 * to one element of the last axis: a kernel of a convolution, the weights of one unit. Biases and
 * other vectors stay as they are, and so do running statistics.
 */
#include "landscape.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"
#include "datasets.h"
#include "options.h"
#include "page.h"
#include "run_dir.h"
#include "sample_block.h"
#include "signals.h"
#include "trained.h"

struct landscape_options {
    int64_t points, samples, seed;
    const char *data, *device, *range;
    bool json;
};

#define OPTION(name, argument, kind, help)                                                         \
    {                                                                                              \
#name, argument, kind, offsetof(struct landscape_options, name), help                      \
    }
static const struct option_row options[] = {
    OPTION(points, "N", OPTION_COUNT, "in each direction, odd; default 21"),
    OPTION(range, "X", OPTION_TEXT, "how far to go, in lengths of the weights; default 1"),
    OPTION(samples, "N", OPTION_COUNT, "of the training data to measure on; default 512"),
    OPTION(seed, "N", OPTION_COUNT, "of the two directions; default 1"),
    OPTION(data, "PATH", OPTION_TEXT, "as for train; default: the data of the run"),
    OPTION_DEVICE(struct landscape_options),
    OPTION_JSON(struct landscape_options),
    OPTION_ROWS_END};

enum { MAX_POINTS = 201, POINTS = 21, SAMPLES = 512 };
static const double NOTE_INTERVAL = 5; /* seconds */

/* A variable that is moved, with its place in the arrays below. */
struct moved {
    clg_tensor *variable;
    int64_t first, count;
};

struct survey {
    struct landscape map;
    struct trained trained;
    clg_dataset *dataset;
    clg_program *program;
    struct moved *moved;
    size_t n_moved;
    float *weights, *along_x, *along_y, *sum; /* of all moved variables, one block */
    struct sample_block samples;
};

double landscape_place(const struct landscape *map, int i)
{
    return map->range * (2.0 * i / (map->points - 1) - 1);
}

/* ---- directions ---- */

/* Scales column c of (rows, columns) to the length of the column in `weights`. */
static void normalize_filters(float *direction, const float *weights, int64_t rows, int64_t columns)
{
    for (int64_t c = 0; c < columns; c++) {
        double have = 0, want = 0;
        for (int64_t i = c; i < rows * columns; i += columns) {
            have += (double)direction[i] * (double)direction[i];
            want += (double)weights[i] * (double)weights[i];
        }
        float scale = have > 0 ? (float)sqrt(want / have) : 0;
        for (int64_t i = c; i < rows * columns; i += columns) direction[i] *= scale;
    }
}

/* Normal numbers by the library's generator: the initial values of variables of another graph. */
static clg_status draw_direction(float *direction, const struct survey *survey, clg_graph *graph,
                                 const char *prefix)
{
    clg_status status = CLG_OK;
    for (size_t i = 0; i < survey->n_moved && status == CLG_OK; i++) {
        const struct moved *moved = &survey->moved[i];
        const clg_shape *shape = clg_tensor_shape(moved->variable);
        char name[300];
        snprintf(name, sizeof name, "%s.%s", prefix, clg_tensor_name(moved->variable));
        clg_tensor *drawn =
            clg_variable(graph, name, *shape, CLG_INIT(CLG_INIT_NORMAL, .value = 1), false);
        status = drawn ? clg_variable_read(drawn, direction + moved->first, moved->count)
                       : clg_graph_status(graph);
        int64_t columns = shape->dim[shape->ndim - 1];
        normalize_filters(direction + moved->first, survey->weights + moved->first,
                          moved->count / columns, columns);
    }
    return status;
}

static clg_status find_moved(struct survey *survey)
{
    const clg_graph *graph = survey->trained.network.graph;
    clg_tensor *variable;
    size_t total = 0;
    int64_t count = 0;
    while (clg_graph_variable(graph, total)) total++;
    survey->moved = calloc(total + 1, sizeof *survey->moved);
    for (size_t i = 0; survey->moved && i < total; i++) {
        variable = clg_graph_variable(graph, i);
        const clg_shape *shape = clg_tensor_shape(variable);
        if (!clg_tensor_trainable(variable) || shape->ndim < 2) continue;
        int64_t size = clg_shape_count(shape);
        survey->moved[survey->n_moved++] = (struct moved){variable, count, size};
        count += size;
    }
    survey->weights = survey->moved ? malloc((4 * (size_t)count + 1) * sizeof(float)) : NULL;
    if (!survey->weights) return CLG_ERROR_MEMORY;
    survey->along_x = survey->weights + count;
    survey->along_y = survey->along_x + count;
    survey->sum = survey->along_y + count;
    return CLG_OK;
}

static clg_status prepare_directions(struct survey *survey, int64_t seed)
{
    clg_status status = find_moved(survey);
    for (size_t i = 0; i < survey->n_moved && status == CLG_OK; i++)
        status =
            clg_variable_read(survey->moved[i].variable, survey->weights + survey->moved[i].first,
                              survey->moved[i].count);
    if (status != CLG_OK) return status;
    clg_graph *graph = clg_graph_create(clg_graph_options(.seed = (uint64_t)seed));
    if (!graph) return CLG_ERROR_MEMORY;
    status = draw_direction(survey->along_x, survey, graph, "x");
    if (status == CLG_OK) status = draw_direction(survey->along_y, survey, graph, "y");
    clg_graph_destroy(graph);
    return status;
}

/* ---- the loss at one place ---- */

static clg_status move_weights(struct survey *survey, double x, double y)
{
    clg_status status = CLG_OK;
    for (size_t i = 0; i < survey->n_moved && status == CLG_OK; i++) {
        const struct moved *moved = &survey->moved[i];
        for (int64_t k = moved->first; k < moved->first + moved->count; k++)
            survey->sum[k] =
                (float)(survey->weights[k] + x * survey->along_x[k] + y * survey->along_y[k]);
        status = clg_variable_write(moved->variable, survey->sum + moved->first, moved->count);
    }
    return status;
}

static clg_status measure_loss(struct survey *survey, double *out)
{
    const struct network *network = &survey->trained.network;
    int64_t batch = clg_tensor_shape(network->image)->dim[0];
    double sum = 0;
    clg_status status = CLG_OK;
    for (int64_t first = 0; first < survey->samples.count && status == CLG_OK; first += batch) {
        int64_t count =
            survey->samples.count - first < batch ? survey->samples.count - first : batch;
        float loss = 0;
        status = sample_block_feed(&survey->samples, survey->program, network, first, count);
        if (status == CLG_OK) status = clg_program_run(survey->program);
        if (status == CLG_OK)
            status = clg_program_read(survey->program, network->loss, &loss, sizeof loss);
        sum += (double)loss * (double)count;
    }
    *out = sum / (double)survey->samples.count;
    return status;
}

static clg_status survey_all(struct survey *survey)
{
    struct landscape *map = &survey->map;
    double noted = seconds_now();
    int total = map->points * map->points;
    clg_status status = CLG_OK;
    for (int i = 0; i < total && status == CLG_OK; i++) {
        status = move_weights(survey, landscape_place(map, i % map->points),
                              landscape_place(map, i / map->points));
        if (status == CLG_OK) status = measure_loss(survey, &map->loss[i]);
        if (status == CLG_OK && signal_received()) status = CLG_ERROR_INTERRUPTED;
        if (seconds_now() - noted < NOTE_INTERVAL) continue;
        report_note("%d of %d points", i + 1, total);
        noted = seconds_now();
    }
    return status;
}

/* ---- preparation ---- */

static int take_options(struct survey *survey, const struct landscape_options *given)
{
    char *end = NULL;
    int64_t points = given->points ? given->points : POINTS;
    survey->map.range = given->range ? strtod(given->range, &end) : 1;
    if (given->range &&
        (end == given->range || *end || !(survey->map.range > 0) || survey->map.range > 1e6))
        return report_error(BAD_USAGE, "landscape: --range takes a number above 0, not '%s'",
                            given->range);
    if (points < 3 || points > MAX_POINTS || points % 2 == 0)
        return report_error(BAD_USAGE, "landscape: --points must be odd and in 3 .. %d",
                            MAX_POINTS);
    survey->map.points = (int)points;
    survey->map.loss = calloc((size_t)(points * points), sizeof *survey->map.loss);
    return survey->map.loss ? DONE : report_error(NO_MEMORY, "out of memory");
}

static int prepare(struct survey *survey, const struct landscape_options *given, const char *path)
{
    struct trained *trained = &survey->trained;
    int code = trained_load(trained, path, given->device);
    if (code == DONE)
        code = datasets_open_train(&survey->dataset, &trained->file, given->data, trained->schema);
    if (code != DONE) return code;
    clg_status status = sample_block_read(&survey->samples, survey->dataset,
                                          given->samples ? given->samples : SAMPLES);
    if (status == CLG_OK)
        status = clg_program_compile(&survey->program, trained->context, trained->network.graph,
                                     clg_program_options(.outputs = &trained->network.loss,
                                                         .n_outputs = 1, .mode = CLG_INFERENCE));
    if (status != CLG_OK) return report_status(status, NULL);
    code = trained_restore(trained, path);
    if (code != DONE) return code;
    status = prepare_directions(survey, given->seed ? given->seed : 1);
    return status == CLG_OK ? DONE : report_status(status, NULL);
}

static void clear(struct survey *survey)
{
    clg_program_destroy(survey->program);
    clg_dataset_destroy(survey->dataset);
    trained_clear(&survey->trained);
    free(survey->map.loss);
    free(survey->moved);
    free(survey->weights);
    sample_block_clear(&survey->samples);
}

/* ---- results ---- */

static int write_csv(const struct landscape *map, const char *path)
{
    struct page page;
    int code = page_open(&page);
    if (code != DONE) return code;
    fputs("x,y,loss\n", page.out);
    for (int i = 0; i < map->points * map->points; i++)
        fprintf(page.out, "%.9g,%.9g,%.9g\n", landscape_place(map, i % map->points),
                landscape_place(map, i / map->points), map->loss[i]);
    return page_close(&page, path);
}

static int write_results(const struct survey *survey, const struct run_dir *run, bool json)
{
    const struct landscape *map = &survey->map;
    struct run_path csv = run_file(run, "landscape.csv"), svg = run_file(run, "landscape.svg");
    char title[512];
    snprintf(title, sizeof title, "Loss around the weights of %s", run->path);
    int code = write_csv(map, csv.text), total = map->points * map->points;
    if (code == DONE) code = landscape_draw(map, svg.text, title);
    if (code != DONE) return code;
    double low = INFINITY, high = -INFINITY, middle = map->loss[total / 2];
    for (int i = 0; i < total; i++) {
        if (!isfinite(map->loss[i])) continue;
        low = fmin(low, map->loss[i]);
        high = fmax(high, map->loss[i]);
    }
    if (json)
        return print_json(json_pack("{so so so sI si so so}", "loss", json_number(middle), "lowest",
                                    json_number(low), "highest", json_number(high), "samples",
                                    (json_int_t)survey->samples.count, "points", map->points, "csv",
                                    json_text(csv.text), "svg", json_text(svg.text)));
    printf("loss %.4f at the weights, %.4f to %.4g around them (%" PRId64 " samples)\n"
           "picture %s, numbers %s\n",
           middle, low, high, survey->samples.count, svg.text, csv.text);
    return DONE;
}

static int run(const void *values, int argc, char **argv)
{
    const struct landscape_options *given = values;
    struct survey survey = {.n_moved = 0};
    struct run_dir run = {0};
    if (!argc) return report_error(BAD_USAGE, "landscape: which run?");
    signals_catch();
    int code = take_options(&survey, given);
    if (code == DONE) code = run_open(&run, argv[0]);
    if (code == DONE) code = prepare(&survey, given, argv[0]);
    if (code == DONE) {
        clg_status status = survey_all(&survey);
        if (status == CLG_ERROR_INTERRUPTED)
            code = SIGNALLED + signal_received();
        else if (status != CLG_OK)
            code = report_status(status, NULL);
    }
    if (code == DONE) code = write_results(&survey, &run, given->json);
    clear(&survey);
    run_close(&run);
    return code;
}

const struct command command_landscape = {
    .name = "landscape",
    .arguments = "RUN",
    .summary = "Draws the loss around the weights of a run.",
    .details = "The loss is measured on a plane through the weights, along two random directions "
               "in which every\nfilter has the length of the trained one. Writes landscape.svg and "
               "landscape.csv into the run.",
    .options = options,
    .values_size = sizeof(struct landscape_options),
    .max_arguments = 1,
    .run = run,
};
