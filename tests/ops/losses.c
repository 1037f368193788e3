/*
 * Losses: every one against a reference in double, with every option it takes, both reductions and
 * several batch sizes; what PyTorch gives for label smoothing, class weights and ignored rows
 * together; values and slopes at the seams and far out; mistakes.
 */
#include <math.h>

#include "ops/cases.h"
#include "ops/op_check.h"

/* ---- losses of elements ---- */

typedef clg_tensor *(*builder)(clg_tensor *x, clg_tensor *target, const clg_loss_params *params);

static double mse(double x, double t)
{
    return (x - t) * (x - t);
}
static double mae(double x, double t)
{
    return fabs(x - t);
}
static double huber_one(double x, double t)
{
    double d = fabs(x - t);
    return d <= 1 ? d * d / 2 : d - 0.5;
}
static double huber_half(double x, double t)
{
    double d = fabs(x - t);
    return d <= 0.5 ? d * d / 2 : 0.5 * (d - 0.25);
}
static double smooth_half(double x, double t)
{
    double d = fabs(x - t);
    return d < 0.5 ? d * d / 2 / 0.5 : d - 0.25;
}
static double crossed(double x, double t)
{
    return -(t * log(x) + (1 - t) * log(1 - x));
}
static double crossed_logits(double x, double t)
{
    return crossed(1 / (1 + exp(-x)), t);
}
static double hinge(double x, double t)
{
    return fmax(0, 1 - (t < 0 ? -1 : 1) * x);
}
static double perceptron(double x, double t)
{
    return fmax(0, (t < 0 ? 1 : -1) * x);
}

enum { SIGNS = 1, WEIGHTS = 2 }; /* targets -1 and 1; a third input with the weights of classes */

static const struct element_row {
    const char *name;
    builder build;
    double (*element)(double x, double t);
    clg_loss_params params;
    double lo, hi;
    int flags;
} rows[] = {
    {"mse", clg_mse, mse},
    {"mae", clg_mae, mae},
    {"huber", clg_huber, huber_one},
    {"huber, delta 0.5", clg_huber, huber_half, {.delta = 0.5}},
    {"smooth_l1", clg_smooth_l1, huber_one},
    {"smooth_l1, beta 0.5", clg_smooth_l1, smooth_half, {.beta = 0.5}},
    {"binary_cross_entropy", clg_binary_cross_entropy, crossed, {0}, 0.1, 0.9},
    {"binary_cross_entropy, weights", clg_binary_cross_entropy, crossed, {0}, 0.1, 0.9, WEIGHTS},
    {"binary_cross_entropy_logits", clg_binary_cross_entropy_logits, crossed_logits},
    {"binary_cross_entropy_logits, weights", clg_binary_cross_entropy_logits, crossed_logits,
     .flags = WEIGHTS},
    {"hinge_loss", clg_hinge_loss, hinge, .flags = SIGNS},
    {"perceptron_loss", clg_perceptron_loss, perceptron, .flags = SIGNS},
};
enum { ROWS = CLG__COUNT(rows) };

/* p: row, sum */
static clg_tensor *element_loss(const op_case *c, clg_tensor *const *x)
{
    const struct element_row *row = &rows[c->p[0]];
    clg_loss_params params = row->params;
    if (row->flags & WEIGHTS) params.class_weights = x[2];
    if (c->p[1]) params.reduction = CLG_REDUCTION_SUM;
    return row->build(x[0], row->flags & SIGNS ? clg_sign(x[1]) : x[1], &params);
}

static void element_reference(const op_case *c, const clg_shape *in, const double *const *x,
                              const clg_shape *out, double *y)
{
    const struct element_row *row = &rows[c->p[0]];
    int64_t n = clg_shape_count(in), classes = in->dim[in->ndim - 1];
    *y = 0;
    for (int64_t i = 0; i < n; i++)
        *y += row->element(x[0][i], x[1][i]) * (row->flags & WEIGHTS ? x[2][i % classes] : 1);
    if (!c->p[1]) *y /= (double)n;
}

START_TEST(losses_of_elements)
{
    op_case cases[2 * ROWS];
    for (int i = 0; i < 2 * ROWS; i++) {
        const struct element_row *row = &rows[i / 2];
        bool sum = i % 2;
        clg_shape shape = OP_SHAPE(CLG_BATCH, 3), fixed = OP_SHAPE(2, 3, 5);
        clg_shape classes = OP_SHAPE(sum ? 5 : 3);
        cases[i] = (op_case){.name = row->name,
                             .n_inputs = row->flags & WEIGHTS ? 3 : 2,
                             .build = element_loss,
                             .reference = element_reference,
                             .constants = row->flags & SIGNS ? 2 : 0,
                             .lo = row->lo,
                             .hi = row->hi,
                             .p = {i / 2, sum}};
        cases[i].shape[0] = cases[i].shape[1] = sum ? fixed : shape;
        cases[i].shape[2] = classes;
        if (!sum) memcpy(cases[i].batch, (int64_t[]){6, 9, 1}, 3 * sizeof(int64_t));
    }
    op_check_table(cases, CLG__COUNT(cases));
}
END_TEST

/* ---- softmax cross entropy ---- */

enum { CE_SOFT = 1, CE_WEIGHTS = 2, CE_IGNORE = 4, CE_SUM = 8 };
enum { IGNORED = 2 };

/* Labels count along the axis before the classes; label 2 is ignored. a: smoothing */
static clg_tensor *cross_entropy(const op_case *c, clg_tensor *const *x)
{
    int flags = c->p[0], rows_axis = clg_tensor_shape(x[0])->ndim - 2;
    clg_loss_params params = {.label_smoothing = c->a};
    if (flags & CE_WEIGHTS) params.class_weights = x[1];
    if (flags & CE_SUM) params.reduction = CLG_REDUCTION_SUM;
    if (flags & CE_IGNORE) params.ignore = true, params.ignore_index = IGNORED;
    clg_tensor *labels = flags & CE_SOFT
                             ? x[c->n_inputs - 1]
                             : clg_iota(clg_max(x[0], CLG_AXIS(rows_axis + 1), false), rows_axis);
    return clg_softmax_cross_entropy(x[0], labels, flags ? &params : NULL);
}

/* One row, as PyTorch defines it; *divisor grows by the row's share of the mean. */
static double row_loss(const op_case *c, const double *x, int64_t classes, const double *weights,
                       const double *target, int64_t label, double *divisor)
{
    double total = 0, loss = 0, smoothing = c->a;
    if (c->p[0] & CE_IGNORE && label == IGNORED) return 0;
    for (int64_t j = 0; j < classes; j++) total += exp(x[j]);
    for (int64_t j = 0; j < classes; j++) {
        double t = target ? target[j] : j == label;
        t = (1 - smoothing) * t + smoothing / (double)classes;
        loss += t * (weights ? weights[j] : 1) * (log(total) - x[j]);
    }
    *divisor += weights && !target ? weights[label] : 1;
    return loss;
}

static void cross_entropy_reference(const op_case *c, const clg_shape *in, const double *const *x,
                                    const clg_shape *out, double *y)
{
    int64_t classes = in->dim[in->ndim - 1], rows_ = clg_shape_count(in) / classes;
    const double *target = c->p[0] & CE_SOFT ? x[c->n_inputs - 1] : NULL;
    const double *weights = c->p[0] & CE_WEIGHTS ? x[1] : NULL;
    double sum = 0, divisor = 0;
    for (int64_t i = 0; i < rows_; i++)
        sum += row_loss(c, x[0] + i * classes, classes, weights,
                        target ? target + i * classes : NULL, i % in->dim[in->ndim - 2], &divisor);
    *y = c->p[0] & CE_SUM ? sum : sum / divisor;
}

#define CE(text, n, flags, smoothing, ...)                                                         \
    {                                                                                              \
        text, n, {__VA_ARGS__}, cross_entropy, cross_entropy_reference,                            \
            .p = {flags}, .a = smoothing, .lo = 0.25, .hi = 2.5                                    \
    }
#define LOGITS OP_SHAPE(5, 7)
#define BATCHED OP_SHAPE(CLG_BATCH, 10)
static const op_case cross_entropies[] = {
    CE("plain", 1, 0, 0, LOGITS),
    CE("of sequences", 1, 0, 0, OP_SHAPE(3, 4, 5)),
    CE("sum", 1, CE_SUM, 0, LOGITS),
    CE("smoothed", 1, CE_SUM, 0.1, LOGITS),
    CE("weights", 2, CE_WEIGHTS, 0, LOGITS, OP_SHAPE(7)),
    CE("weights, smoothed, sum", 2, CE_WEIGHTS | CE_SUM, 0.3, LOGITS, OP_SHAPE(7)),
    CE("ignore", 1, CE_IGNORE, 0, LOGITS),
    CE("everything, of sequences", 2, CE_WEIGHTS | CE_IGNORE, 0.2, OP_SHAPE(2, 4, 5), OP_SHAPE(5)),
    CE("soft", 2, CE_SOFT, 0, LOGITS, LOGITS),
    CE("soft, weights, smoothed", 3, CE_SOFT | CE_WEIGHTS, 0.1, LOGITS, OP_SHAPE(7), LOGITS),
    CE("soft of sequences, sum", 2, CE_SOFT | CE_SUM, 0, OP_SHAPE(2, 3, 4), OP_SHAPE(2, 3, 4)),
};
#define BATCHES .batch = {6, 9, 1}
static const op_case batched_cross_entropies[] = {
    {"plain", 1, {BATCHED}, cross_entropy, cross_entropy_reference, BATCHES},
    {"everything",
     2,
     {BATCHED, OP_SHAPE(10)},
     cross_entropy,
     cross_entropy_reference,
     .lo = 0.25,
     .hi = 2.5,
     .p = {CE_WEIGHTS | CE_IGNORE},
     .a = 0.2,
     BATCHES},
    {"ignore", 1, {BATCHED}, cross_entropy, cross_entropy_reference, .p = {CE_IGNORE}, BATCHES},
    {"soft",
     2,
     {BATCHED, BATCHED},
     cross_entropy,
     cross_entropy_reference,
     .p = {CE_SOFT},
     .a = 0.1,
     BATCHES},
};

START_TEST(cross_entropy_with_every_option)
{
    op_check_table(cross_entropies, CLG__COUNT(cross_entropies));
    op_check_table(batched_cross_entropies, CLG__COUNT(batched_cross_entropies));
}
END_TEST

/* ---- penalties ---- */

static clg_tensor *penalty(const op_case *c, clg_tensor *const *x)
{
    if (c->p[0] == 0) return clg_l1_penalty(x[0], 0.3);
    return c->p[0] == 1 ? clg_l2_penalty(x[0], 0.3) : clg_l1_activity_penalty(x[0], 0.3);
}

static void penalized(const op_case *c, const clg_shape *in, const double *const *x,
                      const clg_shape *out, double *y)
{
    *y = 0;
    for (int64_t i = 0; i < clg_shape_count(in); i++)
        *y += c->p[0] == 1 ? 0.15 * x[0][i] * x[0][i] : 0.3 * fabs(x[0][i]);
    if (c->p[0] == 2) *y /= (double)in->dim[0];
}

static const op_case penalties[] = {
    {"l1 penalty", 1, {OP_SHAPE(3, 3, 2)}, penalty, penalized},
    {"l2 penalty", 1, {OP_SHAPE(3, 3, 2)}, penalty, penalized, .p = {1}},
    {"l1 activity penalty", 1, {OP_SHAPE(4, 5)}, penalty, penalized, .p = {2}},
    {"l1 activity penalty of the batch",
     1,
     {OP_SHAPE(CLG_BATCH, 2, 3)},
     penalty,
     penalized,
     .p = {2},
     BATCHES},
};

START_TEST(penalties_in_value_and_gradient)
{
    op_check_table(penalties, CLG__COUNT(penalties));
}
END_TEST

/* ---- known answers ---- */

/* From PyTorch 2.15: F.cross_entropy of these logits. */
static const float torch_logits[] = {1, -2, 0.5F, 3, 0, 0, 0, 0, 2, 1, -1, 0.5F, 100, -100, 3, 50};
static const float torch_weights[] = {1, 2, 0.5F, 3};
static const struct {
    bool weights;
    double smoothing;
    int64_t ignored; /* what label 0 of row 2 becomes if it is -100 */
    clg_reduction reduction;
    double loss, gradient[16];
} torch_rows[] = {
    {true,
     0.1,
     -100,
     CLG_REDUCTION_MEAN,
     11.316965103149414,
     {0.0529927351, -0.00622625044, 0.0326259471, -0.0793924704, 0.0846590772, -0.247159079,
      0.0869318098, 0.0755681694, 0, 0, 0, 0, 0.106818177, -0.0090909088, -0.0840909034,
      -0.0136363637}},
    {true,
     0.1,
     -100,
     CLG_REDUCTION_SUM,
     62.243309020996094,
     {0.291460067, -0.0342443772, 0.179442719, -0.436658412, 0.465624988, -1.35937488, 0.478125006,
      0.415624976, 0, 0, 0, 0, 0.587499976, -0.05, -0.462499976, -0.075}},
    {false,
     0,
     -100,
     CLG_REDUCTION_MEAN,
     32.862850189208984,
     {0.0368512459, 0.00183471595, 0.0223514102, -0.061037384, 0.0833333358, -0.25, 0.0833333358,
      0.0833333358, 0, 0, 0, 0, 0.333333343, 0, -0.333333343, 0}},
    {false,
     0.2,
     1,
     CLG_REDUCTION_MEAN,
     32.132476806640625,
     {0.0201845821, -0.0148319518, 0.0056847441, -0.0110373767, 0, 0, 0, 0, -0.080179967,
      0.0580692887, -0.00655225525, 0.0286629777, 0.316666692, -0.0166666675, -0.283333361,
      -0.0166666675}},
};

START_TEST(cross_entropy_is_that_of_pytorch)
{
    enum { N = CLG__COUNT(torch_rows) };
    op_fixture f = op_fixture_start(CLG_SHAPE(4, 4));
    clg_tensor *outputs[2 * N];
    clg_tensor *weights = clg_constant(f.g, CLG_SHAPE(4), torch_weights);
    for (int i = 0; i < N; i++) {
        float labels[] = {3, 1, torch_rows[i].ignored < 0 ? -100 : 0, 2};
        clg_tensor *t = clg_constant(f.g, CLG_SHAPE(4), labels);
        outputs[2 * i] = clg_softmax_cross_entropy(
            f.x, t,
            clg_loss_options(.reduction = torch_rows[i].reduction, .ignore = true,
                             .ignore_index = torch_rows[i].ignored,
                             .label_smoothing = torch_rows[i].smoothing,
                             .class_weights = torch_rows[i].weights ? weights : NULL));
        TEST_OK(clg_gradients(outputs[2 * i], &f.x, 1, &outputs[2 * i + 1]));
    }
    op_fixture_run(&f, outputs, 2 * N, CLG_INFERENCE, torch_logits);
    for (int i = 0; i < N; i++) {
        op_fixture_expect(&f, "value", outputs[2 * i], &torch_rows[i].loss, 1e-6);
        op_fixture_expect(&f, "gradient", outputs[2 * i + 1], torch_rows[i].gradient, 1e-6);
    }
    op_fixture_finish(&f);
}
END_TEST

START_TEST(cross_entropy_of_infinite_logits_and_both_types_of_labels)
{
    static const clg_dtype types[] = {CLG_I32, CLG_F32};
    static const float x[] = {0, 0, 0, 0, 1e4F, 0, 0, -1e4F, -INFINITY, 2, 2, -INFINITY};
    static const double gradient[] = {1 / 12.0, 1 / 12.0, 1 / 12.0, -0.25,    0,       0,
                                      0,        0,        0,        -1 / 6.0, 1 / 6.0, 0};
    for (int k = 0; k < 2; k++) {
        op_fixture f = op_fixture_start(CLG_SHAPE(3, 4));
        clg_tensor *labels = clg_input(f.g, "labels", types[k], CLG_SHAPE(3)), *d;
        clg_tensor *loss = clg_softmax_cross_entropy(f.x, labels, NULL);
        TEST_OK(clg_gradients(loss, &f.x, 1, &d));
        clg_tensor *outputs[] = {loss, d, clg_accuracy(f.x, labels)};
        f.program = op_check_compile(f.ctx, f.g, outputs, 3, CLG_INFERENCE);
        op_check_feed(f.program, f.x, x, 12);
        const int32_t as_int[] = {3, 0, 1};
        const float as_float[] = {3, 0, 1};
        TEST_OK(clg_program_feed(f.program, labels, k ? (const void *)as_float : as_int, 12));
        TEST_OK(clg_program_run(f.program));
        op_fixture_expect(&f, "value", loss, (double[]){(log(4) + log(2)) / 3}, 1e-6);
        op_fixture_expect(&f, "gradient", d, gradient, 1e-6);
        op_fixture_expect(&f, "value", outputs[2], (double[]){2.0 / 3}, 1e-6);
        op_fixture_finish(&f);
    }
}
END_TEST

/* One element each: value and slope at the seams, and far out. PyTorch's, except the last four. */
static const struct {
    builder build;
    clg_loss_params params;
    double x, t, value, slope;
} seams[] = {
    {clg_mae, {0}, 2, 2, 0, 0},
    {clg_mae, {0}, -1e4, 1e4, 2e4, -1},
    {clg_huber, {0}, 1, 0, 0.5, 1},
    {clg_huber, {0}, -1, 0, 0.5, -1},
    {clg_huber, {.delta = 2}, 1e4, 0, 19998, 2},
    {clg_huber, {0}, 0, 0, 0, 0},
    {clg_smooth_l1, {.beta = 2}, -2, 0, 1, -1},
    {clg_smooth_l1, {.beta = 0.25}, 0, 0, 0, 0},
    {clg_binary_cross_entropy, {0}, 0, 0, 0, 0},
    {clg_binary_cross_entropy, {0}, 0, 1, 100, -1e12},
    {clg_binary_cross_entropy, {0}, 1, 0, 100, 1e12},
    {clg_binary_cross_entropy, {0}, 1, 1, 0, 0},
    {clg_binary_cross_entropy, {0}, 1e-20, 1, 46.05170185988091, -1e12},
    {clg_binary_cross_entropy_logits, {0}, 0, 0, 0.6931471805599453, 0.5},
    {clg_binary_cross_entropy_logits, {0}, 0, 1, 0.6931471805599453, -0.5},
    {clg_binary_cross_entropy_logits, {0}, 1e4, 0, 1e4, 1},
    {clg_binary_cross_entropy_logits, {0}, -1e4, 1, 1e4, -1},
    {clg_binary_cross_entropy_logits, {0}, -1e4, 0, 0, 0},
    {clg_hinge_loss, {0}, 1, 1, 0, 0},
    {clg_hinge_loss, {0}, -1e4, 1, 10001, -1},
    {clg_perceptron_loss, {0}, 0, -1, 0, 1},
    {clg_perceptron_loss, {0}, 3, -1, 3, 1},
};

START_TEST(values_and_slopes_at_the_seams)
{
    enum { N = CLG__COUNT(seams) };
    op_fixture f = op_fixture_start(CLG_SCALAR);
    clg_tensor *outputs[2 * N];
    for (int i = 0; i < N; i++) {
        clg_tensor *x = clg_constant(f.g, CLG_SHAPE(1), (float[]){(float)seams[i].x});
        clg_tensor *t = clg_constant(f.g, CLG_SHAPE(1), (float[]){(float)seams[i].t});
        outputs[2 * i] = seams[i].build(x, t, &seams[i].params);
        TEST_OK(clg_gradients(outputs[2 * i], &x, 1, &outputs[2 * i + 1]));
    }
    op_fixture_run(&f, outputs, 2 * N, CLG_INFERENCE, NULL);
    for (int i = 0; i < 2 * N; i++) {
        float got;
        double want = i % 2 ? seams[i / 2].slope : seams[i / 2].value;
        op_check_read(f.program, outputs[i], &got, 1);
        ck_assert_msg(fabs(got - want) <= 1e-6 * fmax(1, fabs(want)),
                      "%s of %s at %g, %g: %g, not %g", i % 2 ? "slope" : "value",
                      clg_tensor_composition(outputs[i & ~1]), seams[i / 2].x, seams[i / 2].t,
                      (double)got, want);
    }
    op_fixture_finish(&f);
}
END_TEST

/* ---- arguments ---- */

static clg_tensor *rows_differ(clg_graph *g, clg_tensor *x)
{
    return clg_softmax_cross_entropy(x, clg_full(g, CLG_SHAPE(3), 0), NULL);
}
static clg_tensor *accuracy_of_vectors(clg_graph *g, clg_tensor *x)
{
    return clg_accuracy(clg_full(g, CLG_SHAPE(3), 0), clg_full(g, CLG_SHAPE(3), 0));
}
static clg_tensor *accuracy_of_targets(clg_graph *g, clg_tensor *x)
{
    return clg_accuracy(x, x);
}
static clg_tensor *targets_broadcast(clg_graph *g, clg_tensor *x)
{
    return clg_mse(x, clg_full(g, CLG_SHAPE(5), 0), NULL);
}
static clg_tensor *unknown_option(clg_graph *g, clg_tensor *x)
{
    return clg_mse(x, x, clg_loss_options(.label_smoothing = 0.1));
}
static clg_tensor *ignored_distribution(clg_graph *g, clg_tensor *x)
{
    return clg_softmax_cross_entropy(x, x, clg_loss_options(.ignore = true));
}
static clg_tensor *index_without_ignore(clg_graph *g, clg_tensor *x)
{
    return clg_softmax_cross_entropy(x, clg_full(g, CLG_SHAPE(4), 0),
                                     clg_loss_options(.ignore_index = -100));
}
static clg_tensor *smoothing(clg_graph *g, clg_tensor *x)
{
    return clg_softmax_cross_entropy(x, x, clg_loss_options(.label_smoothing = 1.5));
}
static clg_tensor *weights_differ(clg_graph *g, clg_tensor *x)
{
    clg_tensor *weights = clg_full(g, CLG_SHAPE(4), 1);
    return clg_binary_cross_entropy(x, x, clg_loss_options(.class_weights = weights));
}
static clg_tensor *negative_delta(clg_graph *g, clg_tensor *x)
{
    return clg_huber(x, x, clg_loss_options(.delta = -1));
}
static clg_tensor *nan_beta(clg_graph *g, clg_tensor *x)
{
    return clg_smooth_l1(x, x, clg_loss_options(.beta = NAN));
}
static clg_tensor *unknown_reduction(clg_graph *g, clg_tensor *x)
{
    return clg_mae(x, x, clg_loss_options(.reduction = (clg_reduction)7));
}
static clg_tensor *penalty_of_a_scalar(clg_graph *g, clg_tensor *x)
{
    return clg_l1_activity_penalty(clg_scalar(g, 1), 1);
}

static const struct {
    clg_tensor *(*build)(clg_graph *g, clg_tensor *x); /* x (4, 5) */
    const char *message;
} mistakes[] = {
    {rows_differ, "softmax_cross_entropy: expected logits (rows, classes) and labels (rows) or "
                  "(rows, classes), got (4, 5) and (3)"},
    {accuracy_of_vectors, "accuracy: expected logits"},
    {accuracy_of_targets, "labels (rows), got (4, 5) and (4, 5)"},
    {targets_broadcast, "mse: shapes (4, 5) and (5) differ"},
    {unknown_option, "mse: label_smoothing is no option of this loss"},
    {ignored_distribution, "softmax_cross_entropy: ignore is no option"},
    {index_without_ignore,
     "softmax_cross_entropy: ignore must be true where ignore_index is given"},
    {smoothing, "label_smoothing must be within 0 .. 1"},
    {weights_differ, "binary_cross_entropy: expected class_weights with one number for each class "
                     "(the last axis) of (4, 5), got (4)"},
    {negative_delta, "huber: delta must be positive"},
    {nan_beta, "smooth_l1: beta must be positive"},
    {unknown_reduction, "mae: reduction is neither"},
    {penalty_of_a_scalar, "l1_activity_penalty: a scalar has no rows"},
};

START_TEST(a_mistake_is_named)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(4, 5));
    ck_assert_ptr_null(mistakes[_i].build(g, x));
    TEST_FAILS(clg_graph_status(g), CLG_ERROR_ARGUMENT, mistakes[_i].message);
    clg_graph_destroy(g);
}
END_TEST

START_TEST(null_is_passed_on)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(4, 5));
    for (int i = 0; i < ROWS; i++) {
        ck_assert_ptr_null(rows[i].build(NULL, x, NULL));
        ck_assert_ptr_null(rows[i].build(x, NULL, NULL));
    }
    ck_assert_ptr_null(clg_softmax_cross_entropy(x, NULL, NULL));
    ck_assert_ptr_null(clg_accuracy(NULL, x));
    ck_assert_ptr_null(clg_l1_penalty(NULL, 1));
    ck_assert_ptr_null(clg_l2_penalty(NULL, 1));
    ck_assert_ptr_null(clg_l1_activity_penalty(NULL, 1));
    TEST_OK(clg_graph_status(g));
    clg_graph_destroy(g);
}
END_TEST

void ops_losses_cases(Suite *suite)
{
    TCase *values = testing_case(suite, "losses");
    tcase_add_test(values, losses_of_elements);
    tcase_add_test(values, cross_entropy_with_every_option);
    tcase_add_test(values, penalties_in_value_and_gradient);
    TCase *known = testing_case(suite, "losses: known answers");
    tcase_add_test(known, cross_entropy_is_that_of_pytorch);
    tcase_add_test(known, cross_entropy_of_infinite_logits_and_both_types_of_labels);
    tcase_add_test(known, values_and_slopes_at_the_seams);
    TCase *arguments = testing_case(suite, "losses: arguments");
    tcase_add_loop_test(arguments, a_mistake_is_named, 0, CLG__COUNT(mistakes));
    tcase_add_test(arguments, null_is_passed_on);
}
