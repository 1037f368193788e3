/*
 * The weights are a variable that is not trained: balanced ones are known only when the data is,
 * and a resumed run finds them in its checkpoint.
 */
#include "class_weights.h"

#include <stdlib.h>
#include <string.h>

#include "cltrain.h"

static bool is_balanced(const char *text)
{
    return !strcmp(text, "balanced");
}

/* Reads `count` numbers, separated by blanks, of which one at least is above 0. */
static bool read_weights(const char *text, float *weights, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        char word[64];
        double value;
        text += strspn(text, " ");
        if (strcspn(text, " ") >= sizeof word) return false;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(text, " "), text);
        if (!key_parse(KEY_REAL, word, &value) || value < 0 || value > 1e6) return false;
        text += strcspn(text, " ");
        weights[i] = (float)value;
        sum += value;
    }
    return sum > 0 && !text[strspn(text, " ")];
}

int class_weights_check(struct model_file *file, const struct loss_kind *kind)
{
    const char *text = file->content->training.class_weights;
    if (!text) return DONE;
    if (!kind->weighted || loss_of_input(&file->content->model))
        return yaml_source_error(&file->source, "training.class_weights",
                                 "class_weights is for losses of classes, not %s", kind->name);
    int64_t classes = *file->content->model.classes;
    float *weights = malloc((size_t)classes * sizeof *weights);
    if (!weights) return report_error(NO_MEMORY, "out of memory");
    bool good = is_balanced(text) || read_weights(text, weights, classes);
    free(weights);
    if (good) return DONE;
    return yaml_source_error(&file->source, "training.class_weights",
                             "class_weights is balanced, or a number in 0 .. 1e6 for each of the "
                             "%lld classes: \"1 2.5\"",
                             (long long)classes);
}

/* Writes the weights of a list. */
static clg_status write_list(clg_tensor *variable, const char *text, int64_t classes)
{
    float *weights = malloc((size_t)classes * sizeof *weights);
    clg_status status = CLG_ERROR_MEMORY;
    if (weights && read_weights(text, weights, classes))
        status = clg_variable_write(variable, weights, classes);
    free(weights);
    return status;
}

int class_weights_add(struct network *network, const struct model_file *file)
{
    const char *text = file->content->training.class_weights;
    if (!text) return DONE;
    int64_t classes = *file->content->model.classes;
    network->balanced = is_balanced(text);
    network->class_weights = clg_variable(network->graph, "class_weights", CLG_SHAPE(classes),
                                          CLG_INIT(.kind = CLG_INIT_ONES), false);
    clg_status status = clg_graph_status(network->graph);
    if (status == CLG_OK && !network->balanced)
        status = write_list(network->class_weights, text, classes);
    return status == CLG_OK ? DONE : report_status(status, NULL);
}

clg_status class_weights_fit(const struct network *network, const clg_dataset *train)
{
    if (!network->balanced) return CLG_OK;
    int64_t classes = clg_tensor_shape(network->class_weights)->dim[0];
    float *weights = malloc((size_t)classes * sizeof *weights);
    clg_status status = weights ? clg_dataset_class_weights(train, weights) : CLG_ERROR_MEMORY;
    if (status == CLG_OK) status = clg_variable_write(network->class_weights, weights, classes);
    free(weights);
    return status;
}
