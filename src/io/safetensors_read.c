/*
 * Reader of safetensors files: u64 length N | N bytes of JSON | data.
 *
 * Nothing in the file is believed: every length is compared with the size of the file before memory
 * is taken for it, sizes are multiplied with overflow checks, and the spans of the arrays must
 * cover the data exactly. The JSON is capped since parsing hostile JSON costs 50 times its size.
 */
#include "io/safetensors.h"

#include <stdlib.h>

#include <jansson.h>

#include "io/reader.h"

enum { LENGTH_BYTES = 8, DEFAULT_MAX_HEADER = 8 << 20 };

/* All element types of the format, with their bits. */
static const struct {
    const char *name;
    unsigned bits;
} types[] = {
    {"F64", 64},        {"F32", 32},        {"F16", 16},    {"BF16", 16},   {"I64", 64},
    {"I32", 32},        {"I16", 16},        {"I8", 8},      {"U64", 64},    {"U32", 32},
    {"U16", 16},        {"U8", 8},          {"BOOL", 8},    {"C64", 64},    {"F8_E4M3", 8},
    {"F8_E5M2", 8},     {"F8_E8M0", 8},     {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},
    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
};

typedef struct entry {
    clg_array array;
    size_t type;         /* row of types */
    uint64_t begin, end; /* bytes in the data */
} entry;

struct clg_safetensors {
    entry *entries;
    size_t count;
    clg_metadata *metadata;
    size_t metadata_count;
    void *data;
    uint64_t data_size;
};

/* ---- checksums ---- */

char *clg__hash_text(clg__hash128 hash, char text[CLG__HASH_TEXT])
{
    snprintf(text, CLG__HASH_TEXT, "%016llx%016llx", (unsigned long long)hash.hi,
             (unsigned long long)hash.lo);
    return text;
}

void clg__digest_array(clg__str *digest, const clg_array *array, const char *dtype)
{
    clg__str_addn(digest, array->name, strlen(array->name) + 1);
    clg__str_addn(digest, dtype, strlen(dtype) + 1);
    for (int i = 0; i < array->shape.ndim; i++)
        clg__str_addf(digest, "%lld,", (long long)array->shape.dim[i]);
    clg__str_addn(digest, "", 1);
}

void clg__digest_metadata(clg__str *digest, const clg_metadata *pair)
{
    if (strcmp(pair->key, CLG__HEADER_HASH_KEY) == 0) return;
    clg__str_addn(digest, pair->key, strlen(pair->key) + 1);
    clg__str_addn(digest, pair->value, strlen(pair->value) + 1);
}

static clg_status compare_hash(const clg_safetensors *file, const char *path, const char *key,
                               const void *data, size_t size)
{
    char actual[CLG__HASH_TEXT];
    const char *expected = clg_safetensors_metadata(file, key);
    if (!expected) return CLG_OK;
    if (strcmp(expected, clg__hash_text(clg__hash(data, size), actual)) == 0) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT, "%s is damaged: its %s says %s, its content gives %s", path,
                     key, expected, actual);
}

static clg_status verify(const clg_safetensors *file, const char *path)
{
    clg__str digest = {0};
    CLG_TRY(compare_hash(file, path, CLG__DATA_HASH_KEY, file->data, (size_t)file->data_size));
    for (size_t i = 0; i < file->count; i++)
        clg__digest_array(&digest, &file->entries[i].array, types[file->entries[i].type].name);
    for (size_t i = 0; i < file->metadata_count; i++)
        clg__digest_metadata(&digest, &file->metadata[i]);
    clg_status status = digest.failed ? CLG_ERROR_MEMORY
                                      : compare_hash(file, path, CLG__HEADER_HASH_KEY,
                                                     clg__str_text(&digest), digest.length);
    clg__str_free(&digest);
    return status;
}

/* ---- one array of the header ---- */

static clg_status parse_type(const json_t *object, entry *e)
{
    const char *name = json_string_value(json_object_get(object, "dtype"));
    if (!name) return clg__fail(CLG_ERROR_FORMAT, "no dtype");
    for (e->type = 0; e->type < CLG__COUNT(types); e->type++)
        if (strcmp(types[e->type].name, name) == 0) break;
    if (e->type == CLG__COUNT(types))
        return clg__fail(CLG_ERROR_FORMAT, "unknown dtype \"%s\"", name);
    e->array.dtype = CLG_DTYPE_COUNT;
    for (int i = 0; i < CLG_DTYPE_COUNT; i++)
        if (strcmp(clg_dtype_name((clg_dtype)i), name) == 0) e->array.dtype = (clg_dtype)i;
    return CLG_OK;
}

/* A non-negative JSON integer. */
static bool parse_size(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

/* Shape and number of bytes; more dimensions than clgrad has are found valid first. */
static clg_status parse_shape(const json_t *object, entry *e, uint64_t *bytes)
{
    const json_t *shape = json_object_get(object, "shape");
    if (!json_is_array(shape)) return clg__fail(CLG_ERROR_FORMAT, "no shape");
    size_t ndim = json_array_size(shape);
    uint64_t bits = types[e->type].bits, extent;
    bool overflow = false;
    for (size_t i = 0; i < ndim; i++) {
        if (!parse_size(json_array_get(shape, i), &extent))
            return clg__fail(CLG_ERROR_FORMAT, "dimension %zu is no size", i);
        overflow |= __builtin_mul_overflow(bits, extent, &bits);
        if (i < CLG_MAX_DIMS) e->array.shape.dim[i] = (int64_t)extent;
    }
    if (overflow || bits % 8)
        return clg__fail(CLG_ERROR_FORMAT, "the size of the shape %s",
                         overflow ? "overflows" : "is no whole number of bytes");
    e->array.shape.ndim = ndim < CLG_MAX_DIMS ? (int)ndim : CLG_MAX_DIMS;
    *bytes = bits / 8;
    if (ndim <= CLG_MAX_DIMS) return CLG_OK;
    return clg__fail(CLG_ERROR_UNSUPPORTED, "%zu dimensions; at most %d are supported", ndim,
                     CLG_MAX_DIMS);
}

static clg_status parse_span(const json_t *object, uint64_t data_size, uint64_t bytes, entry *e)
{
    const json_t *span = json_object_get(object, "data_offsets");
    if (!json_is_array(span) || json_array_size(span) != 2 ||
        !parse_size(json_array_get(span, 0), &e->begin) ||
        !parse_size(json_array_get(span, 1), &e->end))
        return clg__fail(CLG_ERROR_FORMAT, "data_offsets are not two sizes");
    unsigned long long begin = e->begin, end = e->end;
    if (end < begin || end > data_size)
        return clg__fail(CLG_ERROR_FORMAT, "data_offsets %llu .. %llu in %llu bytes of data%s",
                         begin, end, (unsigned long long)data_size,
                         end > data_size ? ": the file is cut short" : "");
    if (end - begin != bytes)
        return clg__fail(CLG_ERROR_FORMAT,
                         "data_offsets %llu .. %llu for a shape that takes %llu bytes", begin, end,
                         (unsigned long long)bytes);
    return CLG_OK;
}

static clg_status parse_entry(const char *name, const json_t *object, uint64_t data_size, entry *e)
{
    uint64_t bytes = 0;
    clg_status status = CLG_OK;
    if (!json_is_object(object)) status = clg__fail(CLG_ERROR_FORMAT, "no description");
    if (status == CLG_OK) status = parse_type(object, e);
    if (status == CLG_OK) status = parse_shape(object, e, &bytes);
    if (status == CLG_OK) status = parse_span(object, data_size, bytes, e);
    if (status != CLG_OK) return clg__fail_context(status, "array \"%.200s\"", name);
    e->array.name = clg__strdup(name);
    return e->array.name ? CLG_OK : CLG_ERROR_MEMORY;
}

/* ---- the header ---- */

static clg_status parse_metadata(clg_safetensors *file, json_t *object)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return clg__fail(CLG_ERROR_FORMAT, "%s is no object", CLG__METADATA_KEY);
    file->metadata = clg__calloc(json_object_size(object), sizeof *file->metadata);
    if (!file->metadata) return CLG_ERROR_MEMORY;
    json_object_foreach(object, key, value)
    {
        clg_metadata *pair = &file->metadata[file->metadata_count++];
        if (!json_is_string(value))
            return clg__fail(CLG_ERROR_FORMAT, "%s: \"%.200s\" is no string", CLG__METADATA_KEY,
                             key);
        pair->key = clg__strdup(key);
        pair->value = clg__strdup(json_string_value(value));
        if (!pair->key || !pair->value) return CLG_ERROR_MEMORY;
    }
    return CLG_OK;
}

static int by_position(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end < b->end ? -1 : 1;
    return strcmp(a->array.name, b->array.name);
}

/* Without holes or overlaps, from the first byte of the data to the last one. */
static clg_status check_coverage(const clg_safetensors *file)
{
    uint64_t at = 0;
    for (size_t i = 0; i < file->count; i++) {
        const entry *e = &file->entries[i];
        if (e->begin != at)
            return clg__fail(CLG_ERROR_FORMAT,
                             "array \"%.200s\" starts at byte %llu of the data, %s at %llu",
                             e->array.name, (unsigned long long)e->begin,
                             e->begin < at ? "inside the one that ends" : "after a hole",
                             (unsigned long long)at);
        at = e->end;
    }
    if (at != file->data_size)
        return clg__fail(CLG_ERROR_FORMAT, "the arrays end at byte %llu of %llu bytes of data",
                         (unsigned long long)at, (unsigned long long)file->data_size);
    return CLG_OK;
}

static clg_status parse_header(clg_safetensors *file, json_t *root)
{
    const char *name;
    json_t *value;
    file->entries = clg__calloc(json_object_size(root), sizeof *file->entries);
    if (!file->entries) return CLG_ERROR_MEMORY;
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, CLG__METADATA_KEY) == 0)
            CLG_TRY(parse_metadata(file, value));
        else
            CLG_TRY(parse_entry(name, value, file->data_size, &file->entries[file->count++]));
    }
    if (file->count > 0) qsort(file->entries, file->count, sizeof *file->entries, by_position);
    return check_coverage(file);
}

static clg_status load_json(const char *text, size_t length, json_t **out)
{
    json_error_t error;
    if (length == 0 || text[0] != '{')
        return clg__fail(CLG_ERROR_FORMAT, "the header does not start with '{'");
    *out = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (*out) return CLG_OK;
    /* jansson says nothing at all when its first allocations fail. */
    enum json_error_code code = json_error_code(&error);
    if (code == json_error_out_of_memory || code == json_error_unknown)
        return clg__fail(CLG_ERROR_MEMORY, "out of host memory while parsing the header");
    return clg__fail(CLG_ERROR_FORMAT, "the header is not valid JSON: %s (column %d)", error.text,
                     error.column);
}

/* The length of the header; it and the header fit in the file. */
static clg_status read_length(const clg__reader *reader, uint64_t max, uint64_t *out)
{
    unsigned char bytes[LENGTH_BYTES];
    uint64_t length = 0;
    unsigned long long size = reader->size;
    if (size < LENGTH_BYTES)
        return clg__fail(CLG_ERROR_FORMAT, "%s has %llu bytes, fewer than any safetensors file",
                         reader->path, size);
    CLG_TRY(clg__reader_at(reader, 0, bytes, sizeof bytes));
    for (int i = LENGTH_BYTES; i > 0; i--) length = length << 8 | bytes[i - 1];
    if (length > size - LENGTH_BYTES)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s claims a header of %llu bytes but has %llu: it is cut short, or no "
                         "safetensors file",
                         reader->path, (unsigned long long)length, size);
    if (length > max || length >= SIZE_MAX)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s has a header of %llu bytes; at most %llu are accepted", reader->path,
                         (unsigned long long)length, (unsigned long long)max);
    *out = length;
    return CLG_OK;
}

/* Reads, parses and checks the header; sets everything but the data. */
static clg_status read_header(clg_safetensors *file, const clg__reader *reader, uint64_t max)
{
    uint64_t length = 0;
    json_t *root = NULL;
    CLG_TRY(read_length(reader, max, &length));
    file->data_size = reader->size - LENGTH_BYTES - length;
    char *text = clg__alloc((size_t)length);
    if (!text) return CLG_ERROR_MEMORY;
    clg_status status = clg__reader_at(reader, LENGTH_BYTES, text, (size_t)length);
    if (status == CLG_OK) {
        status = load_json(text, (size_t)length, &root);
        if (status == CLG_OK) status = parse_header(file, root);
        if (status != CLG_OK) status = clg__fail_context(status, "%s", reader->path);
    }
    clg__free(text);
    json_decref(root);
    return status;
}

static clg_status read_data(clg_safetensors *file, const clg__reader *reader)
{
    if (file->data_size > SIZE_MAX)
        return clg__fail(CLG_ERROR_MEMORY, "%s: %llu bytes of data do not fit in memory",
                         reader->path, (unsigned long long)file->data_size);
    file->data = clg__alloc((size_t)file->data_size);
    if (!file->data) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < file->count; i++)
        file->entries[i].array.data = (const char *)file->data + file->entries[i].begin;
    return clg__reader_at(reader, reader->size - file->data_size, file->data,
                          (size_t)file->data_size);
}

static clg_status read_file(clg_safetensors *file, const char *path, uint64_t max_header)
{
    clg__reader reader;
    CLG_TRY(clg__reader_open(&reader, path));
    clg_status status = read_header(file, &reader, max_header);
    if (status == CLG_OK) status = read_data(file, &reader);
    clg__reader_close(&reader);
    return status == CLG_OK ? verify(file, path) : status;
}

clg_status clg_safetensors_open(clg_safetensors **out, const char *path,
                                const clg_safetensors_params *params)
{
    if (!out || !path)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_safetensors_open: an argument is NULL");
    clg_safetensors *file = clg__calloc(1, sizeof *file);
    if (!file) return CLG_ERROR_MEMORY;
    clg__object_created();
    uint64_t max = params && params->max_header ? params->max_header : DEFAULT_MAX_HEADER;
    clg_status status = read_file(file, path, max);
    if (status == CLG_OK)
        *out = file;
    else
        clg_safetensors_destroy(file);
    return status;
}

void clg_safetensors_destroy(clg_safetensors *file)
{
    if (!file) return;
    for (size_t i = 0; i < file->count; i++) clg__free((char *)file->entries[i].array.name);
    for (size_t i = 0; i < file->metadata_count; i++) {
        clg__free((char *)file->metadata[i].key);
        clg__free((char *)file->metadata[i].value);
    }
    clg__free(file->entries);
    clg__free(file->metadata);
    clg__free(file->data);
    clg__free(file);
    clg__object_destroyed();
}

/* ---- looking inside ---- */

size_t clg_safetensors_count(const clg_safetensors *file)
{
    CLG__NEEDS_OR(0, file);
    return file->count;
}

const clg_array *clg_safetensors_get(const clg_safetensors *file, size_t index)
{
    CLG__NEEDS_OR(NULL, file);
    return index < file->count ? &file->entries[index].array : NULL;
}

const clg_array *clg_safetensors_find(const clg_safetensors *file, const char *name)
{
    CLG__NEEDS_OR(NULL, file && name);
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->entries[i].array.name, name) == 0) return &file->entries[i].array;
    return NULL;
}

const char *clg_safetensors_dtype(const clg_safetensors *file, size_t index)
{
    CLG__NEEDS_OR(NULL, file);
    return index < file->count ? types[file->entries[index].type].name : NULL;
}

const char *clg_safetensors_metadata(const clg_safetensors *file, const char *key)
{
    CLG__NEEDS_OR(NULL, file && key);
    for (size_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0) return file->metadata[i].value;
    return NULL;
}

const clg_metadata *clg_safetensors_metadata_at(const clg_safetensors *file, size_t index)
{
    CLG__NEEDS_OR(NULL, file);
    return index < file->metadata_count ? &file->metadata[index] : NULL;
}
