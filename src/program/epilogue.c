/*
 * Epilogues: what hand-written kernels do with their results. A kernel's body takes a compiler far
 * longer than its epilogue does, so all epilogues that a program needs of one kernel are in one
 * module, and the kernel chooses by a number: nine times a tile of 12 x 32 accumulators is a second
 * of compiling, one with nine epilogues is a fifth of that. Choosing costs a jump per vector,
 * always the same way.
 *
 * STORE_AHEAD(row, col) asks for the memory that results from there on will be stored in, for
 * kernels that know it long before they have them.
 *
 *     __kernel void k(... EPILOGUE_PARAMS): , int epilogue, ulong EL0 .., float EF0 ..,
 *                                           __global float *EB0, ulong EB0_at .., ulong ES0
 *
 * The arguments are shared: an epilogue's first size is EL0, its first buffer EB0, and what is not
 * taken by the chosen one is zero.
 */
#include "program/arguments.h"
#include "program/stage.h"

static const int widths[CLG__STORE_WIDTHS] = {1, 4, 8, 16};

static void make_plain(clg__epilogue *e)
{
    e->slots = (clg__slots){.longs = 1, .buffers = 1};
    clg__str_add(&e->ahead, "PREFETCH_STORE(EB0 + EB0_at + e_row * e_columns + e_col); ");
    clg__str_add(&e->body[0], "EB0[EB0_at + e_row * e_columns + e_col] = ANCHOR; ");
    for (int i = 1; i < CLG__STORE_WIDTHS; i++)
        clg__str_addf(&e->body[i],
                      "store_vector_%d(ANCHOR, EB0 + EB0_at + e_row * e_columns + e_col); ",
                      widths[i]);
}

static void make_fused(clg__epilogue *e, const clg__ir *ir, const clg__cluster *c)
{
    clg__generator g = clg__generator_make(&e->parameters, ir, c, 1);
    e->slots.longs = 1;
    g.slots = &e->slots;
    clg__emit_parameters(&g);
    int inner = g.space.n_axes - 1;
    for (int i = 0; i < CLG__STORE_WIDTHS; i++) {
        g.out = &e->body[i];
        if (inner == 1) clg__emit_coordinates(&g, 0, 0, "e_row");
        clg__emit_bases(&g, inner);
        clg__emit_block(&g, "e_col", "e_row * e_columns + e_col", widths[i]);
    }
    g.out = &e->ahead;
    clg__emit_ahead(&g, "e_row * e_columns + e_col");
}

void clg__epilogue_make(clg__epilogue *out, const clg__ir *ir, const clg__cluster *c)
{
    *out = (clg__epilogue){0};
    clg__str_add(&out->parameters, "const ulong e_columns = EL0; ");
    if (c)
        make_fused(out, ir, c);
    else
        make_plain(out);
    out->parameters.failed |= out->ahead.failed;
    for (int i = 0; i < CLG__STORE_WIDTHS; i++) out->parameters.failed |= out->body[i].failed;
}

void clg__epilogue_free(clg__epilogue *e)
{
    clg__str_free(&e->parameters);
    clg__str_free(&e->ahead);
    for (int i = 0; i < CLG__STORE_WIDTHS; i++) clg__str_free(&e->body[i]);
}

clg__hash128 clg__epilogue_hash(const clg__epilogue *e)
{
    clg__hash128 parts[1 + CLG__STORE_WIDTHS];
    parts[0] = clg__hash(clg__str_text(&e->parameters), e->parameters.length);
    for (int i = 0; i < CLG__STORE_WIDTHS; i++)
        parts[1 + i] = clg__hash(clg__str_text(&e->body[i]), e->body[i].length);
    return clg__hash(parts, sizeof parts);
}

static void define_parameters(clg__str *out, const clg__slots *slots)
{
    clg__argument_list list = {.out = out, .separator = ", ", .form = CLG__AS_PARAMETERS};
    clg__str_add(out, "#define EPILOGUE_PARAMS ");
    clg__list_shared_arguments(&list, slots);
    clg__str_add(out, "\n");
}

/* A macro body is one line: newlines of the emitted statements become blanks. */
static void add_as_one_line(clg__str *out, const char *text)
{
    for (; *text; text++) clg__str_addn(out, *text == '\n' ? " " : text, 1);
}

/* The statements of the i-th of `count` epilogues, if it is the chosen one. */
static void add_case(clg__str *out, const clg__epilogue *e, const clg__str *body, int i, int count)
{
    if (i + 1 < count) clg__str_addf(out, "if (e_chosen == %d) ", i);
    clg__str_add(out, "{ ");
    add_as_one_line(out, clg__str_text(&e->parameters));
    add_as_one_line(out, clg__str_text(body));
    clg__str_add(out, i + 1 < count ? "} else " : "} ");
}

static void define_store(clg__str *out, const clg__epilogue *epilogues, int count, int width)
{
    for (int i = 0; i < count; i++)
        clg__define_functions(out, clg__str_text(&epilogues[i].body[width]), widths[width]);
    clg__str_addf(out,
                  "#define STORE_%d(clg_v, clg_r, clg_c) do { const %s ANCHOR = (clg_v); "
                  "const ulong e_row = (clg_r), e_col = (clg_c); ",
                  widths[width], clg__vector_type(widths[width]));
    for (int i = 0; i < count; i++)
        add_case(out, &epilogues[i], &epilogues[i].body[width], i, count);
    clg__str_add(out, "} while (0)\n");
}

static void define_ahead(clg__str *out, const clg__epilogue *epilogues, int count)
{
    clg__str_add(out, "#define STORE_AHEAD(clg_r, clg_c) do { "
                      "const ulong e_row = (clg_r), e_col = (clg_c); ");
    for (int i = 0; i < count; i++) add_case(out, &epilogues[i], &epilogues[i].ahead, i, count);
    clg__str_add(out, "} while (0)\n");
}

void clg__epilogue_define(clg__str *out, const clg__epilogue *epilogues, int count,
                          const clg__slots *slots)
{
    define_parameters(out, slots);
    for (int i = 0; i < CLG__STORE_WIDTHS; i++) define_store(out, epilogues, count, i);
    define_ahead(out, epilogues, count);
}

void clg__epilogue_undefine(clg__str *out)
{
    for (int i = 0; i < CLG__STORE_WIDTHS; i++) clg__str_addf(out, "#undef STORE_%d\n", widths[i]);
    clg__str_add(out, "#undef STORE_AHEAD\n#undef EPILOGUE_PARAMS\n");
}
