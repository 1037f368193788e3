/*
 * Measuring one case of cltrain bench.
 *
 * A case warms up, then runs for about a second with a wait after each run; the median run counts.
 * The waits are part of it: they cost tens of microseconds, which a training loop that enqueues
 * ahead does not pay.
 */
#include <math.h>
#include <stdlib.h>

#include "bench.h"
#include "cltrain.h"
#include "signals.h"

static const double WARM_UP = 0.2, MEASURE = 1.0; /* seconds */
enum { MIN_RUNS = 5, MAX_RUNS = 4096 };

/* ---- timing ---- */

static clg_status run_once(struct bench_run *run, double *seconds)
{
    double started = seconds_now();
    clg_status status = clg_program_run(run->program);
    if (status == CLG_OK) status = clg_context_finish(run->context);
    *seconds = seconds_now() - started;
    return status;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

clg_status bench_time(struct bench_run *run, struct bench_result *result)
{
    static double times[MAX_RUNS];
    size_t count = 0;
    clg_status status = run_once(run, &result->first);
    clg_context_builds(run->context, &result->compiled, &result->loaded);
    for (double started = seconds_now(), once;
         status == CLG_OK && seconds_now() - started < WARM_UP;)
        status = run_once(run, &once);
    double started = seconds_now();
    while (status == CLG_OK && count < MAX_RUNS && !signal_received() &&
           (count < MIN_RUNS || seconds_now() - started < MEASURE))
        status = run_once(run, &times[count++]);
    if (status != CLG_OK) return status;
    qsort(times, count, sizeof *times, compare_doubles);
    result->seconds = count ? times[count / 2] : NAN;
    return CLG_OK;
}

/* ---- inputs ---- */

/* Numbers that look random; their values do not matter. */
static uint64_t scattered(int64_t i)
{
    return (uint64_t)i * 2654435761u % 4294967296u;
}

static clg_status feed_reals(clg_program *program, clg_tensor *input)
{
    int64_t count = clg_shape_count(clg_tensor_shape(input));
    float *data = malloc((size_t)count * sizeof *data);
    if (!data) return CLG_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) data[i] = (float)(scattered(i) % 1024) / 1024.0f;
    clg_status status = clg_program_feed(program, input, data, (size_t)count * sizeof *data);
    free(data);
    return status;
}

static clg_status feed_indices(clg_program *program, clg_tensor *input, int64_t classes)
{
    int64_t count = clg_shape_count(clg_tensor_shape(input));
    int32_t *data = malloc((size_t)count * sizeof *data);
    if (!data) return CLG_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) data[i] = (int32_t)(scattered(i) % (uint64_t)classes);
    clg_status status = clg_program_feed(program, input, data, (size_t)count * sizeof *data);
    free(data);
    return status;
}

static clg_status feed_bytes(clg_program *program, clg_tensor *input)
{
    int64_t count = clg_shape_count(clg_tensor_shape(input));
    unsigned char *data = malloc((size_t)count);
    if (!data) return CLG_ERROR_MEMORY;
    for (int64_t i = 0; i < count; i++) data[i] = (unsigned char)scattered(i);
    clg_status status = clg_program_feed(program, input, data, (size_t)count);
    free(data);
    return status;
}

/* Data of cases without inputs is in variables, and what follows from variables alone is computed
 * once. Not where somebody holds their memory and could change it. It is refused for variables that
 * the program does not read. */
static void hold_variables(const struct bench_setup *setup, clg_program *program)
{
    clg_tensor *variable;
    void *memory;
    size_t offset;
    for (size_t i = 0; (variable = clg_graph_variable(setup->graph, i)); i++)
        (void)clg_program_cl_mem(program, variable, &memory, &offset);
}

clg_status bench_feed(const struct bench_setup *setup, clg_program *program)
{
    clg_tensor *const inputs[] = {setup->data, setup->label};
    clg_status status = CLG_OK;
    if (!setup->data && !setup->label) hold_variables(setup, program);
    for (int i = 0; i < 2 && status == CLG_OK; i++) {
        if (!inputs[i]) continue;
        clg_dtype type = clg_tensor_dtype(inputs[i]);
        status = type == CLG_I32  ? feed_indices(program, inputs[i], setup->classes)
                 : type == CLG_U8 ? feed_bytes(program, inputs[i])
                                  : feed_reals(program, inputs[i]);
    }
    return status;
}

/* ---- a case ---- */

static clg_status compile(struct bench_run *run, struct bench_result *result)
{
    struct bench_setup *setup = &run->setup;
    uint64_t before, after, peak;
    clg_context_memory(run->context, &before, &peak);
    double started = seconds_now();
    clg_status status = clg_program_compile(
        &run->program, run->context, setup->graph,
        clg_program_options(.outputs = setup->outputs, .n_outputs = setup->n_outputs,
                            .mode = setup->mode, .memory_budget = run->memory_budget));
    result->compile = seconds_now() - started;
    if (status == CLG_OK) status = bench_feed(setup, run->program);
    if (status != CLG_OK) return status;
    clg_program_query(run->program, &result->stats);
    clg_context_memory(run->context, &after, &peak);
    result->memory = after - before; /* all of it: a run allocates nothing */
    return status;
}

int bench_open(struct bench_run *run, const struct bench_case *row, struct bench_result *result)
{
    run->setup = (struct bench_setup){.mode = CLG_INFERENCE};
    if (!row->model)
        run->setup.graph = clg_graph_create(clg_graph_options(.batch = row->batch, .seed = 1));
    if (!row->model && !run->setup.graph) return report_status(CLG_ERROR_MEMORY, row->name);
    int code = row->build(&run->setup, row);
    if (code != DONE) return code;
    clg_status status = compile(run, result);
    return status == CLG_OK ? DONE : report_status(status, row->name);
}

void bench_close(struct bench_run *run)
{
    clg_program_destroy(run->program);
    run->program = NULL;
    if (run->setup.network.graph)
        network_destroy(&run->setup.network);
    else
        clg_graph_destroy(run->setup.graph);
    model_file_clear(&run->setup.file);
    run->setup = (struct bench_setup){0};
}
