/*
 * The problems that judge choices of cltrain tune: cases of cltrain bench, one or two for each
 * class of problems, at sizes that take milliseconds.
 */
#include <string.h>

#include "clgrad/ops.h"
#include "cltrain.h"
#include "tune.h"

/* A case of cltrain bench; `size` instead of its own where that is not 0. */
static const struct base {
    const char *family, *problem_class, *name;
    int64_t size;
    bool quick;
} bases[] = {
    {"tile", "all", "matmul-512", 0, true},
    {"tile", "all", "conv3x3-64-56-b16", 0, true},
    {"matmul", "small", "matmul-512", 192, true},
    {"matmul", "medium", "matmul-512", 0, true},
    {"matmul", "large", "matmul-1024", 0, true},
    {"matmul", "large", "matmul-2048", 0, false},
    {"results", "all", "conv3x3-16-32-b128", 0, true},
    {"results", "all", "batch-norm-64-56-b32", 0, true},
    {"matmul.xgemm", "all", "matmul-1024", 0, true},
    {"matmul.xgemm_direct", "all", "matmul-512", 128, true},
};

/* The same problems for all passes of a convolution. */
static const struct {
    const char *problem_class, *name;
    bool quick;
} convolutions[] = {
    {"pointwise", "conv1x1-64-256-56-b8", true}, {"pointwise", "conv1x1-512-128-28-b8", false},
    {"narrow", "conv3x3-16-32-b128", true},      {"wide", "conv3x3-64-56-b16", true},
    {"wide", "conv3x3-256-14-b16", false},
};
static const struct {
    const char *family, *suffix;
} passes[] = {
    {"conv2d", ""}, {"conv2d_backward_data", "-data"}, {"conv2d_backward_weights", "-weights"}};

#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { JUDGES = COUNT(bases) + COUNT(convolutions) * COUNT(passes) + 2 };

static struct bench_case find_case(const char *name, const char *suffix)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%s%s", name, suffix);
    const struct bench_case *row = bench_cases();
    while (row->name && strcmp(row->name, wanted)) row++;
    return *row;
}

/* A chain that is bound by memory: 3 reads, 1 write. */
static int build_chain(struct bench_setup *setup, const struct bench_case *row)
{
    const char *const names[] = {"a", "b", "c"};
    clg_tensor *operands[3];
    for (int i = 0; i < 3; i++)
        operands[i] = clg_variable(setup->graph, names[i], CLG_SHAPE(row->size),
                                   CLG_INIT(.kind = CLG_INIT_NORMAL, .value = 1.0), false);
    setup->outputs[setup->n_outputs++] =
        clg_relu(clg_add(clg_mul(operands[0], operands[1]), operands[2]));
    setup->bytes = 16.0 * (double)row->size;
    return DONE;
}

static struct tune_judge chain(const char *name, int64_t size)
{
    return (struct tune_judge){
        .family = "pointwise",
        .problem_class = "all",
        .problem = {.name = name, .build = build_chain, .batch = 1, .size = size},
        .quick = true};
}

const struct tune_judge *tune_judges(void)
{
    static struct tune_judge table[JUDGES + 1];
    struct tune_judge *next = table;
    if (table[0].family) return table;
    for (size_t i = 0; i < COUNT(bases); i++) {
        const struct base *b = &bases[i];
        *next = (struct tune_judge){b->family, b->problem_class, find_case(b->name, ""), b->quick};
        if (b->size) next->problem.size = b->size;
        next++;
    }
    for (size_t i = 0; i < COUNT(passes); i++)
        for (size_t k = 0; k < COUNT(convolutions); k++)
            *next++ = (struct tune_judge){passes[i].family, convolutions[k].problem_class,
                                          find_case(convolutions[k].name, passes[i].suffix),
                                          convolutions[k].quick};
    *next++ = chain("chain-64k", 1 << 16);
    *next++ = chain("chain-1m", 1 << 20);
    return table;
}

static bool has_own_judges(const char *name)
{
    const struct tune_judge *judge = tune_judges();
    while (judge->family && strcmp(judge->family, name)) judge++;
    return judge->family;
}

bool tune_is_judge(const struct tune_judge *judge, const struct clg_tunable *tunable,
                   const char *problem_class)
{
    const char *dot = strchr(tunable->name, '.');
    const size_t length =
        has_own_judges(tunable->name) ? strlen(tunable->name) : (size_t)(dot - tunable->name);
    if (strlen(judge->family) != length || strncmp(judge->family, tunable->name, length))
        return false;
    return tunable->n_classes == 1 || !strcmp(judge->problem_class, problem_class);
}
