/*
 * cltrain graph: what becomes of a model file: its nodes as text, for Graphviz, or as the compiled
 * steps of a program.
 */
#include "cltrain.h"
#include "graphviz.h"
#include "model_file.h"
#include "options.h"
#include "trainer.h"

struct graph_options {
    bool text, dot, svg, program, training;
    const char *device;
};

#define OPTION(option, help)                                                                       \
    {                                                                                              \
#option, NULL, OPTION_FLAG, offsetof(struct graph_options, option), help                   \
    }
static const struct option_row options[] = {
    OPTION(text, "the nodes, one per line (the default)"),
    OPTION(dot, "for Graphviz: cltrain graph lenet --dot | dot -Tsvg"),
    OPTION(svg, "drawn by Graphviz, whose program dot must be there"),
    OPTION(program, "the compiled steps: needs a device"),
    OPTION(training, "the training step with gradients and optimizer, not only the loss"),
    OPTION_DEVICE(struct graph_options),
    OPTION_ROWS_END};

static int print_block(char *text)
{
    if (!text) return report_error(NO_MEMORY, "out of memory");
    fputs(text, stdout);
    clg_free(text);
    return DONE;
}

static int print_program(struct trainer *trainer, const struct graph_options *given)
{
    clg_program *program = NULL;
    clg_status status =
        clg_context_create(&trainer->context, clg_context_options(.device = given->device));
    if (status == CLG_OK)
        status = clg_program_compile(
            &program, trainer->context, trainer->network.graph,
            clg_program_options(.outputs = &trainer->network.loss, .n_outputs = 1,
                                .mode = given->training ? CLG_TRAINING : CLG_INFERENCE));
    int code =
        status == CLG_OK ? print_block(clg_program_text(program)) : report_status(status, NULL);
    clg_program_destroy(program);
    return code;
}

static int draw_graph(struct trainer *trainer, const struct graph_options *given)
{
    char *text = clg_graph_dot(trainer->network.graph,
                               given->training ? NULL : &trainer->network.loss, !given->training);
    int code = text ? graphviz_svg(text) : report_error(NO_MEMORY, "out of memory");
    clg_free(text);
    return code;
}

static int print_graph(struct trainer *trainer, const struct graph_options *given)
{
    if (given->program) return print_program(trainer, given);
    if (given->svg) return draw_graph(trainer, given);
    clg_tensor *const *outputs = given->training ? NULL : &trainer->network.loss;
    size_t count = given->training ? 0 : 1;
    return print_block(given->dot ? clg_graph_dot(trainer->network.graph, outputs, count)
                                  : clg_graph_text(trainer->network.graph, outputs, count));
}

static int run(const void *values, int argc, char **argv)
{
    const struct graph_options *given = values;
    struct model_file file = {0};
    struct trainer trainer = {.file = &file};
    if (given->text + given->dot + given->svg + given->program > 1)
        return report_error(BAD_USAGE, "graph: one of --text, --dot, --svg and --program");
    int code = model_file_load(&file, argc ? argv[0] : "lenet");
    if (code == DONE) code = model_file_resolve(&file);
    if (code == DONE)
        code = given->training ? trainer_build(&trainer) : network_build(&trainer.network, &file);
    if (code == DONE) code = print_graph(&trainer, given);
    trainer_clear(&trainer);
    model_file_clear(&file);
    return code;
}

const struct command command_graph = {
    .name = "graph",
    .arguments = "[MODEL.yaml]",
    .summary = "Prints the graph of a model.",
    .details = "",
    .options = options,
    .values_size = sizeof(struct graph_options),
    .max_arguments = 1,
    .run = run,
};
