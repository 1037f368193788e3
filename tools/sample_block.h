/*
 * The first samples of a data set in memory, for what is measured on the same ones again and again.
 */
#ifndef CLTRAIN_SAMPLE_BLOCK_H
#define CLTRAIN_SAMPLE_BLOCK_H

#include "clgrad/data.h"
#include "clgrad/program.h"
#include "network.h"

struct sample_block {
    int64_t count;
    int64_t floats, targets; /* of one sample */
    float *features;         /* (count, floats) */
    int32_t *labels;         /* (count, targets): labels or, in the same places, floats */
};

/** Reads `limit` samples, or all if there are fewer. Release it with sample_block_clear. */
clg_status sample_block_read(struct sample_block *block, const clg_dataset *dataset, int64_t limit);
void sample_block_clear(struct sample_block *block);

/** Feeds samples first .. first + count - 1, setting the batch size to `count`. */
clg_status sample_block_feed(const struct sample_block *block, clg_program *program,
                             const struct network *network, int64_t first, int64_t count);

#endif
