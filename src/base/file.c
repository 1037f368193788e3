/*
 * Whole-file reading with a size cap, and atomic writing.
 *
 * A file is written under a temporary name in the same directory, synced, and renamed over the
 * final name: a reader sees the old content or the new one, also after kill -9 or a full disk.
 * Links are followed first, since the rename would replace the link; and a device or a pipe, which
 * has no old content to keep, is written straight: unless the name is ours, where nobody else has
 * anything to say (a pipe among the cache's entries would be waited for). Every file system call
 * passes a fault point (CLG__FAULT_FILE).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

struct clg__atomic_file {
    int fd;
    unsigned how;
    char *path, *temp; /* temp is NULL if what `path` names is written straight */
};

static clg_status file_error(const char *what, const char *path)
{
    return clg__fail(CLG_ERROR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* True (with errno = EIO) if the tests want this file system call to fail. */
static bool file_fault(void)
{
    if (!clg__fault_hit(CLG__FAULT_FILE)) return false;
    errno = EIO;
    return true;
}

static clg_status read_descriptor(int fd, const char *path, size_t max_size, void **out,
                                  size_t *out_size)
{
    struct stat st;
    if (file_fault() || fstat(fd, &st) != 0) return file_error("read", path);
    if (!S_ISREG(st.st_mode)) return clg__fail(CLG_ERROR_IO, "%s is not a regular file", path);
    if ((uint64_t)st.st_size > max_size)
        return clg__fail(CLG_ERROR_FORMAT, "%s has %lld bytes, more than the limit of %zu", path,
                         (long long)st.st_size, max_size);
    size_t size = (size_t)st.st_size, done = 0;
    char *data = clg__alloc(size + 1);
    if (!data) return CLG_ERROR_MEMORY;
    while (done < size) {
        ssize_t got = file_fault() ? -1 : read(fd, data + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            clg__free(data);
            return file_error("read", path);
        }
        if (got == 0) break; /* shrank meanwhile: what is there is what we report */
        done += (size_t)got;
    }
    data[done] = '\0';
    *out = data;
    *out_size = done;
    return CLG_OK;
}

clg_status clg__file_read(const char *path, size_t max_size, void **out, size_t *out_size)
{
    int fd = file_fault() ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return file_error("open", path);
    clg_status status = read_descriptor(fd, path, max_size, out, out_size);
    close(fd);
    return status;
}

void clg__atomic_abort(clg__atomic_file *file)
{
    if (!file) return;
    if (file->fd >= 0) {
        close(file->fd);
        if (file->temp) unlink(file->temp);
    }
    clg__free(file->path);
    clg__free(file->temp);
    clg__free(file);
}

/*
 * Creates `temp`, whose last six characters are replaced, under a name that nobody has. Not
 * mkstemp: its files are 0600, and the mode that open() gives can only be had afterwards by setting
 * the umask, which is the whole process's, under the feet of other threads.
 */
static int create_unique(char *temp)
{
    static atomic_uint counter;
    char *tail = temp + strlen(temp) - 6;
    for (int attempt = 0; attempt < 100; attempt++) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        uint64_t seed[] = {(uint64_t)getpid(), (uint64_t)now.tv_nsec, counter++};
        snprintf(tail, 7, "%06x", (unsigned)(clg__hash(seed, sizeof seed).lo & 0xffffff));
        int fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

/* What is there under that name is no file: a device, a pipe, a link to nothing yet. */
static bool is_written_straight(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0) return !S_ISREG(st.st_mode);
    return lstat(path, &st) == 0;
}

/* Sets file->path, links followed, and file->temp; false: no memory. */
static bool set_names(clg__atomic_file *file, const char *path)
{
    const bool ours = file->how & CLG__FILE_OURS, straight = !ours && is_written_straight(path);
    char *real = ours || straight ? NULL : realpath(path, NULL); /* NULL: nothing is there yet */
    file->path = clg__strdup(real ? real : path);
    free(real);
    if (straight || !file->path) return file->path;
    clg__str temp = {0};
    clg__str_addf(&temp, "%s.tmp-XXXXXX", file->path);
    file->temp = temp.text;
    return !temp.failed;
}

static int open_names(const clg__atomic_file *file)
{
    if (file_fault()) return -1;
    if (file->temp) return create_unique(file->temp);
    return open(file->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
}

clg_status clg__atomic_open(clg__atomic_file **out, const char *path, unsigned how)
{
    clg__atomic_file *file = clg__calloc(1, sizeof *file);
    if (!file) return CLG_ERROR_MEMORY;
    file->fd = -1;
    file->how = how;
    if (!set_names(file, path)) {
        clg__atomic_abort(file);
        return CLG_ERROR_MEMORY;
    }
    file->fd = open_names(file);
    if (file->fd < 0) {
        clg_status status = file_error(file->temp ? "create a file beside" : "open", path);
        clg__atomic_abort(file);
        return status;
    }
    *out = file;
    return CLG_OK;
}

clg_status clg__atomic_write(clg__atomic_file *file, const void *data, size_t size)
{
    const char *from = data;
    while (size) {
        ssize_t done = file_fault() ? -1 : write(file->fd, from, size);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return file_error("write", file->path);
        from += done;
        size -= (size_t)done;
    }
    return CLG_OK;
}

clg_status clg__directory_of(clg__str *directory, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash)
        clg__str_addn(directory, path, (size_t)(slash - path) + 1);
    else
        clg__str_add(directory, ".");
    return directory->failed ? CLG_ERROR_MEMORY : CLG_OK;
}

/* The rename itself must survive a power cut: sync the directory that holds the name. */
static clg_status sync_directory_of(const char *path)
{
    clg__str directory = {0};
    CLG_TRY(clg__directory_of(&directory, path));
    int fd = file_fault() ? -1 : open(directory.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    clg_status status = CLG_OK;
    if (fd < 0 || fsync(fd) != 0) status = file_error("sync the directory of", path);
    if (fd >= 0) close(fd);
    clg__str_free(&directory);
    return status;
}

static clg_status commit(clg__atomic_file *file)
{
    if (!file->temp) return CLG_OK; /* devices and pipes cannot be synced */
    if (file_fault() || fsync(file->fd) != 0) return file_error("sync", file->path);
    if (file_fault() || rename(file->temp, file->path) != 0)
        return file_error("replace", file->path);
    close(file->fd);
    file->fd = -1; /* renamed: abort must not remove it */
    return (file->how & CLG__FILE_DURABLE) ? sync_directory_of(file->path) : CLG_OK;
}

clg_status clg__atomic_commit(clg__atomic_file *file)
{
    clg_status status = commit(file);
    clg__atomic_abort(file);
    return status;
}

clg_status clg__file_write_atomic(const char *path, const void *data, size_t size, unsigned how)
{
    clg__atomic_file *file;
    CLG_TRY(clg__atomic_open(&file, path, how));
    clg_status status = clg__atomic_write(file, data, size);
    if (status == CLG_OK) return clg__atomic_commit(file);
    clg__atomic_abort(file);
    return status;
}

clg_status clg__make_directories(const char *path, unsigned mode)
{
    if (!*path) return clg__fail(CLG_ERROR_ARGUMENT, "the name of a directory is empty");
    char *copy = clg__strdup(path);
    if (!copy) return CLG_ERROR_MEMORY;
    clg_status status = CLG_OK;
    for (char *p = copy + 1; status == CLG_OK; p++) {
        if (*p != '/' && *p != '\0') continue;
        char saved = *p;
        *p = '\0';
        bool made = !file_fault() && (mkdir(copy, mode) == 0 || errno == EEXIST);
        if (!made) status = file_error("create the directory", copy);
        *p = saved;
        if (saved == '\0') break;
    }
    struct stat st;
    if (status == CLG_OK && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
        status = clg__fail(CLG_ERROR_IO, "%s exists and is not a directory", path);
    clg__free(copy);
    return status;
}
