/*
 * See sample_block.h. A data set without targets has none in the block either.
 */
#include "sample_block.h"

#include <stdlib.h>

#include "evaluate.h"

void sample_block_clear(struct sample_block *block)
{
    free(block->features);
    free(block->labels);
    *block = (struct sample_block){0};
}

clg_status sample_block_read(struct sample_block *block, const clg_dataset *dataset, int64_t limit)
{
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    bool targets = info->target != CLG_TARGET_NONE;
    *block = (struct sample_block){
        .count = limit < info->count ? limit : info->count,
        .floats = clg_shape_count(&info->sample),
        .targets = targets ? clg_shape_count(&info->target_shape) : 0,
    };
    block->features = malloc((size_t)(block->count * block->floats) * sizeof *block->features);
    if (targets)
        block->labels = malloc((size_t)(block->count * block->targets) * sizeof *block->labels);
    clg_status status = block->features && (block->labels || !targets) ? CLG_OK : CLG_ERROR_MEMORY;
    for (int64_t i = 0; i < block->count && status == CLG_OK; i++)
        status = clg_dataset_read(dataset, i, block->features + i * block->floats,
                                  targets ? block->labels + i * block->targets : NULL);
    if (status != CLG_OK) sample_block_clear(block);
    return status;
}

clg_status sample_block_feed(const struct sample_block *block, clg_program *program,
                             const struct network *network, int64_t first, int64_t count)
{
    const int32_t *targets = block->labels ? block->labels + first * block->targets : NULL;
    return feed_batch(program, network, count, block->features + first * block->floats, targets);
}
