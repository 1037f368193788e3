/*
 * A scratch folder for tests that write files: made before each test and removed after it, with
 * everything inside. Its name has a space and a letter outside ASCII, as users' folders have.
 */
#ifndef CLG_SCRATCH_H
#define CLG_SCRATCH_H

#include <dirent.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing.h"

static char scratch[128];

/* In memory where there is a place for that: these tests sync files hundreds of times. */
static inline const char *scratch_place(void)
{
    const char *place = getenv("TMPDIR");
    if (place) return place;
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static inline void scratch_make(void)
{
    snprintf(scratch, sizeof scratch, "%s/clgrad tést-XXXXXX", scratch_place());
    ck_assert_ptr_nonnull(mkdtemp(scratch));
}

/* Removes a file, or a folder with all that is in it. */
static inline void scratch_remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    char inner[1024];
    for (struct dirent *item; directory && (item = readdir(directory)) != NULL;) {
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0) continue;
        snprintf(inner, sizeof inner, "%s/%s", path, item->d_name);
        scratch_remove_tree(inner);
    }
    if (directory) closedir(directory);
    ck_assert_int_eq(remove(path), 0);
}

static inline void scratch_remove(void)
{
    scratch_remove_tree(scratch);
    testing_nothing_live();
}

/** A test case whose tests have a fresh scratch folder, and end with nothing left alive. */
static inline TCase *scratch_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, scratch_make, scratch_remove);
    tcase_set_timeout(tests, 300);
    suite_add_tcase(suite, tests);
    return tests;
}

/** Path of a name in the folder; one of 16 static buffers. */
static inline const char *scratch_path(const char *name)
{
    static char paths[16][512];
    static int next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

static inline void scratch_write(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(scratch_path(name), "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

/** Reads a whole file with a NUL after it; free() it. */
static inline char *scratch_read(const char *name, size_t *size)
{
    FILE *file = fopen(scratch_path(name), "rb");
    ck_assert_msg(file != NULL, "%s is missing", name);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = calloc(*size + 1, 1);
    ck_assert_uint_eq(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

/** Number of entries of the folder (or of a folder in it). */
static inline int scratch_entries(const char *name)
{
    int count = 0;
    DIR *directory = opendir(scratch_path(name));
    ck_assert_ptr_nonnull(directory);
    for (struct dirent *item; (item = readdir(directory)) != NULL;)
        count += strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0;
    closedir(directory);
    return count;
}

/** A small deterministic random generator (xorshift) for mutating input. */
static inline uint32_t scratch_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32);
}

/**
 * Switches to a locale with a decimal comma, built on the spot if none is installed; false if that
 * is not possible here. setlocale(LC_ALL, "C") ends it.
 */
static inline bool scratch_comma_locale(void)
{
    static const char *const installed[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8",
                                            "fr_FR.utf8"};
    for (size_t i = 0; i < CLG__COUNT(installed); i++)
        if (setlocale(LC_ALL, installed[i])) return true;
    char command[512];
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 '%s/de_DE.UTF-8' 2>/dev/null",
             scratch);
    if (system(command) != 0) return false;
    setenv("LOCPATH", scratch, 1);
    bool set = setlocale(LC_ALL, "de_DE.UTF-8") != NULL;
    unsetenv("LOCPATH");
    return set;
}

#endif
