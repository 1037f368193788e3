/*
 * A text as numbers of words, for word vectors: words in the order of their frequency, rare ones
 * left out.
 */
#ifndef CLTRAIN_WORD_TEXT_H
#define CLTRAIN_WORD_TEXT_H

#include "clgrad/data.h"

struct word_text {
    clg_dataset *dataset; /* knows the words */
    int32_t *tokens;      /* (count), 0 .. vocabulary - 1 */
    int64_t count;
    int vocabulary;
    uint64_t *counts; /* (vocabulary), falling */
};

/**
 * Reads a UTF-8 text; keeps words that occur at least `least` times, the `most` most frequent ones
 * if that is not 0. DONE, or an exit code after a message; clear it in both cases.
 */
int word_text_read(struct word_text *text, const char *path, int64_t least, int64_t most);
void word_text_clear(struct word_text *text);
const char *word_text_word(const struct word_text *text, int word);

#endif
