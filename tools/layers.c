/*
 * The kinds of layers that model files know: the table at the end of the file, and one short
 * builder each, here or in layers_activation.c and layers_sequence.c. To add a kind: a builder, a
 * row, and - for a new option - a row in LAYER_OPTION_ROWS.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "clgrad/nn.h"
#include "cltrain.h"
#include "network.h"

/* "layer 2 (conv2d) of block 'basic' (used in line 30)" */
static void write_label(const struct layer_site *site, char *label, size_t size)
{
    const struct layer_site *within = site->within;
    int length = snprintf(label, size, "layer %u (%.60s)", site->index + 1, site->text->kind);
    if (length < 0 || (size_t)length >= size || !within || !within->text) return;
    if (site->call != within->call) {
        snprintf(label + length, size - (size_t)length, " of block '%.60s' (used in line %zu)",
                 site->call->block->name, site->call->line);
        return;
    }
    length += snprintf(label + length, size - (size_t)length, " in ");
    if ((size_t)length < size) write_label(within, label + length, size - (size_t)length);
}

clg_tensor *layer_error(struct layer_site *site, const char *option, const char *format, ...)
{
    char path[320], text[768], label[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write_label(site, label, sizeof label);
    snprintf(path, sizeof path, "%s.%s", site->path, option);
    site->code = yaml_source_error(&site->file->source, path, "%s: %s", label, text);
    return NULL;
}

/* ---- options ---- */

/* "5" -> {5, 5}, "5x3" -> {5, 3}; leaves `pair` alone if the option is not given. Only paddings may
 * be 0: the library takes its default for 0, which nobody has written. */
static bool read_pair(struct layer_site *site, const char *option, const char *text, int pair[2])
{
    if (!text) return true;
    char *end;
    long first = strtol(text, &end, 10), second = first;
    bool good = end != text;
    if (good && *end == 'x') {
        const char *rest = end + 1;
        second = strtol(rest, &end, 10);
        good = end != rest;
    }
    const long least = strstr(option, "padding") ? 0 : 1;
    if (!good || *end || first < least || second < least || first > 65535 || second > 65535)
        return layer_error(site, option,
                           "%s takes a number or two from %ld on (5 or 5x3), not '%s'", option,
                           least, text);
    pair[0] = (int)first;
    pair[1] = (int)second;
    return true;
}

static bool read_padding_mode(struct layer_site *site, clg_pad_mode *out)
{
    static const char *const names[] = {[CLG_PAD_CONSTANT] = "zeros",
                                        [CLG_PAD_REPLICATE] = "replicate",
                                        [CLG_PAD_REFLECT] = "reflect",
                                        [CLG_PAD_CIRCULAR] = "circular"};
    const size_t count = sizeof names / sizeof *names;
    const char *text = site->spec->padding_mode;
    if (!text) return true;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(text, names[i])) return *out = (clg_pad_mode)i, true;
    return layer_error(site, "padding_mode", "unknown padding_mode '%s'%s", text,
                       suggestion(text, names, count));
}

static bool read_padding(struct layer_site *site, clg_conv2d_params *params)
{
    const char *text = site->spec->padding;
    if (text && !strcmp(text, "same")) return params->padding = CLG_PADDING_SAME, true;
    if (text && (!strcmp(text, "none") || !strcmp(text, "valid"))) return true;
    return read_pair(site, "padding", text, params->pad);
}

bool layer_read_count(struct layer_site *site, const char *option, const int64_t *value, int *out)
{
    if (!value) return true;
    if (*value < 1 || *value > INT_MAX)
        return layer_error(site, option, "%s must be in 1 .. %d", option, INT_MAX);
    *out = (int)*value;
    return true;
}

/* ---- builders ---- */

static clg_tensor *build_conv2d(struct layer_site *site, clg_tensor *x)
{
    const struct layer_spec *spec = site->spec;
    clg_conv2d_layer_params params = {.no_bias = spec->bias && !*spec->bias};
    clg_init init = {0};
    int kernel[2] = {0}, channels = 0;
    if (!layer_read_count(site, "channels", spec->channels, &channels) ||
        !layer_read_count(site, "groups", spec->groups, &params.conv.groups) ||
        !read_pair(site, "kernel", spec->kernel, kernel) ||
        !read_pair(site, "stride", spec->stride, params.conv.stride) ||
        !read_pair(site, "dilation", spec->dilation, params.conv.dilation) ||
        !read_padding(site, &params.conv) || !read_padding_mode(site, &params.conv.pad_mode) ||
        !layer_read_init(site, &init, &params.weight_init))
        return NULL;
    params.width = kernel[1];
    return clg_conv2d_layer(x, site->name, channels, kernel[0], &params);
}

static clg_tensor *build_conv_transpose2d(struct layer_site *site, clg_tensor *x)
{
    const struct layer_spec *spec = site->spec;
    clg_conv_transpose2d_layer_params params = {.no_bias = spec->bias && !*spec->bias};
    clg_init init = {0};
    int kernel[2] = {0}, channels = 0;
    if (!layer_read_count(site, "channels", spec->channels, &channels) ||
        !layer_read_count(site, "groups", spec->groups, &params.conv.groups) ||
        !read_pair(site, "kernel", spec->kernel, kernel) ||
        !read_pair(site, "stride", spec->stride, params.conv.stride) ||
        !read_pair(site, "dilation", spec->dilation, params.conv.dilation) ||
        !read_pair(site, "padding", spec->padding, params.conv.pad) ||
        !read_pair(site, "output_padding", spec->output_padding, params.conv.output_padding) ||
        !layer_read_init(site, &init, &params.weight_init))
        return NULL;
    params.width = kernel[1];
    return clg_conv_transpose2d_layer(x, site->name, channels, kernel[0], &params);
}

static clg_tensor *build_linear(struct layer_site *site, clg_tensor *x)
{
    const struct layer_spec *spec = site->spec;
    clg_linear_params params = {.no_bias = spec->bias && !*spec->bias};
    clg_init init = {0};
    int units = 0;
    if (!layer_read_count(site, "units", spec->units, &units) ||
        !layer_read_init(site, &init, &params.weight_init))
        return NULL;
    return clg_linear_layer(x, site->name, units, &params);
}

static clg_tensor *build_maxout(struct layer_site *site, clg_tensor *x)
{
    const struct layer_spec *spec = site->spec;
    clg_maxout_layer_params params = {.linear.no_bias = spec->bias && !*spec->bias};
    clg_init init = {0};
    int units = 0;
    if (!layer_read_count(site, "units", spec->units, &units) ||
        !layer_read_count(site, "pieces", spec->pieces, &params.pieces) ||
        !layer_read_init(site, &init, &params.linear.weight_init))
        return NULL;
    return clg_maxout_layer(x, site->name, units, &params);
}

static clg_tensor *build_batch_norm(struct layer_site *site, clg_tensor *x)
{
    clg_batch_norm_params params = {0};
    if (site->spec->momentum) params.momentum = *site->spec->momentum;
    if (site->spec->epsilon) params.epsilon = *site->spec->epsilon;
    return clg_batch_norm_layer(x, site->name, &params);
}

static double epsilon_of(const struct layer_site *site)
{
    return site->spec->epsilon ? *site->spec->epsilon : 0;
}

static clg_tensor *build_layer_norm(struct layer_site *site, clg_tensor *x)
{
    int axes = 1;
    if (!layer_read_count(site, "axes", site->spec->axes, &axes)) return NULL;
    return clg_layer_norm_layer(x, site->name, axes, epsilon_of(site));
}

static clg_tensor *build_rms_norm(struct layer_site *site, clg_tensor *x)
{
    int axes = 1;
    if (!layer_read_count(site, "axes", site->spec->axes, &axes)) return NULL;
    return clg_rms_norm_layer(x, site->name, axes, epsilon_of(site));
}

static clg_tensor *build_group_norm(struct layer_site *site, clg_tensor *x)
{
    int groups = 0;
    if (!layer_read_count(site, "groups", site->spec->groups, &groups)) return NULL;
    return clg_group_norm_layer(x, site->name, groups, epsilon_of(site));
}

static clg_tensor *build_instance_norm(struct layer_site *site, clg_tensor *x)
{
    return clg_instance_norm(x, NULL, NULL, epsilon_of(site));
}

static clg_tensor *build_local_response_norm(struct layer_site *site, clg_tensor *x)
{
    const struct layer_spec *spec = site->spec;
    clg_local_response_norm_params params = {.alpha = spec->alpha ? *spec->alpha : 0,
                                             .beta = spec->beta ? *spec->beta : 0,
                                             .k = spec->k ? *spec->k : 0};
    int size[2] = {0};
    if (!read_pair(site, "size", spec->size, size)) return NULL;
    params.size = size[0];
    return clg_local_response_norm(x, &params);
}

static bool read_pool(struct layer_site *site, clg_pool2d_params *params)
{
    return read_pair(site, "size", site->spec->size, params->size) &&
           read_pair(site, "stride", site->spec->stride, params->stride) &&
           read_pair(site, "padding", site->spec->padding, params->pad);
}

static clg_tensor *build_max_pool2d(struct layer_site *site, clg_tensor *x)
{
    clg_pool2d_params params = {0};
    return read_pool(site, &params) ? clg_max_pool2d(x, &params) : NULL;
}

static clg_tensor *build_average_pool2d(struct layer_site *site, clg_tensor *x)
{
    clg_pool2d_params params = {0};
    return read_pool(site, &params) ? clg_average_pool2d(x, &params) : NULL;
}

static clg_tensor *build_adaptive_average_pool2d(struct layer_site *site, clg_tensor *x)
{
    int size[2] = {0};
    if (!read_pair(site, "size", site->spec->size, size)) return NULL;
    return clg_adaptive_average_pool2d(x, size[0], size[1]);
}

static clg_tensor *build_adaptive_max_pool2d(struct layer_site *site, clg_tensor *x)
{
    int size[2] = {0};
    if (!read_pair(site, "size", site->spec->size, size)) return NULL;
    return clg_adaptive_max_pool2d(x, size[0], size[1]);
}

static clg_tensor *build_global_average_pool2d(struct layer_site *site, clg_tensor *x)
{
    return clg_global_average_pool2d(x);
}

static clg_tensor *build_flatten(struct layer_site *site, clg_tensor *x)
{
    return clg_flatten(x);
}

static clg_tensor *build_dropout(struct layer_site *site, clg_tensor *x)
{
    return clg_dropout(x, *site->spec->rate);
}

static clg_tensor *build_channel_dropout(struct layer_site *site, clg_tensor *x)
{
    return clg_channel_dropout(x, *site->spec->rate);
}

/* ---- augmentation and normalization ---- */

static double real_or(const double *value, double otherwise)
{
    return value ? *value : otherwise;
}

static bool read_border(struct layer_site *site, clg_border *border)
{
    const char *text = site->spec->border;
    if (!text || !strcmp(text, "zero")) return true;
    if (!strcmp(text, "replicate")) return *border = CLG_BORDER_REPLICATE, true;
    return layer_error(site, "border", "border is zero or replicate, not '%s'", text);
}

static clg_tensor *build_random_flip(struct layer_site *site, clg_tensor *x)
{
    return clg_random_flip(x, real_or(site->spec->horizontal, 0.5),
                           real_or(site->spec->vertical, 0));
}

static clg_tensor *build_random_affine(struct layer_site *site, clg_tensor *x)
{
    double shift = real_or(site->spec->shift, 0);
    clg_random_affine_params params = {.rotate = real_or(site->spec->rotate, 0),
                                       .zoom = real_or(site->spec->zoom, 0),
                                       .shift = {shift, shift}};
    return read_border(site, &params.border) ? clg_random_affine(x, &params) : NULL;
}

static clg_tensor *build_random_crop(struct layer_site *site, clg_tensor *x)
{
    clg_random_crop_params params = {.padding = 0};
    int size[2] = {0}, padding[2] = {0};
    if (!read_pair(site, "size", site->spec->size, size) ||
        !read_pair(site, "padding", site->spec->padding, padding) ||
        !read_border(site, &params.border))
        return NULL;
    if (padding[0] != padding[1])
        return layer_error(site, "padding", "padding is one number, for all sides");
    for (int i = 0; i < 2; i++) params.size[i] = size[i];
    params.padding = padding[0];
    return clg_random_crop(x, &params);
}

static clg_tensor *build_cutout(struct layer_site *site, clg_tensor *x)
{
    int size[2] = {0};
    if (!read_pair(site, "size", site->spec->size, size)) return NULL;
    if (size[0] != size[1]) return layer_error(site, "size", "size is one number: a square");
    return clg_cutout(x, size[0]);
}

static clg_tensor *build_color_jitter(struct layer_site *site, clg_tensor *x)
{
    const struct layer_spec *spec = site->spec;
    clg_color_jitter_params params = {.brightness = real_or(spec->brightness, 0),
                                      .contrast = real_or(spec->contrast, 0),
                                      .saturation = real_or(spec->saturation, 0)};
    return clg_color_jitter(x, &params);
}

static clg_tensor *build_gaussian_noise(struct layer_site *site, clg_tensor *x)
{
    return clg_gaussian_noise(x, *site->spec->sigma);
}

/* What the variables get is measured on the training data, per entry of its last axis. */
static clg_tensor *build_fitted(struct layer_site *site, clg_tensor *x)
{
    const struct model_spec *model = &site->file->content->model;
    const clg_shape *shape = clg_tensor_shape(x);
    int64_t channels = model->input[model->input_count - 1];
    if (shape->dim[shape->ndim - 1] != channels)
        return layer_error(site, "",
                           "is fitted to the data, whose samples end in %lld: it belongs in front "
                           "of layers that change that",
                           (long long)channels);
    struct network *network = site->network;
    if (network->n_fitted == MAX_FITTED)
        return layer_error(site, "", "more than %d layers are fitted to the data", MAX_FITTED);
    struct fitted_layer *fitted = &network->fitted[network->n_fitted++];
    memcpy(fitted->name, site->name, sizeof fitted->name);
    fitted->min_max = !strcmp(site->spec->kind, "min_max");
    return clg_normalize_layer(x, site->name);
}

/* Of the kinds with weights; the biases keep the library's default. */
#define INIT " init init_value init_gain init_slope "

static const struct layer_kind layer_kinds[] = {
    {"conv2d", "channels kernel", "stride padding padding_mode dilation groups bias" INIT "name",
     "conv", build_conv2d},
    {"conv_transpose2d", "channels kernel",
     "stride padding output_padding dilation groups bias" INIT "name", "conv_transpose",
     build_conv_transpose2d},
    {"linear", "units", "bias" INIT "name", "linear", build_linear},
    {"maxout", "units", "pieces bias" INIT "name", "maxout", build_maxout},
    {"embedding", "units", "rows" INIT "name", "embedding", build_embedding},
    {"rnn", "units", "activation last bias" INIT "name", "rnn", build_rnn},
    {"lstm", "units", "last bias" INIT "name", "lstm", build_lstm},
    {"gru", "units", "last bias" INIT "name", "gru", build_gru},
    {"batch_norm", "", "momentum epsilon name", "norm", build_batch_norm},
    {"layer_norm", "", "axes epsilon name", "layer_norm", build_layer_norm},
    {"rms_norm", "", "axes epsilon name", "rms_norm", build_rms_norm},
    {"group_norm", "groups", "epsilon name", "group_norm", build_group_norm},
    {"instance_norm", "", "epsilon", "", build_instance_norm},
    {"local_response_norm", "", "size alpha beta k", "", build_local_response_norm},
    {"max_pool2d", "", "size stride padding", "", build_max_pool2d},
    {"average_pool2d", "", "size stride padding", "", build_average_pool2d},
    {"adaptive_average_pool2d", "size", "", "", build_adaptive_average_pool2d},
    {"adaptive_max_pool2d", "size", "", "", build_adaptive_max_pool2d},
    {"global_average_pool2d", "", "", "", build_global_average_pool2d},
    {"flatten", "", "", "", build_flatten},
    {"dropout", "rate", "", "", build_dropout},
    {"channel_dropout", "rate", "", "", build_channel_dropout},
    {"random_flip", "", "horizontal vertical", "", build_random_flip},
    {"random_affine", "", "rotate zoom shift border", "", build_random_affine},
    {"random_crop", "", "size padding border", "", build_random_crop},
    {"cutout", "size", "", "", build_cutout},
    {"color_jitter", "", "brightness contrast saturation", "", build_color_jitter},
    {"gaussian_noise", "sigma", "", "", build_gaussian_noise},
    {"brelu", "", "", "", build_brelu},
    {"prelu", "", "a per_channel name", "prelu", build_prelu},
    {"rrelu", "", "lower upper", "", build_rrelu},
    {"apl", "", "pieces name", "apl", build_apl},
    {"swish_learned", "", "a per_channel name", "swish", build_swish_learned},
    {"soft_exponential", "", "a per_channel name", "soft_exponential", build_soft_exponential},
    {"softmax", "", "", "", build_softmax},
    {"log_softmax", "", "", "", build_log_softmax},
    {"standardize", "", "name", "standardize", build_fitted},
    {"min_max", "", "name", "min_max", build_fitted},
    {"sequence", "layers", "name", "", build_sequence},
    {"residual", "layers", "projection shortcut name", "", build_residual},
    {"branches", "layers", "name", "", build_branches},
};
enum { N_LAYER_KINDS = sizeof layer_kinds / sizeof *layer_kinds };
_Static_assert((int)N_LAYER_KINDS <= (int)MAX_LAYER_KINDS, "raise MAX_LAYER_KINDS");

/* ---- building ---- */

static const struct layer_kind block_kind = {"", "", "with name", "", build_block};

bool layer_kind_exists(const char *name)
{
    for (int i = 0; i < N_LAYER_KINDS; i++)
        if (!strcmp(layer_kinds[i].name, name)) return true;
    return activation_kind(name);
}

const struct block_text *layer_find_block(const struct layer_site *site)
{
    const struct model_spec *model = &site->file->content->model;
    const struct block_text *end =
        site->call ? site->call->block : model->blocks + model->blocks_count;
    for (const struct block_text *block = model->blocks; block < end; block++)
        if (!strcmp(block->name, site->spec->kind)) return block;
    return NULL;
}

static const struct layer_kind *unknown_kind(struct layer_site *site)
{
    const struct model_spec *model = &site->file->content->model;
    const char *names[N_LAYER_KINDS + MAX_ACTIVATIONS + MAX_BLOCKS], *word = site->spec->kind;
    size_t count = 0;
    for (int i = 0; i < N_LAYER_KINDS; i++) names[count++] = layer_kinds[i].name;
    count += activation_names(names + count);
    for (unsigned i = 0; i < model->blocks_count; i++) {
        if (!strcmp(model->blocks[i].name, word))
            layer_error(site, "kind", "a block may only use blocks above it");
        names[count++] = model->blocks[i].name;
    }
    if (site->code == DONE)
        layer_error(site, "kind", "unknown kind of layer '%s'%s", word,
                    suggestion(word, names, count));
    return NULL;
}

static const struct layer_kind *find_kind(struct layer_site *site)
{
    const char *word = site->spec->kind;
    for (int i = 0; i < N_LAYER_KINDS; i++)
        if (!strcmp(layer_kinds[i].name, word)) return &layer_kinds[i];
    const struct layer_kind *activation = activation_kind(word);
    if (activation) return activation;
    return layer_find_block(site) ? &block_kind : unknown_kind(site);
}

/*
 * "<prefix>conv2", "<prefix><name>", or with `repeat` "<prefix><name>.0" ...; "" for kinds without
 * variables. `share` takes the place of the name.
 */
static bool name_layer(struct layer_site *site, const struct layer_kind *kind, int64_t turn)
{
    const struct layer_spec *spec = site->spec;
    const struct block_text *block = kind == &block_kind ? layer_find_block(site) : NULL;
    const char *stem = block ? block->name : kind->stem;
    char name[MAX_NAME + 32] = "";
    if (*stem) {
        ptrdiff_t row = block ? MAX_LAYER_KINDS + (block - site->file->content->model.blocks)
                              : kind - layer_kinds;
        snprintf(name, sizeof name, "%s%d", stem, ++site->names->counts[row]);
    }
    if (spec->share)
        snprintf(name, sizeof name, "%s", spec->share);
    else if (spec->name && spec->repeat)
        snprintf(name, sizeof name, "%s.%lld", spec->name, (long long)turn);
    else if (spec->name)
        snprintf(name, sizeof name, "%s", spec->name);
    if (strlen(site->names->prefix) + strlen(name) > MAX_FULL_NAME)
        return layer_error(site, "", "the name '%s%s' is longer than %d characters",
                           site->names->prefix, name, MAX_FULL_NAME);
    snprintf(site->name, sizeof site->name, "%s%s", *name ? site->names->prefix : "", name);
    return true;
}

/* Number of variables whose names start with "<name>."; all if name is NULL. */
static size_t count_variables(const clg_graph *graph, const char *name)
{
    size_t count = 0, length = name ? strlen(name) : 0;
    clg_tensor *variable;
    for (size_t i = 0; (variable = clg_graph_variable(graph, i)); i++) {
        const char *full = clg_tensor_name(variable);
        count += !name || (!strncmp(full, name, length) && full[length] == '.');
    }
    return count;
}

/* With `share` the layer's variables are those of an earlier one: none may be new. */
static clg_tensor *build_shared(struct layer_site *site, const struct layer_kind *kind,
                                clg_tensor *x)
{
    clg_graph *graph = site->network->graph;
    size_t before = count_variables(graph, NULL);
    if (!count_variables(graph, site->name))
        return layer_error(site, "share", "no layer above is called '%s' and has variables",
                           site->name);
    bool outer = clg_graph_share_variables(graph, true);
    clg_tensor *y = kind->build(site, x);
    clg_graph_share_variables(graph, outer);
    if (y && count_variables(graph, NULL) != before)
        return layer_error(site, "share", "'%s' does not have all the variables of this layer",
                           site->name);
    return y;
}

/* Adds the layer's activity_l1 times the sum of |y|, a mean over the batch, to the loss. */
static clg_tensor *penalize(struct layer_site *site, clg_tensor *y)
{
    struct network *network = site->network;
    if (!(*site->spec->activity_l1 >= 0))
        return layer_error(site, "activity_l1", "activity_l1 must not be negative");
    clg_tensor *penalty = clg_l1_activity_penalty(y, *site->spec->activity_l1);
    network->penalty = network->penalty ? clg_add(network->penalty, penalty) : penalty;
    return penalty ? y : NULL;
}

clg_tensor *layer_build(struct layer_site *site, int64_t turn, clg_tensor *x)
{
    const struct layer_kind *kind = find_kind(site);
    if (!kind || !layer_check_options(site, kind) || !name_layer(site, kind, turn)) return NULL;
    clg_tensor *y = site->spec->share ? build_shared(site, kind, x) : kind->build(site, x);
    return y && site->spec->activity_l1 ? penalize(site, y) : y;
}
