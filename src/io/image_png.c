/*
 * PNG files, by libpng: every kind is read as 8-bit grey or RGB (palettes expanded, 16 bits scaled,
 * transparency dropped). libpng's errors jump back here; its memory comes from the counted
 * allocator. A header cannot make us take more memory than the file's bytes could unpack to.
 */
#include <png.h>

#include "base/base.h"
#include "io/image.h"

enum { INFLATE_RATIO = 1032, MAX_CHUNK = 8 << 20 };

/* One file being read or written. */
typedef struct coding {
    png_structp png;
    png_infop info;
    const char *path;
    clg__image *image;
    const unsigned char *data; /* read: what is left of the file */
    size_t size;
    clg__str out; /* written */
    clg_status status;
} coding;

bool clg__png_detect(const unsigned char *head, size_t size)
{
    return size >= 8 && memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0;
}

/* ---- libpng's callbacks ---- */

static void on_error(png_structp png, png_const_charp text)
{
    coding *c = png_get_error_ptr(png);
    if (c->status == CLG_OK)
        c->status = clg__fail(CLG_ERROR_FORMAT, "%s: damaged PNG file (%s)", c->path, text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    coding *c = png_get_mem_ptr(png);
    void *memory = clg__alloc(size);
    if (!memory) c->status = CLG_ERROR_MEMORY;
    return memory;
}

static void on_free(png_structp png, png_voidp memory)
{
    clg__free(memory);
}

static void on_read(png_structp png, png_bytep to, size_t size)
{
    coding *c = png_get_io_ptr(png);
    if (size > c->size) png_error(png, "the file ends too early");
    memcpy(to, c->data, size);
    c->data += size;
    c->size -= size;
}

static void on_write(png_structp png, png_bytep from, size_t size)
{
    coding *c = png_get_io_ptr(png);
    clg__str_addn(&c->out, (const char *)from, size);
    if (!c->out.failed) return;
    c->status = CLG_ERROR_MEMORY;
    png_error(png, "out of memory");
}

static void on_flush(png_structp png)
{
}

/* ---- reading ---- */

/* Stops with the status that was set. */
static void stop(coding *c)
{
    png_longjmp(c->png, 1);
}

/* Rows cannot unpack to more than deflate allows. */
static void check_size(coding *c, uint32_t width, uint32_t height, size_t whole)
{
    uint64_t rows = (uint64_t)height * (png_get_rowbytes(c->png, c->info) + 1);
    if (width <= CLG__IMAGE_SIDE && height <= CLG__IMAGE_SIDE && rows / INFLATE_RATIO <= whole)
        return;
    c->status = clg__fail(CLG_ERROR_FORMAT,
                          "%s claims %u x %u pixels, more than its %zu bytes can hold, or than %d "
                          "on a side",
                          c->path, (unsigned)width, (unsigned)height, whole, CLG__IMAGE_SIDE);
    stop(c);
}

static void set_transformations(png_structp png)
{
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_strip_alpha(png);
}

/* Everything that may jump. */
static void decode(coding *c)
{
    png_structp png = c->png;
    size_t whole = c->size;
    png_set_read_fn(png, c, on_read);
    png_set_user_limits(png, 1 << 30, 1 << 30); /* ours, with our message, come first */
    png_set_chunk_malloc_max(png, MAX_CHUNK);
    png_read_info(png, c->info);
    uint32_t width = png_get_image_width(png, c->info);
    uint32_t height = png_get_image_height(png, c->info);
    check_size(c, width, height, whole);
    set_transformations(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, c->info);
    int channels = png_get_channels(png, c->info);
    size_t row = (size_t)width * (size_t)channels;
    if ((channels != 1 && channels != 3) || png_get_rowbytes(png, c->info) != row)
        png_error(png, "unexpected form of its rows");
    c->status = clg__image_allocate(c->image, c->path, width, height, channels);
    if (c->status != CLG_OK) stop(c);
    memset(c->image->pixels, 0, row * height); /* interlaced rows are completed */
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < height; y++) png_read_row(png, c->image->pixels + y * row, NULL);
    png_read_end(png, NULL);
}

/* Runs `work` until it returns or jumps. What it changes is not local here, and so survives. */
static void run(coding *c, void (*work)(coding *))
{
    if (setjmp(png_jmpbuf(c->png)) == 0) work(c);
}

clg_status clg__png_decode(const char *path, const void *data, size_t size, clg__image *out)
{
    clg__image image = {0};
    coding c = {.path = path, .image = &image, .data = data, .size = size};
    c.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &c, on_error, on_warning, &c, on_malloc,
                                     on_free);
    if (c.png) c.info = png_create_info_struct(c.png);
    if (!c.info) {
        png_destroy_read_struct(&c.png, NULL, NULL);
        return clg__fail(CLG_ERROR_MEMORY, "out of memory for decoding %s", path);
    }
    run(&c, decode);
    png_destroy_read_struct(&c.png, &c.info, NULL);
    if (c.status == CLG_OK)
        *out = image;
    else
        clg__image_free(&image);
    return c.status;
}

/* ---- writing ---- */

static void encode(coding *c)
{
    png_structp png = c->png;
    const clg__image *image = c->image;
    size_t row = (size_t)image->width * (size_t)image->channels;
    png_set_write_fn(png, c, on_write, on_flush);
    png_set_user_limits(png, 1 << 30, 1 << 30);
    png_set_IHDR(png, c->info, (uint32_t)image->width, (uint32_t)image->height, 8,
                 image->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, c->info);
    for (int y = 0; y < image->height; y++) png_write_row(png, image->pixels + (size_t)y * row);
    png_write_end(png, NULL);
}

static clg_status encode_all(coding *c)
{
    c->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, c, on_error, on_warning, c, on_malloc,
                                       on_free);
    if (c->png) c->info = png_create_info_struct(c->png);
    if (!c->info) {
        png_destroy_write_struct(&c->png, NULL);
        return clg__fail(CLG_ERROR_MEMORY, "out of memory for encoding %s", c->path);
    }
    run(c, encode);
    png_destroy_write_struct(&c->png, &c->info);
    return c->status;
}

clg_status clg_image_write(const char *path, const clg_array *pixels)
{
    if (!path || !pixels || !pixels->data)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_image_write: an argument is NULL");
    const clg_shape *shape = &pixels->shape;
    int64_t channels = shape->ndim == 3 ? shape->dim[2] : 1;
    char text[160];
    if (pixels->dtype != CLG_U8 || shape->ndim < 2 || shape->ndim > 3 || shape->dim[0] < 1 ||
        shape->dim[1] < 1 || shape->dim[0] > INT32_MAX / 4 || shape->dim[1] > INT32_MAX / 4 ||
        (channels != 1 && channels != 3))
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_image_write: expected bytes of shape (H, W), (H, W, 1) or (H, W, 3), "
                         "got %s %s",
                         clg_dtype_name(pixels->dtype), clg_shape_text(shape, text, sizeof text));
    clg__image image = {(int)shape->dim[0], (int)shape->dim[1], (int)channels,
                        (uint8_t *)(uintptr_t)pixels->data};
    coding c = {.path = path, .image = &image};
    clg_status status = encode_all(&c);
    if (status == CLG_OK) status = clg__file_write_atomic(path, c.out.text, c.out.length, 0);
    clg__str_free(&c.out);
    return status;
}
