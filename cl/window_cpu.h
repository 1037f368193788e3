/*
 * Windows of images for the convolutions of the CPU engine: the part of a batch of images (N, H, W,
 * channels) that a block of outputs looks at, copied to local memory with its padding, so that the
 * loops over it need no bounds checks.
 *
 * Rows of outputs are numbered through the batch, q = image * outputs + row, and so are the
 * window's: output row i of an image looks at window rows i * stride + tap * spread of the
 * image's `lines`. A block may begin in one image and end in another. All pairs are (vertical,
 * horizontal).
 */
typedef struct window_geometry {
    int2 source;  // extents of the images
    int2 outputs; // of the grid of outputs in one image
    int2 origin;  // source position of output 0, tap 0; negative in the padding
    int2 stride;  // window positions from one output to the next
    int2 taps;    // positions an output looks at; may be 0
    int2 spread;  // window positions from one tap to the next
    int2 skip;    // source positions from one window position to the next: 1, or the whole stride
                  // where a single tap leaves the rest unused
    int channels; // of the source, all groups
    int lanes;    // what COPY_PIXELS wants to know
} window_geometry;

/* Copies `count` floats of each of `pixels` pixels that are `step` floats apart. */
#ifndef COPY_PIXELS
#define COPY_PIXELS(to, from, step, pixels, count, lanes) copy_pixels(to, from, step, pixels, count)
static void copy_pixels(__local float *to, __global const float *from, int step, int pixels,
                        int count)
{
    if (step == count)
        copy_row(to, from, pixels * count);
    else
        for (int x = 0; x < pixels; x++, from += step) copy_row(to + x * count, from, count);
}
#endif

/* Window positions that `count` adjacent outputs look at. */
static int2 window_extent(const window_geometry *g, int2 count)
{
    return max((count - 1) * g->stride + (g->taps - 1) * g->spread + 1, (int2)(0));
}

/* Window row, counted from the batch's first, of output row q's first tap. */
static int window_row(const window_geometry *g, int q)
{
    const int lines = window_extent(g, g->outputs).s0;
    return q / g->outputs.s0 * lines + q % g->outputs.s0 * g->stride.s0;
}

/* One source row: window columns 0 .. width - 1, of which column 0 is source column `left`. */
static void pack_window_row(__local float *to, __global const float *from, const window_geometry *g,
                            int left, int width, int count)
{
    const int skip = g->skip.s1;
    const int begin = clamp((skip - 1 - left) / skip, 0, width);
    const int end = clamp((g->source.s1 - left + skip - 1) / skip, begin, width);
    zero_row(to, begin * count);
    from += (long)(left + begin * skip) * g->channels;
    COPY_PIXELS(to + begin * count, from, skip * g->channels, end - begin, count, g->lanes);
    zero_row(to + end * count, (width - end) * count);
}

/*
 * Copies what output rows q0 .. q0 + rows - 1 and columns from j0 look at: channels `channel` ..
 * + count - 1. `to` is (window row, width, count).
 */
static void pack_window(__local float *to, __global const float *images, const window_geometry *g,
                        int q0, int rows, int j0, int width, int channel, int count)
{
    const int lines = window_extent(g, g->outputs).s0, span = (g->taps.s0 - 1) * g->spread.s0 + 1;
    const int first = window_row(g, q0), last = window_row(g, q0 + rows - 1) + span;
    const int left = g->origin.s1 + j0 * g->stride.s1 * g->skip.s1;
    for (int line = first; line < last; line++, to += width * count) {
        const int image = line / lines, row = line % lines;
        const int y = g->origin.s0 + row * g->skip.s0;
        if (row % g->stride.s0 >= span) continue; /* no tap looks at it */
        if (y < 0 || y >= g->source.s0)
            zero_row(to, width * count);
        else
            pack_window_row(
                to,
                images + ((ulong)image * g->source.s0 + y) * g->source.s1 * g->channels + channel,
                g, left, width, count);
    }
}

/* For sums over outputs, where in the window each (tap, channel) is: `unit` floats a channel. Whole
 * tiles, the last one repeated. */
static void tap_offsets(__local int *offset, const window_geometry *g, int width, int channels,
                        int unit)
{
    int at = 0;
    for (int i = 0; i < g->taps.s0; i++)
        for (int j = 0; j < g->taps.s1; j++)
            for (int k = 0; k < channels; k++)
                offset[at++] =
                    ((i * g->spread.s0 * width + j * g->spread.s1) * channels + k) * unit;
    for (; at % TILE_ROWS; at++) offset[at] = offset[at - 1];
}

/* The part of the images that pack_window copies, give or take a row: to be fetched ahead. */
static ahead window_ahead(__global const float *images, const window_geometry *g, int q0, int rows,
                          int j0, int width, int channel, int count)
{
    const int image = q0 / g->outputs.s0, row = q0 % g->outputs.s0;
    const int2 at = max(g->origin + (int2)(row, j0) * g->stride * g->skip, (int2)(0));
    const long pixel = ((long)image * g->source.s0 + at.s0) * g->source.s1;
    const int lines = (rows - 1) * g->stride.s0 * g->skip.s0 + (g->taps.s0 - 1) * g->spread.s0 + 1;
    if (width >= g->source.s1) /* whole rows */
        return look_ahead(images + pixel * g->channels + channel, g->channels, lines * g->source.s1,
                          count);
    return look_ahead(images + (pixel + at.s1) * g->channels + channel,
                      (ulong)g->source.s1 * g->channels, lines, width * g->channels);
}
