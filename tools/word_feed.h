/*
 * What word vectors are trained with, in blocks of examples that a thread prepares. An example is
 * some words that are read (one, or for CBOW those around a place), the word that they predict, and
 * what that is told apart from: words drawn at random, or its way through the Huffman tree.
 */
#ifndef CLTRAIN_WORD_FEED_H
#define CLTRAIN_WORD_FEED_H

#include "clgrad/sequence.h"
#include "word_text.h"

struct word_settings {
    bool cbow, hierarchical;
    int64_t window;    /* words to each side at most; how many is drawn for each place */
    int64_t negatives; /* drawn words for each right one */
    int64_t batch;     /* examples in a block */
    int64_t epochs;
    double threshold; /* of subsampling; 0: none */
    uint64_t seed;
};

struct word_feed {
    const struct word_text *text;
    struct word_settings settings;
    int64_t read, against; /* words that are read by an example, drawn words or turns against it */
    clg_sampler *sampler;  /* of drawn words */
    int32_t *paths;        /* (vocabulary, against) of the Huffman tree */
    float *turns;
    clg_dataset *blocks;
    clg_loader *loader;

    /* The thread's own: the text of this epoch and where in it. */
    int32_t *tokens; /* what subsampling left */
    int32_t *order;  /* in which places are visited */
    int64_t places;
    bool begun; /* these are there */
    int64_t epoch, at;
    int64_t neighbour; /* of the place: where the next example is, for skip-gram */
    uint64_t drawn;
};

/* Borrowed from the feed until the next one is taken. */
struct word_block {
    int64_t count;           /* examples */
    bool last;               /* of its epoch */
    double progress;         /* of the whole training, 0 .. 1 */
    const int32_t *words;    /* (count, read) */
    const float *weights;    /* (count, read): 1 over their number, 0 for none */
    const int32_t *right;    /* (count) */
    const int32_t *negative; /* (count, against): words, or inner nodes */
    const float *turns;      /* (count, against), hierarchical only */
};

/** DONE, or an exit code after a message; close it in both cases. `text` must outlive it. */
int word_feed_open(struct word_feed *feed, const struct word_text *text,
                   const struct word_settings *settings);
void word_feed_close(struct word_feed *feed);
int word_feed_next(struct word_feed *feed, struct word_block *block);

#endif
