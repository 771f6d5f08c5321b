/* POSIX TZ strings. */

#include "cache/zone_rule.h"

#include "base/calendar.h"
#include "base/number.h"
#include "base/phrase.h"

#define SCI_ZONE_OFFSET_HOURS 24
#define SCI_ZONE_CHANGE_HOURS 167
#define SCI_ZONE_DEFAULT_CHANGE_S (2 * 3600)

static bool sci_zone_is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool sci_zone_is_quotable(int c)
{
    return sci_zone_is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-';
}

static sc_status sci_zone_rule_name(sci_phrase *phrase, char name[SCI_ZONE_NAME_BYTES])
{
    bool is_quoted = sci_phrase_take(phrase, '<');
    size_t len = 0;
    for (;;) {
        int c = sci_phrase_peek(phrase);
        if (!(is_quoted ? sci_zone_is_quotable(c) : sci_zone_is_letter(c)))
            break;
        if (len == SCI_ZONE_NAME_BYTES - 1)
            return sci_phrase_refuse(phrase, "an abbreviation has 15 characters at most");
        name[len++] = (char)c;
        phrase->at++;
    }
    name[len] = '\0';
    if (len < 3)
        return sci_phrase_fail(phrase, is_quoted ? "three or more letters, digits, + or -"
                                                 : "an abbreviation of three or more letters, "
                                                   "or one in <>");
    if (is_quoted && !sci_phrase_take(phrase, '>'))
        return sci_phrase_fail(phrase, "'>'");
    return SC_OK;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static sc_status sci_zone_rule_time(sci_phrase *phrase, int most_hours, const char *expected,
                                    int32_t *time_s)
{
    const int seconds[3] = {3600, 60, 1};
    bool is_negative = sci_phrase_take(phrase, '-');
    if (!is_negative)
        (void)sci_phrase_take(phrase, '+');
    int32_t total = 0;
    for (size_t i = 0; i < SCI_COUNT(seconds); i++) {
        int number;
        if (i > 0 && !sci_phrase_take(phrase, ':'))
            break;
        if (!sci_phrase_number(phrase, i == 0 ? most_hours : 59, &number))
            return sci_phrase_fail(phrase, i == 0 ? expected : "0 to 59");
        total += number * seconds[i];
    }
    *time_s = is_negative ? -total : total;
    return SC_OK;
}

static sc_status sci_zone_rule_offset(sci_phrase *phrase, int32_t *offset_s)
{
    int32_t west_s = 0;
    sc_status status =
        sci_zone_rule_time(phrase, SCI_ZONE_OFFSET_HOURS, "an offset of 0 to 24 hours", &west_s);
    *offset_s = -west_s;
    return status;
}

/* Takes a number of `least` to `most`. */
static sc_status sci_zone_rule_number(sci_phrase *phrase, int least, int most, const char *expected,
                                      int *number)
{
    size_t at = phrase->at;
    if (sci_phrase_number(phrase, most, number) && *number >= least)
        return SC_OK;
    phrase->at = at;
    return sci_phrase_fail(phrase, expected);
}

static sc_status sci_zone_rule_day(sci_phrase *phrase, sci_zone_change *change)
{
    int month = 0, week = 0, day = 0;
    sc_status status = SC_OK;
    change->form = 'D';
    if (sci_phrase_take(phrase, 'J')) {
        change->form = 'J';
        status = sci_zone_rule_number(phrase, 1, 365, "a day of the year (1-365)", &day);
    } else if (sci_phrase_take(phrase, 'M')) {
        change->form = 'M';
        status = sci_zone_rule_number(phrase, 1, 12, "a month (1-12)", &month);
        if (status == SC_OK && !sci_phrase_take(phrase, '.'))
            status = sci_phrase_fail(phrase, "'.' and a week");
        if (status == SC_OK)
            status = sci_zone_rule_number(phrase, 1, 5, "a week (1-5)", &week);
        if (status == SC_OK && !sci_phrase_take(phrase, '.'))
            status = sci_phrase_fail(phrase, "'.' and a weekday");
        if (status == SC_OK)
            status = sci_zone_rule_number(phrase, 0, 6, "a weekday (0-6)", &day);
    } else {
        status =
            sci_zone_rule_number(phrase, 0, 365, "Mm.w.d, Jn or a day of the year (0-365)", &day);
    }
    change->month = (int8_t)month;
    change->week = (int8_t)week;
    change->day = (int16_t)day;
    return status;
}

static sc_status sci_zone_rule_change(sci_phrase *phrase, sci_zone_change *change)
{
    change->time_s = SCI_ZONE_DEFAULT_CHANGE_S;
    if (!sci_phrase_take(phrase, ','))
        return sci_phrase_fail(phrase,
                               "a comma and when daylight saving time begins or ends, as in "
                               "CET-1CEST,M3.5.0,M10.5.0/3");
    sc_status status = sci_zone_rule_day(phrase, change);
    if (status != SC_OK || !sci_phrase_take(phrase, '/'))
        return status;
    return sci_zone_rule_time(phrase, SCI_ZONE_CHANGE_HOURS, "a time of -167 to 167 hours",
                              &change->time_s);
}

static sc_status sci_zone_rule_daylight(sci_phrase *phrase, sci_zone_rule *rule)
{
    sci_zone_half *half = &rule->dst;
    sc_status status = sci_zone_rule_name(phrase, half->name);
    half->offset_s = rule->standard.offset_s + 3600;
    if (status == SC_OK && sci_phrase_peek(phrase) >= 0 && sci_phrase_peek(phrase) != ',')
        status = sci_zone_rule_offset(phrase, &half->offset_s);
    if (status == SC_OK)
        status = sci_zone_rule_change(phrase, &half->begins);
    if (status == SC_OK)
        status = sci_zone_rule_change(phrase, &rule->standard.begins);
    return status;
}

SCI_PRIVATE sc_status sci_zone_rule_parse(sc_slice text, sci_zone_rule *rule)
{
    sci_phrase phrase;
    phrase.what = "time zone";
    phrase.text = text;
    phrase.at = 0;
    memset(rule, 0, sizeof *rule);
    sc_status status = sci_zone_rule_name(&phrase, rule->standard.name);
    if (status == SC_OK)
        status = sci_zone_rule_offset(&phrase, &rule->standard.offset_s);
    rule->has_dst = sci_phrase_peek(&phrase) >= 0;
    if (status == SC_OK && rule->has_dst)
        status = sci_zone_rule_daylight(&phrase, rule);
    if (status == SC_OK && sci_phrase_peek(&phrase) >= 0)
        status = sci_phrase_fail(&phrase, "the end");
    return status;
}

SCI_PRIVATE void sci_zone_rule_fix(sci_zone_rule *rule, int32_t offset_s, sc_slice name)
{
    sci_assert(name.len < SCI_ZONE_NAME_BYTES);
    memset(rule, 0, sizeof *rule);
    rule->standard.offset_s = offset_s;
    memcpy(rule->standard.name, name.data, name.len);
}

/* On the clock before the change, in seconds since 1970 of that clock. */
static int64_t sci_zone_change_at(const sci_zone_change *change, int64_t year)
{
    int64_t day;
    if (change->form == 'M') {
        int month_days = sci_calendar_month_days(year, change->month);
        day = sci_calendar_days(year, change->month, 1);
        int in_month = (change->day - sci_calendar_weekday(day) + 7) % 7 + (change->week - 1) * 7;
        day += in_month < month_days ? in_month : in_month - 7;
    } else if (change->form == 'J') {
        day = sci_calendar_days(year, 1, change->day);
        if (change->day > 31 + 28 && sci_calendar_month_days(year, 2) == 29)
            day++;
    } else {
        day = sci_calendar_days(year, 1, 1 + change->day);
    }
    return day * SCI_DAY_S + change->time_s;
}

static int64_t sci_zone_dst_ends(const sci_zone_rule *rule, int64_t year)
{
    return sci_zone_change_at(&rule->standard.begins, year) - rule->dst.offset_s;
}

SCI_PRIVATE void sci_zone_rule_find(const sci_zone_rule *rule, int64_t at_s, sci_zone_span *span)
{
    const sci_zone_half *half = &rule->standard;
    span->begins_s = -SCI_ZONE_EVER_S;
    span->ends_s = SCI_ZONE_EVER_S;
    if (rule->has_dst) {
        sci_civil civil;
        sci_calendar_split(at_s, &civil);
        /* The times of the years before and after may reach into this one. */
        for (int64_t year = civil.year - 2; year <= civil.year + 2; year++) {
            int64_t begins_s =
                sci_zone_change_at(&rule->dst.begins, year) - rule->standard.offset_s;
            int64_t ends_s = sci_zone_dst_ends(rule, year);
            if (ends_s < begins_s)
                ends_s = sci_zone_dst_ends(rule, year + 1);
            if (ends_s <= at_s) {
                span->begins_s = sci_max_i64(span->begins_s, ends_s);
            } else if (begins_s > at_s) {
                span->ends_s = sci_min_i64(span->ends_s, begins_s);
            } else {
                half = &rule->dst;
                span->begins_s = sci_max_i64(span->begins_s, begins_s);
                span->ends_s = ends_s;
                break;
            }
        }
    }
    span->offset_s = half->offset_s;
    span->is_dst = half == &rule->dst;
    span->name = half->name;
}
