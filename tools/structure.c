/*
 * Layers that hold layers: lists, residual sums, branches, blocks. The whole model is one list,
 * built from top to bottom; x is what has been built so far.
 *
 * Variables are named "<prefix><layer>.weight". A layer with a name that holds layers adds its name
 * to the prefix, a block always does; without a name its layers are named as if they stood in the
 * list around it. So a residual net written with blocks has the names that torchvision gives it.
 */
#include <string.h>

#include "clgrad/nn.h"
#include "cltrain.h"
#include "network.h"
#include "summary.h"

/* ---- a list ---- */

/* What the layer's input is and where it comes from, unless the library's message says it. */
static clg_tensor *layer_failed(struct layer_site *site, clg_tensor *x)
{
    if (site->code != DONE) return NULL;
    clg_status status = clg_graph_status(site->network->graph);
    if (status != CLG_ERROR_ARGUMENT && status != CLG_ERROR_UNSUPPORTED) {
        site->code = report_status(status, NULL);
        return NULL;
    }
    const char *message = clg_last_error();
    char input[128];
    clg_shape_text(clg_tensor_shape(x), input, sizeof input);
    bool told = strstr(message, input);
    return layer_error(site, "", "%s; the layer's input %s%s%scomes from %s", message,
                       told ? "" : "is ", told ? "" : input, told ? "" : " and ",
                       site->network->from);
}

/* The layer in line `line`, as often as it is to be repeated. */
static clg_tensor *build_turns(struct layer_site *site, size_t line, clg_tensor *x)
{
    struct network *network = site->network;
    int64_t repeat = site->spec->repeat ? *site->spec->repeat : 1;
    if (repeat < 1 || repeat > MAX_LAYERS)
        return layer_error(site, "repeat", "repeat must be in 1 .. %d", MAX_LAYERS);
    for (int64_t turn = 0; turn < repeat; turn++) {
        if (network->n_layers++ >= MAX_LAYERS)
            return layer_error(site, "", "the model has more than %d layers", MAX_LAYERS);
        int rows = network->n_rows;
        clg_tensor *y = layer_build(site, turn, x);
        if (!y) return layer_failed(site, x);
        if (!summary_add(network, site, x, y, rows)) {
            site->code = report_error(NO_MEMORY, "out of memory");
            return NULL;
        }
        snprintf(network->from, sizeof network->from, "layer %u (%.60s) in line %zu",
                 site->index + 1, site->spec->kind, line);
        x = y;
    }
    return x;
}

clg_tensor *layers_build(struct layer_site *holder, const struct layer_list *list, clg_tensor *x)
{
    for (unsigned i = list->first; i < list->end && x; i++) {
        struct layer_site site = {.file = holder->file,
                                  .network = holder->network,
                                  .within = holder,
                                  .call = list->call,
                                  .names = list->names,
                                  .text = &list->layers[i],
                                  .index = i};
        snprintf(site.path, sizeof site.path, "%.200s[%u]", list->path, i);
        struct layer_values values;
        x = layer_read_options(&site, &values)
                ? build_turns(&site, yaml_source_line(&site.file->source, site.path), x)
                : NULL;
        if (!x) holder->code = site.code;
    }
    return x;
}

/* ---- kinds ---- */

/* The list `key` of this layer; its own prefix where it has a name. */
struct inner {
    struct layer_list list;
    struct layer_names names;
    char path[256];
};

static const struct layer_list *inner_list(struct inner *inner, struct layer_site *site,
                                           const char *key, const char *name)
{
    const struct layer_text *text = site->text;
    bool shortcut = !strcmp(key, "shortcut");
    snprintf(inner->path, sizeof inner->path, "%s.%s", site->path, key);
    inner->list = (struct layer_list){.layers = shortcut ? text->shortcut : text->layers,
                                      .end = shortcut ? text->shortcut_count : text->layers_count,
                                      .path = inner->path,
                                      .names = site->names,
                                      .call = site->call};
    if (!*name) return &inner->list;
    inner->names = (struct layer_names){0};
    snprintf(inner->names.prefix, sizeof inner->names.prefix, "%.190s.", name);
    inner->list.names = &inner->names;
    return &inner->list;
}

clg_tensor *build_sequence(struct layer_site *site, clg_tensor *x)
{
    struct inner inner;
    return layers_build(site, inner_list(&inner, site, "layers", site->name), x);
}

/* Name of something of this layer's own: "layer2.0.downsample". */
static void own_name(const struct layer_site *site, const char *what, char name[256])
{
    if (*site->name)
        snprintf(name, 256, "%.190s.%s", site->name, what);
    else
        snprintf(name, 256, "%.190s%s", site->names->prefix, what);
}

/* A 1 x 1 convolution to the shape of y, and batch norm (option B of He et al.). */
static clg_tensor *project_conv(clg_tensor *x, const clg_shape *y, const int stride[2],
                                const char *name)
{
    char part[272];
    snprintf(part, sizeof part, "%s.0", name);
    clg_init init = {.kind = CLG_INIT_HE_NORMAL};
    x = clg_conv2d_layer(x, part, y->dim[3], 1,
                         clg_conv2d_layer_options(.conv = {.stride = {stride[0], stride[1]}},
                                                  .weight_init = &init, .no_bias = true));
    snprintf(part, sizeof part, "%s.1", name);
    return clg_batch_norm_layer(x, part, NULL);
}

/* Every stride-th pixel, and zeros for the channels that are missing (option A). */
static clg_tensor *project_pad(clg_tensor *x, const clg_shape *y, const int stride[2])
{
    const clg_shape *shape = clg_tensor_shape(x);
    int64_t missing = y->dim[3] - shape->dim[3];
    x = clg_slice_axes(x, clg_slice_options(.step = {1, stride[0], stride[1], 1}));
    return missing > 0 ? clg_pad(x, 3, 0, missing) : x;
}

static clg_tensor *project(struct layer_site *site, clg_tensor *x, clg_tensor *y)
{
    const char *how = site->spec->projection;
    const clg_shape *from = clg_tensor_shape(x), *to = clg_tensor_shape(y);
    if (!how || clg_shape_equal(from, to)) return x;
    bool conv = !strcmp(how, "conv");
    if (!conv && strcmp(how, "pad"))
        return layer_error(site, "projection", "projection is conv or pad, not '%s'", how);
    if (from->ndim != 4 || to->ndim != 4)
        return layer_error(site, "projection", "a projection is for images (N, H, W, C)");
    int stride[2];
    for (int i = 0; i < 2; i++)
        stride[i] = (int)((from->dim[i + 1] + to->dim[i + 1] - 1) / to->dim[i + 1]);
    char name[256];
    own_name(site, "downsample", name);
    return conv ? project_conv(x, to, stride, name) : project_pad(x, to, stride);
}

clg_tensor *build_residual(struct layer_site *site, clg_tensor *x)
{
    struct inner inner;
    char before[sizeof site->network->from], last[sizeof before], name[256], shapes[2][128];
    memcpy(before, site->network->from, sizeof before);
    clg_tensor *y = layers_build(site, inner_list(&inner, site, "layers", site->name), x);
    memcpy(last, site->network->from, sizeof last);
    memcpy(site->network->from, before, sizeof before);
    if (!y) return NULL;
    own_name(site, "downsample", name);
    clg_tensor *shortcut = site->text->shortcut
                               ? layers_build(site, inner_list(&inner, site, "shortcut", name), x)
                               : project(site, x, y);
    if (!shortcut) return NULL;
    if (clg_shape_equal(clg_tensor_shape(y), clg_tensor_shape(shortcut)))
        return clg_add(y, shortcut);
    clg_shape_text(clg_tensor_shape(y), shapes[0], sizeof shapes[0]);
    clg_shape_text(clg_tensor_shape(shortcut), shapes[1], sizeof shapes[1]);
    return layer_error(site, "",
                       "its layers give %s (by %s), but the shortcut gives %s (by %s): "
                       "'projection: conv' or a 'shortcut' with layers makes them equal",
                       shapes[0], last, shapes[1], site->network->from);
}

/* Branches may differ in their last axis only. */
static bool branch_fits(struct layer_site *site, clg_tensor *const *branches, unsigned i)
{
    const clg_shape *first = clg_tensor_shape(branches[0]), *shape = clg_tensor_shape(branches[i]);
    bool fits = first->ndim == shape->ndim && first->ndim > 1;
    for (int axis = 0; fits && axis < first->ndim - 1; axis++)
        fits = first->dim[axis] == shape->dim[axis];
    if (fits) return true;
    char shapes[2][128], option[32];
    clg_shape_text(first, shapes[0], sizeof shapes[0]);
    clg_shape_text(shape, shapes[1], sizeof shapes[1]);
    snprintf(option, sizeof option, "layers[%u]", i);
    return layer_error(site, option,
                       "branch %u gives %s, but branch 1 gives %s: they may differ in the last "
                       "axis only",
                       i + 1, shapes[1], shapes[0]);
}

clg_tensor *build_branches(struct layer_site *site, clg_tensor *x)
{
    enum { MAX_BRANCHES = 64 };
    clg_tensor *branches[MAX_BRANCHES];
    struct inner inner;
    char from[sizeof site->network->from];
    unsigned count = site->text->layers_count;
    if (count > MAX_BRANCHES)
        return layer_error(site, "layers", "more than %d branches", MAX_BRANCHES);
    memcpy(from, site->network->from, sizeof from);
    inner_list(&inner, site, "layers", site->name);
    for (unsigned i = 0; i < count; i++) {
        inner.list.first = i;
        inner.list.end = i + 1;
        memcpy(site->network->from, from, sizeof from);
        branches[i] = layers_build(site, &inner.list, x);
        if (!branches[i] || !branch_fits(site, branches, i)) return NULL;
    }
    return clg_concat(branches, (int)count, clg_tensor_shape(branches[0])->ndim - 1);
}

clg_tensor *build_block(struct layer_site *site, clg_tensor *x)
{
    const struct model_spec *model = &site->file->content->model;
    const struct block_text *block = layer_find_block(site);
    const char *values[MAX_PARAMETERS];
    if (!block_read_values(site, block, values)) return NULL;
    struct block_call call = {.block = block,
                              .values = values,
                              .line = yaml_source_line(&site->file->source, site->path)};
    struct layer_names names = {0};
    char path[64];
    snprintf(names.prefix, sizeof names.prefix, "%.190s.", site->name);
    snprintf(path, sizeof path, "model.blocks[%d].layers", (int)(block - model->blocks));
    struct layer_list list = {.layers = block->layers,
                              .end = block->layers_count,
                              .path = path,
                              .names = &names,
                              .call = &call};
    return layers_build(site, &list, x);
}
