/*
 * Tables: numbers, words, targets, headers, missing values, schemas; what is refused, by line and
 * column; and the real tables where they are at hand.
 */
#include <math.h>
#include <zlib.h>

#include "clgrad/data.h"
#include "scratch.h"

static const char birds[] = "species,island,bill,mass,sex\n"
                            "Adelie,Dream,39.1,3750,male\n"
                            "Gentoo,Biscoe,46.5,,female\n"
                            "Adelie,Torgersen,40.5,3250,\n"
                            "\n"
                            "Chinstrap,Dream,\"50.0\",3900,male\r\n";

static clg_status open_text(clg_dataset **out, const char *text, const clg_dataset_params *params)
{
    *out = NULL;
    scratch_write("table.csv", text, strlen(text));
    return clg_dataset_open(out, scratch_path("table.csv"), CLG_DATA_TRAIN, params);
}

static clg_dataset *opened(const char *text, const clg_dataset_params *params)
{
    clg_dataset *dataset;
    TEST_OK(open_text(&dataset, text, params));
    return dataset;
}

static void assert_refused(const char *text, const clg_dataset_params *params, const char *message)
{
    clg_dataset *dataset;
    clg_status status = open_text(&dataset, text, params);
    TEST_FAILS(status, status == CLG_ERROR_ARGUMENT ? status : CLG_ERROR_FORMAT, message);
    ck_assert_ptr_null(dataset);
}

/* Row `index` has these features and, if it is not -1, this label. */
static void assert_row(const clg_dataset *dataset, int64_t index, const float *features, int label)
{
    float got[32];
    int32_t target = -1;
    TEST_OK(clg_dataset_read(dataset, index, got, &target));
    int64_t count = clg_dataset_describe(dataset)->sample.dim[0];
    for (int64_t i = 0; i < count; i++)
        ck_assert_msg(got[i] == features[i], "row %d, feature %d: %g instead of %g", (int)index,
                      (int)i, (double)got[i], (double)features[i]);
    ck_assert_int_eq(target, label);
}

/* ---- content ---- */

START_TEST(words_are_one_hot_and_a_target_of_words_is_classes)
{
    clg_dataset *dataset = opened(birds, clg_dataset_options(.target = "species", .ignore = "sex",
                                                             .missing = CLG_MISSING_DROP));
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    ck_assert_int_eq(info->count, 3);
    ck_assert_int_eq(info->classes, 2); /* those of the rows that are used */
    ck_assert_int_eq(info->sample.dim[0], 4);
    ck_assert(info->whole && !info->ordered && info->missing == 0);
    ck_assert_str_eq(info->format, "csv");
    ck_assert_str_eq(clg_dataset_class_name(dataset, 0), "Adelie");
    ck_assert_str_eq(clg_dataset_class_name(dataset, 1), "Chinstrap");
    ck_assert_ptr_null(clg_dataset_class_name(dataset, 9));
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(missing_values_are_refused_dropped_or_filled)
{
    assert_refused(birds, clg_dataset_options(.target = "species"),
                   "table.csv, line 3, column mass: no value");
    assert_refused(birds, clg_dataset_options(.target = "sex", .missing = CLG_MISSING_FILL),
                   "line 4, column sex: no value, which a target needs");
    clg_dataset *dataset =
        opened(birds, clg_dataset_options(.target = "species", .missing = CLG_MISSING_FILL));
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    float features[8];
    int32_t label;
    ck_assert_int_eq(info->count, 4);
    ck_assert_int_eq(info->missing, 1); /* a missing word is no category */
    assert_row(dataset, 0, (float[]){0, 1, 0, 39.1F, 3750, 0, 1}, 0);
    assert_row(dataset, 2, (float[]){0, 0, 1, 40.5F, 3250, 0, 0}, 0);
    assert_row(dataset, 3, (float[]){0, 1, 0, 50, 3900, 0, 1}, 1);
    TEST_FAILS(clg_dataset_read(dataset, 1, features, &label), CLG_ERROR_FORMAT,
               "record 1 has no mass");
    clg_dataset *rest, *held_out;
    TEST_OK(clg_dataset_split(dataset, 0.25, 3, &rest, &held_out));
    TEST_OK(clg_dataset_fill_missing(dataset, dataset));
    assert_row(dataset, 1, (float[]){1, 0, 0, 46.5F, 10900.0F / 3, 1, 0}, 2);
    TEST_OK(clg_dataset_fill_missing(held_out, rest));
    TEST_OK(clg_dataset_fill_missing(rest, rest));
    for (int64_t i = 0; i < 3; i++) TEST_OK(clg_dataset_read(rest, i, features, &label));
    TEST_OK(clg_dataset_read(held_out, 0, features, &label));
    clg_dataset_destroy(rest);
    clg_dataset_destroy(held_out);
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(numbers_are_targets_of_a_regression_or_labels)
{
    const char text[] = "1,2,7\n3,4,0\n-5e-1,6,2\n";
    float features[2], target;
    clg_dataset *dataset = opened(text, NULL);
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    ck_assert_int_eq(info->target, CLG_TARGET_NUMBERS);
    ck_assert_int_eq(info->target_shape.ndim, 1);
    ck_assert_int_eq(info->classes, 0);
    TEST_OK(clg_dataset_read(dataset, 2, features, &target));
    ck_assert(features[0] == -0.5F && features[1] == 6 && target == 2);
    clg_dataset_destroy(dataset);
    dataset = opened(text, clg_dataset_options(.classes = 8));
    assert_row(dataset, 0, (float[]){1, 2}, 7);
    clg_dataset_destroy(dataset);
    assert_refused(text, clg_dataset_options(.classes = 7),
                   "line 1, column 3: the label 7 is outside 0 .. 6");
    dataset = opened(text, clg_dataset_options(.targets = CLG_TARGET_CLASSES));
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, 8);
    clg_dataset_destroy(dataset);
    assert_refused("1,0.5\n2,1\n", clg_dataset_options(.classes = 2), "the label 0.5 is outside");
    dataset = opened(text, clg_dataset_options(.targets = CLG_TARGET_NONE));
    ck_assert_int_eq(clg_dataset_describe(dataset)->target, CLG_TARGET_NONE);
    assert_row(dataset, 1, (float[]){3, 4, 0}, -1);
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(several_targets_by_name_and_number)
{
    clg_dataset *dataset =
        opened("a;b;c;d\n1;2;3;4\n5;6;7;8\n", clg_dataset_options(.target = "d, 2", .ignore = "a"));
    const clg_dataset_info *info = clg_dataset_describe(dataset);
    float feature, targets[2];
    ck_assert_int_eq(info->sample.dim[0], 1);
    ck_assert_int_eq(info->target_shape.dim[0], 2);
    TEST_OK(clg_dataset_read(dataset, 1, &feature, targets));
    ck_assert(feature == 7 && targets[0] == 8 && targets[1] == 6);
    clg_loader *loader;
    clg_batch batch;
    TEST_OK(clg_loader_create(&loader, dataset, clg_loader_options(.batch = 2)));
    TEST_OK(clg_loader_next(loader, &batch));
    ck_assert_ptr_null(batch.labels);
    ck_assert(batch.targets[0] == 4 && batch.targets[1] == 2 && batch.targets[2] == 8);
    clg_loader_destroy(loader);
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(quotes_marks_separators_and_compression)
{
    const char text[] = "\xef\xbb\xbf\"a, \"\"b\"\"\"\tc\n\"1\"\t2\n3\t\"4\"";
    float feature, target;
    clg_dataset *dataset = opened(text, NULL);
    TEST_OK(clg_dataset_read(dataset, 1, &feature, &target));
    ck_assert(feature == 3 && target == 4);
    clg_dataset_destroy(dataset);
    gzFile gz = gzopen(scratch_path("table.csv.gz"), "wb");
    ck_assert_int_eq(gzwrite(gz, text, sizeof text - 1), (int)sizeof text - 1);
    ck_assert_int_eq(gzclose(gz), Z_OK);
    TEST_OK(clg_dataset_open(&dataset, scratch_path("table.csv.gz"), CLG_DATA_TRAIN, NULL));
    TEST_OK(clg_dataset_read(dataset, 0, &feature, &target));
    ck_assert(feature == 1 && target == 2);
    clg_dataset_destroy(dataset);
    scratch_write("plain.data", "1,2,x\n3,4,y\n", 12); /* told by its content */
    TEST_OK(clg_dataset_open(&dataset, scratch_path("plain.data"), CLG_DATA_TRAIN, NULL));
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, 2);
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(numbers_have_a_point_in_any_locale)
{
    float feature, target;
    if (!scratch_comma_locale()) {
        TEST_SKIP("tables in a locale with a decimal comma: none can be made here");
        return;
    }
    clg_dataset *dataset = opened("1.5,2.25\n0.5,1e3\n", NULL);
    TEST_OK(clg_dataset_read(dataset, 0, &feature, &target));
    ck_assert(feature == 1.5F && target == 2.25F);
    clg_dataset_destroy(dataset);
    setlocale(LC_ALL, "C");
}
END_TEST

START_TEST(a_folder_has_parts)
{
    clg_dataset *dataset;
    scratch_write("train.csv", "1,a\n2,b\n3,b\n", 12);
    scratch_write("test.csv", "4,b\n", 4);
    TEST_OK(clg_dataset_open(&dataset, scratch, CLG_DATA_TRAIN, NULL));
    ck_assert_int_eq(clg_dataset_describe(dataset)->count, 3);
    ck_assert(!clg_dataset_describe(dataset)->whole);
    char *schema;
    TEST_OK(clg_dataset_schema(dataset, &schema));
    clg_dataset_destroy(dataset);
    TEST_OK(
        clg_dataset_open(&dataset, scratch, CLG_DATA_TEST, clg_dataset_options(.schema = schema)));
    assert_row(dataset, 0, (float[]){4}, 1); /* b is class 1, as in training */
    clg_dataset_destroy(dataset);
    clg_free(schema);
}
END_TEST

/* ---- schemas ---- */

START_TEST(other_data_is_read_as_the_first_was)
{
    clg_dataset *first =
        opened(birds, clg_dataset_options(.target = "species", .missing = CLG_MISSING_FILL));
    char *schema;
    TEST_OK(clg_dataset_fill_missing(first, first));
    TEST_OK(clg_dataset_schema(first, &schema));
    clg_dataset_destroy(first);
    const clg_dataset_params params = {.schema = schema, .missing = CLG_MISSING_FILL};
    /* Columns in another order, one more, no target: names decide. */
    clg_dataset *dataset =
        opened("mass,sex,note,bill,island\n1,male,x,2,Dream\n,female,y,3,Biscoe\n", &params);
    ck_assert_int_eq(clg_dataset_describe(dataset)->target, CLG_TARGET_NONE);
    assert_row(dataset, 0, (float[]){0, 1, 0, 2, 1, 0, 1}, -1);
    assert_row(dataset, 1, (float[]){1, 0, 0, 3, 10900.0F / 3, 1, 0}, -1);
    clg_dataset_destroy(dataset);
    dataset = opened("species,island,bill,mass,sex\nGentoo,Dream,1,2,male\n", &params);
    assert_row(dataset, 0, (float[]){0, 1, 0, 1, 2, 0, 1}, 2);
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, 3);
    clg_dataset_destroy(dataset);
    assert_refused("mass,sex,island\n1,male,Dream\n", &params, "3 of the 4 columns");
    assert_refused("island,bill,mass,sex\nMoon,1,2,male\n", &params,
                   "line 2, column island: 'Moon' was not among the words");
    assert_refused("species,island,bill,mass,sex\nEmu,Dream,1,2,male\n", &params, "'Emu'");
    clg_free(schema);
    dataset = opened("1,2,x\n3,4,y\n", NULL);
    TEST_OK(clg_dataset_schema(dataset, &schema));
    clg_dataset_destroy(dataset);
    dataset = opened("5,6\n", clg_dataset_options(.schema = schema)); /* by position */
    assert_row(dataset, 0, (float[]){5, 6}, -1);
    clg_dataset_destroy(dataset);
    clg_free(schema);
}
END_TEST

START_TEST(a_damaged_schema_is_refused)
{
    static const char *const bad[][2] = {
        {"", "schema is damaged"},
        {"{\"format\": 3}", "\"format\""},
        {"[]", "no object"},
        {"{\"format\":\"csv\",\"format\":\"csv\"}", "duplicate"},
        {"{\"format\":\"csv\"}", "0 of the 0 columns"},
        {"{\"format\":\"csv\",\"columns\":[{\"name\":\"1\",\"role\":\"feature\",\"words\":[1]},"
         "{\"name\":\"2\",\"role\":\"feature\"}]}",
         "words 0 is no text"},
        {"{\"format\":\"csv\",\"fill\":[1],\"columns\":[{\"name\":\"1\",\"role\":\"feature\"},"
         "{\"name\":\"2\",\"role\":\"feature\"}]}",
         "1 values to fill in, not 2"},
    };
    for (size_t i = 0; i < CLG__COUNT(bad); i++)
        assert_refused("1,2\n3,4\n", clg_dataset_options(.schema = bad[i][0]), bad[i][1]);
}
END_TEST

/* ---- damage ---- */

START_TEST(what_is_wrong_is_named_by_line_and_column)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"a,b,c\n1,2,3\n1,2\n", "table.csv, line 3: 2 fields instead of 3"},
        {"a,b,c\n1,2,3\n1,2,3,4\n", "line 3: 4 fields instead of 3"},
        {"a,b\n1,2\n2,1\n3,x7\n", "line 4, column b: 'x7' is no number"},
        {"a,b\n1,2\n2,1\n3,inf\n", "line 4, column b: inf is too large"},
        {"a,b\n1,2\n2,1\n3,1e39\n", "1e39 is too large"},
        {"a,b\n1,2\n\"2\n2\",3\n3,2\n4,NaN\n", "line 4, column a"},
        {"a,b\n1,2\n2,nan\n", "line 3, column b: no value (missing: fill"},
        {"a,b\n1,2\n\"3,4\n", "ends inside a quoted field"},
        {"a,b\n1,2\n3,4\"5\"\n", "line 3: a quote inside a field"},
        {"a,b\n", "0 samples"},
        {"a,b\n1,\xff\n", "line 2: text that is not UTF-8"},
        {"", "has no rows"},
        {"a\n1\n2\n", "no columns besides the target"},
    };
    for (size_t i = 0; i < CLG__COUNT(bad); i++) assert_refused(bad[i].text, NULL, bad[i].message);
    scratch_write("table.csv", "a,b\n1,\0\n", 8);
    clg_dataset *dataset = NULL;
    TEST_FAILS(clg_dataset_open(&dataset, scratch_path("table.csv"), CLG_DATA_TRAIN, NULL),
               CLG_ERROR_FORMAT, "line 2: a NUL byte");
}
END_TEST

START_TEST(what_does_not_fit_the_question_is_named)
{
    assert_refused(birds, clg_dataset_options(.target = "colour"), "no column 'colour'");
    assert_refused(birds, clg_dataset_options(.target = "6"), "no column '6'");
    assert_refused("1,2\n", clg_dataset_options(.ignore = "x"), "which have no names");
    assert_refused("1,a\n2,b\n3,c\n", clg_dataset_options(.classes = 2),
                   "3 classes in column 2, but 2 are expected");
    assert_refused("1,a\n2,b\n", clg_dataset_options(.targets = CLG_TARGET_NUMBERS), "words");
    assert_refused("1,a,b\n2,b,c\n", clg_dataset_options(.target = "2,3"), "2 target columns");
    clg__str text = {0};
    for (int i = 0; i < 1001; i++) clg__str_addf(&text, "w%d,1\n", i);
    assert_refused(text.text, NULL, "line 1001, column 1: more than 1000 different words");
    clg__str_free(&text);
}
END_TEST

START_TEST(opening_survives_each_failure)
{
    clg__fault_kind kind = _i & 1 ? CLG__FAULT_ALLOC : CLG__FAULT_FILE;
    clg_status status, expected = _i & 1 ? CLG_ERROR_MEMORY : CLG_ERROR_IO;
    uint64_t nth = 0, passed = 1;
    scratch_write("table.csv", birds, sizeof birds - 1);
    while (passed >= nth) { /* libcsv tries again with less when it gets no memory */
        clg_dataset *dataset = NULL;
        char *schema = NULL;
        clg__fault_set(kind, ++nth, _i & 2, 0);
        status =
            clg_dataset_open(&dataset, scratch_path("table.csv"), CLG_DATA_TRAIN,
                             clg_dataset_options(.target = "species", .missing = CLG_MISSING_FILL));
        if (status == CLG_OK) status = clg_dataset_fill_missing(dataset, dataset);
        if (status == CLG_OK) status = clg_dataset_schema(dataset, &schema);
        passed = clg__fault_passed(kind);
        clg__fault_set(kind, 0, false, 0);
        ck_assert_msg(status == CLG_OK || status == expected, "%s", clg_last_error());
        clg_dataset_destroy(dataset);
        clg_free(schema);
        ck_assert_int_eq(clg__live_allocations(), 0);
    }
    ck_assert_uint_gt(nth, 5);
}
END_TEST

START_TEST(random_damage_never_crashes)
{
    uint64_t random = 88172645463325252ull;
    char text[sizeof birds];
    for (int round = 0; round < 2000; round++) {
        clg_dataset *dataset = NULL;
        memcpy(text, birds, sizeof birds);
        for (int i = 0; i < 3; i++)
            text[scratch_random(&random) % (sizeof birds - 1)] = (char)scratch_random(&random);
        scratch_write("table.csv", text, sizeof birds - 1);
        clg_status status =
            clg_dataset_open(&dataset, scratch_path("table.csv"), CLG_DATA_TRAIN,
                             clg_dataset_options(.missing = CLG_MISSING_FILL, .format = "csv"));
        ck_assert_msg(status == CLG_OK || status == CLG_ERROR_FORMAT, "%s", clg_last_error());
        clg_dataset_destroy(dataset);
    }
}
END_TEST

/* ---- real tables ---- */

static clg_dataset *open_shared(const char *name, const clg_dataset_params *params)
{
    const char *root = getenv("CLGRAD_SHARED_DATA"), *source = getenv("CLGRAD_SOURCE_ROOT");
    char path[1024];
    clg_dataset *dataset = NULL;
    if (root)
        snprintf(path, sizeof path, "%s/tabular/%s", root, name);
    else
        snprintf(path, sizeof path, "%s/../shared/data/tabular/%s", source ? source : ".", name);
    if (access(path, F_OK) != 0) {
        TEST_SKIP("%s: no %s (CLGRAD_SHARED_DATA names another place)", name, path);
        return NULL;
    }
    TEST_OK(clg_dataset_open(&dataset, path, CLG_DATA_TRAIN, params));
    return dataset;
}

static void assert_counts(const clg_dataset *dataset, int classes, const int64_t *want)
{
    int64_t counts[8];
    ck_assert_int_eq(clg_dataset_describe(dataset)->classes, classes);
    TEST_OK(clg_dataset_count_classes(dataset, counts));
    for (int c = 0; c < classes; c++) ck_assert_int_eq(counts[c], want[c]);
}

START_TEST(the_real_tables_read_as_published)
{
    clg_dataset *iris = open_shared("iris.data", NULL);
    if (!iris) return;
    clg_channel_stats stats[8];
    float weights[3];
    assert_counts(iris, 3, (int64_t[]){50, 50, 50});
    TEST_OK(clg_dataset_measure(iris, 4, stats));
    ck_assert_double_eq_tol(stats[0].mean, 5.8433, 1e-4);
    ck_assert_double_eq_tol(stats[3].max, 2.5, 1e-6);
    clg_dataset_destroy(iris);
    clg_dataset *penguins = open_shared(
        "penguins.csv", clg_dataset_options(.target = "species", .missing = CLG_MISSING_DROP));
    ck_assert_int_eq(clg_dataset_describe(penguins)->count, 333);
    ck_assert_int_eq(clg_dataset_describe(penguins)->sample.dim[0], 9);
    assert_counts(penguins, 3, (int64_t[]){146, 68, 119});
    TEST_OK(clg_dataset_class_weights(penguins, weights));
    ck_assert_double_eq_tol(weights[1], 333.0 / (3 * 68), 1e-6);
    clg_dataset_destroy(penguins);
    clg_dataset *mpg = open_shared("mpg.csv", clg_dataset_options(.target = "mpg", .ignore = "name",
                                                                  .missing = CLG_MISSING_FILL));
    ck_assert_int_eq(clg_dataset_describe(mpg)->count, 398);
    ck_assert_int_eq(clg_dataset_describe(mpg)->missing, 6);
    ck_assert_int_eq(clg_dataset_describe(mpg)->target, CLG_TARGET_NUMBERS);
    ck_assert_int_eq(clg_dataset_describe(mpg)->sample.dim[0], 9);
    TEST_OK(clg_dataset_fill_missing(mpg, mpg));
    TEST_OK(clg_dataset_measure(mpg, 1, stats));
    clg_dataset_destroy(mpg);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("csv");
    TCase *content = scratch_case(suite, "content");
    tcase_add_test(content, words_are_one_hot_and_a_target_of_words_is_classes);
    tcase_add_test(content, missing_values_are_refused_dropped_or_filled);
    tcase_add_test(content, numbers_are_targets_of_a_regression_or_labels);
    tcase_add_test(content, several_targets_by_name_and_number);
    tcase_add_test(content, quotes_marks_separators_and_compression);
    tcase_add_test(content, numbers_have_a_point_in_any_locale);
    tcase_add_test(content, a_folder_has_parts);
    tcase_add_test(content, other_data_is_read_as_the_first_was);
    TCase *damage = scratch_case(suite, "damage");
    tcase_add_test(damage, a_damaged_schema_is_refused);
    tcase_add_test(damage, what_is_wrong_is_named_by_line_and_column);
    tcase_add_test(damage, what_does_not_fit_the_question_is_named);
    tcase_add_loop_test(damage, opening_survives_each_failure, 0, 4);
    tcase_add_test(damage, random_damage_never_crashes);
    TCase *real = testing_case(suite, "real data");
    tcase_add_test(real, the_real_tables_read_as_published);
    return testing_run(suite);
}
