/*
 * Tuning without measuring: who wins among environment, user's file and shipped defaults; files
 * that are damaged, foreign or of another driver; writing them; and what choices change.
 */
#include "evaluate.h"
#include "scratch.h"

#include "ops/algorithms_cpu.h"
#include "ops/algorithms_gpu.h"
#include "ops/clblast.h"
#include "ops/record.h"
#include "ops/tuning.h"

/* ---- helpers ---- */

static int warnings;
static char warning[1024];

static void count_warning(void *user, clg_log_level level, const char *message)
{
    if (level != CLG_LOG_WARNING) return;
    warnings++;
    snprintf(warning, sizeof warning, "%s", message);
}

static const clg_device_info device = {.platform = "A platform",
                                       .platform_version = "3",
                                       .name = "caf\xc3\xa9 \"9\"",
                                       .driver = "1.2"};

static void use_file(const char *name)
{
    setenv("CLGRAD_TUNING_FILE", scratch_path(name), 1);
}

static void write_text(const char *text)
{
    scratch_write("tuning.json", text, strlen(text));
    use_file("tuning.json");
}

/* What the user's file says to `key`, NULL: nothing; and how many warnings that took. */
static const char *read_choice(const clg_device_info *info, const char *key)
{
    char name[CLG__TUNING_KEY];
    const char *value;
    clg__tuning t;
    warnings = 0;
    clg_log_set(count_warning, NULL);
    clg__tuning_clear(&t);
    clg__tuning_read_file(&t, info);
    clg_log_set(NULL, NULL);
    for (size_t i = 0; clg__tuning_item(&t, CLG_TUNING_USER, i, name, &value); i++)
        if (!strcmp(name, key)) return value;
    return NULL;
}

/* A context that only has tuning: no device is needed to choose. */
static void set_up(clg_context *ctx, clg_engine engine)
{
    *ctx = (clg_context){.info = device, .engine = engine};
    ctx->info.compute_units = 2;
    ctx->info.local_memory = 1 << 20;
    ctx->info.max_work_group = 256;
    ctx->info.type = CLG_DEVICE_GPU;
    TEST_OK(clg__tuning_load(ctx));
}

static void tear_down(clg_context *ctx)
{
    for (size_t i = 0; i < CLG__COUNT(ctx->release_hooks); i++)
        if (ctx->release_hooks[i]) ctx->release_hooks[i](ctx);
}

static const char *value_of(clg_context *ctx, const char *name, const char *class_,
                            clg_tuning_source expected)
{
    const char *value = NULL;
    clg_tuning_source source = CLG_TUNING_JUDGED;
    TEST_OK(clg_tuning_get(ctx, name, class_, &value, &source));
    ck_assert_int_eq(source, expected);
    return value;
}

/* ---- the table ---- */

START_TEST(rows_are_well_formed)
{
    clg_context ctx;
    for (int engine = CLG_ENGINE_CPU; engine <= CLG_ENGINE_GPU; engine++) {
        set_up(&ctx, (clg_engine)engine);
        for (size_t i = 0; i < clg_tunable_count(); i++) {
            clg_tunable t;
            TEST_OK(clg_tunable_query(&ctx, i, &t));
            ck_assert_ptr_nonnull(strchr(t.name, '.'));
            ck_assert_uint_ge(t.n_classes, 1);
            for (size_t v = 0; v < t.n_values; v++)
                for (size_t c = 0; c < t.n_classes; c++) {
                    TEST_OK(clg_tuning_set(&ctx, t.name, t.classes[c], t.values[v]));
                    ck_assert_str_eq(value_of(&ctx, t.name, t.classes[c], CLG_TUNING_USER),
                                     t.values[v]);
                }
        }
        clg_tunable none;
        TEST_FAILS(clg_tunable_query(&ctx, clg_tunable_count(), &none), CLG_ERROR_ARGUMENT,
                   "number");
        tear_down(&ctx);
    }
}
END_TEST

START_TEST(what_is_not_legal_is_named)
{
    clg_context ctx;
    const char *value;
    set_up(&ctx, CLG_ENGINE_CPU);
    TEST_FAILS(clg_tuning_set(&ctx, "tile.length", NULL, "8"), CLG_ERROR_ARGUMENT, "tile.length");
    TEST_FAILS(clg_tuning_set(&ctx, "tile.width", NULL, "9"), CLG_ERROR_ARGUMENT, "16, 8, 4");
    TEST_FAILS(clg_tuning_set(&ctx, "conv2d.algorithm", NULL, "magic"), CLG_ERROR_ARGUMENT, "tile");
    TEST_FAILS(clg_tuning_set(&ctx, "matmul.blocks", "huge", "4"), CLG_ERROR_ARGUMENT, "huge");
    TEST_FAILS(clg_tuning_get(&ctx, "matmul.blocks", NULL, &value, NULL), CLG_ERROR_ARGUMENT,
               "matmul.blocks");
    TEST_FAILS(clg_tuning_set(NULL, "tile.width", NULL, "8"), CLG_ERROR_ARGUMENT, "NULL");
    ck_assert_ptr_null(value_of(&ctx, "tile.width", NULL, CLG_TUNING_JUDGED));
    tear_down(&ctx);
}
END_TEST

/* ---- who wins ---- */

START_TEST(stronger_sources_win)
{
    clg_context ctx;
    setenv("CLGRAD_TUNING", "matmul.blocks/small=2,,conv2d.tile=8x3", 1);
    set_up(&ctx, CLG_ENGINE_CPU);
    unsetenv("CLGRAD_TUNING");
    ck_assert_ptr_null(value_of(&ctx, "matmul.blocks", "large", CLG_TUNING_JUDGED));
    TEST_OK(clg__tuning_choose_list(ctx.tuning, CLG_TUNING_SHIPPED, "matmul.blocks=3"));
    ck_assert_str_eq(value_of(&ctx, "matmul.blocks", "large", CLG_TUNING_SHIPPED), "3");
    TEST_OK(clg_tuning_set(&ctx, "matmul.blocks", NULL, "4"));
    ck_assert_str_eq(value_of(&ctx, "matmul.blocks", "large", CLG_TUNING_USER), "4");
    ck_assert_str_eq(value_of(&ctx, "matmul.blocks", "small", CLG_TUNING_ENVIRONMENT), "2");
    TEST_OK(clg_tuning_set(&ctx, "matmul.blocks", "large", NULL));
    ck_assert_str_eq(value_of(&ctx, "matmul.blocks", "large", CLG_TUNING_SHIPPED), "3");
    ck_assert_str_eq(value_of(&ctx, "conv2d.tile", "all", CLG_TUNING_ENVIRONMENT), "8x3");
    tear_down(&ctx);
}
END_TEST

START_TEST(a_wrong_environment_is_an_error)
{
    static const char *const wrong[][2] = {{"tile.width", "NAME=VALUE"},
                                           {"tile.width=7", "16, 8, 4"},
                                           {"conv2d.blocks/wide=4,a=b", "has the name a"}};
    clg_context *ctx = testing_context();
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_relu(clg_input(g, "x", CLG_F32, CLG_SHAPE(3)));
    clg_program *p = NULL;
    for (size_t i = 0; i < CLG__COUNT(wrong); i++) {
        setenv("CLGRAD_TUNING", wrong[i][0], 1);
        TEST_FAILS(
            clg_program_compile(&p, ctx, g, clg_program_options(.outputs = &x, .n_outputs = 1)),
            CLG_ERROR_ARGUMENT, wrong[i][1]);
        ck_assert_ptr_nonnull(strstr(clg_last_error(), "CLGRAD_TUNING"));
    }
    unsetenv("CLGRAD_TUNING");
    TEST_OK(clg_program_compile(&p, ctx, g, clg_program_options(.outputs = &x, .n_outputs = 1)));
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
}
END_TEST

/* A device that rows know, and one that none does. */
START_TEST(shipped_defaults_are_legal)
{
    clg_device_info known = {.platform = "Portable Computing Language",
                             .name = "cpu-skylake-avx512-AMD EPYC"};
    clg_device_info unknown = {.platform = "something else", .name = "device"};
    clg__tuning t;
    clg__tuning_clear(&t);
    TEST_OK(clg__tuning_choose_list(&t, CLG_TUNING_SHIPPED, clg__tuning_defaults(&known)));
    char key[CLG__TUNING_KEY];
    const char *value;
    ck_assert(clg__tuning_item(&t, CLG_TUNING_SHIPPED, 0, key, &value));
    ck_assert_str_eq(clg__tuning_defaults(&unknown), "");
}
END_TEST

/* ---- the file ---- */

START_TEST(the_path_follows_the_environment)
{
    char path[1024], *home = strdup(getenv("HOME") ? getenv("HOME") : "");
    setenv("HOME", "/home/x", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("CLGRAD_TUNING_FILE");
    TEST_OK(clg_tuning_path(path, sizeof path));
    ck_assert_str_eq(path, "/home/x/.config/clgrad/tuning.json");
    setenv("XDG_CONFIG_HOME", "/etc/x", 1);
    TEST_OK(clg_tuning_path(path, sizeof path));
    ck_assert_str_eq(path, "/etc/x/clgrad/tuning.json");
    TEST_FAILS(clg_tuning_path(path, 5), CLG_ERROR_ARGUMENT, "longer than 4");
    setenv("CLGRAD_TUNING_FILE", "here.json", 1);
    TEST_OK(clg_tuning_path(path, sizeof path));
    ck_assert_str_eq(path, "here.json");
    setenv("CLGRAD_TUNING_FILE", "", 1);
    TEST_OK(clg_tuning_path(path, sizeof path));
    ck_assert_str_eq(path, "");
    TEST_FAILS(clg_tuning_check_file(), CLG_ERROR_ARGUMENT, "turned off");
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", home, 1);
    free(home);
}
END_TEST

/* Chosen, saved, and read again by the same device, and by no other. */
START_TEST(saved_choices_come_back)
{
    clg_context ctx;
    use_file("new folder/tuning.json");
    set_up(&ctx, CLG_ENGINE_CPU);
    TEST_OK(clg_tuning_check_file());
    TEST_OK(clg_tuning_set(&ctx, "matmul.tile", NULL, "14x2"));
    TEST_OK(clg_tuning_set(&ctx, "conv2d.blocks", "wide", "7"));
    TEST_OK(clg__tuning_choose_list(ctx.tuning, CLG_TUNING_ENVIRONMENT, "tile.width=8"));
    TEST_OK(clg__tuning_choose_list(ctx.tuning, CLG_TUNING_SHIPPED, "conv2d.tile=8x3"));
    TEST_OK(clg_tuning_save(&ctx));
    TEST_OK(clg_tuning_check_file());
    tear_down(&ctx);
    ck_assert_str_eq(read_choice(&device, "matmul.tile"), "14x2");
    ck_assert_str_eq(read_choice(&device, "conv2d.blocks/wide"), "7");
    ck_assert_ptr_null(read_choice(&device, "conv2d.blocks/narrow"));
    ck_assert_ptr_null(read_choice(&device, "tile.width"));
    ck_assert_ptr_null(read_choice(&device, "conv2d.tile"));
    clg_device_info others[] = {device, device, device, device};
    strcpy(others[0].driver, "1.3");
    strcpy(others[1].name, "cafe");
    strcpy(others[2].platform, "B");
    strcpy(others[3].platform_version, "4");
    for (size_t i = 0; i < CLG__COUNT(others); i++) {
        ck_assert_ptr_null(read_choice(&others[i], "matmul.tile"));
        ck_assert_int_eq(warnings, 0);
    }
    set_up(&ctx, CLG_ENGINE_CPU);
    ck_assert_str_eq(value_of(&ctx, "matmul.tile", NULL, CLG_TUNING_USER), "14x2");
    tear_down(&ctx);
}
END_TEST

START_TEST(other_devices_stay_in_the_file)
{
    clg_context ctx;
    use_file("tuning.json");
    for (int i = 0; i < 3; i++) {
        set_up(&ctx, CLG_ENGINE_CPU);
        snprintf(ctx.info.driver, sizeof ctx.info.driver, "%d", i);
        TEST_OK(clg_tuning_set(&ctx, "matmul.blocks", "small", i ? "4" : "3"));
        TEST_OK(clg_tuning_save(&ctx));
        TEST_OK(clg_tuning_set(&ctx, "matmul.blocks", "small", "5"));
        if (i == 1) TEST_OK(clg_tuning_save(&ctx)); /* replaces its own */
        tear_down(&ctx);
    }
    static const char *const expected[] = {"3", "5", "4"};
    for (int i = 0; i < 3; i++) {
        clg_device_info info = device;
        snprintf(info.driver, sizeof info.driver, "%d", i);
        ck_assert_str_eq(read_choice(&info, "matmul.blocks/small"), expected[i]);
    }
    ck_assert_int_eq(scratch_entries("."), 1);
}
END_TEST

#define FILE_OF(version, rest) "{\"format\": \"clgrad tuning\", \"version\": " version ", " rest "}"
#define DEVICES(choices)                                                                           \
    FILE_OF("1",                                                                                   \
            "\"devices\": [3, {\"platform\": \"A platform, 3\", \"device\": \"caf?? \\\"9\\\"\","  \
            " \"driver\": \"1.2\", \"choices\": " choices "}]")

/* What is wrong, what the one warning mentions (NULL: there is none), and what holds all the same.
 */
static const struct bad_file {
    const char *text, *warning, *value;
} bad_files[] = {
    {DEVICES("{\"tile.width\": \"8\"}"), NULL, "8"},
    {DEVICES("{\"tile.width\": \"8\", \"tile.height\": \"8\"}"), "tile.height", "8"},
    {DEVICES("{\"tile.width\": \"8\", \"matmul.tile\": \"1x1\", \"x\": \"y\"}"), "2 entries", "8"},
    {DEVICES("{\"conv2d.blocks/broad\": \"4\", \"tile.width\": \"8\"}"), "broad", "8"},
    {DEVICES("{\"tile.width\": \"3\"}"), "16, 8, 4", NULL},
    {DEVICES("{\"tile.width\": 8}"), "tile.width", NULL},
    {DEVICES("{\"tile.width\": \"8\", \"tile.width\": \"4\"}"), "line 1", NULL},
    {DEVICES("[]"), "choices", NULL},
    {FILE_OF("1", "\"devices\": {}"), "devices", NULL},
    {FILE_OF("2", "\"devices\": []"), "another version", NULL},
    {FILE_OF("1.0", "\"devices\": []"), "another version", NULL},
    {"{\"format\": \"else\"}", "is not a tuning file", NULL},
    {"[1, 2]", "is not a tuning file", NULL},
    {"", "line", NULL},
};

START_TEST(a_damaged_file_costs_one_warning)
{
    const struct bad_file *file = &bad_files[_i];
    write_text(file->text);
    const char *value = read_choice(&device, "tile.width");
    ck_assert_int_eq(warnings, file->warning != NULL);
    if (file->warning)
        ck_assert_msg(strstr(warning, file->warning) != NULL, "%s: %s", file->text, warning);
    ck_assert(file->value ? value && !strcmp(value, file->value) : !value);
}
END_TEST

START_TEST(no_byte_of_a_file_is_trusted)
{
    char text[] = DEVICES("{\"tile.width\": \"8\", \"conv2d.blocks/wide\": \"4\"}");
    const size_t size = sizeof text - 1;
    uint64_t random = 1;
    for (size_t i = 0; i < size; i++) {
        scratch_write("tuning.json", text, i); /* cut off */
        use_file("tuning.json");
        ck_assert_ptr_null(read_choice(&device, "tile.width"));
        ck_assert_int_eq(warnings, 1);
        const char kept = text[i];
        text[i] = (char)scratch_random(&random);
        scratch_write("tuning.json", text, size);
        const char *value = read_choice(&device, "tile.width");
        ck_assert(!value || !strcmp(value, "8") || !strcmp(value, "4"));
        ck_assert_int_le(warnings, 1);
        text[i] = kept;
    }
}
END_TEST

START_TEST(what_is_no_file_is_not_read)
{
    use_file("missing.json");
    ck_assert_ptr_null(read_choice(&device, "tile.width"));
    ck_assert_int_eq(warnings, 0);
    setenv("CLGRAD_TUNING_FILE", scratch, 1); /* a folder */
    ck_assert_ptr_null(read_choice(&device, "tile.width"));
    ck_assert_int_eq(warnings, 1);
    char *large = malloc(300 << 10);
    memset(large, ' ', 300 << 10);
    scratch_write("large.json", large, 300 << 10);
    free(large);
    use_file("large.json");
    ck_assert_ptr_null(read_choice(&device, "tile.width"));
    ck_assert_int_eq(warnings, 1);
    ck_assert_ptr_nonnull(strstr(warning, "more than the limit"));
}
END_TEST

START_TEST(a_folder_that_cannot_be_written_to_is_known_before)
{
    use_file("new/folder/tuning.json");
    TEST_OK(clg_tuning_check_file());
    ck_assert_int_eq(access(scratch_path("new/folder"), W_OK), 0);
    ck_assert_int_eq(chmod(scratch_path("new/folder"), 0500), 0);
    if (geteuid() == 0)
        TEST_SKIP("a read-only folder: root may write to it");
    else
        TEST_FAILS(clg_tuning_check_file(), CLG_ERROR_IO, "new/folder");
}
END_TEST

START_TEST(what_is_not_understood_is_not_replaced)
{
    clg_context ctx;
    size_t size;
    write_text("precious");
    clg_log_set(count_warning, NULL);
    set_up(&ctx, CLG_ENGINE_CPU);
    TEST_FAILS(clg_tuning_check_file(), CLG_ERROR_FORMAT, "not replaced");
    TEST_FAILS(clg_tuning_save(&ctx), CLG_ERROR_FORMAT, "not replaced");
    char *text = scratch_read("tuning.json", &size);
    ck_assert_str_eq(text, "precious");
    free(text);
    write_text(FILE_OF("7", "\"future\": 1"));
    TEST_OK(clg_tuning_check_file());
    TEST_OK(clg_tuning_set(&ctx, "tile.width", NULL, "4"));
    TEST_OK(clg_tuning_save(&ctx));
    ck_assert_str_eq(read_choice(&device, "tile.width"), "4");
    setenv("CLGRAD_TUNING_FILE", "", 1);
    TEST_FAILS(clg_tuning_save(&ctx), CLG_ERROR_ARGUMENT, "turned off");
    tear_down(&ctx);
}
END_TEST

/* The n-th call of the file system or allocation fails: the old file is there, or the new one. */
START_TEST(failures_leave_the_old_file)
{
    for (int kind = 0; kind < 2; kind++)
        for (uint64_t n = 1, reached = 1; reached; n++) {
            clg_context ctx;
            write_text(DEVICES("{\"tile.width\": \"8\"}"));
            set_up(&ctx, CLG_ENGINE_CPU);
            TEST_OK(clg_tuning_set(&ctx, "tile.width", NULL, "4"));
            clg__fault_kind what = kind ? CLG__FAULT_FILE : CLG__FAULT_ALLOC;
            clg__fault_set(what, n, false, 0);
            clg_status status = clg_tuning_save(&ctx);
            reached = clg__fault_passed(what) >= n;
            clg__fault_set(what, 0, false, 0);
            if (!reached) TEST_OK(status);
            const char *value = read_choice(&device, "tile.width");
            ck_assert_ptr_nonnull(value);
            if (status == CLG_OK) ck_assert_str_eq(value, "4");
            ck_assert_int_eq(scratch_entries("."), 1);
            tear_down(&ctx);
        }
}
END_TEST

/* ---- what choices change ---- */

START_TEST(tiles_follow_the_choices)
{
    static const clg__tile_knobs knobs = {CLG__TUNE_MATMUL_TILE, CLG__TUNE_CONV2D_BLOCKS, 5, 12};
    clg_context ctx;
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(1, 8, 8, 64));
    clg_tensor *w = clg_input(g, "w", CLG_F32, CLG_SHAPE(3, 3, 64, 64));
    clg_tensor *wide = clg_conv2d(x, w, NULL);
    set_up(&ctx, CLG_ENGINE_CPU);
    TEST_OK(clg_tuning_set(&ctx, "tile.width", NULL, "8"));
    clg__tile judged = clg__tile_choose(&ctx, &knobs, wide, 0);
    TEST_OK(clg_tuning_set(&ctx, "matmul.tile", NULL, "4x3"));
    TEST_OK(clg_tuning_set(&ctx, "conv2d.blocks", "narrow", "2"));
    clg__tile tile = clg__tile_choose(&ctx, &knobs, wide, 0);
    ck_assert_int_eq(tile.rows, 4);
    ck_assert_int_eq(tile.vectors, 3);
    ck_assert_int_eq(tile.panel, 24);
    ck_assert_int_eq(tile.local_floats, judged.local_floats); /* another class */
    TEST_OK(clg_tuning_set(&ctx, "conv2d.blocks", "wide", "2"));
    tile = clg__tile_choose(&ctx, &knobs, wide, 0);
    ck_assert_int_eq(5 * tile.local_floats / 2, judged.local_floats);
    clg__tile narrow = clg__tile_choose(&ctx, &knobs, wide, 3); /* no need of three vectors */
    ck_assert_int_eq(narrow.panel, 8);
    clg_graph_destroy(g);
    tear_down(&ctx);
}
END_TEST

static clg__gpu_tile tile_for(const clg_context *ctx, int64_t rows, int64_t columns)
{
    return clg__gpu_tile_choose(ctx, CLG__TUNE_MATMUL_LOCAL_TILE, NULL,
                                &(clg__gemm){.batch = 1, .m = rows, .n = columns});
}

START_TEST(local_tiles_follow_the_choices_where_they_fit)
{
    clg_context ctx;
    set_up(&ctx, CLG_ENGINE_GPU);
    TEST_OK(clg_tuning_set(&ctx, "matmul.local_tile", NULL, "64x64"));
    clg__gpu_tile tile = tile_for(&ctx, 4096, 4096);
    ck_assert(tile.m == 64 && tile.n == 64);
    tile = tile_for(&ctx, 4096, 16); /* most of it would be idle */
    ck_assert_int_lt(tile.n, 64);
    tile = tile_for(&ctx, 64, 64); /* and here a unit */
    ck_assert_int_lt(tile.m * tile.n, 64 * 64);
    ctx.info.max_work_group = 64;
    tile = tile_for(&ctx, 4096, 4096);
    ck_assert_int_le(clg__gpu_tile_items(&tile), 64);
    tear_down(&ctx);
}
END_TEST

/* The same layer, recorded and bound at several batch sizes, is always of one class. */
START_TEST(classes_do_not_depend_on_the_batch)
{
    static const int64_t batches[] = {1, 7, 64, 100000};
    clg_context ctx;
    set_up(&ctx, CLG_ENGINE_CPU);
    TEST_OK(clg_tuning_set(&ctx, "matmul.blocks", "small", "2"));
    TEST_OK(clg_tuning_set(&ctx, "matmul.blocks", "medium", "3"));
    TEST_OK(clg_tuning_set(&ctx, "matmul.blocks", "large", "4"));
    for (int64_t units = 16, expected = 2; units <= 16384; units *= 32, expected++)
        for (size_t i = 0; i < CLG__COUNT(batches); i++) {
            clg_graph *g = clg_graph_create(clg_graph_options(.batch = batches[i]));
            clg_tensor *x = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, units));
            clg_tensor *w = clg_input(g, "w", CLG_F32, CLG_SHAPE(units, units));
            clg_tensor *y = clg_matmul(x, w, NULL);
            clg_tensor *dw = clg_matmul(x, y, clg_matmul_options(.transpose_a = true));
            ck_assert_int_eq(clg__tuned_int(&ctx, CLG__TUNE_MATMUL_BLOCKS, y, 0), expected);
            ck_assert_int_eq(clg__tuned_int(&ctx, CLG__TUNE_MATMUL_BLOCKS, dw, 0), expected);
            clg_graph_destroy(g);
        }
    tear_down(&ctx);
}
END_TEST

/* Kernels of a tuned program serve all its batch sizes. */
START_TEST(another_batch_compiles_nothing)
{
    uint64_t compiled, loaded, before;
    setenv("CLGRAD_TUNING", "matmul.tile=6x4,matmul.blocks/small=2,matmul.blocks/medium=7", 1);
    clg_context *ctx = engine_context("cpu");
    clg_graph *g = clg_graph_create(clg_graph_options(.batch = 40));
    array x = array_random(40 * 33, 1), y = {0};
    x.tensor = clg_input(g, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 33));
    clg_tensor *w =
        clg_variable(g, "w", CLG_SHAPE(33, 50), CLG_INIT(.kind = CLG_INIT_NORMAL), true);
    y.tensor = clg_matmul(x.tensor, w, NULL);
    clg_program *p = compile_outputs(ctx, g, (array *[]){&y}, 1);
    unsetenv("CLGRAD_TUNING");
    clg_context_builds(ctx, &before, &loaded);
    ck_assert_uint_gt(before, 0);
    for (int64_t batch = 40; batch > 0; batch /= 3) {
        TEST_OK(clg_program_set_batch(p, batch));
        TEST_OK(clg_program_feed(p, x.tensor, x.data, (size_t)batch * 33 * sizeof(float)));
        TEST_OK(clg_program_run(p));
    }
    clg_context_builds(ctx, &compiled, &loaded);
    ck_assert_uint_eq(compiled, before);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
    free(x.data);
}
END_TEST

/* Steps of a product's program as text, for `ctx`. */
static char *product_steps(clg_context *ctx)
{
    clg_graph *g = clg_graph_create(NULL);
    clg_tensor *a = clg_input(g, "a", CLG_F32, CLG_SHAPE(20, 20));
    array c = {.tensor = clg_matmul(a, a, NULL)};
    clg_program *p = compile_outputs(ctx, g, (array *[]){&c}, 1);
    char *text = clg_program_text(p);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    return text;
}

static void expect_step(clg_context *ctx, const char *algorithm)
{
    char *text = product_steps(ctx);
    ck_assert_msg(strstr(text, algorithm) != NULL, "%s is not in:\n%s", algorithm, text);
    clg_free(text);
}

START_TEST(algorithms_follow_the_choices)
{
    clg_context *ctx = engine_context("cpu");
    expect_step(ctx, "tile");
    TEST_OK(clg_tuning_set(ctx, "matmul.algorithm", NULL, "local"));
    expect_step(ctx, "local");
    setenv("CLGRAD_MATMUL", "tile", 1);
    expect_step(ctx, "tile");
    unsetenv("CLGRAD_MATMUL");
    /* What failed its self-test is not chosen, whoever measured it before. */
    TEST_OK(clg_tuning_set(ctx, "matmul.algorithm", NULL, "clblast"));
    clg_log_set(count_warning, NULL);
    clg__fault_set(CLG__FAULT_OPENCL, 1, false, CL_BUILD_PROGRAM_FAILURE);
    ck_assert(!clg__matmul_clblast_trusted(ctx));
    clg__fault_set(CLG__FAULT_OPENCL, 0, false, 0);
    expect_step(ctx, "tile");
    clg_context_destroy(ctx);
}
END_TEST

/* CLBlast takes every set, and is to be tested again after each. */
START_TEST(clblast_takes_all_sets)
{
    static const clg__tunable_id ids[] = {CLG__TUNE_CLBLAST_XGEMM, CLG__TUNE_CLBLAST_DIRECT};
    clg_context *ctx = engine_context("gpu");
    TEST_OK(clg__tuning_load(ctx));
    unsigned last = clg__clblast_apply_sets(ctx);
    warnings = 0;
    clg_log_set(count_warning, NULL);
    for (size_t k = 0; k < CLG__COUNT(ids); k++) {
        clg_tunable t;
        TEST_OK(clg_tunable_query(ctx, ids[k], &t));
        ck_assert(t.per_process && t.n_values > 1);
        for (size_t i = 0; i < t.n_values; i++) {
            TEST_OK(clg_tuning_set(ctx, t.name, NULL, t.values[i]));
            const unsigned now = clg__clblast_apply_sets(ctx);
            ck_assert_uint_ne(now, last);
            ck_assert_uint_eq(clg__clblast_apply_sets(ctx), now);
            last = now;
        }
    }
    ck_assert_msg(warnings == 0, "%s", warning);
    TEST_OK(clg_tuning_set(ctx, "matmul.xgemm", NULL, "32x32"));
    clg__fault_set(CLG__FAULT_OPENCL, 1, false, CL_OUT_OF_RESOURCES);
    clg__clblast_apply_sets(ctx);
    ck_assert_int_eq(warnings, 1);
    ck_assert_ptr_nonnull(strstr(warning, "keeps its own parameters"));
    clg_log_set(NULL, NULL);
    clg_context_destroy(ctx);
}
END_TEST

static void leave_no_settings(void)
{
    clg_log_set(NULL, NULL);
    setenv("CLGRAD_TUNING_FILE", "", 1);
}

int main(void)
{
    Suite *suite = suite_create("tuning");
    TCase *choices = testing_case(suite, "choices"), *file = scratch_case(suite, "file");
    tcase_add_checked_fixture(file, NULL, leave_no_settings);
    tcase_set_timeout(choices, 120);
    tcase_add_test(choices, rows_are_well_formed);
    tcase_add_test(choices, what_is_not_legal_is_named);
    tcase_add_test(choices, stronger_sources_win);
    tcase_add_test(choices, a_wrong_environment_is_an_error);
    tcase_add_test(choices, shipped_defaults_are_legal);
    tcase_add_test(choices, tiles_follow_the_choices);
    tcase_add_test(choices, local_tiles_follow_the_choices_where_they_fit);
    tcase_add_test(choices, classes_do_not_depend_on_the_batch);
    tcase_add_test(choices, another_batch_compiles_nothing);
    tcase_add_test(choices, algorithms_follow_the_choices);
    tcase_add_test(choices, clblast_takes_all_sets);
    tcase_add_test(file, the_path_follows_the_environment);
    tcase_add_test(file, saved_choices_come_back);
    tcase_add_test(file, other_devices_stay_in_the_file);
    tcase_add_loop_test(file, a_damaged_file_costs_one_warning, 0, (int)CLG__COUNT(bad_files));
    tcase_add_test(file, no_byte_of_a_file_is_trusted);
    tcase_add_test(file, what_is_no_file_is_not_read);
    tcase_add_test(file, a_folder_that_cannot_be_written_to_is_known_before);
    tcase_add_test(file, what_is_not_understood_is_not_replaced);
    tcase_add_test(file, failures_leave_the_old_file);
    return testing_run(suite);
}
