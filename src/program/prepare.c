/*
 * Prepared inputs: copies of values in another arrangement that a program keeps, such as weights
 * packed for a kernel's inner loop. A recurrent net's steps share one; an inference program makes
 * one of each weight matrix before its first run and again only after the weights have changed. A
 * program that assigns to variables is taken to change them all.
 *
 * Whether they changed is known by the version of their storage, which every write raises: the
 * host's, and the assignments of any program. Where the caller holds the variable's cl_mem nothing
 * is known, and where the value is computed it is another one in each run: both are made anew.
 */
#include "program/program.h"

enum { MOST_BYTES = 64 << 20 }; /* of a copy: what is larger costs more memory than it saves time */

static const clg__variable_attr *variable_of(const clg_program *p, int root)
{
    const clg_tensor *node = p->ir.values[root].node;
    return clg__is_variable_node(node) ? node->attr : NULL;
}

/* ---- who is worth it ---- */

static bool reads_alike(const clg__ir *ir, const clg__value *a, const clg__value *b, int input)
{
    size_t size = a->node->op->attr_size;
    return a->node->op == b->node->op && a->inputs[input] == b->inputs[input] &&
           (size == 0 || memcmp(a->node->attr, b->node->attr, size) == 0);
}

/* Another kernel of the program reads the same value in the same place. */
static bool read_again(const clg__ir *ir, const clg__cluster *c, int input)
{
    int value = ir->values[c->anchor].inputs[input];
    for (int u = ir->first_user[value]; u < ir->first_user[value + 1]; u++) {
        const clg__value *user = &ir->values[ir->users[u]];
        if (user->cluster < 0 || ir->users[u] == c->anchor) continue;
        const clg__cluster *other = &ir->clusters[user->cluster];
        if (other->anchor == ir->users[u] && other->algorithm == c->algorithm &&
            reads_alike(ir, &ir->values[c->anchor], user, input))
            return true;
    }
    return false;
}

static bool is_kept(const clg_program *p, const clg__cluster *c, int input)
{
    int value = p->ir.values[c->anchor].inputs[input];
    const clg_shape *shape = &p->ir.values[value].node->shape;
    if (shape->batched || clg_shape_count(shape) * (int64_t)sizeof(float) > MOST_BYTES)
        return false;
    const clg__variable_attr *variable = variable_of(p, clg__ir_root(&p->ir, value, NULL));
    bool constant = variable && p->ir.n_assignments == 0;
    return constant || read_again(&p->ir, c, input);
}

/* ---- recording ---- */

static clg__prepared *find(const clg_program *p, int value, int64_t offset, const char *layout)
{
    for (size_t i = 0; i < p->n_prepared; i++) {
        clg__prepared *it = &p->prepared[i];
        if (it->value == value && it->offset == offset && strcmp(it->layout, layout) == 0)
            return it;
    }
    return NULL;
}

static clg__buffer_id prepare(clg__lowering *lo, int input, const char *layout, int64_t bytes,
                              bool *make)
{
    clg_program *p = lo->program;
    int64_t offset;
    int value = clg__ir_root(&p->ir, lo->in[input], &offset);
    clg__prepared *it = find(p, value, offset, layout);
    if (!it) {
        void *items = p->prepared;
        lo->status =
            clg__grow(&items, &p->prepared_capacity, p->n_prepared + 1, sizeof *p->prepared);
        p->prepared = items;
        if (lo->status != CLG_OK) return CLG__PREPARED;
        it = &p->prepared[p->n_prepared++];
        *it = (clg__prepared){
            .value = value, .offset = offset, .step = lo->step, .bytes = (size_t)bytes};
        snprintf(it->layout, sizeof it->layout, "%s", layout);
    }
    *make = it->step == lo->step;
    return CLG__PREPARED + (clg__buffer_id)(it - p->prepared);
}

void clg__prepared_offer(clg_program *p, const clg__cluster *c, clg__lowering *lo, int step)
{
    for (int i = 0; i < p->ir.values[c->anchor].n_inputs; i++) lo->kept[i] = is_kept(p, c, i);
    lo->prepare = prepare;
    lo->program = p;
    lo->step = step;
}

/* ---- running ---- */

clg_status clg__prepared_create(clg_program *p)
{
    for (size_t i = 0; i < p->n_prepared; i++)
        CLG_TRY(clg__buffer_create(&p->prepared[i].buffer, p->ctx, p->prepared[i].bytes,
                                   "rearranged weights"));
    return CLG_OK;
}

clg__address clg__prepared_address(const clg_program *p, clg__buffer_id id)
{
    return (clg__address){p->prepared[id - CLG__PREPARED].buffer->mem, 0};
}

bool clg__prepared_fresh(const clg_program *p, clg__buffer_id id)
{
    const clg__prepared *it = &p->prepared[id - CLG__PREPARED];
    const clg__variable_attr *variable = variable_of(p, it->value);
    return it->made && variable && !variable->storage->exposed &&
           variable->storage->version == it->version;
}

bool clg__prepared_lasts(const clg_program *p, clg__buffer_id id)
{
    return p->ir.n_assignments == 0 && variable_of(p, p->prepared[id - CLG__PREPARED].value);
}

void clg__prepared_made(clg_program *p, clg__buffer_id id)
{
    clg__prepared *it = &p->prepared[id - CLG__PREPARED];
    const clg__variable_attr *variable = variable_of(p, it->value);
    it->made = true;
    it->version = variable ? variable->storage->version : 0;
}

void clg__prepared_free(clg_program *p)
{
    for (size_t i = 0; i < p->n_prepared; i++) clg__buffer_destroy(p->prepared[i].buffer);
    clg__free(p->prepared);
}
