#pragma once
/* Time zones as a rule that holds for all years: the value of the environment variable TZ by
   POSIX.1-2017, Base Definitions 8.3, as TZif files have it in their footers (RFC 9636, 3.3.1). */

#include "base/prelude.h"

/* Longest abbreviation of a zone's time ("CEST"), its NUL included. */
#define SCI_ZONE_NAME_BYTES 16
/* Offsets from UTC, in seconds east of it, are within these (RFC 9636, 3.2): a day and an hour. */
#define SCI_ZONE_LEAST_OFFSET_S (-89999)
#define SCI_ZONE_MOST_OFFSET_S 93599
/* Two local times of the same instant are no further apart. */
#define SCI_ZONE_OFFSETS_S (SCI_ZONE_MOST_OFFSET_S - SCI_ZONE_LEAST_OFFSET_S)
/* Stands for the infinite; what an offset is added to does not overflow. Instants that the
   functions here take are nearer to 1970 than half of it (9 thousand million years). */
#define SCI_ZONE_EVER_S ((int64_t)1 << 59)

/* A time during which the clock neither leaps nor changes its name. */
typedef struct sci_zone_span {
    int64_t begins_s; /* seconds since 1970 UTC; -SCI_ZONE_EVER_S: it always was so */
    int64_t ends_s;   /* the first second after it; SCI_ZONE_EVER_S: it stays so */
    int32_t offset_s; /* local time minus UTC */
    bool is_dst;
    const char *name; /* the abbreviation, such as "CET"; as long as the zone */
} sci_zone_span;

/* When the clock is changed in any year. */
typedef struct sci_zone_change {
    char form;    /* 'M', 'J' or, for the form without a letter, 'D' */
    int16_t day;  /* J: 1 to 365, 29 February left out; D: 0 to 365; M: the weekday, Sunday is 0 */
    int8_t week;  /* M: 1 to 5; 5 is the last */
    int8_t month; /* M */
    int32_t time_s; /* from midnight of that day on the clock before the change; within 168 hours */
} sci_zone_change;

typedef struct sci_zone_half {
    char name[SCI_ZONE_NAME_BYTES];
    int32_t offset_s;       /* local time minus UTC */
    sci_zone_change begins; /* only when there is daylight saving time */
} sci_zone_half;

typedef struct sci_zone_rule {
    sci_zone_half standard;
    sci_zone_half dst;
    bool has_dst;
} sci_zone_rule;

/* "CET-1CEST,M3.5.0,M10.5.0/3", "<+0530>-5:30", "EST5EDT4,J60/-1:30,300/167": the offsets are those
   west of Greenwich, up to 24:59:59; the times of changes may have up to 167 hours and a sign, as
   in TZif of version 3. A zone with daylight saving time must say when it begins and ends: POSIX
   leaves the default to the system, and systems assume the rule of the United States.
   SC_ERR_ARGUMENT with the offset and what was expected there. */
SCI_PRIVATE sc_status sci_zone_rule_parse(sc_slice text, sci_zone_rule *rule);
/* Always UTC plus `offset_s`, under that name. */
SCI_PRIVATE void sci_zone_rule_fix(sci_zone_rule *rule, int32_t offset_s, sc_slice name);
/* The span with `at_s`. It may be followed by one that differs in nothing. Daylight saving time
   runs from each year's beginning to the next end, so it is always in force where the end is that
   of the next year's beginning ("EST5EDT,0/0,J365/25"), and never where both are one instant. */
SCI_PRIVATE void sci_zone_rule_find(const sci_zone_rule *rule, int64_t at_s, sci_zone_span *span);
