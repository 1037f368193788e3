/*
 * Header of idx files, MNIST's format: 00 00 type ndim | ndim big-endian u32 | data, big-endian.
 */
#include "io/array_file.h"

/* One row per element type: its code in the file. */
static const struct {
    unsigned char code;
    clg__element element;
} rows[] = {
    {0x08, {'u', 1, true}}, {0x09, {'i', 1, true}}, {0x0b, {'i', 2, true}},
    {0x0c, {'i', 4, true}}, {0x0d, {'f', 4, true}}, {0x0e, {'f', 8, true}},
};

static const clg__element *element_find(unsigned char code)
{
    for (size_t i = 0; i < CLG__COUNT(rows); i++)
        if (rows[i].code == code) return &rows[i].element;
    return NULL;
}

bool clg__idx_detect(const unsigned char *head, size_t size)
{
    return size >= 4 && head[0] == 0 && head[1] == 0 && element_find(head[2]) && head[3] >= 1;
}

clg_status clg__idx_header(clg__stream *s, clg__array_header *h)
{
    unsigned char magic[4], p[4];
    CLG_TRY(clg__stream_read_exact(s, magic, sizeof magic, "header"));
    const clg__element *element = element_find(magic[2]);
    if (magic[0] || magic[1] || !element)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s is no idx file: it starts with %02x %02x %02x %02x instead of "
                         "00 00 TYPE NDIM",
                         s->name, magic[0], magic[1], magic[2], magic[3]);
    if (magic[3] < 1 || magic[3] > CLG_MAX_DIMS)
        return clg__fail(CLG_ERROR_FORMAT, "%s has %d dimensions; 1 to %d are supported", s->name,
                         magic[3], CLG_MAX_DIMS);
    *h = (clg__array_header){.element = *element, .shape.ndim = magic[3]};
    h->size = 4 + 4 * (size_t)magic[3];
    for (int i = 0; i < h->shape.ndim; i++) {
        CLG_TRY(clg__stream_read_exact(s, p, sizeof p, "header"));
        h->shape.dim[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    return CLG_OK;
}
