/*
 * The table of tunables (tunables.def), the choices of a context, and where they come from.
 *
 * Choices are made before kernels are: by class of problem and never by exact shape or batch size,
 * so that another batch finds its kernels compiled.
 */
#include <stdlib.h>

#include "ops/tuning.h"

#include "ops/clblast.h"
#include "ops/record.h"

/* ---- classes of problems ---- */

typedef struct problem_classes {
    const char *names[CLG_TUNING_CLASSES];
    int (*of)(const clg_tensor *node); /* NULL: there is one */
} problem_classes;

/* Extents that follow the batch count as those of a usual one. */
static double usual_size(const clg_tensor *t)
{
    const clg_shape shape = clg__shape_at_batch(&t->shape, t->graph->batch, 64);
    return (double)clg_shape_count(&shape);
}

/* By multiply-adds: m n k = sqrt(mn * mk * kn), also of each of several products. */
static int class_of_matmul(const clg_tensor *node)
{
    double work = usual_size(node) * usual_size(node->inputs[0]) * usual_size(node->inputs[1]);
    return work < 0x1p48 ? 0 : work < 0x1p60 ? 1 : 2;
}

static int class_of_conv2d(const clg_tensor *node)
{
    const struct clg__conv2d_attr *attr = node->attr;
    const clg_tensor *from = node->inputs[0];
    const clg_tensor *to = node->op == &clg__op_conv2d_backward_weights ? node->inputs[1] : node;
    const int64_t fewer = clg__min_i64(from->shape.dim[3], to->shape.dim[3]) / attr->groups;
    if (attr->kernel_size[0] * attr->kernel_size[1] == 1) return 0;
    return fewer < 32 ? 1 : 2;
}

static const problem_classes one = {{"all"}, NULL};
static const problem_classes matmul = {{"small", "medium", "large"}, class_of_matmul};
static const problem_classes conv2d = {{"pointwise", "narrow", "wide"}, class_of_conv2d};

static size_t class_count(const problem_classes *classes)
{
    size_t n = 0;
    while (n < CLG_TUNING_CLASSES && classes->names[n]) n++;
    return n;
}

/* ---- the table ---- */

enum { CPU = 1 << CLG_ENGINE_CPU, GPU = 1 << CLG_ENGINE_GPU, EITHER = CPU | GPU };

typedef struct tunable {
    const char *name, *summary;
    unsigned engines;
    const clg__op *op; /* whose algorithms are the values; or NULL */
    const char *algorithm;
    const problem_classes *classes;
    const char *values[CLG_TUNING_VALUES];
} tunable;

static const tunable table[CLG__TUNE_COUNT] = {
#define VALUES(...)                                                                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define TUNABLE(id, name, engine, operation, algorithm, problems, values, summary)                 \
    {name, summary, engine, operation, algorithm, &problems, values},
#include "ops/tunables.def"
#undef TUNABLE
#undef VALUES
};

/* The i-th legal value; NULL behind the last. */
static const char *value_at(const tunable *row, int i)
{
    if (!row->op) return i < CLG_TUNING_VALUES ? row->values[i] : NULL;
    for (int k = 0; k < i; k++)
        if (!row->op->algorithms[k].name) return NULL;
    return row->op->algorithms[i].name;
}

static bool is_for(const tunable *row, int i, clg_engine engine)
{
    unsigned engines = row->op ? row->op->algorithms[i].engines : row->engines;
    return engines >> engine & 1;
}

static const tunable *find_row(const char *name, size_t length)
{
    for (size_t i = 0; i < CLG__TUNE_COUNT; i++)
        if (strlen(table[i].name) == length && !strncmp(table[i].name, name, length))
            return &table[i];
    return NULL;
}

/* ---- choosing ---- */

void clg__tuning_clear(clg__tuning *t)
{
    memset(t->chosen, -1, sizeof t->chosen);
}

static clg_status illegal_value(const tunable *row, const char *value)
{
    clg__str legal = {0};
    for (int i = 0; value_at(row, i); i++)
        clg__str_addf(&legal, "%s%s", i ? ", " : "", value_at(row, i));
    clg_status status = clg__fail(CLG_ERROR_ARGUMENT, "%s: \"%s\" is none of %s", row->name, value,
                                  clg__str_text(&legal));
    clg__str_free(&legal);
    return status;
}

/* value NULL: none. */
static clg_status choose(clg__tuning *t, clg_tuning_source source, const tunable *row,
                         const char *problem_class, const char *value)
{
    int8_t index = -1;
    if (value) {
        for (index = 0; value_at(row, index) && strcmp(value_at(row, index), value);) index++;
        if (!value_at(row, index)) return illegal_value(row, value);
    }
    bool found = false;
    for (size_t i = 0; i < class_count(row->classes); i++) {
        if (problem_class && strcmp(problem_class, row->classes->names[i])) continue;
        t->chosen[source][row - table][i] = index;
        found = true;
    }
    return found ? CLG_OK
                 : clg__fail(CLG_ERROR_ARGUMENT, "%s: there is no class of problems \"%s\"",
                             row->name, problem_class);
}

clg_status clg__tuning_choose(clg__tuning *t, clg_tuning_source source, const char *key,
                              const char *value)
{
    const char *slash = strchr(key, '/');
    const tunable *row = find_row(key, slash ? (size_t)(slash - key) : strlen(key));
    if (!row)
        return clg__fail(CLG_ERROR_ARGUMENT, "nothing that can be tuned has the name %s", key);
    return choose(t, source, row, slash ? slash + 1 : NULL, value);
}

clg_status clg__tuning_choose_list(clg__tuning *t, clg_tuning_source source, const char *list)
{
    char *copy = clg__strdup(list), *rest = copy;
    if (!copy) return CLG_ERROR_MEMORY;
    clg_status status = CLG_OK;
    for (char *item; status == CLG_OK && (item = strsep(&rest, ","));) {
        char *equals = strchr(item, '=');
        if (equals) *equals = '\0';
        if (equals)
            status = clg__tuning_choose(t, source, item, equals + 1);
        else if (*item)
            status = clg__fail(CLG_ERROR_ARGUMENT, "\"%s\" is not of the form NAME=VALUE", item);
    }
    clg__free(copy);
    return status;
}

bool clg__tuning_item(const clg__tuning *t, clg_tuning_source source, size_t i, char *key,
                      const char **value)
{
    for (size_t k = 0; k < CLG__TUNE_COUNT; k++)
        for (size_t c = 0; c < CLG_TUNING_CLASSES; c++) {
            const int8_t index = t->chosen[source][k][c];
            if (index < 0 || i-- > 0) continue;
            const bool several = class_count(table[k].classes) > 1;
            snprintf(key, CLG__TUNING_KEY, "%s%s%s", table[k].name, several ? "/" : "",
                     several ? table[k].classes->names[c] : "");
            *value = value_at(&table[k], index);
            return true;
        }
    return false;
}

/* ---- of a context ---- */

static void release_tuning(clg_context *ctx)
{
    clg__free(ctx->tuning);
    ctx->tuning = NULL;
}

static clg_status read_sources(clg__tuning *t, const clg_device_info *info)
{
    const char *list = getenv("CLGRAD_TUNING");
    clg__tuning_clear(t);
    CLG_TRY(clg__tuning_choose_list(t, CLG_TUNING_SHIPPED, clg__tuning_defaults(info)));
    clg__tuning_read_file(t, info);
    clg_status status = list ? clg__tuning_choose_list(t, CLG_TUNING_ENVIRONMENT, list) : CLG_OK;
    return status == CLG_OK ? status : clg__fail_context(status, "CLGRAD_TUNING");
}

clg_status clg__tuning_load(clg_context *ctx)
{
    if (ctx->tuning) return CLG_OK;
    clg__tuning *t = clg__alloc(sizeof *t);
    clg_status status = t ? read_sources(t, &ctx->info) : CLG_ERROR_MEMORY;
    if (status == CLG_OK) status = clg__context_on_release(ctx, release_tuning);
    if (status == CLG_OK)
        ctx->tuning = t;
    else
        clg__free(t);
    return status;
}

/* ---- lookups ---- */

static const char *chosen_value(const clg__tuning *t, size_t id, int class_,
                                clg_tuning_source *source)
{
    int from = CLG_TUNING_ENVIRONMENT;
    while (from > CLG_TUNING_JUDGED && t->chosen[from][id][class_] < 0) from--;
    if (source) *source = (clg_tuning_source)from;
    return from > CLG_TUNING_JUDGED ? value_at(&table[id], t->chosen[from][id][class_]) : NULL;
}

const char *clg__tuned(const clg_context *ctx, clg__tunable_id id, const clg_tensor *node)
{
    const problem_classes *classes = table[id].classes;
    if (!ctx->tuning) return NULL;
    return chosen_value(ctx->tuning, id, classes->of ? classes->of(node) : 0, NULL);
}

int64_t clg__tuned_int(const clg_context *ctx, clg__tunable_id id, const clg_tensor *node,
                       int64_t otherwise)
{
    const char *value = clg__tuned(ctx, id, node);
    return value ? strtol(value, NULL, 10) : otherwise;
}

bool clg__tuned_pair(const clg_context *ctx, clg__tunable_id id, const clg_tensor *node, int *a,
                     int *b)
{
    const char *value = clg__tuned(ctx, id, node);
    return value && sscanf(value, "%dx%d", a, b) == 2;
}

const char *clg__tuned_algorithm(const clg_context *ctx, const clg_tensor *node)
{
    for (size_t i = 0; i < CLG__TUNE_COUNT; i++)
        if (table[i].op == node->op) return clg__tuned(ctx, (clg__tunable_id)i, node);
    return NULL;
}

/* ---- public ---- */

size_t clg_tunable_count(void)
{
    return CLG__TUNE_COUNT;
}

clg_status clg_tunable_query(clg_context *ctx, size_t index, clg_tunable *out)
{
    if (!ctx || !out || index >= CLG__TUNE_COUNT)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_tunable_query: NULL, or there is no number %zu",
                         index);
    const tunable *row = &table[index];
    *out = (clg_tunable){.name = row->name, .summary = row->summary, .algorithm = row->algorithm};
    out->per_process = index == CLG__TUNE_CLBLAST_XGEMM || index == CLG__TUNE_CLBLAST_DIRECT;
    for (size_t i = 0; i < class_count(row->classes); i++)
        out->classes[out->n_classes++] = row->classes->names[i];
    for (int i = 0; value_at(row, i); i++)
        if (is_for(row, i, ctx->engine)) out->values[out->n_values++] = value_at(row, i);
    return CLG_OK;
}

static clg_status find_for_user(clg_context *ctx, const char *name, const tunable **row)
{
    if (!ctx || !name) return clg__fail(CLG_ERROR_ARGUMENT, "tuning: the context or name is NULL");
    CLG_TRY(clg__tuning_load(ctx));
    *row = find_row(name, strlen(name));
    return *row ? CLG_OK
                : clg__fail(CLG_ERROR_ARGUMENT, "nothing that can be tuned has the name %s", name);
}

clg_status clg_tuning_get(clg_context *ctx, const char *name, const char *problem_class,
                          const char **value, clg_tuning_source *source)
{
    const tunable *row;
    CLG_TRY(find_for_user(ctx, name, &row));
    int class_ = 0;
    const int n = (int)class_count(row->classes);
    while (problem_class && class_ < n && strcmp(row->classes->names[class_], problem_class))
        class_++;
    if (!value || class_ == n || (!problem_class && n > 1))
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_tuning_get: %s has no class of problems \"%s\"",
                         name, problem_class ? problem_class : "");
    *value = chosen_value(ctx->tuning, (size_t)(row - table), class_, source);
    return CLG_OK;
}

clg_status clg_tuning_set(clg_context *ctx, const char *name, const char *problem_class,
                          const char *value)
{
    const tunable *row;
    CLG_TRY(find_for_user(ctx, name, &row));
    return choose(ctx->tuning, CLG_TUNING_USER, row, problem_class, value);
}
