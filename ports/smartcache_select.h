/* smartcache_select.h - public domain or MIT-0 - smartcache's poller on select

   Do this in ONE C or C++ file, before it includes any system header:
       #define SMARTCACHE_SELECT_IMPLEMENTATION
       #include "smartcache_select.h"
   In every other file:
       #include "smartcache_select.h"
   smartcache.h is included by it, and must be found; SMARTCACHE_IMPLEMENTATION may be defined in
   the same file or in another (with SMARTCACHE_STATIC: in the same).

   SPDX-License-Identifier: Unlicense OR MIT-0 (the texts are at the end of smartcache.h)

   What it is

   A poller on select(2), for systems whose poll(2) is missing or broken, and for programs in which
   everything that waits goes through select:

       sc_poller poller;
       sc_config config = {0};
       sc_select_poller(&poller);
       config.poller = &poller;
       sc_open(&config, &client);

   All else stays as it is: blocking calls, threads, callbacks, sc_poll. examples/select_loop.c is a
   whole program.

   Descriptors

   select knows the descriptors below FD_SETSIZE (1024 as a rule), whatever RLIMIT_NOFILE says. One
   beyond is refused with words, and never touched: the call that wanted to connect fails with them,
   and creating the poller fails with SC_ERR_LIMIT. A client has one connection, and one more for
   each of: its subscriptions, a blocking command, a large value, so only a program with a thousand
   descriptors of its own gets there. Let such a one take the poller that the library has by itself
   (poll), or smartcache_epoll.h.

   A poller takes two descriptors (a pipe, by which other threads wake it), and memory for one
   pointer a descriptor up to the highest that was watched. A wait looks at every descriptor up to
   the highest.

   SIGPIPE is never caused. A descriptor that is closed while it is watched is told as SC_HANGUP. */

#if defined(SMARTCACHE_SELECT_IMPLEMENTATION) && !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE)
#define _DEFAULT_SOURCE 1
#endif

#ifndef SMARTCACHE_SELECT_H
#define SMARTCACHE_SELECT_H

#include "smartcache.h"

#ifdef __cplusplus
extern "C" {
#endif

/* MARK: - Poller on select (Public) */

/* Fill `table`, for sc_config.poller. Any thread; never fails, never blocks. Creating a poller (in
   sc_open) fails with SC_ERR_IO when there are no descriptors left, SC_ERR_LIMIT when all below
   FD_SETSIZE are taken, SC_ERR_MEMORY. */
SC_API void sc_select_poller(sc_poller *table);

#ifdef __cplusplus
}
#endif

#endif /* SMARTCACHE_SELECT_H */

/* MARK: - Poller on select (Private) */

#if defined(SMARTCACHE_SELECT_IMPLEMENTATION) && !defined(SMARTCACHE_SELECT_IMPLEMENTED)
#define SMARTCACHE_SELECT_IMPLEMENTED

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

#define SCI_SELECT_FIRST_TAGS 16 /* a small program's descriptors */
/* The longest time-out that every select takes (POSIX: at least 31 days). A wait may end early. */
#define SCI_SELECT_LONGEST_S (INT64_C(31) * 24 * 3600)

/* What is watched, or ready, for one thing each. */
typedef struct sci_select_sets {
    fd_set readable;
    fd_set writable;
} sci_select_sets;

typedef struct sci_select {
    sc_memory memory;
    void **tags; /* owned: one a descriptor */
    int tags_len;
    int highest; /* of the descriptors that are watched, the pipe included */
    int next;    /* is looked at first, so that no descriptor starves another */
    int wake_read_fd;
    int wake_write_fd;
    sci_select_sets watched;
} sci_select;

static const char *sci_select_error_text(int error)
{
    switch (error) {
    case EMFILE:
        return "too many open files in this process (RLIMIT_NOFILE)";
    case ENFILE:
        return "too many open files in the system";
    case ENOMEM:
        return "the system has no memory for it";
    case EBADF:
        return "a descriptor is not open";
    case EINVAL:
        return "invalid argument";
    default:
        return "unexpected";
    }
}

static sc_status sci_select_beyond(int fd, const char *what)
{
    return sc_fail(SC_ERR_LIMIT,
                   "%s is descriptor %d, and select knows those below FD_SETSIZE, %d, only: leave "
                   "sc_config.poller NULL (poll), or take another port (epoll)",
                   what, fd, (int)FD_SETSIZE);
}

static bool sci_select_is_watched(const sci_select *self, int fd)
{
    return FD_ISSET(fd, &self->watched.readable) || FD_ISSET(fd, &self->watched.writable);
}

/* Room for the tag of `fd`; on SC_ERR_MEMORY all is as it was. */
static sc_status sci_select_grow(sci_select *self, int fd)
{
    int len = self->tags_len ? self->tags_len : SCI_SELECT_FIRST_TAGS;
    while (len <= fd)
        len *= 2;
    if (len == self->tags_len)
        return SC_OK;
    void *tags =
        self->memory.resize(self->memory.user, self->tags, (size_t)self->tags_len * sizeof(void *),
                            (size_t)len * sizeof(void *));
    if (!tags)
        return sc_fail(SC_ERR_MEMORY, "no memory to watch descriptor %d", fd);
    self->tags = (void **)tags;
    self->tags_len = len;
    return SC_OK;
}

static bool sci_select_prepare_pipe_end(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) >= 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) >= 0;
}

static sc_status sci_select_open_pipe(sci_select *self)
{
    int ends[2];
    if (pipe(ends) < 0)
        return sc_fail(SC_ERR_IO, "no pipe for wake-ups: %s (errno %d)",
                       sci_select_error_text(errno), errno);
    self->wake_read_fd = ends[0];
    self->wake_write_fd = ends[1];
    if (ends[0] >= (int)FD_SETSIZE)
        return sci_select_beyond(ends[0], "the pipe for wake-ups");
    if (!sci_select_prepare_pipe_end(ends[0]) || !sci_select_prepare_pipe_end(ends[1]))
        return sc_fail(SC_ERR_IO, "a pipe for wake-ups that does not block: %s (errno %d)",
                       sci_select_error_text(errno), errno);
    FD_SET(ends[0], &self->watched.readable);
    self->highest = ends[0];
    return SC_OK;
}

static void sci_select_destroy(void *poller)
{
    sci_select *self = (sci_select *)poller;
    sc_memory memory = self->memory;
    if (self->wake_read_fd >= 0)
        close(self->wake_read_fd);
    if (self->wake_write_fd >= 0)
        close(self->wake_write_fd);
    if (self->tags)
        (void)memory.resize(memory.user, self->tags, (size_t)self->tags_len * sizeof(void *), 0);
    (void)memory.resize(memory.user, self, sizeof *self, 0);
}

static sc_status sci_select_create(void *user, const sc_memory *memory, void **poller)
{
    sci_select *self = (sci_select *)memory->resize(memory->user, NULL, 0, sizeof *self);
    (void)user;
    *poller = NULL;
    if (!self)
        return sc_fail(SC_ERR_MEMORY, "no memory for a poller");
    memset(self, 0, sizeof *self);
    self->memory = *memory;
    self->wake_read_fd = -1;
    self->wake_write_fd = -1;
    FD_ZERO(&self->watched.readable);
    FD_ZERO(&self->watched.writable);
    sc_status status = sci_select_open_pipe(self);
    if (status != SC_OK) {
        sci_select_destroy(self);
        return status;
    }
    *poller = self;
    return SC_OK;
}

static void sci_select_forget(sci_select *self, int fd)
{
    FD_CLR(fd, &self->watched.readable);
    FD_CLR(fd, &self->watched.writable);
    while (!sci_select_is_watched(self, self->highest))
        self->highest--; /* ends at the pipe's */
}

static sc_status sci_select_watch(void *poller, sc_descriptor descriptor, unsigned interest,
                                  void *tag)
{
    sci_select *self = (sci_select *)poller;
    int fd = (int)descriptor;
    if (descriptor < 0 || fd != descriptor)
        return sc_fail(SC_ERR_ARGUMENT, "%lld is no descriptor", (long long)descriptor);
    if (fd == self->wake_read_fd)
        return sc_fail(SC_ERR_ARGUMENT, "descriptor %d is the poller's own: who closed it?", fd);
    if (interest == 0) {
        if (fd < (int)FD_SETSIZE)
            sci_select_forget(self, fd);
        return SC_OK;
    }
    if (fd >= (int)FD_SETSIZE)
        return sci_select_beyond(fd, "the connection");
    sc_status status = sci_select_grow(self, fd);
    if (status != SC_OK)
        return status;
    FD_CLR(fd, &self->watched.readable);
    FD_CLR(fd, &self->watched.writable);
    if (interest & SC_READABLE)
        FD_SET(fd, &self->watched.readable);
    if (interest & SC_WRITABLE)
        FD_SET(fd, &self->watched.writable);
    self->tags[fd] = tag;
    if (fd > self->highest)
        self->highest = fd;
    return SC_OK;
}

/* Make the pipe quiet again. */
static void sci_select_drain(int fd)
{
    char bytes[64];
    ssize_t count;
    do
        count = read(fd, bytes, sizeof bytes);
    while (count == (ssize_t)sizeof bytes || (count < 0 && errno == EINTR));
}

/* After EBADF: take those that are not open out of `wanted`, and put them into `gone`. False when
   there is none, or it is the pipe. */
static bool sci_select_sort_out(const sci_select *self, sci_select_sets *wanted, fd_set *gone)
{
    bool has_any = false;
    for (int fd = 0; fd <= self->highest; fd++) {
        if (!sci_select_is_watched(self, fd) || fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        if (fd == self->wake_read_fd)
            return false;
        FD_CLR(fd, &wanted->readable);
        FD_CLR(fd, &wanted->writable);
        FD_SET(fd, gone);
        has_any = true;
    }
    return has_any;
}

/* Turn the sets into events. It begins where a full array ended the last time, so that the highest
   have their turn. */
static size_t sci_select_collect(sci_select *self, const sci_select_sets *ready, const fd_set *gone,
                                 sc_event *events, size_t cap)
{
    size_t filled = 0;
    int fd = self->next <= self->highest ? self->next : 0;
    for (int seen = 0; seen <= self->highest && filled < cap; seen++) {
        unsigned is_ready = (FD_ISSET(fd, &ready->readable) ? SC_READABLE : 0u) |
                            (FD_ISSET(fd, &ready->writable) ? SC_WRITABLE : 0u) |
                            (FD_ISSET(fd, gone) ? SC_HANGUP : 0u);
        if (is_ready && fd != self->wake_read_fd) {
            events[filled].tag = self->tags[fd];
            events[filled].ready = is_ready;
            filled++;
        }
        fd = fd < self->highest ? fd + 1 : 0;
    }
    self->next = fd;
    return filled;
}

static int sci_select_once(const sci_select *self, sci_select_sets *sets, int64_t timeout_ms)
{
    struct timeval timeout;
    bool is_long = timeout_ms / 1000 >= SCI_SELECT_LONGEST_S;
    memset(&timeout, 0, sizeof timeout);
    if (timeout_ms > 0 && is_long)
        timeout.tv_sec = (time_t)SCI_SELECT_LONGEST_S;
    else if (timeout_ms > 0) {
        timeout.tv_sec = (time_t)(timeout_ms / 1000);
        timeout.tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000);
    }
    return select(self->highest + 1, &sets->readable, &sets->writable, NULL,
                  timeout_ms < 0 ? NULL : &timeout);
}

static sc_status sci_select_wait(void *poller, int64_t timeout_ms, sc_event *events, size_t cap,
                                 size_t *count)
{
    sci_select *self = (sci_select *)poller;
    sci_select_sets sets = self->watched;
    fd_set gone;
    *count = 0;
    FD_ZERO(&gone);
    int found = sci_select_once(self, &sets, timeout_ms);
    if (found < 0 && errno == EBADF) {
        sets = self->watched;
        if (!sci_select_sort_out(self, &sets, &gone))
            return sc_fail(SC_ERR_IO,
                           "waiting by select: the poller's own descriptor %d, or one "
                           "that is open again by now, was closed by somebody",
                           self->wake_read_fd);
        found = sci_select_once(self, &sets, 0); /* what the open ones have to tell */
    }
    if (found < 0 && errno == EINTR)
        return SC_OK;
    if (found < 0)
        return sc_fail(SC_ERR_IO, "waiting by select on descriptors up to %d: %s (errno %d)",
                       self->highest, sci_select_error_text(errno), errno);
    if (FD_ISSET(self->wake_read_fd, &sets.readable))
        sci_select_drain(self->wake_read_fd);
    *count = sci_select_collect(self, &sets, &gone, events, cap);
    return SC_OK;
}

/* A full pipe refuses the byte, and then the waiter is going to wake anyway. */
static void sci_select_wake(void *poller)
{
    const sci_select *self = (const sci_select *)poller;
    int error = errno;
    ssize_t count;
    do
        count = write(self->wake_write_fd, "", 1);
    while (count < 0 && errno == EINTR);
    errno = error;
}

SC_API void sc_select_poller(sc_poller *table)
{
    memset(table, 0, sizeof *table);
    table->create = sci_select_create;
    table->destroy = sci_select_destroy;
    table->watch = sci_select_watch;
    table->wait = sci_select_wait;
    table->wake = sci_select_wake;
}

#endif /* SMARTCACHE_SELECT_IMPLEMENTATION */
