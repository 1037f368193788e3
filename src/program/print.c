/*
 * Looking inside: the graph as text and for Graphviz, and a program's steps with their memory.
 */
#include "program/program.h"

/* ---- graphs ---- */

/* Nodes below the outputs; all of them if n is 0. NULL when out of memory. */
static bool *mark_below(const clg_graph *g, clg_tensor *const *outputs, size_t n)
{
    bool *live = clg__calloc(g->n_nodes + 1, sizeof *live);
    if (!live) return NULL;
    for (size_t i = 0; i < g->n_nodes && n == 0; i++) live[i] = true;
    for (size_t i = 0; i < n; i++)
        if (outputs[i]) live[outputs[i]->id] = true;
    for (size_t i = g->n_nodes; i-- > 0;)
        for (int k = 0; live[i] && k < g->nodes[i]->n_inputs; k++)
            live[g->nodes[i]->inputs[k]->id] = true;
    return live;
}

static char *finish(clg__str *text, bool *live)
{
    clg__free(live);
    if (text->failed) clg__str_free(text);
    return text->text;
}

char *clg_graph_text(const clg_graph *g, clg_tensor *const *outputs, size_t n)
{
    CLG__NEEDS_OR(NULL, g && (outputs || n == 0));
    bool *live = mark_below(g, outputs, n);
    clg__str out = {.failed = !live};
    clg__str_add(&out, "");
    for (size_t i = 0; live && i < g->n_nodes; i++) {
        const clg_tensor *t = g->nodes[i];
        if (!live[i]) continue;
        char shape[128];
        clg__str_addf(&out, "%%%d = %s(", t->id, t->op->name);
        for (int k = 0; k < t->n_inputs; k++)
            clg__str_addf(&out, "%s%%%d", k ? ", " : "", t->inputs[k]->id);
        clg__str_addf(&out, ") : %s %s%s%s\n", clg_dtype_name(t->dtype),
                      clg_shape_text(&t->shape, shape, sizeof shape), t->name ? "  # " : "",
                      t->name ? t->name : "");
    }
    return finish(&out, live);
}

/* Labels are in double quotes: quotes and backslashes of names are escaped. */
static void add_label(clg__str *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') clg__str_add(out, "\\");
        clg__str_addn(out, text, 1);
    }
}

char *clg_graph_dot(const clg_graph *g, clg_tensor *const *outputs, size_t n)
{
    CLG__NEEDS_OR(NULL, g && (outputs || n == 0));
    bool *live = mark_below(g, outputs, n);
    clg__str out = {.failed = !live};
    clg__str_add(&out, "digraph clgrad {\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for (size_t i = 0; live && i < g->n_nodes; i++) {
        const clg_tensor *t = g->nodes[i];
        if (!live[i]) continue;
        char shape[128];
        clg__str_addf(&out, "  n%d [label=\"%s", t->id, t->op->name);
        if (t->name) {
            clg__str_add(&out, "\\n");
            add_label(&out, t->name);
        }
        clg__str_addf(&out, "\\n%s\"%s];\n", clg_shape_text(&t->shape, shape, sizeof shape),
                      t->op->class_ == CLG__SOURCE ? ", style=rounded" : "");
        for (int k = 0; k < t->n_inputs; k++)
            clg__str_addf(&out, "  n%d -> n%d;\n", t->inputs[k]->id, t->id);
    }
    clg__str_add(&out, "}\n");
    return finish(&out, live);
}

/* ---- programs ---- */

static void add_stage(const clg_program *p, const clg__stage *stage, clg__str *out)
{
    for (int i = 0; i < stage->n_members; i++)
        clg__str_addf(out, "%s%s", out->length ? "+" : "",
                      p->ir.values[stage->members[i]].node->op->name);
}

void clg__step_text(const clg_program *p, const clg__step *step, clg__str *out)
{
    for (int k = step->cluster; k >= 0; k = p->ir.clusters[k].next) {
        const clg__cluster *c = &p->ir.clusters[k];
        if (c->anchor >= 0) clg__str_add(out, p->ir.values[c->anchor].node->op->name);
        add_stage(p, &c->body[0], out);
        for (int i = 0; i < c->n_reduces; i++)
            clg__str_addf(out, "%s%s", out->length ? "+" : "",
                          p->ir.values[c->reduces[i]].node->op->name);
        add_stage(p, &c->body[1], out);
    }
}

static void add_launches(clg__str *out, const clg_program *p, const clg__step *step)
{
    const size_t count = step->lowering.n_launches;
    clg__str_addf(out, "%zu launch%s%s\n", count, count == 1 ? "" : "es",
                  count && clg__strands_of(p, step->first_kernel) ? ", in strands" : "");
}

char *clg_program_text(const clg_program *p)
{
    CLG__NEEDS_OR(NULL, p);
    clg__str out = {0};
    clg__str_add(&out, "");
    for (int i = 0; i < p->n_steps; i++) {
        const clg__step *step = &p->steps[i];
        const clg__cluster *c = &p->ir.clusters[step->cluster];
        clg__str ops = {0};
        char shape[128];
        clg__step_text(p, step, &ops);
        clg__str_addf(&out, "%4d  %-12s %s  %s, ", i,
                      c->algorithm ? c->algorithm->name : "generated", clg__str_text(&ops),
                      clg_shape_text(&c->out_space, shape, sizeof shape));
        add_launches(&out, p, step);
        out.failed |= ops.failed;
        clg__str_free(&ops);
    }
    clg_program_stats stats;
    clg_program_query(p, &stats);
    clg__str_addf(&out, "arena %.2f MiB (unshared %.2f MiB), %zu launches",
                  (double)stats.arena_bytes / 1048576, (double)stats.values_bytes / 1048576,
                  stats.launches);
    if (stats.repeated_steps) clg__str_addf(&out, ", %zu steps again", stats.repeated_steps);
    clg__str_add(&out, "\n");
    if (out.failed) clg__str_free(&out);
    return out.text;
}
