/*
 * cltrain ops: the table of operations and of what is composed of them, with formulas, parameters,
 * and how often each can be differentiated.
 */
#include "clgrad/ops.h"
#include "cltrain.h"
#include "options.h"

struct ops_options {
    bool json;
};

static const struct option_row options[] = {OPTION_JSON(struct ops_options), OPTION_ROWS_END};

static int print_line(const clg_op_info *op)
{
    const char *derivatives = op->has_second ? "2" : op->has_gradient ? "1" : "-";
    printf("%-28s %-14s %-11s %s", op->name, op->kind, derivatives, op->formula);
    if (*op->parameters) printf("  [%s]", op->parameters);
    printf("\n");
    return DONE;
}

static int print_object(const clg_op_info *op)
{
    return print_json(json_pack("{ss ss sb sb ss ss ss}", "name", op->name, "kind", op->kind,
                                "gradient", op->has_gradient, "second", op->has_second, "formula",
                                op->formula, "parameters", op->parameters, "tests", op->tests));
}

static int run(const void *values, int argc, char **argv)
{
    const struct ops_options *given = values;
    clg_op_info op;
    int code = DONE;
    if (!given->json)
        printf("%-28s %-14s %-11s %s\n", "name", "kind", "derivatives", "formula  [parameters]");
    for (size_t i = 0; code == DONE && clg_op_query(i, &op); i++)
        code = given->json ? print_object(&op) : print_line(&op);
    return code;
}

const struct command command_ops = {
    .name = "ops",
    .arguments = "",
    .summary = "Lists the operations with their formulas.",
    .details = "Pointwise operations of one argument are layers of model files, too.",
    .options = options,
    .values_size = sizeof(struct ops_options),
    .max_arguments = 0,
    .run = run,
};
