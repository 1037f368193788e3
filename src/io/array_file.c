/*
 * Opening, checking and reading the arrays of array_file.h.
 *
 * A plain array must have exactly the size that its header implies; a compressed one cannot hold
 * more than deflate allows. What is loaded whole is limited to 4 GiB; what is read by record is
 * not.
 */
#include "io/array_file.h"

#include "io/zip.h"

static const uint64_t MAX_LOADED = (uint64_t)4 << 30;

/* ---- numbers ---- */

clg_dtype clg__element_dtype(const clg__element *element)
{
    if (element->kind == 'f') return CLG_F32;
    return element->bytes == 1 && element->kind != 'i' ? CLG_U8 : CLG_I32;
}

/* The bytes of a number as one word. */
static uint64_t word_of(const clg__element *e, const unsigned char *p)
{
    uint64_t word = 0;
    for (int i = 0; i < e->bytes; i++) word = word << 8 | p[e->big_endian ? i : e->bytes - 1 - i];
    return word;
}

/* IEEE half precision: sign, 5 bits of exponent, 10 of mantissa. */
static float float_of_half(uint32_t half)
{
    uint32_t exponent = half >> 10 & 31, mantissa = half & 1023, word = (half & 0x8000) << 16;
    float value;
    if (exponent == 0) { /* zero and subnormals: mantissa 2^-24 */
        value = (float)mantissa * 0x1p-24f;
        return word ? -value : value;
    }
    word |= (exponent == 31 ? 255 : exponent + 112) << 23 | mantissa << 13;
    memcpy(&value, &word, sizeof value);
    return value;
}

static float float_of(const clg__element *e, uint64_t word)
{
    double wide;
    float narrow;
    uint32_t low = (uint32_t)word;
    if (e->bytes == 2) return float_of_half(low);
    memcpy(&narrow, &low, sizeof narrow);
    memcpy(&wide, &word, sizeof wide);
    return e->bytes == 4 ? narrow : (float)wide;
}

/* False if the whole number does not fit in 32 bits with sign. */
static bool int_of(const clg__element *e, uint64_t word, int32_t *out)
{
    int unused = 64 - 8 * e->bytes;
    int64_t value = (int64_t)(word << unused) >> unused; /* sign-extended */
    bool fits = e->kind == 'i' ? value >= INT32_MIN && value <= INT32_MAX : word <= INT32_MAX;
    if (fits) *out = (int32_t)(e->kind == 'i' ? value : (int64_t)word);
    return fits;
}

/* Stored as it is delivered, on machines whose numbers are little-endian. */
static bool as_delivered(const clg__element *e)
{
    const union {
        uint16_t word;
        unsigned char first;
    } order = {1};
    return clg__element_dtype(e) == CLG_U8 ||
           (e->bytes == 4 && e->kind != 'u' && e->big_endian == !order.first);
}

size_t clg__elements_convert(const clg__element *e, const void *from, size_t count, void *to)
{
    const unsigned char *p = from;
    bool real = clg__element_dtype(e) == CLG_F32;
    if (as_delivered(e)) {
        memmove(to, from, count * e->bytes);
        return count;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t word = word_of(e, p + i * e->bytes);
        if (real)
            ((float *)to)[i] = float_of(e, word);
        else if (!int_of(e, word, (int32_t *)to + i))
            return i;
    }
    return count;
}

/* ---- checks ---- */

/* What the header claims must be possible for this file. */
static clg_status check_header(clg__array_file *a)
{
    const clg__array_header *h = &a->header;
    const char *name = a->name;
    char text[160];
    a->count = 1;
    bool possible = true;
    for (int i = 0; i < h->shape.ndim; i++)
        possible &= !__builtin_mul_overflow(a->count, (uint64_t)h->shape.dim[i], &a->count);
    possible &= !__builtin_mul_overflow(a->count, (uint64_t)h->element.bytes, &a->bytes);
    clg_shape_text(&h->shape, text, sizeof text);
    uint64_t limit = a->data.packing == CLG__PLAIN ? (uint64_t)1 << 62 : MAX_LOADED;
    if (!possible || a->bytes > limit)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s claims the shape %s of %d-byte elements, more than the limit of %llu "
                         "bytes",
                         name, text, h->element.bytes, (unsigned long long)MAX_LOADED);
    uint64_t most = clg__stream_most(&a->data), whole = a->bytes + h->size;
    if (a->data.packing == CLG__PLAIN && whole != most)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s claims the shape %s of %d-byte elements, %llu bytes with its header, "
                         "but has %llu",
                         name, text, h->element.bytes, (unsigned long long)whole,
                         (unsigned long long)most);
    if (whole > most)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s claims the shape %s of %d-byte elements, more than its %llu "
                         "compressed bytes can hold",
                         name, text, h->element.bytes, (unsigned long long)a->data.size);
    return CLG_OK;
}

static clg_status check_loadable(const clg__array_file *a)
{
    char text[160];
    if (a->bytes <= MAX_LOADED && a->bytes <= SIZE_MAX / 4 && a->count <= SIZE_MAX / 4)
        return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT,
                     "%s claims the shape %s of %d-byte elements, more than the limit of %llu "
                     "bytes for data that is kept in memory",
                     a->name, clg_shape_text(&a->header.shape, text, sizeof text),
                     a->header.element.bytes, (unsigned long long)MAX_LOADED);
}

/* ---- opening ---- */

void clg__array_close(clg__array_file *array)
{
    if (!array) return;
    clg__stream_close(&array->data);
    clg__reader_close(&array->file);
    clg__free(array->path);
    clg__free(array->name);
    clg__free(array);
}

static clg_status open_member(clg__array_file *a, const char *path, const char *member)
{
    clg__zip_entry entry;
    CLG_TRY(clg__zip_find(&a->file, member, &entry));
    clg__str name = {0};
    clg__str_addf(&name, "%s: %s", path, entry.name);
    if (name.failed) {
        clg__str_free(&name);
        return CLG_ERROR_MEMORY;
    }
    clg__free(a->name);
    a->name = name.text;
    a->checksum = true;
    a->crc32 = entry.crc32;
    const clg__part part = {entry.offset, entry.packed_size, entry.packing};
    CLG_TRY(clg__stream_open_part(&a->data, &a->file, a->name, &part));
    return clg__npy_header(&a->data, &a->header, &a->header_crc32);
}

/* A file of one array, plain or compressed as a whole. */
static clg_status open_single(clg__array_file *a, bool gzip)
{
    unsigned char head[8] = {0};
    size_t got;
    const clg__part whole = {0, a->file.size, gzip ? CLG__GZIP : CLG__PLAIN};
    CLG_TRY(clg__stream_open_part(&a->data, &a->file, a->name, &whole));
    CLG_TRY(clg__stream_read(&a->data, head, sizeof head, &got));
    clg__stream_close(&a->data); /* from the start again, now that the format is known */
    CLG_TRY(clg__stream_open_part(&a->data, &a->file, a->name, &whole));
    if (clg__npy_detect(head, got)) return clg__npy_header(&a->data, &a->header, &a->crc32);
    return clg__idx_header(&a->data, &a->header);
}

static clg_status open_array(clg__array_file *a, const char *path, const char *member)
{
    unsigned char head[4] = {0};
    a->path = clg__strdup(path);
    a->name = clg__strdup(path);
    if (!a->path || !a->name) return CLG_ERROR_MEMORY;
    CLG_TRY(clg__reader_open(&a->file, a->path));
    size_t there = a->file.size < sizeof head ? (size_t)a->file.size : sizeof head;
    CLG_TRY(clg__reader_at(&a->file, 0, head, there));
    if (clg__zip_detect(head, sizeof head))
        CLG_TRY(open_member(a, path, member));
    else
        CLG_TRY(open_single(a, head[0] == 0x1f && head[1] == 0x8b));
    a->dtype = clg__element_dtype(&a->header.element);
    return check_header(a);
}

clg_status clg__array_open(clg__array_file **out, const char *path, const char *member)
{
    clg__array_file *array = clg__calloc(1, sizeof *array);
    if (!array) return CLG_ERROR_MEMORY;
    array->file.fd = -1;
    clg_status status = open_array(array, path, member);
    if (status == CLG_OK)
        *out = array;
    else
        clg__array_close(array);
    return status;
}

/* ---- reading ---- */

static clg_status does_not_fit(const clg__array_file *a, uint64_t at)
{
    return clg__fail(CLG_ERROR_FORMAT, "%s: element %llu is an integer beyond 32 bits", a->name,
                     (unsigned long long)at);
}

/* Turns elements into the host's dtype. Takes over `raw`. */
static clg_status convert(const clg__array_file *a, void *raw, void **out)
{
    *out = raw;
    if (a->dtype == CLG_U8) return CLG_OK;
    void *data = clg__calloc((size_t)a->count, 4);
    clg_status status = data ? CLG_OK : CLG_ERROR_MEMORY;
    if (data) {
        size_t good = clg__elements_convert(&a->header.element, raw, (size_t)a->count, data);
        if (good < a->count) status = does_not_fit(a, good);
    }
    clg__free(raw);
    *out = data;
    return status;
}

/* Column-major numbers of `size` bytes in row-major order: the last axis runs fastest. */
static void transpose(const clg_shape *shape, size_t size, const char *from, char *to)
{
    int64_t at[CLG_MAX_DIMS] = {0}, count = clg_shape_count(shape);
    for (int64_t i = 0; i < count; i++) {
        int64_t source = 0;
        for (int d = shape->ndim - 1; d >= 0; d--) source = source * shape->dim[d] + at[d];
        memcpy(to + (size_t)i * size, from + (size_t)source * size, size);
        for (int d = shape->ndim - 1; d >= 0 && ++at[d] == shape->dim[d]; d--) at[d] = 0;
    }
}

static clg_status reorder(const clg__array_file *a, void **data)
{
    size_t size = clg_dtype_size(a->dtype);
    if (!a->header.fortran || a->header.shape.ndim < 2) return CLG_OK;
    void *ordered = clg__calloc((size_t)a->count, size);
    if (ordered) {
        transpose(&a->header.shape, size, *data, ordered);
        clg__free(*data);
        *data = ordered;
        return CLG_OK;
    }
    return CLG_ERROR_MEMORY;
}

static clg_status verify(clg__array_file *a, const void *raw)
{
    CLG_TRY(clg__stream_expect_end(&a->data, (size_t)a->bytes));
    if (!a->checksum) return CLG_OK;
    uint32_t crc = clg__crc32(a->header_crc32, raw, (size_t)a->bytes);
    if (crc == a->crc32) return CLG_OK;
    return clg__fail(CLG_ERROR_FORMAT, "%s: damaged, its checksum is %08x instead of %08x", a->name,
                     (unsigned)crc, (unsigned)a->crc32);
}

clg_status clg__array_load(clg__array_file *a, void **out)
{
    void *raw = NULL, *data = NULL;
    CLG_TRY(check_loadable(a));
    CLG_TRY(clg__stream_load(&a->data, (size_t)a->bytes, &raw));
    clg_status status = verify(a, raw);
    if (status == CLG_OK)
        status = convert(a, raw, &data);
    else
        clg__free(raw);
    if (status == CLG_OK) status = reorder(a, &data);
    if (status == CLG_OK)
        *out = data;
    else
        clg__free(data);
    return status;
}

bool clg__array_seekable(const clg__array_file *a)
{
    return a->data.packing == CLG__PLAIN && a->header.shape.ndim > 0 &&
           (!a->header.fortran || a->header.shape.ndim == 1);
}

clg_status clg__array_record(const clg__array_file *a, int64_t index, void *out)
{
    const clg__element *e = &a->header.element;
    size_t elements = (size_t)(a->count / (uint64_t)a->header.shape.dim[0]);
    size_t size = elements * e->bytes, good = elements;
    /* The stream was opened behind the header; records do not move it. */
    uint64_t at = a->data.end - a->bytes + (uint64_t)index * size;
    if (as_delivered(e)) return clg__reader_at(&a->file, at, out, size);
    void *stored = clg__alloc(size);
    if (!stored) return CLG_ERROR_MEMORY;
    clg_status status = clg__reader_at(&a->file, at, stored, size);
    if (status == CLG_OK) good = clg__elements_convert(e, stored, elements, out);
    clg__free(stored);
    if (status != CLG_OK || good == elements) return status;
    return does_not_fit(a, (uint64_t)index * elements + good);
}

/* ---- public readers ---- */

static clg_status read_array(const char *function, const char *path, const char *member,
                             clg_array *out, void **data)
{
    clg__array_file *array = NULL;
    if (!path || !out || !data)
        return clg__fail(CLG_ERROR_ARGUMENT, "%s: an argument is NULL", function);
    CLG_TRY(clg__array_open(&array, path, member));
    clg_status status = clg__array_load(array, data);
    if (status == CLG_OK)
        *out = (clg_array){.dtype = array->dtype, .shape = array->header.shape, .data = *data};
    clg__array_close(array);
    return status;
}

clg_status clg_array_read(const char *path, const char *member, clg_array *out, void **data)
{
    return read_array("clg_array_read", path, member, out, data);
}

clg_status clg_idx_read(const char *path, clg_dtype *dtype, clg_shape *shape, void **data)
{
    clg_array array = {0};
    CLG_TRY(read_array("clg_idx_read", path, NULL, dtype && shape ? &array : NULL, data));
    *dtype = array.dtype;
    *shape = array.shape;
    return CLG_OK;
}
