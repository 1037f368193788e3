/*
 * What the outputs of a convolution look at, forward and backward, one dimension at a time
 * (conv2d_cpu.h).
 */
#include "ops/conv2d_cpu.h"

int64_t clg__conv_span(const clg__conv_axis *a)
{
    return (a->taps - 1) * a->spread + 1;
}

int64_t clg__conv_extent(const clg__conv_axis *a, int64_t count)
{
    return clg__max_i64((count - 1) * a->stride + clg__conv_span(a), 0);
}

/* Where they cross into the next image the step is the span instead of the stride, and they may
 * begin anywhere in an image. */
int64_t clg__conv_window_rows(const clg__conv_axis *a, int64_t rows)
{
    const int64_t span = clg__conv_span(a);
    int64_t crossings =
        span > a->stride ? clg__ceil_div(rows - 1, a->outputs) : (rows - 1) / a->outputs;
    return (rows - 1 - crossings) * a->stride + (crossings + 1) * clg__max_i64(span, 1);
}

/* A single tap needs no positions between those it looks at. */
static void simplify(clg__conv_axis *a)
{
    if (a->taps != 1) return;
    a->spread = 1;
    a->skip = a->stride;
    a->stride = 1;
}

static clg__conv_axis forward_axis(const struct clg__conv2d_attr *attr, int i, int64_t source,
                                   int64_t outputs)
{
    clg__conv_axis a = {.source = source, .outputs = outputs, .result = outputs};
    a.origin = -attr->padding[2 * i];
    a.stride = attr->stride[i];
    a.taps = attr->kernel_size[i];
    a.spread = attr->dilation[i];
    a.tap_step = a.skip = a.step = 1;
    simplify(&a);
    return a;
}

static int64_t gcd(int64_t a, int64_t b)
{
    return b ? gcd(b, a % b) : a;
}

/*
 * Backward, the pixels first, first + stride, ... of dx. Position h of x met y's row
 * (h + padding - tap * dilation) / stride where that divides; for one remainder of h these are taps
 * `low`, low + gap, ... Later taps met earlier rows, so the order is turned round.
 */
static clg__conv_axis backward_axis(const struct clg__conv2d_attr *attr, int i, int64_t source,
                                    int64_t first)
{
    const int64_t stride = attr->stride[i], dilation = attr->dilation[i];
    const int64_t kernel = attr->kernel_size[i], gap = stride / gcd(stride, dilation);
    const int64_t position = first + attr->padding[2 * i];
    clg__conv_axis a = {
        .source = source, .result = attr->input_size[i], .first = first, .step = stride};
    a.outputs = first < a.result ? (a.result - 1 - first) / stride + 1 : 0;
    a.stride = a.skip = a.spread = 1;
    int64_t low = 0;
    while (low < gap && (position - low * dilation) % stride != 0) low++;
    if (low >= gap || low >= kernel) return a; /* no tap: these pixels get zero */
    a.taps = (kernel - 1 - low) / gap + 1;
    a.tap_first = low + (a.taps - 1) * gap;
    a.tap_step = -gap;
    a.origin = (position - a.tap_first * dilation) / stride;
    a.spread = gap * dilation / stride;
    simplify(&a);
    return a;
}

/* All but the axes. */
static clg__conv problem_of(const struct clg__conv2d_attr *attr, const clg_shape *from,
                            const clg_shape *w, const clg_shape *to, bool backward)
{
    return (clg__conv){.batch = from->dim[0],
                       .groups = attr->groups,
                       .merged = 1,
                       .k = from->dim[3] / attr->groups,
                       .n = to->dim[3] / attr->groups,
                       .backward = backward,
                       .kernel_width = w->dim[1],
                       .tap_rows = w->dim[2],
                       .tap_columns = w->dim[3]};
}

clg__conv clg__conv_forward(const struct clg__conv2d_attr *attr, const clg_shape *x,
                            const clg_shape *w, const clg_shape *y)
{
    clg__conv p = problem_of(attr, x, w, y, false);
    for (int i = 0; i < 2; i++) p.axis[i] = forward_axis(attr, i, x->dim[1 + i], y->dim[1 + i]);
    return p;
}

bool clg__conv_backward(const struct clg__conv2d_attr *attr, const clg_shape *dy,
                        const clg_shape *w, const clg_shape *dx, int phase, clg__conv *p)
{
    if (phase >= attr->stride[0] * attr->stride[1]) return false;
    const int64_t first[2] = {phase / attr->stride[1], phase % attr->stride[1]};
    *p = problem_of(attr, dy, w, dx, true);
    for (int i = 0; i < 2; i++) p->axis[i] = backward_axis(attr, i, dy->dim[1 + i], first[i]);
    if (!p->axis[0].taps || !p->axis[1].taps) p->axis[0].taps = p->axis[1].taps = 0;
    return true;
}

clg_status clg__conv_launches(clg__lowering *lo, bool backward, clg__conv_launch launch)
{
    const struct clg__conv2d_attr *attr = lo->node->attr;
    const clg_shape *from = &lo->in_shape[0], *w = &lo->in_shape[1], *to = &lo->out_shape;
    clg__conv p;
    if (!backward) {
        p = clg__conv_forward(attr, from, w, to);
        launch(lo, &p);
    }
    for (int i = 0; backward && clg__conv_backward(attr, from, w, to, i, &p); i++)
        if (p.axis[0].outputs && p.axis[1].outputs) launch(lo, &p);
    return lo->status;
}

/* ---- arguments ---- */

#define LAUNCH_PAIR(launch, axes, field) clg__launch_pair(launch, (axes)[0].field, (axes)[1].field)

void clg__conv_add_window(clg__launch *launch, const clg__conv *p)
{
    LAUNCH_PAIR(launch, p->axis, source);
    LAUNCH_PAIR(launch, p->axis, outputs);
    LAUNCH_PAIR(launch, p->axis, origin);
    LAUNCH_PAIR(launch, p->axis, stride);
    LAUNCH_PAIR(launch, p->axis, taps);
    LAUNCH_PAIR(launch, p->axis, spread);
    LAUNCH_PAIR(launch, p->axis, skip);
    clg__launch_int(launch, p->groups * p->k);
}

void clg__conv_add_arguments(clg__launch *launch, const clg__conv *p)
{
    clg__conv_add_window(launch, p);
    LAUNCH_PAIR(launch, p->axis, tap_first);
    LAUNCH_PAIR(launch, p->axis, tap_step);
    clg__launch_int(launch, p->kernel_width);
    clg__launch_int(launch, p->tap_rows);
    clg__launch_int(launch, p->tap_columns);
    clg__launch_int(launch, p->backward);
    LAUNCH_PAIR(launch, p->axis, result);
    LAUNCH_PAIR(launch, p->axis, first);
    LAUNCH_PAIR(launch, p->axis, step);
    clg__launch_int(launch, p->batch);
    clg__launch_int(launch, p->groups);
    clg__launch_int(launch, p->k);
    clg__launch_int(launch, p->n);
}

void clg__conv_add_work(clg__launch *launch, const clg__conv *p)
{
    const clg__conv_axis *a = p->axis;
    const double pixels = (double)p->batch * a[0].outputs * a[1].outputs * p->groups;
    const double weights = (double)a[0].taps * a[1].taps * p->k / p->merged * p->n;
    clg__launch_work(launch, 2 * pixels * weights,
                     4 * (pixels * (p->n + p->k) + weights * p->groups));
}
