#pragma once
/* What the fuzz targets of time zones and cron expressions share. */

#include "smartcache.h"

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
