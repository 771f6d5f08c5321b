/* smartcache on a board: no POSIX, no threads, lwIP's sockets. */

#define SMARTCACHE_NO_POSIX
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#define SMARTCACHE_LWIP_IMPLEMENTATION
#include "smartcache_lwip.h"
