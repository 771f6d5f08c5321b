/* Cron expressions. */

#include "cache/cron.h"

#include "base/error.h"
#include "base/phrase.h"

#define SCI_CRON_ALL_HOURS (((uint32_t)1 << 24) - 1)
/* The first of 28 years without an exception to the rule that each fourth is a leap year, so that
   they have all kinds of years that there are: each weekday begins a leap year once and others
   three times. (The 400 years of the calendar have no other kinds.) */
#define SCI_CRON_SAMPLE_YEAR 2001
#define SCI_CRON_SAMPLE_YEARS 28
/* Due days are no further apart than 40 years: a 29 February on a given weekday, across a century
   that is no leap year. */
#define SCI_CRON_MOST_DAYS (41 * 366)

enum {
    SCI_CRON_SECOND,
    SCI_CRON_MINUTE,
    SCI_CRON_HOUR,
    SCI_CRON_DAY,
    SCI_CRON_MONTH,
    SCI_CRON_WEEKDAY,
    SCI_CRON_FIELDS
};

typedef struct sci_cron_field {
    const char *expected;
    unsigned char least, most;
    unsigned char values; /* how many there are */
    const char *names;    /* three letters each, from `least` on */
} sci_cron_field;

static const sci_cron_field sci_cron_fields[SCI_CRON_FIELDS] = {
    {"* or a second (0-59)", 0, 59, 60, ""},
    {"* or a minute (0-59)", 0, 59, 60, ""},
    {"* or an hour (0-23)", 0, 23, 24, ""},
    {"*, L or a day of the month (1-31)", 1, 31, 31, ""},
    {"* or a month (1-12, jan-dec)", 1, 12, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"* or a weekday (0-7, sun-sat)", 0, 7, 7, "sunmontuewedthufrisat"},
};

/* --- Parsing */

typedef struct sci_cron_parser {
    sci_phrase phrase;
    sci_cron *cron;
    uint64_t set; /* of the current field */
} sci_cron_parser;

static char sci_cron_lower(int c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool sci_cron_name(sci_phrase *phrase, const sci_cron_field *field, int *value)
{
    const char *at = phrase->text.data + phrase->at;
    if (phrase->text.len - phrase->at < 3)
        return false;
    for (int i = 0; field->names[3 * i] != '\0'; i++) {
        const char *name = field->names + 3 * i;
        if (sci_cron_lower(at[0]) == name[0] && sci_cron_lower(at[1]) == name[1] &&
            sci_cron_lower(at[2]) == name[2]) {
            phrase->at += 3;
            *value = field->least + i;
            return true;
        }
    }
    return false;
}

static sc_status sci_cron_value(sci_phrase *phrase, const sci_cron_field *field, int *value)
{
    size_t at = phrase->at;
    if (sci_cron_name(phrase, field, value))
        return SC_OK;
    if (sci_phrase_number(phrase, field->most, value) && *value >= field->least)
        return SC_OK;
    phrase->at = at;
    return sci_phrase_fail(phrase, field->expected);
}

static sc_status sci_cron_step(sci_phrase *phrase, const sci_cron_field *field, int *step)
{
    size_t at = phrase->at;
    if (!sci_phrase_number(phrase, INT16_MAX, step) || *step == 0)
        *step = 0;
    else if (*step <= field->values)
        return SC_OK;
    phrase->at = at;
    if (*step == 0)
        return sci_phrase_fail(phrase, "a step, from 1 on,");
    return sci_phrase_refuse(phrase, "the step is greater than the number of values of the field, "
                                     "in which it begins anew");
}

/* The values from `from` to `to`, by `step`. */
static void sci_cron_add(sci_cron_parser *parser, int from, int to, int step)
{
    for (int value = from; value <= to; value += step)
        parser->set |= (uint64_t)1 << value;
}

/* "5L", "5#2": true when it was one of these, well written or (`*status`) not. */
static bool sci_cron_ordinal(sci_cron_parser *parser, int weekday, sc_status *status)
{
    sci_phrase *phrase = &parser->phrase;
    unsigned char bit = (unsigned char)(1u << weekday % 7);
    int nth = 0;
    *status = SC_OK;
    if (sci_phrase_take(phrase, 'L') || sci_phrase_take(phrase, 'l')) {
        parser->cron->last |= bit;
        return true;
    }
    if (!sci_phrase_take(phrase, '#'))
        return false;
    size_t at = phrase->at;
    if (sci_phrase_number(phrase, (int)SCI_COUNT(parser->cron->nth), &nth) && nth > 0) {
        parser->cron->nth[nth - 1] |= bit;
    } else {
        phrase->at = at;
        *status = sci_phrase_fail(phrase, "1 to 5, the weekday's number in the month,");
    }
    return true;
}

/* A value, or the range that begins with it. */
static sc_status sci_cron_range(sci_cron_parser *parser, const sci_cron_field *field)
{
    sci_phrase *phrase = &parser->phrase;
    int from = 0, to = 0, step = 1;
    sc_status status = sci_cron_value(phrase, field, &from);
    bool is_weekday = field == &sci_cron_fields[SCI_CRON_WEEKDAY];
    if (status != SC_OK || (is_weekday && sci_cron_ordinal(parser, from, &status)))
        return status;
    if (!sci_phrase_take(phrase, '-')) {
        if (sci_phrase_peek(phrase) == '/')
            return sci_phrase_refuse(phrase, "a step follows * or a range, such as 5-59/15");
        sci_cron_add(parser, from, from, 1);
        return SC_OK;
    }
    size_t at = phrase->at;
    status = sci_cron_value(phrase, field, &to);
    if (status == SC_OK && is_weekday && to == 0 && from > 0)
        to = 7;
    if (status == SC_OK && to < from) {
        phrase->at = at;
        status =
            sci_phrase_refuse(phrase, "the range runs backwards; write two, such as 22-23,0-5");
    }
    if (status == SC_OK && sci_phrase_take(phrase, '/'))
        status = sci_cron_step(phrase, field, &step);
    if (status == SC_OK)
        sci_cron_add(parser, from, to, step);
    return status;
}

static sc_status sci_cron_element(sci_cron_parser *parser, const sci_cron_field *field)
{
    sci_phrase *phrase = &parser->phrase;
    int step = 1;
    if (sci_phrase_take(phrase, '*')) {
        sc_status status =
            sci_phrase_take(phrase, '/') ? sci_cron_step(phrase, field, &step) : SC_OK;
        if (status == SC_OK)
            sci_cron_add(parser, field->least, field->least + field->values - 1, step);
        return status;
    }
    if (field == &sci_cron_fields[SCI_CRON_DAY] &&
        (sci_phrase_take(phrase, 'L') || sci_phrase_take(phrase, 'l'))) {
        parser->set |= 1;
        return SC_OK;
    }
    return sci_cron_range(parser, field);
}

static bool sci_cron_skip_blanks(sci_phrase *phrase)
{
    size_t at = phrase->at;
    while (sci_phrase_take(phrase, ' ') || sci_phrase_take(phrase, '\t'))
        continue;
    return phrase->at > at;
}

static sc_status sci_cron_read_field(sci_cron_parser *parser, const sci_cron_field *field)
{
    sci_phrase *phrase = &parser->phrase;
    parser->set = 0;
    do {
        sc_status status = sci_cron_element(parser, field);
        if (status != SC_OK)
            return status;
    } while (sci_phrase_take(phrase, ','));
    int next = sci_phrase_peek(phrase);
    if (next == 'W' || next == 'w')
        return sci_phrase_refuse(phrase, "W, the weekday that is nearest, is not known here");
    if (sci_cron_skip_blanks(phrase) || next < 0)
        return SC_OK;
    return sci_phrase_fail(phrase, "a comma or a blank");
}

static void sci_cron_store(sci_cron *cron, int field, uint64_t set)
{
    switch (field) {
    case SCI_CRON_SECOND:
        cron->seconds = set;
        break;
    case SCI_CRON_MINUTE:
        cron->minutes = set;
        break;
    case SCI_CRON_HOUR:
        cron->hours = (uint32_t)set;
        break;
    case SCI_CRON_DAY:
        cron->days = (uint32_t)set;
        break;
    case SCI_CRON_MONTH:
        cron->months = (uint16_t)set;
        break;
    default:
        cron->weekdays = (unsigned char)((set | set >> 7) & 0x7f);
        break;
    }
}

static int sci_cron_count_fields(sci_phrase phrase)
{
    int count = 0;
    while (sci_phrase_peek(&phrase) >= 0) {
        int c = sci_phrase_peek(&phrase);
        while (c >= 0 && c != ' ' && c != '\t') {
            phrase.at++;
            c = sci_phrase_peek(&phrase);
        }
        count++;
        (void)sci_cron_skip_blanks(&phrase);
    }
    return count;
}

/* "@daily": its five fields; empty when there is no such word. */
static sc_slice sci_cron_word(sc_slice word)
{
    static const char *const words[7][2] = {{"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},
                                            {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
                                            {"@monthly", "0 0 1 * *"},  {"@yearly", "0 0 1 1 *"},
                                            {"@annually", "0 0 1 1 *"}};
    while (word.len > 0 && (word.data[word.len - 1] == ' ' || word.data[word.len - 1] == '\t'))
        word.len--;
    for (size_t i = 0; i < SCI_COUNT(words); i++) {
        if (sci_slice_equal(word, sc_text(words[i][0])))
            return sc_text(words[i][1]);
    }
    return sc_bytes(NULL, 0);
}

static sc_status sci_cron_read(sci_cron_parser *parser)
{
    sci_phrase *phrase = &parser->phrase;
    int count = sci_cron_count_fields(*phrase);
    int field = count == SCI_CRON_FIELDS ? SCI_CRON_SECOND : SCI_CRON_MINUTE;
    if (count < SCI_CRON_FIELDS - 1 || count > SCI_CRON_FIELDS) {
        phrase->at = phrase->text.len;
        return sci_phrase_refuse(phrase,
                                 "it must have five fields (minute, hour, day of the month, "
                                 "month, weekday), or six, seconds first");
    }
    bool is_star = false;
    parser->cron->seconds = 1;
    for (; field < SCI_CRON_FIELDS; field++) {
        bool is_day = field == SCI_CRON_DAY || field == SCI_CRON_WEEKDAY;
        is_star = is_star || (is_day && sci_phrase_peek(phrase) == '*');
        sc_status status = sci_cron_read_field(parser, &sci_cron_fields[field]);
        if (status != SC_OK)
            return status;
        sci_cron_store(parser->cron, field, parser->set);
    }
    parser->cron->either = !is_star;
    return SC_OK;
}

static int64_t sci_cron_day(const sci_cron *cron, int64_t day, int64_t end);

/* Every kind of year is looked at: see SCI_CRON_SAMPLE_YEAR. */
static bool sci_cron_has_a_day(const sci_cron *cron)
{
    int64_t day = sci_calendar_days(SCI_CRON_SAMPLE_YEAR, 1, 1);
    int64_t end = sci_calendar_days(SCI_CRON_SAMPLE_YEAR + SCI_CRON_SAMPLE_YEARS, 1, 1);
    return sci_cron_day(cron, day, end) < end;
}

SCI_PRIVATE sc_status sci_cron_parse(sc_slice text, sci_cron *cron)
{
    sci_cron_parser parser;
    memset(&parser, 0, sizeof parser);
    memset(cron, 0, sizeof *cron);
    parser.cron = cron;
    parser.phrase.what = "cron expression";
    parser.phrase.text = text;
    (void)sci_cron_skip_blanks(&parser.phrase);
    if (sci_phrase_peek(&parser.phrase) == '@') {
        size_t at = parser.phrase.at;
        sc_slice fields = sci_cron_word(sc_bytes(text.data + at, text.len - at));
        if (fields.len == 0)
            return sci_phrase_refuse(&parser.phrase,
                                     "of words there are @hourly, @daily, @midnight, @weekly, "
                                     "@monthly, @yearly and @annually");
        parser.phrase.text = fields;
        parser.phrase.at = 0;
    }
    sc_status status = sci_cron_read(&parser);
    if (status == SC_OK && !sci_cron_has_a_day(cron)) {
        parser.phrase.at = 0;
        status = sci_phrase_refuse(&parser.phrase, "no year has such a day, it would never be due");
    }
    return status;
}

/* --- What is due */

/* The least member from `from` on; 64 when there is none. */
static int sci_cron_member(uint64_t set, int from)
{
    int at = from;
    while (at < 64 && !(set >> at & 1))
        at++;
    return at;
}

static bool sci_cron_day_is_due(const sci_cron *cron, const sci_civil *civil)
{
    bool is_last = civil->day == civil->month_days;
    bool is_last_week = civil->day + 7 > civil->month_days;
    bool by_day = (cron->days >> civil->day & 1) || (is_last && (cron->days & 1));
    unsigned weekdays = cron->weekdays | (unsigned)cron->nth[(civil->day - 1) / 7];
    if (is_last_week)
        weekdays |= cron->last;
    bool by_weekday = weekdays >> civil->weekday & 1;
    return cron->either ? by_day || by_weekday : by_day && by_weekday;
}

/* The first due day from `day` on, days since 1970; `end` when none is before that. */
static int64_t sci_cron_day(const sci_cron *cron, int64_t day, int64_t end)
{
    while (day < end) {
        sci_civil civil;
        sci_calendar_split(day * SCI_DAY_S, &civil);
        if (!(cron->months >> civil.month & 1))
            day += civil.month_days - civil.day + 1;
        else if (sci_cron_day_is_due(cron, &civil))
            return day;
        else
            day++;
    }
    return end;
}

/* The first due time of a day from `second` of the day on; SCI_DAY_S or more when there is none. */
static int sci_cron_time(const sci_cron *cron, int second)
{
    int hour = second / 3600;
    int minute = second / 60 % 60;
    second = sci_cron_member(cron->seconds, second % 60);
    if (second > 59)
        minute++;
    int due = sci_cron_member(cron->minutes, minute);
    if (second > 59 || due > minute)
        second = sci_cron_member(cron->seconds, 0);
    if (due > 59)
        hour++;
    minute = due;
    due = sci_cron_member(cron->hours, hour);
    if (minute > 59 || due > hour) {
        minute = sci_cron_member(cron->minutes, 0);
        second = sci_cron_member(cron->seconds, 0);
    }
    return due * 3600 + minute * 60 + second;
}

/* The first due time that a clock shows from `from_s` on, both in seconds since 1970 of that clock;
   `end_s` when none is before that. */
static int64_t sci_cron_local(const sci_cron *cron, int64_t from_s, int64_t end_s)
{
    int64_t today = sci_floor_divide(from_s, SCI_DAY_S);
    int second = sci_cron_time(cron, (int)(from_s - today * SCI_DAY_S));
    int64_t from_day = second < SCI_DAY_S ? today : today + 1;
    int64_t end_day = sci_floor_divide(end_s, SCI_DAY_S) + 1;
    int64_t day = sci_cron_day(cron, from_day, sci_max_i64(end_day, from_day));
    if (day > today)
        second = sci_cron_time(cron, 0);
    return sci_min_i64(day * SCI_DAY_S + second, end_s);
}

/* The latest time that the clock had shown before the span, seconds since 1970 of that clock, and
   one. Older spans than these cannot have shown what the span shows. */
static int64_t sci_cron_shown_before(const sci_zone *zone, const sci_zone_span *span)
{
    int64_t shown_s = -SCI_ZONE_EVER_S;
    sci_zone_span before = *span;
    while (before.begins_s > -SCI_ZONE_EVER_S &&
           before.begins_s > span->begins_s - SCI_ZONE_OFFSETS_S) {
        sci_zone_find(zone, before.begins_s - 1, &before);
        shown_s = sci_max_i64(shown_s, before.ends_s + before.offset_s);
    }
    return shown_s;
}

SCI_PRIVATE int64_t sci_cron_next(const sci_cron *cron, const sci_zone *zone, int64_t after_s)
{
    int64_t from_s = after_s + 1;
    int64_t give_up_s = from_s + (int64_t)SCI_CRON_MOST_DAYS * SCI_DAY_S;
    while (from_s < give_up_s) {
        sci_zone_span span;
        sci_zone_find(zone, from_s, &span);
        int64_t local_s = from_s + span.offset_s;
        int64_t end_s = sci_min_i64(span.ends_s, give_up_s) + span.offset_s;
        if (from_s < span.begins_s + SCI_ZONE_OFFSETS_S) {
            int64_t shown_s = sci_cron_shown_before(zone, &span);
            bool is_leap = from_s == span.begins_s && shown_s < local_s;
            if (is_leap || (shown_s > local_s && cron->hours != SCI_CRON_ALL_HOURS))
                local_s = shown_s;
        }
        int64_t due_s = local_s < end_s ? sci_cron_local(cron, local_s, end_s) : end_s;
        if (due_s < end_s)
            return sci_max_i64(due_s - span.offset_s, from_s);
        from_s = span.ends_s;
    }
    return SCI_CRON_NEVER;
}
