/*
 * cltrain train --lr-find: the range test for learning rates (clg_lr_range in clgrad/schedule.h).
 */
#ifndef CLTRAIN_LR_FIND_H
#define CLTRAIN_LR_FIND_H

#include "trainer.h"

/**
 * Trains for 100 steps while the rate grows, until the loss explodes; prints the losses, or draws
 * them where stdout is a terminal that can, and the rate where they fall fastest. The weights are
 * of no use afterwards. DONE, or an exit code after a message.
 */
int lr_find(struct trainer *trainer);

#endif
