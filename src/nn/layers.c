/*
 * Layers: an operation with the variables it needs, named after the layer as PyTorch names them.
 *
 * x (N, H, W, IC) or (..., IC); weights (KH, KW, IC / groups, OC) or (IC, OC); biases (OC). The
 * bias is a plain broadcast addition: the compiler fuses it into the epilogue of the operation
 * before it.
 */
#include "nn/layers.h"
#include "base/base.h"
#include "clgrad/nn.h"
#include "ops/composition.h"
#include "tensor/graph.h"
#include "tensor/init.h"

bool clg__layer_named(const clg_tensor *x, const char *name)
{
    if (!name) clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "layer: the name is NULL");
    return name != NULL;
}

clg_tensor *clg__layer_variable(clg_graph *g, const char *layer, const char *what,
                                const clg_shape *shape, clg_init init, bool trainable)
{
    clg__str name = {0};
    clg__str_addf(&name, "%s.%s", layer, what);
    clg_tensor *variable = NULL;
    if (name.failed)
        clg__graph_fail(g, CLG_ERROR_MEMORY, "%s: %s", layer, clg_last_error());
    else
        variable = clg_variable(g, name.text, *shape, init, trainable);
    clg__str_free(&name);
    return variable;
}

static clg_tensor *layer_weight(clg_graph *g, const char *layer, const clg_shape *shape,
                                const clg_init *init)
{
    clg_init standard = {.kind = CLG_INIT_FAN_IN_UNIFORM};
    return clg__layer_variable(g, layer, "weight", shape, init ? *init : standard, true);
}

/* y + bias, one number for each of y's last axis. */
static clg_tensor *add_bias(clg_tensor *y, const char *layer, const clg_shape *weight,
                            const clg_init *init)
{
    if (!y) return NULL;
    int64_t fan_in, fan_out;
    clg__init_fans(weight, &fan_in, &fan_out);
    clg_init standard = {.kind = CLG_INIT_FAN_IN_UNIFORM, .fan_in = fan_in};
    clg_shape shape = CLG_SHAPE(y->shape.dim[y->shape.ndim - 1]);
    return clg_add(
        y, clg__layer_variable(y->graph, layer, "bias", &shape, init ? *init : standard, true));
}

/* The checks that keep weight shapes meaningful; the operation itself checks the rest. */
static bool layer_fits(clg_tensor *x, const char *layer, int min_ndim, int64_t features)
{
    int last = x->shape.ndim - 1;
    if (!clg__layer_named(x, layer)) return false;
    if (x->shape.ndim < min_ndim)
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "%s: the input needs at least %d axes, got %d", layer, min_ndim,
                        x->shape.ndim);
    else if (x->shape.batched >> last & 1)
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                        "%s: the last axis of the input follows the batch size", layer);
    else if (features < 1)
        clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "%s: %lld output features", layer,
                        (long long)features);
    else
        return true;
    return false;
}

clg_tensor *clg_linear_layer(clg_tensor *x, const char *name, int64_t features,
                             const clg_linear_params *params)
{
    static const clg_linear_params defaults = {0};
    if (!x || !layer_fits(x, name, 2, features)) return NULL;
    const clg_linear_params *p = params ? params : &defaults;
    clg_shape shape = CLG_SHAPE(x->shape.dim[x->shape.ndim - 1], features);
    clg_tensor *weight = layer_weight(x->graph, name, &shape, p->weight_init);
    clg_tensor *y = clg_matmul(x, weight, NULL);
    if (!p->no_bias) y = add_bias(y, name, &shape, p->bias_init);
    return CLG__COMPOSED(linear_layer, y);
}

/* A window of height x width and groups that divide the channels of both sides. */
static bool window_fits(clg_tensor *x, const char *layer, const int window[2], int groups,
                        int64_t channels)
{
    int64_t in = x->shape.dim[3];
    if (window[0] >= 1 && window[1] >= 1 && groups >= 1 && in % groups == 0 &&
        channels % groups == 0)
        return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                    "%s: a %d x %d kernel with %d groups does not fit %lld input and %lld "
                    "output channels",
                    layer, window[0], window[1], groups, (long long)in, (long long)channels);
    return false;
}

clg_tensor *clg_conv2d_layer(clg_tensor *x, const char *name, int64_t channels, int size,
                             const clg_conv2d_layer_params *params)
{
    static const clg_conv2d_layer_params defaults = {0};
    if (!x || !layer_fits(x, name, 4, channels)) return NULL;
    const clg_conv2d_layer_params *p = params ? params : &defaults;
    int window[2] = {size, p->width ? p->width : size};
    int groups = p->conv.groups ? p->conv.groups : 1;
    if (!window_fits(x, name, window, groups, channels)) return NULL;
    clg_shape shape = CLG_SHAPE(window[0], window[1], x->shape.dim[3] / groups, channels);
    clg_tensor *weight = layer_weight(x->graph, name, &shape, p->weight_init);
    clg_tensor *y = clg_conv2d(x, weight, &p->conv);
    if (!p->no_bias) y = add_bias(y, name, &shape, p->bias_init);
    return CLG__COMPOSED(conv2d_layer, y);
}

clg_tensor *clg_conv_transpose2d_layer(clg_tensor *x, const char *name, int64_t channels, int size,
                                       const clg_conv_transpose2d_layer_params *params)
{
    static const clg_conv_transpose2d_layer_params defaults = {0};
    if (!x || !layer_fits(x, name, 4, channels)) return NULL;
    const clg_conv_transpose2d_layer_params *p = params ? params : &defaults;
    int window[2] = {size, p->width ? p->width : size};
    int groups = p->conv.groups ? p->conv.groups : 1;
    if (!window_fits(x, name, window, groups, channels)) return NULL;
    clg_shape shape = CLG_SHAPE(window[0], window[1], channels / groups, x->shape.dim[3]);
    clg_tensor *weight = layer_weight(x->graph, name, &shape, p->weight_init);
    clg_tensor *y = clg_conv_transpose2d(x, weight, &p->conv);
    if (!p->no_bias) y = add_bias(y, name, &shape, p->bias_init);
    return CLG__COMPOSED(conv_transpose2d_layer, y);
}

/* ---- normalization ---- */

/* The first n of scale, shift and running statistics, each of this shape. */
static bool norm_variables(clg_graph *g, const char *layer, const clg_shape *shape, int n,
                           clg_tensor **variables)
{
    static const struct {
        const char *name;
        double start;
        bool trainable;
    } rows[4] = {{"weight", 1, true},
                 {"bias", 0, true},
                 {"running_mean", 0, false},
                 {"running_var", 1, false}};
    for (int i = 0; i < n; i++) {
        clg_init init = {.kind = CLG_INIT_CONSTANT, .value = rows[i].start};
        variables[i] = clg__layer_variable(g, layer, rows[i].name, shape, init, rows[i].trainable);
        if (!variables[i]) return false;
    }
    return true;
}

clg_tensor *clg_batch_norm_layer(clg_tensor *x, const char *name,
                                 const clg_batch_norm_params *params)
{
    if (!x || !layer_fits(x, name, 2, 1)) return NULL;
    clg_shape shape = CLG_SHAPE(x->shape.dim[x->shape.ndim - 1]);
    clg_tensor *v[4];
    if (!norm_variables(x->graph, name, &shape, 4, v)) return NULL;
    return CLG__COMPOSED(batch_norm_layer, clg_batch_norm(x, v, params));
}

/* The shape of the last `axes` axes of x. */
static bool last_axes(clg_tensor *x, const char *layer, int axes, clg_shape *shape)
{
    int first = x->shape.ndim - axes;
    if (!clg__layer_named(x, layer)) return false;
    if (axes < 1 || first < 1)
        return clg__graph_fail(
            x->graph, CLG_ERROR_ARGUMENT,
            "%s: the last %d axes of an input with %d: at least one, and not all", layer, axes,
            x->shape.ndim);
    *shape = clg_shape_of(axes, &x->shape.dim[first]);
    return true;
}

clg_tensor *clg_layer_norm_layer(clg_tensor *x, const char *name, int axes, double epsilon)
{
    clg_shape shape;
    clg_tensor *v[2];
    if (!x || !last_axes(x, name, axes, &shape) || !norm_variables(x->graph, name, &shape, 2, v))
        return NULL;
    return CLG__COMPOSED(layer_norm_layer, clg_layer_norm(x, axes, v[0], v[1], epsilon));
}

clg_tensor *clg_rms_norm_layer(clg_tensor *x, const char *name, int axes, double epsilon)
{
    clg_shape shape;
    clg_tensor *v[1];
    if (!x || !last_axes(x, name, axes, &shape) || !norm_variables(x->graph, name, &shape, 1, v))
        return NULL;
    return CLG__COMPOSED(rms_norm_layer, clg_rms_norm(x, axes, v[0], epsilon));
}

clg_tensor *clg_group_norm_layer(clg_tensor *x, const char *name, int64_t groups, double epsilon)
{
    clg_shape shape;
    clg_tensor *v[2];
    if (!x || !last_axes(x, name, 1, &shape) || !norm_variables(x->graph, name, &shape, 2, v))
        return NULL;
    return CLG__COMPOSED(group_norm_layer, clg_group_norm(x, groups, v[0], v[1], epsilon));
}

clg_tensor *clg_normalize_layer(clg_tensor *x, const char *name)
{
    if (!x || !layer_fits(x, name, 2, 1)) return NULL;
    clg_shape shape = CLG_SHAPE(x->shape.dim[x->shape.ndim - 1]);
    clg_init ones = {.kind = CLG_INIT_CONSTANT, .value = 1};
    clg_tensor *offset =
        clg__layer_variable(x->graph, name, "offset", &shape, (clg_init){0}, false);
    clg_tensor *scale = clg__layer_variable(x->graph, name, "scale", &shape, ones, false);
    return CLG__COMPOSED(normalize_layer, clg_normalize(x, offset, scale));
}
