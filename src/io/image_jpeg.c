/*
 * JPEG files, by libjpeg. Its errors jump back here; what it only warns about although pixels are
 * lost - a file that ends too early, codes that make no sense - is an error too.
 */
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
/* after jpeglib.h */
#include <jerror.h>

#include "base/base.h"
#include "io/image.h"

typedef struct decoding {
    struct jpeg_error_mgr errors; /* first: libjpeg hands a pointer to it back */
    struct jpeg_decompress_struct jpeg;
    jmp_buf escape;
    const char *path;
    const unsigned char *data;
    size_t size;
    clg__image *image;
    clg_status status;
    int damage; /* libjpeg's code of the first warning that means loss; 0: none */
} decoding;

bool clg__jpeg_detect(const unsigned char *head, size_t size)
{
    return size >= 3 && head[0] == 0xff && head[1] == 0xd8 && head[2] == 0xff;
}

static void on_error(j_common_ptr jpeg)
{
    decoding *d = (decoding *)jpeg->err;
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    d->status =
        clg__fail(jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? CLG_ERROR_MEMORY : CLG_ERROR_FORMAT,
                  "%s: damaged JPEG file (%s)", d->path, text);
    longjmp(d->escape, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
    static const int losses[] = {JWRN_JPEG_EOF, JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE,
                                 JWRN_MUST_RESYNC, JWRN_ARITH_BAD_CODE};
    decoding *d = (decoding *)jpeg->err;
    for (size_t i = 0; level < 0 && i < CLG__COUNT(losses); i++)
        if (jpeg->err->msg_code == losses[i] && !d->damage) d->damage = losses[i];
}

static void check_colours(decoding *d)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    bool grey = jpeg->num_components == 1;
    if (grey || jpeg->jpeg_color_space == JCS_YCbCr || jpeg->jpeg_color_space == JCS_RGB) {
        jpeg->out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
        return;
    }
    d->status =
        clg__fail(CLG_ERROR_UNSUPPORTED,
                  "%s: a JPEG file with %d colour components (CMYK?); grey and RGB are read",
                  d->path, jpeg->num_components);
    longjmp(d->escape, 1);
}

/* Everything that may jump. */
static void decode(decoding *d)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, d->data, (unsigned long)d->size);
    jpeg_read_header(jpeg, TRUE);
    check_colours(d);
    jpeg_calc_output_dimensions(jpeg);
    d->status = clg__image_allocate(d->image, d->path, jpeg->image_width, jpeg->image_height,
                                    jpeg->out_color_components);
    if (d->status != CLG_OK) longjmp(d->escape, 1);
    jpeg_start_decompress(jpeg);
    size_t row = (size_t)jpeg->output_width * (size_t)jpeg->output_components;
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW line = d->image->pixels + jpeg->output_scanline * row;
        jpeg_read_scanlines(jpeg, &line, 1);
    }
    jpeg_finish_decompress(jpeg);
}

/* Runs it until it returns or jumps. What it changes is not local here, and so survives. */
static void run(decoding *d)
{
    if (setjmp(d->escape) == 0) decode(d);
}

clg_status clg__jpeg_decode(const char *path, const void *data, size_t size, clg__image *out)
{
    clg__image image = {0};
    decoding d = {.path = path, .data = data, .size = size, .image = &image};
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.errors.error_exit = on_error;
    d.errors.emit_message = on_message;
    run(&d);
    if (d.status == CLG_OK && d.damage) {
        d.errors.msg_code = d.damage;
        char text[JMSG_LENGTH_MAX];
        d.errors.format_message((j_common_ptr)&d.jpeg, text);
        d.status = clg__fail(CLG_ERROR_FORMAT, "%s: damaged JPEG file (%s)", path, text);
    }
    jpeg_destroy_decompress(&d.jpeg);
    if (d.status == CLG_OK)
        *out = image;
    else
        clg__image_free(&image);
    return d.status;
}
