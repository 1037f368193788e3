/*
 * The table of optimizers, one row each, and the rules: how the new parameters follow from p, g and
 * the state, as torch.optim computes them. What depends on the step alone (bias corrections and the
 * like) is built from scalars, so that it is computed once and not per parameter.
 *
 * In formulas: p parameters, g gradient (with L2 decay), t number of the step, b1 b2 the betas,
 * e epsilon.
 */
#include "nn/optimizer_rules.h"

#include <math.h>
#include <string.h>

#include "base/base.h"

/* ---- small builders ---- */

static clg_tensor *number(const clg__update *u, double value)
{
    return clg_scalar(u->graph, value);
}

static clg_tensor *scaled(const clg__update *u, clg_tensor *x, double factor)
{
    return factor == 1.0 ? x : clg_mul(x, number(u, factor));
}

static clg_tensor *one_minus(const clg__update *u, clg_tensor *x)
{
    return clg_sub(number(u, 1.0), x);
}

static clg_tensor *state(clg__update *u, int slot)
{
    return u->place->read(u, slot);
}

/* Keeps `value` as the state and returns it. */
static clg_tensor *keep(clg__update *u, int slot, clg_tensor *value)
{
    u->place->write(u, slot, value);
    return value;
}

/* The state becomes decay * state + (1 - decay) * x. */
static clg_tensor *moving_average(clg__update *u, int slot, double decay, clg_tensor *x)
{
    clg_tensor *old = scaled(u, state(u, slot), decay);
    return keep(u, slot, clg_add(old, scaled(u, x, 1.0 - decay)));
}

/* 1 - beta^t; expm1 keeps all digits where beta^t is near 1, as torch's double arithmetic does. */
static clg_tensor *bias_correction(const clg__update *u, double beta)
{
    if (beta == 0.0) return number(u, 1.0);
    return clg_neg(clg_expm1(scaled(u, u->t, log(beta))));
}

/* The gradient with L2 decay; nothing where the decay is decoupled. */
static clg_tensor *gradient(const clg__update *u)
{
    double decay = u->params->decoupled_decay ? 0.0 : u->params->weight_decay;
    return decay == 0.0 ? u->g : clg_add(u->g, scaled(u, u->p, decay));
}

/* The parameters from which the step is taken: shrunk if the decay is decoupled. */
static clg_tensor *origin(const clg__update *u)
{
    double decay = u->params->decoupled_decay ? u->params->weight_decay : 0.0;
    return decay == 0.0 ? u->p : clg_mul(u->p, one_minus(u, scaled(u, u->lr, decay)));
}

static clg_tensor *plus_epsilon(const clg__update *u, clg_tensor *x)
{
    return clg_add(x, number(u, u->params->epsilon));
}

/* origin - rate * direction */
static clg_tensor *stepped(const clg__update *u, clg_tensor *rate, clg_tensor *direction)
{
    return clg_sub(origin(u), clg_mul(rate, direction));
}

/* ---- sgd, rmsprop ---- */

static bool has_momentum(const clg_optimizer_params *p)
{
    return p->momentum != 0.0;
}

static bool is_centered(const clg_optimizer_params *p)
{
    return p->centered;
}

/* What enters the momentum: the first gradient whole, later ones dampened. */
static clg_tensor *dampened(const clg__update *u, clg_tensor *g)
{
    double dampening = u->params->dampening;
    if (dampening == 0.0) return g;
    clg_tensor *first = clg_equal(u->t, number(u, 1.0));
    return clg_mul(g, clg_where(first, number(u, 1.0), number(u, 1.0 - dampening)));
}

/* The direction with momentum: d' = momentum d + x; nesterov: x + momentum d'. */
static clg_tensor *with_momentum(clg__update *u, int slot, clg_tensor *x)
{
    double momentum = u->params->momentum;
    if (momentum == 0.0) return x;
    clg_tensor *old = scaled(u, state(u, slot), momentum);
    clg_tensor *velocity = keep(u, slot, clg_add(old, dampened(u, x)));
    return u->params->nesterov ? clg_add(x, scaled(u, velocity, momentum)) : velocity;
}

static clg_tensor *rule_sgd(clg__update *u)
{
    return stepped(u, u->lr, with_momentum(u, 0, gradient(u)));
}

/* v = rho v + (1 - rho) g^2;  x = g / (sqrt(v - mean^2) + e) */
static clg_tensor *rule_rmsprop(clg__update *u)
{
    double rho = u->params->rho;
    clg_tensor *g = gradient(u), *v = moving_average(u, 0, rho, clg_square(g));
    if (u->params->centered) {
        clg_tensor *mean = moving_average(u, 1, rho, g);
        v = clg_relu(clg_sub(v, clg_square(mean))); /* rounding must not make it negative */
    }
    clg_tensor *x = clg_div(g, plus_epsilon(u, clg_sqrt(v)));
    return stepped(u, u->lr, with_momentum(u, 2, x));
}

/* ---- adagrad, adadelta ---- */

/* s = s + g^2;  p = p - lr / (1 + lr_decay (t - 1)) g / (sqrt(s) + e) */
static clg_tensor *rule_adagrad(clg__update *u)
{
    clg_tensor *g = gradient(u), *rate = u->lr;
    clg_tensor *sum = keep(u, 0, clg_add(state(u, 0), clg_square(g)));
    double decay = u->params->lr_decay;
    if (decay != 0.0) {
        clg_tensor *past = clg_sub(u->t, number(u, 1.0));
        rate = clg_div(rate, clg_add(number(u, 1.0), scaled(u, past, decay)));
    }
    return stepped(u, rate, clg_div(g, plus_epsilon(u, clg_sqrt(sum))));
}

/* v = rho v + (1 - rho) g^2;  x = sqrt(d + e) / sqrt(v + e) g;  d = rho d + (1 - rho) x^2 */
static clg_tensor *rule_adadelta(clg__update *u)
{
    double rho = u->params->rho;
    clg_tensor *g = gradient(u), *v = moving_average(u, 0, rho, clg_square(g));
    clg_tensor *size = clg_sqrt(plus_epsilon(u, state(u, 1)));
    clg_tensor *x = clg_mul(clg_div(size, clg_sqrt(plus_epsilon(u, v))), g);
    moving_average(u, 1, rho, clg_square(x));
    return stepped(u, u->lr, x);
}

/* ---- the adam family ---- */

static bool is_amsgrad(const clg_optimizer_params *p)
{
    return p->amsgrad;
}

/* lr / (1 - b1^t) */
static clg_tensor *corrected_rate(const clg__update *u)
{
    return clg_div(u->lr, bias_correction(u, u->params->beta1));
}

/* sqrt(v / (1 - b2^t)) + e, where amsgrad takes the largest v so far */
static clg_tensor *adam_denominator(clg__update *u, clg_tensor *v)
{
    if (u->params->amsgrad) v = keep(u, 2, clg_maximum(state(u, 2), v));
    clg_tensor *correction = clg_rsqrt(bias_correction(u, u->params->beta2));
    return plus_epsilon(u, clg_mul(clg_sqrt(v), correction));
}

/* p = p - lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + e) */
static clg_tensor *rule_adam(clg__update *u)
{
    clg_tensor *g = gradient(u);
    clg_tensor *m = moving_average(u, 0, u->params->beta1, g);
    clg_tensor *v = moving_average(u, 1, u->params->beta2, clg_square(g));
    return stepped(u, corrected_rate(u), clg_div(m, adam_denominator(u, v)));
}

/* n = max(b2 n, |g| + e);  p = p - lr / (1 - b1^t) m / n */
static clg_tensor *rule_adamax(clg__update *u)
{
    clg_tensor *g = gradient(u), *m = moving_average(u, 0, u->params->beta1, g);
    clg_tensor *old = scaled(u, state(u, 1), u->params->beta2);
    clg_tensor *norm = keep(u, 1, clg_maximum(old, plus_epsilon(u, clg_abs(g))));
    return stepped(u, corrected_rate(u), clg_div(m, norm));
}

/* b1 (1 - 0.96^(momentum_decay (t + ahead)) / 2) */
static clg_tensor *nadam_momentum(const clg__update *u, double ahead)
{
    clg_tensor *t = ahead == 0.0 ? u->t : clg_add(u->t, number(u, ahead));
    clg_tensor *decay = clg_exp(scaled(u, t, u->params->momentum_decay * log(0.96)));
    return scaled(u, one_minus(u, scaled(u, decay, 0.5)), u->params->beta1);
}

/* With c = product of all momenta so far: the weights of g, lr (1 - now) / (1 - c), and of m. */
static clg_tensor *rule_nadam(clg__update *u)
{
    clg_tensor *g = gradient(u);
    clg_tensor *m = moving_average(u, 0, u->params->beta1, g);
    clg_tensor *v = moving_average(u, 1, u->params->beta2, clg_square(g));
    clg_tensor *now = nadam_momentum(u, 0.0), *next = nadam_momentum(u, 1.0);
    clg_tensor *product = keep(u, 2, clg_mul(state(u, 2), now));
    clg_tensor *of_g = clg_div(clg_mul(u->lr, one_minus(u, now)), one_minus(u, product));
    clg_tensor *of_m = clg_div(clg_mul(u->lr, next), one_minus(u, clg_mul(product, next)));
    clg_tensor *sum = clg_add(clg_mul(of_g, g), clg_mul(of_m, m));
    clg_tensor *correction = clg_rsqrt(bias_correction(u, u->params->beta2));
    clg_tensor *denominator = plus_epsilon(u, clg_mul(clg_sqrt(v), correction));
    return clg_sub(origin(u), clg_div(sum, denominator));
}

/*
 * radam's length of the average, 2 / (1 - b2) - 1 - 2 t b2^t / (1 - b2^t), is the small difference
 * of large numbers. With a = -ln b2, y = a t / 2 and L(y) = coth y - 1 / y it is, without
 * cancellation, 2 / (1 - b2) - 1 - 2 / a + t (1 - L(y)); L(y) = y / 3 - y^3 / 45 + ... for small y.
 */
static clg_tensor *radam_length(const clg__update *u, double beta2)
{
    double a = -log(beta2), rest = 2.0 / (1.0 - beta2) - 1.0 - 2.0 / a;
    clg_tensor *y = scaled(u, u->t, a / 2.0), *y2 = clg_square(y);
    clg_tensor *series = clg_add(scaled(u, y2, 2.0 / 945.0), number(u, -1.0 / 45.0));
    series = clg_mul(y, clg_add(clg_mul(y2, series), number(u, 1.0 / 3.0)));
    clg_tensor *exact = clg_sub(clg_reciprocal(clg_tanh(y)), clg_reciprocal(y));
    clg_tensor *l = clg_where(clg_less(y, number(u, 0.3)), series, exact);
    return clg_add(clg_mul(u->t, one_minus(u, l)), number(u, rest));
}

/* adam, its rate rectified once the average of g^2 is long enough; plain momentum before. */
static clg_tensor *rule_radam(clg__update *u)
{
    double beta2 = u->params->beta2, infinite = 2.0 / (1.0 - beta2) - 1.0;
    clg_tensor *g = gradient(u);
    clg_tensor *m = moving_average(u, 0, u->params->beta1, g);
    clg_tensor *v = moving_average(u, 1, beta2, clg_square(g));
    clg_tensor *four = number(u, 4.0), *two = number(u, 2.0), *one = number(u, 1.0);
    clg_tensor *length = beta2 == 0.0 ? one : radam_length(u, beta2);
    clg_tensor *long_enough = clg_greater(length, number(u, 5.0));
    clg_tensor *ratio = clg_mul(clg_sub(length, four), clg_div(clg_sub(length, two), length));
    ratio = scaled(u, ratio, infinite / ((infinite - 4.0) * (infinite - 2.0)));
    clg_tensor *rectified = clg_sqrt(clg_mul(ratio, bias_correction(u, beta2)));
    clg_tensor *rate = clg_mul(corrected_rate(u), clg_where(long_enough, rectified, one));
    clg_tensor *denominator = clg_where(long_enough, plus_epsilon(u, clg_sqrt(v)), one);
    return stepped(u, rate, clg_div(m, denominator));
}

/* ---- trust ratios ---- */

/* 1 where either norm is 0, per tensor, repeated over its elements. */
static clg_tensor *trusted(clg__update *u, clg_tensor *ratio, clg_tensor *norm1, clg_tensor *norm2)
{
    clg_tensor *product = clg_mul(norm1, norm2);
    return u->place->spread(u, clg_where(product, ratio, number(u, 1.0)));
}

/* d' = momentum d + lr r (g + decay p), p = p - d', r = trust |p| / (|g| + decay |p|) per tensor */
static clg_tensor *rule_lars(clg__update *u)
{
    clg_tensor *x = clg_mul(gradient(u), u->lr);
    if (!u->plain) {
        clg_tensor *p = u->place->norms(u, u->p), *g = u->place->norms(u, u->g);
        clg_tensor *denominator = clg_add(g, scaled(u, p, u->params->weight_decay));
        clg_tensor *ratio = clg_div(scaled(u, p, u->params->trust), denominator);
        x = clg_mul(x, trusted(u, ratio, p, g));
    }
    return clg_sub(u->p, with_momentum(u, 0, x));
}

/* x = adam's direction + decay p;  p = p - lr |p| / |x| x per tensor */
static clg_tensor *rule_lamb(clg__update *u)
{
    clg_tensor *m = moving_average(u, 0, u->params->beta1, u->g);
    clg_tensor *v = moving_average(u, 1, u->params->beta2, clg_square(u->g));
    clg_tensor *corrected = clg_div(m, bias_correction(u, u->params->beta1));
    clg_tensor *x = clg_div(corrected, adam_denominator(u, v));
    x = clg_add(x, scaled(u, u->p, u->params->weight_decay));
    clg_tensor *rate = u->lr;
    if (!u->plain) {
        clg_tensor *p = u->place->norms(u, u->p), *step = u->place->norms(u, x);
        rate = clg_mul(trusted(u, clg_div(p, step), p, step), rate);
    }
    return clg_sub(u->p, clg_mul(rate, x));
}

/* ---- the table ---- */

#define MOMENTS                                                                                    \
    {.name = "m"},                                                                                 \
    {                                                                                              \
        .name = "v"                                                                                \
    }
#define BETAS .beta1 = 0.9, .beta2 = 0.999

static const clg__optimizer rows[] = {
    [CLG_SGD] = {.name = "sgd",
                 .states = {{.name = "momentum", .used = has_momentum}},
                 .rule = rule_sgd},
    [CLG_ADAGRAD] = {.name = "adagrad",
                     .defaults = {.lr = 0.01, .epsilon = 1e-10},
                     .states = {{.name = "sum"}},
                     .rule = rule_adagrad},
    [CLG_ADADELTA] = {.name = "adadelta",
                      .defaults = {.lr = 1.0, .rho = 0.9, .epsilon = 1e-6},
                      .states = {{.name = "v"}, {.name = "delta"}},
                      .rule = rule_adadelta},
    [CLG_RMSPROP] = {.name = "rmsprop",
                     .defaults = {.lr = 0.01, .rho = 0.99, .epsilon = 1e-8},
                     .states = {{.name = "v"},
                                {.name = "mean", .used = is_centered},
                                {.name = "momentum", .used = has_momentum}},
                     .rule = rule_rmsprop},
    [CLG_ADAM] = {.name = "adam",
                  .defaults = {.lr = 1e-3, BETAS, .epsilon = 1e-8},
                  .states = {MOMENTS, {.name = "v_max", .used = is_amsgrad}},
                  .rule = rule_adam},
    [CLG_ADAMAX] = {.name = "adamax",
                    .defaults = {.lr = 2e-3, BETAS, .epsilon = 1e-8},
                    .states = {{.name = "m"}, {.name = "norm"}},
                    .rule = rule_adamax},
    [CLG_NADAM] = {.name = "nadam",
                   .defaults = {.lr = 2e-3, BETAS, .epsilon = 1e-8, .momentum_decay = 0.004},
                   .states = {MOMENTS,
                              {.name = "momentum_product", .scalar = true, .initial = 1.0}},
                   .rule = rule_nadam},
    [CLG_RADAM] = {.name = "radam",
                   .defaults = {.lr = 1e-3, BETAS, .epsilon = 1e-8},
                   .states = {MOMENTS},
                   .rule = rule_radam},
    [CLG_ADAMW] = {.name = "adamw",
                   .defaults = {.lr = 1e-3,
                                BETAS,
                                .epsilon = 1e-8,
                                .weight_decay = 0.01,
                                .decoupled_decay = true},
                   .states = {MOMENTS, {.name = "v_max", .used = is_amsgrad}},
                   .rule = rule_adam},
    [CLG_LARS] = {.name = "lars",
                  .defaults = {.momentum = 0.9, .trust = 1e-3},
                  .states = {{.name = "momentum", .used = has_momentum}},
                  .own_decay = true,
                  .by_tensor = true,
                  .rule = rule_lars},
    [CLG_LAMB] = {.name = "lamb",
                  .defaults = {.lr = 1e-3, BETAS, .epsilon = 1e-6},
                  .states = {MOMENTS},
                  .own_decay = true,
                  .by_tensor = true,
                  .rule = rule_lamb},
};

const clg__optimizer *clg__optimizer_row(clg_optimizer_kind kind)
{
    return &rows[kind];
}

const char *clg_optimizer_name(clg_optimizer_kind kind)
{
    return (unsigned)kind < CLG_OPTIMIZER_COUNT ? rows[kind].name : NULL;
}

bool clg_optimizer_find(const char *name, clg_optimizer_kind *out)
{
    CLG__NEEDS_OR(false, name && out);
    for (int i = 0; i < CLG_OPTIMIZER_COUNT; i++)
        if (strcmp(name, rows[i].name) == 0) return *out = (clg_optimizer_kind)i, true;
    return false;
}

clg_optimizer_params clg_optimizer_defaults(clg_optimizer_kind kind)
{
    clg_optimizer_params none = {.kind = kind};
    if ((unsigned)kind >= CLG_OPTIMIZER_COUNT) return none;
    none = rows[kind].defaults;
    none.kind = kind;
    return none;
}

/* ---- options ---- */

/* Numbers that every optimizer may be given, with their ranges. */
static const struct number_row {
    const char *name;
    size_t offset;
    double high;
    bool open;         /* `high` itself is too much */
    bool may_negative; /* a negative number is the way to say 0 */
} numbers[] = {
#define NUMBER(name, ...)                                                                          \
    {                                                                                              \
#name, offsetof(clg_optimizer_params, name), __VA_ARGS__                                   \
    }
    NUMBER(lr, INFINITY, true, false),
    NUMBER(momentum, 1.0, false, true),
    NUMBER(dampening, 1.0, false, false),
    NUMBER(beta1, 1.0, true, true),
    NUMBER(beta2, 1.0, true, true),
    NUMBER(rho, 1.0, true, true),
    NUMBER(epsilon, INFINITY, true, true),
    NUMBER(lr_decay, INFINITY, true, false),
    NUMBER(momentum_decay, INFINITY, true, true),
    NUMBER(weight_decay, INFINITY, true, true),
    NUMBER(trust, INFINITY, true, false),
    NUMBER(clip_value, INFINITY, true, false),
    NUMBER(clip_tensor_norm, INFINITY, true, false),
    NUMBER(clip_norm, INFINITY, true, false),
    NUMBER(ema_decay, 1.0, true, false),
#undef NUMBER
};

static double *number_at(clg_optimizer_params *p, const struct number_row *row)
{
    return (double *)((char *)p + row->offset);
}

/* Fills in one number's default and checks it; written so that NaN is refused too. */
static clg_status resolve_number(const struct number_row *row, clg_optimizer_params *p,
                                 double standard)
{
    double *value = number_at(p, row), given = *value;
    if (given == 0.0) *value = standard;
    if (given < 0.0 && row->may_negative) *value = 0.0;
    bool fits = *value >= 0.0 && (row->open ? *value < row->high : *value <= row->high);
    if (fits && isfinite(given)) return CLG_OK;
    if (isinf(row->high))
        return clg__fail(CLG_ERROR_ARGUMENT, "minimize: %s %g must be finite%s", row->name, given,
                         row->may_negative ? "" : " and not negative");
    return clg__fail(CLG_ERROR_ARGUMENT, "minimize: %s %g must be within 0 .. %g%s", row->name,
                     given, row->high, row->open ? ", less than that" : "");
}

static clg_status check_combination(const clg_optimizer_params *p)
{
    if ((unsigned)p->accumulate > CLG_ACCUMULATE_SUM)
        return clg__fail(CLG_ERROR_ARGUMENT, "minimize: unknown way to accumulate %d",
                         (int)p->accumulate);
    if (p->nesterov && (p->momentum == 0.0 || p->dampening != 0.0))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "minimize: nesterov needs a momentum above 0 and no dampening");
    if (p->decoupled_decay && rows[p->kind].own_decay)
        return clg__fail(CLG_ERROR_ARGUMENT, "minimize: %s has no decoupled weight decay",
                         rows[p->kind].name);
    return CLG_OK;
}

clg_status clg__optimizer_resolve(const clg_optimizer_params *params, clg_optimizer_params *out)
{
    clg_optimizer_params p = *params;
    if ((unsigned)p.kind >= CLG_OPTIMIZER_COUNT)
        return clg__fail(CLG_ERROR_ARGUMENT, "minimize: unknown optimizer %d", (int)p.kind);
    clg_optimizer_params standard = rows[p.kind].defaults;
    standard.lr = 0.0; /* 0 is the caller's way to ask for an input */
    for (size_t i = 0; i < CLG__COUNT(numbers); i++)
        CLG_TRY(resolve_number(&numbers[i], &p, *number_at(&standard, &numbers[i])));
    p.decoupled_decay |= standard.decoupled_decay;
    CLG_TRY(check_combination(&p));
    *out = p;
    return CLG_OK;
}

size_t clg_optimizer_state_bytes(const clg_optimizer_params *params)
{
    CLG__NEEDS_OR(0, params);
    clg_optimizer_params p;
    size_t bytes = 0;
    if (clg__optimizer_resolve(params, &p) != CLG_OK) return 0;
    for (const clg__optimizer_state *s = rows[p.kind].states; s->name; s++)
        if (!s->scalar && (!s->used || s->used(&p))) bytes += sizeof(float);
    return bytes;
}
