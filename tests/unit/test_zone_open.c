/* Time zones: TZif data and names, and what is refused with which words. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "zone_test.h"

/* --- TZif data */

/* Europe/Berlin of a few years, as a slim file has it. */
#define TZIF_BYTES 256
typedef struct tzif {
    unsigned char bytes[TZIF_BYTES];
    size_t len;
} tzif;

static void put_bytes(tzif *data, const void *bytes, size_t len)
{
    assert_true(data->len + len <= TZIF_BYTES);
    memcpy(data->bytes + data->len, bytes, len);
    data->len += len;
}

static void put_number(tzif *data, uint64_t number, int bytes)
{
    while (bytes-- > 0) {
        unsigned char byte = (unsigned char)(number >> (8 * bytes));
        put_bytes(data, &byte, 1);
    }
}

static void put_header(tzif *data, char version, uint32_t leaps, uint32_t times, uint32_t types,
                       uint32_t names)
{
    put_bytes(data, "TZif", 4);
    put_bytes(data, &version, 1);
    for (int i = 0; i < 15; i++)
        put_number(data, 0, 1);
    put_number(data, 0, 4);
    put_number(data, 0, 4);
    put_number(data, leaps, 4);
    put_number(data, times, 4);
    put_number(data, types, 4);
    put_number(data, names, 4);
}

static void put_block(tzif *data, int time_bytes)
{
    put_number(data, 1679792400, time_bytes); /* 2023-03-26 01:00 UTC */
    put_number(data, 1698541200, time_bytes); /* 2023-10-29 01:00 UTC */
    put_bytes(data, "\1\0", 2);
    put_number(data, 3600, 4);
    put_bytes(data, "\0\0", 2);
    put_number(data, 7200, 4);
    put_bytes(data, "\1\4", 2);
    put_bytes(data, "CET\0CEST\0", 9);
}

#define SECOND_HEADER (44 + 7)
#define TIMES (SECOND_HEADER + 44)
#define TYPE_OF (TIMES + 16)
#define TYPES (TYPE_OF + 2)
#define NAMES (TYPES + 12)
#define FOOTER (NAMES + 9)

static void make_tzif(tzif *data)
{
    data->len = 0;
    put_header(data, '2', 0, 0, 1, 1);
    put_number(data, 0, 7);
    put_header(data, '2', 0, 2, 2, 9);
    put_block(data, 8);
    put_bytes(data, "\n", 1);
    put_bytes(data, berlin_rule, sizeof berlin_rule - 1);
    put_bytes(data, "\n", 1);
}

/* From a copy that ends where its memory ends, so that a sanitizer sees what is read too much. */
static sc_status read_tzif(const void *bytes, size_t len)
{
    char *copy = (char *)malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    sci_zone_close(&zone);
    sc_status status = sci_zone_read(&zone, &memory.table, sc_bytes(copy, len));
    free(copy);
    return status;
}

static void data_is_read_and_its_footer_goes_on(void **state)
{
    (void)state;
    tzif data;
    make_tzif(&data);
    assert_int_equal(data.len, FOOTER + sizeof berlin_rule + 1);
    for (char version = '2'; version <= '5'; version++) {
        data.bytes[4] = data.bytes[SECOND_HEADER + 4] = (unsigned char)version;
        assert_int_equal(read_tzif(data.bytes, data.len), SC_OK);
        assert_int_equal(offset_at(-SCI_ZONE_EVER_S / 2), 3600);
        assert_int_equal(offset_at(1679792399), 3600);
        assert_int_equal(offset_at(1679792400), 7200);
        assert_int_equal(offset_at(1698541199), 7200);
        assert_int_equal(offset_at(1698541200), 3600);
        assert_int_equal(offset_at(1720000000), 7200); /* by the footer */
    }
}

static void without_a_footer_the_last_transition_stays(void **state)
{
    (void)state;
    tzif data;
    data.len = 0;
    put_header(&data, '\0', 0, 2, 2, 9); /* version 1 has none */
    put_block(&data, 4);
    assert_int_equal(read_tzif(data.bytes, data.len), SC_OK);
    assert_int_equal(offset_at(1698541199), 7200);
    assert_int_equal(offset_at(1720000000), 3600);

    make_tzif(&data);
    data.bytes[FOOTER + 1] = '\n';
    assert_int_equal(read_tzif(data.bytes, FOOTER + 2), SC_OK);
    assert_int_equal(offset_at(1698541199), 7200);
    assert_int_equal(offset_at(1720000000), 3600);
}

static void data_that_ends_anywhere_is_refused(void **state)
{
    (void)state;
    tzif data;
    make_tzif(&data);
    for (size_t len = 0; len < data.len; len++) {
        assert_int_equal(read_tzif(data.bytes, len), SC_ERR_ARGUMENT);
        assert_memory_equal(sc_error_text(), "TZif data, byte ", 16);
    }
}

static void wrong_data_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *bytes;
        size_t len;
        const char *words;
    } wrong[19] = {
        {0, "t", 1, "byte 0: there is no header of TZif"},
        {SECOND_HEADER, "t", 1, "byte 51: there is no header of TZif"},
        {36, "\xff\xff\xff\xff", 4, "byte 0: the data ends before what its header announces"},
        {SECOND_HEADER + 32, "\xff\xff\xff\xff", 4, "byte 51: the data ends before"},
        {SECOND_HEADER + 36, "\0\0\0\0", 4, "byte 51: the number of local time types"},
        {SECOND_HEADER + 40, "\0\0\0\0", 4, "byte 51: the abbreviations do not have 1 to 256"},
        {SECOND_HEADER + 28, "\0\0\0\1", 4, "byte 51: it counts leap seconds"},
        {TIMES + 8, "\0\0\0\0\x64\0\0\0", 8, "byte 103: the transitions do not ascend"},
        {TIMES + 8, "\0\0\0\0\x64\x1f\x99\x10", 8, "byte 103: the transitions do not ascend"},
        {TIMES, "\x80\0\0\0\0\0\0\0", 8, "byte 95: a transition is not within 2^59"},
        {TIMES + 8, "\x08\0\0\0\0\0\0\0", 8, "byte 103: a transition is not within 2^59"},
        {TYPE_OF + 1, "\2", 1, "byte 112: a transition is to a type that is not there"},
        {TYPES, "\0\1\x6d\xa0", 4, "byte 113: an offset from UTC is more than"},
        {TYPES + 6, "\x80\0\0\0", 4, "byte 119: an offset from UTC is more than"},
        {TYPES + 4, "\2", 1, "byte 117: whether time is daylight saving time"},
        {TYPES + 11, "\x9", 1, "byte 124: an abbreviation does not end"},
        {NAMES + 8, "x", 1, "byte 124: an abbreviation does not end"},
        {FOOTER, "x", 1, "byte 134: there is no footer"},
        {FOOTER + 4, "_", 1,
         "\"CET_1CEST,M3.5.0,M10.5.0/3\", byte 3: an offset of 0 to 24 hours was"
         " expected, not '_' (in the footer of TZif data)"},
    };
    tzif data;
    for (size_t i = 0; i < SCI_COUNT(wrong); i++) {
        make_tzif(&data);
        memcpy(data.bytes + wrong[i].at, wrong[i].bytes, wrong[i].len);
        if (read_tzif(data.bytes, data.len) != SC_ERR_ARGUMENT)
            fail_msg("was taken: %s", wrong[i].words);
        if (!strstr(sc_error_text(), wrong[i].words))
            fail_msg("\"%s\" is not in \"%s\"", wrong[i].words, sc_error_text());
    }
}

static void larger_data_is_refused_unread(void **state)
{
    (void)state;
    assert_int_equal(sci_zone_read(&zone, &memory.table, sc_bytes("", SCI_ZONE_DATA_BYTES + 1)),
                     SC_ERR_LIMIT);
    assert_non_null(strstr(sc_error_text(), "has 65537 bytes; at most 65536 are read"));
    /* As many transitions as there may be, and one more. */
    static unsigned char data[SCI_ZONE_DATA_BYTES];
    tzif header;
    for (uint32_t count = 2000; count <= 2001; count++) {
        header.len = 0;
        put_header(&header, '\0', 0, count, 1, 4);
        memset(data, 0, sizeof data);
        memcpy(data, header.bytes, header.len);
        for (uint32_t i = 0; i < count; i++)
            data[44 + 4 * i + 2] = (unsigned char)(i >> 8), data[44 + 4 * i + 3] = (unsigned char)i;
        sc_status status = read_tzif(data, 44 + 5 * (size_t)count + 6 + 4);
        assert_int_equal(status, count == 2000 ? SC_OK : SC_ERR_ARGUMENT);
    }
    assert_non_null(strstr(sc_error_text(), "more than 2000 transitions"));
}

/* --- Names */

static void put_file(const char *path, const void *bytes, size_t len)
{
    void *file = NULL;
    size_t count = 0;
    const sc_files *files = &files_in_memory.table;
    assert_int_equal(files->open(files->user, &memory.table, path, SC_FILE_CREATE, &file), SC_OK);
    assert_int_equal(files->append(file, bytes, len, &count), SC_OK);
    files->shut(file);
}

static void use_files_in_memory(void)
{
    tzif data;
    make_tzif(&data);
    put_file(SCI_ZONE_FOLDER "/Europe/Berlin", data.bytes, data.len);
    put_file(SCI_ZONE_FOLDER "/EST5EDT", data.bytes, data.len);
    put_file("/etc/zone", data.bytes, data.len);
    put_file("/my/Berlin", data.bytes, data.len);
    source.files = &files_in_memory.table;
}

static void assert_is_berlin(void)
{
    assert_int_equal(offset_at(1720000000), 7200);
    assert_int_equal(offset_at(1730000000 + 30 * SCI_DAY_S), 3600);
}

static void a_name_is_a_file_of_the_folder(void **state)
{
    (void)state;
    use_files_in_memory();
    open_zone("Europe/Berlin");
    assert_is_berlin();
    open_zone("EST5EDT"); /* although it begins like a TZ string */
    assert_is_berlin();
    source.folder = "/my";
    open_zone("Berlin");
    assert_is_berlin();
    open_zone(":/etc/zone");
    assert_is_berlin();
    open_zone("EST5"); /* a TZ string when there is no such file */
    assert_int_equal(offset_at(0), -5 * 3600);
}

static void who_is_outside_stays_outside(void **state)
{
    (void)state;
    static const char *const names[9] = {"/etc/zone",
                                         "../etc/zone",
                                         "Europe/../../etc/zone",
                                         "Europe/..",
                                         "./Europe/Berlin",
                                         "Europe//Berlin",
                                         "Europe/",
                                         ".",
                                         "//"};
    use_files_in_memory();
    size_t opened = files_in_memory.count[DISK_OPEN];
    for (size_t i = 0; i < SCI_COUNT(names); i++)
        assert_refused(names[i], SC_ERR_ARGUMENT, "a path begins with a colon");
    assert_refused("Europe\\Berlin", SC_ERR_ARGUMENT, "byte 6: an offset");
    char name[SCI_ZONE_PATH_BYTES];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_refused(name, SC_ERR_ARGUMENT, "longer than 511 bytes");
    assert_int_equal(files_in_memory.count[DISK_OPEN], opened);
}

static void who_says_utc_plus_is_asked_what_is_meant(void **state)
{
    (void)state;
    static const char *const names[5] = {"UTC+2", "GMT-5", "UTC2", "GMT+05:30", "UTC-10"};
    for (size_t i = 0; i < SCI_COUNT(names); i++)
        assert_refused(names[i], SC_ERR_ARGUMENT, "the other way round");
    open_zone("UTC0");
    open_zone("GMT+0");
    source.tz = "UTC+2"; /* there, all programs take it so */
    open_zone("local");
    assert_int_equal(offset_at(0), -7200);
}

static void without_data_the_words_say_what_to_write(void **state)
{
    (void)state;
    source.files = &files_in_memory.table; /* empty */
    assert_refused("Europe/Berlin", SC_ERR_UNSUPPORTED, "no time zone data in /usr/share/zoneinfo");
    assert_refused("Europe/Berlin", SC_ERR_UNSUPPORTED, berlin_rule);
    source.files = NULL;
    assert_refused("Europe/Berlin", SC_ERR_UNSUPPORTED,
                   "install it (tzdata), or write the zone as "
                   "a POSIX TZ string");
    assert_refused(":/etc/zone", SC_ERR_UNSUPPORTED, "this platform has no files");
    open_zone(berlin_rule);
    assert_is_berlin();
}

static void a_name_that_is_not_there_is_told_from_missing_data(void **state)
{
    (void)state;
    need_zoneinfo();
    assert_refused("Europe/Berlni", SC_ERR_ARGUMENT,
                   "\"Europe/Berlni\": there is none of this name in /usr/share/zoneinfo");
    assert_refused("Etc/GMT+77", SC_ERR_ARGUMENT, "there is none of this name");
    assert_refused(":/nowhere/zone", SC_ERR_ARGUMENT, "there is no time zone file /nowhere/zone");
    assert_refused("zone.tab", SC_ERR_ARGUMENT, "no header of TZif (time zone file");
    assert_refused("Europe", SC_ERR_IO, "zoneinfo/Europe");
    if (access(SCI_ZONE_FOLDER "/right/Europe/Berlin", R_OK) == 0)
        assert_refused("right/Europe/Berlin", SC_ERR_ARGUMENT, "leap seconds");
}

static void local_is_the_zone_of_the_system(void **state)
{
    (void)state;
    use_files_in_memory();
    static const char *const berlin[5] = {"Europe/Berlin", ":Europe/Berlin", "/etc/zone",
                                          ":/etc/zone", berlin_rule};
    for (size_t i = 0; i < SCI_COUNT(berlin); i++) {
        source.tz = berlin[i];
        open_zone("local");
        assert_is_berlin();
    }
    source.tz = "";
    open_zone("local");
    assert_int_equal(offset_at(0), 0);
    source.tz = "local"; /* no word here */
    assert_refused("local", SC_ERR_UNSUPPORTED, "(the environment's TZ)");
    source.tz = "/etc/nozone";
    assert_refused("local", SC_ERR_ARGUMENT, "there is no time zone file /etc/nozone");
    source.tz = NULL; /* without both, as the C library has it */
    open_zone("local");
    assert_int_equal(offset_at(1720000000), 0);
    tzif data;
    make_tzif(&data);
    put_file("/etc/localtime", data.bytes, data.len);
    open_zone("local");
    assert_is_berlin();
    source.files = NULL;
    open_zone("local");
    assert_int_equal(offset_at(1720000000), 0);
}

/* --- What fails */

static void a_large_file_is_not_read(void **state)
{
    (void)state;
    static char large[SCI_ZONE_DATA_BYTES + 1];
    put_file("/large", large, sizeof large);
    source.files = &files_in_memory.table;
    size_t fetched = files_in_memory.count[DISK_FETCH];
    assert_refused(":/large", SC_ERR_LIMIT,
                   "it has 65537 bytes; at most 65536 are read (time zone "
                   "file /large)");
    assert_int_equal(files_in_memory.count[DISK_FETCH], fetched);
    put_file("/empty", "", 0);
    assert_refused(":/empty", SC_ERR_ARGUMENT, "no header of TZif (time zone file /empty)");
}

static void a_disk_that_fails_is_reported(void **state)
{
    (void)state;
    use_files_in_memory();
    for (size_t call = 1; call <= 3; call++) { /* open, size, fetch */
        files_in_memory.fail_mask = DISK_ALL;
        disk_fail(&files_in_memory, DISK_ALL, call, false);
        assert_int_equal(sci_zone_open(&zone, &source, "Europe/Berlin"), SC_ERR_IO);
        disk_fail(&files_in_memory, DISK_ALL, 0, false);
        assert_int_equal(offset_at(1720000000), 0);
    }
}

/* `status` is what comes when none fails. */
static void fail_each_allocation(const char *name, sc_status status)
{
    sci_zone_close(&zone);
    fault_memory_restart_counts(&memory);
    assert_int_equal(sci_zone_open(&zone, &source, name), status);
    size_t requests = memory.requests;
    sci_zone_close(&zone);
    size_t live = memory.live_blocks;
    assert_true(requests >= 2);
    for (size_t i = 1; i <= requests; i++) {
        fault_memory_fail(&memory, i, false);
        assert_int_equal(sci_zone_open(&zone, &source, name), SC_ERR_MEMORY);
        assert_int_equal(memory.live_blocks, live);
    }
    fault_memory_fail(&memory, 0, false);
    assert_int_equal(sci_zone_open(&zone, &source, name), status);
}

static void each_allocation_can_fail(void **state)
{
    (void)state;
    tzif data;
    use_files_in_memory();
    fail_each_allocation("Europe/Berlin", SC_OK);
    assert_is_berlin();
    make_tzif(&data);
    put_file(SCI_ZONE_FOLDER "/UTC", data.bytes, data.len);
    fail_each_allocation("Europe/Berlni", SC_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ZONE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        ZONE_TEST(data_is_read_and_its_footer_goes_on),
        ZONE_TEST(without_a_footer_the_last_transition_stays),
        ZONE_TEST(data_that_ends_anywhere_is_refused),
        ZONE_TEST(wrong_data_is_refused_with_its_place),
        ZONE_TEST(larger_data_is_refused_unread),
        ZONE_TEST(a_name_is_a_file_of_the_folder),
        ZONE_TEST(who_is_outside_stays_outside),
        ZONE_TEST(who_says_utc_plus_is_asked_what_is_meant),
        ZONE_TEST(without_data_the_words_say_what_to_write),
        ZONE_TEST(a_name_that_is_not_there_is_told_from_missing_data),
        ZONE_TEST(local_is_the_zone_of_the_system),
        ZONE_TEST(a_large_file_is_not_read),
        ZONE_TEST(a_disk_that_fails_is_reported),
        ZONE_TEST(each_allocation_can_fail),
    };
    return cmocka_run_group_tests_name("zone_open", tests, NULL, NULL);
}
