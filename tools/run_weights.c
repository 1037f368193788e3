/*
 * The first layer's weights as pictures: the kernels of a convolution, the columns of a linear
 * layer in the shape of the image that they are multiplied with, or, for other inputs, the whole
 * matrix. All are shown on one scale that is symmetric around 0.
 */
#include <math.h>
#include <stdlib.h>

#include "run_report.h"

enum { MAX_SHOWN = 64, MAX_MATRIX = 512, FILTER_PIXELS = 56, MATRIX_PIXELS = 480 };

/* Pictures of one shape within an array; distances in elements. */
struct filters {
    int64_t count, next; /* of the pictures */
    int64_t width, height, row, column;
    int64_t channels, channel;
    const char *text;
};

static const clg_tensor *first_weight(const clg_graph *graph)
{
    clg_tensor *variable;
    for (size_t i = 0; (variable = clg_graph_variable(graph, i)); i++)
        if (clg_tensor_trainable(variable) && clg_tensor_shape(variable)->ndim >= 2)
            return variable;
    return NULL;
}

/* How to look at weights of this shape; `image` is the shape of the network's input. */
static bool describe(struct filters *f, const clg_shape *w, const clg_shape *image)
{
    const int64_t *d = w->dim, last = d[w->ndim - 1];
    bool linear = w->ndim == 2;
    if (w->ndim == 4) {
        *f = (struct filters){
            last, 1, d[1], d[0], d[1] * d[2] * last, d[2] * last, d[2], last, "The kernels of"};
    } else if (linear && image->ndim == 4 &&
               d[0] == image->dim[1] * image->dim[2] * image->dim[3]) {
        int64_t width = image->dim[2], channels = image->dim[3];
        *f = (struct filters){last,
                              1,
                              width,
                              image->dim[1],
                              width * channels * last,
                              channels * last,
                              channels,
                              last,
                              "One picture for each unit of"};
    } else if (linear && d[0] <= MAX_MATRIX && last <= MAX_MATRIX) {
        *f =
            (struct filters){1, 0, last, d[0], last, 1, 1, 1, "Inputs downwards, units across, of"};
    } else {
        return false;
    }
    return f->width <= MAX_MATRIX && f->height <= MAX_MATRIX;
}

/* Three channels are colours; of any other number the mean is shown. */
static void collect(float *to, const struct filters *f, const float *from, int shown)
{
    for (int64_t y = 0; y < f->height; y++)
        for (int64_t x = 0; x < f->width; x++) {
            const float *at = from + y * f->row + x * f->column;
            float sum = 0;
            for (int64_t c = 0; c < f->channels; c++) {
                sum += at[c * f->channel];
                if (shown == 3) *to++ = at[c * f->channel];
            }
            if (shown == 1) *to++ = sum / (float)f->channels;
        }
}

static float largest(const float *values, int64_t count)
{
    float most = 1e-30f;
    for (int64_t i = 0; i < count; i++) most = fmaxf(most, fabsf(values[i]));
    return most;
}

static void show(struct page *page, const struct filters *f, const float *weights, float *buffer)
{
    int64_t count = f->count < MAX_SHOWN ? f->count : MAX_SHOWN;
    int shown = f->channels == 3 ? 3 : 1;
    int64_t pixels = f->width * f->height * shown;
    for (int64_t i = 0; i < count; i++)
        collect(buffer + i * pixels, f, weights + i * f->next, shown);
    float most = largest(buffer, count * pixels);
    fputs("<div class=\"grid\">\n", page->out);
    for (int64_t i = 0; i < count; i++) {
        char alt[48];
        snprintf(alt, sizeof alt, f->count > 1 ? "filter %d" : "weights", (int)i);
        page_image(page,
                   &(struct page_image){.pixels = buffer + i * pixels,
                                        .width = f->width,
                                        .height = f->height,
                                        .row = f->width * shown,
                                        .column = shown,
                                        .channel = 1,
                                        .channels = shown,
                                        .low = -most,
                                        .high = most,
                                        .diverging = true},
                   f->count > 1 ? FILTER_PIXELS : MATRIX_PIXELS, alt);
    }
    fputs("</div>\n", page->out);
}

static void caption(struct page *page, const struct filters *f, const clg_tensor *weight,
                    const char *mean)
{
    char shape[128];
    fprintf(page->out, "<p class=\"soft\">%s ", f->text);
    page_text(page, clg_tensor_name(weight));
    fprintf(page->out, " %s", clg_shape_text(clg_tensor_shape(weight), shape, sizeof shape));
    if (f->count > MAX_SHOWN)
        fprintf(page->out, ", the first %d of %lld", MAX_SHOWN, (long long)f->count);
    fprintf(page->out, "%s. %s</p>\n", mean,
            f->channels == 3 ? "Grey is 0." : "Orange is above 0, blue below, white is 0.");
}

const char *run_report_filters(struct page *page, const void *data)
{
    const struct run_report *report = data;
    const clg_tensor *weight = first_weight(report->network->graph);
    struct filters f;
    if (!weight) return "The network has no weights.";
    const clg_shape *shape = clg_tensor_shape(weight);
    if (!describe(&f, shape, clg_tensor_shape(report->network->image)))
        return "The weights of the first layer make no picture.";
    int64_t count = clg_shape_count(shape);
    float *weights = malloc(2 * (size_t)count * sizeof *weights);
    if (!weights) return "There was no memory for these pictures.";
    if (clg_variable_read(weight, weights, count) == CLG_OK) {
        caption(page, &f, weight,
                f.channels == 1 || f.channels == 3 ? "" : "; means over the input channels");
        show(page, &f, weights, weights + count);
    }
    free(weights);
    return NULL;
}
