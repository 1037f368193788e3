/*
 * One stage of a cluster as OpenCL C: base addresses of its loads for one row, then for each vector
 * of columns the loads, one statement per member, and the stores. The same emitters serve flat
 * loops, reductions (as prologue and epilogue) and the epilogue macros of hand-written kernels.
 *
 * Names: stage 0 has prefix A, stage 1 prefix B, further clusters of a chain the next letters: Ax0
 * is its first load, Am0 its first member, Aq0 its first coordinate, Ap0 the base address of its
 * first load. r0 is the first reduction's result, ANCHOR the kernel's. Capitals keep clear of the
 * names in hand-written kernels. Sizes and strides are arguments; only constants that the batch
 * cannot change and the structure are text, so that equal clusters give equal kernels.
 */
#include <ctype.h>
#include <math.h>

#include "ops/tuning.h"
#include "program/stage.h"

clg__generator clg__generator_make(clg__str *out, const clg__ir *ir, const clg__cluster *c,
                                   int stage)
{
    clg__generator g = {.out = out,
                        .ir = ir,
                        .cluster = c,
                        .stage = stage,
                        .p = (char)('A' + 2 * c->place + stage),
                        .chosen = ~0u};
    if (!clg__space_make(&g.space, ir, c, stage)) out->failed = true;
    return g;
}

int clg__vector_width(const clg_context *ctx)
{
    return ctx->engine == CLG_ENGINE_CPU ? 16 : 4;
}

const char *clg__vector_type(int width)
{
    return width == 1 ? "float" : width == 4 ? "float4" : width == 8 ? "float8" : "float16";
}

/* ---- functions that processors compute themselves: see cl/pointwise.cl ---- */

static const char *const own_functions[] = {"exp", "expm1", "tanh", "erf", "log", "log1p"};

static bool starts_word(const char *text, const char *p)
{
    return p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == '_');
}

/* The one whose name, followed by `suffix`, begins the word at p; NULL if none does. */
static const char *own_function(const char *text, const char *p, const char *suffix)
{
    if (!starts_word(text, p)) return NULL;
    for (size_t i = 0; i < CLG__COUNT(own_functions); i++) {
        size_t length = strlen(own_functions[i]);
        if (strncmp(p, own_functions[i], length) == 0 &&
            strncmp(p + length, suffix, strlen(suffix)) == 0)
            return own_functions[i];
    }
    return NULL;
}

void clg__define_functions(clg__str *out, const char *code, int width)
{
    char suffix[8];
    snprintf(suffix, sizeof suffix, "_%d(", width);
    for (const char *p = code; *p; p++) {
        const char *name = own_function(code, p, suffix);
        if (name)
            clg__str_addf(out, "#ifndef HAS_%s_%d\n#define HAS_%s_%d\nMATH_%s(%d)\n#endif\n", name,
                          width, name, width, name, width);
    }
}

/* ---- what a stage stores ---- */

/* Results of a stage that have memory: ids into `ids`. */
static int stage_stores(const clg__ir *ir, const clg__cluster *c, int stage, int *ids)
{
    int n = 0;
    for (int i = 0; i < c->body[stage].n_members; i++) {
        int id = c->body[stage].members[i];
        if (ir->values[id].stored && clg__stage_owns(ir, c, stage, id)) ids[n++] = id;
    }
    if (stage == 0) return n;
    for (int i = 0; i < c->n_reduces; i++)
        if (ir->values[c->reduces[i]].stored) ids[n++] = c->reduces[i];
    if (c->anchor >= 0 && ir->values[c->anchor].stored) ids[n++] = c->anchor;
    return n;
}

/*
 * Whether an argument says if the stage's results go past the caches (cl/pointwise.cl). They do
 * where they are too large to be there still when they are read, are not stored over what was read
 * just before, and are whole lines.
 */
static bool may_bypass(const clg__ir *ir, const clg__cluster *c, int stage)
{
    int ids[CLG__MAX_STORES];
    return ir->ctx->engine == CLG_ENGINE_CPU && stage_stores(ir, c, stage, ids) > 0;
}

static bool replaces_load(const clg__ir *ir, const clg__space *space, int id)
{
    const int root = clg__ir_root(ir, id, NULL);
    for (int l = 0; l < space->n_loads; l++)
        if (clg__ir_root(ir, space->loads[l].value, NULL) == root) return true;
    return false;
}

/* By default from a quarter of the cache on: what was read and what else runs is there, too. */
static int64_t bypass_bytes(const clg_context *ctx)
{
    enum { MIB = 1 << 20, UNKNOWN = 32 * MIB };
    const uint64_t cache = ctx->info.cache_memory ? ctx->info.cache_memory : UNKNOWN;
    const int64_t tuned = clg__tuned_int(ctx, CLG__TUNE_BYPASS, NULL, -1);
    return tuned < 0 ? (int64_t)(cache / 4) : tuned * MIB;
}

/* Floats of a row that a kernel stores from its first on. */
static int64_t row_length(const clg__ir *ir, const clg__cluster *c, const clg__space *space)
{
    if (c->anchor < 0) return space->n_axes ? space->extent[space->n_axes - 1] : 1;
    const clg_shape *shape = &ir->values[c->anchor].node->shape;
    return shape->ndim ? shape->dim[shape->ndim - 1] : 1;
}

static bool bypasses(const clg__ir *ir, const clg__cluster *c, int stage, const clg__space *space)
{
    int ids[CLG__MAX_STORES];
    const int n = stage_stores(ir, c, stage, ids);
    const bool whole_lines = row_length(ir, c, space) % clg__vector_width(ir->ctx) == 0;
    int64_t bytes = (int64_t)sizeof(float) * n;
    for (int k = 0; k < space->n_axes; k++) bytes *= space->extent[k];
    if (!whole_lines || clg__next_in_chain(ir, c)) return false; /* a chain reads them at once */
    for (int i = 0; i < n; i++)
        if (replaces_load(ir, space, ids[i])) return false;
    return bytes >= bypass_bytes(ir->ctx);
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

/*
 * A parameter, in a kernel's head; or, in an epilogue, a constant that is the next shared argument
 * of that kind (epilogue.c).
 */
static void emit_number_parameter(clg__generator *g, const char *type, char kind, int *slot,
                                  const char *name)
{
    if (g->slots)
        clg__str_addf(g->out, "const %s %s = E%c%d; ", type, name, kind, (*slot)++);
    else
        clg__str_addf(g->out, ", %s %s", type, name);
}

static void emit_long(clg__generator *g, const char *name)
{
    emit_number_parameter(g, "ulong", 'L', g->slots ? &g->slots->longs : NULL, name);
}

static void emit_pointer(clg__generator *g, const char *qualifier, const char *type,
                         const char *name)
{
    if (g->slots) {
        int slot = g->slots->buffers++;
        clg__str_addf(g->out,
                      "__global %s%s *%s = (__global %s%s *)EB%d; const ulong %s_at = EB%d_at; ",
                      qualifier, type, name, qualifier, type, slot, name, slot);
    } else {
        clg__str_addf(g->out, ", __global %s%s *%s, ulong %s_at", qualifier, type, name, name);
    }
}

/* clg__bind_stage gives the arguments in the same order. */
void clg__emit_parameters(clg__generator *g)
{
    int ids[CLG__MAX_STORES];
    char name[32];
#define NAME(...) (snprintf(name, sizeof name, __VA_ARGS__), name)
    for (int k = 0; k < g->space.n_axes; k++) emit_long(g, NAME("%cd%d", g->p, k));
    for (int l = 0; l < g->space.n_loads; l++) {
        const clg__load *load = &g->space.loads[l];
        if (is_generated(g->ir, load->value)) {
            emit_long(g, NAME("%ci%d_key", g->p, l));
            emit_long(g, NAME("%ci%d_at", g->p, l));
        } else {
            emit_pointer(g, "const ", storage_type(g->ir, load->value), NAME("%ci%d", g->p, l));
        }
        for (int k = 0; k < g->space.n_axes; k++)
            if (stride_is_argument(&g->space, load, k)) emit_long(g, NAME("%ci%d_s%d", g->p, l, k));
    }
    for (int i = 0; i < g->space.n_numbers; i++)
        emit_number_parameter(g, "float", 'F', g->slots ? &g->slots->floats : NULL,
                              NAME("%cu%d", g->p, i));
    const int n = stage_stores(g->ir, g->cluster, g->stage, ids);
    for (int i = 0; i < n; i++)
        emit_pointer(g, "", storage_type(g->ir, ids[i]), NAME("%co%d", g->p, i));
    if (may_bypass(g->ir, g->cluster, g->stage)) emit_long(g, NAME("%cbypass", g->p));
    if (clg__stage_uses_step(g->ir, g->cluster, g->stage))
        emit_number_parameter(g, "ulong", 'S', g->slots ? &g->slots->steps : NULL,
                              NAME("%cstep", g->p));
#undef NAME
}

static uint64_t stream_key(const clg__ir *ir, const clg_tensor *node)
{
    uint64_t words[2] = {ir->graph->seed, *(const uint64_t *)node->attr};
    return clg__hash(words, sizeof words).lo;
}

/* What index i of the outermost axis reads: the first collapsed axis is that and perhaps more. */
static void tell_load(clg__launch *launch, const clg__ir *ir, const clg__space *space,
                      const clg__load *load, int64_t samples)
{
    if (clg_dtype_size(ir->values[load->value].node->dtype) != sizeof(float)) return;
    const int64_t inner = space->extent[0] / samples;
    int64_t span = 1 + (inner - 1) * load->stride[0];
    for (int k = 0; k < space->n_axes; k++) {
        if (load->stride[k] < 0) return;
        if (k > 0) span += (space->extent[k] - 1) * load->stride[k];
    }
    clg__launch_touches(launch, inner * load->stride[0], span, false);
}

static void tell_store(clg__launch *launch, const clg__ir *ir, const clg__space *space, int id,
                       int64_t samples)
{
    if (clg_dtype_size(ir->values[id].node->dtype) != sizeof(float)) return;
    int64_t count = 1;
    for (int k = 0; k < space->n_axes; k++) count *= space->extent[k];
    clg__launch_touches(launch, count / samples, count / samples, true);
}

void clg__bind_stage(clg__launch *launch, const clg__ir *ir, const clg__cluster *c, int stage,
                     const clg__space *space, int64_t batch)
{
    int ids[CLG__MAX_STORES];
    const int64_t samples = clg__space_samples(space, ir, c, stage, batch);
    for (int k = 0; k < space->n_axes; k++) clg__launch_long(launch, space->extent[k]);
    for (int l = 0; l < space->n_loads; l++) {
        const clg__load *load = &space->loads[l];
        if (is_generated(ir, load->value)) {
            clg__launch_long(launch, (int64_t)stream_key(ir, ir->values[load->value].node));
            clg__launch_long(launch, load->offset);
        } else {
            clg__launch_buffer_at(launch, load->value, load->offset);
            tell_load(launch, ir, space, load, samples);
        }
        for (int k = 0; k < space->n_axes; k++)
            if (stride_is_argument(space, load, k)) clg__launch_long(launch, load->stride[k]);
    }
    for (int i = 0; i < space->n_numbers; i++) {
        const clg__value *v = &ir->values[space->numbers[i]];
        double ratio = (double)batch / (double)ir->graph->batch;
        clg__launch_float(launch, v->number * pow(ratio, v->power));
    }
    const int n = stage_stores(ir, c, stage, ids);
    for (int i = 0; i < n; i++) {
        clg__launch_buffer(launch, ids[i]);
        tell_store(launch, ir, space, ids[i], samples);
    }
    if (may_bypass(ir, c, stage)) clg__launch_long(launch, bypasses(ir, c, stage, space));
    if (clg__stage_uses_step(ir, c, stage)) clg__launch_step(launch);
}

/* ---- statements ---- */

/* Coordinates along the axes first .. last from a linear index, innermost fastest. */
void clg__emit_coordinates(clg__generator *g, int first, int last, const char *linear)
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
void clg__emit_bases(clg__generator *g, int n_outer)
{
    for (int l = 0; l < g->space.n_loads; l++) {
        if (!(g->chosen >> l & 1)) continue;
        clg__str_addf(g->out, "    const ulong %cp%d = %ci%d_at", g->p, l, g->p, l);
        for (int k = 0; k < n_outer; k++)
            if (g->space.loads[l].moves >> k & 1)
                clg__str_addf(g->out, " + %cq%d * %ci%d_s%d", g->p, k, g->p, l, k);
        clg__str_add(g->out, ";\n");
    }
}

/* Where adjacent elements of a load are: from `index` on, `stride` apart. */
typedef struct place_of_load {
    char index[128], stride[32];
    bool moves, unit; /* the stride is not 0; it is 1 */
} place_of_load;

static void emit_generated_load(clg__generator *g, int l, const place_of_load *at, int width)
{
    const char *macro = g->ir->values[g->space.loads[l].value].node->op->load;
    clg__str_addf(g->out, "LANES_%d(GENERATE_%s, %s, (ulong)(%s), %ci%d_key, %cstep);\n", width,
                  macro, at->index, at->stride, g->p, l, g->p);
}

static void emit_buffer_load(clg__generator *g, int l, const place_of_load *at, int width)
{
    bool is_float = g->ir->values[g->space.loads[l].value].node->dtype == CLG_F32;
    const char *close = is_float ? "" : ")";
    if (!is_float && width > 1) clg__str_addf(g->out, "convert_float%d(", width);
    if (!is_float && width == 1) clg__str_add(g->out, "(float)(");
    if (width == 1) {
        clg__str_addf(g->out, "%ci%d[%s]", g->p, l, at->index);
    } else if (at->unit && is_float) {
        clg__str_addf(g->out, "load_vector_%d(%ci%d + %s)", width, g->p, l, at->index);
    } else if (at->unit) {
        clg__str_addf(g->out, "vload%d(0, %ci%d + %s)", width, g->p, l, at->index);
    } else if (!at->moves) {
        clg__str_addf(g->out, "(%s%d)(%ci%d[%s])", storage_type(g->ir, g->space.loads[l].value),
                      width, g->p, l, at->index);
    } else {
        clg__str_addf(g->out, "(%s%d)(", storage_type(g->ir, g->space.loads[l].value), width);
        for (int i = 0; i < width; i++)
            clg__str_addf(g->out, "%s%ci%d[%s + %d * %s]", i ? ", " : "", g->p, l, at->index, i,
                          at->stride);
        clg__str_add(g->out, ")");
    }
    clg__str_addf(g->out, "%s;\n", close);
}

static void emit_load(clg__generator *g, int l, const place_of_load *at, int width)
{
    if (is_generated(g->ir, g->space.loads[l].value))
        emit_generated_load(g, l, at, width);
    else
        emit_buffer_load(g, l, at, width);
}

static place_of_load place_at_column(const clg__generator *g, int l, const char *column)
{
    const int inner = g->space.n_axes - 1;
    const clg__load *load = &g->space.loads[l];
    place_of_load at = {.moves = load->moves >> inner & 1, .unit = load->unit};
    snprintf(at.stride, sizeof at.stride, "%ci%d_s%d", g->p, l, inner);
    if (!at.moves || at.unit) snprintf(at.stride, sizeof at.stride, "%s", at.moves ? "1" : "0");
    if (!at.moves)
        snprintf(at.index, sizeof at.index, "%cp%d", g->p, l);
    else if (at.unit)
        snprintf(at.index, sizeof at.index, "%cp%d + (%s)", g->p, l, column);
    else
        snprintf(at.index, sizeof at.index, "%cp%d + (%s) * %s", g->p, l, column, at.stride);
    return at;
}

void clg__emit_loads(clg__generator *g, const char *column, int width)
{
    for (int l = 0; l < g->space.n_loads; l++) {
        if (!(g->chosen >> l & 1)) continue;
        const place_of_load at = place_at_column(g, l, column);
        clg__str_addf(g->out, "    const %s %cx%d = ", clg__vector_type(width), g->p, l);
        emit_load(g, l, &at, width);
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
    clg__str_addf(out, width == 1 ? "(%s%s)" : "((%s)(%s))",
                  width == 1 ? "" : clg__vector_type(width), text);
}

/* A value that is one number everywhere: as text, or the argument where it follows the batch. */
static void emit_uniform(clg__generator *g, int id, int width)
{
    const clg__value *v = &g->ir->values[id];
    if (v->power == 0) {
        emit_number(g->out, v->number, width);
        return;
    }
    int i = 0;
    while (g->space.numbers[i] != id) i++;
    clg__str_addf(g->out, "((%s)(%cu%d))", clg__vector_type(width), g->p, i);
}

/* The expression that stands for an input of a member. */
void clg__emit_operand(clg__generator *g, int id, int width)
{
    const clg__value *v = &g->ir->values[id];
    const clg__stage *stage = &g->cluster->body[g->stage];
    for (int m = 0; m < stage->n_members; m++) {
        if (stage->members[m] != id) continue;
        if (width > 1 && clg__is_invariant(g->ir, g->cluster, id))
            clg__str_addf(g->out, "((%s)(%cm%d))", clg__vector_type(width), g->p, m);
        else
            clg__str_addf(g->out, "%cm%d", g->p, m);
        return;
    }
    if (v->uniform) {
        emit_uniform(g, id, width);
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

/* The row's expression with the width: V( becomes V16(, exp( perhaps exp_16(, V_( a conversion. */
static void emit_expression(clg__generator *g, const char *text, int width)
{
    /* Of multiply-adds that a compiler has to emulate, they would be thousands of operations. */
    bool own = g->ir->ctx->engine == CLG_ENGINE_CPU && g->ir->ctx->info.fma;
    for (const char *p = text; *p; p++) {
        const char *name = own ? own_function(text, p, "(") : NULL;
        if (name) {
            clg__str_addf(g->out, "%s_%d", name, width);
            p += strlen(name) - 1;
        } else if (starts_word(text, p) && strncmp(p, "V_(", 3) == 0) {
            clg__str_addf(g->out, "(%s)(", clg__vector_type(width));
            p += 2;
        } else if (starts_word(text, p) && strncmp(p, "V(", 2) == 0) {
            clg__str_addf(g->out, "V%d(", width);
            p += 1;
        } else {
            clg__str_addn(g->out, p, 1);
        }
    }
}

static void emit_pointwise(clg__generator *g, int m, const clg__value *v, int width)
{
    const clg__pointwise *row = v->node->op->pointwise;
    const clg__pointwise_attr *attr = v->node->attr;
    clg__str_addf(g->out, "    %s %cm%d; { ", clg__vector_type(width), g->p, m);
    for (int i = 0; i < row->arity; i++) {
        clg__str_addf(g->out, "const %s %c = ", clg__vector_type(width), "xyz"[i]);
        clg__emit_operand(g, v->inputs[i], width);
        clg__str_add(g->out, "; ");
    }
    const double parameters[2] = {attr->a, attr->b};
    for (int i = 0; i < row->n_parameters; i++) {
        clg__str_addf(g->out, "const float %c = ", "ab"[i]);
        emit_number(g->out, parameters[i], 1);
        clg__str_add(g->out, "; ");
    }
    clg__str_addf(g->out, "%cm%d = ", g->p, m);
    emit_expression(g, row->expression, width);
    clg__str_add(g->out, "; }\n");
}

static void emit_members(clg__generator *g, int width)
{
    const clg__stage *stage = &g->cluster->body[g->stage];
    for (int m = 0; m < stage->n_members; m++) {
        int id = stage->members[m];
        const clg__value *v = &g->ir->values[id];
        if (clg__is_invariant(g->ir, g->cluster, id)) continue; /* in front of the loops */
        if (!v->uniform && v->node->op->class_ == CLG__POINTWISE) {
            emit_pointwise(g, m, v, width);
            continue;
        }
        /* A stored constant, a view or a generated source: a copy of what was loaded. */
        clg__str_addf(g->out, "    const %s %cm%d = ", clg__vector_type(width), g->p, m);
        if (v->uniform)
            emit_uniform(g, id, width);
        else
            clg__str_addf(g->out, "%cx%d", g->p, clg__space_find(&g->space, g->ir, id));
        clg__str_add(g->out, ";\n");
    }
}

/* The value to store: a view of integers stays one in memory. */
static void emit_stored(clg__generator *g, int id, int width)
{
    bool is_float = g->ir->values[id].node->dtype == CLG_F32;
    if (!is_float) clg__str_addf(g->out, "convert_%s", storage_type(g->ir, id));
    if (!is_float && width > 1) clg__str_addf(g->out, "%d", width);
    if (!is_float) clg__str_add(g->out, "(");
    clg__emit_operand(g, id, width);
    if (!is_float) clg__str_add(g->out, ")");
}

static void emit_float_store(clg__generator *g, const char *address, int id, int width)
{
    const bool may = width > 4 && may_bypass(g->ir, g->cluster, g->stage);
    clg__str_addf(g->out, "    store_%s_%d(", may ? "result" : "vector", width);
    emit_stored(g, id, width);
    clg__str_addf(g->out, ", %s", address);
    if (may) clg__str_addf(g->out, ", %cbypass", g->p);
    clg__str_add(g->out, ");\n");
}

static void emit_stores(clg__generator *g, const char *index, int width)
{
    int ids[CLG__MAX_STORES];
    int n = stage_stores(g->ir, g->cluster, g->stage, ids);
    for (int i = 0; i < n; i++) {
        char address[160];
        snprintf(address, sizeof address, "%co%d + %co%d_at + (%s)", g->p, i, g->p, i, index);
        if (width == 1) {
            clg__str_addf(g->out, "    *(%s) = ", address);
            emit_stored(g, ids[i], 1);
            clg__str_add(g->out, ";\n");
        } else if (g->ir->values[ids[i]].node->dtype == CLG_F32) {
            emit_float_store(g, address, ids[i], width);
        } else {
            clg__str_addf(g->out, "    vstore%d(", width);
            emit_stored(g, ids[i], width);
            clg__str_addf(g->out, ", 0, %s);\n", address);
        }
    }
}

void clg__emit_ahead(clg__generator *g, const char *index)
{
    int ids[CLG__MAX_STORES];
    int n = stage_stores(g->ir, g->cluster, g->stage, ids);
    if (may_bypass(g->ir, g->cluster, g->stage)) clg__str_addf(g->out, "if (!%cbypass) { ", g->p);
    for (int i = 0; i < n; i++)
        clg__str_addf(g->out, "    PREFETCH_STORE(%co%d + %co%d_at + (%s));\n", g->p, i, g->p, i,
                      index);
    if (may_bypass(g->ir, g->cluster, g->stage)) clg__str_add(g->out, "}\n");
}

/* ---- what does not depend on the element ---- */

static bool serves_invariant(const clg__generator *g, int l)
{
    const clg__stage *stage = &g->cluster->body[g->stage];
    for (int m = 0; m < stage->n_members; m++) {
        const clg__value *v = &g->ir->values[stage->members[m]];
        if (!clg__is_invariant(g->ir, g->cluster, stage->members[m])) continue;
        for (int i = 0; i < v->n_inputs; i++)
            if (clg__space_find(&g->space, g->ir, v->inputs[i]) == l) return true;
    }
    return false;
}

void clg__emit_invariants(clg__generator *g)
{
    const clg__stage *stage = &g->cluster->body[g->stage];
    for (int l = 0; l < g->space.n_loads; l++) {
        if (!serves_invariant(g, l)) continue;
        place_of_load at = {.stride = "0"};
        snprintf(at.index, sizeof at.index, "%ci%d_at", g->p, l);
        clg__str_addf(g->out, "const float %cx%d = ", g->p, l);
        emit_load(g, l, &at, 1);
    }
    for (int m = 0; m < stage->n_members; m++)
        if (clg__is_invariant(g->ir, g->cluster, stage->members[m]))
            emit_pointwise(g, m, &g->ir->values[stage->members[m]], 1);
}

/* ---- flat kernels ---- */

void clg__emit_block(clg__generator *g, const char *column, const char *index, int width)
{
    clg__emit_loads(g, column, width);
    emit_members(g, width);
    emit_stores(g, index, width);
}
