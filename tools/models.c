/*
 * cltrain models: the model files that come with the program, or the text of one of them, to start
 * a model of one's own from. What is said about a model is the comment at the top of its file.
 */
#include <inttypes.h>
#include <string.h>

#include "cltrain.h"
#include "embedded.h"
#include "model_file.h"
#include "network.h"
#include "options.h"
#include "summary.h"

struct models_options {
    bool json;
};

static const struct option_row options[] = {OPTION_JSON(struct models_options), OPTION_ROWS_END};

/* The first sentence of the file's comment. */
static void first_sentence(const char *text, char *line, size_t size)
{
    size_t length = 0;
    for (; *text == '#'; text += *text == '\n') {
        for (text++; *text && *text != '\n' && length + 2 < size; text++)
            if (*text != ' ' || (length && line[length - 1] != ' ')) line[length++] = *text;
        line[length] = '\0';
        char *end = strstr(line, ". ");
        if (end) length = (size_t)(end - line) + 1;
        if (end || (length && line[length - 1] == '.')) break;
        line[length++] = ' ';
    }
    line[length] = '\0';
}

static int print_model(const struct embedded_text *model, bool json)
{
    struct model_file file = {0};
    struct network network = {0};
    char line[256], input[64];
    first_sentence(model->text, line, sizeof line);
    int code = model_file_load(&file, model->name);
    if (code == DONE) code = model_file_resolve(&file);
    if (code == DONE) code = network_build(&network, &file);
    if (code == DONE) {
        const struct model_spec *spec = &file.content->model;
        clg_shape shape = clg_shape_of((int)spec->input_count, spec->input);
        clg_shape_text(&shape, input, sizeof input);
        int64_t parameters = summary_parameters(&network);
        if (json)
            code = print_json(json_pack("{ss ss sI ss}", "name", model->name, "input", input,
                                        "parameters", (json_int_t)parameters, "about", line));
        else
            printf("%-20s %-16s %12" PRId64 "  %s\n", model->name, input, parameters, line);
    }
    network_destroy(&network);
    model_file_clear(&file);
    return code;
}

static int print_text(const char *name)
{
    const char *names[128];
    size_t count = 0;
    for (const struct embedded_text *model = builtin_models; model->name; model++) {
        if (!strcmp(model->name, name)) return fputs(model->text, stdout), DONE;
        if (count < 128) names[count++] = model->name;
    }
    return report_error(BAD_USAGE, "models: there is no model '%s'%s", name,
                        suggestion(name, names, count));
}

static int run(const void *values, int argc, char **argv)
{
    const struct models_options *given = values;
    if (argc) return print_text(argv[0]);
    int code = DONE;
    if (!given->json) printf("%-20s %-16s %12s  %s\n", "name", "input", "parameters", "about");
    for (const struct embedded_text *model = builtin_models; model->name && code == DONE; model++)
        code = print_model(model, given->json);
    return code;
}

const struct command command_models = {
    .name = "models",
    .arguments = "[NAME]",
    .summary = "Lists the models that come with the program, or prints the file of one.",
    .details = "Start one of your own with: cltrain models resnet20 >mine.yaml",
    .options = options,
    .values_size = sizeof(struct models_options),
    .max_arguments = 1,
    .run = run,
};
