#pragma once
/* What lwIP wants to know of the compiler and the C library: newlib, and board.h for the rest. */

#include "board.h"

#include <limits.h>
#include <sys/time.h>
#include <sys/types.h>

/* newlib has them all, but not the limit by which lwIP would notice ssize_t. */
#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_ERRNO_STDINCLUDE 1
#ifndef SSIZE_MAX
#define SSIZE_MAX INT_MAX
#endif

/* Port numbers and the first TCP sequence number: what an attacker must not guess. */
#define LWIP_RAND() board_random_u32()

#define LWIP_PLATFORM_DIAG(words) printf words
#define LWIP_PLATFORM_ASSERT(words) board_panic("lwIP: " words)
