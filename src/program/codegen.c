/*
 * Generated kernels: those of pointwise clusters; codegen_reduce.c has those of reductions.
 */
#include "program/stage.h"

enum { SHORT_ROW = 4096 }; /* elements: until it is read, what was asked for stays in the cache */

/* Loads of a matrix's columns through a view: their rows are mostly apart, such as those of a gate
 * among others, and a processor guesses little of what comes next. */
static uint32_t loads_of_rows(const clg__generator *g)
{
    uint32_t loads = 0;
    for (int l = 0; l < g->space.n_loads && g->space.n_axes == 2; l++) {
        const clg__load *load = &g->space.loads[l];
        const bool in_memory = !g->ir->values[load->value].node->op->load;
        if (in_memory && load->view >= 0 && load->moves & 1 && load->unit) loads |= 1u << l;
    }
    return loads & g->chosen;
}

/* Asks for such columns of the next row. */
static void emit_next_row(clg__generator *g, uint32_t loads)
{
    for (int l = 0; l < g->space.n_loads; l++)
        if (loads >> l & 1)
            clg__str_addf(g->out, "PREFETCH(%ci%d + %cp%d + next * %ci%d_s0 + c);\n", g->p, l, g->p,
                          l, g->p, l);
}

static void emit_pointwise_kernel(clg__generator *g, const char *name, int width)
{
    int inner = g->space.n_axes - 1;
    const uint32_t ahead = width > 4 ? loads_of_rows(g) : 0;
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
    if (ahead)
        clg__str_addf(g->out, "const ulong next = columns <= %d && row + 1 < r1;\n", SHORT_ROW);
    clg__emit_coordinates(g, 0, inner - 1, "row");
    clg__emit_bases(g, inner);
    clg__str_addf(g->out, "ulong c = c0;\nVECTOR_LOOP for (; c + %d <= c1; c += %d) {\n", width,
                  width);
    emit_next_row(g, ahead);
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
