#pragma once
/* The Gregorian calendar, for all years (the proleptic one), without leap seconds: the arithmetic
   of "Seconds Since the Epoch", POSIX.1-2017 Base Definitions 4.16. */

#include "base/prelude.h"

#define SCI_DAY_S 86400

/* A date and a time of day as a clock on the wall shows them. */
typedef struct sci_civil {
    int64_t year;
    int month;   /* 1 to 12 */
    int day;     /* 1 to month_days */
    int hour;    /* 0 to 23 */
    int minute;  /* 0 to 59 */
    int second;  /* 0 to 59 */
    int weekday; /* 0 (Sunday) to 6 */
    int month_days;
} sci_civil;

/* floor(dividend / divisor), which C rounds towards 0; `divisor` > 0. */
static inline int64_t sci_floor_divide(int64_t dividend, int64_t divisor)
{
    return dividend / divisor - (dividend % divisor < 0);
}

/* Days from 1970-01-01 to that day. `month` 1 to 12; any `day`, also beyond the month's end. `year`
   within 2^50 of 0. */
SCI_PRIVATE int64_t sci_calendar_days(int64_t year, int month, int64_t day);
SCI_PRIVATE int sci_calendar_month_days(int64_t year, int month);
/* 0 (Sunday) to 6 of a day counted from 1970-01-01. */
SCI_PRIVATE int sci_calendar_weekday(int64_t days);
/* `seconds` since 1970-01-01 00:00 of the same clock, within 2^61 of 0. */
SCI_PRIVATE void sci_calendar_split(int64_t seconds, sci_civil *civil);
