/*
 * Doing several independent things at a time.
 */
#ifndef CLG_PARALLEL_INTERNAL_H
#define CLG_PARALLEL_INTERNAL_H

#include "base/base.h"

/**
 * Calls work(user, 0 .. count-1) on up to as many threads as there are CPUs, the caller's included;
 * returns when all are done. After a failure no further call starts; the first failure's status and
 * message become the caller's.
 */
clg_status clg__parallel(size_t count, clg_status (*work)(void *user, size_t index), void *user);

#endif
