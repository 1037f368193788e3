/*
 * cltrain bench: how fast this device runs what training is made of, beside the device's own
 * limits. See bench_measure.c for what is timed.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "clgrad/bench.h"
#include "cltrain.h"
#include "options.h"
#include "signals.h"

struct bench_options {
    const char *device, *trace;
    int64_t memory_budget; /* MiB */
    bool json, profile, list;
};

static const struct option_row options[] = {
    OPTION_DEVICE(struct bench_options),
    {"list", NULL, OPTION_FLAG, offsetof(struct bench_options, list),
     "print the names of all cases"},
    {"profile", NULL, OPTION_FLAG, offsetof(struct bench_options, profile),
     "print the kernels of the cases by time"},
    {"trace", "FILE", OPTION_TEXT, offsetof(struct bench_options, trace),
     "with --profile and one case: also write a trace for chrome://tracing"},
    {"memory-budget", "MIB", OPTION_COUNT, offsetof(struct bench_options, memory_budget),
     "for activations and gradients of a case; kernels run again where it asks for it"},
    OPTION_JSON(struct bench_options),
    OPTION_ROWS_END};

struct bench {
    clg_context *context;
    const struct bench_options *given;
    struct bench_limits limits;
};

/* ---- the table ---- */

static const char *const limit_names[] = {"fma-peak", "copy"};
enum { N_LIMITS = sizeof limit_names / sizeof *limit_names };

const struct bench_case *bench_cases(void)
{
    static struct bench_case table[BENCH_CASES];
    if (!table[0].name) {
        size_t n = bench_add_kernels(table);
        bench_add_models(table + n);
    }
    return table;
}

static const struct bench_case *find_case(const char *name)
{
    const struct bench_case *row = bench_cases();
    while (row->name && strcmp(row->name, name)) row++;
    return row->name ? row : NULL;
}

static size_t case_names(const char *names[])
{
    size_t count = 0;
    for (int i = 0; i < N_LIMITS; i++) names[count++] = limit_names[i];
    for (const struct bench_case *row = bench_cases(); row->name; row++) names[count++] = row->name;
    return count;
}

/* ---- results ---- */

static json_t *json_positive(double value)
{
    return value > 0 ? json_number(value) : json_null();
}

static int print_as_json(const struct bench *bench, const char *name, double flops, double bytes,
                         const struct bench_result *r)
{
    const char *device = clg_context_device(bench->context)->name;
    return print_json(json_pack(
        "{ss so so so so so sI sI sI sI so so sI sI}", "case", name, "device", json_text(device),
        "median_ms", json_number(r->seconds * 1e3), "gflops", json_number(flops / r->seconds / 1e9),
        "gb_per_s", json_number(bytes / r->seconds / 1e9), "share",
        json_positive(bench_share(&bench->limits, flops, bytes, r->seconds)), "launches",
        (json_int_t)r->stats.launches, "memory_bytes", (json_int_t)r->memory, "arena_bytes",
        (json_int_t)r->stats.arena_bytes, "repeated_steps", (json_int_t)r->stats.repeated_steps,
        "compile_s", json_positive(r->compile), "first_run_s", json_positive(r->first),
        "programs_compiled", (json_int_t)r->compiled, "programs_loaded", (json_int_t)r->loaded));
}

static int print_result(const struct bench *bench, const char *name, double flops, double bytes,
                        const struct bench_result *r)
{
    if (bench->given->json) return print_as_json(bench, name, flops, bytes, r);
    if (bytes > 0)
        printf("%-28s %10.3f ms %8.1f GB/s   ", name, r->seconds * 1e3, bytes / r->seconds / 1e9);
    else
        printf("%-28s %10.3f ms %8.1f GFLOP/s", name, r->seconds * 1e3, flops / r->seconds / 1e9);
    double share = bench_share(&bench->limits, flops, bytes, r->seconds);
    if (r->stats.launches)
        printf(" %4.0f %% %5zu kernels %8.1f MB  ready in %.2f s", 100 * share, r->stats.launches,
               (double)r->memory / 1e6, r->compile + r->first);
    putchar('\n');
    fflush(stdout);
    return DONE;
}

/* The machine may have been slower when they were measured before: the best counts. */
static clg_status measure_limits(struct bench *bench)
{
    double gflops, gbytes;
    clg_status status = clg_measure_limits(bench->context, &gflops, &gbytes);
    if (status != CLG_OK) return status;
    if (gflops > bench->limits.gflops) bench->limits.gflops = gflops;
    if (gbytes > bench->limits.gbytes) bench->limits.gbytes = gbytes;
    return CLG_OK;
}

/* The library measures rates; the times are those of a nominal amount of work at that rate. */
static int run_limit(const struct bench *bench, const char *name)
{
    const double flops = 2e9, bytes = 128.0 * (1 << 20); /* 64 MiB read, 64 MiB written */
    bool fma = !strcmp(name, limit_names[0]);
    struct bench_result result = {.seconds = fma ? flops / bench->limits.gflops / 1e9
                                                 : bytes / bench->limits.gbytes / 1e9};
    return print_result(bench, name, fma ? flops : 0, fma ? 0 : bytes, &result);
}

static int run_case(struct bench *bench, const char *name)
{
    const struct bench_case *row = find_case(name);
    if (!row) return run_limit(bench, name);
    struct bench_run run = {.context = bench->context,
                            .memory_budget = (uint64_t)bench->given->memory_budget << 20};
    if (bench->given->profile)
        return bench_profile(&run, row, &bench->limits, bench->given->trace, bench->given->json);
    struct bench_result result = {0};
    int code = bench_open(&run, row, &result);
    clg_status status = code == DONE ? bench_time(&run, &result) : CLG_OK;
    if (code == DONE && status == CLG_OK) status = measure_limits(bench);
    if (status != CLG_OK) code = report_status(status, name);
    if (code == DONE) code = print_result(bench, name, run.setup.flops, run.setup.bytes, &result);
    bench_close(&run);
    return code;
}

/* ---- the command ---- */

static int check_names(const char *const *names, size_t count, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        size_t k = 0;
        while (k < count && strcmp(names[k], argv[i])) k++;
        if (k < count) continue;
        return report_error(BAD_USAGE,
                            "bench: unknown case '%s'%s; cltrain bench --list prints all", argv[i],
                            suggestion(argv[i], names, count));
    }
    return DONE;
}

static int check_options(const struct bench_options *given, int argc)
{
    if (given->profile && !argc)
        return report_error(BAD_USAGE, "bench: --profile needs the names of cases");
    if (given->trace && (!given->profile || argc != 1))
        return report_error(BAD_USAGE, "bench: --trace goes with --profile and one case");
    return DONE;
}

static int start(struct bench *bench)
{
    clg_status status = clg_context_create(
        &bench->context,
        clg_context_options(.device = bench->given->device, .profiling = bench->given->profile));
    if (status != CLG_OK) return report_status(status, NULL);
    report_note("Device: %s", clg_context_choice(bench->context));
    status = measure_limits(bench);
    return status == CLG_OK ? DONE : report_status(status, "limits");
}

static int print_names(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) puts(names[i]);
    return DONE;
}

static int run(const void *values, int argc, char **argv)
{
    struct bench bench = {.given = values};
    const char *names[BENCH_CASES];
    size_t count = case_names(names);
    if (bench.given->list) return print_names(names, count);
    int code = check_names(names, count, argc, argv);
    if (code == DONE) code = check_options(bench.given, argc);
    if (code != DONE) return code;
    signals_catch();
    code = start(&bench);
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
        "Cases: the device's limits (fma-peak copy), products, convolutions and their gradients,\n"
        "operations bound by memory, training steps and inference of networks; default: all.\n"
        "Each is printed with its share of the limit that binds it, kernels per run, and memory.\n"
        "The times of fma-peak and copy are those of 1e9 multiply-adds and of copying 64 MiB.",
    .options = options,
    .values_size = sizeof(struct bench_options),
    .max_arguments = -1,
    .run = run,
};
