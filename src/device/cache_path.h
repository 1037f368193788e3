/*
 * Where the kernel cache on disk belongs, from the parameter and the environment. Only names: the
 * directory is looked at by the kernels layer when it is first needed.
 */
#ifndef CLG_CACHE_PATH_INTERNAL_H
#define CLG_CACHE_PATH_INTERNAL_H

#include "base/base.h"

/**
 * Writes the user's directory for us by XDG's rules: $<variable>/clgrad, else
 * $HOME/<in_home>/clgrad, else "". Returns its length as snprintf does.
 */
int clg__user_directory(const char *variable, const char *in_home, char *path, size_t size);

/**
 * Writes the directory's path, or "" if the cache is off; then `note` says why. `requested` as in
 * clg_context_params.cache_dir.
 */
void clg__cache_path(const char *requested, char *path, size_t path_size, char *note,
                     size_t note_size);

#endif
