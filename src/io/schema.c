/*
 * Schemas: what reading a source taught about it, as a JSON object, so that other data is read the
 * same way. Every format keeps its own keys; "format", "classes" and "fill" are common.
 */
#include <math.h>

#include "io/formats.h"

enum { MAX_SCHEMA = 64 << 20 };

static clg_status out_of_memory(void)
{
    return clg__fail(CLG_ERROR_MEMORY, "out of memory for a data set's schema");
}

/* Text of `object`, whose reference is taken over, in memory of the counted allocator. */
static clg_status to_text(json_t *object, char **out)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text) return out_of_memory();
    *out = clg__strdup(text);
    free(text);
    return *out ? CLG_OK : CLG_ERROR_MEMORY;
}

clg_status clg__schema_keep(clg__samples *samples, json_t *object)
{
    char *text = NULL;
    CLG_TRY(to_text(object, &text));
    clg__free(samples->schema);
    samples->schema = text;
    return CLG_OK;
}

clg_status clg__schema_parse(const char *text, json_t **out)
{
    json_error_t error;
    size_t size = strlen(text);
    json_t *object =
        size <= MAX_SCHEMA ? json_loadb(text, size, JSON_REJECT_DUPLICATES, &error) : NULL;
    if (json_is_object(object) && json_is_string(json_object_get(object, "format"))) {
        *out = object;
        return CLG_OK;
    }
    json_decref(object);
    return clg__fail(CLG_ERROR_FORMAT, "a data set's schema is damaged: %s",
                     object              ? "it is no object with \"format\""
                     : size > MAX_SCHEMA ? "too large"
                                         : error.text);
}

json_t *clg__names_to_json(const clg__names *names)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < names->count; i++) {
        /* Bytes that are no UTF-8 cannot be in JSON: names from files and folders may have some. */
        json_t *text = json_string(names->items[i]);
        if (!text || json_array_append_new(list, text) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

clg_status clg__names_from_json(const json_t *list, const char *what, clg__names *out)
{
    clg_status status = CLG_OK;
    if (!json_is_array(list))
        return clg__fail(CLG_ERROR_FORMAT, "a data set's schema lacks its %s", what);
    for (size_t i = 0; status == CLG_OK && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (json_is_string(item))
            status = clg__names_add(out, json_string_value(item), json_string_length(item));
        else
            status = clg__fail(CLG_ERROR_FORMAT, "a data set's schema: %s %zu is no text", what, i);
    }
    return status;
}

/* Adds the values for what is missing. */
static clg_status add_fill(json_t *object, const clg_dataset *dataset)
{
    json_t *list = json_array();
    bool failed = !list;
    for (size_t i = 0; !failed && i < clg__dataset_features(dataset); i++)
        failed = json_array_append_new(list, json_real((double)dataset->fill[i])) != 0;
    failed = failed || json_object_set(object, "fill", list) != 0;
    json_decref(list);
    return failed ? out_of_memory() : CLG_OK;
}

/* Adds the names of the classes, which every format that has some keeps in the same place. */
static clg_status add_classes(json_t *object, const clg__names *names)
{
    json_t *list = clg__names_to_json(names);
    bool failed = !list || json_object_set(object, "classes", list) != 0;
    json_decref(list);
    return failed ? out_of_memory() : CLG_OK;
}

clg_status clg_dataset_schema(const clg_dataset *dataset, char **out)
{
    if (!dataset || !out)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_dataset_schema: an argument is NULL");
    const clg__samples *samples = dataset->samples;
    const char *format = samples->info.format ? samples->info.format : "memory";
    json_t *object = samples->schema ? json_loads(samples->schema, JSON_REJECT_DUPLICATES, NULL)
                                     : json_pack("{ss}", "format", format);
    if (!object) return out_of_memory();
    clg_status status = dataset->fill ? add_fill(object, dataset) : CLG_OK;
    if (status == CLG_OK && samples->classes.count > 0)
        status = add_classes(object, &samples->classes);
    if (status == CLG_OK) return to_text(object, out);
    json_decref(object);
    return status;
}
