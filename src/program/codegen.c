/*
 * Generated kernels of pointwise clusters, and the epilogue macros of hand-written kernels.
 */
#include "program/stage.h"

static void emit_pointwise_kernel(clg__generator *g, const char *name, int width)
{
    int inner = g->space.n_axes - 1;
    clg__str_addf(g->out, "__kernel void %s(ulong rows, ulong row_chunk, ulong column_chunk", name);
    clg__emit_parameters(g);
    clg__str_addf(
        g->out,
        ")\n{\n"
        "const ulong columns = %cd%d;\n"
        "const ulong c0 = get_global_id(0) * column_chunk, c1 = min(c0 + column_chunk, columns);\n"
        "const ulong r0 = get_global_id(1) * row_chunk, r1 = min(r0 + row_chunk, rows);\n",
        g->p, inner);
    clg__emit_invariants(g);
    clg__str_add(g->out, "for (ulong row = r0; row < r1; ++row) {\n");
    clg__emit_coordinates(g, 0, inner - 1, "row");
    clg__emit_bases(g, inner);
    clg__str_addf(g->out, "ulong c = c0;\nfor (; c + %d <= c1; c += %d) {\n", width, width);
    clg__emit_block(g, "c", "row * columns + c", width);
    clg__str_add(g->out, "}\nfor (; c < c1; ++c) {\n");
    clg__emit_block(g, "c", "row * columns + c", 1);
    clg__str_add(g->out, "}\n}\n}\n\n");
}

void clg__codegen_kernels(clg__str *out, const clg__ir *ir, const clg__cluster *c, const char *name,
                          bool two_stages)
{
    clg__generator g = clg__generator_make(out, ir, c, 0);
    int width = clg__vector_width(ir->ctx);
    if (c->kind == CLG__CLUSTER_POINTWISE)
        emit_pointwise_kernel(&g, name, width);
    else
        clg__codegen_reduce(&g, name, two_stages, width);
}

/* ---- epilogues of hand-written kernels ---- */

/* A macro body is one line: newlines of the emitted statements become blanks. */
static void add_as_one_line(clg__str *out, const char *text)
{
    for (; *text; text++) clg__str_addn(out, *text == '\n' ? " " : text, 1);
}

static void emit_store_macro(clg__str *out, clg__generator g, int width)
{
    clg__str body = {0};
    g.out = &body;
    int inner = g.space.n_axes - 1;
    clg__str_addf(&body,
                  "const %s ANCHOR = (clg_v); const ulong e_row = (clg_r), e_col = (clg_c); ",
                  clg__vector_type(width));
    if (inner == 1) clg__emit_coordinates(&g, 0, 0, "e_row");
    clg__emit_bases(&g, inner);
    clg__emit_block(&g, "e_col", "e_row * e_columns + e_col", width);
    clg__str_addf(out, "#define STORE_%d(clg_v, clg_r, clg_c) do { ", width);
    add_as_one_line(out, clg__str_text(&body));
    clg__str_add(out, " } while (0)\n");
    out->failed |= body.failed;
    clg__str_free(&body);
}

void clg__codegen_epilogue(clg__str *out, const clg__ir *ir, const clg__cluster *c)
{
    clg__generator g = clg__generator_make(out, ir, c, 1);
    clg__str_add(out, "#define EPILOGUE_PARAMS , ulong e_columns");
    clg__emit_parameters(&g);
    clg__str_add(out, "\n");
    static const int widths[] = {1, 4, 8, 16};
    for (size_t i = 0; i < CLG__COUNT(widths); i++) emit_store_macro(out, g, widths[i]);
}
