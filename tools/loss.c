/*
 * The losses, as loss.h says. The target is an input of the graph, shaped after the network's
 * output: (batch) labels, (batch, steps) labels for sequences, or (batch, outputs) numbers.
 */
#include "loss.h"

#include <string.h>

#include "class_weights.h"
#include "clgrad/nn.h"
#include "cltrain.h"

enum { MAX_CLASSES = 1 << 24 };

/* ---- the table ---- */

/* 0 and 1 -> -1 and 1 */
static clg_tensor *as_signs(clg_tensor *target)
{
    clg_graph *graph = clg_tensor_graph(target);
    return clg_sub(clg_mul(target, clg_scalar(graph, 2)), clg_scalar(graph, 1));
}

static clg_tensor *hinge(clg_tensor *x, clg_tensor *target, const clg_loss_params *params)
{
    return clg_hinge_loss(x, as_signs(target), params);
}

static clg_tensor *perceptron(clg_tensor *x, clg_tensor *target, const clg_loss_params *params)
{
    return clg_perceptron_loss(x, as_signs(target), params);
}

/* The library's weights are those of columns. With weights of classes x is a logit beside a 0. */
static clg_tensor *binary(clg_tensor *x, clg_tensor *target, const clg_loss_params *params)
{
    if (!params || !params->class_weights)
        return clg_binary_cross_entropy_logits(x, target, params);
    clg_tensor *both[] = {clg_mul(x, clg_scalar(clg_tensor_graph(x), 0)), x};
    return clg_softmax_cross_entropy(clg_concat(both, 2, 1),
                                     clg_reshape(target, CLG_SHAPE(CLG_BATCH)), params);
}

static const struct loss_kind kinds[] = {
    {"softmax_cross_entropy", LOSS_CLASSES, clg_softmax_cross_entropy, true},
    {"binary_cross_entropy", LOSS_BINARY, binary, true},
    {"hinge", LOSS_BINARY, hinge, false},
    {"perceptron", LOSS_BINARY, perceptron, false},
    {"mse", LOSS_NUMBERS, clg_mse, false},
    {"mae", LOSS_NUMBERS, clg_mae, false},
    {"huber", LOSS_NUMBERS, clg_huber, false},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* ---- checking ---- */

const struct loss_kind *loss_find(const struct model_spec *model)
{
    for (int i = 0; model->loss && i < N_KINDS; i++)
        if (!strcmp(kinds[i].name, model->loss)) return &kinds[i];
    return model->loss ? NULL : &kinds[0];
}

bool loss_of_input(const struct model_spec *model)
{
    return model->target && !strcmp(model->target, "input");
}

static int unknown_loss(struct model_file *file)
{
    const char *names[N_KINDS], *word = file->content->model.loss;
    for (int i = 0; i < N_KINDS; i++) names[i] = kinds[i].name;
    return yaml_source_error(&file->source, "model.loss", "unknown loss '%s'%s", word,
                             suggestion(word, names, N_KINDS));
}

/* One of `classes` and `outputs` belongs to the loss. */
static int check_counts(struct model_file *file, const struct loss_kind *kind)
{
    const struct model_spec *model = &file->content->model;
    bool labels = kind->target != LOSS_NUMBERS && !loss_of_input(model);
    int64_t most = kind->target == LOSS_BINARY ? 2 : MAX_CLASSES;
    if (!labels && model->classes)
        return yaml_source_error(&file->source, "model.classes",
                                 "there are no classes for %s: use 'outputs'", kind->name);
    if (model->outputs && (labels || loss_of_input(model)))
        return yaml_source_error(&file->source, "model.outputs", "outputs is for %s only",
                                 "losses of numbers that come from the data");
    if (labels && !model->classes)
        return yaml_source_error(&file->source, "model", "key 'classes' is missing");
    if (labels && (*model->classes < 2 || *model->classes > most))
        return yaml_source_error(&file->source, "model.classes",
                                 "classes must be in 2 .. %lld for %s", (long long)most,
                                 kind->name);
    if (model->outputs && (*model->outputs < 1 || *model->outputs > MAX_CLASSES))
        return yaml_source_error(&file->source, "model.outputs", "outputs must be in 1 .. %d",
                                 MAX_CLASSES);
    return DONE;
}

int loss_check(struct model_file *file)
{
    const struct model_spec *model = &file->content->model;
    const struct loss_kind *kind = loss_find(model);
    if (!kind) return unknown_loss(file);
    if (model->target && !loss_of_input(model) && strcmp(model->target, "data"))
        return yaml_source_error(&file->source, "model.target", "target is data or input, not '%s'",
                                 model->target);
    if (loss_of_input(model) &&
        (kind->target == LOSS_CLASSES || kind->build == hinge || kind->build == perceptron))
        return yaml_source_error(&file->source, "model.target",
                                 "an input as target needs numbers: loss mse, mae, huber or "
                                 "binary_cross_entropy");
    const double *smoothing = file->content->training.label_smoothing;
    if (smoothing && *smoothing > 0 && kind->target != LOSS_CLASSES)
        return yaml_source_error(&file->source, "training.label_smoothing",
                                 "label_smoothing is for softmax_cross_entropy, not %s",
                                 kind->name);
    int code = check_counts(file, kind);
    return code == DONE ? class_weights_check(file, kind) : code;
}

clg_target_kind loss_data(const struct model_spec *model)
{
    if (loss_of_input(model)) return CLG_TARGET_NONE;
    return loss_find(model)->target == LOSS_NUMBERS ? CLG_TARGET_NUMBERS : CLG_TARGET_CLASSES;
}

/* ---- building ---- */

/* What the last layer has to give for a sample, and what there has to be for it. */
static int check_logits(const struct network *network, struct model_file *file)
{
    const struct model_spec *model = &file->content->model;
    const struct loss_kind *kind = loss_find(model);
    const clg_shape *shape = clg_tensor_shape(network->logits);
    int64_t wanted = 1, last = 0;
    if (kind->target == LOSS_CLASSES) wanted = *model->classes;
    if (kind->target == LOSS_NUMBERS && model->outputs) wanted = *model->outputs;
    if (shape->ndim >= 2) last = shape->dim[shape->ndim - 1];
    int most = kind->target == LOSS_CLASSES ? 3 : 2; /* sequences of classes */
    if (last == wanted && shape->ndim <= most) return DONE;
    char path[64], text[128], what[64];
    snprintf(path, sizeof path, "model.layers[%u]", model->layers_count - 1);
    snprintf(what, sizeof what, kind->target == LOSS_NUMBERS ? "%lld outputs" : "%lld classes",
             (long long)(kind->target == LOSS_BINARY ? 2 : wanted));
    return yaml_source_error(
        &file->source, path,
        "the last layer gives %s, but there are %s: end with {kind: linear, units: %lld}",
        clg_shape_text(shape, text, sizeof text), what, (long long)wanted);
}

/* The network's input in the shape of its output. */
static clg_tensor *input_as_target(struct network *network, struct model_file *file, int *code)
{
    const struct model_spec *model = &file->content->model;
    const clg_shape *from = clg_tensor_shape(network->image);
    const clg_shape *to = clg_tensor_shape(network->logits);
    if (clg_shape_count(from) == clg_shape_count(to)) {
        clg_shape shape = *to;
        shape.dim[0] = CLG_BATCH;
        return clg_reshape(network->image, shape);
    }
    char path[64], texts[2][128];
    snprintf(path, sizeof path, "model.layers[%u]", model->layers_count - 1);
    *code = yaml_source_error(&file->source, path,
                              "the last layer gives %s, but the target is the input %s",
                              clg_shape_text(to, texts[0], sizeof texts[0]),
                              clg_shape_text(from, texts[1], sizeof texts[1]));
    return NULL;
}

/* The input "label", shaped after the logits. */
static clg_tensor *data_target(struct network *network, enum loss_target target)
{
    clg_shape shape = *clg_tensor_shape(network->logits);
    shape.dim[0] = CLG_BATCH;
    shape.batched = 0;
    if (target != LOSS_NUMBERS) shape.ndim--;
    network->label =
        clg_input(network->graph, "label", target == LOSS_NUMBERS ? CLG_F32 : CLG_I32, shape);
    if (!network->label || target != LOSS_BINARY) return network->label;
    return clg_reshape(network->label, CLG_SHAPE(CLG_BATCH, 1));
}

/* Fraction on the right side of zero. */
static clg_tensor *binary_accuracy(clg_tensor *x, clg_tensor *target)
{
    clg_tensor *guess = clg_greater(x, clg_scalar(clg_tensor_graph(x), 0));
    return clg_mean(clg_equal(guess, target), 0, false);
}

static void build_measures(struct network *network, enum loss_target kind, clg_tensor *target)
{
    clg_tensor *logits = network->logits;
    if (kind == LOSS_CLASSES) {
        network->prediction = clg_softmax(logits, -1);
        network->accuracy = clg_accuracy(logits, target);
    } else if (kind == LOSS_BINARY) {
        clg_tensor *both[] = {clg_sigmoid(clg_neg(logits)), clg_sigmoid(logits)};
        network->prediction = clg_concat(both, 2, 1);
        network->accuracy = binary_accuracy(logits, target);
    } else {
        network->prediction = logits;
        network->squared_error = clg_mse(logits, target, NULL);
        network->absolute_error = clg_mae(logits, target, NULL);
    }
}

bool network_classifies(const struct network *network)
{
    const clg_shape *shape = clg_tensor_shape(network->logits);
    return network->accuracy && shape->ndim == 2 && shape->dim[1] > 1;
}

bool network_gives_numbers(const struct network *network)
{
    return network->label && network->squared_error;
}

static void add_l1(struct network *network, double factor)
{
    clg_tensor *w;
    for (size_t i = 0; factor > 0 && (w = clg_graph_variable(network->graph, i)); i++) {
        if (!clg_tensor_trainable(w) || clg_tensor_shape(w)->ndim < 2) continue;
        clg_tensor *penalty = clg_l1_penalty(w, factor);
        network->penalty = network->penalty ? clg_add(network->penalty, penalty) : penalty;
    }
}

/* Smoothing, weights and penalties are of the training only: what is measured is the plain loss. */
static void add_loss(struct network *network, const struct loss_kind *kind, clg_tensor *target,
                     const struct settings *settings)
{
    clg_tensor *plain = kind->build(network->logits, target, NULL), *trained = plain;
    if (*settings->label_smoothing > 0 || network->class_weights)
        trained = kind->build(network->logits, target,
                              clg_loss_options(.label_smoothing = *settings->label_smoothing,
                                               .class_weights = network->class_weights));
    add_l1(network, *settings->l1);
    if (network->penalty) trained = clg_add(trained, network->penalty);
    network->loss = trained == plain ? plain : clg_by_mode(trained, plain);
}

int loss_build(struct network *network, struct model_file *file)
{
    const struct model_spec *model = &file->content->model;
    const struct loss_kind *kind = loss_find(model);
    clg_tensor *target = NULL;
    int code = DONE;
    if (loss_of_input(model)) {
        target = input_as_target(network, file, &code);
        network->prediction =
            kind->target == LOSS_BINARY ? clg_sigmoid(network->logits) : network->logits;
    } else if ((code = check_logits(network, file)) == DONE) {
        target = data_target(network, kind->target);
        if (target) build_measures(network, kind->target, target);
    }
    if (code == DONE) code = class_weights_add(network, file);
    if (code != DONE) return code;
    add_loss(network, kind, target, &file->content->training);
    clg_status status = clg_graph_status(network->graph);
    return status == CLG_OK ? DONE : report_status(status, NULL);
}
