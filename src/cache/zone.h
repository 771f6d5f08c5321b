#pragma once
/* Time zones: what a clock on the wall shows at an instant, and when it shows something.

   From TZif data (RFC 9636, of which RFC 8536 is the older edition; versions 1 to 4), whose footer
   holds for all years after its last transition; from a POSIX TZ string; or a fixed offset. Leap
   seconds are none here, as in POSIX: data that counts them ("right/") is refused, since a POSIX
   clock read by it would be half a minute wrong. A zone does not change after it was made: any
   thread may use it. */

#include "base/calendar.h"
#include "base/memory.h"
#include "cache/zone_rule.h"

/* Of TZif data; larger is refused (SC_ERR_LIMIT). The transitions that tools produce are 2,000 at
   most, 28 KiB in both of a file's blocks. */
#define SCI_ZONE_DATA_BYTES ((size_t)64 << 10)
#define SCI_ZONE_FOLDER "/usr/share/zoneinfo"
/* Of a file that is found by name, the NUL included. */
#define SCI_ZONE_PATH_BYTES 512

typedef struct sci_zone_type {
    int32_t offset_s;
    bool is_dst;
    unsigned char name_at;
} sci_zone_type;

typedef struct sci_zone {
    sc_memory memory;
    void *block; /* owned: what the pointers below point into; NULL when there is only the rule */
    size_t block_bytes;
    size_t count;                 /* of transitions */
    const int64_t *at_s;          /* transitions, ascending */
    const sci_zone_type *types;   /* type 0 holds before the first transition */
    const unsigned char *type_of; /* after that transition */
    const char *names;
    sci_zone_rule rule; /* from the last transition on */
    bool has_rule;      /* else the last transition's type stays */
} sci_zone;

/* Where names are looked up. */
typedef struct sci_zone_source {
    const sc_memory *memory;
    const sc_files *files; /* NULL: there are none; offsets and TZ strings do without */
    const char *folder;    /* of TZif files by name; NULL: SCI_ZONE_FOLDER */
    const char *tz;        /* the environment's TZ; NULL: not set */
} sci_zone_source;

/* A zone by name:
     NULL, "", "UTC", "Z"           UTC, the default
     "local"                        the system's: `tz` (a TZ string, a name, a path, with or without
                                    a colon before it; empty is UTC), else /etc/localtime, else UTC
     "+02", "+0530", "-03:30"       always that much ahead of (+) or behind UTC, to 24:59
     "Europe/Berlin"                a file of the folder; names of no file are read as TZ strings
     "CET-1CEST,M3.5.0,M10.5.0/3"   a TZ string: see sci_zone_rule_parse
     ":/etc/zone"                   that TZif file
   A path without the colon, and names with "..", are refused; and "UTC+2", which is two hours
   behind UTC to POSIX, and two ahead of it to people. SC_ERR_ARGUMENT: a wrong name, or data that
   is not TZif; SC_ERR_UNSUPPORTED: there are no files to look a name up; SC_ERR_LIMIT, SC_ERR_IO,
   SC_ERR_MEMORY. The detail text has what was wrong, where, and what to write instead. After an
   error `*zone` is UTC. May block as `files` does. */
SCI_PRIVATE sc_status sci_zone_open(sci_zone *zone, const sci_zone_source *source,
                                    const char *name);
/* From the bytes of a TZif file, which are copied. Errors as above. */
SCI_PRIVATE sc_status sci_zone_read(sci_zone *zone, const sc_memory *memory, sc_slice data);
/* UTC itself: needs no memory, and closing it is fine. */
SCI_PRIVATE void sci_zone_set_utc(sci_zone *zone);
SCI_PRIVATE void sci_zone_close(sci_zone *zone);

/* The span with `at_s`, an instant in seconds since 1970 UTC. What the clock shows then is
   sci_calendar_split(at_s + span.offset_s). Neighbouring spans may differ in nothing. */
SCI_PRIVATE void sci_zone_find(const sci_zone *zone, int64_t at_s, sci_zone_span *span);

/* How often a clock shows a time. */
typedef enum sci_zone_shows {
    SCI_ZONE_ONCE,
    SCI_ZONE_NEVER, /* the clock was set forward over it */
    SCI_ZONE_AGAIN  /* it was set back: twice, or more often */
} sci_zone_shows;

typedef struct sci_zone_instants {
    sci_zone_shows shows;
    int64_t
        first_s; /* seconds since 1970 UTC; NEVER: when the clock was set, the first instant after
                        what it left out */
    int64_t last_s;
} sci_zone_instants;

/* When does the clock show `local_s`, seconds from 1970-01-01 00:00 to there on that clock?
   Inline: it costs nothing where it is not used. */
static inline void sci_zone_instants_of(const sci_zone *zone, int64_t local_s,
                                        sci_zone_instants *instants)
{
    sci_zone_span span;
    bool is_shown = false;
    int64_t passed_s = INT64_MIN; /* where the clock leaps over the time */
    int64_t at_s = local_s - SCI_ZONE_MOST_OFFSET_S;
    sci_zone_find(zone, at_s, &span);
    int64_t before_s = local_s; /* shown last before this span */
    while (span.begins_s <= local_s - SCI_ZONE_LEAST_OFFSET_S) {
        at_s = local_s - span.offset_s;
        if (passed_s == INT64_MIN && before_s <= local_s && span.begins_s + span.offset_s > local_s)
            passed_s = span.begins_s;
        if (at_s >= span.begins_s && at_s < span.ends_s) {
            instants->first_s = is_shown ? instants->first_s : at_s;
            instants->last_s = at_s;
            instants->shows = is_shown ? SCI_ZONE_AGAIN : SCI_ZONE_ONCE;
            is_shown = true;
        }
        before_s = span.ends_s + span.offset_s;
        if (span.ends_s >= SCI_ZONE_EVER_S)
            break;
        sci_zone_find(zone, span.ends_s, &span);
    }
    if (!is_shown) {
        instants->shows = SCI_ZONE_NEVER;
        instants->first_s = instants->last_s = passed_s;
    }
}
