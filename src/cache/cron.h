#pragma once
/* Cron expressions: when a job is due. The language is that of Vixie cron (crontab(5)) and of
   cronie; POSIX.1-2017 (crontab) has its beginnings.

     minute hour day-of-month month weekday             0-59 0-23 1-31 1-12 0-7
     second minute hour day-of-month month weekday      six fields: seconds, 0-59, come first

   Blanks and tabs stand between fields. A field is a list of elements with commas between them:
     *             every value
     7, mar, SUN   a value. Months and weekdays also have names, the first three letters of the
                   English ones, in any case. Sunday is 0 and 7.
     9-17, mon-fri a range. It does not run backwards, but Sunday may end one (fri-sun).
     *\/5, 9-17/2  a step: every n-th value from the first on. Not after a single value, of which
                   crons think differently; nor greater than the number of the field's values, where
                   it would never be taken (*\/90 in the minutes is not every 90 minutes).
     L             as a day of the month: the last
     5L, friL      as a weekday: the month's last Friday
     5#2, fri#2    as a weekday: the month's second Friday; 1 to 5
   W (the nearest weekday), ? and years are refused. So are @every, @reboot and any other word but
     @hourly  0 * * * *     @daily, @midnight   0 0 * * *     @weekly  0 0 * * 0
     @monthly 0 0 1 * *     @yearly, @annually  0 0 1 1 *

   When neither the day of the month nor the weekday begins with a star, a day is due that is in
   either (POSIX). When one of them begins with a star, also as *\/2, a day must be in both, as
   Vixie cron has it.

   When clocks change, each time that is in the expression is due once: when the clock first shows
   it or, where the clock leaps over it, at the first instant after the leap; all that one leap
   passes are due together, once. What the clock shows a second time is not due again, unless the
   hours are all hours (*, *\/1, 0-23): then it is, so that a job of every five minutes, or of every
   hour, goes on while an hour repeats. (Vixie cron takes jobs with a star in the minutes or the
   hours by the clock alone, so that of "* 2 * * *" nothing is left on the day that has no 2
   o'clock.) */

#include "api/timer.h"
#include "cache/zone.h"

/* Whoever waits for the wall clock looks at it so often at least. */
#define SCI_CRON_LOOK_S 60
/* Set back further than this, the clock was wrong before. */
#define SCI_CRON_STEP_BACK_S (3 * 3600)

/* No instant. Of an expression that was parsed there always is a next one, within 41 years. */
#define SCI_CRON_NEVER INT64_MAX

/* Sets have a bit for each value. No allocation: copying is fine, and any thread may use it. */
typedef struct sci_cron {
    uint64_t seconds;
    uint64_t minutes;
    uint32_t hours;
    uint32_t days; /* of the month; bit 0 is its last */
    uint16_t months;
    unsigned char weekdays; /* Sunday is bit 0 */
    unsigned char nth[5];   /* weekdays by their number in the month, from the first on */
    unsigned char last;     /* weekdays, the last in the month */
    bool either;            /* days or weekdays; else both */
} sci_cron;

/* SC_ERR_ARGUMENT with the offset in `text` and what was expected there; also when no day can be
   due ("0 0 30 2 *"). `*cron` then is nothing. */
SCI_PRIVATE sc_status sci_cron_parse(sc_slice text, sci_cron *cron);
/* The first instant after `after_s` that is due in `zone`; both in seconds since 1970 UTC, within
   SCI_ZONE_EVER_S / 2. Costs some steps for each change of the clock and each month until then, not
   for each minute. */
SCI_PRIVATE int64_t sci_cron_next(const sci_cron *cron, const sci_zone *zone, int64_t after_s);
/* What a program says: cron_timer.c. SC_ERR_ARGUMENT, and those of sci_zone_open; after an error the
   zone needs no closing. */
SCI_PRIVATE sc_status sci_cron_configure(const sc_cron_config *config, const sc_memory *memory,
                                         sci_cron *cron, sci_zone *zone);
