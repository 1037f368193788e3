/*
 * The directory of the kernel cache: may it be used, and keeping it small.
 */
#ifndef CLG_DIRECTORY_INTERNAL_H
#define CLG_DIRECTORY_INTERNAL_H

#include "base/base.h"

#define CLG__CACHE_LIMIT ((uint64_t)256 << 20) /* bytes of all entries */

/**
 * Creates the directory if need be (0700) and checks that it belongs to this user and that nobody
 * else can write to it. False: `why` says what is wrong.
 */
bool clg__directory_open(const char *directory, char *why, size_t why_size);

/** Removes the least recently used entries until at most `limit` bytes are left, and leftovers. */
void clg__directory_trim(const char *directory, uint64_t limit);

#endif
