/*
 * Losses as compositions: see clgrad/losses.h. Where several formulas are equal, the one is taken
 * that neither overflows nor cancels, and whose gradient at the seams (x = 0, -inf) is the right
 * one too. Without options the graph is as small as the loss: options add nodes only where they are
 * given.
 */
#include "clgrad/losses.h"

#include <math.h>

#include "ops/record.h"

#define NUM(value) clg__number(x, (value))

/* ---- options ---- */

/* What a loss takes besides `reduction`. */
enum { SMOOTHING = 1, WEIGHTS = 2, IGNORE = 4, DELTA = 8, BETA = 16 };

static bool refuse(clg_tensor *x, const char *loss, const char *option, const char *wanted)
{
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "%s: %s %s", loss, option, wanted);
    return false;
}

static bool check_params(clg_tensor *x, const char *loss, const clg_loss_params *p, unsigned takes)
{
    const struct {
        const char *name;
        unsigned bit;
        bool given, valid;
        const char *wanted;
    } options[] = {
        {"label_smoothing", SMOOTHING, p->label_smoothing != 0,
         p->label_smoothing >= 0 && p->label_smoothing <= 1, "must be within 0 .. 1"},
        {"class_weights", WEIGHTS, p->class_weights != NULL, true, ""},
        {"ignore", IGNORE, p->ignore || p->ignore_index, p->ignore,
         "must be true where ignore_index is given"},
        {"delta", DELTA, p->delta != 0, p->delta > 0 && isfinite(p->delta), "must be positive"},
        {"beta", BETA, p->beta != 0, p->beta > 0 && isfinite(p->beta), "must be positive"},
    };
    for (size_t i = 0; i < CLG__COUNT(options); i++) {
        if (!options[i].given) continue;
        if (!(takes & options[i].bit))
            return refuse(x, loss, options[i].name, "is no option of this loss");
        if (!options[i].valid) return refuse(x, loss, options[i].name, options[i].wanted);
    }
    if ((unsigned)p->reduction <= CLG_REDUCTION_SUM) return true;
    return refuse(x, loss, "reduction", "is neither mean nor sum");
}

static bool check_weights(clg_tensor *x, const char *loss, const clg_tensor *weights)
{
    int last = x->shape.ndim - 1;
    if (!weights || (last >= 0 && weights->shape.ndim == 1 && !weights->shape.batched &&
                     weights->shape.dim[0] == x->shape.dim[last]))
        return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                    "%s: expected class_weights with one number for each class (the last axis) of "
                    "%s, got %s",
                    loss, CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(&weights->shape));
    return false;
}

/* A loss compares like with like: broadcasting here is a mistake of the caller. */
static bool check_targets(clg_tensor *x, const char *loss, const clg_tensor *target)
{
    if (clg__same_shape(&x->shape, &target->shape)) return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "%s: shapes %s and %s differ%s", loss,
                    CLG__SHAPE_TEXT(&x->shape), CLG__SHAPE_TEXT(&target->shape),
                    clg_shape_equal(&x->shape, &target->shape) ? " in what follows the batch size"
                                                               : "");
    return false;
}

static const clg_loss_params defaults;

/* What all losses of elements begin with; false: an input is NULL, or the graph has failed. */
static bool begin(const char *loss, clg_tensor *x, clg_tensor *target,
                  const clg_loss_params **params, unsigned takes)
{
    if (!*params) *params = &defaults;
    return x && target && check_targets(x, loss, target) && check_params(x, loss, *params, takes) &&
           check_weights(x, loss, (*params)->class_weights);
}

static clg_tensor *reduced(clg_tensor *losses, const clg_loss_params *p)
{
    return p->reduction == CLG_REDUCTION_SUM ? clg_sum(losses, 0, false)
                                             : clg_mean(losses, 0, false);
}

static clg_tensor *weighted(clg_tensor *losses, const clg_loss_params *p)
{
    return p->class_weights ? clg_mul(losses, p->class_weights) : losses;
}

/* ---- regression ---- */

clg_tensor *clg_mse(clg_tensor *x, clg_tensor *target, const clg_loss_params *p)
{
    if (!begin("mse", x, target, &p, 0)) return NULL;
    return CLG__COMPOSED(mse, reduced(clg_square(clg_sub(x, target)), p));
}

clg_tensor *clg_mae(clg_tensor *x, clg_tensor *target, const clg_loss_params *p)
{
    if (!begin("mae", x, target, &p, 0)) return NULL;
    return CLG__COMPOSED(mae, reduced(clg_abs(clg_sub(x, target)), p));
}

/* With c = d cut off at +-delta both cases are c (d - c / 2), and nothing has a kink at 0. */
static clg_tensor *huber(clg_tensor *x, clg_tensor *target, double delta)
{
    clg_tensor *d = clg_sub(x, target), *c = clg_clamp(d, -delta, delta);
    return clg_mul(c, clg_sub(d, clg_mul(NUM(0.5), c)));
}

clg_tensor *clg_huber(clg_tensor *x, clg_tensor *target, const clg_loss_params *p)
{
    if (!begin("huber", x, target, &p, DELTA)) return NULL;
    return CLG__COMPOSED(huber, reduced(huber(x, target, p->delta ? p->delta : 1), p));
}

clg_tensor *clg_smooth_l1(clg_tensor *x, clg_tensor *target, const clg_loss_params *p)
{
    if (!begin("smooth_l1", x, target, &p, BETA)) return NULL;
    double beta = p->beta ? p->beta : 1;
    clg_tensor *losses = clg_mul(NUM(1 / beta), huber(x, target, beta));
    return CLG__COMPOSED(smooth_l1, reduced(losses, p));
}

/* ---- two classes ---- */

clg_tensor *clg_binary_cross_entropy(clg_tensor *x, clg_tensor *target, const clg_loss_params *p)
{
    if (!begin("binary_cross_entropy", x, target, &p, WEIGHTS)) return NULL;
    return CLG__COMPOSED(binary_cross_entropy, reduced(weighted(clg_log_loss(x, target), p), p));
}

clg_tensor *clg_binary_cross_entropy_logits(clg_tensor *x, clg_tensor *target,
                                            const clg_loss_params *p)
{
    if (!begin("binary_cross_entropy_logits", x, target, &p, WEIGHTS)) return NULL;
    /* softplus is max(x, 0) + log1p(exp(-|x|)), with the right slope (1/2) at 0. */
    clg_tensor *losses = clg_sub(clg_softplus(x, 1.0), clg_mul(x, target));
    return CLG__COMPOSED(binary_cross_entropy_logits, reduced(weighted(losses, p), p));
}

clg_tensor *clg_hinge_loss(clg_tensor *x, clg_tensor *target, const clg_loss_params *p)
{
    if (!begin("hinge_loss", x, target, &p, 0)) return NULL;
    clg_tensor *losses = clg_relu(clg_sub(NUM(1), clg_mul(target, x)));
    return CLG__COMPOSED(hinge_loss, reduced(losses, p));
}

clg_tensor *clg_perceptron_loss(clg_tensor *x, clg_tensor *target, const clg_loss_params *p)
{
    if (!begin("perceptron_loss", x, target, &p, 0)) return NULL;
    clg_tensor *margin = clg_mul(target, x); /* NaN is not > 0 and stays */
    clg_tensor *losses = clg_where(clg_greater(margin, NUM(0)), NUM(0), clg_neg(margin));
    return CLG__COMPOSED(perceptron_loss, reduced(losses, p));
}

/* ---- several classes ---- */

/* (rows..., classes) and (rows...). */
static bool are_indices(const clg_shape *logits, const clg_shape *labels)
{
    clg_shape rows = *logits;
    rows.ndim--;
    rows.dim[rows.ndim] = 0;
    return logits->ndim >= 2 && clg__same_shape(&rows, labels);
}

static bool check_labels(clg_tensor *logits, const char *name, const clg_tensor *labels, bool soft)
{
    const clg_shape *l = &logits->shape, *t = &labels->shape;
    bool classes = l->ndim >= 2 && !clg__batched(l, l->ndim - 1);
    if (classes && (are_indices(l, t) || (soft && clg__same_shape(l, t)))) return true;
    clg__graph_fail(logits->graph, CLG_ERROR_ARGUMENT,
                    "%s: expected logits (rows, classes) and labels (rows)%s, got %s and %s", name,
                    soft ? " or (rows, classes)" : "", CLG__SHAPE_TEXT(l), CLG__SHAPE_TEXT(t));
    return false;
}

/* Logits with the largest of each row at 0, and ln(sum e^x) of each row of them. */
typedef struct rows {
    clg_tensor *shifted, *log_sum;
    uint32_t axis; /* of the classes, as a mask */
    double classes;
} rows;

static rows rows_of(clg_tensor *logits, bool keep)
{
    int last = logits->shape.ndim - 1;
    rows r = {.axis = CLG_AXIS(last), .classes = (double)logits->shape.dim[last]};
    r.shifted = clg_sub(logits, clg_stop_gradient(clg_max(logits, r.axis, true)));
    r.log_sum = clg_log(clg_sum(clg_exp(r.shifted), r.axis, keep));
    return r;
}

/* -sum over classes of weight ln softmax: what smoothing mixes in. */
static clg_tensor *spread_loss(const rows *r, clg_tensor *weights)
{
    clg_tensor *x = r->shifted, *total = weights ? clg_sum(weights, 0, false) : NUM(r->classes);
    clg_tensor *sum = clg_sum(weights ? clg_mul(weights, x) : x, r->axis, false);
    return clg_sub(clg_mul(total, r->log_sum), sum);
}

/* Factors of the rows: weight of the label's class, 0 where it is ignored. NULL: all 1. */
static clg_tensor *row_weights(const rows *r, clg_tensor *labels, clg_tensor *hot,
                               const clg_loss_params *p)
{
    clg_tensor *x = r->shifted, *weight = NULL, *counts = NULL;
    if (p->class_weights)
        weight = clg_sum(clg_where(hot, p->class_weights, NUM(0)), r->axis, false);
    if (p->ignore) counts = clg_not_equal(labels, NUM((double)p->ignore_index));
    return weight && counts ? clg_mul(weight, counts) : weight ? weight : counts;
}

static clg_tensor *index_loss(clg_tensor *x, clg_tensor *labels, const clg_loss_params *p)
{
    rows r = rows_of(x, false);
    clg_tensor *hot = clg_one_hot(labels, (int64_t)r.classes);
    /* where, not a product: a logit of -inf elsewhere must not spoil the sum. */
    clg_tensor *picked = clg_where(hot, r.shifted, NUM(0));
    clg_tensor *losses = clg_sub(r.log_sum, clg_sum(picked, r.axis, false));
    clg_tensor *weight = row_weights(&r, labels, hot, p);
    if (p->class_weights) losses = clg_mul(losses, weight);
    if (p->label_smoothing != 0) {
        clg_tensor *spread =
            clg_mul(NUM(p->label_smoothing / r.classes), spread_loss(&r, p->class_weights));
        losses = clg_add(clg_mul(NUM(1 - p->label_smoothing), losses), spread);
    }
    if (p->ignore) {
        clg_tensor *counts = clg_not_equal(labels, NUM((double)p->ignore_index));
        losses = clg_where(counts, losses, NUM(0));
    }
    if (!weight || p->reduction == CLG_REDUCTION_SUM) return reduced(losses, p);
    return clg_div(clg_sum(losses, 0, false), clg_sum(weight, 0, false));
}

static clg_tensor *distribution_loss(clg_tensor *x, clg_tensor *target, const clg_loss_params *p)
{
    rows r = rows_of(x, true);
    if (p->label_smoothing != 0)
        target = clg_add(clg_mul(NUM(1 - p->label_smoothing), target),
                         NUM(p->label_smoothing / r.classes));
    clg_tensor *losses = clg_mul(weighted(target, p), clg_sub(r.log_sum, r.shifted));
    return reduced(clg_sum(losses, r.axis, false), p);
}

clg_tensor *clg_softmax_cross_entropy(clg_tensor *logits, clg_tensor *labels,
                                      const clg_loss_params *p)
{
    static const char name[] = "softmax_cross_entropy";
    if (!p) p = &defaults;
    if (!logits || !labels || !check_labels(logits, name, labels, true)) return NULL;
    bool soft = labels->shape.ndim == logits->shape.ndim;
    if (!check_params(logits, name, p, SMOOTHING | WEIGHTS | (soft ? 0 : IGNORE)) ||
        !check_weights(logits, name, p->class_weights))
        return NULL;
    clg_tensor *loss = soft ? distribution_loss(logits, labels, p) : index_loss(logits, labels, p);
    return CLG__COMPOSED(softmax_cross_entropy, loss);
}

clg_tensor *clg_accuracy(clg_tensor *logits, clg_tensor *labels)
{
    if (!logits || !labels || !check_labels(logits, "accuracy", labels, false)) return NULL;
    clg_tensor *right = clg_equal(clg_argmax(logits, -1), labels);
    return CLG__COMPOSED(accuracy, clg_mean(right, 0, false));
}

/* ---- sampled losses ---- */

/* x (N, D), a table (V, D), and indices (N) or (N, K) with x's batch. */
static bool check_sampled(clg_tensor *x, const char *loss, const clg_tensor *table,
                          const clg_tensor *index, int index_axes)
{
    const clg_shape *a = &x->shape, *t = &table->shape, *i = &index->shape;
    if (a->ndim == 2 && t->ndim == 2 && !t->batched && a->dim[1] == t->dim[1] &&
        i->ndim == index_axes && i->dim[0] == a->dim[0] && clg__batched(i, 0) == clg__batched(a, 0))
        return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                    "%s: expected x (N, D), a table (V, D) and indices %s, got %s, %s and %s", loss,
                    index_axes == 1 ? "(N)" : "(N, K)", CLG__SHAPE_TEXT(a), CLG__SHAPE_TEXT(t),
                    CLG__SHAPE_TEXT(i));
    return false;
}

/* Products of x (N, D) with the rows that index (N, K) or (N) picks, each row with its own. */
static clg_tensor *picked_scores(clg_tensor *x, clg_tensor *table, clg_tensor *index)
{
    clg_shape one = x->shape;
    one.ndim = 3;
    one.dim[2] = one.dim[1];
    one.dim[1] = 1;
    clg_tensor *picked = clg_gather(table, index);
    bool single = index->shape.ndim == 1;
    return clg_sum(clg_mul(picked, single ? x : clg__reshape_to(x, &one)), CLG_AXIS(single ? 1 : 2),
                   false);
}

clg_tensor *clg_negative_sampling_loss(clg_tensor *x, clg_tensor *table, clg_tensor *positive,
                                       clg_tensor *negative, const clg_loss_params *p)
{
    static const char name[] = "negative_sampling_loss";
    if (!p) p = &defaults;
    if (!x || !table || !positive || !negative || !check_params(x, name, p, 0) ||
        !check_sampled(x, name, table, positive, 1) || !check_sampled(x, name, table, negative, 2))
        return NULL;
    clg_tensor *right = clg_logsigmoid(picked_scores(x, table, positive));
    clg_tensor *wrong = clg_logsigmoid(clg_neg(picked_scores(x, table, negative)));
    clg_tensor *losses = clg_neg(clg_add(right, clg_sum(wrong, CLG_AXIS(1), false)));
    return CLG__COMPOSED(negative_sampling_loss, reduced(losses, p));
}

clg_tensor *clg_hierarchical_softmax_loss(clg_tensor *x, clg_tensor *table, clg_tensor *path,
                                          clg_tensor *turn, const clg_loss_params *p)
{
    static const char name[] = "hierarchical_softmax_loss";
    if (!p) p = &defaults;
    if (!x || !table || !path || !turn || !check_params(x, name, p, 0) ||
        !check_sampled(x, name, table, path, 2) || !check_targets(path, name, turn))
        return NULL;
    clg_tensor *log_chance = clg_logsigmoid(clg_mul(turn, picked_scores(x, table, path)));
    clg_tensor *chosen = clg_where(turn, log_chance, NUM(0)); /* 0: the path has ended */
    clg_tensor *losses = clg_neg(clg_sum(chosen, CLG_AXIS(1), false));
    return CLG__COMPOSED(hierarchical_softmax_loss, reduced(losses, p));
}

/* ---- penalties ---- */

static bool check_factor(const char *name, const clg_tensor *x, double factor)
{
    if (factor > -INFINITY && factor < INFINITY) return true;
    clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT, "%s: the factor %g is not finite", name, factor);
    return false;
}

clg_tensor *clg_l1_penalty(clg_tensor *w, double factor)
{
    if (!w || !check_factor("l1_penalty", w, factor)) return NULL;
    return CLG__COMPOSED(l1_penalty,
                         clg_mul(clg__number(w, factor), clg_sum(clg_abs(w), 0, false)));
}

clg_tensor *clg_l2_penalty(clg_tensor *w, double factor)
{
    if (!w || !check_factor("l2_penalty", w, factor)) return NULL;
    clg_tensor *sum = clg_sum(clg_square(w), 0, false);
    return CLG__COMPOSED(l2_penalty, clg_mul(clg__number(w, factor / 2), sum));
}

clg_tensor *clg_l1_activity_penalty(clg_tensor *x, double factor)
{
    if (!x || !check_factor("l1_activity_penalty", x, factor)) return NULL;
    if (x->shape.ndim == 0)
        return clg__graph_fail(x->graph, CLG_ERROR_ARGUMENT,
                               "l1_activity_penalty: a scalar has no rows");
    int power = clg__batched(&x->shape, 0) ? -1 : 0;
    clg_tensor *scale = clg__number_by_batch(x, factor / (double)x->shape.dim[0], power);
    return CLG__COMPOSED(l1_activity_penalty, clg_mul(scale, clg_sum(clg_abs(x), 0, false)));
}
