/*
 * Data sets from text, for language models: the text becomes a row of tokens, characters or words,
 * which is cut into pieces of `sequence` tokens; the target of each token is the one after it.
 *
 * Tokens are spans of the text, which is in memory, and are looked up in one hash table, for
 * counting and then for numbering. Words are runs of letters, digits and apostrophes (and of
 * anything outside ASCII) in lower case; what is between them is left out.
 */
#include <stdlib.h>

#include "io/formats.h"
#include "io/stream.h"
#include "io/utf8.h"

enum { DEFAULT_SEQUENCE = 64, DEFAULT_WORDS = 10000, MAX_VOCABULARY = 1 << 24, MAX_TOKEN = 256 };
static const size_t MAX_TEXT = (size_t)1 << 30;
static const char unknown[] = "<unk>";

/* One distinct token. */
typedef struct entry {
    const char *start; /* in the text; NULL: free */
    uint32_t length;
    int32_t id;
    uint64_t count;
} entry;

typedef struct vocabulary {
    entry *entries; /* open addressing */
    size_t slots, used;
} vocabulary;

typedef struct text {
    char *bytes; /* NUL-terminated; words in lower case */
    size_t size;
    bool words;
    vocabulary known;
    int32_t *tokens;
    size_t count;
} text;

/* ---- the text ---- */

static clg_status load(text *t, const char *path)
{
    clg__stream s;
    size_t capacity = 0, got = 1;
    CLG_TRY(clg__stream_open(&s, path));
    clg_status status = CLG_OK;
    while (status == CLG_OK && got > 0) {
        void *bytes = t->bytes;
        status = clg__grow(&bytes, &capacity, t->size + (1 << 16) + 1, 1);
        t->bytes = bytes;
        if (status == CLG_OK)
            status = clg__stream_read(&s, t->bytes + t->size, capacity - t->size - 1, &got);
        if (status == CLG_OK) t->size += got;
        if (t->size > MAX_TEXT)
            status = clg__fail(CLG_ERROR_FORMAT, "%s: more than %zu bytes of text", path, MAX_TEXT);
    }
    if (status == CLG_OK) t->bytes[t->size] = 0;
    clg__stream_close(&s);
    return status;
}

static int64_t line_of(const text *t, const char *at)
{
    int64_t line = 1;
    for (const char *p = t->bytes; p < at; p++) line += *p == '\n';
    return line;
}

static clg_status check_utf8(const text *t, const char *path)
{
    const char *at = t->bytes;
    for (int length; at < t->bytes + t->size; at += length) {
        length = clg__utf8_length(at);
        if (length == 0)
            return clg__fail(CLG_ERROR_FORMAT, "%s, line %lld: this is not UTF-8 text", path,
                             (long long)line_of(t, at));
    }
    return CLG_OK;
}

static bool in_word(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80 || c == '\'';
}

static void lower_case(text *t)
{
    for (size_t i = 0; i < t->size; i++)
        if (t->bytes[i] >= 'A' && t->bytes[i] <= 'Z') t->bytes[i] += 'a' - 'A';
}

/* The token at *at or behind it: its start, and its length in *length; NULL at the end. */
static const char *next_token(const text *t, const char **at, uint32_t *length)
{
    const char *end = t->bytes + t->size, *start = *at;
    if (!t->words) {
        *length = start < end ? (uint32_t)clg__utf8_length(start) : 0;
        *at = start + *length;
        return start < end ? start : NULL;
    }
    while (start < end && !in_word((unsigned char)*start)) start++;
    const char *stop = start;
    while (stop < end && in_word((unsigned char)*stop) && stop - start < MAX_TOKEN) stop++;
    *length = (uint32_t)(stop - start);
    *at = stop;
    return *length > 0 ? start : NULL;
}

/* ---- the vocabulary ---- */

static entry *find_slot(const vocabulary *v, const char *start, uint32_t length)
{
    size_t at = clg__hash(start, length).lo & (v->slots - 1);
    while (v->entries[at].start &&
           (v->entries[at].length != length || memcmp(v->entries[at].start, start, length) != 0))
        at = (at + 1) & (v->slots - 1);
    return &v->entries[at];
}

/* Twice the slots; at most half of them are in use. */
static clg_status grow(vocabulary *v)
{
    vocabulary larger = {.slots = v->slots ? 2 * v->slots : 1024, .used = v->used};
    larger.entries = clg__calloc(larger.slots, sizeof *larger.entries);
    if (!larger.entries) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < v->slots; i++) {
        const entry *e = &v->entries[i];
        if (e->start) *find_slot(&larger, e->start, e->length) = *e;
    }
    clg__free(v->entries);
    *v = larger;
    return CLG_OK;
}

static clg_status add(vocabulary *v, const char *start, uint32_t length, entry **out)
{
    if (2 * (v->used + 1) > v->slots) CLG_TRY(grow(v));
    *out = find_slot(v, start, length);
    if ((*out)->start) return CLG_OK;
    (*out)->start = start;
    (*out)->length = length;
    (*out)->id = -1;
    v->used++;
    return CLG_OK;
}

/* Counts all tokens into t->known and t->count. */
static clg_status count_tokens(text *t)
{
    const char *at = t->bytes, *start;
    uint32_t length;
    while ((start = next_token(t, &at, &length))) {
        entry *e;
        CLG_TRY(add(&t->known, start, length, &e));
        e->count++;
        t->count++;
    }
    return CLG_OK;
}

static int by_bytes(const void *a, const void *b)
{
    const entry *x = *(entry *const *)a, *y = *(entry *const *)b;
    int order = memcmp(x->start, y->start, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static int by_count(const void *a, const void *b)
{
    const entry *x = *(entry *const *)a, *y = *(entry *const *)b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    return by_bytes(a, b);
}

/*
 * Numbers the tokens: words by frequency, characters by their code. Where there are more than
 * `most`, the less frequent ones share number 0, "<unk>".
 */
static clg_status choose(text *t, size_t most, clg__names *names)
{
    vocabulary *v = &t->known;
    size_t n = 0, kept = v->used <= most ? v->used : most - 1;
    entry **order = clg__calloc(v->used, sizeof *order);
    if (!order) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < v->slots; i++)
        if (v->entries[i].start) order[n++] = &v->entries[i];
    qsort(order, n, sizeof *order, by_count);
    if (!t->words) qsort(order, kept, sizeof *order, by_bytes);
    clg_status status = CLG_OK;
    if (kept < n) status = clg__names_add(names, unknown, sizeof unknown - 1);
    for (size_t i = 0; i < n && status == CLG_OK; i++) {
        order[i]->id = i < kept ? (int32_t)names->count : 0;
        if (i < kept) status = clg__names_add(names, order[i]->start, order[i]->length);
    }
    clg__free(order);
    return status;
}

/* Numbers the tokens as a schema does. */
static clg_status apply_schema(text *t, const char *path, const json_t *schema, clg__names *names)
{
    const char *at = t->bytes, *start;
    uint32_t length;
    const char *format = json_string_value(json_object_get(schema, "format"));
    if (strcmp(format, "text") != 0)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s was taken for a text, but the training data had the format %s", path,
                         format);
    CLG_TRY(clg__names_from_json(json_object_get(schema, "classes"), "vocabulary", names));
    int32_t other = names->count && strcmp(names->items[0], unknown) == 0 ? 0 : -1;
    for (size_t i = 0; i < t->known.slots; i++) t->known.entries[i].id = other;
    for (size_t i = 0; i < names->count; i++) {
        entry *e = t->known.slots
                       ? find_slot(&t->known, names->items[i], (uint32_t)strlen(names->items[i]))
                       : NULL;
        if (e && e->start) e->id = (int32_t)i;
    }
    while (other < 0 && (start = next_token(t, &at, &length)))
        if (find_slot(&t->known, start, length)->id < 0)
            return clg__fail(CLG_ERROR_FORMAT,
                             "%s, line %lld: '%.*s' is not in the vocabulary of the training data",
                             path, (long long)line_of(t, start), (int)length, start);
    return CLG_OK;
}

static clg_status number_tokens(text *t)
{
    const char *at = t->bytes, *start;
    uint32_t length;
    size_t n = 0;
    t->tokens = clg__calloc(t->count, sizeof *t->tokens);
    if (!t->tokens) return CLG_ERROR_MEMORY;
    while ((start = next_token(t, &at, &length)))
        t->tokens[n++] = find_slot(&t->known, start, length)->id;
    return CLG_OK;
}

/* ---- samples ---- */

typedef struct text_state {
    int32_t *tokens;
    int64_t sequence;
} text_state;

static clg_status read_window(const clg__samples *samples, int64_t index, void *features,
                              void *target)
{
    const text_state *state = samples->state;
    const int32_t *first = state->tokens + index * state->sequence;
    size_t bytes = (size_t)state->sequence * sizeof *first;
    if (features) memcpy(features, first, bytes);
    memcpy(target, first + 1, bytes);
    return CLG_OK;
}

static void free_state(void *memory)
{
    text_state *state = memory;
    clg__free(state->tokens);
    clg__free(state);
}

static const clg__samples_kind text_kind = {.read = read_window, .free = free_state};

static clg_status describe(clg__samples *samples, const clg__place *place, const text *t,
                           int64_t sequence)
{
    clg_dataset_info *info = &samples->info;
    int wanted = place->params->classes;
    size_t tokens = samples->classes.count;
    if (t->count < (size_t)sequence + 1)
        return clg__fail(CLG_ERROR_FORMAT, "%s: 0 samples: %zu tokens, and one sample takes %lld",
                         place->path, t->count, (long long)sequence + 1);
    if (wanted > 0 && tokens > (size_t)wanted)
        return clg__fail(CLG_ERROR_FORMAT,
                         "%s has %zu different %s, but %d classes are expected (vocabulary: %d "
                         "keeps the most frequent)",
                         place->path, tokens, t->words ? "words" : "characters", wanted, wanted);
    info->count = clg__limited((int64_t)(t->count - 1) / sequence, place->params);
    info->sample = info->target_shape = CLG_SHAPE(sequence);
    info->storage = CLG_I32;
    info->target = CLG_TARGET_CLASSES;
    info->classes = wanted > 0 ? wanted : (int)tokens;
    info->whole = info->ordered = true;
    return clg__schema_keep(samples, json_pack("{ss sb sI}", "format", "text", "words", t->words,
                                               "sequence", (json_int_t)sequence));
}

static clg_status fill(clg__samples *samples, const clg__place *place, text *t)
{
    const clg_dataset_params *params = place->params;
    int64_t sequence = params->sequence;
    const json_t *schema = place->schema;
    if (schema) t->words = json_is_true(json_object_get(schema, "words"));
    if (!sequence && schema) sequence = json_integer_value(json_object_get(schema, "sequence"));
    if (!sequence) sequence = DEFAULT_SEQUENCE;
    size_t most = params->vocabulary > 0 ? (size_t)params->vocabulary
                  : t->words             ? DEFAULT_WORDS
                                         : MAX_VOCABULARY;
    if (sequence < 1 || sequence > 1 << 24 || params->vocabulary < 0 || most < 2 ||
        most > MAX_VOCABULARY)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "%s: sequences of %lld tokens with a vocabulary of %lld: 1 .. 2^24 and 2 "
                         ".. 2^24 are possible",
                         place->path, (long long)sequence, (long long)params->vocabulary);
    CLG_TRY(load(t, place->path));
    CLG_TRY(check_utf8(t, place->path));
    if (t->words) lower_case(t);
    CLG_TRY(count_tokens(t));
    CLG_TRY(schema ? apply_schema(t, place->path, schema, &samples->classes)
                   : choose(t, most, &samples->classes));
    CLG_TRY(describe(samples, place, t, sequence));
    CLG_TRY(number_tokens(t));
    text_state *state = clg__alloc(sizeof *state);
    if (!state) return CLG_ERROR_MEMORY;
    *state = (text_state){t->tokens, sequence};
    t->tokens = NULL;
    samples->state = state;
    samples->kind = &text_kind;
    return CLG_OK;
}

static clg_status open_text(clg__samples *samples, const clg__place *place)
{
    text t = {.words = place->params->words};
    if (place->directory)
        return clg__fail(CLG_ERROR_FORMAT, "%s is a folder, not a text", place->path);
    clg_status status = fill(samples, place, &t);
    clg__free(t.bytes);
    clg__free(t.known.entries);
    clg__free(t.tokens);
    return status;
}

/* Not empty, no NUL, and UTF-8 as far as the head goes. */
static bool detect_text(const clg__place *place)
{
    size_t at = 0;
    if (place->directory || place->head_size == 0) return false;
    char copy[sizeof place->head + 1];
    memcpy(copy, place->head, place->head_size);
    copy[place->head_size] = 0;
    while (at < place->head_size) {
        int length = clg__utf8_length(copy + at);
        if (length == 0) return place->head_size - at < 4 && copy[at]; /* cut by the head's end */
        at += (size_t)length;
    }
    return true;
}

const clg__format clg__format_text = {"text", detect_text, open_text};
