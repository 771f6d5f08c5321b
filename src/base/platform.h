#pragma once
/* The platform's own memory, clock, random and time zone. Under SMARTCACHE_NO_POSIX (default: off) there are
   none, and sc_config must bring every table. */

#include "base/prelude.h"

/* Each copies the platform's table into `*table`; false where there is none. */
SCI_PRIVATE bool sci_platform_memory(sc_memory *table);
SCI_PRIVATE bool sci_platform_clock(sc_clock *table);
SCI_PRIVATE bool sci_platform_random(sc_random *table);
/* The host's name, cut at `cap`, and the process's id: the length; 0 where they are not known. */
SCI_PRIVATE size_t sci_platform_host_name(char *name, size_t cap, int64_t *process_id);
/* The name of the time zone in the environment (TZ), valid until the environment changes; NULL: it
   has none. */
SCI_PRIVATE const char *sci_platform_time_zone(void);
