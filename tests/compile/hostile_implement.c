/* The implementation where socket calls are macros, as on lwIP: without the system's own. */
#include "hostile.h"

#define SMARTCACHE_NO_POSIX
#include "implement.c"
