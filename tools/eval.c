/*
 * cltrain eval: loss and accuracy of a trained model on the test part of a data set.
 */
#include <inttypes.h>

#include "cltrain.h"
#include "datasets.h"
#include "options.h"
#include "signals.h"
#include "trained.h"

struct eval_options {
    const char *data, *device;
    bool json;
};

static const struct option_row options[] = {
    {"data", "PATH", OPTION_TEXT, offsetof(struct eval_options, data),
     "other data, of any format; default: the test part of the run's"},
    OPTION_DEVICE(struct eval_options),
    OPTION_JSON(struct eval_options),
    OPTION_ROWS_END};

static int print_score(const struct score *score, bool json)
{
    if (json)
        return print_json(json_pack("{so so so so sI}", "accuracy", json_number(score->accuracy),
                                    "loss", json_number(score->loss), "rmse",
                                    json_number(score->rmse), "mae", json_number(score->mae),
                                    "samples", (json_int_t)score->samples));
    score_print(score);
    return DONE;
}

static int measure(struct trained *trained, const char *path, clg_dataset *dataset,
                   struct score *score)
{
    clg_program *program = NULL;
    clg_status status =
        evaluate_compile(&program, trained->context, &trained->network, CLG_INFERENCE);
    int code = status == CLG_OK ? trained_restore(trained, path) : report_status(status, NULL);
    if (code == DONE) {
        status = evaluate(score, program, &trained->network, dataset, NULL);
        if (status == CLG_ERROR_INTERRUPTED)
            code = SIGNALLED + signal_received();
        else if (status != CLG_OK)
            code = report_status(status, NULL);
    }
    clg_program_destroy(program);
    return code;
}

static int run(const void *values, int argc, char **argv)
{
    const struct eval_options *given = values;
    struct trained trained = {0};
    clg_dataset *dataset = NULL;
    struct score score;
    if (!argc) return report_error(BAD_USAGE, "eval: which run or checkpoint?");
    signals_catch();
    int code = trained_load(&trained, argv[0], given->device);
    if (code == DONE)
        code = datasets_open_test(&dataset, &trained.file, given->data, trained.schema);
    if (code == DONE) code = measure(&trained, argv[0], dataset, &score);
    if (code == DONE) code = print_score(&score, given->json);
    clg_dataset_destroy(dataset);
    trained_clear(&trained);
    return code;
}

const struct command command_eval = {
    .name = "eval",
    .arguments = "RUN|CHECKPOINT",
    .summary = "Measures a trained model on a test set.",
    .details = "A run stands for its latest checkpoint.",
    .options = options,
    .values_size = sizeof(struct eval_options),
    .max_arguments = 1,
    .run = run,
};
