/*
 * Reductions of the CPU engine whose reduced axes are innermost: one cluster, or a chain of them
 * (chain.c), with as many row after row. A work-item takes whole rows through all clusters; each
 * of these reads what the one before it stored. Long rows that are cut into parts have a kernel of
 * their own, and a second one for the partial results (codegen_reduce.c).
 */
#include "program/reduce.h"

/* Lanes of the vector sums, combined as a tree of fixed shape, then the tail's sum. */
static void emit_lanes_to_total(clg__generator *g, int width)
{
    for (int i = 0; i < g->cluster->n_reduces; i++) {
        const char *combine = clg__reduce_combine(g, i);
        clg__str_addf(g->out,
                      "float t%d[%d]; vstore%d(s%d_%d, 0, t%d);\n"
                      "for (int h = %d; h; h >>= 1) for (int l = 0; l < h; ++l) t%d[l] = "
                      "%s(t%d[l], t%d[l + h]);\n"
                      "t%d[0] = %s(t%d[0], s%d_1);\n",
                      i, width, width, i, width, i, width / 2, i, combine, i, i, i, combine, i, i);
    }
}

/* Rows r0 .. r1 - 1 of columns c0 .. c1 - 1 of output element o: sums, then what is made of them.
 */
static void emit_share(clg__generator *g, int first, bool two_stages, int width)
{
    int inner = g->space.n_axes - 1;
    clg__emit_sums(g, width);
    clg__emit_sums(g, 1);
    clg__emit_coordinates(g, 0, first - 1, "o");
    clg__str_add(g->out, "for (ulong row = r0; row < r1; ++row) {\n");
    clg__emit_coordinates(g, first, inner - 1, "row");
    clg__emit_bases(g, inner);
    clg__str_addf(g->out, "ulong c = c0;\nVECTOR_LOOP for (; c + %d <= c1; c += %d) {\n", width,
                  width);
    clg__emit_block(g, "c", "(o * rows + row) * columns + c", width);
    clg__emit_accumulate(g, width);
    clg__str_add(g->out, "}\nPLAIN_LOOP for (; c < c1; ++c) {\n");
    clg__emit_block(g, "c", "(o * rows + row) * columns + c", 1);
    clg__emit_accumulate(g, 1);
    clg__str_add(g->out, "}\n}\n");
    if (g->cluster->n_reduces == 0) return;
    emit_lanes_to_total(g, width);
    clg__str_add(g->out, "{ const uint l = 0; const ulong e = o;\n");
    clg__emit_finish(g, two_stages);
    clg__str_add(g->out, "}\n");
}

static int first_reduced_axis(const clg__generator *g)
{
    int first, behind;
    clg__reduce_axes(g->cluster, &g->space, &first, &behind);
    return first;
}

void clg__codegen_row_parts(clg__generator *g, const char *name, int width)
{
    clg__str_addf(g->out, "ENTRY void %s(WHERE_PARAMS ", name);
    clg__emit_reduce_head(g, "", true);
    clg__str_add(
        g->out,
        "const ulong o = WHERE_X, part = WHERE_Y;\n"
        "const ulong r0 = part / column_parts * row_chunk, r1 = min(r0 + row_chunk, rows);\n"
        "const ulong c0 = part % column_parts * column_chunk, c1 = min(c0 + column_chunk, "
        "columns);\n"
        "if (o >= outer || part >= parts) return;\n");
    emit_share(g, first_reduced_axis(g), true, width);
    clg__str_add(g->out, "}\n\n");
}

static void emit_cluster(clg__str *out, const clg__ir *ir, const clg__cluster *c, int width)
{
    clg__generator g = clg__generator_make(out, ir, c, 0);
    clg__str_addf(out,
                  "{\nconst ulong rows = rows_%d, columns = %cd%d;\n"
                  "const ulong r0 = 0, r1 = rows, c0 = 0, c1 = columns;\n",
                  c->place, g.p, g.space.n_axes - 1);
    emit_share(&g, first_reduced_axis(&g), false, width);
    clg__str_add(out, "}\n");
}

void clg__codegen_rows(clg__str *out, const clg__ir *ir, const clg__cluster *head, const char *name,
                       int width)
{
    clg__str_addf(out, "ENTRY void %s(WHERE_PARAMS ulong outer, ulong share", name);
    for (const clg__cluster *c = head; c; c = clg__next_in_chain(ir, c)) {
        clg__str_addf(out, ", ulong rows_%d", c->place);
        for (int stage = 0; stage < (c->n_reduces ? 2 : 1); stage++) {
            clg__generator g = clg__generator_make(out, ir, c, stage);
            clg__emit_parameters(&g);
        }
    }
    clg__str_add(out, ")\n{\nconst ulong o0 = WHERE_X * share;\n"
                      "PLAIN_LOOP for (ulong o = o0; o < min(o0 + share, outer); ++o) {\n");
    for (const clg__cluster *c = head; c; c = clg__next_in_chain(ir, c))
        emit_cluster(out, ir, c, width);
    clg__str_add(out, "}\n}\n\n");
}
