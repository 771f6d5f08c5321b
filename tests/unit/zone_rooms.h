#pragma once
/* What the tests of time zones and cron expressions share. */

#include <stdlib.h>
#include <unistd.h>

/* The C library's time zones, what these rooms are compared with. The test has one thread. */
static inline void use_c_library_zone(const char *tz)
{
    if (setenv("TZ", tz, 1) != 0)
        abort();
    tzset();
}

/* Numbers that are the same in each run. */
static inline uint64_t draw_number(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline int64_t draw_between(uint64_t *state, int64_t least, int64_t most)
{
    return least + (int64_t)(draw_number(state) % (uint64_t)(most - least + 1));
}

/* Skips the test where the system has no time zones. */
static inline void need_zoneinfo(void)
{
    if (access(SCI_ZONE_FOLDER "/Europe/Berlin", R_OK) != 0) {
        print_message("there is no time zone data in " SCI_ZONE_FOLDER "\n");
        skip();
    }
}
