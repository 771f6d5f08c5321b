/* smartcache_epoll.h - public domain or MIT-0 - smartcache's poller on epoll: one descriptor for
   all

   Do this in ONE C or C++ file, before it includes any system header:
       #define SMARTCACHE_EPOLL_IMPLEMENTATION
       #include "smartcache_epoll.h"
   In every other file:
       #include "smartcache_epoll.h"
   smartcache.h is included by it, and must be found; SMARTCACHE_IMPLEMENTATION may be defined in
   the same file or in another (with SMARTCACHE_STATIC: in the same). Linux.

   SPDX-License-Identifier: Unlicense OR MIT-0 (the texts are at the end of smartcache.h)

   What it is

   A poller on epoll(7), whose cost does not grow with the descriptors that are watched. The
   client's timers go through one timerfd and what other threads want through one eventfd, both
   inside of the epoll instance, so that ONE descriptor stands for the whole client in the event
   loop that a program has already: libuv, libevent, GLib, or an epoll of its own. When it is
   readable there is work, and one call does it.

       sc_poller poller;
       sc_config config = {0};
       sc_epoll_poller(&poller);
       config.poller = &poller;
       config.polled = true;              // no thread of the client's own
       sc_open(&config, &client);

       // in the program's loop: when sc_epoll_fd(client) is readable, call
       sc_epoll_run(client);              // never blocks; callbacks run in here

   Nothing else has to be called, at no time: a time-out that is due, a callback that waits, a
   command that another thread has started, a lease to be renewed, a connection that takes bytes
   again, all make the descriptor readable. Watch it for reading, level-triggered (the way of all
   these loops). examples/libuv_loop.c and examples/libevent_loop.c are whole programs.

   Other threads may use the client as well, also with blocking calls. While such a call waits it
   does the client's work, and the descriptor may be readable for a moment with nothing left to do.

   As a mere poller, with blocking calls or a thread of the client's, it needs neither function.

   After a fork the child calls sc_epoll_fd again and watches that descriptor: it gets an instance
   of its own, and never touches the parent's. */

#if defined(SMARTCACHE_EPOLL_IMPLEMENTATION) && !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE)
#define _DEFAULT_SOURCE 1
#endif

#ifndef SMARTCACHE_EPOLL_H
#define SMARTCACHE_EPOLL_H

#include "smartcache.h"

#ifdef __cplusplus
extern "C" {
#endif

/* MARK: - Poller on epoll (Public) */

/* Fill `table`, for sc_config.poller. Any thread; never fails, never blocks. Creating a poller (in
   sc_open) fails with SC_ERR_IO when there are no descriptors left (it takes three), SC_ERR_MEMORY.
 */
SC_API void sc_epoll_poller(sc_poller *table);

/* The descriptor that stands for the client in another event loop: readable when sc_epoll_run has
   something to do. It is the client's: do not close it; it is gone after sc_close. -1, with words
   in sc_error_text, when the client was opened with another poller, or when a forked child could
   not make its own. Any thread; never blocks. */
SC_API int sc_epoll_fd(sc_client *client);

/* Do all that is due, and run the callbacks. Bounded, so that a client whose callbacks always start
   more does not keep the loop from others: then the descriptor stays readable. Calling it when
   nothing is due does no harm. SC_OK, also when nothing happened; SC_ERR_CLOSED; SC_ERR_ARGUMENT
   when the client was opened with another poller; the poller's errors. Any thread, but not while
   another thread closes the client. Never blocks, but for the callbacks. */
SC_API sc_status sc_epoll_run(sc_client *client);

#ifdef __cplusplus
}
#endif

#endif /* SMARTCACHE_EPOLL_H */

/* MARK: - Poller on epoll (Private) */

#if defined(SMARTCACHE_EPOLL_IMPLEMENTATION) && !defined(SMARTCACHE_EPOLL_IMPLEMENTED)
#define SMARTCACHE_EPOLL_IMPLEMENTED

#ifndef __linux__
#error "smartcache_epoll.h needs Linux: epoll, eventfd and timerfd"
#endif

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Readiness taken from the kernel in one go; it hands out the rest first the next time. */
#define SCI_EPOLL_EVENTS 64
/* Turns of one sc_epoll_run. Two are the rule: one that works, one that finds nothing more to do.
 */
#define SCI_EPOLL_TURNS 16
/* A timer that fires no more than so much later than wanted is left as it is. */
#define SCI_EPOLL_SLACK_NS 100000
/* Longer delays are cut: firing too early does no harm. A year, also in seconds of 32 bits. */
#define SCI_EPOLL_LONGEST_NS (INT64_C(365) * 24 * 3600 * SCI_EPOLL_NS_PER_S)
#define SCI_EPOLL_NS_PER_S INT64_C(1000000000)

/* Both descriptors of its own are watched edge-triggered: the kernel reports each wake-up and each
   expiry once, and they need not be emptied by a system call. A pointer to them is their tag.

   The library calls `schedule` only while nobody waits, and orders both by its lock; `wake` may
   come at any time. */
typedef struct sci_epoll {
    sc_memory memory;
    int epoll_fd;
    int wake_fd;
    int timer_fd;
    clockid_t clock;
    int64_t fires_ns;     /* when the timer fires or fired, by `clock`; 0: it is disarmed */
    pid_t process;        /* who made it */
    uint32_t is_exported; /* atomic: another loop may look at epoll_fd */
    uint32_t is_due;      /* atomic: the client wants sc_poll at once */
} sci_epoll;

static const char *sci_epoll_error_text(int error)
{
    switch (error) {
    case EMFILE:
        return "too many open files in this process (RLIMIT_NOFILE)";
    case ENFILE:
        return "too many open files in the system";
    case ENOMEM:
        return "the kernel has no memory for it";
    case ENOSPC:
        return "too many watched descriptors (/proc/sys/fs/epoll/max_user_watches)";
    case EPERM:
        return "epoll does not take regular files and folders, which are always ready";
    case EBADF:
        return "it is not open";
    case EINVAL:
    case ELOOP:
        return "it is this very epoll instance, or one that watches it";
    default:
        return "unexpected";
    }
}

/* No more than this in a forked child: there epoll_ctl would change the parent's instance. */
static void sci_epoll_destroy(void *poller)
{
    sci_epoll *self = (sci_epoll *)poller;
    sc_memory memory = self->memory;
    if (self->timer_fd >= 0)
        close(self->timer_fd);
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    (void)memory.resize(memory.user, self, sizeof *self, 0);
}

/* The clock that counts through a suspend, as the library's own does. */
static int sci_epoll_open_timer(clockid_t *clock)
{
    int fd = -1;
#ifdef CLOCK_BOOTTIME
    *clock = CLOCK_BOOTTIME;
    fd = timerfd_create(*clock, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd >= 0 || errno != EINVAL)
        return fd;
#endif
    *clock = CLOCK_MONOTONIC;
    fd = timerfd_create(*clock, TFD_CLOEXEC | TFD_NONBLOCK);
    return fd;
}

static int sci_epoll_add_own(const sci_epoll *self, const int *own_fd)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = (void *)(uintptr_t)own_fd;
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, *own_fd, &event);
}

static sc_status sci_epoll_create(void *user, const sc_memory *memory, void **poller)
{
    sci_epoll *self = (sci_epoll *)memory->resize(memory->user, NULL, 0, sizeof *self);
    (void)user;
    *poller = NULL;
    if (!self)
        return sc_fail(SC_ERR_MEMORY, "no memory for a poller");
    memset(self, 0, sizeof *self);
    self->memory = *memory;
    self->wake_fd = -1;
    self->timer_fd = -1;
    self->process = getpid();
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd >= 0)
        self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd >= 0)
        self->timer_fd = sci_epoll_open_timer(&self->clock);
    if (self->timer_fd < 0 || sci_epoll_add_own(self, &self->wake_fd) < 0 ||
        sci_epoll_add_own(self, &self->timer_fd) < 0) {
        sc_status status = sc_fail(SC_ERR_IO, "no epoll, eventfd or timerfd: %s (errno %d)",
                                   sci_epoll_error_text(errno), errno);
        sci_epoll_destroy(self);
        return status;
    }
    *poller = self;
    return SC_OK;
}

static sc_status sci_epoll_refused(int fd, int error)
{
    sc_status status = error == ENOMEM   ? SC_ERR_MEMORY
                       : error == ENOSPC ? SC_ERR_LIMIT
                                         : SC_ERR_ARGUMENT;
    return sc_fail(status, "descriptor %d cannot be watched: %s (errno %d)", fd,
                   sci_epoll_error_text(error), error);
}

static sc_status sci_epoll_watch(void *poller, sc_descriptor descriptor, unsigned interest,
                                 void *tag)
{
    const sci_epoll *self = (const sci_epoll *)poller;
    int fd = (int)descriptor;
    struct epoll_event event;
    if (descriptor < 0 || descriptor > INT_MAX)
        return sc_fail(SC_ERR_ARGUMENT, "%lld is no descriptor", (long long)descriptor);
    memset(&event, 0, sizeof event);
    event.events = (interest & SC_READABLE ? (uint32_t)EPOLLIN : 0u) |
                   (interest & SC_WRITABLE ? (uint32_t)EPOLLOUT : 0u);
    event.data.ptr = tag;
    if (interest == 0) {
        /* what was closed before has left the instance by itself */
        (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, fd, &event);
        return SC_OK;
    }
    /* mostly it is new: the library forgets what it does not wait for */
    int result = epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    if (result < 0 && errno == EEXIST)
        result = epoll_ctl(self->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    return result == 0 ? SC_OK : sci_epoll_refused(fd, errno);
}

static unsigned sci_epoll_ready(uint32_t events)
{
    return (events & EPOLLIN ? SC_READABLE : 0u) | (events & EPOLLOUT ? SC_WRITABLE : 0u) |
           (events & (EPOLLERR | EPOLLHUP) ? SC_HANGUP : 0u);
}

static sc_status sci_epoll_wait(void *poller, int64_t timeout_ms, sc_event *events, size_t cap,
                                size_t *count)
{
    sci_epoll *self = (sci_epoll *)poller;
    struct epoll_event ready[SCI_EPOLL_EVENTS];
    int most = cap < SCI_EPOLL_EVENTS ? (int)cap : SCI_EPOLL_EVENTS;
    int timeout = timeout_ms < 0 ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    *count = 0;
    __atomic_store_n(&self->is_due, 0, __ATOMIC_RELEASE);
    int got = epoll_wait(self->epoll_fd, ready, most, timeout);
    if (got < 0 && errno != EINTR)
        return sc_fail(SC_ERR_IO, "waiting by epoll: %s (errno %d)", sci_epoll_error_text(errno),
                       errno);
    for (int i = 0; i < got; i++) {
        void *tag = ready[i].data.ptr;
        if (tag == &self->wake_fd || tag == &self->timer_fd)
            continue;
        events[*count].tag = tag;
        events[*count].ready = sci_epoll_ready(ready[i].events);
        ++*count;
    }
    return SC_OK;
}

static void sci_epoll_wake(void *poller)
{
    const sci_epoll *self = (const sci_epoll *)poller;
    const uint64_t one = 1; /* nobody reads the sum; it takes centuries to be full */
    int error = errno;
    (void)!write(self->wake_fd, &one, sizeof one);
    errno = error;
}

/* The timer as it should be: `fires_ns` 0 disarms it. */
static void sci_epoll_set_timer(sci_epoll *self, int64_t fires_ns)
{
    struct itimerspec when;
    memset(&when, 0, sizeof when);
    when.it_value.tv_sec = (time_t)(fires_ns / SCI_EPOLL_NS_PER_S);
    when.it_value.tv_nsec = (long)(fires_ns % SCI_EPOLL_NS_PER_S);
    (void)timerfd_settime(self->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    self->fires_ns = fires_ns;
}

/* A timer that fires earlier does no harm: what is wanted is told again after it. So the many
   deadlines that are met cost no system call each. */
static void sci_epoll_fire_after(sci_epoll *self, int64_t delay_ns)
{
    struct timespec clock;
    (void)clock_gettime(self->clock, &clock);
    int64_t now_ns = (int64_t)clock.tv_sec * SCI_EPOLL_NS_PER_S + clock.tv_nsec;
    int64_t due_ns = now_ns + (delay_ns < SCI_EPOLL_LONGEST_NS ? delay_ns : SCI_EPOLL_LONGEST_NS);
    if (self->fires_ns <= now_ns || self->fires_ns > due_ns + SCI_EPOLL_SLACK_NS)
        sci_epoll_set_timer(self, due_ns);
}

static void sci_epoll_schedule(void *poller, int64_t delay_ns)
{
    sci_epoll *self = (sci_epoll *)poller;
    __atomic_store_n(&self->is_due, delay_ns == 0, __ATOMIC_RELEASE);
    if (!__atomic_load_n(&self->is_exported, __ATOMIC_ACQUIRE))
        return; /* nobody looks */
    if (delay_ns == 0)
        sci_epoll_wake(self);
    else if (delay_ns > 0)
        sci_epoll_fire_after(self, delay_ns);
    else if (self->fires_ns != 0)
        sci_epoll_set_timer(self, 0);
}

SC_API void sc_epoll_poller(sc_poller *table)
{
    memset(table, 0, sizeof *table);
    table->create = sci_epoll_create;
    table->destroy = sci_epoll_destroy;
    table->watch = sci_epoll_watch;
    table->wait = sci_epoll_wait;
    table->wake = sci_epoll_wake;
    table->schedule = sci_epoll_schedule;
}

/* NULL, with words, when it has another poller. */
static sci_epoll *sci_epoll_of(const sc_client *client)
{
    sc_poller table;
    sc_epoll_poller(&table);
    sci_epoll *self = client ? (sci_epoll *)sc_client_poller(client, &table) : NULL;
    if (!self)
        (void)sc_fail(SC_ERR_ARGUMENT, "the client has no epoll poller: give sc_open one made by "
                                       "sc_epoll_poller as sc_config.poller");
    return self;
}

SC_API int sc_epoll_fd(sc_client *client)
{
    sci_epoll *self = sci_epoll_of(client);
    if (self && self->process != getpid()) {
        sc_stats stats;
        sc_stats_get(client, &stats); /* the library notices the fork, and makes another poller */
        self = sci_epoll_of(client);
    }
    if (!self)
        return -1;
    /* What was wanted before was told to nobody: the first run asks. */
    if (!__atomic_exchange_n(&self->is_exported, 1, __ATOMIC_ACQ_REL))
        sci_epoll_wake(self);
    return self->epoll_fd;
}

SC_API sc_status sc_epoll_run(sc_client *client)
{
    const sci_epoll *self = sci_epoll_of(client);
    sc_status status = self ? SC_OK : SC_ERR_ARGUMENT;
    bool is_due = true;
    for (int turn = 0; turn < SCI_EPOLL_TURNS && status == SC_OK && is_due; turn++) {
        status = sc_poll(client, 0);
        if (status == SC_OK)
            self = sci_epoll_of(client); /* in a forked child it is another by now */
        is_due = status == SC_OK && self && __atomic_load_n(&self->is_due, __ATOMIC_ACQUIRE);
    }
    return status;
}

#ifdef __cplusplus
}
#endif

#endif /* SMARTCACHE_EPOLL_IMPLEMENTATION */
