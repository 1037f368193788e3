/*
 * cltrain sample: a character model writes. The network is built for a single step; what its
 * recurrent layers know goes from one step to the next through the host, which is little: a few
 * hundred numbers beside a character. So a step costs the same however long the text is, and the
 * model remembers more than the sequences that it was trained on were long.
 *
 * Characters are drawn on the host, in double: devices differ in the last bits of the logits only,
 * which changes a draw in about one of a million characters.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clgrad/program.h"
#include "cltrain.h"
#include "options.h"
#include "random_bits.h"
#include "run_dir.h"
#include "signals.h"
#include "trained.h"

enum { DEFAULT_LENGTH = 500, MAX_LENGTH = 100000000, MAX_TEMPERATURE = 100 };

struct sample_options {
    const char *prompt, *temperature, *device;
    int64_t length, seed;
    bool json;
};

#define OPTION(field, argument, kind, help)                                                        \
    {                                                                                              \
#field, argument, kind, offsetof(struct sample_options, field), help                       \
    }
static const struct option_row options[] = {
    OPTION(length, "N", OPTION_COUNT, "characters to write; default 500"),
    OPTION(temperature, "T", OPTION_TEXT,
           "default 1; below that more likely characters, 0: always the likeliest"),
    OPTION(prompt, "TEXT", OPTION_TEXT, "what the text begins with"),
    OPTION(seed, "N", OPTION_COUNT, "of the draws; default 1"),
    OPTION_DEVICE(struct sample_options),
    OPTION_JSON(struct sample_options),
    OPTION_ROWS_END};

struct writer {
    const struct sample_options *given;
    double temperature;
    struct trained trained;
    clg_program *program;
    json_t *schema;
    const char **vocabulary; /* in the schema */
    int tokens, first;       /* of the vocabulary; the first that is a character */
    int classes;             /* of the model: at least as many */
    float *logits;
    double *chances;
    float *state; /* as many numbers as the largest one has */
    char *text;   /* what was written, the prompt included */
    size_t size, capacity;
};

/* ---- the vocabulary ---- */

static int not_characters(const char *run, const char *why)
{
    return report_error(BAD_INPUT, "%s is no character model: %s", run, why);
}

/* From data.json. A text with too many characters has "<unk>" for the others, which is none. */
static int read_vocabulary(struct writer *w, const char *run)
{
    const char *format = NULL;
    int words = 0;
    json_t *classes = NULL;
    struct run_path config;
    char *schema = NULL;
    int code = run_find_config(run, &config);
    if (code == DONE) code = run_schema(config.text, &schema);
    if (code != DONE) return code;
    if (schema) w->schema = json_loads(schema, 0, NULL);
    free(schema);
    json_unpack(w->schema, "{s:s s:b s:o}", "format", &format, "words", &words, "classes",
                &classes);
    if (!format || strcmp(format, "text") != 0)
        return not_characters(run, "it was not trained on a text");
    if (words) return not_characters(run, "it was trained on words");
    w->tokens = (int)json_array_size(classes);
    w->vocabulary = calloc((size_t)w->tokens + 1, sizeof *w->vocabulary);
    if (!w->vocabulary) return report_error(NO_MEMORY, "out of memory");
    for (int i = 0; i < w->tokens; i++) {
        w->vocabulary[i] = json_string_value(json_array_get(classes, (size_t)i));
        if (!w->vocabulary[i]) return report_error(BAD_INPUT, "%s: data.json is damaged", run);
    }
    w->first = w->tokens > 0 && !strcmp(w->vocabulary[0], "<unk>");
    if (w->first < w->tokens) return DONE;
    return not_characters(run, "its vocabulary is empty");
}

static int find_token(const struct writer *w, const char *start, size_t length)
{
    for (int i = w->first; i < w->tokens; i++)
        if (strlen(w->vocabulary[i]) == length && !memcmp(w->vocabulary[i], start, length))
            return i;
    return -1;
}

/* Bytes of the UTF-8 character at `text`, as its first byte has it, inside the string. */
static size_t character_length(const char *text)
{
    size_t length = 1;
    while ((text[length] & 0xc0) == 0x80) length++;
    return length;
}

static int check_prompt(const struct writer *w)
{
    size_t length;
    for (const char *at = w->given->prompt; at && *at; at += length) {
        length = character_length(at);
        if (find_token(w, at, length) < 0)
            return report_error(BAD_USAGE,
                                "sample: --prompt: character %lld, '%.*s', is not in the "
                                "vocabulary of the run",
                                (long long)(at - w->given->prompt) + 1, (int)length, at);
    }
    return DONE;
}

/* ---- preparation ---- */

static int check_model(const struct writer *w, const char *run)
{
    const struct model_spec *model = &w->trained.file.content->model;
    const clg_shape *shape = clg_tensor_shape(w->trained.network.logits);
    if (model->input_count != 1 || !model->classes || shape->ndim != 3)
        return not_characters(run, "it does not give a character for each step of a sequence");
    if (w->trained.network.n_states == 0)
        return not_characters(run, "it has no recurrent layers, which know what came before");
    return DONE;
}

static int allocate(struct writer *w)
{
    const struct network *network = &w->trained.network;
    size_t largest = 0;
    for (int i = 0; i < network->n_states; i++) {
        size_t count = (size_t)clg_shape_count(clg_tensor_shape(network->states[i].before));
        if (count > largest) largest = count;
    }
    w->classes = (int)*w->trained.file.content->model.classes;
    w->logits = calloc((size_t)w->classes, sizeof *w->logits);
    w->chances = calloc((size_t)w->classes, sizeof *w->chances);
    w->state = calloc(largest, sizeof *w->state);
    if (!w->logits || !w->chances || !w->state) return report_error(NO_MEMORY, "out of memory");
    if (w->classes < w->tokens)
        return report_error(BAD_INPUT, "data.json has %d characters, the model %d", w->tokens,
                            w->classes);
    return DONE;
}

static clg_status compile(struct writer *w)
{
    const struct network *network = &w->trained.network;
    clg_tensor *outputs[MAX_STEP_STATES + 1] = {network->logits};
    size_t count = 1;
    for (int i = 0; i < network->n_states; i++) outputs[count++] = network->states[i].after;
    return clg_program_compile(
        &w->program, w->trained.context, network->graph,
        clg_program_options(.outputs = outputs, .n_outputs = count, .mode = CLG_INFERENCE));
}

/* `state` is zeros before the first step. */
static clg_status feed_state(struct writer *w, const struct step_state *s)
{
    size_t bytes = (size_t)clg_shape_count(clg_tensor_shape(s->before)) * sizeof *w->state;
    return clg_program_feed(w->program, s->before, w->state, bytes);
}

static int prepare(struct writer *w, const char *run)
{
    int code = read_vocabulary(w, run); /* first: no other network can be built for a step */
    if (code == DONE) code = trained_load_stepwise(&w->trained, run, w->given->device);
    if (code == DONE) code = check_model(w, run);
    if (code == DONE) code = check_prompt(w);
    if (code == DONE) code = allocate(w);
    if (code != DONE) return code;
    clg_status status = compile(w);
    for (int i = 0; i < w->trained.network.n_states && status == CLG_OK; i++)
        status = feed_state(w, &w->trained.network.states[i]);
    return status == CLG_OK ? trained_restore(&w->trained, run) : report_status(status, NULL);
}

/* ---- writing ---- */

/* The model reads a character; what it expects next is in w->logits then. */
static clg_status read_token(struct writer *w, int token)
{
    const struct network *network = &w->trained.network;
    float number = (float)token;
    size_t bytes = (size_t)w->classes * sizeof *w->logits;
    clg_status status = clg_program_feed(w->program, network->image, &number, sizeof number);
    if (status == CLG_OK) status = clg_program_run(w->program);
    if (status == CLG_OK) status = clg_program_read(w->program, network->logits, w->logits, bytes);
    for (int i = 0; i < network->n_states && status == CLG_OK; i++) {
        const struct step_state *s = &network->states[i];
        bytes = (size_t)clg_shape_count(clg_tensor_shape(s->after)) * sizeof *w->state;
        status = clg_program_read(w->program, s->after, w->state, bytes);
        if (status == CLG_OK) status = feed_state(w, s);
    }
    return status;
}

static int likeliest(const struct writer *w)
{
    int best = w->first;
    for (int i = w->first; i < w->tokens; i++)
        if (w->logits[i] > w->logits[best]) best = i;
    return best;
}

/* Draw `number` from the softmax of logits / temperature over the vocabulary. */
static int draw(struct writer *w, uint64_t number)
{
    int best = likeliest(w);
    double sum = 0;
    if (w->temperature == 0) return best;
    for (int i = w->first; i < w->tokens; i++) {
        double above = (double)w->logits[i] - (double)w->logits[best];
        sum += w->chances[i] = exp(above / w->temperature);
    }
    double left = sum * random_unit((uint64_t)w->given->seed, number);
    for (int i = w->first; i < w->tokens; i++) {
        left -= w->chances[i];
        if (left < 0) return i;
    }
    return best; /* rounding: there is nothing behind the last one */
}

static int append(struct writer *w, const char *text, size_t length)
{
    if (w->size + length + 1 > w->capacity) {
        size_t capacity = 2 * (w->size + length) + 1024;
        char *larger = realloc(w->text, capacity);
        if (!larger) return report_error(NO_MEMORY, "out of memory");
        w->text = larger;
        w->capacity = capacity;
    }
    memcpy(w->text + w->size, text, length);
    w->size += length;
    w->text[w->size] = 0;
    if (w->given->json) return DONE;
    fwrite(text, 1, length, stdout);
    fflush(stdout);
    return DONE;
}

/* Without a prompt the text goes on from a line's end, which is not shown. */
static int read_prompt(struct writer *w)
{
    const char *at = w->given->prompt;
    size_t length;
    clg_status status = CLG_OK;
    if (!at || !*at) {
        int token = find_token(w, "\n", 1);
        status = read_token(w, token < 0 ? w->first : token);
        return status == CLG_OK ? DONE : report_status(status, NULL);
    }
    for (; *at && status == CLG_OK; at += length) {
        length = character_length(at);
        status = read_token(w, find_token(w, at, length));
    }
    if (status != CLG_OK) return report_status(status, NULL);
    return append(w, w->given->prompt, strlen(w->given->prompt));
}

static int write_text(struct writer *w)
{
    int64_t length = w->given->length ? w->given->length : DEFAULT_LENGTH;
    int code = read_prompt(w);
    for (int64_t i = 0; i < length && code == DONE; i++) {
        if (!isfinite(w->logits[likeliest(w)]))
            return report_error(DIVERGED, "the model gives NaN or Inf");
        int token = draw(w, (uint64_t)i);
        code = append(w, w->vocabulary[token], strlen(w->vocabulary[token]));
        clg_status status = i + 1 < length ? read_token(w, token) : CLG_OK;
        if (status != CLG_OK) code = report_status(status, NULL);
        if (code == DONE && signal_received()) code = SIGNALLED + signal_received();
    }
    if (!w->given->json) putchar('\n');
    if (code != DONE || !w->given->json) return code;
    return print_json(json_pack("{so}", "text", json_text(w->text)));
}

static int run(const void *values, int argc, char **argv)
{
    struct writer w = {.given = values, .temperature = 1};
    struct sample_options given = *w.given;
    if (!argc) return report_error(BAD_USAGE, "sample: which run or checkpoint?");
    if (given.length > MAX_LENGTH)
        return report_error(BAD_USAGE, "sample: --length is at most %d", MAX_LENGTH);
    if (!given.seed) given.seed = 1;
    w.given = &given;
    signals_catch();
    int code = option_number("sample", "temperature", given.temperature, 0, MAX_TEMPERATURE,
                             &w.temperature);
    if (code == DONE) code = prepare(&w, argv[0]);
    if (code == DONE) code = write_text(&w);
    clg_program_destroy(w.program);
    trained_clear(&w.trained);
    json_decref(w.schema);
    free(w.vocabulary);
    free(w.logits);
    free(w.chances);
    free(w.state);
    free(w.text);
    return code;
}

const struct command command_sample = {
    .name = "sample",
    .arguments = "RUN|CHECKPOINT",
    .summary = "Lets a character model write text.",
    .details = "The model draws one character after the other. The same seed gives the same text.",
    .options = options,
    .values_size = sizeof(struct sample_options),
    .max_arguments = 1,
    .run = run,
};
