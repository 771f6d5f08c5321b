/* Time zones: the calendar, what clocks show, and when they show it, as the C library has it; TZ
   strings. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "zone_test.h"

#define YEAR_1900_S (-2208988800)
/* Before 1971 the C library does not apply the rules of TZ strings. */
#define YEAR_1971_S 31536000
#define YEAR_2200_S 7258118400

/* --- The calendar */

static void assert_date_as_the_c_library(int64_t at_s)
{
    time_t at = (time_t)at_s;
    struct tm tm;
    sci_civil civil;
    assert_non_null(gmtime_r(&at, &tm));
    sci_calendar_split(at_s, &civil);
    assert_int_equal(civil.year, tm.tm_year + 1900);
    assert_int_equal(civil.month, tm.tm_mon + 1);
    assert_int_equal(civil.day, tm.tm_mday);
    assert_int_equal(civil.hour, tm.tm_hour);
    assert_int_equal(civil.minute, tm.tm_min);
    assert_int_equal(civil.second, tm.tm_sec);
    assert_int_equal(civil.weekday, tm.tm_wday);
    assert_int_equal(sci_calendar_days(civil.year, civil.month, civil.day),
                     sci_floor_divide(at_s, SCI_DAY_S));
}

/* Every day of 400 years, after which the calendar repeats, and any. */
static void the_calendar_is_that_of_the_c_library(void **state)
{
    (void)state;
    uint64_t random = 1;
    int64_t day = sci_calendar_days(1800, 1, 1);
    for (int64_t end = day + 146097; day < end; day++)
        assert_date_as_the_c_library(day * SCI_DAY_S + draw_between(&random, 0, SCI_DAY_S - 1));
    for (int i = 0; i < 50000; i++)
        assert_date_as_the_c_library(draw_between(&random, -400000000000, 400000000000));
}

static void months_have_their_days(void **state)
{
    (void)state;
    for (int64_t year = -800; year < 2800; year++)
        for (int month = 1; month <= 12; month++)
            assert_int_equal(sci_calendar_month_days(year, month),
                             sci_calendar_days(year + month / 12, month % 12 + 1, 1) -
                                 sci_calendar_days(year, month, 1));
}

/* --- The C library's answers */

static void assert_as_the_c_library(const char *name, int64_t at_s)
{
    time_t at = (time_t)at_s;
    struct tm tm;
    sci_civil civil;
    sci_zone_span span;
    assert_non_null(localtime_r(&at, &tm));
    sci_zone_find(&zone, at_s, &span);
    sci_calendar_split(at_s + span.offset_s, &civil);
    if (span.offset_s != tm.tm_gmtoff || span.is_dst != (tm.tm_isdst > 0) ||
        strcmp(span.name, tm.tm_zone) != 0)
        fail_msg("%s at %lld: %d %d %s, the C library has %ld %d %s", name, (long long)at_s,
                 (int)span.offset_s, span.is_dst, span.name, tm.tm_gmtoff, tm.tm_isdst, tm.tm_zone);
    assert_true(span.begins_s <= at_s && at_s < span.ends_s);
    assert_int_equal(civil.year, tm.tm_year + 1900);
    assert_int_equal(civil.month, tm.tm_mon + 1);
    assert_int_equal(civil.day, tm.tm_mday);
    assert_int_equal(civil.hour * 3600 + civil.minute * 60 + civil.second,
                     tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec);
}

static int64_t c_library_offset(int64_t at_s)
{
    time_t at = (time_t)at_s;
    struct tm tm;
    assert_non_null(localtime_r(&at, &tm));
    return tm.tm_gmtoff;
}

/* Each offset that the C library knows about then is tried. */
static void assert_instants_as_the_c_library(const char *name, int64_t local_s)
{
    int64_t first_s = INT64_MAX, last_s = INT64_MIN;
    for (int64_t hour = -26; hour <= 26; hour += 13) {
        int64_t at_s = local_s - c_library_offset(local_s + hour * 3600);
        if (at_s + c_library_offset(at_s) == local_s) {
            first_s = sci_min_i64(first_s, at_s);
            last_s = sci_max_i64(last_s, at_s);
        }
    }
    sci_zone_instants instants;
    sci_zone_instants_of(&zone, local_s, &instants);
    if (first_s == INT64_MAX) {
        assert_int_equal(instants.shows, SCI_ZONE_NEVER);
        assert_int_equal(instants.first_s, instants.last_s);
        int64_t set_s = instants.first_s;
        assert_true(set_s - 1 + c_library_offset(set_s - 1) < local_s);
        assert_true(set_s + c_library_offset(set_s) > local_s);
        return;
    }
    if (instants.first_s != first_s || instants.last_s != last_s)
        fail_msg("%s shows %lld at %lld and %lld, not at %lld and %lld", name, (long long)local_s,
                 (long long)first_s, (long long)last_s, (long long)instants.first_s,
                 (long long)instants.last_s);
    assert_int_equal(instants.shows, first_s == last_s ? SCI_ZONE_ONCE : SCI_ZONE_AGAIN);
}

/* All changes of the clock, the seconds around each, and the local times there. */
static void assert_changes_as_the_c_library(const char *name, int64_t from_s)
{
    sci_zone_span span, next;
    sci_zone_find(&zone, from_s, &span);
    for (; span.ends_s < YEAR_2200_S; span = next) {
        sci_zone_find(&zone, span.ends_s, &next);
        for (int64_t around = -1; around <= 1; around++)
            assert_as_the_c_library(name, span.ends_s + around);
        int64_t low_s = span.ends_s + sci_min_i64(span.offset_s, next.offset_s);
        int64_t high_s = span.ends_s + sci_max_i64(span.offset_s, next.offset_s);
        const int64_t locals[6] = {low_s - 1,  low_s,  (low_s + high_s) / 2,
                                   high_s - 1, high_s, high_s + 1};
        for (size_t i = 0; i < SCI_COUNT(locals); i++)
            assert_instants_as_the_c_library(name, locals[i]);
    }
}

static void assert_zone_as_the_c_library(const char *name, int64_t from_s, int instants)
{
    uint64_t random = 7;
    use_c_library_zone(name);
    open_zone(name);
    for (int i = 0; i < instants; i++) {
        int64_t at_s = draw_between(&random, from_s, YEAR_2200_S);
        assert_as_the_c_library(name, at_s);
        if (i % 16 == 0)
            assert_instants_as_the_c_library(name, at_s);
    }
    assert_changes_as_the_c_library(name, from_s);
}

static void zones_of_every_kind_are_those_of_the_c_library(void **state)
{
    (void)state;
    static const char *const names[46] = {"Europe/Berlin",
                                          "Europe/London",
                                          "Europe/Dublin",
                                          "Europe/Moscow",
                                          "Europe/Istanbul",
                                          "Europe/Chisinau",
                                          "Europe/Lisbon",
                                          "Europe/Kyiv",
                                          "America/New_York",
                                          "America/Los_Angeles",
                                          "America/St_Johns",
                                          "America/Nuuk",
                                          "America/Scoresbysund",
                                          "America/Sao_Paulo",
                                          "America/Santiago",
                                          "America/Havana",
                                          "America/Caracas",
                                          "America/Adak",
                                          "America/Mexico_City",
                                          "America/Asuncion",
                                          "America/Juneau",
                                          "Africa/Casablanca",
                                          "Africa/Cairo",
                                          "Africa/Monrovia",
                                          "Africa/Windhoek",
                                          "Asia/Kathmandu",
                                          "Asia/Kolkata",
                                          "Asia/Tehran",
                                          "Asia/Gaza",
                                          "Asia/Jerusalem",
                                          "Asia/Tokyo",
                                          "Asia/Pyongyang",
                                          "Asia/Dhaka",
                                          "Asia/Manila",
                                          "Asia/Beirut",
                                          "Australia/Lord_Howe",
                                          "Australia/Sydney",
                                          "Australia/Eucla",
                                          "Antarctica/Troll",
                                          "Pacific/Apia",
                                          "Pacific/Kwajalein",
                                          "Pacific/Chatham",
                                          "Pacific/Kiritimati",
                                          "Pacific/Norfolk",
                                          "Etc/GMT+12",
                                          "EST5EDT"};
    need_zoneinfo();
    size_t compared = 0;
    for (size_t i = 0; i < SCI_COUNT(names); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, SCI_ZONE_FOLDER "/%s", names[i]);
        if (access(path, R_OK) != 0)
            continue; /* systems leave out old names, and lack new ones */
        assert_zone_as_the_c_library(names[i], YEAR_1900_S, 4000);
        compared++;
    }
    assert_true(compared > SCI_COUNT(names) - 5);
}

static void tz_strings_mean_what_they_mean_to_the_c_library(void **state)
{
    (void)state;
    static const char *const texts[18] = {berlin_rule,
                                          "EST5EDT,M3.2.0,M11.1.0",
                                          "AEST-10AEDT,M10.1.0,M4.1.0/3",
                                          "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
                                          "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
                                          "IST-2IDT,M3.4.4/26,M10.5.0",
                                          "EET-2EEST,M3.4.4/50,M10.4.4/50",
                                          "IST-1GMT0,M10.5.0,M3.5.0/1",
                                          "NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01",
                                          "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45",
                                          "AAA-3:30BBB,J60/0:30:15,300/3",
                                          "AAA4BBB,59,J305",
                                          "AAA+4BBB+2:30,J59/1,J60/1",
                                          "<+00>0<+02>-2,M3.5.0/1,M10.5.0/3",
                                          "ABC24",
                                          "XYZ-24:59:59",
                                          "<+0545>-5:45",
                                          "UTC0"};
    for (size_t i = 0; i < SCI_COUNT(texts); i++)
        assert_zone_as_the_c_library(texts[i], YEAR_1971_S, 3000);
}

/* So before 1970, where the C library does not tell. */
static void a_rule_repeats_with_the_calendar(void **state)
{
    (void)state;
    static const char *const texts[4] = {berlin_rule, "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
                                         "AEST-10AEDT,M10.1.0,M4.1.0/3",
                                         "AAA-3:30BBB,J60/0:30:15,300/3"};
    const int64_t cycle_s = (int64_t)146097 * SCI_DAY_S;
    uint64_t random = 11;
    for (size_t i = 0; i < SCI_COUNT(texts); i++) {
        open_zone(texts[i]);
        for (int j = 0; j < 20000; j++) {
            int64_t at_s = draw_between(&random, -cycle_s, 0);
            assert_int_equal(offset_at(at_s), offset_at(at_s + cycle_s));
        }
    }
}

/* --- What is fixed */

static void utc_is_the_default(void **state)
{
    (void)state;
    const char *const names[4] = {NULL, "", "UTC", "Z"};
    source.files = NULL;
    for (size_t i = 0; i < SCI_COUNT(names); i++) {
        sci_zone_span span;
        open_zone(names[i]);
        sci_zone_find(&zone, 1700000000, &span);
        assert_int_equal(span.offset_s, 0);
        assert_false(span.is_dst);
        assert_string_equal(span.name, "UTC");
        assert_int_equal(span.begins_s, -SCI_ZONE_EVER_S);
        assert_int_equal(span.ends_s, SCI_ZONE_EVER_S);
    }
}

static void an_offset_needs_no_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t offset_s;
    } offsets[6] = {{"+02", 7200},     {"+02:00", 7200},  {"-0330", -12600},
                    {"+05:45", 20700}, {"-00:30", -1800}, {"+24:59", 89940}};
    source.files = NULL;
    for (size_t i = 0; i < SCI_COUNT(offsets); i++) {
        sci_zone_span span;
        open_zone(offsets[i].text);
        sci_zone_find(&zone, 0, &span);
        assert_int_equal(span.offset_s, offsets[i].offset_s);
        assert_string_equal(span.name, offsets[i].text);
    }
    static const char *const wrong[9] = {"+",     "+2",      "+2:00",   "+25",   "+02:60",
                                         "+02:0", "+02:000", "+02:00x", "-0x:00"};
    for (size_t i = 0; i < SCI_COUNT(wrong); i++)
        assert_refused(wrong[i], SC_ERR_ARGUMENT, "+02, +0530 or -03:30");
}

static void daylight_saving_time_can_last_all_year(void **state)
{
    (void)state;
    /* RFC 9636, 3.3.1; and where the days overlap. */
    static const char *const texts[3] = {"EST5EDT,0/0,J365/25", "XXX3EDT4,0/0,J365/23",
                                         "EST5EDT,0/0,J365/100"};
    uint64_t random = 3;
    for (size_t i = 0; i < SCI_COUNT(texts); i++) {
        open_zone(texts[i]);
        for (int j = 0; j < 10000; j++)
            assert_int_equal(offset_at(draw_between(&random, 0, YEAR_2200_S)), -4 * 3600);
        for (int64_t year = 1999; year < 2100; year++) {
            int64_t new_year_s = sci_calendar_days(year, 1, 1) * SCI_DAY_S;
            for (int64_t hour = -30; hour < 120; hour++) {
                sci_zone_instants instants;
                int64_t at_s = new_year_s + hour * 3600;
                assert_int_equal(offset_at(at_s), -4 * 3600);
                sci_zone_instants_of(&zone, at_s - 4 * 3600, &instants);
                assert_int_equal(instants.shows, SCI_ZONE_ONCE);
                assert_int_equal(instants.first_s, at_s);
            }
        }
    }
}

static void daylight_saving_time_that_ends_as_it_begins_is_none(void **state)
{
    (void)state;
    open_zone("AAA0BBB,J100/0,J100/1");
    for (int64_t day = 0; day < 1000; day++)
        assert_int_equal(offset_at(day * SCI_DAY_S), 0);
}

static void a_rule_holds_in_ages(void **state)
{
    (void)state;
    open_zone(berlin_rule);
    int64_t july_s = sci_calendar_days(1000000000, 7, 1) * SCI_DAY_S;
    int64_t january_s = sci_calendar_days(-1000000000, 1, 1) * SCI_DAY_S;
    assert_int_equal(offset_at(july_s), 7200);
    assert_int_equal(offset_at(january_s), 3600);
}

/* --- TZ strings that are none */

static void a_wrong_tz_string_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } wrong[26] = {
        {"CET-1CEST,",
         "byte 10: Mm.w.d, Jn or a day of the year (0-365) was expected, not the end"},
        {"CE-1,", "byte 2: an abbreviation of three or more letters, or one in <> was expected"},
        {"<+3>-3", "byte 3: three or more letters, digits, + or - was expected, not '>'"},
        {"<+03-3", "byte 6: '>' was expected, not the end"},
        {"<+0_3>-3", "byte 3: three or more"},
        {"<>0", "byte 1: three or more"},
        {"ABCDEFGHIJKLMNOP1,", "byte 15: an abbreviation has 15 characters at most"},
        {"CET,", "byte 3: an offset of 0 to 24 hours was expected, not ','"},
        {"CET25", "byte 3: an offset of 0 to 24 hours was expected, not '2'"},
        {"CET-1:60,", "byte 6: 0 to 59 was expected"},
        {"CET-1:00:7x,", "byte 11: an abbreviation"},
        {"CET-1CEST", "byte 9: a comma and when daylight saving time begins"},
        {"CET-1CEST-2", "byte 11: a comma and when daylight saving time begins"},
        {"CET-1CEST,M3.5.0", "byte 16: a comma and when"},
        {"CET-1CEST,M13.5.0,M10.5.0", "byte 11: a month (1-12)"},
        {"CET-1CEST,M0.5.0,M10.5.0", "byte 11: a month (1-12)"},
        {"CET-1CEST,M3.6.0,M10.5.0", "byte 13: a week (1-5)"},
        {"CET-1CEST,M3.5.7,M10.5.0", "byte 15: a weekday (0-6)"},
        {"CET-1CEST,M3-5.7,M10.5.0", "byte 12: '.' and a week"},
        {"CET-1CEST,M3.5,M10.5.0", "byte 14: '.' and a weekday"},
        {"CET-1CEST,J0,J366", "byte 11: a day of the year (1-365)"},
        {"CET-1CEST,J1,J366", "byte 14: a day of the year (1-365)"},
        {"CET-1CEST,0,366", "byte 12: Mm.w.d"},
        {"CET-1CEST,M3.5.0/168,M10.5.0", "byte 17: a time of -167 to 167 hours"},
        {"CET-1CEST,M3.5.0,M10.5.0/3 ", "byte 26: the end was expected, not ' '"},
        {"CET-1CEST,M3.5.0,M10.5.0/99999999999999999999", "byte 25: a time of"},
    };
    source.files = NULL;
    for (size_t i = 0; i < SCI_COUNT(wrong); i++)
        assert_refused(wrong[i].text, SC_ERR_ARGUMENT, wrong[i].words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_calendar_is_that_of_the_c_library),
        cmocka_unit_test(months_have_their_days),
#define ZONE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        ZONE_TEST(zones_of_every_kind_are_those_of_the_c_library),
        ZONE_TEST(tz_strings_mean_what_they_mean_to_the_c_library),
        ZONE_TEST(a_rule_repeats_with_the_calendar),
        ZONE_TEST(utc_is_the_default),
        ZONE_TEST(an_offset_needs_no_files),
        ZONE_TEST(daylight_saving_time_can_last_all_year),
        ZONE_TEST(daylight_saving_time_that_ends_as_it_begins_is_none),
        ZONE_TEST(a_rule_holds_in_ages),
        ZONE_TEST(a_wrong_tz_string_is_refused_with_its_place),
    };
    return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}
