/* Days and dates of the Gregorian calendar. Years are counted from March here, so that the leap day
   is a year's last, and in eras of 400 years, after which the calendar repeats (Howard Hinnant,
   "chrono-Compatible Low-Level Date Algorithms"). */

#include "base/calendar.h"

#define SCI_ERA_YEARS 400
#define SCI_ERA_DAYS 146097
#define SCI_FOUR_YEARS_DAYS 1461
/* From 0000-03-01 to 1970-01-01. */
#define SCI_EPOCH_DAYS 719468

/* Days before a month of a year that begins in March; 0 for March. The months have 31 and 30 days
   by turns, five of them 153. */
static int64_t sci_calendar_days_before(int64_t month)
{
    return (153 * month + 2) / 5;
}

SCI_PRIVATE int64_t sci_calendar_days(int64_t year, int month, int64_t day)
{
    int64_t from_march = month > 2 ? month - 3 : month + 9;
    year -= month <= 2;
    int64_t era = sci_floor_divide(year, SCI_ERA_YEARS);
    int64_t year_of_era = year - era * SCI_ERA_YEARS;
    int64_t leap_days = year_of_era / 4 - year_of_era / 100;
    return era * SCI_ERA_DAYS + year_of_era * 365 + leap_days +
           sci_calendar_days_before(from_march) + day - 1 - SCI_EPOCH_DAYS;
}

SCI_PRIVATE int sci_calendar_month_days(int64_t year, int month)
{
    if (month == 2)
        return 28 + (year % 4 == 0 && (year % 100 != 0 || year % SCI_ERA_YEARS == 0));
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

SCI_PRIVATE int sci_calendar_weekday(int64_t days)
{
    const int thursday = 4; /* 1970-01-01 */
    return (int)(days + thursday - sci_floor_divide(days + thursday, 7) * 7);
}

SCI_PRIVATE void sci_calendar_split(int64_t seconds, sci_civil *civil)
{
    int64_t days = sci_floor_divide(seconds, SCI_DAY_S);
    int of_day = (int)(seconds - days * SCI_DAY_S);
    int64_t shifted = days + SCI_EPOCH_DAYS;
    int64_t era = sci_floor_divide(shifted, SCI_ERA_DAYS);
    int64_t day_of_era = shifted - era * SCI_ERA_DAYS;
    /* Without the leap days before it, each year of the era has 365 days. */
    int64_t leap_days = day_of_era / (SCI_FOUR_YEARS_DAYS - 1) - day_of_era / (SCI_ERA_DAYS / 4) +
                        day_of_era / (SCI_ERA_DAYS - 1);
    int64_t year_of_era = (day_of_era - leap_days) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * day_of_year + 2) / 153;
    civil->day = (int)(day_of_year - sci_calendar_days_before(from_march) + 1);
    civil->month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    civil->year = era * SCI_ERA_YEARS + year_of_era + (civil->month <= 2);
    civil->hour = of_day / 3600;
    civil->minute = of_day / 60 % 60;
    civil->second = of_day % 60;
    civil->weekday = sci_calendar_weekday(days);
    civil->month_days = sci_calendar_month_days(civil->year, civil->month);
}
