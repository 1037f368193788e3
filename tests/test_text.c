/*
 * Texts as data sets: characters and words, vocabularies and their cap, windows and their targets,
 * schemas; what is refused, by line; and the real text where it is at hand.
 */
#include "clgrad/data.h"
#include "scratch.h"

static clg_status open_text(clg_dataset **out, const char *text, const clg_dataset_params *params)
{
    *out = NULL;
    scratch_write("text.txt", text, strlen(text));
    return clg_dataset_open(out, scratch_path("text.txt"), CLG_DATA_TRAIN, params);
}

static clg_dataset *opened(const char *text, const clg_dataset_params *params)
{
    clg_dataset *dataset;
    TEST_OK(open_text(&dataset, text, params));
    return dataset;
}

/* Window `index` spelled out, tokens joined by `separator`, must be `want`; so must its targets. */
static void assert_window(const clg_dataset *dataset, int64_t index, const char *separator,
                          const char *want, const char *want_target)
{
    float features[64];
    int32_t targets[64];
    clg__str text[2] = {{0}};
    TEST_OK(clg_dataset_read(dataset, index, features, targets));
    for (int64_t i = 0; i < clg_dataset_describe(dataset)->sample.dim[0]; i++) {
        clg__str_addf(&text[0], "%s%s", i ? separator : "",
                      clg_dataset_class_name(dataset, (int)features[i]));
        clg__str_addf(&text[1], "%s%s", i ? separator : "",
                      clg_dataset_class_name(dataset, targets[i]));
    }
    ck_assert_str_eq(text[0].text, want);
    ck_assert_str_eq(text[1].text, want_target);
    clg__str_free(&text[0]);
    clg__str_free(&text[1]);
}

START_TEST(characters_are_code_points_in_order)
{
    clg_dataset *dataset = opened("banän a€b\n!", clg_dataset_options(.sequence = 3));
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    ck_assert_int_eq(info->classes, 8);
    ck_assert_int_eq(info->count, 3);
    ck_assert_int_eq(info->storage, CLG_I32);
    ck_assert(info->ordered && info->whole && info->target == CLG_TARGET_CLASSES);
    ck_assert_int_eq(info->target_shape.dim[0], 3);
    static const char *const names[] = {"\n", " ", "!", "a", "b", "n", "ä", "€"};
    for (int i = 0; i < 8; i++) ck_assert_str_eq(clg_dataset_class_name(dataset, i), names[i]);
    assert_window(dataset, 0, "", "ban", "anä");
    assert_window(dataset, 2, "", "a€b", "€b\n");
    clg_loader *loader;
    clg_batch batch;
    TEST_OK(clg_loader_create(&loader, dataset, clg_loader_options(.batch = 2)));
    TEST_OK(clg_loader_next(loader, &batch));
    ck_assert_int_eq(batch.labels[2], 6); /* the last target of the first window */
    ck_assert(batch.features[3] == 6);
    clg_loader_destroy(loader);
    const float zero = 0, one = 1;
    TEST_FAILS(clg_dataset_normalize(dataset, 1, &zero, &one), CLG_ERROR_ARGUMENT, "indices");
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(words_are_numbered_by_frequency)
{
    const char text[] = "The cat, the dog. The DON'T-cat 42 Äpfel";
    clg_dataset *dataset = opened(text, clg_dataset_options(.words = true, .sequence = 2));
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, 6);
    ck_assert_str_eq(clg_dataset_class_name(dataset, 0), "the");
    ck_assert_str_eq(clg_dataset_class_name(dataset, 1), "cat");
    assert_window(dataset, 0, " ", "the cat", "cat the");
    assert_window(dataset, 2, " ", "the don't", "don't cat");
    clg_dataset_destroy(dataset);
    dataset = opened(text, clg_dataset_options(.words = true, .sequence = 2, .vocabulary = 3));
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, 3);
    assert_window(dataset, 1, " ", "the <unk>", "<unk> the");
    assert_window(dataset, 2, " ", "the <unk>", "<unk> cat");
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(splits_cut_the_text)
{
    clg_dataset *dataset = opened("abcdefghijklmnopqrstu", clg_dataset_options(.sequence = 2));
    clg_dataset *rest, *held_out;
    TEST_OK(clg_dataset_split(dataset, 0.3, 5, &rest, &held_out));
    ck_assert_int_eq(clg_dataset_describe(rest)->count, 7);
    assert_window(rest, 6, "", "mn", "no");
    assert_window(held_out, 0, "", "op", "pq");
    clg_dataset_destroy(rest);
    clg_dataset_destroy(held_out);
    TEST_OK(clg_dataset_fold(dataset, 5, 1, 5, &rest, &held_out));
    assert_window(held_out, 0, "", "ef", "fg");
    clg_dataset_destroy(rest);
    clg_dataset_destroy(held_out);
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(other_text_has_the_first_ones_vocabulary)
{
    char *schema;
    clg_dataset *dataset = opened("abcabc", clg_dataset_options(.sequence = 2));
    TEST_OK(clg_dataset_schema(dataset, &schema));
    clg_dataset_destroy(dataset);
    dataset = opened("ccb", clg_dataset_options(.schema = schema));
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, 3);
    assert_window(dataset, 0, "", "cc", "cb");
    clg_dataset_destroy(dataset);
    TEST_FAILS(open_text(&dataset, "ab\ncab", clg_dataset_options(.schema = schema)),
               CLG_ERROR_FORMAT, "line 1: '\n' is not in the vocabulary");
    clg_free(schema);
    dataset =
        opened("a a b b c d", clg_dataset_options(.words = true, .sequence = 1, .vocabulary = 3));
    TEST_OK(clg_dataset_schema(dataset, &schema));
    clg_dataset_destroy(dataset);
    dataset = opened("z a b", clg_dataset_options(.schema = schema));
    assert_window(dataset, 0, " ", "<unk>", "a");
    clg_dataset_destroy(dataset);
    clg_free(schema);
}
END_TEST

START_TEST(what_cannot_be_used_is_refused)
{
    clg_dataset *dataset;
    const clg_dataset_params params = {.format = "text", .sequence = 4};
    TEST_FAILS(open_text(&dataset, "abcd", &params), CLG_ERROR_FORMAT,
               "4 tokens, and one sample takes 5");
    TEST_FAILS(open_text(&dataset, "", &params), CLG_ERROR_FORMAT, "0 samples");
    TEST_FAILS(open_text(&dataset, "ab\nc\xff dd", &params), CLG_ERROR_FORMAT,
               "line 2: this is not");
    scratch_write("text.txt", "ab\ncd\0efgh", 10);
    TEST_FAILS(clg_dataset_open(&dataset, scratch_path("text.txt"), CLG_DATA_TRAIN, &params),
               CLG_ERROR_FORMAT, "line 2: this is not");
    TEST_FAILS(open_text(&dataset, "abcdefgh", clg_dataset_options(.sequence = 4, .classes = 7)),
               CLG_ERROR_FORMAT, "8 different characters, but 7 classes");
    TEST_FAILS(open_text(&dataset, "abcdefgh", clg_dataset_options(.sequence = -4)),
               CLG_ERROR_ARGUMENT, "-4 tokens");
    TEST_FAILS(open_text(&dataset, "abcdefgh", clg_dataset_options(.vocabulary = 1)),
               CLG_ERROR_ARGUMENT, "vocabulary of 1");
    dataset = opened("abcdefgh", clg_dataset_options(.sequence = 4, .classes = 20));
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, 20);
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(opening_survives_each_failure)
{
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status = CLG_ERROR_IO, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    uint64_t nth = 0;
    while (status != CLG_OK) {
        clg_dataset *dataset = NULL;
        scratch_write("text.txt", "one two three two", 17);
        clg__fault_set(kind, ++nth, _i & 2, 0);
        status = clg_dataset_open(&dataset, scratch_path("text.txt"), CLG_DATA_TRAIN,
                                  clg_dataset_options(.words = true, .sequence = 2));
        clg__fault_set(kind, 0, false, 0);
        ck_assert_msg(status == CLG_OK || status == expected, "%s", clg_last_error());
        clg_dataset_destroy(dataset);
        ck_assert_int_eq(clg__live_allocations(), 0);
    }
    ck_assert_uint_gt(nth, 3);
}
END_TEST

START_TEST(the_real_text_reads_as_published)
{
    const char *root = getenv("CLGRAD_SHARED_DATA"), *source = getenv("CLGRAD_SOURCE_ROOT");
    char path[1024];
    snprintf(path, sizeof path, "%s%s/text/tinyshakespeare.txt",
             root     ? root
             : source ? source
                      : ".",
             root ? "" : "/../shared/data");
    if (access(path, F_OK) != 0) {
        TEST_SKIP("tiny Shakespeare: no %s (CLGRAD_SHARED_DATA names another place)", path);
        return;
    }
    clg_dataset *dataset = NULL;
    TEST_OK(clg_dataset_open(&dataset, path, CLG_DATA_TRAIN, NULL));
    ck_assert_str_eq(clg_dataset_describe(dataset)->format, "text");
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, 65);
    ck_assert_int_eq(clg_dataset_describe(dataset)->count, 1115393 / 64);
    clg_dataset_destroy(dataset);
    TEST_OK(clg_dataset_open(&dataset, path, CLG_DATA_TRAIN, clg_dataset_options(.words = true)));
    ck_assert_str_eq(clg_dataset_class_name(dataset, 1), "the");
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, 10000);
    clg_dataset_destroy(dataset);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *content = scratch_case(suite, "content");
    tcase_add_test(content, characters_are_code_points_in_order);
    tcase_add_test(content, words_are_numbered_by_frequency);
    tcase_add_test(content, splits_cut_the_text);
    tcase_add_test(content, other_text_has_the_first_ones_vocabulary);
    TCase *damage = scratch_case(suite, "damage");
    tcase_add_test(damage, what_cannot_be_used_is_refused);
    tcase_add_loop_test(damage, opening_survives_each_failure, 0, 4);
    TCase *real = testing_case(suite, "real data");
    tcase_add_test(real, the_real_text_reads_as_published);
    return testing_run(suite);
}
