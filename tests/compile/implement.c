/* The implementation, as a program has it: in one file, before any system header. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

/* A second inclusion changes nothing, nor does a second wish to implement. */
#include "smartcache.h"
