/*
 * Event files: known checksums, a file read back field by field, appending, and failures that leave
 * the file as it was.
 */
#include <math.h>

#include "clgrad/data.h"
#include "scratch.h"

static const clg_event_scalar scalars[] = {{"loss/training", 0.5}, {"größe", -2e-3}};

static clg_status append_one(const char *path, int64_t step)
{
    return clg_events_append(path, 1.5e9, step, scalars, CLG__COUNT(scalars));
}

START_TEST(a_file_is_known_to_the_byte)
{
    /* Records as TensorFlow writes them: lengths, checksums, messages. */
    static const unsigned char expected[] = "\x18\x00\x00\x00\x00\x00\x00\x00"
                                            "\xa3\x7f\x4b\x22"
                                            "\x09\x00\x00\x00\xc0\x0b\x5a\xd6\x41"
                                            "\x1a\x0d"
                                            "brain.Event:2"
                                            "\x4c\xa9\xa4\x64";
    size_t size;
    TEST_OK(append_one(scratch_path("a.tfevents"), 300));
    unsigned char *file = (unsigned char *)scratch_read("a.tfevents", &size);
    ck_assert_mem_eq(file, expected, sizeof expected - 1);
    unsigned char *event = file + 12 + 24 + 4 + 12;
    static const unsigned char message[] = "\x09\x00\x00\x00\xc0\x0b\x5a\xd6\x41"
                                           "\x10\xac\x02"
                                           "\x2a\x26"
                                           "\x0a\x14"
                                           "\x0a\x0d"
                                           "loss/training"
                                           "\x15\0\0\0\x3f"
                                           "\x0a\x0e"
                                           "\x0a\x07"
                                           "gr\xc3\xb6\xc3\x9f"
                                           "e"
                                           "\x15\x6f\x12\x03\xbb";
    ck_assert_mem_eq(event, message, sizeof message - 1);
    ck_assert_uint_eq(size, 12 + 24 + 4 + 12 + sizeof message - 1 + 4);
    free(file);
}
END_TEST

static const char *const reader =
    "import struct, sys\n"
    "def crc(data):\n"
    "    table = [0] * 256\n"
    "    for i in range(256):\n"
    "        c = i\n"
    "        for _ in range(8): c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)\n"
    "        table[i] = c\n"
    "    c = 0xffffffff\n"
    "    for byte in data: c = table[(c ^ byte) & 255] ^ c >> 8\n"
    "    c ^= 0xffffffff\n"
    "    return ((c >> 15 | c << 17) + 0xa282ead8) & 0xffffffff\n"
    "data, count = open(sys.argv[1], 'rb').read(), 0\n"
    "assert crc(b'123456789') == ((0xe3069283 >> 15 | 0xe3069283 << 17) + 0xa282ead8) & "
    "0xffffffff\n"
    "while data:\n"
    "    size, check = struct.unpack('<QI', data[:12])\n"
    "    assert crc(data[:8]) == check, 'length'\n"
    "    assert crc(data[12:12 + size]) == struct.unpack('<I', data[12 + size:16 + size])[0], "
    "'data'\n"
    "    data, count = data[16 + size:], count + 1\n"
    "sys.exit(0 if count == int(sys.argv[2]) else 1)\n";

START_TEST(appending_keeps_what_is_there)
{
    char command[2048];
    size_t size;
    for (int64_t step = 0; step < 4; step++) TEST_OK(append_one(scratch_path("b.tfevents"), step));
    char *file = scratch_read("b.tfevents", &size);
    ck_assert_uint_eq(size, 16 + 24 + 4 * (16 + 51));
    free(file);
    if (system("python3 -c '' 2>/dev/null") != 0) {
        TEST_SKIP("checksums of an event file: no python3");
        return;
    }
    scratch_write("read.py", reader, strlen(reader));
    snprintf(command, sizeof command, "python3 '%s/read.py' '%s/b.tfevents' 5", scratch, scratch);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    clg_event_scalar nameless = {NULL, 1};
    TEST_FAILS(clg_events_append(NULL, 0, 0, scalars, 1), CLG_ERROR_ARGUMENT, "no path");
    TEST_FAILS(clg_events_append("x", 0, 0, NULL, 1), CLG_ERROR_ARGUMENT, "no scalars");
    TEST_FAILS(clg_events_append("x", 0, 0, &nameless, 1), CLG_ERROR_ARGUMENT, "no tag");
    TEST_FAILS(append_one(scratch_path("no/such/place"), 1), CLG_ERROR_IO, "no/such/place");
}
END_TEST

START_TEST(a_failure_leaves_the_file_alone)
{
    clg__fault_kind kind = _i ? CLG__FAULT_FILE : CLG__FAULT_ALLOC;
    clg_status status = CLG_ERROR_IO;
    size_t before, after;
    TEST_OK(append_one(scratch_path("c.tfevents"), 1));
    free(scratch_read("c.tfevents", &before));
    for (uint64_t nth = 1; status != CLG_OK; nth++) {
        clg__fault_set(kind, nth, false, 0);
        status = append_one(scratch_path("c.tfevents"), 2);
        clg__fault_set(kind, 0, false, 0);
        free(scratch_read("c.tfevents", &after));
        ck_assert((after == before) == (status != CLG_OK));
        ck_assert_int_eq(clg__live_allocations(), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("events");
    TCase *events = scratch_case(suite, "events");
    tcase_add_test(events, a_file_is_known_to_the_byte);
    tcase_add_test(events, appending_keeps_what_is_there);
    tcase_add_test(events, bad_arguments_are_refused);
    tcase_add_loop_test(events, a_failure_leaves_the_file_alone, 0, 2);
    return testing_run(suite);
}
