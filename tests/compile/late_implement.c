/* Declared first (by some other header), implemented later in the same file. */
#define _DEFAULT_SOURCE 1
#include "smartcache.h"

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"
