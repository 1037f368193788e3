/*
 * Writer of safetensors files. Arrays go by decreasing element size, then name: each starts at a
 * multiple of its element size, and the same arrays give the same bytes. The header is padded with
 * spaces so that the data starts at a multiple of 8. The file replaces an old one only when it is
 * complete and on the disk.
 */
#include "io/safetensors.h"

#include <stdlib.h>

#include <jansson.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "io/utf8.h"

/* What is being written. */
typedef struct plan {
    const clg_array **arrays; /* in file order */
    size_t count;
    const clg_safetensors_write_params *params;
    clg_metadata hashes[2]; /* with checksums: added to the metadata */
    size_t hash_count;
    char hash_text[2][CLG__HASH_TEXT];
} plan;

/* ---- checking the input ---- */

static bool array_bytes(const clg_array *array, size_t *out)
{
    size_t bytes = clg_dtype_size(array->dtype);
    for (int i = 0; i < array->shape.ndim; i++)
        if (array->shape.dim[i] < 0 || !clg__mul_size(bytes, (size_t)array->shape.dim[i], &bytes))
            return false;
    *out = bytes;
    return true;
}

static clg_status check_array(const clg_array *array, size_t index)
{
    size_t bytes;
    char text[160];
    if (!array->name || !array->name[0] || !clg__is_utf8(array->name) ||
        strcmp(array->name, CLG__METADATA_KEY) == 0)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "array %zu has no name that a safetensors file can hold", index);
    if ((unsigned)array->dtype >= CLG_DTYPE_COUNT || array->shape.ndim < 0 ||
        array->shape.ndim > CLG_MAX_DIMS)
        return clg__fail(CLG_ERROR_ARGUMENT, "array \"%s\" has no valid dtype and shape",
                         array->name);
    if (!array_bytes(array, &bytes) || (!array->data && bytes > 0))
        return clg__fail(CLG_ERROR_ARGUMENT, "array \"%s\" of shape %s has no data or too much",
                         array->name, clg_shape_text(&array->shape, text, sizeof text));
    return CLG_OK;
}

static clg_status check_metadata(const clg_safetensors_write_params *params)
{
    for (size_t i = 0; i < params->metadata_count; i++) {
        const clg_metadata *entry = &params->metadata[i];
        if (!entry->key || !entry->value || !clg__is_utf8(entry->key) ||
            !clg__is_utf8(entry->value))
            return clg__fail(CLG_ERROR_ARGUMENT, "metadata entry %zu is no pair of UTF-8 texts", i);
        if (params->checksum && (strcmp(entry->key, CLG__DATA_HASH_KEY) == 0 ||
                                 strcmp(entry->key, CLG__HEADER_HASH_KEY) == 0))
            return clg__fail(CLG_ERROR_ARGUMENT, "the metadata key %s is the checksum's own",
                             entry->key);
    }
    return CLG_OK;
}

/* ---- order and checksums ---- */

static int by_size_then_name(const void *left, const void *right)
{
    const clg_array *a = *(const clg_array *const *)left, *b = *(const clg_array *const *)right;
    size_t size_a = clg_dtype_size(a->dtype), size_b = clg_dtype_size(b->dtype);
    if (size_a != size_b) return size_a > size_b ? -1 : 1;
    return strcmp(a->name, b->name);
}

static clg_status sort_arrays(plan *p, const clg_array *arrays, size_t count)
{
    p->arrays = clg__calloc(count, sizeof *p->arrays);
    if (!p->arrays) return CLG_ERROR_MEMORY;
    p->count = count;
    for (size_t i = 0; i < count; i++) {
        CLG_TRY(check_array(&arrays[i], i));
        p->arrays[i] = &arrays[i];
    }
    qsort(p->arrays, count, sizeof *p->arrays, by_size_then_name);
    return CLG_OK;
}

static void add_hash(plan *p, const char *key, clg__hash128 hash)
{
    char *text = clg__hash_text(hash, p->hash_text[p->hash_count]);
    p->hashes[p->hash_count++] = (clg_metadata){key, text};
}

static clg__hash128 hash_data(const plan *p)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    for (size_t i = 0; i < p->count; i++) {
        size_t bytes = 0;
        array_bytes(p->arrays[i], &bytes);
        if (bytes > 0) XXH3_128bits_update(&state, p->arrays[i]->data, bytes);
    }
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    return (clg__hash128){hash.low64, hash.high64};
}

static clg_status add_hashes(plan *p)
{
    clg__str digest = {0};
    if (!p->params->checksum) return CLG_OK;
    add_hash(p, CLG__DATA_HASH_KEY, hash_data(p));
    for (size_t i = 0; i < p->count; i++)
        clg__digest_array(&digest, p->arrays[i], clg_dtype_name(p->arrays[i]->dtype));
    for (size_t i = 0; i < p->params->metadata_count; i++)
        clg__digest_metadata(&digest, &p->params->metadata[i]);
    clg__digest_metadata(&digest, &p->hashes[0]);
    bool complete = !digest.failed;
    if (complete)
        add_hash(p, CLG__HEADER_HASH_KEY, clg__hash(clg__str_text(&digest), digest.length));
    clg__str_free(&digest);
    return complete ? CLG_OK : CLG_ERROR_MEMORY;
}

/* ---- the header ---- */

static clg_status out_of_memory(void)
{
    return clg__fail(CLG_ERROR_MEMORY, "out of host memory while building a safetensors header");
}

/* Takes over `value`; a key that is there already is refused. */
static clg_status add_member(json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key)) {
        json_decref(value);
        return clg__fail(CLG_ERROR_ARGUMENT, "the name \"%s\" is there twice", key);
    }
    return json_object_set_new(object, key, value) == 0 ? CLG_OK : out_of_memory();
}

static clg_status add_metadata(const plan *p, json_t *root)
{
    size_t own = p->params->metadata_count;
    if (own + p->hash_count == 0) return CLG_OK;
    json_t *object = json_object();
    if (!object) return out_of_memory();
    clg_status status = add_member(root, CLG__METADATA_KEY, object);
    for (size_t i = 0; status == CLG_OK && i < own + p->hash_count; i++) {
        const clg_metadata *entry = i < own ? &p->params->metadata[i] : &p->hashes[i - own];
        status = add_member(object, entry->key, json_string(entry->value));
    }
    return status;
}

/* Description of an array; NULL when out of memory. jansson takes NULL for a failure before. */
static json_t *describe(const clg_array *array, uint64_t begin, uint64_t end)
{
    json_t *object = json_object(), *shape = json_array(), *span = json_array();
    int failed = 0;
    for (int i = 0; i < array->shape.ndim; i++)
        failed |= json_array_append_new(shape, json_integer((json_int_t)array->shape.dim[i]));
    failed |= json_array_append_new(span, json_integer((json_int_t)begin));
    failed |= json_array_append_new(span, json_integer((json_int_t)end));
    failed |= json_object_set_new(object, "dtype", json_string(clg_dtype_name(array->dtype)));
    failed |= json_object_set_new(object, "shape", shape);
    failed |= json_object_set_new(object, "data_offsets", span);
    if (!failed) return object;
    json_decref(object);
    return NULL;
}

static clg_status add_arrays(const plan *p, json_t *root)
{
    uint64_t at = 0;
    for (size_t i = 0; i < p->count; i++) {
        size_t bytes = 0;
        array_bytes(p->arrays[i], &bytes);
        if (bytes > (uint64_t)INT64_MAX - at)
            return clg__fail(CLG_ERROR_ARGUMENT, "the arrays are larger than any file");
        CLG_TRY(add_member(root, p->arrays[i]->name, describe(p->arrays[i], at, at + bytes)));
        at += bytes;
    }
    return CLG_OK;
}

static int append_text(const char *text, size_t size, void *header)
{
    clg__str_addn(header, text, size);
    return ((clg__str *)header)->failed ? -1 : 0;
}

static clg_status build_header(const plan *p, clg__str *header)
{
    json_t *root = json_object();
    clg_status status = root ? CLG_OK : out_of_memory();
    if (status == CLG_OK) status = add_metadata(p, root);
    if (status == CLG_OK) status = add_arrays(p, root);
    if (status == CLG_OK && json_dump_callback(root, append_text, header, JSON_COMPACT) != 0)
        status = out_of_memory();
    json_decref(root);
    while (status == CLG_OK && !header->failed && header->length % 8) clg__str_add(header, " ");
    return status == CLG_OK && header->failed ? out_of_memory() : status;
}

/* ---- the file ---- */

static clg_status write_content(clg__atomic_file *file, const plan *p, const clg__str *header)
{
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)header->length >> (8 * i));
    CLG_TRY(clg__atomic_write(file, length, sizeof length));
    CLG_TRY(clg__atomic_write(file, header->text, header->length));
    for (size_t i = 0; i < p->count; i++) {
        size_t bytes = 0;
        array_bytes(p->arrays[i], &bytes);
        CLG_TRY(clg__atomic_write(file, p->arrays[i]->data, bytes));
    }
    return CLG_OK;
}

static clg_status write_file(const char *path, const plan *p, const clg__str *header)
{
    clg__atomic_file *file;
    CLG_TRY(clg__atomic_open(&file, path, CLG__FILE_DURABLE));
    clg_status status = write_content(file, p, header);
    if (status == CLG_OK) return clg__atomic_commit(file);
    clg__atomic_abort(file);
    return status;
}

clg_status clg_safetensors_write(const char *path, const clg_array *arrays, size_t count,
                                 const clg_safetensors_write_params *params)
{
    static const clg_safetensors_write_params defaults = {0};
    plan p = {.params = params ? params : &defaults};
    clg__str header = {0};
    if (!path || (!arrays && count > 0) || (!p.params->metadata && p.params->metadata_count > 0))
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_safetensors_write: an argument is NULL");
    clg_status status = check_metadata(p.params);
    if (status == CLG_OK) status = sort_arrays(&p, arrays, count);
    if (status == CLG_OK) status = add_hashes(&p);
    if (status == CLG_OK) status = build_header(&p, &header);
    if (status != CLG_OK) status = clg__fail_context(status, "cannot write %s", path);
    if (status == CLG_OK) status = write_file(path, &p, &header);
    clg__free(p.arrays);
    clg__str_free(&header);
    return status;
}
