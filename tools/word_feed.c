/*
 * The loader's thread makes the blocks: to it a block is one sample of a data set without an end,
 * whose indices are the sample's labels and whose weights are its features. It asks for them in
 * order, so that the function can go on where it was.
 *
 * As in word2vec, words are left out at random before windows are laid, and each place draws how
 * far its window reaches, so that near words count more. Places are visited in random order: in
 * that of the text, the words of one scene would fill a block, and its step would be too large for
 * them.
 *
 * Floats of a block: examples, last, progress, then weights and turns. Integers: the words that are
 * read, the right one, then the drawn words or nodes. Arrays are as in struct word_block, but for a
 * full block.
 */
#include "word_feed.h"

#include <stdlib.h>
#include <string.h>

#include "cltrain.h"
#include "random_bits.h"

enum { HEAD = 3, MANY_BLOCKS = 1 << 30 };
enum { KEEPING = 1, ORDERING = 2, REACHING = 3, DRAWING = 4 }; /* uses of random numbers */

static uint64_t stream(const struct word_feed *feed, int use)
{
    return random_bits(feed->settings.seed, (uint64_t)(feed->epoch * 8 + use));
}

/* ---- an epoch ---- */

static void subsample(struct word_feed *feed)
{
    const struct word_text *text = feed->text;
    uint64_t seed = stream(feed, KEEPING);
    double threshold = feed->settings.threshold, total = (double)text->count;
    feed->places = 0;
    for (int64_t i = 0; i < text->count; i++) {
        int32_t word = text->tokens[i];
        double chance = threshold > 0 ? clg_subsampling_probability((double)text->counts[word],
                                                                    total, threshold)
                                      : 1;
        if (chance >= 1 || random_unit(seed, (uint64_t)i) < chance)
            feed->tokens[feed->places++] = word;
    }
}

static void shuffle(struct word_feed *feed)
{
    uint64_t seed = stream(feed, ORDERING);
    for (int64_t i = 0; i < feed->places; i++) feed->order[i] = (int32_t)i;
    for (int64_t i = feed->places - 1; i > 0; i--) {
        int64_t j = (int64_t)(random_unit(seed, (uint64_t)i) * (double)(i + 1));
        int32_t kept = feed->order[i];
        feed->order[i] = feed->order[j];
        feed->order[j] = kept;
    }
}

static void begin_epoch(struct word_feed *feed)
{
    subsample(feed);
    shuffle(feed);
    feed->at = 0;
    feed->neighbour = -1;
    feed->begun = true;
}

/* ---- examples ---- */

/* The words around a place, without it: *first .. *last. */
static void window_of(const struct word_feed *feed, int64_t place, int64_t *first, int64_t *last)
{
    double unit = random_unit(stream(feed, REACHING), (uint64_t)place);
    int64_t reach = 1 + (int64_t)(unit * (double)feed->settings.window);
    *first = place - reach < 0 ? 0 : place - reach;
    *last = place + reach >= feed->places ? feed->places - 1 : place + reach;
}

/* The next pair of a word and one near it; false at the end of the epoch. */
static bool next_pair(struct word_feed *feed, int32_t *word, int32_t *near)
{
    for (; feed->at < feed->places; feed->at++, feed->neighbour = -1) {
        int64_t place = feed->order[feed->at], first, last;
        window_of(feed, place, &first, &last);
        if (feed->neighbour < first) feed->neighbour = first;
        if (feed->neighbour == place) feed->neighbour++;
        if (feed->neighbour > last) continue;
        *word = feed->tokens[place];
        *near = feed->tokens[feed->neighbour++];
        return true;
    }
    return false;
}

/* A word and those around it. What is missing is one of them once more, with a weight of 0. */
static bool next_window(struct word_feed *feed, int32_t *words, float *weights, int32_t *right)
{
    int64_t n = 0, first = 0, last = 0, place = 0;
    for (; feed->at < feed->places && first == last; feed->at++) {
        place = feed->order[feed->at];
        window_of(feed, place, &first, &last);
    }
    if (first == last) return false;
    *right = feed->tokens[place];
    for (int64_t i = first; i <= last; i++)
        if (i != place) words[n++] = feed->tokens[i];
    for (int64_t i = 0; i < feed->read; i++) {
        weights[i] = i < n ? 1.0F / (float)n : 0;
        if (i >= n) words[i] = words[0];
    }
    return true;
}

/* Random words; one that is the right one is replaced by the one of the next lower frequency. */
static void draw_negatives(struct word_feed *feed, int64_t count, const int32_t *right,
                           int32_t *negative)
{
    int64_t k = feed->against;
    uint64_t seed = random_bits(feed->settings.seed, DRAWING);
    clg_sampler_draw(feed->sampler, seed, feed->drawn, count * k, negative);
    feed->drawn += (uint64_t)(count * k);
    for (int64_t i = 0; i < count * k; i++)
        if (negative[i] == right[i / k])
            negative[i] = (negative[i] + 1) % (int32_t)feed->text->vocabulary;
}

static void copy_paths(const struct word_feed *feed, int64_t count, const int32_t *right,
                       int32_t *nodes, float *turns)
{
    size_t n = (size_t)feed->against;
    for (int64_t i = 0; i < count; i++) {
        memcpy(nodes + (size_t)i * n, feed->paths + (size_t)right[i] * n, n * sizeof *nodes);
        memcpy(turns + (size_t)i * n, feed->turns + (size_t)right[i] * n, n * sizeof *turns);
    }
}

/* ---- blocks ---- */

/* Where the parts of a block begin, among its integers and its floats, and how many these are. */
struct layout {
    int64_t right, against, integers;
    int64_t turns, floats;
};

static struct layout layout_of(const struct word_feed *feed)
{
    int64_t n = feed->settings.batch;
    struct layout at = {.right = n * feed->read};
    at.against = at.right + n;
    at.integers = at.against + n * feed->against;
    at.turns = HEAD + (feed->settings.cbow ? n * feed->read : 0);
    at.floats = at.turns + (feed->settings.hierarchical ? n * feed->against : 0);
    return at;
}

static int64_t fill_examples(struct word_feed *feed, int32_t *words, float *weights, int32_t *right)
{
    int64_t n = 0;
    bool more = true;
    for (; n < feed->settings.batch && more; n += more) {
        int64_t at = n * feed->read;
        if (feed->settings.cbow)
            more = next_window(feed, words + at, weights + at, right + n);
        else
            more = next_pair(feed, words + at, right + n);
    }
    return n;
}

static clg_status make_block(void *user, int64_t index, float *floats, void *target)
{
    struct word_feed *feed = user;
    struct layout at = layout_of(feed);
    int32_t *words = target, *right = words + at.right, *against = words + at.against;
    (void)index;
    if (!feed->begun) begin_epoch(feed);
    memset(words, 0, (size_t)at.integers * sizeof *words);
    memset(floats, 0, (size_t)at.floats * sizeof *floats);
    int64_t n = fill_examples(feed, words, floats + HEAD, right);
    if (feed->settings.hierarchical)
        copy_paths(feed, n, right, against, floats + at.turns);
    else
        draw_negatives(feed, n, right, against);
    bool last = feed->at >= feed->places;
    double part = last ? 1 : (double)feed->at / (double)feed->places;
    floats[0] = (float)n;
    floats[1] = last;
    floats[2] = (float)(((double)feed->epoch + part) / (double)feed->settings.epochs);
    feed->epoch += last;
    feed->begun = !last;
    return CLG_OK;
}

int word_feed_next(struct word_feed *feed, struct word_block *block)
{
    clg_batch batch;
    clg_status status = clg_loader_next(feed->loader, &batch);
    if (status != CLG_OK) return report_status(status, NULL);
    struct layout at = layout_of(feed);
    *block = (struct word_block){.count = (int64_t)batch.features[0],
                                 .last = batch.features[1] != 0,
                                 .progress = (double)batch.features[2],
                                 .words = batch.labels,
                                 .weights = batch.features + HEAD,
                                 .right = batch.labels + at.right,
                                 .negative = batch.labels + at.against,
                                 .turns = batch.features + at.turns};
    return DONE;
}

/* ---- life ---- */

static clg_status prepare_sampler(struct word_feed *feed)
{
    int n = feed->text->vocabulary;
    double *weights = malloc((size_t)n * sizeof *weights);
    if (!weights) return CLG_ERROR_MEMORY;
    for (int i = 0; i < n; i++) weights[i] = (double)feed->text->counts[i];
    clg_status status = clg_sampler_create(&feed->sampler, weights, n, 0.75);
    free(weights);
    feed->against = feed->settings.negatives;
    return status;
}

static clg_status prepare_paths(struct word_feed *feed)
{
    clg_huffman *tree = NULL;
    int64_t n = feed->text->vocabulary;
    clg_status status = clg_huffman_create(&tree, feed->text->counts, n);
    if (status != CLG_OK) return status;
    size_t depth = (size_t)clg_huffman_length(tree);
    feed->against = (int64_t)depth;
    feed->paths = calloc((size_t)n * depth, sizeof *feed->paths);
    feed->turns = calloc((size_t)n * depth, sizeof *feed->turns);
    if (!feed->paths || !feed->turns) status = CLG_ERROR_MEMORY;
    for (int64_t i = 0; i < n && status == CLG_OK; i++)
        status = clg_huffman_code(tree, i, feed->paths + (size_t)i * depth,
                                  feed->turns + (size_t)i * depth);
    clg_huffman_destroy(tree);
    return status;
}

static clg_status start_thread(struct word_feed *feed)
{
    struct layout at = layout_of(feed);
    clg_dataset_info info = {.source = "words",
                             .count = MANY_BLOCKS,
                             .sample = CLG_SHAPE(at.floats),
                             .storage = CLG_F32,
                             .classes = feed->text->vocabulary,
                             .target = CLG_TARGET_CLASSES,
                             .target_shape = CLG_SHAPE(at.integers),
                             .ordered = true};
    clg_status status = clg_dataset_from_function(&feed->blocks, make_block, feed, &info);
    if (status != CLG_OK) return status;
    return clg_loader_create(&feed->loader, feed->blocks, clg_loader_options(.batch = 1));
}

int word_feed_open(struct word_feed *feed, const struct word_text *text,
                   const struct word_settings *settings)
{
    *feed = (struct word_feed){.text = text, .settings = *settings};
    feed->read = settings->cbow ? 2 * settings->window : 1;
    feed->tokens = malloc((size_t)text->count * sizeof *feed->tokens);
    feed->order = malloc((size_t)text->count * sizeof *feed->order);
    if (!feed->tokens || !feed->order) return report_error(NO_MEMORY, "out of memory");
    clg_status status = settings->hierarchical ? prepare_paths(feed) : prepare_sampler(feed);
    if (status == CLG_OK) status = start_thread(feed);
    return status == CLG_OK ? DONE : report_status(status, NULL);
}

void word_feed_close(struct word_feed *feed)
{
    clg_loader_destroy(feed->loader);
    clg_dataset_destroy(feed->blocks);
    clg_sampler_destroy(feed->sampler);
    free(feed->paths);
    free(feed->turns);
    free(feed->tokens);
    free(feed->order);
    *feed = (struct word_feed){0};
}
