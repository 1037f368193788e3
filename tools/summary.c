/*
 * The layers of a network as a table. Parameters are counted from the graph's variables. FLOPs are
 * those of products and convolutions, two for each multiply-add, which is what networks are
 * compared by: a weight of ndim >= 2 is used once for each position of the layer's output.
 */
#include "summary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

/* ---- collecting ---- */

static bool is_any_of(const char *kind, const char *const *kinds)
{
    while (*kinds && strcmp(*kinds, kind)) kinds++;
    return *kinds;
}

/* Elements per sample / channels: how often a weight is used. */
static double positions_of(const clg_shape *shape)
{
    double positions = 1;
    for (int i = 1; i < shape->ndim - 1; i++) positions *= (double)shape->dim[i];
    return positions;
}

static double flops_of(const struct network *network, const char *kind, const char *prefix,
                       const clg_tensor *x, const clg_tensor *y)
{
    /* These go over the positions of their input; the others are no products. */
    static const char *const by_input[] = {"conv_transpose2d", "rnn", "lstm", "gru", NULL};
    static const char *const none[] = {"embedding", "apl", NULL};
    size_t length = strlen(prefix);
    double weights = 0;
    clg_tensor *variable;
    if (is_any_of(kind, none)) return 0;
    for (size_t i = 0; (variable = clg_graph_variable(network->graph, i)); i++) {
        const clg_shape *shape = clg_tensor_shape(variable);
        const char *name = clg_tensor_name(variable);
        if (clg_tensor_trainable(variable) && shape->ndim >= 2 && !strncmp(name, prefix, length) &&
            name[length] == '.')
            weights += (double)clg_shape_count(shape);
    }
    return 2 * weights * positions_of(clg_tensor_shape(is_any_of(kind, by_input) ? x : y));
}

static bool grow(struct network *network)
{
    if (network->n_rows < network->rows_capacity) return true;
    int capacity = 2 * network->rows_capacity + 64;
    struct summary_row *rows = realloc(network->rows, (size_t)capacity * sizeof *rows);
    if (!rows) return false;
    network->rows = rows;
    network->rows_capacity = capacity;
    return true;
}

/* The variables that no row before has. */
static void count_new(struct network *network, struct summary_row *row)
{
    clg_tensor *variable;
    for (; (variable = clg_graph_variable(network->graph, network->n_counted));
         network->n_counted++)
        *(clg_tensor_trainable(variable) ? &row->parameters : &row->state) +=
            clg_shape_count(clg_tensor_shape(variable));
}

bool summary_add(struct network *network, const struct layer_site *site, const clg_tensor *x,
                 clg_tensor *y, int mark)
{
    static const char *const lists[] = {"residual", "branches", NULL};
    const char *kind = site->spec->kind;
    bool joins = is_any_of(kind, lists);
    if (network->n_rows > mark && !joins) return true; /* its layers say it all */
    if (!grow(network)) return false;
    struct summary_row row = {.output = *clg_tensor_shape(y), .value = y};
    snprintf(row.kind, sizeof row.kind, "%.63s", kind);
    snprintf(row.name, sizeof row.name, "%.199s", site->name);
    for (const struct layer_site *at = site->within; at && at->text; at = at->within) row.depth++;
    count_new(network, &row);
    if (joins && row.parameters) /* a projection */
        snprintf(row.name, sizeof row.name, "%.180sdownsample.0",
                 *site->name ? "" : site->names->prefix);
    if (*row.name) row.flops = flops_of(network, kind, row.name, x, y);
    network->rows[network->n_rows++] = row;
    return true;
}

const struct summary_row *summary_find(const struct network *network, const char *layer)
{
    int64_t number = 0;
    for (int i = 0; i < network->n_rows; i++)
        if (*layer && !strcmp(network->rows[i].name, layer)) return &network->rows[i];
    if (!key_parse(KEY_WHOLE, layer, &number) || number < 1 || number > network->n_rows)
        return NULL;
    return &network->rows[number - 1];
}

/* ---- showing ---- */

struct totals {
    int64_t parameters, state;
    double flops, bytes;
};

static double bytes_of(const struct summary_row *row)
{
    return 4.0 * (double)clg_shape_count(&row->output);
}

static struct totals add_up(const struct network *network)
{
    struct totals sum = {0};
    for (int i = 0; i < network->n_rows; i++) {
        sum.parameters += network->rows[i].parameters;
        sum.state += network->rows[i].state;
        sum.flops += network->rows[i].flops;
        sum.bytes += bytes_of(&network->rows[i]);
    }
    return sum;
}

int64_t summary_parameters(const struct network *network)
{
    return add_up(network).parameters;
}

/* 11689512 -> "11,689,512" */
static const char *grouped(int64_t number, char text[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRId64, number), out = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) text[out++] = ',';
        text[out++] = digits[i];
    }
    text[out] = '\0';
    return text;
}

/* 3628000000 -> "3.63 G" */
static const char *scaled(double number, const char *unit, char text[32])
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    int i = 0;
    for (; number >= 1000 && i < 4; i++) number /= 1000;
    int digits = number >= 100 || number == (int)number ? 0 : number >= 10 ? 1 : 2;
    snprintf(text, 32, "%.*f %s%s", digits, number, prefixes[i], unit);
    return text;
}

static void print_row(const struct summary_row *row, FILE *to)
{
    char label[240], shape[128], parameters[32], flops[32], memory[32];
    snprintf(label, sizeof label, "%*s%s%s%s", row->depth < 8 ? row->depth : 8, "", row->name,
             *row->name ? " " : "", row->kind);
    fprintf(to, "%-40s %-22s %14s %11s %10s\n", label,
            clg_shape_text(&row->output, shape, sizeof shape),
            row->parameters ? grouped(row->parameters, parameters) : "",
            row->flops > 0 ? scaled(row->flops, "", flops) : "",
            scaled(bytes_of(row), "B", memory));
}

void summary_print(const struct network *network, FILE *to)
{
    char parameters[32], flops[32], bytes[32], state[32];
    fprintf(to, "%-40s %-22s %14s %11s %10s\n", "layer", "output", "parameters", "FLOPs", "memory");
    for (int i = 0; i < network->n_rows; i++) print_row(&network->rows[i], to);
    struct totals sum = add_up(network);
    fprintf(to, "%s parameters", grouped(sum.parameters, parameters));
    if (sum.state) fprintf(to, " and %s other numbers", grouped(sum.state, state));
    fprintf(to, "; forward %sFLOPs per sample; %s of layer outputs per batch\n",
            scaled(sum.flops, "", flops), scaled(sum.bytes, "B", bytes));
}

static json_t *row_json(const struct summary_row *row)
{
    json_t *shape = json_array();
    for (int i = 0; i < row->output.ndim; i++)
        json_array_append_new(shape, json_integer(row->output.dim[i]));
    return json_pack("{so so so sI sI so so}", "name", json_text(row->name), "kind",
                     json_text(row->kind), "output", shape, "parameters",
                     (json_int_t)row->parameters, "state", (json_int_t)row->state, "flops",
                     json_number(row->flops), "bytes", json_number(bytes_of(row)));
}

json_t *summary_json(const struct network *network, const char *model)
{
    struct totals sum = add_up(network);
    json_t *rows = json_array();
    for (int i = 0; i < network->n_rows; i++)
        json_array_append_new(rows, row_json(&network->rows[i]));
    return json_pack("{so sI sI so so so}", "model", json_text(model), "parameters",
                     (json_int_t)sum.parameters, "state", (json_int_t)sum.state, "flops",
                     json_number(sum.flops), "bytes", json_number(sum.bytes), "layers", rows);
}

/* ---- cltrain summary ---- */

struct summary_options {
    const char *batch;
    bool json;
};

static const struct option_row options[] = {
    {"batch", "N", OPTION_TEXT, offsetof(struct summary_options, batch), "samples in a batch"},
    OPTION_JSON(struct summary_options),
    OPTION_ROWS_END};

static int run(const void *values, int argc, char **argv)
{
    const struct summary_options *given = values;
    struct model_file file = {0};
    struct network network = {0};
    int code = model_file_load(&file, argc ? argv[0] : "lenet");
    if (code == DONE && given->batch)
        code = model_file_override(&file, "batch", given->batch, "batch");
    if (code == DONE) code = model_file_resolve(&file);
    if (code == DONE) code = network_build(&network, &file);
    if (code == DONE && given->json)
        code = print_json(summary_json(&network, file.content->model.name));
    else if (code == DONE)
        summary_print(&network, stdout);
    network_destroy(&network);
    model_file_clear(&file);
    return code;
}

const struct command command_summary = {
    .name = "summary",
    .arguments = "[MODEL.yaml]",
    .summary = "Prints the layers of a model: shapes, parameters, work, memory.",
    .details = "FLOPs are those of products and convolutions, forward, for one sample.",
    .options = options,
    .values_size = sizeof(struct summary_options),
    .max_arguments = 1,
    .run = run,
};
