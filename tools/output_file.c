/*
 * Written beside its final name, synced and renamed, as the library does it (src/base/file.c).
 */
#include "output_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cltrain.h"

/* What is there under that name is no file: a device, a pipe, a link to nothing yet. */
static bool is_written_straight(const char *path)
{
    struct stat info;
    if (!stat(path, &info)) return !S_ISREG(info.st_mode);
    return !lstat(path, &info);
}

static void clear(struct output_file *file)
{
    free(file->path);
    free(file->temporary);
    *file = (struct output_file){0};
}

/* Sets path, links followed, and temporary; false: no memory. */
static bool set_names(struct output_file *file, const char *path)
{
    bool straight = is_written_straight(path);
    file->path = straight ? NULL : realpath(path, NULL);
    if (!file->path) file->path = strdup(path); /* nothing is there yet */
    if (straight || !file->path) return file->path;
    size_t size = strlen(file->path) + sizeof ".temporary";
    file->temporary = malloc(size);
    if (file->temporary) snprintf(file->temporary, size, "%s.temporary", file->path);
    return file->temporary;
}

int output_open(struct output_file *file, const char *path)
{
    *file = (struct output_file){0};
    bool named = set_names(file, path);
    if (named) file->out = fopen(file->temporary ? file->temporary : file->path, "w");
    if (file->out) return DONE;
    int error = errno;
    clear(file);
    return named ? report_error(FAILED, "%s: %s", path, strerror(error))
                 : report_error(NO_MEMORY, "out of memory");
}

int output_close(struct output_file *file)
{
    int code = DONE;
    bool failed = ferror(file->out) || fflush(file->out);
    if (!failed && file->temporary) failed = fsync(fileno(file->out));
    int error = errno;
    if (fclose(file->out) && !failed) {
        failed = true;
        error = errno;
    }
    if (!failed && file->temporary && rename(file->temporary, file->path)) {
        failed = true;
        error = errno;
    }
    if (failed && file->temporary) unlink(file->temporary);
    if (failed) code = report_error(FAILED, "%s: %s", file->path, strerror(error));
    clear(file);
    return code;
}

int write_file(const char *path, const char *text)
{
    struct output_file file;
    int code = output_open(&file, path);
    if (code != DONE) return code;
    fputs(text, file.out);
    return output_close(&file);
}
