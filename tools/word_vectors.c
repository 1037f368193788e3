/*
 * Files of word vectors, and looking for what is near. A file is read whole; counts are compared
 * with its size before any memory is taken for them. Cosines of many words with one direction go
 * through the table once: for tables of words that takes milliseconds.
 */
#include "word_vectors.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clgrad/data.h"
#include "cltrain.h"
#include "output_file.h"
#include "run_dir.h"

enum { MAX_LENGTH = 1 << 20, MAX_COUNT = INT32_MAX };

/* ---- reading ---- */

static int read_file(struct word_vectors *v, const char *path, size_t *size)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    bool failed = !file || fstat(fileno(file), &info);
    if (!failed && !S_ISREG(info.st_mode)) {
        fclose(file);
        return report_error(BAD_INPUT, "%s is not a file", path);
    }
    *size = failed ? 0 : (size_t)info.st_size;
    if (!failed && !(v->text = malloc(*size + 1))) {
        fclose(file);
        return report_error(NO_MEMORY, "%s: %zu bytes do not fit in memory", path, *size);
    }
    if (!failed) *size = fread(v->text, 1, *size, file);
    failed = failed || ferror(file);
    int error = errno;
    if (file) fclose(file);
    if (failed) return report_error(BAD_INPUT, "%s: %s", path, strerror(error));
    v->text[*size] = 0;
    return DONE;
}

/* "12 100": each row needs a character, a blank and a digit for each number, and an end. */
static int read_header(struct word_vectors *v, const char *path, size_t size, char **at)
{
    char *end, *start = v->text;
    errno = 0;
    long long count = strtoll(start, &end, 10), length = 0;
    bool good = end != start && *end == ' ';
    if (good) length = strtoll(start = end + 1, &end, 10);
    good = good && end != start && !errno;
    while (good && (*end == ' ' || *end == '\r')) end++;
    if (!good || *end != '\n')
        return report_error(BAD_INPUT,
                            "%s, line 1: not the number of words and the length of vectors", path);
    if (count < 1 || count > MAX_COUNT || length < 1 || length > MAX_LENGTH)
        return report_error(BAD_INPUT,
                            "%s, line 1: %lld vectors of %lld numbers: 1 .. %d of 1 .. %d are "
                            "possible",
                            path, count, length, MAX_COUNT, MAX_LENGTH);
    if (count > (long long)(size + 1) / (2 + 2 * length))
        return report_error(BAD_INPUT,
                            "%s: %lld vectors of %lld numbers, but the file has %zu bytes", path,
                            count, length, size);
    v->count = count;
    v->length = length;
    *at = end + 1;
    return DONE;
}

/* Line `row` + 2 of the file. */
static int read_row(struct word_vectors *v, const char *path, int64_t row, char **at)
{
    char *end = *at + strcspn(*at, " \n");
    long long line = (long long)row + 2;
    if (!**at)
        return report_error(BAD_INPUT, "%s: %lld words, but line 1 says %lld", path, line - 2,
                            (long long)v->count);
    if (end == *at || *end != ' ')
        return report_error(BAD_INPUT, "%s, line %lld: not a word and its vector", path, line);
    v->words[row] = *at;
    *end++ = 0;
    float *values = v->values + row * v->length;
    for (int64_t i = 0; i < v->length; i++) {
        char *start = end + strspn(end, " ");
        values[i] = strtof(start, &end);
        bool good = *start != '\n' && end != start && strchr(" \r\n", *end) && isfinite(values[i]);
        if (!good)
            return report_error(BAD_INPUT,
                                "%s, line %lld: number %lld of %lld is missing or not a number",
                                path, line, (long long)i + 1, (long long)v->length);
    }
    end += strspn(end, " \r");
    if (*end && *end != '\n')
        return report_error(BAD_INPUT, "%s, line %lld: more than %lld numbers", path, line,
                            (long long)v->length);
    *at = end + (*end == '\n');
    return DONE;
}

static void make_unit(float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    for (int64_t i = 0; i < n && sum > 0; i++) x[i] = (float)((double)x[i] / sqrt(sum));
}

/* A word and its number, for sorting. */
struct entry {
    const char *word;
    int32_t number;
};

static int by_word(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->word, ((const struct entry *)b)->word);
}

static int sort_words(struct word_vectors *v, const char *path)
{
    struct entry *entries = calloc((size_t)v->count, sizeof *entries);
    const char *twice = NULL;
    if (!entries) return report_error(NO_MEMORY, "out of memory");
    for (int64_t i = 0; i < v->count; i++) entries[i] = (struct entry){v->words[i], (int32_t)i};
    qsort(entries, (size_t)v->count, sizeof *entries, by_word);
    for (int64_t i = 0; i < v->count; i++) {
        v->sorted[i] = entries[i].number;
        if (i > 0 && !strcmp(entries[i - 1].word, entries[i].word)) twice = entries[i].word;
    }
    free(entries);
    if (!twice) return DONE;
    return report_error(BAD_INPUT, "%s: the word '%s' is there twice", path, twice);
}

static int read_rows(struct word_vectors *v, const char *path, char *at)
{
    size_t n = (size_t)v->count;
    v->words = calloc(n, sizeof *v->words);
    v->sorted = calloc(n, sizeof *v->sorted);
    v->values = calloc(n * (size_t)v->length, sizeof *v->values);
    if (!v->words || !v->sorted || !v->values)
        return report_error(NO_MEMORY, "%s: %lld vectors of %lld numbers do not fit in memory",
                            path, (long long)v->count, (long long)v->length);
    for (int64_t i = 0; i < v->count; i++) {
        int code = read_row(v, path, i, &at);
        if (code != DONE) return code;
        make_unit(v->values + i * v->length, v->length);
    }
    if (*at)
        return report_error(BAD_INPUT, "%s: more than the %lld words that line 1 says", path,
                            (long long)v->count);
    return sort_words(v, path);
}

int word_vectors_read(struct word_vectors *v, const char *path)
{
    struct stat info;
    struct run_path inside = {""};
    size_t size = 0;
    char *at = NULL;
    *v = (struct word_vectors){0};
    if (!stat(path, &info) && S_ISDIR(info.st_mode) && strlen(path) < RUN_PATH_SIZE - 32) {
        snprintf(inside.text, sizeof inside.text, "%s/vectors.txt", path);
        path = inside.text;
    }
    int code = read_file(v, path, &size);
    if (code != DONE) return code;
    if (memchr(v->text, 0, size))
        return report_error(BAD_INPUT, "%s: this is no text (word2vec's binary format?)", path);
    code = read_header(v, path, size, &at);
    return code == DONE ? read_rows(v, path, at) : code;
}

void word_vectors_clear(struct word_vectors *v)
{
    free(v->words);
    free(v->values);
    free(v->sorted);
    free(v->text);
    *v = (struct word_vectors){0};
}

/* ---- looking ---- */

static int64_t find_exactly(const struct word_vectors *v, const char *word)
{
    int64_t low = 0, high = v->count - 1;
    while (low <= high) {
        int64_t middle = (low + high) / 2;
        int order = strcmp(word, v->words[v->sorted[middle]]);
        if (order == 0) return v->sorted[middle];
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return -1;
}

int64_t word_vectors_find(const struct word_vectors *v, const char *word)
{
    char lower[512];
    int64_t found = find_exactly(v, word);
    size_t length = strlen(word);
    if (found >= 0 || length >= sizeof lower) return found;
    for (size_t i = 0; i <= length; i++) {
        bool capital = word[i] >= 'A' && word[i] <= 'Z';
        lower[i] = (char)(capital ? word[i] + ('a' - 'A') : word[i]);
    }
    return find_exactly(v, lower);
}

/* Eight sums side by side, in an order that compilers can turn into vectors. */
static float dot(const float *a, const float *b, int64_t n)
{
    enum { LANES = 8 };
    float sums[LANES] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) sums[k] += a[i + k] * b[i + k];
    for (; i < n; i++) rest += a[i] * b[i];
    for (int k = 0; k < LANES; k++) rest += sums[k];
    return rest;
}

static bool is_one_of(int64_t word, const int64_t *list, int n)
{
    for (int i = 0; i < n; i++)
        if (list[i] == word) return true;
    return false;
}

int64_t word_vectors_nearest(const struct word_vectors *v, const float *direction,
                             const int64_t *but, int n, struct near_word *out, int64_t count)
{
    int64_t found = 0;
    for (int64_t word = 0; word < v->count; word++) {
        float cosine = dot(v->values + word * v->length, direction, v->length);
        if (found == count && cosine <= out[found - 1].cosine) continue;
        if (is_one_of(word, but, n)) continue;
        int64_t at = found < count ? found++ : found - 1;
        for (; at > 0 && out[at - 1].cosine < cosine; at--) out[at] = out[at - 1];
        out[at] = (struct near_word){word, cosine};
    }
    return found;
}

void word_vectors_analogy(const struct word_vectors *v, const int64_t abc[3], float *direction)
{
    const float *a = v->values + abc[0] * v->length, *b = v->values + abc[1] * v->length,
                *c = v->values + abc[2] * v->length;
    for (int64_t i = 0; i < v->length; i++) direction[i] = b[i] - a[i] + c[i];
    make_unit(direction, v->length);
}

/* ---- writing ---- */

struct table {
    const float *values;
    int64_t count, length;
    const char *(*word)(const void *user, int64_t number);
    const void *user;
};

static void print_words(FILE *out, const struct table *t)
{
    for (int64_t i = 0; i < t->count; i++) fprintf(out, "%s\n", t->word(t->user, i));
}

static void print_vectors(FILE *out, const struct table *t)
{
    fprintf(out, "%lld %lld\n", (long long)t->count, (long long)t->length);
    for (int64_t i = 0; i < t->count; i++) {
        fputs(t->word(t->user, i), out);
        for (int64_t k = 0; k < t->length; k++)
            fprintf(out, " %.6g", (double)t->values[i * t->length + k]);
        fputc('\n', out);
    }
}

static int write_text(const char *folder, const char *name, const struct table *t,
                      void (*print)(FILE *out, const struct table *t))
{
    struct run_path path;
    struct output_file file;
    if (strlen(folder) > RUN_PATH_SIZE - 100)
        return report_error(FAILED, "%.200s...: the name is too long", folder);
    snprintf(path.text, sizeof path.text, "%.3990s/%.50s", folder, name);
    int code = output_open(&file, path.text);
    if (code != DONE) return code;
    print(file.out, t);
    return output_close(&file);
}

int word_vectors_write(const char *folder, const float *values, int64_t count, int64_t length,
                       const char *(*word)(const void *user, int64_t number), const void *user)
{
    const struct table t = {values, count, length, word, user};
    const clg_array array = {.dtype = CLG_F32, .shape = CLG_SHAPE(count, length), .data = values};
    struct run_path path;
    int code = write_text(folder, "vectors.txt", &t, print_vectors);
    if (code == DONE) code = write_text(folder, "words.txt", &t, print_words);
    if (code != DONE) return code;
    snprintf(path.text, sizeof path.text, "%.4000s/vectors.npy", folder);
    clg_status status = clg_array_write(path.text, &array);
    return status == CLG_OK ? DONE : report_status(status, NULL);
}
