/*
 * Memory layer: transfers, accounting, and refusing before the driver is asked.
 */
#include "memory/buffer.h"
#include "testing.h"

static clg_context *new_context(uint64_t limit)
{
    clg_context *ctx = NULL;
    TEST_OK(clg_context_create(&ctx, clg_context_options(.memory_limit = limit)));
    return ctx;
}

START_TEST(data_goes_in_and_comes_out)
{
    clg_context *ctx = new_context(0);
    clg__buffer *buffer;
    unsigned char in[1023], out[1023];
    for (size_t i = 0; i < sizeof in; i++) in[i] = (unsigned char)(i * 7);
    TEST_OK(clg__buffer_create(&buffer, ctx, sizeof in, "test"));
    TEST_OK(clg__buffer_write(buffer, 0, in, sizeof in));
    TEST_OK(clg__buffer_read(buffer, 0, out, sizeof out));
    ck_assert_mem_eq(in, out, sizeof in);
    TEST_OK(clg__buffer_read(buffer, 1000, out, 23));
    ck_assert_mem_eq(in + 1000, out, 23);
    TEST_OK(clg__buffer_write(buffer, 1023, in, 0));
    clg__buffer_destroy(buffer);
    clg__buffer_destroy(NULL);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(zeros_fill_exactly_the_range)
{
    static const size_t ranges[][2] = {{0, 1024}, {4, 8}, {3, 7}, {128, 256}, {1, 1}, {1022, 2}};
    clg_context *ctx = new_context(0);
    clg__buffer *buffer;
    unsigned char bytes[1024];
    TEST_OK(clg__buffer_create(&buffer, ctx, sizeof bytes, "test"));
    for (size_t r = 0; r < CLG__COUNT(ranges); r++) {
        size_t offset = ranges[r][0], size = ranges[r][1];
        memset(bytes, 0xff, sizeof bytes);
        TEST_OK(clg__buffer_write(buffer, 0, bytes, sizeof bytes));
        TEST_OK(clg__buffer_fill_zero(buffer, offset, size));
        TEST_OK(clg__buffer_read(buffer, 0, bytes, sizeof bytes));
        for (size_t i = 0; i < sizeof bytes; i++)
            ck_assert_uint_eq(bytes[i], i >= offset && i < offset + size ? 0 : 0xff);
    }
    TEST_OK(clg__buffer_fill_zero(buffer, 0, 0));
    clg__buffer_destroy(buffer);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(ranges_outside_are_refused)
{
    clg_context *ctx = new_context(0);
    clg__buffer *buffer;
    char bytes[65] = {0};
    TEST_OK(clg__buffer_create(&buffer, ctx, 64, "test"));
    TEST_FAILS(clg__buffer_write(buffer, 0, bytes, 65), CLG_ERROR_INTERNAL, "64 bytes");
    TEST_FAILS(clg__buffer_read(buffer, 60, bytes, 5), CLG_ERROR_INTERNAL, "offset 60");
    TEST_FAILS(clg__buffer_fill_zero(buffer, SIZE_MAX, 2), CLG_ERROR_INTERNAL, "outside");
    clg__buffer_destroy(buffer);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(use_and_peak_are_counted)
{
    clg_context *ctx = new_context(0);
    clg__buffer *a, *b;
    uint64_t used, peak;
    TEST_OK(clg__buffer_create(&a, ctx, 1000, "a"));
    TEST_OK(clg__buffer_create(&b, ctx, 500, "b"));
    clg__buffer_destroy(a);
    clg_context_memory(ctx, &used, &peak);
    ck_assert_uint_eq(used, 500);
    ck_assert_uint_eq(peak, 1500);
    clg__buffer_destroy(b);
    TEST_OK(clg__buffer_create(&a, ctx, 0, "empty"));
    ck_assert_uint_gt(a->size, 0);
    clg_context_destroy(ctx); /* the buffer keeps it alive */
    TEST_OK(clg__buffer_fill_zero(a, 0, a->size));
    clg__buffer_destroy(a);
}
END_TEST

/* Asking for what does not fit must not reach the driver, which would say yes. */
static void refused(clg_context *ctx, size_t size, const char *text)
{
    clg__buffer *buffer = NULL;
    uint64_t before, after;
    clg_context_memory(ctx, &before, NULL);
    clg__fault_set(CLG__FAULT_OPENCL, 0, false, 0);
    TEST_FAILS(clg__buffer_create(&buffer, ctx, size, "activations"), CLG_ERROR_MEMORY, text);
    ck_assert_uint_eq(clg__fault_passed(CLG__FAULT_OPENCL), 0);
    ck_assert_ptr_nonnull(strstr(clg_last_error(), "activations"));
    ck_assert_ptr_null(buffer);
    clg_context_memory(ctx, &after, NULL);
    ck_assert_uint_eq(before, after);
}

START_TEST(more_than_one_buffer_may_hold_is_refused)
{
    clg_context *ctx = new_context(0);
    refused(ctx, (size_t)ctx->info.max_allocation + 1, "in one buffer");
    refused(ctx, SIZE_MAX, "in one buffer");
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(more_than_the_limit_is_refused)
{
    clg_context *ctx = new_context(1 << 20);
    clg__buffer *a, *b;
    refused(ctx, (1 << 20) + 1, "of the limit of 1.0 MiB");
    TEST_OK(clg__buffer_create(&a, ctx, (1 << 20) - 100, "a"));
    refused(ctx, 101, "101 bytes");
    TEST_OK(clg__buffer_create(&b, ctx, 100, "b"));
    refused(ctx, 1, "in use");
    clg__buffer_destroy(a);
    clg__buffer_destroy(b);
    clg_context_destroy(ctx);
}
END_TEST

START_TEST(a_limit_beyond_the_device_is_the_devices)
{
    clg_context *ctx = new_context(UINT64_MAX);
    ck_assert_uint_eq(ctx->memory_limit, ctx->info.global_memory);
    ctx->info.max_allocation = UINT64_MAX; /* as some drivers claim */
    refused(ctx, (size_t)ctx->info.global_memory + 1, "of the limit of");
    clg_context_destroy(ctx);
}
END_TEST

static clg_status use_a_buffer(clg_context *ctx)
{
    clg__buffer *buffer;
    float value = 1;
    CLG_TRY(clg__buffer_create(&buffer, ctx, 64, "test"));
    clg_status status = clg__buffer_fill_zero(buffer, 0, 64);
    if (status == CLG_OK) status = clg__buffer_write(buffer, 0, &value, sizeof value);
    if (status == CLG_OK) status = clg__buffer_read(buffer, 0, &value, sizeof value);
    clg__buffer_destroy(buffer);
    return status;
}

static void fail_each(clg__fault_kind kind, clg_context *ctx, int code, int expected)
{
    for (uint64_t nth = 1;; nth++) {
        clg__fault_set(kind, nth, false, code);
        clg_status status = use_a_buffer(ctx);
        bool done = clg__fault_passed(kind) < nth;
        clg__fault_set(kind, 0, false, 0);
        ck_assert_int_eq(status, done ? CLG_OK : expected);
        ck_assert_uint_eq(ctx->memory_used, 0);
        if (done) return;
    }
}

START_TEST(failing_calls_leave_the_account_right)
{
    clg_context *ctx = new_context(0);
    fail_each(CLG__FAULT_OPENCL, ctx, -4, CLG_ERROR_MEMORY);
    fail_each(CLG__FAULT_OPENCL, ctx, -36, CLG_ERROR_OPENCL);
    fail_each(CLG__FAULT_OPENCL, ctx, -61, CLG_ERROR_MEMORY);
    fail_each(CLG__FAULT_ALLOC, ctx, 0, CLG_ERROR_MEMORY);
    clg_context_destroy(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *transfers = testing_case(suite, "transfers");
    tcase_add_test(transfers, data_goes_in_and_comes_out);
    tcase_add_test(transfers, zeros_fill_exactly_the_range);
    tcase_add_test(transfers, ranges_outside_are_refused);
    TCase *accounting = testing_case(suite, "accounting");
    tcase_add_test(accounting, use_and_peak_are_counted);
    tcase_add_test(accounting, more_than_one_buffer_may_hold_is_refused);
    tcase_add_test(accounting, more_than_the_limit_is_refused);
    tcase_add_test(accounting, a_limit_beyond_the_device_is_the_devices);
    tcase_add_test(accounting, failing_calls_leave_the_account_right);
    return testing_run(suite);
}
