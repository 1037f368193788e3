/*
 * Loader: every sample once an epoch, the order a function of (seed, epoch), exact resuming from
 * any batch, and failures of the thread that come out with their message.
 */
#include <stdatomic.h>
#include <time.h>

#include "clgrad/data.h"
#include "testing.h"

/* Samples of two features, (i, -i), with label i % 3: a batch tells which samples are in it. */
static clg_dataset *numbered(int64_t count)
{
    float *features = calloc((size_t)count, 2 * sizeof *features);
    int32_t *labels = calloc((size_t)count, sizeof *labels);
    for (int64_t i = 0; i < count; i++) {
        features[2 * i] = (float)i;
        features[2 * i + 1] = -(float)i;
        labels[i] = (int32_t)(i % 3);
    }
    clg_array array = {"numbered", CLG_F32, CLG_SHAPE(count, 2), features};
    clg_dataset *dataset = NULL;
    TEST_OK(clg_dataset_from_arrays(&dataset, &array, labels, clg_dataset_options(.classes = 3)));
    free(features);
    free(labels);
    return dataset;
}

/* A loader of `count` numbered samples; it keeps the data set alive. */
static clg_loader *numbered_loader(int64_t count, const clg_loader_params *params)
{
    clg_dataset *dataset = numbered(count);
    clg_loader *loader = NULL;
    TEST_OK(clg_loader_create(&loader, dataset, params));
    clg_dataset_destroy(dataset);
    return loader;
}

/* Takes the next batch, checks that it is whole, and writes which samples it has. */
static clg_batch take(clg_loader *loader, int64_t *samples)
{
    clg_batch batch;
    TEST_OK(clg_loader_next(loader, &batch));
    ck_assert_int_gt(batch.count, 0);
    ck_assert_uint_eq((uintptr_t)batch.features % 128, 0);
    for (int64_t i = 0; i < batch.count; i++) {
        samples[i] = (int64_t)batch.features[2 * i];
        ck_assert(batch.features[2 * i + 1] == -batch.features[2 * i]);
        ck_assert_int_eq(batch.labels[i], samples[i] % 3);
    }
    return batch;
}

/* Takes one epoch from its start; order: which samples came. Returns the number of samples. */
static int64_t take_epoch(clg_loader *loader, int64_t *order)
{
    int64_t count = 0, index = 0;
    clg_batch batch;
    do {
        batch = take(loader, order + count);
        ck_assert_int_eq(batch.index, index++);
        count += batch.count;
    } while (!batch.last);
    ck_assert_int_eq(index, clg_loader_batches(loader));
    return count;
}

START_TEST(without_shuffling_samples_come_in_order_and_the_last_batch_is_partial)
{
    int64_t order[10];
    clg_loader *loader = numbered_loader(10, clg_loader_options(.batch = 4));
    ck_assert_int_eq(clg_loader_batches(loader), 3);
    for (int epoch = 0; epoch < 3; epoch++) {
        ck_assert_int_eq(take_epoch(loader, order), 10);
        for (int i = 0; i < 10; i++) ck_assert_int_eq(order[i], i);
    }
    ck_assert_int_eq(take(loader, order).epoch, 3);
    clg_loader_destroy(loader);
}
END_TEST

START_TEST(drop_last_leaves_out_what_does_not_fill_a_batch)
{
    int64_t order[10];
    clg_loader *loader = numbered_loader(10, clg_loader_options(.batch = 4, .drop_last = true));
    ck_assert_int_eq(clg_loader_batches(loader), 2);
    ck_assert_int_eq(take_epoch(loader, order), 8);
    ck_assert_int_eq(take_epoch(loader, order), 8);
    clg_loader_destroy(loader);
}
END_TEST

START_TEST(a_batch_larger_than_the_data_holds_all_of_it)
{
    int64_t order[10];
    clg_loader *loader = numbered_loader(10, clg_loader_options(.batch = INT64_MAX));
    ck_assert_int_eq(clg_loader_batches(loader), 1);
    ck_assert_int_eq(take_epoch(loader, order), 10);
    clg_loader_destroy(loader);
    loader = numbered_loader(1, NULL);
    ck_assert_int_eq(take_epoch(loader, order), 1);
    clg_loader_destroy(loader);
}
END_TEST

static void assert_permutation(const int64_t *order, int64_t count)
{
    bool seen[200] = {false};
    for (int64_t i = 0; i < count; i++) {
        ck_assert(order[i] >= 0 && order[i] < count && !seen[order[i]]);
        seen[order[i]] = true;
    }
}

START_TEST(shuffling_is_a_permutation_that_seed_and_epoch_decide)
{
    enum { COUNT = 101 };
    int64_t order[2][3][COUNT];
    for (int run = 0; run < 2; run++) {
        clg_loader *loader = numbered_loader(
            COUNT, clg_loader_options(.batch = run ? 7 : 32, .shuffle = true, .seed = 5));
        for (int epoch = 0; epoch < 3; epoch++) {
            ck_assert_int_eq(take_epoch(loader, order[run][epoch]), COUNT);
            assert_permutation(order[run][epoch], COUNT);
        }
        clg_loader_destroy(loader);
    }
    ck_assert_mem_eq(order[0], order[1], sizeof order[0]);
    ck_assert_mem_ne(order[0][0], order[0][1], sizeof order[0][0]);
    clg_loader *other = numbered_loader(COUNT, clg_loader_options(.shuffle = true, .seed = 6));
    take_epoch(other, order[1][0]);
    ck_assert_mem_ne(order[0][0], order[1][0], sizeof order[0][0]);
    clg_loader_destroy(other);
}
END_TEST

/* The order is part of what a checkpoint relies on: it must not change between versions. */
START_TEST(the_order_of_a_seed_is_known)
{
    static const int64_t expected[] = {4, 1, 8, 0, 3, 5, 9, 6, 7, 2};
    int64_t order[10];
    clg_loader *loader = numbered_loader(10, clg_loader_options(.shuffle = true, .seed = 1));
    take_epoch(loader, order);
    for (int i = 0; i < 10; i++) ck_assert_int_eq(order[i], expected[i]);
    clg_loader_destroy(loader);
}
END_TEST

START_TEST(every_sample_gets_to_every_place)
{
    enum { COUNT = 5, EPOCHS = 5000 };
    int places[COUNT][COUNT] = {{0}};
    int64_t order[COUNT];
    clg_loader *loader =
        numbered_loader(COUNT, clg_loader_options(.batch = COUNT, .shuffle = true));
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        take_epoch(loader, order);
        for (int i = 0; i < COUNT; i++) places[i][order[i]]++;
    }
    for (int i = 0; i < COUNT * COUNT; i++) /* 1000 expected, standard deviation 28 */
        ck_assert_int_lt(abs(places[i / COUNT][i % COUNT] - EPOCHS / COUNT), 150);
    clg_loader_destroy(loader);
}
END_TEST

START_TEST(seeking_gives_what_an_uninterrupted_run_gets)
{
    enum { COUNT = 23, BATCH = 5, BATCHES = 5, EPOCHS = 3 };
    int64_t whole[EPOCHS * BATCHES][BATCH] = {{0}}, samples[BATCH];
    clg_loader_params params = {.batch = BATCH, .shuffle = true, .seed = 9, .ahead = 2};
    clg_loader *loader = numbered_loader(COUNT, &params);
    for (int i = 0; i < EPOCHS * BATCHES; i++) take(loader, whole[i]);
    for (int start = EPOCHS * BATCHES - 1; start >= 0; start--) {
        TEST_OK(clg_loader_seek(loader, (uint64_t)(start / BATCHES), start % BATCHES));
        for (int i = start; i < EPOCHS * BATCHES && i < start + 4; i++) {
            clg_batch batch = take(loader, samples);
            ck_assert_uint_eq(batch.epoch, (uint64_t)(i / BATCHES));
            ck_assert_int_eq(batch.index, i % BATCHES);
            ck_assert_mem_eq(samples, whole[i], (size_t)batch.count * sizeof *samples);
        }
    }
    TEST_OK(clg_loader_seek(loader, 0, BATCHES)); /* the end of epoch 0 */
    clg_batch batch = take(loader, samples);
    ck_assert_uint_eq(batch.epoch, 1);
    ck_assert_int_eq(batch.index, 0);
    clg_loader_destroy(loader);
}
END_TEST

START_TEST(a_batch_stays_valid_until_the_next_call)
{
    int64_t samples[4];
    clg_batch kept;
    clg_loader *loader = numbered_loader(100, clg_loader_options(.batch = 4, .ahead = 1));
    for (int i = 0; i < 50; i++) {
        TEST_OK(clg_loader_next(loader, &kept));
        if (i % 10 == 0) nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        for (int k = 0; k < 4; k++) ck_assert(kept.features[2 * k] == (float)(4 * (i % 25) + k));
    }
    take(loader, samples);
    clg_loader_destroy(loader);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    clg_loader *loader = NULL;
    clg_batch batch;
    clg_dataset *dataset = numbered(10);
    TEST_FAILS(clg_loader_create(NULL, dataset, NULL), CLG_ERROR_ARGUMENT, "NULL");
    TEST_FAILS(clg_loader_create(&loader, NULL, NULL), CLG_ERROR_ARGUMENT, "NULL");
    TEST_FAILS(clg_loader_create(&loader, dataset, clg_loader_options(.batch = -1)),
               CLG_ERROR_ARGUMENT, "batch -1");
    TEST_FAILS(clg_loader_create(&loader, dataset, clg_loader_options(.ahead = 65)),
               CLG_ERROR_ARGUMENT, "ahead = 65");
    TEST_FAILS(
        clg_loader_create(&loader, dataset, clg_loader_options(.batch = 11, .drop_last = true)),
        CLG_ERROR_ARGUMENT, "10 samples");
    ck_assert_ptr_null(loader);
    TEST_OK(clg_loader_create(&loader, dataset, clg_loader_options(.batch = 3)));
    TEST_FAILS(clg_loader_seek(loader, 0, 5), CLG_ERROR_ARGUMENT, "batch 5 of an epoch of 4");
    TEST_FAILS(clg_loader_seek(loader, 0, -1), CLG_ERROR_ARGUMENT, "batch -1");
    TEST_FAILS(clg_loader_seek(NULL, 0, 0), CLG_ERROR_ARGUMENT, "no loader");
    TEST_FAILS(clg_loader_next(NULL, &batch), CLG_ERROR_ARGUMENT, "NULL");
    ck_assert_int_eq(clg_loader_batches(NULL), 0);
    clg_loader_destroy(NULL);
    clg_loader_destroy(loader);
    clg_dataset_destroy(dataset);
}
END_TEST

/* ---- samples from a function ---- */

typedef struct source {
    atomic_int calls;
    _Atomic int64_t bad; /* this sample fails ... */
    clg_status status;   /* ... with this status, or: */
    float feature;       /* the features of the bad sample, and */
    int32_t label;       /* its label */
    bool allocate;       /* takes memory for each sample, as a decoder would */
} source;

static clg_status produce(void *user, int64_t index, float *features, void *target)
{
    source *s = user;
    s->calls++;
    if (s->allocate) {
        void *scratch = clg__alloc(64);
        if (!scratch) return CLG_ERROR_MEMORY;
        clg__free(scratch);
    }
    bool bad = index == s->bad;
    features[0] = bad ? s->feature : (float)index;
    features[1] = -features[0];
    *(int32_t *)target = bad ? s->label : (int32_t)(index % 3);
    return bad ? s->status : CLG_OK;
}

static clg_loader *function_loader(source *s, const clg_loader_params *params)
{
    clg_dataset *dataset = NULL;
    clg_loader *loader = NULL;
    clg_dataset_info info = {
        .source = "produced", .count = 20, .sample = CLG_SHAPE(2), .classes = 3};
    TEST_OK(clg_dataset_from_function(&dataset, produce, s, &info));
    TEST_OK(clg_loader_create(&loader, dataset, params));
    clg_dataset_destroy(dataset);
    return loader;
}

START_TEST(samples_may_come_from_a_function)
{
    source s = {.bad = -1};
    int64_t order[20];
    clg_loader *loader = function_loader(&s, clg_loader_options(.batch = 6, .shuffle = true));
    ck_assert_int_eq(take_epoch(loader, order), 20);
    assert_permutation(order, 20);
    clg_loader_destroy(loader);
}
END_TEST

START_TEST(the_thread_works_ahead_and_then_waits)
{
    source s = {.bad = -1};
    clg_loader *loader = function_loader(&s, clg_loader_options(.batch = 2, .ahead = 3));
    for (int tries = 0; s.calls < 6 && tries < 5000; tries++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    ck_assert_int_eq(s.calls, 6); /* three batches of two, and no more before one is taken */
    clg_loader_destroy(loader);
}
END_TEST

/* Batches 0 and 1 are good, batch 2 fails, again and again, until a seek. */
static void assert_third_batch_fails(source *s, clg_status status, const char *text)
{
    int64_t samples[5];
    clg_batch batch;
    clg_loader *loader = function_loader(s, clg_loader_options(.batch = 5));
    for (int attempt = 0; attempt < 2; attempt++) {
        take(loader, samples);
        take(loader, samples);
        TEST_FAILS(clg_loader_next(loader, &batch), status, text);
        TEST_FAILS(clg_loader_next(loader, &batch), status, text);
        TEST_OK(clg_loader_seek(loader, 0, 0));
    }
    s->bad = -1;
    TEST_OK(clg_loader_seek(loader, 0, 2));
    ck_assert_int_eq(take(loader, samples).index, 2);
    clg_loader_destroy(loader);
}

START_TEST(failures_of_the_thread_come_out_with_their_message)
{
    assert_third_batch_fails(&(source){.bad = 12, .status = CLG_ERROR_IO}, CLG_ERROR_IO,
                             "produced: sample 12 could not be read");
    assert_third_batch_fails(&(source){.bad = 13, .label = 3}, CLG_ERROR_FORMAT,
                             "record 13 has the label 3");
    assert_third_batch_fails(&(source){.bad = 13, .label = -1}, CLG_ERROR_FORMAT, "label -1");
    assert_third_batch_fails(&(source){.bad = 14, .feature = 0.0f / 0.0f}, CLG_ERROR_FORMAT,
                             "record 14 has NaN");
    assert_third_batch_fails(&(source){.bad = 14, .feature = 1.0f / 0.0f}, CLG_ERROR_FORMAT,
                             "record 14 has infinity");
}
END_TEST

START_TEST(an_allocation_that_fails_in_the_thread_is_a_status)
{
    for (uint64_t nth = 1; nth <= 20; nth++) {
        source s = {.bad = -1, .allocate = true};
        int64_t samples[5];
        clg_batch batch;
        clg_status status = CLG_OK;
        clg_loader *loader = function_loader(&s, clg_loader_options(.batch = 5));
        TEST_OK(clg_loader_seek(loader, 0, 0));
        clg__fault_set(CLG__FAULT_ALLOC, nth, true, 0);
        for (int i = 0; i < 20 && status == CLG_OK; i++) status = clg_loader_next(loader, &batch);
        ck_assert_int_eq(status, CLG_ERROR_MEMORY);
        clg__fault_set(CLG__FAULT_ALLOC, 0, false, 0);
        TEST_OK(clg_loader_seek(loader, 0, 0));
        ck_assert_int_eq(take(loader, samples).index, 0);
        clg_loader_destroy(loader);
    }
}
END_TEST

START_TEST(creation_survives_each_failing_allocation)
{
    clg_dataset *dataset = numbered(10);
    clg_loader *loader = NULL;
    for (int sticky = 0; sticky < 2; sticky++) {
        uint64_t nth = 1;
        for (; nth < 100 && !loader; nth++) {
            clg__fault_set(CLG__FAULT_ALLOC, nth, sticky, 0);
            clg_status status =
                clg_loader_create(&loader, dataset, clg_loader_options(.shuffle = true));
            ck_assert(loader ? status == CLG_OK : status == CLG_ERROR_MEMORY);
        }
        ck_assert_uint_gt(nth, 4);
        clg__fault_set(CLG__FAULT_ALLOC, 0, false, 0);
        clg_loader_destroy(loader);
        loader = NULL;
    }
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(what_cannot_fit_in_memory_is_refused)
{
    source s = {.bad = -1};
    clg_dataset *dataset = NULL;
    clg_loader *loader = NULL;
    clg_dataset_info info = {
        .source = "huge", .count = UINT32_MAX, .sample = CLG_SHAPE(1 << 20, 1 << 9), .classes = 3};
    TEST_OK(clg_dataset_from_function(&dataset, produce, &s, &info));
    TEST_FAILS(clg_loader_create(&loader, dataset, clg_loader_options(.batch = UINT32_MAX)),
               CLG_ERROR_MEMORY, "do not fit in memory");
    clg_dataset_destroy(dataset);
}
END_TEST

START_TEST(loaders_come_go_and_seek_at_any_moment)
{
    int64_t samples[4];
    clg_dataset *dataset = numbered(50);
    for (int round = 0; round < 200; round++) {
        clg_loader *a = NULL, *b = NULL;
        clg_loader_params params = {.batch = 4, .shuffle = true, .ahead = 1 + round % 5};
        TEST_OK(clg_loader_create(&a, dataset, &params));
        TEST_OK(clg_loader_create(&b, dataset, &params));
        for (int i = 0; i < round % 7; i++) take(a, samples);
        TEST_OK(clg_loader_seek(b, (uint64_t)round, round % 13));
        ck_assert_int_eq(take(b, samples).index, round % 13);
        clg_loader_destroy(a);
        clg_loader_destroy(b);
    }
    clg_dataset_destroy(dataset);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loader");
    TCase *order = testing_case(suite, "order");
    tcase_add_test(order, without_shuffling_samples_come_in_order_and_the_last_batch_is_partial);
    tcase_add_test(order, drop_last_leaves_out_what_does_not_fill_a_batch);
    tcase_add_test(order, a_batch_larger_than_the_data_holds_all_of_it);
    tcase_add_test(order, shuffling_is_a_permutation_that_seed_and_epoch_decide);
    tcase_add_test(order, the_order_of_a_seed_is_known);
    tcase_add_test(order, every_sample_gets_to_every_place);
    tcase_add_test(order, seeking_gives_what_an_uninterrupted_run_gets);
    tcase_add_test(order, a_batch_stays_valid_until_the_next_call);
    TCase *failures = testing_case(suite, "failures");
    tcase_set_timeout(failures, 120);
    tcase_add_test(failures, bad_arguments_are_refused);
    tcase_add_test(failures, samples_may_come_from_a_function);
    tcase_add_test(failures, the_thread_works_ahead_and_then_waits);
    tcase_add_test(failures, failures_of_the_thread_come_out_with_their_message);
    tcase_add_test(failures, an_allocation_that_fails_in_the_thread_is_a_status);
    tcase_add_test(failures, creation_survives_each_failing_allocation);
    tcase_add_test(failures, what_cannot_fit_in_memory_is_refused);
    tcase_add_test(failures, loaders_come_go_and_seek_at_any_moment);
    return testing_run(suite);
}
