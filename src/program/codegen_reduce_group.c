/*
 * Generated reductions of the GPU engine. The work-items of a group stand in lanes, lanes_x of them
 * side by side along a row and lanes_y below each other, so that neighbours read neighbouring
 * vectors; as many such blocks of lanes as fit into a group work on different shares. Each lane
 * adds up what it visits, then the lanes of a block are combined in local memory as a tree, whose
 * shape follows from the share's size alone: results never depend on timing.
 *
 * If the reduced axes are the innermost, a share is a row or a part of one, and all lanes become
 * one number. Otherwise a share is lanes_x vectors of columns by a range of rows, and the lanes
 * below each other become one vector of columns.
 */
#include "program/reduce.h"

enum {
    WIDTH = CLG__REDUCE_WIDTH,
    TREES = 4 /* side by side: what they take of the local memory leaves room for other groups */
};

static const char lanes_parameters[] = ", uint lanes_x, uint lanes_y";

/* Where the work-item stands: its lane, and the share its block of lanes works on. */
static void emit_lanes(clg__generator *g, int width, int group)
{
    clg__str_addf(g->out,
                  "__local %s tree[%d][%d];\n"
                  "const uint item = (uint)get_local_id(0), lanes = lanes_x * lanes_y;\n"
                  "const uint lane = item %% lanes, lane_x = lane %% lanes_x;\n"
                  "const uint lane_y = lane / lanes_x;\n"
                  "const ulong share = get_group_id(0) * (%d / lanes) + item / lanes;\n",
                  clg__vector_type(width), (int)clg__min_i64(g->cluster->n_reduces, TREES), group,
                  group);
}

/* Which lanes become one: `count` of them, `step` work-items apart, this one at `position`. */
typedef struct tree {
    const char *count, *position, *step;
} tree;

/*
 * Cell h steps ahead is added to the own one, for h = count / 2 ... 4, 2, 1. The loop's barrier is
 * reached at least once whatever the count: where it might be skipped, compilers that run a group's
 * items one after the other make a second copy of all that follows.
 */
static void emit_tree(clg__generator *g, const tree *t, int first, int end)
{
    clg__str_addf(g->out,
                  "{\nuint h = %s / 2;\ndo {\nbarrier(CLK_LOCAL_MEM_FENCE);\nif (%s < h) {\n",
                  t->count, t->position);
    for (int i = first; i < end; i++)
        clg__str_addf(g->out, "tree[%d][item] = %s(tree[%d][item], tree[%d][item + h * %s]);\n",
                      i % TREES, clg__reduce_combine(g, i), i % TREES, i % TREES, t->step);
    clg__str_add(g->out, "}\nh >>= 1;\n} while (h);\n}\n");
}

/* Totals t of reduction i to its tree's cell, and back. */
static void emit_to_cell(clg__generator *g, int i, int width)
{
    if (width == 1)
        clg__str_addf(g->out, "tree[%d][item] = t%d[0];\n", i % TREES, i);
    else
        clg__str_addf(g->out, "tree[%d][item] = vload%d(0, t%d);\n", i % TREES, width, i);
}

static void emit_from_cell(clg__generator *g, int i, int width)
{
    if (width == 1)
        clg__str_addf(g->out, "t%d[0] = tree[%d][item];\n", i, i % TREES);
    else
        clg__str_addf(g->out, "vstore%d(tree[%d][item], 0, t%d);\n", width, i % TREES, i);
}

/* The lanes' totals t of all reductions become those of their tree, in its first lane. */
static void emit_trees(clg__generator *g, const tree *t, int width)
{
    const int n = g->cluster->n_reduces;
    for (int first = 0; first < n; first += TREES) {
        const int end = (int)clg__min_i64(first + TREES, n);
        if (first > 0) clg__str_add(g->out, "barrier(CLK_LOCAL_MEM_FENCE);\n"); /* all were read */
        for (int i = first; i < end; i++) emit_to_cell(g, i, width);
        emit_tree(g, t, first, end);
        for (int i = first; i < end; i++) emit_from_cell(g, i, width);
    }
}

/* ---- rows ---- */

static void emit_row_loops(clg__generator *g, int first)
{
    int inner = g->space.n_axes - 1;
    clg__str_add(g->out, "for (ulong row = r0 + lane_y; row < r1; row += lanes_y) {\n");
    clg__emit_coordinates(g, first, inner - 1, "row");
    clg__emit_bases(g, inner);
    clg__str_addf(g->out, "for (ulong c = c0 + lane_x * %d; c + %d <= c1; c += lanes_x * %d) {\n",
                  WIDTH, WIDTH, WIDTH);
    clg__emit_block(g, "c", "(o * rows + row) * columns + c", WIDTH);
    clg__emit_accumulate(g, WIDTH);
    clg__str_addf(g->out,
                  "}\nfor (ulong c = c1 - (c1 - c0) %% %d + lane_x; c < c1; c += lanes_x) {\n",
                  WIDTH);
    clg__emit_block(g, "c", "(o * rows + row) * columns + c", 1);
    clg__emit_accumulate(g, 1);
    clg__str_add(g->out, "}\n}\n");
}

static void emit_row_group(clg__generator *g, int first, bool two_stages, int group)
{
    emit_lanes(g, 1, group);
    clg__str_add(g->out,
                 "const ulong o = share / parts, part = share % parts;\n"
                 "const ulong r0 = part / column_parts * row_chunk;\n"
                 "const ulong r1 = o < outer ? min(r0 + row_chunk, rows) : 0;\n"
                 "const ulong c0 = part % column_parts * column_chunk, c1 = min(c0 + column_chunk, "
                 "columns);\n");
    clg__emit_sums(g, WIDTH);
    clg__emit_sums(g, 1);
    clg__emit_coordinates(g, 0, first - 1, "o");
    emit_row_loops(g, first);
    for (int i = 0; i < g->cluster->n_reduces; i++) {
        const char *combine = clg__reduce_combine(g, i);
        clg__str_addf(g->out,
                      "const float2 h%d = %s(s%d_%d.lo, s%d_%d.hi);\n"
                      "float t%d[1] = {%s(%s(h%d.x, h%d.y), s%d_1)};\n",
                      i, combine, i, WIDTH, i, WIDTH, i, combine, combine, i, i, i);
    }
    emit_trees(g, &(tree){"lanes", "lane", "1"}, 1);
    clg__str_add(g->out, "if (o < outer && lane == 0) { const uint l = 0; const ulong e = o;\n");
    clg__emit_finish(g, two_stages);
    clg__str_add(g->out, "}\n}\n\n");
}

/* ---- columns ---- */

static void emit_column_loop(clg__generator *g, int first, int behind, int width)
{
    int inner = g->space.n_axes - 1;
    clg__str_add(g->out, "for (ulong row = r0 + lane_y; row < r1; row += lanes_y) {\n");
    clg__emit_coordinates(g, first, behind - 1, "row");
    clg__emit_bases(g, inner);
    clg__emit_block(g, "c", "((o * rows + row) * inner_rows + i) * columns + c", width);
    clg__emit_accumulate(g, width);
    clg__str_add(g->out, "}\n");
}

/* Vectors where they fit, single columns behind the last vector; totals t in either case. */
static void emit_column_sums(clg__generator *g, int first, int behind)
{
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out, "float t%d[%d];\n", i, WIDTH);
    clg__str_addf(g->out, "if (n == %d) {\nconst ulong c = first_column;\n", WIDTH);
    clg__emit_sums(g, WIDTH);
    emit_column_loop(g, first, behind, WIDTH);
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out, "vstore%d(s%d_%d, 0, t%d);\n", WIDTH, i, WIDTH, i);
    clg__str_add(g->out,
                 "} else for (uint l = 0; l < n; ++l) {\nconst ulong c = first_column + l;\n");
    clg__emit_sums(g, 1);
    emit_column_loop(g, first, behind, 1);
    for (int i = 0; i < g->cluster->n_reduces; i++)
        clg__str_addf(g->out, "t%d[l] = s%d_1;\n", i, i);
    clg__str_add(g->out, "}\n");
}

static void emit_column_group(clg__generator *g, int first, int behind, bool two_stages, int group)
{
    int inner = g->space.n_axes - 1;
    emit_lanes(g, WIDTH, group);
    clg__str_addf(
        g->out,
        "const ulong across = (columns + %d * lanes_x - 1) / (%d * lanes_x), down = share / "
        "across;\n"
        "const ulong first_column = (share %% across * lanes_x + lane_x) * %d;\n"
        "const ulong part = down %% parts, i = down / parts %% inner_rows;\n"
        "const ulong o = down / parts / inner_rows;\n"
        "const bool there = o < outer && first_column < columns;\n"
        "const ulong r0 = part * row_chunk, r1 = there ? min(r0 + row_chunk, rows) : 0;\n"
        "const uint n = there ? (uint)min((ulong)%d, columns - first_column) : 0;\n",
        WIDTH, WIDTH, WIDTH, WIDTH);
    clg__emit_coordinates(g, 0, first - 1, "o");
    clg__emit_coordinates(g, behind, inner - 1, "i");
    emit_column_sums(g, first, behind);
    emit_trees(g, &(tree){"lanes_y", "lane_y", "lanes_x"}, WIDTH);
    clg__str_add(g->out, "if (lane_y == 0) for (uint l = 0; l < n; ++l) {\n"
                         "const ulong e = (o * inner_rows + i) * columns + first_column + l;\n");
    clg__emit_finish(g, two_stages);
    clg__str_add(g->out, "}\n}\n\n");
}

/* ---- partial results ---- */

/* lanes_x results side by side, the lanes below each other share a result's parts. */
static void emit_final_group(clg__generator *g, const char *name, int group)
{
    clg__str_addf(g->out,
                  "__attribute__((reqd_work_group_size(%d, 1, 1)))\n"
                  "__kernel void %s_final(ulong count, ulong inner, ulong parts%s, "
                  "__global const float *partial, ulong partial_at",
                  group, name, lanes_parameters);
    clg__generator epilogue = clg__generator_make(g->out, g->ir, g->cluster, 1);
    clg__emit_parameters(&epilogue);
    clg__str_add(g->out, ")\n{\n");
    emit_lanes(g, 1, group);
    clg__str_add(g->out, "const ulong e = share * lanes_x + lane_x, o = e / inner, l = 0;\n"
                         "const ulong end = e < count ? parts : 0;\n");
    for (int i = 0; i < g->cluster->n_reduces; i++) {
        clg__str_addf(g->out, "float t%d[1] = {%s};\n", i, clg__reduce_start(g, i));
        clg__str_addf(g->out,
                      "for (ulong p = lane_y; p < end; p += lanes_y) t%d[0] = %s(t%d[0], "
                      "partial[partial_at + ((ulong)%d * count + o * inner) * parts + p * inner + "
                      "(e - o * inner)]);\n",
                      i, clg__reduce_combine(g, i), i, i);
    }
    emit_trees(g, &(tree){"lanes_y", "lane_y", "lanes_x"}, 1);
    clg__str_add(g->out, "if (e < count && lane_y == 0) {\n");
    clg__emit_finish(g, false);
    clg__str_add(g->out, "}\n}\n\n");
}

void clg__codegen_reduce_group(clg__generator *g, const char *name, bool two_stages)
{
    int first, behind, group = clg__reduce_group(g->ir->ctx);
    clg__reduce_axes(g->cluster, &g->space, &first, &behind);
    clg__str_addf(g->out, "__attribute__((reqd_work_group_size(%d, 1, 1)))\n", group);
    clg__str_addf(g->out, "__kernel void %s(", name); /* work-items meet: no entry */
    clg__emit_reduce_head(g, lanes_parameters, two_stages);
    if (behind == g->space.n_axes)
        emit_row_group(g, first, two_stages, group);
    else
        emit_column_group(g, first, behind, two_stages, group);
    if (two_stages) emit_final_group(g, name, group);
}
