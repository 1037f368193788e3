/*
 * Device memory of variables: made with the first program of a graph, filled by the initializers or
 * by what was written before, read and written from the host.
 */
#include "program/program.h"
#include "tensor/init.h"

static void release_context(void *ctx)
{
    clg__context_release(ctx);
}

/* Writes the first values of a variable into `data`. */
static clg_status fill_variable(const clg_tensor *t, float *data)
{
    const clg__variable_attr *attr = t->attr;
    if (!attr->pending && attr->like) return fill_variable(attr->like, data);
    if (!attr->pending)
        return clg__init_fill(&attr->init, &t->shape, t->graph->seed, t->name, data);
    memcpy(data, attr->pending, (size_t)clg_shape_count(&t->shape) * sizeof *data);
    return CLG_OK;
}

/* Writes the first values of every variable of a storage into `data`. */
static clg_status fill_storage(const clg_graph *g, const clg__storage *storage, float *data)
{
    for (size_t i = 0; i < g->n_variables; i++) {
        const clg_tensor *t = g->variables[i];
        const clg__variable_attr *attr = t->attr;
        if (attr->storage != storage || (attr->hidden && !attr->pending)) continue;
        CLG_TRY(fill_variable(t, data + attr->offset));
    }
    return CLG_OK;
}

/* "variable fc.weight (4096, 1000)", or "12 variables" that an optimizer has put together. */
static const char *storage_text(const clg_graph *g, const clg__storage *storage, char *text,
                                size_t size)
{
    const clg_tensor *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < g->n_variables; i++) {
        const clg__variable_attr *attr = g->variables[i]->attr;
        if (attr->storage != storage || (attr->hidden && !attr->pending)) continue;
        if (count++ == 0) first = g->variables[i];
    }
    if (count == 1)
        snprintf(text, size, "%s %s", first->name ? CLG__NODE_TEXT(first) : "a constant",
                 clg_shape_text(&first->shape, (char[128]){0}, 128));
    else
        snprintf(text, size, "%zu variables", count);
    return text;
}

/* The buffer first: the device's limits are known before memory of that size is touched here. */
static clg_status fill_buffer(clg__buffer *buffer, const clg_graph *g, const clg__storage *storage)
{
    float *data = clg__calloc((size_t)storage->count, sizeof *data);
    if (!data) return CLG_ERROR_MEMORY;
    clg_status status = fill_storage(g, storage, data);
    if (status == CLG_OK)
        status = clg__buffer_write(buffer, 0, data, (size_t)storage->count * sizeof *data);
    clg__free(data);
    return status;
}

static clg_status realize_storage(clg_context *ctx, clg_graph *g, clg__storage *storage)
{
    size_t bytes;
    if (!clg__mul_size((size_t)storage->count, sizeof(float), &bytes))
        return clg__fail(CLG_ERROR_MEMORY, "variables are too large");
    clg__buffer *buffer = NULL;
    clg_status status = clg__buffer_create(&buffer, ctx, bytes, "parameters and state");
    if (status == CLG_OK) status = fill_buffer(buffer, g, storage);
    if (status == CLG_OK) {
        storage->buffer = buffer;
        return CLG_OK;
    }
    clg__buffer_destroy(buffer);
    if (status != CLG_ERROR_MEMORY) return status;
    char text[256];
    return clg__fail_context(status, "%s", storage_text(g, storage, text, sizeof text));
}

static void drop_pending(clg_graph *g)
{
    for (size_t i = 0; i < g->n_variables; i++) {
        clg__variable_attr *attr = g->variables[i]->attr;
        clg__free(attr->pending);
        attr->pending = NULL;
    }
}

clg_status clg__variables_realize(clg_context *ctx, clg_graph *g)
{
    if (g->context && g->context != ctx)
        return clg__fail(CLG_ERROR_ARGUMENT, "the graph's variables live on another context");
    if (!g->context) {
        g->context = clg__context_retain(ctx);
        g->release_context = release_context;
        g->release_buffer = clg__buffer_destroy;
    }
    for (size_t i = 0; i < g->n_storages; i++)
        if (g->storages[i]->count > 0 && !g->storages[i]->buffer)
            CLG_TRY(realize_storage(ctx, g, g->storages[i]));
    drop_pending(g);
    return CLG_OK;
}

/* ---- host access ---- */

static clg_status check_access(const clg_tensor *t, const void *data, int64_t count)
{
    if (!clg_tensor_is_variable(t) || !data)
        return clg__fail(CLG_ERROR_ARGUMENT, "variable access: %s",
                         !data ? "the data pointer is NULL" : "the tensor is not a variable");
    if (count != clg_shape_count(&t->shape))
        return clg__fail(CLG_ERROR_ARGUMENT, "variable %s has %lld elements, not %lld", t->name,
                         (long long)clg_shape_count(&t->shape), (long long)count);
    return CLG_OK;
}

clg_status clg_variable_write(clg_tensor *t, const float *data, int64_t count)
{
    CLG_TRY(check_access(t, data, count));
    clg__variable_attr *attr = t->attr;
    size_t bytes = (size_t)count * sizeof *data;
    attr->storage->version++;
    if (attr->storage->buffer)
        return clg__buffer_write(attr->storage->buffer, (size_t)attr->offset * sizeof *data, data,
                                 bytes);
    if (!attr->pending) attr->pending = clg__alloc(bytes);
    if (!attr->pending) return CLG_ERROR_MEMORY;
    memcpy(attr->pending, data, bytes);
    return CLG_OK;
}

clg_status clg_variable_read(const clg_tensor *t, float *data, int64_t count)
{
    CLG_TRY(check_access(t, data, count));
    const clg__variable_attr *attr = t->attr;
    size_t bytes = (size_t)count * sizeof *data;
    if (attr->storage->buffer)
        return clg__buffer_read(attr->storage->buffer, (size_t)attr->offset * sizeof *data, data,
                                bytes);
    return fill_variable(t, data);
}
