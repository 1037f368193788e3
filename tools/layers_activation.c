/*
 * Activations in model files: every one-input row of the library's pointwise table under its own
 * name, and those that are composed or learn something, which are rows of layer_kinds.
 */
#include <string.h>

#include "clgrad/nn.h"
#include "network.h"

/* ---- rows of the pointwise table ---- */

/*
 * Parameters default to the row's first sample values, which are PyTorch's defaults where PyTorch
 * has the function. A row with two parameters (clamp) has no usual ones: both must be given.
 */
struct activation {
    const char *name;
    int parameters;
    double a;
    clg_tensor *(*plain)(clg_tensor *x);
    clg_tensor *(*with_a)(clg_tensor *x, double a);
    clg_tensor *(*with_ab)(clg_tensor *x, double a, double b);
};

#define CLG_UNARY(name, ...) {#name, 0, 0, clg_##name, NULL, NULL},
#define CLG_UNARY_A(name, formula, lo, hi, sample, ...) {#name, 1, sample, NULL, clg_##name, NULL},
#define CLG_UNARY_AB(name, ...) {#name, 2, 0, NULL, NULL, clg_##name},
#define CLG_BINARY(...)
#define CLG_TERNARY(...)
static const struct activation activations[] = {
#include "clgrad/pointwise.def"
};
#undef CLG_UNARY
#undef CLG_UNARY_A
#undef CLG_UNARY_AB
#undef CLG_BINARY
#undef CLG_TERNARY
enum { N_ACTIVATIONS = sizeof activations / sizeof *activations };
_Static_assert((int)N_ACTIVATIONS <= (int)MAX_ACTIVATIONS, "raise MAX_ACTIVATIONS");

static clg_tensor *build_activation(struct layer_site *site, clg_tensor *x)
{
    const struct activation *row = activations;
    while (strcmp(row->name, site->spec->kind)) row++;
    double a = site->spec->a ? *site->spec->a : row->a;
    if (row->parameters == 2) return row->with_ab(x, a, *site->spec->b);
    return row->parameters ? row->with_a(x, a) : row->plain(x);
}

/* What an activation's options are, by its number of parameters. */
static const struct layer_kind activation_kinds[] = {
    {"", "", "", "", build_activation},
    {"", "", "a", "", build_activation},
    {"", "a b", "", "", build_activation},
};

const struct layer_kind *activation_kind(const char *name)
{
    for (int i = 0; i < N_ACTIVATIONS; i++)
        if (!strcmp(activations[i].name, name)) return &activation_kinds[activations[i].parameters];
    return NULL;
}

size_t activation_names(const char *names[MAX_ACTIVATIONS])
{
    for (int i = 0; i < N_ACTIVATIONS; i++) names[i] = activations[i].name;
    return N_ACTIVATIONS;
}

/* ---- activations that learn ---- */

typedef clg_tensor *(*learned_builder)(clg_tensor *x, const char *name,
                                       const clg_learned_activation_params *params);

/* `a` is what the learned number is at first. */
static clg_tensor *build_learned(struct layer_site *site, clg_tensor *x, learned_builder build)
{
    const struct layer_spec *spec = site->spec;
    clg_init init = {.kind = CLG_INIT_CONSTANT, .value = spec->a ? *spec->a : 0};
    clg_learned_activation_params params = {.per_channel = spec->per_channel && *spec->per_channel,
                                            .init = spec->a ? &init : NULL};
    return build(x, site->name, &params);
}

clg_tensor *build_prelu(struct layer_site *site, clg_tensor *x)
{
    return build_learned(site, x, clg_prelu_layer);
}

clg_tensor *build_swish_learned(struct layer_site *site, clg_tensor *x)
{
    return build_learned(site, x, clg_swish_layer);
}

clg_tensor *build_soft_exponential(struct layer_site *site, clg_tensor *x)
{
    return build_learned(site, x, clg_soft_exponential_layer);
}

clg_tensor *build_apl(struct layer_site *site, clg_tensor *x)
{
    clg_apl_layer_params params = {.pieces = 0};
    if (!layer_read_count(site, "pieces", site->spec->pieces, &params.pieces)) return NULL;
    return clg_apl_layer(x, site->name, &params);
}

/* ---- others ---- */

clg_tensor *build_brelu(struct layer_site *site, clg_tensor *x)
{
    return clg_brelu(x);
}

clg_tensor *build_rrelu(struct layer_site *site, clg_tensor *x)
{
    const struct layer_spec *spec = site->spec;
    double lower = spec->lower ? *spec->lower : 1.0 / 8,
           upper = spec->upper ? *spec->upper : 1.0 / 3;
    if (!(lower >= 0 && lower <= upper && upper > 0))
        return layer_error(site, spec->upper ? "upper" : "lower",
                           "slopes go from lower to upper: 0 <= lower <= upper, and upper > 0");
    return clg_rrelu(x, lower, upper);
}

clg_tensor *build_softmax(struct layer_site *site, clg_tensor *x)
{
    return clg_softmax(x, -1);
}

clg_tensor *build_log_softmax(struct layer_site *site, clg_tensor *x)
{
    return clg_log_softmax(x, -1);
}
