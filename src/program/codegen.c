/*
 * Generated kernels. A stage of a cluster becomes: base addresses of its loads for one row, then
 * for each vector of columns the loads, one statement per member, and the stores. The same emitters
 * serve flat loops, reductions (as prologue and epilogue) and the epilogue macros of hand-written
 * kernels.
 *
 * Names: stage 0 has prefix a, stage 1 prefix b: ax0 is its first load, am0 its first member, aq0
 * its first coordinate, ap0 the base address of its first load. r0 is the first reduction's result,
 * acc the anchor's. Sizes and strides are arguments; only constants that the batch cannot change
 * and the structure are text, so that equal clusters give equal kernels.
 */
#include <ctype.h>
#include <math.h>

#include "program/codegen.h"

typedef struct generator {
    clg__str *out;
    const clg__ir *ir;
    const clg__cluster *cluster;
    int stage;
    char p; /* prefix of names */
    clg__space space;
} generator;

static generator make_generator(clg__str *out, const clg__ir *ir, const clg__cluster *c, int stage)
{
    generator g = {.out = out, .ir = ir, .cluster = c, .stage = stage, .p = stage == 0 ? 'A' : 'B'};
    if (!clg__space_make(&g.space, ir, c, stage)) out->failed = true;
    return g;
}

int clg__vector_width(const clg_context *ctx)
{
    return ctx->engine == CLG_ENGINE_CPU ? 16 : 4;
}

static const char *vector_type(int width)
{
    return width == 1 ? "float" : width == 4 ? "float4" : width == 8 ? "float8" : "float16";
}

/* ---- what a stage stores ---- */

/* Results of a stage that have memory: ids into `ids`. */
static int stage_stores(const clg__ir *ir, const clg__cluster *c, int stage, int *ids)
{
    int n = 0;
    for (int i = 0; i < c->body[stage].n_members; i++)
        if (ir->values[c->body[stage].members[i]].stored) ids[n++] = c->body[stage].members[i];
    if (stage == 0) return n;
    for (int i = 0; i < c->n_reduces; i++)
        if (ir->values[c->reduces[i]].stored) ids[n++] = c->reduces[i];
    if (c->anchor >= 0 && ir->values[c->anchor].stored) ids[n++] = c->anchor;
    return n;
}

/* Uniform inputs of a stage whose number follows the batch: those become arguments. */
static int stage_numbers(const clg__ir *ir, const clg__cluster *c, int stage, int *ids)
{
    int n = 0;
    for (int m = 0; m < c->body[stage].n_members; m++) {
        const clg__value *v = &ir->values[c->body[stage].members[m]];
        int own = c->body[stage].members[m];
        int count = v->uniform ? 1 : v->n_inputs;
        for (int i = 0; i < count; i++) {
            int id = v->uniform ? own : v->inputs[i];
            if (!ir->values[id].uniform || ir->values[id].power == 0) continue;
            bool known = false;
            for (int k = 0; k < n; k++) known |= ids[k] == id;
            if (!known) ids[n++] = id;
        }
    }
    return n;
}

/* Sources that are made from an index are made again by every reader. */
static bool is_generated(const clg__ir *ir, int id)
{
    return ir->values[id].node->op->load != NULL;
}

bool clg__stage_uses_step(const clg__ir *ir, const clg__cluster *c, int stage)
{
    clg__space space;
    clg__space_make(&space, ir, c, stage);
    for (int l = 0; l < space.n_loads; l++)
        if (is_generated(ir, space.loads[l].value)) return true;
    return false;
}

/* ---- parameters, and the arguments for them ---- */

static const char *storage_type(const clg__ir *ir, int id)
{
    static const char *const types[] = {[CLG_F32] = "float", [CLG_I32] = "int", [CLG_U8] = "uchar"};
    return types[ir->values[id].node->dtype];
}

static bool stride_is_argument(const clg__space *space, const clg__load *load, int axis)
{
    bool moves = load->moves >> axis & 1;
    return moves && !(axis == space->n_axes - 1 && load->unit);
}

static void emit_parameters(generator *g)
{
    int ids[2 * CLG__MAX_MEMBERS];
    for (int k = 0; k < g->space.n_axes; k++) clg__str_addf(g->out, ", ulong %cd%d", g->p, k);
    for (int l = 0; l < g->space.n_loads; l++) {
        const clg__load *load = &g->space.loads[l];
        if (is_generated(g->ir, load->value))
            clg__str_addf(g->out, ", ulong %ci%d_key", g->p, l);
        else
            clg__str_addf(g->out, ", __global const %s *%ci%d", storage_type(g->ir, load->value),
                          g->p, l);
        clg__str_addf(g->out, ", ulong %ci%d_at", g->p, l);
        for (int k = 0; k < g->space.n_axes; k++)
            if (stride_is_argument(&g->space, load, k))
                clg__str_addf(g->out, ", ulong %ci%d_s%d", g->p, l, k);
    }
    int n = stage_numbers(g->ir, g->cluster, g->stage, ids);
    for (int i = 0; i < n; i++) clg__str_addf(g->out, ", float %cu%d", g->p, i);
    n = stage_stores(g->ir, g->cluster, g->stage, ids);
    for (int i = 0; i < n; i++)
        clg__str_addf(g->out, ", __global float *%co%d, ulong %co%d_at", g->p, i, g->p, i);
    if (clg__stage_uses_step(g->ir, g->cluster, g->stage))
        clg__str_addf(g->out, ", ulong %cstep", g->p);
}

static uint64_t stream_key(const clg__ir *ir, const clg_tensor *node)
{
    uint64_t words[2] = {ir->graph->seed, *(const uint64_t *)node->attr};
    return clg__hash(words, sizeof words).lo;
}

void clg__bind_stage(clg__launch *launch, const clg__ir *ir, const clg__cluster *c, int stage,
                     const clg__space *space, int64_t batch)
{
    int ids[2 * CLG__MAX_MEMBERS];
    for (int k = 0; k < space->n_axes; k++) clg__launch_long(launch, space->extent[k]);
    for (int l = 0; l < space->n_loads; l++) {
        const clg__load *load = &space->loads[l];
        if (is_generated(ir, load->value)) {
            clg__launch_long(launch, (int64_t)stream_key(ir, ir->values[load->value].node));
            clg__launch_long(launch, load->offset);
        } else {
            clg__launch_buffer_at(launch, load->value, load->offset);
        }
        for (int k = 0; k < space->n_axes; k++)
            if (stride_is_argument(space, load, k)) clg__launch_long(launch, load->stride[k]);
    }
    int n = stage_numbers(ir, c, stage, ids);
    for (int i = 0; i < n; i++) {
        const clg__value *v = &ir->values[ids[i]];
        double ratio = (double)batch / (double)ir->graph->batch;
        clg__launch_float(launch, v->number * pow(ratio, v->power));
    }
    n = stage_stores(ir, c, stage, ids);
    for (int i = 0; i < n; i++) clg__launch_buffer(launch, ids[i]);
    if (clg__stage_uses_step(ir, c, stage)) clg__launch_step(launch);
}

/* ---- statements ---- */

/* Coordinates along the axes first .. last from a linear index, innermost fastest. */
static void emit_coordinates(generator *g, int first, int last, const char *linear)
{
    if (first > last) return;
    if (first == last) {
        clg__str_addf(g->out, "    const ulong %cq%d = %s;\n", g->p, first, linear);
        return;
    }
    clg__str_addf(g->out, "    ulong %ct%d = %s;\n", g->p, first, linear);
    for (int k = last; k > first; k--)
        clg__str_addf(g->out, "    const ulong %cq%d = %ct%d %% %cd%d; %ct%d /= %cd%d;\n", g->p, k,
                      g->p, first, g->p, k, g->p, first, g->p, k);
    clg__str_addf(g->out, "    const ulong %cq%d = %ct%d;\n", g->p, first, g->p, first);
}

/* Base address of each load at the coordinates; the innermost axis is added by the load itself. */
static void emit_bases(generator *g, int n_outer)
{
    for (int l = 0; l < g->space.n_loads; l++) {
        clg__str_addf(g->out, "    const ulong %cp%d = %ci%d_at", g->p, l, g->p, l);
        for (int k = 0; k < n_outer; k++)
            if (g->space.loads[l].moves >> k & 1)
                clg__str_addf(g->out, " + %cq%d * %ci%d_s%d", g->p, k, g->p, l, k);
        clg__str_add(g->out, ";\n");
    }
}

static void emit_generated_load(generator *g, int l, const char *index, const char *stride,
                                int width)
{
    const char *macro = g->ir->values[g->space.loads[l].value].node->op->load;
    clg__str_addf(g->out, "LANES_%d(GENERATE_%s, %s, (ulong)(%s), %ci%d_key, %cstep);\n", width,
                  macro, index, stride, g->p, l, g->p);
}

static void emit_buffer_load(generator *g, int l, const char *stride, bool moves, bool unit,
                             const char *index, int width)
{
    bool is_float = g->ir->values[g->space.loads[l].value].node->dtype == CLG_F32;
    const char *close = is_float ? "" : ")";
    if (!is_float && width > 1) clg__str_addf(g->out, "convert_float%d(", width);
    if (!is_float && width == 1) clg__str_add(g->out, "(float)(");
    if (width == 1) {
        clg__str_addf(g->out, "%ci%d[%s]", g->p, l, index);
    } else if (unit) {
        clg__str_addf(g->out, "vload%d(0, %ci%d + %s)", width, g->p, l, index);
    } else if (!moves) {
        clg__str_addf(g->out, "(%s%d)(%ci%d[%s])", storage_type(g->ir, g->space.loads[l].value),
                      width, g->p, l, index);
    } else {
        clg__str_addf(g->out, "(%s%d)(", storage_type(g->ir, g->space.loads[l].value), width);
        for (int i = 0; i < width; i++)
            clg__str_addf(g->out, "%s%ci%d[%s + %d * %s]", i ? ", " : "", g->p, l, index, i,
                          stride);
        clg__str_add(g->out, ")");
    }
    clg__str_addf(g->out, "%s;\n", close);
}

/* Loads `width` adjacent columns from `column` on. */
static void emit_loads(generator *g, const char *column, int width)
{
    int inner = g->space.n_axes - 1;
    for (int l = 0; l < g->space.n_loads; l++) {
        const clg__load *load = &g->space.loads[l];
        bool moves = load->moves >> inner & 1;
        char stride[32], index[128];
        snprintf(stride, sizeof stride, "%ci%d_s%d", g->p, l, inner);
        if (!moves || load->unit) snprintf(stride, sizeof stride, "%s", moves ? "1" : "0");
        if (!moves)
            snprintf(index, sizeof index, "%cp%d", g->p, l);
        else if (load->unit)
            snprintf(index, sizeof index, "%cp%d + (%s)", g->p, l, column);
        else
            snprintf(index, sizeof index, "%cp%d + (%s) * %s", g->p, l, column, stride);
        clg__str_addf(g->out, "    const %s %cx%d = ", vector_type(width), g->p, l);
        if (is_generated(g->ir, load->value))
            emit_generated_load(g, l, index, stride, width);
        else
            emit_buffer_load(g, l, stride, moves, load->unit, index, width);
    }
}

static void emit_number(clg__str *out, double number, int width)
{
    char text[40];
    snprintf(text, sizeof text, "%.9g", number);
    if (isnan(number))
        snprintf(text, sizeof text, "NAN");
    else if (isinf(number))
        snprintf(text, sizeof text, number > 0 ? "INFINITY" : "-INFINITY");
    else
        strcat(text, strpbrk(text, ".e") ? "f" : ".0f");
    clg__str_addf(out, width == 1 ? "(%s%s)" : "((%s)(%s))", width == 1 ? "" : vector_type(width),
                  text);
}

/* The expression that stands for an input of a member. */
static void emit_operand(generator *g, int id, int width)
{
    const clg__value *v = &g->ir->values[id];
    const clg__stage *stage = &g->cluster->body[g->stage];
    for (int m = 0; m < stage->n_members; m++) {
        if (stage->members[m] != id) continue;
        clg__str_addf(g->out, "%cm%d", g->p, m);
        return;
    }
    if (v->uniform && v->power == 0) {
        emit_number(g->out, v->number, width);
        return;
    }
    if (v->uniform) {
        int ids[2 * CLG__MAX_MEMBERS], n = stage_numbers(g->ir, g->cluster, g->stage, ids);
        for (int i = 0; i < n; i++)
            if (ids[i] == id) clg__str_addf(g->out, "((%s)(%cu%d))", vector_type(width), g->p, i);
        return;
    }
    for (int i = 0; g->stage == 1 && i < g->cluster->n_reduces; i++) {
        if (g->cluster->reduces[i] != id) continue;
        clg__str_addf(g->out, "r%d", i);
        return;
    }
    if (g->stage == 1 && g->cluster->anchor == id) {
        clg__str_add(g->out, "ANCHOR");
        return;
    }
    clg__str_addf(g->out, "%cx%d", g->p, clg__space_find(&g->space, g->ir, id));
}

/* The row's expression with V( and V_( given the width: V16( and the parameter itself. */
static void emit_expression(clg__str *out, const char *text, int width)
{
    for (const char *p = text; *p; p++) {
        bool starts_word = p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == '_');
        if (starts_word && strncmp(p, "V_(", 3) == 0) {
            clg__str_addf(out, "(%s)(", vector_type(width));
            p += 2;
        } else if (starts_word && strncmp(p, "V(", 2) == 0) {
            clg__str_addf(out, "V%d(", width);
            p += 1;
        } else {
            clg__str_addn(out, p, 1);
        }
    }
}

static void emit_pointwise(generator *g, int m, const clg__value *v, int width)
{
    const clg__pointwise *row = v->node->op->pointwise;
    const clg__pointwise_attr *attr = v->node->attr;
    clg__str_addf(g->out, "    %s %cm%d; { ", vector_type(width), g->p, m);
    for (int i = 0; i < row->arity; i++) {
        clg__str_addf(g->out, "const %s %c = ", vector_type(width), "xyz"[i]);
        emit_operand(g, v->inputs[i], width);
        clg__str_add(g->out, "; ");
    }
    const double parameters[2] = {attr->a, attr->b};
    for (int i = 0; i < row->n_parameters; i++) {
        clg__str_addf(g->out, "const float %c = ", "ab"[i]);
        emit_number(g->out, parameters[i], 1);
        clg__str_add(g->out, "; ");
    }
    clg__str_addf(g->out, "%cm%d = ", g->p, m);
    emit_expression(g->out, row->expression, width);
    clg__str_add(g->out, "; }\n");
}

static void emit_members(generator *g, int width)
{
    const clg__stage *stage = &g->cluster->body[g->stage];
    for (int m = 0; m < stage->n_members; m++) {
        int id = stage->members[m];
        const clg__value *v = &g->ir->values[id];
        if (!v->uniform && v->node->op->class_ == CLG__POINTWISE) {
            emit_pointwise(g, m, v, width);
            continue;
        }
        /* A stored constant, a view or a generated source: a copy of what was loaded. */
        clg__str_addf(g->out, "    const %s %cm%d = ", vector_type(width), g->p, m);
        if (v->uniform && v->power == 0)
            emit_number(g->out, v->number, width);
        else if (v->uniform)
            clg__str_addf(g->out, "(%s)(%cu0)", vector_type(width), g->p);
        else
            clg__str_addf(g->out, "%cx%d", g->p, clg__space_find(&g->space, g->ir, id));
        clg__str_add(g->out, ";\n");
    }
}

static void emit_stores(generator *g, const char *index, int width)
{
    int ids[CLG__MAX_MEMBERS + CLG__MAX_REDUCES + 1];
    int n = stage_stores(g->ir, g->cluster, g->stage, ids);
    for (int i = 0; i < n; i++) {
        if (width == 1) {
            clg__str_addf(g->out, "    %co%d[%co%d_at + (%s)] = ", g->p, i, g->p, i, index);
            emit_operand(g, ids[i], 1);
            clg__str_add(g->out, ";\n");
        } else {
            clg__str_addf(g->out, "    vstore%d(", width);
            emit_operand(g, ids[i], width);
            clg__str_addf(g->out, ", 0, %co%d + %co%d_at + (%s));\n", g->p, i, g->p, i, index);
        }
    }
}

/* ---- flat kernels ---- */

static void emit_block(generator *g, const char *column, const char *index, int width)
{
    emit_loads(g, column, width);
    emit_members(g, width);
    emit_stores(g, index, width);
}

static void emit_pointwise_kernel(generator *g, const char *name, int width)
{
    int inner = g->space.n_axes - 1;
    clg__str_addf(g->out, "__kernel void %s(ulong rows, ulong row_chunk, ulong column_chunk", name);
    emit_parameters(g);
    clg__str_addf(
        g->out,
        ")\n{\n"
        "const ulong columns = %cd%d;\n"
        "const ulong c0 = get_global_id(0) * column_chunk, c1 = min(c0 + column_chunk, columns);\n"
        "const ulong r0 = get_global_id(1) * row_chunk, r1 = min(r0 + row_chunk, rows);\n"
        "for (ulong row = r0; row < r1; ++row) {\n",
        g->p, inner);
    emit_coordinates(g, 0, inner - 1, "row");
    emit_bases(g, inner);
    clg__str_addf(g->out, "ulong c = c0;\nfor (; c + %d <= c1; c += %d) {\n", width, width);
    emit_block(g, "c", "row * columns + c", width);
    clg__str_add(g->out, "}\nfor (; c < c1; ++c) {\n");
    emit_block(g, "c", "row * columns + c", 1);
    clg__str_add(g->out, "}\n}\n}\n\n");
}

/* ---- reductions ---- */

static const struct {
    const char *start, *combine;
} reduce_kinds[] = {
    [CLG__REDUCE_SUM] = {"0.0f", "COMBINE_SUM"}, [CLG__REDUCE_MAX] = {"-INFINITY", "COMBINE_MAX"}};

static int reduce_kind(const generator *g, int i)
{
    return ((const clg__reduce_attr *)g->ir->values[g->cluster->reduces[i]].node->attr)->kind;
}

/* Collapsed axes: first of the reduced part, first behind it. */
static void reduce_axes(const clg__cluster *c, const clg__space *space, int *first, int *behind)
{
    *first = *behind = space->n_axes;
    for (int k = space->n_axes - 1; k >= 0; k--) {
        int axis = __builtin_ctz(space->axes[k]);
        if (axis >= c->reduce_first) *first = k;
        if (axis >= c->reduce_first + c->reduce_count) *behind = k;
    }
}

static void emit_accumulate(generator *g, int width)
{
    for (int i = 0; i < g->cluster->n_reduces; i++) {
        clg__str_addf(g->out, "    s%d_%d = %s(s%d_%d, (", i, width,
                      reduce_kinds[reduce_kind(g, i)].combine, i, width);
        emit_operand(g, g->ir->values[g->cluster->reduces[i]].inputs[0], width);
        clg__str_add(g->out, "));\n");
    }
}

static void emit_sums(generator *g, int width)
{
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out, "%s s%d_%d = (%s)(%s);\n", vector_type(width), i, width,
                      vector_type(width), reduce_kinds[reduce_kind(g, i)].start);
}

/* Lanes of the vector sums, combined as a tree of fixed shape, then the tail's sum. */
static void emit_lanes_to_total(generator *g, int width)
{
    clg__str_add(g->out, "uint n = 1;\n");
    for (int i = 0; i < g->cluster->n_reduces; i++) {
        const char *combine = reduce_kinds[reduce_kind(g, i)].combine;
        clg__str_addf(g->out,
                      "float t%d[%d]; vstore%d(s%d_%d, 0, t%d);\n"
                      "for (int h = %d; h; h >>= 1) for (int l = 0; l < h; ++l) t%d[l] = "
                      "%s(t%d[l], t%d[l + h]);\n"
                      "t%d[0] = %s(t%d[0], s%d_1);\n",
                      i, width, width, i, width, i, width / 2, i, combine, i, i, i, combine, i, i);
    }
}

/* What happens to one total at linear output index e: the epilogue, or a partial result. */
static void emit_finish(generator *g, bool two_stages)
{
    clg__str *out = g->out;
    if (two_stages) {
        for (int i = 0; i < g->cluster->n_reduces; i++)
            clg__str_addf(out,
                          "partial[partial_at + ((ulong)%d * outer * inner + o * inner) * parts + "
                          "part * inner + (e - o * inner)] = t%d[l];\n",
                          i, i);
        return;
    }
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(out, "const float r%d = t%d[l];\n", i, i);
    generator epilogue = make_generator(out, g->ir, g->cluster, 1);
    emit_coordinates(&epilogue, 0, epilogue.space.n_axes - 1, "e");
    emit_bases(&epilogue, epilogue.space.n_axes - 1);
    char column[16];
    snprintf(column, sizeof column, "Bq%d", epilogue.space.n_axes - 1);
    emit_block(&epilogue, column, "e", 1);
}

static void emit_reduce_head(generator *g, const char *name, bool two_stages)
{
    clg__str_addf(g->out,
                  "__kernel void %s(ulong outer, ulong rows, ulong row_chunk, ulong column_chunk, "
                  "ulong column_parts, ulong parts, ulong inner_rows, ulong inner",
                  name);
    emit_parameters(g);
    if (two_stages) {
        clg__str_add(g->out, ", __global float *partial, ulong partial_at");
    } else {
        generator epilogue = make_generator(g->out, g->ir, g->cluster, 1);
        emit_parameters(&epilogue);
    }
    clg__str_addf(g->out, ")\n{\nconst ulong columns = %cd%d;\n", g->p, g->space.n_axes - 1);
}

/* Reduced axes are innermost: a work-item walks along its share of a row. */
static void emit_row_reduction(generator *g, int first, bool two_stages, int width)
{
    int inner = g->space.n_axes - 1;
    clg__str_add(
        g->out,
        "const ulong o = get_global_id(0), part = get_global_id(1);\n"
        "const ulong r0 = part / column_parts * row_chunk, r1 = min(r0 + row_chunk, rows);\n"
        "const ulong c0 = part % column_parts * column_chunk, c1 = min(c0 + column_chunk, "
        "columns);\n");
    emit_sums(g, width);
    emit_sums(g, 1);
    emit_coordinates(g, 0, first - 1, "o");
    clg__str_add(g->out, "for (ulong row = r0; row < r1; ++row) {\n");
    emit_coordinates(g, first, inner - 1, "row");
    emit_bases(g, inner);
    clg__str_addf(g->out, "ulong c = c0;\nfor (; c + %d <= c1; c += %d) {\n", width, width);
    emit_block(g, "c", "(o * rows + row) * columns + c", width);
    emit_accumulate(g, width);
    clg__str_add(g->out, "}\nfor (; c < c1; ++c) {\n");
    emit_block(g, "c", "(o * rows + row) * columns + c", 1);
    emit_accumulate(g, 1);
    clg__str_add(g->out, "}\n}\n");
    emit_lanes_to_total(g, width);
    clg__str_add(g->out, "{ const uint l = 0; const ulong e = o;\n");
    emit_finish(g, two_stages);
    clg__str_add(g->out, "}\n}\n\n");
}

static void emit_column_loop(generator *g, int first, int behind, int width)
{
    int inner = g->space.n_axes - 1;
    clg__str_add(g->out, "for (ulong row = r0; row < r1; ++row) {\n");
    emit_coordinates(g, first, behind - 1, "row");
    emit_bases(g, inner);
    emit_block(g, "c", "((o * rows + row) * inner_rows + i) * columns + c", width);
    emit_accumulate(g, width);
    clg__str_add(g->out, "}\n");
}

/* Columns stay: a work-item owns a vector of them and walks down its share of the rows. */
static void emit_column_reduction(generator *g, int first, int behind, bool two_stages, int width)
{
    int inner = g->space.n_axes - 1;
    clg__str_addf(
        g->out,
        "const ulong o = get_global_id(1) / inner_rows, i = get_global_id(1) %% inner_rows;\n"
        "const ulong part = get_global_id(2), first_column = get_global_id(0) * %d;\n"
        "const ulong r0 = part * row_chunk, r1 = min(r0 + row_chunk, rows);\n"
        "const uint n = (uint)min((ulong)%d, columns - first_column);\n",
        width, width);
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out, "float t%d[%d];\n", i, width);
    emit_coordinates(g, 0, first - 1, "o");
    emit_coordinates(g, behind, inner - 1, "i");
    clg__str_addf(g->out, "if (n == %d) {\nconst ulong c = first_column;\n", width);
    emit_sums(g, width);
    emit_column_loop(g, first, behind, width);
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out, "vstore%d(s%d_%d, 0, t%d);\n", width, i, width, i);
    clg__str_add(g->out,
                 "} else for (uint l = 0; l < n; ++l) {\nconst ulong c = first_column + l;\n");
    emit_sums(g, 1);
    emit_column_loop(g, first, behind, 1);
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out, "t%d[l] = s%d_1;\n", i, i);
    clg__str_add(g->out, "}\nfor (uint l = 0; l < n; ++l) {\n"
                         "const ulong e = (o * inner_rows + i) * columns + first_column + l;\n");
    emit_finish(g, two_stages);
    clg__str_add(g->out, "}\n}\n\n");
}

/* Combines the partial results of one output element and runs the epilogue. */
static void emit_final_kernel(generator *g, const char *name)
{
    clg__str_addf(g->out,
                  "__kernel void %s_final(ulong count, ulong inner, ulong parts, "
                  "__global const float *partial, ulong partial_at",
                  name);
    generator epilogue = make_generator(g->out, g->ir, g->cluster, 1);
    emit_parameters(&epilogue);
    clg__str_add(g->out, ")\n{\nconst ulong e = get_global_id(0), o = e / inner, l = 0;\n");
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out,
                      "float t%d[1] = {%s};\nfor (ulong p = 0; p < parts; ++p) t%d[0] = %s(t%d[0], "
                      "partial[partial_at + ((ulong)%d * count + o * inner) * parts + p * inner + "
                      "(e - o * inner)]);\n",
                      i, reduce_kinds[reduce_kind(g, i)].start, i,
                      reduce_kinds[reduce_kind(g, i)].combine, i, i);
    emit_finish(g, false);
    clg__str_add(g->out, "}\n\n");
}

static void emit_reduce_kernels(generator *g, const char *name, bool two_stages, int width)
{
    int first, behind;
    reduce_axes(g->cluster, &g->space, &first, &behind);
    emit_reduce_head(g, name, two_stages);
    if (behind == g->space.n_axes)
        emit_row_reduction(g, first, two_stages, width);
    else
        emit_column_reduction(g, first, behind, two_stages, width);
    if (two_stages) emit_final_kernel(g, name);
}

void clg__codegen_kernels(clg__str *out, const clg__ir *ir, const clg__cluster *c, const char *name,
                          bool two_stages)
{
    generator g = make_generator(out, ir, c, 0);
    int width = clg__vector_width(ir->ctx);
    if (c->kind == CLG__CLUSTER_POINTWISE)
        emit_pointwise_kernel(&g, name, width);
    else
        emit_reduce_kernels(&g, name, two_stages, width);
}

/* ---- epilogues of hand-written kernels ---- */

/* A macro body is one line: newlines of the emitted statements become blanks. */
static void add_as_one_line(clg__str *out, const char *text)
{
    for (; *text; text++) clg__str_addn(out, *text == '\n' ? " " : text, 1);
}

static void emit_store_macro(clg__str *out, generator g, int width)
{
    clg__str body = {0};
    g.out = &body;
    int inner = g.space.n_axes - 1;
    clg__str_addf(&body,
                  "const %s ANCHOR = (clg_v); const ulong e_row = (clg_r), e_col = (clg_c); ",
                  vector_type(width));
    if (inner == 1) emit_coordinates(&g, 0, 0, "e_row");
    emit_bases(&g, inner);
    emit_block(&g, "e_col", "e_row * e_columns + e_col", width);
    clg__str_addf(out, "#define STORE_%d(clg_v, clg_r, clg_c) do { ", width);
    add_as_one_line(out, clg__str_text(&body));
    clg__str_add(out, " } while (0)\n");
    out->failed |= body.failed;
    clg__str_free(&body);
}

void clg__codegen_epilogue(clg__str *out, const clg__ir *ir, const clg__cluster *c)
{
    generator g = make_generator(out, ir, c, 1);
    clg__str_add(out, "#define EPILOGUE_PARAMS , ulong e_columns");
    emit_parameters(&g);
    clg__str_add(out, "\n");
    static const int widths[] = {1, 4, 8, 16};
    for (size_t i = 0; i < CLG__COUNT(widths); i++) emit_store_macro(out, g, widths[i]);
}

/* ---- shares of work ---- */

void clg__reduce_plan_make(clg__reduce_plan *plan, const clg__ir *ir, const clg__cluster *c,
                           const clg__space *space)
{
    int first, behind;
    reduce_axes(c, space, &first, &behind);
    clg__reduce_plan p = {.two_stages = plan->two_stages, .outer = 1, .rows = 1, .inner_rows = 1};
    int inner = space->n_axes - 1;
    p.column_form = behind < space->n_axes;
    p.cols = space->extent[inner];
    for (int k = 0; k < first; k++) p.outer *= space->extent[k];
    for (int k = first; k < (p.column_form ? behind : inner); k++) p.rows *= space->extent[k];
    for (int k = behind; k < inner; k++) p.inner_rows *= space->extent[k];
    p.inner = p.column_form ? p.inner_rows * p.cols : 1;

    /* Shares of about `share` elements: short sums are accurate, and all compute units have work.
     */
    const int64_t share = p.column_form ? 512 : 16384;
    int64_t length = p.column_form ? p.rows : p.rows * p.cols;
    int64_t wanted = p.two_stages ? clg__min_i64(clg__ceil_div(length, share), 256) : 1;
    p.row_parts = clg__min_i64(wanted, p.rows);
    p.col_parts = p.column_form ? 1 : clg__max_i64(1, wanted / p.row_parts);
    p.row_chunk = clg__ceil_div(p.rows, p.row_parts);
    p.row_parts = clg__ceil_div(p.rows, p.row_chunk);
    p.col_chunk = clg__round_up(clg__ceil_div(p.cols, p.col_parts), clg__vector_width(ir->ctx));
    p.col_parts = p.column_form ? 1 : clg__ceil_div(p.cols, p.col_chunk);
    p.parts = p.row_parts * p.col_parts;
    *plan = p;
}
