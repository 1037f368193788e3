/*
 * cltrain bench: how fast this device runs what training is made of, beside the device's own
 * limits.
 *
 * A case warms up, then runs for about a second with a wait after each run; the median run counts.
 * The waits are part of it: they cost tens of microseconds, which a training loop that enqueues
 * ahead does not pay.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "clgrad/bench.h"
#include "cltrain.h"
#include "options.h"
#include "signals.h"

static const double WARM_UP = 0.2, MEASURE = 1.0; /* seconds */
enum { MIN_RUNS = 5, MAX_RUNS = 4096 };

struct bench_options {
    const char *device;
    bool json;
};

static const struct option_row options[] = {OPTION_DEVICE(struct bench_options),
                                            OPTION_JSON(struct bench_options), OPTION_ROWS_END};

struct bench {
    clg_context *context;
    const struct bench_options *given;
    double fma_gflops, copy_gbytes; /* limits, 0: not measured yet */
};

/* ---- timing ---- */

static clg_status run_once(clg_context *context, clg_program *program, double *seconds)
{
    double started = seconds_now();
    clg_status status = clg_program_run(program);
    if (status == CLG_OK) status = clg_context_finish(context);
    *seconds = seconds_now() - started;
    return status;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static clg_status time_program(clg_context *context, clg_program *program, double *median)
{
    static double times[MAX_RUNS];
    size_t count = 0;
    clg_status status = CLG_OK;
    for (double started = seconds_now(), once;
         status == CLG_OK && seconds_now() - started < WARM_UP;)
        status = run_once(context, program, &once);
    double started = seconds_now();
    while (status == CLG_OK && count < MAX_RUNS && !signal_received() &&
           (count < MIN_RUNS || seconds_now() - started < MEASURE))
        status = run_once(context, program, &times[count++]);
    if (status != CLG_OK) return status;
    qsort(times, count, sizeof *times, compare_doubles);
    *median = count ? times[count / 2] : NAN;
    return CLG_OK;
}

/* ---- one case ---- */

/* Numbers that look random; their values do not matter. */
static uint64_t scattered(int64_t i)
{
    return (uint64_t)i * 2654435761u % 4294967296u;
}

static clg_status feed_data(clg_tensor *input, clg_program *program)
{
    int64_t count = clg_shape_count(clg_tensor_shape(input));
    float *data = malloc((size_t)count * sizeof *data);
    if (!data) return CLG_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) data[i] = (float)(scattered(i) % 1024) / 1024.0f;
    clg_status status = clg_program_feed(program, input, data, (size_t)count * sizeof *data);
    free(data);
    return status;
}

static clg_status feed_labels(const struct bench_setup *setup, clg_program *program)
{
    int64_t count = clg_shape_count(clg_tensor_shape(setup->label));
    int32_t *label = malloc((size_t)count * sizeof *label);
    if (!label) return CLG_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        label[i] = (int32_t)(scattered(i) % (uint64_t)setup->classes);
    clg_status status =
        clg_program_feed(program, setup->label, label, (size_t)count * sizeof *label);
    free(label);
    return status;
}

/* One batch. */
static clg_status feed(const struct bench_setup *setup, clg_program *program)
{
    clg_status status = setup->data ? feed_data(setup->data, program) : CLG_OK;
    return status == CLG_OK && setup->label ? feed_labels(setup, program) : status;
}

static clg_status measure_case(struct bench *bench, const struct bench_case *row, double *seconds)
{
    struct bench_setup setup = {
        .graph = clg_graph_create(clg_graph_options(.batch = row->batch, .seed = 1)),
        .mode = CLG_INFERENCE};
    clg_program *program = NULL;
    if (!setup.graph) return CLG_ERROR_MEMORY;
    row->build(&setup, row);
    clg_status status =
        clg_program_compile(&program, bench->context, setup.graph,
                            clg_program_options(.outputs = setup.outputs,
                                                .n_outputs = setup.n_outputs, .mode = setup.mode));
    if (status == CLG_OK) status = feed(&setup, program);
    if (status == CLG_OK) status = time_program(bench->context, program, seconds);
    clg_program_destroy(program);
    clg_graph_destroy(setup.graph);
    return status;
}

/* ---- results ---- */

static int print_result(const struct bench *bench, const char *name, double seconds, double flops,
                        double bytes)
{
    const char *device = clg_context_device(bench->context)->name;
    if (bench->given->json)
        return print_json(json_pack("{ss so so so so}", "case", name, "device", json_text(device),
                                    "median_ms", json_number(seconds * 1e3), "gflops",
                                    json_number(flops / seconds / 1e9), "gb_per_s",
                                    json_number(bytes / seconds / 1e9)));
    if (bytes > 0)
        printf("%-26s %10.3f ms %10.1f GB/s\n", name, seconds * 1e3, bytes / seconds / 1e9);
    else
        printf("%-26s %10.3f ms %10.1f GFLOP/s\n", name, seconds * 1e3, flops / seconds / 1e9);
    fflush(stdout);
    return DONE;
}

static int measure_limits(struct bench *bench)
{
    if (bench->fma_gflops > 0) return DONE;
    clg_status status = clg_measure_limits(bench->context, &bench->fma_gflops, &bench->copy_gbytes);
    return status == CLG_OK ? DONE : report_status(status, "limits");
}

/* The library measures rates; the times are those of a nominal amount of work at that rate. */
static int run_fma(struct bench *bench)
{
    const double flops = 2e9;
    int code = measure_limits(bench);
    if (code != DONE) return code;
    return print_result(bench, "fma-peak", flops / bench->fma_gflops / 1e9, flops, 0);
}

static int run_copy(struct bench *bench)
{
    const double bytes = 128.0 * (1 << 20); /* 64 MiB read, 64 MiB written */
    int code = measure_limits(bench);
    if (code != DONE) return code;
    return print_result(bench, "copy", bytes / bench->copy_gbytes / 1e9, 0, bytes);
}

static const struct {
    const char *name;
    int (*run)(struct bench *bench);
} limit_cases[] = {{"fma-peak", run_fma}, {"copy", run_copy}};
enum { N_LIMIT_CASES = sizeof limit_cases / sizeof *limit_cases };

static int run_case(struct bench *bench, const char *name)
{
    for (int i = 0; i < N_LIMIT_CASES; i++)
        if (!strcmp(limit_cases[i].name, name)) return limit_cases[i].run(bench);
    const struct bench_case *row = bench_cases;
    while (strcmp(row->name, name)) row++;
    double seconds = 0;
    clg_status status = measure_case(bench, row, &seconds);
    if (status != CLG_OK) return report_status(status, name);
    return print_result(bench, name, seconds, row->flops, 0);
}

/* ---- the command ---- */

static size_t case_names(const char *names[])
{
    size_t count = 0;
    for (int i = 0; i < N_LIMIT_CASES; i++) names[count++] = limit_cases[i].name;
    for (size_t i = 0; i < n_bench_cases; i++) names[count++] = bench_cases[i].name;
    return count;
}

static int check_names(const char *const *names, size_t count, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        size_t k = 0;
        while (k < count && strcmp(names[k], argv[i])) k++;
        if (k < count) continue;
        report_error(BAD_USAGE, "bench: unknown case '%s'%s", argv[i],
                     suggestion(argv[i], names, count));
        fputs("Cases:", stderr);
        for (k = 0; k < count; k++) fprintf(stderr, " %s", names[k]);
        fputc('\n', stderr);
        return BAD_USAGE;
    }
    return DONE;
}

static int run(const void *values, int argc, char **argv)
{
    struct bench bench = {.given = values};
    const char *names[64];
    size_t count = case_names(names);
    int code = check_names(names, count, argc, argv);
    if (code != DONE) return code;
    signals_catch();
    clg_status status =
        clg_context_create(&bench.context, clg_context_options(.device = bench.given->device));
    if (status != CLG_OK) return report_status(status, NULL);
    report_note("Device: %s", clg_context_choice(bench.context));
    size_t total = argc ? (size_t)argc : count;
    for (size_t i = 0; i < total && code == DONE && !signal_received(); i++)
        code = run_case(&bench, argc ? argv[i] : names[i]);
    clg_context_destroy(bench.context);
    return code == DONE && signal_received() ? SIGNALLED + signal_received() : code;
}

const struct command command_bench = {
    .name = "bench",
    .arguments = "[CASE]...",
    .summary = "Measures the device.",
    .details =
        "Cases: fma-peak copy matmul-512 matmul-1024 matmul-2048 conv3x3-64-56-b16\n"
        "conv3x3-64-56-b16-train step-mlp-b128 step-lenet-b64 step-lstm-b32 step-embedding-10k\n"
        "step-embedding-1m; default: all of them.\n"
        "The times of fma-peak and copy are those of 1e9 multiply-adds and of copying 64 MiB.",
    .options = options,
    .values_size = sizeof(struct bench_options),
    .max_arguments = -1,
    .run = run,
};
