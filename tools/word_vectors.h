/*
 * Vectors of words in the text format of word2vec: a line with their number and length, then a line
 * for each word with its numbers, all separated by blanks.
 */
#ifndef CLTRAIN_WORD_VECTORS_H
#define CLTRAIN_WORD_VECTORS_H

#include <stddef.h>
#include <stdint.h>

struct word_vectors {
    int64_t count, length;
    const char **words; /* (count), in `text` */
    float *values;      /* (count, length) */
    int32_t *sorted;    /* numbers of the words in the order of their bytes */
    char *text;         /* of the file */
};

/**
 * Reads a file, or vectors.txt in a folder, and scales all vectors to length 1 (zeros stay zeros).
 * Everything that is not as above is refused with its line: numbers that do not fit the file, other
 * than finite numbers, words that come twice. DONE, or an exit code after a message; clear it in
 * both cases.
 */
int word_vectors_read(struct word_vectors *vectors, const char *path);
void word_vectors_clear(struct word_vectors *vectors);
/** Number of a word, as it is or else in lower case; -1 if it is not there. */
int64_t word_vectors_find(const struct word_vectors *vectors, const char *word);

enum { MAX_NEAREST = 1000 };
struct near_word {
    int64_t word;
    float cosine;
};
/**
 * The `count` (1 .. MAX_NEAREST) words whose vectors point most nearly as `direction` (length), the
 * nearest first, without the n words of `but`. Returns how many there are.
 */
int64_t word_vectors_nearest(const struct word_vectors *vectors, const float *direction,
                             const int64_t *but, int n, struct near_word *out, int64_t count);
/** direction (length) = b - a + c: a is to b as c is to what points there. */
void word_vectors_analogy(const struct word_vectors *vectors, const int64_t abc[3],
                          float *direction);

/**
 * Writes vectors.txt, vectors.npy (count, length) and words.txt, a word on each line, into a
 * folder. `word` gives the words by their number. DONE, or an exit code after a message.
 */
int word_vectors_write(const char *folder, const float *values, int64_t count, int64_t length,
                       const char *(*word)(const void *user, int64_t number), const void *user);

#endif
