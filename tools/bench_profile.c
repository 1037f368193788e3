/*
 * Where the time of a case goes: its kernels by time, each beside what the device's limits allow,
 * and a trace in the format of chrome://tracing (an array of complete events, microseconds).
 *
 * A kernel cannot be faster than its operations at the rate of multiply-adds, or its bytes at the
 * rate of copying (the roofline); which one binds is marked.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cltrain.h"
#include "options.h"

enum { WARM_RUNS = 3 };

/* All launches of one kernel name. */
struct kernel_total {
    const char *name;
    double seconds, flops, bytes;
    size_t launches;
};

double bench_share(const struct bench_limits *limits, double flops, double bytes, double seconds)
{
    double work = limits->gflops > 0 ? flops / limits->gflops : 0;
    double traffic = limits->gbytes > 0 ? bytes / limits->gbytes : 0;
    return seconds > 0 ? fmax(work, traffic) / 1e9 / seconds : 0;
}

static int by_time(const void *a, const void *b)
{
    double x = ((const struct kernel_total *)a)->seconds,
           y = ((const struct kernel_total *)b)->seconds;
    return (x < y) - (x > y);
}

/* Adds up equal names; returns how many there are. */
static size_t add_up(const clg_profile_row *rows, size_t count, struct kernel_total *totals)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < n && strcmp(totals[k].name, rows[i].name)) k++;
        if (k == n) totals[n++] = (struct kernel_total){.name = rows[i].name};
        totals[k].seconds += rows[i].seconds;
        totals[k].flops += rows[i].flops;
        totals[k].bytes += rows[i].bytes;
        totals[k].launches++;
    }
    qsort(totals, n, sizeof *totals, by_time);
    return n;
}

static int print_totals(const char *name, const struct bench_limits *limits,
                        const struct kernel_total *totals, size_t n, bool json)
{
    double sum = 0;
    int code = DONE;
    for (size_t i = 0; i < n; i++) sum += totals[i].seconds;
    if (!json) printf("%s: %.3f ms in kernels\n", name, sum * 1e3);
    if (!json)
        printf("%10s %6s %8s %9s %9s %8s  %s\n", "ms", "of all", "launches", "GFLOP/s", "GB/s",
               "of limit", "kernel");
    for (size_t i = 0; i < n && code == DONE; i++) {
        const struct kernel_total *t = &totals[i];
        double share = bench_share(limits, t->flops, t->bytes, t->seconds);
        if (json)
            code = print_json(
                json_pack("{ss ss so sI so so so}", "case", name, "kernel", t->name, "ms",
                          json_number(t->seconds * 1e3), "launches", (json_int_t)t->launches,
                          "gflops", json_number(t->flops / t->seconds / 1e9), "gb_per_s",
                          json_number(t->bytes / t->seconds / 1e9), "share", json_number(share)));
        else
            printf("%10.3f %4.1f %% %8zu %9.1f %9.1f %6.0f %%  %s\n", t->seconds * 1e3,
                   100 * t->seconds / sum, t->launches, t->flops / t->seconds / 1e9,
                   t->bytes / t->seconds / 1e9, 100 * share, t->name);
    }
    return code;
}

/* Launches one after the other, as in an in-order queue; gaps between them are not recorded. */
static int write_trace(FILE *to, const char *path, const clg_profile_row *rows, size_t count)
{
    json_t *events = json_array();
    double at = 0;
    for (size_t i = 0; i < count; at += rows[i++].seconds * 1e6)
        json_array_append_new(
            events, json_pack("{ss ss si si so so s{so so}}", "name", rows[i].name, "ph", "X",
                              "pid", 1, "tid", 1, "ts", json_number(at), "dur",
                              json_number(rows[i].seconds * 1e6), "args", "flops",
                              json_number(rows[i].flops), "bytes", json_number(rows[i].bytes)));
    bool written = json_array_size(events) == count && !json_dumpf(events, to, JSON_COMPACT);
    json_decref(events);
    return written && !fflush(to) ? DONE
                                  : report_error(FAILED, "cannot write the trace to '%s'", path);
}

static int print_profile(const struct bench_case *row, const struct bench_limits *limits,
                         const clg_profile_row *rows, size_t count, bool json)
{
    struct kernel_total *totals = calloc(count + 1, sizeof *totals);
    if (!totals) return report_status(CLG_ERROR_MEMORY, row->name);
    int code = print_totals(row->name, limits, totals, add_up(rows, count, totals), json);
    free(totals);
    return code;
}

int bench_profile(struct bench_run *run, const struct bench_case *row,
                  const struct bench_limits *limits, const char *trace, bool json)
{
    struct bench_result result = {0};
    clg_profile_row *rows = NULL;
    size_t count = 0;
    FILE *to = trace ? fopen(trace, "w") : NULL; /* before anything is measured in vain */
    if (trace && !to) return report_error(FAILED, "cannot write '%s': %s", trace, strerror(errno));
    int code = bench_open(run, row, &result);
    clg_status status = CLG_OK;
    for (int i = 0; i < WARM_RUNS && code == DONE && status == CLG_OK; i++)
        status = clg_program_run(run->program);
    if (code == DONE && status == CLG_OK) status = clg_program_profile(run->program, &rows, &count);
    if (status != CLG_OK) code = report_status(status, row->name);
    if (code == DONE) code = print_profile(row, limits, rows, count, json);
    if (code == DONE && to) code = write_trace(to, trace, rows, count);
    if (to) fclose(to);
    clg_free(rows);
    bench_close(run);
    return code;
}
