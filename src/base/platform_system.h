#pragma once
/* What the platform's files need to see of the system's headers. POSIX.1-2008 is enough; what they
   call beyond it is declared here where the headers hide it. */

#include "base/prelude.h"

#ifndef SMARTCACHE_NO_POSIX

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if !defined(CLOCK_MONOTONIC) || !defined(O_CLOEXEC)
#error                                                                                             \
    "smartcache.h needs POSIX.1-2008, and a system header came before it without: include smartcache.h first, or compile with -D_POSIX_C_SOURCE=200809L"
#endif

#if defined(__linux__)
#include <sys/syscall.h>

/* Both of BSD, and in every C library for Linux, whose headers show them where they show
   MADV_NORMAL. */
#if !defined(MADV_NORMAL)
#ifdef __cplusplus
extern "C" {
#endif
extern long syscall(long number, ...);
extern int madvise(void *address, size_t len, int advice);
#ifdef __cplusplus
}
#endif
#endif

/* The kernel's numbers, where the headers hide them. A wrong one would be refused. */
#if defined(MAP_ANONYMOUS)
#define SCI_MAP_ANONYMOUS MAP_ANONYMOUS
#elif defined(__mips__) || defined(__xtensa__)
#define SCI_MAP_ANONYMOUS 0x800
#elif defined(__alpha__) || defined(__hppa__)
#define SCI_MAP_ANONYMOUS 0x10
#else
#define SCI_MAP_ANONYMOUS 0x20
#endif
#if defined(MADV_WIPEONFORK)
#define SCI_MADV_WIPEONFORK MADV_WIPEONFORK
#else
#define SCI_MADV_WIPEONFORK 18
#endif
#endif

#endif
