/*
 * Generated kernels: those of pointwise clusters; codegen_reduce.c has those of reductions.
 */
#include "program/stage.h"

static void emit_pointwise_kernel(clg__generator *g, const char *name, int width)
{
    int inner = g->space.n_axes - 1;
    clg__str_addf(
        g->out, "ENTRY void %s(WHERE_PARAMS ulong rows, ulong row_chunk, ulong column_chunk", name);
    clg__emit_parameters(g);
    clg__str_addf(g->out,
                  ")\n{\n"
                  "const ulong columns = %cd%d;\n"
                  "const ulong c0 = WHERE_X * column_chunk, c1 = min(c0 + column_chunk, columns);\n"
                  "const ulong r0 = WHERE_Y * row_chunk, r1 = min(r0 + row_chunk, rows);\n",
                  g->p, inner);
    clg__emit_invariants(g);
    clg__str_add(g->out, "for (ulong row = r0; row < r1; ++row) {\n");
    clg__emit_coordinates(g, 0, inner - 1, "row");
    clg__emit_bases(g, inner);
    clg__str_addf(g->out, "ulong c = c0;\nVECTOR_LOOP for (; c + %d <= c1; c += %d) {\n", width,
                  width);
    clg__emit_block(g, "c", "row * columns + c", width);
    clg__str_add(g->out, "}\nPLAIN_LOOP for (; c < c1; ++c) {\n");
    clg__emit_block(g, "c", "row * columns + c", 1);
    clg__str_add(g->out, "}\n}\n}\n\n");
}

void clg__codegen_kernels(clg__str *out, const clg__ir *ir, const clg__cluster *c, const char *name,
                          bool two_stages)
{
    clg__str text = {0};
    clg__generator g = clg__generator_make(&text, ir, c, 0);
    int width = clg__vector_width(ir->ctx);
    if (c->kind == CLG__CLUSTER_POINTWISE)
        emit_pointwise_kernel(&g, name, width);
    else
        clg__codegen_reduce(&g, name, two_stages, width);
    clg__define_functions(out, clg__str_text(&text), width);
    clg__define_functions(out, clg__str_text(&text), 1);
    clg__str_add(out, clg__str_text(&text));
    out->failed |= text.failed;
    clg__str_free(&text);
}
