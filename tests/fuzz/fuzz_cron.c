/* Cron expressions: no text breaks the parser; what it takes is due again and again, at times that
   are in the expression, and at no other; what it refuses it refuses with words. The first line is
   an expression, the second a TZ string. */

#include "zone_rooms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Due times of an expression, and instants between two, that are looked at. */
#define TIMES 6
#define LOOKS 8

static uint64_t random_state;

static int64_t draw(int64_t most)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((random_state >> 20) % (uint64_t)(most + 1));
}

/* Is the time in the expression? By the sets alone, without the functions that look for the next.
   */
static bool is_in(const sci_cron *cron, int64_t local_s)
{
    sci_civil at, week_later;
    sci_calendar_split(local_s, &at);
    sci_calendar_split(local_s + 7 * SCI_DAY_S, &week_later);
    bool is_last = week_later.month != at.month;
    bool by_day = (cron->days >> at.day & 1) || (at.day == at.month_days && (cron->days & 1));
    bool by_weekday = (cron->weekdays >> at.weekday & 1) ||
                      (cron->nth[(at.day - 1) / 7] >> at.weekday & 1) ||
                      (is_last && (cron->last >> at.weekday & 1));
    return (cron->seconds >> at.second & 1) && (cron->minutes >> at.minute & 1) &&
           (cron->hours >> at.hour & 1) && (cron->months >> at.month & 1) &&
           (cron->either ? by_day || by_weekday : by_day && by_weekday);
}

/* Had the clock shown this time, or a later one, in a span before? */
static bool is_second_showing(const sci_zone *zone, int64_t at_s)
{
    sci_zone_span span;
    sci_zone_find(zone, at_s, &span);
    int64_t local_s = at_s + span.offset_s;
    while (span.begins_s > at_s - SCI_ZONE_OFFSETS_S) {
        sci_zone_find(zone, span.begins_s - 1, &span);
        if (span.ends_s + span.offset_s > local_s)
            return true;
    }
    return false;
}

static bool is_due(const sci_cron *cron, const sci_zone *zone, int64_t at_s)
{
    sci_zone_span span;
    sci_zone_find(zone, at_s, &span);
    return is_in(cron, at_s + span.offset_s) &&
           (cron->hours == 0xffffff || !is_second_showing(zone, at_s));
}

/* When the clock leapt here, over a time that is in the expression. */
static bool is_leap(const sci_cron *cron, const sci_zone *zone, int64_t at_s)
{
    sci_zone_span before;
    sci_zone_span span;
    sci_zone_find(zone, at_s, &span);
    sci_zone_find(zone, at_s - 1, &before);
    for (int64_t local_s = at_s + before.offset_s; local_s < at_s + span.offset_s; local_s++)
        if (is_in(cron, local_s))
            return true;
    return false;
}

static void check(const sci_cron *cron, const sci_zone *zone)
{
    int64_t at_s = draw((int64_t)400 * 366 * SCI_DAY_S) - (int64_t)200 * 366 * SCI_DAY_S;
    for (int i = 0; i < TIMES; i++) {
        int64_t next_s = sci_cron_next(cron, zone, at_s);
        must(next_s > at_s && next_s - at_s < (int64_t)41 * 366 * SCI_DAY_S);
        must(is_due(cron, zone, next_s) || is_leap(cron, zone, next_s));
        must(sci_cron_next(cron, zone, next_s - 1) == next_s);
        for (int j = 0; j < LOOKS && next_s - at_s > 1; j++) {
            int64_t between_s = at_s + 1 + draw(next_s - at_s - 2);
            must(!is_due(cron, zone, between_s));
            must(sci_cron_next(cron, zone, between_s) == next_s);
        }
        at_s = next_s;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sci_cron cron;
    sci_zone zone;
    const uint8_t *end = size ? (const uint8_t *)memchr(data, '\n', size) : NULL;
    size_t len = end ? (size_t)(end - data) : size;
    random_state = size;
    for (size_t i = 0; i < size; i++)
        random_state = random_state * 31 + data[i];
    sci_zone_set_utc(&zone);
    if (end && sci_zone_rule_parse(sc_bytes(end + 1, size - len - 1), &zone.rule) != SC_OK)
        sci_zone_set_utc(&zone);
    if (sci_cron_parse(sc_bytes(data, len), &cron) == SC_OK)
        check(&cron, &zone);
    else
        must(memcmp(sc_error_text(), "cron expression \"", 17) == 0);
    return 0;
}
