/*
 * The graph: an append-only arena of nodes, the registry of variables, and the sticky error.
 */
#include "tensor/graph.h"

clg_graph *clg_graph_create(const clg_graph_params *params)
{
    static const clg_graph_params defaults;
    if (!params) params = &defaults;
    if (params->batch < 0) {
        clg__fail(CLG_ERROR_ARGUMENT, "clg_graph_create: batch %lld is negative",
                  (long long)params->batch);
        return NULL;
    }
    clg_graph *g = clg__calloc(1, sizeof *g);
    if (!g) return NULL;
    g->batch = params->batch ? params->batch : 1;
    g->seed = params->seed;
    clg__object_created();
    return g;
}

static void free_storage(const clg_graph *g, clg__storage *storage)
{
    if (storage->buffer) g->release_buffer(storage->buffer);
    clg__free(storage);
}

void clg_graph_destroy(clg_graph *g)
{
    if (!g) return;
    for (size_t i = 0; i < g->n_variables; i++)
        clg__free(((clg__variable_attr *)g->variables[i]->attr)->pending);
    for (size_t i = 0; i < g->n_nodes; i++) {
        clg__free(g->nodes[i]->attr);
        clg__free(g->nodes[i]->name);
        clg__free(g->nodes[i]);
    }
    for (size_t i = 0; i < g->n_storages; i++) free_storage(g, g->storages[i]);
    if (g->context) g->release_context(g->context);
    clg__free(g->nodes);
    clg__free(g->variables);
    clg__free(g->storages);
    clg__free(g->updates);
    for (size_t i = 0; i < g->n_kept; i++) clg__free(g->kept[i]);
    clg__free(g->kept);
    clg__free(g);
    clg__object_destroyed();
}

clg_status clg_graph_status(const clg_graph *g)
{
    CLG__NEEDS(g);
    return clg__graph_check(g);
}

clg_status clg__graph_check(const clg_graph *g)
{
    if (!g) return clg__fail(CLG_ERROR_ARGUMENT, "the graph is NULL");
    return g->status == CLG_OK ? CLG_OK : clg__fail(g->status, "%s", g->message);
}

clg_tensor *clg__graph_fail(clg_graph *g, clg_status status, const char *format, ...)
{
    if (g->status != CLG_OK) return NULL;
    g->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(g->message, sizeof g->message, format, args);
    va_end(args);
    clg__fail(status, "%s", g->message);
    return NULL;
}

/* For failures that recorded their own message below (out of memory). */
static clg_tensor *fail_as_recorded(clg_graph *g, clg_status status)
{
    char text[sizeof g->message];
    snprintf(text, sizeof text, "%s", clg_last_error());
    return clg__graph_fail(g, status, "%s", text);
}

void *clg__graph_alloc(clg_graph *g, size_t size)
{
    clg_status status =
        clg__grow((void **)&g->kept, &g->kept_capacity, g->n_kept + 1, sizeof *g->kept);
    void *memory = status == CLG_OK ? clg__calloc(1, size) : NULL;
    if (memory)
        g->kept[g->n_kept++] = memory;
    else
        fail_as_recorded(g, CLG_ERROR_MEMORY);
    return memory;
}

clg_tensor *clg__graph_append(clg_graph *g, const clg_tensor *given, const void *attr,
                              size_t attr_size)
{
    if (g->status != CLG_OK) return NULL;
    clg_tensor *node = clg__alloc(sizeof *node);
    void *copy = attr_size ? clg__alloc(attr_size) : NULL;
    bool room = clg__grow((void **)&g->nodes, &g->nodes_capacity, g->n_nodes + 1,
                          sizeof *g->nodes) == CLG_OK;
    if (!node || (attr_size && !copy) || !room) {
        clg__free(copy);
        clg__free(node);
        return fail_as_recorded(g, CLG_ERROR_MEMORY);
    }
    if (attr_size) memcpy(copy, attr, attr_size);
    *node = *given;
    node->graph = g;
    node->id = (int)g->n_nodes;
    node->attr = copy;
    g->nodes[g->n_nodes++] = node;
    return node;
}

static clg__storage *add_storage(clg_graph *g, int64_t count)
{
    if (clg__grow((void **)&g->storages, &g->storages_capacity, g->n_storages + 1,
                  sizeof *g->storages) != CLG_OK)
        return NULL;
    clg__storage *storage = clg__calloc(1, sizeof *storage);
    if (!storage) return NULL;
    storage->count = count;
    g->storages[g->n_storages++] = storage;
    return storage;
}

/* Appends a variable node; `name` may be NULL. */
static clg_tensor *append_variable(clg_graph *g, const struct clg__op *op, const char *name,
                                   const clg_shape *shape, const clg__variable_attr *attr)
{
    if (clg__grow((void **)&g->variables, &g->variables_capacity, g->n_variables + 1,
                  sizeof *g->variables) != CLG_OK)
        return fail_as_recorded(g, CLG_ERROR_MEMORY);
    const clg_tensor given = {.op = op, .dtype = CLG_F32, .shape = *shape};
    clg_tensor *node = clg__graph_append(g, &given, attr, sizeof *attr);
    if (!node) return NULL;
    g->variables[g->n_variables++] = node;
    node->name = name ? clg__strdup(name) : NULL;
    return node->name || !name ? node : fail_as_recorded(g, CLG_ERROR_MEMORY);
}

bool clg_graph_share_variables(clg_graph *g, bool on)
{
    CLG__NEEDS_OR(false, g);
    bool before = g->sharing;
    g->sharing = on;
    return before;
}

/* The variable of that name that a layer built again means. */
static clg_tensor *existing_variable(clg_graph *g, clg_tensor *found, const clg_shape *shape,
                                     bool trainable)
{
    const char *name = found->name;
    if (!clg_tensor_is_variable(found))
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT, "variable: the name \"%s\" is taken", name);
    if (!g->sharing)
        return clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                               "variable: the name \"%s\" is taken; clg_graph_share_variables lets "
                               "layers share their variables",
                               name);
    if (clg_shape_equal(&found->shape, shape) && clg_tensor_trainable(found) == trainable)
        return found;
    char wanted[128], there[128];
    return clg__graph_fail(
        g, CLG_ERROR_ARGUMENT, "variable \"%s\": cannot be shared, it is %s%s, and %s%s is wanted",
        name, clg_shape_text(&found->shape, there, sizeof there),
        clg_tensor_trainable(found) ? "" : " (not trainable)",
        clg_shape_text(shape, wanted, sizeof wanted), trainable ? "" : " (not trainable)");
}

clg_tensor *clg__graph_add_variable(clg_graph *g, const struct clg__op *op, const char *name,
                                    const clg_shape *shape, clg_init init, bool trainable)
{
    if (g->status != CLG_OK) return NULL;
    clg_tensor *found = clg_graph_find(g, name);
    if (found) return existing_variable(g, found, shape, trainable);
    clg__variable_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.storage = add_storage(g, clg_shape_count(shape));
    if (!attr.storage) return fail_as_recorded(g, CLG_ERROR_MEMORY);
    attr.init = init;
    attr.trainable = trainable;
    return append_variable(g, op, name, shape, &attr);
}

clg_tensor *clg__graph_add_constant(clg_graph *g, const struct clg__op *op, const clg_shape *shape,
                                    const float *data)
{
    if (g->status != CLG_OK) return NULL;
    size_t bytes = (size_t)clg_shape_count(shape) * sizeof *data;
    clg__variable_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.hidden = true;
    attr.storage = add_storage(g, clg_shape_count(shape));
    attr.pending = attr.storage ? clg__alloc(bytes) : NULL;
    if (!attr.pending) return fail_as_recorded(g, CLG_ERROR_MEMORY);
    memcpy(attr.pending, data, bytes);
    clg_tensor *node = append_variable(g, op, NULL, shape, &attr);
    if (!node) clg__free(attr.pending);
    return node;
}

/* ---- packing ---- */

static bool packable(clg_graph *g, clg_tensor *const *variables, size_t n, int64_t *total)
{
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        if (!variables[i]) return false;
        const clg__variable_attr *attr = variables[i]->attr;
        int64_t count = clg_shape_count(&variables[i]->shape);
        if (attr->storage->buffer) {
            clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                            "variable %s is on a device already: create the optimizer before the "
                            "first program of the graph is compiled",
                            variables[i]->name);
            return false;
        }
        if (attr->packed) {
            clg__graph_fail(g, CLG_ERROR_ARGUMENT,
                            "variable %s belongs to another optimizer already", variables[i]->name);
            return false;
        }
        *total += count;
    }
    return true;
}

clg_tensor *clg__graph_pack(clg_graph *g, const char *name, clg_tensor *const *variables, size_t n)
{
    int64_t total;
    if (!packable(g, variables, n, &total)) return NULL;
    clg__storage *storage = add_storage(g, total);
    if (!storage) return fail_as_recorded(g, CLG_ERROR_MEMORY);
    int64_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        clg__variable_attr *attr = variables[i]->attr;
        attr->storage->count = 0; /* the old storage stays registered, empty */
        attr->packed = true;
        attr->storage = storage;
        attr->offset = offset;
        offset += clg_shape_count(&variables[i]->shape);
    }
    clg__variable_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.storage = storage;
    attr.hidden = true;
    clg_shape flat = CLG_SHAPE(total);
    return append_variable(g, variables[0]->op, name, &flat, &attr);
}

/* ---- looking at tensors ---- */

const clg_shape *clg_tensor_shape(const clg_tensor *t)
{
    CLG__NEEDS_OR(NULL, t);
    return &t->shape;
}

clg_dtype clg_tensor_dtype(const clg_tensor *t)
{
    CLG__NEEDS_OR(CLG_F32, t);
    return t->dtype;
}

const char *clg_tensor_name(const clg_tensor *t)
{
    CLG__NEEDS_OR("", t);
    return t->name ? t->name : "";
}

void clg_tensor_set_name(clg_tensor *t, const char *name)
{
    CLG__NEEDS_OR(, !t || name);
    if (!t) return;
    char *copy = clg__strdup(name);
    if (!copy) {
        clg__graph_fail(t->graph, CLG_ERROR_MEMORY, "%s: no memory for a name", name);
        return;
    }
    clg__free(t->name);
    t->name = copy;
}

clg_graph *clg_tensor_graph(const clg_tensor *t)
{
    CLG__NEEDS_OR(NULL, t);
    return t->graph;
}

clg_tensor *clg_graph_variable(const clg_graph *g, size_t index)
{
    CLG__NEEDS_OR(NULL, g);
    for (size_t i = 0; i < g->n_variables; i++) {
        const clg__variable_attr *attr = g->variables[i]->attr;
        if (!attr->hidden && index-- == 0) return g->variables[i];
    }
    return NULL;
}

clg_tensor *clg_graph_find(const clg_graph *g, const char *name)
{
    CLG__NEEDS_OR(NULL, g && name);
    for (size_t i = 0; i < g->n_nodes; i++) {
        const clg_tensor *t = g->nodes[i];
        if (t->n_inputs == 0 && t->name && strcmp(t->name, name) == 0) return g->nodes[i];
    }
    return NULL;
}

/* ---- training steps and updates ---- */

uint64_t clg_graph_steps(const clg_graph *g)
{
    CLG__NEEDS_OR(0, g);
    return g->steps;
}

void clg_graph_set_steps(clg_graph *g, uint64_t steps)
{
    CLG__NEEDS_OR(, g);
    g->steps = steps;
    g->accumulated = 0;
}

uint64_t clg_graph_accumulated(const clg_graph *g)
{
    CLG__NEEDS_OR(0, g);
    return g->accumulated;
}

void clg_graph_set_accumulated(clg_graph *g, uint64_t runs)
{
    CLG__NEEDS_OR(, g);
    g->accumulated = runs;
}
