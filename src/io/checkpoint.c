/*
 * Checkpoint directories: step-00001234.safetensors files, and two text files, `latest` and `best`,
 * that hold one of those names and a newline.
 *
 * Every file is replaced whole and synced, in an order that makes any point of interruption
 * harmless: the checkpoint, then the pointer to it, and only then are old ones removed. The
 * pointers are text, not symbolic links, since not every file system has links.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "clgrad/data.h"

enum { NAME_SIZE = 64, POINTER_MAX = 4096, DEFAULT_KEEP = 3, MIN_DIGITS = 8, MAX_DIGITS = 19 };

/* ---- names ---- */

static void step_name(uint64_t step, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "step-%08" PRIu64 ".safetensors", step);
}

/* The step of a checkpoint's name; false for any other name. */
static bool parse_name(const char *name, uint64_t *step)
{
    uint64_t value = 0;
    if (strncmp(name, "step-", 5) != 0) return false;
    const char *digits = name + 5;
    size_t count = strspn(digits, "0123456789");
    if (count < MIN_DIGITS || count > MAX_DIGITS) return false;
    for (size_t i = 0; i < count; i++) value = 10 * value + (uint64_t)(digits[i] - '0');
    if (strcmp(digits + count, ".safetensors") != 0) return false;
    *step = value;
    return true;
}

/* "directory/name" for the caller to free; NULL when out of memory. */
static char *join(const char *directory, const char *name)
{
    clg__str path = {0};
    clg__str_addf(&path, "%s/%s", directory, name);
    if (!path.failed) return path.text;
    clg__str_free(&path);
    return NULL;
}

/* ---- pointers: latest, best ---- */

static clg_status write_pointer(const char *directory, const char *pointer, const char *name)
{
    char content[NAME_SIZE + 1];
    char *path = join(directory, pointer);
    if (!path) return CLG_ERROR_MEMORY;
    int length = snprintf(content, sizeof content, "%s\n", name);
    clg_status status =
        clg__file_write_atomic(path, content, (size_t)length, CLG__FILE_DURABLE | CLG__FILE_OURS);
    clg__free(path);
    return status;
}

/* Reads which step a pointer means. *found = false if the file is missing or holds no such name. */
static clg_status read_pointer(const char *directory, const char *pointer, bool *found,
                               uint64_t *step)
{
    void *content = NULL;
    size_t size;
    *found = false;
    char *path = join(directory, pointer);
    if (!path) return CLG_ERROR_MEMORY;
    clg_status status = clg__file_read(path, POINTER_MAX, &content, &size);
    clg__free(path);
    if (status == CLG_ERROR_MEMORY) return status;
    if (status != CLG_OK) return CLG_OK;
    char *text = content;
    text[strcspn(text, "\r\n")] = '\0';
    *found = parse_name(text, step);
    clg__free(content);
    if (!*found)
        clg__log(CLG_LOG_WARNING, "%s/%s does not name a checkpoint and is ignored", directory,
                 pointer);
    return CLG_OK;
}

/* ---- the list of checkpoints ---- */

static int newest_first(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a > b ? -1 : a < b;
}

static DIR *open_directory(const char *directory)
{
    if (!clg__fault_hit(CLG__FAULT_FILE)) return opendir(directory);
    errno = EIO;
    return NULL;
}

/* Steps of all checkpoints in a directory, newest first; *steps is the caller's. */
static clg_status list_steps(const char *directory, uint64_t **steps, size_t *count)
{
    uint64_t *list = NULL, step;
    size_t capacity = 0, n = 0;
    clg_status status = CLG_OK;
    DIR *stream = open_directory(directory);
    if (!stream) return clg__fail(CLG_ERROR_IO, "cannot list %s: %s", directory, strerror(errno));
    for (struct dirent *item; status == CLG_OK && (item = readdir(stream)) != NULL;) {
        if (!parse_name(item->d_name, &step)) continue;
        status = clg__grow((void **)&list, &capacity, n + 1, sizeof *list);
        if (status == CLG_OK) list[n++] = step;
    }
    closedir(stream);
    if (status != CLG_OK) {
        clg__free(list);
        return status;
    }
    if (n > 0) qsort(list, n, sizeof *list, newest_first);
    *steps = list;
    *count = n;
    return CLG_OK;
}

/* ---- saving ---- */

static void remove_step(const char *directory, uint64_t step)
{
    char name[NAME_SIZE];
    step_name(step, name);
    char *path = join(directory, name);
    bool removed = path && !clg__fault_hit(CLG__FAULT_FILE) && unlink(path) == 0;
    if (!removed)
        clg__log(CLG_LOG_WARNING, "the old checkpoint %s/%s could not be removed", directory, name);
    clg__free(path);
}

/* Removes what is older than the `keep` newest up to `step`. Failing is no failure of the save. */
static void remove_old(const char *directory, uint64_t step, int keep)
{
    uint64_t *steps = NULL, best = 0;
    size_t count = 0;
    bool has_best;
    if (read_pointer(directory, "best", &has_best, &best) != CLG_OK ||
        list_steps(directory, &steps, &count) != CLG_OK) {
        clg__log(CLG_LOG_WARNING, "old checkpoints were not removed: %s", clg_last_error());
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (steps[i] > step || keep-- > 0 || (has_best && steps[i] == best)) continue;
        remove_step(directory, steps[i]);
    }
    clg__free(steps);
}

static clg_status write_step(const char *directory, const char *name, const clg_array *arrays,
                             size_t count, const clg_checkpoint_params *params)
{
    char *path = join(directory, name);
    if (!path) return CLG_ERROR_MEMORY;
    clg_safetensors_write_params write = {params->metadata, params->metadata_count, true};
    clg_status status = clg_safetensors_write(path, arrays, count, &write);
    clg__free(path);
    return status;
}

clg_status clg_checkpoint_save(const char *directory, const clg_array *arrays, size_t count,
                               const clg_checkpoint_params *params)
{
    char name[NAME_SIZE];
    if (!directory || !params)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_checkpoint_save: an argument is NULL");
    if (params->step > (uint64_t)INT64_MAX || params->keep < 0)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_checkpoint_save: step %" PRIu64 ", keep %d",
                         params->step, params->keep);
    step_name(params->step, name);
    CLG_TRY(clg__make_directories(directory, 0777));
    CLG_TRY(write_step(directory, name, arrays, count, params));
    CLG_TRY(write_pointer(directory, "latest", name));
    if (params->best) CLG_TRY(write_pointer(directory, "best", name));
    remove_old(directory, params->step, params->keep ? params->keep : DEFAULT_KEEP);
    return CLG_OK;
}

/* ---- loading ---- */

static clg_status open_step(clg_safetensors **out, const char *directory, uint64_t step,
                            clg_checkpoint_found *found)
{
    step_name(step, found->file);
    char *path = join(directory, found->file);
    if (!path) return CLG_ERROR_MEMORY;
    clg_status status = clg_safetensors_open(out, path, NULL);
    clg__free(path);
    found->step = step;
    return status;
}

/* A failure that an older checkpoint can make up for: the file is missing, unreadable, damaged. */
static bool is_damage(clg_status status)
{
    return status == CLG_ERROR_FORMAT || status == CLG_ERROR_IO;
}

/* Tries steps newest first until one opens. The first failure stays in found->problem. */
static clg_status open_newest(clg_safetensors **out, const char *directory, const uint64_t *steps,
                              size_t count, clg_checkpoint_found *found)
{
    clg_status status = CLG_ERROR_IO;
    if (count == 0 && !found->problem[0])
        return clg__fail(status, "there are no checkpoints in %s", directory);
    for (size_t i = 0; i < count; i++) {
        status = open_step(out, directory, steps[i], found);
        if (!is_damage(status)) return status;
        clg__log(CLG_LOG_WARNING, "a checkpoint cannot be used: %s", clg_last_error());
        if (!found->problem[0])
            snprintf(found->problem, sizeof found->problem, "%s", clg_last_error());
    }
    return clg__fail(count ? status : CLG_ERROR_FORMAT, "no usable checkpoint in %s: %s", directory,
                     found->problem);
}

/* The one `latest` names, else the newest before it; without a pointer the newest of all. */
static clg_status open_latest(clg_safetensors **out, const char *directory,
                              clg_checkpoint_found *found)
{
    uint64_t target, *steps = NULL;
    size_t count = 0, first = 0;
    bool known;
    CLG_TRY(read_pointer(directory, "latest", &known, &target));
    if (known) {
        clg_status status = open_step(out, directory, target, found);
        if (!is_damage(status)) return status;
        clg__log(CLG_LOG_WARNING, "the latest checkpoint cannot be used: %s", clg_last_error());
        snprintf(found->problem, sizeof found->problem, "%s", clg_last_error());
    }
    CLG_TRY(list_steps(directory, &steps, &count));
    while (known && first < count && steps[first] >= target) first++;
    const uint64_t *before = first < count ? steps + first : NULL;
    clg_status status = open_newest(out, directory, before, count - first, found);
    clg__free(steps);
    return status;
}

static clg_status open_best(clg_safetensors **out, const char *directory,
                            clg_checkpoint_found *found)
{
    uint64_t step;
    bool known;
    CLG_TRY(read_pointer(directory, "best", &known, &step));
    if (!known) return clg__fail(CLG_ERROR_IO, "%s has no best checkpoint", directory);
    return open_step(out, directory, step, found);
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static clg_status open_file(clg_safetensors **out, const char *path, clg_checkpoint_found *found)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    parse_name(name, &found->step);
    snprintf(found->file, sizeof found->file, "%s", name);
    return clg_safetensors_open(out, path, NULL);
}

clg_status clg_checkpoint_load(clg_safetensors **out, const char *path, const char *which,
                               clg_checkpoint_found *found)
{
    clg_checkpoint_found result = {0};
    if (!out || !path)
        return clg__fail(CLG_ERROR_ARGUMENT, "clg_checkpoint_load: an argument is NULL");
    bool best = which && strcmp(which, "best") == 0;
    if (which && !best && strcmp(which, "latest") != 0)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "clg_checkpoint_load: \"%s\" is neither latest nor "
                         "best",
                         which);
    char *inner = join(path, "checkpoints");
    if (!inner) return CLG_ERROR_MEMORY;
    const char *directory = is_directory(inner) ? inner : path;
    clg_status status;
    if (!is_directory(directory))
        status = open_file(out, path, &result);
    else
        status = best ? open_best(out, directory, &result) : open_latest(out, directory, &result);
    clg__free(inner);
    if (status == CLG_OK && found) *found = result;
    return status;
}
