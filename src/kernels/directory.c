/*
 * The cache directory as a whole: whom it must belong to, least-recently-used eviction by the
 * files' modification times (clg__entry_read touches them), and the public query and clear.
 *
 * Only files with our names are ever counted or removed. There is no lock: entries appear by
 * rename, and one that another process removes meanwhile is a miss or an ENOENT, both harmless.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clgrad/device.h"
#include "device/cache_path.h"
#include "kernels/directory.h"
#include "kernels/entry.h"

enum { LEFTOVER_AGE = 3600 }; /* seconds; a temporary file younger than this may be in use */

typedef struct cache_file {
    char name[64];
    struct timespec used;
    uint64_t size;
    bool leftover;
} cache_file;

typedef struct cache_listing {
    cache_file *items;
    size_t count, capacity;
    uint64_t bytes; /* of entries, without leftovers */
} cache_listing;

/* ---- may it be used ---- */

static bool check_owner(const char *directory, char *why, size_t why_size)
{
    struct stat st;
    const char *fault = NULL;
    if (stat(directory, &st) != 0)
        fault = strerror(errno);
    else if (!S_ISDIR(st.st_mode))
        fault = "it is not a directory";
    else if (st.st_uid != geteuid())
        fault = "it belongs to another user";
    else if (st.st_mode & (S_IWGRP | S_IWOTH))
        fault = "other users can write to it";
    if (fault) snprintf(why, why_size, "%s: %s", directory, fault);
    return !fault;
}

bool clg__directory_open(const char *directory, char *why, size_t why_size)
{
    if (clg__make_directories(directory, 0700) != CLG_OK) {
        snprintf(why, why_size, "%s", clg_last_error());
        return false;
    }
    return check_owner(directory, why, why_size);
}

/* ---- what is in it ---- */

static clg_status add_file(cache_listing *list, int directory, const char *name)
{
    struct stat st;
    bool leftover = clg__entry_is_name(name, true);
    if (!leftover && !clg__entry_is_name(name, false)) return CLG_OK;
    if (strlen(name) >= sizeof list->items->name) return CLG_OK;
    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return CLG_OK; /* gone meanwhile, or not ours */
    CLG_TRY(
        clg__grow((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items));
    cache_file *file = &list->items[list->count++];
    *file = (cache_file){.used = st.st_mtim, .size = (uint64_t)st.st_size, .leftover = leftover};
    memcpy(file->name, name, strlen(name) + 1);
    if (!leftover) list->bytes += file->size;
    return CLG_OK;
}

/* A directory that does not exist is an empty one. Free list->items in any case. */
static clg_status list_files(cache_listing *list, const char *directory)
{
    DIR *stream = clg__fault_hit(CLG__FAULT_FILE) ? (errno = EIO, NULL) : opendir(directory);
    if (!stream && errno == ENOENT) return CLG_OK;
    if (!stream)
        return clg__fail(CLG_ERROR_IO, "cannot read the kernel cache %s: %s", directory,
                         strerror(errno));
    clg_status status = CLG_OK;
    for (struct dirent *item; status == CLG_OK && (item = readdir(stream));)
        status = add_file(list, dirfd(stream), item->d_name);
    closedir(stream);
    return status;
}

static int by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const cache_file *)a)->used, *y = &((const cache_file *)b)->used;
    if (x->tv_sec != y->tv_sec) return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

/* ---- making it smaller ---- */

static clg_status remove_file(const char *directory, const cache_file *file)
{
    clg__str path = {0};
    clg__str_addf(&path, "%s/%s", directory, file->name);
    clg_status status = path.failed ? CLG_ERROR_MEMORY : CLG_OK;
    bool fault = status == CLG_OK && clg__fault_hit(CLG__FAULT_FILE);
    if (fault) errno = EIO;
    if (status == CLG_OK && (fault || unlink(path.text) != 0) && errno != ENOENT)
        status = clg__fail(CLG_ERROR_IO, "cannot remove %s: %s", path.text, strerror(errno));
    clg__str_free(&path);
    return status;
}

static bool must_go(const cache_file *file, uint64_t bytes, uint64_t limit)
{
    return file->leftover ? time(NULL) - file->used.tv_sec > LEFTOVER_AGE : bytes > limit;
}

void clg__directory_trim(const char *directory, uint64_t limit)
{
    cache_listing list = {0};
    if (list_files(&list, directory) == CLG_OK && list.count)
        qsort(list.items, list.count, sizeof *list.items, by_use);
    for (size_t i = 0; i < list.count; i++) {
        const cache_file *file = &list.items[i];
        if (!must_go(file, list.bytes, limit)) continue;
        if (remove_file(directory, file) == CLG_OK && !file->leftover) list.bytes -= file->size;
    }
    clg__free(list.items);
}

/* ---- public ---- */

/* True if there is a directory, and it is ours; else info->note says why not. */
static bool find_directory(const char *cache_dir, clg_cache_info *info)
{
    struct stat st;
    *info = (clg_cache_info){.limit_bytes = CLG__CACHE_LIMIT};
    clg__cache_path(cache_dir, info->directory, sizeof info->directory, info->note,
                    sizeof info->note);
    if (!info->directory[0] || (stat(info->directory, &st) != 0 && errno == ENOENT)) return false;
    return check_owner(info->directory, info->note, sizeof info->note);
}

clg_status clg_cache_query(const char *cache_dir, clg_cache_info *out)
{
    if (!out) return clg__fail(CLG_ERROR_ARGUMENT, "clg_cache_query: NULL result");
    clg_cache_info info;
    cache_listing list = {0};
    clg_status status = CLG_OK;
    if (find_directory(cache_dir, &info)) status = list_files(&list, info.directory);
    for (size_t i = 0; i < list.count; i++) info.entries += !list.items[i].leftover;
    info.bytes = list.bytes;
    clg__free(list.items);
    if (status == CLG_OK) *out = info;
    return status;
}

static clg_status remove_all(const cache_listing *list, const char *directory, uint64_t *removed)
{
    clg_status status = CLG_OK;
    for (size_t i = 0; i < list->count; i++) {
        clg_status this_one = remove_file(directory, &list->items[i]);
        if (this_one != CLG_OK)
            status = this_one;
        else if (!list->items[i].leftover)
            ++*removed;
    }
    return status;
}

clg_status clg_cache_clear(const char *cache_dir, uint64_t *removed)
{
    clg_cache_info info;
    cache_listing list = {0};
    uint64_t count = 0;
    clg_status status = CLG_OK;
    if (find_directory(cache_dir, &info)) {
        status = list_files(&list, info.directory);
        if (status == CLG_OK) status = remove_all(&list, info.directory, &count);
    } else if (info.directory[0] && info.note[0]) {
        status = clg__fail(CLG_ERROR_IO, "the kernel cache is not cleared: %s", info.note);
    }
    clg__free(list.items);
    if (removed) *removed = count;
    return status;
}
