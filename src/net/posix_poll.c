/* The poller over poll(2): an array of descriptors, an index from descriptor to place in it, and a
   descriptor of its own by which any thread wakes the waiter (eventfd on Linux, else a pipe). */

#include "net/posix.h"

#ifndef SMARTCACHE_NO_POSIX

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

#define SCI_POLL_FIRST_CAP 8 /* a client watches two or three */
/* Twice as many slots as places keeps the probes of the index short. */
#define SCI_POLL_SLOTS(cap) ((size_t)2 * (cap))

/* Place 0 is the wake-up descriptor's. tags, fds and slots lie in one block, in this order. */
typedef struct sci_poll_set {
    sc_memory memory;
    void **tags;        /* owned: the block */
    struct pollfd *fds; /* the first `count` are in use */
    uint32_t *slots;    /* open addressing, linear probing: 0, or a place in fds */
    uint32_t count;
    uint32_t cap;  /* a power of two */
    uint32_t next; /* the place that is looked at first, so that no descriptor starves another */
    int wake_fd;   /* fds[0].fd is read, this is written; the same for an eventfd */
} sci_poll_set;

static size_t sci_poll_block_bytes(uint32_t cap)
{
    return cap * (sizeof(void *) + sizeof(struct pollfd)) + SCI_POLL_SLOTS(cap) * sizeof(uint32_t);
}

/* Descriptors are small and dense: as they are they collide least. */
static uint32_t sci_poll_home(const sci_poll_set *set, int fd)
{
    return (uint32_t)fd & (2 * set->cap - 1);
}

/* The slot that holds `fd`'s place, or the empty one where it would be put. */
static uint32_t *sci_poll_slot(const sci_poll_set *set, int fd)
{
    uint32_t i = sci_poll_home(set, fd);
    while (set->slots[i] != 0 && set->fds[set->slots[i]].fd != fd)
        i = (i + 1) & (2 * set->cap - 1);
    return &set->slots[i];
}

/* Empty a slot and close the gap in its chain (Knuth, TAOCP 6.4, algorithm R). */
static void sci_poll_slot_remove(sci_poll_set *set, uint32_t *slot)
{
    const uint32_t mask = 2 * set->cap - 1;
    uint32_t gap = (uint32_t)(slot - set->slots);
    uint32_t i = gap;
    for (;;) {
        uint32_t home;
        i = (i + 1) & mask;
        if (set->slots[i] == 0)
            break;
        home = sci_poll_home(set, set->fds[set->slots[i]].fd);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            set->slots[gap] = set->slots[i];
            gap = i;
        }
    }
    set->slots[gap] = 0;
}

/* Room for `cap` places; on SC_ERR_MEMORY all is as it was. */
static sc_status sci_poll_resize(sci_poll_set *set, uint32_t cap)
{
    sci_poll_set old = *set;
    void *block = sci_alloc_zeroed(&set->memory, sci_poll_block_bytes(cap));
    if (!block)
        return SC_ERR_MEMORY;
    set->cap = cap;
    set->tags = (void **)block;
    set->fds = (struct pollfd *)(void *)(set->tags + cap);
    set->slots = (uint32_t *)(void *)(set->fds + cap);
    if (old.count > 0) {
        memcpy(set->tags, old.tags, old.count * sizeof(old.tags[0]));
        memcpy(set->fds, old.fds, old.count * sizeof(old.fds[0]));
    }
    for (uint32_t place = 1; place < old.count; place++)
        *sci_poll_slot(set, set->fds[place].fd) = place;
    sci_free(&set->memory, old.tags, sci_poll_block_bytes(old.cap));
    return SC_OK;
}

/* Make the wake-up descriptor: the end to watch, -1 with errno. */
static int sci_poll_open_wake(int *wake_fd)
{
#ifdef __linux__
    *wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *wake_fd;
#else
    int ends[2];
    if (pipe(ends) < 0)
        return -1;
    if (sci_posix_descriptor_prepare(ends[0], true) &&
        sci_posix_descriptor_prepare(ends[1], true)) {
        *wake_fd = ends[1];
        return ends[0];
    }
    close(ends[0]);
    close(ends[1]);
    return -1;
#endif
}

static void sci_poll_destroy(void *poller)
{
    sci_poll_set *set = (sci_poll_set *)poller;
    sc_memory memory = set->memory;
    if (set->count > 0) {
        if (set->fds[0].fd != set->wake_fd)
            close(set->wake_fd);
        close(set->fds[0].fd);
    }
    sci_free(&memory, set->tags, sci_poll_block_bytes(set->cap));
    sci_free(&memory, set, sizeof(*set));
}

static sc_status sci_poll_create(void *user, const sc_memory *memory, void **poller)
{
    sci_poll_set *set = (sci_poll_set *)sci_alloc_zeroed(memory, sizeof(*set));
    sc_status status;
    int fd;
    (void)user;
    *poller = NULL;
    if (!set)
        return SC_ERR_MEMORY;
    set->memory = *memory;
    set->next = 1;
    status = sci_poll_resize(set, SCI_POLL_FIRST_CAP);
    if (status != SC_OK) {
        sci_free(memory, set, sizeof(*set));
        return status;
    }
    fd = sci_poll_open_wake(&set->wake_fd);
    if (fd < 0) {
        char unlisted[SCI_POSIX_ERROR_BYTES];
        status =
            sc_fail(SC_ERR_IO, "no wake-up descriptor: %s", sci_posix_error_text(errno, unlisted));
        sci_poll_destroy(set);
        return status;
    }
    set->fds[0].fd = fd;
    set->fds[0].events = POLLIN;
    set->count = 1;
    *poller = set;
    return SC_OK;
}

/* Take a descriptor out; the last one moves into its place. */
static void sci_poll_forget(sci_poll_set *set, uint32_t *slot)
{
    uint32_t place = *slot;
    uint32_t last = set->count - 1;
    sci_poll_slot_remove(set, slot);
    if (place != last) {
        *sci_poll_slot(set, set->fds[last].fd) = place;
        set->fds[place] = set->fds[last];
        set->tags[place] = set->tags[last];
    }
    set->count = last;
}

static sc_status sci_poll_watch(void *poller, sc_descriptor descriptor, unsigned interest,
                                void *tag)
{
    sci_poll_set *set = (sci_poll_set *)poller;
    uint32_t *slot;
    uint32_t place;
    if (descriptor < 0 || descriptor > INT_MAX)
        return sc_fail(SC_ERR_ARGUMENT, "%lld is no descriptor", (long long)descriptor);
    slot = sci_poll_slot(set, (int)descriptor);
    place = *slot;
    if (interest == 0) {
        if (place != 0)
            sci_poll_forget(set, slot);
        return SC_OK;
    }
    if (place == 0) {
        if (set->count == set->cap) {
            sc_status status;
            if (set->cap > UINT32_MAX / 4)
                return sc_fail(SC_ERR_LIMIT, "too many descriptors to watch");
            status = sci_poll_resize(set, set->cap * 2);
            if (status != SC_OK)
                return status;
            slot = sci_poll_slot(set, (int)descriptor);
        }
        place = set->count++;
        set->fds[place].fd = (int)descriptor;
        set->fds[place].revents = 0;
        *slot = place;
    }
    set->fds[place].events =
        (short)((interest & SC_READABLE ? POLLIN : 0) | (interest & SC_WRITABLE ? POLLOUT : 0));
    set->tags[place] = tag;
    return SC_OK;
}

/* Make the wake-up descriptor quiet again. One reading empties an eventfd. */
static void sci_poll_drain(int fd)
{
    char bytes[64];
    ssize_t count;
    do
        count = read(fd, bytes, sizeof(bytes));
    while (count == (ssize_t)sizeof(bytes) || (count < 0 && errno == EINTR));
}

static unsigned sci_poll_ready(short revents)
{
    return (revents & POLLIN ? SC_READABLE : 0u) | (revents & POLLOUT ? SC_WRITABLE : 0u) |
           (revents & (POLLERR | POLLHUP | POLLNVAL) ? SC_HANGUP : 0u);
}

/* Turn `ready` results of poll into events. It begins where a full array ended the last time, so
   that those at the end of the list have their turn. */
static size_t sci_poll_collect(sci_poll_set *set, int ready, sc_event *events, size_t cap)
{
    size_t filled = 0;
    uint32_t place = set->next < set->count ? set->next : 1;
    for (uint32_t seen = 1; seen < set->count && ready > 0 && filled < cap; seen++) {
        if (set->fds[place].revents != 0) {
            events[filled].tag = set->tags[place];
            events[filled].ready = sci_poll_ready(set->fds[place].revents);
            filled++;
            ready--;
        }
        place = place + 1 < set->count ? place + 1 : 1;
    }
    set->next = place;
    return filled;
}

static sc_status sci_poll_wait(void *poller, int64_t timeout_ms, sc_event *events, size_t cap,
                               size_t *count)
{
    sci_poll_set *set = (sci_poll_set *)poller;
    int timeout = timeout_ms < 0 ? -1 : (int)sci_min_i64(timeout_ms, INT_MAX);
    int ready;
    *count = 0;
    sci_assert(cap > 0);
    ready = poll(set->fds, (nfds_t)set->count, timeout);
    if (ready < 0) {
        char unlisted[SCI_POSIX_ERROR_BYTES];
        if (errno == EINTR || errno == EAGAIN)
            return SC_OK;
        return sc_fail(SC_ERR_IO, "waiting on %lu descriptors: %s", (unsigned long)set->count,
                       sci_posix_error_text(errno, unlisted));
    }
    if (set->fds[0].revents != 0) {
        sci_poll_drain(set->fds[0].fd);
        ready--;
    }
    *count = sci_poll_collect(set, ready, events, cap);
    return SC_OK;
}

/* A full counter or pipe refuses the write, and then the waiter is going to wake anyway. */
static void sci_poll_wake(void *poller)
{
    const sci_poll_set *set = (const sci_poll_set *)poller;
    const uint64_t one = 1; /* an eventfd takes 8 bytes; to a pipe any bytes will do */
    int error = errno;
    ssize_t count;
    do
        count = write(set->wake_fd, &one, sizeof(one));
    while (count < 0 && errno == EINTR);
    errno = error;
}

SC_API bool sc_platform_poller(sc_poller *table)
{
    memset(table, 0, sizeof(*table));
    table->create = sci_poll_create;
    table->destroy = sci_poll_destroy;
    table->watch = sci_poll_watch;
    table->wait = sci_poll_wait;
    table->wake = sci_poll_wake;
    return true;
}

#else

SC_API bool sc_platform_poller(sc_poller *table)
{
    (void)table;
    return false;
}

#endif
