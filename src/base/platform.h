#pragma once
/* The platform's own memory, clock and random. Under SMARTCACHE_NO_POSIX (default: off) there are
   none, and sc_config must bring every table. */

#include "base/prelude.h"

/* Each copies the platform's table into `*table`; false where there is none. */
SCI_PRIVATE bool sci_platform_memory(sc_memory *table);
SCI_PRIVATE bool sci_platform_clock(sc_clock *table);
SCI_PRIVATE bool sci_platform_random(sc_random *table);
