/*
 * The built-in digits: the same bytes everywhere, parts that differ, balanced classes, and hard
 * enough that a linear classifier stays below 92 %. (That LeNet passes 98 % is tested where the
 * training is.) Also the random numbers they are drawn with.
 */
#include <math.h>

#include "base/random.h"
#include "clgrad/data.h"
#include "io/digits.h"
#include "testing.h"

enum { PIXELS = CLG__DIGIT_PIXELS, CLASSES = 10 };

/* Known answers published with Philox (Random123's kat_vectors). */
START_TEST(philox_gives_the_published_numbers)
{
    static const struct {
        uint64_t key, low, high;
        uint32_t words[4];
    } known[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {~0ull, ~0ull, ~0ull, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822,
         0x85a308d3243f6a88,
         0x0370734413198a2e,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < CLG__COUNT(known); i++) {
        uint32_t words[4];
        clg__philox(known[i].key, known[i].low, known[i].high, words);
        ck_assert_mem_eq(words, known[i].words, sizeof words);
    }
}
END_TEST

START_TEST(random_values_have_their_distribution)
{
    enum { DRAWS = 100000 };
    double uniform = 0, normal = 0, square = 0;
    int counts[7] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint32_t words[4];
        float pair[2];
        clg__philox(3, i, 0, words);
        float u = clg__uniform(words[0]);
        ck_assert(u > 0 && u <= 1);
        clg__normal(words[1], words[2], pair);
        uniform += u;
        normal += pair[0] + pair[1];
        square += pair[0] * pair[0] + pair[1] * pair[1];
        counts[clg__random_below(3, i, 1, 7)]++;
    }
    ck_assert_double_eq_tol(uniform / DRAWS, 0.5, 0.005);
    ck_assert_double_eq_tol(normal / (2 * DRAWS), 0, 0.01);
    ck_assert_double_eq_tol(square / (2 * DRAWS), 1, 0.02);
    for (int i = 0; i < 7; i++) ck_assert_int_lt(abs(counts[i] - DRAWS / 7), 500);
    float extreme[2];
    clg__normal(0, 0, extreme);
    ck_assert(isfinite(extreme[0]) && isfinite(extreme[1]));
    ck_assert_uint_eq(clg__random_below(1, 2, 3, 1), 0);
}
END_TEST

/* Computed on x86-64 with gcc and clang; every machine has to agree. */
START_TEST(the_bytes_are_known)
{
    enum { IMAGES = 1000 };
    clg__hash128 known = {0xe3c6f72c5ddf299a, 0x2c6e209dbb3b45ee};
    uint8_t *images = malloc(IMAGES * (PIXELS + 1));
    for (uint32_t i = 0; i < IMAGES; i++) {
        uint8_t *image = images + i * (PIXELS + 1);
        image[PIXELS] = (uint8_t)clg__digit_draw(1, i, image);
    }
    clg__hash128 hash = clg__hash(images, IMAGES * (PIXELS + 1));
    ck_assert_msg(clg__hash_equal(hash, known), "the hash is 0x%016" PRIx64 ", 0x%016" PRIx64,
                  hash.lo, hash.hi);
    free(images);
}
END_TEST

START_TEST(the_parts_are_balanced_and_differ)
{
    clg_dataset *train = NULL, *test = NULL;
    float a[PIXELS], b[PIXELS];
    int counts[CLASSES] = {0};
    int32_t label;
    TEST_OK(clg_dataset_open(&train, "builtin", CLG_DATA_TRAIN, NULL));
    TEST_OK(clg_dataset_open(&test, "builtin", CLG_DATA_TEST, NULL));
    ck_assert_int_eq(clg_dataset_describe(train)->count, 12000);
    ck_assert_int_eq(clg_dataset_describe(test)->count, 2000);
    ck_assert_int_eq(clg_dataset_describe(test)->classes, CLASSES);
    for (int64_t i = 0; i < 12000; i++) {
        TEST_OK(clg_dataset_read(train, i, a, &label));
        counts[label]++;
    }
    for (int i = 0; i < CLASSES; i++) ck_assert_int_lt(abs(counts[i] - 1200), 150);
    for (int64_t i = 0; i < 100; i++) {
        TEST_OK(clg_dataset_read(train, i, a, &label));
        TEST_OK(clg_dataset_read(test, i, b, &label));
        ck_assert_mem_ne(a, b, sizeof a);
    }
    clg_dataset_destroy(train);
    clg_dataset_destroy(test);
}
END_TEST

START_TEST(any_number_of_images_begins_with_the_same_ones)
{
    clg_dataset *few = NULL, *many = NULL;
    float a[PIXELS], b[PIXELS];
    int32_t label_a, label_b;
    TEST_OK(clg_dataset_open(&few, "builtin", CLG_DATA_TRAIN, clg_dataset_options(.limit = 10)));
    TEST_OK(
        clg_dataset_open(&many, "builtin", CLG_DATA_TRAIN, clg_dataset_options(.limit = 13000)));
    TEST_OK(clg_dataset_read(few, 9, a, &label_a));
    TEST_OK(clg_dataset_read(many, 9, b, &label_b));
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert_int_eq(label_a, label_b);
    clg_dataset_destroy(few);
    clg_dataset_destroy(many);
    few = NULL;
    TEST_FAILS(clg_dataset_open(&few, "builtin", CLG_DATA_TEST, clg_dataset_options(.classes = 3)),
               CLG_ERROR_ARGUMENT, "10 classes, not 3");
    TEST_FAILS(
        clg_dataset_open(&few, "builtin", CLG_DATA_TEST, clg_dataset_options(.limit = INT64_MAX)),
        CLG_ERROR_ARGUMENT, "at most 4294967295");
}
END_TEST

/* ---- a linear classifier: softmax regression by stochastic gradient descent ---- */

typedef struct linear {
    float weight[PIXELS + 1][CLASSES]; /* the last row is the bias */
} linear;

static void scores_of(const linear *m, const float *pixels, float *score)
{
    for (int c = 0; c < CLASSES; c++) score[c] = m->weight[PIXELS][c];
    for (int i = 0; i < PIXELS; i++)
        for (int c = 0; c < CLASSES; c++) score[c] += pixels[i] * m->weight[i][c];
}

static void learn(linear *m, const float *pixels, int32_t label, float rate)
{
    float score[CLASSES], sum = 0, largest = -INFINITY;
    scores_of(m, pixels, score);
    for (int c = 0; c < CLASSES; c++) largest = fmaxf(largest, score[c]);
    for (int c = 0; c < CLASSES; c++) sum += score[c] = expf(score[c] - largest);
    for (int c = 0; c < CLASSES; c++) score[c] = rate * (score[c] / sum - (float)(c == label));
    for (int i = 0; i < PIXELS; i++)
        for (int c = 0; c < CLASSES; c++) m->weight[i][c] -= pixels[i] * score[c];
    for (int c = 0; c < CLASSES; c++) m->weight[PIXELS][c] -= score[c];
}

static double accuracy(const linear *m, const clg_dataset *dataset)
{
    int64_t count = clg_dataset_describe(dataset)->count, right = 0;
    for (int64_t i = 0; i < count; i++) {
        float pixels[PIXELS], score[CLASSES];
        int32_t label, best = 0;
        TEST_OK(clg_dataset_read(dataset, i, pixels, &label));
        scores_of(m, pixels, score);
        for (int c = 1; c < CLASSES; c++)
            if (score[c] > score[best]) best = c;
        right += best == label;
    }
    return (double)right / (double)count;
}

START_TEST(a_linear_classifier_is_not_enough)
{
    enum { EPOCHS = 6 };
    clg_dataset *train = NULL, *test = NULL;
    clg_loader *loader = NULL;
    linear *model = calloc(1, sizeof *model);
    TEST_OK(clg_dataset_open(&train, "builtin", CLG_DATA_TRAIN, NULL));
    TEST_OK(clg_dataset_open(&test, "builtin", CLG_DATA_TEST, NULL));
    TEST_OK(clg_loader_create(&loader, train, clg_loader_options(.shuffle = true)));
    double best = 0;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        clg_batch batch;
        do {
            TEST_OK(clg_loader_next(loader, &batch));
            for (int64_t i = 0; i < batch.count; i++)
                learn(model, batch.features + i * PIXELS, batch.labels[i],
                      0.01f / (float)(1 + epoch));
        } while (!batch.last);
        best = fmax(best, accuracy(model, test));
    }
    printf("linear classifier on the built-in digits: %.1f %%\n", 100 * best);
    ck_assert_double_gt(best, 0.7); /* it did learn */
    ck_assert_double_lt(best, 0.92);
    free(model);
    clg_loader_destroy(loader);
    clg_dataset_destroy(train);
    clg_dataset_destroy(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("digits");
    TCase *random = testing_case(suite, "random");
    tcase_add_test(random, philox_gives_the_published_numbers);
    tcase_add_test(random, random_values_have_their_distribution);
    TCase *images = testing_case(suite, "images");
    tcase_set_timeout(images, 300);
    tcase_add_test(images, the_bytes_are_known);
    tcase_add_test(images, the_parts_are_balanced_and_differ);
    tcase_add_test(images, any_number_of_images_begins_with_the_same_ones);
    tcase_add_test(images, a_linear_classifier_is_not_enough);
    return testing_run(suite);
}
