/*
 * Generated reductions of the CPU engine, and what both engines' share. If the reduced axes are the
 * innermost, a work-item walks along rows with a vector of sums (codegen_rows.c); otherwise it owns
 * a strip of columns and walks down its share of the rows. Long reductions are cut into parts of
 * fixed sizes: partial results go to scratch memory and a second kernel combines them in order, so
 * that a result never depends on timing. The GPU engine's kernels are in codegen_reduce_group.c.
 */
#include "program/reduce.h"

enum { ROWS = 4 }; /* that are added at once where columns stay: a power of two */

/* ---- reductions ---- */

static const struct {
    const char *start, *combine;
} reduce_kinds[] = {
    [CLG__REDUCE_SUM] = {"0.0f", "COMBINE_SUM"}, [CLG__REDUCE_MAX] = {"-INFINITY", "COMBINE_MAX"}};

static int reduce_kind(const clg__generator *g, int i)
{
    return ((const clg__reduce_attr *)g->ir->values[g->cluster->reduces[i]].node->attr)->kind;
}

const char *clg__reduce_start(const clg__generator *g, int i)
{
    return reduce_kinds[reduce_kind(g, i)].start;
}

const char *clg__reduce_combine(const clg__generator *g, int i)
{
    return reduce_kinds[reduce_kind(g, i)].combine;
}

void clg__emit_accumulate(clg__generator *g, int width)
{
    for (int i = 0; i < g->cluster->n_reduces; i++) {
        clg__str_addf(g->out, "    s%d_%d = %s(s%d_%d, (", i, width, clg__reduce_combine(g, i), i,
                      width);
        clg__emit_operand(g, g->ir->values[g->cluster->reduces[i]].inputs[0], width);
        clg__str_add(g->out, "));\n");
    }
}

void clg__emit_sums(clg__generator *g, int width)
{
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out, "%s s%d_%d = (%s)(%s);\n", clg__vector_type(width), i, width,
                      clg__vector_type(width), clg__reduce_start(g, i));
}

void clg__emit_finish(clg__generator *g, bool two_stages)
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
    clg__generator epilogue = clg__generator_make(out, g->ir, g->cluster, 1);
    clg__emit_coordinates(&epilogue, 0, epilogue.space.n_axes - 1, "e");
    clg__emit_bases(&epilogue, epilogue.space.n_axes - 1);
    char column[16];
    snprintf(column, sizeof column, "%cq%d", epilogue.p, epilogue.space.n_axes - 1);
    clg__emit_block(&epilogue, column, "e", 1);
}

void clg__emit_reduce_head(clg__generator *g, const char *more, bool two_stages)
{
    clg__str_addf(g->out,
                  "ulong outer, ulong rows, ulong row_chunk, ulong column_chunk, "
                  "ulong column_parts, ulong parts, ulong inner_rows, ulong inner%s",
                  more);
    clg__emit_parameters(g);
    if (two_stages) {
        clg__str_add(g->out, ", __global float *partial, ulong partial_at");
    } else {
        clg__generator epilogue = clg__generator_make(g->out, g->ir, g->cluster, 1);
        clg__emit_parameters(&epilogue);
    }
    clg__str_addf(g->out, ")\n{\nconst ulong columns = %cd%d;\n", g->p, g->space.n_axes - 1);
}

/* t += the rows' values, which are added in pairs first: no sum waits for all before it. */
static void emit_add_rows(clg__generator *g, int i, int width, int rows)
{
    const char *combine = clg__reduce_combine(g, i);
    for (int h = rows / 2; h; h /= 2)
        for (int d = 0; d < h; d++)
            clg__str_addf(g->out, "s%d[%d] = %s(s%d[%d], s%d[%d]);\n", i, d, combine, i, d, i,
                          d + h);
    if (width == 1)
        clg__str_addf(g->out, "t%d[l] = %s(t%d[l], s%d[0]);\n", i, combine, i, i);
    else
        clg__str_addf(g->out, "vstore%d(%s(vload%d(0, t%d + l), s%d[0]), 0, t%d + l);\n", width,
                      combine, width, i, i, i);
}

/* Loads that stay the same from row to row, as a mask. */
static uint32_t steady_loads(const clg__generator *g, int first, int behind)
{
    const uint32_t reduced = ((1u << behind) - 1) & ~((1u << first) - 1);
    uint32_t steady = 0;
    for (int l = 0; l < g->space.n_loads; l++)
        steady |= (uint32_t) !(g->space.loads[l].moves & reduced) << l;
    return steady;
}

/* Adds `rows` rows (1 or ROWS), from `row` on, of the columns from c on to their totals. */
static void emit_column_block(clg__generator *g, int first, int behind, int width, int rows)
{
    const char *type = clg__vector_type(width);
    const uint32_t steady = steady_loads(g, first, behind);
    g->chosen = steady;
    clg__emit_loads(g, "c", width);
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out, "%s s%d[%d];\n", type, i, rows);
    clg__str_addf(g->out, "ALL_AT_ONCE for (ulong d = 0; d < %d; ++d) {\n", rows);
    g->chosen = ~steady;
    clg__emit_coordinates(g, first, behind - 1, "(row + d)");
    clg__emit_bases(g, g->space.n_axes - 1);
    clg__emit_block(g, "c", "((o * rows + row + d) * inner_rows + i) * columns + c", width);
    g->chosen = ~0u;
    for (int i = 0; i < g->cluster->n_reduces; i++) {
        clg__str_addf(g->out, "s%d[d] = ", i);
        clg__emit_operand(g, g->ir->values[g->cluster->reduces[i]].inputs[0], width);
        clg__str_add(g->out, ";\n");
    }
    clg__str_add(g->out, "}\n");
    for (int i = 0; i < g->cluster->n_reduces; i++) emit_add_rows(g, i, width, rows);
}

/* The rows from `row` on in steps of `rows`, as long as there are as many. */
static void emit_rows(clg__generator *g, int first, int behind, int width, int rows)
{
    clg__str_addf(g->out,
                  "for (; row + %d <= r1; row += %d) VECTOR_LOOP for (ulong l = 0; l < whole; l += "
                  "%d) {\nconst ulong c = first_column + l;\n",
                  rows, rows, width);
    emit_column_block(g, first, behind, width, rows);
    clg__str_add(g->out, "}\n");
}

/* What vectors leave over. */
static void emit_single_columns(clg__generator *g, int first, int behind)
{
    clg__str_add(g->out, "PLAIN_LOOP for (ulong l = whole; l < n; ++l) PLAIN_LOOP for (ulong row = "
                         "r0; row < r1; ++row) {\nconst ulong c = first_column + l;\n");
    emit_column_block(g, first, behind, 1, 1);
    clg__str_add(g->out, "}\n");
}

/*
 * Columns stay: a work-item owns a strip of them and walks down its share of the rows, ROWS at a
 * time. The totals are in the cache next to it, which is no detour: they are read and written once
 * for ROWS reads, and in return memory is read in long runs.
 */
static void emit_column_reduction(clg__generator *g, const char *name, bool two_stages, int width)
{
    int first, behind;
    clg__reduce_axes(g->cluster, &g->space, &first, &behind);
    clg__str_addf(g->out, "ENTRY void %s(WHERE_PARAMS ", name);
    clg__emit_reduce_head(g, "", two_stages);
    clg__str_addf(
        g->out,
        "const ulong o = WHERE_Y / inner_rows, i = WHERE_Y %% inner_rows;\n"
        "const ulong part = WHERE_Z, first_column = WHERE_X * column_chunk;\n"
        "if (o >= outer || first_column >= columns || part >= parts) return;\n"
        "const ulong r0 = part * row_chunk, r1 = min(r0 + row_chunk, rows);\n"
        "const ulong n = min(column_chunk, columns - first_column), whole = n - n %% %d;\n",
        width);
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out,
                      "float t%d[%d];\nPLAIN_LOOP for (ulong l = 0; l < n; ++l) t%d[l] = %s;\n", i,
                      clg__reduce_strip(g->cluster), i, clg__reduce_start(g, i));
    clg__emit_coordinates(g, 0, first - 1, "o");
    clg__emit_coordinates(g, behind, g->space.n_axes - 2, "i");
    g->chosen = steady_loads(g, first, behind);
    clg__emit_bases(g, g->space.n_axes - 1);
    clg__str_add(g->out, "ulong row = r0;\n");
    emit_rows(g, first, behind, width, ROWS);
    emit_rows(g, first, behind, width, 1);
    emit_single_columns(g, first, behind);
    clg__str_add(g->out, "PLAIN_LOOP for (ulong l = 0; l < n; ++l) {\n"
                         "const ulong e = (o * inner_rows + i) * columns + first_column + l;\n");
    clg__emit_finish(g, two_stages);
    clg__str_add(g->out, "}\n}\n\n");
}

/* Combines the partial results of one output element and runs the epilogue. */
static void emit_final_kernel(clg__generator *g, const char *name)
{
    clg__str_addf(g->out,
                  "ENTRY void %s_final(WHERE_PARAMS ulong count, ulong inner, ulong parts, "
                  "__global const float *partial, ulong partial_at",
                  name);
    clg__generator epilogue = clg__generator_make(g->out, g->ir, g->cluster, 1);
    clg__emit_parameters(&epilogue);
    clg__str_add(g->out, ")\n{\nconst ulong e = WHERE_X, o = e / inner, l = 0;\n"
                         "if (e >= count) return;\n");
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out,
                      "float t%d[1] = {%s};\nfor (ulong p = 0; p < parts; ++p) t%d[0] = %s(t%d[0], "
                      "partial[partial_at + ((ulong)%d * count + o * inner) * parts + p * inner + "
                      "(e - o * inner)]);\n",
                      i, clg__reduce_start(g, i), i, clg__reduce_combine(g, i), i, i);
    clg__emit_finish(g, false);
    clg__str_add(g->out, "}\n\n");
}

void clg__codegen_reduce(clg__generator *g, const char *name, bool two_stages, int width)
{
    int first, behind;
    if (g->ir->ctx->engine == CLG_ENGINE_GPU) {
        clg__codegen_reduce_group(g, name, two_stages);
        return;
    }
    clg__reduce_axes(g->cluster, &g->space, &first, &behind);
    if (behind < g->space.n_axes)
        emit_column_reduction(g, name, two_stages, width);
    else if (two_stages)
        clg__codegen_row_parts(g, name, width);
    else
        clg__codegen_rows(g->out, g->ir, g->cluster, name, width);
    if (two_stages) emit_final_kernel(g, name);
}
