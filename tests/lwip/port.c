/* The port as a POSIX program has it: in a file of its own, without a socket header of the host. */

#define SMARTCACHE_LWIP_IMPLEMENTATION
#include "smartcache_lwip.h"
