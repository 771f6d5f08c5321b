/* Cron expressions: as a clock on the wall that is looked at each minute, and by words what is
   refused. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fault_memory.h"
#include "zone_rooms.h"

static fault_memory memory;
static sci_zone zone;

static void use_zone(const char *name)
{
    sc_files files;
    sci_zone_source source;
    memset(&source, 0, sizeof source);
    assert_true(sc_platform_files(&files));
    source.memory = &memory.table;
    source.files = &files;
    sci_zone_close(&zone);
    if (sci_zone_open(&zone, &source, name) != SC_OK)
        fail_msg("%s: %s", name, sc_error_text());
}

static int setup(void **state)
{
    (void)state;
    fault_memory_init(&memory);
    sci_zone_set_utc(&zone);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sci_zone_close(&zone);
    assert_int_equal(memory.live_blocks, 0);
    fault_memory_free(&memory);
    return 0;
}

static sci_cron parsed(const char *text)
{
    sci_cron cron;
    char *copy = (char *)malloc(strlen(text) + 1); /* without the NUL: tight */
    assert_non_null(copy);
    memcpy(copy, text, strlen(text));
    if (sci_cron_parse(sc_bytes(copy, strlen(text)), &cron) != SC_OK)
        fail_msg("%s", sc_error_text());
    free(copy);
    return cron;
}

/* "2024-02-29 23:59:30" in UTC, or without the seconds. */
static int64_t instant(const char *text)
{
    int year, month, day, hour, minute, second = 0;
    assert_true(sscanf(text, "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute, &second) >=
                5);
    return sci_calendar_days(year, month, day) * SCI_DAY_S + hour * 3600 + minute * 60 + second;
}

/* In `zone`, one after the other, from after `after` on; all in UTC. */
static void assert_due(const char *text, const char *after, const char *const *due, size_t count)
{
    sci_cron cron = parsed(text);
    int64_t at_s = instant(after);
    for (size_t i = 0; i < count; i++) {
        int64_t next_s = sci_cron_next(&cron, &zone, at_s);
        if (next_s != instant(due[i])) {
            sci_civil is;
            sci_calendar_split(next_s, &is);
            fail_msg("%s: %d-%02d-%02d %02d:%02d:%02d instead of %s", text, (int)is.year, is.month,
                     is.day, is.hour, is.minute, is.second, due[i]);
        }
        at_s = next_s;
    }
}

#define DUE(text, after, ...)                                                                      \
    do {                                                                                           \
        static const char *const due_[] = {__VA_ARGS__};                                           \
        assert_due(text, after, due_, SCI_COUNT(due_));                                            \
    } while (0)

/* --- The language */

static void values_lists_ranges_and_steps(void **state)
{
    (void)state;
    DUE("* * * * *", "2024-01-01 00:00", "2024-01-01 00:01", "2024-01-01 00:02");
    DUE("* * * * *", "2024-01-01 00:00:59", "2024-01-01 00:01");
    DUE("*/5 * * * *", "2024-01-01 00:53", "2024-01-01 00:55", "2024-01-01 01:00");
    DUE("7 3 * * *", "2024-01-01 03:07", "2024-01-02 03:07");
    DUE("0,30 9-10 * * *", "2024-01-01 09:00", "2024-01-01 09:30", "2024-01-01 10:00",
        "2024-01-01 10:30", "2024-01-02 09:00");
    DUE("0 1-23/11 * * *", "2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 12:00",
        "2024-01-01 23:00", "2024-01-02 01:00");
    DUE("\t0 0  1\t*/6 * ", "2024-01-01 00:00", "2024-07-01 00:00", "2025-01-01 00:00");
    DUE("00 00 01 007 *", "2024-01-01 00:00", "2024-07-01 00:00");
    DUE("*/60 */24 * * *", "2024-01-01 00:00", "2024-01-02 00:00");
    DUE("59 23 31 12 *", "2024-01-01 00:00", "2024-12-31 23:59", "2025-12-31 23:59");
}

static void seconds_come_first(void **state)
{
    (void)state;
    DUE("*/20 * * * * *", "2024-01-01 00:00", "2024-01-01 00:00:20", "2024-01-01 00:00:40",
        "2024-01-01 00:01:00");
    DUE("59 59 23 31 12 *", "2023-12-31 23:59:59", "2024-12-31 23:59:59");
    DUE("10 30 2 * * *", "2024-01-01 02:30:11", "2024-01-02 02:30:10");
}

static void names_in_any_case(void **state)
{
    (void)state;
    DUE("0 0 1 jan *", "2024-01-01 00:00", "2025-01-01 00:00");
    DUE("0 0 1 Feb-APR,dec *", "2024-01-01 00:00", "2024-02-01 00:00", "2024-03-01 00:00",
        "2024-04-01 00:00", "2024-12-01 00:00");
    DUE("0 0 * * mon-wed/2", "2024-01-01 00:00", "2024-01-03 00:00", "2024-01-08 00:00");
}

static void sunday_is_0_and_7_and_may_end_a_range(void **state)
{
    (void)state;
    static const char *const texts[4] = {"0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "0 0 * * 7-7"};
    for (size_t i = 0; i < SCI_COUNT(texts); i++)
        DUE(texts[i], "2024-01-01 00:00", "2024-01-07 00:00", "2024-01-14 00:00");
    static const char *const ranges[4] = {"0 0 * * 6-7", "0 0 * * sat-sun", "0 0 * * 6-0",
                                          "0 0 * * sun,sat"};
    for (size_t i = 0; i < SCI_COUNT(ranges); i++)
        DUE(ranges[i], "2024-01-01 00:00", "2024-01-06 00:00", "2024-01-07 00:00",
            "2024-01-13 00:00");
    sci_cron all = parsed("* * * * 0-7"), star = parsed("* * * * *");
    assert_int_equal(all.weekdays, star.weekdays);
}

static void words(void **state)
{
    (void)state;
    DUE("@hourly", "2024-01-01 00:00", "2024-01-01 01:00");
    DUE("@daily", "2024-01-01 00:00", "2024-01-02 00:00");
    DUE(" @midnight ", "2024-01-01 00:00", "2024-01-02 00:00");
    DUE("@weekly", "2024-01-01 00:00", "2024-01-07 00:00");
    DUE("@monthly", "2024-01-01 00:00", "2024-02-01 00:00");
    DUE("@yearly", "2024-01-01 00:00", "2025-01-01 00:00");
    DUE("@annually", "2024-01-01 00:00", "2025-01-01 00:00");
}

static void either_day_is_enough_unless_one_begins_with_a_star(void **state)
{
    (void)state;
    /* POSIX: the 13th and all Fridays. */
    DUE("0 0 13 * 5", "2024-09-10 00:00", "2024-09-13 00:00", "2024-09-20 00:00",
        "2024-09-27 00:00", "2024-10-04 00:00", "2024-10-11 00:00", "2024-10-13 00:00");
    /* Vixie cron: odd days that are Fridays. */
    DUE("0 0 */2 * 5", "2024-09-10 00:00", "2024-09-13 00:00", "2024-09-27 00:00",
        "2024-10-11 00:00");
    /* The 13th when it is a Sunday, Wednesday or Saturday. */
    DUE("0 0 13 * */3", "2024-09-01 00:00", "2024-10-13 00:00", "2024-11-13 00:00",
        "2025-04-13 00:00");
    DUE("0 0 1-31 2 5", "2024-01-01 00:00", "2024-02-01 00:00", "2024-02-02 00:00");
}

static void last_days_and_numbered_weekdays(void **state)
{
    (void)state;
    DUE("0 0 L * *", "2024-01-01 00:00", "2024-01-31 00:00", "2024-02-29 00:00", "2024-03-31 00:00",
        "2024-04-30 00:00");
    DUE("0 0 15,l 2 *", "2023-01-01 00:00", "2023-02-15 00:00", "2023-02-28 00:00",
        "2024-02-15 00:00", "2024-02-29 00:00");
    DUE("0 0 * * friL", "2024-01-01 00:00", "2024-01-26 00:00", "2024-02-23 00:00",
        "2024-03-29 00:00", "2024-04-26 00:00", "2024-05-31 00:00");
    DUE("0 0 * * mon#1,5#3", "2024-01-01 00:00", "2024-01-19 00:00", "2024-02-05 00:00",
        "2024-02-16 00:00");
    DUE("0 0 * * 7#5", "2024-01-01 00:00", "2024-03-31 00:00", "2024-06-30 00:00");
    DUE("0 0 1 * 0L", "2024-01-02 00:00", "2024-01-28 00:00", "2024-02-01 00:00");
    DUE("0 0 * * 1L,3", "2024-01-01 00:00", "2024-01-03 00:00", "2024-01-10 00:00",
        "2024-01-17 00:00", "2024-01-24 00:00", "2024-01-29 00:00", "2024-01-31 00:00");
}

static void a_wrong_expression_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } wrong[44] = {
        {"", "byte 0: it must have five fields"},
        {"   ", "byte 3: it must have five fields"},
        {"* * * *",
         "\"* * * *\", byte 7: it must have five fields (minute, hour, day of the month"},
        {"* * * * * * *", "byte 13: it must have five fields"},
        {"60 * * * *", "byte 0: * or a minute (0-59) was expected, not '6'"},
        {"-1 * * * *", "byte 0: * or a minute (0-59) was expected, not '-'"},
        {"* 24 * * *", "byte 2: * or an hour (0-23) was expected"},
        {"* * 0 * *", "byte 4: *, L or a day of the month (1-31) was expected"},
        {"* * 32 * *", "byte 4: *, L or a day of the month"},
        {"* * * 13 *", "byte 6: * or a month (1-12, jan-dec) was expected"},
        {"* * * 0 *", "byte 6: * or a month"},
        {"* * * * 8", "byte 8: * or a weekday (0-7, sun-sat) was expected"},
        {"* * * * L", "byte 8: * or a weekday"},
        {"60 * * * * *", "byte 0: * or a second (0-59) was expected"},
        {"* 60 * * * *", "byte 2: * or a minute"},
        {"99999999999999999999 * * * *", "byte 0: * or a minute"},
        {"* * * foo *", "byte 6: * or a month"},
        {"* * * ma *", "byte 6: * or a month"},
        {"* * * mon *", "byte 6: * or a month"},
        {"* * * march *", "byte 9: a comma or a blank was expected, not 'c'"},
        {"jan * * * *", "byte 0: * or a minute"},
        {"5, * * * *", "byte 2: * or a minute (0-59) was expected, not ' '"},
        {",5 * * * *", "byte 0: * or a minute"},
        {"5- * * * *", "byte 2: * or a minute"},
        {"5-x * * * *", "byte 2: * or a minute"},
        {"1-2-3 * * * *", "byte 3: a comma or a blank was expected, not '-'"},
        {"** * * * *", "byte 1: a comma or a blank was expected, not '*'"},
        {"* 22-2 * * *", "byte 5: the range runs backwards; write two, such as 22-23,0-5"},
        {"* * * * fri-mon", "byte 12: the range runs backwards"},
        {"*/0 * * * *", "byte 2: a step, from 1 on, was expected, not '0'"},
        {"*/ * * * *", "byte 2: a step, from 1 on, was expected, not ' '"},
        {"*/90 * * * *", "byte 2: the step is greater than the number of values of the field"},
        {"0 */25 * * *", "byte 4: the step is greater"},
        {"5/15 * * * *", "byte 1: a step follows * or a range, such as 5-59/15"},
        {"* * ? * *", "byte 4: *, L or a day of the month (1-31) was expected, not '?'"},
        {"* * 15W * *", "byte 6: W, the weekday that is nearest, is not known here"},
        {"* * LW * *", "byte 5: W, the weekday"},
        {"* * L-3 * *", "byte 5: a comma or a blank was expected, not '-'"},
        {"* * * * 5#6",
         "byte 10: 1 to 5, the weekday's number in the month, was expected, not '6'"},
        {"* * * * 5#0", "byte 10: 1 to 5"},
        {"* * * * 5#", "byte 10: 1 to 5, the weekday's number in the month, was expected, not the"
                       " end"},
        {"@every 5m", "byte 0: of words there are @hourly"},
        {" @reboot", "byte 1: of words there are @hourly, @daily, @midnight, @weekly, @monthly,"},
        {"* * * * *\n", "byte 9: a comma or a blank was expected, not the byte 0xa"},
    };
    for (size_t i = 0; i < SCI_COUNT(wrong); i++) {
        sci_cron cron;
        if (sci_cron_parse(sc_text(wrong[i].text), &cron) != SC_ERR_ARGUMENT)
            fail_msg("\"%s\" was taken", wrong[i].text);
        assert_memory_equal(sc_error_text(), "cron expression \"", 17);
        if (!strstr(sc_error_text(), wrong[i].words))
            fail_msg("\"%s\" is not in \"%s\"", wrong[i].words, sc_error_text());
    }
    sci_cron cron;
    assert_int_equal(sci_cron_parse(sc_bytes("* * * * *\0", 10), &cron), SC_ERR_ARGUMENT);
    assert_non_null(strstr(sc_error_text(), "byte 9: a comma or a blank was expected, not the byte "
                                            "0x0"));
}

static void what_would_never_be_due_is_refused(void **state)
{
    (void)state;
    static const char *const texts[8] = {
        "0 0 30 2 *",   "0 0 31 4,6,9,11 *", "0 0 30,31 feb *",         "0 0 */31 * 1#2",
        "0 0 30 2 */2", "0 0 */30 2 1#5",    "0 0 */2 feb,apr 0#1,0#1", "0 0 */14 2 7L"};
    for (size_t i = 0; i < SCI_COUNT(texts); i++) {
        sci_cron cron;
        sc_status status = sci_cron_parse(sc_text(texts[i]), &cron);
        if (i >= 6) { /* these have days, rare ones */
            assert_int_equal(status, SC_OK);
            continue;
        }
        if (status != SC_ERR_ARGUMENT)
            fail_msg("\"%s\" was taken", texts[i]);
        assert_non_null(strstr(sc_error_text(), "no year has such a day, it would never be due"));
    }
    DUE("0 0 31 2 1", "2024-01-01 00:00", "2024-02-05 00:00"); /* either */
    DUE("0 0 30 2,3 *", "2024-01-01 00:00", "2024-03-30 00:00");
}

static void a_29_february_is_waited_for(void **state)
{
    (void)state;
    DUE("0 0 29 2 *", "2024-02-29 00:00", "2028-02-29 00:00", "2032-02-29 00:00");
    DUE("0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00");
    /* The fifth of a weekday in February: each 13 to 15 times in 400 years, up to 40 years apart.
       */
    int64_t widest_s = 0;
    for (int weekday = 0; weekday < 7; weekday++) {
        char text[32];
        (void)snprintf(text, sizeof text, "0 0 * 2 %d#5", weekday);
        sci_cron cron = parsed(text);
        int64_t at_s = instant("2000-01-01 00:00"), end_s = instant("2400-01-01 00:00");
        int count = 0;
        for (int64_t next_s; (next_s = sci_cron_next(&cron, &zone, at_s)) < end_s; at_s = next_s) {
            sci_civil civil;
            sci_calendar_split(next_s, &civil);
            assert_int_equal(civil.day, 29);
            assert_int_equal(civil.weekday, weekday);
            if (count++ > 0)
                widest_s = sci_max_i64(widest_s, next_s - at_s);
        }
        assert_true(count >= 13 && count <= 15);
    }
    assert_int_equal(widest_s, 14609 * (int64_t)SCI_DAY_S);
}

/* --- Clocks that change */

static void a_time_that_is_leapt_over_is_due_once_after_it(void **state)
{
    (void)state;
    use_zone("CET-1CEST,M3.5.0,M10.5.0/3"); /* 2024-03-31 at 01:00 UTC from 2:00 to 3:00 */
    DUE("30 2 * * *", "2024-03-29 12:00", "2024-03-30 01:30", "2024-03-31 01:00",
        "2024-04-01 00:30");
    DUE("0 2 * * *", "2024-03-30 12:00", "2024-03-31 01:00", "2024-04-01 00:00");
    DUE("0 3 * * *", "2024-03-30 12:00", "2024-03-31 01:00", "2024-04-01 01:00");
    DUE("*/10 2 * * *", "2024-03-30 12:00", "2024-03-31 01:00", "2024-04-01 00:00");
    DUE("* 2-3 31 3 *", "2024-03-30 12:00", "2024-03-31 01:00", "2024-03-31 01:01");
    DUE("59 59 2 * * *", "2024-03-30 12:00", "2024-03-31 01:00", "2024-04-01 00:59:59");
    DUE("30 * * * *", "2024-03-31 00:29", "2024-03-31 00:30", "2024-03-31 01:00",
        "2024-03-31 01:30");
    DUE("*/30 * * * *", "2024-03-31 00:29", "2024-03-31 00:30", "2024-03-31 01:00",
        "2024-03-31 01:30");
    /* From within, and from the instant itself. */
    DUE("30 2 * * *", "2024-03-31 01:00", "2024-04-01 00:30");
    DUE("30 2 * * *", "2024-03-31 00:59:59", "2024-03-31 01:00");
}

static void a_time_that_is_shown_twice_is_due_the_first_time(void **state)
{
    (void)state;
    use_zone("CET-1CEST,M3.5.0,M10.5.0/3"); /* 2024-10-27 at 01:00 UTC from 3:00 to 2:00 */
    DUE("30 2 * * *", "2024-10-26 12:00", "2024-10-27 00:30", "2024-10-28 01:30");
    DUE("0 2 * * *", "2024-10-26 12:00", "2024-10-27 00:00", "2024-10-28 01:00");
    DUE("0 3 * * *", "2024-10-26 12:00", "2024-10-27 02:00");
    DUE("*/20 2,3 * * *", "2024-10-27 00:10", "2024-10-27 00:20", "2024-10-27 00:40",
        "2024-10-27 02:00");
    /* From within the second hour. */
    DUE("30 2 * * *", "2024-10-27 01:10", "2024-10-28 01:30");
    DUE("* 2,4 * * *", "2024-10-27 01:10", "2024-10-27 03:00");
}

static void a_job_of_all_hours_goes_on_while_an_hour_repeats(void **state)
{
    (void)state;
    use_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    DUE("0 * * * *", "2024-10-26 23:00", "2024-10-27 00:00", "2024-10-27 01:00",
        "2024-10-27 02:00");
    DUE("*/30 0-23 * * *", "2024-10-27 00:00", "2024-10-27 00:30", "2024-10-27 01:00",
        "2024-10-27 01:30", "2024-10-27 02:00");
    DUE("@hourly", "2024-10-27 00:30", "2024-10-27 01:00");
}

static void clocks_of_odd_places(void **state)
{
    (void)state;
    need_zoneinfo();
    use_zone("Australia/Lord_Howe"); /* half an hour: 2024-10-05 15:30 UTC from 2:00 to 2:30 */
    DUE("15 2 * * *", "2024-10-05 00:00", "2024-10-05 15:30", "2024-10-06 15:15");
    DUE("0 * * * *", "2024-10-05 14:00", "2024-10-05 14:30", "2024-10-05 15:30",
        "2024-10-05 16:00");
    use_zone("Pacific/Apia"); /* no 2011-12-30 there: at 10:00 UTC that day it was over */
    DUE("0 12 * * *", "2011-12-29 00:00", "2011-12-29 22:00", "2011-12-30 10:00",
        "2011-12-30 22:00");
    DUE("0 12 30 12 *", "2011-01-01 00:00", "2011-12-30 10:00", "2012-12-29 22:00");
    use_zone("America/Havana"); /* from 0:00 to 1:00, 2024-03-10 05:00 UTC */
    DUE("@daily", "2024-03-09 06:00", "2024-03-10 05:00", "2024-03-11 04:00");
    DUE("@daily", "2024-11-02 05:00", "2024-11-03 04:00", "2024-11-04 05:00");
    use_zone("Africa/Casablanca"); /* an hour less in Ramadan: 2024-03-10 to 04-14 */
    DUE("30 2 * * *", "2024-03-09 12:00", "2024-03-10 01:30", "2024-03-11 02:30");
    DUE("30 2 * * *", "2024-04-13 12:00", "2024-04-14 02:00", "2024-04-15 01:30");
}

/* --- Against a clock on the wall */

/* What a random expression says, drawn together with its text. */
typedef struct model {
    char text[512];
    size_t len;
    bool in[5][64];
    bool is_star[5];
    bool has_last_day;
    bool is_all_hours;
} model;

static const int least_of[5] = {0, 0, 1, 1, 0};
static const int most_of[5] = {59, 23, 31, 12, 6};

static void say(model *made, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(made->text + made->len, sizeof made->text - made->len, format, arguments);
    va_end(arguments);
    assert_true(len >= 0 && made->len + (size_t)len < sizeof made->text);
    made->len += (size_t)len;
}

static void draw_element(model *made, int field, bool is_first, uint64_t *random)
{
    int least = least_of[field], most = most_of[field];
    int from = (int)draw_between(random, least, most), to = from, step = 1;
    switch (draw_between(random, 0, is_first ? 4 : 2)) {
    case 0:
        say(made, "%d", from);
        break;
    case 1:
        to = (int)draw_between(random, from, most);
        say(made, "%d-%d", from, to);
        break;
    case 2:
        to = (int)draw_between(random, from, most);
        step = (int)draw_between(random, 1, most);
        say(made, "%d-%d/%d", from, to, step);
        break;
    default:
        from = least;
        to = most;
        made->is_star[field] = true;
        if (draw_between(random, 0, 2) > 0) {
            step = (int)draw_between(random, 1, most);
            say(made, "*/%d", step);
        } else {
            say(made, "*");
        }
    }
    for (int value = from; value <= to; value += step)
        made->in[field][value] = true;
}

static void draw_model(model *made, uint64_t *random)
{
    memset(made, 0, sizeof *made);
    for (int field = 0; field < 5; field++) {
        int elements = (int)draw_between(random, 1, 3);
        if (field > 0)
            say(made, " ");
        for (int i = 0; i < elements; i++) {
            if (i > 0)
                say(made, ",");
            draw_element(made, field, i == 0, random);
        }
        if (field == 2 && draw_between(random, 0, 4) == 0) {
            say(made, ",L");
            made->has_last_day = true;
        }
    }
    made->is_all_hours = true;
    for (int hour = 0; hour < 24; hour++)
        made->is_all_hours = made->is_all_hours && made->in[1][hour];
}

/* Is the expression right for this minute of a clock, counted from 1970 on it? */
static bool is_right(const model *made, int64_t minute)
{
    time_t at = (time_t)(minute * 60), tomorrow = at + SCI_DAY_S;
    struct tm tm, next;
    assert_non_null(gmtime_r(&at, &tm));
    if (!made->in[0][tm.tm_min] || !made->in[1][tm.tm_hour] || !made->in[3][tm.tm_mon + 1])
        return false;
    assert_non_null(gmtime_r(&tomorrow, &next));
    bool by_day = made->in[2][tm.tm_mday] || (made->has_last_day && next.tm_mday == 1);
    bool by_weekday = made->in[4][tm.tm_wday];
    return made->is_star[2] || made->is_star[4] ? by_day && by_weekday : by_day || by_weekday;
}

/* The minute that the C library's clock shows at an instant. */
static int64_t shown_at(int64_t at_s)
{
    time_t at = (time_t)at_s;
    struct tm tm;
    assert_non_null(localtime_r(&at, &tm));
    return sci_floor_divide(at_s + tm.tm_gmtoff, 60);
}

/* Looks at the clock each minute, for so many days, and compares. */
static void walk(const char *name, const model *made, int64_t from_s, int days)
{
    sci_cron cron = parsed(made->text);
    int64_t next_s = sci_cron_next(&cron, &zone, from_s);
    int64_t reached = shown_at(from_s); /* the highest minute shown, of two days before as well */
    for (int64_t at_s = from_s - 2 * SCI_DAY_S; at_s < from_s; at_s += 60)
        reached = sci_max_i64(reached, shown_at(at_s));
    for (int64_t at_s = from_s + 60; at_s < from_s + (int64_t)days * SCI_DAY_S; at_s += 60) {
        int64_t shown = shown_at(at_s);
        bool is_due = (shown > reached || made->is_all_hours) && is_right(made, shown);
        for (int64_t leapt = reached + 1; leapt < shown && !is_due; leapt++)
            is_due = is_right(made, leapt);
        reached = sci_max_i64(reached, shown);
        if (is_due != (next_s == at_s))
            fail_msg("\"%s\" in %s: %lld is due: %d; next is %lld", made->text, name,
                     (long long)at_s, is_due, (long long)next_s);
        if (next_s == at_s)
            next_s = sci_cron_next(&cron, &zone, at_s);
    }
}

static bool is_possible(const model *made)
{
    sci_cron cron;
    return sci_cron_parse(sc_bytes(made->text, made->len), &cron) == SC_OK;
}

/* Weeks around changes of the clock, where all is different, and years where it is not. */
static void random_expressions_are_due_when_a_clock_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        int year, month, day;
    } places[16] = {
        {"Europe/Berlin", 2024, 3, 28},      {"Europe/Berlin", 2024, 10, 24},
        {"America/New_York", 2031, 3, 6},    {"America/New_York", 2031, 10, 31},
        {"Australia/Lord_Howe", 2024, 4, 4}, {"Australia/Lord_Howe", 2024, 10, 3},
        {"Europe/Dublin", 2040, 10, 25},     {"Africa/Casablanca", 2024, 3, 7},
        {"Africa/Casablanca", 2024, 4, 11},  {"Pacific/Apia", 2011, 12, 27},
        {"America/Havana", 2024, 10, 31},    {"Asia/Tehran", 2022, 3, 19},
        {"America/Nuuk", 2150, 3, 20},       {"Antarctica/Troll", 2024, 10, 24},
        {"Pacific/Kwajalein", 1993, 8, 18},  {"America/St_Johns", 2006, 10, 26},
    };
    need_zoneinfo();
    uint64_t random = 5;
    model made;
    for (size_t i = 0; i < SCI_COUNT(places); i++) {
        use_c_library_zone(places[i].zone);
        use_zone(places[i].zone);
        int64_t from_s =
            sci_calendar_days(places[i].year, places[i].month, places[i].day) * SCI_DAY_S;
        for (int j = 0; j < 25; j++) {
            draw_model(&made, &random);
            if (is_possible(&made))
                walk(places[i].zone, &made, from_s, 7);
        }
    }
    use_c_library_zone("Europe/London");
    use_zone("Europe/London");
    for (int i = 0; i < 4; i++) {
        draw_model(&made, &random);
        if (is_possible(&made))
            walk("Europe/London", &made, instant("2023-06-01 00:00"), 3 * 365);
    }
}

/* What is refused as never due is not due on any of the 400 years' days, and nothing else is. */
static void refused_are_those_without_a_day_in_400_years(void **state)
{
    (void)state;
    uint64_t random = 9;
    int refused = 0;
    for (int i = 0; i < 3000; i++) {
        sci_cron cron;
        memset(&cron, 0, sizeof cron);
        cron.seconds = cron.minutes = cron.hours = 1;
        cron.months = (uint16_t)(1u << draw_between(&random, 1, 12));
        cron.days = (uint32_t)1 << draw_between(&random, 0, 31);
        cron.nth[draw_between(&random, 0, 4)] = (unsigned char)(1u << draw_between(&random, 0, 6));
        int64_t end = sci_calendar_days(2400, 1, 1);
        bool is_due = sci_cron_day(&cron, sci_calendar_days(2000, 1, 1), end) < end;
        assert_int_equal(sci_cron_has_a_day(&cron), is_due);
        refused += !is_due;
    }
    assert_true(refused > 100 && refused < 2900);
}

static void far_from_today_there_is_an_end(void **state)
{
    (void)state;
    use_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    sci_cron cron = parsed("0 12 1 7 *");
    int64_t ages_s = sci_calendar_days(1000000000, 6, 30) * SCI_DAY_S;
    assert_int_equal(sci_cron_next(&cron, &zone, ages_s), ages_s + SCI_DAY_S + 10 * 3600);
    int64_t before_s = sci_calendar_days(-1000000000, 6, 30) * SCI_DAY_S;
    assert_int_equal(sci_cron_next(&cron, &zone, before_s), before_s + SCI_DAY_S + 10 * 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CRON_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        CRON_TEST(values_lists_ranges_and_steps),
        CRON_TEST(seconds_come_first),
        CRON_TEST(names_in_any_case),
        CRON_TEST(sunday_is_0_and_7_and_may_end_a_range),
        CRON_TEST(words),
        CRON_TEST(either_day_is_enough_unless_one_begins_with_a_star),
        CRON_TEST(last_days_and_numbered_weekdays),
        CRON_TEST(a_wrong_expression_is_refused_with_its_place),
        CRON_TEST(what_would_never_be_due_is_refused),
        CRON_TEST(a_29_february_is_waited_for),
        CRON_TEST(a_time_that_is_leapt_over_is_due_once_after_it),
        CRON_TEST(a_time_that_is_shown_twice_is_due_the_first_time),
        CRON_TEST(a_job_of_all_hours_goes_on_while_an_hour_repeats),
        CRON_TEST(clocks_of_odd_places),
        CRON_TEST(random_expressions_are_due_when_a_clock_says_so),
        CRON_TEST(refused_are_those_without_a_day_in_400_years),
        CRON_TEST(far_from_today_there_is_an_end),
    };
    return cmocka_run_group_tests_name("cron", tests, NULL, NULL);
}
