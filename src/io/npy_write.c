/*
 * Writing npy files, version 1.0, in the byte order of this machine. The header is padded so that
 * the data begins at a multiple of 64 bytes, as NumPy does it for memory maps.
 */
#include "base/base.h"
#include "clgrad/data.h"

enum { PREAMBLE = 10, ALIGNMENT = 64 }; /* magic, version, length of the header */

/* What NumPy calls the type; NULL: none is known. */
static const char *code_of(clg_dtype dtype)
{
    static const char *const codes[] = {[CLG_F32] = "f4", [CLG_I32] = "i4", [CLG_U8] = "u1"};
    return (size_t)dtype < CLG__COUNT(codes) ? codes[dtype] : NULL;
}

static char byte_order(clg_dtype dtype)
{
    const uint16_t one = 1;
    if (clg_dtype_size(dtype) == 1) return '|';
    return *(const uint8_t *)&one ? '<' : '>';
}

/* The dict, padded with blanks and ended by a line feed. */
static void add_dict(clg__str *out, const clg_array *array, const char *code)
{
    clg__str_addf(out, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                  byte_order(array->dtype), code);
    for (int i = 0; i < array->shape.ndim; i++)
        clg__str_addf(out, "%s%lld", i ? ", " : "", (long long)array->shape.dim[i]);
    clg__str_add(out, array->shape.ndim == 1 ? ",), }" : "), }");
    while ((PREAMBLE + out->length + 1) % ALIGNMENT && !out->failed) clg__str_add(out, " ");
    clg__str_add(out, "\n");
}

static clg_status write_file(const char *path, const clg__str *dict, const clg_array *array)
{
    unsigned char preamble[PREAMBLE] = "\x93NUMPY\x01";
    preamble[8] = (unsigned char)(dict->length & 255);
    preamble[9] = (unsigned char)(dict->length >> 8);
    size_t size = (size_t)clg_shape_count(&array->shape) * clg_dtype_size(array->dtype);
    clg__atomic_file *file = NULL;
    CLG_TRY(clg__atomic_open(&file, path, 0));
    clg_status status = clg__atomic_write(file, preamble, PREAMBLE);
    if (status == CLG_OK) status = clg__atomic_write(file, dict->text, dict->length);
    if (status == CLG_OK) status = clg__atomic_write(file, array->data, size);
    if (status == CLG_OK) return clg__atomic_commit(file);
    clg__atomic_abort(file);
    return status;
}

clg_status clg_array_write(const char *path, const clg_array *array)
{
    if (!path || !array || !array->data)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_array_write: an argument is NULL");
    const char *code = code_of(array->dtype);
    if (!code)
        return clg__fail(CLG_ERROR_UNSUPPORTED, "clg_array_write: %s: no npy file of type %s", path,
                         clg_dtype_name(array->dtype));
    if (array->shape.ndim < 0 || array->shape.ndim > CLG_MAX_DIMS)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_array_write: %s: the shape has not 0 to %d axes",
                         path, CLG_MAX_DIMS);
    clg__str dict = {0};
    add_dict(&dict, array, code);
    clg_status status = dict.failed ? CLG_ERROR_MEMORY : write_file(path, &dict, array);
    clg__str_free(&dict);
    return status;
}
