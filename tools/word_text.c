/*
 * The library's text source finds, counts and numbers the words; here its samples of one word and
 * the one after it are put together again, and rare words taken out. A word that is gone leaves no
 * gap: its neighbours become neighbours, as in word2vec.
 */
#include "word_text.h"

#include <stdlib.h>

#include "cltrain.h"

enum { MAX_WORDS = 1 << 24 };

const char *word_text_word(const struct word_text *text, int word)
{
    return clg_dataset_class_name(text->dataset, word);
}

/* All words of the text, numbered by frequency over the whole vocabulary. */
static int read_tokens(struct word_text *text)
{
    int64_t samples = clg_dataset_describe(text->dataset)->count;
    text->tokens = malloc((size_t)(samples + 1) * sizeof *text->tokens);
    if (!text->tokens) return report_error(NO_MEMORY, "out of memory");
    for (int64_t i = 0; i < samples; i++) {
        float word;
        clg_status status = clg_dataset_read(text->dataset, i, &word, &text->tokens[i + 1]);
        if (status != CLG_OK) return report_status(status, NULL);
        text->tokens[i] = (int32_t)word;
    }
    text->count = samples + 1;
    return DONE;
}

static int count_words(struct word_text *text)
{
    text->vocabulary = clg_dataset_describe(text->dataset)->classes;
    text->counts = calloc((size_t)text->vocabulary, sizeof *text->counts);
    if (!text->counts) return report_error(NO_MEMORY, "out of memory");
    for (int64_t i = 0; i < text->count; i++) text->counts[text->tokens[i]]++;
    return DONE;
}

/* The first words of the vocabulary stay: it is in the order of their counts. */
static void leave_out_rare(struct word_text *text, int64_t least, int64_t most)
{
    int kept = 0;
    int64_t count = 0;
    if (most == 0) most = text->vocabulary;
    while (kept < text->vocabulary && kept < most && text->counts[kept] >= (uint64_t)least) kept++;
    text->vocabulary = kept;
    for (int64_t i = 0; i < text->count; i++)
        if (text->tokens[i] < kept) text->tokens[count++] = text->tokens[i];
    text->count = count;
}

int word_text_read(struct word_text *text, const char *path, int64_t least, int64_t most)
{
    const clg_dataset_params params = {
        .format = "text", .words = true, .vocabulary = MAX_WORDS, .sequence = 1};
    *text = (struct word_text){0};
    clg_status status = clg_dataset_open(&text->dataset, path, CLG_DATA_TRAIN, &params);
    if (status != CLG_OK) return report_status(status, NULL);
    int code = read_tokens(text);
    if (code == DONE) code = count_words(text);
    if (code != DONE) return code;
    int all = text->vocabulary;
    leave_out_rare(text, least, most);
    if (text->vocabulary >= 2) return DONE;
    return report_error(BAD_INPUT, "%s: %d of %d words occur %lld times or more: 2 are needed",
                        path, text->vocabulary, all, (long long)least);
}

void word_text_clear(struct word_text *text)
{
    clg_dataset_destroy(text->dataset);
    free(text->tokens);
    free(text->counts);
    *text = (struct word_text){0};
}
