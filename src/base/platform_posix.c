/* The platform's own memory, clock, random and time zone, from POSIX. */

#include "base/platform.h"

#include "base/platform_system.h"

#ifndef SMARTCACHE_NO_POSIX

#include <errno.h>
#include <stdlib.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

static void *sci_platform_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (new_size == 0) {
        free(block);
        return NULL;
    }
    return block ? realloc(block, new_size) : malloc(new_size);
}

SCI_PRIVATE bool sci_platform_memory(sc_memory *table)
{
    table->user = NULL;
    table->resize = sci_platform_resize;
    return true;
}

static int64_t sci_platform_monotonic_ns(void *user)
{
    struct timespec now;
    (void)user;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

#if defined(CLOCK_BOOTTIME)
static int64_t sci_platform_boottime_ns(void *user)
{
    struct timespec now;
    (void)user;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}
#endif

static int64_t sci_platform_wall_ms(void *user)
{
    struct timespec now;
    (void)user;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

SCI_PRIVATE bool sci_platform_clock(sc_clock *table)
{
    table->user = NULL;
    table->wall_ms = sci_platform_wall_ms;
    table->monotonic_ns = sci_platform_monotonic_ns;
#if defined(CLOCK_BOOTTIME)
    /* The headers may know a clock that the running kernel does not. */
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) == 0)
        table->monotonic_ns = sci_platform_boottime_ns;
#endif
    return true;
}

/* From the device, for kernels older than the system call. */
static sc_status sci_platform_random_device(char *at, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sc_fail(SC_ERR_IO, "no random bytes: /dev/urandom cannot be opened (errno %d)",
                       errno);
    int error = 0;
    while (len > 0 && error == 0) {
        /* Parentheses, here and below: programs may have macros of these names. */
        ssize_t got = (read)(fd, at, len);
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        } else if (got == 0) {
            error = EIO;
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    (void)(close)(fd);
    if (error != 0)
        return sc_fail(SC_ERR_IO, "no random bytes: reading /dev/urandom failed (errno %d)", error);
    return SC_OK;
}

/* Some bytes from the system call, at most 256 as getentropy wants it; 0 when there is none. */
static size_t sci_platform_random_some(char *at, size_t len)
{
    len = sci_min_size(len, 256);
#if defined(__linux__) && defined(SYS_getrandom)
    /* Memory sanitizers do not see what a bare system call writes. */
    memset(at, 0, len);
    long got;
    do {
        got = syscall(SYS_getrandom, at, len, 0);
    } while (got < 0 && errno == EINTR);
    return got > 0 ? (size_t)got : 0;
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__)
    return getentropy(at, len) == 0 ? len : 0;
#else
    (void)at;
    return 0;
#endif
}

static sc_status sci_platform_fill(void *user, void *buffer, size_t len)
{
    char *at = (char *)buffer;
    (void)user;
    while (len > 0) {
        size_t got = sci_platform_random_some(at, len);
        if (got == 0)
            return sci_platform_random_device(at, len);
        at += got;
        len -= got;
    }
    return SC_OK;
}

SCI_PRIVATE bool sci_platform_random(sc_random *table)
{
    table->user = NULL;
    table->fill = sci_platform_fill;
    return true;
}

SCI_PRIVATE size_t sci_platform_host_name(char *name, size_t cap, int64_t *process_id)
{
    *process_id = (int64_t)getpid();
    if (gethostname(name, cap) != 0)
        return 0;
    name[cap - 1] = '\0'; /* one that does not fit may come without */
    return strlen(name);
}

SCI_PRIVATE const char *sci_platform_time_zone(void)
{
    return getenv("TZ");
}

#else /* SMARTCACHE_NO_POSIX */

SCI_PRIVATE bool sci_platform_memory(sc_memory *table)
{
    (void)table;
    return false;
}

SCI_PRIVATE bool sci_platform_clock(sc_clock *table)
{
    (void)table;
    return false;
}

SCI_PRIVATE bool sci_platform_random(sc_random *table)
{
    (void)table;
    return false;
}

SCI_PRIVATE size_t sci_platform_host_name(char *name, size_t cap, int64_t *process_id)
{
    (void)name;
    (void)cap;
    *process_id = 0;
    return 0;
}

SCI_PRIVATE const char *sci_platform_time_zone(void)
{
    return NULL;
}

#endif
