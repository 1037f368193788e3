/*
 * The rules of the kernel cache's place: CLGRAD_CACHE=0 turns it off; then the parameter,
 * $CLGRAD_CACHE_DIR, $XDG_CACHE_HOME/clgrad, ~/.cache/clgrad.
 */
#include <stdlib.h>

#include "device/cache_path.h"

/* An unset variable, an empty one and a relative path (which XDG says to ignore) are all "none". */
static const char *absolute_variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] == '/' ? value : NULL;
}

int clg__user_directory(const char *variable, const char *in_home, char *path, size_t size)
{
    const char *directory = absolute_variable(variable);
    if (directory) return snprintf(path, size, "%s/clgrad", directory);
    if ((directory = absolute_variable("HOME")))
        return snprintf(path, size, "%s/%s/clgrad", directory, in_home);
    path[0] = '\0';
    return 0;
}

static int write_default(char *path, size_t size)
{
    const char *directory = getenv("CLGRAD_CACHE_DIR");
    if (directory) return snprintf(path, size, "%s", directory);
    return clg__user_directory("XDG_CACHE_HOME", ".cache", path, size);
}

void clg__cache_path(const char *requested, char *path, size_t path_size, char *note,
                     size_t note_size)
{
    const char *off = getenv("CLGRAD_CACHE");
    bool turned_off = off && strcmp(off, "0") == 0;
    path[0] = note[0] = '\0';
    if (turned_off) {
        snprintf(note, note_size, "turned off by CLGRAD_CACHE=0");
        return;
    }
    int length =
        requested ? snprintf(path, path_size, "%s", requested) : write_default(path, path_size);
    if (length < 0 || (size_t)length >= path_size) {
        path[0] = '\0';
        snprintf(note, note_size, "off: the directory's path is longer than %zu bytes",
                 path_size - 1);
    } else if (length == 0) {
        snprintf(note, note_size,
                 "off: no directory was given and neither CLGRAD_CACHE_DIR, "
                 "XDG_CACHE_HOME nor HOME names one");
    }
}
