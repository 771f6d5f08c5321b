#pragma once
/* The rooms of time zones and cron expressions with what they stand on. The library does not
   assemble them yet, since nothing in it uses them. */

#define SMARTCACHE_NO_THREADS

#include "base/error.c"
#include "base/memory.c"
#include "base/number.c"

#include "base/calendar.c"
#include "base/phrase.c"

#include "cache/zone_rule.c"

#include "cache/zone.c"

#include "cache/zone_open.c"

#include "cache/cron.c"

#include <stdlib.h>

static void must(bool condition)
{
    if (!condition)
        abort();
}

static inline void *resize_block(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (new_size > 0)
        return realloc(block, new_size);
    free(block);
    return NULL;
}
