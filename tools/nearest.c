/*
 * cltrain nearest: what vectors of words are good for. Words near a word, the fourth word of an
 * analogy (the one nearest to b - a + c, without these three, as Mikolov et al. 2013 do it), and
 * the share of a file of analogies that comes out right.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"
#include "options.h"
#include "word_vectors.h"

struct nearest_options {
    const char *questions;
    int64_t count;
    bool json;
};

static const struct option_row options[] = {
    {"count", "N", OPTION_COUNT, offsetof(struct nearest_options, count),
     "words to show; default 10"},
    {"questions", "FILE", OPTION_TEXT, offsetof(struct nearest_options, questions),
     "answer the analogies of a file and say how many are right"},
    OPTION_JSON(struct nearest_options),
    OPTION_ROWS_END};

struct nearest {
    const struct nearest_options *given;
    struct word_vectors vectors;
    float *direction;
};

/* ---- words ---- */

static int find_word(const struct nearest *n, const char *word, int64_t *out)
{
    *out = word_vectors_find(&n->vectors, word);
    if (*out >= 0) return DONE;
    return report_error(BAD_INPUT, "'%s' is not among the %" PRId64 " words%s", word,
                        n->vectors.count,
                        suggestion(word, n->vectors.words, (size_t)n->vectors.count));
}

static int print_nearest(const struct nearest *n, const struct near_word *found, int64_t count)
{
    json_t *list = n->given->json ? json_array() : NULL;
    for (int64_t i = 0; i < count; i++) {
        const char *word = n->vectors.words[found[i].word];
        double cosine = (double)found[i].cosine;
        if (list)
            json_array_append_new(
                list, json_pack("{so so}", "word", json_text(word), "cosine", json_number(cosine)));
        else
            printf("%.4f  %s\n", cosine, word);
    }
    return list ? print_json(json_pack("{so}", "nearest", list)) : DONE;
}

/* One word, or a, b and c: a is to b as c is to what? */
static int look(struct nearest *n, int count, char **words)
{
    static struct near_word found[MAX_NEAREST];
    int64_t given[3], shown = n->given->count ? n->given->count : 10;
    int code = DONE;
    if (shown > MAX_NEAREST)
        return report_error(BAD_USAGE, "nearest: --count is at most %d", MAX_NEAREST);
    for (int i = 0; i < count && code == DONE; i++) code = find_word(n, words[i], &given[i]);
    if (code != DONE) return code;
    const float *direction = n->direction;
    if (count == 3)
        word_vectors_analogy(&n->vectors, given, n->direction);
    else
        direction = n->vectors.values + given[0] * n->vectors.length;
    int64_t got = word_vectors_nearest(&n->vectors, direction, given, count, found, shown);
    return print_nearest(n, found, got);
}

/* ---- questions ---- */

struct tally {
    char section[128];
    int64_t right, known, all;
};

static int print_tally(const struct nearest *n, const struct tally *t)
{
    double share = t->known ? (double)t->right / (double)t->known : NAN;
    if (n->given->json)
        return print_json(json_pack("{so sI sI sI so}", "section", json_text(t->section), "right",
                                    (json_int_t)t->right, "known", (json_int_t)t->known,
                                    "questions", (json_int_t)t->all, "accuracy",
                                    json_number(share)));
    printf("%-28s %6" PRId64 " of %6" PRId64 " right", t->section, t->right, t->known);
    if (t->known) printf(", %5.1f %%", 100 * share);
    printf("  (%" PRId64 " of %" PRId64 " questions have unknown words)\n", t->all - t->known,
           t->all);
    return DONE;
}

/* True if the line has four words. */
static bool split(char *line, char *words[4])
{
    char *rest = NULL;
    for (int i = 0; i < 4; i++) words[i] = strtok_r(i ? NULL : line, " \t\r\n", &rest);
    return words[3] && !strtok_r(NULL, " \t\r\n", &rest);
}

/* A question is known if all its words are. */
static void answer(struct nearest *n, char *const words[4], struct tally *t)
{
    int64_t number[4];
    struct near_word best;
    bool known = true;
    for (int i = 0; i < 4; i++) {
        number[i] = word_vectors_find(&n->vectors, words[i]);
        known = known && number[i] >= 0;
    }
    t->all++;
    t->known += known;
    if (!known) return;
    word_vectors_analogy(&n->vectors, number, n->direction);
    int64_t got = word_vectors_nearest(&n->vectors, n->direction, number, 3, &best, 1);
    t->right += got && best.word == number[3];
}

static void add_tally(struct tally *to, const struct tally *t)
{
    to->right += t->right;
    to->known += t->known;
    to->all += t->all;
}

/* Sections begin with ": name". */
static int read_questions(struct nearest *n, FILE *file, struct tally *total)
{
    struct tally section = {.section = "questions"};
    char *line = NULL, *words[4];
    size_t room = 0;
    int code = DONE;
    for (int64_t number = 1; code == DONE && getline(&line, &room, file) >= 0; number++) {
        char *start = line + strspn(line, " \t\r\n");
        if (*start == ':') {
            add_tally(total, &section);
            if (section.all) code = print_tally(n, &section);
            section = (struct tally){0};
            start += 1 + strspn(start + 1, " \t");
            snprintf(section.section, sizeof section.section, "%.*s", (int)strcspn(start, "\r\n"),
                     start);
        } else if (*start && !split(start, words)) {
            code = report_error(BAD_INPUT, "%s, line %" PRId64 ": a question has four words",
                                n->given->questions, number);
        } else if (*start) {
            answer(n, words, &section);
        }
    }
    free(line);
    add_tally(total, &section);
    return code == DONE && section.all ? print_tally(n, &section) : code;
}

static int answer_all(struct nearest *n)
{
    struct tally total = {.section = "total"};
    FILE *file = fopen(n->given->questions, "r");
    if (!file) return report_error(BAD_INPUT, "%s: %s", n->given->questions, strerror(errno));
    int code = read_questions(n, file, &total);
    bool failed = ferror(file);
    fclose(file);
    if (code == DONE && (failed || !total.all))
        return report_error(BAD_INPUT, "%s: no questions in it", n->given->questions);
    return code == DONE ? print_tally(n, &total) : code;
}

static int run(const void *values, int argc, char **argv)
{
    struct nearest n = {.given = values};
    bool questions = n.given->questions;
    if (questions ? argc != 1 : argc != 2 && argc != 4)
        return report_error(BAD_USAGE, "nearest: give vectors and %s",
                            questions ? "no words with --questions" : "one word, or three");
    int code = word_vectors_read(&n.vectors, argv[0]);
    if (code == DONE) {
        n.direction = calloc((size_t)n.vectors.length, sizeof *n.direction);
        if (!n.direction) code = report_error(NO_MEMORY, "out of memory");
    }
    if (code == DONE) code = questions ? answer_all(&n) : look(&n, argc - 1, argv + 1);
    word_vectors_clear(&n.vectors);
    free(n.direction);
    return code;
}

const struct command command_nearest = {
    .name = "nearest",
    .arguments = "VECTORS [WORD | A B C]",
    .summary = "Finds words near a word, or what is to C as B is to A.",
    .details = "VECTORS is a file in the text format of word2vec, or a folder that cltrain "
               "word2vec made. A file\nof questions has four words on each line, and names of "
               "sections after a colon.",
    .options = options,
    .values_size = sizeof(struct nearest_options),
    .max_arguments = 4,
    .run = run,
};
