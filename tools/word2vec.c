/*
 * cltrain word2vec: vectors of words from a text (Mikolov et al. 2013): skip-gram or CBOW, with
 * negative sampling or hierarchical softmax. It is a command of its own and not a model file,
 * because nothing of one applies: the text is not cut into samples, what is kept is a table of
 * vectors, and there is no accuracy to measure.
 *
 * A step takes thousands of examples at once, prepared by a thread meanwhile (word_feed.h); tables
 * are stepped by the rows that the block has. Steps of that size need an optimizer that scales them
 * by word: Adagrad, which is also exact for rows that are left out.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clgrad/nn.h"
#include "clgrad/program.h"
#include "cltrain.h"
#include "options.h"
#include "progress.h"
#include "run_dir.h"
#include "signals.h"
#include "word_feed.h"
#include "word_vectors.h"

struct word2vec_options {
    const char *out, *lr, *sample, *device;
    int64_t dimension, window, negative, min_count, vocabulary, epochs, batch, seed;
    bool cbow, hierarchical, json;
};

#define OPTION(option, field, argument, kind, help)                                                \
    {                                                                                              \
        option, argument, kind, offsetof(struct word2vec_options, field), help                     \
    }
static const struct option_row options[] = {
    OPTION("out", out, "DIR", OPTION_TEXT, "folder to make; default runs/word2vec-N"),
    OPTION("dimension", dimension, "N", OPTION_COUNT, "numbers in a vector; default 100"),
    OPTION("cbow", cbow, NULL, OPTION_FLAG,
           "predict a word from the mean of those around it; else each of those from it"),
    OPTION("window", window, "N", OPTION_COUNT, "words to each side at most; default 5"),
    OPTION("negative", negative, "N", OPTION_COUNT, "drawn words for each right one; default 5"),
    OPTION("hierarchical", hierarchical, NULL, OPTION_FLAG,
           "hierarchical softmax instead of drawn words"),
    OPTION("sample", sample, "X", OPTION_TEXT,
           "leave out words that are more frequent than this at random; default 1e-3, 0: none"),
    OPTION("min-count", min_count, "N", OPTION_COUNT, "leave out rarer words; default 5"),
    OPTION("vocabulary", vocabulary, "N", OPTION_COUNT, "only the N most frequent words"),
    OPTION("epochs", epochs, "N", OPTION_COUNT, "passes over the text; default 5"),
    OPTION("batch", batch, "N", OPTION_COUNT, "examples per step; default 4096"),
    OPTION("lr", lr, "X", OPTION_TEXT, "learning rate at the beginning; default 0.2"),
    OPTION("seed", seed, "N", OPTION_COUNT, "of everything that is drawn; default 1"),
    OPTION_DEVICE(struct word2vec_options),
    OPTION_JSON(struct word2vec_options),
    OPTION_ROWS_END};

/* Most that an option may say, and its default; 0: no default. */
static const struct limit {
    const char *name;
    size_t offset;
    int64_t most, usual;
} limits[] = {
    {"dimension", offsetof(struct word2vec_options, dimension), 1 << 16, 100},
    {"window", offsetof(struct word2vec_options, window), 1000, 5},
    {"negative", offsetof(struct word2vec_options, negative), 1000, 5},
    {"min-count", offsetof(struct word2vec_options, min_count), INT32_MAX, 5},
    {"vocabulary", offsetof(struct word2vec_options, vocabulary), 1 << 24, 0},
    {"epochs", offsetof(struct word2vec_options, epochs), 1000000, 5},
    {"batch", offsetof(struct word2vec_options, batch), 1 << 20, 4096},
    {"seed", offsetof(struct word2vec_options, seed), INT64_MAX, 1},
};

struct word2vec {
    struct word2vec_options given;
    double lr;
    struct word_settings settings;
    struct word_text text;
    struct word_feed feed;
    struct run_dir out;
    clg_context *context;
    clg_graph *graph;
    clg_program *program, *look;                            /* a step; the loss of a block */
    clg_tensor *words, *weights, *right, *negative, *turns; /* inputs, as in word_block */
    clg_tensor *vectors;                                    /* (vocabulary, dimension) */
    clg_tensor *loss;                                       /* mean over the block */
    clg_tensor *lr_input;
    double started;            /* after the first step */
    int64_t examples, counted; /* of the epoch, of all blocks since then */
    double loss_sum;           /* of the examples that were looked at in this epoch */
    int64_t looked;
};

enum { LOOK_EVERY = 32 }; /* blocks: logarithms for all would take a tenth of the time */

/* ---- the graph ---- */

static clg_tensor *index_input(struct word2vec *w, const char *name, int64_t each)
{
    clg_shape shape = CLG_SHAPE(CLG_BATCH, each);
    if (each == 1) shape.ndim = 1;
    return clg_input(w->graph, name, CLG_I32, shape);
}

/* Vectors of the words that are read (count, dimension); of several, their weighted sum. */
static clg_tensor *build_reading(struct word2vec *w)
{
    double width = 0.5 / (double)w->given.dimension;
    const clg_init init = {.kind = CLG_INIT_UNIFORM, .value = width};
    const clg_embedding_params params = {.weight_init = &init};
    int64_t read = w->feed.read, rows = w->text.vocabulary, dimension = w->given.dimension;
    w->words = index_input(w, "words", read);
    clg_tensor *x = clg_embedding_layer(w->words, "vectors", rows, dimension, &params);
    w->vectors = clg_graph_find(w->graph, "vectors.weight");
    if (!w->settings.cbow) return x;
    w->weights = clg_input(w->graph, "weights", CLG_F32, CLG_SHAPE(CLG_BATCH, read, 1));
    x = clg_sum(clg_mul(x, w->weights), CLG_AXIS(1), false);
    return x;
}

static void build_loss(struct word2vec *w, clg_tensor *x)
{
    bool tree = w->settings.hierarchical;
    int64_t rows = w->text.vocabulary - (tree ? 1 : 0); /* a tree has one node less than leaves */
    clg_tensor *table = clg_variable(w->graph, "output", CLG_SHAPE(rows, w->given.dimension),
                                     CLG_INIT(CLG_INIT_ZEROS), true);
    clg_shape against = CLG_SHAPE(CLG_BATCH, w->feed.against);
    w->negative = clg_input(w->graph, "against", CLG_I32, against);
    if (tree) {
        w->turns = clg_input(w->graph, "turns", CLG_F32, against);
        w->loss = clg_hierarchical_softmax_loss(x, table, w->negative, w->turns, NULL);
    } else {
        w->right = index_input(w, "right", 1);
        w->loss = clg_negative_sampling_loss(x, table, w->right, w->negative, NULL);
    }
}

static int build(struct word2vec *w)
{
    clg_minimized minimized;
    w->graph =
        clg_graph_create(clg_graph_options(.batch = w->settings.batch, .seed = w->settings.seed));
    if (!w->graph) return report_status(CLG_ERROR_MEMORY, NULL);
    build_loss(w, build_reading(w));
    /* The result is the same. Blocks that read most rows of a small table several times over are
     * stepped faster by the whole table. */
    bool dense = w->text.vocabulary < 2 * w->settings.batch;
    clg_status status = clg_minimize(
        w->loss, clg_optimizer_options(.kind = CLG_ADAGRAD, .dense_tables = dense), &minimized);
    if (status != CLG_OK) return report_status(status, NULL);
    w->lr_input = minimized.lr;
    return DONE;
}

static int compile(struct word2vec *w)
{
    struct slow_notice notice;
    clg_status status =
        clg_context_create(&w->context, clg_context_options(.device = w->given.device));
    if (status != CLG_OK) return report_status(status, NULL);
    report_note("Device: %s", clg_context_choice(w->context));
    slow_begin(&notice, "Compiling kernels that are new on this device ...");
    status = clg_program_compile(&w->program, w->context, w->graph,
                                 clg_program_options(.mode = CLG_TRAINING));
    if (status == CLG_OK)
        status = clg_program_compile(
            &w->look, w->context, w->graph,
            clg_program_options(.outputs = &w->loss, .n_outputs = 1, .mode = CLG_INFERENCE));
    slow_end(&notice);
    return status == CLG_OK ? DONE : report_status(status, NULL);
}

/* ---- training ---- */

/* `each` numbers of 4 bytes for each example. */
static clg_status feed(clg_program *program, clg_tensor *input, const void *data, int64_t count,
                       int64_t each)
{
    if (!input) return CLG_OK;
    return clg_program_feed(program, input, data, (size_t)(count * each) * sizeof(float));
}

static clg_status feed_block(struct word2vec *w, clg_program *program,
                             const struct word_block *block)
{
    int64_t n = block->count, read = w->feed.read, against = w->feed.against;
    clg_status status = clg_program_set_batch(program, n);
    if (status == CLG_OK) status = feed(program, w->words, block->words, n, read);
    if (status == CLG_OK) status = feed(program, w->weights, block->weights, n, read);
    if (status == CLG_OK) status = feed(program, w->right, block->right, n, 1);
    if (status == CLG_OK) status = feed(program, w->negative, block->negative, n, against);
    if (status == CLG_OK) status = feed(program, w->turns, block->turns, n, against);
    return status;
}

/* The loss of a block that was not used yet. */
static clg_status look(struct word2vec *w, const struct word_block *block)
{
    float loss = 0;
    clg_status status = feed_block(w, w->look, block);
    if (status == CLG_OK) status = clg_program_run(w->look);
    if (status == CLG_OK) status = clg_program_read(w->look, w->loss, &loss, sizeof loss);
    w->loss_sum += (double)loss * (double)block->count;
    w->looked += block->count;
    return status;
}

static clg_status step(struct word2vec *w, const struct word_block *block)
{
    float lr = (float)(w->lr * fmax(1 - block->progress, 1e-4));
    clg_status status = feed_block(w, w->program, block);
    if (status == CLG_OK) status = feed(w->program, w->lr_input, &lr, 1, 1);
    if (status == CLG_OK) status = clg_program_run(w->program);
    w->examples += block->count;
    w->counted += block->count;
    if (w->started > 0 || status != CLG_OK) return status;
    status = clg_context_finish(w->context); /* drivers compile in the first step */
    w->started = seconds_now();
    w->counted = 0;
    return status;
}

/* Every so many blocks, and the last one, are looked at before they are used. */
static int use_block(struct word2vec *w, const struct word_block *block, int64_t number)
{
    clg_status status = CLG_OK;
    if (!block->count) return DONE;
    if (block->last || number % LOOK_EVERY == 0) status = look(w, block);
    if (status == CLG_OK) status = step(w, block);
    return status == CLG_OK ? DONE : report_status(status, NULL);
}

static double rate(const struct word2vec *w)
{
    double seconds = seconds_now() - w->started;
    return seconds > 0 ? (double)w->counted / seconds : 0;
}

static int end_epoch(struct word2vec *w, int64_t epoch)
{
    double loss = w->loss_sum / (double)w->looked;
    if (!w->examples) return report_error(BAD_INPUT, "subsampling left no words: raise --sample");
    if (!isfinite(loss))
        return report_error(DIVERGED, "the loss is NaN or Inf in epoch %" PRId64 ": lower --lr",
                            epoch);
    if (w->given.json)
        return print_json(json_pack("{sI sI so so}", "epoch", (json_int_t)epoch, "examples",
                                    (json_int_t)w->examples, "loss", json_number(loss),
                                    "examples_per_second", json_number(rate(w))));
    printf("epoch %2" PRId64 "/%" PRId64 "  loss %.4f  %" PRId64 " examples, %.0f a second\n",
           epoch, w->settings.epochs, loss, w->examples, rate(w));
    fflush(stdout);
    return DONE;
}

static int train_epoch(struct word2vec *w, int64_t epoch)
{
    struct word_block block = {0};
    int code = DONE;
    w->examples = w->looked = 0;
    w->loss_sum = 0;
    for (int64_t i = 0; !block.last && code == DONE && !signal_received(); i++) {
        code = word_feed_next(&w->feed, &block);
        if (code == DONE) code = use_block(w, &block, i);
    }
    return code == DONE && !signal_received() ? end_epoch(w, epoch) : code;
}

static int train(struct word2vec *w)
{
    int code = DONE;
    for (int64_t epoch = 1; epoch <= w->settings.epochs && code == DONE; epoch++)
        if (!signal_received()) code = train_epoch(w, epoch);
    return code;
}

/* ---- the command ---- */

static int read_options(struct word2vec *w)
{
    struct word2vec_options *o = &w->given;
    double threshold = 1e-3;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        int64_t *value = (int64_t *)((char *)o + limits[i].offset);
        if (*value > limits[i].most)
            return report_error(BAD_USAGE, "word2vec: --%s is at most %" PRId64, limits[i].name,
                                limits[i].most);
        if (o->hierarchical && o->negative && !strcmp(limits[i].name, "negative"))
            return report_error(BAD_USAGE, "word2vec: either --negative or --hierarchical");
        if (!*value) *value = limits[i].usual;
    }
    w->lr = 0.2;
    int code = option_number("word2vec", "lr", o->lr, 0, 1000, &w->lr);
    if (code == DONE) code = option_number("word2vec", "sample", o->sample, 0, 1, &threshold);
    w->settings = (struct word_settings){.cbow = o->cbow,
                                         .hierarchical = o->hierarchical,
                                         .window = o->window,
                                         .negatives = o->negative,
                                         .batch = o->batch,
                                         .epochs = o->epochs,
                                         .threshold = threshold,
                                         .seed = (uint64_t)o->seed};
    return code;
}

static const char *word_of(const void *user, int64_t number)
{
    return word_text_word(user, (int)number);
}

static int save(struct word2vec *w)
{
    int64_t count = w->text.vocabulary, dimension = w->given.dimension;
    float *values = malloc((size_t)(count * dimension) * sizeof *values);
    if (!values) return report_error(NO_MEMORY, "out of memory");
    clg_status status = clg_variable_read(w->vectors, values, count * dimension);
    int code = status == CLG_OK
                   ? word_vectors_write(w->out.path, values, count, dimension, word_of, &w->text)
                   : report_status(status, NULL);
    free(values);
    if (code != DONE) return code;
    if (w->given.json)
        return print_json(json_pack("{sb sI sI so}", "done", !signal_received(), "words",
                                    (json_int_t)count, "dimension", (json_int_t)dimension, "out",
                                    json_text(w->out.path)));
    printf("%" PRId64 " vectors of %" PRId64 " numbers in %s\n", count, dimension, w->out.path);
    return DONE;
}

/* Before the training, which would be for nothing otherwise. */
static int make_folder(struct word2vec *w)
{
    int code = run_create(&w->out, w->given.out, "word2vec");
    if (code != DONE || access(run_file(&w->out, "vectors.txt").text, F_OK)) return code;
    return report_error(BAD_USAGE, "%s already holds vectors: choose another --out", w->out.path);
}

static int run_all(struct word2vec *w, const char *text)
{
    int code = read_options(w);
    if (code == DONE)
        code = word_text_read(&w->text, text, w->given.min_count, w->given.vocabulary);
    if (code != DONE) return code;
    report_note("%" PRId64 " words of a vocabulary of %d", w->text.count, w->text.vocabulary);
    code = word_feed_open(&w->feed, &w->text, &w->settings);
    if (code == DONE) code = build(w);
    if (code == DONE) code = compile(w);
    if (code == DONE) code = make_folder(w);
    if (code == DONE) code = train(w);
    if (code == DONE) code = save(w);
    if (code != DONE || !signal_received()) return code;
    report_note("Stopped by signal %d: the vectors are as they were then", signal_received());
    return SIGNALLED + signal_received();
}

static int run(const void *values, int argc, char **argv)
{
    struct word2vec w = {.given = *(const struct word2vec_options *)values};
    if (!argc) return report_error(BAD_USAGE, "word2vec: which text?");
    signals_catch();
    int code = run_all(&w, argv[0]);
    word_feed_close(&w.feed);
    clg_program_destroy(w.program);
    clg_program_destroy(w.look);
    clg_graph_destroy(w.graph);
    clg_context_destroy(w.context);
    run_close(&w.out);
    word_text_clear(&w.text);
    return code;
}

const struct command command_word2vec = {
    .name = "word2vec",
    .arguments = "TEXT",
    .summary = "Learns vectors of words from a text.",
    .details = "Skip-gram with negative sampling (Mikolov et al. 2013), unless options say "
               "otherwise. Writes\nvectors.txt (word2vec's text format), vectors.npy and "
               "words.txt; see cltrain nearest.",
    .options = options,
    .values_size = sizeof(struct word2vec_options),
    .max_arguments = 1,
    .run = run,
};
