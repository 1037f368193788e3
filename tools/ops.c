/*
 * cltrain ops: the table of operations with their formulas.
 */
#include "clgrad/ops.h"
#include "cltrain.h"
#include "options.h"

struct ops_options {
    bool json;
};

static const struct option_row options[] = {OPTION_JSON(struct ops_options), OPTION_ROWS_END};

static int run(const void *values, int argc, char **argv)
{
    const struct ops_options *given = values;
    clg_op_info op;
    int code = DONE;
    if (!given->json) printf("%-26s %-10s %-9s %s\n", "name", "kind", "gradient", "formula");
    for (size_t i = 0; code == DONE && clg_op_query(i, &op); i++) {
        if (given->json)
            code = print_json(json_pack("{ss ss sb ss}", "name", op.name, "kind", op.kind,
                                        "gradient", op.has_gradient, "formula", op.formula));
        else
            printf("%-26s %-10s %-9s %s\n", op.name, op.kind, op.has_gradient ? "yes" : "no",
                   op.formula);
    }
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
